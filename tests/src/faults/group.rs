//! A group of programs with a limit on its memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};

use crate::namespaces::run;

/// The two interfaces to groups that Linux has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each resource.
    One,
    /// One hierarchy for all.
    Two,
}

impl Version {
    /// Where groups with a limit on memory can be made; nothing where the kernel has given memory to the other version.
    pub fn place(self) -> Option<PathBuf> {
        let with = |place: &str, mark: &str, word: &str| {
            let text = std::fs::read_to_string(Path::new(place).join(mark)).ok()?;
            text.split_whitespace().any(|found| found.contains(word)).then(|| PathBuf::from(place))
        };
        match self {
            Self::One => with("/sys/fs/cgroup/memory", "memory.limit_in_bytes", ""),
            Self::Two => {
                let places = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
                places.into_iter().find_map(|place| with(place, "cgroup.subtree_control", "memory"))
            }
        }
    }

    const fn limit(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }
}

/// A group below the top of a hierarchy.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// An empty one without limits, at a place where groups are made.
    pub fn new(place: &Path) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        sweep(place);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = place.join(format!("{PREFIX}{}-{number}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path })
    }

    /// One with a limit on its memory.
    pub fn with_memory(version: Version, bytes: u64) -> anyhow::Result<Self> {
        let group = Self::new(&version.place().context("this version of groups has no memory here")?)?;
        std::fs::write(group.path.join(version.limit()), bytes.to_string())?;
        Ok(group)
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Runs a program inside that takes memory until the kernel ends it.
    pub fn run_out(&self) -> anyhow::Result<()> {
        // tail keeps the last line, and this one does not end.
        let script = "echo $$ > \"$1/cgroup.procs\" && exec tail /dev/zero";
        let ended = run(Command::new("sh").args(["-c", script, "sh"]).arg(&self.path), "");
        ensure!(ended.is_err(), "the program was not ended");
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes a group and those below it, whose programs have ended or are about to.
fn remove(path: &Path) {
    for _ in 0..200 {
        for below in std::fs::read_dir(path).into_iter().flatten().flatten() {
            if below.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_once(&below.path());
            }
        }
        if std::fs::remove_dir(path).is_ok() || !path.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn remove_once(path: &Path) {
    for below in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_once(&below.path());
        }
    }
    let _ = std::fs::remove_dir(path);
}

/// Removes groups whose process was killed before it could.
fn sweep(place: &Path) {
    for group in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = group.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            remove_once(&group.path());
        }
    }
}

const PREFIX: &str = "belay-faults-";
