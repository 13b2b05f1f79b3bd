//! What the console does, in figures that Prometheus and its kin read: the text format 0.0.4.
//!
//! The figures name no customer, user, device or address. Whoever asks needs the action `read_metrics`: a program's token,
//! as for the rest of the API.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus::core::Collector;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TEXT_FORMAT, TextEncoder,
};

use super::Api;
use super::problem::Problem;
use crate::backup;
use crate::clock::UnixMillis;

/// What is counted while the console runs.
#[derive(Debug)]
pub(crate) struct Traffic {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    streams: IntGauge,
}

impl Traffic {
    /// Begins to count at `started`.
    pub(crate) fn begin(started: UnixMillis) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counted = Opts::new("belay_console_requests_total", "Requests that were answered, by route and status.");
        let requests = IntCounterVec::new(counted, &["method", "route", "status"])?;
        let timed = "Time from a request's head to its answer's, in seconds, by route.";
        let timed = HistogramOpts::new("belay_console_request_seconds", timed).buckets(BUCKETS_S.to_vec());
        let seconds = HistogramVec::new(timed, &["route"])?;
        let streams = IntGauge::new("belay_console_live_streams", "Open streams of events.")?;
        let start = Gauge::new("process_start_time_seconds", "When the process started, in seconds since 1970.")?;
        start.set(started.0 as f64 / 1_000.0);
        let build = Opts::new("belay_console_build_info", "The version that runs; the value is always 1.");
        let build = IntGaugeVec::new(build, &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let all: [Box<dyn Collector>; 5] = [
            Box::new(requests.clone()),
            Box::new(seconds.clone()),
            Box::new(streams.clone()),
            Box::new(start),
            Box::new(build),
        ];
        all.into_iter().try_for_each(|figure| registry.register(figure))?;
        Ok(Self { registry, requests, seconds, streams })
    }

    /// Counts a stream of events as open until what is returned is dropped.
    pub(crate) fn stream(&self) -> OpenStream {
        self.streams.inc();
        OpenStream(self.streams.clone())
    }
}

/// A stream that is open.
pub(crate) struct OpenStream(IntGauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts a request and the time that it takes.
pub(super) async fn count(
    State(traffic): State<Arc<Traffic>>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = match *request.method() {
        axum::http::Method::GET | axum::http::Method::HEAD => "GET",
        axum::http::Method::POST => "POST",
        axum::http::Method::PUT => "PUT",
        axum::http::Method::PATCH => "PATCH",
        axum::http::Method::DELETE => "DELETE",
        // Whatever a stranger calls it must not become a figure of its own.
        _ => "other",
    };
    let response = next.run(request).await;
    // The table of routes bounds the names; all else is the web console's files, or nothing.
    let route = matched.as_ref().map_or("files", MatchedPath::as_str);
    traffic.requests.with_label_values(&[method, route, response.status().as_str()]).inc();
    traffic.seconds.with_label_values(&[route]).observe(begun.elapsed().as_secs_f64());
    response
}

/// Every figure of this moment, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "desk",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 403, body = Problem)))]
pub(crate) async fn show(State(api): State<Api>) -> Result<impl IntoResponse, Problem> {
    let counts = api.store.counts().await?;
    let newest = match api.profile.backup_folder.clone() {
        Some(folder) => {
            tokio::task::spawn_blocking(move || backup::newest(&folder).ok().flatten()).await.ok().flatten()
        }
        None => None,
    };
    let now = api.store.clock().now();
    let written = (|| {
        let figures = Registry::new();
        let gauge = |name: &str, help: &str, value: i64| {
            let gauge = IntGauge::new(name, help)?;
            gauge.set(value);
            figures.register(Box::new(gauge))
        };
        let tickets = Opts::new("belay_console_tickets", "Tickets, by state.");
        let tickets = IntGaugeVec::new(tickets, &["state"])?;
        for (state, count) in &counts.tickets {
            tickets.with_label_values(&[state.as_str()]).set(*count);
        }
        figures.register(Box::new(tickets))?;
        gauge("belay_console_sessions_live", "Sessions with customers' machines that go on.", counts.live_sessions)?;
        gauge("belay_console_devices", "Devices that have ever joined.", counts.devices)?;
        gauge("belay_console_reports", "Reports that are kept.", counts.reports)?;
        gauge("belay_console_audit_lines", "Lines of the audit.", counts.audit_lines)?;
        gauge("belay_console_accounts_locked", "Accounts whose password is locked.", counts.locked)?;
        if api.profile.backup_folder.is_some() {
            let age = newest.map_or(-1, |newest| i64::try_from(now.since(newest).as_secs()).unwrap_or(i64::MAX));
            let help = "Seconds since the newest backup in the folder was made; -1 when there is none.";
            gauge("belay_console_backup_age_seconds", help, age)?;
        }
        let mut families = api.traffic.registry.gather();
        families.extend(figures.gather());
        TextEncoder::new().encode_to_string(&families)
    })();
    match written {
        Ok(text) => Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text)),
        Err(error) => {
            tracing::error!(%error, "the figures cannot be written");
            let detail = "The figures cannot be written; the log says why.";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", detail))
        }
    }
}

/// From what a page needs to what its reader no longer waits for, in seconds.
const BUCKETS_S: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
