//! Operating system, kernel, the machine's name and its uptime.

use belay_protocol::bounded::Name;
use belay_protocol::report::{Host, Kernel, Os, Private, Why, WhyKind};

use super::{Root, native, or_native};

/// The distribution or edition.
pub fn os(root: &Root) -> Result<Os, Why> {
    let text = root.read("/etc/os-release").or_else(|_| root.read("/usr/lib/os-release"));
    let malformed = || Why::new(WhyKind::Malformed, "/etc/os-release");
    or_native(text.and_then(|text| parse_os_release(&text).ok_or_else(malformed)), native::os)
}

/// Understands os-release(5).
pub fn parse_os_release(text: &str) -> Option<Os> {
    let value = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(Name::truncating(value.trim().trim_matches(['"', '\''])))
    };
    Some(Os {
        name: value("PRETTY_NAME").or_else(|| value("NAME"))?,
        id: value("ID").unwrap_or_else(|| Name::truncating("linux")),
        version: value("VERSION_ID").unwrap_or_default(),
    })
}

/// The kernel's release.
pub fn kernel(root: &Root) -> Result<Kernel, Why> {
    let release = or_native(root.read("/proc/sys/kernel/osrelease"), native::kernel_release)?;
    Ok(Kernel { release: Name::truncating(release.trim()), architecture: Name::truncating(std::env::consts::ARCH) })
}

/// The machine's own name.
pub fn host(root: &Root) -> Result<Private<Host>, Why> {
    let name = root.read("/proc/sys/kernel/hostname").map(|text| Private::new(text.trim()));
    or_native(name, native::host)
}

/// Seconds since the system started.
pub fn uptime_seconds(root: &Root) -> Result<u64, Why> {
    let malformed = || Why::new(WhyKind::Malformed, "/proc/uptime");
    let uptime = root.read("/proc/uptime").and_then(|text| parse_uptime(&text).ok_or_else(malformed));
    or_native(uptime, native::uptime_seconds)
}

/// Understands `/proc/uptime` (proc_uptime(5)).
pub fn parse_uptime(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_with_and_without_quotes() {
        let os =
            parse_os_release("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\nID=debian\n").unwrap();
        assert_eq!(
            (os.name.as_str(), os.id.as_str(), os.version.as_str()),
            ("Debian GNU/Linux 12 (bookworm)", "debian", "12")
        );
        assert_eq!(parse_os_release("NAME=Arch\n").unwrap().version.as_str(), "");
        assert_eq!(parse_os_release(""), None);
    }

    #[test]
    fn uptime_is_whole_seconds() {
        assert_eq!(parse_uptime("3600.99 7000.00\n"), Some(3_600));
        assert_eq!(parse_uptime(""), None);
        assert_eq!(parse_uptime("-1"), None);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_os_release(&text);
            parse_uptime(&text);
        }
    }
}
