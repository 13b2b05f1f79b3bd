//! Memory, swap and pressure stall information.

use belay_protocol::report::{Fact, Memory, Pressure, Ram, Stall, Swap, Why, WhyKind};

use super::Root;

/// Memory, swap and pressure of `root`.
pub fn look(root: &Root) -> Memory {
    let pressure = |path| root.read(path).and_then(|text| parse_pressure(&text, path)).into();
    let (ram, swap) = match root.read(MEMINFO) {
        Ok(text) => parse_meminfo(&text),
        Err(why) if why.kind == WhyKind::NotSupported => super::portable::memory(),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    Memory {
        ram,
        swap,
        pressure: Pressure {
            cpu: pressure("/proc/pressure/cpu"),
            memory: pressure("/proc/pressure/memory"),
            io: pressure("/proc/pressure/io"),
        },
    }
}

const MEMINFO: &str = "/proc/meminfo";

/// Understands `/proc/meminfo` (proc_meminfo(5)). Kernels before 3.14 do not estimate what is available.
pub fn parse_meminfo(text: &str) -> (Fact<Ram>, Fact<Swap>) {
    let bytes = |field: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let line = line.ok_or_else(|| Why::new(WhyKind::NotOffered, MEMINFO))?;
        let kib = line.trim().trim_end_matches(" kB").parse::<u64>().ok().and_then(|kib| kib.checked_mul(1024));
        kib.ok_or_else(malformed)
    };
    let both = |first, second| Ok::<_, Why>((bytes(first)?, bytes(second)?));
    let ram = both("MemTotal", "MemAvailable");
    let swap = both("SwapTotal", "SwapFree");
    (
        ram.and_then(|(total, available)| Ram::count(total, available).ok_or_else(malformed)).into(),
        swap.and_then(|(total, free)| Swap::count(total, free).ok_or_else(malformed)).into(),
    )
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
        let memory = look(&root);
        assert_eq!(memory.ram.known().unwrap().available_percent, 25.0);
        assert_eq!(memory.swap.known().unwrap().total_bytes, 0);
        assert_eq!(memory.pressure.cpu.known().unwrap().some_avg300_percent, 1.01);
        assert_eq!(memory.pressure.io.why().unwrap().kind, WhyKind::NotOffered);
    }

    #[test]
    fn an_old_kernel_does_not_say_what_is_available() {
        let (ram, swap) = parse_meminfo("MemTotal: 1000 kB\nMemFree: 1 kB\nSwapTotal: 8 kB\nSwapFree: 9 kB\n");
        assert_eq!(ram.why().unwrap().kind, WhyKind::NotOffered);
        assert_eq!(swap.why().unwrap().kind, WhyKind::Malformed);
    }

    #[test]
    fn pressure_that_is_no_share_is_malformed() {
        for text in ["", "some avg10=NaN avg60=0 avg300=0", "some avg10=101 avg60=0 avg300=0", "some avg10=1"] {
            assert_eq!(parse_pressure(text, "x").unwrap_err().kind, WhyKind::Malformed, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_meminfo(&text);
            let _ = parse_pressure(&text, "x");
        }
    }
}
