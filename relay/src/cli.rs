//! The command line of `belay-relay`.

mod check;
mod options;
mod serve;
mod signals;
mod supervisor;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

use crate::logging::{LogOptions, told};
use crate::settings::{self, SettingsError};
use options::{Data, RelayOptions};

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
    Serve(RelayOptions),
    /// Say what is good and what is not about configuration, files, ports and the system; takes the options of `serve`
    #[command(after_help = CHECK_HELP)]
    Check(check::Check),
    /// Print the relay's key, and make it if there is none yet
    #[command(after_help = "Example:\n  belay-relay key --data /var/lib/belay-relay")]
    Key(Data),
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
        let started = self.log.init_changeable(LOG_DEFAULT).map_err(anyhow::Error::msg);
        let done = started.and_then(|filter| match self.command {
            Command::Serve(options) => serve::serve(options, self.log, &filter),
            Command::Check(check) => check.run(),
            Command::Key(data) => data.print_key(),
        });
        match done {
            Ok(code) => code,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "belay-relay: {}", told(error.as_ref()));
                ExitCode::FAILURE
            }
        }
    }
}

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

impl Data {
    fn print_key(&self) -> anyhow::Result<ExitCode> {
        std::fs::create_dir_all(&self.data).with_context(|| format!("{} cannot be made", self.data.display()))?;
        let keys = crate::server::RelayKeys::load_or_create(&self.data)?;
        writeln!(std::io::stdout(), "{}", keys.identity.relay_key())?;
        Ok(ExitCode::SUCCESS)
    }
}
