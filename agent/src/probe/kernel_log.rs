//! The kernel's log, read once: which known troubles it tells of and how often, and which firmware is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};

use belay_protocol::BoundedVec;
use belay_protocol::report::{Fact, KernelLog, LogSource, Private, Trouble, TroubleKind, Why, WhyKind, Words};

use super::{Root, firmware, os};

/// What the kernel's log tells.
#[derive(Clone, Debug)]
pub struct Told {
    /// The troubles in it. Other words of the log do not leave this module.
    pub log: KernelLog,
    /// Names of firmware files that could not be loaded, each once.
    pub missing_firmware: BoundedVec<Private<Words>, 64>,
    /// Devices whose ext4 was found damaged, each once; it may have been repaired since.
    pub damaged: BoundedVec<String, 64>,
}

/// Reads the log of `root`. The kernel's own buffer needs root where `kernel.dmesg_restrict` is set, as most distributions
/// do, and containers have none; then what a log service has written to a file is read, which members of a group such as
/// `adm` may. The journal of systemd is no text and is left alone.
pub fn look(root: &Root) -> Result<Told, Why> {
    // What was recorded some time ago in a captured tree says nothing about now.
    let now = root.live_only(KMSG).and_then(|()| os::uptime_seconds(root));
    match root.open(KMSG, KMSG).and_then(read_records) {
        Ok(text) => {
            // The first record since the system started has the number 0, whoever wrote it.
            let is_whole = text.lines().next().and_then(|line| line.split(',').nth(1)) == Some("0");
            Ok(told(&parse_records(&text), is_whole, now, LogSource::Kernel))
        }
        Err(why) if matches!(why.kind, WhyKind::PermissionDenied | WhyKind::NotOffered) => {
            look_at_files(root, now).ok_or(why)
        }
        Err(why) => Err(why),
    }
}

fn look_at_files(root: &Root, now_seconds: Result<u64, Why>) -> Option<Told> {
    FILES.iter().find_map(|file| {
        let (text, _) = root.tail(TAIL_MAX_BYTES, file, file).ok()?;
        // One that was written last before this start tells of another.
        if let Ok(now) = now_seconds
            && root.open(file, file).ok()?.metadata().ok()?.modified().ok()?.elapsed().ok()?.as_secs() > now
        {
            return None;
        }
        let (messages, is_whole) = parse_file(&text);
        let newest = messages.iter().filter_map(|message| message.micros).max().unwrap_or(0) / 1_000_000;
        let is_of_now = now_seconds.as_ref().map_or(true, |now| newest <= now.saturating_add(SLACK_SECONDS));
        let is_something = !messages.is_empty() && is_of_now;
        is_something.then(|| told(&messages, is_whole, now_seconds.clone(), LogSource::File))
    })
}

/// Where log services write what the kernel says: those of Debian and its kin, of Red Hat's, and of the rest.
const FILES: [&str; 3] = ["/var/log/kern.log", "/var/log/messages", "/var/log/syslog"];

/// The size at which Debian's log services begin a new file, many times over.
const TAIL_MAX_BYTES: u64 = 2 * 1024 * 1024;

/// What clocks and writers may be late by.
const SLACK_SECONDS: u64 = 60;

/// What the kernel said, and when in microseconds since it started, where that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    micros: Option<u64>,
    text: &'a str,
}

const KMSG: &str = "/dev/kmsg";

/// Reads until there is no further record: each read gives one (Linux Documentation/ABI/testing/dev-kmsg).
fn read_records(mut log: File) -> Result<String, Why> {
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

/// Counts what `messages` tell.
fn told(messages: &[Message<'_>], is_whole: bool, now_seconds: Result<u64, Why>, source: LogSource) -> Told {
    let mut seen: BTreeMap<TroubleKind, (u32, Option<u64>)> = BTreeMap::new();
    for message in messages {
        if let Some(kind) = trouble(message.text) {
            let (times, at) = seen.entry(kind).or_default();
            *times = times.saturating_add(1);
            *at = message.micros.max(*at);
        }
    }
    let ago = |at: Option<u64>| {
        let at = at.ok_or_else(|| Why::new(WhyKind::NotOffered, "/var/log"))?;
        Ok(now_seconds.clone()?.saturating_sub(at / 1_000_000))
    };
    let troubles =
        seen.into_iter().map(|(kind, (times, at))| Trouble { kind, times, last_seconds_ago: Fact::from(ago(at)) });
    let times = || messages.iter().filter_map(|message| message.micros);
    let span = times().max().unwrap_or(0).saturating_sub(times().next().unwrap_or(0));
    let missing: BTreeSet<&str> = messages.iter().filter_map(|message| firmware::parse_missing(message.text)).collect();
    let missing = missing.into_iter().map(|file| Private::new(file.to_owned()));
    let log = KernelLog {
        lines: u32::try_from(messages.len()).unwrap_or(u32::MAX),
        span_seconds: span / 1_000_000,
        is_whole,
        troubles: BoundedVec::truncating(troubles).0,
        source,
    };
    let (mut damaged, mut warned_of) = (BTreeSet::new(), None);
    for (device, said) in messages.iter().filter_map(|message| parse_ext4(message.text)) {
        match said {
            Ext4::Damaged => drop(damaged.insert(device)),
            Ext4::Warned => warned_of = Some(device),
            // What was repaired is mounted without a warning.
            Ext4::Mounted if warned_of == Some(device) => drop(damaged.insert(device)),
            Ext4::Mounted => drop(damaged.remove(device)),
        }
    }
    Told {
        log,
        missing_firmware: BoundedVec::truncating(missing).0,
        damaged: BoundedVec::truncating(damaged.into_iter().map(str::to_owned)).0,
    }
}

/// What ext4 says of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ext4 {
    /// It has met an error.
    Damaged,
    /// It is about to be mounted with its errors.
    Warned,
    /// It is mounted.
    Mounted,
}

/// The device in `EXT4-fs error (device sda1): ...`, and in what ext4 says when it mounts one.
fn parse_ext4(message: &str) -> Option<(&str, Ext4)> {
    let error = message.strip_prefix("EXT4-fs error (device ");
    let (device, words) = error.or_else(|| message.strip_prefix("EXT4-fs ("))?.split_once("): ")?;
    let said = match words {
        _ if error.is_some() => Ext4::Damaged,
        words if words.starts_with("warning: mounting fs with errors") => Ext4::Warned,
        words if words.starts_with("mounted filesystem") => Ext4::Mounted,
        _ => return None,
    };
    let is_name = !device.is_empty() && device.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name.then_some((device, said))
}

/// Understands records `priority,sequence,microseconds,flags;text`. Only the kernel's own count: any program of root can
/// write here, but not in the kernel's name.
pub fn parse_records(text: &str) -> Vec<Message<'_>> {
    text.lines().filter_map(parse_record).collect()
}

fn parse_record(line: &str) -> Option<Message<'_>> {
    let (head, text) = line.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros = fields.nth(1)?.parse().ok()?;
    // The facility stands above the three bits of the level; the kernel's is 0.
    (priority >> 3 == 0).then_some(Message { micros: Some(micros), text })
}

/// Understands what a log service wrote of the kernel's messages since the latest start that shows in it, and whether that
/// start does: `TIME HOST kernel: [SECONDS.MICROSECONDS] TEXT`, where many leave the brackets out.
pub fn parse_file(text: &str) -> (Vec<Message<'_>>, bool) {
    let (mut messages, mut is_whole, mut last) = (Vec::new(), false, 0);
    for line in text.lines() {
        let Some((_, said)) = line.split_once(" kernel: ") else { continue };
        let message = parse_stamped(said).unwrap_or(Message { micros: None, text: said });
        let begins = message.text.starts_with("Linux version ");
        let micros = message.micros.unwrap_or(last);
        // Services write what comes from several processors a little out of order, but not by a minute.
        if begins || micros.saturating_add(SLACK_SECONDS * 1_000_000) < last {
            messages.clear();
            is_whole = begins;
            last = 0;
        }
        last = micros.max(last);
        messages.push(message);
    }
    (messages, is_whole)
}

fn parse_stamped(said: &str) -> Option<Message<'_>> {
    let (stamp, text) = said.strip_prefix('[')?.split_once("] ")?;
    let (seconds, micros) = stamp.trim_start().split_once('.')?;
    let is_micros = micros.len() == MICROS_DIGITS && micros.bytes().all(|byte| byte.is_ascii_digit());
    let micros: u64 = micros.parse().ok().filter(|_| is_micros)?;
    let micros = seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)?;
    Some(Message { micros: Some(micros), text })
}

const MICROS_DIGITS: usize = 6;

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
    fn a_device_that_was_mounted_again_is_not_suspected_any_more() {
        let text = "3,2,1,-;EXT4-fs error (device loop0): x\n3,3,2,-;EXT4-fs error (device sdb1): y\n\
            6,4,3,-;EXT4-fs (loop0): unmounting filesystem\n6,5,4,-;EXT4-fs (loop0): mounted filesystem 1-2 r/w\n";
        let (_dir, root) = tree(&[("dev/kmsg", text)]);
        assert_eq!(look(&root).unwrap().damaged.to_vec(), ["sdb1"]);
        let warned = text
            .replace("6,5,4", "4,5,4,-;EXT4-fs (loop0): warning: mounting fs with errors, running e2fsck is\n6,6,5");
        let (_dir, root) = tree(&[("dev/kmsg", &warned)]);
        assert_eq!(look(&root).unwrap().damaged.to_vec(), ["loop0", "sdb1"]);
    }

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
        assert_eq!(look(&root).unwrap().damaged.to_vec(), ["sda1"]);
        assert_eq!(parse_ext4("EXT4-fs error (device ../x): y"), None);
        assert_eq!(parse_ext4("EXT4-fs (sda1): re-mounted"), None);
        assert_eq!(log.troubles[0].last_seconds_ago.why().unwrap().kind, WhyKind::NotApplicable);
        assert_eq!((log.is_whole, log.source), (false, LogSource::Kernel));
        let live = told(&parse_records(text), false, Ok(60), LogSource::Kernel).log;
        assert_eq!(live.troubles[0].last_seconds_ago, Fact::Known(51));
        let (_dir, root) = tree(&[("dev/kmsg", "6,0,0,-;Linux version 6.1\n")]);
        assert!(look(&root).unwrap().log.is_whole);
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
    fn where_the_buffer_may_not_be_read_the_files_of_a_log_service_are() {
        let line = |stamp: &str, said: &str| format!("2026-03-01T09:00:00.000001+01:00 wonder kernel: {stamp}{said}\n");
        let error = "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2";
        let old = line("[ 9000.000000] ", error).repeat(3);
        let now = line("[    0.000000] ", "Linux version 6.1") + &line("[   12.500000] ", error);
        let noise = "Mar  1 09:00:01 wonder cron[7]: EXT4-fs error (device sda1): said by a program\n";
        let files = [("var/log/kern.log", format!("{old}{now}{noise}"))];
        let (_dir, root) = tree(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
        let log = look(&root).unwrap().log;
        assert_eq!((log.lines, log.is_whole, log.source), (2, true, LogSource::File));
        assert_eq!((log.troubles[0].kind, log.troubles[0].times), (TroubleKind::Ext4Error, 1));
        // Red Hat's have no stamps; what cannot be dated is not called old.
        let plain =
            line("", "Linux version 5.14") + &line("", error) + &line("", "Out of memory: Killed process 7 (x)");
        let (_dir, root) = tree(&[("var/log/messages", plain.as_str())]);
        let told = told(&parse_file(&plain).0, true, Ok(60), LogSource::File).log;
        assert_eq!((told.lines, told.troubles.len(), look(&root).unwrap().log.lines), (3, 2, 3));
        assert_eq!(told.troubles[0].last_seconds_ago.why().unwrap().kind, WhyKind::NotOffered);
    }

    #[test]
    fn only_the_latest_start_counts() {
        let line = |seconds: u64, said: &str| format!("Mar  1 09:00:00 wonder kernel: [{seconds:>5}.000000] {said}\n");
        let check = |text: &str, expected: (usize, bool)| {
            let (messages, is_whole) = parse_file(text);
            assert_eq!((messages.len(), is_whole), expected, "{text}");
        };
        check(&(line(5_000, "a") + &line(10, "b") + &line(11, "c")), (2, false));
        check(&(line(5_000, "a") + &line(4_999, "b")), (2, false));
        check(&(line(0, "Linux version 6.1") + &line(1, "b")), (2, true));
        check("Mar  1 09:00:00 wonder kernel: [drm] no stamp\nnot the kernel's\n", (1, false));
        let (_dir, root) = tree(&[("var/log/kern.log", "Mar  1 09:00:00 wonder cron[7]: x\n")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotOffered);
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
            told(&parse_records(&text), false, Ok(now), LogSource::Kernel);
            told(&parse_file(&text).0, false, Ok(now), LogSource::File);
            parse_file(&format!("x kernel: [{text}] {text}\nx kernel: {text}"));
        }
    }
}
