//! Streams (TCP) of the network in memory: ordered and whole, late by the network's delay, and stuck in an outage.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use belay_relay::net::{ByteStream, Later, StreamListener};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::MemoryNet;

/// Where a listener's new streams are put.
pub(super) type Waiting = mpsc::Sender<(DuplexStream, SocketAddr)>;

/// Bytes that are on the way of one stream at once.
const WINDOW_BYTES: usize = 256 * 1024;

/// How often a stream in an outage tries again.
const RETRY: Duration = Duration::from_millis(200);

/// A stream that is not answered is given up after this.
const CONNECT_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct MemoryListener {
    net: MemoryNet,
    address: SocketAddr,
    waiting: Waiting,
    arriving: Mutex<mpsc::Receiver<(DuplexStream, SocketAddr)>>,
}

impl MemoryListener {
    pub(super) fn new(net: MemoryNet, address: SocketAddr) -> (Self, Waiting) {
        let (waiting, arriving) = mpsc::channel(1024);
        (Self { net, address, waiting: waiting.clone(), arriving: Mutex::new(arriving) }, waiting)
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        let mut state = self.net.state();
        // Unless somebody else listens there by now.
        if state.listeners.get(&self.address).is_some_and(|waiting| waiting.same_channel(&self.waiting)) {
            state.listeners.remove(&self.address);
        }
    }
}

impl StreamListener for MemoryListener {
    fn accept(&self) -> Later<'_, (Box<dyn ByteStream>, SocketAddr)> {
        Box::pin(async move {
            match self.arriving.lock().await.recv().await {
                Some((stream, from)) => Ok((Box::new(stream) as Box<dyn ByteStream>, from)),
                // Not while we hold a sender of our own.
                None => std::future::pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Connects host `number` to `address`.
pub(super) async fn connect(net: &MemoryNet, number: u8, address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
    let ends = Ends { net: net.clone(), number, from: net.address_of(number), to: address };
    let connected = tokio::time::timeout(CONNECT_DEADLINE, ends.passage()).await;
    connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
    let delay = net.state().weather.delay;
    tokio::time::sleep(delay).await;
    let waiting = net.state().listeners.get(&address).cloned();
    let waiting = waiting.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
    let (ours, our_far) = tokio::io::duplex(WINDOW_BYTES);
    let (theirs, their_far) = tokio::io::duplex(WINDOW_BYTES);
    let port = net.state().free_port();
    let from = SocketAddr::new(ends.from, port);
    waiting.try_send((theirs, from)).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
    let ((our_read, our_write), (their_read, their_write)) = (tokio::io::split(our_far), tokio::io::split(their_far));
    // Each direction ends when the other one does: a stream that is half closed is closed.
    let (one, other) = (oneshot::channel(), oneshot::channel());
    tokio::spawn(ends.clone().pump(our_read, their_write, one.0, other.1));
    tokio::spawn(ends.pump(their_read, our_write, other.0, one.1));
    Ok(Box::new(ours))
}

/// The two ends of a stream.
#[derive(Debug, Clone)]
struct Ends {
    net: MemoryNet,
    number: u8,
    from: std::net::IpAddr,
    to: SocketAddr,
}

impl Ends {
    /// Waits until nothing is cut between the ends.
    async fn passage(&self) {
        loop {
            {
                let state = self.net.state();
                let has_moved = state.address_of(self.number) != self.from;
                if !has_moved && !state.cut.contains(&self.from) && !state.cut.contains(&self.to.ip()) {
                    return;
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn pump(
        self,
        mut from: ReadHalf<DuplexStream>,
        mut to: WriteHalf<DuplexStream>,
        done: oneshot::Sender<()>,
        other: oneshot::Receiver<()>,
    ) {
        let moving = async {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                let delay = self.net.state().weather.delay;
                tokio::time::sleep(delay).await;
                self.passage().await;
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = moving => {}
            _ = other => {}
        }
        let _ = to.shutdown().await;
        drop(done);
    }
}
