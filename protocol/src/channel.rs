//! The two halves of a channel: a stream of bytes that outlives the link it travels over.
//!
//! Bytes are counted from the beginning of the channel. The sending half keeps every byte that the other side has not
//! acknowledged, so that it can be sent again over the next link; the receiving half knows which byte it needs next, so
//! that nothing is read twice and nothing is missed.
//!
//! | sending half | may | receiving half | may |
//! |---|---|---|---|
//! | open | take bytes up to its bound, finish | open | begin at or before the next byte, take, end |
//! | finished | replay until acknowledged | ended | nothing |
//!
//! Invariants: at most `limit_bytes` are kept; what was acknowledged is never asked for again; the receiving half hands
//! out each byte once and in order. There is no clock and no socket here, and no copy: pieces are refcounted.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use serde::{Deserialize, Serialize};

/// Which side of a session opened a channel, and which side of a session somebody is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The side that dials links: the agent.
    Dialler,
    /// The side that accepts links: the console.
    Acceptor,
}

impl Side {
    /// The other side.
    pub const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }
}

/// The number of a channel within its session, the same over every link. Those of the dialling side are even, those of
/// the accepting side odd, and each side counts its own from 0 without a gap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ChannelId(pub u32);

impl ChannelId {
    /// The channel that `side` opened as its `index`th; `None` after two thousand million.
    pub fn new(side: Side, index: u32) -> Option<Self> {
        let parity = match side {
            Side::Dialler => 0,
            Side::Acceptor => 1,
        };
        index.checked_mul(2).map(|even| Self(even + parity))
    }

    /// The side that opened it.
    pub const fn opener(self) -> Side {
        if self.0.is_multiple_of(2) { Side::Dialler } else { Side::Acceptor }
    }

    /// How many channels its side had opened before it.
    pub const fn index(self) -> u32 {
        self.0 / 2
    }
}

/// The peer claims or does what cannot be. The session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misclaim {
    /// Bytes are missing between what was received and what comes.
    #[error("the other side left out bytes: {expected} was the next and {start} came")]
    Gap {
        /// The next byte that was needed.
        expected: u64,
        /// The first byte that came.
        start: u64,
    },
    /// The peer acknowledges bytes that it was never sent.
    #[error("the other side acknowledged {claimed} bytes and {sent} were sent")]
    Unsent {
        /// What it claims to have.
        claimed: u64,
        /// What left.
        sent: u64,
    },
    /// The peer wants bytes again that it has acknowledged.
    #[error("the other side asked for byte {claimed} after it had acknowledged {acknowledged}")]
    Forgotten {
        /// The first byte it wants.
        claimed: u64,
        /// What it has acknowledged.
        acknowledged: u64,
    },
    /// The channel ends before bytes that had arrived over an earlier link.
    #[error("the other side ended a channel at {end} after it had sent {received} bytes")]
    Shrunk {
        /// Where it ends.
        end: u64,
        /// What had arrived.
        received: u64,
    },
}

/// More bytes than there is room for. Ours: the writer asks for the room first and waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for more unacknowledged bytes")]
pub struct NoRoom;

/// The sending half of a channel.
#[derive(Debug)]
pub struct Outgoing {
    /// What is not acknowledged, in order and without empty pieces.
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    /// Pieces at the front of the queue that the current link has been given.
    given: usize,
    /// Offset of the first byte in the queue.
    acknowledged: u64,
    /// Offset after the last byte that the current link has been given.
    given_bytes: u64,
    /// Offset after the last byte that any link has been given.
    sent: u64,
    limit_bytes: usize,
    is_finished: bool,
}

impl Outgoing {
    /// A half that keeps at most `limit_bytes` unacknowledged bytes.
    pub const fn new(limit_bytes: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            queued_bytes: 0,
            given: 0,
            acknowledged: 0,
            given_bytes: 0,
            sent: 0,
            limit_bytes,
            is_finished: false,
        }
    }

    /// Bytes that can be taken now; 0 after the end.
    pub fn room(&self) -> usize {
        if self.is_finished || self.queue.len() >= PIECES_MAX {
            return 0;
        }
        self.limit_bytes.saturating_sub(self.queued_bytes)
    }

    /// Takes the next bytes of the channel.
    pub fn push(&mut self, piece: Bytes) -> Result<(), NoRoom> {
        if piece.len() > self.room() {
            return Err(NoRoom);
        }
        if !piece.is_empty() {
            self.queued_bytes += piece.len();
            self.queue.push_back(piece);
        }
        Ok(())
    }

    /// Ends the channel after what has been taken.
    pub const fn finish(&mut self) {
        self.is_finished = true;
    }

    /// The next piece for the current link; `None` when it has been given everything.
    pub fn give(&mut self) -> Option<Bytes> {
        let piece = self.queue.get(self.given)?.clone();
        self.given += 1;
        self.given_bytes += piece.len() as u64;
        self.sent = self.sent.max(self.given_bytes);
        Some(piece)
    }

    /// Forgets the bytes before `offset`, which the peer has from the current link; the number of bytes that were let go.
    /// An offset behind an earlier acknowledgement changes nothing. One beyond what the current link was given is a
    /// misclaim even where an earlier link brought it, because the link would skip bytes without saying so.
    pub fn acknowledge(&mut self, offset: u64) -> Result<usize, Misclaim> {
        if offset > self.given_bytes {
            return Err(Misclaim::Unsent { claimed: offset, sent: self.given_bytes });
        }
        Ok(self.let_go(offset))
    }

    fn let_go(&mut self, offset: u64) -> usize {
        let before = self.queued_bytes;
        while self.acknowledged < offset {
            let piece = self.queue.front_mut().expect("bytes between acknowledged and sent are in the queue");
            let known = usize::try_from(offset - self.acknowledged).unwrap_or(usize::MAX).min(piece.len());
            self.acknowledged += known as u64;
            self.queued_bytes -= known;
            if known == piece.len() {
                self.queue.pop_front();
                self.given = self.given.saturating_sub(1);
            } else {
                piece.advance(known);
            }
        }
        before - self.queued_bytes
    }

    /// Begins again for a new link, over which a peer that has everything before `offset` wants the rest. Returns the
    /// number of bytes that were let go.
    pub fn replay_from(&mut self, offset: u64) -> Result<usize, Misclaim> {
        self.could_replay_from(offset)?;
        let freed = self.let_go(offset);
        self.given = 0;
        self.given_bytes = self.acknowledged;
        Ok(freed)
    }

    /// Says whether [`Outgoing::replay_from`] would work, without a change.
    pub const fn could_replay_from(&self, offset: u64) -> Result<(), Misclaim> {
        if offset < self.acknowledged {
            return Err(Misclaim::Forgotten { claimed: offset, acknowledged: self.acknowledged });
        }
        if offset > self.sent {
            return Err(Misclaim::Unsent { claimed: offset, sent: self.sent });
        }
        Ok(())
    }

    /// Lets go of everything: nobody will ask for it.
    pub fn forget(&mut self) -> usize {
        self.queue.clear();
        self.given = 0;
        self.is_finished = true;
        std::mem::take(&mut self.queued_bytes)
    }

    /// Offset of the first byte that is not acknowledged.
    pub const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Unacknowledged bytes that are kept.
    pub const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Says whether the current link has been given everything up to the end of the channel.
    pub fn is_given_whole(&self) -> bool {
        self.is_finished && self.given == self.queue.len()
    }

    /// Says whether the peer has everything up to the end of the channel.
    pub fn is_delivered(&self) -> bool {
        self.is_finished && self.queue.is_empty()
    }
}

/// Pieces that are kept at once, so that a writer of single bytes does not cost a hundred times what it writes: the
/// bookkeeping of so many is under 2 MiB.
const PIECES_MAX: usize = 16 * 1024;

/// The receiving half of a channel.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Offset of the next byte that is needed.
    received: u64,
    /// Offset of the next byte that the current link brings.
    position: u64,
}

impl Incoming {
    /// Begins with a link that brings the channel from `start` on.
    pub const fn begin(&mut self, start: u64) -> Result<(), Misclaim> {
        if start > self.received {
            return Err(Misclaim::Gap { expected: self.received, start });
        }
        self.position = start;
        Ok(())
    }

    /// Takes the next bytes that the link has brought, and returns those that are new.
    pub fn take(&mut self, mut piece: Bytes) -> Bytes {
        let known = usize::try_from(self.received - self.position).unwrap_or(usize::MAX).min(piece.len());
        self.position += piece.len() as u64;
        piece.advance(known);
        self.received += piece.len() as u64;
        piece
    }

    /// The link says that the channel ends here.
    pub const fn finish(&self) -> Result<(), Misclaim> {
        if self.position < self.received {
            return Err(Misclaim::Shrunk { end: self.position, received: self.received });
        }
        Ok(())
    }

    /// What can be acknowledged over the current link: what it has brought.
    pub fn confirmed(&self) -> u64 {
        self.received.min(self.position)
    }

    /// Bytes that have been received over all links: the offset of the next one.
    pub const fn received(&self) -> u64 {
        self.received
    }
}

#[cfg(test)]
mod tests;
