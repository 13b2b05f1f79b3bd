//! Asking a relay a few questions, to learn what the way there is like.

use std::time::Duration;

use belay_protocol::invite::RelayAddress;
use belay_protocol::message::{FromRelay, ToRelay};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::dial::Plan;
use super::registration::UDP_AHEAD;
use super::{Client, RelayError, Role};
use crate::close::Close;

/// What the answers of a relay tell of the way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Time until the relay had let us in.
    pub took: Duration,
    /// Time there and back of each question that was answered, in the order of the questions. One that was lost on the way
    /// is repeated, and holds those behind it up, as it would a session.
    pub round_trips: Vec<Duration>,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets declared lost.
    pub lost_packets: u64,
    /// Milliseconds that our clock was ahead of the relay's when it told what it shows.
    pub clock_ahead_ms: Option<i64>,
}

impl Measured {
    /// The median of the round trips; nothing without an answer.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted = self.round_trips.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// The mean of the differences between successive round trips (as in RFC 3550, section 6.4.1, without its smoothing,
    /// for which these are too few); nothing with fewer than two answers.
    pub fn jitter(&self) -> Option<Duration> {
        let differences = self.round_trips.windows(2).filter_map(|pair| match pair {
            [one, next] => Some(one.abs_diff(*next)),
            _ => None,
        });
        let count = u32::try_from(self.round_trips.len().checked_sub(1)?).ok().filter(|count| *count > 0)?;
        Some(differences.sum::<Duration>() / count)
    }
}

impl Client {
    /// Registers at `relay` in the ways of this client, asks for some signs of life, and leaves. Takes `deadline` at most;
    /// when that is up after the relay has let us in, what was learnt until then counts.
    pub async fn measure(&self, relay: RelayAddress, deadline: Duration) -> Result<Measured, RelayError> {
        let began = Instant::now();
        let tunnels_after = self.ends.options.ways.tunnels_after(UDP_AHEAD);
        let plan = Plan { relays: vec![(relay, Duration::ZERO)], tunnels_after, deadline };
        let found = timeout(deadline, self.find(plan, Role::Agent)).await;
        let mut found = found.unwrap_or(Err(RelayError::NoAnswer))?;
        let took = began.elapsed();
        let mut asked: Vec<Instant> = Vec::with_capacity(QUESTIONS);
        let mut measured =
            Measured { took, round_trips: Vec::new(), sent_packets: 0, lost_packets: 0, clock_ahead_ms: None };
        let mut due = interval(QUESTION_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while measured.round_trips.len() < QUESTIONS {
            tokio::select! {
                message = found.receiver.receive() => match message {
                    // Answers come in the order of the questions.
                    Ok(Some(FromRelay::Probed { number })) => {
                        let asked = usize::try_from(number).ok().and_then(|number| asked.get(number));
                        measured.round_trips.extend(asked.map(Instant::elapsed));
                    }
                    Ok(Some(FromRelay::Clock { unix_ms })) => {
                        let ahead_ms = self.ends.options.net.unix_ms().saturating_sub(unix_ms);
                        measured.clock_ahead_ms = Some(ahead_ms);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                },
                _ = due.tick(), if asked.len() < QUESTIONS => {
                    let number = u32::try_from(asked.len()).unwrap_or(u32::MAX);
                    asked.push(Instant::now());
                    if found.sender.send(&ToRelay::Probe { number }).await.is_err() {
                        break;
                    }
                }
                () = sleep_until(began + deadline) => break,
            }
        }
        let path = found.connection.stats().path;
        Close::Done.close(&found.connection);
        // A tunnel is taken down with `found`: before the farewell has gone through it, the relay would keep this end until it
        // is missed.
        sleep(FAREWELL).await;
        drop(found);
        Ok(Measured { sent_packets: path.sent_packets, lost_packets: path.lost_packets, ..measured })
    }
}

/// Time for a last packet to leave this machine.
const FAREWELL: Duration = Duration::from_millis(50);

/// Enough for a mean of differences, in half a second and the time of a round trip.
const QUESTIONS: usize = 12;

/// So far apart that each is a packet of its own, as keys that are typed quickly.
const QUESTION_EVERY: Duration = Duration::from_millis(40);

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(round_trips_ms: &[u64]) -> Measured {
        let round_trips = round_trips_ms.iter().copied().map(Duration::from_millis).collect();
        Measured { took: Duration::ZERO, round_trips, sent_packets: 0, lost_packets: 0, clock_ahead_ms: None }
    }

    #[test]
    fn jitter_is_the_mean_difference_of_successive_round_trips() {
        for (round_trips, median, jitter) in [
            (&[][..], None, None),
            (&[30], Some(30), None),
            (&[30, 30, 30], Some(30), Some(0)),
            (&[30, 50, 20, 40], Some(40), Some(23)),
        ] {
            let seen = measured(round_trips);
            let millis = |time: Option<Duration>| time.map(|time| time.as_millis());
            assert_eq!((millis(seen.median()), millis(seen.jitter())), (median, jitter), "{round_trips:?}");
        }
    }
}
