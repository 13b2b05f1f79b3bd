//! Finds personal data in text for redaction: one pass of an automaton over all literals (the machine's own names, the labels of
//! secrets), and one over its words for what shows by its form.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use belay_protocol::report::PrivateKind;

mod labelled;
mod logons;
mod names;
mod owners;
mod places;
mod shapes;
mod tokens;
mod words;

use labelled::Label;
use names::Fit;
pub use names::{is_learnable, is_two_names};
pub use places::Field;
pub use shapes::is_everybodys;
use tokens::Token;
pub use words::is_everybodys_name;
use words::{is_ordinary, is_technical};

/// A place in a text, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where, in bytes.
    pub range: Range<usize>,
    /// What.
    pub what: What,
}

/// What stands in a place. Where places overlap, the earlier variant wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A password, key or token.
    Secret,
    /// A word with percent-encoded bytes, which has to be looked at decoded.
    Encoded,
    /// Something that shows by its form.
    Shape(PrivateKind),
    /// A value that shows by what stands in front of it.
    Labelled(PrivateKind),
    /// One of the machine's own names, by its place in the names that are looked for.
    Name(usize),
}

impl What {
    const fn layer(self) -> usize {
        match self {
            Self::Secret => 0,
            Self::Encoded => 1,
            Self::Shape(_) => 2,
            Self::Labelled(_) | Self::Name(_) => 3,
        }
    }
}

/// Layers of [`What`].
const LAYERS: usize = 4;

/// Everything that is looked for on one machine. It does not change; sharing it is cheap.
#[derive(Debug)]
pub struct Scanner {
    automaton: Option<AhoCorasick>,
    literals: Vec<Literal>,
    /// Names of up to [`names::SHORT_BYTES`] bytes in lower case. They would match everywhere, so that words are asked.
    short: HashMap<String, (usize, Fit)>,
    /// Whether one of those names begins with a byte, in either case.
    short_starts: [bool; 256],
    kinds: Vec<PrivateKind>,
}

/// What a match of the automaton means.
#[derive(Clone, Copy, Debug)]
enum Literal {
    Name { index: usize, fit: Fit },
    Label(Label),
    Token(Token),
    Owned,
}

/// A name that is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// Whose or what it is.
    pub kind: PrivateKind,
    /// The name itself.
    pub text: &'a str,
    /// Whether a report has shown it by its place: nobody on this machine is called so.
    pub is_learnt: bool,
    /// Whether the machine calls one of its parts so too.
    pub is_part: bool,
}

impl Scanner {
    /// Prepares to look for `names`.
    pub fn new<'a>(names: impl IntoIterator<Item = Name<'a>>) -> Self {
        let (mut patterns, mut literals, mut short) = (Vec::new(), Vec::new(), HashMap::new());
        let mut kinds = Vec::new();
        for (index, Name { kind, text, is_learnt, is_part }) in names.into_iter().enumerate() {
            kinds.push(kind);
            for spelling in names::spellings(kind, text) {
                let fit = if is_learnt { Fit::of_learnt(&spelling) } else { Fit::of(kind, &spelling, is_part) };
                if spelling.len() <= names::SHORT_BYTES && spelling.is_ascii() {
                    short.entry(spelling.to_ascii_lowercase()).or_insert((index, fit));
                    continue;
                }
                literals.push(Literal::Name { index, fit });
                patterns.push(spelling);
            }
        }
        for (text, label) in labelled::LABELS {
            literals.push(Literal::Label(*label));
            patterns.push((*text).to_owned());
        }
        for text in owners::OWNED {
            literals.push(Literal::Owned);
            patterns.push(text.to_owned());
        }
        for (text, token) in tokens::TOKENS {
            literals.push(Literal::Token(*token));
            patterns.push((*text).to_owned());
        }
        let bytes: usize = patterns.iter().map(String::len).sum();
        let is_small = patterns.len() <= DFA_MAX_PATTERNS && bytes <= DFA_MAX_BYTES;
        let kind = is_small.then_some(AhoCorasickKind::DFA);
        // Fails only for more patterns than an identity can have; then nothing is vouched for.
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).kind(kind).build(&patterns).ok();
        let mut short_starts = [false; 256];
        for byte in short.keys().filter_map(|name: &String| name.bytes().next()) {
            short_starts[usize::from(byte)] = true;
            short_starts[usize::from(byte.to_ascii_uppercase())] = true;
        }
        Self { automaton, literals, short, short_starts, kinds }
    }

    /// What stands in `text`, which is a field of its own where it is no free text, in order and without overlaps; nothing
    /// at all when this text cannot be looked at. Words with percent-encoded bytes are told apart when `decoding`.
    pub fn scan(&self, text: &str, field: Field, decoding: bool) -> Option<Vec<Found>> {
        let (mut found, mut logins) = (Vec::new(), Vec::new());
        for matched in self.automaton.as_ref()?.find_overlapping_iter(text) {
            let range = matched.range();
            match self.literals.get(matched.pattern().as_usize())? {
                Literal::Name { index, fit } => {
                    let kind = *self.kinds.get(*index)?;
                    if fit.accepts(kind, text, &range) {
                        found.push(Found { range, what: What::Name(*index) });
                    }
                }
                Literal::Label(label) => label.look(text, &range, &mut found),
                Literal::Owned => found.extend(owners::owner(text, &range)),
                Literal::Token(token) => {
                    let secret = token.look(text, &range);
                    logins.extend(secret.iter().filter(|_| *token == Token::Url).map(|login| login.range.end));
                    found.extend(secret);
                }
            }
        }
        self.words(text, decoding, &mut found);
        // What stands behind a login is its host: together they look like a mail address.
        logins.sort_unstable();
        found.retain(|one| {
            let next = logins.get(logins.partition_point(|login| *login < one.range.start));
            one.what != What::Shape(PrivateKind::Mail) || next.is_none_or(|login| *login >= one.range.end)
        });
        found.extend(logins.into_iter().filter_map(|login| places::host(text, login + 1)));
        places::look(field, text, &mut found);
        if let Field::CutAt(_) = field {
            let is_person = |one: &Found| match one.what {
                What::Name(name) => self.kinds.get(name) == Some(&PrivateKind::User),
                what => what == What::Labelled(PrivateKind::User),
            };
            let known: Vec<_> = found.iter().filter(|one| is_person(one)).map(|one| one.range.clone()).collect();
            found.extend(names::full_name(text, &known));
        }
        Some(untangled(found))
    }

    /// Looks at each run of [`CLASS`]ed bytes.
    fn words(&self, text: &str, decoding: bool, found: &mut Vec<Found>) {
        let bytes = text.as_bytes();
        // A key reaches over several runs, and is looked at once.
        let (mut at, mut bare_end) = (0, 0);
        while let Some((run, seen)) = next_run(bytes, at) {
            let start = run.start;
            at = run.end;
            if shapes::may_hold(text, &run, seen) {
                shapes::look(text, run.clone(), seen, found);
            }
            if at - start >= tokens::SHORTEST_RUN && start >= bare_end {
                bare_end = tokens::bare(text, &run, found);
            }
            if decoding && seen & PERCENT != 0 && text.get(run.clone()).is_some_and(is_encoded) {
                found.push(Found { range: run.clone(), what: What::Encoded });
            }
        }
        if !self.short.is_empty() {
            self.short_names(text, found);
        }
    }

    /// Looks at each word that a short name may begin, and that is no longer than one.
    fn short_names(&self, text: &str, found: &mut Vec<Found>) {
        let bytes = text.as_bytes();
        let class = |at: usize| bytes.get(at).map_or(0, |byte| CLASS[usize::from(*byte)] & (LETTER | DIGIT));
        let mut from = 0;
        while let Some(next) = position(bytes, from, &self.short_starts) {
            from = next + 1;
            let length = (0..=names::SHORT_BYTES).take_while(|length| class(next + length) != 0).count();
            let is_inside = next > 0 && class(next - 1) != 0;
            let range = next..next + length;
            let Some(word) = text.get(range.clone()).filter(|_| !is_inside && length <= names::SHORT_BYTES) else {
                continue;
            };
            let Some((index, fit)) = self.short.get(&word.to_ascii_lowercase()) else { continue };
            let kind = self.kinds.get(*index).copied().unwrap_or(PrivateKind::User);
            if fit.accepts(kind, text, &range) {
                found.push(Found { range, what: What::Name(*index) });
            }
        }
    }
}

/// The first place at `from` or behind of a byte that is one of `wanted`.
#[inline(never)]
fn position(bytes: &[u8], from: usize, wanted: &[bool; 256]) -> Option<usize> {
    bytes.get(from..)?.iter().position(|byte| wanted[usize::from(*byte)]).map(|place| from + place)
}

/// An automaton with a table for each state is the fastest, and larger than the gain for machines with many names.
const DFA_MAX_PATTERNS: usize = 1_000;

/// Bytes of all patterns up to which it may be one: each byte is a state, and each state takes some hundred bytes.
const DFA_MAX_BYTES: usize = 24 * 1024;

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
/// A dot, a colon or a dash: no shape has none of these, no at sign and no digit.
const MARK: u8 = 4;
const PERCENT: u8 = 8;
const PLUS: u8 = 16;
const UNDERSCORE: u8 = 32;
const AT: u8 = 64;

/// Classes of the bytes that runs are made of; 0 for all others.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' => DIGIT,
            b'.' | b':' | b'-' => MARK,
            b'@' => AT,
            b'%' => PERCENT,
            b'+' => PLUS,
            b'_' => UNDERSCORE,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Whether a word has percent-encoded bytes.
fn is_encoded(word: &str) -> bool {
    let two = |at: usize| word.as_bytes().get(at + 1..at + 3);
    word.match_indices('%').any(|(at, _)| two(at).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)))
}

/// The next run of [`CLASS`]ed bytes at `from` or behind, and its classes together.
#[inline(never)]
fn next_run(bytes: &[u8], from: usize) -> Option<(Range<usize>, u8)> {
    let class = |byte: &u8| CLASS[usize::from(*byte)];
    let start = from + bytes.get(from..)?.iter().position(|byte| class(byte) != 0)?;
    let (mut end, mut seen) = (start, 0);
    for class in bytes.get(start..)?.iter().map(class).take_while(|class| *class != 0) {
        seen |= class;
        end += 1;
    }
    Some((start..end, seen))
}

/// Sorts what was found and resolves overlaps: stronger layers cut weaker ones, and within a layer the foremost and
/// longest wins.
fn untangled(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_unstable_by_key(|one| one.range.start);
    let is_apart = |two: &[Found]| matches!(two, [one, next] if one.range.end <= next.range.start);
    if found.windows(2).all(is_apart) {
        return found;
    }
    let mut layers: [Vec<Found>; LAYERS] = Default::default();
    for one in found.into_iter().filter(|one| !one.range.is_empty()) {
        if let Some(layer) = layers.get_mut(one.what.layer()) {
            layer.push(one);
        }
    }
    layers.into_iter().fold(Vec::new(), |kept, layer| beside(kept, in_order(layer)))
}

fn in_order(mut layer: Vec<Found>) -> Vec<Found> {
    layer.sort_by_key(|one| (one.range.start, std::cmp::Reverse(one.range.end), one.what));
    let mut kept: Vec<Found> = Vec::with_capacity(layer.len());
    for mut one in layer {
        let end = kept.last().map_or(0, |last| last.range.end);
        if let Some(last) = kept.last_mut().filter(|last| last.what == What::Secret && one.range.start < end) {
            // A layer of secrets has nothing else: what two rules see in one place is one.
            last.range.end = end.max(one.range.end);
            continue;
        }
        one.range.start = one.range.start.max(end);
        if !one.range.is_empty() {
            kept.push(one);
        }
    }
    kept
}

/// `weak` without what `strong` covers, and `strong`, in order. Both are in order and without overlaps.
fn beside(strong: Vec<Found>, weak: Vec<Found>) -> Vec<Found> {
    if strong.is_empty() {
        return weak;
    }
    let mut pieces = Vec::with_capacity(strong.len() + weak.len());
    let mut from = 0;
    for one in weak {
        let mut start = one.range.start;
        while let Some(over) = strong.get(from).filter(|over| over.range.start < one.range.end) {
            if over.range.start > start {
                pieces.push(Found { range: start..over.range.start, what: one.what });
            }
            start = start.max(over.range.end);
            if over.range.end > one.range.end {
                break;
            }
            from += 1;
        }
        if start < one.range.end {
            pieces.push(Found { range: start..one.range.end, what: one.what });
        }
    }
    pieces.extend(strong);
    pieces.sort_by_key(|one| one.range.start);
    pieces
}

/// The last word of `text`, in lower case, when nothing but one separator stands behind it.
fn last_word(text: &str) -> Option<String> {
    let text = text.strip_suffix(['"', '\'', '(', '[', '<', '“', '「']).unwrap_or(text);
    let text = text.trim_end_matches([' ', '=', ':', '：', '\\', '"', '\'']);
    let start = text
        .char_indices()
        .rev()
        .take(LONGEST_LABEL)
        .take_while(|(_, c)| c.is_alphanumeric())
        .last()
        .map(|(at, _)| at)?;
    text.get(start..).map(str::to_lowercase)
}

/// Letters of the longest label.
const LONGEST_LABEL: usize = 20;

/// Whether the last word of `text` is one of `labels`, or ends with one behind a dash or underscore.
fn after_any(text: &str, labels: &[&str]) -> bool {
    last_word(text).is_some_and(|word| labels.contains(&word.as_str()))
}
