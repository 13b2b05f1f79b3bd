use std::net::SocketAddr;

use belay_protocol::RouteSalt;
use proptest::prelude::*;

use super::*;
use crate::server::routes::{Decision, DropReason};

const ORGANIZATION: OrganizationKey = OrganizationKey([9; 32]);
const OTHER: OrganizationKey = OrganizationKey([7; 32]);

/// What the relay's own ids begin with in these tests.
const OWN: u8 = 0xaa;

fn peer(name: u8) -> PeerRoute {
    PeerRoute { key: [name; 32], salt: RouteSalt([name; 16]) }
}

fn place(name: u8) -> Place {
    Place { address: SocketAddr::from(([10, 0, 0, name], 4000)), local_ip: None }
}

fn packet_for(peer: &PeerRoute) -> Vec<u8> {
    [[0x40].as_slice(), &peer.route().0, &[0; 28]].concat()
}

fn number(name: u8) -> ConnectionNumber {
    ConnectionNumber(u64::from(name))
}

fn newcomer(name: u8, organization: Option<OrganizationKey>) -> Newcomer {
    let place = place(name);
    Newcomer { peer: peer(name), connection: number(name), place, origin: place.address.ip(), organization }
}

const CAPS: Caps = Caps {
    endpoints: 4,
    endpoints_per_source: 4,
    pairs: 2,
    pairs_per_organization: 2,
    pairs_per_agent: 1,
    pair_bytes_per_second: 1_000,
};

/// A table with its routes.
struct Sample {
    table: Table,
    routes: Arc<Routes>,
}

impl Sample {
    fn empty(caps: Caps) -> Self {
        let routes = Arc::new(Routes::new(|id| id.0[0] == OWN));
        Self { table: Table::new(caps, Arc::clone(&routes)), routes }
    }

    /// A desk (1) and agents (2, 3), none of them paired.
    fn new() -> Self {
        let mut sample = Self::empty(CAPS);
        for (name, organization) in [(1, Some(ORGANIZATION)), (2, None), (3, None)] {
            assert_eq!(sample.table.register(newcomer(name, organization)), Ok(Registered::default()));
        }
        sample
    }

    fn forwards(&self, from: u8, to: u8) -> bool {
        self.forwards_from(place(from), &peer(to), place(to))
    }

    fn forwards_from(&self, from: Place, peer: &PeerRoute, to: Place) -> bool {
        match self.routes.decide(from.address, &packet_for(peer)) {
            Decision::Forward(lane) => {
                assert_eq!(lane.to, to);
                true
            }
            Decision::Drop(DropReason::NotPaired | DropReason::NoRoute) => false,
            other => panic!("{other:?}"),
        }
    }
}

fn told(connection: u8, about: u8) -> Told {
    Told { connection: number(connection), about: peer(about) }
}

fn opened(agent: u8, desk: u8) -> OpenedPair {
    OpenedPair { agent: told(agent, desk), desk: told(desk, agent), agent_origin: place(agent).address.ip() }
}

#[test]
fn only_an_open_pair_is_forwarded_and_only_between_its_two_ends() {
    let mut s = Sample::new();
    assert!(!s.forwards(2, 1));
    assert_eq!(s.table.reach(&peer(2), &ORGANIZATION), Ok(opened(2, 1)));
    assert!(s.forwards(2, 1) && s.forwards(1, 2));
    assert!(!s.forwards(3, 1) && !s.forwards(1, 3) && !s.forwards(3, 2));
    assert_eq!(s.table.leave(&peer(2), &peer(1)), Some(told(1, 2)));
    assert!(!s.forwards(2, 1) && !s.forwards(1, 2));
}

#[test]
fn agents_cannot_reach_each_other() {
    let mut s = Sample::new();
    assert_eq!(s.table.reach(&peer(2), &OrganizationKey(peer(3).key)), Err(TableError::DeskOffline));
    assert_eq!(s.table.rejoin(&peer(2), &peer(3)), Err(TableError::DeskOffline));
    assert_eq!(s.table.reach(&peer(4), &ORGANIZATION), Err(TableError::Gone));
    assert_eq!(s.table.rejoin(&peer(4), &peer(1)), Err(TableError::Gone));
    assert_eq!(s.table.reach(&peer(1), &ORGANIZATION), Err(TableError::NotAnAgent));
    assert_eq!(s.table.rejoin(&peer(1), &peer(2)), Err(TableError::NotAnAgent));
    // The wish for agent 3 above does not come true when 3 registers once more, as an agent.
    assert_eq!(s.table.register(newcomer(3, None)).unwrap().opened, []);
    assert!(!s.forwards(2, 3) && !s.forwards(3, 2));
}

#[test]
fn who_disappears_takes_its_pairs_along_and_partners_are_told() {
    let mut s = Sample::new();
    s.table.reach(&peer(2), &ORGANIZATION).unwrap();
    assert_eq!(s.table.remove(&peer(1).key, number(1)), [told(2, 1)]);
    assert!(!s.forwards(2, 1) && !s.forwards(1, 2));
    assert_eq!(s.table.reach(&peer(2), &ORGANIZATION), Err(TableError::DeskOffline));
    assert_eq!(s.table.counts(), (2, 0));
}

#[test]
fn who_waits_is_connected_when_the_desk_comes() {
    let mut s = Sample::empty(Caps { pairs_per_agent: 2, ..CAPS });
    for name in [2, 3] {
        s.table.register(newcomer(name, None)).unwrap();
    }
    assert_eq!(s.table.reach(&peer(2), &ORGANIZATION), Err(TableError::DeskOffline));
    assert_eq!(s.table.rejoin(&peer(3), &peer(1)), Err(TableError::DeskOffline));
    let mut registered = s.table.register(newcomer(1, Some(ORGANIZATION))).unwrap();
    registered.opened.sort_by_key(|pair| pair.agent.connection);
    assert_eq!(registered.opened, [opened(2, 1), opened(3, 1)]);
    assert!(s.forwards(2, 1) && s.forwards(3, 1));

    s.table.remove(&peer(1).key, number(1));
    let back = s.table.register(newcomer(1, Some(ORGANIZATION))).unwrap();
    assert_eq!(back.opened, [], "a wish comes true once; the agents have been told that the desk had gone");
}

#[test]
fn a_wish_that_was_given_up_is_not_fulfilled() {
    let mut s = Sample::empty(CAPS);
    s.table.register(newcomer(2, None)).unwrap();
    assert_eq!(s.table.rejoin(&peer(2), &peer(1)), Err(TableError::DeskOffline));
    assert_eq!(s.table.rejoin(&peer(2), &peer(3)), Err(TableError::Full), "wishes are bounded");
    s.table.leave(&peer(2), &peer(1));
    assert_eq!(s.table.reach(&peer(2), &ORGANIZATION), Err(TableError::DeskOffline));
    assert_eq!(s.table.reach(&peer(2), &OTHER), Err(TableError::DeskOffline), "the newest wish for a desk counts");
    assert_eq!(s.table.register(newcomer(1, Some(ORGANIZATION))).unwrap().opened, []);
    s.table.remove(&peer(2).key, number(2));
    assert!(s.table.waiting_for_desk.is_empty() && s.table.waiting_for_peer.is_empty());
}

#[test]
fn a_new_connection_of_the_same_route_keeps_its_pairs_at_its_new_address() {
    let mut s = Sample::new();
    s.table.reach(&peer(2), &ORGANIZATION).unwrap();
    let moved =
        Newcomer { connection: number(20), place: place(5), origin: place(5).address.ip(), ..newcomer(2, None) };
    let registered = s.table.register(moved).unwrap();
    assert_eq!((registered.replaced, registered.gone), (Some(number(2)), vec![]));
    assert_eq!(registered.opened.len(), 1);
    assert_eq!(registered.opened[0].agent, Told { connection: number(20), about: peer(1) });
    assert_eq!(registered.opened[0].agent_origin, place(5).address.ip());
    assert!(s.forwards_from(place(5), &peer(1), place(1)) && s.forwards_from(place(1), &peer(2), place(5)));
    assert!(!s.forwards(2, 1), "nothing is forwarded from where it was");
    assert_eq!(s.table.remove(&peer(2).key, number(2)), [], "the old connection's end changes nothing");
    assert!(s.forwards_from(place(1), &peer(2), place(5)));
}

#[test]
fn an_address_that_was_confirmed_takes_over_and_the_budget_goes_along() {
    let mut s = Sample::new();
    s.table.reach(&peer(2), &ORGANIZATION).unwrap();
    let Decision::Forward(lane) = s.routes.decide(place(2).address, &packet_for(&peer(1))) else { panic!() };
    assert!(lane.take(1_000, std::time::Duration::ZERO));
    let at = place(6);
    assert_eq!(
        s.table.moved(&peer(2).key, number(9), at, at.address.ip()),
        [],
        "not the connection it is registered on"
    );
    assert!(s.forwards(2, 1));
    assert_eq!(s.table.moved(&peer(2).key, number(2), at, at.address.ip()).len(), 1);
    assert!(!s.forwards(2, 1) && s.forwards_from(place(1), &peer(2), at));
    let Decision::Forward(lane) = s.routes.decide(at.address, &packet_for(&peer(1))) else { panic!() };
    assert!(!lane.take(1, std::time::Duration::ZERO));
}

#[test]
fn an_address_that_a_nat_gave_to_another_end_stays_that_ends() {
    let mut s = Sample::new();
    s.table.reach(&peer(2), &ORGANIZATION).unwrap();
    s.table.reach(&peer(3), &ORGANIZATION).unwrap();
    assert_eq!(s.table.moved(&peer(3).key, number(3), place(2), place(2).address.ip()).len(), 1);
    s.table.remove(&peer(2).key, number(2));
    assert!(s.forwards_from(place(2), &peer(1), place(1)) && s.forwards_from(place(1), &peer(3), place(2)));
}

#[test]
fn the_newest_connection_of_a_key_wins() {
    let mut s = Sample::new();
    s.table.reach(&peer(2), &ORGANIZATION).unwrap();
    let restarted = PeerRoute { salt: RouteSalt([77; 16]), ..peer(1) };
    let again = Newcomer { peer: restarted, connection: number(10), ..newcomer(1, Some(ORGANIZATION)) };
    let registered = s.table.register(again).unwrap();
    assert_eq!((registered.replaced, registered.gone), (Some(number(1)), vec![told(2, 1)]));
    assert_eq!(s.table.remove(&peer(1).key, number(1)), [], "the old connection's end changes nothing");
    assert_eq!(s.table.reach(&peer(2), &ORGANIZATION).unwrap().agent.about, restarted);
}

#[test]
fn at_its_caps_the_table_refuses_newcomers_only() {
    let mut s = Sample::new();
    s.table.register(newcomer(4, None)).unwrap();
    assert_eq!(s.table.register(newcomer(5, None)), Err(TableError::Full));
    assert!(
        s.table.register(Newcomer { connection: number(6), ..newcomer(4, None) }).is_ok(),
        "a known key may come again"
    );
    s.table.reach(&peer(2), &ORGANIZATION).unwrap();
    s.table.reach(&peer(2), &ORGANIZATION).unwrap();
    s.table.reach(&peer(3), &ORGANIZATION).unwrap();
    assert_eq!(s.table.reach(&peer(4), &ORGANIZATION), Err(TableError::Full), "two pairs are the limit");

    let check = |caps: Caps, expected: [Result<(), TableError>; 2]| {
        let mut s = Sample::empty(caps);
        for (name, organization) in [(1, Some(ORGANIZATION)), (2, Some(OTHER)), (3, None), (4, None)] {
            s.table.register(newcomer(name, organization)).unwrap();
        }
        s.table.reach(&peer(3), &ORGANIZATION).unwrap();
        let second_of_agent = s.table.reach(&peer(3), &OTHER).map(drop);
        let second_of_organization = s.table.reach(&peer(4), &ORGANIZATION).map(drop);
        assert_eq!([second_of_agent, second_of_organization], expected);
    };
    let roomy = Caps { endpoints: 9, endpoints_per_source: 9, pairs: 9, pairs_per_organization: 9, ..CAPS };
    check(roomy, [Err(TableError::Full), Ok(())]);
    check(Caps { pairs_per_agent: 2, pairs_per_organization: 1, ..roomy }, [Ok(()), Err(TableError::Full)]);
}

#[test]
fn one_source_network_has_a_cap_of_its_own() {
    let mut s = Sample::empty(Caps { endpoints: 9, endpoints_per_source: 2, ..CAPS });
    s.table.register(newcomer(1, None)).unwrap();
    s.table.register(newcomer(2, None)).unwrap();
    assert_eq!(s.table.register(newcomer(3, None)), Err(TableError::Full));
    let elsewhere = Newcomer { origin: [192, 0, 2, 1].into(), ..newcomer(3, None) };
    s.table.register(elsewhere).unwrap();
    s.table.remove(&peer(1).key, number(1));
    s.table.register(newcomer(4, None)).unwrap();
    s.table.moved(&peer(4).key, number(4), place(4), [192, 0, 2, 2].into());
    s.table.register(newcomer(5, None)).unwrap();
}

#[test]
fn a_denied_device_loses_its_pairs_and_gets_none() {
    let mut s = Sample::new();
    s.table.reach(&peer(2), &ORGANIZATION).unwrap();
    let told_now = s.table.set_denied(ORGANIZATION, [DeviceKey(peer(2).key), DeviceKey(peer(3).key)].into());
    assert_eq!(told_now, [told(2, 1), told(1, 2)]);
    assert!(!s.forwards(2, 1) && !s.forwards(1, 2));
    for name in [2, 3] {
        assert_eq!(s.table.reach(&peer(name), &ORGANIZATION), Err(TableError::Denied));
        assert_eq!(s.table.rejoin(&peer(name), &peer(1)), Err(TableError::Denied));
    }
    s.table.set_denied(ORGANIZATION, [DeviceKey(peer(3).key)].into());
    assert!(s.table.reach(&peer(2), &ORGANIZATION).is_ok());
    s.table.set_denied(OTHER, [DeviceKey(peer(2).key)].into());
    assert!(s.forwards(2, 1), "one organization does not decide for another");
}

#[test]
fn a_denied_device_that_waits_is_not_connected_when_the_desk_comes() {
    let mut s = Sample::empty(CAPS);
    s.table.register(newcomer(2, None)).unwrap();
    assert_eq!(s.table.reach(&peer(2), &ORGANIZATION), Err(TableError::DeskOffline));
    s.table.set_denied(ORGANIZATION, [DeviceKey(peer(2).key)].into());
    assert_eq!(s.table.register(newcomer(1, Some(ORGANIZATION))).unwrap().opened, []);
}

#[test]
fn a_route_of_another_key_cannot_be_taken() {
    let mut s = Sample::new();
    let taken = peer(2).route();
    let thief = s.table.endpoints.get_mut(&taken).unwrap();
    thief.peer.key = [66; 32];
    assert_eq!(s.table.register(newcomer(2, None)), Err(TableError::RouteTaken));
}

#[test]
fn both_ends_are_told_once_that_a_budget_bites() {
    let mut s = Sample::new();
    s.table.reach(&peer(2), &ORGANIZATION).unwrap();
    let Decision::Forward(lane) = s.routes.decide(place(2).address, &packet_for(&peer(1))) else { panic!() };
    assert!(!lane.take(1_001, std::time::Duration::ZERO));
    assert_eq!(s.table.take_slowed(), [told(2, 1), told(1, 2)]);
    assert_eq!(s.table.take_slowed(), []);
}

#[test]
fn an_unknown_session_is_dropped_and_control_packets_are_ours() {
    let s = Sample::new();
    let long = |first: u8, id_bytes: u8, id: u8, length: usize| {
        [vec![first, 0, 0, 0, 1, id_bytes], vec![id; usize::from(id_bytes)], vec![0; length]].concat()
    };
    let check = |bytes: &[u8], expected: &str| {
        assert_eq!(format!("{:?}", s.routes.decide(place(2).address, bytes)), expected);
    };
    check(&long(0xc0, 16, 0xee, 1200), "Drop(NoRoute)");
    check(&long(0xc0, 20, 0xee, 1200), "LocalInitial { is_continued: false }");
    check(&long(0xc0, 8, 0xee, 1200), "LocalInitial { is_continued: false }");
    check(&long(0xc0, 8, OWN, 1200), "LocalInitial { is_continued: true }");
    check(&long(0xc0, 8, 0xee, 1000), "Drop(Malformed)");
    check(&long(0xe0, 8, OWN, 30), "Local");
    check(&long(0xe0, 8, 0xee, 30), "Drop(Malformed)");
    check(&long(0xc0, 7, 0xee, 1200), "Drop(Malformed)");
    check(&[0x40; 30], "Drop(NoRoute)");
    check(&[[0x40].as_slice(), &[OWN; 30]].concat(), "Local");
    check(&[0x40; 8], "Drop(Malformed)");
}

/// Steps of the model test.
#[derive(Debug, Clone)]
enum Step {
    Register(u8),
    Reregister(u8, u8),
    Reach(u8),
    Rejoin(u8),
    Leave(u8, u8),
    Move(u8, u8),
    Remove(u8),
    Deny(u8),
    Allow,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 1u8..6;
    prop_oneof![
        name.clone().prop_map(Step::Register),
        (name.clone(), 11u8..16).prop_map(|(name, at)| Step::Reregister(name, at)),
        name.clone().prop_map(Step::Reach),
        name.clone().prop_map(Step::Rejoin),
        (name.clone(), name.clone()).prop_map(|(one, other)| Step::Leave(one, other)),
        (name.clone(), 11u8..16).prop_map(|(name, at)| Step::Move(name, at)),
        name.clone().prop_map(Step::Remove),
        name.prop_map(Step::Deny),
        Just(Step::Allow),
    ]
}

proptest! {
    /// A model of a few sets beside the table: who is where, and which agents may talk with the one desk (1).
    #[test]
    fn nothing_is_forwarded_but_between_the_places_of_an_open_pair(
        steps in prop::collection::vec(step(), 0..60),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let caps = Caps { endpoints: 9, endpoints_per_source: 9, pairs: 9, pairs_per_organization: 9, ..CAPS };
        let mut s = Sample::empty(caps);
        let organization = |name: u8| (name == 1).then_some(ORGANIZATION);
        let mut places: BTreeMap<u8, u8> = BTreeMap::new();
        // Where two ends were at once: there the later one counts, and the earlier one is cut off.
        let mut contested: BTreeSet<u8> = BTreeSet::new();
        let (mut open, mut waiting, mut denied) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Register(name) | Step::Reregister(name, _) => {
                    let at = if let Step::Reregister(_, at) = step { at } else { name };
                    let origin = place(at).address.ip();
                    let new = Newcomer { place: place(at), origin, ..newcomer(name, organization(name)) };
                    s.table.register(new).unwrap();
                    places.insert(name, at);
                    if name == 1 {
                        open.extend(std::mem::take(&mut waiting).into_iter().filter(|agent| !denied.contains(agent)));
                    }
                }
                Step::Reach(agent) | Step::Rejoin(agent) => {
                    let asked = match step {
                        Step::Reach(_) => s.table.reach(&peer(agent), &ORGANIZATION),
                        _ => s.table.rejoin(&peer(agent), &peer(1)),
                    };
                    let expected = match (agent, places.contains_key(&agent), places.contains_key(&1)) {
                        (_, false, _) => Err(TableError::Gone),
                        (1, ..) => Err(TableError::NotAnAgent),
                        (_, _, false) => Err(TableError::DeskOffline),
                        _ if denied.contains(&agent) => Err(TableError::Denied),
                        _ => Ok(()),
                    };
                    prop_assert_eq!(asked.map(drop), expected);
                    match expected {
                        Ok(()) => { open.insert(agent); }
                        Err(TableError::DeskOffline) => { waiting.insert(agent); }
                        _ => {}
                    }
                }
                Step::Leave(one, other) => {
                    s.table.leave(&peer(one), &peer(other));
                    if one == 1 { open.remove(&other); }
                    if other == 1 { open.remove(&one); }
                    // A wish for the organization stays.
                    if other == 1 && s.table.endpoints.get(&peer(one).route()).is_none_or(|end| end.wishes.organization.is_none()) {
                        waiting.remove(&one);
                    }
                }
                Step::Move(name, at) => {
                    s.table.moved(&peer(name).key, number(name), place(at), place(at).address.ip());
                    places.entry(name).and_modify(|place| *place = at);
                }
                Step::Remove(name) => {
                    s.table.remove(&peer(name).key, number(name));
                    places.remove(&name);
                    waiting.remove(&name);
                    if name == 1 { open.clear(); } else { open.remove(&name); }
                }
                Step::Deny(name) => {
                    denied.insert(name);
                    s.table.set_denied(ORGANIZATION, denied.iter().map(|name| DeviceKey(peer(*name).key)).collect());
                    open.remove(&name);
                }
                Step::Allow => {
                    denied.clear();
                    s.table.set_denied(ORGANIZATION, BTreeSet::new());
                }
            }
            prop_assert_eq!(s.table.counts(), (places.len(), open.len()));
            contested.extend(places.values().filter(|at| places.values().filter(|other| other == at).count() > 1));
            for from in (1..6).chain(11..16) {
                for to in 1..6 {
                    let decision = s.routes.decide(place(from).address, &packet_for(&peer(to)));
                    let is_partner = |name: &u8| *name != to && (*name == 1 && open.contains(&to) || to == 1 && open.contains(name));
                    let expected = places.iter().any(|(name, at)| *at == from && is_partner(name));
                    match decision {
                        Decision::Forward(lane) => {
                            prop_assert_eq!(Some(lane.to), places.get(&to).map(|at| place(*at)));
                            prop_assert!(expected, "{} to {}", from, to);
                        }
                        Decision::Drop(_) if expected => {
                            prop_assert!(contested.contains(&from), "{} to {} is cut", from, to);
                        }
                        Decision::Drop(_) => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
            }
        }
        let decision = s.routes.decide(place(9).address, &bytes);
        prop_assert!(!matches!(decision, Decision::Forward(_)));
        prop_assert_eq!(s.table.sources.values().sum::<usize>(), places.len());
    }
}
