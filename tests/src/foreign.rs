//! The agent as it was built for other systems. Nothing is built here: CI's stage for other systems says where it is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, ensure};

use crate::programs::{alone, run};

/// The agent for Windows, under wine.
#[derive(Debug)]
pub struct Wine {
    wine: PathBuf,
    agent: PathBuf,
    prefix: PathBuf,
}

impl Wine {
    /// The agent that `BELAY_WINDOWS_AGENT` names, under the wine that `BELAY_WINE` names. What wine keeps goes to `scratch`,
    /// and is made once.
    pub fn found(scratch: &Path) -> anyhow::Result<Self> {
        let wine =
            Self { wine: named("BELAY_WINE")?, agent: named("BELAY_WINDOWS_AGENT")?, prefix: scratch.join("wine") };
        // Two that begin at the same time would both furnish the place.
        static FURNISHED: OnceLock<Result<(), String>> = OnceLock::new();
        let furnished = FURNISHED.get_or_init(|| wine.furnish(scratch).map_err(|error| format!("{error:#}")));
        furnished.as_ref().map_err(|error| anyhow::anyhow!("wine does not run the agent: {error}"))?;
        Ok(wine)
    }

    fn furnish(&self, scratch: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.prefix)?;
        let ended = run(self.command(scratch).arg("--version"))?;
        ensure!(ended.code == Some(0) && ended.out.contains("belay-agent"), "{ended}");
        Ok(())
    }

    /// The agent's file.
    pub fn agent(&self) -> &Path {
        &self.agent
    }

    /// Where wine keeps its drives.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// A command that runs the agent with `home` as working directory.
    pub fn command(&self, home: &Path) -> Command {
        let mut command = alone(&self.wine, home);
        command.arg(&self.agent).env("WINEPREFIX", &self.prefix).env("WINEDEBUG", "-all");
        command
    }
}

/// The static agent that `BELAY_MUSL_AGENT` names.
pub fn musl_agent() -> anyhow::Result<PathBuf> {
    named("BELAY_MUSL_AGENT")
}

fn named(variable: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty());
    let path = PathBuf::from(path.with_context(|| format!("{variable} is not set; .ci/other-systems sets it"))?);
    std::fs::canonicalize(&path).with_context(|| format!("{variable}: {}", path.display()))
}
