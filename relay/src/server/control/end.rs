//! One end at the control plane: how far it has come, and what it is still to be told.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use belay_protocol::codec;
use belay_protocol::frame;
use belay_protocol::limits::FRAME_MAX_BYTES;
use belay_protocol::message::{FromRelay, Nonce, PeerRoute};
use belay_protocol::{DeviceKey, OrganizationKey};
use tracing::{Span, field};

use super::super::lines::Line;
use super::super::routes::Place;
use super::super::table::ConnectionNumber;
use super::under_way::Network;
use crate::close::Close;

/// One end.
pub(in crate::server) struct End {
    pub(super) number: ConnectionNumber,
    /// What its handshake is counted for.
    pub(super) network: Option<Network>,
    pub(super) phase: Phase,
}

/// The field of an end's span that is known once it has registered.
pub(super) const KEY_FIELD: &str = "key";

/// How far an end has come.
///
/// | phase | what it says | what follows |
/// |---|---|---|
/// | arriving | greeting, then registration | registered, or refused |
/// | refused | does not matter | gone, once it has the refusal |
/// | registered | requests | gone, when it leaves or is dismissed |
/// | gone | nothing | the connection is being closed |
pub(super) enum Phase {
    /// It must have registered by the deadline.
    Arriving { deadline: Instant, has_greeted: bool },
    /// It was told no.
    Refused { deadline: Instant, close: Close },
    /// It is here.
    Registered(Box<Member>),
    /// It is not here any more.
    Gone,
}

/// A registered end.
pub(super) struct Member {
    pub(super) peer: PeerRoute,
    /// For consoles, the organization.
    pub(super) organization: Option<OrganizationKey>,
    waiting: VecDeque<FromRelay>,
    is_too_slow: bool,
    /// What it was asked to prove its new address with.
    pub(super) asked: Option<Confirmation>,
    /// A deny list of which more parts are to come.
    pub(super) denying: BTreeSet<DeviceKey>,
    /// Whether there was no room for all of it.
    pub(super) is_denying_cut: bool,
}

/// An address that an end has been asked to confirm.
pub(super) struct Confirmation {
    pub(super) place: Place,
    pub(super) nonce: Nonce,
    pub(super) at: Instant,
}

impl End {
    pub(super) fn arriving(number: ConnectionNumber, network: Option<Network>, deadline: Instant) -> Self {
        Self { number, network, phase: Phase::Arriving { deadline, has_greeted: false } }
    }

    /// The span of everything that is done for it. It stands alone, also where one end's doing is another's end.
    pub(super) fn span(&self) -> Span {
        match &self.phase {
            Phase::Registered(member) => {
                tracing::info_span!(parent: None, "end", number = self.number.0, key = DeviceKey(member.peer.key).short())
            }
            _ => tracing::info_span!(parent: None, "end", number = self.number.0, key = field::Empty),
        }
    }

    /// Whether nothing is left of it but a connection that is being closed.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    /// Whether what it says matters.
    pub(super) fn is_heard(&self) -> bool {
        matches!(self.phase, Phase::Arriving { .. } | Phase::Registered(_))
    }

    /// When it must have come further.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Arriving { deadline, .. } | Phase::Refused { deadline, .. } => Some(deadline),
            Phase::Registered(_) | Phase::Gone => None,
        }
    }

    /// Why it is to be dismissed now, if it is. `has_all` says that it has received all that it was told.
    pub(super) fn is_over(&self, has_all: bool, now: Instant) -> Option<(Close, &'static str)> {
        match &self.phase {
            Phase::Arriving { deadline, .. } if *deadline <= now => Some((Close::TooSlow, "too slow to register")),
            Phase::Refused { deadline, close } if has_all || *deadline <= now => Some((*close, "refused")),
            Phase::Registered(member) if member.is_too_slow => Some((Close::TooSlow, "too slow")),
            _ => None,
        }
    }
}

impl Member {
    pub(super) fn new(peer: PeerRoute, organization: Option<OrganizationKey>) -> Self {
        let (waiting, denying) = (VecDeque::new(), BTreeSet::new());
        Self { peer, organization, waiting, is_too_slow: false, asked: None, denying, is_denying_cut: false }
    }

    /// Has it told `message` when its turn comes. One that leaves too much unread is dismissed rather than buffered for.
    pub(super) fn put(&mut self, message: FromRelay) {
        let messages_max = if self.organization.is_some() { DESK_MESSAGES_MAX } else { AGENT_MESSAGES_MAX };
        if self.waiting.len() < messages_max {
            self.waiting.push_back(message);
        } else {
            self.is_too_slow = true;
        }
    }
}

impl Line<End> {
    /// Says one message.
    pub(super) fn say(&mut self, message: &FromRelay) {
        let framed = codec::encode(message, FRAME_MAX_BYTES).map(|payload| frame::wrap(&payload, FRAME_MAX_BYTES));
        match framed {
            Ok(Ok(framed)) => self.send(framed),
            // Every message of the control plane is bounded far below a frame.
            _ => tracing::error!("a message to an end does not fit a frame"),
        }
    }

    /// Says what waits, as far as the peer reads.
    pub(super) fn say_waiting(&mut self) {
        while !self.is_blocked()
            && let Phase::Registered(member) = &mut self.end.phase
            && let Some(message) = member.waiting.pop_front()
        {
            if member.waiting.is_empty() {
                // Idle ends are many.
                member.waiting = VecDeque::new();
            }
            self.say(&message);
        }
    }

    /// Lets the end hear what it was told, and nothing more.
    pub(super) fn refuse(&mut self, close: Close) {
        self.finish();
        if let Some(deadline) = self.end.deadline() {
            self.end.phase = Phase::Refused { deadline, close };
        }
    }
}

/// Messages that wait for an agent.
const AGENT_MESSAGES_MAX: usize = 64;

/// Messages that wait for a desk, which is told of every one of its agents when it comes back.
const DESK_MESSAGES_MAX: usize = 50_000;

#[cfg(test)]
mod tests {
    use belay_protocol::RouteSalt;

    use super::*;

    #[test]
    fn an_end_that_reads_nothing_is_dismissed_and_one_at_the_limit_is_not() {
        for (organization, messages_max) in
            [(None, AGENT_MESSAGES_MAX), (Some(OrganizationKey([1; 32])), DESK_MESSAGES_MAX)]
        {
            let peer = PeerRoute { key: [0; 32], salt: RouteSalt([0; 16]) };
            let mut member = Member::new(peer, organization);
            for _ in 0..messages_max {
                member.put(FromRelay::Registered);
            }
            let mut end =
                End { number: ConnectionNumber(1), network: None, phase: Phase::Registered(Box::new(member)) };
            let now = Instant::now();
            assert!(end.is_over(false, now).is_none());
            if let Phase::Registered(member) = &mut end.phase {
                member.put(FromRelay::Registered);
            }
            assert_eq!(end.is_over(false, now), Some((Close::TooSlow, "too slow")));
        }
    }

    #[test]
    fn an_end_must_register_in_time_and_a_refused_one_hears_why() {
        let now = Instant::now();
        let end = End::arriving(ConnectionNumber(1), None, now);
        assert_eq!(end.is_over(false, now), Some((Close::TooSlow, "too slow to register")));
        let deadline = now + std::time::Duration::from_secs(1);
        assert!(End::arriving(ConnectionNumber(1), None, deadline).is_over(false, now).is_none());
        let refused = End {
            number: ConnectionNumber(1),
            network: None,
            phase: Phase::Refused { deadline, close: Close::Version },
        };
        assert!(refused.is_over(false, now).is_none());
        assert_eq!(refused.is_over(true, now), Some((Close::Version, "refused")));
        assert_eq!(refused.is_over(false, deadline), Some((Close::Version, "refused")));
    }
}
