//! The question itself, on a terminal or on anything that reads and writes lines.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read, Write};

use belay_protocol::Phrase;
use belay_protocol::report::SectionName;

use super::sheet::Sheet;
use super::{Answer, Approved, Request};
use crate::redact::{RedactError, Redacted};
use crate::terminal::Colour;

/// Why no answer could be taken.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The sheet cannot be shown.
    #[error("the consent sheet cannot be shown")]
    Terminal(#[from] io::Error),
    /// The report cannot be made or read.
    #[error("the report cannot be prepared")]
    Report(#[from] RedactError),
}

impl From<belay_protocol::codec::DecodeError> for PromptError {
    fn from(error: belay_protocol::codec::DecodeError) -> Self {
        Self::Report(error.into())
    }
}

/// How the sheet is shown first.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Whether the page may be coloured.
    pub colour: Colour,
    /// The time that grants are shown to end after.
    pub now_unix_ms: i64,
    /// Whether every value is shown without being asked for.
    pub show: bool,
    /// Sections that are taken out from the start.
    pub without: Vec<SectionName>,
}

/// The report without `sections`.
fn without(redacted: &Redacted, sections: &BTreeSet<SectionName>) -> Result<Redacted, RedactError> {
    let sections: Vec<_> = sections.iter().copied().collect();
    if sections.is_empty() { Ok(redacted.clone()) } else { redacted.without(&sections) }
}

/// Shows the sheet and asks until there is an answer: `y` agrees, `n` refuses, `s` shows everything, a section's number
/// takes it out or puts it back. The end of the input, or a terminal that is gone, is a refusal.
pub fn ask(
    redacted: &Redacted,
    request: &Request,
    manner: &Manner,
    answers: &mut impl BufRead,
    page: &mut impl Write,
) -> Result<Answer, PromptError> {
    let mut taken_out: BTreeSet<_> = manner.without.iter().copied().collect();
    let mut current = without(redacted, &taken_out)?;
    let mut fresh = true;
    if manner.show {
        page.write_all(Sheet::new(request, &current)?.render_everything(manner.colour).as_bytes())?;
    }
    loop {
        let sheet = Sheet::new(request, &current)?;
        if fresh {
            page.write_all(sheet.render(manner.colour, manner.now_unix_ms).as_bytes())?;
        }
        fresh = false;
        write!(page, "\n{} ", QUESTION.text(request.language))?;
        page.flush()?;
        let Some(answer) = read_line(answers) else { return Ok(Answer::Refused) };
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" | "是" => return agree(current, request),
            "n" | "no" | "否" => return Ok(Answer::Refused),
            "s" | "show" => page.write_all(sheet.render_everything(manner.colour).as_bytes())?,
            numbers => {
                let sections = sheet.sections();
                let chosen: Option<Vec<_>> = numbers
                    .split([' ', ','])
                    .filter(|number| !number.is_empty())
                    .map(|number| sections.get(number.parse::<usize>().ok()?.checked_sub(1)?).copied())
                    .collect();
                let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()) else {
                    writeln!(page, "{}", NOT_UNDERSTOOD.text(request.language))?;
                    continue;
                };
                for section in chosen {
                    if !taken_out.remove(&section) {
                        taken_out.insert(section);
                    }
                }
                current = without(redacted, &taken_out)?;
                fresh = true;
            }
        }
    }
}

/// Shows the sheet and agrees at once, for a person who said so on the command line.
pub fn agree_in_advance(
    redacted: &Redacted,
    request: &Request,
    manner: &Manner,
    page: &mut impl Write,
) -> Result<Answer, PromptError> {
    let current = without(redacted, &manner.without.iter().copied().collect())?;
    let sheet = Sheet::new(request, &current)?;
    if manner.show {
        page.write_all(sheet.render_everything(manner.colour).as_bytes())?;
    }
    let sheet = sheet.render(manner.colour, manner.now_unix_ms);
    writeln!(page, "{sheet}\n{}", AGREED_IN_ADVANCE.text(request.language))?;
    agree(current, request)
}

fn agree(redacted: Redacted, request: &Request) -> Result<Answer, PromptError> {
    Ok(Answer::Approved { report: Approved::new(redacted)?, grants: request.grants.clone() })
}

/// One line; nothing at the end of the input, or when it cannot be read. Of an endless line the start counts.
pub(crate) fn read_line(answers: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    match answers.take(ANSWER_MAX_BYTES).read_until(b'\n', &mut line) {
        Ok(1..) => Some(String::from_utf8_lossy(&line).into_owned()),
        Ok(0) | Err(_) => None,
    }
}

/// Nobody types more.
const ANSWER_MAX_BYTES: u64 = 1_024;

const QUESTION: Phrase = Phrase {
    en: "Send this and allow the above? y = yes, n = no, s = show everything, number = leave a section out:",
    zh: "发送以上内容并允许上述操作吗？y = 同意，n = 拒绝，s = 显示全部，数字 = 移除该部分：",
};
const NOT_UNDERSTOOD: Phrase = Phrase {
    en: "Please answer y, n, s or the number of a section.",
    zh: "请回答 y、n、s 或某一部分的数字。",
};
const AGREED_IN_ADVANCE: Phrase = Phrase { en: "Agreed in advance with --yes.", zh: "已通过 --yes 预先同意。" };

#[cfg(test)]
mod tests {
    use belay_protocol::Language;
    use belay_protocol::consent::{Capability, Grant};
    use belay_protocol::report::{Report, Section, SectionName};

    use super::*;
    use crate::consent::DeskStanding;
    use crate::redact::{redact, tests::survey};

    fn request(language: Language) -> Request {
        Request {
            desk: "Evil\u{1b}]0;x\u{7} Desk".to_owned(),
            standing: DeskStanding::Unverified { key_words: "abandon ability able".to_owned() },
            technician: Some("Mallory\u{1b}[2J".to_owned()),
            ticket: "#7 Printer".to_owned(),
            phrase: "zebra zero zone".to_owned(),
            grants: vec![Grant { capability: Capability::Survey, until_unix_ms: 3_600_000 }],
            language,
        }
    }

    async fn answer(typed: &str) -> (Answer, String, Redacted) {
        let redacted = redact(survey().await, Default::default()).unwrap();
        let mut page = Vec::new();
        let request = request(Language::English);
        let answer = ask(&redacted, &request, &Manner::default(), &mut typed.as_bytes(), &mut page).unwrap();
        (answer, String::from_utf8(page).unwrap(), redacted)
    }

    #[tokio::test]
    async fn yes_approves_exactly_the_bytes_that_were_shown() {
        let (given, page, redacted) = answer("y\n").await;
        let Answer::Approved { report, grants } = given else { panic!("refused") };
        assert_eq!((report.bytes(), report.sha256()), (redacted.bytes(), redacted.sha256()));
        assert_eq!((grants.len(), report.sections().len()), (1, 6));
        let hash: String = redacted.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
        for shown in ["UNVERIFIED DESK", "Evil Desk", "Mallory", "zebra zero zone", "60 minutes", &hash, "user names: "]
        {
            assert!(page.contains(shown), "{shown} is missing in\n{page}");
        }
        assert!(!page.contains('\u{1b}'));
    }

    #[tokio::test]
    async fn no_end_of_input_and_a_closed_terminal_are_refusals() {
        for typed in ["n\n", "", "what\n", "7\n9\n0\n"] {
            assert!(matches!(answer(typed).await.0, Answer::Refused), "{typed:?}");
        }
        struct Closed;
        impl Read for Closed {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let redacted = redact(survey().await, Default::default()).unwrap();
        let mut closed = io::BufReader::new(Closed);
        let given = ask(&redacted, &request(Language::English), &Manner::default(), &mut closed, &mut Vec::new());
        assert!(matches!(given.unwrap(), Answer::Refused));
    }

    #[tokio::test]
    async fn a_number_takes_a_section_out_of_the_bytes_and_puts_it_back() {
        let (given, page, redacted) = answer("2\ny\n").await;
        let Answer::Approved { report, .. } = given else { panic!("refused") };
        let sent = Report::decode(report.bytes()).unwrap();
        assert!(matches!(sent.sections[1], Section::Withheld(_)) && sent.sections[1].name() == SectionName::Disk);
        assert_ne!(report.sha256(), redacted.sha256());
        assert!(page.contains("taken out by you"));
        let (given, ..) = answer("2\n2\ny\n").await;
        let Answer::Approved { report: again, .. } = given else { panic!("refused") };
        assert_eq!(Report::decode(again.bytes()).unwrap().sections.len(), 6);
        assert!(!Report::decode(again.bytes()).unwrap().sections.iter().any(|s| matches!(s, Section::Withheld(_))));
    }

    #[tokio::test]
    async fn sections_can_be_taken_out_beforehand_and_put_back() {
        let redacted = redact(survey().await, Default::default()).unwrap();
        let manner = Manner { show: true, without: vec![SectionName::Disk], ..Manner::default() };
        for (typed, kept) in [("y\n", false), ("2\ny\n", true)] {
            let mut page = Vec::new();
            let given = ask(&redacted, &request(Language::English), &manner, &mut typed.as_bytes(), &mut page).unwrap();
            let Answer::Approved { report, .. } = given else { panic!("refused") };
            let sent = Report::decode(report.bytes()).unwrap();
            assert_eq!(!matches!(sent.sections[1], Section::Withheld(_)), kept);
            assert!(!String::from_utf8(page).unwrap().contains("mount_point"), "shown before it was put back");
        }
        let mut page = Vec::new();
        let given = agree_in_advance(&redacted, &request(Language::English), &manner, &mut page).unwrap();
        let Answer::Approved { report, .. } = given else { panic!("refused") };
        assert_eq!(report.bytes(), redacted.without(&[SectionName::Disk]).unwrap().bytes());
    }

    #[tokio::test]
    async fn everything_is_shown_in_the_form_in_which_it_is_sent() {
        let (_, page, _) = answer("s\nn\n").await;
        assert!(page.contains("\"mount_point\": \"/home/user-1/nas\""), "{page}");
        assert!(!page.contains("alice"));
    }

    #[tokio::test]
    async fn the_sheet_speaks_chinese() {
        let redacted = redact(survey().await, Default::default()).unwrap();
        let mut page = Vec::new();
        let answer = agree_in_advance(&redacted, &request(Language::Chinese), &Manner::default(), &mut page).unwrap();
        assert!(matches!(answer, Answer::Approved { .. }));
        let page = String::from_utf8(page).unwrap();
        for shown in ["未验证的服务台", "将要发送的内容", "磁盘", "已通过 --yes 预先同意"] {
            assert!(page.contains(shown), "{shown}");
        }
    }
}
