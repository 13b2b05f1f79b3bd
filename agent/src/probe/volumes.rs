//! File systems that count their own errors: ext4 in its superblock, Btrfs for each of its devices.

use std::io::{Read as _, Seek as _, SeekFrom};

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Fact, Private, Raw, Volume, Why, WhyKind};

use super::Root;

/// The mounted ones, and of the devices whose ext4 was found damaged those that are not mounted any more and were not
/// repaired. XFS keeps no count; the kernel's log tells of its errors.
pub fn look(root: &Root, damaged: &[String]) -> Result<BoundedVec<Volume<Raw>, 512>, Why> {
    let mounted = root.list(EXT4, EXT4).unwrap_or_default();
    let unmounted: Vec<_> =
        damaged.iter().filter(|name| !mounted.contains(name)).filter_map(|name| left_damaged(root, name)).collect();
    let found = [(EXT4, ext4 as fn(&Root, &str) -> Volume<Raw>), (BTRFS, btrfs)].map(|(dir, read)| {
        let names = root.list(dir, dir)?.into_iter().filter(|name| name != "features");
        Ok::<Vec<_>, Why>(names.map(|name| read(root, &name)).collect())
    });
    match found {
        [Err(why), Err(_)] if unmounted.is_empty() => Err(why),
        some => Ok(BoundedVec::truncating(some.into_iter().flatten().flatten().chain(unmounted)).0),
    }
}

const EXT4: &str = "/sys/fs/ext4";
const BTRFS: &str = "/sys/fs/btrfs";

/// Linux Documentation/ABI/testing/sysfs-fs-ext4: the count outlives restarts and is reset by e2fsck.
fn ext4(root: &Root, name: &str) -> Volume<Raw> {
    let number = |file: &str| root.number::<u64>(&format!("{EXT4}/{name}/{file}"), EXT4);
    let last = number("last_error_time").and_then(|seconds| match seconds {
        0 => Err(Why::new(WhyKind::NotApplicable, EXT4)),
        seconds => Ok(seconds),
    });
    Volume {
        name: Private::new(name),
        fs_type: Name::truncating("ext4"),
        errors: number("errors_count").into(),
        last_error_unix_s: last.into(),
        missing_devices: 0,
    }
}

/// What the ext4 on a device that is not mounted says of its errors; nothing where there is none, or neither device nor
/// file system any more.
fn left_damaged(root: &Root, name: &str) -> Option<Volume<Raw>> {
    let read = || {
        let mut block = [0; SUPERBLOCK_BYTES];
        let mut device = root.open(&format!("/dev/{name}"), DEVICE)?;
        let filled = device.seek(SeekFrom::Start(SUPERBLOCK_AT)).and_then(|_| device.read_exact(&mut block));
        filled.map_err(|e| super::why(&e, DEVICE)).map(|()| parse_superblock(&block))
    };
    let unknown = |why: Why| (Fact::Unknown(why.clone()), Fact::Unknown(why));
    let (errors, last_error_unix_s) = match read() {
        Ok(told) => {
            let (errors, last) = told.filter(|(errors, _)| *errors > 0)?;
            (Fact::Known(errors.into()), Fact::Known(last.into()))
        }
        Err(why) if why.kind == WhyKind::NotOffered => return None,
        Err(why) => unknown(why),
    };
    let (name, fs_type) = (Private::new(name), Name::truncating("ext4"));
    Some(Volume { name, fs_type, errors, last_error_unix_s, missing_devices: 0 })
}

const DEVICE: &str = "/dev";

/// Linux Documentation/filesystems/ext4/super.rst: the errors of an ext4, and when it met the last one in seconds since
/// 1970; nothing where it is none. One that is marked as damaged has met one at least.
pub fn parse_superblock(block: &[u8]) -> Option<(u32, u32)> {
    let bytes = |at: usize, length: usize| block.get(at..at + length);
    let number = |at| Some(u32::from_le_bytes(bytes(at, 4)?.try_into().ok()?));
    if bytes(0x38, 2)? != [0x53, 0xef] {
        return None;
    }
    let is_marked = bytes(0x3a, 1)?.first()? & 2 != 0;
    Some((number(0x194)?.max(is_marked.into()), number(0x1cc)?))
}

/// Where the superblock stands, and how much of it is read.
const SUPERBLOCK_AT: u64 = 1_024;
const SUPERBLOCK_BYTES: usize = 1_024;

/// Since Linux 5.14: a line for each kind of error in `devinfo/ID/error_stats`, and whether the device is missing.
fn btrfs(root: &Root, name: &str) -> Volume<Raw> {
    let dir = format!("{BTRFS}/{name}/devinfo");
    let devices = root.list(&dir, BTRFS);
    let missing = |id: &&String| root.number(&format!("{dir}/{id}/missing"), BTRFS) == Ok(1u8);
    let missing = devices.iter().flatten().filter(missing).count();
    let errors = devices.and_then(|ids| {
        ids.iter().try_fold(0u64, |sum, id| {
            let text = root.read_for(&format!("{dir}/{id}/error_stats"), BTRFS)?;
            let errors = parse_error_stats(&text).ok_or_else(|| Why::new(WhyKind::Malformed, BTRFS))?;
            Ok(sum.saturating_add(errors))
        })
    });
    Volume {
        name: Private::new(name),
        fs_type: Name::truncating("btrfs"),
        errors: errors.into(),
        last_error_unix_s: Fact::Unknown(Why::new(WhyKind::NotApplicable, BTRFS)),
        missing_devices: u32::try_from(missing).unwrap_or(u32::MAX),
    }
}

/// The sum of all kinds of errors; nothing when a line does not fit.
pub fn parse_error_stats(text: &str) -> Option<u64> {
    text.lines().try_fold(0u64, |sum, line| Some(sum.saturating_add(line.split_once(' ')?.1.trim().parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn errors_of_both_file_systems_are_counted() {
        let btrfs = "sys/fs/btrfs/0abb23a9-579b-43e6-ad30-227ef47fcb9d";
        let stats = "write_errs 1\nread_errs 2\nflush_errs 0\ncorruption_errs 4\ngeneration_errs 0\n";
        let path = |rest: &str| format!("{btrfs}/{rest}");
        let (one, two, gone) =
            (path("devinfo/1/error_stats"), path("devinfo/2/error_stats"), path("devinfo/2/missing"));
        let (_dir, root) = tree(&[
            ("sys/fs/ext4/features/x", ""),
            ("sys/fs/ext4/sda1/errors_count", "3\n"),
            ("sys/fs/ext4/sda1/last_error_time", "1700000000\n"),
            (&one, stats),
            (&two, stats),
            (&gone, "1\n"),
        ]);
        let volumes = look(&root, &[]).unwrap();
        assert_eq!((volumes[0].errors.known(), volumes[0].last_error_unix_s.known()), (Some(&3), Some(&1_700_000_000)));
        assert_eq!((volumes[1].errors.known(), volumes[1].missing_devices), (Some(&14), 1));
        assert_eq!(volumes.len(), 2);
    }

    #[test]
    fn no_count_is_unknown_and_not_none() {
        let (_dir, root) = tree(&[("sys/fs/btrfs/0abb23a9/label", "x\n")]);
        assert_eq!(look(&root, &[]).unwrap()[0].errors.why().unwrap().kind, WhyKind::NotOffered);
        let (_dir, root) = tree(&[("proc/stat", "")]);
        assert_eq!(look(&root, &[]).unwrap_err().kind, WhyKind::NotOffered);
    }

    #[test]
    fn a_damaged_ext4_is_told_of_after_it_was_unmounted_and_until_it_is_repaired() {
        let (dir, root) = tree(&[("sys/fs/ext4/sda1/errors_count", "1\n"), ("dev/sda2", ""), ("dev/sda3", "")]);
        let write = |name: &str, errors: u32, state: u8| {
            let mut disk = vec![0; 4_096];
            disk[1_024 + 0x38..1_024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
            disk[1_024 + 0x3a] = state;
            disk[1_024 + 0x194..1_024 + 0x198].copy_from_slice(&errors.to_le_bytes());
            disk[1_024 + 0x1cc..1_024 + 0x1d0].copy_from_slice(&1_700_000_000u32.to_le_bytes());
            std::fs::write(dir.path().join("dev").join(name), disk).unwrap();
        };
        let damaged = ["sda1", "sda2", "sda3", "gone"].map(str::to_owned);
        let seen = || {
            let volumes = look(&root, &damaged).unwrap();
            volumes.iter().map(|one| (one.name.reveal().to_owned(), one.errors.known().copied())).collect::<Vec<_>>()
        };
        write("sda2", 7, 3);
        write("sda3", 0, 2);
        let of = |name: &str, errors| (name.to_owned(), errors);
        assert_eq!(seen(), [of("sda1", Some(1)), of("sda2", Some(7)), of("sda3", Some(1))]);
        write("sda2", 0, 1);
        std::fs::write(dir.path().join("dev/sda3"), "no file system").unwrap();
        assert_eq!(seen(), [of("sda1", Some(1)), of("sda3", None)]);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*", block: Vec<u8>) {
            parse_error_stats(&text);
            parse_superblock(&block);
        }
    }
}
