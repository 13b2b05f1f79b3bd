//! What a store promises, tried on every database.
//!
//! Each test is a function that takes an opened [`World`]; [`conformance`] runs it on SQLite, and on the PostgreSQL server
//! that `BELAY_TEST_POSTGRES` names (`postgres://user@host:port/postgres`), in a database of its own.

use std::time::Duration;

use belay_protocol::Text;
use sea_orm::{ConnectionTrait as _, Database};

use super::*;
use crate::clock::UnixMillis;
use crate::life::Closing;
use crate::number::TicketNumber;
use crate::policy::Role;
use crate::ticket::{Channel, Level, Spoken, TicketState};

mod accounts;
mod api_tokens;
mod attachments;
mod audit;
mod backup;
mod customer;
mod groups;
mod invites;
mod life;
mod migrations;
mod passkeys;
mod people;
mod revocations;
mod rule_packs;
mod search;
mod second_factors;
mod sessions;
mod sign_ins;
mod thread;
mod tickets;
mod tools;

/// A store on one database, with a clock that the test moves.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) clock: Clock,
    settings: StoreSettings,
    _directory: tempfile::TempDir,
}

impl World {
    async fn open(database: Option<DatabaseLocation>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(UnixMillis(1_767_225_600_000));
        let settings = StoreSettings {
            database: database.unwrap_or_else(|| DatabaseLocation::Sqlite(directory.path().join("belay ?%.sqlite"))),
            blobs: directory.path().join("blobs"),
            key: ServerKey::generate(),
            clock: clock.clone(),
        };
        let store = Store::open(settings.clone()).await.unwrap();
        Self { store, clock, settings, _directory: directory }
    }

    /// Drops the store as a killed process would, and opens it again.
    pub(super) async fn restart(&mut self) {
        self.store = Store::open(self.settings.clone()).await.unwrap();
    }

    /// A new ticket.
    pub(super) async fn ticket(&self) -> Ticket {
        let opened = self.store.open_ticket(&Actor::Local, new_ticket("Disk is full"), None).await.unwrap();
        opened.unwrap()
    }

    /// Changes a ticket as it is now.
    pub(super) async fn change(&self, number: TicketNumber, change: TicketChange) -> Result<Ticket, ChangeError> {
        let version = self.store.ticket(number).await.unwrap().unwrap().version;
        self.store.change_ticket(&Actor::Local, number, version, change).await
    }

    /// A technician who is signed in.
    pub(super) async fn present(&self, name: &str) -> UserId {
        let link = self.store.add_user(&Actor::Local, &Line::truncating(name), Role::Technician).await.unwrap();
        let sign_in = self.store.mint_sign_in(&Actor::Local, name).await.unwrap();
        self.store.sign_in_by_link(&sign_in.token, &Visitor::default()).await.unwrap();
        link.user.id
    }

    /// Runs SQL that no store would.
    pub(super) async fn tamper(&self, sql: &str) {
        self.store.inner.writer.execute_unprepared(sql).await.unwrap();
    }
}

pub(super) fn new_ticket(title: &str) -> NewTicket {
    NewTicket {
        title: Line::truncating(title),
        customer: Line::truncating("Nordwind Logistik"),
        contact: Some(Line::truncating("Ada")),
        description: "since this morning".try_into().unwrap(),
        channel: Channel::Phone,
        impact: Level::Medium,
        urgency: Level::High,
        about: About::default(),
    }
}

/// A move to `state`.
pub(super) fn to(state: TicketState) -> TicketChange {
    TicketChange { state: Some(state), ..Default::default() }
}

/// A move to resolved, with all that it takes.
pub(super) fn resolved() -> TicketChange {
    let resolution = NewResolution {
        cause: "the log was never rotated".try_into().unwrap(),
        fix: "rotated and compressed".try_into().unwrap(),
        prevention: "logrotate is on now".try_into().unwrap(),
    };
    TicketChange { resolution: Some(resolution), ..to(TicketState::Resolved) }
}

/// A move to closed, for this reason.
pub(super) fn closed(closing: Closing) -> TicketChange {
    TicketChange { closing: Some(closing), ..to(TicketState::Closed) }
}

pub(super) async fn on_sqlite() -> World {
    World::open(None).await
}

pub(super) async fn on_postgres(test: &str) -> Option<World> {
    Some(World::open(Some(postgres_database(test).await?)).await)
}

/// A new database on the tests' PostgreSQL server, if there is one.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
pub(super) async fn postgres_database(test: &str) -> Option<DatabaseLocation> {
    let Ok(server) = std::env::var("BELAY_TEST_POSTGRES") else {
        eprintln!("SKIPPED on PostgreSQL: {test}; set BELAY_TEST_POSTGRES=postgres://user@host:port/postgres");
        return None;
    };
    let admin = Database::connect(&server).await.unwrap();
    let name = format!("belay_test_{:016x}", rand::random::<u64>());
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    // A server on a socket has its directory, with slashes, in the query.
    let (address, query) = server.split_once('?').unwrap_or((&server, ""));
    let (base, _) = address.rsplit_once('/').unwrap();
    Some(DatabaseLocation::Postgres(format!("{base}/{name}?{query}")))
}

macro_rules! conformance {
    ($($test:ident)+) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test(super::super::on_sqlite().await).await; })+
        }
        mod postgres {
            $(
                #[tokio::test]
                async fn $test() {
                    if let Some(world) = super::super::on_postgres(stringify!($test)).await {
                        super::$test(world).await;
                    }
                }
            )+
        }
    };
}
pub(super) use conformance;
