//! The kernel's log, read once: which known troubles it tells of and how often, and which firmware is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use belay_protocol::BoundedVec;
use belay_protocol::report::{Fact, KernelLog, Private, Trouble, TroubleKind, Why, WhyKind, Words};

use super::{Root, firmware, os};

/// What the kernel's log tells.
#[derive(Clone, Debug)]
pub struct Told {
    /// The troubles in it. Other words of the log do not leave this module.
    pub log: KernelLog,
    /// Names of firmware files that could not be loaded, each once.
    pub missing_firmware: BoundedVec<Private<Words>, 64>,
}

/// Reads the log of `root`. Needs root where `kernel.dmesg_restrict` is set, as most distributions do.
pub fn look(root: &Root) -> Result<Told, Why> {
    let text = read_records(root.open(KMSG, KMSG)?)?;
    // What was recorded some time ago in a captured tree says nothing about now.
    let now = root.live_only(KMSG).and_then(|()| os::uptime_seconds(root));
    let messages = text.lines().filter_map(parse_record).map(|(_, message)| message);
    let missing: BTreeSet<&str> = messages.filter_map(firmware::parse_missing).collect();
    let missing = missing.into_iter().map(|file| Private::new(file.to_owned()));
    Ok(Told { log: parse_records(&text, now), missing_firmware: BoundedVec::truncating(missing).0 })
}

const KMSG: &str = "/dev/kmsg";

/// Reads until there is no further record: each read gives one (Linux Documentation/ABI/testing/dev-kmsg).
fn read_records(mut log: impl Read) -> Result<String, Why> {
    let (mut text, mut record) = (Vec::new(), [0; RECORD_MAX_BYTES]);
    while text.len() < LOG_MAX_BYTES {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => text.extend_from_slice(record.get(..length).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            // The kernel has overwritten what was to be read next, and goes on with the oldest that is left.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe || e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(super::why(&e, KMSG)),
        }
    }
    if text.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, KMSG));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `PRINTKRB_RECORD_MAX` with room for what stands before and behind the text.
const RECORD_MAX_BYTES: usize = 8 * 1024;

/// The largest log buffer that distributions set up has 4 MB.
const LOG_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Understands records `priority,sequence,microseconds,flags;text`. Only the kernel's own count: any program of root can
/// write here, but not in the kernel's name.
pub fn parse_records(text: &str, now_seconds: Result<u64, Why>) -> KernelLog {
    let mut seen: BTreeMap<TroubleKind, (u32, u64)> = BTreeMap::new();
    let (mut lines, mut first, mut last) = (0u32, None, 0);
    // The first record since the system started has the number 0, whoever wrote it.
    let is_whole = text.lines().next().and_then(|line| line.split(',').nth(1)) == Some("0");
    for (micros, message) in text.lines().filter_map(parse_record) {
        lines = lines.saturating_add(1);
        first.get_or_insert(micros);
        last = micros.max(last);
        if let Some(kind) = trouble(message) {
            let (times, at) = seen.entry(kind).or_default();
            *times = times.saturating_add(1);
            *at = micros.max(*at);
        }
    }
    let troubles = seen.into_iter().map(|(kind, (times, at))| Trouble {
        kind,
        times,
        last_seconds_ago: Fact::from(now_seconds.clone()).map(|now| now.saturating_sub(at / 1_000_000)),
    });
    KernelLog {
        lines,
        span_seconds: last.saturating_sub(first.unwrap_or_default()) / 1_000_000,
        is_whole,
        troubles: BoundedVec::truncating(troubles).0,
    }
}

fn parse_record(line: &str) -> Option<(u64, &str)> {
    let (head, message) = line.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros = fields.nth(1)?.parse().ok()?;
    // The facility stands above the three bits of the level; the kernel's is 0.
    (priority >> 3 == 0).then_some((micros, message))
}

/// Which trouble a message tells of, if any.
fn trouble(message: &str) -> Option<TroubleKind> {
    let says = |(_, words): &&(TroubleKind, &[&str])| words.iter().all(|words| message.contains(words));
    PATTERNS.iter().find(says).map(|(kind, _)| *kind).filter(|kind| {
        // Drives without a disc fail every read.
        *kind != TroubleKind::IoError || !(message.contains("dev fd") || message.contains("dev sr"))
    })
}

/// All words of a row stand in the message; the first row that fits counts. The texts are those of the kernel's sources.
const PATTERNS: &[(TroubleKind, &[&str])] = &[
    (TroubleKind::Panic, &["Kernel panic"]),
    (TroubleKind::Lockup, &["BUG: soft lockup"]),
    (TroubleKind::Lockup, &["hard LOCKUP"]),
    (TroubleKind::Lockup, &["self-detected stall"]),
    (TroubleKind::Lockup, &["detected stalls on CPUs"]),
    (TroubleKind::HungTask, &["INFO: task ", " blocked for more than "]),
    (TroubleKind::Segfault, &["traps: ", "general protection"]),
    (TroubleKind::Segfault, &["traps: ", "trap invalid opcode"]),
    (TroubleKind::Segfault, &[": segfault at "]),
    (TroubleKind::Oops, &["Oops: "]),
    (TroubleKind::Oops, &["general protection fault"]),
    (TroubleKind::Oops, &["BUG: unable to handle"]),
    (TroubleKind::Oops, &["BUG: kernel NULL pointer dereference"]),
    (TroubleKind::Bug, &["kernel BUG at "]),
    (TroubleKind::Bug, &["BUG: Bad "]),
    (TroubleKind::MachineCheck, &["mce: [Hardware Error]"]),
    (TroubleKind::MachineCheck, &["Machine check events logged"]),
    (TroubleKind::MemoryError, &["EDAC MC", " CE "]),
    (TroubleKind::MemoryError, &["EDAC MC", " UE "]),
    (TroubleKind::MemoryError, &["Memory failure: "]),
    (TroubleKind::Overheated, &["temperature above threshold"]),
    (TroubleKind::Overheated, &["critical temperature reached"]),
    (TroubleKind::IoError, &["I/O error, dev "]),
    (TroubleKind::IoError, &["Buffer I/O error on dev "]),
    (TroubleKind::IoError, &["critical medium error"]),
    (TroubleKind::AtaError, &["ata", "exception Emask"]),
    (TroubleKind::AtaError, &["ata", "hard resetting link"]),
    (TroubleKind::NvmeReset, &["nvme", "timeout, "]),
    (TroubleKind::NvmeReset, &["nvme", "controller is down; will reset"]),
    (TroubleKind::Ext4Error, &["EXT4-fs error"]),
    (TroubleKind::Ext4Error, &["EXT4-fs (", "emergency"]),
    (TroubleKind::XfsError, &["XFS (", "orruption"]),
    (TroubleKind::XfsError, &["XFS (", "Internal error"]),
    (TroubleKind::XfsError, &["XFS (", "metadata I/O error"]),
    (TroubleKind::XfsError, &["XFS (", "hutting down"]),
    (TroubleKind::BtrfsError, &["BTRFS error"]),
    (TroubleKind::BtrfsError, &["BTRFS critical"]),
    (TroubleKind::GroupOutOfMemory, &["emory cgroup out of memory: Kill"]),
    (TroubleKind::OutOfMemory, &["ut of memory: Kill"]),
    (TroubleKind::UsbOverCurrent, &["over-current"]),
    (TroubleKind::UsbBroken, &["usb ", "device descriptor read"]),
    (TroubleKind::UsbBroken, &["unable to enumerate USB device"]),
    (TroubleKind::LinkDown, &["Link is Down"]),
    (TroubleKind::LinkDown, &["link is down"]),
    (TroubleKind::ServerSilent, &["nfs: server ", " not responding"]),
    (TroubleKind::ServerSilent, &["CIFS: ", "has not responded"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn messages_of_the_kernel_are_recognised() {
        for (message, kind) in [
            ("BUG: kernel NULL pointer dereference, address: 0000000000000000", Some(TroubleKind::Oops)),
            ("Oops: 0002 [#1] SMP PTI", Some(TroubleKind::Oops)),
            ("traps: chrome[123] general protection fault ip:7f sp:7f error:0", Some(TroubleKind::Segfault)),
            ("bash[77]: segfault at 0 ip 00 sp 00 error 4 in bash[55]", Some(TroubleKind::Segfault)),
            ("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [x:1]", Some(TroubleKind::Lockup)),
            ("INFO: task jbd2/sda1-8:250 blocked for more than 122 seconds.", Some(TroubleKind::HungTask)),
            ("I/O error, dev sda, sector 2048 op 0x0:(READ)", Some(TroubleKind::IoError)),
            ("blk_update_request: I/O error, dev fd0, sector 0", None),
            ("ata1.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen", Some(TroubleKind::AtaError)),
            ("nvme nvme0: I/O 12 QID 3 timeout, reset controller", Some(TroubleKind::NvmeReset)),
            ("EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2", Some(TroubleKind::Ext4Error)),
            ("EXT4-fs (sda1): mounted filesystem with ordered data mode", None),
            (
                "XFS (dm-0): Corruption of in-memory data detected.  Shutting down filesystem",
                Some(TroubleKind::XfsError),
            ),
            ("BTRFS error (device sdb): bdev /dev/sdb errs: wr 1, rd 0", Some(TroubleKind::BtrfsError)),
            ("mce: [Hardware Error]: Machine check: Processor context corrupt", Some(TroubleKind::MachineCheck)),
            ("mce: CPU0: Thermal monitoring enabled (TM1)", None),
            ("Out of memory: Killed process 1234 (java) total-vm:1kB", Some(TroubleKind::OutOfMemory)),
            ("Memory cgroup out of memory: Killed process 9 (x)", Some(TroubleKind::GroupOutOfMemory)),
            // Before Linux 5.2.
            ("Out of memory: Kill process 1234 (java) score 9 or sacrifice child", Some(TroubleKind::OutOfMemory)),
            ("usb usb1-port2: over-current condition", Some(TroubleKind::UsbOverCurrent)),
            ("e1000e 0000:00:1f.6 eno1: NIC Link is Down", Some(TroubleKind::LinkDown)),
            ("nfs: server nas not responding, still trying", Some(TroubleKind::ServerSilent)),
            ("usb 1-1: new high-speed USB device number 2 using xhci_hcd", None),
        ] {
            assert_eq!(trouble(message), kind, "{message}");
        }
    }

    #[test]
    fn troubles_are_counted_and_only_in_the_kernels_name() {
        let text = "6,1,1000000,-;Linux version 6.1\n\
            3,2,2000000,-;EXT4-fs error (device sda1): x\n SUBSYSTEM=block\n\
            3,3,9000000,-;EXT4-fs error (device sda1): y\n\
            11,4,9500000,-;Oops: a program may write this\n\
            not a record\n";
        let (_dir, root) = tree(&[("dev/kmsg", text)]);
        let log = look(&root).unwrap().log;
        assert_eq!((log.lines, log.span_seconds, log.troubles.len()), (3, 8, 1));
        assert_eq!((log.troubles[0].kind, log.troubles[0].times), (TroubleKind::Ext4Error, 2));
        assert_eq!(log.troubles[0].last_seconds_ago.why().unwrap().kind, WhyKind::NotApplicable);
        let live = parse_records(text, Ok(60));
        assert_eq!(live.troubles[0].last_seconds_ago, Fact::Known(51));
        assert!(!live.is_whole && parse_records("6,0,0,-;Linux version 6.1\n", Ok(60)).is_whole);
    }

    #[test]
    fn missing_firmware_is_named_once_and_only_in_the_kernels_name() {
        let text = "4,1,1,-;iwlwifi 0000:02:00.0: Direct firmware load for iwlwifi-cc-a0-77.ucode failed with error -2\n\
            4,2,2,-;iwlwifi 0000:02:00.0: Direct firmware load for iwlwifi-cc-a0-77.ucode failed with error -2\n\
            12,3,3,-;x: Direct firmware load for a-program-said-so failed with error -2\n";
        let (_dir, root) = tree(&[("dev/kmsg", text)]);
        let missing = look(&root).unwrap().missing_firmware;
        assert_eq!(missing.iter().map(Private::reveal).collect::<Vec<_>>(), ["iwlwifi-cc-a0-77.ucode"]);
    }

    #[test]
    fn no_log_is_unknown_and_not_quiet() {
        let (_dir, root) = tree(&[("proc/stat", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotOffered);
        let (_dir, root) = tree(&[("dev/kmsg", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotOffered);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in "([0-9,;]|Oops: |.|\n)*", now: u64) {
            parse_records(&text, Ok(now));
        }
    }
}
