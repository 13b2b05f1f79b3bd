//! The control plane: who is here, and who wants to reach whom.

mod mailbox;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use belay_protocol::bounded::BoundedVec;
use belay_protocol::delegation::Delegation;
use belay_protocol::limits::HANDSHAKE_DEADLINE;
use belay_protocol::message::{FromRelay, MAX_ELSEWHERE, Nonce, PeerRoute, RelayRefusal, ToRelay};
use belay_protocol::well_known::WellKnownRelay;
use belay_protocol::{ConsoleKey, DeviceKey, OrganizationKey};
use quinn::{Connection, Endpoint, Incoming};
use rand::{Rng, RngExt};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::mailbox::Mailbox;
use super::Admission;
use super::dataplane::DataPlane;
use super::deny::{DENIED_MAX, DenyFile};
use super::keys::RelayKeys;
use super::routes::Place;
use super::table::{ConnectionNumber, Newcomer, OpenedPair, Table, TableError, Told};
use super::tunnels::Tunnels;
use crate::close::Close;
use crate::identity::verify_delegation;
use crate::net::Net;
use crate::stream::{self, Receiver, Sender, StreamError};
use crate::tls;

/// The state of the control plane.
#[derive(Debug)]
pub(super) struct ControlPlane {
    keys: RelayKeys,
    admission: RwLock<Admission>,
    table: Arc<Mutex<Table>>,
    plane: Arc<DataPlane>,
    tunnels: Arc<Tunnels>,
    deny_file: DenyFile,
    net: Arc<dyn Net>,
    mailboxes: Mutex<HashMap<ConnectionNumber, Arc<Mailbox>>>,
    next_number: AtomicU64,
    under_way: AtomicUsize,
    /// What became of handshakes.
    pub(super) handshakes: Handshakes,
    draining: CancellationToken,
}

/// What became of handshakes since the start.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// Ended in a registration.
    pub completed: AtomicU64,
    /// Ended in nothing: broken off, refused by either side, or too slow.
    pub failed: AtomicU64,
    /// Sent back to prove their address.
    pub retried: AtomicU64,
    /// Turned away because too many were under way, or because the relay is about to stop.
    pub refused: AtomicU64,
    /// Ended by whoever only wanted to see whether the relay is there, as `belay-relay check` does.
    pub looked: AtomicU64,
}

/// Handshakes under way at which unverified addresses are asked to prove themselves with a Retry.
const RETRY_FROM: usize = 64;

/// Handshakes under way at which further ones are refused.
const HANDSHAKES_MAX: usize = 512;

/// How often ends are told that a budget bites.
const SLOWED_INTERVAL: Duration = Duration::from_secs(2);

/// How long an end that found the relay full is to wait, at least; as much again is random.
const FULL_RETRY: Duration = Duration::from_secs(15);

impl ControlPlane {
    pub(super) fn new(
        keys: RelayKeys,
        admission: Admission,
        table: Arc<Mutex<Table>>,
        plane: Arc<DataPlane>,
        deny_file: DenyFile,
        net: Arc<dyn Net>,
    ) -> Self {
        Self {
            keys,
            admission: RwLock::new(admission),
            table,
            tunnels: Arc::clone(plane.tunnels()),
            plane,
            deny_file,
            net,
            mailboxes: Mutex::default(),
            next_number: AtomicU64::new(1),
            under_way: AtomicUsize::new(0),
            handshakes: Handshakes::default(),
            draining: CancellationToken::new(),
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
                    let told = self.table().take_slowed();
                    for Told { connection, about } in told {
                        self.tell(connection, FromRelay::Slowed { peer: about });
                    }
                }
            }
        }
        for mailbox in self.mailboxes().values() {
            mailbox.close(Close::Stopping);
        }
        tasks.close();
        let _ = timeout(Duration::from_secs(2), tasks.wait()).await;
    }

    /// Serves nobody new, tells everybody where else to go, and waits until all have left, for at most `grace`.
    pub(super) async fn drain(&self, elsewhere: &[WellKnownRelay], grace: Duration) {
        self.draining.cancel();
        let (elsewhere, _) = BoundedVec::<_, MAX_ELSEWHERE>::truncating(elsewhere.iter().cloned());
        let ends: Vec<ConnectionNumber> = self.mailboxes().keys().copied().collect();
        tracing::info!(ends = ends.len(), seconds = grace.as_secs(), "draining");
        for number in ends {
            self.tell(number, FromRelay::Draining { elsewhere: elsewhere.clone() });
        }
        let deadline = Instant::now() + grace;
        while !self.mailboxes().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Changes whom the relay serves. Desks of organizations that are not served any more are disconnected.
    pub(super) fn set_admission(&self, admission: Admission) {
        *self.admission.write().unwrap_or_else(PoisonError::into_inner) = admission;
        let unwelcome: Vec<ConnectionNumber> = {
            let table = self.table();
            table.desks().filter(|(organization, _)| !self.serves(organization)).map(|(_, number)| number).collect()
        };
        for number in unwelcome {
            if let Some(mailbox) = self.mailboxes().remove(&number) {
                mailbox.close(Close::NotAdmitted);
            }
        }
    }

    fn admit(self: &Arc<Self>, incoming: Incoming, tasks: &TaskTracker, stop: &CancellationToken) {
        let under_way = self.under_way.load(Ordering::Relaxed);
        let is_validated = incoming.remote_address_validated();
        if self.draining.is_cancelled() || under_way >= HANDSHAKES_MAX {
            self.handshakes.refused.fetch_add(1, Ordering::Relaxed);
            // Whoever has not proved its address gets no answer that somebody else might have to bear.
            if is_validated {
                incoming.refuse()
            } else {
                incoming.ignore()
            }
            return;
        }
        if under_way >= RETRY_FROM && incoming.may_retry() && !is_validated {
            self.handshakes.retried.fetch_add(1, Ordering::Relaxed);
            // Fails only for addresses that have been validated.
            let _ = incoming.retry();
            return;
        }
        let number = ConnectionNumber(self.next_number.fetch_add(1, Ordering::Relaxed));
        let span = tracing::info_span!("end", number = number.0, key = tracing::field::Empty);
        let (plane, stop) = (Arc::clone(self), stop.clone());
        self.under_way.fetch_add(1, Ordering::Relaxed);
        tasks.spawn(
            async move {
                // The handshake needs much more room than what follows; its future is dropped before.
                let arrived = Box::pin(timeout(HANDSHAKE_DEADLINE, plane.handshake(incoming, number))).await;
                plane.under_way.fetch_sub(1, Ordering::Relaxed);
                let end = match arrived {
                    Ok(Ok(end)) => end,
                    Ok(Err(NoEnd::Looked)) => {
                        plane.handshakes.looked.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    Ok(Err(NoEnd::Failed)) | Err(_) => {
                        plane.handshakes.failed.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                };
                plane.handshakes.completed.fetch_add(1, Ordering::Relaxed);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = plane.stay(end) => {}
                }
            }
            .instrument(span),
        );
    }

    async fn stay(&self, mut end: End) {
        tracing::debug!(address = %place_of(&end.connection).address, "registered from here");
        tracing::info!(role = if end.organization.is_some() { "desk" } else { "agent" }, "registered");
        let why = self.converse(&mut end).await;
        let said_goodbye = end.connection.close_reason().as_ref().and_then(Close::of).is_some();
        let why = if said_goodbye && why == LOST { "left" } else { why };
        self.mailboxes().remove(&end.number);
        let told = self.table().remove(&end.peer.key, end.number);
        self.tell_gone(told);
        tracing::info!(why, "gone");
        Close::Done.close(&end.connection);
    }

    /// From the first packet to the registration.
    async fn handshake(&self, incoming: Incoming, number: ConnectionNumber) -> Result<End, NoEnd> {
        let connection = incoming.await.map_err(|error| {
            tracing::debug!(%error, "a handshake failed");
            NoEnd::Failed
        })?;
        match self.register(&connection, number).await {
            Ok(end) => Ok(end),
            Err(_) if connection.close_reason().as_ref().and_then(Close::of) == Some(Close::Done) => Err(NoEnd::Looked),
            Err(error) => {
                tracing::debug!(%error, "an end did not register");
                match error {
                    StreamError::Version(_) => Close::Version.close(&connection),
                    _ => Close::Violation.close(&connection),
                }
                Err(NoEnd::Failed)
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
        tracing::Span::current().record("key", DeviceKey(key).short());
        let place = place_of(connection);
        let mailbox = Arc::new(Mailbox::new(connection.clone(), desk.is_some()));
        let registered = self.admitted(&key, desk.as_ref()).and_then(|organization| {
            let origin = self.tunnels.origin(place.address);
            let newcomer = Newcomer { peer, connection: number, place, origin, organization };
            let registered = self.table().register(newcomer).map_err(refusal)?;
            Ok((registered, organization))
        });
        match registered {
            Ok((registered, organization)) => {
                self.tunnels.note_registered(place.address);
                self.mailboxes().insert(number, Arc::clone(&mailbox));
                if let Some(earlier) = registered.replaced.and_then(|earlier| self.mailboxes().remove(&earlier)) {
                    earlier.close(Close::Replaced);
                }
                if organization.is_some_and(|organization| !self.serves(&organization)) {
                    // The relay stopped serving it since we asked, and did not find this end yet.
                    mailbox.close(Close::NotAdmitted);
                }
                sender.send(&FromRelay::Registered).await?;
                self.tell_gone(registered.gone);
                self.tell_opened(registered.opened);
                let connection = connection.clone();
                Ok(End { number, peer, organization, connection, sender, receiver, mailbox, denying: BTreeSet::new() })
            }
            Err(refusal) => {
                tracing::info!(?refusal, "an end was refused");
                sender.send(&FromRelay::Refused(refusal)).await?;
                sender.finish().await;
                Err(StreamError::Ended)
            }
        }
    }

    /// The organization of a console that may register; `None` for agents, which need no leave until they reach.
    fn admitted(&self, key: &[u8; 32], desk: Option<&Delegation>) -> Result<Option<OrganizationKey>, RelayRefusal> {
        let Some(delegation) = desk else { return Ok(None) };
        let organization = delegation.organization;
        if !self.serves(&organization) {
            return Err(RelayRefusal::UnknownOrganization);
        }
        verify_delegation(delegation, &organization, &ConsoleKey(*key), self.net.unix_ms())
            .map_err(|_| RelayRefusal::Delegation)?;
        Ok(Some(organization))
    }

    fn serves(&self, organization: &OrganizationKey) -> bool {
        match &*self.admission.read().unwrap_or_else(PoisonError::into_inner) {
            Admission::Any => true,
            Admission::Listed(listed) => listed.contains(organization),
        }
    }

    /// Serves a registered end until it leaves; why it left.
    async fn converse(&self, end: &mut End) -> &'static str {
        let mailbox = Arc::clone(&end.mailbox);
        let mut asked: Option<Confirmation> = None;
        loop {
            let said = tokio::select! {
                message = end.receiver.receive() => match message {
                    Ok(Some(message)) => self.hear(end, message, &mut asked),
                    Err(StreamError::Lost) => return LOST,
                    Ok(None) => return "left",
                    Err(error) => {
                        tracing::debug!(%error, "an end broke the protocol");
                        Heard::Violation
                    }
                },
                message = mailbox.next() => match message {
                    Some(message) => Heard::Answer(message),
                    None => return "replaced, unwelcome or too slow",
                },
            };
            let answer = match said {
                Heard::Nothing => None,
                Heard::Answer(answer) => Some(answer),
                Heard::Violation => {
                    Close::Violation.close(&end.connection);
                    return "broke the protocol";
                }
            };
            if let Some(answer) = answer
                && end.sender.send(&answer).await.is_err()
            {
                return LOST;
            }
            self.notice_new_address(end, &mut asked);
        }
    }

    fn hear(&self, end: &mut End, message: ToRelay, asked: &mut Option<Confirmation>) -> Heard {
        match (message, end.organization) {
            (ToRelay::Probe { number }, _) => Heard::Answer(FromRelay::Probed { number }),
            (ToRelay::Confirmed { nonce }, _) => {
                self.confirm_address(end, nonce, asked);
                Heard::Nothing
            }
            (ToRelay::Leave { peer }, _) => {
                let told = self.table().leave(&end.peer, &peer);
                self.tell_gone(told);
                Heard::Nothing
            }
            (ToRelay::Reach { organization }, None) => {
                if !self.serves(&organization) {
                    return Heard::Answer(FromRelay::Refused(RelayRefusal::UnknownOrganization));
                }
                let opened = self.table().reach(&end.peer, &organization);
                self.answer_opening(opened)
            }
            (ToRelay::Rejoin { peer }, None) => {
                let opened = self.table().rejoin(&end.peer, &peer);
                self.answer_opening(opened)
            }
            (ToRelay::Deny { device }, Some(organization)) => self.deny(organization, device),
            (ToRelay::DenyList { devices, more }, Some(organization)) => {
                if end.denying.len() + devices.len() > DENIED_MAX {
                    return Heard::Answer(FromRelay::Refused(full()));
                }
                end.denying.extend(devices.into_vec());
                if more { Heard::Nothing } else { self.replace_denied(organization, std::mem::take(&mut end.denying)) }
            }
            _ => Heard::Violation,
        }
    }

    fn answer_opening(&self, opened: Result<OpenedPair, TableError>) -> Heard {
        match opened {
            Ok(pair) => {
                self.tell_opened([pair]);
                Heard::Nothing
            }
            Err(error) => Heard::Answer(FromRelay::Refused(refusal(error))),
        }
    }

    /// Asks an end whose packets come from elsewhere than its sessions' packets are sent to. QUIC follows an address at
    /// the first packet from there, before it has proved that its owner is there; a route must not.
    fn notice_new_address(&self, end: &End, asked: &mut Option<Confirmation>) {
        let place = place_of(&end.connection);
        let Some(known) = self.table().place_of(&end.peer.key) else { return };
        if known.address == place.address {
            *asked = None;
            return;
        }
        let patience = ASK_AGAIN.max(2 * end.connection.rtt());
        let is_awaited = |asked: &Confirmation| asked.place.address == place.address && asked.at.elapsed() < patience;
        if asked.as_ref().is_some_and(is_awaited) {
            return;
        }
        let mut nonce = Nonce::default();
        rand::rng().fill_bytes(&mut nonce);
        self.plane.challenge(place, &end.peer.route(), &nonce);
        *asked = Some(Confirmation { place, nonce, at: Instant::now() });
    }

    fn confirm_address(&self, end: &End, nonce: Nonce, asked: &mut Option<Confirmation>) {
        let Some(confirmation) = asked.take() else { return };
        let now = place_of(&end.connection);
        if confirmation.nonce != nonce || confirmation.place.address != now.address {
            return;
        }
        tracing::debug!(address = %now.address, "an end has moved");
        let origin = self.tunnels.origin(now.address);
        self.tunnels.note_registered(now.address);
        let opened = self.table().moved(&end.peer.key, end.number, now, origin);
        self.tell_opened(opened);
    }

    fn deny(&self, organization: OrganizationKey, device: DeviceKey) -> Heard {
        let mut table = self.table();
        let known = table.denied().get(&organization);
        if known.is_some_and(|known| known.len() >= DENIED_MAX) {
            return Heard::Answer(FromRelay::Refused(full()));
        }
        if !known.is_some_and(|known| known.contains(&device))
            && let Err(error) = self.deny_file.append(&organization, &device)
        {
            // It holds until the next restart; the console's list is sent again then.
            tracing::error!(error = %crate::logging::told(&error), "a denial could not be kept");
        }
        let told = table.deny(organization, device);
        drop(table);
        tracing::info!(device = device.short(), pairs = told.len() / 2, "a device was denied");
        self.tell_gone(told);
        Heard::Nothing
    }

    fn replace_denied(&self, organization: OrganizationKey, denied: BTreeSet<DeviceKey>) -> Heard {
        let mut table = self.table();
        if table.denied().get(&organization).map_or(denied.is_empty(), |known| *known == denied) {
            return Heard::Nothing;
        }
        let told = table.set_denied(organization, denied);
        if let Err(error) = self.deny_file.replace(table.denied()) {
            tracing::error!(error = %crate::logging::told(&error), "the deny list could not be kept");
        }
        drop(table);
        self.tell_gone(told);
        Heard::Nothing
    }

    fn tell_opened(&self, opened: impl IntoIterator<Item = OpenedPair>) {
        for OpenedPair { agent, desk, agent_origin } in opened {
            // The desk first, so that it knows the path when the agent's first packet arrives.
            let source = Some(self.keys.attest_source(agent_origin));
            self.tell(desk.connection, FromRelay::Opened { peer: desk.about, source });
            self.tell(agent.connection, FromRelay::Opened { peer: agent.about, source: None });
        }
    }

    fn tell_gone(&self, told: impl IntoIterator<Item = Told>) {
        for Told { connection, about } in told {
            self.tell(connection, FromRelay::Gone { peer: about });
        }
    }

    fn tell(&self, number: ConnectionNumber, message: FromRelay) {
        let mut mailboxes = self.mailboxes();
        let Some(mailbox) = mailboxes.get(&number) else { return };
        if !mailbox.put(message) {
            mailbox.close(Close::TooSlow);
            mailboxes.remove(&number);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mailboxes(&self) -> MutexGuard<'_, HashMap<ConnectionNumber, Arc<Mailbox>>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a draining relay looks whether all have left.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// What is logged of an end that is gone without a word.
const LOST: &str = "lost";

/// A registered end with its conversation.
struct End {
    number: ConnectionNumber,
    peer: PeerRoute,
    /// For consoles, the organization.
    organization: Option<OrganizationKey>,
    connection: Connection,
    sender: Sender<FromRelay>,
    receiver: Receiver<ToRelay>,
    mailbox: Arc<Mailbox>,
    /// A deny list of which more parts are to come.
    denying: BTreeSet<DeviceKey>,
}

/// Why a handshake made no end.
enum NoEnd {
    /// Whoever it was only looked whether the relay is there.
    Looked,
    /// It broke off, was refused, or took too long.
    Failed,
}

/// What follows from a message.
enum Heard {
    Nothing,
    Answer(FromRelay),
    Violation,
}

/// An address that an end has been asked to confirm.
struct Confirmation {
    place: Place,
    nonce: Nonce,
    at: Instant,
}

/// Time after which a nonce that was not answered counts as lost, at least: the next message from the address brings
/// another.
const ASK_AGAIN: Duration = Duration::from_millis(150);

fn place_of(connection: &Connection) -> Place {
    let address: SocketAddr = connection.remote_address();
    Place { address, local_ip: connection.local_ip() }
}

fn refusal(error: TableError) -> RelayRefusal {
    match error {
        TableError::Full => full(),
        TableError::DeskOffline => RelayRefusal::DeskOffline,
        TableError::Denied => RelayRefusal::Denied,
        TableError::RouteTaken | TableError::Gone | TableError::NotAnAgent => RelayRefusal::Violation,
    }
}

fn full() -> RelayRefusal {
    let wait = FULL_RETRY.mul_f64(1.0 + rand::rng().random::<f64>());
    RelayRefusal::Full { retry_after_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX) }
}
