//! `belay-agent doctor`: why a support desk can or cannot be reached.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use belay_protocol::{Language, Phrase};
use belay_relay::client::Proxy;
use belay_relay::net::SystemNet;

use super::{Exit, ProgressLine, err};
use crate::doctor::{Check, Patient, Target, Verdict, examine};
use crate::terminal::{Colour, Style, json};

/// Shown below the help of the command.
pub const EXAMPLE: &str = "Examples:\n  belay-agent doctor help.example.com\n  belay-agent doctor 'belay://relay.example.com:443/418205975?desk=help.example.com#...'\n\nA link's code is not used up. Exit codes: 0 support can be reached, 1 it cannot, 2 wrong usage.";

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// The help address of your support, or an invite link (belay://...)
    #[arg(value_name = "HELP")]
    pub support: String,
    /// Print the steps as JSON
    #[arg(long)]
    pub json: bool,
    /// Ask a desk on this very machine by plain HTTP
    #[arg(long)]
    pub insecure_http: bool,
}

/// Runs `doctor`.
pub async fn run(args: DoctorArgs, language: Language) -> anyhow::Result<Exit> {
    let target = match Target::parse(&args.support) {
        Ok(target) => target,
        Err(error) => {
            writeln!(err(), "{}", error.sentence(language))?;
            return Ok(Exit::Usage);
        }
    };
    let proxy = Proxy::from_environment(|name| std::env::var(name).ok());
    let patient = Patient { target, proxy, insecure_http: args.insecure_http, language, net: Arc::new(SystemNet) };
    let colour = Colour::of(&io::stdout());
    let progress = ProgressLine::new(language);
    let checks = examine(&patient, |step| progress.say(&format!("{} …", step.text(language)))).await;
    progress.clear();
    let is_reached = checks.iter().all(|check| check.verdict != Verdict::Bad);
    let mut out = super::out();
    if args.json {
        let report = serde_json::json!({ "reached": is_reached, "checks": checks });
        writeln!(out, "{}", json(&report)?)?;
    } else {
        for check in said_once(checks) {
            writeln!(out, "{}", line(&check, language, colour))?;
        }
        let (style, conclusion) = if is_reached { (Style::Green, REACHED) } else { (Style::Red, NOT_REACHED) };
        writeln!(out, "\n{}", colour.paint(style, conclusion.text(language)))?;
    }
    out.flush()?;
    Ok(if is_reached { Exit::Done } else { Exit::Failed })
}

/// The same steps for people, with each remedy at the first that it is for.
fn said_once(mut checks: Vec<Check>) -> Vec<Check> {
    let mut said = BTreeSet::new();
    for check in &mut checks {
        check.remedy = check.remedy.take().filter(|remedy| said.insert(remedy.clone()));
    }
    checks
}

fn line(check: &Check, language: Language, colour: Colour) -> String {
    let (mark, style) = match check.verdict {
        Verdict::Good => ("✓", Style::Green),
        Verdict::Warning => ("!", Style::Yellow),
        Verdict::Bad => ("✗", Style::Red),
        Verdict::Unknown => ("–", Style::Dim),
    };
    let remedy = check.remedy.as_ref().map(|remedy| format!("\n    {remedy}")).unwrap_or_default();
    let (mark, step) = (colour.paint(style, mark), colour.paint(Style::Bold, &check.step));
    SAID.fill(language, &[("mark", &mark), ("step", &step), ("said", &check.said), ("remedy", &remedy)])
}

const SAID: Phrase = Phrase { en: "{mark} {step}: {said}{remedy}", zh: "{mark} {step}：{said}{remedy}" };
const REACHED: Phrase = Phrase { en: "This machine reaches support.", zh: "本机可以连接到客服。" };
const NOT_REACHED: Phrase = Phrase {
    en: "This machine does not reach support. Begin with the first line marked ✗.",
    zh: "本机无法连接到客服。请从第一条标有 ✗ 的项目开始处理。",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_said_at_the_first_step_that_it_is_for() {
        let bad = |remedy: &str| Check {
            id: "name",
            step: "Name".to_owned(),
            verdict: Verdict::Bad,
            said: "not found".to_owned(),
            remedy: Some(remedy.to_owned()),
        };
        let checks = said_once(vec![bad("restart the router"), bad("call"), bad("restart the router")]);
        let shown = checks.iter().map(|check| line(check, Language::Chinese, Colour::None)).collect::<Vec<_>>();
        let expected =
            ["✗ Name：not found\n    restart the router", "✗ Name：not found\n    call", "✗ Name：not found"];
        assert_eq!(shown, expected);
    }
}
