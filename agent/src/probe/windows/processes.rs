//! Processes with their memory.

use belay_protocol::BoundedVec;
use belay_protocol::report::{Fact, Private, Process, Why, WhyKind};

use crate::probe::processes::{LARGEST, Processes};

/// A process that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub id: u32,
    /// The file of its program, without its directory.
    pub name: String,
    /// Its working set; nothing when it cannot be looked at without more rights.
    pub resident_bytes: Option<u64>,
}

/// Counts processes and finds the largest of those that can be looked at. The first two are not programs: what is idle, and
/// the kernel.
pub fn parse(mut seen: Vec<Seen>) -> Result<Processes, Why> {
    if seen.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, "CreateToolhelp32Snapshot"));
    }
    let count = u32::try_from(seen.len()).unwrap_or(u32::MAX);
    seen.retain(|process| process.id > KERNEL);
    seen.sort_by(|a, b| (b.resident_bytes, &a.name).cmp(&(a.resident_bytes, &b.name)));
    let largest = seen.into_iter().filter_map(|process| {
        Some(Process { name: Private::new(process.name), resident_bytes: process.resident_bytes? })
    });
    Ok(Processes {
        count,
        largest: BoundedVec::truncating(largest.take(LARGEST)).0,
        // There are no zombies here, and a program that hangs shows in its windows only.
        states: Fact::Unknown(Why::new(WhyKind::NotApplicable, "CreateToolhelp32Snapshot")),
        busiest: Fact::Unknown(Why::new(WhyKind::NotSupported, "GetProcessTimes")),
    })
}

/// The number of the kernel's own process; 0 is what is idle.
const KERNEL: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: u32, name: &str, resident_bytes: Option<u64>) -> Seen {
        Seen { id, name: name.to_owned(), resident_bytes }
    }

    #[test]
    fn the_largest_come_first_and_those_out_of_sight_are_counted() {
        let processes = parse(vec![
            seen(0, "[System Process]", Some(8)),
            seen(4, "System", Some(999_999)),
            seen(100, "small.exe", Some(10)),
            seen(104, "MsMpEng.exe", None),
            seen(108, "large.exe", Some(1_000)),
        ])
        .unwrap();
        let largest: Vec<_> = processes.largest.iter().map(|p| (p.name.reveal(), p.resident_bytes)).collect();
        assert_eq!((processes.count, largest), (5, vec![("large.exe", 1_000), ("small.exe", 10)]));
        assert_eq!(parse(Vec::new()).unwrap_err().kind, WhyKind::NotOffered);
    }
}
