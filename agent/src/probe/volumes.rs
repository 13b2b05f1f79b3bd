//! File systems that count their own errors: ext4 in its superblock, Btrfs for each of its devices.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Fact, Private, Raw, Volume, Why, WhyKind};

use super::Root;

/// The mounted ones. XFS keeps no count; the kernel's log tells of its errors.
pub fn look(root: &Root) -> Result<BoundedVec<Volume<Raw>, 512>, Why> {
    let found = [(EXT4, ext4 as fn(&Root, &str) -> Volume<Raw>), (BTRFS, btrfs)].map(|(dir, read)| {
        let names = root.list(dir, dir)?.into_iter().filter(|name| name != "features");
        Ok::<Vec<_>, Why>(names.map(|name| read(root, &name)).collect())
    });
    match found {
        [Err(why), Err(_)] => Err(why),
        some => Ok(BoundedVec::truncating(some.into_iter().flatten().flatten()).0),
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
        let volumes = look(&root).unwrap();
        assert_eq!((volumes[0].errors.known(), volumes[0].last_error_unix_s.known()), (Some(&3), Some(&1_700_000_000)));
        assert_eq!((volumes[1].errors.known(), volumes[1].missing_devices), (Some(&14), 1));
        assert_eq!(volumes.len(), 2);
    }

    #[test]
    fn no_count_is_unknown_and_not_none() {
        let (_dir, root) = tree(&[("sys/fs/btrfs/0abb23a9/label", "x\n")]);
        assert_eq!(look(&root).unwrap()[0].errors.why().unwrap().kind, WhyKind::NotOffered);
        let (_dir, root) = tree(&[("proc/stat", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotOffered);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_error_stats(&text);
        }
    }
}
