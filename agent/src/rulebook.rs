//! What surveys are judged by: a rule pack, and how findings stood before.
//!
//! The base pack comes with this program. A desk may offer a newer one: it is used only when the organization's word for
//! it is good, it is newer, and its own test rows hold. It is kept for each organization apart, and its signature is
//! checked again whenever it is read.

use std::io;
use std::path::{Path, PathBuf};

use belay_protocol::OrganizationKey;
use belay_protocol::report::Report;
use belay_protocol::rules::{self, Judgement, PACK_MAX_BYTES, Pack, PackRefusal, Standing};
use belay_protocol::signed_pack::{PackId, PackOffer};
use belay_relay::identity::is_signed_by;
use serde::{Deserialize, Serialize};

use crate::data_file;

/// A pack and how findings stood before. By default the pack that comes with this program, and nothing before.
#[derive(Debug, Default)]
pub struct Rulebook {
    newer: Option<Pack>,
    standing: Standing,
    /// Where how findings stand is kept; nowhere for a captured tree.
    file: Option<PathBuf>,
    /// Whether a desk's pack is kept that cannot be used.
    has_unusable: bool,
}

impl Rulebook {
    /// The base pack, with what earlier surveys of this machine kept in the data directory. What cannot be read was not
    /// kept: rules then wait and let go as on the first day.
    pub fn in_data_dir(dir: &Path) -> Self {
        let file = dir.join(STANDING);
        let standing = match data_file::read(&file, STANDING_MAX_BYTES) {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "how findings stood before makes no sense");
                Standing::new()
            }),
            Ok(None) => Standing::new(),
            Err(error) => {
                tracing::warn!(%error, "how findings stood before cannot be read");
                Standing::new()
            }
        };
        Self { standing, file: Some(file), ..Self::default() }
    }

    /// The same with the pack that a desk's organization gave earlier, if it is newer than the base pack.
    pub fn of_desk(self, dir: &Path, organization: &OrganizationKey) -> Self {
        self.with_kept(&kept_file(dir, organization), organization)
    }

    /// The same with the pack that the one organization gave whose pack is kept; with several nobody is preferred.
    pub fn of_only_desk(self, dir: &Path) -> Self {
        let kept = std::fs::read_dir(dir.join(RULES)).into_iter().flatten().flatten();
        let organizations = kept.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json")?.parse::<OrganizationKey>().ok()
        });
        match organizations.take(2).collect::<Vec<_>>().as_slice() {
            [only] => self.of_desk(dir, only),
            _ => self,
        }
    }

    fn with_kept(self, file: &Path, organization: &OrganizationKey) -> Self {
        match read_kept(file, organization) {
            Ok(Some(pack)) if is_newer(&pack.pack_id(), &Pack::base().pack_id()) => Self { newer: Some(pack), ..self },
            Ok(_) => self,
            Err(error) => {
                tracing::warn!(%error, "the rules of the desk that are kept cannot be used");
                Self { has_unusable: true, ..self }
            }
        }
    }

    /// Whether a desk's pack is kept that is damaged, or not the one that was offered, so that the base pack judges.
    pub fn has_unusable(&self) -> bool {
        self.has_unusable
    }

    /// Whether an offered pack may be asked for.
    pub fn check_offer(&self, offer: &PackOffer, organization: &OrganizationKey, now: i64) -> Result<(), PackRefusal> {
        rules::check_offer(offer, organization, &self.pack().pack_id(), now, is_signed_by)
    }

    /// Takes an offered pack into use and keeps it. One that is refused changes nothing; one that cannot be kept is used
    /// this time.
    pub fn renew(
        &mut self,
        dir: &Path,
        offer: &PackOffer,
        bytes: &[u8],
        organization: &OrganizationKey,
        now: i64,
    ) -> Result<(), PackRefusal> {
        let pack = rules::accept(offer, bytes, organization, &self.pack().pack_id(), now, is_signed_by)?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        let written = serde_json::to_vec(&KeptPack { offer: offer.clone(), text })
            .map_err(Into::into)
            .and_then(|json| data_file::replace(&kept_file(dir, organization), &json));
        if let Err(error) = written {
            tracing::warn!(%error, "the desk's rules cannot be kept");
        }
        self.newer = Some(pack);
        Ok(())
    }

    /// The pack.
    pub fn pack(&self) -> &Pack {
        self.newer.as_ref().unwrap_or_else(|| Pack::base())
    }

    /// Applies the pack to the facts of a report.
    pub fn judge(&self, report: &Report) -> Judgement {
        self.pack().judge(report, &self.standing)
    }

    /// Keeps how findings stand now for the next survey. A machine whose directory cannot be written to is surveyed all
    /// the same.
    pub fn keep(&self, standing: &Standing) {
        let Some(file) = &self.file else { return };
        let written = serde_json::to_vec(standing).map_err(Into::into).and_then(|json| data_file::replace(file, &json));
        if let Err(error) = written {
            tracing::debug!(%error, "how findings stand cannot be kept");
        }
    }
}

/// A pack that was accepted, as it is kept.
#[derive(Serialize, Deserialize)]
struct KeptPack {
    offer: PackOffer,
    text: String,
}

/// Why a kept pack is not used.
#[derive(Debug, thiserror::Error)]
enum KeptError {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Refused(#[from] PackRefusal),
}

fn read_kept(file: &Path, organization: &OrganizationKey) -> Result<Option<Pack>, KeptError> {
    let Some(bytes) = data_file::read(file, KEPT_MAX_BYTES)? else { return Ok(None) };
    let kept: KeptPack = serde_json::from_slice(&bytes)?;
    Ok(Some(rules::reopen(&kept.offer, kept.text.as_bytes(), organization, is_signed_by)?))
}

fn kept_file(dir: &Path, organization: &OrganizationKey) -> PathBuf {
    dir.join(RULES).join(format!("{organization}.json"))
}

fn is_newer(pack: &PackId, than: &PackId) -> bool {
    pack.id == than.id && pack.version > than.version
}

const RULES: &str = "rules";

/// The largest pack, every character escaped, and its proof.
const KEPT_MAX_BYTES: u64 = 6 * PACK_MAX_BYTES as u64 + 4_096;

const STANDING: &str = "standing.json";

/// As much as the most findings that are kept need.
const STANDING_MAX_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{redact, tests::survey};
    use belay_protocol::Language;
    use belay_relay::identity::Identity;
    use sha2::{Digest, Sha256};
    use std::sync::Arc;

    #[tokio::test]
    async fn how_findings_stand_is_kept_for_the_next_survey() {
        let dir = tempfile::tempdir().unwrap();
        let rulebook = Arc::new(Rulebook::in_data_dir(dir.path()));
        assert!(rulebook.standing.is_empty());
        let redacted = redact(survey().await, Arc::clone(&rulebook)).unwrap();
        rulebook.keep(redacted.standing());
        let next = Rulebook::in_data_dir(dir.path());
        assert_eq!(&next.standing, redacted.standing());
        assert!(!next.standing.is_empty());
    }

    const NOW: i64 = 1_000;

    struct Organization {
        key: Identity,
        signer: Identity,
    }

    impl Organization {
        fn new() -> Self {
            Self { key: Identity::generate().unwrap(), signer: Identity::generate().unwrap() }
        }

        fn offer(&self, text: &str, version: u32) -> PackOffer {
            let sha256 = Sha256::digest(text.as_bytes()).into();
            let delegation = self.key.delegate_rules(self.signer.rules_key(), NOW + 1);
            PackOffer {
                pack: PackId { version, ..Pack::base().pack_id() },
                size_bytes: u32::try_from(text.len()).unwrap(),
                sha256,
                proof: self.signer.sign_pack(delegation, &sha256),
            }
        }
    }

    fn version(version: u32) -> String {
        Pack::base_text().replacen("version = 1\n", &format!("version = {version}\n"), 1)
    }

    #[test]
    fn a_newer_pack_is_used_kept_and_read_again_for_its_organization_alone() {
        let (dir, desk) = (tempfile::tempdir().unwrap(), Organization::new());
        let organization = desk.key.organization_key();
        let mut rulebook = Rulebook::default().of_desk(dir.path(), &organization);
        let (text, offer) = (version(2), desk.offer(&version(2), 2));
        rulebook.check_offer(&offer, &organization, NOW).unwrap();
        rulebook.renew(dir.path(), &offer, text.as_bytes(), &organization, NOW).unwrap();
        assert_eq!(rulebook.pack().pack_id().version, 2);
        let of = |organization| Rulebook::default().of_desk(dir.path(), &organization).pack().pack_id().version;
        assert_eq!((of(organization), of(Organization::new().key.organization_key())), (2, 1));
        assert_eq!(Rulebook::default().of_only_desk(dir.path()).pack().pack_id().version, 2);
        // Whoever changes the file has no key.
        let file = kept_file(dir.path(), &organization);
        let kept = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, kept.replacen("used_percent > 95", "used_percent > 5", 1)).unwrap();
        assert_eq!(of(organization), 1);
        assert!(Rulebook::default().of_only_desk(dir.path()).has_unusable(), "nobody is told that other rules judge");
        assert!(!rulebook.has_unusable());
    }

    #[test]
    fn every_refusal_has_its_sentence_and_leaves_the_rules_in_use() {
        let (dir, desk, other) = (tempfile::tempdir().unwrap(), Organization::new(), Organization::new());
        let organization = desk.key.organization_key();
        let good = version(2);
        let failing = good.replacen("expect = \"crit\"", "expect = \"info\"", 1);
        let large = format!("{good}{}", " ".repeat(PACK_MAX_BYTES));
        let unreadable = good.replacen("[[rule]]", "[[rule", 1);
        let other_name = good.replacen("id = \"base\"", "id = \"other\"", 1);
        // The organization's word for one key, used with another.
        let mut foreign_signer = desk.offer(&good, 2);
        foreign_signer.proof.signature = other.offer(&good, 2).proof.signature;
        let mut own_delegation = other.offer(&good, 2);
        own_delegation.proof.delegation.organization = organization;
        let mut stretched = desk.offer(&good, 2);
        stretched.proof.delegation.not_after_unix_ms += 1;
        let other_pack = PackOffer {
            pack: PackId { id: belay_protocol::bounded::Name::truncating("other"), version: 2 },
            ..desk.offer(&other_name, 2)
        };
        for (offer, text, now, expected) in [
            (foreign_signer, &good, NOW, "not signed"),
            (own_delegation, &good, NOW, "not signed"),
            (other.offer(&good, 2), &good, NOW, "not signed"),
            (stretched, &good, NOW, "not signed"),
            (desk.offer(&good, 2), &good, NOW + 1, "has ended"),
            (desk.offer(&version(1), 1), &version(1), NOW, "not newer"),
            (desk.offer(&good, 2), &version(3), NOW, "not what was offered"),
            (desk.offer(&good, 3), &good, NOW, "not what was offered"),
            (desk.offer(&large, 2), &large, NOW, "too large"),
            (desk.offer(&unreadable, 2), &unreadable, NOW, "cannot be read"),
            (desk.offer(&failing, 2), &failing, NOW, "fail their own tests"),
            (other_pack, &other_name, NOW, "other rules"),
        ] {
            let mut rulebook = Rulebook::default();
            let refusal = rulebook.renew(dir.path(), &offer, text.as_bytes(), &organization, now).unwrap_err();
            let sentence = refusal.sentence(Language::English);
            assert!(sentence.contains(expected), "{expected}: {sentence}");
            assert_ne!(refusal.sentence(Language::Chinese), sentence);
            assert_eq!(rulebook.pack().pack_id(), Pack::base().pack_id());
            assert!(!kept_file(dir.path(), &organization).exists(), "{expected}");
        }
    }

    #[test]
    fn a_damaged_file_is_nothing_kept() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [b"{".as_slice(), b"[1]", &[0xff; 64], &vec![b' '; STANDING_MAX_BYTES as usize + 1]] {
            std::fs::write(dir.path().join(STANDING), bytes).unwrap();
            assert!(Rulebook::in_data_dir(dir.path()).standing.is_empty());
        }
    }
}
