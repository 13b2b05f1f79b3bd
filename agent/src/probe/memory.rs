//! Memory, swap, pressure stall information, and what the kernel counts of memory that ran out or failed.

use std::time::{Duration, Instant};

use belay_protocol::report::{
    Commit, Ecc, Fact, HugePages, Memory, Overcommit, Pressure, Ram, Raw, Stall, Swap, SwapRate, Why, WhyKind,
    Writeback,
};

use super::{Root, native, or_native};

/// Memory, swap and pressure of `root`; swapping is watched for `pause`.
pub fn look(root: &Root, pause: Duration) -> Memory<Raw> {
    let pressure = |path| root.read(path).and_then(|text| parse_pressure(&text, path)).into();
    let meminfo = root.read(MEMINFO);
    let (ram, swap) = match &meminfo {
        Ok(text) => parse_meminfo(text, root.number(MIN_FREE, MIN_FREE).unwrap_or_default()),
        Err(why) if why.kind == WhyKind::NotSupported => native::memory(),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why.clone())),
    };
    let bytes = |field: &str| meminfo.as_ref().map_err(Why::clone).and_then(|text| field_bytes(text, field));
    Memory {
        ram,
        swap,
        pressure: Pressure {
            cpu: pressure("/proc/pressure/cpu"),
            memory: pressure("/proc/pressure/memory"),
            io: pressure("/proc/pressure/io"),
        },
        commit: or_native(commit(root, bytes("Committed_AS"), bytes("CommitLimit")), native::commit).into(),
        swap_rate: watch_swap(root, pause).into(),
        writeback: bytes("Dirty")
            .and_then(|dirty_bytes| Ok(Writeback { dirty_bytes, writing_bytes: bytes("Writeback")? }))
            .into(),
        huge_pages: meminfo.as_ref().map_err(Why::clone).and_then(|text| parse_huge_pages(text)).into(),
        shared_bytes: bytes("Shmem").into(),
        oom_kills: root.read(VMSTAT).and_then(|text| vmstat(&text, "oom_kill")).into(),
        groups: super::cgroups::look(root).into(),
        ecc: ecc(root).into(),
    }
}

fn commit(root: &Root, committed: Result<u64, Why>, limit: Result<u64, Why>) -> Result<Commit, Why> {
    let policy = match root.number::<u8>(OVERCOMMIT, OVERCOMMIT)? {
        0 => Overcommit::Heuristic,
        1 => Overcommit::Always,
        2 => Overcommit::Never,
        _ => return Err(Why::new(WhyKind::Malformed, OVERCOMMIT)),
    };
    Ok(Commit::count(committed?, limit?, policy))
}

/// One sample says nothing, so a captured tree has no answer.
fn watch_swap(root: &Root, pause: Duration) -> Result<SwapRate, Why> {
    root.live_only(VMSTAT)?;
    let pages = || {
        let text = root.read(VMSTAT)?;
        Ok::<_, Why>((vmstat(&text, "pswpin")?, vmstat(&text, "pswpout")?))
    };
    let (before, started) = (pages()?, Instant::now());
    std::thread::sleep(pause);
    let (after, elapsed) = (pages()?, started.elapsed());
    let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(0.001);
    Ok(SwapRate {
        in_pages_per_second: rate(before.0, after.0),
        out_pages_per_second: rate(before.1, after.1),
        sampled_ms: u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX),
    })
}

/// A machine whose memory has no parity, or whose driver is not loaded, has no controllers: that is unknown, not fine.
fn ecc(root: &Root) -> Result<Ecc, Why> {
    let controllers: Vec<_> = root.list(EDAC, EDAC)?.into_iter().filter(|name| is_controller(name)).collect();
    if controllers.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, EDAC));
    }
    let sum = |file: &str| {
        controllers.iter().try_fold(0u64, |sum, name| {
            Ok::<_, Why>(sum.saturating_add(root.number(&format!("{EDAC}/{name}/{file}"), EDAC)?))
        })
    };
    Ok(Ecc {
        controllers: u32::try_from(controllers.len()).unwrap_or(u32::MAX),
        corrected: sum("ce_count")?,
        uncorrected: sum("ue_count")?,
    })
}

fn is_controller(name: &str) -> bool {
    name.strip_prefix("mc").is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

const EDAC: &str = "/sys/devices/system/edac/mc";
const VMSTAT: &str = "/proc/vmstat";
const OVERCOMMIT: &str = "/proc/sys/vm/overcommit_memory";
const MEMINFO: &str = "/proc/meminfo";

/// What the kernel keeps free for itself, in KiB.
const MIN_FREE: &str = "/proc/sys/vm/min_free_kbytes";

/// Understands `/proc/meminfo` (proc_meminfo(5)). Kernels before 3.14, and some containers, do not estimate what is
/// available, which is then counted as newer kernels do.
pub fn parse_meminfo(text: &str, min_free_kib: u64) -> (Fact<Ram>, Fact<Swap>) {
    let both = |first, second| Ok::<_, Why>((field_bytes(text, first)?, field_bytes(text, second)?));
    let available = match field(text, "MemAvailable") {
        Ok(_) => field_bytes(text, "MemAvailable"),
        Err(_) => estimated(text, min_free_kib),
    };
    let ram = field_bytes(text, "MemTotal").and_then(|total| Ok((total, available?)));
    let swap = both("SwapTotal", "SwapFree");
    (
        ram.and_then(|(total, available)| Ram::count(total, available).ok_or_else(malformed)).into(),
        swap.and_then(|(total, free)| Swap::count(total, free).ok_or_else(malformed)).into(),
    )
}

/// Linux mm/show_mem.c, si_mem_available: what is free, and of what can be given back all but what would soon be needed
/// again. The mark below which the kernel begins to give back stands a quarter above the least that it keeps free.
fn estimated(text: &str, min_free_kib: u64) -> Result<u64, Why> {
    let low_mark = min_free_kib.saturating_mul(1024 + 256);
    let most = |bytes: u64| bytes.saturating_sub((bytes / 2).min(low_mark));
    let cached = field_bytes(text, "Active(file)")?.saturating_add(field_bytes(text, "Inactive(file)")?);
    let free = field_bytes(text, "MemFree")?.saturating_sub(low_mark);
    let given_back = most(cached).saturating_add(most(field_bytes(text, "SReclaimable")?));
    Ok(free.saturating_add(given_back).min(field_bytes(text, "MemTotal")?))
}

/// A field of `/proc/meminfo` without its unit.
fn field<'a>(text: &'a str, name: &str) -> Result<&'a str, Why> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(|line| line.trim().trim_end_matches(" kB")).ok_or_else(|| Why::new(WhyKind::NotOffered, MEMINFO))
}

fn field_bytes(text: &str, name: &str) -> Result<u64, Why> {
    field(text, name)?.parse::<u64>().ok().and_then(|kib| kib.checked_mul(1024)).ok_or_else(malformed)
}

/// Understands what `/proc/meminfo` says of large pages: numbers of pages, and the size of one.
pub fn parse_huge_pages(text: &str) -> Result<HugePages, Why> {
    let size = field_bytes(text, "Hugepagesize")?;
    let bytes = |name| {
        let pages: u64 = field(text, name)?.parse().map_err(|_| malformed())?;
        pages.checked_mul(size).ok_or_else(malformed)
    };
    Ok(HugePages { total_bytes: bytes("HugePages_Total")?, free_bytes: bytes("HugePages_Free")? })
}

/// A counter of `/proc/vmstat`; kernels before 4.13 do not count what they ended.
pub fn vmstat(text: &str, name: &str) -> Result<u64, Why> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.ok_or_else(|| Why::new(WhyKind::NotOffered, VMSTAT))?;
    value.trim().parse().map_err(|_| Why::new(WhyKind::Malformed, VMSTAT))
}

/// Understands a file of `/proc/pressure` (Linux Documentation/accounting/psi.rst).
pub fn parse_pressure(text: &str, source: &'static str) -> Result<Stall, Why> {
    let malformed = || Why::new(WhyKind::Malformed, source);
    let average = |line: &str, name: &str| {
        let value = line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let value = value.and_then(|value| value.parse::<f64>().ok()).filter(|value| (0.0..=100.0).contains(value));
        value.ok_or_else(malformed)
    };
    let some = text.lines().find(|line| line.starts_with("some ")).ok_or_else(malformed)?;
    // Kernels before 5.13 have no `full` for processors, and all processes together never wait for one.
    let full = text.lines().find(|line| line.starts_with("full ")).unwrap_or("full avg10=0 avg60=0 avg300=0");
    Ok(Stall {
        some_avg10_percent: average(some, "avg10")?,
        some_avg60_percent: average(some, "avg60")?,
        some_avg300_percent: average(some, "avg300")?,
        full_avg10_percent: average(full, "avg10")?,
        full_avg60_percent: average(full, "avg60")?,
        full_avg300_percent: average(full, "avg300")?,
    })
}

fn malformed() -> Why {
    Why::new(WhyKind::Malformed, MEMINFO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn memory_is_read_from_a_tree() {
        let meminfo = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";
        let some = "some avg10=0.41 avg60=0.31 avg300=1.01 total=21517451\n";
        let (_dir, root) = tree(&[("proc/meminfo", meminfo), ("proc/pressure/cpu", some)]);
        let memory = look(&root, Duration::ZERO);
        assert_eq!(memory.ram.known().unwrap().available_percent, 25.0);
        assert_eq!(memory.swap.known().unwrap().total_bytes, 0);
        assert_eq!(memory.pressure.cpu.known().unwrap().some_avg300_percent, 1.01);
        assert_eq!(memory.pressure.io.why().unwrap().kind, WhyKind::NotOffered);
    }

    #[test]
    fn what_an_old_kernel_does_not_say_of_available_memory_is_counted() {
        let old =
            "MemTotal: 1000 kB\nMemFree: 100 kB\nActive(file): 200 kB\nInactive(file): 100 kB\nSReclaimable: 10 kB\n";
        let available = |kib| parse_meminfo(old, kib).0.known().unwrap().available_bytes / 1024;
        assert_eq!((available(0), available(16), available(10_000)), (410, 80 + 280 + 5, 150 + 5));
        let (ram, swap) = parse_meminfo("MemTotal: 1000 kB\nMemFree: 1 kB\nSwapTotal: 8 kB\nSwapFree: 9 kB\n", 0);
        assert_eq!(ram.why().unwrap().kind, WhyKind::NotOffered);
        assert_eq!(swap.why().unwrap().kind, WhyKind::Malformed);
    }

    #[test]
    fn pressure_that_is_no_share_is_malformed() {
        for text in ["", "some avg10=NaN avg60=0 avg300=0", "some avg10=101 avg60=0 avg300=0", "some avg10=1"] {
            assert_eq!(parse_pressure(text, "x").unwrap_err().kind, WhyKind::Malformed, "{text}");
        }
    }

    #[test]
    fn promises_large_pages_and_losses_are_read() {
        let meminfo = "Committed_AS: 50 kB\nCommitLimit: 100 kB\nDirty: 4 kB\nWriteback: 0 kB\nShmem: 8 kB\n\
            HugePages_Total:  3\nHugePages_Free: 2\nHugepagesize: 2048 kB\n";
        let (_dir, root) = tree(&[
            ("proc/meminfo", meminfo),
            ("proc/vmstat", "pswpin 1\npswpout 2\noom_kill 3\n"),
            ("proc/sys/vm/overcommit_memory", "2\n"),
            ("sys/devices/system/edac/mc/mc0/ce_count", "5\n"),
            ("sys/devices/system/edac/mc/mc0/ue_count", "1\n"),
            ("sys/devices/system/edac/mc/power/x", ""),
        ]);
        let memory = look(&root, Duration::ZERO);
        let commit = memory.commit.known().unwrap();
        assert_eq!((commit.used_percent, commit.policy), (50.0, Overcommit::Never));
        assert_eq!(memory.huge_pages.known().unwrap().free_bytes, 4 << 20);
        assert_eq!((memory.oom_kills.known(), memory.shared_bytes.known()), (Some(&3), Some(&8_192)));
        assert_eq!(memory.ecc, Fact::Known(Ecc { controllers: 1, corrected: 5, uncorrected: 1 }));
        assert_eq!(memory.swap_rate.why().unwrap().kind, WhyKind::NotApplicable, "one sample is no rate");
    }

    #[test]
    fn no_counter_of_failing_memory_is_unknown_and_not_none() {
        let (_dir, root) = tree(&[("sys/devices/system/edac/mc/power/x", "")]);
        let memory = look(&root, Duration::ZERO);
        assert_eq!(memory.ecc.why().unwrap().kind, WhyKind::NotOffered);
        assert_eq!(memory.oom_kills.why().unwrap().kind, WhyKind::NotOffered);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_meminfo(&text, text.len() as u64);
            let _ = (parse_huge_pages(&text), vmstat(&text, "oom_kill"));
            let _ = parse_pressure(&text, "x");
        }
    }
}
