//! Ways out of the machine.

use std::net::{Ipv4Addr, Ipv6Addr};

use belay_protocol::BoundedVec;
use belay_protocol::report::{Family, Private, Raw, Route, Why};

use super::Root;

/// The default routes of `root`, preferred first. While a VPN is up its route comes first, as the kernel prefers it.
pub fn look(root: &Root) -> Result<BoundedVec<Route<Raw>, 16>, Why> {
    let mut routes = parse_ipv4(&root.read("/proc/net/route")?);
    // A kernel without IPv6 has no such file, and no such routes.
    routes.extend(root.read("/proc/net/ipv6_route").map(|text| parse_ipv6(&text)).unwrap_or_default());
    routes.sort_by_key(|found| (found.family, !found.halves, found.metric));
    let route = |found: Found| Route {
        family: found.family,
        interface: Private::new(found.interface),
        gateway: found.gateway.map(Private::new),
        metric: found.metric,
    };
    Ok(BoundedVec::truncating(routes.into_iter().map(route)).0)
}

/// A default route as the kernel lists it.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    family: Family,
    interface: String,
    gateway: Option<String>,
    metric: u32,
    /// Written as two halves of the address space, which VPNs do to win over the real default without removing it.
    halves: bool,
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
    fn no_route_is_known_to_be_none() {
        let (_dir, root) = tree(&[("proc/net/route", "Iface\tDestination\n")]);
        assert_eq!(look(&root).unwrap().len(), 0);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_ipv4(&text);
            parse_ipv6(&text);
        }
    }
}
