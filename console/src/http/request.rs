//! What handlers take from a request, with refusals that name the field.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use belay_protocol::saved::SAVED_MAX_BYTES;

use super::problem::Problem;
use crate::number::TicketNumber;
use crate::store::{ATTACHMENT_MAX_BYTES, Actor, MEDIA_TYPES, Once};

/// Bytes of a request's body: the largest rule pack, with quotes and line ends escaped, and room for the rest.
pub(crate) const BODY_MAX_BYTES: usize = 640 * 1024;

/// A JSON body, with its bytes for the comparison of repeated requests.
pub(crate) struct Json<T> {
    pub(crate) value: T,
    pub(crate) bytes: bytes::Bytes,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        // A form of another site can send text/plain without asking; JSON it cannot.
        if !media_type(&request).eq_ignore_ascii_case("application/json") {
            let detail = "The body must be sent as application/json.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
        }
        let bytes = body(request, BODY_MAX_BYTES).await?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let inner = error.into_inner();
            if inner.is_data() {
                Problem::field(if path == "." { missing_field(&inner) } else { path }, inner.to_string())
            } else {
                Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("The body is not JSON: {inner}."))
            }
        })?;
        json.end().map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("The body is not JSON: {error}."))
        })?;
        Ok(Self { value, bytes })
    }
}

/// The whole body of a request.
async fn body(request: Request, max_bytes: usize) -> Result<bytes::Bytes, Problem> {
    match Limited::new(request.into_body(), max_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("The body is longer than {max_bytes} bytes.");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail))
        }
        Err(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "body_incomplete", "The body did not arrive.")),
    }
}

/// The media type of a request's body, without its parameters.
fn media_type(request: &Request) -> &str {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim()
}

/// The media type of a file that `belay-agent survey --save` has written.
pub(crate) const SAVED_REPORT: &str = "application/vnd.belay.report";

/// A body that is such a file.
pub(crate) struct SavedFile(pub(crate) bytes::Bytes);

impl<S: Send + Sync> FromRequest<S> for SavedFile {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        // As with JSON, no other site's form can send this without asking.
        if !media_type(&request).eq_ignore_ascii_case(SAVED_REPORT) {
            let detail = format!("The body must be sent as {SAVED_REPORT}.");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_report", detail));
        }
        body(request, SAVED_MAX_BYTES).await.map(Self)
    }
}

/// A body that is a file for a ticket: its media type, of those that a ticket takes, and its content.
pub(crate) struct AttachedFile(pub(crate) &'static str, pub(crate) bytes::Bytes);

impl<S: Send + Sync> FromRequest<S> for AttachedFile {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let sent = media_type(&request);
        let known = MEDIA_TYPES.iter().find(|known| known.eq_ignore_ascii_case(sent)).copied();
        let known = known.ok_or_else(|| {
            let detail = format!("A ticket takes files of these types: {}.", MEDIA_TYPES.join(", "));
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "type_not_taken", detail)
        })?;
        let bytes = body(request, ATTACHMENT_MAX_BYTES).await?;
        if bytes.is_empty() { Err(Problem::field("body", "The file is empty.")) } else { Ok(Self(known, bytes)) }
    }
}

/// serde names a missing or unknown field between backticks in its message, and the path then ends at the object.
fn missing_field(error: &serde_json::Error) -> String {
    error.to_string().split('`').nth(1).unwrap_or(".").to_owned()
}

/// Parameters of the query string.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::field("query", error.body_text())),
        }
    }
}

/// The part of the path that names one thing; what cannot be a name names nothing.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(value)| Self(value))
            .map_err(|_| Problem::not_found())
    }
}

/// A page of a list.
#[derive(serde::Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// How many items, at most 200.
    #[param(minimum = 1, maximum = 200)]
    pub(crate) limit: Option<u64>,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// The number of items to read.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(DEFAULT_LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(limit as usize),
            _ => Err(Problem::field("limit", format!("limit is a number from 1 to {MAX_LIMIT}."))),
        }
    }

    /// The cursor as the id it stands for.
    pub(crate) fn id(&self) -> Result<Option<i64>, Problem> {
        let parsed = self.cursor.as_deref().map(str::parse).transpose();
        parsed.map_err(|_| Problem::field("cursor", "cursor is not one that this list gave."))
    }

    /// The cursor as the ticket it stands for.
    pub(crate) fn number(&self) -> Result<Option<TicketNumber>, Problem> {
        Ok(self.id()?.map(TicketNumber::from_serial))
    }
}

/// The `Idempotency-Key` of a request, if it has one.
pub(crate) fn once(headers: &HeaderMap, actor: &Actor, route: &str, body: &[u8]) -> Result<Option<Once>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| (1..=128).contains(&key.len()));
    let key = key.ok_or_else(|| Problem::field("Idempotency-Key", "The key has 1 to 128 visible ASCII characters."))?;
    Ok(Some(Once::new(actor, key, &[route.as_bytes(), b"\0", body].concat())))
}

const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 200;
