//! Real faults for the agent to find: disks, servers of names, groups of programs and whole systems that are this
//! machine's and nobody's, in namespaces of the test's own. They need root.
//!
//! What is made here goes when its handle goes. It hangs on a process that ends with this one, even when this one is
//! killed: file systems with their mount namespace, loop devices with their file systems, daemons by a signal.

mod container;
mod desk;
mod disk;
mod group;
mod names;
mod patient;
mod portal;
mod silent;
mod space;

use std::fs::File;
use std::process::Command;

use anyhow::Context;

pub use container::Container;
pub use desk::DistantDesk;
pub use disk::LoopDisk;
pub use group::{Group, Version};
pub use names::{NameServer, Names, resolve_by};
pub use patient::{Patient, Seen, Told, told};
pub use portal::Portal;
pub use silent::SilentMount;
pub use space::Space;

use crate::namespaces::{Namespace, run};

/// A way into namespaces.
pub trait Entrance: std::fmt::Debug {
    /// A command that runs `command` inside, with its arguments and environment.
    fn inside(&self, command: &Command) -> Command;
}

impl Entrance for Namespace {
    fn inside(&self, command: &Command) -> Command {
        self.inside(command)
    }
}

impl Entrance for Space {
    fn inside(&self, command: &Command) -> Command {
        self.inside(command)
    }
}

/// Says why no faults can be made here; `None` where they can.
pub fn missing(tools: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it takes root".to_owned());
    }
    let absent = |tool: &&&str| run(Command::new("sh").args(["-c", "command -v \"$1\"", "sh", tool]), "").is_err();
    let usual = ["unshare", "nsenter", "setpriv", "mount", "mkfs.ext4", "e2fsck"];
    let absent: Vec<_> = usual.iter().chain(tools).filter(absent).copied().collect();
    (!absent.is_empty()).then(|| format!("no {}", absent.join(", no ")))
}

/// Only one test on this machine makes faults at a time, until what this returns is dropped: to the others they would be
/// findings that nobody expects.
pub fn alone() -> anyhow::Result<File> {
    let path = std::env::temp_dir().join("belay-faults.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    file.lock()?;
    Ok(file)
}

/// A command that runs `command` and ends with the thread that starts it.
pub(crate) fn mortal(command: &Command) -> Command {
    let mut mortal = Command::new("setpriv");
    mortal.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    mortal
}
