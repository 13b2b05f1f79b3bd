//! The client side that agents and consoles share: two QUIC endpoints over one path socket, the control connection to
//! each relay, and the sessions that travel through it.

mod dial;
mod link;
mod measure;
mod proxy;
mod registration;
mod session;
mod socket;
mod tunnel;
mod watch;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use belay_protocol::invite::RelayAddress;
use belay_protocol::limits;
use belay_protocol::message::PeerRoute;
use belay_protocol::{RelayKey, RouteId, RouteSalt};
use quinn::{ClientConfig, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use rand::Rng;
use tokio::time::Instant;

use crate::close::Close;
use crate::identity::Identity;
use crate::net::{self, Net};
use crate::packet::SESSION_CID_BYTES;
use crate::transport::Congestion;
use crate::{tls, transport};

pub use link::{DialError, Link, PathFigures};
pub use measure::Measured;
pub use proxy::{NotAProxy, Proxy, ProxyError};
pub use quinn::{RecvStream, SendStream};
pub use registration::{FurtherRelays, InUse, Notice, Registration, RelayError, Role};
pub use session::{
    Arrival, ChannelError, ChannelReader, ChannelWriter, Over, Phase, Redial, Resumables, SamePeer, Session,
};
use socket::{Choice, PathSocket, Plane};

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Where its socket comes from.
    pub net: Arc<dyn Net>,
    /// Congestion controller of its sessions.
    pub congestion: Congestion,
    /// Whether sessions may come in: true for consoles.
    pub accepts_sessions: bool,
    /// Silence on a control connection after which it is probed. Short where somebody waits, because this is how the
    /// restart of a relay is noticed.
    pub keep_alive: Duration,
    /// Which ways to a relay are tried.
    pub ways: Ways,
    /// The proxy that tunnels go through.
    pub proxy: Option<Proxy>,
}

/// Ways to a relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ways {
    /// UDP, and a tunnel where that does not get through.
    #[default]
    All,
    /// UDP alone.
    Udp,
    /// A tunnel over TCP alone.
    Tunnel,
}

impl Ways {
    /// How far UDP is ahead of tunnels when both are tried and it would be `after`; `None` for no tunnels.
    fn tunnels_after(self, after: Duration) -> Option<Duration> {
        match self {
            Self::Udp => None,
            Self::All => Some(after),
            Self::Tunnel => Some(Duration::ZERO),
        }
    }
}

impl ClientOptions {
    /// The options of an agent on `net`; a console also accepts sessions.
    pub fn new(net: Arc<dyn Net>) -> Self {
        Self {
            net,
            congestion: Congestion::default(),
            accepts_sessions: false,
            keep_alive: limits::KEEP_ALIVE,
            ways: Ways::default(),
            proxy: None,
        }
    }
}

/// One agent's or one console's presence on the network.
///
/// Clones share it. It ends when [`Client::close`] is called or the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Client {
    ends: Arc<Ends>,
}

#[derive(Debug)]
struct Ends {
    identity: Arc<Identity>,
    salt: RouteSalt,
    socket: Arc<PathSocket>,
    control: Endpoint,
    session: Endpoint,
    options: ClientOptions,
    /// Relays that have asked to be left alone, and until when.
    held_off: Mutex<HashMap<RelayKey, Instant>>,
}

/// Why a client could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No socket.
    #[error("no UDP socket could be opened: {0}")]
    Socket(#[from] io::Error),
    /// The identity cannot be used for TLS.
    #[error("the key of this program cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

impl Client {
    /// Binds a socket and draws a fresh route id. Needs a tokio runtime.
    pub fn start(identity: Arc<Identity>, options: ClientOptions) -> Result<Self, StartError> {
        let mut salt = RouteSalt([0; 16]);
        rand::rng().fill_bytes(&mut salt.0);
        let route = RouteId::derive(identity.public_key(), &salt);
        let choice = if options.accepts_sessions { Choice::Peers } else { Choice::Ours };
        let socket = PathSocket::new(net::bind_anywhere(options.net.as_ref())?, route, choice);
        let control = Endpoint::new_with_abstract_socket(
            with_ids(move || ControlIds { not: route }),
            None,
            socket.face(Plane::Control),
            Arc::new(TokioRuntime),
        )?;
        let server = options.accepts_sessions.then(|| session_server(&identity, options.congestion)).transpose()?;
        let session = Endpoint::new_with_abstract_socket(
            with_ids(move || SessionIds { route }),
            server,
            socket.face(Plane::Session),
            Arc::new(TokioRuntime),
        )?;
        Ok(Self {
            ends: Arc::new(Ends { identity, salt, socket, control, session, options, held_off: Mutex::default() }),
        })
    }

    /// Registers with a relay and stays registered, through restarts and outages, until the registration is dropped.
    pub fn register(&self, relay: RelayAddress, role: Role) -> Registration {
        self.register_nearest(vec![relay], role)
    }

    /// Registers with the one of `relays` that answers first, and with another when it dies, until the registration is
    /// dropped.
    pub fn register_nearest(&self, relays: Vec<RelayAddress>, role: Role) -> Registration {
        Registration::spawn(self.clone(), relays, role)
    }

    /// Opens a session with a peer that a relay has paired us with. The peer's key is the one that the relay told: that
    /// it speaks for the right organization is for the caller to check before anything else is said.
    pub async fn dial(&self, peer: &PeerRoute) -> Result<Link, DialError> {
        let tls = tls::client(&self.ends.identity, tls::SESSION_ALPN, Some(peer.key)).map_err(DialError::Tls)?;
        let mut config = ClientConfig::new(Arc::new(tls));
        config.transport_config(transport::session(self.ends.options.congestion, jitter()));
        let route = peer.route();
        config.initial_dst_cid_provider(Arc::new(move || SessionIds { route }.generate_cid()));
        let connecting = self.ends.session.connect_with(config, self.ends.socket.virtual_peer(), tls::SERVER_NAME)?;
        let connection = tokio::time::timeout(limits::HANDSHAKE_DEADLINE, connecting)
            .await
            .map_err(|_| DialError::NoAnswer)?
            .map_err(DialError::from)?;
        Link::new(connection).ok_or(DialError::NoAnswer)
    }

    /// The next session that an agent wants to open; `None` once the client is closed.
    pub async fn accept(&self) -> Option<Arriving> {
        loop {
            if let Ok(connecting) = self.ends.session.accept().await?.accept() {
                return Some(Arriving { connecting });
            }
        }
    }

    /// Closes every session, then every control connection, and waits until the peers have been told, for at most a
    /// second each. In this order, because a relay forwards only for those who are registered.
    pub async fn close(&self) {
        for endpoint in [&self.ends.session, &self.ends.control] {
            endpoint.close(Close::Stopping.code(), b"");
            let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
        }
    }

    /// This end's public key with the salt of its route id.
    pub fn route(&self) -> PeerRoute {
        PeerRoute { key: *self.ends.identity.public_key(), salt: self.ends.salt }
    }
}

/// A session whose handshake is still to come. The caller runs each in a task of its own, so that a slow one does not
/// hold up the next, and bounds their number.
#[derive(Debug)]
pub struct Arriving {
    connecting: quinn::Connecting,
}

impl Arriving {
    /// Finishes the handshake; `None` if it fails or takes too long. Nobody is trusted afterwards: only the agent's key
    /// is proved.
    pub async fn handshake(self) -> Option<Link> {
        match tokio::time::timeout(limits::HANDSHAKE_DEADLINE, self.connecting).await {
            Ok(Ok(connection)) => Link::new(connection),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a session's handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a session's handshake took too long");
                None
            }
        }
    }
}

fn session_server(identity: &Identity, congestion: Congestion) -> Result<ServerConfig, rustls::Error> {
    let mut server = ServerConfig::with_crypto(Arc::new(tls::server(identity, tls::SESSION_ALPN)?));
    server
        .transport_config(transport::unadmitted_session(congestion, jitter()))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFER_BYTES * INCOMING_MAX as u64)
        // The path socket hides every change of path.
        .migration(false);
    Ok(server)
}

/// A name may have many addresses; this many are tried.
const ADDRESSES_MAX: usize = 4;

/// Time between the starts of attempts at two addresses of one host (RFC 8305, section 8).
const ADDRESS_STAGGER: Duration = Duration::from_millis(250);

/// Handshakes that may wait at once.
const INCOMING_MAX: usize = 256;

/// Bytes kept of a handshake that waits.
const INCOMING_BUFFER_BYTES: u64 = 16 * 1024;

fn with_ids<G: ConnectionIdGenerator + 'static>(ids: impl Fn() -> G + Send + Sync + 'static) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.cid_generator(move || Box::new(ids()));
    config
}

/// A number between 0 and 1 that spreads the timers of ends that started together.
fn jitter() -> f64 {
    f64::from(rand::rng().next_u32()) / f64::from(u32::MAX)
}

/// Ids of session connections: the route id, then random bytes.
struct SessionIds {
    route: RouteId,
}

impl ConnectionIdGenerator for SessionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; SESSION_CID_BYTES];
        id[..RouteId::LEN].copy_from_slice(&self.route.0);
        rand::rng().fill_bytes(&mut id[RouteId::LEN..]);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        SESSION_CID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Ids of control connections: random, and never our own route id.
struct ControlIds {
    not: RouteId,
}

impl ConnectionIdGenerator for ControlIds {
    fn generate_cid(&mut self) -> ConnectionId {
        loop {
            let mut id = [0; RouteId::LEN];
            rand::rng().fill_bytes(&mut id);
            if id != self.not.0 {
                return ConnectionId::new(&id);
            }
        }
    }

    fn cid_len(&self) -> usize {
        RouteId::LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
