//! The deny list on disk: which devices each organization does not want to hear of.
//!
//! A text file with one `ORGANIZATION DEVICE` a line. A new denial is appended and synced before it is acknowledged by
//! taking effect; a whole new list of an organization replaces the file in one step. A last line that was cut off by a
//! crash is dropped; anything else that is not understood stops the start, because a forgotten denial would let a
//! device back in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use belay_protocol::{DeviceKey, OrganizationKey};

/// Devices that one organization may deny; further ones are refused, and the console is told.
pub(super) const DENIED_MAX: usize = 100_000;

/// The denials of every organization.
pub(super) type Denied = BTreeMap<OrganizationKey, BTreeSet<DeviceKey>>;

/// The file.
#[derive(Debug)]
pub(super) struct DenyFile {
    path: PathBuf,
}

/// How the file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Whole,
    /// In the middle of a line, as after a crash.
    CutOff,
}

/// How many devices the deny list in `data` names. The file stays as it is.
pub fn denied_devices(data: &Path) -> Result<usize, DenyError> {
    let (_, denied, _) = DenyFile::read(data)?;
    Ok(denied.values().map(BTreeSet::len).sum())
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
            file.replace(&denied)?;
        }
        Ok((file, denied))
    }

    /// Reads the list without mending it.
    fn read(data: &Path) -> Result<(Self, Denied, Ending), DenyError> {
        let path = data.join("denied");
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
        Ok((Self { path }, denied, ending))
    }

    /// Adds one denial.
    pub(super) fn append(&self, organization: &OrganizationKey, device: &DeviceKey) -> Result<(), DenyError> {
        let append = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            file.write_all(format!("{organization} {device}\n").as_bytes())?;
            file.sync_all()
        };
        append().map_err(|source| self.failed(source))
    }

    /// Writes the whole list anew.
    pub(super) fn replace(&self, denied: &Denied) -> Result<(), DenyError> {
        let replace = || {
            let next = self.path.with_extension("new");
            let mut file = File::create(&next)?;
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
        };
        replace().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> DenyError {
        DenyError::File { path: self.path.clone(), source }
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
        file.replace(&Denied::from([(ONE, BTreeSet::from([device(7)]))])).unwrap();
        file.append(&OTHER, &device(8)).unwrap();
        let expected = Denied::from([(ONE, [device(7)].into()), (OTHER, [device(8)].into())]);
        assert_eq!(DenyFile::load(dir.path()).unwrap().1, expected);

        let path = dir.path().join("denied");
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{ONE} {}", &device(9).to_string()[..20])).unwrap();
        assert_eq!(DenyFile::load(dir.path()).unwrap().1, expected);
        assert_eq!(fs::read_to_string(&path).unwrap(), whole, "what is appended next begins a line of its own");
    }

    #[test]
    fn a_damaged_list_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("denied"), format!("{ONE} {}\nrubbish\n", device(7))).unwrap();
        assert!(matches!(DenyFile::load(dir.path()), Err(DenyError::Line { line: 2, .. })));
    }
}
