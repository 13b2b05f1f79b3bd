//! Kernel modules, the kernel's taint, and devices that nobody drives.

use serde::{Deserialize, Serialize};

use super::{Fact, Stage, Why, Wire};
use crate::bounded::{BoundedVec, Name};
use crate::lang::Phrase;
use crate::limits;

mod pnp;

pub use pnp::{PNP_PROBLEMS, Pnp, PnpDevice, PnpProblem};

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
    /// Firmware that drivers asked for since the kernel's log begins and did not get, each file once.
    pub missing_firmware: Fact<BoundedVec<S::Words, 64>>,
    /// Modules that DKMS builds on this machine; not applicable without DKMS.
    pub dkms: Fact<BoundedVec<DkmsModule, 64>>,
    /// What draws on the screens.
    pub graphics: Fact<BoundedVec<Graphics, 16>>,
    /// PCI Express devices that say how their link came up, by address.
    pub pcie: Fact<BoundedVec<PcieDevice, 512>>,
    /// Ports and speeds of USB.
    pub usb_ports: Fact<UsbPorts<S>>,
    /// What the device manager of Windows says; not applicable elsewhere.
    pub pnp: Fact<Pnp<S>>,
}

impl<S: Stage> Drivers<S> {
    /// Nothing known, for one reason.
    pub fn unknown(why: &Why) -> Self {
        Self {
            modules: Fact::Unknown(why.clone()),
            taint: Fact::Unknown(why.clone()),
            pci: Fact::Unknown(why.clone()),
            usb: Fact::Unknown(why.clone()),
            missing_firmware: Fact::Unknown(why.clone()),
            dkms: Fact::Unknown(why.clone()),
            graphics: Fact::Unknown(why.clone()),
            pcie: Fact::Unknown(why.clone()),
            usb_ports: Fact::Unknown(why.clone()),
            pnp: Fact::Unknown(why.clone()),
        }
    }
}

/// A loaded kernel module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: Name,
    /// Memory it takes.
    pub size_bytes: u64,
    /// Letters of the taint it brought, such as `OE`: P proprietary, O built outside the kernel, E without a valid
    /// signature. Empty for most. A kernel that checks no signatures gives no E.
    pub taint: Name,
    /// The version that it says it has; most modules of the kernel itself have none.
    pub version: Option<Name>,
    /// A checksum of its source, which tells two builds of one version apart.
    pub source_version: Option<Name>,
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
            let flag = TAINT_FLAGS.get(bit as usize);
            Name::truncating(flag.map_or_else(|| format!("bit_{bit}"), |(name, _)| (*name).to_owned()))
        });
        Self { bits, flags: BoundedVec::truncating(named).0 }
    }

    /// What a flag means, for people; nothing for a bit that has no name.
    pub fn phrase(flag: &str) -> Option<Phrase> {
        TAINT_FLAGS.iter().find(|(name, _)| *name == flag).map(|(_, phrase)| *phrase)
    }
}

/// Names and meanings of the kernel's taint bits from bit 0 (Documentation/admin-guide/tainted-kernels.rst).
pub const TAINT_FLAGS: [(&str, Phrase); 20] = [
    ("proprietary_module", Phrase { en: "a proprietary module was loaded", zh: "加载过专有模块" }),
    ("forced_module", Phrase { en: "a module was loaded by force", zh: "强制加载过模块" }),
    ("cpu_out_of_spec", Phrase { en: "the processor runs outside its specification", zh: "处理器超出规格运行" }),
    ("forced_rmmod", Phrase { en: "a module was removed by force", zh: "强制卸载过模块" }),
    ("machine_check", Phrase { en: "the processor reported a hardware error", zh: "处理器报告过硬件错误" }),
    ("bad_page", Phrase { en: "a page of memory was found damaged", zh: "发现过损坏的内存页" }),
    ("user_request", Phrase { en: "a program set the mark itself", zh: "由程序自行设置的标记" }),
    ("oops", Phrase { en: "the kernel crashed in part", zh: "内核发生过局部崩溃" }),
    ("acpi_table_overridden", Phrase { en: "a table of the firmware was replaced", zh: "固件的 ACPI 表被替换" }),
    ("warning", Phrase { en: "the kernel warned about itself", zh: "内核发出过自身警告" }),
    ("staging_driver", Phrase { en: "an unfinished driver was loaded", zh: "加载过未完成的驱动" }),
    ("firmware_workaround", Phrase { en: "a fault of the firmware was worked around", zh: "绕过了固件缺陷" }),
    ("out_of_tree_module", Phrase { en: "a module from outside the kernel was loaded", zh: "加载过内核之外的模块" }),
    ("unsigned_module", Phrase { en: "a module without a valid signature was loaded", zh: "加载过没有有效签名的模块" }),
    ("soft_lockup", Phrase { en: "a processor was stuck for a long time", zh: "处理器曾长时间卡死" }),
    ("live_patch", Phrase { en: "the running kernel was patched", zh: "运行中的内核打过补丁" }),
    ("auxiliary", Phrase { en: "the distribution set its own mark", zh: "发行版自定义的标记" }),
    ("randstruct", Phrase { en: "the kernel was built with a random layout", zh: "内核以随机布局编译" }),
    ("test", Phrase { en: "a test of the kernel was run", zh: "运行过内核测试" }),
    ("fwctl", Phrase { en: "a device's firmware was changed from a program", zh: "程序更改过设备固件" }),
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

/// A module that DKMS builds on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkmsModule {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Name,
    /// Whether it is built for the kernel that runs.
    pub is_built_for_running: bool,
    /// Kernels that it is built for.
    pub kernels: u32,
}

/// One graphics card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graphics {
    /// The kernel's name for it, such as `card0`.
    pub card: Name,
    /// Its driver, such as `i915`, `nouveau` or `simple-framebuffer`; none when it has none.
    pub driver: Option<Name>,
    /// The driver's version, where it says one.
    pub driver_version: Option<Name>,
    /// The maker on PCI.
    pub vendor_id: Option<u16>,
    /// The maker's number for the product.
    pub product_id: Option<u16>,
}

/// A PCI Express device, its link and its errors since it started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PcieDevice {
    /// Its place on the bus.
    pub address: Name,
    /// The class in a word, such as `network`.
    pub class: Name,
    /// Transfers per second and lane that the link came up with, in 10^9. Cards that save power lower it while idle.
    pub speed_gts: f64,
    /// The fastest that both ends could do.
    pub best_speed_gts: f64,
    /// Lanes in use.
    pub lanes: u32,
    /// The most that both ends could use.
    pub best_lanes: u32,
    /// Errors; unknown where the device does not count them (Advanced Error Reporting).
    pub errors: Fact<PcieErrors>,
}

/// What a device's Advanced Error Reporting counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcieErrors {
    /// Put right by sending again.
    pub correctable: u64,
    /// A transfer was lost.
    pub non_fatal: u64,
    /// The link itself failed.
    pub fatal: u64,
}

/// Ports and speeds of USB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct UsbPorts<S: Stage> {
    /// Ports that count how often they drew too much current; older kernels do not.
    pub counting_ports: u32,
    /// Those that did.
    pub over_current: BoundedVec<OverCurrent, 64>,
    /// Devices that could be faster than their port or cable lets them.
    pub slow: BoundedVec<SlowUsb<S>, 64>,
}

/// A USB port that had to switch itself off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverCurrent {
    /// The port, such as `usb1-port2`.
    pub port: Name,
    /// How often since the system started.
    pub times: u32,
}

/// A USB device that is slower than it could be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Wire")]
pub struct SlowUsb<S: Stage> {
    /// Its place on the bus.
    pub address: Name,
    /// The speed it came up with.
    pub speed_mbps: u32,
    /// The slowest that its version of USB is for.
    pub expected_mbps: u32,
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
        let name = |text: &str| Name::truncating(text);
        let dkms = DkmsModule { name: name("zfs"), version: name("2.2"), is_built_for_running: true, kernels: 2 };
        let graphics = Graphics {
            card: name("card0"),
            driver: Some(name("i915")),
            driver_version: None,
            vendor_id: Some(0x8086),
            product_id: Some(1),
        };
        let pcie = PcieDevice {
            address: name("0000:01:00.0"),
            class: name("storage"),
            speed_gts: 8.0,
            best_speed_gts: 8.0,
            lanes: 4,
            best_lanes: 4,
            errors: Fact::Known(PcieErrors { correctable: 0, non_fatal: 0, fatal: 0 }),
        };
        let ports = UsbPorts {
            counting_ports: 4,
            over_current: vec![OverCurrent { port: name("usb1-port2"), times: 0 }].try_into().unwrap(),
            slow: vec![SlowUsb {
                address: name("1-3"),
                speed_mbps: 480,
                expected_mbps: 5_000,
                name: Some(Masked::redacted("disk")),
            }]
            .try_into()
            .unwrap(),
        };
        Drivers {
            modules: Fact::Known(
                vec![Module {
                    name: Name::truncating("ext4"),
                    size_bytes: 4096,
                    taint: Name::default(),
                    version: Some(Name::truncating("1.0")),
                    source_version: None,
                }]
                .try_into()
                .unwrap(),
            ),
            taint: Fact::Known(Taint::from_bits(1 << 12)),
            pci: Fact::Unknown(Why::new(WhyKind::NotOffered, "/sys/bus/pci/devices")),
            usb: Fact::Known(Bus { device_count: 3, without_driver: vec![device].try_into().unwrap() }),
            missing_firmware: Fact::Known(vec![Masked::redacted("iwlwifi-1.ucode")].try_into().unwrap()),
            dkms: Fact::Known(vec![dkms].try_into().unwrap()),
            graphics: Fact::Known(vec![graphics].try_into().unwrap()),
            pcie: Fact::Known(vec![pcie].try_into().unwrap()),
            usb_ports: Fact::Known(ports),
            pnp: Fact::Unknown(Why::new(WhyKind::NotApplicable, "pnp")),
        }
    }

    #[test]
    fn taint_bits_have_names() {
        let taint = Taint::from_bits(1 << 7 | 1 << 4 | 1 << 63);
        let names: Vec<_> = taint.flags.iter().map(Name::as_str).collect();
        assert_eq!(names, ["machine_check", "oops", "bit_63"]);
        assert_eq!(Taint::from_bits(0).flags.len(), 0);
        assert_eq!(Taint::from_bits(u64::MAX).flags.len(), 64);
        assert_eq!(Taint::phrase("oops").unwrap().en, "the kernel crashed in part");
        assert_eq!(Taint::phrase("bit_63"), None);
    }
}
