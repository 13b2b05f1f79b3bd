//! The QUIC endpoint of the control plane, without a socket, a clock or a task of its own.
//!
//! Idle ends are many, and what each costs is what a relay costs. quinn gives every connection a task, a queue of events
//! and a send buffer, nine kilobytes that an idle connection never uses; here one owner drives quinn-proto for all of
//! them. A [`Line`] is one connection with the one stream of frames that an end opens on it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use belay_protocol::frame::{FrameError, Splitter};
use belay_protocol::limits::{FRAME_MAX_BYTES, HELLO_MAX_BYTES};
use bytes::{Bytes, BytesMut};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{ConnectionError, EndpointConfig, ServerConfig};
use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, Event, Incoming, ReadError, StreamEvent, StreamId,
    WriteError,
};

use super::routes::Place;
use crate::close::Close;
use crate::tls;

/// All control connections, each with a state `E` of its owner's.
pub(super) struct Lines<E> {
    endpoint: Endpoint,
    // Boxed: a table of thousands that grows would copy them all, and hold twice the room.
    lines: HashMap<ConnectionHandle, Box<Line<E>>>,
    timers: BTreeSet<(Instant, ConnectionHandle)>,
    due: VecDeque<ConnectionHandle>,
    packet: Vec<u8>,
}

/// One control connection.
pub(super) struct Line<E> {
    connection: Connection,
    is_connected: bool,
    /// Until the peer has proved its address.
    allowance: Option<Allowance>,
    stream: Option<StreamId>,
    arriving: Splitter,
    /// What the stream had no room for.
    leaving: Bytes,
    /// Whether the peer ended its half.
    has_ended: bool,
    is_finished: bool,
    lost: Option<ConnectionError>,
    timer: Option<Instant>,
    is_due: bool,
    /// What the owner of the lines keeps for it.
    pub(super) end: E,
}

/// Why no more frames come from a line.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// The peer ended its stream properly.
    #[error("the other side ended the conversation")]
    Ended,
    /// The peer broke off inside a frame, or the connection is gone.
    #[error("the connection was lost")]
    Lost,
    /// The peer announced too large a frame or was cut off inside one.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl<E> Lines<E> {
    pub(super) fn new(endpoint: EndpointConfig, server: ServerConfig) -> Self {
        Self {
            endpoint: Endpoint::new(Arc::new(endpoint), Some(Arc::new(server)), false, None),
            lines: HashMap::new(),
            timers: BTreeSet::new(),
            due: VecDeque::new(),
            packet: Vec::new(),
        }
    }

    /// Takes a datagram; what it starts, if it starts something, is for the caller to accept or refuse.
    pub(super) fn take(
        &mut self,
        now: Instant,
        meta: &RecvMeta,
        datagram: &[u8],
        send: impl FnMut(&Transmit<'_>),
    ) -> Option<Incoming> {
        self.packet.clear();
        let bytes = BytesMut::from(datagram);
        match self.endpoint.handle(now, meta.addr, meta.dst_ip, meta.ecn.map(from_udp), bytes, &mut self.packet)? {
            DatagramEvent::ConnectionEvent(handle, event) => {
                if let Some(line) = self.lines.get_mut(&handle) {
                    if let Some(allowance) = &mut line.allowance {
                        allowance.heard += datagram.len();
                    }
                    line.connection.handle_event(event);
                    self.mark(handle);
                }
                None
            }
            DatagramEvent::NewConnection(incoming) => Some(incoming),
            DatagramEvent::Response(transmit) => {
                self.send_packet(&transmit, send);
                None
            }
        }
    }

    /// Starts a handshake, which began with a datagram of `bytes`. `false` when it failed at that.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        (incoming, bytes): (Incoming, usize),
        end: E,
        send: impl FnMut(&Transmit<'_>),
    ) -> bool {
        self.packet.clear();
        let allowance = (!incoming.remote_address_validated()).then_some(Allowance { heard: bytes, said: 0 });
        match self.endpoint.accept(incoming, now, &mut self.packet, None) {
            Ok((handle, connection)) => {
                self.lines.insert(handle, Box::new(Line::new(connection, allowance, end)));
                self.mark(handle);
                true
            }
            Err(error) => {
                tracing::debug!(error = %error.cause, "a handshake failed");
                if let Some(transmit) = error.response {
                    self.send_packet(&transmit, send);
                }
                false
            }
        }
    }

    /// Says no.
    pub(super) fn refuse(&mut self, incoming: Incoming, send: impl FnMut(&Transmit<'_>)) {
        self.packet.clear();
        let transmit = self.endpoint.refuse(incoming, &mut self.packet);
        self.send_packet(&transmit, send);
    }

    /// Says nothing.
    pub(super) fn ignore(&mut self, incoming: Incoming) {
        self.endpoint.ignore(incoming);
    }

    /// Asks for a proof of the address.
    pub(super) fn retry(&mut self, incoming: Incoming, send: impl FnMut(&Transmit<'_>)) {
        self.packet.clear();
        // Fails only for an address that has been validated.
        if let Ok(transmit) = self.endpoint.retry(incoming, &mut self.packet) {
            self.send_packet(&transmit, send);
        }
    }

    /// The line behind `handle`, which is to be driven afterwards when something is said on it: see [`Lines::mark`].
    pub(super) fn get(&mut self, handle: ConnectionHandle) -> Option<&mut Line<E>> {
        self.lines.get_mut(&handle).map(Box::as_mut)
    }

    /// How many connections there are, those included that are being closed.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Every connection.
    pub(super) fn handles(&self) -> Vec<ConnectionHandle> {
        self.lines.keys().copied().collect()
    }

    /// Has a line driven.
    pub(super) fn mark(&mut self, handle: ConnectionHandle) {
        if let Some(line) = self.lines.get_mut(&handle)
            && !std::mem::replace(&mut line.is_due, true)
        {
            self.due.push_back(handle);
        }
    }

    /// When the next line must be driven though nothing arrives.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next line that has something to do at `now`. What has arrived comes before what has not: quinn-proto wants to
    /// have sent what follows from a packet, above all from a new address, before its timers run.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<ConnectionHandle> {
        if self.due.is_empty() {
            self.run_timers(now);
        }
        let handle = self.due.pop_front()?;
        if let Some(line) = self.lines.get_mut(&handle) {
            line.is_due = false;
            line.notice();
        }
        Some(handle)
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some((at, handle)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(line) = self.lines.get_mut(&handle) {
                line.timer = None;
                line.connection.handle_timeout(now);
                self.mark(handle);
            }
        }
    }

    /// Sends what a line has to send, sets its timer, and forgets it when it is over. `wake` is when its owner wants it
    /// driven at the latest.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        handle: ConnectionHandle,
        wake: Option<Instant>,
        mut send: impl FnMut(&Transmit<'_>),
    ) {
        let Some(line) = self.lines.get_mut(&handle) else { return };
        loop {
            self.packet.clear();
            let Some(transmit) = line.connection.poll_transmit(now, 1, &mut self.packet) else { break };
            if line.allowance.as_mut().is_none_or(|allowance| allowance.takes(transmit.size)) {
                send(&to_udp(&transmit, &self.packet));
            }
        }
        let mut has_news = false;
        while let Some(event) = line.connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(handle, event) {
                line.connection.handle_event(answer);
                has_news = true;
            }
        }
        let drained = line.connection.is_drained();
        let timer = line.connection.poll_timeout().into_iter().chain(wake).min().filter(|_| !drained);
        if timer != line.timer {
            if let Some(former) = line.timer {
                self.timers.remove(&(former, handle));
            }
            self.timers.extend(timer.map(|at| (at, handle)));
            line.timer = timer;
        }
        if drained {
            self.lines.remove(&handle);
        } else if has_news {
            self.mark(handle);
        }
    }

    fn send_packet(&self, transmit: &quinn_proto::Transmit, mut send: impl FnMut(&Transmit<'_>)) {
        send(&to_udp(transmit, &self.packet));
    }
}

impl<E> Line<E> {
    fn new(connection: Connection, allowance: Option<Allowance>, end: E) -> Self {
        Self {
            connection,
            is_connected: false,
            allowance,
            stream: None,
            arriving: Splitter::new(HELLO_MAX_BYTES),
            leaving: Bytes::new(),
            has_ended: false,
            is_finished: false,
            lost: None,
            timer: None,
            is_due: false,
            end,
        }
    }

    /// The key that the peer has proved; `None` before the handshake is over.
    pub(super) fn peer_key(&self) -> Option<[u8; 32]> {
        tls::key_of(self.connection.crypto_session().peer_identity()?)
    }

    /// Where its last packets came from.
    pub(super) fn place(&self) -> Place {
        Place { address: self.connection.remote_address(), local_ip: self.connection.local_ip() }
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.connection.rtt()
    }

    /// The reason with which the peer closed the connection, if it did.
    pub(super) fn closed_by_peer(&self) -> Option<Close> {
        Close::of(self.lost.as_ref()?)
    }

    /// Whether the peer has everything that was said before [`Line::finish`], or is gone.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished || self.lost.is_some()
    }

    /// Closes the connection; what is on its way to the peer is lost.
    pub(super) fn close(&mut self, now: Instant, why: Close) {
        if !self.connection.is_closed() {
            self.connection.close(now, why.code(), Bytes::new());
        }
    }

    /// Lets frames be as large as messages are; those of a greeting are small.
    pub(super) fn has_greeted(&mut self) {
        self.arriving.set_max_bytes(FRAME_MAX_BYTES);
    }

    /// The next frame; `None` when none is complete. Nothing is read while the peer leaves unread what is said to it.
    pub(super) fn receive(&mut self) -> Result<Option<Vec<u8>>, LineError> {
        if self.lost.is_some() {
            return Err(LineError::Lost);
        }
        let Some(stream) = self.stream else { return Ok(None) };
        loop {
            if let Some(frame) = self.arriving.next_frame()? {
                return Ok(Some(frame));
            }
            if self.is_blocked() {
                return Ok(None);
            }
            if self.has_ended {
                return Err(if self.arriving.is_empty() { LineError::Ended } else { FrameError::CutOff.into() });
            }
            let mut stream = self.connection.recv_stream(stream);
            let Ok(mut chunks) = stream.read(true) else { return Err(LineError::Lost) };
            match chunks.next(CHUNK_MAX_BYTES) {
                Ok(Some(chunk)) => self.arriving.push(&chunk.bytes),
                Ok(None) => self.has_ended = true,
                Err(ReadError::Blocked) => return Ok(None),
                Err(ReadError::Reset(_)) => return Err(LineError::Lost),
            }
        }
    }

    /// Whether the stream takes no more for now.
    pub(super) fn is_blocked(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Says a frame. What there is no room for leaves as the peer reads.
    pub(super) fn send(&mut self, frame: Vec<u8>) {
        if self.leaving.is_empty() {
            self.leaving = frame.into();
        } else {
            self.leaving = [&self.leaving, frame.as_slice()].concat().into();
        }
        self.write();
    }

    /// Ends the stream after what was said.
    pub(super) fn finish(&mut self) {
        if let Some(stream) = self.stream {
            // Fails only for a stream that the peer has stopped, which is finished as well.
            self.is_finished = self.connection.send_stream(stream).finish().is_err();
        }
    }

    fn write(&mut self) {
        let Some(stream) = self.stream else { return };
        while !self.leaving.is_empty() {
            match self.connection.send_stream(stream).write(&self.leaving) {
                Ok(written) => self.leaving = self.leaving.split_off(written),
                Err(WriteError::Blocked) => return,
                // The peer does not want to hear it.
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => self.leaving = Bytes::new(),
            }
        }
    }

    /// Takes note of what has happened on the connection.
    fn notice(&mut self) {
        while let Some(event) = self.connection.poll() {
            match event {
                Event::ConnectionLost { reason } => self.lost = Some(reason),
                Event::Connected => {
                    self.is_connected = true;
                    self.allowance = None;
                }
                Event::Stream(StreamEvent::Finished { .. } | StreamEvent::Stopped { .. }) => self.is_finished = true,
                _ => {}
            }
        }
        // Whoever has not proved its key yet is not listened to.
        if self.is_connected && self.stream.is_none() {
            self.stream = self.connection.streams().accept(Dir::Bi);
        }
        self.write();
    }
}

/// Bytes that came from an address that is not proved, and bytes that went there.
struct Allowance {
    heard: usize,
    said: usize,
}

impl Allowance {
    /// Says whether so many bytes more may go there. quinn-proto keeps to the limit as well, but lets the packet that
    /// reaches it go over by its whole length.
    fn takes(&mut self, bytes: usize) -> bool {
        let fits = self.said + bytes <= AMPLIFICATION_MAX * self.heard;
        if fits {
            self.said += bytes;
        }
        fits
    }
}

/// Bytes to an unproved address for each that came from there (RFC 9000, section 8.1).
const AMPLIFICATION_MAX: usize = 3;

/// Bytes read from a stream at once.
const CHUNK_MAX_BYTES: usize = FRAME_MAX_BYTES;

fn to_udp<'a>(transmit: &quinn_proto::Transmit, packet: &'a [u8]) -> Transmit<'a> {
    Transmit {
        destination: transmit.destination,
        ecn: transmit.ecn.and_then(|ecn| quinn::udp::EcnCodepoint::from_bits(ecn as u8)),
        contents: packet.get(..transmit.size).unwrap_or(packet),
        segment_size: transmit.segment_size,
        src_ip: transmit.src_ip,
    }
}

fn from_udp(ecn: quinn::udp::EcnCodepoint) -> quinn_proto::EcnCodepoint {
    match ecn {
        quinn::udp::EcnCodepoint::Ect0 => quinn_proto::EcnCodepoint::Ect0,
        quinn::udp::EcnCodepoint::Ect1 => quinn_proto::EcnCodepoint::Ect1,
        quinn::udp::EcnCodepoint::Ce => quinn_proto::EcnCodepoint::Ce,
    }
}
