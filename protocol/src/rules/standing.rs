//! What earlier surveys of one machine raised or saw coming, so that rules can wait before they speak and let go late.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::{Fingerprint, Severity};
use crate::limits::SECTION_MAX_ITEMS;

/// Findings of earlier surveys by fingerprint, at most [`SECTION_MAX_ITEMS`] of them: the longest unseen are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Standing(BTreeMap<Fingerprint, Kept>);

/// How one finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What was raised; nothing while the rule waits for its condition to hold.
    pub raised: Option<Severity>,
    /// Since when the condition has held without a break, in milliseconds since 1970 UTC.
    pub since_unix_ms: i64,
    /// In how many surveys, one after the other.
    pub reports: u32,
    /// When it was seen last.
    pub seen_unix_ms: i64,
}

impl Kept {
    /// What was raised at some time, with nothing known of how long it had held.
    pub const fn raised(severity: Severity, at_unix_ms: i64) -> Self {
        Self { raised: Some(severity), since_unix_ms: at_unix_ms, reports: 1, seen_unix_ms: at_unix_ms }
    }

    /// The same, seen again; or seen for the first time.
    pub(super) fn again(earlier: Option<Self>, now_unix_ms: i64) -> Self {
        match earlier {
            // A clock that was set back starts the time anew, not the count.
            Some(kept) => Self {
                since_unix_ms: kept.since_unix_ms.min(now_unix_ms),
                reports: kept.reports.saturating_add(1),
                seen_unix_ms: now_unix_ms,
                ..kept
            },
            None => Self { raised: None, since_unix_ms: now_unix_ms, reports: 1, seen_unix_ms: now_unix_ms },
        }
    }
}

/// How long a condition must have held before a rule speaks; both when both are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Surveys in a row that must have seen it.
    #[serde(default)]
    pub reports: u32,
    /// Seconds from the first of them to the last.
    #[serde(default)]
    pub seconds: u32,
}

impl Hold {
    pub(super) fn is_met(self, kept: &Kept) -> bool {
        let held_ms = kept.seen_unix_ms.saturating_sub(kept.since_unix_ms);
        kept.raised.is_some() || (kept.reports >= self.reports && held_ms >= i64::from(self.seconds) * 1_000)
    }
}

impl Standing {
    /// Nothing was seen before.
    pub fn new() -> Self {
        Self::default()
    }

    /// How a finding stands.
    pub fn get(&self, fingerprint: &Fingerprint) -> Option<&Kept> {
        self.0.get(fingerprint)
    }

    /// How many findings stand or wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was seen before.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over what could not be looked at this time and was raised in the last thirty days: a disk that is unplugged
    /// today was not emptied. What only waited waits anew.
    pub(super) fn carry_over(&mut self, earlier: &Self, decided: impl Fn(&Fingerprint) -> bool, now_unix_ms: i64) {
        let is_recent = |kept: &Kept| now_unix_ms.saturating_sub(kept.seen_unix_ms) < MEMORY_MS;
        let carried = earlier.0.iter().filter(|(fingerprint, kept)| {
            kept.raised.is_some() && is_recent(kept) && !decided(fingerprint) && !self.0.contains_key(*fingerprint)
        });
        let carried: Vec<_> = carried.map(|(fingerprint, kept)| (*fingerprint, *kept)).collect();
        self.0.extend(carried);
        while self.0.len() > SECTION_MAX_ITEMS {
            let Some(oldest) = self.0.iter().min_by_key(|(_, kept)| kept.seen_unix_ms).map(|(oldest, _)| *oldest)
            else {
                return;
            };
            self.0.remove(&oldest);
        }
    }
}

/// Time after which a finding that was not seen again is forgotten.
const MEMORY_MS: i64 = 30 * 24 * 3_600 * 1_000;

impl FromIterator<(Fingerprint, Kept)> for Standing {
    fn from_iter<I: IntoIterator<Item = (Fingerprint, Kept)>>(kept: I) -> Self {
        Self(kept.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(reports: u32, seconds: i64) -> Kept {
        Kept { raised: None, since_unix_ms: 0, reports, seen_unix_ms: seconds * 1_000 }
    }

    #[test]
    fn a_hold_counts_surveys_and_seconds() {
        let hold = Hold { reports: 2, seconds: 60 };
        for (reports, seconds, met) in [(1, 60, false), (2, 59, false), (2, 60, true), (9, 0, false)] {
            assert_eq!(hold.is_met(&waiting(reports, seconds)), met, "{reports} {seconds}");
        }
        assert!(Hold::default().is_met(&waiting(1, 0)));
        assert!(hold.is_met(&Kept::raised(Severity::Warn, 0)), "what was raised needs no second wait");
    }

    #[test]
    fn a_clock_that_was_set_back_never_makes_a_hold_longer() {
        let kept = Kept::again(Some(Kept { since_unix_ms: 5_000, ..waiting(1, 5) }), 1_000);
        assert_eq!((kept.since_unix_ms, kept.seen_unix_ms, kept.reports), (1_000, 1_000, 2));
    }

    #[test]
    fn standing_comes_back_from_json_and_is_bounded() {
        let many = (0..SECTION_MAX_ITEMS + 3).map(|number| {
            let at = i64::try_from(number).unwrap();
            (Fingerprint::derive("rule", &number.to_string()), Kept::raised(Severity::Crit, at))
        });
        let earlier: Standing = many.collect();
        let mut now = Standing::new();
        now.carry_over(&earlier, |_| false, 0);
        assert_eq!(now.len(), SECTION_MAX_ITEMS);
        assert!(now.get(&Fingerprint::derive("rule", "2")).is_none(), "the longest unseen go first");
        let json = serde_json::to_string(&now).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&json).unwrap(), now);
    }
}
