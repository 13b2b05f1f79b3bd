//! `belay-agent ask`: asks a desk for help in the customer's own words.

use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::PathBuf;

use belay_protocol::Language;
use belay_protocol::bounded::Name;
use belay_protocol::invite::is_host_and_port;
use belay_protocol::lang::Phrase;
use belay_relay::client::Proxy;
use serde::Serialize;

use super::asking::answer;
use super::{Exit, err, join, out};
use crate::desk::{self, AskError, HelpRequest, Helped};
use crate::join::JoinError;
use crate::terminal::{json, plain};

/// The help text's example.
pub const EXAMPLE: &str = "Examples:\n  belay-agent ask help.example.com 'The printer in hall 3 is silent'\n  belay-agent ask help.example.com 'Everything is slow' --name 'Ada Lovelace' --reach '+44 20 7946 0000'\n\nYour words, your name and how to reach you are sent to the desk. Nothing about this machine is sent before you have seen it and agreed.\nPlease write no passwords.";

/// Options of `ask`.
#[derive(Debug, clap::Args)]
pub struct AskArgs {
    /// The help address of your support
    #[arg(value_name = "HOST")]
    pub host: String,
    /// What is wrong, in your own words; asked for when not given
    #[arg(value_name = "TEXT", num_args = 0..)]
    pub text: Vec<String>,
    /// Your name; asked for when not given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Your company
    #[arg(long, value_name = "NAME")]
    pub company: Option<String>,
    /// Where you can be reached: a telephone number or an e-mail address
    #[arg(long, value_name = "TEXT")]
    pub reach: Option<String>,
    /// Which program or machine it is about
    #[arg(long, value_name = "NAME")]
    pub product: Option<String>,
    /// Only ask; do not offer to look at this machine
    #[arg(long)]
    pub only_ask: bool,
    /// Also ask smartmontools for the health of disks: starts a program, wakes no disk, needs root
    #[arg(long)]
    pub smart: bool,
    /// Print the ticket's number and page as JSON, and do not offer to look at this machine
    #[arg(long)]
    pub json: bool,
    /// Directory of this device's key and of the list of what you agreed to
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Ask a desk on this very machine by plain HTTP
    #[arg(long)]
    pub insecure_http: bool,
}

/// What was made, for programs.
#[derive(Serialize)]
struct Asked<'a> {
    number: &'a str,
    status_url: &'a str,
}

/// Runs `ask`.
pub async fn run(args: AskArgs, language: Language) -> anyhow::Result<Exit> {
    let wrong = |sentence: String| -> anyhow::Result<Exit> {
        writeln!(err(), "{sentence}")?;
        Ok(Exit::Usage)
    };
    let proxy = match Proxy::from_environment(|name| std::env::var(name).ok()) {
        Ok(proxy) => proxy,
        Err(error) => return wrong(JoinError::Proxy(error).sentence(language)),
    };
    if !is_host_and_port(&args.host) {
        return wrong(JoinError::NotAHost(plain(&args.host)).sentence(language));
    }
    let is_person_here = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut person = is_person_here.then(|| io::stdin().lock());
    let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let text = match given(Some(args.text.join(" "))) {
        Some(text) => Some(text),
        None => asked(person.as_mut(), WHAT, language)?,
    };
    let Some(text) = text else { return wrong(SAY_WHAT.text(language).to_owned()) };
    let name = match given(args.name) {
        Some(name) => Some(name),
        None => asked(person.as_mut(), NAME, language)?,
    };
    let Some(name) = name else { return wrong(SAY_NAME.text(language).to_owned()) };
    let may_look = match person.as_mut() {
        Some(person) if !args.only_ask && !args.json => says_yes(person, LOOK, language)?,
        _ => false,
    };
    drop(person);
    let request = HelpRequest {
        name,
        company: given(args.company),
        reach: given(args.reach),
        title: title_of(&text),
        description: if title_of(&text) == text { String::new() } else { text },
        product: given(args.product),
        language: if language == Language::Chinese { "zh" } else { "en" },
        channel: "agent",
        invite: may_look,
    };
    let (host, insecure_http) = (args.host.clone(), args.insecure_http);
    let asking =
        tokio::task::spawn_blocking(move || desk::ask_for_help(&host, insecure_http, proxy.as_ref(), &request));
    let helped = match asking.await? {
        Ok(helped) => helped,
        Err(error) => {
            writeln!(err(), "{}", sentence(&error, &args.host, language))?;
            return Ok(if matches!(error, AskError::Refused(_)) { Exit::Usage } else { Exit::Failed });
        }
    };
    tell(&helped, args.json, language)?;
    let Some(code) = helped.code.filter(|_| may_look) else { return Ok(Exit::Done) };
    let joining = join::JoinArgs {
        invite: args.host,
        code: vec![code],
        grant: None,
        yes: false,
        show: false,
        without: Vec::new(),
        smart: args.smart,
        certificate: Vec::new(),
        json: false,
        data: args.data,
        insecure_http: args.insecure_http,
        root: None,
    };
    join::run(joining, language).await
}

fn tell(helped: &Helped, as_json: bool, language: Language) -> anyhow::Result<()> {
    let (number, page) = (plain(&helped.number), plain(&helped.status_url));
    if as_json {
        writeln!(out(), "{}", json(&Asked { number: &number, status_url: &page })?)?;
    } else {
        writeln!(out(), "{}", ASKED.fill(language, &[("number", &number), ("page", &page)]))?;
    }
    Ok(())
}

/// The first line, as far as a title goes.
fn title_of(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    let is_cut = line.len() > TITLE_MAX_BYTES;
    let title = Name::truncating(&line[..line.floor_char_boundary(TITLE_MAX_BYTES)]).to_string();
    if is_cut { format!("{title}…") } else { title }
}

/// Room for the mark of a cut within what a desk takes as one line.
const TITLE_MAX_BYTES: usize = 240;

fn asked(person: Option<&mut impl BufRead>, question: Phrase, language: Language) -> io::Result<Option<String>> {
    match person {
        Some(person) => answer(person, &mut io::stderr(), question.text(language)),
        None => Ok(None),
    }
}

/// Whether the person agrees; no answer is none.
fn says_yes(person: &mut impl BufRead, question: Phrase, language: Language) -> io::Result<bool> {
    let said = answer(person, &mut io::stderr(), question.text(language))?.unwrap_or_default().to_lowercase();
    Ok(["y", "yes", "j", "ja", "是", "好", "可以"].contains(&said.as_str()))
}

/// Why nobody was asked, and what to do.
fn sentence(error: &AskError, host: &str, language: Language) -> String {
    match error {
        AskError::Unreachable(source) => {
            let why = source.outcome().phrase().text(language);
            UNREACHABLE.fill(language, &[("host", &plain(host)), ("why", why)])
        }
        AskError::NotADesk => NOT_A_DESK.fill(language, &[("host", &plain(host))]),
        AskError::TooMany => TOO_MANY.text(language).to_owned(),
        AskError::Refused(field) => REFUSED.fill(language, &[("field", &plain(field))]),
        AskError::Unavailable => UNAVAILABLE.text(language).to_owned(),
    }
}

const WHAT: Phrase = Phrase { en: "What is wrong?", zh: "出了什么问题？" };
const NAME: Phrase = Phrase { en: "Your name:", zh: "您的姓名：" };
const LOOK: Phrase = Phrase {
    en: "Shall this program also look at this computer for them? You see everything before it is sent. (y/n)",
    zh: "是否同时让本程序检查这台电脑？发送之前您会看到全部内容。(y/n)",
};
const SAY_WHAT: Phrase = Phrase {
    en: "Please say what is wrong: belay-agent ask HOST 'The printer is silent'",
    zh: "请说明出了什么问题：belay-agent ask 主机 '打印机没有反应'",
};
const SAY_NAME: Phrase = Phrase { en: "Please say who you are, with --name.", zh: "请用 --name 说明您是谁。" };
const ASKED: Phrase = Phrase {
    en: "Your request has the number {number}.\nHow it stands, and a place to write to the desk: {page}\nWhoever has this address can read and write there.",
    zh: "您的请求编号为 {number}。\n查看进展并给支持台留言：{page}\n任何拥有此网址的人都能在那里阅读和留言。",
};
const UNREACHABLE: Phrase = Phrase {
    en: "{host} cannot be asked: {why}. Nothing was sent; please try again, or telephone.",
    zh: "无法向 {host} 求助：{why}。未发送任何内容；请重试，或致电客服。",
};
const NOT_A_DESK: Phrase = Phrase {
    en: "{host} does not take requests. Please check the address, or telephone.",
    zh: "{host} 不接受请求。请检查地址，或致电客服。",
};
const TOO_MANY: Phrase = Phrase {
    en: "Many requests came from your network within a quarter of an hour. Please telephone, or try again later.",
    zh: "一刻钟内来自您的网络的请求过多。请致电客服，或稍后再试。",
};
const REFUSED: Phrase = Phrase {
    en: "The desk does not take the request because of: {field}. Please make it one short line.",
    zh: "支持台不接受此请求，原因在于：{field}。请改为一行简短的内容。",
};
const UNAVAILABLE: Phrase = Phrase {
    en: "The desk cannot take requests at the moment. Please try again in a few minutes, or telephone.",
    zh: "支持台暂时无法接受请求。请几分钟后重试，或致电客服。",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_and_no_longer_than_a_desk_takes() {
        assert_eq!(title_of("Slow\nsince yesterday"), "Slow");
        assert_eq!(title_of(" 打印机 "), "打印机");
        let long = title_of(&"打".repeat(200));
        assert!(long.ends_with('…') && long.len() <= 256, "{}", long.len());
        assert_eq!(title_of(&"x".repeat(240)), "x".repeat(240));
    }

    #[test]
    fn only_a_yes_is_one() {
        let check = |typed: &str| says_yes(&mut typed.as_bytes(), LOOK, Language::English).unwrap();
        assert!(check("y\n") && check("YES\r\n") && check("\n\n是\n"));
        assert!(!check("n\n") && !check("") && !check("\n") && !check("yesterday\n"));
    }
}
