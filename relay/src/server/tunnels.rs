//! The relay's ends of tunnels: TLS over TCP on the port of the UDP sockets, for networks that let no UDP through.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use belay_protocol::limits::{HANDSHAKE_DEADLINE, IDLE_TIMEOUT};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dataplane::DataPlane;
use super::keys::source_prefix;
use crate::net::{ByteStream, StreamListener, TunnelNumber};
use crate::tunnel::{self, FrameQueue, SharedRoom};

/// The tunnels that are open.
#[derive(Debug)]
pub struct Tunnels {
    beside: SocketAddr,
    caps: TunnelCaps,
    open: RwLock<HashMap<TunnelNumber, Arc<Tunnel>>>,
    next: AtomicU64,
    slots: Mutex<Slots>,
    queued: Arc<SharedRoom>,
    /// What became of them.
    pub(super) fates: TunnelFates,
}

/// What became of TCP connections since the start.
#[derive(Debug, Default)]
pub(super) struct TunnelFates {
    /// Somebody registered through it.
    pub(super) registered: AtomicU64,
    /// Its TLS handshake failed or took too long.
    pub(super) failed: AtomicU64,
    /// Nobody registered in time.
    pub(super) expired: AtomicU64,
    /// Nobody had registered yet when a later one needed its place.
    pub(super) displaced: AtomicU64,
    /// Too many were open.
    pub(super) refused: AtomicU64,
}

/// Which tunnels there are.
#[derive(Debug, Default)]
struct Slots {
    open: usize,
    open_by_source: HashMap<[u8; 8], usize>,
    /// Those through which nobody has registered yet, the oldest first.
    unregistered: BTreeMap<u64, Unregistered>,
    next: u64,
}

#[derive(Debug)]
struct Unregistered {
    source: [u8; 8],
    /// Cancelled when a later one takes its place.
    displaced: CancellationToken,
}

/// Bounds of tunnels. At those of open ones the newcomer is refused. At those of unregistered ones the oldest makes room,
/// of the newcomer's own source or else of the source that has most: an honest end registers within a second, so that
/// whoever opens connections and says nothing has to open very many to be in anybody's way.
#[derive(Debug, Clone, Copy)]
pub struct TunnelCaps {
    /// Open tunnels.
    pub tunnels: usize,
    /// Open tunnels of one source network (IPv4 /24, IPv6 /56).
    pub tunnels_per_source: usize,
    /// Open tunnels through which nobody has registered yet.
    pub unregistered: usize,
    /// Those of one source network.
    pub unregistered_per_source: usize,
}

impl Default for TunnelCaps {
    fn default() -> Self {
        Self { tunnels: 10_000, tunnels_per_source: 2_000, unregistered: 1_024, unregistered_per_source: 128 }
    }
}

/// Bytes that may wait for the reader of a tunnel: little until somebody has registered through it.
const UNREGISTERED_QUEUE_BYTES: usize = 16 * 1024;
const QUEUE_BYTES: usize = 256 * 1024;

/// Bytes that may wait in all tunnels together, beyond the first few kilobytes of each: sixteen whose readers are behind,
/// and no more than this for a thousand that are never read.
const QUEUED_BYTES: usize = 4 * 1024 * 1024;

/// Time in which somebody must register through a tunnel.
const REGISTER_DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Tunnel {
    from: SocketAddr,
    frames: FrameQueue,
    registered: CancellationToken,
}

impl Tunnels {
    /// No tunnels, beside UDP sockets that are bound to `beside`.
    pub fn new(beside: SocketAddr, caps: TunnelCaps) -> Arc<Self> {
        Arc::new(Self {
            beside,
            caps,
            open: RwLock::default(),
            next: AtomicU64::new(1),
            slots: Mutex::default(),
            queued: SharedRoom::new(QUEUED_BYTES),
            fates: TunnelFates::default(),
        })
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn beside(&self) -> SocketAddr {
        self.beside
    }

    /// Open tunnels.
    pub fn count(&self) -> usize {
        self.open.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sends datagrams of `stride` bytes into a tunnel; how many it took.
    pub(super) fn send(&self, number: TunnelNumber, stride: usize, datagrams: &[u8]) -> usize {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&number).map_or(0, |tunnel| tunnel.frames.push(stride, datagrams))
    }

    /// The address that packets from `address` really come from: the tunnel's other end, if it stands for a tunnel.
    pub(super) fn origin(&self, address: SocketAddr) -> IpAddr {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let tunnel = TunnelNumber::of(address).and_then(|number| open.get(&number));
        tunnel.map_or(address, |tunnel| tunnel.from).ip()
    }

    /// Gives the tunnel behind `address`, if it is one, the room of a registered end.
    pub(super) fn note_registered(&self, address: SocketAddr) {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(tunnel) = TunnelNumber::of(address).and_then(|number| open.get(&number)) {
            tunnel.frames.set_bytes_max(QUEUE_BYTES);
            tunnel.registered.cancel();
        }
    }

    /// Accepts tunnels until `stop`, and joins their tasks.
    pub(super) async fn serve(
        self: Arc<Self>,
        listener: Box<dyn StreamListener>,
        acceptor: impl Fn() -> TlsAcceptor + Send,
        plane: Arc<DataPlane>,
        stop: CancellationToken,
    ) {
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, usually: it does not get better by trying at once.
                    tracing::warn!(%error, "a tunnel could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some((slot, displaced)) = Slot::take(&self, from.ip()) else {
                self.fates.refused.fetch_add(1, Ordering::Relaxed);
                tracing::debug!("a tunnel was refused: too many are open");
                continue;
            };
            let (tunnels, plane, stop, acceptor) = (Arc::clone(&self), Arc::clone(&plane), stop.clone(), acceptor());
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = displaced.cancelled() => tracing::debug!("a tunnel made room for a later one"),
                    () = tunnels.carry(stream, from, slot, &acceptor, &plane) => {}
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn carry(
        &self,
        stream: Box<dyn ByteStream>,
        from: SocketAddr,
        slot: Slot,
        acceptor: &TlsAcceptor,
        plane: &DataPlane,
    ) {
        let handshake = timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await;
        let stream = match handshake.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut))) {
            Ok(stream) => stream,
            Err(error) => {
                self.fates.failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "a tunnel's handshake failed");
                return;
            }
        };
        let tunnel = Arc::new(Tunnel {
            from,
            frames: FrameQueue::within(UNREGISTERED_QUEUE_BYTES, Arc::clone(&self.queued)),
            registered: CancellationToken::new(),
        });
        let open = OpenTunnel::add(self, Arc::clone(&tunnel));
        tracing::debug!(number = open.number.0, %from, "a tunnel was opened");
        let (reader, writer) = tokio::io::split(stream);
        tokio::select! {
            () = tunnel.frames.write_to(writer) => {}
            () = tunnel::read_from(reader, IDLE_TIMEOUT, |stride, batch| plane.take_from_tunnel(open.number, stride, batch)) => {}
            () = expire(&tunnel.registered, slot) => {}
        }
        tracing::debug!(number = open.number.0, "a tunnel was closed");
    }
}

/// Ends when nobody has registered in time.
async fn expire(registered: &CancellationToken, slot: Slot) {
    if timeout(REGISTER_DEADLINE, registered.cancelled()).await.is_ok() {
        slot.register();
        std::future::pending().await
    }
    slot.tunnels.fates.expired.fetch_add(1, Ordering::Relaxed);
}

/// A tunnel's place among those that are allowed; it is free again when this is dropped.
struct Slot {
    tunnels: Arc<Tunnels>,
    source: [u8; 8],
    number: u64,
}

impl Slot {
    /// A place, and what is cancelled when it must be left.
    fn take(tunnels: &Arc<Tunnels>, from: IpAddr) -> Option<(Self, CancellationToken)> {
        let source = source_prefix(from);
        let (caps, mut slots) = (&tunnels.caps, tunnels.slots());
        let of_source = slots.open_by_source.get(&source).copied().unwrap_or(0);
        if slots.open >= caps.tunnels || of_source >= caps.tunnels_per_source {
            return None;
        }
        if let Some(crowded) = slots.crowded(caps, source) {
            slots.displace_oldest(crowded);
            tunnels.fates.displaced.fetch_add(1, Ordering::Relaxed);
        }
        let (displaced, number) = (CancellationToken::new(), slots.next);
        slots.next += 1;
        slots.unregistered.insert(number, Unregistered { source, displaced: displaced.clone() });
        slots.open += 1;
        *slots.open_by_source.entry(source).or_default() += 1;
        drop(slots);
        Some((Self { tunnels: Arc::clone(tunnels), source, number }, displaced))
    }

    fn register(&self) {
        if self.tunnels.slots().unregistered.remove(&self.number).is_some() {
            self.tunnels.fates.registered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut slots = self.tunnels.slots();
        slots.unregistered.remove(&self.number);
        slots.open -= 1;
        if let Some(of_source) = slots.open_by_source.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                slots.open_by_source.remove(&self.source);
            }
        }
    }
}

impl Slots {
    /// The source that must make room before one more from `source` can be taken, if one must.
    fn crowded(&self, caps: &TunnelCaps, source: [u8; 8]) -> Option<[u8; 8]> {
        // Almost always; a count of all is for those who are many.
        if self.unregistered.len() < caps.unregistered.min(caps.unregistered_per_source) {
            return None;
        }
        let mut by_source = HashMap::<[u8; 8], usize>::new();
        for waiting in self.unregistered.values() {
            *by_source.entry(waiting.source).or_default() += 1;
        }
        if by_source.get(&source).is_some_and(|count| *count >= caps.unregistered_per_source) {
            return Some(source);
        }
        let (largest, _) = by_source.into_iter().max_by_key(|(_, count)| *count)?;
        (self.unregistered.len() >= caps.unregistered).then_some(largest)
    }

    fn displace_oldest(&mut self, source: [u8; 8]) {
        let oldest = self.unregistered.iter().find(|(_, waiting)| waiting.source == source).map(|(number, _)| *number);
        if let Some(waiting) = oldest.and_then(|number| self.unregistered.remove(&number)) {
            waiting.displaced.cancel();
        }
    }
}

/// A tunnel's place in the list; it leaves when this is dropped.
struct OpenTunnel<'a> {
    tunnels: &'a Tunnels,
    number: TunnelNumber,
}

impl<'a> OpenTunnel<'a> {
    fn add(tunnels: &'a Tunnels, tunnel: Arc<Tunnel>) -> Self {
        let mut open = tunnels.open.write().unwrap_or_else(PoisonError::into_inner);
        let number = loop {
            // 24 bits, because an IPv4 address has no room for more.
            let number = TunnelNumber((tunnels.next.fetch_add(1, Ordering::Relaxed) & 0x00ff_ffff) as u32);
            if number.0 != 0 && !open.contains_key(&number) {
                break number;
            }
        };
        open.insert(number, tunnel);
        Self { tunnels, number }
    }
}

impl Drop for OpenTunnel<'_> {
    fn drop(&mut self) {
        self.tunnels.open.write().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: TunnelCaps =
        TunnelCaps { tunnels: 6, tunnels_per_source: 4, unregistered: 5, unregistered_per_source: 2 };

    fn tunnels() -> Arc<Tunnels> {
        Tunnels::new(SocketAddr::from(([127, 0, 0, 1], 443)), CAPS)
    }

    fn take(tunnels: &Arc<Tunnels>, network: u8) -> Option<(Slot, CancellationToken)> {
        Slot::take(tunnels, IpAddr::from([10, 0, network, 1]))
    }

    #[test]
    fn the_oldest_that_says_nothing_makes_room_for_its_neighbour() {
        let tunnels = tunnels();
        let (registered, of_registered) = take(&tunnels, 1).unwrap();
        registered.register();
        let (_first, of_first) = take(&tunnels, 1).unwrap();
        let (_second, of_second) = take(&tunnels, 1).unwrap();
        let (_third, of_third) = take(&tunnels, 1).unwrap();
        assert!(of_first.is_cancelled());
        for kept in [of_registered, of_second, of_third] {
            assert!(!kept.is_cancelled());
        }
        assert_eq!(tunnels.fates.displaced.load(Ordering::Relaxed), 1);
        assert!(take(&tunnels, 1).is_none(), "four of a source are open until the first is gone");
    }

    #[test]
    fn at_the_common_bound_the_source_that_has_most_makes_room() {
        let tunnels = Tunnels::new(SocketAddr::from(([127, 0, 0, 1], 443)), TunnelCaps { unregistered: 3, ..CAPS });
        let others: Vec<_> = [2, 1, 1].iter().map(|network| take(&tunnels, *network).unwrap()).collect();
        let (_newcomer, displaced) = take(&tunnels, 3).unwrap();
        let cancelled: Vec<bool> = others.iter().map(|(_, displaced)| displaced.is_cancelled()).collect();
        assert_eq!(cancelled, [false, true, false]);
        assert!(!displaced.is_cancelled());
    }

    #[test]
    fn a_place_is_free_again_when_its_tunnel_is_gone() {
        let tunnels = tunnels();
        for _ in 0..20 {
            let open: Vec<_> = (0..6).map(|network| take(&tunnels, network).unwrap()).collect();
            assert!(take(&tunnels, 7).is_none());
            drop(open);
        }
        let slots = tunnels.slots();
        assert_eq!((slots.open, slots.open_by_source.len(), slots.unregistered.len()), (0, 0, 0));
    }
}
