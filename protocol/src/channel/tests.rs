use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64;

/// What happens to a channel, by either end's doing or by the network's.
#[derive(Debug, Clone)]
enum Happening {
    /// The writer writes this many bytes, or as many as there is room for.
    Write(usize),
    /// The writer is done.
    Finish,
    /// The sender gives the link this many pieces.
    Give(usize),
    /// The link brings this many bytes to the receiver.
    Bring(usize),
    /// The receiver acknowledges what it has.
    Acknowledge,
    /// The link is lost with everything on it, and a new one is begun. The receiver asks from where it is.
    Cut,
    /// The same, and the sender begins this many bytes too early.
    CutAndOverlap(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (1usize..40).prop_map(Happening::Write),
        1 => Just(Happening::Finish),
        4 => (1usize..6).prop_map(Happening::Give),
        4 => (1usize..50).prop_map(Happening::Bring),
        2 => Just(Happening::Acknowledge),
        1 => Just(Happening::Cut),
        1 => (1usize..30).prop_map(Happening::CutAndOverlap),
    ]
}

/// A channel with its link, beside the two plain sequences that it must keep equal.
struct Model {
    outgoing: Outgoing,
    incoming: Incoming,
    link: VecDeque<u8>,
    written: Vec<u8>,
    read: Vec<u8>,
    is_finished: bool,
}

impl Model {
    fn new() -> Self {
        Self {
            outgoing: Outgoing::new(LIMIT),
            incoming: Incoming::default(),
            link: VecDeque::new(),
            written: Vec::new(),
            read: Vec::new(),
            is_finished: false,
        }
    }

    fn step(&mut self, happening: &Happening) {
        match *happening {
            Happening::Write(bytes) if !self.is_finished => {
                let piece: Vec<u8> =
                    (0..bytes.min(self.outgoing.room())).map(|i| (self.written.len() + i) as u8).collect();
                self.written.extend_from_slice(&piece);
                self.outgoing.push(piece.into()).unwrap();
                assert_eq!(self.outgoing.push(vec![0; self.outgoing.room() + 1].into()), Err(NoRoom));
            }
            Happening::Write(_) => assert_eq!(self.outgoing.push(vec![0].into()), Err(NoRoom)),
            Happening::Finish => {
                self.is_finished = true;
                self.outgoing.finish();
            }
            Happening::Give(pieces) => {
                for _ in 0..pieces {
                    self.link.extend(self.outgoing.give().into_iter().flatten());
                }
            }
            Happening::Bring(bytes) => {
                let piece: Vec<u8> = self.link.drain(..bytes.min(self.link.len())).collect();
                self.read.extend_from_slice(&self.incoming.take(piece.into()));
            }
            Happening::Acknowledge => {
                self.outgoing.acknowledge(self.incoming.confirmed()).unwrap();
            }
            Happening::Cut => self.reconnect(0),
            Happening::CutAndOverlap(bytes) => self.reconnect(bytes),
        }
    }

    fn reconnect(&mut self, overlap_bytes: usize) {
        self.link.clear();
        let acknowledged = self.outgoing.acknowledged();
        let start = self.incoming.received().saturating_sub(overlap_bytes as u64).max(acknowledged);
        self.outgoing.replay_from(start).unwrap();
        self.incoming.begin(start).unwrap();
    }

    fn check(&self) {
        assert!(self.outgoing.queued_bytes() <= LIMIT);
        assert_eq!(self.read, self.written[..self.read.len()]);
        assert_eq!(self.incoming.received(), self.read.len() as u64);
        assert!(!self.outgoing.is_delivered() || self.read == self.written);
    }

    /// Lets a last link live for as long as it takes.
    fn settle(&mut self) {
        self.reconnect(0);
        self.step(&Happening::Finish);
        while !self.outgoing.is_delivered() {
            for happening in [Happening::Give(9), Happening::Bring(LIMIT), Happening::Acknowledge] {
                self.step(&happening);
                self.check();
            }
        }
        self.incoming.finish().unwrap();
    }
}

proptest! {
    #[test]
    fn no_interleaving_loses_doubles_or_reorders_a_byte_or_keeps_too_many(
        happenings in prop::collection::vec(happening(), 0..200),
    ) {
        let mut model = Model::new();
        for happening in &happenings {
            model.step(happening);
            model.check();
        }
        model.settle();
        prop_assert_eq!(model.read, model.written);
    }

    #[test]
    fn a_peer_that_claims_anything_frees_only_what_was_sent(claims in prop::collection::vec(0u64..80, 0..20)) {
        let mut outgoing = Outgoing::new(LIMIT);
        outgoing.push(vec![1; 20].into()).unwrap();
        outgoing.push(vec![2; 20].into()).unwrap();
        outgoing.give();
        let mut highest = 0;
        for claim in claims {
            prop_assert_eq!(outgoing.acknowledge(claim).is_ok(), claim <= 20);
            highest = highest.max(if claim <= 20 { claim } else { 0 });
            prop_assert_eq!(outgoing.acknowledged(), highest);
            prop_assert_eq!(outgoing.queued_bytes() as u64, 40 - highest);
        }
    }
}

#[test]
fn a_misclaim_is_named_and_changes_nothing() {
    let mut outgoing = Outgoing::new(LIMIT);
    outgoing.push(vec![1; 10].into()).unwrap();
    assert_eq!(outgoing.acknowledge(1), Err(Misclaim::Unsent { claimed: 1, sent: 0 }));
    outgoing.give();
    assert_eq!(outgoing.acknowledge(11), Err(Misclaim::Unsent { claimed: 11, sent: 10 }));
    assert_eq!(outgoing.acknowledge(4), Ok(4));
    assert_eq!(outgoing.replay_from(3), Err(Misclaim::Forgotten { claimed: 3, acknowledged: 4 }));
    assert_eq!(outgoing.replay_from(11), Err(Misclaim::Unsent { claimed: 11, sent: 10 }));
    assert_eq!(outgoing.queued_bytes(), 6);

    let mut incoming = Incoming::default();
    incoming.take(vec![1; 10].into());
    assert_eq!(incoming.begin(11), Err(Misclaim::Gap { expected: 10, start: 11 }));
    incoming.begin(2).unwrap();
    assert!(incoming.take(vec![1; 7].into()).is_empty());
    assert_eq!(incoming.finish(), Err(Misclaim::Shrunk { end: 9, received: 10 }));
    assert_eq!(incoming.take(vec![1; 4].into()).len(), 3);
    incoming.finish().unwrap();
}

#[test]
fn a_replay_shares_the_memory_of_what_was_written() {
    let piece = Bytes::from(vec![7; 32]);
    let mut outgoing = Outgoing::new(LIMIT);
    outgoing.push(piece.clone()).unwrap();
    assert_eq!(outgoing.give().unwrap().as_ptr(), piece.as_ptr());
    outgoing.replay_from(8).unwrap();
    assert_eq!(outgoing.give().unwrap().as_ptr(), piece[8..].as_ptr());
}

#[test]
fn channels_are_numbered_by_side_without_a_gap() {
    for (side, index, id) in
        [(Side::Dialler, 0, 0), (Side::Acceptor, 0, 1), (Side::Dialler, 3, 6), (Side::Acceptor, 3, 7)]
    {
        let channel = ChannelId::new(side, index).unwrap();
        assert_eq!((channel, channel.opener(), channel.index()), (ChannelId(id), side, index));
    }
    assert_eq!(ChannelId::new(Side::Dialler, u32::MAX), None);
}
