//! Handshakes under way: how many there are in all, and from each network.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use super::super::keys::source_prefix;

/// Counts handshakes, so that no one network takes the places of all others by never finishing its own.
///
/// A network answers for those alone whose address is proved: whoever makes addresses up could otherwise use up the places of
/// anybody. Those whose address is not proved are few in all, because a Retry is asked for soon.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    total: usize,
    by_network: HashMap<Network, usize>,
}

/// The network that a handshake is counted for; none for one whose address is not proved.
pub(super) type Network = [u8; 8];

/// The network of a proved address.
pub(super) fn network_of(source: IpAddr, is_proved: bool) -> Option<Network> {
    is_proved.then(|| source_prefix(source))
}

impl UnderWay {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self, network: Option<Network>) -> bool {
        let of_network = network.and_then(|network| self.by_network.get(&network).copied()).unwrap_or(0);
        self.total < HANDSHAKES_MAX && of_network < HANDSHAKES_PER_NETWORK
    }

    /// One more.
    pub(super) fn enter(&mut self, network: Option<Network>) {
        self.total += 1;
        if let Some(network) = network {
            *self.by_network.entry(network).or_default() += 1;
        }
    }

    /// One has ended.
    pub(super) fn leave(&mut self, network: Option<Network>) {
        self.total -= 1;
        if let Some(network) = network
            && let Entry::Occupied(mut count) = self.by_network.entry(network)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Handshakes under way at which further ones are refused.
const HANDSHAKES_MAX: usize = 512;

/// The same for those of one network. A handshake that is meant takes some round trips, so that an office behind one address
/// gets hundreds of them done each second; one that is not meant keeps its place for the whole of its deadline.
const HANDSHAKES_PER_NETWORK: usize = HANDSHAKES_MAX / 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn proved(address: [u8; 4]) -> Option<Network> {
        network_of(address.into(), true)
    }

    #[test]
    fn one_network_cannot_take_the_places_of_all() {
        let mut under_way = UnderWay::default();
        let host = |n: u8| proved([192, 0, 2, n]);
        let elsewhere = proved([198, 51, 100, 1]);
        for n in 0..HANDSHAKES_PER_NETWORK {
            assert!(under_way.has_room(host(n as u8)));
            under_way.enter(host(n as u8));
        }
        assert!(!under_way.has_room(host(1)) && under_way.has_room(elsewhere));
        under_way.leave(host(7));
        assert!(under_way.has_room(host(1)));
        assert_eq!(under_way.len(), HANDSHAKES_PER_NETWORK - 1);
    }

    #[test]
    fn whoever_makes_addresses_up_takes_no_place_of_theirs() {
        let mut under_way = UnderWay::default();
        let made_up = network_of([192, 0, 2, 1].into(), false);
        (0..HANDSHAKES_PER_NETWORK * 2).for_each(|_| under_way.enter(made_up));
        assert!(under_way.has_room(proved([192, 0, 2, 1])) && under_way.has_room(made_up));
    }

    #[test]
    fn there_is_an_end_of_places_for_all_and_what_has_ended_leaves_nothing_behind() {
        let mut under_way = UnderWay::default();
        let host = |n: usize| proved([10, (n >> 8) as u8, n as u8, 1]);
        for n in 0..HANDSHAKES_MAX {
            assert!(under_way.has_room(host(n)));
            under_way.enter(host(n));
        }
        assert!(!under_way.has_room(host(HANDSHAKES_MAX)) && !under_way.has_room(None));
        (0..HANDSHAKES_MAX).for_each(|n| under_way.leave(host(n)));
        assert!(under_way.has_room(host(0)) && under_way.by_network.is_empty());
    }
}
