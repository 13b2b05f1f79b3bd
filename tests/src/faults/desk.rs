//! A support desk somewhere on a network: a relay and a console, each on a host of its own.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::mortal;
use crate::namespaces::{RelayProcess, Topology};
use crate::programs::{Program, Running, run};

/// A desk that is present at a relay.
#[derive(Debug)]
pub struct DistantDesk {
    home: TempDir,
    /// The relay.
    pub relay: RelayProcess,
    console: Running,
}

impl DistantDesk {
    /// Starts `relay_program`, or the usual one, on one host and a console on another, with `more` options for the console
    /// and a help host.
    pub fn start(
        topology: &Topology,
        (relay, console): (u8, u8),
        relay_program: Option<PathBuf>,
        help_host: &str,
        more: &[String],
    ) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let program = match relay_program {
            Some(program) => program,
            None => PathBuf::from(Program::Relay.command(home.path())?.get_program()),
        };
        let relay = RelayProcess::start(topology.host(relay), &program, Topology::socket(relay, PORT), &[])?;
        let words = ["init", "--data", "desk", "--json", "--help-host", help_host];
        let made = run(Program::Console.command(home.path())?.args(words))?;
        ensure!(made.code == Some(0), "init: {made}");
        let mut serve = Program::Console.command(home.path())?;
        serve.args(["serve", "--data", "desk", "--http", "127.0.0.1:0", "--relay", &relay.address.to_string()]);
        let serve = mortal(serve.args(more));
        let mut inside = topology.host(console).inside(&serve);
        let running = Running::start(inside.current_dir(home.path()))?;
        running.err().line_with("registered with the relay").with_context(|| relay.log())?;
        Ok(Self { home, relay, console: running })
    }

    /// Opens a ticket; its number and its invite link.
    pub fn open_ticket(&self) -> anyhow::Result<(String, String)> {
        let opened = self.ask(&["ticket", "open", "--title", "Please look", "--customer", "Nordwind"])?;
        let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| opened.to_string());
        Ok((text(&opened["ticket"]["number"])?, text(&opened["invite"]["link"])?))
    }

    /// A ticket with its reports.
    pub fn show(&self, number: &str) -> anyhow::Result<Value> {
        self.ask(&["ticket", "show", number])
    }

    /// The answer to a command.
    fn ask(&self, words: &[&str]) -> anyhow::Result<Value> {
        let ended = run(Program::Console.command(self.home.path())?.args(words).args(["--json", "--data", "desk"]))?;
        ensure!(ended.code == Some(0), "{words:?}: {ended}\n--- the console said\n{}", self.console.err().text());
        ended.json()
    }
}

const PORT: u16 = 4_433;
