//! Mounted file systems and the disks below them.

use serde::{Deserialize, Serialize};

use super::{Array, BlockDevice, Fact, Forecast, Stage, Volume, Why, Wire};
use crate::bounded::{BoundedVec, Name};

/// Mounted file systems and the disks below them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Disk<S: Stage> {
    /// The file systems that `df` would count, by mount point.
    pub mounts: Fact<BoundedVec<Mount<S>, 512>>,
    /// Further mounts that did not fit.
    pub left_out: u32,
    /// The file systems that count their own errors.
    pub volumes: Fact<BoundedVec<Volume<S>, 512>>,
    /// Disks, and what the kernel treats as one.
    pub block_devices: Fact<BoundedVec<BlockDevice<S>, 256>>,
    /// Software arrays; not applicable while the kernel has none loaded.
    pub arrays: Fact<BoundedVec<Array, 64>>,
}

impl<S: Stage> Disk<S> {
    /// Nothing known, for one reason.
    pub fn unknown(why: &Why) -> Self {
        Self {
            mounts: Fact::Unknown(why.clone()),
            left_out: 0,
            volumes: Fact::Unknown(why.clone()),
            block_devices: Fact::Unknown(why.clone()),
            arrays: Fact::Unknown(why.clone()),
        }
    }
}

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Mount<S: Stage> {
    /// Where it is mounted.
    pub mount_point: S::Path,
    /// What is mounted: a device, a server's share, or a made-up word.
    pub device: S::Path,
    /// Where its data is.
    pub device_kind: DeviceKind,
    /// The file system, such as `ext4` or `nfs4`.
    pub fs_type: Name,
    /// Whether it can be written to.
    pub access: Access,
    /// Whether it answered when asked for its space.
    pub response: Response,
    /// Bytes.
    pub space: Fact<Space>,
    /// Files it can hold; not applicable where there is no fixed number.
    pub inodes: Fact<Inodes>,
    /// Mount options, one each.
    pub options: BoundedVec<S::Words, 64>,
    /// When it will be full.
    pub forecast: Fact<Forecast>,
}

/// Where the data of a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A disk or partition of this machine.
    Local,
    /// A server.
    Network,
    /// Memory.
    Memory,
    /// Other directories, laid over each other.
    Overlay,
    /// A program.
    Fuse,
    /// A file or disc that is full by nature: squashfs, ISO 9660 and the like.
    Image,
}

/// Whether a file system can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It can.
    ReadWrite,
    /// It was mounted, or remounted, for reading only.
    ReadOnly,
    /// The kernel stopped writing after an error (`emergency_ro`), although the mount still claims to be writable.
    EmergencyReadOnly,
}

/// Whether a file system answered when asked for its space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// It did, with figures or with an error.
    Answered,
    /// It did not before the deadline: as a rule a server or disk that is gone.
    Hung,
    /// It was not asked.
    NotAsked,
}

/// Bytes of a file system, as `df` counts them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// All of it.
    pub size_bytes: u64,
    /// Taken.
    pub used_bytes: u64,
    /// Left for ordinary users; what is reserved for root is in neither figure.
    pub available_bytes: u64,
    /// used / (used + available), rounded up, as `df` prints it: 0 to 100.
    pub used_percent: u8,
}

impl Space {
    /// Counts as `df` does: from statvfs's fragment size and its blocks in all, free, and free for ordinary users. `None`
    /// when the figures contradict each other.
    pub fn count(fragment_bytes: u64, blocks: u64, free: u64, available: u64) -> Option<Self> {
        let used = blocks.checked_sub(free)?;
        Some(Self {
            size_bytes: blocks.checked_mul(fragment_bytes)?,
            used_bytes: used.checked_mul(fragment_bytes)?,
            available_bytes: available.checked_mul(fragment_bytes)?,
            used_percent: percent_up(used, available),
        })
    }
}

/// Files of a file system with a fixed number of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inodes {
    /// All of them.
    pub total: u64,
    /// Taken.
    pub used: u64,
    /// Left.
    pub free: u64,
    /// Rounded up, as `df -i` prints it: 0 to 100.
    pub used_percent: u8,
}

impl Inodes {
    /// Counts as `df -i` does. `None` when more are free than exist.
    pub fn count(total: u64, free: u64) -> Option<Self> {
        let used = total.checked_sub(free)?;
        Some(Self { total, used, free, used_percent: percent_up(used, free) })
    }
}

/// used / (used + available) in percent, rounded up; 0 when both are 0.
fn percent_up(used: u64, available: u64) -> u8 {
    let all = u128::from(used) + u128::from(available);
    if all == 0 {
        return 0;
    }
    u8::try_from((u128::from(used) * 100).div_ceil(all)).unwrap_or(100)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Masked, Shared, Why, WhyKind, block};

    pub(crate) fn sample() -> Disk<Shared> {
        let mount = Mount {
            mount_point: Masked::redacted("/"),
            device: Masked::redacted("/dev/sda1"),
            device_kind: DeviceKind::Local,
            fs_type: Name::truncating("ext4"),
            access: Access::ReadWrite,
            response: Response::Answered,
            space: Fact::Known(Space { size_bytes: 200, used_bytes: 20, available_bytes: 80, used_percent: 20 }),
            inodes: Fact::Unknown(Why::new(WhyKind::NotApplicable, "statvfs").with_os_error(Some(-2))),
            options: vec![Masked::redacted("rw"), Masked::redacted("relatime")].try_into().unwrap(),
            forecast: Fact::Known(Forecast {
                bytes_per_day: 1.0,
                full_in_days: Fact::Known(80.0),
                watched_hours: 48.0,
            }),
        };
        Disk {
            mounts: Fact::Known(vec![mount].try_into().unwrap()),
            left_out: 0,
            volumes: Fact::Known(vec![block::tests::volume()].try_into().unwrap()),
            block_devices: Fact::Known(vec![block::tests::block_device()].try_into().unwrap()),
            arrays: Fact::Known(vec![block::tests::array()].try_into().unwrap()),
        }
    }

    #[test]
    fn used_percent_is_what_df_says_not_total_minus_available() {
        // A file system whose project quota hides most of it: total minus available would be 72 %.
        let space = Space::count(4096, 1_000_000, 910_000, 285_000).unwrap();
        assert_eq!(space.used_percent, 24);
        for (used, available, percent) in
            [(0, 0, 0), (0, 10, 0), (1, 1_000_000, 1), (99, 1, 99), (991, 9, 100), (10, 0, 100), (1, 2, 34)]
        {
            assert_eq!(percent_up(used, available), percent, "{used} {available}");
        }
    }

    #[test]
    fn contradicting_figures_are_no_figures() {
        assert_eq!(Space::count(4096, 10, 11, 5), None);
        assert_eq!(Space::count(u64::MAX, 10, 1, 5), None);
        assert_eq!(Inodes::count(1, 2), None);
        assert_eq!(Space::count(1, u64::MAX, 0, u64::MAX).unwrap().used_percent, 50);
    }
}
