//! Interfaces, routes, names and the way to the relay.

use serde::{Deserialize, Serialize};

use super::{Fact, Stage, Why, Wire};
use crate::bounded::{BoundedVec, Name};
use crate::lang::Phrase;

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
    /// Where traffic to the internet leaves; not applicable when there is no way out.
    pub way_out: Fact<WayOut<S>>,
    /// Settings that send programs through a proxy; empty when there is none.
    pub proxies: Fact<BoundedVec<ProxySetting<S>, 16>>,
    /// The support desk and the way there; not applicable unless one is named.
    pub desk: Fact<DeskPath>,
    /// Sockets that wait for others to come, by protocol and port.
    pub listeners: Fact<BoundedVec<Listener<S>, 1024>>,
    /// TCP sockets by state, only states that occur.
    pub sockets: Fact<BoundedVec<SocketCount, 16>>,
    /// The table of connections that a firewall follows; not applicable where none does.
    pub conntrack: Fact<Conntrack>,
    /// How often TCP had to send again.
    pub tcp: Fact<TcpQuality>,
    /// How the processors keep up with what arrives.
    pub softnet: Fact<Softnet>,
    /// Ways to other networks, the default ones among them.
    pub routes: Fact<RouteTable<S>>,
}

impl<S: Stage> Network<S> {
    /// Nothing known, for one reason.
    pub fn unknown(why: &Why) -> Self {
        Self {
            interfaces: Fact::Unknown(why.clone()),
            default_routes: Fact::Unknown(why.clone()),
            dns_servers: Fact::Unknown(why.clone()),
            system_resolver: Fact::Unknown(why.clone()),
            relay: Fact::Unknown(why.clone()),
            way_out: Fact::Unknown(why.clone()),
            proxies: Fact::Unknown(why.clone()),
            desk: Fact::Unknown(why.clone()),
            listeners: Fact::Unknown(why.clone()),
            sockets: Fact::Unknown(why.clone()),
            conntrack: Fact::Unknown(why.clone()),
            tcp: Fact::Unknown(why.clone()),
            softnet: Fact::Unknown(why.clone()),
            routes: Fact::Unknown(why.clone()),
        }
    }
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
    /// Traffic and its losses while the survey watched.
    pub rates: Fact<Rates>,
    /// Its addresses.
    pub addresses: Fact<BoundedVec<InterfaceAddress<S>, 64>>,
    /// The interfaces it stands on: members of a bond or bridge, the device under a VLAN.
    pub below: BoundedVec<S::Words, 16>,
    /// The radio's signal; not applicable to what is not wireless.
    pub signal: Fact<WifiSignal>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
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
    /// Whether the router was found on the network; not applicable without one.
    pub neighbour: Fact<Neighbour>,
}

/// The main table of routes, without those of the loopback, of multicast and of single own addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct RouteTable<S: Stage> {
    /// The routes, IPv4 first, narrow before wide, preferred first.
    pub entries: BoundedVec<RouteEntry<S>, 256>,
    /// Routes that did not fit; a router of the internet has a million.
    pub left_out: u32,
    /// Routes that stand in each other's way.
    pub conflicts: BoundedVec<RouteConflict<S>, 16>,
}

/// A way to a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct RouteEntry<S: Stage> {
    /// The protocol it serves.
    pub family: Family,
    /// The network.
    pub destination: S::Address,
    /// Bits that all addresses of the network have in common; 0 for a default route.
    pub prefix_bits: u8,
    /// The router; none for a network that is on the link.
    pub gateway: Option<S::Address>,
    /// The interface it uses.
    pub interface: S::Words,
    /// Lower is preferred.
    pub metric: u32,
}

/// Two routes that stand in each other's way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct RouteConflict<S: Stage> {
    /// In which manner.
    pub kind: RouteConflictKind,
    /// The interface of the route that wins, or of the first of two equals.
    pub interface: S::Words,
    /// What it is.
    pub interface_kind: InterfaceKind,
    /// The interface of the other.
    pub other: S::Words,
    /// What that is.
    pub other_kind: InterfaceKind,
    /// The network of the route that wins.
    pub destination: S::Address,
    /// Bits that all addresses of that network have in common.
    pub prefix_bits: u8,
}

/// In which manner two routes stand in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteConflictKind {
    /// The network of the default route's own router is reached through another interface.
    RouterElsewhere,
    /// Two default routes through different interfaces are preferred alike.
    TiedDefaults,
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
    /// Whether it makes up an address for a name that cannot exist (RFC 6761, section 6.4).
    pub invents_names: Fact<bool>,
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
    /// Mean difference between successive times there and back (as in RFC 3550, section 6.4.1).
    pub jitter_us: Option<u64>,
    /// Packets lost: 0 to 100.
    pub loss_percent: Option<f64>,
    /// The largest packet that gets through.
    pub mtu_bytes: Option<u16>,
    /// How often large packets stopped arriving while small ones did (RFC 8899, section 4.3).
    pub black_holes: Option<u64>,
    /// Seconds that this machine's clock is ahead of the relay's; negative when it is behind.
    pub clock_ahead_seconds: Option<i64>,
    /// What came of trying it by UDP.
    pub udp: Fact<RelayWay>,
    /// What came of trying it by the tunnel over TCP and TLS.
    pub tcp: Fact<RelayWay>,
}

/// What came of trying one way to a relay. That it did not answer is a known outcome, not an unknown one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayWay {
    /// Whether the relay answered.
    pub reachability: Reachability,
    /// Time until it had let us in, or until it was given up; none where only a session went this way.
    pub took_us: Option<u64>,
    /// Median time there and back; none when it did not answer, or no question came back in time.
    pub rtt_us: Option<u64>,
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

/// Traffic of an interface and its losses while the survey watched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Time between the two samples.
    pub sampled_ms: u32,
    /// Packets received in a second.
    pub rx_packets_per_second: f64,
    /// Packets sent in a second.
    pub tx_packets_per_second: f64,
    /// Damaged packets in a second, both ways.
    pub errors_per_second: f64,
    /// Packets thrown away in a second, both ways.
    pub dropped_per_second: f64,
    /// Bytes received in a second.
    pub rx_bytes_per_second: f64,
    /// Bytes sent in a second.
    pub tx_bytes_per_second: f64,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct InterfaceAddress<S: Stage> {
    /// The address.
    pub address: S::Address,
    /// The protocol it belongs to.
    pub family: Family,
    /// Bits that all of its network have in common.
    pub prefix_bits: u8,
    /// How far it is valid.
    pub reach: AddressReach,
    /// Whether it can be used.
    pub state: AddressState,
}

/// How far an address is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressReach {
    /// Beyond the network it stands in, maybe through a router that translates it.
    Global,
    /// On its link only.
    Link,
    /// Inside this machine.
    Host,
}

/// Whether an address can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressState {
    /// It can.
    Usable,
    /// It is being checked whether another machine has it.
    Tentative,
    /// Another machine has it (RFC 4862, section 5.4).
    Duplicate,
    /// It is used for old connections only.
    Deprecated,
}

/// The signal of a radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WifiSignal {
    /// Strength of the signal; drivers that do not know it in dBm are left out.
    pub signal_dbm: i32,
    /// Quality of the link in the driver's own measure, as a rule up to 70.
    pub quality: u32,
}

/// Whether a router was found on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Neighbour {
    /// Its hardware address is known: it has answered lately.
    Found,
    /// It was asked for and did not answer.
    Silent,
    /// Nobody has asked for it lately.
    NotAsked,
}

/// Where traffic to the internet leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct WayOut<S: Stage> {
    /// The interface that programs use; the VPN's when one is up.
    pub interface: S::Words,
    /// What it is.
    pub kind: InterfaceKind,
    /// The device through which it leaves the machine in the end; none when the system does not say.
    pub physical: Option<S::Words>,
}

/// A setting that sends programs through a proxy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct ProxySetting<S: Stage> {
    /// Where it stands.
    pub source: ProxySource,
    /// Its name, such as `https_proxy`.
    pub variable: Name,
    /// Its value; a password in it is removed.
    pub value: S::Words,
}

/// Where a proxy is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxySource {
    /// The environment of the agent.
    Environment,
    /// `/etc/environment`.
    EtcEnvironment,
    /// The settings of Windows, of the person who runs the agent.
    InternetSettings,
}

/// The support desk and the way there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeskPath {
    /// The desk's host as the person named it.
    pub host: Name,
    /// Whether a connection over IPv4 comes about; not applicable when the desk has no such address.
    pub ipv4: Fact<Connect>,
    /// Whether a connection over IPv6 comes about.
    pub ipv6: Fact<Connect>,
    /// What came of a request over HTTPS.
    pub https: Https,
    /// Time to that outcome.
    pub took_us: u64,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What came of a request over plain HTTP, which whoever stands between can answer.
    pub plain_http: Fact<PlainHttp>,
    /// Seconds that this machine's clock is ahead of the desk's; negative when it is behind. The desk tells whole seconds.
    pub clock_ahead_seconds: Fact<i64>,
}

/// What came of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connect {
    /// It worked.
    Connected,
    /// The other side said no.
    ConnectionRefused,
    /// No answer came.
    TimedOut,
    /// This machine, or a router, knows no way.
    NoRoute,
}

/// What came of a request over HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Https {
    /// The desk answered.
    Answered,
    /// Somebody with the desk's name answered with an error or with something else.
    WrongAnswer,
    /// The desk's name was not found.
    NoName,
    /// The other side said no.
    ConnectionRefused,
    /// No answer came.
    TimedOut,
    /// The certificate comes from nobody whom this machine trusts: traffic is opened on the way, or the desk is set up
    /// wrongly.
    Untrusted,
    /// The certificate is valid at another time than this machine's clock shows.
    WrongTime,
    /// The certificate belongs to another name.
    WrongName,
    /// The proxy wants a name and a password.
    ProxyPassword,
    /// It failed in another way.
    Failed,
}

impl Https {
    /// The outcome as people read it.
    pub const fn phrase(self) -> Phrase {
        match self {
            Self::Answered => Phrase { en: "answered", zh: "已应答" },
            Self::WrongAnswer => Phrase { en: "something else answered", zh: "应答不是服务台" },
            Self::NoName => Phrase { en: "its name was not found", zh: "找不到域名" },
            Self::ConnectionRefused => Phrase { en: "it refused the connection", zh: "连接被拒绝" },
            Self::TimedOut => Phrase { en: "no answer in time", zh: "超时无应答" },
            Self::Untrusted => Phrase { en: "its certificate is not trusted", zh: "证书不受信任" },
            Self::WrongTime => Phrase { en: "its certificate is not valid today", zh: "证书当前无效" },
            Self::WrongName => Phrase { en: "its certificate is for another name", zh: "证书属于其他域名" },
            Self::ProxyPassword => Phrase { en: "the proxy asks for a password", zh: "代理要求密码" },
            Self::Failed => Phrase { en: "the connection failed", zh: "连接失败" },
        }
    }
}

/// What came of a request over plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlainHttp {
    /// As expected of the desk: nothing there, an error, or a redirect to itself.
    AsExpected,
    /// A redirect to somebody else, or a page: somebody on the way asks for a login.
    Portal,
}

/// A socket that waits for others to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Listener<S: Stage> {
    /// Its protocol.
    pub protocol: SocketProtocol,
    /// The family of its address. An IPv6 socket often takes IPv4 as well.
    pub family: Family,
    /// Who can reach it.
    pub reach: ListenerReach,
    /// Its port.
    pub port: u16,
    /// The number of the user who opened it; not applicable on Windows.
    pub uid: Fact<u32>,
    /// The program, where the agent may see it.
    pub process: Fact<S::Words>,
}

/// The protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketProtocol {
    /// TCP, listening.
    Tcp,
    /// UDP, bound and not connected.
    Udp,
}

/// Who can reach a socket, firewalls left aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerReach {
    /// Programs on this machine.
    Local,
    /// Whoever reaches one of its addresses.
    OneAddress,
    /// Whoever reaches any of its addresses.
    Any,
}

/// TCP sockets in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketCount {
    /// The state, such as `established` or `close_wait`.
    pub state: Name,
    /// How many.
    pub count: u32,
}

/// The table of connections that a firewall follows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conntrack {
    /// Entries in use.
    pub used: u64,
    /// Entries there is room for.
    pub max: u64,
    /// 0 to 100.
    pub used_percent: f64,
}

/// How often TCP had to send again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpQuality {
    /// Since the system started.
    pub since_start: Segments,
    /// While the survey watched.
    pub watched: Fact<Segments>,
}

/// Segments of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segments {
    /// Sent, without those sent again.
    pub sent: u64,
    /// Sent again because no one confirmed them.
    pub resent: u64,
}

/// How the processors keep up with what arrives, all together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Softnet {
    /// Packets taken in since the system started.
    pub processed: u64,
    /// Packets thrown away because a queue was full.
    pub dropped: u64,
    /// Times that work was left for later because the time for it was up.
    pub squeezed: u64,
    /// Packets thrown away in a second while the survey watched.
    pub dropped_per_second: Fact<f64>,
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
                rx_bytes: 1_000_000,
                tx_bytes: 90_000,
            }),
            rates: Fact::Known(Rates {
                sampled_ms: 200,
                rx_packets_per_second: 5.0,
                tx_packets_per_second: 5.0,
                errors_per_second: 0.0,
                dropped_per_second: 0.0,
                rx_bytes_per_second: 5_000.0,
                tx_bytes_per_second: 500.0,
            }),
            addresses: Fact::Known(
                vec![InterfaceAddress {
                    address: Masked::redacted("lan-1.2"),
                    family: Family::Ipv4,
                    prefix_bits: 24,
                    reach: AddressReach::Global,
                    state: AddressState::Usable,
                }]
                .try_into()
                .unwrap(),
            ),
            below: BoundedVec::new(),
            signal: Fact::Known(WifiSignal { signal_dbm: -50, quality: 60 }),
        };
        let route = Route {
            family: Family::Ipv4,
            interface: Masked::redacted("eth0"),
            gateway: Some(Masked::redacted("lan-1.1")),
            metric: 100,
            neighbour: Fact::Known(Neighbour::Found),
        };
        let server = DnsServer {
            address: Masked::redacted("lan-1.1"),
            probe: Fact::Known(DnsProbe { outcome: DnsOutcome::Resolved, took_us: 1_500 }),
            invents_names: Fact::Known(false),
        };
        let desk = DeskPath {
            host: Name::truncating("help.example.com"),
            ipv4: Fact::Known(Connect::Connected),
            ipv6: Fact::Unknown(Why::new(WhyKind::NotApplicable, "desk")),
            https: Https::Answered,
            took_us: 80_000,
            status: Some(200),
            plain_http: Fact::Known(PlainHttp::AsExpected),
            clock_ahead_seconds: Fact::Known(0),
        };
        let listener = Listener {
            protocol: SocketProtocol::Tcp,
            family: Family::Ipv4,
            reach: ListenerReach::Local,
            port: 631,
            uid: Fact::Known(0),
            process: Fact::Known(Masked::redacted("cupsd")),
        };
        let entry = RouteEntry {
            family: Family::Ipv4,
            destination: Masked::redacted("lan-1.0"),
            prefix_bits: 24,
            gateway: None,
            interface: Masked::redacted("eth0"),
            metric: 100,
        };
        let conflict = RouteConflict {
            kind: RouteConflictKind::TiedDefaults,
            interface: Masked::redacted("eth0"),
            interface_kind: InterfaceKind::Wired,
            other: Masked::redacted("tun0"),
            other_kind: InterfaceKind::Tunnel,
            destination: Masked::redacted("0.0.0.0"),
            prefix_bits: 0,
        };
        let way_out = WayOut {
            interface: Masked::redacted("tun0"),
            kind: InterfaceKind::Tunnel,
            physical: Some(Masked::redacted("eth0")),
        };
        let proxy = ProxySetting {
            source: ProxySource::EtcEnvironment,
            variable: Name::truncating("https_proxy"),
            value: Masked::redacted("http://proxy:3128"),
        };
        Network {
            interfaces: Fact::Known(vec![interface].try_into().unwrap()),
            default_routes: Fact::Known(vec![route].try_into().unwrap()),
            dns_servers: Fact::Known(vec![server].try_into().unwrap()),
            system_resolver: Fact::Known(DnsProbe { outcome: DnsOutcome::Silent, took_us: 1_000_000 }),
            relay: Fact::Known(relay()),
            way_out: Fact::Known(way_out),
            proxies: Fact::Known(vec![proxy].try_into().unwrap()),
            desk: Fact::Known(desk),
            listeners: Fact::Known(vec![listener].try_into().unwrap()),
            sockets: Fact::Known(
                vec![SocketCount { state: Name::truncating("established"), count: 3 }].try_into().unwrap(),
            ),
            conntrack: Fact::Known(Conntrack { used: 100, max: 1_000, used_percent: 10.0 }),
            tcp: Fact::Known(TcpQuality {
                since_start: Segments { sent: 1_000, resent: 1 },
                watched: Fact::Known(Segments { sent: 10, resent: 0 }),
            }),
            softnet: Fact::Known(Softnet {
                processed: 1_000,
                dropped: 0,
                squeezed: 1,
                dropped_per_second: Fact::Known(0.0),
            }),
            routes: Fact::Known(RouteTable {
                entries: vec![entry].try_into().unwrap(),
                left_out: 0,
                conflicts: vec![conflict].try_into().unwrap(),
            }),
        }
    }

    fn relay() -> RelayPath {
        let way = RelayWay { reachability: Reachability::Reached, took_us: Some(90_000), rtt_us: Some(30_000) };
        RelayPath {
            relay: Name::truncating("relay.example.com:443"),
            reachability: Reachability::Reached,
            transport: Some(Transport::Udp),
            rtt_us: Some(30_000),
            jitter_us: Some(2_000),
            loss_percent: Some(0.0),
            mtu_bytes: Some(1_452),
            black_holes: Some(0),
            clock_ahead_seconds: Some(0),
            udp: Fact::Known(way),
            tcp: Fact::Known(way),
        }
    }
}
