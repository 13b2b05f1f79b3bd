//! `cargo bench -p belay-tests --bench simulator`: thousands of sessions through everything that networks do to them.
//!
//! Each seed is a world of its own ([`belay_tests::simulation`]). A seed that fails prints its plan and the command that
//! runs it alone, and the exit code is 1; it then belongs into the list in `tests/it/simulator.rs`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use belay_tests::bench::say;
use belay_tests::simulation::{Outcome, Plan};
use clap::Parser;

/// Runs sessions in simulated networks.
#[derive(Debug, Parser)]
#[command(name = "simulator", after_help = "Example:\n  cargo bench -p belay-tests --bench simulator -- --seeds 2000")]
struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first one
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let Options { seeds, from, .. } = Options::parse();
    let (next, failed) = (AtomicU64::new(from), AtomicU64::new(0));
    let all = Mutex::new(Outcome::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let plan = Plan::of(seed);
                    let done = seed - from + 1;
                    if done.is_multiple_of(200) {
                        say(&format!("{done} of {seeds} after {:.0} s", began.elapsed().as_secs_f64()));
                    }
                    match plan.run() {
                        Ok(outcome) => {
                            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                            all.bytes += outcome.bytes;
                            all.resumed += outcome.resumed;
                            all.events += outcome.events;
                        }
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            say(&format!("FAILED: {error:#}\n{plan}again: --from {seed} --seeds 1"));
                        }
                    }
                }
            });
        }
    });
    let Outcome { bytes, resumed, events } = *all.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = failed.into_inner();
    say(&format!(
        "{seeds} sessions, {events} events, {resumed} resumed links, {:.1} MB, {failed} failed, {:.0} s",
        bytes as f64 / 1e6,
        began.elapsed().as_secs_f64()
    ));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
