//! How a system is kept: what failed, what waits to be done, what happened to it, and what guards it.

use serde::{Deserialize, Serialize};

use super::{Fact, Stage, Wire};
use crate::bounded::{BoundedVec, Name};

/// How the system is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Upkeep<S: Stage> {
    /// Services and other units that failed.
    pub failed_units: Fact<BoundedVec<Unit<S>, 128>>,
    /// Whether the system waits for a restart.
    pub restart: Fact<Restart>,
    /// Updates that wait to be installed.
    pub updates: Fact<Updates>,
    /// Packages that were left half installed.
    pub unfinished_packages: Fact<BoundedVec<Name, 64>>,
    /// Records of programs and kernels that crashed.
    pub crashes: Fact<Crashes>,
    /// What the kernel's log tells, by kind and without its words.
    pub kernel_log: Fact<KernelLog>,
    /// Signs of a firewall.
    pub firewall: Fact<Firewall>,
    /// Protection against malware that is running, by the names of its processes. Others may run unrecognised.
    pub antivirus: Fact<BoundedVec<Name, 16>>,
    /// Certificates of this machine's own servers.
    pub certificates: Fact<BoundedVec<Certificate<S>, 128>>,
    /// Services of Windows; not applicable elsewhere.
    pub services: Fact<Services>,
}

impl<S: Stage> Upkeep<S> {
    /// Nothing known, for one reason.
    pub fn unknown(why: &super::Why) -> Self {
        Self {
            failed_units: Fact::Unknown(why.clone()),
            restart: Fact::Unknown(why.clone()),
            updates: Fact::Unknown(why.clone()),
            unfinished_packages: Fact::Unknown(why.clone()),
            crashes: Fact::Unknown(why.clone()),
            kernel_log: Fact::Unknown(why.clone()),
            firewall: Fact::Unknown(why.clone()),
            antivirus: Fact::Unknown(why.clone()),
            certificates: Fact::Unknown(why.clone()),
            services: Fact::Unknown(why.clone()),
        }
    }
}

/// The services that the service control manager of Windows knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// Installed.
    pub installed: u32,
    /// Running at the moment.
    pub running: u32,
}

/// A systemd unit or a service of Windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Unit<S: Stage> {
    /// Its name, such as `cron.service` or `Spooler`; instances may carry names of people.
    pub name: S::Words,
}

/// Whether the system waits for a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Why; empty when it does not wait.
    pub reasons: BoundedVec<RestartReason, 4>,
    /// The newest kernel that is installed; not applicable where kernels are not installed in files.
    pub newest_kernel: Fact<Name>,
    /// Packages that asked for it.
    pub packages: BoundedVec<Name, 64>,
}

/// Why a system waits for a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartReason {
    /// An update said so (`reboot-required`).
    Asked,
    /// A newer kernel of the same flavour is installed.
    NewerKernel,
    /// The files of the running kernel are gone, so that it can load no more drivers.
    KernelRemoved,
}

/// Updates that wait, as far as the lists that the machine fetched last tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updates {
    /// All of them.
    pub pending: u32,
    /// Those that close security holes.
    pub security: u32,
    /// When the machine fetched its lists of packages last, in seconds since 1970 UTC.
    pub listed_unix_s: Fact<i64>,
    /// Whole days since then; what came out later is not counted.
    pub listed_days_ago: Fact<u32>,
}

/// Records of crashes that lie on this machine. Their contents are not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crashes {
    /// Reports of crashed programs (`/var/crash`).
    pub reports: Fact<u32>,
    /// Memory images of crashed programs (systemd-coredump).
    pub core_dumps: Fact<u32>,
    /// Last words of kernels that died (pstore).
    pub kernel_records: Fact<u32>,
}

/// What the kernel's log tells. The log itself does not travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelLog {
    /// Lines that were read.
    pub lines: u32,
    /// Time between the first and the last of them.
    pub span_seconds: u64,
    /// Whether it reaches back to the start of the system; the kernel overwrites what is oldest.
    pub is_whole: bool,
    /// Known troubles that occur in it, each once.
    pub troubles: BoundedVec<Trouble, 32>,
    /// Where it was read.
    pub source: LogSource,
}

/// Where the kernel's log was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// The kernel's own buffer (`/dev/kmsg`), in which nobody else speaks in its name.
    Kernel,
    /// The end of a text file that a log service wrote (`/var/log/kern.log` and others). Other programs may have written
    /// lines in the kernel's name.
    File,
}

/// A known trouble in the kernel's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Which.
    pub kind: TroubleKind,
    /// Lines that tell of it.
    pub times: u32,
    /// Time since the last of them; not applicable in a captured tree.
    pub last_seconds_ago: Fact<u64>,
}

/// The kinds of trouble that are recognised in the kernel's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// The kernel met a state it cannot handle (`Oops`, `general protection fault` in the kernel).
    Oops,
    /// An assertion of the kernel failed (`kernel BUG at`).
    Bug,
    /// The kernel gave up.
    Panic,
    /// A processor was stuck (soft or hard lockup, RCU stall).
    Lockup,
    /// A task waited for minutes.
    HungTask,
    /// The processor reported a fault of the hardware.
    MachineCheck,
    /// Memory reported an error (EDAC).
    MemoryError,
    /// A processor slowed down because it was too hot.
    Overheated,
    /// A disk could not be read or written.
    IoError,
    /// A SATA disk or its cable misbehaved.
    AtaError,
    /// An NVMe disk stopped answering and was reset.
    NvmeReset,
    /// ext4 found itself damaged.
    Ext4Error,
    /// XFS found itself damaged or shut down.
    XfsError,
    /// Btrfs found itself damaged.
    BtrfsError,
    /// The machine's memory ran out and a program was ended.
    OutOfMemory,
    /// A program touched memory that is not its own.
    Segfault,
    /// A USB port drew too much current.
    UsbOverCurrent,
    /// A USB device could not be recognised.
    UsbBroken,
    /// A network link went down.
    LinkDown,
    /// A server of a network file system did not answer.
    ServerSilent,
    /// A group of programs ran into its own limit on memory, and one of them was ended.
    GroupOutOfMemory,
}

impl TroubleKind {
    /// Every kind, in the order of the wire.
    pub const ALL: [Self; 21] = [
        Self::Oops,
        Self::Bug,
        Self::Panic,
        Self::Lockup,
        Self::HungTask,
        Self::MachineCheck,
        Self::MemoryError,
        Self::Overheated,
        Self::IoError,
        Self::AtaError,
        Self::NvmeReset,
        Self::Ext4Error,
        Self::XfsError,
        Self::BtrfsError,
        Self::OutOfMemory,
        Self::Segfault,
        Self::UsbOverCurrent,
        Self::UsbBroken,
        Self::LinkDown,
        Self::ServerSilent,
        Self::GroupOutOfMemory,
    ];

    /// The name as JSON and rules write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oops => "oops",
            Self::Bug => "bug",
            Self::Panic => "panic",
            Self::Lockup => "lockup",
            Self::HungTask => "hung_task",
            Self::MachineCheck => "machine_check",
            Self::MemoryError => "memory_error",
            Self::Overheated => "overheated",
            Self::IoError => "io_error",
            Self::AtaError => "ata_error",
            Self::NvmeReset => "nvme_reset",
            Self::Ext4Error => "ext4_error",
            Self::XfsError => "xfs_error",
            Self::BtrfsError => "btrfs_error",
            Self::OutOfMemory => "out_of_memory",
            Self::Segfault => "segfault",
            Self::UsbOverCurrent => "usb_over_current",
            Self::UsbBroken => "usb_broken",
            Self::LinkDown => "link_down",
            Self::ServerSilent => "server_silent",
            Self::GroupOutOfMemory => "group_out_of_memory",
        }
    }
}

/// Signs of a firewall. Its rules are not read: that would need more rights and mean more than it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// What shows that somebody set one up, such as `ufw`, `firewalld` or `iptables`.
    pub signs: BoundedVec<Name, 8>,
}

/// A certificate of a server of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Certificate<S: Stage> {
    /// Its file.
    pub path: S::Path,
    /// Whom it names.
    pub subject: S::Words,
    /// When it ends, in seconds since 1970 UTC.
    pub ends_unix_s: i64,
    /// Whole days until then; negative when it has ended.
    pub ends_in_days: i64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Masked, Shared, Why, WhyKind};

    pub(crate) fn sample() -> Upkeep<Shared> {
        let not_applicable = || Why::new(WhyKind::NotApplicable, "/dev/kmsg");
        Upkeep {
            failed_units: Fact::Known(BoundedVec::new()),
            restart: Fact::Known(Restart {
                reasons: BoundedVec::new(),
                newest_kernel: Fact::Known(Name::truncating("6.1.0")),
                packages: BoundedVec::new(),
            }),
            updates: Fact::Known(Updates {
                pending: 3,
                security: 0,
                listed_unix_s: Fact::Known(1_700_000_000),
                listed_days_ago: Fact::Known(0),
            }),
            unfinished_packages: Fact::Known(BoundedVec::new()),
            crashes: Fact::Known(Crashes {
                reports: Fact::Known(0),
                core_dumps: Fact::Known(0),
                kernel_records: Fact::Known(0),
            }),
            kernel_log: Fact::Known(KernelLog {
                lines: 800,
                span_seconds: 3_600,
                is_whole: true,
                troubles: vec![Trouble {
                    kind: TroubleKind::Segfault,
                    times: 1,
                    last_seconds_ago: Fact::Unknown(not_applicable()),
                }]
                .try_into()
                .unwrap(),
                source: LogSource::Kernel,
            }),
            firewall: Fact::Known(Firewall { signs: vec![Name::truncating("ufw")].try_into().unwrap() }),
            antivirus: Fact::Known(BoundedVec::new()),
            certificates: Fact::Known(
                vec![Certificate {
                    path: Masked::redacted("/etc/letsencrypt/live/host-1/cert.pem"),
                    subject: Masked::redacted("CN=host-1"),
                    ends_unix_s: 1_707_000_000,
                    ends_in_days: 81,
                }]
                .try_into()
                .unwrap(),
            ),
            services: Fact::Unknown(Why::new(WhyKind::NotApplicable, "systemd")),
        }
    }

    #[test]
    fn every_trouble_has_its_name_and_a_word_for_people() {
        for kind in TroubleKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.as_str()));
            assert!(crate::finding::word_for_people(kind.as_str()).is_some(), "{kind:?}");
        }
    }
}
