//! A report from a machine without a network: saved there, carried here, filed under a ticket.

use std::path::Path;

use belay_protocol::saved::SAVED_MAX_BYTES;
use belay_tests::programs::{Ended, Program, Site, run};
use serde_json::Value;

/// A survey that is saved to `file` by the agent whose home is `home`.
fn save(home: &Path, file: &str) -> Ended {
    let mut command = Program::Agent.command(home).unwrap();
    run(command.args(["survey", "--data", "agent", "--lang", "en", "--save", file])).unwrap()
}

fn import(site: &Site, file: &str, ticket: &str) -> Ended {
    let mut command = Program::Console.command(site.path()).unwrap();
    command.args(["report", "import", file, "--ticket", ticket, "--json", "--data"]).arg(site.desk());
    run(&mut command).unwrap()
}

fn filed(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{ended}");
    ended.json().unwrap()
}

#[test]
fn a_saved_report_is_filed_once_under_its_ticket_with_its_findings() {
    let site = Site::open().unwrap();
    let ticket = site.open_ticket().unwrap().number;
    let saved = save(site.path(), "first.belay");
    assert_eq!(saved.code, Some(0), "{saved}");
    assert!(saved.out.starts_with("Saved to first.belay. Nothing was sent"), "{saved}");
    assert_eq!(save(site.path(), "second.belay").code, Some(0));

    let first = filed(&import(&site, "first.belay", &ticket));
    assert!(saved.out.contains(first["sha256"].as_str().unwrap()), "{saved}: what was shown is what was filed");
    assert_eq!((first["session"].clone(), first["withheld"].clone()), (Value::Null, serde_json::json!([])));
    let second = filed(&import(&site, "second.belay", &ticket));
    assert_eq!(second["device"], first["device"]);
    assert_ne!(second["id"], first["id"]);

    // Again, also to another ticket: it is there already.
    let other = site.open_ticket().unwrap().number;
    assert_eq!(filed(&import(&site, "first.belay", &ticket))["id"], first["id"]);
    assert_eq!(filed(&import(&site, "first.belay", &other))["id"], first["id"]);
    let mut command = Program::Console.command(site.path()).unwrap();
    let again = command.args(["report", "import", "first.belay", "--ticket", &other, "--data"]).arg(site.desk());
    let again = run(again.env("LC_ALL", "C")).unwrap();
    let told = format!("as {}, under {ticket}", first["id"]);
    assert!(again.out.contains("was filed already on") && again.out.contains(&told), "{again}");
    let shown = site.show(&ticket).unwrap();
    assert_eq!(shown["reports"].as_array().unwrap().len(), 2, "{shown}");
    assert_eq!(site.show(&other).unwrap()["reports"].as_array().unwrap().len(), 0);
    let audit = site.ask(&["audit", "verify"]).unwrap();
    assert!(audit.is_object(), "{audit}");

    // A machine that was shut out does not come back as a file.
    site.ask(&["device", "revoke", &first["device"].to_string(), "--reason", "Stolen"]).unwrap();
    assert_eq!(save(site.path(), "third.belay").code, Some(0));
    let refused = import(&site, "third.belay", &ticket);
    assert!(refused.code == Some(1) && refused.err.contains("shut out"), "{refused}");
}

#[test]
fn what_is_not_a_whole_and_true_report_is_refused_with_what_to_do() {
    let site = Site::open().unwrap();
    let ticket = site.open_ticket().unwrap().number;
    assert_eq!(save(site.path(), "good.belay").code, Some(0));
    let good = std::fs::read(site.path().join("good.belay")).unwrap();
    let refused = |name: &str, bytes: &[u8], said: &str| {
        std::fs::write(site.path().join(name), bytes).unwrap();
        let ended = import(&site, name, &ticket);
        assert!(ended.code == Some(1) && ended.out.is_empty() && ended.err.contains(said), "{name}: {ended}");
    };
    refused("empty", b"", "has written");
    refused("letter", b"Dear support, please find attached", "has written");
    refused("head", &good[..60], "cut off");
    refused("cut", &good[..good.len() - 1], "signature does not fit");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    refused("flipped", &flipped, "signature does not fit");
    let mut stolen = good.clone();
    stolen[20] ^= 1;
    refused("stolen", &stolen, "signature does not fit");
    refused("huge", &[&good[..16], &vec![7; SAVED_MAX_BYTES]].concat(), "longer than a report");
    let missing = import(&site, "nowhere.belay", &ticket);
    assert!(missing.code == Some(1) && missing.err.contains("nowhere.belay"), "{missing}");
    let no_ticket = import(&site, "good.belay", "BL-99999-0");
    assert_ne!(no_ticket.code, Some(0), "{no_ticket}");
    assert_eq!(site.show(&ticket).unwrap()["reports"].as_array().unwrap().len(), 0);

    let again = save(site.path(), "good.belay");
    assert!(again.code == Some(1) && again.err.contains("choose another name"), "{again}");
    assert_eq!(std::fs::read(site.path().join("good.belay")).unwrap(), good);
    filed(&import(&site, "good.belay", &ticket));
}
