//! What sysinfo knows on systems whose own calls are not asked yet; the rest is not supported there.
//!
//! It is compiled and tested wherever it could be used, and used where [`super::Root`] answers *not supported*: on macOS.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{
    Battery, Commit, Counters, CpuUse, Fact, Firewall, Host, Interface, InterfaceAddress, Os, Platform, Private,
    PrivateKind, ProxySetting, Ram, Raw, Restart, Segments, Swap, Why, WhyKind,
};
use sysinfo::System;

use super::mounts::MountLine;
use super::processes::Processes;
use super::routes::Ways;
use super::sockets::Tables;
use super::units;

pub(crate) fn memory() -> (Fact<Ram>, Fact<Swap>) {
    let mut system = System::new();
    system.refresh_memory();
    let ram = Ram::count(system.total_memory(), system.available_memory());
    let swap = Swap::count(system.total_swap(), system.free_swap());
    (ram.ok_or_else(silent).into(), swap.ok_or_else(silent).into())
}

pub(crate) fn os() -> Result<Os, Why> {
    Ok(Os {
        name: Name::truncating(System::long_os_version().ok_or_else(silent)?),
        id: Name::truncating(System::distribution_id()),
        version: Name::truncating(System::os_version().unwrap_or_default()),
    })
}

pub(crate) fn kernel_release() -> Result<String, Why> {
    System::kernel_version().ok_or_else(silent)
}

pub(crate) fn host() -> Result<Private<Host>, Why> {
    System::host_name().map(Private::new).ok_or_else(silent)
}

pub(crate) fn uptime_seconds() -> Result<u64, Why> {
    Ok(System::uptime())
}

fn silent() -> Why {
    Why::new(WhyKind::NotOffered, "sysinfo")
}

/// What the environment does not tell already.
pub(crate) fn names() -> Vec<(PrivateKind, String)> {
    Vec::new()
}

/// None beside those that are found in the environment.
pub(crate) fn proxies() -> Vec<ProxySetting<Raw>> {
    Vec::new()
}

fn not_yet<T>(source: &'static str) -> Result<T, Why> {
    Err(Why::new(WhyKind::NotSupported, source))
}

pub(crate) fn cpu_use(_: Duration) -> Result<CpuUse, Why> {
    not_yet("processors")
}

pub(crate) fn commit() -> Result<Commit, Why> {
    not_yet("memory")
}

pub(crate) fn processes() -> Result<Processes, Why> {
    not_yet("processes")
}

pub(crate) fn running() -> Result<BTreeSet<String>, Why> {
    not_yet("processes")
}

pub(crate) fn services() -> Result<units::Found, Why> {
    not_yet("services")
}

pub(crate) fn restart() -> Result<Restart, Why> {
    not_yet("restart")
}

pub(crate) fn firewall() -> Result<Firewall, Why> {
    not_yet("firewall")
}

pub(crate) fn batteries() -> Result<BoundedVec<Battery, 8>, Why> {
    not_yet("batteries")
}

pub(crate) fn platform() -> Result<Platform, Why> {
    not_yet("platform")
}

pub(crate) fn drives() -> Result<Vec<MountLine>, Why> {
    not_yet("mounts")
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn space(_: &std::path::Path) -> Result<super::mounts::Answer, Why> {
    not_yet("statvfs")
}

pub(crate) fn interfaces() -> Result<BoundedVec<Interface<Raw>, 256>, Why> {
    not_yet("interfaces")
}

pub(crate) fn addresses() -> Result<BTreeMap<String, Vec<InterfaceAddress<Raw>>>, Why> {
    not_yet("interfaces")
}

pub(crate) fn counters() -> Result<BTreeMap<String, Counters>, Why> {
    not_yet("interfaces")
}

pub(crate) fn segments() -> Result<Segments, Why> {
    not_yet("tcp")
}

pub(crate) fn name_servers() -> Result<Vec<IpAddr>, Why> {
    not_yet("name servers")
}

pub(crate) fn ways() -> Result<Ways, Why> {
    not_yet("routes")
}

pub(crate) fn sockets() -> Result<Tables, Why> {
    not_yet("sockets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysinfo_answers_on_this_system() {
        assert!(memory().0.known().is_some());
        assert!(os().is_ok() && kernel_release().is_ok() && host().is_ok() && uptime_seconds().is_ok());
    }
}
