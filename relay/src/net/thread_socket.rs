//! A relay's socket on Linux, received from by a thread that waits for nothing else.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::system::Offload;
use super::{Joined, Outgoing, Outlook, Receiver, RelaySocket, ThreadReceiver, mmsg};

/// A UDP socket that no runtime watches.
#[derive(Debug)]
pub(super) struct ThreadSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    offload: Offload,
    lost_offload: AtomicBool,
    /// Becomes readable when the wait is to end.
    interrupt: OwnedFd,
}

impl ThreadSocket {
    pub(super) fn new(socket: UdpSocket, offload: Offload) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        if offload == Offload::Unused {
            mmsg::switch_off_receive_offload(&socket)?;
        }
        let interrupt = eventfd(0, EventfdFlags::CLOEXEC)?;
        Ok(Self { socket, state, offload, lost_offload: AtomicBool::new(false), interrupt })
    }
}

impl ThreadReceiver for ThreadSocket {
    fn receive(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta], outlook: Outlook) -> io::Result<usize> {
        let since = Instant::now();
        let mut looks = outlook != Outlook::Nothing;
        while looks {
            std::thread::yield_now();
            match self.state.recv((&self.socket).into(), bufs, meta) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
            looks = outlook == Outlook::Answer && since.elapsed() < LINGER;
        }
        loop {
            let mut waiting = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.interrupt, PollFlags::IN)];
            match poll(&mut waiting, None) {
                Ok(_) if !waiting[1].revents().is_empty() => return Ok(0),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            match self.state.recv((&self.socket).into(), bufs, meta) {
                // Another thread was faster, or the datagram's checksum was wrong.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }

    fn interrupt(&self) {
        // Fails only when it has been written to 2^64 times.
        let _ = rustix::io::write(&self.interrupt, &1_u64.to_ne_bytes());
    }
}

/// How long a thread looks for an answer before it sleeps: about as long as it takes to put a processor to sleep and to
/// wake it. Whoever looks for that long and no longer loses at most as much again, and gains it whenever something comes;
/// between two looks everybody else's work goes first.
const LINGER: Duration = Duration::from_micros(30);

impl RelaySocket for ThreadSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        match self.offload {
            Offload::Used if !self.lost_offload.load(Ordering::Relaxed) => self.state.max_gso_segments(),
            Offload::Used | Offload::Unused => 1,
        }
    }

    fn max_receive_segments(&self) -> usize {
        match self.offload {
            Offload::Used => self.state.gro_segments(),
            Offload::Unused => 1,
        }
    }

    fn receiver(&self) -> Receiver<'_> {
        Receiver::Thread(self)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.state.send((&self.socket).into(), transmit)
    }

    fn send_each(&self, packets: &[Outgoing<'_>]) -> usize {
        mmsg::send_each(&self.socket, packets)
    }

    fn send_joined(&self, joined: &Joined<'_>) -> io::Result<()> {
        let sent = mmsg::send_joined(&self.socket, joined);
        // What the kernel answers where segmentation does not work, as quinn takes it.
        if sent.as_ref().is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL))) {
            tracing::warn!("segmentation offload does not work any more: forwarding needs several times the CPU now");
            self.lost_offload.store(true, Ordering::Relaxed);
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_receives_what_comes_until_it_is_interrupted() {
        let socket = ThreadSocket::new(UdpSocket::bind("127.0.0.1:0").unwrap(), Offload::Used).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
        let mut room = [0; 100];
        let mut meta = [RecvMeta::default()];
        assert_eq!(socket.receive(&mut [IoSliceMut::new(&mut room)], &mut meta, Outlook::Nothing).unwrap(), 1);
        assert_eq!((meta[0].len, meta[0].addr), (5, sender.local_addr().unwrap()));
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| socket.receive(&mut [IoSliceMut::new(&mut room)], &mut meta, Outlook::Answer).unwrap());
            socket.interrupt();
            assert_eq!(waiting.join().unwrap(), 0);
        });
    }
}
