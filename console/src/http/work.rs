//! Sessions, and reports with their findings.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;

use super::problem::Problem;
use super::request::{Named, Paging, Params};
use super::{Api, Page, tickets};
use belay_protocol::report::Report as Facts;

use crate::number::TicketNumber;
use crate::store::{Report, Session, SessionId, StoredReportId};

/// Lists all sessions, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(Paging),
    responses((status = 200, body = Page<Session>)))]
pub(crate) async fn sessions(
    State(api): State<Api>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Session>>, Problem> {
    page_of_sessions(&api, None, &paging).await
}

/// Lists the sessions of a ticket, newest first.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/sessions", tag = "sessions",
    params(("number" = String, Path), Paging),
    responses((status = 200, body = Page<Session>), (status = 404, body = Problem)))]
pub(crate) async fn sessions_of_ticket(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Session>>, Problem> {
    tickets::known(&api, number).await?;
    page_of_sessions(&api, Some(number), &paging).await
}

async fn page_of_sessions(
    api: &Api,
    ticket: Option<TicketNumber>,
    paging: &Paging,
) -> Result<Answer<Page<Session>>, Problem> {
    let (limit, before) = (paging.limit()?, paging.id()?.map(SessionId));
    let sessions = api.store.list_sessions(ticket, before, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(sessions, limit, |session| session.id.0)))
}

/// Shows a session.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = i64, Path)),
    responses((status = 200, body = Session), (status = 404, body = Problem)))]
pub(crate) async fn session(State(api): State<Api>, Named(id): Named<i64>) -> Result<Answer<Session>, Problem> {
    api.store.session(SessionId(id)).await?.map(Answer).ok_or_else(Problem::not_found)
}

/// Lists the reports of a ticket with their findings, newest first.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/reports", tag = "reports",
    params(("number" = String, Path), Paging),
    responses((status = 200, body = Page<Report>), (status = 404, body = Problem)))]
pub(crate) async fn reports_of_ticket(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Report>>, Problem> {
    tickets::known(&api, number).await?;
    let (limit, before) = (paging.limit()?, paging.id()?.map(StoredReportId));
    let reports = api.store.list_reports(Some(number), before, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(reports, limit, |report| report.id.0)))
}

/// Shows a report with its findings.
#[utoipa::path(get, path = "/api/v1/reports/{id}", tag = "reports", params(("id" = i64, Path)),
    responses((status = 200, body = Report), (status = 404, body = Problem)))]
pub(crate) async fn report(State(api): State<Api>, Named(id): Named<i64>) -> Result<Answer<Report>, Problem> {
    api.store.report(StoredReportId(id)).await?.map(Answer).ok_or_else(Problem::not_found)
}

/// Shows what a report says: its facts as the device shared them, decoded from the stored bytes.
#[utoipa::path(get, path = "/api/v1/reports/{id}/facts", tag = "reports", params(("id" = i64, Path)),
    responses((status = 200, body = serde_json::Value), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn facts(State(api): State<Api>, Named(id): Named<i64>) -> Result<Answer<Facts>, Problem> {
    let bytes = api.store.report_bytes(StoredReportId(id)).await?.ok_or_else(Problem::not_found)?;
    Facts::decode(&bytes).map(Answer).map_err(|error| {
        let detail = format!("This version of the console cannot read the report: {error}.");
        Problem::new(StatusCode::CONFLICT, "report_unreadable", detail)
    })
}
