//! Redaction field by field. Every personal field has another type before than after, so that none can be forgotten.

use belay_protocol::BoundedVec;
use belay_protocol::report::{
    Bus, Device, Disk, DnsServer, Drivers, Fact, Interface, Mount, Network, Process, Raw, Route, Shared, System,
};

use super::aliases::{Aliases, CannotMask};

type Masking<T> = Result<T, CannotMask>;

pub(super) fn system(raw: &System<Raw>, aliases: &mut Aliases) -> Masking<System<Shared>> {
    Ok(System {
        os: raw.os.clone(),
        kernel: raw.kernel.clone(),
        host: fact(&raw.host, |host| aliases.host(host))?,
        uptime_seconds: raw.uptime_seconds.clone(),
        cpu_count: raw.cpu_count.clone(),
        cpu_use: raw.cpu_use.clone(),
        load: raw.load.clone(),
        clock: raw.clock.clone(),
        process_count: raw.process_count.clone(),
        largest_processes: list(&raw.largest_processes, |process| {
            Ok(Process { name: aliases.text(&process.name)?, resident_bytes: process.resident_bytes })
        })?,
    })
}

pub(super) fn disk(raw: &Disk<Raw>, aliases: &mut Aliases) -> Masking<Disk<Shared>> {
    let mount = |mount: &Mount<Raw>| {
        Ok(Mount {
            mount_point: aliases.text(&mount.mount_point)?,
            device: aliases.text(&mount.device)?,
            device_kind: mount.device_kind,
            fs_type: mount.fs_type.clone(),
            access: mount.access,
            response: mount.response,
            space: mount.space.clone(),
            inodes: mount.inodes.clone(),
            options: items(&mount.options, |option| aliases.text(option))?,
        })
    };
    Ok(Disk { mounts: list(&raw.mounts, mount)?, left_out: raw.left_out })
}

pub(super) fn drivers(raw: &Drivers<Raw>, aliases: &mut Aliases) -> Masking<Drivers<Shared>> {
    let mut bus = |bus: &Bus<Raw>| {
        let device = |device: &Device<Raw>| {
            Ok(Device {
                address: device.address.clone(),
                class_code: device.class_code,
                class: device.class.clone(),
                vendor_id: device.vendor_id,
                product_id: device.product_id,
                name: device.name.as_ref().map(|name| aliases.text(name)).transpose()?,
            })
        };
        Ok(Bus { device_count: bus.device_count, without_driver: items(&bus.without_driver, device)? })
    };
    Ok(Drivers {
        modules: raw.modules.clone(),
        taint: raw.taint.clone(),
        pci: fact(&raw.pci, &mut bus)?,
        usb: fact(&raw.usb, &mut bus)?,
    })
}

pub(super) fn network(raw: &Network<Raw>, aliases: &mut Aliases) -> Masking<Network<Shared>> {
    let interfaces = list(&raw.interfaces, |interface| {
        Ok(Interface {
            name: aliases.text(&interface.name)?,
            kind: interface.kind,
            link: interface.link,
            speed_mbps: interface.speed_mbps.clone(),
            duplex: interface.duplex.clone(),
            mtu_bytes: interface.mtu_bytes.clone(),
            counters: interface.counters.clone(),
        })
    })?;
    let default_routes = list(&raw.default_routes, |route| {
        Ok(Route {
            family: route.family,
            interface: aliases.text(&route.interface)?,
            gateway: route.gateway.as_ref().map(|gateway| aliases.address(gateway)).transpose()?,
            metric: route.metric,
        })
    })?;
    let dns_servers = list(&raw.dns_servers, |server| {
        Ok(DnsServer { address: aliases.address(&server.address)?, probe: server.probe.clone() })
    })?;
    let (system_resolver, relay) = (raw.system_resolver.clone(), raw.relay.clone());
    Ok(Network { interfaces, default_routes, dns_servers, system_resolver, relay })
}

fn fact<T, U>(raw: &Fact<T>, mask: impl FnOnce(&T) -> Masking<U>) -> Masking<Fact<U>> {
    match raw {
        Fact::Known(value) => mask(value).map(Fact::Known),
        Fact::Unknown(why) => Ok(Fact::Unknown(why.clone())),
    }
}

fn list<T, U, const N: usize>(
    raw: &Fact<BoundedVec<T, N>>,
    mask: impl FnMut(&T) -> Masking<U>,
) -> Masking<Fact<BoundedVec<U, N>>> {
    fact(raw, |raw| items(raw, mask))
}

fn items<T, U, const N: usize>(
    raw: &BoundedVec<T, N>,
    mask: impl FnMut(&T) -> Masking<U>,
) -> Masking<BoundedVec<U, N>> {
    let masked: Vec<U> = raw.iter().map(mask).collect::<Masking<_>>()?;
    Ok(BoundedVec::truncating(masked).0)
}
