//! Something small to see a session stall by: a few bytes each way, all the time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use belay_relay::client::Link;
use quinn::ReadExactError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Host;

/// Messages that flow both ways through a session, numbered.
#[derive(Debug)]
pub struct Pulse {
    /// For each direction, the moments of the arrivals.
    arrivals: [Arc<Mutex<Vec<Instant>>>; 2],
    stop: CancellationToken,
    tasks: Vec<AbortOnDropHandle<anyhow::Result<()>>>,
}

/// The longest silences in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Towards the one who was dialled.
    pub there: Duration,
    /// Back.
    pub back: Duration,
}

impl Stall {
    /// The longer one.
    pub fn longest(&self) -> Duration {
        self.there.max(self.back)
    }
}

impl Pulse {
    /// Lets `one` and `other`, the two ends of a session on their hosts, talk.
    pub fn start(one: (&Host, Link), other: (&Host, Link)) -> Self {
        let arrivals: [Arc<Mutex<Vec<Instant>>>; 2] = Default::default();
        let stop = CancellationToken::new();
        let tasks = vec![
            one.0.spawn(beat(one.1.clone(), stop.clone())),
            other.0.spawn(beat(other.1.clone(), stop.clone())),
            other.0.spawn(listen(other.1, Arc::clone(&arrivals[0]))),
            one.0.spawn(listen(one.1, Arc::clone(&arrivals[1]))),
        ];
        Self { arrivals, stop, tasks }
    }

    /// The longest silences since `from`; the last one may not be over.
    pub fn stall_since(&self, from: Instant) -> Stall {
        let [there, back] = [0, 1].map(|direction: usize| {
            let arrivals = self.arrivals[direction].lock().unwrap_or_else(PoisonError::into_inner);
            let before = arrivals.iter().rev().find(|at| **at <= from).copied().unwrap_or(from);
            let mut moments: Vec<Instant> = std::iter::once(before).chain(arrivals.iter().copied()).collect();
            moments.retain(|at| *at >= before);
            moments.push(Instant::now());
            moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
        });
        Stall { there, back }
    }

    /// From `at` until both directions have been heard again.
    pub fn silent_after(&self, at: Instant) -> Duration {
        let silences = self.arrivals.iter().map(|arrivals| {
            let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            let first = arrivals.iter().find(|arrival| **arrival > at).copied();
            first.unwrap_or_else(Instant::now) - at
        });
        silences.max().unwrap_or_default()
    }

    /// Waits until both directions have been heard for `calm` without a long silence after `from`; the stall until then.
    pub async fn settled(&self, from: Instant, calm: Duration, within: Duration) -> anyhow::Result<Stall> {
        while self.stall_since(Instant::now().checked_sub(calm).unwrap_or(from)).longest() > LONG
            || from.elapsed() < calm
        {
            ensure!(from.elapsed() < within, "the session did not go on within {within:?}");
            tokio::time::sleep(BEAT).await;
        }
        Ok(self.stall_since(from))
    }

    /// Stops, and sees that every message has arrived, once and in order.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.stop.cancel();
        for task in self.tasks {
            task.await??;
        }
        Ok(())
    }
}

async fn beat(link: Link, stop: CancellationToken) -> anyhow::Result<()> {
    let mut stream = link.open_uni().await?;
    let mut number = 0_u64;
    let mut beats = tokio::time::interval(BEAT);
    while !stop.is_cancelled() {
        beats.tick().await;
        let mut message = [0; MESSAGE_BYTES];
        message[..8].copy_from_slice(&number.to_be_bytes());
        stream.write_all(&message).await?;
        number += 1;
    }
    stream.finish()?;
    stream.stopped().await.context("the end did not arrive")?;
    Ok(())
}

async fn listen(link: Link, arrivals: Arc<Mutex<Vec<Instant>>>) -> anyhow::Result<()> {
    let mut stream = link.accept_uni().await?;
    let mut message = [0; MESSAGE_BYTES];
    for number in 0_u64.. {
        match stream.read_exact(&mut message).await {
            Ok(()) => {}
            Err(ReadExactError::FinishedEarly(0)) => break,
            Err(error) => return Err(error.into()),
        }
        ensure!(message[..8] == number.to_be_bytes(), "message {number} is another one");
        arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }
    Ok(())
}

/// Time between two messages.
const BEAT: Duration = Duration::from_millis(5);

/// Bytes of a message: several packets, so that data flows.
const MESSAGE_BYTES: usize = 4_096;

/// A silence that is none of a busy machine.
const LONG: Duration = Duration::from_millis(200);
