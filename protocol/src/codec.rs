//! The one file that names bincode: values to bytes and back, with every trap of the format closed.
//!
//! bincode 2 by itself accepts bytes after the value, ignores its size limit when it encodes, and counts the limit in
//! decoded widths rather than in bytes of the wire. Here the size is checked on both sides in bytes of the wire, and
//! bytes that are left over are an error. Counts inside are bounded by [`crate::BoundedVec`] and [`crate::Text`]; wire
//! types are never recursive and never zero-sized.

use bincode::config::{Configuration, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a value did not become bytes.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The encoded value is larger than the channel carries. Ours to prevent.
    #[error("the message is {actual_bytes} bytes long and at most {max_bytes} are allowed")]
    TooLarge {
        /// The limit that was given.
        max_bytes: usize,
        /// The size of the encoded value.
        actual_bytes: usize,
    },
    /// The value cannot be written in this format. A bug in a wire type.
    #[error("the message cannot be encoded: {0}")]
    Unencodable(String),
}

/// Why bytes did not become a value. Always the peer's doing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than the channel carries; nothing was decoded.
    #[error("the message is {actual_bytes} bytes long and at most {max_bytes} are allowed")]
    TooLarge {
        /// The limit that was given.
        max_bytes: usize,
        /// The size that arrived.
        actual_bytes: usize,
    },
    /// The bytes are not a value of the expected type.
    #[error("the message is malformed: {0}")]
    Malformed(String),
    /// A value was decoded and bytes were left over.
    #[error("the message has {0} bytes after its end")]
    TrailingBytes(usize),
}

/// Encodes `value` in at most `max_bytes` bytes.
pub fn encode<T: Serialize>(value: &T, max_bytes: usize) -> Result<Vec<u8>, EncodeError> {
    let bytes = bincode::serde::encode_to_vec(value, config()).map_err(|e| EncodeError::Unencodable(e.to_string()))?;
    if bytes.len() > max_bytes {
        return Err(EncodeError::TooLarge { max_bytes, actual_bytes: bytes.len() });
    }
    Ok(bytes)
}

/// Decodes exactly one value from at most `max_bytes` bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], max_bytes: usize) -> Result<T, DecodeError> {
    if bytes.len() > max_bytes {
        return Err(DecodeError::TooLarge { max_bytes, actual_bytes: bytes.len() });
    }
    let (value, read) = bincode::serde::decode_from_slice(bytes, config().with_limit::<DECODED_MAX_BYTES>())
        .map_err(|e| DecodeError::Malformed(e.to_string()))?;
    if read != bytes.len() {
        return Err(DecodeError::TrailingBytes(bytes.len() - read));
    }
    Ok(value)
}

fn config() -> Configuration<LittleEndian, Varint> {
    bincode::config::standard()
}

/// Decoded widths that one value may claim. A varint of one byte decodes to eight, so that this is eight times the
/// largest message.
const DECODED_MAX_BYTES: usize = 8 * crate::limits::REPORT_MAX_BYTES;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{BoundedVec, Text};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: Text<8>,
        values: BoundedVec<u64, 3>,
    }

    fn sample() -> Sample {
        Sample { name: Text::truncating("eth0"), values: vec![1, 70_000, 3].try_into().unwrap() }
    }

    #[test]
    fn a_value_comes_back() {
        let bytes = encode(&sample(), 64).unwrap();
        assert_eq!(decode::<Sample>(&bytes, 64).unwrap(), sample());
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&sample(), 64).unwrap();
        bytes.push(0);
        assert_eq!(decode::<Sample>(&bytes, 64), Err(DecodeError::TrailingBytes(1)));
    }

    #[test]
    fn the_size_is_checked_when_encoding_and_when_decoding() {
        let bytes = encode(&sample(), 64).unwrap();
        assert!(encode(&sample(), bytes.len()).is_ok());
        assert!(matches!(encode(&sample(), bytes.len() - 1), Err(EncodeError::TooLarge { .. })));
        assert!(matches!(decode::<Sample>(&bytes, bytes.len() - 1), Err(DecodeError::TooLarge { .. })));
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = encode(&sample(), 64).unwrap();
        for end in 0..bytes.len() {
            assert!(matches!(decode::<Sample>(&bytes[..end], 64), Err(DecodeError::Malformed(_))), "cut at {end}");
        }
    }

    #[test]
    fn a_count_over_the_bound_is_refused_before_it_is_allocated() {
        // The varint 253 announces a u64: two thousand million million items in nine bytes.
        let mut bytes = vec![0u8, 253];
        bytes.extend_from_slice(&(1u64 << 51).to_le_bytes());
        assert!(matches!(decode::<Sample>(&bytes, 64), Err(DecodeError::Malformed(_))));
        let four: Vec<u64> = vec![1, 2, 3, 4];
        let bytes = encode(&("", &four), 64).unwrap();
        assert!(matches!(decode::<Sample>(&bytes, 64), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn one_byte_integers_do_not_bite_the_limit() {
        let many: BoundedVec<u64, 65_000> = vec![1u64; 65_000].try_into().unwrap();
        let bytes = encode(&many, crate::limits::FRAME_MAX_BYTES).unwrap();
        assert_eq!(decode::<BoundedVec<u64, 65_000>>(&bytes, crate::limits::FRAME_MAX_BYTES).unwrap(), many);
    }

    #[test]
    fn invalid_utf8_is_refused() {
        assert!(matches!(decode::<Text<8>>(&[2, 0xff, 0xfe], 64), Err(DecodeError::Malformed(_))));
    }
}
