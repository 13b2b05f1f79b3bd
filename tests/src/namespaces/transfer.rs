//! A file's worth of bytes over a link, with its hash at both ends.

use std::time::{Duration, Instant};

use anyhow::Context;
use aws_lc_rs::digest::{Context as Hash, SHA256};
use belay_relay::client::Link;
use rand::Rng;

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: Vec<u8>,
}

/// What arrived, and when.
#[derive(Debug, Clone)]
pub struct Received {
    /// All of it.
    pub sent: Sent,
    /// From the first byte to the last.
    pub took: Duration,
    /// The longest time without a byte.
    pub longest_gap: Duration,
}

impl Received {
    /// 10^6 bytes a second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.sent.bytes as f64 / 1e6 / self.took.as_secs_f64()
    }
}

/// Sends `bytes`, rounded up to whole chunks, or for as long as `lasting`; waits until they have arrived.
pub async fn send(link: Link, bytes: u64, lasting: Duration) -> anyhow::Result<Sent> {
    let mut chunk = vec![0; CHUNK_BYTES];
    rand::rng().fill_bytes(&mut chunk);
    let (began, mut sent, mut hash) = (Instant::now(), 0_u64, Hash::new(&SHA256));
    let mut stream = link.open_uni().await?;
    while sent < bytes && began.elapsed() < lasting {
        // No two are the same, so that one that is missing or misplaced shows.
        chunk[..8].copy_from_slice(&sent.to_be_bytes());
        hash.update(&chunk);
        stream.write_all(&chunk).await?;
        sent += CHUNK_BYTES as u64;
    }
    stream.finish()?;
    stream.stopped().await.context("the end did not arrive")?;
    Ok(Sent { bytes: sent, sha256: hash.finish().as_ref().to_vec() })
}

/// Receives what [`send`] sends at the other end; `progress` is told of each piece how many bytes there are.
pub async fn receive(link: Link, progress: impl Fn(u64) + Send) -> anyhow::Result<Received> {
    let mut stream = link.accept_uni().await?;
    let (mut bytes, mut hash) = (0, Hash::new(&SHA256));
    let began = Instant::now();
    let (mut last, mut longest_gap) = (began, Duration::ZERO);
    while let Some(chunk) = stream.read_chunk(CHUNK_BYTES, true).await? {
        let now = Instant::now();
        longest_gap = longest_gap.max(now - last);
        last = now;
        bytes += chunk.bytes.len() as u64;
        hash.update(&chunk.bytes);
        progress(bytes);
    }
    let sent = Sent { bytes, sha256: hash.finish().as_ref().to_vec() };
    Ok(Received { sent, took: last - began, longest_gap })
}

const CHUNK_BYTES: usize = 64 * 1024;
