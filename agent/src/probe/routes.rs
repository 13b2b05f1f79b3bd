//! Ways out of the machine, and to other networks.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use belay_protocol::BoundedVec;
use belay_protocol::report::{
    Family, InterfaceKind, Neighbour, Private, Raw, Route, RouteConflict, RouteConflictKind, RouteEntry, RouteTable,
    Why, WhyKind,
};

use super::{Root, native, or_native};

/// The default routes, and all of them.
#[derive(Debug)]
pub struct Looked {
    /// The default routes, preferred first. While a VPN is up its route comes first, as the kernel prefers it.
    pub defaults: BoundedVec<Route<Raw>, 16>,
    /// Every route of the main table.
    pub entries: Vec<Entry>,
}

/// The routes of `root`.
pub fn look(root: &Root) -> Result<Looked, Why> {
    let Ways { entries, ipv4, ipv6 } = or_native(look_at_files(root), native::ways)?;
    let mut defaults: Vec<&Entry> = entries.iter().filter(|entry| entry.leads_out()).collect();
    defaults.sort_by_key(|entry| (entry.family(), entry.is_default(), entry.metric));
    let neighbour = |entry: &Entry| {
        let gateway = entry.gateway.ok_or_else(|| Why::new(WhyKind::NotApplicable, ARP))?;
        let known = if entry.family() == Family::Ipv4 { &ipv4 } else { &ipv6 };
        let key = (gateway.to_string(), entry.interface.clone());
        Ok(known.as_ref().map_err(Why::clone)?.get(&key).copied().unwrap_or(Neighbour::NotAsked))
    };
    let route = |entry: &Entry| Route {
        neighbour: neighbour(entry).into(),
        family: entry.family(),
        interface: Private::new(entry.interface.as_str()),
        gateway: entry.gateway.map(|gateway| Private::new(gateway.to_string())),
        metric: entry.metric,
    };
    Ok(Looked { defaults: BoundedVec::truncating(defaults.into_iter().map(route)).0, entries })
}

/// All routes in a report's form, with those that stand in each other's way; `kinds` tells what each interface is.
pub fn table(mut entries: Vec<Entry>, kinds: &BTreeMap<String, InterfaceKind>) -> RouteTable<Raw> {
    entries.sort_by_key(|entry| (entry.family(), Reverse(entry.prefix_bits), entry.destination, entry.metric));
    let conflicts = conflicts(&entries, kinds);
    let (shown, all) = (entries.iter().take(SHOWN_MAX), entries.len());
    let entry = |entry: &Entry| RouteEntry {
        family: entry.family(),
        destination: Private::new(entry.destination.to_string()),
        prefix_bits: entry.prefix_bits,
        gateway: entry.gateway.map(|gateway| Private::new(gateway.to_string())),
        interface: Private::new(entry.interface.as_str()),
        metric: entry.metric,
    };
    RouteTable {
        entries: BoundedVec::truncating(shown.map(entry)).0,
        left_out: u32::try_from(all.saturating_sub(SHOWN_MAX)).unwrap_or(u32::MAX),
        conflicts: BoundedVec::truncating(conflicts).0,
    }
}

/// As many as a report holds.
const SHOWN_MAX: usize = 256;

fn conflicts(entries: &[Entry], kinds: &BTreeMap<String, InterfaceKind>) -> Vec<RouteConflict<Raw>> {
    let kind_of = |name: &str| kinds.get(name).copied().unwrap_or(InterfaceKind::Unclear);
    let conflict = |kind, winner: &Entry, loser: &Entry| RouteConflict {
        kind,
        interface: Private::new(winner.interface.as_str()),
        interface_kind: kind_of(&winner.interface),
        other: Private::new(loser.interface.as_str()),
        other_kind: kind_of(&loser.interface),
        destination: Private::new(winner.destination.to_string()),
        prefix_bits: winner.prefix_bits,
    };
    let defaults: Vec<&Entry> = entries.iter().filter(|entry| entry.is_default()).collect();
    let elsewhere = defaults.iter().filter_map(|default| {
        let winner = way_to(&default.gateway?, entries, &default.interface)?;
        // A machine that is in one network by cable and by radio reaches the same router both ways.
        let is_shared = |other: &&Entry| other.interface == winner.interface && other.gateway == default.gateway;
        let is_taken = winner.interface != default.interface && !defaults.iter().any(is_shared);
        is_taken.then(|| conflict(RouteConflictKind::RouterElsewhere, winner, default))
    });
    // Several routers of IPv6 share the load as a matter of course (RFC 4311).
    let of_ipv4: Vec<&&Entry> = defaults.iter().filter(|entry| entry.family() == Family::Ipv4).collect();
    let best = of_ipv4.iter().map(|entry| entry.metric).min();
    let tied = of_ipv4.iter().filter(|entry| Some(entry.metric) == best).collect::<Vec<_>>();
    let tied = match tied[..] {
        [first, .., last] if first.interface != last.interface => {
            Some(conflict(RouteConflictKind::TiedDefaults, first, last))
        }
        _ => None,
    };
    elsewhere.chain(tied).collect()
}

/// The route that packets to `router` take: the narrowest, then the preferred one; of equals that of `interface`. Routes so
/// wide that they lead out are none to a neighbour.
fn way_to<'a>(router: &IpAddr, entries: &'a [Entry], interface: &str) -> Option<&'a Entry> {
    let towards = entries.iter().filter(|entry| entry.prefix_bits > 1 && entry.contains(router));
    towards.min_by_key(|entry| (Reverse(entry.prefix_bits), entry.metric, entry.interface != interface))
}

/// Routes in any order, and the neighbours of each family.
#[derive(Debug)]
pub struct Ways {
    pub(super) entries: Vec<Entry>,
    pub(super) ipv4: Result<Neighbours, Why>,
    pub(super) ipv6: Result<Neighbours, Why>,
}

/// Routers and others by address and interface.
pub type Neighbours = BTreeMap<(String, String), Neighbour>;

fn look_at_files(root: &Root) -> Result<Ways, Why> {
    let mut entries = parse_ipv4(&root.read("/proc/net/route")?);
    // A kernel without IPv6 has no such file, and no such routes.
    entries.extend(root.read("/proc/net/ipv6_route").map(|text| parse_ipv6(&text)).unwrap_or_default());
    let ipv4 = root.read(ARP).map(|text| parse_neighbours(&text));
    // The neighbours of IPv6 are in no file.
    Ok(Ways { entries, ipv4, ipv6: Err(Why::new(WhyKind::NotSupported, "neighbours")) })
}

const ARP: &str = "/proc/net/arp";

/// Understands `/proc/net/arp` (proc_pid_net(5)): routers and others by address and interface.
pub fn parse_neighbours(text: &str) -> Neighbours {
    let line = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [address, _, flags, _, _, interface] = fields[..] else { return None };
        let address: Ipv4Addr = address.parse().ok()?;
        let is_complete = super::devices::parse_hex(flags)? & (ATF_COM | ATF_PERM) != 0;
        let neighbour = if is_complete { Neighbour::Found } else { Neighbour::Silent };
        Some(((address.to_string(), interface.to_owned()), neighbour))
    };
    text.lines().filter_map(line).collect()
}

/// linux/if_arp.h.
const ATF_COM: u32 = 0x02;
const ATF_PERM: u32 = 0x04;

/// A route as the system lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) destination: IpAddr,
    pub(super) prefix_bits: u8,
    pub(super) gateway: Option<IpAddr>,
    pub(super) interface: String,
    pub(super) metric: u32,
}

impl Entry {
    fn family(&self) -> Family {
        if self.destination.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    fn is_default(&self) -> bool {
        self.prefix_bits == 0 && self.destination.is_unspecified()
    }

    /// A default route, or the first of two halves of the address space, which VPNs write to win over the real default
    /// without removing it.
    fn leads_out(&self) -> bool {
        self.prefix_bits <= 1 && self.destination.is_unspecified()
    }

    fn contains(&self, address: &IpAddr) -> bool {
        let wide = |address: &IpAddr| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << IPV4_SHIFT,
            IpAddr::V6(address) => address.to_bits(),
        };
        let differing = wide(&self.destination) ^ wide(address);
        self.destination.is_ipv4() == address.is_ipv4() && differing.leading_zeros() >= u32::from(self.prefix_bits)
    }
}

const IPV4_SHIFT: u32 = u128::BITS - u32::BITS;

/// Understands `/proc/net/route`, the main table: numbers are hexadecimal, addresses in the byte order of the machine that
/// wrote them, which is little-endian on everything this runs on.
pub fn parse_ipv4(text: &str) -> Vec<Entry> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [interface, destination, gateway, flags, _, _, metric, mask, ..] = fields[..] else { return None };
        let address = |field| u32::from_str_radix(field, 16).ok().map(|bits| Ipv4Addr::from(bits.swap_bytes()));
        let (destination, gateway, mask) = (address(destination)?, address(gateway)?, address(mask)?);
        let usable = u32::from_str_radix(flags, 16).ok()? & (RTF_UP | RTF_REJECT) == RTF_UP;
        (usable && interface != "lo" && !destination.is_multicast()).then(|| Entry {
            destination: destination.into(),
            prefix_bits: u8::try_from(mask.to_bits().leading_ones()).unwrap_or(u8::MAX),
            gateway: (!gateway.is_unspecified()).then(|| gateway.into()),
            interface: interface.to_owned(),
            metric: metric.parse().unwrap_or(u32::MAX),
        })
    };
    text.lines().filter_map(line).collect()
}

/// Understands `/proc/net/ipv6_route`, which holds every table: what is local, copied or for groups is left out.
pub fn parse_ipv6(text: &str) -> Vec<Entry> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [destination, prefix, _, _, gateway, metric, _, _, flags, interface] = fields[..] else { return None };
        let address = |field| u128::from_str_radix(field, 16).ok().map(Ipv6Addr::from);
        let (destination, gateway) = (address(destination)?, address(gateway)?);
        let prefix_bits = u8::from_str_radix(prefix, 16).ok().filter(|bits| u32::from(*bits) <= u128::BITS)?;
        let usable = u32::from_str_radix(flags, 16).ok()? & (RTF_UP | RTF_REJECT | NOT_MAIN) == RTF_UP;
        (usable && interface != "lo" && !destination.is_multicast()).then(|| Entry {
            destination: destination.into(),
            prefix_bits,
            gateway: (!gateway.is_unspecified()).then(|| gateway.into()),
            interface: interface.to_owned(),
            metric: u32::from_str_radix(metric, 16).unwrap_or(u32::MAX),
        })
    };
    text.lines().filter_map(line).collect()
}

/// linux/route.h.
const RTF_UP: u32 = 0x1;
const RTF_REJECT: u32 = 0x200;

/// linux/ipv6_route.h: RTF_ANYCAST, RTF_CACHE and RTF_LOCAL.
const NOT_MAIN: u32 = 0x0010_0000 | 0x0100_0000 | 0x8000_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;
    use belay_protocol::report::Fact;

    const IPV4: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
        wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
        eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";

    #[test]
    fn default_routes_come_in_the_kernels_order() {
        let ipv6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
            fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n\
            00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
            00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";
        let (_dir, root) = tree(&[("proc/net/route", IPV4), ("proc/net/ipv6_route", ipv6)]);
        let routes = look(&root).unwrap().defaults;
        let seen: Vec<_> =
            routes.iter().map(|r| (r.interface.reveal(), r.gateway.as_ref().unwrap().reveal())).collect();
        assert_eq!(seen, [("eth0", "192.168.1.1"), ("wlan0", "192.168.1.1"), ("eth0", "fe80::1")]);
    }

    #[test]
    fn the_default_interface_is_the_vpns_when_one_is_up() {
        let vpn = "tun0\t00000000\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
            tun0\t00000080\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n";
        let (_dir, root) = tree(&[("proc/net/route", &format!("{IPV4}{vpn}"))]);
        let routes = look(&root).unwrap().defaults;
        assert_eq!(routes[0].interface.reveal(), "tun0");
        assert_eq!(routes.len(), 3);
    }

    #[test]
    fn a_router_that_does_not_answer_is_told_from_one_that_was_not_asked() {
        let arp = "IP address       HW type     Flags       HW address            Mask     Device\n\
            192.168.1.1      0x1         0x0         00:00:00:00:00:00     *        eth0\n\
            192.168.1.1      0x1         0x2         00:50:56:c0:00:08     *        wlan1\n";
        let (_dir, root) = tree(&[("proc/net/route", IPV4), ("proc/net/arp", arp)]);
        let routes = look(&root).unwrap().defaults;
        assert_eq!(routes[0].neighbour, Fact::Known(Neighbour::Silent));
        assert_eq!(routes[1].neighbour, Fact::Known(Neighbour::NotAsked));
        let (_dir, root) = tree(&[("proc/net/route", IPV4)]);
        assert_eq!(look(&root).unwrap().defaults[0].neighbour.why().unwrap().kind, WhyKind::NotOffered);
    }

    #[test]
    fn no_route_is_known_to_be_none() {
        let (_dir, root) = tree(&[("proc/net/route", "Iface\tDestination\n")]);
        assert_eq!(look(&root).unwrap().defaults.len(), 0);
    }

    fn entry(destination: &str, prefix_bits: u8, gateway: Option<&str>, interface: &str, metric: u32) -> Entry {
        let gateway = gateway.map(|gateway| gateway.parse().unwrap());
        Entry {
            destination: destination.parse().unwrap(),
            prefix_bits,
            gateway,
            interface: interface.to_owned(),
            metric,
        }
    }

    fn found(entries: Vec<Entry>) -> Vec<(RouteConflictKind, String, String)> {
        let kinds = BTreeMap::from([("tun0".to_owned(), InterfaceKind::Tunnel)]);
        let conflicts = table(entries, &kinds).conflicts.into_vec();
        let names = |conflict: RouteConflict<Raw>| {
            assert_eq!(conflict.interface_kind == InterfaceKind::Tunnel, conflict.interface.reveal() == "tun0");
            (conflict.kind, conflict.interface.reveal().to_owned(), conflict.other.reveal().to_owned())
        };
        conflicts.into_iter().map(names).collect()
    }

    #[test]
    fn every_route_of_the_main_table_is_told_narrow_before_wide() {
        let ipv6 = "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
            00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
            fd000000000000000000000000000002 80 00000000000000000000000000000000 00 \
            00000000000000000000000000000000 00000000 00000004 00000000 80200001     eth0\n\
            ff000000000000000000000000000000 08 00000000000000000000000000000000 00 \
            00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n";
        let (_dir, root) = tree(&[("proc/net/route", IPV4), ("proc/net/ipv6_route", ipv6)]);
        let table = table(look(&root).unwrap().entries, &BTreeMap::new());
        let seen: Vec<_> = table.entries.iter().map(|e| (e.destination.reveal(), e.prefix_bits, e.metric)).collect();
        assert_eq!(seen, [("192.168.1.0", 24, 100), ("0.0.0.0", 0, 100), ("0.0.0.0", 0, 600), ("fd00::", 64, 256)]);
        assert_eq!((table.left_out, table.conflicts.len()), (0, 0));
    }

    #[test]
    fn more_routes_than_fit_are_counted() {
        let many = (0..300).map(|n| entry(&format!("10.{}.{}.0", n / 256, n % 256), 24, None, "eth0", 0)).collect();
        let table = table(many, &BTreeMap::new());
        assert_eq!((table.entries.len(), table.left_out), (SHOWN_MAX, 44));
    }

    #[test]
    fn a_vpn_that_takes_the_network_of_the_router_is_a_conflict() {
        let home = || {
            vec![entry("0.0.0.0", 0, Some("192.168.1.1"), "wlan0", 600), entry("192.168.1.0", 24, None, "wlan0", 600)]
        };
        let with = |route| found([home(), vec![route]].concat());
        let taken = [(RouteConflictKind::RouterElsewhere, "tun0".to_owned(), "wlan0".to_owned())];
        assert_eq!(with(entry("192.168.1.0", 24, None, "tun0", 0)), taken);
        assert_eq!(with(entry("192.168.1.0", 25, None, "tun0", 900)), taken, "narrow wins over preferred");
        assert_eq!(with(entry("192.168.0.0", 16, None, "tun0", 0)), [], "wide loses");
        assert_eq!(with(entry("192.168.1.128", 25, None, "tun0", 0)), [], "the router is not in it");
        assert_eq!(with(entry("0.0.0.0", 1, None, "tun0", 0)), [], "a VPN for everything leaves the router alone");
        assert_eq!(with(entry("192.168.1.0", 24, None, "tun0", 600)), [], "of equals the router's own is taken");
    }

    #[test]
    fn two_defaults_that_are_preferred_alike_are_a_conflict_in_ipv4() {
        let default = |gateway, interface, metric| entry("0.0.0.0", 0, Some(gateway), interface, metric);
        let tied = [(RouteConflictKind::TiedDefaults, "eth0".to_owned(), "wlan0".to_owned())];
        assert_eq!(found(vec![default("10.0.0.1", "eth0", 0), default("10.1.0.1", "wlan0", 0)]), tied);
        assert_eq!(found(vec![default("10.0.0.1", "eth0", 0), default("10.1.0.1", "wlan0", 600)]), []);
        assert_eq!(found(vec![default("10.0.0.1", "eth0", 0), default("10.0.0.2", "eth0", 0)]), []);
        let ipv6 = |interface| entry("::", 0, Some("fe80::1"), interface, 1_024);
        assert_eq!(found(vec![ipv6("eth0"), ipv6("wlan0")]), []);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            table([parse_ipv4(&text), parse_ipv6(&text)].concat(), &BTreeMap::new());
            parse_neighbours(&text);
        }
    }
}
