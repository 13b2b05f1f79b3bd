//! Network interfaces, their links and their losses.

use std::collections::BTreeMap;

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{
    Counters, Fact, Interface, InterfaceKind, LinkState, Private, Raw, Why, WhyKind, WifiSignal,
};

use super::{Root, native, or_native};

/// The interfaces of `root` without the loopback, by name.
pub fn look(root: &Root) -> Result<BoundedVec<Interface<Raw>, 256>, Why> {
    or_native(look_at_files(root), native::interfaces)
}

fn look_at_files(root: &Root) -> Result<BoundedVec<Interface<Raw>, 256>, Why> {
    match root.list(NET, NET) {
        Ok(names) => {
            let signals = root.read(WIRELESS).map(|text| parse_wireless(&text)).unwrap_or_default();
            let names = names.into_iter().filter(|name| name != "lo");
            Ok(BoundedVec::truncating(names.filter_map(|name| interface(root, &name, &signals))).0)
        }
        Err(why) if why.kind == WhyKind::NotOffered => {
            let counters = parse_net_dev(&root.read(NET_DEV)?);
            Ok(BoundedVec::truncating(counters.into_iter().filter(|(name, _)| name != "lo").map(counted)).0)
        }
        Err(why) => Err(why),
    }
}

const NET: &str = "/sys/class/net";
pub(super) const NET_DEV: &str = "/proc/net/dev";
const WIRELESS: &str = "/proc/net/wireless";

/// One interface; none when the name is not one (`bonding_masters` is a file among the interfaces).
fn interface(root: &Root, name: &str, signals: &BTreeMap<String, WifiSignal>) -> Option<Interface<Raw>> {
    let text = |file: &str| root.read_for(&format!("{NET}/{name}/{file}"), NET).map(|text| text.trim().to_owned());
    let number = |file: &str| text(file)?.parse::<u64>().map_err(|_| Why::new(WhyKind::Malformed, NET));
    let has = |file: &str| root.has(&format!("{NET}/{name}/{file}"));
    let flags = text("flags").ok();
    if flags.is_none() && !has("operstate") && !has("statistics") {
        return None;
    }
    let kind = match () {
        () if has("wireless") || has("phy80211") => InterfaceKind::Wireless,
        () if has("tun_flags") || text("type").is_ok_and(|kind| POINT_TO_POINT.contains(&kind.as_str())) => {
            InterfaceKind::Tunnel
        }
        () if has("device") => InterfaceKind::Wired,
        () => InterfaceKind::Virtual,
    };
    let counters = || {
        let one = |file: &str| number(&format!("statistics/{file}"));
        Ok(Counters {
            rx_packets: one("rx_packets")?,
            rx_errors: one("rx_errors")?,
            rx_dropped: one("rx_dropped")?,
            tx_packets: one("tx_packets")?,
            tx_errors: one("tx_errors")?,
            tx_dropped: one("tx_dropped")?,
            rx_bytes: one("rx_bytes")?,
            tx_bytes: one("tx_bytes")?,
        })
    };
    let below = root.list(&format!("{NET}/{name}"), NET).unwrap_or_default();
    let below = below.iter().filter_map(|entry| entry.strip_prefix("lower_")).map(Private::new);
    let link = parse_link(flags.as_deref(), text("carrier").ok().as_deref());
    // An interface that is switched off refuses to tell what it came up with.
    let as_linked = |file: &'static str| match link {
        LinkState::Down => Err(Why::new(WhyKind::NotApplicable, NET)),
        _ => text(file),
    };
    Some(Interface {
        name: Private::new(name),
        kind,
        link,
        speed_mbps: as_linked("speed").and_then(|speed| parse_speed(&speed)).into(),
        duplex: as_linked("duplex").and_then(|duplex| parse_duplex(&duplex)).into(),
        mtu_bytes: number("mtu").map(|mtu| u32::try_from(mtu).unwrap_or(u32::MAX)).into(),
        counters: counters().into(),
        rates: Fact::Unknown(Why::new(WhyKind::NotApplicable, NET_DEV)),
        addresses: Fact::Unknown(Why::new(WhyKind::NotApplicable, "rtnetlink")),
        below: BoundedVec::truncating(below).0,
        signal: signal(kind, signals.get(name)).into(),
    })
}

/// The signal of a radio. Newer kernels no longer have the list, and some drivers give no figure in dBm.
fn signal(kind: InterfaceKind, found: Option<&WifiSignal>) -> Result<WifiSignal, Why> {
    match (kind, found) {
        (InterfaceKind::Wireless, found) => found.copied().ok_or_else(|| Why::new(WhyKind::NotOffered, WIRELESS)),
        _ => Err(Why::new(WhyKind::NotApplicable, WIRELESS)),
    }
}

/// Understands `/proc/net/wireless`: behind the name stand status, quality, level and noise. A level that is not
/// negative is not in dBm.
pub fn parse_wireless(text: &str) -> BTreeMap<String, WifiSignal> {
    let line = |line: &str| {
        let (name, fields) = line.split_once(':')?;
        let mut fields = fields.split_ascii_whitespace().skip(1).map(|field| field.trim_end_matches('.'));
        let (quality, signal_dbm) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (signal_dbm < 0).then(|| (name.trim().to_owned(), WifiSignal { signal_dbm, quality }))
    };
    text.lines().filter_map(line).collect()
}

/// ARPHRD_PPP, ARPHRD_TUNNEL, ARPHRD_TUNNEL6, ARPHRD_NONE (tun, WireGuard) of linux/if_arp.h.
const POINT_TO_POINT: [&str; 4] = ["512", "768", "769", "65534"];

/// The link from the interface's flags and its carrier. An interface that is switched off refuses to tell its carrier.
fn parse_link(flags: Option<&str>, carrier: Option<&str>) -> LinkState {
    let flags = flags.and_then(super::devices::parse_hex);
    match (flags.map(|flags| flags & IFF_UP != 0), carrier) {
        (Some(false), _) => LinkState::Down,
        (_, Some("1")) => LinkState::Up,
        (_, Some("0")) => LinkState::NoCarrier,
        _ => LinkState::Unclear,
    }
}

/// IFF_UP of linux/if.h.
const IFF_UP: u32 = 1;

/// Virtual devices say -1, or refuse: they have no speed.
fn parse_speed(text: &str) -> Result<u32, Why> {
    text.parse().map_err(|_| Why::new(WhyKind::NotApplicable, "/sys/class/net/*/speed"))
}

fn parse_duplex(text: &str) -> Result<Name, Why> {
    match text {
        "full" | "half" => Ok(Name::truncating(text)),
        _ => Err(Why::new(WhyKind::NotApplicable, "/sys/class/net/*/duplex")),
    }
}

fn counted((name, counters): (String, Counters)) -> Interface<Raw> {
    let unknown = || Why::new(WhyKind::NotOffered, NET);
    Interface {
        name: Private::new(name),
        kind: InterfaceKind::Unclear,
        link: LinkState::Unclear,
        speed_mbps: Fact::Unknown(unknown()),
        duplex: Fact::Unknown(unknown()),
        mtu_bytes: Fact::Unknown(unknown()),
        counters: Fact::Known(counters),
        rates: Fact::Unknown(unknown()),
        addresses: Fact::Unknown(unknown()),
        below: BoundedVec::new(),
        signal: Fact::Unknown(unknown()),
    }
}

/// Understands `/proc/net/dev` (proc_pid_net(5)).
pub fn parse_net_dev(text: &str) -> BTreeMap<String, Counters> {
    let line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
        let [rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, _, tx_bytes, tx_packets, tx_errors, tx_dropped, ..] =
            numbers[..]
        else {
            return None;
        };
        let counters =
            Counters { rx_packets, rx_errors, rx_dropped, tx_packets, tx_errors, tx_dropped, rx_bytes, tx_bytes };
        Some((name.trim().to_owned(), counters))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn an_interface_is_read_with_its_losses() {
        let statistics =
            ["rx_packets", "rx_errors", "rx_dropped", "tx_packets", "tx_errors", "tx_dropped", "rx_bytes", "tx_bytes"];
        let files: Vec<_> = statistics.iter().map(|name| format!("sys/class/net/eth0/statistics/{name}")).collect();
        let mut all: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), "7\n")).collect();
        all.extend([
            ("sys/class/net/eth0/flags", "0x1003\n"),
            ("sys/class/net/eth0/carrier", "0\n"),
            ("sys/class/net/eth0/speed", "-1\n"),
            ("sys/class/net/eth0/duplex", "half\n"),
            ("sys/class/net/eth0/device/x", ""),
            ("sys/class/net/wg0/flags", "0x91\n"),
            ("sys/class/net/wg0/type", "65534\n"),
            ("sys/class/net/bonding_masters", "bond0\n"),
            ("sys/class/net/lo/flags", "0x9\n"),
        ]);
        let (_dir, root) = tree(&all);
        let interfaces = look(&root).unwrap();
        assert_eq!(interfaces.len(), 2);
        assert_eq!((interfaces[0].kind, interfaces[0].link), (InterfaceKind::Wired, LinkState::NoCarrier));
        assert_eq!(interfaces[0].counters.known().unwrap().tx_dropped, 7);
        assert_eq!(interfaces[0].speed_mbps.why().unwrap().kind, WhyKind::NotApplicable);
        assert_eq!(interfaces[0].duplex.known().unwrap().as_str(), "half");
        assert_eq!((interfaces[1].kind, interfaces[1].link), (InterfaceKind::Tunnel, LinkState::Unclear));
        assert_eq!(interfaces[1].counters.why().unwrap().kind, WhyKind::NotOffered);
    }

    #[test]
    fn counters_alone_still_make_an_interface() {
        let text = "Inter-| Receive |\n face |bytes\n  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";
        let (_dir, root) = tree(&[("proc/net/dev", text)]);
        let interfaces = look(&root).unwrap();
        assert_eq!(interfaces.len(), 1);
        let counters = interfaces[0].counters.known().unwrap();
        assert_eq!((counters.rx_errors, counters.tx_dropped, interfaces[0].link), (3, 8, LinkState::Unclear));
    }

    #[test]
    fn the_signal_of_a_radio_is_read_where_it_is_in_dbm() {
        let text = "Inter-| sta-|   Quality        |\n face | tus | link level noise |\n\
             wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0\n\
             wlan1: 0010    9     8.    7.        6      5      4      3      2        1\n";
        let signals = parse_wireless(text);
        assert_eq!(signals.len(), 1);
        assert_eq!(signals["wlan0"], WifiSignal { signal_dbm: -56, quality: 54 });
        assert_eq!(signal(InterfaceKind::Wired, None).unwrap_err().kind, WhyKind::NotApplicable);
        assert_eq!(signal(InterfaceKind::Wireless, None).unwrap_err().kind, WhyKind::NotOffered);
    }

    #[test]
    fn a_link_that_is_off_is_not_a_link_that_is_broken() {
        for (flags, carrier, link) in [
            (Some("0x1002"), None, LinkState::Down),
            (Some("0x1003"), Some("1"), LinkState::Up),
            (Some("0x1003"), Some("0"), LinkState::NoCarrier),
            (Some("0x1003"), None, LinkState::Unclear),
            (None, Some("1"), LinkState::Up),
            (Some("x"), Some("x"), LinkState::Unclear),
        ] {
            assert_eq!(parse_link(flags, carrier), link, "{flags:?} {carrier:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_net_dev(&text);
            parse_wireless(&text);
        }
    }
}
