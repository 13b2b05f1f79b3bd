//! Interfaces, names, sockets and the way to the desk on the page.

use belay_protocol::report::{
    AddressReach, DnsOutcome, DnsProbe, Fact, Interface, LinkState, ListenerReach, Network, Reachability, RelayPath,
    SectionName, Shared, SocketProtocol,
};
use belay_protocol::{Language, Phrase};

use super::{Page, listed, micros_for_people, words::*};

impl Page {
    pub(super) fn network(&mut self, network: &Network<Shared>) {
        let language = self.language;
        self.section(SectionName::Network);
        match &network.interfaces {
            Fact::Known(interfaces) => {
                for interface in interfaces.iter().filter(|interface| interface.link != LinkState::Down) {
                    let value = self.interface(interface);
                    let label = interface.name.to_string();
                    self.row(&label, &value);
                }
            }
            Fact::Unknown(why) => self.unseen.push((INTERFACES.text(language).to_owned(), why.clone())),
        }
        self.fact(&WAY_OUT, &network.default_routes, |routes| match routes.first() {
            Some(route) => {
                let gateway = route.gateway.as_ref().map(|gateway| format!(" {gateway}")).unwrap_or_default();
                format!("{}{gateway}", route.interface)
            }
            None => NONE.text(language).to_owned(),
        });
        self.fact(&ROUTES, &network.routes, |table| {
            let shown = table.entries.iter().filter(|route| route.prefix_bits > 0).take(SHOWN_ROUTES);
            let named = shown.map(|route| format!("{}/{} {}", route.destination, route.prefix_bits, route.interface));
            let more = if table.entries.len() > SHOWN_ROUTES { vec!["…".to_owned()] } else { Vec::new() };
            listed(named.chain(more), language)
        });
        // Only worth a line when a VPN or a bridge hides the device.
        if let Some(way) = network.way_out.known()
            && let Some(physical) = way.physical.as_ref().filter(|physical| **physical != way.interface)
        {
            let label = WAY_OUT_DEVICE.text(language);
            let value = format!("{} → {physical}", way.interface);
            self.row(label, &value);
        }
        match &network.dns_servers {
            Fact::Known(servers) => {
                for server in servers {
                    let label = format!("{} {}", NAME_SERVER.text(language), server.address);
                    match &server.probe {
                        Fact::Known(probe) => self.row(&label, &outcome(probe, language)),
                        Fact::Unknown(why) => self.unseen.push((label, why.clone())),
                    }
                }
            }
            Fact::Unknown(why) => self.unseen.push((NAME_SERVERS.text(language).to_owned(), why.clone())),
        }
        self.fact(&NAMES, &network.system_resolver, |probe| outcome(probe, language));
        self.fact(&PROXY, &network.proxies, |proxies| {
            listed(proxies.iter().map(|proxy| format!("{}={}", proxy.variable, proxy.value)), language)
        });
        self.fact(&LISTENING, &network.listeners, |listeners| {
            let open = listeners.iter().filter(|listener| listener.reach != ListenerReach::Local);
            let mut ports: Vec<_> = open.map(|listener| (listener.protocol, listener.port)).collect();
            ports.sort_unstable();
            ports.dedup();
            let named = ports.iter().take(SHOWN_PORTS).map(|(protocol, port)| match protocol {
                SocketProtocol::Tcp => format!("tcp {port}"),
                SocketProtocol::Udp => format!("udp {port}"),
            });
            let more = if ports.len() > SHOWN_PORTS { vec!["…".to_owned()] } else { Vec::new() };
            listed(named.chain(more), language)
        });
        self.fact(&RESENT, &network.tcp, |tcp| {
            let share = tcp.since_start.resent as f64 * 100.0 / tcp.since_start.sent.max(1) as f64;
            format!("{share:.2} %")
        });
        self.fact(&DESK, &network.desk, |desk| {
            let outcome = desk.https.phrase().text(language);
            let took = IN_BRACKETS.fill(language, &[("text", &micros_for_people(desk.took_us))]);
            format!("{}{}{outcome}{took}", desk.host, COLON.text(language))
        });
        self.fact(&RELAY, &network.relay, |relay| match relay.reachability {
            Reachability::Reached => relay_path(relay, language),
            Reachability::Unreachable => {
                format!("{}{}{}", relay.relay, COLON.text(language), UNREACHABLE.text(language))
            }
        });
    }

    fn interface(&self, interface: &Interface<Shared>) -> String {
        let link = match interface.link {
            LinkState::Up => &LINK_UP,
            LinkState::NoCarrier => &LINK_NONE,
            LinkState::Down => &LINK_DOWN,
            LinkState::Unclear => &LINK_UNCLEAR,
        };
        let mut parts = vec![link.text(self.language).to_owned()];
        if let Some(speed) = interface.speed_mbps.known() {
            parts.push(format!("{speed} Mbit/s"));
        }
        if let Some(signal) = interface.signal.known() {
            parts.push(format!("{} dBm", signal.signal_dbm));
        }
        if let Some(addresses) = interface.addresses.known() {
            let global = addresses.iter().filter(|address| address.reach == AddressReach::Global);
            parts.extend(global.map(|address| address.address.to_string()));
        }
        if let Some(counters) = interface.counters.known() {
            let errors = counters.rx_errors.saturating_add(counters.tx_errors).to_string();
            let dropped = counters.rx_dropped.saturating_add(counters.tx_dropped).to_string();
            parts.push(LOSSES.fill(self.language, &[("errors", &errors), ("dropped", &dropped)]));
        }
        parts.join(" · ")
    }
}

/// The relay with what it is like to reach it, and how each way goes.
fn relay_path(relay: &RelayPath, language: Language) -> String {
    let mut parts = vec![format!("{} {}", relay.relay, relay.rtt_us.map(micros_for_people).unwrap_or_default())];
    parts.extend(relay.jitter_us.map(|jitter| JITTER.fill(language, &[("time", &micros_for_people(jitter))])));
    parts.extend(relay.loss_percent.map(|loss| LOST.fill(language, &[("percent", &format!("{loss:.1}"))])));
    for (way, tried) in [("UDP", &relay.udp), ("TCP", &relay.tcp)] {
        let came = match tried {
            Fact::Known(tried) if tried.reachability == Reachability::Unreachable => {
                UNREACHABLE.text(language).to_owned()
            }
            Fact::Known(tried) => tried.rtt_us.map_or_else(|| WORKS.text(language).to_owned(), micros_for_people),
            Fact::Unknown(why) => why.kind.phrase().text(language).to_owned(),
        };
        parts.push(format!("{way} {came}"));
    }
    parts.join(" · ")
}

/// Routes that are named; of more, only that there are.
const SHOWN_ROUTES: usize = 6;

/// Ports that are named; a machine with more has its services in containers.
const SHOWN_PORTS: usize = 12;

fn outcome(probe: &DnsProbe, language: Language) -> String {
    let phrase = match probe.outcome {
        DnsOutcome::Resolved => Phrase { en: "answers in {time}", zh: "应答用时 {time}" },
        DnsOutcome::Refused => Phrase {
            en: "answers, but does not know public names ({time})",
            zh: "有应答，但无法解析公网域名（{time}）",
        },
        DnsOutcome::Silent => Phrase { en: "no answer within {time}", zh: "{time} 内无应答" },
        DnsOutcome::Unreachable => UNREACHABLE,
        DnsOutcome::Malformed => Phrase { en: "answers nonsense", zh: "应答无法识别" },
    };
    phrase.fill(language, &[("time", &micros_for_people(probe.took_us))])
}

#[cfg(test)]
mod tests {
    use belay_protocol::bounded::Name;
    use belay_protocol::report::{RelayWay, Transport, Why, WhyKind};

    use super::*;

    #[test]
    fn a_relay_is_told_with_both_ways_and_what_they_are_like() {
        let way = |reachability, rtt_us| Fact::Known(RelayWay { reachability, took_us: Some(90_000), rtt_us });
        let mut relay = RelayPath {
            relay: Name::truncating("relay:443"),
            reachability: Reachability::Reached,
            transport: Some(Transport::Udp),
            rtt_us: Some(30_000),
            jitter_us: Some(2_000),
            loss_percent: Some(0.0),
            mtu_bytes: None,
            black_holes: None,
            clock_ahead_seconds: None,
            udp: way(Reachability::Reached, Some(30_000)),
            tcp: way(Reachability::Unreachable, None),
        };
        let shown = "relay:443 30 ms · ± 2 ms · 0.0 % lost · UDP 30 ms · TCP cannot be reached";
        assert_eq!(relay_path(&relay, Language::English), shown);
        relay.tcp = Fact::Unknown(Why::new(WhyKind::Failed, "relay"));
        relay.udp = way(Reachability::Reached, None);
        let shown = "relay:443 30 ms · 抖动 2 ms · 丢包 0.0 % · UDP 可用 · TCP 系统报告错误";
        assert_eq!(relay_path(&relay, Language::Chinese), shown);
    }
}
