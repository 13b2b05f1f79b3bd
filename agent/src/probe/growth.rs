//! How file systems filled up over earlier surveys, and when they will be full.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use belay_protocol::report::{Fact, Forecast, Why, WhyKind};

use crate::data_file;

/// One look at one file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    unix_ms: i64,
    used_bytes: u64,
    mount_point: String,
}

impl Sample {
    /// What was in use at a time.
    pub fn new(unix_ms: i64, mount_point: impl Into<String>, used_bytes: u64) -> Self {
        Self { unix_ms, used_bytes, mount_point: mount_point.into() }
    }
}

/// The samples of earlier surveys, in a file of the agent's own that stays on this machine.
#[derive(Clone, Debug)]
pub struct Growth {
    path: PathBuf,
    samples: Vec<Sample>,
}

impl Growth {
    /// The samples in a data directory; none when there are none yet, or the file makes no sense.
    pub fn in_data_dir(dir: &Path) -> Self {
        let path = dir.join(FILE_NAME);
        let bytes = data_file::read(&path, FILE_MAX_BYTES).ok().flatten().unwrap_or_default();
        let samples = parse_samples(&String::from_utf8_lossy(&bytes));
        Self { path, samples }
    }

    /// When the file system that has `available_bytes` left at `now` will be full.
    pub fn forecast(&self, now: &Sample, available_bytes: u64) -> Result<Forecast, Why> {
        let earlier = self.samples.iter().filter(|sample| {
            sample.mount_point == now.mount_point && (now.unix_ms - MEMORY_MS..now.unix_ms).contains(&sample.unix_ms)
        });
        forecast(&earlier.chain([now]).collect::<Vec<_>>(), available_bytes)
    }

    /// Adds what was seen just now, at most one sample of each file system in half an hour, and forgets the oldest.
    pub fn keep(&mut self, seen: Vec<Sample>) -> io::Result<()> {
        let latest: BTreeMap<_, _> =
            self.samples.iter().map(|sample| (sample.mount_point.as_str(), sample.unix_ms)).collect();
        let due = |sample: &Sample| {
            let since = latest.get(sample.mount_point.as_str()).map(|then| sample.unix_ms.saturating_sub(*then));
            // A clock that was set back must not stop the samples for ever.
            since.is_none_or(|since| !(0..PACE_MS).contains(&since))
        };
        let due: Vec<_> = seen.into_iter().filter(due).collect();
        if due.is_empty() {
            return Ok(());
        }
        self.samples.extend(due);
        let oldest = self.samples.len().saturating_sub(MAX_SAMPLES);
        self.samples.drain(..oldest);
        let text: String = self.samples.iter().map(line).collect();
        data_file::replace(&self.path, text.as_bytes())
    }
}

const FILE_NAME: &str = "disk-growth";

/// Samples that are kept: four file systems every half hour for six weeks.
const MAX_SAMPLES: usize = 8_192;

/// As much as that many samples with long names need.
const FILE_MAX_BYTES: u64 = 2 * 1024 * 1024;

/// Time between two samples of one file system.
const PACE_MS: i64 = 30 * 60 * 1_000;

/// Time after which a sample says nothing about tomorrow.
const MEMORY_MS: i64 = 14 * 24 * 3_600 * 1_000;

/// Time that a forecast must rest on: the window of node-mixin's rule, on which its thresholds are tuned.
const BASIS_HOURS: f64 = 6.0;

fn line(sample: &Sample) -> String {
    format!("{} {} {}\n", sample.unix_ms, sample.used_bytes, sample.mount_point.escape_default())
}

/// Understands the file: time, bytes, and mount point in a form without blanks or line ends; other lines are left out.
pub fn parse_samples(text: &str) -> Vec<Sample> {
    let sample = |line: &str| {
        let mut fields = line.splitn(3, ' ');
        let (unix_ms, used_bytes) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Sample { unix_ms, used_bytes, mount_point: unescape(fields.next()?)? })
    };
    text.lines().filter_map(sample).collect()
}

/// Undoes [`str::escape_default`].
fn unescape(text: &str) -> Option<String> {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        plain.push(match chars.next()? {
            't' => '\t',
            'r' => '\r',
            'n' => '\n',
            'u' => {
                let digits: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
            }
            other => other,
        });
    }
    Some(plain)
}

/// The straight line with the least squares through `samples`, which are in order of time.
fn forecast(samples: &[&Sample], available_bytes: u64) -> Result<Forecast, Why> {
    let [first, .., last] = samples else { return Err(Why::new(WhyKind::TooSoon, FILE_NAME)) };
    let watched_hours = (last.unix_ms - first.unix_ms) as f64 / MS_PER_HOUR;
    if watched_hours < BASIS_HOURS {
        return Err(Why::new(WhyKind::TooSoon, FILE_NAME));
    }
    let count = samples.len() as f64;
    let days = |sample: &Sample| (sample.unix_ms - first.unix_ms) as f64 / (24.0 * MS_PER_HOUR);
    let mean_days = samples.iter().map(|sample| days(sample)).sum::<f64>() / count;
    let mean_bytes = samples.iter().map(|sample| sample.used_bytes as f64).sum::<f64>() / count;
    let (mut together, mut spread) = (0.0, 0.0);
    for sample in samples {
        let away = days(sample) - mean_days;
        together += away * (sample.used_bytes as f64 - mean_bytes);
        spread += away * away;
    }
    let bytes_per_day = if spread > 0.0 { together / spread } else { 0.0 };
    let full_in_days = match bytes_per_day {
        growth if growth >= 1.0 => Fact::Known(available_bytes as f64 / growth),
        _ => Fact::Unknown(Why::new(WhyKind::NotApplicable, FILE_NAME)),
    };
    Ok(Forecast { bytes_per_day, full_in_days, watched_hours })
}

const MS_PER_HOUR: f64 = 3_600_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn growth(hours_and_bytes: &[(i64, u64)]) -> Growth {
        let samples = hours_and_bytes.iter().map(|(hour, used)| Sample::new(hour * HOUR, "/", *used)).collect();
        Growth { path: PathBuf::new(), samples }
    }

    #[test]
    fn a_disk_that_fills_is_full_when_the_line_says_so() {
        let seen = growth(&[(0, 100), (12, 200)]).forecast(&Sample::new(24 * HOUR, "/", 300), 50).unwrap();
        assert!((seen.bytes_per_day - 200.0).abs() < 0.01, "{seen:?}");
        assert!((seen.full_in_days.known().unwrap() - 0.25).abs() < 0.001, "{seen:?}");
        assert_eq!(seen.watched_hours, 24.0);
    }

    #[test]
    fn a_disk_that_does_not_fill_is_never_full() {
        let seen = growth(&[(0, 300)]).forecast(&Sample::new(24 * HOUR, "/", 100), 50).unwrap();
        assert_eq!(seen.full_in_days.why().unwrap().kind, WhyKind::NotApplicable);
    }

    #[test]
    fn less_than_six_hours_and_another_disk_say_nothing() {
        for (hours, mount) in [(5, "/"), (24, "/home")] {
            let seen = growth(&[(0, 300)]).forecast(&Sample::new(hours * HOUR, mount, 100), 50);
            assert_eq!(seen.unwrap_err().kind, WhyKind::TooSoon);
        }
        let old = growth(&[(0, 300)]).forecast(&Sample::new(24 * 15 * HOUR, "/", 100), 50);
        assert_eq!(old.unwrap_err().kind, WhyKind::TooSoon);
    }

    #[test]
    fn samples_are_kept_at_a_pace_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut growth = Growth::in_data_dir(dir.path());
        growth.keep(vec![Sample::new(0, "/my files\n", 1)]).unwrap();
        growth.keep(vec![Sample::new(PACE_MS - 1, "/my files\n", 2)]).unwrap();
        growth.keep(vec![Sample::new(PACE_MS, "/my files\n", 3)]).unwrap();
        let back = Growth::in_data_dir(dir.path());
        assert_eq!(back.samples, [Sample::new(0, "/my files\n", 1), Sample::new(PACE_MS, "/my files\n", 3)]);
    }

    #[test]
    fn the_oldest_samples_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut growth = Growth::in_data_dir(dir.path());
        growth.keep((0..MAX_SAMPLES + 1).map(|n| Sample::new(0, format!("/{n}"), 1)).collect()).unwrap();
        assert_eq!((growth.samples.len(), growth.samples[0].mount_point.as_str()), (MAX_SAMPLES, "/1"));
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_samples(&text);
            parse_samples(&format!("1 2 {text}"));
        }

        #[test]
        fn every_mount_point_comes_back(mount_point in ".*", used: u64) {
            let sample = Sample::new(7, mount_point, used);
            proptest::prop_assert_eq!(parse_samples(&line(&sample)), [sample]);
        }
    }
}
