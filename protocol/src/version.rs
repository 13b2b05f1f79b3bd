//! Protocol versions: dates, so that an old one can be told from a new one by anybody.

use std::fmt;

/// A protocol version, written as the date on which its last message was added: 2026-11-22 is `20261122`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(pub u32);

/// The versions this build speaks, newest first.
pub const SUPPORTED: &[Version] = &[Version(20_261_122)];

impl Version {
    /// The newest version that both `offered` and this build speak, whatever the order of the offer.
    pub fn agree(offered: &[Self]) -> Option<Self> {
        SUPPORTED.iter().copied().find(|version| offered.contains(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(date) = self;
        write!(f, "{:04}-{:02}-{:02}", date / 10_000, date / 100 % 100, date % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_agreed() {
        let ours = SUPPORTED[0];
        assert_eq!(Version::agree(&[Version(20_991_231), ours, Version(1)]), Some(ours));
        assert_eq!(Version::agree(&[Version(20_991_231)]), None);
        assert_eq!(Version::agree(&[]), None);
        assert!(SUPPORTED.is_sorted_by(|a, b| a > b), "newest first");
        assert_eq!(Version(20_261_122).to_string(), "2026-11-22");
    }
}
