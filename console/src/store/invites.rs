//! One-time codes: minted for a ticket, redeemed by a device, and guessed by strangers.
//!
//! The store keeps keyed hashes only. A wrong, used, replaced or expired code, one of a closed ticket and any of a revoked
//! device look the same to the peer; the audit and the ticket's log say which it was.

use std::time::Duration;

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use belay_protocol::DeviceKey;
use belay_protocol::consent::Capability;
use belay_protocol::invite::{CODES, Code, InviteSecret};
use belay_protocol::limits::CODE_LIFE_SECONDS;
use belay_protocol::phrase::SessionPhrase;

use super::entity::{device, invite, session, ticket};
use super::throttle::{self, Consequence};
use super::write::Write;
use super::{
    Actor, EventKind, Minted, Once, OnceError, Redeemed, SessionId, SessionState, Store, StoreError, revocations,
    sessions, tickets,
};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::secret::same;
use crate::ticket::TicketState;

/// How long a code works.
pub const CODE_LIFE: Duration = Duration::from_secs(CODE_LIFE_SECONDS.unsigned_abs());

/// Why no code was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// A closed or merged ticket takes no sessions.
    #[error("the ticket is {0}: reopen it before inviting the customer")]
    TakesNoSessions(TicketState),
    /// The request's key was used for another.
    #[error(transparent)]
    Once(#[from] OnceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a code was not redeemed.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// Wrong, used, replaced, expired, for a closed ticket, or from a revoked device: the peer is not told which.
    #[error("the code is not valid or has expired")]
    NotValid,
    /// Too many wrong codes from this device or its network; this one was not looked at.
    #[error("too many wrong codes: try again in {} seconds", retry_after.as_secs().max(1))]
    SlowDown {
        /// When the next attempt will be looked at.
        retry_after: Duration,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// [`Minted`] in the form in which a repeated request finds it.
#[derive(Serialize, Deserialize)]
struct RememberedMint {
    ticket: TicketNumber,
    code: Code,
    secret: InviteSecret,
    expires_at: UnixMillis,
}

/// What a presented code turned out to be.
enum Verdict {
    Fresh(invite::Model, ticket::Model),
    SameDevice(session::Model, ticket::Model),
    Refused(&'static str, Option<ticket::Model>),
}

impl Store {
    /// Mints a code for a ticket. The ticket's earlier code stops working. With `once`, a repeated request gets the
    /// first one's code.
    pub async fn mint_invite(
        &self,
        actor: &Actor,
        number: TicketNumber,
        once: Option<&Once>,
    ) -> Result<Minted, MintError> {
        let mut write = self.write(actor).await.map_err(StoreError::from)?;
        if let Some(once) = once
            && let Some(answered) = self.recall::<RememberedMint>(&write, once).await?
        {
            let RememberedMint { ticket, code, secret, expires_at } = answered?;
            return Ok(Minted { ticket, code, secret, expires_at });
        }
        let ticket = tickets::find(&write.tx, number).await.map_err(StoreError::from)?.ok_or(MintError::NoTicket)?;
        if !ticket.state.takes_sessions() {
            return Err(MintError::TakesNoSessions(ticket.state));
        }
        let minted = self.insert_invite(&mut write, &ticket).await?;
        if let Some(once) = once {
            let Minted { ticket, code, secret, expires_at } = minted.clone();
            self.remember(&write, once, &RememberedMint { ticket, code, secret, expires_at }).await?;
        }
        write.commit().await?;
        Ok(minted)
    }

    async fn insert_invite(&self, write: &mut Write, ticket: &ticket::Model) -> Result<Minted, StoreError> {
        let earlier = invite::Entity::find().filter(invite::Column::LiveTicketId.eq(ticket.id)).one(&write.tx).await?;
        if let Some(earlier) = earlier {
            let mut row = earlier.into_active_model();
            row.live_ticket_id = Set(None);
            row.replaced_at = Set(Some(write.now.0));
            row.update(&write.tx).await?;
        }
        let code = self.unused_code(write).await?;
        let secret = InviteSecret(rand::random());
        let expires_at = write.now.plus(CODE_LIFE);
        let row = invite::ActiveModel {
            ticket_id: Set(ticket.id),
            live_ticket_id: Set(Some(ticket.id)),
            code_mac: Set(self.code_mac(code)),
            secret_mac: Set(self.secret_mac(&secret.0)),
            capabilities: Set(sessions::capabilities_text(&REQUESTED)),
            created_at: Set(write.now.0),
            expires_at: Set(expires_at.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        let details = json!({ "invite": row.id, "expires_at_ms": expires_at });
        write.event(ticket, EventKind::InviteMinted, details.clone()).await?;
        write.audit("invite.mint", tickets::subject(ticket), details).await?;
        Ok(Minted { ticket: TicketNumber::from_serial(ticket.serial), code, secret, expires_at })
    }

    /// Draws a code that no other code of the last quarter of an hour has, live or not, so that a code names one ticket.
    async fn unused_code(&self, write: &Write) -> Result<Code, DbErr> {
        loop {
            let code = Code::from_number(rand::random_range(0..CODES));
            let with_code = invite::Entity::find().filter(invite::Column::CodeMac.eq(self.code_mac(code)));
            let taken = with_code.filter(invite::Column::ExpiresAt.gt(write.now.0));
            if taken.one(&write.tx).await?.is_none() {
                return Ok(code);
            }
        }
    }

    /// Redeems a code for the device that proved `device`. `attested_source` is the relay's keyed hash of the peer's
    /// address prefix; `phrase` is what the customer reads to the technician.
    ///
    /// The device that redeemed a code gets the same session again while the session has not ended and the code has not
    /// expired. Whoever brings the right secret beside the code is not delayed by the wrong guesses of others.
    pub async fn redeem_invite(
        &self,
        device: &DeviceKey,
        code: Code,
        secret: Option<&InviteSecret>,
        attested_source: Option<[u8; 16]>,
        phrase: Option<&SessionPhrase>,
    ) -> Result<Redeemed, RedeemError> {
        let mut write = self.write(&Actor::Device(*device)).await.map_err(StoreError::from)?;
        let buckets = buckets(device, attested_source);
        let invite = self.newest_invite(&write, code).await.map_err(StoreError::from)?;
        let secret_is_right = match (&invite, secret) {
            (Some(invite), Some(secret)) => Some(same(&invite.secret_mac, &self.secret_mac(&secret.0))),
            (_, None) => None,
            (None, Some(_)) => Some(false),
        };
        let is_revoked = revocations::is_revoked(&write.tx, device).await.map_err(StoreError::from)?;
        // To a device that is shut out a good code looks like a wrong one, also by the delay.
        if secret_is_right != Some(true) || is_revoked {
            for bucket in &buckets {
                if let Some(retry_after) =
                    throttle::wait(&write.tx, bucket, write.now).await.map_err(StoreError::from)?
                {
                    return Err(RedeemError::SlowDown { retry_after });
                }
            }
        }
        let verdict = judge(&write, device, invite, secret_is_right, is_revoked).await?;
        match verdict {
            Verdict::Fresh(invite, ticket) => {
                let redeemed = self.start_session(&mut write, device, invite, ticket, phrase).await?;
                write.forget_failures(&buckets[0]).await.map_err(StoreError::from)?;
                write.commit().await?;
                Ok(redeemed)
            }
            Verdict::SameDevice(session, ticket) => {
                let redeemed = sessions::resume(&mut write, session, ticket, phrase).await?;
                write.commit().await?;
                Ok(redeemed)
            }
            Verdict::Refused(reason, ticket) => {
                self.record_refusal(&mut write, reason, ticket, &buckets).await?;
                write.commit().await?;
                Err(RedeemError::NotValid)
            }
        }
    }

    /// How long the answer to a code without its secret should be held back at present, because the desk as a whole is
    /// being guessed at. Nobody is locked out by it.
    pub async fn guess_pace(&self) -> Result<Duration, StoreError> {
        let failures = throttle::failures(self.reader(), DESK_BUCKET, self.inner.clock.now()).await?;
        Ok(if failures >= DESK_ALARM_FAILURES { DESK_PACE } else { Duration::ZERO })
    }

    async fn newest_invite(&self, write: &Write, code: Code) -> Result<Option<invite::Model>, DbErr> {
        let with_code = invite::Entity::find().filter(invite::Column::CodeMac.eq(self.code_mac(code)));
        with_code.order_by_desc(invite::Column::Id).one(&write.tx).await
    }

    async fn start_session(
        &self,
        write: &mut Write,
        key: &DeviceKey,
        invite: invite::Model,
        ticket: ticket::Model,
        phrase: Option<&SessionPhrase>,
    ) -> Result<Redeemed, StoreError> {
        let device = sessions::meet_device(write, key, ticket.organization_id).await?;
        let row = session::ActiveModel {
            ticket_id: Set(ticket.id),
            device_id: Set(device.id),
            invite_id: Set(Some(invite.id)),
            state: Set(SessionState::Live),
            capabilities: Set(invite.capabilities.clone()),
            started_at: Set(write.now.0),
            phrase: Set(phrase.map(sessions::phrase_text)),
            ..Default::default()
        };
        let session = row.insert(&write.tx).await?;
        let mut row = invite.into_active_model();
        row.live_ticket_id = Set(None);
        row.redeemed_at = Set(Some(write.now.0));
        row.redeemed_by = Set(Some(device.id));
        row.session_id = Set(Some(session.id));
        row.update(&write.tx).await?;
        let details = json!({ "session": session.id, "device": device.id });
        write.event(&ticket, EventKind::SessionStarted, details.clone()).await?;
        write.audit("session.start", tickets::subject(&ticket), details).await?;
        Ok(Redeemed {
            session: SessionId(session.id),
            resumed: false,
            ticket: tickets::assemble(&write.tx, ticket).await?,
            requested: sessions::capabilities_from(&session.capabilities)?,
        })
    }

    async fn record_refusal(
        &self,
        write: &mut Write,
        reason: &'static str,
        ticket: Option<ticket::Model>,
        buckets: &[String],
    ) -> Result<(), StoreError> {
        for (bucket, free) in buckets.iter().zip([throttle::FREE_FAILURES, SOURCE_FREE_FAILURES]) {
            write.count_failure(bucket, Consequence::DelayAfter(free)).await?;
        }
        let desk_failures = write.count_failure(DESK_BUCKET, Consequence::Count).await?;
        let subject = ticket.as_ref().map_or_else(|| "desk".to_owned(), tickets::subject);
        write.audit("invite.refuse", subject, json!({ "reason": reason })).await?;
        if let Some(ticket) = ticket {
            write.event(&ticket, EventKind::InviteRefused, json!({ "reason": reason })).await?;
        }
        if desk_failures % DESK_ALARM_FAILURES == 0 {
            tracing::error!(failures = desk_failures, "one-time codes are being guessed at");
            write.audit("invite.alarm", "desk", json!({ "failures": desk_failures })).await?;
        }
        Ok(())
    }

    fn code_mac(&self, code: Code) -> Vec<u8> {
        self.inner.key.mac("invite-code", code.digits().as_bytes())
    }

    fn secret_mac(&self, secret: &[u8; 16]) -> Vec<u8> {
        self.inner.key.mac("invite-secret", secret)
    }
}

/// Decides about a presented code.
async fn judge(
    write: &Write,
    device: &DeviceKey,
    invite: Option<invite::Model>,
    secret_is_right: Option<bool>,
    is_revoked: bool,
) -> Result<Verdict, StoreError> {
    let Some(invite) = invite else {
        return Ok(Verdict::Refused("unknown", None));
    };
    let ticket = ticket::Entity::find_by_id(invite.ticket_id).one(&write.tx).await?;
    let ticket = ticket.ok_or_else(|| StoreError::Unreadable(format!("invite {}", invite.id)))?;
    let refused = |reason, ticket| Ok(Verdict::Refused(reason, Some(ticket)));
    if is_revoked {
        return refused("device_revoked", ticket);
    }
    if secret_is_right == Some(false) {
        return refused("wrong_secret", ticket);
    }
    if invite.expires_at <= write.now.0 {
        return refused("expired", ticket);
    }
    if !ticket.state.takes_sessions() {
        return refused("ticket_takes_no_sessions", ticket);
    }
    if invite.redeemed_at.is_some() {
        return Ok(match session_of_same_device(write, device, &invite).await? {
            Some(session) => Verdict::SameDevice(session, ticket),
            None => Verdict::Refused("used", Some(ticket)),
        });
    }
    if invite.replaced_at.is_some() {
        return refused("replaced", ticket);
    }
    Ok(Verdict::Fresh(invite, ticket))
}

/// The session that `device` itself started with this code, unless it has ended.
async fn session_of_same_device(
    write: &Write,
    key: &DeviceKey,
    invite: &invite::Model,
) -> Result<Option<session::Model>, DbErr> {
    let (Some(device_id), Some(session_id)) = (invite.redeemed_by, invite.session_id) else {
        return Ok(None);
    };
    let device = device::Entity::find_by_id(device_id).one(&write.tx).await?;
    if !device.is_some_and(|device| same(&device.key, &key.0)) {
        return Ok(None);
    }
    let session = session::Entity::find_by_id(session_id).one(&write.tx).await?;
    Ok(session.filter(|session| session.state != SessionState::Ended))
}

/// The buckets that a wrong code counts in, the device's first.
fn buckets(device: &DeviceKey, attested_source: Option<[u8; 16]>) -> Vec<String> {
    let source = attested_source.map(|source| format!("code/source/{}", data_encoding::HEXLOWER.encode(&source)));
    [format!("code/device/{device}")].into_iter().chain(source).collect()
}

/// What the desk asks for until tickets say otherwise.
const REQUESTED: [Capability; 1] = [Capability::Survey];

/// Wrong codes of a whole network that cost nothing: an office shares one, and one colleague who mistypes must not keep
/// the others out.
const SOURCE_FREE_FAILURES: i64 = 25;

const DESK_BUCKET: &str = "code/desk";

/// Wrong codes at the whole desk within a window that people do not make: at this rate a live code is guessed once in
/// a million windows.
const DESK_ALARM_FAILURES: i64 = 100;

/// How long answers are held back then.
const DESK_PACE: Duration = Duration::from_secs(2);
