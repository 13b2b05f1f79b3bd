//! The event log: replayed from its table, then live.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use tokio::sync::broadcast;

use super::entity::{event, ticket};
use super::{Event, EventId, Store, StoreError};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;

/// Events in their order, first those that were missed, then those that happen. None is skipped and none comes twice.
#[derive(Debug)]
pub struct Events {
    store: Store,
    live: broadcast::Receiver<Event>,
    last: EventId,
    replayed: std::vec::IntoIter<Event>,
    behind: bool,
}

impl Store {
    /// The newest event's id, after which a new subscriber may start.
    pub async fn newest_event(&self) -> Result<EventId, StoreError> {
        let newest = event::Entity::find().order_by_desc(event::Column::Id).one(self.reader()).await?;
        Ok(EventId(newest.map_or(0, |row| row.id)))
    }

    /// All events after `last`, without end.
    pub fn events_after(&self, last: EventId) -> Events {
        // Subscribed before the table is read, so that nothing falls between the two.
        let live = self.inner.events.subscribe();
        Events { store: self.clone(), live, last, replayed: Vec::new().into_iter(), behind: true }
    }

    /// Committed events as they happen, for those who need no replay. A subscriber that falls behind loses the oldest.
    pub fn live_events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// At most `limit` events after `last`, of one ticket or of all, oldest first.
    pub async fn list_events(
        &self,
        ticket: Option<TicketNumber>,
        last: EventId,
        limit: u64,
    ) -> Result<Vec<Event>, StoreError> {
        let mut query = event::Entity::find().find_also_related_by_ticket().filter(event::Column::Id.gt(last.0));
        if let Some(number) = ticket {
            query = query.filter(ticket::Column::Serial.eq(number.serial()));
        }
        let rows = query.order_by_asc(event::Column::Id).limit(limit).all(self.reader()).await?;
        rows.into_iter().map(|(event, ticket)| assemble(event, ticket)).collect()
    }
}

impl Events {
    /// Waits for the next event. An error is the store's; the stream may be asked again.
    pub async fn next(&mut self) -> Result<Event, StoreError> {
        loop {
            if let Some(event) = self.replayed.next() {
                self.last = event.id;
                return Ok(event);
            }
            if self.behind {
                let page = self.store.list_events(None, self.last, REPLAY_PAGE).await?;
                self.behind = page.len() as u64 == REPLAY_PAGE;
                self.replayed = page.into_iter();
                continue;
            }
            match self.live.recv().await {
                Ok(event) if event.id > self.last => {
                    self.last = event.id;
                    return Ok(event);
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                // The store holds a sender for as long as this value holds the store.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

trait WithTicket {
    fn find_also_related_by_ticket(self) -> sea_orm::SelectTwo<event::Entity, ticket::Entity>;
}

impl WithTicket for sea_orm::Select<event::Entity> {
    fn find_also_related_by_ticket(self) -> sea_orm::SelectTwo<event::Entity, ticket::Entity> {
        let relation =
            event::Entity::belongs_to(ticket::Entity).from(event::Column::TicketId).to(ticket::Column::Id).into();
        sea_orm::QuerySelect::join(self, sea_orm::JoinType::InnerJoin, relation).select_also(ticket::Entity)
    }
}

fn assemble(row: event::Model, ticket: Option<ticket::Model>) -> Result<Event, StoreError> {
    let unreadable = || StoreError::Unreadable(format!("event {}", row.id));
    let ticket = ticket.ok_or_else(unreadable)?;
    Ok(Event {
        id: EventId(row.id),
        ticket: TicketNumber::from_serial(ticket.serial),
        kind: row.kind,
        payload: serde_json::from_str(&row.payload).map_err(|_| unreadable())?,
        actor: row.actor,
        at_ms: UnixMillis(row.at),
    })
}

const REPLAY_PAGE: u64 = 256;
