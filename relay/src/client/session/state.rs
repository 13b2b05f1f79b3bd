//! What a session remembers while its links come and go: its channels, and what is still to be said about them.
//!
//! All of it is behind one lock, so that a resume sees one moment of every channel. Whatever comes from a link carries
//! the link's generation; what an earlier link brings late is dropped, because its bytes will be replayed.

mod links;

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use belay_protocol::channel::{ChannelId, Incoming, Misclaim, Outgoing, Side};
use belay_protocol::limits::{
    ACKNOWLEDGE_BYTES, CHANNELS_MAX, REPLAY_CHANNEL_MAX_BYTES, REPLAY_POOL_BYTES, REPLAY_RESERVE_BYTES,
};
use belay_protocol::resume::{Carried, ChannelHeader};
use bytes::Bytes;
use quinn::RecvStream;

use super::ChannelError;

/// The number of a link within its session.
pub(super) type Generation = u64;

/// The peer did what it must not; the session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error(transparent)]
    Misclaim(#[from] Misclaim),
    #[error("the other side spoke of a channel that it had not opened in its turn")]
    UnknownChannel,
    #[error("the other side has too many channels open")]
    TooManyChannels,
    #[error("the other side spoke of a channel twice")]
    Doubled,
    #[error("the other side spoke out of its turn")]
    OutOfTurn,
}

/// How much a session may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Each channel its reserve: the session is not admitted, or has no link.
    Reserve,
    /// The channels may also share the pool.
    Pool,
}

#[derive(Debug)]
pub(super) struct State {
    side: Side,
    generation: Generation,
    channels: BTreeMap<ChannelId, Channel>,
    /// Channels that this side has opened, ever.
    opened: u32,
    /// Channels of the peer that were seen, ever.
    accepted: u32,
    /// Channels of the peer that the application has not taken yet.
    arrived: VecDeque<ChannelId>,
    /// What the peer said on the carrier about channels whose stream is still on its way.
    early: BTreeMap<ChannelId, Early>,
    /// Index of the next own channel whose stream is to be opened on the current link.
    to_open: u32,
    pool_bytes: usize,
    room: Room,
    is_over: bool,
    opener: Option<Waker>,
}

#[derive(Debug)]
struct Channel {
    outgoing: Outgoing,
    writing: Writing,
    incoming: Incoming,
    reading: Reading,
    /// The link on which the peer has opened this channel's stream, if it is for the peer to open.
    accepted_on: Generation,
    /// The current link's stream, until the reader has taken it.
    stream: Option<RecvStream>,
    /// What the peer has been told to have been received, over the current link or when it began.
    told: u64,
    to_say: ToSay,
    reader: Option<Waker>,
    writer: Option<Waker>,
    pump: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// The writer writes, or what it wrote is on its way.
    Open,
    /// The writer went without an end.
    Reset,
    /// The peer wants nothing more.
    Done,
    /// The session was over before everything was delivered.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// The peer's writer went without an end.
    Reset,
    /// Read to the end, or the reader has gone.
    Done,
}

#[derive(Debug, Clone, Copy, Default)]
struct ToSay {
    is_done: bool,
    is_reset: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Early {
    is_done: bool,
    is_reset: bool,
}

/// How soon the carrier must say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Haste {
    None,
    Soon,
    Now,
}

/// What a channel's stream is to be given next.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Vec<Bytes>),
    /// Its end: all is written, or nobody wants more. The stream is not reset in either case, because a reset might lose
    /// its header, by which the peer counts channels.
    End,
    /// The link is another one, or the session is over.
    Over,
}

impl State {
    pub(super) const fn new(side: Side) -> Self {
        Self {
            side,
            generation: 1,
            channels: BTreeMap::new(),
            opened: 0,
            accepted: 0,
            arrived: VecDeque::new(),
            early: BTreeMap::new(),
            to_open: 0,
            pool_bytes: 0,
            room: Room::Reserve,
            is_over: false,
            opener: None,
        }
    }

    pub(super) const fn generation(&self) -> Generation {
        self.generation
    }

    /// Bytes that are kept for a replay.
    pub(super) fn queued_bytes(&self) -> usize {
        self.channels.values().map(|channel| channel.outgoing.queued_bytes()).sum()
    }

    pub(super) fn set_room(&mut self, room: Room) {
        self.room = room;
        self.wake_writers();
    }

    // ----- channels

    /// Opens a channel. Its stream follows when there is a link.
    pub(super) fn open(&mut self) -> Result<ChannelId, ChannelError> {
        if self.is_over {
            return Err(ChannelError::Lost);
        }
        if self.open_of(self.side) >= CHANNELS_MAX {
            return Err(ChannelError::TooMany);
        }
        let id = ChannelId::new(self.side, self.opened).ok_or(ChannelError::TooMany)?;
        self.opened += 1;
        self.channels.insert(id, Channel::new());
        wake(&mut self.opener);
        Ok(id)
    }

    /// The next channel that the peer has opened.
    pub(super) fn take_arrived(&mut self) -> Result<Option<ChannelId>, ChannelError> {
        match self.arrived.pop_front() {
            None if self.is_over => Err(ChannelError::Lost),
            arrived => Ok(arrived),
        }
    }

    /// The next own channel whose stream is to be opened on the link of `generation`, with its header; `None` when the
    /// link is another one.
    pub(super) fn poll_opening(&mut self, generation: Generation, cx: &Context<'_>) -> Poll<Option<ChannelHeader>> {
        if self.generation != generation || self.is_over {
            return Poll::Ready(None);
        }
        while self.to_open < self.opened {
            let index = self.to_open;
            self.to_open += 1;
            let channel = ChannelId::new(self.side, index).expect("an opened channel has an id");
            if let Some(known) = self.channels.get(&channel) {
                return Poll::Ready(Some(ChannelHeader { channel, start: known.outgoing.acknowledged() }));
            }
        }
        self.opener = Some(cx.waker().clone());
        Poll::Pending
    }

    /// A stream that the peer has opened on the link of `generation`. Returns the header for the other direction.
    pub(super) fn accept(
        &mut self,
        generation: Generation,
        header: ChannelHeader,
        stream: RecvStream,
    ) -> Result<ChannelHeader, Violation> {
        let id = header.channel;
        if id.opener() == self.side {
            return Err(Violation::UnknownChannel);
        }
        if id.index() == self.accepted && !self.is_over {
            if self.open_of(self.side.other()) >= CHANNELS_MAX {
                return Err(Violation::TooManyChannels);
            }
            self.accepted += 1;
            self.channels.insert(id, Channel::new());
            self.arrived.push_back(id);
            let early = self.early.remove(&id).unwrap_or_default();
            if early.is_done {
                self.stop_writing(id);
            }
            if early.is_reset {
                self.reset_reading(id);
            }
        } else if id.index() > self.accepted {
            return Err(Violation::UnknownChannel);
        }
        let earlier = self.channels.get_mut(&id).map(|channel| std::mem::replace(&mut channel.accepted_on, generation));
        if earlier == Some(generation) {
            return Err(Violation::Doubled);
        }
        self.attach(generation, header, stream)?;
        let start = self.channels.get(&id).map_or(0, |channel| channel.outgoing.acknowledged());
        Ok(ChannelHeader { channel: id, start })
    }

    /// Gives the reader of a channel its stream on the link of `generation`, which begins at `header.start`.
    pub(super) fn attach(
        &mut self,
        generation: Generation,
        header: ChannelHeader,
        stream: RecvStream,
    ) -> Result<(), Violation> {
        // A channel that is gone was read to its end.
        let Some(channel) = self.channels.get_mut(&header.channel) else { return Ok(()) };
        if self.generation != generation || channel.reading != Reading::Open {
            return Ok(());
        }
        channel.incoming.begin(header.start)?;
        channel.stream = Some(stream);
        wake(&mut channel.reader);
        Ok(())
    }

    fn open_of(&self, side: Side) -> usize {
        self.channels.keys().filter(|id| id.opener() == side).count()
    }

    // ----- reading

    /// The stream to read a channel from, with its generation. `Ok(None)` at the end of the channel.
    pub(super) fn poll_stream(
        &mut self,
        id: ChannelId,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<(Generation, RecvStream)>, ChannelError>> {
        let (generation, is_over) = (self.generation, self.is_over);
        let Some(channel) = self.channels.get_mut(&id) else { return Poll::Ready(Err(ChannelError::Lost)) };
        match channel.reading {
            Reading::Done => return Poll::Ready(Ok(None)),
            Reading::Reset => return Poll::Ready(Err(ChannelError::Reset)),
            Reading::Open => {}
        }
        if let Some(stream) = channel.stream.take() {
            return Poll::Ready(Ok(Some((generation, stream))));
        }
        if is_over {
            return Poll::Ready(Err(ChannelError::Lost));
        }
        channel.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Says whether a reader may go on waiting on the stream that it has, and remembers to wake it when it may not.
    pub(super) fn waits_on(&mut self, id: ChannelId, generation: Generation, cx: &Context<'_>) -> bool {
        let may = self.generation == generation && !self.is_over;
        let Some(channel) = self.channels.get_mut(&id) else { return false };
        channel.reader = Some(cx.waker().clone());
        may && channel.reading == Reading::Open
    }

    /// Takes bytes that the link of `generation` has brought: those that are new, and how soon they are to be
    /// acknowledged. `None` when the link is not the current one any more.
    pub(super) fn take(&mut self, id: ChannelId, generation: Generation, piece: Bytes) -> Option<(Bytes, Haste)> {
        if self.generation != generation {
            return None;
        }
        let channel = self.channels.get_mut(&id)?;
        let was_told = channel.incoming.confirmed() <= channel.told;
        let new = channel.incoming.take(piece);
        let untold = channel.incoming.confirmed().saturating_sub(channel.told);
        let haste = if untold >= ACKNOWLEDGE_BYTES {
            Haste::Now
        } else if was_told {
            Haste::Soon
        } else {
            Haste::None
        };
        Some((new, haste))
    }

    /// The link of `generation` says that the channel ends here. `None` when it is not the current one any more.
    pub(super) fn end_reading(&mut self, id: ChannelId, generation: Generation) -> Option<Result<(), Violation>> {
        if self.generation != generation {
            return None;
        }
        let channel = self.channels.get_mut(&id)?;
        if let Err(misclaim) = channel.incoming.finish() {
            return Some(Err(misclaim.into()));
        }
        self.stop_reading(id);
        Some(Ok(()))
    }

    /// The reader wants nothing more.
    pub(super) fn stop_reading(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.reading != Reading::Done {
            channel.to_say.is_done |= channel.reading == Reading::Open;
            channel.reading = Reading::Done;
            channel.stream = None;
        }
        self.arrived.retain(|arrived| *arrived != id);
        self.retire(id);
    }

    fn reset_reading(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.reading == Reading::Open {
            channel.reading = Reading::Reset;
            channel.stream = None;
            channel.to_say.is_done = true;
            wake(&mut channel.reader);
        }
    }

    // ----- writing

    /// Waits for room in a channel; how many bytes.
    pub(super) fn poll_room(&mut self, id: ChannelId, cx: &Context<'_>) -> Poll<Result<usize, ChannelError>> {
        if self.is_over {
            return Poll::Ready(Err(ChannelError::Lost));
        }
        let pool = match self.room {
            Room::Reserve => 0,
            Room::Pool => REPLAY_POOL_BYTES.saturating_sub(self.pool_bytes),
        };
        let Some(channel) = self.channels.get_mut(&id) else { return Poll::Ready(Err(ChannelError::Stopped)) };
        if channel.writing == Writing::Done {
            return Poll::Ready(Err(ChannelError::Stopped));
        }
        let reserve = REPLAY_RESERVE_BYTES.saturating_sub(channel.outgoing.queued_bytes());
        match channel.outgoing.room().min(reserve + pool) {
            0 => {
                channel.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            room => Poll::Ready(Ok(room)),
        }
    }

    /// Takes bytes for which there is room.
    pub(super) fn push(&mut self, id: ChannelId, piece: Bytes) -> Result<(), ChannelError> {
        let Some(channel) = self.channels.get_mut(&id) else { return Err(ChannelError::Stopped) };
        channel.outgoing.push(piece).map_err(|_| ChannelError::Stopped)?;
        wake(&mut channel.pump);
        self.count_pool();
        Ok(())
    }

    /// Ends a channel after what has been written.
    pub(super) fn finish(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.outgoing.finish();
            wake(&mut channel.pump);
        }
    }

    /// Waits until the peer's reader has everything up to the end, or wants nothing more.
    pub(super) fn poll_delivered(&mut self, id: ChannelId, cx: &Context<'_>) -> Poll<Result<(), ChannelError>> {
        let Some(channel) = self.channels.get_mut(&id) else { return Poll::Ready(Ok(())) };
        match channel.writing {
            Writing::Lost => return Poll::Ready(Err(ChannelError::Lost)),
            Writing::Open if !channel.outgoing.is_delivered() => {}
            Writing::Open | Writing::Reset | Writing::Done => return Poll::Ready(Ok(())),
        }
        channel.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The writer has gone without an end.
    pub(super) fn abandon(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.writing == Writing::Open {
            channel.writing = Writing::Reset;
            channel.to_say.is_reset = true;
            channel.outgoing.forget();
            wake(&mut channel.pump);
            self.count_pool();
        }
    }

    fn stop_writing(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.writing = Writing::Done;
        channel.to_say.is_reset = false;
        channel.outgoing.forget();
        wake(&mut channel.writer);
        wake(&mut channel.pump);
        self.count_pool();
        self.retire(id);
    }

    /// What the stream of a channel on the link of `generation` is to be given next.
    pub(super) fn poll_piece(&mut self, id: ChannelId, generation: Generation, cx: &Context<'_>) -> Poll<Piece> {
        if self.generation != generation || self.is_over {
            return Poll::Ready(Piece::Over);
        }
        let Some(channel) = self.channels.get_mut(&id) else { return Poll::Ready(Piece::End) };
        match channel.writing {
            Writing::Done => return Poll::Ready(Piece::End),
            // The carrier says it. The stream stays open until the peer has heard it.
            Writing::Reset => {
                channel.pump = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Writing::Lost => return Poll::Ready(Piece::Over),
            Writing::Open => {}
        }
        let pieces: Vec<Bytes> = std::iter::from_fn(|| channel.outgoing.give()).take(PIECES_AT_ONCE).collect();
        if !pieces.is_empty() {
            return Poll::Ready(Piece::Bytes(pieces));
        }
        if channel.outgoing.is_given_whole() {
            return Poll::Ready(Piece::End);
        }
        channel.pump = Some(cx.waker().clone());
        Poll::Pending
    }

    fn count_pool(&mut self) {
        let over_reserve = |channel: &Channel| channel.outgoing.queued_bytes().saturating_sub(REPLAY_RESERVE_BYTES);
        let before = std::mem::replace(&mut self.pool_bytes, self.channels.values().map(over_reserve).sum());
        if before >= REPLAY_POOL_BYTES && self.pool_bytes < REPLAY_POOL_BYTES {
            self.wake_writers();
        }
    }

    fn wake_writers(&mut self) {
        for channel in self.channels.values_mut() {
            wake(&mut channel.writer);
        }
    }

    // ----- the carrier

    /// What is to be said now.
    pub(super) fn say(&mut self) -> Vec<Carried> {
        let mut words = Vec::new();
        for (&channel, known) in &mut self.channels {
            let offset = known.incoming.confirmed();
            if offset > known.told && known.reading == Reading::Open {
                known.told = offset;
                words.push(Carried::Received { channel, offset });
            }
            let to_say = std::mem::take(&mut known.to_say);
            if to_say.is_done {
                words.push(Carried::Done { channel });
            }
            if to_say.is_reset {
                words.push(Carried::Reset { channel });
            }
        }
        for word in &words {
            if let Carried::Done { channel } = word {
                self.retire(*channel);
            }
        }
        words
    }

    /// Takes what the peer says over the current link.
    pub(super) fn hear(&mut self, word: Carried) -> Result<Haste, Violation> {
        match word {
            Carried::Received { channel: id, offset } => {
                let Some(channel) = self.channels.get_mut(&id) else {
                    return self.hear_of_gone(id).map(|()| Haste::None);
                };
                let freed = channel.outgoing.acknowledge(offset)?;
                if freed > 0 || channel.outgoing.is_delivered() {
                    wake(&mut channel.writer);
                    self.count_pool();
                }
                Ok(Haste::None)
            }
            Carried::Done { channel } => {
                if self.is_early(channel)? {
                    self.early.entry(channel).or_default().is_done = true;
                }
                self.stop_writing(channel);
                Ok(Haste::None)
            }
            Carried::Reset { channel } => {
                if self.is_early(channel)? {
                    self.early.entry(channel).or_default().is_reset = true;
                }
                self.reset_reading(channel);
                Ok(Haste::Now)
            }
            Carried::Settled => Err(Violation::OutOfTurn),
        }
    }

    /// Says whether a channel of the peer is still on its way.
    fn is_early(&self, id: ChannelId) -> Result<bool, Violation> {
        if id.opener() == self.side {
            return if id.index() < self.opened { Ok(false) } else { Err(Violation::UnknownChannel) };
        }
        let ahead = id.index().checked_sub(self.accepted);
        match ahead {
            Some(ahead) if ahead as usize >= CHANNELS_MAX => Err(Violation::UnknownChannel),
            ahead => Ok(ahead.is_some()),
        }
    }

    fn hear_of_gone(&self, id: ChannelId) -> Result<(), Violation> {
        if self.is_early(id)? { Err(Violation::UnknownChannel) } else { Ok(()) }
    }

    /// Forgets a channel of which neither side wants more and everything has been said.
    fn retire(&mut self, id: ChannelId) {
        let is_over = self.channels.get(&id).is_some_and(|channel| {
            channel.writing == Writing::Done && channel.reading != Reading::Open && !channel.to_say.is_done
        });
        // A reader that has not learned of the reset keeps the channel until it has gone.
        let waits = self.channels.get(&id).is_some_and(|channel| channel.reading == Reading::Reset);
        if is_over && !waits {
            self.channels.remove(&id);
        }
    }
}

impl Channel {
    fn new() -> Self {
        Self {
            outgoing: Outgoing::new(REPLAY_CHANNEL_MAX_BYTES),
            writing: Writing::Open,
            incoming: Incoming::default(),
            reading: Reading::Open,
            accepted_on: 0,
            stream: None,
            told: 0,
            to_say: ToSay::default(),
            reader: None,
            writer: None,
            pump: None,
        }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Pieces that a stream is given under one lock.
const PIECES_AT_ONCE: usize = 16;
