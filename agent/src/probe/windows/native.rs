//! This machine, asked by its own calls.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use belay_protocol::BoundedVec;
use belay_protocol::report::{
    Battery, Commit, Counters, CpuUse, Fact, Firewall, Host, Interface, InterfaceAddress, Os, Platform, Private,
    PrivateKind, ProxySetting, ProxySource, Ram, Raw, Restart, Segments, Swap, Why, WhyKind,
};
use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE};

use super::{adapters, drives, machine, memory, processes, services, sockets, sys};
use crate::probe::mounts::{Answer, MountLine};
use crate::probe::processes::Processes;
use crate::probe::routes::Ways;
use crate::probe::sockets::Tables;
use crate::probe::{hardware, proxies, units, why};

/// Turns an error of the call `source` into a reason.
fn from<T>(answer: io::Result<T>, source: &'static str) -> Result<T, Why> {
    answer.map_err(|error| why(&error, source))
}

/// The edition.
pub(crate) fn os() -> Result<Os, Why> {
    let key = LOCAL_MACHINE.open(CURRENT_VERSION).ok();
    let value = |name| key.as_ref().and_then(|key| key.get_string(name).ok());
    let (product, release) = (value("ProductName"), value("DisplayVersion"));
    Ok(machine::parse_os(sys::machine::version(), product.as_deref(), release.as_deref()))
}

const CURRENT_VERSION: &str = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";

/// The version with the number of the last update, as `winver` shows it.
pub(crate) fn kernel_release() -> Result<String, Why> {
    let machine::Version { major, minor, build } = sys::machine::version();
    let update = LOCAL_MACHINE.open(CURRENT_VERSION).and_then(|key| key.get_u32("UBR"));
    let update = update.map(|update| format!(".{update}")).unwrap_or_default();
    Ok(format!("{major}.{minor}.{build}{update}"))
}

/// The machine's own name.
pub(crate) fn host() -> Result<Private<Host>, Why> {
    from(sys::machine::host(), "GetComputerNameEx").map(Private::new)
}

/// Seconds since the system started.
pub(crate) fn uptime_seconds() -> Result<u64, Why> {
    Ok(sys::machine::uptime_ms() / 1_000)
}

/// What the processors do for `pause`.
pub(crate) fn cpu_use(pause: Duration) -> Result<CpuUse, Why> {
    const SOURCE: &str = "GetSystemTimes";
    let (before, started) = (from(sys::machine::times(), SOURCE)?, Instant::now());
    std::thread::sleep(pause);
    let after = from(sys::machine::times(), SOURCE)?;
    machine::between(before, after, started.elapsed()).ok_or_else(|| Why::new(WhyKind::Malformed, SOURCE))
}

/// Main memory and page files.
pub(crate) fn memory() -> (Fact<Ram>, Fact<Swap>) {
    const SOURCE: &str = "GlobalMemoryStatusEx";
    let ram = from(sys::machine::memory(), SOURCE).and_then(|(total, available)| {
        Ram::count(total, available).ok_or_else(|| Why::new(WhyKind::Malformed, SOURCE))
    });
    let swap = performance().and_then(|counted| {
        let files = from(sys::machine::page_files(), "EnumPageFiles")?;
        memory::parse_swap(&files, counted.page_bytes)
    });
    (ram.into(), swap.into())
}

/// What was promised of memory.
pub(crate) fn commit() -> Result<Commit, Why> {
    memory::parse_commit(&performance()?)
}

fn performance() -> Result<memory::Performance, Why> {
    from(sys::machine::performance(), "GetPerformanceInfo")
}

/// Processes with their memory.
pub(crate) fn processes() -> Result<Processes, Why> {
    processes::parse(from(sys::processes::all(), "CreateToolhelp32Snapshot")?)
}

/// The names of the programs that run.
pub(crate) fn running() -> Result<BTreeSet<String>, Why> {
    let seen = from(sys::processes::named(), "CreateToolhelp32Snapshot")?;
    Ok(seen.into_iter().map(|process| process.name).collect())
}

/// Services, and those that failed.
pub(crate) fn services() -> Result<units::Found, Why> {
    services::parse(&from(sys::services::all(), services::SOURCE)?)
}

/// Whether a restart is due.
pub(crate) fn restart() -> Result<Restart, Why> {
    let asked = machine::RESTART_KEYS.into_iter().map(|path| has_key(LOCAL_MACHINE, path));
    // One that cannot be read does not matter once another asks for it.
    let asked: Vec<_> = asked.collect();
    match asked.iter().any(|asked| asked == &Ok(true)) {
        true => Ok(machine::restart(true)),
        false => asked.into_iter().collect::<Result<Vec<_>, Why>>().map(|_| machine::restart(false)),
    }
}

fn has_key(root: &Key, path: &str) -> Result<bool, Why> {
    match root.open(path) {
        Ok(_) => Ok(true),
        Err(error) => match refused(error.code().0) {
            why if why.kind == WhyKind::NotOffered => Ok(false),
            why => Err(why),
        },
    }
}

/// The reason in an error of the registry.
fn refused(hresult: i32) -> Why {
    why(&io::Error::from_raw_os_error(machine::win32_error(hresult).unwrap_or(hresult)), REGISTRY)
}

const REGISTRY: &str = "registry";

fn opened(root: &Key, path: &str) -> Result<Key, Why> {
    root.open(path).map_err(|error| refused(error.code().0))
}

/// The profiles of Windows's own firewall that are on.
pub(crate) fn firewall() -> Result<Firewall, Why> {
    let policy = opened(LOCAL_MACHINE, machine::FIREWALL_KEY)?;
    let is_on = |profile: &str| policy.open(profile)?.get_u32("EnableFirewall").map(|on| on != 0);
    let found = machine::FIREWALL_PROFILES.map(|(profile, _)| is_on(profile).map_err(|error| refused(error.code().0)));
    // A profile that says nothing is not in use; no profile at all is no answer.
    match found {
        [Err(why), Err(_), Err(_)] => Err(why),
        found => Ok(machine::firewall(found.map(|on| on == Ok(true)))),
    }
}

/// All batteries as one.
pub(crate) fn batteries() -> Result<BoundedVec<Battery, 8>, Why> {
    machine::parse_battery(from(sys::machine::power(), "GetSystemPowerStatus")?)
}

/// What the system runs on, as its firmware tells.
pub(crate) fn platform() -> Result<Platform, Why> {
    let bios = opened(LOCAL_MACHINE, "HARDWARE\\DESCRIPTION\\System\\BIOS")?;
    let value = |name| bios.get_string(name).unwrap_or_default();
    hardware::platform_of(&value("SystemManufacturer"), &value("SystemProductName"), REGISTRY)
}

/// The drives, each with the device behind it.
pub(crate) fn drives() -> Result<Vec<MountLine>, Why> {
    let letters = drives::parse_letters(from(sys::disk::letters(), "GetLogicalDrives")?);
    Ok(letters.into_iter().map(|letter| drives::line(letter, sys::disk::target(letter).unwrap_or_default())).collect())
}

/// Asks one drive, which may wait for a server for ever.
pub(crate) fn space(drive: &Path) -> Result<Answer, Why> {
    Ok(drives::parse(&from(sys::disk::ask(&drive.to_string_lossy()), "GetDiskFreeSpaceEx")?))
}

fn all_adapters() -> Result<Vec<adapters::Adapter>, Why> {
    let mut found = from(sys::network::adapters(), adapters::SOURCE)?;
    found.retain(adapters::is_of_interest);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Adapters without the loopback.
pub(crate) fn interfaces() -> Result<BoundedVec<Interface<Raw>, 256>, Why> {
    Ok(BoundedVec::truncating(all_adapters()?.iter().map(adapters::interface)).0)
}

/// Addresses by the name of their adapter.
pub(crate) fn addresses() -> Result<BTreeMap<String, Vec<InterfaceAddress<Raw>>>, Why> {
    let interface = |interface: Interface<Raw>| {
        let addresses = interface.addresses.known().map(|known| known.to_vec()).unwrap_or_default();
        (interface.name.reveal().to_owned(), addresses)
    };
    Ok(interfaces()?.into_iter().map(interface).collect())
}

/// The counters of adapters by name.
pub(crate) fn counters() -> Result<BTreeMap<String, Counters>, Why> {
    Ok(all_adapters()?.into_iter().filter_map(|adapter| Some((adapter.name, adapter.row?.counters))).collect())
}

/// Segments of TCP since the system started.
pub(crate) fn segments() -> Result<Segments, Why> {
    from(sys::network::segments(), "GetTcpStatisticsEx")
}

/// The name servers that adapters were told to use.
pub(crate) fn name_servers() -> Result<Vec<std::net::IpAddr>, Why> {
    Ok(adapters::servers(&all_adapters()?))
}

/// Routes and the neighbours that they lead to.
pub(crate) fn ways() -> Result<Ways, Why> {
    let adapters = all_adapters()?;
    let routes = from(sys::network::routes(), "GetIpForwardTable2")?;
    let neighbours = from(sys::network::neighbours(), "GetIpNetTable2");
    let neighbours = neighbours.map(|known| adapters::neighbours(&known, &adapters));
    let entries = adapters::entries(&routes, &adapters);
    Ok(Ways { entries, ipv6: neighbours.clone(), ipv4: neighbours })
}

/// Sockets and the programs that hold them.
pub(crate) fn sockets() -> Result<Tables, Why> {
    let tables = from(sys::network::sockets(), "GetExtendedTcpTable")?;
    let seen = from(sys::processes::named(), "CreateToolhelp32Snapshot").unwrap_or_default();
    Ok(Tables {
        tcp: [sockets::parse_tcp4(&tables.tcp4), sockets::parse_tcp6(&tables.tcp6)].concat(),
        udp: [sockets::parse_udp4(&tables.udp4), sockets::parse_udp6(&tables.udp6)].concat(),
        names: seen.into_iter().map(|process| (u64::from(process.id), process.name)).collect(),
    })
}

/// The proxy that Windows's own programs use.
pub(crate) fn proxies() -> Vec<ProxySetting<Raw>> {
    let Ok(settings) = CURRENT_USER.open("Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings") else {
        return Vec::new();
    };
    let is_on = settings.get_u32("ProxyEnable").is_ok_and(|on| on != 0);
    let names = if is_on { ["ProxyServer", "AutoConfigURL"].as_slice() } else { &["AutoConfigURL"] };
    let setting = |name: &&str| {
        let value = settings.get_string(name).ok()?;
        Some(proxies::found(ProxySource::InternetSettings, name, &value))
    };
    names.iter().filter_map(setting).collect()
}

/// What this machine calls its people, itself, its parts and its networks.
pub(crate) fn names() -> Vec<(PrivateKind, String)> {
    let mut names: Vec<_> = sys::machine::names().into_iter().map(|name| (PrivateKind::Host, name)).collect();
    names.extend(people().into_iter().map(|name| (PrivateKind::User, name)));
    let id = LOCAL_MACHINE.open("SOFTWARE\\Microsoft\\Cryptography").and_then(|key| key.get_string("MachineGuid"));
    names.extend(id.map(|id| (PrivateKind::Serial, id)));
    names.extend(networks().into_iter().map(|name| (PrivateKind::Wifi, name)));
    for adapter in all_adapters().unwrap_or_default() {
        let address: Vec<_> = adapter.hardware_address.iter().map(|byte| format!("{byte:02x}")).collect();
        names.extend([":", "-"].map(|between| (PrivateKind::HardwareAddress, address.join(between))));
        let own = adapter.addresses.iter().map(|held| &held.address).chain(&adapter.servers);
        names.extend(own.map(|address| (PrivateKind::Address, address.to_string())));
    }
    names.retain(|(_, name)| !name.is_empty());
    names
}

/// The last steps of the homes of people who have signed in here.
fn people() -> Vec<String> {
    let list = LOCAL_MACHINE.open("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList");
    let Ok(list) = list else { return Vec::new() };
    let home = |sid: String| list.open(&sid).ok()?.get_string("ProfileImagePath").ok();
    let sids = list.keys().into_iter().flatten().filter(|sid| machine::is_person(sid)).take(MAX_KEYS);
    sids.filter_map(home).filter_map(|home| machine::last_step(&home).map(str::to_owned)).collect()
}

/// The networks that this machine has been in, by the names that Windows gave them: those of wireless ones, and domains.
fn networks() -> Vec<String> {
    let list = LOCAL_MACHINE.open("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\NetworkList\\Profiles");
    let Ok(list) = list else { return Vec::new() };
    let name = |id: String| list.open(&id).ok()?.get_string("ProfileName").ok();
    list.keys().into_iter().flatten().take(MAX_KEYS).filter_map(name).collect()
}

/// Keys of one list that are read.
const MAX_KEYS: usize = 256;
