//! The command line of `belay-relay`.

mod check;
mod options;
mod serve;
mod signals;
mod supervisor;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::logging::{LogOptions, told};
use crate::server::{RelayKeys, StartError};
use crate::settings::{self, SettingsError};
use options::Data;

/// Forwards end-to-end encrypted support sessions between agents and consoles, without being able to read them.
#[derive(Debug, Parser)]
#[command(name = "belay-relay", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    log: LogOptions,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Example:\n  belay-relay serve --listen 127.0.0.1:4433\n\n\
    Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.\n\
    Every option can also be set as BELAY_<OPTION> or as a key of the TOML file named by --config.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay until it is told to stop
    #[command(after_help = SERVE_HELP)]
    Serve(serve::Serve),
    /// Say what is good and what is not about configuration, files, ports and the system; takes the options of `serve`
    #[command(after_help = CHECK_HELP)]
    Check(check::Check),
    /// Print the relay's key, and make it if there is none yet
    #[command(after_help = "Example:\n  belay-relay key --data /var/lib/belay-relay")]
    Key(Key),
}

const SERVE_HELP: &str = "Example:\n  belay-relay serve --listen '[::]:443' --data /var/lib/belay-relay \\\n      \
    --organization aeb4...\n\n\
    Prints the relay's address with its key, as consoles expect it after --relay.\n\
    SIGTERM sends everybody elsewhere and stops; a second one stops at once. SIGHUP reads the configuration file\n\
    and the certificate again; what is wrong there changes nothing.";

const CHECK_HELP: &str = "Example:\n  belay-relay check --listen '[::]:443' --data /var/lib/belay-relay \\\n      \
    --organization aeb4...\n\n\
    Changes nothing, and may be run beside a relay that serves. Run it as the account of the relay.\n\
    Exit codes: 0 nothing is wrong, though there may be warnings; 1 something is; 2 wrong usage.";

impl Cli {
    /// Runs the command and says with which code to end the process.
    pub fn run(self) -> ExitCode {
        let filter = match self.log.init_changeable(LOG_DEFAULT) {
            Ok(filter) => filter,
            Err(error) => return refuse(&error),
        };
        let done = match self.command {
            Command::Serve(serve) => serve.run(self.log, &filter),
            Command::Check(check) => check.run(),
            Command::Key(key) => key.run(),
        };
        match done {
            Ok(code) => code,
            Err(error) => {
                let code =
                    if is_configuration(&error) { ExitCode::from(WRONG_CONFIGURATION) } else { ExitCode::FAILURE };
                let hint = match error.downcast_ref() {
                    Some(StartError::Listen { .. }) => "; `belay-relay check` with the same options says what to do",
                    _ => "",
                };
                let _ = writeln!(std::io::stderr(), "belay-relay: {}{hint}", told(error.as_ref()));
                code
            }
        }
    }
}

/// Says what is wrong with the usage or the configuration.
fn refuse(error: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "belay-relay: {error}");
    ExitCode::from(WRONG_CONFIGURATION)
}

/// Whether the relay did not start for a reason that stays until somebody changes its configuration or its files, so
/// that a service manager has no reason to try again.
fn is_configuration(error: &anyhow::Error) -> bool {
    let is_lasting = |start: &StartError| match start {
        StartError::Data { .. }
        | StartError::Identity(_)
        | StartError::Deny(_)
        | StartError::Certificate(_)
        | StartError::Tls(_) => true,
        // A port or a directory may be left by whoever holds it.
        StartError::InUse(_) | StartError::Listen { .. } => false,
    };
    error.downcast_ref().is_some_and(is_lasting) && !error.chain().any(is_full_disk)
}

/// A disk that is full may have room later.
fn is_full_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};

    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(StorageFull | QuotaExceeded))
}

/// The code of wrong usage or configuration, with which systemd does not start the relay again.
const WRONG_CONFIGURATION: u8 = 2;

/// What is logged when nothing else was asked for.
const LOG_DEFAULT: &str = "info";

/// Reads the command line, the environment and the configuration file, and runs.
pub fn main() -> ExitCode {
    match read() {
        Ok(cli) => cli.run(),
        Err(error) => check::report_settings(&error).unwrap_or_else(|| error.exit()),
    }
}

/// Reads the command line, the environment and the configuration file.
fn read() -> Result<Cli, SettingsError> {
    settings::parse(std::env::args_os(), Some("/etc/belay/relay.toml".as_ref()))
}

/// What the command line alone asks for, when settings from elsewhere are so wrong that it cannot be parsed as a whole.
fn asked() -> Option<clap::ArgMatches> {
    let command = Cli::command().arg(settings::config_option()).ignore_errors(true);
    command.try_get_matches_from(std::env::args_os()).ok()
}

#[derive(Debug, Args)]
struct Key {
    #[command(flatten)]
    data: Data,
    /// Print it as a JSON object
    #[arg(long)]
    json: bool,
}

impl Key {
    fn run(self) -> anyhow::Result<ExitCode> {
        let data = self.data.data;
        std::fs::create_dir_all(&data).map_err(|source| StartError::Data { path: data.clone(), source })?;
        let key = RelayKeys::load_or_create(&data).map_err(StartError::from)?.identity.relay_key();
        if self.json {
            writeln!(std::io::stdout(), "{}", serde_json::json!({ "key": key.to_string() }))?;
        } else {
            writeln!(std::io::stdout(), "{key}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
