//! What may be written to a person's terminal, and how.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Stdout};

use serde::Serialize;
use unicode_width::UnicodeWidthChar as _;

/// Text from a peer, a file or the system without anything that a terminal would obey: escape sequences and control
/// characters are dropped, line breaks and tabs become blanks, and so do characters that reorder or hide text.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut rest),
            // C1 forms of CSI, and of the strings that end with ST.
            '\u{9b}' => skip_parameters(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut rest),
            '\n' | '\r' | '\t' => plain.push(' '),
            c if c.is_control() || is_invisible(c) => {}
            c => plain.push(c),
        }
    }
    plain
}

/// A value as JSON in which no string holds what a terminal would obey, or what reorders text: those characters are written
/// as their escapes, which read back as the same.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(escaped(&serde_json::to_string_pretty(value)?))
}

/// JSON with the characters escaped that a terminal would obey; those of ASCII are escaped in any JSON.
pub fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if !c.is_ascii() && (c.is_control() || is_invisible(c)) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Skips what follows ESC (ECMA-48, section 5.4): a control sequence, a control string, or one more character.
fn skip_sequence(rest: &mut Rest<'_>) {
    match rest.next() {
        Some('[') => skip_parameters(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(rest),
        Some(' '..='/') => drop(rest.find(|c| ('0'..='~').contains(c))),
        _ => {}
    }
}

fn skip_parameters(rest: &mut Rest<'_>) {
    while rest.next_if(|c| (' '..='?').contains(c)).is_some() {}
    rest.next_if(|c| ('@'..='~').contains(c));
}

/// A control string ends with BEL, or with ST in either form. One without an end swallows the text: what is left of a
/// cut-off sequence is not worth a risk.
fn skip_string(rest: &mut Rest<'_>) {
    while let Some(c) = rest.next() {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// Characters without a form of their own: they reorder what is shown (Unicode TR 36, section 2.5), or hide in it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Whether the page may be coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// For a terminal.
    Ansi,
    /// For a pipe or a file, or when `NO_COLOR` is set.
    #[default]
    None,
}

impl Colour {
    /// Colour on a terminal that obeys, and has not been asked to do without (<https://no-color.org>).
    pub fn of(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if obeys(stream) && !refused { Self::Ansi } else { Self::None }
    }

    /// `text` in `style`.
    pub fn paint(self, style: Style, text: impl fmt::Display) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "1;31",
            Style::Yellow => "1;33",
            Style::Green => "32",
            Style::Blue => "34",
        };
        match self {
            Self::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::None => text.to_string(),
        }
    }
}

/// Says whether `stream` is a terminal that understands control sequences (terminfo(5): one named `dumb` does not).
pub fn obeys(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Where a page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Whether it may be coloured.
    pub colour: Colour,
    /// How wide lines may be, from [`Screen::COLUMNS_MIN`] to [`Screen::COLUMNS_MAX`].
    pub columns: usize,
}

impl Screen {
    /// The widest page that is still read with ease; also that of a pipe.
    pub const COLUMNS_MAX: usize = 100;
    /// The narrowest page: on anything narrower the terminal itself breaks lines.
    pub const COLUMNS_MIN: usize = 40;

    /// Where standard output leads to.
    pub fn of(out: &Stdout) -> Self {
        let columns = size(out).and_then(|(_, columns)| columns).unwrap_or(Self::COLUMNS_MAX);
        Self { colour: Colour::of(out), columns: columns.clamp(Self::COLUMNS_MIN, Self::COLUMNS_MAX) }
    }
}

impl From<Colour> for Screen {
    fn from(colour: Colour) -> Self {
        Self { colour, columns: Self::COLUMNS_MAX }
    }
}

/// How wide the terminal behind `stream` is; nothing where there is none, or where that is not known.
pub fn columns(stream: &impl Stream) -> Option<usize> {
    size(stream)?.1
}

/// As much of `text` as fits `columns`.
pub fn cut(text: &str, columns: usize) -> &str {
    let mut room = columns;
    let fits = |(_, c): &(usize, char)| {
        let left = room.checked_sub(c.width().unwrap_or(0));
        room = left.unwrap_or_default();
        left.is_some()
    };
    let end = text.char_indices().take_while(fits).last().map_or(0, |(at, c)| at + c.len_utf8());
    text.get(..end).unwrap_or_default()
}

/// Lines that the terminal behind `out` shows at once; nothing where there is none, or where that is not known.
pub fn rows(out: &Stdout) -> Option<usize> {
    size(out)?.0
}

/// What may lead to a terminal.
#[cfg(unix)]
pub use std::os::fd::AsFd as Stream;

/// What may lead to a terminal.
#[cfg(not(unix))]
pub use std::io::IsTerminal as Stream;

/// Rows and columns of the terminal behind `out`, each where it is known.
#[cfg(unix)]
fn size(out: &impl Stream) -> Option<(Option<usize>, Option<usize>)> {
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    let [rows, columns] = [size.ws_row, size.ws_col].map(|count| Some(usize::from(count)).filter(|count| *count > 0));
    Some((rows, columns))
}

/// Not known here.
#[cfg(not(unix))]
fn size(_: &impl Stream) -> Option<(Option<usize>, Option<usize>)> {
    None
}

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A heading.
    Bold,
    /// An aside.
    Dim,
    /// Something critical.
    Red,
    /// A warning.
    Yellow,
    /// All is well.
    Green,
    /// A note.
    Blue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (hostile, harmless) in [
            ("磁盘 96 %", "磁盘 96 %"),
            ("a\u{1b}[31mred\u{1b}[0m", "ared"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]52;c;aGk=\u{1b}\\x", "x"),
            ("\u{9b}2Jx", "x"),
            ("\u{1b}P1$r\u{9c}x", "x"),
            ("\u{1b}(0x\u{1b}cy", "xy"),
            ("two\nlines\r\n", "two lines  "),
            ("bell\u{7}\u{8}\u{7f}", "bell"),
            ("exe\u{202e}gpj.", "exegpj."),
            ("zero\u{200b}width\u{feff}", "zerowidth"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("\u{1b}]unfinished", ""),
        ] {
            assert_eq!(plain(hostile), harmless, "{hostile:?}");
        }
    }

    #[test]
    fn a_line_is_cut_to_the_columns_that_there_are() {
        for (columns, shown) in [(40, "正在查看 disks"), (9, "正在查看 "), (8, "正在查看"), (7, "正在查"), (0, "")]
        {
            assert_eq!(cut("正在查看 disks", columns), shown, "{columns}");
        }
    }

    #[test]
    fn json_reads_back_and_obeys_nothing() {
        let hostile = "磁盘\u{9b}2J \u{202e}x\u{e0041}\u{1b}[31m\n\"";
        let shown = json(&hostile).unwrap();
        assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), hostile);
    }

    proptest::proptest! {
        #[test]
        fn no_control_character_survives(text in "(.|\\PC|[\u{0}-\u{1f}\u{7f}-\u{9f}]){0,60}") {
            proptest::prop_assert!(!plain(&text).chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}
