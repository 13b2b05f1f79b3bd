//! Delay in user space, because the kernels that this runs on cannot: a forwarder of UDP that holds each packet back.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use quinn::udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::sleep_until;
use tokio_util::task::AbortOnDropHandle;

use super::{Host, Namespace};

/// Stands between a client and a server: who sends to it reaches the server, later, and hears from it, later. It serves
/// one client, the one that was heard last, and loses nothing below some megabytes in flight.
#[derive(Debug)]
pub struct DelayLine {
    _tasks: [AbortOnDropHandle<anyhow::Result<()>>; 2],
    _host: Host,
}

impl DelayLine {
    /// Listens at `listen` in `namespace` for a client of `server`.
    pub async fn start(
        namespace: &Namespace,
        listen: SocketAddr,
        server: SocketAddr,
        delay: Duration,
    ) -> anyhow::Result<Self> {
        let host = Host::start(namespace)?;
        let opened = host.run(async move {
            let near = Port::open(listen, None)?;
            let far = Port::open(SocketAddr::new([0, 0, 0, 0].into(), 0), Some(server))?;
            anyhow::Ok((Arc::new(near), Arc::new(far)))
        });
        let (near, far) = opened.await?;
        let there = host.spawn(carry(Arc::clone(&near), Arc::clone(&far), delay));
        let back = host.spawn(carry(far, near, delay));
        Ok(Self { _tasks: [there, back], _host: host })
    }
}

/// One side.
#[derive(Debug)]
struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Who is on this side.
    other: Mutex<Option<SocketAddr>>,
    is_fixed: bool,
}

impl Port {
    fn open(address: SocketAddr, other: Option<SocketAddr>) -> anyhow::Result<Self> {
        let socket = StdSocket::bind(address).with_context(|| address.to_string())?;
        // Beyond what the system allows to others: the line is to lose nothing of its own.
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)?;
        rustix::net::sockopt::set_socket_send_buffer_size_force(&socket, BUFFER_BYTES)?;
        let state = UdpSocketState::new((&socket).into())?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        Ok(Self { socket, state, other: Mutex::new(other), is_fixed: other.is_some() })
    }

    fn other(&self) -> Option<SocketAddr> {
        *self.other.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, from: SocketAddr) {
        if !self.is_fixed {
            *self.other.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
        }
    }

    async fn send(&self, held: &Held) -> io::Result<()> {
        let Some(destination) = self.other() else { return Ok(()) };
        let segment_size = (held.stride < held.bytes.len()).then_some(held.stride);
        let transmit = Transmit { destination, ecn: held.ecn, contents: &held.bytes, segment_size, src_ip: None };
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
    stride: usize,
    ecn: Option<EcnCodepoint>,
    bytes: Vec<u8>,
}

async fn carry(from: Arc<Port>, to: Arc<Port>, delay: Duration) -> anyhow::Result<()> {
    let mut room = vec![0; ROOM_BYTES * BATCH_SIZE];
    let mut meta = [RecvMeta::default(); BATCH_SIZE];
    let mut line: VecDeque<Held> = VecDeque::new();
    let most = to.state.max_gso_segments();
    loop {
        let due = line.front().map(|held| held.due);
        tokio::select! {
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                while line.front().is_some_and(|held| held.due <= Instant::now()) {
                    if let Some(held) = line.pop_front() {
                        to.send(&held).await?;
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
                    from.learn(batch.addr);
                    hold(&mut line, batch, &bytes[..batch.len], due, most);
                }
            }
        }
    }
}

/// Puts a batch into the line, joined with the last one where that is possible.
fn hold(line: &mut VecDeque<Held>, batch: &RecvMeta, bytes: &[u8], due: Instant, most: usize) {
    if let Some(last) = line.back_mut()
        && last.ecn == batch.ecn
        && last.bytes.len().is_multiple_of(last.stride)
        && batch.stride <= last.stride
        && bytes.len() <= last.stride
        && last.bytes.len() / last.stride < most
        && last.bytes.len() + bytes.len() <= ROOM_BYTES
        && due - last.due < JOINED_WITHIN
    {
        last.bytes.extend_from_slice(bytes);
        return;
    }
    line.push_back(Held { due, stride: batch.stride.max(1), ecn: batch.ecn, bytes: bytes.to_vec() });
}

/// Bytes of the largest batch that the system takes.
const ROOM_BYTES: usize = 64_000;

/// Bytes that wait in a socket while the line is busy.
const BUFFER_BYTES: usize = 16 << 20;

/// Packets that arrive within this time leave together: the resolution of the timer.
const JOINED_WITHIN: Duration = Duration::from_millis(1);
