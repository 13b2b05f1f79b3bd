//! Medians, and the ratios that the relay is held to.

use std::collections::BTreeMap;
use std::fmt;

use belay_tests::bench::Shortfalls;
use serde::Serialize;
use serde_json::{Value, json};

use crate::contender::Contender::{self, Belay, BelayNoOffload, Coturn, Direct, Iroh, RawLoop};
use crate::machine::Machine;
use crate::payload::{Figures, Plan};

/// What one contender did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Measured {
    /// One for each round.
    pub(crate) rounds: Vec<Figures>,
    /// Resident bytes at the relay for a silent end.
    pub(crate) idle_end_bytes: Option<f64>,
}

/// A whole run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) plan: Plan,
    pub(crate) idle_ends: usize,
    pub(crate) measured: BTreeMap<Contender, Measured>,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    /// MB/s of payload over that many streams.
    Throughput(usize),
    /// Microseconds, alone.
    P50,
    P99,
    /// Microseconds, beside a bulk transfer.
    P99Loaded,
    /// CPU seconds of the relay for each GB (10^9 bytes) of payload that arrived, over all bulk transfers.
    CpuPerGb,
}

impl Metric {
    const ALL: [Self; 6] =
        [Self::Throughput(1), Self::Throughput(8), Self::P50, Self::P99, Self::P99Loaded, Self::CpuPerGb];

    fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::Throughput(streams) => {
                let bulk = figures.bulk.iter().find(|bulk| bulk.streams == streams)?;
                Some(bulk.bytes as f64 / 1e6 / bulk.seconds)
            }
            Self::P50 => Some(figures.idle.p50_us),
            Self::P99 => Some(figures.idle.p99_us),
            Self::P99Loaded => Some(figures.loaded.p99_us),
            Self::CpuPerGb => {
                let bytes: u64 = figures.bulk.iter().map(|bulk| bulk.bytes).sum();
                let seconds: Option<f64> = figures.bulk.iter().map(|bulk| bulk.relay_cpu_seconds).sum();
                Some(seconds? / (bytes as f64 / 1e9))
            }
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Throughput(1) => "throughput, 1 stream",
            Self::Throughput(_) => "throughput, 8 streams",
            Self::P50 => "round trip p50",
            Self::P99 => "round trip p99",
            Self::P99Loaded => "round trip p99 under bulk",
            Self::CpuPerGb => "relay's CPU per GB",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Throughput(1) => "mb_per_second_1_stream",
            Self::Throughput(_) => "mb_per_second_8_streams",
            Self::P50 => "round_trip_p50_us",
            Self::P99 => "round_trip_p99_us",
            Self::P99Loaded => "round_trip_p99_loaded_us",
            Self::CpuPerGb => "relay_cpu_seconds_per_gb",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "at most  {bound:.2}"),
            Self::AtLeast(bound) => write!(f, "at least {bound:.2}"),
        }
    }
}

/// What the relay is held to: a figure of the first contender over the same of the second.
const TARGETS: [(Metric, Contender, Contender, Bound); 11] = [
    (Metric::CpuPerGb, Belay, Coturn, Bound::AtMost(0.15)),
    (Metric::CpuPerGb, Belay, Iroh, Bound::AtMost(0.15)),
    (Metric::CpuPerGb, Belay, RawLoop, Bound::AtMost(2.5)),
    (Metric::CpuPerGb, BelayNoOffload, Coturn, Bound::AtMost(1.0)),
    (Metric::CpuPerGb, BelayNoOffload, Iroh, Bound::AtMost(1.0)),
    (Metric::Throughput(1), Belay, Direct, Bound::AtLeast(0.70)),
    (Metric::Throughput(8), Belay, Direct, Bound::AtLeast(0.70)),
    (Metric::Throughput(1), Belay, Iroh, Bound::AtLeast(3.0)),
    (Metric::Throughput(8), Belay, Iroh, Bound::AtLeast(3.0)),
    (Metric::P50, Belay, Iroh, Bound::AtMost(0.65)),
    (Metric::P99Loaded, Belay, Direct, Bound::AtMost(1.5)),
];

/// A target beside what was measured.
struct Ratio {
    metric: Metric,
    of: Contender,
    to: Contender,
    bound: Bound,
    /// The ratio of the medians, with the smallest and the largest ratio within a round.
    measured: Option<(f64, f64, f64)>,
}

impl Report {
    /// Everything, with every round.
    pub(crate) fn json(&self) -> Value {
        let medians = self.measured.keys().map(|contender| {
            let values =
                Metric::ALL.iter().map(|metric| (metric.key().to_owned(), json!(self.median(*contender, *metric))));
            (contender.to_string(), Value::Object(values.collect()))
        });
        let ratios = self.ratios().map(|ratio| {
            let (at_most, at_least) = match ratio.bound {
                Bound::AtMost(bound) => (Some(bound), None),
                Bound::AtLeast(bound) => (None, Some(bound)),
            };
            json!({
                "figure": ratio.metric.key(),
                "of": ratio.of,
                "to": ratio.to,
                "ratio_of_medians": ratio.measured.map(|(ratio, _, _)| ratio),
                "smallest_in_a_round": ratio.measured.map(|(_, smallest, _)| smallest),
                "largest_in_a_round": ratio.measured.map(|(_, _, largest)| largest),
                "at_most": at_most,
                "at_least": at_least,
                "met": ratio.measured.map(|(measured, _, _)| ratio.bound.is_met(measured)),
            })
        });
        json!({
            "machine": self.machine,
            "plan": self.plan,
            "idle_ends": self.idle_ends,
            "medians": medians.collect::<serde_json::Map<_, _>>(),
            "ratios": ratios.collect::<Vec<_>>(),
            "contenders": self.measured,
        })
    }

    fn rounds(&self) -> usize {
        self.measured.values().map(|measured| measured.rounds.len()).max().unwrap_or_default()
    }

    fn values(&self, contender: Contender, metric: Metric) -> Vec<f64> {
        let rounds = self.measured.get(&contender).map(|measured| measured.rounds.as_slice()).unwrap_or_default();
        rounds.iter().filter_map(|figures| metric.of(figures)).collect()
    }

    fn median(&self, contender: Contender, metric: Metric) -> Option<f64> {
        median(self.values(contender, metric))
    }

    /// The ratios that are not as they should be.
    pub(crate) fn shortfalls(&self) -> Shortfalls {
        let mut shortfalls = Shortfalls::default();
        for Ratio { bound, measured, .. } in self.ratios() {
            match measured {
                Some((ratio, ..)) => shortfalls.missed += usize::from(!bound.is_met(ratio)),
                None => shortfalls.not_measured += 1,
            }
        }
        shortfalls
    }

    fn ratios(&self) -> impl Iterator<Item = Ratio> {
        TARGETS.iter().map(|&(metric, of, to, bound)| {
            let (above, below) = (self.values(of, metric), self.values(to, metric));
            let in_rounds = above.iter().zip(&below).map(|(above, below)| above / below);
            let (smallest, largest) = in_rounds
                .fold((f64::INFINITY, 0.0_f64), |(smallest, largest), ratio| (smallest.min(ratio), largest.max(ratio)));
            let measured = median(above).zip(median(below)).map(|(above, below)| (above / below, smallest, largest));
            Ratio { metric, of, to, bound, measured }
        })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values.get(middle).copied(),
        _ => Some(values.get(middle.checked_sub(1)?)?.midpoint(*values.get(middle)?)),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { bulk_bytes, bulk_seconds, pings, loaded_seconds } = &self.plan;
        writeln!(f, "\n{}", self.machine.described())?;
        writeln!(
            f,
            "a round: {} MiB of bulk over 1 and over 8 streams ({bulk_seconds} s at most), {pings} round trips of 64 bytes \
             alone, and some beside {loaded_seconds} s of bulk; {} ends for memory\n",
            bulk_bytes >> 20,
            self.idle_ends,
        )?;
        let rounds = format!("medians of {}", self.rounds());
        writeln!(
            f,
            "{rounds:<18}{:>10}{:>11}{:>10}{:>10}{:>11}{:>11}{:>11}",
            "1 stream", "8 streams", "p50", "p99", "p99 bulk", "relay CPU", "idle end"
        )?;
        writeln!(
            f,
            "{:<18}{:>10}{:>11}{:>10}{:>10}{:>11}{:>11}{:>11}",
            "", "MB/s", "MB/s", "us", "us", "us", "s/GB", "KiB"
        )?;
        for (contender, measured) in &self.measured {
            let median = |metric| self.median(*contender, metric);
            writeln!(
                f,
                "{contender:<18}{:>10}{:>11}{:>10}{:>10}{:>11}{:>11}{:>11}",
                or_dash(median(Metric::Throughput(1)), 0),
                or_dash(median(Metric::Throughput(8)), 0),
                or_dash(median(Metric::P50), 0),
                or_dash(median(Metric::P99), 0),
                or_dash(median(Metric::P99Loaded), 0),
                or_dash(median(Metric::CpuPerGb), 3),
                or_dash(measured.idle_end_bytes.map(|bytes| bytes / 1024.0), 1),
            )?;
        }
        writeln!(f, "\n{:<58}{:>8}  {:<16}{:<17}", "ratio of medians", "", "in rounds", "target")?;
        for Ratio { metric, of, to, bound, measured } in self.ratios() {
            let what = format!("{}: {of} / {to}", metric.name());
            let Some((ratio, smallest, largest)) = measured else {
                writeln!(f, "{what:<58}{:>8}  {:<16}{:<17}not measured", "-", "", bound.to_string())?;
                continue;
            };
            let within = format!("{smallest:.2} to {largest:.2}");
            let met = if bound.is_met(ratio) { "met" } else { "NOT MET" };
            writeln!(f, "{what:<58}{ratio:>8.2}  {within:<16}{:<17}{met}", bound.to_string())?;
        }
        Ok(())
    }
}

fn or_dash(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
