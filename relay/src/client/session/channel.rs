//! The halves of a channel as the application holds them.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use belay_protocol::channel::ChannelId;
use bytes::{Buf as _, Bytes};
use quinn::RecvStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Inner;
use super::state::{Generation, Haste};

/// Why a channel cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The session is over.
    #[error("the session was lost")]
    Lost,
    /// The other side's writer has gone without ending the channel.
    #[error("the other side gave the channel up")]
    Reset,
    /// The other side's reader wants nothing more.
    #[error("the other side reads no further")]
    Stopped,
    /// Our limit: too many channels are open.
    #[error("too many channels are open")]
    TooMany,
}

impl From<ChannelError> for io::Error {
    fn from(error: ChannelError) -> Self {
        let kind = match error {
            ChannelError::Lost => io::ErrorKind::NotConnected,
            ChannelError::Reset => io::ErrorKind::ConnectionReset,
            ChannelError::Stopped => io::ErrorKind::BrokenPipe,
            ChannelError::TooMany => io::ErrorKind::QuotaExceeded,
        };
        Self::new(kind, error)
    }
}

/// The receiving half of a channel. It waits while its session is paused. Dropping it tells the other side that nothing
/// more is wanted.
#[derive(Debug)]
pub struct ChannelReader {
    inner: Arc<Inner>,
    id: ChannelId,
    stream: Option<(Generation, RecvStream)>,
    is_ended: bool,
}

/// The sending half of a channel. It waits while too much is unacknowledged, and takes little while its session is
/// paused. Dropping it without an end tells the other side that the channel was given up.
#[derive(Debug)]
pub struct ChannelWriter {
    inner: Arc<Inner>,
    id: ChannelId,
    is_finished: bool,
}

impl ChannelReader {
    pub(super) const fn new(inner: Arc<Inner>, id: ChannelId) -> Self {
        Self { inner, id, stream: None, is_ended: false }
    }

    /// The next at most `max_bytes` bytes, without a copy; `None` at the end of the channel. Cancel-safe.
    pub async fn read_chunk(&mut self, max_bytes: usize) -> Result<Option<Bytes>, ChannelError> {
        std::future::poll_fn(|cx| self.poll_chunk(cx, max_bytes)).await
    }

    /// Everything up to the end, which must come within `limit_bytes`; `None` if it does not.
    pub async fn read_to_end(&mut self, limit_bytes: usize) -> Result<Option<Vec<u8>>, ChannelError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.read_chunk(CHUNK_BYTES).await? {
            if bytes.len() + chunk.len() > limit_bytes {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>, max_bytes: usize) -> Poll<Result<Option<Bytes>, ChannelError>> {
        if self.is_ended {
            return Poll::Ready(Ok(None));
        }
        loop {
            let Some((generation, stream)) = &mut self.stream else {
                let Some(stream) = ready!(self.inner.state().poll_stream(self.id, cx))? else {
                    self.is_ended = true;
                    return Poll::Ready(Ok(None));
                };
                self.stream = Some(stream);
                continue;
            };
            let generation = *generation;
            // A read that is given up has taken nothing and stays registered with its stream.
            let polled = pin!(stream.read_chunk(max_bytes, true)).poll(cx);
            let Poll::Ready(read) = polled else {
                if self.inner.state().waits_on(self.id, generation, cx) {
                    return Poll::Pending;
                }
                self.stream = None;
                continue;
            };
            match read {
                Ok(Some(chunk)) => {
                    let taken = self.inner.state().take(self.id, generation, chunk.bytes);
                    match taken {
                        Some((new, haste)) => {
                            self.inner.speak(haste);
                            if !new.is_empty() {
                                return Poll::Ready(Ok(Some(new)));
                            }
                        }
                        None => self.stream = None,
                    }
                }
                Ok(None) => {
                    let ended = self.inner.state().end_reading(self.id, generation);
                    self.stream = None;
                    match ended {
                        Some(Ok(())) => {
                            self.inner.speak(Haste::Now);
                            self.is_ended = true;
                            return Poll::Ready(Ok(None));
                        }
                        Some(Err(violation)) => self.inner.condemn(violation),
                        None => {}
                    }
                }
                // The link is about to be found lost, or the peer gives the channel up; the carrier says which.
                Err(_) => self.stream = None,
            }
        }
    }
}

impl AsyncRead for ChannelReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(chunk) = ready!(self.get_mut().poll_chunk(cx, buffer.remaining()))? {
            buffer.put_slice(&chunk);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for ChannelReader {
    fn drop(&mut self) {
        if !self.is_ended {
            self.inner.state().stop_reading(self.id);
            self.inner.speak(Haste::Now);
        }
    }
}

impl ChannelWriter {
    pub(super) const fn new(inner: Arc<Inner>, id: ChannelId) -> Self {
        Self { inner, id, is_finished: false }
    }

    /// Writes all of `chunk` without a copy. What was taken is sent by itself, over as many links as it needs. Not
    /// cancel-safe: a part may have been taken.
    pub async fn write_chunk(&mut self, mut chunk: Bytes) -> Result<(), ChannelError> {
        while chunk.has_remaining() {
            std::future::poll_fn(|cx| self.poll_push(cx, &mut chunk)).await?;
        }
        Ok(())
    }

    /// Ends the channel: nothing can be written any more. The other side learns of it after everything else.
    pub fn finish(&mut self) {
        self.is_finished = true;
        self.inner.state().finish(self.id);
    }

    /// Ends the channel and waits until the other side's reader has everything, or wants nothing more.
    pub async fn deliver(mut self) -> Result<(), ChannelError> {
        self.finish();
        std::future::poll_fn(|cx| self.inner.state().poll_delivered(self.id, cx)).await
    }

    fn poll_push(&mut self, cx: &Context<'_>, chunk: &mut Bytes) -> Poll<Result<(), ChannelError>> {
        if self.is_finished {
            return Poll::Ready(Err(ChannelError::Stopped));
        }
        let mut state = self.inner.state();
        let room = ready!(state.poll_room(self.id, cx))?;
        Poll::Ready(state.push(self.id, chunk.split_to(room.min(chunk.len()))))
    }
}

impl AsyncWrite for ChannelWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_finished {
            return Poll::Ready(Err(ChannelError::Stopped.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut state = self.inner.state();
        let room = ready!(state.poll_room(self.id, cx))?;
        let taken = room.min(bytes.len()).min(CHUNK_BYTES);
        state.push(self.id, Bytes::copy_from_slice(&bytes[..taken]))?;
        Poll::Ready(Ok(taken))
    }

    /// What was written is sent by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for ChannelWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            self.inner.state().abandon(self.id);
            self.inner.speak(Haste::Now);
        }
    }
}

/// Bytes that are copied or read at once.
const CHUNK_BYTES: usize = 256 * 1024;
