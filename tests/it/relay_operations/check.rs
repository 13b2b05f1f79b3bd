//! What `belay-relay check` says.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;

use belay_relay::identity::Identity;
use belay_tests::programs::{Program, free_port, run};
use rustix::process::Signal;

use super::{Relay, check, figures_until, relay, verdicts, write_certificate, write_certificate_until};

#[test]
fn check_says_what_is_wrong_and_what_is_not() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path();
    let port = free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let judged = |words: &[&str]| verdicts(&check(at, &[&["--json", "--listen", &listen], words].concat()));
    let one = |words: &[&str], subject: &str| judged(words).remove(subject).unwrap_or_default();

    let fresh = judged(&[]);
    for subject in ["configuration", "organizations", "data", "udp", "tcp", "clock"] {
        assert_eq!(fresh[subject], "good", "{fresh:?}");
    }
    assert!(!at.join("data").exists(), "check made something");
    let said = check(at, &["--listen", &listen]);
    assert!(said.code == Some(0) && said.out.contains("Nothing is wrong") && said.err.is_empty(), "{said}");

    assert_eq!(run(&mut relay(at, &["key", "--data", "data"])).unwrap().code, Some(0));
    assert_eq!((one(&[], "key"), one(&[], "deny list")), ("good".to_owned(), "good".to_owned()));

    // The key and what is beside it.
    let mode =
        |path: &str, mode| std::fs::set_permissions(at.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    for exposed in [0o644, 0o640, 0o620] {
        mode("data/relay.key", exposed);
        assert_eq!(one(&[], "key"), "bad", "{exposed:o}");
    }
    let said = check(at, &["--listen", &listen]);
    assert!(said.code == Some(1) && said.out.contains("chmod 600 data/relay.key"), "{said}");
    let refused = run(&mut relay(at, &["serve", "--data", "data", "--listen", &listen])).unwrap();
    assert!(refused.code == Some(2) && refused.err.contains("chmod 600"), "{refused}");
    mode("data/relay.key", 0o600);
    mode("data", 0o777);
    assert_eq!(one(&[], "data"), "bad");
    mode("data", 0o700);
    std::fs::write(at.join("data/denied"), "rubbish\n").unwrap();
    assert_eq!(one(&[], "deny list"), "bad");
    std::fs::write(at.join("data/denied"), "cut o").unwrap();
    assert_eq!(one(&[], "deny list"), "warning");
    std::fs::remove_file(at.join("data/denied")).unwrap();
    std::fs::rename(at.join("data/relay.key"), at.join("kept")).unwrap();
    std::fs::write(at.join("data/relay.key"), "rubbish").unwrap();
    mode("data/relay.key", 0o600);
    assert_eq!(one(&[], "key"), "bad");
    std::fs::rename(at.join("kept"), at.join("data/relay.key")).unwrap();

    // The certificate.
    let certificate = ["--cert", "cert.pem", "--key", "key.pem"];
    assert_eq!(one(&certificate, "certificate"), "bad", "missing");
    write_certificate(at);
    assert_eq!(one(&certificate, "certificate"), "good");
    write_certificate_until(at, (2026, 1, 2));
    assert_eq!(one(&certificate, "certificate"), "bad", "expired");
    std::fs::copy(at.join("cert.pem"), at.join("other.pem")).unwrap();
    write_certificate(at);
    assert_eq!(one(&["--cert", "other.pem", "--key", "key.pem"], "certificate"), "bad", "not the key's");

    // Ports.
    let udp = UdpSocket::bind(&listen).unwrap();
    let ports = judged(&[]);
    assert_eq!((ports["udp"].as_str(), ports["tcp"].as_str()), ("bad", "good"));
    drop(udp);
    let tcp = TcpListener::bind(&listen).unwrap();
    let ports = judged(&[]);
    assert_eq!((ports["udp"].as_str(), ports["tcp"].as_str()), ("good", "bad"));
    assert!(!judged(&["--no-tunnels"]).contains_key("tcp"));
    assert_eq!(one(&["--no-tunnels", "--metrics", &listen], "metrics"), "bad");
    drop(tcp);
    assert_eq!(one(&["--metrics", "127.0.0.1:0"], "metrics"), "good");
    assert_eq!(one(&["--no-offload"], "offload"), "warning");
}

#[test]
fn check_judges_addresses_that_others_can_reach() {
    let home = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let everywhere = format!("0.0.0.0:{port}");
    let organization = Identity::generate().unwrap().organization_key().to_string();
    let judged =
        |words: &[&str]| verdicts(&check(home.path(), &[&["--json", "--listen", &everywhere], words].concat()));
    assert_eq!(judged(&[])["organizations"], "bad");
    assert_eq!(judged(&["--any-organization"])["organizations"], "warning");
    assert_eq!(judged(&["--organization", &organization])["organizations"], "good");
    let served = ["--organization", &organization, "--metrics"];
    let metrics = |words: &[&str]| judged(&[&served, words].concat()).remove("metrics").unwrap();
    let serve = |words: &[&str]| {
        let words = [&["serve", "--data", "data", "--listen", &everywhere], &served[..], words].concat();
        run(&mut relay(home.path(), &words)).unwrap()
    };
    // 192.0.2.1 is nobody's, so that nothing is served by mistake.
    assert_eq!(metrics(&["192.0.2.1:1"]), "bad");
    let refused = serve(&["192.0.2.1:1"]);
    assert!(refused.code == Some(2) && refused.err.contains("--metrics-anywhere"), "{refused}");
    let unserved = run(&mut relay(home.path(), &["serve", "--listen", &everywhere])).unwrap();
    assert!(unserved.code == Some(2) && unserved.err.contains("--organization"), "{unserved}");
    let not_here = serve(&["192.0.2.1:1", "--metrics-anywhere"]);
    assert!(not_here.code == Some(1) && not_here.err.contains("192.0.2.1:1 cannot be listened on"), "{not_here}");
}

#[test]
fn check_finds_what_is_wrong_with_file_and_variables() {
    let home = tempfile::tempdir().unwrap();
    let key = Identity::generate().unwrap().organization_key();
    for (toml, named) in [
        ("lsiten = '[::]:443'", "`lsiten`"),
        ("listen = ", "TOML"),
        ("listen = 'nowhere'", "'nowhere'"),
        (&format!("organization = ['{key}']\nany-organization = true"), "contradict"),
        ("cert = 'cert.pem'", "--cert and --key"),
    ] {
        std::fs::write(home.path().join("relay.toml"), toml).unwrap();
        let words = ["--config", "relay.toml", "--json"];
        let ended = check(home.path(), &words);
        assert_eq!(verdicts(&ended)["configuration"], "bad", "{toml}: {ended}");
        assert!(ended.out.contains(named), "{toml}: {ended}");
        let ended = check(home.path(), &words[..2]);
        assert!(ended.code == Some(1) && ended.out.starts_with("BAD     configuration: "), "{toml}: {ended}");
        let served = run(&mut relay(home.path(), &["serve", "--config", "relay.toml"])).unwrap();
        assert!(served.code == Some(2) && served.err.contains(named), "{toml}: {served}");
    }
    let mut command = relay(home.path(), &["check", "--json"]);
    assert_eq!(verdicts(&run(command.env("BELAY_SOCKETS", "0")).unwrap())["configuration"], "bad");
    let wrong = check(home.path(), &["--organization", "zz", "--json"]);
    assert!(wrong.code == Some(1) && verdicts(&wrong)["configuration"] == "bad", "{wrong}");
    let endless = check(home.path(), &["--config", "/dev/zero"]);
    assert!(endless.code == Some(1) && endless.out.contains("larger than"), "{endless}");
}

#[test]
fn check_knows_its_own_relay_from_others_that_hold_the_port() {
    let relay = Relay::start(&["--metrics", "127.0.0.1:0"]);
    let (listen, metrics) = (relay.address.host_port(), relay.metrics());
    let words = ["--json", "--listen", &listen, "--metrics", &metrics.to_string()];
    let own = verdicts(&check(relay.home.path(), &words));
    for subject in ["udp", "tcp", "metrics"] {
        assert_eq!(own[subject], "good", "{own:?}");
    }
    let stranger = tempfile::tempdir().unwrap();
    assert_eq!(
        run(Program::Relay.command(stranger.path()).unwrap().args(["key", "--data", "data"])).unwrap().code,
        Some(0)
    );
    let others = verdicts(&check(stranger.path(), &words));
    assert_eq!((others["udp"].as_str(), others["tcp"].as_str()), ("bad", "bad"));
    let seen = figures_until(metrics, |seen| seen["belay_relay_handshakes_total{outcome=\"looked\"}"] >= 1.0);
    assert_eq!(seen["belay_relay_handshakes_total{outcome=\"completed\"}"], 0.0);
}

#[test]
fn check_asks_the_relays_where_ends_are_sent() {
    let other = Relay::start(&[]);
    let key = &other.address.key;
    let home = tempfile::tempdir().unwrap();
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let judged = |elsewhere: &str| {
        let ended = check(home.path(), &["--json", "--listen", &listen, "--elsewhere", elsewhere]);
        (verdicts(&ended)["elsewhere"].clone(), ended)
    };
    assert_eq!(judged(&other.address.to_string()).0, "good");
    let stranger = Identity::generate().unwrap().relay_key();
    for (wrong, said) in [
        (format!("{}#{stranger}", other.address.host_port()), "has another key"),
        (format!("127.0.0.1:{}#{key}", free_port().unwrap()), "does not answer"),
        (format!("nowhere.invalid:443#{key}"), "has no address"),
    ] {
        let (verdict, ended) = judged(&wrong);
        assert!(verdict == "warning" && ended.out.contains(said), "{wrong}: {ended}");
    }
}

#[test]
fn check_sees_that_a_relay_elsewhere_uses_the_directory() {
    let running = Relay::start(&[]);
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let judged = || verdicts(&check(running.home.path(), &["--json", "--listen", &listen]));
    assert_eq!(judged()["data"], "bad");
    running.running.signal(Signal::KILL).unwrap();
    while judged()["data"] != "good" {}
}
