//! The command line of `belay-relay`.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use belay_protocol::OrganizationKey;
use belay_protocol::invite::RelayAddress;
use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::logging::{LogOptions, told};
use crate::net::{PlainNet, SystemNet};
use crate::server::{Admission, Caps, CertificateFiles, Config, Relay, TunnelCaps};
use crate::settings;

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
    #[command(
        after_help = "Example:\n  belay-relay serve --listen '[::]:443' --data /var/lib/belay-relay \\\n      --organization aeb4...\n\nPrints the relay's address with its key, as consoles expect it after --relay."
    )]
    Serve(Serve),
    /// Print the relay's key, and make it if there is none yet
    #[command(after_help = "Example:\n  belay-relay key --data /var/lib/belay-relay")]
    Key(Data),
}

#[derive(Debug, Args)]
struct Data {
    /// Directory of the relay's key
    #[arg(long, default_value = "./belay-relay-data", value_name = "DIR")]
    data: PathBuf,
}

#[derive(Debug, Args)]
struct Serve {
    /// UDP and TCP address to listen on
    #[arg(long, default_value = "127.0.0.1:4433", value_name = "ADDR")]
    listen: SocketAddr,
    /// UDP sockets among which the system spreads the load [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    sockets: Option<u16>,
    /// Do without segmentation offload (GSO and GRO), for drivers that get it wrong; costs several times the CPU
    #[arg(long)]
    no_offload: bool,
    /// Do not listen on TCP for those who have no UDP
    #[arg(long)]
    no_tunnels: bool,
    /// Certificate chain (PEM) that tunnels present, where networks look at it; otherwise one is made at the start
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Key (PEM) of the certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Seconds that ends have to go elsewhere when the relay is told to stop
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    drain: u64,
    /// Another relay, as it prints its address, where ends are sent when this one stops; may be given several times
    #[arg(long, value_name = "HOST:PORT#KEY")]
    elsewhere: Vec<RelayAddress>,
    #[command(flatten)]
    data: Data,
    /// Key of an organization to serve; may be given several times. On a loopback address none means all
    #[arg(long, value_name = "KEY")]
    organization: Vec<OrganizationKey>,
    /// Serve every organization, also on a public address
    #[arg(long, conflicts_with = "organization")]
    any_organization: bool,
    /// Ends that may be registered at once
    #[arg(long, default_value_t = Caps::default().endpoints, value_name = "N")]
    max_endpoints: usize,
    /// Sessions that may be open at once
    #[arg(long, default_value_t = Caps::default().pairs, value_name = "N")]
    max_pairs: usize,
    /// Bytes a second that each direction of a session may carry
    #[arg(long, default_value_t = Caps::default().pair_bytes_per_second, value_name = "BYTES")]
    pair_bytes_per_second: u64,
}

impl Cli {
    /// Runs the command and says with which code to end the process.
    pub fn run(self) -> ExitCode {
        let started = self.log.init("info").map_err(anyhow::Error::msg);
        let done = started.and_then(|()| match self.command {
            Command::Serve(serve) => serve.run(),
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

/// One socket a core keeps every core forwarding.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Reads the command line, the environment and the configuration file, and runs.
pub fn main() -> ExitCode {
    match settings::parse::<Cli>(std::env::args_os(), Some("/etc/belay/relay.toml".as_ref())) {
        Ok(cli) => cli.run(),
        Err(error) => error.exit(),
    }
}

impl Data {
    fn print_key(&self) -> anyhow::Result<ExitCode> {
        std::fs::create_dir_all(&self.data).with_context(|| format!("{} cannot be made", self.data.display()))?;
        let keys = crate::server::RelayKeys::load_or_create(&self.data)?;
        writeln!(std::io::stdout(), "{}", keys.identity.relay_key())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Serve {
    fn run(self) -> anyhow::Result<ExitCode> {
        let Some(admission) = self.admission() else {
            writeln!(
                std::io::stderr(),
                "belay-relay: {} can be reached by others, so please say whom to serve: --organization KEY \
                 (printed by `belay-console init`), or --any-organization",
                self.listen
            )?;
            return Ok(ExitCode::from(2));
        };
        let config = Config {
            listen: self.listen,
            data: self.data.data,
            admission,
            caps: Caps {
                endpoints: self.max_endpoints,
                pairs: self.max_pairs,
                pair_bytes_per_second: self.pair_bytes_per_second,
                ..Caps::default()
            },
            tunnels: (!self.no_tunnels).then(TunnelCaps::default),
            certificate: self.cert.zip(self.key).map(|(chain, key)| CertificateFiles { chain, key }),
            sockets: self.sockets.map_or_else(cores, usize::from),
            drain: Duration::from_secs(self.drain),
            elsewhere: self.elsewhere,
            net: if self.no_offload { Arc::new(PlainNet) } else { Arc::new(SystemNet) },
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let relay = Relay::bind(&config)?;
            let address = relay.local_addr()?;
            let asked_to_stop = crate::shutdown::requested();
            writeln!(std::io::stdout(), "{address}#{}", relay.key())?;
            std::io::stdout().flush()?;
            tracing::info!(%address, key = %relay.key(), "listening");
            let stop = CancellationToken::new();
            let served = tokio::spawn(relay.run(stop.clone()));
            asked_to_stop.await;
            tracing::info!("stopping");
            stop.cancel();
            served.await?;
            Ok(ExitCode::SUCCESS)
        })
    }

    /// Whom to serve; `None` when that must be said and was not.
    fn admission(&self) -> Option<Admission> {
        if !self.organization.is_empty() {
            return Some(Admission::Listed(self.organization.iter().copied().collect::<BTreeSet<_>>()));
        }
        (self.any_organization || self.listen.ip().is_loopback()).then_some(Admission::Any)
    }
}
