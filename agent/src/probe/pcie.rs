//! Links of PCI Express devices: how they came up, what they could do, and their errors.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{PcieDevice, PcieErrors, Why, WhyKind};

use super::Root;
use super::devices::{PCI, parse_hex, pci_class};

/// Devices that say how their link came up. Virtual machines as a rule have none.
pub fn look(root: &Root) -> Result<BoundedVec<PcieDevice, 512>, Why> {
    let addresses = root.list(PCI, PCI)?;
    Ok(BoundedVec::truncating(addresses.iter().filter_map(|address| device(root, address))).0)
}

fn device(root: &Root, address: &str) -> Option<PcieDevice> {
    let own = format!("{PCI}/{address}");
    let text = |path: String| root.read_for(&path, PCI).ok();
    let speed = |path: String| parse_speed(&text(path)?);
    let lanes = |path: String| parse_lanes(&text(path)?);
    // Behind the link of a device stands the port that it is plugged into: the slower of the two is the best there is.
    let (best_speed, best_lanes) = (speed(format!("{own}/max_link_speed"))?, lanes(format!("{own}/max_link_width"))?);
    let port_speed = speed(format!("{own}/../max_link_speed")).unwrap_or(best_speed);
    let port_lanes = lanes(format!("{own}/../max_link_width")).unwrap_or(best_lanes);
    let count = |kind: &str| text(format!("{own}/aer_dev_{kind}")).and_then(|text| parse_errors(&text));
    let errors = match (count("correctable"), count("nonfatal"), count("fatal")) {
        (Some(correctable), Some(non_fatal), Some(fatal)) => Ok(PcieErrors { correctable, non_fatal, fatal }),
        // Devices without Advanced Error Reporting have nothing to count with.
        _ => Err(Why::new(WhyKind::NotApplicable, "aer_dev_correctable")),
    };
    Some(PcieDevice {
        address: Name::truncating(address),
        class: Name::truncating(pci_class(parse_hex(&text(format!("{own}/class"))?)?)),
        speed_gts: speed(format!("{own}/current_link_speed"))?,
        best_speed_gts: best_speed.min(port_speed),
        lanes: lanes(format!("{own}/current_link_width"))?,
        best_lanes: best_lanes.min(port_lanes),
        errors: errors.into(),
    })
}

/// Understands `8.0 GT/s PCIe`; a link that is down says `Unknown`.
pub fn parse_speed(text: &str) -> Option<f64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let speed: f64 = number.parse().ok()?;
    (unit.starts_with("GT/s") && speed.is_finite() && speed > 0.0).then_some(speed)
}

/// A number of lanes. A port with nothing in it has none, and says 255 for the most when it does not know.
pub fn parse_lanes(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|lanes| (1..=MAX_LANES).contains(lanes))
}

/// PCI Express Base Specification, section 7.5.3.6.
const MAX_LANES: u32 = 32;

/// The sum that closes `aer_dev_*` (Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats).
pub fn parse_errors(text: &str) -> Option<u64> {
    let total = text.lines().find(|line| line.starts_with("TOTAL_ERR_"))?;
    total.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn a_link_is_read_with_its_errors_and_a_device_without_one_is_left_out() {
        let (_dir, root) = tree(&[
            ("sys/bus/pci/devices/0000:01:00.0/class", "0x010802\n"),
            ("sys/bus/pci/devices/0000:01:00.0/current_link_speed", "2.5 GT/s PCIe\n"),
            ("sys/bus/pci/devices/0000:01:00.0/max_link_speed", "16.0 GT/s PCIe\n"),
            ("sys/bus/pci/devices/0000:01:00.0/current_link_width", "1\n"),
            ("sys/bus/pci/devices/0000:01:00.0/max_link_width", "4\n"),
            ("sys/bus/pci/devices/0000:01:00.0/aer_dev_correctable", "RxErr 3\nBadTLP 4\nTOTAL_ERR_COR 7\n"),
            ("sys/bus/pci/devices/0000:01:00.0/aer_dev_nonfatal", "Undefined 0\nTOTAL_ERR_NONFATAL 1\n"),
            ("sys/bus/pci/devices/0000:01:00.0/aer_dev_fatal", "Undefined 0\nTOTAL_ERR_FATAL 0\n"),
            ("sys/bus/pci/devices/0000:00:1c.0/max_link_speed", "Unknown\n"),
            ("sys/bus/pci/devices/0000:00:03.0/class", "0x020000\n"),
        ]);
        let devices = look(&root).unwrap();
        assert_eq!(devices.len(), 1);
        let device = &devices[0];
        assert_eq!((device.speed_gts, device.best_speed_gts, device.lanes, device.best_lanes), (2.5, 16.0, 1, 4));
        assert_eq!(*device.errors.known().unwrap(), PcieErrors { correctable: 7, non_fatal: 1, fatal: 0 });
    }

    #[cfg(unix)]
    #[test]
    fn a_slot_with_fewer_lanes_than_its_card_is_no_fault() {
        let port = "sys/devices/pci0000:00/0000:00:01.0";
        let files = ["class", "current_link_speed", "max_link_speed", "current_link_width", "max_link_width"];
        let card = ["0x030000\n", "8.0 GT/s PCIe\n", "8.0 GT/s PCIe\n", "8\n", "16\n"];
        let card: Vec<_> = files.iter().zip(card).map(|(f, text)| (format!("{port}/0000:01:00.0/{f}"), text)).collect();
        let mut all: Vec<(&str, &str)> = card.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let (speed, width) = (format!("{port}/max_link_speed"), format!("{port}/max_link_width"));
        all.extend([(speed.as_str(), "8.0 GT/s PCIe\n"), (width.as_str(), "8\n"), ("sys/bus/pci/devices/x", "")]);
        let (dir, root) = tree(&all);
        let link = dir.path().join("sys/bus/pci/devices/0000:01:00.0");
        std::os::unix::fs::symlink("../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0", link).unwrap();
        let devices = look(&root).unwrap();
        assert_eq!((devices[0].lanes, devices[0].best_lanes), (8, 8));
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_speed(&text);
            parse_lanes(&text);
            parse_errors(&text);
        }
    }
}
