//! What the customer was shown is what arrives: the same hash in their ledger, in the answer and on the ticket.

use std::io::Write;

use belay_tests::programs::{DEADLINE, Running, Site};
use serde_json::Value;

#[test]
fn one_hash_is_shown_written_down_sent_and_kept_on_the_ticket() {
    let site = Site::open().unwrap();
    let ticket = site.open_ticket().unwrap();
    let words = ["--yes", "--insecure-http", "--show", "--without", "disk,network", &ticket.link];
    let joined = Running::start(&mut site.join("one", &words).unwrap()).unwrap().finish(DEADLINE).unwrap();
    assert_eq!(joined.code, Some(0), "{joined}");
    let sent = joined.json().unwrap()["report_sha256"].as_str().unwrap().to_owned();

    assert!(joined.err.contains(&format!("SHA-256 {sent}")), "{joined}");
    assert!(joined.err.contains("The same, as it is sent") && joined.err.contains("Memory ("), "{joined}");
    assert_eq!(joined.err.matches("taken out by you").count(), 4, "twice each: {joined}");

    let ledger = std::fs::read_to_string(site.path().join("agent-one/consent.jsonl")).unwrap();
    let entry: Value = serde_json::from_str(ledger.lines().last().unwrap()).unwrap();
    assert_eq!(entry["report_sha256"], sent.as_str());

    let shown = site.show(&ticket.number).unwrap();
    let report = &shown["reports"][0];
    assert_eq!(report["sha256"], sent.as_str());
    assert_eq!(report["withheld"].as_array().map(Vec::len), Some(2), "{report}");
    let consent = &shown["sessions"][0]["consents"][0];
    assert_eq!(consent["shown_sha256"], sent.as_str(), "{shown}");
    let blob = site.desk().join("blobs").join(&sent[..2]).join(&sent);
    let bytes = std::fs::read(blob).unwrap();
    assert_eq!(bytes.len() as u64, report["size_bytes"].as_u64().unwrap());

    // The map of aliases has stayed, and is its owner's alone.
    let map = site.path().join("agent-one/aliases.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&map).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    writeln!(std::io::stdout(), "{sent}: {} bytes", bytes.len()).unwrap();
}
