//! What a customer can do on a ticket's status page: read, write, say whether it is fixed, and how content they are.
//!
//! The page is reached by a link that only this console can make. Whoever has the link is the customer of this one
//! ticket and of nothing else. An internal note is read by no function here.

use belay_protocol::Text;
use data_encoding::BASE32_NOPAD;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;

use super::entity::{article, contact, organization, ticket};
use super::throttle::Consequence;
use super::tickets::{differences, find, save, subject};
use super::write::Write;
use super::{
    About, Actor, Article, ChangeError, EventKind, Line, LinkKind, NewArticle, NewTicket, Once, Store, StoreError,
    Ticket, TicketChange, VerifiedBy, Visibility, WORDS_MAX_BYTES, life, thread,
};
use crate::life::{Closing, Move, Refused};
use crate::number::TicketNumber;
use crate::secret::same;
use crate::ticket::{Channel, TicketState};

/// Why the status page did not do what the customer asked.
#[derive(Debug, thiserror::Error)]
pub enum CustomerError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    NoTicket,
    /// It goes on elsewhere, where this customer may not be the one.
    #[error("the ticket goes on in another one")]
    Merged,
    /// So much was written within an hour that it is hardly a person.
    #[error("too much was written within an hour: please telephone")]
    TooMany,
    /// It was not resolved, or somebody has reopened it meanwhile.
    #[error("the ticket is not resolved")]
    NotResolved,
    /// The same key came with another request before.
    #[error("another request was sent with this key")]
    Reused,
    /// One resolution is judged once.
    #[error("thank you: you have said so already")]
    ScoredAlready,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ChangeError> for CustomerError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => Self::Store(error),
            // The table of moves has no such move from where the ticket is by now.
            _ => Self::NotResolved,
        }
    }
}

impl From<DbErr> for CustomerError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// How content a customer is, from 1 to 5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Score(u8);

impl Score {
    /// A score within its bounds.
    pub const fn new(score: u8) -> Option<Self> {
        match score {
            1..=5 => Some(Self(score)),
            _ => None,
        }
    }
}

/// Where a ticket goes on whose customer said that it is not fixed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GoesOn {
    /// In the same one.
    Here,
    /// In a new one, because the old was closed too long ago.
    In(TicketNumber),
}

impl Store {
    /// Opens a ticket for somebody who asks without being known here: by the web page or by an agent. What they say of
    /// themselves is written down as it was said. `source` is where they ask from.
    pub async fn customer_asks(
        &self,
        source: &str,
        new: NewTicket,
        once: Option<&Once>,
    ) -> Result<Ticket, CustomerError> {
        let mut write = self.write(&Actor::Customer).await?;
        if let Some(once) = once
            && let Some(answered) = self.recall(&write, once).await?
        {
            return answered.map_err(|_| CustomerError::Reused);
        }
        let bucket = format!("ask:{source}");
        if write.count_failure(&bucket, Consequence::Count).await? > ASKED_PER_WINDOW {
            return Err(CustomerError::TooMany);
        }
        if write.count_failure("ask", Consequence::Count).await? == MANY_ASK {
            tracing::warn!(
                "{MANY_ASK} requests came by web and agents within a quarter of an hour: is somebody flooding the desk?"
            );
        }
        let row = self.insert_ticket(&mut write, new).await?;
        Ok(self.opened(write, row, once).await?)
    }

    /// The part of a status page's link that only this console can make.
    pub fn status_key(&self, number: TicketNumber) -> String {
        let mac = self.inner.key.mac("status-page", number.to_string().as_bytes());
        BASE32_NOPAD.encode(&mac[..STATUS_KEY_BYTES]).to_ascii_lowercase()
    }

    /// Whether a link to the status page of `number` was made here.
    pub fn is_status_key(&self, number: TicketNumber, key: &str) -> bool {
        same(self.status_key(number).as_bytes(), key.as_bytes())
    }

    /// What the customer may read of what was said, oldest first: the newest that fit.
    pub async fn public_articles(&self, number: TicketNumber) -> Result<Vec<Article>, StoreError> {
        let Some(ticket) = find(self.reader(), number).await? else { return Ok(Vec::new()) };
        let public = article::Entity::find().filter(article::Column::TicketId.eq(ticket.id));
        let public = public.filter(article::Column::Visibility.eq(Visibility::Public));
        let newest = public.order_by_desc(article::Column::Id).limit(PUBLIC_SHOWN).all(self.reader()).await?;
        Ok(newest.into_iter().rev().map(|row| thread::with_number(row, None)).collect())
    }

    /// Writes the customer's words into the thread. A ticket that waited for them is worked on again.
    pub async fn customer_writes(
        &self,
        number: TicketNumber,
        body: Text<WORDS_MAX_BYTES>,
    ) -> Result<(), CustomerError> {
        let mut write = self.write(&Actor::Customer).await?;
        let row = open_row(&write, number).await?;
        say(&mut write, &row, body.into_string()).await?;
        if row.state == TicketState::PendingCustomer {
            step(&mut write, &row, Move::Work).await?;
        } else {
            life::touch(&mut write, row).await?;
        }
        write.commit().await?;
        Ok(())
    }

    /// Takes the customer's word that it is fixed: the resolution is verified and the ticket closed.
    pub async fn customer_confirms(&self, number: TicketNumber) -> Result<(), CustomerError> {
        let mut write = self.write(&Actor::Customer).await?;
        let row = open_row(&write, number).await?;
        let resolution = life::in_force(&write, row.id).await?.ok_or(CustomerError::NotResolved)?;
        if row.state != TicketState::Resolved {
            return Err(CustomerError::NotResolved);
        }
        if resolution.verified_at.is_none() {
            life::note_verified(&mut write, &row, resolution, VerifiedBy::Customer, None, None).await?;
        }
        step(&mut write, &row, Move::Close(Closing::Verified)).await?;
        write.commit().await?;
        Ok(())
    }

    /// Takes the customer's word that it is not fixed: the ticket is worked on again, or another one in its place.
    pub async fn customer_objects(
        &self,
        number: TicketNumber,
        body: Text<WORDS_MAX_BYTES>,
    ) -> Result<GoesOn, CustomerError> {
        let mut write = self.write(&Actor::Customer).await?;
        let row = open_row(&write, number).await?;
        if !matches!(row.state, TicketState::Resolved | TicketState::Closed) {
            return Err(CustomerError::NotResolved);
        }
        let goes_on = match step(&mut write, &row, Move::Work).await {
            Ok(()) => {
                say(&mut write, &row, body.into_string()).await?;
                GoesOn::Here
            }
            Err(ChangeError::Refused(Refused::TooLate)) => {
                let new = follow_up(&write, &row, body).await?;
                let opened = self.insert_ticket(&mut write, new).await?;
                thread::insert_link(&mut write, &opened, LinkKind::FollowUpOf, &row).await?;
                GoesOn::In(TicketNumber::from_serial(opened.serial))
            }
            Err(error) => return Err(error.into()),
        };
        write.commit().await?;
        Ok(goes_on)
    }

    /// Notes how content the customer is with a resolution, once.
    pub async fn customer_scores(
        &self,
        number: TicketNumber,
        score: Score,
        comment: Text<WORDS_MAX_BYTES>,
    ) -> Result<(), CustomerError> {
        let mut write = self.write(&Actor::Customer).await?;
        let row = open_row(&write, number).await?;
        let resolution = life::in_force(&write, row.id).await?.ok_or(CustomerError::NotResolved)?;
        if resolution.score.is_some() {
            return Err(CustomerError::ScoredAlready);
        }
        let comment = Some(comment.into_string()).filter(|comment| !comment.trim().is_empty());
        let mut resolution = resolution.into_active_model();
        (resolution.score, resolution.comment) = (Set(Some(i64::from(score.0))), Set(comment));
        resolution.scored_at = Set(Some(write.now.0));
        resolution.update(&write.tx).await?;
        let details = json!({ "score": score.0 });
        write.event(&row, EventKind::CustomerScored, details.clone()).await?;
        write.audit("ticket.score", subject(&row), details).await?;
        life::touch(&mut write, row).await?;
        write.commit().await?;
        Ok(())
    }
}

async fn open_row(write: &Write, number: TicketNumber) -> Result<ticket::Model, CustomerError> {
    let row = find(&write.tx, number).await?.ok_or(CustomerError::NoTicket)?;
    if row.state == TicketState::Merged { Err(CustomerError::Merged) } else { Ok(row) }
}

async fn say(write: &mut Write, row: &ticket::Model, body: String) -> Result<(), CustomerError> {
    let own = article::Entity::find().filter(article::Column::TicketId.eq(row.id));
    let own = own.filter(article::Column::Author.eq(Actor::Customer.to_string()));
    let lately = own.filter(article::Column::CreatedAt.gt(write.now.0 - HOUR_MS)).count(&write.tx).await?;
    if lately >= WRITTEN_PER_HOUR {
        return Err(CustomerError::TooMany);
    }
    let new = NewArticle { visibility: Visibility::Public, body: Text::truncating(body) };
    thread::insert_article(write, row, new).await?;
    Ok(())
}

/// Takes a step on the customer's word.
async fn step(write: &mut Write, old: &ticket::Model, step: Move) -> Result<(), ChangeError> {
    let mut row = old.clone();
    life::take(write, &mut row, step, &TicketChange::default()).await?;
    let differences = differences(old, &row);
    save(write, row, differences).await?;
    Ok(())
}

/// The same trouble of the same customer, told again.
async fn follow_up(write: &Write, row: &ticket::Model, body: Text<WORDS_MAX_BYTES>) -> Result<NewTicket, DbErr> {
    let organization = organization::Entity::find_by_id(row.organization_id).one(&write.tx).await?;
    let contact = match row.contact_id {
        Some(id) => contact::Entity::find_by_id(id).one(&write.tx).await?,
        None => None,
    };
    let line = |text: &Option<String>| text.as_deref().map(Line::truncating);
    Ok(NewTicket {
        title: Line::truncating(row.title.as_str()),
        customer: Line::truncating(organization.map(|found| found.name).unwrap_or_default()),
        contact: contact.map(|found| Line::truncating(found.name)),
        description: Text::truncating(body.into_string()),
        channel: Channel::Web,
        impact: row.impact,
        urgency: row.urgency,
        about: About {
            scope: line(&row.scope),
            first_seen_at: None,
            product: line(&row.product),
            product_version: line(&row.product_version),
            reach: line(&row.reach),
            language: row.language,
        },
    })
}

/// Requests from one address within a quarter of an hour: more than a person writes, enough for an office behind one.
const ASKED_PER_WINDOW: i64 = 10;

/// Requests from everywhere within a quarter of an hour that somebody should hear of.
const MANY_ASK: i64 = 200;

/// 128 bits: nobody guesses them, and they fit into a link that is read from paper.
const STATUS_KEY_BYTES: usize = 16;

/// Articles on a status page: more than anybody reads.
const PUBLIC_SHOWN: u64 = 200;

/// What a customer may write within an hour.
const WRITTEN_PER_HOUR: u64 = 30;

const HOUR_MS: i64 = 60 * 60 * 1_000;
