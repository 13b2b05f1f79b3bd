//! `belay-agent survey --watch`: a section again and again until somebody has seen enough.

use belay_tests::programs::{Program, Running};
use rustix::process::Signal;
use serde_json::Value;

fn watch(words: &[&str]) -> (tempfile::TempDir, Running) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Program::Agent.command(home.path()).unwrap();
    let running = Running::start(command.args(["survey", "--every", "1", "--watch"]).args(words)).unwrap();
    (home, running)
}

/// The lines that have come, once there are two.
fn two_lines(running: &Running) -> Vec<String> {
    let whole = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<String> =
            text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect();
        (lines.len() >= 2).then_some(lines)
    };
    running.out().wait_for("two lines", whole).unwrap()
}

#[test]
fn every_section_comes_again_until_it_is_cut_and_nothing_is_kept() {
    for section in ["system", "disk", "memory", "drivers", "network"] {
        let (home, running) = watch(&[section, "--json"]);
        let lines = two_lines(&running);
        let [first, second] = [0, 1].map(|index| serde_json::from_str::<Value>(&lines[index]).unwrap());
        let time = |line: &Value| line["taken_at_unix_ms"].as_i64().unwrap();
        assert!(time(&second) > time(&first), "{section}");
        assert!(first["section"][section].is_object(), "{section}: {first}");
        for signal in [Signal::INT, Signal::TERM] {
            let (_home, running) = watch(&[section]);
            two_lines(&running);
            let ended = running.stop(signal).unwrap();
            assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{section}: {ended}");
        }
        let ended = running.stop(Signal::INT).unwrap();
        assert_eq!(ended.code, Some(0), "{ended}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "{section}");
    }
}

#[test]
fn what_does_not_move_and_what_asks_others_is_left_out() {
    let (_home, running) = watch(&["network", "--json"]);
    let line: Value = serde_json::from_str(&two_lines(&running)[0]).unwrap();
    let network = &line["section"]["network"];
    for asked in ["dns_servers", "system_resolver", "desk", "relay"] {
        assert_eq!(network[asked]["unknown"]["kind"], "not_applicable", "{asked}: {network}");
    }
    assert!(network["interfaces"]["known"].is_array(), "{network}");
    for subject in ["findings", "nosuch"] {
        let (_home, running) = watch(&[subject]);
        let ended = running.finish(belay_tests::programs::DEADLINE).unwrap();
        assert!(ended.code == Some(2) && ended.err.contains("system, disk, memory, drivers, network"), "{ended}");
    }
}
