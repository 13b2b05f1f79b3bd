//! Logs of the three programs: to standard error, as text for people or as JSON lines for machines.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// The options of a program's log, the same for all of them.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogOptions {
    /// How log lines on standard error look
    #[arg(long, global = true, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Which log lines appear, for example `info`, `debug` or `warn,belay_relay=trace`
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

impl LogOptions {
    /// Sets this process's log up; `filter` holds where nothing else was asked for.
    pub fn init(&self, filter: &str) -> Result<(), String> {
        init(self.log_format, self.log.as_deref().unwrap_or(filter))
    }
}

/// Sends this process's log to standard error. `filter` is in the syntax of tracing's `EnvFilter`: `info`, or
/// `warn,belay_relay=debug`. Does nothing if a log has been set up before, as in tests.
pub fn init(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("--log `{filter}` is not understood: {error}"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An earlier subscriber stays: the first one to be set is the process's.
    let _ = match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// An error with everything that led to it, in one line and each cause once: some errors of libraries repeat their cause
/// in their own words.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let words = source.to_string();
        if !told.contains(&words) {
            told = format!("{told}: {words}");
        }
        cause = source.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Layer {
        words: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn each_cause_is_told_once() {
        let layer = |words, source: Option<Layer>| Layer { words, source: source.map(Box::new) };
        let error = layer("not saved: disk full", Some(layer("disk full", Some(layer("errno 28", None)))));
        assert_eq!(told(&error), "not saved: disk full: errno 28");
    }
}
