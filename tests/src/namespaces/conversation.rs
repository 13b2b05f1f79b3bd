//! A desk and an agent, each on a host of its own, with an open session.

use std::sync::Arc;

use belay_protocol::invite::RelayAddress;
use belay_relay::client::Link;
use belay_relay::net::SystemNet;

use super::{Host, Namespace};
use crate::links::{Agent, Desk};

/// Two ends that talk.
#[derive(Debug)]
pub struct Conversation {
    /// The agent's end of the session.
    pub ours: Link,
    /// The desk's end.
    pub theirs: Link,
    /// The desk.
    pub desk: Arc<Desk>,
    /// The agent.
    pub agent: Agent,
    /// Where the desk is.
    pub desk_host: Host,
    /// Where the agent is.
    pub agent_host: Host,
}

impl Conversation {
    /// Opens a session: the desk registers with its relay, the agent with the nearest of its own.
    pub async fn open(
        desk: (&Namespace, &RelayAddress),
        agent: (&Namespace, Vec<RelayAddress>),
    ) -> anyhow::Result<Self> {
        let (desk_host, agent_host) = (Host::start(desk.0)?, Host::start(agent.0)?);
        let (desk_relay, agent_relays) = (desk.1.clone(), agent.1);
        let desk = desk_host.run(async move { Desk::start(Arc::new(SystemNet), &desk_relay).await }).await?;
        let organization = desk.organization.organization_key();
        let desk = Arc::new(desk);
        let accepting = desk_host.spawn({
            let desk = Arc::clone(&desk);
            async move { desk.accept().await }
        });
        let reaching = agent_host.run(async move {
            let mut agent = Agent::start_at(Arc::new(SystemNet), agent_relays).await?;
            let peer = agent.reach_organization(organization).await?;
            let link = agent.client.dial(&peer).await?;
            Ok((agent, link))
        });
        let (agent, ours) = reaching.await?;
        let theirs = accepting.await??;
        Ok(Self { ours, theirs, desk, agent, desk_host, agent_host })
    }
}
