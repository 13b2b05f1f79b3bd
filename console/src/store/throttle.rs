//! Limits on failures that survive a restart: wrong codes and wrong passwords.
//!
//! A bucket counts failures within a window. From the fifth on, each doubles the time until the next attempt is looked
//! at; a bucket that can be locked is locked for the whole window at the tenth. Rows whose window and delay are over are deleted, so that their number is bounded by what arrives in a window.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, Select,
};

use super::entity::throttle;
use super::write::Write;
use crate::clock::UnixMillis;

/// Failures in a window that cost nothing: people mistype.
pub(super) const FREE_FAILURES: i64 = 5;

/// Failures in a window that lock a bucket which can be locked.
pub(super) const LOCK_FAILURES: i64 = 10;

/// How long failures count, and how long a lock holds.
pub(super) const WINDOW: Duration = Duration::from_secs(15 * 60);

/// The delay after the first failure that is not free.
const FIRST_DELAY: Duration = Duration::from_secs(15);

/// The delay grows no further than the window, so that nobody is kept out for longer than failures count.
const LONGEST_DELAY: Duration = WINDOW;

/// What keeps a bucket from its next attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) remaining: Duration,
    pub(super) failures: i64,
}

/// What keeps `bucket` from its next attempt, if anything does.
pub(super) async fn block(db: &impl ConnectionTrait, bucket: &str, now: UnixMillis) -> Result<Option<Block>, DbErr> {
    let row = throttle::Entity::find_by_id(bucket.to_owned()).one(db).await?;
    let block = row.map(|row| Block { remaining: UnixMillis(row.blocked_until).since(now), failures: row.failures });
    Ok(block.filter(|block| !block.remaining.is_zero()))
}

/// How long `bucket` has to wait, if at all.
pub(super) async fn wait(db: &impl ConnectionTrait, bucket: &str, now: UnixMillis) -> Result<Option<Duration>, DbErr> {
    Ok(block(db, bucket, now).await?.map(|block| block.remaining))
}

/// Those of `buckets` that are locked, with the end of the lock.
pub(super) async fn locked(
    db: &impl ConnectionTrait,
    buckets: impl IntoIterator<Item = String>,
    now: UnixMillis,
) -> Result<BTreeMap<String, UnixMillis>, DbErr> {
    let found = all_locked(now).filter(throttle::Column::Bucket.is_in(buckets)).all(db).await?;
    Ok(found.into_iter().map(|row| (row.bucket, UnixMillis(row.blocked_until))).collect())
}

/// How many buckets are locked whose names begin like this.
pub(super) async fn count_locked(db: &impl ConnectionTrait, start: &str, now: UnixMillis) -> Result<u64, DbErr> {
    all_locked(now).filter(throttle::Column::Bucket.starts_with(start)).count(db).await
}

fn all_locked(now: UnixMillis) -> Select<throttle::Entity> {
    let locked = throttle::Entity::find().filter(throttle::Column::Failures.gte(LOCK_FAILURES));
    locked.filter(throttle::Column::BlockedUntil.gt(now.0))
}

/// The failures of `bucket` that still count.
pub(super) async fn failures(db: &impl ConnectionTrait, bucket: &str, now: UnixMillis) -> Result<i64, DbErr> {
    let row = throttle::Entity::find_by_id(bucket.to_owned()).one(db).await?;
    Ok(row.filter(|row| row.window_ends_at > now.0).map_or(0, |row| row.failures))
}

/// What a bucket's failures lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Consequence {
    /// The bucket is delayed from the failure after this many.
    DelayAfter(i64),
    /// The bucket is delayed from the failure after this many, and locked at the [`LOCK_FAILURES`]th.
    LockAfter(i64),
    /// The bucket is only counted.
    Count,
}

impl Write {
    /// Counts a failure and says how many there are now.
    pub(super) async fn count_failure(&self, bucket: &str, consequence: Consequence) -> Result<i64, DbErr> {
        let old = throttle::Entity::delete_many().filter(throttle::Column::WindowEndsAt.lte(self.now.0));
        old.filter(throttle::Column::BlockedUntil.lte(self.now.0)).exec(&self.tx).await?;
        let before = failures(&self.tx, bucket, self.now).await?;
        let failures = before + 1;
        let delay = match consequence {
            Consequence::LockAfter(_) if failures >= LOCK_FAILURES => WINDOW,
            Consequence::DelayAfter(free) | Consequence::LockAfter(free) => delay(failures - free),
            Consequence::Count => Duration::ZERO,
        };
        let row = throttle::ActiveModel {
            bucket: Set(bucket.to_owned()),
            failures: Set(failures),
            window_ends_at: Set(self.now.plus(WINDOW).0),
            blocked_until: Set(self.now.plus(delay).0),
        };
        let columns = [throttle::Column::Failures, throttle::Column::WindowEndsAt, throttle::Column::BlockedUntil];
        let upsert = OnConflict::column(throttle::Column::Bucket).update_columns(columns).to_owned();
        throttle::Entity::insert(row).on_conflict(upsert).exec_without_returning(&self.tx).await?;
        Ok(failures)
    }

    /// Takes back one failure that was none, and the delay it brought.
    pub(super) async fn take_back_failure(&self, bucket: &str) -> Result<(), DbErr> {
        let Some(row) = throttle::Entity::find_by_id(bucket.to_owned()).one(&self.tx).await? else {
            return Ok(());
        };
        let failures = row.failures - 1;
        if failures <= 0 {
            return self.forget_failures(bucket).await;
        }
        let mut row = row.into_active_model();
        row.failures = Set(failures);
        row.blocked_until = Set(self.now.0);
        row.update(&self.tx).await?;
        Ok(())
    }

    /// Forgets a bucket's failures after a success.
    pub(super) async fn forget_failures(&self, bucket: &str) -> Result<(), DbErr> {
        throttle::Entity::delete_by_id(bucket.to_owned()).exec(&self.tx).await?;
        Ok(())
    }
}

/// The delay after the failure that comes `doublings` after the last free one.
fn delay(doublings: i64) -> Duration {
    let Ok(doublings) = u32::try_from(doublings) else {
        return Duration::ZERO;
    };
    FIRST_DELAY.saturating_mul(2u32.saturating_pow(doublings)).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_end() {
        let seconds: Vec<u64> = (3..=14).map(|failures| delay(failures - FREE_FAILURES).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 15, 30, 60, 120, 240, 480, 900, 900, 900, 900]);
    }
}
