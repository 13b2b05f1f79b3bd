//! Names with backslashes, as Windows writes them: shares and their hosts, and people behind their domain.

use std::ops::Range;

use belay_protocol::report::PrivateKind;

use super::words::FILE_ENDINGS;
use super::{Found, What, is_everybodys_name, places};

/// The host of a share, `\\srv\share`, and whose it is. In JSON each backslash is two.
pub(super) fn share(text: &str, range: &Range<usize>, found: &mut Vec<Found>) {
    let (before, rest) = (text.get(..range.start).unwrap_or_default(), text.get(range.end..).unwrap_or_default());
    if before.ends_with(|c: char| !is_opening(c)) {
        return;
    }
    let escapes = rest.len() - rest.trim_start_matches('\\').len();
    let separator = if escapes == 2 { "\\\\" } else { "\\" };
    let Some(host) = places::host(text, range.end + escapes).filter(|_| escapes == 0 || escapes == 2) else { return };
    let share = text.get(host.range.end..).and_then(|behind| behind.strip_prefix(separator)).unwrap_or_default();
    if !share.starts_with(|c: char| c.is_alphanumeric()) {
        return;
    }
    let end = share.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '$'))).unwrap_or(share.len());
    let start = host.range.end + separator.len();
    found.extend(share.get(..end).and_then(|share| places::hidden_share(share, start)));
    found.push(host);
}

/// The name of Windows' form from before domains had dots, `CORP\jdoe`, around the backslash in `range`. Paths, parts of
/// the registry, ids of devices and escapes look alike.
pub(super) fn logon(text: &str, range: &Range<usize>, found: &mut Vec<Found>) {
    let before = text.get(..range.start).unwrap_or_default();
    let in_domain = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'-';
    let length = before.bytes().rev().take(LONGEST_DOMAIN + 1).take_while(in_domain).count();
    let Some(start) = before.len().checked_sub(length).filter(|_| (2..=LONGEST_DOMAIN).contains(&length)) else {
        return;
    };
    let domain = before.get(start..).unwrap_or_default();
    let opens = before.get(..start).is_none_or(|before| !before.ends_with(|c| !is_opening(c) && c != '/'));
    let letters = domain.bytes().filter(u8::is_ascii_uppercase).count();
    let is_other = NOT_A_DOMAIN.contains(&domain) || is_everybodys_name(domain);
    if !opens || letters < 2 || !domain.starts_with(|c: char| c.is_ascii_uppercase()) || is_other {
        return;
    }
    if let Some(name) = behind_domain(text, range.start) {
        found.push(Found { range: start..range.start, what: What::Labelled(PrivateKind::Host) });
        found.push(name);
    }
}

/// The name behind a backslash, or two, that stands at `at` behind a domain.
pub(super) fn behind_domain(text: &str, at: usize) -> Option<Found> {
    let behind = text.get(at..)?;
    let rest = behind.trim_start_matches('\\');
    let backslashes = behind.len() - rest.len();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '$');
    let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
    let name = rest.get(..end)?.trim_end_matches('.');
    let goes_on = rest.get(end..)?.starts_with(['\\', '/', '&', '*', '#', '{', '(', '%', '~']);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let is_file = FILE_ENDINGS.contains(&ending.as_str()) || PROGRAM_ENDINGS.contains(&ending.as_str());
    // `\n`, `\t`, `\x2d` and `\u00e9` in a text that was quoted.
    let is_hex = |digits: usize| name.get(1..=digits).is_some_and(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
    let is_escape = backslashes == 1
        && ((name.len() < 3 && name.starts_with(['n', 'r', 't', 'u', 'x']))
            || (name.starts_with('x') && is_hex(2))
            || (name.starts_with('u') && is_hex(4)));
    let fits = (1..=2).contains(&backslashes) && !goes_on && !is_file && !is_escape && name.len() <= LONGEST_LOGON;
    places::person(name, at + backslashes).filter(|_| fits)
}

/// Whether a name may begin behind `c`.
fn is_opening(c: char) -> bool {
    c.is_whitespace() || "\"'`(=[<,;:“「：，。（".contains(c)
}

/// Letters of a NetBIOS name, and of a user's name with some room: Windows allows 20, and 104 in directories.
const LONGEST_DOMAIN: usize = 15;
const LONGEST_LOGON: usize = 64;

/// What stands before a backslash in capitals and is no domain: parts of the registry, accounts of every machine, buses in
/// ids of devices, and what logs shout.
const NOT_A_DOMAIN: [&str; 64] = [
    "HKLM",
    "HKCU",
    "HKCR",
    "HKU",
    "HKCC",
    "SOFTWARE",
    "SYSTEM",
    "SAM",
    "SECURITY",
    "HARDWARE",
    "BCD00000000",
    "AUTHORITY",
    "BUILTIN",
    "SERVICE",
    "APPPOOL",
    "WORKGROUP",
    "WINDOWS",
    "SYSTEM32",
    "DRIVERS",
    "NTLM",
    "LOCALHOST",
    "PCI",
    "USB",
    "USBSTOR",
    "USBPRINT",
    "ACPI",
    "ACPIAPIC",
    "ROOT",
    "HID",
    "SWD",
    "HDAUDIO",
    "INTELAUDIO",
    "SCSI",
    "STORAGE",
    "BTH",
    "BTHENUM",
    "BTHLE",
    "BTHLEDEVICE",
    "BTHHFENUM",
    "DISPLAY",
    "HTREE",
    "UMB",
    "UEFI",
    "SW",
    "IDE",
    "PCIIDE",
    "MONITOR",
    "PRINTENUM",
    "WPDBUSENUM",
    "SD",
    "PCMCIA",
    "ISAPNP",
    "VMBUS",
    "XVDD",
    "ERROR",
    "WARNING",
    "WARN",
    "INFO",
    "OK",
    "FAILED",
    "DONE",
    "GET",
    "POST",
    "DEVICE",
];

/// Ends of files that Windows keeps beside each other.
const PROGRAM_ENDINGS: [&str; 16] =
    ["exe", "dll", "sys", "inf", "cat", "dat", "ini", "bat", "cmd", "tmp", "msi", "evtx", "mui", "drv", "lnk", "ps1"];

#[cfg(test)]
mod tests {
    use belay_agent::redact::{Aliases, Identity};

    fn check(text: &str, expected: &str) {
        let masked = Aliases::of(&Identity::default()).mask(text).unwrap();
        assert_eq!(masked, expected, "{text}");
    }

    #[test]
    fn people_behind_their_domain_are_replaced_with_it() {
        check(r"CORP\jdoe logged on", r"host-1\user-1 logged on");
        check(r#"{"user":"CORP\\j.doe"}"#, r#"{"user":"host-1\\user-1"}"#);
        check(r"user=corp\jdoe", r"user=host-1\user-1");
        check(r"user=bob\next line", r"user=user-1\next line");
        check(r"CORP\WS01$ (CORP\nina)", r"host-1\user-1 (host-1\user-2)");
    }

    #[test]
    fn paths_keys_of_the_registry_ids_of_devices_and_escapes_stay() {
        for text in [
            r"C:\WINDOWS\system32\drivers\foo.sys",
            r"HKLM\Software\Microsoft",
            r"HKLM\SOFTWARE",
            r"NT AUTHORITY\SYSTEM",
            r"BUILTIN\Administrators",
            r"IIS APPPOOL\DefaultAppPool",
            r"PCI\VEN_8086&DEV_15B8&SUBSYS_86721043",
            r"USB\VID_046D&PID_C52B",
            r"ACPI\PNP0A08\0",
            r"HID\Vid_046d&Col01",
            r"ERROR\nnext line",
            r"line one\nDONE\n",
            r"match \d+\s*\w",
            r"dev-disk-by\x2duuid-1A2B\x2d3C4D.device",
            r"DRIVE\setup.exe",
            r"MZVL-AB\x2dEFI CAF\u00e9",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn hosts_of_shares_and_owners_of_hidden_ones_are_replaced() {
        check(r"cannot open \\srv-ad01\jdoe$\x", r"cannot open \\host-1\user-1$\x");
        check(r#""\\\\srv-ad01\\share""#, r#""\\\\host-1\\share""#);
        check(r"\\srv-ad01\C$", r"\\host-1\C$");
        check("smb://srv-ad01/x", "smb://host-1/x");
        for text in [r"\\.\PhysicalDrive0 \\?\C:\x", r#""C:\\Windows\\x" "\\d+""#, r"\\localhost\x"] {
            check(text, text);
        }
    }

    #[test]
    fn people_whose_homes_and_media_stand_in_a_text_are_replaced() {
        check("/home2/jdoe/x", "/home2/user-1/x");
        check("/mnt/homes/jdoe", "/mnt/homes/user-1");
        check("/media/jdoe/STICK full", "/media/user-1/STICK full");
        check("/run/media/jdoe", "/run/media/user-1");
        check(r#""C:\Users\John Doe\Desktop""#, r#""C:\Users\user-1\Desktop""#);
        check(r"C:\Users\john is missing", r"C:\Users\user-1 is missing");
        for text in ["/media/cdrom0/x", "/media/STICK full", "/home is full", "/home/ is full", "/homestead/x"] {
            check(text, text);
        }
    }

    proptest::proptest! {
        #[test]
        fn looking_at_any_backslash_never_panics(text in r"([A-Za-z$.:/ ]|\\|王|/home|/media/|[uU]sers){0,40}") {
            let _ = Aliases::of(&Identity::default()).mask(&text);
        }
    }
}
