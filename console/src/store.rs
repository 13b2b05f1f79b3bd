//! Everything the desk keeps: one code path over SQLite and PostgreSQL, and a folder of blobs.
//!
//! Every change is one transaction that also writes the change's event and its line of the audit. Writers take turns, on
//! PostgreSQL across processes by an advisory lock, so that event ids become visible in their order and the audit is one
//! chain. An event is published only after its transaction is on the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};
use sea_orm_migration::MigratorTrait as _;
use tokio::sync::{Mutex, Semaphore, broadcast, watch};

use crate::clock::Clock;
use crate::secret::ServerKey;

mod accounts;
mod api_tokens;
mod attachments;
mod audit;
mod blobs;
mod challenge;
mod checklists;
mod contacts;
mod copy;
mod counts;
mod customer;
mod entity;
mod events;
mod groups;
mod invites;
mod life;
mod looks;
mod macros;
mod migration;
mod model;
mod once;
mod organizations;
mod overviews;
mod passkeys;
mod reports;
mod revocations;
mod rule_packs;
mod search;
mod second_factor;
mod sessions;
mod settings;
mod sign_ins;
mod thread;
mod throttle;
mod tickets;
mod time_entries;
mod write;

#[cfg(test)]
mod conformance;

pub use accounts::{AccountError, ChangePasswordError, MintedLink, SignIn, SignInError};
pub use api_tokens::{API_TOKEN_MAX_LIFE, ApiTokenError, ApiTokenUse};
pub use attachments::AttachError;
pub use audit::AuditError;
pub use checklists::{Checklist, ChecklistError, ChecklistItem};
pub use contacts::{Contact, ContactChange, ContactError, FoundContact, NewContact};
pub(crate) use copy::{Blank, Cell, Column, Snapshot, Table, known_steps, tables};
pub use counts::Counts;
pub use customer::{CustomerError, GoesOn, Score};
pub use events::Events;
pub use groups::{GroupError, NewAssignmentRule};
pub use invites::{CODE_LIFE, MintError, RedeemError};
pub use life::{MergeError, VerifyError};
pub use looks::Look;
pub use macros::{Macro, MacroArticle, MacroError, Steps};
pub use model::*;
pub use once::{Once, OnceError};
pub use organizations::{ListedOrganization, NewProduct, Organization, OrganizationError, Product, WholeOrganization};
pub use overviews::{Overview, OverviewError};
pub use passkeys::{Ceremony, PasskeyError};
pub use reports::{FileError, ImportError};
pub use revocations::RevokeError;
pub use rule_packs::PublishError;
pub use second_factor::{Enrolment, FactorError, Proof};
pub use sessions::SessionError;
pub use sign_ins::{ABSOLUTE_LIFE, IDLE_LIFE, STEP_UP_LIFE, SignedIn, Visitor};
pub use thread::ThreadError;
pub use tickets::{ChangeError, TicketFilter, TicketOrder};
pub use time_entries::{NewTimeEntry, TimeChange, TimeEntry, TimeError};

/// The desk's memory. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    turn: Arc<Mutex<()>>,
    blobs: LocalFileSystem,
    key: ServerKey,
    clock: Clock,
    events: broadcast::Sender<Event>,
    revocations: watch::Sender<()>,
    hashing: Arc<Semaphore>,
    looks: looks::Looks,
}

/// Where a store keeps its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// A SQLite file, created when it is not there.
    Sqlite(PathBuf),
    /// A PostgreSQL database by its URL.
    Postgres(String),
}

/// What a store needs to be opened.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The rows.
    pub database: DatabaseLocation,
    /// The folder of the blobs, created when it is not there.
    pub blobs: PathBuf,
    /// The key of the keyed hashes.
    pub key: ServerKey,
    /// The time.
    pub clock: Clock,
}

/// The store failed: the disk, the database, or rows that somebody else changed. Nothing was acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
    /// The folder of the blobs failed.
    #[error("the blob store failed: {0}")]
    Blob(#[from] object_store::Error),
    /// A folder or file could not be made.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// A row does not make sense.
    #[error("the database holds a row that this version cannot read: {0}")]
    Unreadable(String),
}

impl Store {
    /// Opens the store, brings its schema up to date and marks what was live as interrupted.
    pub async fn open(settings: StoreSettings) -> Result<Self, StoreError> {
        fs_err::create_dir_all(&settings.blobs)?;
        let (reader, writer) = connect(&settings.database).await?;
        migration::Migrator::up(&writer, None).await?;
        // With fsync a blob's bytes and its name are on the disk before its row is written; without it a power cut could
        // leave an acknowledged report with a row and no bytes.
        let blobs = LocalFileSystem::new_with_prefix(&settings.blobs)?.with_fsync(true);
        let (events, _) = broadcast::channel(LIVE_EVENTS);
        let store = Self {
            inner: Arc::new_cyclic(|inner| Inner {
                reader,
                writer,
                turn: Arc::new(Mutex::new(())),
                blobs,
                key: settings.key,
                clock: settings.clock,
                events,
                revocations: watch::Sender::new(()),
                hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
                looks: looks::Looks::start(inner.clone()),
            }),
        };
        store.interrupt_live_sessions().await?;
        store.index_what_is_missing().await?;
        Ok(store)
    }

    /// Ends the connections to the database after what is under way.
    pub async fn close(self) -> Result<(), StoreError> {
        self.inner.looks.close().await;
        let turn = self.inner.turn.clone().lock_owned().await;
        self.inner.reader.close_by_ref().await?;
        self.inner.writer.close_by_ref().await?;
        drop(turn);
        Ok(())
    }

    /// The store's clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    fn reader(&self) -> &DatabaseConnection {
        &self.inner.reader
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store(..)")
    }
}

/// Connections for reading and for writing. SQLite has one writer; on PostgreSQL both are the same pool.
async fn connect(location: &DatabaseLocation) -> Result<(DatabaseConnection, DatabaseConnection), DbErr> {
    match location {
        DatabaseLocation::Sqlite(path) => {
            let writer = sqlite(path.clone(), 1).await?;
            let reader = sqlite(path.clone(), SQLITE_READERS).await?;
            Ok((reader, writer))
        }
        DatabaseLocation::Postgres(url) => {
            let mut options = ConnectOptions::new(url);
            options.max_connections(POSTGRES_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT).sqlx_logging(false);
            let pool = Database::connect(options).await?;
            Ok((pool.clone(), pool))
        }
    }
}

async fn sqlite(path: PathBuf, connections: u32) -> Result<DatabaseConnection, DbErr> {
    // The path is given as an option and not inside the URL, where `?` and `%` would mean something.
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT).sqlx_logging(false);
    // A connection that is closed when idle takes the page cache with it.
    options.min_connections(1).idle_timeout(None).max_lifetime(None);
    options.map_sqlx_sqlite_opts(move |options| {
        options
            .in_memory(false)
            .shared_cache(false)
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode only FULL flushes every commit: NORMAL would lose acknowledged rows in a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
    });
    Database::connect(options).await
}

/// Events that a slow subscriber may fall behind by before it has to replay from the table.
const LIVE_EVENTS: usize = 1024;

/// An argon2id hash takes 19 MiB and a core; more at once would let strangers exhaust the machine.
const HASHES_AT_ONCE: usize = 2;

const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 8;

/// A request that cannot have a connection by then is answered with an error rather than kept.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Only another process could hold the database's lock: a backup, or somebody's shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
