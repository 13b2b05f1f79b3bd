use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use belay_protocol::message::PeerRoute;
use belay_protocol::{OrganizationKey, RouteSalt};
use proptest::prelude::*;
use quinn::udp::EcnCodepoint;
use quinn::{AsyncUdpSocket, UdpPoller};

use super::*;
use crate::server::Place;
use crate::server::table::{Caps, ConnectionNumber, Newcomer, Table};
use crate::server::tunnels::TunnelCaps;

/// A socket that hands out what a test puts in and remembers what leaves.
#[derive(Debug)]
struct FakeSocket {
    segments_max: usize,
    arriving: Mutex<VecDeque<(RecvMeta, Vec<u8>)>>,
    left: Mutex<Vec<Left>>,
}

/// One datagram that left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    to: SocketAddr,
    bytes: Vec<u8>,
    ecn: Option<EcnCodepoint>,
}

impl FakeSocket {
    fn note(&self, to: SocketAddr, ecn: Option<EcnCodepoint>, bytes: &[u8]) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(Left { to, bytes: bytes.to_vec(), ecn });
    }
}

#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for FakeSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let stride = transmit.segment_size.unwrap_or(transmit.contents.len());
        assert!(transmit.contents.len().div_ceil(stride) <= self.segments_max);
        for segment in transmit.contents.chunks(stride) {
            self.note(transmit.destination, transmit.ecn, segment);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        _: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arriving = self.arriving.lock().unwrap();
        let mut received = 0;
        while received < bufs.len() {
            let Some((batch, bytes)) = arriving.pop_front() else { break };
            bufs[received][..bytes.len()].copy_from_slice(&bytes);
            meta[received] = batch;
            received += 1;
        }
        if received == 0 { Poll::Pending } else { Poll::Ready(Ok(received)) }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(([10, 0, 0, 200], 443).into())
    }
}

impl RelaySocket for FakeSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        AsyncUdpSocket::local_addr(self)
    }

    fn max_transmit_segments(&self) -> usize {
        self.segments_max
    }

    fn max_receive_segments(&self) -> usize {
        64
    }

    fn receiver(&self) -> Receiver<'_> {
        Receiver::Runtime(self)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        AsyncUdpSocket::try_send(self, transmit)
    }

    fn send_joined(&self, joined: &Joined<'_>) -> io::Result<()> {
        let (last, whole) = joined.pieces.split_last().unwrap();
        assert!(
            whole.iter().all(|piece| piece.len().is_multiple_of(joined.segment_bytes)),
            "a short one in the middle"
        );
        let contents = [whole.concat().as_slice(), last].concat();
        assert!(contents.len() <= JOINED_MAX_BYTES);
        assert!(contents.len().div_ceil(joined.segment_bytes) <= self.segments_max);
        for segment in contents.chunks(joined.segment_bytes) {
            self.note(joined.destination, joined.ecn, segment);
        }
        Ok(())
    }

    fn send_each(&self, packets: &[Outgoing<'_>]) -> usize {
        for packet in packets {
            self.note(packet.destination, packet.ecn, packet.contents);
        }
        packets.len()
    }
}

fn peer(name: u8) -> PeerRoute {
    PeerRoute { key: [name; 32], salt: RouteSalt([name; 16]) }
}

fn address(name: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, name], 4000))
}

/// The relay's own ids begin with this.
const OWN: u8 = 0xaa;

/// A desk (1) paired with agents 2 and 3; agent 4 is paired with nobody.
fn routes() -> Arc<Routes> {
    let organization = OrganizationKey([9; 32]);
    let routes = Arc::new(Routes::new(|id| id.0[0] == OWN));
    let mut table = Table::new(Caps::default(), Arc::clone(&routes));
    for name in 1..=4 {
        let place = Place { address: address(name), local_ip: None };
        let newcomer = Newcomer {
            peer: peer(name),
            connection: ConnectionNumber(u64::from(name)),
            place,
            origin: place.address.ip(),
            organization: (name == 1).then_some(organization),
        };
        table.register(newcomer).unwrap();
    }
    for name in [2, 3] {
        table.reach(&peer(name), &organization).unwrap();
    }
    routes
}

struct Scene {
    plane: Arc<DataPlane>,
    socket: Arc<FakeSocket>,
}

impl Scene {
    fn new(segments_max: usize) -> Self {
        let socket = Arc::new(FakeSocket { segments_max, arriving: Mutex::default(), left: Mutex::default() });
        let tunnels = Tunnels::new(RelaySocket::local_addr(&*socket).unwrap(), TunnelCaps::default());
        let sockets: Vec<Arc<dyn RelaySocket>> = vec![Arc::clone(&socket) as _];
        Self { plane: DataPlane::new(routes(), sockets, tunnels, Arc::default()), socket }
    }

    /// Lets the data plane take `batches`; what left, and what was passed to the control plane.
    fn run(&self, batches: &[Batch]) -> (Vec<Left>, Vec<(SocketAddr, Vec<u8>)>) {
        for batch in batches {
            let bytes = batch.bytes();
            let meta = RecvMeta {
                addr: batch.from,
                len: bytes.len(),
                stride: batch.stride(),
                ecn: Some(EcnCodepoint::Ect0),
                dst_ip: None,
            };
            self.socket.arriving.lock().unwrap().push_back((meta, bytes));
        }
        let waker = std::task::Waker::noop();
        let mut cx = Context::from_waker(waker);
        {
            let mut forwarding = Box::pin(self.plane.forward_in_runtime(0));
            while !self.socket.arriving.lock().unwrap().is_empty() {
                let _ = forwarding.as_mut().poll(&mut cx);
            }
        }
        let mut passed = Vec::new();
        let mut room = vec![0; 70_000];
        let mut meta = [RecvMeta::default()];
        while self.plane.local.poll(&mut cx, &mut [IoSliceMut::new(&mut room)], &mut meta).is_ready() {
            passed.extend(room[..meta[0].len].chunks(meta[0].stride).map(|datagram| (meta[0].addr, datagram.to_vec())));
        }
        (std::mem::take(&mut *self.socket.left.lock().unwrap()), passed)
    }
}

/// Datagrams of one source that arrive together.
#[derive(Debug, Clone)]
struct Batch {
    from: SocketAddr,
    datagrams: Vec<Vec<u8>>,
}

impl Batch {
    fn stride(&self) -> usize {
        self.datagrams.first().map_or(1, Vec::len).max(1)
    }

    fn bytes(&self) -> Vec<u8> {
        self.datagrams.concat()
    }
}

/// What a datagram's first bytes are.
#[derive(Debug, Clone)]
enum Kind {
    Session(u8),
    SessionLong(u8),
    Own,
    Initial,
    Random(Vec<u8>),
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => (1u8..6).prop_map(Kind::Session),
        1 => (1u8..6).prop_map(Kind::SessionLong),
        1 => Just(Kind::Own),
        1 => Just(Kind::Initial),
        2 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Kind::Random),
    ]
}

fn datagram(kind: &Kind, length: usize, fill: u8) -> Vec<u8> {
    let mut bytes = match kind {
        Kind::Session(to) => [[0x40 | fill & 0x3f].as_slice(), &peer(*to).route().0].concat(),
        Kind::SessionLong(to) => [[0xc0, 0, 0, 0, 1, 16].as_slice(), &peer(*to).route().0, &[fill; 8]].concat(),
        Kind::Own => vec![0x40, OWN],
        Kind::Initial => vec![0xc0, 0, 0, 0, 1, 8],
        Kind::Random(bytes) => bytes.clone(),
    };
    // Longer than the ids, so that all of a batch can have one length.
    bytes.resize(length, fill);
    bytes
}

fn batch() -> impl Strategy<Value = Batch> {
    let datagrams = prop::collection::vec((kind(), any::<u8>()), 1..40);
    (0u8..7, datagrams, 1usize..1500, 1usize..1500).prop_map(|(from, kinds, length, last)| {
        let count = kinds.len();
        let datagrams = kinds.iter().enumerate().map(|(index, (kind, fill))| {
            datagram(kind, if index + 1 == count { last.min(length) } else { length }, *fill)
        });
        Batch { from: address(from), datagrams: datagrams.collect() }
    })
}

/// Where a session packet may go, by the pairs that are open: the whole of the policy once more.
fn allowed(from: SocketAddr, datagram: &[u8]) -> Option<SocketAddr> {
    let is_long = datagram[0] & 0x80 != 0;
    let id = if is_long { datagram.get(6..14)? } else { datagram.get(1..9)? };
    if is_long && datagram.len() < 6 + usize::from(datagram[5]) {
        return None;
    }
    if datagram.len() < 37 {
        return None;
    }
    let pairs = [(1, 2), (2, 1), (1, 3), (3, 1)];
    let pair = pairs.iter().find(|(one, to)| address(*one) == from && peer(*to).route().0 == id)?;
    Some(address(pair.1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_arrives_only_packets_of_open_pairs_leave_whole_in_order_and_to_their_peer(
        batches in prop::collection::vec(batch(), 1..12),
        segments_max in prop_oneof![Just(1usize), Just(64)],
    ) {
        let (mut left, passed) = Scene::new(segments_max).run(&batches);
        let mut expected: Vec<Left> = Vec::new();
        for batch in &batches {
            for datagram in &batch.datagrams {
                if let Some(to) = allowed(batch.from, datagram) {
                    expected.push(Left { to, bytes: datagram.clone(), ecn: Some(EcnCodepoint::Ect0) });
                }
            }
        }
        // A single packet of a batch may leave before those that wait for the round's end.
        if segments_max == 1 {
            for list in [&mut left, &mut expected] {
                list.sort_by(|one, other| (one.to, &one.bytes).cmp(&(other.to, &other.bytes)));
            }
        }
        prop_assert_eq!(left, expected);
        for (from, datagram) in passed {
            let is_from_batch = batches.iter().any(|batch| batch.from == from && batch.datagrams.contains(&datagram));
            prop_assert!(is_from_batch);
            prop_assert!(allowed(from, &datagram).is_none());
        }
    }
}

#[test]
fn a_packet_that_claims_to_come_from_a_tunnel_is_dropped() {
    let scene = Scene::new(64);
    let from = TunnelNumber(7).address(RelaySocket::local_addr(&*scene.socket).unwrap());
    let (left, passed) = scene.run(&[Batch { from, datagrams: vec![datagram(&Kind::Own, 100, 0)] }]);
    assert_eq!((left, passed), (vec![], vec![]));
    assert_eq!(scene.plane.counters.dropped(DropReason::Malformed), 1);
}

#[test]
fn what_opens_connections_is_limited_before_it_costs_anything() {
    let scene = Scene::new(64);
    let initials: Vec<Batch> = (0..2_000u16)
        .map(|n| Batch {
            from: SocketAddr::from(([192, 0, 2, 1], n)),
            datagrams: vec![datagram(&Kind::Initial, 1_200, 1)],
        })
        .collect();
    let (left, passed) = scene.run(&initials);
    assert!(left.is_empty());
    assert!(passed.len() < 1_000, "{}", passed.len());
    let dropped = scene.plane.counters.dropped(DropReason::Initials);
    assert_eq!(passed.len() as u64 + dropped, 2_000);
}
