//! Making a backup of a desk while it works.

use std::collections::BTreeMap;
use std::io::{self, Write};

use futures_util::TryStreamExt as _;
use tokio::sync::mpsc;

use super::archive::ArchiveWriter;
use super::{FORMAT, HEAD, Head, MANIFEST, Manifest, Recipient, RowSum, TableSum, line_of, task_failed};
use crate::data::{DataDirectory, DataError};
use crate::store::{Actor, Column, Snapshot, Store, StoreError, Table, known_steps, tables};

/// Where a backup is written to, on a thread that may block.
pub trait Sink: Write + Send + 'static {}

impl<W: Write + Send + 'static> Sink for W {}

/// A backup could not be made. What was written of it is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The desk's own files.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The database or the blobs.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The place that it is written to.
    #[error("the backup cannot be written: {0}")]
    Sink(io::Error),
}

/// Writes a backup of the desk into `sink`, and says what is in it.
pub async fn make<W: Sink>(
    store: &Store,
    data: &DataDirectory,
    recipients: Vec<Recipient>,
    actor: &Actor,
    sink: W,
) -> Result<(W, Manifest), BackupError> {
    let names: Vec<String> = recipients.iter().map(ToString::to_string).collect();
    store.note_backup(actor, &names).await?;
    let now = store.clock().now();
    let snapshot = store.snapshot().await?;
    let steps = snapshot.steps().await?;
    debug_assert_eq!(steps, known_steps());
    let desk = data.desk_name()?;
    let tables = tables();
    let head = Head {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at_ms: now.0,
        desk: desk.name.as_str().to_owned(),
        organization: data.organization()?.to_string(),
        steps,
        columns: tables.iter().map(|table| (table.name.to_owned(), column_names(table))).collect(),
    };
    let (to_writer, entries) = mpsc::channel(ENTRIES_AHEAD);
    let made_at = u64::try_from(now.0 / 1000).unwrap_or(0);
    let writer = tokio::task::spawn_blocking(move || write(sink, &recipients, made_at, entries));
    let feeder = Feeder { to_writer };
    let fed = feeder.feed(store, data, &snapshot, &head, &tables).await;
    drop(feeder);
    let written = writer.await.map_err(task_failed)?;
    match (fed, written) {
        // Whoever feeds a writer that has failed only hears that nobody listens; and one that is fed no more ends without
        // an end of its own.
        (Ok(()) | Err(BackupError::Sink(_)), Err(error)) => Err(BackupError::Sink(error)),
        (Err(error), _) => Err(error),
        (Ok(()), Ok((sink, manifest))) => {
            for blob in &manifest.damaged_blobs {
                tracing::error!(blob, "a stored file is lost or damaged: it is not in the backup");
            }
            Ok((sink, manifest))
        }
    }
}

fn column_names(table: &Table) -> Vec<String> {
    table.columns.iter().map(|column| column.name.to_owned()).collect()
}

/// What the writing thread is told.
enum Part {
    Entry {
        name: String,
        content: Vec<u8>,
    },
    /// All entries are written: what the manifest says beside them.
    End {
        tables: BTreeMap<String, TableSum>,
        damaged_blobs: Vec<String>,
    },
}

/// Writes what comes. Without an end the archive has none either.
fn write<W: Sink>(
    sink: W,
    recipients: &[Recipient],
    made_at: u64,
    mut parts: mpsc::Receiver<Part>,
) -> io::Result<(W, Manifest)> {
    let mut archive = ArchiveWriter::begin(sink, recipients, made_at)?;
    while let Some(part) = parts.blocking_recv() {
        match part {
            Part::Entry { name, content } => archive.add(&name, &content)?,
            Part::End { tables, damaged_blobs } => {
                let manifest = Manifest { entries: archive.entries().clone(), tables, damaged_blobs };
                archive.add(MANIFEST, &serde_json::to_vec(&manifest)?)?;
                return Ok((archive.end()?, manifest));
            }
        }
    }
    Err(io::Error::other("the backup was given up"))
}

struct Feeder {
    to_writer: mpsc::Sender<Part>,
}

impl Feeder {
    async fn feed(
        &self,
        store: &Store,
        data: &DataDirectory,
        snapshot: &Snapshot,
        head: &Head,
        tables: &[Table],
    ) -> Result<(), BackupError> {
        let head = serde_json::to_vec(head).map_err(|error| BackupError::Sink(error.into()))?;
        self.entry(HEAD.to_owned(), head).await?;
        for (name, content) in data.kept_files()? {
            self.entry(format!("desk/{name}"), content).await?;
        }
        let mut sums = BTreeMap::new();
        for table in tables {
            sums.insert(table.name.to_owned(), self.table(snapshot, table).await?);
        }
        let mut damaged_blobs = Vec::new();
        let mut blobs = snapshot.blobs().await?;
        while let Some(name) = blobs.try_next().await? {
            match store.blob_as_filed(&name).await? {
                Some(bytes) => self.entry(format!("blobs/{name}"), bytes.to_vec()).await?,
                None => damaged_blobs.push(name),
            }
        }
        self.send(Part::End { tables: sums, damaged_blobs }).await
    }

    async fn table(&self, snapshot: &Snapshot, table: &Table) -> Result<TableSum, BackupError> {
        let mut sum = RowSum::default();
        let (mut chunk, mut chunks) = (Vec::new(), 0);
        let mut rows = snapshot.rows(table, &table.columns).await?;
        while let Some(cells) = rows.try_next().await? {
            let line = line_of(&cells);
            sum.add(&line);
            chunk.extend_from_slice(&line);
            if chunk.len() >= CHUNK_BYTES {
                self.entry(entry_name(table, chunks), std::mem::take(&mut chunk)).await?;
                chunks += 1;
            }
        }
        if !chunk.is_empty() {
            self.entry(entry_name(table, chunks), chunk).await?;
        }
        Ok(sum.end())
    }

    async fn entry(&self, name: String, content: Vec<u8>) -> Result<(), BackupError> {
        self.send(Part::Entry { name, content }).await
    }

    async fn send(&self, part: Part) -> Result<(), BackupError> {
        let gone = |_| BackupError::Sink(io::ErrorKind::BrokenPipe.into());
        self.to_writer.send(part).await.map_err(gone)
    }
}

fn entry_name(table: &Table, number: u32) -> String {
    format!("tables/{}/{number:06}.jsonl", table.name)
}

/// The sum of a table's rows as a database has them.
pub(super) async fn sum_of(snapshot: &Snapshot, table: &Table, columns: &[Column]) -> Result<TableSum, StoreError> {
    let mut sum = RowSum::default();
    let mut rows = snapshot.rows(table, columns).await?;
    while let Some(cells) = rows.try_next().await? {
        sum.add(&line_of(&cells));
    }
    Ok(sum.end())
}

/// Bytes of rows that stand in one entry.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Entries that are read ahead of the disk.
const ENTRIES_AHEAD: usize = 2;
