//! The program, killed at any instant: what it acknowledged is there, once, and the audit is whole.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_belay-console");

/// Instants at which the server is killed; each is a little later in its work than the one before.
const KILLS: u64 = 8;

fn run(data: &Path, command: &[&str]) -> Option<Value> {
    let output = Command::new(PROGRAM).args(command).arg("--json").arg("--data").arg(data).output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

fn serve(data: &Path) -> Child {
    let mut server = Command::new(PROGRAM);
    server.args(["serve", "--http", "127.0.0.1:0", "--log", "error", "--data"]).arg(data).stdout(Stdio::piped());
    let mut server = server.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert!(!ready.is_empty(), "the server did not start");
    server
}

#[test]
fn a_killed_server_loses_nothing_it_acknowledged() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    run(&data, &["init"]).unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for kill in 0..KILLS {
        let mut server = serve(&data);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut numbers = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let opened = run(&data, &["ticket", "open", "--title", "Killed", "--customer", "Nordwind"]);
                    numbers.extend(opened.map(|opened| opened["ticket"]["number"].as_str().unwrap().to_owned()));
                }
                numbers
            });
            // The instant is the point of this test, not a synchronisation.
            std::thread::sleep(Duration::from_millis(40 + 17 * kill));
            server.kill().unwrap();
            server.wait().unwrap();
            stop.store(true, Ordering::SeqCst);
            acknowledged.extend(writer.join().unwrap());
        });
    }
    assert!(!acknowledged.is_empty());
    for number in &acknowledged {
        let shown = run(&data, &["ticket", "show", number]).unwrap();
        assert_eq!(shown["ticket"]["number"], number.as_str());
    }
    let mut once = acknowledged.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), acknowledged.len());
    assert!(run(&data, &["audit", "verify"]).unwrap()["lines"].as_u64().unwrap() >= 2 * acknowledged.len() as u64);
}
