use belay_protocol::RouteSalt;
use proptest::prelude::*;

use super::*;

const ORGANIZATION: OrganizationKey = OrganizationKey([9; 32]);

fn peer(name: u8) -> PeerRoute {
    PeerRoute { key: [name; 32], salt: RouteSalt([name; 16]) }
}

fn place(name: u8) -> Place {
    Place { address: SocketAddr::from(([10, 0, 0, name], 4000)), local_ip: None }
}

fn packet_for(peer: &PeerRoute) -> Vec<u8> {
    [[0x40].as_slice(), &peer.route().0, &[0; 24]].concat()
}

fn reach(table: &mut Table, agent: &PeerRoute, organization: &OrganizationKey) -> Result<OpenedPair, TableError> {
    table.reach(agent, organization, Instant::now())
}

fn number(name: u8) -> ConnectionNumber {
    ConnectionNumber(u64::from(name))
}

/// A desk (1) and agents (2, 3), none of them paired.
fn table() -> Table {
    let mut table = Table::new(Caps { endpoints: 4, pairs: 2, pairs_per_agent: 1, pair_bytes_per_second: 1_000 });
    table.register(peer(1), number(1), place(1), Some(ORGANIZATION)).unwrap();
    table.register(peer(2), number(2), place(2), None).unwrap();
    table.register(peer(3), number(3), place(3), None).unwrap();
    table
}

fn forwards(table: &Table, from: u8, to: u8) -> bool {
    match table.decide(place(from).address, &packet_for(&peer(to))) {
        Decision::Forward(lane) => {
            assert_eq!(lane.to, place(to));
            true
        }
        Decision::Drop(DropReason::NotPaired) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_an_open_pair_is_forwarded_and_only_between_its_two_ends() {
    let mut table = table();
    assert!(!forwards(&table, 2, 1));
    let opened = reach(&mut table, &peer(2), &ORGANIZATION).unwrap();
    assert_eq!(opened.agent, Told { connection: number(2), about: peer(1) });
    assert_eq!(opened.desk, Told { connection: number(1), about: peer(2) });
    assert!(forwards(&table, 2, 1) && forwards(&table, 1, 2));
    assert!(!forwards(&table, 3, 1) && !forwards(&table, 1, 3) && !forwards(&table, 3, 2));
    assert_eq!(table.leave(&peer(2), &peer(1)), Some(Told { connection: number(1), about: peer(2) }));
    assert!(!forwards(&table, 2, 1) && !forwards(&table, 1, 2));
}

#[test]
fn agents_cannot_reach_each_other_or_an_organization_that_is_not_here() {
    let mut table = table();
    assert_eq!(reach(&mut table, &peer(2), &OrganizationKey([8; 32])), Err(TableError::DeskOffline));
    assert_eq!(reach(&mut table, &peer(2), &OrganizationKey(peer(3).key)), Err(TableError::DeskOffline));
    assert_eq!(reach(&mut table, &peer(4), &ORGANIZATION), Err(TableError::Gone));
    assert_eq!(reach(&mut table, &peer(1), &ORGANIZATION), Err(TableError::NotAnAgent));
}

#[test]
fn who_disappears_takes_its_pairs_along_and_partners_are_told() {
    let mut table = table();
    reach(&mut table, &peer(2), &ORGANIZATION).unwrap();
    assert_eq!(table.remove(&peer(1).key, number(1)), [Told { connection: number(2), about: peer(1) }]);
    assert!(!matches!(table.decide(place(2).address, &packet_for(&peer(1))), Decision::Forward(_)));
    assert_eq!(reach(&mut table, &peer(2), &ORGANIZATION), Err(TableError::DeskOffline));
    assert_eq!(table.counts(), (2, 0));
}

#[test]
fn the_newest_connection_of_a_key_wins() {
    let mut table = table();
    reach(&mut table, &peer(2), &ORGANIZATION).unwrap();
    let restarted = PeerRoute { salt: RouteSalt([77; 16]), ..peer(1) };
    let told = table.register(restarted, number(10), place(4), Some(ORGANIZATION)).unwrap();
    assert_eq!(told, [Told { connection: number(2), about: peer(1) }]);
    assert_eq!(table.remove(&peer(1).key, number(1)), [], "the old connection's end changes nothing");
    assert_eq!(reach(&mut table, &peer(2), &ORGANIZATION).unwrap().agent.about, restarted);
}

#[test]
fn at_its_caps_the_table_refuses_newcomers_only() {
    let mut table = table();
    table.register(peer(4), number(4), place(4), None).unwrap();
    assert_eq!(table.register(peer(5), number(5), place(5), None), Err(TableError::Full));
    assert!(table.register(peer(4), number(6), place(6), None).is_ok(), "a known key may come again");
    reach(&mut table, &peer(2), &ORGANIZATION).unwrap();
    reach(&mut table, &peer(2), &ORGANIZATION).unwrap();
    reach(&mut table, &peer(3), &ORGANIZATION).unwrap();
    assert_eq!(reach(&mut table, &peer(4), &ORGANIZATION), Err(TableError::Full), "two pairs are the limit");
    let other = OrganizationKey([7; 32]);
    let mut table = Table::new(Caps { endpoints: 9, pairs: 9, pairs_per_agent: 1, pair_bytes_per_second: 1 });
    for (name, organization) in [(1, Some(ORGANIZATION)), (2, Some(other)), (3, None)] {
        table.register(peer(name), number(name), place(name), organization).unwrap();
    }
    reach(&mut table, &peer(3), &ORGANIZATION).unwrap();
    assert_eq!(reach(&mut table, &peer(3), &other), Err(TableError::Full), "one pair an agent");
}

#[test]
fn a_route_of_another_key_cannot_be_taken() {
    let mut table = table();
    let taken = peer(2).route();
    let thief = table.endpoints.get_mut(&taken).unwrap();
    thief.peer.key = [66; 32];
    assert_eq!(table.register(peer(2), number(9), place(9), None), Err(TableError::RouteTaken));
}

#[test]
fn a_used_up_budget_drops_and_refills() {
    let mut table = table();
    reach(&mut table, &peer(2), &ORGANIZATION).unwrap();
    let Decision::Forward(lane) = table.decide(place(2).address, &packet_for(&peer(1))) else { panic!() };
    let start = Instant::now();
    assert!(lane.take(600, start));
    assert_eq!(table.take_slowed(), []);
    assert!(!lane.take(600, start));
    let told = table.take_slowed();
    assert!(told.contains(&Told { connection: number(2), about: peer(1) }), "{told:?}");
    assert!(told.contains(&Told { connection: number(1), about: peer(2) }), "{told:?}");
    assert_eq!(table.take_slowed(), [], "told once");
    assert!(lane.take(600, start + Duration::from_millis(300)));
    assert!(!lane.take(1_001, start + Duration::from_secs(60)), "a bucket never holds more than a second's worth");
}

#[test]
fn an_unknown_session_is_dropped_and_control_packets_are_ours() {
    let table = table();
    let initial = |cid_bytes: u8| [vec![0xc0, 0, 0, 0, 1, cid_bytes], vec![0xee; 40]].concat();
    let decide = |bytes: &[u8]| table.decide(place(2).address, bytes);
    assert!(matches!(decide(&initial(16)), Decision::Drop(DropReason::NoRoute)));
    assert!(matches!(decide(&initial(20)), Decision::Local));
    assert!(matches!(decide(&initial(8)), Decision::Local));
    assert!(matches!(decide(&[0x40; 30]), Decision::Local));
    assert!(matches!(decide(&[0x40; 8]), Decision::Drop(DropReason::Malformed)));
    assert!(matches!(decide(&initial(7)), Decision::Drop(DropReason::Malformed)));
}

proptest! {
    #[test]
    fn nothing_is_forwarded_without_an_open_pair(
        steps in prop::collection::vec((0u8..4, 1u8..6, 1u8..6), 0..40),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut table = table();
        let mut open: BTreeSet<(u8, u8)> = BTreeSet::new();
        let mut registered: BTreeSet<u8> = [1, 2, 3].into();
        for (step, one, other) in steps {
            match step {
                0 if one != 1
                    && table.register(peer(one), number(one), place(one), None).is_ok() => {
                        registered.insert(one);
                        open.retain(|pair| pair.0 != one);
                    }
                1
                    if reach(&mut table, &peer(one), &ORGANIZATION).is_ok() => {
                        open.insert((one, 1));
                    }
                2 => {
                    table.leave(&peer(one), &peer(other));
                    open.remove(&(one, other));
                    open.remove(&(other, one));
                }
                3 if one != 1 => {
                    table.remove(&peer(one).key, number(one));
                    registered.remove(&one);
                    open.retain(|pair| pair.0 != one);
                }
                _ => {}
            }
        }
        for from in 1..6 {
            for to in 1..6 {
                let expected = open.contains(&(from, to)) || open.contains(&(to, from));
                let decision = table.decide(place(from).address, &packet_for(&peer(to)));
                let forwarded = matches!(decision, Decision::Forward(_));
                prop_assert_eq!(forwarded, expected);
            }
        }
        prop_assert_eq!(table.counts().0, registered.len());
        let decision = table.decide(place(9).address, &bytes);
        prop_assert!(!matches!(decision, Decision::Forward(_)));
    }
}
