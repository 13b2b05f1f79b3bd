//! The command lines: help, exit codes, settings, and what goes to which stream.

use std::path::Path;
use std::process::Command;

use belay_tests::programs::{DEADLINE, Ended, Program, Running, Site, captured_tree, kinds, run};
use belay_tests::requirement;
use clap::CommandFactory;
use rustix::process::Signal;

/// Every command of a program, each as the words that name it; the program itself is the empty list.
fn commands(program: Program) -> Vec<Vec<String>> {
    let command = match program {
        Program::Relay => belay_relay::cli::Cli::command(),
        Program::Agent => belay_agent::cli::Cli::command(),
        Program::Console => belay_console::cli::Cli::command(),
    };
    fn below(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        all.push(words.to_vec());
        for sub in command.get_subcommands() {
            below(sub, &[words, &[sub.get_name().to_owned()]].concat(), all);
        }
    }
    let mut all = Vec::new();
    below(&command, &[], &mut all);
    all
}

fn in_home(program: Program, home: &Path, words: &[&str]) -> Command {
    let mut command = program.command(home).unwrap();
    command.args(words);
    command
}

fn done(command: &mut Command) -> Ended {
    let ended = run(command).unwrap();
    assert_eq!(ended.code, Some(0), "{command:?}: {ended}");
    ended
}

#[test]
fn every_command_has_help_with_an_example() {
    let home = tempfile::tempdir().unwrap();
    for program in Program::ALL {
        assert!(commands(program).len() > 2, "{program:?}");
        for words in commands(program) {
            let ended = done(program.command(home.path()).unwrap().args(&words).arg("--help"));
            let example = ended.out.split_once("Example").map(|(_, after)| after).unwrap_or_default();
            let named = format!("\n  {}", [&[program.name().to_owned()], words.as_slice()].concat().join(" "));
            assert!(example.contains(&named), "{program:?} {words:?}: {ended}");
            assert_eq!(ended.err, "", "{program:?} {words:?}");
        }
    }
}

#[test]
fn an_unknown_option_is_wrong_usage_and_named() {
    let home = tempfile::tempdir().unwrap();
    for program in Program::ALL {
        for words in commands(program) {
            let ended = run(program.command(home.path()).unwrap().args(&words).arg("--no-such-option")).unwrap();
            assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{program:?} {words:?}: {ended}");
            assert!(ended.err.contains("'--no-such-option'"), "{program:?} {words:?}: {ended}");
        }
    }
}

#[test]
fn an_unknown_key_of_the_file_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("belay.toml"), "lgo = \"debug\"\n").unwrap();
    for (program, words) in [
        (Program::Relay, &["key", "--data", "made"][..]),
        (Program::Agent, &["survey"]),
        (Program::Console, &["init", "--data", "made"]),
    ] {
        for (words, variable) in [([words, &["--config", "belay.toml"]].concat(), ""), (words.to_vec(), "belay.toml")] {
            let mut command = in_home(program, home.path(), &words);
            if !variable.is_empty() {
                command.env("BELAY_CONFIG", variable);
            }
            let ended = run(&mut command).unwrap();
            assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended}");
            let sentence = "error: the configuration file belay.toml has the unknown key `lgo`; did you mean `log`?";
            assert_eq!(ended.err.trim_end(), sentence);
        }
    }
    assert!(!home.path().join("made").exists(), "it went on all the same");
}

#[test]
fn flag_variable_and_key_have_one_name_and_this_order() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();

    // The relay: where its key is.
    file("relay.toml", "data = \"by-file\"\n");
    let key = |words: &[&str], variable: Option<&str>| {
        let mut command = in_home(Program::Relay, home.path(), words);
        done(command.envs(variable.map(|value| ("BELAY_DATA", value)))).out
    };
    let [by_file, by_variable, by_flag] =
        ["by-file", "by-variable", "by-flag"].map(|at| key(&["key", "--data", at], None));
    assert!(by_file != by_variable && by_variable != by_flag);
    assert_eq!(key(&["key", "--config", "relay.toml"], None), by_file);
    assert_eq!(key(&["key", "--config", "relay.toml"], Some("by-variable")), by_variable);
    assert_eq!(key(&["key", "--config", "relay.toml", "--data", "by-flag"], Some("by-variable")), by_flag);

    // The console: how its first admin is called.
    file("console.toml", "admin = \"file\"\n");
    let admin = |at: &str, words: &[&str], variable: Option<&str>| {
        let mut command = in_home(Program::Console, home.path(), &["init", "--json", "--data", at]);
        done(command.args(words).envs(variable.map(|value| ("BELAY_ADMIN", value)))).json().unwrap()["admin"].clone()
    };
    assert_eq!(admin("desk-1", &[], None), "admin");
    assert_eq!(admin("desk-2", &["--config", "console.toml"], None), "file");
    assert_eq!(admin("desk-3", &["--config", "console.toml"], Some("variable")), "variable");
    assert_eq!(admin("desk-4", &["--config", "console.toml", "--admin", "flag"], Some("variable")), "flag");

    // The agent: what it looks at.
    for tree in ["tree-file", "tree-variable", "tree-flag"] {
        captured_tree(&home.path().join(tree), tree, 1).unwrap();
    }
    file("agent.toml", "root = \"tree-file\"\njson = true\n");
    let survey = |words: &[&str], variable: Option<&str>| {
        let mut command = in_home(Program::Agent, home.path(), &["survey", "--config", "agent.toml"]);
        let ended = done(command.args(words).envs(variable.map(|value| ("BELAY_ROOT", value))));
        ended.json().unwrap();
        ended.out
    };
    assert!(survey(&[], None).contains("tree-file_0"));
    assert!(survey(&[], Some("tree-variable")).contains("tree-variable_0"));
    assert!(survey(&["--root", "tree-flag"], Some("tree-variable")).contains("tree-flag_0"));
    let mut by_variable = in_home(Program::Agent, home.path(), &["survey", "--root", "tree-flag"]);
    done(by_variable.env("BELAY_JSON", "true")).json().unwrap();
}

#[test]
fn a_survey_as_json_is_alone_on_standard_output() {
    let home = tempfile::tempdir().unwrap();
    let ended = done(&mut in_home(Program::Agent, home.path(), &["survey", "--json", "--log", "trace"]));
    assert!(ended.json().unwrap()["sections"].as_array().is_some_and(|sections| !sections.is_empty()), "{ended}");
    let ended = done(&mut in_home(Program::Agent, home.path(), &["survey", "--json"]));
    assert_eq!(ended.err, "");
    let missing = run(&mut in_home(Program::Agent, home.path(), &["survey", "--json", "--root", "nowhere"])).unwrap();
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""), "{missing}");
}

#[test]
fn logs_go_to_standard_error_and_are_json_when_asked_for() {
    let as_json = ["--log-format", "json", "--log", "debug"];
    let site = Site::open_with(&[], &as_json.map(AsRef::as_ref)).unwrap();
    let ticket = site.open_ticket().unwrap();
    let mut join =
        in_home(Program::Agent, site.path(), &["join", "--yes", "--insecure-http", "--data", "agent", &ticket.link]);
    let joined = done(join.args(as_json));
    let mut site = site;
    let console = site.stop_console().unwrap();
    let mut relay = in_home(Program::Relay, site.path(), &["serve", "--listen", "127.0.0.1:0", "--data", "another"]);
    let relay = Running::start(relay.args(as_json)).unwrap();
    relay.err().line_with("listening").unwrap();
    let relay = relay.stop(Signal::TERM).unwrap();
    for ended in [&joined, &console, &relay] {
        assert_eq!(ended.code, Some(0), "{ended}");
        assert!(!ended.err.is_empty(), "{ended}");
        for line in ended.err.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
        }
    }
    assert!(joined.says("Done: Help desk has your report"), "{joined}");
    for ended in [&console, &relay] {
        assert_eq!(ended.out.lines().count(), 1, "{ended}");
    }
}

#[test]
fn a_customer_who_says_no_or_nothing_sends_nothing() {
    let site = Site::open().unwrap();
    for (name, typed) in [("no", "n\n"), ("end", ""), ("unclear", "perhaps\n")] {
        let ticket = site.open_ticket().unwrap();
        let mut command = site.join(name, &["--insecure-http", &ticket.link]).unwrap();
        let ended = Running::start_with_input(&mut command, typed).unwrap().finish(DEADLINE).unwrap();
        assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{typed:?}: {ended}");
        assert!(ended.err.contains("Nothing was sent"), "{typed:?}: {ended}");
        let shown = site.show(&ticket.number).unwrap();
        assert_eq!(shown["reports"], serde_json::json!([]), "{typed:?}");
        let expected = ["ticket_opened", "invite_minted", "session_started", "consent_recorded", "session_ended"];
        let seen: Vec<&str> = kinds(&shown).into_iter().filter(|kind| *kind != "time_recorded").collect();
        assert_eq!(
            seen, expected,
            "{typed:?}; a session of a second or more leaves its time, so that line may be there"
        );
        assert_eq!(shown["sessions"][0]["consents"][0]["granted"], serde_json::json!([]), "{typed:?}");
    }
    assert_eq!(std::fs::read_dir(site.desk().join("blobs")).unwrap().count(), 0, "a report's bytes are on the disk");
}

#[test]
fn who_is_told_that_a_server_is_ready_can_stop_it_at_once() {
    let home = tempfile::tempdir().unwrap();
    done(&mut in_home(Program::Console, home.path(), &["init", "--data", "desk"]));
    for _ in 0..5 {
        for (program, words, ready) in [
            (Program::Relay, ["serve", "--data", "relay", "--listen", "127.0.0.1:0"], "#"),
            (Program::Console, ["serve", "--data", "desk", "--http", "127.0.0.1:0"], "http://"),
        ] {
            let running = Running::start(&mut in_home(program, home.path(), &words)).unwrap();
            running.out().line_with(ready).unwrap();
            let ended = running.stop(Signal::TERM).unwrap();
            assert_eq!(ended.code, Some(0), "{program:?}: {ended}");
        }
    }
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let home = tempfile::tempdir().unwrap();
    let (tcp, udp) =
        (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    done(&mut in_home(Program::Console, home.path(), &["init", "--data", "desk"]));
    let (http, listen) = (tcp.local_addr().unwrap().to_string(), udp.local_addr().unwrap().to_string());
    for mut command in [
        in_home(Program::Console, home.path(), &["serve", "--data", "desk", "--http", &http]),
        in_home(Program::Relay, home.path(), &["serve", "--data", "relay", "--listen", &listen]),
    ] {
        let ended = run(&mut command).unwrap();
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended}");
        assert!(ended.err.contains("cannot be listened on"), "{ended}");
        assert_eq!((ended.err.lines().count(), ended.err.matches("in use").count()), (1, 1), "{ended}");
    }
}

#[test]
fn a_device_is_listed_revoked_and_restored_from_the_command_line() {
    let site = Site::open().unwrap();
    let join = || {
        let link = site.open_ticket().unwrap().link;
        run(site.join("device", &["--yes", "--insecure-http"]).unwrap().arg(&link)).unwrap()
    };
    assert_eq!(join().code, Some(0));
    let listed = site.ask(&["device", "list"]).unwrap();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["revoked"]), (1, &serde_json::Value::Null));
    let id = listed[0]["id"].to_string();
    let revoked = site.ask(&["device", "revoke", &id, "--reason", "stolen"]).unwrap();
    assert_eq!((&revoked["revoked"]["by"], &revoked["revoked"]["reason"]), (&"local".into(), &"stolen".into()));
    let refused = join();
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{refused}");
    assert!(refused.err.contains("does not accept this computer any more"), "{refused}");
    let console = |words: &[&str]| {
        let mut command = in_home(Program::Console, site.path(), words);
        run(command.arg("--data").arg(site.desk())).unwrap()
    };
    let listed = console(&["device", "list", "--lang", "zh"]);
    assert!(listed.out.contains("停用：stolen"), "{listed}");
    let unknown = console(&["device", "revoke", "999", "--reason", "stolen"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""), "{unknown}");
    let restored = console(&["device", "restore", &id]);
    assert!(restored.out.contains("may come in again"), "{restored}");
    assert_eq!(join().code, Some(0));
}

#[test]
fn an_account_is_unlocked_and_given_another_password_on_the_host() {
    let mut site = Site::open().unwrap();
    let added = site.ask(&["user", "add", "eva", "--role", "admin"]).unwrap();
    let reset = site.ask(&["user", "reset", "eva"]).unwrap();
    assert!(reset["link"].as_str().unwrap().contains("/setup#") && reset["link"] != added["link"], "{reset}");
    assert_eq!(site.ask(&["user", "unlock", "eva", "--reason", "called me"]).unwrap()["name"], "eva");
    let refused = site.ask(&["user", "unlock", "nobody", "--reason", "called me"]).unwrap_err().to_string();
    assert!(refused.contains("there is no user nobody"), "{refused}");
    // The last admin may have nothing else than the machine, with the console stopped.
    site.stop_console().unwrap();
    assert_eq!(site.ask(&["user", "unlock", "eva", "--reason", "locked out"]).unwrap()["name"], "eva");
    let users = site.ask(&["user", "list"]).unwrap();
    assert!(
        users.as_array().unwrap().iter().any(|user| user["name"] == "eva" && user["is_set_up"] == false),
        "{users}"
    );
}

/// What `strace` sees of programs that `words` of the agent start, the agent itself included.
fn started(home: &std::path::Path, words: &[&str]) -> Vec<String> {
    let agent = Program::Agent.command(home).unwrap();
    let calls = home.join("calls");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "--trace=execve,execveat", "-o"]).arg(&calls).arg(agent.get_program()).args(words);
    traced.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home).current_dir(home);
    let ended = run(&mut traced).unwrap();
    assert_eq!(ended.code, Some(0), "{ended}");
    let calls = std::fs::read_to_string(calls).unwrap();
    calls.lines().filter(|line| line.contains("exec")).map(str::to_owned).collect()
}

#[test]
fn a_survey_starts_no_other_program_unless_it_was_asked_to() {
    let missing = Command::new("strace").arg("-V").output().err().map(|error| error.to_string());
    if !requirement::is_met("strace", missing) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    for words in [&["survey", "--json"][..], &["survey"], &["survey", "--save", "report.belay"]] {
        let started = started(home.path(), words);
        assert_eq!(started.len(), 1, "{words:?}: {started:?}");
    }
}

#[test]
fn disks_are_asked_by_smartmontools_when_a_customer_allows_that_in_a_visit() {
    let site = Site::open().unwrap();
    let tree = site.path().join("tree");
    captured_tree(&tree, "module", 1).unwrap();
    std::fs::create_dir_all(tree.join("sys/block/sda")).unwrap();
    std::fs::write(tree.join("sys/block/sda/size"), "1000\n").unwrap();
    for (name, more, is_asked) in [("plain", &[][..], false), ("smart", &["--smart"], true)] {
        let link = site.open_ticket().unwrap().link;
        let words = [&["--yes", "--show", "--insecure-http", "--root", "tree", &link], more].concat();
        let ended = run(&mut site.join(name, &words).unwrap()).unwrap();
        assert_eq!(ended.code, Some(0), "{ended}");
        assert!(ended.err.contains("\"sda\""), "{ended}");
        assert_eq!(ended.err.contains("\"smartctl\""), is_asked, "{name}: {ended}");
    }
}
