//! `belay-agent survey --watch SECTION`: one section again and again, for whoever waits for something to happen.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::report::{Disk, Fact, Network, Report, Section, SectionName, Why, WhyKind};
use belay_protocol::{BoundedVec, Language, Phrase};
use belay_relay::shutdown;
use tokio::time::MissedTickBehavior;

use super::{Exit, err, moment, out};
use crate::page;
use crate::redact::{Redacted, redact_only};
use crate::rulebook::Rulebook;
use crate::survey::{Extent, Look, Survey, learn_identity, look_at};
use crate::terminal::{Screen, Style, escaped, obeys, plain, rows};

/// What is watched: a section, or one disk or interface of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    section: SectionName,
    part: Option<String>,
}

/// Looks every `every` until the person has seen enough. Nothing is kept.
pub(super) async fn run(subject: Subject, every: Duration, json: bool, language: Language) -> anyhow::Result<Exit> {
    let look = Look { language, extent: Extent::Moving, ..Look::default() };
    let rulebook = Arc::<Rulebook>::default();
    let identity = learn_identity(look.deadline).await;
    let mut ticks = tokio::time::interval(every);
    // After a pause, as of a machine that slept, the next look is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(shutdown::requested());
    let mut has_begun = false;
    loop {
        tokio::select! {
            () = &mut stop => return Ok(Exit::Done),
            _ = ticks.tick() => {}
        }
        let mut survey = tokio::select! {
            () = &mut stop => return Ok(Exit::Done),
            survey = look_at(subject.section, &look, identity.clone()) => survey,
        };
        // What is unplugged while somebody watches may come back.
        if let Some(part) = &subject.part
            && let Err(others) = narrow(&mut survey, subject.section, part)
            && !has_begun
        {
            let values = [("part", &*plain(part)), ("others", &*plain(&others.join(COMMA.text(language))))];
            writeln!(err(), "{}", NO_PART.fill(language, &values))?;
            return Ok(Exit::Usage);
        }
        has_begun = true;
        let redacted = redact_only(subject.section, &survey, Arc::clone(&rulebook))?;
        show(&redacted, subject.section, every, json, language)?;
    }
}

/// Leaves one disk or interface in `survey`, with what belongs to it; the names of those that there are where it has none
/// of that name.
fn narrow(survey: &mut Survey, section: SectionName, part: &str) -> Result<(), Vec<String>> {
    let why = Why::new(WhyKind::NotApplicable, "watch");
    let names: Vec<String> = if section == SectionName::Disk {
        let disk = std::mem::replace(&mut survey.disk, Disk::unknown(&why));
        let names = disk.block_devices.known().into_iter().flat_map(|all| all.iter()).map(|one| one.name.to_string());
        let names = names.collect();
        let is_on = |device: &str| device.strip_prefix("/dev/").is_some_and(|name| name.starts_with(part));
        survey.disk.mounts = only(disk.mounts, |mount| is_on(mount.device.reveal()));
        survey.disk.volumes = only(disk.volumes, |volume| volume.name.reveal().starts_with(part));
        survey.disk.block_devices = only(disk.block_devices, |device| device.name.as_str() == part);
        names
    } else {
        let network = std::mem::replace(&mut survey.network, Network::unknown(&why));
        let all = network.interfaces.known().into_iter().flat_map(|all| all.iter());
        let names = all.map(|one| one.name.reveal().to_owned()).collect();
        survey.network.default_routes = only(network.default_routes, |route| route.interface.reveal() == part);
        survey.network.interfaces = only(network.interfaces, |interface| interface.name.reveal() == part);
        names
    };
    if names.iter().any(|name| name == part) { Ok(()) } else { Err(names) }
}

fn only<T, const N: usize>(fact: Fact<BoundedVec<T, N>>, is_wanted: impl FnMut(&T) -> bool) -> Fact<BoundedVec<T, N>> {
    fact.map(|items| BoundedVec::truncating(items.into_iter().filter(is_wanted)).0)
}

fn show(
    redacted: &Redacted,
    section: SectionName,
    every: Duration,
    json: bool,
    language: Language,
) -> anyhow::Result<()> {
    let report = redacted.report()?;
    let mut out = out();
    if json {
        writeln!(out, "{}", line(&report, section)?)?;
    } else {
        let screen = Screen::of(&io::stdout());
        let page = page::watched(&redacted.seen_here()?, language, screen);
        if obeys(&io::stdout()) {
            let seconds = every.as_secs().to_string();
            let footer = screen.colour.paint(Style::Dim, AGAIN.fill(language, &[("seconds", &seconds)]));
            // To the top, the page over the last one, and away with what that had more; without a flicker. What does not
            // fit the screen is left out, and lines are not wrapped, because both would push the top away.
            let fits = rows(&io::stdout()).map_or(usize::MAX, |rows| rows.saturating_sub(FOOTER_ROWS));
            let page: String = page.lines().take(fits).map(|line| format!("{line}\u{1b}[K\n")).collect();
            write!(out, "\u{1b}[?7l\u{1b}[H{page}\u{1b}[K\n{footer}\u{1b}[K\u{1b}[J\u{1b}[?7h")?;
        } else {
            writeln!(out, "{}\n{page}", moment(report.header.taken_at_unix_ms))?;
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

const COMMA: Phrase = Phrase { en: ", ", zh: "、" };
const NO_PART: Phrase =
    Phrase { en: "there is no {part} on this machine, but {others}", zh: "本机没有 {part}，现有：{others}" };

/// What can be watched, by its name on the command line. Findings take a whole survey.
pub(super) fn subject(name: &str) -> Result<Subject, String> {
    let (section, part) = name.split_once(':').map_or((name, None), |(section, part)| (section, Some(part)));
    let mut sections = SectionName::ALL.into_iter().filter(|section| *section != SectionName::Findings);
    let names: Vec<_> = sections.clone().map(SectionName::as_str).collect();
    let unknown = || format!("what can be watched is {}, disk:NAME and network:NAME, as disk:sda", names.join(", "));
    let has_parts = |section| matches!(section, SectionName::Disk | SectionName::Network);
    let fits = |known: &SectionName| {
        known.as_str() == section && part.is_none_or(|part| has_parts(*known) && !part.is_empty())
    };
    let section = sections.find(fits).ok_or_else(unknown)?;
    Ok(Subject { section, part: part.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;
    use crate::survey::look;

    #[test]
    fn what_can_be_watched_is_listed_to_whoever_asks_for_something_else() {
        let of = |section, part: Option<&str>| Ok(Subject { section, part: part.map(str::to_owned) });
        assert_eq!(subject("disk"), of(SectionName::Disk, None));
        assert_eq!(subject("disk:sda"), of(SectionName::Disk, Some("sda")));
        assert_eq!(subject("network:eth0.7:1"), of(SectionName::Network, Some("eth0.7:1")));
        for name in ["nosuch", "findings", "", "memory:ram", "disk:", ":sda"] {
            let told = subject(name).unwrap_err();
            assert!(told.contains("system, disk, memory, drivers, network, disk:NAME"), "{told}");
        }
    }

    #[tokio::test]
    async fn of_one_disk_or_interface_nothing_else_is_shown() {
        let (dir, _root) = tree(&[
            ("sys/block/sda/size", "1000\n"),
            ("sys/block/sdb/size", "1000\n"),
            ("proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /srv ext4 rw 0 0\n"),
            ("sys/class/net/eth0/flags", "0x1003\n"),
            ("sys/class/net/eth1/flags", "0x1003\n"),
            ("etc/resolv.conf", "nameserver 192.0.2.1\n"),
        ]);
        let options = Look { root: Some(dir.path().to_owned()), ..Look::default() };
        let mut survey = look(&options, |_| ()).await.unwrap();
        narrow(&mut survey, SectionName::Disk, "sdb").unwrap();
        narrow(&mut survey, SectionName::Network, "eth1").unwrap();
        let disk = redact_only(SectionName::Disk, &survey, Default::default()).unwrap().seen_here().unwrap();
        let network = redact_only(SectionName::Network, &survey, Default::default()).unwrap().seen_here().unwrap();
        let json = serde_json::to_string(&(disk, network)).unwrap();
        for (shown, hidden) in [("sdb", "sda"), ("/srv", "\"/\""), ("eth1", "eth0"), ("", "192.0.2.1")] {
            assert!(json.contains(shown) && !json.contains(hidden), "{shown}, {hidden}: {json}");
        }
        assert_eq!(narrow(&mut survey, SectionName::Network, "eth7"), Err(vec!["eth1".to_owned()]));
    }
}
