//! Watching a way to a relay while a session is open: when to ask for a sign of life, and when to look for another way.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// How often a way is looked at while a session is open: how soon a change of the local address is noticed.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Session packets that go unanswered for this long ask for a probe. Longer than most round trips, shorter than a person
/// notices.
const STALL: Duration = Duration::from_millis(400);

/// A probe that is not answered by then makes us look for another way, beside going on with this one.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between probes of a quiet way, while a session is open, at first and at least.
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBE_EVERY_LEAST: Duration = Duration::from_secs(1);

/// How often an idle way is looked at, without a packet.
pub(super) const QUIET_LOOK_EVERY: Duration = Duration::from_secs(5);

/// What an idle way was asked by a keep-alive, and did not answer for this long, it will hardly answer: QUIC itself asks
/// again at doubling intervals only, and gives up after minutes.
const QUIET_STALL: Duration = Duration::from_secs(4);

/// What a look at a way came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// All is well, or an answer is still awaited.
    Fine,
    /// Send a probe with this number.
    Probe(u32),
    /// No answer in time: look for another way.
    Suspect,
}

/// What is known of one way. Without a clock: the moment of each call is an argument.
#[derive(Debug)]
pub(super) struct Watch {
    probe_due: Instant,
    every: Duration,
    outstanding: Option<(u32, Instant)>,
    next_number: u32,
    source: Option<IpAddr>,
    /// Whether our own address has changed since the last confirmation.
    has_moved: bool,
}

impl Watch {
    pub(super) fn new(now: Instant, source: Option<IpAddr>) -> Self {
        Self {
            probe_due: now + PROBE_EVERY,
            every: PROBE_EVERY,
            outstanding: None,
            next_number: 1,
            source,
            has_moved: false,
        }
    }

    /// Looks at the way: `unanswered` is how long session packets have gone without any answer, `source` the local
    /// address towards the relay.
    pub(super) fn look(&mut self, now: Instant, unanswered: Duration, source: Option<IpAddr>) -> Look {
        if source.is_some() && source != self.source {
            self.source = source;
            self.has_moved = true;
            // What was asked from the old address may never be answered there.
            self.outstanding = None;
            return self.probe(now);
        }
        match self.outstanding {
            Some((_, asked)) if now.saturating_duration_since(asked) >= PROBE_TIMEOUT => Look::Suspect,
            Some(_) => Look::Fine,
            None if unanswered >= STALL || now >= self.probe_due => self.probe(now),
            None => Look::Fine,
        }
    }

    fn probe(&mut self, now: Instant) -> Look {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        self.outstanding = Some((number, now));
        Look::Probe(number)
    }

    /// An answer came.
    pub(super) fn answered(&mut self, now: Instant, number: u32) {
        // Later than an earlier probe, whose answer was lost: both show life.
        if self.outstanding.is_some_and(|(asked, _)| asked == number) {
            self.outstanding = None;
        }
        self.probe_due = now + self.every;
    }

    /// The relay saw us at another address. If we have not moved, a NAT on the way has forgotten us, and is to be
    /// reminded more often.
    pub(super) fn address_changed(&mut self) {
        if !std::mem::take(&mut self.has_moved) {
            self.every = (self.every / 2).max(PROBE_EVERY_LEAST);
        }
    }
}

/// Whether an idle way still answers, by the counts of its connection.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    received: u64,
    asked: u64,
    unanswered_since: Option<Instant>,
}

impl Quiet {
    /// Looks at the packets received and the signs of life asked for so far; whether it is time to look for another way.
    pub(super) fn is_suspect(&mut self, now: Instant, received: u64, asked: u64) -> bool {
        if received != self.received || asked == self.asked {
            *self = Self { received, asked, unanswered_since: None };
            return false;
        }
        let since = *self.unanswered_since.get_or_insert(now);
        now.saturating_duration_since(since) >= QUIET_STALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    const NOTHING: Duration = Duration::ZERO;
    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)));

    #[test]
    fn a_quiet_way_is_probed_now_and_then_and_a_stalled_one_soon() {
        let start = Instant::now();
        let mut watch = Watch::new(start, HERE);
        assert_eq!(watch.look(at(start, 4_900), NOTHING, HERE), Look::Fine);
        assert_eq!(watch.look(at(start, 5_000), NOTHING, HERE), Look::Probe(1));
        assert_eq!(watch.look(at(start, 5_200), NOTHING, HERE), Look::Fine, "one at a time");
        watch.answered(at(start, 5_300), 1);
        assert_eq!(watch.look(at(start, 5_400), Duration::from_millis(399), HERE), Look::Fine);
        assert_eq!(watch.look(at(start, 5_600), Duration::from_millis(400), HERE), Look::Probe(2));
        assert_eq!(watch.look(at(start, 6_599), NOTHING, HERE), Look::Fine);
        assert_eq!(watch.look(at(start, 6_600), NOTHING, HERE), Look::Suspect);
        watch.answered(at(start, 6_700), 2);
        assert_eq!(watch.look(at(start, 6_800), NOTHING, HERE), Look::Fine);
    }

    #[test]
    fn a_new_local_address_is_probed_at_once() {
        let start = Instant::now();
        let mut watch = Watch::new(start, HERE);
        assert_eq!(watch.look(at(start, 10), NOTHING, THERE), Look::Probe(1));
        assert_eq!(watch.look(at(start, 20), NOTHING, HERE), Look::Probe(2));
        assert_eq!(watch.look(at(start, 30), NOTHING, None), Look::Fine, "no way anywhere: wait");
    }

    #[test]
    fn a_nat_that_forgets_is_reminded_more_often_down_to_once_a_second() {
        let start = Instant::now();
        let mut watch = Watch::new(start, HERE);
        let mut now = start;
        for expected in [5_000, 2_500, 1_250, 1_000, 1_000] {
            now += Duration::from_millis(expected);
            let Look::Probe(number) = watch.look(now, NOTHING, HERE) else { panic!("due after {expected} ms") };
            watch.address_changed();
            watch.answered(now, number);
            assert_eq!(watch.look(now + watch.every - Duration::from_millis(1), NOTHING, HERE), Look::Fine);
        }
        let Look::Probe(number) = watch.look(now, NOTHING, THERE) else { panic!() };
        watch.every = PROBE_EVERY;
        watch.address_changed();
        watch.answered(now, number);
        assert_eq!(watch.every, PROBE_EVERY, "our own move says nothing about a NAT");
    }

    #[test]
    fn an_idle_way_is_suspect_once_it_was_asked_and_stays_silent() {
        let start = Instant::now();
        let mut quiet = Quiet::default();
        let mut look = |ms, received, asked| quiet.is_suspect(at(start, ms), received, asked);
        assert!(!look(0, 10, 12));
        assert!(!look(60_000, 10, 12), "nobody asked");
        assert!(!look(65_000, 10, 13));
        assert!(look(70_000, 10, 15));
        assert!(!look(75_000, 11, 16), "it has answered");
        assert!(!look(80_000, 11, 17));
        assert!(!look(83_999, 11, 17));
        assert!(look(84_000, 11, 17));
    }
}
