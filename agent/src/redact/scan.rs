//! Finds personal data in free text by its form: addresses, serials and secrets.

use std::net::IpAddr;
use std::ops::Range;

use belay_protocol::report::PrivateKind;

/// Finds the first secret in `text`: the value after a name such as `password=`, or the part of a URL before `@`.
pub(super) fn secret(text: &str) -> Option<Range<usize>> {
    let assigned = text.match_indices(['=', ':']).find_map(|(at, _)| {
        let name_start = text[..at]
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8));
        let name = text[name_start..at].to_ascii_lowercase();
        if !SECRET_NAMES.iter().any(|secret| name.ends_with(secret)) {
            return None;
        }
        let start = at + 1 + text[at + 1..].len() - text[at + 1..].trim_start_matches([' ', '"', '\'']).len();
        let end = text[start..].find([',', ' ', ';', '&', '"', '\'', '\n']).map_or(text.len(), |end| start + end);
        (end > start).then_some(start..end)
    });
    assigned.or_else(|| {
        text.match_indices("://").find_map(|(at, _)| {
            let start = at + 3;
            let rest = &text[start..];
            let authority = &rest[..rest.find(['/', ' ', '?', '#']).unwrap_or(rest.len())];
            let end = start + authority.rfind('@')?;
            (end > start).then_some(start..end)
        })
    })
}

/// Ends of names whose value is secret.
const SECRET_NAMES: [&str; 10] =
    ["password", "passwd", "pass", "pwd", "secret", "token", "key", "apikey", "credentials", "passphrase"];

/// Finds the first address or serial in `text` by its form.
pub(super) fn shaped(text: &str) -> Option<(Range<usize>, PrivateKind)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-');
    let mut start = 0;
    while let Some(offset) = text[start..].find(is_part) {
        start += offset;
        let end = text[start..].find(|c| !is_part(c)).map_or(text.len(), |length| start + length);
        if let Some((found, kind)) = shaped_word(&text[start..end]) {
            return Some((start + found.start..start + found.end, kind));
        }
        start = end;
    }
    None
}

/// Looks into a run of letters, digits, colons, dots and dashes.
fn shaped_word(word: &str) -> Option<(Range<usize>, PrivateKind)> {
    if word.len() < 4 {
        return None;
    }
    let boundaries = |at: usize| at == 0 || !word.as_bytes()[at - 1].is_ascii_alphanumeric();
    for start in (0..word.len()).filter(|at| boundaries(*at)).take(MAX_STARTS) {
        let rest = &word[start..];
        for (length, kind) in [(hardware(rest), PrivateKind::HardwareAddress), (serial(rest), PrivateKind::Serial)] {
            if let Some(found) = length {
                return Some((found.start + start..found.end + start, kind));
            }
        }
        if let Some(length) = address(rest) {
            return Some((start..start + length, PrivateKind::Address));
        }
    }
    // An address right behind letters, as in `host10.0.0.1`.
    let digits =
        (1..word.len()).filter(|at| word.as_bytes()[*at].is_ascii_digit() && !word.as_bytes()[at - 1].is_ascii_digit());
    digits.take(MAX_STARTS).find_map(|start| {
        let length = address(&word[start..]).filter(|length| word[start..start + length].contains('.'))?;
        Some((start..start + length, PrivateKind::Address))
    })
}

/// Places in one word from which an address is tried; a word longer than this many dashes and colons is no address.
const MAX_STARTS: usize = 64;

/// The length of an IP address at the start of `text`, if it says anything about anybody.
fn address(text: &str) -> Option<usize> {
    let hexadecimal = text.find(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '.').unwrap_or(text.len());
    let mut end = hexadecimal.min(LONGEST_ADDRESS);
    while end > 0 {
        let candidate = text[..end].trim_end_matches(['.', ':']);
        let candidate = if text[..end].ends_with("::") { &text[..end] } else { candidate };
        if let Ok(address) = candidate.parse::<IpAddr>() {
            let followed_by_digit = text[candidate.len()..].starts_with(|c: char| c.is_ascii_digit());
            return (!followed_by_digit && !is_everybodys(&address) && candidate.len() > 2).then_some(candidate.len());
        }
        end = text[..end].rfind([':', '.'])?;
    }
    None
}

/// Characters of the longest IPv6 address.
const LONGEST_ADDRESS: usize = 45;

/// Whether every machine has this address, so that it tells nobody anything.
pub(super) fn is_everybodys(address: &IpAddr) -> bool {
    let unspecific = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    unspecific || matches!(address, IpAddr::V4(address) if address.is_broadcast())
}

/// A hardware address with colons or dashes, or behind the prefix that systemd puts before it in interface names.
fn hardware(text: &str) -> Option<Range<usize>> {
    for prefix in ["enx", "wlx", "wwx"] {
        if let Some(rest) = text.strip_prefix(prefix)
            && rest.len() >= 12
            && rest.bytes().take(12).all(|byte| byte.is_ascii_hexdigit())
            && !rest[12..].starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            return Some(3..15);
        }
    }
    let bytes = text.as_bytes().get(..17)?;
    let separator = bytes[2];
    let fits = (separator == b':' || separator == b'-')
        && bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| if at % 3 == 2 { *byte == separator } else { byte.is_ascii_hexdigit() })
        && !text[17..].starts_with(|c: char| c.is_ascii_hexdigit() || c == ':');
    fits.then_some(0..17)
}

/// A UUID, or sixteen and more hexadecimal digits in a row.
fn serial(text: &str) -> Option<Range<usize>> {
    let uuid = text.as_bytes().get(..36).is_some_and(|bytes| {
        bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    });
    if uuid {
        return Some(0..36);
    }
    let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let ends = !text[digits..].starts_with(|c: char| c.is_ascii_alphanumeric());
    (digits >= 16 && ends).then_some(0..digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Option<(&str, PrivateKind)> {
        shaped(text).map(|(range, kind)| (&text[range], kind))
    }

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        for (text, found) in [
            ("addr=10.0.0.9,rw", Some("10.0.0.9")),
            ("10.0.0.9:/share", Some("10.0.0.9")),
            ("ping 192.168.1.1.", Some("192.168.1.1")),
            ("10.1.2.3:8080", Some("10.1.2.3")),
            ("nas10.0.0.9", Some("10.0.0.9")),
            ("dev-10.0.0.9", Some("10.0.0.9")),
            ("[2001:db8::5]:443", Some("2001:db8::5")),
            ("via fe80::1%eth0", Some("fe80::1")),
            ("2001:db8::", Some("2001:db8::")),
            ("127.0.0.1", None),
            ("::1", None),
            ("12:34", None),
            ("kworker/0:1", None),
            ("libfoo-1.2.3", None),
            ("std::vec", None),
        ] {
            assert_eq!(first(text).map(|(found, _)| found), found, "{text}");
        }
    }

    #[test]
    fn hardware_addresses_and_serials_are_found() {
        for (text, found) in [
            ("aa:bb:cc:dd:ee:0f", Some(("aa:bb:cc:dd:ee:0f", PrivateKind::HardwareAddress))),
            ("x AA-BB-CC-DD-EE-0F y", Some(("AA-BB-CC-DD-EE-0F", PrivateKind::HardwareAddress))),
            ("enx00249b123456", Some(("00249b123456", PrivateKind::HardwareAddress))),
            (
                "/dev/mapper/luks-0a1b2c3d-1111-2222-3333-444455556666",
                Some(("0a1b2c3d-1111-2222-3333-444455556666", PrivateKind::Serial)),
            ),
            (
                "overlay2/0123456789abcdef0123456789abcdef/merged",
                Some(("0123456789abcdef0123456789abcdef", PrivateKind::Serial)),
            ),
            ("enp0s31f6", None),
            ("eth0", None),
        ] {
            assert_eq!(first(text), found, "{text}");
        }
    }

    #[test]
    fn secrets_are_found() {
        for (text, found) in [
            ("username=bob,password=hunter2,vers=3", Some("hunter2")),
            ("db_pass: 'x y'", Some("x")),
            ("https://bob:pw@host/x", Some("bob:pw")),
            ("TOKEN=abc", Some("abc")),
            ("rw,relatime", None),
            ("monkey business", None),
            ("password=", None),
        ] {
            assert_eq!(secret(text).map(|range| &text[range]), found, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn scanning_anything_never_panics(text in ".*", hex in "[0-9a-f:.\\-]{0,80}") {
            shaped(&text);
            secret(&text);
            shaped(&hex);
        }
    }
}
