//! What every benchmark does when it talks and when it ends.

use std::io::{self, Write};
use std::process::ExitCode;

/// Tells whoever waits, on standard error.
pub fn say(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// The code with which the benchmark `name` ends; a failure is told first.
pub fn ended(name: &str, outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
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
