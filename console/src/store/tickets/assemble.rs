//! Tickets with the names and lists that their rows refer to, in as many queries for a page as for one.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _};

use super::super::entity::{contact, group, organization, resolution, ticket, ticket_tag, user};
use super::super::{ContactId, OrganizationId, Resolution, StoreError, StoredReportId, Ticket, Verified};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;

/// One ticket.
pub(in crate::store) async fn assemble(db: &impl ConnectionTrait, row: ticket::Model) -> Result<Ticket, StoreError> {
    let id = row.id;
    let ticket = assemble_all(db, vec![row]).await?.pop();
    ticket.ok_or_else(|| StoreError::Unreadable(format!("ticket {id}")))
}

/// Any number of tickets.
pub(in crate::store) async fn assemble_all(
    db: &impl ConnectionTrait,
    rows: Vec<ticket::Model>,
) -> Result<Vec<Ticket>, StoreError> {
    let named = Named::of(db, &rows).await?;
    rows.into_iter().map(|row| named.assemble(row)).collect()
}

/// What the rows refer to, by id.
struct Named {
    organizations: BTreeMap<i64, String>,
    contacts: BTreeMap<i64, String>,
    owners: BTreeMap<i64, String>,
    groups: BTreeMap<i64, String>,
    merged_into: BTreeMap<i64, i64>,
    resolutions: BTreeMap<i64, Resolution>,
    tags: BTreeMap<i64, Vec<String>>,
}

impl Named {
    async fn of(db: &impl ConnectionTrait, rows: &[ticket::Model]) -> Result<Self, StoreError> {
        let ids = |id: fn(&ticket::Model) -> Option<i64>| rows.iter().filter_map(id).collect::<BTreeSet<i64>>();
        let tickets = ids(|row| Some(row.id));
        let organizations = organization::Column::Id.is_in(ids(|row| Some(row.organization_id)));
        let organizations = organization::Entity::find().filter(organizations).all(db).await?;
        let contacts = contact::Column::Id.is_in(ids(|row| row.contact_id));
        let contacts = contact::Entity::find().filter(contacts).all(db).await?;
        let owners = user::Entity::find().filter(user::Column::Id.is_in(ids(|row| row.owner_id))).all(db).await?;
        let groups = group::Entity::find().order_by_asc(group::Column::Id).all(db).await?;
        let merged_into = ticket::Column::Id.is_in(ids(|row| row.merged_into_id));
        let merged_into = ticket::Entity::find().filter(merged_into).all(db).await?;
        let resolutions = resolution::Column::LiveTicketId.is_in(tickets.iter().copied());
        let resolutions = resolution::Entity::find().filter(resolutions).all(db).await?;
        let rows = ticket_tag::Entity::find().filter(ticket_tag::Column::TicketId.is_in(tickets));
        let mut tags: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for row in rows.order_by_asc(ticket_tag::Column::Tag).all(db).await? {
            tags.entry(row.ticket_id).or_default().push(row.tag);
        }
        Ok(Self {
            organizations: organizations.into_iter().map(|row| (row.id, row.name)).collect(),
            contacts: contacts.into_iter().map(|row| (row.id, row.name)).collect(),
            owners: owners.into_iter().map(|row| (row.id, row.name)).collect(),
            groups: groups.into_iter().map(|row| (row.id, row.name)).collect(),
            merged_into: merged_into.into_iter().map(|row| (row.id, row.serial)).collect(),
            resolutions: resolutions.into_iter().map(|row| (row.ticket_id, row.into())).collect(),
            tags,
        })
    }

    fn assemble(&self, row: ticket::Model) -> Result<Ticket, StoreError> {
        let number = TicketNumber::from_serial(row.serial);
        let unreadable = || StoreError::Unreadable(format!("ticket {number}"));
        // A row of an older console names no group: then it is the first.
        let group = match row.group_id {
            Some(id) => self.groups.get(&id),
            None => self.groups.values().next(),
        };
        Ok(Ticket {
            number,
            title: row.title,
            description: row.description,
            customer: self.organizations.get(&row.organization_id).cloned().ok_or_else(unreadable)?,
            customer_id: OrganizationId(row.organization_id),
            contact_id: row.contact_id.map(ContactId),
            contact: row.contact_id.and_then(|id| self.contacts.get(&id).cloned()),
            state: row.state,
            next_states: row.state.next().to_vec(),
            impact: row.impact,
            urgency: row.urgency,
            priority: row.priority,
            priority_reason: row.priority_reason,
            group: group.cloned().ok_or_else(unreadable)?,
            owner: row.owner_id.and_then(|id| self.owners.get(&id).cloned()),
            channel: row.channel,
            scope: row.scope,
            first_seen_at_ms: row.first_seen_at.map(UnixMillis),
            product: row.product,
            product_version: row.product_version,
            reach: row.reach,
            language: row.language,
            pending_until_ms: row.pending_until.map(UnixMillis),
            promised_at_ms: row.promised_at.map(UnixMillis),
            resolution: self.resolutions.get(&row.id).cloned(),
            closed_at_ms: row.closed_at.map(UnixMillis),
            closed_as: row.closed_as,
            merged_into: row
                .merged_into_id
                .and_then(|id| self.merged_into.get(&id).copied())
                .map(TicketNumber::from_serial),
            tags: self.tags.get(&row.id).cloned().unwrap_or_default(),
            version: row.version,
            created_at_ms: UnixMillis(row.created_at),
            updated_at_ms: UnixMillis(row.updated_at),
        })
    }
}

impl From<resolution::Model> for Resolution {
    fn from(row: resolution::Model) -> Self {
        let verified = row.verified_as.zip(row.verified_by).zip(row.verified_at);
        Self {
            cause: row.cause,
            fix: row.fix,
            prevention: row.prevention,
            resolved_by: row.resolved_by,
            resolved_at_ms: UnixMillis(row.resolved_at),
            verified: verified.map(|((by, recorded_by), at)| Verified {
                by,
                recorded_by,
                at_ms: UnixMillis(at),
                report: row.report_id.map(StoredReportId),
                words: row.words,
            }),
            score: row.score,
            comment: row.comment,
        }
    }
}
