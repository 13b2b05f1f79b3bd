//! All probes at once: from a machine to what is known about it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use belay_protocol::lang::system_error;
use belay_protocol::report::{Disk, Drivers, Fact, Memory, Network, Raw, SectionName, System, Why, WhyKind};
use belay_protocol::{Language, Phrase};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use crate::probe::desk_path::Desk;
use crate::probe::kernel_log::Told;
use crate::probe::{self, Cost, Probe, Root};
use crate::redact::Identity;
use crate::terminal::plain;

mod disk;
mod drivers;
mod memory;
mod network;
mod system;

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Look {
    /// A captured tree with `proc` and `sys` in it instead of this machine.
    pub root: Option<PathBuf>,
    /// The language of the person at the device.
    pub language: Language,
    /// The support desk whose way is looked at; nobody is asked without one.
    pub desk: Option<Desk>,
    /// Where earlier surveys kept what they saw of disk space; without, nothing is forecast and nothing kept.
    pub data_dir: Option<PathBuf>,
    /// Whether smartmontools are asked for the health of disks: that starts a program.
    pub smart: Smart,
    /// Certificates to look at besides those in the usual places.
    pub certificates: Vec<String>,
    /// How much is looked at.
    pub extent: Extent,
    /// Time that one source may take. All are looked at together, so that this bounds the whole survey unless a desk is
    /// named or smartmontools are asked.
    pub deadline: Duration,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            root: None,
            language: Language::English,
            desk: None,
            data_dir: None,
            smart: Smart::NotAsked,
            certificates: Vec::new(),
            extent: Extent::Everything,
            deadline: DEADLINE,
        }
    }
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    #[default]
    Everything,
    /// What moves from one moment to the next: no packages, logs and certificates, and nobody else is asked.
    Moving,
}

impl Extent {
    fn asks_others(self) -> Result<(), Why> {
        match self {
            Self::Everything => Ok(()),
            Self::Moving => Err(Why::new(WhyKind::NotApplicable, "watch")),
        }
    }
}

/// Whether smartmontools are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Smart {
    /// No program is started.
    #[default]
    NotAsked,
    /// Somebody asked for it.
    Asked,
}

/// A name server on the same continent answers in a tenth of this, and people wait for the whole.
const DEADLINE: Duration = Duration::from_millis(1_000);

/// How far a survey has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Probes that have finished or were left behind.
    pub done: u32,
    /// Probes in all.
    pub total: u32,
    /// What has just finished.
    pub subject: Phrase,
}

/// Everything that was found out, as it stands on this machine. It has no serialized form: the only way from here to
/// bytes is [`crate::redact::redact`].
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// When the survey began, in milliseconds since 1970 UTC.
    pub taken_at_unix_ms: i64,
    /// How long it took.
    pub took_ms: u32,
    /// The language of the person at the device.
    pub language: Language,
    /// The machine as a whole.
    pub system: System<Raw>,
    /// Mounted file systems and the disks below them.
    pub disk: Disk<Raw>,
    /// Memory, swap and pressure.
    pub memory: Memory<Raw>,
    /// Kernel modules and devices.
    pub drivers: Drivers<Raw>,
    /// Interfaces, routes, names and the way to the relay.
    pub network: Network<Raw>,
    /// The names that this machine knows for its people and itself, for redaction; nothing when they could not be learnt.
    pub(crate) identity: Option<Identity>,
}

/// The tree that was to be looked at is not there.
#[derive(Debug, thiserror::Error)]
#[error("the tree {path} cannot be opened", path = path.display())]
pub struct NoSuchTree {
    path: PathBuf,
    source: std::io::Error,
}

impl NoSuchTree {
    /// The error as people read it.
    pub fn sentence(&self, language: Language) -> String {
        let (path, why) = (plain(&self.path.display().to_string()), system_error(&self.source, language));
        NO_TREE.fill(language, &[("path", &path), ("why", &why)])
    }
}

const NO_TREE: Phrase =
    Phrase { en: "the tree {path} cannot be opened: {why}", zh: "无法打开目录树 {path}：{why}" };

/// Looks at everything. A source that hangs costs its own deadline and is reported as unknown.
pub async fn look(options: &Look, progress: impl Fn(Progress)) -> Result<Survey, NoSuchTree> {
    let root = match &options.root {
        Some(path) => Root::captured(path).map_err(|source| NoSuchTree { path: path.clone(), source })?,
        None => Root::live(),
    };
    let (started, begun) = (Instant::now(), Survey::begun(options.language));
    let watcher = Watcher { progress: &progress, done: Mutex::new(0) };
    let deadline = options.deadline;
    let log = kernel_log(root.clone(), deadline).boxed().shared();
    let (system, disk, memory, drivers, network, identity) = tokio::join!(
        watcher.finish(SYSTEM, system::look(&root, options, log.clone())),
        watcher.finish(probe::mounts::SUBJECT, disk::look(&root, options, log.clone())),
        watcher.finish(MEMORY, memory::look(&root, deadline)),
        watcher.finish(DRIVERS, drivers::look(&root, deadline, log)),
        watcher.finish(NETWORK, network::look(&root, options)),
        watcher.finish(NAMES, identity(&root, deadline)),
    );
    Ok(Survey { took_ms: ms_since(started), system, disk, memory, drivers, network, identity, ..begun })
}

/// Looks at one section of this machine; the others are unknown. Redaction must know who the machine's people are, which
/// does not change: `identity` is from an earlier look, or nothing where nothing will be redacted.
pub async fn look_at(section: SectionName, options: &Look, identity: Option<Identity>) -> Survey {
    let (root, deadline, started) = (Root::live(), options.deadline, Instant::now());
    let log = kernel_log(root.clone(), deadline).boxed().shared();
    let mut survey = Survey { identity, ..Survey::begun(options.language) };
    match section {
        SectionName::System => survey.system = system::look(&root, options, log).await,
        SectionName::Disk => survey.disk = disk::look(&root, options, log).await,
        SectionName::Memory => survey.memory = memory::look(&root, deadline).await,
        SectionName::Drivers => survey.drivers = drivers::look(&root, deadline, log).await,
        SectionName::Network => survey.network = network::look(&root, options).await,
        SectionName::Findings => {}
    }
    Survey { took_ms: ms_since(started), ..survey }
}

impl Survey {
    /// Whether nobody learnt in time which names would have to be replaced, so that nothing may leave this machine.
    pub const fn is_nameless(&self) -> bool {
        self.identity.is_none()
    }

    /// One that begins now and knows nothing yet.
    fn begun(language: Language) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let why = Why::new(WhyKind::NotApplicable, "survey");
        Self {
            taken_at_unix_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            took_ms: 0,
            language,
            system: System::unknown(&why),
            disk: Disk::unknown(&why),
            memory: Memory::unknown(&why),
            drivers: Drivers::unknown(&why),
            network: Network::unknown(&why),
            identity: None,
        }
    }
}

fn ms_since(started: Instant) -> u32 {
    u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX)
}

/// Learns the names that this machine knows for its people and itself.
pub async fn learn_identity(deadline: Duration) -> Option<Identity> {
    identity(&Root::live(), deadline).await
}

const SYSTEM: Phrase = Phrase { en: "system", zh: "系统" };
const NAMES: Phrase = Phrase { en: "names of people and machines", zh: "人名与主机名" };
const MEMORY: Phrase = Phrase { en: "memory", zh: "内存" };
const DRIVERS: Phrase = Phrase { en: "drivers and devices", zh: "驱动与设备" };
const NETWORK: Phrase = Phrase { en: "network", zh: "网络" };

/// Deadlines that learning the names may take: without them nothing may leave this machine, however busy it is.
const IDENTITY_DEADLINES: u32 = 5;

/// Time between two samples: long enough for twenty ticks of the clock that processors are counted in. Disks, swap,
/// processes and the network are watched in the same pause, each on its own thread.
const CPU_PAUSE: Duration = Duration::from_millis(200);

/// What the kernel's log tells, for all who ask: it is read once.
type KernelLog = Shared<BoxFuture<'static, Result<Told, Why>>>;

async fn kernel_log(root: Root, deadline: Duration) -> Result<Told, Why> {
    let probe = Probe::new("kernel-log", SYSTEM, deadline).as_root().at(Cost::Walk);
    with(probe, &root, probe::kernel_log::look).await.and_then(|found| found)
}

async fn identity(root: &Root, deadline: Duration) -> Option<Identity> {
    one("identity", NAMES, deadline * IDENTITY_DEADLINES, root, Identity::learn).await.ok()
}

/// Runs one probe over `root`.
async fn one<T: Send + 'static>(
    id: &'static str,
    subject: Phrase,
    deadline: Duration,
    root: &Root,
    look: impl FnOnce(&Root) -> T + Send + 'static,
) -> Result<T, Why> {
    with(Probe::new(id, subject, deadline), root, look).await
}

/// Runs a probe that is more than a glance over `root`.
async fn with<T: Send + 'static>(
    probe: Probe,
    root: &Root,
    look: impl FnOnce(&Root) -> T + Send + 'static,
) -> Result<T, Why> {
    let root = root.clone();
    probe.run(move || look(&root)).await
}

fn flat<T>(found: Result<Result<T, Why>, Why>) -> Fact<T> {
    found.and_then(|found| found).into()
}

/// Tells the person who waits what has finished.
struct Watcher<'a, P> {
    progress: &'a P,
    done: Mutex<u32>,
}

impl<P: Fn(Progress)> Watcher<'_, P> {
    async fn finish<T>(&self, subject: Phrase, part: impl Future<Output = T>) -> T {
        let found = part.await;
        let mut done = self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *done += 1;
        (self.progress)(Progress { done: *done, total: PARTS, subject });
        found
    }
}

/// Parts that [`look`] waits for.
const PARTS: u32 = 6;

/// A compile-time proof that a survey has no serialized form: were it serializable, the item would be ambiguous.
const _: fn() = || {
    trait Unserializable<A> {
        fn proof() {}
    }
    impl<T: ?Sized> Unserializable<()> for T {}
    struct Serializable;
    impl<T: ?Sized + serde::Serialize> Unserializable<Serializable> for T {}
    let _ = <Survey as Unserializable<_>>::proof;
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn this_machine_can_be_looked_at() {
        let parts = AtomicU32::new(0);
        let survey = look(&Look::default(), |_| {
            parts.fetch_add(1, Ordering::Relaxed);
        })
        .await
        .unwrap();
        assert_eq!(parts.into_inner(), PARTS);
        assert!(survey.memory.ram.known().is_some());
        assert!(survey.system.cpu_count.known().is_some());
        assert_eq!(survey.network.relay.why().unwrap().kind, WhyKind::NotApplicable);
    }

    #[tokio::test]
    async fn an_empty_tree_is_unknown_everywhere_and_the_live_machine_is_not_asked() {
        let (dir, _root) = tree(&[("etc/resolv.conf", "nameserver 192.0.2.1\n")]);
        let options = Look { root: Some(dir.path().to_owned()), ..Look::default() };
        let survey = look(&options, |_| ()).await.unwrap();
        assert_eq!(survey.memory.ram.why().unwrap().kind, WhyKind::NotOffered);
        assert_eq!(survey.disk.mounts.why().unwrap().kind, WhyKind::NotOffered);
        assert_eq!(survey.drivers.modules.why().unwrap().kind, WhyKind::NotOffered);
        assert_eq!(survey.system.host.why().unwrap().kind, WhyKind::NotOffered);
        let server = &survey.network.dns_servers.known().unwrap()[0];
        assert_eq!(server.probe.why().unwrap().kind, WhyKind::NotApplicable);
        assert_eq!(survey.network.system_resolver.why().unwrap().kind, WhyKind::NotApplicable);
        // What is not in the tree is not absent from the machine.
        let whys = [
            survey.network.proxies.why(),
            survey.network.conntrack.why(),
            survey.system.upkeep.certificates.why(),
            survey.disk.arrays.why(),
            survey.drivers.dkms.why(),
            survey.drivers.graphics.why(),
        ];
        assert_eq!(whys.map(|why| why.unwrap().kind), [WhyKind::NotOffered; 6]);
    }

    #[tokio::test]
    async fn a_captured_tree_can_be_looked_at() {
        let Some(path) = std::env::var_os("BELAY_FIXTURES") else {
            println!("skipped: BELAY_FIXTURES names no captured tree");
            return;
        };
        let options = Look { root: Some(path.into()), ..Look::default() };
        let survey = look(&options, |_| ()).await.unwrap();
        assert!(survey.memory.swap.known().is_some() || survey.memory.ram.why().is_some());
    }

    #[tokio::test]
    async fn a_tree_that_is_not_there_is_refused_by_name() {
        let options = Look { root: Some("/no/such/tree".into()), ..Look::default() };
        assert!(look(&options, |_| ()).await.unwrap_err().to_string().contains("/no/such/tree"));
    }
}
