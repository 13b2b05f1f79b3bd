//! Sessions, reports with their findings, and devices.

use axum::Json as Answer;
use axum::extract::State;

use super::problem::Problem;
use super::request::{Named, Paging, Params};
use super::{Desk, Page, tickets};
use crate::number::TicketNumber;
use crate::store::{Device, DeviceId, Report, Session, SessionId, StoredReportId};

/// Lists all sessions, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(Paging),
    responses((status = 200, body = Page<Session>)))]
pub(crate) async fn sessions(
    State(desk): State<Desk>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Session>>, Problem> {
    page_of_sessions(&desk, None, &paging).await
}

/// Lists the sessions of a ticket, newest first.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/sessions", tag = "sessions",
    params(("number" = String, Path), Paging),
    responses((status = 200, body = Page<Session>), (status = 404, body = Problem)))]
pub(crate) async fn sessions_of_ticket(
    State(desk): State<Desk>,
    Named(number): Named<TicketNumber>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Session>>, Problem> {
    tickets::known(&desk, number).await?;
    page_of_sessions(&desk, Some(number), &paging).await
}

async fn page_of_sessions(
    desk: &Desk,
    ticket: Option<TicketNumber>,
    paging: &Paging,
) -> Result<Answer<Page<Session>>, Problem> {
    let (limit, before) = (paging.limit()?, paging.id()?.map(SessionId));
    let sessions = desk.store.list_sessions(ticket, before, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(sessions, limit, |session| session.id.0)))
}

/// Shows a session.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = i64, Path)),
    responses((status = 200, body = Session), (status = 404, body = Problem)))]
pub(crate) async fn session(State(desk): State<Desk>, Named(id): Named<i64>) -> Result<Answer<Session>, Problem> {
    desk.store.session(SessionId(id)).await?.map(Answer).ok_or_else(Problem::not_found)
}

/// Lists the reports of a ticket with their findings, newest first.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/reports", tag = "reports",
    params(("number" = String, Path), Paging),
    responses((status = 200, body = Page<Report>), (status = 404, body = Problem)))]
pub(crate) async fn reports_of_ticket(
    State(desk): State<Desk>,
    Named(number): Named<TicketNumber>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Report>>, Problem> {
    tickets::known(&desk, number).await?;
    let (limit, before) = (paging.limit()?, paging.id()?.map(StoredReportId));
    let reports = desk.store.list_reports(Some(number), before, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(reports, limit, |report| report.id.0)))
}

/// Shows a report with its findings.
#[utoipa::path(get, path = "/api/v1/reports/{id}", tag = "reports", params(("id" = i64, Path)),
    responses((status = 200, body = Report), (status = 404, body = Problem)))]
pub(crate) async fn report(State(desk): State<Desk>, Named(id): Named<i64>) -> Result<Answer<Report>, Problem> {
    desk.store.report(StoredReportId(id)).await?.map(Answer).ok_or_else(Problem::not_found)
}

/// Lists the known devices, newest first.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", params(Paging),
    responses((status = 200, body = Page<Device>)))]
pub(crate) async fn devices(
    State(desk): State<Desk>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<Device>>, Problem> {
    let (limit, before) = (paging.limit()?, paging.id()?.map(DeviceId));
    let devices = desk.store.list_devices(before, limit as u64 + 1).await?;
    Ok(Answer(Page::cut(devices, limit, |device| device.id.0)))
}

/// Shows a device.
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "devices", params(("id" = i64, Path)),
    responses((status = 200, body = Device), (status = 404, body = Problem)))]
pub(crate) async fn device(State(desk): State<Desk>, Named(id): Named<i64>) -> Result<Answer<Device>, Problem> {
    desk.store.device(DeviceId(id)).await?.map(Answer).ok_or_else(Problem::not_found)
}
