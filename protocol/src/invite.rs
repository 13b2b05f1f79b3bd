//! Invites: what a customer types or opens to reach a desk.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::id::{OrganizationKey, RelayKey};

/// A one-time code of nine digits; the last is a Damm check digit, which finds every single wrong digit and every swap
/// of neighbours before anything is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Code(u32);

/// Codes that exist: eight free digits.
pub const CODES: u32 = 100_000_000;

/// The text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotACode {
    /// Other than nine digits, when spaces and hyphens are left out.
    #[error("a code has nine digits")]
    Length,
    /// The check digit does not fit: one digit is wrong or two are swapped.
    #[error("this code has a typing mistake: please compare it digit by digit")]
    Check,
}

impl Code {
    /// The code whose first eight digits are `number`, which is taken modulo [`CODES`].
    pub fn from_number(number: u32) -> Self {
        let number = number % CODES;
        let check = damm_digit(digits::<8>(number));
        Self(number * 10 + u32::from(check))
    }

    /// The nine digits without spaces.
    pub fn digits(&self) -> String {
        format!("{:09}", self.0)
    }
}

impl TryFrom<u32> for Code {
    type Error = NotACode;

    fn try_from(value: u32) -> Result<Self, NotACode> {
        if value >= CODES * 10 {
            return Err(NotACode::Length);
        }
        if damm_digit(digits::<9>(value)) == 0 { Ok(Self(value)) } else { Err(NotACode::Check) }
    }
}

impl From<Code> for u32 {
    fn from(code: Code) -> Self {
        code.0
    }
}

impl FromStr for Code {
    type Err = NotACode;

    /// Reads nine digits; spaces and hyphens between them, and the full-width digits of Chinese keyboards, are fine.
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let mut value: u32 = 0;
        let mut count = 0;
        for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let digit = match character {
                '0'..='9' => character as u32 - '0' as u32,
                '０'..='９' => character as u32 - '０' as u32,
                _ => return Err(NotACode::Length),
            };
            count += 1;
            if count > 9 {
                return Err(NotACode::Length);
            }
            value = value * 10 + digit;
        }
        if count == 9 { Self::try_from(value) } else { Err(NotACode::Length) }
    }
}

impl fmt::Display for Code {
    /// In groups of three, as people read them aloud.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        write!(f, "{} {} {}", &digits[..3], &digits[3..6], &digits[6..])
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(...)")
    }
}

/// The check digit of `digits` by H. Michael Damm's algorithm (dissertation, Marburg 2004): 0 for a sequence that
/// already ends with its check digit.
pub fn damm_digit(digits: impl IntoIterator<Item = u8>) -> u8 {
    digits.into_iter().fold(0, |interim, digit| QUASIGROUP[usize::from(interim)][usize::from(digit % 10)])
}

/// The totally anti-symmetric quasigroup of order 10 from Damm's dissertation.
const QUASIGROUP: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

fn digits<const N: usize>(mut value: u32) -> [u8; N] {
    let mut digits = [0; N];
    for digit in digits.iter_mut().rev() {
        *digit = (value % 10) as u8;
        value /= 10;
    }
    digits
}

/// The 128 bits beside the code in a link. A desk under a flood of guesses slows codes down, but not codes that come
/// with their secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize)]
#[zeroize(drop)]
pub struct InviteSecret(pub [u8; 16]);

impl fmt::Debug for InviteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteSecret(...)")
    }
}

/// Where a relay is and which key it has, written `HOST:PORT#KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelayAddress {
    /// A DNS name or an IP address; IPv6 without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
    /// The key that the relay must prove.
    pub key: RelayKey,
}

/// Why an address or a link was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Not `HOST:PORT`.
    #[error("`{0}` is not HOST:PORT")]
    Address(String),
    /// The part after `#` is not the key or keys expected there.
    #[error("the key after # is missing or incomplete: please copy the whole text")]
    Key,
    /// The code inside the link is wrong.
    #[error("the code in the link is wrong: {0}")]
    Code(#[from] NotACode),
    /// Not a `belay://` link.
    #[error("this is not an invite: expected a link that starts with belay://")]
    NotALink,
}

impl FromStr for RelayAddress {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let (address, key) = text.split_once('#').ok_or(InviteError::Key)?;
        let (host, port) = split_host_port(address)?;
        Ok(Self { host, port, key: key.parse().map_err(|_| InviteError::Key)? })
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", JoinedAddress(&self.host, self.port), self.key)
    }
}

impl RelayAddress {
    /// `HOST:PORT` without the key, IPv6 in brackets.
    pub fn host_port(&self) -> String {
        JoinedAddress(&self.host, self.port).to_string()
    }
}

/// A whole invite as a link: `belay://HOST:PORT/CODE?desk=HELPHOST#ORGKEY.RELAYKEY.SECRET`. A further relay is one more
/// `&relay=HOST:PORT` and one more key before the secret, in the same order.
///
/// The part after `#` never reaches a web server, should the link be opened in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The relay to meet at.
    pub relay: RelayAddress,
    /// Others of the same desk; the nearest that answers is met at. No more than [`FURTHER_RELAYS_MAX`] fit a link.
    pub further_relays: Vec<RelayAddress>,
    /// The one-time code.
    pub code: Code,
    /// The host whose `.well-known/belay` vouches for the organization key; `HOST` or `HOST:PORT`.
    pub desk: String,
    /// The key that the desk must prove a delegation from.
    pub organization: OrganizationKey,
    /// The secret beside the code.
    pub secret: InviteSecret,
}

/// Relays in a link beside the first: each makes it 80 characters longer, and it is sent by mail and chat.
pub const FURTHER_RELAYS_MAX: usize = 3;

impl Invite {
    /// Every relay of it, the first one first.
    pub fn relays(&self) -> impl Iterator<Item = &RelayAddress> {
        std::iter::once(&self.relay).chain(self.further_relays.iter().take(FURTHER_RELAYS_MAX))
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(InviteError::NotALink)?;
        if !scheme.eq_ignore_ascii_case("belay") {
            return Err(InviteError::NotALink);
        }
        let (place, keys) = rest.split_once('#').ok_or(InviteError::Key)?;
        let (address, rest) = place.split_once('/').ok_or(InviteError::NotALink)?;
        let (code, query) = rest.split_once('?').ok_or(InviteError::NotALink)?;
        let desk = query.split('&').find_map(|pair| pair.strip_prefix("desk=")).ok_or(InviteError::NotALink)?;
        if !is_host_and_port(desk) {
            return Err(InviteError::Address(desk.chars().take(64).collect()));
        }
        let addresses = query.split('&').filter_map(|pair| pair.strip_prefix("relay="));
        let addresses: Vec<&str> = std::iter::once(address).chain(addresses).collect();
        let keys: Vec<&str> = keys.split('.').collect();
        let [organization, relay_keys @ .., secret] = keys.as_slice() else { return Err(InviteError::Key) };
        if relay_keys.len() != addresses.len() || addresses.len() > 1 + FURTHER_RELAYS_MAX {
            return Err(InviteError::Key);
        }
        let mut relays = addresses.into_iter().zip(relay_keys).map(|(address, key)| {
            let (host, port) = split_host_port(address)?;
            Ok(RelayAddress { host, port, key: key.parse().map_err(|_| InviteError::Key)? })
        });
        let relay = relays.next().ok_or(InviteError::Key)??;
        let further_relays = relays.collect::<Result<_, InviteError>>()?;
        let secret = BASE32_NOPAD.decode(secret.to_ascii_uppercase().as_bytes()).map_err(|_| InviteError::Key)?;
        Ok(Self {
            relay,
            further_relays,
            code: code.parse()?,
            desk: desk.to_owned(),
            organization: organization.parse().map_err(|_| InviteError::Key)?,
            secret: InviteSecret(secret.try_into().map_err(|_| InviteError::Key)?),
        })
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { relay, code, desk, organization, secret, .. } = self;
        write!(f, "belay://{}/{}?desk={desk}", relay.host_port(), code.digits())?;
        for further in self.relays().skip(1) {
            write!(f, "&relay={}", further.host_port())?;
        }
        write!(f, "#{organization}")?;
        for relay in self.relays() {
            write!(f, ".{}", relay.key)?;
        }
        write!(f, ".{}", BASE32_NOPAD.encode(&secret.0).to_ascii_lowercase())
    }
}

/// Splits `HOST:PORT`, with IPv6 addresses in brackets, and refuses characters that no host name has.
fn split_host_port(text: &str) -> Result<(String, u16), InviteError> {
    let wrong = || InviteError::Address(text.chars().take(64).collect());
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if port == 0 || !is_host(host) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

/// Says whether `text` can be a name or an address without a port and without brackets: it has the characters and the
/// length of one.
pub fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= HOST_MAX_BYTES
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte))
}

/// Says whether `text` can be a host with or without a port, IPv6 addresses in brackets.
pub fn is_host_and_port(text: &str) -> bool {
    let (is_host, rest) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address.parse::<Ipv6Addr>().is_ok(), rest),
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_host(name), rest)
        }
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    is_host && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// A DNS name has at most 253 bytes (RFC 1035, section 2.3.4).
const HOST_MAX_BYTES: usize = 253;

struct JoinedAddress<'a>(&'a str, u16);

impl fmt::Display for JoinedAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(host, port) = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn damms_own_example() {
        assert_eq!(damm_digit([5, 7, 2]), 4);
        assert_eq!(damm_digit([5, 7, 2, 4]), 0);
    }

    #[test]
    fn codes_are_read_as_people_write_them() {
        let code = Code::from_number(41_820_597);
        for text in [code.to_string(), code.digits(), code.to_string().replace(' ', "-"), format!("  {code}\n")] {
            assert_eq!(text.parse(), Ok(code), "{text}");
        }
        let full_width: String = code
            .digits()
            .bytes()
            .map(|b| ['０', '１', '２', '３', '４', '５', '６', '７', '８', '９'][usize::from(b - b'0')])
            .collect();
        assert_eq!(full_width.parse(), Ok(code));
        for text in ["", "12345678", "1234567890", "12345678x"] {
            assert_eq!(text.parse::<Code>(), Err(NotACode::Length), "{text}");
        }
    }

    fn invite() -> Invite {
        Invite {
            relay: "relay.example.com:443#aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap(),
            further_relays: Vec::new(),
            code: Code::from_number(41_820_597),
            desk: "help.example.com".into(),
            organization: OrganizationKey([3; 32]),
            secret: InviteSecret([9; 16]),
        }
    }

    #[test]
    fn a_link_reads_back() {
        let mut invite = invite();
        assert_eq!(invite.to_string().parse(), Ok(invite.clone()));
        invite.relay.host = "::1".into();
        invite.desk = "localhost:8080".into();
        assert!(invite.to_string().starts_with("belay://[::1]:443/"));
        assert_eq!(invite.to_string().parse(), Ok(invite));
    }

    fn further_relay(port: u16) -> RelayAddress {
        RelayAddress { host: "other.example.com".into(), port, key: RelayKey([7; 32]) }
    }

    #[test]
    fn a_link_names_every_relay_up_to_its_limit() {
        let further_relays: Vec<_> = (1..=3).map(further_relay).collect();
        let invite = Invite { further_relays: further_relays.clone(), ..invite() };
        assert_eq!(invite.to_string().parse(), Ok(invite.clone()));
        let more = further_relays.iter().cloned().chain([further_relay(4)]).collect();
        let more = Invite { further_relays: more, ..invite.clone() };
        assert_eq!(more.to_string(), invite.to_string());
        let link = invite.to_string();
        let one_too_many = link.replacen("&relay=", "&relay=fifth.example.com:1&relay=", 1);
        assert!(one_too_many.parse::<Invite>().is_err());
    }

    #[test]
    fn cut_off_links_are_refused() {
        for further_relays in [vec![], vec![further_relay(1)]] {
            let link = Invite { further_relays, ..invite() }.to_string();
            for end in 0..link.len() {
                assert!(link[..end].parse::<Invite>().is_err(), "{}", &link[..end]);
            }
        }
    }

    #[test]
    fn a_host_may_have_a_port_and_nothing_else() {
        for text in ["help.example.com", "help.example.com:443", "10.0.0.1:1", "[::1]", "[2001:db8::1]:8443", "a_b-c"] {
            assert!(is_host_and_port(text), "{text}");
        }
        for text in [
            "",
            ":443",
            "help:",
            "help:0",
            "help:99999",
            "help:1:2",
            "::1",
            "[]",
            "[help]:1",
            "[::1",
            "[::1]x",
            "a b",
            "a/b",
        ] {
            assert!(!is_host_and_port(text), "{text}");
        }
        let longest = "a".repeat(HOST_MAX_BYTES);
        assert!(is_host_and_port(&format!("{longest}:65535")) && !is_host_and_port(&format!("{longest}a")));
    }

    #[test]
    fn a_desk_with_other_characters_is_refused() {
        for desk in ["help.example.com/path", "a b", "<script>", "用户@host", "user@host", ""] {
            let link = Invite { desk: desk.into(), ..invite() }.to_string();
            assert!(link.parse::<Invite>().is_err(), "{desk}");
        }
    }

    proptest! {
        #[test]
        fn one_wrong_digit_and_swapped_neighbours_are_found(number in 0..CODES, place in 0usize..9, other in 0u8..10) {
            let digits = Code::from_number(number).digits().into_bytes();
            let mut wrong = digits.clone();
            wrong[place] = b'0' + other;
            let text = String::from_utf8(wrong.clone()).unwrap();
            prop_assert_eq!(text.parse::<Code>().is_ok(), wrong == digits);
            let mut swapped = digits.clone();
            swapped.swap(place, (place + 1).min(8));
            let text = String::from_utf8(swapped.clone()).unwrap();
            prop_assert_eq!(text.parse::<Code>().is_ok(), swapped == digits);
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,80}") {
            let _ = text.parse::<Invite>();
            let _ = format!("belay://{text}").parse::<Invite>();
            let _ = text.parse::<RelayAddress>();
            let _ = text.parse::<Code>();
        }
    }
}
