//! `cargo bench -p belay-tests --bench sos`: a survey that is saved to a file beside an sos report of the same machine, in
//! turns: processor time, time to the end, peak memory, and the size of what comes out. As root, as sos wants it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use belay_tests::bench::{Shortfalls, ended, load, say};
use belay_tests::programs::Program;
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Compares `belay-agent survey --save` with `sos report`.
#[derive(Debug, Parser)]
#[command(name = "sos", after_help = "Example:\n  cargo bench -p belay-tests --bench sos -- --rounds 5")]
struct Options {
    /// Times that each runs
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Run this command, and print what it and its children used
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    measure: Vec<PathBuf>,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a run used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Run {
    /// Processor time of the program and of its children, in seconds.
    cpu_s: f64,
    /// Time to the end, in seconds.
    wall_s: f64,
    /// Largest resident set of the program or of any of its children, in KiB. What they had at once is more.
    peak_kib: i64,
    /// Bytes of what came out.
    bytes: u64,
}

/// Something that is measured.
struct Measure {
    name: &'static str,
    of: fn(&Run) -> f64,
    /// The least that sos must use of it, in what the survey uses.
    least_ratio: f64,
}

const MEASURES: [Measure; 3] = [
    Measure { name: "processor time (s)", of: |run| run.cpu_s, least_ratio: 30.0 },
    Measure { name: "time to the end (s)", of: |run| run.wall_s, least_ratio: 10.0 },
    Measure { name: "peak memory (MiB)", of: |run| run.peak_kib as f64 / 1024.0, least_ratio: 5.0 },
];

/// Bytes of a saved survey, and MiB of its peak memory.
const BYTES_MAX: u64 = 150 * 1024;
const PEAK_MAX_MIB: f64 = 30.0;

/// An sos report of a large server takes some minutes.
const DEADLINE: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some((program, words)) = options.measure.split_first() {
        return ended("sos", measure(program, words).map(|()| Shortfalls::default()));
    }
    ended("sos", compare(&options))
}

/// Runs one command in a process of its own, so that what its children used is what this one's children used.
fn measure(program: &Path, words: &[PathBuf]) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut child = Command::new(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > DEADLINE {
            child.kill()?;
            bail!("{} did not end within {} s", program.display(), DEADLINE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall_s = began.elapsed().as_secs_f64();
    ensure!(status.success(), "{}: {status}", program.display());
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu_s = seconds(used.user_time()) + seconds(used.system_time());
    let run = Run { cpu_s, wall_s, peak_kib: used.max_rss(), bytes: 0 };
    writeln!(io::stdout(), "{}", serde_json::to_string(&run)?)?;
    Ok(())
}

fn compare(options: &Options) -> anyhow::Result<Shortfalls> {
    ensure!(options.rounds > 0, "--rounds is at least 1");
    let sos = which("sos").context("sos is missing: apt-get install sosreport")?;
    say("building the agent by itself");
    let agent = Program::Agent.release()?;
    let before = load();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let scratch = tempfile::tempdir()?;
        let at = |name: &str| scratch.path().join(name);
        say(&format!("round {round} of {}", options.rounds));
        let (data, file) = (at("data"), at("report.belay"));
        let words = ["survey".as_ref(), "--data".as_ref(), data.as_path(), "--save".as_ref(), &file];
        let run = measured(&agent, &words)?;
        ours.push(Run { bytes: std::fs::metadata(&file)?.len(), ..run });
        let reports = at("sos");
        std::fs::create_dir(&reports)?;
        let words = ["report".as_ref(), "--batch".as_ref(), "--quiet".as_ref(), "--tmp-dir".as_ref(), &*reports];
        let run = measured(&sos, &words)?;
        theirs.push(Run { bytes: largest_file(&reports)?, ..run });
    }
    print(options, &before, &ours, &theirs)
}

fn measured(program: &Path, words: &[&Path]) -> anyhow::Result<Run> {
    let own = std::env::current_exe()?;
    let output = Command::new(own).arg("--measure").arg(program).args(words).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed", program.display());
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file())
}

/// The archive is the largest thing that sos leaves.
fn largest_file(directory: &Path) -> anyhow::Result<u64> {
    let sizes = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.metadata()?.len()));
    let sizes = sizes.collect::<io::Result<Vec<u64>>>()?;
    sizes.into_iter().max().context("sos has written nothing")
}

fn print(options: &Options, before: &str, ours: &[Run], theirs: &[Run]) -> anyhow::Result<Shortfalls> {
    let mut out = io::stdout().lock();
    let (bytes, sos_bytes) = (largest(ours, |run| run.bytes), largest(theirs, |run| run.bytes));
    let peak_mib = largest(ours, |run| run.peak_kib.unsigned_abs()) as f64 / 1024.0;
    let ratios = MEASURES.map(|Measure { of, least_ratio, .. }| median(theirs, of) / median(ours, of) >= least_ratio);
    let shortfalls = Shortfalls::of(ratios.into_iter().chain([bytes <= BYTES_MAX, peak_mib <= PEAK_MAX_MIB]));
    if options.json {
        let all = json!({ "load": before, "belay": ours, "sos": theirs });
        writeln!(out, "{all}")?;
        return Ok(shortfalls);
    }
    writeln!(out, "{:<22} {:>10} {:>10} {:>8}   (load before: {before})", "median", "belay", "sos", "ratio")?;
    for Measure { name, of, least_ratio } in MEASURES {
        let (belay, sos) = (median(ours, of), median(theirs, of));
        let ratio = sos / belay;
        writeln!(out, "{name:<22} {belay:>10.3} {sos:>10.3} {ratio:>8.1}   (at least {least_ratio})")?;
    }
    writeln!(
        out,
        "{:<22} {:>10.1} {:>10.1}            (at most {})",
        "size (KiB)",
        kib(bytes),
        kib(sos_bytes),
        kib(BYTES_MAX)
    )?;
    writeln!(out, "{:<22} {peak_mib:>10.1} {:>10}            (at most {PEAK_MAX_MIB})", "highest memory (MiB)", "")?;
    Ok(shortfalls)
}

fn largest(runs: &[Run], of: impl Fn(&Run) -> u64) -> u64 {
    runs.iter().map(of).max().unwrap_or_default()
}

fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

fn median(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
