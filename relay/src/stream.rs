//! Messages over a QUIC stream or over a channel of a session: the greeting, then frames.

mod ends;

use std::io;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use belay_protocol::codec::{self, DecodeError, EncodeError};
use belay_protocol::frame::{self, FrameError, PREFIX_BYTES};
use belay_protocol::hello::{Hello, NotBelay, Welcome};
use belay_protocol::limits::{FRAME_MAX_BYTES, HELLO_MAX_BYTES};
use belay_protocol::version::Version;

pub use ends::{Inlet, Outlet};

/// Why no message could be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection is gone; the reason is the connection's.
    #[error("the connection was lost")]
    Lost,
    /// The stream ended where a message was expected.
    #[error("the other side ended the conversation")]
    Ended,
    /// A frame was too large or cut off.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The other side does not speak Belay.
    #[error(transparent)]
    NotBelay(#[from] NotBelay),
    /// No version is common.
    #[error("the other side speaks version {0} at most, which this version does not: update the older of the two")]
    Version(Version),
    /// A message does not fit the moment.
    #[error("the other side sent a message out of its turn")]
    OutOfTurn,
    /// A message could not be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A message could not be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The sending half of a conversation in messages of type `T`.
#[derive(Debug)]
pub struct Sender<T> {
    outlet: Outlet,
    message: PhantomData<fn(T)>,
}

/// The receiving half of a conversation in messages of type `T`.
#[derive(Debug)]
pub struct Receiver<T> {
    inlet: Inlet,
    /// What has arrived of the next frame, its prefix included.
    partial: Vec<u8>,
    message: PhantomData<fn() -> T>,
}

/// Greets as the side that opened the stream.
pub async fn greet<Out, In>(
    send: impl Into<Outlet>,
    recv: impl Into<Inlet>,
) -> Result<(Sender<Out>, Receiver<In>), StreamError> {
    let (mut send, mut recv) = (send.into(), recv.into());
    write_frame(&mut send, &Hello::ours().encode(), HELLO_MAX_BYTES).await?;
    let welcome = read_frame(&mut recv, HELLO_MAX_BYTES).await?.ok_or(StreamError::Ended)?;
    match Welcome::decode(&welcome)? {
        Welcome::Agreed(_) => Ok(halves(send, recv)),
        Welcome::NoCommonVersion(newest) => Err(StreamError::Version(newest)),
    }
}

/// Answers the greeting as the side that accepted the stream.
pub async fn welcome<Out, In>(
    send: impl Into<Outlet>,
    recv: impl Into<Inlet>,
) -> Result<(Sender<Out>, Receiver<In>), StreamError> {
    let (mut send, mut recv) = (send.into(), recv.into());
    let hello = read_frame(&mut recv, HELLO_MAX_BYTES).await?.ok_or(StreamError::Ended)?;
    let hello = Hello::decode(&hello)?;
    let answer = Welcome::to(&hello);
    write_frame(&mut send, &answer.encode(), HELLO_MAX_BYTES).await?;
    match answer {
        Welcome::Agreed(_) => Ok(halves(send, recv)),
        Welcome::NoCommonVersion(_) => {
            // The answer must arrive before the connection is closed.
            send.finish().await;
            Err(StreamError::Version(hello.versions.iter().copied().max().unwrap_or(Version(0))))
        }
    }
}

/// Begins a conversation without a greeting, where the version has been agreed on another stream.
pub fn halves<Out, In>(send: impl Into<Outlet>, recv: impl Into<Inlet>) -> (Sender<Out>, Receiver<In>) {
    (
        Sender { outlet: send.into(), message: PhantomData },
        Receiver { inlet: recv.into(), partial: Vec::new(), message: PhantomData },
    )
}

impl<T> Sender<T> {
    /// Goes on in messages of another type.
    pub(crate) fn becomes<U>(self) -> Sender<U> {
        Sender { outlet: self.outlet, message: PhantomData }
    }
}

impl<T> Receiver<T> {
    /// Goes on in messages of another type.
    pub(crate) fn becomes<U>(self) -> Receiver<U> {
        Receiver { inlet: self.inlet, partial: self.partial, message: PhantomData }
    }
}

impl<T: Serialize> Sender<T> {
    /// Sends one message.
    pub async fn send(&mut self, message: &T) -> Result<(), StreamError> {
        let payload = codec::encode(message, FRAME_MAX_BYTES)?;
        write_frame(&mut self.outlet, &payload, FRAME_MAX_BYTES).await
    }

    /// Ends this half and waits until the other side has everything, or is gone.
    pub async fn finish(self) {
        self.outlet.finish().await;
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// The next message; `None` when the other side has ended its half. Cancel-safe.
    pub async fn receive(&mut self) -> Result<Option<T>, StreamError> {
        loop {
            let missing = match self.partial.split_first_chunk::<PREFIX_BYTES>() {
                None => PREFIX_BYTES - self.partial.len(),
                Some((prefix, payload)) => {
                    let length = frame::length(*prefix, FRAME_MAX_BYTES)?;
                    if payload.len() == length {
                        let message = codec::decode(payload, FRAME_MAX_BYTES);
                        // Given back rather than kept: idle conversations are many.
                        self.partial = Vec::new();
                        return Ok(Some(message?));
                    }
                    length - payload.len()
                }
            };
            self.partial.reserve(missing);
            match (&mut self.inlet).take(missing as u64).read_buf(&mut self.partial).await {
                Ok(0) if self.partial.is_empty() => return Ok(None),
                Ok(0) => return Err(FrameError::CutOff.into()),
                Ok(_) => {}
                Err(_) => return Err(StreamError::Lost),
            }
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> Receiver<T> {
    /// Reads on in a task of its own, so that waiting for the next message can be given up at any time.
    pub fn arrivals(mut self) -> Arrivals<T> {
        let (sender, queue) = mpsc::channel(1);
        let reader = tokio::spawn(async move {
            loop {
                let message = self.receive().await;
                let is_last = !matches!(message, Ok(Some(_)));
                if sender.send(message).await.is_err() || is_last {
                    return;
                }
            }
        });
        Arrivals { queue, _reader: AbortOnDropHandle::new(reader) }
    }
}

/// The receiving half of a conversation, cancel-safe.
#[derive(Debug)]
pub struct Arrivals<T> {
    queue: mpsc::Receiver<Result<Option<T>, StreamError>>,
    _reader: AbortOnDropHandle<()>,
}

impl<T> Arrivals<T> {
    /// The next message; `None` when the other side has ended its half, and after an error. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<T>, StreamError> {
        self.queue.recv().await.unwrap_or(Ok(None))
    }
}

/// Writes one frame.
pub async fn write_frame<W>(stream: &mut W, payload: &[u8], max_bytes: usize) -> Result<(), StreamError>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    let frame = frame::wrap(payload, max_bytes)?;
    stream.write_all(&frame).await.map_err(|_| StreamError::Lost)
}

/// Reads one frame; `None` at a proper end of the stream.
pub async fn read_frame<R>(stream: &mut R, max_bytes: usize) -> Result<Option<Vec<u8>>, StreamError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut prefix = [0; PREFIX_BYTES];
    let first = stream.read(&mut prefix).await.map_err(|_| StreamError::Lost)?;
    if first == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut prefix[first..]).await.map_err(|error| cut_off_or_lost(&error))?;
    let mut payload = vec![0; frame::length(prefix, max_bytes)?];
    stream.read_exact(&mut payload).await.map_err(|error| cut_off_or_lost(&error))?;
    Ok(Some(payload))
}

fn cut_off_or_lost(error: &io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::CutOff.into(),
        _ => StreamError::Lost,
    }
}
