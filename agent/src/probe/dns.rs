//! Name servers: which are configured, and whether they and the system's resolver answer.
//!
//! Each server is asked for the name servers of the root zone, so that the question gives no name away. The system is
//! asked for [`PUBLIC_NAME`], which every machine on the internet may look up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use belay_protocol::Phrase;
use belay_protocol::report::{DnsOutcome, DnsProbe, Fact, Why, WhyKind};
use tokio::net::UdpSocket;

use super::{Probe, Root, native, or_native};

/// What the system's resolver is asked for. A failure alone is never critical: closed networks have no public names.
pub const PUBLIC_NAME: &str = "a.root-servers.net";

/// The configured name servers; where the system's own stub is configured, also those behind it.
pub fn read_servers(root: &Root) -> Result<Vec<IpAddr>, Why> {
    let servers = root.read("/etc/resolv.conf").map(|text| parse_resolv_conf(&text));
    let mut servers = or_native(servers, native::name_servers)?;
    if servers.contains(&SYSTEMD_STUB) {
        let behind = root.read("/run/systemd/resolve/resolv.conf").map(|text| parse_resolv_conf(&text));
        servers.extend(behind.unwrap_or_default());
    }
    let mut seen = std::collections::BTreeSet::new();
    servers.retain(|server| seen.insert(*server));
    servers.truncate(MAX_SERVERS);
    Ok(servers)
}

const SYSTEMD_STUB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));

/// glibc itself uses three; with those behind the stub, six are usual.
const MAX_SERVERS: usize = 8;

/// Understands resolv.conf(5). An empty file means a server on this machine, and so says the manual.
pub fn parse_resolv_conf(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        let address = words.next()?;
        address.split('%').next()?.parse().ok()
    };
    text.lines().filter_map(server).collect()
}

/// Asks `server` for the name servers of the root zone, several times if need be.
pub async fn ask(server: SocketAddr, deadline: Duration) -> DnsProbe {
    put(server, |id| question(id, &[], TYPE_NS), deadline).await
}

/// Asks `server` for a name that cannot exist (RFC 6761, section 6.4). One that finds an address makes it up, and sends
/// people who mistype a name somewhere.
pub async fn invents_names(server: SocketAddr, deadline: Duration) -> Result<bool, Why> {
    let label = format!("belay-{:08x}", rand::random::<u32>());
    let probe = put(server, |id| question(id, &[&label, "invalid"], TYPE_A), deadline).await;
    match probe.outcome {
        DnsOutcome::Resolved => Ok(true),
        DnsOutcome::Refused => Ok(false),
        // That it does not answer is told of it already.
        DnsOutcome::Silent | DnsOutcome::Unreachable | DnsOutcome::Malformed => {
            Err(Why::new(WhyKind::NotApplicable, "invalid."))
        }
    }
}

/// Puts a question, and says what came of it and how long the server took for the answer. A packet that was lost on the
/// way is not the server's fault and costs it no time.
async fn put(server: SocketAddr, question: impl Fn(u16) -> Vec<u8>, deadline: Duration) -> DnsProbe {
    let started = Instant::now();
    let (outcome, took) = match tokio::time::timeout(deadline, exchange(server, question, deadline / TRIES)).await {
        Ok(Ok((outcome, took))) => (outcome, took),
        Ok(Err(_)) => (DnsOutcome::Unreachable, started.elapsed()),
        Err(_) => (DnsOutcome::Silent, started.elapsed()),
    };
    DnsProbe { outcome, took_us: micros(took) }
}

/// Of all eight tries one gets through but for three in 10,000 cases when each packet is lost with a chance of one in
/// five. With two, every eighth sound server would be called silent.
const TRIES: u32 = 8;

async fn exchange(
    server: SocketAddr,
    question: impl Fn(u16) -> Vec<u8>,
    resend_after: Duration,
) -> io::Result<(DnsOutcome, Duration)> {
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    let mut answer = [0; ANSWER_MAX_BYTES];
    let mut asked: Vec<(Vec<u8>, Instant)> = Vec::new();
    loop {
        let question = question(rand::random());
        socket.send(&question).await?;
        asked.push((question, Instant::now()));
        let next = tokio::time::Instant::now() + resend_after;
        // An answer to another question is somebody's guess; the real one may still come.
        while let Ok(received) = tokio::time::timeout_at(next, socket.recv(&mut answer)).await {
            let answer = answer.get(..received?).unwrap_or_default();
            let told = asked.iter().find_map(|(question, at)| Some((parse_answer(question, answer)?, at.elapsed())));
            if let Some(told) = told {
                return Ok(told);
            }
        }
    }
}

/// Answers to a question without EDNS are no longer than this (RFC 1035, section 2.3.4).
const ANSWER_MAX_BYTES: usize = 512;

/// A query for the name of `labels` with recursion desired (RFC 1035, section 4.1).
fn question(id: u16, labels: &[&str], kind: u8) -> Vec<u8> {
    let mut question = id.to_be_bytes().to_vec();
    question.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in labels {
        question.push(u8::try_from(label.len()).expect("labels are constants and short numbers"));
        question.extend(label.bytes());
    }
    question.extend([0, 0, kind, 0, 1]);
    question
}

/// RFC 1035, section 3.2.2.
const TYPE_A: u8 = 1;
const TYPE_NS: u8 = 2;

/// What the header of an answer to `question` says; nothing when it answers another.
fn parse_answer(question: &[u8], answer: &[u8]) -> Option<DnsOutcome> {
    if answer.get(..2)? != question.get(..2)? {
        return None;
    }
    let Some(header) = answer.get(..12) else { return Some(DnsOutcome::Malformed) };
    let (is_answer, code, count) =
        (header[2] & 0x80 != 0, header[3] & 0x0f, u16::from_be_bytes([header[6], header[7]]));
    Some(match (is_answer, code, count) {
        (false, ..) => DnsOutcome::Malformed,
        (true, 0, 1..) => DnsOutcome::Resolved,
        (true, ..) => DnsOutcome::Refused,
    })
}

/// Asks the system's resolver for [`PUBLIC_NAME`], as any program would.
pub async fn ask_system(deadline: Duration) -> DnsProbe {
    let started = Instant::now();
    let probe = Probe::new("getaddrinfo", SUBJECT, deadline).at(super::Cost::Wait);
    let outcome =
        match probe.run(|| (PUBLIC_NAME, 53).to_socket_addrs().is_ok_and(|mut found| found.next().is_some())).await {
            Ok(true) => DnsOutcome::Resolved,
            Ok(false) => DnsOutcome::Refused,
            Err(_) => DnsOutcome::Silent,
        };
    DnsProbe { outcome, took_us: micros(started.elapsed()) }
}

/// What the system's resolver came to, seen beside what the name servers did: it calls it a failure of the same kind when
/// a server refuses and when none has answered. Servers that nobody asked say nothing.
pub fn beside_servers<'a>(system: DnsProbe, servers: impl IntoIterator<Item = &'a Fact<DnsProbe>>) -> DnsProbe {
    let outcomes: Option<Vec<_>> = servers.into_iter().map(|probe| probe.known().map(|probe| probe.outcome)).collect();
    let is_all = |wanted: &[DnsOutcome]| outcomes.iter().flatten().all(|outcome| wanted.contains(outcome));
    let outcome = match system.outcome {
        DnsOutcome::Refused if outcomes.is_none() => DnsOutcome::Refused,
        DnsOutcome::Refused if is_all(&[DnsOutcome::Unreachable]) => DnsOutcome::Unreachable,
        DnsOutcome::Refused if is_all(&[DnsOutcome::Unreachable, DnsOutcome::Silent]) => DnsOutcome::Silent,
        outcome => outcome,
    };
    DnsProbe { outcome, ..system }
}

/// What the person who waits reads.
pub const SUBJECT: Phrase = Phrase { en: "name servers", zh: "域名服务器" };

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn servers_are_read_once_each_and_those_behind_the_stub_too() {
        let (_dir, root) = tree(&[
            ("etc/resolv.conf", "# x\nsearch lan\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver x\n"),
            ("run/systemd/resolve/resolv.conf", "nameserver 10.0.0.1\nnameserver fe80::1\n"),
        ]);
        let servers: Vec<_> = read_servers(&root).unwrap().iter().map(IpAddr::to_string).collect();
        assert_eq!(servers, ["127.0.0.53", "fe80::1", "10.0.0.1"]);
    }

    #[test]
    fn nobody_refuses_where_nobody_answers() {
        use DnsOutcome::{Refused, Resolved, Silent, Unreachable};
        let probe = |outcome| DnsProbe { outcome, took_us: 1 };
        let check = |system, servers: &[DnsOutcome], expected| {
            let servers: Vec<_> = servers.iter().map(|outcome| Fact::Known(probe(*outcome))).collect();
            assert_eq!(beside_servers(probe(system), &servers).outcome, expected, "{system:?} {servers:?}");
        };
        check(Refused, &[], Unreachable);
        check(Refused, &[Unreachable, Unreachable], Unreachable);
        check(Refused, &[Unreachable, Silent], Silent);
        check(Refused, &[Silent, Refused], Refused);
        check(Refused, &[Resolved], Refused);
        check(Resolved, &[Silent], Resolved);
        let unasked = [Fact::Unknown(Why::new(WhyKind::Failed, "socket")), Fact::Known(probe(Silent))];
        assert_eq!(beside_servers(probe(Refused), &unasked).outcome, Refused);
    }

    #[test]
    fn answers_are_told_apart() {
        let question = question(0x1234, &[], TYPE_NS);
        let answer = |flags: [u8; 2], count: u8| {
            parse_answer(&question, &[0x12, 0x34, flags[0], flags[1], 0, 1, 0, count, 0, 0, 0, 0])
        };
        assert_eq!(answer([0x81, 0x80], 13), Some(DnsOutcome::Resolved));
        assert_eq!(answer([0x81, 0x80], 0), Some(DnsOutcome::Refused));
        assert_eq!(answer([0x81, 0x83], 0), Some(DnsOutcome::Refused));
        assert_eq!(answer([0x01, 0x00], 0), Some(DnsOutcome::Malformed));
        assert_eq!(parse_answer(&question, &[0x12, 0x34, 0x81]), Some(DnsOutcome::Malformed));
        assert_eq!(parse_answer(&question, &[0x12, 0x35, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]), None);
        assert_eq!(parse_answer(&question, &[]), None);
    }

    #[tokio::test]
    async fn a_server_that_answers_and_one_that_does_not() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serve = async {
            let mut query = [0; 64];
            let (length, from) = server.recv_from(&mut query).await.unwrap();
            assert_eq!(length, 17);
            query[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
            server.send_to(&query[..length], from).await.unwrap();
        };
        let (probe, ()) = tokio::join!(ask(address, Duration::from_secs(10)), serve);
        assert_eq!(probe.outcome, DnsOutcome::Resolved);
        assert_eq!(ask(address, Duration::from_millis(30)).await.outcome, DnsOutcome::Silent);
        drop(server);
        assert_eq!(ask(address, Duration::from_secs(10)).await.outcome, DnsOutcome::Unreachable);
    }

    #[tokio::test]
    async fn a_lost_question_is_asked_again_and_costs_the_server_no_time() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serve = async {
            let mut query = [0; 64];
            let mut ids = std::collections::BTreeSet::new();
            for _ in 0..3 {
                server.recv_from(&mut query).await.unwrap();
                ids.insert([query[0], query[1]]);
            }
            let (length, from) = server.recv_from(&mut query).await.unwrap();
            ids.insert([query[0], query[1]]);
            query[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
            server.send_to(&query[..length], from).await.unwrap();
            ids.len()
        };
        let (probe, ids) = tokio::join!(ask(address, Duration::from_secs(4)), serve);
        assert_eq!((probe.outcome, ids), (DnsOutcome::Resolved, 4));
        assert!(probe.took_us < 1_000_000, "{} us of at least 1.5 s", probe.took_us);
    }

    #[tokio::test]
    async fn a_server_that_finds_what_cannot_exist_lies() {
        for (code, expected) in [(0x80, true), (0x83, false)] {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = server.local_addr().unwrap();
            let serve = async {
                let mut query = [0; 64];
                let (length, from) = server.recv_from(&mut query).await.unwrap();
                assert!(query[..length].windows(9).any(|part| part == b"\x07invalid\0"));
                query[2..8].copy_from_slice(&[0x81, code, 0, 1, 0, 1]);
                server.send_to(&query[..length], from).await.unwrap();
            };
            let (lies, ()) = tokio::join!(invents_names(address, Duration::from_secs(10)), serve);
            assert_eq!(lies, Ok(expected));
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*", bytes: Vec<u8>) {
            parse_resolv_conf(&text);
            parse_answer(&question(1, &["x"], TYPE_A), &bytes);
        }
    }
}
