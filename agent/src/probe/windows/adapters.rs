//! Adapters with their addresses, routers and name servers; routes; neighbours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use belay_protocol::BoundedVec;
use belay_protocol::report::{
    AddressReach, AddressState, Counters, Fact, Family, Interface, InterfaceAddress, InterfaceKind, LinkState,
    Neighbour, Private, Raw, Why, WhyKind,
};

use crate::probe::routes::{Entry, Neighbours};

/// An adapter as GetAdaptersAddresses and GetIfEntry2 tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adapter {
    /// Its name for people.
    pub name: String,
    /// Its numbers for IPv4 and IPv6, as a rule the same; 0 where it lacks the protocol.
    pub indexes: [u32; 2],
    /// IfType.
    pub kind: u32,
    /// OperStatus.
    pub status: u32,
    /// TransmitLinkSpeed, in bits a second.
    pub speed: u64,
    /// The largest packet; `u32::MAX` for none.
    pub mtu_bytes: u32,
    /// Its hardware address; empty where it has none.
    pub hardware_address: Vec<u8>,
    /// Its addresses.
    pub addresses: Vec<Held>,
    /// The name servers it was told to use.
    pub servers: Vec<IpAddr>,
    /// What is added to the metric of a route by it, for IPv4 and IPv6.
    pub metrics: [u32; 2],
    /// The rest; GetIfEntry2 may refuse.
    pub row: Option<Row>,
}

/// What GetIfEntry2 has besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Whether it is a device and not made by software.
    pub is_hardware: bool,
    /// AdminStatus.
    pub admin_status: u32,
    /// MediaConnectState.
    pub media: u32,
    /// Traffic and its losses.
    pub counters: Counters,
}

/// An address of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The address.
    pub address: IpAddr,
    /// OnLinkPrefixLength.
    pub prefix_bits: u8,
    /// DadState.
    pub duplicate_state: i32,
}

/// The address in a SOCKADDR_IN or SOCKADDR_IN6.
pub fn parse_sockaddr(bytes: &[u8]) -> Option<IpAddr> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 23;
    let (family, rest) = bytes.split_first_chunk()?;
    match u16::from_le_bytes(*family) {
        // Behind the port, and for IPv6 the flow.
        AF_INET => Some(IpAddr::V4(Ipv4Addr::from(*rest.get(2..)?.first_chunk::<4>()?))),
        AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(*rest.get(6..)?.first_chunk::<16>()?))),
        _ => None,
    }
}

/// Whether it is more than the way of a machine to itself.
pub fn is_of_interest(adapter: &Adapter) -> bool {
    adapter.kind != IF_TYPE_SOFTWARE_LOOPBACK
}

/// An adapter as an interface.
pub fn interface(adapter: &Adapter) -> Interface<Raw> {
    let (kind, link) = (kind(adapter), link(adapter));
    let why = |kind| Why::new(kind, SOURCE);
    let speed = match (kind, link) {
        (InterfaceKind::Wired, LinkState::Up) => {
            let speed_mbps = u32::try_from(adapter.speed / 1_000_000).ok().filter(|mbps| *mbps > 0);
            speed_mbps.filter(|_| adapter.speed != u64::MAX).ok_or_else(|| why(WhyKind::NotOffered))
        }
        _ => Err(why(WhyKind::NotApplicable)),
    };
    let mtu = if adapter.mtu_bytes == u32::MAX { Err(why(WhyKind::NotApplicable)) } else { Ok(adapter.mtu_bytes) };
    let signal = if kind == InterfaceKind::Wireless { WhyKind::NotSupported } else { WhyKind::NotApplicable };
    let counters = adapter.row.as_ref().map(|row| row.counters.clone());
    Interface {
        name: Private::new(adapter.name.as_str()),
        kind,
        link,
        speed_mbps: speed.into(),
        duplex: Fact::Unknown(why(WhyKind::NotOffered)),
        mtu_bytes: mtu.into(),
        counters: counters.ok_or_else(|| Why::new(WhyKind::NotOffered, "GetIfEntry2")).into(),
        rates: Fact::Unknown(why(WhyKind::NotApplicable)),
        addresses: Fact::Known(BoundedVec::truncating(adapter.addresses.iter().map(held)).0),
        below: BoundedVec::new(),
        signal: Fact::Unknown(why(signal)),
    }
}

/// What reasons speak of.
pub const SOURCE: &str = "GetAdaptersAddresses";

fn kind(adapter: &Adapter) -> InterfaceKind {
    let is_software = adapter.row.as_ref().is_some_and(|row| !row.is_hardware);
    match adapter.kind {
        IF_TYPE_ETHERNET_CSMACD if is_software => InterfaceKind::Virtual,
        IF_TYPE_ETHERNET_CSMACD => InterfaceKind::Wired,
        IF_TYPE_IEEE80211 | IF_TYPE_WWANPP | IF_TYPE_WWANPP2 => InterfaceKind::Wireless,
        // WireGuard and others of their kind call themselves proprietary.
        IF_TYPE_PPP | IF_TYPE_TUNNEL | IF_TYPE_PROP_VIRTUAL => InterfaceKind::Tunnel,
        _ => InterfaceKind::Unclear,
    }
}

/// Software that has no link is switched off: Windows keeps such adapters for later.
fn link(adapter: &Adapter) -> LinkState {
    let row = adapter.row.as_ref();
    let is_off = row.is_some_and(|row| row.admin_status == NET_IF_ADMIN_STATUS_DOWN);
    let is_pulled = row.is_some_and(|row| row.media == MEDIA_DISCONNECTED);
    let is_software = row.is_some_and(|row| !row.is_hardware);
    match adapter.status {
        _ if is_off => LinkState::Down,
        STATUS_UP if !is_pulled => LinkState::Up,
        STATUS_NOT_PRESENT => LinkState::Down,
        STATUS_DOWN | STATUS_LOWER_LAYER_DOWN if is_software => LinkState::Down,
        STATUS_UP | STATUS_DOWN | STATUS_DORMANT | STATUS_LOWER_LAYER_DOWN => LinkState::NoCarrier,
        _ => LinkState::Unclear,
    }
}

fn held(held: &Held) -> InterfaceAddress<Raw> {
    InterfaceAddress {
        address: Private::new(held.address.to_string()),
        family: family(&held.address),
        prefix_bits: held.prefix_bits,
        reach: reach(&held.address),
        state: match held.duplicate_state {
            DAD_TENTATIVE => AddressState::Tentative,
            DAD_DUPLICATE => AddressState::Duplicate,
            DAD_DEPRECATED => AddressState::Deprecated,
            _ => AddressState::Usable,
        },
    }
}

fn family(address: &IpAddr) -> Family {
    if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
}

fn reach(address: &IpAddr) -> AddressReach {
    match address {
        _ if address.is_loopback() => AddressReach::Host,
        IpAddr::V4(address) if address.is_link_local() => AddressReach::Link,
        IpAddr::V6(address) if address.is_unicast_link_local() => AddressReach::Link,
        _ => AddressReach::Global,
    }
}

/// The name servers of adapters that have a link, each once. Windows fills in three that do not exist where nobody named
/// one for IPv6 (draft-ietf-ipv6-dns-discovery-07).
pub fn servers(adapters: &[Adapter]) -> Vec<IpAddr> {
    let mut servers = Vec::new();
    for server in adapters.iter().filter(|adapter| link(adapter) == LinkState::Up).flat_map(|adapter| &adapter.servers)
    {
        let made_up = matches!(server, IpAddr::V6(server) if server.segments()[..7] == [0xfec0, 0, 0, 0xffff, 0, 0, 0]);
        if !made_up && !servers.contains(server) {
            servers.push(*server);
        }
    }
    servers
}

/// A route as GetIpForwardTable2 tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The number of its adapter.
    pub index: u32,
    /// Where it leads.
    pub destination: IpAddr,
    /// Bits of it that matter.
    pub prefix_bits: u8,
    /// The router; unspecified for none.
    pub gateway: IpAddr,
    /// Without the adapter's own.
    pub metric: u32,
}

/// The routes without those of the loopback, of groups and of single own addresses.
pub fn entries(routes: &[Route], adapters: &[Adapter]) -> Vec<Entry> {
    let entry = |route: &Route| {
        let (adapter, metric) = by_index(adapters, route.index, &route.destination)?;
        let gateway = Some(route.gateway).filter(|gateway| !gateway.is_unspecified());
        let whole_bits = if route.destination.is_ipv4() { u32::BITS } else { u128::BITS };
        let is_own = gateway.is_none() && u32::from(route.prefix_bits) == whole_bits;
        let leads_on = !is_own && !route.destination.is_multicast() && !route.destination.is_loopback();
        leads_on.then(|| Entry {
            destination: route.destination,
            prefix_bits: route.prefix_bits,
            gateway,
            interface: adapter.name.clone(),
            metric: route.metric.saturating_add(metric),
        })
    };
    routes.iter().filter_map(entry).collect()
}

fn by_index<'a>(adapters: &'a [Adapter], index: u32, address: &IpAddr) -> Option<(&'a Adapter, u32)> {
    let place = usize::from(address.is_ipv6());
    let adapter = adapters.iter().find(|adapter| index > 0 && adapter.indexes[place] == index)?;
    Some((adapter, adapter.metrics[place]))
}

/// Another machine as GetIpNetTable2 tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The number of the adapter it is behind.
    pub index: u32,
    /// Its address.
    pub address: IpAddr,
    /// NL_NEIGHBOR_STATE.
    pub state: i32,
}

/// Neighbours by address and interface.
pub fn neighbours(known: &[Known], adapters: &[Adapter]) -> Neighbours {
    let one = |known: &Known| {
        let (adapter, _) = by_index(adapters, known.index, &known.address)?;
        let neighbour = if known.state > NEIGHBOUR_INCOMPLETE { Neighbour::Found } else { Neighbour::Silent };
        Some(((known.address.to_string(), adapter.name.clone()), neighbour))
    };
    known.iter().filter_map(one).collect()
}

// ipifcons.h.
const IF_TYPE_ETHERNET_CSMACD: u32 = 6;
const IF_TYPE_PPP: u32 = 23;
const IF_TYPE_SOFTWARE_LOOPBACK: u32 = 24;
const IF_TYPE_PROP_VIRTUAL: u32 = 53;
const IF_TYPE_IEEE80211: u32 = 71;
const IF_TYPE_TUNNEL: u32 = 131;
const IF_TYPE_WWANPP: u32 = 243;
const IF_TYPE_WWANPP2: u32 = 244;

// IF_OPER_STATUS, NET_IF_ADMIN_STATUS and NET_IF_MEDIA_CONNECT_STATE of ifdef.h.
const STATUS_UP: u32 = 1;
const STATUS_DOWN: u32 = 2;
const STATUS_DORMANT: u32 = 5;
const STATUS_NOT_PRESENT: u32 = 6;
const STATUS_LOWER_LAYER_DOWN: u32 = 7;
const NET_IF_ADMIN_STATUS_DOWN: u32 = 2;
const MEDIA_DISCONNECTED: u32 = 2;

// NL_DAD_STATE and NL_NEIGHBOR_STATE of nldef.h.
const DAD_TENTATIVE: i32 = 1;
const DAD_DUPLICATE: i32 = 2;
const DAD_DEPRECATED: i32 = 3;
const NEIGHBOUR_INCOMPLETE: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn ethernet(name: &str, index: u32) -> Adapter {
        Adapter {
            name: name.to_owned(),
            indexes: [index, index],
            kind: IF_TYPE_ETHERNET_CSMACD,
            status: STATUS_UP,
            speed: 1_000_000_000,
            mtu_bytes: 1_500,
            metrics: [25, 35],
            row: Some(Row { is_hardware: true, admin_status: 1, media: 1, ..Row::default() }),
            ..Adapter::default()
        }
    }

    #[test]
    fn addresses_are_read_from_both_layouts() {
        let mut bytes = [2, 0, 0, 80, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
        assert_eq!(parse_sockaddr(&bytes), Some("192.0.2.7".parse().unwrap()));
        bytes = [23, 0, 0, 80, 0, 0, 0, 0].to_vec();
        bytes.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(parse_sockaddr(&bytes), Some("2001:db8::7".parse().unwrap()));
        assert_eq!(parse_sockaddr(&bytes[..20]), None);
        assert_eq!(parse_sockaddr(&[17, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn a_pulled_cable_is_told_from_software_that_waits() {
        let link = |change: fn(&mut Adapter)| {
            let mut adapter = ethernet("Ethernet", 3);
            change(&mut adapter);
            let interface = interface(&adapter);
            (interface.link, interface.kind, interface.speed_mbps.known().copied())
        };
        assert_eq!(link(|_| ()), (LinkState::Up, InterfaceKind::Wired, Some(1_000)));
        assert_eq!(link(|a| a.status = STATUS_DOWN).0, LinkState::NoCarrier);
        assert_eq!(link(|a| a.row.as_mut().unwrap().media = MEDIA_DISCONNECTED).0, LinkState::NoCarrier);
        let waiting = |a: &mut Adapter| {
            a.status = STATUS_DOWN;
            a.row.as_mut().unwrap().is_hardware = false;
        };
        assert_eq!(link(waiting), (LinkState::Down, InterfaceKind::Virtual, None));
        assert_eq!(link(|a| a.row.as_mut().unwrap().admin_status = 2).0, LinkState::Down);
        assert_eq!(link(|a| a.row = None).0, LinkState::Up);
        assert_eq!(link(|a| a.speed = u64::MAX).2, None);
    }

    #[test]
    fn name_servers_are_those_of_adapters_with_a_link_and_none_made_up() {
        let server = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = Adapter {
            servers: vec![server("192.0.2.1"), server("fec0:0:0:ffff::1"), server("192.0.2.1")],
            ..ethernet("Ethernet", 3)
        };
        let off = Adapter { status: STATUS_DOWN, servers: vec![server("192.0.2.9")], ..ethernet("Wi-Fi", 4) };
        assert_eq!(servers(&[one, off]), [server("192.0.2.1")]);
    }

    #[test]
    fn routes_have_the_metric_of_their_adapter() {
        let adapters = [ethernet("Ethernet", 3), ethernet("vpn", 9)];
        let route = |index, destination: &str, prefix_bits, gateway: &str| Route {
            index,
            destination: destination.parse().unwrap(),
            prefix_bits,
            gateway: gateway.parse().unwrap(),
            metric: 10,
        };
        let found = entries(
            &[
                route(3, "0.0.0.0", 0, "192.0.2.1"),
                route(9, "0.0.0.0", 1, "0.0.0.0"),
                route(3, "192.0.2.0", 24, "0.0.0.0"),
                route(3, "192.0.2.7", 32, "0.0.0.0"),
                route(3, "224.0.0.0", 4, "0.0.0.0"),
                route(77, "0.0.0.0", 0, "192.0.2.1"),
                route(3, "::", 0, "fe80::1"),
            ],
            &adapters,
        );
        let seen: Vec<_> = found.iter().map(|f| (f.interface.as_str(), f.prefix_bits, f.metric)).collect();
        assert_eq!(seen, [("Ethernet", 0, 35), ("vpn", 1, 35), ("Ethernet", 24, 35), ("Ethernet", 0, 45)]);
        assert_eq!((found[1].gateway, found[3].gateway), (None, "fe80::1".parse().ok()));
        let known = |state| Known { index: 3, address: "192.0.2.1".parse().unwrap(), state };
        let key = ("192.0.2.1".to_owned(), "Ethernet".to_owned());
        assert_eq!(neighbours(&[known(5)], &adapters)[&key], Neighbour::Found);
        assert_eq!(neighbours(&[known(0)], &adapters)[&key], Neighbour::Silent);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(bytes: Vec<u8>, kind: u32, status: u32, speed: u64, mtu_bytes: u32) {
            parse_sockaddr(&bytes);
            interface(&Adapter { kind, status, speed, mtu_bytes, ..Adapter::default() });
        }
    }
}
