//! A small HTTP proxy that knows CONNECT and asks for a password, as networks have it that let nothing else out.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A proxy that runs on loopback until it is dropped. What it carries ends with its two ends.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    targets: Mutex<Vec<String>>,
    refused: AtomicUsize,
    stop: AtomicBool,
}

/// Where the proxy goes for what it is asked for: `HOST:PORT` to `HOST:PORT`.
pub type Map = fn(&str) -> String;

impl ConnectProxy {
    /// Starts a proxy that lets those through who send `authorization` as `Proxy-Authorization`.
    pub fn start(authorization: &'static str, map: Map) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, seen) = (listener.local_addr()?, Arc::<Seen>::default());
        let shared = Arc::clone(&seen);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), seen) = (stream, Arc::clone(&shared)) else { continue };
                thread::spawn(move || serve(stream, authorization, map, &seen));
            }
        });
        Ok(Self { address, seen, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked for by those it let through, in their order.
    pub fn targets(&self) -> Vec<String> {
        self.seen.targets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it asked for a password.
    pub fn refused(&self) -> usize {
        self.seen.refused.load(Ordering::Relaxed)
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(mut client: TcpStream, authorization: &str, map: Map, seen: &Seen) -> Option<()> {
    let head = read_head(&mut client)?;
    let mut lines = head.lines();
    let target = lines.next()?.strip_prefix("CONNECT ")?.strip_suffix(" HTTP/1.1")?.to_owned();
    let presented = lines
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned()));
    if presented.as_deref() != Some(authorization) {
        seen.refused.fetch_add(1, Ordering::Relaxed);
        client.write_all(REFUSAL).ok()?;
        return client.shutdown(Shutdown::Both).ok();
    }
    let mut server = TcpStream::connect(map(&target)).ok()?;
    seen.targets.lock().unwrap_or_else(PoisonError::into_inner).push(target);
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut client);
    client.shutdown(Shutdown::Write).ok()
}

const REFUSAL: &[u8] =
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\nContent-Length: 0\r\n\r\n";

/// The head of a request; `None` when it is cut off or too long.
fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MAX_BYTES {
        client.read_exact(&mut byte).ok()?;
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).ok().filter(|head| head.ends_with("\r\n\r\n"))
}

const HEAD_MAX_BYTES: usize = 16 * 1024;
