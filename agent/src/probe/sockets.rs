//! Sockets: who listens, and how many are in which state. Also the table of connections that a firewall follows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{
    Conntrack, Fact, Family, Listener, ListenerReach, Private, Raw, SocketCount, SocketProtocol, Why, WhyKind, Words,
};

use super::{Root, native, or_native};

/// One socket: a line of `/proc/net/{tcp,udp}{,6}` or a row of a table of Windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where it is bound.
    pub address: IpAddr,
    /// At which port.
    pub port: u16,
    /// Whether it has another end.
    pub is_connected: bool,
    /// A state of TCP, as Linux numbers them.
    pub state: u8,
    /// The user who opened it; none where sockets do not belong to users.
    pub uid: Option<u32>,
    /// Whom it belongs to: on Linux the number of the socket, on Windows that of the process.
    pub owner: u64,
}

/// Sockets of Windows and the programs that hold them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// Of TCP.
    pub tcp: Vec<Socket>,
    /// Of UDP.
    pub udp: Vec<Socket>,
    /// Programs by the number of their process.
    pub names: BTreeMap<u64, String>,
}

/// Every socket that waits for others, and TCP sockets counted by state.
#[derive(Debug, Clone, PartialEq)]
pub struct Sockets {
    /// Sockets that wait, by protocol and port.
    pub listeners: BoundedVec<Listener<Raw>, 1024>,
    /// TCP sockets by state.
    pub states: BoundedVec<SocketCount, 16>,
}

/// Looks at the sockets of TCP and UDP.
pub fn look(root: &Root) -> Result<Sockets, Why> {
    or_native(look_at_files(root), || {
        let Tables { tcp, udp, names } = native::sockets()?;
        Ok(sockets(tcp, udp, |_| Owners { names, ..Owners::default() }))
    })
}

fn look_at_files(root: &Root) -> Result<Sockets, Why> {
    let mut tcp = parse_sockets(&root.read("/proc/net/tcp")?);
    let mut udp = parse_sockets(&root.read("/proc/net/udp")?);
    // A kernel without IPv6 has neither.
    tcp.extend(root.read("/proc/net/tcp6").map(|text| parse_sockets(&text)).unwrap_or_default());
    udp.extend(root.read("/proc/net/udp6").map(|text| parse_sockets(&text)).unwrap_or_default());
    Ok(sockets(tcp, udp, |inodes| Owners::look(root, inodes)))
}

fn sockets(mut tcp: Vec<Socket>, mut udp: Vec<Socket>, owners: impl FnOnce(&BTreeSet<u64>) -> Owners) -> Sockets {
    let states = count(&tcp);
    tcp.retain(|socket| socket.state == TCP_LISTEN);
    udp.retain(|socket| !socket.is_connected);
    let owners = owners(&tcp.iter().chain(&udp).map(|socket| socket.owner).collect());
    let tcp = tcp.into_iter().map(|socket| (SocketProtocol::Tcp, socket));
    let udp = udp.into_iter().map(|socket| (SocketProtocol::Udp, socket));
    let mut listeners: Vec<_> = tcp.chain(udp).map(|(protocol, socket)| listener(protocol, &socket, &owners)).collect();
    listeners.sort_by_key(|listener| (listener.protocol, listener.port, listener.family, listener.reach));
    Sockets { listeners: BoundedVec::truncating(listeners).0, states }
}

fn listener(protocol: SocketProtocol, socket: &Socket, owners: &Owners) -> Listener<Raw> {
    Listener {
        protocol,
        family: if socket.address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 },
        reach: reach(&socket.address),
        port: socket.port,
        uid: socket.uid.ok_or_else(|| Why::new(WhyKind::NotApplicable, "uid")).into(),
        process: owners.of(socket.owner),
    }
}

/// Who can reach an address that a socket is bound to. An IPv4 address can stand in an IPv6 one.
fn reach(address: &IpAddr) -> ListenerReach {
    match address.to_canonical() {
        address if address.is_loopback() => ListenerReach::Local,
        address if address.is_unspecified() => ListenerReach::Any,
        _ => ListenerReach::OneAddress,
    }
}

fn count(sockets: &[Socket]) -> BoundedVec<SocketCount, 16> {
    let mut counts: BTreeMap<u8, u32> = BTreeMap::new();
    for socket in sockets {
        let count = counts.entry(socket.state).or_default();
        *count = count.saturating_add(1);
    }
    let named = counts.into_iter().filter_map(|(state, count)| {
        let name = TCP_STATES.get(usize::from(state).checked_sub(1)?)?;
        Some(SocketCount { state: Name::truncating(*name), count })
    });
    BoundedVec::truncating(named).0
}

/// States of TCP from 1 (net/tcp_states.h).
const TCP_STATES: [&str; 12] = [
    "established",
    "syn_sent",
    "syn_received",
    "fin_wait_1",
    "fin_wait_2",
    "time_wait",
    "closed",
    "close_wait",
    "last_ack",
    "listening",
    "closing",
    "new_syn_received",
];
const TCP_LISTEN: u8 = 10;

/// Understands `/proc/net/tcp` and its like (proc_pid_net(5)). Addresses are words in the byte order of the machine that
/// wrote them, little-endian on everything this runs on; lines that do not fit are left out.
pub fn parse_sockets(text: &str) -> Vec<Socket> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [number, local, remote, state, _, _, _, uid, _, inode, ..] = fields[..] else { return None };
        number.strip_suffix(':')?;
        let (address, port) = parse_end(local)?;
        let (_, far_port) = parse_end(remote)?;
        Some(Socket {
            address,
            port,
            is_connected: far_port != 0,
            state: u8::from_str_radix(state, 16).ok()?,
            uid: Some(uid.parse().ok()?),
            owner: inode.parse().ok()?,
        })
    };
    text.lines().filter_map(line).collect()
}

fn parse_end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::swap_bytes);
    let address = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            IpAddr::from(Ipv6Addr::from(words.iter().fold(0u128, |all, word| all << 32 | u128::from(*word))))
        }
        _ => return None,
    };
    Some((address, port))
}

/// Programs by the sockets that they hold open.
#[derive(Debug, Default)]
struct Owners {
    names: BTreeMap<u64, String>,
    /// Whether there were programs whose files could not be seen.
    is_blind: bool,
    is_captured: bool,
}

impl Owners {
    fn look(root: &Root, inodes: &BTreeSet<u64>) -> Self {
        let mut owners = Self { is_captured: !root.is_live(), ..Self::default() };
        let processes = root.list("/proc", PROC).unwrap_or_default();
        let mut links_left = MAX_LINKS;
        for id in processes.iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit())) {
            let files = match root.list(&format!("/proc/{id}/fd"), PROC) {
                Ok(files) => files,
                Err(why) => {
                    owners.is_blind |= why.kind == WhyKind::PermissionDenied;
                    continue;
                }
            };
            for file in files {
                let Some(left) = links_left.checked_sub(1) else {
                    owners.is_blind = true;
                    return owners;
                };
                links_left = left;
                let link = root.link(&format!("/proc/{id}/fd/{file}"), PROC).ok();
                let Some(inode) = link.as_deref().and_then(parse_socket_link) else { continue };
                if inodes.contains(&inode) && !owners.names.contains_key(&inode) {
                    let name = root.read_for(&format!("/proc/{id}/comm"), PROC).unwrap_or_default();
                    owners.names.insert(inode, name.trim().to_owned());
                }
            }
        }
        owners
    }

    fn of(&self, inode: u64) -> Fact<Private<Words>> {
        match self.names.get(&inode) {
            Some(name) => Fact::Known(Private::new(name.as_str())),
            None if self.is_captured => Fact::Unknown(Why::new(WhyKind::NotApplicable, PROC)),
            None if self.is_blind => Fact::Unknown(Why::new(WhyKind::PermissionDenied, PROC)),
            // The kernel itself holds sockets, as for network file systems and tunnels.
            None => Fact::Unknown(Why::new(WhyKind::NotOffered, PROC)),
        }
    }
}

const PROC: &str = "/proc/*/fd";

/// Open files that are looked at, of all programs together; each costs about a microsecond.
const MAX_LINKS: usize = 65_536;

/// Understands `socket:[1234]`.
pub fn parse_socket_link(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// How full the table of connections is. A kernel whose firewall follows none has no table.
pub fn conntrack(root: &Root) -> Result<Conntrack, Why> {
    let number = |path: &'static str| {
        let text = root.read(path).map_err(|why| root.absent(why, "/proc/sys"))?;
        text.trim().parse::<u64>().map_err(|_| Why::new(WhyKind::Malformed, path))
    };
    let used = number("/proc/sys/net/netfilter/nf_conntrack_count")?;
    let max = number("/proc/sys/net/netfilter/nf_conntrack_max")?;
    // Without a limit the table is never full.
    let used_percent = if max == 0 { 0.0 } else { (used as f64 * 100.0 / max as f64).min(100.0) };
    Ok(Conntrack { used, max, used_percent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
           0: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 634 1 0 100 0 0 10 0\n\
           1: 0500000A:0016 0600000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 635 1 0 20 4 30 10 -1\n\
           2: 0500000A:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 636 1 0 100 0 0 10 0\n\
        broken line\n";
    const TCP6: &str = "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 637 1\n\
           1: 0000000000000000FFFF00000100007F:1000 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 638 1\n";
    const UDP: &str = "  1: 00000000:0044 00000000:0000 07 0:0 0:0 0 0 0 639 2 0 0\n  2: 0500000A:A000 08080808:0035 01 0:0 0:0 0 0 0 640 2 0 0\n";

    #[test]
    fn listeners_are_told_by_reach_and_connected_sockets_are_counted() {
        let (_dir, root) =
            tree(&[("proc/net/tcp", TCP), ("proc/net/tcp6", TCP6), ("proc/net/udp", UDP), ("proc/1/comm", "init\n")]);
        let sockets = look(&root).unwrap();
        let seen: Vec<_> = sockets.listeners.iter().map(|l| (l.protocol, l.family, l.port, l.reach)).collect();
        use {Family::*, ListenerReach::*, SocketProtocol::*};
        assert_eq!(
            seen,
            [
                (Tcp, Ipv6, 22, Any),
                (Tcp, Ipv4, 631, Local),
                (Tcp, Ipv6, 4096, Local),
                (Tcp, Ipv4, 8080, OneAddress),
                (Udp, Ipv4, 68, Any)
            ]
        );
        assert_eq!(sockets.listeners[3].uid, Fact::Known(1_000));
        assert_eq!(sockets.listeners[0].process.why().unwrap().kind, WhyKind::NotApplicable);
        let states: Vec<_> = sockets.states.iter().map(|s| (s.state.as_str(), s.count)).collect();
        assert_eq!(states, [("established", 1), ("listening", 4)]);
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_is_traced_to_its_program() {
        let (dir, root) =
            tree(&[("proc/net/tcp", TCP), ("proc/net/udp", ""), ("proc/41/comm", "cupsd\n"), ("proc/41/fd/0", "")]);
        std::os::unix::fs::symlink("socket:[634]", dir.path().join("proc/41/fd/7")).unwrap();
        let sockets = look(&root).unwrap();
        assert_eq!(sockets.listeners[0].process.known().unwrap().reveal(), "cupsd");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_of_this_very_program_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sockets = look(&Root::live()).unwrap();
        let own = sockets.listeners.iter().find(|l| l.port == port && l.protocol == SocketProtocol::Tcp).unwrap();
        assert_eq!((own.reach, own.family), (ListenerReach::Local, Family::Ipv4));
        assert!(own.process.known().is_some());
    }

    #[test]
    fn the_table_of_connections_is_absent_or_has_a_share() {
        let (_dir, root) = tree(&[
            ("proc/sys/net/netfilter/nf_conntrack_count", "900\n"),
            ("proc/sys/net/netfilter/nf_conntrack_max", "1000\n"),
        ]);
        assert_eq!(conntrack(&root).unwrap().used_percent, 90.0);
        let (_dir, root) = tree(&[("proc/sys/kernel/hostname", "")]);
        assert_eq!(conntrack(&root).unwrap_err().kind, WhyKind::NotApplicable);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_sockets(&text);
            parse_sockets(&format!("0: {text}:{text} 0:0 0A 0 0 0 0 0 1"));
            parse_socket_link(&text);
        }
    }
}
