//! The time of day, where it is not an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 by the system's clock; 0 for a clock that stands before.
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
