//! USB ports that drew too much current, and devices that are slower than they could be.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{OverCurrent, Private, Raw, SlowUsb, UsbPorts, Why};

use super::Root;
use super::devices::USB;

/// The ports and devices on USB.
pub fn look(root: &Root) -> Result<UsbPorts<Raw>, Why> {
    let (hubs, devices): (Vec<_>, Vec<_>) = root.list(USB, USB)?.into_iter().partition(|name| name.contains(':'));
    let mut counting_ports = 0u32;
    let mut over_current = Vec::new();
    for hub in hubs {
        let inside = root.list(&format!("{USB}/{hub}"), USB).unwrap_or_default();
        for port in inside.iter().filter(|name| name.contains("-port")) {
            let text = root.read_for(&format!("{USB}/{hub}/{port}/over_current_count"), USB);
            let Some(times) = text.ok().and_then(|text| text.trim().parse().ok()) else { continue };
            counting_ports = counting_ports.saturating_add(1);
            if times > 0 {
                over_current.push(OverCurrent { port: Name::truncating(port.as_str()), times });
            }
        }
    }
    let slow = devices.iter().filter_map(|address| slow(root, address));
    Ok(UsbPorts {
        counting_ports,
        over_current: BoundedVec::truncating(over_current).0,
        slow: BoundedVec::truncating(slow).0,
    })
}

/// The device at `address` if it speaks USB 3 and came up at a speed of USB 2.
fn slow(root: &Root, address: &str) -> Option<SlowUsb<Raw>> {
    let text = |file: &str| root.read_for(&format!("{USB}/{address}/{file}"), USB).ok();
    let speed_mbps = parse_speed(&text("speed")?)?;
    let expected_mbps = expected(parse_version(&text("version")?)?);
    (speed_mbps < expected_mbps).then(|| SlowUsb {
        address: Name::truncating(address),
        speed_mbps,
        expected_mbps,
        name: text("product").map(|name| Private::new(name.trim())),
    })
}

/// What a device of this version is at least for. Slow devices of USB 2 are as fast as they were built, so that only USB
/// 3 promises a speed.
fn expected(version: u32) -> u32 {
    if version >= 300 { SUPERSPEED_MBPS } else { 0 }
}

/// Universal Serial Bus 3.0 Specification, section 3.1.
const SUPERSPEED_MBPS: u32 = 5_000;

/// Understands ` 3.20` as 320.
pub fn parse_version(text: &str) -> Option<u32> {
    let (major, minor) = text.trim().split_once('.')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    major.checked_mul(100)?.checked_add(minor)
}

/// Understands `480`, and `1.5` of the slowest devices, in whole Mbit/s.
pub fn parse_speed(text: &str) -> Option<u32> {
    text.trim().split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn ports_that_tripped_and_devices_held_back_are_found() {
        let (_dir, root) = tree(&[
            ("sys/bus/usb/devices/1-0:1.0/usb1-port1/over_current_count", "0\n"),
            ("sys/bus/usb/devices/1-0:1.0/usb1-port2/over_current_count", "3\n"),
            ("sys/bus/usb/devices/1-0:1.0/usb1-port3/connect_type", "hotplug\n"),
            ("sys/bus/usb/devices/1-1/speed", "480\n"),
            ("sys/bus/usb/devices/1-1/version", " 3.20\n"),
            ("sys/bus/usb/devices/1-1/product", "Portable SSD\n"),
            ("sys/bus/usb/devices/1-2/speed", "1.5\n"),
            ("sys/bus/usb/devices/1-2/version", " 2.00\n"),
            ("sys/bus/usb/devices/2-1/speed", "5000\n"),
            ("sys/bus/usb/devices/2-1/version", " 3.00\n"),
        ]);
        let ports = look(&root).unwrap();
        assert_eq!((ports.counting_ports, ports.over_current.len(), ports.slow.len()), (2, 1, 1));
        assert_eq!((ports.over_current[0].port.as_str(), ports.over_current[0].times), ("usb1-port2", 3));
        assert_eq!((ports.slow[0].speed_mbps, ports.slow[0].expected_mbps), (480, 5_000));
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_version(&text);
            parse_speed(&text);
        }
    }
}
