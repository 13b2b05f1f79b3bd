//! Relay, desk and agents on the network in memory, in virtual time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::message::RelayRefusal;
use belay_relay::client::{Client, Link, Notice, RelayError, Role};
use belay_relay::identity::Identity;
use belay_relay::server::{Admission, Config};
use belay_tests::links::{Agent, Desk, RunningRelay, client_options, memory_relay};
use belay_tests::net::{MemoryNet, Weather};
use tokio::time::{Instant, timeout};

const RELAY: u8 = 1;
const DESK: u8 = 2;
const AGENT: u8 = 3;

fn relay_config(net: &MemoryNet, data: &Path) -> Config {
    memory_relay(net, RELAY, data)
}

/// Sends `sent` and waits for the other end's word that all of it arrived.
async fn transfer(ours: &Link, theirs: &Link, sent: &[u8]) {
    let receiving = {
        let (theirs, limit) = (theirs.clone(), sent.len());
        tokio::spawn(async move {
            let (mut send, mut recv) = theirs.accept_bi().await.unwrap();
            let received = recv.read_to_end(limit).await.unwrap();
            send.write_all(b"ok").await.unwrap();
            send.finish().unwrap();
            received
        })
    };
    let (mut send, mut recv) = ours.open_bi().await.unwrap();
    send.write_all(sent).await.unwrap();
    send.finish().unwrap();
    assert_eq!(recv.read_to_end(2).await.unwrap(), b"ok");
    assert_eq!(receiving.await.unwrap(), sent);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_arrives_whole_through_loss_doubling_and_reordering() {
    let weather =
        Weather { loss: 0.03, duplication: 0.02, delay: Duration::from_millis(20), jitter: Duration::from_millis(8) };
    for seed in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let net = MemoryNet::new(seed, weather);
        let relay = RunningRelay::start(&relay_config(&net, dir.path())).unwrap();
        let desk = Desk::start(net.host(DESK), &relay.address).await.unwrap();
        let mut agent = Agent::start(net.host(AGENT), &relay.address).await.unwrap();
        let (ours, theirs) = agent.open(&desk).await.unwrap();
        transfer(&ours, &theirs, &vec![seed as u8; 300_000]).await;
        relay.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_outlives_a_killed_and_restarted_relay() {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather::CALM);
    let config = relay_config(&net, dir.path());
    let relay = RunningRelay::start(&config).unwrap();
    let desk = Desk::start(net.host(DESK), &relay.address).await.unwrap();
    let mut agent = Agent::start(net.host(AGENT), &relay.address).await.unwrap();
    let (ours, theirs) = agent.open(&desk).await.unwrap();
    transfer(&ours, &theirs, b"before").await;

    net.unplug(config.listen);
    relay.kill().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let _relay = RunningRelay::start(&config).unwrap();
    let restarted = Instant::now();
    timeout(Duration::from_secs(60), transfer(&ours, &theirs, b"after")).await.expect("the session goes on");
    assert!(restarted.elapsed() < Duration::from_secs(20), "{:?}", restarted.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_restarted_desk_is_told_to_its_agents_as_gone() {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather::CALM);
    let relay = RunningRelay::start(&relay_config(&net, dir.path())).unwrap();
    let desk = Desk::start(net.host(DESK), &relay.address).await.unwrap();
    let mut agent = Agent::start(net.host(AGENT), &relay.address).await.unwrap();
    let peer = agent.reach(&desk).await.unwrap();
    desk.client.close().await;
    drop(desk);
    let gone = timeout(Duration::from_secs(10), async {
        loop {
            if let Some(Notice::Gone(gone)) = agent.registration.notice().await {
                return gone;
            }
        }
    });
    assert_eq!(gone.await.unwrap(), peer);
}

async fn first_failure(net: &MemoryNet, relay: &belay_protocol::invite::RelayAddress, role: Role) -> RelayError {
    let client =
        Client::start(Arc::new(Identity::generate().unwrap()), client_options(net.host(AGENT), false)).unwrap();
    let mut registration = client.register(relay.clone(), role);
    match registration.notice().await {
        Some(Notice::Down(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_relay_key_a_silent_relay_and_an_unknown_name_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather::CALM);
    let relay = RunningRelay::start(&relay_config(&net, dir.path())).unwrap();
    let mut wrong = relay.address.clone();
    wrong.key = Identity::generate().unwrap().relay_key();
    assert!(matches!(first_failure(&net, &wrong, Role::Agent).await, RelayError::WrongKey));
    let mut silent = relay.address.clone();
    silent.port = 444;
    assert!(matches!(first_failure(&net, &silent, Role::Agent).await, RelayError::NoAnswer));
    let mut unknown = relay.address.clone();
    unknown.host = "relay.example.com".to_owned();
    assert!(matches!(first_failure(&net, &unknown, Role::Agent).await, RelayError::Resolve(_)));
}

#[tokio::test(start_paused = true)]
async fn only_listed_organizations_with_a_good_delegation_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather::CALM);
    let (listed, stranger) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let admission = Admission::Listed([listed.organization_key()].into());
    let relay = RunningRelay::start(&Config { admission, ..relay_config(&net, dir.path()) }).unwrap();
    let failure = |delegation| first_failure(&net, &relay.address, Role::Desk(delegation));

    let console = Identity::generate().unwrap().console_key();
    let unknown = failure(stranger.delegate(console, i64::MAX)).await;
    assert!(matches!(unknown, RelayError::Refused(RelayRefusal::UnknownOrganization)), "{unknown:?}");
    // Signed for another console than the one that connects.
    let stolen = failure(listed.delegate(console, i64::MAX)).await;
    assert!(matches!(stolen, RelayError::Refused(RelayRefusal::Delegation)), "{stolen:?}");

    let own = Arc::new(Identity::generate().unwrap());
    let expired = listed.delegate(own.console_key(), 1);
    let client = Client::start(own, client_options(net.host(DESK), true)).unwrap();
    let mut registration = client.register(relay.address.clone(), Role::Desk(expired));
    let notice = registration.notice().await;
    assert!(matches!(notice, Some(Notice::Down(RelayError::Refused(RelayRefusal::Delegation)))), "{notice:?}");

    let mut agent = Agent::start(net.host(AGENT), &relay.address).await.unwrap();
    agent.registration.reach(stranger.organization_key()).await;
    let notice = agent.registration.notice().await;
    assert!(matches!(notice, Some(Notice::Refused(RelayRefusal::UnknownOrganization))), "{notice:?}");
    agent.registration.reach(listed.organization_key()).await;
    let notice = agent.registration.notice().await;
    assert!(matches!(notice, Some(Notice::Refused(RelayRefusal::DeskOffline))), "{notice:?}");
}

#[tokio::test(start_paused = true)]
async fn what_passes_the_relay_shows_nothing_of_what_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather::CALM);
    let relay = RunningRelay::start(&relay_config(&net, dir.path())).unwrap();
    let desk = Desk::start(net.host(DESK), &relay.address).await.unwrap();
    let mut agent = Agent::start(net.host(AGENT), &relay.address).await.unwrap();
    net.record();
    let (ours, theirs) = agent.open(&desk).await.unwrap();
    let marker = *b"marker-of-thirty-two-bytes-0123!";
    transfer(&ours, &theirs, &marker.repeat(100)).await;
    let seen =
        |needle: &[u8]| net.recorded().iter().any(|packet| packet.bytes.windows(needle.len()).any(|w| w == needle));
    assert!(!seen(&marker));
    // The recording would have shown it: the route id, which is in the clear, is found.
    assert!(seen(&desk.client.route().route().0));
}
