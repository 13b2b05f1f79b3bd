//! The command line of the agent.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use belay_protocol::finding::Severity;
use belay_protocol::report::SectionName;
use belay_protocol::{Language, Phrase};
use belay_relay::client::Proxy;
use belay_relay::logging::{LogOptions, told};
use belay_relay::settings;

use crate::consent::contents::Contents;
use crate::page;
use crate::probe::desk_path::Desk;
use crate::redact::log::RedactedLog;
use crate::redact::{Redacted, redact, redact_keeping};
use crate::rulebook::Rulebook;
use crate::survey::{Look, Progress, Smart, look};
use crate::terminal::Colour;

pub mod join;
pub mod rules;

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
    pub lang: Option<String>,
    /// The log.
    #[command(flatten)]
    pub log: LogOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verifier of certificates logs as an error what the person is told in a sentence.
const DEFAULT_LOG: &str = "error,rustls_platform_verifier=off";

const AFTER_HELP: &str = "Examples:\n  belay-agent survey\n  belay-agent join help.example.com 418205975\n\n\
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by you, 4 something critical found (survey --check)";

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Look at this machine and show what was found; contacts no support desk unless you name one
    #[command(after_help = SURVEY_EXAMPLE)]
    Survey(SurveyArgs),
    /// Join the support session of an invite: shows what would be sent, asks, and sends it
    #[command(after_help = join::EXAMPLE)]
    Join(join::JoinArgs),
    /// List, show and test the rules by which this machine is judged
    #[command(subcommand, after_help = rules::EXAMPLE)]
    Rules(rules::RulesCommand),
}

const SURVEY_EXAMPLE: &str = "Example:\n  belay-agent survey\n  belay-agent survey --json | less\n  belay-agent survey --check || echo 'something is critical'\n\nThe name servers of this machine are asked two questions each, about the root of all names and about a name that cannot exist; nothing about you is in them.";

/// Options of `survey`.
#[derive(Debug, Default, clap::Args)]
pub struct SurveyArgs {
    /// Print the report as JSON, with private names replaced
    #[arg(long)]
    pub json: bool,
    /// Show what a desk would be sent: sections, sizes, what was replaced, and every value
    #[arg(long, conflicts_with = "json")]
    pub show: bool,
    /// Leave sections out of --json and --show: system, disk, memory, drivers, network, findings
    #[arg(long, value_name = "SECTION", value_delimiter = ',', value_parser = section)]
    pub without: Vec<SectionName>,
    /// Look at a captured tree of /proc and /sys instead of this machine
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Also ask smartmontools for the health of disks: starts a program, wakes no disk, needs root
    #[arg(long)]
    pub smart: bool,
    /// Also look when this certificate ends
    #[arg(long, value_name = "FILE")]
    pub certificate: Vec<String>,
    /// Exit with 4 when something critical is found
    #[arg(long)]
    pub check: bool,
    /// Also look at the way to this support desk; nothing about this machine is sent to it
    #[arg(long, value_name = "HOST")]
    pub desk: Option<String>,
    /// Directory of what earlier surveys of this machine saw; a captured tree has none
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Reads the command line, the environment and the configuration file, and runs.
pub fn main() -> ExitCode {
    let cli = match settings::parse::<Cli>(std::env::args_os(), Some("/etc/belay/agent.toml".as_ref())) {
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
    exit.into()
}

/// Runs a command and says how it ended; mistakes are told on standard error.
pub async fn run(cli: Cli) -> Exit {
    let language = language(cli.lang.as_deref());
    let names = RedactedLog::of_this_machine();
    let log = cli.log.init_to(DEFAULT_LOG, move || names.to(io::stderr()));
    let outcome = match (log, cli.command) {
        (Err(error), _) => Err(anyhow::Error::msg(error)),
        (Ok(()), Command::Survey(options)) => survey(options, language).await,
        (Ok(()), Command::Join(options)) => join::run(options, language).await,
        (Ok(()), Command::Rules(command)) => rules::run(command, language),
    };
    outcome.unwrap_or_else(|error| {
        // A pipe that was closed early, as by `head`, is the reader's good right.
        let closed = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
        };
        if error.chain().any(closed) {
            return Exit::Done;
        }
        let _ = writeln!(io::stderr(), "belay-agent: {}", told(error.as_ref()));
        Exit::Failed
    })
}

/// The language that was asked for, or the system's.
pub fn language(asked: Option<&str>) -> Language {
    if let Some(asked) = asked {
        return Language::from_locale(asked);
    }
    let variables = ["LC_ALL", "LC_MESSAGES", "LANG"];
    let locale = variables.into_iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
    Language::from_locale(&locale.unwrap_or_default())
}

async fn survey(options: SurveyArgs, language: Language) -> anyhow::Result<Exit> {
    let desk = match options.desk {
        Some(host) => Some(Desk::new(host, Proxy::from_environment(|name| std::env::var(name).ok())?)),
        None => None,
    };
    // A captured tree is another machine: what was seen here says nothing about it.
    let data_dir = options.data.or_else(|| crate::paths::default_data_dir().ok()).filter(|_| options.root.is_none());
    let rulebook =
        Arc::new(data_dir.as_deref().map(|dir| Rulebook::in_data_dir(dir).of_only_desk(dir)).unwrap_or_default());
    let watch = Look {
        root: options.root,
        language,
        desk,
        data_dir,
        smart: if options.smart { Smart::Asked } else { Smart::NotAsked },
        certificates: options.certificate,
        ..Look::default()
    };
    let progress = ProgressLine::new(language);
    let survey = look(&watch, |step| progress.show(step)).await;
    progress.clear();
    let redacted = match &watch.data_dir {
        Some(data_dir) => redact_keeping(survey?, Arc::clone(&rulebook), data_dir)?,
        None => redact(survey?, Arc::clone(&rulebook))?,
    };
    rulebook.keep(redacted.standing());
    let report = redacted.report()?;
    let redacted = if options.without.is_empty() { redacted } else { redacted.without(&options.without)? };
    let mut out = io::stdout().lock();
    if options.json {
        let sent = redacted.report()?;
        writeln!(out, "{}", serde_json::to_string_pretty(&sent).context("cannot write the report as JSON")?)?;
    } else if options.show {
        let (contents, colour) = (Contents::new(&redacted)?, Colour::of(&io::stdout()));
        write!(out, "{}\n{}", contents.everything(language, colour), contents.list(language, colour))?;
    } else {
        write!(out, "{}", shown(&redacted, language, Colour::of(&io::stdout()))?)?;
    }
    out.flush()?;
    let critical = report.findings().is_some_and(|findings| findings.count(Severity::Crit) > 0);
    Ok(if options.check && critical { Exit::Critical } else { Exit::Done })
}

/// A section by its name on the command line.
fn section(name: &str) -> Result<SectionName, String> {
    let names = SectionName::ALL.map(SectionName::as_str).join(", ");
    SectionName::ALL.into_iter().find(|section| section.as_str() == name).ok_or(format!("the sections are {names}"))
}

/// The page about `redacted` with the real names, for the person at this machine.
pub fn shown(redacted: &Redacted, language: Language, colour: Colour) -> anyhow::Result<String> {
    Ok(page::survey(&redacted.report()?, language, colour, &|text: &str| redacted.reveal(text)))
}

/// One line on standard error that says how far the survey is; nothing where nobody watches.
#[derive(Debug)]
pub struct ProgressLine {
    language: Language,
    watched: bool,
}

impl ProgressLine {
    /// A line for whoever watches standard error.
    pub fn new(language: Language) -> Self {
        Self { language, watched: io::stderr().is_terminal() }
    }

    /// Shows a step in place of the one before.
    pub fn show(&self, step: Progress) {
        if self.watched {
            let (done, total) = (step.done.to_string(), step.total.to_string());
            let values = [("done", done.as_str()), ("total", &total), ("subject", step.subject.text(self.language))];
            let _ = write!(io::stderr(), "\r\u{1b}[K{}", LOOKING.fill(self.language, &values));
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if self.watched {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

const LOOKING: Phrase = Phrase {
    en: "Looking at this machine ({done} of {total}): {subject}",
    zh: "正在查看本机（{done}/{total}）：{subject}",
};

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
    fn a_language_is_asked_for_by_tag_or_locale() {
        assert_eq!(language(Some("zh")), Language::Chinese);
        assert_eq!(language(Some("en")), Language::English);
    }

    #[tokio::test]
    async fn a_tree_with_something_critical_fails_the_check_and_only_the_check() {
        let (dir, _root) = crate::probe::tests::tree(&crate::redact::tests::files());
        let options =
            |check| SurveyArgs { json: true, root: Some(dir.path().to_owned()), check, ..SurveyArgs::default() };
        assert_eq!(survey(options(true), Language::English).await.unwrap(), Exit::Critical);
        assert_eq!(survey(options(false), Language::English).await.unwrap(), Exit::Done);
        let missing = SurveyArgs { root: Some("/no/such/tree".into()), ..SurveyArgs::default() };
        let cli = Cli { lang: None, log: LogOptions::default(), command: Command::Survey(missing) };
        assert_eq!(run(cli).await, Exit::Failed);
    }
}
