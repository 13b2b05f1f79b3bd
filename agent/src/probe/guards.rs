//! Signs of protection: a firewall that somebody set up, and programs against malware that run.

use std::collections::BTreeSet;

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Firewall, Why, WhyKind};

use super::{Root, native, or_native};

/// The names of the programs that run.
pub fn running(root: &Root) -> Result<BTreeSet<String>, Why> {
    or_native(running_in_files(root), native::running)
}

fn running_in_files(root: &Root) -> Result<BTreeSet<String>, Why> {
    let pids = root.list("/proc", "/proc")?;
    let comm = |pid: &String| root.read_for(&format!("/proc/{pid}/comm"), "/proc/*/comm").ok();
    let pids = pids.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let names: BTreeSet<_> = pids.filter_map(comm).map(|name| name.trim().to_owned()).collect();
    if names.is_empty() { Err(Why::new(WhyKind::NotOffered, "/proc/*/comm")) } else { Ok(names) }
}

/// Signs of a firewall. None found is known only where the places that would show one could be read.
pub fn firewall(root: &Root, running: &BTreeSet<String>) -> Result<Firewall, Why> {
    or_native(firewall_in_files(root, running), native::firewall)
}

fn firewall_in_files(root: &Root, running: &BTreeSet<String>) -> Result<Firewall, Why> {
    let mut signs = Vec::new();
    if root.read(UFW).is_ok_and(|text| text.lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes"))) {
        signs.push("ufw");
    }
    signs.extend(SERVICES.into_iter().filter(|name| running.contains(*name)));
    let tables = root.read(TABLES);
    if tables.as_ref().is_ok_and(|text| !text.trim().is_empty()) {
        signs.push("iptables");
    }
    let modules = root.read(MODULES);
    if modules.as_ref().is_ok_and(|text| is_used(text, "nf_tables")) {
        signs.push("nftables");
    }
    match (signs.is_empty(), tables, modules) {
        (true, Err(why), _) if why.kind != WhyKind::NotOffered => Err(why),
        // A kernel with everything built in does not show whether anybody uses it.
        (true, _, Err(why)) => Err(why),
        _ => Ok(Firewall { signs: BoundedVec::truncating(signs.into_iter().map(Name::truncating)).0 }),
    }
}

const UFW: &str = "/etc/ufw/ufw.conf";
const TABLES: &str = "/proc/net/ip_tables_names";
const MODULES: &str = "/proc/modules";
const SERVICES: [&str; 3] = ["firewalld", "shorewall", "opensnitchd"];

/// Whether another module uses `module`: the third field of `/proc/modules`.
pub fn is_used(modules: &str, module: &str) -> bool {
    let line = modules.lines().find(|line| line.split(' ').next() == Some(module));
    line.and_then(|line| line.split(' ').nth(2)?.parse::<u32>().ok()).is_some_and(|users| users > 0)
}

/// The programs against malware that run.
pub fn antivirus(running: &BTreeSet<String>) -> BoundedVec<Name, 16> {
    let known = ANTIVIRUS.into_iter().filter(|(process, _)| running.contains(*process)).map(|(_, product)| product);
    let products: BTreeSet<_> = known.collect();
    BoundedVec::truncating(products.into_iter().map(Name::truncating)).0
}

/// Names of processes, cut to fifteen bytes as Linux keeps them, and whose they are.
const ANTIVIRUS: [(&str, &str); 19] = [
    ("clamd", "ClamAV"),
    ("clamonacc", "ClamAV"),
    ("wdavdaemon", "Microsoft Defender"),
    ("falcon-sensor", "CrowdStrike Falcon"),
    ("falcon-sensor-b", "CrowdStrike Falcon"),
    ("s1-agent", "SentinelOne"),
    ("savd", "Sophos"),
    ("sophos_threat_d", "Sophos"),
    ("oaeventd", "ESET"),
    ("eraagent", "ESET"),
    ("kesl", "Kaspersky"),
    ("ds_agent", "Trend Micro"),
    ("bdsecd", "Bitdefender"),
    ("AliYunDun", "Alibaba Cloud Security"),
    ("MsMpEng.exe", "Microsoft Defender"),
    ("CSFalconService.exe", "CrowdStrike Falcon"),
    ("SentinelAgent.exe", "SentinelOne"),
    ("ekrn.exe", "ESET"),
    ("avp.exe", "Kaspersky"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    fn signs(files: &[(&str, &str)]) -> Result<Vec<String>, WhyKind> {
        let (_dir, root) = tree(files);
        let running = running(&root).unwrap_or_default();
        let firewall = firewall(&root, &running).map_err(|why| why.kind)?;
        Ok(firewall.signs.iter().map(Name::to_string).collect())
    }

    #[test]
    fn any_sign_of_a_firewall_counts() {
        assert_eq!(signs(&[("etc/ufw/ufw.conf", "ENABLED=yes\n")]), Ok(vec!["ufw".to_owned()]));
        assert_eq!(signs(&[("proc/7/comm", "firewalld\n")]), Ok(vec!["firewalld".to_owned()]));
        assert_eq!(signs(&[("proc/net/ip_tables_names", "filter\n")]), Ok(vec!["iptables".to_owned()]));
        let modules = "nf_tables 315392 84 nft_ct, Live 0x0\n";
        assert_eq!(signs(&[("proc/modules", modules)]), Ok(vec!["nftables".to_owned()]));
    }

    #[test]
    fn no_sign_is_known_only_where_one_would_show() {
        assert_eq!(signs(&[("proc/modules", "ext4 1 2 - Live 0x0\n")]), Ok(vec![]));
        assert_eq!(signs(&[("proc/stat", "")]), Err(WhyKind::NotOffered));
    }

    #[test]
    fn programs_against_malware_are_known_by_their_processes() {
        let running = BTreeSet::from(["clamd".to_owned(), "clamonacc".to_owned(), "bash".to_owned()]);
        let found = antivirus(&running);
        assert_eq!((found.len(), found[0].as_str()), (1, "ClamAV"));
        assert!(ANTIVIRUS.iter().all(|(process, _)| process.len() <= 15 || process.ends_with(".exe")));
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            is_used(&text, "nf_tables");
        }
    }
}
