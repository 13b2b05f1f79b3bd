//! The second pass of redaction: what is personal in a text, and the aliases in place of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use belay_agent_scan::{self as scan, Field, Scanner, What};
use belay_protocol::limits::STRING_MAX_BYTES;
use belay_protocol::report::{Masked, Private, PrivateKind, Replacement, SectionName};

use super::identity::Identity;
use super::kept::{Entry, Kept};

/// Different values that one report may replace beside the machine's own names. A machine with more has its sections
/// withheld.
pub(super) const MAX_ALIASES: usize = 16_384;

/// Names that one report may teach; each makes the search for all of them a little larger.
const MAX_LEARNT: usize = 256;

/// Redaction cannot vouch for a value; its section is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_ALIASES} personal values")]
pub struct CannotMask;

/// Personal values and what stands for them. The same value always gets the same alias, however it is written, and
/// addresses of one subnet share the first part of theirs.
#[derive(Clone, Debug)]
pub struct Aliases {
    scanner: Arc<Scanner>,
    /// The machine's own names by their place in [`Identity::names`]: where each is in `entries`.
    own: Arc<[usize]>,
    entries: Vec<Entry>,
    /// Places in `entries` by [`canonical`] value.
    known: HashMap<(PrivateKind, String), usize>,
    /// Places in `entries` by alias.
    places: HashMap<String, usize>,
    subnets: HashMap<(Reach, [u8; 8]), Subnet>,
    subnet_count: u32,
    /// The last number given out for each kind.
    numbers: BTreeMap<PrivateKind, u32>,
    /// The section that is being redacted, and what was replaced in each.
    section: SectionName,
    used: BTreeMap<(SectionName, PrivateKind), Used>,
    /// How many further values may be given aliases.
    room: usize,
    /// See [`Self::learnt`].
    learnt: Vec<(PrivateKind, String)>,
    /// Places in `entries` of names that need not be judged again.
    judged: HashSet<usize>,
    names: Names,
}

/// What becomes of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Aliases stand in place of them.
    Masked,
    /// They stay, for the person who knows them anyway.
    Kept,
}

/// Aliases that stand in one section, by their places in `entries`, and in how many places of the text.
#[derive(Clone, Debug, Default)]
struct Used {
    aliases: BTreeSet<usize>,
    times: u32,
}

#[derive(Clone, Debug)]
struct Subnet {
    alias: String,
    hosts: u32,
}

impl Aliases {
    /// Aliases for a machine that calls its people and itself by the names of `identity`; what was replaced by what is
    /// forgotten with them.
    pub fn of(identity: &Identity) -> Self {
        Self::new(identity, Kept::default(), MAX_ALIASES)
    }

    /// Goes on with what is known from earlier reports, and gives the machine's own names their aliases, so that these do
    /// not depend on what is found where.
    pub(super) fn new(identity: &Identity, kept: Kept, max_aliases: usize) -> Self {
        let mut aliases = Self {
            scanner: Arc::new(Scanner::new(identity.wanted())),
            own: Arc::default(),
            entries: Vec::new(),
            known: HashMap::new(),
            places: HashMap::new(),
            subnets: HashMap::new(),
            subnet_count: kept.subnet_count,
            numbers: kept.numbers,
            section: SectionName::System,
            used: BTreeMap::new(),
            room: max_aliases,
            learnt: Vec::new(),
            judged: HashSet::new(),
            names: Names::Masked,
        };
        for entry in kept.entries {
            aliases.remember(entry);
        }
        aliases.own = identity.names().iter().map(|(kind, name)| aliases.name(*kind, name)).collect();
        aliases
    }

    /// The same for what stays on this machine: secrets are removed and nothing else is replaced.
    pub(super) fn unmasking(&self) -> Self {
        Self { names: Names::Kept, ..self.clone() }
    }

    /// What later reports need to use the same aliases; what this one used was used at `now_unix_s`.
    pub(super) fn to_keep(&self, now_unix_s: i64) -> Kept {
        let mut entries = self.entries.clone();
        let used = self.used.values().flat_map(|used| &used.aliases).chain(self.own.iter());
        for place in used {
            if let Some(entry) = entries.get_mut(*place) {
                entry.used_unix_s = now_unix_s;
            }
        }
        Kept { numbers: self.numbers.clone(), subnet_count: self.subnet_count, entries }
    }

    /// Masks a machine's name as a whole.
    pub(super) fn host<K>(&mut self, value: &Private<K>) -> Result<Masked<K>, CannotMask> {
        match value.reveal() {
            name if self.names == Names::Kept || scan::is_everybodys_name(name) => Ok(Masked::redacted(name)),
            name => {
                let place = self.place(PrivateKind::Host, name)?;
                self.learn(place, PrivateKind::Host, name);
                Ok(Masked::redacted(self.counted(place)))
            }
        }
    }

    /// Masks a serial number as a whole; an empty one is nobody's.
    pub(super) fn serial<K>(&mut self, value: &Private<K>) -> Result<Masked<K>, CannotMask> {
        match value.reveal() {
            serial if self.names == Names::Kept || serial.is_empty() => Ok(Masked::redacted(serial)),
            serial => self.alias(PrivateKind::Serial, serial).map(Masked::redacted),
        }
    }

    /// Masks an address as a whole.
    pub(super) fn address<K>(&mut self, value: &Private<K>) -> Result<Masked<K>, CannotMask> {
        match value.reveal().parse::<IpAddr>() {
            Ok(address) if self.names == Names::Kept || scan::is_everybodys(&address) => {
                Ok(Masked::redacted(value.reveal()))
            }
            Ok(_) => self.alias(PrivateKind::Address, value.reveal()).map(Masked::redacted),
            Err(_) => self.text(value),
        }
    }

    /// Masks what free text holds.
    pub(super) fn text<K>(&mut self, value: &Private<K>) -> Result<Masked<K>, CannotMask> {
        self.field(Field::Text, value)
    }

    /// Masks what a text holds that is known to be a `field`.
    pub(super) fn field<K>(&mut self, field: Field, value: &Private<K>) -> Result<Masked<K>, CannotMask> {
        self.mask_at(uncut(value.reveal()), field, ENCODED_DEPTH).map(Masked::redacted)
    }

    /// `text` without secrets and with aliases in place of everything else that is personal.
    pub fn mask(&mut self, text: &str) -> Result<String, CannotMask> {
        self.mask_at(text, Field::Text, ENCODED_DEPTH)
    }

    /// Names that were found by what stood before them or by their place, and that stand elsewhere without it: with them,
    /// [`Identity::and`] makes a second look find them all, in whatever order things stand.
    pub fn learnt(&self) -> &[(PrivateKind, String)] {
        &self.learnt
    }

    /// Takes the name whose alias is at `place`, unless it was seen before or would be found where nobody is meant.
    fn learn(&mut self, place: usize, kind: PrivateKind, name: &str) {
        let is_name = matches!(kind, PrivateKind::User | PrivateKind::Host) && self.judged.insert(place);
        if is_name && self.learnt.len() < MAX_LEARNT && scan::is_learnable(name) {
            self.learnt.push((kind, name.to_owned()));
        }
    }

    fn mask_at(&mut self, text: &str, field: Field, depth: u32) -> Result<String, CannotMask> {
        let mut found = Arc::clone(&self.scanner).scan(text, field, depth > 0).ok_or(CannotMask)?;
        if self.names == Names::Kept {
            found.retain(|one| matches!(one.what, What::Secret | What::Encoded));
        }
        let mut masked = String::with_capacity(text.len());
        let mut done = 0;
        for one in found {
            let (open, value) = (text.get(done..one.range.start), text.get(one.range.clone()));
            let (Some(open), Some(value)) = (open, value) else { return Err(CannotMask) };
            masked.push_str(open);
            match one.what {
                What::Secret => masked.push_str(self.remove()),
                What::Encoded => masked.push_str(&self.encoded(value, depth)?),
                What::Shape(kind) => {
                    let place = self.place(kind, value)?;
                    // A full name's first label is how its machine is called, where that is no word such as `mail`.
                    let short = value.split_once('.').map(|(short, _)| short).filter(|_| kind == PrivateKind::Host);
                    if let Some(short) = short.filter(|short| short.contains(|c: char| c.is_ascii_digit() || c == '-'))
                    {
                        self.learn(place, kind, short);
                    }
                    // `anna.schmidt@` is how people are called elsewhere too.
                    let person = value.split_once('@').map(|(person, _)| person);
                    let is_named = |name: &&str| name.split_once('.').is_some_and(|(a, b)| scan::is_two_names(a, b));
                    if let Some(person) = person.filter(is_named) {
                        self.learn(place, PrivateKind::User, person);
                    }
                    masked.push_str(self.counted(place));
                }
                What::Labelled(kind) => {
                    let place = self.place(kind, value)?;
                    self.learn(place, kind, value);
                    masked.push_str(self.counted(place));
                }
                What::Name(name) => {
                    let place = *self.own.get(name).ok_or(CannotMask)?;
                    masked.push_str(self.counted(place));
                }
            }
            done = one.range.end;
        }
        masked.push_str(text.get(done..).ok_or(CannotMask)?);
        Ok(masked)
    }

    /// A word with percent-encoded bytes: decoded where something personal was in it, and as it is otherwise.
    fn encoded(&mut self, word: &str, depth: u32) -> Result<String, CannotMask> {
        let decoded = percent_decoded(word);
        let masked = self.mask_at(&decoded, Field::Text, depth.saturating_sub(1))?;
        // What looks encoded may be a name behind a percent sign.
        if masked == decoded { self.mask_at(word, Field::Text, 0) } else { Ok(masked) }
    }

    /// Counts what is replaced from here on as standing in `section`.
    pub(super) fn enter(&mut self, section: SectionName) {
        self.section = section;
    }

    /// What was replaced in `sections` together.
    pub fn replaced(&self, sections: &[SectionName]) -> Vec<Replacement> {
        let mut together: BTreeMap<PrivateKind, (BTreeSet<usize>, u32)> = BTreeMap::new();
        for ((_, kind), used) in self.used.iter().filter(|((section, _), _)| sections.contains(section)) {
            let (aliases, times) = together.entry(*kind).or_default();
            aliases.extend(&used.aliases);
            *times = times.saturating_add(used.times);
        }
        let replaced = together.into_iter().map(|(kind, (aliases, times))| {
            // Secrets have no aliases: each place is one of its own.
            let distinct =
                if kind == PrivateKind::Secret { times } else { u32::try_from(aliases.len()).unwrap_or(u32::MAX) };
            Replacement { kind, distinct, times }
        });
        replaced.collect()
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
            if let Some((alias, place)) = self.places.get_key_value(candidate).filter(|_| complete) {
                return self.entries.get(*place).map(|entry| (alias.as_str(), entry.shown()));
            }
            let shorter = candidate.len().checked_sub(1)?;
            candidate = &candidate[..shorter];
        }
    }

    fn alias(&mut self, kind: PrivateKind, value: &str) -> Result<&str, CannotMask> {
        let place = self.place(kind, value)?;
        Ok(self.counted(place))
    }

    /// The place of `value`, which gets an alias as long as there is room.
    fn place(&mut self, kind: PrivateKind, value: &str) -> Result<usize, CannotMask> {
        match self.known.get(&(kind, canonical(kind, value))) {
            Some(place) => Ok(*place),
            None => {
                self.room = self.room.checked_sub(1).ok_or(CannotMask)?;
                Ok(self.name(kind, value))
            }
        }
    }

    /// The alias at `place`, counted as standing once more in this section.
    fn counted(&mut self, place: usize) -> &str {
        let Some(entry) = self.entries.get(place) else { return REMOVED };
        let used = self.used.entry((self.section, entry.kind)).or_default();
        used.aliases.insert(place);
        used.times = used.times.saturating_add(1);
        &entry.alias
    }

    /// The place of `value`, which gets an alias unless it has one.
    fn name(&mut self, kind: PrivateKind, value: &str) -> usize {
        if let Some(place) = self.known.get(&(kind, canonical(kind, value))) {
            return *place;
        }
        let alias = match (kind, value.parse::<IpAddr>()) {
            (PrivateKind::Address, Ok(address)) => self.name_address(&address),
            (PrivateKind::Host, _) => self.name_host(value),
            (PrivateKind::Mail, _) => self.name_mail(value),
            _ => format!("{}-{}", word(kind), self.next_number(kind)),
        };
        self.remember(Entry { kind, value: value.to_owned(), alias, used_unix_s: 0 })
    }

    /// Takes a value and its alias into the map.
    fn remember(&mut self, entry: Entry) -> usize {
        let place = self.entries.len();
        if let (PrivateKind::Address, Ok(address)) = (entry.kind, entry.value.parse::<IpAddr>())
            && let Some((subnet, host)) = entry.alias.rsplit_once('.')
        {
            let hosts = host.parse().unwrap_or_default();
            let subnet = Subnet { alias: subnet.to_owned(), hosts };
            let known = self.subnets.entry(subnet_of(&address)).or_insert(subnet);
            known.hosts = known.hosts.max(hosts);
        }
        // `mail-1@host-2` is revealed part by part.
        self.places.insert(entry.alias.split('@').next().unwrap_or_default().to_owned(), place);
        self.known.insert((entry.kind, canonical(entry.kind, &entry.value)), place);
        self.entries.push(entry);
        place
    }

    /// `lan-2.3`: the third address seen of the second subnet; `lan` for private ones, `net` for public ones, `link` for
    /// those that hold on one link only.
    fn name_address(&mut self, address: &IpAddr) -> String {
        let key = subnet_of(address);
        let count = &mut self.subnet_count;
        let subnet = self.subnets.entry(key).or_insert_with(|| {
            *count += 1;
            Subnet { alias: format!("{}-{count}", key.0.word()), hosts: 0 }
        });
        subnet.hosts += 1;
        format!("{}.{}", subnet.alias, subnet.hosts)
    }

    /// `host-3.host-1` for a machine of a domain that has an alias itself.
    fn name_host(&mut self, name: &str) -> String {
        let number = self.next_number(PrivateKind::Host);
        let mut domain = name;
        while let Some((_, parent)) = domain.split_once('.') {
            let known = self.known.get(&(PrivateKind::Host, canonical(PrivateKind::Host, parent)));
            let alias = known.and_then(|place| self.entries.get(*place)).map(|entry| entry.alias.as_str());
            if let Some(alias) = alias.filter(|alias| !alias.contains('.') && parent.contains('.')) {
                return format!("host-{number}.{alias}");
            }
            domain = parent;
        }
        format!("host-{number}")
    }

    /// `mail-1@host-2`: the domain keeps the alias it has elsewhere.
    fn name_mail(&mut self, address: &str) -> String {
        let domain = address.rsplit('@').next().unwrap_or_default();
        let place = self.name(PrivateKind::Host, domain);
        let number = self.next_number(PrivateKind::Mail);
        format!("mail-{number}@{}", self.entries.get(place).map_or("host", |entry| &entry.alias))
    }

    fn remove(&mut self) -> &'static str {
        let used = self.used.entry((self.section, PrivateKind::Secret)).or_default();
        used.times = used.times.saturating_add(1);
        REMOVED
    }

    fn next_number(&mut self, kind: PrivateKind) -> u32 {
        let number = self.numbers.entry(kind).or_default();
        *number = number.saturating_add(1);
        *number
    }
}

/// What stands in place of a secret.
const REMOVED: &str = "<removed>";

/// `host-` and ten digits twice, or less.
const ALIAS_MAX_BYTES: usize = 32;

/// How often a text may be percent-encoded: once by a form, once more by what logged its address.
const ENCODED_DEPTH: u32 = 2;

const fn word(kind: PrivateKind) -> &'static str {
    match kind {
        PrivateKind::User => "user",
        PrivateKind::Host => "host",
        PrivateKind::Address => "address",
        PrivateKind::HardwareAddress => "mac",
        PrivateKind::Serial => "serial",
        PrivateKind::Secret => "secret",
        PrivateKind::Mail => "mail",
        PrivateKind::Phone => "phone",
        PrivateKind::Wifi => "wifi",
    }
}

/// The one form of a value that may be written in several.
fn canonical(kind: PrivateKind, value: &str) -> String {
    let only = |fits: fn(char) -> bool| value.chars().filter(|c| fits(*c)).collect::<String>().to_ascii_lowercase();
    match kind {
        PrivateKind::Address => value.parse::<IpAddr>().map_or_else(|_| value.replace('-', "."), |ip| ip.to_string()),
        PrivateKind::HardwareAddress => only(|c| c.is_ascii_hexdigit()),
        PrivateKind::Phone => only(|c| c.is_ascii_digit()),
        PrivateKind::Serial => only(|c| c != '-' && c != ' '),
        PrivateKind::Host => value.trim_end_matches('.').to_lowercase(),
        _ => value.to_lowercase(),
    }
}

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reach {
    /// One link.
    Link,
    /// A private network.
    Lan,
    /// Everywhere.
    Net,
}

impl Reach {
    const fn word(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Lan => "lan",
            Self::Net => "net",
        }
    }
}

/// How far an address reaches, and what names its subnet: a /24 or /64, the sizes that nearly all have.
fn subnet_of(address: &IpAddr) -> (Reach, [u8; 8]) {
    let reach = match address {
        IpAddr::V4(v4) if v4.is_link_local() => Reach::Link,
        IpAddr::V4(v4) if v4.is_private() => Reach::Lan,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Reach::Link,
        IpAddr::V6(v6) if v6.is_unique_local() => Reach::Lan,
        IpAddr::V4(_) | IpAddr::V6(_) => Reach::Net,
    };
    let subnet = match address {
        // No subnet of IPv6 begins with these.
        IpAddr::V4(v4) => [0xff, 0xff, 0xff, 0xff, 0xff, v4.octets()[0], v4.octets()[1], v4.octets()[2]],
        IpAddr::V6(v6) => v6.octets().first_chunk().copied().unwrap_or_default(),
    };
    (reach, subnet)
}

/// `text` without its last word when it may have been cut to the longest that travels: half a name is not recognized.
fn uncut(text: &str) -> &str {
    if text.len() + LONGEST_CHARACTER <= STRING_MAX_BYTES {
        return text;
    }
    let start = text.rfind(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | ';')).unwrap_or(0);
    text.get(..start).unwrap_or_default()
}

/// Bytes that cutting between characters may take away beside the rest.
const LONGEST_CHARACTER: usize = 4;

/// `text` with `%XX` as bytes; what is then not UTF-8 is replaced.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok()).filter(|two| !two.starts_with('+'));
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| *byte == b'%') {
            Some(decoded) => {
                bytes.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
        Aliases::new(&identity, Kept::default(), 100)
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
        check("user=alice,password=hunter2,addr=10.0.0.9", "user=user-2,password=<removed>,addr=lan-1.1");
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
        let mut aliases = Aliases::new(&Identity::default(), Kept::default(), 1);
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
