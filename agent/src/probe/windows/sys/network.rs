//! Adapters, routes, neighbours and sockets.

use std::io;
use std::net::IpAddr;
use std::ptr::{null, null_mut};

use belay_protocol::report::{Counters, Segments};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    FreeMibTable, GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_MULTICAST, GetAdaptersAddresses, GetExtendedTcpTable,
    GetExtendedUdpTable, GetIfEntry2, GetIpForwardTable2, GetIpNetTable2, GetTcpStatisticsEx, IP_ADAPTER_ADDRESSES_LH,
    MIB_IF_ROW2, MIB_IPFORWARD_ROW2, MIB_IPFORWARD_TABLE2, MIB_IPNET_ROW2, MIB_IPNET_TABLE2, MIB_TCPSTATS_LH,
    TCP_TABLE_OWNER_PID_ALL, UDP_TABLE_OWNER_PID,
};
use windows_sys::Win32::NetworkManagement::Ndis::NET_LUID_LH;
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6, AF_UNSPEC, SOCKADDR_INET, SOCKET_ADDRESS};

use super::{coded, grown, text_at};
use crate::probe::windows::adapters::{Adapter, Held, Known, Route, Row, parse_sockaddr};

/// Every adapter that is not switched off.
pub(in super::super) fn adapters() -> io::Result<Vec<Adapter>> {
    let flags = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST;
    let buffer = grown(|buffer, length| {
        // SAFETY: the buffer is aligned and has the length that is told.
        coded(unsafe { GetAdaptersAddresses(u32::from(AF_UNSPEC), flags, null(), buffer.as_mut_ptr().cast(), length) })
    })?;
    let mut adapters = Vec::new();
    let mut next = buffer.as_ptr().cast::<IP_ADAPTER_ADDRESSES_LH>();
    // SAFETY: the call has chained its structures within the buffer, which lives until the end of this function; the last
    // points nowhere.
    while let Some(told) = unsafe { next.as_ref() }.filter(|_| adapters.len() < MAX_ADAPTERS) {
        // SAFETY: as above: what it points to lies in the buffer.
        adapters.push(unsafe { adapter(told) });
        next = told.Next;
    }
    Ok(adapters)
}

/// Adapters that are taken; the report has room for fewer.
const MAX_ADAPTERS: usize = 1_024;

/// Things of one adapter that are taken.
const MAX_OF_ONE: usize = 256;

/// # Safety
///
/// What `told` points to is as GetAdaptersAddresses has left it.
unsafe fn adapter(told: &IP_ADAPTER_ADDRESSES_LH) -> Adapter {
    let (mut addresses, mut next) = (Vec::new(), told.FirstUnicastAddress);
    // SAFETY: a chain like that of the adapters.
    while let Some(one) = unsafe { next.as_ref() }.filter(|_| addresses.len() < MAX_OF_ONE) {
        // SAFETY: the address lies in the same buffer.
        addresses.extend(unsafe { address(&one.Address) }.map(|address| Held {
            address,
            prefix_bits: one.OnLinkPrefixLength,
            duplicate_state: one.DadState,
        }));
        next = one.Next;
    }
    let (mut servers, mut next) = (Vec::new(), told.FirstDnsServerAddress);
    // SAFETY: a chain like that of the adapters.
    while let Some(one) = unsafe { next.as_ref() }.filter(|_| servers.len() < MAX_OF_ONE) {
        // SAFETY: the address lies in the same buffer.
        servers.extend(unsafe { address(&one.Address) });
        next = one.Next;
    }
    let length = usize::try_from(told.PhysicalAddressLength).unwrap_or(0);
    // SAFETY: both halves of the union are numbers, of which every pattern is one.
    let index = unsafe { told.Anonymous1.Anonymous.IfIndex };
    Adapter {
        // SAFETY: the name lies in the same buffer.
        name: unsafe { text_at(told.FriendlyName) },
        indexes: [index, told.Ipv6IfIndex],
        kind: told.IfType,
        status: u32::try_from(told.OperStatus).unwrap_or(0),
        speed: told.TransmitLinkSpeed,
        mtu_bytes: told.Mtu,
        hardware_address: told.PhysicalAddress.get(..length).unwrap_or_default().to_vec(),
        addresses,
        servers,
        metrics: [told.Ipv4Metric, told.Ipv6Metric],
        row: row(told.Luid).ok(),
    }
}

fn row(luid: NET_LUID_LH) -> io::Result<Row> {
    let mut told = MIB_IF_ROW2 { InterfaceLuid: luid, ..Default::default() };
    // SAFETY: the structure is ours and names the adapter.
    coded(unsafe { GetIfEntry2(&mut told) })?;
    const HARDWARE_INTERFACE: u8 = 1;
    Ok(Row {
        is_hardware: told.InterfaceAndOperStatusFlags._bitfield & HARDWARE_INTERFACE != 0,
        admin_status: u32::try_from(told.AdminStatus).unwrap_or(0),
        media: u32::try_from(told.MediaConnectState).unwrap_or(0),
        counters: Counters {
            rx_packets: told.InUcastPkts.saturating_add(told.InNUcastPkts),
            rx_errors: told.InErrors,
            rx_dropped: told.InDiscards,
            tx_packets: told.OutUcastPkts.saturating_add(told.OutNUcastPkts),
            tx_errors: told.OutErrors,
            tx_dropped: told.OutDiscards,
            rx_bytes: told.InOctets,
            tx_bytes: told.OutOctets,
        },
    })
}

/// # Safety
///
/// `told` points nowhere, or to as many bytes as it says.
unsafe fn address(told: &SOCKET_ADDRESS) -> Option<IpAddr> {
    let length = usize::try_from(told.iSockaddrLength).ok()?;
    if told.lpSockaddr.is_null() {
        return None;
    }
    // SAFETY: by the contract of this function.
    parse_sockaddr(unsafe { std::slice::from_raw_parts(told.lpSockaddr.cast::<u8>(), length) })
}

fn inet(told: &SOCKADDR_INET) -> Option<IpAddr> {
    let at = std::ptr::from_ref(told).cast::<u8>();
    // SAFETY: the union lies there with this length, and the system has written all of it.
    parse_sockaddr(unsafe { std::slice::from_raw_parts(at, size_of::<SOCKADDR_INET>()) })
}

/// Every route.
pub(in super::super) fn routes() -> io::Result<Vec<Route>> {
    let mut table: *mut MIB_IPFORWARD_TABLE2 = null_mut();
    // SAFETY: the call writes the pointer, which is freed in the end.
    coded(unsafe { GetIpForwardTable2(AF_UNSPEC, &mut table) })?;
    let table = Table::of(table)?;
    let route = |row: &MIB_IPFORWARD_ROW2| {
        Some(Route {
            index: row.InterfaceIndex,
            destination: inet(&row.DestinationPrefix.Prefix)?,
            prefix_bits: row.DestinationPrefix.PrefixLength,
            gateway: inet(&row.NextHop)?,
            metric: row.Metric,
        })
    };
    // SAFETY: the table is as the call has left it: a count, and so many rows behind it.
    let rows =
        unsafe { std::slice::from_raw_parts((&raw const (*table.0).Table).cast(), (*table.0).NumEntries as usize) };
    Ok(rows.iter().filter_map(route).collect())
}

/// Every machine that was spoken to on the networks at hand.
pub(in super::super) fn neighbours() -> io::Result<Vec<Known>> {
    let mut table: *mut MIB_IPNET_TABLE2 = null_mut();
    // SAFETY: the call writes the pointer, which is freed in the end.
    coded(unsafe { GetIpNetTable2(AF_UNSPEC, &mut table) })?;
    let table = Table::of(table)?;
    let known = |row: &MIB_IPNET_ROW2| {
        Some(Known { index: row.InterfaceIndex, address: inet(&row.Address)?, state: row.State })
    };
    // SAFETY: the table is as the call has left it: a count, and so many rows behind it.
    let rows =
        unsafe { std::slice::from_raw_parts((&raw const (*table.0).Table).cast(), (*table.0).NumEntries as usize) };
    Ok(rows.iter().filter_map(known).collect())
}

/// A table of the system's that is freed in the end.
struct Table<T>(*mut T);

impl<T> Table<T> {
    fn of(table: *mut T) -> io::Result<Self> {
        if table.is_null() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Self(table)) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the system gave it, and nobody else frees it.
        unsafe { FreeMibTable(self.0.cast()) };
    }
}

/// Segments of TCP since the system started, both families together.
pub(in super::super) fn segments() -> io::Result<Segments> {
    let of = |family: u16| {
        let mut told = MIB_TCPSTATS_LH::default();
        // SAFETY: the structure is ours.
        coded(unsafe { GetTcpStatisticsEx(&mut told, u32::from(family)) })?;
        Ok::<_, io::Error>(Segments { sent: u64::from(told.dwOutSegs), resent: u64::from(told.dwRetransSegs) })
    };
    let (ipv4, ipv6) = (of(AF_INET)?, of(AF_INET6).unwrap_or(Segments { sent: 0, resent: 0 }));
    Ok(Segments { sent: ipv4.sent + ipv6.sent, resent: ipv4.resent + ipv6.resent })
}

/// The bytes of the tables of sockets.
#[derive(Debug)]
pub(in super::super) struct Tables {
    pub(in super::super) tcp4: Vec<u8>,
    pub(in super::super) tcp6: Vec<u8>,
    pub(in super::super) udp4: Vec<u8>,
    pub(in super::super) udp6: Vec<u8>,
}

/// Every socket of TCP and UDP; a machine without IPv6 has none of it.
pub(in super::super) fn sockets() -> io::Result<Tables> {
    let tcp = |family: u16| {
        grown(|buffer, length| {
            let table = buffer.as_mut_ptr().cast();
            // SAFETY: the buffer is aligned and has the length that is told.
            coded(unsafe { GetExtendedTcpTable(table, length, 0, u32::from(family), TCP_TABLE_OWNER_PID_ALL, 0) })
        })
    };
    let udp = |family: u16| {
        grown(|buffer, length| {
            let table = buffer.as_mut_ptr().cast();
            // SAFETY: the buffer is aligned and has the length that is told.
            coded(unsafe { GetExtendedUdpTable(table, length, 0, u32::from(family), UDP_TABLE_OWNER_PID, 0) })
        })
    };
    let bytes = |words: Vec<u64>| words.into_iter().flat_map(u64::to_le_bytes).collect::<Vec<u8>>();
    Ok(Tables {
        tcp4: bytes(tcp(AF_INET)?),
        udp4: bytes(udp(AF_INET)?),
        tcp6: bytes(tcp(AF_INET6).unwrap_or_default()),
        udp6: bytes(udp(AF_INET6).unwrap_or_default()),
    })
}
