//! The machine's own names in text: how they may be written, and where a name that is also a word means the name.

use std::ops::Range;

use belay_protocol::report::PrivateKind;

use super::labelled::{NOT_SECRET, SAID_OF_SECRETS};
use super::words::{FILE_ENDINGS, HOST_LABELS, NOT_A_PERSON, PERSON_LABELS, VERSION_LABELS};
use super::{Found, What, after_any, is_everybodys_name, is_ordinary, is_technical};

/// Names of at most this many bytes are looked for word by word.
pub(super) const SHORT_BYTES: usize = 3;

/// A name of at least this many bytes is replaced even inside a word, as in `Alices-iPhone`.
const UNMISTAKABLE_BYTES: usize = 5;

/// Where a name counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Also inside a word.
    Anywhere,
    /// Between other characters than letters and digits: a person called `anna` must not blacken every `savannah`.
    Word,
    /// Only where something shows that a name is meant: a person called `bo` must not blacken the columns of vmstat.
    Evident(Sense),
}

/// What a name means besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// Nothing.
    Name,
    /// A word of the language.
    Word,
    /// A part of a machine, or a program that many have: a field that holds nothing else tells of that.
    Part,
}

impl Sense {
    fn of(kind: PrivateKind, name: &str, is_part: bool) -> Self {
        match kind {
            PrivateKind::User | PrivateKind::Host | PrivateKind::Wifi if is_part || is_technical(name) => Self::Part,
            _ if is_ordinary(name) => Self::Word,
            _ => Self::Name,
        }
    }
}

impl Fit {
    /// `is_part` says whether this machine calls one of its parts so.
    pub(super) fn of(kind: PrivateKind, name: &str, is_part: bool) -> Self {
        let sense = Sense::of(kind, name, is_part);
        match kind {
            _ if !name.is_ascii() => Self::Anywhere,
            _ if name.len() <= SHORT_BYTES || sense != Sense::Name => Self::Evident(sense),
            // An address is a part of another one.
            PrivateKind::Address => Self::Word,
            _ if name.len() >= UNMISTAKABLE_BYTES && name.bytes().any(|byte| byte.is_ascii_alphabetic()) => {
                Self::Anywhere
            }
            _ => Self::Word,
        }
    }

    /// For a name that a report has shown by its place: less is known of it than of the machine's own.
    pub(super) fn of_learnt(name: &str) -> Self {
        if name.is_ascii() { Self::Word } else { Self::Anywhere }
    }

    pub(super) fn accepts(self, kind: PrivateKind, text: &str, range: &Range<usize>) -> bool {
        let (before, behind) = (text.get(..range.start).unwrap_or_default(), text.get(range.end..).unwrap_or_default());
        let joined = |c: char| c.is_ascii_alphanumeric();
        let alone = !before.ends_with(joined) && !behind.starts_with(joined);
        match self {
            Self::Anywhere => true,
            Self::Word => alone && !(kind == PrivateKind::Address && is_part(before, behind)),
            Self::Evident(sense) => alone && is_evident(kind, sense, text, range),
        }
    }
}

/// Whether digits go on behind a dot or colon, so that this is the middle of something longer.
fn is_part(before: &str, behind: &str) -> bool {
    let mut ahead = behind.chars();
    let goes_on = matches!(ahead.next(), Some('.')) && ahead.next().is_some_and(|c| c.is_ascii_digit());
    let mut back = before.chars().rev();
    let came_from = matches!(back.next(), Some('.')) && back.next().is_some_and(|c| c.is_ascii_digit());
    goes_on || came_from
}

fn is_evident(kind: PrivateKind, sense: Sense, text: &str, range: &Range<usize>) -> bool {
    let (before, behind) = (text.get(..range.start).unwrap_or_default(), text.get(range.end..).unwrap_or_default());
    let name = text.get(range.clone()).unwrap_or_default();
    // The name of a process or a device in a field of its own.
    let is_all = text.len() == name.len() && sense != Sense::Part;
    // `Li-ion` is a kind of battery: two letters are too few.
    let is_single = text.len() <= SINGLE_MAX_BYTES
        && name.len() > 2
        && !text.contains([' ', '/', '=', ','])
        && sense == Sense::Name;
    if is_all || is_single {
        return true;
    }
    let quoted = before.ends_with(['"', '\'', '“', '「', '`']) && behind.starts_with(['"', '\'', '”', '」', '`']);
    let possessive = behind.starts_with("'s") || behind.starts_with("’s") || behind.starts_with("的");
    let named = |labels: &[&str]| after_any(before, labels);
    match kind {
        PrivateKind::User => {
            let next = behind.trim_start_matches([' ', '-', '_', '.']);
            let next: String = next.chars().take_while(|c| c.is_alphanumeric()).collect();
            let is_word = behind.starts_with(' ') && NOT_A_PERSON.contains(&name.to_lowercase().as_str());
            let in_home = in_path(before);
            // `uid=1000(bo)`, `bo@host`, `~bo`.
            let signed = (before.ends_with('(') && before.trim_end_matches('(').ends_with(|c: char| c.is_ascii_digit()))
                // cron's `CRON[77]: (bo) CMD`
                || (before.ends_with("]: (") && behind.starts_with(')'))
                || behind.starts_with('@')
                || before.ends_with('~');
            let acts =
                ["logged", "login", "opened", "closed", "登录"].contains(&next.as_str()) && behind.starts_with(' ');
            in_home
                || signed
                || possessive
                || acts
                || (quoted && named(&PERSON_LABELS))
                || (named(&PERSON_LABELS) && !is_word && is_value(sense, before, behind))
        }
        PrivateKind::Host => {
            // `Nov 22 15:10:29 nas sshd[7]:`, and the form of RFC 5424.
            let stamp = before.strip_suffix(' ').and_then(|before| before.rsplit(' ').next()).unwrap_or_default();
            let is_stamped = stamp.contains(':')
                && stamp.ends_with(|c: char| c.is_ascii_digit() || c == 'Z')
                && stamp.starts_with(|c: char| c.is_ascii_digit())
                && behind.starts_with(' ');
            let addressed =
                before.ends_with('@') || before.ends_with("//") || before.ends_with("\\\\") || behind.starts_with(":/");
            is_stamped || addressed || possessive || (named(&HOST_LABELS) && is_value(sense, before, behind))
        }
        _ => quoted || before.ends_with('=') || named(&["ssid", "essid", "network", "wifi", "wlan", "无线网络"]),
    }
}

/// The whole of `first.last` where one of the two is at a place that is `known` for a person's name.
pub(super) fn full_name(text: &str, known: &[Range<usize>]) -> Option<Found> {
    let (first, last) = text.split_once('.').filter(|(first, last)| is_two_names(first, last))?;
    let halves = [0..first.len(), text.len() - last.len()..text.len()];
    let is_known = known.iter().any(|place| halves.contains(place));
    is_known.then_some(Found { range: 0..text.len(), what: What::Labelled(PrivateKind::User) })
}

/// Whether `first.last` has the form of a person's two names.
pub fn is_two_names(first: &str, last: &str) -> bool {
    let is_name = |name: &str| name.chars().count() >= 2 && name.chars().all(char::is_alphabetic);
    is_name(first) && is_name(last) && !FILE_ENDINGS.contains(&last.to_lowercase().as_str())
}

/// A process or a device is hardly ever called more than this.
const SINGLE_MAX_BYTES: usize = 32;

/// A step of a path: `/srv/bo/x`, `C:\Users\bo`.
fn in_path(before: &str) -> bool {
    before.ends_with(['/', '\\']) && !before.ends_with("//")
}

/// `user=bo`, `user: "bo"`, and `for user bo` when it does not go on as a sentence about something else would.
fn is_value(sense: Sense, before: &str, behind: &str) -> bool {
    if before.trim_end_matches(['"', '\'', ' ', '(']).ends_with(['=', ':', '：']) {
        return true;
    }
    let next: String = behind.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    let ends =
        behind.is_empty() || behind.starts_with(|c: char| !c.is_alphanumeric() && c != ' ' && c != '-' && c != '_');
    let goes_on = behind.starts_with(' ') && BEHIND_NAMES.contains(&next.to_lowercase().as_str());
    (ends || goes_on)
        && (sense == Sense::Name || after_any(before, &["user", "username", "host", "hostname", "用户", "主机"]))
        || before.trim_end().ends_with(|c: char| !c.is_ascii())
}

/// What goes on behind a name; nothing at all, as before a number, is one of them.
const BEHIND_NAMES: [&str; 14] =
    ["", "from", "by", "on", "at", "via", "ssh", "port", "to", "is", "has", "was", "not", "logged"];

/// How `name` may be written: as it is, in upper and lower case beyond ASCII, with other characters between its words, and
/// as JSON escapes. Percent-encoding is decoded before names are looked for.
pub(super) fn spellings(kind: PrivateKind, name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned()];
    if !name.is_ascii() {
        all.extend([name.to_lowercase(), name.to_uppercase(), escaped(name)]);
    }
    if kind == PrivateKind::User && name.contains(' ') {
        let words: Vec<_> = name.split_whitespace().collect();
        for between in ["", ".", "_", "-", "+", "\\040", "\\x20", "\u{a0}"] {
            all.push(words.join(between));
        }
        if let Some((last, front)) = words.split_last() {
            all.extend([format!("{last}, {}", front.join(" ")), format!("{last} {}", front.join(" "))]);
        }
    }
    if kind == PrivateKind::Wifi && name.contains(' ') {
        all.extend(["_", "\\040", "\\x20"].map(|between| name.replace(' ', between)));
    }
    if kind == PrivateKind::HardwareAddress {
        let digits: String = name.chars().filter(char::is_ascii_hexdigit).collect();
        all.push(digits);
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// `name` with JSON escapes for what is not ASCII.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len() * 2);
    for letter in name.chars() {
        if letter.is_ascii() {
            text.push(letter);
        } else {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// Whether a name that stood behind a label or in its place can be looked for everywhere else.
pub fn is_learnable(name: &str) -> bool {
    let letters = name.chars().filter(|c| c.is_alphanumeric()).count();
    let least = if name.is_ascii() { LEARNT_LETTERS } else { LEARNT_CHARACTERS };
    let is_number = name.chars().all(|c| c.is_ascii_hexdigit()) && name.contains(|c: char| c.is_ascii_digit());
    let lower = name.to_lowercase();
    let word = lower.as_str();
    let is_word = is_ordinary(word)
        || is_technical(word)
        || is_everybodys_name(word)
        || NOT_A_PERSON.contains(&word)
        || PERSON_LABELS.contains(&word)
        || HOST_LABELS.contains(&word)
        || VERSION_LABELS.contains(&word)
        || FILE_ENDINGS.contains(&word)
        || SAID_OF_SECRETS.contains(&word)
        || NOT_SECRET.contains(&word)
        || NOT_LEARNT.contains(&word);
    letters >= least && name.len() <= LEARNT_MAX_BYTES && !is_word && !is_number && !name.contains(char::is_control)
}

/// Letters and digits of the shortest name that is learnt: shorter ones are words of every log.
const LEARNT_LETTERS: usize = 4;

/// The same for scripts in which a name has two.
const LEARNT_CHARACTERS: usize = 2;

/// A domain name (RFC 1035, section 2.3.4) is the longest.
const LEARNT_MAX_BYTES: usize = 253;

/// Words that stand where names do and are none.
const NOT_LEARNT: [&str; 72] = [
    "account",
    "active",
    "android",
    "anonymous",
    "apple",
    "backups",
    "bitcoin",
    "common",
    "container",
    "containers",
    "device",
    "directory",
    "documents",
    "downloads",
    "email",
    "export",
    "exports",
    "folder",
    "global",
    "invalid",
    "library",
    "machine",
    "movies",
    "music",
    "password",
    "people",
    "photos",
    "pictures",
    "private",
    "process",
    "profile",
    "projects",
    "shared",
    "software",
    "unknown",
    "videos",
    "volume",
    "volumes",
    "website",
    "workgroup",
    "管理员",
    "用户",
    "登录",
    "系统",
    "客户",
    "公司",
    "电话",
    "不存在",
    "corp",
    "company",
    "limited",
    "holding",
    "added",
    "removed",
    "deprecated",
    "denied",
    "allowed",
    "enabled",
    "disabled",
    "available",
    "connected",
    "success",
    "successful",
    "exists",
    "found",
    "created",
    "deleted",
    "started",
    "stopped",
    "used",
    "unused",
    "locked",
];

#[cfg(test)]
mod tests {
    use super::is_learnable;

    #[test]
    fn names_are_looked_for_elsewhere_and_words_are_not() {
        for name in ["jdoe", "srv-ad01", "nas7", "edda", "王芳", "Zoë", "jdoe2"] {
            assert!(is_learnable(name), "{name}");
        }
        for word in ["bo", "CORP", "admin", "ADDED", "required", "server", "home", "1000", "12ab", "管理员", "password"]
        {
            assert!(!is_learnable(word), "{word}");
        }
    }
}
