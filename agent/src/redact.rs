//! From what is known on this machine to what may leave it.
//!
//! Two passes: the machine's own names are learnt from the system first ([`Identity`]), and those of others from the places
//! in the survey that show them; then everything personal is replaced by an alias, longest name first, the same in giving
//! the same out ([`Aliases`]). Fields that are personal by
//! type cannot be forgotten: a fact has no serialized form until each has been turned into its masked form. The map from
//! aliases to names stays on the device.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use belay_protocol::bounded::{BoundedVec, Name};
use belay_protocol::codec::{DecodeError, EncodeError};
use belay_protocol::report::{
    Header, Replacement, Report, SCHEMA_VERSION, Section, SectionName, Withheld, Withholding,
};
use belay_protocol::rules::{Judgement, Standing};
use sha2::{Digest, Sha256};

use crate::rulebook::Rulebook;
use crate::survey::Survey;

mod aliases;
mod facts;
mod identity;
mod kept;
pub mod log;
mod seen;

pub use aliases::{Aliases, CannotMask};
pub use identity::Identity;
use kept::{Kept, MapFile};

/// A report without personal data: the very bytes that can be sent, and the map that stays.
#[derive(Clone, Debug)]
pub struct Redacted {
    bytes: Vec<u8>,
    sha256: [u8; 32],
    aliases: Aliases,
    /// The sections with the names as they stand on this machine. They never leave it.
    unmasked: Arc<[Section]>,
    rulebook: Arc<Rulebook>,
    standing: Standing,
}

/// Why there is no report. Each is a bug or a limit of this program.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The report does not fit.
    #[error("the report cannot be encoded")]
    Encode(#[from] EncodeError),
    /// The report does not read back.
    #[error("the report cannot be read back")]
    Decode(#[from] DecodeError),
}

/// Redacts `survey` and judges the redacted facts with the rules. A section whose redaction fails is withheld.
pub fn redact(survey: Survey, rulebook: Arc<Rulebook>) -> Result<Redacted, RedactError> {
    seal_with(&survey, Kept::default(), aliases::MAX_ALIASES, &MASKS, rulebook)
}

/// As [`redact`], with the aliases that earlier reports of this machine used, which are kept in `data_dir`. Where they
/// cannot be kept, this report has aliases of its own.
pub fn redact_keeping(survey: Survey, rulebook: Arc<Rulebook>, data_dir: &Path) -> Result<Redacted, RedactError> {
    let unkept = |error: std::io::Error| tracing::warn!(%error, "the aliases of earlier reports cannot be used");
    let map = MapFile::open(data_dir).map_err(unkept).ok();
    let kept = map.as_ref().and_then(|map| map.load().map_err(unkept).ok()).unwrap_or_default();
    let redacted = seal_with(&survey, kept, aliases::MAX_ALIASES, &MASKS, rulebook)?;
    if let Some(map) = map {
        let _ = map.store(redacted.aliases.to_keep(survey.taken_at_unix_ms / 1_000)).map_err(unkept);
    }
    Ok(redacted)
}

/// A survey as the person in front of the machine sees it: judged whole, also where nobody learnt in time which names would
/// have to be replaced. It is no [`Redacted`], so that it goes nowhere else.
#[derive(Clone, Debug)]
pub struct SeenHere(Redacted);

/// Judges `survey` for the person in front of the machine.
pub fn see_here(survey: &Survey, rulebook: Arc<Rulebook>) -> Result<SeenHere, RedactError> {
    let nameless = Survey { identity: Some(Identity::default()), ..survey.clone() };
    seal_with(&nameless, Kept::default(), aliases::MAX_ALIASES, &MASKS, rulebook).map(SeenHere)
}

impl SeenHere {
    /// What was found, with the names as they are here.
    pub fn report(&self) -> Result<Report, DecodeError> {
        self.0.seen_here()
    }

    /// How findings stand after this survey.
    pub const fn standing(&self) -> &Standing {
        self.0.standing()
    }
}

/// Redacts one section of `survey` and nothing else; nothing is kept of its aliases.
pub fn redact_only(section: SectionName, survey: &Survey, rulebook: Arc<Rulebook>) -> Result<Redacted, RedactError> {
    let masks: Vec<_> = MASKS.into_iter().filter(|(name, _)| *name == section).collect();
    seal_with(survey, Kept::default(), aliases::MAX_ALIASES, &masks, rulebook)
}

/// Redacts one section.
type Mask = fn(&Survey, &mut Aliases) -> Result<Section, CannotMask>;

/// The sections of facts in the order of a report.
const MASKS: [(SectionName, Mask); 5] = [
    (SectionName::System, |survey, aliases| Ok(Section::System(Box::new(facts::system(&survey.system, aliases)?)))),
    (SectionName::Disk, |survey, aliases| facts::disk(&survey.disk, aliases).map(Section::Disk)),
    (SectionName::Memory, |survey, aliases| Ok(Section::Memory(Box::new(facts::memory(&survey.memory, aliases)?)))),
    (SectionName::Drivers, |survey, aliases| facts::drivers(&survey.drivers, aliases).map(Section::Drivers)),
    (SectionName::Network, |survey, aliases| facts::network(&survey.network, aliases).map(Section::Network)),
];

fn seal_with(
    survey: &Survey,
    kept: Kept,
    max_aliases: usize,
    masks: &[(SectionName, Mask)],
    rulebook: Arc<Rulebook>,
) -> Result<Redacted, RedactError> {
    let identity = survey.identity.clone().unwrap_or_default();
    let mut aliases = Aliases::new(&identity, kept.clone(), max_aliases);
    // What one section shows to be somebody's name is looked for in all of them.
    let mut sections = masked(masks, survey, &mut aliases);
    let learnt = aliases.learnt().to_vec();
    if !learnt.is_empty() {
        aliases = Aliases::new(&identity.and(&learnt), kept, max_aliases);
        sections = masked(masks, survey, &mut aliases);
    }
    let unmasked = masked(masks, survey, &mut aliases.unmasking()).into();
    let header = Header {
        schema: SCHEMA_VERSION,
        agent_version: Name::truncating(env!("CARGO_PKG_VERSION")),
        taken_at_unix_ms: survey.taken_at_unix_ms,
        took_ms: survey.took_ms,
        language: survey.language,
        replaced: BoundedVec::new(),
    };
    seal(Report { header, sections: BoundedVec::truncating(sections).0 }, aliases, unmasked, rulebook)
}

/// The sections as they may leave, in the order of `masks`.
fn masked(masks: &[(SectionName, Mask)], survey: &Survey, aliases: &mut Aliases) -> Vec<Section> {
    masks.iter().map(|(name, mask)| section(*name, *mask, survey, aliases)).collect()
}

/// Redacts one section, or withholds it: when its redactor fails or panics, and when nobody knows which names it would
/// have to look for. What a failed redactor has left behind is forgotten.
fn section(name: SectionName, mask: Mask, survey: &Survey, aliases: &mut Aliases) -> Section {
    let mut own = aliases.clone();
    own.enter(name);
    let masked = survey.identity.as_ref().and_then(|_| {
        // `own` is dropped when this unwinds, so that nobody sees it half changed.
        let masked = catch_unwind(AssertUnwindSafe(|| mask(survey, &mut own)));
        masked.unwrap_or(Err(CannotMask)).ok()
    });
    match masked {
        Some(section) => {
            *aliases = own;
            section
        }
        None => Section::Withheld(Withheld { section: name, reason: Withholding::RedactionFailed }),
    }
}

impl Redacted {
    /// The encoded report.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of [`Self::bytes`].
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The report, decoded from the bytes.
    pub fn report(&self) -> Result<Report, DecodeError> {
        Report::decode(&self.bytes)
    }

    /// The same report without `sections`, judged again on what is left, so that no finding tells of what was kept back.
    pub fn without(&self, sections: &[SectionName]) -> Result<Self, RedactError> {
        let mut report = self.report()?;
        let keep = |section: Section| match section.name() {
            name if sections.contains(&name) => {
                Section::Withheld(Withheld { section: name, reason: Withholding::ByPerson })
            }
            _ => section,
        };
        let kept = report.sections.into_vec().into_iter().map(keep);
        let facts = kept.filter(|section| !matches!(section, Section::Findings(_)));
        report.sections = BoundedVec::truncating(facts).0;
        seal(report, self.aliases.clone(), Arc::clone(&self.unmasked), Arc::clone(&self.rulebook))
    }

    /// The same report with the names as they stand on this machine, for the person in front of it and nobody else. Secrets
    /// are not in it either.
    pub fn seen_here(&self) -> Result<Report, DecodeError> {
        Ok(seen::unmasked(self.report()?, &self.unmasked, &self.aliases))
    }

    /// How findings stand after this survey.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What was replaced in one section, by kind. What findings say was replaced where they look.
    pub fn replaced_in(&self, section: SectionName) -> Vec<Replacement> {
        self.aliases.replaced(&[section])
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Adds findings, unless they were withheld, and the count of replacements, and encodes.
fn seal(
    mut report: Report,
    aliases: Aliases,
    unmasked: Arc<[Section]>,
    rulebook: Arc<Rulebook>,
) -> Result<Redacted, RedactError> {
    let Judgement { findings, standing } = rulebook.judge(&report);
    if !report.sections.iter().any(|section| section.name() == SectionName::Findings) {
        // Six kinds of sections never fill the room for sixty-four.
        let _ = report.sections.push(Section::Findings(findings));
    }
    let sent = report.sections.iter().filter(|section| !matches!(section, Section::Withheld(_))).map(Section::name);
    report.header.replaced = BoundedVec::truncating(aliases.replaced(&sent.collect::<Vec<_>>())).0;
    let bytes = report.encode()?;
    let sha256 = Sha256::digest(&bytes).into();
    Ok(Redacted { bytes, sha256, aliases, unmasked, rulebook, standing })
}

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
mod planted;
