//! `cargo bench -p belay-tests --bench crowd`: thousands of agents at one relay: what each costs it, and how they come back after it was killed.
//!
//! The relay is a process of its own, started and killed as an operator's would be; the agents are real clients in this
//! process, each with a socket of its own on an address of 127.0.0.0/8. Nothing else is simulated.

use std::collections::{HashMap, HashSet};
use std::io::{self, IoSliceMut, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use belay_protocol::invite::RelayAddress;
use belay_relay::client::{Client, ClientOptions, Notice, Role};
use belay_relay::identity::Identity;
use belay_relay::net::{ByteStream, Later, Net, RelaySocket, StreamListener, SystemNet};
use clap::Parser;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use rustix::process::{Resource, Rlimit};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use belay_tests::bench::{Shortfalls, ended, load, say};
use belay_tests::programs::{Program, Running, free_port};

/// Measures a relay with many idle agents, and their return after it was killed.
#[derive(Debug, Parser)]
#[command(
    name = "crowd",
    after_help = "Example:\n  cargo bench -p belay-tests --bench crowd -- --agents 10000 --hold 600"
)]
struct Options {
    /// Agents that register
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Seconds for which they are held
    #[arg(long, default_value_t = 600)]
    hold: u64,
    /// Kill the relay afterwards, start it again and see this many of them return (the others leave before)
    #[arg(long, default_value_t = 5_000)]
    returning: usize,
    /// Seconds between the kill and the start
    #[arg(long, default_value_t = 1)]
    away: u64,
    /// The same for a second kill, after which agents try in vain
    #[arg(long, default_value_t = 60)]
    long_away: u64,
    /// Only hold the agents, at a relay that runs already, for example under a profiler
    #[arg(long, value_name = "HOST:PORT#KEY")]
    at: Option<RelayAddress>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    ended("crowd", Options::parse().run())
}

/// Agents that register at the same time while the crowd gathers.
const GATHERING: usize = 64;

/// Descriptors beside the agents' sockets: of runtimes, and of connections that are tried. One that returns tries TCP
/// beside UDP for a moment.
const DESCRIPTORS_BESIDE: usize = 4_000;

/// Time for all to be back after the relay's restart before the measurement is given up.
const RETURN_DEADLINE: Duration = Duration::from_secs(180);

/// Megabytes of a relay with 10,000 idle agents.
const IDLE_MB: f64 = 300.0;

/// Until 5,000 are back after the kill.
const RETURN: Duration = Duration::from_secs(60);

/// Between two attempts of one agent.
const ATTEMPT_EVERY: Duration = Duration::from_secs(1);

/// The relay's peak in the return, of its memory afterwards.
const PEAK_OF_IDLE: f64 = 2.0;

impl Options {
    fn run(&self) -> anyhow::Result<Shortfalls> {
        raise_descriptors((self.agents.max(2 * self.returning) + DESCRIPTORS_BESIDE) as u64)?;
        if let Some(relay) = &self.at {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            return runtime.block_on(async {
                let _crowd = Crowd::gather(relay, self.agents).await?;
                say(&format!("{} agents are held for {} s", self.agents, self.hold));
                tokio::time::sleep(Duration::from_secs(self.hold)).await;
                Ok(Shortfalls::default())
            });
        }
        say("building the relay by itself, optimised");
        let program = Program::Relay.release()?;
        let data = tempfile::tempdir()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.measure(&program, data.path()))
    }

    async fn measure(&self, program: &Path, data: &Path) -> anyhow::Result<Shortfalls> {
        let relay = RelayProcess::start(program, data, None)?;
        let empty = relay.memory()?;
        say(&format!("{} agents register", self.agents));
        let began = Instant::now();
        let crowd = Crowd::gather(&relay.address, self.agents).await?;
        let gathered = began.elapsed();
        say(&format!("held for {} s", self.hold));
        tokio::time::sleep(Duration::from_secs(self.hold)).await;
        let idle = relay.memory()?;
        let lost_while_idle = crowd.downs.load(Ordering::Relaxed);
        ensure!(lost_while_idle == 0, "{lost_while_idle} agents were lost while nothing happened");
        let per_agent = (idle.resident - empty.resident) as f64 / self.agents as f64;

        let crowd = crowd.keep(self.returning).await;
        let returning = crowd.agents.len();
        // Long enough for those that left to be forgotten.
        tokio::time::sleep(Duration::from_secs(5)).await;
        // As a service manager restarts it, and then so late that everybody has tried in vain.
        let mut returned = Vec::new();
        let (mut peak, mut attempts, mut relay) = (0.0_f64, AttemptSummary::default(), relay);
        for away in [self.away, self.long_away] {
            let address = relay.listen;
            crowd.attempts.clear();
            relay.kill()?;
            let began = Instant::now();
            say(&format!("killed, and away for {away} s; {returning} agents return"));
            tokio::time::sleep(Duration::from_secs(away)).await;
            relay = RelayProcess::start(program, data, Some(address))?;
            let back = crowd.all_back(&relay, began, Duration::from_secs(away) + RETURN_DEADLINE).await?;
            say(&format!(
                "half were back after {:.1} s, all after {:.1} s",
                back.half.as_secs_f64(),
                back.all.as_secs_f64()
            ));
            returned.push(back);
            let highest = relay.memory()?.peak;
            tokio::time::sleep(Duration::from_secs(30)).await;
            // What a heap has once held it may keep: idle is what so many silent agents cost in a relay that had no more.
            peak = peak.max(highest as f64 / (empty.resident as f64 + per_agent * returning as f64));
            attempts = attempts.and(crowd.attempts.summary());
        }
        relay.stop()?;

        // The targets are for as many as they name.
        let met = [
            self.agents < 10_000 || megabytes(idle.resident) <= IDLE_MB,
            returning < 5_000 || returned[0].all <= RETURN,
            attempts.shortest.is_none_or(|gap| gap >= ATTEMPT_EVERY),
            peak < PEAK_OF_IDLE,
        ];
        let mut shortfalls = Shortfalls::of(met);
        shortfalls.not_measured = usize::from(attempts.shortest.is_none());
        let figures = json!({
            "agents": self.agents,
            "gathered_s": gathered.as_secs_f64(),
            "held_s": self.hold,
            "relay_empty_mb": megabytes(empty.resident),
            "relay_idle_mb": megabytes(idle.resident),
            "bytes_per_idle_agent": per_agent.round(),
            "returning": returning,
            "away_s": [self.away, self.long_away],
            "half_returned_within_s": returned.iter().map(|back| back.half.as_secs_f64()).collect::<Vec<_>>(),
            "returned_within_s": returned.iter().map(|back| back.all.as_secs_f64()).collect::<Vec<_>>(),
            "attempts": attempts.count,
            "shortest_between_attempts_s": attempts.shortest.map(|gap| gap.as_secs_f64()),
            "peak_of_idle": peak,
            "load": load(),
        });
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{figures}")?;
            return Ok(shortfalls);
        }
        writeln!(out, "idle agents held            {:>9}     for {} s", self.agents, self.hold)?;
        writeln!(out, "relay, empty                {:>9.1} MB", megabytes(empty.resident))?;
        writeln!(
            out,
            "relay, with them            {:>9.1} MB   (10,000: at most {IDLE_MB})",
            megabytes(idle.resident)
        )?;
        writeln!(out, "per idle agent              {:>9.1} KB", per_agent / 1_000.0)?;
        for (away, back, limit) in
            [(self.away, &returned[0], "(5,000: at most 60)"), (self.long_away, &returned[1], "(no limit is set)")]
        {
            let (half, all) = (back.half.as_secs_f64(), back.all.as_secs_f64());
            writeln!(
                out,
                "{returning} back after the kill     {all:>9.1} s    {limit}, half after {half:.1} s; away for {away} s"
            )?;
        }
        let shortest = attempts.shortest.map_or(f64::INFINITY, |gap| gap.as_secs_f64());
        writeln!(out, "attempts in all             {:>9}", attempts.count)?;
        writeln!(out, "shortest between two of one {shortest:>9.2} s    (at least 1)")?;
        writeln!(out, "relay's peak, of its idle   {peak:>9.2}      (under 2)")?;
        writeln!(out, "load of the machine         {}", load())?;
        Ok(shortfalls)
    }
}

/// Agents with their registrations.
struct Crowd {
    agents: Vec<tokio::task::JoinHandle<()>>,
    downs: Arc<AtomicUsize>,
    attempts: Arc<Attempts>,
}

impl Crowd {
    async fn gather(relay: &RelayAddress, count: usize) -> anyhow::Result<Self> {
        let (downs, attempts) = (Arc::default(), Arc::new(Attempts::default()));
        let places = Arc::new(Semaphore::new(GATHERING));
        let mut gathering = JoinSet::new();
        for number in 0..count {
            let (places, relay) = (Arc::clone(&places), relay.clone());
            let net = CrowdNet { number, attempts: Arc::clone(&attempts) };
            let downs: Arc<AtomicUsize> = Arc::clone(&downs);
            gathering.spawn(async move {
                let _place = places.acquire().await?;
                let identity = Arc::new(Identity::generate()?);
                let client = Client::start(identity, ClientOptions::new(Arc::new(net)))?;
                let mut registration = client.register(relay, Role::Agent);
                loop {
                    match registration.notice().await.context("the registration ended")? {
                        Notice::Up => break,
                        Notice::Down(error) => say(&format!("agent {number}: {error}; it tries again")),
                        _ => {}
                    }
                }
                anyhow::Ok(tokio::spawn(async move {
                    while let Some(notice) = registration.notice().await {
                        if matches!(notice, Notice::Down(_)) {
                            downs.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    drop(client);
                }))
            });
        }
        let mut agents = Vec::with_capacity(count);
        while let Some(gathered) = gathering.join_next().await {
            agents.push(gathered??);
        }
        Ok(Self { agents, downs, attempts })
    }

    /// Sends all but `count` away.
    async fn keep(mut self, count: usize) -> Self {
        for agent in self.agents.split_off(count.min(self.agents.len())) {
            agent.abort();
            let _ = agent.await;
        }
        self
    }

    /// When they were registered with `relay`, since `began`.
    async fn all_back(&self, relay: &RelayProcess, began: Instant, within: Duration) -> anyhow::Result<Back> {
        let mut half = None;
        loop {
            let back = relay.registered()?;
            if 2 * back >= self.agents.len() {
                half.get_or_insert_with(|| began.elapsed());
            }
            if back >= self.agents.len() {
                return Ok(Back { half: half.unwrap_or_default(), all: began.elapsed() });
            }
            ensure!(began.elapsed() < within, "only {back} of {} came back within {within:?}", self.agents.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for agent in &self.agents {
            agent.abort();
        }
    }
}

/// When each agent began a handshake by UDP, as its packets show, and a connection by TCP: an attempt may do both, and
/// neither may follow its like within a second.
#[derive(Debug, Default)]
struct Attempts {
    begun: Mutex<HashMap<usize, Begun>>,
}

#[derive(Debug, Default)]
struct Begun {
    /// The destination connection ids of the attempts' Initials: one that was given up says so behind the next one's.
    ids: HashSet<Vec<u8>>,
    times: Vec<Instant>,
    connects: Vec<Instant>,
}

#[derive(Debug, Default)]
struct AttemptSummary {
    count: usize,
    shortest: Option<Duration>,
}

impl AttemptSummary {
    fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, shortest: self.shortest.into_iter().chain(other.shortest).min() }
    }
}

/// When half of a crowd and when all of it were back.
#[derive(Debug)]
struct Back {
    half: Duration,
    all: Duration,
}

impl Attempts {
    fn clear(&self) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Notes a packet that an agent sends. The first Initials of an attempt have an id of 20 random bytes; all that
    /// follow the relay's first answer, also to a Retry, have the relay's of 8.
    fn note(&self, agent: usize, packet: &[u8]) {
        const LONG_INITIAL: u8 = 0xc0;
        const RANDOM_ID_BYTES: u8 = 20;
        if packet.first().is_none_or(|first| first & 0xf0 != LONG_INITIAL) || packet.get(5) != Some(&RANDOM_ID_BYTES) {
            return;
        }
        let Some(id) = packet.get(6..6 + usize::from(RANDOM_ID_BYTES)) else { return };
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = begun.entry(agent).or_default();
        if begun.ids.insert(id.to_vec()) {
            begun.times.push(Instant::now());
        }
    }

    /// Notes a connection by TCP that an agent begins.
    fn note_connect(&self, agent: usize) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.entry(agent).or_default().connects.push(Instant::now());
    }

    fn summary(&self) -> AttemptSummary {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let lists = begun.values().flat_map(|begun| [&begun.times, &begun.connects]);
        let gaps = lists.flat_map(|times| times.windows(2).map(|two| two[1] - two[0]));
        AttemptSummary { count: begun.values().map(|begun| begun.times.len()).sum(), shortest: gaps.min() }
    }
}

/// The system's network, with an own source address for every agent and a look at what it sends.
#[derive(Debug)]
struct CrowdNet {
    number: usize,
    attempts: Arc<Attempts>,
}

impl CrowdNet {
    /// 200 agents to a network of 256 addresses.
    fn source(&self) -> IpAddr {
        let (network, host) = (self.number / 200, self.number % 200);
        Ipv4Addr::new(127, 1 + (network / 256) as u8, (network % 256) as u8, 1 + host as u8).into()
    }
}

impl Net for CrowdNet {
    fn bind(&self, _: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let inner = SystemNet.bind(SocketAddr::new(self.source(), 0))?;
        Ok(Arc::new(Watched { inner, number: self.number, attempts: Arc::clone(&self.attempts) }))
    }

    fn bind_shared(&self, address: SocketAddr, count: usize) -> io::Result<Vec<Arc<dyn RelaySocket>>> {
        SystemNet.bind_shared(address, count)
    }

    fn resolve(&self, host: &str, port: u16) -> Later<'_, Vec<SocketAddr>> {
        SystemNet.resolve(host, port)
    }

    fn source_towards(&self, address: SocketAddr) -> Option<IpAddr> {
        SystemNet.source_towards(address)
    }

    fn connect(&self, address: SocketAddr) -> Later<'_, Box<dyn ByteStream>> {
        self.attempts.note_connect(self.number);
        SystemNet.connect(address)
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn StreamListener>> {
        SystemNet.listen(address)
    }
}

#[derive(Debug)]
struct Watched {
    inner: Arc<dyn AsyncUdpSocket>,
    number: usize,
    attempts: Arc<Attempts>,
}

impl AsyncUdpSocket for Watched {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.attempts.note(self.number, transmit.contents);
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut TaskContext<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// One is enough for an idle end, and saves it megabytes of buffers.
    fn max_receive_segments(&self) -> usize {
        1
    }

    fn max_transmit_segments(&self) -> usize {
        1
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// A relay in a process of its own.
struct RelayProcess {
    running: Running,
    listen: SocketAddr,
    metrics: SocketAddr,
    address: RelayAddress,
}

struct Memory {
    resident: u64,
    peak: u64,
}

impl RelayProcess {
    fn start(program: &Path, data: &Path, listen: Option<SocketAddr>) -> anyhow::Result<Self> {
        let listen = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = Command::new(program);
        command.env_clear().current_dir(data).args(["--log", "warn", "serve", "--listen", &listen.to_string()]);
        command.args(["--metrics", &metrics.to_string(), "--data"]);
        let running = Running::start(command.arg(data))?;
        let line = running.out().line_with("#")?;
        let address: RelayAddress = line.trim().parse()?;
        let listen = address.host_port().parse()?;
        Ok(Self { running, listen, metrics, address })
    }

    /// Ends that are registered, by the relay's own count.
    fn registered(&self) -> anyhow::Result<usize> {
        let mut stream = std::net::TcpStream::connect(self.metrics)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let line = text.lines().find_map(|line| line.strip_prefix("belay_relay_endpoints "));
        Ok(line.with_context(|| text.clone())?.trim().parse()?)
    }

    fn memory(&self) -> anyhow::Result<Memory> {
        let path = PathBuf::from(format!("/proc/{}/status", self.running.id()));
        let status = std::fs::read_to_string(path)?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
            Ok(line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>()? * 1024)
        };
        Ok(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
    }

    fn kill(self) -> anyhow::Result<()> {
        self.running.kill().map(drop)
    }

    fn stop(self) -> anyhow::Result<()> {
        self.running.stop(rustix::process::Signal::TERM).map(drop)
    }
}

/// Each agent has a socket and each runtime some more.
fn raise_descriptors(wanted: u64) -> anyhow::Result<()> {
    let now = rustix::process::getrlimit(Resource::Nofile);
    if now.current.is_some_and(|current| current < wanted) {
        let maximum = Some(now.maximum.map_or(wanted, |maximum| maximum.max(wanted)));
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
            .with_context(|| format!("{wanted} descriptors are needed: run as root, or raise `ulimit -n`"))?;
    }
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
