//! Who may send to whom: the relay's state without sockets, clock or async.
//!
//! An endpoint has one route. A pair is two routes that may exchange packets; it is stored once for each direction under
//! (source address, destination route), which is all that a packet shows, so that one lookup decides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use belay_protocol::message::PeerRoute;
use belay_protocol::{OrganizationKey, RouteId};

use crate::packet;

/// Bounds of a relay. At each the newcomer is refused, and what exists goes on.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Registered endpoints.
    pub endpoints: usize,
    /// Open pairs in all.
    pub pairs: usize,
    /// Open pairs of one agent.
    pub pairs_per_agent: usize,
    /// Bytes a second that each direction of a pair may carry.
    pub pair_bytes_per_second: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            endpoints: 20_000,
            pairs: 20_000,
            pairs_per_agent: 4,
            // A gigabit a second: a limit against abuse, not against use.
            pair_bytes_per_second: 125_000_000,
        }
    }
}

/// The control connection behind an endpoint; a newer one of the same key has a larger number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionNumber(pub u64);

/// Where an endpoint is: its address, and the local address at which its packets arrive, to answer from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The endpoint's address.
    pub address: SocketAddr,
    /// Our own address on the way, where the system tells.
    pub local_ip: Option<IpAddr>,
}

#[derive(Debug)]
struct Endpoint {
    peer: PeerRoute,
    connection: ConnectionNumber,
    place: Place,
    organization: Option<OrganizationKey>,
    partners: BTreeSet<RouteId>,
}

/// One direction of a pair.
#[derive(Debug)]
pub struct Lane {
    /// Where packets go.
    pub to: Place,
    /// Whose packets they are and whose they become.
    pub ends: (RouteId, RouteId),
    budget: Mutex<Budget>,
    slowed: AtomicBool,
}

/// A token bucket: one second's worth of bytes, refilled continuously.
#[derive(Debug)]
struct Budget {
    bytes_per_second: u64,
    left: u64,
    filled_at: Instant,
}

impl Budget {
    fn take(&mut self, bytes: u64, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled_at).min(Duration::from_secs(1));
        let refill = (u128::from(self.bytes_per_second) * elapsed.as_nanos() / 1_000_000_000) as u64;
        if refill > 0 {
            self.left = (self.left + refill).min(self.bytes_per_second);
            self.filled_at = now;
        }
        if self.left < bytes {
            return false;
        }
        self.left -= bytes;
        true
    }
}

impl Lane {
    /// Takes `bytes` from the lane's budget; `false` when it is used up and the packet is to be dropped.
    pub fn take(&self, bytes: usize, now: Instant) -> bool {
        let taken = self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(bytes as u64, now);
        if !taken {
            self.slowed.store(true, Ordering::Relaxed);
        }
        taken
    }
}

/// What to do with a packet.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Send it on unchanged.
    Forward(Arc<Lane>),
    /// It is for the relay's own QUIC endpoint.
    Local,
    /// Nobody may see it.
    Drop(DropReason),
}

/// Why a packet was dropped; each is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Its destination exists, but its source is not paired with it.
    NotPaired,
    /// It opens a session with somebody who is not here.
    NoRoute,
    /// No QUIC packet has this form.
    Malformed,
    /// The pair's budget is used up.
    Budget,
    /// The socket's send buffer is full.
    Socket,
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = 5;
}

/// Why an endpoint was not registered or a pair not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableError {
    /// [`Caps`] are reached.
    Full,
    /// The route is taken by another key: a collision of 64 bits, or an attack.
    RouteTaken,
    /// No console of the organization is here.
    DeskOffline,
    /// The endpoint is not registered (any more).
    Gone,
    /// A console asked to reach a console.
    NotAnAgent,
}

/// Somebody who must be told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Whose control connection.
    pub connection: ConnectionNumber,
    /// About whom.
    pub about: PeerRoute,
}

/// A pair that has been opened: what each side is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedPair {
    /// The agent learns of the desk.
    pub agent: Told,
    /// The desk learns of the agent.
    pub desk: Told,
}

/// The routes and pairs of a relay.
#[derive(Debug)]
pub struct Table {
    caps: Caps,
    endpoints: HashMap<RouteId, Endpoint>,
    keys: HashMap<[u8; 32], RouteId>,
    desks: HashMap<OrganizationKey, BTreeMap<ConnectionNumber, RouteId>>,
    lanes: HashMap<(SocketAddr, RouteId), Arc<Lane>>,
}

impl Table {
    /// An empty table.
    pub fn new(caps: Caps) -> Self {
        Self { caps, endpoints: HashMap::new(), keys: HashMap::new(), desks: HashMap::new(), lanes: HashMap::new() }
    }

    /// Decides about one packet from `source`. Pure: it changes nothing and looks at nothing else.
    pub fn decide(&self, source: SocketAddr, datagram: &[u8]) -> Decision {
        let Some(destination) = packet::destination(datagram) else { return Decision::Drop(DropReason::Malformed) };
        if let Some(lane) = self.lanes.get(&(source, destination.route)) {
            return Decision::Forward(Arc::clone(lane));
        }
        if self.endpoints.contains_key(&destination.route) {
            return Decision::Drop(DropReason::NotPaired);
        }
        // Control connections have ids of eight bytes at our end. A long header with sixteen opens a session with an
        // end that is not registered (yet): quinn would answer it and end the attempt.
        let is_long = datagram[0] & 0x80 != 0;
        if is_long && destination.may_be_session {
            return Decision::Drop(DropReason::NoRoute);
        }
        Decision::Local
    }

    /// Registers an endpoint. An earlier one of the same key is removed first; those who must be told are returned.
    pub fn register(
        &mut self,
        peer: PeerRoute,
        connection: ConnectionNumber,
        place: Place,
        organization: Option<OrganizationKey>,
    ) -> Result<Vec<Told>, TableError> {
        let route = peer.route();
        if self.endpoints.get(&route).is_some_and(|other| other.peer.key != peer.key) {
            return Err(TableError::RouteTaken);
        }
        let replaced = self.keys.get(&peer.key).copied();
        if replaced.is_none() && self.endpoints.len() >= self.caps.endpoints {
            return Err(TableError::Full);
        }
        let told = replaced.map(|route| self.remove_route(&route)).unwrap_or_default();
        if let Some(organization) = organization {
            self.desks.entry(organization).or_default().insert(connection, route);
        }
        self.keys.insert(peer.key, route);
        let partners = BTreeSet::new();
        self.endpoints.insert(route, Endpoint { peer, connection, place, organization, partners });
        Ok(told)
    }

    /// The control connection on which `key` is registered.
    pub fn connection_of(&self, key: &[u8; 32]) -> Option<ConnectionNumber> {
        Some(self.endpoints.get(self.keys.get(key)?)?.connection)
    }

    /// Removes the endpoint that registered on `connection`, unless a newer connection has taken its place.
    pub fn remove(&mut self, key: &[u8; 32], connection: ConnectionNumber) -> Vec<Told> {
        if self.connection_of(key) != Some(connection) {
            return Vec::new();
        }
        let Some(route) = self.keys.get(key).copied() else { return Vec::new() };
        self.remove_route(&route)
    }

    /// Opens a pair between an agent and the newest console of `organization`.
    pub fn reach(
        &mut self,
        agent: &PeerRoute,
        organization: &OrganizationKey,
        now: Instant,
    ) -> Result<OpenedPair, TableError> {
        let desk = self.desks.get(organization).and_then(|desks| desks.values().next_back().copied());
        let desk = desk.ok_or(TableError::DeskOffline)?;
        let agent = agent.route();
        let (Some(from), Some(to)) = (self.endpoints.get(&agent), self.endpoints.get(&desk)) else {
            return Err(TableError::Gone);
        };
        if from.organization.is_some() {
            return Err(TableError::NotAnAgent);
        }
        let opened = OpenedPair {
            agent: Told { connection: from.connection, about: to.peer },
            desk: Told { connection: to.connection, about: from.peer },
        };
        let (agent_place, desk_place) = (from.place, to.place);
        if !from.partners.contains(&desk) {
            let pairs = self.lanes.len() / 2;
            if from.partners.len() >= self.caps.pairs_per_agent || pairs >= self.caps.pairs {
                return Err(TableError::Full);
            }
        }
        self.open_lane((agent, agent_place), (desk, desk_place), now);
        self.open_lane((desk, desk_place), (agent, agent_place), now);
        Ok(opened)
    }

    /// Closes the pair of two routes; the other side is told.
    pub fn leave(&mut self, own: &PeerRoute, other: &PeerRoute) -> Option<Told> {
        let (own_route, other_route) = (own.route(), other.route());
        if !self.endpoints.get(&own_route)?.partners.contains(&other_route) {
            return None;
        }
        self.close_pair(own_route, other_route);
        let connection = self.endpoints.get(&other_route)?.connection;
        Some(Told { connection, about: *own })
    }

    /// Both ends of every pair whose budget bit since the last call.
    pub fn take_slowed(&self) -> Vec<Told> {
        let slowed = self.lanes.values().filter(|lane| lane.slowed.swap(false, Ordering::Relaxed));
        let mut told = Vec::new();
        for lane in slowed {
            let (Some(from), Some(to)) = (self.endpoints.get(&lane.ends.0), self.endpoints.get(&lane.ends.1)) else {
                continue;
            };
            told.push(Told { connection: from.connection, about: to.peer });
            told.push(Told { connection: to.connection, about: from.peer });
        }
        told
    }

    /// Registered endpoints and open pairs.
    pub fn counts(&self) -> (usize, usize) {
        (self.endpoints.len(), self.lanes.len() / 2)
    }

    fn open_lane(&mut self, (from, from_place): (RouteId, Place), (to, to_place): (RouteId, Place), now: Instant) {
        let budget = Budget {
            bytes_per_second: self.caps.pair_bytes_per_second,
            left: self.caps.pair_bytes_per_second,
            filled_at: now,
        };
        let lane = Lane { to: to_place, ends: (from, to), budget: Mutex::new(budget), slowed: AtomicBool::new(false) };
        self.lanes.entry((from_place.address, to)).or_insert_with(|| Arc::new(lane));
        if let Some(endpoint) = self.endpoints.get_mut(&from) {
            endpoint.partners.insert(to);
        }
    }

    fn close_pair(&mut self, one: RouteId, other: RouteId) {
        for (from, to) in [(one, other), (other, one)] {
            if let Some(endpoint) = self.endpoints.get_mut(&from) {
                endpoint.partners.remove(&to);
                self.lanes.remove(&(endpoint.place.address, to));
            }
        }
    }

    fn remove_route(&mut self, route: &RouteId) -> Vec<Told> {
        let partners = self.endpoints.get(route).map(|endpoint| endpoint.partners.clone()).unwrap_or_default();
        for partner in &partners {
            self.close_pair(*route, *partner);
        }
        let Some(gone) = self.endpoints.remove(route) else { return Vec::new() };
        self.keys.remove(&gone.peer.key);
        if let Some(organization) = gone.organization
            && let Some(desks) = self.desks.get_mut(&organization)
        {
            desks.remove(&gone.connection);
            if desks.is_empty() {
                self.desks.remove(&organization);
            }
        }
        let partners = partners.iter().filter_map(|partner| self.endpoints.get(partner));
        partners.map(|partner| Told { connection: partner.connection, about: gone.peer }).collect()
    }
}

#[cfg(test)]
mod tests;
