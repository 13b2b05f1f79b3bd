//! What a machine is known by beside the names of its people and itself: ids, serial numbers, hardware addresses, wireless
//! networks and its own addresses.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use belay_protocol::report::PrivateKind;

use crate::probe::Root;

/// The ids that systemd and the kernel give a machine and its start.
pub(super) fn ids(root: &Root) -> Vec<String> {
    let paths = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id"];
    let mut ids: Vec<_> = paths.into_iter().filter_map(|path| trimmed(root, path, path)).collect();
    // The journal writes it without dashes.
    let bare: Vec<_> = ids.iter().map(|id| id.replace('-', "")).collect();
    ids.extend(bare);
    ids.retain(|id| id.len() >= ID_DIGITS);
    ids
}

/// Digits of a machine id.
const ID_DIGITS: usize = 32;

/// Serial numbers of the machine, its disks, sticks and batteries, and the hardware addresses of its interfaces.
pub(super) fn hardware(root: &Root) -> Vec<(PrivateKind, String)> {
    let mut numbers = Vec::new();
    for name in
        ["product_serial", "product_uuid", "board_serial", "chassis_serial", "chassis_asset_tag", "board_asset_tag"]
    {
        numbers.extend(trimmed(root, &format!("/sys/class/dmi/id/{name}"), "/sys/class/dmi/id"));
    }
    numbers.extend(trimmed(root, "/sys/firmware/devicetree/base/serial-number", "/sys/firmware"));
    for (directory, files) in NUMBERED {
        for name in root.list(directory, directory).unwrap_or_default().into_iter().take(MAX_PARTS) {
            numbers.extend(
                files.iter().filter_map(|file| trimmed(root, &format!("{directory}/{name}/{file}"), directory)),
            );
        }
    }
    let serials = numbers.into_iter().filter(|number| is_number(number)).map(|number| (PrivateKind::Serial, number));
    let interfaces = root.list("/sys/class/net", "/sys/class/net").unwrap_or_default();
    let address = |name: String| trimmed(root, &format!("/sys/class/net/{name}/address"), "/sys/class/net");
    let addresses =
        interfaces.into_iter().take(MAX_PARTS).filter_map(address).filter(|address| is_hardware_address(address));
    serials.chain(addresses.map(|address| (PrivateKind::HardwareAddress, address))).collect()
}

/// Directories with an entry for each part, and where each keeps its number.
const NUMBERED: [(&str, &[&str]); 4] = [
    ("/sys/block", &["device/serial", "device/wwid", "wwid", "serial"]),
    ("/sys/class/nvme", &["serial"]),
    ("/sys/bus/usb/devices", &["serial"]),
    ("/sys/class/power_supply", &["serial_number"]),
];

/// Entries of one directory that are read: containers bring hundreds of interfaces that no report names.
const MAX_PARTS: usize = 256;

/// What the kernel calls interfaces, disks, modules and file systems of this machine, in lower case. What people may have
/// called so, an interface included, is not among them.
pub(super) fn parts(root: &Root) -> BTreeSet<String> {
    let listed = |directory| root.list(directory, directory).unwrap_or_default();
    let is_kernels = |name: &String| {
        let has_number = name.bytes().any(|byte| byte.is_ascii_digit());
        has_number && INTERFACES.iter().any(|kind| name.starts_with(kind))
    };
    let column = |file: &'static str, column: fn(&str) -> Option<&str>| {
        let text = root.read(file).unwrap_or_default();
        text.lines().filter_map(column).map(str::to_owned).collect::<Vec<_>>()
    };
    let named = column("/proc/partitions", |line| line.split_ascii_whitespace().nth(3));
    let modules = column("/proc/modules", |line| line.split(' ').next());
    let file_systems = column("/proc/filesystems", |line| line.rsplit('\t').next());
    let interfaces = listed("/sys/class/net").into_iter().filter(is_kernels);
    let all = interfaces.chain(listed("/sys/block")).chain(named).chain(modules).chain(file_systems);
    all.map(|part| part.to_lowercase()).take(MAX_WORDS).collect()
}

/// How the kernel, systemd and what makes interfaces by the dozen call them, with a number behind.
const INTERFACES: [&str; 18] = [
    "eth", "en", "wl", "ww", "usb", "br", "bond", "team", "tun", "tap", "wg", "ib", "can", "docker", "virbr", "dummy",
    "ppp", "veth",
];

/// A machine with every container in the world has names enough in these.
const MAX_WORDS: usize = 4_096;

/// Whether a serial number is one: makers leave `To be filled by O.E.M.`, `Default string` and rows of zeros, and give
/// all their sticks the number of the bus.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let different = text.bytes().collect::<std::collections::BTreeSet<_>>().len();
    let is_bus = text.contains(':') && text.contains('.');
    text.len() >= SHORTEST_NUMBER && digits >= 2 && different >= 4 && !is_bus && !text.starts_with("0123456789")
}

/// Shorter ones are found in text that has nothing to do with them.
const SHORTEST_NUMBER: usize = 6;

fn is_hardware_address(text: &str) -> bool {
    let mut bytes = text.split(':');
    let all = bytes.by_ref().all(|byte| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit()));
    all && text.len() >= 17 && text.bytes().any(|byte| !matches!(byte, b'0' | b':' | b'f'))
}

/// The name that people gave the machine, of machine-info(5).
pub(super) fn pretty_host(root: &Root) -> Option<String> {
    let text = root.read("/etc/machine-info").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_HOSTNAME="))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

/// Wireless networks that the machine knows: NetworkManager's, iwd's and wpa_supplicant's. Most need root.
pub(super) fn networks(root: &Root) -> Vec<String> {
    let mut names = Vec::new();
    let directories = ["/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections"];
    for directory in directories {
        for file in root.list(directory, directory).unwrap_or_default().into_iter().take(MAX_PARTS) {
            let text = root.read_for(&format!("{directory}/{file}"), directory).unwrap_or_default();
            names.extend(parse_ssids(&text));
        }
    }
    for file in root.list("/var/lib/iwd", "/var/lib/iwd").unwrap_or_default().into_iter().take(MAX_PARTS) {
        let name = [".psk", ".open", ".8021x"].into_iter().find_map(|ending| file.strip_suffix(ending));
        names.extend(name.filter(|name| !name.starts_with('=')).map(str::to_owned));
    }
    for directory in ["/etc/wpa_supplicant", "/etc/netplan"] {
        for file in root.list(directory, directory).unwrap_or_default().into_iter().take(MAX_PARTS) {
            let text = root.read_for(&format!("{directory}/{file}"), directory).unwrap_or_default();
            names.extend(parse_ssids(&text));
            names.extend(parse_access_points(&text));
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Lines `ssid=NAME` and `ssid="NAME"`.
fn parse_ssids(text: &str) -> Vec<String> {
    let values = text.lines().filter_map(|line| line.trim_start().strip_prefix("ssid="));
    values.map(|value| value.trim().trim_matches('"').to_owned()).collect()
}

/// The keys one step below `access-points:` in netplan's YAML.
fn parse_access_points(text: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (mut names, mut points, mut level) = (Vec::new(), None, None);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.trim() == "access-points:" {
            (points, level) = (Some(indent(line)), None);
            continue;
        }
        let Some(above) = points else { continue };
        if indent(line) <= above {
            points = None;
        } else if *level.get_or_insert(indent(line)) == indent(line)
            && let Some(name) = line.trim().split_once(':').map(|(name, _)| name)
        {
            names.push(name.trim_matches(['"', '\'']).to_owned());
        }
    }
    names
}

/// The machine's own addresses and those of its name servers: these are meant wherever they stand, even where a version
/// might.
pub(super) fn addresses(root: &Root) -> Vec<String> {
    let mut addresses = parse_fib_trie(&root.read("/proc/net/fib_trie").unwrap_or_default());
    addresses.extend(parse_if_inet6(&root.read("/proc/net/if_inet6").unwrap_or_default()));
    let servers = root.read("/etc/resolv.conf").unwrap_or_default();
    addresses
        .extend(servers.lines().filter_map(|line| line.strip_prefix("nameserver ")).map(|line| line.trim().to_owned()));
    addresses.retain(|text| text.parse().is_ok_and(|address| !belay_agent_scan::is_everybodys(&address)));
    addresses
}

/// Leaves of the routing table that are this machine's: an address, and `/32 host LOCAL` below.
fn parse_fib_trie(text: &str) -> Vec<String> {
    let mut leaf = None;
    let mut addresses = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("|-- ") {
            Some(address) => leaf = Some(address.trim()),
            None if line.contains("/32 host LOCAL") => addresses.extend(leaf.map(str::to_owned)),
            None => {}
        }
    }
    addresses
}

/// Lines that begin with 32 hexadecimal digits.
fn parse_if_inet6(text: &str) -> Vec<String> {
    let digits = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    digits
        .filter_map(|digits| u128::from_str_radix(digits, 16).ok())
        .map(|bits| Ipv6Addr::from(bits).to_string())
        .collect()
}

fn trimmed(root: &Root, path: &str, source: &'static str) -> Option<String> {
    let text = root.read_for(path, source).ok()?;
    Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn numbers_of_parts_are_learnt_and_placeholders_are_not() {
        let (_dir, root) = tree(&[
            ("sys/class/dmi/id/product_serial", "PF3KX9QZ\n"),
            ("sys/class/dmi/id/board_serial", "Default string\n"),
            ("sys/class/dmi/id/chassis_serial", "0000000000\n"),
            ("sys/block/sda/device/serial", " S4EVNX0M  \n"),
            ("sys/bus/usb/devices/1-1/serial", "0000:00:14.0\n"),
            ("sys/class/net/eth0/address", "52:54:00:ab:cd:ef\n"),
            ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
            ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ]);
        let parts: Vec<_> = hardware(&root).into_iter().map(|(_, number)| number).collect();
        assert_eq!(parts, ["PF3KX9QZ", "S4EVNX0M", "52:54:00:ab:cd:ef"]);
        assert_eq!(ids(&root)[0], "0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn parts_are_known_by_what_the_system_calls_them() {
        let (_dir, root) = tree(&[
            ("sys/class/net/eth0/address", ""),
            ("sys/block/vda/size", ""),
            ("proc/partitions", "major minor  #blocks  name\n\n 254 1 1000 vda1\n"),
            ("proc/modules", "Model_x 16384 0 - Live 0x0\n"),
            ("proc/filesystems", "nodev\tsysfs\n\text4\n"),
            ("sys/class/net/anna/address", ""),
        ]);
        let known = parts(&root);
        for part in ["eth0", "vda", "vda1", "model_x", "ext4", "sysfs"] {
            assert!(known.contains(part), "{part} in {known:?}");
        }
        assert!(!known.contains("anna"), "somebody has called an interface after a person");
    }

    #[test]
    fn wireless_networks_are_learnt_wherever_they_are_set_up() {
        let netplan = "network:\n  wifis:\n    wlan0:\n      access-points:\n        \"Blue Door\":\n          password: x\n        Attic:\n          hidden: true\n      dhcp4: true\n";
        let (_dir, root) = tree(&[
            ("etc/NetworkManager/system-connections/a.nmconnection", "[wifi]\nmode=infrastructure\nssid=Café 5G\n"),
            ("var/lib/iwd/Lane End.psk", ""),
            ("etc/wpa_supplicant/wpa_supplicant.conf", "network={\n\tssid=\"Old Mill\"\n}\n"),
            ("etc/netplan/01.yaml", netplan),
        ]);
        assert_eq!(networks(&root), ["Café 5G", "Lane End", "Old Mill", "Blue Door", "Attic"]);
    }

    #[test]
    fn own_addresses_are_learnt() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 1.2.3.4\n        /32 host LOCAL\n     |-- 1.2.3.0\n        /24 link UNICAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        let inet6 = "fe80000000000000505400fffeabcdef 02 40 20 80 eth0\n";
        let (_dir, root) = tree(&[
            ("proc/net/fib_trie", trie),
            ("proc/net/if_inet6", inet6),
            ("etc/resolv.conf", "nameserver 192.168.7.1\nnameserver 127.0.0.53\n"),
        ]);
        assert_eq!(addresses(&root), ["1.2.3.4", "fe80::5054:ff:feab:cdef", "192.168.7.1"]);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in "(.|\n)*") {
            parse_ssids(&text);
            parse_access_points(&text);
            parse_fib_trie(&text);
            parse_if_inet6(&text);
            is_number(&text);
            is_hardware_address(&text);
        }
    }
}
