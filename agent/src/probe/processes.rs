//! Processes: how many there are, which have the most memory, and which do not get on.

use std::time::{Duration, Instant};

use belay_protocol::BoundedVec;
use belay_protocol::report::{BusyProcess, Fact, Handles, Private, Process, ProcessStates, Raw, Tasks, Why, WhyKind};

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
    /// The ten that used the processors most, busiest first.
    pub busiest: Fact<BoundedVec<BusyProcess<Raw>, 16>>,
}

/// All processes, and again after `pause` what they did meanwhile and those that seem stuck. Arguments are not read: they
/// hold secrets.
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
    let ticks = |pid: &String| parse_ticks(&root.read_for(&format!("/proc/{pid}/stat"), STAT).ok()?);
    // One sample says nothing, so that nothing is said of a captured tree.
    let live = root.live_only(STAT);
    let (before, began) = match live {
        Ok(()) => (pids.iter().filter_map(|pid| Some((pid, ticks(pid)?))).collect(), Instant::now()),
        Err(_) => (Vec::new(), Instant::now()),
    };
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
    if !waiting.is_empty() || live.is_ok() {
        std::thread::sleep(pause.saturating_sub(began.elapsed()));
    }
    let busiest = live.map(|()| {
        // What this program uses is gone when it has looked.
        let own = std::process::id().to_string();
        let used = before.into_iter().filter(|(pid, _)| **pid != own).filter_map(|(pid, before)| {
            let now = ticks(pid)?;
            // The number may have passed to another process meanwhile.
            (now.started == before.started).then(|| (now.name, now.used.saturating_sub(before.used)))
        });
        busiest(used.collect(), began.elapsed())
    });
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
    Ok(Processes {
        count,
        largest: BoundedVec::truncating(largest).0,
        states: Fact::Known(states),
        busiest: busiest.into(),
    })
}

/// Those that used the processors most for `elapsed`, from the ticks that each used.
fn busiest(mut used: Vec<(String, u64)>, elapsed: Duration) -> BoundedVec<BusyProcess<Raw>, 16> {
    used.retain(|(_, ticks)| *ticks > 0);
    used.sort_by(|(name, ticks), (other_name, other_ticks)| (other_ticks, name).cmp(&(ticks, other_name)));
    let ticks_in_all = elapsed.as_secs_f64() * TICKS_PER_SECOND;
    let shown = used.into_iter().take(LARGEST).map(|(name, ticks)| BusyProcess {
        name: Private::new(name),
        cpu_percent: ticks as f64 * 100.0 / ticks_in_all.max(1.0),
    });
    BoundedVec::truncating(shown).0
}

/// `USER_HZ` of Linux, in which the kernel counts for programs on every architecture that we are built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// What `/proc/PID/stat` tells of a process's use of processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticks {
    name: String,
    used: u64,
    started: u64,
}

/// Understands `/proc/PID/stat` (proc_pid_stat(5)). The name stands in brackets and may hold brackets and blanks itself.
pub fn parse_ticks(text: &str) -> Option<Ticks> {
    let (before, after) = text.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let field = |number: usize| after.split_ascii_whitespace().nth(number - FIRST_BEHIND_NAME)?.parse::<u64>().ok();
    Some(Ticks { name: name.to_owned(), used: field(14)?.saturating_add(field(15)?), started: field(22)? })
}

/// The number of the field behind the name, as the manual counts them.
const FIRST_BEHIND_NAME: usize = 3;

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

const STAT: &str = "/proc/*/stat";
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

    #[test]
    fn the_busiest_come_first_and_the_idle_not_at_all() {
        let line = "7 (a) (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 30 12 0 0 20 0 1 0 555 1000 20 18446744073709551615\n";
        assert_eq!(parse_ticks(line), Some(Ticks { name: "a) (b) c".to_owned(), used: 42, started: 555 }));
        let used = [("idle", 0), ("b", 10), ("a", 10), ("c", 30)].map(|(name, ticks)| (name.to_owned(), ticks));
        let seen = busiest(used.to_vec(), Duration::from_millis(200));
        let seen: Vec<_> = seen.iter().map(|process| (process.name.reveal(), process.cpu_percent)).collect();
        assert_eq!(seen, [("c", 150.0), ("a", 50.0), ("b", 50.0)]);
        for nonsense in ["", "7 (a", "7 (a) S 1", "7 a) S 1"] {
            assert_eq!(parse_ticks(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_a_program_that_works_uses_shows_in_two_samples_and_not_in_one() {
        let (_dir, root) = tree(&[("proc/1/status", "Name:\tinit\n")]);
        assert_eq!(look(&root, Duration::ZERO).unwrap().busiest.why().unwrap().kind, WhyKind::NotApplicable);
        if cfg!(target_os = "linux") {
            assert!(look(&Root::live(), Duration::from_millis(1)).unwrap().busiest.known().is_some());
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_ticks(&text);
            parse_ticks(&format!("1 (x) {text}"));
            parse_status(&format!("Name:\tx\nVmRSS:\t{text}"));
            parse_state(&text);
            parse_file_nr(&text);
            parse_tasks(&text);
        }
    }
}
