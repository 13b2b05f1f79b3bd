//! Graphics cards and their drivers.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Graphics, Why};

use super::Root;
use super::devices::parse_hex;

/// The graphics cards of `root`. A machine without one has no such directory, and the question does not arise.
pub fn look(root: &Root) -> Result<BoundedVec<Graphics, 16>, Why> {
    let names = root.list(DRM, DRM).map_err(|why| root.absent(why, "/sys/class"))?;
    let cards = names.into_iter().filter(|name| {
        name.strip_prefix("card").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    });
    Ok(BoundedVec::truncating(cards.map(|card| graphics(root, &card))).0)
}

const DRM: &str = "/sys/class/drm";

fn graphics(root: &Root, card: &str) -> Graphics {
    let device = format!("{DRM}/{card}/device");
    let text = |path: String| root.read_for(&path, DRM).ok();
    let id = |file: &str| u16::try_from(parse_hex(&text(format!("{device}/{file}"))?)?).ok();
    let driver = text(format!("{device}/uevent")).and_then(|text| parse_driver(&text));
    let version = match driver.as_deref() {
        Some("nvidia") => text("/proc/driver/nvidia/version".to_owned()).and_then(|text| parse_nvidia(&text)),
        Some(driver) => text(format!("/sys/module/{driver}/version")).map(|text| text.trim().to_owned()),
        None => None,
    };
    Graphics {
        card: Name::truncating(card),
        driver: driver.map(Name::truncating),
        driver_version: version.map(Name::truncating),
        vendor_id: id("vendor"),
        product_id: id("device"),
    }
}

/// The driver in a device's `uevent`, which is there without following the link to it.
pub fn parse_driver(uevent: &str) -> Option<String> {
    uevent.lines().find_map(|line| line.strip_prefix("DRIVER=")).map(str::to_owned)
}

/// The version in `/proc/driver/nvidia/version`: the first word of digits and dots behind `Kernel Module`.
pub fn parse_nvidia(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains("Kernel Module"))?;
    let (_, rest) = line.split_once("Kernel Module")?;
    let is_version = |word: &&str| word.contains('.') && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    rest.split_ascii_whitespace().find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use belay_protocol::report::WhyKind;

    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn cards_are_read_with_their_drivers_and_connectors_are_not_cards() {
        let (_dir, root) = tree(&[
            ("sys/class/drm/card0/device/uevent", "DRIVER=nvidia\nPCI_CLASS=30000\n"),
            ("sys/class/drm/card0/device/vendor", "0x10de\n"),
            ("sys/class/drm/card0/device/device", "0x2482\n"),
            ("sys/class/drm/card1/device/uevent", "PCI_CLASS=30000\n"),
            ("sys/class/drm/card0-HDMI-A-1/status", "connected\n"),
            ("sys/class/drm/renderD128/dev", "226:128\n"),
            (
                "proc/driver/nvidia/version",
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build\nGCC version: 12.2.0\n",
            ),
        ]);
        let cards = look(&root).unwrap();
        assert_eq!(cards.len(), 2);
        assert_eq!(
            (cards[0].driver.as_deref(), cards[0].driver_version.as_deref()),
            (Some("nvidia"), Some("550.54.14"))
        );
        assert_eq!((cards[0].vendor_id, cards[1].driver.as_deref()), (Some(0x10de), None));
    }

    #[test]
    fn a_server_without_graphics_is_not_asked() {
        let (_dir, root) = tree(&[("sys/class/net/lo/flags", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotApplicable);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_driver(&text);
            parse_nvidia(&text);
        }
    }
}
