//! Sessions: how they go on, what the customer answered, and how they end.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;

use belay_protocol::consent::Capability;
use belay_protocol::phrase::SessionPhrase;
use belay_protocol::{DeviceKey, Language};

use super::entity::{consent, device, organization, session, ticket};
use super::write::Write;
use super::{
    Actor, Consent, Device, DeviceId, EndReason, EventKind, NewConsent, OrganizationId, Redeemed, Session, SessionId,
    SessionState, SpokenPhrase, Store, StoreError, revocations, tickets, time_entries,
};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;

/// Why nothing was recorded for a session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no such session.
    #[error("there is no such session")]
    NoSession,
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A session that may still be written to, with its ticket.
pub(super) struct Running {
    pub(super) session: session::Model,
    pub(super) ticket: ticket::Model,
}

impl Store {
    /// Records the customer's answer.
    pub async fn record_consent(&self, id: SessionId, answer: NewConsent) -> Result<(), SessionError> {
        let actor = self.actor_of(id).await?;
        let mut write = self.write(&actor).await.map_err(StoreError::from)?;
        let running = running(&write.tx, id).await?;
        self.insert_consent(&mut write, &running, answer).await?;
        write.commit().await?;
        Ok(())
    }

    async fn insert_consent(&self, write: &mut Write, running: &Running, answer: NewConsent) -> Result<(), StoreError> {
        let row = consent::ActiveModel {
            session_id: Set(running.session.id),
            granted: Set(capabilities_text(&answer.granted)),
            refused: Set(capabilities_text(&answer.refused)),
            grant_ends_at: Set(answer.grant_ends_at.map(|end| end.0)),
            shown_sha256: Set(answer.shown_sha256.map(|hash| hash.to_vec())),
            recorded_at: Set(write.now.0),
            ..Default::default()
        };
        consent::Entity::insert(row).exec_without_returning(&write.tx).await?;
        let details = json!({
            "session": running.session.id,
            "granted": names(&answer.granted),
            "refused": names(&answer.refused),
        });
        write.event(&running.ticket, EventKind::ConsentRecorded, details.clone()).await?;
        write.audit("consent.record", tickets::subject(&running.ticket), details).await?;
        Ok(())
    }

    /// Ends a session. Ending it again changes nothing.
    pub async fn end_session(&self, actor: &Actor, id: SessionId, reason: EndReason) -> Result<(), SessionError> {
        self.leave(actor, id, SessionState::Ended, Some(reason)).await
    }

    /// Says that the connection of a session was lost; its device may come back.
    pub async fn interrupt_session(&self, id: SessionId) -> Result<(), SessionError> {
        self.leave(&Actor::System, id, SessionState::Interrupted, None).await
    }

    async fn leave(
        &self,
        actor: &Actor,
        id: SessionId,
        to: SessionState,
        reason: Option<EndReason>,
    ) -> Result<(), SessionError> {
        let mut write = self.write(actor).await.map_err(StoreError::from)?;
        let Running { session, ticket } = match running(&write.tx, id).await {
            Err(SessionError::Ended) => return Ok(()),
            other => other?,
        };
        if session.state == to {
            return Ok(());
        }
        leave_row(&mut write, session, &ticket, to, reason).await?;
        write.commit().await?;
        Ok(())
    }

    /// Marks the sessions that were live when the console stopped.
    pub(super) async fn interrupt_live_sessions(&self) -> Result<(), StoreError> {
        let live = session::Entity::find().filter(session::Column::State.eq(SessionState::Live));
        if live.clone().one(self.reader()).await?.is_none() {
            return Ok(());
        }
        let mut write = self.write(&Actor::System).await?;
        for session in live.all(&write.tx).await? {
            let ticket = ticket_of(&write.tx, &session).await?;
            leave_row(&mut write, session, &ticket, SessionState::Interrupted, None).await?;
        }
        write.commit().await
    }

    /// One session.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        match session::Entity::find_by_id(id.0).one(self.reader()).await? {
            Some(row) => Ok(Some(assemble(self.reader(), row).await?)),
            None => Ok(None),
        }
    }

    /// At most `limit` sessions older than `before`, of one ticket or of all, newest first.
    pub async fn list_sessions(
        &self,
        ticket: Option<TicketNumber>,
        before: Option<SessionId>,
        limit: u64,
    ) -> Result<Vec<Session>, StoreError> {
        let mut query = session::Entity::find();
        if let Some(number) = ticket {
            let ticket = tickets::find(self.reader(), number).await?;
            query = query.filter(session::Column::TicketId.eq(ticket.map_or(0, |ticket| ticket.id)));
        }
        if let Some(before) = before {
            query = query.filter(session::Column::Id.lt(before.0));
        }
        let rows = query.order_by_desc(session::Column::Id).limit(limit).all(self.reader()).await?;
        let mut sessions = Vec::with_capacity(rows.len());
        for row in rows {
            sessions.push(assemble(self.reader(), row).await?);
        }
        Ok(sessions)
    }

    /// At most `limit` devices older than `before`, newest first.
    pub async fn list_devices(
        &self,
        of: Option<OrganizationId>,
        before: Option<DeviceId>,
        limit: u64,
    ) -> Result<Vec<Device>, StoreError> {
        let mut query = device::Entity::find();
        if let Some(organization) = of {
            query = query.filter(device::Column::OrganizationId.eq(organization.0));
        }
        if let Some(before) = before {
            query = query.filter(device::Column::Id.lt(before.0));
        }
        let rows = query.order_by_desc(device::Column::Id).limit(limit).all(self.reader()).await?;
        let mut devices = Vec::with_capacity(rows.len());
        for row in rows {
            devices.push(assemble_device(self.reader(), row).await?);
        }
        Ok(devices)
    }

    /// One device.
    pub async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        match device::Entity::find_by_id(id.0).one(self.reader()).await? {
            Some(row) => Ok(Some(assemble_device(self.reader(), row).await?)),
            None => Ok(None),
        }
    }

    /// The device of a session, as the one who acts.
    pub(super) async fn actor_of(&self, id: SessionId) -> Result<Actor, SessionError> {
        let session = session::Entity::find_by_id(id.0).one(self.reader()).await.map_err(StoreError::from)?;
        let session = session.ok_or(SessionError::NoSession)?;
        let device =
            device::Entity::find_by_id(session.device_id).one(self.reader()).await.map_err(StoreError::from)?;
        let key = device.and_then(|device| device.key.try_into().ok()).map(DeviceKey);
        let key = key.ok_or_else(|| StoreError::Unreadable(format!("session {id}")))?;
        Ok(Actor::Device(key))
    }
}

/// Finds a session that has not ended, and its ticket.
pub(super) async fn running(db: &impl ConnectionTrait, id: SessionId) -> Result<Running, SessionError> {
    let session = session::Entity::find_by_id(id.0).one(db).await.map_err(StoreError::from)?;
    let session = session.ok_or(SessionError::NoSession)?;
    if session.state == SessionState::Ended {
        return Err(SessionError::Ended);
    }
    let ticket = ticket_of(db, &session).await?;
    Ok(Running { session, ticket })
}

/// Brings an interrupted session back to life for its own device.
pub(super) async fn resume(
    write: &mut Write,
    session: session::Model,
    ticket: ticket::Model,
    phrase: Option<&SessionPhrase>,
) -> Result<Redeemed, StoreError> {
    let id = session.id;
    let requested = capabilities_from(&session.capabilities)?;
    let mut row = session.into_active_model();
    row.state = Set(SessionState::Live);
    // Another connection, another phrase.
    row.phrase = Set(phrase.map(phrase_text));
    row.update(&write.tx).await?;
    let details = json!({ "session": id });
    write.event(&ticket, EventKind::SessionResumed, details.clone()).await?;
    write.audit("session.resume", tickets::subject(&ticket), details).await?;
    let ticket = tickets::assemble(&write.tx, ticket).await?;
    Ok(Redeemed { session: SessionId(id), resumed: true, ticket, requested })
}

/// Finds or creates the device with this key and notes that it was seen.
pub(super) async fn meet_device(write: &Write, key: &DeviceKey, organization_id: i64) -> Result<device::Model, DbErr> {
    let known = device::Entity::find().filter(device::Column::Key.eq(key.0.to_vec())).one(&write.tx).await?;
    if let Some(known) = known {
        let mut row = known.into_active_model();
        row.last_seen_at = Set(write.now.0);
        return row.update(&write.tx).await;
    }
    let row = device::ActiveModel {
        key: Set(key.0.to_vec()),
        organization_id: Set(Some(organization_id)),
        first_seen_at: Set(write.now.0),
        last_seen_at: Set(write.now.0),
        ..Default::default()
    };
    row.insert(&write.tx).await
}

/// A phrase as it is stored: a JSON object of its forms by language.
pub(super) fn phrase_text(phrase: &SessionPhrase) -> String {
    json!(SpokenPhrase { en: phrase.text(Language::English), zh: phrase.text(Language::Chinese) }).to_string()
}

/// Reads a stored list of capabilities.
pub(super) fn capabilities_from(text: &str) -> Result<Vec<Capability>, StoreError> {
    let unreadable = || StoreError::Unreadable(format!("the capabilities {text}"));
    let names: Vec<String> = serde_json::from_str(text).map_err(|_| unreadable())?;
    names.iter().map(|name| name.parse().map_err(|_| unreadable())).collect()
}

/// A list of capabilities as it is stored.
pub(super) fn capabilities_text(capabilities: &[Capability]) -> String {
    json!(names(capabilities)).to_string()
}

fn names(capabilities: &[Capability]) -> Vec<&'static str> {
    capabilities.iter().map(|capability| capability.name()).collect()
}

async fn ticket_of(db: &impl ConnectionTrait, session: &session::Model) -> Result<ticket::Model, StoreError> {
    let ticket = ticket::Entity::find_by_id(session.ticket_id).one(db).await?;
    ticket.ok_or_else(|| StoreError::Unreadable(format!("session {}", session.id)))
}

/// Ends a session that has not ended.
pub(super) async fn end_row(write: &mut Write, session: session::Model, reason: EndReason) -> Result<(), StoreError> {
    let ticket = ticket_of(&write.tx, &session).await?;
    leave_row(write, session, &ticket, SessionState::Ended, Some(reason)).await
}

async fn leave_row(
    write: &mut Write,
    session: session::Model,
    ticket: &ticket::Model,
    to: SessionState,
    reason: Option<EndReason>,
) -> Result<(), StoreError> {
    let id = session.id;
    if to == SessionState::Ended {
        time_entries::note_session(write, &session, ticket).await?;
    }
    let mut row = session.into_active_model();
    row.state = Set(to);
    if to == SessionState::Ended {
        row.ended_at = Set(Some(write.now.0));
        row.end_reason = Set(reason.map(|reason| reason.as_str().to_owned()));
    }
    row.update(&write.tx).await?;
    let (kind, action) = match to {
        SessionState::Ended => (EventKind::SessionEnded, "session.end"),
        _ => (EventKind::SessionInterrupted, "session.interrupt"),
    };
    let details = json!({ "session": id, "reason": reason });
    write.event(ticket, kind, details.clone()).await?;
    write.audit(action, tickets::subject(ticket), details).await?;
    Ok(())
}

async fn assemble(db: &impl ConnectionTrait, row: session::Model) -> Result<Session, StoreError> {
    let ticket = ticket_of(db, &row).await?;
    let of_session = consent::Entity::find().filter(consent::Column::SessionId.eq(row.id));
    let consents = of_session.order_by_asc(consent::Column::Id).all(db).await?;
    let unreadable = || StoreError::Unreadable(format!("session {}", row.id));
    let list = |text: &str| serde_json::from_str(text).map_err(|_| unreadable());
    Ok(Session {
        id: SessionId(row.id),
        ticket: TicketNumber::from_serial(ticket.serial),
        device: DeviceId(row.device_id),
        state: row.state,
        requested: list(&row.capabilities)?,
        consents: consents
            .into_iter()
            .map(|consent| {
                Ok(Consent {
                    granted: list(&consent.granted)?,
                    refused: list(&consent.refused)?,
                    grant_ends_at_ms: consent.grant_ends_at.map(UnixMillis),
                    shown_sha256: consent.shown_sha256.map(|hash| data_encoding::HEXLOWER.encode(&hash)),
                    recorded_at_ms: UnixMillis(consent.recorded_at),
                })
            })
            .collect::<Result<_, StoreError>>()?,
        phrase: row.phrase.as_deref().map(serde_json::from_str).transpose().map_err(|_| unreadable())?,
        started_at_ms: UnixMillis(row.started_at),
        ended_at_ms: row.ended_at.map(UnixMillis),
        end_reason: row.end_reason.clone(),
    })
}

/// A device as the desk shows it.
pub(super) async fn assemble_device(db: &impl ConnectionTrait, row: device::Model) -> Result<Device, StoreError> {
    let organization = match row.organization_id {
        Some(id) => organization::Entity::find_by_id(id).one(db).await?,
        None => None,
    };
    let revoked = revocations::shown(db, row.id).await?;
    let key: [u8; 32] = row.key.try_into().map_err(|_| StoreError::Unreadable(format!("device {}", row.id)))?;
    Ok(Device {
        id: DeviceId(row.id),
        key: DeviceKey(key).to_string(),
        customer: organization.map(|organization| organization.name),
        first_seen_at_ms: UnixMillis(row.first_seen_at),
        last_seen_at_ms: UnixMillis(row.last_seen_at),
        revoked,
    })
}
