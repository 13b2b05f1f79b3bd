//! The two ends of every contender but iroh, both in this process: quinn by itself, or Belay's client.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use anyhow::Context;
use belay_relay::client::Link;
use belay_relay::identity::Identity;
use belay_relay::net::SystemNet;
use belay_relay::tls;
use belay_relay::transport::{self, Congestion};
use belay_tests::links::{Agent, Desk};
use quinn::{
    AsyncUdpSocket, ClientConfig, Connection, Endpoint, EndpointConfig, RecvStream, Runtime, SendStream, ServerConfig,
    TokioRuntime,
};
use rustix::net::sockopt;

use crate::payload::Session;
use crate::servers::{self, Programs, Server};
use crate::turn::{Allocation, TurnSocket};

/// One end of a connection between two bare quinn endpoints. The endpoints live as long as their connection.
#[derive(Debug, Clone)]
pub(crate) struct Quinn(Connection);

/// One end of a Belay session, with what keeps it registered.
#[derive(Debug)]
pub(crate) struct Belay<P> {
    link: Link,
    _presence: Arc<P>,
}

impl<P> Clone for Belay<P> {
    fn clone(&self) -> Self {
        Self { link: self.link.clone(), _presence: Arc::clone(&self._presence) }
    }
}

/// The ends and the relay between them.
pub(crate) type Through = (Quinn, Quinn, Server);

/// Nothing between the ends.
pub(crate) async fn direct() -> anyhow::Result<(Quinn, Quinn)> {
    let (ours, theirs) = (loopback_socket()?, loopback_socket()?);
    let destination = theirs.local_addr()?;
    connect(wrap(ours)?, wrap(theirs)?, destination).await
}

/// The bare loop between them.
pub(crate) async fn through_raw_loop(programs: &Programs) -> anyhow::Result<Through> {
    let (ours, theirs) = (loopback_socket()?, loopback_socket()?);
    let (server, address) = servers::raw_loop(programs, [ours.local_addr()?, theirs.local_addr()?])?;
    let (ours, theirs) = connect(wrap(ours)?, wrap(theirs)?, address).await?;
    Ok((ours, theirs, server))
}

/// An allocation of the accepting end between them.
pub(crate) async fn through_coturn(programs: &Programs) -> anyhow::Result<Through> {
    let (ours, theirs) = (loopback_socket()?, loopback_socket()?);
    let (server, address) = servers::coturn(programs)?;
    let allocation = Allocation::make(&theirs, address)?;
    let channel = allocation.bind_channel(&theirs, ours.local_addr()?)?;
    let theirs = Arc::new(TurnSocket::new(wrap(theirs)?, channel));
    let (ours, theirs) = connect(wrap(ours)?, theirs, allocation.relayed).await?;
    Ok((ours, theirs, server))
}

/// An allocation of each end between them; each sends through its own channel to the other's relayed address.
pub(crate) async fn through_coturn_twice(programs: &Programs) -> anyhow::Result<Through> {
    let (ours, theirs) = (loopback_socket()?, loopback_socket()?);
    let (server, address) = servers::coturn(programs)?;
    let (here, there) = (Allocation::make(&ours, address)?, Allocation::make(&theirs, address)?);
    let to_theirs = here.bind_channel(&ours, there.relayed)?;
    let to_ours = there.bind_channel(&theirs, here.relayed)?;
    let ours = Arc::new(TurnSocket::new(wrap(ours)?, to_theirs));
    let theirs = Arc::new(TurnSocket::new(wrap(theirs)?, to_ours));
    let (ours, theirs) = connect(ours, theirs, there.relayed).await?;
    Ok((ours, theirs, server))
}

/// A Belay relay between them, started with `options`; Belay's own client at both ends.
pub(crate) async fn through_belay(
    programs: &Programs,
    options: &[&str],
) -> anyhow::Result<(Belay<Agent>, Belay<Desk>, Server)> {
    let (server, address) = servers::belay(programs, options)?;
    let desk = Desk::start(Arc::new(SystemNet), &address).await?;
    let mut agent = Agent::start(Arc::new(SystemNet), &address).await?;
    let (ours, theirs) = agent.open(&desk).await?;
    let ours = Belay { link: ours, _presence: Arc::new(agent) };
    Ok((ours, Belay { link: theirs, _presence: Arc::new(desk) }, server))
}

/// A connection from `ours` to `theirs`, which is reached at `destination`.
async fn connect(
    ours: Arc<dyn AsyncUdpSocket>,
    theirs: Arc<dyn AsyncUdpSocket>,
    destination: SocketAddr,
) -> anyhow::Result<(Quinn, Quinn)> {
    let (identity, other) = (Identity::generate()?, Identity::generate()?);
    let transport = transport::session(Congestion::Bbr, 0.0);
    let mut server = ServerConfig::with_crypto(Arc::new(tls::server(&other, tls::SESSION_ALPN)?));
    server.transport_config(Arc::clone(&transport));
    let mut client = ClientConfig::new(Arc::new(tls::client(&identity, tls::SESSION_ALPN, Some(*other.public_key()))?));
    client.transport_config(transport);
    let endpoint = |socket, server| {
        Endpoint::new_with_abstract_socket(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime))
    };
    let (ours, theirs) = (endpoint(ours, None)?, endpoint(theirs, Some(server))?);
    let connecting = ours.connect_with(client, destination, tls::SERVER_NAME)?;
    let accepting = async { anyhow::Ok(theirs.accept().await.context("the endpoint is closed")?.await?) };
    let (connected, accepted) = tokio::join!(connecting, accepting);
    Ok((Quinn(connected?), Quinn(accepted?)))
}

/// A socket with the buffers of Belay's.
pub(crate) fn loopback_socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES)?;
    sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER_BYTES)?;
    Ok(socket)
}

fn wrap(socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    TokioRuntime.wrap_udp_socket(socket)
}

/// As in `belay_relay::net`.
const SOCKET_BUFFER_BYTES: usize = 2 * 1024 * 1024;

impl Session for Quinn {
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

impl<P: Send + Sync + 'static> Session for Belay<P> {
    type Writer = SendStream;
    type Reader = RecvStream;

    async fn open(&self) -> io::Result<(SendStream, RecvStream)> {
        self.link.open_bi().await.map_err(io::Error::other)
    }

    async fn accept(&self) -> io::Result<(SendStream, RecvStream)> {
        self.link.accept_bi().await.map_err(io::Error::other)
    }

    fn prefer(writer: &SendStream) {
        Quinn::prefer(writer);
    }
}
