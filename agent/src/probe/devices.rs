//! Devices on PCI and USB that no driver has taken.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Bus, Device, Private, Raw, Why};

use super::Root;

/// Devices on PCI.
pub fn pci(root: &Root) -> Result<Bus<Raw>, Why> {
    let devices = root.list(PCI, PCI)?;
    let undriven = devices.iter().filter(|address| !root.has(&format!("{PCI}/{address}/driver")));
    let undriven = undriven.filter_map(|address| {
        let number = |file: &str| parse_hex(&root.read_for(&format!("{PCI}/{address}/{file}"), PCI).ok()?);
        let class_code = number("class")?;
        if NEEDS_NONE.contains(&(class_code >> 8)) {
            return None;
        }
        Some(Device {
            address: Name::truncating(address.as_str()),
            class_code,
            class: Name::truncating(pci_class(class_code)),
            vendor_id: u16::try_from(number("vendor")?).ok()?,
            product_id: u16::try_from(number("device")?).ok()?,
            name: None,
        })
    });
    Ok(bus(devices.len(), undriven))
}

/// Interfaces of devices on USB: it is they, not the devices, that drivers take.
pub fn usb(root: &Root) -> Result<Bus<Raw>, Why> {
    let interfaces: Vec<_> = root.list(USB, USB)?.into_iter().filter(|name| name.contains(':')).collect();
    let undriven = interfaces.iter().filter(|address| !root.has(&format!("{USB}/{address}/driver")));
    let undriven = undriven.filter_map(|address| {
        let (device, _) = address.split_once(':')?;
        let text = |path: String| root.read_for(&format!("{USB}/{path}"), USB).ok();
        let class_code = parse_hex(&text(format!("{address}/bInterfaceClass"))?)?;
        if DRIVEN_BY_PROGRAMS.contains(&class_code) {
            return None;
        }
        let number = |file: &str| u16::try_from(parse_hex(&text(format!("{device}/{file}"))?)?).ok();
        Some(Device {
            address: Name::truncating(address.as_str()),
            class_code,
            class: Name::truncating(usb_class(class_code)),
            vendor_id: number("idVendor")?,
            product_id: number("idProduct")?,
            name: text(format!("{device}/product")).map(|name| Private::new(name.trim())),
        })
    });
    Ok(bus(interfaces.len(), undriven))
}

/// Class and subclass of what works without a driver everywhere: the processor's own end of the bus, bridges to older
/// buses, memory and timers of the chipset.
const NEEDS_NONE: [u32; 6] = [0x0600, 0x0601, 0x0604, 0x0500, 0x0580, 0x0800];

/// Classes whose functions programs drive, or nobody needs to: hubs that are switched off, smart cards, billboards that
/// only tell of a failed mode, diagnostics, firmware updates.
const DRIVEN_BY_PROGRAMS: [u32; 5] = [0x09, 0x0b, 0x11, 0xdc, 0xfe];

pub(super) const PCI: &str = "/sys/bus/pci/devices";
pub(super) const USB: &str = "/sys/bus/usb/devices";

fn bus(device_count: usize, undriven: impl Iterator<Item = Device<Raw>>) -> Bus<Raw> {
    Bus {
        device_count: u32::try_from(device_count).unwrap_or(u32::MAX),
        without_driver: BoundedVec::truncating(undriven).0,
    }
}

/// A hexadecimal number as sysfs writes it, with or without `0x`.
pub fn parse_hex(text: &str) -> Option<u32> {
    let text = text.trim();
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// The base class in a word (PCI Code and ID Assignment Specification, section 1).
pub(super) fn pci_class(class_code: u32) -> &'static str {
    match class_code >> 16 {
        0x01 => "storage",
        0x02 => "network",
        0x03 => "display",
        0x04 => "multimedia",
        0x06 => "bridge",
        0x0c => "serial_bus",
        0x0d => "wireless",
        _ => "other",
    }
}

/// The class in a word (USB Implementers Forum, Defined Class Codes).
fn usb_class(class_code: u32) -> &'static str {
    match class_code {
        0x01 => "audio",
        0x02 | 0x0a => "network",
        0x03 => "input",
        0x07 => "printer",
        0x08 => "storage",
        0x0e => "video",
        0xe0 => "wireless",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;
    use belay_protocol::report::WhyKind;

    #[test]
    fn devices_without_a_driver_are_told_from_those_with_one() {
        let (_dir, root) = tree(&[
            ("sys/bus/pci/devices/0000:00:03.0/class", "0x020000\n"),
            ("sys/bus/pci/devices/0000:00:03.0/vendor", "0x8086\n"),
            ("sys/bus/pci/devices/0000:00:03.0/device", "0x2723\n"),
            ("sys/bus/pci/devices/0000:00:04.0/driver/x", ""),
            ("sys/bus/pci/devices/0000:00:05.0/class", "?"),
            ("sys/bus/pci/devices/0000:00:00.0/class", "0x060000\n"),
            ("sys/bus/pci/devices/0000:00:00.0/vendor", "0x8086\n"),
            ("sys/bus/pci/devices/0000:00:00.0/device", "0x0d57\n"),
            ("sys/bus/usb/devices/1-2/idVendor", "046d\n"),
            ("sys/bus/usb/devices/1-2/idProduct", "0825\n"),
            ("sys/bus/usb/devices/1-2/product", "Alice's camera\n"),
            ("sys/bus/usb/devices/1-2:1.0/bInterfaceClass", "0e\n"),
            ("sys/bus/usb/devices/1-2:1.1/driver/x", ""),
            ("sys/bus/usb/devices/1-2:1.2/bInterfaceClass", "09\n"),
        ]);
        let bus = pci(&root).unwrap();
        assert_eq!((bus.device_count, bus.without_driver.len()), (4, 1));
        let device = &bus.without_driver[0];
        assert_eq!((device.class.as_str(), device.vendor_id, device.product_id), ("network", 0x8086, 0x2723));
        let bus = usb(&root).unwrap();
        assert_eq!((bus.device_count, bus.without_driver.len()), (3, 1));
        assert_eq!(bus.without_driver[0].class.as_str(), "video");
        assert_eq!(bus.without_driver[0].name.as_ref().unwrap().reveal(), "Alice's camera");
    }

    #[test]
    fn a_machine_without_the_bus_does_not_offer_it() {
        let (_dir, root) = tree(&[("proc/uptime", "")]);
        assert_eq!(pci(&root).unwrap_err().kind, WhyKind::NotOffered);
        assert_eq!(usb(&root).unwrap_err().kind, WhyKind::NotOffered);
    }
}
