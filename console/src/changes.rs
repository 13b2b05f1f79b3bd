//! What changed between two reports of one device.
//!
//! Facts are compared as the JSON that the API shows. Items of lists are matched by what names them, not by their place.
//! What differs every time, such as counters, is counted and not listed.

use std::collections::{BTreeMap, BTreeSet};

use belay_protocol::report::{Report as Facts, Section, SectionName};
use belay_protocol::rules::Pack;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::store::{Finding, Report, StoredReportId};

/// Changed facts that are listed.
pub const CHANGES_MAX_FACTS: usize = 500;

/// Bytes of a value as JSON; of a larger one only its plain fields are shown.
const VALUE_MAX_BYTES: usize = 2_048;

/// What changed from one report to a later one.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// The report that is looked at.
    pub report: StoredReportId,
    /// The report that it is compared with.
    pub since: StoredReportId,
    /// Findings; missing when one of the two was sent without.
    pub findings: Option<FindingChanges>,
    /// Sections that cannot be compared, because at least one of the two reports is without.
    pub not_compared: Vec<NotCompared>,
    /// Facts, by section and in the order of the report.
    pub facts: Vec<FactChange>,
    /// Further changed facts that did not fit.
    pub left_out: u32,
    /// Differences that are not listed because they say nothing.
    pub passing: Vec<Passing>,
}

/// How findings changed, each list worst first.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FindingChanges {
    /// Only in the later report.
    pub appeared: Vec<Finding>,
    /// Only in the earlier report.
    pub gone: Vec<Finding>,
    /// In both, with another severity or another title.
    pub changed: Vec<FindingChange>,
    /// Only in one report, where nobody can say whether they are in the other: they are about a section that it is
    /// without.
    pub undecided: Vec<Finding>,
    /// How many are in both and the same.
    pub same: u32,
}

/// One finding in both reports.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FindingChange {
    /// As it was.
    pub before: Finding,
    /// As it is.
    pub after: Finding,
}

/// A section that one of the reports is without.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotCompared {
    /// Which.
    pub section: String,
    /// Whether the earlier report has it.
    pub was_sent: bool,
    /// Whether the later report has it.
    pub is_sent: bool,
}

/// A fact that changed.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FactChange {
    /// The section it belongs to.
    pub section: String,
    /// Where it stands, as a JSON pointer (RFC 6901) into `/api/v1/reports/{id}/facts` of the later report; for what is gone,
    /// of the earlier one.
    pub path: String,
    /// The same below the section for people: fields, and what names an item of a list.
    pub steps: Vec<Step>,
    /// What it was; missing when it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; missing when it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// One step of the way to a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A field.
    Field(String),
    /// An item of a list, by what names it; text from the device.
    Item(String),
}

/// Differences of one kind of fact that say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Passing {
    /// The fact: its section and fields with dots between.
    pub fact: String,
    /// Why it is not listed.
    pub reason: PassingReason,
    /// How many differ.
    pub differing: u32,
}

/// Why a difference says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PassingReason {
    /// It only counts up, or down to a date.
    Counts,
    /// It is true for one moment.
    Moment,
    /// The plots of the device show it.
    Plotted,
}

/// Facts that differ every time, with everything below them.
const PASSING: [(&str, PassingReason); 52] = {
    use PassingReason::{Counts, Moment, Plotted};
    [
        ("system.uptime_seconds", Counts),
        ("system.cpu_use", Moment),
        ("system.load", Plotted),
        ("system.clock.max_error_us", Moment),
        ("system.process_count", Moment),
        ("system.largest_processes", Moment),
        ("system.process_states", Moment),
        ("system.busiest_processes", Moment),
        ("system.handles.open", Moment),
        ("system.handles.used_percent", Moment),
        ("system.tasks.count", Moment),
        ("system.tasks.used_percent", Moment),
        ("system.hardware.temperatures.celsius", Moment),
        ("system.hardware.throttled_times", Counts),
        ("system.hardware.batteries.charge_percent", Moment),
        ("system.hardware.batteries.flow", Moment),
        ("system.upkeep.updates.listed_unix_s", Counts),
        ("system.upkeep.updates.listed_days_ago", Counts),
        ("system.upkeep.kernel_log.lines", Counts),
        ("system.upkeep.kernel_log.span_seconds", Counts),
        ("system.upkeep.kernel_log.troubles.last_seconds_ago", Counts),
        ("system.upkeep.certificates.ends_in_days", Counts),
        ("disk.mounts.space.used_bytes", Moment),
        ("disk.mounts.space.available_bytes", Moment),
        ("disk.mounts.inodes.used", Moment),
        ("disk.mounts.inodes.free", Moment),
        ("disk.mounts.forecast", Moment),
        ("disk.block_devices.activity", Moment),
        ("disk.block_devices.health.temperature_celsius", Moment),
        ("disk.block_devices.health.power_on_hours", Counts),
        ("memory.ram.available_bytes", Moment),
        ("memory.ram.available_percent", Plotted),
        ("memory.swap.used_bytes", Moment),
        ("memory.swap.used_percent", Plotted),
        ("memory.pressure", Moment),
        ("memory.commit.committed_bytes", Moment),
        ("memory.commit.used_percent", Moment),
        ("memory.swap_rate", Moment),
        ("memory.writeback", Moment),
        ("memory.huge_pages.free_bytes", Moment),
        ("memory.shared_bytes", Moment),
        ("memory.groups", Moment),
        ("network.interfaces.counters", Counts),
        ("network.interfaces.rates", Moment),
        ("network.interfaces.signal", Moment),
        ("network.tcp", Counts),
        ("network.sockets", Moment),
        ("network.softnet", Counts),
        ("network.conntrack.used", Moment),
        ("network.conntrack.used_percent", Moment),
        ("network.relay.udp.rtt_us", Moment),
        ("network.relay.tcp.rtt_us", Moment),
    ]
};

/// Times and clocks, wherever they stand.
const PASSING_FIELDS: [(&str, PassingReason); 7] = [
    ("took_us", PassingReason::Moment),
    ("clock_ahead_seconds", PassingReason::Moment),
    ("sampled_ms", PassingReason::Moment),
    ("rtt_us", PassingReason::Plotted),
    ("jitter_us", PassingReason::Plotted),
    ("loss_percent", PassingReason::Plotted),
    ("neighbour", PassingReason::Moment),
];

/// What names an item of a list: the first of these that all its items have.
const NAMES: [&[&str]; 14] = [
    &["mount_point"],
    &["protocol", "family", "reach", "port"],
    &["family", "destination", "prefix_bits", "interface"],
    &["kind", "interface", "other"],
    &["family", "interface", "gateway"],
    &["source", "variable"],
    &["sensor"],
    &["path"],
    &["address"],
    &["name"],
    &["card"],
    &["kind"],
    &["state"],
    &["port"],
];

impl Changes {
    /// Compares two reports of one device, the earlier one first.
    pub fn between(since: (&Report, &Facts), report: (&Report, &Facts)) -> Self {
        let (earlier, later) = (sections_of(since.1), sections_of(report.1));
        let mut comparison = Comparison::default();
        let mut not_compared = Vec::new();
        for name in SectionName::ALL.into_iter().filter(|name| *name != SectionName::Findings) {
            match (earlier.get(&name), later.get(&name)) {
                (Some((from, before)), Some((to, after))) => {
                    let place = Place {
                        section: name.as_str(),
                        before: format!("/sections/{from}/{}", name.as_str()),
                        after: format!("/sections/{to}/{}", name.as_str()),
                        steps: Vec::new(),
                    };
                    comparison.compare(&place, before, after);
                }
                (before, after) => not_compared.push(NotCompared {
                    section: name.as_str().to_owned(),
                    was_sent: before.is_some(),
                    is_sent: after.is_some(),
                }),
            }
        }
        let judged = since.1.findings().is_some() && report.1.findings().is_some();
        Self {
            report: report.0.id,
            since: since.0.id,
            findings: judged.then(|| {
                FindingChanges::between(&since.0.findings, &report.0.findings, |rule| {
                    is_comparable(rule, &not_compared)
                })
            }),
            not_compared,
            facts: comparison.facts,
            left_out: comparison.left_out,
            passing: comparison.passing.into_values().collect(),
        }
    }
}

/// Whether a rule could judge both reports, or neither. Of a rule that this program does not know, that is certain only
/// where both have the same sections.
fn is_comparable(rule: &str, not_compared: &[NotCompared]) -> bool {
    let mut one_sided = not_compared.iter().filter(|missing| missing.was_sent != missing.is_sent);
    match Pack::base().rules().iter().find(|known| known.id() == rule) {
        Some(known) => !one_sided.any(|missing| known.looks_at(&missing.section)),
        None => one_sided.next().is_none(),
    }
}

/// The sections that are there, each with its place in the report. One that cannot be written as JSON is as good as missing.
fn sections_of(facts: &Facts) -> BTreeMap<SectionName, (usize, Value)> {
    let there = facts.sections.iter().enumerate().filter(|(_, section)| !matches!(section, Section::Withheld(_)));
    let value = |section: &Section| match serde_json::to_value(section) {
        Ok(Value::Object(mut section)) => section.values_mut().next().map(Value::take),
        _ => None,
    };
    there.filter_map(|(at, section)| Some((section.name(), (at, value(section)?)))).collect()
}

impl FindingChanges {
    fn between(earlier: &[Finding], later: &[Finding], is_comparable: impl Fn(&str) -> bool) -> Self {
        let find = |among: &[Finding], finding: &Finding| {
            among.iter().find(|other| other.fingerprint == finding.fingerprint).cloned()
        };
        let mut changes = Self::default();
        for after in later {
            match find(earlier, after) {
                None if !is_comparable(&after.rule_id) => changes.undecided.push(after.clone()),
                None => changes.appeared.push(after.clone()),
                Some(before) if (before.severity, &before.title_en) != (after.severity, &after.title_en) => {
                    changes.changed.push(FindingChange { before, after: after.clone() });
                }
                Some(_) => changes.same += 1,
            }
        }
        let gone = earlier.iter().filter(|finding| find(later, finding).is_none()).cloned();
        let (gone, undecided): (Vec<_>, Vec<_>) = gone.partition(|finding| is_comparable(&finding.rule_id));
        changes.gone = gone;
        changes.undecided.extend(undecided);
        changes
    }
}

/// Where a comparison stands: in both documents, and in words.
#[derive(Clone)]
struct Place {
    section: &'static str,
    before: String,
    after: String,
    steps: Vec<Step>,
}

impl Place {
    /// One field further in both.
    fn field(&self, name: &str) -> Self {
        let mut place = self.clone();
        let token = name.replace('~', "~0").replace('/', "~1");
        place.before.push_str(&format!("/{token}"));
        place.after.push_str(&format!("/{token}"));
        place.steps.push(Step::Field(name.to_owned()));
        place
    }

    /// At an item of a list, whose place in a report without it does not matter.
    fn item(&self, name: &str, before: usize, after: usize) -> Self {
        let mut place = self.clone();
        place.before.push_str(&format!("/{before}"));
        place.after.push_str(&format!("/{after}"));
        place.steps.push(Step::Item(name.to_owned()));
        place
    }

    /// Below the `known` of a fact, which is no step for people.
    fn known(&self, before: bool, after: bool) -> Self {
        let mut place = self.clone();
        place.before.push_str(if before { "/known" } else { "" });
        place.after.push_str(if after { "/known" } else { "" });
        place
    }

    /// The section and its fields with dots between.
    fn fact(&self) -> String {
        let fields = self.steps.iter().filter_map(|step| match step {
            Step::Field(name) => Some(name.as_str()),
            Step::Item(_) => None,
        });
        std::iter::once(self.section).chain(fields).collect::<Vec<_>>().join(".")
    }
}

#[derive(Default)]
struct Comparison {
    facts: Vec<FactChange>,
    left_out: u32,
    passing: BTreeMap<String, Passing>,
}

impl Comparison {
    fn compare(&mut self, place: &Place, before: &Value, after: &Value) {
        if before == after {
            return;
        }
        let (inner_before, inner_after) = (known(before), known(after));
        let place = place.known(inner_before.is_some(), inner_after.is_some());
        let (before, after) = (inner_before.unwrap_or(before), inner_after.unwrap_or(after));
        let is_unknown = |value: &Value| value.get("unknown").is_some();
        // Whether a reading could be had at all is worth a line, whatever it read.
        if is_unknown(before) == is_unknown(after)
            && let Some(passing) = passing(&place)
        {
            self.passing.entry(passing.fact.clone()).or_insert(passing).differing += 1;
            return;
        }
        match (before, after) {
            (Value::Object(before_fields), Value::Object(after_fields))
                if !is_unknown(before) && !is_unknown(after) =>
            {
                let names: BTreeSet<&String> = before_fields.keys().chain(after_fields.keys()).collect();
                for name in names {
                    let place = place.field(name);
                    match (before_fields.get(name), after_fields.get(name)) {
                        (Some(before), Some(after)) => self.compare(&place, before, after),
                        (before, after) => self.add(place, before, after),
                    }
                }
            }
            (Value::Array(before), Value::Array(after)) => self.compare_lists(&place, before, after),
            _ => self.add(place, Some(before), Some(after)),
        }
    }

    fn compare_lists(&mut self, place: &Place, before: &[Value], after: &[Value]) {
        let by = NAMES.into_iter().find(|by| before.iter().chain(after).all(|item| has_all(item, by)));
        let (old, new) = (named(before, by), named(after, by));
        for (name, to) in &new {
            match old.get(name) {
                Some(from) => self.compare(&place.item(&name.0, *from, *to), &before[*from], &after[*to]),
                None => self.add(place.item(&name.0, *to, *to), None, Some(&after[*to])),
            }
        }
        for (name, from) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
            self.add(place.item(&name.0, *from, *from), Some(&before[*from]), None);
        }
    }

    fn add(&mut self, place: Place, before: Option<&Value>, after: Option<&Value>) {
        if self.facts.len() == CHANGES_MAX_FACTS {
            self.left_out += 1;
            return;
        }
        self.facts.push(FactChange {
            section: place.section.to_owned(),
            path: if after.is_some() { place.after } else { place.before },
            steps: place.steps,
            before: before.map(shown),
            after: after.map(shown),
        });
    }
}

/// The value of a fact that is known.
fn known(value: &Value) -> Option<&Value> {
    value.as_object().filter(|fields| fields.len() == 1)?.get("known")
}

/// Why a difference at `place` says nothing, if it does not.
fn passing(place: &Place) -> Option<Passing> {
    let fact = place.fact();
    let last = fact.rsplit('.').next().unwrap_or_default();
    let by_fact = PASSING.iter().find(|(passing, _)| *passing == fact);
    let (_, reason) = by_fact.or_else(|| PASSING_FIELDS.iter().find(|(field, _)| *field == last))?;
    Some(Passing { fact, reason: *reason, differing: 0 })
}

fn has_all(item: &Value, fields: &[&str]) -> bool {
    fields.iter().all(|field| item.get(field).is_some())
}

/// Places in a list by what names their items; a name that occurs again is told apart by how often it was there before.
/// Lists of plain values are named by the values, and what has no name by its place.
fn named(items: &[Value], by: Option<&[&str]>) -> BTreeMap<(String, usize), usize> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let name = match by {
            Some(fields) => fields.iter().filter_map(|field| text(&item[*field])).collect::<Vec<_>>().join(" "),
            None => text(item).unwrap_or_else(|| at.to_string()),
        };
        let times = seen.entry(name.clone()).or_default();
        places.insert((name, *times), at);
        *times += 1;
    }
    places
}

/// A plain value as text; nothing for others.
fn text(value: &Value) -> Option<String> {
    match known(value).unwrap_or(value) {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value as it is listed: whole, or without its groups and lists when it is large.
fn shown(value: &Value) -> Value {
    let fields = match value {
        Value::Object(fields) if value.to_string().len() > VALUE_MAX_BYTES => fields,
        Value::Array(items) if value.to_string().len() > VALUE_MAX_BYTES => return Value::from(items.len()),
        _ => return value.clone(),
    };
    let is_plain = |value: &Value| text(value).is_some();
    let plain = fields.iter().filter(|(_, value)| is_plain(value));
    Value::Object(plain.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::contents;
    use crate::store::{DeviceId, Fix};
    use belay_protocol::DeviceKey;
    use belay_protocol::report::{Hardware, Memory, Shared, Upkeep, Why, WhyKind};

    pub(crate) fn mount(at: &str, used_percent: u8) -> Value {
        let not_applicable = json!({ "unknown": Why::new(WhyKind::NotApplicable, "statvfs") });
        json!({
            "mount_point": at, "device": "/dev/sda1", "device_kind": "local", "fs_type": "ext4", "access": "read_write",
            "response": "answered", "inodes": not_applicable, "forecast": not_applicable, "options": ["rw"],
            "space": { "known": {
                "size_bytes": 1_000_000, "used_bytes": 10_000 * u32::from(used_percent),
                "available_bytes": 1_000_000 - 10_000 * u32::from(used_percent), "used_percent": used_percent,
            } },
        })
    }

    /// A report of which only the system, the disks and an empty list of findings are there.
    pub(crate) fn report(taken_at: i64, load: f64, mounts: Vec<Value>) -> Facts {
        let why = Why::new(WhyKind::NotOffered, "test");
        let unknown = json!({ "unknown": why });
        let system = json!({
            "os": unknown, "kernel": { "known": { "release": "6.1.0", "architecture": "x86_64" } }, "host": unknown,
            "uptime_seconds": { "known": taken_at }, "cpu_count": { "known": 2 }, "cpu_use": unknown,
            "load": { "known": { "one_minute": load, "five_minutes": load, "fifteen_minutes": load } },
            "clock": unknown, "process_count": unknown, "largest_processes": unknown, "process_states": unknown,
            "handles": unknown, "tasks": unknown, "hardware": Hardware::<Shared>::unknown(&why),
            "upkeep": Upkeep::<Shared>::unknown(&why), "busiest_processes": unknown, "boot_seconds": unknown,
        });
        let disk = json!({
            "mounts": { "known": mounts }, "left_out": 0, "volumes": unknown, "block_devices": unknown, "arrays": unknown,
        });
        serde_json::from_value(json!({
            "header": {
                "schema": 1, "agent_version": "0.1.0", "taken_at_unix_ms": taken_at, "took_ms": 5, "language": "en",
                "replaced": [],
            },
            "sections": [
                { "system": system }, { "disk": disk }, { "memory": Memory::<Shared>::unknown(&why) },
                { "findings": { "packs": [], "found": [], "more": [], "ok": 3, "pending": 0 } },
            ],
        }))
        .unwrap()
    }

    /// The same with one section kept back by the customer.
    pub(crate) fn withheld(taken_at: i64, section: &str) -> Facts {
        let mut value = serde_json::to_value(report(taken_at, 0.5, vec![mount("/", 30)])).unwrap();
        for slot in value["sections"].as_array_mut().unwrap() {
            if slot.get(section).is_some() {
                *slot = json!({ "withheld": { "section": section, "reason": "by_person" } });
            }
        }
        serde_json::from_value(value).unwrap()
    }

    fn finding(rule: &str, severity: &str, title: &str) -> Finding {
        serde_json::from_value(json!({
            "rule_id": rule, "subject": "/", "severity": severity, "title_en": title, "title_zh": title, "remedy_en": "",
            "remedy_zh": "", "evidence": [], "fixes": [Fix::named("restart-service".into())], "fingerprint": rule,
        }))
        .unwrap()
    }

    fn stored(id: i64, facts: &Facts, findings: Vec<Finding>) -> Report {
        let contents = contents::of(&DeviceKey([1; 32]), facts);
        Report {
            id: StoredReportId(id),
            report_id: String::new(),
            device: DeviceId(1),
            session: None,
            ticket: None,
            sha256: String::new(),
            size_bytes: 1,
            received_at_ms: crate::clock::UnixMillis(id),
            taken_at_ms: None,
            findings,
            ok: None,
            pending: None,
            withheld: contents.withheld,
        }
    }

    fn between(before: &Facts, after: &Facts) -> Changes {
        let (since, report) = (stored(1, before, vec![]), stored(2, after, vec![]));
        Changes::between((&since, before), (&report, after))
    }

    /// What stands at a place of a report, through lists and what is known; `Err` where it is unknown on the way.
    fn at<'a>(value: &'a Value, place: &str) -> Result<Vec<&'a Value>, ()> {
        let mut found = vec![value];
        for field in place.split('.') {
            let mut next = Vec::new();
            for value in found {
                if value.get("unknown").is_some() {
                    return Err(());
                }
                let value = known(value).unwrap_or(value);
                let items = value.as_array().map_or(vec![value], |items| items.iter().collect());
                next.extend(items.into_iter().filter_map(|item| item.get(field)));
            }
            found = next;
        }
        Ok(found)
    }

    #[test]
    fn what_is_called_passing_is_in_a_report() {
        let bytes = data_encoding::HEXLOWER.decode(include_bytes!("../../protocol/src/report/sample.hex").trim_ascii());
        let sample = Facts::decode(&bytes.unwrap()).unwrap();
        let sections: Map<String, Value> =
            sections_of(&sample).into_iter().map(|(name, (_, value))| (name.as_str().to_owned(), value)).collect();
        let (sections, text) = (Value::Object(sections.clone()), Value::Object(sections).to_string());
        for (place, _) in PASSING {
            assert!(at(&sections, place).map_or(true, |found| !found.is_empty()), "{place} is in no report");
        }
        let unknown = PASSING.iter().filter(|(place, _)| at(&sections, place).is_err()).count();
        assert!(unknown <= 3, "{unknown} of them cannot be looked for, because the sample does not know them");
        for (field, _) in PASSING_FIELDS {
            assert!(text.contains(&format!("\"{field}\":")), "{field} is in no report");
        }
        let mut places: Vec<_> = PASSING.iter().map(|(place, _)| place).collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), PASSING.len(), "none stands twice");
    }

    #[test]
    fn an_item_is_matched_by_its_name_and_pointed_at_where_it_stands() {
        let before = report(1, 0.5, vec![mount("/", 40), mount("/old", 10), mount("/var", 50)]);
        let after = report(2, 0.5, vec![mount("/", 40), mount("/home", 20), mount("/var", 60)]);
        let changes = between(&before, &after);
        let facts: Vec<_> = changes.facts.iter().map(|fact| (fact.path.as_str(), &fact.before, &fact.after)).collect();
        assert_eq!(facts.len(), 3, "{facts:#?}");
        assert_eq!((facts[0].0, facts[0].1), ("/sections/1/disk/mounts/known/1", &None));
        let space = "/sections/1/disk/mounts/known/2/space/known/used_percent";
        assert_eq!(facts[1], (space, &Some(json!(50)), &Some(json!(60))));
        assert_eq!((facts[2].0, facts[2].2), ("/sections/1/disk/mounts/known/1", &None));
        let document = serde_json::to_value(&after).unwrap();
        assert_eq!(document.pointer(space), Some(&json!(60)));
        let steps = [Step::Field("mounts".into()), Step::Item("/var".into()), Step::Field("space".into())];
        assert_eq!(changes.facts[1].steps[..3], steps);
    }

    #[test]
    fn what_differs_every_time_is_counted_with_its_reason() {
        let changes = between(&report(1, 0.5, vec![mount("/", 40)]), &report(2, 0.75, vec![mount("/", 41)]));
        let facts: Vec<_> = changes.facts.iter().map(|fact| fact.path.as_str()).collect();
        assert_eq!(facts, ["/sections/1/disk/mounts/known/0/space/known/used_percent"]);
        let passing = |fact: &str| changes.passing.iter().find(|passing| passing.fact == fact).map(|one| one.reason);
        assert_eq!(passing("system.uptime_seconds"), Some(PassingReason::Counts));
        assert_eq!(passing("system.load"), Some(PassingReason::Plotted));
        assert_eq!(passing("disk.mounts.space.used_bytes"), Some(PassingReason::Moment));
        assert_eq!(between(&report(1, 0.5, vec![]), &report(1, 0.5, vec![])).passing, []);
    }

    #[test]
    fn a_reading_that_could_not_be_had_any_more_is_listed() {
        let before = report(1, 0.5, vec![mount("/", 40)]);
        let mut value = serde_json::to_value(&before).unwrap();
        value["sections"][0]["system"]["load"] =
            json!({ "unknown": Why::new(WhyKind::PermissionDenied, "/proc/loadavg") });
        let changes = between(&before, &serde_json::from_value(value).unwrap());
        assert_eq!(changes.facts.len(), 1);
        assert_eq!(changes.facts[0].path, "/sections/0/system/load");
        assert_eq!(changes.facts[0].after.as_ref().unwrap()["unknown"]["kind"], "permission_denied");
    }

    #[test]
    fn a_section_that_was_withheld_is_not_compared() {
        let before = report(1, 0.5, vec![mount("/", 40)]);
        let changes = between(&before, &withheld(2, "disk"));
        let disk = NotCompared { section: "disk".into(), was_sent: true, is_sent: false };
        assert!(changes.not_compared.contains(&disk), "{:?}", changes.not_compared);
        assert!(changes.facts.iter().all(|fact| fact.section != "disk"));
        assert!(changes.findings.is_some());
        assert_eq!(between(&before, &withheld(2, "findings")).findings, None);
    }

    #[test]
    fn a_finding_about_a_section_that_is_kept_back_is_neither_gone_nor_new() {
        let (whole, without) = (report(1, 0.5, vec![mount("/", 97)]), withheld(2, "disk"));
        let found = ["disk-space", "memory-low", "ours"].map(|rule| finding(rule, "crit", rule)).to_vec();
        let rules = |findings: &[Finding]| findings.iter().map(|one| one.rule_id.clone()).collect::<Vec<_>>();
        let (full, empty) = (stored(1, &whole, found.clone()), stored(2, &without, vec![]));
        let changes = Changes::between((&full, &whole), (&empty, &without)).findings.unwrap();
        assert_eq!(
            (rules(&changes.gone), rules(&changes.undecided)),
            (rules(&found[1..2]), rules(&[found[0].clone(), found[2].clone()]))
        );
        let changes = Changes::between((&empty, &without), (&full, &whole)).findings.unwrap();
        assert_eq!((rules(&changes.appeared), changes.undecided.len()), (rules(&found[1..2]), 2));
    }

    #[test]
    fn findings_appear_go_and_change() {
        let facts = report(1, 0.5, vec![]);
        let earlier = vec![finding("a", "warn", "a"), finding("b", "warn", "b 1"), finding("c", "info", "c")];
        let later = vec![finding("b", "crit", "b 2"), finding("d", "warn", "d"), finding("c", "info", "c")];
        let (since, report) = (stored(1, &facts, earlier), stored(2, &facts, later));
        let changes = Changes::between((&since, &facts), (&report, &facts)).findings.unwrap();
        let rules = |findings: &[Finding]| findings.iter().map(|one| one.rule_id.clone()).collect::<Vec<_>>();
        assert_eq!((rules(&changes.appeared), rules(&changes.gone)), (vec!["d".to_owned()], vec!["a".to_owned()]));
        assert_eq!((changes.changed.len(), changes.changed[0].after.title_en.as_str(), changes.same), (1, "b 2", 1));
    }

    #[test]
    fn the_list_of_facts_is_bounded() {
        let many = |from: usize| (from..from + 300).map(|number| mount(&format!("/m{number}"), 5)).collect();
        let changes = between(&report(1, 0.5, many(0)), &report(1, 0.5, many(1_000)));
        assert_eq!((changes.facts.len(), changes.left_out), (CHANGES_MAX_FACTS, 100));
    }

    #[test]
    fn a_large_value_is_listed_without_its_groups() {
        let long: Vec<String> = (0..500).map(|number| format!("option-{number}")).collect();
        let value = json!({ "name": "x", "size": { "known": 3 }, "options": long });
        assert_eq!(shown(&value), json!({ "name": "x", "size": { "known": 3 } }));
        assert_eq!(shown(&value["options"]), json!(500));
        assert_eq!(shown(&json!([1, 2])), json!([1, 2]));
    }
}
