//! Processors: how many, how loaded, and what they do between two samples.

use std::time::{Duration, Instant};

use belay_protocol::report::{CpuUse, Fact, Load, Why, WhyKind};

use super::{Root, native, or_native};

/// Clock ticks of all processors together since the system started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    all: u64,
    idle: u64,
    iowait: u64,
    steal: u64,
}

/// Processors that are in use.
pub fn count(root: &Root) -> Result<u32, Why> {
    let malformed = || Why::new(WhyKind::Malformed, STAT);
    or_native(root.read(STAT).and_then(|text| parse_count(&text).ok_or_else(malformed)), available)
}

fn available() -> Result<u32, Why> {
    let count = std::thread::available_parallelism().map_err(|e| super::why(&e, "processors"))?;
    Ok(u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// What the processors do for `pause`. One sample says nothing, so a captured tree has no answer.
pub fn watch(root: &Root, pause: Duration) -> Result<CpuUse, Why> {
    root.live_only(STAT)?;
    or_native(watch_ticks(root, pause), || native::cpu_use(pause))
}

fn watch_ticks(root: &Root, pause: Duration) -> Result<CpuUse, Why> {
    let ticks = || parse_ticks(&root.read(STAT)?).ok_or_else(|| Why::new(WhyKind::Malformed, STAT));
    let (before, started) = (ticks()?, Instant::now());
    std::thread::sleep(pause);
    between(before, ticks()?, started.elapsed()).ok_or_else(|| Why::new(WhyKind::Malformed, STAT))
}

/// Run queue averages.
pub fn load(root: &Root) -> Result<Load, Why> {
    parse_load(&root.read(LOADAVG)?).ok_or_else(|| Why::new(WhyKind::Malformed, LOADAVG))
}

const STAT: &str = "/proc/stat";
const LOADAVG: &str = "/proc/loadavg";

/// Understands the first line of `/proc/stat` (proc_stat(5)). Guest time is part of user time already.
pub fn parse_ticks(text: &str) -> Option<Ticks> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_ascii_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let all = fields.iter().try_fold(0u64, |sum, ticks| sum.checked_add(*ticks))?;
    let field = |at: usize| fields.get(at).copied();
    Some(Ticks { all, idle: field(3)?, iowait: field(4).unwrap_or(0), steal: field(7).unwrap_or(0) })
}

/// Counts the lines of single processors in `/proc/stat`.
pub fn parse_count(text: &str) -> Option<u32> {
    let is_one = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    u32::try_from(text.lines().filter(is_one).count()).ok().filter(|count| *count > 0)
}

/// Understands `/proc/loadavg` (proc_loadavg(5)).
pub fn parse_load(text: &str) -> Option<Load> {
    let mut fields = text
        .split_ascii_whitespace()
        .map(|field| field.parse::<f64>().ok().filter(|load| load.is_finite() && *load >= 0.0));
    Some(Load { one_minute: fields.next()??, five_minutes: fields.next()??, fifteen_minutes: fields.next()?? })
}

/// The difference of two samples; nothing when no tick passed or the counters ran backwards.
fn between(before: Ticks, after: Ticks, elapsed: Duration) -> Option<CpuUse> {
    let all = after.all.checked_sub(before.all).filter(|all| *all > 0)?;
    let share = |before: u64, after: u64| (after.saturating_sub(before) as f64 * 100.0 / all as f64).min(100.0);
    let (idle, iowait) = (share(before.idle, after.idle), share(before.iowait, after.iowait));
    Some(CpuUse {
        busy_percent: (100.0 - idle - iowait).max(0.0),
        iowait_percent: Fact::Known(iowait),
        steal_percent: Fact::Known(share(before.steal, after.steal)),
        sampled_ms: u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    const STAT_TEXT: &str =
        "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0\ncpu1 50 0 25 400 25 0 0 0\nintr 1\n";

    #[test]
    fn use_needs_two_samples() {
        let (_dir, root) = tree(&[("proc/stat", STAT_TEXT), ("proc/loadavg", "0.02 0.04 0.05 1/497 11947\n")]);
        assert_eq!(watch(&root, Duration::ZERO).unwrap_err().kind, WhyKind::NotApplicable);
        assert_eq!(count(&root), Ok(2));
        assert_eq!(load(&root).unwrap().fifteen_minutes, 0.05);
    }

    #[test]
    fn use_is_the_difference_of_two_samples() {
        let before = parse_ticks(STAT_TEXT).unwrap();
        let after = parse_ticks("cpu  150 0 50 825 60 0 0 15 0 0\n").unwrap();
        let seen = between(before, after, Duration::from_millis(200)).unwrap();
        assert_eq!(
            (seen.busy_percent, seen.iowait_percent, seen.steal_percent),
            (65.0, Fact::Known(10.0), Fact::Known(15.0))
        );
        assert_eq!(between(after, before, Duration::ZERO), None);
        assert_eq!(between(after, after, Duration::ZERO), None);
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", "cpu", "cpu ", "cpu a b", "cpu  1 2 3", "cpu  18446744073709551615 2 3 4"] {
            assert_eq!(parse_ticks(text), None, "{text}");
        }
        for text in ["", "1 2", "NaN 1 1", "inf 1 1", "-1 1 1"] {
            assert_eq!(parse_load(text), None, "{text}");
        }
        assert_eq!(parse_count("cpu  1\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            let text = format!("cpu  {text}");
            parse_ticks(&text);
            parse_count(&text);
            parse_load(&text);
        }
    }
}
