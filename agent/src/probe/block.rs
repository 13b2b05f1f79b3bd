//! Block devices: what they are, and what they do between two samples.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Activity, BlockDevice, Fact, Medium, Private, Raw, Why, WhyKind};

use super::Root;

/// Every device with a size. Its health is asked for elsewhere, because it may need rights and may hang.
pub fn look(root: &Root, pause: Duration) -> Result<BoundedVec<BlockDevice<Raw>, 256>, Why> {
    let names = root.list(BLOCK, BLOCK)?;
    let activity = watch(root, pause);
    let devices = names.into_iter().filter_map(|name| {
        let sectors: u64 = root.number(&format!("{BLOCK}/{name}/size"), BLOCK).ok().filter(|sectors| *sectors > 0)?;
        let flag = |file: &str| root.number::<u8>(&format!("{BLOCK}/{name}/{file}"), BLOCK).map(|flag| flag != 0);
        let words =
            |file: &str| root.read_for(&format!("{BLOCK}/{name}/{file}"), BLOCK).map(|text| text.trim().to_owned());
        let serial = words("serial").or_else(|_| words("device/serial"));
        let serial = serial.or_else(|_| words("device/vpd_pg80").map(|page| parse_vpd(&page)));
        Some(BlockDevice {
            model: words("device/model").map(Private::new).into(),
            serial: serial.map(Private::new).into(),
            size_bytes: sectors.saturating_mul(SECTOR_BYTES),
            medium: flag("queue/rotational").map(|turns| if turns { Medium::Rotational } else { Medium::Solid }).into(),
            removable: flag("removable").into(),
            read_only: flag("ro").into(),
            activity: match &activity {
                Ok(all) => all.get(&name).cloned().ok_or_else(|| Why::new(WhyKind::NotOffered, DISKSTATS)).into(),
                Err(why) => Fact::Unknown(why.clone()),
            },
            health: Fact::Unknown(Why::new(voice(&name), "smart")),
            name: Name::truncating(name),
        })
    });
    Ok(BoundedVec::truncating(devices).0)
}

const BLOCK: &str = "/sys/block";
const DISKSTATS: &str = "/proc/diskstats";

/// Sectors of sysfs have this size whatever the device's own have.
const SECTOR_BYTES: u64 = 512;

/// Why nothing is known yet of the health of a device of this name: disks behind the SCSI layer are asked through
/// another program; what is not made of hardware has nothing to say.
fn voice(name: &str) -> WhyKind {
    if name.starts_with("sd") || name.starts_with("nvme") { WhyKind::NotAsked } else { WhyKind::NotApplicable }
}

/// The serial number in page 0x80 of the vital product data (SPC-4, 7.8.15): four bytes before it.
fn parse_vpd(page: &str) -> String {
    page.chars().skip(4).filter(|c| c.is_ascii_graphic()).collect()
}

/// What each device does for `pause`. One sample says nothing, so a captured tree has no answer.
fn watch(root: &Root, pause: Duration) -> Result<BTreeMap<String, Activity>, Why> {
    root.live_only(DISKSTATS)?;
    let (before, started) = (parse_diskstats(&root.read(DISKSTATS)?), Instant::now());
    std::thread::sleep(pause);
    let (after, elapsed) = (parse_diskstats(&root.read(DISKSTATS)?), started.elapsed());
    let both = after.into_iter().filter_map(|(name, after)| {
        let activity = between(*before.get(&name)?, after, elapsed)?;
        Some((name, activity))
    });
    Ok(both.collect())
}

/// What a device has done since the system started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Reads and writes that were finished.
    requests: u64,
    /// Time that they took together.
    request_ms: u64,
    /// Time in which at least one was open.
    busy_ms: u64,
    /// Time weighted with the number that were open.
    weighted_ms: u64,
    read_sectors: u64,
    written_sectors: u64,
}

/// Understands `/proc/diskstats` (Linux Documentation/admin-guide/iostats.rst); lines that do not fit are left out.
pub fn parse_diskstats(text: &str) -> BTreeMap<String, Done> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let name = fields.next()?.to_owned();
        let figures: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
        // Reads, merged, sectors, ms; the same for writes; open now, busy ms, weighted ms.
        let [reads, _, read_sectors, read_ms, writes, _, written_sectors, write_ms, _, busy_ms, weighted_ms, ..] =
            figures[..]
        else {
            return None;
        };
        let (requests, request_ms) = (reads.checked_add(writes)?, read_ms.checked_add(write_ms)?);
        Some((name, Done { requests, request_ms, busy_ms, weighted_ms, read_sectors, written_sectors }))
    };
    text.lines().filter_map(line).collect()
}

/// The difference of two samples; nothing when no time passed or the counters ran backwards.
fn between(before: Done, after: Done, elapsed: Duration) -> Option<Activity> {
    let elapsed_ms = elapsed.as_secs_f64() * 1_000.0;
    let requests = after.requests.checked_sub(before.requests)?;
    let request_ms = after.request_ms.checked_sub(before.request_ms)?;
    let busy_ms = after.busy_ms.checked_sub(before.busy_ms)?;
    let weighted_ms = after.weighted_ms.checked_sub(before.weighted_ms)?;
    let bytes_per_second = |before: u64, after: u64| {
        Some(after.checked_sub(before)?.saturating_mul(SECTOR_BYTES) as f64 * 1_000.0 / elapsed_ms)
    };
    let read = bytes_per_second(before.read_sectors, after.read_sectors)?;
    let written = bytes_per_second(before.written_sectors, after.written_sectors)?;
    (elapsed_ms > 0.0).then(|| Activity {
        requests,
        await_ms: match requests {
            0 => Fact::Unknown(Why::new(WhyKind::NotApplicable, DISKSTATS)),
            _ => Fact::Known(request_ms as f64 / requests as f64),
        },
        busy_percent: (busy_ms as f64 * 100.0 / elapsed_ms).min(100.0),
        queue_length: weighted_ms as f64 / elapsed_ms,
        read_bytes_per_second: read,
        written_bytes_per_second: written,
        sampled_ms: u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn devices_are_what_sysfs_says_and_one_sample_is_no_activity() {
        let (_dir, root) = tree(&[
            ("sys/block/sda/size", "2048\n"),
            ("sys/block/sda/queue/rotational", "1\n"),
            ("sys/block/sda/removable", "0\n"),
            ("sys/block/sda/device/model", "WDC WD10 \n"),
            ("sys/block/sda/device/vpd_pg80", "\0\u{1}\0\u{8}  WD-1234"),
            ("sys/block/nvme0n1/size", "8\n"),
            ("sys/block/nvme0n1/device/serial", "S1\n"),
            ("sys/block/loop0/size", "0\n"),
            ("proc/diskstats", ""),
        ]);
        let devices = look(&root, Duration::ZERO).unwrap();
        assert_eq!(devices.len(), 2);
        let disk = &devices[1];
        assert_eq!(
            (disk.name.as_str(), disk.size_bytes, &disk.medium),
            ("sda", 1 << 20, &Fact::Known(Medium::Rotational))
        );
        assert_eq!(disk.model.known().unwrap().reveal(), "WDC WD10");
        assert_eq!(disk.serial.known().unwrap().reveal(), "WD-1234");
        assert_eq!(disk.read_only.why().unwrap().kind, WhyKind::NotOffered);
        assert_eq!(disk.activity.why().unwrap().kind, WhyKind::NotApplicable);
        assert_eq!(devices[0].serial.known().unwrap().reveal(), "S1");
    }

    #[test]
    fn activity_is_the_difference_of_two_samples() {
        let sample = |text| parse_diskstats(text).into_values().next();
        let before = sample("8 0 sda 100 0 800 1000 50 0 400 500 0 900 1500\n").unwrap();
        let after = sample("   8   0 sda 104 0 832 1100 56 0 448 600 0 1000 1700 0 0 0 0 6 7\n").unwrap();
        let seen = between(before, after, Duration::from_millis(200)).unwrap();
        assert_eq!(
            (seen.requests, seen.await_ms, seen.busy_percent, seen.queue_length),
            (10, Fact::Known(20.0), 50.0, 1.0)
        );
        assert_eq!((seen.read_bytes_per_second, seen.written_bytes_per_second), (81_920.0, 122_880.0));
        assert_eq!(between(after, before, Duration::from_millis(200)), None);
        assert!(between(before, before, Duration::from_millis(200)).unwrap().await_ms.why().is_some());
        assert_eq!(sample("8 1 sda1 4 2 3 4\n"), None, "partitions of Linux 2.6 have four figures");
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_diskstats(&text);
            parse_vpd(&text);
        }
    }
}
