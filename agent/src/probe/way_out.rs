//! Where traffic to the internet leaves: the interface that programs use, and the device under it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use belay_protocol::report::{Interface, InterfaceKind, Private, Raw, Route, WayOut, Why, WhyKind};

use super::Root;

/// Says where traffic leaves, from the routes and the interfaces. On a live machine the kernel itself is asked first,
/// because VPNs that route by rules do not stand in the main table.
pub fn find(root: &Root, routes: &[Route<Raw>], interfaces: &[Interface<Raw>]) -> Result<WayOut<Raw>, Why> {
    let preferred = routes.first().map(|route| route.interface.reveal());
    let source = root.live_only("connect").ok().and_then(|()| source_address());
    let asked = source.and_then(|source| holder(&source, interfaces));
    let name = asked.or(preferred).ok_or_else(|| Why::new(WhyKind::NotApplicable, "default route"))?;
    let by_name = |name: &str| interfaces.iter().find(|interface| interface.name.reveal() == name);
    let own = by_name(name).and_then(|interface| device_under(interface, interfaces, MAX_DEPTH));
    // A tunnel has nothing below it: its packets leave by the best route that has a device.
    let by_route = || routes.iter().find_map(|r| device_under(by_name(r.interface.reveal())?, interfaces, MAX_DEPTH));
    Ok(WayOut {
        interface: Private::new(name),
        kind: by_name(name).map_or(InterfaceKind::Unclear, |interface| interface.kind),
        physical: own.or_else(by_route).map(Private::new),
    })
}

/// The address that this machine would use towards the internet. To connect a socket of UDP sends nothing.
fn source_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(SOMEBODY).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_unspecified())
}

/// a.root-servers.net, which lies behind every default route.
const SOMEBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4)), 9);

fn holder<'a>(address: &IpAddr, interfaces: &'a [Interface<Raw>]) -> Option<&'a str> {
    let address = address.to_string();
    let holds = |interface: &&Interface<Raw>| {
        interface.addresses.known().is_some_and(|all| all.iter().any(|known| known.address.reveal() == address))
    };
    interfaces.iter().find(holds).map(|interface| interface.name.reveal())
}

/// The first device at or below `interface`.
fn device_under<'a>(interface: &'a Interface<Raw>, all: &'a [Interface<Raw>], depth: u32) -> Option<&'a str> {
    if matches!(interface.kind, InterfaceKind::Wired | InterfaceKind::Wireless) {
        return Some(interface.name.reveal());
    }
    let depth = depth.checked_sub(1)?;
    let below = |name: &Private<_>| all.iter().find(|other| other.name.reveal() == Private::reveal(name));
    interface.below.iter().find_map(|name| device_under(below(name)?, all, depth))
}

/// Interfaces that stand on each other: a bridge on a VLAN on a bond on a device has four.
const MAX_DEPTH: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;
    use crate::probe::{interfaces, routes};

    fn found(route: &str) -> Result<(String, InterfaceKind, Option<String>), WhyKind> {
        let (_dir, root) = tree(&[
            ("proc/net/route", route),
            ("sys/class/net/eth0/flags", "0x1003\n"),
            ("sys/class/net/eth0/device/x", ""),
            ("sys/class/net/bond0/flags", "0x1003\n"),
            ("sys/class/net/bond0/lower_eth0/flags", "0x1003\n"),
            ("sys/class/net/br0/flags", "0x1003\n"),
            ("sys/class/net/br0/lower_bond0/flags", "0x1003\n"),
            ("sys/class/net/wg0/flags", "0x91\n"),
            ("sys/class/net/wg0/type", "65534\n"),
        ]);
        let (routes, interfaces) = (routes::look(&root).unwrap().defaults, interfaces::look(&root).unwrap());
        let way = find(&root, &routes, &interfaces).map_err(|why| why.kind)?;
        Ok((way.interface.reveal().to_owned(), way.kind, way.physical.map(|name| name.reveal().to_owned())))
    }

    #[test]
    fn the_device_under_a_bridge_and_a_vpn_is_found() {
        let bridge = "br0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        let vpn = "wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n";
        let eth0 = Some("eth0".to_owned());
        assert_eq!(found(bridge), Ok(("br0".to_owned(), InterfaceKind::Virtual, eth0.clone())));
        assert_eq!(found(&format!("{bridge}{vpn}")), Ok(("wg0".to_owned(), InterfaceKind::Tunnel, eth0)));
        assert_eq!(found(vpn), Ok(("wg0".to_owned(), InterfaceKind::Tunnel, None)));
        assert_eq!(found(""), Err(WhyKind::NotApplicable));
    }
}
