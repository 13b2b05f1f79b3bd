//! The data plane: it forwards what may be forwarded as it arrives, and passes the rest to the control plane.
//!
//! Each of the relay's UDP sockets has a thread of its own here, which no handshake holds up. Batches that the kernel has joined (GRO) stay whole: a
//! run of segments with the same decision leaves in one send (GSO). Without that the same forwarder needs seven times
//! the CPU; where offload is missing, or vanishes at run time, all datagrams of one round leave in one `sendmmsg`.

use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use belay_protocol::RouteId;
use belay_protocol::message::Nonce;
use quinn::udp::{RecvMeta, Transmit};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::initials::InitialLimit;
use super::routes::{Decision, DropReason, Lane, Place, Routes};
use super::tunnels::Tunnels;
use crate::inbox::Inbox;
use crate::net::{JOINED_MAX_BYTES, Joined, Outgoing, Outlook, Receiver, RelaySocket, TunnelNumber};
use crate::packet;

/// What the data plane has done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes sent on.
    pub forwarded_bytes: AtomicU64,
    /// Packets sent on.
    pub forwarded_packets: AtomicU64,
    /// System calls that sent them over UDP; packets per send show whether offload works.
    pub sends: AtomicU64,
    /// Datagrams passed to the control plane.
    pub local: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Counters {
    /// Packets dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].load(Ordering::Relaxed)
    }

    fn count_dropped(&self, reason: DropReason, packets: usize) {
        self.dropped[reason as usize].fetch_add(packets as u64, Ordering::Relaxed);
    }

    fn count_forwarded(&self, bytes: usize, packets: usize) {
        self.forwarded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.forwarded_packets.fetch_add(packets as u64, Ordering::Relaxed);
    }
}

/// Forwards between any number of sockets and tunnels.
#[derive(Debug)]
pub struct DataPlane {
    routes: Arc<Routes>,
    sockets: Vec<Arc<dyn RelaySocket>>,
    tunnels: Arc<Tunnels>,
    /// Datagrams for the control plane.
    local: Inbox,
    first_initials: InitialLimit,
    continued_initials: InitialLimit,
    /// Those out of tunnels, whose addresses TCP has proved: a flood of made-up ones does not use up their share.
    tunnel_initials: InitialLimit,
    counters: Arc<Counters>,
    started: Instant,
    /// When packets of a transfer last came, in microseconds since the start.
    transfer_at_us: AtomicU64,
}

/// What is to leave at the end of a receive round, or before.
#[derive(Debug, Default)]
struct Outbox<'a> {
    /// Datagrams that leave in one send, with the lane that they share.
    joined: Option<(Arc<Lane>, Joined<'a>)>,
    /// Datagrams that leave without offload.
    single: Vec<Outgoing<'a>>,
    forwarded: usize,
}

impl DataPlane {
    /// A data plane over `sockets`, which share one address; there is at least one.
    pub fn new(
        routes: Arc<Routes>,
        sockets: Vec<Arc<dyn RelaySocket>>,
        tunnels: Arc<Tunnels>,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        assert!(!sockets.is_empty(), "a data plane has a socket");
        Arc::new(Self {
            routes,
            sockets,
            tunnels,
            local: Inbox::new(LOCAL_BATCHES_MAX),
            first_initials: InitialLimit::new(),
            continued_initials: InitialLimit::new(),
            tunnel_initials: InitialLimit::new(),
            counters,
            started: Instant::now(),
            transfer_at_us: AtomicU64::new(0),
        })
    }

    /// How many sockets there are; [`DataPlane::forward`] is to be run for each.
    pub fn socket_count(&self) -> usize {
        self.sockets.len()
    }

    pub(super) fn tunnels(&self) -> &Arc<Tunnels> {
        &self.tunnels
    }

    /// Adds datagrams for the control plane to `arrived`, or has the task woken when one comes.
    pub fn poll_local(&self, cx: &mut Context<'_>, arrived: &mut Vec<LocalDatagram>) -> Poll<()> {
        self.local.poll_some(cx, arrived, LOCAL_ROUND_MAX)
    }

    /// Sends a packet of the control plane, by the first UDP socket or by a tunnel. What does not fit is dropped as by
    /// any full link.
    pub fn send_local(&self, packet: &Transmit<'_>) {
        let Some(number) = TunnelNumber::of(packet.destination) else {
            if self.sockets[0].try_send(packet).is_err() {
                self.counters.count_dropped(DropReason::Socket, 1);
            }
            return;
        };
        let stride = packet.segment_size.unwrap_or(packet.contents.len()).max(1);
        let taken = self.tunnels.send(number, stride, packet.contents);
        self.counters.count_dropped(DropReason::Tunnel, packet.contents.len().div_ceil(stride) - taken);
    }

    /// Forwards what arrives at socket `index`, until what this returns is dropped. Needs a tokio runtime.
    pub fn forward(self: &Arc<Self>, index: usize) -> io::Result<Forwarding> {
        let plane = Arc::clone(self);
        Ok(match self.sockets[index].receiver() {
            Receiver::Thread(_) => {
                let socket = Arc::clone(&self.sockets[index]);
                let thread = thread::Builder::new().name(format!("forward-{index}"));
                let thread = thread.spawn(move || plane.forward_on_thread(index))?;
                Forwarding::Thread { socket, thread: Some(thread) }
            }
            Receiver::Runtime(_) => {
                let task = tokio::spawn(async move { plane.forward_in_runtime(index).await });
                Forwarding::Task(AbortOnDropHandle::new(task))
            }
        })
    }

    fn forward_on_thread(&self, index: usize) {
        let _alive = AbortOnPanic;
        let Receiver::Thread(receiver) = self.sockets[index].receiver() else { return };
        let mut room = Room::new(&*self.sockets[index]);
        let mut outlook = Outlook::Nothing;
        loop {
            let (mut bufs, meta) = room.split();
            match receiver.receive(&mut bufs, meta, outlook) {
                Ok(0) => return,
                Ok(received) => outlook = self.sort_round(index, &room, received),
                // ICMP errors of other flows show up here; the socket itself cannot break.
                Err(_) => thread::yield_now(),
            }
        }
    }

    async fn forward_in_runtime(&self, index: usize) {
        let Receiver::Runtime(socket) = self.sockets[index].receiver() else { return };
        let mut room = Room::new(&*self.sockets[index]);
        let mut rounds = 0;
        loop {
            let received = {
                let (mut bufs, meta) = room.split();
                std::future::poll_fn(|cx| socket.poll_recv(cx, &mut bufs, meta)).await
            };
            if let Ok(received) = received {
                self.sort_round(index, &room, received);
            }
            rounds += 1;
            if rounds % ROUNDS_MAX == 0 || received.is_err() {
                // The control plane gets its turn under any load.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Deals with what was received in one round.
    fn sort_round(&self, index: usize, room: &Room, received: usize) -> Outlook {
        // tokio's clock, so that budgets follow virtual time in simulations.
        let now = self.started.elapsed();
        let mut outbox = Outbox::default();
        for (batch, bytes) in room.received(received) {
            // No network delivers from a tunnel's address.
            if TunnelNumber::of(batch.addr).is_some() {
                self.counters.count_dropped(DropReason::Malformed, 1);
                continue;
            }
            self.sort(index, now, *batch, bytes, &mut outbox);
        }
        self.flush(index, &mut outbox);
        self.outlook(index, now, outbox.forwarded)
    }

    /// What is likely to come next at a socket that has just sent on so many packets. Acknowledgements of a transfer come
    /// one by one, and often at another socket than the transfer.
    fn outlook(&self, index: usize, now: Duration, forwarded: usize) -> Outlook {
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        if forwarded > 1 {
            self.transfer_at_us.store(now_us, Ordering::Relaxed);
        }
        let has_transfer = now_us.saturating_sub(self.transfer_at_us.load(Ordering::Relaxed)) < TRANSFER_PAUSE_US;
        match (forwarded, has_transfer) {
            // Without offload each datagram is an effort of its own, and what waits is no cheaper than what comes.
            (0, _) => Outlook::Nothing,
            (_, true) if self.sockets[index].max_transmit_segments() == 1 => Outlook::Nothing,
            (_, true) => Outlook::More,
            (_, false) => Outlook::Answer,
        }
    }

    /// Sends a challenge to the end with `route` at `place`, once: when it is lost, the end's next message brings another.
    pub(super) fn challenge(&self, place: Place, route: &RouteId, nonce: &Nonce) {
        let contents = packet::challenge(route, nonce);
        let (destination, src_ip) = (place.address, place.local_ip);
        self.send_local(&Transmit { destination, ecn: None, contents: &contents, segment_size: None, src_ip });
    }

    /// Takes datagrams of `stride` bytes, the last of which may be shorter, that came out of a tunnel.
    pub(super) fn take_from_tunnel(&self, number: TunnelNumber, stride: usize, bytes: &[u8]) {
        let addr = number.address(self.tunnels.beside());
        let batch = RecvMeta { addr, len: bytes.len(), stride, ecn: None, dst_ip: None };
        let mut outbox = Outbox::default();
        self.sort(0, self.started.elapsed(), batch, bytes, &mut outbox);
        self.flush(0, &mut outbox);
    }

    /// Forwards, passes on or drops each datagram of a batch, runs of the same fate together.
    fn sort<'a>(&self, index: usize, now: Duration, batch: RecvMeta, bytes: &'a [u8], outbox: &mut Outbox<'a>) {
        let stride = batch.stride.max(1);
        let segment = |start: usize| &bytes[start..bytes.len().min(start + stride)];
        let mut start = 0;
        while start < bytes.len() {
            let first = segment(start);
            let decision = self.routes.decide(batch.addr, first);
            let mut end = start + first.len();
            while end < bytes.len()
                && (is_same_route(first, segment(end))
                    || is_same(&decision, &self.routes.decide(batch.addr, segment(end))))
            {
                end += segment(end).len();
            }
            let run = &bytes[start..end];
            let packets = run.len().div_ceil(stride);
            match decision {
                Decision::Forward(lane) => {
                    if lane.take(run.len(), now) {
                        self.send_on(index, &lane, batch, run, packets, outbox);
                    } else {
                        self.counters.count_dropped(DropReason::Budget, packets);
                    }
                }
                Decision::Local => self.pass(batch, run),
                Decision::LocalInitial { is_continued } => {
                    for initial in run.chunks(stride) {
                        self.pass_initial(batch, initial, is_continued, now);
                    }
                }
                Decision::Drop(reason) => self.counters.count_dropped(reason, packets),
            }
            start = end;
        }
    }

    fn send_on<'a>(
        &self,
        index: usize,
        lane: &Arc<Lane>,
        batch: RecvMeta,
        run: &'a [u8],
        packets: usize,
        outbox: &mut Outbox<'a>,
    ) {
        outbox.forwarded += packets;
        let stride = batch.stride.max(1);
        if let Some(number) = TunnelNumber::of(lane.to.address) {
            let taken = self.tunnels.send(number, stride, run);
            self.counters.count_dropped(DropReason::Tunnel, packets - taken);
            self.counters.count_forwarded(run.len().min(taken * stride), taken);
            return;
        }
        let socket = &self.sockets[index];
        let (destination, src_ip, ecn) = (lane.to.address, lane.to.local_ip, batch.ecn);
        let segments_max = socket.max_transmit_segments();
        if segments_max == 1 || segments_max < packets {
            outbox.single.extend(run.chunks(stride).map(|contents| Outgoing { destination, src_ip, ecn, contents }));
            return;
        }
        if let Some((joined_lane, joined)) = &mut outbox.joined {
            let bytes: usize = joined.pieces.iter().map(|piece| piece.len()).sum();
            let fits = Arc::ptr_eq(joined_lane, lane)
                && (joined.segment_bytes, joined.ecn) == (stride, ecn)
                // A shorter datagram is the last one of a send.
                && bytes.is_multiple_of(stride)
                && bytes + run.len() <= JOINED_MAX_BYTES
                && bytes / stride + packets <= segments_max;
            if fits {
                joined.pieces.push(run);
                return;
            }
        }
        self.flush_joined(index, outbox);
        let mut pieces = Vec::with_capacity(PIECES_USUAL);
        pieces.push(run);
        let joined = Joined { destination, src_ip, ecn, segment_bytes: stride, pieces };
        outbox.joined = Some((Arc::clone(lane), joined));
    }

    fn flush(&self, index: usize, outbox: &mut Outbox<'_>) {
        self.flush_joined(index, outbox);
        let single = std::mem::take(&mut outbox.single);
        if single.is_empty() {
            return;
        }
        let sent = self.sockets[index].send_each(&single);
        self.counters.count_forwarded(single[..sent].iter().map(|packet| packet.contents.len()).sum(), sent);
        self.counters.sends.fetch_add(sent.div_ceil(PACKETS_PER_SEND) as u64, Ordering::Relaxed);
        self.counters.count_dropped(DropReason::Socket, single.len() - sent);
    }

    fn flush_joined(&self, index: usize, outbox: &mut Outbox<'_>) {
        let Some((_, joined)) = outbox.joined.take() else { return };
        let socket = &self.sockets[index];
        let bytes: usize = joined.pieces.iter().map(|piece| piece.len()).sum();
        let packets = bytes.div_ceil(joined.segment_bytes);
        match socket.send_joined(&joined) {
            Ok(()) => {
                self.counters.count_forwarded(bytes, packets);
                self.counters.sends.fetch_add(1, Ordering::Relaxed);
            }
            // A full buffer is a full link: what routers do is drop, and QUIC repairs it.
            Err(_) => self.counters.count_dropped(DropReason::Socket, packets),
        }
    }

    fn pass_initial(&self, batch: RecvMeta, initial: &[u8], is_continued: bool, now: Duration) {
        let limit = match is_continued {
            _ if TunnelNumber::of(batch.addr).is_some() => &self.tunnel_initials,
            true => &self.continued_initials,
            false => &self.first_initials,
        };
        if limit.admits(self.tunnels.origin(batch.addr), now) {
            self.pass(batch, initial);
        } else {
            self.counters.count_dropped(DropReason::Initials, 1);
        }
    }

    /// Passes datagrams to the control plane, each by itself: it gets few, and needs no room for whole batches.
    fn pass(&self, batch: RecvMeta, datagrams: &[u8]) {
        for datagram in datagrams.chunks(batch.stride.max(1)) {
            if self.local.push(RecvMeta { stride: datagram.len(), ..batch }, datagram) {
                self.counters.local.fetch_add(1, Ordering::Relaxed);
            } else {
                self.counters.count_dropped(DropReason::Overload, 1);
            }
        }
    }
}

/// A socket's forwarding; it ends when this is dropped.
#[derive(Debug)]
pub enum Forwarding {
    /// On a thread of its own.
    Thread {
        /// What it waits for.
        socket: Arc<dyn RelaySocket>,
        /// The thread, until it has been joined.
        thread: Option<JoinHandle<()>>,
    },
    /// In the runtime.
    Task(AbortOnDropHandle<()>),
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        if let Self::Thread { socket, thread } = self
            && let (Receiver::Thread(receiver), Some(thread)) = (socket.receiver(), thread.take())
        {
            receiver.interrupt();
            // It ends at once: nothing that it does waits. A panic in it has been reported by itself.
            let _ = thread.join();
        }
    }
}

/// A relay that goes on without one of its sockets serves some ends and not others; one that ends is started again.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

/// Room for what one round of receiving brings.
struct Room {
    bytes: Vec<u8>,
    each: usize,
    meta: [RecvMeta; RECEIVE_BATCHES],
}

impl Room {
    fn new(socket: &dyn RelaySocket) -> Self {
        let each = (DATAGRAM_MAX_BYTES * socket.max_receive_segments()).min(BATCH_MAX_BYTES);
        Self { bytes: vec![0; each * RECEIVE_BATCHES], each, meta: [RecvMeta::default(); RECEIVE_BATCHES] }
    }

    fn split(&mut self) -> ([IoSliceMut<'_>; RECEIVE_BATCHES], &mut [RecvMeta]) {
        let mut rooms = self.bytes.chunks_exact_mut(self.each);
        (std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default())), &mut self.meta)
    }

    fn received(&self, count: usize) -> impl Iterator<Item = (&RecvMeta, &[u8])> {
        let batches = self.meta.iter().zip(self.bytes.chunks_exact(self.each)).take(count);
        batches.map(|(meta, bytes)| (meta, &bytes[..meta.len.min(self.each)]))
    }
}

/// Batches received in one system call: as many as quinn takes in one.
const RECEIVE_BATCHES: usize = 32;

/// The largest batch that the kernel joins.
const BATCH_MAX_BYTES: usize = 64 * 1024;

/// The largest datagram: a jumbo frame.
const DATAGRAM_MAX_BYTES: usize = 9_000;

/// Rounds of receiving before other tasks of the thread run.
const ROUNDS_MAX: u32 = 32;

/// Batches that wait for the control plane.
const LOCAL_BATCHES_MAX: usize = 4_096;

/// Datagrams that the control plane takes at once, before other tasks of the thread run.
const LOCAL_ROUND_MAX: usize = 64;

/// A pause after which a transfer is over as far as waiting is concerned.
const TRANSFER_PAUSE_US: u64 = 2_000;

/// Datagrams of one `sendmmsg`.
const PACKETS_PER_SEND: usize = 32;

/// Batches that one send joins where quinn sends: ten datagrams each, and 64 KiB at once.
const PIECES_USUAL: usize = 8;

/// Bytes of a short header's flags and route.
const SHORT_ROUTE_END: usize = 9;

/// Says whether two packets of one source have short headers with the same route, so that one lookup decides for both.
fn is_same_route(one: &[u8], other: &[u8]) -> bool {
    // A last one that is shorter may be too short for a session.
    if one.len() != other.len() && other.len() < packet::SESSION_PACKET_MIN_BYTES {
        return false;
    }
    let [Some(one), Some(other)] = [one, other].map(|packet| packet.get(..SHORT_ROUTE_END)) else { return false };
    (one[0] | other[0]) & packet::LONG_HEADER == 0 && one[1..] == other[1..]
}

fn is_same(one: &Decision, other: &Decision) -> bool {
    match (one, other) {
        (Decision::Forward(one), Decision::Forward(other)) => Arc::ptr_eq(one, other),
        (Decision::Local, Decision::Local) => true,
        (Decision::LocalInitial { is_continued: one }, Decision::LocalInitial { is_continued: other }) => one == other,
        (Decision::Drop(one), Decision::Drop(other)) => one == other,
        _ => false,
    }
}

/// A datagram for the control plane, and how it came.
pub type LocalDatagram = (RecvMeta, Box<[u8]>);

#[cfg(test)]
mod tests;
