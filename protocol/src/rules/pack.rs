//! Rule packs: their file format, and what is checked before a rule is used.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::catalogue::CATALOGUE;
use super::expr::{Expression, ExpressionError, Scope};
use super::facts::{Facts, Tree};
use super::{Case, Hold, Kept, Outcome, Standing, is_plain};
use crate::bounded::{BoundedVec, Name, Text};
use crate::finding::{
    Bilingual, Confidence, Evidence, Fingerprint, PackId, Severity, bytes_for_people, word_for_people,
};
use crate::lang::{Language, Phrase};

/// Bytes of one pack's file.
pub const PACK_MAX_BYTES: usize = crate::limits::RULE_PACK_MAX_BYTES;

/// Rules of one pack.
const PACK_MAX_RULES: usize = 512;

/// Sections of one pack's documentation.
const PACK_MAX_DOCS: usize = 128;

const NOT_WHOLE: &str = "a sentence is empty in English or in Chinese";
const NOT_PLAIN: &str = "the id may hold lower-case letters, digits, - and _ only";

/// Why a pack is refused as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.sentence(Language::English))]
pub enum PackError {
    /// The file is larger than [`PACK_MAX_BYTES`].
    TooLarge(usize),
    /// The file is not TOML of the expected form.
    Unreadable(#[from] toml::de::Error),
    /// The pack's name is not one.
    Name(Name),
    /// A section of the documentation cannot be used.
    Docs {
        /// The section's id.
        id: Name,
        /// What is wrong with it.
        mistake: &'static str,
    },
    /// A rule looks at a fact that no report of this version has.
    UnknownFact {
        /// The rule's id.
        rule: Name,
        /// Where in the file, from 1.
        line: usize,
        /// The path that leads to nothing.
        fact: String,
        /// The path that was most likely meant.
        nearest: String,
    },
    /// A rule cannot be used.
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
    docs: BTreeMap<Name, Docs>,
}

/// A section of a pack's documentation, which several rules can share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Docs {
    /// The name by which rules call it.
    pub id: Name,
    /// Its heading.
    pub title: Bilingual,
    /// What is behind the findings, how to see it for oneself, and what helps for good.
    pub text: Bilingual,
}

/// A test row whose outcome is another than it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The rule.
    pub rule: Name,
    /// The row's number, from 1; nothing when it is about the rule as a whole.
    pub row: Option<usize>,
    /// What is wrong, in English.
    #[serde(serialize_with = "in_english")]
    pub what: Wrong,
}

/// What is wrong with a rule's test rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// There are fewer than two.
    TooFew,
    /// One has another outcome.
    Outcome {
        /// What it says.
        expected: &'static str,
        /// What the rule says.
        got: &'static str,
    },
    /// A sentence names a figure that the rule does not have.
    NotFilledIn(String),
}

fn in_english<S: Serializer>(what: &Wrong, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&what.sentence(Language::English))
}

impl Wrong {
    /// What is wrong, as people read it.
    pub fn sentence(&self, language: Language) -> String {
        match self {
            Self::TooFew => TOO_FEW_ROWS.text(language).to_owned(),
            Self::Outcome { expected, got } => OTHER_OUTCOME.fill(language, &[("expected", expected), ("got", got)]),
            Self::NotFilledIn(sentence) => NOT_FILLED_IN.fill(language, &[("sentence", sentence)]),
        }
    }
}

impl Mistake {
    /// The whole mistake in one line.
    pub fn sentence(&self, language: Language) -> String {
        let (row, what) = (self.row.unwrap_or_default().to_string(), self.what.sentence(language));
        let phrase = if self.row.is_some() { IN_ROW } else { IN_RULE };
        phrase.fill(language, &[("rule", self.rule.as_str()), ("row", &row), ("what", &what)])
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(Language::English))
    }
}

const TOO_FEW_ROWS: Phrase =
    Phrase { en: "a rule needs at least two test rows", zh: "一条规则至少需要两行测试" };
const OTHER_OUTCOME: Phrase = Phrase { en: "expected {expected}, got {got}", zh: "应为 {expected}，实为 {got}" };
const NOT_FILLED_IN: Phrase = Phrase { en: "not filled in: {sentence}", zh: "未填入数值：{sentence}" };
const IN_ROW: Phrase = Phrase { en: "{rule}: row {row}: {what}", zh: "{rule}：第 {row} 行：{what}" };
const IN_RULE: Phrase = Phrase { en: "{rule}: {what}", zh: "{rule}：{what}" };

impl PackError {
    /// The reason in `language`; what a parser says of the file itself stays English.
    pub fn sentence(&self, language: Language) -> String {
        let limit = PACK_MAX_BYTES.to_string();
        let fill = |phrase: Phrase, values: &[(&str, &str)]| phrase.fill(language, values);
        match self {
            Self::TooLarge(bytes) => fill(PACK_TOO_LARGE, &[("bytes", &bytes.to_string()), ("limit", &limit)]),
            Self::Unreadable(error) => fill(PACK_UNREADABLE, &[("why", &error.to_string())]),
            Self::Name(id) => fill(PACK_NAME, &[("id", id.as_str())]),
            Self::Docs { id, mistake } => fill(PACK_DOCS, &[("id", id.as_str()), ("what", mistake)]),
            Self::UnknownFact { rule, line, fact, nearest } => {
                let line = line.to_string();
                let values = [("rule", rule.as_str()), ("line", &line), ("fact", fact), ("nearest", nearest)];
                fill(PACK_UNKNOWN_FACT, &values)
            }
            Self::Rule { rule, mistake } => fill(PACK_RULE, &[("rule", rule.as_str()), ("what", mistake)]),
        }
    }
}

const PACK_TOO_LARGE: Phrase = Phrase {
    en: "the rule pack is {bytes} bytes long and at most {limit} are allowed",
    zh: "规则包有 {bytes} 字节，最多允许 {limit} 字节",
};
const PACK_UNREADABLE: Phrase =
    Phrase { en: "the rule pack cannot be read: {why}", zh: "规则包无法读取：{why}" };
const PACK_NAME: Phrase = Phrase {
    en: "the pack's id {id} may hold lower-case letters, digits, - and _ only",
    zh: "规则包的 id {id} 只能包含小写字母、数字、- 和 _",
};
const PACK_DOCS: Phrase = Phrase { en: "docs {id}: {what}", zh: "文档 {id}：{what}" };
const PACK_UNKNOWN_FACT: Phrase = Phrase {
    en: "line {line}: rule {rule}: there is no fact {fact}; the nearest is {nearest}",
    zh: "第 {line} 行：规则 {rule}：没有事实 {fact}；最接近的是 {nearest}",
};
const PACK_RULE: Phrase = Phrase { en: "rule {rule}: {what}", zh: "规则 {rule}：{what}" };

impl Pack {
    /// Reads and compiles a pack. Each path in its rules leads to a fact that reports of this version have.
    pub fn parse(text: &str) -> Result<Self, PackError> {
        let pack = Self::parse_of_any_version(text)?;
        pack.rules.iter().try_for_each(|rule| rule.check_facts(text))?;
        Ok(pack)
    }

    /// As [`Pack::parse`], for a pack from a desk whose reports may have more facts than those of this version: a rule about
    /// one of them says that it could not look.
    pub(super) fn parse_of_any_version(text: &str) -> Result<Self, PackError> {
        Self::parse_with(text, Rows::Kept)
    }

    /// As [`Pack::parse`], for a pack whose test rows nobody will run: they take half of its memory.
    pub(super) fn parse_without_rows(text: &str) -> Result<Self, PackError> {
        Self::parse_with(text, Rows::Counted)
    }

    fn parse_with(text: &str, rows: Rows) -> Result<Self, PackError> {
        if text.len() > PACK_MAX_BYTES {
            return Err(PackError::TooLarge(text.len()));
        }
        let file = PackFile::read(text, rows)?;
        if !is_plain(&file.pack.id) {
            return Err(PackError::Name(file.pack.id));
        }
        let mut docs = BTreeMap::new();
        for section in file.docs {
            let id = section.id.clone();
            if !is_plain(&id) {
                return Err(PackError::Docs { id, mistake: NOT_PLAIN });
            }
            if !(section.title.is_whole() && section.text.is_whole()) {
                return Err(PackError::Docs { id, mistake: NOT_WHOLE });
            }
            if docs.insert(id.clone(), section).is_some() {
                return Err(PackError::Docs { id, mistake: "another section has the same id" });
            }
        }
        let mut rules = Vec::with_capacity(file.rule.len());
        for mut rule in file.rule {
            rule.count(rows);
            let id = rule.id.clone();
            rules.push(rule.compile(&docs).map_err(|mistake| PackError::Rule { rule: id, mistake })?);
        }
        Ok(Self { id: file.pack, rules: in_order_of_silence(rules)?, docs })
    }

    /// The pack's name and version.
    pub fn pack_id(&self) -> PackId {
        self.id.clone()
    }

    /// The rules, each after those that silence it or speak for it.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of that name.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id.as_str() == id)
    }

    /// The section of the documentation of that name.
    pub fn docs(&self, id: &str) -> Option<&Docs> {
        self.docs.iter().find(|(known, _)| known.as_str() == id).map(|(_, docs)| docs)
    }

    /// How many test rows stand in the pack.
    pub fn row_count(&self) -> usize {
        self.rules.iter().map(|rule| rule.rows).sum()
    }

    /// Runs the test rows that stand in the pack beside its rules.
    pub fn run_tests(&self) -> Vec<Mistake> {
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
    pub(super) hold: Hold,
    pub(super) confidence: Confidence,
    pub(super) fixes: BoundedVec<Name, 8>,
    pub(super) docs: Text<256>,
    pub(super) silent_when: Vec<Name>,
    /// Rules that need the same source: when it cannot be read, what they say about it is enough.
    pub(super) unknown_with: Vec<Name>,
    pub(super) checks: Bilingual,
    pub(super) title: Bilingual,
    pub(super) remedy: Bilingual,
    pub(super) source: Text<512>,
    pub(super) evidence: Vec<Figure>,
    pub(super) rows: usize,
    /// The test rows, unless they were only counted.
    pub(super) tests: Vec<TestRow>,
}

/// The line of `text`, from 1, in which the rule `id` first names `fact`; that of its id where none does.
fn line_of(text: &str, id: &str, fact: &str) -> usize {
    let is_id = |line: &str| {
        let value = line.trim().strip_prefix("id").and_then(|rest| rest.trim_start().strip_prefix('='));
        value.is_some_and(|value| value.trim().trim_matches(['"', '\'']) == id)
    };
    let begins = text.lines().position(is_id).unwrap_or_default();
    let names = text.lines().skip(begins).position(|line| line.contains(fact)).unwrap_or_default();
    begins + names + 1
}

/// What becomes of a pack's test rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Kept,
    Counted,
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

    /// The limit that the rule's figure of that name is compared with at a level, in the figure's own unit; nothing where
    /// the rule shows none.
    pub fn threshold(&self, figure: &str, level: Severity) -> Option<&str> {
        let figure = self.evidence.iter().find(|known| known.name.as_str() == figure)?;
        figure.threshold(level).map(Name::as_str)
    }

    /// Says whether the rule cannot judge a report without `section`, by its name.
    pub fn looks_at(&self, section: &str) -> bool {
        let lists = self.each.iter().map(|each| each.list.as_str());
        let paths = self.needs.iter().map(String::as_str).chain(lists);
        paths.filter_map(|path| path.split('.').next()).any(|first| first == section)
    }

    /// Refuses a path that leads to no fact; `text` is the pack's file.
    fn check_facts(&self, text: &str) -> Result<(), PackError> {
        let is_list = |each: &&Each| CATALOGUE.at(&each.list).is_some_and(|shape| shape.item().is_some());
        let list = self.each.iter().find(|each| !is_list(each)).map(|each| each.list.clone());
        let item = self.each.as_ref().and_then(|each| Some((each.name.as_str(), CATALOGUE.at(&each.list)?.item()?)));
        let leads_nowhere = |path: &str| match (path.split_once('.').unwrap_or((path, "")), item) {
            ((first, rest), Some((name, shape))) if first == name => !rest.is_empty() && shape.at(rest).is_none(),
            _ => CATALOGUE.at(path).is_none(),
        };
        let figures = self.evidence.iter().map(|figure| &figure.value);
        let figure_path = |value: &FigureValue| match value {
            FigureValue::Path(path) => Some(path.clone()).filter(|path| leads_nowhere(path)),
            FigureValue::Computed(expression) => expression.strange_path(&CATALOGUE, item),
        };
        let mut plain = self.subject.iter().chain(&self.needs).filter(|path| leads_nowhere(path)).cloned();
        let mut conditions = self.raise.iter().map(|(_, raise)| raise).chain(&self.when).chain(&self.clear);
        let strange = list
            .or_else(|| plain.next())
            .or_else(|| conditions.find_map(|condition| condition.strange_path(&CATALOGUE, item)))
            .or_else(|| figures.clone().find_map(figure_path));
        let Some(fact) = strange else { return Ok(()) };
        let nearest = match (fact.split_once('.'), item) {
            (Some((first, rest)), Some((name, shape))) if first == name => {
                shape.nearest(rest).map(|nearest| format!("{name}.{nearest}"))
            }
            _ => CATALOGUE.nearest(&fact),
        };
        let (line, rule) = (line_of(text, &self.id, &fact), self.id.clone());
        Err(PackError::UnknownFact { rule, line, fact, nearest: nearest.unwrap_or_default() })
    }

    /// The rules whose outcome decides whether this one speaks.
    fn waits_for(&self) -> impl Iterator<Item = &Name> {
        self.silent_when.iter().chain(&self.unknown_with)
    }

    /// What no test row of this rule shows: a level that it raises, or what it takes to be let go.
    #[cfg(test)]
    pub(super) fn untested(&self) -> Vec<String> {
        let is_shown = |severity: Severity, was_raised: bool| {
            let expected = Expected::of(severity);
            self.tests.iter().any(|row| row.expect == expected && (!was_raised || row.was_raised))
        };
        let levels = self.raise.iter().map(|(severity, _)| *severity);
        let mut untested: Vec<String> =
            levels.filter(|level| !is_shown(*level, false)).map(|level| format!("{}: {level:?}", self.id)).collect();
        let is_held = self.raise.iter().any(|(severity, _)| is_shown(*severity, true));
        let is_let_go = self.tests.iter().any(|row| row.was_raised && row.expect == Expected::Silent);
        if self.clear.is_some() && !(is_held && is_let_go) {
            untested.push(format!("{}: clear", self.id));
        }
        untested
    }

    fn run_tests(&self) -> Vec<Mistake> {
        let mistake = |row, what| Mistake { rule: self.id.clone(), row, what };
        let mut mistakes = Vec::new();
        if self.tests.len() < 2 {
            mistakes.push(mistake(None, Wrong::TooFew));
        }
        for (number, row) in self.tests.iter().enumerate() {
            let facts = row.facts(self.each.as_ref());
            let standing = row.standing(self, &facts);
            let case = Case { facts: &facts, standing: &standing, now_unix_ms: ROW_TIME_UNIX_MS };
            let outcome = self.judge(&case, &facts.scope()).into_iter().next().unwrap_or(Outcome::Silent);
            let got = Expected::from(&outcome);
            if got != row.expect {
                let outcome = Wrong::Outcome { expected: row.expect.as_str(), got: got.as_str() };
                mistakes.push(mistake(Some(number + 1), outcome));
            }
            if let Outcome::Found(finding) = outcome
                && let Some(sentence) = finding.sentences().into_iter().find(|sentence| sentence.contains('{'))
            {
                mistakes.push(mistake(Some(number + 1), Wrong::NotFilledIn(sentence.to_owned())));
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
        Evidence {
            name: self.name.clone(),
            label: self.label.clone(),
            value: Name::truncating(value),
            unit: self.unit.clone(),
            threshold: self.threshold(severity).cloned(),
            source: source.clone(),
        }
    }

    fn threshold(&self, severity: Severity) -> Option<&Name> {
        self.thresholds.iter().find(|(level, _)| Severity::from(**level) == severity).map(|(_, text)| text)
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
    #[serde(default)]
    docs: BoundedVec<Docs, PACK_MAX_DOCS>,
}

/// A piece of a pack's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    pack: Option<PackId>,
    #[serde(default)]
    rule: Vec<RuleFile>,
    #[serde(default)]
    docs: Vec<Docs>,
}

impl PackFile {
    /// Reads rule by rule, because a document that is read as a whole takes twenty times its size in memory. What cannot be
    /// read so is read as a whole, which also tells the right line of a mistake.
    fn read(text: &str, rows: Rows) -> Result<Self, toml::de::Error> {
        Self::read_in_pieces(text, rows).map_or_else(|| toml::from_str(text), Ok)
    }

    /// Nothing where a piece is no document, as when a text of several lines holds what looks like the beginning of a
    /// rule: the piece before it then ends inside the text.
    fn read_in_pieces(text: &str, rows: Rows) -> Option<Self> {
        let (mut pack, mut rule, mut docs) = (None, Vec::new(), Vec::new());
        for piece in pieces(text) {
            let mut piece: Piece = toml::from_str(piece).ok()?;
            piece.rule.iter_mut().for_each(|rule| rule.count(rows));
            pack = match (pack, piece.pack) {
                (Some(_), Some(_)) => return None,
                (known, new) => known.or(new),
            };
            rule.extend(piece.rule);
            docs.extend(piece.docs);
        }
        Some(Self { pack: pack?, rule: rule.try_into().ok()?, docs: docs.try_into().ok()? })
    }
}

/// `text` cut before each line that begins a rule or a section of the documentation.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let begins = |line: &str| matches!(line.trim_end(), "[[rule]]" | "[[docs]]");
        let mut end = 0;
        for line in rest.split_inclusive('\n') {
            if end > 0 && begins(line) {
                break;
            }
            end += line.len();
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
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
    hold: Hold,
    #[serde(default)]
    confidence: Confidence,
    #[serde(default)]
    fixes: BoundedVec<Name, 8>,
    #[serde(default)]
    docs: Text<256>,
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
    #[serde(skip)]
    rows: usize,
}

impl RuleFile {
    fn count(&mut self, rows: Rows) {
        // Who is asked twice has no rows the second time.
        self.rows = self.rows.max(self.tests.len());
        if rows == Rows::Counted {
            self.tests = Vec::new();
        }
    }

    fn compile(self, docs: &BTreeMap<Name, Docs>) -> Result<Rule, String> {
        let compile = |source: &str| Expression::compile(source).map_err(|e| e.to_string());
        if !is_plain(&self.id) {
            return Err(NOT_PLAIN.to_owned());
        }
        if let Some(fix) = self.fixes.iter().find(|fix| !is_plain(fix)) {
            return Err(format!("the fix {fix:?} may hold lower-case letters, digits, - and _ only"));
        }
        if !(self.docs.is_empty() || self.docs.starts_with("https://") || docs.keys().any(|id| **id == *self.docs)) {
            return Err(format!("`docs` names neither a link nor a section of the pack: {}", self.docs));
        }
        // A rule waits for the worst of its levels too, so that a long wait would hide what hurts now.
        if self.hold.reports > HOLD_MAX_REPORTS || self.hold.seconds > HOLD_MAX_SECONDS {
            return Err(format!("it may hold over {HOLD_MAX_REPORTS} reports and {HOLD_MAX_SECONDS} seconds at most"));
        }
        let labels = self.evidence.iter().map(|figure| &figure.label);
        if ![&self.checks, &self.title, &self.remedy].into_iter().chain(labels).all(Bilingual::is_whole) {
            return Err(NOT_WHOLE.to_owned());
        }
        if self.source.trim().is_empty() {
            return Err("`source` does not say where its thresholds come from".to_owned());
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
            hold: self.hold,
            confidence: self.confidence,
            fixes: self.fixes,
            docs: self.docs,
            silent_when: self.silent_when,
            unknown_with: self.unknown_with,
            checks: self.checks,
            title: self.title,
            remedy: self.remedy,
            source: self.source,
            evidence,
            rows: self.rows,
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
pub(super) struct TestRow {
    facts: BTreeMap<String, toml::Value>,
    expect: Expected,
    /// In how many surveys before this one, ten minutes apart, the rule's condition held.
    #[serde(default)]
    before: u32,
    /// Whether it was raised then.
    #[serde(default)]
    was_raised: bool,
}

/// When the facts of a test row were seen.
const ROW_TIME_UNIX_MS: i64 = 1_700_000_000_000;

/// Time between the surveys before a test row.
const ROW_PACE_MS: i64 = 10 * 60 * 1_000;

const HOLD_MAX_REPORTS: u32 = 100;
const HOLD_MAX_SECONDS: u32 = 7 * 24 * 3_600;

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

    /// How the row's finding stood before.
    fn standing(&self, rule: &Rule, facts: &Facts) -> Standing {
        if self.before == 0 && !self.was_raised {
            return Standing::new();
        }
        let first = rule.each.as_ref().and_then(|each| match facts.look_up(&each.list, None) {
            Ok(Tree::List(items)) => Some((each.name.as_str(), items.first()?)),
            _ => None,
        });
        let subject = rule.subject.as_ref().and_then(|path| facts.look_up(path, first).ok()).map(Tree::to_text);
        let fingerprint = Fingerprint::derive(&rule.id, &subject.unwrap_or_default());
        let lowest = rule.raise.last().map(|(severity, _)| *severity);
        let kept = Kept {
            raised: lowest.filter(|_| self.was_raised),
            since_unix_ms: ROW_TIME_UNIX_MS - ROW_PACE_MS * i64::from(self.before),
            reports: self.before,
            seen_unix_ms: ROW_TIME_UNIX_MS - ROW_PACE_MS,
        };
        [(fingerprint, kept)].into_iter().collect()
    }
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Expected {
    /// In order, or the question does not arise.
    Silent,
    /// Not in order, but not for long enough.
    Pending,
    Info,
    Warn,
    Crit,
    Unknown,
}

impl From<&Outcome> for Expected {
    fn from(outcome: &Outcome) -> Self {
        let Outcome::Found(finding) = outcome else {
            return if matches!(outcome, Outcome::Waits(_)) { Self::Pending } else { Self::Silent };
        };
        Self::of(finding.severity)
    }
}

impl Expected {
    fn of(severity: Severity) -> Self {
        match severity {
            Severity::Ok => Self::Silent,
            Severity::Info => Self::Info,
            Severity::Warn => Self::Warn,
            Severity::Crit => Self::Crit,
            Severity::Unknown => Self::Unknown,
        }
    }
}

impl Expected {
    /// The outcome as a pack's file writes it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Pending => "pending",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Crit => "crit",
            Self::Unknown => "unknown",
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
