//! Opening, changing and finding tickets.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};
use serde_json::{Map, Value, json};

use super::entity::{organization, ticket, ticket_tag, user};
use super::write::Write;
use super::{
    Actor, ContactId, EventKind, GroupId, Line, NewTicket, Once, OnceError, Store, StoreError, Ticket, TicketChange,
};
use super::{contacts, groups, life, settings};
use crate::life::Refused;
use crate::number::TicketNumber;
use crate::policy::Role;
use crate::ticket::{Priority, TicketState};

mod assemble;

pub(super) use assemble::{assemble, assemble_all};

/// Why a ticket was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// Somebody changed it since it was read.
    #[error("the ticket was changed meanwhile: it is at version {current}")]
    Stale {
        /// The version it has now.
        current: i64,
    },
    /// The ticket's life does not allow the move.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It cannot be resolved without saying how.
    #[error("a resolution says cause, fix and prevention")]
    NeedsResolution,
    /// Nobody who works on tickets has the name given as owner.
    #[error("nobody who works on tickets has the owner's name")]
    NoSuchOwner,
    /// There is no group of this name.
    #[error("there is no group of this name")]
    NoSuchGroup,
    /// A ticket that somebody has is not handed over without a word.
    #[error("say why the ticket is handed over")]
    NeedsReason,
    /// More tags than a ticket has room for, or an empty one.
    #[error("a ticket has at most {TAGS_MAX} tags, and none of them is empty")]
    BadTags,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for ChangeError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// Which tickets to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TicketFilter {
    /// Only these states; all when empty.
    pub states: Vec<TicketState>,
    /// Only this owner.
    pub owner: Option<String>,
    /// Only this customer company.
    pub customer: Option<String>,
    /// Only this person, whose tickets they are whatever the name was then.
    pub contact: Option<ContactId>,
    /// Only this group.
    pub group: Option<String>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// In which order, and behind which ticket of it to begin.
    pub order: TicketOrder,
}

/// The order of a list of tickets, with the last ticket of the page before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TicketOrder {
    /// Newest first.
    Newest(Option<TicketNumber>),
    /// By priority, the most pressing first, and the oldest of each first.
    Pressing(Option<(Priority, TicketNumber)>),
}

impl Default for TicketOrder {
    fn default() -> Self {
        Self::Newest(None)
    }
}

impl Store {
    /// Opens a ticket. With `once`, a repeated request gets the first one's ticket.
    pub async fn open_ticket(
        &self,
        actor: &Actor,
        new: NewTicket,
        once: Option<&Once>,
    ) -> Result<Result<Ticket, OnceError>, StoreError> {
        let mut write = self.write(actor).await?;
        if let Some(once) = once
            && let Some(answered) = self.recall(&write, once).await?
        {
            return Ok(answered);
        }
        let row = self.insert_ticket(&mut write, new).await?;
        Ok(Ok(self.opened(write, row, once).await?))
    }

    /// Ends a change that has opened a ticket, and remembers its answer.
    pub(super) async fn opened(
        &self,
        write: Write,
        row: ticket::Model,
        once: Option<&Once>,
    ) -> Result<Ticket, StoreError> {
        let opened = assemble(&write.tx, row).await?;
        if let Some(once) = once {
            self.remember(&write, once, &opened).await?;
        }
        write.commit().await?;
        Ok(opened)
    }

    pub(super) async fn insert_ticket(&self, write: &mut Write, new: NewTicket) -> Result<ticket::Model, StoreError> {
        let organization = find_or_create_organization(write, &new.customer).await?;
        let contact = match &new.contact {
            Some(name) => Some(contacts::find_or_create(write, organization, name).await?),
            None => None,
        };
        let group = groups::for_new(write, &new).await?;
        let owner = groups::next_owner(write, group).await?;
        let newest = ticket::Entity::find().order_by_desc(ticket::Column::Serial).one(&write.tx).await?;
        let serial = newest.map_or(TicketNumber::FIRST.serial(), |newest| newest.serial + 1);
        let row = ticket::ActiveModel {
            serial: Set(serial),
            title: Set(new.title.into_string()),
            description: Set(new.description.into_string()),
            organization_id: Set(organization),
            contact_id: Set(contact),
            state: Set(TicketState::New),
            impact: Set(new.impact),
            urgency: Set(new.urgency),
            priority: Set(settings::matrix(&write.tx).await?.of(new.impact, new.urgency)),
            channel: Set(new.channel),
            version: Set(1),
            created_at: Set(write.now.0),
            updated_at: Set(write.now.0),
            group_id: Set(Some(group.0)),
            owner_id: Set(owner.map(|owner| owner.0)),
            scope: Set(new.about.scope.map(Line::into_string)),
            first_seen_at: Set(new.about.first_seen_at.map(|at| at.0)),
            product: Set(new.about.product.map(Line::into_string)),
            product_version: Set(new.about.product_version.map(Line::into_string)),
            reach: Set(new.about.reach.map(Line::into_string)),
            language: Set(new.about.language),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        let details = json!({ "channel": row.channel, "group": row.group_id, "owner": row.owner_id });
        write.event(&row, EventKind::TicketOpened, details.clone()).await?;
        write.audit("ticket.open", subject(&row), details).await?;
        Ok(row)
    }

    /// Changes a ticket that is still at `version`.
    pub async fn change_ticket(
        &self,
        actor: &Actor,
        number: TicketNumber,
        version: i64,
        change: TicketChange,
    ) -> Result<Ticket, ChangeError> {
        let mut write = self.write(actor).await?;
        let row = find(&write.tx, number).await?.ok_or(ChangeError::NoTicket)?;
        if row.version != version {
            return Err(ChangeError::Stale { current: row.version });
        }
        let Some(changed) = self.take_change(&mut write, &row, change).await? else {
            return Ok(assemble(&write.tx, row).await?);
        };
        let ticket = assemble(&write.tx, changed).await?;
        write.commit().await?;
        Ok(ticket)
    }

    /// Makes a change within one that does more; nothing where it changes nothing.
    pub(super) async fn take_change(
        &self,
        write: &mut Write,
        row: &ticket::Model,
        change: TicketChange,
    ) -> Result<Option<ticket::Model>, ChangeError> {
        let changed = self.changed(write, row, &change).await?;
        let tags = match &change.tags {
            Some(tags) => replace_tags(write, row, tags).await?,
            None => None,
        };
        if changed == *row && tags.is_none() {
            return Ok(None);
        }
        let mut differences = differences(row, &changed);
        differences.extend(tags.map(|tags| ("tags".to_owned(), tags)));
        differences.extend(change.reason.map(|reason| ("reason".to_owned(), json!(reason.as_str()))));
        Ok(Some(save(write, changed, differences).await?))
    }

    /// The row as it will be. What belongs to other tables, as a resolution, is written on the way.
    async fn changed(
        &self,
        write: &mut Write,
        old: &ticket::Model,
        change: &TicketChange,
    ) -> Result<ticket::Model, ChangeError> {
        let mut row = old.clone();
        if let Some(step) = life::step(old, change)? {
            life::take(write, &mut row, step, change).await?;
        }
        row.title = change.title.as_deref().unwrap_or(&row.title).to_owned();
        row.description = change.description.as_deref().unwrap_or(&row.description).to_owned();
        row.scope = said(change.about.scope.as_ref(), row.scope);
        row.product = said(change.about.product.as_ref(), row.product);
        row.product_version = said(change.about.product_version.as_ref(), row.product_version);
        row.reach = said(change.about.reach.as_ref(), row.reach);
        row.language = change.about.language.or(row.language);
        row.first_seen_at = change.about.first_seen_at.map_or(row.first_seen_at, |at| Some(at.0));
        row.promised_at = change.promised_at.map_or(row.promised_at, |promised| promised.map(|at| at.0));
        if let Some(customer) = &change.customer {
            row.organization_id = find_or_create_organization(write, customer).await?;
            if row.organization_id != old.organization_id {
                row.contact_id = None;
            }
        }
        if let Some(contact) = &change.contact {
            row.contact_id = match contact {
                Some(name) => Some(contacts::find_or_create(write, row.organization_id, name).await?),
                None => None,
            };
        }
        row.impact = change.impact.unwrap_or(row.impact);
        row.urgency = change.urgency.unwrap_or(row.urgency);
        match &change.priority {
            Some(Some((priority, reason))) => {
                (row.priority, row.priority_reason) = (*priority, Some(reason.as_str().to_owned()));
            }
            None if row.priority_reason.is_some() => {}
            // A matrix that was edited meanwhile reaches a ticket when it is judged again.
            None if (row.impact, row.urgency) == (old.impact, old.urgency) => {}
            _ => {
                row.priority = settings::matrix(&write.tx).await?.of(row.impact, row.urgency);
                row.priority_reason = None;
            }
        }
        hand_over(write, &mut row, change).await?;
        Ok(row)
    }

    /// The ticket with this number.
    pub async fn ticket(&self, number: TicketNumber) -> Result<Option<Ticket>, StoreError> {
        match find(self.reader(), number).await? {
            Some(row) => Ok(Some(assemble(self.reader(), row).await?)),
            None => Ok(None),
        }
    }

    /// At most `limit` tickets in the filter's order.
    pub async fn list_tickets(&self, filter: &TicketFilter, limit: u64) -> Result<Vec<Ticket>, StoreError> {
        let mut query = ticket::Entity::find();
        if !filter.states.is_empty() {
            query = query.filter(ticket::Column::State.is_in(filter.states.iter().copied()));
        }
        if let Some(name) = &filter.owner {
            let owner = user::Entity::find().filter(user::Column::Name.eq(name)).one(self.reader()).await?;
            query = query.filter(ticket::Column::OwnerId.eq(owner.map_or(NOBODY, |user| user.id)));
        }
        if let Some(name) = &filter.customer {
            let named = organization::Entity::find().filter(organization::Column::Name.eq(name));
            let organization = named.one(self.reader()).await?;
            query = query.filter(ticket::Column::OrganizationId.eq(organization.map_or(NOBODY, |found| found.id)));
        }
        if let Some(contact) = filter.contact {
            query = query.filter(ticket::Column::ContactId.eq(contact.0));
        }
        if let Some(name) = &filter.group {
            let group = groups::named(self.reader(), name).await?;
            query = query.filter(ticket::Column::GroupId.eq(group.map_or(NOBODY, |group| group.id)));
        }
        if let Some(tag) = &filter.tag {
            let tagged = ticket_tag::Entity::find().filter(ticket_tag::Column::Tag.eq(tag.to_lowercase()));
            let tagged = tagged.select_only().column(ticket_tag::Column::TicketId).into_query();
            query = query.filter(ticket::Column::Id.in_subquery(tagged));
        }
        let query = match filter.order {
            TicketOrder::Newest(after) => {
                let older = after.map(|after| ticket::Column::Serial.lt(after.serial()));
                query.filter(Condition::all().add_option(older)).order_by_desc(ticket::Column::Serial)
            }
            TicketOrder::Pressing(after) => {
                let behind = after.map(|(priority, after)| {
                    let same = Condition::all()
                        .add(ticket::Column::Priority.eq(priority))
                        .add(ticket::Column::Serial.gt(after.serial()));
                    Condition::any().add(ticket::Column::Priority.gt(priority)).add(same)
                });
                let query = query.filter(Condition::all().add_option(behind));
                query.order_by_asc(ticket::Column::Priority).order_by_asc(ticket::Column::Serial)
            }
        };
        let rows = query.limit(limit).all(self.reader()).await?;
        assemble_all(self.reader(), rows).await
    }
}

/// The row of a ticket by its number.
pub(super) async fn find(db: &impl ConnectionTrait, number: TicketNumber) -> Result<Option<ticket::Model>, DbErr> {
    ticket::Entity::find().filter(ticket::Column::Serial.eq(number.serial())).one(db).await
}

/// How the audit names a ticket.
pub(super) fn subject(row: &ticket::Model) -> String {
    subject_of(TicketNumber::from_serial(row.serial))
}

/// The same by its number.
pub(super) fn subject_of(number: TicketNumber) -> String {
    format!("ticket:{number}")
}

/// Gives the ticket to the group and the owner that the change names. Who has it does not lose it without a reason.
async fn hand_over(write: &Write, row: &mut ticket::Model, change: &TicketChange) -> Result<(), ChangeError> {
    let before = (row.group_id, row.owner_id);
    if let Some(name) = &change.group {
        let group = groups::named(&write.tx, name).await?;
        let group = group.ok_or(ChangeError::NoSuchGroup)?;
        row.group_id = Some(group.id);
        // Whoever had it in the other group has it no more, unless the change says who does.
        if before.0 != row.group_id {
            row.owner_id = groups::next_owner(write, GroupId(group.id)).await?.map(|owner| owner.0);
        }
    }
    match &change.owner {
        None => {}
        Some(None) => row.owner_id = None,
        Some(Some(name)) => {
            let named = user::Entity::find().filter(user::Column::Name.eq(name.as_str()));
            let user = named.one(&write.tx).await?;
            let user = user.filter(|user| user.role != Role::Auditor).ok_or(ChangeError::NoSuchOwner)?;
            row.owner_id = Some(user.id);
        }
    }
    let is_taken_away = before.1.is_some() && before.1 != row.owner_id;
    let goes_elsewhere = before.0.is_some() && before.0 != row.group_id;
    if (is_taken_away || goes_elsewhere) && change.reason.is_none() {
        return Err(ChangeError::NeedsReason);
    }
    Ok(())
}

/// Replaces the tags, and says which there were and are when they differ.
async fn replace_tags(write: &Write, row: &ticket::Model, tags: &[Line]) -> Result<Option<Value>, ChangeError> {
    let new: BTreeSet<String> = tags.iter().map(|tag| tag.trim().to_lowercase()).collect();
    if new.len() > TAGS_MAX || new.iter().any(String::is_empty) {
        return Err(ChangeError::BadTags);
    }
    let of_ticket = || ticket_tag::Column::TicketId.eq(row.id);
    let old = ticket_tag::Entity::find().filter(of_ticket()).all(&write.tx).await?;
    let old: BTreeSet<String> = old.into_iter().map(|row| row.tag).collect();
    if old == new {
        return Ok(None);
    }
    ticket_tag::Entity::delete_many().filter(of_ticket()).exec(&write.tx).await?;
    let rows = new.iter().map(|tag| ticket_tag::ActiveModel {
        ticket_id: Set(row.id),
        tag: Set(tag.clone()),
        ..Default::default()
    });
    ticket_tag::Entity::insert_many(rows).exec(&write.tx).await?;
    Ok(Some(json!([old, new])))
}

/// Stores a changed row as the next version, and tells the ticket's log and the audit.
pub(super) async fn save(
    write: &mut Write,
    new: ticket::Model,
    differences: Map<String, Value>,
) -> Result<ticket::Model, StoreError> {
    let mut row = new.into_active_model().reset_all();
    row.version = Set(*row.version.as_ref() + 1);
    row.updated_at = Set(write.now.0);
    let row = row.update(&write.tx).await?;
    // The audit says what was touched; the texts themselves are in the event log, which can be redacted by law.
    let touched: Vec<String> = differences.keys().cloned().collect();
    write.event(&row, EventKind::TicketChanged, Value::Object(differences)).await?;
    write.audit("ticket.change", subject(&row), json!({ "fields": touched, "state": row.state })).await?;
    Ok(row)
}

/// What is said now, or what was said before; an empty text takes it back.
fn said(now: Option<&Line>, before: Option<String>) -> Option<String> {
    now.map_or(before, |text| Some(text.as_str().to_owned()).filter(|text| !text.is_empty()))
}

async fn find_or_create_organization(write: &Write, name: &str) -> Result<i64, DbErr> {
    let found = organization::Entity::find().filter(organization::Column::Name.eq(name)).one(&write.tx).await?;
    if let Some(found) = found {
        return Ok(found.id);
    }
    let row =
        organization::ActiveModel { name: Set(name.to_owned()), created_at: Set(write.now.0), ..Default::default() };
    Ok(row.insert(&write.tx).await?.id)
}

/// What changed, as `{field: [old, new]}`.
pub(super) fn differences(old: &ticket::Model, new: &ticket::Model) -> Map<String, Value> {
    let pairs = [
        ("title", json!(old.title), json!(new.title)),
        ("description", json!(old.description), json!(new.description)),
        ("state", json!(old.state), json!(new.state)),
        ("impact", json!(old.impact), json!(new.impact)),
        ("urgency", json!(old.urgency), json!(new.urgency)),
        ("priority", json!(old.priority), json!(new.priority)),
        ("priority_reason", json!(old.priority_reason), json!(new.priority_reason)),
        ("customer", json!(old.organization_id), json!(new.organization_id)),
        ("contact", json!(old.contact_id), json!(new.contact_id)),
        ("group", json!(old.group_id), json!(new.group_id)),
        ("owner", json!(old.owner_id), json!(new.owner_id)),
        ("scope", json!(old.scope), json!(new.scope)),
        ("first_seen_at_ms", json!(old.first_seen_at), json!(new.first_seen_at)),
        ("product", json!(old.product), json!(new.product)),
        ("product_version", json!(old.product_version), json!(new.product_version)),
        ("reach", json!(old.reach), json!(new.reach)),
        ("language", json!(old.language), json!(new.language)),
        ("pending_until_ms", json!(old.pending_until), json!(new.pending_until)),
        ("promised_at_ms", json!(old.promised_at), json!(new.promised_at)),
        ("closed_as", json!(old.closed_as), json!(new.closed_as)),
    ];
    let changed = pairs.into_iter().filter(|(_, old, new)| old != new);
    changed.map(|(field, old, new)| (field.to_owned(), json!([old, new]))).collect()
}

/// No row has this id.
const NOBODY: i64 = 0;

/// Tags of one ticket: more would be a description.
pub(super) const TAGS_MAX: usize = 32;
