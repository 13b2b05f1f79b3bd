//! From what is known on this machine to what may leave it.
//!
//! Two passes: the machine's own names are learnt from the system first ([`Identity`]), then everything personal is
//! replaced by an alias, longest name first, the same in giving the same out ([`Aliases`]). Fields that are personal by
//! type cannot be forgotten: a fact has no serialized form until each has been turned into its masked form. The map from
//! aliases to names stays on the device.

use std::sync::Arc;

use belay_protocol::bounded::{BoundedVec, Name};
use belay_protocol::codec::{DecodeError, EncodeError};
use belay_protocol::report::{Header, Report, SCHEMA_VERSION, Section, SectionName, Withheld, Withholding};
use belay_protocol::rules::{Judgement, Standing};
use sha2::{Digest, Sha256};

use crate::rulebook::Rulebook;
use crate::survey::Survey;

mod aliases;
mod facts;
mod identity;
mod scan;

pub use aliases::{Aliases, CannotMask};
pub use identity::Identity;

/// A report without personal data: the very bytes that can be sent, and the map that stays.
#[derive(Clone, Debug)]
pub struct Redacted {
    bytes: Vec<u8>,
    sha256: [u8; 32],
    aliases: Aliases,
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
    redact_with(survey, rulebook, aliases::MAX_ALIASES)
}

fn redact_with(survey: Survey, rulebook: Arc<Rulebook>, max_aliases: usize) -> Result<Redacted, RedactError> {
    let mut aliases = Aliases::new(&survey.identity, max_aliases);
    let header = Header {
        schema: SCHEMA_VERSION,
        agent_version: Name::truncating(env!("CARGO_PKG_VERSION")),
        taken_at_unix_ms: survey.taken_at_unix_ms,
        took_ms: survey.took_ms,
        language: survey.language,
        replaced: BoundedVec::new(),
    };
    let sections = vec![
        section(SectionName::System, &mut aliases, |aliases| {
            facts::system(&survey.system, aliases).map(|system| Section::System(Box::new(system)))
        }),
        section(SectionName::Disk, &mut aliases, |aliases| facts::disk(&survey.disk, aliases).map(Section::Disk)),
        section(SectionName::Memory, &mut aliases, |aliases| {
            facts::memory(&survey.memory, aliases).map(|memory| Section::Memory(Box::new(memory)))
        }),
        section(SectionName::Drivers, &mut aliases, |aliases| {
            facts::drivers(&survey.drivers, aliases).map(Section::Drivers)
        }),
        section(SectionName::Network, &mut aliases, |aliases| {
            facts::network(&survey.network, aliases).map(Section::Network)
        }),
    ];
    seal(Report { header, sections: BoundedVec::truncating(sections).0 }, aliases, rulebook)
}

/// Redacts one section, or withholds it.
fn section(
    name: SectionName,
    aliases: &mut Aliases,
    mask: impl FnOnce(&mut Aliases) -> Result<Section, CannotMask>,
) -> Section {
    aliases.enter(name);
    mask(aliases).unwrap_or(Section::Withheld(Withheld { section: name, reason: Withholding::RedactionFailed }))
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
        seal(report, self.aliases.clone(), Arc::clone(&self.rulebook))
    }

    /// Puts the real names back into text from the report, for the person at this machine.
    pub fn reveal(&self, text: &str) -> String {
        self.aliases.reveal(text)
    }

    /// How findings stand after this survey.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Adds findings, unless they were withheld, and the count of replacements, and encodes.
fn seal(mut report: Report, aliases: Aliases, rulebook: Arc<Rulebook>) -> Result<Redacted, RedactError> {
    let Judgement { findings, standing } = rulebook.judge(&report);
    if !report.sections.iter().any(|section| section.name() == SectionName::Findings) {
        // Six kinds of sections never fill the room for sixty-four.
        let _ = report.sections.push(Section::Findings(findings));
    }
    let sent = report.sections.iter().filter(|section| !matches!(section, Section::Withheld(_))).map(Section::name);
    report.header.replaced = BoundedVec::truncating(aliases.replaced(&sent.collect::<Vec<_>>())).0;
    let bytes = report.encode()?;
    let sha256 = Sha256::digest(&bytes).into();
    Ok(Redacted { bytes, sha256, aliases, rulebook, standing })
}

#[cfg(test)]
pub(crate) mod tests;
