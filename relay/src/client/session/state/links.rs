//! From one link to the next: what each side says it has, and where the other goes on.

use std::collections::BTreeMap;

use belay_protocol::BoundedVec;
use belay_protocol::channel::{ChannelId, Misclaim};
use belay_protocol::resume::{Heard, Progress, Until};

use super::{Reading, Room, State, ToSay, Violation, Writing, wake};

impl State {
    /// Detaches every channel from its link. What the link still brings is dropped from here on.
    pub(in crate::client::session) fn detach(&mut self) {
        self.generation += 1;
        self.early.clear();
        self.room = Room::Reserve;
        for channel in self.channels.values_mut() {
            channel.stream = None;
            channel.told = channel.incoming.received();
            // What was said over the old link may not have arrived.
            channel.to_say =
                ToSay { is_done: channel.reading != Reading::Open, is_reset: channel.writing == Writing::Reset };
            wake(&mut channel.reader);
            wake(&mut channel.pump);
        }
        wake(&mut self.opener);
    }

    /// What this side has, for a resume; with it everything is said that there is to say about reading. Nothing may be
    /// attached.
    pub(in crate::client::session) fn progress(&mut self) -> Progress {
        let heard = self.channels.iter_mut().map(|(&channel, known)| {
            let until = match known.reading {
                Reading::Open => Until::Offset(known.incoming.received()),
                Reading::Reset | Reading::Done => Until::Done,
            };
            known.to_say.is_done = false;
            Heard { channel, until }
        });
        let (open, left_out) = BoundedVec::truncating(heard);
        debug_assert_eq!(left_out, 0, "each side may open so many channels that all are listed");
        for heard in &open {
            self.retire(heard.channel);
        }
        Progress { accepted: self.accepted, open }
    }

    /// Says whether the peer's progress can be true, without a change.
    pub(in crate::client::session) fn could_resume(&self, progress: &Progress) -> Result<(), Violation> {
        if progress.accepted > self.opened {
            return Err(Violation::UnknownChannel);
        }
        let mut previous = None;
        for heard in &progress.open {
            if previous >= Some(heard.channel) {
                return Err(Violation::Doubled);
            }
            previous = Some(heard.channel);
            if heard.channel.opener() == self.side && heard.channel.index() >= progress.accepted {
                return Err(Violation::UnknownChannel);
            }
            match (self.channels.get(&heard.channel), heard.until) {
                (Some(known), Until::Offset(offset)) if known.writing == Writing::Open => {
                    known.outgoing.could_replay_from(offset)?;
                }
                (Some(_), _) => {}
                // Of a channel of the peer's own that never came, nothing was read.
                (None, Until::Offset(offset)) if self.is_early(heard.channel)? && offset > 0 => {
                    return Err(Misclaim::Unsent { claimed: offset, sent: 0 }.into());
                }
                (None, _) => {
                    self.is_early(heard.channel)?;
                }
            }
        }
        Ok(())
    }

    /// Goes on over a new link from where the peer is.
    pub(in crate::client::session) fn resume(&mut self, progress: &Progress, room: Room) -> Result<(), Violation> {
        self.could_resume(progress)?;
        let listed: BTreeMap<ChannelId, Until> =
            progress.open.iter().map(|heard| (heard.channel, heard.until)).collect();
        let ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        for id in ids {
            let was_seen = if id.opener() == self.side { id.index() < progress.accepted } else { true };
            match listed.get(&id) {
                Some(Until::Offset(offset)) => self.replay(id, *offset)?,
                None if !was_seen => self.replay(id, 0)?,
                Some(Until::Done) => self.stop_writing(id),
                // The peer has forgotten it: it wants nothing more, and has nothing more to send.
                None => {
                    self.stop_writing(id);
                    self.stop_reading(id);
                    if let Some(channel) = self.channels.get_mut(&id) {
                        channel.to_say = ToSay::default();
                        wake(&mut channel.reader);
                    }
                    self.retire(id);
                }
            }
        }
        for (&id, until) in &listed {
            if *until == Until::Done && !self.channels.contains_key(&id) && self.is_early(id)? {
                self.early.entry(id).or_default().is_done = true;
            }
        }
        self.to_open = 0;
        self.room = room;
        self.count_pool();
        self.wake_writers();
        Ok(())
    }

    fn replay(&mut self, id: ChannelId, offset: u64) -> Result<(), Violation> {
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        if channel.writing == Writing::Open {
            channel.outgoing.replay_from(offset)?;
            wake(&mut channel.writer);
        }
        Ok(())
    }

    /// Ends everything. Bytes that a link has brought already can still be read.
    pub(in crate::client::session) fn end(&mut self) {
        self.is_over = true;
        for channel in self.channels.values_mut() {
            if channel.writing == Writing::Open && !channel.outgoing.is_delivered() {
                channel.writing = Writing::Lost;
                channel.outgoing.forget();
            }
            wake(&mut channel.reader);
            wake(&mut channel.writer);
            wake(&mut channel.pump);
        }
        self.pool_bytes = 0;
        wake(&mut self.opener);
    }
}
