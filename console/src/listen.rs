//! Accepting connections: plain HTTP, HTTPS, and the Unix socket of the command line.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::http::Arrival;

/// One place where connections come in.
pub(crate) enum Listener {
    /// Plain HTTP.
    Plain(TcpListener),
    /// HTTPS.
    Tls(TcpListener, Certificate),
    /// The command line's socket.
    Socket(UnixListener),
}

/// A certificate chain with its key, read again on request.
#[derive(Clone)]
pub(crate) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: Arc<RwLock<Arc<rustls::ServerConfig>>>,
}

/// A certificate could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read or is not PEM.
    #[error("{} holds no usable PEM: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not make a server.
    #[error("the certificate in {} cannot be used: {source}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

impl Certificate {
    /// Reads a PEM chain and a PEM key.
    pub(crate) fn load(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let current = Arc::new(RwLock::new(Arc::new(read_certificate(chain, key)?)));
        Ok(Self { chain: chain.to_owned(), key: key.to_owned(), current })
    }

    /// Reads the files again; what does not work is reported, and the old certificate stays.
    pub(crate) fn reload(&self) {
        match read_certificate(&self.chain, &self.key) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!("the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the certificate was not read again; the old one stays"),
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read_certificate(chain: &Path, key: &Path) -> Result<rustls::ServerConfig, CertificateError> {
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::Pem { path, source }
    };
    let tls = |source| CertificateError::Tls { path: chain.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect).map_err(pem(chain))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(tls)?.with_no_client_auth();
    let mut config = builder.with_single_cert(certificates, private).map_err(tls)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl Listener {
    /// Makes the command line's socket, which only this account can open. The caller holds the data directory, so that a
    /// socket file that is there was left by a process that is gone.
    pub(crate) fn socket(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;

        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self::Socket(listener))
    }

    /// The TCP address, with the port that the system chose.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(listener) | Self::Tls(listener, _) => listener.local_addr().ok(),
            Self::Socket(_) => None,
        }
    }

    /// Serves connections until `stop`, then lets those that are under way finish for a moment.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            // A connection beyond the limit waits in the system's queue.
            let place = tokio::select! {
                () = stop.cancelled() => break,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok(connection) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    connections.spawn(async move {
                        connection.serve(router, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, as a rule: trying again at once would only burn the processor.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self);
        connections.close();
        if tokio::time::timeout(DRAIN_DEADLINE, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections were cut");
        }
    }

    async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Plain(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Connection::Plain(Box::new(stream), Arrival::Plain(peer.ip())))
            }
            Self::Tls(listener, certificate) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Connection::Tls(stream, certificate.acceptor(), Arrival::Tls(peer.ip())))
            }
            Self::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Connection::Plain(Box::new(stream), Arrival::Socket))
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

enum Connection {
    Plain(Box<dyn Stream>, Arrival),
    Tls(tokio::net::TcpStream, TlsAcceptor, Arrival),
}

impl Connection {
    async fn serve(self, router: Router, stop: CancellationToken) {
        let (stream, arrival) = match self {
            Self::Plain(stream, arrival) => (stream, arrival),
            Self::Tls(stream, acceptor, arrival) => {
                let handshake = tokio::time::timeout(HEAD_DEADLINE, acceptor.accept(stream)).await;
                let Ok(Ok(stream)) = handshake else { return };
                (Box::new(stream) as Box<dyn Stream>, arrival)
            }
        };
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(arrival);
            router.clone().oneshot(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(HEAD_MAX_BYTES);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = done {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Connections of one listener at once. Each costs about a page and a descriptor; live streams stay open.
const CONNECTIONS_MAX: usize = 4_096;

/// A peer that has not sent a request's head by then is not a browser.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const HEAD_MAX_BYTES: usize = 64 * 1024;

const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Requests are answered in far less; live streams end by themselves at the stop.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
