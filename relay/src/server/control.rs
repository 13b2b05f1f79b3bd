//! The control plane: who is here, and who wants to reach whom.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use belay_protocol::OrganizationKey;
use belay_protocol::delegation::Delegation;
use belay_protocol::limits::HANDSHAKE_DEADLINE;
use belay_protocol::message::{FromRelay, PeerRoute, RelayRefusal, ToRelay};
use quinn::{Connection, Endpoint, Incoming};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::Admission;
use super::keys::RelayKeys;
use super::table::{ConnectionNumber, Place, Table, TableError, Told};
use crate::clock::unix_ms;
use crate::close::Close;
use crate::identity::verify_delegation;
use crate::stream::{self, Receiver, Sender, StreamError};
use crate::tls;

/// The state of the control plane.
#[derive(Debug)]
pub(super) struct ControlPlane {
    keys: RelayKeys,
    admission: Admission,
    table: Arc<RwLock<Table>>,
    mailboxes: Mutex<HashMap<ConnectionNumber, Mailbox>>,
    next_number: AtomicU64,
    handshakes: AtomicUsize,
}

/// How a connection's task is told something by others.
#[derive(Debug)]
struct Mailbox {
    messages: mpsc::Sender<FromRelay>,
    connection: Connection,
}

/// Messages that wait for one end. An end that does not read this many is closed rather than buffered for.
const MAILBOX: usize = 64;

/// Handshakes under way at which unverified addresses are asked to prove themselves with a Retry.
const RETRY_FROM: usize = 64;

/// Handshakes under way at which further ones are refused.
const HANDSHAKES_MAX: usize = 512;

/// How often ends are told that a budget bites.
const SLOWED_INTERVAL: Duration = Duration::from_secs(2);

impl ControlPlane {
    pub(super) fn new(keys: RelayKeys, admission: Admission, table: Arc<RwLock<Table>>) -> Self {
        Self {
            keys,
            admission,
            table,
            mailboxes: Mutex::default(),
            next_number: AtomicU64::new(1),
            handshakes: AtomicUsize::new(0),
        }
    }

    /// Accepts control connections until `stop`, and joins their tasks.
    pub(super) async fn serve(self: &Arc<Self>, endpoint: &Endpoint, stop: &CancellationToken) {
        let tasks = TaskTracker::new();
        let mut slowed = tokio::time::interval(SLOWED_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    self.admit(incoming, &tasks, stop);
                }
                _ = slowed.tick() => {
                    for Told { connection, about } in self.table_read_slowed() {
                        self.tell(connection, FromRelay::Slowed { peer: about });
                    }
                }
            }
        }
        for mailbox in self.mailboxes().values() {
            Close::Stopping.close(&mailbox.connection);
        }
        tasks.close();
        let _ = timeout(Duration::from_secs(2), tasks.wait()).await;
    }

    fn admit(self: &Arc<Self>, incoming: Incoming, tasks: &TaskTracker, stop: &CancellationToken) {
        let under_way = self.handshakes.load(Ordering::Relaxed);
        if under_way >= HANDSHAKES_MAX {
            incoming.ignore();
            return;
        }
        if under_way >= RETRY_FROM && incoming.may_retry() && !incoming.remote_address_validated() {
            // Fails only for addresses that have been validated.
            let _ = incoming.retry();
            return;
        }
        let number = ConnectionNumber(self.next_number.fetch_add(1, Ordering::Relaxed));
        let span = tracing::info_span!("end", number = number.0, key = tracing::field::Empty);
        let (plane, stop) = (Arc::clone(self), stop.clone());
        tasks.spawn(
            async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = plane.connection(incoming, number) => {}
                }
            }
            .instrument(span),
        );
    }

    async fn connection(&self, incoming: Incoming, number: ConnectionNumber) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        let arrived = timeout(HANDSHAKE_DEADLINE, self.handshake(incoming, number)).await;
        self.handshakes.fetch_sub(1, Ordering::Relaxed);
        let end = match arrived {
            Ok(Some(end)) => end,
            Ok(None) => return,
            Err(_) => {
                tracing::debug!("a handshake took too long");
                return;
            }
        };
        tracing::info!(role = if end.is_desk { "desk" } else { "agent" }, "registered");
        let (key, connection) = (end.peer.key, end.connection.clone());
        let why = self.converse(end, number).await;
        let said_goodbye = connection.close_reason().as_ref().and_then(Close::of).is_some();
        let why = if said_goodbye && why == LOST { "left" } else { why };
        self.mailboxes().remove(&number);
        let told = self.table().remove(&key, number);
        self.tell_gone(told);
        tracing::info!(why, "gone");
        Close::Done.close(&connection);
    }

    /// From the first packet to the registration.
    async fn handshake(&self, incoming: Incoming, number: ConnectionNumber) -> Option<End> {
        let connection = match incoming.await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(%error, "a handshake failed");
                return None;
            }
        };
        match self.register(&connection, number).await {
            Ok(end) => Some(end),
            Err(error) => {
                tracing::debug!(%error, "an end did not register");
                match error {
                    StreamError::Version(_) => Close::Version.close(&connection),
                    _ => Close::Violation.close(&connection),
                }
                None
            }
        }
    }

    async fn register(&self, connection: &Connection, number: ConnectionNumber) -> Result<End, StreamError> {
        let key = tls::peer_key(connection).ok_or(StreamError::Lost)?;
        let (send, recv) = connection.accept_bi().await.map_err(|_| StreamError::Lost)?;
        let (mut sender, mut receiver) = stream::welcome::<FromRelay, ToRelay>(send, recv).await?;
        let Some(ToRelay::Register { salt, desk }) = receiver.receive().await? else {
            return Err(StreamError::Ended);
        };
        let peer = PeerRoute { key, salt };
        tracing::Span::current().record("key", belay_protocol::DeviceKey(key).short());
        let place = Place { address: connection.remote_address(), local_ip: connection.local_ip() };
        let registered = self.admitted(&key, desk.as_ref()).and_then(|organization| {
            let mut table = self.table();
            let earlier = table.connection_of(&key);
            let told = table.register(peer, number, place, organization).map_err(refusal)?;
            Ok((told, earlier))
        });
        match registered {
            Ok((told, earlier)) => {
                if let Some(earlier) = earlier.and_then(|earlier| self.mailboxes().remove(&earlier)) {
                    Close::Replaced.close(&earlier.connection);
                }
                self.tell_gone(told);
            }
            Err(refusal) => {
                tracing::info!(?refusal, "an end was refused");
                sender.send(&FromRelay::Refused(refusal)).await?;
                sender.finish().await;
                return Err(StreamError::Ended);
            }
        }
        let (messages, mailbox) = mpsc::channel(MAILBOX);
        self.mailboxes().insert(number, Mailbox { messages, connection: connection.clone() });
        sender.send(&FromRelay::Registered).await?;
        Ok(End { peer, is_desk: desk.is_some(), connection: connection.clone(), sender, receiver, mailbox })
    }

    /// The organization of a console that may register; `None` for agents, which need no leave until they reach.
    fn admitted(&self, key: &[u8; 32], desk: Option<&Delegation>) -> Result<Option<OrganizationKey>, RelayRefusal> {
        let Some(delegation) = desk else { return Ok(None) };
        let organization = delegation.organization;
        if let Admission::Listed(listed) = &self.admission
            && !listed.contains(&organization)
        {
            return Err(RelayRefusal::UnknownOrganization);
        }
        let console = belay_protocol::ConsoleKey(*key);
        verify_delegation(delegation, &organization, &console, unix_ms()).map_err(|_| RelayRefusal::Delegation)?;
        Ok(Some(organization))
    }

    /// Serves a registered end until it leaves; why it left.
    async fn converse(&self, end: End, number: ConnectionNumber) -> &'static str {
        let End { peer, is_desk, connection, mut sender, receiver, mut mailbox } = end;
        let mut arrivals = receiver.arrivals();
        loop {
            tokio::select! {
                message = arrivals.next() => match message {
                    Ok(Some(ToRelay::Reach { organization })) if !is_desk => {
                        let answer = self.reach(&peer, &organization, connection.remote_address());
                        if let Err(refusal) = answer
                            && sender.send(&FromRelay::Refused(refusal)).await.is_err()
                        {
                            return LOST;
                        }
                    }
                    Ok(Some(ToRelay::Leave { peer: other })) => {
                        let told = self.table().leave(&peer, &other);
                        self.tell_gone(told);
                    }
                    Ok(Some(_)) => {
                        Close::Violation.close(&connection);
                        return "broke the protocol";
                    }
                    Err(StreamError::Lost) => return LOST,
                    Ok(None) => return "left",
                    Err(error) => {
                        tracing::debug!(%error, "an end broke the protocol");
                        Close::Violation.close(&connection);
                        return "broke the protocol";
                    }
                },
                message = mailbox.recv() => {
                    // The mailbox is dropped when a newer connection of the same key takes over.
                    let Some(message) = message else { return "replaced" };
                    if sender.send(&message).await.is_err() {
                        return LOST;
                    }
                }
            }
            if !self.mailboxes().contains_key(&number) {
                return "replaced or too slow";
            }
        }
    }

    fn reach(&self, agent: &PeerRoute, organization: &OrganizationKey, source: SocketAddr) -> Result<(), RelayRefusal> {
        if let Admission::Listed(listed) = &self.admission
            && !listed.contains(organization)
        {
            return Err(RelayRefusal::UnknownOrganization);
        }
        let now = tokio::time::Instant::now().into_std();
        let opened = self.table().reach(agent, organization, now).map_err(refusal)?;
        // The desk first, so that it knows the path when the agent's first packet arrives.
        let source = Some(self.keys.attest_source(source.ip()));
        self.tell(opened.desk.connection, FromRelay::Opened { peer: opened.desk.about, source });
        self.tell(opened.agent.connection, FromRelay::Opened { peer: opened.agent.about, source: None });
        Ok(())
    }

    fn tell_gone(&self, told: impl IntoIterator<Item = Told>) {
        for Told { connection, about } in told {
            self.tell(connection, FromRelay::Gone { peer: about });
        }
    }

    fn tell(&self, number: ConnectionNumber, message: FromRelay) {
        let mut mailboxes = self.mailboxes();
        let Some(mailbox) = mailboxes.get(&number) else { return };
        if mailbox.messages.try_send(message).is_err() {
            Close::TooSlow.close(&mailbox.connection);
            mailboxes.remove(&number);
        }
    }

    fn table(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_read_slowed(&self) -> Vec<Told> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).take_slowed()
    }

    fn mailboxes(&self) -> MutexGuard<'_, HashMap<ConnectionNumber, Mailbox>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is logged of an end that is gone without a word.
const LOST: &str = "lost";

/// A registered end with its conversation.
struct End {
    peer: PeerRoute,
    is_desk: bool,
    connection: Connection,
    sender: Sender<FromRelay>,
    receiver: Receiver<ToRelay>,
    mailbox: mpsc::Receiver<FromRelay>,
}

fn refusal(error: TableError) -> RelayRefusal {
    match error {
        TableError::Full => RelayRefusal::Full { retry_after_ms: 30_000 },
        TableError::DeskOffline => RelayRefusal::DeskOffline,
        TableError::RouteTaken | TableError::Gone | TableError::NotAnAgent => RelayRefusal::Violation,
    }
}
