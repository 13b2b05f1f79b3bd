//! Words to find tickets by, the same on every database.
//!
//! Databases cut text into words by spaces, which Chinese does not have, and their own indexes of three characters find
//! nothing for a word of two, which most Chinese words are. So the words are made here: runs of letters and digits
//! without case and accents, and every pair of neighbours in a run of Chinese, Japanese or Korean characters. Databases
//! only compare them.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The different words of a text, at most 20,000 of them.
pub fn words<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in texts {
        for run in runs(text) {
            if words.len() >= WORDS_MAX {
                return words;
            }
            match run {
                Run::Word(word) => {
                    words.insert(word);
                }
                Run::Characters(characters) => {
                    words.extend(characters.iter().map(char::to_string));
                    words.extend(characters.windows(2).map(|pair| pair.iter().collect::<String>()));
                }
            }
        }
    }
    words
}

/// One thing that a found ticket must have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wanted {
    /// Exactly this word.
    Word(String),
    /// A word that begins like this: what somebody types has seldom come to its end.
    Beginning(String),
}

/// What a query asks for; nothing when it holds no word at all.
pub fn wanted(query: &str) -> BTreeSet<Wanted> {
    let mut wanted = BTreeSet::new();
    for run in runs(query).take(QUERY_RUNS_MAX) {
        match run {
            Run::Word(word) => {
                wanted.insert(Wanted::Beginning(word));
            }
            Run::Characters(characters) if characters.len() == 1 => {
                wanted.extend(characters.iter().map(|one| Wanted::Word(one.to_string())));
            }
            Run::Characters(characters) => {
                let pairs = characters.windows(2).take(QUERY_RUNS_MAX);
                wanted.extend(pairs.map(|pair| Wanted::Word(pair.iter().collect())));
            }
        }
    }
    wanted
}

enum Run {
    Word(String),
    Characters(Vec<char>),
}

fn runs(text: &str) -> impl Iterator<Item = Run> {
    let folded: Vec<char> = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).nfc().collect();
    let mut at = 0;
    std::iter::from_fn(move || {
        while folded.get(at).is_some_and(|c| !c.is_alphanumeric()) {
            at += 1;
        }
        let first = *folded.get(at)?;
        let same = |c: &char| c.is_alphanumeric() && is_unspaced(*c) == is_unspaced(first);
        let run: Vec<char> = folded[at..].iter().copied().take_while(same).collect();
        at += run.len();
        Some(if is_unspaced(first) {
            Run::Characters(run)
        } else {
            Run::Word(run.into_iter().take(WORD_MAX_CHARS).collect())
        })
    })
}

/// Whether a character is of a script that is written without spaces between words: CJK ideographs with their
/// extensions, kana and hangul.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Different words of one ticket that can be found; a longer thread is cut here. PostgreSQL holds 1 MB of them.
const WORDS_MAX: usize = 20_000;

/// Characters of a word that are compared; what is longer is no word but a key or a dump.
const WORD_MAX_CHARS: usize = 64;

/// Words and pairs of a query that are looked for.
const QUERY_RUNS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finds(query: &str, text: &str) -> bool {
        let words = words([text]);
        let wanted = wanted(query);
        !wanted.is_empty()
            && wanted.iter().all(|one| match one {
                Wanted::Word(word) => words.contains(word),
                Wanted::Beginning(start) => words.iter().any(|word| word.starts_with(start.as_str())),
            })
    }

    #[test]
    fn words_are_found_without_case_accents_and_width() {
        for (query, text) in [
            ("muller", "Frau Müller"),
            ("MÜLLER", "frau muller"),
            ("print", "Der Printer druckt"),
            ("ｖｐｎ", "VPN down"),
            ("bl-10001-4", "BL-10001-4"),
            ("printer hall", "the hall's printer"),
        ] {
            assert!(finds(query, text), "{query} in {text}");
        }
        for (query, text) in [("rint", "printer"), ("printer cellar", "the hall's printer"), ("", "x"), ("!?", "x")] {
            assert!(!finds(query, text), "{query} in {text}");
        }
    }

    #[test]
    fn chinese_words_of_two_characters_and_more_are_found() {
        let text = "客户的打印机无法打印发票，网络正常";
        for query in ["打印", "发票", "打印机", "无法打印发票", "网络 发票", "户"] {
            assert!(finds(query, text), "{query}");
        }
        for query in ["机打", "邮件", "打印错误"] {
            assert!(!finds(query, text), "{query}");
        }
        assert!(finds("vpn断开", "公司VPN断开"), "scripts that touch are told apart");
    }

    proptest! {
        #[test]
        fn any_text_finds_itself_and_its_words_are_plain(text in "\\PC{0,60}") {
            let words = words([text.as_str()]);
            prop_assert!(words.iter().all(|word| !word.is_empty() && word.chars().all(char::is_alphanumeric)));
            prop_assert!(wanted(&text).is_empty() || finds(&text, &text), "{}", text);
        }
    }
}
