//! What passes while the survey watches: losses of interfaces, segments that TCP sent again, queues that ran full.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use belay_protocol::report::{Counters, Fact, Rates, Segments, Softnet, TcpQuality, Why, WhyKind};

use super::interfaces::{NET_DEV, parse_net_dev};
use super::{Root, native, or_native};

/// What two samples together say.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Rates by interface.
    pub rates: Result<BTreeMap<String, Rates>, Why>,
    /// How often TCP had to send again.
    pub tcp: Result<TcpQuality, Why>,
    /// How the processors keep up.
    pub softnet: Result<Softnet, Why>,
}

/// Takes two samples, `pause` apart. A captured tree has one moment only, and no rates.
pub fn watch(root: &Root, pause: Duration) -> Traffic {
    let before = Sample::take(root);
    if let Err(why) = root.live_only(NET_DEV) {
        return Traffic {
            rates: Err(why.clone()),
            tcp: before.tcp.map(|tcp| TcpQuality { since_start: tcp, watched: Fact::Unknown(why.clone()) }),
            softnet: before.softnet.map(|softnet| Softnet { dropped_per_second: Fact::Unknown(why), ..softnet }),
        };
    }
    let started = Instant::now();
    std::thread::sleep(pause);
    between(before, Sample::take(root), started.elapsed())
}

/// The counters at one moment.
#[derive(Debug, Clone)]
struct Sample {
    interfaces: Result<BTreeMap<String, Counters>, Why>,
    tcp: Result<Segments, Why>,
    softnet: Result<Softnet, Why>,
}

impl Sample {
    fn take(root: &Root) -> Self {
        let malformed = |source| move || Why::new(WhyKind::Malformed, source);
        Self {
            interfaces: or_native(root.read(NET_DEV).map(|text| parse_net_dev(&text)), native::counters),
            tcp: or_native(
                root.read(SNMP).and_then(|text| parse_snmp(&text).ok_or_else(malformed(SNMP))),
                native::segments,
            ),
            softnet: root.read(SOFTNET).and_then(|text| parse_softnet(&text).ok_or_else(malformed(SOFTNET))),
        }
    }
}

const SNMP: &str = "/proc/net/snmp";
const SOFTNET: &str = "/proc/net/softnet_stat";

/// The difference of two samples. Counters that ran backwards belong to another interface of the same name.
fn between(before: Sample, after: Sample, elapsed: Duration) -> Traffic {
    let sampled_ms = u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX);
    let per_second = |before: u64, after: u64| {
        after.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(Duration::from_millis(1).as_secs_f64())
    };
    let rates = |before: &Counters, after: &Counters| Rates {
        sampled_ms,
        rx_packets_per_second: per_second(before.rx_packets, after.rx_packets),
        tx_packets_per_second: per_second(before.tx_packets, after.tx_packets),
        errors_per_second: per_second(before.rx_errors, after.rx_errors)
            + per_second(before.tx_errors, after.tx_errors),
        dropped_per_second: per_second(before.rx_dropped, after.rx_dropped)
            + per_second(before.tx_dropped, after.tx_dropped),
        rx_bytes_per_second: per_second(before.rx_bytes, after.rx_bytes),
        tx_bytes_per_second: per_second(before.tx_bytes, after.tx_bytes),
    };
    let both = |before: BTreeMap<String, Counters>, after: BTreeMap<String, Counters>| {
        let rate = |(name, after): (String, Counters)| Some((name.clone(), rates(before.get(&name)?, &after)));
        after.into_iter().filter_map(rate).collect()
    };
    Traffic {
        rates: before.interfaces.and_then(|before| Ok(both(before, after.interfaces?))),
        tcp: before.tcp.and_then(|before| {
            let after = after.tcp?;
            let watched = Segments {
                sent: after.sent.saturating_sub(before.sent),
                resent: after.resent.saturating_sub(before.resent),
            };
            Ok(TcpQuality { since_start: after, watched: Fact::Known(watched) })
        }),
        softnet: before.softnet.and_then(|before| {
            let after = after.softnet?;
            Ok(Softnet { dropped_per_second: Fact::Known(per_second(before.dropped, after.dropped)), ..after })
        }),
    }
}

/// Understands the lines of TCP in `/proc/net/snmp`: names in one, values in the next (proc_pid_net(5)).
pub fn parse_snmp(text: &str) -> Option<Segments> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |wanted: &str| {
        let at = names.split_ascii_whitespace().position(|name| name == wanted)?;
        values.split_ascii_whitespace().nth(at)?.parse::<u64>().ok()
    };
    Some(Segments { sent: value("OutSegs")?, resent: value("RetransSegs")? })
}

/// Understands `/proc/net/softnet_stat`: a line of hexadecimal numbers for each processor; packets, drops and work left
/// for later come first.
pub fn parse_softnet(text: &str) -> Option<Softnet> {
    let (mut processed, mut dropped, mut squeezed) = (0u64, 0u64, 0u64);
    let mut lines = 0;
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace().map(|field| u64::from_str_radix(field, 16).ok());
        processed = processed.saturating_add(fields.next()??);
        dropped = dropped.saturating_add(fields.next()??);
        squeezed = squeezed.saturating_add(fields.next()??);
        lines += 1;
    }
    let unknown = Fact::Unknown(Why::new(WhyKind::NotApplicable, SOFTNET));
    (lines > 0).then_some(Softnet { processed, dropped, squeezed, dropped_per_second: unknown })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    const TCP: &str = "Ip: Forwarding\nIp: 1\nTcp: RtoMin InSegs OutSegs RetransSegs\nTcp: 200 9 1000 10\n";
    const QUEUES: &str = "04074a7f 00000001 00000002 00000000\n00000001 00000010 00000000\n";

    fn sample(errors: u64, sent: u64, dropped: u64) -> Sample {
        let counters = Counters {
            rx_packets: 10,
            rx_errors: errors,
            rx_dropped: 0,
            tx_packets: sent,
            tx_errors: 0,
            tx_dropped: 0,
            rx_bytes: 0,
            tx_bytes: 1_500 * sent,
        };
        let softnet = parse_softnet(&format!("0 {dropped:x} 0\n")).unwrap();
        Sample {
            interfaces: Ok(BTreeMap::from([("eth0".to_owned(), counters)])),
            tcp: Ok(Segments { sent, resent: sent / 10 }),
            softnet: Ok(softnet),
        }
    }

    #[test]
    fn rates_are_the_difference_of_two_samples() {
        let traffic = between(sample(5, 1_000, 3), sample(7, 1_200, 4), Duration::from_millis(200));
        let rates = traffic.rates.unwrap()["eth0"];
        assert_eq!((rates.errors_per_second, rates.tx_packets_per_second, rates.sampled_ms), (10.0, 1_000.0, 200));
        assert_eq!((rates.rx_bytes_per_second, rates.tx_bytes_per_second), (0.0, 1_500_000.0));
        assert_eq!(*traffic.tcp.unwrap().watched.known().unwrap(), Segments { sent: 200, resent: 20 });
        assert_eq!(traffic.softnet.unwrap().dropped_per_second, Fact::Known(5.0));
        let backwards = between(sample(7, 1_200, 4), sample(5, 1_000, 3), Duration::ZERO);
        assert_eq!(backwards.rates.unwrap()["eth0"].errors_per_second, 0.0);
    }

    #[test]
    fn a_captured_tree_has_totals_and_no_rates() {
        let (_dir, root) = tree(&[("proc/net/snmp", TCP), ("proc/net/softnet_stat", QUEUES)]);
        let traffic = watch(&root, Duration::from_secs(60));
        assert_eq!(traffic.rates.unwrap_err().kind, WhyKind::NotApplicable);
        let tcp = traffic.tcp.unwrap();
        assert_eq!(
            (tcp.since_start, tcp.watched.why().unwrap().kind),
            (Segments { sent: 1_000, resent: 10 }, WhyKind::NotApplicable)
        );
        let softnet = traffic.softnet.unwrap();
        assert_eq!((softnet.dropped, softnet.squeezed), (17, 2));
        assert!(softnet.dropped_per_second.why().is_some());
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", "Tcp: OutSegs\n", "Tcp: OutSegs RetransSegs\nTcp: 1\n", "Tcp: OutSegs\nTcp: x\n"] {
            assert_eq!(parse_snmp(text), None, "{text}");
        }
        for text in ["", "\n", "1 2\n", "x y z\n"] {
            assert_eq!(parse_softnet(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_snmp(&text);
            parse_snmp(&format!("Tcp: {text}\nTcp: {text}"));
            parse_softnet(&text);
        }
    }
}
