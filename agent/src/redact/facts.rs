//! Redaction field by field. Every personal field has another type before than after, so that none can be forgotten.

use std::collections::BTreeMap;

use belay_agent_scan::Field;
use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{
    Array, Battery, BlockDevice, Bus, BusyProcess, Certificate, Device, Disk, DkmsModule, DnsServer, Drivers, Fact,
    Hardware, Interface, InterfaceAddress, Kernel, Listener, Masked, Memory, MemoryGroup, Module, Mount, Network, Os,
    Platform, Pnp, PnpDevice, Process, ProcessStates, ProxySetting, Raw, Restart, Route, RouteConflict, RouteEntry,
    RouteTable, Shared, SlowUsb, System, Temperature, Unit, Upkeep, UsbPorts, Volume, WayOut,
};

use super::aliases::{Aliases, CannotMask};

type Masking<T> = Result<T, CannotMask>;

pub(super) fn system(raw: &System<Raw>, aliases: &mut Aliases) -> Masking<System<Shared>> {
    Ok(System {
        os: fact(&raw.os, |os| Ok(Os { name: name(&os.name, aliases)?, ..os.clone() }))?,
        kernel: fact(&raw.kernel, |kernel| Ok(Kernel { release: name(&kernel.release, aliases)?, ..kernel.clone() }))?,
        host: fact(&raw.host, |host| aliases.host(host))?,
        uptime_seconds: raw.uptime_seconds.clone(),
        cpu_count: raw.cpu_count.clone(),
        cpu_use: raw.cpu_use.clone(),
        load: raw.load.clone(),
        clock: raw.clock.clone(),
        process_count: raw.process_count.clone(),
        largest_processes: list(&raw.largest_processes, |process| {
            Ok(Process { name: aliases.field(PROCESS, &process.name)?, resident_bytes: process.resident_bytes })
        })?,
        process_states: fact(&raw.process_states, |states| {
            Ok(ProcessStates {
                zombies: states.zombies,
                stuck: states.stuck,
                stuck_names: items(&states.stuck_names, |name| aliases.field(PROCESS, name))?,
            })
        })?,
        handles: raw.handles.clone(),
        tasks: raw.tasks.clone(),
        hardware: hardware(&raw.hardware, aliases)?,
        upkeep: upkeep(&raw.upkeep, aliases)?,
        busiest_processes: list(&raw.busiest_processes, |process| {
            Ok(BusyProcess { name: aliases.field(PROCESS, &process.name)?, cpu_percent: process.cpu_percent })
        })?,
        boot_seconds: raw.boot_seconds.clone(),
    })
}

fn hardware(raw: &Hardware<Raw>, aliases: &mut Aliases) -> Masking<Hardware<Shared>> {
    let temperature = |temperature: &Temperature<Raw>| {
        Ok(Temperature {
            sensor: aliases.text(&temperature.sensor)?,
            celsius: temperature.celsius,
            critical_celsius: temperature.critical_celsius.clone(),
        })
    };
    Ok(Hardware {
        temperatures: list(&raw.temperatures, temperature)?,
        throttled_times: raw.throttled_times.clone(),
        batteries: list(&raw.batteries, |battery| {
            Ok(Battery { name: name(&battery.name, aliases)?, ..battery.clone() })
        })?,
        platform: fact(&raw.platform, |platform| {
            Ok(Platform { model: name(&platform.model, aliases)?, ..platform.clone() })
        })?,
    })
}

fn upkeep(raw: &Upkeep<Raw>, aliases: &mut Aliases) -> Masking<Upkeep<Shared>> {
    Ok(Upkeep {
        failed_units: list(&raw.failed_units, |unit| Ok(Unit { name: aliases.field(Field::Unit, &unit.name)? }))?,
        restart: fact(&raw.restart, |restart| {
            Ok(Restart {
                reasons: restart.reasons.clone(),
                newest_kernel: fact(&restart.newest_kernel, |kernel| name(kernel, aliases))?,
                packages: items(&restart.packages, |package| name(package, aliases))?,
            })
        })?,
        updates: raw.updates.clone(),
        unfinished_packages: list(&raw.unfinished_packages, |package| name(package, aliases))?,
        crashes: raw.crashes.clone(),
        kernel_log: raw.kernel_log.clone(),
        firewall: raw.firewall.clone(),
        antivirus: raw.antivirus.clone(),
        certificates: list(&raw.certificates, |certificate| {
            Ok(Certificate {
                path: aliases.field(Field::Certificate, &certificate.path)?,
                subject: aliases.text(&certificate.subject)?,
                ends_unix_s: certificate.ends_unix_s,
                ends_in_days: certificate.ends_in_days,
            })
        })?,
        services: raw.services.clone(),
    })
}

pub(super) fn memory(raw: &Memory<Raw>, aliases: &mut Aliases) -> Masking<Memory<Shared>> {
    let group = |group: &MemoryGroup<Raw>| {
        Ok(MemoryGroup {
            path: aliases.text(&group.path)?,
            limit_bytes: group.limit_bytes.clone(),
            used_bytes: group.used_bytes.clone(),
            used_percent: group.used_percent.clone(),
            oom_kills: group.oom_kills.clone(),
            limit_hits: group.limit_hits.clone(),
        })
    };
    Ok(Memory {
        ram: raw.ram.clone(),
        swap: raw.swap.clone(),
        pressure: raw.pressure.clone(),
        commit: raw.commit.clone(),
        swap_rate: raw.swap_rate.clone(),
        writeback: raw.writeback.clone(),
        huge_pages: raw.huge_pages.clone(),
        shared_bytes: raw.shared_bytes.clone(),
        oom_kills: raw.oom_kills.clone(),
        groups: list(&raw.groups, group)?,
        ecc: raw.ecc.clone(),
    })
}

pub(super) fn disk(raw: &Disk<Raw>, aliases: &mut Aliases) -> Masking<Disk<Shared>> {
    let mut points = BTreeMap::new();
    let mount = |mount: &Mount<Raw>| {
        Ok(Mount {
            mount_point: distinct(aliases.field(Field::Path, &mount.mount_point)?, &mut points),
            device: aliases.field(Field::Source, &mount.device)?,
            device_kind: mount.device_kind,
            fs_type: mount.fs_type.clone(),
            access: mount.access,
            response: mount.response,
            space: mount.space.clone(),
            inodes: mount.inodes.clone(),
            options: items(&mount.options, |option| aliases.field(Field::MountOption, option))?,
            forecast: mount.forecast.clone(),
        })
    };
    let mounts = list(&raw.mounts, mount)?;
    let volumes = list(&raw.volumes, |volume: &Volume<Raw>| {
        Ok(Volume {
            name: aliases.text(&volume.name)?,
            fs_type: volume.fs_type.clone(),
            errors: volume.errors.clone(),
            last_error_unix_s: volume.last_error_unix_s.clone(),
            missing_devices: volume.missing_devices,
        })
    })?;
    let block_devices = list(&raw.block_devices, |device: &BlockDevice<Raw>| {
        Ok(BlockDevice {
            name: device.name.clone(),
            model: fact(&device.model, |model| aliases.field(MODEL, model))?,
            serial: fact(&device.serial, |serial| aliases.serial(serial))?,
            size_bytes: device.size_bytes,
            medium: device.medium.clone(),
            removable: device.removable.clone(),
            read_only: device.read_only.clone(),
            activity: device.activity.clone(),
            health: device.health.clone(),
        })
    })?;
    let arrays = list(&raw.arrays, |array| Ok(Array { name: name(&array.name, aliases)?, ..array.clone() }))?;
    Ok(Disk { mounts, left_out: raw.left_out, volumes, block_devices, arrays })
}

pub(super) fn drivers(raw: &Drivers<Raw>, aliases: &mut Aliases) -> Masking<Drivers<Shared>> {
    let modules = list(&raw.modules, |module| {
        let version = module.version.as_ref().map(|version| name(version, aliases)).transpose()?;
        Ok(Module { name: name(&module.name, aliases)?, version, ..module.clone() })
    })?;
    let dkms = list(&raw.dkms, |module| {
        let version = name(&module.version, aliases)?;
        Ok(DkmsModule { name: name(&module.name, aliases)?, version, ..module.clone() })
    })?;
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
        modules,
        taint: raw.taint.clone(),
        pci: fact(&raw.pci, &mut bus)?,
        usb: fact(&raw.usb, &mut bus)?,
        missing_firmware: list(&raw.missing_firmware, |file| aliases.text(file))?,
        dkms,
        graphics: raw.graphics.clone(),
        pcie: raw.pcie.clone(),
        usb_ports: fact(&raw.usb_ports, |ports| usb_ports(ports, aliases))?,
        pnp: fact(&raw.pnp, |pnp| self::pnp(pnp, aliases))?,
    })
}

fn usb_ports(raw: &UsbPorts<Raw>, aliases: &mut Aliases) -> Masking<UsbPorts<Shared>> {
    let slow = |device: &SlowUsb<Raw>| {
        Ok(SlowUsb {
            address: device.address.clone(),
            speed_mbps: device.speed_mbps,
            expected_mbps: device.expected_mbps,
            name: device.name.as_ref().map(|name| aliases.text(name)).transpose()?,
        })
    };
    Ok(UsbPorts {
        counting_ports: raw.counting_ports,
        over_current: raw.over_current.clone(),
        slow: items(&raw.slow, slow)?,
    })
}

fn pnp(raw: &Pnp<Raw>, aliases: &mut Aliases) -> Masking<Pnp<Shared>> {
    let mut device = |device: &PnpDevice<Raw>| {
        Ok(PnpDevice {
            instance: aliases.text(&device.instance)?,
            name: aliases.text(&device.name)?,
            problem_code: device.problem_code,
            driver_date: device.driver_date.clone(),
            driver_version: device.driver_version.clone(),
        })
    };
    Ok(Pnp {
        device_count: raw.device_count,
        problems: items(&raw.problems, &mut device)?,
        unsigned: items(&raw.unsigned, &mut device)?,
        oldest_driver: raw.oldest_driver.clone(),
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
            rates: interface.rates.clone(),
            addresses: list(&interface.addresses, |address| {
                Ok(InterfaceAddress {
                    address: aliases.address(&address.address)?,
                    family: address.family,
                    prefix_bits: address.prefix_bits,
                    reach: address.reach,
                    state: address.state,
                })
            })?,
            below: items(&interface.below, |name| aliases.text(name))?,
            signal: interface.signal.clone(),
        })
    })?;
    let default_routes = list(&raw.default_routes, |route| {
        Ok(Route {
            family: route.family,
            interface: aliases.text(&route.interface)?,
            gateway: route.gateway.as_ref().map(|gateway| aliases.address(gateway)).transpose()?,
            metric: route.metric,
            neighbour: route.neighbour.clone(),
        })
    })?;
    let dns_servers = list(&raw.dns_servers, |server| {
        Ok(DnsServer {
            address: aliases.address(&server.address)?,
            probe: server.probe.clone(),
            invents_names: server.invents_names.clone(),
        })
    })?;
    let way_out = fact(&raw.way_out, |way| {
        let physical = way.physical.as_ref().map(|name| aliases.text(name)).transpose()?;
        Ok(WayOut { interface: aliases.text(&way.interface)?, kind: way.kind, physical })
    })?;
    let proxies = list(&raw.proxies, |proxy| {
        let value = aliases.field(Field::Hosts, &proxy.value)?;
        Ok(ProxySetting { source: proxy.source, variable: proxy.variable.clone(), value })
    })?;
    let listeners = list(&raw.listeners, |listener| {
        Ok(Listener {
            protocol: listener.protocol,
            family: listener.family,
            reach: listener.reach,
            port: listener.port,
            uid: listener.uid.clone(),
            process: fact(&listener.process, |name| aliases.field(PROCESS, name))?,
        })
    })?;
    Ok(Network {
        interfaces,
        default_routes,
        dns_servers,
        system_resolver: raw.system_resolver.clone(),
        relay: raw.relay.clone(),
        way_out,
        proxies,
        desk: raw.desk.clone(),
        listeners,
        sockets: raw.sockets.clone(),
        conntrack: raw.conntrack.clone(),
        tcp: raw.tcp.clone(),
        softnet: raw.softnet.clone(),
        routes: fact(&raw.routes, |routes| route_table(routes, aliases))?,
    })
}

fn route_table(raw: &RouteTable<Raw>, aliases: &mut Aliases) -> Masking<RouteTable<Shared>> {
    let entries = items(&raw.entries, |entry| {
        Ok(RouteEntry {
            family: entry.family,
            destination: aliases.address(&entry.destination)?,
            prefix_bits: entry.prefix_bits,
            gateway: entry.gateway.as_ref().map(|gateway| aliases.address(gateway)).transpose()?,
            interface: aliases.text(&entry.interface)?,
            metric: entry.metric,
        })
    })?;
    let conflicts = items(&raw.conflicts, |conflict| {
        Ok(RouteConflict {
            kind: conflict.kind,
            interface: aliases.text(&conflict.interface)?,
            interface_kind: conflict.interface_kind,
            other: aliases.text(&conflict.other)?,
            other_kind: conflict.other_kind,
            destination: aliases.address(&conflict.destination)?,
            prefix_bits: conflict.prefix_bits,
        })
    })?;
    Ok(RouteTable { entries, left_out: raw.left_out, conflicts })
}

/// A name that somebody has given who may have thought of people: of a package, a module, a model.
fn name(raw: &Name, aliases: &mut Aliases) -> Masking<Name> {
    aliases.mask(raw).map(Name::truncating)
}

/// `masked`, told apart from those before it that read the same once their secrets are removed: each is a subject of its
/// own, and a finding about one is none about the other.
fn distinct<K>(masked: Masked<K>, seen: &mut BTreeMap<String, u32>) -> Masked<K> {
    let times = seen.entry(masked.as_str().to_owned()).or_default();
    *times += 1;
    if *times == 1 { masked } else { Masked::redacted(format!("{masked} #{times}")) }
}

/// Linux cuts the names of processes at TASK_COMM_LEN, a zero included.
const PROCESS: Field = Field::CutAt(15);

/// SCSI cuts the names of products at 16 bytes (SPC-4, 6.6.2).
const MODEL: Field = Field::CutAt(16);

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
