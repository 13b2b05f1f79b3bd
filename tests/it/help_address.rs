//! A help address over HTTPS with a certificate that the machine trusts, or does not.

use std::ffi::OsStr;
use std::process::Command;

use belay_tests::certificates;
use belay_tests::programs::{DEADLINE, Ended, Program, Running, Site, free_port, kinds, run};
use belay_tests::proxy::ConnectProxy;

use crate::proxy::AUTHORIZATION;

/// A desk at `localhost:PORT`, whose certificate only an authority of the test's own vouches for.
struct Desk {
    site: Site,
    host: String,
    certificates: tempfile::TempDir,
}

impl Desk {
    fn open() -> Self {
        let certificates = tempfile::tempdir().unwrap();
        certificates::write(certificates.path(), "localhost").unwrap();
        let port = free_port().unwrap();
        let (host, address) = (format!("localhost:{port}"), format!("127.0.0.1:{port}"));
        let file = |name: &str| certificates.path().join(name);
        let (certificate, key) = (file("localhost.pem"), file("localhost.key"));
        let init = [OsStr::new("--help-host"), host.as_ref()];
        let serve =
            ["--https".as_ref(), address.as_ref(), "--cert".as_ref(), certificate.as_os_str(), "--key".as_ref()];
        let serve: Vec<&OsStr> = serve.into_iter().chain([key.as_os_str()]).collect();
        let site = Site::open_with(&init, &serve).unwrap();
        Self { site, host, certificates }
    }

    /// `join` on a machine that trusts the authority.
    fn join(&self, name: &str, words: &[&str]) -> Command {
        let mut command = self.join_without_trust(name, words);
        command.env("SSL_CERT_FILE", self.certificates.path().join("authority.pem"));
        command
    }

    fn join_without_trust(&self, name: &str, words: &[&str]) -> Command {
        let mut command = self.site.join(name, &["--yes"]).unwrap();
        command.args(words);
        command
    }

    /// Keys of agents that the relay has ever met.
    fn keys_at_the_relay(&self) -> usize {
        self.site.relay().err().text().matches("role=\"agent\"").count()
    }
}

/// The device's own, and one that is made to try each way to the relay and forgotten.
const KEYS_OF_A_JOIN: usize = 3;

fn done(command: &mut Command) -> Ended {
    let ended = Running::start(command).unwrap().finish(DEADLINE).unwrap();
    assert_eq!(ended.code, Some(0), "{ended}");
    ended
}

#[test]
fn a_help_address_and_a_spoken_code_lead_to_a_verified_desk() {
    let desk = Desk::open();
    let verified = format!("(verified: {})", desk.host);
    let ticket = desk.site.open_ticket().unwrap();
    assert!(ticket.spoken.contains(' ') && ticket.spoken != ticket.code);
    // As one word with spaces in it, and as people type it without quotes.
    let ended = done(&mut desk.join("one", &[&desk.host, &ticket.spoken]));
    assert!(ended.err.contains(&verified), "{ended}");
    assert_eq!(ended.json().unwrap()["is_verified"], true);
    let ticket = desk.site.open_ticket().unwrap();
    let typed: Vec<&str> = [desk.host.as_str()].into_iter().chain(ticket.spoken.split(' ')).collect();
    let ended = done(&mut desk.join("two", &typed));
    assert_eq!(ended.json().unwrap()["ticket"], ticket.number);
    let shown = desk.site.show(&ticket.number).unwrap();
    assert_eq!(shown["reports"][0]["sha256"], ended.json().unwrap()["report_sha256"]);
}

#[test]
fn a_machine_that_does_not_trust_the_certificate_refuses_and_the_code_stays_unused() {
    let desk = Desk::open();
    let ticket = desk.site.open_ticket().unwrap();
    let ended = run(&mut desk.join_without_trust("one", &[&desk.host, &ticket.code])).unwrap();
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended}");
    let start = format!("Stopped: {0} did not prove that it is {0} (", desk.host);
    assert!(ended.err.starts_with(&start) && ended.err.contains("certificate"), "{ended}");
    assert_eq!(ended.err.trim_end().lines().count(), 1, "{ended}");
    assert_eq!(kinds(&desk.site.show(&ticket.number).unwrap()), ["ticket_opened", "invite_minted"]);
    // It was the trust that was missing, and nothing was lost.
    done(&mut desk.join("one", &[&desk.host, &ticket.code]));
    assert_eq!(desk.keys_at_the_relay(), KEYS_OF_A_JOIN);
}

#[test]
fn a_links_desk_is_verified_by_https_alone() {
    let desk = Desk::open();
    let ticket = desk.site.open_ticket().unwrap();
    assert!(ticket.link.contains(&format!("desk={}", desk.host)), "{}", ticket.link);
    let ended = done(&mut desk.join("one", &[&ticket.link]));
    assert_eq!(ended.json().unwrap()["is_verified"], true);
    assert!(ended.err.contains(&format!("(verified: {})", desk.host)), "{ended}");
    // A link pins the organization's key, so that it works without; but nobody vouches for the desk's name then.
    let ticket = desk.site.open_ticket().unwrap();
    let ended = done(&mut desk.join_without_trust("two", &[&ticket.link]));
    assert_eq!(ended.json().unwrap()["is_verified"], false);
    assert!(ended.err.contains("UNVERIFIED DESK"), "{ended}");
}

#[test]
fn a_mistyped_code_is_refused_on_the_machine_and_nobody_hears_of_it() {
    let desk = Desk::open();
    let ticket = desk.site.open_ticket().unwrap();
    let (start, last) = ticket.code.split_at(8);
    let mistyped = format!("{start}{}", (last.parse::<u8>().unwrap() + 1) % 10);
    for (code, sentence) in [(mistyped.as_str(), "typing mistake"), (start, "nine digits"), ("help", "nine digits")] {
        let ended = run(&mut desk.join("one", &[&desk.host, code])).unwrap();
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended}");
        assert!(ended.err.contains(sentence), "{ended}");
    }
    assert_eq!(kinds(&desk.site.show(&ticket.number).unwrap()), ["ticket_opened", "invite_minted"]);
    done(&mut desk.join("one", &[&desk.host, &ticket.code]));
    assert_eq!(desk.keys_at_the_relay(), KEYS_OF_A_JOIN);
}

#[test]
fn the_help_address_is_asked_through_the_proxy() {
    let desk = Desk::open();
    let proxy = ConnectProxy::start(AUTHORIZATION, str::to_owned).unwrap();
    let ticket = desk.site.open_ticket().unwrap();
    let address = proxy.address();
    let mut joining = desk.join("one", &[&desk.host, &ticket.code]);
    let ended = run(joining.env("HTTPS_PROXY", format!("http://user:wrong@{address}"))).unwrap();
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended}");
    assert!(ended.err.contains("does not accept the name and the password"), "{ended}");
    assert_eq!((proxy.refused(), proxy.targets()), (1, Vec::new()));
    done(joining.env("HTTPS_PROXY", format!("http://user:p%40ss@{address}")));
    assert!(proxy.targets().contains(&desk.host), "{:?}", proxy.targets());
}

#[test]
fn a_customer_asks_for_help_in_their_own_words() {
    let desk = Desk::open();
    let ask = |words: &[&str]| {
        let mut command = Program::Agent.command(desk.certificates.path()).unwrap();
        command.env("SSL_CERT_FILE", desk.certificates.path().join("authority.pem"));
        command.arg("ask").args(words);
        run(&mut command).unwrap()
    };
    let ended = ask(&[&desk.host, "The printer", "is silent", "--name", "Ada", "--reach", "+44 20", "--json"]);
    assert_eq!(ended.code, Some(0), "{ended}");
    let asked = ended.json().unwrap();
    let number = asked["number"].as_str().unwrap();
    let start = format!("https://{}/s/{number}/", desk.host);
    assert!(asked["status_url"].as_str().unwrap().starts_with(&start), "{ended}");
    let shown = desk.site.show(number).unwrap();
    let told =
        ["title", "customer", "contact", "reach", "channel", "language"].map(|field| shown["ticket"][field].clone());
    assert_eq!(told, ["The printer is silent", "Ada", "Ada", "+44 20", "agent", "en"]);

    let long = format!("{}\n{}", "打".repeat(300), "x".repeat(5_000));
    let ended = ask(&[&desk.host, &long, "--name", "Ada", "--lang", "zh"]);
    assert!(ended.code == Some(0) && ended.out.contains("您的请求编号为 BL-"), "{ended}");

    for (words, code, sentence) in [
        (&[desk.host.as_str(), "help"][..], 2, "--name"),
        (&[desk.host.as_str(), "--name", "Ada"], 2, "Please say what is wrong"),
        (&["not a host", "help", "--name", "Ada"], 2, "not the address of a support desk"),
        (&["help.example.com", "help", "--name", "Ada", "--insecure-http"], 1, "Nothing was sent"),
        (&["localhost:1", "help", "--name", "Ada"], 1, "Nothing was sent"),
    ] {
        let ended = ask(words);
        assert!(ended.code == Some(code) && ended.err.contains(sentence) && ended.out.is_empty(), "{words:?}: {ended}");
    }
    // Whoever asks too often is told to telephone.
    let asked: Vec<Ended> = (0..10).map(|at| ask(&[&desk.host, &at.to_string(), "--name", "Ada"])).collect();
    let last = &asked[9];
    assert!(last.code == Some(1) && last.err.contains("telephone"), "{last}");
}
