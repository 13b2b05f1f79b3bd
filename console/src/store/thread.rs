//! What is said on a ticket, and which other tickets it has to do with.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, Condition, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use serde_json::json;

use super::entity::{article, ticket, ticket_link};
use super::tickets::{differences, find, save, subject};
use super::write::Write;
use super::{
    Actor, Article, ArticleId, EventKind, LinkId, LinkKind, NewArticle, NewTicket, Once, OnceError, Store, StoreError,
    Ticket, TicketLink, Visibility, life,
};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::ticket::TicketState;

/// Why something was not said on a ticket, or not linked to it.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// What is merged goes on elsewhere.
    #[error("the ticket goes on in another one: write there")]
    Merged,
    /// The other ticket is not there, or is the same one.
    #[error("there is no other ticket of this number")]
    NoOther,
    /// There is no such link on this ticket.
    #[error("there is no such link on this ticket")]
    NoLink,
    /// A ticket does not need more.
    #[error("a ticket has at most {LINKS_MAX} links")]
    TooManyLinks,
    /// The key was used for something else.
    #[error(transparent)]
    Once(#[from] OnceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for ThreadError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Says something on a ticket. A new ticket that a user answers is worked on.
    pub async fn add_article(
        &self,
        actor: &Actor,
        number: TicketNumber,
        new: NewArticle,
        once: Option<&Once>,
    ) -> Result<Article, ThreadError> {
        let mut write = self.write(actor).await?;
        if let Some(once) = once
            && let Some(answered) = self.recall(&write, once).await?
        {
            return Ok(answered?);
        }
        let old = find(&write.tx, number).await?.ok_or(ThreadError::NoTicket)?;
        if old.state == TicketState::Merged {
            return Err(ThreadError::Merged);
        }
        let visibility = new.visibility;
        let row = insert_article(&mut write, &old, new).await?;
        if old.state == TicketState::New && visibility == Visibility::Public {
            let mut ticket = old.clone();
            ticket.state = TicketState::Open;
            save(&mut write, ticket.clone(), differences(&old, &ticket)).await?;
        } else {
            life::touch(&mut write, old).await?;
        }
        let article = with_number(row, None);
        if let Some(once) = once {
            self.remember(&write, once, &article).await?;
        }
        write.commit().await?;
        Ok(article)
    }

    /// At most `limit` articles after `after`, oldest first.
    pub async fn list_articles(
        &self,
        number: TicketNumber,
        after: ArticleId,
        limit: u64,
    ) -> Result<Vec<Article>, StoreError> {
        let Some(ticket) = find(self.reader(), number).await? else { return Ok(Vec::new()) };
        let articles = article::Entity::find().filter(article::Column::TicketId.eq(ticket.id));
        let articles = articles.filter(article::Column::Id.gt(after.0)).order_by_asc(article::Column::Id).limit(limit);
        let articles = articles.all(self.reader()).await?;
        let came_from = ticket::Column::Id.is_in(articles.iter().filter_map(|article| article.came_from_id));
        let came_from = ticket::Entity::find().filter(came_from).all(self.reader()).await?;
        let serials: BTreeMap<i64, i64> = came_from.into_iter().map(|row| (row.id, row.serial)).collect();
        let numbered = articles.into_iter().map(|row| {
            let serial = row.came_from_id.and_then(|id| serials.get(&id).copied());
            with_number(row, serial)
        });
        Ok(numbered.collect())
    }

    /// Says what `number` is to `other`. Said twice it is said once.
    pub async fn link_tickets(
        &self,
        actor: &Actor,
        number: TicketNumber,
        kind: LinkKind,
        other: TicketNumber,
    ) -> Result<TicketLink, ThreadError> {
        let mut write = self.write(actor).await?;
        let from = find(&write.tx, number).await?.ok_or(ThreadError::NoTicket)?;
        let to = find(&write.tx, other).await?.filter(|to| to.id != from.id).ok_or(ThreadError::NoOther)?;
        let links = ticket_link::Entity::find().filter(ticket_link::Column::FromId.eq(from.id));
        let links = links.limit(LINKS_MAX as u64).all(&write.tx).await?;
        let known = links.iter().find(|link| link.to_id == to.id && link.kind == kind);
        let id = match known {
            Some(link) => link.id,
            None if links.len() >= LINKS_MAX => return Err(ThreadError::TooManyLinks),
            None => insert_link(&mut write, &from, kind, &to).await?,
        };
        write.commit().await?;
        Ok(TicketLink { id: LinkId(id), from: number, kind, to: other, title: to.title, state: to.state })
    }

    /// Takes a link away, from either of its ends.
    pub async fn unlink_tickets(&self, actor: &Actor, number: TicketNumber, id: LinkId) -> Result<(), ThreadError> {
        let mut write = self.write(actor).await?;
        let row = find(&write.tx, number).await?.ok_or(ThreadError::NoTicket)?;
        let link = ticket_link::Entity::find_by_id(id.0).filter(touches(&row)).one(&write.tx).await?;
        let link = link.ok_or(ThreadError::NoLink)?;
        ticket_link::Entity::delete_by_id(link.id).exec(&write.tx).await?;
        let details = json!({ "removed": link.kind, "link": link.id });
        write.event(&row, EventKind::TicketLinked, details.clone()).await?;
        write.audit("ticket.unlink", subject(&row), details).await?;
        write.commit().await?;
        Ok(())
    }

    /// The links of a ticket, in both directions, oldest first.
    pub async fn list_links(&self, number: TicketNumber) -> Result<Vec<TicketLink>, StoreError> {
        let Some(row) = find(self.reader(), number).await? else { return Ok(Vec::new()) };
        let links = ticket_link::Entity::find().filter(touches(&row)).order_by_asc(ticket_link::Column::Id);
        let links = links.limit(2 * LINKS_MAX as u64).all(self.reader()).await?;
        let ends = ticket::Column::Id.is_in(links.iter().flat_map(|link| [link.from_id, link.to_id]));
        let ends = ticket::Entity::find().filter(ends).all(self.reader()).await?;
        let ends: BTreeMap<i64, ticket::Model> = ends.into_iter().map(|row| (row.id, row)).collect();
        let read = links.into_iter().filter_map(|link| {
            let (from, to) = (ends.get(&link.from_id)?, ends.get(&link.to_id)?);
            let other = if from.id == row.id { to } else { from };
            Some(TicketLink {
                id: LinkId(link.id),
                from: TicketNumber::from_serial(from.serial),
                kind: link.kind,
                to: TicketNumber::from_serial(to.serial),
                title: other.title.clone(),
                state: other.state,
            })
        });
        Ok(read.collect())
    }

    /// Opens a ticket for a trouble that is back, or for what remained of one.
    pub async fn open_follow_up(
        &self,
        actor: &Actor,
        number: TicketNumber,
        new: NewTicket,
        once: Option<&Once>,
    ) -> Result<Ticket, ThreadError> {
        let mut write = self.write(actor).await?;
        if let Some(once) = once
            && let Some(answered) = self.recall(&write, once).await?
        {
            return Ok(answered?);
        }
        let earlier = find(&write.tx, number).await?.ok_or(ThreadError::NoTicket)?;
        let row = self.insert_ticket(&mut write, new).await?;
        insert_link(&mut write, &row, LinkKind::FollowUpOf, &earlier).await?;
        Ok(self.opened(write, row, once).await?)
    }
}

/// Stores what was said, and tells the ticket's log.
pub(super) async fn insert_article(
    write: &mut Write,
    ticket: &ticket::Model,
    new: NewArticle,
) -> Result<article::Model, DbErr> {
    let row = article::ActiveModel {
        ticket_id: Set(ticket.id),
        visibility: Set(new.visibility),
        author: Set(write.actor().to_string()),
        body: Set(new.body.into_string()),
        created_at: Set(write.now.0),
        ..Default::default()
    };
    let row = row.insert(&write.tx).await?;
    let details = json!({ "article": row.id, "visibility": row.visibility });
    write.event(ticket, EventKind::ArticleAdded, details.clone()).await?;
    write.audit("article.add", subject(ticket), details).await?;
    Ok(row)
}

pub(super) async fn insert_link(
    write: &mut Write,
    from: &ticket::Model,
    kind: LinkKind,
    to: &ticket::Model,
) -> Result<i64, DbErr> {
    let row = ticket_link::ActiveModel {
        from_id: Set(from.id),
        to_id: Set(to.id),
        kind: Set(kind),
        created_at: Set(write.now.0),
        ..Default::default()
    };
    let id = row.insert(&write.tx).await?.id;
    let other = |row: &ticket::Model| TicketNumber::from_serial(row.serial).to_string();
    write.event(from, EventKind::TicketLinked, json!({ "kind": kind, "to": other(to) })).await?;
    write.event(to, EventKind::TicketLinked, json!({ "kind": kind, "from": other(from) })).await?;
    write.audit("ticket.link", subject(from), json!({ "kind": kind, "to": other(to) })).await?;
    Ok(id)
}

fn touches(row: &ticket::Model) -> Condition {
    Condition::any().add(ticket_link::Column::FromId.eq(row.id)).add(ticket_link::Column::ToId.eq(row.id))
}

pub(super) fn with_number(row: article::Model, came_from: Option<i64>) -> Article {
    Article {
        id: ArticleId(row.id),
        visibility: row.visibility,
        author: row.author,
        body: row.body,
        created_at_ms: UnixMillis(row.created_at),
        came_from: came_from.map(TicketNumber::from_serial),
    }
}

/// Links that a ticket has to others; as many may point at it.
const LINKS_MAX: usize = 64;
