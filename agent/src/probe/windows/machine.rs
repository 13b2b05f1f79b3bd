//! The edition, the processors' time, the battery, and whether a restart is due.

use std::time::Duration;

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Battery, CpuUse, Fact, Firewall, Flow, Os, Restart, RestartReason, Why, WhyKind};

/// The version that RtlGetVersion tells: it cannot be fooled by compatibility settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// 10 since 2015.
    pub major: u32,
    /// Below it.
    pub minor: u32,
    /// The number of the build, which grows with every release.
    pub build: u32,
}

/// Names the edition. `product` and `release` are the registry's `ProductName` and `DisplayVersion`; the former still says
/// Windows 10 on Windows 11.
pub fn parse_os(version: Version, product: Option<&str>, release: Option<&str>) -> Os {
    let mut name = product.filter(|product| !product.is_empty()).unwrap_or("Windows").to_owned();
    if version.build >= FIRST_BUILD_OF_11 && name.starts_with("Windows 10") {
        name = name.replacen("Windows 10", "Windows 11", 1);
    }
    if let Some(release) = release.filter(|release| !release.is_empty()) {
        name = format!("{name} {release}");
    }
    let Version { major, minor, build } = version;
    Os {
        name: Name::truncating(name),
        id: Name::truncating("windows"),
        version: Name::truncating(format!("{major}.{minor}.{build}")),
    }
}

/// Windows 11 release information (Microsoft).
const FIRST_BUILD_OF_11: u32 = 22_000;

/// What GetSystemTimes counts, in tenths of a microsecond of all processors together; the kernel's time has idle in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Nothing to do.
    pub idle: u64,
    /// In the kernel or idle.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// The difference of two samples; nothing when no time passed or the counters ran backwards.
pub fn between(before: Times, after: Times, elapsed: Duration) -> Option<CpuUse> {
    let idle = after.idle.checked_sub(before.idle)?;
    let all = after.kernel.checked_sub(before.kernel)?.checked_add(after.user.checked_sub(before.user)?)?;
    let not_counted = || Fact::Unknown(Why::new(WhyKind::NotApplicable, "GetSystemTimes"));
    (all > 0).then(|| CpuUse {
        busy_percent: (all.saturating_sub(idle) as f64 * 100.0 / all as f64).clamp(0.0, 100.0),
        iowait_percent: not_counted(),
        steal_percent: not_counted(),
        sampled_ms: u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX),
    })
}

/// SYSTEM_POWER_STATUS as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// 0 on batteries, 1 on the mains, 255 unknown.
    pub line: u8,
    /// Bits, or 255 for unknown.
    pub flags: u8,
    /// 0 to 100, or 255 for unknown.
    pub percent: u8,
}

/// All batteries as one, as Windows tells them; empty when there is none.
pub fn parse_battery(power: Power) -> Result<BoundedVec<Battery, 8>, Why> {
    const NO_BATTERY: u8 = 128;
    const CHARGING: u8 = 8;
    const UNKNOWN: u8 = 255;
    let why = |kind| Why::new(kind, "GetSystemPowerStatus");
    if power.flags == UNKNOWN {
        return Err(why(WhyKind::NotOffered));
    }
    if power.flags & NO_BATTERY != 0 {
        return Ok(BoundedVec::new());
    }
    let charge = if power.percent == UNKNOWN { Err(why(WhyKind::NotOffered)) } else { Ok(power.percent.min(100)) };
    let flow = match (power.flags & CHARGING != 0, power.line) {
        (true, _) => Flow::Charging,
        (false, 0) => Flow::Discharging,
        (false, _) => Flow::Resting,
    };
    let battery = Battery {
        name: Name::truncating("battery"),
        charge_percent: charge.into(),
        health_percent: Fact::Unknown(why(WhyKind::NotSupported)),
        flow,
        cycles: Fact::Unknown(why(WhyKind::NotSupported)),
    };
    Ok(BoundedVec::truncating([battery]).0)
}

/// Whether a restart is due, from the presence of the keys that say so.
pub fn restart(is_asked: bool) -> Restart {
    let reasons = is_asked.then_some(RestartReason::Asked);
    Restart {
        reasons: BoundedVec::truncating(reasons).0,
        newest_kernel: Fact::Unknown(Why::new(WhyKind::NotApplicable, "registry")),
        packages: BoundedVec::new(),
    }
}

/// The keys whose presence asks for a restart: of the component store, which cannot be read by everybody, and of the
/// update service. Files that are only to be renamed then are left aside: installers leave them by the dozen.
pub const RESTART_KEYS: [&str; 2] = [
    "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending",
    "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update\\RebootRequired",
];

/// Where Windows keeps the profiles of its own firewall.
pub const FIREWALL_KEY: &str = "SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy";

/// The profiles of Windows's own firewall, and how each is signed for here when it is on.
pub const FIREWALL_PROFILES: [(&str, &str); 3] = [
    ("DomainProfile", "windows-firewall (domain)"),
    ("StandardProfile", "windows-firewall (private)"),
    ("PublicProfile", "windows-firewall (public)"),
];

/// The profiles that are on; `is_on` has an answer for each of [`FIREWALL_PROFILES`].
pub fn firewall(is_on: [bool; 3]) -> Firewall {
    let signs = FIREWALL_PROFILES.iter().zip(is_on).filter(|(_, on)| *on).map(|((_, sign), _)| Name::truncating(*sign));
    Firewall { signs: BoundedVec::truncating(signs).0 }
}

/// The last step of a path of either kind: the name of a person in the path of a profile.
pub fn last_step(path: &str) -> Option<&str> {
    path.rsplit(['\\', '/']).find(|step| !step.is_empty())
}

/// The error of Win32 in an HRESULT, where there is one in it.
pub fn win32_error(hresult: i32) -> Option<i32> {
    const FACILITY_WIN32: u32 = 0x8007;
    let bits = hresult.cast_unsigned();
    (bits >> 16 == FACILITY_WIN32).then_some((bits & 0xffff).cast_signed())
}

/// Whether the SID of a profile is a person's: of this machine or a domain, or of Entra ID.
pub fn is_person(sid: &str) -> bool {
    sid.starts_with("S-1-5-21-") || sid.starts_with("S-1-12-1-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_11_is_told_from_windows_10_by_its_build() {
        let name = |build, product, release| {
            parse_os(Version { major: 10, minor: 0, build }, product, release).name.to_string()
        };
        assert_eq!(name(22_631, Some("Windows 10 Pro"), Some("23H2")), "Windows 11 Pro 23H2");
        assert_eq!(name(19_045, Some("Windows 10 Pro"), None), "Windows 10 Pro");
        assert_eq!(name(26_100, Some("Windows Server 2025 Standard"), None), "Windows Server 2025 Standard");
        assert_eq!(name(1, None, Some("")), "Windows");
        assert_eq!(parse_os(Version::default(), None, None).version.as_str(), "0.0.0");
    }

    #[test]
    fn use_is_the_difference_of_two_samples() {
        let before = Times { idle: 100, kernel: 200, user: 50 };
        let used = between(before, Times { idle: 160, kernel: 280, user: 70 }, Duration::from_millis(200)).unwrap();
        assert_eq!((used.busy_percent, used.sampled_ms), (40.0, 200));
        assert_eq!(used.iowait_percent.why().unwrap().kind, WhyKind::NotApplicable);
        assert_eq!(between(before, before, Duration::ZERO), None);
        assert_eq!(between(before, Times::default(), Duration::ZERO), None);
    }

    #[test]
    fn no_battery_is_known_and_an_unknown_one_is_not() {
        let read = |line, flags, percent| parse_battery(Power { line, flags, percent });
        assert_eq!(read(1, 128, 255).unwrap().len(), 0);
        assert_eq!(read(1, 255, 255).unwrap_err().kind, WhyKind::NotOffered);
        let battery = &read(0, 2, 17).unwrap()[0];
        assert_eq!((battery.charge_percent.known(), battery.flow), (Some(&17), Flow::Discharging));
        let battery = &read(1, 9, 255).unwrap()[0];
        assert_eq!((battery.charge_percent.known(), battery.flow), (None, Flow::Charging));
    }

    #[test]
    fn an_error_is_read_from_its_wrapping() {
        assert_eq!(win32_error(0x8007_0002_u32.cast_signed()), Some(2));
        assert_eq!(win32_error(0x8004_0154_u32.cast_signed()), None);
    }

    #[test]
    fn people_are_told_from_services() {
        assert!(is_person("S-1-5-21-1-2-3-1001") && !is_person("S-1-5-18"));
        assert_eq!(last_step("C:\\Users\\Alice Liddell\\"), Some("Alice Liddell"));
        assert_eq!(last_step("\\"), None);
    }

    #[test]
    fn only_profiles_that_are_on_are_signs() {
        assert_eq!(firewall([false; 3]).signs.len(), 0);
        assert_eq!(firewall([true, false, true]).signs[1].as_str(), "windows-firewall (public)");
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*", numbers: [u64; 6], power: [u8; 3], build: u32) {
            parse_os(Version { major: build, minor: build, build }, Some(&text), Some(&text));
            let [idle, kernel, user, idle2, kernel2, user2] = numbers;
            let _ = between(
                Times { idle, kernel, user },
                Times { idle: idle2, kernel: kernel2, user: user2 },
                Duration::ZERO,
            );
            let _ = parse_battery(Power { line: power[0], flags: power[1], percent: power[2] });
            last_step(&text);
            is_person(&text);
        }
    }
}
