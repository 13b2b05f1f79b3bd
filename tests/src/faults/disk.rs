//! An ext4 on a loop device.

use std::process::Command;

use anyhow::Context;
use tempfile::TempDir;

use super::Space;
use crate::namespaces::run;

/// A disk of 64 MiB in a file, mounted in a space.
#[derive(Debug)]
pub struct LoopDisk<'s> {
    space: &'s Space,
    dir: TempDir,
    /// Where it is mounted.
    pub place: String,
}

impl<'s> LoopDisk<'s> {
    /// Makes one with these options of `mkfs.ext4`, and mounts it at `/mnt/NAME`.
    pub fn new(space: &'s Space, name: &str, mkfs: &[&str], mount: &str) -> anyhow::Result<Self> {
        let disk = Self { space, dir: tempfile::tempdir()?, place: format!("/mnt/{name}") };
        let image = disk.image();
        std::fs::File::create(&image)?.set_len(SIZE_BYTES)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).args(mkfs).arg(&image), "")?;
        space.run("mkdir", &[&disk.place])?;
        disk.mount(mount)?;
        Ok(disk)
    }

    /// Mounts it again after [`Self::unmount`].
    pub fn mount(&self, options: &str) -> anyhow::Result<()> {
        let options = format!("loop,{options}");
        self.space.run("mount", &["-t", "ext4", "-o", &options, &self.image(), &self.place]).map(drop)
    }

    /// Changes its options.
    pub fn remount(&self, options: &str) -> anyhow::Result<()> {
        self.space.run("mount", &["-o", &format!("remount,{options}"), &self.place]).map(drop)
    }

    /// Unmounts it, and so frees the loop device.
    pub fn unmount(&self) -> anyhow::Result<()> {
        self.space.run("umount", &[&self.place]).map(drop)
    }

    /// Checks and repairs it while it is not mounted.
    pub fn repair(&self) -> anyhow::Result<()> {
        // 1 says that errors were corrected.
        run(Command::new("sh").args(["-c", "e2fsck -fy \"$1\" || [ $? = 1 ]", "sh", &self.image()]), "").map(drop)
    }

    /// Fills it until `percent` of its blocks are in use.
    pub fn fill(&self, percent: u64) -> anyhow::Result<()> {
        let df = self.space.run("df", &["-B1", "--output=used,avail", &self.place])?;
        let line = df.lines().last().context("df says nothing")?;
        let figures: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [used, available] = figures[..] else { anyhow::bail!("df says {df}") };
        let missing = ((used + available) * percent / 100).saturating_sub(used);
        self.space.run("fallocate", &["-l", &missing.to_string(), &format!("{}/filling", self.place)]).map(drop)
    }

    /// Uses up all its inodes with empty files.
    pub fn use_up_inodes(&self) -> anyhow::Result<()> {
        let script = "n=0; while : > \"$1/f$n\"; do n=$((n+1)); done 2>/dev/null; [ $n -gt 0 ]";
        self.space.run("bash", &["-c", script, "bash", &self.place]).map(drop)
    }

    /// Removes every file.
    pub fn empty(&self) -> anyhow::Result<()> {
        self.space.run("sh", &["-c", "rm -f \"$1\"/f*", "sh", &self.place]).map(drop)
    }

    /// Makes ext4 find an error in itself (Linux Documentation/ABI/testing/sysfs-fs-ext4: trigger_fs_error).
    pub fn break_it(&self) -> anyhow::Result<()> {
        let path = format!("/sys/fs/ext4/{}/trigger_fs_error", self.device()?);
        std::fs::write(&path, "a test").with_context(|| path)
    }

    /// The name of its device.
    pub fn device(&self) -> anyhow::Result<String> {
        Ok(self.space.device(&self.place)?.trim_start_matches("/dev/").to_owned())
    }

    fn image(&self) -> String {
        self.dir.path().join("image").to_string_lossy().into_owned()
    }
}

impl Drop for LoopDisk<'_> {
    fn drop(&mut self) {
        let _ = self.space.run("umount", &["-l", &self.place]);
    }
}

const SIZE_BYTES: u64 = 64 << 20;
