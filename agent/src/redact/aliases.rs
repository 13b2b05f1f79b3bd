//! The second pass of redaction: names and aliases, and text with the ones in place of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use belay_protocol::report::{Masked, Private, PrivateKind, Replacement, SectionName};

use super::identity::Identity;
use super::scan;

/// Different values that one report may replace. A machine with more has its sections withheld.
pub(super) const MAX_ALIASES: usize = 16_384;

/// Redaction cannot vouch for a value; its section is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_ALIASES} personal values")]
pub struct CannotMask;

/// Personal values and what stands for them. The same value always gets the same alias, and addresses of one subnet
/// share the first part of theirs.
#[derive(Clone, Debug)]
pub struct Aliases {
    /// Names to look for in free text, longest first.
    names: Vec<(PrivateKind, String)>,
    /// Aliases by value in lower case.
    known: BTreeMap<(PrivateKind, String), String>,
    /// Values as they were first written, by alias.
    written: BTreeMap<String, String>,
    subnets: BTreeMap<String, Subnet>,
    /// The last number given out for each kind.
    numbers: BTreeMap<PrivateKind, u32>,
    /// The section that is being redacted, and what was replaced in each.
    section: SectionName,
    used: BTreeMap<(SectionName, PrivateKind), Used>,
    max_aliases: usize,
}

/// Aliases that stand in one section, and in how many places.
#[derive(Clone, Debug, Default)]
struct Used {
    aliases: BTreeSet<String>,
    times: u32,
}

#[derive(Clone, Debug)]
struct Subnet {
    alias: String,
    hosts: u32,
}

impl Aliases {
    /// Gives the machine's own names their aliases, so that these do not depend on what is found where.
    pub(super) fn new(identity: &Identity, max_aliases: usize) -> Self {
        let mut names = identity.names().to_vec();
        let mut aliases = Self {
            names: Vec::new(),
            known: BTreeMap::new(),
            written: BTreeMap::new(),
            subnets: BTreeMap::new(),
            numbers: BTreeMap::new(),
            section: SectionName::System,
            used: BTreeMap::new(),
            max_aliases: max_aliases + names.len(),
        };
        for (kind, name) in &names {
            aliases.name(*kind, name);
        }
        names.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        aliases.names = names.into_iter().map(|(kind, name)| (kind, folded(&name))).collect();
        aliases
    }

    /// Masks a machine's name as a whole.
    pub(super) fn host<K>(&mut self, value: &Private<K>) -> Result<Masked<K>, CannotMask> {
        self.alias(PrivateKind::Host, value.reveal()).map(Masked::redacted)
    }

    /// Masks a serial number as a whole; an empty one is nobody's.
    pub(super) fn serial<K>(&mut self, value: &Private<K>) -> Result<Masked<K>, CannotMask> {
        match value.reveal() {
            "" => Ok(Masked::redacted("")),
            serial => self.alias(PrivateKind::Serial, serial).map(Masked::redacted),
        }
    }

    /// Masks an address as a whole.
    pub(super) fn address<K>(&mut self, value: &Private<K>) -> Result<Masked<K>, CannotMask> {
        match value.reveal().parse::<IpAddr>() {
            Ok(address) if scan::is_everybodys(&address) => Ok(Masked::redacted(value.reveal())),
            Ok(_) => self.alias(PrivateKind::Address, value.reveal()).map(Masked::redacted),
            Err(_) => self.text(value),
        }
    }

    /// Masks what free text or a path holds: secrets are removed, addresses and serials are found by their form, the
    /// machine's own names by what they are.
    pub(super) fn text<K>(&mut self, value: &Private<K>) -> Result<Masked<K>, CannotMask> {
        let mut parts = vec![Part::Open(value.reveal().to_owned())];
        self.replace(&mut parts, |_, text| scan::secret(text).map(|range| (range, PrivateKind::Secret)))?;
        self.replace(&mut parts, |_, text| scan::shaped(text))?;
        self.replace(&mut parts, |aliases, text| aliases.find_name(text))?;
        let text: String = parts.iter().map(Part::as_str).collect();
        Ok(Masked::redacted(text))
    }

    /// Counts what is replaced from here on as standing in `section`.
    pub(super) fn enter(&mut self, section: SectionName) {
        self.section = section;
    }

    /// What was replaced in `sections` together.
    pub(super) fn replaced(&self, sections: &[SectionName]) -> Vec<Replacement> {
        let mut together: BTreeMap<PrivateKind, Used> = BTreeMap::new();
        for ((_, kind), used) in self.used.iter().filter(|((section, _), _)| sections.contains(section)) {
            let all = together.entry(*kind).or_default();
            all.aliases.extend(used.aliases.iter().cloned());
            all.times = all.times.saturating_add(used.times);
        }
        let distinct = |used: &Used| u32::try_from(used.aliases.len()).unwrap_or(u32::MAX);
        together
            .iter()
            .map(|(kind, used)| Replacement { kind: *kind, distinct: distinct(used), times: used.times })
            .collect()
    }

    /// Puts the real values back in place of their aliases.
    pub fn reveal(&self, text: &str) -> String {
        let mut revealed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let at_start = first.is_ascii_lowercase() && !revealed.ends_with(|c: char| c.is_ascii_alphanumeric());
            if let Some((alias, value)) = at_start.then(|| self.alias_at_start_of(rest)).flatten() {
                revealed.push_str(value);
                rest = &rest[alias.len()..];
                continue;
            }
            revealed.push(first);
            rest = &rest[first.len_utf8()..];
        }
        revealed
    }

    /// The alias that `text` starts with, and its value. Aliases are made of letters, digits, dots and dashes, and the
    /// longest that fits is meant: `lan-1.12`, not `lan-1.1`.
    fn alias_at_start_of(&self, text: &str) -> Option<(&str, &str)> {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.').unwrap_or(text.len());
        let mut candidate = &text[..end.min(ALIAS_MAX_BYTES)];
        loop {
            let complete = !text[candidate.len()..].starts_with(|c: char| c.is_ascii_alphanumeric());
            if let Some((alias, value)) = self.written.get_key_value(candidate).filter(|_| complete) {
                return Some((alias, value));
            }
            let shorter = candidate.len().checked_sub(1)?;
            candidate = &candidate[..shorter];
        }
    }

    fn replace(
        &mut self,
        parts: &mut Vec<Part>,
        find: impl Fn(&Self, &str) -> Option<(std::ops::Range<usize>, PrivateKind)>,
    ) -> Result<(), CannotMask> {
        let mut done = Vec::with_capacity(parts.len());
        // What stands before a replaced value is looked at again as well: the longest name is found first, not the
        // foremost.
        let mut waiting: Vec<Part> = std::mem::take(parts).into_iter().rev().collect();
        while let Some(part) = waiting.pop() {
            let Part::Open(text) = &part else {
                done.push(part);
                continue;
            };
            let Some((range, kind)) = find(self, text) else {
                done.push(part);
                continue;
            };
            let alias = match kind {
                PrivateKind::Secret => self.remove(),
                _ => self.alias(kind, &text[range.clone()])?,
            };
            waiting.push(Part::Open(text[range.end..].to_owned()));
            waiting.push(Part::Closed(alias));
            waiting.push(Part::Open(text[..range.start].to_owned()));
        }
        *parts = done;
        Ok(())
    }

    /// The longest of the machine's own names that `text` holds. A short name counts only between other characters than
    /// letters and digits: a person called `al` must not blacken every `local`.
    fn find_name(&self, text: &str) -> Option<(std::ops::Range<usize>, PrivateKind)> {
        let lower = folded(text);
        self.names.iter().find_map(|(kind, name)| {
            let mut places = lower.match_indices(name.as_str()).map(|(at, _)| at..at + name.len());
            let alone = |range: &std::ops::Range<usize>| {
                let joined = |c: char| c.is_ascii_alphanumeric();
                !name.is_ascii()
                    || name.len() >= UNMISTAKABLE_BYTES
                    || !(lower[..range.start].ends_with(joined) || lower[range.end..].starts_with(joined))
            };
            places.find(alone).map(|range| (range, *kind))
        })
    }

    fn alias(&mut self, kind: PrivateKind, value: &str) -> Result<String, CannotMask> {
        if !self.known.contains_key(&(kind, value.to_lowercase())) && self.known.len() >= self.max_aliases {
            return Err(CannotMask);
        }
        let alias = self.name(kind, value);
        self.count(kind, &alias);
        Ok(alias)
    }

    fn name(&mut self, kind: PrivateKind, value: &str) -> String {
        if let Some(alias) = self.known.get(&(kind, value.to_lowercase())) {
            return alias.clone();
        }
        let number = self.next_number(kind);
        let alias = match (kind, value.parse::<IpAddr>()) {
            (PrivateKind::Address, Ok(address)) => self.name_address(&address),
            (PrivateKind::User, _) => format!("user-{number}"),
            (PrivateKind::Host, _) => format!("host-{number}"),
            (PrivateKind::HardwareAddress, _) => format!("mac-{number}"),
            (PrivateKind::Serial, _) => format!("serial-{number}"),
            (PrivateKind::Address | PrivateKind::Secret, _) => format!("address-{number}"),
        };
        self.known.insert((kind, value.to_lowercase()), alias.clone());
        self.written.insert(alias.clone(), value.to_owned());
        alias
    }

    /// `lan-2.3`: the third address seen of the second private subnet; `net` for public ones, `link` for those that hold
    /// on one link only. A subnet is a /24 or /64, the sizes that nearly all have.
    fn name_address(&mut self, address: &IpAddr) -> String {
        let (word, subnet) = match address {
            IpAddr::V4(v4) if v4.is_link_local() => ("link", v4.octets()[..3].to_vec()),
            IpAddr::V4(v4) if v4.is_private() => ("lan", v4.octets()[..3].to_vec()),
            IpAddr::V4(v4) => ("net", v4.octets()[..3].to_vec()),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => ("link", v6.octets()[..8].to_vec()),
            IpAddr::V6(v6) if v6.is_unique_local() => ("lan", v6.octets()[..8].to_vec()),
            IpAddr::V6(v6) => ("net", v6.octets()[..8].to_vec()),
        };
        let number = self.subnets.len() + 1;
        let key = format!("{word} {subnet:?}");
        let subnet = self.subnets.entry(key).or_insert_with(|| Subnet { alias: format!("{word}-{number}"), hosts: 0 });
        subnet.hosts += 1;
        format!("{}.{}", subnet.alias, subnet.hosts)
    }

    fn remove(&mut self) -> String {
        let number = self.next_number(PrivateKind::Secret);
        self.count(PrivateKind::Secret, &number.to_string());
        "<removed>".to_owned()
    }

    fn next_number(&mut self, kind: PrivateKind) -> u32 {
        let number = self.numbers.entry(kind).or_default();
        *number += 1;
        *number
    }

    fn count(&mut self, kind: PrivateKind, alias: &str) {
        let used = self.used.entry((self.section, kind)).or_default();
        used.aliases.insert(alias.to_owned());
        used.times = used.times.saturating_add(1);
    }
}

/// `address-` and ten digits, or less.
const ALIAS_MAX_BYTES: usize = 24;

/// A name of at least this many bytes is replaced even inside a word, as in `Alices-iPhone`.
const UNMISTAKABLE_BYTES: usize = 5;

/// Text on its way: what has been replaced is not looked at again.
enum Part {
    Open(String),
    Closed(String),
}

impl Part {
    fn as_str(&self) -> &str {
        match self {
            Self::Open(text) | Self::Closed(text) => text,
        }
    }
}

/// `text` in lower case, letter by letter where that leaves the length in bytes as it is, so that a place in the one is
/// the same place in the other.
fn folded(text: &str) -> String {
    let fold = |letter: char| {
        let mut lower = letter.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(lower), None) if lower.len_utf8() == letter.len_utf8() => lower,
            _ => letter,
        }
    };
    text.chars().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use belay_protocol::report::{Host, Words};

    use super::*;

    fn aliases() -> Aliases {
        let name = |kind, name: &str| (kind, name.to_owned());
        let identity = Identity::of(vec![
            name(PrivateKind::User, "al"),
            name(PrivateKind::User, "alice"),
            name(PrivateKind::User, "王芳"),
            name(PrivateKind::Host, "wonder.example.org"),
            name(PrivateKind::Host, "wonder"),
            name(PrivateKind::User, "user"),
        ]);
        Aliases::new(&identity, 100)
    }

    fn check(text: &str, expected: &str) {
        let mut aliases = aliases();
        let masked = aliases.text(&Private::<Words>::new(text)).unwrap();
        assert_eq!(masked.as_str(), expected, "{text}");
    }

    #[test]
    fn own_names_are_replaced_longest_first() {
        check("/home/alice/x", "/home/user-2/x");
        check("//wonder.example.org/share", "//host-1/share");
        check("WONDER-backup", "host-2-backup");
        check("Alice's iPhone", "user-2's iPhone");
        check("Alices-iPhone", "user-2s-iPhone");
        check("王芳的手机", "user-3的手机");
        check("/usr/local/al", "/usr/local/user-1");
        check("/home/user/user", "/home/user-4/user-4");
        check("nothing here", "nothing here");
    }

    #[test]
    fn addresses_of_one_subnet_stay_together_and_secrets_are_removed() {
        check("10.0.0.9 10.0.0.7 10.0.1.9 10.0.0.9", "lan-1.1 lan-1.2 lan-2.1 lan-1.1");
        check("8.8.8.8 2001:db8::1 fe80::2 127.0.0.1", "net-1.1 net-2.1 link-3.1 127.0.0.1");
        check("user=alice,password=hunter2,addr=10.0.0.9", "user-4=user-2,password=<removed>,addr=lan-1.1");
        check("enx00249b123456", "enxmac-1");
    }

    #[test]
    fn aliases_are_revealed_for_the_person_at_the_machine() {
        let mut aliases = aliases();
        let text = "/home/alice on wonder (10.0.0.9)";
        assert_eq!(aliases.host(&Private::<Host>::new("Alices-Mac")).unwrap().as_str(), "host-3");
        assert_eq!(aliases.reveal("host-3"), "Alices-Mac");
        let masked = aliases.text(&Private::<Words>::new(text)).unwrap();
        assert_eq!(masked.as_str(), "/home/user-2 on host-2 (lan-1.1)");
        assert_eq!(aliases.reveal(masked.as_str()), text);
        assert_eq!(aliases.reveal("superuser-2 user-21 磁盘"), "superuser-2 user-21 磁盘");
    }

    #[test]
    fn too_many_values_cannot_be_vouched_for() {
        let mut aliases = Aliases::new(&Identity::default(), 1);
        let text = |address: &str| Private::<Words>::new(address);
        assert!(aliases.text(&text("10.0.0.1")).is_ok());
        assert!(aliases.text(&text("10.0.0.1")).is_ok());
        assert_eq!(aliases.text(&text("10.0.0.2")), Err(CannotMask));
    }

    #[test]
    fn letters_that_change_their_length_with_their_case_hide_no_name() {
        for text in ["\u{2c6d}alice\u{23a}", "\u{130} ALICE \u{23a}", "\u{23a}\u{23a}Alice", "\u{130}alice"] {
            let masked = aliases().text(&Private::<Words>::new(text)).unwrap();
            assert!(!masked.as_str().to_lowercase().contains("alice"), "{text}: {}", masked.as_str());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_own_name_survives(before in ".{0,20}", after in ".{0,20}") {
            let mut aliases = aliases();
            let masked = aliases.text(&Private::<Words>::new(format!("{before}alice{after}"))).unwrap();
            proptest::prop_assert!(!masked.as_str().contains("alice") || before.ends_with("://") );
        }
    }
}
