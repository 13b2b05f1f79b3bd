//! A report in a file, for a machine without a network: written by the agent, carried by somebody, imported at the desk.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | [`MAGIC`] |
//! | 32 | the device's public key |
//! | 64 | Ed25519 over [`signed_bytes`] by that key |
//! | the rest | the encoded report |
//!
//! The signature says that the device made the report and that no byte of it was lost or changed on the way. It does not
//! say when the file arrives, nor that it arrives once.

use crate::delegation::Signature;
use crate::id::DeviceKey;
use crate::lang::Phrase;
use crate::limits::REPORT_MAX_BYTES;

/// The first bytes of every such file, with the version of its layout.
pub const MAGIC: &[u8; 16] = b"belay report 1\r\n";

const HEAD_BYTES: usize = MAGIC.len() + 32 + 64;

/// Bytes of the largest such file.
pub const SAVED_MAX_BYTES: usize = HEAD_BYTES + REPORT_MAX_BYTES;

/// A report that was read from a file. Who made it is claimed until the signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedReport {
    /// The device that it says it is from.
    pub device: DeviceKey,
    /// Its signature over [`signed_bytes`].
    pub signature: Signature,
    /// The encoded report, not yet decoded.
    pub report: Vec<u8>,
}

/// Why a file is not a saved report. Its bearer's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.phrase().en)]
pub enum NotSaved {
    /// It begins otherwise.
    Foreign,
    /// It is a report of a later agent.
    Newer,
    /// Its line ends were changed on the way.
    AsText,
    /// It ends too early.
    CutOff,
    /// It is too long.
    TooLarge,
}

impl NotSaved {
    /// The reason as people read it.
    pub const fn phrase(self) -> Phrase {
        match self {
            Self::Foreign => Phrase {
                en: "it is not a report that `belay-agent survey --save` has written",
                zh: "不是由 `belay-agent survey --save` 写入的报告",
            },
            Self::Newer => Phrase {
                en: "it was saved by a newer agent than this program knows: update it",
                zh: "由更新版本的代理保存：请更新本程序",
            },
            Self::AsText => Phrase {
                en: "it was copied as text, which damages it: copy it as a binary file",
                zh: "曾被当作文本复制，因而损坏：请以二进制方式重新复制",
            },
            Self::CutOff => Phrase { en: "it was cut off: copy it again", zh: "不完整：请重新复制" },
            Self::TooLarge => Phrase { en: "it is longer than a report can be", zh: "超过了报告可能的长度" },
        }
    }
}

/// The bytes that a device signs: a constant that belongs to saved reports alone, and the SHA-256 of the report.
pub fn signed_bytes(report_sha256: &[u8; 32]) -> Vec<u8> {
    let mut bytes = b"belay saved report 1\0".to_vec();
    bytes.extend_from_slice(report_sha256);
    bytes
}

impl SavedReport {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        [&MAGIC[..], &self.device.0, &self.signature.to_bytes(), &self.report].concat()
    }

    /// Takes a file apart.
    pub fn decode(file: &[u8]) -> Result<Self, NotSaved> {
        if file.len() > SAVED_MAX_BYTES {
            return Err(NotSaved::TooLarge);
        }
        let Some((magic, rest)) = file.split_first_chunk::<{ MAGIC.len() }>() else {
            return Err(if MAGIC.starts_with(file) && !file.is_empty() { NotSaved::CutOff } else { NotSaved::Foreign });
        };
        if magic != MAGIC {
            let (name, line_end) = (&MAGIC[..MAGIC.len() - 3], &MAGIC[MAGIC.len() - 2..]);
            return Err(match (magic.starts_with(name), magic.ends_with(line_end)) {
                (false, _) => NotSaved::Foreign,
                (true, false) => NotSaved::AsText,
                (true, true) => NotSaved::Newer,
            });
        }
        let (device, rest) = rest.split_first_chunk().ok_or(NotSaved::CutOff)?;
        let (signature, report) = rest.split_first_chunk().ok_or(NotSaved::CutOff)?;
        if report.is_empty() {
            return Err(NotSaved::CutOff);
        }
        let (device, signature) = (DeviceKey(*device), Signature::from_bytes(signature));
        Ok(Self { device, signature, report: report.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> SavedReport {
        SavedReport {
            device: DeviceKey([1; 32]),
            signature: Signature::from_bytes(&[2; 64]),
            report: b"the report".to_vec(),
        }
    }

    #[test]
    fn a_file_reads_back_and_says_what_is_wrong_with_it() {
        let file = saved().encode();
        assert_eq!(SavedReport::decode(&file), Ok(saved()));
        for end in 1..=HEAD_BYTES {
            assert_eq!(SavedReport::decode(&file[..end]), Err(NotSaved::CutOff), "{end}");
        }
        assert_eq!(SavedReport::decode(b""), Err(NotSaved::Foreign));
        assert_eq!(SavedReport::decode(b"%PDF-1.7 and so on"), Err(NotSaved::Foreign));
        let newer = [b"belay report 2\r\n", &file[MAGIC.len()..]].concat();
        assert_eq!(SavedReport::decode(&newer), Err(NotSaved::Newer));
        // What a transfer as text makes of it.
        let as_text = String::from_utf8_lossy(&file).replace("\r\n", "\n");
        assert_eq!(SavedReport::decode(as_text.as_bytes()), Err(NotSaved::AsText));
        let longest = [&file[..HEAD_BYTES], &vec![0; REPORT_MAX_BYTES]].concat();
        assert!(SavedReport::decode(&longest).is_ok());
        assert_eq!(SavedReport::decode(&[longest, vec![0]].concat()), Err(NotSaved::TooLarge));
    }
}
