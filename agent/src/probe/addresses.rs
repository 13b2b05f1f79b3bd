//! The addresses of this machine's interfaces, as the kernel tells them over rtnetlink(7).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use belay_protocol::report::{AddressReach, AddressState, Family, InterfaceAddress, Private, Raw, Why, WhyKind};

use super::{Root, native, or_native};

/// One address and the number of its interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    index: u32,
    address: IpAddr,
    prefix_bits: u8,
    reach: AddressReach,
    state: AddressState,
}

/// Addresses by the name of their interface. A captured tree does not have them.
pub fn look(root: &Root) -> Result<BTreeMap<String, Vec<InterfaceAddress<Raw>>>, Why> {
    root.live_only(SOURCE)?;
    or_native(ask_kernel(root), native::addresses)
}

fn ask_kernel(root: &Root) -> Result<BTreeMap<String, Vec<InterfaceAddress<Raw>>>, Why> {
    let found = dump()?;
    let mut by_name: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for name in root.list(NET, NET)? {
        let index = root.read_for(&format!("{NET}/{name}/ifindex"), NET);
        let Some(index) = index.ok().and_then(|text| text.trim().parse::<u32>().ok()) else { continue };
        let addresses = found.iter().filter(|found| found.index == index).map(Found::known).collect();
        by_name.insert(name, addresses);
    }
    Ok(by_name)
}

const SOURCE: &str = "rtnetlink";
const NET: &str = "/sys/class/net";

impl Found {
    fn known(&self) -> InterfaceAddress<Raw> {
        InterfaceAddress {
            address: Private::new(self.address.to_string()),
            family: if self.address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 },
            prefix_bits: self.prefix_bits,
            reach: self.reach,
            state: self.state,
        }
    }
}

#[cfg(target_os = "linux")]
fn dump() -> Result<Vec<Found>, Why> {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

    let failed = |e: rustix::io::Errno| super::why(&e.into(), SOURCE);
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).map_err(failed)?;
    let patience = Some(std::time::Duration::from_secs(1));
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, patience).map_err(failed)?;
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &request(), SendFlags::empty(), &kernel).map_err(failed)?;
    let (mut found, mut answer) = (Vec::new(), vec![0; ANSWER_MAX_BYTES]);
    while found.len() < MAX_ADDRESSES {
        let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty()).map_err(failed)?;
        let batch = parse_answer(answer.get(..length).unwrap_or_default());
        found.extend(batch.found);
        if batch.is_last {
            return Ok(found);
        }
    }
    Err(Why::new(WhyKind::TooLarge, SOURCE))
}

#[cfg(not(target_os = "linux"))]
fn dump() -> Result<Vec<Found>, Why> {
    Err(Why::new(WhyKind::NotSupported, SOURCE))
}

/// The kernel sends at most 32 KiB at once (NLMSG_GOODSIZE and its limit for dumps).
#[cfg(target_os = "linux")]
const ANSWER_MAX_BYTES: usize = 32 * 1024;

/// A router of containers has some thousands.
#[cfg(target_os = "linux")]
const MAX_ADDRESSES: usize = 16_384;

/// Asks for the addresses of every family: a header of netlink and an `ifaddrmsg`.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn request() -> [u8; 24] {
    let mut request = [0; 24];
    request[..4].copy_from_slice(&24u32.to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
    request[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request
}

/// What one datagram of the answer holds.
#[derive(Debug, Default)]
pub struct Batch {
    found: Vec<Found>,
    is_last: bool,
}

/// Understands a datagram of the kernel's answer: messages, each with a header, an `ifaddrmsg` and attributes.
pub fn parse_answer(bytes: &[u8]) -> Batch {
    let mut batch = Batch::default();
    let mut rest = bytes;
    while let (Some(length), Some(kind)) = (number::<4>(rest, 0), number::<2>(rest, 4)) {
        let length = length as usize;
        let Some(message) = rest.get(NLMSG_HEADER..length) else { break };
        match u16::try_from(kind).unwrap_or_default() {
            NLMSG_DONE | NLMSG_ERROR => batch.is_last = true,
            RTM_NEWADDR => batch.found.extend(parse_address(message)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    batch
}

fn parse_address(message: &[u8]) -> Option<Found> {
    let [family, prefix_bits, flags, scope] = *message.first_chunk::<4>()?;
    let index = number::<4>(message, 4)?;
    let (mut local, mut address, mut all_flags) = (None, None, u32::from(flags));
    let mut rest = message.get(IFADDRMSG..)?;
    while let (Some(length), Some(kind)) = (number::<2>(rest, 0), number::<2>(rest, 2)) {
        let length = length as usize;
        let Some(value) = rest.get(4..length) else { break };
        match kind {
            IFA_ADDRESS => address = parse_ip(family, value),
            // On a link between two points the other attribute is the far end.
            IFA_LOCAL => local = parse_ip(family, value),
            IFA_FLAGS => all_flags = number::<4>(value, 0).unwrap_or(all_flags),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let reach = match scope {
        RT_SCOPE_LINK => AddressReach::Link,
        RT_SCOPE_HOST => AddressReach::Host,
        _ => AddressReach::Global,
    };
    let has = |flag: u32| all_flags & flag != 0;
    let state = match () {
        () if has(IFA_F_DADFAILED) => AddressState::Duplicate,
        () if has(IFA_F_TENTATIVE) && !has(IFA_F_OPTIMISTIC) => AddressState::Tentative,
        () if has(IFA_F_DEPRECATED) => AddressState::Deprecated,
        () => AddressState::Usable,
    };
    Some(Found { index, address: local.or(address)?, prefix_bits, reach, state })
}

fn parse_ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => value.try_into().ok().map(|octets: [u8; 4]| Ipv4Addr::from(octets).into()),
        AF_INET6 => value.try_into().ok().map(|octets: [u8; 16]| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

/// The number of `N` bytes at `at`, in the machine's own order, as netlink has it.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes: [u8; N] = *bytes.get(at..)?.first_chunk()?;
    let mut wide = [0; 4];
    let place = if cfg!(target_endian = "little") { 0 } else { 4 - N };
    wide.get_mut(place..place + N)?.copy_from_slice(&bytes);
    Some(u32::from_ne_bytes(wide))
}

// linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h and linux/socket.h.
const NLMSG_HEADER: usize = 16;
const IFADDRMSG: usize = 8;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const IFA_ADDRESS: u32 = 1;
const IFA_LOCAL: u32 = 2;
const IFA_FLAGS: u32 = 8;
const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;
const RT_SCOPE_LINK: u8 = 253;
const RT_SCOPE_HOST: u8 = 254;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    /// A message with one address, as the kernel lays it out.
    fn message(family: u8, prefix: u8, flags: u32, scope: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![family, prefix, flags as u8, scope];
        body.extend(2u32.to_ne_bytes());
        for (kind, value) in attributes {
            body.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = u32::try_from(body.len() + NLMSG_HEADER).unwrap().to_ne_bytes().to_vec();
        message.extend(RTM_NEWADDR.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    #[test]
    fn addresses_are_read_with_their_reach_and_state() {
        let far = [10, 8, 0, 1];
        let mut bytes = message(AF_INET, 32, 0x80, 0, &[(1, &far), (2, &[10, 8, 0, 2]), (3, b"tun0\0")]);
        bytes.extend(message(AF_INET6, 64, 0, RT_SCOPE_LINK, &[(1, &[0xfe; 16]), (8, &0xc8u32.to_ne_bytes())]));
        bytes.extend(16u32.to_ne_bytes());
        bytes.extend(NLMSG_DONE.to_ne_bytes());
        bytes.extend([0; 10]);
        let batch = parse_answer(&bytes);
        assert!(batch.is_last);
        let seen: Vec<_> =
            batch.found.iter().map(|f| (f.address.to_string(), f.prefix_bits, f.reach, f.state)).collect();
        assert_eq!(seen[0], ("10.8.0.2".to_owned(), 32, AddressReach::Global, AddressState::Usable));
        assert_eq!((seen[1].2, seen[1].3), (AddressReach::Link, AddressState::Duplicate));
    }

    #[test]
    fn a_captured_tree_has_no_addresses() {
        let (_dir, root) = tree(&[("sys/class/net/eth0/ifindex", "2\n")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotApplicable);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_its_loopback_address() {
        let found = dump().unwrap();
        assert!(
            found.iter().any(|found| found.address.is_loopback() && found.reach == AddressReach::Host),
            "{found:?}"
        );
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(bytes: Vec<u8>) {
            parse_answer(&bytes);
            let mut framed = u32::try_from(bytes.len() + NLMSG_HEADER).unwrap().to_ne_bytes().to_vec();
            framed.extend(RTM_NEWADDR.to_ne_bytes());
            framed.extend([0; 10]);
            framed.extend(bytes);
            parse_answer(&framed);
        }
    }
}
