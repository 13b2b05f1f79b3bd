//! A device that is shut out, from the request to the relay and back.

use std::time::Duration;

use belay_console::clock::Clock;
use belay_console::data::DataDirectory;
use belay_console::local::{Local, LocalRequest, Method};
use belay_console::store::SessionState;
use belay_protocol::message::{ConsoleMessage, EndReason, PeerRoute, RelayRefusal};
use belay_protocol::{DeviceKey, OrganizationKey};
use belay_relay::client::Notice;
use belay_tests::links::{self, Agent, RunningRelay};
use belay_tests::net::{MemoryNet, Weather};
use belay_tests::world::{Nets, World};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::resumed_visits::redeem;

const RELAY: u8 = 1;
const DESK: u8 = 2;
const AGENT: u8 = 3;

/// What the design promises.
const CUT_WITHIN: Duration = Duration::from_secs(2);

/// For what only has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks the running console's API as its command line does.
async fn ask(world: &World, method: Method, path: &str, body: Option<Value>) -> Value {
    let directory = DataDirectory::at(world.dir().join("desk"));
    let local = Local::reach(&directory, None, Clock::System).await.unwrap();
    local.ask(&[LocalRequest::new(method, path, body)]).await.unwrap().remove(0)
}

/// The answers of the relay to a device that asks for the desk: `Ok` when it is let in.
async fn reach(agent: &mut Agent, organization: OrganizationKey) -> Result<PeerRoute, RelayRefusal> {
    let answered = async {
        agent.registration.reach(organization).await;
        loop {
            match agent.registration.notice().await {
                Some(Notice::Opened { peer, .. }) => return Ok(peer),
                // The desk comes back to a relay that was restarted, too.
                Some(Notice::Refused(RelayRefusal::DeskOffline)) => {}
                Some(Notice::Refused(refusal)) => return Err(refusal),
                Some(_) => {}
                None => panic!("the registration ended"),
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("the relay answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_cut_at_once_and_stays_out_until_it_is_restored() {
    let net = MemoryNet::new(3, Weather::CALM);
    let dir = tempfile::tempdir().unwrap();
    let config = links::memory_relay(&net, RELAY, &dir.path().join("relay"));
    let relay = RunningRelay::start(&config).unwrap();
    let address = relay.address.clone();
    let nets = Nets { desk: net.host(DESK), agent: net.host(AGENT + 1) };
    let mut world = World::with(dir, relay, nets).await.unwrap();
    let organization = world.desk.profile.organization;
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let mut agent = Agent::start(net.host(AGENT), &address).await.unwrap();
    let peer = reach(&mut agent, organization).await.unwrap();
    let (session, _sender, mut receiver) = redeem(&agent, &peer, &invite).await;

    let devices = ask(&world, Method::GET, "/api/v1/devices", None).await;
    assert_eq!(devices["items"][0]["key"], DeviceKey(agent.client.route().key).to_string());
    let path = format!("/api/v1/devices/{}", devices["items"][0]["id"]);
    let revoked = ask(&world, Method::POST, &format!("{path}/revoke"), Some(json!({ "reason": "stolen" }))).await;
    assert_eq!(revoked["revoked"]["reason"], "stolen");
    let gone = async {
        while !matches!(agent.registration.notice().await, Some(Notice::Gone(gone)) if gone == peer) {}
        while world.relay.as_ref().unwrap().handle.counts().1 > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(CUT_WITHIN, gone).await.expect("the relay cuts the pair");
    let sessions = world.desk.sessions(ticket.number).await.unwrap();
    assert_eq!((sessions[0].state, sessions[0].end_reason.as_deref()), (SessionState::Ended, Some("technician")));
    // The last word may have come through before the cut, and nothing else.
    if let Ok(Ok(Some(word))) = timeout(CUT_WITHIN, receiver.receive()).await {
        assert_eq!(word, ConsoleMessage::Ended(EndReason::ByTechnician));
    }
    drop(session);
    assert_eq!(reach(&mut agent, organization).await, Err(RelayRefusal::Denied));

    net.unplug(config.listen);
    world.relay.take().unwrap().kill().await;
    world.relay = Some(RunningRelay::start(&config).unwrap());
    assert_eq!(reach(&mut agent, organization).await, Err(RelayRefusal::Denied));

    let restored = ask(&world, Method::POST, &format!("{path}/restore"), None).await;
    assert_eq!(restored["revoked"], Value::Null);
    let peer = timeout(PATIENCE, async {
        loop {
            // The relay hears of it a moment after the answer.
            match reach(&mut agent, organization).await {
                Ok(peer) => return peer,
                Err(refusal) => assert_eq!(refusal, RelayRefusal::Denied),
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    let peer = peer.await.expect("it is let in again");
    let invite = world.desk.invite(&ticket).await.unwrap();
    redeem(&agent, &peer, &invite).await;
}
