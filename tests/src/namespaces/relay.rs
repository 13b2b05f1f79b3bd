//! The relay as a process inside a namespace.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use belay_protocol::invite::RelayAddress;

use super::Namespace;
use crate::programs::Running;

/// A `belay-relay` that can be killed and started again.
#[derive(Debug)]
pub struct RelayProcess {
    program: PathBuf,
    data: tempfile::TempDir,
    listen: SocketAddr,
    more: Vec<String>,
    running: Option<Running>,
    /// Where it is.
    pub address: RelayAddress,
}

impl RelayProcess {
    /// Starts `program` in `namespace`, for every organization, with `more` options.
    pub fn start(namespace: &Namespace, program: &Path, listen: SocketAddr, more: &[&str]) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let more = more.iter().map(|&word| word.to_owned()).collect();
        let address =
            RelayAddress { host: listen.ip().to_string(), port: listen.port(), key: belay_protocol::RelayKey([0; 32]) };
        let mut relay = Self { program: program.to_owned(), data, listen, more, running: None, address };
        relay.restart(namespace)?;
        Ok(relay)
    }

    /// Starts it again, with the same key.
    pub fn restart(&mut self, namespace: &Namespace) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.env_clear().current_dir(self.data.path()).args(["--log", "warn", "serve", "--any-organization"]);
        command.args(["--drain", "0", "--listen", &self.listen.to_string(), "--data"]).arg(self.data.path());
        let running = Running::start(&mut namespace.inside(command.args(&self.more)))?;
        let line = running.out().line_with("#").with_context(|| running.err().text())?;
        self.address = line.trim().parse()?;
        self.running = Some(running);
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.running.take().context("the relay does not run")?.kill().map(drop)
    }

    /// Its process id.
    pub fn id(&self) -> anyhow::Result<u32> {
        Ok(self.running.as_ref().context("the relay does not run")?.id())
    }

    /// Bytes of memory that are resident now, and that were at most.
    pub fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
            Ok(line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>()? * 1024)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Lets the largest amount of memory count from now.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        // proc(5): 5 resets the high-water mark.
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.id()?), "5")?)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.running.as_ref().map(|running| running.err().text()).unwrap_or_default()
    }
}
