//! Drives: letters, the devices behind them, and what each says of itself.

use belay_protocol::bounded::Name;
use belay_protocol::report::{Access, DeviceKind, Fact, Space, Why, WhyKind};

use crate::probe::mounts::{Answer, MountLine, Told};

/// The letters of the bits that GetLogicalDrives returns, from A on.
pub fn parse_letters(bits: u32) -> Vec<char> {
    ('A'..='Z').enumerate().filter(|(place, _)| bits >> place & 1 == 1).map(|(_, letter)| letter).collect()
}

/// A drive before it was asked: `target` is the kernel's name of the device behind it, which is known without waiting for
/// any server; empty when it is not.
pub fn line(letter: char, target: String) -> MountLine {
    MountLine {
        device_kind: kind_of(&target),
        device: target,
        mount_point: format!("{letter}:\\"),
        path: format!("{letter}:\\").into(),
        fs_type: String::new(),
        options: Vec::new(),
    }
}

/// Redirectors of the kernel: SMB, the provider that stands before all of them, WebDAV, NFS, and those of hypervisors.
const REDIRECTORS: [&str; 7] = [
    "\\Device\\LanmanRedirector",
    "\\Device\\Mup",
    "\\Device\\WebDavRedirector",
    "\\Device\\NfsRdr",
    "\\Device\\RdpDr",
    "\\Device\\VBoxMiniRdr",
    "\\Device\\hgfs",
];

fn kind_of(target: &str) -> DeviceKind {
    match target {
        _ if REDIRECTORS.iter().any(|redirector| target.starts_with(redirector)) => DeviceKind::Network,
        _ if target.starts_with("\\Device\\CdRom") => DeviceKind::Image,
        _ => DeviceKind::Local,
    }
}

/// What a drive answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drive {
    /// GetDriveTypeW.
    pub kind: u32,
    /// The file system's name and flags, of GetVolumeInformationW; nothing when there is no medium in it.
    pub volume: Option<(String, u32)>,
    /// GetDiskFreeSpaceExW: all bytes, those free, those free for whoever asks.
    pub bytes: [u64; 3],
}

/// Understands what a drive answered. One without a medium has a size of 0, and is no storage.
pub fn parse(drive: &Drive) -> Answer {
    let [size, free, available] = drive.bytes;
    let space = Space::count(1, size, free, available);
    let kind = match drive.kind {
        DRIVE_REMOVABLE => Some((DeviceKind::Local, "removable")),
        DRIVE_FIXED => Some((DeviceKind::Local, "fixed")),
        DRIVE_REMOTE => Some((DeviceKind::Network, "network")),
        DRIVE_CDROM => Some((DeviceKind::Image, "cdrom")),
        DRIVE_RAMDISK => Some((DeviceKind::Memory, "ramdisk")),
        _ => None,
    };
    let flags = drive.volume.as_ref().map_or(0, |(_, flags)| *flags);
    let is_read_only = flags & FILE_READ_ONLY_VOLUME != 0;
    Answer {
        device_id: None,
        space: space.ok_or_else(|| Why::new(WhyKind::Malformed, "GetDiskFreeSpaceEx")).into(),
        inodes: Fact::Unknown(Why::new(WhyKind::NotApplicable, "GetDiskFreeSpaceEx")),
        told: Some(Told {
            device_kind: kind.map(|(kind, _)| kind),
            fs_type: Name::truncating(drive.volume.as_ref().map_or("", |(name, _)| name.as_str())),
            access: if is_read_only { Access::ReadOnly } else { Access::ReadWrite },
            options: kind.map(|(_, word)| word).into_iter().collect(),
        }),
    }
}

/// winbase.h.
const DRIVE_REMOVABLE: u32 = 2;
const DRIVE_FIXED: u32 = 3;
const DRIVE_REMOTE: u32 = 4;
const DRIVE_CDROM: u32 = 5;
const DRIVE_RAMDISK: u32 = 6;

/// winnt.h.
const FILE_READ_ONLY_VOLUME: u32 = 0x0008_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_devices_are_read() {
        assert_eq!(parse_letters(1 << 2 | 1 << 25 | 1 << 30), ['C', 'Z']);
        let kind = |target: &str| line('C', target.to_owned()).device_kind;
        assert_eq!(kind("\\Device\\HarddiskVolume3"), DeviceKind::Local);
        assert_eq!(kind("\\Device\\LanmanRedirector\\;Z:0000000000012345\\nas\\home"), DeviceKind::Network);
        assert_eq!(kind("\\Device\\CdRom0"), DeviceKind::Image);
        assert_eq!(kind(""), DeviceKind::Local);
    }

    #[test]
    fn a_drive_tells_its_space_and_kind() {
        let volume = Some(("NTFS".to_owned(), FILE_READ_ONLY_VOLUME | 0xff));
        let answer = parse(&Drive { kind: DRIVE_REMOVABLE, volume, bytes: [1_000, 400, 100] });
        let space = answer.space.known().unwrap();
        assert_eq!(
            (space.size_bytes, space.used_bytes, space.available_bytes, space.used_percent),
            (1_000, 600, 100, 86)
        );
        let told = answer.told.unwrap();
        assert_eq!((told.device_kind, told.access), (Some(DeviceKind::Local), Access::ReadOnly));
        assert_eq!((told.fs_type.as_str(), told.options.as_slice()), ("NTFS", ["removable"].as_slice()));
    }

    #[test]
    fn contradicting_figures_and_a_drive_without_a_medium_are_no_space() {
        let odd = parse(&Drive { bytes: [1, 2, 0], ..Drive::default() });
        assert_eq!(odd.space.why().unwrap().kind, WhyKind::Malformed);
        let empty = parse(&Drive { kind: DRIVE_CDROM, ..Drive::default() });
        assert_eq!(empty.space.known().unwrap().size_bytes, 0);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(bits: u32, text in ".*", kind: u32, flags: u32, bytes: [u64; 3]) {
            for letter in parse_letters(bits) {
                line(letter, text.clone());
            }
            parse(&Drive { kind, volume: Some((text, flags)), bytes });
        }
    }
}
