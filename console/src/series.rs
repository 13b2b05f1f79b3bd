//! What a device's newest reports say over time: one list of figures for each metric, with nothing where a report does not
//! say, so that a plot shows a gap and not a zero.

use std::collections::BTreeMap;

use belay_protocol::finding::Severity;
use belay_protocol::report::{DeviceKind, Disk, Fact, Memory, Network, Report, Section, Shared, System};
use belay_protocol::rules::Pack;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::store::{ReportHead, StoredReportId};

/// Reports that a series reaches back.
pub const SERIES_MAX_REPORTS: u64 = 200;

/// File systems that are followed; of more, those that are fullest now.
pub const SERIES_MAX_MOUNTS: usize = 8;

/// A device's figures over its newest reports.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// The reports, oldest first.
    pub reports: Vec<SeriesReport>,
    /// The metrics; each has one value for each report.
    pub metrics: Vec<Metric>,
    /// Whether there are older reports.
    pub more: bool,
    /// File systems that are not followed, because there are too many.
    pub mounts_left_out: u32,
    /// Reports that are left out, because the device's clock was far from right and nothing else tells when they were made.
    pub undated: u32,
}

/// One report of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeriesReport {
    /// Its id.
    pub report: StoredReportId,
    /// When the device was looked at: when the report came, or, for one that was carried here in a file, what the device's
    /// clock said, and never later than when it came.
    pub at_ms: UnixMillis,
    /// Whether it was carried here in a file.
    pub from_file: bool,
    /// Whether this version of the console can read it; if not, it says nothing.
    pub is_readable: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Used space of a file system in percent, as `df` counts it; the subject is where it is mounted.
    DiskUsedPercent,
    /// Memory that programs could still get, in percent.
    MemoryAvailablePercent,
    /// Used swap in percent; nothing on a machine without swap.
    SwapUsedPercent,
    /// Load over 15 minutes for each processor.
    LoadPerCpu,
    /// Time to the relay and back, in milliseconds.
    RelayRttMs,
    /// Packets lost on the way to the relay, in percent.
    RelayLossPercent,
    /// Mean difference between successive times to the relay and back, in milliseconds.
    RelayJitterMs,
}

/// One metric over the reports of a series.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Metric {
    /// What is measured.
    pub metric: MetricKind,
    /// Of what; empty for the machine as a whole.
    pub subject: String,
    /// From where on a rule warns, or up to where for memory that is available.
    pub warn: Option<f64>,
    /// From where on a rule calls it critical.
    pub crit: Option<f64>,
    /// A value for each report, oldest first; nothing where the report does not say.
    pub values: Vec<Option<f64>>,
}

impl Series {
    /// Puts reports beside each other, oldest first. A report that could not be decoded has none. Limits are those of `pack`.
    /// A report whose date cannot be right is left out and counted.
    pub fn of(reports: Vec<(ReportHead, Option<Figures>)>, more: bool, pack: &Pack) -> Self {
        let at = |head: &ReportHead, figures: Option<&Figures>| match figures {
            // A device's clock can be wrong; it is believed only where nothing else tells the time.
            Some(figures) if head.from_file => figures.taken_at.min(head.received_at),
            _ => head.received_at,
        };
        let is_dated = |(head, figures): &(ReportHead, Option<Figures>)| {
            let carried_ms =
                figures.as_ref().map_or(0, |figures| head.received_at.0.saturating_sub(figures.taken_at.0));
            !head.from_file || (-AHEAD_MAX_MS..=CARRIED_MAX_MS).contains(&carried_ms)
        };
        let (mut reports, undated): (Vec<_>, Vec<_>) = reports.into_iter().partition(is_dated);
        reports.sort_by_key(|(head, figures)| (at(head, figures.as_ref()), head.id));
        let points = reports.iter().map(|(head, figures)| SeriesReport {
            report: head.id,
            at_ms: at(head, figures.as_ref()),
            from_file: head.from_file,
            is_readable: figures.is_some(),
        });
        let of_machine = |metric| Metric::over(&reports, pack, metric, String::new());
        let (mounts, mounts_left_out) = fullest_mounts(&reports);
        let disks = mounts.into_iter().map(|mount| Metric::over(&reports, pack, MetricKind::DiskUsedPercent, mount));
        let metrics = disks.chain(MetricKind::OF_MACHINE.map(of_machine)).collect();
        let undated = u32::try_from(undated.len()).unwrap_or(u32::MAX);
        Self { reports: points.collect(), metrics, more, mounts_left_out, undated }
    }
}

/// How long a file may have been carried to be believed: clocks that lost their power begin again years back.
const CARRIED_MAX_MS: i64 = 366 * DAY_MS;

/// How far ahead of ours a device's clock may be: a wrong time zone is nothing to leave a report out for.
const AHEAD_MAX_MS: i64 = DAY_MS;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The file systems to follow, by name, and how many are left out.
fn fullest_mounts(reports: &[(ReportHead, Option<Figures>)]) -> (Vec<String>, u32) {
    let mut newest: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, value) in reports.iter().flat_map(|(_, figures)| figures).flat_map(|figures| &figures.disks) {
        newest.insert(name, *value);
    }
    let mut mounts: Vec<(&str, f64)> = newest.into_iter().collect();
    mounts.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let left_out = mounts.len().saturating_sub(SERIES_MAX_MOUNTS);
    mounts.truncate(SERIES_MAX_MOUNTS);
    let mut names: Vec<String> = mounts.into_iter().map(|(name, _)| name.to_owned()).collect();
    names.sort();
    (names, u32::try_from(left_out).unwrap_or(u32::MAX))
}

impl Metric {
    fn over(reports: &[(ReportHead, Option<Figures>)], pack: &Pack, metric: MetricKind, subject: String) -> Self {
        let values = reports.iter().map(|(_, figures)| figures.as_ref()?.value(metric, &subject)).collect();
        let limit = |level| metric.limit(pack, level);
        Self { metric, warn: limit(Severity::Warn), crit: limit(Severity::Crit), values, subject }
    }
}

impl MetricKind {
    const OF_MACHINE: [Self; 6] = [
        Self::MemoryAvailablePercent,
        Self::SwapUsedPercent,
        Self::LoadPerCpu,
        Self::RelayRttMs,
        Self::RelayJitterMs,
        Self::RelayLossPercent,
    ];

    /// The limit that a rule compares it with.
    fn limit(self, pack: &Pack, level: Severity) -> Option<f64> {
        let (rule, figure, scale) = match self {
            Self::DiskUsedPercent => ("disk-space", "used", 1.0),
            Self::MemoryAvailablePercent => ("memory-low", "available", 1.0),
            Self::SwapUsedPercent => ("swap-full", "used", 1.0),
            Self::LoadPerCpu => ("load-high", "per_cpu", 1.0),
            Self::RelayRttMs => ("relay-path-poor", "rtt", MS_PER_US),
            Self::RelayJitterMs => ("relay-path-poor", "jitter", MS_PER_US),
            Self::RelayLossPercent => ("relay-path-poor", "loss", 1.0),
        };
        let limit: f64 = pack.rule(rule)?.threshold(figure, level)?.parse().ok()?;
        Some(limit * scale)
    }
}

const MS_PER_US: f64 = 1e-3;

/// The figures of one report that are followed over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// When the survey began, by the device's clock.
    pub taken_at: UnixMillis,
    disks: BTreeMap<String, f64>,
    of_machine: BTreeMap<MetricKind, f64>,
}

impl Figures {
    /// Picks the figures from `report`. What it does not say is not there.
    pub fn of(report: &Report) -> Self {
        let mut figures = Self::at(UnixMillis(report.header.taken_at_unix_ms));
        for section in &report.sections {
            match section {
                Section::System(system) => figures.add_system(system),
                Section::Disk(disk) => figures.add_disk(disk),
                Section::Memory(memory) => figures.add_memory(memory),
                Section::Network(network) => figures.add_network(network),
                Section::Drivers(_) | Section::Findings(_) | Section::Withheld(_) => {}
            }
        }
        figures
    }

    fn at(taken_at: UnixMillis) -> Self {
        Self { taken_at, disks: BTreeMap::new(), of_machine: BTreeMap::new() }
    }

    fn value(&self, metric: MetricKind, subject: &str) -> Option<f64> {
        match metric {
            MetricKind::DiskUsedPercent => self.disks.get(subject).copied(),
            _ => self.of_machine.get(&metric).copied(),
        }
    }

    /// JSON has no word for what is not a finite number, and a plot no place.
    fn add(&mut self, metric: MetricKind, value: Option<f64>) {
        self.of_machine.extend(value.filter(|value| value.is_finite()).map(|value| (metric, value)));
    }

    fn add_system(&mut self, system: &System<Shared>) {
        let load = system.load.known().map(|load| load.fifteen_minutes);
        let cpus = system.cpu_count.known().filter(|cpus| **cpus > 0).map(|cpus| f64::from(*cpus));
        self.add(MetricKind::LoadPerCpu, load.zip(cpus).map(|(load, cpus)| load / cpus));
    }

    /// The file systems that the rule about space looks at. Of several at one place, the last is the one that is seen.
    fn add_disk(&mut self, disk: &Disk<Shared>) {
        for mount in disk.mounts.known().into_iter().flat_map(|mounts| mounts.iter()) {
            let at = mount.mount_point.as_str();
            let is_followed = match mount.device_kind {
                DeviceKind::Local | DeviceKind::Network => true,
                DeviceKind::Memory => !is_of_system(at),
                DeviceKind::Overlay => at == "/",
                DeviceKind::Fuse | DeviceKind::Image => false,
            };
            if let (true, Fact::Known(space)) = (is_followed, &mount.space) {
                self.disks.insert(at.to_owned(), f64::from(space.used_percent));
            }
        }
    }

    fn add_memory(&mut self, memory: &Memory<Shared>) {
        self.add(MetricKind::MemoryAvailablePercent, memory.ram.known().map(|ram| ram.available_percent));
        let swap = memory.swap.known().filter(|swap| swap.total_bytes > 0);
        self.add(MetricKind::SwapUsedPercent, swap.map(|swap| swap.used_percent));
    }

    fn add_network(&mut self, network: &Network<Shared>) {
        let Fact::Known(relay) = &network.relay else { return };
        self.add(MetricKind::RelayRttMs, relay.rtt_us.map(|rtt| rtt as f64 * MS_PER_US));
        self.add(MetricKind::RelayJitterMs, relay.jitter_us.map(|jitter| jitter as f64 * MS_PER_US));
        self.add(MetricKind::RelayLossPercent, relay.loss_percent);
    }
}

/// Whether memory at this place is where the system keeps its own small things, which nobody fills.
fn is_of_system(place: &str) -> bool {
    SYSTEM_PLACES
        .iter()
        .any(|system| place.strip_prefix(system).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

const SYSTEM_PLACES: [&str; 4] = ["/dev", "/run", "/sys", "/proc"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::tests::{mount, report, withheld};

    fn head(id: i64, received_at: i64, from_file: bool) -> ReportHead {
        ReportHead { id: StoredReportId(id), from_file, received_at: UnixMillis(received_at) }
    }

    fn metric<'a>(series: &'a Series, kind: MetricKind, subject: &str) -> &'a Metric {
        series.metrics.iter().find(|metric| metric.metric == kind && metric.subject == subject).unwrap()
    }

    #[test]
    fn a_section_that_was_withheld_is_a_gap_and_never_a_zero() {
        let reports = vec![
            (head(3, 30, false), Some(Figures::of(&report(30, 0.5, vec![mount("/", 40)])))),
            (head(2, 20, false), Some(Figures::of(&withheld(20, "disk")))),
            (head(1, 10, false), Some(Figures::of(&report(10, 0.5, vec![mount("/", 20), mount("/var", 90)])))),
            (head(4, 40, false), None),
        ];
        let series = Series::of(reports, false, Pack::base());
        assert_eq!(metric(&series, MetricKind::DiskUsedPercent, "/").values, [Some(20.0), None, Some(40.0), None]);
        assert_eq!(metric(&series, MetricKind::DiskUsedPercent, "/var").values, [Some(90.0), None, None, None]);
        let load = metric(&series, MetricKind::LoadPerCpu, "");
        assert_eq!(load.values, [Some(0.25), Some(0.25), Some(0.25), None]);
        assert_eq!(metric(&series, MetricKind::RelayRttMs, "").values, [None; 4], "unknown");
        assert_eq!(metric(&series, MetricKind::SwapUsedPercent, "").values, [None; 4], "there is no swap");
        assert_eq!(
            series.reports.iter().map(|report| report.is_readable).collect::<Vec<_>>(),
            [true, true, true, false]
        );
    }

    #[test]
    fn limits_are_those_of_the_rules() {
        let limits = |kind: MetricKind| {
            let limit = |level| kind.limit(Pack::base(), level);
            (limit(Severity::Warn), limit(Severity::Crit))
        };
        assert_eq!(limits(MetricKind::DiskUsedPercent), (Some(95.0), Some(97.0)));
        assert_eq!(limits(MetricKind::MemoryAvailablePercent), (Some(10.0), Some(5.0)));
        assert_eq!(limits(MetricKind::SwapUsedPercent), (Some(90.0), None));
        assert_eq!(limits(MetricKind::LoadPerCpu), (Some(2.0), None));
        assert_eq!(limits(MetricKind::RelayRttMs), (Some(800.0), None));
        assert_eq!(limits(MetricKind::RelayJitterMs), (Some(50.0), None));
        assert_eq!(limits(MetricKind::RelayLossPercent), (Some(5.0), None));
    }

    #[test]
    fn the_devices_clock_is_believed_for_a_file_and_never_ahead_of_ours() {
        let at = |received_at, taken_at, from_file| {
            let figures = Figures::at(UnixMillis(taken_at));
            Series::of(vec![(head(1, received_at, from_file), Some(figures))], false, Pack::base()).reports[0].at_ms.0
        };
        assert_eq!(at(100, 60, true), 60);
        assert_eq!(at(100, 900, true), 100);
        assert_eq!(at(100, 60, false), 100);
    }

    #[test]
    fn a_date_that_cannot_be_right_stretches_no_axis() {
        let received_at = 1_800_000_000_000;
        let check = |taken_at: i64, from_file, expected: (usize, u32)| {
            let reports = vec![(head(1, received_at, from_file), Some(Figures::at(UnixMillis(taken_at))))];
            let series = Series::of(reports, false, Pack::base());
            assert_eq!((series.reports.len(), series.undated), expected, "{taken_at}");
            assert!(series.metrics.iter().all(|metric| metric.values.len() == expected.0));
        };
        for far in [0, 63_072_000_000, i64::MIN, i64::MAX, received_at + 2 * DAY_MS, received_at - 2 * CARRIED_MAX_MS] {
            check(far, true, (0, 1));
            check(far, false, (1, 0));
        }
        check(received_at - CARRIED_MAX_MS, true, (1, 0));
        check(received_at + AHEAD_MAX_MS, true, (1, 0));
    }

    #[test]
    fn memory_in_which_the_system_keeps_its_own_is_no_disk() {
        let memory = |at: &str| {
            let mut mount = mount(at, 5);
            mount["device_kind"] = serde_json::json!("memory");
            mount
        };
        let mounts = ["/dev", "/dev/shm", "/run", "/run/user/1000", "/tmp", "/device"].map(memory).to_vec();
        let mounts = [mounts, vec![mount("/run/media/stick", 5)]].concat();
        let figures = Figures::of(&report(1, 0.5, mounts));
        assert_eq!(figures.disks.keys().collect::<Vec<_>>(), ["/device", "/run/media/stick", "/tmp"]);
    }

    #[test]
    fn only_the_fullest_file_systems_are_followed() {
        let many = (0..SERIES_MAX_MOUNTS as u8 + 2).map(|number| mount(&format!("/m{number}"), number)).collect();
        let series =
            Series::of(vec![(head(1, 1, false), Some(Figures::of(&report(1, 0.5, many))))], true, Pack::base());
        let disks: Vec<&str> =
            series.metrics.iter().map(|metric| metric.subject.as_str()).filter(|s| !s.is_empty()).collect();
        assert_eq!((disks.len(), series.mounts_left_out, series.more), (SERIES_MAX_MOUNTS, 2, true));
        assert!(!disks.contains(&"/m0") && !disks.contains(&"/m1"), "{disks:?}");
    }
}
