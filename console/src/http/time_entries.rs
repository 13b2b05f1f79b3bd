//! Time that was spent on tickets.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::guard::Caller;
use super::problem::Problem;
use super::request::{Json, Named};
use super::tickets::{known, not_blank, one_line};
use crate::clock::UnixMillis;
use crate::number::TicketNumber;
use crate::store::{Line, NewTimeEntry, TimeChange, TimeEntry, TimeEntryId};

/// Time to be written down.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddTime {
    /// How long it was, in minutes.
    #[schema(minimum = 1, maximum = 1440)]
    minutes: u32,
    /// What it was for.
    #[serde(default)]
    #[schema(value_type = String, max_length = 256)]
    note: Line,
    /// When it began; so long ago as it was long, when not said.
    started_at_ms: Option<UnixMillis>,
    /// Whose time, by sign-in name; one's own when not said.
    #[schema(value_type = Option<String>, max_length = 256)]
    user: Option<Line>,
}

/// Changes to an entry; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeTime {
    /// How long it was, in minutes.
    #[schema(minimum = 1, maximum = 1440)]
    minutes: Option<u32>,
    /// What it was for.
    #[schema(value_type = Option<String>, max_length = 256)]
    note: Option<Line>,
    /// Whose time it was, by sign-in name.
    #[schema(value_type = Option<String>, max_length = 256)]
    user: Option<Line>,
}

/// Lists the time spent on a ticket, oldest first.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/time-entries", tag = "time", params(("number" = String, Path)),
    responses((status = 200, body = Vec<TimeEntry>), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
) -> Result<Answer<Vec<TimeEntry>>, Problem> {
    known(&api, number).await?;
    Ok(Answer(api.store.list_time_entries(number).await?))
}

/// Writes down time spent on a ticket.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/time-entries", tag = "time", request_body = AddTime,
    params(("number" = String, Path)),
    responses((status = 201, body = TimeEntry), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn add(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    Json { value, .. }: Json<AddTime>,
) -> Result<(StatusCode, Answer<TimeEntry>), Problem> {
    one_line("note", Some(&value.note))?;
    not_blank("user", value.user.as_ref())?;
    let new = NewTimeEntry {
        user: value.user,
        started_at: value.started_at_ms,
        seconds: i64::from(value.minutes) * 60,
        note: value.note,
    };
    Ok((StatusCode::CREATED, Answer(api.store.add_time_entry(&caller.actor, number, new).await?)))
}

/// Changes an entry, also one that a session has made.
#[utoipa::path(patch, path = "/api/v1/tickets/{number}/time-entries/{id}", tag = "time", request_body = ChangeTime,
    params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 200, body = TimeEntry), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(api): State<Api>,
    Named((number, id)): Named<(TicketNumber, i64)>,
    caller: Caller,
    Json { value, .. }: Json<ChangeTime>,
) -> Result<Answer<TimeEntry>, Problem> {
    one_line("note", value.note.as_ref())?;
    not_blank("user", value.user.as_ref())?;
    let change = TimeChange {
        user: value.user,
        seconds: value.minutes.map(|minutes| i64::from(minutes) * 60),
        note: value.note,
    };
    Ok(Answer(api.store.change_time_entry(&caller.actor, number, TimeEntryId(id), change).await?))
}

/// Takes an entry away.
#[utoipa::path(delete, path = "/api/v1/tickets/{number}/time-entries/{id}", tag = "time",
    params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(
    State(api): State<Api>,
    Named((number, id)): Named<(TicketNumber, i64)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    api.store.remove_time_entry(&caller.actor, number, TimeEntryId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
