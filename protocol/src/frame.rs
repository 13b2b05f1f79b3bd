//! Frames: a length of four bytes, big-endian, and that many bytes of payload.
//!
//! A stream of QUIC has no message boundaries. The length is checked before anything is allocated, so that a peer which
//! announces 4 GiB costs nothing.

/// Bytes of the length before each payload.
pub const PREFIX_BYTES: usize = 4;

/// Why a frame was refused. Always the peer's doing, except when writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced length is over the limit of the channel.
    #[error("a frame of {announced_bytes} bytes was announced and at most {max_bytes} are allowed")]
    TooLarge {
        /// The limit of the channel.
        max_bytes: usize,
        /// What the prefix says.
        announced_bytes: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    CutOff,
}

/// Reads the length from a frame's prefix and checks it against the limit of the channel.
pub fn length(prefix: [u8; PREFIX_BYTES], max_bytes: usize) -> Result<usize, FrameError> {
    let announced_bytes = u32::from_be_bytes(prefix) as usize;
    if announced_bytes > max_bytes {
        return Err(FrameError::TooLarge { max_bytes, announced_bytes });
    }
    Ok(announced_bytes)
}

/// Puts the length before `payload`.
pub fn wrap(payload: &[u8], max_bytes: usize) -> Result<Vec<u8>, FrameError> {
    let announced_bytes = payload.len();
    match u32::try_from(announced_bytes) {
        Ok(length) if announced_bytes <= max_bytes => {
            let mut frame = Vec::with_capacity(PREFIX_BYTES + announced_bytes);
            frame.extend_from_slice(&length.to_be_bytes());
            frame.extend_from_slice(payload);
            Ok(frame)
        }
        _ => Err(FrameError::TooLarge { max_bytes, announced_bytes }),
    }
}

/// Cuts a stream that arrives in arbitrary pieces into frames.
///
/// It buffers at most one frame and what came with it in the same piece; callers take every finished frame with
/// [`Splitter::next_frame`] before they push more.
#[derive(Debug)]
pub struct Splitter {
    buffer: Vec<u8>,
    max_bytes: usize,
}

impl Splitter {
    /// A splitter for a channel whose frames have at most `max_bytes` bytes of payload.
    pub const fn new(max_bytes: usize) -> Self {
        Self { buffer: Vec::new(), max_bytes }
    }

    /// Changes the limit for the frames that follow.
    pub const fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Whether nothing waits: the stream may end here.
    pub const fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole payload, `None` if it has not arrived yet. After an error the stream cannot be read further.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let end = PREFIX_BYTES + length(*prefix, self.max_bytes)?;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let rest = self.buffer.split_off(end);
        let mut frame = std::mem::replace(&mut self.buffer, rest);
        frame.drain(..PREFIX_BYTES);
        Ok(Some(frame))
    }

    /// Says whether the stream may end here.
    pub fn finish(self) -> Result<(), FrameError> {
        if self.is_empty() { Ok(()) } else { Err(FrameError::CutOff) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_of_4_gib_is_refused_at_its_prefix() {
        let refused = FrameError::TooLarge { max_bytes: 1024, announced_bytes: u32::MAX as usize };
        assert_eq!(length([0xff; 4], 1024), Err(refused));
        let mut splitter = Splitter::new(1024);
        splitter.push(&[0xff; 4]);
        assert_eq!(splitter.next_frame(), Err(refused));
    }

    #[test]
    fn both_sides_of_the_limit() {
        assert!(wrap(&[0; 8], 8).is_ok());
        assert!(wrap(&[0; 9], 8).is_err());
        assert_eq!(length([0, 0, 0, 8], 8), Ok(8));
        assert!(length([0, 0, 0, 9], 8).is_err());
    }

    #[test]
    fn an_end_inside_a_frame_is_noticed() {
        for cut in 1..6 {
            let mut splitter = Splitter::new(64);
            splitter.push(&wrap(&[1, 2], 64).unwrap()[..cut]);
            assert_eq!(splitter.next_frame().unwrap().is_some(), cut == 6, "cut at {cut}");
            assert_eq!(splitter.finish(), Err(FrameError::CutOff), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
            piece_bytes in 1usize..40,
        ) {
            let stream: Vec<u8> = payloads.iter().flat_map(|p| wrap(p, 64).unwrap()).collect();
            let mut splitter = Splitter::new(64);
            let mut read = Vec::new();
            for piece in stream.chunks(piece_bytes) {
                splitter.push(piece);
                while let Some(frame) = splitter.next_frame().unwrap() {
                    read.push(frame);
                }
            }
            prop_assert_eq!(read, payloads);
            prop_assert!(splitter.finish().is_ok());
        }
    }
}
