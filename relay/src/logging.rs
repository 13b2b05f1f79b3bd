//! Logs of the three programs: to standard error, as text for people or as JSON lines for machines.

use std::fmt;
use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, reload};

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
        self.init_changeable(filter).map(drop)
    }

    /// As [`LogOptions::init`], for a program whose log goes through `writer` on its way to standard error.
    pub fn init_to<W>(&self, filter: &str, writer: W) -> Result<(), String>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        self.init_with(filter, writer).map(drop)
    }

    /// As [`LogOptions::init`], for a program that can change its filter while it runs.
    pub fn init_changeable(&self, filter: &str) -> Result<LogFilter, String> {
        self.init_with(filter, std::io::stderr)
    }

    fn init_with<W>(&self, filter: &str, writer: W) -> Result<LogFilter, String>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let filter = self.filter(filter)?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
        let handle;
        // An earlier subscriber stays: the first one to be set is the process's.
        let _ = match self.log_format {
            LogFormat::Text => {
                let log = log.with_ansi(std::io::stderr().is_terminal()).with_target(false).with_filter_reloading();
                handle = LogFilter::new(log.reload_handle());
                log.try_init()
            }
            LogFormat::Json => {
                let log = log.json().flatten_event(true).with_filter_reloading();
                handle = LogFilter::new(log.reload_handle());
                log.try_init()
            }
        };
        Ok(handle)
    }

    /// The filter that was asked for, or else `default`. It is in the syntax of tracing's `EnvFilter`: `info`, or
    /// `warn,belay_relay=debug`.
    pub fn filter(&self, default: &str) -> Result<EnvFilter, String> {
        let asked = self.log.as_deref().unwrap_or(default);
        let filter =
            EnvFilter::try_new(asked).map_err(|error| format!("--log `{asked}` is not understood: {error}"))?;
        Ok(if tells_addresses(asked) {
            filter
        } else {
            filter.add_directive(NO_ADDRESSES.parse().expect("a directive"))
        })
    }
}

/// Sends this process's log to standard error, as [`LogOptions::init`] does. Does nothing if a log has been set up before,
/// as in tests.
pub fn init(log_format: LogFormat, filter: &str) -> Result<(), String> {
    LogOptions { log_format, log: Some(filter.to_owned()) }.init(filter)
}

/// Changes what a running program logs.
pub struct LogFilter(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LogFilter {
    fn new<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> Self {
        // Fails only when the log is gone, and then nothing is logged.
        Self(Box::new(move |filter| drop(handle.reload(filter))))
    }

    /// Uses `filter` from now on.
    pub fn change(&self, filter: EnvFilter) {
        self.0(filter);
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogFilter")
    }
}

/// quinn-udp warns of packets that cannot be sent, with the address of the peer in the line.
const NO_ADDRESSES: &str = "quinn_udp=off";

/// Says whether a filter asks for everything at DEBUG or for quinn-udp by its name: only then may peers' addresses show.
fn tells_addresses(filter: &str) -> bool {
    let mut directives = filter.split(',').map(str::trim);
    directives
        .any(|one| ["debug", "trace"].iter().any(|level| one.eq_ignore_ascii_case(level)) || one.contains("quinn_udp"))
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
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

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

    /// What a log with the filter `asked` for shows of events at WARN and at DEBUG.
    fn shown(asked: &str) -> String {
        let page = Page::default();
        let options = LogOptions { log: Some(asked.to_owned()), ..LogOptions::default() };
        let writer = page.clone();
        let log = tracing_subscriber::fmt().with_env_filter(options.filter("info").unwrap());
        tracing::subscriber::with_default(log.with_writer(move || writer.clone()).finish(), || {
            tracing::warn!(target: "quinn_udp", "sendmsg error, destination 192.0.2.1:443");
            tracing::warn!(target: "belay_relay::server", "odd");
            tracing::debug!(target: "belay_relay::server", "seldom");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn addresses_that_libraries_tell_are_shown_only_to_who_asks_for_debug() {
        for quiet in ["info", "warn", "warn,belay_relay=debug", "quinn=info"] {
            let shown = shown(quiet);
            assert!(!shown.contains("192.0.2.1"), "{quiet}: {shown}");
            assert_eq!(shown.contains("odd"), quiet != "quinn=info", "{quiet}: {shown}");
        }
        for loud in ["debug", "TRACE", "info, debug", "warn,quinn_udp=warn"] {
            assert!(shown(loud).contains("192.0.2.1"), "{loud}");
        }
    }
}
