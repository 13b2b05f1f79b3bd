//! Processes: how many there are, which have the most memory, and which do not get on.

use std::time::Duration;

use belay_protocol::BoundedVec;
use belay_protocol::report::{Fact, Handles, Private, Process, ProcessStates, Raw, Tasks, Why, WhyKind};

use super::{Root, native, or_native};

/// What one look at all processes finds.
#[derive(Clone, Debug)]
pub struct Processes {
    /// How many there are.
    pub count: u32,
    /// The ten with the most memory, largest first.
    pub largest: BoundedVec<Process<Raw>, 16>,
    /// Those that do not get on.
    pub states: Fact<ProcessStates<Raw>>,
}

/// All processes, once; those that seem stuck again after `pause`. Arguments are not read: they hold secrets.
pub fn look(root: &Root, pause: Duration) -> Result<Processes, Why> {
    or_native(look_at_files(root, pause), native::processes)
}

fn look_at_files(root: &Root, pause: Duration) -> Result<Processes, Why> {
    let pids = root.list("/proc", "/proc")?;
    let pids: Vec<_> = pids.into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).collect();
    if pids.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, "/proc"));
    }
    // A process that ends while it is looked at is no mistake.
    let read = |pid: &String| root.read_for(&format!("/proc/{pid}/status"), "/proc/*/status").ok();
    let (mut found, mut waiting, mut zombies) = (Vec::new(), Vec::new(), 0);
    for pid in &pids {
        let Some(text) = read(pid) else { continue };
        found.extend(parse_status(&text));
        match parse_state(&text) {
            Some('D') => waiting.push(pid),
            Some('Z') => zombies += 1,
            _ => {}
        }
    }
    if !waiting.is_empty() {
        std::thread::sleep(pause);
    }
    let still = |pid: &&String| {
        let text = read(pid).filter(|text| parse_state(text) == Some('D'))?;
        field(&text, "Name").map(Private::new)
    };
    let stuck: Vec<_> = waiting.iter().filter_map(still).collect();
    let states = ProcessStates {
        zombies,
        stuck: u32::try_from(stuck.len()).unwrap_or(u32::MAX),
        stuck_names: BoundedVec::truncating(stuck).0,
    };
    found.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
    let largest = found
        .into_iter()
        .take(LARGEST)
        .map(|(resident_bytes, name)| Process { name: Private::new(name), resident_bytes });
    let count = u32::try_from(pids.len()).unwrap_or(u32::MAX);
    Ok(Processes { count, largest: BoundedVec::truncating(largest).0, states: Fact::Known(states) })
}

/// Files that all programs together have open.
pub fn handles(root: &Root) -> Result<Handles, Why> {
    parse_file_nr(&root.read(FILE_NR)?).ok_or_else(|| Why::new(WhyKind::Malformed, FILE_NR))
}

/// Understands `/proc/sys/fs/file-nr` (proc_sys_fs(5)): open, free since Linux 2.6 always 0, most.
pub fn parse_file_nr(text: &str) -> Option<Handles> {
    let mut fields = text.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
    let (open, limit) = (fields.next()??, fields.nth(1)??);
    Some(Handles { open, limit, used_percent: share(open, limit)? })
}

/// Processes and threads against the smaller of the two bounds on them.
pub fn tasks(root: &Root) -> Result<Tasks, Why> {
    let count = parse_tasks(&root.read(LOADAVG)?).ok_or_else(|| Why::new(WhyKind::Malformed, LOADAVG))?;
    let limit = root.number::<u64>(PID_MAX, PID_MAX)?.min(root.number(THREADS_MAX, THREADS_MAX)?);
    let used_percent = share(count, limit).ok_or_else(|| Why::new(WhyKind::Malformed, PID_MAX))?;
    Ok(Tasks { count, limit, used_percent })
}

/// The number behind the stroke in the fourth field of `/proc/loadavg` (proc_loadavg(5)).
pub fn parse_tasks(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 * 100.0 / whole as f64).min(100.0))
}

const FILE_NR: &str = "/proc/sys/fs/file-nr";
const LOADAVG: &str = "/proc/loadavg";
const PID_MAX: &str = "/proc/sys/kernel/pid_max";
const THREADS_MAX: &str = "/proc/sys/kernel/threads-max";

/// How many of the largest are told.
pub const LARGEST: usize = 10;

/// Resident bytes and name from `/proc/PID/status` (proc_pid_status(5)); nothing for the kernel's own threads.
pub fn parse_status(text: &str) -> Option<(u64, String)> {
    let kib: u64 = field(text, "VmRSS")?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((kib.checked_mul(1024)?, field(text, "Name")?.to_owned()))
}

/// The letter of the state in `/proc/PID/status`: `D` waits and cannot be interrupted, `Z` has ended.
pub fn parse_state(text: &str) -> Option<char> {
    field(text, "State")?.chars().next()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"))
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
        let Processes { count, largest, .. } = look(&root, Duration::ZERO).unwrap();
        let seen: Vec<_> = largest.iter().map(|p| (p.name.reveal(), p.resident_bytes)).collect();
        assert_eq!((count, seen), (3, vec![("postgres", 5_120_000), ("init", 102_400)]));
    }

    #[test]
    fn what_does_not_get_on_is_counted() {
        let (_dir, root) = tree(&[
            ("proc/1/status", "Name:\tinit\nState:\tS (sleeping)\n"),
            ("proc/2/status", "Name:\tgone\nState:\tZ (zombie)\n"),
            ("proc/3/status", "Name:\tls\nState:\tD (disk sleep)\n"),
        ]);
        let states = look(&root, Duration::ZERO).unwrap().states;
        let states = states.known().unwrap();
        assert_eq!((states.zombies, states.stuck, states.stuck_names[0].reveal()), (1, 1, "ls"));
    }

    #[test]
    fn use_is_told_against_the_smaller_bound() {
        let (_dir, root) = tree(&[
            ("proc/loadavg", "0.1 0.2 0.3 2/80 999\n"),
            ("proc/sys/kernel/pid_max", "100\n"),
            ("proc/sys/kernel/threads-max", "4000\n"),
            ("proc/sys/fs/file-nr", "563\t0\t1126\n"),
        ]);
        assert_eq!(tasks(&root).unwrap(), Tasks { count: 80, limit: 100, used_percent: 80.0 });
        assert_eq!(handles(&root).unwrap().used_percent, 50.0);
        assert_eq!(parse_file_nr("1 0 0"), None);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_status(&format!("Name:\tx\nVmRSS:\t{text}"));
            parse_state(&text);
            parse_file_nr(&text);
            parse_tasks(&text);
        }
    }
}
