//! Code that looks at one subject each: `read_*` asks the system, `parse_*` understands the answer anywhere.
//!
//! Every probe runs on a thread of its own and is left behind at its deadline, so that a source that hangs costs its
//! own deadline and nothing else. Nothing here starts a process.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use belay_protocol::Phrase;
use belay_protocol::report::{Why, WhyKind};
use tokio::sync::oneshot;

use crate::data_file::open_at_once;

pub mod addresses;
pub mod apt;
pub mod arrays;
pub mod block;
pub mod boot;
pub mod certificates;
pub mod cgroups;
pub mod clock;
pub mod cpu;
pub mod desk_path;
pub mod devices;
pub mod dkms;
pub mod dns;
pub mod firmware;
pub mod graphics;
pub mod growth;
pub mod guards;
pub mod hardware;
pub mod interfaces;
pub mod kernel;
pub mod kernel_log;
pub mod memory;
pub mod mounts;
pub mod nvme;
pub mod os;
pub mod packages;
pub mod pcie;
pub mod pnp;
#[cfg(not(windows))]
pub mod portable;
pub mod processes;
pub mod proxies;
pub mod relay_path;
pub mod routes;
pub mod smart;
pub mod sockets;
pub mod traffic;
pub mod units;
pub mod usb_ports;
pub mod volumes;
pub mod way_out;
pub mod windows;

/// What a system without `/proc` is asked by calls.
#[cfg(not(windows))]
pub(crate) use portable as native;
#[cfg(windows)]
pub(crate) use windows::native;

/// A probe's name, what it needs, and what it costs.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// A short name for logs and reasons.
    pub id: &'static str,
    /// What it looks at, for the person who waits.
    pub subject: Phrase,
    /// Time after which it is left behind.
    pub deadline: Duration,
    /// Who has to run the agent for it to see everything. Without, what it may not read is unknown.
    pub privilege: Privilege,
    /// What it asks of the machine.
    pub cost: Cost,
}

/// Who has to run the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Anybody.
    Anyone,
    /// Linux: root; Windows: an administrator.
    Root,
}

/// What a probe asks of the machine, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// A few small files or system calls.
    Glance,
    /// A directory with an entry for each process, unit or device, or a file of some megabytes.
    Walk,
    /// A pause between two samples, or an answer from elsewhere.
    Wait,
    /// Another program is started: never in the passive profile.
    Program,
}

impl Probe {
    /// A probe that anybody may run, at a glance.
    pub const fn new(id: &'static str, subject: Phrase, deadline: Duration) -> Self {
        Self { id, subject, deadline, privilege: Privilege::Anyone, cost: Cost::Glance }
    }

    /// The same probe, which sees everything only when root runs it.
    pub const fn as_root(self) -> Self {
        Self { privilege: Privilege::Root, ..self }
    }

    /// The same probe at another cost.
    pub const fn at(self, cost: Cost) -> Self {
        Self { cost, ..self }
    }

    /// Runs `look` on a thread of its own and waits for it at most until the deadline.
    pub async fn run<T: Send + 'static>(self, look: impl FnOnce() -> T + Send + 'static) -> Result<T, Why> {
        tracing::debug!(probe = self.id, privilege = ?self.privilege, cost = ?self.cost, "looking");
        let (done, outcome) = oneshot::channel();
        let thread = std::thread::Builder::new().name(self.id.to_owned()).stack_size(THREAD_STACK_BYTES);
        // The receiver is gone when the probe was left behind; what it found out then is of no use.
        let started = thread.spawn(move || drop(done.send(look())));
        if let Err(e) = started {
            return Err(Why::new(WhyKind::Failed, self.id).with_os_error(e.raw_os_error()));
        }
        match tokio::time::timeout(self.deadline, outcome).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) => Err(Why::new(WhyKind::Failed, self.id)),
            Err(_) => Err(Why::new(WhyKind::TimedOut, self.id)),
        }
    }
}

/// Enough for parsers that hold one line at a time; the default of 2 MiB is address space for nothing.
const THREAD_STACK_BYTES: usize = 512 * 1024;

/// Where files are read: this machine, or a captured tree of another.
#[derive(Clone, Debug, Default)]
pub struct Root(Option<PathBuf>);

impl Root {
    /// This machine.
    pub const fn live() -> Self {
        Self(None)
    }

    /// A tree with `proc` and `sys` in it. Links that lead out of it are not followed.
    pub fn captured(tree: &Path) -> io::Result<Self> {
        let tree = fs::canonicalize(tree)?;
        if tree.is_dir() { Ok(Self(Some(tree))) } else { Err(io::Error::from(io::ErrorKind::NotADirectory)) }
    }

    /// Whether this machine is looked at.
    pub const fn is_live(&self) -> bool {
        self.0.is_none()
    }

    /// Refuses what can only be asked of a running machine.
    pub fn live_only(&self, source: &'static str) -> Result<(), Why> {
        if self.is_live() { Ok(()) } else { Err(Why::new(WhyKind::NotApplicable, source)) }
    }

    /// The reason for something absent that not every machine has: that the question does not arise. A captured tree says so
    /// only when it holds the directory `around`, which every machine has.
    pub fn absent(&self, why: Why, around: &str) -> Why {
        let is_told = why.kind == WhyKind::NotOffered && (self.is_live() || self.has(around));
        if is_told { Why { kind: WhyKind::NotApplicable, os_error: None, ..why } } else { why }
    }

    /// The number that is all that stands in a file; a reason speaks of `source`.
    pub fn number<N: std::str::FromStr>(&self, path: &str, source: &'static str) -> Result<N, Why> {
        self.read_for(path, source)?.trim().parse().map_err(|_| Why::new(WhyKind::Malformed, source))
    }

    /// The text of a file that is named by a constant.
    pub fn read(&self, path: &'static str) -> Result<String, Why> {
        self.read_for(path, path)
    }

    /// The text of `path`; a reason speaks of `source`, because `path` may hold names from the machine. Bytes that are
    /// not UTF-8 are replaced.
    pub fn read_for(&self, path: &str, source: &'static str) -> Result<String, Why> {
        self.read_up_to(FILE_MAX_BYTES, path, source)
    }

    /// As [`Self::read_for`], with another bound.
    pub fn read_up_to(&self, max_bytes: u64, path: &str, source: &'static str) -> Result<String, Why> {
        self.bytes_up_to(max_bytes, path, source).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The text of `path`, in which bytes that are not UTF-8 stand as `\ooo`: the form in which the kernel itself writes
    /// blanks, so that names come back as they are.
    pub fn read_octal(&self, path: &'static str) -> Result<String, Why> {
        let bytes = self.bytes_up_to(FILE_MAX_BYTES, path, path)?;
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|byte| format!("\\{byte:03o}")));
        }
        Ok(text)
    }

    /// The bytes of a file that is no text.
    pub fn bytes(&self, path: &str, source: &'static str) -> Result<Vec<u8>, Why> {
        self.bytes_up_to(FILE_MAX_BYTES, path, source)
    }

    /// The text of the last bytes of a file, from the start of a line on; and whether that is the whole of it.
    pub fn tail(&self, max_bytes: u64, path: &str, source: &'static str) -> Result<(String, bool), Why> {
        let mut file = self.open(path, source)?;
        let length = file.metadata().map_err(|e| why(&e, source))?.len();
        let skipped = length.saturating_sub(max_bytes);
        file.seek(SeekFrom::Start(skipped)).map_err(|e| why(&e, source))?;
        let mut bytes = Vec::new();
        file.take(max_bytes).read_to_end(&mut bytes).map_err(|e| why(&e, source))?;
        let text = String::from_utf8_lossy(&bytes);
        let text = if skipped == 0 { &*text } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
        Ok((text.to_owned(), skipped == 0))
    }

    fn bytes_up_to(&self, max_bytes: u64, path: &str, source: &'static str) -> Result<Vec<u8>, Why> {
        let mut bytes = Vec::new();
        self.open(path, source)?.take(max_bytes + 1).read_to_end(&mut bytes).map_err(|e| why(&e, source))?;
        if bytes.len() as u64 > max_bytes {
            return Err(Why::new(WhyKind::TooLarge, source));
        }
        Ok(bytes)
    }

    /// A file or device, opened for reading without waiting for anybody.
    pub fn open(&self, path: &str, source: &'static str) -> Result<File, Why> {
        // A pipe in a captured tree would otherwise wait for a writer for ever.
        open_at_once(&self.resolve(path, source)?).map_err(|e| why(&e, source))
    }

    /// The names in a directory, sorted. Names that are not UTF-8 are left out.
    pub fn list(&self, path: &str, source: &'static str) -> Result<Vec<String>, Why> {
        let entries = fs::read_dir(self.resolve(path, source)?).map_err(|e| why(&e, source))?;
        let names = entries.take(DIRECTORY_MAX_ENTRIES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// What the link at `path` says, without following it.
    pub fn link(&self, path: &str, source: &'static str) -> Result<String, Why> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("/", path));
        let target = fs::read_link(self.resolve(directory, source)?.join(name)).map_err(|e| why(&e, source))?;
        target.into_os_string().into_string().map_err(|_| Why::new(WhyKind::Malformed, source))
    }

    /// Whether `path` exists, itself or as a link.
    pub fn has(&self, path: &str) -> bool {
        self.absolute(path).is_ok_and(|path| path.symlink_metadata().is_ok())
    }

    fn resolve(&self, path: &str, source: &'static str) -> Result<PathBuf, Why> {
        let absolute = self.absolute(path).map_err(|kind| Why::new(kind, source))?;
        let Some(tree) = &self.0 else { return Ok(absolute) };
        let real = absolute.canonicalize().map_err(|e| why(&e, source))?;
        if real.starts_with(tree) { Ok(real) } else { Err(Why::new(WhyKind::NotOffered, source)) }
    }

    fn absolute(&self, path: &str) -> Result<PathBuf, WhyKind> {
        match &self.0 {
            Some(tree) => Ok(tree.join(path.trim_start_matches('/'))),
            None if cfg!(target_os = "linux") => Ok(PathBuf::from(path)),
            None if cfg!(windows) && UNKNOWN_TO_WINDOWS.iter().any(|known| path.starts_with(known)) => {
                Err(WhyKind::NotApplicable)
            }
            None => Err(WhyKind::NotSupported),
        }
    }
}

/// Files about what Windows does not have: stall times, run queues, marks of incidents, modules built by package managers,
/// groups of processes, queues of each processor, and a limit on connections that are followed.
const UNKNOWN_TO_WINDOWS: [&str; 7] = [
    "/proc/pressure/",
    "/proc/loadavg",
    "/proc/sys/kernel/tainted",
    "/proc/net/softnet_stat",
    "/proc/sys/net/netfilter/",
    "/sys/fs/cgroup",
    "/var/lib/dkms",
];

/// What a file says, or where this system has no such files what `ask` gets by calls.
fn or_native<T>(read: Result<T, Why>, ask: impl FnOnce() -> Result<T, Why>) -> Result<T, Why> {
    match read {
        Err(why) if why.kind == WhyKind::NotSupported => ask(),
        read => read,
    }
}

/// The reason that an error of the system gives.
pub fn why(error: &io::Error, source: &'static str) -> Why {
    let kind = match error.kind() {
        // Windows calls a name that cannot be one invalid.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => WhyKind::NotOffered,
        io::ErrorKind::PermissionDenied => WhyKind::PermissionDenied,
        io::ErrorKind::TimedOut => WhyKind::TimedOut,
        _ => WhyKind::Failed,
    };
    Why::new(kind, source).with_os_error(error.raw_os_error())
}

/// Bytes of one file. `/proc/mounts` of a machine with ten thousand containers has about 2 MB.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Entries of one directory: as many as Linux has processes by default.
const DIRECTORY_MAX_ENTRIES: usize = 32_768;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A captured tree with these files.
    pub(crate) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::captured(dir.path()).unwrap();
        (dir, root)
    }

    const PROBE: Probe = Probe::new("test", Phrase { en: "test", zh: "测试" }, Duration::from_millis(20));

    #[tokio::test]
    async fn a_hung_source_costs_only_its_deadline() {
        let (_keep, never) = std::sync::mpsc::channel::<()>();
        let found = PROBE.run(move || never.recv().is_ok()).await;
        assert_eq!(found.unwrap_err().kind, WhyKind::TimedOut);
        assert_eq!(PROBE.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_probe_that_panics_is_data() {
        let patient = Probe { deadline: Duration::from_secs(60), ..PROBE };
        let found = patient.run(|| if PROBE.deadline.is_zero() { 0 } else { panic!("on purpose") }).await;
        assert_eq!(found.unwrap_err().kind, WhyKind::Failed);
    }

    #[test]
    fn a_file_that_is_absent_is_not_offered() {
        let (_dir, root) = tree(&[("proc/uptime", "1 1\n")]);
        assert_eq!(root.read("/proc/uptime").unwrap(), "1 1\n");
        assert_eq!(root.read("/proc/modules").unwrap_err().kind, WhyKind::NotOffered);
        assert_eq!(root.list("/proc/uptime", "x").unwrap_err().kind, WhyKind::NotOffered);
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let (_dir, root) = tree(&[("proc/uptime", &"1".repeat(FILE_MAX_BYTES as usize + 1))]);
        assert_eq!(root.read("/proc/uptime").unwrap_err().kind, WhyKind::TooLarge);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_a_captured_tree_is_not_followed() {
        let (dir, root) = tree(&[("proc/uptime", "1 1\n")]);
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("proc/modules")).unwrap();
        std::os::unix::fs::symlink("uptime", dir.path().join("proc/loadavg")).unwrap();
        assert_eq!(root.read("/proc/modules").unwrap_err().kind, WhyKind::NotOffered);
        assert_eq!(root.read("/proc/loadavg").unwrap(), "1 1\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_a_captured_tree_does_not_hang() {
        let (dir, root) = tree(&[("proc/uptime", "1 1\n")]);
        let pipe = dir.path().join("proc/modules");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert_eq!(root.read("/proc/modules").unwrap(), "");
    }
}
