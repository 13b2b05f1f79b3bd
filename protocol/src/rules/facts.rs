//! A report's facts as a tree that rules can walk, in which unknown is a value of its own.

use std::collections::BTreeMap;

use super::expr::{Scope, tree_of};
use crate::bounded::Text;
use crate::report::{Report, Section, SectionName, Why, WhyKind};

/// The facts of one report, by section.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts(BTreeMap<String, Tree>);

impl Facts {
    /// The facts of `report`. A section that it does not have is unknown because it was withheld.
    pub fn of(report: &Report) -> Self {
        let withheld = || Tree::Unknown(Why::new(WhyKind::Withheld, "report"));
        let mut sections: BTreeMap<_, _> =
            SectionName::ALL.iter().map(|name| (name.as_str().to_owned(), withheld())).collect();
        sections.remove(SectionName::Findings.as_str());
        for section in &report.sections {
            let tree = match section {
                Section::System(system) => tree_of(system),
                Section::Disk(disk) => tree_of(disk),
                Section::Memory(memory) => tree_of(memory),
                Section::Drivers(drivers) => tree_of(drivers),
                Section::Network(network) => tree_of(network),
                Section::Findings(_) | Section::Withheld(_) => continue,
            };
            let malformed = || Tree::Unknown(Why::new(WhyKind::Malformed, "report"));
            sections.insert(section.name().as_str().to_owned(), tree.unwrap_or_else(malformed));
        }
        Self(sections)
    }

    #[cfg(test)]
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &Tree)> {
        self.0.iter().map(|(name, tree)| (name.as_str(), tree))
    }

    pub(crate) fn from_tree(fields: BTreeMap<String, Tree>) -> Self {
        Self(fields)
    }

    /// Follows a path such as `memory.ram.available_percent`, whose first step may name the item at hand. An unknown on
    /// the way is the answer's reason; a step that does not exist is a rule's or a reporter's mistake.
    pub(crate) fn look_up<'a>(&'a self, path: &str, item: Option<(&str, &'a Tree)>) -> Result<&'a Tree, Why> {
        let missing = || Why::new(WhyKind::Malformed, "rule");
        let mut steps = path.split('.');
        let first = steps.next().ok_or_else(missing)?;
        let mut at = match item {
            Some((name, tree)) if name == first => tree,
            _ => self.0.get(first).ok_or_else(missing)?,
        };
        loop {
            if let Tree::Unknown(why) = at {
                return Err(why.clone());
            }
            let Some(step) = steps.next() else { return Ok(at) };
            at = match at {
                Tree::Fields(fields) => fields.get(step).ok_or_else(missing)?,
                _ => return Err(missing()),
            };
        }
    }

    /// What a condition can see: every section that is known.
    pub(crate) fn scope(&self) -> Scope<'static> {
        Scope::new(self.0.iter().filter_map(|(name, tree)| Some((name.clone(), tree.value()?))))
    }
}

/// A fact or a group of facts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    /// A fact that could not be had.
    Unknown(Why),
    /// An absent optional value.
    Nothing,
    Integer(i64),
    Decimal(f64),
    Truth(bool),
    Text(String),
    List(Vec<Tree>),
    Fields(BTreeMap<String, Tree>),
}

impl Tree {
    /// A group of fields; the two shapes of a serialized [`crate::report::Fact`] become the fact itself.
    pub(crate) fn of_fields(fields: impl IntoIterator<Item = (String, Tree)>) -> Self {
        let mut fields: BTreeMap<String, Self> = fields.into_iter().collect();
        if fields.len() == 1 {
            if let Some(known) = fields.remove("known") {
                return known;
            }
            if let Some(Self::Fields(why)) = fields.get("unknown") {
                return Self::Unknown(why_of(why));
            }
        }
        Self::Fields(fields)
    }

    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Unknown(_) | Self::Nothing | Self::Fields(_) => String::new(),
            Self::Integer(number) => number.to_string(),
            Self::Decimal(number) => format!("{number:.1}"),
            Self::Truth(truth) => truth.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(items) => items.iter().map(Self::to_text).collect::<Vec<_>>().join(", "),
        }
    }
}

fn why_of(fields: &BTreeMap<String, Tree>) -> Why {
    let text = |name: &str| fields.get(name).map(Tree::to_text).unwrap_or_default();
    let kind = text("kind");
    let os_error = match fields.get("os_error") {
        Some(Tree::Integer(number)) => i32::try_from(*number).ok(),
        _ => None,
    };
    Why {
        kind: WhyKind::ALL.into_iter().find(|known| known.as_str() == kind).unwrap_or(WhyKind::Malformed),
        source: Text::truncating(text("source")),
        os_error,
    }
}
