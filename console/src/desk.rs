//! The desk as customers' machines meet it: its word for itself, its presence at the relays, and its sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use belay_protocol::DeviceKey;
use belay_protocol::bounded::{BoundedVec, Name};
use belay_protocol::delegation::Delegation;
use belay_protocol::invite::RelayAddress;
use belay_protocol::message::Introduction;
use belay_protocol::well_known::{MAX_RELAYS, WellKnownRelay};
use belay_relay::client::{
    Arriving, Client, ClientOptions, Notice, Proxy, Registration, RelayError, Resumables, Role, StartError,
};
use belay_relay::identity::Identity;
use belay_relay::net::Net;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;

use crate::session;
use crate::store::{SessionId, Store};

/// How a desk introduces itself, and where it can be met.
#[derive(Debug)]
pub struct DeskSettings {
    /// The console's own key.
    pub identity: Arc<Identity>,
    /// The organization's word for that key.
    pub delegation: Delegation,
    /// The desk's name for itself.
    pub name: Name,
    /// The host whose `.well-known/belay` holds the organization key, with its port unless that is 443.
    pub host: Name,
    /// The relays to be present at.
    pub relays: Vec<RelayAddress>,
    /// Where sockets come from.
    pub net: Arc<dyn Net>,
    /// The HTTP proxy of the network.
    pub proxy: Option<Proxy>,
}

/// Whether the desk can be reached through a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Not registered yet, or not any more; the reason of the last failure.
    Absent(Option<String>),
    /// Registered.
    Present,
}

/// A desk that is present at its relays.
#[derive(Debug)]
pub struct Desk {
    shared: Arc<Shared>,
    registrations: Vec<(Registration, watch::Sender<Presence>)>,
    presence: Vec<(RelayAddress, watch::Receiver<Presence>)>,
}

/// What every session needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) introduction: Introduction,
    /// Where the desk can be met, as devices are told it.
    pub(crate) relays: BoundedVec<WellKnownRelay, MAX_RELAYS>,
    /// Sessions that go on when their link is lost and the device comes back.
    pub(crate) resumables: Resumables,
    client: Client,
    sources: Mutex<HashMap<DeviceKey, [u8; 16]>>,
    departures: Mutex<HashMap<DeviceKey, CancellationToken>>,
    /// Devices that a relay has lost; each may come back, also through another relay, before its timer ends.
    departing: Mutex<HashMap<DeviceKey, AbortOnDropHandle<()>>>,
    visits: Mutex<HashMap<SessionId, CancellationToken>>,
}

impl Shared {
    /// Begins a device's visit to a session of the store. A visit to the same one that still waits for its device, which
    /// was restarted and has come back by its code, is over: its token is cancelled.
    pub(crate) fn begin_visit(&self, id: SessionId) -> CancellationToken {
        let token = CancellationToken::new();
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = visits.insert(id, token.clone()) {
            earlier.cancel();
        }
        token
    }

    /// Ends a visit, unless a later one has taken its place.
    pub(crate) fn end_visit(&self, id: SessionId, token: &CancellationToken) {
        if !token.is_cancelled() {
            self.visits.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
    }

    /// A token that is cancelled when the relay says that `device` has gone, and it does not come back soon.
    pub(crate) fn departure_of(&self, device: &DeviceKey) -> CancellationToken {
        let mut departures = self.departures.lock().unwrap_or_else(PoisonError::into_inner);
        // Tokens that only this table still holds belong to sessions that are over.
        if departures.len() >= SESSIONS_MAX {
            departures.retain(|_, token| !token.is_cancelled());
        }
        let token = departures.entry(*device).or_default();
        if token.is_cancelled() {
            *token = CancellationToken::new();
        }
        token.clone()
    }

    /// Begins the time in which a device that has gone may come back, as after changing networks.
    fn begin_departure(self: &Arc<Self>, device: DeviceKey, stop: &CancellationToken) {
        let (shared, stop) = (Arc::clone(self), stop.clone());
        let timer = AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(DEPARTURE_GRACE) => {
                    let left = shared.departures.lock().unwrap_or_else(PoisonError::into_inner).remove(&device);
                    if let Some(token) = left {
                        token.cancel();
                    }
                }
            }
        }));
        let mut departing = self.departing();
        departing.retain(|_, timer| !timer.is_finished());
        departing.insert(device, timer);
    }

    /// Says that a device has come, perhaps back.
    fn end_departure(&self, device: &DeviceKey) {
        self.departing().remove(device);
    }

    fn departing(&self) -> MutexGuard<'_, HashMap<DeviceKey, AbortOnDropHandle<()>>> {
        self.departing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a device comes from, as its relay attests it.
    pub(crate) fn source_of(&self, device: &DeviceKey) -> Option<[u8; 16]> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).get(device).copied()
    }

    fn note_source(&self, device: DeviceKey, source: Option<[u8; 16]>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        match source {
            Some(source) if sources.len() < SOURCES_MAX => {
                sources.insert(device, source);
            }
            _ => {
                sources.remove(&device);
            }
        }
    }
}

/// Sources remembered at once; each belongs to an open pair, and a relay holds no more pairs.
const SOURCES_MAX: usize = 100_000;

/// Sessions at once, with those that have not shown a code yet.
const SESSIONS_MAX: usize = 1_024;

impl Desk {
    /// Opens the socket and begins to register with every relay.
    pub fn start(store: Store, settings: DeskSettings) -> Result<Self, StartError> {
        let options = ClientOptions {
            accepts_sessions: true,
            keep_alive: CONTROL_KEEP_ALIVE,
            proxy: settings.proxy,
            ..ClientOptions::new(settings.net)
        };
        let client = Client::start(settings.identity, options)?;
        let role = Role::Desk(settings.delegation);
        let (relays, _) = BoundedVec::truncating(settings.relays.iter().map(WellKnownRelay::from));
        let (mut registrations, mut presence) = (Vec::new(), Vec::new());
        for relay in settings.relays {
            let (state, watched) = watch::channel(Presence::Absent(None));
            registrations.push((client.register(relay.clone(), role), state));
            presence.push((relay, watched));
        }
        let introduction =
            Introduction { delegation: settings.delegation, desk_name: settings.name, desk_host: settings.host };
        let shared = Arc::new(Shared {
            store,
            introduction,
            relays,
            resumables: Resumables::default(),
            client,
            sources: Mutex::default(),
            departures: Mutex::default(),
            departing: Mutex::default(),
            visits: Mutex::default(),
        });
        Ok(Self { shared, registrations, presence })
    }

    /// Where the desk can be reached, relay by relay; the receivers follow changes.
    pub fn presence(&self) -> Vec<(RelayAddress, watch::Receiver<Presence>)> {
        self.presence.clone()
    }

    /// Takes sessions until `stop`, then ends them and waits for their last writes.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        for (registration, state) in self.registrations {
            tasks.spawn(follow(registration, state, Arc::clone(&self.shared), stop.clone()));
        }
        let places = Arc::new(Semaphore::new(SESSIONS_MAX));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                arriving = self.shared.client.accept() => {
                    let Some(arriving) = arriving else { break };
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                        tracing::warn!("a session was turned away: {SESSIONS_MAX} are open");
                        continue;
                    };
                    let (shared, stop) = (Arc::clone(&self.shared), stop.clone());
                    tasks.spawn(async move {
                        serve(arriving, &shared, &stop).await;
                        drop(place);
                    });
                }
            }
        }
        tasks.close();
        tasks.wait().await;
        self.shared.client.close().await;
    }
}

async fn serve(arriving: Arriving, shared: &Shared, stop: &CancellationToken) {
    let Some(link) = arriving.handshake().await else { return };
    let device = DeviceKey(link.peer_key());
    let span = tracing::info_span!("session", device = device.short(), ticket = tracing::field::Empty);
    session::serve(shared, link, stop).instrument(span).await;
}

/// Follows one registration: who comes from where, and whether the desk can be reached.
async fn follow(
    mut registration: Registration,
    state: watch::Sender<Presence>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let mut revocations = shared.store.revocations();
    // Without a relay that listens there is nobody to tell; it is told when it is there.
    let mut is_up = false;
    loop {
        let notice = tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = revocations.changed(), if is_up => {
                if !deny_revoked(&registration, &shared.store).await {
                    tokio::time::sleep(STORE_PAUSE).await;
                    revocations.mark_changed();
                }
                continue;
            }
            notice = registration.notice() => notice,
        };
        match notice {
            Some(Notice::Up) => {
                tracing::info!("registered with the relay");
                state.send_replace(Presence::Present);
                is_up = true;
                revocations.mark_changed();
            }
            Some(Notice::Down(error)) => {
                is_up = false;
                report_down(&state, &error);
                state.send_replace(Presence::Absent(Some(error.to_string())));
            }
            Some(Notice::Opened { peer, source }) => {
                shared.end_departure(&DeviceKey(peer.key));
                shared.note_source(DeviceKey(peer.key), source);
            }
            Some(Notice::Gone(peer)) => {
                let device = DeviceKey(peer.key);
                shared.note_source(device, None);
                shared.begin_departure(device, &stop);
            }
            Some(Notice::Slowed(peer)) => {
                tracing::warn!(device = DeviceKey(peer.key).short(), "slowed by the relay's budget");
            }
            // A desk asks for nobody: it is the list of revoked devices, which is longer than the relay takes.
            Some(Notice::Refused(refusal)) => tracing::error!(?refusal, "the relay does not take what it was told"),
            None => return,
        }
    }
}

/// Tells the relay the whole list of devices that must not reach the desk. `false` when the store could not say.
async fn deny_revoked(registration: &Registration, store: &Store) -> bool {
    match store.revoked_devices().await {
        Ok(devices) => {
            registration.deny_only(devices).await;
            true
        }
        Err(error) => {
            tracing::error!(%error, "the relay could not be told which devices are revoked; trying again");
            false
        }
    }
}

/// Says once, and not at every try, that a relay cannot be reached.
fn report_down(state: &watch::Sender<Presence>, error: &RelayError) {
    let is_news = !matches!(&*state.borrow(), Presence::Absent(Some(known)) if *known == error.to_string());
    if is_news {
        tracing::warn!(%error, "customers cannot reach the desk through this relay; trying again");
    }
}

/// A desk has one control connection a relay, so that it can afford to notice a restart within seconds.
const CONTROL_KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(5);

/// Between two tries to read what the store could not say.
const STORE_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// How long a device that its relay has lost may take to come back before its session counts as interrupted. A change
/// of network takes a few seconds.
const DEPARTURE_GRACE: std::time::Duration = std::time::Duration::from_secs(15);
