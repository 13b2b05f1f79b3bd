//! `belay-agent join`.

use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::sync::Arc;

use belay_protocol::Language;
use belay_protocol::consent::Capability;
use belay_protocol::report::SectionName;
use belay_relay::client::Proxy;
use belay_relay::net::SystemNet;
use belay_relay::shutdown;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Exit, err, out};
use crate::join::{JoinError, JoinOptions, Joined, PATIENCE, Person, join};
use crate::paths::default_data_dir;
use crate::survey::Smart;
use crate::terminal::{Colour, json};

/// The help text's example.
pub const EXAMPLE: &str = "Examples:\n  belay-agent join 'belay://relay.example.com:443/418205975?desk=help.example.com#...'\n  belay-agent join help.example.com 418205975\n\nPut a link in quotes: it holds characters that the shell would take for its own.\nWhere only an HTTP proxy lets you out, HTTPS_PROXY names it (http://[USER:PASSWORD@]HOST:PORT) and NO_PROXY the exceptions.\nNothing is sent before you have seen it and agreed.";

/// Options of `join`.
#[derive(Debug, clap::Args)]
pub struct JoinArgs {
    /// The invite link (belay://...), or the help address of your support
    #[arg(value_name = "INVITE")]
    pub invite: String,
    /// The nine-digit code, beside a help address
    #[arg(value_name = "CODE", num_args = 0..)]
    pub code: Vec<String>,
    /// The most that you allow: survey, terminal, send-files, take-files, fixes, tunnel
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub grant: Option<Vec<Capability>>,
    /// Agree to what the desk asks for without being asked
    #[arg(long)]
    pub yes: bool,
    /// Show every value that would be sent before the question
    #[arg(long)]
    pub show: bool,
    /// Leave sections out: system, disk, memory, drivers, network, findings
    #[arg(long, value_name = "SECTION", value_delimiter = ',', value_parser = super::section)]
    pub without: Vec<SectionName>,
    /// Also ask smartmontools for the health of disks: starts a program, wakes no disk, needs root
    #[arg(long)]
    pub smart: bool,
    /// Also look when this certificate ends
    #[arg(long, value_name = "FILE")]
    pub certificate: Vec<String>,
    /// Print what was sent as JSON on standard output; everything else goes to standard error
    #[arg(long)]
    pub json: bool,
    /// Directory of this device's key and of the list of what you agreed to
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Ask a desk on this very machine by plain HTTP
    #[arg(long)]
    pub insecure_http: bool,
    /// Look at a captured tree of /proc and /sys instead of this machine
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// Runs `join`.
pub async fn run(args: JoinArgs, language: Language) -> anyhow::Result<Exit> {
    let proxy = match Proxy::from_environment(|name| std::env::var(name).ok()) {
        Ok(proxy) => proxy,
        Err(error) => {
            writeln!(err(), "{}", JoinError::Proxy(error).sentence(language))?;
            return Ok(Exit::Usage);
        }
    };
    let data = match args.data {
        Some(data) => data,
        None => default_data_dir()?,
    };
    let page: Box<dyn Write + Send> = if args.json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    let colour = if args.json { Colour::of(&io::stderr()) } else { Colour::of(&io::stdout()) };
    let options = JoinOptions {
        invite: args.invite,
        code: (!args.code.is_empty()).then(|| args.code.concat()),
        grant: args.grant,
        yes: args.yes,
        language,
        insecure_http: args.insecure_http,
        data,
        net: Arc::new(SystemNet),
        proxy,
        root: args.root,
        colour,
        show: args.show,
        without: args.without,
        smart: if args.smart { Smart::Asked } else { Smart::NotAsked },
        certificates: args.certificate,
        patience: PATIENCE,
    };
    let person = Person { answers: Box::new(BufReader::new(io::stdin())), page };
    let cut = CancellationToken::new();
    let stop = cut.clone();
    let _listening = AbortOnDropHandle::new(tokio::spawn(async move {
        shutdown::requested().await;
        stop.cancel();
    }));
    match join(options, person, cut).await {
        Ok(Joined::Filed(receipt)) => {
            if args.json {
                writeln!(out(), "{}", json(&receipt)?)?;
            }
            Ok(Exit::Done)
        }
        Ok(Joined::Refused) => Ok(Exit::Refused),
        Err(error) => {
            // The chain is for support; the sentence is for the customer.
            tracing::debug!(%error, "joining failed");
            writeln!(err(), "{}", error.sentence(language))?;
            Ok(match error {
                JoinError::Invite(_)
                | JoinError::Code(_)
                | JoinError::NoInvite
                | JoinError::NotAHost(_)
                | JoinError::Proxy(_) => Exit::Usage,
                JoinError::Cut => Exit::Refused,
                _ => Exit::Failed,
            })
        }
    }
}
