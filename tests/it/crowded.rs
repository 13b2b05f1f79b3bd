//! A relay at which too many knock, on the network in memory, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use belay_protocol::DeviceKey;
use belay_protocol::invite::RelayAddress;
use belay_protocol::limits::HANDSHAKE_DEADLINE;
use belay_protocol::message::RelayRefusal;
use belay_relay::client::{Client, Notice, RelayError, Role};
use belay_relay::identity::Identity;
use belay_relay::net::Net;
use belay_relay::server::{Admission, Caps, Config, denied_devices};
use belay_relay::tls;
use belay_tests::links::{Agent, Desk, RunningRelay, client_options, memory_relay};
use belay_tests::net::{MemoryNet, Packet, Weather};
use quinn::{ClientConfig, ConnectionError, Endpoint, EndpointConfig, TokioRuntime};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const RELAY: u8 = 1;
const HONEST: u8 = 3;
const STALLER: u8 = 50;
const NEIGHBOUR: u8 = 51;

/// `RETRY_FROM` in relay/src/server/control.rs, and what one network may have under way.
const WITHOUT_PROOF: usize = 64;
const OF_ONE_NETWORK: usize = 64;

/// What passed between the relay and whoever begins handshakes and never ends one.
#[derive(Debug, Default)]
struct Stalled {
    /// Bytes from each, and to each before it had proved its address.
    bytes: BTreeMap<SocketAddr, (usize, usize)>,
    /// Those that were asked for a proof.
    asked: BTreeSet<SocketAddr>,
    /// Those whose handshake the relay has taken up. From then on they are silent.
    taken_up: BTreeSet<SocketAddr>,
}

/// The kinds of long headers (RFC 9000, section 17.2).
fn is_long(packet: &[u8], kind: u8) -> bool {
    packet.first().is_some_and(|first| first & 0x80 != 0 && first >> 4 & 0b11 == kind)
}

const INITIAL: u8 = 0;
const HANDSHAKE: u8 = 2;
const RETRY: u8 = 3;

impl Stalled {
    /// Watches `net`, and keeps everything back that somebody at `stallers` says once the relay has taken it up.
    fn watch(net: &MemoryNet, stallers: IpAddr) -> Arc<Mutex<Self>> {
        let seen = Arc::new(Mutex::new(Self::default()));
        let watched = Arc::clone(&seen);
        net.tamper(move |packet: Packet| {
            let mut seen = watched.lock().unwrap();
            if packet.from.ip() == stallers {
                if seen.taken_up.contains(&packet.from) {
                    return vec![];
                }
                seen.bytes.entry(packet.from).or_default().0 += packet.bytes.len();
            } else if packet.to.ip() == stallers {
                seen.bytes.entry(packet.to).or_default().1 += packet.bytes.len();
                if is_long(&packet.bytes, RETRY) {
                    seen.asked.insert(packet.to);
                } else if is_long(&packet.bytes, INITIAL) && packet.bytes.len() > REFUSAL_BYTES
                    || is_long(&packet.bytes, HANDSHAKE)
                {
                    seen.taken_up.insert(packet.to);
                }
            }
            vec![packet]
        });
        seen
    }
}

/// Longer than an Initial that only says no.
const REFUSAL_BYTES: usize = 100;

fn config(net: &MemoryNet, data: &std::path::Path) -> Config {
    memory_relay(net, RELAY, data)
}

/// Begins a handshake from a port of its own, as an agent does.
fn knock(net: &MemoryNet, host: u8, relay: &RelayAddress) -> JoinHandle<Option<ConnectionError>> {
    let socket = net.host(host).bind(SocketAddr::from(([0, 0, 0, 0], 0))).unwrap();
    let endpoint =
        Endpoint::new_with_abstract_socket(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime)).unwrap();
    let crypto = tls::client(&Identity::generate().unwrap(), tls::CONTROL_ALPN, Some(relay.key.0)).unwrap();
    let config = ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint.connect_with(config, relay.host_port().parse().unwrap(), tls::SERVER_NAME).unwrap();
    tokio::spawn(async move {
        let _endpoint = endpoint;
        connecting.await.err()
    })
}

/// Time for all that is sent to be answered, and short of every deadline.
const ROUND: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn handshakes_that_never_end_cost_others_nothing_and_their_own_network_its_places() {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather::CALM);
    let relay = RunningRelay::start(&config(&net, dir.path())).unwrap();
    let staller = IpAddr::from([192, 0, 2, 1]);
    net.readdress(STALLER, staller);
    net.readdress(NEIGHBOUR, IpAddr::from([192, 0, 2, 9]));
    let seen = Stalled::watch(&net, staller);
    let mut knocking = Vec::new();

    // As long as few are under way nobody is asked for a proof.
    knocking.extend((0..WITHOUT_PROOF).map(|_| knock(&net, STALLER, &relay.address)));
    tokio::time::sleep(ROUND).await;
    assert_eq!(seen.lock().unwrap().taken_up.len(), WITHOUT_PROOF);
    assert_eq!(seen.lock().unwrap().asked.len(), 0);

    // From then on everybody is, and one network gets so many places.
    knocking.extend((0..OF_ONE_NETWORK).map(|_| knock(&net, STALLER, &relay.address)));
    tokio::time::sleep(ROUND).await;
    assert_eq!(seen.lock().unwrap().asked.len(), OF_ONE_NETWORK);
    assert_eq!(seen.lock().unwrap().taken_up.len(), WITHOUT_PROOF + OF_ONE_NETWORK);

    let refused = knock(&net, STALLER, &relay.address);
    tokio::time::sleep(ROUND).await;
    assert!(refused.is_finished(), "one more of the same network has a place");
    let error = refused.await.unwrap();
    assert!(matches!(error, Some(ConnectionError::ConnectionClosed(_))), "{error:?}");
    assert_eq!(seen.lock().unwrap().asked.len(), OF_ONE_NETWORK + 1);

    // Everybody else gets in, and proves its address on the way.
    let began = Instant::now();
    let honest = Agent::start(net.host(HONEST), &relay.address).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    // What was held is let go.
    tokio::time::sleep(HANDSHAKE_DEADLINE + Duration::from_secs(1)).await;
    let neighbour = Agent::start(net.host(NEIGHBOUR), &relay.address).await.unwrap();

    let seen = seen.lock().unwrap();
    for (from, (sent, got)) in &seen.bytes {
        if !seen.asked.contains(from) {
            assert!(*got <= 3 * sent, "{got} bytes went to an address that had proved nothing and sent {sent}");
        }
    }
    drop((honest, neighbour, knocking));
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_by_a_full_relay_comes_back_when_it_was_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather::CALM);
    let caps = Caps { endpoints: 1, ..Caps::default() };
    let relay = RunningRelay::start(&Config { caps, ..config(&net, dir.path()) }).unwrap();
    let first = Agent::start(net.host(HONEST), &relay.address).await.unwrap();

    let options = client_options(net.host(NEIGHBOUR), false);
    let second = Client::start(Arc::new(Identity::generate().unwrap()), options).unwrap();
    let mut registration = second.register(relay.address.clone(), Role::Agent);
    let Some(Notice::Down(RelayError::Refused(RelayRefusal::Full { retry_after_ms }))) = registration.notice().await
    else {
        panic!("a full relay has room")
    };
    let told = Instant::now();
    first.client.close().await;
    drop(first);
    assert!(matches!(registration.notice().await, Some(Notice::Up)));
    let waited = told.elapsed();
    let asked = Duration::from_millis(retry_after_ms.into());
    assert!(asked >= Duration::from_secs(10), "{asked:?}");
    assert!(
        waited >= asked && waited < asked + Duration::from_secs(1),
        "{asked:?} were asked for, and {waited:?} passed"
    );
}

/// Has a desk deny 60,000 devices, more than half of what a relay keeps of one organization; whether it takes them.
async fn denies_many(desk: &mut Desk, first: u32) -> bool {
    desk.registration.deny_only((first..first + 60_000).map(device).collect()).await;
    let refused =
        async { matches!(desk.registration.notice().await, Some(Notice::Refused(RelayRefusal::Full { .. }))) };
    !tokio::time::timeout(Duration::from_secs(5), refused).await.unwrap_or(false)
}

fn device(number: u32) -> DeviceKey {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    DeviceKey(key)
}

#[tokio::test(start_paused = true)]
async fn where_everybody_is_served_deny_lists_share_one_limit() {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather::CALM);
    let relay = RunningRelay::start(&config(&net, dir.path())).unwrap();
    let mut one = Desk::start(net.host(HONEST), &relay.address).await.unwrap();
    let mut other = Desk::start(net.host(NEIGHBOUR), &relay.address).await.unwrap();
    assert!(denies_many(&mut one, 0).await);
    assert!(!denies_many(&mut other, 100_000).await, "one can have any number of organizations here");
    // As many as there was room for are denied all the same.
    assert_eq!(denied_devices(dir.path()).unwrap().count, 100_000);
    assert!(denies_many(&mut one, 50_000).await, "a new list takes the place of the former");

    // Organizations that were listed have the whole room each.
    let listed = [&one, &other].map(|desk| desk.organization.organization_key());
    let admission = Admission::Listed(listed.into_iter().collect());
    relay.handle.reload(&Config { admission, ..config(&net, dir.path()) }).unwrap();
    assert!(denies_many(&mut other, 100_000).await);
    assert_eq!(denied_devices(dir.path()).unwrap().count, 120_000);
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_is_not_served_asks_less_and_less_often() {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather::CALM);
    let admission = Admission::Listed(BTreeSet::new());
    let relay = RunningRelay::start(&Config { admission, ..config(&net, dir.path()) }).unwrap();
    let (organization, console) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let delegation = organization.delegate(console.console_key(), i64::MAX);
    let client = Client::start(Arc::new(console), client_options(net.host(HONEST), true)).unwrap();
    let mut registration = client.register(relay.address.clone(), Role::Desk(delegation));
    let mut refusals = 0;
    let asking = async {
        while let Some(Notice::Down(RelayError::Refused(RelayRefusal::UnknownOrganization))) =
            registration.notice().await
        {
            refusals += 1;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(120), asking).await.is_err(), "it was told something else");
    assert!((10..=25).contains(&refusals), "{refusals} in two minutes");
}
