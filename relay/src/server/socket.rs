//! The relay's one socket: it forwards what may be forwarded while it receives, and passes the rest to quinn.
//!
//! Batches that the kernel has coalesced (GRO) stay whole: a run of segments with the same decision leaves in one send
//! (GSO). Without that the same forwarder needs seven times the CPU.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Instant;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::table::{Decision, DropReason, Lane, Table};

/// What the data plane has done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes sent on.
    pub forwarded_bytes: AtomicU64,
    /// Packets sent on.
    pub forwarded_packets: AtomicU64,
    /// System calls that sent them; packets per send show whether offload works.
    pub sends: AtomicU64,
    /// Batches passed to the control plane.
    pub local: AtomicU64,
    dropped: [AtomicU64; DropReason::COUNT],
}

impl Counters {
    /// Packets dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].load(Ordering::Relaxed)
    }

    fn count_dropped(&self, reason: DropReason, packets: usize) {
        self.dropped[reason as usize].fetch_add(packets as u64, Ordering::Relaxed);
    }
}

/// A UDP socket that forwards.
#[derive(Debug)]
pub struct ForwardingSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    table: Arc<RwLock<Table>>,
    counters: Arc<Counters>,
}

impl ForwardingSocket {
    /// Puts forwarding by `table` in front of `inner`.
    pub fn new(inner: Arc<dyn AsyncUdpSocket>, table: Arc<RwLock<Table>>, counters: Arc<Counters>) -> Self {
        Self { inner, table, counters }
    }

    /// Forwards what may be forwarded of one batch and moves what is ours to its front; says how many bytes are ours.
    fn sort(&self, table: &Table, now: Instant, batch: RecvMeta, bytes: &mut [u8]) -> usize {
        let stride = batch.stride.max(1);
        let mut ours = 0;
        let mut start = 0;
        while start < batch.len {
            let decision = table.decide(batch.addr, segment(bytes, start, stride, batch.len));
            let mut end = batch.len.min(start + stride);
            while end < batch.len && same(&decision, &table.decide(batch.addr, segment(bytes, end, stride, batch.len)))
            {
                end = batch.len.min(end + stride);
            }
            match decision {
                Decision::Forward(lane) => self.forward(&lane, now, batch, &bytes[start..end]),
                Decision::Drop(reason) => self.counters.count_dropped(reason, (end - start).div_ceil(stride)),
                Decision::Local => {
                    bytes.copy_within(start..end, ours);
                    ours += end - start;
                }
            }
            start = end;
        }
        ours
    }

    fn forward(&self, lane: &Lane, now: Instant, batch: RecvMeta, contents: &[u8]) {
        let packets = contents.len().div_ceil(batch.stride.max(1));
        if !lane.take(contents.len(), now) {
            self.counters.count_dropped(DropReason::Budget, packets);
            return;
        }
        let transmit = Transmit {
            destination: lane.to.address,
            ecn: batch.ecn,
            contents,
            segment_size: (batch.stride < contents.len()).then_some(batch.stride),
            src_ip: lane.to.local_ip,
        };
        match self.inner.try_send(&transmit) {
            Ok(()) => {
                self.counters.forwarded_bytes.fetch_add(contents.len() as u64, Ordering::Relaxed);
                self.counters.forwarded_packets.fetch_add(packets as u64, Ordering::Relaxed);
                self.counters.sends.fetch_add(1, Ordering::Relaxed);
            }
            // A full buffer is a full link: what routers do is drop, and QUIC repairs it.
            Err(_) => self.counters.count_dropped(DropReason::Socket, packets),
        }
    }
}

fn segment(bytes: &[u8], start: usize, stride: usize, len: usize) -> &[u8] {
    &bytes[start..len.min(start + stride)]
}

fn same(one: &Decision, other: &Decision) -> bool {
    match (one, other) {
        (Decision::Forward(one), Decision::Forward(other)) => Arc::ptr_eq(one, other),
        (Decision::Local, Decision::Local) => true,
        (Decision::Drop(one), Decision::Drop(other)) => one == other,
        _ => false,
    }
}

impl AsyncUdpSocket for ForwardingSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..ROUNDS_MAX {
            let received = match self.inner.poll_recv(cx, bufs, meta) {
                Poll::Ready(Ok(received)) => received,
                other => return other,
            };
            // tokio's clock, so that budgets follow virtual time in simulations.
            let now = tokio::time::Instant::now().into_std();
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            let mut kept = 0;
            for index in 0..received {
                let batch = meta[index];
                let ours = self.sort(&table, now, batch, &mut bufs[index][..batch.len]);
                if ours == 0 {
                    continue;
                }
                if kept < index {
                    let (front, back) = bufs.split_at_mut(index);
                    front[kept][..ours].copy_from_slice(&back[0][..ours]);
                }
                meta[kept] = RecvMeta { len: ours, ..batch };
                kept += 1;
            }
            drop(table);
            if kept > 0 {
                self.counters.local.fetch_add(kept as u64, Ordering::Relaxed);
                return Poll::Ready(Ok(kept));
            }
        }
        // The control plane gets its turn under any load.
        cx.waker().wake_by_ref();
        Poll::Pending
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

/// Batches forwarded before other tasks of the thread run.
const ROUNDS_MAX: usize = 32;
