//! A desk at several relays, and agents that find it at one when another dies.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

use belay_agent::join::{Joined, join};
use belay_console::store::EventKind;
use belay_relay::server::Config;
use belay_tests::links::{self, RunningRelay};
use belay_tests::net::{MemoryNet, Weather};
use belay_tests::world::{Nets, Page, World, run};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::refusals::{Thinking, until};

const FIRST: u8 = 1;
const SECOND: u8 = 4;

/// Longer than anybody takes to notice that a relay is dead.
const PATIENCE: Duration = Duration::from_secs(60);

fn ip(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

/// A desk at two relays, in real time because of its store.
async fn world(net: &MemoryNet) -> World {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = [FIRST, SECOND].map(|number| {
        let loopback = links::loopback_relay(&dir.path().join(format!("relay-{number}")));
        let config = Config { listen: SocketAddr::new(ip(number), 443), net: net.host(number), ..loopback };
        RunningRelay::start(&config).unwrap()
    });
    let nets = Nets { desk: net.host(2), agent: net.host(3) };
    World::with_relays(dir, first, vec![second], nets).await.unwrap()
}

/// Ends the first relay for good.
async fn kill_first(net: &MemoryNet, world: &mut World) {
    net.cut(ip(FIRST));
    world.relay.take().unwrap().kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_began_by_a_link_goes_on_through_another_relay_when_the_links_relay_dies() {
    let net = MemoryNet::new(5, Weather::CALM);
    let mut world = world(&net).await;
    let ticket = world.desk.ticket("slow").await.unwrap();
    let mut invite = world.desk.invite(&ticket).await.unwrap();
    // What the desk says of its relays during the session is enough.
    invite.further_relays.clear();
    let mut options = world.options("device", &invite);
    options.yes = false;
    options.patience = PATIENCE;
    let (answer, thinking) = mpsc::channel();
    let page = Page::default();
    let joining = tokio::spawn(join(options, page.person(Thinking(thinking)), CancellationToken::new()));
    until(&world.desk, &ticket, EventKind::SessionStarted).await;
    timeout(PATIENCE, async {
        while !page.text().contains("slow") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the customer is asked");
    assert_eq!(world.relay.as_ref().unwrap().handle.counts().1, 1);
    kill_first(&net, &mut world).await;
    answer.send("y\n").unwrap();

    let joined = timeout(PATIENCE, joining).await.expect("the session goes on").unwrap();
    assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{}", page.text());
    until(&world.desk, &ticket, EventKind::SessionEnded).await;
    let kinds = world.desk.events(ticket.number).await.unwrap();
    assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::SessionStarted).count(), 1, "{kinds:?}");
    for absent in [EventKind::SessionInterrupted, EventKind::SessionResumed, EventKind::InviteRefused] {
        assert!(!kinds.contains(&absent), "{kinds:?}");
    }
    assert_eq!(world.desk.reports(ticket.number).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_help_address_leads_to_whichever_relay_answers() {
    let net = MemoryNet::new(6, Weather::CALM);
    let mut world = world(&net).await;
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    kill_first(&net, &mut world).await;
    let mut options = world.options("device", &invite);
    options.invite = world.desk.profile.help_host.clone();
    options.code = Some(invite.code.digits());
    let (joined, page) = run(options, "").await;
    assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_to_whichever_relay_answers() {
    let net = MemoryNet::new(7, Weather::CALM);
    let mut world = world(&net).await;
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    kill_first(&net, &mut world).await;
    let (joined, page) = world.join("device", &invite.to_string().parse().unwrap()).await;
    assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{page}");
}
