//! Kernel modules, the kernel's taint, and devices that nobody drives.

use serde::{Deserialize, Serialize};

use super::{Fact, Stage, Wire};
use crate::bounded::{BoundedVec, Name};
use crate::limits;

/// Kernel modules and devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Drivers<S: Stage> {
    /// Loaded kernel modules, by name.
    pub modules: Fact<BoundedVec<Module, { limits::SECTION_MAX_ITEMS }>>,
    /// What the kernel remembers having suffered.
    pub taint: Fact<Taint>,
    /// Devices on PCI.
    pub pci: Fact<Bus<S>>,
    /// Devices on USB.
    pub usb: Fact<Bus<S>>,
}

/// A loaded kernel module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: Name,
    /// Memory it takes.
    pub size_bytes: u64,
    /// Letters of the taint it brought, such as `OE`; empty for most.
    pub taint: Name,
}

/// What the kernel remembers having suffered since it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// The bits of `/proc/sys/kernel/tainted`.
    pub bits: u64,
    /// The bits by name, from [`TAINT_FLAGS`]; one that is not listed there is `bit_N`.
    pub flags: BoundedVec<Name, 64>,
}

impl Taint {
    /// Names the bits.
    pub fn from_bits(bits: u64) -> Self {
        let named = (0..u64::BITS).filter(|bit| bits >> bit & 1 == 1).map(|bit| {
            let name = TAINT_FLAGS.get(bit as usize).map_or_else(|| format!("bit_{bit}"), |name| (*name).to_owned());
            Name::truncating(name)
        });
        Self { bits, flags: BoundedVec::truncating(named).0 }
    }
}

/// Names of the kernel's taint bits from bit 0 (Documentation/admin-guide/tainted-kernels.rst).
pub const TAINT_FLAGS: [&str; 20] = [
    "proprietary_module",
    "forced_module",
    "cpu_out_of_spec",
    "forced_rmmod",
    "machine_check",
    "bad_page",
    "user_request",
    "oops",
    "acpi_table_overridden",
    "warning",
    "staging_driver",
    "firmware_workaround",
    "out_of_tree_module",
    "unsigned_module",
    "soft_lockup",
    "live_patch",
    "auxiliary",
    "randstruct",
    "test",
    "fwctl",
];

/// The devices of one bus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Bus<S: Stage> {
    /// Devices (on USB: interfaces of devices) that exist.
    pub device_count: u32,
    /// Those without a driver.
    pub without_driver: BoundedVec<Device<S>, 512>,
}

/// A device without a driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct Device<S: Stage> {
    /// Its place on the bus, such as `0000:00:03.0` or `1-2:1.0`.
    pub address: Name,
    /// The bus's class code: three bytes on PCI, one on USB.
    pub class_code: u32,
    /// The class in a word, such as `network`; `other` when it has none.
    pub class: Name,
    /// The maker.
    pub vendor_id: u16,
    /// The maker's number for the product.
    pub product_id: u16,
    /// What it calls itself.
    pub name: Option<S::Words>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Masked, Shared, Why, WhyKind};

    pub(crate) fn sample() -> Drivers<Shared> {
        let device = Device {
            address: Name::truncating("1-2:1.0"),
            class_code: 0xe0,
            class: Name::truncating("wireless"),
            vendor_id: 0x8087,
            product_id: 0x0029,
            name: Some(Masked::redacted("Bluetooth")),
        };
        Drivers {
            modules: Fact::Known(
                vec![Module { name: Name::truncating("ext4"), size_bytes: 4096, taint: Name::default() }]
                    .try_into()
                    .unwrap(),
            ),
            taint: Fact::Known(Taint::from_bits(1 << 12)),
            pci: Fact::Unknown(Why::new(WhyKind::NotOffered, "/sys/bus/pci/devices")),
            usb: Fact::Known(Bus { device_count: 3, without_driver: vec![device].try_into().unwrap() }),
        }
    }

    #[test]
    fn taint_bits_have_names() {
        let taint = Taint::from_bits(1 << 7 | 1 << 4 | 1 << 63);
        let names: Vec<_> = taint.flags.iter().map(Name::as_str).collect();
        assert_eq!(names, ["machine_check", "oops", "bit_63"]);
        assert_eq!(Taint::from_bits(0).flags.len(), 0);
        assert_eq!(Taint::from_bits(u64::MAX).flags.len(), 64);
    }
}
