//! A relay that does its worst: it changes, drops, delays, repeats and cross-connects what passes it, invents packets,
//! and puts its own key in the place of others. It gets nothing accepted and nothing to read.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use belay_agent::join::JoinError;
use belay_protocol::bounded::Name;
use belay_protocol::invite::{Code, Invite, InviteSecret};
use belay_protocol::message::{AgentMessage, ConsoleMessage, Introduction};
use belay_protocol::{ConsoleKey, RouteId};
use belay_relay::client::{Arrival, Link, Resumables};
use belay_relay::net::SystemNet;
use belay_relay::server::Config;
use belay_relay::stream;
use belay_tests::links::{self, Agent, Desk, RunningRelay, memory_relay};
use belay_tests::lying_relay::LyingRelay;
use belay_tests::net::{MemoryNet, Packet, Weather};
use belay_tests::world::{World, run};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::timeout;

const RELAY: u8 = 1;
const DESK: u8 = 2;
const AGENTS: [u8; 2] = [3, 4];

/// Attempts on sessions that must have been made before the test is over.
const MUTATIONS: u64 = 10_000;

const MARKER: &[u8] = b"marker-of-thirty-two-bytes-0123!";

fn relay_config(net: &MemoryNet, data: &Path) -> Config {
    memory_relay(net, RELAY, data)
}

/// What the relay does to the packets of sessions.
struct Malice {
    net: MemoryNet,
    random: StdRng,
    /// Share of packets that it does something to.
    share: f64,
    /// The routes of all ends, with where they are.
    ends: BTreeMap<RouteId, SocketAddr>,
    /// Packets that it has kept to send them again.
    kept: Vec<Packet>,
    done: Arc<AtomicU64>,
}

impl Malice {
    /// What goes on in the place of `packet`.
    fn act(&mut self, packet: Packet) -> Vec<Packet> {
        let is_from_relay = packet.from.ip() == IpAddr::from([10, 0, 0, RELAY]);
        let Some((at, route)) = self.destination(&packet).filter(|_| is_from_relay) else { return vec![packet] };
        if self.kept.len() < 2_000 {
            self.kept.push(packet.clone());
        }
        if !self.random.random_bool(self.share) {
            return vec![packet];
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        match self.random.random_range(0..9) {
            0 => vec![self.flipped(packet, 0)],
            // Not in what the packet is routed by, so that it arrives.
            1 | 2 => vec![self.flipped(packet, at + RouteId::LEN)],
            3 => Vec::new(),
            4 => {
                let (net, delay) = (self.net.clone(), Duration::from_millis(self.random.random_range(5..300)));
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    net.inject(packet);
                });
                Vec::new()
            }
            5 => {
                let mut old = self.kept[self.random.random_range(0..self.kept.len())].clone();
                old.to = packet.to;
                vec![old, packet]
            }
            6 => {
                // To the other end of another session, as if it belonged there.
                let others: Vec<(RouteId, SocketAddr)> =
                    self.ends.iter().filter(|(other, _)| **other != route).map(|(route, to)| (*route, *to)).collect();
                let (other, to) = others[self.random.random_range(0..others.len())];
                let mut crossed = packet.clone();
                crossed.bytes[at..at + RouteId::LEN].copy_from_slice(&other.0);
                vec![Packet { to, ..crossed }, Packet { to, ..packet.clone() }, packet]
            }
            7 => {
                let mut cut = packet;
                cut.bytes.truncate(self.random.random_range(1..=cut.bytes.len()));
                vec![cut]
            }
            _ => {
                let mut invented = packet.clone();
                self.random.fill_bytes(&mut invented.bytes[at + RouteId::LEN..]);
                vec![invented, packet]
            }
        }
    }

    fn destination(&self, packet: &Packet) -> Option<(usize, RouteId)> {
        let at = if packet.bytes.first()? & 0x80 == 0 { 1 } else { 6 };
        let route = RouteId(packet.bytes.get(at..at + RouteId::LEN)?.try_into().ok()?);
        self.ends.contains_key(&route).then_some((at, route))
    }

    fn flipped(&mut self, mut packet: Packet, from: usize) -> Packet {
        for _ in 0..self.random.random_range(1..4) {
            let byte = self.random.random_range(from.min(packet.bytes.len() - 1)..packet.bytes.len());
            packet.bytes[byte] ^= 1 << self.random.random_range(0..8);
        }
        packet
    }
}

/// What pair `pair` says in its stream `number`.
fn words(pair: u8, number: u32, bytes: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(u64::from(pair) << 32 | u64::from(number));
    let mut words = [MARKER, &[pair], &number.to_be_bytes()].concat();
    let start = words.len();
    words.resize(start + bytes, 0);
    random.fill_bytes(&mut words[start..]);
    words
}

/// Takes streams and checks that each is one of `pair`, whole, and comes once.
async fn listen(link: Link, pair: u8, heard: Arc<Mutex<Vec<u32>>>) {
    let mut streams = JoinSet::new();
    while let Ok(mut stream) = link.accept_uni().await {
        let heard = Arc::clone(&heard);
        streams.spawn(async move {
            let Ok(said) = stream.read_to_end(10 << 20).await else { return };
            let (head, rest) = said.split_at(MARKER.len() + 5);
            let number = u32::from_be_bytes(head[MARKER.len() + 1..].try_into().unwrap());
            assert_eq!(said, words(pair, number, rest.len()));
            let mut heard = heard.lock().unwrap();
            assert!(!heard.contains(&number), "stream {number} came twice");
            heard.push(number);
        });
    }
    while let Some(stream) = streams.join_next().await {
        stream.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_attempts_on_two_sessions_get_nothing_accepted_and_nothing_read() {
    let data = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(5, Weather { delay: Duration::from_millis(3), ..Weather::CALM });
    let relay = RunningRelay::start(&relay_config(&net, data.path())).unwrap();
    let desk = Desk::start(net.host(DESK), &relay.address).await.unwrap();
    let mut agents = Vec::new();
    for host in AGENTS {
        agents.push(Agent::start(net.host(host), &relay.address).await.unwrap());
    }
    let done = Arc::new(AtomicU64::new(0));
    let ends = Arc::new(Mutex::new(BTreeMap::new()));
    {
        // Where everybody is, the relay knows best: from the first packets that it forwards.
        let mut malice = Malice {
            net: net.clone(),
            random: StdRng::seed_from_u64(5),
            share: 0.25,
            ends: BTreeMap::new(),
            kept: Vec::new(),
            done: Arc::clone(&done),
        };
        let (ends, routes) = (
            Arc::clone(&ends),
            [desk.client.route().route(), agents[0].client.route().route(), agents[1].client.route().route()],
        );
        net.tamper(move |packet| {
            if packet.from.ip() == IpAddr::from([10, 0, 0, RELAY]) {
                for route in routes {
                    let is_for = |at: usize| packet.bytes.get(at..at + RouteId::LEN) == Some(&route.0);
                    if is_for(1) || is_for(6) {
                        malice.ends.entry(route).or_insert(packet.to);
                    }
                }
                ends.lock().unwrap().clone_from(&malice.ends);
            }
            malice.act(packet)
        });
    }
    net.record();
    let heard: Vec<Arc<Mutex<Vec<u32>>>> = (0..4).map(|_| Arc::default()).collect();
    let (mut links, mut listeners) = (Vec::new(), JoinSet::new());
    for (index, agent) in agents.iter_mut().enumerate() {
        // A handshake that was spoilt is tried again, as an agent does; one that succeeds is with the right one.
        let (ours, theirs) = loop {
            match timeout(Duration::from_secs(60), agent.open(&desk)).await {
                Ok(Ok(pair)) => break pair,
                _ => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        };
        assert_eq!((ours.peer_key(), theirs.peer_key()), (desk.client.route().key, agent.client.route().key));
        assert_eq!(ours.phrase(), theirs.phrase());
        for (direction, link) in [&ours, &theirs].into_iter().enumerate() {
            let pair = (2 * index + direction) as u8;
            listeners.spawn(listen(link.clone(), pair, Arc::clone(&heard[usize::from(pair)])));
        }
        links.push([ours, theirs]);
    }
    let mut said = 0u32;
    while done.load(Ordering::Relaxed) < MUTATIONS {
        let mut saying = JoinSet::new();
        for (index, pair) in links.iter().enumerate() {
            for (direction, other) in [(0u8, 1usize), (1, 0)] {
                let (link, name) = (pair[other].clone(), 2 * index as u8 + direction);
                saying.spawn(async move {
                    let mut stream = link.open_uni().await.expect("the session lives");
                    stream.write_all(&words(name, said, 200_000)).await.expect("the session lives");
                    stream.finish().unwrap();
                    assert_eq!(stream.stopped().await, Ok(None), "all of it is acknowledged");
                });
            }
        }
        while let Some(done) = timeout(Duration::from_secs(600), saying.join_next()).await.expect("not for ever") {
            done.unwrap();
        }
        said += 1;
    }
    for pair in links.drain(..) {
        pair.iter().for_each(|link| link.close(belay_relay::close::Close::Done));
    }
    while let Some(listener) = listeners.join_next().await {
        listener.unwrap();
    }
    for heard in heard {
        let mut heard = heard.lock().unwrap().clone();
        heard.sort_unstable();
        assert_eq!(heard, (0..said).collect::<Vec<u32>>(), "every stream came, and no other");
    }
    assert_eq!(ends.lock().unwrap().len(), 3, "it knew all ends");
    let recorded = net.recorded();
    assert!(recorded.len() as u64 > MUTATIONS);
    let reads = |needle: &[u8]| recorded.iter().any(|packet| packet.bytes.windows(needle.len()).any(|w| w == needle));
    assert!(!reads(MARKER), "the relay can read what is said");
    assert!(reads(&desk.client.route().route().0), "the recording would have shown it");
}

/// The relay connects the agent to itself, repeats the real desk's introduction, and hopes for the code.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_its_own_key_in_the_desks_place_does_not_get_the_code() {
    let world = World::start().await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let liar = LyingRelay::start(data.path()).unwrap();
    let real = links::Desk::start(Arc::new(SystemNet), &world.relay.as_ref().unwrap().address).await.unwrap();
    let genuine = real.organization.delegate(ConsoleKey(real.client.route().key), i64::MAX);
    let impostor = links::Desk::start(Arc::new(SystemNet), &liar.address).await.unwrap();
    let invite = Invite {
        relay: liar.address.clone(),
        further_relays: Vec::new(),
        code: Code::from_number(1),
        desk: world.desk.profile.help_host.clone(),
        organization: real.organization.organization_key(),
        secret: InviteSecret([0; 16]),
    };
    let mut options = world.options("device", &invite);
    options.insecure_http = false;
    let pretending = async {
        let link = impostor.accept().await.unwrap();
        let Ok(Arrival::Fresh(session)) = Resumables::default().arrive(link).await else { panic!("a fresh session") };
        let (send, recv) = session.open_channel().unwrap();
        let (mut sender, mut receiver) = stream::halves::<ConsoleMessage, AgentMessage>(send, recv);
        let introduction = Introduction {
            delegation: genuine,
            desk_name: Name::truncating("Example Support"),
            desk_host: Name::truncating(world.desk.profile.help_host.clone()),
        };
        sender.send(&ConsoleMessage::Introduction(introduction)).await.unwrap();
        receiver.receive().await
    };
    let (joined, heard) = tokio::join!(async { run(options, "").await.0 }, pretending);
    assert!(matches!(joined, Err(JoinError::NotTheDesk)), "{joined:?}");
    assert!(!matches!(heard, Ok(Some(_))), "the relay was told something: {heard:?}");
}
