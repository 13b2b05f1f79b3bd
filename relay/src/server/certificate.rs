//! The certificate that tunnels present: an ordinary one where networks look at it, else one made at the start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version;
use tokio_rustls::TlsAcceptor;

use crate::{private_file, tls};

/// Files of a certificate chain and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the relay's own certificate first.
    pub chain: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read, or is not PEM of this kind.
    #[error("{path} is not a readable {kind} in PEM: {what}", path = path.display(), what = wrong_with(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected in it.
        kind: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// A file is a directory, a pipe or a device, from which reading might never end.
    #[error("{path} is not a file", path = .0.display())]
    NotAFile(PathBuf),
    /// The chain is empty.
    #[error("{path} holds no certificate", path = .0.display())]
    Empty(PathBuf),
    /// Key and certificate do not belong together, or cannot be used.
    #[error("the certificate and its key cannot be used together: {0}")]
    Unusable(#[from] rustls::Error),
    /// None could be made.
    #[error("no certificate could be made: {0}")]
    Made(#[from] rcgen::Error),
}

/// The TLS side of tunnels, whose certificate can be changed while it serves.
#[derive(Debug)]
pub(super) struct TunnelTls {
    acceptor: RwLock<Arc<rustls::ServerConfig>>,
}

impl TunnelTls {
    /// Uses the certificate in `files`, or makes one.
    pub(super) fn new(files: Option<&CertificateFiles>) -> Result<Self, CertificateError> {
        Ok(Self { acceptor: RwLock::new(Self::prepare(files)?) })
    }

    /// Reads the certificate in `files`, or makes one, without using it yet.
    pub(super) fn prepare(files: Option<&CertificateFiles>) -> Result<Arc<rustls::ServerConfig>, CertificateError> {
        let Some(files) = files else { return self_signed() };
        let config = files.config()?;
        if files.is_key_exposed() {
            let path = files.key.display();
            tracing::warn!("every account of this machine can read {path}: run `chmod o= {path}`");
        }
        Ok(config)
    }

    /// Uses a prepared certificate for tunnels that are opened from now on.
    pub(super) fn change(&self, config: Arc<rustls::ServerConfig>) {
        *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Accepts with the certificate of this moment.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.acceptor.read().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

/// When a certificate may be used, in seconds since 1970, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub not_before_unix_s: i64,
    /// Until when.
    pub not_after_unix_s: i64,
}

impl Validity {
    /// Whole days from `now_unix_s` to the end; fewer than none when that has passed.
    pub fn days_left(&self, now_unix_s: i64) -> i64 {
        const DAY_S: i64 = 24 * 60 * 60;

        (self.not_after_unix_s - now_unix_s).div_euclid(DAY_S)
    }
}

impl CertificateFiles {
    /// Reads and checks both files.
    pub fn check(&self) -> Result<(), CertificateError> {
        self.config().map(drop)
    }

    /// When the relay's own certificate, the first of the chain, may be used.
    pub fn validity(&self) -> Result<Validity, CertificateError> {
        let chain = self.read_chain()?;
        let (_, own) = x509_parser::parse_x509_certificate(&chain[0])
            .map_err(|_| CertificateError::Unusable(rustls::CertificateError::BadEncoding.into()))?;
        let validity = own.validity();
        Ok(Validity {
            not_before_unix_s: validity.not_before.timestamp(),
            not_after_unix_s: validity.not_after.timestamp(),
        })
    }

    /// Whether every account of this machine can read or change the key.
    pub fn is_key_exposed(&self) -> bool {
        std::fs::metadata(&self.key).is_ok_and(|key| private_file::mode(&key).is_some_and(|mode| mode & OTHERS != 0))
    }

    fn config(&self) -> Result<Arc<rustls::ServerConfig>, CertificateError> {
        for path in [&self.key, &self.chain] {
            if std::fs::metadata(path).is_ok_and(|file| !file.is_file()) {
                return Err(CertificateError::NotAFile(path.clone()));
            }
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(wrong(&self.key, "key"))?;
        config(self.read_chain()?, key)
    }

    /// The chain, which holds at least one certificate.
    fn read_chain(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let chain = CertificateDer::pem_file_iter(&self.chain)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(wrong(&self.chain, "certificate"))?;
        if chain.is_empty() { Err(CertificateError::Empty(self.chain.clone())) } else { Ok(chain) }
    }
}

/// The reasons people meet, in plain words.
fn wrong_with(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "it holds none".to_owned(),
        pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

const OTHERS: u32 = 0o007;

fn wrong(path: &Path, kind: &'static str) -> impl FnOnce(pem::Error) -> CertificateError {
    let path = path.to_owned();
    move |source| CertificateError::File { path, kind, source }
}

fn self_signed() -> Result<Arc<rustls::ServerConfig>, CertificateError> {
    let made = rcgen::generate_simple_self_signed([tls::SERVER_NAME.to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    config(vec![made.cert.der().clone()], key.into())
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<rustls::ServerConfig>, CertificateError> {
    let mut config = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
