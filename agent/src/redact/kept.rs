//! The map from personal values to aliases as it is kept on this machine, so that one report calls things what the last
//! one called them. Nothing here is ever sent.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use belay_protocol::report::PrivateKind;
use serde::{Deserialize, Serialize};

use crate::data_file::{self, private};

/// What later reports need to use the same aliases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The last number given out for each kind. It only grows: an alias never comes to mean something else.
    pub(super) numbers: BTreeMap<PrivateKind, u32>,
    /// Subnets that were ever given a number.
    pub(super) subnet_count: u32,
    /// Values and aliases. Secrets are never among them.
    pub(super) entries: Vec<Entry>,
}

/// One value and what stands for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) kind: PrivateKind,
    /// The value as it was first written.
    pub(super) value: String,
    pub(super) alias: String,
    /// When a report last held the alias, in seconds since 1970 UTC.
    pub(super) used_unix_s: i64,
}

impl Entry {
    /// The value that the alias stands for; of a mail address what stands before its domain, which has an alias too.
    pub(super) fn shown(&self) -> &str {
        match self.kind {
            PrivateKind::Mail => self.value.split('@').next().unwrap_or_default(),
            _ => &self.value,
        }
    }
}

/// The file of aliases, held by one process at a time.
#[derive(Debug)]
pub(super) struct MapFile {
    path: PathBuf,
    /// Holds the lock as long as it lives.
    _lock: File,
}

impl MapFile {
    /// Opens the map in the data directory, which is made when it is not there yet, and waits a moment while another agent
    /// uses it.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        Self::open_within(LOCK_PATIENCE, dir)
    }

    fn open_within(patience: Duration, dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let lock = private().create(true).truncate(false).open(dir.join(LOCK_NAME))?;
        let since = Instant::now();
        while let Err(refused) = lock.try_lock() {
            match refused {
                TryLockError::WouldBlock if since.elapsed() < patience => std::thread::sleep(LOCK_PAUSE),
                TryLockError::WouldBlock => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another agent has held them for too long"));
                }
                TryLockError::Error(error) => return Err(error),
            }
        }
        Ok(Self { path: dir.join(FILE_NAME), _lock: lock })
    }

    /// What was kept; nothing before the first report.
    pub(super) fn load(&self) -> io::Result<Kept> {
        let mut text = String::new();
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            file => file?.take(FILE_MAX_BYTES).read_to_string(&mut text)?,
        };
        Ok(serde_json::from_str(&text)?)
    }

    /// Keeps `kept` in place of what was there; on return it is on disk. Of more entries than fit, those go that no report
    /// has held for longest.
    pub(super) fn store(&self, mut kept: Kept) -> io::Result<()> {
        kept.entries.sort_by_key(|entry| std::cmp::Reverse(entry.used_unix_s));
        kept.entries.truncate(MAX_KEPT);
        let bytes = serde_json::to_vec(&kept)?;
        data_file::put(&self.path, |fresh| {
            let mut file = private().create(true).truncate(true).open(fresh)?;
            file.write_all(&bytes)?;
            file.sync_all()
        })
    }
}

const FILE_NAME: &str = "aliases.json";
const LOCK_NAME: &str = "aliases.lock";

/// How long another agent may hold the map: it takes milliseconds, unless its disk hangs.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Entries that are kept: as many as one report may bring.
const MAX_KEPT: usize = super::aliases::MAX_ALIASES;

/// [`MAX_KEPT`] entries of half a kilobyte.
const FILE_MAX_BYTES: u64 = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize, used_unix_s: i64) -> Entry {
        let (value, alias) = (format!("person{number}"), format!("user-{number}"));
        Entry { kind: PrivateKind::User, value, alias, used_unix_s }
    }

    #[test]
    fn what_is_stored_is_loaded_and_only_the_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let map = MapFile::open(dir.path()).unwrap();
        assert_eq!(map.load().unwrap(), Kept::default());
        let kept = Kept { numbers: [(PrivateKind::User, 7)].into(), subnet_count: 2, entries: vec![entry(7, 1)] };
        map.store(kept.clone()).unwrap();
        assert_eq!(map.load().unwrap(), kept);
        #[cfg(unix)]
        for name in [FILE_NAME, LOCK_NAME] {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn another_agent_is_waited_for_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let held = MapFile::open(dir.path()).unwrap();
        let refused = MapFile::open_within(Duration::from_millis(30), dir.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        drop(held);
        MapFile::open_within(Duration::ZERO, dir.path()).unwrap();
    }

    #[test]
    fn of_too_many_the_longest_unused_go() {
        let dir = tempfile::tempdir().unwrap();
        let map = MapFile::open(dir.path()).unwrap();
        let entries = (0..=MAX_KEPT).map(|number| entry(number, number as i64)).collect();
        map.store(Kept { entries, ..Kept::default() }).unwrap();
        let kept = map.load().unwrap();
        assert_eq!(kept.entries.len(), MAX_KEPT);
        assert!(!kept.entries.contains(&entry(0, 0)));
    }

    #[test]
    fn a_damaged_map_is_an_error_and_no_empty_map() {
        let dir = tempfile::tempdir().unwrap();
        let map = MapFile::open(dir.path()).unwrap();
        std::fs::write(dir.path().join(FILE_NAME), b"{").unwrap();
        assert!(map.load().is_err());
    }
}
