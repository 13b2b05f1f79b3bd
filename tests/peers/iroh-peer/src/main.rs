//! iroh as the relay's bench sees it: `relay` is iroh's relay as a process of its own, `session` two endpoints of iroh
//! with nothing but that relay between them, `idle` many clients that are connected and silent.
//!
//! The relay is iroh-relay's server with its defaults, no limits, and TLS as it is deployed; `--plain` leaves TLS out, as
//! its development mode does. Endpoints have no IP transport, so that neither direct paths nor hole punching exist; the
//! rest is what iroh chooses: windows, congestion controller, MTU, *ring*. Windows as large as Belay's make it fail: when its
//! relay drops packets, more gaps in a stream than noq allows end the connection ("too many gaps in stream buffer").
//! Every mode ends with its standard input.

#[path = "../../../benches/relay/payload.rs"]
mod payload;
#[path = "../../../benches/relay/process.rs"]
mod process;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Parser, Subcommand};
use futures_util::StreamExt;
use iroh::dns::DnsResolver;
use iroh::endpoint::{Connection, RecvStream, SendStream, presets};
use iroh::tls::{CaTlsConfig, default_provider};
use iroh::{Endpoint, EndpointAddr, RelayConfig, RelayMap, RelayMode, RelayUrl, SecretKey};
use iroh_relay::client::ClientBuilder;
use iroh_relay::server::{CertConfig, RelayConfig as Serve, Server, ServerConfig, TlsConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::task::JoinSet;

use payload::{Plan, Session};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Run a relay and print its URL
    Relay {
        /// File to write the relay's certificate to
        #[arg(long)]
        certificate: PathBuf,
        /// HTTP instead of HTTPS
        #[arg(long)]
        plain: bool,
    },
    /// Measure a connection through a relay and print the figures as JSON
    Session {
        #[command(flatten)]
        relay: Relay,
        /// Process id of the relay
        #[arg(long)]
        relay_pid: u32,
        /// What to measure, as JSON
        #[arg(long)]
        plan: String,
    },
    /// Hold clients that are connected to a relay and silent; print a line when all are
    Idle {
        #[command(flatten)]
        relay: Relay,
        /// How many
        #[arg(long)]
        count: usize,
    },
}

#[derive(Debug, clap::Args)]
struct Relay {
    /// URL of the relay
    #[arg(long)]
    relay: RelayUrl,
    /// File with its certificate
    #[arg(long)]
    certificate: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // A thread of its own: tokio's would hold the end of the process up until there is input.
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    match Cli::parse().mode {
        Mode::Relay { certificate, plain } => serve(&certificate, plain).await,
        Mode::Session { relay, relay_pid, plan } => session(&relay, relay_pid, &serde_json::from_str(&plan)?).await,
        Mode::Idle { relay, count } => idle(&relay, count).await,
    }
}

async fn serve(certificate: &Path, plain: bool) -> anyhow::Result<()> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let made = rcgen::generate_simple_self_signed(vec![Ipv4Addr::LOCALHOST.to_string()])?;
    std::fs::write(certificate, made.cert.pem())?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let server_config = rustls::ServerConfig::builder_with_provider(default_provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    let mut relay = Serve::new(anywhere);
    if !plain {
        relay.tls = Some(TlsConfig::new(anywhere, CertConfig::Manual { server_config }));
    }
    let mut config = ServerConfig::default();
    config.relay = Some(relay);
    let server = Server::spawn(config).await?;
    let (scheme, address) = match server.https_addr() {
        Some(address) => ("https", address),
        None => ("http", server.http_addr().context("the relay has no address")?),
    };
    writeln!(io::stdout(), "{scheme}://{address}")?;
    std::future::pending().await
}

async fn session(relay: &Relay, relay_pid: u32, plan: &Plan) -> anyhow::Result<()> {
    let (ours, theirs) = (endpoint(relay).await?, endpoint(relay).await?);
    let there = EndpointAddr::new(theirs.id()).with_relay_url(relay.relay.clone());
    let connecting = ours.connect(there, ALPN);
    let accepting = async { anyhow::Ok(theirs.accept().await.context("closed")?.await?) };
    let (connected, accepted) = tokio::join!(connecting, accepting);
    let figures = payload::measure(&Streams(connected?), &Streams(accepted?), plan, Some(relay_pid)).await?;
    writeln!(io::stdout(), "{}", serde_json::to_string(&figures)?)?;
    Ok(())
}

async fn endpoint(relay: &Relay) -> anyhow::Result<Endpoint> {
    let endpoint = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Custom(RelayMap::from_iter([RelayConfig::new(relay.relay.clone(), None)])))
        .clear_ip_transports()
        .ca_tls_config(relay.trust()?)
        .alpns(vec![ALPN.to_vec()])
        .bind()
        .await?;
    endpoint.online().await;
    Ok(endpoint)
}

async fn idle(relay: &Relay, count: usize) -> anyhow::Result<()> {
    let tls = relay.trust()?.client_config(default_provider())?;
    let dns = DnsResolver::new();
    let mut clients = JoinSet::new();
    for _ in 0..count {
        let builder = ClientBuilder::new(relay.relay.clone(), SecretKey::generate(), dns.clone());
        let mut client = builder.tls_client_config(tls.clone()).connect().await?;
        clients.spawn(async move { while client.next().await.is_some() {} });
    }
    writeln!(io::stdout(), "connected")?;
    std::future::pending().await
}

impl Relay {
    fn trust(&self) -> anyhow::Result<CaTlsConfig> {
        Ok(CaTlsConfig::custom_roots([CertificateDer::from_pem_file(&self.certificate)?]))
    }
}

#[derive(Debug, Clone)]
struct Streams(Connection);

impl Session for Streams {
    type Writer = SendStream;
    type Reader = RecvStream;

    async fn open(&self) -> io::Result<(SendStream, RecvStream)> {
        Ok(self.0.open_bi().await?)
    }

    async fn accept(&self) -> io::Result<(SendStream, RecvStream)> {
        Ok(self.0.accept_bi().await?)
    }

    fn prefer(writer: &SendStream) {
        // Fails only on a stream that has ended.
        let _ = writer.set_priority(1);
    }
}

const ALPN: &[u8] = b"belay-bench/1";
