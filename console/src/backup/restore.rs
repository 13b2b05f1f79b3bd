//! Putting a backup into a new place, and comparing everything that stands there with what the backup says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use belay_protocol::Phrase;
use futures_util::TryStreamExt as _;
use serde::Serialize;
use tokio::sync::mpsc;

use super::archive::{self, ReadError};
use super::make::sum_of;
use super::{EntrySum, FORMAT, HEAD, Head, MANIFEST, Manifest, RowSum, TableSum, task_failed};
use crate::clock::Clock;
use crate::data::{DataDirectory, DataError};
use crate::secret::ServerKey;
use crate::store::{
    AuditError, Blank, Cell, Column, DatabaseLocation, Store, StoreError, StoreSettings, Table, known_steps, tables,
};

/// The private halves that open backups.
pub struct Identities(Vec<Box<dyn age::Identity + Send + Sync>>);

/// A file holds no age identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] io::Error),
    /// It holds something else, or an identity behind a passphrase.
    #[error("{}", NOT_AN_IDENTITY.en)]
    Malformed,
}

/// What [`IdentityError::Malformed`] says.
pub(crate) const NOT_AN_IDENTITY: Phrase = Phrase {
    en: "it holds no age identity (a line AGE-SECRET-KEY-1...): give the file that `belay-console backup-key` or \
         `age-keygen` has made",
    zh: "其中没有 age 身份（AGE-SECRET-KEY-1... 一行）：请使用 `belay-console backup-key` 或 `age-keygen` 生成的文件",
};

impl Identities {
    /// Reads the identities of a file.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let file = io::BufReader::new(fs_err::File::open(path)?);
        let read = age::IdentityFile::from_buffer(file).map_err(|_| IdentityError::Malformed)?;
        let identities = read.into_identities().map_err(|_| IdentityError::Malformed)?;
        if identities.is_empty() { Err(IdentityError::Malformed) } else { Ok(Self(identities)) }
    }
}

#[cfg(test)]
impl Identities {
    pub(super) fn all(&self) -> &[Box<dyn age::Identity + Send + Sync>] {
        &self.0
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

/// Where a backup is put: a directory without a desk, and a database without tables.
#[derive(Clone, Debug)]
pub struct Place {
    /// The data directory; an empty one, or none yet.
    pub data: DataDirectory,
    /// A PostgreSQL URL; the SQLite file in the directory when there is none.
    pub database: Option<String>,
    /// The time.
    pub clock: Clock,
}

/// What was put back and compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Restored {
    /// The desk's name for itself.
    pub desk: String,
    /// The desk's organization key.
    pub organization: String,
    /// When the backup was made, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// Blobs, each with the hash that it was filed under.
    pub blobs: u64,
    /// Blobs that were lost or damaged at the desk before the backup was made.
    pub damaged_blobs: Vec<String>,
    /// Lines of the audit, whose chain is whole to its sealed end.
    pub audit_lines: i64,
}

/// A backup was not put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// None of the identities is for it.
    #[error("{}", WRONG_KEY.en)]
    WrongKey,
    /// It ends too early.
    #[error("{}", CUT_OFF.en)]
    CutOff,
    /// It is something else, or was changed or damaged.
    #[error("{}", NOT_A_BACKUP.en)]
    NotABackup,
    /// A newer console made it.
    #[error("{}", NEWER.en.replace("{version}", .0))]
    Newer(String),
    /// What arrived is not what its manifest says.
    #[error("{}", DIFFERS.en.replace("{what}", .0))]
    Differs(String),
    /// There is something in the directory already.
    #[error("{} is not empty: choose a directory that does not exist yet", .0.display())]
    DirectoryInUse(std::path::PathBuf),
    /// There are tables in the database already.
    #[error("{}", DATABASE_IN_USE.en)]
    DatabaseInUse,
    /// The audit was changed before the backup was made, or its key is another.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The database or the blobs.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read, or the place not be written.
    #[error(transparent)]
    File(#[from] io::Error),
}

impl RestoreError {
    /// What it says in Chinese, where it has words of its own.
    pub(crate) fn chinese(&self) -> Option<String> {
        let phrase = match self {
            Self::WrongKey => WRONG_KEY,
            Self::CutOff => CUT_OFF,
            Self::NotABackup => NOT_A_BACKUP,
            Self::DatabaseInUse => DATABASE_IN_USE,
            Self::Newer(version) => return Some(NEWER.zh.replace("{version}", version)),
            Self::Differs(what) => return Some(DIFFERS.zh.replace("{what}", what)),
            Self::DirectoryInUse(path) => {
                return Some(format!("{} 不是空目录：请选择一个尚不存在的目录", path.display()));
            }
            _ => return None,
        };
        Some(phrase.zh.to_owned())
    }
}

const WRONG_KEY: Phrase = Phrase {
    en: "the identity given is not one that this backup was encrypted to",
    zh: "所给的身份文件不是此备份的加密接收者",
};
const CUT_OFF: Phrase = Phrase {
    en: "the backup was cut off: copy it again, or take an older one",
    zh: "备份文件不完整：请重新复制，或使用更早的备份",
};
const NOT_A_BACKUP: Phrase = Phrase {
    en: "the file is not a backup of a desk, or it was changed or damaged: copy it again, or take an older one",
    zh: "该文件不是服务台的备份，或已被改动或损坏：请重新复制，或使用更早的备份",
};
const NEWER: Phrase = Phrase {
    en: "the backup was made by version {version}, which is newer than this one: restore it with that version",
    zh: "此备份由较新的版本 {version} 生成：请用该版本恢复",
};
const DIFFERS: Phrase = Phrase {
    en: "what was restored is not what the backup says of itself: {what}. Take an older one",
    zh: "恢复的内容与备份清单不符：{what}。请使用更早的备份",
};
const DATABASE_IN_USE: Phrase = Phrase {
    en: "there are tables in the database already: create a new one and name it with --database",
    zh: "数据库中已有数据表：请新建一个数据库并用 --database 指定",
};

impl From<ReadError> for RestoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Decrypt(age::DecryptError::NoMatchingKeys) => Self::WrongKey,
            ReadError::Decrypt(age::DecryptError::Io(error)) | ReadError::File(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => Self::CutOff,
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => Self::NotABackup,
                _ => Self::File(error),
            },
            ReadError::Decrypt(_) | ReadError::Foreign => Self::NotABackup,
        }
    }
}

/// Puts a backup into `place` and compares rows, hashes and the audit's chain with what it says of itself. When this fails,
/// what stands in the place is no desk.
pub async fn restore(
    source: impl Read + Send + 'static,
    identities: Identities,
    place: &Place,
) -> Result<Restored, RestoreError> {
    if !place.data.make_empty()? {
        return Err(RestoreError::DirectoryInUse(place.data.path().to_owned()));
    }
    let (to_us, mut entries) = mpsc::channel(ENTRIES_AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        archive::read(source, &identities.0, |name, content| to_us.blocking_send((name, content)).is_ok())
    });
    let mut filling = None;
    let filled = fill(place, &mut entries, &mut filling).await;
    // A reader that still waits for us ends now.
    drop(entries);
    let read = reader.await.map_err(task_failed)?;
    // What is wrong with the file says more than what came of it.
    let filling = match (read.map_err(RestoreError::from).and(filled), filling) {
        (Ok(()), Some(filling)) => filling,
        (Ok(()), None) => return Err(RestoreError::NotABackup),
        (Err(error), filling) => {
            if let Some(Filling { blank: Some(blank), .. }) = filling {
                let _ = blank.close().await;
            }
            return Err(error);
        }
    };
    finish(place, filling).await
}

/// A backup of which the beginning has arrived.
struct Filling {
    head: Head,
    columns: BTreeMap<String, (Table, Vec<Column>)>,
    blank: Option<Blank>,
    entries: BTreeMap<String, EntrySum>,
    sums: BTreeMap<String, RowSum>,
    files: Vec<(String, Vec<u8>)>,
    blobs: BTreeSet<String>,
    manifest: Option<Manifest>,
}

async fn fill(
    place: &Place,
    entries: &mut mpsc::Receiver<(String, Vec<u8>)>,
    filling: &mut Option<Filling>,
) -> Result<(), RestoreError> {
    while let Some((name, content)) = entries.recv().await {
        let Some(filling) = filling else {
            *filling = Some(begin(&name, &content)?);
            continue;
        };
        filling.entry(place, name, content).await?;
    }
    Ok(())
}

fn begin(name: &str, content: &[u8]) -> Result<Filling, RestoreError> {
    if name != HEAD {
        return Err(RestoreError::NotABackup);
    }
    let format: Format = serde_json::from_slice(content).map_err(|_| RestoreError::NotABackup)?;
    if format.format > FORMAT {
        return Err(RestoreError::Newer(format.version));
    }
    let head: Head = serde_json::from_slice(content).map_err(|_| RestoreError::NotABackup)?;
    let newer = || RestoreError::Newer(head.version.clone());
    let known = known_steps();
    if known.get(..head.steps.len()) != Some(&head.steps) || head.steps.is_empty() {
        return Err(newer());
    }
    let ours: BTreeMap<&str, Table> = tables().into_iter().map(|table| (table.name, table)).collect();
    let mut columns = BTreeMap::new();
    for (name, wanted) in &head.columns {
        let table = ours.get(name.as_str()).ok_or_else(newer)?;
        let column = |name: &String| table.columns.iter().find(|column| column.name == name).copied();
        let found: Option<Vec<Column>> = wanted.iter().map(column).collect();
        let found = found.filter(|found| !found.is_empty()).ok_or_else(newer)?;
        columns.insert(name.clone(), (table.clone(), found));
    }
    let mut filling = Filling {
        columns,
        blank: None,
        entries: BTreeMap::new(),
        sums: head.columns.keys().map(|name| (name.clone(), RowSum::default())).collect(),
        files: Vec::new(),
        blobs: BTreeSet::new(),
        manifest: None,
        head,
    };
    filling.entries.insert(HEAD.to_owned(), archive::sum(content));
    Ok(filling)
}

/// What even a form that this version does not know says of itself.
#[derive(serde::Deserialize)]
struct Format {
    format: u32,
    version: String,
}

impl Filling {
    async fn entry(&mut self, place: &Place, name: String, content: Vec<u8>) -> Result<(), RestoreError> {
        if self.manifest.is_some() || self.entries.contains_key(&name) {
            return Err(RestoreError::NotABackup);
        }
        if name == MANIFEST {
            self.manifest = Some(serde_json::from_slice(&content).map_err(|_| RestoreError::NotABackup)?);
            return Ok(());
        }
        self.entries.insert(name.clone(), archive::sum(&content));
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["desk", file] if DataDirectory::keeps(file) => self.files.push(((*file).to_owned(), content)),
            ["tables", table, _] => self.rows(place, table, &content).await?,
            ["blobs", start, hex] if is_blob_name(start, hex) => {
                if archive::sum(&content).sha256 != *hex {
                    return Err(RestoreError::Differs(name));
                }
                let folder = place.data.blobs().join(start);
                let file = folder.join(hex);
                tokio::task::spawn_blocking(move || {
                    fs_err::create_dir_all(&folder)?;
                    crate::secret::write_private(&file, &content)
                })
                .await
                .map_err(task_failed)??;
                self.blobs.insert(format!("{start}/{hex}"));
            }
            _ => return Err(RestoreError::NotABackup),
        }
        Ok(())
    }

    async fn rows(&mut self, place: &Place, table: &str, content: &[u8]) -> Result<(), RestoreError> {
        let (Some((table, columns)), Some(sum)) = (self.columns.get(table), self.sums.get_mut(table)) else {
            return Err(RestoreError::NotABackup);
        };
        let mut rows = Vec::new();
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            let cells: Vec<serde_json::Value> = serde_json::from_slice(line).map_err(|_| RestoreError::NotABackup)?;
            let cells: Option<Vec<Cell>> = cells.iter().map(Cell::from_json).collect();
            let fits = |cells: &Vec<Cell>| {
                cells.len() == columns.len() && columns.iter().zip(cells).all(|(column, cell)| column.takes(cell))
            };
            rows.push(cells.filter(fits).ok_or(RestoreError::NotABackup)?);
            sum.add(line);
        }
        let blank = match &self.blank {
            Some(blank) => blank,
            None => self.blank.insert(blank(place, &self.head).await?),
        };
        Ok(blank.insert(table, columns, &rows).await?)
    }
}

async fn blank(place: &Place, head: &Head) -> Result<Blank, RestoreError> {
    Blank::make(&place.location(), head.steps.len()).await?.ok_or(RestoreError::DatabaseInUse)
}

fn is_blob_name(start: &str, hex: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex.len() == 64 && is_hex(hex) && hex.get(..2) == Some(start)
}

/// Compares what has arrived with the manifest, what stands in the database with both, and makes a desk of it.
async fn finish(place: &Place, filling: Filling) -> Result<Restored, RestoreError> {
    let Filling { head, columns, blank: made, entries, sums, files, blobs, manifest } = filling;
    let manifest = manifest.ok_or(RestoreError::CutOff)?;
    if let Some(name) = first_difference(&entries, &manifest.entries) {
        return Err(RestoreError::Differs(name));
    }
    let sums: BTreeMap<String, TableSum> = sums.into_iter().map(|(name, sum)| (name, sum.end())).collect();
    if let Some(table) = first_difference(&sums, &manifest.tables) {
        return Err(RestoreError::Differs(table));
    }
    let blank = match made {
        Some(blank) => blank,
        None => self::blank(place, &head).await?,
    };
    let snapshot = blank.snapshot().await?;
    for (name, (table, columns)) in &columns {
        if Some(&sum_of(&snapshot, table, columns).await?) != manifest.tables.get(name) {
            return Err(RestoreError::Differs(name.clone()));
        }
    }
    drop(snapshot);
    blank.settle().await?;
    blank.close().await?;
    place.data.put_back(files.iter().filter(|(name, _)| !DataDirectory::is_last(name)))?;
    let key = ServerKey::load(&place.data.server_key()).map_err(DataError::from)?;
    let settings =
        StoreSettings { database: place.location(), blobs: place.data.blobs(), key, clock: place.clock.clone() };
    let store = Store::open(settings).await?;
    let checked = check(&store, &blobs, &manifest, head.made_at_ms).await;
    store.close().await?;
    let audit_lines = checked?;
    // From here on it is a desk.
    place.data.put_back(files.iter().filter(|(name, _)| DataDirectory::is_last(name)))?;
    Ok(Restored {
        desk: head.desk,
        organization: head.organization,
        made_at_ms: head.made_at_ms,
        rows: manifest.tables.into_iter().map(|(name, sum)| (name, sum.rows)).collect(),
        blobs: blobs.len() as u64,
        damaged_blobs: manifest.damaged_blobs,
        audit_lines,
    })
}

/// The lines of the audit, when it is whole and every blob that a row names is there or was known to be lost.
async fn check(
    store: &Store,
    blobs: &BTreeSet<String>,
    manifest: &Manifest,
    made_at_ms: i64,
) -> Result<i64, RestoreError> {
    let lines = store.verify_audit().await?;
    let snapshot = store.snapshot().await?;
    let mut named = snapshot.blobs().await?;
    while let Some(name) = named.try_next().await? {
        if !blobs.contains(&name) && !manifest.damaged_blobs.contains(&name) {
            return Err(RestoreError::Differs(format!("blobs/{name}")));
        }
    }
    drop(named);
    drop(snapshot);
    store.note_restore(made_at_ms).await?;
    Ok(lines)
}

/// The first name that is in one of the two alone, or means something else in the other.
fn first_difference<T: PartialEq>(found: &BTreeMap<String, T>, wanted: &BTreeMap<String, T>) -> Option<String> {
    let names: BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    names.into_iter().find(|name| found.get(*name) != wanted.get(*name)).cloned()
}

impl Place {
    fn location(&self) -> DatabaseLocation {
        self.data.location(self.database.as_deref())
    }
}

/// Entries that are read ahead of the database.
const ENTRIES_AHEAD: usize = 2;
