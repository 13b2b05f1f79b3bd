//! `cargo bench -p belay-tests --bench redact`: how fast one core redacts ordinary logs, and how much of them it damages.
//! With `--profile agent` it is built as the agent is shipped.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use belay_agent::redact::{Aliases, Identity};
use belay_protocol::report::PrivateKind;
use belay_tests::bench::{Shortfalls, ended};
use belay_tests::logs::{self, Line};
use clap::Parser;
use serde_json::json;

/// Measures redaction of free text.
#[derive(Debug, Parser)]
#[command(
    name = "redact",
    after_help = "Examples:\n  cargo bench -p belay-tests --bench redact -- --lines 200000\n  cargo bench --profile agent -p belay-tests --bench redact"
)]
struct Options {
    /// Lines of the corpus
    #[arg(long, default_value_t = 200_000)]
    lines: usize,
    /// Times that each form is measured; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What the corpus is drawn from
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    ended("redact", run(&Options::parse()))
}

/// MB (10^6 bytes) a second of a core's time.
const SPEED: f64 = 50.0;

/// Places in 1,000 ordinary lines that are taken for private and are not.
const DAMAGE: f64 = 1.0;

/// Lines that share one map, as the excerpts of one report do.
const REPORT_LINES: usize = 10_000;

fn run(options: &Options) -> anyhow::Result<Shortfalls> {
    let identity = identity();
    let lines = logs::ordinary(options.seed, options.lines);
    let (mut damaged, mut leaked) = (0, 0);
    for report in lines.chunks(REPORT_LINES) {
        let mut aliases = Aliases::of(&identity);
        for line in report {
            let masked = aliases.mask(&line.text())?;
            damaged += line.damaged(&masked).len();
            leaked += line.leaked(&masked).len();
        }
    }
    let texts: Vec<String> = lines.iter().map(Line::text).collect();
    let blocks: Vec<String> = texts.chunks(BLOCK_LINES).map(|lines| lines.join("\n")).collect();
    let by_line = speed(options, &identity, &texts, REPORT_LINES)?;
    let by_block = speed(options, &identity, &blocks, REPORT_LINES / BLOCK_LINES)?;
    let per_thousand = damaged as f64 * 1_000.0 / options.lines as f64;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let profile = profile().unwrap_or_else(|| "unknown".to_owned());
    if options.json {
        let found = json!({
            "lines": options.lines, "line_mb_per_s": by_line, "block_mb_per_s": by_block,
            "damaged_per_1000_lines": per_thousand, "leaked": leaked, "load": load, "profile": profile,
        });
        println!("{found}");
    } else {
        println!("line by line   {by_line:7.1} MB/s of a core's time");
        println!("4 KiB at once  {by_block:7.1} MB/s of a core's time");
        println!("damaged        {per_thousand:7.3} places in 1,000 lines ({damaged} in {})", options.lines);
        println!("left in place  {leaked:7} personal values");
        println!("load           {load:>7}");
        println!("profile        {profile:>7}");
    }
    Ok(Shortfalls::of([by_line >= SPEED, by_block >= SPEED, per_thousand <= DAMAGE, leaked == 0]))
}

/// The profile of Cargo that built this program, as its directory is called after: `agent` is that of what is shipped,
/// and `release` stands for `bench` too.
fn profile() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.parent()?.file_name()?.to_string_lossy().into_owned())
}

/// Lines of about 4 KiB, the longest text of a report.
const BLOCK_LINES: usize = 40;

/// The median speed in MB (10^6 bytes) a second, with the map's making.
fn speed(options: &Options, identity: &Identity, texts: &[String], in_report: usize) -> anyhow::Result<f64> {
    let bytes: usize = texts.iter().map(String::len).sum();
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let started = processor_time();
        for report in texts.chunks(in_report) {
            let mut aliases = Aliases::of(identity);
            for text in report {
                std::hint::black_box(aliases.mask(text)?);
            }
        }
        rounds.push(processor_time() - started);
    }
    rounds.sort_unstable();
    let median: Duration = *rounds.get(rounds.len() / 2).context("no round")?;
    Ok(bytes as f64 / 1e6 / median.as_secs_f64())
}

/// What this thread has used of a core: others' work beside it does not count.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap_or_default(), now.tv_nsec.try_into().unwrap_or_default())
}

fn identity() -> Identity {
    let people = logs::PEOPLE.map(|name| (PrivateKind::User, name.to_owned()));
    let hosts = logs::HOSTS.map(|name| (PrivateKind::Host, name.to_owned()));
    Identity::of(people.into_iter().chain(hosts).collect())
}
