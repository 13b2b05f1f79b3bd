//! The control connection to one relay, kept up by a task of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::OrganizationKey;
use belay_protocol::delegation::Delegation;
use belay_protocol::invite::RelayAddress;
use belay_protocol::limits::HANDSHAKE_DEADLINE;
use belay_protocol::message::{FromRelay, PeerRoute, RelayRefusal, ToRelay};
use quinn::{ClientConfig, Connection, ConnectionError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::link::is_access_denied;
use super::{Client, jitter};
use crate::close::Close;
use crate::stream::{self, Receiver, Sender, StreamError};
use crate::{tls, transport};

/// What an end registers as.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// A device; it reaches for a desk.
    Agent,
    /// A console of the organization that signed the delegation; it is reached.
    Desk(Delegation),
}

/// What a registration has to tell.
#[derive(Debug)]
pub enum Notice {
    /// Registered; also after each reconnection.
    Up,
    /// Not registered; the next try follows by itself.
    Down(RelayError),
    /// Packets to and from this peer are forwarded from now on, and sessions can be opened.
    Opened {
        /// The peer.
        peer: PeerRoute,
        /// At a desk: keyed hash of where the agent comes from, as attested by the relay.
        source: Option<[u8; 16]>,
    },
    /// The peer has gone.
    Gone(PeerRoute),
    /// The relay drops packets of the session with this peer, because its budget is used up.
    Slowed(PeerRoute),
    /// The relay did not open a pair; an agent's wish is repeated by itself while the registration lives.
    Refused(RelayRefusal),
}

/// Why an end is not registered.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The host has no address.
    #[error("the address of the relay cannot be found: {0}")]
    Resolve(io::Error),
    /// Nothing answers there.
    #[error("the relay does not answer")]
    NoAnswer,
    /// Somebody else answers.
    #[error("the relay has another key than expected")]
    WrongKey,
    /// The connection broke.
    #[error("the connection to the relay broke: {0}")]
    Lost(ConnectionError),
    /// The relay closed the connection.
    #[error("the relay closed the connection ({0:?})")]
    Closed(Close),
    /// The relay does not admit us.
    #[error("the relay does not admit this end ({0:?})")]
    Refused(RelayRefusal),
    /// What it says makes no sense.
    #[error("the relay broke the protocol: {0}")]
    Protocol(StreamError),
    /// No connection could be started.
    #[error("no connection to the relay could be started: {0}")]
    Start(String),
}

impl From<ConnectionError> for RelayError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut => Self::NoAnswer,
            error if is_access_denied(&error) => Self::WrongKey,
            error => Close::of(&error).map_or(Self::Lost(error), Self::Closed),
        }
    }
}

/// A registration with one relay. It reconnects with a growing, jittered delay until it is dropped.
#[derive(Debug)]
pub struct Registration {
    wishes: mpsc::Sender<OrganizationKey>,
    notices: mpsc::Receiver<Notice>,
    _task: AbortOnDropHandle<()>,
}

/// Notices and wishes that wait; the task blocks on a reader that does not keep up.
const QUEUE: usize = 64;

/// First delay before connecting again, and the largest.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(8);

impl Registration {
    pub(super) fn spawn(client: Client, relay: RelayAddress, role: Role) -> Self {
        let (wishes, wish_queue) = mpsc::channel(QUEUE);
        let (notice_queue, notices) = mpsc::channel(QUEUE);
        let keeper =
            Keeper { client, relay, role, wish: None, wish_due: None, wishes: wish_queue, notices: notice_queue };
        Self { wishes, notices, _task: AbortOnDropHandle::new(tokio::spawn(keeper.run())) }
    }

    /// Asks for a console of `organization`, now and after every reconnection, until the registration is dropped.
    pub async fn reach(&self, organization: OrganizationKey) {
        // The task lives as long as this handle.
        let _ = self.wishes.send(organization).await;
    }

    /// The next notice. Cancel-safe.
    pub async fn notice(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }
}

struct Keeper {
    client: Client,
    relay: RelayAddress,
    role: Role,
    /// The organization an agent wants to reach.
    wish: Option<OrganizationKey>,
    /// When a refused wish is repeated.
    wish_due: Option<Instant>,
    wishes: mpsc::Receiver<OrganizationKey>,
    notices: mpsc::Sender<Notice>,
}

type Conversation = (Connection, SocketAddr, Sender<ToRelay>, Receiver<FromRelay>);

impl Keeper {
    async fn run(mut self) {
        let mut delay = BACKOFF_FIRST;
        loop {
            let down = match self.connect().await {
                Ok(conversation) => {
                    delay = BACKOFF_FIRST;
                    if self.notices.send(Notice::Up).await.is_err() {
                        return;
                    }
                    self.converse(conversation).await
                }
                Err(error) => error,
            };
            tracing::debug!(relay = %self.relay.host_port(), error = %down, "not registered");
            if self.notices.send(Notice::Down(down)).await.is_err() {
                return;
            }
            // Half of the delay is random, so that the ends of a dead relay do not come back in step.
            tokio::time::sleep(delay.mul_f64(1.0 + jitter() / 2.0)).await;
            delay = (delay * 2).min(BACKOFF_MAX);
        }
    }

    async fn connect(&mut self) -> Result<Conversation, RelayError> {
        let ends = &self.client.ends;
        let addresses =
            ends.options.net.resolve(&self.relay.host, self.relay.port).await.map_err(RelayError::Resolve)?;
        let mut last = RelayError::Resolve(io::Error::other("the name has no address"));
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match timeout(HANDSHAKE_DEADLINE, self.connect_to(address)).await {
                Ok(Ok(conversation)) => return Ok(conversation),
                Ok(Err(error)) => last = error,
                Err(_) => last = RelayError::NoAnswer,
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<Conversation, RelayError> {
        let ends = &self.client.ends;
        let start = |error: &dyn std::fmt::Display| RelayError::Start(error.to_string());
        let crypto =
            tls::client(&ends.identity, tls::CONTROL_ALPN, Some(self.relay.key.0)).map_err(|error| start(&error))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(transport::control(ends.options.keep_alive, jitter()));
        let connecting = ends.control.connect_with(config, address, tls::SERVER_NAME).map_err(|error| start(&error))?;
        let connection = connecting.await?;
        let registered = self.register_on(&connection).await;
        match registered {
            Ok((sender, receiver)) => Ok((connection, address, sender, receiver)),
            // The connection knows better than the stream why it broke.
            Err(RelayError::Protocol(StreamError::Lost)) => Err(connection.closed().await.into()),
            Err(error) => {
                Close::Done.close(&connection);
                Err(error)
            }
        }
    }

    async fn register_on(&self, connection: &Connection) -> Result<(Sender<ToRelay>, Receiver<FromRelay>), RelayError> {
        let (send, recv) = connection.open_bi().await?;
        let (mut sender, mut receiver) =
            stream::greet::<ToRelay, FromRelay>(send, recv).await.map_err(RelayError::Protocol)?;
        let desk = match self.role {
            Role::Agent => None,
            Role::Desk(delegation) => Some(delegation),
        };
        let register = ToRelay::Register { salt: self.client.ends.salt, desk };
        sender.send(&register).await.map_err(RelayError::Protocol)?;
        match receiver.receive().await.map_err(RelayError::Protocol)? {
            Some(FromRelay::Registered) => Ok((sender, receiver)),
            Some(FromRelay::Refused(refusal)) => Err(RelayError::Refused(refusal)),
            _ => Err(RelayError::Protocol(StreamError::Ended)),
        }
    }

    /// Runs a registered connection until it breaks; the reason.
    async fn converse(&mut self, (connection, address, mut sender, receiver): Conversation) -> RelayError {
        let mut arrivals = receiver.arrivals();
        self.wish_due = self.wish.map(|_| Instant::now());
        loop {
            let due = self.wish_due;
            tokio::select! {
                message = arrivals.next() => {
                    let Ok(Some(message)) = message else { break };
                    if self.take(message, address).await.is_err() {
                        break;
                    }
                }
                wish = self.wishes.recv() => {
                    let Some(organization) = wish else { break };
                    self.wish = Some(organization);
                    self.wish_due = None;
                    if sender.send(&ToRelay::Reach { organization }).await.is_err() {
                        break;
                    }
                }
                () = sleep_until(due.unwrap_or_else(far_away)), if due.is_some() => {
                    self.wish_due = None;
                    let Some(organization) = self.wish else { continue };
                    if sender.send(&ToRelay::Reach { organization }).await.is_err() {
                        break;
                    }
                }
            }
        }
        let reason = timeout(CLOSE_GRACE, connection.closed()).await;
        Close::Done.close(&connection);
        reason.map_or(RelayError::Protocol(StreamError::Ended), RelayError::from)
    }

    async fn take(&mut self, message: FromRelay, relay: SocketAddr) -> Result<(), mpsc::error::SendError<Notice>> {
        let notice = match message {
            FromRelay::Opened { peer, source } => {
                self.client.set_path(&peer, relay);
                Notice::Opened { peer, source }
            }
            FromRelay::Gone { peer } => {
                self.client.forget_path(&peer);
                self.wish_due = self.wish.map(|_| Instant::now() + WISH_AGAIN);
                Notice::Gone(peer)
            }
            FromRelay::Slowed { peer } => Notice::Slowed(peer),
            FromRelay::Refused(refusal) => {
                self.wish_due = self.wish.map(|_| Instant::now() + WISH_AGAIN);
                Notice::Refused(refusal)
            }
            FromRelay::Registered => return Ok(()),
        };
        self.notices.send(notice).await
    }
}

/// A name may have many addresses; this many are tried.
const ADDRESSES_MAX: usize = 4;

/// Time between an answer of "not now" and the next question.
const WISH_AGAIN: Duration = Duration::from_secs(1);

/// Time to learn why a connection ended before it is given up without a reason.
const CLOSE_GRACE: Duration = Duration::from_millis(200);

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(24 * 60 * 60)
}
