//! The organization's word for a rule pack: who signed it, for whom, and how it is offered.

use serde::{Deserialize, Serialize};

use crate::bounded::Name;
use crate::delegation::Signature;
use crate::id::{OrganizationKey, RulesKey};

/// Which rules: a pack's name and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackId {
    /// The pack's name.
    pub id: Name,
    /// Its version; a higher one replaces a lower one.
    pub version: u32,
}

/// Says that `signer` may sign rule packs for `organization` until `not_after_unix_ms`, signed with the organization key.
/// It lets nobody speak for the organization, so that rules can be signed away from the console.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RulesDelegation {
    /// Who delegates.
    pub organization: OrganizationKey,
    /// To whom.
    pub signer: RulesKey,
    /// End of the delegation, in milliseconds since 1970. What was accepted before stays in use.
    pub not_after_unix_ms: i64,
    /// Ed25519 over [`RulesDelegation::signed_bytes`].
    pub signature: Signature,
}

impl RulesDelegation {
    /// The bytes that the signature covers: a constant that belongs to these delegations alone, then the fields at fixed
    /// width.
    pub fn signed_bytes(organization: &OrganizationKey, signer: &RulesKey, not_after_unix_ms: i64) -> Vec<u8> {
        let mut bytes = b"belay rules delegation 1\0".to_vec();
        bytes.extend_from_slice(&organization.0);
        bytes.extend_from_slice(&signer.0);
        bytes.extend_from_slice(&not_after_unix_ms.to_be_bytes());
        bytes
    }
}

/// Stands beside a pack and says that it is the organization's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PackProof {
    /// The organization's word for the key that signed.
    pub delegation: RulesDelegation,
    /// Ed25519 over [`PackProof::signed_bytes`] with that key.
    pub signature: Signature,
}

impl PackProof {
    /// The bytes that the signature covers: a constant that belongs to packs alone, the organization, and the SHA-256 of
    /// the pack's file, in which its name and version stand.
    pub fn signed_bytes(organization: &OrganizationKey, text_sha256: &[u8; 32]) -> Vec<u8> {
        let mut bytes = b"belay rule pack 1\0".to_vec();
        bytes.extend_from_slice(&organization.0);
        bytes.extend_from_slice(text_sha256);
        bytes
    }
}

/// A pack that a console offers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PackOffer {
    /// Which one.
    pub pack: PackId,
    /// Size of its file.
    pub size_bytes: u32,
    /// SHA-256 of its file.
    pub sha256: [u8; 32],
    /// The organization's word for it.
    pub proof: PackProof,
}
