//! Telephone numbers that show by their form.

use super::{Place, goes_on, is_boundary, is_figure, run_of};

/// A telephone number in its international form, or in one of the forms with separators that nothing else has.
pub(super) fn at(here: &Place<'_>, rest: &str) -> Option<usize> {
    let before = here.before();
    if let Some(number) = rest.strip_prefix('+') {
        if before.ends_with(|c: char| c.is_alphanumeric()) {
            return None;
        }
        let behind = here.behind(1);
        let length = run_of(behind, |byte| byte.is_ascii_digit() || b" -().".contains(&byte));
        let length = behind.get(..length)?.trim_end_matches([' ', '-', '(', '.', ')']).len();
        let digits = behind.get(..length)?.bytes().filter(u8::is_ascii_digit).count();
        let starts = number.starts_with(|c: char| ('1'..='9').contains(&c));
        let (longest, shortest) = PHONE_DIGITS;
        return (starts && (shortest..=longest).contains(&digits) && is_boundary(behind, length)).then_some(length + 1);
    }
    let pattern = |groups: [usize; 3]| {
        let text = here.behind(0);
        let mut at = 0;
        for (place, digits) in groups.into_iter().enumerate() {
            if place > 0 {
                at += text.get(at..)?.starts_with([' ', '-']).then_some(1)?;
            }
            at += Some(run_of(text.get(at..)?, |byte| byte.is_ascii_digit())).filter(|run| *run == digits)?;
        }
        let ends = !text.get(at..)?.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == ':');
        // `138-1234-5678` and `415-555-2671`; with blanks alone it could be a row of figures.
        (ends && text.get(..at)?.contains('-') && !before.ends_with(['-', '.', ':', '#', '_'])).then_some(at)
    };
    if rest.starts_with('1') {
        if let Some(length) = pattern([3, 4, 4]) {
            return Some(length);
        }
        // Eleven digits in a row are a size as well, unless Chinese stands beside them.
        let digits = run_of(rest, |byte| byte.is_ascii_digit());
        let second = rest.as_bytes().get(1).is_some_and(|byte| (b'3'..=b'9').contains(byte));
        let chinese =
            |c: Option<char>| c.is_some_and(|c| ('\u{4e00}'..='\u{9fff}').contains(&c) || "：，。、（）".contains(c));
        let beside = chinese(before.chars().next_back()) || chinese(here.behind(digits).chars().next());
        if digits == 11 && second && beside && is_boundary(rest, digits) {
            return Some(digits);
        }
    }
    pattern([3, 3, 4]).or_else(|| national(here))
}

/// The length of a number as it is dialled within many countries, with the 0 before the area and a sign behind that:
/// `0171-2345678`, `030/1234567`, `(030) 123456`. Between blanks alone only the areas of German mobiles are told from
/// figures.
fn national(here: &Place<'_>) -> Option<usize> {
    let (before, text) = (here.before(), here.behind(0));
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let area = run_of(text, is_digit);
    let is_area = AREA_DIGITS.contains(&area) && text.starts_with('0') && !text.starts_with("00");
    let behind = text.get(area..).filter(|_| is_area)?;
    let is_mobile = ["015", "016", "017"].into_iter().any(|front| text.starts_with(front));
    let in_brackets: &[&str] = if before.ends_with('(') { &[") ", ")-", ")/", ")"] } else { &[] };
    let plain: &[&str] = if is_mobile { &["-", "/", " "] } else { &["-", "/"] };
    let sign = *in_brackets.iter().chain(plain).find(|sign| behind.starts_with(**sign))?;
    let number = behind.get(sign.len()..)?;
    // What stands in brackets is followed by groups.
    let in_number = |byte: u8| byte.is_ascii_digit() || (sign.starts_with(')') && matches!(byte, b' ' | b'-'));
    let length = number.get(..run_of(number, in_number))?.trim_end_matches([' ', '-']).len();
    let digits = number.get(..length)?.bytes().filter(u8::is_ascii_digit).count();
    let rest = number.get(length..)?;
    let in_row = sign == " " && (before.trim_end_matches(' ').ends_with(is_figure) || goes_on(rest, &[' ']));
    let ends = is_boundary(number, length) && !goes_on(rest, &['.', ':', '-', ',']) && !rest.starts_with('/');
    let is_whole = (NATIONAL_SHORTEST..=PHONE_DIGITS.0).contains(&(area + digits)) && digits >= LOCAL_SHORTEST;
    let is_part = before.ends_with(|c: char| c.is_alphanumeric() || ".:-_#%+".contains(c))
        || before.ends_with('/') && sign == "/"
        || before.strip_suffix(',').is_some_and(|before| before.ends_with(is_figure));
    (ends && is_whole && !is_part && !in_row).then_some(area + sign.len() + length)
}

/// Digits of an area's code with its 0.
pub(super) const AREA_DIGITS: std::ops::RangeInclusive<usize> = 3..=6;

/// Digits of the shortest number with its area, and of the shortest within one.
const NATIONAL_SHORTEST: usize = 9;
const LOCAL_SHORTEST: usize = 5;

/// The most digits of ITU-T E.164, and fewer than any full number has.
const PHONE_DIGITS: (usize, usize) = (15, 8);

#[cfg(test)]
mod tests {
    use belay_agent::redact::{Aliases, Identity};

    fn check(text: &str, expected: &str) {
        let masked = Aliases::of(&Identity::default()).mask(text).unwrap();
        assert_eq!(masked, expected, "{text}");
    }

    #[test]
    fn numbers_are_replaced_as_they_are_dialled_within_a_country() {
        check("call 0171-2345678.", "call phone-1.");
        check("tel 030/1234567, today", "tel phone-1, today");
        check("(030) 123456", "(phone-1");
        check("Fax (0 30) or (089) 123 45 67", "Fax (0 30) or (phone-1");
        check("0171 2345678", "phone-1");
        check("(0171-2345678) (0171 2345678)", "(phone-1) (phone-1)");
        check("0171/2345678 030/1234567", "phone-1 phone-2");
    }

    #[test]
    fn figures_days_and_paths_stay() {
        for text in [
            "01-02-2026 03:04:05",
            "2026-01-02",
            "030/1234567/x",
            "/srv/030/1234567",
            "sector 0/1234567",
            "00123-1234567",
            "0123 1234567",
            "0171 2345678 99",
            "12 0171 2345678",
            "0x0171-2345678",
            "0171-2345678-1",
            "0171-2345678.5",
            "1.030/1234567",
            "0000:00:1f.2",
            "id 0171_2345678",
            "(012) ok",
            "(010) 12",
            "0755/root",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn an_interface_whose_hardware_address_is_all_letters_shows_it() {
        check("enxdeadbeefcafe: renamed from eth0", "enxmac-1: renamed from eth0");
        check("wlxabcdefabcdef wwxfeedfacebeef", "wlxmac-1 wwxmac-2");
        for text in ["enxdeadbeefcafes", "enx-something-else", "experimentation", "wlxabcdef"] {
            check(text, text);
        }
    }

    proptest::proptest! {
        #[test]
        fn looking_at_any_number_never_panics(text in "([0-9 ()/+-]|王|enx|wlx|[a-f]){0,40}") {
            let _ = Aliases::of(&Identity::default()).mask(&text);
        }
    }
}
