//! Who a desk is: what its domain says about it, and whether that agrees with the invite.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use belay_protocol::OrganizationKey;
use belay_protocol::invite::RelayAddress;
use belay_protocol::report::Https;
use belay_protocol::well_known::{MAX_BYTES, PATH, WellKnown};
use belay_relay::client::Proxy;
use serde::{Deserialize, Serialize};

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
    /// The proxy wants to know who asks.
    #[error("the proxy asks for a name and a password")]
    ProxyPassword,
    /// The proxy was told who asks, and does not agree.
    #[error("the proxy does not accept the name and the password")]
    WrongProxyPassword,
    /// The request failed.
    #[error("{0}")]
    Request(Box<ureq::Error>),
    /// The answer is not the document.
    #[error("the answer is not a Belay desk's")]
    NotADesk,
}

impl WellKnownError {
    /// Whose fault it is that there is no document.
    pub fn outcome(&self) -> Https {
        use rustls::{CertificateError as Bad, Error as Tls};
        match self {
            Self::Certificate(Tls::InvalidCertificate(bad)) => match bad {
                Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                    Https::WrongTime
                }
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Https::WrongName,
                _ => Https::Untrusted,
            },
            Self::ProxyPassword | Self::WrongProxyPassword => Https::ProxyPassword,
            Self::NotADesk => Https::WrongAnswer,
            Self::Request(request) => match request.as_ref() {
                ureq::Error::HostNotFound => Https::NoName,
                ureq::Error::Timeout(_) => Https::TimedOut,
                ureq::Error::StatusCode(_) => Https::WrongAnswer,
                ureq::Error::Io(io) => match io.kind() {
                    io::ErrorKind::ConnectionRefused => Https::ConnectionRefused,
                    io::ErrorKind::TimedOut => Https::TimedOut,
                    // The standard library has no kind for it.
                    _ if io.to_string().contains("lookup address") => Https::NoName,
                    _ if io.raw_os_error().is_some_and(|number| NO_NAME_ON_WINDOWS.contains(&number)) => Https::NoName,
                    _ => Https::Failed,
                },
                _ => Https::Failed,
            },
            Self::Certificate(_) | Self::InsecureHost => Https::Failed,
        }
    }
}

/// From `WSAHOST_NOT_FOUND` to `WSANO_DATA`. No other system has numbers as high.
const NO_NAME_ON_WINDOWS: RangeInclusive<i32> = 11_001..=11_004;

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
            _ if is_proxy_password(&error) => Self::ProxyPassword,
            _ => Self::Request(Box::new(error)),
        }
    }
}

/// Asks `host` (`HOST` or `HOST:PORT`) for its document, by HTTPS, or by plain HTTP on loopback when `insecure_http` says
/// so. HTTPS goes through `proxy` unless the host is exempt. Blocks for at most [`DEADLINE`].
pub fn fetch(host: &str, insecure_http: bool, proxy: Option<&Proxy>) -> Result<WellKnown, WellKnownError> {
    let origin = origin(host, insecure_http)?;
    let request = client(host, insecure_http, proxy)?.get(format!("{origin}{PATH}"));
    document(request.call().map_err(|error| failed(error, proxy))?)
}

/// Where `host` is asked: by plain HTTP on this very machine alone.
fn origin(host: &str, insecure_http: bool) -> Result<String, WellKnownError> {
    match insecure_http {
        true if is_loopback(host) => Ok(format!("http://{host}")),
        true => Err(WellKnownError::InsecureHost),
        false => Ok(format!("https://{host}")),
    }
}

/// The error of asking `host`, some of which only make sense with the `proxy` that was asked through.
fn failed(error: ureq::Error, proxy: Option<&Proxy>) -> WellKnownError {
    match (WellKnownError::from(error), proxy) {
        (WellKnownError::ProxyPassword, Some(proxy)) if proxy.credentials().is_some() => {
            WellKnownError::WrongProxyPassword
        }
        (error, _) => error,
    }
}

/// What somebody asks a desk, as its API takes it (`POST /api/v1/requests`).
#[derive(Debug, Clone, Serialize)]
pub struct HelpRequest {
    /// Who asks.
    pub name: String,
    /// Their company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Where they can be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<String>,
    /// What is wrong, in one line.
    pub title: String,
    /// What else was said.
    pub description: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// `en` or `zh`.
    pub language: &'static str,
    /// That it comes from an agent.
    pub channel: &'static str,
    /// Whether a code is wanted by which this machine may be looked at.
    pub invite: bool,
}

/// The desk's answer to who has asked for help.
#[derive(Debug, Clone, Deserialize)]
pub struct Helped {
    /// The ticket's number.
    pub number: String,
    /// Its page for the customer.
    pub status_url: String,
    /// The nine digits, where they were wanted.
    pub code: Option<String>,
}

/// Why a desk did not take a request.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It could not be asked.
    #[error(transparent)]
    Unreachable(#[from] WellKnownError),
    /// Whoever answers takes no requests.
    #[error("the host takes no requests")]
    NotADesk,
    /// Many requests have come from here.
    #[error("too many requests")]
    TooMany,
    /// Something in it cannot be used: the field's name.
    #[error("the desk does not take the field {0}")]
    Refused(String),
    /// It cannot work at the moment.
    #[error("the desk cannot work at the moment")]
    Unavailable,
}

/// Asks the desk at `host` for help; as [`fetch`], by HTTPS, or by plain HTTP on loopback. A request whose answer was lost is
/// sent again, and makes one ticket. Blocks for at most three times [`DEADLINE`].
pub fn ask_for_help(
    host: &str,
    insecure_http: bool,
    proxy: Option<&Proxy>,
    request: &HelpRequest,
) -> Result<Helped, AskError> {
    let origin = origin(host, insecure_http)?;
    let client = client(host, insecure_http, proxy).map_err(WellKnownError::from)?;
    let body = serde_json::to_string(request).unwrap_or_default();
    let key = format!("{:032x}", rand::random::<u128>());
    let send = || {
        client
            .post(format!("{origin}{REQUESTS}"))
            .config()
            .http_status_as_error(false)
            .build()
            // A desk takes changes from its own pages and from who says that they are not of another's.
            .header("origin", &origin)
            .header("idempotency-key", &key)
            .content_type("application/json")
            .send(body.as_str())
    };
    let is_lost = |error: &ureq::Error| matches!(error, ureq::Error::Io(_) | ureq::Error::Timeout(_));
    let mut answered = send();
    for _ in 1..ASK_TRIES {
        if !answered.as_ref().is_err_and(is_lost) {
            break;
        }
        std::thread::sleep(ASK_PAUSE);
        answered = send();
    }
    let mut answer = answered.map_err(|error| failed(error, proxy))?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string().map_err(WellKnownError::from)?;
    match status {
        201 => serde_json::from_str(&text).map_err(|_| AskError::NotADesk),
        429 => Err(AskError::TooMany),
        422 => {
            let problem: serde_json::Value = serde_json::from_str(&text).map_err(|_| AskError::NotADesk)?;
            Err(AskError::Refused(problem["field"].as_str().unwrap_or("?").to_owned()))
        }
        502..=504 => Err(AskError::Unavailable),
        _ => Err(AskError::NotADesk),
    }
}

const REQUESTS: &str = "/api/v1/requests";
const ASK_TRIES: u32 = 3;
const ASK_PAUSE: Duration = Duration::from_secs(1);

/// Somebody's answer to a question by HTTP.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// When it was given, by the other's clock.
    pub date: Option<String>,
    /// Where it sends to.
    pub location: Option<String>,
    /// The relays that it names, when it is a desk's document.
    pub relays: Option<Vec<RelayAddress>>,
    /// When it came, by this machine's clock.
    pub at: SystemTime,
}

/// Asks `host` for its document by HTTPS and says what came, whatever it is. Blocks for at most `deadline`.
pub fn ask(host: &str, proxy: Option<&Proxy>, deadline: Duration) -> Result<Answer, WellKnownError> {
    let request = client(host, false, proxy)?.get(format!("https://{host}{PATH}"));
    let config = request.config().http_status_as_error(false).timeout_global(Some(deadline));
    let came = config.build().call().map_err(|error| failed(error, proxy))?;
    let answer = Answer::of(&came);
    Ok(Answer { relays: document(came).ok().map(|document| document.relays()), ..answer })
}

/// Asks port `port` of `name` by plain HTTP, directly, for what no desk has. Blocks for at most `deadline`.
pub fn ask_plainly(name: &str, port: u16, deadline: Duration) -> Result<Answer, WellKnownError> {
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(deadline))
        .user_agent(USER_AGENT);
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let came = config.build().new_agent().get(format!("http://{host}:{port}/generate_204")).call()?;
    Ok(Answer::of(&came))
}

impl Answer {
    fn of<B>(came: &ureq::http::Response<B>) -> Self {
        let header = |name: &str| Some(came.headers().get(name)?.to_str().ok()?.to_owned());
        Self {
            status: came.status().as_u16(),
            date: header("date"),
            location: header("location"),
            relays: None,
            at: SystemTime::now(),
        }
    }
}

fn document(mut answer: ureq::http::Response<ureq::Body>) -> Result<WellKnown, WellKnownError> {
    let text = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string()?;
    serde_json::from_str(&text).map_err(|_| WellKnownError::NotADesk)
}

/// The HTTP client for `host`.
fn client(host: &str, insecure_http: bool, proxy: Option<&Proxy>) -> Result<ureq::Agent, ureq::Error> {
    let tls = ureq::tls::TlsConfig::builder()
        .provider(ureq::tls::TlsProvider::Rustls)
        .root_certs(ureq::tls::RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .https_only(!insecure_http)
        // Said in any case: left alone, it reads the environment by other rules than the way to the relay.
        .proxy(proxy.filter(|proxy| !insecure_http && proxy.is_for(name_of(host))).map(through).transpose()?)
        .max_redirects(if insecure_http { 0 } else { REDIRECTS_MAX })
        .timeout_global(Some(DEADLINE))
        .user_agent(USER_AGENT);
    Ok(config.build().new_agent())
}

const USER_AGENT: &str = concat!("belay-agent/", env!("CARGO_PKG_VERSION"));

/// Compares what `host` says with the organization key of the invite.
pub fn verify(host: &str, organization: &OrganizationKey, insecure_http: bool, proxy: Option<&Proxy>) -> Verification {
    match fetch(host, insecure_http, proxy) {
        Ok(document) if document.organization() == Some(*organization) => Verification::Verified,
        Ok(document) if document.organization().is_some() => Verification::Contradicted,
        Ok(_) => Verification::Unverified(WellKnownError::NotADesk.to_string()),
        Err(error) => Verification::Unverified(error.to_string()),
    }
}

/// Says whether `host`, with or without a port, names this machine and nothing else.
pub fn is_loopback(host: &str) -> bool {
    is_here(name_of(host))
}

/// As [`is_loopback`], for a name or an address without a port and without brackets.
pub fn is_here(name: &str) -> bool {
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The port behind a host, if it has one.
pub fn port_of(host: &str) -> Option<u16> {
    let rest = host.strip_prefix('[').map_or(host, |bracketed| bracketed.split_once(']').map_or("", |(_, rest)| rest));
    rest.rsplit_once(':')?.1.parse().ok()
}

/// A host without its port and its brackets.
pub fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Says whether the proxy has answered 407. The client tells it in words only.
fn is_proxy_password(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::ConnectProxyFailed(why) if why.contains("407"))
}

/// The proxy as the HTTP client takes it.
fn through(proxy: &Proxy) -> Result<ureq::Proxy, ureq::Error> {
    // It wants an IPv6 address in brackets.
    let host = if proxy.host.contains(':') { format!("[{}]", proxy.host) } else { proxy.host.clone() };
    let mut builder = ureq::Proxy::builder(ureq::ProxyProtocol::Http).host(&host).port(proxy.port);
    if let Some((name, password)) = proxy.credentials() {
        builder = builder.username(&name).password(&password);
    }
    builder.build()
}

/// Time for the whole request; the customer waits for it on the phone.
pub const DEADLINE: Duration = Duration::from_secs(8);

const REDIRECTS_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_and_password_of_a_proxy_reach_the_client_as_they_are() {
        for (address, name, password) in [
            ("http://user:p%40ss@proxy:3128", "user", "p@ss"),
            ("http://domain\\user:a:b@proxy", "domain\\user", "a:b"),
            ("http://user:%e5%af%86@[::1]:1", "user", "密"),
        ] {
            let proxy = Proxy::parse(address).unwrap();
            let through = through(&proxy).unwrap();
            assert_eq!((through.username(), through.password()), (Some(name), Some(password)), "{address}");
            assert_eq!(through.port(), proxy.port);
        }
    }

    #[test]
    fn certificates_say_whose_fault_it_is() {
        use rustls::{CertificateError as Bad, Error as Tls};
        let check = |bad| WellKnownError::Certificate(Tls::InvalidCertificate(bad)).outcome();
        assert_eq!(check(Bad::UnknownIssuer), Https::Untrusted);
        assert_eq!(check(Bad::NotValidYet), Https::WrongTime);
        assert_eq!(check(Bad::NotValidForName), Https::WrongName);
        assert_eq!(WellKnownError::from(ureq::Error::HostNotFound).outcome(), Https::NoName);
    }

    #[test]
    fn a_name_that_is_not_found_is_told_as_that_on_every_system() {
        let outcome = |error| WellKnownError::from(ureq::Error::Io(error)).outcome();
        let told_by_unix = io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(outcome(told_by_unix), Https::NoName);
        // Of Windows, whose words are in its own language.
        for number in [11_001, 11_002, 11_003, 11_004] {
            assert_eq!(outcome(io::Error::from_raw_os_error(number)), Https::NoName, "{number}");
        }
        for number in [11_000, 11_005] {
            assert_eq!(outcome(io::Error::from_raw_os_error(number)), Https::Failed, "{number}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:80", "[::1]:8080", "127.1.2.3"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["help.example.com", "localhost.example.com", "10.0.0.1", "[::2]:80", "", "0.0.0.0"] {
            assert!(!is_loopback(host), "{host}");
            assert!(matches!(fetch(host, true, None), Err(WellKnownError::InsecureHost)), "{host}");
        }
    }
}
