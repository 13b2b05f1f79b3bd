//! The rules that turn facts into findings: data, evaluated in three values.
//!
//! A rule looks at the machine as a whole or at each item of a list (`each`), asks whether it applies (`when`), whether
//! the facts it needs are known (`needs`), and then whether to raise, worst level first. The outcome is a finding, no
//! finding, or a finding of severity `unknown` with the reason. A needed fact that is *not applicable* gives no finding,
//! because the question does not arise; a *withheld* one gives none either, because the report itself says what was
//! withheld. Whatever goes wrong while a condition is evaluated is `unknown` too, never a panic and never "fine".
//!
//! The same facts give the same findings in the same order: worst first, then by rule, then by subject.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::bounded::{BoundedVec, Name, Text};
use crate::finding::{Bilingual, Finding, Findings, Fingerprint, Severity};
use crate::lang::{Language, Phrase};
use crate::report::{Report, Why, WhyKind};

mod expr;
mod facts;
mod pack;

pub use expr::{EXPRESSION_MAX_BYTES, ExpressionError};
pub use facts::Facts;
pub use pack::{PACK_MAX_BYTES, Pack, PackError, Rule};

use expr::Scope;
use facts::Tree;

/// Findings that an earlier evaluation raised: a rule with a `clear` condition keeps its finding until that is met.
pub type Standing = BTreeMap<Fingerprint, Severity>;

/// The base pack: one pack in a file for each subject.
const BASE_TEXT: &str = concat!(
    include_str!("rules/base/pack.toml"),
    include_str!("rules/base/system.toml"),
    include_str!("rules/base/disk.toml"),
    include_str!("rules/base/memory.toml"),
    include_str!("rules/base/drivers.toml"),
    include_str!("rules/base/network.toml"),
);

impl Pack {
    /// The pack that comes with this program.
    pub fn base() -> &'static Self {
        static BASE: OnceLock<Pack> = OnceLock::new();
        BASE.get_or_init(|| Self::parse(BASE_TEXT).expect("a test parses the base pack"))
    }

    /// Applies every rule to the facts of `report`; its findings, if it has any, are not looked at.
    pub fn judge(&self, report: &Report, standing: &Standing) -> Findings {
        self.judge_facts(&Facts::of(report), standing)
    }

    /// Applies every rule to `facts`.
    pub fn judge_facts(&self, facts: &Facts, standing: &Standing) -> Findings {
        let scope = facts.scope();
        let (mut raised, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        let mut found: BTreeMap<Fingerprint, Finding> = BTreeMap::new();
        for rule in self.rules() {
            if rule.silent_when.iter().any(|other| raised.contains(other.as_str())) {
                continue;
            }
            for finding in rule.judge(facts, &scope, standing) {
                let is_unknown = finding.severity == Severity::Unknown;
                if is_unknown && rule.unknown_with.iter().any(|other| unknown.contains(other.as_str())) {
                    continue;
                }
                let rules = if is_unknown { &mut unknown } else { &mut raised };
                rules.insert(rule.id.as_str());
                let worse = |known: &Finding| known.severity.rank() <= finding.severity.rank();
                if !found.get(&finding.fingerprint).is_some_and(worse) {
                    found.insert(finding.fingerprint, finding);
                }
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by(|a, b| (a.severity.rank(), &a.rule, &a.subject).cmp(&(b.severity.rank(), &b.rule, &b.subject)));
        Findings { packs: BoundedVec::truncating([self.pack_id()]).0, found: BoundedVec::truncating(found).0 }
    }
}

impl Rule {
    /// The findings of this rule alone, dependencies on other rules left aside.
    pub(crate) fn judge(&self, facts: &Facts, scope: &Scope<'_>, standing: &Standing) -> Vec<Finding> {
        let Some(each) = &self.each else {
            return self.judge_item(facts, None, scope, standing).into_iter().collect();
        };
        match facts.look_up(&each.list, None) {
            Ok(Tree::List(items)) => {
                let judge = |item| {
                    let scope = scope.with(&each.name, item);
                    self.judge_item(facts, Some((each.name.as_str(), item)), &scope, standing)
                };
                items.iter().filter_map(judge).collect()
            }
            Ok(_) => self.unknown(String::new(), malformed()).into_iter().collect(),
            Err(why) => self.unknown(String::new(), why).into_iter().collect(),
        }
    }

    fn judge_item(
        &self,
        facts: &Facts,
        item: Option<(&str, &Tree)>,
        scope: &Scope<'_>,
        standing: &Standing,
    ) -> Option<Finding> {
        let subject = match &self.subject {
            Some(path) => match facts.look_up(path, item) {
                Ok(tree) => tree.to_text(),
                Err(why) => return self.unknown(String::new(), why),
            },
            None => String::new(),
        };
        match self.when.as_ref().map_or(Ok(true), |when| when.holds(scope)) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => return self.unknown(subject, self.missing(facts, item).unwrap_or_else(malformed)),
        }
        if let Some(why) = self.missing(facts, item) {
            return self.unknown(subject, why);
        }
        for (severity, raise) in &self.raise {
            match raise.holds(scope) {
                Ok(true) => return Some(self.raised(facts, item, scope, subject, *severity)),
                Ok(false) => {}
                Err(_) => return self.unknown(subject, malformed()),
            }
        }
        let clear = self.clear.as_ref()?;
        standing.get(&Fingerprint::derive(&self.id, &subject)).filter(|severity| **severity != Severity::Unknown)?;
        match clear.holds(scope) {
            Ok(true) => None,
            Ok(false) => {
                let (lowest, _) = self.raise.last().expect("a rule without a level is refused when the pack is read");
                Some(self.raised(facts, item, scope, subject, *lowest))
            }
            Err(_) => self.unknown(subject, malformed()),
        }
    }

    fn raised(
        &self,
        facts: &Facts,
        item: Option<(&str, &Tree)>,
        scope: &Scope<'_>,
        subject: String,
        severity: Severity,
    ) -> Finding {
        let mut values = Values::about(&subject);
        let mut evidence = BoundedVec::new();
        for figure in &self.evidence {
            let value = figure.value.text(facts, item, scope);
            values.add(&figure.name, |language| figure.for_people(&value, language));
            // The pack reader refuses more figures than a finding holds.
            let _ = evidence.push(figure.observed(value, severity, &self.source));
        }
        Finding {
            rule: self.id.clone(),
            fingerprint: Fingerprint::derive(&self.id, &subject),
            severity,
            title: values.fill(&self.title),
            remedy: values.fill(&self.remedy),
            evidence,
            why: None,
            subject: Text::truncating(subject),
        }
    }

    /// Why the first needed fact that is unknown is unknown.
    fn missing(&self, facts: &Facts, item: Option<(&str, &Tree)>) -> Option<Why> {
        self.needs.iter().find_map(|path| facts.look_up(path, item).err())
    }

    /// The finding that says the rule could not be applied; none when the question does not arise or the report
    /// itself says what was withheld.
    fn unknown(&self, subject: String, why: Why) -> Option<Finding> {
        if matches!(why.kind, WhyKind::NotApplicable | WhyKind::Withheld) {
            return None;
        }
        let checks = Values::about(if subject.is_empty() { "-" } else { &subject }).fill(&self.checks);
        let (reason, lifted_by) = (why.kind.phrase(), why.kind.lifted_by());
        let remedy = |language: Language| {
            let reason = reason.text(language);
            match &lifted_by {
                Some(lifted_by) => {
                    Text::truncating(LIFTED.fill(language, &[("why", reason), ("by", lifted_by.text(language))]))
                }
                None => Text::truncating(reason),
            }
        };
        Some(Finding {
            rule: self.id.clone(),
            fingerprint: Fingerprint::derive(&self.id, &subject),
            severity: Severity::Unknown,
            title: fill_phrase(&NOT_CHECKED, &[&checks.en, &checks.zh]),
            remedy: Bilingual { en: remedy(Language::English), zh: remedy(Language::Chinese) },
            evidence: BoundedVec::new(),
            why: Some(why),
            subject: Text::truncating(subject),
        })
    }
}

const LIFTED: Phrase = Phrase { en: "{why}; {by}", zh: "{why}；{by}" };
const NOT_CHECKED: Phrase = Phrase { en: "Could not check {what}", zh: "无法检查{what}" };

fn fill_phrase(phrase: &Phrase, [en, zh]: &[&str; 2]) -> Bilingual {
    Bilingual {
        en: Text::truncating(crate::lang::fill(phrase.en, &[("what", en)])),
        zh: Text::truncating(crate::lang::fill(phrase.zh, &[("what", zh)])),
    }
}

/// Values for the names in a rule's sentences, in every language.
struct Values(Vec<(String, String, String)>);

impl Values {
    fn about(subject: &str) -> Self {
        Self(vec![("subject".to_owned(), subject.to_owned(), subject.to_owned())])
    }

    fn add(&mut self, name: &str, value: impl Fn(Language) -> String) {
        self.0.push((name.to_owned(), value(Language::English), value(Language::Chinese)));
    }

    fn fill(&self, template: &Bilingual) -> Bilingual {
        let en: Vec<_> = self.0.iter().map(|(name, en, _)| (name.as_str(), en.as_str())).collect();
        let zh: Vec<_> = self.0.iter().map(|(name, _, zh)| (name.as_str(), zh.as_str())).collect();
        Bilingual {
            en: Text::truncating(crate::lang::fill(&template.en, &en)),
            zh: Text::truncating(crate::lang::fill(&template.zh, &zh)),
        }
    }
}

fn malformed() -> Why {
    Why::new(WhyKind::Malformed, "rule")
}

/// A name that rules use for things: lower-case letters, digits, `-`, `_`.
fn is_plain(name: &Name) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests;
