//! The least that forwarding UDP can cost on this machine: `raw-loop A B` sends to B what comes from A, and to A what
//! comes from B, in the batches in which the kernel coalesced them (GRO), each with one system call (GSO).
//!
//! One thread, one comparison of addresses, no table, no check, no budget, no counter: no relay can be this cheap, and
//! what it costs above is what its work costs. It prints its address and ends with its standard input.

use std::io::{self, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};
use socket2::{Domain, Protocol, Socket, Type};

fn main() -> anyhow::Result<()> {
    let mut ends = std::env::args().skip(1).map(|end| end.parse::<SocketAddr>());
    let (a, b) = (ends.next().context("no first end")??, ends.next().context("no second end")??);
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let state = UdpSocketState::new((&socket).into())?;
    let address = socket.local_addr()?.as_socket().context("no address")?;
    writeln!(io::stdout(), "{address}")?;
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });

    let mut memory = vec![0; BATCH_SIZE * BATCH_BYTES];
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    loop {
        let mut buffers: Vec<IoSliceMut<'_>> = memory.chunks_mut(BATCH_BYTES).map(IoSliceMut::new).collect();
        let received = match state.recv((&socket).into(), &mut buffers, &mut metas) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&socket, PollFlags::IN)], None)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for (buffer, meta) in buffers.iter().zip(&metas[..received]) {
            let destination = if meta.addr == a {
                b
            } else if meta.addr == b {
                a
            } else {
                continue;
            };
            let transmit = Transmit {
                destination,
                ecn: meta.ecn,
                contents: &buffer[..meta.len],
                segment_size: (meta.stride < meta.len).then_some(meta.stride),
                src_ip: None,
            };
            // What does not fit is dropped, as on any link.
            let _ = state.try_send((&socket).into(), &transmit);
        }
    }
}

/// The largest batch that the kernel coalesces.
const BATCH_BYTES: usize = 64 * 1024;

/// As Belay's own sockets.
const SOCKET_BUFFER_BYTES: usize = 2 * 1024 * 1024;
