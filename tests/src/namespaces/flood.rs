//! Packets with whatever source address one likes, many of them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, sendto, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Namespace;

/// Where packets pretend to come from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// Another address and port for each.
    MadeUp,
    /// Somebody else's.
    Stolen(SocketAddrV4),
}

/// What a flood consists of.
#[derive(Debug, Clone)]
pub struct Wave {
    /// UDP payloads, sent in turns.
    pub payloads: Vec<Vec<u8>>,
    /// Bytes that are random in each packet.
    pub random: Range<usize>,
    /// Where they seem to come from.
    pub source: Source,
    /// Where they go.
    pub to: SocketAddrV4,
    /// Packets a second that are tried.
    pub per_second: u64,
}

/// A thread that sends until it is dropped.
#[derive(Debug)]
pub struct Flood {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Starts one in `namespace`.
    pub fn start(namespace: &Namespace, wave: Wave) -> anyhow::Result<Self> {
        let path = format!("/run/netns/{}", namespace.name);
        let file = File::open(&path).with_context(|| path.clone())?;
        let (sent, stop): (Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
        let (count, stopped) = (Arc::clone(&sent), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            if let Err(error) = send(&file, &wave, &count, &stopped) {
                tracing::error!(%error, "a flood ended");
            }
        });
        Ok(Self { sent, stop, thread: Some(thread) })
    }

    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn send(namespace: &File, wave: &Wave, count: &AtomicU64, stop: &AtomicBool) -> anyhow::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    // IPPROTO_RAW: the header is ours, and the system fills in its checksum.
    let raw = Protocol::from_raw(std::num::NonZero::new(255).context("not zero")?);
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(raw))?;
    let mut random = SmallRng::from_rng(&mut rand::rng());
    let mut packet = Vec::new();
    let began = Instant::now();
    let mut payloads = wave.payloads.iter().cycle();
    while !stop.load(Ordering::Relaxed) {
        for payload in payloads.by_ref().take(BURST) {
            let source = match wave.source {
                Source::Stolen(source) => source,
                Source::MadeUp => made_up(&mut random),
            };
            packet.clear();
            packet.extend_from_slice(&headers(source, wave.to, payload.len()));
            packet.extend_from_slice(payload);
            random.fill_bytes(&mut packet[HEADERS_BYTES..][wave.random.clone()]);
            if sendto(&socket, &packet, SendFlags::empty(), &wave.to).is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        let due = Duration::from_secs_f64(count.load(Ordering::Relaxed) as f64 / wave.per_second as f64);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    Ok(())
}

/// A public address that nobody in a topology has.
fn made_up(random: &mut SmallRng) -> SocketAddrV4 {
    let [b, c, d] = random.random::<[u8; 3]>();
    SocketAddrV4::new(Ipv4Addr::new(random.random_range(11..=120), b, c, d), random.random_range(1_024..u16::MAX))
}

/// Headers of IPv4 and UDP; no checksum in the latter, which IPv4 allows.
fn headers(from: SocketAddrV4, to: SocketAddrV4, payload_bytes: usize) -> [u8; HEADERS_BYTES] {
    const TTL: u8 = 64;
    const UDP: u8 = 17;
    let mut headers = [0; HEADERS_BYTES];
    headers[0] = 0x45;
    headers[2..4].copy_from_slice(&((HEADERS_BYTES + payload_bytes) as u16).to_be_bytes());
    headers[8..10].copy_from_slice(&[TTL, UDP]);
    headers[12..16].copy_from_slice(&from.ip().octets());
    headers[16..20].copy_from_slice(&to.ip().octets());
    headers[20..22].copy_from_slice(&from.port().to_be_bytes());
    headers[22..24].copy_from_slice(&to.port().to_be_bytes());
    headers[24..26].copy_from_slice(&((UDP_HEADER_BYTES + payload_bytes) as u16).to_be_bytes());
    headers
}

const UDP_HEADER_BYTES: usize = 8;

/// Of IPv4 and UDP.
pub const HEADERS_BYTES: usize = 20 + UDP_HEADER_BYTES;

/// Packets between two looks at the clock. Few, because pauses between bursts would let others in.
const BURST: usize = 8;
