//! A network in memory: real quinn and rustls on top, virtual time below.
//!
//! Every socket is bound to an address of this network. Packets are lost, delayed, doubled and reordered by a seeded
//! generator; hosts can be cut off, lose UDP, change their address or stand behind a NAT that forgets; packets can be
//! tampered with on the way, and everything that passes can be recorded. Streams (TCP) share delay and outages and lose
//! nothing. Under tokio's paused clock hours pass in seconds. TLS draws its own randomness, so that runs of one seed
//! differ in bytes: tests assert outcomes, not traces.

mod nat;
mod socket;
mod stream;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use belay_relay::net::{ByteStream, Later, Net, RelaySocket, StreamListener};
use quinn::AsyncUdpSocket;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::nat::Nat;
use self::socket::{Inbox, MemorySocket};
use self::stream::{MemoryListener, Waiting};

/// What the network does to packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weather {
    /// Chance between 0 and 1 that a packet is lost.
    pub loss: f64,
    /// Chance that it arrives twice.
    pub duplication: f64,
    /// Smallest time on the way.
    pub delay: Duration,
    /// Added at random, up to this much: packets overtake each other.
    pub jitter: Duration,
}

impl Weather {
    /// Nothing is lost and everything arrives after a millisecond.
    pub const CALM: Self =
        Self { loss: 0.0, duplication: 0.0, delay: Duration::from_millis(1), jitter: Duration::ZERO };
}

/// A packet on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its sender.
    pub from: SocketAddr,
    /// Its receiver.
    pub to: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What becomes of a packet: the packets that go on in its place.
type Tamper = Box<dyn FnMut(Packet) -> Vec<Packet> + Send>;

/// The network.
#[derive(Debug, Clone)]
pub struct MemoryNet {
    state: Arc<Mutex<State>>,
}

/// One host's view of the network: sockets are bound to its address.
#[derive(Debug, Clone)]
pub struct Host {
    net: MemoryNet,
    number: u8,
}

struct State {
    weather: Weather,
    random: StdRng,
    /// The address of each host that does not have its first one any more.
    readdressed: BTreeMap<u8, IpAddr>,
    inboxes: HashMap<SocketAddr, Vec<Arc<Inbox>>>,
    listeners: HashMap<SocketAddr, Waiting>,
    names: BTreeMap<String, Vec<IpAddr>>,
    cut: BTreeSet<IpAddr>,
    without_udp: BTreeSet<IpAddr>,
    nats: BTreeMap<IpAddr, Nat>,
    clocks: BTreeMap<u8, i64>,
    next_port: u16,
    tamper: Option<Tamper>,
    recording: Option<Vec<Packet>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sockets", self.inboxes.len())
    }
}

impl MemoryNet {
    /// A network whose chances follow from `seed`.
    pub fn new(seed: u64, weather: Weather) -> Self {
        let state = State {
            weather,
            random: StdRng::seed_from_u64(seed),
            readdressed: BTreeMap::new(),
            inboxes: HashMap::new(),
            listeners: HashMap::new(),
            names: BTreeMap::new(),
            cut: BTreeSet::new(),
            without_udp: BTreeSet::new(),
            nats: BTreeMap::new(),
            clocks: BTreeMap::new(),
            next_port: 10_000,
            tamper: None,
            recording: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Host `number`, whose first address is 10.0.0.`number`.
    pub fn host(&self, number: u8) -> Arc<Host> {
        Arc::new(Host { net: self.clone(), number })
    }

    /// The address of host `number` at this moment.
    pub fn address_of(&self, number: u8) -> IpAddr {
        self.state().address_of(number)
    }

    /// Gives `host` addresses by name.
    pub fn name(&self, host: &str, addresses: &[IpAddr]) {
        self.state().names.insert(host.to_owned(), addresses.to_vec());
    }

    /// Changes what happens to packets that are sent from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Cuts a host off: nothing leaves or reaches it, and nobody is told.
    pub fn cut(&self, ip: IpAddr) {
        self.state().cut.insert(ip);
    }

    /// Connects a host again.
    pub fn mend(&self, ip: IpAddr) {
        self.state().cut.remove(&ip);
    }

    /// Drops a host's UDP packets from now on, in both directions, or no longer.
    pub fn set_udp(&self, ip: IpAddr, passes: bool) {
        let mut state = self.state();
        if passes {
            state.without_udp.remove(&ip);
        } else {
            state.without_udp.insert(ip);
        }
    }

    /// Moves host `number` with its UDP sockets to another address; its streams hang.
    pub fn readdress(&self, number: u8, to: IpAddr) {
        let mut state = self.state();
        let from = state.address_of(number);
        let ports: Vec<u16> = state.inboxes.keys().filter(|at| at.ip() == from).map(SocketAddr::port).collect();
        for port in ports {
            let inboxes = state.inboxes.remove(&SocketAddr::new(from, port)).unwrap_or_default();
            for inbox in &inboxes {
                inbox.move_to(SocketAddr::new(to, port));
            }
            state.inboxes.insert(SocketAddr::new(to, port), inboxes);
        }
        state.readdressed.insert(number, to);
    }

    /// Puts a host behind a NAT with the address `outside`, which forgets a flow after `memory` without a packet from
    /// inside.
    pub fn put_behind_nat(&self, inside: IpAddr, outside: IpAddr, memory: Duration) {
        self.state().nats.insert(inside, Nat::new(outside, memory));
    }

    /// Makes the NAT in front of `inside` forget every flow; the next packets leave from other ports.
    pub fn rebind_nat(&self, inside: IpAddr) {
        if let Some(nat) = self.state().nats.get_mut(&inside) {
            nat.forget();
        }
    }

    /// Steps the wall clock of host `number` by `ms`.
    pub fn step_clock(&self, number: u8, ms: i64) {
        *self.state().clocks.entry(number).or_default() += ms;
    }

    /// Has every packet looked at on its way; what comes back goes on instead.
    pub fn tamper(&self, tamper: impl FnMut(Packet) -> Vec<Packet> + Send + 'static) {
        self.state().tamper = Some(Box::new(tamper));
    }

    /// Takes the address from whoever has it, as when a process is killed: the old socket neither sends nor receives,
    /// and the address can be bound again.
    pub fn unplug(&self, address: SocketAddr) {
        let mut state = self.state();
        state.inboxes.remove(&address);
        state.listeners.remove(&address);
    }

    /// Begins to record everything that is sent.
    pub fn record(&self) {
        self.state().recording = Some(Vec::new());
    }

    /// What has been recorded.
    pub fn recorded(&self) -> Vec<Packet> {
        self.state().recording.clone().unwrap_or_default()
    }

    /// Delivers a packet as if it had been sent, past NATs and tampering: whoever does this can spoof.
    pub fn inject(&self, packet: Packet) {
        self.send_off(&mut self.state(), packet);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a packet from a socket.
    fn carry(&self, inbox: &Arc<Inbox>, to: SocketAddr, bytes: &[u8]) {
        let mut state = self.state();
        let mut from = inbox.address();
        let is_plugged_in =
            state.inboxes.get(&from).is_some_and(|inboxes| inboxes.iter().any(|plugged| Arc::ptr_eq(plugged, inbox)));
        if !is_plugged_in || state.cut.contains(&from.ip()) || state.without_udp.contains(&from.ip()) {
            return;
        }
        let random_port = state.random.random_range(20_000..60_000);
        if let Some(nat) = state.nats.get_mut(&from.ip()) {
            from = nat.outward(from, to, random_port);
        }
        let packet = Packet { from, to, bytes: bytes.to_vec() };
        let packets = match &mut state.tamper {
            Some(tamper) => tamper(packet),
            None => vec![packet],
        };
        for packet in packets {
            self.send_off(&mut state, packet);
        }
    }

    fn send_off(&self, state: &mut State, packet: Packet) {
        if let Some(recording) = &mut state.recording {
            recording.push(packet.clone());
        }
        let weather = state.weather;
        let copies = 1 + usize::from(state.random.random_bool(weather.duplication));
        for _ in 0..copies {
            if state.random.random_bool(weather.loss) {
                continue;
            }
            let delay = weather.delay + weather.jitter.mul_f64(state.random.random::<f64>());
            let (net, packet) = (self.clone(), packet.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                net.deliver(packet);
            });
        }
    }

    fn deliver(&self, packet: Packet) {
        let Packet { from, to, bytes } = packet;
        let mut state = self.state();
        let inside = state.nats.values_mut().find_map(|nat| nat.inward(to, from));
        let to = match inside {
            Some(inside) => inside,
            // Behind a NAT nobody is reached but through it.
            None if state.nats.contains_key(&to.ip()) => return,
            None => to,
        };
        if state.cut.contains(&to.ip()) || state.without_udp.contains(&to.ip()) {
            return;
        }
        let Some(inboxes) = state.inboxes.get(&to) else { return };
        // As SO_REUSEPORT does: one source, one socket.
        let inbox = Arc::clone(&inboxes[usize::from(from.port()) % inboxes.len()]);
        drop(state);
        inbox.put(from, bytes);
    }
}

impl State {
    fn address_of(&self, number: u8) -> IpAddr {
        self.readdressed.get(&number).copied().unwrap_or(IpAddr::from([10, 0, 0, number]))
    }

    fn free_port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }
}

impl Host {
    fn bind_all(&self, address: SocketAddr, count: usize) -> io::Result<Vec<Arc<MemorySocket>>> {
        if address.is_ipv6() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this network has IPv4 only"));
        }
        let mut state = self.net.state();
        let port = if address.port() == 0 { state.free_port() } else { address.port() };
        let bound = SocketAddr::new(state.address_of(self.number), port);
        if state.inboxes.contains_key(&bound) {
            return Err(io::Error::from(io::ErrorKind::AddrInUse));
        }
        let inboxes: Vec<Arc<Inbox>> = (0..count).map(|_| Arc::new(Inbox::new(bound))).collect();
        state.inboxes.insert(bound, inboxes.clone());
        drop(state);
        let socket = |inbox| Arc::new(MemorySocket::new(self.net.clone(), inbox));
        Ok(inboxes.into_iter().map(socket).collect())
    }
}

impl Net for Host {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(self.bind_all(address, 1)?.remove(0))
    }

    fn bind_shared(&self, address: SocketAddr, count: usize) -> io::Result<Vec<Arc<dyn RelaySocket>>> {
        Ok(self.bind_all(address, count.max(1))?.into_iter().map(|socket| socket as _).collect())
    }

    fn resolve(&self, host: &str, port: u16) -> Later<'_, Vec<SocketAddr>> {
        let literal: Option<IpAddr> = host.parse().ok();
        let known = literal.map(|ip| vec![ip]).or_else(|| self.net.state().names.get(host).cloned());
        let answer = known.map(|ips| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        Box::pin(async move { answer.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)) })
    }

    fn source_towards(&self, _: SocketAddr) -> Option<IpAddr> {
        let state = self.net.state();
        let own = state.address_of(self.number);
        (!state.cut.contains(&own)).then_some(own)
    }

    fn connect(&self, address: SocketAddr) -> Later<'_, Box<dyn ByteStream>> {
        Box::pin(stream::connect(&self.net, self.number, address))
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn StreamListener>> {
        let mut state = self.net.state();
        let bound = SocketAddr::new(state.address_of(self.number), address.port());
        if state.listeners.contains_key(&bound) {
            return Err(io::Error::from(io::ErrorKind::AddrInUse));
        }
        let (listener, waiting) = MemoryListener::new(self.net.clone(), bound);
        state.listeners.insert(bound, waiting);
        Ok(Box::new(listener))
    }

    fn unix_ms(&self) -> i64 {
        belay_relay::clock::unix_ms() + self.net.state().clocks.get(&self.number).copied().unwrap_or_default()
    }
}
