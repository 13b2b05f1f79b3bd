//! Rule packs at the desk: signing them, checking what is published, and judging stored reports again.

use belay_protocol::OrganizationKey;
use belay_protocol::finding::{Finding, Severity};
use belay_protocol::report::Report;
use belay_protocol::rules::{self, Pack, PackRefusal, Standing};
use belay_protocol::signed_pack::{PackId, PackOffer, PackProof, RulesDelegation};
use belay_relay::identity::{Identity, is_signed_by};
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::contents::word;
use crate::secret::sha256;

/// A key that may sign packs, with the organization's word for it.
#[derive(Debug)]
pub struct Signer {
    /// The key.
    pub key: Identity,
    /// The organization's word.
    pub delegation: RulesDelegation,
}

impl Signer {
    /// Signs a pack's file.
    pub fn sign(&self, text: &str) -> PackProof {
        self.key.sign_pack(self.delegation, &sha256(text.as_bytes()))
    }
}

/// What devices are offered of a pack.
pub fn offer(pack: PackId, text: &str, proof: PackProof) -> PackOffer {
    let size_bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
    PackOffer { pack, size_bytes, sha256: sha256(text.as_bytes()), proof }
}

/// Checks a pack as every device will: who signed it, that it is newer than `published`, if there is one, and than the
/// base pack, and that its rows hold.
pub fn check(
    text: &str,
    proof: PackProof,
    organization: &OrganizationKey,
    published: Option<PackId>,
    now: UnixMillis,
) -> Result<PackId, PackRefusal> {
    let base = Pack::base().pack_id();
    let in_use = published.filter(|published| published.version > base.version).unwrap_or(base);
    let offer = offer(Pack::parse(text)?.pack_id(), text, proof);
    Ok(rules::accept(&offer, text.as_bytes(), organization, &in_use, now.0, is_signed_by)?.pack_id())
}

/// Reads a pack and runs its rows, for whoever is about to sign it.
pub fn try_out(text: &str) -> Result<Pack, PackRefusal> {
    let pack = Pack::parse(text)?;
    let mistakes = pack.run_tests();
    match mistakes.first() {
        Some(first) => Err(PackRefusal::RowsFail { mistakes: mistakes.len(), first: first.to_string() }),
        None => Ok(pack),
    }
}

/// What other rules would say about a stored report.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Difference {
    /// Findings that would be there as well.
    pub appeared: Vec<Told>,
    /// Findings that would not be there.
    pub gone: Vec<Told>,
    /// Findings whose severity would be another; the one they would have.
    pub changed: Vec<Told>,
}

/// A finding in a few words.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Told {
    /// The rule.
    pub rule: String,
    /// What it is about.
    pub subject: String,
    /// How bad it is.
    pub severity: String,
    /// How bad it was; only where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// What is wrong, in English.
    pub title_en: String,
    /// What is wrong, in Chinese.
    pub title_zh: String,
}

impl Told {
    fn of(finding: &Finding, was: Option<Severity>) -> Self {
        Self {
            rule: finding.rule.to_string(),
            subject: finding.subject.to_string(),
            severity: word(&finding.severity),
            was: was.as_ref().map(word),
            title_en: finding.title.en.to_string(),
            title_zh: finding.title.zh.to_string(),
        }
    }
}

impl Difference {
    /// Whether the rules would say the same.
    pub fn is_empty(&self) -> bool {
        self.appeared.is_empty() && self.gone.is_empty() && self.changed.is_empty()
    }
}

/// Judges a report again as the next of its device, and says what changes. `standing` goes from report to report of one
/// device, oldest first.
pub fn rejudge(pack: &Pack, report: &Report, standing: &mut Standing) -> Difference {
    let judgement = pack.judge(report, standing);
    *standing = judgement.standing;
    let before: &[Finding] = report.findings().map(|findings| &*findings.found).unwrap_or_default();
    let after = &judgement.findings.found;
    let find = |among: &[Finding], finding: &Finding| {
        among.iter().find(|other| other.fingerprint == finding.fingerprint).map(|other| other.severity)
    };
    let mut difference = Difference::default();
    for finding in after {
        match find(before, finding) {
            None => difference.appeared.push(Told::of(finding, None)),
            Some(was) if was != finding.severity => difference.changed.push(Told::of(finding, Some(was))),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|finding| find(after, finding).is_none());
    difference.gone.extend(gone.map(|finding| Told::of(finding, None)));
    difference
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

    pub(crate) fn signer(organization: &Identity) -> Signer {
        let key = Identity::generate().unwrap();
        let delegation = organization.delegate_rules(key.rules_key(), NOW.0 + 1_000);
        Signer { key, delegation }
    }

    pub(crate) fn version(version: u32) -> String {
        Pack::base_text().replacen("version = 1\n", &format!("version = {version}\n"), 1)
    }

    #[test]
    fn only_a_newer_pack_of_this_organization_is_published() {
        let (organization, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let key = organization.organization_key();
        let sign = |organization: &Identity, text: &str| signer(organization).sign(text);
        let published = |version| Some(PackId { version, ..Pack::base().pack_id() });
        let text = version(2);
        assert_eq!(check(&text, sign(&organization, &text), &key, None, NOW).unwrap().version, 2);
        let foreign = check(&text, sign(&other, &text), &key, None, NOW);
        assert!(matches!(foreign, Err(PackRefusal::NotSigned)));
        let other_text = check(&version(3), sign(&organization, &text), &key, None, NOW);
        assert!(matches!(other_text, Err(PackRefusal::NotSigned)));
        let old = check(&text, sign(&organization, &text), &key, published(2), NOW);
        assert!(matches!(old, Err(PackRefusal::NotNewer { in_use: 2 })));
        let base = check(&version(1), sign(&organization, &version(1)), &key, None, NOW);
        assert!(matches!(base, Err(PackRefusal::NotNewer { in_use: 1 })));
        let failing = text.replacen("expect = \"crit\"", "expect = \"info\"", 1);
        let failed = check(&failing, sign(&organization, &failing), &key, None, NOW);
        assert!(matches!(failed, Err(PackRefusal::RowsFail { .. })));
        assert!(matches!(try_out(&failing), Err(PackRefusal::RowsFail { .. })));
    }
}
