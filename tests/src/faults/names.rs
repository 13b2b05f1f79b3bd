//! Name servers that answer, lie, dawdle or are dead.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

use super::{Space, mortal};
use crate::namespaces::{Host, Namespace};
use crate::programs::Running;

/// The internet's names, as far as tests ask for them: the root zone, one public name, and a desk.
#[derive(Debug)]
pub struct Names {
    delay_ms: Arc<AtomicU64>,
    _task: AbortOnDropHandle<()>,
    _host: Host,
}

impl Names {
    /// Serves them on the loopback of `namespace`; `desk` is a name with its address.
    pub async fn start(namespace: &Namespace, desk: (&str, Ipv4Addr)) -> anyhow::Result<Self> {
        let host = Host::start(namespace)?;
        let socket = host.run(async { Ok(UdpSocket::bind(UPSTREAM).await?) }).await?;
        let delay_ms = Arc::new(AtomicU64::new(0));
        let (delay, desk) = (Arc::clone(&delay_ms), (desk.0.to_owned(), desk.1));
        let task = host.spawn(serve(Arc::new(socket), desk, delay));
        Ok(Self { delay_ms, _task: task, _host: host })
    }

    /// Lets every answer come this much later.
    pub fn dawdle(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

const UPSTREAM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5_353);

/// A name in every public name server.
const PUBLIC_NAME: &str = "a.root-servers.net";

async fn serve(socket: Arc<UdpSocket>, desk: (String, Ipv4Addr), delay_ms: Arc<AtomicU64>) {
    let mut question = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut question).await {
        let Some(answer) = answer(&question[..length], &desk) else { continue };
        let (socket, delay) = (Arc::clone(&socket), Duration::from_millis(delay_ms.load(Ordering::Relaxed)));
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = socket.send_to(&answer, from).await;
        });
    }
}

/// Answers a question with one record, with none, or with a name that does not exist (RFC 1035, section 4.1).
fn answer(question: &[u8], desk: &(String, Ipv4Addr)) -> Option<Vec<u8>> {
    let (header, mut rest) = question.split_at_checked(12)?;
    let mut labels = Vec::new();
    loop {
        let (&length, after) = rest.split_first()?;
        let (label, after) = after.split_at_checked(usize::from(length))?;
        rest = after;
        if label.is_empty() {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
    }
    let kind = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
    let asked = &question[12..question.len() - rest.len() + 4];
    let name = labels.join(".");
    let address = |address: Ipv4Addr| (kind == TYPE_A).then(|| address.octets().to_vec());
    let (exists, record) = match name.as_str() {
        "" => (true, (kind == TYPE_NS).then(|| b"\x01a\x0croot-servers\x03net\0".to_vec())),
        PUBLIC_NAME => (true, address(Ipv4Addr::new(198, 41, 0, 4))),
        name if name == desk.0 => (true, address(desk.1)),
        _ => (false, None),
    };
    let mut answer = header[..2].to_vec();
    answer.extend([0x81, if exists { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(record.is_some()), 0, 0, 0, 0]);
    answer.extend(asked);
    if let Some(record) = record {
        // The name is the one at byte 12; class IN, and a minute.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(record.len()).ok()?.to_be_bytes());
        answer.extend(record);
    }
    Some(answer)
}

const TYPE_A: u16 = 1;
const TYPE_NS: u16 = 2;

/// The dnsmasq of a router, which asks [`Names`] on its own loopback.
#[derive(Debug)]
pub struct NameServer {
    _running: Running,
}

impl NameServer {
    /// Starts one at `address` in `namespace`, with `more` options, and waits until it answers.
    pub fn start(namespace: &Namespace, address: Ipv4Addr, more: &[&str]) -> anyhow::Result<Self> {
        let mut dnsmasq = Command::new("dnsmasq");
        dnsmasq.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-hosts"]);
        dnsmasq.args(["--no-resolv", "--cache-size=0", "--bind-interfaces", "--log-facility=-"]);
        dnsmasq
            .arg(format!("--server={}#{}", UPSTREAM.ip(), UPSTREAM.port()))
            .arg(format!("--listen-address={address}"));
        let running = Running::start(&mut namespace.inside(&mortal(dnsmasq.args(more))))?;
        let bound = format!(":{:04X} ", 53);
        for _ in 0..500 {
            if namespace.run("cat", &["/proc/net/udp"])?.contains(&bound) {
                return Ok(Self { _running: running });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("dnsmasq does not listen: {}", running.err().text())
    }
}

/// Makes programs in a space ask these servers for names.
pub fn resolve_by(space: &Space, servers: &[Ipv4Addr]) -> anyhow::Result<TempDir> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("resolv.conf");
    let mut file = File::create(&path)?;
    servers.iter().try_for_each(|server| writeln!(file, "nameserver {server}"))?;
    let path = path.to_str().context("a temporary directory has a plain name")?;
    space.run("mount", &["--bind", path, "/etc/resolv.conf"])?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &[u8], kind: u8) -> Vec<u8> {
        [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name, &[0, kind, 0, 1]].concat()
    }

    #[test]
    fn what_is_asked_for_is_answered() {
        let desk = ("help.example".to_owned(), Ipv4Addr::new(10, 0, 0, 1));
        let check = |name: &[u8], kind, code, count| {
            let answer = answer(&question(name, kind), &desk).unwrap();
            assert_eq!((&answer[..2], answer[3], answer[7]), ([7, 7].as_slice(), code, count), "{name:?}");
        };
        check(b"\0", 2, 0x80, 1);
        check(b"\x04help\x07example\0", 1, 0x80, 1);
        check(b"\x04help\x07example\0", 28, 0x80, 0);
        check(b"\x01x\x07invalid\0", 1, 0x83, 0);
        assert_eq!(answer(b"\x07\x07", &desk), None);
    }
}
