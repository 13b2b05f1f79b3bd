//! Where sockets come from, so that the same programs run on the real network and in a simulated one.

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod mmsg;
#[cfg(any(test, not(target_os = "linux")))]
mod plain_socket;
mod system;
#[cfg(target_os = "linux")]
mod thread_socket;

use std::fmt::Debug;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use quinn::AsyncUdpSocket;
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "server")]
pub(crate) use system::SOCKET_BUFFER_BYTES;
pub use system::{PlainNet, SystemNet};

/// A result that arrives later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A source of sockets.
pub trait Net: Debug + Send + Sync + 'static {
    /// Binds the UDP socket of an agent or a console to `address`; port 0 picks one.
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>;

    /// Binds `count` UDP sockets of a relay to one address, among which the system spreads arriving packets by their source. May
    /// return fewer where that is not possible, and at least one.
    fn bind_shared(&self, address: SocketAddr, count: usize) -> io::Result<Vec<Arc<dyn RelaySocket>>>;

    /// Looks a host up, in order of preference.
    fn resolve(&self, host: &str, port: u16) -> Later<'_, Vec<SocketAddr>>;

    /// The local address from which packets to `address` leave now; `None` when there is no way there.
    fn source_towards(&self, address: SocketAddr) -> Option<IpAddr>;

    /// Opens a stream (TCP) to `address`.
    fn connect(&self, address: SocketAddr) -> Later<'_, Box<dyn ByteStream>>;

    /// Listens for streams (TCP) on `address`.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn StreamListener>>;

    /// The wall clock, in milliseconds since 1970.
    fn unix_ms(&self) -> i64 {
        crate::clock::unix_ms()
    }
}

/// A stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static> ByteStream for T {}

/// Accepts streams.
pub trait StreamListener: Debug + Send + Sync + 'static {
    /// The next stream with the address of its other end. Cancel-safe.
    fn accept(&self) -> Later<'_, (Box<dyn ByteStream>, SocketAddr)>;

    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A UDP socket of a relay: it forwards, which is to send many datagrams to many destinations at once.
pub trait RelaySocket: Debug + Send + Sync + 'static {
    /// Where it is bound.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Datagrams that leave in one [`RelaySocket::send_joined`], or as segments of one [`RelaySocket::try_send`]; 1 where
    /// the system takes none apart.
    fn max_transmit_segments(&self) -> usize;

    /// Datagrams that arrive as one batch, at most.
    fn max_receive_segments(&self) -> usize;

    /// How to receive.
    fn receiver(&self) -> Receiver<'_>;

    /// Sends one datagram or the segments of one. Fails when the send buffer is full.
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()>;

    /// Sends `packets` in order, without segmentation by the system, and says how many left. The rest found no room in
    /// the send buffer.
    fn send_each(&self, packets: &[Outgoing<'_>]) -> usize;

    /// Sends the datagrams of `joined` in one go, as [`RelaySocket::try_send`] does with a segment size. At most
    /// [`RelaySocket::max_transmit_segments`] of them, and at most [`JOINED_MAX_BYTES`].
    fn send_joined(&self, joined: &Joined<'_>) -> io::Result<()>;
}

/// How a [`RelaySocket`] receives.
#[derive(Debug)]
pub enum Receiver<'a> {
    /// On a thread of its own: a runtime that watches a socket is woken for every buffer that becomes free, which costs a
    /// relay a fifth of its processor.
    Thread(&'a dyn ThreadReceiver),
    /// In a runtime: in simulations, and where nothing better is known.
    Runtime(&'a dyn AsyncUdpSocket),
}

/// What a thread that is about to wait may expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing: it sleeps.
    Nothing,
    /// More of a transfer that is under way: it lets everybody else work before it looks. What has come until then comes
    /// in one go.
    More,
    /// An answer to the little that has just been sent: where the last one came soon, it looks for a moment before it
    /// sleeps.
    Answer,
}

/// Receives on the thread that calls.
pub trait ThreadReceiver: Debug {
    /// Waits until something comes and receives what is there; 0 after [`ThreadReceiver::interrupt`].
    fn receive(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta], outlook: Outlook) -> io::Result<usize>;

    /// Ends the wait that is under way, and all later ones.
    fn interrupt(&self);
}

/// Bytes that the system takes in one go: the largest UDP payload over IPv4.
pub const JOINED_MAX_BYTES: usize = 65_507;

/// Datagrams of one length to one destination, the last of which may be shorter, from several places in memory.
#[derive(Debug)]
pub struct Joined<'a> {
    /// Where they go.
    pub destination: SocketAddr,
    /// The local address they leave from, where that was learnt.
    pub src_ip: Option<IpAddr>,
    /// Congestion bits to carry on.
    pub ecn: Option<EcnCodepoint>,
    /// Length of each datagram.
    pub segment_bytes: usize,
    /// The datagrams; each piece but the last holds whole ones.
    pub pieces: Vec<&'a [u8]>,
}

#[cfg(target_os = "linux")]
impl<'a> Joined<'a> {
    /// The first of several datagrams by itself.
    fn first_alone(&self) -> Option<Joined<'a>> {
        let first = self.pieces.first()?.get(..self.segment_bytes)?;
        let is_several = self.pieces.len() > 1 || self.pieces[0].len() > first.len();
        is_several.then(|| Joined { pieces: vec![first], ..*self })
    }
}

/// One datagram on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Where it goes.
    pub destination: SocketAddr,
    /// The local address it leaves from, where that was learnt.
    pub src_ip: Option<IpAddr>,
    /// Congestion bits to carry on.
    pub ecn: Option<EcnCodepoint>,
    /// The datagram.
    pub contents: &'a [u8],
}

/// The socket from which an agent or a console sends: any address, on both families where the system has IPv6.
pub fn bind_anywhere(net: &dyn Net) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    net.bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))
        .or_else(|_| net.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))))
}

/// An address that stands for a tunnel wherever an address is expected: to quinn, in the table, as a path.
///
/// It lies in a prefix that no packet of a network can come from (RFC 6666 for IPv6, "this network" of RFC 791 for
/// IPv4), in the family of the socket beside it, because quinn converts others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TunnelNumber(pub u32);

impl TunnelNumber {
    /// The address of this tunnel beside a socket that is bound to `beside`.
    pub fn address(self, beside: SocketAddr) -> SocketAddr {
        let ip = match beside {
            SocketAddr::V6(_) => {
                let [a, b] = [(self.0 >> 16) as u16, self.0 as u16];
                IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 1, a, b))
            }
            // 24 bits: tunnels are numbered in a circle of that size.
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(self.0 & 0x00ff_ffff)),
        };
        SocketAddr::new(ip, TUNNEL_PORT)
    }

    /// The tunnel that `address` stands for.
    pub fn of(address: SocketAddr) -> Option<Self> {
        match address.ip() {
            IpAddr::V4(v4) if v4.octets()[0] == 0 => Some(Self(u32::from(v4))),
            IpAddr::V6(v6) if v6.segments()[..6] == [0x100, 0, 0, 0, 0, 1] => {
                let [.., a, b] = v6.segments();
                Some(Self(u32::from(a) << 16 | u32::from(b)))
            }
            _ => None,
        }
    }
}

/// The port in every tunnel's address; it means nothing.
const TUNNEL_PORT: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnels_address_leads_back_to_it_and_no_other_address_does() {
        for beside in ["[::]:443", "0.0.0.0:443"].map(|text| text.parse().unwrap()) {
            for number in [1, 77, 0x00ff_ffff] {
                assert_eq!(TunnelNumber::of(TunnelNumber(number).address(beside)), Some(TunnelNumber(number)));
            }
        }
        for text in ["192.0.2.1:1", "[100::1]:1", "[::ffff:10.0.0.1]:1", "[2001:db8::1]:1", "127.0.0.1:1"] {
            assert_eq!(TunnelNumber::of(text.parse().unwrap()), None, "{text}");
        }
    }
}
