//! Finding a relay that answers: every relay of a list, over UDP and through a tunnel, at the same time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::invite::RelayAddress;
use belay_protocol::message::{FromRelay, ToRelay};
use quinn::{ClientConfig, Connection};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::registration::RelayError;
use super::socket::Way;
use super::tunnel::{self, Tunnel};
use super::{ADDRESS_STAGGER, ADDRESSES_MAX, Client, Ways, jitter};
use crate::close::Close;
use crate::stream::{self, Receiver, Sender, StreamError};
use crate::{tls, transport};

/// A control connection to a relay that has proved its key and speaks our version.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) relay: RelayAddress,
    pub(super) connection: Connection,
    pub(super) way: Arc<Way>,
    /// The tunnel that it goes through; `None` for UDP.
    pub(super) tunnel: Option<Tunnel>,
    pub(super) sender: Sender<ToRelay>,
    pub(super) receiver: Receiver<FromRelay>,
}

/// Which ways are tried, and when.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The relays, each with the time that others are ahead of it.
    pub(super) relays: Vec<(RelayAddress, Duration)>,
    /// How far UDP is ahead of tunnels; `None` for no tunnels.
    pub(super) tunnels_after: Option<Duration>,
    /// Time for the whole of it.
    pub(super) deadline: Duration,
}

impl Client {
    /// Tries all ways of `plan`; the first that answers wins. Fails with what tells most when none does.
    pub(super) async fn race(&self, plan: Plan) -> Result<Greeted, RelayError> {
        let mut tries: JoinSet<Result<Greeted, RelayError>> = JoinSet::new();
        for (relay, behind) in plan.relays {
            if self.ends.options.ways != Ways::Tunnel {
                let (client, udp) = (self.clone(), relay.clone());
                tries.spawn(async move {
                    sleep(behind).await;
                    client.greet_over_udp(udp).await
                });
            }
            if let Some(after) = plan.tunnels_after {
                let client = self.clone();
                tries.spawn(async move {
                    sleep(behind + after).await;
                    client.greet_through_tunnel(relay).await
                });
            }
        }
        let mut told = RelayError::NoAnswer;
        let mut until = Instant::now() + plan.deadline;
        while let Ok(Some(tried)) = timeout_at(until, tries.join_next()).await {
            match tried {
                Ok(Ok(greeted)) => return Ok(greeted),
                Ok(Err(error)) => {
                    if matches!(error, RelayError::Proxy(_)) {
                        until = until.min(Instant::now() + AFTER_PROXY);
                    }
                    if told.weight() < error.weight() {
                        told = error;
                    }
                }
                Err(_) => {}
            }
        }
        Err(told)
    }

    async fn greet_over_udp(&self, relay: RelayAddress) -> Result<Greeted, RelayError> {
        let net = &self.ends.options.net;
        let addresses = net.resolve(&relay.host, relay.port).await.map_err(RelayError::Resolve)?;
        let mut tries = JoinSet::new();
        for (index, address) in addresses.into_iter().take(ADDRESSES_MAX).enumerate() {
            let (client, relay) = (self.clone(), relay.clone());
            tries.spawn(async move {
                sleep(ADDRESS_STAGGER * u32::try_from(index).unwrap_or(u32::MAX)).await;
                client.greet(relay, address, None).await
            });
        }
        let mut last = RelayError::Resolve(io::Error::other("the name has no address"));
        while let Some(tried) = tries.join_next().await {
            match tried {
                Ok(Ok(greeted)) => return Ok(greeted),
                Ok(Err(error)) => last = error,
                Err(_) => {}
            }
        }
        Err(last)
    }

    async fn greet_through_tunnel(&self, relay: RelayAddress) -> Result<Greeted, RelayError> {
        let options = &self.ends.options;
        let tunnel =
            tunnel::open(&options.net, options.proxy.as_ref(), &self.ends.socket, &relay.host, relay.port).await?;
        let address = tunnel.address;
        self.greet(relay, address, Some(tunnel)).await
    }

    async fn greet(
        &self,
        relay: RelayAddress,
        address: SocketAddr,
        tunnel: Option<Tunnel>,
    ) -> Result<Greeted, RelayError> {
        let ends = &self.ends;
        let start = |error: &dyn std::fmt::Display| RelayError::Start(error.to_string());
        let crypto =
            tls::client(&ends.identity, tls::CONTROL_ALPN, Some(relay.key.0)).map_err(|error| start(&error))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(transport::control(ends.options.keep_alive, jitter()));
        // Known before the first packet, so that answers are noted as heard.
        let way = ends.socket.way(address);
        let connecting = ends.control.connect_with(config, address, tls::SERVER_NAME).map_err(|error| start(&error))?;
        let connection = connecting.await?;
        match greet_on(&connection).await {
            Ok((sender, receiver)) => Ok(Greeted { relay, connection, way, tunnel, sender, receiver }),
            // The connection knows better than the stream why it broke.
            Err(StreamError::Lost) => Err(connection.closed().await.into()),
            Err(error) => {
                Close::Done.close(&connection);
                Err(RelayError::Protocol(error))
            }
        }
    }
}

/// QUIC's side of a client is done before the relay has looked at its key: only an answer shows that it is let in.
async fn greet_on(connection: &Connection) -> Result<(Sender<ToRelay>, Receiver<FromRelay>), StreamError> {
    let (send, recv) = connection.open_bi().await.map_err(|_| StreamError::Lost)?;
    stream::greet::<ToRelay, FromRelay>(send, recv).await
}

/// Time that UDP is given once the proxy has said no: it was ahead, and the customer waits.
const AFTER_PROXY: Duration = Duration::from_secs(3);

impl RelayError {
    /// How much an error tells; the heaviest of several is the one that people are shown.
    fn weight(&self) -> u8 {
        match self {
            Self::WrongKey => 6,
            Self::Refused(_) => 5,
            Self::Protocol(_) => 4,
            Self::Closed(_) | Self::Proxy(_) => 3,
            Self::Resolve(_) | Self::Lost(_) => 2,
            Self::NoAnswer => 1,
            Self::Tunnel(_) | Self::Start(_) => 0,
        }
    }
}
