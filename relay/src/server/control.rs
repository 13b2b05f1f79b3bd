//! The control plane: who is here, and who wants to reach whom.
//!
//! One task serves every end, with all their state behind one lock: what is said to an end is short, and most say
//! nothing for hours.

mod end;
mod under_way;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use belay_protocol::bounded::BoundedVec;
use belay_protocol::codec;
use belay_protocol::delegation::Delegation;
use belay_protocol::frame;
use belay_protocol::hello::{Hello, Welcome};
use belay_protocol::limits::{FRAME_MAX_BYTES, HANDSHAKE_DEADLINE, HELLO_MAX_BYTES};
use belay_protocol::message::{FromRelay, MAX_ELSEWHERE, Nonce, PeerRoute, RelayRefusal, ToRelay};
use belay_protocol::well_known::WellKnownRelay;
use belay_protocol::{ConsoleKey, DeviceKey, OrganizationKey};
use quinn::udp::Transmit;
use quinn::{EndpointConfig, ServerConfig};
use quinn_proto::{ConnectionHandle, Incoming};
use rand::{Rng, RngExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use self::end::{Confirmation, End, KEY_FIELD, Member, Phase};
use self::under_way::{UnderWay, network_of};
use super::Admission;
use super::dataplane::{DataPlane, LocalDatagram};
use super::deny::{DENIED_MAX, Denied, DenyFile};
use super::keys::RelayKeys;
use super::lines::{Line, LineError, Lines};
use super::table::{ConnectionNumber, Newcomer, OpenedPair, Table, TableError, Told};
use super::tunnels::Tunnels;
use crate::close::Close;
use crate::identity::verify_delegation;
use crate::net::Net;

/// The state of the control plane.
pub(super) struct ControlPlane {
    keys: RelayKeys,
    admission: RwLock<Admission>,
    /// Locked after `ends` where both are.
    table: Arc<Mutex<Table>>,
    plane: Arc<DataPlane>,
    tunnels: Arc<Tunnels>,
    deny_file: DenyFile,
    net: Arc<dyn Net>,
    ends: Mutex<Ends>,
    /// Another task than the one that serves has said something to an end.
    said: Notify,
    /// What became of handshakes.
    pub(super) handshakes: Handshakes,
    draining: CancellationToken,
}

/// Every end that is connected.
struct Ends {
    lines: Lines<End>,
    registered: HashMap<ConnectionNumber, ConnectionHandle>,
    last_number: u64,
    under_way: UnderWay,
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

/// How often ends are told that a budget bites.
const SLOWED_INTERVAL: Duration = Duration::from_secs(2);

/// How long an end that found the relay full is to wait, at least; as much again is random.
const FULL_RETRY: Duration = Duration::from_secs(15);

impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlane").field("handshakes", &self.handshakes).finish_non_exhaustive()
    }
}

impl ControlPlane {
    pub(super) fn new(
        keys: RelayKeys,
        (endpoint, server): (EndpointConfig, ServerConfig),
        admission: Admission,
        table: Arc<Mutex<Table>>,
        plane: Arc<DataPlane>,
        deny_file: DenyFile,
        net: Arc<dyn Net>,
    ) -> Self {
        let lines = Lines::new(endpoint, server);
        Self {
            keys,
            admission: RwLock::new(admission),
            table,
            tunnels: Arc::clone(plane.tunnels()),
            plane,
            deny_file,
            net,
            ends: Mutex::new(Ends {
                lines,
                registered: HashMap::new(),
                last_number: 0,
                under_way: UnderWay::default(),
            }),
            said: Notify::new(),
            handshakes: Handshakes::default(),
            draining: CancellationToken::new(),
        }
    }

    /// Serves ends until `stop`; then closes every connection and waits a moment for the peers' answers.
    pub(super) async fn serve(&self, stop: &CancellationToken) {
        let mut slowed = tokio::time::interval(SLOWED_INTERVAL);
        let mut arrived = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.wait(&mut arrived) => self.take(&mut arrived),
                _ = slowed.tick() => {
                    let told = self.table().take_slowed();
                    if self.deny_file.is_due(now()) {
                        self.deny_file.keep(self.table().denied(), now());
                    }
                    let mut ends = self.ends();
                    for Told { connection, about } in told {
                        self.tell(&mut ends, connection, FromRelay::Slowed { peer: about });
                    }
                    self.drive_due(&mut ends, now());
                }
            }
        }
        self.close_all();
        let closing = async {
            while self.ends().lines.len() > 0 {
                self.wait(&mut arrived).await;
                self.take(&mut arrived);
            }
        };
        // The close frames have left; a peer that does not answer is not waited for.
        let _ = tokio::time::timeout(CLOSING, closing).await;
    }

    /// Waits until there is something to do; what arrived is put into `arrived`.
    async fn wait(&self, arrived: &mut Vec<LocalDatagram>) {
        let timer = self.ends().lines.next_timer();
        let ripe = async {
            match timer {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = std::future::poll_fn(|cx| self.plane.poll_local(cx, arrived)) => {}
            () = self.said.notified() => {}
            () = ripe => {}
        }
    }

    fn take(&self, arrived: &mut Vec<LocalDatagram>) {
        let mut ends = self.ends();
        let now = now();
        for (meta, datagram) in arrived.drain(..) {
            if let Some(incoming) = ends.lines.take(now, &meta, &datagram, |packet| self.plane.send_local(packet)) {
                self.admit(&mut ends, (incoming, datagram.len()), now);
            }
        }
        self.drive_due(&mut ends, now);
    }

    fn close_all(&self) {
        let mut ends = self.ends();
        let now = now();
        for handle in ends.lines.handles() {
            self.dismiss(&mut ends, handle, Close::Stopping, "the relay stops", now);
        }
        self.drive_due(&mut ends, now);
    }

    /// Serves nobody new, tells everybody where else to go, and waits until no session is left, for at most `grace`. Ends
    /// without a session, as a desk is that serves nobody just now, get a moment to hear it.
    pub(super) async fn drain(&self, elsewhere: &[WellKnownRelay], grace: Duration) {
        self.draining.cancel();
        let (elsewhere, _) = BoundedVec::<_, MAX_ELSEWHERE>::truncating(elsewhere.iter().cloned());
        {
            let mut ends = self.ends();
            let registered: Vec<ConnectionNumber> = ends.registered.keys().copied().collect();
            tracing::info!(ends = registered.len(), seconds = grace.as_secs(), "draining");
            for number in registered {
                self.tell(&mut ends, number, FromRelay::Draining { elsewhere: elsewhere.clone() });
            }
        }
        self.said.notify_one();
        let began = tokio::time::Instant::now();
        while began.elapsed() < grace {
            let (_, pairs) = self.table().counts();
            if self.ends().registered.is_empty() || pairs == 0 && began.elapsed() >= DRAIN_WORD {
                break;
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }

    /// Whether denials hold that a restart would forget.
    pub(super) fn is_deny_list_behind(&self) -> bool {
        self.deny_file.is_behind()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Changes whom the relay serves. Desks of organizations that are not served any more are disconnected.
    pub(super) fn set_admission(&self, admission: Admission) {
        *self.admission.write().unwrap_or_else(PoisonError::into_inner) = admission;
        let mut ends = self.ends();
        let unwelcome: Vec<ConnectionNumber> = {
            let table = self.table();
            table.desks().filter(|(organization, _)| !self.serves(organization)).map(|(_, number)| number).collect()
        };
        for number in unwelcome {
            if let Some(handle) = ends.registered.get(&number).copied() {
                self.dismiss(&mut ends, handle, Close::NotAdmitted, "not served any more", now());
            }
        }
        self.said.notify_one();
    }

    /// Takes a handshake up that began with a datagram of `bytes`, or does not.
    fn admit(&self, ends: &mut Ends, (incoming, bytes): (Incoming, usize), now: Instant) {
        let send = |packet: &Transmit<'_>| self.plane.send_local(packet);
        let is_validated = incoming.remote_address_validated();
        let network = network_of(self.tunnels.origin(incoming.remote_address()), is_validated);
        if self.draining.is_cancelled() || !ends.under_way.has_room(network) {
            self.handshakes.refused.fetch_add(1, Ordering::Relaxed);
            // Whoever has not proved its address gets no answer that somebody else might have to bear.
            if is_validated {
                ends.lines.refuse(incoming, send);
            } else {
                ends.lines.ignore(incoming);
            }
            return;
        }
        if ends.under_way.len() >= RETRY_FROM && incoming.may_retry() && !is_validated {
            self.handshakes.retried.fetch_add(1, Ordering::Relaxed);
            ends.lines.retry(incoming, send);
            return;
        }
        ends.last_number += 1;
        let end = End::arriving(ConnectionNumber(ends.last_number), network, now + HANDSHAKE_DEADLINE);
        if ends.lines.accept(now, (incoming, bytes), end, send) {
            ends.under_way.enter(network);
        } else {
            self.handshakes.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does what there is to do for every end that has something to do.
    fn drive_due(&self, ends: &mut Ends, now: Instant) {
        while let Some(handle) = ends.lines.next_due(now) {
            self.drive(ends, handle, now);
            let wake = ends.lines.get(handle).and_then(|line| line.end.deadline());
            ends.lines.settle(now, handle, wake, |packet| self.plane.send_local(packet));
        }
    }

    fn drive(&self, ends: &mut Ends, handle: ConnectionHandle, now: Instant) {
        let Some(line) = ends.lines.get(handle) else { return };
        let _span = line.end.span().entered();
        loop {
            let Some(line) = ends.lines.get(handle).filter(|line| !line.end.is_gone()) else { return };
            if let Some((close, why)) = line.end.is_over(line.is_finished(), now) {
                return self.dismiss(ends, handle, close, why, now);
            }
            line.say_waiting();
            if !line.end.is_heard() {
                return;
            }
            let heard = match line.receive() {
                Ok(Some(frame)) => self.hear(ends, handle, &frame, now),
                Ok(None) => break,
                Err(LineError::Ended) => Err((Close::Done, LEFT)),
                Err(LineError::Lost) => Err((Close::Done, if line.closed_by_peer().is_some() { LEFT } else { LOST })),
                Err(LineError::Frame(error)) => Err(violation(&error)),
            };
            if let Err((close, why)) = heard {
                return self.dismiss(ends, handle, close, why, now);
            }
        }
        if let Some(line) = ends.lines.get(handle) {
            self.notice_new_address(line, now);
        }
    }

    /// Closes a connection and forgets its end.
    fn dismiss(&self, ends: &mut Ends, handle: ConnectionHandle, close: Close, why: &'static str, now: Instant) {
        let Some(line) = ends.lines.get(handle) else { return };
        line.close(now, close);
        let looked = line.closed_by_peer() == Some(Close::Done);
        let (number, network, span) = (line.end.number, line.end.network, line.end.span());
        let phase = std::mem::replace(&mut line.end.phase, Phase::Gone);
        ends.lines.mark(handle);
        match phase {
            Phase::Arriving { .. } | Phase::Refused { .. } => {
                ends.under_way.leave(network);
                let counter = if looked { &self.handshakes.looked } else { &self.handshakes.failed };
                counter.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(parent: &span, why, "an end did not register");
            }
            Phase::Registered(member) => {
                ends.registered.remove(&number);
                let told = self.table().remove(&member.peer.key, number);
                self.tell_gone(ends, told);
                tracing::info!(parent: &span, why, "gone");
            }
            Phase::Gone => {}
        }
    }

    fn hear(&self, ends: &mut Ends, handle: ConnectionHandle, frame: &[u8], now: Instant) -> Heard {
        let Some(line) = ends.lines.get(handle) else { return Ok(()) };
        if let Phase::Arriving { has_greeted: has_greeted @ false, .. } = &mut line.end.phase {
            *has_greeted = true;
            return self.greet(line, frame);
        }
        let message: ToRelay = codec::decode(frame, FRAME_MAX_BYTES).map_err(|error| violation(&error))?;
        match line.end.phase {
            Phase::Arriving { .. } => self.register(ends, handle, message, now),
            Phase::Registered(_) => self.answer(ends, handle, message),
            // It was told no; what else it says does not matter.
            Phase::Refused { .. } | Phase::Gone => Ok(()),
        }
    }

    fn greet(&self, line: &mut Line<End>, frame: &[u8]) -> Heard {
        let hello = Hello::decode(frame).map_err(|error| violation(&error))?;
        let welcome = Welcome::to(&hello);
        line.send(frame::wrap(&welcome.encode(), HELLO_MAX_BYTES).map_err(|error| violation(&error))?);
        match welcome {
            Welcome::Agreed(_) => line.has_greeted(),
            Welcome::NoCommonVersion(_) => line.refuse(Close::Version),
        }
        Ok(())
    }

    fn register(&self, ends: &mut Ends, handle: ConnectionHandle, message: ToRelay, now: Instant) -> Heard {
        let Some(line) = ends.lines.get(handle) else { return Ok(()) };
        let ToRelay::Register { salt, desk } = message else { return Err(violation(&"it did not register")) };
        let key = line.peer_key().ok_or_else(|| violation(&"it proved no key"))?;
        let peer = PeerRoute { key, salt };
        let (number, place) = (line.end.number, line.place());
        let registered = self.admitted(&key, desk.as_ref()).and_then(|organization| {
            let origin = self.tunnels.origin(place.address);
            let newcomer = Newcomer { peer, connection: number, place, origin, organization };
            let registered = self.table().register(newcomer).map_err(refusal)?;
            Ok((registered, organization))
        });
        match registered {
            Ok((registered, organization)) => {
                line.end.phase = Phase::Registered(Box::new(Member::new(peer, organization)));
                Span::current().record(KEY_FIELD, DeviceKey(key).short());
                line.say(&FromRelay::Registered);
                line.say(&FromRelay::Clock { unix_ms: self.net.unix_ms() });
                ends.under_way.leave(line.end.network);
                ends.registered.insert(number, handle);
                self.handshakes.completed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(address = %place.address, "registered from here");
                tracing::info!(role = if organization.is_some() { "desk" } else { "agent" }, "registered");
                self.tunnels.note_registered(place.address);
                let earlier = registered.replaced.and_then(|earlier| ends.registered.get(&earlier).copied());
                if let Some(earlier) = earlier {
                    self.dismiss(ends, earlier, Close::Replaced, "replaced", now);
                }
                self.tell_gone(ends, registered.gone);
                self.tell_opened(ends, registered.opened);
            }
            Err(refusal) => {
                tracing::info!(?refusal, "an end was refused");
                line.say(&FromRelay::Refused(refusal));
                line.refuse(Close::Violation);
            }
        }
        Ok(())
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

    /// Does what a registered end asks for.
    fn answer(&self, ends: &mut Ends, handle: ConnectionHandle, message: ToRelay) -> Heard {
        let Some(line) = ends.lines.get(handle) else { return Ok(()) };
        let number = line.end.number;
        let Phase::Registered(member) = &mut line.end.phase else { return Ok(()) };
        let peer = member.peer;
        let answer = match (message, member.organization) {
            (ToRelay::Probe { number }, _) => Some(FromRelay::Probed { number }),
            (ToRelay::Confirmed { nonce }, _) => {
                self.confirm_address(ends, handle, nonce);
                None
            }
            (ToRelay::Leave { peer: other }, _) => {
                let told = self.table().leave(&peer, &other);
                self.tell_gone(ends, told);
                None
            }
            (ToRelay::Reach { organization }, None) => {
                if self.serves(&organization) {
                    let opened = self.table().reach(&peer, &organization);
                    self.open(ends, opened)
                } else {
                    Some(FromRelay::Refused(RelayRefusal::UnknownOrganization))
                }
            }
            (ToRelay::Rejoin { peer: desk }, None) => {
                let opened = self.table().rejoin(&peer, &desk);
                self.open(ends, opened)
            }
            (ToRelay::Deny { device }, Some(organization)) => self.deny(ends, organization, device),
            (ToRelay::DenyList { devices, more }, Some(organization)) => {
                let room = self.room_for_denials(self.table().denied(), &organization);
                let space = room.saturating_sub(member.denying.len());
                member.is_denying_cut |= devices.len() > space;
                member.denying.extend(devices.into_vec().into_iter().take(space));
                if more {
                    None
                } else {
                    // As many as there is room for are better than none.
                    let denied = std::mem::take(&mut member.denying);
                    let is_cut = std::mem::take(&mut member.is_denying_cut);
                    self.replace_denied(ends, organization, denied);
                    is_cut.then(|| FromRelay::Refused(full()))
                }
            }
            _ => return Err(violation(&"a message out of its turn")),
        };
        if let Some(answer) = answer {
            self.tell(ends, number, answer);
        }
        Ok(())
    }

    fn open(&self, ends: &mut Ends, opened: Result<OpenedPair, TableError>) -> Option<FromRelay> {
        match opened {
            Ok(pair) => {
                self.tell_opened(ends, [pair]);
                None
            }
            Err(error) => Some(FromRelay::Refused(refusal(error))),
        }
    }

    /// Asks an end whose packets come from elsewhere than its sessions' packets are sent to. QUIC follows an address at
    /// the first packet from there, before it has proved that its owner is there; a route must not.
    fn notice_new_address(&self, line: &mut Line<End>, now: Instant) {
        let (place, round_trip) = (line.place(), line.round_trip());
        let Phase::Registered(member) = &mut line.end.phase else { return };
        let Some(known) = self.table().place_of(&member.peer.key) else { return };
        if known.address == place.address {
            member.asked = None;
            return;
        }
        let patience = ASK_AGAIN.max(2 * round_trip);
        let is_awaited = |asked: &Confirmation| asked.place.address == place.address && now < asked.at + patience;
        if member.asked.as_ref().is_some_and(is_awaited) {
            return;
        }
        let mut nonce = Nonce::default();
        rand::rng().fill_bytes(&mut nonce);
        self.plane.challenge(place, &member.peer.route(), &nonce);
        member.asked = Some(Confirmation { place, nonce, at: now });
    }

    fn confirm_address(&self, ends: &mut Ends, handle: ConnectionHandle, nonce: Nonce) {
        let Some(line) = ends.lines.get(handle) else { return };
        let (now, number) = (line.place(), line.end.number);
        let Phase::Registered(member) = &mut line.end.phase else { return };
        let Some(confirmation) = member.asked.take() else { return };
        if confirmation.nonce != nonce || confirmation.place.address != now.address {
            return;
        }
        tracing::debug!(address = %now.address, "an end has moved");
        let origin = self.tunnels.origin(now.address);
        self.tunnels.note_registered(now.address);
        let opened = self.table().moved(&member.peer.key, number, now, origin);
        self.tell_opened(ends, opened);
    }

    /// How many devices an organization may deny. Where everybody is served, one can have any number of organizations, so
    /// that there is one limit for all of them.
    fn room_for_denials(&self, denied: &Denied, organization: &OrganizationKey) -> usize {
        let is_any = matches!(*self.admission.read().unwrap_or_else(PoisonError::into_inner), Admission::Any);
        let others = denied.iter().filter(|(other, _)| is_any && *other != organization);
        DENIED_MAX.saturating_sub(others.map(|(_, devices)| devices.len()).sum())
    }

    fn deny(&self, ends: &mut Ends, organization: OrganizationKey, device: DeviceKey) -> Option<FromRelay> {
        let mut table = self.table();
        let known = table.denied().get(&organization);
        let is_new = !known.is_some_and(|known| known.contains(&device));
        if is_new && known.map_or(0, BTreeSet::len) >= self.room_for_denials(table.denied(), &organization) {
            return Some(FromRelay::Refused(full()));
        }
        let told = table.deny(organization, device);
        if is_new {
            self.deny_file.add(&organization, &device, table.denied(), now());
        }
        drop(table);
        tracing::info!(device = device.short(), pairs = told.len() / 2, "a device was denied");
        self.tell_gone(ends, told);
        None
    }

    fn replace_denied(&self, ends: &mut Ends, organization: OrganizationKey, denied: BTreeSet<DeviceKey>) {
        let mut table = self.table();
        if table.denied().get(&organization).map_or(denied.is_empty(), |known| *known == denied) {
            return;
        }
        let told = table.set_denied(organization, denied);
        self.deny_file.keep(table.denied(), now());
        drop(table);
        self.tell_gone(ends, told);
    }

    fn tell_opened(&self, ends: &mut Ends, opened: impl IntoIterator<Item = OpenedPair>) {
        for OpenedPair { agent, desk, agent_origin } in opened {
            // The desk first, so that it knows the path when the agent's first packet arrives.
            let source = Some(self.keys.attest_source(agent_origin));
            self.tell(ends, desk.connection, FromRelay::Opened { peer: desk.about, source });
            self.tell(ends, agent.connection, FromRelay::Opened { peer: agent.about, source: None });
        }
    }

    fn tell_gone(&self, ends: &mut Ends, told: impl IntoIterator<Item = Told>) {
        for Told { connection, about } in told {
            self.tell(ends, connection, FromRelay::Gone { peer: about });
        }
    }

    /// Has something said to a registered end when its turn comes.
    fn tell(&self, ends: &mut Ends, number: ConnectionNumber, message: FromRelay) {
        let Some(handle) = ends.registered.get(&number).copied() else { return };
        if let Some(Line { end: End { phase: Phase::Registered(member), .. }, .. }) = ends.lines.get(handle) {
            member.put(message);
            ends.lines.mark(handle);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What follows from something that was heard: nothing, or that its connection is closed, and what is logged then.
type Heard = Result<(), (Close, &'static str)>;

fn violation(error: &dyn fmt::Display) -> (Close, &'static str) {
    tracing::debug!(%error, "an end broke the protocol");
    (Close::Violation, "broke the protocol")
}

/// What is logged of an end that is gone without a word.
const LOST: &str = "lost";

/// What is logged of an end that said goodbye.
const LEFT: &str = "left";

/// Time in which ends without a session hear where to go.
const DRAIN_WORD: Duration = Duration::from_secs(1);

/// How often a draining relay looks whether all have left.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// How long a relay that stops waits for the answers to its farewells.
const CLOSING: Duration = Duration::from_millis(500);

/// Time after which a nonce that was not answered counts as lost, at least: the next message from the address brings
/// another.
const ASK_AGAIN: Duration = Duration::from_millis(150);

/// tokio's clock, so that everything follows virtual time in simulations.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
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
