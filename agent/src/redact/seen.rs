//! A report as the person at the machine sees it, in which the names are those that they know.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};
use belay_protocol::BoundedVec;
use belay_protocol::bounded::{Name, Text};
use belay_protocol::finding::{Bilingual, Evidence, Finding, Findings};
use belay_protocol::report::{Report, Section};
use serde_json::Value;

use super::Aliases;

/// `report` with its sections as they are in `own`, and its findings in their words. What was withheld stays withheld.
pub(super) fn unmasked(report: Report, own: &[Section], aliases: &Aliases) -> Report {
    let own_of = |masked: &Section| own.iter().find(|own| own.name() == masked.name());
    let mut fields = BTreeMap::new();
    let is_fact = |section: &&Section| !matches!(section, Section::Withheld(_) | Section::Findings(_));
    if report.findings().is_some_and(|findings| !findings.found.is_empty()) {
        for section in report.sections.iter().filter(is_fact) {
            let values = own_of(section).map(|own| (serde_json::to_value(section), serde_json::to_value(own)));
            if let Some((Ok(masked), Ok(own))) = values {
                compare(masked, own, &mut fields);
            }
        }
    }
    let words = Words::new(fields, aliases);
    let sections = report.sections.into_vec().into_iter().map(|section| match section {
        Section::Findings(findings) => Section::Findings(words.in_findings(findings)),
        section if is_fact(&&section) => own_of(&section).cloned().unwrap_or(section),
        section => section,
    });
    Report { sections: BoundedVec::truncating(sections).0, ..report }
}

/// Collects what stands in `own` where `masked`, which has the same form, has something else.
fn compare(masked: Value, own: Value, fields: &mut BTreeMap<String, String>) {
    match (masked, own) {
        (Value::String(masked), Value::String(own)) if masked != own => {
            fields.entry(masked).or_insert(own);
        }
        (Value::Array(masked), Value::Array(own)) => {
            masked.into_iter().zip(own).for_each(|(masked, own)| compare(masked, own, fields));
        }
        (Value::Object(masked), Value::Object(own)) => {
            masked.into_values().zip(own.into_values()).for_each(|(masked, own)| compare(masked, own, fields));
        }
        _ => {}
    }
}

/// Puts real names into sentences about masked facts.
struct Words<'a> {
    /// Finds the longest of the fields.
    finder: Option<AhoCorasick>,
    own: Vec<String>,
    /// For what a sentence shows of a field in part.
    aliases: &'a Aliases,
}

impl<'a> Words<'a> {
    fn new(fields: BTreeMap<String, String>, aliases: &'a Aliases) -> Self {
        let (masked, own): (Vec<_>, Vec<_>) = fields.into_iter().filter(|(masked, _)| !masked.is_empty()).unzip();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(masked).ok();
        Self { finder, own, aliases }
    }

    fn in_findings(&self, findings: Findings) -> Findings {
        let found = findings.found.into_vec().into_iter().map(|finding| self.in_finding(finding));
        Findings { found: BoundedVec::truncating(found).0, ..findings }
    }

    fn in_finding(&self, finding: Finding) -> Finding {
        let both = |said: &Bilingual| Bilingual {
            en: Text::truncating(self.in_text(&said.en)),
            zh: Text::truncating(self.in_text(&said.zh)),
        };
        let evidence = finding.evidence.into_vec().into_iter();
        let evidence = evidence.map(|one| Evidence { value: Name::truncating(self.in_text(&one.value)), ..one });
        Finding {
            subject: Text::truncating(self.in_text(&finding.subject)),
            title: both(&finding.title),
            remedy: both(&finding.remedy),
            evidence: BoundedVec::truncating(evidence).0,
            ..finding
        }
    }

    fn in_text(&self, text: &str) -> String {
        let (mut told, mut done) = (String::with_capacity(text.len()), 0);
        let is_part = |c: char| c.is_ascii_alphanumeric();
        for field in self.finder.iter().flat_map(|finder| finder.find_iter(text)) {
            let (before, behind) = (text.get(..field.start()), text.get(field.end()..));
            let own = self.own.get(field.pattern().as_usize());
            let (Some(before), Some(behind), Some(own)) = (before, behind, own) else { continue };
            if !before.ends_with(is_part) && !behind.starts_with(is_part) {
                told.push_str(&self.aliases.reveal(text.get(done..field.start()).unwrap_or_default()));
                told.push_str(own);
                done = field.end();
            }
        }
        told + &self.aliases.reveal(text.get(done..).unwrap_or_default())
    }
}
