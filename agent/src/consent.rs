//! The customer's answer: asked with the very bytes that would be sent, and written down.
//!
//! Only this module makes an [`Approved`], and a session's sender takes nothing else:
//!
//! ```compile_fail
//! let approved = belay_agent::consent::Approved { bytes: vec![], sha256: [0; 32], sections: vec![] };
//! ```

use belay_protocol::Language;
use belay_protocol::codec::DecodeError;
use belay_protocol::consent::Grant;
use belay_protocol::report::SectionName;

use crate::redact::Redacted;

pub mod contents;
pub mod ledger;
pub mod prompt;
pub mod sheet;

/// A report that the customer agreed to send.
#[derive(Clone, Debug)]
pub struct Approved {
    bytes: Vec<u8>,
    sha256: [u8; 32],
    sections: Vec<(SectionName, usize)>,
}

impl Approved {
    /// Agreement to exactly these bytes.
    fn new(redacted: Redacted) -> Result<Self, DecodeError> {
        let report = redacted.report()?;
        let sections = report.sections.iter().map(|section| (section.name(), section.encoded_bytes())).collect();
        Ok(Self { sha256: *redacted.sha256(), bytes: redacted.into_bytes(), sections })
    }

    /// The encoded report.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of [`Self::bytes`].
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The sections with their sizes in bytes.
    pub fn sections(&self) -> &[(SectionName, usize)] {
        &self.sections
    }
}

/// What a desk asks of the customer. Its strings come from a peer and are cleaned before they are shown.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the desk calls itself.
    pub desk: String,
    /// Whether that name has been proved.
    pub standing: DeskStanding,
    /// The technician, when the desk names one.
    pub technician: Option<String>,
    /// The ticket's number and title as people read them.
    pub ticket: String,
    /// The words that customer and technician compare on the phone.
    pub phrase: String,
    /// What the technician wants to do, and until when.
    pub grants: Vec<Grant>,
    /// The language of the person at the device.
    pub language: Language,
}

/// Whether a desk's name has been proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeskStanding {
    /// The web site of this domain holds the desk's organization key.
    Verified {
        /// The domain.
        domain: String,
    },
    /// Nobody vouches for the name; these words stand for the key itself.
    Unverified {
        /// The key's words.
        key_words: String,
    },
}

/// The customer's answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Agreed: this report, and these capabilities until their ends.
    Approved {
        /// The report to send.
        report: Approved,
        /// What was granted.
        grants: Vec<Grant>,
    },
    /// Not agreed, or nobody answered.
    Refused,
}
