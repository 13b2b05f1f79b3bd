//! Sessions, and reports with their findings.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use belay_protocol::codec::DecodeError;
use belay_protocol::report::Report as Facts;
use belay_protocol::saved::{SavedReport, signed_bytes};
use belay_relay::identity::is_signed_by;

use super::guard::Caller;
use super::problem::Problem;
use super::request::{Named, Paging, Params, SavedFile};
use super::{Api, Page, tickets};
use crate::contents;
use crate::number::TicketNumber;
use crate::secret::sha256;
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

/// Files a report that a machine without a network has saved with `belay-agent survey --save`. Answers 200 instead of 201
/// when the same file was filed before, then with that report, whatever its ticket.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/reports", tag = "reports", params(("number" = String, Path)),
    request_body(content = SavedBody, content_type = "application/vnd.belay.report", description = "The file."),
    responses((status = 200, body = Report), (status = 201, body = Report), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn import_report(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    SavedFile(file): SavedFile,
) -> Result<(StatusCode, Answer<Report>), Problem> {
    tickets::known(&api, number).await?;
    let saved =
        SavedReport::decode(&file).map_err(|error| Problem::field("body", format!("This is no report: {error}.")))?;
    let SavedReport { device, signature, report: bytes } = saved;
    if !is_signed_by(&device.0, &signed_bytes(&sha256(&bytes)), &signature) {
        let detail = "The file was changed or damaged on its way: its device's signature does not fit. Copy it again.";
        return Err(Problem::field("body", detail));
    }
    let facts = Facts::decode(&bytes).map_err(|error| unreadable(&error))?;
    let contents = contents::of(&device, &facts);
    let filed = api.store.import_report(&caller.actor, number, &device, bytes.into(), contents).await?;
    let report = api.store.report(filed.report).await?.ok_or_else(Problem::not_found)?;
    Ok((if filed.new { StatusCode::CREATED } else { StatusCode::OK }, Answer(report)))
}

/// The bytes of a saved report, for the description.
pub(crate) struct SavedBody;

impl PartialSchema for SavedBody {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).into()
    }
}

impl ToSchema for SavedBody {}

pub(super) fn unreadable(error: &DecodeError) -> Problem {
    let detail = format!("This version of the console cannot read the report: {error}.");
    Problem::new(StatusCode::CONFLICT, "report_unreadable", detail)
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
    Facts::decode(&bytes).map(Answer).map_err(|error| unreadable(&error))
}
