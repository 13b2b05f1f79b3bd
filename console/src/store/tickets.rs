//! Opening, changing and finding tickets.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::{Map, Value, json};

use super::entity::{contact, organization, ticket, user};
use super::write::Write;
use super::{Actor, EventKind, NewTicket, Once, OnceError, Store, StoreError, Ticket, TicketChange};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::ticket::{Priority, TicketState};

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
    /// The state machine does not allow the move.
    #[error("a ticket that is {from} cannot become {to}")]
    IllegalMove {
        /// Where it is.
        from: TicketState,
        /// Where it should have gone.
        to: TicketState,
        /// Where it may go.
        allowed: &'static [TicketState],
    },
    /// Nobody has the name given as owner.
    #[error("there is no user with the owner's name")]
    NoSuchOwner,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    /// Only tickets older than this one: the cursor.
    pub before: Option<TicketNumber>,
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
        let organization = find_or_create_organization(&write, &new.customer).await?;
        let contact = match &new.contact {
            Some(name) => Some(find_or_create_contact(&write, organization, name).await?),
            None => None,
        };
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
            priority: Set(Priority::of(new.impact, new.urgency)),
            channel: Set(new.channel),
            version: Set(1),
            created_at: Set(write.now.0),
            updated_at: Set(write.now.0),
            ..Default::default()
        };
        let row = row.insert(&write.tx).await?;
        write.event(&row, EventKind::TicketOpened, json!({ "channel": row.channel })).await?;
        write.audit("ticket.open", subject(&row), json!({ "channel": row.channel })).await?;
        let opened = assemble(&write.tx, row).await?;
        if let Some(once) = once {
            self.remember(&write, once, &opened).await?;
        }
        write.commit().await?;
        Ok(Ok(opened))
    }

    /// Changes a ticket that is still at `version`.
    pub async fn change_ticket(
        &self,
        actor: &Actor,
        number: TicketNumber,
        version: i64,
        change: TicketChange,
    ) -> Result<Ticket, ChangeError> {
        let mut write = self.write(actor).await.map_err(StoreError::from)?;
        let row = find(&write.tx, number).await.map_err(StoreError::from)?.ok_or(ChangeError::NoTicket)?;
        if row.version != version {
            return Err(ChangeError::Stale { current: row.version });
        }
        if let Some(to) = change.state
            && !row.state.may_become(to)
        {
            return Err(ChangeError::IllegalMove { from: row.state, to, allowed: row.state.next() });
        }
        let owner_id = match &change.owner {
            None => row.owner_id,
            Some(None) => None,
            Some(Some(name)) => {
                let named = user::Entity::find().filter(user::Column::Name.eq(name.as_str()));
                let user = named.one(&write.tx).await.map_err(StoreError::from)?;
                Some(user.ok_or(ChangeError::NoSuchOwner)?.id)
            }
        };
        let changed = changed_row(row.clone(), change, owner_id);
        if changed == row {
            return Ok(assemble(&write.tx, row).await?);
        }
        let changed = self.save_change(&mut write, &row, changed).await?;
        let ticket = assemble(&write.tx, changed).await?;
        write.commit().await?;
        Ok(ticket)
    }

    async fn save_change(
        &self,
        write: &mut Write,
        old: &ticket::Model,
        new: ticket::Model,
    ) -> Result<ticket::Model, StoreError> {
        let differences = differences(old, &new);
        let mut row = new.into_active_model().reset_all();
        row.version = Set(old.version + 1);
        row.updated_at = Set(write.now.0);
        let row = row.update(&write.tx).await?;
        write.event(&row, EventKind::TicketChanged, differences.clone()).await?;
        // The audit says what was touched; the texts themselves are in the event log, which can be redacted by law.
        let touched: Vec<&String> = differences.as_object().map(|fields| fields.keys().collect()).unwrap_or_default();
        write.audit("ticket.change", subject(&row), json!({ "fields": touched, "state": row.state })).await?;
        Ok(row)
    }

    /// The ticket with this number.
    pub async fn ticket(&self, number: TicketNumber) -> Result<Option<Ticket>, StoreError> {
        match find(self.reader(), number).await? {
            Some(row) => Ok(Some(assemble(self.reader(), row).await?)),
            None => Ok(None),
        }
    }

    /// At most `limit` tickets, newest first.
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
        if let Some(before) = filter.before {
            query = query.filter(ticket::Column::Serial.lt(before.serial()));
        }
        let rows = query.order_by_desc(ticket::Column::Serial).limit(limit).all(self.reader()).await?;
        assemble_all(self.reader(), rows).await
    }
}

/// The row of a ticket by its number.
pub(super) async fn find(db: &impl ConnectionTrait, number: TicketNumber) -> Result<Option<ticket::Model>, DbErr> {
    ticket::Entity::find().filter(ticket::Column::Serial.eq(number.serial())).one(db).await
}

/// How the audit names a ticket.
pub(super) fn subject(row: &ticket::Model) -> String {
    format!("ticket:{}", TicketNumber::from_serial(row.serial))
}

/// A ticket with the names its row refers to.
pub(super) async fn assemble(db: &impl ConnectionTrait, row: ticket::Model) -> Result<Ticket, StoreError> {
    let id = row.id;
    let ticket = assemble_all(db, vec![row]).await?.pop();
    ticket.ok_or_else(|| StoreError::Unreadable(format!("ticket {id}")))
}

/// Tickets with the names their rows refer to, in three queries however many they are.
async fn assemble_all(db: &impl ConnectionTrait, rows: Vec<ticket::Model>) -> Result<Vec<Ticket>, StoreError> {
    let organizations: BTreeSet<i64> = rows.iter().map(|row| row.organization_id).collect();
    let organizations = organization::Entity::find().filter(organization::Column::Id.is_in(organizations));
    let organizations: BTreeMap<i64, String> =
        organizations.all(db).await?.into_iter().map(|found| (found.id, found.name)).collect();
    let contacts: BTreeSet<i64> = rows.iter().filter_map(|row| row.contact_id).collect();
    let contacts = contact::Entity::find().filter(contact::Column::Id.is_in(contacts)).all(db).await?;
    let contacts: BTreeMap<i64, String> = contacts.into_iter().map(|found| (found.id, found.name)).collect();
    let owners: BTreeSet<i64> = rows.iter().filter_map(|row| row.owner_id).collect();
    let owners = user::Entity::find().filter(user::Column::Id.is_in(owners)).all(db).await?;
    let owners: BTreeMap<i64, String> = owners.into_iter().map(|found| (found.id, found.name)).collect();
    let with_names = rows.into_iter().map(|row| {
        let customer = organizations.get(&row.organization_id).cloned();
        let contact = row.contact_id.and_then(|id| contacts.get(&id).cloned());
        let owner = row.owner_id.and_then(|id| owners.get(&id).cloned());
        with_names(row, customer, contact, owner)
    });
    with_names.collect()
}

fn with_names(
    row: ticket::Model,
    customer: Option<String>,
    contact: Option<String>,
    owner: Option<String>,
) -> Result<Ticket, StoreError> {
    let number = TicketNumber::from_serial(row.serial);
    Ok(Ticket {
        number,
        title: row.title,
        description: row.description,
        customer: customer.ok_or_else(|| StoreError::Unreadable(format!("ticket {number}")))?,
        contact,
        state: row.state,
        next_states: row.state.next().to_vec(),
        impact: row.impact,
        urgency: row.urgency,
        priority: row.priority,
        owner,
        channel: row.channel,
        version: row.version,
        created_at_ms: UnixMillis(row.created_at),
        updated_at_ms: UnixMillis(row.updated_at),
    })
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

async fn find_or_create_contact(write: &Write, organization_id: i64, name: &str) -> Result<i64, DbErr> {
    let of_organization = contact::Entity::find().filter(contact::Column::OrganizationId.eq(organization_id));
    if let Some(found) = of_organization.filter(contact::Column::Name.eq(name)).one(&write.tx).await? {
        return Ok(found.id);
    }
    let row = contact::ActiveModel {
        organization_id: Set(organization_id),
        name: Set(name.to_owned()),
        created_at: Set(write.now.0),
        ..Default::default()
    };
    Ok(row.insert(&write.tx).await?.id)
}

fn changed_row(mut row: ticket::Model, change: TicketChange, owner_id: Option<i64>) -> ticket::Model {
    if let Some(title) = change.title {
        row.title = title.into_string();
    }
    if let Some(description) = change.description {
        row.description = description.into_string();
    }
    row.state = change.state.unwrap_or(row.state);
    row.impact = change.impact.unwrap_or(row.impact);
    row.urgency = change.urgency.unwrap_or(row.urgency);
    row.priority = Priority::of(row.impact, row.urgency);
    row.owner_id = owner_id;
    row
}

/// What changed, as `{field: [old, new]}`.
fn differences(old: &ticket::Model, new: &ticket::Model) -> Value {
    let pairs = [
        ("title", json!(old.title), json!(new.title)),
        ("description", json!(old.description), json!(new.description)),
        ("state", json!(old.state), json!(new.state)),
        ("impact", json!(old.impact), json!(new.impact)),
        ("urgency", json!(old.urgency), json!(new.urgency)),
        ("priority", json!(old.priority), json!(new.priority)),
        ("owner", json!(old.owner_id), json!(new.owner_id)),
    ];
    let changed = pairs.into_iter().filter(|(_, old, new)| old != new);
    Value::Object(changed.map(|(field, old, new)| (field.to_owned(), json!([old, new]))).collect::<Map<_, _>>())
}

/// No row has this id.
const NOBODY: i64 = 0;
