//! Files on tickets. The console never shows one: it is handed to the browser for saving.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::guard::Caller;
use super::problem::Problem;
use super::request::{AttachedFile, Named, Params};
use super::tickets::{known, not_blank};
use super::work::SavedBody;
use crate::number::TicketNumber;
use crate::store::{Attachment, AttachmentId, Line, NewAttachment, Visibility};

/// What a file is called, and who may have it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Attached {
    /// Its name, without a path.
    #[param(value_type = String, min_length = 1, max_length = 256)]
    name: Line,
    /// `internal` when not said.
    visibility: Option<Visibility>,
}

/// Lists the files of a ticket, oldest first.
#[utoipa::path(get, path = "/api/v1/tickets/{number}/attachments", tag = "tickets",
    params(("number" = String, Path)),
    responses((status = 200, body = Vec<Attachment>), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
) -> Result<Answer<Vec<Attachment>>, Problem> {
    known(&api, number).await?;
    Ok(Answer(api.store.list_attachments(number).await?))
}

/// Puts a file on a ticket: its content is the body, at most 10 MiB, with its media type. The same file by the same name
/// is there once.
#[utoipa::path(post, path = "/api/v1/tickets/{number}/attachments", tag = "tickets",
    params(("number" = String, Path), Attached),
    request_body(content = SavedBody, content_type = "application/octet-stream", description = "The file."),
    responses((status = 201, body = Attachment), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn add(
    State(api): State<Api>,
    Named(number): Named<TicketNumber>,
    caller: Caller,
    Params(attached): Params<Attached>,
    AttachedFile(media_type, bytes): AttachedFile,
) -> Result<(StatusCode, Answer<Attachment>), Problem> {
    not_blank("name", Some(&attached.name))?;
    if attached.name.contains(['/', '\\']) || matches!(attached.name.as_str(), "." | "..") {
        return Err(Problem::field("name", "name is a file's name without a path."));
    }
    let visibility = attached.visibility.unwrap_or(Visibility::Internal);
    let new = NewAttachment { name: attached.name, media_type, visibility, bytes };
    Ok((StatusCode::CREATED, Answer(api.store.attach(&caller.actor, number, new).await?)))
}

/// Hands out a file for saving.
#[utoipa::path(get, path = "/api/v1/attachments/{id}", tag = "tickets", params(("id" = i64, Path)),
    responses((status = 200, description = "The file.", body = SavedBody, content_type = "application/octet-stream"),
        (status = 404, body = Problem)))]
pub(crate) async fn show(State(api): State<Api>, Named(id): Named<i64>) -> Result<Response, Problem> {
    let found = api.store.attachment(AttachmentId(id)).await?;
    let (attachment, bytes) = found.ok_or_else(Problem::not_found)?;
    let name = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{}", percent_encoded(&attachment.name)));
    let media_type = HeaderValue::from_str(&attachment.media_type);
    let saved = HeaderValue::from_static("application/octet-stream");
    let headers = [
        (header::CONTENT_TYPE, media_type.unwrap_or(saved)),
        (header::CONTENT_DISPOSITION, name.unwrap_or(HeaderValue::from_static("attachment"))),
        // Should a browser show it all the same, it is nobody's page.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
    ];
    Ok((headers, bytes).into_response())
}

/// RFC 8187: every byte that is not a letter, a digit or one of a few signs, by its value.
fn percent_encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
