//! The sessions of a console that may be resumed, and the links that come to do it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use belay_protocol::channel::Side;
use belay_protocol::limits::{HANDSHAKE_DEADLINE, PAUSED_MAX_BYTES, RESUMABLE_MAX};
use belay_protocol::resume::{Answer, Opening, Progress, Resume, ResumeId};
use rand::Rng as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::carrier::Carrier;
use super::proof::ResumeSecret;
use super::state::Room;
use super::{Current, Inner, NotResumed, Session};
use crate::client::Link;
use crate::close::Close;
use crate::stream::{self, Receiver, Sender, StreamError};

/// The admitted sessions of a console, by name, bounded in number and in the bytes that the paused ones keep. Clones
/// share it.
#[derive(Debug, Clone)]
pub struct Resumables {
    table: Arc<Mutex<Table>>,
    max_sessions: usize,
    max_paused_bytes: usize,
}

impl Default for Resumables {
    fn default() -> Self {
        Self::with_limits(RESUMABLE_MAX, PAUSED_MAX_BYTES)
    }
}

#[derive(Debug, Default)]
struct Table {
    sessions: BTreeMap<ResumeId, Entry>,
    paused_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    session: Weak<Inner>,
    returning: mpsc::Sender<Returning>,
    paused_bytes: usize,
}

/// What came of a link that an agent has opened.
#[derive(Debug)]
pub enum Arrival {
    /// A new session, of which nothing but the key is known.
    Fresh(Session),
    /// A session that was waiting has taken the link.
    Resumed,
    /// The link did not prove that it belongs to a session. It has been told and is closed.
    Refused,
}

/// A link that has proved to belong to a session.
pub(super) struct Returning {
    link: Link,
    sender: Sender<Answer>,
    receiver: Receiver<Opening>,
    progress: Progress,
    /// The secret with which it was proved.
    secret: ResumeSecret,
}

impl Resumables {
    /// Room for so many sessions, and for so many bytes of those that are paused.
    pub fn with_limits(max_sessions: usize, max_paused_bytes: usize) -> Self {
        Self { table: Arc::default(), max_sessions, max_paused_bytes }
    }

    /// Hears what a link was opened for, which must come within the handshake's deadline.
    pub async fn arrive(&self, link: Link) -> Result<Arrival, StreamError> {
        let (send, recv) = link.accept_bi().await?;
        let (mut sender, mut receiver) = stream::welcome::<Answer, Opening>(send, recv).await?;
        match receiver.receive().await?.ok_or(StreamError::Ended)? {
            Opening::Fresh => {
                let mut id = ResumeId([0; 16]);
                rand::rng().fill_bytes(&mut id.0);
                sender.send(&Answer::Fresh { id }).await?;
                let (returns, returning) = mpsc::channel(1);
                let carrier = Carrier { link, sender: sender.becomes(), receiver: receiver.becomes() };
                Ok(Arrival::Fresh(Session::start(Side::Acceptor, id, carrier, Some(returns), returning)))
            }
            Opening::Resume(resume) => Ok(self.return_to(link, sender, receiver, resume).await),
        }
    }

    async fn return_to(
        &self,
        link: Link,
        sender: Sender<Answer>,
        receiver: Receiver<Opening>,
        resume: Resume,
    ) -> Arrival {
        let found = {
            let table = self.table();
            table.sessions.get(&resume.id).map(|entry| (entry.session.clone(), entry.returning.clone()))
        };
        let proven = found.and_then(|(session, returning)| {
            let secret = session.upgrade()?.proven(&resume.proof, &link)?;
            Some((returning, secret))
        });
        if let Some((returning, secret)) = proven {
            let returned = Returning { link, sender, receiver, progress: resume.progress, secret };
            return match returning.send(returned).await {
                Ok(()) => Arrival::Resumed,
                // The session has ended this very moment.
                Err(mpsc::error::SendError(returned)) => {
                    refuse(returned.sender, &returned.link).await;
                    Arrival::Refused
                }
            };
        }
        tracing::info!("a link was refused that claimed to resume a session");
        refuse(sender, &link).await;
        Arrival::Refused
    }

    /// Sessions that are kept, with a link or without.
    pub fn len(&self) -> usize {
        self.table().sessions.len()
    }

    /// Says whether no session is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the paused sessions keep.
    pub fn paused_bytes(&self) -> usize {
        self.table().paused_bytes
    }

    pub(super) fn keep(&self, session: &Arc<Inner>) {
        let Some(returning) = session.returns.clone() else { return };
        {
            let mut table = self.table();
            if table.sessions.len() >= self.max_sessions {
                tracing::warn!("a session is not kept through lost links: {} are", self.max_sessions);
                return;
            }
            let entry = Entry { session: Arc::downgrade(session), returning, paused_bytes: 0 };
            table.sessions.insert(session.id, entry);
        }
        // A second time changes nothing.
        let _ = session.kept.set(Kept { resumables: self.clone(), id: session.id });
        if session.is_over() {
            self.forget(&session.id);
        }
    }

    fn forget(&self, id: &ResumeId) {
        let mut table = self.table();
        if let Some(entry) = table.sessions.remove(id) {
            table.paused_bytes -= entry.paused_bytes;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's place among the resumable ones.
#[derive(Debug)]
pub(super) struct Kept {
    resumables: Resumables,
    id: ResumeId,
}

impl Kept {
    /// Counts what the session keeps while it is paused; `false` if that is too much.
    pub(super) fn pause(&self, bytes: usize) -> bool {
        let mut table = self.resumables.table();
        let others = table.paused_bytes;
        let Some(entry) = table.sessions.get_mut(&self.id) else { return false };
        let others = others - entry.paused_bytes;
        if others + bytes > self.resumables.max_paused_bytes {
            tracing::warn!("a session is lost with its link: the paused ones keep {others} bytes");
            return false;
        }
        entry.paused_bytes = bytes;
        table.paused_bytes = others + bytes;
        true
    }

    pub(super) fn resume(&self) {
        self.pause(0);
    }

    pub(super) fn forget(&self) {
        self.resumables.forget(&self.id);
    }
}

impl Returning {
    /// Lets the session go on over this link, if what the peer says it has can be true.
    pub(super) async fn resume(mut self, inner: &Inner) -> Result<Carrier, NotResumed> {
        let resumed = {
            let mut state = inner.state();
            state.resume(&self.progress, Room::Pool).map(|()| state.progress())
        };
        let progress = match resumed {
            Ok(progress) => progress,
            Err(violation) => {
                self.link.close(Close::Violation);
                return Err(violation.into());
            }
        };
        let proof = self.secret.prove(Side::Acceptor, &inner.id, &self.link);
        self.link.admit();
        let answer = Answer::Resumed { proof, progress };
        let answered = timeout(HANDSHAKE_DEADLINE, self.sender.send(&answer)).await;
        if !matches!(answered, Ok(Ok(()))) {
            inner.state().detach();
            self.link.close(Close::TooSlow);
            return Err(NotResumed::TooSlow);
        }
        let Self { link, sender, receiver, secret, .. } = self;
        *inner.current() = Current { secret: ResumeSecret::of(&link), link: link.clone(), previous: Some(secret) };
        Ok(Carrier { link, sender: sender.becomes(), receiver: receiver.becomes() })
    }
}

async fn refuse(mut sender: Sender<Answer>, link: &Link) {
    let _ = sender.send(&Answer::Refused).await;
    let _ = timeout(LAST_WORD, sender.finish()).await;
    link.close(Close::NotAdmitted);
}

/// Time for a refusal to arrive.
const LAST_WORD: Duration = Duration::from_secs(2);
