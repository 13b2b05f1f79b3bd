//! Delay in user space, because the kernels that this runs on cannot: a forwarder of UDP that holds each packet back.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use quinn::udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::sleep_until;
use tokio_util::task::AbortOnDropHandle;

use super::{Host, Namespace};

/// Stands between clients and a server: who sends to it reaches the server, later, and hears from it, later. The server
/// sees every client at an address of its own, and another one when the client's has changed, as behind a NAT. It loses
/// nothing below some megabytes in flight.
#[derive(Debug)]
pub struct DelayLine {
    _task: AbortOnDropHandle<anyhow::Result<()>>,
    _host: Host,
}

impl DelayLine {
    /// Listens at `listen` in `namespace` for clients of `server`.
    pub async fn start(
        namespace: &Namespace,
        listen: SocketAddr,
        server: SocketAddr,
        delay: Duration,
    ) -> anyhow::Result<Self> {
        let host = Host::start(namespace)?;
        let near = host.run(async move { Port::open(listen) }).await?;
        let task = host.spawn(async move {
            let mut clients: HashMap<SocketAddr, Client> = HashMap::new();
            let route = |near: &Arc<Port>, from: SocketAddr| {
                let client = match clients.entry(from) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(Client::meet(near, from, delay)?),
                };
                anyhow::Ok((Arc::clone(&client.far), server))
            };
            carry(near, delay, route).await
        });
        Ok(Self { _task: task, _host: host })
    }
}

/// What serves one client.
struct Client {
    far: Arc<Port>,
    _back: AbortOnDropHandle<anyhow::Result<()>>,
}

impl Client {
    fn meet(near: &Arc<Port>, client: SocketAddr, delay: Duration) -> anyhow::Result<Self> {
        let (far, near) = (Port::open(SocketAddr::new([0, 0, 0, 0].into(), 0))?, Arc::clone(near));
        let back = carry(Arc::clone(&far), delay, move |_, _| Ok((Arc::clone(&near), client)));
        Ok(Self { far, _back: AbortOnDropHandle::new(tokio::spawn(back)) })
    }
}

/// One side.
#[derive(Debug)]
struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Port {
    fn open(address: SocketAddr) -> anyhow::Result<Arc<Self>> {
        let socket = StdSocket::bind(address).with_context(|| address.to_string())?;
        // Beyond what the system allows to others: the line is to lose nothing of its own.
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)?;
        rustix::net::sockopt::set_socket_send_buffer_size_force(&socket, BUFFER_BYTES)?;
        let state = UdpSocketState::new((&socket).into())?;
        socket.set_nonblocking(true)?;
        Ok(Arc::new(Self { socket: UdpSocket::from_std(socket)?, state }))
    }

    async fn send(&self, held: &Held) -> io::Result<()> {
        let segment_size = (held.stride < held.bytes.len()).then_some(held.stride);
        let transmit = Transmit {
            destination: held.destination,
            ecn: held.ecn,
            contents: &held.bytes,
            segment_size,
            src_ip: None,
        };
        loop {
            let sent = self.socket.try_io(Interest::WRITABLE, || self.state.try_send((&self.socket).into(), &transmit));
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                // A refused packet is a lost one.
                _ => return Ok(()),
            }
        }
    }
}

/// Packets of one length, the last of which may be shorter, that wait until they are due.
struct Held {
    due: Instant,
    port: Arc<Port>,
    destination: SocketAddr,
    stride: usize,
    ecn: Option<EcnCodepoint>,
    bytes: Vec<u8>,
}

/// Takes what arrives at `from`, and sends it `delay` later where `route` says, by whom it came from.
async fn carry(
    from: Arc<Port>,
    delay: Duration,
    mut route: impl FnMut(&Arc<Port>, SocketAddr) -> anyhow::Result<(Arc<Port>, SocketAddr)>,
) -> anyhow::Result<()> {
    let mut room = vec![0; ROOM_BYTES * BATCH_SIZE];
    let mut meta = [RecvMeta::default(); BATCH_SIZE];
    let mut line: VecDeque<Held> = VecDeque::new();
    loop {
        let due = line.front().map(|held| held.due);
        tokio::select! {
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                while line.front().is_some_and(|held| held.due <= Instant::now()) {
                    if let Some(held) = line.pop_front() {
                        held.port.send(&held).await?;
                    }
                }
            }
            ready = from.socket.readable() => {
                ready?;
                let mut bufs: Vec<IoSliceMut<'_>> = room.chunks_exact_mut(ROOM_BYTES).map(IoSliceMut::new).collect();
                let received = from.socket.try_io(Interest::READABLE, || {
                    from.state.recv((&from.socket).into(), &mut bufs, &mut meta)
                });
                let Ok(received) = received else { continue };
                let due = Instant::now() + delay;
                for (batch, bytes) in meta.iter().zip(&bufs).take(received) {
                    let (port, destination) = route(&from, batch.addr)?;
                    hold(&mut line, batch, &bytes[..batch.len], due, (port, destination));
                }
            }
        }
    }
}

/// Puts a batch into the line, joined with the last one where that is possible.
fn hold(
    line: &mut VecDeque<Held>,
    batch: &RecvMeta,
    bytes: &[u8],
    due: Instant,
    (port, destination): (Arc<Port>, SocketAddr),
) {
    if let Some(last) = line.back_mut()
        && last.destination == destination
        && Arc::ptr_eq(&last.port, &port)
        && last.ecn == batch.ecn
        && last.bytes.len().is_multiple_of(last.stride)
        && batch.stride <= last.stride
        && bytes.len() <= last.stride
        && last.bytes.len() / last.stride < port.state.max_gso_segments()
        && last.bytes.len() + bytes.len() <= ROOM_BYTES
        && due - last.due < JOINED_WITHIN
    {
        last.bytes.extend_from_slice(bytes);
        return;
    }
    line.push_back(Held { due, port, destination, stride: batch.stride.max(1), ecn: batch.ecn, bytes: bytes.to_vec() });
}

/// Bytes of the largest batch that the system takes.
const ROOM_BYTES: usize = 64_000;

/// Bytes that wait in a socket while the line is busy.
const BUFFER_BYTES: usize = 16 << 20;

/// Packets that arrive within this time leave together: the resolution of the timer.
const JOINED_WITHIN: Duration = Duration::from_millis(1);
