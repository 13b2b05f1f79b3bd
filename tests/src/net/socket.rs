//! UDP sockets of the network in memory.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use belay_relay::net::{Joined, Outgoing, Receiver, RelaySocket};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::MemoryNet;

/// What has arrived at one socket.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<Arrived>,
}

#[derive(Debug)]
struct Arrived {
    address: SocketAddr,
    packets: VecDeque<(SocketAddr, Vec<u8>)>,
    reader: Option<Waker>,
}

/// Packets that wait at one socket; more are dropped, as by a kernel.
const INBOX_MAX: usize = 4096;

impl Inbox {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { state: Mutex::new(Arrived { address, packets: VecDeque::new(), reader: None }) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.state().address
    }

    pub(super) fn move_to(&self, address: SocketAddr) {
        self.state().address = address;
    }

    pub(super) fn put(&self, from: SocketAddr, bytes: Vec<u8>) {
        let mut state = self.state();
        if state.packets.len() < INBOX_MAX {
            state.packets.push_back((from, bytes));
        }
        if let Some(waker) = state.reader.take() {
            waker.wake();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Arrived> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct MemorySocket {
    net: MemoryNet,
    inbox: Arc<Inbox>,
}

impl MemorySocket {
    pub(super) fn new(net: MemoryNet, inbox: Arc<Inbox>) -> Self {
        Self { net, inbox }
    }
}

impl Drop for MemorySocket {
    fn drop(&mut self) {
        let mut state = self.net.state();
        let address = self.inbox.address();
        if let Some(inboxes) = state.inboxes.get_mut(&address) {
            inboxes.retain(|inbox| !Arc::ptr_eq(inbox, &self.inbox));
            if inboxes.is_empty() {
                state.inboxes.remove(&address);
            }
        }
    }
}

impl RelaySocket for MemorySocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inbox.address())
    }

    /// Several segments at once, so that batches are split and kept whole as on Linux.
    fn max_transmit_segments(&self) -> usize {
        AsyncUdpSocket::max_transmit_segments(self)
    }

    fn max_receive_segments(&self) -> usize {
        1
    }

    fn receiver(&self) -> Receiver<'_> {
        Receiver::Runtime(self)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        AsyncUdpSocket::try_send(self, transmit)
    }

    fn send_each(&self, packets: &[Outgoing<'_>]) -> usize {
        for packet in packets {
            self.net.carry(&self.inbox, packet.destination, packet.contents);
        }
        packets.len()
    }

    fn send_joined(&self, joined: &Joined<'_>) -> io::Result<()> {
        for datagram in joined.pieces.concat().chunks(joined.segment_bytes) {
            self.net.carry(&self.inbox, joined.destination, datagram);
        }
        Ok(())
    }
}

impl AsyncUdpSocket for MemorySocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment_bytes = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for segment in transmit.contents.chunks(segment_bytes) {
            self.net.carry(&self.inbox, transmit.destination, segment);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrived = self.inbox.state();
        let mut received = 0;
        while received < bufs.len().min(meta.len()) {
            let Some((from, bytes)) = arrived.packets.pop_front() else { break };
            let Some(room) = bufs[received].get_mut(..bytes.len()) else { continue };
            room.copy_from_slice(&bytes);
            meta[received] = RecvMeta { addr: from, len: bytes.len(), stride: bytes.len(), ecn: None, dst_ip: None };
            received += 1;
        }
        if received > 0 {
            return Poll::Ready(Ok(received));
        }
        arrived.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inbox.address())
    }

    fn may_fragment(&self) -> bool {
        false
    }

    fn max_transmit_segments(&self) -> usize {
        10
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
