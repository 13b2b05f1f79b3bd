//! The operating system's network.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::{ByteStream, DatagramSocket, Joined, Later, Net, Outgoing, StreamListener};

/// The operating system's network.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNet;

/// The operating system's network without segmentation (GSO) and its reverse (GRO): for comparing, and for drivers that
/// get them wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainNet;

/// Whether the system may join and split datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offload {
    Used,
    Unused,
}

impl Net for PlainNet {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn DatagramSocket>> {
        bind(address, Offload::Unused)
    }

    fn bind_shared(&self, address: SocketAddr, count: usize) -> io::Result<Vec<Arc<dyn DatagramSocket>>> {
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
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn DatagramSocket>> {
        bind(address, Offload::Used)
    }

    fn bind_shared(&self, address: SocketAddr, count: usize) -> io::Result<Vec<Arc<dyn DatagramSocket>>> {
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

fn bind(address: SocketAddr, offload: Offload) -> io::Result<Arc<dyn DatagramSocket>> {
    let socket = unbound(address)?;
    socket.bind(&address.into())?;
    wrap(socket, offload, Sends::OneByOne)
}

fn bind_shared(address: SocketAddr, count: usize, offload: Offload) -> io::Result<Vec<Arc<dyn DatagramSocket>>> {
    if count <= 1 || !cfg!(target_os = "linux") {
        let socket = unbound(address)?;
        socket.bind(&address.into())?;
        return Ok(vec![wrap(socket, offload, Sends::Many)?]);
    }
    // SO_REUSEPORT would hide that another process of the same user has the port already; a plain bind shows it.
    let probe = unbound(address)?;
    probe.bind(&address.into())?;
    let bound = probe.local_addr()?;
    drop(probe);
    (0..count)
        .map(|_| {
            let socket = unbound(address)?;
            #[cfg(target_os = "linux")]
            socket.set_reuse_port(true)?;
            socket.bind(&bound)?;
            wrap(socket, offload, Sends::Many)
        })
        .collect()
}

/// Whether a socket sends many datagrams in one call; that takes a descriptor more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    OneByOne,
    Many,
}

fn wrap(socket: Socket, offload: Offload, sends: Sends) -> io::Result<Arc<dyn DatagramSocket>> {
    let plain: UdpSocket = socket.into();
    let many = plain.try_clone()?;
    let quinn = TokioRuntime.wrap_udp_socket(plain)?;
    #[cfg(target_os = "linux")]
    if offload == Offload::Unused {
        super::mmsg::switch_off_receive_offload(&many)?;
    }
    let many = (sends == Sends::Many && cfg!(target_os = "linux")).then_some(many);
    Ok(Arc::new(SystemSocket { quinn, many, offload, lost_offload: AtomicBool::new(false) }))
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

#[derive(Debug)]
struct SystemSocket {
    quinn: Arc<dyn AsyncUdpSocket>,
    /// The same socket, for sending many datagrams at once.
    many: Option<UdpSocket>,
    offload: Offload,
    lost_offload: AtomicBool,
}

impl DatagramSocket for SystemSocket {
    fn send_each(&self, packets: &[Outgoing<'_>]) -> usize {
        #[cfg(target_os = "linux")]
        if let Some(many) = &self.many {
            return super::mmsg::send_each(many, packets);
        }
        let sent = packets.iter().take_while(|packet| {
            let transmit = Transmit {
                destination: packet.destination,
                ecn: packet.ecn,
                contents: packet.contents,
                segment_size: None,
                src_ip: packet.src_ip,
            };
            self.quinn.try_send(&transmit).is_ok()
        });
        sent.count()
    }

    fn send_joined(&self, joined: &Joined<'_>) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(many) = &self.many {
            let sent = super::mmsg::send_joined(many, joined);
            // What the kernel answers where segmentation does not work, as quinn takes it.
            if sent.as_ref().is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL))) {
                tracing::warn!(
                    "segmentation offload does not work any more: forwarding needs several times the CPU now"
                );
                self.lost_offload.store(true, Ordering::Relaxed);
            }
            return sent;
        }
        let contents = joined.pieces.concat();
        self.quinn.try_send(&Transmit {
            destination: joined.destination,
            ecn: joined.ecn,
            contents: &contents,
            segment_size: Some(joined.segment_bytes),
            src_ip: joined.src_ip,
        })
    }
}

impl SystemSocket {
    /// Whether segmentation has been refused by the system since the start: drivers and containers may lose it.
    fn has_lost_offload(&self) -> bool {
        self.lost_offload.load(Ordering::Relaxed)
    }
}

impl AsyncUdpSocket for SystemSocket {
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
            Offload::Used if !self.has_lost_offload() => self.quinn.max_transmit_segments(),
            Offload::Used | Offload::Unused => 1,
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
