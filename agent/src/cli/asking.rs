//! What a person is asked who starts the agent without saying what for, as by a double click.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal as _, Write};

use belay_protocol::Language;
use belay_protocol::invite::Code;
use belay_protocol::lang::Phrase;

use crate::consent::prompt::read_line;
use crate::terminal::plain;

/// Whether somebody sits here who can be asked: the command line says nothing, and both ends are a terminal.
pub(super) fn is_wanted(args: &[OsString]) -> bool {
    args.len() <= 1 && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks for the support desk and the code, and makes a command line of the answers; nothing where the person gives up.
pub(super) fn ask(
    answers: &mut impl BufRead,
    page: &mut impl Write,
    language: Language,
) -> io::Result<Option<Vec<OsString>>> {
    writeln!(page, "{}\n", WELCOME.text(language))?;
    let Some(desk) = answer(answers, page, DESK.text(language))? else { return Ok(None) };
    let mut line = vec!["join".into(), "--".into(), desk.clone().into()];
    // A link carries its code.
    if desk.contains("://") {
        return Ok(Some(line));
    }
    loop {
        let Some(typed) = answer(answers, page, CODE.text(language))? else { return Ok(None) };
        match typed.parse::<Code>() {
            Ok(code) => {
                line.push(code.digits().into());
                return Ok(Some(line));
            }
            Err(_) => writeln!(page, "{}", MISTYPED.fill(language, &[("code", &plain(&typed))]))?,
        }
    }
}

/// Waits for a key, so that the window of a double click does not close on the last word.
pub(super) fn wait_for_enter(answers: &mut impl BufRead, page: &mut impl Write, language: Language) -> io::Result<()> {
    write!(page, "\n{}", CLOSE.text(language))?;
    page.flush()?;
    read_line(answers);
    Ok(())
}

/// The next line that says something; nothing at the end of input.
pub(super) fn answer(answers: &mut impl BufRead, page: &mut impl Write, question: &str) -> io::Result<Option<String>> {
    loop {
        write!(page, "{question} ")?;
        page.flush()?;
        let Some(line) = read_line(answers) else { return Ok(None) };
        let said = line.trim();
        if !said.is_empty() {
            return Ok(Some(said.to_owned()));
        }
    }
}

const WELCOME: Phrase = Phrase {
    en: "This program looks at your computer for a support desk.\n\
         Nothing is sent before you have seen it and agreed.\n\
         Only go on if you asked that desk for help yourself. Ctrl+C ends it.",
    zh: "本程序为支持台查看您的电脑。在您看过并同意之前，不会发送任何内容。\n请仅在您主动向该支持台求助时继续。按 Ctrl+C 结束。",
};
const DESK: Phrase = Phrase {
    en: "Support desk (such as help.example.com, or the whole link):",
    zh: "支持台地址（例如 help.example.com，或完整链接）：",
};
const CODE: Phrase = Phrase { en: "The nine digits that you were told:", zh: "告诉您的九位数字：" };
const MISTYPED: Phrase = Phrase {
    en: "{code} is not a code: please compare it digit by digit.",
    zh: "{code} 不是有效的代码，请逐位核对。",
};
const CLOSE: Phrase = Phrase { en: "Press Enter to close.", zh: "按回车键关闭。" };

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, expected: Option<&[&str]>) -> String {
        let mut page = Vec::new();
        let line = ask(&mut typed.as_bytes(), &mut page, Language::English).unwrap();
        assert_eq!(line, expected.map(|words| words.iter().map(OsString::from).collect()), "{typed:?}");
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn desk_and_code_become_a_command_line() {
        let code = Code::from_number(41_820_597);
        let joined = ["join", "--", "help.example.com", &code.digits()];
        check(&format!("help.example.com\n{code}\n"), Some(&joined));
        check(&format!("\n  help.example.com \r\n\n{}\r\n", code.digits()), Some(&joined));
        check("belay://relay.example.com:443/1#x\n", Some(&["join", "--", "belay://relay.example.com:443/1#x"]));
        // What looks like an option is none.
        check(&format!("--yes\n{code}\n"), Some(&["join", "--", "--yes", &code.digits()]));
    }

    #[test]
    fn a_mistyped_code_is_asked_for_again_and_the_end_of_input_is_no_answer() {
        let code = Code::from_number(7);
        let said = check(
            &format!("help.example.com\n12\n\u{1b}[2J\n{code}\n"),
            Some(&["join", "--", "help.example.com", &code.digits()]),
        );
        assert_eq!(said.matches("is not a code").count(), 2);
        assert!(!said.contains('\u{1b}'), "{said:?}");
        check("", None);
        check("help.example.com\n", None);
    }
}
