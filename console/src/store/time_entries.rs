//! Time that was spent on tickets. A session makes an entry of its own when it ends.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::entity::{event, session, ticket, time_entry, user};
use super::tickets::{find, subject};
use super::write::Write;
use super::{Actor, EventKind, Line, SessionId, Store, StoreError, TimeEntryId};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::policy::Role;

/// Time that somebody has spent on a ticket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TimeEntry {
    /// Its id.
    pub id: TimeEntryId,
    /// The sign-in name of who has spent it; missing where a session ended on a ticket that nobody owned.
    pub user: Option<String>,
    /// The session that it was made from, if it was.
    pub session: Option<SessionId>,
    /// When it began.
    pub started_at_ms: UnixMillis,
    /// How long it was, in seconds.
    pub seconds: i64,
    /// What it was for.
    pub note: String,
}

/// An entry to be written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTimeEntry {
    /// Whose time; the actor's own when not said.
    pub user: Option<Line>,
    /// When it began; so long ago as it was long, when not said.
    pub started_at: Option<UnixMillis>,
    /// How long it was, in seconds.
    pub seconds: i64,
    /// What it was for.
    pub note: Line,
}

/// Why an entry was not written down or changed.
#[derive(Debug, thiserror::Error)]
pub enum TimeError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// There is no such entry on it.
    #[error("there is no such entry")]
    NotThere,
    /// Nobody who works on tickets has this name.
    #[error("nobody who works on tickets has this name")]
    NoSuchUser,
    /// Less than a second or more than a day.
    #[error("an entry is from a second to a day long")]
    BadLength,
    /// It has not begun yet.
    #[error("an entry does not begin in the future")]
    InTheFuture,
    /// More than anybody adds up.
    #[error("a ticket has at most {ENTRIES_MAX} entries of time")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for TimeError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// The time spent on a ticket, oldest first.
    pub async fn list_time_entries(&self, number: TicketNumber) -> Result<Vec<TimeEntry>, StoreError> {
        let Some(ticket) = find(self.reader(), number).await? else { return Ok(Vec::new()) };
        let rows = time_entry::Entity::find().filter(time_entry::Column::TicketId.eq(ticket.id));
        let rows = rows.order_by_asc(time_entry::Column::StartedAt).order_by_asc(time_entry::Column::Id);
        let users = user::Entity::find().all(self.reader()).await?;
        let names: BTreeMap<i64, String> = users.into_iter().map(|user| (user.id, user.name)).collect();
        let name_of = |id: Option<i64>| id.and_then(|id| names.get(&id).cloned());
        let rows = rows.all(self.reader()).await?;
        Ok(rows.into_iter().map(|row| with_user(name_of(row.user_id), row)).collect())
    }

    /// Writes down time on a ticket, whatever its state: also what is done after its end was work.
    pub async fn add_time_entry(
        &self,
        actor: &Actor,
        number: TicketNumber,
        new: NewTimeEntry,
    ) -> Result<TimeEntry, TimeError> {
        let mut write = self.write(actor).await?;
        let ticket = find(&write.tx, number).await?.ok_or(TimeError::NoTicket)?;
        let of_ticket = time_entry::Entity::find().filter(time_entry::Column::TicketId.eq(ticket.id));
        if of_ticket.count(&write.tx).await? >= ENTRIES_MAX {
            return Err(TimeError::TooMany);
        }
        let user_id = match &new.user {
            Some(name) => Some(named(&write, name).await?),
            None => actor.user().map(|id| id.0),
        };
        check_length(new.seconds)?;
        let started_at = new.started_at.map_or(write.now.0 - new.seconds * 1_000, |at| at.0);
        if started_at > write.now.0 {
            return Err(TimeError::InTheFuture);
        }
        let row = time_entry::ActiveModel {
            ticket_id: Set(ticket.id),
            user_id: Set(user_id),
            started_at: Set(started_at),
            seconds: Set(new.seconds),
            note: Set(new.note.into_string()),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        note(&mut write, &ticket, &row, "added").await?;
        let entry = assemble(&write.tx, row).await?;
        write.commit().await?;
        Ok(entry)
    }

    /// Changes an entry; what is `None` stays. Also one that a session has made: a session is left open over lunch.
    pub async fn change_time_entry(
        &self,
        actor: &Actor,
        number: TicketNumber,
        id: TimeEntryId,
        change: TimeChange,
    ) -> Result<TimeEntry, TimeError> {
        let mut write = self.write(actor).await?;
        let (ticket, row) = entry_of(&write, number, id).await?;
        let mut row = row.into_active_model();
        if let Some(name) = &change.user {
            row.user_id = Set(Some(named(&write, name).await?));
        }
        if let Some(seconds) = change.seconds {
            check_length(seconds)?;
            row.seconds = Set(seconds);
        }
        if let Some(note) = change.note {
            row.note = Set(note.into_string());
        }
        if !row.is_changed() {
            return Ok(assemble(&write.tx, entry_of(&write, number, id).await?.1).await?);
        }
        let row = row.update(&write.tx).await?;
        note(&mut write, &ticket, &row, "changed").await?;
        let entry = assemble(&write.tx, row).await?;
        write.commit().await?;
        Ok(entry)
    }

    /// Takes an entry away.
    pub async fn remove_time_entry(
        &self,
        actor: &Actor,
        number: TicketNumber,
        id: TimeEntryId,
    ) -> Result<(), TimeError> {
        let mut write = self.write(actor).await?;
        let (ticket, row) = entry_of(&write, number, id).await?;
        time_entry::Entity::delete_by_id(row.id).exec(&write.tx).await?;
        note(&mut write, &ticket, &row, "removed").await?;
        write.commit().await?;
        Ok(())
    }
}

/// Changes to an entry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TimeChange {
    /// Whose time it was, by sign-in name.
    pub user: Option<Line>,
    /// How long it was, in seconds.
    pub seconds: Option<i64>,
    /// What it was for.
    pub note: Option<Line>,
}

/// Writes down the time of a session that ends now: as long as a device was there. The time is the ticket's owner's.
pub(super) async fn note_session(
    write: &mut Write,
    session: &session::Model,
    ticket: &ticket::Model,
) -> Result<(), StoreError> {
    let seconds = connected_ms(write, session, ticket).await? / 1_000;
    if seconds < 1 {
        return Ok(());
    }
    let row = time_entry::ActiveModel {
        ticket_id: Set(ticket.id),
        user_id: Set(ticket.owner_id),
        session_id: Set(Some(session.id)),
        started_at: Set(session.started_at),
        seconds: Set(seconds.min(SECONDS_MAX)),
        note: Set(String::new()),
        created_at: Set(write.now.0),
        ..Default::default()
    };
    let row = row.insert(&write.tx).await?;
    note(write, ticket, &row, "added").await?;
    Ok(())
}

/// The time during which a session had its device, from the ticket's log; up to now where it has it still.
async fn connected_ms(write: &Write, session: &session::Model, ticket: &ticket::Model) -> Result<i64, DbErr> {
    let kinds = [EventKind::SessionStarted, EventKind::SessionResumed, EventKind::SessionInterrupted];
    let log = event::Entity::find().filter(event::Column::TicketId.eq(ticket.id));
    let log = log.filter(event::Column::Kind.is_in(kinds)).order_by_asc(event::Column::Id).all(&write.tx).await?;
    let (mut total, mut since) = (0, None);
    for row in log {
        let payload: serde_json::Value = serde_json::from_str(&row.payload).unwrap_or_default();
        if payload["session"] != json!(session.id) {
            continue;
        }
        match row.kind {
            EventKind::SessionInterrupted => total += since.take().map_or(0, |since: i64| row.at - since),
            _ => since = since.or(Some(row.at)),
        }
    }
    Ok((total + since.map_or(0, |since| write.now.0 - since)).max(0))
}

async fn note(write: &mut Write, ticket: &ticket::Model, row: &time_entry::Model, what: &str) -> Result<(), DbErr> {
    let payload = json!({ "entry": row.id, "seconds": row.seconds, "session": row.session_id, "what": what });
    write.event(ticket, EventKind::TimeRecorded, payload.clone()).await?;
    write.audit("ticket.time", subject(ticket), payload).await
}

async fn assemble(db: &impl ConnectionTrait, row: time_entry::Model) -> Result<TimeEntry, DbErr> {
    let user = match row.user_id {
        Some(id) => user::Entity::find_by_id(id).one(db).await?,
        None => None,
    };
    Ok(with_user(user.map(|user| user.name), row))
}

fn with_user(user: Option<String>, row: time_entry::Model) -> TimeEntry {
    TimeEntry {
        id: TimeEntryId(row.id),
        user,
        session: row.session_id.map(SessionId),
        started_at_ms: UnixMillis(row.started_at),
        seconds: row.seconds,
        note: row.note,
    }
}

async fn named(write: &Write, name: &str) -> Result<i64, TimeError> {
    let user = user::Entity::find().filter(user::Column::Name.eq(name)).one(&write.tx).await?;
    user.filter(|user| user.role != Role::Auditor).map(|user| user.id).ok_or(TimeError::NoSuchUser)
}

async fn entry_of(
    write: &Write,
    number: TicketNumber,
    id: TimeEntryId,
) -> Result<(ticket::Model, time_entry::Model), TimeError> {
    let ticket = find(&write.tx, number).await?.ok_or(TimeError::NoTicket)?;
    let row = time_entry::Entity::find_by_id(id.0).one(&write.tx).await?;
    let row = row.filter(|row| row.ticket_id == ticket.id).ok_or(TimeError::NotThere)?;
    Ok((ticket, row))
}

fn check_length(seconds: i64) -> Result<(), TimeError> {
    if (1..=SECONDS_MAX).contains(&seconds) { Ok(()) } else { Err(TimeError::BadLength) }
}

/// A day: nobody works longer at a stretch.
const SECONDS_MAX: i64 = 24 * 60 * 60;

const ENTRIES_MAX: u64 = 1_000;
