//! The static agent, where there is nothing but itself.

use std::path::{Path, PathBuf};

use belay_tests::foreign;
use belay_tests::programs::{Ended, alone, run};
use belay_tests::requirement;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, elf};

fn agent() -> Option<PathBuf> {
    let found = foreign::musl_agent();
    let missing = found.as_ref().err().map(|error| format!("{error:#}"));
    requirement::is_met("musl agent", missing).then(|| found.unwrap())
}

#[test]
fn the_static_agent_asks_for_no_loader_and_no_library() {
    let Some(agent) = agent() else { return };
    let bytes = std::fs::read(agent).unwrap();
    let file = ElfFile64::<Endianness>::parse(&*bytes).unwrap();
    let endian = file.endian();
    let headers = file.elf_header().program_headers(endian, &*bytes).unwrap();
    assert!(!headers.is_empty());
    for header in headers {
        assert_ne!(header.p_type(endian), elf::PT_INTERP, "it wants a loader");
        let entries = header.dynamic(endian, &*bytes).unwrap().unwrap_or_default();
        assert!(entries.iter().all(|entry| entry.d_tag.get(endian) != elf::DT_NEEDED), "it wants a library");
    }
}

/// Rules about what the kernel and the network say without any file.
const ASKED_BY_CALLS: [&str; 2] = ["clock-wrong", "names-fail"];

#[test]
fn in_an_empty_chroot_the_agent_starts_and_says_what_it_cannot_see() {
    let Some(agent) = agent() else { return };
    let not_root = (!rustix::process::geteuid().is_root()).then(|| "chroot(2) takes root".to_owned());
    if !requirement::is_met("root", not_root) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    std::fs::copy(&agent, place.path().join("belay-agent")).unwrap();
    let inside = |words: &[&str]| {
        let mut command = alone(Path::new("chroot"), place.path());
        let ended = run(command.arg(place.path()).arg("/belay-agent").args(words).env("HOME", "/")).unwrap();
        assert!(!ended.err.contains("panicked"), "{ended}");
        ended
    };

    let told: Ended = inside(&["survey", "--json"]);
    assert_eq!(told.code, Some(0), "{told}");
    let told = told.json().unwrap();
    let section =
        |name: &str| &told["sections"].as_array().unwrap().iter().find(|s| s.get(name).is_some()).unwrap()[name];
    for (fact, source) in [
        (&section("memory")["ram"], "/proc/meminfo"),
        (&section("system")["uptime_seconds"], "/proc/uptime"),
        (&section("system")["process_count"], "/proc"),
        (&section("disk")["mounts"], "/proc/mounts"),
        (&section("drivers")["modules"], "/proc/modules"),
        (&section("network")["dns_servers"], "/etc/resolv.conf"),
    ] {
        let why = &fact["unknown"];
        assert_eq!((why["kind"].as_str(), why["source"].as_str()), (Some("not_offered"), Some(source)), "{fact}");
    }
    let findings = section("findings")["found"].as_array().unwrap();
    let judged = findings.iter().filter(|finding| matches!(finding["severity"].as_str(), Some("warn" | "crit")));
    let judged: Vec<_> = judged.filter_map(|finding| finding["rule"].as_str()).collect();
    assert!(judged.iter().all(|rule| ASKED_BY_CALLS.contains(rule)), "what cannot be seen was judged: {judged:?}");

    let page = inside(&["survey", "--lang", "en"]);
    assert_eq!(page.code, Some(0), "{page}");
    assert!(page.says("Could not look at") && page.says("there is no source for it"), "{page}");
    let checked = inside(&["survey", "--check"]);
    assert_eq!(checked.code, Some(0), "nothing critical is seen: {checked}");
}
