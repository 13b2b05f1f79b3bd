//! `cargo bench -p belay-tests --bench relay`: the relay beside its peers, in the same minutes on the same machine.
//!
//! Every contender carries the same bulk and the same round trips ([`payload`]) between two ends in one process, with
//! tokio's multi-threaded runtime, over loopback; every relay is a process of its own ([`contender`] says what each is,
//! and what favours or hampers it). Rounds are interleaved, and their order is rotated, so that other load on the machine
//! falls on all alike. What is printed are medians, and ratios of medians beside their targets. A ratio that is not met
//! is said, and is no error: a loaded machine must not break a build. What could not be measured is an error.
//!
//! Loopback has no packet loss, no delay and a CPU for its only bottleneck: throughput here says what a relay costs the
//! machine, not what a customer sees.

mod contender;
mod endpoints;
mod machine;
mod memory;
mod payload;
mod process;
mod report;
mod servers;
mod turn;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use belay_tests::bench::{Shortfalls, ended, say};
use clap::Parser;

use contender::Contender;
use machine::Machine;
use payload::Plan;
use report::{Measured, Report};
use servers::Programs;

/// Measures Belay's relay beside a direct connection, a bare forwarding loop, coturn and iroh-relay.
#[derive(Debug, Parser)]
#[command(name = "relay")]
struct Options {
    /// Rounds of everything; medians need five
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// One short round, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Only these contenders
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Write all figures as one JSON document to standard output, and the table to standard error
    #[arg(long)]
    json: bool,
    /// Silent ends at each relay, for its memory per end; 0 leaves that out
    #[arg(long)]
    idle: Option<usize>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let report = runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(&options)));
    ended("relay", report.and_then(|report| print(&report, options.json)))
}

async fn run(options: &Options) -> anyhow::Result<Report> {
    let quick = Plan { bulk_bytes: 32 << 20, bulk_seconds: 1.0, pings: 200, loaded_seconds: 1.0 };
    let full = Plan { bulk_bytes: 256 << 20, bulk_seconds: 4.0, pings: 2_000, loaded_seconds: 3.0 };
    let (plan, rounds, idle) = if options.quick { (quick, 1, 100) } else { (full, options.rounds, 1_000) };
    let idle = options.idle.unwrap_or(idle);
    let chosen = if options.only.is_empty() { Contender::ALL.to_vec() } else { options.only.clone() };
    let programs = Programs::build(&chosen)?;
    let contenders = present(&programs, chosen)?;
    if contenders.is_empty() || rounds == 0 {
        bail!("there is nothing to measure");
    }

    let mut machine = Machine::look()?;
    let mut measured: BTreeMap<Contender, Measured> = BTreeMap::new();
    for round in 0..rounds {
        machine.watch().await?;
        for turn in 0..contenders.len() {
            let contender = contenders[(round + turn) % contenders.len()];
            say(&format!("round {} of {rounds}: {contender}", round + 1));
            let figures = tokio::time::timeout(CONTENDER_DEADLINE, contender.run(&programs, &plan)).await;
            let figures = figures.map_err(|_| anyhow::anyhow!("not done after {CONTENDER_DEADLINE:?}"));
            let figures = figures.and_then(|figures| figures).with_context(|| contender.to_string())?;
            measured.entry(contender).or_default().rounds.push(figures);
        }
    }
    if idle > 0 {
        memory::allow_many_sockets()?;
        for contender in contenders.iter().copied().filter(|contender| contender.keeps_idle_ends()) {
            say(&format!("memory of {idle} silent ends: {contender}"));
            let bytes =
                memory::per_idle_end(contender, &programs, idle).await.with_context(|| contender.to_string())?;
            measured.entry(contender).or_default().idle_end_bytes = Some(bytes);
        }
    }
    Ok(Report { machine, plan, idle_ends: idle, measured })
}

/// Those of `chosen` that can run here; the others are said.
fn present(programs: &Programs, chosen: Vec<Contender>) -> anyhow::Result<Vec<Contender>> {
    let mut present = Vec::new();
    for contender in chosen {
        match contender.missing(programs)? {
            Some(why) => say(&format!("!!!! SKIPPED {contender}: {why} !!!!")),
            None => present.push(contender),
        }
    }
    Ok(present)
}

fn print(report: &Report, as_json: bool) -> anyhow::Result<Shortfalls> {
    if as_json {
        writeln!(io::stdout(), "{}", report.json())?;
        write!(io::stderr(), "{report}")?;
    } else {
        write!(io::stdout(), "{report}")?;
    }
    Ok(report.shortfalls())
}

/// One round of one contender takes a fraction of this even where it crawls.
const CONTENDER_DEADLINE: Duration = Duration::from_secs(120);
