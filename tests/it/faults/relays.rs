//! The way to a relay that loses packets or lets no UDP through.

use belay_tests::faults::{DistantDesk, Patient, Seen, Told, alone, told};
use belay_tests::namespaces::no_udp;

use super::can_run;
use super::names::{AGENT, NAMES, Street};

const RELAY: u8 = 1;
const DESK: u8 = 2;

async fn street() -> Street {
    Street::with(&[RELAY, DESK, AGENT], &[NAMES]).await
}

/// Joins, and returns what the desk was told.
fn join(desk: &DistantDesk, patient: &Patient<'_>) -> Seen {
    let (number, link) = desk.open_ticket().unwrap();
    patient.join(&link).unwrap();
    Seen::at_desk(&desk.show(&number).unwrap()).unwrap()
}

fn proves(desk: &DistantDesk, patient: &Patient<'_>, expected: &[Told], make: impl FnOnce(), mend: impl FnOnce()) {
    let before = join(desk, patient);
    for (rule, subject, _) in expected {
        assert_eq!(before.severity(rule, subject), None, "{rule} before there is a fault");
    }
    make();
    assert_eq!(join(desk, patient).since(&before), expected, "in the fault");
    mend();
    assert_eq!(join(desk, patient).since(&before), [], "after the fault");
}

#[tokio::test]
async fn a_link_that_loses_a_packet_in_five_is_a_warning_until_it_is_sound() {
    if !can_run(&["dnsmasq"]) {
        return;
    }
    let _alone = alone().unwrap();
    let street = street().await;
    let _server = street.serve(NAMES, &[]);
    let desk = DistantDesk::start(&street.topology, (RELAY, DESK), None, "localhost", &[]).unwrap();
    let patient = street.patient();
    let rule = |rules: &[String]| street.topology.rule(rules).unwrap();
    let of_five = |side: &str| format!("ip {side} 10.71.{AGENT}.0/24 numgen random mod 5 == 0 drop");
    // The loss delays the way over UDP, and with some luck a tunnel would be there first and hide it.
    let no_tunnel = format!("ip saddr 10.71.{AGENT}.0/24 tcp dport 4433 drop");
    let loses = [no_tunnel, of_five("saddr"), of_five("daddr")];
    proves(&desk, &patient, &[told("relay-path-poor", "", "warn")], || rule(&loses), || rule(&[]));
}

#[tokio::test]
async fn a_network_without_udp_is_a_note_until_it_lets_udp_through() {
    if !can_run(&["dnsmasq"]) {
        return;
    }
    let _alone = alone().unwrap();
    let street = street().await;
    let _server = street.serve(NAMES, &[]);
    let desk = DistantDesk::start(&street.topology, (RELAY, DESK), None, "localhost", &[]).unwrap();
    let patient = street.patient();
    let rule = |rules: &[String]| street.topology.rule(rules).unwrap();
    // Such networks have name servers of their own.
    let rules: Vec<_> =
        ["udp dport 53 accept".to_owned(), "udp sport 53 accept".to_owned()].into_iter().chain(no_udp(AGENT)).collect();
    proves(&desk, &patient, &[told("relay-udp-blocked", "", "info")], || rule(&rules), || rule(&[]));
}
