//! How fast a channel of a session is beside a bare stream of the same link, through a relay on this machine:
//! `cargo run --release -p belay-relay --example channel_rate [MIB]`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use belay_protocol::invite::RelayAddress;
use belay_protocol::message::PeerRoute;
use belay_relay::client::{Arrival, Client, ClientOptions, Link, Notice, Resumables, Role, SamePeer, Session};
use belay_relay::identity::Identity;
use belay_relay::net::SystemNet;
use belay_relay::server::{Config, Relay};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

const PIECE_BYTES: usize = 64 * 1024;
const ROUNDS: usize = 5;

#[tokio::main]
#[allow(clippy::print_stdout)]
async fn main() -> anyhow::Result<()> {
    let mib: usize = std::env::args().nth(1).map_or(Ok(256), |mib| mib.parse())?;
    let bytes = mib << 20;
    let dir = tempfile::tempdir()?;
    let relay = Relay::bind(&Config::open(SocketAddr::from(([127, 0, 0, 1], 0)), dir.path().to_owned()))?;
    let socket = relay.local_addr();
    let address = RelayAddress { host: socket.ip().to_string(), port: socket.port(), key: relay.key() };
    tokio::spawn(relay.run(CancellationToken::new()));

    let (organization, console) = (Identity::generate()?, Identity::generate()?);
    let delegation = organization.delegate(console.console_key(), i64::MAX);
    let desk = client(console, true)?;
    let mut present = desk.register(address.clone(), Role::Desk(delegation));
    let _ = present.notice().await;
    let agent = client(Identity::generate()?, false)?;
    let mut registered = agent.register(address, Role::Agent);
    registered.reach(organization.organization_key()).await;
    let peer = loop {
        if let Notice::Opened { peer, .. } = registered.notice().await.context("no registration")? {
            break peer;
        }
    };
    let (ours, theirs) = link(&agent, &desk, &peer).await?;
    theirs.admit();
    let (near_link, far_link) = link(&agent, &desk, &peer).await?;
    let resumables = Resumables::default();
    let (session, far) = tokio::join!(Session::begin(near_link), resumables.arrive(far_link));
    let (session, Arrival::Fresh(far)) = (session?, far?) else { anyhow::bail!("a fresh session") };
    far.admit(&resumables);
    session.outlive_links(SamePeer { client: agent.clone(), peer });
    println!("{:>10} {:>12} {:>12} {:>8}", "MiB", "stream MB/s", "channel MB/s", "ratio");
    for _ in 0..ROUNDS {
        let stream = over_stream(&ours, &theirs, bytes).await?;
        let channel = over_channel(&session, &far, bytes).await?;
        println!("{mib:>10} {stream:>12.0} {channel:>12.0} {:>8.2}", channel / stream);
    }
    Ok(())
}

fn client(identity: Identity, accepts_sessions: bool) -> anyhow::Result<Client> {
    let (net, keep_alive) = (Arc::new(SystemNet), Duration::from_secs(5));
    let options = ClientOptions { accepts_sessions, keep_alive, ..ClientOptions::new(net) };
    Ok(Client::start(Arc::new(identity), options)?)
}

/// Both ends of a new link.
async fn link(agent: &Client, desk: &Client, peer: &PeerRoute) -> anyhow::Result<(Link, Link)> {
    let accept = async { desk.accept().await?.handshake().await };
    let (ours, theirs) = tokio::join!(agent.dial(peer), accept);
    Ok((ours?, theirs.context("no handshake")?))
}

/// Megabytes a second over a bare stream.
async fn over_stream(ours: &Link, theirs: &Link, bytes: usize) -> anyhow::Result<f64> {
    let theirs = theirs.clone();
    let reading = tokio::spawn(async move {
        let (_send, mut recv) = theirs.accept_bi().await?;
        let mut read = 0;
        while let Some(chunk) = recv.read_chunk(PIECE_BYTES, true).await? {
            read += chunk.bytes.len();
        }
        anyhow::Ok(read)
    });
    let began = Instant::now();
    let (mut send, _recv) = ours.open_bi().await?;
    let piece = Bytes::from(vec![7; PIECE_BYTES]);
    for _ in 0..bytes / PIECE_BYTES {
        send.write_chunk(piece.clone()).await?;
    }
    send.finish()?;
    anyhow::ensure!(reading.await?? == bytes);
    Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
}

/// Megabytes a second over a channel.
async fn over_channel(ours: &Session, theirs: &Session, bytes: usize) -> anyhow::Result<f64> {
    let theirs = theirs.clone();
    let reading = tokio::spawn(async move {
        let (_writer, mut reader) = theirs.accept_channel().await?;
        let mut read = 0;
        while let Some(chunk) = reader.read_chunk(PIECE_BYTES).await? {
            read += chunk.len();
        }
        anyhow::Ok(read)
    });
    let began = Instant::now();
    let (mut writer, _reader) = ours.open_channel()?;
    let piece = Bytes::from(vec![7; PIECE_BYTES]);
    for _ in 0..bytes / PIECE_BYTES {
        writer.write_chunk(piece.clone()).await?;
    }
    writer.deliver().await.context("not delivered")?;
    anyhow::ensure!(reading.await?? == bytes);
    Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
}
