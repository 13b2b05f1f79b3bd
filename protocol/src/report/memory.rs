//! Memory, swap, and how long work waited for lack of something.

use serde::{Deserialize, Serialize};

use super::Fact;

/// Memory, swap and pressure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Main memory.
    pub ram: Fact<Ram>,
    /// Swap; a machine without any has a total of 0.
    pub swap: Fact<Swap>,
    /// How long work waited.
    pub pressure: Pressure,
}

/// Main memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ram {
    /// What the system can use.
    pub total_bytes: u64,
    /// What programs could still get without swapping, as the kernel estimates it.
    pub available_bytes: u64,
    /// Available of total: 0 to 100.
    pub available_percent: f64,
}

impl Ram {
    /// Main memory of `total_bytes`; `None` when there is none, or less than is available.
    pub fn count(total_bytes: u64, available_bytes: u64) -> Option<Self> {
        if total_bytes == 0 || available_bytes > total_bytes {
            return None;
        }
        Some(Self { total_bytes, available_bytes, available_percent: percent(available_bytes, total_bytes) })
    }
}

/// Swap space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Swap {
    /// All of it; 0 when there is none.
    pub total_bytes: u64,
    /// Taken.
    pub used_bytes: u64,
    /// Used of total; 0 when there is none.
    pub used_percent: f64,
}

impl Swap {
    /// Swap of `total_bytes`; `None` when more is free than exists.
    pub fn count(total_bytes: u64, free_bytes: u64) -> Option<Self> {
        let used_bytes = total_bytes.checked_sub(free_bytes)?;
        Some(Self { total_bytes, used_bytes, used_percent: percent(used_bytes, total_bytes) })
    }
}

/// How long work waited for lack of something (Linux pressure stall information).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// For a processor.
    pub cpu: Fact<Stall>,
    /// For memory.
    pub memory: Fact<Stall>,
    /// For input and output.
    pub io: Fact<Stall>,
}

/// Shares of time in which work waited, 0 to 100. `some`: at least one task waited; `full`: all of them did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// Some, over 10 s.
    pub some_avg10_percent: f64,
    /// Some, over 60 s.
    pub some_avg60_percent: f64,
    /// Some, over 300 s.
    pub some_avg300_percent: f64,
    /// Full, over 10 s; 0 for processors on kernels that do not say.
    pub full_avg10_percent: f64,
    /// Full, over 60 s.
    pub full_avg60_percent: f64,
    /// Full, over 300 s.
    pub full_avg300_percent: f64,
}

/// `part` of `whole` in percent; 0 of nothing.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Why, WhyKind};

    pub(crate) fn sample() -> Memory {
        let unknown = || Fact::Unknown(Why::new(WhyKind::NotOffered, "/proc/pressure"));
        Memory {
            ram: Fact::Known(Ram::count(1 << 30, 1 << 29).unwrap()),
            swap: Fact::Known(Swap::count(0, 0).unwrap()),
            pressure: Pressure { cpu: unknown(), memory: unknown(), io: unknown() },
        }
    }

    #[test]
    fn shares_of_nothing_are_zero_and_contradictions_are_refused() {
        assert_eq!(Swap::count(0, 0).unwrap().used_percent, 0.0);
        assert_eq!(Swap::count(200, 50).unwrap().used_percent, 75.0);
        assert_eq!(Swap::count(1, 2), None);
        assert_eq!(Ram::count(0, 0), None);
        assert_eq!(Ram::count(1, 2), None);
    }
}
