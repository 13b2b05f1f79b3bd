//! All probes at once: from a machine to what is known about it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use belay_protocol::report::{
    Address, BlockDevice, Disk, DnsServer, Drivers, Fact, Hardware, Memory, Network, Private, Raw, RelayPath, System,
    Upkeep, Why, WhyKind,
};
use belay_protocol::{BoundedVec, Language, Phrase};

use crate::probe::{self, Cost, Probe, Root};
use crate::redact::Identity;

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Look {
    /// A captured tree with `proc` and `sys` in it instead of this machine.
    pub root: Option<PathBuf>,
    /// The language of the person at the device.
    pub language: Language,
    /// The relay and the way there, from whoever has just been there.
    pub relay: Fact<RelayPath>,
    /// Where earlier surveys kept what they saw of disk space; without, nothing is forecast and nothing kept.
    pub data_dir: Option<PathBuf>,
    /// Whether smartmontools are asked for the health of disks: that starts a program.
    pub smart: Smart,
    /// Certificates to look at besides those in the usual places.
    pub certificates: Vec<String>,
    /// Time that one source may take. All are looked at together, so that this bounds the whole survey.
    pub deadline: Duration,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            root: None,
            language: Language::English,
            relay: not_asked(),
            data_dir: None,
            smart: Smart::NotAsked,
            certificates: Vec::new(),
            deadline: DEADLINE,
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

/// Nobody meets a relay in a survey that is made for this machine alone.
fn not_asked() -> Fact<RelayPath> {
    Fact::Unknown(Why::new(WhyKind::NotApplicable, "relay"))
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

/// Looks at everything. A source that hangs costs its own deadline and is reported as unknown.
pub async fn look(options: &Look, progress: impl Fn(Progress)) -> Result<Survey, NoSuchTree> {
    let root = match &options.root {
        Some(path) => Root::captured(path).map_err(|source| NoSuchTree { path: path.clone(), source })?,
        None => Root::live(),
    };
    let started = Instant::now();
    let taken_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let watcher = Watcher { progress: &progress, done: Mutex::new(0) };
    let deadline = options.deadline;
    let (system, disk, memory, drivers, network, identity) = tokio::join!(
        watcher.finish(SYSTEM, system(&root, options)),
        watcher.finish(probe::mounts::SUBJECT, disk(&root, options)),
        watcher.finish(MEMORY, memory(&root, deadline)),
        watcher.finish(DRIVERS, drivers(&root, deadline)),
        watcher.finish(NETWORK, network(&root, options)),
        watcher.finish(SYSTEM, identity(&root, deadline)),
    );
    Ok(Survey {
        taken_at_unix_ms: i64::try_from(taken_at.as_millis()).unwrap_or(i64::MAX),
        took_ms: u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX),
        language: options.language,
        system,
        disk,
        memory,
        drivers,
        network,
        identity,
    })
}

const SYSTEM: Phrase = Phrase { en: "system", zh: "系统" };
const MEMORY: Phrase = Phrase { en: "memory", zh: "内存" };
const DRIVERS: Phrase = Phrase { en: "drivers and devices", zh: "驱动与设备" };
const NETWORK: Phrase = Phrase { en: "network", zh: "网络" };

/// Time between the two samples of the processors: long enough for twenty ticks of the clock they are counted in.
/// Disks, swap and processes are watched in the same pause, each on its own thread.
const CPU_PAUSE: Duration = Duration::from_millis(200);

async fn system(root: &Root, options: &Look) -> System<Raw> {
    let deadline = options.deadline;
    let quick = one("system", SYSTEM, deadline, root, |root| {
        use probe::{clock, cpu, os};
        (
            os::os(root),
            os::kernel(root),
            os::host(root),
            os::uptime_seconds(root),
            cpu::count(root),
            cpu::load(root),
            clock::look(root),
            (probe::processes::handles(root), probe::processes::tasks(root)),
        )
    });
    let hardware = with(Probe::new("hardware", SYSTEM, deadline).at(Cost::Walk), root, probe::hardware::look);
    let watched =
        with(Probe::new("cpu", SYSTEM, deadline).at(Cost::Wait), root, |root| probe::cpu::watch(root, CPU_PAUSE));
    let processes = with(Probe::new("processes", SYSTEM, deadline).at(Cost::Walk), root, |root| {
        probe::processes::look(root, CPU_PAUSE)
    });
    let (quick, watched, processes, hardware, upkeep) =
        tokio::join!(quick, watched, processes, hardware, upkeep(root, options));
    let hardware = hardware.unwrap_or_else(|why| Hardware::unknown(&why));
    let (process_count, largest_processes, process_states) = match processes.and_then(|found| found) {
        Ok(found) => (Fact::Known(found.count), Fact::Known(found.largest), Fact::Known(found.states)),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    let cpu_use = watched.and_then(|found| found).into();
    match quick {
        Ok((os, kernel, host, uptime, cpus, load, clock, (handles, tasks))) => System {
            os: os.into(),
            kernel: kernel.into(),
            host: host.into(),
            uptime_seconds: uptime.into(),
            cpu_count: cpus.into(),
            cpu_use,
            load: load.into(),
            clock: clock.into(),
            process_count,
            largest_processes,
            process_states,
            handles: handles.into(),
            tasks: tasks.into(),
            hardware,
            upkeep,
        },
        Err(why) => System {
            os: Fact::Unknown(why.clone()),
            kernel: Fact::Unknown(why.clone()),
            host: Fact::Unknown(why.clone()),
            uptime_seconds: Fact::Unknown(why.clone()),
            cpu_count: Fact::Unknown(why.clone()),
            cpu_use,
            load: Fact::Unknown(why.clone()),
            clock: Fact::Unknown(why.clone()),
            process_count,
            largest_processes,
            process_states,
            handles: Fact::Unknown(why.clone()),
            tasks: Fact::Unknown(why),
            hardware,
            upkeep,
        },
    }
}

async fn upkeep(root: &Root, options: &Look) -> Upkeep<Raw> {
    use probe::{certificates, guards, kernel_log, packages, units};
    let deadline = options.deadline;
    let named = options.certificates.clone();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let (failed_units, quick, packages, kernel_log, guards, certificates) = tokio::join!(
        with(Probe::new("units", SYSTEM, deadline).at(Cost::Wait), root, units::look),
        one("restart", SYSTEM, deadline, root, |root| {
            (packages::restart(root), packages::updates(root), packages::crashes(root))
        }),
        with(Probe::new("packages", SYSTEM, deadline).at(Cost::Walk), root, packages::unfinished),
        with(Probe::new("kernel-log", SYSTEM, deadline).as_root().at(Cost::Walk), root, kernel_log::look),
        with(Probe::new("guards", SYSTEM, deadline).as_root().at(Cost::Walk), root, |root| {
            let running = guards::running(root)?;
            Ok((guards::firewall(root, &running), guards::antivirus(&running)))
        }),
        with(Probe::new("certificates", SYSTEM, deadline).as_root(), root, move |root| {
            certificates::look(root, &named, now)
        }),
    );
    let (restart, updates, crashes) = match quick {
        Ok((restart, updates, crashes)) => (restart.into(), updates.into(), Fact::Known(crashes)),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    let (firewall, antivirus) = match guards.and_then(|found| found) {
        Ok((firewall, antivirus)) => (firewall.into(), Fact::Known(antivirus)),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    Upkeep {
        failed_units: flat(failed_units),
        restart,
        updates,
        unfinished_packages: flat(packages),
        crashes,
        kernel_log: flat(kernel_log),
        firewall,
        antivirus,
        certificates: flat(certificates),
    }
}

async fn disk(root: &Root, options: &Look) -> Disk<Raw> {
    use probe::{arrays, block, growth::Growth, mounts, volumes};
    let deadline = options.deadline;
    let mut growth = options.data_dir.as_deref().filter(|_| root.is_live()).map(Growth::in_data_dir);
    let ((mounts, left_out), volumes, block_devices, arrays) = tokio::join!(
        mounts::look(root.clone(), deadline, growth.as_mut()),
        one("volumes", mounts::SUBJECT, deadline, root, volumes::look),
        async {
            let probe = Probe::new("block", mounts::SUBJECT, deadline).at(Cost::Wait);
            match with(probe, root, |root| block::look(root, CPU_PAUSE)).await.and_then(|found| found) {
                Ok(devices) => Fact::Known(health(root, options, devices).await),
                Err(why) => Fact::Unknown(why),
            }
        },
        one("arrays", mounts::SUBJECT, deadline, root, arrays::look),
    );
    Disk { mounts, left_out, volumes: flat(volumes), block_devices, arrays: flat(arrays) }
}

/// Asks each disk for its health, all at once: one that hangs costs its own deadline.
async fn health(
    root: &Root,
    options: &Look,
    devices: BoundedVec<BlockDevice<Raw>, 256>,
) -> BoundedVec<BlockDevice<Raw>, 256> {
    let ask = async |mut device: BlockDevice<Raw>| {
        let name = device.name.to_string();
        let speaks = device.health.why().is_some_and(|why| why.kind == WhyKind::NotAsked);
        if speaks && name.starts_with("nvme") {
            let probe = Probe::new("nvme", probe::mounts::SUBJECT, options.deadline).as_root().at(Cost::Wait);
            device.health = flat(with(probe, root, move |root| probe::nvme::look(root, &name)).await);
        } else if speaks && options.smart == Smart::Asked {
            let probe = Probe::new("smart", probe::mounts::SUBJECT, SMART_DEADLINE).as_root().at(Cost::Program);
            device.health = flat(with(probe, root, move |root| probe::smart::look(root, &name)).await);
        }
        device
    };
    let asked = futures_util::future::join_all(devices.into_iter().map(ask)).await;
    BoundedVec::truncating(asked).0
}

/// A disk behind a USB bridge takes some seconds to answer.
const SMART_DEADLINE: Duration = Duration::from_secs(15);

async fn memory(root: &Root, deadline: Duration) -> Memory<Raw> {
    let probe = Probe::new("memory", MEMORY, deadline).at(Cost::Wait);
    let found = with(probe, root, |root| probe::memory::look(root, CPU_PAUSE)).await;
    found.unwrap_or_else(|why| Memory::unknown(&why))
}

async fn drivers(root: &Root, deadline: Duration) -> Drivers<Raw> {
    let (modules, taint, pci, usb) = tokio::join!(
        one("modules", DRIVERS, deadline, root, probe::kernel::modules),
        one("taint", DRIVERS, deadline, root, probe::kernel::taint),
        one("pci", DRIVERS, deadline, root, probe::devices::pci),
        one("usb", DRIVERS, deadline, root, probe::devices::usb),
    );
    Drivers { modules: flat(modules), taint: flat(taint), pci: flat(pci), usb: flat(usb) }
}

async fn network(root: &Root, options: &Look) -> Network<Raw> {
    let deadline = options.deadline;
    let (interfaces, routes, dns_servers, system_resolver) = tokio::join!(
        one("interfaces", NETWORK, deadline, root, probe::interfaces::look),
        one("routes", NETWORK, deadline, root, probe::routes::look),
        dns_servers(root, deadline),
        async {
            match root.live_only("getaddrinfo") {
                Ok(()) => Fact::Known(probe::dns::ask_system(deadline).await),
                Err(why) => Fact::Unknown(why),
            }
        },
    );
    Network {
        interfaces: flat(interfaces),
        default_routes: flat(routes),
        dns_servers,
        system_resolver,
        relay: options.relay.clone(),
    }
}

async fn dns_servers(root: &Root, deadline: Duration) -> Fact<BoundedVec<DnsServer<Raw>, 16>> {
    let servers = match one("resolv.conf", probe::dns::SUBJECT, deadline, root, probe::dns::read_servers).await {
        Ok(Ok(servers)) => servers,
        Ok(Err(why)) | Err(why) => return Fact::Unknown(why),
    };
    let mut asked = tokio::task::JoinSet::new();
    let live = root.live_only("dns");
    for (place, server) in servers.into_iter().enumerate() {
        let live = live.clone();
        asked.spawn(async move {
            let probe = match live {
                Ok(()) => Fact::Known(probe::dns::ask((server, DNS_PORT).into(), deadline).await),
                Err(why) => Fact::Unknown(why),
            };
            (place, DnsServer { address: Private::<Address>::new(server.to_string()), probe })
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    Fact::Known(BoundedVec::truncating(answers.into_iter().map(|(_, server)| server)).0)
}

const DNS_PORT: u16 = 53;

async fn identity(root: &Root, deadline: Duration) -> Option<Identity> {
    one("identity", SYSTEM, deadline, root, Identity::learn).await.ok()
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
