//! Our end of a tunnel: TLS over TCP to a relay, through a proxy where there is one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::limits::{HANDSHAKE_DEADLINE, IDLE_TIMEOUT};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme, version};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::proxy::{Proxy, ProxyError};
use super::registration::RelayError;
use super::socket::PathSocket;
use crate::net::{ByteStream, Net};
use crate::tls;
use crate::tunnel::{self, FrameQueue};

/// Bytes that may wait to be sent into a tunnel: a quarter of a second at 10 Mbit/s.
const QUEUE_BYTES: usize = 256 * 1024;

/// An open tunnel. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// The address that stands for it.
    pub(super) address: SocketAddr,
    /// Cancelled when it breaks.
    pub(super) broken: CancellationToken,
    socket: Arc<PathSocket>,
    _carrying: AbortOnDropHandle<()>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.socket.remove_tunnel(self.address);
    }
}

/// Opens a tunnel to a relay at `host` and `port`.
pub(super) async fn open(
    net: &Arc<dyn Net>,
    proxy: Option<&Proxy>,
    socket: &Arc<PathSocket>,
    host: &str,
    port: u16,
) -> Result<Tunnel, RelayError> {
    let stream = match proxy.filter(|proxy| proxy.is_for(host)) {
        Some(proxy) => through(net, proxy, host, port).await.map_err(RelayError::Proxy)?,
        None => within(HANDSHAKE_DEADLINE, connect(net, host, port)).await.map_err(RelayError::Tunnel)?,
    };
    carry(socket, stream, host).await.map_err(RelayError::Tunnel)
}

/// A connection through the proxy.
async fn through(net: &Arc<dyn Net>, proxy: &Proxy, host: &str, port: u16) -> Result<Box<dyn ByteStream>, ProxyError> {
    let connecting = within(PROXY_DEADLINE, connect(net, &proxy.host, proxy.port));
    let mut stream = connecting.await.map_err(|source| proxy.unreachable(source))?;
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let slow = || Err(proxy.unreachable(io::ErrorKind::TimedOut.into()));
    timeout(PROXY_DEADLINE, proxy.connect(&mut *stream, &target)).await.unwrap_or_else(|_| slow())?;
    Ok(stream)
}

async fn within<T>(deadline: Duration, doing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(deadline, doing).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Each half of asking a proxy. Shorter than the time for a relay, so that the customer hears of the proxy instead.
const PROXY_DEADLINE: Duration = Duration::from_secs(4);

/// Begins TLS on a connection, and carries frames over it.
async fn carry(socket: &Arc<PathSocket>, stream: Box<dyn ByteStream>, host: &str) -> io::Result<Tunnel> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = within(HANDSHAKE_DEADLINE, TlsConnector::from(config()?).connect(name, stream)).await?;
    let frames = Arc::new(FrameQueue::new(QUEUE_BYTES));
    let address = socket.add_tunnel(Arc::clone(&frames))?;
    let broken = CancellationToken::new();
    let carrying = {
        let (socket, broken) = (Arc::clone(socket), broken.clone().drop_guard());
        tokio::spawn(async move {
            let (reader, writer) = tokio::io::split(stream);
            tokio::select! {
                () = frames.write_to(writer) => {}
                () = tunnel::read_from(reader, IDLE_TIMEOUT, |stride, batch| {
                    socket.take_from_tunnel(address, stride, batch);
                }) => {}
            }
            drop(broken);
        })
    };
    Ok(Tunnel { address, broken, socket: Arc::clone(socket), _carrying: AbortOnDropHandle::new(carrying) })
}

/// Connects to the first address of `host` that answers, trying the next when one is slow.
async fn connect(net: &Arc<dyn Net>, host: &str, port: u16) -> io::Result<Box<dyn ByteStream>> {
    let addresses = net.resolve(host, port).await?;
    let mut tries = tokio::task::JoinSet::new();
    for (index, address) in addresses.into_iter().take(super::ADDRESSES_MAX).enumerate() {
        let net = Arc::clone(net);
        tries.spawn(async move {
            tokio::time::sleep(super::ADDRESS_STAGGER * u32::try_from(index).unwrap_or(u32::MAX)).await;
            net.connect(address).await
        });
    }
    let mut last = io::Error::other("the name has no address");
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(error) => last = io::Error::other(error),
        }
    }
    Err(last)
}

fn config() -> io::Result<Arc<rustls::ClientConfig>> {
    let mut config = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// Accepts whatever certificate a tunnel shows, also a proxy's that looks inside: what travels inside is encrypted for
/// the relay and the peer, and both prove their keys there.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &tls::algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &tls::algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::algorithms().supported_schemes()
    }
}
