//! The conversation that carries a session over its links: the first stream of every link, after `Hello` and `Welcome`.
//!
//! | dialling side | accepting side |
//! |---|---|
//! | [`Opening::Fresh`] | [`Answer::Fresh`] with the name under which the session can be resumed |
//! | [`Opening::Resume`] with a proof | [`Answer::Resumed`] with a proof, or [`Answer::Refused`] and the link is closed |
//! | [`Carried::Settled`] after a resume, then any | any but `Settled` |
//!
//! A proof is HMAC-SHA-256 under the resume secret of the last link, over who proves, the session's name and a value that
//! only the two ends of the *new* link can compute. So it is worth nothing on another link, and for nobody without the
//! old link's secret; whoever comes must prove the same key in the new link's handshake as well. After `Resumed` the
//! secret is that of the new link. The accepting side knows the old one for as long as it has not heard `Settled`, since
//! its answer may be lost with the link.
//!
//! Every channel is a stream of its own in both directions; each direction begins with a [`ChannelHeader`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bounded::BoundedVec;
use crate::channel::{ChannelId, Side};
use crate::limits::OPEN_CHANNELS_MAX;

/// Label under which the resume secret of a link is taken from its TLS exporter (RFC 8446, section 7.5).
pub const SECRET_LABEL: &[u8] = b"EXPORTER-belay-resume-secret";

/// Label of the value that ties a proof to the link it is made for.
pub const BINDING_LABEL: &[u8] = b"EXPORTER-belay-resume-binding";

/// Bytes of a resume secret, of a binding and of a proof: those of SHA-256.
pub const SECRET_BYTES: usize = 32;

/// The name under which a session can be resumed, drawn by the accepting side. It is no secret: alone it opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ResumeId(pub [u8; 16]);

/// Shows that its sender knows a link's resume secret. Compare it with [`hmac`](https://www.rfc-editor.org/rfc/rfc2104)
/// verification in constant time only; there is no `PartialEq` on purpose.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Proof(pub [u8; SECRET_BYTES]);

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(..)")
    }
}

/// The bytes that a proof of `side` is made over.
pub fn proved_bytes(side: Side, id: &ResumeId, binding: &[u8; SECRET_BYTES]) -> Vec<u8> {
    let role: &[u8] = match side {
        Side::Dialler => b"belay resume dialler\0",
        Side::Acceptor => b"belay resume acceptor\0",
    };
    [role, &id.0, binding].concat()
}

/// The first message of the dialling side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Opening {
    /// A new session.
    Fresh,
    /// The next link of a session.
    Resume(Resume),
}

/// Which session is to go on, and from where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resume {
    /// The session.
    pub id: ResumeId,
    /// Made under the secret of the last link for this one.
    pub proof: Proof,
    /// What the dialling side has.
    pub progress: Progress,
}

/// What one side has of the channels at the moment of a resume.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Channels of the other side that were ever seen: those with a smaller index that are not listed are over.
    pub accepted: u32,
    /// The open ones, of either side, each once.
    pub open: BoundedVec<Heard, OPEN_CHANNELS_MAX>,
}

/// How far one channel was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heard {
    /// The channel.
    pub channel: ChannelId,
    /// How far.
    pub until: Until,
}

/// Where the other side's half of a channel goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Until {
    /// Everything before this offset was received.
    Offset(u64),
    /// Nothing more is wanted: it was read to its end, or its reader has gone.
    Done,
}

/// The accepting side's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// A new session has begun.
    Fresh {
        /// Its name.
        id: ResumeId,
    },
    /// The session goes on.
    Resumed {
        /// The accepting side's own proof.
        proof: Proof,
        /// What it has.
        progress: Progress,
    },
    /// There is no such session for this device. Why is nobody's business.
    Refused,
}

/// From either side once a session is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Carried {
    /// The reader of a channel has everything before this offset.
    Received {
        /// The channel.
        channel: ChannelId,
        /// The offset.
        offset: u64,
    },
    /// Nothing more is wanted of a channel: it was read to its end, or its reader has gone.
    Done {
        /// The channel.
        channel: ChannelId,
    },
    /// The writer of a channel has gone without ending it.
    Reset {
        /// The channel.
        channel: ChannelId,
    },
    /// From the dialling side: the answer to a resume has arrived, and the old secret can be forgotten.
    Settled,
}

/// The first bytes of each direction of a channel's stream: the channel in four bytes and the offset of the first byte
/// that follows in eight, both big-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChannelHeader {
    /// The channel.
    pub channel: ChannelId,
    /// Offset of the first byte that follows.
    pub start: u64,
}

impl ChannelHeader {
    /// Bytes of a header.
    pub const LEN: usize = 12;

    /// Its bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.channel.0.to_be_bytes());
        bytes[4..].copy_from_slice(&self.start.to_be_bytes());
        bytes
    }

    /// Reads a header; every value is one.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Self {
        let [a, b, c, d, start @ ..] = *bytes;
        Self { channel: ChannelId(u32::from_be_bytes([a, b, c, d])), start: u64::from_be_bytes(start) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::codec;
    use crate::limits::FRAME_MAX_BYTES;

    fn golden<T: Serialize + DeserializeOwned + fmt::Debug>(value: &T, hex: &str) {
        let bytes = codec::encode(value, FRAME_MAX_BYTES).unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes), hex, "{value:?}");
        let again = codec::decode::<T>(&bytes, FRAME_MAX_BYTES).unwrap();
        assert_eq!(codec::encode(&again, FRAME_MAX_BYTES).unwrap(), bytes);
    }

    /// A line that changes here is a break with every agent in the field.
    #[test]
    fn released_messages_keep_their_bytes() {
        let (id, proof) = (ResumeId([0xab; 16]), Proof([0xcd; 32]));
        let (ab, cd) = ("ab".repeat(16), "cd".repeat(32));
        let heard = |channel, until| Heard { channel: ChannelId(channel), until };
        let open = vec![heard(1, Until::Offset(300)), heard(2, Until::Done)].try_into().unwrap();
        let progress = Progress { accepted: 3, open };
        let progressed = "03020100fb2c010201";
        golden(&Opening::Fresh, "00");
        golden(&Opening::Resume(Resume { id, proof, progress: progress.clone() }), &format!("01{ab}{cd}{progressed}"));
        golden(&Answer::Fresh { id }, &format!("00{ab}"));
        golden(&Answer::Resumed { proof, progress }, &format!("01{cd}{progressed}"));
        golden(&Answer::Refused, "02");
        let channel = ChannelId(7);
        golden(&Carried::Received { channel, offset: 300 }, "0007fb2c01");
        golden(&Carried::Done { channel }, "0107");
        golden(&Carried::Reset { channel }, "0207");
        golden(&Carried::Settled, "03");
        let header = ChannelHeader { channel, start: 0x0102_0304_0506_0708 };
        assert_eq!(header.encode(), [0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(ChannelHeader::decode(&header.encode()), header);
    }

    #[test]
    fn the_two_sides_prove_different_bytes_and_a_proof_is_not_shown() {
        let (id, binding) = (ResumeId([1; 16]), [2; 32]);
        assert_ne!(proved_bytes(Side::Dialler, &id, &binding), proved_bytes(Side::Acceptor, &id, &binding));
        assert_eq!(format!("{:?}", Proof([0xcd; 32])), "Proof(..)");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = codec::decode::<Opening>(&bytes, FRAME_MAX_BYTES);
            let _ = codec::decode::<Answer>(&bytes, FRAME_MAX_BYTES);
            let _ = codec::decode::<Carried>(&bytes, FRAME_MAX_BYTES);
        }
    }
}
