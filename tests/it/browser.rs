//! The technician's part of the main job, in a real Chromium.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use belay_agent::join::Joined;
use belay_console::contents;
use belay_console::policy::Role;
use belay_console::store::{Actor, Line};
use belay_protocol::DeviceKey;
use belay_protocol::invite::Invite;
use belay_protocol::report::Report;
use belay_protocol::rules::{Pack, Standing};
use belay_tests::programs::captured_tree;
use belay_tests::requirement;
use belay_tests::world::{World, run};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// Only a browser that hangs takes so long: every page is judged in two languages, two themes and two widths.
const BROWSER_MAX: Duration = Duration::from_secs(900);

fn browser_tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// A device that came once in a session, and whose reports of the weeks before were carried to the desk in files. Its disk
/// fills up; two weeks ago the customer kept the disks back.
async fn device_with_a_past(world: &World, tree: &Path) {
    let ticket = world.desk.ticket("Backups fail").await.unwrap();
    let mut options = world.options("device-with-a-past", &world.desk.invite(&ticket).await.unwrap());
    options.root = Some(tree.to_owned());
    let (outcome, page) = run(options, "").await;
    assert!(matches!(outcome, Ok(Joined::Filed(_))), "{outcome:?}\n{page}");
    let store = &world.desk.store;
    let filed = world.desk.reports(ticket.number).await.unwrap().remove(0);
    let device: DeviceKey = store.device(filed.device).await.unwrap().unwrap().key.parse().unwrap();
    let newest = Report::decode(&store.report_bytes(filed.id).await.unwrap().unwrap()).unwrap();
    let mut standing = Standing::new();
    for (weeks_ago, used, available, rtt_us) in
        [(4, 71, 62.5, 31_000), (3, 84, 48.0, 45_000), (2, 90, 30.0, 33_000), (1, 96, 8.0, 210_000)]
    {
        let mut past = serde_json::to_value(&newest).unwrap();
        past["header"]["taken_at_unix_ms"] = json!(newest.header.taken_at_unix_ms - weeks_ago * 7 * 24 * 3_600_000_i64);
        for section in past["sections"].as_array_mut().unwrap() {
            if weeks_ago == 2 && section.get("disk").is_some() {
                *section = json!({ "withheld": { "section": "disk", "reason": "by_person" } });
            } else if let Some(disk) = section.get_mut("disk") {
                disk["mounts"]["known"][0]["space"] = json!({ "known": {
                    "size_bytes": 1_000_000_000, "used_bytes": used * 10_000_000, "available_bytes": (100 - used) * 10_000_000,
                    "used_percent": used,
                } });
                disk["mounts"]["known"][0]["response"] = json!("answered");
            } else if let Some(memory) = section.get_mut("memory") {
                memory["ram"]["known"]["available_percent"] = json!(available);
            } else if let Some(network) = section.get_mut("network") {
                network["relay"]["known"]["rtt_us"] = json!(rtt_us);
            }
        }
        let judged = Pack::base().judge(&serde_json::from_value(past.clone()).unwrap(), &standing);
        standing = judged.standing;
        let findings = |section: &&mut Value| section.get("findings").is_some();
        let section = past["sections"].as_array_mut().unwrap().iter_mut().find(findings).unwrap();
        *section = json!({ "findings": judged.findings });
        let past: Report = serde_json::from_value(past).unwrap();
        let (bytes, contents) = (past.encode().unwrap(), contents::of(&device, &past));
        store.import_report(&Actor::Local, ticket.number, &device, bytes.into(), contents).await.unwrap();
    }
}

fn what_is_missing() -> Option<String> {
    let chromium = std::env::var("BELAY_CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !Path::new(&chromium).exists() {
        return Some(format!("there is no {chromium}"));
    }
    let driver = browser_tests().join("node_modules");
    (!driver.exists()).then(|| "run `npm ci --ignore-scripts` in tests/browser".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_technician_signs_in_gets_a_code_and_watches_the_findings_arrive() {
    if !requirement::is_met("chromium", what_is_missing()) {
        return;
    }
    let world = World::start().await.unwrap();
    // A machine that is short of memory, wherever this runs.
    let tree = world.dir().join("tree");
    captured_tree(&tree, "module", 3).unwrap();
    std::fs::write(tree.join("proc/meminfo"), "MemTotal: 1000000 kB\nMemAvailable: 20000 kB\n").unwrap();
    std::fs::create_dir_all(tree.join("proc/self")).unwrap();
    std::fs::write(tree.join("proc/self/mounts"), "/dev/sda1 / ext4 rw,relatime 0 0\n").unwrap();
    device_with_a_past(&world, &tree).await;
    for target in ["x86_64-pc-windows-gnu.exe", "x86_64-unknown-linux-musl"] {
        std::fs::write(world.dir().join(format!("agents/belay-agent-{target}")), target).unwrap();
    }
    let store = &world.desk.store;
    store.add_user(&Actor::Local, &Line::truncating("eva"), Role::Supervisor).await.unwrap();
    let link = store.mint_sign_in(&Actor::Local, "eva").await.unwrap();
    let mut program = Command::new("node")
        .args(["--test-reporter=spec", "console.test.mjs"])
        .current_dir(browser_tests())
        .env("BELAY_URL", &world.desk.profile.base_url)
        .env("BELAY_SIGN_IN", world.desk.profile.sign_in_link(&link.token))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut told = String::new();
    let mut joined = 0;
    let watched = timeout(BROWSER_MAX, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(invite) = line.strip_prefix("CODE ") {
                let invite: Invite = invite.parse().unwrap();
                let mut options = world.options(&format!("device-{joined}"), &invite);
                options.root = Some(tree.clone());
                let (outcome, page) = run(options, "").await;
                assert!(matches!(outcome, Ok(Joined::Filed(_))), "{outcome:?}\n{page}");
                joined += 1;
            }
            told.push_str(&line);
            told.push('\n');
        }
        program.wait().await.unwrap()
    });
    let Ok(status) = watched.await else { panic!("the browser does not end:\n{told}") };
    assert!(status.success(), "{told}");
    assert!(joined > 0, "the browser asked for an agent:\n{told}");
}
