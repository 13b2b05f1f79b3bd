//! People whose devices are called after them: `Erika's iPhone`, `Erikas-MacBook`, 王芳的iPhone. Telephones and tablets are
//! given such names when they are set up, and carry them wherever they are plugged in.

use std::ops::Range;

use belay_protocol::report::PrivateKind;

use super::{Found, What};

/// What stands between a person and a device, and the device, in lower case.
pub(super) const OWNED: [&str; 28] = [
    "'s iphone",
    "’s iphone",
    "s-iphone",
    "的iphone",
    "'s ipad",
    "’s ipad",
    "s-ipad",
    "的ipad",
    "'s ipod",
    "’s ipod",
    "s-ipod",
    "的ipod",
    "'s macbook",
    "’s macbook",
    "s-macbook",
    "的macbook",
    "'s imac",
    "’s imac",
    "s-imac",
    "的imac",
    "'s airpods",
    "’s airpods",
    "s-airpods",
    "的airpods",
    "'s galaxy",
    "’s galaxy",
    "s-galaxy",
    "的galaxy",
];

/// The person before one of [`OWNED`], which stands in `range`.
pub(super) fn owner(text: &str, range: &Range<usize>) -> Option<Found> {
    let before = text.get(..range.start)?;
    let sign = text.get(range.clone())?;
    let is_chinese = sign.starts_with('的');
    // `bus-ipod` is nobody's.
    let least = if sign.starts_with(['s', 'S']) { 4 } else { 2 };
    let fits = |c: char| c.is_alphabetic() && c.is_ascii() != is_chinese;
    let last = |text: &str| {
        let length: usize = text.chars().rev().take(LONGEST).take_while(|c| fits(*c)).map(char::len_utf8).sum();
        text.len() - length
    };
    let mut start = if is_chinese || before.ends_with(|c: char| c.is_ascii()) {
        last(before)
    } else {
        // `Zoë’s iPhone`
        before.char_indices().rev().take_while(|(_, c)| c.is_alphabetic()).last().map_or(before.len(), |(at, _)| at)
    };
    // A name with two words is one where nothing else stands before it.
    if let Some(front) = before.get(..start)?.strip_suffix(' ').filter(|front| (1..=LONGEST).contains(&front.len()))
        && front.chars().all(char::is_alphabetic)
        && front.starts_with(char::is_uppercase)
    {
        start = 0;
    }
    let name = before.get(start..)?;
    let letters = name.chars().count();
    let is_name = (least..=LONGEST).contains(&letters) && !NOBODY.contains(&name.to_lowercase().as_str());
    is_name.then_some(Found { range: start..range.start, what: What::Labelled(PrivateKind::User) })
}

/// Letters of two long names.
const LONGEST: usize = 40;

/// Words that stand before `'s` and are no people.
const NOBODY: [&str; 16] = [
    "the", "this", "that", "it", "user", "customer", "apple", "samsung", "today", "who", "what", "my", "your", "我",
    "你的", "用户",
];

#[cfg(test)]
mod tests {
    use belay_agent::redact::{Aliases, Identity};

    fn check(text: &str, expected: &str) {
        let masked = Aliases::of(&Identity::default()).mask(text).unwrap();
        assert_eq!(masked, expected, "{text}");
    }

    #[test]
    fn people_whose_devices_are_called_after_them_are_replaced() {
        check("Erika's iPhone", "user-1's iPhone");
        check("Erika Muster’s iPad", "user-1’s iPad");
        check("Erikas-MacBook-Pro.local", "host-1");
        check("erikas-iphone", "user-1s-iphone");
        check("王芳的iPhone", "user-1的iPhone");
        check("Zoë's AirPods", "user-1's AirPods");
        for text in ["Apple's iPhone", "iPhone", "user's ipad", "'s iphone", "bus-ipod", "的iPhone"] {
            check(text, text);
        }
    }

    proptest::proptest! {
        #[test]
        fn looking_at_any_owner_never_panics(text in "([A-Zéë王 ]|'s iphone|的iPad|s-imac){0,20}") {
            let _ = Aliases::of(&Identity::default()).mask(&text);
        }
    }
}
