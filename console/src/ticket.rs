//! The life of a ticket as pure functions: which state may follow which, and how pressing a ticket is.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// The texts are taken as `tt`: utoipa does not see through the invisible group around a `literal`, and would describe the
// variants' Rust names.
macro_rules! stored_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:tt,)+ }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema, EnumIter,
            DeriveActiveEnum,
        )]
        #[sea_orm(rs_type = "String", db_type = "Text")]
        pub enum $name {
            $(
                $(#[$variant_doc])*
                #[serde(rename = $text)]
                #[sea_orm(string_value = $text)]
                $variant,
            )+
        }

        impl $name {
            /// Every value, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stable text form, the same in the database, in the API and in events.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::ticket::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or(crate::ticket::UnknownWord)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use stored_enum;

/// A text was none of the words that are allowed in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not one of the allowed words")]
pub struct UnknownWord;

stored_enum! {
    /// A language in which a customer is answered.
    Spoken {
        /// English.
        English = "en",
        /// Simplified Chinese.
        Chinese = "zh",
    }
}

impl From<belay_protocol::Language> for Spoken {
    fn from(language: belay_protocol::Language) -> Self {
        match language {
            belay_protocol::Language::English => Self::English,
            belay_protocol::Language::Chinese => Self::Chinese,
        }
    }
}

stored_enum! {
    /// Where a ticket is in its life. [`TicketState::next`] is the table of moves.
    TicketState {
        /// Nobody has worked on it yet.
        New = "new",
        /// Somebody works on it.
        Open = "open",
        /// The customer has to answer.
        PendingCustomer = "pending_customer",
        /// A vendor has to answer.
        PendingVendor = "pending_vendor",
        /// It sleeps until a date.
        PendingReminder = "pending_reminder",
        /// The cause was found and mended; the customer has not confirmed it.
        Resolved = "resolved",
        /// Finished. No session can be started for it.
        Closed = "closed",
        /// It lives on in another ticket. Final.
        Merged = "merged",
    }
}

impl TicketState {
    /// The states that may follow this one. Staying where it is is always allowed and not listed.
    pub const fn next(self) -> &'static [Self] {
        use TicketState::*;
        match self {
            New => &[Open, PendingCustomer, PendingVendor, PendingReminder, Resolved, Closed, Merged],
            Open => &[PendingCustomer, PendingVendor, PendingReminder, Resolved, Closed, Merged],
            PendingCustomer | PendingVendor | PendingReminder => &[Open, Resolved, Closed, Merged],
            Resolved => &[Open, Closed],
            Closed => &[Open],
            Merged => &[],
        }
    }

    /// Whether a move to `to` is allowed.
    pub fn may_become(self, to: Self) -> bool {
        self == to || self.next().contains(&to)
    }

    /// Whether a customer may be invited to a session for a ticket in this state.
    pub const fn takes_sessions(self) -> bool {
        !matches!(self, Self::Closed | Self::Merged)
    }
}

stored_enum! {
    /// How much is affected (impact), or how soon it hurts (urgency).
    Level {
        /// One person, or later.
        Low = "low",
        /// A group, or today.
        Medium = "medium",
        /// The whole customer, or now.
        High = "high",
    }
}

stored_enum! {
    /// How pressing a ticket is, by impact and urgency.
    Priority {
        /// Everything else waits.
        Critical = "p1",
        /// Before ordinary work.
        High = "p2",
        /// Ordinary work.
        Normal = "p3",
        /// When there is time.
        Low = "p4",
    }
}

/// Which priority follows from impact and urgency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriorityMatrix {
    /// Where little is affected.
    pub low: ByUrgency,
    /// Where a group is affected.
    pub medium: ByUrgency,
    /// Where all of the customer is affected.
    pub high: ByUrgency,
}

/// The priorities of one impact.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ByUrgency {
    /// Where it can wait.
    pub low: Priority,
    /// Where it hurts today.
    pub medium: Priority,
    /// Where it hurts now.
    pub high: Priority,
}

impl Default for PriorityMatrix {
    /// ITIL's, as [`Priority::of`] has it.
    fn default() -> Self {
        let row = |impact| ByUrgency {
            low: Priority::of(impact, Level::Low),
            medium: Priority::of(impact, Level::Medium),
            high: Priority::of(impact, Level::High),
        };
        Self { low: row(Level::Low), medium: row(Level::Medium), high: row(Level::High) }
    }
}

impl PriorityMatrix {
    /// The priority of a trouble.
    pub const fn of(&self, impact: Level, urgency: Level) -> Priority {
        let row = match impact {
            Level::Low => &self.low,
            Level::Medium => &self.medium,
            Level::High => &self.high,
        };
        match urgency {
            Level::Low => row.low,
            Level::Medium => row.medium,
            Level::High => row.high,
        }
    }
}

impl Priority {
    /// ITIL's matrix: high and high is critical, low and low is low, and every step down on either side is one step.
    pub const fn of(impact: Level, urgency: Level) -> Self {
        match impact as u8 + urgency as u8 {
            4 => Self::Critical,
            3 => Self::High,
            2 => Self::Normal,
            _ => Self::Low,
        }
    }
}

stored_enum! {
    /// How a ticket reached the desk.
    Channel {
        /// By telephone.
        Phone = "phone",
        /// By the web.
        Web = "web",
        /// Through the API.
        Api = "api",
        /// From an agent.
        Agent = "agent",
        /// From the command line on the console's own machine.
        Local = "local",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_but_merged_can_reach_closed() {
        for state in TicketState::ALL {
            let mut reached = vec![*state];
            let mut at = 0;
            while at < reached.len() {
                for next in reached[at].next() {
                    if !reached.contains(next) {
                        reached.push(*next);
                    }
                }
                at += 1;
            }
            assert_eq!(reached.contains(&TicketState::Closed), *state != TicketState::Merged, "{state}");
        }
    }

    #[test]
    fn nothing_goes_back_to_new_and_nothing_leaves_merged() {
        for state in TicketState::ALL {
            assert!(!state.next().contains(&TicketState::New));
            assert!(!TicketState::Merged.may_become(*state) || *state == TicketState::Merged);
        }
    }

    #[test]
    fn priority_rises_with_impact_and_with_urgency() {
        assert_eq!(Priority::of(Level::High, Level::High), Priority::Critical);
        assert_eq!(Priority::of(Level::Low, Level::Low), Priority::Low);
        for fixed in Level::ALL {
            for pair in Level::ALL.windows(2) {
                assert!(Priority::of(*fixed, pair[1]) <= Priority::of(*fixed, pair[0]));
                assert!(Priority::of(pair[1], *fixed) <= Priority::of(pair[0], *fixed));
            }
        }
    }

    #[test]
    fn words_survive_their_text_form() {
        for state in TicketState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        assert_eq!("asleep".parse::<TicketState>(), Err(UnknownWord));
    }
}
