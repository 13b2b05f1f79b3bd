//! The page before the internet.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::namespaces::{Host, Namespace};

/// A router that answers every request by plain HTTP itself, and sends to its own page.
#[derive(Debug)]
pub struct Portal<'n> {
    router: &'n Namespace,
    _task: AbortOnDropHandle<()>,
    _host: Host,
}

impl<'n> Portal<'n> {
    /// Puts one before everybody behind `router`; whoever wants HTTPS is turned away.
    pub async fn start(router: &'n Namespace) -> anyhow::Result<Self> {
        let host = Host::start(router)?;
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        let listener = host.run(async move { Ok(TcpListener::bind(address).await?) }).await?;
        let task = host.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 2_048]).await;
                    let _ = stream.write_all(ANSWER.as_bytes()).await;
                });
            }
        });
        router.nft(&format!(
            "table ip {TABLE} {{\nchain arriving {{ type nat hook prerouting priority -100;\n\
             tcp dport 80 redirect to :{PORT}\n}}\n\
             chain passing {{ type filter hook forward priority 0;\ntcp dport 443 reject with tcp reset\n}}\n}}"
        ))?;
        Ok(Self { router, _task: task, _host: host })
    }
}

impl Drop for Portal<'_> {
    fn drop(&mut self) {
        let _ = self.router.nft(&format!("delete table ip {TABLE}"));
    }
}

const PORT: u16 = 8_080;
const TABLE: &str = "belay_portal";
const ANSWER: &str = "HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/?to=anywhere\r\nContent-Length: 0\r\n\
    Connection: close\r\n\r\n";
