//! Token buckets without locks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A token bucket in the form of the generic cell rate algorithm: one number, the time at which it will be full again.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    full_at_nanos: AtomicU64,
}

impl Bucket {
    /// Takes what refills in `cost`, from a bucket that holds what refills in `burst`; `false` when it holds less. `now`
    /// is counted from any fixed moment.
    pub(super) fn take(&self, cost: Duration, burst: Duration, now: Duration) -> bool {
        let [cost, burst, now] = [cost, burst, now].map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let taken = self.full_at_nanos.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let full_at = full_at.max(now).saturating_add(cost);
            (full_at <= now.saturating_add(burst)).then_some(full_at)
        });
        taken.is_ok()
    }
}

/// Bytes a second, with one second's worth as the largest burst.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_per_second: u64,
    bucket: Bucket,
    slowed: AtomicBool,
}

impl Budget {
    /// A full budget.
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), bucket: Bucket::default(), slowed: AtomicBool::new(false) }
    }

    /// Takes `bytes`; `false` when the budget is used up and the packet is to be dropped.
    pub(super) fn take(&self, bytes: usize, now: Duration) -> bool {
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let taken = self.bucket.take(cost, Duration::from_secs(1), now);
        if !taken {
            self.slowed.store(true, Ordering::Relaxed);
        }
        taken
    }

    /// Says whether it refused anything since the last call.
    pub(super) fn take_slowed(&self) -> bool {
        self.slowed.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_used_up_budget_drops_and_refills() {
        let budget = Budget::new(1_000);
        let start = SECOND * 100;
        assert!(budget.take(600, start) && !budget.take_slowed());
        assert!(!budget.take(600, start));
        assert!(budget.take_slowed() && !budget.take_slowed(), "told once");
        assert!(budget.take(600, start + Duration::from_millis(300)));
        assert!(!budget.take(1_001, start + SECOND * 60), "never more than a second's worth at once");
        assert!(budget.take(1_000, start + SECOND * 60));
    }

    proptest! {
        #[test]
        fn no_more_passes_than_the_rate_and_one_burst(
            steps in prop::collection::vec((0u64..200, 1usize..2_000), 1..200),
        ) {
            let budget = Budget::new(10_000);
            let (mut now, mut passed) = (Duration::ZERO, 0);
            for (wait_ms, bytes) in steps {
                now += Duration::from_millis(wait_ms);
                if budget.take(bytes, now) {
                    passed += bytes as u128;
                }
                prop_assert!(passed <= 10_000 + now.as_millis() * 10);
            }
        }
    }
}
