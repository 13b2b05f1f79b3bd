//! Datagrams inside a stream, for networks that let no UDP through: what both ends of a tunnel share.
//!
//! A tunnel is TLS 1.3 over TCP, and in it datagrams, each behind its length in two bytes, big-endian. TLS is there to
//! pass where only HTTPS passes; it proves nothing, and nothing relies on it: inside travel the same QUIC packets as
//! over UDP, by which the relay's key is proved.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Bytes of the largest datagram that a tunnel carries: QUIC's discovery of path MTU stops below.
pub(crate) const DATAGRAM_MAX_BYTES: usize = 1_500;

/// Bytes of the length before each datagram.
const LENGTH_BYTES: usize = 2;

/// Time in which a peer must read something of what waits for it.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// Bytes read at once: one TLS record. A tunnel through which little comes is content with less.
const READ_BYTES: usize = 16 * 1024;
const READ_LEAST_BYTES: usize = 2 * 1024;

/// Bytes by which a queue's memory grows. The first step of each buffer is its own.
const STEP_BYTES: usize = 8 * 1024;

/// Memory that many queues have in common beyond the little that each is sure of: readers that do not read cost this
/// much in all, however many they are.
#[derive(Debug)]
pub(crate) struct SharedRoom {
    left_bytes: AtomicUsize,
}

impl SharedRoom {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left_bytes: AtomicUsize::new(bytes) })
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Frames on their way into a tunnel. A full queue drops what comes: QUIC repairs it, and a slow reader costs no more
/// than the queue's bound.
#[derive(Debug)]
pub(crate) struct FrameQueue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    shared: Arc<SharedRoom>,
}

#[derive(Debug)]
struct Waiting {
    frames: Vec<u8>,
    bytes_max: usize,
    /// Bytes of memory from the shared room, of these frames and of those that are being written.
    borrowed: usize,
}

impl Waiting {
    /// Makes room for `bytes` more, if the shared room has it.
    fn make_room(&mut self, bytes: usize, shared: &SharedRoom) -> bool {
        let (wanted, had) = (self.frames.len() + bytes, self.frames.capacity());
        if wanted <= had {
            return true;
        }
        let capacity = wanted.next_multiple_of(STEP_BYTES);
        let borrowed = capacity - had.max(STEP_BYTES);
        if !shared.take(borrowed) {
            return false;
        }
        self.borrowed += borrowed;
        self.frames.reserve_exact(capacity - self.frames.len());
        true
    }
}

impl FrameQueue {
    /// A queue of its own.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self::within(bytes_max, SharedRoom::new(usize::MAX))
    }

    /// One of many queues.
    pub(crate) fn within(bytes_max: usize, shared: Arc<SharedRoom>) -> Self {
        let waiting = Waiting { frames: Vec::new(), bytes_max, borrowed: 0 };
        Self { waiting: Mutex::new(waiting), arrived: Notify::new(), shared }
    }

    #[cfg(any(feature = "server", test))]
    /// Changes how many bytes may wait.
    pub(crate) fn set_bytes_max(&self, bytes_max: usize) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).bytes_max = bytes_max;
    }

    /// Adds datagrams of `stride` bytes, the last of which may be shorter; how many found room.
    pub(crate) fn push(&self, stride: usize, datagrams: &[u8]) -> usize {
        let stride = stride.max(1);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let all = datagrams.len() + LENGTH_BYTES * datagrams.len().div_ceil(stride);
        if waiting.frames.len() + all <= waiting.bytes_max {
            // At once, if it can be; otherwise as many as can.
            waiting.make_room(all, &self.shared);
        }
        let mut taken = 0;
        for datagram in datagrams.chunks(stride) {
            let bytes = LENGTH_BYTES + datagram.len();
            if datagram.len() > DATAGRAM_MAX_BYTES
                || waiting.frames.len() + bytes > waiting.bytes_max
                || !waiting.make_room(bytes, &self.shared)
            {
                break;
            }
            waiting.frames.extend_from_slice(&(datagram.len() as u16).to_be_bytes());
            waiting.frames.extend_from_slice(datagram);
            taken += 1;
        }
        drop(waiting);
        if taken > 0 {
            self.arrived.notify_one();
        }
        taken
    }

    /// Writes what is pushed, until the stream breaks or its reader does not read.
    pub(crate) async fn write_to(&self, mut stream: impl AsyncWrite + Unpin) {
        let mut frames = Vec::new();
        loop {
            {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut frames, &mut waiting.frames);
                if frames.is_empty() {
                    // Nothing waits: what was needed in a busy moment is given back.
                    (frames, waiting.frames) = (Vec::new(), Vec::new());
                    self.shared.give_back(std::mem::take(&mut waiting.borrowed));
                }
            }
            if frames.is_empty() {
                self.arrived.notified().await;
                continue;
            }
            let mut rest = frames.as_slice();
            while !rest.is_empty() {
                match timeout(STUCK_AFTER, stream.write(rest)).await {
                    Ok(Ok(written)) if written > 0 => rest = &rest[written..],
                    _ => return,
                }
            }
            if !matches!(timeout(STUCK_AFTER, stream.flush()).await, Ok(Ok(()))) {
                return;
            }
            frames.clear();
        }
    }
}

impl Drop for FrameQueue {
    fn drop(&mut self) {
        let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.shared.give_back(waiting.borrowed);
    }
}

/// Reads datagrams and hands them over in batches of one length each, the last of which may be shorter. Ends with the
/// stream, after `silence` without a byte, and at the first thing that is no datagram.
pub(crate) async fn read_from(
    mut stream: impl AsyncRead + Unpin,
    silence: Duration,
    mut take: impl FnMut(usize, &[u8]),
) {
    let mut buffer = vec![0; READ_LEAST_BYTES];
    let mut filled = 0;
    let mut batch = Vec::new();
    while let Ok(Ok(read)) = timeout(silence, stream.read(&mut buffer[filled..])).await {
        if read == 0 {
            return;
        }
        filled += read;
        let was_full = filled == buffer.len();
        let Some(used) = split(&buffer[..filled], &mut batch, &mut take) else { return };
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if was_full && buffer.len() < READ_BYTES {
            buffer.resize(2 * buffer.len(), 0);
        }
    }
}

/// Takes the whole frames off the front of `bytes`; how many bytes that were, `None` when a frame is impossible.
fn split(bytes: &[u8], batch: &mut Vec<u8>, take: &mut impl FnMut(usize, &[u8])) -> Option<usize> {
    let mut used = 0;
    let mut stride = 0;
    batch.clear();
    while let Some((length, rest)) = bytes[used..].split_first_chunk::<LENGTH_BYTES>() {
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 || length > DATAGRAM_MAX_BYTES {
            return None;
        }
        let Some(datagram) = rest.get(..length) else { break };
        if !batch.is_empty() && (length > stride || !batch.len().is_multiple_of(stride)) {
            take(stride, batch);
            batch.clear();
        }
        if batch.is_empty() {
            stride = length;
        }
        batch.extend_from_slice(datagram);
        used += LENGTH_BYTES + length;
    }
    if !batch.is_empty() {
        take(stride, batch);
    }
    Some(used)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(datagrams: &[Vec<u8>]) -> Vec<u8> {
        datagrams
            .iter()
            .flat_map(|datagram| [&(datagram.len() as u16).to_be_bytes(), datagram.as_slice()].concat())
            .collect()
    }

    async fn read(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut read = Vec::new();
        read_from(bytes, Duration::from_secs(1), |stride, batch| {
            read.extend(batch.chunks(stride).map(<[u8]>::to_vec));
        })
        .await;
        read
    }

    #[tokio::test]
    async fn an_impossible_length_ends_the_tunnel() {
        let good = frames(&[vec![1; 30]]);
        for wrong in [vec![0, 0], (DATAGRAM_MAX_BYTES as u16 + 1).to_be_bytes().to_vec(), vec![255, 255]] {
            assert_eq!(read(&[good.clone(), wrong, good.clone()].concat()).await.len(), 0);
        }
    }

    #[tokio::test]
    async fn a_full_queue_sheds_and_never_cuts_a_datagram() {
        let queue = FrameQueue::new(100);
        assert_eq!(queue.push(40, &[7; 120]), 2);
        assert_eq!(queue.push(20, &[8; 20]), 0);
        queue.set_bytes_max(1_000);
        assert_eq!(queue.push(20, &[8; 30]), 2);
        assert_eq!(queue.push(2_000, &[9; 1_600]), 0, "larger than a tunnel carries");
        let (near, far) = tokio::io::duplex(1_000);
        let writer = tokio::time::timeout(Duration::from_millis(50), queue.write_to(near));
        let reader = tokio::spawn(async move {
            let mut read = Vec::new();
            read_from(far, Duration::from_secs(1), |stride, batch| {
                read.extend(batch.chunks(stride).map(<[u8]>::len));
            })
            .await;
            read
        });
        let _ = writer.await;
        assert_eq!(reader.await.unwrap(), [40, 40, 20, 10]);
    }

    #[tokio::test]
    async fn queues_that_nobody_reads_share_their_room() {
        let room = SharedRoom::new(4 * STEP_BYTES);
        let queues: Vec<FrameQueue> = (0..10).map(|_| FrameQueue::within(64 * STEP_BYTES, Arc::clone(&room))).collect();
        let fill = |queue: &FrameQueue| queue.push(1_000, &vec![7; 32 * STEP_BYTES]);
        let taken: Vec<usize> = queues.iter().map(fill).collect();
        let sure = STEP_BYTES / (1_000 + LENGTH_BYTES);
        assert_eq!(taken[1..], [sure; 9], "each has its own step");
        assert_eq!(taken[0], 5 * STEP_BYTES / (1_000 + LENGTH_BYTES), "the first has all that is shared");
        let held: usize = queues.iter().map(|queue| queue.waiting.lock().unwrap().frames.capacity()).sum();
        assert!(held <= (10 + 4) * STEP_BYTES, "{held}");
        assert_eq!(room.left_bytes.load(Ordering::Relaxed), 0);

        // What was read is free for others, and so is what belonged to one that is gone.
        let _ = timeout(Duration::from_millis(50), queues[0].write_to(tokio::io::sink())).await;
        assert_eq!(room.left_bytes.load(Ordering::Relaxed), 4 * STEP_BYTES);
        assert!(fill(&queues[1]) > sure);
        drop(queues);
        assert_eq!(room.left_bytes.load(Ordering::Relaxed), 4 * STEP_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_is_given_up() {
        let queue = FrameQueue::new(10_000);
        queue.push(1_000, &[1; 4_000]);
        let (near, _far) = tokio::io::duplex(100);
        tokio::time::timeout(STUCK_AFTER * 2, queue.write_to(near)).await.expect("given up");
    }

    proptest! {
        #[test]
        fn datagrams_survive_any_cut_of_the_stream(
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..40),
            pieces in prop::collection::vec(1usize..200, 1..50),
        ) {
            let bytes = frames(&datagrams);
            let mut arrived: Vec<Vec<u8>> = Vec::new();
            let (mut buffer, mut batch, mut sent) = (Vec::new(), Vec::new(), 0);
            for piece in pieces.iter().cycle() {
                let end = bytes.len().min(sent + piece);
                buffer.extend_from_slice(&bytes[sent..end]);
                sent = end;
                let used = split(&buffer, &mut batch, &mut |stride, batch: &[u8]| {
                    arrived.extend(batch.chunks(stride).map(<[u8]>::to_vec));
                });
                buffer.drain(..used.unwrap());
                if sent == bytes.len() {
                    break;
                }
            }
            prop_assert_eq!(arrived, datagrams);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = split(&bytes, &mut Vec::new(), &mut |_, _| {});
        }
    }
}
