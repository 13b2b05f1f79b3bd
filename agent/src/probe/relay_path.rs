//! The way to a relay, by UDP and by TCP: whether it answers, how fast, how evenly, and what is lost.
//!
//! The relay sees a key that is made for this and forgotten, and learns nothing about this machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use belay_protocol::bounded::Name;
use belay_protocol::invite::RelayAddress;
use belay_protocol::report::{Fact, Reachability, RelayPath, RelayWay, Transport, Why, WhyKind};
use belay_relay::client::{Client, ClientOptions, InUse, Measured, PathFigures, Proxy, RelayError, Ways};
use belay_relay::identity::Identity;
use belay_relay::net::Net;
use futures_util::future::join_all;

/// Where to look for relays, and from where.
#[derive(Clone, Debug)]
pub struct Relays {
    /// The relays; of more than a few the first are tried.
    pub relays: Vec<RelayAddress>,
    /// Where sockets come from.
    pub net: Arc<dyn Net>,
    /// The HTTP proxy of the network.
    pub proxy: Option<Proxy>,
    /// Time for each way to each of them; all are tried at once.
    pub deadline: Duration,
}

/// What came of trying one way.
type Tried = Result<Measured, Failed>;

/// A way that is none, and when that was known.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: RelayError,
    /// Time until it was given up.
    pub took: Duration,
}

/// Both ways to one relay.
#[derive(Debug)]
pub struct Both {
    relay: RelayAddress,
    udp: Tried,
    tcp: Tried,
}

/// Tries both ways to each relay, all at once, and tells of the nearest that answers; of the first when none does.
pub async fn look(asked: Relays) -> Result<RelayPath, Why> {
    nearest(asked).await.map(|both| both.path()).ok_or_else(|| Why::new(WhyKind::NotOffered, "relay"))
}

/// Both ways to the nearest relay that answers, or to the first when none does; nothing where there is none.
pub async fn nearest(asked: Relays) -> Option<Both> {
    let tries = asked.relays.iter().take(RELAYS_MAX).map(|relay| asked.both(relay));
    join_all(tries).await.into_iter().min_by_key(Both::rank)
}

/// A desk has one relay or two.
const RELAYS_MAX: usize = 4;

/// Time for each way: three round trips to the far side of the world, and a lost packet.
pub const DEADLINE: Duration = Duration::from_secs(3);

impl Relays {
    async fn both(&self, relay: &RelayAddress) -> Both {
        let (udp, tcp) = tokio::join!(self.one(relay, Ways::Udp), self.one(relay, Ways::Tunnel));
        Both { relay: relay.clone(), udp, tcp }
    }

    async fn one(&self, relay: &RelayAddress, ways: Ways) -> Tried {
        let began = Instant::now();
        let tried = async {
            let client = stranger(&self.net, self.proxy.clone(), ways)?;
            let measured = client.measure(relay.clone(), self.deadline).await;
            client.close().await;
            measured
        };
        tried.await.map_err(|error| Failed { error, took: began.elapsed() })
    }
}

/// A client with a key that is made for it and forgotten.
pub(crate) fn stranger(net: &Arc<dyn Net>, proxy: Option<Proxy>, ways: Ways) -> Result<Client, RelayError> {
    let start = |error: &dyn std::fmt::Display| RelayError::Start(error.to_string());
    let identity = Identity::generate().map_err(|error| start(&error))?;
    let options = ClientOptions { ways, proxy, ..ClientOptions::new(Arc::clone(net)) };
    Client::start(Arc::new(identity), options).map_err(|error| start(&error))
}

impl Both {
    /// A relay that nobody has tried yet.
    pub fn untried(relay: RelayAddress) -> Self {
        let untried = || Err(Failed { error: RelayError::Start(String::new()), took: Duration::ZERO });
        Self { relay, udp: untried(), tcp: untried() }
    }

    /// Whether it is this relay that was tried.
    pub fn is_of(&self, relay: &RelayAddress) -> bool {
        self.relay == *relay
    }

    /// UDP before TCP, near before far, and what does not answer last.
    fn rank(&self) -> (u8, Duration) {
        let near = |measured: &Measured| measured.median().unwrap_or(measured.took);
        match (&self.udp, &self.tcp) {
            (Ok(udp), _) => (0, near(udp)),
            (Err(_), Ok(tcp)) => (1, near(tcp)),
            (Err(_), Err(_)) => (2, Duration::ZERO),
        }
    }

    /// What a report says of it: a session would go by UDP, or by TCP where that does not get through.
    pub fn path(&self) -> RelayPath {
        match (&self.udp, &self.tcp) {
            (Ok(udp), _) => self.by(Some(Transport::Udp), Some(udp)),
            (Err(_), Ok(tcp)) => self.by(Some(Transport::Tcp), Some(tcp)),
            (Err(_), Err(_)) => self.by(None, None),
        }
    }

    /// The same while a session goes one of the ways: what that has carried counts as well.
    pub fn in_session(&self, in_use: &InUse, carried: &PathFigures) -> RelayPath {
        let (transport, tried) =
            if in_use.is_tunnel { (Transport::Tcp, &self.tcp) } else { (Transport::Udp, &self.udp) };
        let measured = tried.as_ref().ok();
        let path = self.by(Some(transport), measured);
        let both = |carried: u64, measured: Option<u64>| carried.saturating_add(measured.unwrap_or(0));
        let sent = both(carried.sent_packets, measured.map(|measured| measured.sent_packets));
        let lost = both(carried.lost_packets, measured.map(|measured| measured.lost_packets));
        let (udp, tcp) = match transport {
            Transport::Udp => (carrying(path.udp), path.tcp),
            Transport::Tcp => (path.udp, carrying(path.tcp)),
        };
        RelayPath {
            rtt_us: path.rtt_us.or(Some(micros(carried.round_trip))),
            loss_percent: Some(share(lost, sent)),
            mtu_bytes: Some(carried.mtu_bytes),
            black_holes: Some(carried.black_holes),
            clock_ahead_seconds: in_use.clock_ahead_ms.map(|ahead_ms| ahead_ms / 1_000).or(path.clock_ahead_seconds),
            udp,
            tcp,
            ..path
        }
    }

    fn by(&self, transport: Option<Transport>, measured: Option<&Measured>) -> RelayPath {
        RelayPath {
            relay: Name::truncating(self.relay.host_port()),
            reachability: if transport.is_some() { Reachability::Reached } else { Reachability::Unreachable },
            transport,
            rtt_us: measured.and_then(Measured::median).map(micros),
            jitter_us: measured.and_then(Measured::jitter).map(micros),
            loss_percent: measured.map(|measured| share(measured.lost_packets, measured.sent_packets)),
            // Only what carries a session looks for large packets.
            mtu_bytes: None,
            black_holes: None,
            clock_ahead_seconds: measured.and_then(|measured| Some(measured.clock_ahead_ms? / 1_000)),
            udp: way(&self.udp),
            tcp: way(&self.tcp),
        }
    }
}

fn way(tried: &Tried) -> Fact<RelayWay> {
    match tried {
        Ok(measured) => Fact::Known(RelayWay {
            reachability: Reachability::Reached,
            took_us: Some(micros(measured.took)),
            rtt_us: measured.median().map(micros),
        }),
        // Nothing was sent, so that nothing is known of the way.
        Err(Failed { error: RelayError::Start(_), .. }) => Fact::Unknown(Why::new(WhyKind::Failed, "relay")),
        Err(failed) => Fact::Known(RelayWay {
            reachability: Reachability::Unreachable,
            took_us: Some(micros(failed.took)),
            rtt_us: None,
        }),
    }
}

/// A way that carries a session gets through, whatever came of a short try beside it.
fn carrying(way: Fact<RelayWay>) -> Fact<RelayWay> {
    match way {
        Fact::Known(way) if way.reachability == Reachability::Reached => Fact::Known(way),
        _ => Fact::Known(RelayWay { reachability: Reachability::Reached, took_us: None, rtt_us: None }),
    }
}

fn share(lost: u64, sent: u64) -> f64 {
    (lost as f64 * 100.0 / sent.max(1) as f64).min(100.0)
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(round_trips_ms: &[u64], lost_packets: u64) -> Measured {
        Measured {
            took: Duration::from_millis(90),
            round_trips: round_trips_ms.iter().copied().map(Duration::from_millis).collect(),
            sent_packets: 20,
            lost_packets,
            clock_ahead_ms: Some(-2_500),
        }
    }

    fn failed(error: RelayError) -> Failed {
        Failed { error, took: DEADLINE }
    }

    fn both(udp: Tried, tcp: Tried) -> Both {
        let relay = "relay.example.com:443";
        let key = belay_protocol::RelayKey([7; 32]);
        Both { relay: RelayAddress { host: relay.split(':').next().unwrap().to_owned(), port: 443, key }, udp, tcp }
    }

    #[test]
    fn the_way_in_use_is_udp_where_it_answers() {
        let path = both(Ok(measured(&[30, 40, 30], 1)), Ok(measured(&[60], 0))).path();
        assert_eq!((path.reachability, path.transport), (Reachability::Reached, Some(Transport::Udp)));
        assert_eq!((path.rtt_us, path.jitter_us, path.loss_percent), (Some(30_000), Some(10_000), Some(5.0)));
        assert_eq!((path.clock_ahead_seconds, path.relay.as_str()), (Some(-2), "relay.example.com:443"));
        assert_eq!(path.tcp.known().unwrap().rtt_us, Some(60_000));
    }

    #[test]
    fn udp_that_does_not_get_through_is_known_and_the_tunnel_is_told_of() {
        let path = both(Err(failed(RelayError::NoAnswer)), Ok(measured(&[60, 60], 0))).path();
        assert_eq!((path.transport, path.jitter_us), (Some(Transport::Tcp), Some(0)));
        let udp = path.udp.known().unwrap();
        assert_eq!((udp.reachability, udp.took_us), (Reachability::Unreachable, Some(3_000_000)));
    }

    #[test]
    fn a_relay_that_does_not_answer_has_no_figures_and_a_way_that_was_not_tried_is_unknown() {
        let path = both(Err(failed(RelayError::NoAnswer)), Err(failed(RelayError::Start("x".into())))).path();
        assert_eq!((path.reachability, path.transport, path.rtt_us), (Reachability::Unreachable, None, None));
        assert_eq!((path.loss_percent, path.tcp.why().unwrap().kind), (None, WhyKind::Failed));
    }

    #[test]
    fn what_a_session_has_carried_counts_and_its_way_gets_through() {
        let tried = both(Err(failed(RelayError::NoAnswer)), Ok(measured(&[60, 60], 0)));
        let relay = tried.relay.clone();
        let carried = PathFigures {
            round_trip: Duration::from_millis(80),
            mtu_bytes: 1_452,
            sent_packets: 80,
            lost_packets: 20,
            black_holes: 1,
        };
        let path = tried.in_session(&InUse { relay: relay.clone(), is_tunnel: false, clock_ahead_ms: None }, &carried);
        assert_eq!((path.transport, path.rtt_us, path.jitter_us), (Some(Transport::Udp), Some(80_000), None));
        assert_eq!((path.loss_percent, path.mtu_bytes), (Some(25.0), Some(1_452)));
        assert_eq!(path.udp.known().unwrap().reachability, Reachability::Reached);
        let path = tried.in_session(&InUse { relay: relay.clone(), is_tunnel: true, clock_ahead_ms: None }, &carried);
        assert_eq!((path.transport, path.rtt_us, path.jitter_us), (Some(Transport::Tcp), Some(60_000), Some(0)));
        assert_eq!(
            (path.loss_percent, path.udp.known().unwrap().reachability),
            (Some(20.0), Reachability::Unreachable)
        );
        let path =
            Both::untried(relay.clone()).in_session(&InUse { relay, is_tunnel: false, clock_ahead_ms: None }, &carried);
        assert_eq!(path.tcp.why().unwrap().kind, WhyKind::Failed);
    }

    #[test]
    fn the_nearest_relay_by_udp_comes_first() {
        let ranks = [
            both(Ok(measured(&[30], 0)), Err(failed(RelayError::NoAnswer))).rank(),
            both(Ok(measured(&[80], 0)), Ok(measured(&[10], 0))).rank(),
            both(Err(failed(RelayError::NoAnswer)), Ok(measured(&[10], 0))).rank(),
            both(Err(failed(RelayError::NoAnswer)), Err(failed(RelayError::NoAnswer))).rank(),
        ];
        assert!(ranks.is_sorted(), "{ranks:?}");
    }
}
