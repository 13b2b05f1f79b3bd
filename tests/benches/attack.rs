//! `cargo bench -p belay-tests --bench attack`: a relay under attack, and what sessions that are open notice of it. Needs
//! root, `ip` and `nft`.
//!
//! Relay (a process as it is shipped), desk, agent and attackers are on hosts of their own (network namespaces) around a
//! router. All share the cores of this machine: the attackers' work falls on the relay's as well. The counts are the
//! kernels', at the relay's and the attacker's interfaces. A figure that misses its target ends the run with 2.

#[path = "relay/machine.rs"]
mod machine;
#[path = "relay/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use belay_protocol::OrganizationKey;
use belay_protocol::invite::RelayAddress;
use belay_relay::net::SystemNet;
use belay_tests::bench::{Shortfalls, ended, load, say};
use belay_tests::links::{Agent, Desk};
use belay_tests::namespaces::{
    self, Conversation, Flood, Host, Pings, RelayProcess, RoundTrips, Source, Topology, USUAL_MTU, Wave, initials,
    no_udp,
};
use belay_tests::programs::Program;
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use machine::Machine;

/// Measures a relay under attack.
#[derive(Debug, Parser)]
#[command(name = "attack")]
struct Options {
    /// Seconds of each attack
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Packets a second that are sent
    #[arg(long, default_value_t = 60_000)]
    rate: u64,
    /// Peers of each kind, tunnels and UDP, that never read
    #[arg(long, default_value_t = 500)]
    peers: usize,
    /// Write all figures as one JSON document to standard output, and the table to standard error
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

const RELAY: u8 = 1;
const DESK: u8 = 2;
const AGENT: u8 = 3;
const ATTACKER: u8 = 5;
const PEERS_IN_TUNNELS: u8 = 6;
const PEERS_OVER_UDP: u8 = 7;
const PORT: u16 = 4433;

/// Where the relay shows its figures, if it can.
const METRICS: &str = "127.0.0.1:9433";

/// Bounds every step; none takes a fraction of it.
const DEADLINE: Duration = Duration::from_secs(120);

/// Between two phases: long enough for late answers, and for handshakes to be given up.
const BREATH: Duration = Duration::from_secs(3);

/// Valid first packets that are made before the attack, each sent every second or so: few of them are under way twice.
const HELLOS: usize = 30_000;

/// Agents that register at the same time.
const GATHERING: usize = 16;

const ARRIVING_PER_SECOND: f64 = 40_000.0;
const P99_MS: f64 = 500.0;
const GROWTH_MIB: f64 = 64.0;
const AMPLIFICATION: f64 = 3.0;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(&options)));
    ended("attack", report.and_then(|report| report.print(options.json)))
}

struct Report {
    machine: Machine,
    phases: Vec<Phase>,
}

/// What was seen in a stretch of time.
struct Phase {
    name: &'static str,
    seconds: f64,
    trips: RoundTrips,
    /// Packets that reached the relay's interface, and packets its socket had no room for.
    arrived: u64,
    unread: u64,
    /// Bytes from made-up addresses and to them, with headers.
    strange_bytes: u64,
    answered_bytes: u64,
    /// Bytes of memory: before, and at most.
    memory: (u64, u64),
    relay_cpu_seconds: f64,
    /// Until somebody who came in the middle was registered; `None` if not at all, or not tried.
    newcomer: Option<Duration>,
    /// The relay's own figures that have changed.
    figures: BTreeMap<String, f64>,
}

struct Scene {
    topology: Topology,
    relay: RelayProcess,
    relay_host: Host,
    talk: Conversation,
    pings: Pings,
    has_metrics: bool,
}

/// Counts of one moment.
struct Counts {
    at: Instant,
    strange: (u64, u64),
    known: u64,
    answered: u64,
    unread: u64,
    cpu: Duration,
    figures: BTreeMap<String, f64>,
}

async fn run(options: &Options) -> anyhow::Result<Report> {
    if let Some(why) = namespaces::missing() {
        bail!("there can be no network namespaces here: {why}");
    }
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    say("building the relay by itself, optimised");
    let program = Program::Relay.release()?;
    let mut machine = Machine::look()?;
    machine.watch().await?;
    let scene = Scene::open(&program).await?;
    let lasting = Duration::from_secs(options.seconds);
    let relay = Topology::socket_v4(RELAY, PORT);
    let made_up =
        |payloads, random| Wave { payloads, random, source: Source::MadeUp, to: relay, per_second: options.rate };

    let mut phases = vec![scene.phase("before", lasting, None).await?];
    say(&format!("making {HELLOS} first packets"));
    let garbage = made_up(vec![initials::garbage(0)], initials::LONG_ID);
    let tokens = made_up((0..256).map(|_| initials::garbage(64)).collect(), initials::LONG_ID);
    let hellos = made_up(initials::client_hellos(HELLOS, relay.into())?, 0..0);
    let stolen = Wave {
        payloads: vec![initials::session_packet(&scene.talk.desk.client.route().route(), initials::INITIAL_BYTES)],
        random: initials::SESSION_NOISE,
        source: Source::Stolen(Topology::socket_v4(AGENT, scene.topology.host(AGENT).udp_port()?)),
        to: relay,
        per_second: options.rate,
    };
    let waves = [
        ("Initials of noise", garbage),
        ("Initials, false tokens", tokens),
        ("Initials, valid hellos", hellos),
        ("packets of an open pair", stolen),
    ];
    for (name, wave) in waves {
        phases.push(scene.phase(name, lasting, Some(wave)).await?);
    }
    phases.push(scene.phase("between", lasting, None).await?);
    phases.extend(scene.peers_that_never_read(options).await?);
    phases.push(scene.phase("after", lasting, None).await?);
    anyhow::ensure!(scene.pings.is_alive(), "the session is dead");
    let log = scene.relay.log();
    if !log.is_empty() {
        say(&format!("the relay logged:\n{}", log.lines().take(20).collect::<Vec<_>>().join("\n")));
    }
    Ok(Report { machine, phases })
}

impl Scene {
    async fn open(program: &Path) -> anyhow::Result<Self> {
        let hosts = [RELAY, DESK, AGENT, ATTACKER, PEERS_IN_TUNNELS, PEERS_OVER_UDP];
        let topology = Topology::new(&hosts, USUAL_MTU)?;
        topology.send_strangers_to(ATTACKER)?;
        topology.count_attack(RELAY, ATTACKER, AGENT)?;
        topology.rule(&no_udp(PEERS_IN_TUNNELS))?;
        let help = Command::new(program).args(["serve", "--help"]).output()?;
        let has_metrics = String::from_utf8_lossy(&help.stdout).contains("--metrics ");
        let more: &[&str] = if has_metrics { &["--metrics", METRICS] } else { &[] };
        let relay = RelayProcess::start(topology.host(RELAY), program, Topology::socket(RELAY, PORT), more)?;
        let relay_host = Host::start(topology.host(RELAY))?;
        let desk = (topology.host(DESK), &relay.address);
        let opening = Conversation::open(desk, (topology.host(AGENT), vec![relay.address.clone()]));
        let talk = timeout(DEADLINE, opening).await.context("no session")??;
        let pings = Pings::start((&talk.agent_host, &talk.ours), (&talk.desk_host, &talk.theirs)).await?;
        Ok(Self { topology, relay, relay_host, talk, pings, has_metrics })
    }

    /// Watches for a while, under attack or not.
    async fn phase(&self, name: &'static str, lasting: Duration, wave: Option<Wave>) -> anyhow::Result<Phase> {
        say(name);
        let memory = self.relay.memory()?.0;
        let before = self.counts().await?;
        self.relay.forget_peak()?;
        let is_attacked = wave.is_some();
        let flood = wave.map(|wave| Flood::start(self.topology.host(ATTACKER), wave)).transpose()?;
        tokio::time::sleep(lasting / 2).await;
        let newcomer = if is_attacked { self.newcomer(lasting * 2).await } else { None };
        tokio::time::sleep_until((before.at + lasting).into()).await;
        let ended = Instant::now();
        drop(flood);
        self.seen(name, before, ended, memory, newcomer).await
    }

    async fn seen(
        &self,
        name: &'static str,
        before: Counts,
        ended: Instant,
        memory: u64,
        newcomer: Option<Duration>,
    ) -> anyhow::Result<Phase> {
        let cpu = process::cpu(self.relay.id()?)?;
        tokio::time::sleep(BREATH).await;
        let after = self.counts().await?;
        let strange = after.strange.0 - before.strange.0;
        let changed = after.figures.into_iter().filter_map(|(name, value)| {
            let change = value - before.figures.get(&name).copied().unwrap_or_default();
            (change != 0.0).then_some((name, change))
        });
        Ok(Phase {
            name,
            seconds: (ended - before.at).as_secs_f64(),
            trips: self.pings.between(before.at, ended),
            arrived: if strange > 0 { strange } else { after.known - before.known },
            unread: after.unread - before.unread,
            strange_bytes: after.strange.1 - before.strange.1,
            answered_bytes: after.answered - before.answered,
            memory: (memory, self.relay.memory()?.1),
            relay_cpu_seconds: cpu.saturating_sub(before.cpu).as_secs_f64(),
            newcomer,
            figures: changed.collect(),
        })
    }

    /// How long it takes an agent that comes now to be registered.
    async fn newcomer(&self, patience: Duration) -> Option<Duration> {
        let (began, relay) = (Instant::now(), self.relay.address.clone());
        let starting = self.talk.desk_host.run(async move {
            let agent = Agent::start(Arc::new(SystemNet), &relay).await?;
            let took = began.elapsed();
            drop(agent);
            Ok(took)
        });
        timeout(patience, starting).await.ok()?.ok()
    }

    async fn counts(&self) -> anyhow::Result<Counts> {
        let (relay, attacker) = (self.topology.host(RELAY), self.topology.host(ATTACKER));
        Ok(Counts {
            at: Instant::now(),
            strange: relay.counted("strange")?,
            known: relay.counted("known")?.0,
            answered: attacker.counted("answered")?.1,
            unread: relay.unread()?,
            cpu: process::cpu(self.relay.id()?)?,
            figures: if self.has_metrics { self.figures().await? } else { BTreeMap::new() },
        })
    }

    /// The relay's own figures.
    async fn figures(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        let reading = self.relay_host.run(async {
            let mut stream = tokio::net::TcpStream::connect(METRICS).await?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n").await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            Ok(text)
        });
        let text = timeout(DEADLINE, reading).await.context("no figures")??;
        let wanted =
            |line: &&str| line.starts_with("belay_relay_dropped") || line.starts_with("belay_relay_handshakes");
        let figures = text.lines().filter(wanted).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(figures.collect())
    }

    /// Peers that register, pair with a desk of their own, and then read nothing, while that desk sends to all of them.
    async fn peers_that_never_read(&self, options: &Options) -> anyhow::Result<Vec<Phase>> {
        let lasting = Duration::from_secs(options.seconds);
        let desk_host = Host::start(self.topology.host(ATTACKER))?;
        let address = self.relay.address.clone();
        let desk = desk_host.run(async move { Desk::start(Arc::new(SystemNet), &address).await }).await?;
        let organization = desk.organization.organization_key();
        let desk_port = self.topology.host(ATTACKER).udp_port()?;

        let mut phases = Vec::new();
        for (come, are_silent, number) in [
            ("tunnels register", "tunnels never read", PEERS_IN_TUNNELS),
            ("UDP peers register", "UDP peers never read", PEERS_OVER_UDP),
        ] {
            say(come);
            let host = Host::start(self.topology.host(number))?;
            let (memory, before) = (self.relay.memory()?.0, self.counts().await?);
            self.relay.forget_peak()?;
            let agents = gather(&host, &self.relay.address, organization, options.peers).await?;
            phases.push(self.seen(come, before, Instant::now(), memory, None).await?);

            // Nothing of theirs is read from here on.
            let frozen = host.freeze();
            let routes = agents.iter().map(|agent| agent.client.route().route());
            let wave = Wave {
                payloads: routes.map(|route| initials::session_packet(&route, initials::INITIAL_BYTES)).collect(),
                random: initials::SESSION_NOISE,
                source: Source::Stolen(Topology::socket_v4(ATTACKER, desk_port)),
                to: Topology::socket_v4(RELAY, PORT),
                per_second: options.rate,
            };
            let silent = self.phase(are_silent, lasting * 2, Some(wave)).await?;
            // What they cost begins when they come.
            phases.push(Phase { memory: (memory, silent.memory.1), ..silent });
            drop(frozen);
            drop((agents, host));
            tokio::time::sleep(BREATH).await;
        }
        // They leave, so that what follows is as before.
        drop((desk, desk_host));
        tokio::time::sleep(BREATH).await;
        Ok(phases)
    }
}

/// Agents that are registered and paired with a desk.
async fn gather(
    host: &Host,
    relay: &RelayAddress,
    organization: OrganizationKey,
    count: usize,
) -> anyhow::Result<Vec<Agent>> {
    let relay = relay.clone();
    let gathering = host.run(async move {
        let places = Arc::new(Semaphore::new(GATHERING));
        let mut gathering = JoinSet::new();
        for _ in 0..count {
            let (places, relay) = (Arc::clone(&places), relay.clone());
            gathering.spawn(async move {
                let _place = places.acquire().await?;
                let mut agent = Agent::start(Arc::new(SystemNet), &relay).await?;
                agent.reach_organization(organization).await?;
                anyhow::Ok(agent)
            });
        }
        gathering.join_all().await.into_iter().collect()
    });
    timeout(DEADLINE, gathering).await.context("the peers do not come")?
}

const MIB: f64 = 1_048_576.0;

impl Phase {
    fn arriving(&self) -> f64 {
        self.arrived as f64 / self.seconds
    }

    fn growth_mib(&self) -> f64 {
        self.memory.1.saturating_sub(self.memory.0) as f64 / MIB
    }

    fn amplification(&self) -> Option<f64> {
        (self.strange_bytes > 0).then(|| self.answered_bytes as f64 / self.strange_bytes as f64)
    }

    fn missed(&self) -> Vec<&'static str> {
        let checks = [
            (self.strange_bytes > 0 && self.arriving() < ARRIVING_PER_SECOND, "rate"),
            (ms(self.trips.p99) >= P99_MS, "p99"),
            (self.growth_mib() > GROWTH_MIB, "memory"),
            (self.amplification().is_some_and(|times| times > AMPLIFICATION), "amplification"),
        ];
        checks.into_iter().filter_map(|(missed, what)| missed.then_some(what)).collect()
    }

    fn json(&self) -> Value {
        json!({
            "phase": self.name,
            "seconds": self.seconds,
            "arrived_per_second": self.arriving(),
            "socket_had_no_room_for": self.unread,
            "pings": self.trips.count,
            "p50_ms": ms(self.trips.p50),
            "p99_ms": ms(self.trips.p99),
            "longest_ms": ms(self.trips.longest),
            "memory_before_bytes": self.memory.0,
            "memory_peak_bytes": self.memory.1,
            "bytes_from_unverified": self.strange_bytes,
            "bytes_to_unverified": self.answered_bytes,
            "amplification": self.amplification(),
            "relay_cpu_cores": self.relay_cpu_seconds / self.seconds,
            "newcomer_seconds": self.newcomer.map(|took| took.as_secs_f64()),
            "relay_figures": self.figures,
            "missed": self.missed(),
        })
    }
}

impl Report {
    /// From the first phase's beginning to the highest peak of all.
    fn growth_mib(&self) -> f64 {
        let before = self.phases.first().map_or(0, |phase| phase.memory.0);
        let peak = self.phases.iter().map(|phase| phase.memory.1).max().unwrap_or(before);
        peak.saturating_sub(before) as f64 / MIB
    }

    fn print(&self, as_json: bool) -> anyhow::Result<Shortfalls> {
        let mut table: Box<dyn Write> = if as_json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        writeln!(table, "\n{}\nload after: {}\n", self.machine.described(), load())?;
        writeln!(
            table,
            "{:<24}{:>9}{:>9}{:>8}{:>8}{:>8}{:>9}{:>9}{:>10}{:>8}{:>10}",
            "", "arrive/s", "no room", "p50 ms", "p99 ms", "longest", "MiB", "growth", "out/in", "cores", "newcomer"
        )?;
        writeln!(
            table,
            "{:<24}{:>9}{:>9}{:>8}{:>8}{:>8}{:>9}{:>9}{:>10}",
            "target", "40000", "", "", "< 500", "", "", "<= 64", "<= 3"
        )?;
        for phase in &self.phases {
            let out_in = phase.amplification().map_or_else(|| "-".to_owned(), |times| format!("{times:.4}"));
            let newcomer = phase.newcomer.map_or_else(|| "-".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()));
            writeln!(
                table,
                "{:<24}{:>9.0}{:>9}{:>8.1}{:>8.1}{:>8.0}{:>9.1}{:>9.1}{out_in:>10}{:>8.2}{newcomer:>10}  {}",
                phase.name,
                phase.arriving(),
                phase.unread,
                ms(phase.trips.p50),
                ms(phase.trips.p99),
                ms(phase.trips.longest),
                phase.memory.0 as f64 / MIB,
                phase.growth_mib(),
                phase.relay_cpu_seconds / phase.seconds,
                phase.missed().iter().map(|what| format!("MISSED {what}")).collect::<Vec<_>>().join(", "),
            )?;
        }
        let growth = self.growth_mib();
        let missed = if growth > GROWTH_MIB { "  MISSED" } else { "" };
        writeln!(table, "memory from the beginning to the highest peak: {growth:.1} MiB more (at most 64){missed}")?;
        for phase in self.phases.iter().filter(|phase| !phase.figures.is_empty()) {
            let figures: Vec<String> = phase.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
            writeln!(table, "{}: {}", phase.name, figures.join(", "))?;
        }
        if as_json {
            let phases: Vec<Value> = self.phases.iter().map(Phase::json).collect();
            writeln!(
                io::stdout(),
                "{}",
                json!({
                    "machine": self.machine, "load_after": load(), "phases": phases, "growth_in_all_mib": growth,
                })
            )?;
        }
        let missed: usize = self.phases.iter().map(|phase| phase.missed().len()).sum();
        Ok(Shortfalls { missed: missed + usize::from(growth > GROWTH_MIB), not_measured: 0 })
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
