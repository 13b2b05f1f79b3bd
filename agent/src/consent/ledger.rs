//! What the customer agreed to, kept on the customer's machine: one JSON object a line, only ever appended.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use belay_protocol::OrganizationKey;
use belay_protocol::consent::Grant;
use belay_protocol::id::hex;
use serde::{Deserialize, Serialize};

use crate::data_file;

/// The ledger could not be kept. Nothing may be sent that is not written down first.
#[derive(Debug, thiserror::Error)]
#[error("the consent ledger {path} cannot be used", path = path.display())]
pub struct LedgerError {
    path: PathBuf,
    source: io::Error,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was given, in milliseconds since 1970 by the device's clock.
    pub at_unix_ms: i64,
    /// The organization key of the desk, as text.
    pub organization: String,
    /// The ticket's number.
    pub ticket: String,
    /// What was answered.
    pub answer: Answered,
    /// What was granted, each until its end; empty when refused.
    pub grants: Vec<Grant>,
    /// SHA-256 of the report that was shown, in hexadecimal.
    pub report_sha256: String,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// A person agreed.
    Approved,
    /// A person agreed beforehand, with `--yes`.
    ApprovedInAdvance,
    /// A person refused, or nobody answered.
    Refused,
}

impl Entry {
    /// An answer at `at_unix_ms` about the report with this hash.
    pub fn new(
        at_unix_ms: i64,
        organization: &OrganizationKey,
        ticket: impl Into<String>,
        answer: Answered,
        grants: &[Grant],
        report_sha256: &[u8; 32],
    ) -> Self {
        Self {
            at_unix_ms,
            organization: organization.to_string(),
            ticket: ticket.into(),
            answer,
            grants: if answer == Answered::Refused { Vec::new() } else { grants.to_vec() },
            report_sha256: hex(report_sha256),
        }
    }
}

/// The file of answers.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// The ledger in the data directory, which is made when it is not there yet.
    pub fn in_data_dir(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join(FILE_NAME);
        std::fs::create_dir_all(dir).map_err(|source| LedgerError { path: path.clone(), source })?;
        Ok(Self { path })
    }

    /// Writes an answer down; on return it is on disk.
    pub fn append(&self, entry: &Entry) -> Result<(), LedgerError> {
        let write = || -> io::Result<()> {
            let mut line = serde_json::to_vec(entry)?;
            line.push(b'\n');
            let mut file = open(&self.path)?;
            // After a crash in the middle of a line, the next one starts afresh.
            if !ends_with_line_break(&mut file)? {
                line.insert(0, b'\n');
            }
            // One write, so that two agents at once do not mix their lines.
            file.write_all(&line)?;
            file.sync_all()?;
            sync_directory(&self.path)
        };
        write().map_err(|source| LedgerError { path: self.path.clone(), source })
    }

    /// The answers so far, oldest first. Lines that are cut off or damaged are left out, and counted.
    pub fn read(&self) -> Result<(Vec<Entry>, usize), LedgerError> {
        let read = || -> io::Result<_> {
            let file = match File::open(&self.path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
                file => file?,
            };
            let (mut entries, mut damaged) = (Vec::new(), 0);
            for line in BufReader::new(file.take(FILE_MAX_BYTES)).split(b'\n') {
                let line = line?;
                match serde_json::from_slice(&line) {
                    Ok(entry) => entries.push(entry),
                    Err(_) if line.is_empty() => {}
                    Err(_) => damaged += 1,
                }
            }
            Ok((entries, damaged))
        };
        read().map_err(|source| LedgerError { path: self.path.clone(), source })
    }
}

const FILE_NAME: &str = "consent.jsonl";

/// Bytes that are read: the answers of some fifty years at ten a day.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

fn open(path: &Path) -> io::Result<File> {
    data_file::private().read(true).append(true).create(true).open(path)
}

fn ends_with_line_break(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Makes the file's name durable too.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) if cfg!(unix) => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use belay_protocol::consent::Capability;

    use super::*;

    fn entry(ticket: &str, answer: Answered) -> Entry {
        let grants = [Grant { capability: Capability::Survey, until_unix_ms: 9 }];
        Entry::new(7, &OrganizationKey([1; 32]), ticket, answer, &grants, &[0xab; 32])
    }

    #[test]
    fn answers_are_appended_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::in_data_dir(&dir.path().join("new")).unwrap();
        assert_eq!(ledger.read().unwrap(), (vec![], 0));
        ledger.append(&entry("1", Answered::Approved)).unwrap();
        ledger.append(&entry("2", Answered::Refused)).unwrap();
        let (entries, damaged) = ledger.read().unwrap();
        assert_eq!((entries.len(), damaged), (2, 0));
        assert_eq!(entries[0], entry("1", Answered::Approved));
        assert!(entries[1].grants.is_empty(), "a refusal grants nothing");
    }

    #[test]
    fn a_cut_off_last_line_loses_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::in_data_dir(dir.path()).unwrap();
        ledger.append(&entry("1", Answered::Approved)).unwrap();
        ledger.append(&entry("2", Answered::Approved)).unwrap();
        let whole = std::fs::read(&ledger.path).unwrap();
        for cut in whole.len() / 2 + 1..whole.len() {
            std::fs::write(&ledger.path, &whole[..cut]).unwrap();
            ledger.append(&entry("3", Answered::Approved)).unwrap();
            let tickets: Vec<_> = ledger.read().unwrap().0.into_iter().map(|entry| entry.ticket).collect();
            assert!(
                tickets.starts_with(&["1".to_owned()]) && tickets.ends_with(&["3".to_owned()]),
                "{cut}: {tickets:?}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::in_data_dir(dir.path()).unwrap();
        ledger.append(&entry("1", Answered::Approved)).unwrap();
        assert_eq!(std::fs::metadata(&ledger.path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
