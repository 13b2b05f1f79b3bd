//! Backups: every row, blob and key of a desk at one instant, in one file that only the holder of an offline key can read.
//!
//! A backup is a gzipped tar archive, encrypted with [age](https://age-encryption.org/v1) to one or more recipients, so
//! that it can also be opened without Belay (`age -d -i backup.key FILE | tar tz`):
//!
//! | entry | what it is |
//! |---|---|
//! | `head.json` | [`Head`]: format, time, desk, the steps that made its schema, and the columns of each table |
//! | `desk/NAME` | the desk's name, keys and delegations |
//! | `tables/NAME/NUMBER.jsonl` | rows, a JSON array each, in the order of the table's key |
//! | `blobs/XX/SHA256` | reports and attachments |
//! | `manifest.json` | [`Manifest`]: size and hash of every entry, rows and hash of every table |
//!
//! Rows come from one snapshot of the database, which goes on being written. The manifest is last: a file without it was
//! cut off. It is made by [`make()`], tried and put back by [`restore()`], and made again and again by [`keep()`].

use std::collections::BTreeMap;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::store::StoreError;

mod archive;
mod keep;
mod make;
mod restore;

pub(crate) use keep::newest;
pub use keep::{Schedule, keep};
pub use make::{BackupError, Sink, make};
pub(crate) use restore::NOT_AN_IDENTITY;
pub use restore::{Identities, IdentityError, Place, RestoreError, Restored, restore};

/// Who may read a backup: the public half of an age identity that is kept off line.
#[derive(Clone)]
pub struct Recipient {
    key: age::x25519::Recipient,
    text: String,
}

/// A text is not the public half of an age identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a recipient looks like age1...: `belay-console backup-key FILE` makes one and prints it")]
pub struct NotARecipient;

impl FromStr for Recipient {
    type Err = NotARecipient;

    fn from_str(text: &str) -> Result<Self, NotARecipient> {
        let text = text.trim().to_owned();
        let key = text.parse().map_err(|_| NotARecipient)?;
        Ok(Self { key, text })
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipient({})", self.text)
    }
}

/// Draws a new identity: its file, which belongs off line, and the recipient that backups are encrypted to.
pub fn new_identity(now: UnixMillis) -> (zeroize::Zeroizing<String>, Recipient) {
    use age::secrecy::ExposeSecret as _;

    let identity = age::x25519::Identity::generate();
    let key = identity.to_public();
    let text = key.to_string();
    let secret = identity.to_string();
    let file = format!("# created: {now}\n# public key: {text}\n{}\n", secret.expose_secret());
    (file.into(), Recipient { key, text })
}

/// What a backup says of itself before anything else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the console that made it.
    pub version: String,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// The desk's name for itself.
    pub desk: String,
    /// The organization key of the desk.
    pub organization: String,
    /// The steps that have made the schema, oldest first.
    pub steps: Vec<String>,
    /// The columns of each table, in the order of a row's cells.
    pub columns: BTreeMap<String, Vec<String>>,
}

/// What a backup says of itself at its end.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// Every entry before the manifest.
    pub entries: BTreeMap<String, EntrySum>,
    /// Every table.
    pub tables: BTreeMap<String, TableSum>,
    /// Blobs that rows name and that were not there, or not as they had been filed: lost before the backup was made.
    pub damaged_blobs: Vec<String>,
}

/// Size and hash of an entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EntrySum {
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// How many rows a table has, and their hash.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TableSum {
    /// Its rows.
    pub rows: u64,
    /// The SHA-256 of its rows' lines, one after the other, in hexadecimal.
    pub sha256: String,
}

/// The form that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

const HEAD: &str = "head.json";
const MANIFEST: &str = "manifest.json";

/// Adds up the rows of a table.
#[derive(Default)]
struct RowSum {
    rows: u64,
    hash: sha2::Sha256,
}

impl RowSum {
    /// Adds a row's line, which ends with a line feed.
    fn add(&mut self, line: &[u8]) {
        use sha2::Digest as _;

        self.rows += 1;
        self.hash.update(line);
    }

    fn end(self) -> TableSum {
        use sha2::Digest as _;

        TableSum { rows: self.rows, sha256: data_encoding::HEXLOWER.encode(&self.hash.finalize()) }
    }
}

/// A row as it stands in a backup.
fn line_of(cells: &[crate::store::Cell]) -> Vec<u8> {
    let values: Vec<serde_json::Value> = cells.iter().map(crate::store::Cell::to_json).collect();
    let mut line = serde_json::to_vec(&values).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Something of the desk's own failed while a backup was made or put back.
fn task_failed(error: tokio::task::JoinError) -> StoreError {
    StoreError::File(io::Error::other(error))
}

/// The entries of a backup as they stand in it.
#[cfg(test)]
pub(crate) fn entries(backup: &[u8], identities: &Identities) -> Vec<(String, Vec<u8>)> {
    let mut entries = Vec::new();
    let read = archive::read(backup, identities.all(), |name, content| {
        entries.push((name, content));
        true
    });
    read.unwrap();
    entries
}

/// A backup of these entries, as anybody can write it who knows the recipient; `resealed` with a manifest that fits them.
#[cfg(test)]
pub(crate) fn forge(entries: &[(String, Vec<u8>)], recipient: &Recipient, resealed: bool) -> Vec<u8> {
    let mut archive = archive::ArchiveWriter::begin(Vec::new(), std::slice::from_ref(recipient), 0).unwrap();
    let (manifest, rest): (Vec<_>, Vec<_>) = entries.iter().partition(|(name, _)| name == MANIFEST);
    let mut sums: BTreeMap<String, RowSum> = BTreeMap::new();
    let head: serde_json::Value = serde_json::from_slice(&entries[0].1).unwrap();
    for table in head["columns"].as_object().unwrap().keys() {
        sums.entry(table.clone()).or_default();
    }
    for (name, content) in rest {
        archive.add_unchecked(name, content);
        if let ["tables", table, _] = name.split('/').collect::<Vec<_>>().as_slice() {
            let sum = sums.entry((*table).to_owned()).or_default();
            content.split_inclusive(|byte| *byte == b'\n').for_each(|line| sum.add(line));
        }
    }
    let mut sealed: Manifest = serde_json::from_slice(&manifest[0].1).unwrap();
    if resealed {
        sealed.entries = archive.entries().clone();
        sealed.tables = sums.into_iter().map(|(table, sum)| (table, sum.end())).collect();
    }
    archive.add_unchecked(MANIFEST, &serde_json::to_vec(&sealed).unwrap());
    archive.end().unwrap()
}
