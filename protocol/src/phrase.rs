//! Words for comparing by ear: customer and technician read them to each other on the phone.

use std::fmt;

use bip39::Language as WordList;
use sha2::{Digest, Sha256};

use crate::id::OrganizationKey;
use crate::lang::Language;

/// Label under which the phrase is taken from the session's TLS exporter (RFC 8446, section 7.5).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-belay-phrase";

/// Bytes taken from the exporter: three words of 11 bits each.
pub const EXPORTER_BYTES: usize = 5;

/// Words out of the 2,048 of BIP-39, which has lists of the same size in English and in Simplified Chinese.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Words<const N: usize>([u16; N]);

/// The phrase of a session. Both ends compute it from their own TLS connection: different phrases mean that somebody
/// sits in between.
pub type SessionPhrase = Words<3>;

/// The words of an organization key, for a desk that could not be verified by its domain.
pub type KeyWords = Words<6>;

impl SessionPhrase {
    /// The phrase of the session whose exporter gave `material`.
    pub fn from_exporter(material: &[u8; EXPORTER_BYTES]) -> Self {
        Self::from_bits(material)
    }
}

impl KeyWords {
    /// The words of `key`: 66 bits of its SHA-256.
    pub fn of(key: &OrganizationKey) -> Self {
        let digest = Sha256::new().chain_update(b"belay key words\0").chain_update(key.0).finalize();
        Self::from_bits(&digest)
    }
}

impl<const N: usize> Words<N> {
    /// Takes 11 bits a word from the front of `bytes`, which has at least 11 N bits.
    fn from_bits(bytes: &[u8]) -> Self {
        let bit = |index: usize| u16::from(bytes[index / 8] >> (7 - index % 8) & 1);
        Self(std::array::from_fn(|word| (0..11).fold(0, |value, offset| value << 1 | bit(word * 11 + offset))))
    }

    /// The words in `language`, separated by spaces.
    pub fn text(&self, language: Language) -> String {
        let list = match language {
            Language::English => WordList::English.word_list(),
            Language::Chinese => WordList::SimplifiedChinese.word_list(),
        };
        self.0.map(|index| list[usize::from(index)]).join(" ")
    }
}

impl<const N: usize> fmt::Display for Words<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(Language::English), self.text(Language::Chinese))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bits_give_known_words() {
        assert_eq!(SessionPhrase::from_exporter(&[0; 5]).to_string(), "abandon abandon abandon (的 的 的)");
        assert_eq!(SessionPhrase::from_exporter(&[0xff; 5]).text(Language::English), "zoo zoo zoo");
        // The last seven bits are not used.
        assert_eq!(SessionPhrase::from_exporter(&[0, 0, 0, 0, 0x7f]), SessionPhrase::from_exporter(&[0; 5]));
        assert_ne!(SessionPhrase::from_exporter(&[0, 0, 0, 0, 0x80]), SessionPhrase::from_exporter(&[0; 5]));
    }

    #[test]
    fn keys_have_their_own_words() {
        let words = KeyWords::of(&OrganizationKey([1; 32]));
        assert_eq!(words.text(Language::English).split(' ').count(), 6);
        assert_ne!(words, KeyWords::of(&OrganizationKey([2; 32])));
    }
}
