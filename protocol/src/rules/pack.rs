//! Rule packs: their file format, and what is checked before a rule is used.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::expr::{Expression, ExpressionError, Scope};
use super::facts::{Facts, Tree};
use super::is_plain;
use crate::bounded::{BoundedVec, Name, Text};
use crate::finding::{Bilingual, Evidence, PackId, Severity, bytes_for_people, word_for_people};
use crate::lang::Language;

/// Bytes of one pack's file.
pub const PACK_MAX_BYTES: usize = 256 * 1024;

/// Rules of one pack.
const PACK_MAX_RULES: usize = 512;

/// Why a pack is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file is larger than [`PACK_MAX_BYTES`].
    #[error("the rule pack is {0} bytes long and at most {PACK_MAX_BYTES} are allowed")]
    TooLarge(usize),
    /// The file is not TOML of the expected form.
    #[error("the rule pack cannot be read: {0}")]
    Unreadable(#[from] toml::de::Error),
    /// A rule cannot be used.
    #[error("rule {rule}: {mistake}")]
    Rule {
        /// The rule's id.
        rule: Name,
        /// What is wrong with it.
        mistake: String,
    },
}

/// Rules that were read and compiled together.
#[derive(Debug)]
pub struct Pack {
    id: PackId,
    /// In an order in which every rule stands after those that silence it or speak for it.
    rules: Vec<Rule>,
}

impl Pack {
    /// Reads and compiles a pack.
    pub fn parse(text: &str) -> Result<Self, PackError> {
        if text.len() > PACK_MAX_BYTES {
            return Err(PackError::TooLarge(text.len()));
        }
        let file: PackFile = toml::from_str(text)?;
        let mut rules = Vec::with_capacity(file.rule.len());
        for rule in file.rule {
            let id = rule.id.clone();
            rules.push(rule.compile().map_err(|mistake| PackError::Rule { rule: id, mistake })?);
        }
        Ok(Self { id: file.pack, rules: in_order_of_silence(rules)? })
    }

    /// The pack's name and version.
    pub fn pack_id(&self) -> PackId {
        self.id.clone()
    }

    /// The rules, each after those that silence it or speak for it.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Runs the test rows that stand in the pack beside its rules; the mistakes, one line each.
    pub fn run_tests(&self) -> Vec<String> {
        self.rules.iter().flat_map(Rule::run_tests).collect()
    }
}

/// One compiled rule.
#[derive(Debug)]
pub struct Rule {
    pub(super) id: Name,
    pub(super) each: Option<Each>,
    pub(super) subject: Option<String>,
    pub(super) when: Option<Expression>,
    pub(super) needs: Vec<String>,
    /// Worst level first.
    pub(super) raise: Vec<(Severity, Expression)>,
    pub(super) clear: Option<Expression>,
    pub(super) silent_when: Vec<Name>,
    /// Rules that need the same source: when it cannot be read, what they say about it is enough.
    pub(super) unknown_with: Vec<Name>,
    pub(super) checks: Bilingual,
    pub(super) title: Bilingual,
    pub(super) remedy: Bilingual,
    pub(super) source: Text<512>,
    pub(super) evidence: Vec<Figure>,
    tests: Vec<TestRow>,
}

impl Rule {
    /// The rule's name, unique in its pack.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the rule looks at, in words that follow "could not check".
    pub fn checks(&self) -> &Bilingual {
        &self.checks
    }

    /// Where the rule's thresholds come from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The rules whose outcome decides whether this one speaks.
    fn waits_for(&self) -> impl Iterator<Item = &Name> {
        self.silent_when.iter().chain(&self.unknown_with)
    }

    fn run_tests(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.tests.len() < 2 {
            mistakes.push(format!("{}: a rule needs at least two test rows", self.id));
        }
        for (number, row) in self.tests.iter().enumerate() {
            let facts = row.facts(self.each.as_ref());
            let found = self.judge(&facts, &facts.scope(), &super::Standing::new());
            let outcome = found.first().map_or(Expected::Silent, |finding| finding.severity.into());
            if outcome != row.expect {
                mistakes.push(format!("{}: row {}: expected {:?}, got {outcome:?}", self.id, number + 1, row.expect));
            }
            let unfilled =
                found.iter().find(|finding| finding.title.en.contains('{') || finding.remedy.en.contains('{'));
            if let Some(finding) = unfilled {
                mistakes.push(format!("{}: row {}: not filled in: {}", self.id, number + 1, finding.title.en));
            }
        }
        mistakes
    }
}

/// A list whose items a rule looks at one by one.
#[derive(Debug)]
pub(super) struct Each {
    pub(super) list: String,
    pub(super) name: String,
}

/// A figure that a finding stands on.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) name: Name,
    pub(super) value: FigureValue,
    label: Bilingual,
    unit: Text<32>,
    thresholds: BTreeMap<Level, Name>,
}

impl Figure {
    pub(super) fn observed(&self, value: String, severity: Severity, source: &Text<512>) -> Evidence {
        let threshold = self.thresholds.iter().find(|(level, _)| Severity::from(**level) == severity);
        Evidence {
            name: self.name.clone(),
            label: self.label.clone(),
            value: Name::truncating(value),
            unit: self.unit.clone(),
            threshold: threshold.map(|(_, text)| text.clone()),
            source: source.clone(),
        }
    }

    /// The value as a sentence shows it: bytes in the largest unit that leaves a figure before the point, words of the
    /// facts in words for people.
    pub(super) fn for_people(&self, value: &str, language: Language) -> String {
        match (self.unit.as_str(), value.parse::<u64>()) {
            ("bytes", Ok(bytes)) => bytes_for_people(bytes),
            ("", Err(_)) => word_for_people(value).map_or(value, |word| word.text(language)).to_owned(),
            _ => value.to_owned(),
        }
    }
}

/// A plain path, which needs no compiling, or an expression.
#[derive(Debug)]
pub(super) enum FigureValue {
    Path(String),
    Computed(Expression),
}

impl FigureValue {
    fn compile(source: String) -> Result<Self, ExpressionError> {
        let plain = source.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.');
        if plain { Ok(Self::Path(source)) } else { Expression::compile(&source).map(Self::Computed) }
    }

    /// The value as text; `?` when it cannot be had, which leaves the finding standing.
    pub(super) fn text(&self, facts: &Facts, item: Option<(&str, &Tree)>, scope: &Scope<'_>) -> String {
        let value = match self {
            Self::Path(path) => facts.look_up(path, item).ok().map(Tree::to_text),
            Self::Computed(expression) => expression.text(scope),
        };
        value.unwrap_or_else(|| "?".to_owned())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackFile {
    pack: PackId,
    rule: BoundedVec<RuleFile, PACK_MAX_RULES>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    id: Name,
    each: Option<String>,
    #[serde(rename = "as")]
    item: Option<String>,
    subject: Option<String>,
    when: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
    raise: BTreeMap<Level, String>,
    clear: Option<String>,
    #[serde(default)]
    silent_when: Vec<Name>,
    #[serde(default)]
    unknown_with: Vec<Name>,
    checks: Bilingual,
    title: Bilingual,
    remedy: Bilingual,
    source: Text<512>,
    #[serde(default)]
    evidence: BoundedVec<FigureFile, 8>,
    #[serde(default, rename = "test")]
    tests: Vec<TestRow>,
}

impl RuleFile {
    fn compile(self) -> Result<Rule, String> {
        let compile = |source: &str| Expression::compile(source).map_err(|e| e.to_string());
        if !is_plain(&self.id) {
            return Err("the id may hold lower-case letters, digits, - and _ only".to_owned());
        }
        if self.raise.is_empty() {
            return Err("it raises nothing".to_owned());
        }
        let each = match (self.each, self.item) {
            (Some(list), Some(name)) => Some(Each { list, name }),
            (None, None) => None,
            _ => return Err("`each` and `as` belong together".to_owned()),
        };
        let mut raise = Vec::new();
        for (level, source) in self.raise {
            raise.push((level.into(), compile(&source)?));
        }
        let mut evidence = Vec::new();
        for figure in self.evidence {
            let value = FigureValue::compile(figure.value).map_err(|e| e.to_string())?;
            let (name, label, unit) = (figure.name, figure.label, figure.unit);
            evidence.push(Figure { name, value, label, unit, thresholds: figure.threshold });
        }
        Ok(Rule {
            id: self.id,
            each,
            subject: self.subject,
            when: self.when.as_deref().map(compile).transpose()?,
            needs: self.needs,
            raise,
            clear: self.clear.as_deref().map(compile).transpose()?,
            silent_when: self.silent_when,
            unknown_with: self.unknown_with,
            checks: self.checks,
            title: self.title,
            remedy: self.remedy,
            source: self.source,
            evidence,
            tests: self.tests,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FigureFile {
    name: Name,
    label: Bilingual,
    value: String,
    #[serde(default)]
    unit: Text<32>,
    #[serde(default)]
    threshold: BTreeMap<Level, Name>,
}

/// A level at which a rule can raise, worst first.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum Level {
    Crit,
    Warn,
    Info,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Crit => Self::Crit,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
        }
    }
}

/// Facts and the outcome that the rule must have on them.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct TestRow {
    facts: BTreeMap<String, toml::Value>,
    expect: Expected,
}

impl TestRow {
    /// The row's facts; the item of a rule that looks at each is written under the item's name.
    fn facts(&self, each: Option<&Each>) -> Facts {
        let mut fields: BTreeMap<_, _> =
            self.facts.iter().map(|(name, value)| (name.clone(), tree_of_toml(value))).collect();
        if let Some(each) = each
            && let Some(item) = fields.remove(&each.name)
        {
            let list = each
                .list
                .rsplit('.')
                .fold(Tree::List(vec![item]), |tree, step| Tree::Fields(BTreeMap::from([(step.to_owned(), tree)])));
            if let Tree::Fields(list) = list {
                fields.extend(list);
            }
        }
        Facts::from_tree(fields)
    }
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Expected {
    Silent,
    Info,
    Warn,
    Crit,
    Unknown,
}

impl From<Severity> for Expected {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Ok => Self::Silent,
            Severity::Info => Self::Info,
            Severity::Warn => Self::Warn,
            Severity::Crit => Self::Crit,
            Severity::Unknown => Self::Unknown,
        }
    }
}

fn tree_of_toml(value: &toml::Value) -> Tree {
    match value {
        toml::Value::String(text) => Tree::Text(text.clone()),
        toml::Value::Integer(number) => Tree::Integer(*number),
        toml::Value::Float(number) => Tree::Decimal(*number),
        toml::Value::Boolean(truth) => Tree::Truth(*truth),
        toml::Value::Datetime(_) => Tree::Nothing,
        toml::Value::Array(items) => Tree::List(items.iter().map(tree_of_toml).collect()),
        toml::Value::Table(fields) => {
            Tree::of_fields(fields.iter().map(|(name, field)| (name.clone(), tree_of_toml(field))))
        }
    }
}

/// Puts every rule after those that silence it or speak for it, and refuses ids that repeat, names of rules that do not
/// exist, and circles.
fn in_order_of_silence(rules: Vec<Rule>) -> Result<Vec<Rule>, PackError> {
    let refuse = |rule: &Rule, mistake: &str| PackError::Rule { rule: rule.id.clone(), mistake: mistake.to_owned() };
    let mut ids = BTreeSet::new();
    for rule in &rules {
        if !ids.insert(rule.id.clone()) {
            return Err(refuse(rule, "another rule has the same id"));
        }
    }
    if let Some(rule) = rules.iter().find(|rule| !rule.waits_for().all(|other| ids.contains(other))) {
        return Err(refuse(rule, "it names a rule in `silent_when` or `unknown_with` that does not exist"));
    }
    let (mut placed, mut ordered, mut waiting) = (BTreeSet::new(), Vec::with_capacity(rules.len()), rules);
    while !waiting.is_empty() {
        let (ready, blocked): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|rule| rule.waits_for().all(|other| placed.contains(other)));
        if ready.is_empty() {
            return Err(refuse(&blocked[0], "rules silence each other in a circle"));
        }
        placed.extend(ready.iter().map(|rule| rule.id.clone()));
        ordered.extend(ready);
        waiting = blocked;
    }
    Ok(ordered)
}
