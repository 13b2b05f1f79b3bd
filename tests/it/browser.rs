//! The technician's part of the main job, in a real Chromium.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use belay_agent::join::Joined;
use belay_console::policy::Role;
use belay_console::store::{Actor, Line};
use belay_protocol::invite::Invite;
use belay_tests::programs::captured_tree;
use belay_tests::requirement;
use belay_tests::world::{World, run};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

fn browser_tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
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
    let store = &world.desk.store;
    store.add_user(&Actor::Local, &Line::truncating("eva"), Role::Technician).await.unwrap();
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
    let watched = timeout(Duration::from_secs(300), async {
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
    let status = watched.await.expect("the browser ends");
    assert!(status.success(), "{told}");
    assert!(joined > 0, "the browser asked for an agent:\n{told}");
}
