//! `belay-agent doctor`: what it says about the way to a desk.

use belay_protocol::invite::{Invite, RelayAddress};
use belay_tests::programs::{DEADLINE, Ended, OpenedTicket, Program, Running, Site, free_port};
use serde_json::Value;

fn help_host(ticket: &OpenedTicket) -> String {
    ticket.link.parse::<Invite>().unwrap().desk
}

fn doctor(site: &Site, words: &[&str], proxy: &str) -> Ended {
    let mut command = Program::Agent.command(site.path()).unwrap();
    command.args(["doctor", "--insecure-http"]).args(words).env("HTTPS_PROXY", proxy);
    Running::start(&mut command).unwrap().finish(DEADLINE).unwrap()
}

/// The verdict on each step, by its id.
fn verdicts(ended: &Ended) -> Vec<(String, String)> {
    let json = ended.json().unwrap();
    let checks = json["checks"].as_array().unwrap();
    let bad = checks.iter().any(|check| check["verdict"] == "bad");
    assert_eq!((json["reached"] == true, ended.code), (!bad, Some(i32::from(bad))), "{ended}");
    for check in checks {
        assert_eq!(check["remedy"].is_string(), check["verdict"] == "bad" || check["verdict"] == "warning", "{check}");
    }
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks.iter().map(|check| (text(&check["id"]), text(&check["verdict"]))).collect()
}

fn judged(site: &Site, help: &str) -> Vec<(String, String)> {
    verdicts(&doctor(site, &["--json", help], ""))
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, verdict)| ((*id).to_owned(), (*verdict).to_owned())).collect()
}

const DESK: (&str, &str) = ("desk", "good");
const UDP: (&str, &str) = ("relay_udp", "good");
const TCP: (&str, &str) = ("relay_tcp", "good");
const SUPPORT: (&str, &str) = ("support", "good");

#[test]
fn every_step_of_a_good_way_is_good_and_uses_nothing_up() {
    let site = Site::open().unwrap();
    let ticket = site.open_ticket().unwrap();
    let help = help_host(&ticket);
    assert_eq!(judged(&site, &help), pairs(&[("name", "good"), DESK, UDP, TCP, SUPPORT]));
    assert_eq!(judged(&site, &ticket.link), pairs(&[("name", "good"), DESK, UDP, TCP, SUPPORT]));
    for (language, conclusion) in [("en", "This machine reaches support."), ("zh", "本机可以连接到客服。")] {
        let ended = doctor(&site, &["--lang", language, &help], "");
        assert!(ended.code == Some(0) && ended.out.ends_with(&format!("{conclusion}\n")), "{ended}");
        assert!(ended.out.lines().filter(|line| line.starts_with("✓ ")).count() == 5, "{ended}");
    }
    // No device has become known, and the code is good.
    assert_eq!(site.ask(&["device", "list"]).unwrap().as_array().unwrap().len(), 0);
    let joined = Running::start(&mut site.join("device", &["--yes", "--insecure-http", &ticket.link]).unwrap());
    assert_eq!(joined.unwrap().finish(DEADLINE).unwrap().code, Some(0));
}

#[test]
fn what_is_in_the_way_is_named_with_what_to_do() {
    let site = Site::open().unwrap();
    let ticket = site.open_ticket().unwrap();
    let relay: RelayAddress = site.relay().out().line_with("#").unwrap().parse().unwrap();
    let port = relay.port;

    // Somebody else's key at the relay's address.
    let stranger = belay_relay::identity::Identity::generate().unwrap().relay_key();
    let link = ticket.link.replace(&relay.key.to_string(), &stranger.to_string());
    let ended = doctor(&site, &[&link], "");
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.says("is not the one in your invite") && ended.says("new invite"), "{ended}");

    // Nothing there, and no desk either.
    let nobody = free_port().unwrap();
    let link = ticket.link.replace(&format!(":{port}/"), &format!(":{nobody}/"));
    assert_ne!(link, ticket.link);
    let ended = doctor(&site, &["--json", &link], "");
    assert_eq!(verdicts(&ended), pairs(&[("name", "good"), DESK, ("relay_udp", "bad"), ("relay_tcp", "bad")]));
    assert!(ended.out.contains("It is expected on this very machine: start it here"), "{ended}");
    let ended = doctor(&site, &["--json", &format!("localhost:{nobody}")], "");
    assert_eq!(verdicts(&ended), pairs(&[("name", "good"), ("desk", "bad")]), "{ended}");
    // Who has a link gets there without the host.
    let host = help_host(&ticket);
    let away = ticket.link.replace(&format!("desk={host}"), &format!("desk=localhost:{nobody}"));
    assert_ne!(away, ticket.link);
    assert_eq!(judged(&site, &away), pairs(&[("name", "good"), ("desk", "warning"), UDP, TCP, SUPPORT]));

    // A proxy that leads nowhere spoils the way that it is for.
    let ended = doctor(&site, &["--json", &ticket.link], &format!("http://user:s3cret@127.0.0.1:{nobody}"));
    assert!(ended.code == Some(0) && !ended.out.contains("s3cret"), "{ended}");
    assert!(verdicts(&ended).contains(&("relay_tcp".to_owned(), "unknown".to_owned())), "{ended}");

    // What is no address at all.
    for (wrong, code) in [("belay://nonsense", 2), ("not a host", 2), ("", 2)] {
        let ended = doctor(&site, &[wrong], "");
        assert!(ended.code == Some(code) && ended.out.is_empty() && !ended.err.is_empty(), "{wrong}: {ended}");
    }
}

#[test]
fn a_desk_that_is_away_is_told_apart_from_a_way_that_is_closed() {
    let mut site = Site::open().unwrap();
    let ticket = site.open_ticket().unwrap();
    site.stop_console().unwrap();
    let ended = doctor(&site, &["--json", &ticket.link], "");
    assert_eq!(
        verdicts(&ended),
        pairs(&[("name", "good"), ("desk", "warning"), UDP, TCP, ("support", "bad")]),
        "{ended}"
    );
    assert!(ended.out.contains("their console may be stopped"), "{ended}");
}
