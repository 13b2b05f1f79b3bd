//! Taking a signed pack into use, and every reason not to.

use sha2::{Digest, Sha256};

use super::{PACK_MAX_BYTES, Pack, PackError};
use crate::delegation::Signature;
use crate::id::OrganizationKey;
use crate::lang::{Language, Phrase};
use crate::signed_pack::{PackId, PackOffer, PackProof, RulesDelegation};

/// Checks an Ed25519 signature: public key, message, signature. Signatures are no business of this crate.
pub type Verify = fn(&[u8; 32], &[u8], &Signature) -> bool;

/// Why a pack is not used. The one in use stays.
#[derive(Debug, thiserror::Error)]
pub enum PackRefusal {
    /// It is another pack than the one it would replace.
    #[error("it is another pack")]
    OtherPack,
    /// Its version is not higher than the one in use.
    #[error("its version is not higher than {}", .in_use)]
    NotNewer {
        /// The version in use.
        in_use: u32,
    },
    /// It is larger than [`PACK_MAX_BYTES`].
    #[error("it is larger than {PACK_MAX_BYTES} bytes")]
    TooLarge,
    /// It is signed for another organization, by a key that the organization did not name, or not properly at all.
    #[error("it is not signed by this organization")]
    NotSigned,
    /// The organization's word for the key that signed has ended.
    #[error("the signer's delegation has expired")]
    Expired,
    /// The bytes are not the ones that were offered.
    #[error("it is not the pack that was offered")]
    OtherBytes,
    /// It is not a pack.
    #[error(transparent)]
    Unusable(#[from] PackError),
    /// Rows of its own do not hold.
    #[error("{mistakes} of its own test rows do not hold, the first: {first}")]
    RowsFail {
        /// How many.
        mistakes: usize,
        /// The first of them.
        first: String,
    },
}

impl PackRefusal {
    /// The reason as people read it, after a colon.
    pub const fn phrase(&self) -> Phrase {
        match self {
            Self::OtherPack => Phrase { en: "they are other rules", zh: "并非同一规则包" },
            Self::NotNewer { .. } => Phrase { en: "they are not newer", zh: "版本不高于现用版本" },
            Self::TooLarge => Phrase { en: "they are too large", zh: "规则包过大" },
            Self::NotSigned => Phrase { en: "they are not signed by this organization", zh: "未经该组织签名" },
            Self::Expired => Phrase { en: "the right to sign them has ended", zh: "签名授权已过期" },
            Self::OtherBytes => {
                Phrase { en: "what arrived is not what was offered", zh: "收到的内容与所提供的不符" }
            }
            Self::Unusable(_) => Phrase { en: "they cannot be read", zh: "规则包无法读取" },
            Self::RowsFail { .. } => Phrase { en: "they fail their own tests", zh: "未通过自带测试" },
        }
    }

    /// The reason in `language`, with what the phrase leaves out in brackets.
    pub fn sentence(&self, language: Language) -> String {
        let in_brackets = Phrase { en: "{why} ({detail})", zh: "{why}（{detail}）" };
        in_brackets.fill(language, &[("why", self.phrase().text(language)), ("detail", &self.to_string())])
    }
}

/// Checks what can be checked before the bytes of an offered pack are asked for.
pub fn check_offer(
    offer: &PackOffer,
    organization: &OrganizationKey,
    in_use: &PackId,
    now_unix_ms: i64,
    verify: Verify,
) -> Result<(), PackRefusal> {
    check_successor(&offer.pack, in_use)?;
    if usize::try_from(offer.size_bytes).is_ok_and(|size| size > PACK_MAX_BYTES) {
        return Err(PackRefusal::TooLarge);
    }
    check_proof(&offer.proof, organization, &offer.sha256, Some(now_unix_ms), verify)
}

/// Checks an offered pack whose bytes have arrived, and makes it ready for use.
pub fn accept(
    offer: &PackOffer,
    bytes: &[u8],
    organization: &OrganizationKey,
    in_use: &PackId,
    now_unix_ms: i64,
    verify: Verify,
) -> Result<Pack, PackRefusal> {
    check_offer(offer, organization, in_use, now_unix_ms, verify)?;
    let pack = open(offer, bytes, organization, Some(now_unix_ms), verify)?;
    let mistakes = pack.run_tests();
    match mistakes.first() {
        Some(first) => Err(PackRefusal::RowsFail { mistakes: mistakes.len(), first: first.to_string() }),
        None => Ok(pack),
    }
}

/// Reads a pack that was accepted before: its bytes and its signature are checked again, its rows and the end of the
/// signer's delegation are not.
pub fn reopen(
    offer: &PackOffer,
    bytes: &[u8],
    organization: &OrganizationKey,
    verify: Verify,
) -> Result<Pack, PackRefusal> {
    open(offer, bytes, organization, None, verify)
}

fn open(
    offer: &PackOffer,
    bytes: &[u8],
    organization: &OrganizationKey,
    now_unix_ms: Option<i64>,
    verify: Verify,
) -> Result<Pack, PackRefusal> {
    if bytes.len() > PACK_MAX_BYTES {
        return Err(PackRefusal::TooLarge);
    }
    let sha256: [u8; 32] = Sha256::digest(bytes).into();
    if sha256 != offer.sha256 || usize::try_from(offer.size_bytes).ok() != Some(bytes.len()) {
        return Err(PackRefusal::OtherBytes);
    }
    check_proof(&offer.proof, organization, &sha256, now_unix_ms, verify)?;
    let text = str::from_utf8(bytes).map_err(|_| PackRefusal::OtherBytes)?;
    let pack = Pack::parse_of_any_version(text)?;
    if pack.pack_id() != offer.pack {
        return Err(PackRefusal::OtherBytes);
    }
    Ok(pack)
}

fn check_successor(pack: &PackId, in_use: &PackId) -> Result<(), PackRefusal> {
    if pack.id != in_use.id {
        return Err(PackRefusal::OtherPack);
    }
    if pack.version <= in_use.version {
        return Err(PackRefusal::NotNewer { in_use: in_use.version });
    }
    Ok(())
}

fn check_proof(
    proof: &PackProof,
    organization: &OrganizationKey,
    sha256: &[u8; 32],
    now_unix_ms: Option<i64>,
    verify: Verify,
) -> Result<(), PackRefusal> {
    let delegation = &proof.delegation;
    let signed = RulesDelegation::signed_bytes(organization, &delegation.signer, delegation.not_after_unix_ms);
    if delegation.organization != *organization || !verify(&organization.0, &signed, &delegation.signature) {
        return Err(PackRefusal::NotSigned);
    }
    if !verify(&delegation.signer.0, &PackProof::signed_bytes(organization, sha256), &proof.signature) {
        return Err(PackRefusal::NotSigned);
    }
    if now_unix_ms.is_some_and(|now| now >= delegation.not_after_unix_ms) {
        return Err(PackRefusal::Expired);
    }
    Ok(())
}
