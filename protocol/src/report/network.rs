//! Interfaces, routes, names and the way to the relay.

use serde::{Deserialize, Serialize};

use super::{Fact, Stage, Wire};
use crate::bounded::{BoundedVec, Name};

/// Interfaces, routes, names and the way to the relay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Network<S: Stage> {
    /// Network interfaces without the loopback, by name.
    pub interfaces: Fact<BoundedVec<Interface<S>, 256>>,
    /// Ways out, preferred first; empty when there is none.
    pub default_routes: Fact<BoundedVec<Route<S>, 16>>,
    /// Each configured name server and what it answered.
    pub dns_servers: Fact<BoundedVec<DnsServer<S>, 16>>,
    /// What programs get when they ask the system for a well-known public name.
    pub system_resolver: Fact<DnsProbe>,
    /// The relay and the way there; unknown unless the survey is made for a session.
    pub relay: Fact<RelayPath>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Interface<S: Stage> {
    /// Its name. Some systems put the hardware address into it.
    pub name: S::Words,
    /// What it is.
    pub kind: InterfaceKind,
    /// Whether it has a link.
    pub link: LinkState,
    /// The speed its link came up with; not applicable to virtual and wireless ones.
    pub speed_mbps: Fact<u32>,
    /// `full` or `half`.
    pub duplex: Fact<Name>,
    /// The largest packet it sends.
    pub mtu_bytes: Fact<u32>,
    /// Traffic and its losses since it exists.
    pub counters: Fact<Counters>,
}

/// What a network interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceKind {
    /// A wired device, also a hypervisor's.
    Wired,
    /// A wireless device.
    Wireless,
    /// The inner end of a VPN.
    Tunnel,
    /// A bridge, bond, pair or other software.
    Virtual,
    /// The system does not say.
    Unclear,
}

/// Whether an interface has a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It has.
    Up,
    /// It is switched on and has none: a pulled cable, a network out of reach.
    NoCarrier,
    /// It is switched off.
    Down,
    /// The driver does not say.
    Unclear,
}

/// Traffic of an interface and its losses since it exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets received.
    pub rx_packets: u64,
    /// Received damaged.
    pub rx_errors: u64,
    /// Received and thrown away; protocols nobody listens to count here.
    pub rx_dropped: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Not sent because of an error.
    pub tx_errors: u64,
    /// Thrown away before sending.
    pub tx_dropped: u64,
}

/// A way out of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Route<S: Stage> {
    /// The protocol it serves.
    pub family: Family,
    /// The interface it uses; the VPN's when one is up.
    pub interface: S::Words,
    /// The router; none on links between two points.
    pub gateway: Option<S::Address>,
    /// Lower is preferred.
    pub metric: u32,
}

/// A version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Version 4.
    Ipv4,
    /// Version 6.
    Ipv6,
}

/// A configured name server and what it answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct DnsServer<S: Stage> {
    /// Its address.
    pub address: S::Address,
    /// What it answered to a question for the name servers of the root zone.
    pub probe: Fact<DnsProbe>,
}

/// One question about a public name and its outcome. That no answer came is a known outcome, not an unknown one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsProbe {
    /// What happened.
    pub outcome: DnsOutcome,
    /// Time to the outcome.
    pub took_us: u64,
}

/// What came of a question to a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsOutcome {
    /// It knew.
    Resolved,
    /// It answered that it does not know, or will not say.
    Refused,
    /// No answer came.
    Silent,
    /// The question could not be sent, or the host said that nobody listens.
    Unreachable,
    /// The answer was not an answer.
    Malformed,
}

/// The relay and the way there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayPath {
    /// The relay's host and port as the invite names it.
    pub relay: Name,
    /// Whether it answered.
    pub reachability: Reachability,
    /// How packets travel; none when it cannot be reached.
    pub transport: Option<Transport>,
    /// Median time there and back.
    pub rtt_us: Option<u64>,
    /// Packets lost: 0 to 100.
    pub loss_percent: Option<f64>,
    /// The largest packet that gets through.
    pub mtu_bytes: Option<u16>,
}

/// Whether the relay answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reachability {
    /// It did.
    Reached,
    /// It did not.
    Unreachable,
}

/// How packets travel to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// QUIC over UDP.
    Udp,
    /// The tunnel over TCP and TLS: UDP does not get through.
    Tcp,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Masked, Shared, Why, WhyKind};

    pub(crate) fn sample() -> Network<Shared> {
        let interface = Interface {
            name: Masked::redacted("eth0"),
            kind: InterfaceKind::Wired,
            link: LinkState::Up,
            speed_mbps: Fact::Known(1_000),
            duplex: Fact::Known(Name::truncating("full")),
            mtu_bytes: Fact::Known(1_500),
            counters: Fact::Known(Counters {
                rx_packets: 1_000,
                rx_errors: 0,
                rx_dropped: 1,
                tx_packets: 900,
                tx_errors: 0,
                tx_dropped: 0,
            }),
        };
        let route = Route {
            family: Family::Ipv4,
            interface: Masked::redacted("eth0"),
            gateway: Some(Masked::redacted("lan-1.1")),
            metric: 100,
        };
        let server = DnsServer {
            address: Masked::redacted("lan-1.1"),
            probe: Fact::Known(DnsProbe { outcome: DnsOutcome::Resolved, took_us: 1_500 }),
        };
        Network {
            interfaces: Fact::Known(vec![interface].try_into().unwrap()),
            default_routes: Fact::Known(vec![route].try_into().unwrap()),
            dns_servers: Fact::Known(vec![server].try_into().unwrap()),
            system_resolver: Fact::Known(DnsProbe { outcome: DnsOutcome::Silent, took_us: 1_000_000 }),
            relay: Fact::Unknown(Why::new(WhyKind::NotApplicable, "relay")),
        }
    }
}
