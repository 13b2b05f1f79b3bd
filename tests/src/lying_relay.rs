//! A relay that connects agents to whomever it likes: real forwarding, and a control plane without honesty.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use belay_protocol::OrganizationKey;
use belay_protocol::invite::RelayAddress;
use belay_protocol::message::{FromRelay, PeerRoute, ToRelay};
use belay_relay::identity::Identity;
use belay_relay::net::{Net, SystemNet};
use belay_relay::server::{Caps, ConnectionNumber, Counters, ForwardingSocket, Place, Table};
use belay_relay::{stream, tls};
use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// The organization under which the liar files every desk, so that it can hand any of them to any agent.
const ANY: OrganizationKey = OrganizationKey([0; 32]);

/// A relay that answers every question for a desk with the one that registered last.
#[derive(Debug)]
pub struct LyingRelay {
    /// Where it is.
    pub address: RelayAddress,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct State {
    table: Arc<RwLock<Table>>,
    ends: Mutex<Vec<mpsc::UnboundedSender<FromRelay>>>,
}

impl LyingRelay {
    /// Starts it on loopback.
    pub fn start(data: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data)?;
        let identity = Identity::load_or_create(&data.join("relay.key"))?;
        let table = Arc::new(RwLock::new(Table::new(Caps::default())));
        let socket = SystemNet.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let socket = ForwardingSocket::new(socket, Arc::clone(&table), Arc::new(Counters::default()));
        let server = ServerConfig::with_crypto(Arc::new(tls::server(&identity, tls::CONTROL_ALPN)?));
        let endpoint = Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            Some(server),
            Arc::new(socket),
            Arc::new(TokioRuntime),
        )?;
        let local = endpoint.local_addr()?;
        let address = RelayAddress { host: local.ip().to_string(), port: local.port(), key: identity.relay_key() };
        let state = Arc::new(State { table, ends: Mutex::default() });
        let task = tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                tokio::spawn(serve(Arc::clone(&state), incoming));
            }
        });
        Ok(Self { address, _task: AbortOnDropHandle::new(task) })
    }
}

async fn serve(state: Arc<State>, incoming: Incoming) -> Option<()> {
    let connection = incoming.await.ok()?;
    let key = tls::peer_key(&connection)?;
    let (send, recv) = connection.accept_bi().await.ok()?;
    let (mut sender, mut receiver) = stream::welcome::<FromRelay, ToRelay>(send, recv).await.ok()?;
    let ToRelay::Register { salt, desk } = receiver.receive().await.ok()?? else { return None };
    let peer = PeerRoute { key, salt };
    let place = Place { address: connection.remote_address(), local_ip: None };
    let (messages, mut mailbox) = mpsc::unbounded_channel();
    let number = {
        let mut ends = state.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.push(messages);
        ConnectionNumber(ends.len() as u64 - 1)
    };
    table(&state).register(peer, number, place, desk.map(|_| ANY)).ok()?;
    sender.send(&FromRelay::Registered).await.ok()?;
    let mut arrivals = receiver.arrivals();
    loop {
        tokio::select! {
            message = arrivals.next() => {
                if let ToRelay::Reach { .. } = message.ok()?? {
                    let opened = table(&state).reach(&peer, &ANY, Instant::now()).ok()?;
                    let ends = state.ends.lock().unwrap_or_else(PoisonError::into_inner);
                    for (told, source) in [(opened.desk, Some([0; 16])), (opened.agent, None)] {
                        let end = ends.get(usize::try_from(told.connection.0).ok()?)?;
                        end.send(FromRelay::Opened { peer: told.about, source }).ok()?;
                    }
                }
            }
            message = mailbox.recv() => sender.send(&message?).await.ok()?,
        }
    }
}

fn table(state: &State) -> std::sync::RwLockWriteGuard<'_, Table> {
    state.table.write().unwrap_or_else(PoisonError::into_inner)
}
