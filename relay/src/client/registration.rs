//! Being present at a relay: a control connection, kept up by a task of its own through outages, moves and restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use belay_protocol::bounded::BoundedVec;
use belay_protocol::delegation::Delegation;
use belay_protocol::invite::RelayAddress;
use belay_protocol::limits::HANDSHAKE_DEADLINE;
use belay_protocol::message::{DENIED_PER_MESSAGE, FromRelay, PeerRoute, RelayRefusal, ToRelay};
use belay_protocol::well_known::MAX_RELAYS;
use belay_protocol::{DeviceKey, OrganizationKey, RouteId};
use quinn::ConnectionError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::dial::{Greeted, Plan};
use super::link::is_access_denied;
use super::proxy::ProxyError;
use super::watch::{LOOK_EVERY, Look, QUIET_LOOK_EVERY, Quiet, Watch};
use super::{Client, jitter};
use crate::close::Close;
use crate::stream::StreamError;

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
    /// Packets to and from this peer are forwarded from now on, and sessions can be opened. Told again when the pair has
    /// moved.
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
    /// Nothing answers there over UDP, and no tunnel could be opened.
    #[error("the relay cannot be reached over UDP, nor over TCP: {0}")]
    Tunnel(io::Error),
    /// Nothing answers there over UDP, and the proxy does not help.
    #[error("the relay cannot be reached over UDP, and {0}")]
    Proxy(ProxyError),
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

/// A registration with the nearest of some relays. It reconnects with a growing, jittered delay until it is dropped.
#[derive(Debug)]
pub struct Registration {
    commands: mpsc::Sender<Command>,
    notices: mpsc::Receiver<Notice>,
    further: FurtherRelays,
    in_use: watch::Receiver<Option<InUse>>,
    _task: AbortOnDropHandle<()>,
}

/// Tells a registration where else to look. Clones tell the same one.
#[derive(Debug, Clone)]
pub struct FurtherRelays {
    relays: watch::Sender<Vec<RelayAddress>>,
}

impl FurtherRelays {
    /// Has these relays tried beside those that the registration was made with, from the next attempt on. They take the
    /// place of those that were named here before; those beyond [`MAX_RELAYS`] are left out.
    pub fn also_at(&self, mut relays: Vec<RelayAddress>) {
        relays.truncate(MAX_RELAYS);
        self.relays.send_replace(relays);
    }
}

/// The way that a registration has found last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// The relay.
    pub relay: RelayAddress,
    /// Whether UDP did not get through to it.
    pub is_tunnel: bool,
    /// Milliseconds that our clock was ahead of the relay's when it told what it shows.
    pub clock_ahead_ms: Option<i64>,
}

#[derive(Debug)]
enum Command {
    Reach(OrganizationKey),
    Deny(DeviceKey),
    DenyList(BTreeSet<DeviceKey>),
}

/// Notices and commands that wait; the task blocks on a reader that does not keep up.
const QUEUE: usize = 64;

/// First delay before connecting again, and the largest.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// Longest wait that a relay can ask for: it could otherwise keep a machine away for weeks.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5 * 60);

/// Time between two attempts, at least.
const ATTEMPT_EVERY: Duration = Duration::from_secs(1);

/// How far the relay that answered last is ahead of the others.
const NEAREST_AHEAD: Duration = Duration::from_millis(500);

/// How far UDP is ahead of tunnels, when nothing is known and when UDP has just gone silent.
pub(super) const UDP_AHEAD: Duration = Duration::from_secs(1);
const UDP_AHEAD_SUSPECT: Duration = Duration::from_millis(300);

/// The same where UDP has worked before and nobody waits: a relay to which thousands return is slow, not blocked, and
/// tunnels would be the heavier load.
const UDP_AHEAD_KNOWN: Duration = Duration::from_secs(4);

/// Time for one attempt while a session waits for it: short, because each attempt sends its first packets more often
/// than an old one repeats them.
const DEADLINE_IN_SESSION: Duration = Duration::from_millis(2_500);

/// Time between tries to get from a tunnel to UDP, or back to a relay of the list, at first and at most.
const HOMEWARD_FIRST: Duration = Duration::from_secs(20);
const HOMEWARD_MAX: Duration = Duration::from_secs(10 * 60);

/// Time between an answer of "not now" and the next question. The relay itself remembers what is waited for.
const WISH_AGAIN: Duration = Duration::from_secs(15);

/// Time after which a desk that has gone is asked for anew.
const WISH_AFTER_GONE: Duration = Duration::from_secs(1);

/// Time that the console of an open session is given to come back before any console of the desk will do.
const WISH_AFTER_REJOIN: Duration = Duration::from_secs(5);

/// Time that a relay which is left for another one is kept, so that nothing is lost in between.
const LEAVE_AFTER: Duration = Duration::from_secs(3);

/// Time to learn why a connection ended before it is given up without a reason.
const CLOSE_GRACE: Duration = Duration::from_millis(200);

impl Registration {
    pub(super) fn spawn(client: Client, relays: Vec<RelayAddress>, role: Role) -> Self {
        let (commands, command_queue) = mpsc::channel(QUEUE);
        let (notice_queue, notices) = mpsc::channel(QUEUE);
        let (further, further_relays) = watch::channel(Vec::new());
        let (in_use, used) = watch::channel(None);
        let keeper = Keeper {
            client,
            relays,
            elsewhere: Vec::new(),
            further: further_relays,
            in_use,
            role,
            wish: None,
            wish_due: None,
            denied: None,
            open: BTreeMap::new(),
            nearest: None,
            udp_is_blocked: false,
            last_attempt: None,
            commands: command_queue,
            notices: notice_queue,
        };
        let further = FurtherRelays { relays: further };
        Self { commands, notices, further, in_use: used, _task: AbortOnDropHandle::new(tokio::spawn(keeper.run())) }
    }

    /// Asks for a console of `organization`, now and after every reconnection, until the registration is dropped.
    pub async fn reach(&self, organization: OrganizationKey) {
        self.command(Command::Reach(organization)).await;
    }

    /// At a desk: keeps `device` from reaching the organization through this relay, at once and for good.
    pub async fn deny(&self, device: DeviceKey) {
        self.command(Command::Deny(device)).await;
    }

    /// At a desk: the whole list of devices that are not to reach the organization.
    pub async fn deny_only(&self, devices: BTreeSet<DeviceKey>) {
        self.command(Command::DenyList(devices)).await;
    }

    /// Where further relays are named, which also works while no relay answers.
    pub fn further_relays(&self) -> FurtherRelays {
        self.further.clone()
    }

    /// The way that was found last; `None` before the first.
    pub fn in_use(&self) -> Option<InUse> {
        self.in_use.borrow().clone()
    }

    async fn command(&self, command: Command) {
        // The task lives as long as this handle.
        let _ = self.commands.send(command).await;
    }

    /// The next notice. Cancel-safe.
    pub async fn notice(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }
}

struct Keeper {
    client: Client,
    relays: Vec<RelayAddress>,
    /// Relays that a stopping one has named.
    elsewhere: Vec<RelayAddress>,
    /// Relays that the desk has named.
    further: watch::Receiver<Vec<RelayAddress>>,
    in_use: watch::Sender<Option<InUse>>,
    role: Role,
    /// The organization an agent wants to reach.
    wish: Option<OrganizationKey>,
    /// When the wish is repeated.
    wish_due: Option<Instant>,
    /// At a desk, who is denied; `None` until that was said.
    denied: Option<BTreeSet<DeviceKey>>,
    /// The peers we are paired with.
    open: BTreeMap<RouteId, PeerRoute>,
    /// The relay that answered last.
    nearest: Option<RelayAddress>,
    /// Whether the last success was a tunnel.
    udp_is_blocked: bool,
    last_attempt: Option<Instant>,
    commands: mpsc::Receiver<Command>,
    notices: mpsc::Sender<Notice>,
}

/// The handle of a registration is gone.
struct Dropped;

/// An attempt to find another way beside the one in use.
type Rival = AbortOnDropHandle<Result<Greeted, RelayError>>;

impl Keeper {
    async fn run(mut self) {
        let mut delay = BACKOFF_FIRST;
        loop {
            let is_first = self.last_attempt.is_none();
            self.last_attempt = Some(Instant::now());
            let plan = self.plan(if self.is_urgent() && !is_first { DEADLINE_IN_SESSION } else { HANDSHAKE_DEADLINE });
            let (down, was_up) = match self.client.find(plan, self.role).await {
                Ok(found) => {
                    delay = BACKOFF_FIRST;
                    if self.notices.send(Notice::Up).await.is_err() {
                        return;
                    }
                    match self.stay(found).await {
                        Ok(down) => (down, true),
                        Err(Dropped) => return,
                    }
                }
                Err(error) => (error, false),
            };
            tracing::debug!(error = %down, "not registered");
            let wait = self.wait_after(&down, was_up, &mut delay);
            if self.notices.send(Notice::Down(down)).await.is_err() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait before the next attempt.
    fn wait_after(&self, down: &RelayError, was_up: bool, delay: &mut Duration) -> Duration {
        let since = self.last_attempt.map_or(ATTEMPT_EVERY, |last| last.elapsed());
        let least = ATTEMPT_EVERY.saturating_sub(since);
        if let Some(wait) = down.retry_after() {
            return wait.max(least);
        }
        // A relay that says no says it the next time as well.
        if self.is_urgent() && !matches!(down, RelayError::Refused(_)) {
            return least;
        }
        if was_up {
            // The ends of a dead relay do not come back in step.
            return least.max(ATTEMPT_EVERY.mul_f64(jitter()));
        }
        let wait = delay.mul_f64(1.0 + jitter() / 2.0);
        *delay = (*delay * 2).min(BACKOFF_MAX);
        wait
    }

    /// Whether somebody waits for the next success.
    fn is_urgent(&self) -> bool {
        !self.open.is_empty() || matches!(self.role, Role::Desk(_))
    }

    /// All relays, the last good one ahead, UDP ahead of tunnels unless it was of no use the last time.
    fn plan(&self, deadline: Duration) -> Plan {
        let further = self.further.borrow();
        let mut all: Vec<&RelayAddress> = Vec::new();
        for relay in self.relays.iter().chain(&self.elsewhere).chain(further.iter()) {
            if !all.contains(&relay) {
                all.push(relay);
            }
        }
        let ahead = |relay: &RelayAddress| match &self.nearest {
            Some(nearest) if nearest != relay => NEAREST_AHEAD,
            _ => Duration::ZERO,
        };
        let relays = all.into_iter().map(|relay| (relay.clone(), ahead(relay))).collect();
        let tunnels_after = match self.nearest {
            _ if self.udp_is_blocked => Duration::ZERO,
            Some(_) if !self.is_urgent() => UDP_AHEAD_KNOWN,
            _ => UDP_AHEAD,
        };
        Plan { relays, tunnels_after: self.tunnels_after(tunnels_after), deadline }
    }

    fn tunnels_after(&self, after: Duration) -> Option<Duration> {
        self.client.ends.options.ways.tunnels_after(after)
    }

    /// Uses a registered connection, and those that take its place, until none is left; the reason.
    async fn stay(&mut self, found: Greeted) -> Result<RelayError, Dropped> {
        let mut current = Current::new(found, &self.client);
        let mut leaving: Option<(Greeted, Instant)> = None;
        let mut rival: Option<Rival> = None;
        let mut homeward = HOMEWARD_FIRST;
        let mut homeward_due = Instant::now() + homeward;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut quiet_looks = tokio::time::interval(QUIET_LOOK_EVERY);
        quiet_looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut broken = self.settle(&mut current).await.is_err();
        loop {
            if std::mem::take(&mut broken) {
                let reason = current.reason().await;
                tracing::debug!(error = %reason, "a way to the relay was lost");
                // An attempt that is under way may still take its place without anybody noticing.
                let Some(attempt) = rival.take() else { return Ok(reason) };
                let Ok(Ok(next)) = attempt.await else { return Ok(reason) };
                drop(self.switch(&mut current, next));
                broken = self.settle(&mut current).await.is_err();
                continue;
            }
            let tunnel = current.link.tunnel.as_ref().map(|tunnel| tunnel.broken.clone());
            let is_away = current.link.tunnel.is_some() || !self.relays.contains(&current.link.relay);
            tokio::select! {
                message = current.link.receiver.receive() => match message {
                    Ok(Some(message)) => {
                        broken = self.take(message, &mut current, &mut rival).await?.is_err();
                    }
                    _ => broken = true,
                },
                nonce = current.link.way.challenge() => {
                    current.watch.address_changed();
                    broken = current.link.sender.send(&ToRelay::Confirmed { nonce }).await.is_err();
                }
                command = self.commands.recv() => {
                    let Some(command) = command else { return Err(Dropped) };
                    broken = self.obey(command, &mut current).await.is_err();
                }
                () = sleep_until(self.wish_due.unwrap_or_else(far_away)), if self.wish_due.is_some() => {
                    self.wish_due = None;
                    broken = self.ask(&mut current).await.is_err();
                }
                _ = looks.tick(), if !self.open.is_empty() || leaving.is_some() => {
                    leaving = leaving.filter(|(_, until)| Instant::now() < *until && !self.all_paths_by(&current));
                    broken = self.look(&mut current, &mut rival).await.is_err();
                }
                _ = quiet_looks.tick(), if self.open.is_empty() && rival.is_none() => {
                    if current.is_silent() {
                        tracing::debug!("the relay does not answer: looking for a way beside this one");
                        rival = self.attempt(self.plan(HANDSHAKE_DEADLINE));
                    }
                }
                () = sleep_until(homeward_due), if is_away => {
                    homeward = (homeward * 2).min(HOMEWARD_MAX);
                    homeward_due = Instant::now() + homeward;
                    if rival.is_none() {
                        rival = self.attempt(self.homeward_plan(&current));
                    }
                }
                found = outcome(&mut rival) => {
                    rival = None;
                    match found {
                        Ok(next) => {
                            let former = self.switch(&mut current, next);
                            if former.relay != current.link.relay {
                                leaving = Some((former, Instant::now() + LEAVE_AFTER));
                            }
                            broken = self.settle(&mut current).await.is_err();
                        }
                        Err(error) => tracing::debug!(%error, "no other way was found"),
                    }
                }
                () = broken_tunnel(tunnel) => broken = true,
            }
        }
    }

    fn all_paths_by(&self, current: &Current) -> bool {
        self.open.keys().all(|peer| self.client.ends.socket.goes_by(peer, &current.link.way))
    }

    /// Begins to look for another way beside the one in use, among the relays that have not asked to be left alone for now,
    /// if there are any.
    fn attempt(&mut self, mut plan: Plan) -> Option<Rival> {
        plan.relays.retain(|(relay, _)| !self.client.is_held_off(relay));
        if plan.relays.is_empty() {
            return None;
        }
        self.last_attempt = Some(Instant::now());
        let (client, role) = (self.client.clone(), self.role);
        Some(AbortOnDropHandle::new(tokio::spawn(async move { client.find(plan, role).await })))
    }

    /// From a tunnel to UDP at the same relay; from a relay that was named by another back to one of the list.
    fn homeward_plan(&self, current: &Current) -> Plan {
        let is_listed = self.relays.contains(&current.link.relay);
        let relays = self.relays.iter().filter(|relay| !is_listed || **relay == current.link.relay);
        Plan {
            relays: relays.map(|relay| (relay.clone(), Duration::ZERO)).collect(),
            tunnels_after: if is_listed { None } else { self.tunnels_after(UDP_AHEAD) },
            deadline: HANDSHAKE_DEADLINE,
        }
    }

    /// Puts `next` in the place of the connection in use, which is returned.
    fn switch(&mut self, current: &mut Current, next: Greeted) -> Greeted {
        tracing::info!(relay = %next.relay.host_port(), tunnel = next.tunnel.is_some(), "changed the way to the relay");
        let former = std::mem::replace(current, Current::new(next, &self.client)).link;
        if former.relay == current.link.relay {
            // The relay has moved the pairs together with the registration.
            self.client.ends.socket.replace_way(&former.way, &current.link.way);
        }
        former
    }

    /// Says what is to be said after a registration.
    async fn settle(&mut self, current: &mut Current) -> Result<(), StreamError> {
        self.nearest = Some(current.link.relay.clone());
        self.udp_is_blocked = current.link.tunnel.is_some();
        let (relay, is_tunnel) = (current.link.relay.clone(), current.link.tunnel.is_some());
        self.in_use.send_replace(Some(InUse { relay, is_tunnel, clock_ahead_ms: None }));
        let sender = &mut current.link.sender;
        match self.role {
            Role::Agent => {
                for peer in self.open.values() {
                    sender.send(&ToRelay::Rejoin { peer: *peer }).await?;
                }
                let wait = if self.open.is_empty() { Duration::ZERO } else { WISH_AFTER_REJOIN };
                self.wish_due = self.wish.map(|_| Instant::now() + wait);
                Ok(())
            }
            Role::Desk(_) => {
                // The relay tells which pairs there are.
                self.open.clear();
                match &self.denied {
                    Some(denied) => send_denied(current, denied).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn obey(&mut self, command: Command, current: &mut Current) -> Result<(), StreamError> {
        match command {
            Command::Reach(organization) => {
                self.wish = Some(organization);
                self.wish_due = None;
                self.ask(current).await
            }
            Command::Deny(device) => {
                self.denied.get_or_insert_default().insert(device);
                current.link.sender.send(&ToRelay::Deny { device }).await
            }
            Command::DenyList(devices) => {
                let sent = send_denied(current, &devices).await;
                self.denied = Some(devices);
                sent
            }
        }
    }

    async fn ask(&mut self, current: &mut Current) -> Result<(), StreamError> {
        match self.wish {
            Some(organization) => current.link.sender.send(&ToRelay::Reach { organization }).await,
            None => Ok(()),
        }
    }

    /// Looks whether the way still works, and for another if it does not.
    async fn look(&mut self, current: &mut Current, rival: &mut Option<Rival>) -> Result<(), StreamError> {
        let (socket, net) = (&self.client.ends.socket, &self.client.ends.options.net);
        let unanswered = socket.unanswered_for(&current.link.way);
        let source = current.link.tunnel.is_none().then(|| net.source_towards(current.address())).flatten();
        match current.watch.look(Instant::now(), unanswered, source) {
            Look::Fine => Ok(()),
            Look::Probe(number) => current.link.sender.send(&ToRelay::Probe { number }).await,
            Look::Suspect => {
                let is_time = self.last_attempt.is_none_or(|last| last.elapsed() >= ATTEMPT_EVERY);
                if rival.is_none() && is_time {
                    let mut plan = self.plan(DEADLINE_IN_SESSION);
                    plan.tunnels_after = self.tunnels_after(UDP_AHEAD_SUSPECT);
                    *rival = self.attempt(plan);
                }
                Ok(())
            }
        }
    }

    /// Takes a message of the relay. The outer error says that nobody listens any more, the inner one that the relay
    /// does not.
    async fn take(
        &mut self,
        message: FromRelay,
        current: &mut Current,
        rival: &mut Option<Rival>,
    ) -> Result<Result<(), StreamError>, Dropped> {
        let socket = &self.client.ends.socket;
        let notice = match message {
            FromRelay::Opened { peer, source } => {
                // A console that was restarted has the same key and another route.
                self.open.retain(|route, other| other.key != peer.key || *route == peer.route());
                self.open.insert(peer.route(), peer);
                self.wish_due = None;
                socket.set_path(peer.route(), &current.link.way);
                Notice::Opened { peer, source }
            }
            FromRelay::Gone { peer } => {
                self.open.remove(&peer.route());
                self.wish_due = self.wish.map(|_| Instant::now() + WISH_AFTER_GONE);
                if !socket.forget_path(&peer.route(), &current.link.way) {
                    // It has moved to another relay, and so have its packets.
                    return Ok(Ok(()));
                }
                Notice::Gone(peer)
            }
            FromRelay::Slowed { peer } => Notice::Slowed(peer),
            FromRelay::Refused(refusal) => {
                let wait = retry_after(&refusal).unwrap_or(WISH_AGAIN);
                self.wish_due = self.wish.map(|_| Instant::now() + wait);
                Notice::Refused(refusal)
            }
            FromRelay::Probed { number } => {
                current.watch.answered(Instant::now(), number);
                return Ok(Ok(()));
            }
            FromRelay::Draining { elsewhere } => {
                self.elsewhere = elsewhere.iter().filter_map(|relay| relay.address()).collect();
                let mut plan = self.plan(HANDSHAKE_DEADLINE);
                plan.relays.retain(|(relay, _)| *relay != current.link.relay);
                if rival.is_none() {
                    *rival = self.attempt(plan);
                }
                return Ok(Ok(()));
            }
            FromRelay::Clock { unix_ms } => {
                let ahead_ms = self.client.ends.options.net.unix_ms().saturating_sub(unix_ms);
                self.in_use.send_modify(|in_use| {
                    if let Some(in_use) = in_use {
                        in_use.clock_ahead_ms = Some(ahead_ms);
                    }
                });
                return Ok(Ok(()));
            }
            FromRelay::Registered => return Ok(Ok(())),
        };
        self.notices.send(notice).await.map_err(|_| Dropped)?;
        Ok(Ok(()))
    }
}

/// The connection in use.
struct Current {
    link: Greeted,
    watch: Watch,
    quiet: Quiet,
}

impl Current {
    fn new(link: Greeted, client: &Client) -> Self {
        let source = client.ends.options.net.source_towards(link.connection.remote_address());
        let source = source.filter(|_| link.tunnel.is_none());
        Self { link, watch: Watch::new(Instant::now(), source), quiet: Quiet::default() }
    }

    /// Whether the relay has not answered a keep-alive for some seconds.
    fn is_silent(&mut self) -> bool {
        let counts = self.link.connection.stats();
        self.quiet.is_suspect(Instant::now(), counts.udp_rx.datagrams, counts.frame_tx.ping)
    }

    fn address(&self) -> std::net::SocketAddr {
        self.link.connection.remote_address()
    }

    /// Why the connection has ended.
    async fn reason(&self) -> RelayError {
        let reason = timeout(CLOSE_GRACE, self.link.connection.closed()).await;
        Close::Done.close(&self.link.connection);
        reason.map_or(RelayError::Protocol(StreamError::Ended), RelayError::from)
    }
}

impl Client {
    /// Finds a relay and registers with it.
    pub(super) async fn find(&self, plan: Plan, role: Role) -> Result<Greeted, RelayError> {
        let mut plan = plan;
        loop {
            let mut greeted = self.race(plan.clone()).await?;
            match self.register_on(&mut greeted, role).await {
                Ok(()) => return Ok(greeted),
                // A relay that is full is no reason not to try the next.
                Err(error @ RelayError::Refused(_)) => {
                    if let Some(wait) = error.retry_after() {
                        self.hold_off(&greeted.relay, wait);
                    }
                    plan.relays.retain(|(relay, _)| *relay != greeted.relay);
                    if plan.relays.is_empty() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Leaves a relay alone for as long as it has asked for.
    fn hold_off(&self, relay: &RelayAddress, time: Duration) {
        let mut held_off = self.ends.held_off.lock().unwrap_or_else(PoisonError::into_inner);
        held_off.retain(|_, until| Instant::now() < *until);
        held_off.insert(relay.key, Instant::now() + time);
    }

    fn is_held_off(&self, relay: &RelayAddress) -> bool {
        let held_off = self.ends.held_off.lock().unwrap_or_else(PoisonError::into_inner);
        held_off.get(&relay.key).is_some_and(|until| Instant::now() < *until)
    }

    async fn register_on(&self, greeted: &mut Greeted, role: Role) -> Result<(), RelayError> {
        let desk = match role {
            Role::Agent => None,
            Role::Desk(delegation) => Some(delegation),
        };
        let register = ToRelay::Register { salt: self.ends.salt, desk };
        let registering = async {
            greeted.sender.send(&register).await?;
            greeted.receiver.receive().await
        };
        let answer = timeout(HANDSHAKE_DEADLINE, registering).await.map_err(|_| RelayError::NoAnswer)?;
        let error = match answer {
            Ok(Some(FromRelay::Registered)) => return Ok(()),
            Ok(Some(FromRelay::Refused(refusal))) => RelayError::Refused(refusal),
            // The connection knows better than the stream why it broke.
            Err(StreamError::Lost) => return Err(greeted.connection.closed().await.into()),
            Ok(_) => RelayError::Protocol(StreamError::Ended),
            Err(error) => RelayError::Protocol(error),
        };
        Close::Done.close(&greeted.connection);
        Err(error)
    }
}

impl RelayError {
    /// How long a full relay asks to be left alone, but no longer than anybody who means it asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => retry_after(refusal),
            _ => None,
        }
    }
}

fn retry_after(refusal: &RelayRefusal) -> Option<Duration> {
    match refusal {
        RelayRefusal::Full { retry_after_ms } => {
            Some(Duration::from_millis(u64::from(*retry_after_ms)).min(RETRY_AFTER_MAX))
        }
        _ => None,
    }
}

async fn send_denied(current: &mut Current, denied: &BTreeSet<DeviceKey>) -> Result<(), StreamError> {
    let all: Vec<DeviceKey> = denied.iter().copied().collect();
    let mut rest = all.as_slice();
    loop {
        let (part, after) = rest.split_at(rest.len().min(DENIED_PER_MESSAGE));
        let (devices, _) = BoundedVec::truncating(part.iter().copied());
        current.link.sender.send(&ToRelay::DenyList { devices, more: !after.is_empty() }).await?;
        if after.is_empty() {
            return Ok(());
        }
        rest = after;
    }
}

/// Ends when the tunnel breaks; never for UDP.
async fn broken_tunnel(broken: Option<CancellationToken>) {
    match broken {
        Some(broken) => broken.cancelled().await,
        None => std::future::pending().await,
    }
}

/// The outcome of an attempt; never, while there is none.
async fn outcome(rival: &mut Option<Rival>) -> Result<Greeted, RelayError> {
    match rival {
        Some(attempt) => match attempt.await {
            Ok(outcome) => outcome,
            Err(error) => Err(RelayError::Start(error.to_string())),
        },
        None => std::future::pending().await,
    }
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(24 * 60 * 60)
}
