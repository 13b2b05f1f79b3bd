//! A network in memory: real quinn and rustls on top, virtual time below.
//!
//! Every socket is bound to an address of this network. Packets are lost, delayed, doubled and reordered by a seeded
//! generator, links can be cut, and everything that passes can be recorded. Under tokio's paused clock hours pass in
//! seconds. TLS draws its own randomness, so that runs of one seed differ in bytes: tests assert outcomes, not traces.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use belay_relay::net::Net;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

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

/// A packet that was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its sender.
    pub from: SocketAddr,
    /// Its receiver.
    pub to: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The network.
#[derive(Debug, Clone)]
pub struct MemoryNet {
    state: Arc<Mutex<State>>,
}

/// One host's view of the network: sockets are bound to its address.
#[derive(Debug, Clone)]
pub struct Host {
    net: MemoryNet,
    ip: IpAddr,
}

#[derive(Debug)]
struct State {
    weather: Weather,
    random: StdRng,
    inboxes: HashMap<SocketAddr, Arc<Inbox>>,
    names: BTreeMap<String, IpAddr>,
    cut: BTreeSet<IpAddr>,
    next_port: u16,
    recording: Option<Vec<Recorded>>,
}

#[derive(Debug, Default)]
struct Inbox {
    arrived: Mutex<Arrived>,
}

#[derive(Debug, Default)]
struct Arrived {
    packets: VecDeque<(SocketAddr, Vec<u8>)>,
    reader: Option<Waker>,
}

/// Packets that wait at one socket; more are dropped, as by a kernel.
const INBOX_MAX: usize = 4096;

impl MemoryNet {
    /// A network whose chances follow from `seed`.
    pub fn new(seed: u64, weather: Weather) -> Self {
        let state = State {
            weather,
            random: StdRng::seed_from_u64(seed),
            inboxes: HashMap::new(),
            names: BTreeMap::new(),
            cut: BTreeSet::new(),
            next_port: 10_000,
            recording: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The host 10.0.0.`number`.
    pub fn host(&self, number: u8) -> Arc<Host> {
        Arc::new(Host { net: self.clone(), ip: IpAddr::from([10, 0, 0, number]) })
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

    /// Takes the address from whoever has it, as when a process is killed: the old socket neither sends nor receives,
    /// and the address can be bound again.
    pub fn unplug(&self, address: SocketAddr) {
        self.state().inboxes.remove(&address);
    }

    /// Begins to record everything that is sent.
    pub fn record(&self) {
        self.state().recording = Some(Vec::new());
    }

    /// What has been recorded.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.state().recording.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(&self, socket: &Arc<Inbox>, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let mut state = self.state();
        let is_plugged_in = state.inboxes.get(&from).is_some_and(|inbox| Arc::ptr_eq(inbox, socket));
        if !is_plugged_in || state.cut.contains(&from.ip()) {
            return;
        }
        if let Some(recording) = &mut state.recording {
            recording.push(Recorded { from, to, bytes: bytes.to_vec() });
        }
        let weather = state.weather;
        let copies = 1 + usize::from(state.random.random_bool(weather.duplication));
        for _ in 0..copies {
            if state.random.random_bool(weather.loss) {
                continue;
            }
            let delay = weather.delay + weather.jitter.mul_f64(state.random.random::<f64>());
            let (net, bytes) = (self.clone(), bytes.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                net.deliver(from, to, bytes);
            });
        }
    }

    fn deliver(&self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let state = self.state();
        if state.cut.contains(&to.ip()) {
            return;
        }
        let Some(inbox) = state.inboxes.get(&to).cloned() else { return };
        drop(state);
        let mut arrived = inbox.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        if arrived.packets.len() < INBOX_MAX {
            arrived.packets.push_back((from, bytes));
        }
        if let Some(waker) = arrived.reader.take() {
            waker.wake();
        }
    }
}

impl Net for Host {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        if address.is_ipv6() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this network has IPv4 only"));
        }
        let mut state = self.net.state();
        let port = if address.port() == 0 {
            state.next_port += 1;
            state.next_port
        } else {
            address.port()
        };
        let bound = SocketAddr::new(self.ip, port);
        if state.inboxes.contains_key(&bound) {
            return Err(io::Error::from(io::ErrorKind::AddrInUse));
        }
        let inbox = Arc::new(Inbox::default());
        state.inboxes.insert(bound, Arc::clone(&inbox));
        Ok(Arc::new(MemorySocket { net: self.net.clone(), address: bound, inbox }))
    }

    fn resolve(&self, host: &str, port: u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + '_>> {
        let known = host.parse().ok().or_else(|| self.net.state().names.get(host).copied());
        let answer = known.map(|ip| vec![SocketAddr::new(ip, port)]);
        Box::pin(async move { answer.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)) })
    }
}

#[derive(Debug)]
struct MemorySocket {
    net: MemoryNet,
    address: SocketAddr,
    inbox: Arc<Inbox>,
}

impl Drop for MemorySocket {
    fn drop(&mut self) {
        let mut state = self.net.state();
        if state.inboxes.get(&self.address).is_some_and(|inbox| Arc::ptr_eq(inbox, &self.inbox)) {
            state.inboxes.remove(&self.address);
        }
    }
}

impl AsyncUdpSocket for MemorySocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment_bytes = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for segment in transmit.contents.chunks(segment_bytes) {
            self.net.carry(&self.inbox, self.address, transmit.destination, segment);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrived = self.inbox.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let mut received = 0;
        while received < bufs.len().min(meta.len()) {
            let Some((from, bytes)) = arrived.packets.pop_front() else { break };
            let Some(room) = bufs[received].get_mut(..bytes.len()) else { continue };
            room.copy_from_slice(&bytes);
            meta[received] = RecvMeta { addr: from, len: bytes.len(), stride: bytes.len(), ecn: None, dst_ip: None };
            received += 1;
        }
        if received > 0 {
            return Poll::Ready(Ok(received));
        }
        arrived.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }

    /// Several segments at once, so that batches are split and kept whole as on Linux.
    fn max_transmit_segments(&self) -> usize {
        10
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
