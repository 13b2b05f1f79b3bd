//! The relay's ends of tunnels: TLS over TCP on the port of the UDP sockets, for networks that let no UDP through.

use std::collections::HashMap;
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
}

/// How many tunnels there are, by source network.
#[derive(Debug, Default)]
struct Slots {
    all: Count,
    sources: HashMap<[u8; 8], Count>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    open: usize,
    unregistered: usize,
}

/// Bounds of tunnels. At each the newcomer is refused.
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

/// Bytes that may wait in all tunnels together, beyond the first few kilobytes of each: a hundred that are busy at once,
/// and no more than this for a thousand that are never read.
const QUEUED_BYTES: usize = 24 * 1024 * 1024;

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
        let (open, slots) = (RwLock::default(), Mutex::default());
        Arc::new(Self { beside, caps, open, next: AtomicU64::new(1), slots, queued: SharedRoom::new(QUEUED_BYTES) })
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
            let Some(slot) = Slot::take(&self, from.ip()) else {
                tracing::debug!("a tunnel was refused: too many are open");
                continue;
            };
            let (tunnels, plane, stop, acceptor) = (Arc::clone(&self), Arc::clone(&plane), stop.clone(), acceptor());
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
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
async fn expire(registered: &CancellationToken, mut slot: Slot) {
    if timeout(REGISTER_DEADLINE, registered.cancelled()).await.is_ok() {
        slot.register();
        std::future::pending().await
    }
}

/// A tunnel's place among those that are allowed; it is free again when this is dropped.
struct Slot {
    tunnels: Arc<Tunnels>,
    source: [u8; 8],
    is_registered: bool,
}

impl Slot {
    fn take(tunnels: &Arc<Tunnels>, from: IpAddr) -> Option<Self> {
        let source = source_prefix(from);
        let (caps, mut slots) = (&tunnels.caps, tunnels.slots());
        let of_source = slots.sources.get(&source).copied().unwrap_or_default();
        if slots.all.open >= caps.tunnels
            || slots.all.unregistered >= caps.unregistered
            || of_source.open >= caps.tunnels_per_source
            || of_source.unregistered >= caps.unregistered_per_source
        {
            return None;
        }
        slots.change(source, |count| {
            count.open += 1;
            count.unregistered += 1;
        });
        drop(slots);
        Some(Self { tunnels: Arc::clone(tunnels), source, is_registered: false })
    }

    fn register(&mut self) {
        if !std::mem::replace(&mut self.is_registered, true) {
            self.tunnels.slots().change(self.source, |count| count.unregistered -= 1);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.register();
        self.tunnels.slots().change(self.source, |count| count.open -= 1);
    }
}

impl Slots {
    fn change(&mut self, source: [u8; 8], change: impl Fn(&mut Count)) {
        change(&mut self.all);
        let count = self.sources.entry(source).or_default();
        change(count);
        if count.open == 0 {
            self.sources.remove(&source);
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
