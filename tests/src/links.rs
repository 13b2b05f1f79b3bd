//! A relay, a desk and agents at the level of links, without a store or a survey: for what is about packets.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use belay_protocol::OrganizationKey;
use belay_protocol::invite::RelayAddress;
use belay_protocol::message::PeerRoute;
use belay_relay::client::{Client, ClientOptions, Link, Notice, Registration, Role};
use belay_relay::identity::Identity;
use belay_relay::net::Net;
use belay_relay::server::{Config, Relay, RelayHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::net::MemoryNet;

/// A relay that runs in this process.
#[derive(Debug)]
pub struct RunningRelay {
    /// Where it is.
    pub address: RelayAddress,
    /// Watches it.
    pub handle: RelayHandle,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl RunningRelay {
    /// Starts a relay with `config`.
    pub fn start(config: &Config) -> anyhow::Result<Self> {
        let relay = Relay::bind(config)?;
        let socket = relay.local_addr();
        let address = RelayAddress { host: socket.ip().to_string(), port: socket.port(), key: relay.key() };
        let (stop, handle) = (CancellationToken::new(), relay.handle());
        let running = stop.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = relay.run(running).await {
                tracing::error!(%error, "the relay ended");
            }
        }));
        Ok(Self { address, handle, stop, task })
    }

    /// Stops it as SIGTERM would.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }

    /// Ends it as `kill -9` would: nobody is told.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Options of a client on `net` that notices a relay's restart soon.
pub fn client_options(net: Arc<dyn Net>, accepts_sessions: bool) -> ClientOptions {
    ClientOptions { accepts_sessions, keep_alive: Duration::from_secs(2), ..ClientOptions::new(net) }
}

/// A console at the level of links.
#[derive(Debug)]
pub struct Desk {
    /// Its organization's key.
    pub organization: Identity,
    /// Its presence.
    pub client: Client,
    /// Its registration.
    pub registration: Registration,
}

impl Desk {
    /// A desk of a new organization, registered with `relay`.
    pub async fn start(net: Arc<dyn Net>, relay: &RelayAddress) -> anyhow::Result<Self> {
        let (organization, console) = (Identity::generate()?, Identity::generate()?);
        let delegation = organization.delegate(console.console_key(), i64::MAX);
        let client = Client::start(Arc::new(console), client_options(net, true))?;
        let mut registration = client.register(relay.clone(), Role::Desk(delegation));
        up(&mut registration).await?;
        Ok(Self { organization, client, registration })
    }

    /// The next session.
    pub async fn accept(&self) -> anyhow::Result<Link> {
        let arriving = self.client.accept().await.context("the desk is closed")?;
        let link = arriving.handshake().await.context("no handshake")?;
        link.admit();
        Ok(link)
    }
}

/// An agent at the level of links.
#[derive(Debug)]
pub struct Agent {
    /// Its presence.
    pub client: Client,
    /// Its registration.
    pub registration: Registration,
}

impl Agent {
    /// A new device, registered with `relay`.
    pub async fn start(net: Arc<dyn Net>, relay: &RelayAddress) -> anyhow::Result<Self> {
        Self::start_at(net, vec![relay.clone()]).await
    }

    /// A new device, registered with the nearest of `relays`.
    pub async fn start_at(net: Arc<dyn Net>, relays: Vec<RelayAddress>) -> anyhow::Result<Self> {
        let client = Client::start(Arc::new(Identity::generate()?), client_options(net, false))?;
        let mut registration = client.register_nearest(relays, Role::Agent);
        up(&mut registration).await?;
        Ok(Self { client, registration })
    }

    /// Reaches a desk.
    pub async fn reach(&mut self, desk: &Desk) -> anyhow::Result<PeerRoute> {
        self.reach_organization(desk.organization.organization_key()).await
    }

    /// Reaches a desk of an organization.
    pub async fn reach_organization(&mut self, organization: OrganizationKey) -> anyhow::Result<PeerRoute> {
        self.registration.reach(organization).await;
        loop {
            match self.registration.notice().await.context("the registration ended")? {
                Notice::Opened { peer, .. } => return Ok(peer),
                Notice::Refused(why) => bail!("refused: {why:?}"),
                _ => {}
            }
        }
    }

    /// Reaches a desk and opens a session; both ends of it.
    pub async fn open(&mut self, desk: &Desk) -> anyhow::Result<(Link, Link)> {
        let peer = self.reach(desk).await?;
        let (ours, theirs) = tokio::join!(self.client.dial(&peer), desk.accept());
        Ok((ours?, theirs?))
    }
}

async fn up(registration: &mut Registration) -> anyhow::Result<()> {
    match registration.notice().await.context("the registration ended")? {
        Notice::Up => Ok(()),
        other => bail!("{other:?}"),
    }
}

/// A configuration of a relay at port 443 of host `number` of a network in memory, that serves everybody.
pub fn memory_relay(net: &MemoryNet, number: u8, data: &Path) -> Config {
    Config { net: net.host(number), ..Config::open(SocketAddr::new(net.address_of(number), 443), data.to_owned()) }
}

/// A configuration of a relay on loopback that serves everybody.
pub fn loopback_relay(data: &Path) -> Config {
    Config::open(SocketAddr::from(([127, 0, 0, 1], 0)), data.to_owned())
}
