//! The tables of sockets that GetExtendedTcpTable and GetExtendedUdpTable fill: a count, then rows of one length.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::probe::sockets::Socket;

/// Understands MIB_TCPTABLE_OWNER_PID.
pub fn parse_tcp4(table: &[u8]) -> Vec<Socket> {
    rows::<24>(table).filter_map(|row| socket(ipv4(row, 4)?, port(row, 8)?, word(row, 0)?, word(row, 20)?)).collect()
}

/// Understands MIB_TCP6TABLE_OWNER_PID.
pub fn parse_tcp6(table: &[u8]) -> Vec<Socket> {
    rows::<56>(table).filter_map(|row| socket(ipv6(row, 0)?, port(row, 20)?, word(row, 48)?, word(row, 52)?)).collect()
}

/// Understands MIB_UDPTABLE_OWNER_PID.
pub fn parse_udp4(table: &[u8]) -> Vec<Socket> {
    rows::<12>(table).filter_map(|row| socket(ipv4(row, 0)?, port(row, 4)?, 0, word(row, 8)?)).collect()
}

/// Understands MIB_UDP6TABLE_OWNER_PID.
pub fn parse_udp6(table: &[u8]) -> Vec<Socket> {
    rows::<28>(table).filter_map(|row| socket(ipv6(row, 0)?, port(row, 20)?, 0, word(row, 24)?)).collect()
}

/// As many rows as the table says it has, and no more than there are.
fn rows<const BYTES: usize>(table: &[u8]) -> impl Iterator<Item = &[u8; BYTES]> {
    let (count, rows) = table.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let count = usize::try_from(u32::from_le_bytes(*count)).unwrap_or(usize::MAX);
    rows.as_chunks().0.iter().take(count)
}

fn word(row: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*row.get(at..)?.first_chunk()?))
}

/// In the byte order of the network, in the first half of a word.
fn port(row: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*row.get(at..)?.first_chunk()?))
}

fn ipv4(row: &[u8], at: usize) -> Option<IpAddr> {
    Some(Ipv4Addr::from(*row.get(at..)?.first_chunk::<4>()?).into())
}

fn ipv6(row: &[u8], at: usize) -> Option<IpAddr> {
    Some(Ipv6Addr::from(*row.get(at..)?.first_chunk::<16>()?).into())
}

fn socket(address: IpAddr, port: u16, state: u32, process: u32) -> Option<Socket> {
    let state = usize::try_from(state).ok().and_then(|state| LINUX_STATES.get(state)).copied().unwrap_or(0);
    Some(Socket { address, port, is_connected: false, state, uid: None, owner: u64::from(process) })
}

/// The numbers that Linux gives to the states of MIB_TCP_STATE, from 0 for none: closed, listening, SYN sent, SYN received,
/// established, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, closing, LAST-ACK, TIME-WAIT and being deleted.
const LINUX_STATES: [u8; 13] = [0, 7, 10, 2, 3, 1, 4, 5, 8, 11, 9, 6, 7];

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of `rows`, each of words.
    fn table(rows: &[&[[u8; 4]]]) -> Vec<u8> {
        let mut table = u32::try_from(rows.len()).unwrap().to_le_bytes().to_vec();
        table.extend(rows.iter().flat_map(|row| row.concat()));
        table
    }

    #[test]
    fn sockets_of_ipv4_are_read() {
        let listening = [[2, 0, 0, 0], [127, 0, 0, 1], [0, 135, 0, 0], [0; 4], [0; 4], [8, 3, 0, 0]];
        let mut tcp = table(&[&listening, &listening]);
        let seen = parse_tcp4(&tcp);
        let expected = Socket {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 135,
            is_connected: false,
            state: 10,
            uid: None,
            owner: 776,
        };
        assert_eq!(seen, [expected.clone(), expected.clone()]);
        tcp.pop();
        assert_eq!(parse_tcp4(&tcp).len(), 1, "a row that is cut short is none");
        let udp = parse_udp4(&table(&[&[[0; 4], [0, 53, 0, 0], [8, 3, 0, 0]]]));
        assert_eq!((udp[0].port, udp[0].owner, udp[0].state), (53, 776, 0));
    }

    #[test]
    fn sockets_of_ipv6_are_read() {
        let local = [[0; 4], [0; 4], [0; 4], [0, 0, 0, 1]];
        let tail = [[0; 4], [0, 80, 0, 0]];
        let far = [[0; 4]; 6];
        let tcp = [local.as_slice(), &tail, &far, &[[5, 0, 0, 0], [9, 0, 0, 0]]].concat();
        let seen = &parse_tcp6(&table(&[&tcp]))[0];
        assert_eq!((seen.address, seen.port, seen.state), (Ipv6Addr::LOCALHOST.into(), 80, 1));
        let udp = [local.as_slice(), &tail, &[[9, 0, 0, 0]]].concat();
        assert_eq!(parse_udp6(&table(&[&udp]))[0].owner, 9);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(table: Vec<u8>) {
            for parse in [parse_tcp4, parse_tcp6, parse_udp4, parse_udp6] {
                parse(&table);
            }
        }
    }
}
