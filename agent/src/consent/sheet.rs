//! The consent sheet: who asks, for what, and exactly what would be sent, read from the bytes that would be sent.

use std::fmt::Write;

use belay_protocol::codec::DecodeError;
use belay_protocol::finding::bytes_for_people;
use belay_protocol::id::hex;
use belay_protocol::report::{Report, Section, SectionName, Withholding};
use belay_protocol::{Language, Phrase};

use super::{DeskStanding, Request};
use crate::page;
use crate::redact::Redacted;
use crate::terminal::{Colour, Style, plain};

/// What a person decides upon.
#[derive(Clone, Debug)]
pub struct Sheet<'a> {
    request: &'a Request,
    report: Report,
    bytes: usize,
    sha256: [u8; 32],
}

impl<'a> Sheet<'a> {
    /// Reads the report back from the bytes that would be sent: nothing else is shown.
    pub fn new(request: &'a Request, redacted: &Redacted) -> Result<Self, DecodeError> {
        Ok(Self { request, report: redacted.report()?, bytes: redacted.bytes().len(), sha256: *redacted.sha256() })
    }

    /// The sections that a person can take out, in the order of their numbers.
    pub fn sections(&self) -> Vec<SectionName> {
        self.report.sections.iter().map(Section::name).collect()
    }

    /// The sheet at `now_unix_ms`.
    pub fn render(&self, colour: Colour, now_unix_ms: i64) -> String {
        let mut page = String::new();
        let language = self.request.language;
        self.who(&mut page, colour);
        let _ = writeln!(page, "\n{}", colour.paint(Style::Bold, WANTS.text(language)));
        for grant in &self.request.grants {
            let minutes = (grant.until_unix_ms.saturating_sub(now_unix_ms).max(0) as u64).div_ceil(60_000).to_string();
            let until = FOR_MINUTES.fill(language, &[("minutes", &minutes)]);
            let _ = writeln!(page, "  - {} ({until})", grant.capability.meaning().text(language));
        }
        let size = bytes_for_people(self.bytes as u64);
        let _ = writeln!(page, "\n{}", colour.paint(Style::Bold, SENT.fill(language, &[("size", &size)])));
        for (number, section) in self.report.sections.iter().enumerate() {
            let (name, size) = (section.name().phrase().text(language), describe(section, language));
            let contents = section.name().contents().text(language);
            let values = [("name", name), ("size", &size), ("contents", contents)];
            let _ = writeln!(page, "  {} {}", number + 1, SECTION.fill(language, &values));
        }
        let replaced = &self.report.header.replaced;
        if !replaced.is_empty() {
            let _ = writeln!(page, "\n{}", colour.paint(Style::Bold, REPLACED.text(language)));
        }
        for replacement in replaced {
            let kind = replacement.kind.phrase().text(language);
            let (distinct, times) = (replacement.distinct.to_string(), replacement.times.to_string());
            let counted = COUNTED.fill(language, &[("kind", kind), ("distinct", &distinct), ("times", &times)]);
            let _ = writeln!(page, "  {counted}");
        }
        let hash = hex(&self.sha256);
        let _ = writeln!(page, "\n{}", colour.paint(Style::Dim, format!("SHA-256 {hash}")));
        page
    }

    fn who(&self, page: &mut String, colour: Colour) {
        let language = self.request.language;
        let desk = plain(&self.request.desk);
        match &self.request.standing {
            DeskStanding::Verified { domain } => {
                let words = VERIFIED.fill(language, &[("desk", &desk), ("domain", &plain(domain))]);
                let _ = writeln!(page, "{}", colour.paint(Style::Green, words));
            }
            DeskStanding::Unverified { key_words } => {
                let words = UNVERIFIED.fill(language, &[("desk", &desk), ("words", &plain(key_words))]);
                let _ = writeln!(page, "{}", colour.paint(Style::Yellow, words));
            }
        }
        if let Some(technician) = &self.request.technician {
            let _ = writeln!(page, "{}{}", TECHNICIAN.text(language), plain(technician));
        }
        let _ = writeln!(page, "{}{}", TICKET.text(language), plain(&self.request.ticket));
        let phrase = colour.paint(Style::Bold, plain(&self.request.phrase));
        let _ = writeln!(page, "{}{phrase}", COMPARE.text(language));
    }

    /// Every fact and finding that would be sent, as it would be sent.
    pub fn render_everything(&self, colour: Colour) -> String {
        let everything = page::facts(&self.report, self.request.language, colour, &|text: &str| text.to_owned());
        let json = serde_json::to_string_pretty(&self.report).unwrap_or_default();
        let json: Vec<String> = json.lines().map(plain).collect();
        let as_sent = colour.paint(Style::Bold, AS_SENT.text(self.request.language));
        format!("{everything}\n{as_sent}\n{}\n", json.join("\n"))
    }
}

fn describe(section: &Section, language: Language) -> String {
    match section {
        Section::Withheld(withheld) => match withheld.reason {
            Withholding::ByPerson => TAKEN_OUT.text(language).to_owned(),
            Withholding::RedactionFailed => NOT_REDACTED.text(language).to_owned(),
        },
        section => bytes_for_people(section.encoded_bytes() as u64),
    }
}

const VERIFIED: Phrase = Phrase {
    en: "{desk} asks for help with this machine (verified: {domain})",
    zh: "{desk} 请求协助本机（已验证：{domain}）",
};
const UNVERIFIED: Phrase = Phrase {
    en: "UNVERIFIED DESK: it calls itself {desk}, and nobody vouches for that.\nKey words: {words}",
    zh: "未验证的服务台：自称 {desk}，但无人可以证实。\n密钥词组：{words}",
};
const TECHNICIAN: Phrase = Phrase { en: "Technician: ", zh: "技术人员：" };
const TICKET: Phrase = Phrase { en: "Ticket: ", zh: "工单：" };
const COMPARE: Phrase = Phrase {
    en: "Compare these words with the technician on the phone: ",
    zh: "请在电话中与技术人员核对这组词：",
};
const WANTS: Phrase = Phrase { en: "They ask to:", zh: "对方请求：" };
const FOR_MINUTES: Phrase = Phrase { en: "for {minutes} minutes", zh: "{minutes} 分钟内有效" };
const SENT: Phrase = Phrase { en: "This would be sent ({size}):", zh: "将要发送的内容（{size}）：" };
const REPLACED: Phrase = Phrase { en: "Replaced before sending:", zh: "发送前已替换：" };
const COUNTED: Phrase = Phrase {
    en: "{kind}: {distinct} different, {times} in all",
    zh: "{kind}：不同的 {distinct} 个，共 {times} 处",
};
const SECTION: Phrase = Phrase { en: "{name} ({size}): {contents}", zh: "{name}（{size}）：{contents}" };
const TAKEN_OUT: Phrase = Phrase { en: "taken out by you", zh: "已被您移除" };
const NOT_REDACTED: Phrase = Phrase {
    en: "held back: private names could not be removed safely",
    zh: "未发送：无法安全去除个人信息",
};
const AS_SENT: Phrase = Phrase { en: "The same, as it is sent", zh: "同样内容的发送形式" };
