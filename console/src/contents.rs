//! What a report's bytes come down to for the desk.

use std::collections::BTreeMap;

use belay_protocol::DeviceKey;
use belay_protocol::finding::{self, Fingerprint};
use belay_protocol::report::{Report, Section};

use crate::clock::UnixMillis;
use crate::store::{Confidence, NewContents, NewFinding, Severity, Withheld};

/// What the report of `device` comes down to.
pub fn of(device: &DeviceKey, report: &Report) -> NewContents {
    let judged = report.findings();
    let findings = judged.map(|judged| judged.found.iter().map(|finding| new_finding(device, finding)).collect());
    let withheld = report.sections.iter().filter_map(|section| match section {
        Section::Withheld(withheld) => {
            Some(Withheld { section: word(&withheld.section), reason: word(&withheld.reason) })
        }
        _ => None,
    });
    let (ok, pending) = judged.map_or((0, 0), |judged| (judged.ok, judged.pending));
    let mut unlisted = BTreeMap::new();
    for alike in judged.iter().flat_map(|judged| judged.more.iter()) {
        let count: &mut u32 = unlisted.entry(stored(alike.severity)).or_default();
        *count = count.saturating_add(alike.count);
    }
    NewContents {
        findings: findings.unwrap_or_default(),
        ok,
        pending,
        withheld: withheld.collect(),
        unlisted,
        taken_at: Some(UnixMillis(report.header.taken_at_unix_ms)),
    }
}

fn stored(severity: finding::Severity) -> Severity {
    match severity {
        finding::Severity::Ok => Severity::Ok,
        finding::Severity::Info => Severity::Info,
        finding::Severity::Warn => Severity::Warn,
        finding::Severity::Crit => Severity::Crit,
        finding::Severity::Unknown => Severity::Unknown,
    }
}

/// The name of an enum's variant as it stands in JSON.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

fn new_finding(device: &DeviceKey, finding: &finding::Finding) -> NewFinding {
    NewFinding {
        rule_id: finding.rule.to_string(),
        subject: finding.subject.to_string(),
        severity: stored(finding.severity),
        confidence: match finding.confidence {
            finding::Confidence::High => Confidence::High,
            finding::Confidence::Medium => Confidence::Medium,
            finding::Confidence::Low => Confidence::Low,
        },
        title_en: finding.title.en.to_string(),
        title_zh: finding.title.zh.to_string(),
        remedy_en: finding.remedy.en.to_string(),
        remedy_zh: finding.remedy.zh.to_string(),
        evidence: serde_json::to_value(&finding.evidence).unwrap_or_default(),
        fixes: finding.fixes.iter().map(ToString::to_string).collect(),
        docs: finding.docs.to_string(),
        // The device's word for it would let it speak of another's.
        fingerprint: Fingerprint::on_device(device, &finding.rule, &finding.subject).to_string(),
    }
}
