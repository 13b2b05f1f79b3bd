//! Taking the whole desk away, encrypted: for the command line on the desk's own machine alone.

use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use super::Api;
use super::guard::Caller;
use super::problem::Problem;
use super::request::Json;
use crate::backup::{self, Recipient};

/// Who may read the backup.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBackup {
    /// Public halves of age identities (`age1...`), 1 to 16.
    #[schema(min_items = 1, max_items = 16)]
    recipients: Vec<String>,
}

/// Makes a backup of everything and answers with it, encrypted to the recipients. Only over the console's own socket. An
/// answer that breaks off is no backup.
#[utoipa::path(post, path = "/api/v1/backups", tag = "desk", request_body = NewBackup,
    responses(
        (status = 200, body = String, content_type = "application/octet-stream"),
        (status = 403, body = Problem),
        (status = 422, body = Problem),
        (status = 503, body = Problem),
    ))]
pub(crate) async fn make(
    State(api): State<Api>,
    caller: Caller,
    body: Json<NewBackup>,
) -> Result<impl IntoResponse, Problem> {
    let Some(data) = api.profile.data.clone() else {
        let detail = "This console has no directory to make a backup of.";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_directory", detail));
    };
    let refused = |detail: String| Problem::field("recipients", detail);
    let recipients: Result<Vec<Recipient>, _> = body.value.recipients.iter().map(|text| text.parse()).collect();
    let recipients = recipients.map_err(|error| refused(format!("{error}.")))?;
    if !(1..=RECIPIENTS_MAX).contains(&recipients.len()) {
        return Err(refused(format!("A backup has 1 to {RECIPIENTS_MAX} recipients.")));
    }
    let (parts, body) = mpsc::channel(PARTS_AHEAD);
    let broken = parts.clone();
    let (store, actor) = (api.store.clone(), caller.actor);
    tokio::spawn(async move {
        if let Err(error) = backup::make(&store, &data, recipients, &actor, BodyWriter(parts)).await {
            tracing::error!(%error, "no backup could be made");
            // The answer is broken off: half a backup must not look like one.
            let _ = broken.send(Err(io::Error::other("the backup could not be made"))).await;
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((headers, Body::from_stream(ReceiverStream::new(body))))
}

/// A body that is written by a thread.
struct BodyWriter(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const RECIPIENTS_MAX: usize = 16;

/// Parts of 64 KiB that wait for the reader.
const PARTS_AHEAD: usize = 8;
