//! The first bytes on every stream that carries messages: hand-encoded and the same for ever, so that any two builds,
//! however far apart, can tell each other which versions they speak.
//!
//! | bytes | `Hello` | `Welcome` |
//! |---|---|---|
//! | 0..5 | `belay` | `belay` |
//! | 5 | 1 | 2 |
//! | 6 | number of versions, 1 to 32 | 0 agreed, 1 no common version |
//! | 7.. | versions, four bytes each, big-endian | the version agreed, or the newest the answerer speaks |
//! | then | room for later: two bytes of length, that many bytes, not interpreted | the same |
//!
//! Both travel in a frame of at most [`HELLO_MAX_BYTES`](crate::limits::HELLO_MAX_BYTES).

use crate::limits::MAX_VERSIONS;
use crate::version::{SUPPORTED, Version};

const MAGIC: &[u8; 5] = b"belay";
const KIND_HELLO: u8 = 1;
const KIND_WELCOME: u8 = 2;
const AGREED: u8 = 0;
const NO_COMMON_VERSION: u8 = 1;

/// The bytes are not a `Hello` or not a `Welcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side does not speak Belay")]
pub struct NotBelay;

/// What the side that opened the stream offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// At least one and at most [`MAX_VERSIONS`] versions; more are left out when encoding.
    pub versions: Vec<Version>,
}

impl Hello {
    /// The offer of this build.
    pub fn ours() -> Self {
        Self { versions: SUPPORTED.to_vec() }
    }

    /// The bytes of the offer, without the frame's length.
    pub fn encode(&self) -> Vec<u8> {
        let versions = &self.versions[..self.versions.len().min(MAX_VERSIONS)];
        let mut bytes = MAGIC.to_vec();
        bytes.push(KIND_HELLO);
        bytes.push(versions.len() as u8);
        for version in versions {
            bytes.extend_from_slice(&version.0.to_be_bytes());
        }
        bytes.extend_from_slice(&[0, 0]);
        bytes
    }

    /// Reads an offer; bytes that later versions may add at the end are skipped.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotBelay> {
        let rest = after_magic(bytes, KIND_HELLO)?;
        let (&count, rest) = rest.split_first().ok_or(NotBelay)?;
        let count = usize::from(count);
        if count == 0 || count > MAX_VERSIONS {
            return Err(NotBelay);
        }
        let (versions, rest) = rest.split_at_checked(4 * count).ok_or(NotBelay)?;
        skip_later(rest)?;
        let versions =
            versions.as_chunks::<4>().0.iter().map(|version| Version(u32::from_be_bytes(*version))).collect();
        Ok(Self { versions })
    }
}

/// The answer to a `Hello`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Welcome {
    /// Everything that follows on the connection is in this version.
    Agreed(Version),
    /// No version is common; nothing follows. Carries the newest version that the answerer speaks.
    NoCommonVersion(Version),
}

impl Welcome {
    /// Answers an offer.
    pub fn to(hello: &Hello) -> Self {
        Version::agree(&hello.versions).map_or(Self::NoCommonVersion(SUPPORTED[0]), Self::Agreed)
    }

    /// The bytes of the answer, without the frame's length.
    pub fn encode(&self) -> Vec<u8> {
        let (status, version) = match self {
            Self::Agreed(version) => (AGREED, version),
            Self::NoCommonVersion(newest) => (NO_COMMON_VERSION, newest),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.push(KIND_WELCOME);
        bytes.push(status);
        bytes.extend_from_slice(&version.0.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes
    }

    /// Reads an answer; bytes that later versions may add at the end are skipped.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotBelay> {
        let rest = after_magic(bytes, KIND_WELCOME)?;
        let (&status, rest) = rest.split_first().ok_or(NotBelay)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(NotBelay)?;
        skip_later(rest)?;
        let version = Version(u32::from_be_bytes(*version));
        match status {
            AGREED => Ok(Self::Agreed(version)),
            NO_COMMON_VERSION => Ok(Self::NoCommonVersion(version)),
            _ => Err(NotBelay),
        }
    }
}

fn after_magic(bytes: &[u8], kind: u8) -> Result<&[u8], NotBelay> {
    bytes.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&[kind])).ok_or(NotBelay)
}

fn skip_later(rest: &[u8]) -> Result<(), NotBelay> {
    let (length, later) = rest.split_first_chunk::<2>().ok_or(NotBelay)?;
    if later.len() == usize::from(u16::from_be_bytes(*length)) { Ok(()) } else { Err(NotBelay) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_of_hello_are_golden() {
        let hello = Hello { versions: vec![Version(20_261_122), Version(20_260_101)] };
        let golden = *b"belay\x01\x02\x01\x35\x29\x02\x01\x35\x25\x05\x00\x00";
        assert_eq!(hello.encode(), golden);
        assert_eq!(Hello::decode(&golden), Ok(hello));
    }

    #[test]
    fn the_bytes_of_welcome_are_golden() {
        for (welcome, golden) in [
            (Welcome::Agreed(Version(20_261_122)), *b"belay\x02\x00\x01\x35\x29\x02\x00\x00"),
            (Welcome::NoCommonVersion(Version(20_261_122)), *b"belay\x02\x01\x01\x35\x29\x02\x00\x00"),
        ] {
            assert_eq!(welcome.encode(), golden);
            assert_eq!(Welcome::decode(&golden), Ok(welcome));
        }
    }

    #[test]
    fn later_additions_are_skipped_and_garbage_is_refused() {
        assert!(Hello::decode(b"belay\x01\x01\x01\x35\x29\x02\x00\x03abc").is_ok());
        for bytes in [
            b"".as_slice(),
            b"belay",
            b"belay\x01\x00\x00\x00",
            b"belay\x01\x21",
            b"belay\x01\x01\x01\x35\x29\x02",
            b"belay\x01\x01\x01\x35\x29\x02\x00\x03ab",
            b"belay\x01\x01\x01\x35\x29\x02\x00\x00x",
            b"HTTP/1.1 400 Bad Request",
        ] {
            assert_eq!(Hello::decode(bytes), Err(NotBelay), "{bytes:?}");
        }
        assert_eq!(Welcome::decode(b"belay\x02\x02\x01\x35\x29\x02\x00\x00"), Err(NotBelay));
    }

    #[test]
    fn an_unknown_version_is_answered_with_the_newest_known() {
        let hello = Hello { versions: vec![Version(1)] };
        assert_eq!(Welcome::to(&hello), Welcome::NoCommonVersion(SUPPORTED[0]));
        assert_eq!(Welcome::to(&Hello::ours()), Welcome::Agreed(SUPPORTED[0]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Hello::decode(&bytes);
            let _ = Welcome::decode(&bytes);
        }
    }
}
