//! Ways out of the machine.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use belay_protocol::BoundedVec;
use belay_protocol::report::{Family, Neighbour, Private, Raw, Route, Why, WhyKind};

use super::{Root, native, or_native};

/// The default routes of `root`, preferred first. While a VPN is up its route comes first, as the kernel prefers it.
pub fn look(root: &Root) -> Result<BoundedVec<Route<Raw>, 16>, Why> {
    let Ways { mut routes, ipv4, ipv6 } = or_native(look_at_files(root), native::ways)?;
    routes.sort_by_key(|found| (found.family, !found.halves, found.metric));
    let neighbour = |found: &Found| {
        let gateway = found.gateway.as_ref().ok_or_else(|| Why::new(WhyKind::NotApplicable, ARP))?;
        let known = if found.family == Family::Ipv4 { &ipv4 } else { &ipv6 };
        let key = (gateway.clone(), found.interface.clone());
        Ok(known.as_ref().map_err(Why::clone)?.get(&key).copied().unwrap_or(Neighbour::NotAsked))
    };
    let route = |found: Found| Route {
        neighbour: neighbour(&found).into(),
        family: found.family,
        interface: Private::new(found.interface),
        gateway: found.gateway.map(Private::new),
        metric: found.metric,
    };
    Ok(BoundedVec::truncating(routes.into_iter().map(route)).0)
}

/// Default routes in any order, and the neighbours of each family.
#[derive(Debug)]
pub struct Ways {
    pub(super) routes: Vec<Found>,
    pub(super) ipv4: Result<Neighbours, Why>,
    pub(super) ipv6: Result<Neighbours, Why>,
}

/// Routers and others by address and interface.
pub type Neighbours = BTreeMap<(String, String), Neighbour>;

fn look_at_files(root: &Root) -> Result<Ways, Why> {
    let mut routes = parse_ipv4(&root.read("/proc/net/route")?);
    // A kernel without IPv6 has no such file, and no such routes.
    routes.extend(root.read("/proc/net/ipv6_route").map(|text| parse_ipv6(&text)).unwrap_or_default());
    let ipv4 = root.read(ARP).map(|text| parse_neighbours(&text));
    // The neighbours of IPv6 are in no file.
    Ok(Ways { routes, ipv4, ipv6: Err(Why::new(WhyKind::NotSupported, "neighbours")) })
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

/// A default route as the system lists it.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub(super) family: Family,
    pub(super) interface: String,
    pub(super) gateway: Option<String>,
    pub(super) metric: u32,
    /// Written as two halves of the address space, which VPNs do to win over the real default without removing it.
    pub(super) halves: bool,
}

/// Understands `/proc/net/route`: numbers are hexadecimal, addresses in the byte order of the machine that wrote them,
/// which is little-endian on everything this runs on.
pub fn parse_ipv4(text: &str) -> Vec<Found> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [interface, destination, gateway, flags, _, _, metric, mask, ..] = fields[..] else { return None };
        let address = |field| u32::from_str_radix(field, 16).ok().map(|bits| Ipv4Addr::from(bits.swap_bytes()));
        let (destination, gateway, mask) = (address(destination)?, address(gateway)?, address(mask)?);
        let usable = u32::from_str_radix(flags, 16).ok()? & (RTF_UP | RTF_REJECT) == RTF_UP;
        let halves = mask == Ipv4Addr::new(128, 0, 0, 0) && destination == Ipv4Addr::UNSPECIFIED;
        let default = mask.is_unspecified() && destination.is_unspecified();
        (usable && (default || halves)).then(|| Found {
            family: Family::Ipv4,
            interface: interface.to_owned(),
            gateway: (!gateway.is_unspecified()).then(|| gateway.to_string()),
            metric: metric.parse().unwrap_or(u32::MAX),
            halves,
        })
    };
    text.lines().filter_map(line).collect()
}

/// Understands `/proc/net/ipv6_route`.
pub fn parse_ipv6(text: &str) -> Vec<Found> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [destination, prefix, _, _, gateway, metric, _, _, flags, interface] = fields[..] else { return None };
        let hex = |field| u32::from_str_radix(field, 16).ok();
        let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
        let whole = u128::from_str_radix(destination, 16).ok()? == 0;
        let usable = hex(flags)? & (RTF_UP | RTF_REJECT) == RTF_UP;
        let halves = whole && prefix == "01";
        (usable && interface != "lo" && whole && (prefix == "00" || halves)).then(|| Found {
            family: Family::Ipv6,
            interface: interface.to_owned(),
            gateway: (!gateway.is_unspecified()).then(|| gateway.to_string()),
            metric: hex(metric).unwrap_or(u32::MAX),
            halves,
        })
    };
    text.lines().filter_map(line).collect()
}

/// linux/route.h.
const RTF_UP: u32 = 0x1;
const RTF_REJECT: u32 = 0x200;

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
        let routes = look(&root).unwrap();
        let seen: Vec<_> =
            routes.iter().map(|r| (r.interface.reveal(), r.gateway.as_ref().unwrap().reveal())).collect();
        assert_eq!(seen, [("eth0", "192.168.1.1"), ("wlan0", "192.168.1.1"), ("eth0", "fe80::1")]);
    }

    #[test]
    fn the_default_interface_is_the_vpns_when_one_is_up() {
        let vpn = "tun0\t00000000\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
            tun0\t00000080\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n";
        let (_dir, root) = tree(&[("proc/net/route", &format!("{IPV4}{vpn}"))]);
        let routes = look(&root).unwrap();
        assert_eq!(routes[0].interface.reveal(), "tun0");
        assert_eq!(routes.len(), 3);
    }

    #[test]
    fn a_router_that_does_not_answer_is_told_from_one_that_was_not_asked() {
        let arp = "IP address       HW type     Flags       HW address            Mask     Device\n\
            192.168.1.1      0x1         0x0         00:00:00:00:00:00     *        eth0\n\
            192.168.1.1      0x1         0x2         00:50:56:c0:00:08     *        wlan1\n";
        let (_dir, root) = tree(&[("proc/net/route", IPV4), ("proc/net/arp", arp)]);
        let routes = look(&root).unwrap();
        assert_eq!(routes[0].neighbour, Fact::Known(Neighbour::Silent));
        assert_eq!(routes[1].neighbour, Fact::Known(Neighbour::NotAsked));
        let (_dir, root) = tree(&[("proc/net/route", IPV4)]);
        assert_eq!(look(&root).unwrap()[0].neighbour.why().unwrap().kind, WhyKind::NotOffered);
    }

    #[test]
    fn no_route_is_known_to_be_none() {
        let (_dir, root) = tree(&[("proc/net/route", "Iface\tDestination\n")]);
        assert_eq!(look(&root).unwrap().len(), 0);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_ipv4(&text);
            parse_ipv6(&text);
            parse_neighbours(&text);
        }
    }
}
