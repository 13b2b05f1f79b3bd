//! A session on one link: what is said on its carrier, and the streams of its channels.

use std::sync::Arc;

use belay_protocol::channel::{ChannelId, Side};
use belay_protocol::limits::{ACKNOWLEDGE_DELAY, IDLE_TIMEOUT, KEEP_ALIVE};
use belay_protocol::resume::{Carried, ChannelHeader};
use quinn::{ConnectionError, RecvStream, SendStream, VarInt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Inner;
use super::state::{Generation, Haste, Piece, Violation};
use crate::client::Link;
use crate::close::Close;
use crate::stream::{Receiver, Sender, StreamError};

/// A link with its carrier, after the opening.
pub(super) struct Carrier {
    pub(super) link: Link,
    pub(super) sender: Sender<Carried>,
    pub(super) receiver: Receiver<Carried>,
}

/// Why a session left a link.
pub(super) enum Broken {
    /// The link died.
    Lost,
    /// The peer closed it.
    Closed(Option<Close>),
    /// The peer broke the protocol.
    Violation(Violation),
}

impl Carrier {
    /// Runs the session on this link until it breaks. Dropping the future leaves the link at once.
    pub(super) async fn run(self, inner: &Arc<Inner>) -> Broken {
        let generation = inner.state().generation();
        let Self { link, sender, receiver } = self;
        let violation = tokio::select! {
            error = link.broken() => return match error {
                ConnectionError::ApplicationClosed(closed) => match Close::from_code(closed.error_code) {
                    // The other end has given up a try to resume that had succeeded here, and tries again.
                    Some(Close::TooSlow) => Broken::Lost,
                    why => Broken::Closed(why),
                },
                error => {
                    tracing::debug!(%error, "a link broke");
                    Broken::Lost
                }
            },
            () = silence(&link) => {
                tracing::debug!("a link has fallen silent");
                return Broken::Lost;
            }
            violation = hear(inner, receiver) => violation,
            violation = accept(inner, &link, generation) => violation,
            violation = speak(inner, sender) => violation,
            violation = open(inner, &link, generation) => violation,
        };
        Broken::Violation(violation)
    }
}

/// Ends when nothing has come for as long as QUIC may wait. QUIC itself waits for three probe timeouts when those are longer
/// (RFC 9000, section 10.1), and one acknowledgement that an outage has held back makes them minutes long: the other end
/// would have given the session up before this one had noticed.
async fn silence(link: &Link) {
    let (mut received, mut since) = (link.received(), Instant::now());
    while since.elapsed() < IDLE_TIMEOUT + KEEP_ALIVE {
        sleep(KEEP_ALIVE).await;
        let now = link.received();
        if now != received {
            (received, since) = (now, Instant::now());
        }
    }
}

/// Says what there is to say, not at every byte. Goes on for as long as the link lives.
async fn speak(inner: &Inner, mut sender: Sender<Carried>) -> Violation {
    // What was to be said before this link.
    inner.speak(Haste::Now);
    loop {
        inner.words.notified().await;
        tokio::select! {
            () = sleep(ACKNOWLEDGE_DELAY) => {}
            () = inner.urgent.notified() => {}
        }
        let words = inner.state().say();
        for word in words {
            if sender.send(&word).await.is_err() {
                // Whoever watches the link learns why.
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn hear(inner: &Inner, mut receiver: Receiver<Carried>) -> Violation {
    let mut may_settle = inner.side == Side::Acceptor && inner.current().previous.is_some();
    loop {
        let word = match receiver.receive().await {
            Ok(Some(word)) => word,
            Ok(None) | Err(StreamError::Lost) => std::future::pending().await,
            Err(error) => {
                tracing::debug!(%error, "the carrier cannot be read");
                return Violation::OutOfTurn;
            }
        };
        if word == Carried::Settled && may_settle {
            may_settle = false;
            inner.current().previous = None;
            continue;
        }
        let heard = inner.state().hear(word);
        match heard {
            Ok(haste) => inner.speak(haste),
            Err(violation) => return violation,
        }
    }
}

/// Opens the streams of this side's channels, in the order of the channels. Goes on for as long as the link lives.
async fn open(inner: &Arc<Inner>, link: &Link, generation: Generation) -> Violation {
    let mut streams = JoinSet::new();
    loop {
        let header = std::future::poll_fn(|cx| inner.state().poll_opening(generation, cx)).await;
        let (Some(header), Ok((send, recv))) = (header, link.open_bi().await) else { std::future::pending().await };
        while streams.try_join_next().is_some() {}
        streams.spawn(pump(Arc::clone(inner), generation, header, send));
        streams.spawn(attach(Arc::clone(inner), generation, header.channel, recv));
    }
}

/// Takes the streams of the peer's channels, in the order of the channels: a header that is late makes the next wait.
async fn accept(inner: &Arc<Inner>, link: &Link, generation: Generation) -> Violation {
    let mut streams = JoinSet::new();
    loop {
        let Ok((send, mut recv)) = link.accept_bi().await else { std::future::pending().await };
        let Some(header) = read_header(&mut recv).await else { std::future::pending().await };
        let accepted = inner.state().accept(generation, header, recv);
        match accepted {
            Ok(ours) => {
                inner.arrived.notify_one();
                inner.speak(Haste::Soon);
                while streams.try_join_next().is_some() {}
                streams.spawn(pump(Arc::clone(inner), generation, ours, send));
            }
            Err(violation) => return violation,
        }
    }
}

/// Reads the header of the other direction of an own channel's stream, then lets its reader have it.
async fn attach(inner: Arc<Inner>, generation: Generation, channel: ChannelId, mut recv: RecvStream) {
    let Some(header) = read_header(&mut recv).await else { return };
    let attached = if header.channel == channel {
        inner.state().attach(generation, header, recv)
    } else {
        Err(Violation::UnknownChannel)
    };
    if let Err(violation) = attached {
        inner.condemn(violation);
    }
}

/// `None` when the link is gone, or the stream was given up before its header had come.
async fn read_header(recv: &mut RecvStream) -> Option<ChannelHeader> {
    let mut bytes = [0; ChannelHeader::LEN];
    recv.read_exact(&mut bytes).await.ok()?;
    Some(ChannelHeader::decode(&bytes))
}

/// Gives a channel's stream what is written, until its end or the link's.
async fn pump(inner: Arc<Inner>, generation: Generation, header: ChannelHeader, send: SendStream) {
    let mut flow = Flow { stream: send, is_finished: false };
    if flow.stream.write_all(&header.encode()).await.is_err() {
        return;
    }
    loop {
        let piece = std::future::poll_fn(|cx| inner.state().poll_piece(header.channel, generation, cx)).await;
        match piece {
            Piece::Bytes(mut pieces) => {
                if flow.stream.write_all_chunks(&mut pieces).await.is_err() {
                    return;
                }
            }
            Piece::End => {
                flow.is_finished = flow.stream.finish().is_ok();
                return;
            }
            Piece::Over => return,
        }
    }
}

/// A stream that is never ended by being dropped, as quinn's own are: the other side would take the channel for whole.
struct Flow {
    stream: SendStream,
    is_finished: bool,
}

impl Drop for Flow {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = self.stream.reset(VarInt::from_u32(0));
        }
    }
}
