//! What every contender carries between two ends, and how it is timed.
//!
//! Bulk goes one way, over streams that are opened for it; the receiver answers each with the number of bytes that it
//! has, which is what counts. Round trips are small messages that the other end returns, on a stream that goes before
//! the others, as keystrokes go before a file.
//!
//! This file is also compiled into `tests/peers/iroh-peer`, so that iroh's streams are driven by the same code. It
//! therefore names no QUIC library, and takes streams as tokio's traits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::process;

/// One end of a connection that carries streams.
pub(crate) trait Session: Clone + Send + Sync + 'static {
    /// The sending half of a stream. Its `shutdown` ends the stream.
    type Writer: AsyncWrite + Unpin + Send;
    /// The receiving half of a stream.
    type Reader: AsyncRead + Unpin + Send;

    /// Opens a stream; the other end learns of it with the first byte.
    fn open(&self) -> impl Future<Output = io::Result<(Self::Writer, Self::Reader)>> + Send;

    /// Accepts the next stream.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Writer, Self::Reader)>> + Send;

    /// Lets a stream go before those that were not preferred.
    fn prefer(writer: &Self::Writer);
}

/// How much is measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Bytes of one bulk transfer, over all its streams.
    pub(crate) bulk_bytes: u64,
    /// Time after which a slow contender's bulk transfer is cut short.
    pub(crate) bulk_seconds: f64,
    /// Round trips with nothing else going on.
    pub(crate) pings: usize,
    /// How long a bulk transfer runs beside the round trips under load.
    pub(crate) loaded_seconds: f64,
}

/// One bulk transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bulk {
    /// Streams at once.
    pub(crate) streams: usize,
    /// Bytes that arrived.
    pub(crate) bytes: u64,
    /// From the first byte to the last answer.
    pub(crate) seconds: f64,
    /// What the relay's process used meanwhile; absent where there is no relay.
    pub(crate) relay_cpu_seconds: Option<f64>,
}

/// Round trips.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RoundTrips {
    /// How many.
    pub(crate) count: usize,
    /// Median, in microseconds.
    pub(crate) p50_us: f64,
    /// 99th percentile, in microseconds.
    pub(crate) p99_us: f64,
}

/// What one contender did in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// One transfer for each of [`BULK_STREAMS`].
    pub(crate) bulk: Vec<Bulk>,
    /// Round trips alone.
    pub(crate) idle: RoundTrips,
    /// Round trips beside a bulk transfer on the same connection.
    pub(crate) loaded: RoundTrips,
}

/// Streams of the bulk transfers.
pub(crate) const BULK_STREAMS: [usize; 2] = [1, 8];

/// Measures a connection from `ours` to `theirs`, both in this process; `relay` is the process between them.
pub(crate) async fn measure<S: Session, T: Session>(
    ours: &S,
    theirs: &T,
    plan: &Plan,
    relay: Option<u32>,
) -> anyhow::Result<Figures> {
    let mut serving = JoinSet::new();
    serving.spawn(serve(theirs.clone()));
    let cpu = || relay.map(process::cpu).transpose();

    send(ours, 1, WARM_UP_BYTES, Duration::from_secs_f64(plan.bulk_seconds)).await.context("warming up")?;
    let mut bulk = Vec::new();
    for streams in BULK_STREAMS {
        let (used, start) = (cpu()?, Instant::now());
        let bytes = send(ours, streams, plan.bulk_bytes, Duration::from_secs_f64(plan.bulk_seconds)).await?;
        let seconds = start.elapsed().as_secs_f64();
        let used = cpu()?.zip(used).map(|(after, before)| after.saturating_sub(before).as_secs_f64());
        bulk.push(Bulk { streams, bytes, seconds, relay_cpu_seconds: used });
    }

    let mut pinger = Pinger::open(ours).await?;
    pinger.run(WARM_UP_PINGS).await?;
    let idle = RoundTrips::of(pinger.run(plan.pings).await?)?;

    let load = Duration::from_secs_f64(plan.loaded_seconds);
    let end = Instant::now() + load;
    let mut loading = JoinSet::new();
    let session = ours.clone();
    loading.spawn(async move { send(&session, 1, u64::MAX, load).await });
    tokio::time::sleep(load.mul_f64(RAMP)).await;
    let mut loaded = Vec::new();
    while Instant::now() < end {
        loaded.push(pinger.ping().await?);
        tokio::time::sleep(PING_PAUSE).await;
    }
    loading.join_next().await.context("no load")???;
    Ok(Figures { bulk, idle, loaded: RoundTrips::of(loaded)? })
}

/// Sends `bytes` over `streams`, or what can be sent within `limit`; the bytes that arrived.
async fn send<S: Session>(session: &S, streams: usize, bytes: u64, limit: Duration) -> anyhow::Result<u64> {
    let (left, end) = (Arc::new(AtomicU64::new(bytes)), Instant::now() + limit);
    let mut uploads = JoinSet::new();
    for _ in 0..streams {
        let (session, left) = (session.clone(), Arc::clone(&left));
        uploads.spawn(async move { upload(&session, &left, end).await });
    }
    let mut arrived = 0;
    while let Some(upload) = uploads.join_next().await {
        arrived += upload??;
    }
    ensure!(arrived > 0, "nothing arrived");
    Ok(arrived)
}

async fn upload<S: Session>(session: &S, left: &AtomicU64, end: Instant) -> io::Result<u64> {
    let (mut writer, mut reader) = session.open().await?;
    writer.write_u8(BULK).await?;
    let chunk = vec![0x5a; CHUNK_BYTES];
    let take = |left: u64| left.checked_sub(CHUNK_BYTES as u64);
    while Instant::now() < end && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        writer.write_all(&chunk).await?;
    }
    writer.shutdown().await?;
    reader.read_u64().await
}

struct Pinger<S: Session> {
    writer: S::Writer,
    reader: S::Reader,
}

impl<S: Session> Pinger<S> {
    async fn open(session: &S) -> io::Result<Self> {
        let (mut writer, reader) = session.open().await?;
        S::prefer(&writer);
        writer.write_u8(ECHO).await?;
        Ok(Self { writer, reader })
    }

    async fn run(&mut self, pings: usize) -> io::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(pings);
        for _ in 0..pings {
            times.push(self.ping().await?);
        }
        Ok(times)
    }

    async fn ping(&mut self) -> io::Result<Duration> {
        let mut message = [0x77; PING_BYTES];
        let start = Instant::now();
        self.writer.write_all(&message).await?;
        self.reader.read_exact(&mut message).await?;
        Ok(start.elapsed())
    }
}

/// Answers streams until the connection ends.
async fn serve<S: Session>(session: S) -> io::Result<()> {
    let mut streams = JoinSet::new();
    loop {
        let (writer, reader) = session.accept().await?;
        streams.spawn(answer::<S>(writer, reader));
    }
}

async fn answer<S: Session>(mut writer: S::Writer, mut reader: S::Reader) -> io::Result<()> {
    if reader.read_u8().await? == BULK {
        let (mut buffer, mut bytes) = (vec![0; CHUNK_BYTES], 0);
        loop {
            match reader.read(&mut buffer).await? {
                0 => break,
                read => bytes += read as u64,
            }
        }
        writer.write_u64(bytes).await?;
        return writer.shutdown().await;
    }
    S::prefer(&writer);
    let mut message = [0; PING_BYTES];
    loop {
        reader.read_exact(&mut message).await?;
        writer.write_all(&message).await?;
    }
}

impl RoundTrips {
    fn of(mut times: Vec<Duration>) -> anyhow::Result<Self> {
        times.sort_unstable();
        let last = times.len().checked_sub(1).context("no round trip was finished")?;
        let at = |part: f64| times[(part * last as f64).round() as usize].as_secs_f64() * 1e6;
        Ok(Self { count: times.len(), p50_us: at(0.50), p99_us: at(0.99) })
    }
}

/// The first byte of a stream says what is done with the rest.
const BULK: u8 = b'B';
const ECHO: u8 = b'E';

/// What is written to and read from a stream at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// About a keystroke with its framing.
const PING_BYTES: usize = 64;

/// Enough for path MTU discovery and for the congestion controller to leave its start.
const WARM_UP_BYTES: u64 = 16 * 1024 * 1024;

/// Round trips that are not counted.
const WARM_UP_PINGS: usize = 100;

/// The part of a transfer's time after which round trips beside it are counted.
const RAMP: f64 = 0.1;

/// Between round trips under load, which are not to become a load themselves.
const PING_PAUSE: Duration = Duration::from_millis(1);
