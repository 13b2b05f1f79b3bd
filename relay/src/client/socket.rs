//! The path socket: one UDP socket, and any number of tunnels, under two QUIC endpoints: one for control connections and
//! one for sessions.
//!
//! The session endpoint sees a single constant peer address, whatever relay, address or protocol its packets travel by.
//! Outgoing session packets are mapped to the way in use for their peer by the route id at the front of their
//! destination connection id; incoming packets belong to the session endpoint when their destination begins with our own
//! route id, and to the control endpoint otherwise.
//!
//! An agent decides by which way it goes. A desk, which is present at several relays at once, answers by the way that an
//! agent's packets come: what the relays say of it may be late, and of an earlier move.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use belay_protocol::RouteId;
use belay_protocol::message::Nonce;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::inbox::Inbox;
use crate::net::TunnelNumber;
use crate::packet::{self, OWN_PART_BYTES};
use crate::tunnel::FrameQueue;

/// Which of the two endpoints a packet or a face belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plane {
    Control = 0,
    Session = 1,
}

impl Plane {
    const fn other(self) -> Self {
        match self {
            Self::Control => Self::Session,
            Self::Session => Self::Control,
        }
    }
}

/// A way to a relay: its UDP address, or the address that stands for a tunnel to it.
#[derive(Debug)]
pub(crate) struct Way {
    address: SocketAddr,
    /// Milliseconds of the socket's life at which session packets began to go unanswered; 0 when none do.
    unanswered_since: AtomicU64,
    /// The last challenge that came by it and was not answered yet.
    challenge: Mutex<Option<Nonce>>,
    challenged: Notify,
}

impl Way {
    fn new(address: SocketAddr) -> Self {
        Self { address, unanswered_since: AtomicU64::new(0), challenge: Mutex::default(), challenged: Notify::new() }
    }

    /// The next challenge of the relay. Cancel-safe.
    pub(crate) async fn challenge(&self) -> Nonce {
        loop {
            if let Some(nonce) = self.challenge.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return nonce;
            }
            self.challenged.notified().await;
        }
    }
}

/// The shared socket with the paths to each peer.
#[derive(Debug)]
pub(crate) struct PathSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    own_route: RouteId,
    ways: RwLock<Vec<Arc<Way>>>,
    choice: Choice,
    paths: RwLock<HashMap<RouteId, Path>>,
    /// Whose connection each of our connection ids belongs to, learnt from handshakes.
    ids: RwLock<HashMap<[u8; OWN_PART_BYTES], RouteId>>,
    tunnels: RwLock<HashMap<TunnelNumber, Arc<FrameQueue>>>,
    next_tunnel: AtomicU64,
    inboxes: [Inbox; 2],
    started: Instant,
}

/// How a peer is reached.
#[derive(Debug)]
struct Path {
    way: Arc<Way>,
    /// Every way by which the peer is reached, the newest last.
    open: Vec<Arc<Way>>,
    /// Milliseconds of the socket's life at which a packet of the peer came by `way`.
    heard_at: AtomicU64,
    recent: Mutex<Recent>,
}

/// Who chooses the way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// We do.
    Ours,
    /// The peer does: we answer by the way that its packets come.
    Peers,
}

/// The last datagrams that were sent to a peer.
#[derive(Debug, Default)]
struct Recent {
    datagrams: [Vec<u8>; RECENT_DATAGRAMS],
    next: usize,
}

/// Datagrams kept for a peer. QUIC probes a silent peer with two packets at a time; the last ones are what it still
/// misses.
const RECENT_DATAGRAMS: usize = 2;

/// Milliseconds of silence after which a peer is taken to have left a way.
const QUIET_MS: u64 = 1_000;

/// Connection ids whose peers are known; one a session.
const IDS_MAX: usize = 16_384;

/// Batches that wait for one face; more are dropped, as by any full queue on a path.
const WAITING_MAX: usize = 512;

impl PathSocket {
    pub(crate) fn new(inner: Arc<dyn AsyncUdpSocket>, own_route: RouteId, choice: Choice) -> Arc<Self> {
        Arc::new(Self {
            inner,
            own_route,
            ways: RwLock::default(),
            choice,
            paths: RwLock::default(),
            ids: RwLock::default(),
            tunnels: RwLock::default(),
            next_tunnel: AtomicU64::new(1),
            inboxes: [Inbox::new(WAITING_MAX), Inbox::new(WAITING_MAX)],
            started: Instant::now(),
        })
    }

    /// The face of the socket for one endpoint.
    pub(crate) fn face(self: &Arc<Self>, plane: Plane) -> Arc<Face> {
        Arc::new(Face { socket: Arc::clone(self), plane })
    }

    /// The way by `address`, known from now on until its last owner drops it.
    pub(crate) fn way(&self, address: SocketAddr) -> Arc<Way> {
        let address = self.in_our_family(address);
        let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        // Ours alone are those that nobody uses any more.
        ways.retain(|way| Arc::strong_count(way) > 1);
        if let Some(known) = ways.iter().find(|way| way.address == address) {
            return Arc::clone(known);
        }
        let way = Arc::new(Way::new(address));
        ways.push(Arc::clone(&way));
        way
    }

    /// Notes that `peer` is reached by `way`. Where the choice is ours its packets go there from now on; where it is the
    /// peer's they do once it is heard there, or if it has not been heard elsewhere for a moment.
    pub(crate) fn set_path(&self, peer: RouteId, way: &Arc<Way>) {
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        let path = paths.entry(peer).or_insert_with(|| Path::new(way));
        if self.choice == Choice::Ours {
            path.open.clear();
        }
        path.open.retain(|open| !Arc::ptr_eq(open, way));
        path.open.push(Arc::clone(way));
        let silence = self.now().saturating_sub(path.heard_at.load(Ordering::Relaxed));
        if self.choice == Choice::Ours || silence >= QUIET_MS {
            path.way = Arc::clone(way);
        }
        self.repeat(path);
    }

    /// Puts `way` in the place of `former` for every peer that is reached by that one.
    pub(crate) fn replace_way(&self, former: &Arc<Way>, way: &Arc<Way>) {
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        for path in paths.values_mut() {
            for open in path.open.iter_mut().filter(|open| Arc::ptr_eq(open, former)) {
                *open = Arc::clone(way);
            }
            if Arc::ptr_eq(&path.way, former) {
                path.way = Arc::clone(way);
                self.repeat(path);
            }
        }
    }

    /// Notes that `peer` is not reached by `way` any more; says whether it is not reached at all now.
    pub(crate) fn forget_path(&self, peer: &RouteId, way: &Arc<Way>) -> bool {
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = paths.get_mut(peer) else { return false };
        path.open.retain(|open| !Arc::ptr_eq(open, way));
        let Some(newest) = path.open.last().cloned() else {
            paths.remove(peer);
            drop(paths);
            self.ids.write().unwrap_or_else(PoisonError::into_inner).retain(|_, other| other != peer);
            return true;
        };
        if Arc::ptr_eq(&path.way, way) {
            path.way = newest;
            self.repeat(path);
        }
        false
    }

    /// Sends the last datagrams for a peer once more: on the former way they were probably lost, and QUIC, which waits
    /// longer after each loss, would not try again for a while.
    fn repeat(&self, path: &Path) {
        let recent = path.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for datagram in recent.datagrams.iter().filter(|datagram| !datagram.is_empty()) {
            let destination = path.way.address;
            let transmit = Transmit { destination, ecn: None, contents: datagram, segment_size: None, src_ip: None };
            let _ = self.send(&transmit);
        }
    }

    /// Follows a peer to the way that its packet came by, if it is reached by that one.
    fn follow(&self, from: SocketAddr, datagram: &[u8]) {
        let id = packet::own_part(datagram);
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        let Some(peer) = id.and_then(|id| ids.get(&id).copied()) else { return };
        drop(ids);
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = paths.get(&peer) else { return };
        if path.way.address == from {
            path.heard_at.store(self.now(), Ordering::Relaxed);
            return;
        }
        drop(paths);
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = paths.get_mut(&peer) else { return };
        if let Some(way) = path.open.iter().find(|way| way.address == from) {
            path.way = Arc::clone(way);
            path.heard_at.store(self.now(), Ordering::Relaxed);
            self.repeat(path);
        }
    }

    /// Milliseconds of the socket's life; never 0, which means never.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Says whether packets for `peer` go by `way`.
    pub(crate) fn goes_by(&self, peer: &RouteId, way: &Arc<Way>) -> bool {
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        paths.get(peer).is_some_and(|path| Arc::ptr_eq(&path.way, way))
    }

    /// For how long session packets have been sent by `way` without a packet coming back.
    pub(crate) fn unanswered_for(&self, way: &Way) -> Duration {
        match way.unanswered_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.started.elapsed().saturating_sub(Duration::from_millis(since)),
        }
    }

    /// Adds a tunnel with its queue; the address that stands for it.
    pub(crate) fn add_tunnel(&self, frames: Arc<FrameQueue>) -> io::Result<SocketAddr> {
        let beside = self.inner.local_addr()?;
        let number = TunnelNumber(self.next_tunnel.fetch_add(1, Ordering::Relaxed) as u32 & 0x00ff_ffff);
        self.tunnels.write().unwrap_or_else(PoisonError::into_inner).insert(number, frames);
        Ok(number.address(beside))
    }

    /// Forgets a tunnel.
    pub(crate) fn remove_tunnel(&self, address: SocketAddr) {
        if let Some(number) = TunnelNumber::of(address) {
            self.tunnels.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        }
    }

    /// Takes datagrams of `stride` bytes, the last of which may be shorter, that came out of a tunnel.
    pub(crate) fn take_from_tunnel(&self, address: SocketAddr, stride: usize, bytes: &[u8]) {
        self.note_heard(address);
        let meta = RecvMeta { addr: address, len: bytes.len(), stride, ecn: None, dst_ip: None };
        for datagram in bytes.chunks(stride.max(1)) {
            if self.choice == Choice::Peers && self.plane_of(datagram) == Plane::Session {
                self.follow(address, datagram);
            }
            if self.takes_challenge(address, datagram) {
                continue;
            }
            let plane = self.plane_of(datagram);
            self.hand_over(plane, RecvMeta { stride: datagram.len(), ..meta }, datagram);
        }
    }

    /// The address of every session peer, as quinn sees it: never routable, and of the socket's own family, because
    /// quinn converts others.
    pub(crate) fn virtual_peer(&self) -> SocketAddr {
        // The discard prefix of RFC 6666 and a documentation address of RFC 5737.
        let ip = match self.inner.local_addr() {
            Ok(SocketAddr::V6(_)) => IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)),
            _ => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        };
        SocketAddr::new(ip, 1)
    }

    fn in_our_family(&self, address: SocketAddr) -> SocketAddr {
        match (self.inner.local_addr(), address) {
            (Ok(SocketAddr::V6(_)), SocketAddr::V4(v4)) => {
                SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port())
            }
            _ => address,
        }
    }

    fn plane_of(&self, datagram: &[u8]) -> Plane {
        match packet::destination(datagram) {
            Some(destination) if destination.route == self.own_route => Plane::Session,
            _ => Plane::Control,
        }
    }

    /// Keeps a relay's challenge for its registration; `false` for everything else.
    fn takes_challenge(&self, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some(nonce) = packet::challenge_for(&self.own_route, datagram) else { return false };
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = ways.iter().find(|way| way.address == from) {
            *way.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce);
            way.challenged.notify_one();
        }
        true
    }

    fn hand_over(&self, plane: Plane, meta: RecvMeta, bytes: &[u8]) {
        if !self.inboxes[plane as usize].push(self.seen_by_quinn(plane, meta), bytes) {
            tracing::trace!("a packet was dropped: its reader is behind");
        }
    }

    fn seen_by_quinn(&self, plane: Plane, meta: RecvMeta) -> RecvMeta {
        match plane {
            Plane::Control => meta,
            Plane::Session => RecvMeta { addr: self.virtual_peer(), dst_ip: None, ..meta },
        }
    }

    fn note_heard(&self, from: SocketAddr) {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = ways.iter().find(|way| way.address == from) {
            way.unanswered_since.store(0, Ordering::Relaxed);
        }
    }

    /// Sends session packets by the path of their peer.
    fn send_by_path(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        let path = packet::destination(transmit.contents).and_then(|destination| paths.get(&destination.route));
        let Some(path) = path else {
            tracing::trace!("a packet was dropped: its peer has no path");
            return Ok(());
        };
        let sent = self.send(&Transmit { destination: path.way.address, src_ip: None, ..*transmit });
        if sent.is_ok() {
            if path.way.unanswered_since.load(Ordering::Relaxed) == 0 {
                path.way.unanswered_since.store(self.now(), Ordering::Relaxed);
            }
            if let (Choice::Peers, Some(id)) =
                (self.choice, packet::own_part_of_source(&self.own_route, transmit.contents))
            {
                self.learn(id, transmit.contents);
            }
            path.recent.lock().unwrap_or_else(PoisonError::into_inner).note(transmit);
        }
        sent
    }

    /// Learns from a packet of a handshake which peer will send to the id in it.
    fn learn(&self, id: [u8; OWN_PART_BYTES], datagram: &[u8]) {
        let Some(destination) = packet::destination(datagram) else { return };
        let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        if ids.len() >= IDS_MAX {
            // Those of connections that failed; the others are learnt again from nothing, and follow a little later.
            ids.clear();
        }
        ids.insert(id, destination.route);
    }

    /// Drops of a path are swallowed: an error would end every connection of the endpoint.
    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if let Some(number) = TunnelNumber::of(transmit.destination) {
            let stride = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
            let tunnels = self.tunnels.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(frames) = tunnels.get(&number) {
                frames.push(stride, transmit.contents);
            }
            // A full tunnel is a full link: to answer that it would block would make quinn wait for the wrong socket.
            return Ok(());
        }
        match self.inner.try_send(transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                tracing::trace!(%error, "a packet could not be sent");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Path {
    fn new(way: &Arc<Way>) -> Self {
        let (heard_at, recent) = (AtomicU64::new(0), Mutex::default());
        Self { way: Arc::clone(way), open: Vec::new(), heard_at, recent }
    }
}

impl Recent {
    /// Keeps the last datagram of what was sent.
    fn note(&mut self, transmit: &Transmit<'_>) {
        let stride = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let Some(last) = transmit.contents.chunks(stride).next_back() else { return };
        let place = &mut self.datagrams[self.next];
        place.clear();
        place.extend_from_slice(last);
        self.next = (self.next + 1) % RECENT_DATAGRAMS;
    }
}

/// One endpoint's view of the socket.
#[derive(Debug)]
pub(crate) struct Face {
    socket: Arc<PathSocket>,
    plane: Plane,
}

impl AsyncUdpSocket for Face {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.plane {
            Plane::Control => self.socket.send(transmit),
            Plane::Session => self.socket.send_by_path(transmit),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(taken) = self.socket.inboxes[self.plane as usize].poll(cx, bufs, meta) {
            return Poll::Ready(Ok(taken));
        }
        // The socket remembers one waker only: the session's face reads it for both.
        if self.plane == Plane::Control {
            return Poll::Pending;
        }
        for _ in 0..FOREIGN_BATCHES_MAX {
            let received = match self.socket.inner.poll_recv(cx, bufs, meta) {
                Poll::Ready(Ok(received)) => received,
                other => return other,
            };
            let kept = self.keep_own(received, bufs, meta);
            if kept > 0 {
                return Poll::Ready(Ok(kept));
            }
        }
        // Everything so far was the other face's; let it run, then look again.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner.local_addr()
    }

    /// One for control connections, which say little and would keep a buffer for as many segments as there can be.
    fn max_transmit_segments(&self) -> usize {
        match self.plane {
            Plane::Control => 1,
            Plane::Session => self.socket.inner.max_transmit_segments(),
        }
    }

    fn max_receive_segments(&self) -> usize {
        match self.plane {
            Plane::Control => 1,
            Plane::Session => self.socket.inner.max_receive_segments(),
        }
    }

    fn may_fragment(&self) -> bool {
        self.socket.inner.may_fragment()
    }
}

/// Batches that the session's face reads for the other before it yields.
const FOREIGN_BATCHES_MAX: usize = 16;

impl Face {
    /// Moves what is ours to the front of `bufs` and hands the rest to the other face; says how many batches are ours.
    fn keep_own(&self, received: usize, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let mut kept = 0;
        for index in 0..received {
            let mut batch = meta[index];
            // No network delivers from a tunnel's address.
            if TunnelNumber::of(batch.addr).is_some() {
                continue;
            }
            self.socket.note_heard(batch.addr);
            // Shorter than all else, it can only be the last of those that the system has joined.
            let last = batch.len.saturating_sub(1) / batch.stride.max(1) * batch.stride.max(1);
            if self.socket.takes_challenge(batch.addr, &bufs[index][last..batch.len]) {
                batch.len = last;
            }
            let ours = self.split(batch, &bufs[index]);
            if ours == 0 {
                continue;
            }
            let (front, back) = bufs.split_at_mut(index);
            let source: &mut [u8] = &mut back[0];
            if ours < batch.len {
                gather_own(self, batch, source);
            }
            if self.socket.choice == Choice::Peers {
                self.socket.follow(batch.addr, &source[..ours]);
            }
            if kept < index {
                front[kept][..ours].copy_from_slice(&source[..ours]);
            }
            meta[kept] = self.socket.seen_by_quinn(self.plane, RecvMeta { len: ours, ..batch });
            kept += 1;
        }
        kept
    }

    /// Hands the other plane's segments of a batch over and says how many bytes are ours.
    fn split(&self, batch: RecvMeta, bytes: &[u8]) -> usize {
        let mut ours = 0;
        for segment in bytes[..batch.len].chunks(batch.stride.max(1)) {
            if self.socket.plane_of(segment) == self.plane {
                ours += segment.len();
            } else {
                let meta = RecvMeta { stride: segment.len(), ..batch };
                self.socket.hand_over(self.plane.other(), meta, segment);
            }
        }
        ours
    }
}

/// Moves our segments of a mixed batch to its front. All but the last of a batch have the same length, so that what
/// stays is a valid batch.
fn gather_own(face: &Face, batch: RecvMeta, bytes: &mut [u8]) {
    let stride = batch.stride.max(1);
    let mut end = 0;
    for start in (0..batch.len).step_by(stride) {
        let segment = start..batch.len.min(start + stride);
        if face.socket.plane_of(&bytes[segment.clone()]) == face.plane {
            let length = segment.len();
            bytes.copy_within(segment, end);
            end += length;
        }
    }
}
