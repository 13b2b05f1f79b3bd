//! Values that show by what stands in front of them: `password=`, `SSID:`, `/home/`, 密码.

use std::ops::Range;

use belay_protocol::report::PrivateKind;

use super::logons::{self, behind_domain};
use super::words::NOT_A_PERSON;
use super::{Found, What, is_everybodys_name, places};

mod values;

/// What kind of value stands behind a label, and how strict to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// Secret whatever the value looks like.
    Secret,
    /// Like [`Self::Secret`], and everything up to the end of the line when it is not quoted.
    Phrase,
    /// `pass`, which also counts tests that passed.
    Pass,
    /// `pwd`, which is a directory as well.
    Pwd,
    /// `pw`, which ends many words and is secret only by itself or behind a dash.
    Short,
    /// `key`, which is secret in company only: `api_key`, `private-key`.
    Key,
    /// A secret if the value looks like one.
    Likely,
    /// A header whose value reaches to the end of the line.
    Header,
    /// A secret behind a word in Chinese, which needs no separator.
    Chinese,
    /// A serial number.
    Serial,
    /// A telephone number.
    Phone,
    /// The name of a wireless network.
    Wifi,
    /// A login name right behind.
    User,
    /// A login name in a sentence.
    UserInSentence,
    /// A directory of homes, whose number may follow: `/home/`, `/home2/`, `/homes/`.
    Home,
    /// The same on Windows, where names have blanks.
    WindowsHome,
    /// `/media/`, below which each person's media are mounted.
    Media,
    /// The two backslashes before the host of a share.
    Unc,
    /// The backslash in `DOMAIN\name`.
    Logon,
    /// `smb://`, before the host of a share.
    Server,
}

/// Labels in lower case; where one is the end of another, both are found and judged.
pub(super) const LABELS: &[(&str, Label)] = &[
    ("password", Label::Secret),
    ("passwd", Label::Secret),
    ("passcode", Label::Secret),
    ("passwort", Label::Secret),
    ("kennwort", Label::Secret),
    ("pw", Label::Short),
    ("passphrase", Label::Phrase),
    ("mnemonic", Label::Phrase),
    ("secret", Label::Secret),
    ("token", Label::Secret),
    ("apikey", Label::Secret),
    ("accesskey", Label::Secret),
    ("secretkey", Label::Secret),
    ("privatekey", Label::Secret),
    ("presharedkey", Label::Secret),
    ("accountkey", Label::Secret),
    ("credential", Label::Secret),
    ("psk", Label::Secret),
    ("pass", Label::Pass),
    ("pwd", Label::Pwd),
    ("key", Label::Key),
    ("auth", Label::Likely),
    ("sig", Label::Likely),
    ("signature", Label::Likely),
    ("session", Label::Likely),
    ("sessionid", Label::Likely),
    ("sessid", Label::Likely),
    ("session_id", Label::Likely),
    ("sid", Label::Likely),
    ("nonce", Label::Likely),
    ("otp", Label::Likely),
    ("pin", Label::Likely),
    ("authorization", Label::Header),
    ("cookie", Label::Header),
    ("密码", Label::Chinese),
    ("密碼", Label::Chinese),
    ("口令", Label::Chinese),
    ("令牌", Label::Chinese),
    ("密钥", Label::Chinese),
    ("秘钥", Label::Chinese),
    ("凭据", Label::Chinese),
    ("验证码", Label::Chinese),
    ("serial", Label::Serial),
    ("serial number", Label::Serial),
    ("serialnumber", Label::Serial),
    ("serial_number", Label::Serial),
    ("serial-number", Label::Serial),
    ("s/n", Label::Serial),
    ("sn", Label::Serial),
    ("service tag", Label::Serial),
    ("asset tag", Label::Serial),
    ("imei", Label::Serial),
    ("meid", Label::Serial),
    ("imsi", Label::Serial),
    ("iccid", Label::Serial),
    ("序列号", Label::Serial),
    ("身份证", Label::Serial),
    ("身份证号", Label::Serial),
    ("身份证号码", Label::Serial),
    ("银行卡号", Label::Serial),
    ("微信号", Label::Serial),
    ("phone", Label::Phone),
    ("telephone", Label::Phone),
    ("mobile", Label::Phone),
    ("cell", Label::Phone),
    ("tel", Label::Phone),
    ("fax", Label::Phone),
    ("手机", Label::Phone),
    ("手机号", Label::Phone),
    ("电话", Label::Phone),
    ("ssid", Label::Wifi),
    ("无线网络", Label::Wifi),
    ("user=", Label::User),
    ("username=", Label::User),
    ("username:", Label::User),
    ("login=", Label::User),
    ("logname=", Label::User),
    ("acct=", Label::User),
    ("owner=", Label::User),
    ("for user ", Label::UserInSentence),
    ("of user ", Label::UserInSentence),
    ("invalid user ", Label::UserInSentence),
    ("password for ", Label::UserInSentence),
    ("publickey for ", Label::UserInSentence),
    ("用户 ", Label::UserInSentence),
    ("用户名", Label::User),
    ("姓名", Label::User),
    ("联系人", Label::User),
    ("/user:", Label::User),
    ("/home", Label::Home),
    ("/users", Label::Home),
    ("\\users\\", Label::WindowsHome),
    ("/media/", Label::Media),
    ("\\\\", Label::Unc),
    ("\\", Label::Logon),
    ("smb://", Label::Server),
    ("cifs://", Label::Server),
    ("nfs://", Label::Server),
];

impl Label {
    /// Finds the value behind the label that stands in `range`.
    pub(super) fn look(self, text: &str, range: &Range<usize>, found: &mut Vec<Found>) {
        let labelled = |kind, range: Range<usize>| Found { range, what: What::Labelled(kind) };
        match self {
            Self::Secret
            | Self::Phrase
            | Self::Pass
            | Self::Pwd
            | Self::Short
            | Self::Key
            | Self::Likely
            | Self::Header
            | Self::Chinese => {
                found.extend(self.secret(text, range).map(|range| Found { range, what: What::Secret }));
            }
            Self::Serial => found.extend(values::serial(text, range).map(|range| labelled(PrivateKind::Serial, range))),
            Self::Phone => found.extend(values::phone(text, range).map(|range| labelled(PrivateKind::Phone, range))),
            Self::Wifi => found.extend(values::wifi(text, range).map(|range| labelled(PrivateKind::Wifi, range))),
            Self::User | Self::UserInSentence | Self::Home | Self::WindowsHome | Self::Media => {
                let Some(range) = self.person(text, range) else { return };
                // `CORP\jdoe` behind a label, in any case of letters; `bob\next line` was quoted with its end of line.
                let is_shouted = text.get(range.clone()).is_some_and(|name| !name.contains(char::is_lowercase));
                let is_line_end = text
                    .get(range.end..)
                    .is_some_and(|behind| ["\\n", "\\r", "\\t"].iter().any(|end| behind.starts_with(end)));
                let is_label = matches!(self, Self::User | Self::UserInSentence) && (is_shouted || !is_line_end);
                let logon = behind_domain(text, range.end).filter(|_| is_label);
                let domain = if logon.is_some() { PrivateKind::Host } else { PrivateKind::User };
                found.push(labelled(domain, range));
                found.extend(logon);
            }
            Self::Unc => logons::share(text, range, found),
            Self::Logon => logons::logon(text, range, found),
            Self::Server => found.extend(places::host(text, range.end)),
        }
    }

    fn secret(self, text: &str, range: &Range<usize>) -> Option<Range<usize>> {
        // Most labels are the beginning of some other word.
        let next = text.as_bytes().get(range.end)?;
        if next.is_ascii_alphabetic() && !matches!(next, b's' | b'S') && self != Self::Chinese {
            return None;
        }
        let label = Around::new(text, range);
        let sign = label.sign(self == Self::Chinese)?;
        // `Cookies: idx=3` counts something of the kernel's.
        if self == Self::Header && text.get(range.end..)?.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return None;
        }
        let value = text.get(sign.value..)?;
        let end = match self {
            Self::Header => line_end(value),
            Self::Phrase if sign.quote.is_none() => line_end(value),
            _ => sign.quote.map_or_else(|| bare_end(value), |quote| quoted_end(value, quote)),
        };
        let value = value.get(..end)?;
        (!value.is_empty() && self.is_secret(&label, &sign, value)).then_some(sign.value..sign.value + end)
    }

    fn is_secret(self, label: &Around<'_>, sign: &Sign, value: &str) -> bool {
        let lower = value.to_ascii_lowercase();
        let said = lower.trim_end_matches(['.', ',', '!', '?']);
        if NOT_SECRET.contains(&said)
            || value.starts_with("<removed>")
            || (sign.kind != SignKind::Equals && SAID_OF_SECRETS.contains(&said))
        {
            return false;
        }
        if sign.kind == SignKind::Blank && self != Self::Chinese {
            return label.is_option || (self == Self::Secret && looks_random(value, 6));
        }
        match self {
            Self::Secret => !label.follows_complaint(),
            Self::Phrase | Self::Chinese | Self::Header => true,
            Self::Pass => {
                let counted = value.bytes().all(|byte| byte.is_ascii_digit()) && sign.kind != SignKind::Equals;
                label.is_last_part(&["by", "com", "tres", "sur", "under", "over"]) && !counted
            }
            Self::Short => label.front.is_empty() || label.front.ends_with(['_', '-', '.']),
            Self::Pwd => !value.starts_with(['/', '~', '\\']) && value.get(1..2) != Some(":"),
            Self::Key => {
                let company = label.company.trim_end_matches(['_', '-', '.', ' ']).to_ascii_lowercase();
                let is_secret = COMPANY_OF_KEYS.iter().any(|word| company.ends_with(word));
                is_secret || (label.front.is_empty() && sign.kind == SignKind::Equals && looks_random(value, 16))
            }
            Self::Likely => {
                let exact = label.front.is_empty() || label.front.ends_with(['_', '-']);
                let number = value.len() >= 4 && value.bytes().all(|byte| byte.is_ascii_digit());
                exact
                    && (looks_random(value, 12)
                        || (number && ["otp", "pin"].contains(&label.label.to_ascii_lowercase().as_str())))
            }
            _ => false,
        }
    }

    fn person(self, text: &str, range: &Range<usize>) -> Option<Range<usize>> {
        let before = text.get(..range.start)?;
        let label = match self {
            Self::Home => range.start..range.end + homes_end(text.get(range.end..)?)?,
            _ => range.clone(),
        };
        let rest = text.get(label.end..)?;
        let in_path = matches!(self, Self::Home | Self::WindowsHome | Self::Media);
        // Behind `logname=` and a blank stands the next option.
        let may_be_blank = !in_path && !text.get(label.clone())?.ends_with(['=', ' ']);
        let is_between = |c: char| {
            matches!(c, '"' | '\'' | '“' | '\\') || (may_be_blank && matches!(c, ':' | '：' | '=' | ' ' | '/'))
        };
        let skipped = rest.len() - rest.trim_start_matches(is_between).len();
        // `用户名不存在` is a sentence.
        let is_sentence = skipped == 0 && !text.get(label.clone())?.is_ascii() && self == Self::User;
        if skipped > MOST_BETWEEN || is_sentence {
            return None;
        }
        let value = rest.get(skipped..)?;
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
        let end = value.find(|c: char| !is_part(c)).unwrap_or(value.len());
        let end = if self == Self::WindowsHome { end + further_words(value.get(end..)?) } else { end };
        let name = value.get(..end)?.trim_end_matches(['.', '-']);
        let behind = value.get(name.len()..)?;
        let glued = !in_path && before.ends_with(|c: char| c.is_ascii_alphanumeric());
        let word = name.to_lowercase();
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        let is_nobody = match self {
            Self::UserInSentence => NOT_A_PERSON.contains(&word.as_str()),
            // `/media/STICK` is the medium itself, unless systemd keeps the media of each person apart.
            Self::Media => {
                let goes_on = behind.strip_prefix('/').is_some_and(|behind| behind.starts_with(is_part));
                places::is_medium_name(name) || !(goes_on || before.ends_with("/run"))
            }
            Self::Home => behind.starts_with('+'),
            _ => false,
        };
        // `for user` begins sentences about any user as well.
        let ends = self != Self::UserInSentence
            || behind.is_empty()
            || behind.starts_with(['.', ',', ';', ':', '(', ')', '"', '\'', '\n', '\\', '”', '，', '。'])
            || [" from ", " by ", " on ", " at ", " via ", " not ", " in "].iter().any(|word| behind.starts_with(word));
        let fits = name.chars().count() >= 2 && !glued && !is_number && !is_nobody && ends && !is_everybodys_name(name);
        // `invalid user user` and `/home/linuxbrew` name nobody, `/home/user` does: the label decides.
        fits.then(|| label.end + skipped..label.end + skipped + name.len())
    }
}

/// The end of a directory of homes behind `/home`: `/`, `s/`, `2/`.
fn homes_end(rest: &str) -> Option<usize> {
    let plural = rest.strip_prefix(['s', 'S']).unwrap_or(rest);
    let step = plural.trim_start_matches(|c: char| c.is_ascii_digit());
    step.starts_with('/').then(|| rest.len() - step.len() + 1)
}

/// The length of the further words of a name that is a step of a path of Windows: ` Doe` before a backslash.
fn further_words(rest: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_');
    let length = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
    let goes_on = rest.starts_with(' ') && length <= LONGEST_WINDOWS_NAME;
    if goes_on && rest.get(length..).is_some_and(|behind| behind.starts_with('\\')) { length } else { 0 }
}

/// Characters of the longest login name of Windows.
const LONGEST_WINDOWS_NAME: usize = 20;

/// Characters between a label and its value.
const MOST_BETWEEN: usize = 8;

/// A label in its place.
struct Around<'a> {
    text: &'a str,
    label: &'a str,
    /// What stands before the label in the same word.
    front: &'a str,
    /// The same, or the word before when the label is a word of its own: `private key`.
    company: &'a str,
    /// Whether the word begins with two dashes.
    is_option: bool,
    before: &'a str,
    end: usize,
}

/// What stands between a label and its value.
struct Sign {
    kind: SignKind,
    quote: Option<char>,
    value: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SignKind {
    Equals,
    Other,
    Blank,
}

impl<'a> Around<'a> {
    fn new(text: &'a str, range: &Range<usize>) -> Self {
        let before = text.get(..range.start).unwrap_or_default();
        let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let start = before.char_indices().rev().take(64).take_while(|(_, c)| in_word(*c)).last();
        let start = start.map_or(range.start, |(at, _)| at);
        let word = before.get(start..).unwrap_or_default();
        // `private key: `, in two words.
        let spaced = before.strip_suffix(' ').and_then(|before| before.rsplit([' ', '"', '\'', ',', '{']).next());
        let company = if word.is_empty() { spaced.unwrap_or_default() } else { word };
        Self {
            text,
            label: text.get(range.clone()).unwrap_or_default(),
            front: word.trim_start_matches('-'),
            company,
            is_option: word.starts_with("--") || before.ends_with("--"),
            before: before.get(..start).unwrap_or_default(),
            end: range.end,
        }
    }

    /// The end of the label's word, and what separates it from the value.
    fn sign(&self, may_be_glued: bool) -> Option<Sign> {
        let rest = self.text.get(self.end..)?;
        let mut at = 0;
        // `passwords`, `password1`, `secret_value`; `tokenizer` and `password_file` are other words.
        for suffix in ["_value", "_data", "_hash", "_text", "s"] {
            if rest.get(..suffix.len()).is_some_and(|start| start.eq_ignore_ascii_case(suffix)) {
                at = suffix.len();
                break;
            }
        }
        at += rest.get(at..)?.bytes().take_while(u8::is_ascii_digit).count();
        let joined = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !may_be_glued && rest.get(at..)?.starts_with(joined) {
            return None;
        }
        let tail = rest.get(at..)?;
        let closing = tail.len() - tail.trim_start_matches(['"', '\'', '\\', ']', ')', '`']).len();
        let tail = tail.get(closing..)?;
        let spaces = tail.len() - tail.trim_start_matches([' ', '\t']).len();
        let signed = tail.get(spaces..)?;
        let is_tag = self.before.ends_with('<') || self.before.ends_with("</");
        let words: &[(&str, SignKind)] = &[
            ("=>", SignKind::Equals),
            (":=", SignKind::Equals),
            ("==", SignKind::Equals),
            ("=", SignKind::Equals),
            (":", SignKind::Other),
            ("：", SignKind::Other),
            ("＝", SignKind::Equals),
            ("->", SignKind::Other),
            ("is ", SignKind::Other),
            ("was ", SignKind::Other),
            ("是", SignKind::Other),
            ("为", SignKind::Other),
            ("為", SignKind::Other),
            ("%3D", SignKind::Equals),
            ("%3A", SignKind::Other),
        ];
        let found = words
            .iter()
            .find(|(word, _)| signed.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
        let (kind, sign) = match found {
            Some((word, kind)) => (*kind, spaces + word.len()),
            None if is_tag && signed.starts_with('>') => (SignKind::Equals, spaces + 1),
            None if spaces > 0 && spaces <= 4 => (SignKind::Blank, spaces),
            None if may_be_glued => (SignKind::Blank, 0),
            None => return None,
        };
        let tail = tail.get(sign..)?;
        let blank = tail.len() - tail.trim_start_matches([' ', '\t']).len();
        let tail = tail.get(blank..)?;
        let escapes = tail.len() - tail.trim_start_matches('\\').len();
        let quote = tail.get(escapes..)?.chars().next().filter(|c| matches!(c, '"' | '\'' | '`' | '“' | '「'));
        let quote_bytes = quote.map_or(0, char::len_utf8);
        let opened = if quote.is_some() { escapes + quote_bytes } else { 0 };
        Some(Sign { kind, quote, value: self.end + at + closing + sign + blank + opened })
    }

    /// `unexpected token: ;` speaks of a program's text.
    fn follows_complaint(&self) -> bool {
        let before = format!("{}{}", self.before, self.front).to_ascii_lowercase();
        let before = before.trim_end_matches([' ', '_', '-']);
        ["unexpected", "unknown", "invalid", "syntax", "illegal", "missing", "expected"]
            .iter()
            .any(|word| before.ends_with(word))
    }

    /// Whether the label is not the end of one of `other_words`, as `pass` of `bypass`.
    fn is_last_part(&self, other_words: &[&str]) -> bool {
        let front = self.front.to_ascii_lowercase();
        !other_words.iter().any(|word| front.ends_with(word))
    }
}

/// What is written where a secret is not.
pub(super) const NOT_SECRET: [&str; 13] =
    ["null", "none", "nil", "true", "false", "yes", "no", "undefined", "empty", "unset", "(null)", "***", "optional"];

/// What is said of a secret behind a colon or a blank.
pub(super) const SAID_OF_SECRETS: [&str; 34] = [
    "for",
    "is",
    "was",
    "has",
    "not",
    "and",
    "or",
    "to",
    "of",
    "in",
    "the",
    "a",
    "an",
    "required",
    "expired",
    "incorrect",
    "invalid",
    "changed",
    "failed",
    "failure",
    "missing",
    "wrong",
    "authentication",
    "accepted",
    "rejected",
    "received",
    "type",
    "file",
    "refresh",
    "renewed",
    "updated",
    "loaded",
    "error",
    "set",
];

/// What makes a key secret.
const COMPANY_OF_KEYS: [&str; 27] = [
    "api",
    "access",
    "secret",
    "private",
    "auth",
    "encryption",
    "encrypt",
    "account",
    "master",
    "signing",
    "shared",
    "preshared",
    "pre-shared",
    "storage",
    "subscription",
    "license",
    "licence",
    "product",
    "ssh",
    "session",
    "aes",
    "wep",
    "wpa",
    "psk",
    "recovery",
    "activation",
    "x-api",
];

/// Letters and digits mixed, as in what a machine has drawn.
fn looks_random(value: &str, least: usize) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    value.len() >= least
        && digits >= 1
        && letters >= 2
        && !value.starts_with("0x")
        && !value.contains('/')
        && !value.contains("::")
}

/// The end of a quoted value: its quote, not behind a backslash unless the opening one was too.
fn quoted_end(value: &str, quote: char) -> usize {
    let close = match quote {
        '“' => '”',
        '「' => '」',
        quote => quote,
    };
    let mut escaped = false;
    for (at, letter) in value.char_indices() {
        if letter == close && !escaped {
            return at;
        }
        // `\"secret\"`: what was opened escaped is closed escaped.
        if letter == '\\' && value.get(at + 1..).is_some_and(|rest| rest.starts_with(close)) {
            return at;
        }
        if letter == '\n' {
            return at;
        }
        escaped = letter == '\\' && !escaped;
    }
    value.len()
}

/// The end of a value without quotes. Marks end it only where something else begins behind them, for passwords have marks
/// too.
fn bare_end(value: &str) -> usize {
    for (at, letter) in value.char_indices() {
        let rest = value.get(at + letter.len_utf8()..).unwrap_or_default();
        let ends = match letter {
            letter if letter.is_whitespace() || letter.is_control() => true,
            '"' | '\'' | '<' | '>' | '`' | '，' | '。' | '；' | '、' | '）' | '」' | '”' | '|' => true,
            ',' | ';' | '&' => rest.is_empty() || starts_another(rest),
            ')' | ']' | '}' => rest.is_empty() || rest.starts_with(|c: char| !c.is_alphanumeric()),
            '\\' => rest.starts_with(['"', '\'', 'n']),
            _ => false,
        };
        if ends && at > 0 {
            return at;
        }
        if ends {
            return 0;
        }
    }
    value.len()
}

/// Whether another option begins: `name=`, a word of letters up to the next mark, a quote or a blank.
fn starts_another(rest: &str) -> bool {
    let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.')).unwrap_or(rest.len());
    let name = rest.get(..word).unwrap_or_default();
    let behind = rest.get(word..).and_then(|rest| rest.chars().next());
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    rest.starts_with([' ', '"', '\'', '\n', '{', '[', '\\'])
        || behind == Some('=')
        || behind == Some(':')
        || (plain && !name.is_empty())
}

/// The end of the line or of the quoted text that the value stands in.
fn line_end(value: &str) -> usize {
    value.find(['\n', '\r', '"', '<']).unwrap_or(value.len())
}
