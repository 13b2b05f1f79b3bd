//! The operating system's network.

#[cfg(not(target_os = "linux"))]
use std::borrow::Cow;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::{ByteStream, Later, Net, RelaySocket, StreamListener};

/// The operating system's network.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNet;

/// The operating system's network without segmentation (GSO) and its reverse (GRO): for comparing, and for drivers that
/// get them wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainNet;

/// Whether the system may join and split datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offload {
    Used,
    Unused,
}

impl Net for PlainNet {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        bind(address, Offload::Unused)
    }

    fn bind_shared(&self, address: SocketAddr, count: usize) -> io::Result<Vec<Arc<dyn RelaySocket>>> {
        bind_shared(address, count, Offload::Unused)
    }

    fn resolve(&self, host: &str, port: u16) -> Later<'_, Vec<SocketAddr>> {
        SystemNet.resolve(host, port)
    }

    fn source_towards(&self, address: SocketAddr) -> Option<IpAddr> {
        SystemNet.source_towards(address)
    }

    fn connect(&self, address: SocketAddr) -> Later<'_, Box<dyn ByteStream>> {
        SystemNet.connect(address)
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn StreamListener>> {
        SystemNet.listen(address)
    }
}

impl Net for SystemNet {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        bind(address, Offload::Used)
    }

    fn bind_shared(&self, address: SocketAddr, count: usize) -> io::Result<Vec<Arc<dyn RelaySocket>>> {
        bind_shared(address, count, Offload::Used)
    }

    fn resolve(&self, host: &str, port: u16) -> Later<'_, Vec<SocketAddr>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }

    fn source_towards(&self, address: SocketAddr) -> Option<IpAddr> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP)).ok()?;
        // Sends nothing: the system looks the route up and remembers it.
        socket.connect(&address.into()).ok()?;
        Some(socket.local_addr().ok()?.as_socket()?.ip())
    }

    fn connect(&self, address: SocketAddr) -> Later<'_, Box<dyn ByteStream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(tuned(stream)?) as Box<dyn ByteStream>)
        })
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn StreamListener>> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // A restarted relay finds connections of its former life in TIME_WAIT.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        Ok(Box::new(TcpListener::from_std(socket.into())?))
    }
}

fn bind(address: SocketAddr, offload: Offload) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    Ok(Arc::new(RuntimeSocket::new(bound(address)?, offload)?))
}

fn bind_shared(address: SocketAddr, count: usize, offload: Offload) -> io::Result<Vec<Arc<dyn RelaySocket>>> {
    if count <= 1 || !cfg!(target_os = "linux") {
        return Ok(vec![for_relay(bound(address)?, offload)?]);
    }
    // SO_REUSEPORT would hide that another process of the same user has the port already; a plain bind shows it.
    let probe = bound(address)?;
    let address = probe.local_addr()?;
    drop(probe);
    (0..count)
        .map(|_| {
            let socket = unbound(address.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?)?;
            #[cfg(target_os = "linux")]
            socket.set_reuse_port(true)?;
            socket.bind(&address)?;
            for_relay(socket, offload)
        })
        .collect()
}

#[cfg(target_os = "linux")]
fn for_relay(socket: Socket, offload: Offload) -> io::Result<Arc<dyn RelaySocket>> {
    Ok(Arc::new(super::thread_socket::ThreadSocket::new(socket.into(), offload)?))
}

#[cfg(not(target_os = "linux"))]
fn for_relay(socket: Socket, offload: Offload) -> io::Result<Arc<dyn RelaySocket>> {
    Ok(Arc::new(RuntimeSocket::new(socket, offload)?))
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // The system caps these at its own maximum without an error; the default of 208 KiB holds 150 packets.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    Ok(socket)
}

fn tuned(stream: TcpStream) -> io::Result<TcpStream> {
    // A tunnel carries datagrams whose timing QUIC measures.
    stream.set_nodelay(true)?;
    // What waits in the kernel cannot be shed any more.
    let _ = socket2::SockRef::from(&stream).set_send_buffer_size(TUNNEL_SEND_BUFFER_BYTES);
    Ok(stream)
}

/// Room for about 20 ms at a gigabit.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of one tunnel that wait in the kernel, doubled by Linux for its bookkeeping.
const TUNNEL_SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Connections that wait to be accepted.
const LISTEN_BACKLOG: i32 = 1024;

impl StreamListener for TcpListener {
    fn accept(&self) -> Later<'_, (Box<dyn ByteStream>, SocketAddr)> {
        Box::pin(async move {
            let (stream, from) = TcpListener::accept(self).await?;
            Ok((Box::new(tuned(stream)?) as Box<dyn ByteStream>, from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}

/// A socket that the runtime watches.
#[derive(Debug)]
struct RuntimeSocket {
    quinn: Arc<dyn AsyncUdpSocket>,
    offload: Offload,
}

impl RuntimeSocket {
    fn new(socket: Socket, offload: Offload) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let plain = socket.try_clone()?;
        #[cfg(not(target_os = "linux"))]
        if let Err(error) = quinn::udp::UdpSocketState::new((&socket).into()) {
            tracing::warn!(%error, "this system lacks what a fast UDP socket needs: datagrams are sent one by one");
            return Ok(Self { quinn: Arc::new(super::plain_socket::PlainSocket::new(socket)?), offload });
        }
        let quinn = TokioRuntime.wrap_udp_socket(socket.into())?;
        #[cfg(target_os = "linux")]
        if offload == Offload::Unused {
            super::mmsg::switch_off_receive_offload(&plain.into())?;
        }
        Ok(Self { quinn, offload })
    }
}

#[cfg(not(target_os = "linux"))]
impl RelaySocket for RuntimeSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.quinn.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        AsyncUdpSocket::max_transmit_segments(self)
    }

    fn max_receive_segments(&self) -> usize {
        AsyncUdpSocket::max_receive_segments(self)
    }

    fn receiver(&self) -> super::Receiver<'_> {
        super::Receiver::Runtime(self)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.quinn.try_send(transmit)
    }

    fn send_each(&self, packets: &[super::Outgoing<'_>]) -> usize {
        let sent = packets.iter().take_while(|packet| {
            let super::Outgoing { destination, src_ip, ecn, contents } = **packet;
            self.quinn.try_send(&Transmit { destination, ecn, contents, segment_size: None, src_ip }).is_ok()
        });
        sent.count()
    }

    fn send_joined(&self, joined: &super::Joined<'_>) -> io::Result<()> {
        let contents = match joined.pieces.as_slice() {
            [whole] => Cow::Borrowed(*whole),
            pieces => Cow::Owned(pieces.concat()),
        };
        let &super::Joined { destination, src_ip, ecn, segment_bytes, .. } = joined;
        let segment_size = Some(segment_bytes);
        self.quinn.try_send(&Transmit { destination, ecn, contents: &contents, segment_size, src_ip })
    }
}

impl AsyncUdpSocket for RuntimeSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.quinn).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.quinn.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.quinn.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.quinn.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        match self.offload {
            Offload::Used => self.quinn.max_transmit_segments(),
            Offload::Unused => 1,
        }
    }

    fn max_receive_segments(&self) -> usize {
        match self.offload {
            Offload::Used => self.quinn.max_receive_segments(),
            Offload::Unused => 1,
        }
    }

    fn may_fragment(&self) -> bool {
        self.quinn.may_fragment()
    }
}
