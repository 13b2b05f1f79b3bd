//! What `survey` shows: what is wrong, what to do, what was looked at, what could not be looked at.

use std::collections::BTreeMap;

use belay_protocol::finding::{Finding, Findings, Severity, bytes_for_people, word_for_people};
use belay_protocol::report::{Fact, Report, Section, SectionName, Why, WhyKind};
use belay_protocol::{Language, Phrase};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::terminal::{Screen, Style, plain};
use words::*;

mod disk;
mod drivers;
mod live;
mod memory;
mod network;
mod system;
mod words;

/// The whole page for the person at this machine.
pub fn survey(report: &Report, language: Language, screen: impl Into<Screen>) -> String {
    let mut page = Page::new(language, screen.into());
    page.facts(report);
    let facts = std::mem::take(&mut page.text);
    page.judgement(report);
    page.text.push_str(&facts);
    page.unseen();
    page.text
}

/// What moves at this moment, and the facts.
pub fn watched(report: &Report, language: Language, screen: impl Into<Screen>) -> String {
    let mut page = Page::new(language, screen.into());
    page.live(report);
    page.facts(report);
    page.unseen();
    page.text
}

/// The facts alone.
pub fn facts(report: &Report, language: Language, screen: impl Into<Screen>) -> String {
    let mut page = Page::new(language, screen.into());
    page.facts(report);
    page.unseen();
    page.text
}

struct Page {
    language: Language,
    screen: Screen,
    text: String,
    /// What could not be looked at, with the reason.
    unseen: Vec<(String, Why)>,
    /// The heading of the section at hand, until its first row needs it.
    heading: Option<&'static str>,
}

impl Page {
    fn new(language: Language, screen: Screen) -> Self {
        Self { language, screen, text: String::new(), unseen: Vec::new(), heading: None }
    }

    fn judgement(&mut self, report: &Report) {
        let Some(findings) = report.findings() else { return };
        let wrong: Vec<&Finding> = findings
            .found
            .iter()
            .filter(|finding| matches!(finding.severity, Severity::Crit | Severity::Warn | Severity::Info))
            .collect();
        match findings.count(Severity::Crit) + findings.count(Severity::Warn) {
            0 if self.unseen.is_empty() => self.heading(&NOTHING_WRONG, Style::Green, &[]),
            0 => self.heading(&NOTHING_WRONG_SEEN, Style::Green, &[]),
            1 => self.heading(&ONE_WRONG, Style::Bold, &[]),
            count => self.heading(&SOME_WRONG, Style::Bold, &[("count", &count.to_string())]),
        }
        let (notes, serious): (Vec<_>, Vec<_>) =
            wrong.iter().partition::<Vec<&Finding>, _>(|finding| finding.severity == Severity::Info);
        self.findings(&serious, findings);
        match findings.count(Severity::Info) {
            0 => {}
            1 => self.heading(&ONE_NOTE, Style::Bold, &[]),
            count => self.heading(&SOME_NOTES, Style::Bold, &[("count", &count.to_string())]),
        }
        self.findings(&notes, findings);
        let fine = FINE.fill(self.language, &[("count", &findings.ok.to_string())]);
        let more = if wrong.is_empty() {
            String::new()
        } else {
            format!("{}{}", SEMICOLON.text(self.language), MORE.text(self.language))
        };
        self.paragraph(0, Some(Style::Dim), &format!("{fine}{more}"));
    }

    /// Shows the first of those alike, and how many more there are.
    fn findings(&mut self, shown: &[&Finding], findings: &Findings) {
        for alike in shown.chunk_by(|one, next| one.rule == next.rule && one.severity == next.severity) {
            alike.iter().take(SHOWN_ALIKE).for_each(|finding| self.finding(finding));
            let listed = alike.len().saturating_sub(SHOWN_ALIKE);
            let more = listed + alike.first().map_or(0, |finding| findings.like(finding));
            if more > 0 {
                let more = MORE_ALIKE.fill(self.language, &[("count", &more.to_string())]);
                self.paragraph(INDENT, Some(Style::Dim), &more);
            }
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let style = match finding.severity {
            Severity::Crit => Style::Red,
            Severity::Warn => Style::Yellow,
            _ => Style::Blue,
        };
        let severity = finding.severity.phrase().text(self.language);
        let title = plain(finding.title.text(self.language));
        let mark = format!("[{severity}]");
        let rule = IN_BRACKETS.fill(self.language, &[("text", &plain(&finding.rule))]);
        let colour = self.screen.colour;
        let lines = wrap(&format!("{mark} {title}"), self.screen.columns - INDENT);
        let has_room = lines.last().is_some_and(|last| last.width() + rule.width() + INDENT <= self.screen.columns);
        let mut titles: Vec<String> = lines.iter().map(|line| colour.paint(Style::Bold, line)).collect();
        if let (Some(first), Some(words)) =
            (titles.first_mut(), lines.first().and_then(|line| line.strip_prefix(&*mark)))
        {
            *first = format!("{}{}", colour.paint(style, &mark), colour.paint(Style::Bold, words));
        }
        let rule = colour.paint(Style::Dim, rule.trim_start());
        match titles.last_mut() {
            Some(last) if has_room => *last = format!("{last} {rule}"),
            _ => titles.push(rule),
        }
        for (number, title) in titles.iter().enumerate() {
            let indent = if number == 0 { 2 } else { INDENT };
            self.line(&format!("{:indent$}{title}", ""));
        }
        let remedy = plain(finding.remedy.text(self.language));
        self.paragraph(INDENT, None, &remedy);
        let figures: Vec<String> = finding
            .evidence
            .iter()
            .map(|evidence| {
                let label = evidence.label.text(self.language);
                let value = match (evidence.unit.as_str(), evidence.value.parse::<u64>()) {
                    ("bytes", Ok(bytes)) => bytes_for_people(bytes),
                    ("us", Ok(micros)) => micros_for_people(micros),
                    ("", _) => match word_for_people(&evidence.value) {
                        Some(word) => word.text(self.language).to_owned(),
                        None => evidence.value.to_string(),
                    },
                    (unit, _) => format!("{} {unit}", evidence.value),
                };
                format!("{label}{}{value}", COLON.text(self.language))
            })
            .collect();
        if !figures.is_empty() {
            self.paragraph(INDENT, Some(Style::Dim), &plain(&figures.join(" · ")));
        }
    }

    fn facts(&mut self, report: &Report) {
        for section in &report.sections {
            match section {
                Section::System(system) => self.system(system),
                Section::Disk(disk) => self.disk(disk),
                Section::Memory(memory) => self.memory(memory),
                Section::Drivers(drivers) => self.drivers(drivers),
                Section::Network(network) => self.network(network),
                Section::Withheld(withheld) => {
                    let section = withheld.section.phrase().text(self.language);
                    self.unseen.push((section.to_owned(), Why::new(WhyKind::Withheld, "report")));
                }
                Section::Findings(_) => {}
            }
        }
    }

    /// What could not be looked at, one line for each reason and what would lift it.
    fn unseen(&mut self) {
        if self.unseen.is_empty() {
            return;
        }
        self.line("");
        self.heading(&UNSEEN, Style::Bold, &[]);
        let unseen = std::mem::take(&mut self.unseen);
        let mut by_reason: BTreeMap<(WhyKind, Option<&str>), Vec<&str>> = BTreeMap::new();
        for (subject, why) in &unseen {
            let lifted_by = why.lifted_by().map(|lifted_by| lifted_by.text(self.language));
            by_reason.entry((why.kind, lifted_by)).or_default().push(subject);
        }
        for ((kind, lifted_by), subjects) in by_reason {
            let mut reason = kind.phrase().text(self.language).to_owned();
            if let Some(lifted_by) = lifted_by {
                reason += SEMICOLON.text(self.language);
                reason += lifted_by;
            }
            let reason = IN_BRACKETS.fill(self.language, &[("text", &reason)]);
            let line = format!("{}{reason}", plain(&subjects.join(COMMA.text(self.language))));
            for (number, line) in wrap(&line, self.screen.columns - 4).into_iter().enumerate() {
                self.line(&format!("  {} {line}", if number == 0 { "-" } else { " " }));
            }
        }
    }

    fn section(&mut self, name: SectionName) {
        self.heading = Some(name.phrase().text(self.language));
    }

    fn heading(&mut self, phrase: &Phrase, style: Style, values: &[(&str, &str)]) {
        self.line(&self.screen.colour.paint(style, phrase.fill(self.language, values)));
    }

    /// A known fact as a row; an unknown one is kept for the end of the page, unless the question does not arise.
    fn fact<T>(&mut self, label: &Phrase, fact: &Fact<T>, show: impl FnOnce(&T) -> String) {
        let label = label.text(self.language);
        match fact {
            Fact::Known(value) => self.row(label, &show(value)),
            Fact::Unknown(why) if why.kind == WhyKind::NotApplicable => {}
            Fact::Unknown(why) => self.unseen.push((label.to_owned(), why.clone())),
        }
    }

    fn row(&mut self, label: &str, value: &str) {
        if let Some(heading) = self.heading.take() {
            self.line("");
            self.line(&self.screen.colour.paint(Style::Bold, heading));
        }
        let (label, value) = (plain(label), plain(value));
        let columns = self.screen.columns;
        let padding = LABEL_COLUMNS.saturating_sub(label.width()).max(2);
        let before = 2 + label.width() + padding;
        let label = self.screen.colour.paint(Style::Dim, label);
        if before + value.width().min(VALUE_COLUMNS_MIN) > columns {
            self.line(&format!("  {label}"));
            return self.paragraph(INDENT, None, &value);
        }
        let mut lines = wrap(&value, columns - before).into_iter();
        let first = lines.next().unwrap_or_default();
        self.line(&format!("  {label}{:padding$}{first}", ""));
        for line in lines {
            self.line(&format!("{:before$}{line}", ""));
        }
    }

    /// Text broken into lines.
    fn paragraph(&mut self, indent: usize, style: Option<Style>, text: &str) {
        for line in wrap(text, self.screen.columns - indent) {
            let line = style.map_or_else(|| line.clone(), |style| self.screen.colour.paint(style, &line));
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// Findings of one rule that are shown in full.
const SHOWN_ALIKE: usize = 4;

/// Columns of labels, of the narrowest value beside one, and before what stands under something.
const LABEL_COLUMNS: usize = 26;
const VALUE_COLUMNS_MIN: usize = 30;
const INDENT: usize = 4;

/// Breaks a text into lines of at most `columns`: between words, and after any wide character, because Chinese has no
/// blanks to break at.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut line, mut word) = (Vec::new(), String::new(), String::new());
    for c in text.chars().chain([' ']) {
        let wide = c.width().unwrap_or(0) > 1;
        if !wide && c != ' ' {
            word.push(c);
            continue;
        }
        if wide {
            word.push(c);
        }
        // Punctuation that closes may stand past the edge rather than at the start of a line.
        let closing = matches!(c, '，' | '。' | '；' | '、' | '）' | '：');
        if !line.is_empty() && !closing && line.width() + word.width() > columns {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        line.push_str(&word);
        word.clear();
        if !wide {
            line.push(' ');
        }
    }
    if !line.trim().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Words one after the other, or that there is none.
fn listed(words: impl Iterator<Item = String>, language: Language) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { NONE.text(language).to_owned() } else { words.join(COMMA.text(language)) }
}

fn micros_for_people(micros: u64) -> String {
    match micros {
        0..1_000 => "< 1 ms".to_owned(),
        1_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use belay_protocol::BoundedVec;
    use belay_protocol::finding::Alike;

    use super::*;
    use crate::redact::{redact, tests::survey as sample};
    use crate::survey::{Look, look};
    use crate::terminal::Colour;

    #[tokio::test]
    async fn the_page_says_what_is_wrong_what_to_do_and_what_was_not_seen() {
        let redacted = redact(sample().await, Default::default()).unwrap();
        let report = redacted.seen_here().unwrap();
        let page = survey(&report, Language::English, Colour::None);
        // A sentence may be broken anywhere.
        let flowing = page.split_whitespace().collect::<Vec<_>>().join(" ");
        for shown in [
            "things need attention:",
            "[critical] / can no longer be written to",
            "Back up now",
            "[critical] Only 2.0 % of the memory is left",
            "/home/alice/nas",
            "STOPPED WRITING",
            "Could not look at",
            "there is no source for it",
        ] {
            assert!(flowing.contains(shown), "{shown} is missing in\n{page}");
        }
        assert!(!page.contains('\u{1b}') && page.lines().all(|line| line.width() <= 120), "{page}");
        let page = survey(&report, Language::Chinese, Colour::Ansi);
        assert!(page.contains("已不可写入") && page.contains("未能查看") && page.contains("\u{1b}[1;31m"), "{page}");
    }

    #[tokio::test]
    async fn what_a_captured_tree_does_not_hold_is_not_said_of_the_machine_that_reads_it() {
        let (dir, _root) = crate::probe::tests::tree(&[("proc/none", "")]);
        let options = Look { root: Some(dir.path().to_owned()), ..Look::default() };
        let redacted = redact(look(&options, |_| ()).await.unwrap(), Default::default()).unwrap();
        let report = redacted.seen_here().unwrap();
        let reasons: Vec<_> = report.findings().unwrap().found.iter().map(|finding| &finding.remedy).collect();
        assert!(!reasons.is_empty());
        for (language, here, reason) in [
            (Language::English, "this machine", "there is no source for it"),
            (Language::Chinese, "本机", "没有此项信息的来源"),
        ] {
            let page = survey(&report, language, Colour::None).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(page.contains(reason) && !page.contains(here), "{page}");
            assert!(reasons.iter().all(|reason| !reason.text(language).contains(here)), "{reasons:?}");
        }
    }

    #[tokio::test]
    async fn the_page_fits_the_screen_and_says_the_same_on_each() {
        let redacted = redact(sample().await, Default::default()).unwrap();
        let report = redacted.seen_here().unwrap();
        let page = |language, columns| {
            let page = survey(&report, language, Screen { colour: Colour::None, columns });
            let longest = |line: &str| line.split_whitespace().map(|word| word.width()).max().unwrap_or_default();
            for line in page.lines() {
                // What has no place to break at may stand out, and so may a mark of punctuation.
                assert!(line.width() <= columns + 2 || longest(line) + INDENT + 2 > columns, "{columns}: {line}");
            }
            page.split_whitespace().collect::<String>()
        };
        for language in [Language::English, Language::Chinese] {
            let wide = page(language, Screen::COLUMNS_MAX);
            assert_eq!(page(language, 80), wide);
            assert_eq!(page(language, Screen::COLUMNS_MIN), wide);
        }
    }

    #[tokio::test]
    async fn of_many_things_alike_the_first_are_shown_and_the_rest_is_counted() {
        let report = redact(sample().await, Default::default()).unwrap().report().unwrap();
        let one = report.findings().unwrap().found[0].clone();
        let more = Alike { rule: one.rule.clone(), severity: one.severity, count: 90 };
        let found = BoundedVec::truncating(std::iter::repeat_n(one, 16)).0;
        let findings = Findings { found, more: BoundedVec::truncating([more]).0, ..Findings::default() };
        let report = Report { sections: BoundedVec::truncating([Section::Findings(findings)]).0, ..report };
        let page = survey(&report, Language::English, Colour::None);
        assert!(page.contains("106 things need attention") && page.contains("102 more like this"), "{page}");
        assert_eq!(page.matches("can no longer be written").count(), SHOWN_ALIKE);
    }

    #[test]
    fn lines_are_broken_between_words_and_wide_characters() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("请立即备份，并检查磁盘", 10), ["请立即备份，", "并检查磁盘"]);
        assert_eq!(wrap("", 8), Vec::<String>::new());
        assert_eq!(wrap("unbreakable-word", 4), ["unbreakable-word"]);
    }

    #[test]
    fn times_are_told_in_their_unit() {
        assert_eq!(micros_for_people(999), "< 1 ms");
        assert_eq!(micros_for_people(1_500), "1 ms");
        assert_eq!(micros_for_people(16_000_000), "16 s");
    }
}
