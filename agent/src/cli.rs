//! The command line of the agent.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use belay_protocol::lang::system_error;
use belay_protocol::report::SectionName;
use belay_protocol::{Language, Phrase};
use belay_relay::logging::{LogOptions, told};
use belay_relay::settings;

use crate::page;
use crate::paths::NoHome;
use crate::redact::Redacted;
use crate::redact::log::RedactedLog;
#[cfg(not(test))]
use crate::standard_output::StandardOutput;
use crate::survey::{NoSuchTree, Progress};
use crate::terminal::{Screen, columns, cut, obeys};

pub mod ask;
mod asking;
mod chinese;
pub mod doctor;
pub mod join;
pub mod open;
pub mod rules;
pub mod survey;
mod watch;

/// How a command ended, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It did not work.
    Failed = 1,
    /// The command line, or the invite on it, was wrong.
    Usage = 2,
    /// The customer refused.
    Refused = 3,
    /// `survey --check` found something critical.
    Critical = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The agent's command line.
#[derive(Debug, clap::Parser)]
#[command(
    name = "belay-agent",
    version,
    about = "Looks at this machine and says what is wrong with it; sends nothing unless you agree.",
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// Language: en or zh; the system's when not given
    #[arg(long, global = true, value_name = "LANGUAGE")]
    pub lang: Option<Language>,
    /// The log.
    #[command(flatten)]
    pub log: LogOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verifier of certificates logs as an error what the person is told in a sentence.
const DEFAULT_LOG: &str = "error,rustls_platform_verifier=off";

const AFTER_HELP: &str = "Started without a word by somebody at a terminal, it asks for the support desk and the code.\n\nExamples:\n  belay-agent survey\n  belay-agent join help.example.com 418205975\n\n\
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by you, 4 something critical found (survey --check)";

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Look at this machine and show what was found; contacts no support desk unless you name one
    #[command(after_help = survey::EXAMPLE)]
    Survey(survey::SurveyArgs),
    /// Show a report that was saved to a file: whose it is, whether it is whole, and what is in it
    #[command(after_help = open::EXAMPLE)]
    Open(open::OpenArgs),
    /// Join the support session of an invite: shows what would be sent, asks, and sends it
    #[command(after_help = join::EXAMPLE)]
    Join(join::JoinArgs),
    /// Ask a support desk for help: makes a ticket of your words, and offers to look at this machine for it
    #[command(after_help = ask::EXAMPLE)]
    Ask(ask::AskArgs),
    /// Say step by step why a support desk can or cannot be reached; sends nothing about this machine
    #[command(after_help = doctor::EXAMPLE)]
    Doctor(doctor::DoctorArgs),
    /// List, show and test the rules by which this machine is judged
    #[command(subcommand, after_help = rules::EXAMPLE)]
    Rules(rules::RulesCommand),
}

/// Reads the command line, the environment and the configuration file, and runs.
pub fn main() -> ExitCode {
    crate::heap::keep_small();
    let mut args: Vec<_> = std::env::args_os().collect();
    let spoken = language(asked_language(&args));
    let is_asked = asking::is_wanted(&args);
    if is_asked {
        match asking::ask(&mut io::stdin().lock(), &mut io::stdout(), spoken) {
            Ok(Some(line)) => args.extend(line),
            Ok(None) | Err(_) => return Exit::Refused.into(),
        }
    }
    let shown = match spoken {
        Language::English => |command| command,
        Language::Chinese => chinese::worded,
    };
    let cli = match settings::parse_as::<Cli>(args, Some("/etc/belay/agent.toml".as_ref()), shown) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    // One thread is enough for one session, and each further one costs memory on the customer's machine.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(io::stderr(), "belay-agent: {error}");
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(run(cli));
    // A thread may still wait for a key that nobody will press.
    runtime.shutdown_background();
    // Elsewhere a terminal stays open, and whoever has ended it wants no further question.
    if cfg!(windows) && is_asked && exit != Exit::Refused {
        let _ = asking::wait_for_enter(&mut io::stdin().lock(), &mut io::stdout(), spoken);
    }
    exit.into()
}

/// Runs a command and says how it ended; mistakes are told on standard error.
pub async fn run(cli: Cli) -> Exit {
    let language = language(cli.lang);
    let names = RedactedLog::of_this_machine();
    let log = cli.log.init_to(DEFAULT_LOG, move || names.to(io::stderr()));
    let outcome = match (log, cli.command) {
        (Err(error), _) => Err(anyhow::Error::msg(error)),
        (Ok(()), Command::Survey(options)) => survey::run(options, language).await,
        (Ok(()), Command::Open(options)) => open::run(options, language),
        (Ok(()), Command::Join(options)) => join::run(options, language).await,
        (Ok(()), Command::Ask(options)) => ask::run(options, language).await,
        (Ok(()), Command::Doctor(options)) => doctor::run(options, language).await,
        (Ok(()), Command::Rules(command)) => rules::run(command, language),
    };
    // What is still held back would be lost without a word when the program ends.
    let printed = outcome.and_then(|exit| Ok(out().flush().map(|()| exit)?));
    printed.unwrap_or_else(|error| {
        // A pipe that was closed early, as by `head`, is the reader's good right.
        let closed = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
        };
        if error.chain().any(closed) {
            return Exit::Done;
        }
        let _ = writeln!(err(), "belay-agent: {}", sentence(&error, language));
        Exit::Failed
    })
}

/// Why a command failed, in one line.
fn sentence(error: &anyhow::Error, language: Language) -> String {
    if let Some(error) = error.downcast_ref::<NoSuchTree>() {
        return error.sentence(language);
    }
    if error.is::<NoHome>() {
        return NO_HOME.text(language).to_owned();
    }
    match error.downcast_ref::<io::Error>().filter(|error| error.get_ref().is_none()) {
        // Errors of files bring their path along, so that this is one of standard output.
        Some(error) => NOT_PRINTED.fill(language, &[("why", &system_error(error, language))]),
        None => told(error.as_ref()),
    }
}

/// Standard output, which nobody reads in a unit test.
fn out() -> impl Write {
    #[cfg(not(test))]
    return StandardOutput::new();
    #[cfg(test)]
    io::sink()
}

/// Standard error, in the same way.
fn err() -> impl Write {
    #[cfg(not(test))]
    return io::stderr();
    #[cfg(test)]
    io::sink()
}

/// The language that the command line or the environment asks for, as far as it can be told before the rest is read: help
/// is shown in it, also where something else on the command line is wrong.
fn asked_language(args: &[OsString]) -> Option<Language> {
    let mut words = args.iter().filter_map(|word| word.to_str());
    let asked = loop {
        match words.next() {
            Some("--lang") => break words.next().map(str::to_owned),
            Some(word) => {
                if let Some(asked) = word.strip_prefix("--lang=") {
                    break Some(asked.to_owned());
                }
            }
            None => break std::env::var("BELAY_LANG").ok(),
        }
    };
    asked?.parse().ok()
}

/// The language that was asked for, or the system's.
pub fn language(asked: Option<Language>) -> Language {
    if let Some(asked) = asked {
        return asked;
    }
    let variables = ["LC_ALL", "LC_MESSAGES", "LANG"];
    let locale = variables.into_iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
    Language::from_locale(&locale.unwrap_or_default())
}

/// A moment as people read it, in UTC.
fn moment(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| format!("{unix_ms} ms"), |moment| moment.strftime("%F %T UTC").to_string())
}

/// A section by its name on the command line.
fn section(name: &str) -> Result<SectionName, String> {
    let names = SectionName::ALL.map(SectionName::as_str).join(", ");
    SectionName::ALL.into_iter().find(|section| section.as_str() == name).ok_or(format!("the sections are {names}"))
}

/// The page about `redacted` with the real names, for the person at this machine.
pub fn shown(redacted: &Redacted, language: Language, screen: impl Into<Screen>) -> anyhow::Result<String> {
    Ok(page::survey(&redacted.seen_here()?, language, screen))
}

/// One line on standard error that says how far the survey is; nothing where nobody watches.
#[derive(Debug)]
pub struct ProgressLine {
    language: Language,
    watched: bool,
    columns: usize,
}

impl ProgressLine {
    /// A line for whoever watches standard error.
    pub fn new(language: Language) -> Self {
        // A line that is as long as the screen is wide may take two, of which only one is taken away.
        let columns = columns(&io::stderr()).unwrap_or(Screen::COLUMNS_MIN).saturating_sub(1);
        Self { language, watched: obeys(&io::stderr()), columns }
    }

    /// Shows a step in place of the one before.
    pub fn show(&self, step: Progress) {
        let (done, total) = (step.done.to_string(), step.total.to_string());
        let values = [("done", done.as_str()), ("total", &total), ("subject", step.subject.text(self.language))];
        self.say(&LOOKING.fill(self.language, &values));
    }

    /// Shows any text in place of the one before.
    fn say(&self, text: &str) {
        if self.watched {
            let _ = write!(err(), "\r\u{1b}[K{}", cut(text, self.columns));
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.say("");
    }
}

const NO_HOME: Phrase = Phrase {
    en: "no home directory is known; name a directory with --data",
    zh: "不知道主目录；请用 --data 指定一个目录",
};
const NOT_PRINTED: Phrase = Phrase { en: "the output cannot be written: {why}", zh: "无法写出结果：{why}" };
const LOOKING: Phrase =
    Phrase { en: "Looking ({done} of {total}): {subject}", zh: "正在查看（{done}/{total}）：{subject}" };

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
        let help = Cli::command().find_subcommand_mut("survey").unwrap().render_long_help().to_string();
        assert!(help.contains("Example:"), "{help}");
    }

    #[test]
    fn a_language_is_asked_for_by_name() {
        use clap::Parser as _;
        let asked = |name| Cli::try_parse_from(["belay-agent", "--lang", name, "survey"]);
        assert_eq!(asked("zh").unwrap().lang, Some(Language::Chinese));
        assert_eq!(language(asked("en_GB.UTF-8").unwrap().lang), Language::English);
        let told = asked("fr").unwrap_err().to_string();
        assert!(told.contains("the languages are en and zh"), "{told}");
    }
}
