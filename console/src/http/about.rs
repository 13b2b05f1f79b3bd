//! The desk itself: who it is, whether it works, and its audit.

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::request::{Paging, Params};
use super::{Api, Page};

/// What a desk says about itself to the world.
#[derive(Serialize, ToSchema)]
pub(crate) struct WellKnown {
    /// The desk's name for itself; it proves nothing.
    name: String,
    /// The organization key that customers pin.
    organization: String,
    /// Where the desk can be met.
    relays: Vec<WellKnownRelay>,
}

/// A relay of the desk.
#[derive(Serialize, ToSchema)]
pub(crate) struct WellKnownRelay {
    /// `HOST:PORT`.
    address: String,
    /// The key that the relay must prove.
    key: String,
}

/// Says who the desk is and where to meet it. Agents read it over HTTPS.
#[utoipa::path(get, path = "/.well-known/belay", tag = "desk", responses((status = 200, body = WellKnown)))]
pub(crate) async fn well_known(State(api): State<Api>) -> impl IntoResponse {
    let profile = &api.profile;
    let relay = |relay: &belay_protocol::invite::RelayAddress| WellKnownRelay {
        address: relay.host_port(),
        key: relay.key.to_string(),
    };
    let body = WellKnown {
        name: profile.name.clone(),
        organization: profile.organization.to_string(),
        relays: profile.relays.iter().map(relay).collect(),
    };
    // Short, because a desk that moves to another relay wants to be found.
    ([(header::CACHE_CONTROL, "public, max-age=60")], Answer(body))
}

/// Whether the console works.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// Answers when the console and its database work.
#[utoipa::path(get, path = "/api/v1/health", tag = "desk",
    responses((status = 200, body = Health), (status = 503, body = Problem)))]
pub(crate) async fn health(State(api): State<Api>) -> Result<Answer<Health>, Problem> {
    api.store.newest_event().await?;
    Ok(Answer(Health { status: "ok" }))
}

/// The result of walking the audit's chain.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditVerified {
    /// Lines of the audit, all of them as they were written.
    lines: i64,
}

/// A line of the audit, as it was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditText {
    /// The JSON line: exactly the bytes that the next line's `prev` is the SHA-256 of.
    text: String,
}

/// Lists lines of the audit, oldest first; the cursor is the number of the last line read.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(Paging),
    responses((status = 200, body = Page<AuditText>)))]
pub(crate) async fn audit(
    State(api): State<Api>,
    Params(paging): Params<Paging>,
) -> Result<Answer<Page<AuditText>>, Problem> {
    let (limit, after) = (paging.limit()?, paging.id()?.unwrap_or(0));
    let lines = api.store.audit_lines_after(after, limit as u64).await?;
    let next_cursor = (lines.len() == limit).then(|| (after + limit as i64).to_string());
    Ok(Answer(Page { items: lines.into_iter().map(|text| AuditText { text }).collect(), next_cursor }))
}

/// Checks the audit's chain from its first line to its sealed end; names the first bad line.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit",
    responses((status = 200, body = AuditVerified), (status = 409, body = Problem)))]
pub(crate) async fn verify_audit(State(api): State<Api>) -> Result<Answer<AuditVerified>, Problem> {
    Ok(Answer(AuditVerified { lines: api.store.verify_audit().await? }))
}

/// The whole audit as JSON lines, and its sealed end as the last: `belay-console audit verify FILE` checks it anywhere.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit",
    responses((status = 200, body = String, content_type = "application/jsonl")))]
pub(crate) async fn export_audit(State(api): State<Api>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    (headers, Body::from_stream(api.store.export_audit()))
}
