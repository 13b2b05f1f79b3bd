//! Handshakes under way: how many there are in all, and from each network.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::keys::source_prefix;

/// Counts handshakes, so that no one network takes the places of all others by never finishing its own.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    total: usize,
    by_source: HashMap<[u8; 8], usize>,
}

impl UnderWay {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    /// Whether there is room for one more from `source`.
    pub(super) fn has_room(&self, source: IpAddr) -> bool {
        let of_source = self.by_source.get(&source_prefix(source)).copied().unwrap_or(0);
        self.total < HANDSHAKES_MAX && of_source < HANDSHAKES_PER_SOURCE
    }

    /// One more from `source`.
    pub(super) fn enter(&mut self, source: IpAddr) {
        self.total += 1;
        *self.by_source.entry(source_prefix(source)).or_default() += 1;
    }

    /// One from `source` has ended.
    pub(super) fn leave(&mut self, source: IpAddr) {
        self.total = self.total.saturating_sub(1);
        let prefix = source_prefix(source);
        if let Some(count) = self.by_source.get_mut(&prefix) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_source.remove(&prefix);
            }
        }
    }
}

/// Handshakes under way at which further ones are refused.
const HANDSHAKES_MAX: usize = 512;

/// The same for those of one network. A handshake that is meant takes some round trips, so that an office behind one address
/// gets hundreds of them done each second; one that is not meant keeps its place for the whole of its deadline.
const HANDSHAKES_PER_SOURCE: usize = HANDSHAKES_MAX / 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_cannot_take_the_places_of_all() {
        let mut under_way = UnderWay::default();
        let host = |n: u8| IpAddr::from([192, 0, 2, n]);
        let elsewhere = IpAddr::from([198, 51, 100, 1]);
        for n in 0..HANDSHAKES_PER_SOURCE {
            assert!(under_way.has_room(host(n as u8)));
            under_way.enter(host(n as u8));
        }
        assert!(!under_way.has_room(host(1)) && under_way.has_room(elsewhere));
        under_way.leave(host(7));
        assert!(under_way.has_room(host(1)));
        assert_eq!(under_way.len(), HANDSHAKES_PER_SOURCE - 1);
    }

    #[test]
    fn there_is_an_end_of_places_for_all_and_what_has_ended_leaves_nothing_behind() {
        let mut under_way = UnderWay::default();
        let host = |n: usize| IpAddr::from([10, (n >> 8) as u8, n as u8, 1]);
        for n in 0..HANDSHAKES_MAX {
            assert!(under_way.has_room(host(n)));
            under_way.enter(host(n));
        }
        assert!(!under_way.has_room(host(HANDSHAKES_MAX)));
        (0..HANDSHAKES_MAX).for_each(|n| under_way.leave(host(n)));
        assert!(under_way.has_room(host(0)) && under_way.by_source.is_empty());
    }
}
