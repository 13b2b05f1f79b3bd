//! The first pass of redaction: what this machine calls its people and itself.

use std::collections::BTreeSet;

use belay_agent_scan::{Name, is_everybodys, is_everybodys_name};
use belay_protocol::report::PrivateKind;

use crate::probe::{Root, native, os};

mod sources;

/// The machine's own names, and those that a report has shown by their place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Names with their kind; in this order they get their aliases.
    names: Vec<(PrivateKind, String)>,
    /// How many of them are the machine's own; the others stand behind them.
    own: usize,
    /// What the machine calls its parts, in lower case. A name that is one of these too is a word here.
    parts: BTreeSet<String>,
}

impl Identity {
    /// Learns what this machine calls its people, itself and its parts. Files alone are read, none of them in a home: one
    /// on a dead share would hold everything up.
    pub fn learn(root: &Root) -> Self {
        let mut names = people(root);
        names.extend(hosts(root).into_iter().map(|name| (PrivateKind::Host, name)));
        names.extend(sources::ids(root).into_iter().map(|id| (PrivateKind::Serial, id)));
        names.extend(sources::hardware(root));
        names.extend(sources::networks(root).into_iter().map(|name| (PrivateKind::Wifi, name)));
        names.extend(sources::addresses(root).into_iter().map(|address| (PrivateKind::Address, address)));
        if root.is_live() {
            let own = |(_, name): &(PrivateKind, String)| !name.parse().is_ok_and(|address| is_everybodys(&address));
            names.extend(native::names().into_iter().filter(own));
        }
        Self { parts: sources::parts(root), ..Self::of(names) }
    }

    /// Takes names that are known, without those that say nothing about anybody.
    pub fn of(names: Vec<(PrivateKind, String)>) -> Self {
        let mut seen = BTreeSet::new();
        let keep = |(kind, name): &(PrivateKind, String)| {
            name.chars().count() >= SHORTEST
                && (*kind == PrivateKind::Wifi || !is_everybodys_name(name))
                && seen.insert(name.to_lowercase())
        };
        let mut bytes = 0;
        let fits = |(_, name): &(PrivateKind, String)| {
            bytes += name.len();
            bytes <= MAX_NAMES_BYTES
        };
        let names = names.into_iter().map(|(kind, name)| (kind, cut(name)));
        let names: Vec<_> = names.filter(keep).take(MAX_NAMES).take_while(fits).collect();
        Self { own: names.len(), names, parts: BTreeSet::new() }
    }

    /// The same with names that [`super::Aliases::learnt`] from a report, for another look at that report.
    #[must_use]
    pub fn and(mut self, learnt: &[(PrivateKind, String)]) -> Self {
        let mut seen: BTreeSet<_> = self.names.iter().map(|(_, name)| name.to_lowercase()).collect();
        let is_new = |(_, name): &&(PrivateKind, String)| {
            let name = name.to_lowercase();
            !self.parts.contains(&name) && seen.insert(name)
        };
        self.names.extend(learnt.iter().filter(is_new).cloned());
        self
    }

    /// The names with what decides where they count as names.
    pub(super) fn wanted(&self) -> impl Iterator<Item = Name<'_>> {
        self.names.iter().enumerate().map(|(place, (kind, text))| Name {
            kind: *kind,
            text,
            is_learnt: place >= self.own,
            is_part: self.parts.contains(&text.to_lowercase()),
        })
    }

    /// The names with their kind.
    pub fn names(&self) -> &[(PrivateKind, String)] {
        &self.names
    }
}

/// Where systems keep the login name of whoever runs a program.
const LOGIN_VARIABLES: [&str; 4] = ["USER", "LOGNAME", "SUDO_USER", "USERNAME"];

/// A single letter is no name worth hiding, and hiding it would blacken everything.
const SHORTEST: usize = 2;

/// Names of one machine that are looked for, and their bytes: each takes memory and time.
const MAX_NAMES: usize = 1_024;
const MAX_NAMES_BYTES: usize = 32 * 1024;

/// Bytes of a name that are looked for: a host's has 253 at most (RFC 1035, section 2.3.4), and others are shorter.
const MAX_NAME_BYTES: usize = 256;

fn cut(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
    name
}

fn people(root: &Root) -> Vec<(PrivateKind, String)> {
    let passwd = root.read("/etc/passwd").unwrap_or_default();
    let mut names = parse_passwd(&passwd);
    if root.is_live() {
        let variable = |name: &str| std::env::var(name).ok();
        let homes = ["HOME", "USERPROFILE"].into_iter().filter_map(variable);
        let last_steps = homes.filter_map(|home| home.rsplit(['/', '\\']).next().map(str::to_owned));
        let people = LOGIN_VARIABLES.into_iter().filter_map(variable).chain(last_steps);
        names.extend(people.map(|name| (PrivateKind::User, name)));
    }
    names
}

fn hosts(root: &Root) -> Vec<String> {
    let host = os::host(root).map(|host| host.reveal().to_owned());
    let host = host.or_else(|_| root.read("/etc/hostname")).unwrap_or_default();
    let mut names = parse_host(&host);
    names.extend(parse_host(&root.read("/etc/hostname").unwrap_or_default()));
    names.extend(sources::pretty_host(root));
    names.extend(parse_domains(&root.read("/etc/resolv.conf").unwrap_or_default()));
    let domain = root.read("/proc/sys/kernel/domainname").unwrap_or_default();
    names.extend(Some(domain.trim().to_owned()).filter(|domain| domain.contains('.')));
    names.extend(parse_hosts_file(&root.read("/etc/hosts").unwrap_or_default()));
    names
}

/// The accounts of people in passwd(5): those with a user id from 1000 on, and the last step of a home outside `/var`,
/// full names and telephones included, for all stand in paths and device names.
fn parse_passwd(text: &str) -> Vec<(PrivateKind, String)> {
    let mut names = Vec::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split(':').collect();
        let [login, _, id, _, about, home, ..] = fields[..] else { continue };
        if !id.parse::<u32>().is_ok_and(|id| (FIRST_PERSON..NOBODY).contains(&id)) {
            continue;
        }
        let mut about = about.split(',');
        let full_name = about.next().unwrap_or_default();
        let parts = full_name.split(' ').filter(|part| part.chars().count() > SHORTEST);
        let people = [login, home.rsplit('/').next().unwrap_or_default(), full_name].into_iter().chain(parts);
        names.extend(people.map(|name| (PrivateKind::User, name.to_owned())));
        let is_phone = |text: &&str| text.bytes().filter(u8::is_ascii_digit).count() >= SHORTEST_PHONE;
        names.extend(about.filter(is_phone).map(|phone| (PrivateKind::Phone, phone.to_owned())));
    }
    names
}

/// Digits of a telephone number within one house.
const SHORTEST_PHONE: usize = 5;

/// UID_MIN of login.defs(5), and the id of `nobody`.
const FIRST_PERSON: u32 = 1_000;
const NOBODY: u32 = 65_534;

/// A full host name and its first label.
fn parse_host(text: &str) -> Vec<String> {
    let full = text.trim();
    let short = full.split('.').next().unwrap_or_default();
    if short == full { vec![full.to_owned()] } else { vec![full.to_owned(), short.to_owned()] }
}

/// The domains of resolv.conf(5) that have more than one label; `lan` and `local` are everybody's.
fn parse_domains(text: &str) -> Vec<String> {
    let words = text
        .lines()
        .map(str::split_ascii_whitespace)
        .filter_map(|mut words| matches!(words.next()?, "search" | "domain").then_some(words));
    words.flatten().filter(|domain| domain.trim_matches('.').contains('.')).map(str::to_owned).collect()
}

/// The names of hosts(5) but for those that every machine has.
fn parse_hosts_file(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.split('#').next());
    let names = lines.flat_map(|line| line.split_ascii_whitespace().skip(1));
    names.filter(|name| !name.starts_with("ip6-")).take(MAX_HOSTS).flat_map(parse_host).collect()
}

/// Names of one hosts file: lists against advertisements have a hundred thousand, of others' machines.
const MAX_HOSTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn names_without_end_are_cut_and_too_many_are_left_out() {
        let long = "王".repeat(1_000);
        let identity = Identity::of(vec![(PrivateKind::Serial, long.clone()), (PrivateKind::User, "alice".to_owned())]);
        let names: Vec<_> = identity.names().iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, [&long[..255], "alice"]);
        let many = (0..1_000).map(|n| (PrivateKind::Serial, format!("{n:0200}"))).collect();
        assert_eq!(Identity::of(many).names().len(), 32 * 1024 / 200);
    }

    #[test]
    fn people_hosts_and_domains_are_learnt() {
        let (_dir, root) = tree(&[
            (
                "etc/passwd",
                "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice Liddell,,,:/home/al:/bin/sh\n\
                nobody:x:65534:65534::/:/bin/false\nbad line\n",
            ),
            ("proc/sys/kernel/hostname", "wonder.example.org\n"),
            ("etc/resolv.conf", "search corp.example.org lan\n"),
        ]);
        let identity = Identity::learn(&root);
        let names: Vec<_> = identity.names().iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(
            names,
            ["alice", "al", "Alice Liddell", "Liddell", "wonder.example.org", "wonder", "corp.example.org"]
        );
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_passwd(&text);
            parse_host(&text);
            parse_domains(&text);
            parse_hosts_file(&text);
        }
    }
}
