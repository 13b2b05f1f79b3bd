//! A NAT as homes and offices have it: it maps each flow to a port of its own, lets only answers in, and forgets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

/// One NAT with one host behind it.
#[derive(Debug)]
pub(super) struct Nat {
    outside: IpAddr,
    memory: Duration,
    flows: BTreeMap<(SocketAddr, SocketAddr), Flow>,
}

#[derive(Debug)]
struct Flow {
    outside: SocketAddr,
    last_used: Instant,
}

impl Nat {
    pub(super) fn new(outside: IpAddr, memory: Duration) -> Self {
        Self { outside, memory, flows: BTreeMap::new() }
    }

    pub(super) fn forget(&mut self) {
        self.flows.clear();
    }

    /// The outer source address of a packet from `inside` to `to`; a new flow gets `port`.
    pub(super) fn outward(&mut self, inside: SocketAddr, to: SocketAddr, port: u16) -> SocketAddr {
        let (now, memory) = (Instant::now(), self.memory);
        self.flows.retain(|_, flow| now.duration_since(flow.last_used) < memory);
        let outside = SocketAddr::new(self.outside, port);
        let flow = self.flows.entry((inside, to)).or_insert(Flow { outside, last_used: now });
        flow.last_used = now;
        flow.outside
    }

    /// Where a packet that arrived at `at` from `from` belongs; `None` when it is nobody's answer.
    pub(super) fn inward(&mut self, at: SocketAddr, from: SocketAddr) -> Option<SocketAddr> {
        let (now, memory) = (Instant::now(), self.memory);
        let flow = self
            .flows
            .iter()
            .find(|((_, to), flow)| flow.outside == at && *to == from && now.duration_since(flow.last_used) < memory);
        flow.map(|((inside, _), _)| *inside)
    }
}
