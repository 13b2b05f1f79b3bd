//! One change: a transaction with its events and its audit lines.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait as _, SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use super::entity::{audit_end, audit_line, event, ticket};
use super::{Actor, Event, EventId, EventKind, Store, StoreError, search};
use crate::audit::{End, hash_text, next_line};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;

/// A change under way. Dropped without [`Write::commit`], it leaves nothing behind.
pub(super) struct Write {
    pub(super) tx: DatabaseTransaction,
    pub(super) now: UnixMillis,
    actor: Actor,
    store: Store,
    events: Vec<Event>,
    changes_revocations: bool,
    /// Tickets whose words may have changed.
    reworded: BTreeSet<i64>,
    turn: OwnedMutexGuard<()>,
}

impl Store {
    /// Waits for this writer's turn and begins a change by `actor`.
    pub(super) async fn write(&self, actor: &Actor) -> Result<Write, DbErr> {
        let turn = self.inner.turn.clone().lock_owned().await;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let writer = &self.inner.writer;
        let postgres = writer.get_database_backend() == DbBackend::Postgres;
        let tx = writer.begin_with_options(if postgres { Default::default() } else { options }).await?;
        if postgres {
            tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({WRITERS_LOCK})")).await?;
        }
        Ok(Write {
            tx,
            now: self.inner.clock.now(),
            actor: actor.clone(),
            store: self.clone(),
            events: Vec::new(),
            changes_revocations: false,
            reworded: BTreeSet::new(),
            turn,
        })
    }
}

impl Write {
    /// Adds an event to the ticket's log.
    pub(super) async fn event(&mut self, ticket: &ticket::Model, kind: EventKind, payload: Value) -> Result<(), DbErr> {
        let row = event::ActiveModel {
            ticket_id: Set(ticket.id),
            kind: Set(kind),
            actor: Set(self.actor.to_string()),
            payload: Set(payload.to_string()),
            at: Set(self.now.0),
            ..Default::default()
        };
        let row = row.insert(&self.tx).await?;
        if kind.may_change_words() {
            self.reworded.insert(ticket.id);
        }
        self.events.push(Event {
            id: EventId(row.id),
            ticket: TicketNumber::from_serial(ticket.serial),
            kind,
            actor: row.actor,
            payload,
            at_ms: self.now,
        });
        Ok(())
    }

    /// Has the words of these tickets written anew.
    pub(super) fn reword(&mut self, tickets: impl IntoIterator<Item = i64>) {
        self.reworded.extend(tickets);
    }

    /// Who makes the change.
    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Has those told who watch the revoked devices.
    pub(super) fn changes_revocations(&mut self) {
        self.changes_revocations = true;
    }

    /// Adds a line to the audit.
    pub(super) async fn audit(
        &mut self,
        action: &str,
        subject: impl Into<String>,
        details: Value,
    ) -> Result<(), DbErr> {
        self.audit_as(self.actor.to_string(), self.now, action, subject.into(), details).await
    }

    /// Adds a line about what somebody else has done a moment ago.
    pub(super) async fn audit_as(
        &mut self,
        actor: String,
        at: UnixMillis,
        action: &str,
        subject: String,
        details: Value,
    ) -> Result<(), DbErr> {
        let end = audit_end::Entity::find_by_id(AUDIT_END).one(&self.tx).await?.map(End::from);
        let line = next_line(end.as_ref(), at, actor, action, subject, details);
        let text = line.to_text();
        let hash = hash_text(&text);
        let sealed = End::sealed(&self.store.inner.key, line.seq, hash.clone());
        let row = audit_line::ActiveModel { seq: Set(line.seq), text: Set(text), hash: Set(hash) };
        audit_line::Entity::insert(row).exec_without_returning(&self.tx).await?;
        let row = audit_end::ActiveModel {
            id: Set(AUDIT_END),
            lines: Set(sealed.lines),
            hash: Set(sealed.hash),
            mac: Set(sealed.mac),
        };
        if end.is_some() {
            row.update(&self.tx).await?;
        } else {
            audit_end::Entity::insert(row).exec_without_returning(&self.tx).await?;
        }
        Ok(())
    }

    /// Makes the change durable, then tells the live events. The caller may stop waiting: both happen, or neither.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let Self { tx, store, events, changes_revocations, reworded, turn, .. } = self;
        for ticket in reworded {
            search::index(&tx, ticket).await?;
        }
        let commit = tokio::spawn(async move {
            tx.commit().await?;
            for event in events {
                // No subscriber is not an error.
                let _ = store.inner.events.send(event);
            }
            if changes_revocations {
                store.inner.revocations.send_replace(());
            }
            drop(turn);
            Ok(())
        });
        commit.await.map_err(|error| StoreError::File(std::io::Error::other(error)))?
    }
}

impl From<audit_end::Model> for End {
    fn from(row: audit_end::Model) -> Self {
        Self { lines: row.lines, hash: row.hash, mac: row.mac }
    }
}

/// The key of the only row of the audit's end.
pub(super) const AUDIT_END: i64 = 1;

/// The advisory lock that orders writers on PostgreSQL; any constant that nothing else in the database uses.
const WRITERS_LOCK: i64 = 0x6265_6c61_7900_0001;
