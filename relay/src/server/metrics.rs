//! What the relay does, in figures that Prometheus and its kin read: the text format 0.0.4 over HTTP/1.1.
//!
//! The figures are read when they are asked for. They name no address, no key and no organization.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TEXT_FORMAT, TextEncoder};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{DropReason, RelayHandle, StartError};
use crate::net::{ByteStream, Net, StreamListener};

/// The listener on which the figures can be had.
#[derive(Debug)]
pub struct Metrics {
    listener: Box<dyn StreamListener>,
    started_unix_ms: i64,
}

impl Metrics {
    /// Listens on TCP `address`. Needs a tokio runtime.
    pub fn bind(net: &dyn Net, address: SocketAddr) -> Result<Self, StartError> {
        let wrong = |source| StartError::Listen { protocol: "TCP", address, source };
        Ok(Self { listener: net.listen(address).map_err(wrong)?, started_unix_ms: net.unix_ms() })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop`. A connection is good for one request and for a few seconds; at the limit of connections the
    /// oldest makes room, so that those who ask for nothing are in nobody's way.
    pub async fn serve(self, relay: RelayHandle, stop: CancellationToken) {
        let connections = TaskTracker::new();
        // Each is cancelled when its connection has ended, or is to end.
        let mut open = VecDeque::<CancellationToken>::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    open.retain(|connection| !connection.is_cancelled());
                    if open.len() >= CONNECTIONS_MAX
                        && let Some(oldest) = open.pop_front()
                    {
                        oldest.cancel();
                    }
                    let over = stop.child_token();
                    open.push_back(over.clone());
                    let (relay, started) = (relay.clone(), self.started_unix_ms);
                    connections.spawn(async move {
                        let _over = over.clone().drop_guard();
                        tokio::select! {
                            () = over.cancelled() => {}
                            () = answer(stream, &relay, started) => {}
                        }
                    });
                }
                Err(error) => {
                    // Out of descriptors, as a rule: it does not get better by trying at once.
                    tracing::warn!(%error, "a request for metrics could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }
}

/// Answers the one request of a connection.
async fn answer(stream: Box<dyn ByteStream>, relay: &RelayHandle, started_unix_ms: i64) {
    let service = service_fn(|request: Request<_>| {
        let answer = respond(&request, || exposition(relay, started_unix_ms));
        async { Ok::<_, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(HEAD_MAX_BYTES).keep_alive(false);
    match timeout(CONNECTION_DEADLINE, builder.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request for metrics ended early"),
        Err(_) => tracing::debug!("a request for metrics took too long"),
    }
}

fn respond<B>(
    request: &Request<B>,
    exposition: impl FnOnce() -> Result<String, prometheus::Error>,
) -> Response<Full<Bytes>> {
    let plain = |status, text: &'static str| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "The figures are at /metrics.\n");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "The figures can only be read.\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match exposition() {
        Ok(text) => {
            let mut response = Response::new(Full::from(text));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT));
            response
        }
        Err(error) => {
            tracing::error!(%error, "the figures cannot be written");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "The figures cannot be written; the log says why.\n")
        }
    }
}

/// Every figure of this moment.
fn exposition(relay: &RelayHandle, started_unix_ms: i64) -> Result<String, prometheus::Error> {
    let figures = Figures(Registry::new());
    let (endpoints, pairs) = relay.counts();
    let caps = relay.caps();
    figures.gauge("belay_relay_endpoints", "Agents and consoles that are registered.", endpoints)?;
    figures.gauge("belay_relay_endpoints_max", "Endpoints at which further ones are refused.", caps.endpoints)?;
    figures.gauge("belay_relay_desks", "Consoles that are registered.", relay.desks())?;
    figures.gauge("belay_relay_pairs", "Agents and consoles that may exchange packets.", pairs)?;
    figures.gauge("belay_relay_pairs_max", "Pairs at which further ones are refused.", caps.pairs)?;
    figures.gauge("belay_relay_tunnels", "Open tunnels over TCP.", relay.tunnels())?;
    figures.gauge("belay_relay_draining", "1 when the relay is about to stop.", usize::from(relay.is_draining()))?;

    let behind = "1 when denials hold that could not be written and that a restart would forget.";
    figures.gauge("belay_relay_deny_list_behind", behind, usize::from(relay.is_deny_list_behind()))?;

    let counters = relay.counters();
    figures.counter("belay_relay_forwarded_bytes_total", "Bytes sent on.", &counters.forwarded_bytes)?;
    figures.counter("belay_relay_forwarded_packets_total", "Packets sent on.", &counters.forwarded_packets)?;
    let sends =
        "System calls that sent packets on over UDP. Packets a send fall to 1 when segmentation offload is lost.";
    figures.counter("belay_relay_sends_total", sends, &counters.sends)?;
    figures.counter(
        "belay_relay_local_datagrams_total",
        "Packets for the relay's own control plane.",
        &counters.local,
    )?;
    let dropped = DropReason::ALL.map(|(reason, name)| (name, counters.dropped(reason)));
    figures.counters("belay_relay_dropped_packets_total", "Packets dropped, by reason.", "reason", dropped)?;
    let handshakes = relay.handshakes();
    let outcomes = [
        ("completed", &handshakes.completed),
        ("failed", &handshakes.failed),
        ("retried", &handshakes.retried),
        ("refused", &handshakes.refused),
        ("looked", &handshakes.looked),
    ];
    let outcomes = outcomes.map(|(name, count)| (name, count.load(Ordering::Relaxed)));
    figures.counters("belay_relay_handshakes_total", "Control handshakes, by outcome.", "outcome", outcomes)?;
    let fates = relay.tunnel_fates();
    let fates = [
        ("registered", &fates.registered),
        ("failed", &fates.failed),
        ("expired", &fates.expired),
        ("displaced", &fates.displaced),
        ("refused", &fates.refused),
    ];
    figures.counters(
        "belay_relay_tunnels_total",
        "TCP connections for tunnels, by what became of them.",
        "fate",
        fates.map(|(name, count)| (name, count.load(Ordering::Relaxed))),
    )?;

    let start = Gauge::new("process_start_time_seconds", "When the process started, in seconds since 1970.")?;
    start.set(started_unix_ms as f64 / 1_000.0);
    figures.add(start)?;
    let build = Opts::new("belay_relay_build_info", "The version that runs; the value is always 1.");
    let build = IntGaugeVec::new(build, &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    figures.add(build)?;
    TextEncoder::new().encode_to_string(&figures.0.gather())
}

/// Figures that are about to be written.
struct Figures(Registry);

impl Figures {
    fn add(&self, figure: impl Collector + 'static) -> Result<(), prometheus::Error> {
        self.0.register(Box::new(figure))
    }

    fn gauge(&self, name: &str, help: &str, value: usize) -> Result<(), prometheus::Error> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.add(gauge)
    }

    fn counter(&self, name: &str, help: &str, value: &AtomicU64) -> Result<(), prometheus::Error> {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value.load(Ordering::Relaxed));
        self.add(counter)
    }

    fn counters<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: [(&str, u64); N],
    ) -> Result<(), prometheus::Error> {
        let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
        for (of, value) in values {
            counters.with_label_values(&[of]).inc_by(value);
        }
        self.add(counters)
    }
}

/// Connections at once: a scraper or two, a person with curl, and some that ask for nothing.
const CONNECTIONS_MAX: usize = 32;

/// Time for a request's head, and for the whole of a connection.
const HEAD_DEADLINE: Duration = Duration::from_secs(3);
const CONNECTION_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of a request's head; hyper takes no less.
const HEAD_MAX_BYTES: usize = 8 * 1024;

const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
