//! Groups of programs with a limit on their memory: cgroups of either version, or both beside each other.

use std::collections::VecDeque;

use belay_protocol::BoundedVec;
use belay_protocol::report::{Fact, MemoryGroup, Private, Raw, Why, WhyKind};

use super::Root;

/// The groups that have a limit, ran into one, or lost a program.
pub fn look(root: &Root) -> Result<BoundedVec<MemoryGroup<Raw>, 128>, Why> {
    let hierarchies: Vec<_> = HIERARCHIES.into_iter().filter(|hierarchy| root.has(&hierarchy.mark())).collect();
    if hierarchies.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, SOURCE));
    }
    let groups = hierarchies.into_iter().flat_map(|hierarchy| hierarchy.walk(root));
    let told = groups.filter(|group| {
        let some = |fact: &Fact<u64>| fact.known().is_some_and(|count| *count > 0);
        group.limit_bytes.known().is_some() || some(&group.oom_kills) || some(&group.limit_hits)
    });
    Ok(BoundedVec::truncating(told).0)
}

const SOURCE: &str = "/sys/fs/cgroup";

/// Directories that are visited in one hierarchy, from the top: a server with a thousand containers has more, and those
/// that matter to it as a whole stand at the top.
const MAX_VISITED: usize = 2_048;

/// Where a hierarchy may be mounted, and its names for the same things (Linux Documentation/admin-guide/cgroup-v2.rst
/// and cgroup-v1/memory.rst).
struct Hierarchy {
    mount: &'static str,
    /// Of a file that only such a hierarchy has.
    mark: &'static str,
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: what could be dropped at once.
    droppable: &'static str,
    /// File and field of the programs that were ended.
    ended: (&'static str, &'static str),
    /// File and field of the times the limit was met; the whole file where the field is empty.
    hits: (&'static str, &'static str),
}

const V2: Hierarchy = Hierarchy {
    mount: SOURCE,
    mark: "cgroup.controllers",
    limit: "memory.max",
    used: "memory.current",
    droppable: "inactive_file",
    ended: ("memory.events", "oom_kill"),
    hits: ("memory.events", "max"),
};

const HIERARCHIES: [Hierarchy; 3] = [
    V2,
    Hierarchy { mount: "/sys/fs/cgroup/unified", ..V2 },
    Hierarchy {
        mount: "/sys/fs/cgroup/memory",
        mark: "memory.limit_in_bytes",
        limit: "memory.limit_in_bytes",
        used: "memory.usage_in_bytes",
        droppable: "total_inactive_file",
        ended: ("memory.oom_control", "oom_kill"),
        hits: ("memory.failcnt", ""),
    },
];

impl Hierarchy {
    fn mark(&self) -> String {
        format!("{}/{}", self.mount, self.mark)
    }

    /// The groups from the top, breadth first.
    fn walk(&self, root: &Root) -> Vec<MemoryGroup<Raw>> {
        let mut waiting = VecDeque::from([String::new()]);
        let mut groups = Vec::new();
        while let Some(path) = waiting.pop_front() {
            groups.push(self.group(root, &path));
            let names = root.list(&format!("{}{path}", self.mount), SOURCE).unwrap_or_default();
            for name in names {
                let below = format!("{path}/{name}");
                // A group is told from a file by the list of its processes.
                let is_group = !name.starts_with("cgroup.") && !name.starts_with("memory.");
                if groups.len() + waiting.len() < MAX_VISITED
                    && is_group
                    && root.has(&format!("{}{below}/cgroup.procs", self.mount))
                {
                    waiting.push_back(below);
                }
            }
        }
        groups
    }

    fn group(&self, root: &Root, path: &str) -> MemoryGroup<Raw> {
        let read = |file: &str| root.read_for(&format!("{}{path}/{file}", self.mount), SOURCE);
        let counter = |(file, name): (&str, &str)| {
            let text = read(file)?;
            parse_counter(&text, name).ok_or_else(|| Why::new(WhyKind::NotOffered, SOURCE))
        };
        let limit = read(self.limit)
            .and_then(|text| parse_limit(&text).ok_or_else(|| Why::new(WhyKind::NotApplicable, SOURCE)));
        let used = counter((self.used, "")).map(|used| {
            let droppable = counter(("memory.stat", self.droppable)).unwrap_or(0);
            used.saturating_sub(droppable)
        });
        let used_percent = match (&limit, &used) {
            (Ok(0), _) => Err(Why::new(WhyKind::NotApplicable, SOURCE)),
            (Ok(limit), Ok(used)) => Ok((*used as f64 * 100.0 / *limit as f64).min(100.0)),
            (Err(why), _) | (_, Err(why)) => Err(why.clone()),
        };
        MemoryGroup {
            path: Private::new(if path.is_empty() { "/" } else { path }),
            limit_bytes: limit.into(),
            used_bytes: used.into(),
            used_percent: used_percent.into(),
            oom_kills: counter(self.ended).into(),
            limit_hits: counter(self.hits).into(),
        }
    }
}

/// A limit in bytes; none for `max` and for the largest number of pages, which version 1 writes instead.
pub fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT_BYTES)
}

/// Four exbibytes: no machine has them, and version 1 writes eight less a page.
const NO_LIMIT_BYTES: u64 = 1 << 62;

/// The value behind a name at the start of a line, or the number that is the whole text when the name is empty.
pub fn parse_counter(text: &str, name: &str) -> Option<u64> {
    match name {
        "" => text.trim().parse().ok(),
        _ => text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn both_versions_beside_each_other_are_read() {
        let (_dir, root) = tree(&[
            ("sys/fs/cgroup/unified/cgroup.controllers", "memory\n"),
            ("sys/fs/cgroup/unified/a.slice/cgroup.procs", ""),
            ("sys/fs/cgroup/unified/a.slice/memory.max", "1000\n"),
            ("sys/fs/cgroup/unified/a.slice/memory.current", "950\n"),
            ("sys/fs/cgroup/unified/a.slice/memory.stat", "anon 1\ninactive_file 50\n"),
            ("sys/fs/cgroup/unified/a.slice/memory.events", "low 0\nmax 3\noom 1\noom_kill 2\n"),
            ("sys/fs/cgroup/unified/b.slice/cgroup.procs", ""),
            ("sys/fs/cgroup/unified/b.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/cgroup.procs", ""),
            ("sys/fs/cgroup/memory/docker/x/cgroup.procs", ""),
            ("sys/fs/cgroup/memory/docker/cgroup.procs", ""),
            ("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "4096\n"),
            ("sys/fs/cgroup/memory/docker/x/memory.usage_in_bytes", "1024\n"),
            ("sys/fs/cgroup/memory/docker/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"),
            ("sys/fs/cgroup/memory/docker/x/memory.failcnt", "7\n"),
        ]);
        let groups = look(&root).unwrap();
        let seen: Vec<_> = groups
            .iter()
            .map(|g| {
                (
                    g.path.reveal(),
                    g.used_percent.known().copied(),
                    g.oom_kills.known().copied(),
                    g.limit_hits.known().copied(),
                )
            })
            .collect();
        assert_eq!(seen, [("/a.slice", Some(90.0), Some(2), Some(3)), ("/docker/x", Some(25.0), Some(5), Some(7))]);
    }

    #[test]
    fn a_machine_without_groups_does_not_offer_them() {
        let (_dir, root) = tree(&[("proc/stat", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotOffered);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_limit(&text);
            parse_counter(&text, "");
            parse_counter(&text, "oom_kill");
        }
    }
}
