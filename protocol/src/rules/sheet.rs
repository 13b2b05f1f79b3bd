//! A rule laid open for people and programs that want to know what it does.

use serde::Serialize;

use super::{Hold, Rule};
use crate::bounded::{BoundedVec, Name, Text};
use crate::finding::{Bilingual, Confidence, Severity};

/// Everything a rule says, conditions as they are written.
#[derive(Clone, Debug, Serialize)]
pub struct RuleSheet<'a> {
    /// The rule's name.
    pub id: &'a str,
    /// What it looks at.
    pub checks: &'a Bilingual,
    /// The list whose items it looks at one by one, with the name it gives to each.
    pub each: Option<(&'a str, &'a str)>,
    /// When the question arises.
    pub when: Option<&'a str>,
    /// The facts that must be known.
    pub needs: &'a [String],
    /// The levels, worst first, with their conditions.
    pub raise: Vec<(Severity, &'a str)>,
    /// When a finding that was raised goes; without, as soon as no level holds.
    pub clear: Option<&'a str>,
    /// How long a level must have held.
    pub hold: Hold,
    /// Rules whose finding makes this one needless.
    pub silent_when: &'a [Name],
    /// Rules that speak for this one when their common source cannot be read.
    pub unknown_with: &'a [Name],
    /// How sure it can be.
    pub confidence: Confidence,
    /// Where its thresholds come from.
    pub source: &'a str,
    /// What a finding says.
    pub title: &'a Bilingual,
    /// What to do about it.
    pub remedy: &'a Bilingual,
    /// Fixes that a technician may ask for.
    pub fixes: &'a BoundedVec<Name, 8>,
    /// A link or a section of the documentation.
    pub docs: &'a Text<256>,
    /// How many test rows it has.
    pub rows: usize,
}

impl Rule {
    /// The rule laid open.
    pub fn sheet(&self) -> RuleSheet<'_> {
        RuleSheet {
            id: &self.id,
            checks: &self.checks,
            each: self.each.as_ref().map(|each| (each.list.as_str(), each.name.as_str())),
            when: self.when.as_ref().map(|when| when.source()),
            needs: &self.needs,
            raise: self.raise.iter().map(|(severity, raise)| (*severity, raise.source())).collect(),
            clear: self.clear.as_ref().map(|clear| clear.source()),
            hold: self.hold,
            silent_when: &self.silent_when,
            unknown_with: &self.unknown_with,
            confidence: self.confidence,
            source: &self.source,
            title: &self.title,
            remedy: &self.remedy,
            fixes: &self.fixes,
            docs: &self.docs,
            rows: self.rows,
        }
    }
}
