//! Where the agent keeps what it must remember.

use std::ffi::OsString;
use std::path::PathBuf;

/// The device's key in the data directory.
pub const DEVICE_KEY: &str = "device.key";

/// No place for data is known.
#[derive(Debug, thiserror::Error)]
#[error("no home directory is known; name a directory with --data")]
pub struct NoHome;

/// The directory for keys and the consent ledger where none was named: of the system when run by it (Linux: root),
/// otherwise of the person who runs it.
pub fn default_data_dir() -> Result<PathBuf, NoHome> {
    data_dir(|name| std::env::var_os(name).filter(|value| !value.is_empty()), is_root())
}

fn data_dir(variable: impl Fn(&str) -> Option<OsString>, root: bool) -> Result<PathBuf, NoHome> {
    let under = |name: &str, rest: &str| variable(name).map(|base| PathBuf::from(base).join(rest));
    if cfg!(windows) {
        return under("LOCALAPPDATA", "Belay").ok_or(NoHome);
    }
    if cfg!(target_os = "macos") {
        return under("HOME", "Library/Application Support/Belay").ok_or(NoHome);
    }
    if root {
        return Ok(PathBuf::from("/var/lib/belay-agent"));
    }
    under("XDG_STATE_HOME", "belay").or_else(|| under("HOME", ".local/state/belay")).ok_or(NoHome)
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_directory_depends_on_who_runs_it() {
        let with = |variables: &'static [(&str, &str)], root| {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            data_dir(variable, root).ok()
        };
        assert_eq!(with(&[("HOME", "/home/a")], false), Some("/home/a/.local/state/belay".into()));
        assert_eq!(with(&[("HOME", "/home/a"), ("XDG_STATE_HOME", "/s")], false), Some("/s/belay".into()));
        assert_eq!(with(&[("HOME", "/root")], true), Some("/var/lib/belay-agent".into()));
        assert_eq!(with(&[], false), None);
    }
}
