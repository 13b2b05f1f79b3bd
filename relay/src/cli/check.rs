//! `belay-relay check`: what is good and what is not, before somebody misses it.
//!
//! A finding is *bad* when the relay would not start with it, or would fail those who need it; a *warning* is about what
//! works and will not for long, or less well than it could.

mod elsewhere;
mod files;
mod ports;
mod system;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use clap::error::ErrorKind;
use serde::Serialize;

use super::options::RelayOptions;
use crate::settings::SettingsError;

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    options: RelayOptions,
    /// Print the findings as one JSON object
    #[arg(long)]
    json: bool,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

/// What was seen of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    verdict: Verdict,
    subject: &'static str,
    /// A sentence.
    said: String,
    /// What to do about it, unless it is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn good(subject: &'static str, said: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, subject, said: said.into(), remedy: None }
    }

    fn warning(subject: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, subject, said: said.into(), remedy: Some(remedy.into()) }
    }

    fn bad(subject: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, ..Self::warning(subject, said, remedy) }
    }
}

impl Check {
    /// Looks, prints, and says whether all is well.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let findings = runtime.block_on(look(&self.options));
        Ok(print(&findings, self.json)?)
    }
}

/// Everything that can be seen, in the order in which it is best mended.
async fn look(options: &RelayOptions) -> Vec<Finding> {
    let mut findings = configuration(options);
    findings.extend(files::look(options));
    findings.extend(ports::look(options).await);
    findings.extend(elsewhere::look(options).await);
    findings.extend(system::look(options));
    findings
}

fn configuration(options: &RelayOptions) -> Vec<Finding> {
    let mut findings = vec![match options.check_pairs().and_then(|()| options.check_elsewhere()) {
        Ok(()) => Finding::good("configuration", "Every option is known and has a value that fits."),
        Err(error) => {
            Finding::bad("configuration", sentence(&error.to_string()), "Look at the file and the variables.")
        }
    }];
    let listen = options.listen;
    let organizations: BTreeSet<_> = options.organization.iter().collect();
    findings.push(match options.organization.len() {
        0 if options.any_organization && !listen.ip().is_loopback() => Finding::warning(
            "organizations",
            format!("The relay serves everybody who can reach {listen}."),
            "List the organizations it is for: --organization KEY.",
        ),
        0 if options.admission().is_none() => Finding::bad(
            "organizations",
            format!("{listen} can be reached by others, and nobody said whom to serve."),
            "Add --organization KEY, printed by `belay-console init`, or --any-organization.",
        ),
        0 => Finding::good("organizations", format!("{listen} is for this machine alone; everybody there is served.")),
        _ if organizations.len() == 1 => Finding::good("organizations", "One organization is served."),
        _ => Finding::good("organizations", format!("{} organizations are served.", organizations.len())),
    });
    if options.check_metrics().is_err() {
        findings.push(Finding::bad(
            "metrics",
            "The figures would be on an address that others can reach.",
            "Let --metrics be a loopback address, such as 127.0.0.1:9443, or say --metrics-anywhere.",
        ));
    } else if options.metrics.is_some_and(|metrics| !metrics.ip().is_loopback()) {
        findings.push(Finding::warning(
            "metrics",
            "The figures are on an address that others can reach, without a password.",
            "Let a firewall keep everybody but the scraper away, or use a loopback address.",
        ));
    }
    findings
}

/// Says what is wrong with the settings, if it was `check` that was asked for and they are what it was to look at. Wrong
/// usage of the command line itself is not.
pub(super) fn report_settings(error: &SettingsError) -> Option<ExitCode> {
    if let SettingsError::Usage(usage) = error
        && !matches!(usage.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::ArgumentConflict)
    {
        return None;
    }
    let asked = super::asked()?;
    asked.subcommand_matches("check")?;
    // What follows a wrong value has not been parsed.
    let json = std::env::args_os().any(|arg| arg == "--json");
    let words = error.to_string();
    let finding = Finding::bad(
        "configuration",
        sentence(words.lines().next().unwrap_or_default().trim_start_matches("error: ")),
        "`belay-relay serve --help` lists every option; the keys of the file have the same names.",
    );
    Some(print(&[finding], json).unwrap_or(ExitCode::FAILURE))
}

/// An error's words as a sentence. A path or an option that they begin with stays as it is.
fn sentence(words: &str) -> String {
    let first_word = words.split(' ').next().unwrap_or_default();
    let mut said = words.to_owned();
    if let Some(first) = said.get_mut(..1).filter(|_| first_word.chars().all(char::is_alphabetic)) {
        first.make_ascii_uppercase();
    }
    if !said.ends_with(['.', '?']) {
        said.push('.');
    }
    said
}

fn print(findings: &[Finding], json: bool) -> std::io::Result<ExitCode> {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (bad, warnings) = (count(Verdict::Bad), count(Verdict::Warning));
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &serde_json::json!({ "good": bad == 0, "findings": findings }))?;
        writeln!(out)?;
    } else {
        for Finding { verdict, subject, said, remedy } in findings {
            let verdict = match verdict {
                Verdict::Good => "good   ",
                Verdict::Warning => "WARNING",
                Verdict::Bad => "BAD    ",
            };
            let remedy = remedy.as_ref().map(|remedy| format!(" {remedy}")).unwrap_or_default();
            writeln!(out, "{verdict} {subject}: {said}{remedy}")?;
        }
        match (bad, warnings) {
            (0, 0) => writeln!(out, "\nNothing is wrong.")?,
            (0, warnings) => writeln!(out, "\nNothing is wrong; warnings: {warnings}.")?,
            (bad, warnings) => writeln!(out, "\nBad: {bad}; warnings: {warnings}.")?,
        }
    }
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_sentences_and_paths_stay_paths() {
        let check = |words, expected| assert_eq!(sentence(words), expected);
        check("the key cannot be used", "The key cannot be used.");
        check("data/relay.key holds no key", "data/relay.key holds no key.");
        check("--cert and --key belong together", "--cert and --key belong together.");
        check("did you mean it?", "Did you mean it?");
        check("über alles", "über alles.");
        check("", ".");
    }
}
