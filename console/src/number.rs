//! Ticket numbers that people read aloud, and the check digit that notices when they were misheard.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use belay_protocol::invite::damm_digit;

/// The number of a ticket: `BL-10001-4`. The last digit is a Damm check digit over the digits before it, which finds
/// every single wrong digit and every swap of neighbours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TicketNumber(i64);

/// A text was not a ticket number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a ticket number: expected the form BL-10001-4 and a matching last digit")]
pub struct NotATicketNumber;

impl TicketNumber {
    /// The number of the first ticket of a desk. Five digits from the start, so that numbers look alike.
    pub const FIRST: Self = Self(10_001);

    /// The number with this serial; serials below 1 do not exist.
    pub const fn from_serial(serial: i64) -> Self {
        Self(serial)
    }

    /// The serial without prefix and check digit.
    pub const fn serial(self) -> i64 {
        self.0
    }
}

impl fmt::Display for TicketNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let check = check_digit(&digits).unwrap_or_default();
        f.pad(&format!("BL-{digits}-{check}"))
    }
}

impl FromStr for TicketNumber {
    type Err = NotATicketNumber;

    /// Reads the number with or without `BL`, dashes and spaces, in either case.
    fn from_str(text: &str) -> Result<Self, NotATicketNumber> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(NotATicketNumber);
        }
        let compact: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let digits = compact.strip_prefix("BL").or_else(|| compact.strip_prefix("bl")).unwrap_or(&compact);
        if digits.len() < 2 || check_digit(digits) != Some(0) {
            return Err(NotATicketNumber);
        }
        match digits[..digits.len() - 1].parse() {
            Ok(serial) if serial > 0 => Ok(Self(serial)),
            _ => Err(NotATicketNumber),
        }
    }
}

impl Serialize for TicketNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TicketNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The Damm check digit of decimal `digits`, or `None` when one is not a digit. Over digits that already end in their
/// check digit it is 0.
fn check_digit(digits: &str) -> Option<u8> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| damm_digit(digits.bytes().map(|digit| digit - b'0')))
}

/// Longer than any number that can exist, with every separator.
const MAX_TEXT_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_being_said_in_several_ways() {
        let number = TicketNumber::FIRST;
        let text = number.to_string();
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        for said in [text.clone(), text.to_lowercase(), digits.clone(), format!("bl {digits}")] {
            assert_eq!(said.parse(), Ok(number), "{said}");
        }
    }

    #[test]
    fn every_single_wrong_digit_and_every_swap_of_neighbours_is_noticed() {
        let text = TicketNumber::from_serial(10_482).to_string().replace("BL", "").replace('-', "");
        for at in 0..text.len() {
            for digit in b'0'..=b'9' {
                let mut wrong = text.clone().into_bytes();
                if wrong[at] == digit {
                    continue;
                }
                wrong[at] = digit;
                assert!(String::from_utf8(wrong).unwrap().parse::<TicketNumber>().is_err());
            }
            let mut swapped = text.clone().into_bytes();
            if at + 1 < swapped.len() && swapped[at] != swapped[at + 1] {
                swapped.swap(at, at + 1);
                assert!(String::from_utf8(swapped).unwrap().parse::<TicketNumber>().is_err());
            }
        }
    }

    #[test]
    fn other_texts_are_not_numbers() {
        for text in ["", "BL", "BL-0", "0", "00", "BL-x-1", "磁盘", &"1".repeat(40)] {
            assert!(text.parse::<TicketNumber>().is_err(), "{text}");
        }
    }
}
