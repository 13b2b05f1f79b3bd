//! A ticket's way through its life: its moves, verification, merging, and what falls due by itself.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;

use super::entity::{
    article, attachment, checklist_item, finding, invite, report, resolution, session, ticket, ticket_tag, time_entry,
};
use super::tickets::{TAGS_MAX, assemble, differences, find, save, subject};
use super::write::Write;
use super::{
    Actor, ChangeError, EventKind, NewResolution, SessionState, Severity, Store, StoreError, StoredReportId, Ticket,
    TicketChange, Verification, VerifiedBy,
};
use crate::clock::UnixMillis;
use crate::life::{Closing, Life, Move, Refused, SILENCE_LIMIT};
use crate::number::TicketNumber;
use crate::ticket::TicketState;

/// Why a resolution was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// The ticket is not resolved.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The report is not one of this ticket.
    #[error("there is no such report on this ticket")]
    NoReport,
    /// The report was made before the fix.
    #[error("the report is older than the fix: make a new one")]
    TooOld,
    /// Nothing had failed in an earlier report of that machine, so that a new one says nothing.
    #[error("no earlier report of this machine on the ticket shows a fault: ask the customer instead")]
    NothingFailed,
    /// What had failed still fails, or was not looked at.
    #[error("the report does not show that it is mended: {}", still.join("; "))]
    StillFailing {
        /// The titles of what fails or was not looked at, in English.
        still: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for VerifyError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Why a ticket was not merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// The ticket that it should go on in is not there, is itself, or is finished.
    #[error("there is no open ticket of this number that it could go on in")]
    NoTarget,
    /// It is merged already.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A customer is in a session of it.
    #[error("a session of this ticket is not over yet: end it first")]
    SessionOpen,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for MergeError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// The move that a change asks for, if it asks for one.
pub(super) fn step(row: &ticket::Model, change: &TicketChange) -> Result<Option<Move>, ChangeError> {
    let Some(to) = change.state else { return Ok(None) };
    let until = change.pending_until;
    if to == row.state && until.is_none() {
        return Ok(None);
    }
    match to {
        // Nothing becomes new again, and a ticket is merged into another one, which a change does not name.
        TicketState::New | TicketState::Merged => Err(Refused::NoSuchMove { from: row.state, to }.into()),
        TicketState::Open => Ok(Some(Move::Work)),
        TicketState::PendingCustomer | TicketState::PendingVendor | TicketState::PendingReminder => {
            Ok(Some(Move::Wait { state: to, until }))
        }
        TicketState::Resolved => Ok(Some(Move::Resolve)),
        TicketState::Closed => Ok(Some(Move::Close(change.closing.unwrap_or(Closing::Verified)))),
    }
}

/// Takes a step: the row as it is then, and what goes with it.
pub(super) async fn take(
    write: &mut Write,
    row: &mut ticket::Model,
    step: Move,
    change: &TicketChange,
) -> Result<(), ChangeError> {
    let resolution = in_force(write, row.id).await?;
    let before = row.state;
    let after = life_of(row, resolution.as_ref()).after(step, write.now)?;
    if step == Move::Resolve {
        let how = change.resolution.as_ref().ok_or(ChangeError::NeedsResolution)?;
        resolve(write, row, how).await?;
    }
    row.state = after.state;
    row.pending_until = after.pending_until.map(|until| until.0);
    row.closed_at = after.closed_at.map(|at| at.0);
    row.closed_as = match step {
        Move::Close(closing) => Some(closing),
        _ => None,
    };
    let is_reopened = matches!(before, TicketState::Resolved | TicketState::Closed) && step == Move::Work;
    if let Some(resolution) = resolution.filter(|_| is_reopened) {
        let mut resolution = resolution.into_active_model();
        resolution.live_ticket_id = Set(None);
        resolution.update(&write.tx).await?;
    }
    Ok(())
}

async fn resolve(write: &mut Write, row: &ticket::Model, how: &NewResolution) -> Result<(), DbErr> {
    let [cause, fix, prevention] = [&how.cause, &how.fix, &how.prevention].map(|text| text.as_str().to_owned());
    let details = json!({ "cause": cause, "fix": fix, "prevention": prevention });
    let resolution = resolution::ActiveModel {
        ticket_id: Set(row.id),
        live_ticket_id: Set(Some(row.id)),
        cause: Set(cause),
        fix: Set(fix),
        prevention: Set(prevention),
        resolved_by: Set(write.actor().to_string()),
        resolved_at: Set(write.now.0),
        ..Default::default()
    };
    resolution.insert(&write.tx).await?;
    write.event(row, EventKind::TicketResolved, details).await
}

fn life_of(row: &ticket::Model, resolution: Option<&resolution::Model>) -> Life {
    Life {
        state: row.state,
        pending_until: row.pending_until.map(UnixMillis),
        is_verified: resolution.is_some_and(|resolution| resolution.verified_at.is_some()),
        closed_at: row.closed_at.map(UnixMillis),
    }
}

/// Notes on a resolution that it holds, and tells the ticket's log.
pub(super) async fn note_verified(
    write: &mut Write,
    row: &ticket::Model,
    resolution: resolution::Model,
    by: VerifiedBy,
    report: Option<i64>,
    words: Option<String>,
) -> Result<(), DbErr> {
    let mut resolution = resolution.into_active_model();
    resolution.verified_as = Set(Some(by));
    resolution.verified_by = Set(Some(write.actor().to_string()));
    resolution.verified_at = Set(Some(write.now.0));
    resolution.report_id = Set(report);
    resolution.words = Set(words.clone());
    resolution.update(&write.tx).await?;
    let details = json!({ "as": by, "report": report, "words": words });
    write.event(row, EventKind::TicketVerified, details).await?;
    write.audit("ticket.verify", subject(row), json!({ "as": by, "report": report })).await
}

pub(super) async fn in_force(write: &Write, ticket: i64) -> Result<Option<resolution::Model>, DbErr> {
    resolution::Entity::find().filter(resolution::Column::LiveTicketId.eq(ticket)).one(&write.tx).await
}

impl Store {
    /// Records that the resolution of a ticket holds.
    pub async fn verify_ticket(
        &self,
        actor: &Actor,
        number: TicketNumber,
        verification: Verification,
    ) -> Result<Ticket, VerifyError> {
        let mut write = self.write(actor).await?;
        let row = find(&write.tx, number).await?.ok_or(VerifyError::NoTicket)?;
        let resolution = in_force(&write, row.id).await?;
        life_of(&row, resolution.as_ref()).after(Move::Verify, write.now)?;
        // A ticket that an older console has resolved says nowhere how, and can still be looked at again.
        let resolution = resolution.ok_or(Refused::NothingToVerify(row.state))?;
        let (by, report, words) = match verification {
            Verification::Report(id) => {
                check_report(&write, &row, &resolution, id).await?;
                (VerifiedBy::Report, Some(id.0), None)
            }
            Verification::Person(words) => (VerifiedBy::Person, None, Some(words.into_string())),
        };
        note_verified(&mut write, &row, resolution, by, report, words).await?;
        let ticket = touch(&mut write, row).await?;
        write.commit().await?;
        Ok(ticket)
    }

    /// Lets a ticket go on in another: what was said, its sessions and its reports move there. It is final.
    pub async fn merge_ticket(
        &self,
        actor: &Actor,
        number: TicketNumber,
        into: TicketNumber,
    ) -> Result<Ticket, MergeError> {
        let mut write = self.write(actor).await?;
        let old = find(&write.tx, number).await?.ok_or(MergeError::NoTicket)?;
        if old.state == TicketState::Merged {
            return Err(Refused::NoSuchMove { from: old.state, to: TicketState::Merged }.into());
        }
        let after = life_of(&old, None).after(Move::Merge, write.now)?;
        let target = find(&write.tx, into).await?.filter(|target| target.id != old.id && target.state.takes_sessions());
        let target = target.ok_or(MergeError::NoTarget)?;
        let sessions = session::Entity::find().filter(session::Column::TicketId.eq(old.id));
        let open = sessions.filter(session::Column::State.ne(SessionState::Ended)).one(&write.tx).await?;
        if open.is_some() {
            return Err(MergeError::SessionOpen);
        }
        move_contents(&write, &old, &target).await?;
        let mut row = old.clone();
        (row.state, row.merged_into_id, row.pending_until) = (after.state, Some(target.id), None);
        let changed = save(&mut write, row.clone(), differences(&old, &row)).await?;
        let (from, into) = (number.to_string(), into.to_string());
        write.event(&changed, EventKind::TicketMerged, json!({ "into": into })).await?;
        write.event(&target, EventKind::TicketMerged, json!({ "from": from })).await?;
        write.audit("ticket.merge", subject(&changed), json!({ "into": into })).await?;
        touch(&mut write, target).await?;
        let merged = assemble(&write.tx, changed).await?;
        write.commit().await?;
        Ok(merged)
    }

    /// Does what has fallen due: wakes pending tickets whose date has come, and closes resolved ones that nobody has
    /// objected to. Each happens once, however often and after however long a stop this is called. Says how many.
    pub async fn do_what_is_due(&self) -> Result<usize, StoreError> {
        let now = self.clock().now();
        let due = ticket::Entity::find().filter(ticket::Column::PendingUntil.lte(now.0));
        let due = due.order_by_asc(ticket::Column::PendingUntil).limit(DUE_AT_ONCE).all(self.reader()).await?;
        let silent = resolution::Entity::find()
            .inner_join_ticket()
            .filter(ticket::Column::State.eq(TicketState::Resolved))
            .filter(resolution::Column::LiveTicketId.is_not_null())
            .filter(resolution::Column::ResolvedAt.lte(now.0 - SILENCE_LIMIT.as_millis() as i64));
        let silent = silent.limit(DUE_AT_ONCE).all(self.reader()).await?;
        let steps = due.iter().map(|row| (row.id, Move::Work));
        let steps = steps.chain(silent.iter().map(|row| (row.ticket_id, Move::Close(Closing::Silence))));
        let mut done = 0;
        for (id, step) in steps {
            done += usize::from(self.take_due_step(id, step).await?);
        }
        Ok(done)
    }

    /// Takes a step that was due when the row was read, if it still is.
    async fn take_due_step(&self, id: i64, step: Move) -> Result<bool, StoreError> {
        let mut write = self.write(&Actor::System).await?;
        let Some(old) = ticket::Entity::find_by_id(id).one(&write.tx).await? else { return Ok(false) };
        let is_due = match step {
            Move::Work => old.pending_until.is_some_and(|until| until <= write.now.0),
            _ => old.state == TicketState::Resolved,
        };
        if !is_due {
            return Ok(false);
        }
        let mut row = old.clone();
        match take(&mut write, &mut row, step, &TicketChange::default()).await {
            Ok(()) => {}
            Err(ChangeError::Store(error)) => return Err(error),
            // The rows do not fit together; the next technician sees the ticket as it is.
            Err(_) => return Ok(false),
        }
        let row = save(&mut write, row.clone(), differences(&old, &row)).await?;
        if step == Move::Work {
            write
                .event(&row, EventKind::ReminderFired, json!({ "was": old.state, "due_ms": old.pending_until }))
                .await?;
        }
        write.commit().await?;
        Ok(true)
    }
}

/// Stores a ticket as changed now, without a difference in its row.
pub(super) async fn touch(write: &mut Write, row: ticket::Model) -> Result<Ticket, StoreError> {
    let version = row.version;
    let mut row = row.into_active_model();
    row.version = Set(version + 1);
    row.updated_at = Set(write.now.0);
    let row = row.update(&write.tx).await?;
    assemble(&write.tx, row).await
}

/// Looks whether a report shows that what had failed before the fix does not fail any more.
async fn check_report(
    write: &Write,
    row: &ticket::Model,
    resolution: &resolution::Model,
    id: StoredReportId,
) -> Result<(), VerifyError> {
    let of_ticket = report::Column::TicketId.eq(row.id);
    let new = report::Entity::find_by_id(id.0).filter(of_ticket.clone()).one(&write.tx).await?;
    let new = new.ok_or(VerifyError::NoReport)?;
    // A file that is carried here after the fix may tell of the time before it.
    if new.taken_at.unwrap_or(new.received_at) <= resolution.resolved_at {
        return Err(VerifyError::TooOld);
    }
    let earlier = report::Entity::find().filter(of_ticket).filter(report::Column::DeviceId.eq(new.device_id));
    let earlier = earlier.filter(report::Column::ReceivedAt.lte(resolution.resolved_at));
    let earlier: Vec<i64> = earlier.all(&write.tx).await?.into_iter().map(|report| report.id).collect();
    let failed = finding::Entity::find().filter(finding::Column::ReportId.is_in(earlier));
    let failed = failed.filter(finding::Column::Severity.is_in([Severity::Warn, Severity::Crit]));
    let failed: BTreeMap<String, String> =
        failed.all(&write.tx).await?.into_iter().map(|finding| (finding.fingerprint, finding.title_en)).collect();
    if failed.is_empty() {
        return Err(VerifyError::NothingFailed);
    }
    // A report that leaves its findings out, or in which nothing was judged, shows nothing.
    let still: Vec<String> = if new.ok.is_none() {
        failed.into_values().collect()
    } else {
        let now = finding::Entity::find().filter(finding::Column::ReportId.eq(new.id));
        let bad = [Severity::Warn, Severity::Crit, Severity::Unknown];
        let now = now.filter(finding::Column::Severity.is_in(bad)).all(&write.tx).await?;
        now.into_iter()
            .filter(|finding| failed.contains_key(&finding.fingerprint))
            .map(|found| found.title_en)
            .collect()
    };
    if still.is_empty() { Ok(()) } else { Err(VerifyError::StillFailing { still }) }
}

async fn move_contents(write: &Write, old: &ticket::Model, target: &ticket::Model) -> Result<(), DbErr> {
    let to = || Expr::value(target.id);
    let tx = &write.tx;
    // What came from a third ticket keeps saying so.
    let own = article::Entity::update_many().col_expr(article::Column::CameFromId, Expr::value(old.id));
    let own = own.filter(article::Column::TicketId.eq(old.id)).filter(article::Column::CameFromId.is_null());
    own.exec(tx).await?;
    let articles = article::Entity::update_many().col_expr(article::Column::TicketId, to());
    articles.filter(article::Column::TicketId.eq(old.id)).exec(tx).await?;
    let files = attachment::Entity::update_many().col_expr(attachment::Column::TicketId, to());
    files.filter(attachment::Column::TicketId.eq(old.id)).exec(tx).await?;
    let items = checklist_item::Entity::update_many().col_expr(checklist_item::Column::TicketId, to());
    items.filter(checklist_item::Column::TicketId.eq(old.id)).exec(tx).await?;
    let times = time_entry::Entity::update_many().col_expr(time_entry::Column::TicketId, to());
    times.filter(time_entry::Column::TicketId.eq(old.id)).exec(tx).await?;
    let sessions = session::Entity::update_many().col_expr(session::Column::TicketId, to());
    sessions.filter(session::Column::TicketId.eq(old.id)).exec(tx).await?;
    let reports = report::Entity::update_many().col_expr(report::Column::TicketId, to());
    reports.filter(report::Column::TicketId.eq(old.id)).exec(tx).await?;
    let findings = finding::Entity::update_many().col_expr(finding::Column::TicketId, to());
    findings.filter(finding::Column::TicketId.eq(old.id)).exec(tx).await?;
    let codes = invite::Entity::update_many().col_expr(invite::Column::LiveTicketId, Expr::value(None::<i64>));
    let codes = codes.col_expr(invite::Column::ReplacedAt, Expr::value(write.now.0));
    codes.filter(invite::Column::LiveTicketId.eq(old.id)).exec(tx).await?;
    let tags_of = async |id: i64| -> Result<BTreeSet<String>, DbErr> {
        let rows = ticket_tag::Entity::find().filter(ticket_tag::Column::TicketId.eq(id)).all(tx).await?;
        Ok(rows.into_iter().map(|row| row.tag).collect())
    };
    let (old_tags, tags) = (tags_of(old.id).await?, tags_of(target.id).await?);
    for tag in old_tags.difference(&tags).take(TAGS_MAX.saturating_sub(tags.len())) {
        let row = ticket_tag::ActiveModel { ticket_id: Set(target.id), tag: Set(tag.clone()), ..Default::default() };
        row.insert(tx).await?;
    }
    Ok(())
}

trait WithTicket {
    fn inner_join_ticket(self) -> Self;
}

impl WithTicket for sea_orm::Select<resolution::Entity> {
    fn inner_join_ticket(self) -> Self {
        let relation = resolution::Entity::belongs_to(ticket::Entity);
        let relation = relation.from(resolution::Column::TicketId).to(ticket::Column::Id).into();
        self.join(sea_orm::JoinType::InnerJoin, relation)
    }
}

/// Tickets that are woken or closed at one look; the next look goes on.
const DUE_AT_ONCE: u64 = 256;
