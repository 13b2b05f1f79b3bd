//! Operating system, processor, clock and processes.

use serde::{Deserialize, Serialize};

use super::{Fact, Hardware, Stage, Upkeep, Why, Wire};
use crate::bounded::{BoundedVec, Name};

/// The machine as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct System<S: Stage> {
    /// The distribution or edition.
    pub os: Fact<Os>,
    /// The kernel.
    pub kernel: Fact<Kernel>,
    /// The machine's own name.
    pub host: Fact<S::Host>,
    /// Time since the system started.
    pub uptime_seconds: Fact<u64>,
    /// Processors the system may use.
    pub cpu_count: Fact<u32>,
    /// What the processors did while the survey watched.
    pub cpu_use: Fact<CpuUse>,
    /// Run queue averages.
    pub load: Fact<Load>,
    /// The clock and who keeps it right.
    pub clock: Fact<Clock>,
    /// Processes that exist.
    pub process_count: Fact<u32>,
    /// The processes with the most memory, largest first.
    pub largest_processes: Fact<BoundedVec<Process<S>, 16>>,
    /// Processes that do not get on.
    pub process_states: Fact<ProcessStates<S>>,
    /// Files that all programs together have open.
    pub handles: Fact<Handles>,
    /// Processes and threads, against the most there may be.
    pub tasks: Fact<Tasks>,
    /// Sensors and supplies.
    pub hardware: Hardware<S>,
    /// What failed, waits, happened and guards.
    pub upkeep: Upkeep<S>,
    /// The processes that used the processors most while the survey watched, busiest first, only those that did.
    pub busiest_processes: Fact<BoundedVec<BusyProcess<S>, 16>>,
    /// Time from the start of the first program until the system had started its services, at the latest start.
    pub boot_seconds: Fact<u32>,
}

impl<S: Stage> System<S> {
    /// Nothing known, for one reason.
    pub fn unknown(why: &Why) -> Self {
        Self {
            os: Fact::Unknown(why.clone()),
            kernel: Fact::Unknown(why.clone()),
            host: Fact::Unknown(why.clone()),
            uptime_seconds: Fact::Unknown(why.clone()),
            cpu_count: Fact::Unknown(why.clone()),
            cpu_use: Fact::Unknown(why.clone()),
            load: Fact::Unknown(why.clone()),
            clock: Fact::Unknown(why.clone()),
            process_count: Fact::Unknown(why.clone()),
            largest_processes: Fact::Unknown(why.clone()),
            process_states: Fact::Unknown(why.clone()),
            handles: Fact::Unknown(why.clone()),
            tasks: Fact::Unknown(why.clone()),
            hardware: Hardware::unknown(why),
            upkeep: Upkeep::unknown(why),
            busiest_processes: Fact::Unknown(why.clone()),
            boot_seconds: Fact::Unknown(why.clone()),
        }
    }
}

/// Processes that do not get on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct ProcessStates<S: Stage> {
    /// Those that ended and whose parents have not noticed.
    pub zombies: u32,
    /// Those that waited for a device or server, and could not be interrupted, in both of two samples.
    pub stuck: u32,
    /// The names of some that are stuck.
    pub stuck_names: BoundedVec<S::Words, 8>,
}

/// Files that are open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handles {
    /// Open.
    pub open: u64,
    /// The most there may be.
    pub limit: u64,
    /// Open of the most: 0 to 100.
    pub used_percent: f64,
}

/// Processes and threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tasks {
    /// There are.
    pub count: u64,
    /// There may be: the smaller of the bounds on numbers and on threads.
    pub limit: u64,
    /// Of the most: 0 to 100.
    pub used_percent: f64,
}

/// The distribution or edition of the operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// The name as its maker writes it, such as `Debian GNU/Linux 12 (bookworm)`.
    pub name: Name,
    /// A short lower-case name, such as `debian` or `windows`.
    pub id: Name,
    /// The version alone; empty for rolling releases.
    pub version: Name,
}

/// The kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// What `uname -r` prints.
    pub release: Name,
    /// What the agent was built for, such as `x86_64`.
    pub architecture: Name,
}

/// What the processors did between two samples, as shares of the time of all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuUse {
    /// Working for programs or the kernel: 0 to 100.
    pub busy_percent: f64,
    /// Idle because of unfinished input and output; Windows does not count it.
    pub iowait_percent: Fact<f64>,
    /// Taken by the hypervisor for other machines; Windows does not count it.
    pub steal_percent: Fact<f64>,
    /// Time between the two samples.
    pub sampled_ms: u32,
}

/// Run queue averages as `uptime` prints them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Over one minute.
    pub one_minute: f64,
    /// Over five minutes.
    pub five_minutes: f64,
    /// Over fifteen minutes.
    pub fifteen_minutes: f64,
}

/// The system clock as the kernel's discipline sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Whether the kernel believes that somebody keeps the clock right.
    pub synchronisation: Synchronisation,
    /// The largest error the kernel allows for; grows without end while nobody corrects the clock.
    pub max_error_us: u64,
}

/// Whether somebody keeps the clock right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronisation {
    /// A time service corrects it.
    Synchronised,
    /// Nobody does.
    Unsynchronised,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Process<S: Stage> {
    /// The name of its program; its arguments are not read.
    pub name: S::Words,
    /// Resident memory, shared pages counted in full.
    pub resident_bytes: u64,
}

/// A process that used the processors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct BusyProcess<S: Stage> {
    /// The name of its program; its arguments are not read.
    pub name: S::Words,
    /// Share of one processor, as `top` shows it: more than 100 when it uses several.
    pub cpu_percent: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Masked, Shared, Why, WhyKind, hardware, upkeep};

    pub(crate) fn sample() -> System<Shared> {
        System {
            os: Fact::Known(Os {
                name: Name::truncating("Debian GNU/Linux 12 (bookworm)"),
                id: Name::truncating("debian"),
                version: Name::truncating("12"),
            }),
            kernel: Fact::Known(Kernel {
                release: Name::truncating("6.1.0"),
                architecture: Name::truncating("x86_64"),
            }),
            host: Fact::Known(Masked::redacted("host-1")),
            uptime_seconds: Fact::Known(3_600),
            cpu_count: Fact::Known(2),
            cpu_use: Fact::Known(CpuUse {
                busy_percent: 12.5,
                iowait_percent: Fact::Known(0.0),
                steal_percent: Fact::Known(0.0),
                sampled_ms: 200,
            }),
            load: Fact::Known(Load { one_minute: 0.5, five_minutes: 0.25, fifteen_minutes: 0.125 }),
            clock: Fact::Known(Clock { synchronisation: Synchronisation::Synchronised, max_error_us: 1_000 }),
            process_count: Fact::Unknown(Why::new(WhyKind::NotOffered, "/proc")),
            largest_processes: Fact::Known(
                vec![Process { name: Masked::redacted("postgres"), resident_bytes: 1 << 20 }].try_into().unwrap(),
            ),
            process_states: Fact::Known(ProcessStates {
                zombies: 1,
                stuck: 1,
                stuck_names: vec![Masked::redacted("jbd2")].try_into().unwrap(),
            }),
            handles: Fact::Known(Handles { open: 10, limit: 1_000, used_percent: 1.0 }),
            tasks: Fact::Known(Tasks { count: 100, limit: 10_000, used_percent: 1.0 }),
            hardware: hardware::tests::sample(),
            upkeep: upkeep::tests::sample(),
            busiest_processes: Fact::Known(
                vec![BusyProcess { name: Masked::redacted("postgres"), cpu_percent: 12.5 }].try_into().unwrap(),
            ),
            boot_seconds: Fact::Known(14),
        }
    }
}
