//! Personal data that shows by its form: addresses, mail, domains, numbers that one machine or person has.

use std::cell::Cell;
use std::net::IpAddr;
use std::ops::Range;

use belay_protocol::report::PrivateKind;

use super::words::{
    EVERYBODYS_DOMAINS, EVERYBODYS_IDS, FILE_ENDINGS, HASH_LABELS, ROLES, VERSION_LABELS, is_top_level,
};
use super::{AT, DIGIT, Found, LETTER, MARK, PLUS, What, after_any};

mod numbers;
mod phones;

/// Whether something may show by its form in a run in which these classes of bytes were `seen`.
pub(super) fn may_hold(text: &str, run: &Range<usize>, seen: u8) -> bool {
    let has_marks = seen & (MARK | PLUS | AT) != 0 && run.len() >= SHORTEST_SHAPE;
    let may_show = has_marks || (seen & DIGIT != 0 && run.len() >= FEWEST_DIGITS as usize);
    may_show || numbers::may_go_on(text, run) || may_begin(text.as_bytes(), run)
}

/// `1::2`, and `a.de`, are the shortest that show by themselves.
const SHORTEST_SHAPE: usize = 4;

/// Whether something may begin with a run that says nothing: a telephone number that goes on behind it, or an interface
/// whose hardware address is all letters.
fn may_begin(bytes: &[u8], run: &Range<usize>) -> bool {
    match bytes.get(run.start) {
        Some(b'+') => true,
        Some(b'0') => phones::AREA_DIGITS.contains(&run.len()) && matches!(bytes.get(run.end), Some(b'/' | b')')),
        Some(b'e' | b'w' | b'E' | b'W') => {
            run.len() >= SHORTEST_INTERFACE && matches!(bytes.get(run.start + 2), Some(b'x' | b'X'))
        }
        _ => false,
    }
}

/// Looks into one run of letters, digits and `.:-_@+%` at `run` of `text`. `base` is where `text` itself stands.
pub(super) fn look(text: &str, run: Range<usize>, seen: u8, found: &mut Vec<Found>) {
    let word = text.get(run.clone()).unwrap_or_default();
    let marks = Marks::of(word, seen);
    if marks.says_nothing(word) && !numbers::may_go_on(text, &run) && !may_begin(text.as_bytes(), &run) {
        return;
    }
    let no_domain_before = Cell::new(0);
    let mut at = 0;
    while at < word.len() {
        let rest = word.get(at..).unwrap_or_default();
        let here = Place { text, start: run.start + at, marks, no_domain_before: &no_domain_before };
        let shape = if is_start(word, at) { first(&here, rest) } else { glued(&here, word, at) };
        match shape {
            Some((range, what)) if range.end > 0 => {
                let end = at + range.end;
                // One that everybody has is passed over as a whole.
                if !range.is_empty() {
                    found.push(Found { range: run.start + at + range.start..run.start + end, what });
                }
                at = end;
            }
            // Every shape begins behind another character than a letter or digit.
            _ => at = next_start(word, at),
        }
    }
}

/// What a run has in it, so that most shapes need not be tried.
#[derive(Clone, Copy, Default)]
struct Marks {
    dots: u32,
    colons: u32,
    dashes: u32,
    digits: u32,
    has_at: bool,
    has_plus: bool,
    has_letter: bool,
    has_double_colon: bool,
}

impl Marks {
    fn of(word: &str, seen: u8) -> Self {
        let mut marks = Self::default();
        for part in word.as_bytes().chunks(COUNTED_AT_ONCE) {
            // One addition for each byte, and no branch: this is done for every other word.
            let counts = part.iter().fold(0, |counts: u64, byte| counts.wrapping_add(COUNTS[usize::from(*byte)]));
            let [dots, colons, dashes, digits] = [0, 16, 32, 48].map(|bit| (counts >> bit) as u16);
            marks.dots += u32::from(dots);
            marks.colons += u32::from(colons);
            marks.dashes += u32::from(dashes);
            marks.digits += u32::from(digits);
        }
        marks.has_at = seen & AT != 0;
        marks.has_plus = seen & PLUS != 0;
        marks.has_letter = seen & LETTER != 0;
        marks.has_double_colon = marks.colons > 1 && word.contains("::");
        marks
    }

    /// Whether nothing in `word` can be personal by its form: as in most words, times, dates and counts of seconds.
    fn says_nothing(self, word: &str) -> bool {
        let has_dots = self.dots >= 3 || (self.dots > 0 && self.has_letter);
        let is_split = self.colons >= 5 || self.has_double_colon || self.dashes >= 4;
        // `138-1234 5678` goes on behind the run.
        let is_phone = self.has_plus || (self.dashes == 1 && self.digits >= 6);
        // A full stop may end the sentence.
        let is_whole = self.dots == 0 || (self.dots == 1 && word.ends_with('.'));
        let is_long = is_whole && (self.digits >= FEWEST_DIGITS || word.len() >= SHORTEST_INTERFACE);
        !(has_dots || is_split || is_phone || is_long || self.has_at)
    }
}

/// What a byte adds to the four counts of [`Marks`], each of which has sixteen bits.
const COUNTS: [u64; 256] = {
    let mut counts = [0; 256];
    counts[b'.' as usize] = 1;
    counts[b':' as usize] = 1 << 16;
    counts[b'-' as usize] = 1 << 32;
    let mut digit = b'0';
    while digit <= b'9' {
        counts[digit as usize] = 1 << 48;
        digit += 1;
    }
    counts
};

/// Bytes whose counts fit in sixteen bits.
const COUNTED_AT_ONCE: usize = u16::MAX as usize;

/// The shortest that is personal without any mark: an American telephone number has ten.
const FEWEST_DIGITS: u32 = 10;

/// `enx` and twelve digits or letters.
const SHORTEST_INTERFACE: usize = 15;

/// The place of a candidate, to look at what stands before and behind it.
struct Place<'a> {
    text: &'a str,
    start: usize,
    marks: Marks,
    /// Up to here all names end with a label that ends no domain.
    no_domain_before: &'a Cell<usize>,
}

impl<'a> Place<'a> {
    fn before(&self) -> &'a str {
        self.text.get(..self.start).unwrap_or_default()
    }

    fn behind(&self, length: usize) -> &'a str {
        self.text.get(self.start + length..).unwrap_or_default()
    }
}

/// What stands at the start of `rest`, the most telling form first.
fn first(here: &Place<'_>, rest: &str) -> Option<(Range<usize>, What)> {
    // `13812345678@example.com` is one thing and not two.
    if here.marks.has_at
        && let Some(length) = mail(rest)
    {
        return Some((0..length, What::Shape(PrivateKind::Mail)));
    }
    let has_bot = here.marks.colons > 0 && rest.len() >= numbers::SHORTEST_BOT;
    let number = has_bot.then(|| numbers::bot(rest)).flatten().or_else(|| numbers::at(here, rest));
    number.or_else(|| named(here, rest).map(|(range, kind)| (range, What::Shape(kind))))
}

/// What stands right behind a letter.
fn glued(here: &Place<'_>, word: &str, at: usize) -> Option<(Range<usize>, What)> {
    let has_bot = here.marks.colons > 0 && word.len() >= numbers::SHORTEST_BOT;
    let token = has_bot.then(|| word.get(at..).and_then(numbers::bot)).flatten();
    token.or_else(|| glued_address(here, word, at).map(|(range, kind)| (range, What::Shape(kind))))
}

fn named(here: &Place<'_>, rest: &str) -> Option<(Range<usize>, PrivateKind)> {
    use PrivateKind::{Address, HardwareAddress, Host, Phone, Serial};
    let whole = |length: usize| 0..length;
    let marks = here.marks;
    let is_hardware = marks.colons + marks.dashes >= 5 || rest.starts_with(['e', 'w', 'E', 'W']);
    if is_hardware && let Some((range, kind)) = hardware(here, rest) {
        return Some((range, kind));
    }
    if rest.len() >= SHORTEST_NUMBER
        && let Some(length) = serial(here, rest)
    {
        return Some((if length.1 { whole(length.0) } else { length.0..length.0 }, Serial));
    }
    let is_address = marks.dots >= 3 || marks.has_double_colon || marks.colons >= 7;
    if is_address && let Some(length) = address(here, rest) {
        return Some((whole(length), Address));
    }
    if marks.dashes >= 4
        && let Some(range) = dashed_address(rest)
    {
        return Some((range, Address));
    }
    let is_phone =
        marks.digits >= FEWEST_DIGITS || rest.starts_with(['+', '0']) || (marks.dashes == 1 && marks.digits >= 6);
    if is_phone && let Some(length) = phones::at(here, rest) {
        return Some((whole(length), Phone));
    }
    if marks.dots == 0 {
        return None;
    }
    let domain = domain(here, rest).map(|length| (whole(length), Host));
    domain.or_else(|| dotted_hardware(rest).map(|length| (whole(length), HardwareAddress)))
}

fn is_start(word: &str, at: usize) -> bool {
    at == 0 || word.as_bytes().get(at - 1).is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

fn next_start(word: &str, at: usize) -> usize {
    let begins = |pair: &[u8]| match pair {
        [before, byte] => !before.is_ascii_alphanumeric() || (before.is_ascii_alphabetic() && byte.is_ascii_digit()),
        _ => false,
    };
    let behind = word.as_bytes().get(at..).unwrap_or_default();
    behind.windows(2).position(begins).map_or(word.len(), |place| at + place + 1)
}

/// The length of a run of bytes that `fits`.
fn run_of(text: &str, fits: impl Fn(u8) -> bool) -> usize {
    run_up_to(usize::MAX, text, fits)
}

fn run_up_to(longest: usize, text: &str, fits: impl Fn(u8) -> bool) -> usize {
    text.bytes().take(longest).take_while(|byte| fits(*byte)).count()
}

fn is_boundary(rest: &str, length: usize) -> bool {
    !rest.as_bytes().get(length).is_some_and(u8::is_ascii_alphanumeric)
}

/// `name@domain`; also `name@host` without a dot when it ends there, as in a shell's prompt, is the name rules' business.
fn mail(rest: &str) -> Option<usize> {
    let local = run_up_to(LONGEST_LOCAL, rest, |byte| byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte));
    let domain = rest.get(local..)?.strip_prefix('@')?;
    let length = run_up_to(LONGEST_DOMAIN, domain, |byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let domain = domain.get(..length)?.trim_end_matches(['.', '-']);
    let (_, last) = domain.rsplit_once('.')?;
    // systemd's instances look alike: `user@1000.service`.
    let is_unit = FILE_ENDINGS.contains(&last.to_ascii_lowercase().as_str());
    let is_role = is_everybodys_domain(&domain.to_ascii_lowercase()) && ROLES.contains(&rest.get(..local)?);
    let fits =
        local > 0 && !is_role && last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic()) && !is_unit;
    fits.then_some(local + 1 + domain.len())
}

/// The length of an IP address at the start of `rest`, if it says anything about anybody.
fn address(here: &Place<'_>, rest: &str) -> Option<usize> {
    let v4 = run_up_to(LONGEST_ADDRESS, rest, |byte| byte.is_ascii_digit() || byte == b'.');
    if let Some(length) = dotted(rest.get(..v4)?) {
        return is_address_here(here, rest, length).then_some(length);
    }
    let v6 = run_up_to(LONGEST_ADDRESS, rest, |byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.');
    let candidate = rest.get(..v6)?;
    if candidate.bytes().filter(|byte| *byte == b':').count() < 2 {
        return None;
    }
    let mut end = v6;
    while end > 0 {
        let shorter = candidate.get(..end)?;
        let trimmed = if shorter.ends_with("::") { shorter } else { shorter.trim_end_matches([':', '.']) };
        if let Ok(address) = trimmed.parse::<IpAddr>() {
            let is_word = is_boundary(rest, trimmed.len()) && is_telling(trimmed);
            return (is_word && !is_everybodys(&address)).then_some(trimmed.len());
        }
        end = shorter.rfind([':', '.'])?;
    }
    None
}

/// `db::` and `a::b` are names in programs; an address has a digit or two whole groups.
fn is_telling(address: &str) -> bool {
    let groups = address.split(':').filter(|group| group.len() == 4).count();
    (address.bytes().any(|byte| byte.is_ascii_digit()) && address.len() > 4) || groups >= 2
}

/// The length of four numbers with dots between them, as long as no fifth follows.
fn dotted(text: &str) -> Option<usize> {
    let trimmed = text.trim_end_matches('.');
    let mut parts = trimmed.split('.');
    let fits = parts.by_ref().take(4).filter(|part| part.len() <= 3 && part.parse::<u8>().is_ok()).count() == 4;
    (fits && parts.next().is_none()).then_some(trimmed.len())
}

/// Tells an address from a version. Private ranges are addresses unless a word says version; for others the characters
/// around decide too.
fn is_address_here(here: &Place<'_>, rest: &str, length: usize) -> bool {
    let Some(Ok(address)) = rest.get(..length).map(str::parse::<std::net::Ipv4Addr>) else { return false };
    if is_everybodys(&IpAddr::V4(address)) || address.is_unspecified() {
        return false;
    }
    let (before, behind) = (here.before(), rest.get(length..).unwrap_or_default());
    if after_any(before, &VERSION_LABELS) {
        return false;
    }
    // `10.0.0.1-5ubuntu2`, `1.2.3.4+dfsg`, `1.2.3.4~rc1`, `1.2.3.4_amd64`.
    let is_versioned = behind.starts_with(['+', '~', '_'])
        || behind.strip_prefix('-').is_some_and(|rest| {
            let is_range =
                dotted(rest.get(..run_of(rest, |b| b.is_ascii_digit() || b == b'.')).unwrap_or("")).is_some();
            rest.starts_with(|c: char| c.is_ascii_digit()) && !is_range
        });
    // `1.2.3.4.fc40`
    let is_glued = behind.strip_prefix('.').unwrap_or(behind).starts_with(|c: char| c.is_ascii_alphabetic())
        && here.before().ends_with(['-', '_'])
        || behind.starts_with(|c: char| c.is_ascii_alphabetic());
    if is_versioned || is_glued {
        return false;
    }
    let is_inside = address.is_private() || address.is_link_local() || is_shared(address);
    if is_inside {
        return true;
    }
    // `libfoo-1.2.3.4`, `Chrome/120.0.0.0`, `v1.2.3.4`, `foo_1.2.3.4`.
    let mut before = before.chars().rev();
    match before.next() {
        Some('-' | '_') => false,
        Some('/') => {
            let name: String =
                before.take_while(|c| !c.is_whitespace() && !matches!(c, '"' | '(' | ',' | '=')).collect();
            !name.ends_with(|c: char| c.is_ascii_alphabetic()) || name.contains('/')
        }
        _ => true,
    }
}

/// 100.64.0.0/10 of RFC 6598.
fn is_shared(address: std::net::Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

/// An address right behind letters, as in `nas10.0.0.9`; only ranges that no version number is likely to hit.
fn glued_address(here: &Place<'_>, word: &str, at: usize) -> Option<(Range<usize>, PrivateKind)> {
    let before = word.as_bytes().get(at.checked_sub(1)?)?;
    let rest = word.get(at..)?;
    if !before.is_ascii_alphabetic() || !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let length = dotted(rest.get(..run_up_to(LONGEST_ADDRESS, rest, |byte| byte.is_ascii_digit() || byte == b'.'))?)?;
    let address: std::net::Ipv4Addr = rest.get(..length)?.parse().ok()?;
    let is_inside = address.is_private() || address.is_link_local();
    (is_inside && is_address_here(here, rest, length)).then_some((0..length, PrivateKind::Address))
}

/// `ip-10-0-0-9`, as clouds name their machines.
fn dashed_address(rest: &str) -> Option<Range<usize>> {
    let numbers = rest.get(..3).filter(|prefix| prefix.eq_ignore_ascii_case("ip-")).and_then(|_| rest.get(3..))?;
    let length = run_up_to(LONGEST_ADDRESS, numbers, |byte| byte.is_ascii_digit() || byte == b'-');
    let dots = numbers.get(..length)?.trim_end_matches('-').replace('-', ".");
    dotted(&dots).filter(|fits| *fits == dots.len()).map(|length| 3..3 + length)
}

/// Characters of the longest IPv6 address.
const LONGEST_ADDRESS: usize = 45;

/// Whether every machine has this address, so that it tells nobody anything.
pub fn is_everybodys(address: &IpAddr) -> bool {
    let unspecific = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    // Masks of networks, from 255.0.0.0 on.
    unspecific || matches!(address, IpAddr::V4(address) if address.is_broadcast() || address.octets()[0] == 255)
}

/// A hardware address with colons or dashes between the bytes (6, 8 or the 20 of InfiniBand), or behind the prefix that
/// systemd puts before it in interface names. Other such runs of bytes are fingerprints.
fn hardware(here: &Place<'_>, rest: &str) -> Option<(Range<usize>, PrivateKind)> {
    for prefix in ["enx", "wlx", "wwx"] {
        if rest.get(..prefix.len()).is_some_and(|front| front.eq_ignore_ascii_case(prefix)) {
            let digits = rest.get(prefix.len()..)?;
            let length = run_of(digits, |byte| byte.is_ascii_hexdigit());
            return (length == 12 && is_boundary(digits, 12)).then_some((3..15, PrivateKind::HardwareAddress));
        }
    }
    let bytes = rest.as_bytes();
    let separator = *bytes.get(2).filter(|byte| matches!(byte, b':' | b'-'))?;
    let mut pairs = 0;
    while bytes.get(pairs * 3..pairs * 3 + 2).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit)) {
        pairs += 1;
        if bytes.get(pairs * 3 - 1) != Some(&separator) {
            break;
        }
    }
    let length = (pairs * 3).checked_sub(1)?;
    let length = if pairs >= 6 && !is_boundary(rest, length) { length.checked_sub(3)? } else { length };
    let digits = rest.get(..length)?;
    let same = ["00", "ff", "FF"].into_iter().any(|byte| digits.split(char::from(separator)).all(|pair| pair == byte));
    let is_frame =
        here.before().ends_with(':') && ["08:00", "86:dd", "08:06"].into_iter().any(|kind| digits.ends_with(kind));
    match pairs {
        ..6 => None,
        // The head of an Ethernet frame, as the kernel's firewall logs it: to, from, and the protocol.
        14 => Some((0..17, PrivateKind::HardwareAddress)),
        8 if is_frame => Some((0..17, PrivateKind::HardwareAddress)),
        _ if same => Some((length..length, PrivateKind::HardwareAddress)),
        6 | 8 | 20 => Some((0..length, PrivateKind::HardwareAddress)),
        _ => Some((0..length, PrivateKind::Serial)),
    }
}

/// `aabb.ccdd.eeff`, as switches write it.
fn dotted_hardware(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes().get(..14)?;
    let fits = bytes.iter().enumerate().all(|(at, byte)| match at {
        4 | 9 => *byte == b'.',
        _ => byte.is_ascii_hexdigit(),
    });
    let has_both = bytes.iter().any(u8::is_ascii_digit) && bytes.iter().any(u8::is_ascii_alphabetic);
    let behind = rest.get(14..)?.strip_prefix('.').unwrap_or_default();
    let goes_on = behind.starts_with(|c: char| c.is_ascii_hexdigit());
    (fits && has_both && is_boundary(rest, 14) && !goes_on).then_some(14)
}

/// The length of a UUID, a long row of hexadecimal digits, or a key's fingerprint, and whether it is this machine's.
fn serial(here: &Place<'_>, rest: &str) -> Option<(usize, bool)> {
    let is_uuid = rest.as_bytes().get(..36).is_some_and(|bytes| {
        bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    });
    if is_uuid && is_boundary(rest, 36) {
        let lower = rest.get(..36)?.to_ascii_lowercase();
        let is_known = EVERYBODYS_IDS.iter().any(|known| lower.ends_with(known));
        let is_empty = lower.bytes().filter(|byte| *byte != b'-').all(|byte| byte == b'0' || byte == b'f');
        return Some((36, !is_known && !is_empty));
    }
    let digits = run_of(rest, |byte| byte.is_ascii_hexdigit());
    let hex = rest.get(..digits)?;
    let mixed = hex.bytes().any(|byte| byte.is_ascii_digit()) && hex.bytes().any(|byte| byte.is_ascii_alphabetic());
    let before = here.before();
    let is_named = ["wwn-0x", "naa.", "eui.", "nguid.", "uuid."].into_iter().any(|name| before.ends_with(name));
    if digits >= SHORTEST_NUMBER && is_named {
        return Some((digits, true));
    }
    if digits < SHORTEST_HEX || !mixed || !is_boundary(rest, digits) {
        return None;
    }
    // The kernel's own addresses are 16 digits; `0x` marks a number, and hashes of files say what they are.
    // The certificates in the kernel are the same on all machines.
    let is_number = before.ends_with("0x") || before.ends_with("0X") || before.ends_with("kernel key: ");
    Some((digits, !is_number && !after_any(before, &HASH_LABELS)))
}

/// World-wide names of disks have 16 digits.
const SHORTEST_NUMBER: usize = 16;

/// Ids of machines and containers have 32 digits; the kernel's addresses 16.
const SHORTEST_HEX: usize = 24;

/// Whether a digit follows behind one of `signs`, so that this is a part of something longer.
fn goes_on(behind: &str, signs: &[char]) -> bool {
    behind.strip_prefix(signs).is_some_and(|behind| behind.starts_with(is_figure))
}

fn is_figure(c: char) -> bool {
    c.is_ascii_digit()
}

/// A domain name of two labels and more that ends like one, and is not everybody's.
fn domain(here: &Place<'_>, rest: &str) -> Option<usize> {
    if here.start < here.no_domain_before.get() {
        return None;
    }
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let length = run_up_to(LONGEST_DOMAIN + 1, rest, in_name);
    let whole = rest.get(..length)?.trim_end_matches(['.', '-']);
    let (front, last) = whole.rsplit_once('.').unwrap_or_default();
    // Servers' certificates, settings and logs are called after their domains.
    let name = if is_of_domain(last) { front } else { whole };
    let (front, last) = if is_of_domain(last) { front.rsplit_once('.').unwrap_or_default() } else { (front, last) };
    let is_label = last.starts_with(|c: char| c.is_ascii_alphabetic());
    let last = if is_label { last.to_ascii_lowercase() } else { String::new() };
    if !is_top_level(&last) {
        here.no_domain_before.set(here.start + length);
        return None;
    }
    let before = here.before();
    let behind = rest.get(name.len()..).unwrap_or_default();
    if name.len() > LONGEST_DOMAIN || name.contains("..") || behind.starts_with('_') {
        return None;
    }
    let in_address = ["//", "@", "\\\\"].into_iter().any(|sign| before.ends_with(sign));
    let in_name = before.ends_with(['.', '-']);
    // A file called `messages.de` or `rc.local`; a share or a site may be mounted under its own name all the same.
    let in_path = !in_address && before.ends_with(['/', '\\']) && !here.behind(name.len()).starts_with('/');
    let is_plain = !front.contains(|c: char| c == '.' || c == '-' || c.is_ascii_digit());
    let is_file_there = in_path && is_plain && (last.len() == 2 || last == "local");
    // `foo.so`, `notes.md` and `install.sh` are files first, also where countries have these endings.
    let is_file = FILE_ENDINGS.contains(&last.as_str()) && !in_address && !(last == "io" && front.contains('.'));
    let is_word = front.bytes().any(|byte| byte.is_ascii_alphabetic());
    if in_name || is_file_there || is_file || !is_word {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let known = is_everybodys_domain(&lower);
    // `org.freedesktop.login1` and `com.example.app` are written from the other end.
    let reversed = lower.split('.').next().is_some_and(|first| ["org", "com", "net", "io"].contains(&first));
    (!known && !reversed).then_some(name.len())
}

/// Whether files that are called after domains end with `ending`.
pub(super) fn is_of_domain(ending: &str) -> bool {
    let endings = ["pem", "crt", "cer", "cert", "key", "csr", "p12", "pfx", "conf", "log"];
    (3..=4).contains(&ending.len()) && endings.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Whether `name`, in lower case, is or belongs to a domain that everybody's software asks.
pub(super) fn is_everybodys_domain(name: &str) -> bool {
    let belongs = |front: &str| front.is_empty() || front.ends_with('.');
    EVERYBODYS_DOMAINS.iter().any(|known| name.strip_suffix(known).is_some_and(belongs))
}

/// RFC 5321, section 4.5.3.1.1.
const LONGEST_LOCAL: usize = 64;

/// RFC 1035, section 2.3.4.
const LONGEST_DOMAIN: usize = 253;
