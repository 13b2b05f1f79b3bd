//! The live stream of events (server-sent events), resumed by `Last-Event-ID`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use futures_util::stream;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::Api;
use super::guard::Caller;
use super::metrics::OpenStream;
use super::problem::Problem;
use super::request::Params;
use crate::store::{Event, EventId, Events, Store};

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Start {
    /// The id of the last event that is known, for a first connection; `Last-Event-ID` wins.
    after: Option<i64>,
}

/// Streams events as they happen; each has its id, and a JSON `Event` as its data.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(Start, ("Last-Event-ID" = Option<i64>, Header, description = "Continue after this event")),
    responses((status = 200, body = Event, content_type = "text/event-stream"), (status = 401, body = Problem)))]
pub(crate) async fn events(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(start): Params<Start>,
) -> Result<impl IntoResponse, Problem> {
    let resumed = match headers.get("last-event-id") {
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.trim().parse().ok());
            Some(id.ok_or_else(|| Problem::field("Last-Event-ID", "Last-Event-ID is the id of an event."))?)
        }
        None => start.after,
    };
    let last = match resumed {
        Some(id) => EventId(id),
        None => api.store.newest_event().await?,
    };
    let stream = Stream {
        events: api.store.events_after(last),
        store: api.store.clone(),
        caller,
        shutdown: api.shutdown.clone(),
        check: tokio::time::interval(SIGN_IN_CHECKED_EVERY),
        _open: api.traffic.stream(),
    };
    let frames = stream::unfold(stream, |mut stream| async {
        let event = stream.next().await?;
        let frame = Frame::default().id(event.id.to_string()).json_data(&event).unwrap_or_default();
        Some((Ok::<_, Infallible>(frame), stream))
    });
    Ok(Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Stream {
    events: Events,
    store: Store,
    caller: Caller,
    shutdown: CancellationToken,
    check: tokio::time::Interval,
    _open: OpenStream,
}

impl Stream {
    /// The next event, or nothing when the sign-in or the console has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                event = self.events.next() => return event.inspect_err(|error| {
                    tracing::error!(%error, "a live stream ends, because the store failed");
                }).ok(),
                () = self.shutdown.cancelled() => return None,
                _ = self.check.tick() => if !self.is_signed_in().await { return None },
            }
        }
    }

    async fn is_signed_in(&self) -> bool {
        let Caller { signed_in, program, .. } = &self.caller;
        let live = match (signed_in, program) {
            (Some((_, token)), _) => self.store.is_signed_in(token).await,
            (None, Some((_, token))) => self.store.is_api_token_live(token).await,
            (None, None) => return true,
        };
        live.unwrap_or(false)
    }
}

/// A stream is to outlive its sign-in by no more than two seconds, with time to ask the store.
const SIGN_IN_CHECKED_EVERY: Duration = Duration::from_millis(1_500);

/// Shorter than the idle timeouts of common proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
