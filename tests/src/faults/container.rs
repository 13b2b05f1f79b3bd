//! A whole system under systemd.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::{Entrance, Group, mortal};
use crate::namespaces::{entering, run};
use crate::programs::{Program, Running};

/// This machine's own `/usr` in a container, with a systemd of its own that has just started, no network, and an empty
/// `/etc` and `/var`.
#[derive(Debug)]
pub struct Container {
    leader: u32,
    _nspawn: Running,
    // They can go when their programs have.
    _groups: Vec<Group>,
}

impl Container {
    /// Boots one.
    pub fn boot() -> anyhow::Result<Self> {
        // Without groups of its own it would arrange ours.
        let hierarchies = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"].map(Path::new);
        let hierarchies = hierarchies.into_iter().filter(|place| place.join("cgroup.procs").exists());
        let groups = hierarchies.map(Group::new).collect::<anyhow::Result<Vec<_>>>()?;
        let agent = Program::Agent.command(Path::new("/"))?;
        let programs = Path::new(agent.get_program()).parent().context("a program is in a directory")?;
        let mut nspawn = Command::new("sh");
        nspawn.args(["-c", JOIN_GROUPS, "sh"]).args(groups.iter().map(Group::path)).arg("--");
        nspawn.args(["systemd-nspawn", "--quiet", "--directory=/", "--volatile=yes", "--register=no", "--keep-unit"]);
        nspawn.args(["--private-network", "--console=pipe", "--link-journal=no"]);
        nspawn.arg(format!("--machine=belay-faults-{}", std::process::id()));
        nspawn.arg(format!("--bind-ro={}", programs.display()));
        nspawn.args(["--boot", "systemd.unit=basic.target", "systemd.firstboot=no"]);
        let nspawn = Running::start(mortal(&nspawn).stdin(std::process::Stdio::null()))?;
        let leader = leader(nspawn.id()).with_context(|| format!("{}{}", nspawn.out().text(), nspawn.err().text()))?;
        let container = Self { leader, _nspawn: nspawn, _groups: groups };
        container.wait_until_booted()?;
        Ok(container)
    }

    /// Runs a program inside to its end; what it wrote to standard output.
    pub fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<String> {
        run(&mut self.inside(Command::new(program).args(args)), "")
    }

    /// Until systemd has nothing left to start.
    fn wait_until_booted(&self) -> anyhow::Result<()> {
        let mut said = String::new();
        for _ in 0..300 {
            // It fails when units did, which may be the case here.
            match self.run("sh", &["-c", "systemctl is-system-running || true"]) {
                Ok(state) if ["running", "degraded"].contains(&state.trim()) => return Ok(()),
                Ok(state) => said = state,
                Err(error) => said = error.to_string(),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("the container does not boot: {said}")
    }
}

impl Entrance for Container {
    fn inside(&self, command: &Command) -> Command {
        let target = format!("--target={}", self.leader);
        entering(&[target, "--mount".into(), "--uts".into(), "--ipc".into(), "--net".into(), "--pid".into()], command)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // With its first process everything in a container ends, and with that the program that holds it.
        let _ = run(Command::new("kill").args(["-KILL", &self.leader.to_string()]), "");
        for _ in 0..500 {
            if !Path::new(&format!("/proc/{}", self.leader)).exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The first process of the container.
fn leader(nspawn: u32) -> anyhow::Result<u32> {
    for _ in 0..1_000 {
        let children = std::fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children"))?;
        for child in children.split_whitespace() {
            let comm = std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            if comm.trim() == "systemd" {
                return Ok(child.parse()?);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("no systemd was started")
}

/// Joins the groups before `--`, and becomes the program behind it.
const JOIN_GROUPS: &str =
    "while [ \"$1\" != -- ]; do echo $$ > \"$1/cgroup.procs\" || exit 1; shift; done; shift; exec \"$@\"";
