//! Looks: who has seen what, written into the audit in groups.
//!
//! A look changes nothing, so that its line does not wait for a transaction of its own: a queue of a bounded length is
//! written by one task, at most a tenth of a second late. When the disk does not keep up the queue fills, and whoever looks
//! waits. What is taken away in one piece waits for its line.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::{Actor, Inner, Store, StoreError};
use crate::clock::UnixMillis;

/// One look.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Look {
    /// Who looks, as the audit names them.
    pub actor: String,
    /// The route, as it is described: `/api/v1/tickets/{number}`.
    pub route: &'static str,
    /// What was looked at: the path that was asked for.
    pub subject: String,
}

impl Look {
    /// A look of `actor` at `subject`, which is cut where no path of ours is that long.
    pub fn new(actor: &Actor, route: &'static str, subject: &str) -> Self {
        Self { actor: actor.to_string(), route, subject: subject.chars().take(SUBJECT_MAX_CHARS).collect() }
    }
}

/// The way of looks into the audit.
#[derive(Debug)]
pub(super) struct Looks {
    queue: mpsc::Sender<Noted>,
    known: Mutex<BTreeMap<Look, Known>>,
    writer: Mutex<Option<AbortOnDropHandle<()>>>,
}

#[derive(Debug)]
enum Noted {
    /// A line to be written; who waits for it is told.
    Line { look: Look, at: UnixMillis, unwritten: u64, written: Option<oneshot::Sender<()>> },
    /// The store closes.
    Close,
}

/// A look that has a line, and how often it was repeated since.
#[derive(Clone, Copy, Debug)]
struct Known {
    at: UnixMillis,
    repeated: u64,
}

impl Looks {
    /// A queue and its writer, which ends with the store.
    pub(super) fn start(store: Weak<Inner>) -> Self {
        let (queue, arriving) = mpsc::channel(QUEUE_MAX);
        let writer = AbortOnDropHandle::new(tokio::spawn(write(store, arriving)));
        Self { queue, known: Mutex::default(), writer: Mutex::new(Some(writer)) }
    }

    /// How often a look was repeated since its last line, if it is to have another one now.
    fn count(&self, look: &Look, now: UnixMillis) -> Option<u64> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = known.get_mut(look).filter(|before| now.since(before.at) < REPEATED_WITHIN) {
            before.repeated += 1;
            return None;
        }
        if known.len() >= KNOWN_MAX {
            known.retain(|_, known| now.since(known.at) < REPEATED_WITHIN);
        }
        let before = known.remove(look).map_or(0, |before| before.repeated);
        // More looks at once than are remembered all have their line.
        if known.len() < KNOWN_MAX {
            known.insert(look.clone(), Known { at: now, repeated: 0 });
        }
        Some(before)
    }

    /// Writes what is in the queue and ends the writer.
    pub(super) async fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = self.queue.send(Noted::Close).await;
            let _ = writer.await;
        }
    }
}

impl Store {
    /// Notes a look. The same look within a minute has one line; how often it was repeated stands in the next.
    pub async fn note_look(&self, look: Look) {
        let now = self.inner.clock.now();
        if let Some(unwritten) = self.inner.looks.count(&look, now) {
            // Nobody listens only while the store closes, and then nothing is answered any more.
            let _ = self.inner.looks.queue.send(Noted::Line { look, at: now, unwritten, written: None }).await;
        }
    }

    /// Notes a look and waits until its line is on the disk. `false` when it will not be.
    pub async fn note_look_at_once(&self, look: Look) -> bool {
        let (written, told) = oneshot::channel();
        let line = Noted::Line { look, at: self.inner.clock.now(), unwritten: 0, written: Some(written) };
        self.inner.looks.queue.send(line).await.is_ok() && told.await.is_ok()
    }
}

async fn write(store: Weak<Inner>, mut arriving: mpsc::Receiver<Noted>) {
    let mut closing = false;
    while !closing && let Some(first) = arriving.recv().await {
        let mut batch = vec![first];
        if !matches!(batch.as_slice(), [Noted::Close | Noted::Line { written: Some(_), .. }]) {
            // Those that come within a moment share a transaction.
            tokio::time::sleep(GATHERING).await;
        }
        while batch.len() < BATCH_MAX
            && let Ok(next) = arriving.try_recv()
        {
            batch.push(next);
        }
        closing = batch.iter().any(|noted| matches!(noted, Noted::Close));
        let Some(inner) = store.upgrade() else { return };
        let store = Store { inner };
        while let Err(error) = store.write_looks(&batch).await {
            if closing {
                tracing::error!(%error, "who has looked at what in the last moment could not be written into the audit");
                return;
            }
            tracing::error!(%error, "looks could not be written into the audit; trying again");
            tokio::time::sleep(STORE_PAUSE).await;
        }
        for noted in batch {
            if let Noted::Line { written: Some(written), .. } = noted {
                let _ = written.send(());
            }
        }
    }
}

impl Store {
    async fn write_looks(&self, batch: &[Noted]) -> Result<(), StoreError> {
        let mut write = self.write(&Actor::System).await?;
        for noted in batch {
            if let Noted::Line { look, at, unwritten, .. } = noted {
                let mut details = json!({ "route": look.route });
                if *unwritten > 0 {
                    details["repeated_before"] = json!(unwritten);
                }
                write.audit_as(look.actor.clone(), *at, "look", look.subject.clone(), details).await?;
            }
        }
        write.commit().await
    }
}

/// Half of what a line may be late, which leaves the other half to the disk.
const GATHERING: Duration = Duration::from_millis(50);

/// Looks that wait for the disk before those who look do.
const QUEUE_MAX: usize = 1_024;

/// Lines of one transaction, which other writers wait for.
const BATCH_MAX: usize = 256;

/// A page that asks every second is one look a minute.
const REPEATED_WITHIN: Duration = Duration::from_secs(60);

/// Looks remembered to count their repetitions: some megabytes.
const KNOWN_MAX: usize = 10_000;

/// Longer than any path of ours.
const SUBJECT_MAX_CHARS: usize = 200;

const STORE_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn look(n: usize) -> Look {
        Look::new(&Actor::Local, "/api/v1/tickets/{number}", &format!("/api/v1/tickets/{n}"))
    }

    #[tokio::test]
    async fn repetitions_are_counted_and_what_is_remembered_is_bounded() {
        let looks = Looks::start(Weak::new());
        let now = UnixMillis(1_000_000);
        assert_eq!(looks.count(&look(0), now), Some(0));
        assert_eq!(looks.count(&look(0), now.plus(REPEATED_WITHIN - Duration::from_millis(1))), None);
        assert_eq!(looks.count(&look(0), now.plus(REPEATED_WITHIN)), Some(1));
        for n in 1..KNOWN_MAX + 9 {
            assert_eq!(looks.count(&look(n), now), Some(0));
        }
        assert_eq!(looks.known.lock().unwrap().len(), KNOWN_MAX);
        // One that is not remembered has a line each time, rather than none.
        assert_eq!(looks.count(&look(KNOWN_MAX + 8), now), Some(0));
    }
}
