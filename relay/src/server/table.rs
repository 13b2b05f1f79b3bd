//! Who is here and who may exchange packets with whom: the relay's state without sockets, clock or async.
//!
//! An endpoint has one route; a pair is two endpoints that may exchange packets. Pairs are opened for agents that ask,
//! at once or when the one they ask for comes, and every change is written through to [`Routes`], where the data plane
//! reads it. An endpoint that registers again under the same route keeps its pairs: that is how it changes its address,
//! its protocol or its connection without a session noticing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use belay_protocol::message::PeerRoute;
use belay_protocol::{DeviceKey, OrganizationKey, RouteId};

use super::budget::Budget;
use super::keys::source_prefix;
use super::routes::{Lane, Place, Routes};

/// Bounds of a relay. At each the newcomer is refused, and what exists goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Registered endpoints.
    pub endpoints: usize,
    /// Registered endpoints of one source network (IPv4 /24, IPv6 /56).
    pub endpoints_per_source: usize,
    /// Open pairs in all.
    pub pairs: usize,
    /// Open pairs of one organization.
    pub pairs_per_organization: usize,
    /// Open pairs of one agent.
    pub pairs_per_agent: usize,
    /// Bytes a second that each direction of a pair may carry.
    pub pair_bytes_per_second: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            endpoints: 20_000,
            endpoints_per_source: 5_000,
            pairs: 20_000,
            pairs_per_organization: 20_000,
            pairs_per_agent: 4,
            // A gigabit a second: a limit against abuse, not against use.
            pair_bytes_per_second: 125_000_000,
        }
    }
}

/// The control connection behind an endpoint; a newer one of the same key has a larger number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionNumber(pub u64);

/// Somebody who registers.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer {
    /// Its key and salt, from which its route follows.
    pub peer: PeerRoute,
    /// Its control connection.
    pub connection: ConnectionNumber,
    /// Where it is.
    pub place: Place,
    /// The address its packets really come from, also when they come through a tunnel.
    pub origin: IpAddr,
    /// For consoles, the organization they have proved to speak for.
    pub organization: Option<OrganizationKey>,
}

#[derive(Debug)]
struct Endpoint {
    peer: PeerRoute,
    connection: ConnectionNumber,
    place: Place,
    origin: IpAddr,
    organization: Option<OrganizationKey>,
    /// The pairs, each with the budget of the direction away from this endpoint.
    partners: BTreeMap<RouteId, Arc<Budget>>,
    wishes: Wishes,
}

/// What an agent waits for.
#[derive(Debug, Default)]
struct Wishes {
    organization: Option<OrganizationKey>,
    peers: BTreeSet<RouteId>,
}

/// Why an endpoint was not registered or a pair not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableError {
    /// [`Caps`] are reached.
    Full,
    /// The route is taken by another key: a collision of 64 bits, or an attack.
    RouteTaken,
    /// The other end is not here. When it comes, the pair is opened and both are told.
    DeskOffline,
    /// The organization does not want to hear of this device.
    Denied,
    /// The endpoint is not registered (any more).
    Gone,
    /// A console asked to reach somebody.
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

/// A pair that is open: what each side is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedPair {
    /// The agent learns of the desk.
    pub agent: Told,
    /// The desk learns of the agent.
    pub desk: Told,
    /// Where the agent's packets really come from.
    pub agent_origin: IpAddr,
}

/// What a registration has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// The connection that this one replaces.
    pub replaced: Option<ConnectionNumber>,
    /// Partners of a former route of the same key.
    pub gone: Vec<Told>,
    /// Pairs that are open now: kept ones, and those that somebody was waiting for.
    pub opened: Vec<OpenedPair>,
}

/// The endpoints and pairs of a relay.
#[derive(Debug)]
pub struct Table {
    caps: Caps,
    routes: Arc<Routes>,
    endpoints: HashMap<RouteId, Endpoint>,
    keys: HashMap<[u8; 32], RouteId>,
    desks: HashMap<OrganizationKey, BTreeMap<ConnectionNumber, RouteId>>,
    waiting_for_desk: HashMap<OrganizationKey, BTreeSet<RouteId>>,
    waiting_for_peer: HashMap<RouteId, BTreeSet<RouteId>>,
    sources: HashMap<[u8; 8], usize>,
    pairs: HashMap<OrganizationKey, usize>,
    denied: BTreeMap<OrganizationKey, BTreeSet<DeviceKey>>,
}

impl Table {
    /// An empty table that writes through to `routes`.
    pub fn new(caps: Caps, routes: Arc<Routes>) -> Self {
        Self {
            caps,
            routes,
            endpoints: HashMap::new(),
            keys: HashMap::new(),
            desks: HashMap::new(),
            waiting_for_desk: HashMap::new(),
            waiting_for_peer: HashMap::new(),
            sources: HashMap::new(),
            pairs: HashMap::new(),
            denied: BTreeMap::new(),
        }
    }

    /// The bounds.
    pub fn caps(&self) -> Caps {
        self.caps
    }

    /// Changes the bounds; what exists beyond them goes on.
    pub fn set_caps(&mut self, caps: Caps) {
        self.caps = caps;
    }

    /// Registers an endpoint. An earlier route of the same key is removed; under the same route the pairs stay.
    pub fn register(&mut self, new: Newcomer) -> Result<Registered, TableError> {
        let route = new.peer.route();
        if self.endpoints.get(&route).is_some_and(|other| other.peer.key != new.peer.key) {
            return Err(TableError::RouteTaken);
        }
        let source = source_prefix(new.origin);
        let earlier = self.keys.get(&new.peer.key).copied();
        let is_known = earlier.is_some();
        let from_source = self.sources.get(&source).copied().unwrap_or_default();
        if !is_known && (self.endpoints.len() >= self.caps.endpoints || from_source >= self.caps.endpoints_per_source) {
            return Err(TableError::Full);
        }
        let mut registered = Registered { replaced: self.connection_of(&new.peer.key), ..Registered::default() };
        match earlier {
            Some(same) if same == route && self.endpoints[&same].organization == new.organization => {
                self.reseat(route, &new);
            }
            Some(former) => {
                registered.gone = self.remove_route(&former);
                self.seat(route, &new);
            }
            None => self.seat(route, &new),
        }
        registered.opened = self.pairs_of(&route);
        registered.opened.extend(self.fulfil_wishes_for(route, new.organization));
        Ok(registered)
    }

    fn seat(&mut self, route: RouteId, new: &Newcomer) {
        let Newcomer { peer, connection, place, origin, organization } = *new;
        if let Some(organization) = organization {
            self.desks.entry(organization).or_default().insert(connection, route);
        }
        *self.sources.entry(source_prefix(origin)).or_default() += 1;
        self.keys.insert(peer.key, route);
        let (partners, wishes) = (BTreeMap::new(), Wishes::default());
        self.endpoints.insert(route, Endpoint { peer, connection, place, origin, organization, partners, wishes });
        self.routes.add_end(route);
    }

    /// A new connection of a route that is here: its place changes, its pairs do not.
    fn reseat(&mut self, route: RouteId, new: &Newcomer) {
        self.forget_source(&route);
        let Some(end) = self.endpoints.get_mut(&route) else { return };
        let former = std::mem::replace(&mut end.connection, new.connection);
        end.origin = new.origin;
        *self.sources.entry(source_prefix(new.origin)).or_default() += 1;
        if let Some(desks) = new.organization.and_then(|organization| self.desks.get_mut(&organization)) {
            desks.remove(&former);
            desks.insert(new.connection, route);
        }
        self.relocate(route, new.place);
    }

    fn relocate(&mut self, route: RouteId, place: Place) {
        let Some(end) = self.endpoints.get_mut(&route) else { return };
        let former = std::mem::replace(&mut end.place, place);
        let partners: Vec<RouteId> = end.partners.keys().copied().collect();
        for partner in partners {
            self.routes.remove_lane(former.address, route, partner);
            self.publish(route, partner);
        }
    }

    /// Moves the endpoint that is registered on `connection` to an address from which it has answered; its open pairs.
    pub fn moved(
        &mut self,
        key: &[u8; 32],
        connection: ConnectionNumber,
        place: Place,
        origin: IpAddr,
    ) -> Vec<OpenedPair> {
        if self.connection_of(key) != Some(connection) {
            return Vec::new();
        }
        let Some(route) = self.keys.get(key).copied() else { return Vec::new() };
        self.forget_source(&route);
        *self.sources.entry(source_prefix(origin)).or_default() += 1;
        if let Some(end) = self.endpoints.get_mut(&route) {
            end.origin = origin;
        }
        self.relocate(route, place);
        self.pairs_of(&route)
    }

    /// Where the endpoint of `key` is.
    pub fn place_of(&self, key: &[u8; 32]) -> Option<Place> {
        Some(self.endpoints.get(self.keys.get(key)?)?.place)
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

    /// Opens a pair between an agent and the newest console of `organization`. While none is here the agent waits.
    pub fn reach(&mut self, agent: &PeerRoute, organization: &OrganizationKey) -> Result<OpenedPair, TableError> {
        let agent = agent.route();
        self.refuse_unless_agent(&agent)?;
        self.forget_wish(&agent);
        let desk = self.desks.get(organization).and_then(|desks| desks.values().next_back().copied());
        if let Some(desk) = desk {
            return self.pair(agent, desk);
        }
        if let Some(end) = self.endpoints.get_mut(&agent) {
            end.wishes.organization = Some(*organization);
            self.waiting_for_desk.entry(*organization).or_default().insert(agent);
        }
        Err(TableError::DeskOffline)
    }

    /// Opens a pair between an agent and the very console it had a session with. While that is not here the agent waits.
    pub fn rejoin(&mut self, agent: &PeerRoute, desk: &PeerRoute) -> Result<OpenedPair, TableError> {
        let (agent, desk) = (agent.route(), desk.route());
        self.refuse_unless_agent(&agent)?;
        if self.endpoints.get(&desk).is_some_and(|desk| desk.organization.is_some()) {
            return self.pair(agent, desk);
        }
        let Some(end) = self.endpoints.get_mut(&agent) else { return Err(TableError::Gone) };
        if end.wishes.peers.len() >= self.caps.pairs_per_agent && !end.wishes.peers.contains(&desk) {
            return Err(TableError::Full);
        }
        end.wishes.peers.insert(desk);
        self.waiting_for_peer.entry(desk).or_default().insert(agent);
        Err(TableError::DeskOffline)
    }

    fn refuse_unless_agent(&self, route: &RouteId) -> Result<(), TableError> {
        match self.endpoints.get(route) {
            None => Err(TableError::Gone),
            Some(end) if end.organization.is_some() => Err(TableError::NotAnAgent),
            Some(_) => Ok(()),
        }
    }

    fn pair(&mut self, agent: RouteId, desk: RouteId) -> Result<OpenedPair, TableError> {
        let (Some(from), Some(to)) = (self.endpoints.get(&agent), self.endpoints.get(&desk)) else {
            return Err(TableError::Gone);
        };
        let Some(organization) = to.organization else { return Err(TableError::DeskOffline) };
        if self.denied.get(&organization).is_some_and(|denied| denied.contains(&DeviceKey(from.peer.key))) {
            return Err(TableError::Denied);
        }
        if !from.partners.contains_key(&desk) {
            let of_organization = self.pairs.get(&organization).copied().unwrap_or_default();
            if from.partners.len() >= self.caps.pairs_per_agent
                || of_organization >= self.caps.pairs_per_organization
                || self.pair_count() >= self.caps.pairs
            {
                return Err(TableError::Full);
            }
            for (one, other) in [(agent, desk), (desk, agent)] {
                let budget = Arc::new(Budget::new(self.caps.pair_bytes_per_second));
                if let Some(end) = self.endpoints.get_mut(&one) {
                    end.partners.insert(other, budget);
                }
            }
            *self.pairs.entry(organization).or_default() += 1;
            self.publish(agent, desk);
        }
        self.told(agent, desk).ok_or(TableError::Gone)
    }

    /// Writes both directions of a pair to the routes.
    fn publish(&self, one: RouteId, other: RouteId) {
        for (from, to) in [(one, other), (other, one)] {
            let (Some(source), Some(target)) = (self.endpoints.get(&from), self.endpoints.get(&to)) else { continue };
            if let Some(budget) = source.partners.get(&to) {
                let lane = Lane { to: target.place, from, budget: Arc::clone(budget) };
                self.routes.add_lane(source.place.address, to, lane);
            }
        }
    }

    fn told(&self, agent: RouteId, desk: RouteId) -> Option<OpenedPair> {
        let (agent, desk) = (self.endpoints.get(&agent)?, self.endpoints.get(&desk)?);
        Some(OpenedPair {
            agent: Told { connection: agent.connection, about: desk.peer },
            desk: Told { connection: desk.connection, about: agent.peer },
            agent_origin: agent.origin,
        })
    }

    fn pairs_of(&self, route: &RouteId) -> Vec<OpenedPair> {
        let Some(end) = self.endpoints.get(route) else { return Vec::new() };
        let is_desk = end.organization.is_some();
        let pairs = end.partners.keys().filter_map(|partner| {
            let (agent, desk) = if is_desk { (*partner, *route) } else { (*route, *partner) };
            self.told(agent, desk)
        });
        pairs.collect()
    }

    /// Opens the pairs that agents were waiting for and that a newly registered desk makes possible.
    fn fulfil_wishes_for(&mut self, desk: RouteId, organization: Option<OrganizationKey>) -> Vec<OpenedPair> {
        let Some(organization) = organization else { return Vec::new() };
        let mut agents = self.waiting_for_desk.remove(&organization).unwrap_or_default();
        agents.extend(self.waiting_for_peer.remove(&desk).unwrap_or_default());
        for agent in &agents {
            if let Some(end) = self.endpoints.get_mut(agent) {
                end.wishes.organization = end.wishes.organization.filter(|wish| *wish != organization);
                end.wishes.peers.remove(&desk);
            }
        }
        // Those that are refused now for a cap or a denial learn it when they ask again.
        agents.into_iter().filter_map(|agent| self.pair(agent, desk).ok()).collect()
    }

    /// Closes the pair of two routes; the other side is told.
    pub fn leave(&mut self, own: &PeerRoute, other: &PeerRoute) -> Option<Told> {
        let (own_route, other_route) = (own.route(), other.route());
        self.forget_peer_wish(&own_route, &other_route);
        if !self.endpoints.get(&own_route)?.partners.contains_key(&other_route) {
            return None;
        }
        self.close_pair(own_route, other_route);
        let connection = self.endpoints.get(&other_route)?.connection;
        Some(Told { connection, about: *own })
    }

    /// Denies devices to an organization, or no longer: open pairs with them are closed, and both ends are told.
    pub fn set_denied(&mut self, organization: OrganizationKey, denied: BTreeSet<DeviceKey>) -> Vec<Told> {
        let told = denied.iter().flat_map(|device| self.cut(&organization, device)).collect();
        self.denied.insert(organization, denied);
        told
    }

    /// Denies one more device to an organization, as [`Table::set_denied`] does.
    pub fn deny(&mut self, organization: OrganizationKey, device: DeviceKey) -> Vec<Told> {
        self.denied.entry(organization).or_default().insert(device);
        self.cut(&organization, &device)
    }

    /// Closes the pairs between a device and an organization.
    fn cut(&mut self, organization: &OrganizationKey, device: &DeviceKey) -> Vec<Told> {
        let mut told = Vec::new();
        let Some(route) = self.keys.get(&device.0).copied() else { return told };
        let partners: Vec<RouteId> = self.endpoints[&route].partners.keys().copied().collect();
        for partner in partners {
            if self.endpoints.get(&partner).and_then(|end| end.organization) != Some(*organization) {
                continue;
            }
            if let Some(pair) = self.told(route, partner) {
                told.extend([pair.agent, pair.desk]);
            }
            self.close_pair(route, partner);
        }
        told
    }

    /// The devices that are denied to each organization.
    pub fn denied(&self) -> &BTreeMap<OrganizationKey, BTreeSet<DeviceKey>> {
        &self.denied
    }

    /// The consoles that are here, with the organizations they speak for.
    pub fn desks(&self) -> impl Iterator<Item = (OrganizationKey, ConnectionNumber)> + '_ {
        let desks = self.desks.iter();
        desks.flat_map(|(organization, desks)| desks.keys().map(|connection| (*organization, *connection)))
    }

    /// Both ends of every pair whose budget bit since the last call.
    pub fn take_slowed(&self) -> Vec<Told> {
        let mut told = Vec::new();
        for (route, end) in &self.endpoints {
            for (partner, budget) in &end.partners {
                if budget.take_slowed()
                    && let Some(pair) = self.told(*route, *partner)
                {
                    told.extend([pair.agent, pair.desk]);
                }
            }
        }
        told
    }

    /// Registered endpoints and open pairs.
    pub fn counts(&self) -> (usize, usize) {
        (self.endpoints.len(), self.pair_count())
    }

    fn pair_count(&self) -> usize {
        self.pairs.values().sum()
    }

    fn close_pair(&mut self, one: RouteId, other: RouteId) {
        for (from, to) in [(one, other), (other, one)] {
            let Some(end) = self.endpoints.get_mut(&from) else { continue };
            if end.partners.remove(&to).is_none() {
                continue;
            }
            self.routes.remove_lane(end.place.address, from, to);
            // Counted once, at the desk's side.
            if let Some(organization) = end.organization
                && let Some(count) = self.pairs.get_mut(&organization)
            {
                *count -= 1;
                if *count == 0 {
                    self.pairs.remove(&organization);
                }
            }
        }
    }

    fn remove_route(&mut self, route: &RouteId) -> Vec<Told> {
        let Some(end) = self.endpoints.get(route) else { return Vec::new() };
        let partners: Vec<RouteId> = end.partners.keys().copied().collect();
        for partner in &partners {
            self.close_pair(*route, *partner);
        }
        self.forget_wishes(route);
        self.forget_source(route);
        self.routes.remove_end(route);
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

    fn forget_source(&mut self, route: &RouteId) {
        let Some(end) = self.endpoints.get(route) else { return };
        let source = source_prefix(end.origin);
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }

    fn forget_wishes(&mut self, agent: &RouteId) {
        self.forget_wish(agent);
        let Some(end) = self.endpoints.get_mut(agent) else { return };
        for peer in std::mem::take(&mut end.wishes.peers) {
            forget_waiting(&mut self.waiting_for_peer, &peer, agent);
        }
    }

    fn forget_wish(&mut self, agent: &RouteId) {
        if let Some(organization) = self.endpoints.get_mut(agent).and_then(|end| end.wishes.organization.take()) {
            forget_waiting(&mut self.waiting_for_desk, &organization, agent);
        }
    }

    fn forget_peer_wish(&mut self, agent: &RouteId, peer: &RouteId) {
        if let Some(end) = self.endpoints.get_mut(agent)
            && end.wishes.peers.remove(peer)
        {
            forget_waiting(&mut self.waiting_for_peer, peer, agent);
        }
    }
}

fn forget_waiting<K: std::hash::Hash + Eq>(waiting: &mut HashMap<K, BTreeSet<RouteId>>, key: &K, agent: &RouteId) {
    if let Some(agents) = waiting.get_mut(key) {
        agents.remove(agent);
        if agents.is_empty() {
            waiting.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
