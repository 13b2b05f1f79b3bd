//! `belay-agent survey --watch SECTION`: one section again and again, for whoever waits for something to happen.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::report::{Report, Section, SectionName};
use belay_protocol::{Language, Phrase};
use belay_relay::shutdown;
use tokio::time::MissedTickBehavior;

use super::Exit;
use crate::page;
use crate::redact::{Redacted, redact_only};
use crate::rulebook::Rulebook;
use crate::survey::{Extent, Look, learn_identity, look_at};
use crate::terminal::{Screen, Style, escaped, rows};

/// Looks every `every` until the person has seen enough. Nothing is kept.
pub(super) async fn run(section: SectionName, every: Duration, json: bool, language: Language) -> anyhow::Result<Exit> {
    let look = Look { language, extent: Extent::Moving, ..Look::default() };
    let rulebook = Arc::<Rulebook>::default();
    let identity = learn_identity(look.deadline).await;
    let mut ticks = tokio::time::interval(every);
    // After a pause, as of a machine that slept, the next look is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(shutdown::requested());
    loop {
        tokio::select! {
            () = &mut stop => return Ok(Exit::Done),
            _ = ticks.tick() => {}
        }
        let survey = tokio::select! {
            () = &mut stop => return Ok(Exit::Done),
            survey = look_at(section, &look, identity.clone()) => survey,
        };
        let redacted = redact_only(section, &survey, Arc::clone(&rulebook))?;
        show(&redacted, section, every, json, language)?;
    }
}

fn show(
    redacted: &Redacted,
    section: SectionName,
    every: Duration,
    json: bool,
    language: Language,
) -> anyhow::Result<()> {
    let report = redacted.report()?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", line(&report, section)?)?;
    } else {
        let (is_screen, screen) = (out.is_terminal(), Screen::of(&io::stdout()));
        let page = page::watched(&redacted.seen_here()?, language, screen);
        if is_screen {
            let seconds = every.as_secs().to_string();
            let footer = screen.colour.paint(Style::Dim, AGAIN.fill(language, &[("seconds", &seconds)]));
            // To the top, the page over the last one, and away with what that had more; without a flicker. What does not
            // fit the screen is left out, and lines are not wrapped, because both would push the top away.
            let fits = rows(&io::stdout()).map_or(usize::MAX, |rows| rows.saturating_sub(FOOTER_ROWS));
            let page: String = page.lines().take(fits).map(|line| format!("{line}\u{1b}[K\n")).collect();
            write!(out, "\u{1b}[?7l\u{1b}[H{page}\u{1b}[K\n{footer}\u{1b}[K\u{1b}[J\u{1b}[?7h")?;
        } else {
            writeln!(out, "{page}")?;
        }
    }
    Ok(out.flush()?)
}

/// The section with its time, as one line of JSON. Private names are replaced.
fn line(report: &Report, section: SectionName) -> anyhow::Result<String> {
    let facts = report.sections.iter().find(|one: &&Section| one.name() == section);
    let line = serde_json::json!({ "taken_at_unix_ms": report.header.taken_at_unix_ms, "section": facts });
    Ok(escaped(&serde_json::to_string(&line)?))
}

/// A blank line and the footer.
const FOOTER_ROWS: usize = 2;

const AGAIN: Phrase =
    Phrase { en: "Again every {seconds} s; Ctrl-C ends.", zh: "每 {seconds} 秒刷新；按 Ctrl-C 结束。" };

/// What can be watched, by its name on the command line. Findings take a whole survey.
pub(super) fn subject(name: &str) -> Result<SectionName, String> {
    let subjects = SectionName::ALL.into_iter().filter(|section| *section != SectionName::Findings);
    let names: Vec<_> = subjects.clone().map(SectionName::as_str).collect();
    let unknown = || format!("what can be watched is {}", names.join(", "));
    subjects.into_iter().find(|section| section.as_str() == name).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_watched_is_listed_to_whoever_asks_for_something_else() {
        assert_eq!(subject("disk"), Ok(SectionName::Disk));
        for name in ["nosuch", "findings", ""] {
            assert_eq!(subject(name), Err("what can be watched is system, disk, memory, drivers, network".to_owned()));
        }
    }
}
