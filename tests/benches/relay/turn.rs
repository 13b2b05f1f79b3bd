//! As much of TURN (RFC 8656) as the bench needs: one allocation over UDP without credentials, one channel, and quinn's
//! datagrams in it. Nothing is refreshed: allocations live ten minutes, and a round takes seconds.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

/// An allocation at a TURN server; it belongs to the socket that made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allocation {
    server: SocketAddr,
    /// Where others send what is to arrive here.
    pub(crate) relayed: SocketAddr,
}

/// A channel of an allocation to one peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    server: SocketAddr,
    peer: SocketAddr,
}

impl Allocation {
    /// Asks `server`, which may still be starting, for an allocation.
    pub(crate) fn make(socket: &UdpSocket, server: SocketAddr) -> anyhow::Result<Self> {
        let transport = attribute(REQUESTED_TRANSPORT, &[PROTOCOL_UDP, 0, 0, 0]);
        let answer = request(socket, server, ALLOCATE, &transport).context("the TURN server made no allocation")?;
        let relayed =
            find(&answer, XOR_RELAYED_ADDRESS).and_then(unmask).context("an allocation without an address")?;
        Ok(Self { server, relayed })
    }

    /// Binds the channel to `peer`, which also permits it to send.
    pub(crate) fn bind_channel(&self, socket: &UdpSocket, peer: SocketAddr) -> anyhow::Result<Channel> {
        let SocketAddr::V4(peer_v4) = peer else { bail!("the bench runs on 127.0.0.1") };
        let number = attribute(CHANNEL_NUMBER, &[CHANNEL[0], CHANNEL[1], 0, 0]);
        let attributes = [number, attribute(XOR_PEER_ADDRESS, &mask(peer_v4))].concat();
        request(socket, self.server, CHANNEL_BIND, &attributes).context("the TURN server bound no channel")?;
        Ok(Channel { server: self.server, peer })
    }
}

/// Sends a request until it is answered; the attributes of the answer.
fn request(socket: &UdpSocket, server: SocketAddr, method: u16, attributes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let transaction: [u8; 12] = rand::random();
    let length = u16::try_from(attributes.len())?.to_be_bytes();
    let message = [&method.to_be_bytes()[..], &length, &COOKIE, &transaction, attributes].concat();
    socket.set_read_timeout(Some(ANSWER_WAIT))?;
    let mut answer = [0; 1500];
    for _ in 0..TRIES {
        socket.send_to(&message, server)?;
        let Ok((length, _)) = socket.recv_from(&mut answer) else { continue };
        let answer = &answer[..length];
        // An answer to an earlier try of the same request is as good; what belongs to another is not ours.
        if length < HEADER_BYTES || answer[8..HEADER_BYTES] != transaction {
            continue;
        }
        let kind = u16::from_be_bytes([answer[0], answer[1]]);
        ensure!(
            kind == method | SUCCESS,
            "the answer has type {kind:#06x}: {:?}",
            find(&answer[HEADER_BYTES..], ERROR)
        );
        socket.set_read_timeout(None)?;
        return Ok(answer[HEADER_BYTES..].to_vec());
    }
    bail!("{server} does not answer");
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    // All values here are multiples of four bytes long, as the padding demands.
    [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
}

fn find(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let (head, rest) = attributes.split_at_checked(4)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if [head[0], head[1]] == kind.to_be_bytes() {
            return rest.get(..length);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// An address as an attribute holds it: under the cookie (RFC 8489, section 14.2).
fn mask(address: SocketAddrV4) -> [u8; 8] {
    let (port, ip) = (address.port().to_be_bytes(), address.ip().octets());
    let mut value = [0, FAMILY_V4, 0, 0, 0, 0, 0, 0];
    for (at, byte) in port.iter().enumerate() {
        value[2 + at] = byte ^ COOKIE[at];
    }
    for (at, byte) in ip.iter().enumerate() {
        value[4 + at] = byte ^ COOKIE[at];
    }
    value
}

fn unmask(value: &[u8]) -> Option<SocketAddr> {
    let value: [u8; 8] = value.try_into().ok()?;
    let masked = SocketAddrV4::new(
        Ipv4Addr::new(value[4], value[5], value[6], value[7]),
        u16::from_be_bytes([value[2], value[3]]),
    );
    let [_, FAMILY_V4, port_high, port_low, ip @ ..] = mask(masked) else { return None };
    Some(SocketAddr::from((ip, u16::from_be_bytes([port_high, port_low]))))
}

/// A socket whose datagrams travel through a channel, seen from quinn as if they came from the peer itself.
///
/// Batches stay whole in both directions: each segment gets or loses its frame of four bytes, and the batch is one call.
#[derive(Debug)]
pub(crate) struct TurnSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    channel: Channel,
    framed: Mutex<Vec<u8>>,
}

impl TurnSocket {
    /// Puts the channel in front of the socket that bound it.
    pub(crate) fn new(inner: Arc<dyn AsyncUdpSocket>, channel: Channel) -> Self {
        Self { inner, channel, framed: Mutex::default() }
    }

    /// Takes the frames out of a batch; `None` when it holds something else.
    fn unframe(&self, batch: RecvMeta, bytes: &mut [u8]) -> Option<RecvMeta> {
        let mut end = 0;
        for start in (0..batch.len).step_by(batch.stride.max(1)) {
            let segment = start..batch.len.min(start + batch.stride);
            let frame = bytes.get(segment.start..segment.start + FRAME_BYTES)?;
            if batch.addr != self.channel.server || frame[..2] != CHANNEL {
                return None;
            }
            let payload = segment.start + FRAME_BYTES..segment.end;
            let length = payload.len();
            bytes.copy_within(payload, end);
            end += length;
        }
        let stride = (batch.stride - FRAME_BYTES).min(end);
        (end > 0).then_some(RecvMeta { addr: self.channel.peer, len: end, stride, dst_ip: None, ..batch })
    }
}

impl AsyncUdpSocket for TurnSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment_bytes = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let mut framed = self.framed.lock().unwrap_or_else(PoisonError::into_inner);
        framed.clear();
        for segment in transmit.contents.chunks(segment_bytes) {
            framed.extend_from_slice(&CHANNEL);
            framed.extend_from_slice(&(segment.len() as u16).to_be_bytes());
            framed.extend_from_slice(segment);
        }
        self.inner.try_send(&Transmit {
            destination: self.channel.server,
            ecn: transmit.ecn,
            contents: &framed,
            segment_size: transmit.segment_size.map(|bytes| bytes + FRAME_BYTES),
            src_ip: None,
        })
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let received = ready!(self.inner.poll_recv(cx, bufs, meta))?;
            let mut kept = 0;
            for index in 0..received {
                let Some(batch) = self.unframe(meta[index], &mut bufs[index]) else { continue };
                if kept < index {
                    let (front, back) = bufs.split_at_mut(index);
                    front[kept][..batch.len].copy_from_slice(&back[0][..batch.len]);
                }
                meta[kept] = batch;
                kept += 1;
            }
            if kept > 0 {
                return Poll::Ready(Ok(kept));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// Message types of RFC 8656, section 17: requests, and what an answer adds to one.
const ALLOCATE: u16 = 0x0003;
const CHANNEL_BIND: u16 = 0x0009;
const SUCCESS: u16 = 0x0100;

/// Attributes of RFC 8489 and RFC 8656, section 18.
const ERROR: u16 = 0x0009;
const CHANNEL_NUMBER: u16 = 0x000c;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const REQUESTED_TRANSPORT: u16 = 0x0019;

const PROTOCOL_UDP: u8 = 17;
const FAMILY_V4: u8 = 1;

/// STUN's magic cookie.
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();

/// A STUN header: type, length, cookie, transaction.
const HEADER_BYTES: usize = 20;

/// The first channel number that there is.
const CHANNEL: [u8; 2] = 0x4000_u16.to_be_bytes();

/// Channel number and length before each datagram.
const FRAME_BYTES: usize = 4;

/// A server on loopback answers in microseconds once it listens, which may take it a second or two.
const ANSWER_WAIT: Duration = Duration::from_millis(100);
const TRIES: usize = 100;
