//! The figures in the README, measured: size and memory of the agent, and the time from the typed command to findings.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::programs::Program;
use crate::programs::build::cargo;
use crate::world::World;

/// Rounds of what is measured more than once; the middle one counts, for memory the largest.
const ROUNDS: usize = 5;

/// Measures and prints; `--json` as one JSON object.
pub fn main() -> ExitCode {
    let as_json = std::env::args().any(|arg| arg == "--json");
    match measure().and_then(|figures| print(&figures, as_json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Figures {
    agent_bytes: u64,
    survey_ms: u128,
    survey_peak_kib: u64,
    watch_anonymous_kib: u64,
    join_ms: u128,
    join_peak_kib: u64,
    demo_ms: u128,
}

fn print(figures: &Figures, as_json: bool) -> anyhow::Result<()> {
    let Figures { agent_bytes, survey_ms, survey_peak_kib, watch_anonymous_kib, join_ms, join_peak_kib, demo_ms } =
        figures;
    let mut out = io::stdout().lock();
    if as_json {
        let all = json!({
            "agent_bytes": agent_bytes,
            "survey_ms": survey_ms,
            "survey_peak_kib": survey_peak_kib,
            "watch_anonymous_kib": watch_anonymous_kib,
            "join_ms": join_ms,
            "join_peak_kib": join_peak_kib,
            "demo_ms": demo_ms,
        });
        writeln!(out, "{all}")?;
        return Ok(());
    }
    let mib = |kib: &u64| *kib as f64 / 1024.0;
    writeln!(out, "agent, release, stripped        {:>8.1} MB      (at most 12)", *agent_bytes as f64 / 1e6)?;
    writeln!(out, "belay-agent survey              {survey_ms:>8} ms")?;
    writeln!(out, "  its peak memory (VmHWM)       {:>8.1} MiB     (at most 30)", mib(survey_peak_kib))?;
    writeln!(out, "  --watch at rest, anonymous    {:>8.1} MiB     (at most 12)", mib(watch_anonymous_kib))?;
    writeln!(out, "belay-agent join                {join_ms:>8} ms")?;
    writeln!(out, "  its peak memory (VmHWM)       {:>8.1} MiB     (at most 30)", mib(join_peak_kib))?;
    writeln!(out, "cargo demo --yes --exit         {demo_ms:>8} ms      (under 3000)")?;
    Ok(())
}

fn measure() -> anyhow::Result<Figures> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    say("building the agent by itself, optimised");
    let agent = Program::Agent.release()?;
    let agent_bytes = std::fs::metadata(&agent).with_context(|| format!("{}", agent.display()))?.len();

    say("looking at this machine");
    let surveys = rounds(|_| watched(Command::new(&agent).arg("survey")))?;

    say("watching it");
    let watch_anonymous_kib = watch_at_rest(&agent)?;

    say("joining tickets of a desk in this process");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let joins = rounds(|round| {
        let (world, link) = runtime.block_on(async {
            let world = World::start().await?;
            let ticket = world.desk.ticket("measured").await?;
            let link = world.desk.invite(&ticket).await?.to_string();
            anyhow::Ok((world, link))
        })?;
        let data = world.dir().join(format!("device-{round}"));
        watched(Command::new(&agent).args(["join", &link, "--yes", "--insecure-http", "--data"]).arg(data))
    })?;

    say("running the demo");
    cargo(&["build", "--quiet", "--package", "belay-tests", "--bin", "demo"])?;
    let scratch = tempfile::tempdir()?;
    let demos = rounds(|_| {
        let start = Instant::now();
        let data = scratch.path().join("belay-data");
        let mut demo = Command::new(env!("CARGO"));
        demo.current_dir(root).args(["demo", "--yes", "--exit", "--data"]).arg(&data).stdout(Stdio::null());
        ensure!(demo.status()?.success(), "the demo failed");
        Ok((start.elapsed(), 0))
    })?;
    Ok(Figures {
        agent_bytes,
        survey_ms: median(&surveys),
        survey_peak_kib: largest(&surveys),
        watch_anonymous_kib,
        join_ms: median(&joins),
        join_peak_kib: largest(&joins),
        demo_ms: median(&demos),
    })
}

type Round = (Duration, u64);

fn rounds(mut round: impl FnMut(usize) -> anyhow::Result<Round>) -> anyhow::Result<Vec<Round>> {
    (0..ROUNDS).map(&mut round).collect()
}

fn median(rounds: &[Round]) -> u128 {
    let mut times: Vec<u128> = rounds.iter().map(|(time, _)| time.as_millis()).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn largest(rounds: &[Round]) -> u64 {
    rounds.iter().map(|(_, peak)| *peak).max().unwrap_or_default()
}

/// Runs a program and watches the high-water mark of its memory until it ends: the kernel keeps the mark, so that only
/// what the last millisecond adds is missed.
fn watched(command: &mut Command) -> anyhow::Result<Round> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        if let Ok(text) = std::fs::read_to_string(&status) {
            peak = peak.max(kib_of(&text, "VmHWM:").unwrap_or_default());
        }
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success(), "{command:?} failed: {ended}");
            return Ok((start.elapsed(), peak));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Anonymous memory of a watch between two looks, the largest over all sections.
fn watch_at_rest(agent: &Path) -> anyhow::Result<u64> {
    let mut largest = 0;
    for section in ["system", "disk", "memory", "drivers", "network"] {
        let mut command = Command::new(agent);
        command.args(["survey", "--watch", section, "--every", "1"]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn()?;
        std::thread::sleep(WATCHED);
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        child.kill()?;
        child.wait()?;
        largest = largest.max(kib_of(&status?, "RssAnon:").context("the watch has ended")?);
    }
    Ok(largest)
}

/// Three looks, and half the time to the next.
const WATCHED: Duration = Duration::from_millis(3_500);

fn kib_of(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.trim().split(' ').next()?.parse().ok()
}

fn say(what: &str) {
    let _ = writeln!(io::stderr(), "{what} ...");
}
