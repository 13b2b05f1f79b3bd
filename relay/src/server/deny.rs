//! The deny list on disk: which devices each organization does not want to hear of.
//!
//! A text file with one `ORGANIZATION DEVICE` a line. A denial takes effect at once and is then appended and synced; a
//! whole new list of an organization replaces the file in one step. What could not be written, as on a full disk, is
//! written anew with the whole list until that works, never behind a line that was cut off. A last line that was cut off
//! by a crash is dropped; anything else that is not understood stops the start, because a forgotten denial would let a
//! device back in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use belay_protocol::{DeviceKey, OrganizationKey};

use crate::logging::told;
use crate::private_file;

/// Devices that one organization may deny, or all together where everybody is served; further ones are refused, and the
/// console is told.
pub(super) const DENIED_MAX: usize = 100_000;

/// The denials of every organization.
pub(super) type Denied = BTreeMap<OrganizationKey, BTreeSet<DeviceKey>>;

/// The file.
#[derive(Debug)]
pub(super) struct DenyFile {
    path: PathBuf,
    state: Mutex<State>,
}

/// What the file holds of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    /// Not all of it; to be tried again from here on.
    Behind {
        retry_at: Instant,
    },
}

/// Time between two attempts to write what could not be written.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How the file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Whole,
    /// In the middle of a line, as after a crash.
    CutOff,
}

/// What a deny list comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeniedDevices {
    /// Denials.
    pub count: usize,
    /// Whether its last line was cut off; the next start drops that.
    pub is_cut_off: bool,
}

/// Counts what the deny list in `data` names. The file stays as it is.
pub fn denied_devices(data: &Path) -> Result<DeniedDevices, DenyError> {
    let (_, denied, ending) = DenyFile::read(data)?;
    let count = denied.values().map(BTreeSet::len).sum();
    Ok(DeniedDevices { count, is_cut_off: ending == Ending::CutOff })
}

/// Why the deny list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DenyError {
    /// The system does not let us.
    #[error("the deny list {path} cannot be used", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not one of ours.
    #[error("the deny list {path} is damaged in line {line}: restore it, or delete it and restart the consoles", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl DenyFile {
    /// Reads the list in `data`; none is an empty one.
    pub(super) fn load(data: &Path) -> Result<(Self, Denied), DenyError> {
        let (file, denied, ending) = Self::read(data)?;
        if ending == Ending::CutOff {
            tracing::warn!("the last line of the deny list was cut off and is dropped; consoles send it again");
            // What was read is right: a full disk is no reason not to serve with it.
            file.conclude(&mut file.state(), file.replace(&denied), Instant::now());
        }
        Ok((file, denied))
    }

    /// Reads the list without mending it.
    fn read(data: &Path) -> Result<(Self, Denied, Ending), DenyError> {
        let path = data.join("denied");
        if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            // A pipe might be read for ever.
            let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a file");
            return Err(DenyError::File { path, source });
        }
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(DenyError::File { path, source }),
        };
        let mut denied = Denied::new();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let Some(whole) = line.strip_suffix('\n') else { break };
            let keys = whole
                .split_once(' ')
                .and_then(|(organization, device)| Some((organization.parse().ok()?, device.parse().ok()?)));
            let Some((organization, device)) = keys else { return Err(DenyError::Line { path, line: index + 1 }) };
            denied.entry(organization).or_default().insert(device);
        }
        let ending = if text.is_empty() || text.ends_with('\n') { Ending::Whole } else { Ending::CutOff };
        Ok((Self { path, state: Mutex::new(State::Whole) }, denied, ending))
    }

    /// Keeps one more denial, of a list that is now `denied`. When that fails it is logged, and [`DenyFile::is_due`]
    /// says when to try again.
    pub(super) fn add(&self, organization: &OrganizationKey, device: &DeviceKey, denied: &Denied, now: Instant) {
        let mut state = self.state();
        let done = match *state {
            State::Whole => self.append(organization, device),
            // What came before may have left half a line.
            State::Behind { .. } => self.replace(denied),
        };
        self.conclude(&mut state, done, now);
    }

    /// Keeps a list that has changed in more than one denial. A failure is treated as in [`DenyFile::add`].
    pub(super) fn keep(&self, denied: &Denied, now: Instant) {
        let mut state = self.state();
        self.conclude(&mut state, self.replace(denied), now);
    }

    /// Whether some of the list could not be written yet.
    pub(super) fn is_behind(&self) -> bool {
        *self.state() != State::Whole
    }

    /// Whether it is time to [`DenyFile::keep`] the list again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(*self.state(), State::Behind { retry_at } if retry_at <= now)
    }

    fn conclude(&self, state: &mut State, done: io::Result<()>, now: Instant) {
        let next = match done {
            Ok(()) => State::Whole,
            Err(source) => {
                let error = DenyError::File { path: self.path.clone(), source };
                tracing::error!(
                    error = %told(&error),
                    "denials hold, but could not be written: devices may reach the relay again after a restart, until \
                     their console is back"
                );
                State::Behind { retry_at: now + RETRY_INTERVAL }
            }
        };
        if *state != State::Whole && next == State::Whole {
            tracing::info!("the deny list is whole on disk again");
        }
        *state = next;
    }

    fn append(&self, organization: &OrganizationKey, device: &DeviceKey) -> io::Result<()> {
        let mut file = private_file::options().create(true).append(true).open(&self.path)?;
        file.write_all(format!("{organization} {device}\n").as_bytes())?;
        file.sync_all()
    }

    fn replace(&self, denied: &Denied) -> io::Result<()> {
        let next = self.path.with_extension("new");
        // One that was left behind has the mode of an earlier version.
        let _ = fs::remove_file(&next);
        let mut file = private_file::options().create(true).truncate(true).write(true).open(&next)?;
        let mut text = String::new();
        for (organization, devices) in denied {
            text.extend(devices.iter().map(|device| format!("{organization} {device}\n")));
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        match self.path.parent() {
            Some(data) if cfg!(unix) => File::open(data)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: OrganizationKey = OrganizationKey([1; 32]);
    const OTHER: OrganizationKey = OrganizationKey([2; 32]);

    fn device(name: u8) -> DeviceKey {
        DeviceKey([name; 32])
    }

    #[test]
    fn denials_survive_a_restart_and_a_cut_off_line() {
        let dir = tempfile::tempdir().unwrap();
        let (file, denied) = DenyFile::load(dir.path()).unwrap();
        assert!(denied.is_empty());
        file.keep(&Denied::from([(ONE, BTreeSet::from([device(7)]))]), Instant::now());
        file.add(&OTHER, &device(8), &Denied::new(), Instant::now());
        assert!(!file.is_behind());
        let expected = Denied::from([(ONE, [device(7)].into()), (OTHER, [device(8)].into())]);
        assert_eq!(DenyFile::load(dir.path()).unwrap().1, expected);

        let path = dir.path().join("denied");
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{ONE} {}", &device(9).to_string()[..20])).unwrap();
        assert_eq!(DenyFile::load(dir.path()).unwrap().1, expected);
        assert_eq!(fs::read_to_string(&path).unwrap(), whole, "what is appended next begins a line of its own");
    }

    #[test]
    fn a_full_disk_is_no_reason_not_to_start_with_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let cut_off = format!("{ONE} {}\n{ONE} cut", device(7));
        fs::write(dir.path().join("denied"), &cut_off).unwrap();
        // A directory where the new list would be written fails as a full disk does.
        fs::create_dir_all(dir.path().join("denied.new/x")).unwrap();
        let (file, denied) = DenyFile::load(dir.path()).unwrap();
        assert_eq!(denied, Denied::from([(ONE, [device(7)].into())]));
        assert!(file.is_behind());
        assert_eq!(fs::read_to_string(dir.path().join("denied")).unwrap(), cut_off);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("denied");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(matches!(DenyFile::load(dir.path()), Err(DenyError::File { .. })));
    }

    #[test]
    fn a_damaged_list_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("denied"), format!("{ONE} {}\nrubbish\n", device(7))).unwrap();
        assert!(matches!(DenyFile::load(dir.path()), Err(DenyError::Line { line: 2, .. })));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_whom_an_organization_denies() {
        use std::os::unix::fs::MetadataExt as _;

        let dir = tempfile::tempdir().unwrap();
        let (file, _) = DenyFile::load(dir.path()).unwrap();
        let mode = || fs::metadata(dir.path().join("denied")).unwrap().mode() & 0o777;
        file.add(&ONE, &device(1), &Denied::new(), Instant::now());
        assert_eq!(mode(), 0o600);
        file.keep(&Denied::new(), Instant::now());
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn what_could_not_be_written_is_written_when_that_is_possible_again() {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = DenyFile::load(dir.path()).unwrap();
        let (now, path) = (Instant::now(), dir.path().join("denied"));
        // A directory in its place fails as a full disk does.
        fs::create_dir(&path).unwrap();
        let denied = Denied::from([(ONE, BTreeSet::from([device(1), device(2)]))]);
        file.add(&ONE, &device(1), &denied, now);
        assert!(file.is_behind());
        assert!(!file.is_due(now));
        fs::remove_dir(&path).unwrap();
        // Half a line, as a disk that became full leaves it.
        fs::write(&path, ONE.to_string()).unwrap();
        assert!(file.is_due(now + RETRY_INTERVAL));
        file.add(&ONE, &device(2), &denied, now + RETRY_INTERVAL);
        assert!(!file.is_behind());
        assert_eq!(DenyFile::load(dir.path()).unwrap().1, denied);
    }
}
