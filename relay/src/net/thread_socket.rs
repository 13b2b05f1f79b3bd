//! A relay's socket on Linux, received from by a thread that waits for nothing else.

use std::io::{self, IoSliceMut};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;

use super::mmsg::{self, Wait};
use super::system::Offload;
use super::{Joined, Outgoing, Outlook, Receiver, RelaySocket, ThreadReceiver};

/// A UDP socket that no runtime watches.
#[derive(Debug)]
pub(super) struct ThreadSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    offload: Offload,
    lost_offload: AtomicBool,
    is_interrupted: AtomicBool,
    /// Whether the last answer that was expected came within [`LINGER`].
    was_answered_soon: AtomicBool,
}

impl ThreadSocket {
    pub(super) fn new(socket: UdpSocket, offload: Offload) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        if offload == Offload::Unused {
            mmsg::switch_off_receive_offload(&socket)?;
        }
        if !socket.local_addr()?.ip().is_unspecified() {
            // There is but one.
            mmsg::switch_off_local_addresses(&socket)?;
        }
        // quinn has just taken that away; each call here says by itself whether it waits.
        socket.set_nonblocking(false)?;
        Ok(Self {
            socket,
            state,
            offload,
            lost_offload: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
            was_answered_soon: AtomicBool::new(false),
        })
    }
}

impl ThreadReceiver for ThreadSocket {
    fn receive(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta], outlook: Outlook) -> io::Result<usize> {
        let since = Instant::now();
        if outlook != Outlook::Nothing {
            std::thread::yield_now();
        }
        let lingers = outlook == Outlook::Answer && self.was_answered_soon.load(Ordering::Relaxed);
        let mut wait = if lingers { Wait::No } else { Wait::ForFirst };
        loop {
            let received = mmsg::receive(&self.socket, bufs, meta, wait);
            if self.is_interrupted.load(Ordering::SeqCst) {
                return Ok(0);
            }
            match received {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Also a sleep ends like this when a datagram that had woken it turned out to be damaged.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if wait == Wait::No && since.elapsed() < LINGER {
                        std::thread::yield_now();
                    } else {
                        wait = Wait::ForFirst;
                    }
                }
                received => {
                    if outlook == Outlook::Answer {
                        self.was_answered_soon.store(since.elapsed() < LINGER, Ordering::Relaxed);
                    }
                    return received;
                }
            }
        }
    }

    fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::SeqCst);
        // Linux answers that the socket has no peer, and wakes who waits for it all the same; it says so in `inet_shutdown`.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Read);
    }
}

/// How long a thread looks for an answer before it sleeps, and how soon the last one must have come for it to look at all.
///
/// A processor that has gone to sleep is awake again after some 35 us, at each hop of a round trip; an answer out of the
/// same building is here before. Answers from farther away are slept for, and cost nothing. Between two looks everybody
/// else's work goes first.
const LINGER: Duration = Duration::from_micros(100);

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
        let &Transmit { destination, ecn, contents, segment_size, src_ip } = transmit;
        let segment_bytes = segment_size.unwrap_or(contents.len());
        self.send_joined(&Joined { destination, src_ip, ecn, segment_bytes, pieces: vec![contents] })
    }

    fn send_each(&self, packets: &[Outgoing<'_>]) -> usize {
        mmsg::send_each(&self.socket, packets)
    }

    fn send_joined(&self, joined: &Joined<'_>) -> io::Result<()> {
        let sent = mmsg::send_joined(&self.socket, joined);
        // What the kernel answers where segmentation does not work, and also for some destinations.
        if sent.as_ref().is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)))
            && let Some(first) = joined.first_alone()
            && mmsg::send_joined(&self.socket, &first).is_ok()
            && !self.lost_offload.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("segmentation offload does not work any more: forwarding needs several times the CPU now");
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
        assert_eq!(socket.receive(&mut [IoSliceMut::new(&mut room)], &mut meta, Outlook::Nothing).unwrap(), 0);
    }

    #[test]
    fn a_destination_that_nobody_can_send_to_does_not_cost_the_offload() {
        let socket = ThreadSocket::new(UdpSocket::bind("127.0.0.1:0").unwrap(), Offload::Used).unwrap();
        let before = socket.max_transmit_segments();
        assert!(before > 1, "this kernel takes no datagrams apart");
        for contents in [vec![1; 500], vec![1; 5_000]] {
            let destination = SocketAddr::from(([127, 0, 0, 1], 0));
            let transmit =
                Transmit { destination, ecn: None, contents: &contents, segment_size: Some(500), src_ip: None };
            socket.try_send(&transmit).unwrap_err();
        }
        assert_eq!(socket.max_transmit_segments(), before);
    }
}
