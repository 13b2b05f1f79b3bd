//! What an NVMe disk says of its own health.

use belay_protocol::BoundedVec;
use belay_protocol::report::{Fact, Health, HealthWarning, Verdict, Why, WhyKind};

use super::Root;

/// The health of the disk with this kernel name, such as `nvme0n1`. Needs root, and asks the running machine.
pub fn look(root: &Root, name: &str) -> Result<Health, Why> {
    root.live_only(SOURCE)?;
    let controller = controller(name).ok_or_else(|| Why::new(WhyKind::NotApplicable, SOURCE))?;
    let device = root.open(&format!("/dev/{controller}"), SOURCE)?;
    Ok(parse_health(&read_log(&device)?))
}

const SOURCE: &str = "nvme";

/// The controller of a namespace: `nvme0` of `nvme0n1`.
fn controller(name: &str) -> Option<&str> {
    let number = name.strip_prefix("nvme")?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    (digits > 0).then(|| &name[.."nvme".len() + digits])
}

/// Bytes of the SMART / Health Information log page.
pub const LOG_BYTES: usize = 512;

/// Understands the SMART / Health Information log page (NVM Express Base Specification 2.0, figure 207).
pub fn parse_health(log: &[u8; LOG_BYTES]) -> Health {
    let [warning, kelvin_low, kelvin_high, spare, threshold, wear, ..] = *log;
    let warnings = HealthWarning::ALL.into_iter().enumerate().filter(|(bit, _)| warning & (1 << bit) != 0);
    let kelvin = u16::from_le_bytes([kelvin_low, kelvin_high]);
    // Figures of 16 bytes each, of which nobody has seen the upper half in use.
    let figure = |at: usize| {
        let bytes = log.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        Fact::from(bytes.map(u64::from_le_bytes).ok_or_else(|| Why::new(WhyKind::Malformed, SOURCE)))
    };
    Health {
        verdict: if warning == 0 { Verdict::Passed } else { Verdict::Failing },
        warnings: BoundedVec::truncating(warnings.map(|(_, warning)| warning)).0,
        wear_percent: Fact::Known(wear),
        spare_percent: Fact::Known(spare),
        spare_threshold_percent: Fact::Known(threshold),
        media_errors: figure(MEDIA_ERRORS),
        reallocated_sectors: Fact::Unknown(Why::new(WhyKind::NotApplicable, SOURCE)),
        temperature_celsius: match i16::try_from(kelvin) {
            // Zero kelvin is what disks without a sensor report.
            Ok(kelvin) if kelvin > 0 => Fact::Known(kelvin - ZERO_CELSIUS_KELVIN),
            _ => Fact::Unknown(Why::new(WhyKind::NotOffered, SOURCE)),
        },
        power_on_hours: figure(POWER_ON_HOURS),
    }
}

const POWER_ON_HOURS: usize = 128;
const MEDIA_ERRORS: usize = 160;
const ZERO_CELSIUS_KELVIN: i16 = 273;

#[cfg(target_os = "linux")]
fn read_log(device: &std::fs::File) -> Result<[u8; LOG_BYTES], Why> {
    linux::health_log(device).map_err(|e| super::why(&e, SOURCE))
}

#[cfg(not(target_os = "linux"))]
fn read_log(_: &std::fs::File) -> Result<[u8; LOG_BYTES], Why> {
    Err(Why::new(WhyKind::NotSupported, SOURCE))
}

#[cfg(target_os = "linux")]
mod linux {
    #![allow(unsafe_code)]

    use std::fs::File;
    use std::io;

    use rustix::ioctl::{Updater, ioctl, opcode};

    use super::LOG_BYTES;

    /// `struct nvme_passthru_cmd` of linux/nvme_ioctl.h.
    #[repr(C)]
    #[derive(Default)]
    struct AdminCommand {
        opcode: u8,
        flags: u8,
        reserved: u16,
        namespace: u32,
        command_dwords_2_3: [u32; 2],
        metadata: u64,
        address: u64,
        metadata_bytes: u32,
        data_bytes: u32,
        command_dwords_10_15: [u32; 6],
        timeout_ms: u32,
        result: u32,
    }

    /// `NVME_IOCTL_ADMIN_CMD`.
    const ADMIN_COMMAND: rustix::ioctl::Opcode = opcode::read_write::<AdminCommand>(b'N', 0x41);

    /// Opcode and log identifier of the NVM Express Base Specification, and the namespace that means the whole disk.
    const GET_LOG_PAGE: u8 = 0x02;
    const HEALTH: u32 = 0x02;
    const WHOLE_DISK: u32 = 0xffff_ffff;

    /// A disk that needs longer is as good as hung.
    const TIMEOUT_MS: u32 = 1_000;

    /// The health log of the disk behind `controller`; changes nothing on it.
    pub(super) fn health_log(controller: &File) -> io::Result<[u8; LOG_BYTES]> {
        let mut log = [0; LOG_BYTES];
        let dwords_less_one = (LOG_BYTES / 4 - 1) as u32;
        let mut command = AdminCommand {
            opcode: GET_LOG_PAGE,
            namespace: WHOLE_DISK,
            address: log.as_mut_ptr().expose_provenance() as u64,
            data_bytes: LOG_BYTES as u32,
            command_dwords_10_15: [HEALTH | dwords_less_one << 16, 0, 0, 0, 0, 0],
            timeout_ms: TIMEOUT_MS,
            ..AdminCommand::default()
        };
        // SAFETY: the opcode is that of linux/nvme_ioctl.h for this very struct, whose layout it has.
        let request = unsafe { Updater::<ADMIN_COMMAND, _>::new(&mut command) };
        // SAFETY: the kernel writes at most `data_bytes` to `address`, where `log` is alive and has as many, and keeps
        // neither pointer beyond the call. A device that is no NVMe controller refuses the opcode.
        unsafe { ioctl(controller, request) }?;
        Ok(log)
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn the_command_has_the_size_that_the_kernel_expects() {
            assert_eq!(size_of::<super::AdminCommand>(), 72);
        }

        #[test]
        fn a_device_that_is_no_controller_refuses() {
            let null = std::fs::File::open("/dev/null").unwrap();
            assert!(super::health_log(&null).is_err());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_page_is_read_at_its_offsets() {
        let mut log = [0; LOG_BYTES];
        log[..6].copy_from_slice(&[0b0000_0101, 0x3d, 0x01, 9, 10, 104]);
        log[128..136].copy_from_slice(&8_760u64.to_le_bytes());
        log[160..168].copy_from_slice(&7u64.to_le_bytes());
        let health = parse_health(&log);
        assert_eq!(health.verdict, Verdict::Failing);
        assert_eq!(&*health.warnings, [HealthWarning::SpareLow, HealthWarning::Unreliable]);
        assert_eq!((health.wear_percent, health.spare_percent), (Fact::Known(104), Fact::Known(9)));
        assert_eq!((health.media_errors, health.power_on_hours), (Fact::Known(7), Fact::Known(8_760)));
        assert_eq!(health.temperature_celsius, Fact::Known(44));
        let empty = parse_health(&[0; LOG_BYTES]);
        assert_eq!((empty.verdict, empty.temperature_celsius.why().is_some()), (Verdict::Passed, true));
    }

    #[test]
    fn a_namespace_has_a_controller() {
        for (name, expected) in
            [("nvme0n1", Some("nvme0")), ("nvme12c3n1", Some("nvme12")), ("nvme", None), ("sda", None)]
        {
            assert_eq!(controller(name), expected, "{name}");
        }
    }

    #[test]
    fn a_captured_tree_has_no_disk_to_ask() {
        let (_dir, root) = crate::probe::tests::tree(&[]);
        assert_eq!(look(&root, "nvme0n1").unwrap_err().kind, WhyKind::NotApplicable);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, LOG_BYTES), name in ".*") {
            parse_health(bytes.as_slice().try_into().unwrap());
            controller(&name);
        }
    }
}
