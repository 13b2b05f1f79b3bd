//! A file system whose server never answers.

use std::process::{Child, Command, Stdio};

use anyhow::ensure;

use super::{Space, mortal};

/// A FUSE mount whose server holds `/dev/fuse` open and reads nothing from it.
#[derive(Debug)]
pub struct SilentMount<'s> {
    space: &'s Space,
    server: Child,
    /// Where it is mounted.
    pub place: String,
}

impl<'s> SilentMount<'s> {
    /// Mounts one at `/mnt/NAME`.
    pub fn new(space: &'s Space, name: &str) -> anyhow::Result<Self> {
        let place = format!("/mnt/{name}");
        space.run("mkdir", &[&place])?;
        // What is said of the root directory must be true of it only once somebody answers.
        let script =
            "exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 silent \"$1\" && exec cat";
        let mut server = space.inside(&mortal(Command::new("sh").args(["-c", script, "sh", &place])));
        let server = server.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let mount = Self { space, server, place };
        for _ in 0..1_000 {
            if space.options(&mount.place)?.is_some() {
                return Ok(mount);
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        ensure!(false, "nothing was mounted at {}", mount.place);
        Ok(mount)
    }
}

impl Drop for SilentMount<'_> {
    fn drop(&mut self) {
        // With its server the connection ends, and whoever waits is told so.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = self.space.run("umount", &["-l", &self.place]);
    }
}
