//! Peers that do not keep to the protocol: what they do costs nobody else anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use belay_agent::join::{JoinError, Joined};
use belay_protocol::codec;
use belay_protocol::frame;
use belay_protocol::hello::{Hello, Welcome};
use belay_protocol::invite::{Code, Invite, InviteSecret};
use belay_protocol::limits::{FRAME_MAX_BYTES, HELLO_MAX_BYTES};
use belay_protocol::message::AgentMessage;
use belay_protocol::version::{SUPPORTED, Version};
use belay_relay::client::{Link, SendStream};
use belay_relay::close::Close;
use belay_relay::identity::Identity;
use belay_relay::net::SystemNet;
use belay_relay::stream::read_frame;
use belay_relay::tls;
use belay_tests::links::{self, Agent, RunningRelay};
use belay_tests::net::{MemoryNet, Weather};
use belay_tests::world::{Nets, World, run};
use quinn::{ClientConfig, Connection, Endpoint};
use tokio::time::timeout;

/// The openings of a conversation that no honest peer sends.
fn openings() -> Vec<(&'static str, Vec<u8>)> {
    let hello = |versions: Vec<Version>| frame::wrap(&Hello { versions }.encode(), HELLO_MAX_BYTES).unwrap();
    let good = hello(SUPPORTED.to_vec());
    let then = |rest: &[u8]| [good.as_slice(), rest].concat();
    let bye = frame::wrap(&codec::encode(&AgentMessage::Bye, FRAME_MAX_BYTES).unwrap(), FRAME_MAX_BYTES).unwrap();
    vec![
        ("a hello of 4 GiB", vec![0xff; 64]),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a cut off hello", good[..good.len() - 3].to_vec()),
        ("a version nobody knows", hello(vec![Version(20_991_231)])),
        ("a message of 4 GiB", then(&[0xff; 64])),
        ("a cut off message", then(&[0, 0, 0, 9, 1, 2])),
        ("a message of no kind", then(&[0, 0, 0, 2, 0xfa, 0xfa])),
        ("a message out of its turn", then(&bye)),
        ("an empty message", then(&[0, 0, 0, 0])),
        ("nothing", vec![]),
    ]
}

async fn control_connection(relay: SocketAddr, key: [u8; 32]) -> (Endpoint, Connection) {
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let crypto = tls::client(&Identity::generate().unwrap(), tls::CONTROL_ALPN, Some(key)).unwrap();
    let config = ClientConfig::new(Arc::new(crypto));
    let connection = endpoint.connect_with(config, relay, tls::SERVER_NAME).unwrap().await.unwrap();
    (endpoint, connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_closes_on_every_wrong_opening_and_serves_the_next() {
    let world = World::start().await.unwrap();
    let address = world.relay.as_ref().unwrap().address.clone();
    let socket: SocketAddr = address.host_port().parse().unwrap();
    for (name, opening) in openings() {
        let (_endpoint, connection) = control_connection(socket, address.key.0).await;
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&opening).await.unwrap();
        send.finish().unwrap();
        if name == "a version nobody knows" {
            let answer = read_frame(&mut recv, HELLO_MAX_BYTES).await.unwrap().unwrap();
            assert_eq!(Welcome::decode(&answer), Ok(Welcome::NoCommonVersion(SUPPORTED[0])));
        }
        timeout(Duration::from_secs(20), connection.closed()).await.unwrap_or_else(|_| panic!("{name} is kept"));
    }
    assert_serves(&world).await;
}

async fn assert_serves(world: &World) {
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let (joined, page) = world.join("device", &invite).await;
    assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_closes_on_every_wrong_opening_and_serves_the_next() {
    let world = World::start().await.unwrap();
    let address = world.relay.as_ref().unwrap().address.clone();
    for (name, opening) in openings() {
        let (_agent, link) = dial(&world, &address).await;
        let (mut send, mut recv) = link.open_bi().await.unwrap();
        send.write_all(&opening).await.unwrap();
        send.finish().unwrap();
        if name == "a version nobody knows" {
            let answer = read_frame(&mut recv, HELLO_MAX_BYTES).await.unwrap().unwrap();
            assert_eq!(Welcome::decode(&answer), Ok(Welcome::NoCommonVersion(SUPPORTED[0])));
        }
        timeout(Duration::from_secs(20), link.closed()).await.unwrap_or_else(|_| panic!("{name} is kept"));
    }
    assert_serves(&world).await;
}

async fn dial(world: &World, relay: &belay_protocol::invite::RelayAddress) -> (Agent, Link) {
    let mut agent = Agent::start(Arc::new(SystemNet), relay).await.unwrap();
    agent.registration.reach(world.desk.profile.organization).await;
    let peer = loop {
        if let Some(belay_relay::client::Notice::Opened { peer, .. }) = agent.registration.notice().await {
            break peer;
        }
    };
    let link = agent.client.dial(&peer).await.unwrap();
    (agent, link)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_stream_beside_the_first_and_not_much_time() {
    let world = World::start().await.unwrap();
    let address = world.relay.as_ref().unwrap().address.clone();
    let (_agent, link) = dial(&world, &address).await;
    let _first = link.open_bi().await.unwrap();
    tokio::select! {
        stream = link.open_uni() => assert!(stream.is_err(), "a stranger may send a report's bytes"),
        stream = link.open_bi() => assert!(stream.is_err(), "a stranger has a second conversation"),
        closed = timeout(Duration::from_secs(30), link.closed()) => {
            assert_eq!(closed.expect("a silent stranger is closed"), Some(Close::TooSlow));
        }
    }
}

/// A desk that proves its key and then says `opening` instead of a greeting.
async fn meet(world: &World, desk: &links::Desk, opening: Vec<u8>) -> JoinError {
    let invite = Invite {
        relay: world.relay.as_ref().unwrap().address.clone(),
        further_relays: Vec::new(),
        code: Code::from_number(1),
        desk: world.desk.profile.help_host.clone(),
        organization: desk.organization.organization_key(),
        secret: InviteSecret([0; 16]),
    };
    let mut options = world.options("device", &invite);
    options.insecure_http = false;
    let hostile = async {
        let link = desk.accept().await.unwrap();
        let (mut send, _recv): (SendStream, _) = link.accept_bi().await.unwrap();
        send.write_all(&opening).await.unwrap();
        send.finish().unwrap();
        link.closed().await;
    };
    let (joined, ()) = tokio::join!(async { run(options, "").await.0 }, hostile);
    joined.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_leaves_a_desk_that_does_not_speak_properly() {
    let world = World::start().await.unwrap();
    let relay = world.relay.as_ref().unwrap().address.clone();
    let desk = links::Desk::start(Arc::new(SystemNet), &relay).await.unwrap();
    let welcome = |welcome: Welcome| frame::wrap(&welcome.encode(), HELLO_MAX_BYTES).unwrap();
    let agreed = welcome(Welcome::Agreed(SUPPORTED[0]));
    for (name, opening) in [
        ("a welcome of 4 GiB", vec![0xff; 64]),
        ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("a newer version", welcome(Welcome::NoCommonVersion(Version(20_991_231)))),
        ("a cut off welcome", agreed[..agreed.len() - 1].to_vec()),
        ("a message of 4 GiB", [agreed.as_slice(), &[0xff; 64]].concat()),
        ("a message of no kind", [agreed.as_slice(), &[0, 0, 0, 1, 0xfa]].concat()),
        ("nothing", vec![]),
    ] {
        let error = meet(&world, &desk, opening).await;
        let is_understood = matches!(error, JoinError::Protocol(_) | JoinError::Dial(_) | JoinError::Relay { .. });
        assert!(is_understood, "{name}: {error:?}");
        assert!(!error.sentence(belay_protocol::Language::English).is_empty());
    }
}

const RELAY: u8 = 1;

/// A world on the network in memory, where the relay can be taken away without a word.
async fn memory_world() -> (MemoryNet, belay_relay::server::Config, World) {
    let net = MemoryNet::new(7, Weather { delay: Duration::from_millis(20), ..Weather::CALM });
    let dir = tempfile::tempdir().unwrap();
    let config = links::memory_relay(&net, RELAY, &dir.path().join("relay"));
    let relay = RunningRelay::start(&config).unwrap();
    let nets = Nets { desk: net.host(2), agent: net.host(3) };
    let world = World::with(dir, relay, nets).await.unwrap();
    (net, config, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_dies_while_the_report_is_sent_and_comes_back_loses_and_doubles_nothing() {
    let (net, config, mut world) = memory_world().await;
    for round in 0..4u64 {
        let ticket = world.desk.ticket("slow").await.unwrap();
        let invite = world.desk.invite(&ticket).await.unwrap();
        let joining = tokio::spawn(run(world.options(&format!("device-{round}"), &invite), ""));
        let mut events = world.desk.store.events_after(belay_console::store::EventId(0));
        loop {
            let event = events.next().await.unwrap();
            if event.ticket == ticket.number && event.kind == belay_console::store::EventKind::ConsentRecorded {
                break;
            }
        }
        // Between the consent and its acknowledgement lie 40 ms on the way.
        tokio::time::sleep(Duration::from_millis(10 * round)).await;
        net.unplug(config.listen);
        world.relay.take().unwrap().kill().await;
        world.relay = Some(RunningRelay::start(&config).unwrap());
        let (joined, page) = timeout(Duration::from_secs(60), joining).await.unwrap().unwrap();
        assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{page}");
        assert_eq!(world.desk.reports(ticket.number).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_dies_for_good_while_the_report_is_sent_ends_in_one_sentence() {
    let (net, config, mut world) = memory_world().await;
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let mut options = world.options("device", &invite);
    options.patience = Duration::from_secs(3);
    let joining = tokio::spawn(run(options, ""));
    let mut events = world.desk.store.events_after(belay_console::store::EventId(0));
    while events.next().await.unwrap().kind != belay_console::store::EventKind::ConsentRecorded {}
    net.unplug(config.listen);
    world.relay.take().unwrap().kill().await;
    let (joined, _) = timeout(Duration::from_secs(60), joining).await.unwrap().unwrap();
    let error = joined.unwrap_err();
    assert!(matches!(error, JoinError::NotConfirmed), "{error:?}");
    assert!(error.sentence(belay_protocol::Language::English).contains("run the same command again"));

    // The same command within a quarter of an hour: the same session, and the report is not there twice.
    world.relay = Some(RunningRelay::start(&config).unwrap());
    // The desk needs some seconds to notice that its relay is a new one, as a customer's patience would find.
    for _ in 0..10 {
        let tried = timeout(Duration::from_secs(60), run(world.options("device", &invite), "")).await.unwrap();
        match tried {
            (Err(JoinError::NotConnected(_) | JoinError::Dial(_)), _) => continue,
            (Ok(Joined::Filed(_)), _) => break,
            (other, page) => panic!("{other:?}\n{page}"),
        }
    }
    assert_eq!(world.desk.sessions(ticket.number).await.unwrap().len(), 1);
    assert!(!world.desk.reports(ticket.number).await.unwrap().is_empty());
}
