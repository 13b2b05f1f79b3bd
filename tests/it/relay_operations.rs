//! Running a relay: what an operator asks of the real process, and what it answers.

mod check;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use belay_protocol::OrganizationKey;
use belay_protocol::invite::RelayAddress;
use belay_relay::client::{Client, Link, Notice, Registration, Role};
use belay_relay::identity::Identity;
use belay_relay::net::SystemNet;
use belay_tests::links::{Agent, Desk, client_options};
use belay_tests::programs::{DEADLINE, Ended, Program, Running, run};
use clap::CommandFactory;
use rustix::process::Signal;
use tempfile::TempDir;

/// A relay that runs as a process of its own.
struct Relay {
    home: TempDir,
    running: Running,
    address: RelayAddress,
}

impl Relay {
    fn start(words: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), words)
    }

    fn start_in(home: TempDir, words: &[&str]) -> Self {
        let mut command = relay(home.path(), &["serve", "--data", "data"]);
        if !words.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let running = Running::start(command.args(words)).unwrap();
        let address = running.out().line_with("#").unwrap().parse().unwrap();
        Self { home, running, address }
    }

    fn socket(&self) -> SocketAddr {
        self.address.host_port().parse().unwrap()
    }

    /// Where its figures are.
    fn metrics(&self) -> SocketAddr {
        let line = self.running.err().line_with("figures at /metrics").unwrap();
        line.split_once("address=").unwrap().1.parse().unwrap()
    }

    /// Writes the configuration file and lets the relay read it; the last line of what it says about that.
    fn reload(&self, toml: &str) -> String {
        std::fs::write(self.home.path().join("relay.toml"), toml).unwrap();
        let outcomes = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let said = |line: &&str| line.contains("configuration was read again") || line.contains("stays as it was");
            text.lines().filter(said).map(str::to_owned).collect::<Vec<_>>()
        };
        let before = outcomes(&self.running.err().bytes()).len();
        self.running.signal(Signal::HUP).unwrap();
        self.running.err().wait_for("outcome", |bytes| outcomes(bytes).get(before).cloned()).unwrap()
    }
}

fn relay(home: &Path, words: &[&str]) -> Command {
    let mut command = Program::Relay.command(home).unwrap();
    command.args(words);
    command
}

fn check(home: &Path, words: &[&str]) -> Ended {
    run(&mut relay(home, &[&["check", "--data", "data"], words].concat())).unwrap()
}

/// The verdict on each subject.
fn verdicts(ended: &Ended) -> BTreeMap<String, String> {
    let json = ended.json().unwrap();
    let findings = json["findings"].as_array().unwrap().clone();
    let bad = findings.iter().any(|finding| finding["verdict"] == "bad");
    assert_eq!((json["good"] == true, ended.code), (!bad, Some(i32::from(bad))), "{ended}");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    findings
        .iter()
        .map(|finding| {
            assert!(text(&finding["said"]).ends_with(['.', '?']), "{finding}");
            assert_eq!(finding["remedy"].is_string(), finding["verdict"] != "good", "{finding}");
            (text(&finding["subject"]), text(&finding["verdict"]))
        })
        .collect()
}

/// A request as it is typed; the answer until the connection ends.
fn http(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nHost: relay\r\n\r\n";

/// The figures, each with its labels as they stand.
fn figures(address: SocketAddr) -> BTreeMap<String, f64> {
    let answer = http(address, SCRAPE).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    let (comments, samples): (Vec<&str>, Vec<&str>) = body.lines().partition(|line| line.starts_with('#'));
    let described = |kind: &str| -> BTreeSet<&str> {
        let of_kind = comments.iter().filter_map(|line| line.strip_prefix(kind)?.split(' ').next());
        of_kind.collect()
    };
    let names: BTreeSet<&str> = samples.iter().filter_map(|line| line.split(['{', ' ']).next()).collect();
    assert_eq!((described("# HELP "), described("# TYPE ")), (names.clone(), names));
    samples
        .iter()
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Waits until the figures are as they should be.
fn figures_until(address: SocketAddr, done: impl Fn(&BTreeMap<String, f64>) -> bool) -> BTreeMap<String, f64> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let figures = figures(address);
        if done(&figures) {
            return figures;
        }
        assert!(Instant::now() < deadline, "{figures:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A console of `organization` that tries to be present.
fn desk_of(organization: &Identity, relay: &RelayAddress) -> (Client, Registration) {
    let console = Identity::generate().unwrap();
    let delegation = organization.delegate(console.console_key(), i64::MAX);
    let client = Client::start(Arc::new(console), client_options(Arc::new(SystemNet), true)).unwrap();
    let registration = client.register(relay.clone(), Role::Desk(delegation));
    (client, registration)
}

async fn until(registration: &mut Registration, what: impl Fn(&Notice) -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async { while !what(&registration.notice().await.unwrap()) {} });
    waited.await.unwrap();
}

/// Sends `bytes` bytes from an agent to a desk.
async fn carry(from: &Link, to: &Link, bytes: usize) {
    let carried = tokio::time::timeout(DEADLINE, async {
        let sending = async {
            let (mut send, _recv) = from.open_bi().await.unwrap();
            send.write_all(&vec![7; bytes]).await.unwrap();
            send.finish().unwrap();
            let _ = send.stopped().await;
        };
        let receiving = async {
            let (_send, mut recv) = to.accept_bi().await.unwrap();
            assert_eq!(recv.read_to_end(bytes).await.unwrap().len(), bytes);
        };
        tokio::join!(sending, receiving);
    });
    carried.await.unwrap();
}

fn write_certificate(home: &Path) -> rustls::pki_types::CertificateDer<'static> {
    write_certificate_until(home, (4_000, 1, 1))
}

fn write_certificate_until(
    home: &Path,
    (year, month, day): (i32, u8, u8),
) -> rustls::pki_types::CertificateDer<'static> {
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(year, month, day);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = parameters.self_signed(&key).unwrap();
    std::fs::write(home.join("cert.pem"), made.pem()).unwrap();
    std::fs::write(home.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::set_permissions(home.join("key.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
    made.der().clone()
}

/// Whether a tunnel presents `certificate`.
fn presents(address: SocketAddr, certificate: &rustls::pki_types::CertificateDer<'static>) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    while tls.is_handshaking() {
        if tls.complete_io(&mut stream).is_err() {
            return false;
        }
    }
    tls.peer_certificates().is_some_and(|chain| chain.first() == Some(certificate))
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_tell_what_was_carried_and_of_whom_nothing() {
    let relay = Relay::start(&["--metrics", "127.0.0.1:0"]);
    let metrics = relay.metrics();
    let before = figures(metrics);
    let zero =
        ["endpoints", "desks", "pairs", "tunnels", "forwarded_bytes_total", "forwarded_packets_total", "sends_total"];
    assert!(zero.iter().all(|name| before[&format!("belay_relay_{name}")] == 0.0), "{before:?}");
    assert!(before["process_start_time_seconds"] > 1.7e9);

    let net = Arc::new(SystemNet);
    let desk = Desk::start(net.clone(), &relay.address).await.unwrap();
    let mut agent = Agent::start(net, &relay.address).await.unwrap();
    let (ours, theirs) = agent.open(&desk).await.unwrap();
    const BYTES: usize = 1_000_000;
    carry(&ours, &theirs, BYTES).await;
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0; 9], relay.socket()).unwrap();
    let after = figures_until(metrics, |now| now["belay_relay_dropped_packets_total{reason=\"no_route\"}"] >= 1.0);
    let now = |name: &str| after[&format!("belay_relay_{name}")];
    assert_eq!((now("endpoints"), now("desks"), now("pairs"), now("draining")), (2.0, 1.0, 1.0, 0.0));
    assert_eq!(now("handshakes_total{outcome=\"completed\"}"), 2.0);
    assert!(now("forwarded_bytes_total") > BYTES as f64 && now("local_datagrams_total") > 0.0, "{after:?}");
    assert!(now("forwarded_packets_total") >= now("sends_total") && now("sends_total") > 0.0, "{after:?}");
    assert_eq!(after[&format!("belay_relay_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);

    let text = http(metrics, SCRAPE).unwrap();
    let organization = desk.organization.organization_key().to_string();
    for private in ["127.0.0.1", &organization, &organization[..8], &relay.address.key.to_string()] {
        assert!(!text.contains(private), "{private} in {text}");
    }
    drop((ours, theirs));
    agent.client.close().await;
    desk.client.close().await;
    figures_until(metrics, |now| now["belay_relay_endpoints"] == 0.0 && now["belay_relay_pairs"] == 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_readers_of_the_figures_hurt_nobody() {
    let relay = Relay::start(&["--metrics", "127.0.0.1:0"]);
    let metrics = relay.metrics();
    let status =
        |request: &str| http(metrics, request).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
    assert_eq!(status("GET / HTTP/1.1\r\nHost: relay\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(
        status("POST /metrics HTTP/1.1\r\nHost: relay\r\nContent-Length: 3\r\n\r\nabc"),
        "HTTP/1.1 405 Method Not Allowed"
    );
    assert!(!status("rubbish\r\n\r\n").contains("200"));
    let large = format!("GET /metrics HTTP/1.1\r\nHost: relay\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(!status(&large).contains("200"));
    assert!(status("HEAD /metrics HTTP/1.1\r\nHost: relay\r\n\r\n").contains("200"));

    // Twelve times as many as there are places: some say nothing, some half a request, some do not read.
    let held: Vec<TcpStream> = (0..400)
        .map(|index| {
            let mut stream = TcpStream::connect(metrics).unwrap();
            let said = ["", "GET /metrics HTT", "GET /metrics HTTP/1.1\r\nHost: relay\r\n\r\n"][index % 3];
            stream.write_all(said.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Sessions do not notice.
    let net = Arc::new(SystemNet);
    let desk = Desk::start(net.clone(), &relay.address).await.unwrap();
    let mut agent = Agent::start(net, &relay.address).await.unwrap();
    let (ours, theirs) = agent.open(&desk).await.unwrap();
    carry(&ours, &theirs, 100_000).await;
    // And whoever wants figures has them while the others still hold on.
    assert_eq!(figures(metrics)["belay_relay_pairs"], 1.0);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_whom_the_relay_serves_and_a_broken_one_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let [first, second] = [(); 2].map(|()| Identity::generate().unwrap());
    let listed = |organizations: &[&Identity]| {
        let keys: Vec<OrganizationKey> = organizations.iter().map(|one| one.organization_key()).collect();
        format!("organization = [{}]\n", keys.iter().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(", "))
    };
    std::fs::write(home.path().join("relay.toml"), listed(&[&first])).unwrap();
    let relay = Relay::start_in(home, &["--config", "relay.toml"]);
    let (_first_client, mut first_desk) = desk_of(&first, &relay.address);
    until(&mut first_desk, |notice| matches!(notice, Notice::Up)).await;
    let (_second_client, mut second_desk) = desk_of(&second, &relay.address);
    until(&mut second_desk, |notice| matches!(notice, Notice::Down(_))).await;

    // Each of these would also take the first organization out.
    let other = listed(&[&second]);
    for broken in [
        "organization = ",
        &format!("{other}lsiten = '[::]:443'"),
        &format!("{other}drain = 'soon'"),
        &format!("{other}cert = 'missing.pem'\nkey = 'missing.pem'"),
        &format!("{other}cert = 'missing.pem'"),
        &format!("{other}log = 'belay_relay=loud'"),
        &format!("{other}metrics = '192.0.2.1:1'"),
        &format!("{other}any-organization = true"),
    ] {
        let said = relay.reload(broken);
        assert!(said.contains("ERROR") && said.contains("everything stays as it was"), "{broken}: {said}");
    }
    assert!(relay.running.err().text().lines().all(|line| !line.contains("gone")), "{}", relay.running.err().text());

    let said = relay.reload(&format!("{other}log = 'debug'\nsockets = 3\nno-tunnels = true"));
    assert!(said.contains("INFO") && said.contains("changed=\"organization, log\""), "{said}");
    until(&mut first_desk, |notice| matches!(notice, Notice::Down(_))).await;
    until(&mut second_desk, |notice| matches!(notice, Notice::Up)).await;
    let warned = relay.running.err().line_with("needs a restart").unwrap();
    assert!(warned.contains("WARN") && warned.contains("sockets, no-tunnels"), "{warned}");
    relay.running.err().line_with("DEBUG").unwrap();
    assert!(presents_anything(relay.socket()), "the listener for tunnels has gone");
    let ended = relay.running.stop(Signal::TERM).unwrap();
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[test]
fn those_who_open_tunnels_and_say_nothing_keep_nobody_out() {
    let home = tempfile::tempdir().unwrap();
    let certificate = write_certificate(home.path());
    let relay = Relay::start_in(home, &["--metrics", "127.0.0.1:0", "--cert", "cert.pem", "--key", "key.pem"]);
    let mut silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(relay.socket()).unwrap()).collect();
    figures_until(relay.metrics(), |now| now["belay_relay_tunnels_total{fate=\"displaced\"}"] >= 172.0);
    // From the same network as all of them.
    assert!(presents(relay.socket(), &certificate));
    // The first have made room.
    silent[0].set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(matches!(silent[0].read(&mut [0]), Ok(0)));
}

#[test]
fn two_relays_do_not_share_a_directory() {
    let first = Relay::start(&[]);
    let words = ["serve", "--data", "data", "--listen", "127.0.0.1:0"];
    let second = run(&mut relay(first.home.path(), &words)).unwrap();
    assert_eq!((second.code, second.out.as_str()), (Some(1), ""), "{second}");
    assert!(second.err.contains("another relay uses the data directory data"), "{second}");
    let home = first.home;
    first.running.stop(Signal::TERM).unwrap();
    // Nor does a lock outlive its relay.
    Relay::start_in(home, &[]);
}

#[test]
fn what_only_an_operator_can_mend_has_a_code_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let check = |words: &[&str], said: &str| {
        let mut command = relay(home.path(), &[&["serve", "--data", "data"], words].concat());
        let ended = run(command.env("BELAY_LISTEN", "127.0.0.1:0")).unwrap();
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{words:?}: {ended}");
        assert!(ended.err.contains(said), "{words:?}: {ended}");
    };
    check(&["--log", "belay_relay=loud"], "--log");
    for (words, said) in [
        (["--max-endpoints", "0"], "a number from 1"),
        (["--max-pairs", "99999999999999"], "a number from 1"),
        (["--pair-bytes-per-second", "0"], "16384"),
        (["--drain", "99999999999999"], "3600"),
        (["--sockets", "0"], "1..=256"),
        (["--listen", "localhost:4433"], "an IP address with a port"),
        (["--metrics", "9443"], "an IP address with a port"),
    ] {
        check(&words, said);
    }
    let elsewhere = Identity::generate().unwrap().relay_key();
    let elsewhere = (1..=5).flat_map(|host| ["--elsewhere".to_owned(), format!("127.0.0.{host}:443#{elsewhere}")]);
    let elsewhere: Vec<String> = elsewhere.collect();
    check(&elsewhere.iter().map(String::as_str).collect::<Vec<_>>(), "at most 4 other relays");
    check(&["--cert", "cert.pem", "--key", "key.pem"], "key.pem is not a readable key");
    write_certificate(home.path());
    let pipe = home.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    check(&["--cert", "pipe", "--key", "key.pem"], "pipe is not a file");
    std::fs::write(home.path().join("data/denied"), "rubbish\n").unwrap();
    check(&[], "damaged in line 1");
}

#[test]
fn a_key_that_everybody_can_read_is_warned_of_at_the_start_and_at_a_reload() {
    let home = tempfile::tempdir().unwrap();
    write_certificate(home.path());
    std::fs::set_permissions(home.path().join("key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let toml = "cert = 'cert.pem'\nkey = 'key.pem'\n";
    std::fs::write(home.path().join("relay.toml"), toml).unwrap();
    let relay = Relay::start_in(home, &["--config", "relay.toml"]);
    let warnings = || relay.running.err().text().matches("run `chmod o= key.pem`").count();
    assert_eq!(warnings(), 1);
    assert!(relay.reload(toml).contains("no option has changed"));
    assert_eq!(warnings(), 2);
}

#[test]
fn machines_read_the_address_and_the_key_as_json() {
    let home = tempfile::tempdir().unwrap();
    let key = run(&mut relay(home.path(), &["key", "--data", "data", "--json"])).unwrap();
    let served =
        Running::start(&mut relay(home.path(), &["serve", "--data", "data", "--listen", "127.0.0.1:0", "--json"]));
    let line = served.unwrap().out().line_with("address").unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(said["key"], key.json().unwrap()["key"]);
    assert!(said["address"].as_str().unwrap().parse::<SocketAddr>().is_ok(), "{said}");
}

fn presents_anything(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
fn new_tunnels_present_the_certificate_of_the_last_reload() {
    let home = tempfile::tempdir().unwrap();
    let first = write_certificate(home.path());
    let toml = "cert = 'cert.pem'\nkey = 'key.pem'\n";
    std::fs::write(home.path().join("relay.toml"), toml).unwrap();
    let relay = Relay::start_in(home, &["--config", "relay.toml"]);
    assert!(presents(relay.socket(), &first));

    let second = write_certificate(relay.home.path());
    assert!(presents(relay.socket(), &first), "it was read without being asked");
    let whole = std::fs::read_to_string(relay.home.path().join("cert.pem")).unwrap();
    std::fs::write(relay.home.path().join("cert.pem"), &whole[..whole.len() / 2]).unwrap();
    assert!(relay.reload(toml).contains("ERROR"));
    assert!(presents(relay.socket(), &first));

    std::fs::write(relay.home.path().join("cert.pem"), whole).unwrap();
    assert!(relay.reload(toml).contains("INFO"));
    let told = relay.running.err().line_with("new tunnels get the certificate").unwrap();
    assert!(told.contains("cert.pem") && told.contains("days_left="), "{told}");
    assert!(presents(relay.socket(), &second) && !presents(relay.socket(), &first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_sends_ends_elsewhere_and_a_second_signal_ends_it() {
    let another = Relay::start(&[]);
    let elsewhere = another.address.to_string();
    let relay = Relay::start(&["--drain", "60", "--elsewhere", &elsewhere]);
    let net = Arc::new(SystemNet);
    let _agent = Agent::start(net.clone(), &relay.address).await.unwrap();
    let asked = Instant::now();
    relay.running.signal(Signal::TERM).unwrap();
    relay.running.err().line_with("draining ends=1 seconds=60").unwrap();
    // The agent has heard of the other relay from this one alone.
    another.running.err().line_with("registered").unwrap();
    let ended = relay.running.finish(DEADLINE).unwrap();
    assert!(ended.code == Some(0) && asked.elapsed() < Duration::from_secs(30), "{ended}");

    // Desks and agents without a session are not waited for.
    let relay = Relay::start(&["--drain", "600"]);
    let _desk = Desk::start(net.clone(), &relay.address).await.unwrap();
    let _agent = Agent::start(net.clone(), &relay.address).await.unwrap();
    let ended = relay.running.stop(Signal::TERM).unwrap();
    assert_eq!(ended.code, Some(0), "{ended}");

    // A session whose ends know no other relay goes on until the time is over.
    let relay = Relay::start(&["--drain", "2"]);
    let desk = Desk::start(net.clone(), &relay.address).await.unwrap();
    let mut agent = Agent::start(net.clone(), &relay.address).await.unwrap();
    let open = agent.open(&desk).await.unwrap();
    let asked = Instant::now();
    let ended = relay.running.stop(Signal::TERM).unwrap();
    drop(open);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!((Duration::from_secs(2)..Duration::from_secs(12)).contains(&asked.elapsed()), "{:?}", asked.elapsed());

    // Or until somebody has no more patience.
    let relay = Relay::start(&["--drain", "600"]);
    let desk = Desk::start(net.clone(), &relay.address).await.unwrap();
    let mut agent = Agent::start(net, &relay.address).await.unwrap();
    let _open = agent.open(&desk).await.unwrap();
    relay.running.signal(Signal::TERM).unwrap();
    relay.running.err().line_with("draining").unwrap();
    let asked = Instant::now();
    let ended = relay.running.stop(Signal::TERM).unwrap();
    assert!(ended.code == Some(0) && asked.elapsed() < Duration::from_secs(10), "{:?} {ended}", asked.elapsed());
    assert!(ended.err.contains("stopping at once"), "{ended}");
}

#[test]
fn a_port_of_tunnels_or_of_figures_in_use_is_one_sentence() {
    let home = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    for words in [&["--listen", &address][..], &["--listen", "127.0.0.1:0", "--metrics", &address]] {
        let ended = run(&mut relay(home.path(), &[&["serve", "--data", "data"], words].concat())).unwrap();
        assert_eq!((ended.code, ended.out.as_str(), ended.err.lines().count()), (Some(1), "", 1), "{ended}");
        assert!(ended.err.contains(&format!("TCP {address} cannot be listened on")), "{ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_addresses_are_in_the_log_with_debug_and_else_not() {
    for level in ["info", "warn,belay_relay=info", "debug"] {
        let relay = Relay::start(&["--log", level, "--log-format", "json"]);
        let own = relay.address.host_port();
        let net = Arc::new(SystemNet);
        let desk = Desk::start(net.clone(), &relay.address).await.unwrap();
        let mut agent = Agent::start(net, &relay.address).await.unwrap();
        let (ours, theirs) = agent.open(&desk).await.unwrap();
        carry(&ours, &theirs, 10_000).await;
        // A broken tunnel, rubbish, a refused desk, and somebody who leaves without a word.
        let mut tunnel = TcpStream::connect(relay.socket()).unwrap();
        tunnel.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let _ = tunnel.read_to_end(&mut Vec::new());
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[0xc0; 1_300], relay.socket()).unwrap();
        let stale = Identity::generate().unwrap();
        let delegation = stale.delegate(stale.console_key(), 0);
        let client = Client::start(Arc::new(stale), client_options(Arc::new(SystemNet), true)).unwrap();
        let mut refused = client.register(relay.address.clone(), Role::Desk(delegation));
        until(&mut refused, |notice| matches!(notice, Notice::Down(_))).await;
        drop(refused);
        agent.client.close().await;
        relay.running.err().line_with("gone").unwrap();
        let ended = relay.running.stop(Signal::TERM).unwrap();
        let others = ended.err.replace(&own, "OWN");
        assert_eq!(others.contains("127.0.0.1"), level == "debug", "{level}: {ended}");
        for told in ["registered", "refused", "gone", "draining"] {
            assert!(ended.err.contains(told), "{told}: {ended}");
        }
    }
}

#[test]
fn the_service_manager_hears_of_start_reload_and_stop() {
    let home = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(home.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut command = relay(home.path(), &["serve", "--data", "data", "--listen", "127.0.0.1:0", "--drain", "3"]);
    command.env("NOTIFY_SOCKET", home.path().join("notify")).env("WATCHDOG_USEC", "200000");
    let running = Running::start(&mut command).unwrap();
    let hear = || {
        let mut room = [0; 4_096];
        let heard = manager.recv(&mut room).unwrap();
        String::from_utf8(room[..heard].to_vec()).unwrap()
    };
    let hear_about = |what: &str| {
        let mut heard = hear();
        while heard.trim() == "WATCHDOG=1" {
            heard = hear();
        }
        assert!(heard.lines().any(|line| line == what), "{heard}");
        heard
    };
    hear_about("READY=1");
    assert_eq!([hear(), hear()].map(|heard| heard.trim().to_owned()), ["WATCHDOG=1", "WATCHDOG=1"]);
    running.signal(Signal::HUP).unwrap();
    let reloading = hear_about("RELOADING=1");
    let clock = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(clock.parse::<u64>().unwrap() > 0);
    hear_about("READY=1");
    running.signal(Signal::TERM).unwrap();
    assert!(hear_about("STOPPING=1").contains("EXTEND_TIMEOUT_USEC=8000000"));
    assert_eq!(running.finish(DEADLINE).unwrap().code, Some(0));
}

/// A file beside the relay's sources.
fn beside(name: &str) -> String {
    std::fs::read_to_string(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../relay")).join(name)).unwrap()
}

#[test]
fn the_example_file_has_every_option_and_is_right() {
    let text = beside("relay.example.toml");
    let is_setting = |line: &&str| {
        let key = line.trim_start_matches("# ").split_once(" = ").map(|(key, _)| key);
        key.is_some_and(|key| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
    };
    let uncommented: Vec<&str> = text.lines().filter(is_setting).map(|line| line.trim_start_matches("# ")).collect();
    let shown: BTreeSet<&str> =
        uncommented.iter().filter_map(|line| line.split_once(" = ").map(|(key, _)| key)).collect();
    let command = belay_relay::cli::Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let options = command.get_arguments().chain(serve.get_arguments()).filter_map(clap::Arg::get_long);
    // How it prints is said where it is started.
    let elsewhere = ["help", "version", "config", "json"];
    let options: BTreeSet<&str> = options.filter(|name| !elsewhere.contains(name)).collect();
    assert_eq!(shown, options);

    let home = tempfile::tempdir().unwrap();
    for toml in [text.clone(), uncommented.join("\n")] {
        std::fs::write(home.path().join("relay.toml"), toml).unwrap();
        let ended = run(&mut relay(home.path(), &["check", "--json", "--config", "relay.toml"])).unwrap();
        assert_eq!(verdicts(&ended)["configuration"], "good", "{ended}");
    }
}

#[test]
fn unit_and_image_name_commands_and_variables_that_there_are() {
    let command = belay_relay::cli::Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let variables: BTreeSet<String> = serve
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .map(|name| format!("BELAY_{}", name.to_ascii_uppercase().replace('-', "_")))
        .collect();
    let (unit, image) = (beside("belay-relay.service"), beside("Dockerfile"));
    for text in [&unit, &image] {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        for named in words.filter(|word| word.starts_with("BELAY_")) {
            assert!(variables.contains(named), "{named}");
        }
    }
    for line in ["ExecStart=/usr/local/bin/belay-relay serve", "AmbientCapabilities=CAP_NET_BIND_SERVICE"] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    for line in ["EXPOSE 443/udp 443/tcp", "USER 65532:65532", "CMD [\"serve\"]"] {
        assert!(image.lines().any(|found| found == line), "{line}");
    }
}
