//! Who a desk is: what its domain says about it, and whether that agrees with the invite.

use std::sync::Arc;
use std::time::Duration;

use belay_protocol::OrganizationKey;
use belay_protocol::well_known::{MAX_BYTES, PATH, WellKnown};

/// How much a desk's claim about its host is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// The host's own document names the organization key.
    Verified,
    /// The host could not be asked; the reason.
    Unverified(String),
    /// The host names another key: the desk is not who it says it is.
    Contradicted,
}

/// Why a host's document could not be had.
#[derive(Debug, thiserror::Error)]
pub enum WellKnownError {
    /// Plain HTTP was asked for and the host is not this machine.
    #[error("plain HTTP is possible for a desk on this very machine only")]
    InsecureHost,
    /// The host did not prove its name.
    #[error("{0}")]
    Certificate(rustls::Error),
    /// The request failed.
    #[error("{0}")]
    Request(Box<ureq::Error>),
    /// The answer is not the document.
    #[error("the answer is not a Belay desk's")]
    NotADesk,
}

impl From<ureq::Error> for WellKnownError {
    fn from(error: ureq::Error) -> Self {
        // The handshake takes place while bytes are read and written, so that TLS's errors come as theirs.
        let tls = match &error {
            ureq::Error::Rustls(tls) => Some(tls),
            ureq::Error::Io(io) => io.get_ref().and_then(|inner| inner.downcast_ref()),
            _ => None,
        };
        match tls {
            Some(tls @ rustls::Error::InvalidCertificate(_)) => Self::Certificate(tls.clone()),
            _ => Self::Request(Box::new(error)),
        }
    }
}

/// Asks `host` (`HOST` or `HOST:PORT`) for its document, by HTTPS, or by plain HTTP on loopback when `insecure_http` says
/// so. Blocks for at most [`DEADLINE`].
pub fn fetch(host: &str, insecure_http: bool) -> Result<WellKnown, WellKnownError> {
    let scheme = match insecure_http {
        true if is_loopback(host) => "http",
        true => return Err(WellKnownError::InsecureHost),
        false => "https",
    };
    let tls = ureq::tls::TlsConfig::builder()
        .provider(ureq::tls::TlsProvider::Rustls)
        .root_certs(ureq::tls::RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .https_only(!insecure_http)
        .max_redirects(if insecure_http { 0 } else { REDIRECTS_MAX })
        .timeout_global(Some(DEADLINE))
        .user_agent(concat!("belay-agent/", env!("CARGO_PKG_VERSION")));
    let mut answer = config.build().new_agent().get(format!("{scheme}://{host}{PATH}")).call()?;
    let text = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string()?;
    serde_json::from_str(&text).map_err(|_| WellKnownError::NotADesk)
}

/// Compares what `host` says with the organization key of the invite.
pub fn verify(host: &str, organization: &OrganizationKey, insecure_http: bool) -> Verification {
    match fetch(host, insecure_http) {
        Ok(document) if document.organization() == Some(*organization) => Verification::Verified,
        Ok(document) if document.organization().is_some() => Verification::Contradicted,
        Ok(_) => Verification::Unverified(WellKnownError::NotADesk.to_string()),
        Err(error) => Verification::Unverified(error.to_string()),
    }
}

/// Says whether `host`, with or without a port, names this machine and nothing else.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Time for the whole request; the customer waits for it on the phone.
pub const DEADLINE: Duration = Duration::from_secs(8);

const REDIRECTS_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:80", "[::1]:8080", "127.1.2.3"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["help.example.com", "localhost.example.com", "10.0.0.1", "[::2]:80", "", "0.0.0.0"] {
            assert!(!is_loopback(host), "{host}");
            assert!(matches!(fetch(host, true), Err(WellKnownError::InsecureHost)), "{host}");
        }
    }
}
