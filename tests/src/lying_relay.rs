//! A relay that connects agents to whomever it likes: real forwarding, and a control plane without honesty.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use belay_protocol::OrganizationKey;
use belay_protocol::invite::RelayAddress;
use belay_protocol::message::{FromRelay, PeerRoute, ToRelay};
use belay_relay::identity::Identity;
use belay_relay::net::{Net, RelaySocket, SystemNet};
use belay_relay::server::{
    Caps, ConnectionNumber, Counters, DataPlane, Forwarding, Newcomer, Place, Routes, Table, TunnelCaps, Tunnels,
};
use belay_relay::{stream, tls};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime, UdpPoller};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// The organization under which the liar files every desk, so that it can hand any of them to any agent.
const ANY: OrganizationKey = OrganizationKey([0; 32]);

/// A relay that answers every question for a desk with the one that registered last.
#[derive(Debug)]
pub struct LyingRelay {
    /// Where it is.
    pub address: RelayAddress,
    _accepting: AbortOnDropHandle<()>,
    _forwarding: Forwarding,
}

#[derive(Debug)]
struct State {
    table: Mutex<Table>,
    ends: Mutex<Vec<mpsc::UnboundedSender<FromRelay>>>,
}

impl LyingRelay {
    /// Starts it on loopback.
    pub fn start(data: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data)?;
        let identity = Identity::load_or_create(&data.join("relay.key"))?;
        // It issues ids of quinn's own kind and takes everything that is nobody's for its own.
        let routes = Arc::new(Routes::new(|_| true));
        let table = Mutex::new(Table::new(Caps::default(), Arc::clone(&routes)));
        let socket = SystemNet.bind_shared(SocketAddr::from(([127, 0, 0, 1], 0)), 1)?.remove(0);
        let tunnels = Tunnels::new(socket.local_addr()?, TunnelCaps::default());
        let plane = DataPlane::new(routes, vec![Arc::clone(&socket)], tunnels, Arc::new(Counters::default()));
        let control = ControlSocket { plane: Arc::clone(&plane), socket };
        let server = ServerConfig::with_crypto(Arc::new(tls::server(&identity, tls::CONTROL_ALPN)?));
        let endpoint = Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            Some(server),
            Arc::new(control),
            Arc::new(TokioRuntime),
        )?;
        let forwarding = plane.forward(0)?;
        let local = endpoint.local_addr()?;
        let address = RelayAddress { host: local.ip().to_string(), port: local.port(), key: identity.relay_key() };
        let state = Arc::new(State { table, ends: Mutex::default() });
        let task = tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                tokio::spawn(serve(Arc::clone(&state), incoming));
            }
        });
        Ok(Self { address, _accepting: AbortOnDropHandle::new(task), _forwarding: forwarding })
    }
}

/// What the data plane passes on, as a socket for quinn.
#[derive(Debug)]
struct ControlSocket {
    plane: Arc<DataPlane>,
    socket: Arc<dyn RelaySocket>,
}

impl AsyncUdpSocket for ControlSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.plane.send_local(transmit);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrived = Vec::new();
        ready!(self.plane.poll_local(cx, &mut arrived));
        let mut taken = 0;
        for ((room, meta), (batch, bytes)) in bufs.iter_mut().zip(meta).zip(&arrived) {
            room[..bytes.len()].copy_from_slice(bytes);
            *meta = *batch;
            taken += 1;
        }
        // What quinn has no room for is lost, as on any path.
        Poll::Ready(Ok(taken))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// What does not fit is dropped.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
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
    let origin = place.address.ip();
    let newcomer = Newcomer { peer, connection: number, place, origin, organization: desk.map(|_| ANY) };
    table(&state).register(newcomer).ok()?;
    sender.send(&FromRelay::Registered).await.ok()?;
    let mut arrivals = receiver.arrivals();
    loop {
        tokio::select! {
            message = arrivals.next() => {
                if let ToRelay::Reach { .. } = message.ok()?? {
                    let opened = table(&state).reach(&peer, &ANY).ok()?;
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

fn table(state: &State) -> MutexGuard<'_, Table> {
    state.table.lock().unwrap_or_else(PoisonError::into_inner)
}
