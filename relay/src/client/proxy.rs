//! Passing an HTTP proxy with CONNECT (RFC 9110, section 9.3.6), as networks ask for that let nothing else out.

use std::io;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use crate::net::ByteStream;

/// An HTTP proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    authorization: Option<Authorization>,
    exempt: Vec<String>,
}

/// The value of `Proxy-Authorization`.
#[derive(Clone)]
struct Authorization(Zeroizing<String>);

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(...)")
    }
}

/// The proxy's address was not understood. The address is not repeated, because it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("HTTPS_PROXY is not an address of an HTTP proxy: expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")]
pub struct NotAProxy;

/// Why there is no connection through a proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It cannot be reached, or breaks off.
    #[error("the proxy {proxy} does not answer: {source}")]
    Unreachable {
        /// `HOST:PORT`.
        proxy: String,
        /// What the system said.
        source: io::Error,
    },
    /// What is there does not speak HTTP.
    #[error("{0} is not an HTTP proxy")]
    NotHttp(String),
    /// It wants to know who asks.
    #[error("the proxy asks for a name and a password: set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT")]
    NoCredentials,
    /// It was told, and does not agree.
    #[error("the proxy does not accept the name and the password of HTTPS_PROXY")]
    WrongCredentials,
    /// It does not let anybody through, with this status.
    #[error("the proxy refuses the connection with {0}")]
    Refused(u16),
}

impl Proxy {
    /// The proxy that `HTTPS_PROXY` names, but for the hosts in `NO_PROXY`; lower-case names count as well. `variable`
    /// looks a variable up.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, NotAProxy> {
        let either = |name: &str| {
            let found = variable(&name.to_lowercase()).or_else(|| variable(name));
            found.filter(|value| !value.trim().is_empty())
        };
        let Some(address) = either("HTTPS_PROXY") else { return Ok(None) };
        let exempt = either("NO_PROXY").unwrap_or_default();
        let exempt =
            exempt.split(',').map(|host| host.trim().trim_start_matches("*.").trim_start_matches('.').to_lowercase());
        Ok(Some(Self { exempt: exempt.filter(|host| !host.is_empty()).collect(), ..Self::parse(address.trim())? }))
    }

    /// Reads `http://[USER:PASSWORD@]HOST[:PORT]`.
    pub fn parse(address: &str) -> Result<Self, NotAProxy> {
        let rest = match address.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(NotAProxy),
            None => address,
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            // The colons of an IPv6 address in brackets are not its port's.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| NotAProxy)?),
            _ => (place, DEFAULT_PORT),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if !belay_protocol::invite::is_host(host) || port == 0 {
            return Err(NotAProxy);
        }
        let authorization = user.map(|user| {
            let plain = Zeroizing::new(percent_decoded(user));
            Authorization(Zeroizing::new(format!("Basic {}", BASE64.encode(&plain))))
        });
        Ok(Self { host: host.to_owned(), port, authorization, exempt: Vec::new() })
    }

    /// The name and the password that it asks for, where they are text; for clients of other protocols.
    pub fn credentials(&self) -> Option<(String, Zeroizing<String>)> {
        let Authorization(value) = self.authorization.as_ref()?;
        let plain = Zeroizing::new(BASE64.decode(value.strip_prefix("Basic ")?.as_bytes()).ok()?);
        let (name, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
        Some((name.to_owned(), Zeroizing::new(password.to_owned())))
    }

    /// Says whether connections to `host` go through it.
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        let is_exempt = |exempt: &String| {
            exempt == "*"
                || host == *exempt
                || host.strip_suffix(exempt.as_str()).is_some_and(|rest| rest.ends_with('.'))
        };
        !self.exempt.iter().any(is_exempt)
    }

    /// Its `HOST:PORT`.
    pub fn host_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    pub(super) fn unreachable(&self, source: io::Error) -> ProxyError {
        ProxyError::Unreachable { proxy: self.host_port(), source }
    }

    /// Asks for a connection to `target` (`HOST:PORT`) on a stream to the proxy.
    pub(super) async fn connect(&self, stream: &mut dyn ByteStream, target: &str) -> Result<(), ProxyError> {
        let answer = self.ask(stream, target).await.map_err(|source| self.unreachable(source))?;
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&answer);
        match response.code.filter(|_| matches!(parsed, Ok(httparse::Status::Complete(_)))) {
            Some(200..300) => Ok(()),
            Some(407) if self.authorization.is_none() => Err(ProxyError::NoCredentials),
            Some(407) => Err(ProxyError::WrongCredentials),
            Some(code) => Err(ProxyError::Refused(code)),
            None => Err(ProxyError::NotHttp(self.host_port())),
        }
    }

    /// Sends the request; the head of the answer, or as much as fits of what has no end.
    async fn ask(&self, stream: &mut dyn ByteStream, target: &str) -> io::Result<Vec<u8>> {
        let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
        if let Some(Authorization(value)) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(value);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the answer is the tunnel's.
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < ANSWER_MAX_BYTES {
            answer.push(stream.read_u8().await?);
        }
        Ok(answer)
    }
}

/// The usual port of proxies, when none is given.
const DEFAULT_PORT: u16 = 3128;

/// Bytes of a proxy's answer.
const ANSWER_MAX_BYTES: usize = 16 * 1024;

/// `%40` and the like as the bytes they stand for (RFC 3986, section 2.1).
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => {
                let digits = [*high, *low];
                std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies_are_understood() {
        let check = |text: &str, host: &str, port: u16, user: Option<&str>| {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!((proxy.host.as_str(), proxy.port), (host, port), "{text}");
            let authorization = proxy.authorization.as_ref().map(|Authorization(value)| value.as_str());
            assert_eq!(
                authorization.map(str::to_owned),
                user.map(|user| format!("Basic {}", BASE64.encode(user.as_bytes())))
            );
            assert!(!format!("{proxy:?}").contains("Basic"));
            let credentials = proxy.credentials().map(|(name, password)| format!("{name}:{}", *password));
            assert_eq!(credentials.as_deref(), user);
        };
        check("http://proxy.example.com:8080", "proxy.example.com", 8080, None);
        check("proxy:3128/", "proxy", 3128, None);
        check("HTTP://10.0.0.1", "10.0.0.1", 3128, None);
        check("http://[2001:db8::1]:80", "2001:db8::1", 80, None);
        check("http://user:p%40ss%2@proxy:1", "proxy", 1, Some("user:p@ss%2"));
        check("http://domain\\user:a@b@proxy:1", "proxy", 1, Some("domain\\user:a@b"));
        for wrong in ["", "socks5://proxy:1", "http://", "http://proxy:0", "http://proxy:x", "http://a b:1"] {
            assert_eq!(Proxy::parse(wrong).unwrap_err(), NotAProxy, "{wrong}");
        }
    }

    #[test]
    fn the_environment_names_the_proxy_and_the_exceptions() {
        let read = |variables: &[(&str, &str)]| {
            Proxy::from_environment(|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(read(&[]).unwrap().is_none() && read(&[("HTTPS_PROXY", " ")]).unwrap().is_none());
        let proxy =
            read(&[("https_proxy", "http://p:1"), ("NO_PROXY", ".example.com, 10.0.0.1,*.lan")]).unwrap().unwrap();
        for (host, is_for) in [
            ("relay.example.org", true),
            ("relay.example.com", false),
            ("Example.com", false),
            ("notexample.com", true),
            ("10.0.0.1", false),
            ("a.lan", false),
        ] {
            assert_eq!(proxy.is_for(host), is_for, "{host}");
        }
        assert!(!read(&[("HTTPS_PROXY", "p:1"), ("no_proxy", "*")]).unwrap().unwrap().is_for("x"));
        assert!(read(&[("HTTPS_PROXY", "ftp://p")]).is_err());
    }

    async fn ask(answer: &'static str) -> (Result<(), ProxyError>, String) {
        let (mut near, mut far) = tokio::io::duplex(4096);
        let proxy = Proxy::parse("http://me:secret@proxy:1").unwrap();
        let asking = async {
            let asked = proxy.connect(&mut near, "relay.example.com:443").await;
            let mut first = [0; 4];
            if asked.is_ok() {
                near.read_exact(&mut first).await.unwrap();
                assert_eq!(&first, b"next");
            }
            asked
        };
        let answering = async {
            let mut request = vec![0; 4096];
            let length = far.read(&mut request).await.unwrap();
            far.write_all(answer.as_bytes()).await.unwrap();
            drop(far);
            String::from_utf8(request[..length].to_vec()).unwrap()
        };
        tokio::join!(asking, answering)
    }

    #[tokio::test]
    async fn connect_is_asked_with_basic_authorization_and_its_answers_are_told_apart() {
        let (asked, request) = ask("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nnext").await;
        asked.unwrap();
        assert_eq!(
            request,
            "CONNECT relay.example.com:443 HTTP/1.1\r\nHost: relay.example.com:443\r\n\
             Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"
        );
        let (asked, _) = ask("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
        assert!(matches!(asked, Err(ProxyError::WrongCredentials)));
        let (asked, _) = ask("HTTP/1.1 403 Forbidden\r\n\r\n").await;
        assert!(matches!(asked, Err(ProxyError::Refused(403))));
        let (asked, _) = ask("SSH-2.0\r\n\r\n").await;
        assert!(matches!(asked, Err(ProxyError::NotHttp(_))));
        let (asked, _) = ask("HTTP/1.1 200 cut off").await;
        assert!(matches!(asked, Err(ProxyError::Unreachable { .. })));
    }
}
