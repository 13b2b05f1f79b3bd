//! Name servers that lie, dawdle or are dead, and the portal before the internet.

use std::cell::RefCell;
use std::time::Duration;

use belay_tests::faults::{NameServer, Names, Patient, Space, alone, resolve_by, told};
use belay_tests::namespaces::{Topology, USUAL_MTU};
use tempfile::TempDir;

use super::{can_run, proves};

pub(super) const NAMES: u8 = 5;
pub(super) const AGENT: u8 = 3;
const OTHER_NAMES: u8 = 6;
const DESK: u8 = 2;
pub(super) const DESK_NAME: &str = "help.belay-desk.example";

/// A machine whose router sends it to a server of names.
pub(super) struct Street {
    pub(super) topology: Topology,
    pub(super) space: Space,
    names: Vec<Names>,
    _resolv_conf: TempDir,
}

impl Street {
    pub(super) async fn with(hosts: &[u8], servers: &[u8]) -> Self {
        let topology = Topology::new(&[hosts, servers].concat(), USUAL_MTU).unwrap();
        let mut names = Vec::new();
        for &server in servers {
            names.push(Names::start(topology.host(server), (DESK_NAME, Topology::address(DESK))).await.unwrap());
        }
        let space = Space::new().unwrap();
        let addresses: Vec<_> = servers.iter().map(|&server| Topology::address(server)).collect();
        let resolv_conf = resolve_by(&space, &addresses).unwrap();
        Self { topology, space, names, _resolv_conf: resolv_conf }
    }

    /// The dnsmasq of a host.
    pub(super) fn serve(&self, host: u8, more: &[&str]) -> NameServer {
        NameServer::start(self.topology.host(host), Topology::address(host), more).unwrap()
    }

    pub(super) fn patient(&self) -> Patient<'_> {
        Patient::new().unwrap().within(&self.space).within(self.topology.host(AGENT))
    }
}

/// How the report calls a name server: addresses do not travel.
fn alias(patient: &Patient<'_>, place: usize) -> String {
    let seen = patient.survey().unwrap();
    let server = &seen.section("network")["dns_servers"]["known"][place];
    assert_eq!(server["probe"]["known"]["outcome"], "resolved", "{server}");
    server["address"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_name_server_that_lies_is_a_warning_until_it_says_the_truth() {
    if !can_run(&["dnsmasq"]) {
        return;
    }
    let _alone = alone().unwrap();
    let street = Street::with(&[AGENT], &[NAMES]).await;
    let server = RefCell::new(Some(street.serve(NAMES, &[])));
    let serve = |more: &[&str]| {
        drop(server.take());
        server.replace(Some(street.serve(NAMES, more)));
    };
    let patient = street.patient();
    let lies = [told("dns-server-lies", &alias(&patient, 0), "warn")];
    proves(&patient, &lies, || serve(&["--address=/#/1.2.3.4"]), || serve(&[]));
}

#[tokio::test]
async fn a_name_server_that_dawdles_is_a_note_until_it_hurries() {
    if !can_run(&["dnsmasq"]) {
        return;
    }
    let _alone = alone().unwrap();
    let street = Street::with(&[AGENT], &[NAMES]).await;
    let _server = street.serve(NAMES, &[]);
    let patient = street.patient();
    let slow = [told("dns-server-slow", &alias(&patient, 0), "info")];
    let dawdle = |ms| street.names[0].dawdle(Duration::from_millis(ms));
    proves(&patient, &slow, || dawdle(450), || dawdle(0));
}

#[tokio::test]
async fn the_only_name_server_dead_is_critical_whether_it_refuses_or_is_silent() {
    if !can_run(&["dnsmasq"]) {
        return;
    }
    let _alone = alone().unwrap();
    let street = Street::with(&[AGENT], &[NAMES]).await;
    let server = RefCell::new(Some(street.serve(NAMES, &[])));
    let patient = street.patient();
    let dead = [told("dns-dead", "", "crit")];
    let rule = |rules: &[String]| street.topology.rule(rules).unwrap();
    proves(&patient, &dead, || rule(&["udp dport 53 drop".to_owned(), "tcp dport 53 drop".to_owned()]), || rule(&[]));
    proves(&patient, &dead, || drop(server.take()), || drop(server.replace(Some(street.serve(NAMES, &[])))));
}

#[tokio::test]
async fn one_of_two_name_servers_dead_is_a_warning_about_that_one() {
    if !can_run(&["dnsmasq"]) {
        return;
    }
    let _alone = alone().unwrap();
    let street = Street::with(&[AGENT], &[NAMES, OTHER_NAMES]).await;
    let _first = street.serve(NAMES, &[]);
    let second = RefCell::new(Some(street.serve(OTHER_NAMES, &[])));
    let patient = street.patient();
    let silent = [told("dns-server-silent", &alias(&patient, 1), "warn")];
    proves(&patient, &silent, || drop(second.take()), || drop(second.replace(Some(street.serve(OTHER_NAMES, &[])))));
}
