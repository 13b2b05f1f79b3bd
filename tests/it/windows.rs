//! The agent for Windows under wine, against a relay and a console on Linux.

use std::collections::BTreeSet;
use std::path::Path;

use belay_protocol::report::{Fact, Reachability, Report, Section, Transport};
use belay_tests::foreign::Wine;
use belay_tests::programs::{DEADLINE, Ended, Running, Site, kinds, run};
use belay_tests::requirement;
use object::LittleEndian;
use object::read::pe::PeFile64;
use serde_json::Value;

fn wine() -> Option<Wine> {
    let found = Wine::found(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let missing = found.as_ref().err().map(|error| format!("{error:#}"));
    requirement::is_met("wine", missing).then(|| found.unwrap())
}

#[test]
fn the_windows_agent_asks_for_no_library_but_those_of_windows() {
    let Some(wine) = wine() else { return };
    let bytes = std::fs::read(wine.agent()).unwrap();
    let file = PeFile64::parse(&*bytes).unwrap();
    let table = file.import_table().unwrap().unwrap();
    let mut descriptors = table.descriptors().unwrap();
    let mut libraries = BTreeSet::new();
    while let Some(descriptor) = descriptors.next().unwrap() {
        let name = table.name(descriptor.name.get(LittleEndian)).unwrap();
        libraries.insert(String::from_utf8_lossy(name).to_lowercase());
    }
    assert!(libraries.contains("kernel32.dll"), "{libraries:?}");
    assert!(!libraries.iter().any(|library| library.starts_with("lib")), "{libraries:?}");
}

fn survey(wine: &Wine, home: &Path, words: &[&str]) -> Ended {
    let ended = run(wine.command(home).args(["survey"]).args(words)).unwrap();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(!ended.err.contains("panicked"), "{ended}");
    ended
}

#[test]
fn a_survey_under_wine_tells_what_is_there_and_why_the_rest_is_not() {
    let Some(wine) = wine() else { return };
    let home = tempfile::tempdir().unwrap();
    let told = survey(&wine, home.path(), &["--json"]).json().unwrap();
    let section =
        |name: &str| &told["sections"].as_array().unwrap().iter().find(|s| s.get(name).is_some()).unwrap()[name];

    // What Windows calls tell of this machine is what Linux says of it.
    let drives = section("disk")["mounts"]["known"].as_array().unwrap();
    let drive = drives.iter().find(|drive| drive["mount_point"] == "C:\\").unwrap();
    let here = rustix::fs::statvfs(wine.prefix()).unwrap();
    assert_eq!(drive["space"]["known"]["size_bytes"], here.f_blocks * here.f_frsize, "{drive}");
    assert_eq!(drive["response"], "answered");
    assert!(drive["fs_type"].as_str().is_some_and(|fs_type| !fs_type.is_empty()), "{drive}");

    let ram = section("memory")["ram"]["known"]["total_bytes"].as_f64().unwrap();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let all = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")).unwrap();
    let all = all.parse::<f64>().unwrap() * 1024.0;
    assert!((ram / all - 1.0).abs() < 0.05, "{ram} of {all}");
    assert!(section("memory")["commit"]["known"]["limit_bytes"].is_u64());

    let system = section("system");
    assert_eq!(system["os"]["known"]["id"], "windows");
    assert!(system["uptime_seconds"]["known"].is_u64());
    let busy = system["cpu_use"]["known"]["busy_percent"].as_f64().unwrap();
    assert!((0.0..=100.0).contains(&busy), "{busy}");
    let largest = system["largest_processes"]["known"].as_array().unwrap();
    let own = largest.iter().find(|process| process["name"] == "belay-agent.exe");
    assert!(own.is_some_and(|own| own["resident_bytes"].as_u64() > Some(1 << 20)), "{largest:?}");
    assert!(system["process_count"]["known"].as_u64() >= Some(largest.len() as u64));
    let services = &system["upkeep"]["services"]["known"];
    let [installed, running] = ["installed", "running"].map(|count| services[count].as_u64().unwrap());
    // Those of a wine that has just begun may still be starting.
    assert!(installed > 0 && running <= installed, "{services}");
    assert!(system["upkeep"]["failed_units"]["known"].is_array());

    let adapters = section("network")["interfaces"]["known"].as_array().unwrap();
    let names: BTreeSet<_> = adapters.iter().filter_map(|adapter| adapter["name"].as_str()).collect();
    let here: Vec<_> = std::fs::read_dir("/sys/class/net").unwrap().map(|e| e.unwrap().file_name()).collect();
    let others = here.iter().filter_map(|name| name.to_str()).filter(|name| *name != "lo");
    assert!(others.clone().count() == 0 || others.clone().any(|name| names.contains(name)), "{names:?} {here:?}");
    assert!(adapters.iter().all(|adapter| adapter["addresses"]["known"].is_array()), "{adapters:?}");

    // What is not there has its reason.
    let mut reasons = Vec::new();
    collect_reasons(&told, &mut reasons);
    assert!(!reasons.is_empty());
    for why in &reasons {
        let texts = [&why["kind"], &why["source"]].map(|text| text.as_str().unwrap_or_default());
        assert!(texts.iter().all(|text| !text.is_empty()), "{why}");
    }
    let firmware = &system["hardware"]["temperatures"]["unknown"]["kind"];
    assert_eq!(firmware, "not_supported");

    let page = survey(&wine, home.path(), &["--lang", "en"]);
    for words in
        ["C:\\", "programs running", "services", "Could not look at", "not yet supported on this operating system"]
    {
        assert!(page.says(words), "{words}: {page}");
    }
}

fn collect_reasons<'a>(value: &'a Value, reasons: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            reasons.extend(fields.get("unknown").filter(|why| why.is_object()));
            fields.values().for_each(|value| collect_reasons(value, reasons));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_reasons(value, reasons)),
        _ => {}
    }
}

#[test]
fn a_windows_agent_joins_a_ticket_through_the_relay_when_its_owner_agrees() {
    let Some(wine) = wine() else { return };
    let site = Site::open().unwrap();
    let join = |ticket: &str, typed: &str| {
        let mut command = wine.command(site.path());
        command.args(["join", "--lang", "en", "--json", "--insecure-http", "--data", "agent-windows", ticket]);
        Running::start_with_input(&mut command, typed).unwrap().finish(DEADLINE).unwrap()
    };

    let ticket = site.open_ticket().unwrap();
    let refused = join(&ticket.link, "n\r\n");
    assert_eq!((refused.code, refused.out.as_str()), (Some(3), ""), "{refused}");
    assert_eq!(site.show(&ticket.number).unwrap()["reports"], serde_json::json!([]));

    let ticket = site.open_ticket().unwrap();
    let joined = join(&ticket.link, "y\r\n");
    assert_eq!(joined.code, Some(0), "{joined}");
    let sent = joined.json().unwrap()["report_sha256"].as_str().unwrap().to_owned();
    let shown = site.show(&ticket.number).unwrap();
    assert_eq!(shown["reports"][0]["sha256"], sent.as_str(), "{shown}");
    assert!(kinds(&shown).contains(&"consent_recorded"), "{shown}");

    let blob = site.desk().join("blobs").join(&sent[..2]).join(&sent);
    let report = Report::decode(&std::fs::read(blob).unwrap()).unwrap();
    let system = report.sections.iter().find_map(|section| match section {
        Section::System(system) => system.os.known(),
        _ => None,
    });
    assert_eq!(system.unwrap().id.as_str(), "windows");
    let path = report.sections.iter().find_map(|section| match section {
        Section::Network(network) => Some(&network.relay),
        _ => None,
    });
    let Some(Fact::Known(path)) = path else { panic!("{path:?}") };
    assert_eq!((path.reachability, path.transport), (Reachability::Reached, Some(Transport::Udp)), "{joined}");
}
