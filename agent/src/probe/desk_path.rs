//! The way to the support desk, when one is named: connections, the certificate, whoever stands between, and the clock.
//!
//! Nobody but the desk's own host is asked, and nothing about this machine is in the questions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use belay_protocol::bounded::Name;
use belay_protocol::invite::RelayAddress;
use belay_protocol::report::{Connect, DeskPath, Fact, Https, PlainHttp, RelayPath, Why, WhyKind};
use belay_relay::client::Proxy;
use belay_relay::net::Net;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::relay_path::{self, Relays};
use crate::desk::{self, Answer};

/// The desk to look for.
#[derive(Clone, Debug)]
pub struct Desk {
    /// `HOST` or `HOST:PORT`.
    pub host: String,
    /// The HTTP proxy of the network.
    pub proxy: Option<Proxy>,
    /// Time for each question.
    pub deadline: Duration,
    /// Where sockets come from to try the relays that the desk names; without, they are left alone.
    pub net: Option<Arc<dyn Net>>,
}

impl Desk {
    /// The same desk, and the relays that it names.
    pub fn with_relays(self, net: Arc<dyn Net>) -> Self {
        Self { net: Some(net), ..self }
    }

    /// A desk that is looked for as long as it may take.
    pub fn new(host: String, proxy: Option<Proxy>) -> Self {
        Self { host, proxy, deadline: DEADLINE, net: None }
    }
}

/// Looks at the way to `desk`. Everything runs at once, so that it takes its deadline at most, and once more for the name;
/// then at the ways to its relays, if they are to be tried.
pub async fn look(desk: &Desk) -> (DeskPath, Fact<RelayPath>) {
    let (path, relays) = desk_alone(desk).await;
    let relay = match (&desk.net, relays) {
        (Some(net), Some(relays)) => {
            let (net, proxy) = (Arc::clone(net), desk.proxy.clone());
            relay_path::look(Relays { relays, net, proxy, deadline: relay_path::DEADLINE }).await.into()
        }
        // Where they are is not known.
        (Some(_), None) => Fact::Unknown(Why::new(WhyKind::Failed, DESK)),
        (None, _) => Fact::Unknown(Why::new(WhyKind::NotApplicable, "relay")),
    };
    (path, relay)
}

async fn desk_alone(desk: &Desk) -> (DeskPath, Option<Vec<RelayAddress>>) {
    let name = desk::name_of(&desk.host).to_owned();
    let through_proxy = desk.proxy.as_ref().is_some_and(|proxy| proxy.is_for(&name));
    let (connects, https, plain) = tokio::join!(
        connects(&name, desk::port_of(&desk.host).unwrap_or(HTTPS_PORT), desk.deadline),
        https(desk.clone()),
        plain_http(name.clone(), HTTP_PORT, desk.deadline),
    );
    // Behind a proxy nothing else gets out, and need not.
    let direct = |fact: Fact<_>| if through_proxy { not_applicable() } else { fact };
    let (ipv4, ipv6) = connects;
    let (https, took, answer) = https;
    let plain = if through_proxy { Err(Why::new(WhyKind::NotApplicable, DESK)) } else { plain };
    let told = answer.as_ref().and_then(|answer| answer.date.as_deref().map(|date| (date, answer.at)));
    let told = told.or(plain.as_ref().ok().and_then(|plain| Some((plain.date.as_deref()?, plain.at))));
    let clock_ahead = told.and_then(|(date, at)| ahead(date, at)).ok_or_else(|| Why::new(WhyKind::NotOffered, "Date"));
    let path = DeskPath {
        host: Name::truncating(desk.host.as_str()),
        ipv4: direct(ipv4),
        ipv6: direct(ipv6),
        https,
        took_us: relay_path::micros(took),
        status: answer.as_ref().map(|answer| answer.status),
        plain_http: plain.map(|answer| judge_plain(&answer, &name)).into(),
        clock_ahead_seconds: clock_ahead.into(),
    };
    (path, answer.and_then(|answer| answer.relays))
}

/// Time for each question: three round trips to the far side of the world, and a lost packet.
pub const DEADLINE: Duration = Duration::from_secs(3);

const DESK: &str = "desk";
const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;

fn not_applicable<T>() -> Fact<T> {
    Fact::Unknown(Why::new(WhyKind::NotApplicable, DESK))
}

/// Connects to the first address of each family.
async fn connects(name: &str, port: u16, deadline: Duration) -> (Fact<Connect>, Fact<Connect>) {
    let addresses: Vec<SocketAddr> = match timeout(deadline, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(found)) => found.collect(),
        // That the name is not found is the outcome of the request.
        Ok(Err(_)) | Err(_) => return (not_applicable(), not_applicable()),
    };
    let first = |is_v4: bool| addresses.iter().copied().find(|address| address.is_ipv4() == is_v4);
    tokio::join!(connect(first(true), deadline), connect(first(false), deadline))
}

async fn connect(address: Option<SocketAddr>, deadline: Duration) -> Fact<Connect> {
    let Some(address) = address else { return not_applicable() };
    match timeout(deadline, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Fact::Known(Connect::Connected),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Fact::Known(Connect::ConnectionRefused),
            io::ErrorKind::TimedOut => Fact::Known(Connect::TimedOut),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable => {
                Fact::Known(Connect::NoRoute)
            }
            _ => Fact::Unknown(super::why(&error, "connect")),
        },
        Err(_) => Fact::Known(Connect::TimedOut),
    }
}

async fn https(desk: Desk) -> (Https, Duration, Option<Answer>) {
    let (started, deadline) = (Instant::now(), desk.deadline);
    let asking = tokio::task::spawn_blocking(move || desk::ask(&desk.host, desk.proxy.as_ref(), deadline));
    match timeout(deadline, asking).await {
        Ok(Ok(Ok(answer))) => {
            let outcome = if answer.relays.is_some() { Https::Answered } else { Https::WrongAnswer };
            (outcome, started.elapsed(), Some(answer))
        }
        Ok(Ok(Err(error))) => (error.outcome(), started.elapsed(), None),
        Ok(Err(_)) => (Https::Failed, started.elapsed(), None),
        Err(_) => (Https::TimedOut, started.elapsed(), None),
    }
}

/// Asks by plain HTTP for what no desk has. Whoever stands between can answer, and a portal does.
async fn plain_http(name: String, port: u16, deadline: Duration) -> Result<Answer, Why> {
    let asking = tokio::task::spawn_blocking(move || desk::ask_plainly(&name, port, deadline));
    match timeout(deadline, asking).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        // A desk that has nothing there is as it should be, and says nothing about portals.
        Ok(Ok(Err(_))) => Err(Why::new(WhyKind::NotApplicable, "port 80")),
        Ok(Err(_)) | Err(_) => Err(Why::new(WhyKind::NotApplicable, "port 80")),
    }
}

/// A portal sends elsewhere, shows a page, or says what it is with 511 (RFC 6585, section 6).
fn judge_plain(answer: &Answer, name: &str) -> PlainHttp {
    let is_own = |location: &str| {
        let rest = location.split_once("://").map_or(location, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !location.contains("://") || desk::name_of(authority).eq_ignore_ascii_case(name)
    };
    match (answer.status, answer.location.as_deref()) {
        (200 | 511, _) => PlainHttp::Portal,
        (300..=399, Some(location)) if !is_own(location) => PlainHttp::Portal,
        _ => PlainHttp::AsExpected,
    }
}

/// Seconds that this machine is ahead of a `Date` header (RFC 9110, section 5.6.7) that came at `at`.
fn ahead(date: &str, at: SystemTime) -> Option<i64> {
    let told = jiff::fmt::rfc2822::parse(date.trim()).ok()?.timestamp().as_second();
    let own = at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(own).ok()?.checked_sub(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn answer(status: u16, location: Option<&str>) -> Answer {
        Answer { status, date: None, location: location.map(str::to_owned), relays: None, at: SystemTime::UNIX_EPOCH }
    }

    #[test]
    fn a_portal_is_told_from_a_desk_that_sends_to_itself() {
        for (status, location, expected) in [
            (204, None, PlainHttp::AsExpected),
            (404, None, PlainHttp::AsExpected),
            (308, Some("https://help.example.com/generate_204"), PlainHttp::AsExpected),
            (302, Some("/login"), PlainHttp::AsExpected),
            (302, Some("https://wifi.hotel.example/login?to=help.example.com"), PlainHttp::Portal),
            (302, Some("https://help.example.com.evil.example/"), PlainHttp::Portal),
            (200, None, PlainHttp::Portal),
            (511, None, PlainHttp::Portal),
        ] {
            assert_eq!(judge_plain(&answer(status, location), "help.example.com"), expected, "{status} {location:?}");
        }
    }

    #[test]
    fn the_clock_is_compared_with_the_date_of_the_answer() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 + 90);
        assert_eq!(ahead("Sun, 06 Nov 1994 08:49:37 GMT", at), Some(90));
        assert_eq!(ahead("yesterday", at), None);
    }

    #[tokio::test]
    async fn a_desk_that_is_not_there_refuses_and_has_no_portal() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (path, relay) = look(&Desk::new(format!("127.0.0.1:{port}"), None)).await;
        assert_eq!(relay.why().unwrap().kind, WhyKind::NotApplicable, "nobody asked for the relays");
        assert_eq!((path.https, path.ipv4), (Https::ConnectionRefused, Fact::Known(Connect::ConnectionRefused)));
        assert_eq!(path.ipv6.why().unwrap().kind, WhyKind::NotApplicable);
    }

    #[tokio::test]
    async fn whoever_answers_on_plain_http_is_heard() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let serve = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            let answer = "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                Content-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let answer = plain_http("127.0.0.1".to_owned(), port, DEADLINE).await.unwrap();
        serve.join().unwrap();
        assert_eq!(judge_plain(&answer, "127.0.0.1"), PlainHttp::Portal);
        assert!(ahead(&answer.date.unwrap(), answer.at).unwrap() > 0);
    }
}
