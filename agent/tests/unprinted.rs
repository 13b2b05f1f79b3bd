//! The program, whose standard output takes nothing: what was not printed is not done.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_belay-agent");

/// Runs the program with its output redirected as a shell does it.
fn run(redirection: &str, language: &str, command: &[&str], home: &Path) -> Output {
    let script = format!(r#"exec "$0" "$@" {redirection}"#);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script, PROGRAM, "--lang", language])
        .args(command)
        .env("HOME", home)
        .env_remove("XDG_DATA_HOME");
    shell.output().unwrap()
}

#[test]
fn what_cannot_be_printed_is_said_and_fails() {
    let home = tempfile::tempdir().unwrap();
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("proc")).unwrap();
    let (tree, saved) = (tree.path().to_str().unwrap(), home.path().join("report.belay"));
    let data = home.path().join("data");
    let (saved, data) = (saved.to_str().unwrap(), data.to_str().unwrap());
    let made = run(">/dev/null", "en", &["survey", "--save", saved, "--data", data], home.path());
    assert!(made.status.success(), "{made:?}");
    let commands: [&[&str]; 9] = [
        &["survey", "--root", tree],
        &["survey", "--root", tree, "--json"],
        &["survey", "--root", tree, "--show"],
        &["rules", "list"],
        &["rules", "list", "--json"],
        &["rules", "show", "disk-space"],
        &["open", saved],
        &["open", saved, "--json"],
        // Nobody listens on the port of discarded packets.
        &["doctor", "127.0.0.1:9", "--insecure-http"],
    ];
    for command in commands {
        for redirection in [">&-", ">/dev/full"] {
            for (language, words) in [("en", "the output cannot be written"), ("zh", "无法写出结果")] {
                let Output { status, stderr, .. } = run(redirection, language, command, home.path());
                let said = String::from_utf8_lossy(&stderr);
                assert_eq!(status.code(), Some(1), "{command:?} {redirection}: {said}");
                assert!(said.contains(words), "{command:?} {redirection}: {said}");
            }
        }
    }
}

#[test]
fn what_nobody_wants_to_read_further_is_done() {
    let home = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut program = Command::new(PROGRAM);
    program.args(["rules", "list"]).env("HOME", home.path()).stdout(writer);
    let Output { status, stderr, .. } = program.output().unwrap();
    assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
}

#[test]
fn what_goes_nowhere_on_purpose_is_done() {
    let home = tempfile::tempdir().unwrap();
    for redirection in [">/dev/null", "1<>/dev/null"] {
        let Output { status, stderr, .. } = run(redirection, "en", &["rules", "list"], home.path());
        assert!(status.success() && stderr.is_empty(), "{redirection}: {}", String::from_utf8_lossy(&stderr));
    }
}
