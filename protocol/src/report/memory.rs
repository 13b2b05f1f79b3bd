//! Memory, swap, and how long work waited for lack of something.

use serde::{Deserialize, Serialize};

use super::{Fact, Stage, Why, Wire};
use crate::bounded::BoundedVec;

/// Memory, swap and pressure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Memory<S: Stage> {
    /// Main memory.
    pub ram: Fact<Ram>,
    /// Swap; a machine without any has a total of 0.
    pub swap: Fact<Swap>,
    /// How long work waited.
    pub pressure: Pressure,
    /// What was promised to programs.
    pub commit: Fact<Commit>,
    /// How fast pages go to swap and come back.
    pub swap_rate: Fact<SwapRate>,
    /// What still has to be written to disks.
    pub writeback: Fact<Writeback>,
    /// Memory set aside in large pages.
    pub huge_pages: Fact<HugePages>,
    /// Memory that programs share, and files that are kept in memory.
    pub shared_bytes: Fact<u64>,
    /// Programs that were ended because memory ran out, since the system started.
    pub oom_kills: Fact<u64>,
    /// Groups of programs that have a limit of their own or lost a program to one.
    pub groups: Fact<BoundedVec<MemoryGroup<S>, 128>>,
    /// Errors that memory with parity found.
    pub ecc: Fact<Ecc>,
}

impl<S: Stage> Memory<S> {
    /// Nothing known, for one reason.
    pub fn unknown(why: &Why) -> Self {
        Self {
            ram: Fact::Unknown(why.clone()),
            swap: Fact::Unknown(why.clone()),
            pressure: Pressure {
                cpu: Fact::Unknown(why.clone()),
                memory: Fact::Unknown(why.clone()),
                io: Fact::Unknown(why.clone()),
            },
            commit: Fact::Unknown(why.clone()),
            swap_rate: Fact::Unknown(why.clone()),
            writeback: Fact::Unknown(why.clone()),
            huge_pages: Fact::Unknown(why.clone()),
            shared_bytes: Fact::Unknown(why.clone()),
            oom_kills: Fact::Unknown(why.clone()),
            groups: Fact::Unknown(why.clone()),
            ecc: Fact::Unknown(why.clone()),
        }
    }
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

/// What was promised to programs, whether they use it or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Promised.
    pub committed_bytes: u64,
    /// What may be promised; binding only under [`Overcommit::Never`].
    pub limit_bytes: u64,
    /// Promised of what may be promised; passes 100 where the limit does not bind.
    pub used_percent: f64,
    /// Whether the kernel promises more than it has.
    pub policy: Overcommit,
}

impl Commit {
    /// A promise of `committed_bytes` of `limit_bytes`.
    pub fn count(committed_bytes: u64, limit_bytes: u64, policy: Overcommit) -> Self {
        Self { committed_bytes, limit_bytes, used_percent: percent(committed_bytes, limit_bytes), policy }
    }
}

/// Whether the kernel promises more memory than it has (proc_sys_vm(5), `overcommit_memory`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overcommit {
    /// Within reason.
    Heuristic,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Pages that went to swap and came back between two samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwapRate {
    /// Pages a second that came back.
    pub in_pages_per_second: f64,
    /// Pages a second that went out.
    pub out_pages_per_second: f64,
    /// Time between the two samples.
    pub sampled_ms: u32,
}

/// What still has to be written to disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writeback {
    /// Waits to be written.
    pub dirty_bytes: u64,
    /// Is being written.
    pub writing_bytes: u64,
}

/// Memory set aside in large pages of the default size; nothing else can use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugePages {
    /// All of it.
    pub total_bytes: u64,
    /// Not in use.
    pub free_bytes: u64,
}

/// A group of programs with a limit on its memory (Linux cgroups of either version).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct MemoryGroup<S: Stage> {
    /// Its path below the hierarchy's root; may hold names of people and containers.
    pub path: S::Path,
    /// The limit; not applicable where there is none.
    pub limit_bytes: Fact<u64>,
    /// In use, without what could be dropped at once: the working set that Kubernetes counts.
    pub used_bytes: Fact<u64>,
    /// Used of the limit; not applicable without one.
    pub used_percent: Fact<f64>,
    /// Programs that were ended because the group had no memory left.
    pub oom_kills: Fact<u64>,
    /// How often the group ran into its limit.
    pub limit_hits: Fact<u64>,
}

/// Errors that memory with parity found (Linux EDAC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ecc {
    /// Memory controllers that tell of errors.
    pub controllers: u32,
    /// Errors that were corrected since the system started.
    pub corrected: u64,
    /// Errors that were not.
    pub uncorrected: u64,
}

/// `part` of `whole` in percent; 0 of nothing.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Masked, Shared, WhyKind};

    pub(crate) fn sample() -> Memory<Shared> {
        let unknown = || Fact::Unknown(Why::new(WhyKind::NotOffered, "/proc/pressure"));
        Memory {
            ram: Fact::Known(Ram::count(1 << 30, 1 << 29).unwrap()),
            swap: Fact::Known(Swap::count(0, 0).unwrap()),
            pressure: Pressure { cpu: unknown(), memory: unknown(), io: unknown() },
            commit: Fact::Known(Commit::count(1 << 29, 1 << 30, Overcommit::Heuristic)),
            swap_rate: Fact::Known(SwapRate { in_pages_per_second: 0.0, out_pages_per_second: 0.0, sampled_ms: 200 }),
            writeback: Fact::Known(Writeback { dirty_bytes: 4_096, writing_bytes: 0 }),
            huge_pages: Fact::Known(HugePages { total_bytes: 0, free_bytes: 0 }),
            shared_bytes: Fact::Known(1 << 20),
            oom_kills: Fact::Known(0),
            groups: Fact::Known(
                vec![MemoryGroup {
                    path: Masked::redacted("/system.slice"),
                    limit_bytes: Fact::Known(200),
                    used_bytes: Fact::Known(100),
                    used_percent: Fact::Known(50.0),
                    oom_kills: Fact::Known(0),
                    limit_hits: Fact::Known(1),
                }]
                .try_into()
                .unwrap(),
            ),
            ecc: Fact::Known(Ecc { controllers: 1, corrected: 0, uncorrected: 0 }),
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
