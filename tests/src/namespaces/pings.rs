//! Round trips through a session at a steady beat, whether or not the last one is back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use belay_relay::client::Link;
use tokio_util::task::AbortOnDropHandle;

use super::Host;

/// A session that is measured until this is dropped.
#[derive(Debug)]
pub struct Pings {
    /// When each was sent, and how long it took.
    taken: Arc<Mutex<Vec<(Instant, Duration)>>>,
    tasks: [AbortOnDropHandle<anyhow::Result<()>>; 3],
}

/// Round trips of a stretch of time.
#[derive(Debug, Clone, Copy)]
pub struct RoundTrips {
    /// How many.
    pub count: usize,
    /// Half took longer.
    pub p50: Duration,
    /// One of a hundred took longer.
    pub p99: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Pings {
    /// Lets `one` ask and `other` answer.
    pub async fn start(one: (&Host, &Link), other: (&Host, &Link)) -> anyhow::Result<Self> {
        let (mut ask, mut hear) = one.1.open_bi().await?;
        let began = Instant::now();
        let taken: Arc<Mutex<Vec<(Instant, Duration)>>> = Arc::default();
        let notes = Arc::clone(&taken);
        let link = other.1.clone();
        let tasks = [
            one.0.spawn(async move {
                let mut beats = tokio::time::interval(PING_EVERY);
                beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
                loop {
                    beats.tick().await;
                    ask.write_all(&(began.elapsed().as_nanos() as u64).to_be_bytes()).await?;
                }
            }),
            one.0.spawn(async move {
                let mut stamp = [0; 8];
                loop {
                    hear.read_exact(&mut stamp).await?;
                    let sent = began + Duration::from_nanos(u64::from_be_bytes(stamp));
                    notes.lock().unwrap_or_else(PoisonError::into_inner).push((sent, sent.elapsed()));
                }
            }),
            other.0.spawn(async move {
                let (mut answer, mut asked) = link.accept_bi().await?;
                let mut stamp = [0; 8];
                loop {
                    asked.read_exact(&mut stamp).await?;
                    answer.write_all(&stamp).await?;
                }
            }),
        ];
        Ok(Self { taken, tasks })
    }

    /// Those that were sent between two moments. What is not back yet is missing: ask a while later.
    pub fn between(&self, from: Instant, to: Instant) -> RoundTrips {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times: Vec<Duration> =
            taken.iter().filter(|(sent, _)| (from..to).contains(sent)).map(|(_, took)| *took).collect();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(Duration::MAX);
        RoundTrips {
            count: times.len(),
            p50: at(50),
            p99: at(99),
            longest: times.last().copied().unwrap_or(Duration::MAX),
        }
    }

    /// Says whether the session still works.
    pub fn is_alive(&self) -> bool {
        self.tasks.iter().all(|task| !task.is_finished())
    }
}

/// Time between two.
const PING_EVERY: Duration = Duration::from_millis(10);
