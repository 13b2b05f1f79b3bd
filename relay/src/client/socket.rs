//! The path socket: one UDP socket under two QUIC endpoints, one for control connections and one for sessions.
//!
//! The session endpoint sees a single constant peer address, whatever relay, address or protocol its packets travel by.
//! Outgoing session packets are mapped to the path in use for their peer by the route id at the front of their
//! destination connection id; incoming packets belong to the session endpoint when their destination begins with our own
//! route id, and to the control endpoint otherwise.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, Wake, Waker};

use belay_protocol::RouteId;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use crate::packet;

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

/// The shared socket with the paths to each peer.
#[derive(Debug)]
pub(crate) struct PathSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    own_route: RouteId,
    paths: RwLock<HashMap<RouteId, SocketAddr>>,
    waiting: [Mutex<VecDeque<Datagrams>>; 2],
    wakers: Arc<FaceWakers>,
    dropped: AtomicU64,
}

/// Datagrams of one sender that arrived in one batch, on their way to the face that did not read them.
struct Datagrams {
    meta: RecvMeta,
    bytes: Vec<u8>,
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Datagrams({} bytes)", self.bytes.len())
    }
}

/// Batches that wait for one face; more are dropped, as by any full queue on a path.
const WAITING_MAX: usize = 256;

impl PathSocket {
    pub(crate) fn new(inner: Arc<dyn AsyncUdpSocket>, own_route: RouteId) -> Arc<Self> {
        Arc::new(Self {
            inner,
            own_route,
            paths: RwLock::default(),
            waiting: Default::default(),
            wakers: Arc::default(),
            dropped: AtomicU64::new(0),
        })
    }

    /// The face of the socket for one endpoint.
    pub(crate) fn face(self: &Arc<Self>, plane: Plane) -> Arc<Face> {
        Arc::new(Face { socket: Arc::clone(self), plane })
    }

    /// Sends session packets for `peer` to `address` from now on.
    pub(crate) fn set_path(&self, peer: RouteId, address: SocketAddr) {
        let address = self.in_our_family(address);
        self.paths.write().unwrap_or_else(PoisonError::into_inner).insert(peer, address);
    }

    /// Forgets the path to `peer`.
    pub(crate) fn forget_path(&self, peer: &RouteId) {
        self.paths.write().unwrap_or_else(PoisonError::into_inner).remove(peer);
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

    /// Packets that had no path or could not be sent.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
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

    fn queue(&self, plane: Plane) -> MutexGuard<'_, VecDeque<Datagrams>> {
        self.waiting[plane as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, plane: Plane, meta: RecvMeta, bytes: &[u8]) {
        let mut queue = self.queue(plane);
        if queue.len() == WAITING_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let meta = RecvMeta { len: bytes.len(), ..meta };
        queue.push_back(Datagrams { meta, bytes: bytes.to_vec() });
        drop(queue);
        self.wakers.wake_face(plane);
    }

    /// Drops of a path are swallowed: an error would end every connection of the endpoint.
    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.inner.try_send(transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::trace!(%error, "a packet could not be sent");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
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
        if self.plane == Plane::Control {
            return self.socket.send(transmit);
        }
        let path = packet::destination(transmit.contents).and_then(|destination| {
            let paths = self.socket.paths.read().unwrap_or_else(PoisonError::into_inner);
            paths.get(&destination.route).copied()
        });
        match path {
            Some(destination) => self.socket.send(&Transmit { destination, src_ip: None, ..*transmit }),
            None => {
                self.socket.dropped.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // Registered before the queue is looked at, so that what the other face hands over in between is not missed.
        self.socket.wakers.register(self.plane, cx.waker());
        let taken = self.take_waiting(bufs, meta);
        if taken > 0 {
            return Poll::Ready(Ok(taken));
        }
        let both = Waker::from(Arc::clone(&self.socket.wakers));
        let mut both = Context::from_waker(&both);
        for _ in 0..FOREIGN_BATCHES_MAX {
            let received = match self.socket.inner.poll_recv(&mut both, bufs, meta) {
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

    fn max_transmit_segments(&self) -> usize {
        self.socket.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.inner.may_fragment()
    }
}

/// Batches that one face reads for the other before it yields.
const FOREIGN_BATCHES_MAX: usize = 16;

impl Face {
    fn take_waiting(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let mut queue = self.socket.queue(self.plane);
        let mut taken = 0;
        while taken < bufs.len().min(meta.len()) {
            let Some(datagrams) = queue.pop_front() else { break };
            let Some(room) = bufs[taken].get_mut(..datagrams.bytes.len()) else { continue };
            room.copy_from_slice(&datagrams.bytes);
            meta[taken] = self.seen_by_quinn(datagrams.meta);
            taken += 1;
        }
        taken
    }

    /// Moves what is ours to the front of `bufs` and hands the rest to the other face; says how many batches are ours.
    fn keep_own(&self, received: usize, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let mut kept = 0;
        for index in 0..received {
            let batch = meta[index];
            let ours = self.split(batch, &bufs[index]);
            if ours == 0 {
                continue;
            }
            let (front, back) = bufs.split_at_mut(index);
            let source: &mut [u8] = &mut back[0];
            if ours < batch.len {
                gather_own(self, batch, source);
            }
            if kept < index {
                front[kept][..ours].copy_from_slice(&source[..ours]);
            }
            meta[kept] = self.seen_by_quinn(RecvMeta { len: ours, ..batch });
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

    fn seen_by_quinn(&self, meta: RecvMeta) -> RecvMeta {
        match self.plane {
            Plane::Control => meta,
            Plane::Session => RecvMeta { addr: self.socket.virtual_peer(), dst_ip: None, ..meta },
        }
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

/// Wakes both faces when the socket becomes readable: it remembers one waker only, and either face may have to read.
#[derive(Debug, Default)]
struct FaceWakers {
    faces: [Mutex<Option<Waker>>; 2],
}

impl FaceWakers {
    fn register(&self, plane: Plane, waker: &Waker) {
        let mut face = self.faces[plane as usize].lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *face {
            Some(known) => known.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
    }

    fn wake_face(&self, plane: Plane) {
        let face = self.faces[plane as usize].lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = face {
            waker.wake();
        }
    }
}

impl Wake for FaceWakers {
    fn wake(self: Arc<Self>) {
        self.wake_face(Plane::Control);
        self.wake_face(Plane::Session);
    }
}
