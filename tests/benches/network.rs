//! `cargo bench -p belay-tests --bench network`: what a session makes of real networks: its rate with loss and delay, and
//! how long it stands still when its way changes. Needs root, `ip` and `nft`.
//!
//! Relay, agent and desk are on hosts of their own (network namespaces) around a router; the relay is a process as it is
//! shipped, the two ends are threads of this one. For the rates each leg goes through a forwarder that holds packets back,
//! the same with and without loss, so that its own cost falls on both; for the stalls both legs go through another one,
//! because what is allowed is counted in round trips. Without loss of the network's own a transfer goes as fast as some
//! queue takes it: what is lost there is printed with the queue. A figure that misses its target ends the run with 2.

#[path = "relay/machine.rs"]
mod machine;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use belay_protocol::invite::RelayAddress;
use belay_tests::bench::{Shortfalls, ended, load, say};
use belay_tests::namespaces::{self, Conversation, DelayLine, Pulse, RelayProcess, Topology, USUAL_MTU, loss};
use belay_tests::programs::Program;
use clap::Parser;
use serde_json::{Value, json};

use machine::Machine;

/// Measures sessions across network namespaces.
#[derive(Debug, Parser)]
#[command(name = "network")]
struct Options {
    /// Rounds of everything
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each transfer
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Milliseconds that a packet takes between an end and the relay
    #[arg(long, default_value_t = 20)]
    delay_ms: u64,
    /// Packets lost of 1,000, on each leg
    #[arg(long, default_value_t = 1)]
    loss_per_mille: u32,
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
const PORT: u16 = 4433;

/// At the relay's host, the line that holds back what goes to the relay.
const SLOW_PORT: u16 = 4434;

/// Bounds every step; none takes a fraction of it.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the NAT remembers while data flows.
const NAT_MEMORY: Duration = Duration::from_secs(30);

/// How long the killed relay is away.
const OUTAGE: Duration = Duration::from_secs(1);

/// A session that has been heard for this long without a pause goes on.
const CALM: Duration = Duration::from_millis(1_500);

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(&options)));
    ended("network", report.and_then(|report| report.print(options.json)))
}

/// What was measured.
struct Report {
    machine: Machine,
    options: Value,
    /// MB/s in each round, without loss and with.
    rates: [Vec<f64>; 2],
    /// For each event the stalls, in milliseconds, and the target.
    stalls: Vec<(&'static str, Vec<f64>, f64)>,
    round_trip_ms: f64,
}

async fn run(options: &Options) -> anyhow::Result<Report> {
    if let Some(why) = namespaces::missing() {
        bail!("there can be no network namespaces here: {why}");
    }
    say("building the relay by itself, optimised");
    let program = Program::Relay.release()?;
    let mut machine = Machine::look()?;
    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..options.rounds {
        machine.watch().await?;
        for turn in 0..2 {
            // In turns, so that other load falls on both alike.
            let lossy = (round + turn) % 2;
            let per_mille = if lossy == 1 { options.loss_per_mille } else { 0 };
            say(&format!("round {} of {}: {per_mille} of 1,000 packets lost", round + 1, options.rounds));
            rates[lossy].push(rate(&program, options, per_mille).await?);
        }
    }
    let (stalls, round_trip_ms) = stalls(&program, options).await?;
    let options = json!({
        "seconds": options.seconds,
        "delay_ms_a_leg": options.delay_ms,
        "loss_per_mille_a_leg": options.loss_per_mille,
    });
    Ok(Report { machine, options, rates, stalls, round_trip_ms })
}

/// MB/s of one transfer through delay lines.
async fn rate(program: &Path, options: &Options, per_mille: u32) -> anyhow::Result<f64> {
    let topology = Topology::new(&[RELAY, DESK, AGENT], USUAL_MTU)?;
    let relay = RelayProcess::start(topology.host(RELAY), program, Topology::socket(RELAY, PORT), &[])?;
    let delay = Duration::from_millis(options.delay_ms);
    let mut lines = Vec::new();
    for end in [DESK, AGENT] {
        let listen = SocketAddr::from((Topology::gateway(end), PORT));
        lines.push(DelayLine::start(&topology.router, listen, Topology::socket(RELAY, PORT), delay).await?);
    }
    if per_mille > 0 {
        topology.rule(&[loss(per_mille)])?;
    }
    let through = |end| RelayAddress { host: Topology::gateway(end).to_string(), ..relay.address.clone() };
    let desk = (topology.host(DESK), &through(DESK));
    let opening = Conversation::open(desk, (topology.host(AGENT), vec![through(AGENT)]));
    let talk = tokio::time::timeout(DEADLINE, opening).await.context("no session")??;
    let receiving = talk.desk_host.spawn(namespaces::receive(talk.theirs.clone(), |_| {}));
    let lasting = Duration::from_secs(options.seconds);
    let sending = talk.agent_host.spawn(namespaces::send(talk.ours.clone(), u64::MAX, lasting));
    let arrived = tokio::time::timeout(lasting + DEADLINE, receiving).await.context("the transfer hangs")???;
    sending.await??;
    let path = talk.ours.path();
    let mut without_room = Vec::new();
    for (name, host) in topology.all() {
        without_room.push(format!("{name} {}", host.unread()?));
    }
    say(&format!(
        "  {:.1} MB/s; round trip {:.0} ms, {} of {} packets lost; no room in a socket of: {}",
        arrived.megabytes_per_second(),
        path.round_trip.as_secs_f64() * 1e3,
        path.lost_packets,
        path.sent_packets,
        without_room.join(", ")
    ));
    Ok(arrived.megabytes_per_second())
}

/// Stalls of a session in which a few bytes flow each way all the time.
async fn stalls(program: &Path, options: &Options) -> anyhow::Result<(Vec<(&'static str, Vec<f64>, f64)>, f64)> {
    let rounds = options.rounds;
    let topology = Topology::new(&[RELAY, DESK, AGENT], USUAL_MTU)?;
    topology.masquerade(AGENT, NAT_MEMORY)?;
    let mut relay = RelayProcess::start(topology.host(RELAY), program, Topology::socket(RELAY, PORT), &[])?;
    let slow = Topology::socket(RELAY, SLOW_PORT);
    let delay = Duration::from_millis(options.delay_ms);
    let _line = DelayLine::start(topology.host(RELAY), slow, Topology::socket(RELAY, PORT), delay).await?;
    let through = RelayAddress { port: SLOW_PORT, ..relay.address.clone() };
    let opening = Conversation::open((topology.host(DESK), &through), (topology.host(AGENT), vec![through.clone()]));
    let talk = tokio::time::timeout(DEADLINE, opening).await.context("no session")??;
    let pulse = Pulse::start((&talk.agent_host, talk.ours.clone()), (&talk.desk_host, talk.theirs.clone()));
    tokio::time::sleep(CALM).await;
    let round_trip_ms = talk.ours.path().round_trip.as_secs_f64() * 1e3;
    let roaming = 4.0 * round_trip_ms + 2.0 * (round_trip_ms + MAX_ACK_DELAY_MS);
    let mut stalls = vec![
        ("agent's address changed", Vec::new(), roaming),
        ("desk's address changed", Vec::new(), roaming),
        ("NAT rebound in silence", Vec::new(), 2_000.0),
        ("relay killed and restarted", Vec::new(), 5_000.0),
    ];
    for round in 0..rounds {
        say(&format!("round {} of {rounds}: addresses, NAT, relay", round + 1));
        for (event, (_, measured, _)) in stalls.iter_mut().enumerate() {
            let mut began = Instant::now();
            match event {
                0 | 1 => {
                    let number = [AGENT, DESK][event];
                    let address = |round: usize| match round {
                        0 => Topology::address(number),
                        round => Ipv4Addr::new(10, 71, number, 100 + (round % 100) as u8),
                    };
                    topology.readdress(number, address(round), address(round + 1))?;
                }
                2 => topology.rebind_nat(NAT_MEMORY)?,
                _ => {
                    relay.kill()?;
                    tokio::time::sleep(OUTAGE).await;
                    relay.restart(topology.host(RELAY))?;
                    // What counts is the time since the relay is there again.
                    began = Instant::now();
                }
            }
            let stall = pulse.settled(began, CALM, DEADLINE).await?;
            let heard_again = if event == 3 { pulse.silent_after(began) } else { stall.longest() };
            measured.push(heard_again.as_secs_f64() * 1e3);
            say(&format!("  {stall:?}"));
            tokio::time::sleep(CALM).await;
        }
    }
    tokio::time::timeout(DEADLINE, pulse.finish()).await.context("the messages do not end")??;
    Ok((stalls, round_trip_ms))
}

/// What a probe timeout adds to the round trip at least (RFC 9002, section 6.2.1); four times the variance would come on top.
const MAX_ACK_DELAY_MS: f64 = 25.0;

impl Report {
    fn ratio(&self) -> f64 {
        median(&self.rates[1]) / median(&self.rates[0])
    }

    fn json(&self) -> Value {
        let stalls = self.stalls.iter().map(|(what, measured, target)| {
            json!({"event": what, "stalls_ms": measured, "worst_ms": worst(measured), "at_most_ms": target,
                   "met": worst(measured) <= *target})
        });
        json!({
            "machine": self.machine,
            "load_after": load(),
            "options": self.options,
            "mb_per_second_without_loss": self.rates[0],
            "mb_per_second_with_loss": self.rates[1],
            "ratio_of_medians": self.ratio(),
            "ratio_at_least": RATIO,
            "ratio_met": self.ratio() >= RATIO,
            "round_trip_ms": self.round_trip_ms,
            "stalls": stalls.collect::<Vec<_>>(),
        })
    }

    fn print(&self, as_json: bool) -> anyhow::Result<Shortfalls> {
        let mut table: Box<dyn Write> = if as_json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        writeln!(table, "\n{}\nload after: {}", self.machine.described(), load())?;
        writeln!(table, "{}\n", self.options)?;
        for (what, rates) in ["without loss", "with loss"].iter().zip(&self.rates) {
            let each: Vec<String> = rates.iter().map(|rate| format!("{rate:.1}")).collect();
            writeln!(table, "{what:<28}{:>8.1} MB/s    ({})", median(rates), each.join(", "))?;
        }
        let met = |met| if met { "" } else { "  MISSED" };
        let ratio = self.ratio();
        writeln!(table, "{:<28}{ratio:>8.2}         at least {RATIO}{}\n", "ratio of medians", met(ratio >= RATIO))?;
        writeln!(table, "stalls, round trip {:.1} ms     worst   median", self.round_trip_ms)?;
        for (what, measured, target) in &self.stalls {
            let (worst, median) = (worst(measured), median(measured));
            writeln!(table, "{what:<28}{worst:>8.0} {median:>8.0} ms  at most {target:.0}{}", met(worst <= *target))?;
        }
        if as_json {
            writeln!(io::stdout(), "{}", self.json())?;
        }
        let stalls = self.stalls.iter().map(|(_, measured, target)| worst(measured) <= *target);
        Ok(Shortfalls::of(std::iter::once(ratio >= RATIO).chain(stalls)))
    }
}

/// What the rate with loss is to be of the rate without.
const RATIO: f64 = 0.5;

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
