//! The first pass of redaction: what this machine calls its people and itself.

use std::collections::BTreeSet;

use belay_protocol::report::PrivateKind;

use crate::probe::{Root, os};

/// The machine's own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Names with their kind; in this order they get their aliases.
    names: Vec<(PrivateKind, String)>,
}

impl Identity {
    /// Learns the names of people, of the machine and of its domains from the system.
    pub fn learn(root: &Root) -> Self {
        let passwd = root.read("/etc/passwd").unwrap_or_default();
        let mut names: Vec<_> = parse_passwd(&passwd).into_iter().map(|name| (PrivateKind::User, name)).collect();
        if root.is_live() {
            let variable = |name: &str| std::env::var(name).ok();
            names.extend(LOGIN_VARIABLES.into_iter().filter_map(variable).map(|name| (PrivateKind::User, name)));
            let homes = ["HOME", "USERPROFILE"].into_iter().filter_map(variable);
            let last_steps = homes.filter_map(|home| home.rsplit(['/', '\\']).next().map(str::to_owned));
            names.extend(last_steps.map(|name| (PrivateKind::User, name)));
        }
        let host = os::host(root).map(|host| host.reveal().to_owned());
        let host = host.or_else(|_| root.read("/etc/hostname")).unwrap_or_default();
        names.extend(parse_host(&host).into_iter().map(|name| (PrivateKind::Host, name)));
        let domains = parse_domains(&root.read("/etc/resolv.conf").unwrap_or_default());
        names.extend(domains.into_iter().map(|name| (PrivateKind::Host, name)));
        Self::of(names)
    }

    /// Takes names that are known, without those that say nothing about anybody.
    pub fn of(names: Vec<(PrivateKind, String)>) -> Self {
        let mut seen = BTreeSet::new();
        let keep = |(_, name): &(PrivateKind, String)| {
            name.chars().count() >= SHORTEST && !EVERYWHERE.contains(&name.as_str()) && seen.insert(name.to_lowercase())
        };
        Self { names: names.into_iter().filter(keep).take(MAX_NAMES).collect() }
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

/// Accounts of one machine that are looked for.
const MAX_NAMES: usize = 1_024;

/// Names that every machine has.
const EVERYWHERE: [&str; 7] = ["root", "localhost", "localdomain", "nobody", "(none)", "SYSTEM", "Administrator"];

/// The accounts of people in passwd(5): those with a user id from 1000 on, and the last step of a home outside `/var`,
/// full names included, for both stand in paths and device names.
fn parse_passwd(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split(':').collect();
        let [login, _, id, _, full_name, home, ..] = fields[..] else { continue };
        if !id.parse::<u32>().is_ok_and(|id| (FIRST_PERSON..NOBODY).contains(&id)) {
            continue;
        }
        names.push(login.to_owned());
        names.extend(home.rsplit('/').next().map(str::to_owned));
        let full_name = full_name.split(',').next().unwrap_or_default();
        names.push(full_name.to_owned());
        names.extend(full_name.split(' ').filter(|part| part.chars().count() > SHORTEST).map(str::to_owned));
    }
    names
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

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
        }
    }
}
