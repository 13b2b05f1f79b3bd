//! How much of everything there is.

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, PaginatorTrait as _, QueryFilter as _, QuerySelect as _,
};

use super::accounts::ACCOUNT_BUCKETS;
use super::entity::{audit_end, device, report, session, ticket};
use super::write::AUDIT_END;
use super::{SessionState, Store, StoreError, throttle};
use crate::ticket::TicketState;

/// How much of everything there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Tickets in each state, also where there are none.
    pub tickets: Vec<(TicketState, i64)>,
    /// Sessions that go on.
    pub live_sessions: i64,
    /// Devices that have ever joined.
    pub devices: i64,
    /// Reports that are kept.
    pub reports: i64,
    /// Lines of the audit.
    pub audit_lines: i64,
    /// Accounts whose password is locked.
    pub locked: i64,
}

#[derive(FromQueryResult)]
struct InState {
    state: TicketState,
    count: i64,
}

impl Store {
    /// Counts everything.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let db = self.reader();
        let by_state = ticket::Entity::find().select_only().column(ticket::Column::State);
        let by_state = by_state.column_as(ticket::Column::Id.count(), "count").group_by(ticket::Column::State);
        let found = by_state.into_model::<InState>().all(db).await?;
        let of = |state: TicketState| found.iter().find(|row| row.state == state).map_or(0, |row| row.count);
        let live = session::Entity::find().filter(session::Column::State.eq(SessionState::Live));
        let locked = throttle::count_locked(db, ACCOUNT_BUCKETS, self.inner.clock.now()).await?;
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Counts {
            tickets: TicketState::ALL.iter().map(|state| (*state, of(*state))).collect(),
            live_sessions: number(live.count(db).await?),
            devices: number(device::Entity::find().count(db).await?),
            reports: number(report::Entity::find().count(db).await?),
            audit_lines: audit_end::Entity::find_by_id(AUDIT_END).one(db).await?.map_or(0, |end| end.lines),
            locked: number(locked),
        })
    }
}
