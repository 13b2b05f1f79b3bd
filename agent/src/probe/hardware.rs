//! The machine's own sensors and batteries, and what the system runs on.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{
    Battery, Flow, Hardware, Platform, PlatformKind, Private, Raw, Temperature, Why, WhyKind,
};

use super::{Root, native, or_native};

/// Sensors, batteries and platform of `root`.
pub fn look(root: &Root) -> Hardware<Raw> {
    Hardware {
        temperatures: temperatures(root).into(),
        throttled_times: throttled_times(root).into(),
        batteries: or_native(batteries(root), native::batteries).into(),
        platform: or_native(platform(root), native::platform).into(),
    }
}

/// From the chips (Linux Documentation/hwmon/sysfs-interface.rst), or where there are none from the zones that firmware
/// declares (Documentation/driver-api/thermal/sysfs-api.rst).
fn temperatures(root: &Root) -> Result<BoundedVec<Temperature<Raw>, 128>, Why> {
    let chips = root.list(HWMON, HWMON).unwrap_or_default();
    let mut found: Vec<_> = chips.iter().flat_map(|chip| chip_temperatures(root, chip)).collect();
    if found.is_empty() {
        let zones = root.list(THERMAL, THERMAL)?.into_iter().filter(|name| name.starts_with("thermal_zone"));
        found.extend(zones.filter_map(|zone| zone_temperature(root, &zone)));
    }
    if found.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, HWMON));
    }
    Ok(BoundedVec::truncating(found).0)
}

fn chip_temperatures(root: &Root, chip: &str) -> Vec<Temperature<Raw>> {
    let words = |file: &str| root.read_for(&format!("{HWMON}/{chip}/{file}"), HWMON).map(|text| text.trim().to_owned());
    let degrees = |file: &str| celsius(root, &format!("{HWMON}/{chip}/{file}"), HWMON);
    let name = words("name").unwrap_or_default();
    let files = root.list(&format!("{HWMON}/{chip}"), HWMON).unwrap_or_default();
    let places = files.iter().filter_map(|file| file.strip_suffix("_input").filter(|place| place.starts_with("temp")));
    let read = |place: &str| {
        let label = words(&format!("{place}_label")).unwrap_or_else(|_| place.to_owned());
        Some(Temperature {
            sensor: Private::new(format!("{name} {label}")),
            celsius: degrees(&format!("{place}_input")).ok()?,
            critical_celsius: degrees(&format!("{place}_crit")).and_then(plausible_limit).into(),
        })
    };
    places.filter_map(read).collect()
}

fn zone_temperature(root: &Root, zone: &str) -> Option<Temperature<Raw>> {
    let path = |file: &str| format!("{THERMAL}/{zone}/{file}");
    let name = root.read_for(&path("type"), THERMAL).unwrap_or_default();
    let is_critical = |trip: &u8| {
        let kind = root.read_for(&path(&format!("trip_point_{trip}_type")), THERMAL);
        kind.is_ok_and(|kind| kind.trim() == "critical")
    };
    let critical = (0..MAX_TRIPS).find(is_critical).ok_or_else(|| Why::new(WhyKind::NotOffered, THERMAL));
    let critical = critical.and_then(|trip| celsius(root, &path(&format!("trip_point_{trip}_temp")), THERMAL));
    Some(Temperature {
        sensor: Private::new(name.trim()),
        celsius: celsius(root, &path("temp"), THERMAL).ok()?,
        critical_celsius: critical.and_then(plausible_limit).into(),
    })
}

const HWMON: &str = "/sys/class/hwmon";
const THERMAL: &str = "/sys/class/thermal";

/// `THERMAL_MAX_TRIPS` of kernels that had a bound.
const MAX_TRIPS: u8 = 12;

/// Thousandths of a degree, as both interfaces write them. Sensors that are not wired up report absurd cold or heat.
fn celsius(root: &Root, path: &str, source: &'static str) -> Result<f64, Why> {
    let celsius = root.number::<i64>(path, source)? as f64 / 1_000.0;
    if (-60.0..=200.0).contains(&celsius) { Ok(celsius) } else { Err(Why::new(WhyKind::Malformed, source)) }
}

/// Chips whose limit was never set report 0 or less.
fn plausible_limit(celsius: f64) -> Result<f64, Why> {
    if celsius >= 30.0 { Ok(celsius) } else { Err(Why::new(WhyKind::Malformed, HWMON)) }
}

/// Cores of one package count together on some machines, so that the sum is a measure and not a number of events.
fn throttled_times(root: &Root) -> Result<u64, Why> {
    let cpus = root.list(CPUS, CPUS)?;
    let counts: Vec<u64> = cpus
        .iter()
        .filter_map(|cpu| root.number(&format!("{CPUS}/{cpu}/thermal_throttle/core_throttle_count"), CPUS).ok())
        .collect();
    if counts.is_empty() {
        return Err(Why::new(WhyKind::NotOffered, CPUS));
    }
    Ok(counts.into_iter().fold(0, u64::saturating_add))
}

const CPUS: &str = "/sys/devices/system/cpu";

/// The machine's own batteries; those of mice and keyboards have the scope of a device.
fn batteries(root: &Root) -> Result<BoundedVec<Battery, 8>, Why> {
    let names = root.list(SUPPLY, SUPPLY)?;
    let read = |name: &String| {
        let path = |file: &str| format!("{SUPPLY}/{name}/{file}");
        let is = |file: &str, word: &str| root.read_for(&path(file), SUPPLY).is_ok_and(|text| text.trim() == word);
        if !is("type", "Battery") || is("scope", "Device") {
            return None;
        }
        let number = |file: &str| root.number::<u64>(&path(file), SUPPLY);
        let full = number("energy_full").and_then(|full| Ok((full, number("energy_full_design")?)));
        let full = full.or_else(|_| Ok::<_, Why>((number("charge_full")?, number("charge_full_design")?)));
        let health = full.and_then(|(full, design)| {
            let percent = u128::from(full) * 100 / u128::from(design).max(1);
            if design == 0 {
                Err(Why::new(WhyKind::Malformed, SUPPLY))
            } else {
                Ok(u8::try_from(percent).unwrap_or(100))
            }
        });
        Some(Battery {
            name: Name::truncating(name.as_str()),
            charge_percent: root.number::<u8>(&path("capacity"), SUPPLY).map(|charge| charge.min(100)).into(),
            health_percent: health.map(|health| health.min(100)).into(),
            flow: match () {
                () if is("status", "Charging") => Flow::Charging,
                () if is("status", "Discharging") => Flow::Discharging,
                () => Flow::Resting,
            },
            // Firmware that does not count reports 0.
            cycles: root
                .number::<u32>(&path("cycle_count"), SUPPLY)
                .and_then(|count| if count > 0 { Ok(count) } else { Err(Why::new(WhyKind::NotOffered, SUPPLY)) })
                .into(),
        })
    };
    Ok(BoundedVec::truncating(names.iter().filter_map(read)).0)
}

const SUPPLY: &str = "/sys/class/power_supply";

/// Marks of a container first: from inside one, the marks of the machine below are seen as well.
pub fn platform(root: &Root) -> Result<Platform, Why> {
    let dmi = |file: &str| root.read_for(&format!("{DMI}/{file}"), DMI).map(|text| text.trim().to_owned());
    let model = Name::truncating(dmi("product_name").unwrap_or_default());
    if let Some(name) = container(root) {
        return Ok(Platform { kind: PlatformKind::Container, name: Name::truncating(name), model });
    }
    let hypervisor = dmi("sys_vendor").ok().and_then(|vendor| hypervisor_of(&vendor, &model));
    let cpuinfo = root.read(CPUINFO);
    let flag = cpuinfo.as_deref().ok().and_then(parse_hypervisor_flag);
    let kind = match (hypervisor, flag) {
        (Some(_), _) | (_, Some(true)) => PlatformKind::Virtual,
        (None, Some(false)) => PlatformKind::Physical,
        // Processors other than x86 have no flag; a maker that is no hypervisor's will do.
        (None, None) if !model.is_empty() => PlatformKind::Physical,
        (None, None) => return Err(cpuinfo.err().unwrap_or_else(|| Why::new(WhyKind::NotOffered, DMI))),
    };
    Ok(Platform { kind, name: Name::truncating(hypervisor.unwrap_or_default()), model })
}

const DMI: &str = "/sys/class/dmi/id";
const CPUINFO: &str = "/proc/cpuinfo";

/// The container manager's name, where it leaves a mark (systemd's Container Interface, Docker, Podman).
pub fn container(root: &Root) -> Option<String> {
    let marked = root.read("/run/systemd/container").or_else(|_| root.read("/run/host/container-manager"));
    if let Ok(name) = marked {
        return Some(name.trim().to_owned());
    }
    let marks = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    marks.into_iter().find(|(path, _)| root.has(path)).map(|(_, name)| name.to_owned())
}

/// What the firmware's names of maker and model say, where there is nothing else to go by.
pub fn platform_of(vendor: &str, model: &str, source: &'static str) -> Result<Platform, Why> {
    let hypervisor = hypervisor_of(vendor, model);
    let kind = match hypervisor {
        Some(_) => PlatformKind::Virtual,
        None if model.is_empty() => return Err(Why::new(WhyKind::NotOffered, source)),
        None => PlatformKind::Physical,
    };
    Ok(Platform { kind, name: Name::truncating(hypervisor.unwrap_or_default()), model: Name::truncating(model) })
}

/// Hypervisors by what their firmware tells (systemd src/basic/virt.c).
fn hypervisor_of(vendor: &str, model: &str) -> Option<&'static str> {
    let known = HYPERVISORS.into_iter().find(|(mark, _)| vendor.starts_with(mark) || model.starts_with(mark));
    known.map(|(_, name)| name)
}

const HYPERVISORS: [(&str, &str); 13] = [
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "google"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "virtualbox"),
    ("VirtualBox", "virtualbox"),
    ("Xen", "xen"),
    ("Parallels", "parallels"),
    ("Virtual Machine", "hyper-v"),
];

/// Whether the processor says that a hypervisor stands below it; nothing where processors do not say such things.
pub fn parse_hypervisor_flag(text: &str) -> Option<bool> {
    let flags = text.lines().find_map(|line| line.strip_prefix("flags")?.trim_start().strip_prefix(':'))?;
    Some(flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;
    use belay_protocol::report::Fact;

    #[test]
    fn chips_tell_their_temperatures_and_limits() {
        let (_dir, root) = tree(&[
            ("sys/class/hwmon/hwmon0/name", "coretemp\n"),
            ("sys/class/hwmon/hwmon0/temp1_input", "45500\n"),
            ("sys/class/hwmon/hwmon0/temp1_label", "Package id 0\n"),
            ("sys/class/hwmon/hwmon0/temp1_crit", "100000\n"),
            ("sys/class/hwmon/hwmon1/name", "nct6775\n"),
            ("sys/class/hwmon/hwmon1/temp2_input", "-127000\n"),
            ("sys/class/hwmon/hwmon1/temp3_input", "30000\n"),
            ("sys/class/hwmon/hwmon1/temp3_crit", "0\n"),
            ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "3\n"),
            ("sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "4\n"),
        ]);
        let hardware = look(&root);
        let seen: Vec<_> = hardware.temperatures.known().unwrap().iter().collect();
        assert_eq!((seen.len(), seen[0].sensor.reveal(), seen[0].celsius), (2, "coretemp Package id 0", 45.5));
        assert_eq!(seen[0].critical_celsius, Fact::Known(100.0));
        assert!(seen[1].critical_celsius.why().is_some(), "a limit of 0 was never set");
        assert_eq!(hardware.throttled_times, Fact::Known(7));
    }

    #[test]
    fn zones_stand_in_where_there_are_no_chips() {
        let (_dir, root) = tree(&[
            ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
            ("sys/class/thermal/thermal_zone0/temp", "49925\n"),
            ("sys/class/thermal/thermal_zone0/trip_point_0_type", "passive\n"),
            ("sys/class/thermal/thermal_zone0/trip_point_1_type", "critical\n"),
            ("sys/class/thermal/thermal_zone0/trip_point_1_temp", "110000\n"),
            ("sys/class/thermal/cooling_device0/type", "Fan\n"),
        ]);
        let seen = temperatures(&root).unwrap();
        assert_eq!((seen.len(), &seen[0].critical_celsius), (1, &Fact::Known(110.0)));
    }

    #[test]
    fn no_sensor_is_unknown_and_no_battery_is_none() {
        let (_dir, root) = tree(&[("sys/class/power_supply/AC/type", "Mains\n")]);
        let hardware = look(&root);
        assert_eq!(hardware.temperatures.why().unwrap().kind, WhyKind::NotOffered);
        assert_eq!(hardware.throttled_times.why().unwrap().kind, WhyKind::NotOffered);
        assert_eq!(hardware.batteries.known().unwrap().len(), 0);
    }

    #[test]
    fn a_battery_is_told_from_a_mouse() {
        let (_dir, root) = tree(&[
            ("sys/class/power_supply/BAT0/type", "Battery\n"),
            ("sys/class/power_supply/BAT0/capacity", "81\n"),
            ("sys/class/power_supply/BAT0/status", "Discharging\n"),
            ("sys/class/power_supply/BAT0/energy_full", "25000\n"),
            ("sys/class/power_supply/BAT0/energy_full_design", "50000\n"),
            ("sys/class/power_supply/BAT0/cycle_count", "0\n"),
            ("sys/class/power_supply/mouse/type", "Battery\n"),
            ("sys/class/power_supply/mouse/scope", "Device\n"),
        ]);
        let batteries = batteries(&root).unwrap();
        assert_eq!(batteries.len(), 1);
        let battery = &batteries[0];
        assert_eq!((&battery.charge_percent, &battery.health_percent), (&Fact::Known(81), &Fact::Known(50)));
        assert_eq!((battery.flow, battery.cycles.known()), (Flow::Discharging, None));
    }

    #[test]
    fn the_platform_is_told_from_inside() {
        let kind = |files: &[(&str, &str)]| {
            let (_dir, root) = tree(files);
            platform(&root).map(|platform| (platform.kind, platform.name.to_string()))
        };
        let flags = |flags| ("proc/cpuinfo", flags);
        use PlatformKind::{Container, Physical, Virtual};
        assert_eq!(kind(&[flags("flags\t\t: fpu vme\n")]), Ok((Physical, String::new())));
        assert_eq!(kind(&[flags("flags : fpu hypervisor\n")]), Ok((Virtual, String::new())));
        assert_eq!(kind(&[("sys/class/dmi/id/sys_vendor", "QEMU\n")]), Ok((Virtual, "qemu".to_owned())));
        assert_eq!(kind(&[(".dockerenv", ""), flags("flags : hypervisor\n")]), Ok((Container, "docker".to_owned())));
        assert_eq!(kind(&[]).unwrap_err().kind, WhyKind::NotOffered);
    }

    #[test]
    fn makers_and_models_tell_hypervisors() {
        let kind = |vendor, model| platform_of(vendor, model, "registry").map(|platform| platform.kind);
        assert_eq!(kind("VMware, Inc.", "VMware20,1"), Ok(PlatformKind::Virtual));
        assert_eq!(kind("Microsoft Corporation", "Virtual Machine"), Ok(PlatformKind::Virtual));
        assert_eq!(kind("LENOVO", "20XW"), Ok(PlatformKind::Physical));
        assert_eq!(kind("", "").unwrap_err().kind, WhyKind::NotOffered);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_hypervisor_flag(&text);
            hypervisor_of(&text, &text);
        }
    }
}
