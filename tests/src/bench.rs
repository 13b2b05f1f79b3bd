//! What every benchmark does when it talks and when it ends.

use std::io::{self, Write};
use std::process::ExitCode;

/// Tells whoever waits, on standard error.
pub fn say(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// Figures that are not as they should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shortfalls {
    /// Those that miss their target.
    pub missed: usize,
    /// Those that have a target and were not measured.
    pub not_measured: usize,
}

impl Shortfalls {
    /// Counts the figures of which each says whether it meets its target.
    pub fn of(met: impl IntoIterator<Item = bool>) -> Self {
        Self { missed: met.into_iter().filter(|met| !met).count(), not_measured: 0 }
    }
}

/// The code with which the benchmark `name` ends: 0 when every figure is within its target, 2 when some are not, or were not
/// measured, and 1 when nothing came of it. The last two are told first.
pub fn ended(name: &str, outcome: anyhow::Result<Shortfalls>) -> ExitCode {
    match outcome {
        Ok(Shortfalls { missed: 0, not_measured: 0 }) => ExitCode::SUCCESS,
        Ok(Shortfalls { missed, not_measured }) => {
            say(&format!("{name}: {missed} figures miss their target, {not_measured} were not measured"));
            ExitCode::from(2)
        }
        Err(error) => {
            say(&format!("{name}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The machine's load averages.
pub fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
