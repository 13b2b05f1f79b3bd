//! The resume secret of a link, and proofs made with it.

use std::fmt;

use aws_lc_rs::hmac;
use belay_protocol::channel::Side;
use belay_protocol::resume::{BINDING_LABEL, Proof, ResumeId, SECRET_BYTES, SECRET_LABEL, proved_bytes};
use zeroize::Zeroizing;

use crate::client::Link;

/// What only the two ends of one link know. It shows nothing of itself and is wiped when it is dropped.
#[derive(Clone)]
pub(super) struct ResumeSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl ResumeSecret {
    pub(super) fn of(link: &Link) -> Self {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        link.export(SECRET_LABEL, &mut *secret);
        Self(secret)
    }

    /// Proves, for use on `link` alone, that this side knows the secret of an earlier link.
    pub(super) fn prove(&self, side: Side, id: &ResumeId, link: &Link) -> Proof {
        let tag = hmac::sign(&self.key(), &proved_bytes(side, id, &binding(link)));
        Proof(tag.as_ref().try_into().expect("a tag of HMAC-SHA-256 has 32 bytes"))
    }

    /// Checks, in constant time, what `side` has proved on `link`.
    pub(super) fn verifies(&self, proof: &Proof, side: Side, id: &ResumeId, link: &Link) -> bool {
        hmac::verify(&self.key(), &proved_bytes(side, id, &binding(link)), &proof.0).is_ok()
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &*self.0)
    }
}

impl fmt::Debug for ResumeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeSecret(..)")
    }
}

fn binding(link: &Link) -> [u8; SECRET_BYTES] {
    let mut binding = [0; SECRET_BYTES];
    link.export(BINDING_LABEL, &mut binding);
    binding
}
