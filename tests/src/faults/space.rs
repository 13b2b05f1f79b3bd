//! A mount namespace.

use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::namespaces::{entering, run};

/// What is mounted inside is seen inside, and is gone with the handle.
#[derive(Debug)]
pub struct Space {
    /// Reads from a pipe until its other end is closed, by us or by our end.
    keeper: Child,
}

impl Space {
    /// A new one, which sees what is mounted now, and has an empty directory at `/mnt`.
    pub fn new() -> anyhow::Result<Self> {
        let mut keeper = Command::new("unshare");
        keeper.args(["--mount", "--propagation", "private", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let space = Self { keeper: keeper.spawn().context("unshare")? };
        space.is_apart()?;
        space.run("mount", &["-t", "tmpfs", "-o", "size=1m,mode=755", "belay-faults", "/mnt"])?;
        Ok(space)
    }

    /// Waits until the keeper has left our namespace, which nothing tells.
    fn is_apart(&self) -> anyhow::Result<()> {
        let of = |id: &str| std::fs::read_link(format!("/proc/{id}/ns/mnt"));
        let (ours, keeper) = (of("self")?, self.keeper.id().to_string());
        for _ in 0..1_000 {
            let comm = std::fs::read_to_string(format!("/proc/{keeper}/comm"))?;
            if comm.trim() == "cat" && of(&keeper)? != ours {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        anyhow::bail!("unshare made no mount namespace")
    }

    /// A command that runs `command` inside, with its arguments, environment and directory.
    pub fn inside(&self, command: &Command) -> Command {
        entering(&[format!("--mount=/proc/{}/ns/mnt", self.keeper.id())], command)
    }

    /// Runs a program inside to its end; what it wrote to standard output.
    pub fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<String> {
        run(&mut self.inside(Command::new(program).args(args)), "")
    }

    /// The options with which something is mounted at `place`, as the kernel tells them; `None` where nothing is.
    pub fn options(&self, place: &str) -> anyhow::Result<Option<String>> {
        Ok(self.line(place)?.and_then(|line| line.split(' ').nth(3).map(str::to_owned)))
    }

    /// The device that is mounted at `place`.
    pub fn device(&self, place: &str) -> anyhow::Result<String> {
        let line = self.line(place)?.with_context(|| format!("nothing is mounted at {place}"))?;
        Ok(line.split(' ').next().unwrap_or_default().to_owned())
    }

    fn line(&self, place: &str) -> anyhow::Result<Option<String>> {
        let mounts = std::fs::read_to_string(format!("/proc/{}/mounts", self.keeper.id()))?;
        Ok(mounts.lines().rfind(|line| line.split(' ').nth(1) == Some(place)).map(str::to_owned))
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
