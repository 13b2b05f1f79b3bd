//! What lies below mounted file systems: their own error counts, block devices and arrays.

use serde::{Deserialize, Serialize};

use super::{Fact, Stage, Wire};
use crate::bounded::{BoundedVec, Name};

/// A file system that counts its own errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Volume<S: Stage> {
    /// The kernel's name for its device, or its own id.
    pub name: S::Words,
    /// The file system: `ext4` or `btrfs`.
    pub fs_type: Name,
    /// Errors since they were last reset, over restarts.
    pub errors: Fact<u64>,
    /// When the latest was seen, in seconds since 1970 UTC; not applicable where there is none or no time is kept.
    pub last_error_unix_s: Fact<u64>,
    /// Devices that belong to it and are gone.
    pub missing_devices: u32,
}

/// A whole disk, or what the kernel treats as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct BlockDevice<S: Stage> {
    /// The kernel's name, such as `sda` or `nvme0n1`.
    pub name: Name,
    /// What its maker calls it.
    pub model: Fact<S::Words>,
    /// Its serial number.
    pub serial: Fact<S::Serial>,
    /// All of it.
    pub size_bytes: u64,
    /// Whether it has moving parts.
    pub medium: Fact<Medium>,
    /// Whether it can be taken out.
    pub removable: Fact<bool>,
    /// Whether the device itself refuses writes.
    pub read_only: Fact<bool>,
    /// What it did while the survey watched.
    pub activity: Fact<Activity>,
    /// What it says of its own health; not applicable to what has no such voice.
    pub health: Fact<Health>,
}

/// Whether a device has moving parts, as the kernel believes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// It turns; also what virtual disks without an opinion claim.
    Rotational,
    /// It does not.
    Solid,
}

/// What a block device did between two samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Requests that were finished.
    pub requests: u64,
    /// Mean time of a finished request, waiting included; not applicable when there was none.
    pub await_ms: Fact<f64>,
    /// Share of the time in which at least one request was open: 0 to 100.
    pub busy_percent: f64,
    /// Mean number of requests that were open.
    pub queue_length: f64,
    /// Bytes read in a second.
    pub read_bytes_per_second: f64,
    /// Bytes written in a second.
    pub written_bytes_per_second: f64,
    /// Time between the two samples.
    pub sampled_ms: u32,
}

/// What a disk says of its own health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The disk's own verdict.
    pub verdict: Verdict,
    /// Why, as far as the disk says it.
    pub warnings: BoundedVec<HealthWarning, 8>,
    /// Wear in percent of what it was built for; passes 100 up to 255. Flash alone.
    pub wear_percent: Fact<u8>,
    /// Spare blocks that are left. NVMe alone.
    pub spare_percent: Fact<u8>,
    /// Below this many spare blocks the maker calls the disk unreliable. NVMe alone.
    pub spare_threshold_percent: Fact<u8>,
    /// Errors of the medium that could not be corrected, or sectors that cannot be read.
    pub media_errors: Fact<u64>,
    /// Sectors replaced by spare ones. SMART of ATA alone.
    pub reallocated_sectors: Fact<u64>,
    /// The warmest of its parts that it tells of.
    pub temperature_celsius: Fact<i16>,
    /// Time for which it has been switched on.
    pub power_on_hours: Fact<u64>,
}

/// A disk's verdict on itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It sees no danger.
    Passed,
    /// It expects to fail, or warns of something critical.
    Failing,
}

/// A critical warning of NVMe (NVM Express Base Specification, SMART / Health Information Log, byte 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthWarning {
    /// Bit 0: fewer spare blocks than the threshold.
    SpareLow,
    /// Bit 1: too hot or too cold.
    Temperature,
    /// Bit 2: media or internal errors made it unreliable.
    Unreliable,
    /// Bit 3: it accepts no more writes.
    ReadOnly,
    /// Bit 4: the memory that outlives a power cut failed.
    BackupFailed,
    /// Bit 5: its persistent memory region does so.
    PersistentMemory,
}

impl HealthWarning {
    /// Every warning, at the place of its bit.
    pub const ALL: [Self; 6] = [
        Self::SpareLow,
        Self::Temperature,
        Self::Unreliable,
        Self::ReadOnly,
        Self::BackupFailed,
        Self::PersistentMemory,
    ];
}

/// A software array of disks (Linux md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Array {
    /// The kernel's name, such as `md0`.
    pub name: Name,
    /// How it is put together, such as `raid1`; empty when it is not running.
    pub level: Name,
    /// Whether it runs.
    pub state: ArrayState,
    /// Disks it should have; 0 for levels that can lose none.
    pub wanted: u32,
    /// Disks of those that work.
    pub working: u32,
    /// Disks that were thrown out because they failed.
    pub failed: u32,
    /// What it is busy with.
    pub work: ArrayWork,
    /// How far that work is; not applicable while it waits or there is none.
    pub progress_percent: Fact<f64>,
}

/// Whether an array runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrayState {
    /// It does.
    Active,
    /// Its disks are known, but it was not started.
    Inactive,
}

/// What an array is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrayWork {
    /// Nothing.
    Idle,
    /// Makes its copies the same again.
    Resync,
    /// Fills a new disk.
    Recovery,
    /// Changes its form.
    Reshape,
    /// Compares its copies.
    Check,
}

/// When a file system will be full if it goes on as before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Growth; negative when it shrinks.
    pub bytes_per_day: f64,
    /// Days until nothing is left; not applicable when it does not grow.
    pub full_in_days: Fact<f64>,
    /// Time over which the samples were taken.
    pub watched_hours: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Masked, Shared, Why, WhyKind};

    pub(crate) fn volume() -> Volume<Shared> {
        Volume {
            name: Masked::redacted("sda1"),
            fs_type: Name::truncating("ext4"),
            errors: Fact::Known(0),
            last_error_unix_s: Fact::Unknown(Why::new(WhyKind::NotApplicable, "/sys/fs/ext4")),
            missing_devices: 0,
        }
    }

    pub(crate) fn block_device() -> BlockDevice<Shared> {
        let unknown = || Why::new(WhyKind::NotApplicable, "nvme");
        BlockDevice {
            name: Name::truncating("nvme0n1"),
            model: Fact::Known(Masked::redacted("Disk 1000")),
            serial: Fact::Known(Masked::redacted("serial-1")),
            size_bytes: 1 << 40,
            medium: Fact::Known(Medium::Solid),
            removable: Fact::Known(false),
            read_only: Fact::Known(false),
            activity: Fact::Known(Activity {
                requests: 10,
                await_ms: Fact::Known(0.5),
                busy_percent: 1.5,
                queue_length: 0.25,
                read_bytes_per_second: 20_000.0,
                written_bytes_per_second: 4_096.0,
                sampled_ms: 200,
            }),
            health: Fact::Known(Health {
                verdict: Verdict::Passed,
                warnings: BoundedVec::new(),
                wear_percent: Fact::Known(3),
                spare_percent: Fact::Known(100),
                spare_threshold_percent: Fact::Known(10),
                media_errors: Fact::Known(0),
                reallocated_sectors: Fact::Unknown(unknown()),
                temperature_celsius: Fact::Known(40),
                power_on_hours: Fact::Known(1_000),
            }),
        }
    }

    pub(crate) fn array() -> Array {
        Array {
            name: Name::truncating("md0"),
            level: Name::truncating("raid1"),
            state: ArrayState::Active,
            wanted: 2,
            working: 2,
            failed: 0,
            work: ArrayWork::Idle,
            progress_percent: Fact::Unknown(Why::new(WhyKind::NotApplicable, "/proc/mdstat")),
        }
    }
}
