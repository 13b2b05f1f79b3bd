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
