//! Many datagrams in one system call, on Linux: from several places in memory with segmentation offload (GSO), what
//! remains when that is missing, and receiving that waits in the same call.
//!
//! No call here heeds whether the socket is in non-blocking mode, but [`receive`] with [`Wait::ForFirst`], which needs a
//! blocking one: only that one call ever waits.
//!
//! # Safety
//!
//! The unsafe code here is the call of `setsockopt` with a pointer to one live integer, the calls of `sendmsg`,
//! `sendmmsg` and `recvmmsg` with headers whose every pointer leads into arrays of the same function or of its caller that
//! outlive the call and are not moved in between, the writing of control messages through the `CMSG_*` macros into
//! buffers that are aligned for and large enough for the three messages that are written, and the reading of those that
//! the kernel wrote, each as the type that its level and kind name and only where its length holds one.
//!
//! `as _` stands where glibc's structures have fields of another width than musl's; every value fits both.

use std::io::{self, IoSliceMut};
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use quinn::udp::{EcnCodepoint, RecvMeta};
use socket2::{SockAddr, SockAddrStorage};

use super::{Joined, Outgoing};

/// Makes the kernel hand out each datagram by itself.
pub(super) fn switch_off_receive_offload(socket: &UdpSocket) -> io::Result<()> {
    switch_off(socket, libc::SOL_UDP, libc::UDP_GRO)
}

/// Makes the kernel no longer say which local address a datagram came to.
pub(super) fn switch_off_local_addresses(socket: &UdpSocket) -> io::Result<()> {
    match socket.local_addr()? {
        SocketAddr::V4(_) => switch_off(socket, libc::IPPROTO_IP, libc::IP_PKTINFO),
        SocketAddr::V6(_) => switch_off(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    }
}

fn switch_off(socket: &UdpSocket, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let off: libc::c_int = 0;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `off`.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const off).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Datagrams in one call: as many as quinn receives in one.
const BATCH: usize = 32;

/// Pieces of memory in one call: a piece holds at least one datagram, and the kernel takes 64.
const PIECES: usize = 64;

/// Room for the source address, the congestion bits and the segment size.
const CONTROL_BYTES: usize = 96;

/// A buffer with the alignment of `cmsghdr`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Sends `packets` in order and says how many the kernel took. A datagram that it refuses for its own sake, such as one
/// that is too large for the way, counts as taken: the network would have dropped it.
pub(super) fn send_each(socket: &UdpSocket, packets: &[Outgoing<'_>]) -> usize {
    let mut taken = 0;
    while taken < packets.len() {
        let batch = &packets[taken..packets.len().min(taken + BATCH)];
        match send_batch(socket, batch) {
            Ok(sent) => taken += sent.max(1),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The first datagram of the batch is at fault; the others are tried again.
            Err(_) => taken += 1,
        }
    }
    taken
}

fn send_batch(socket: &UdpSocket, packets: &[Outgoing<'_>]) -> io::Result<usize> {
    let mut addresses: [MaybeUninit<SockAddr>; BATCH] = [const { MaybeUninit::uninit() }; BATCH];
    // SAFETY: all-zero is a valid value of these plain C structures: null pointers and zero lengths.
    let mut iovecs: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    let mut controls = [Control([0; CONTROL_BYTES]); BATCH];
    for (index, packet) in packets.iter().enumerate().take(BATCH) {
        let address = addresses[index].write(SockAddr::from(packet.destination));
        iovecs[index] =
            libc::iovec { iov_base: packet.contents.as_ptr().cast_mut().cast(), iov_len: packet.contents.len() };
        let header = &mut headers[index].msg_hdr;
        header.msg_name = address.as_ptr().cast_mut().cast();
        header.msg_namelen = address.len();
        header.msg_iov = &raw mut iovecs[index];
        header.msg_iovlen = 1;
        header.msg_control = controls[index].0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES as _;
        write_control(header, packet.destination, packet.src_ip, packet.ecn, None);
    }
    let count = packets.len().min(BATCH);
    // SAFETY: the first `count` headers are filled, and what they point to lives in this function's arrays or in
    // `packets`. `SockAddr` owns nothing, so that the uninitialized rest needs no drop.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as libc::c_uint, libc::MSG_DONTWAIT as _)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Sends datagrams from several places in one call, for the kernel to take apart.
pub(super) fn send_joined(socket: &UdpSocket, joined: &Joined<'_>) -> io::Result<()> {
    let Ok(segment_bytes) = u16::try_from(joined.segment_bytes) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let address = SockAddr::from(joined.destination);
    // SAFETY: all-zero is a valid value of these plain C structures: null pointers and zero lengths.
    let mut iovecs: [libc::iovec; PIECES] = unsafe { std::mem::zeroed() };
    let count = joined.pieces.len();
    if count > PIECES {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (iovec, piece) in iovecs.iter_mut().zip(&joined.pieces) {
        *iovec = libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() };
    }
    let mut control = Control([0; CONTROL_BYTES]);
    // SAFETY: as above.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = address.as_ptr().cast_mut().cast();
    header.msg_namelen = address.len();
    header.msg_iov = iovecs.as_mut_ptr();
    header.msg_iovlen = count as _;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_BYTES as _;
    // Some drivers refuse to take a single datagram apart.
    let is_several = count > 1 || joined.pieces.iter().any(|piece| piece.len() > joined.segment_bytes);
    write_control(&mut header, joined.destination, joined.src_ip, joined.ecn, is_several.then_some(segment_bytes));
    loop {
        // SAFETY: the header is filled, and what it points to lives in this function or in `joined`.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// What [`receive`] does when nothing has come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// It returns `WouldBlock`.
    No,
    /// It waits for one datagram, and takes those that came with it.
    ForFirst,
}

/// Receives datagrams, or batches that the kernel joined (GRO), each into one of `bufs`, and says how many.
///
/// On a socket that is shut down, waiting ends with an empty datagram from nowhere.
pub(super) fn receive(
    socket: &UdpSocket,
    bufs: &mut [IoSliceMut<'_>],
    meta: &mut [RecvMeta],
    wait: Wait,
) -> io::Result<usize> {
    let mut names = [const { MaybeUninit::<SockAddrStorage>::zeroed() }; BATCH];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; BATCH];
    // SAFETY: all-zero is a valid value of these plain C structures: null pointers and zero lengths.
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    let count = bufs.len().min(meta.len()).min(BATCH);
    for index in 0..count {
        let header = &mut headers[index].msg_hdr;
        header.msg_name = names[index].as_mut_ptr().cast();
        header.msg_namelen = size_of::<SockAddrStorage>() as libc::socklen_t;
        // The standard library promises this layout of `IoSliceMut`.
        header.msg_iov = (&raw mut bufs[index]).cast();
        header.msg_iovlen = 1;
        header.msg_control = controls[index].as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES as _;
    }
    let flags = match wait {
        Wait::No => libc::MSG_DONTWAIT,
        Wait::ForFirst => libc::MSG_WAITFORONE,
    };
    // SAFETY: the first `count` headers are filled, and what they point to lives in this function's arrays or in `bufs`.
    let received = unsafe {
        let no_timeout = std::ptr::null_mut();
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as libc::c_uint, flags as _, no_timeout)
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for ((header, name), meta) in headers.iter().zip(names).zip(meta.iter_mut()).take(received) {
        *meta = read_control(&header.msg_hdr, header.msg_len as usize);
        if header.msg_hdr.msg_namelen > 0 {
            // SAFETY: what the kernel has written is an address of that length, and the rest is zero.
            let source = unsafe { SockAddr::new(name.assume_init(), header.msg_hdr.msg_namelen) };
            meta.addr = source.as_socket().unwrap_or(meta.addr);
        }
    }
    Ok(received)
}

/// Reads what the kernel says about a datagram of `len` bytes; where it came from is left out.
fn read_control(header: &libc::msghdr, len: usize) -> RecvMeta {
    let mut meta = RecvMeta { len, stride: len, ..RecvMeta::default() };
    // SAFETY: the kernel has set the header's length to what it wrote, and the macros stay inside it.
    let mut place = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: where the macros lead is a whole control header, or nowhere.
    while let Some(control) = unsafe { place.as_ref() } {
        match (control.cmsg_level, control.cmsg_type) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                if let Some(bytes) = take::<libc::c_int>(control).and_then(|bytes| usize::try_from(bytes).ok()) {
                    meta.stride = bytes;
                }
            }
            (libc::IPPROTO_IP, libc::IP_TOS) => meta.ecn = take::<u8>(control).and_then(EcnCodepoint::from_bits),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                // The class has eight bits.
                meta.ecn = take::<libc::c_int>(control).and_then(|bits| EcnCodepoint::from_bits(bits as u8));
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let info = take::<libc::in_pktinfo>(control);
                meta.dst_ip = info.map(|info| IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                meta.dst_ip = take::<libc::in6_pktinfo>(control).map(|info| IpAddr::from(info.ipi6_addr.s6_addr));
            }
            _ => {}
        }
        // SAFETY: as above.
        place = unsafe { libc::CMSG_NXTHDR(header, place) };
    }
    meta
}

/// What a control message holds, if it is long enough.
fn take<T: Copy>(control: &libc::cmsghdr) -> Option<T> {
    // SAFETY: only computes.
    let needed = u64::from(unsafe { libc::CMSG_LEN(size_of::<T>() as libc::c_uint) });
    // SAFETY: the kernel writes whole messages, so that a header is followed by the bytes that its length names; the types
    // asked for are plain numbers and arrays of them, for which any bits will do.
    (control.cmsg_len as u64 >= needed).then(|| unsafe { libc::CMSG_DATA(control).cast::<T>().read_unaligned() })
}

/// Writes the control messages of one header and sets the length that they take.
fn write_control(
    header: &mut libc::msghdr,
    destination: SocketAddr,
    src_ip: Option<IpAddr>,
    ecn: Option<EcnCodepoint>,
    segment_bytes: Option<u16>,
) {
    let mut length = 0;
    // SAFETY: `msg_control` has room for all messages (checked by the test below), and `CMSG_NXTHDR` stays inside it.
    unsafe {
        let mut place = libc::CMSG_FIRSTHDR(header);
        if let Some(segment_bytes) = segment_bytes {
            length += put(place, libc::SOL_UDP, libc::UDP_SEGMENT, segment_bytes);
            place = libc::CMSG_NXTHDR(header, place);
        }
        if let Some(ecn) = ecn.filter(|_| !place.is_null()) {
            // A mapped IPv4 address is IPv4 on the wire.
            let is_v4 = destination.ip().to_canonical().is_ipv4();
            let (level, kind) =
                if is_v4 { (libc::IPPROTO_IP, libc::IP_TOS) } else { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) };
            length += put(place, level, kind, ecn as u8 as libc::c_int);
            place = libc::CMSG_NXTHDR(header, place);
        }
        match src_ip {
            Some(IpAddr::V4(v4)) if !place.is_null() => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(v4.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                length += put(place, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(v6)) if !place.is_null() => {
                let info = libc::in6_pktinfo { ipi6_ifindex: 0, ipi6_addr: libc::in6_addr { s6_addr: v6.octets() } };
                length += put(place, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            _ => {}
        }
    }
    if length == 0 {
        header.msg_control = std::ptr::null_mut();
    }
    header.msg_controllen = length as _;
}

/// Writes one control message at `place` and says how much room it takes.
///
/// # Safety
///
/// `place` points to a control header that is followed by room for a `T`.
unsafe fn put<T>(place: *mut libc::cmsghdr, level: libc::c_int, kind: libc::c_int, value: T) -> usize {
    // SAFETY: by the caller's promise.
    unsafe {
        (*place).cmsg_level = level;
        (*place).cmsg_type = kind;
        (*place).cmsg_len = libc::CMSG_LEN(size_of::<T>() as libc::c_uint) as _;
        libc::CMSG_DATA(place).cast::<T>().write_unaligned(value);
        libc::CMSG_SPACE(size_of::<T>() as libc::c_uint) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn all_control_messages_fit() {
        // SAFETY: only computes.
        let space = |bytes: usize| unsafe { libc::CMSG_SPACE(bytes as libc::c_uint) } as usize;
        let needed = [size_of::<u16>(), size_of::<libc::c_int>(), size_of::<libc::in6_pktinfo>()].map(space);
        assert!(needed.iter().sum::<usize>() <= CONTROL_BYTES);
    }

    #[test]
    fn every_datagram_arrives_from_the_wanted_address_in_order() {
        for (any, there) in [("0.0.0.0:0", "127.0.0.1:0"), ("[::]:0", "[::1]:0"), ("[::]:0", "127.0.0.1:0")] {
            let (sender, receiver) = (UdpSocket::bind(any).unwrap(), UdpSocket::bind(there).unwrap());
            receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut destination = receiver.local_addr().unwrap();
            let (from, mut src_ip) = (destination.ip(), destination.ip());
            if let (true, IpAddr::V4(v4)) = (any.starts_with('['), from) {
                destination.set_ip(v4.to_ipv6_mapped().into());
                src_ip = v4.to_ipv6_mapped().into();
            }
            let datagrams: Vec<Vec<u8>> = (0..70u8).map(|n| vec![n; 10 + usize::from(n)]).collect();
            let packets: Vec<Outgoing<'_>> = datagrams
                .iter()
                .map(|contents| Outgoing { destination, src_ip: Some(src_ip), ecn: Some(EcnCodepoint::Ect0), contents })
                .collect();
            assert_eq!(send_each(&sender, &packets), packets.len());
            for datagram in &datagrams {
                let mut buffer = [0; 200];
                let (length, source) = receiver.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..length], source.ip()), (datagram.as_slice(), from));
            }
        }
    }

    #[test]
    fn joined_datagrams_arrive_apart_from_the_wanted_address() {
        for there in ["127.0.0.1:0", "[::1]:0"] {
            let receiver = UdpSocket::bind(there).unwrap();
            let sender = UdpSocket::bind(if there.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" }).unwrap();
            receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let destination = receiver.local_addr().unwrap();
            let datagrams: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n; if n == 39 { 7 } else { 1_000 }]).collect();
            let (first, second) = (datagrams[..10].concat(), datagrams[10..].concat());
            let joined = Joined {
                destination,
                src_ip: Some(destination.ip()),
                ecn: Some(EcnCodepoint::Ect0),
                segment_bytes: 1_000,
                pieces: vec![&first, &second],
            };
            send_joined(&sender, &joined).unwrap();
            for datagram in &datagrams {
                let mut buffer = [0; 2_000];
                let (length, source) = receiver.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..length], source.ip()), (datagram.as_slice(), destination.ip()));
            }
        }
    }

    #[test]
    fn a_datagram_that_is_too_large_does_not_hold_up_the_others() {
        let (sender, receiver) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let destination = receiver.local_addr().unwrap();
        let huge = vec![0; 70_000];
        let packet = |contents| Outgoing { destination, src_ip: None, ecn: None, contents };
        assert_eq!(send_each(&sender, &[packet(b"1"), packet(&huge), packet(b"2")]), 3);
        let mut buffer = [0; 10];
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 1);
        assert_eq!((receiver.recv(&mut buffer).unwrap(), buffer[0]), (1, b'2'));
    }

    #[test]
    fn what_is_received_says_where_it_came_from_and_to_and_how_it_is_cut() {
        for (any, here) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let (receiver, sender) = (UdpSocket::bind(any).unwrap(), UdpSocket::bind((here, 0)).unwrap());
            quinn::udp::UdpSocketState::new((&receiver).into()).unwrap();
            let destination = SocketAddr::new(here.parse().unwrap(), receiver.local_addr().unwrap().port());
            let (mut first, mut second) = ([0; 65_536], [0; 65_536]);
            let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            let mut meta = [RecvMeta::default(); 2];
            let nothing = receive(&receiver, &mut bufs, &mut meta, Wait::No).unwrap_err();
            assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);

            let datagrams: Vec<Vec<u8>> = (0..4u8).map(|n| vec![n; if n == 3 { 7 } else { 1_000 }]).collect();
            let contents = datagrams.concat();
            let ecn = Some(EcnCodepoint::Ce);
            let joined = Joined { destination, src_ip: None, ecn, segment_bytes: 1_000, pieces: vec![&contents] };
            send_joined(&sender, &joined).unwrap();
            send_each(&sender, &[Outgoing { destination, src_ip: None, ecn: None, contents: b"alone" }]);
            receiver.set_nonblocking(false).unwrap();
            let mut received = receive(&receiver, &mut bufs, &mut meta, Wait::ForFirst).unwrap();
            assert_eq!(received, 2);
            let sources = meta.map(|meta| (meta.addr.ip().to_canonical(), meta.addr.port()));
            assert_eq!(sources, [(here.parse().unwrap(), sender.local_addr().unwrap().port()); 2]);
            assert_eq!(meta.map(|meta| meta.dst_ip.unwrap().to_canonical()), [here.parse::<IpAddr>().unwrap(); 2]);
            assert_eq!(meta.map(|meta| (meta.len, meta.stride, meta.ecn)), [(3_007, 1_000, ecn), (5, 5, None)]);
            assert_eq!((&bufs[0][..3_007], &bufs[1][..5]), (contents.as_slice(), b"alone".as_slice()));

            switch_off_receive_offload(&receiver).unwrap();
            switch_off_local_addresses(&receiver).unwrap();
            send_joined(&sender, &joined).unwrap();
            received = receive(&receiver, &mut bufs, &mut meta, Wait::ForFirst).unwrap();
            assert_eq!((received, meta[0].len, meta[1].len), (2, 1_000, 1_000));
            if !any.starts_with('[') || here.contains(':') {
                assert_eq!(meta[0].dst_ip, None);
            }
        }
    }
}
