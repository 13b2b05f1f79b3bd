//! What a conversation can travel over: a stream of one connection, or a channel that outlives it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use quinn::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::{ChannelReader, ChannelWriter};

/// Where messages are written to.
#[derive(Debug)]
pub enum Outlet {
    /// A stream of one connection.
    Stream(SendStream),
    /// A channel of a session.
    Channel(ChannelWriter),
}

/// Where messages are read from.
#[derive(Debug)]
pub enum Inlet {
    /// A stream of one connection.
    Stream(RecvStream),
    /// A channel of a session.
    Channel(ChannelReader),
}

impl Outlet {
    /// Ends it and waits until the other side has everything, or is gone.
    pub(super) async fn finish(self) {
        match self {
            Self::Stream(mut stream) => {
                let _ = stream.finish();
                let _ = stream.stopped().await;
            }
            Self::Channel(channel) => {
                let _ = channel.deliver().await;
            }
        }
    }
}

impl From<SendStream> for Outlet {
    fn from(stream: SendStream) -> Self {
        Self::Stream(stream)
    }
}

impl From<ChannelWriter> for Outlet {
    fn from(channel: ChannelWriter) -> Self {
        Self::Channel(channel)
    }
}

impl From<RecvStream> for Inlet {
    fn from(stream: RecvStream) -> Self {
        Self::Stream(stream)
    }
}

impl From<ChannelReader> for Inlet {
    fn from(channel: ChannelReader) -> Self {
        Self::Channel(channel)
    }
}

impl AsyncWrite for Outlet {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Stream(stream) => AsyncWrite::poll_write(Pin::new(stream), cx, bytes),
            Self::Channel(channel) => Pin::new(channel).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_flush(cx),
            Self::Channel(channel) => Pin::new(channel).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Channel(channel) => Pin::new(channel).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Inlet {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stream(stream) => AsyncRead::poll_read(Pin::new(stream), cx, buffer),
            Self::Channel(channel) => Pin::new(channel).poll_read(cx, buffer),
        }
    }
}
