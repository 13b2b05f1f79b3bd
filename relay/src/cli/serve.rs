//! Running the relay: from its start to its end, with what is asked of it in between.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::options::RelayOptions;
use super::signals::{Asked, Signals};
use super::supervisor::Supervisor;
use super::{Cli, Command, refuse};
use crate::clock::unix_ms;
use crate::logging::{LogFilter, LogOptions, told};
use crate::server::{Config, Metrics, Relay, RelayHandle};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    options: RelayOptions,
    /// Print the address and the key as a JSON object
    #[arg(long)]
    json: bool,
}

impl Serve {
    /// Runs a relay until it is told to stop.
    pub(super) fn run(self, log: LogOptions, filter: &LogFilter) -> anyhow::Result<ExitCode> {
        match self.options.config() {
            Ok(config) => serve(self.options, &config, self.json, log, filter),
            Err(error) => Ok(refuse(&error.to_string())),
        }
    }
}

fn serve(
    options: RelayOptions,
    config: &Config,
    json: bool,
    log: LogOptions,
    filter: &LogFilter,
) -> anyhow::Result<ExitCode> {
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let relay = Relay::bind(config)?;
        let metrics = options.metrics.map(|address| Metrics::bind(config.net.as_ref(), address)).transpose()?;
        let (address, key, handle) = (relay.local_addr(), relay.key(), relay.handle());
        let mut signals = Signals::listen()?;
        if json {
            let said = serde_json::json!({ "address": address.to_string(), "key": key.to_string() });
            writeln!(std::io::stdout(), "{said}")?;
        } else {
            writeln!(std::io::stdout(), "{address}#{key}")?;
        }
        std::io::stdout().flush()?;
        tracing::info!(%address, %key, "listening");
        let (stop, stop_metrics) = (CancellationToken::new(), CancellationToken::new());
        let measured = metrics.map(|metrics| {
            if let Ok(address) = metrics.local_addr() {
                tracing::info!(%address, "figures at /metrics");
            }
            tokio::spawn(metrics.serve(handle.clone(), stop_metrics.clone()))
        });
        let mut served = tokio::spawn(relay.run(stop.clone()));
        let mut running = Running { options, log, filter, handle, drain: config.drain };
        Supervisor.ready();
        let mut heartbeat = tokio::time::interval(Supervisor.heartbeat().unwrap_or(NEVER));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                ended = &mut served => break ended,
                asked = signals.next() => match asked {
                    Asked::Reload if stop.is_cancelled() => {}
                    Asked::Reload => running.reload(),
                    Asked::Stop if stop.is_cancelled() => {
                        tracing::info!("stopping at once");
                        running.handle.stop_at_once();
                        break timeout(STOP_DEADLINE, &mut served).await.unwrap_or(Ok(Ok(())));
                    }
                    Asked::Stop => {
                        tracing::info!("stopping");
                        Supervisor.stopping(running.drain + STOP_DEADLINE);
                        stop.cancel();
                    }
                },
                _ = heartbeat.tick() => {
                    // A relay whose table is stuck does nothing for anybody.
                    running.handle.counts();
                    Supervisor.alive();
                }
            }
        };
        ended?.context("the system starts no thread to forward with")?;
        stop_metrics.cancel();
        if let Some(measured) = measured {
            measured.await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A relay that serves, with what it was told when it started or was last reloaded.
struct Running<'a> {
    options: RelayOptions,
    log: LogOptions,
    filter: &'a LogFilter,
    handle: RelayHandle,
    drain: Duration,
}

impl Running<'_> {
    /// Reads everything again and takes over what can change; if anything is wrong, nothing changes.
    fn reload(&mut self) {
        Supervisor.reloading();
        match self.take_over() {
            Ok(Taken { changed, fixed }) => {
                if !fixed.is_empty() {
                    tracing::warn!(options = fixed.join(", "), "these options have changed: that needs a restart");
                }
                if changed.is_empty() {
                    tracing::info!("the configuration was read again; no option has changed");
                } else {
                    tracing::info!(changed = changed.join(", "), "the configuration was read again");
                }
                self.tell_certificate();
            }
            Err(error) => tracing::error!(error, "the new configuration cannot be used; everything stays as it was"),
        }
        Supervisor.ready();
    }

    /// Says which certificate tunnels get from now on, so that whoever renewed it sees that the new one is in use.
    fn tell_certificate(&self) {
        let Some(files) = self.options.certificate() else { return };
        if let Ok(validity) = files.validity() {
            let days_left = validity.days_left(unix_ms() / 1_000);
            tracing::info!(certificate = %files.chain.display(), days_left, "new tunnels get the certificate as it is now");
        }
    }

    /// Takes the new configuration over.
    fn take_over(&mut self) -> Result<Taken, String> {
        let Cli { log, command } = super::read().map_err(|error| one_line(&error.to_string()))?;
        let Command::Serve(Serve { mut options, .. }) = command else {
            return Err("the command line has changed".to_owned());
        };
        // The new configuration must be right as a whole, and also together with what stays until a restart.
        options.config().map_err(|error| error.to_string())?;
        let mut fixed = options.keep_fixed(&self.options);
        if log.log_format != self.log.log_format {
            fixed.push("log-format");
        }
        let config: Config = options.config().map_err(|error| error.to_string())?;
        let mut changed = options.changed(&self.options);
        if log.log != self.log.log {
            changed.push("log");
        }
        let filter = log.filter(super::LOG_DEFAULT)?;
        self.handle.reload(&config).map_err(|error| told(&error))?;
        self.filter.change(filter);
        self.drain = config.drain;
        (self.options, self.log) = (options, log);
        Ok(Taken { changed, fixed })
    }
}

/// The options that differ from before.
struct Taken {
    changed: Vec<&'static str>,
    /// Those that need a restart.
    fixed: Vec<&'static str>,
}

/// clap's errors have a hint at `--help` on further lines.
fn one_line(error: &str) -> String {
    error.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Lets the process have as many descriptors as it may: each tunnel is one, and most systems start with 1,024.
#[cfg(unix)]
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    // Where it is not possible, `check` says so, and tunnels beyond the limit are refused.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(not(unix))]
fn raise_open_files() {}

/// Time for closing what is open after a drain, or without one.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// The heartbeat of a process to which no service manager listens.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
