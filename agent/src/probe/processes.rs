//! Processes: how many there are, and which have the most memory.

use belay_protocol::BoundedVec;
use belay_protocol::report::{Private, Process, Raw, Why, WhyKind};

use super::Root;

/// The number of processes and the ten with the most memory, largest first. Arguments are not read: they hold secrets.
pub fn look(root: &Root) -> Result<(u32, BoundedVec<Process<Raw>, 16>), Why> {
    let pids = root.list("/proc", "/proc")?;
    let pids: Vec<_> = pids.into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).collect();
    if pids.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, "/proc"));
    }
    // A process that ends while it is looked at is no mistake.
    let read = |pid: &String| root.read_for(&format!("/proc/{pid}/status"), "/proc/*/status").ok();
    let mut found: Vec<(u64, String)> = pids.iter().filter_map(|pid| parse_status(&read(pid)?)).collect();
    found.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
    let largest = found
        .into_iter()
        .take(LARGEST)
        .map(|(resident_bytes, name)| Process { name: Private::new(name), resident_bytes });
    Ok((u32::try_from(pids.len()).unwrap_or(u32::MAX), BoundedVec::truncating(largest).0))
}

const LARGEST: usize = 10;

/// Resident bytes and name from `/proc/PID/status` (proc_pid_status(5)); nothing for the kernel's own threads.
pub fn parse_status(text: &str) -> Option<(u64, String)> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    let kib: u64 = field("VmRSS")?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((kib.checked_mul(1024)?, field("Name")?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn the_largest_come_first() {
        let (_dir, root) = tree(&[
            ("proc/1/status", "Name:\tinit\nVmRSS:\t  100 kB\n"),
            ("proc/2/status", "Name:\tkthreadd\n"),
            ("proc/30/status", "Name:\tpostgres\nVmRSS:\t  5000 kB\n"),
            ("proc/self/status", "Name:\tx\nVmRSS:\t  9000 kB\n"),
        ]);
        let (count, largest) = look(&root).unwrap();
        let seen: Vec<_> = largest.iter().map(|p| (p.name.reveal(), p.resident_bytes)).collect();
        assert_eq!((count, seen), (3, vec![("postgres", 5_120_000), ("init", 102_400)]));
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_status(&format!("Name:\tx\nVmRSS:\t{text}"));
        }
    }
}
