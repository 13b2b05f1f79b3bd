//! The organization key's word that a console speaks for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ConsoleKey, OrganizationKey};

/// An Ed25519 signature (RFC 8032), in its two halves because that is what serde's arrays carry.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    r: [u8; 32],
    s: [u8; 32],
}

impl Signature {
    /// Takes the 64 bytes of a signature.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        Self { r, s }
    }

    /// The 64 bytes of the signature.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..].copy_from_slice(&self.s);
        bytes
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(...)")
    }
}

/// Says that `console` may speak for `organization` until `not_after_unix_ms`, signed with the organization key, which
/// can stay off line in between.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delegation {
    /// Who delegates.
    pub organization: OrganizationKey,
    /// To whom.
    pub console: ConsoleKey,
    /// End of the delegation, in milliseconds since 1970; at most
    /// [`DELEGATION_MAX_DAYS`](crate::limits::DELEGATION_MAX_DAYS) after it was made.
    pub not_after_unix_ms: i64,
    /// Ed25519 over [`Delegation::signed_bytes`].
    pub signature: Signature,
}

impl Delegation {
    /// The bytes that the signature covers: a constant that belongs to delegations alone, then the fields at fixed width.
    pub fn signed_bytes(organization: &OrganizationKey, console: &ConsoleKey, not_after_unix_ms: i64) -> Vec<u8> {
        let mut bytes = b"belay delegation 1\0".to_vec();
        bytes.extend_from_slice(&organization.0);
        bytes.extend_from_slice(&console.0);
        bytes.extend_from_slice(&not_after_unix_ms.to_be_bytes());
        bytes
    }
}
