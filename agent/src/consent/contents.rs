//! What would be sent, read from the very bytes: its sections with their sizes and what was replaced in each, and, for who
//! asks, every value.

use std::fmt::Write;

use belay_protocol::codec::DecodeError;
use belay_protocol::finding::bytes_for_people;
use belay_protocol::id::hex;
use belay_protocol::report::{Replacement, Report, Section, SectionName, Withholding};
use belay_protocol::{Language, Phrase};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::page;
use crate::redact::Redacted;
use crate::terminal::{Colour, Style, json};

/// What would be sent.
#[derive(Clone, Debug)]
pub struct Contents {
    report: Report,
    bytes: usize,
    sha256: [u8; 32],
    /// What was replaced in each section of the report, in its order.
    replaced: Vec<Vec<Replacement>>,
}

impl Contents {
    /// Reads the report back from the bytes that would be sent: nothing else is shown.
    pub fn new(redacted: &Redacted) -> Result<Self, DecodeError> {
        let report = redacted.report()?;
        let replaced_in = |section: &Section| match section {
            Section::Withheld(_) => Vec::new(),
            section => redacted.replaced_in(section.name()),
        };
        let replaced = report.sections.iter().map(replaced_in).collect();
        Ok(Self { bytes: redacted.bytes().len(), sha256: *redacted.sha256(), replaced, report })
    }

    /// The contents of a report that was saved to a file as `bytes`. What was replaced in each of its sections is known
    /// on its device alone.
    pub fn of_saved(report: Report, bytes: &[u8]) -> Self {
        let replaced = vec![Vec::new(); report.sections.len()];
        Self { bytes: bytes.len(), sha256: Sha256::digest(bytes).into(), replaced, report }
    }

    /// The sections that a person can take out, in the order of their numbers.
    pub fn sections(&self) -> Vec<SectionName> {
        self.report.sections.iter().map(Section::name).collect()
    }

    /// Sections, sizes, what was replaced and how often, and the hash.
    pub fn list(&self, language: Language, colour: Colour) -> String {
        let mut page = String::new();
        let size = bytes_for_people(self.bytes as u64);
        let _ = writeln!(page, "{}", colour.paint(Style::Bold, SENT.fill(language, &[("size", &size)])));
        for (number, (section, replaced)) in self.report.sections.iter().zip(&self.replaced).enumerate() {
            let contents = section.name().contents().text(language);
            let values = [("name", &*named(section, language)), ("contents", contents)];
            let _ = writeln!(page, "  {} {}", number + 1, SECTION.fill(language, &values));
            if !replaced.is_empty() {
                let _ = writeln!(page, "    {}", counted(replaced, language));
            }
        }
        if !self.report.header.replaced.is_empty() {
            let _ = writeln!(page, "\n{}", colour.paint(Style::Bold, REPLACED.text(language)));
        }
        for replacement in &self.report.header.replaced {
            let kind = replacement.kind.phrase().text(language);
            let (distinct, times) = (replacement.distinct.to_string(), replacement.times.to_string());
            let counted = COUNTED.fill(language, &[("kind", kind), ("distinct", &distinct), ("times", &times)]);
            let _ = writeln!(page, "  {counted}");
        }
        let hash = hex(&self.sha256);
        let _ = writeln!(page, "\n{}", colour.paint(Style::Dim, format!("SHA-256 {hash}")));
        page
    }

    /// Every fact and finding in words, and then every value that is encoded in the bytes, section by section.
    pub fn everything(&self, language: Language, colour: Colour) -> String {
        let mut page = page::facts(&self.report, language, colour);
        let _ = writeln!(page, "\n{}", colour.paint(Style::Bold, AS_SENT.text(language)));
        let _ = writeln!(page, "\n{}\n{}", HEADER.text(language), as_sent(&self.report.header));
        for (section, replaced) in self.report.sections.iter().zip(&self.replaced) {
            let heading = colour.paint(Style::Bold, named(section, language));
            let _ = writeln!(page, "\n{heading}");
            if !replaced.is_empty() {
                let _ = writeln!(page, "{}", counted(replaced, language));
            }
            let _ = writeln!(page, "{}", as_sent(section));
        }
        page
    }
}

/// A value as JSON, with every field of its encoded form in it. What a terminal would obey is told, not obeyed.
fn as_sent(value: &impl Serialize) -> String {
    json(value).unwrap_or_default()
}

fn named(section: &Section, language: Language) -> String {
    let size = match section {
        Section::Withheld(withheld) => match withheld.reason {
            Withholding::ByPerson => TAKEN_OUT.text(language).to_owned(),
            Withholding::RedactionFailed => NOT_REDACTED.text(language).to_owned(),
        },
        section => bytes_for_people(section.encoded_bytes() as u64),
    };
    NAMED.fill(language, &[("name", section.name().phrase().text(language)), ("size", &size)])
}

/// `replaced here: user names 3, network addresses 2`.
fn counted(replaced: &[Replacement], language: Language) -> String {
    let kinds = replaced.iter().map(|one| format!("{} {}", one.kind.phrase().text(language), one.times));
    let kinds: Vec<_> = kinds.collect();
    REPLACED_HERE.fill(language, &[("kinds", &kinds.join(LIST.text(language)))])
}

const SENT: Phrase = Phrase { en: "This would be sent ({size}):", zh: "将要发送的内容（{size}）：" };
const REPLACED: Phrase = Phrase { en: "Replaced before sending:", zh: "发送前已替换：" };
const REPLACED_HERE: Phrase = Phrase { en: "replaced here: {kinds}", zh: "此处已替换：{kinds}" };
const LIST: Phrase = Phrase { en: ", ", zh: "，" };
const COUNTED: Phrase = Phrase {
    en: "{kind}: {distinct} different, {times} in all",
    zh: "{kind}：不同的 {distinct} 个，共 {times} 处",
};
const NAMED: Phrase = Phrase { en: "{name} ({size})", zh: "{name}（{size}）" };
const SECTION: Phrase = Phrase { en: "{name}: {contents}", zh: "{name}：{contents}" };
const HEADER: Phrase = Phrase { en: "Header", zh: "报告头" };
const TAKEN_OUT: Phrase = Phrase { en: "taken out by you", zh: "已被您移除" };
const NOT_REDACTED: Phrase = Phrase {
    en: "held back: private names could not be removed safely",
    zh: "未发送：无法安全去除个人信息",
};
const AS_SENT: Phrase = Phrase { en: "The same, as it is sent", zh: "同样内容的发送形式" };

#[cfg(test)]
mod tests {
    use belay_protocol::BoundedVec;
    use belay_protocol::report::{BusyProcess, Fact, Header, Private, Report};

    use super::*;
    use crate::redact::{redact, tests::survey};

    /// The JSON objects that stand in `page`, in order.
    fn objects(page: &str) -> Vec<String> {
        let mut objects: Vec<String> = Vec::new();
        let mut inside = false;
        for line in page.lines() {
            if line == "{" {
                objects.push(String::new());
                inside = true;
            }
            if inside {
                objects.last_mut().unwrap().push_str(line);
            }
            inside &= line != "}";
        }
        objects
    }

    #[tokio::test]
    async fn what_is_shown_encodes_to_the_very_bytes() {
        for without in [&[][..], &[SectionName::Disk]] {
            let mut survey = survey().await;
            // What reorders text, and a control sequence of one character.
            let devious = BusyProcess { name: Private::new("gpj\u{202e}.exe\u{9b}2J"), cpu_percent: 50.0 };
            survey.system.busiest_processes = Fact::Known(BoundedVec::truncating([devious]).0);
            let redacted = redact(survey, Default::default()).unwrap().without(without).unwrap();
            let page = Contents::new(&redacted).unwrap().everything(Language::English, Colour::None);
            assert!(!page.contains(['\u{202e}', '\u{9b}']) && page.contains("\\u202e"));
            let objects = objects(&page);
            let header: Header = serde_json::from_str(&objects[0]).unwrap();
            let sections: Vec<Section> = objects[1..].iter().map(|json| serde_json::from_str(json).unwrap()).collect();
            let shown = Report { header, sections: sections.try_into().unwrap() };
            assert_eq!(shown.encode().unwrap(), redacted.bytes());
        }
    }

    #[tokio::test]
    async fn each_section_says_its_size_and_what_was_replaced_in_it() {
        let redacted = redact(survey().await, Default::default()).unwrap();
        let contents = Contents::new(&redacted).unwrap();
        let list = contents.list(Language::English, Colour::None);
        for shown in ["2 Disks (", "passwords and keys (removed) 1", "machine and domain names: 2 different, 2 in all"]
        {
            assert!(list.contains(shown), "{shown} in\n{list}");
        }
        let memory = list.lines().skip_while(|line| !line.contains("3 Memory")).nth(1).unwrap();
        assert!(!memory.contains("replaced here"), "{memory}");
        assert!(contents.list(Language::Chinese, Colour::None).contains("此处已替换：用户名"));
    }
}
