//! A UDP socket that sends and receives one datagram at a time, for systems where quinn's own is refused: it asks for
//! congestion bits and packet information, which not every network stack has.
//!
//! Without them there is no path MTU discovery, no ECN and no segmentation. Sessions are slower, and they work.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// One datagram at a time.
#[derive(Debug)]
pub(super) struct PlainSocket(UdpSocket);

impl PlainSocket {
    /// Takes a socket that is bound.
    pub(super) fn new(socket: socket2::Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }
}

impl AsyncUdpSocket for PlainSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { socket: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // quinn gives one datagram at a time to a socket that knows no segments; others need not know.
        let stride = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for (number, datagram) in transmit.contents.chunks(stride).enumerate() {
            match self.0.try_send_to(datagram, transmit.destination) {
                // What is left of a batch is lost like any packet: to send the whole again would double the rest.
                Err(_) if number > 0 => break,
                sent => sent?,
            };
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buf), Some(meta)) = (bufs.first_mut(), meta.first_mut()) else { return Poll::Ready(Ok(0)) };
        loop {
            let mut read = ReadBuf::new(buf);
            match ready!(self.0.poll_recv_from(cx, &mut read)) {
                Ok(addr) => {
                    let len = read.filled().len();
                    *meta = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
                    return Poll::Ready(Ok(1));
                }
                // Windows calls a datagram that does not fit an error; no packet of ours is so long.
                Err(error) if error.raw_os_error() == Some(WSAEMSGSIZE) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Nothing forbids fragments here, so that MTU discovery would find sizes that no path has.
    fn may_fragment(&self) -> bool {
        true
    }
}

/// Windows Sockets Error Codes: a message was larger than the buffer.
const WSAEMSGSIZE: i32 = 10_040;

/// Waits for room in the send buffer, each waiter for itself: the socket wakes only the last that asked it directly.
struct Poller {
    socket: Arc<PlainSocket>,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = Arc::clone(&self.socket);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(async move { socket.0.writable().await }));
        let done = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(done)
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::tls;
    use std::future::poll_fn;

    fn bound(address: &str) -> Arc<PlainSocket> {
        Arc::new(PlainSocket::new(std::net::UdpSocket::bind(address).unwrap().into()).unwrap())
    }

    async fn receive(socket: &PlainSocket) -> (Vec<u8>, RecvMeta) {
        let mut bytes = vec![0; 2_000];
        let mut meta = [RecvMeta::default()];
        let mut bufs = [IoSliceMut::new(&mut bytes)];
        let received = poll_fn(|cx| socket.poll_recv(cx, &mut bufs, &mut meta)).await.unwrap();
        assert_eq!(received, 1);
        bytes.truncate(meta[0].len);
        (bytes, meta[0])
    }

    #[tokio::test]
    async fn datagrams_arrive_one_by_one_with_their_sender() {
        let (one, other) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let destination = other.local_addr().unwrap();
        let transmit =
            Transmit { destination, ecn: None, contents: b"first+second+end", segment_size: Some(6), src_ip: None };
        poll_fn({
            let mut poller = Arc::clone(&one).create_io_poller();
            move |cx| poller.as_mut().poll_writable(cx)
        })
        .await
        .unwrap();
        one.try_send(&transmit).unwrap();
        for expected in [b"first+".as_slice(), b"second", b"+end"] {
            let (bytes, meta) = receive(&other).await;
            assert_eq!((bytes.as_slice(), meta.addr), (expected, one.local_addr().unwrap()));
            assert_eq!(meta.stride, expected.len());
        }
        assert!(one.may_fragment() && one.max_transmit_segments() == 1 && one.max_receive_segments() == 1);
    }

    #[tokio::test]
    async fn a_quic_connection_works_over_it() {
        use quinn::{ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};

        let (ours, theirs) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let server = tls::server(&theirs, tls::SESSION_ALPN).unwrap();
        let client = tls::client(&ours, tls::SESSION_ALPN, Some(*theirs.public_key())).unwrap();
        let endpoint = |server: Option<ServerConfig>| {
            let socket = bound("127.0.0.1:0");
            Endpoint::new_with_abstract_socket(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime))
                .unwrap()
        };
        let listening = endpoint(Some(ServerConfig::with_crypto(Arc::new(server))));
        let address = listening.local_addr().unwrap();
        let sent = vec![7u8; 1 << 20];
        let (ended, receiving) = (sent.len(), listening.clone());
        let receiver = tokio::spawn(async move {
            let connection = receiving.accept().await.unwrap().await.unwrap();
            connection.accept_uni().await.unwrap().read_to_end(ended).await.unwrap()
        });
        let calling = endpoint(None);
        let config = ClientConfig::new(Arc::new(client));
        let connection = calling.connect_with(config, address, tls::SERVER_NAME).unwrap().await.unwrap();
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.finish().unwrap();
        assert_eq!(receiver.await.unwrap(), sent);
    }
}
