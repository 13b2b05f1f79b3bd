//! Secrets that show by their own form: keys of clouds, tokens, private keys, logins in addresses.

use std::ops::Range;

use belay_protocol::report::PrivateKind;

use super::words::HASH_LABELS;
use super::{Found, What, after_any};

/// How far a secret reaches that begins with a known text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The text as it is written here, and at least this many letters, digits, dashes and underscores behind it.
    Prefix(&'static str, usize),
    /// A JSON web token: three parts with dots between them.
    Jwt,
    /// From `-----BEGIN ... PRIVATE KEY-----` to its end, or to the end of the text.
    Pem,
    /// A scheme of HTTP, with the credentials behind it.
    Scheme,
    /// `://`, with a login behind it.
    Url,
    /// A password's hash, as in shadow(5).
    Crypt,
    /// A web hook, whose path is the secret.
    Hook,
    /// An option of a program with a login or password behind it.
    Option(Login),
}

/// What an option has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// `name:password`.
    Pair,
    /// A password.
    Password,
    /// A password right behind, of a program that has such an option.
    PasswordOf(&'static [&'static str]),
    /// The same, also behind a blank.
    SpacedPasswordOf(&'static [&'static str]),
    /// The password of `net use` on Windows, which stands anywhere among the other words.
    NetUse,
    /// The password of `net user NAME PASSWORD` on Windows.
    NetUser,
}

/// What secrets begin with.
pub(super) const TOKENS: &[(&str, Token)] = &[
    ("AKIA", Token::Prefix("AKIA", 16)),
    ("ASIA", Token::Prefix("ASIA", 16)),
    ("AIza", Token::Prefix("AIza", 30)),
    ("ya29.", Token::Prefix("ya29.", 20)),
    ("GOCSPX-", Token::Prefix("GOCSPX-", 20)),
    ("LTAI", Token::Prefix("LTAI", 12)),
    ("AKID", Token::Prefix("AKID", 28)),
    ("ghp_", Token::Prefix("ghp_", 30)),
    ("gho_", Token::Prefix("gho_", 30)),
    ("ghu_", Token::Prefix("ghu_", 30)),
    ("ghs_", Token::Prefix("ghs_", 30)),
    ("ghr_", Token::Prefix("ghr_", 30)),
    ("github_pat_", Token::Prefix("github_pat_", 20)),
    ("glpat-", Token::Prefix("glpat-", 16)),
    ("xoxb-", Token::Prefix("xoxb-", 10)),
    ("xoxp-", Token::Prefix("xoxp-", 10)),
    ("xoxa-", Token::Prefix("xoxa-", 10)),
    ("xoxs-", Token::Prefix("xoxs-", 10)),
    ("xapp-", Token::Prefix("xapp-", 10)),
    ("sk_live_", Token::Prefix("sk_live_", 10)),
    ("sk_test_", Token::Prefix("sk_test_", 10)),
    ("rk_live_", Token::Prefix("rk_live_", 10)),
    ("sk-", Token::Prefix("sk-", 20)),
    ("SG.", Token::Prefix("SG.", 30)),
    ("npm_", Token::Prefix("npm_", 30)),
    ("pypi-", Token::Prefix("pypi-", 30)),
    ("hf_", Token::Prefix("hf_", 30)),
    ("dop_v1_", Token::Prefix("dop_v1_", 30)),
    ("hvs.", Token::Prefix("hvs.", 20)),
    ("dckr_pat_", Token::Prefix("dckr_pat_", 20)),
    ("whsec_", Token::Prefix("whsec_", 20)),
    ("ATATT3x", Token::Prefix("ATATT3x", 30)),
    ("dapi", Token::Prefix("dapi", 32)),
    ("shpat_", Token::Prefix("shpat_", 30)),
    ("glsa_", Token::Prefix("glsa_", 30)),
    ("AGE-SECRET-KEY-1", Token::Prefix("AGE-SECRET-KEY-1", 20)),
    ("eyJ", Token::Jwt),
    ("-----begin ", Token::Pem),
    ("bearer ", Token::Scheme),
    ("basic ", Token::Scheme),
    ("://", Token::Url),
    ("$1$", Token::Crypt),
    ("$2a$", Token::Crypt),
    ("$2b$", Token::Crypt),
    ("$2y$", Token::Crypt),
    ("$5$", Token::Crypt),
    ("$6$", Token::Crypt),
    ("$y$", Token::Crypt),
    ("$argon2", Token::Crypt),
    ("hooks.slack.com/services/", Token::Hook),
    (" --user ", Token::Option(Login::Pair)),
    (" --user=", Token::Option(Login::Pair)),
    (" --proxy-user ", Token::Option(Login::Pair)),
    (" -u ", Token::Option(Login::Pair)),
    (" -pw ", Token::Option(Login::Password)),
    (" -p", Token::Option(Login::PasswordOf(&["mysql", "mariadb"]))),
    (" -p", Token::Option(Login::SpacedPasswordOf(&["sshpass", "docker login", "podman login"]))),
    (" -w ", Token::Option(Login::SpacedPasswordOf(&["ldapsearch", "ldapadd", "ldapmodify", "ldapwhoami"]))),
    (" -a", Token::Option(Login::SpacedPasswordOf(&["redis-cli"]))),
    (" /p:", Token::Option(Login::PasswordOf(&["freerdp", "mstsc"]))),
    ("net use ", Token::Option(Login::NetUse)),
    ("net user ", Token::Option(Login::NetUser)),
];

impl Token {
    /// The secret that begins with the text in `range`.
    pub(super) fn look(self, text: &str, range: &Range<usize>) -> Option<Found> {
        let rest = text.get(range.end..)?;
        let glued = text.get(..range.start)?.ends_with(|c: char| c.is_ascii_alphanumeric());
        let place = match self {
            Self::Prefix(..) | Self::Jwt if glued => None,
            Self::Prefix(exact, least) => {
                let length = length_of(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
                let fits = length >= least && text.get(range.clone()) == Some(exact);
                // `sk-` begins ordinary words; a key has digits, or letters of both cases in no order.
                let key = rest.get(..length)?.as_bytes();
                let has_digit = key.iter().any(u8::is_ascii_digit);
                let turns = key.windows(2).filter(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
                (fits && (has_digit || turns.count() >= CASE_TURNS)).then_some(range.start..range.end + length)
            }
            Self::Jwt => {
                let length = length_of(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '='));
                let is_jwt =
                    rest.get(..length)?.contains('.') && length >= 20 && text.get(range.clone()) == Some("eyJ");
                is_jwt.then_some(range.start..range.end + length)
            }
            Self::Pem => {
                let (label, _) = rest.split_once("-----")?;
                let is_secret = label.len() <= 40 && label.to_ascii_uppercase().contains("PRIVATE KEY");
                let ends = rest.to_ascii_lowercase().find("-----end ").map(|at| {
                    let tail = rest.get(at + 9..).unwrap_or_default();
                    range.end + at + 9 + tail.find("-----").map_or(tail.len(), |end| end + 5)
                });
                is_secret.then(|| range.start..ends.unwrap_or(text.len()))
            }
            Self::Scheme => {
                let length = length_of(rest, |c| c.is_ascii_alphanumeric() || "-_.~+/=".contains(c));
                let value = rest.get(..length)?;
                let mixed = value.bytes().any(|byte| byte.is_ascii_digit()) || value.ends_with('=');
                let changes = value.bytes().any(|byte| byte.is_ascii_uppercase())
                    && value.bytes().any(|byte| byte.is_ascii_lowercase());
                (!glued && length >= 8 && (mixed || changes)).then_some(range.end..range.end + length)
            }
            Self::Url => login(rest).map(|length| range.end..range.end + length),
            Self::Crypt => {
                let length = length_of(rest, |c| c.is_ascii_alphanumeric() || "./$=,-+".contains(c));
                (length >= 20).then_some(range.start..range.end + length)
            }
            Self::Hook => {
                let length = length_of(rest, |c| c.is_ascii_alphanumeric() || c == '/');
                (length > 0).then_some(range.end..range.end + length)
            }
            Self::Option(login) => login.password(text, range),
        }?;
        Some(Found { range: place, what: What::Secret })
    }
}

impl Login {
    /// The password behind the option that stands in `range`.
    fn password(self, text: &str, range: &Range<usize>) -> Option<Range<usize>> {
        let rest = text.get(range.end..)?;
        // `-p` and `-P` are different options.
        let is_exact = text.get(range.clone())?.bytes().all(|byte| !byte.is_ascii_uppercase());
        let place = match self {
            Self::Pair => argument(rest).filter(|value| rest.get(value.clone()).is_some_and(is_pair)),
            Self::Password => argument(rest),
            Self::PasswordOf(programs) => {
                let is_glued = !rest.starts_with(char::is_whitespace);
                argument(rest).filter(|_| is_exact && is_glued && is_command_of(programs, text, range.start))
            }
            Self::SpacedPasswordOf(programs) => {
                let blanks = rest.len() - rest.trim_start_matches(' ').len();
                let value = argument(rest.get(blanks..)?).map(|value| blanks + value.start..blanks + value.end);
                value.filter(|_| is_exact && is_command_of(programs, text, range.start))
            }
            // `internet use` is another thing.
            Self::NetUse | Self::NetUser if text.get(..range.start)?.ends_with(char::is_alphanumeric) => None,
            Self::NetUse => {
                let mut words = words(rest);
                let is_other = |word: &str| {
                    word.starts_with(['/', '\\', '"', '\'']) || word == "*" || word.len() == 2 && word.ends_with(':')
                };
                let is_command = words.clone().any(|(_, word)| word.starts_with("\\\\") || word.starts_with('/'));
                let (at, word) = words.find(|(_, word)| !is_other(word)).filter(|_| is_command)?;
                Some(at..at + word.len())
            }
            Self::NetUser => {
                let mut words = words(rest);
                let _name = words.next().filter(|(_, word)| !word.starts_with('/'))?;
                let (at, word) = words.next().filter(|(_, word)| !word.starts_with('/') && *word != "*")?;
                // `net user interface has failed` goes on with words.
                words.next().is_none_or(|(_, word)| word.starts_with('/')).then(|| at..at + word.len())
            }
        }?;
        (!place.is_empty()).then(|| range.end + place.start..range.end + place.end)
    }
}

/// The words of a command, up to the end of its line.
fn words(rest: &str) -> impl Iterator<Item = (usize, &str)> + Clone {
    let rest = rest.get(..rest.floor_char_boundary(LONGEST_COMMAND)).unwrap_or_default();
    let line = rest.get(..rest.find(['\n', '"', '|', ';']).unwrap_or(rest.len())).unwrap_or_default();
    let mut at = 0;
    let words = line.split([' ', '\t']).map(move |word| {
        let start = at;
        at += word.len() + 1;
        (start, word)
    });
    words.filter(|(_, word)| !word.is_empty())
}

/// Whether `name:password` stands in `value`. `date -u 12:30` has a time there.
fn is_pair(value: &str) -> bool {
    value.split_once(':').is_some_and(|(name, password)| {
        !password.is_empty() && name.bytes().any(|byte| byte.is_ascii_alphabetic()) && !value.contains("://")
    })
}

/// The argument of a command at the start of `rest`, without its quotes.
fn argument(rest: &str) -> Option<Range<usize>> {
    let open = rest.len() - rest.trim_start_matches('\\').len();
    let quote = rest.get(open..)?.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (start, length) = match quote {
        Some(quote) => {
            let value = rest.get(open + 1..)?;
            (open + 1, length_of(value, |c| c != quote && c != '\n' && !(open > 0 && c == '\\')))
        }
        None => (0, length_of(rest, |c| !c.is_whitespace() && c != '"')),
    };
    (length > 0).then_some(start..start + length)
}

/// Whether one of `programs` stands in the command before `end`.
fn is_command_of(programs: &[&str], text: &str, end: usize) -> bool {
    let start = text.floor_char_boundary(end.saturating_sub(LONGEST_COMMAND));
    let before = text.get(start..end).unwrap_or_default();
    let command = before.rsplit(['\n', ';', '|']).next().unwrap_or_default().to_ascii_lowercase();
    programs.iter().any(|program| command.contains(program))
}

/// Bytes of a command between its program and an option: whoever writes many into one line does not hold us up.
const LONGEST_COMMAND: usize = 256;

/// Where a secret begins that goes up to the end of `text` and is known by its first letters alone: the rest was cut off.
pub(super) fn beginning_at_end(text: &str) -> Option<usize> {
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let start = text.char_indices().rev().take_while(|(_, c)| in_token(*c)).last().map_or(text.len(), |(at, _)| at);
    let word = text.get(start..)?;
    let begins = |(prefix, token): &(&str, Token)| {
        let is_token = matches!(token, Token::Prefix(..) | Token::Jwt);
        let mut places = word.match_indices(prefix).map(|(at, _)| at).filter(|_| is_token);
        places.find(|at| !word.get(..*at).is_some_and(|before| before.ends_with(|c: char| c.is_ascii_alphanumeric())))
    };
    let token = TOKENS.iter().filter_map(begins).min().map(|at| start + at);
    token.or_else(|| {
        let (before, authority) = text.rsplit_once("://")?;
        let (_, password) = authority.split_once(':')?;
        let is_login = !authority.contains(['/', '@']) && password.bytes().any(|byte| !byte.is_ascii_digit());
        is_login.then_some(before.len() + 3)
    })
}

/// The length of what stands before the host of a URL, without the `@`.
fn login(rest: &str) -> Option<usize> {
    let rest = rest.get(..rest.floor_char_boundary(LONGEST_LOGIN))?;
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '`')).unwrap_or(rest.len());
    let whole = rest.get(..end)?;
    let authority = whole.split(['/', '?', '#']).next()?;
    if let Some(at) = authority.rfind('@') {
        // A password with a slash in it goes on, up to another `@` before the next `?`.
        let path = whole.split('?').next()?;
        let end = if authority.contains(':') { path.rfind('@').unwrap_or(at) } else { at };
        return Some(end).filter(|end| *end > 0);
    }
    // What looks like a port and is none is a password with a slash in it.
    let (_, port) = authority.split_once(':')?;
    let is_port = port.trim_end_matches(['.', ',', ';', ')', ']', '\'']).bytes().all(|byte| byte.is_ascii_digit())
        || authority.starts_with('[');
    whole.rfind('@').filter(|_| !is_port)
}

/// Bytes in which a login ends: many a text has more addresses than logins.
const LONGEST_LOGIN: usize = 1024;

fn length_of(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !fits(c)).unwrap_or(text.len())
}

/// Bytes of a run without slashes from which the word around it is worth a look.
pub(super) const SHORTEST_RUN: usize = 12;

/// The words of base64 that touch `run`: where the last ends, and the keys among them, or lines of one.
pub(super) fn bare(text: &str, run: &Range<usize>, found: &mut Vec<Found>) -> usize {
    let bytes = text.as_bytes();
    let fits = |byte: &u8| IN_KEY[usize::from(*byte)];
    let before = bytes.get(..run.start).unwrap_or_default().iter().rev().take_while(|byte| fits(byte)).count();
    let mut at = run.start - before;
    while at < run.end {
        let length = bytes.get(at..).unwrap_or_default().iter().take_while(|byte| fits(byte)).count();
        if length >= SHORTEST_KEY {
            found.extend(text.get(at..at + length).and_then(|word| key(text, at, word)));
        }
        at += length + 1;
    }
    at
}

/// Whether keys are written with a byte.
const IN_KEY: [bool; 256] = {
    let mut fits = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let one = byte as u8;
        fits[byte] = one.is_ascii_alphanumeric() || matches!(one, b'+' | b'/' | b'=' | b'_' | b'-');
        byte += 1;
    }
    fits
};

/// The key that `word`, which stands at `start`, is or ends with: `name=key`.
fn key(text: &str, start: usize, whole: &str) -> Option<Found> {
    let last = whole.trim_end_matches('=').rfind('=').map_or(0, |at| at + 1);
    let (start, word) = (start + last, whole.get(last..)?);
    if word.len() < SHORTEST_KEY {
        return None;
    }
    // Paths, names and hexadecimal numbers keep to one class of letters for long.
    let class = |byte: u8| match byte {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        _ => None,
    };
    let mut seen = [0_usize; 3];
    let mut changes = 0;
    let mut last = None;
    // Dashes and underscores stand between the words of a name as well.
    for class in word.bytes().filter_map(class) {
        seen[class] += 1;
        changes += usize::from(last.is_some_and(|last| last != class));
        last = Some(class);
    }
    // Names of devices for drivers repeat few letters and many zeros.
    let different = word.bytes().collect::<std::collections::BTreeSet<_>>().len();
    let mixed = different >= DIFFERENT_LETTERS && seen[0] >= 4 && seen[1] >= 4 && seen[2] >= 2;
    let before = text.get(..start)?;
    // The fingerprint of somebody's key is no secret, and still somebody's.
    let is_fingerprint = word.len() == FINGERPRINT_LETTERS && before.ends_with("SHA256:");
    if !is_fingerprint && (!mixed || changes * 3 < word.len()) {
        return None;
    }
    let is_hash = after_any(before, &HASH_LABELS) || HASHES.iter().any(|hash| word.starts_with(hash));
    let what = match () {
        () if is_fingerprint => What::Shape(PrivateKind::Serial),
        () if is_hash => return None,
        () => What::Secret,
    };
    Some(Found { range: start..start + word.len(), what })
}

/// Places where a small letter stands before a large one in sixteen letters drawn at random: four. Words written together
/// have fewer.
const CASE_TURNS: usize = 3;

/// A key of AWS has 40 characters; fingerprints have 43 and say so.
const SHORTEST_KEY: usize = 40;

/// Forty letters drawn at random have about thirty different ones.
const DIFFERENT_LETTERS: usize = 18;

/// SHA-256 in base64 without padding, as OpenSSH writes it.
const FINGERPRINT_LETTERS: usize = 43;

const HASHES: [&str; 4] = ["sha1-", "sha256-", "sha384-", "sha512-"];

#[cfg(test)]
mod tests {
    use belay_protocol::report::{PrivateKind, SectionName};

    use belay_agent::redact::{Aliases, Identity};

    fn check(text: &str, expected: &str) {
        let masked = Aliases::of(&Identity::default()).mask(text).unwrap();
        assert_eq!(masked, expected, "{text}");
    }

    #[test]
    fn keys_without_a_digit_are_known_by_their_letters() {
        check("x 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 y", "x <removed> y");
        check("glpat-QwErTyUiOpAsDfGhJkLz", "<removed>");
        check("dckr_pat_QwErTyUiOpAsDfGhJkLzXcV", "<removed>");
        check("shpat_0123456789abcdef0123456789abcdef", "<removed>");
        check("hf_transformers_are_loaded_from_the_cache", "hf_transformers_are_loaded_from_the_cache");
        check("sk-ip-this-word-because-it-is-none", "sk-ip-this-word-because-it-is-none");
    }

    #[test]
    fn passwords_of_more_programs_are_removed() {
        check("docker login -u hans -p geheim77", "docker login -u hans -p <removed>");
        check("ldapsearch -x -w geheim77", "ldapsearch -x -w <removed>");
        check("docker run -p 80:80 nginx", "docker run -p 80:80 nginx");
        check("iptables -w 5", "iptables -w 5");
    }

    #[test]
    fn passwords_on_command_lines_are_removed() {
        check("mysql -u root -phunter2 shop", "mysql -u root -p<removed> shop");
        check("mysqldump -p'hun ter2' shop", "mysqldump -p'<removed>' shop");
        check("mariadb --password=hunter2", "mariadb --password=<removed>");
        check("sshpass -p hunter2 ssh x", "sshpass -p <removed> ssh x");
        check("sshpass -phunter2 ssh x", "sshpass -p<removed> ssh x");
        check("curl -u bob:hunter2 x", "curl -u <removed> x");
        check("curl -u \"bob:hun ter2\" x", "curl -u \"<removed>\" x");
        check("curl --user=bob:hunter2 x", "curl --user=<removed> x");
        check("PGPASSWORD=hunter2 psql", "PGPASSWORD=<removed> psql");
        check("MYSQL_PWD=hunter2 mysql", "MYSQL_PWD=<removed> mysql");
        check("plink -pw hunter2 x", "plink -pw <removed> x");
        check("redis-cli -a hunter2 ping", "redis-cli -a <removed> ping");
        check("xfreerdp /v:x /p:hunter2", "xfreerdp /v:x /p:<removed>");
        check(r"net use X: \\srv7\d hunter2 /user:CORP\jdoe", r"net use X: \\host-1\d <removed> /user:host-2\user-1");
        check(r"net use \\srv7\d /user:CORP\jdoe hunter2", r"net use \\host-1\d /user:host-2\user-1 <removed>");
        check("net user jdoe hunter2 /add", "net user jdoe <removed> /add");
    }

    #[test]
    fn options_of_other_programs_stay() {
        for text in [
            "mysql -u root -p shop",
            "mysql -P3306",
            "mkdir -p /srv/x; rsync -a x y",
            "date -u 12:30",
            "docker run -p 80:80 mysql",
            "internet use of memory",
            "net use of memory",
            "net user interface has failed",
            "net use X: /delete",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn behind_a_login_in_an_address_stands_a_host_and_no_mail_address() {
        check("https://user:pass@nas.contoso.com/x", "https://<removed>@host-1/x");
        check("https://user:pass@nas7:8443/x", "https://<removed>@host-1:8443/x");
        check("ftp://bob:hun/ter@2@nas.contoso.com/x", "ftp://<removed>@host-1/x");
        check("https://user:pass@github.com/x", "https://<removed>@github.com/x");
        check("https://user:pass@10.0.0.9/x", "https://<removed>@lan-1.1/x");
        let mut aliases = Aliases::of(&Identity::default());
        aliases.mask("https://user:pass@nas.contoso.com/x").unwrap();
        let counted: Vec<_> = aliases.replaced(&[SectionName::System]);
        let counted: Vec<_> = counted.iter().map(|one| (one.kind, one.distinct, one.times)).collect();
        assert_eq!(counted, [(PrivateKind::Host, 1, 1), (PrivateKind::Secret, 1, 1)]);
    }

    proptest::proptest! {
        #[test]
        fn looking_at_any_command_never_panics(
            text in r#"(mysql| -p| -u |net use |net user |['"\\ /:@%]|[a-z王]|://){0,30}"#,
        ) {
            let _ = Aliases::of(&Identity::default()).mask(&text);
        }
    }
}
