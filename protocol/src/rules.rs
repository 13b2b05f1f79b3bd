//! The rules that turn facts into findings: data, evaluated in three values.
//!
//! A rule looks at the machine as a whole or at each item of a list (`each`), asks whether it applies (`when`), whether
//! the facts it needs are known (`needs`), and then whether to raise, worst level first. The outcome is a finding, no
//! finding, or a finding of severity `unknown` with the reason. A needed fact that is *not applicable* gives no finding,
//! because the question does not arise; a *withheld* one gives none either, because the report itself says what was
//! withheld. Whatever goes wrong while a condition is evaluated is `unknown` too, never a panic and never "fine".
//!
//! A rule with a `hold` speaks only after its condition has held over some surveys or some time, and one with a `clear`
//! condition keeps its finding until that is met: both look at [`Standing`], which each judgement brings up to date.
//!
//! The same facts give the same findings in the same order: worst first, then by rule, then by subject.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::bounded::{BoundedVec, Name, Text};
use crate::finding::{Bilingual, Evidence, Finding, Findings, Fingerprint, Severity};
use crate::lang::{Language, Phrase};
use crate::report::{Report, Why, WhyKind};

mod catalogue;
mod expr;
mod facts;
mod fixes;
mod pack;
mod sheet;
mod signed;
mod standing;

pub use expr::{EXPRESSION_MAX_BYTES, ExpressionError};
pub use facts::Facts;
pub use fixes::{FIXES, fix_phrase};
pub use pack::{Docs, Mistake, PACK_MAX_BYTES, Pack, PackError, Rule, Wrong};
pub use sheet::RuleSheet;
pub use signed::{PackRefusal, Verify, accept, check_offer, reopen};
pub use standing::{Hold, Kept, Standing};

use expr::Scope;
use facts::Tree;

/// The base pack: one pack in a file for each subject.
const BASE_TEXT: &str = concat!(
    include_str!("rules/base/pack.toml"),
    include_str!("rules/base/docs.toml"),
    include_str!("rules/base/system.toml"),
    include_str!("rules/base/disk.toml"),
    include_str!("rules/base/memory.toml"),
    include_str!("rules/base/drivers.toml"),
    include_str!("rules/base/network.toml"),
);

/// What a pack makes of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The findings.
    pub findings: Findings,
    /// How findings stand from now on; the next survey of the same machine is judged with it.
    pub standing: Standing,
}

impl Pack {
    /// The pack that comes with this program. Its test rows are only counted here: they are run when it is built.
    pub fn base() -> &'static Self {
        static BASE: OnceLock<Pack> = OnceLock::new();
        BASE.get_or_init(|| Self::parse_without_rows(BASE_TEXT).expect("a test parses the base pack"))
    }

    /// The file of the pack that comes with this program.
    pub const fn base_text() -> &'static str {
        BASE_TEXT
    }

    /// Applies every rule to the facts of `report`; its findings, if it has any, are not looked at.
    pub fn judge(&self, report: &Report, standing: &Standing) -> Judgement {
        let facts = Facts::of(report);
        self.judge_facts(&Case { facts: &facts, standing, now_unix_ms: report.header.taken_at_unix_ms })
    }

    fn judge_facts(&self, case: &Case<'_>) -> Judgement {
        let scope = case.facts.scope();
        let (mut raised, mut unknown) = (Raised::new(), BTreeSet::new());
        let mut found: BTreeMap<Fingerprint, Finding> = BTreeMap::new();
        let (mut fine, mut waiting) = (BTreeSet::new(), BTreeSet::new());
        for rule in self.rules() {
            let Some(silenced) = self.silenced(rule, &raised) else { continue };
            for outcome in rule.judge(case, &scope) {
                if outcome.fingerprint().is_some_and(|fingerprint| silenced.contains(fingerprint)) {
                    continue;
                }
                let finding = match outcome {
                    Outcome::Silent => continue,
                    Outcome::Fine(fingerprint) => {
                        fine.insert(fingerprint);
                        continue;
                    }
                    Outcome::Waits(fingerprint) => {
                        waiting.insert(fingerprint);
                        continue;
                    }
                    Outcome::Found(finding) => *finding,
                };
                let is_unknown = finding.severity == Severity::Unknown;
                if is_unknown && rule.unknown_with.iter().any(|other| unknown.contains(other.as_str())) {
                    continue;
                }
                if is_unknown {
                    unknown.insert(rule.id.as_str());
                } else {
                    raised.entry(rule.id.as_str()).or_default().insert(finding.subject.to_string());
                }
                let worse = |known: &Finding| known.severity.rank() <= finding.severity.rank();
                if !found.get(&finding.fingerprint).is_some_and(worse) {
                    found.insert(finding.fingerprint, finding);
                }
            }
        }
        let again = |fingerprint| Kept::again(case.standing.get(fingerprint).copied(), case.now_unix_ms);
        let raised = found.values().filter(|finding| finding.severity != Severity::Unknown).map(|finding| {
            (finding.fingerprint, Kept { raised: Some(finding.severity), ..again(&finding.fingerprint) })
        });
        let mut standing: Standing =
            waiting.iter().map(|fingerprint| (*fingerprint, again(fingerprint))).chain(raised).collect();
        standing.carry_over(case.standing, |fingerprint| fine.contains(fingerprint), case.now_unix_ms);
        let count = |outcomes: &BTreeSet<Fingerprint>| u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
        let (ok, pending) = (count(&fine), count(&waiting));
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by(|a, b| (a.severity.rank(), &a.rule, &a.subject).cmp(&(b.severity.rank(), &b.rule, &b.subject)));
        let packs = BoundedVec::truncating([self.pack_id()]).0;
        Judgement { findings: Findings { packs, ok, pending, ..Findings::list(found) }, standing }
    }
}

impl Pack {
    /// What `rule` does not speak of because of what others have raised; `None` when it does not speak at all. A rule
    /// about items of the same list silences it about the same item, and any other silences it altogether: one full disk
    /// says nothing about the others, and no network says everything about names.
    fn silenced(&self, rule: &Rule, raised: &Raised<'_>) -> Option<BTreeSet<Fingerprint>> {
        let mut silenced = BTreeSet::new();
        for (other, subjects) in rule.silent_when.iter().filter_map(|id| raised.get_key_value(id.as_str())) {
            let list_of = |rule: &Rule| rule.each.as_ref().map(|each| each.list.clone());
            let other_list = self.rules().iter().find(|rule| rule.id.as_str() == *other).and_then(list_of);
            if other_list.is_none() || other_list != list_of(rule) {
                return None;
            }
            silenced.extend(subjects.iter().map(|subject| Fingerprint::derive(&rule.id, subject)));
        }
        Some(silenced)
    }
}

/// Rules that have raised something, each with what about.
type Raised<'a> = BTreeMap<&'a str, BTreeSet<String>>;

/// What rules look at.
struct Case<'a> {
    facts: &'a Facts,
    standing: &'a Standing,
    now_unix_ms: i64,
}

/// What a rule says about one subject.
enum Outcome {
    /// The question does not arise.
    Silent,
    /// Looked at and in order.
    Fine(Fingerprint),
    /// Not in order, but not for long enough.
    Waits(Fingerprint),
    /// A finding, which may be that the rule could not be applied.
    Found(Box<Finding>),
}

impl Outcome {
    fn fingerprint(&self) -> Option<&Fingerprint> {
        match self {
            Self::Silent => None,
            Self::Fine(fingerprint) | Self::Waits(fingerprint) => Some(fingerprint),
            Self::Found(finding) => Some(&finding.fingerprint),
        }
    }
}

impl Rule {
    /// What this rule alone says, dependencies on other rules left aside.
    fn judge(&self, case: &Case<'_>, scope: &Scope<'_>) -> Vec<Outcome> {
        let Some(each) = &self.each else {
            return vec![self.judge_item(case, None, scope)];
        };
        match case.facts.look_up(&each.list, None) {
            Ok(Tree::List(items)) => {
                let judge = |item| {
                    let scope = scope.with(&each.name, item);
                    self.judge_item(case, Some((each.name.as_str(), item)), &scope)
                };
                items.iter().map(judge).collect()
            }
            Ok(_) => vec![self.unknown(String::new(), malformed())],
            Err(why) => vec![self.unknown(String::new(), why)],
        }
    }

    fn judge_item(&self, case: &Case<'_>, item: Option<(&str, &Tree)>, scope: &Scope<'_>) -> Outcome {
        let facts = case.facts;
        let subject = match &self.subject {
            Some(path) => match facts.look_up(path, item) {
                Ok(tree) => tree.to_text(),
                Err(why) => return self.unknown(String::new(), why),
            },
            None => String::new(),
        };
        match self.when.as_ref().map_or(Ok(true), |when| when.holds(scope)) {
            Ok(true) => {}
            Ok(false) => return Outcome::Silent,
            Err(_) => return self.unknown(subject, self.missing(facts, item).unwrap_or_else(malformed)),
        }
        if let Some(why) = self.missing(facts, item) {
            return self.unknown(subject, why);
        }
        let fingerprint = Fingerprint::derive(&self.id, &subject);
        let earlier = case.standing.get(&fingerprint).copied();
        for (severity, raise) in &self.raise {
            match raise.holds(scope) {
                Ok(true) if !self.hold.is_met(&Kept::again(earlier, case.now_unix_ms)) => {
                    return Outcome::Waits(fingerprint);
                }
                Ok(true) => return self.raised(facts, item, scope, subject, *severity),
                Ok(false) => {}
                Err(_) => return self.unknown(subject, malformed()),
            }
        }
        let (Some(clear), Some(_)) = (&self.clear, earlier.and_then(|earlier| earlier.raised)) else {
            return Outcome::Fine(fingerprint);
        };
        match clear.holds(scope) {
            Ok(true) => Outcome::Fine(fingerprint),
            Ok(false) => {
                let (lowest, _) = self.raise.last().expect("a rule without a level is refused when the pack is read");
                self.raised(facts, item, scope, subject, *lowest)
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
    ) -> Outcome {
        let mut values = Values::about(&subject);
        let mut evidence = BoundedVec::new();
        for figure in &self.evidence {
            let value = figure.value.text(facts, item, scope);
            values.add(&figure.name, |language| figure.for_people(&value, language));
            // The pack reader refuses more figures than a finding holds.
            let _ = evidence.push(figure.observed(value, severity, &self.source));
        }
        let (title, remedy) = (values.fill(&self.title), values.fill(&self.remedy));
        Outcome::Found(Box::new(self.finding(subject, severity, title, remedy, evidence, None)))
    }

    fn finding(
        &self,
        subject: String,
        severity: Severity,
        title: Bilingual,
        remedy: Bilingual,
        evidence: BoundedVec<Evidence, 8>,
        why: Option<Why>,
    ) -> Finding {
        Finding {
            rule: self.id.clone(),
            fingerprint: Fingerprint::derive(&self.id, &subject),
            severity,
            confidence: self.confidence,
            title,
            remedy,
            // What could not be looked at cannot be mended.
            fixes: if why.is_some() { BoundedVec::new() } else { self.fixes.clone() },
            docs: self.docs.clone(),
            evidence,
            why,
            subject: Text::truncating(subject),
        }
    }

    /// Why the first needed fact that is unknown is unknown.
    fn missing(&self, facts: &Facts, item: Option<(&str, &Tree)>) -> Option<Why> {
        self.needs.iter().find_map(|path| facts.look_up(path, item).err())
    }

    /// The finding that says the rule could not be applied; none when the question does not arise or the report
    /// itself says what was withheld.
    fn unknown(&self, subject: String, why: Why) -> Outcome {
        if matches!(why.kind, WhyKind::NotApplicable | WhyKind::Withheld) {
            return Outcome::Silent;
        }
        let checks = Values::about(if subject.is_empty() { "-" } else { &subject }).fill(&self.checks);
        let (reason, lifted_by) = (why.kind.phrase(), why.lifted_by());
        let remedy = |language: Language| {
            let reason = reason.text(language);
            match &lifted_by {
                Some(lifted_by) => {
                    Text::truncating(LIFTED.fill(language, &[("why", reason), ("by", lifted_by.text(language))]))
                }
                None => Text::truncating(reason),
            }
        };
        let title = fill_phrase(&NOT_CHECKED, &[&checks.en, &checks.zh]);
        let remedy = Bilingual { en: remedy(Language::English), zh: remedy(Language::Chinese) };
        let finding = self.finding(subject, Severity::Unknown, title, remedy, BoundedVec::new(), Some(why));
        Outcome::Found(Box::new(finding))
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
