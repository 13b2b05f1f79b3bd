//! A ticket's life as one pure function: where it stands, what somebody wants of it, and where it then stands.
//!
//! [`TicketState::next`] is the table of moves. Some moves carry something: who waits for a reminder says until when, who
//! resolves says cause, fix and prevention, and a resolved ticket is closed only after somebody looked whether the fix
//! holds. Deliberately absent: the clock and the store, which are arguments and the caller's business.

use std::time::Duration;

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::ticket::{TicketState, stored_enum};

stored_enum! {
    /// Why a ticket is closed.
    Closing {
        /// It was resolved, and the resolution was verified.
        Verified = "verified",
        /// It was resolved, and the customer did not object within [`SILENCE_LIMIT`].
        Silence = "silence",
        /// It was never anybody's problem.
        Spam = "spam",
        /// The customer does not want help any more.
        Withdrawn = "withdrawn",
    }
}

/// Where a ticket stands, as far as its next move depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Life {
    /// Its state.
    pub state: TicketState,
    /// When a pending ticket wakes up by itself.
    pub pending_until: Option<UnixMillis>,
    /// Whether the resolution in force was verified.
    pub is_verified: bool,
    /// When it was closed.
    pub closed_at: Option<UnixMillis>,
}

/// What somebody wants of a ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// Work on it begins, goes on or starts again.
    Work,
    /// It waits for a customer, a vendor or a date.
    Wait {
        /// One of the pending states.
        state: TicketState,
        /// When it wakes up; a reminder is nothing without it.
        until: Option<UnixMillis>,
    },
    /// The cause was found and mended.
    Resolve,
    /// Somebody looked whether the fix holds, and it does.
    Verify,
    /// It is finished.
    Close(Closing),
    /// It goes on in another ticket.
    Merge,
}

impl Move {
    /// The state that the move leads to, from `state`.
    const fn target(self, state: TicketState) -> TicketState {
        match self {
            Self::Work => TicketState::Open,
            Self::Wait { state, .. } => state,
            Self::Resolve => TicketState::Resolved,
            Self::Verify => state,
            Self::Close(_) => TicketState::Closed,
            Self::Merge => TicketState::Merged,
        }
    }
}

/// Why a ticket does not move.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The table of moves has no such move.
    #[error("a ticket that is {from} cannot become {to}")]
    NoSuchMove {
        /// Where it is.
        from: TicketState,
        /// Where it should have gone.
        to: TicketState,
    },
    /// A reminder without a date, or with one that has passed.
    #[error("a reminder needs a date in the future")]
    NoDate,
    /// Only what is resolved can be verified.
    #[error("there is no resolution to verify: the ticket is {0}")]
    NothingToVerify(TicketState),
    /// A resolved ticket is closed as verified or not at all; anything else was not resolved.
    #[error("a ticket that is {0} cannot be closed for this reason")]
    WrongClosing(TicketState),
    /// Nobody has looked yet whether the fix holds.
    #[error("the resolution has not been verified: look at a new report, or ask the customer")]
    NotVerified,
    /// It was closed so long ago that the trouble is a new one.
    #[error("the ticket was closed more than {} days ago: open a follow-up instead", REOPEN_WINDOW.as_secs() / DAY_S)]
    TooLate,
}

impl Life {
    /// A ticket that has just been opened.
    pub const NEW: Self = Self { state: TicketState::New, pending_until: None, is_verified: false, closed_at: None };

    /// The life after `step`, taken at `now`.
    pub fn after(self, step: Move, now: UnixMillis) -> Result<Self, Refused> {
        let to = step.target(self.state);
        if !self.state.may_become(to) {
            return Err(Refused::NoSuchMove { from: self.state, to });
        }
        let moved = Self { state: to, pending_until: None, is_verified: false, closed_at: None };
        match step {
            Move::Work if self.closed_at.is_some_and(|closed| now.since(closed) > REOPEN_WINDOW) => {
                Err(Refused::TooLate)
            }
            Move::Wait { until: Some(until), .. } if until <= now => Err(Refused::NoDate),
            Move::Wait { state: TicketState::PendingReminder, until: None } => Err(Refused::NoDate),
            Move::Wait { until, .. } => Ok(Self { pending_until: until, ..moved }),
            Move::Verify if self.state != TicketState::Resolved => Err(Refused::NothingToVerify(self.state)),
            Move::Verify => Ok(Self { is_verified: true, ..self }),
            // What is resolved, verified or closed already stays as it is.
            Move::Resolve if self.state == to => Ok(self),
            Move::Close(_) if self.state == to => Ok(self),
            Move::Close(closing) => {
                let was_resolved = self.state == TicketState::Resolved;
                match closing {
                    Closing::Verified if was_resolved && !self.is_verified => Err(Refused::NotVerified),
                    Closing::Verified | Closing::Silence if !was_resolved => Err(Refused::WrongClosing(self.state)),
                    Closing::Spam | Closing::Withdrawn if was_resolved => Err(Refused::WrongClosing(self.state)),
                    _ => Ok(Self { closed_at: Some(now), is_verified: self.is_verified, ..moved }),
                }
            }
            Move::Work | Move::Resolve | Move::Merge => Ok(moved),
        }
    }
}

/// How long after its closing the same trouble reopens a ticket; later it is a follow-up.
pub const REOPEN_WINDOW: Duration = Duration::from_secs(14 * DAY_S);

/// How long a resolved ticket waits for the customer's word before it is closed without it.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(7 * DAY_S);

const DAY_S: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

    fn at(state: TicketState) -> Life {
        Life { state, ..Life::NEW }
    }

    fn moves() -> impl Strategy<Value = Move> {
        let date = prop_oneof![Just(None), (-5_i64..30).prop_map(|days| Some(UnixMillis(NOW.0 + days * 86_400_000)))];
        let pending = prop::sample::select(vec![
            TicketState::PendingCustomer,
            TicketState::PendingVendor,
            TicketState::PendingReminder,
        ]);
        prop_oneof![
            Just(Move::Work),
            (pending, date).prop_map(|(state, until)| Move::Wait { state, until }),
            Just(Move::Resolve),
            Just(Move::Verify),
            prop::sample::select(Closing::ALL).prop_map(Move::Close),
            Just(Move::Merge),
        ]
    }

    proptest! {
        // The model: whatever is done in whatever order, these hold after every step.
        #[test]
        fn every_life_keeps_its_promises(steps in prop::collection::vec((moves(), 0_u64..20), 0..40)) {
            let (mut life, mut now, mut was_resolved, mut was_verified) = (Life::NEW, NOW, false, false);
            for (step, days) in steps {
                now = now.plus(Duration::from_secs(days * DAY_S));
                let Ok(next) = life.after(step, now) else { continue };
                prop_assert!(life.state.may_become(next.state));
                if next.state == TicketState::PendingReminder {
                    prop_assert!(next.pending_until.is_some());
                }
                prop_assert!(next.pending_until.is_none_or(|until| until > now || next == life));
                prop_assert!(next.pending_until.is_none() || matches!(
                    next.state,
                    TicketState::PendingCustomer | TicketState::PendingVendor | TicketState::PendingReminder
                ));
                prop_assert_eq!(next.closed_at.is_some(), next.state == TicketState::Closed);
                match step {
                    Move::Resolve => (was_resolved, was_verified) = (true, was_verified && next == life),
                    Move::Verify => was_verified = true,
                    Move::Work | Move::Wait { .. } | Move::Merge => (was_resolved, was_verified) = (false, false),
                    Move::Close(Closing::Verified) => prop_assert!(was_resolved && was_verified || next == life),
                    Move::Close(Closing::Silence) => prop_assert!(was_resolved || next == life),
                    Move::Close(_) => {}
                }
                life = next;
            }
        }
    }

    #[test]
    fn a_reminder_needs_a_date_that_has_not_passed() {
        let wait = |until| Life::NEW.after(Move::Wait { state: TicketState::PendingReminder, until }, NOW);
        assert_eq!(wait(None), Err(Refused::NoDate));
        assert_eq!(wait(Some(NOW)), Err(Refused::NoDate));
        let later = UnixMillis(NOW.0 + 1);
        assert_eq!(wait(Some(later)).unwrap().pending_until, Some(later));
        // Who waits for a customer may, and need not, say for how long.
        let wait = |until| Life::NEW.after(Move::Wait { state: TicketState::PendingCustomer, until }, NOW);
        assert!(wait(None).is_ok() && wait(Some(NOW)) == Err(Refused::NoDate));
    }

    #[test]
    fn what_is_resolved_closes_only_verified_or_by_silence() {
        let resolved = at(TicketState::Resolved);
        assert_eq!(resolved.after(Move::Close(Closing::Verified), NOW), Err(Refused::NotVerified));
        assert_eq!(resolved.after(Move::Close(Closing::Spam), NOW), Err(Refused::WrongClosing(TicketState::Resolved)));
        let verified = resolved.after(Move::Verify, NOW).unwrap();
        assert_eq!(verified.state, TicketState::Resolved);
        let closed = verified.after(Move::Close(Closing::Verified), NOW).unwrap();
        assert_eq!((closed.state, closed.closed_at), (TicketState::Closed, Some(NOW)));
        assert!(resolved.after(Move::Close(Closing::Silence), NOW).is_ok());
    }

    #[test]
    fn what_was_not_resolved_closes_only_as_spam_or_withdrawn() {
        let open = at(TicketState::Open);
        for closing in [Closing::Verified, Closing::Silence] {
            assert_eq!(open.after(Move::Close(closing), NOW), Err(Refused::WrongClosing(TicketState::Open)));
        }
        for closing in [Closing::Spam, Closing::Withdrawn] {
            assert_eq!(open.after(Move::Close(closing), NOW).unwrap().state, TicketState::Closed);
        }
        assert_eq!(open.after(Move::Verify, NOW), Err(Refused::NothingToVerify(TicketState::Open)));
    }

    #[test]
    fn a_closed_ticket_reopens_inside_its_window_and_not_after() {
        let closed = at(TicketState::Open).after(Move::Close(Closing::Spam), NOW).unwrap();
        let reopened = closed.after(Move::Work, NOW.plus(REOPEN_WINDOW)).unwrap();
        assert_eq!((reopened.state, reopened.closed_at), (TicketState::Open, None));
        let late = NOW.plus(REOPEN_WINDOW).plus(Duration::from_millis(1));
        assert_eq!(closed.after(Move::Work, late), Err(Refused::TooLate));
        // Only reopening has a window: work that goes on does not.
        assert!(at(TicketState::Open).after(Move::Work, late).is_ok());
    }

    #[test]
    fn a_reopened_ticket_must_be_verified_anew() {
        let verified = at(TicketState::Resolved).after(Move::Verify, NOW).unwrap();
        let again = verified.after(Move::Work, NOW).unwrap().after(Move::Resolve, NOW).unwrap();
        assert_eq!(again.after(Move::Close(Closing::Verified), NOW), Err(Refused::NotVerified));
    }
}
