//! What stands behind the labels of numbers and of wireless networks.

use std::ops::Range;

use super::{Around, MOST_BETWEEN, SignKind, bare_end, quoted_end};

/// A number behind a label for serial numbers: six letters and digits at least, one of them a digit.
pub(super) fn serial(text: &str, range: &Range<usize>) -> Option<Range<usize>> {
    let before = text.get(..range.start)?;
    if before.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let label = Around::new(text, range);
    let sign =
        label.sign(false).filter(|sign| sign.kind != SignKind::Blank || !label.label.eq_ignore_ascii_case("serial"))?;
    let value = text.get(sign.value..)?;
    let end = value.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')).unwrap_or(value.len());
    let number = value.get(..end)?.trim_end_matches(['.', '-']);
    let fits = number.len() >= SHORTEST_SERIAL && number.bytes().any(|byte| byte.is_ascii_digit());
    fits.then_some(sign.value..sign.value + number.len())
}

/// Shorter ones are counts of ports and positions.
const SHORTEST_SERIAL: usize = 6;

/// A telephone number behind its label.
pub(super) fn phone(text: &str, range: &Range<usize>) -> Option<Range<usize>> {
    let label = Around::new(text, range);
    let is_label = label.front.is_empty() || label.front.ends_with(['_', '-', '.']) || !label.label.is_ascii();
    let rest = text.get(range.end..)?;
    let starts = |(_, c): &(usize, char)| c.is_ascii_digit() || matches!(c, '+' | '(');
    let (skip, _) = rest.char_indices().take(MOST_BETWEEN).find(starts).filter(|_| is_label)?;
    let between = rest.get(..skip)?;
    let is_signed = between.contains([':', '=', '：']) || !label.label.is_ascii() || rest.starts_with(" +");
    let is_between = |c: char| !c.is_alphanumeric() || matches!(c, '号' | '码' | '是' | '为');
    if !is_signed || !between.chars().all(is_between) {
        return None;
    }
    let value = rest.get(skip..)?;
    let end = value
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, ' ' | '-' | '+' | '(' | ')' | '.'))
        .unwrap_or(value.len());
    let number = value.get(..end)?.trim_end_matches([' ', '-', '.', '(', '+']);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    (digits >= SHORTEST_PHONE).then(|| range.end + skip..range.end + skip + number.len())
}

/// Numbers within one place.
const SHORTEST_PHONE: usize = 7;

/// The name of a network behind `SSID`: quoted, or up to the next mark.
pub(super) fn wifi(text: &str, range: &Range<usize>) -> Option<Range<usize>> {
    let before = text.get(..range.start)?;
    let front = before.chars().next_back();
    // ESSID is the same thing; BSSID is the address of its access point.
    if front.is_some_and(|c| c.is_ascii_alphanumeric() && !matches!(c, 'e' | 'E')) {
        return None;
    }
    let label = Around::new(text, range);
    let sign = label.sign(!label.label.is_ascii())?;
    let value = text.get(sign.value..)?;
    if sign.kind == SignKind::Blank && sign.quote.is_none() {
        return None;
    }
    let end = sign.quote.map_or_else(
        || value.find([',', ';', '\n', '"', ')', '，', '。']).unwrap_or(value.len()),
        |quote| quoted_end(value, quote),
    );
    let end = if sign.quote.is_none() && sign.kind == SignKind::Equals { bare_end(value).min(end) } else { end };
    let name = value.get(..end)?.trim_end();
    (!name.is_empty() && name.len() <= SSID_MAX_BYTES && !["any", "off", "off/any", "hidden"].contains(&name))
        .then(|| sign.value..sign.value + name.len())
}

/// IEEE 802.11 allows 32 bytes; some programs escape each with four.
const SSID_MAX_BYTES: usize = 128;
