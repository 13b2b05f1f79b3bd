//! Where packets go: what the data plane looks up for each of them.
//!
//! The control plane writes, any number of forwarders read without a lock. A pair is stored once for each direction
//! under (source address, destination route), which is all that a packet shows, so that one lookup decides.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::RouteId;

use super::budget::Budget;
use crate::packet::{self, Destination, Form, SESSION_CID_BYTES, SESSION_PACKET_MIN_BYTES};

/// Where an endpoint is: its address, and the local address at which its packets arrive, to answer from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The endpoint's address.
    pub address: SocketAddr,
    /// Our own address on the way, where the system tells.
    pub local_ip: Option<IpAddr>,
}

/// One direction of a pair.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Where packets go.
    pub to: Place,
    /// Whose packets they are.
    pub(super) from: RouteId,
    pub(super) budget: Arc<Budget>,
}

impl Lane {
    /// Takes `bytes` from the lane's budget; `false` when it is used up and the packet is to be dropped.
    pub(super) fn take(&self, bytes: usize, now: Duration) -> bool {
        self.budget.take(bytes, now)
    }
}

/// What to do with a packet.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Send it on unchanged.
    Forward(Arc<Lane>),
    /// It is for the relay's own QUIC endpoint.
    Local,
    /// As [`Decision::Local`], and it opens a connection: such packets are limited in number.
    LocalInitial {
        /// Whether it answers a Retry or goes on with a handshake: it carries an id that we have issued.
        is_continued: bool,
    },
    /// Nobody may see it.
    Drop(DropReason),
}

/// Why a packet was dropped; each is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Its destination exists, but its source is not paired with it.
    NotPaired,
    /// It belongs to a session with somebody who is not here.
    NoRoute,
    /// No QUIC packet that is sent to a relay has this form.
    Malformed,
    /// The pair's budget is used up.
    Budget,
    /// The socket's send buffer is full.
    Socket,
    /// The receiver's tunnel is full or gone.
    Tunnel,
    /// More connections are being opened than are allowed to.
    Initials,
    /// The control plane does not keep up.
    Overload,
}

impl DropReason {
    /// Every reason with its name in metrics.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::NotPaired, "not_paired"),
        (Self::NoRoute, "no_route"),
        (Self::Malformed, "malformed"),
        (Self::Budget, "budget"),
        (Self::Socket, "socket"),
        (Self::Tunnel, "tunnel"),
        (Self::Initials, "initials"),
        (Self::Overload, "overload"),
    ];
}

/// The routes of a relay.
pub struct Routes {
    lanes: papaya::HashMap<(SocketAddr, RouteId), Arc<Lane>>,
    ends: papaya::HashMap<RouteId, ()>,
    is_own_id: Box<dyn Fn(&RouteId) -> bool + Send + Sync>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lanes, {} ends", self.lanes.len(), self.ends.len())
    }
}

impl Routes {
    /// No routes; `is_own_id` recognizes the connection ids that the relay's own endpoint issues.
    pub fn new(is_own_id: impl Fn(&RouteId) -> bool + Send + Sync + 'static) -> Self {
        Self { lanes: papaya::HashMap::new(), ends: papaya::HashMap::new(), is_own_id: Box::new(is_own_id) }
    }

    /// Decides about one packet from `source`. It changes nothing and looks at nothing else.
    pub fn decide(&self, source: SocketAddr, datagram: &[u8]) -> Decision {
        let Some(Destination { route, form }) = packet::destination(datagram) else {
            return Decision::Drop(DropReason::Malformed);
        };
        if let Some(lane) = self.lanes.pin().get(&(source, route)) {
            if datagram.len() < SESSION_PACKET_MIN_BYTES {
                return Decision::Drop(DropReason::Malformed);
            }
            return Decision::Forward(Arc::clone(lane));
        }
        if self.ends.pin().contains_key(&route) {
            return Decision::Drop(DropReason::NotPaired);
        }
        match form {
            // The ids of control connections are marked; others are sessions' with ends that have gone.
            Form::Short if (self.is_own_id)(&route) => Decision::Local,
            Form::Short => Decision::Drop(DropReason::NoRoute),
            // An id of this length opens a session with an end that is not registered (yet): quinn would answer and so
            // end the attempt.
            Form::Long { id_bytes: SESSION_CID_BYTES, .. } => Decision::Drop(DropReason::NoRoute),
            Form::Long { is_initial: true, .. } if datagram.len() < INITIAL_MIN_BYTES => {
                Decision::Drop(DropReason::Malformed)
            }
            Form::Long { is_initial: true, .. } => Decision::LocalInitial { is_continued: (self.is_own_id)(&route) },
            Form::Long { is_initial: false, .. } if (self.is_own_id)(&route) => Decision::Local,
            Form::Long { is_initial: false, .. } => Decision::Drop(DropReason::Malformed),
        }
    }

    pub(super) fn add_end(&self, route: RouteId) {
        self.ends.pin().insert(route, ());
    }

    pub(super) fn remove_end(&self, route: &RouteId) {
        self.ends.pin().remove(route);
    }

    pub(super) fn add_lane(&self, source: SocketAddr, to: RouteId, lane: Lane) {
        self.lanes.pin().insert((source, to), Arc::new(lane));
    }

    /// Removes the lane of `from`. A NAT may have given its address to another end in the meantime, whose lane stays.
    pub(super) fn remove_lane(&self, source: SocketAddr, from: RouteId, to: RouteId) {
        // A lane of another end is no error.
        let _ = self.lanes.pin().remove_if(&(source, to), |_, lane| lane.from == from);
    }
}

/// A datagram with a client's Initial has at least this size (RFC 9000, section 14.1).
const INITIAL_MIN_BYTES: usize = 1_200;
