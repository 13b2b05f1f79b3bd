//! A machine as the agent sees it, and what the agent says about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::Entrance;
use crate::programs::{Program, run};

/// A machine with an agent that has a data directory of its own.
#[derive(Debug)]
pub struct Patient<'e> {
    home: TempDir,
    entrances: Vec<&'e dyn Entrance>,
    data: PathBuf,
    survey: Vec<String>,
    variables: Vec<(String, String)>,
}

impl<'e> Patient<'e> {
    /// This machine as it is.
    pub fn new() -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let data = home.path().join("data");
        Ok(Self { home, entrances: Vec::new(), data, survey: Vec::new(), variables: Vec::new() })
    }

    /// The same seen from within. What was entered first lies innermost.
    pub fn within(mut self, entrance: &'e dyn Entrance) -> Self {
        self.entrances.push(entrance);
        self
    }

    /// The same with the data directory elsewhere, for machines that do not have ours.
    pub fn keeping(self, data: &str) -> Self {
        Self { data: data.into(), ..self }
    }

    /// The same with more options for `survey`.
    pub fn with(mut self, options: &[&str]) -> Self {
        self.survey.extend(options.iter().map(|&word| word.to_owned()));
        self
    }

    /// The same with a variable more for the agent.
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    fn agent(&self, words: &[&str]) -> anyhow::Result<Command> {
        let mut agent = Program::Agent.command(self.home.path())?;
        agent.args(["--lang", "en"]).args(words).arg("--data").arg(&self.data);
        agent.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Ok(self.entrances.iter().fold(agent, |agent, entrance| entrance.inside(&agent)))
    }

    /// What `survey` says now.
    pub fn survey(&self) -> anyhow::Result<Seen> {
        let options = self.survey.iter().map(String::as_str);
        let words: Vec<&str> = ["survey", "--json"].into_iter().chain(options).collect();
        let ended = run(&mut self.agent(&words)?)?;
        ensure!(ended.code == Some(0), "survey: {ended}");
        Seen::of(ended.json()?)
    }

    /// Joins the session of `link`; the desk has the report then.
    pub fn join(&self, link: &str) -> anyhow::Result<()> {
        let ended = run(&mut self.agent(&["join", "--yes", "--insecure-http", link])?)?;
        ensure!(ended.code == Some(0), "join: {ended}");
        Ok(())
    }
}

/// A finding: its rule, what it is about, and how bad it is.
pub type Told = (String, String, String);

/// The same in words.
pub fn told(rule: &str, subject: &str, severity: &str) -> Told {
    (rule.to_owned(), subject.to_owned(), severity.to_owned())
}

/// What a survey told.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The whole report.
    pub report: Value,
    /// Severities by rule and subject; what could not be looked at is not among them.
    found: BTreeMap<(String, String), String>,
}

impl Seen {
    /// What stands in a report.
    fn of(report: Value) -> anyhow::Result<Self> {
        let seen = Self { report, found: BTreeMap::new() };
        let found = seen.section("findings")["found"].as_array().context("no findings")?.clone();
        Ok(Self { found: by_subject("rule", &found), ..seen })
    }

    /// What a desk was told with its newest report.
    pub fn at_desk(ticket: &Value) -> anyhow::Result<Self> {
        let report = &ticket["reports"][0];
        let found = report["findings"].as_array().with_context(|| format!("no findings in {ticket}"))?;
        Ok(Self { report: report.clone(), found: by_subject("rule_id", found) })
    }

    /// A section of the report.
    pub fn section(&self, name: &str) -> &Value {
        let sections = self.report["sections"].as_array().into_iter().flatten();
        sections.into_iter().find_map(|section| section.get(name)).unwrap_or(&Value::Null)
    }

    /// How bad a rule finds a subject.
    pub fn severity(&self, rule: &str, subject: &str) -> Option<&str> {
        self.found.get(&(rule.to_owned(), subject.to_owned())).map(String::as_str)
    }

    /// All findings.
    pub fn all(&self) -> Vec<Told> {
        self.found.iter().map(|((rule, subject), severity)| told(rule, subject, severity)).collect()
    }

    /// What is found now and was not before, or not as badly; without what comes and goes with the load of a machine that
    /// runs tests, unless it is critical.
    pub fn since(&self, before: &Self) -> Vec<Told> {
        let mut news = self.all();
        news.retain(|(rule, subject, severity)| {
            let rank = |severity: &str| ["info", "warn", "crit"].iter().position(|known| *known == severity);
            let is_worse = before.severity(rule, subject).is_none_or(|was| rank(was) < rank(severity));
            is_worse && (severity == "crit" || !MOODS.contains(&rule.as_str()))
        });
        news
    }
}

fn by_subject(rule: &str, found: &[Value]) -> BTreeMap<(String, String), String> {
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let found =
        found.iter().map(|finding| ((text(finding, rule), text(finding, "subject")), text(finding, "severity")));
    found.filter(|(_, severity)| severity != "unknown").collect()
}

/// Rules about load: true when they speak, and no test's doing.
const MOODS: [&str; 15] = [
    "cpu-stolen",
    "disk-saturated",
    "disk-slow",
    "io-pressure",
    "link-losing-now",
    "load-high",
    "memory-low",
    "memory-pressure",
    "memory-unwritten",
    "names-slow",
    "programs-stuck",
    "sockets-not-closed",
    "softnet-drops",
    "tcp-resends",
    "zombies-many",
];
