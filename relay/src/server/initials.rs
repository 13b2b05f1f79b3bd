//! A limit on packets that open connections, applied before quinn spends anything on them.
//!
//! Each such packet costs quinn a key derivation and a Retry or a handshake. Most floods of them carry made-up
//! addresses, so that a limit by source alone would not help: there is one limit a source prefix, and one in all.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use super::budget::Bucket;
use super::keys::source_prefix;

/// Source prefixes told apart; more share a bucket by chance.
const SOURCES: usize = 4_096;

/// Initials let through each second, in all. A handshake takes about a millisecond of one core.
const TOTAL_PER_SECOND: u32 = 4_000;

/// Initials let through each second from one source prefix.
const SOURCE_PER_SECOND: u32 = 500;

/// How much may come at once.
const BURST: Duration = Duration::from_secs(1);

/// The limit.
#[derive(Debug)]
pub(super) struct InitialLimit {
    total: Bucket,
    sources: Box<[Bucket]>,
    hasher: RandomState,
}

impl InitialLimit {
    pub(super) fn new() -> Self {
        let sources = (0..SOURCES).map(|_| Bucket::default()).collect();
        Self { total: Bucket::default(), sources, hasher: RandomState::new() }
    }

    /// Says whether one more Initial from `source` may pass.
    pub(super) fn admits(&self, source: IpAddr, now: Duration) -> bool {
        let slot = self.hasher.hash_one(source_prefix(source)) as usize % SOURCES;
        // The source first, so that one flood does not use up what belongs to all.
        self.sources[slot].take(Duration::from_secs(1) / SOURCE_PER_SECOND, BURST, now)
            && self.total.take(Duration::from_secs(1) / TOTAL_PER_SECOND, BURST, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_cannot_use_up_what_belongs_to_all() {
        let limit = InitialLimit::new();
        let now = Duration::from_secs(10);
        let flood = (0..100_000).filter(|_| limit.admits([192, 0, 2, 1].into(), now)).count();
        assert_eq!(flood, SOURCE_PER_SECOND as usize);
        assert!(limit.admits([198, 51, 100, 1].into(), now));
    }

    #[test]
    fn made_up_sources_are_limited_together_and_the_limit_refills() {
        let limit = InitialLimit::new();
        let now = Duration::from_secs(10);
        let flood = |now| (0..60_000u32).filter(|n| limit.admits((n * 65_537).to_be_bytes().into(), now)).count();
        assert_eq!(flood(now), TOTAL_PER_SECOND as usize);
        assert_eq!(flood(now + Duration::from_millis(500)), TOTAL_PER_SECOND as usize / 2);
    }
}
