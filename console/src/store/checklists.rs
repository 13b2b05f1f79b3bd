//! Checklists: those that a desk keeps, and what is still to be done on a ticket.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::entity::{checklist, checklist_item, ticket};
use super::tickets::{find, subject};
use super::write::Write;
use super::{Actor, ChecklistId, ChecklistItemId, EventKind, Line, Store, StoreError, life};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::ticket::TicketState;

/// A checklist that the desk keeps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Checklist {
    /// Its id.
    pub id: ChecklistId,
    /// Its name.
    pub name: String,
    /// What is to be done, in order.
    pub items: Vec<String>,
}

/// Something to be done on a ticket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChecklistItem {
    /// Its id.
    pub id: ChecklistItemId,
    /// What is to be done.
    pub text: String,
    /// When it was done; missing while it is not.
    pub done_at_ms: Option<UnixMillis>,
    /// Who has done it.
    pub done_by: Option<String>,
}

/// Why a checklist was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChecklistError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// The ticket goes on in another one.
    #[error("the ticket goes on in another one")]
    Merged,
    /// There is no such checklist or item.
    #[error("there is no such checklist or item")]
    NotThere,
    /// Another checklist has this name.
    #[error("another checklist has this name")]
    NameTaken,
    /// More than anybody works through.
    #[error("a desk has at most {CHECKLISTS_MAX} checklists, and each of them and each ticket {ITEMS_MAX} items")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for ChecklistError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// The desk's checklists by name.
    pub async fn list_checklists(&self) -> Result<Vec<Checklist>, StoreError> {
        let rows = checklist::Entity::find().order_by_asc(checklist::Column::Name).all(self.reader()).await?;
        rows.into_iter().map(Checklist::try_from).collect()
    }

    /// Keeps a checklist, in place of the one with this id if there is to be one.
    pub async fn keep_checklist(
        &self,
        actor: &Actor,
        id: Option<ChecklistId>,
        name: &Line,
        items: &[Line],
    ) -> Result<Checklist, ChecklistError> {
        if items.len() > ITEMS_MAX {
            return Err(ChecklistError::TooMany);
        }
        let mut write = self.write(actor).await?;
        let named = checklist::Entity::find().filter(checklist::Column::Name.eq(name.as_str()));
        if named.one(&write.tx).await?.is_some_and(|other| Some(other.id) != id.map(|id| id.0)) {
            return Err(ChecklistError::NameTaken);
        }
        let items: Vec<&str> = items.iter().map(Line::as_str).collect();
        let row = match id {
            Some(id) => {
                let row = checklist::Entity::find_by_id(id.0).one(&write.tx).await?;
                let mut row = row.ok_or(ChecklistError::NotThere)?.into_active_model();
                (row.name, row.items) = (Set(name.as_str().to_owned()), Set(json!(items).to_string()));
                row.update(&write.tx).await?
            }
            None => {
                if checklist::Entity::find().count(&write.tx).await? >= CHECKLISTS_MAX {
                    return Err(ChecklistError::TooMany);
                }
                let row = checklist::ActiveModel {
                    name: Set(name.as_str().to_owned()),
                    items: Set(json!(items).to_string()),
                    created_at: Set(write.now.0),
                    ..Default::default()
                };
                row.insert(&write.tx).await?
            }
        };
        write.audit("checklist.keep", format!("checklist:{}", row.id), json!({ "items": items.len() })).await?;
        let kept = Checklist::try_from(row)?;
        write.commit().await?;
        Ok(kept)
    }

    /// Forgets a checklist; what stands on tickets stays there.
    pub async fn forget_checklist(&self, actor: &Actor, id: ChecklistId) -> Result<(), ChecklistError> {
        let mut write = self.write(actor).await?;
        let gone = checklist::Entity::delete_by_id(id.0).exec(&write.tx).await?;
        if gone.rows_affected == 0 {
            return Err(ChecklistError::NotThere);
        }
        write.audit("checklist.forget", format!("checklist:{id}"), json!({})).await?;
        write.commit().await?;
        Ok(())
    }

    /// What is to be done on a ticket, in order.
    pub async fn list_checklist_items(&self, number: TicketNumber) -> Result<Vec<ChecklistItem>, StoreError> {
        let Some(ticket) = find(self.reader(), number).await? else { return Ok(Vec::new()) };
        Ok(items_of(self.reader(), ticket.id).await?.into_iter().map(ChecklistItem::from).collect())
    }

    /// Puts items on a ticket, behind those that are there.
    pub async fn add_checklist_items(
        &self,
        actor: &Actor,
        number: TicketNumber,
        items: &[Line],
    ) -> Result<Vec<ChecklistItem>, ChecklistError> {
        let mut write = self.write(actor).await?;
        let row = open_row(&write, number).await?;
        add_items(&mut write, &row, items.iter().map(Line::as_str)).await?;
        let items = items_of(&write.tx, row.id).await?;
        life::touch(&mut write, row).await?;
        write.commit().await?;
        Ok(items.into_iter().map(ChecklistItem::from).collect())
    }

    /// Puts the items of one of the desk's checklists on a ticket.
    pub async fn use_checklist(
        &self,
        actor: &Actor,
        number: TicketNumber,
        id: ChecklistId,
    ) -> Result<Vec<ChecklistItem>, ChecklistError> {
        let kept = checklist::Entity::find_by_id(id.0).one(self.reader()).await?;
        let kept = Checklist::try_from(kept.ok_or(ChecklistError::NotThere)?)?;
        let items: Vec<Line> = kept.items.iter().map(|item| Line::truncating(item.as_str())).collect();
        self.add_checklist_items(actor, number, &items).await
    }

    /// Marks an item as done, or as not done after all.
    pub async fn tick_checklist_item(
        &self,
        actor: &Actor,
        number: TicketNumber,
        id: ChecklistItemId,
        is_done: bool,
    ) -> Result<ChecklistItem, ChecklistError> {
        let mut write = self.write(actor).await?;
        let ticket = open_row(&write, number).await?;
        let item = item_of(&write, &ticket, id).await?;
        if item.done_at.is_some() == is_done {
            return Ok(item.into());
        }
        let mut item = item.into_active_model();
        item.done_at = Set(is_done.then_some(write.now.0));
        item.done_by = Set(is_done.then(|| write.actor().to_string()));
        let item = item.update(&write.tx).await?;
        note(&mut write, &ticket, json!({ "item": item.id, "text": item.text, "done": is_done })).await?;
        life::touch(&mut write, ticket).await?;
        write.commit().await?;
        Ok(item.into())
    }

    /// Takes an item off a ticket.
    pub async fn remove_checklist_item(
        &self,
        actor: &Actor,
        number: TicketNumber,
        id: ChecklistItemId,
    ) -> Result<(), ChecklistError> {
        let mut write = self.write(actor).await?;
        let ticket = open_row(&write, number).await?;
        let item = item_of(&write, &ticket, id).await?;
        checklist_item::Entity::delete_by_id(item.id).exec(&write.tx).await?;
        note(&mut write, &ticket, json!({ "item": item.id, "text": item.text, "removed": true })).await?;
        life::touch(&mut write, ticket).await?;
        write.commit().await?;
        Ok(())
    }
}

impl TryFrom<checklist::Model> for Checklist {
    type Error = StoreError;

    fn try_from(row: checklist::Model) -> Result<Self, StoreError> {
        let items = serde_json::from_str(&row.items);
        let items = items.map_err(|_| StoreError::Unreadable(format!("checklist {}", row.id)))?;
        Ok(Self { id: ChecklistId(row.id), name: row.name, items })
    }
}

impl From<checklist_item::Model> for ChecklistItem {
    fn from(row: checklist_item::Model) -> Self {
        Self {
            id: ChecklistItemId(row.id),
            text: row.text,
            done_at_ms: row.done_at.map(UnixMillis),
            done_by: row.done_by,
        }
    }
}

/// Puts items on a ticket within a change that does more.
pub(super) async fn add_items(
    write: &mut Write,
    ticket: &ticket::Model,
    items: impl Iterator<Item = &str>,
) -> Result<(), ChecklistError> {
    let there = items_of(&write.tx, ticket.id).await?.len();
    let mut added = Vec::new();
    for text in items {
        if there + added.len() >= ITEMS_MAX {
            return Err(ChecklistError::TooMany);
        }
        let row = checklist_item::ActiveModel {
            ticket_id: Set(ticket.id),
            text: Set(text.to_owned()),
            created_at: Set(write.now.0),
            ..Default::default()
        };
        added.push(row.insert(&write.tx).await?.id);
    }
    note(write, ticket, json!({ "added": added.len() })).await?;
    Ok(())
}

async fn note(write: &mut Write, ticket: &ticket::Model, payload: serde_json::Value) -> Result<(), DbErr> {
    write.event(ticket, EventKind::ChecklistChanged, payload.clone()).await?;
    let told = json!({ "item": payload["item"], "added": payload["added"], "done": payload["done"] });
    write.audit("ticket.checklist", subject(ticket), told).await
}

async fn items_of(db: &impl ConnectionTrait, ticket: i64) -> Result<Vec<checklist_item::Model>, DbErr> {
    let items = checklist_item::Entity::find().filter(checklist_item::Column::TicketId.eq(ticket));
    items.order_by_asc(checklist_item::Column::Id).all(db).await
}

async fn item_of(
    write: &Write,
    ticket: &ticket::Model,
    id: ChecklistItemId,
) -> Result<checklist_item::Model, ChecklistError> {
    let item = checklist_item::Entity::find_by_id(id.0).one(&write.tx).await?;
    item.filter(|item| item.ticket_id == ticket.id).ok_or(ChecklistError::NotThere)
}

async fn open_row(write: &Write, number: TicketNumber) -> Result<ticket::Model, ChecklistError> {
    let row = find(&write.tx, number).await?.ok_or(ChecklistError::NoTicket)?;
    if row.state == TicketState::Merged { Err(ChecklistError::Merged) } else { Ok(row) }
}

const CHECKLISTS_MAX: u64 = 200;

/// Items of a checklist, and of a ticket.
pub(super) const ITEMS_MAX: usize = 100;
