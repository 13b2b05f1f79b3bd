//! Sessions that outlive their links.
//!
//! A [`Link`] is one QUIC connection; it survives roaming, restarted relays and outages up to its idle timeout, and some
//! die all the same. A [`Session`] goes on over the next link: its channels keep what was not acknowledged and send it
//! again, and the applications at both ends see a pause.
//!
//! | phase | channels | ends with |
//! |---|---|---|
//! | live | work | the loss of the link, a word of either end |
//! | paused | wait; little can be written | a link that resumes, a word of this end, [`RESUME_WINDOW`] |
//! | over | what had arrived can be read, then `Lost` | |
//!
//! Only an admitted session is kept: at the console by [`Session::admit`], at the agent by [`Session::outlive_links`].
//! Before that it dies with its link and keeps no more than a small reserve. A link that the peer closes with a reason
//! ends the session; that is how peers end it on purpose. One reason does not: a try to resume that took too long.
//!
//! What is deliberately absent: there is no way to resume without the secret of the last link, whoever's key it is, and
//! none to resume a session over a link to another key. Whether the *ticket* still allows the session is for the console
//! to ask again at each resume, which it learns from [`Session::phases`].

mod carrier;
mod channel;
mod proof;
mod resumable;
mod state;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use belay_protocol::channel::Side;
use belay_protocol::limits::{HANDSHAKE_DEADLINE, RESUME_WINDOW};
use belay_protocol::message::PeerRoute;
use belay_protocol::phrase::SessionPhrase;
use belay_protocol::resume::{Answer, Opening, Proof, Resume, ResumeId};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::{Client, DialError, Link, jitter};
use crate::close::Close;
use crate::stream::{self, StreamError};

use carrier::{Broken, Carrier};
pub use channel::{ChannelError, ChannelReader, ChannelWriter};
use proof::ResumeSecret;
pub use resumable::{Arrival, Resumables};
use resumable::{Kept, Returning};
use state::{Haste, Room, State, Violation};

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has a link.
    Live,
    /// Its link is lost and another one is awaited.
    Paused,
    /// It has ended.
    Over(Over),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The peer closed it; its reason, if this version knows it.
    Closed(Option<Close>),
    /// This side closed it.
    Ended,
    /// The link was lost and no other came in time, or the session was not kept.
    Lost,
    /// The peer does not know the session any more.
    Refused,
    /// The peer broke the protocol.
    Violation,
}

/// A new link to the same peer, however it is come by.
pub trait Redial: Send + Sync + 'static {
    /// Tries once. It is asked again, about once a second, for as long as the session is kept.
    fn redial(&self) -> Pin<Box<dyn Future<Output = Result<Link, DialError>> + Send + '_>>;
}

/// Dials the same peer again through whatever relay the client has a path by.
#[derive(Debug)]
pub struct SamePeer {
    /// The client.
    pub client: Client,
    /// The peer.
    pub peer: PeerRoute,
}

impl Redial for SamePeer {
    fn redial(&self) -> Pin<Box<dyn Future<Output = Result<Link, DialError>> + Send + '_>> {
        Box::pin(self.client.dial(&self.peer))
    }
}

/// The use of links, one after the other, by the two same ends. Clones share it; it is closed when the last is dropped.
#[derive(Debug, Clone)]
pub struct Session {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    inner: Arc<Inner>,
    _driver: AbortOnDropHandle<()>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.close(Close::Done);
    }
}

/// What the session's handles, its channels and its task share.
struct Inner {
    side: Side,
    id: ResumeId,
    peer: [u8; 32],
    phrase: SessionPhrase,
    state: Mutex<State>,
    current: Mutex<Current>,
    phase: watch::Sender<Phase>,
    /// A channel of the peer has arrived.
    arrived: Notify,
    /// There is something to say on the carrier.
    words: Notify,
    /// And it does not wait for more.
    urgent: Notify,
    redial: OnceLock<Box<dyn Redial>>,
    /// At the accepting side: where links go that resume this session.
    returns: Option<mpsc::Sender<Returning>>,
    kept: OnceLock<Kept>,
}

/// The link in use and the secrets by which the next may take its place.
struct Current {
    link: Link,
    secret: ResumeSecret,
    /// The secret before, while the peer may not know that the link has changed.
    previous: Option<ResumeSecret>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("id", &self.id).field("phase", &*self.phase.borrow()).finish_non_exhaustive()
    }
}

impl Session {
    /// Begins a session over a link that this side has dialled.
    pub async fn begin(link: Link) -> Result<Self, StreamError> {
        let (send, recv) = link.open_bi().await?;
        let (mut sender, mut receiver) = stream::greet::<Opening, Answer>(send, recv).await?;
        sender.send(&Opening::Fresh).await?;
        let Answer::Fresh { id } = receiver.receive().await?.ok_or(StreamError::Ended)? else {
            return Err(StreamError::OutOfTurn);
        };
        let carrier = Carrier { link, sender: sender.becomes(), receiver: receiver.becomes() };
        let (_, nobody_returns) = mpsc::channel(1);
        Ok(Self::start(Side::Dialler, id, carrier, None, nobody_returns))
    }

    fn start(
        side: Side,
        id: ResumeId,
        carrier: Carrier,
        returns: Option<mpsc::Sender<Returning>>,
        returning: mpsc::Receiver<Returning>,
    ) -> Self {
        let link = carrier.link.clone();
        let inner = Arc::new(Inner {
            side,
            id,
            peer: link.peer_key(),
            phrase: link.phrase(),
            state: Mutex::new(State::new(side)),
            current: Mutex::new(Current { secret: ResumeSecret::of(&link), link, previous: None }),
            phase: watch::Sender::new(Phase::Live),
            arrived: Notify::new(),
            words: Notify::new(),
            urgent: Notify::new(),
            redial: OnceLock::new(),
            returns,
            kept: OnceLock::new(),
        });
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(Arc::clone(&inner), carrier, returning)));
        Self { handle: Arc::new(Handle { inner, _driver: driver }) }
    }

    /// At the dialling side: keeps the session when its link is lost, and gets the next link from `redial`.
    pub fn outlive_links(&self, redial: impl Redial) {
        if self.inner().redial.set(Box::new(redial)).is_ok() {
            self.inner().state().set_room(Room::Pool);
        }
    }

    /// At the accepting side: gives the peer its full room (see [`Link::admit`]) and keeps the session among
    /// `resumables` when its link is lost. Where these are full it works all the same, and dies with its link.
    pub fn admit(&self, resumables: &Resumables) {
        self.link().admit();
        self.inner().state().set_room(Room::Pool);
        resumables.keep(self.inner());
    }

    /// Opens a channel. This works during a pause as well; the peer learns of it with the next link.
    pub fn open_channel(&self) -> Result<(ChannelWriter, ChannelReader), ChannelError> {
        let inner = self.inner();
        let id = inner.state().open()?;
        Ok((ChannelWriter::new(Arc::clone(inner), id), ChannelReader::new(Arc::clone(inner), id)))
    }

    /// The next channel that the peer has opened, in the order of their opening. Cancel-safe.
    pub async fn accept_channel(&self) -> Result<(ChannelWriter, ChannelReader), ChannelError> {
        let inner = self.inner();
        loop {
            let arrival = inner.arrived.notified();
            let taken = inner.state().take_arrived()?;
            if let Some(id) = taken {
                // There may be more for somebody else who waits.
                inner.arrived.notify_one();
                return Ok((ChannelWriter::new(Arc::clone(inner), id), ChannelReader::new(Arc::clone(inner), id)));
            }
            arrival.await;
        }
    }

    /// The name under which the session can be resumed.
    pub fn resume_id(&self) -> ResumeId {
        self.inner().id
    }

    /// The key that the other end has proved, on every link.
    pub fn peer_key(&self) -> [u8; 32] {
        self.inner().peer
    }

    /// The words that both ends show: those of the first link, which people may have compared already. A later link is
    /// bound to it by the resume secret.
    pub fn phrase(&self) -> SessionPhrase {
        self.inner().phrase
    }

    /// The link in use, or the last one.
    pub fn link(&self) -> Link {
        self.inner().current().link.clone()
    }

    /// Where the session stands, and every change. A resume is a change even where the pause was too short to be seen.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.inner().phase.subscribe()
    }

    /// Bytes that are kept for a replay.
    pub fn replay_bytes(&self) -> usize {
        self.inner().state().queued_bytes()
    }

    /// Ends the session for a reason that the peer learns, if there is a link.
    pub fn close(&self, why: Close) {
        self.inner().close(why);
    }

    /// Waits until the session is over; how it ended.
    pub async fn closed(&self) -> Over {
        let mut phases = self.phases();
        let phase = phases.wait_for(|phase| matches!(phase, Phase::Over(_))).await;
        match phase.map(|phase| *phase) {
            Ok(Phase::Over(over)) => over,
            _ => Over::Lost,
        }
    }

    /// Waits until the session has been live for `time` without a pause, or is over: the time for a last word, which
    /// does not run while nobody can hear it.
    pub async fn live_for(&self, time: Duration) {
        let mut phases = self.phases();
        loop {
            let phase = *phases.borrow_and_update();
            match phase {
                Phase::Over(_) => return,
                Phase::Live if timeout(time, phases.changed()).await.is_err() => return,
                Phase::Live => {}
                Phase::Paused if phases.changed().await.is_err() => return,
                Phase::Paused => {}
            }
        }
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the carrier say what there is to say.
    fn speak(&self, haste: Haste) {
        match haste {
            Haste::None => {}
            Haste::Soon => self.words.notify_one(),
            Haste::Now => {
                self.urgent.notify_one();
                self.words.notify_one();
            }
        }
    }

    fn close(&self, why: Close) {
        // First the link: what its streams still held must not be taken for the end of a channel.
        self.current().link.close(why);
        self.end(Over::Ended);
    }

    /// Ends the session because the peer broke the protocol.
    fn condemn(&self, violation: Violation) {
        tracing::warn!(%violation, "the other end broke the protocol of the session");
        self.current().link.close(Close::Violation);
        self.end(Over::Violation);
    }

    /// Ends the session: what was kept is dropped, and whoever waits learns it. The first reason stays.
    fn end(&self, over: Over) {
        let is_first = self.phase.send_if_modified(|phase| {
            let is_first = !matches!(phase, Phase::Over(_));
            if is_first {
                *phase = Phase::Over(over);
            }
            is_first
        });
        if is_first {
            self.state().end();
            self.current().previous = None;
            if let Some(kept) = self.kept.get() {
                kept.forget();
            }
            // A permit wakes one that is about to wait as well.
            self.arrived.notify_waiters();
            self.arrived.notify_one();
        }
    }

    async fn over(&self) {
        // The sender is this session's own.
        let _ = self.phase.subscribe().wait_for(|phase| matches!(phase, Phase::Over(_))).await;
    }

    fn is_over(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Over(_))
    }

    /// Goes from a lost link to waiting for the next; `false` if the session is not kept.
    fn pause(&self) -> bool {
        let is_kept = match self.side {
            Side::Dialler => self.redial.get().is_some(),
            Side::Acceptor => self.kept.get().is_some_and(|kept| kept.pause(self.state().queued_bytes())),
        };
        if !is_kept || self.is_over() {
            return false;
        }
        self.state().detach();
        self.set_phase(Phase::Paused);
        true
    }

    fn live(&self) {
        if let Some(kept) = self.kept.get() {
            kept.resume();
        }
        self.set_phase(Phase::Live);
    }

    /// An end is final.
    fn set_phase(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let may = !matches!(phase, Phase::Over(_));
            if may {
                *phase = to;
            }
            may
        });
    }

    /// The secret with which `proof` was made for `link`, if it is one by which this session may go on.
    fn proven(&self, proof: &Proof, link: &Link) -> Option<ResumeSecret> {
        if link.peer_key() != self.peer {
            return None;
        }
        let current = self.current();
        let secrets = [Some(&current.secret), current.previous.as_ref()];
        let proven = secrets.into_iter().flatten().find(|secret| secret.verifies(proof, Side::Dialler, &self.id, link));
        proven.cloned()
    }
}

/// Runs a session over one link after the other, until it is over.
async fn drive(inner: Arc<Inner>, first: Carrier, mut returning: mpsc::Receiver<Returning>) {
    let mut carrier = first;
    loop {
        let link = carrier.link.clone();
        let next = tokio::select! {
            broken = carrier.run(&inner) => match broken {
                Broken::Lost => None,
                Broken::Closed(why) => return inner.end(Over::Closed(why)),
                Broken::Violation(violation) => return inner.condemn(violation),
            },
            Some(next) = returning.recv() => {
                link.close(Close::Replaced);
                Some(next)
            }
        };
        if !inner.pause() {
            return inner.end(Over::Lost);
        }
        tracing::info!("the link was lost; the session is paused");
        let deadline = Instant::now() + RESUME_WINDOW;
        let next_link = async {
            match inner.side {
                Side::Dialler => redial(&inner, deadline).await,
                Side::Acceptor => await_return(&inner, next, &mut returning, deadline).await,
            }
        };
        let resumed = tokio::select! {
            resumed = next_link => resumed,
            () = inner.over() => return,
        };
        match resumed {
            Ok(resumed) => carrier = resumed,
            Err(over) => {
                tracing::info!(?over, "the session was not resumed");
                return inner.end(over);
            }
        }
        inner.live();
        tracing::info!("the session goes on");
    }
}

/// At the accepting side: takes the first link that comes and fits.
async fn await_return(
    inner: &Inner,
    mut next: Option<Returning>,
    returning: &mut mpsc::Receiver<Returning>,
    deadline: Instant,
) -> Result<Carrier, Over> {
    loop {
        let arrived = match next.take() {
            Some(arrived) => arrived,
            None => timeout_at(deadline, returning.recv()).await.ok().flatten().ok_or(Over::Lost)?,
        };
        match arrived.resume(inner).await {
            Ok(carrier) => return Ok(carrier),
            Err(error) => tracing::debug!(%error, "a link did not resume its session"),
        }
    }
}

/// At the dialling side: tries again and again.
async fn redial(inner: &Inner, deadline: Instant) -> Result<Carrier, Over> {
    loop {
        let tried = Instant::now();
        match timeout_at(deadline, resume(inner)).await {
            Err(_) => return Err(Over::Lost),
            Ok(Ok(carrier)) => return Ok(carrier),
            Ok(Err(NotResumed::Refused)) => return Err(Over::Refused),
            Ok(Err(NotResumed::Violation(violation))) => {
                tracing::warn!(%violation, "the other end broke the protocol of the session");
                return Err(Over::Violation);
            }
            Ok(Err(error)) => tracing::debug!(%error, "the session could not be resumed; trying again"),
        }
        let pause = REDIAL_PAUSE.mul_f64(1.0 + jitter());
        sleep(pause.saturating_sub(tried.elapsed()).max(REDIAL_PAUSE / 2)).await;
        if Instant::now() >= deadline {
            return Err(Over::Lost);
        }
    }
}

/// Why one try to resume did not work.
#[derive(Debug, thiserror::Error)]
enum NotResumed {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("there was no answer in time")]
    TooSlow,
    #[error("the other end has another key")]
    OtherKey,
    #[error("the other end did not prove that it knows the session")]
    Unproven,
    #[error("the other end does not know the session any more")]
    Refused,
    #[error(transparent)]
    Violation(#[from] Violation),
}

async fn resume(inner: &Inner) -> Result<Carrier, NotResumed> {
    let redial = inner.redial.get().expect("a session without a way to redial is not paused");
    let link = redial.redial().await?;
    let resumed = if link.peer_key() == inner.peer {
        timeout(HANDSHAKE_DEADLINE, resume_on(inner, link.clone())).await.unwrap_or(Err(NotResumed::TooSlow))
    } else {
        Err(NotResumed::OtherKey)
    };
    match &resumed {
        Ok(_) => {}
        Err(NotResumed::Violation(_)) => link.close(Close::Violation),
        Err(NotResumed::Refused) => link.close(Close::Done),
        // The other end may have taken the link this very moment: it must not hear that all is said.
        Err(_) => link.close(Close::TooSlow),
    }
    resumed
}

async fn resume_on(inner: &Inner, link: Link) -> Result<Carrier, NotResumed> {
    let (send, recv) = link.open_bi().await?;
    let (mut sender, mut receiver) = stream::greet::<Opening, Answer>(send, recv).await?;
    let old = inner.current().secret.clone();
    let (proof, progress) = (old.prove(Side::Dialler, &inner.id, &link), inner.state().progress());
    sender.send(&Opening::Resume(Resume { id: inner.id, proof, progress })).await?;
    let (proof, progress) = match receiver.receive().await?.ok_or(StreamError::Ended)? {
        Answer::Resumed { proof, progress } => (proof, progress),
        Answer::Refused => return Err(NotResumed::Refused),
        Answer::Fresh { .. } => return Err(StreamError::OutOfTurn.into()),
    };
    if !old.verifies(&proof, Side::Acceptor, &inner.id, &link) {
        return Err(NotResumed::Unproven);
    }
    inner.state().resume(&progress, Room::Pool)?;
    *inner.current() = Current { secret: ResumeSecret::of(&link), link: link.clone(), previous: None };
    let mut sender = sender.becomes();
    sender.send(&belay_protocol::resume::Carried::Settled).await?;
    Ok(Carrier { link, sender, receiver: receiver.becomes() })
}

/// Between two tries, with as much again at random.
const REDIAL_PAUSE: Duration = Duration::from_secs(1);
