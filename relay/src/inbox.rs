//! A bounded queue of datagrams between the task that reads a socket and the QUIC endpoint they are for.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSliceMut;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::udp::RecvMeta;

/// Datagrams on their way to an endpoint. A full inbox drops what comes, as any full queue on a path.
#[derive(Debug)]
pub(crate) struct Inbox {
    batches_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: VecDeque<(RecvMeta, Box<[u8]>)>,
    reader: Option<Waker>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} batches", self.batches.len())
    }
}

impl Inbox {
    /// An empty inbox for at most `batches_max` batches.
    pub(crate) fn new(batches_max: usize) -> Self {
        Self { batches_max, state: Mutex::default() }
    }

    /// Adds a batch: datagrams of `meta.stride` bytes, the last of which may be shorter. `false` when it is full.
    #[must_use]
    pub(crate) fn push(&self, meta: RecvMeta, bytes: &[u8]) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.batches.len() >= self.batches_max {
            return false;
        }
        state.batches.push_back((RecvMeta { len: bytes.len(), ..meta }, bytes.into()));
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// Fills `bufs` with what waits, or has the task woken when something comes.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        while taken < bufs.len().min(meta.len()) {
            let Some((batch, bytes)) = state.batches.pop_front() else { break };
            // quinn's buffers have room for whole batches of the socket beside it.
            let Some(room) = bufs[taken].get_mut(..bytes.len()) else { continue };
            room.copy_from_slice(&bytes);
            meta[taken] = batch;
            taken += 1;
        }
        if taken > 0 {
            return Poll::Ready(taken);
        }
        state.wake_later(cx);
        Poll::Pending
    }

    #[cfg(feature = "server")]
    /// Adds up to `batches_max` of the batches that wait to `into`, or has the task woken when something comes.
    pub(crate) fn poll_some(
        &self,
        cx: &mut Context<'_>,
        into: &mut Vec<(RecvMeta, Box<[u8]>)>,
        batches_max: usize,
    ) -> Poll<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.batches.is_empty() {
            state.wake_later(cx);
            return Poll::Pending;
        }
        let taken = state.batches.len().min(batches_max);
        into.extend(state.batches.drain(..taken));
        Poll::Ready(())
    }
}

impl State {
    fn wake_later(&mut self, cx: &Context<'_>) {
        match &mut self.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
    }
}
