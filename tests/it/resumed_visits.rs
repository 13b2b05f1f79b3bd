//! Lost links between the real console and a scripted agent, and between the real agent and a scripted desk.

use std::net::IpAddr;
use std::time::Duration;

use belay_agent::join::{JoinOptions, Joined, join};
use belay_agent::survey::Smart;
use belay_agent::terminal::Colour;
use belay_console::store::{EventKind, SessionState};
use belay_protocol::bounded::{BoundedVec, Name, Text};
use belay_protocol::consent::{Capability, Grant};
use belay_protocol::invite::{Code, Invite, InviteSecret, RelayAddress};
use belay_protocol::limits::IDLE_TIMEOUT;
use belay_protocol::message::{
    Admitted, AgentMessage, Consent, ConsoleMessage, EndReason, Introduction, PeerRoute, Redeem, ReportOffer,
    SessionId, StreamHeader,
};
use belay_protocol::well_known::{MAX_RELAYS, WellKnownRelay};
use belay_protocol::{ConsoleKey, Language, RelayKey, codec};
use belay_relay::client::{Arrival, Notice, Phase, Resumables, SamePeer, Session};
use belay_relay::close::Close;
use belay_relay::stream::{self, Receiver, Sender};
use belay_tests::links::{Agent, Desk, RunningRelay, memory_relay};
use belay_tests::net::{MemoryNet, Weather};
use belay_tests::world::{Nets, Page, World};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::refusals::{close, until};

const AGENT: u8 = 3;
const DESK_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const AGENT_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, AGENT));

/// A console with its store on the network in memory, in real time, and an agent that has shown its code.
struct Visit {
    net: MemoryNet,
    world: World,
    ticket: belay_console::store::Ticket,
    session: Session,
    sender: Sender<AgentMessage>,
    receiver: Receiver<ConsoleMessage>,
    agent: Agent,
    peer: PeerRoute,
    invite: Invite,
}

impl Visit {
    async fn begin() -> Self {
        let net = MemoryNet::new(7, Weather::CALM);
        let dir = tempfile::tempdir().unwrap();
        let config = memory_relay(&net, 1, &dir.path().join("relay"));
        let relay = RunningRelay::start(&config).unwrap();
        let address = relay.address.clone();
        let world = World::with(dir, relay, Nets { desk: net.host(2), agent: net.host(4) }).await.unwrap();
        let ticket = world.desk.ticket("slow").await.unwrap();
        let invite = world.desk.invite(&ticket).await.unwrap();

        let mut agent = Agent::start(net.host(AGENT), &address).await.unwrap();
        agent.registration.reach(world.desk.profile.organization).await;
        let peer = loop {
            if let Some(Notice::Opened { peer, .. }) = agent.registration.notice().await {
                break peer;
            }
        };
        let (session, sender, receiver) = redeem(&agent, &peer, &invite).await;
        Self { net, world, ticket, session, sender, receiver, agent, peer, invite }
    }

    /// Loses the link at the agent's end; nothing passes until [`Visit::mend`].
    async fn cut(&self) {
        self.net.cut(AGENT_IP);
        self.session.link().close(Close::Done);
        self.session.phases().wait_for(|phase| *phase == Phase::Paused).await.unwrap();
        // For so long the closed connection would still tell the console that it is closed.
        sleep(Duration::from_secs(2)).await;
    }

    async fn mend(&self) {
        self.net.mend(AGENT_IP);
        let mut phases = self.session.phases();
        let live = timeout(Duration::from_secs(30), phases.wait_for(|phase| *phase == Phase::Live));
        live.await.expect("it comes back").unwrap();
    }
}

/// Opens a session and shows the code.
pub(super) async fn redeem(
    agent: &Agent,
    peer: &PeerRoute,
    invite: &Invite,
) -> (Session, Sender<AgentMessage>, Receiver<ConsoleMessage>) {
    let session = Session::begin(agent.client.dial(peer).await.unwrap()).await.unwrap();
    let (send, recv) = session.accept_channel().await.unwrap();
    let (mut sender, mut receiver) = stream::halves::<AgentMessage, ConsoleMessage>(send, recv);
    assert!(matches!(receiver.receive().await.unwrap(), Some(ConsoleMessage::Introduction(_))));
    let redeem = Redeem {
        code: invite.code,
        secret: Some(invite.secret.clone()),
        agent_version: Name::truncating("1"),
        platform: Name::truncating("linux"),
        language: Language::English,
    };
    sender.send(&AgentMessage::Redeem(redeem)).await.unwrap();
    assert!(matches!(receiver.receive().await.unwrap(), Some(ConsoleMessage::Admitted(_))));
    session.outlive_links(SamePeer { client: agent.client.clone(), peer: *peer });
    (session, sender, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_goes_on_after_a_lost_link_without_a_second_code() {
    let mut visit = Visit::begin().await;
    visit.cut().await;
    let nothing = Consent { grants: BoundedVec::new(), report: None };
    visit.sender.send(&AgentMessage::Consent(nothing)).await.unwrap();
    visit.mend().await;
    visit.sender.send(&AgentMessage::Bye).await.unwrap();
    until(&visit.world.desk, &visit.ticket, EventKind::SessionEnded).await;
    let kinds = visit.world.desk.events(visit.ticket.number).await.unwrap();
    for absent in [EventKind::SessionInterrupted, EventKind::SessionResumed] {
        assert!(!kinds.contains(&absent), "{kinds:?}");
    }
    let sessions = visit.world.desk.sessions(visit.ticket.number).await.unwrap();
    assert_eq!((sessions.len(), sessions[0].consents.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_closed_during_the_pause_is_told_at_the_return() {
    let mut visit = Visit::begin().await;
    visit.cut().await;
    close(&visit.world.desk, &visit.ticket).await;
    until(&visit.world.desk, &visit.ticket, EventKind::SessionEnded).await;
    // Longer than a last word takes when there is a link.
    sleep(Duration::from_secs(4)).await;
    let consent = Consent { grants: BoundedVec::new(), report: None };
    visit.sender.send(&AgentMessage::Consent(consent)).await.unwrap();
    visit.mend().await;
    let word = timeout(Duration::from_secs(9), visit.receiver.receive()).await.unwrap().unwrap();
    assert_eq!(word, Some(ConsoleMessage::Ended(EndReason::TicketClosed)));
    timeout(Duration::from_secs(9), visit.session.closed()).await.unwrap();
    let sessions = visit.world.desk.sessions(visit.ticket.number).await.unwrap();
    assert!(sessions[0].consents.is_empty(), "what the device said after the pause was heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_stops_without_waiting_for_a_paused_session() {
    let visit = Visit::begin().await;
    visit.cut().await;
    let Visit { world, .. } = visit;
    timeout(Duration::from_secs(20), world.desk.stop()).await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_comes_back_by_its_code_takes_over_from_the_visit_that_waits() {
    let visit = Visit::begin().await;
    visit.cut().await;
    visit.net.mend(AGENT_IP);
    // Before the session that waits is resumed, or after: the conversation that waits ends either way.
    let (_session, mut sender, _receiver) = redeem(&visit.agent, &visit.peer, &visit.invite).await;
    timeout(Duration::from_secs(30), visit.session.closed()).await.expect("the first conversation is over");
    let desk = &visit.world.desk;
    let sessions = desk.sessions(visit.ticket.number).await.unwrap();
    let states: Vec<_> = sessions.iter().map(|session| session.state).collect();
    assert_eq!(states, [SessionState::Live], "the one visit goes on");
    sender.send(&AgentMessage::Bye).await.unwrap();
    until(desk, &visit.ticket, EventKind::SessionEnded).await;
}

/// What befalls the visit of a scripted desk.
struct Script {
    net: MemoryNet,
    /// Who is cut off between the consent and the report, for longer than links live.
    cut: IpAddr,
    /// What the desk says about further relays.
    relays: Vec<WellKnownRelay>,
}

/// A desk of one visit, which loses its customer's link between the consent and the report, and takes no second code.
async fn scripted_desk(mut desk: Desk, script: Script) -> usize {
    let Script { net, cut, relays } = script;
    let _follower =
        AbortOnDropHandle::new(tokio::spawn(async move { while desk.registration.notice().await.is_some() {} }));
    let resumables = Resumables::default();
    let delegation = desk.organization.delegate(ConsoleKey(desk.client.route().key), i64::MAX);
    let link = desk.client.accept().await.unwrap().handshake().await.unwrap();
    let Ok(Arrival::Fresh(session)) = resumables.arrive(link).await else { panic!("a fresh session") };
    let (send, recv) = session.open_channel().unwrap();
    let (mut sender, mut receiver) = stream::halves::<ConsoleMessage, AgentMessage>(send, recv);
    let (desk_name, desk_host) = (Name::truncating("Desk"), Name::truncating("localhost:9"));
    sender.send(&ConsoleMessage::Introduction(Introduction { delegation, desk_name, desk_host })).await.unwrap();
    assert!(matches!(receiver.receive().await.unwrap(), Some(AgentMessage::Redeem(_))));
    session.admit(&resumables);
    let admitted = Admitted {
        session: SessionId([0; 16]),
        ticket: Name::truncating("7"),
        title: Text::truncating("slow"),
        technician: Name::truncating(""),
        requested: vec![Capability::Survey].try_into().unwrap(),
    };
    sender.send(&ConsoleMessage::Admitted(admitted)).await.unwrap();
    sender.send(&ConsoleMessage::Relays(relays.try_into().unwrap())).await.unwrap();
    assert!(matches!(receiver.receive().await.unwrap(), Some(AgentMessage::Rules(_))));
    sender.send(&ConsoleMessage::NoNewerRules).await.unwrap();
    let Some(AgentMessage::Consent(consent)) = receiver.receive().await.unwrap() else { panic!("a consent") };
    let ReportOffer { id, size_bytes, .. } = consent.report.unwrap();
    assert!(consent.grants.iter().any(|grant: &Grant| grant.capability == Capability::Survey));

    net.cut(cut);
    let mut phases = session.phases();
    phases.wait_for(|phase| *phase == Phase::Paused).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    net.mend(cut);
    // An attempt that began while the way was cut may have been given up when it arrives; the next one follows.
    let returning = loop {
        if let Some(link) = desk.client.accept().await.unwrap().handshake().await {
            break link;
        }
    };
    assert!(matches!(resumables.arrive(returning).await, Ok(Arrival::Resumed)));

    let (_, mut report) = session.accept_channel().await.unwrap();
    let header = stream::read_frame(&mut report, 64).await.unwrap().unwrap();
    assert_eq!(codec::decode::<StreamHeader>(&header, 64).unwrap(), StreamHeader::Report(id));
    let bytes = report.read_to_end(size_bytes as usize).await.unwrap().expect("no more than was offered");
    sender.send(&ConsoleMessage::Filed(id)).await.unwrap();
    assert_eq!(receiver.receive().await.unwrap(), Some(AgentMessage::Bye));
    session.close(Close::Done);
    desk.client.close().await;
    bytes.len()
}

#[tokio::test(start_paused = true)]
async fn the_agent_tells_the_customer_of_a_pause_and_files_the_report_after_it() {
    pause(AGENT_IP, |_| Vec::new()).await;
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_is_gone_at_the_relay_and_returns_goes_on_with_the_session() {
    pause(DESK_IP, |_| Vec::new()).await;
}

#[tokio::test(start_paused = true)]
async fn further_relays_that_are_none_do_no_harm() {
    pause(AGENT_IP, |own| {
        let relay = |address: &str, key: &str| WellKnownRelay { address: name(address), key: name(key) };
        let (address, key) = (own.host_port(), own.key.to_string());
        let another_key = RelayKey([9; 32]).to_string();
        let mut relays = vec![
            relay("", ""),
            relay("10.0.0.1", &key),
            relay(&address, "key"),
            relay("\u{1b}[2J:1", &key),
            // The relay in use again, with another key, and where nobody listens.
            relay(&address, &key),
            relay(&address, &another_key),
            relay("10.0.0.77:443", &key),
            relay("no-such-host:443", &key),
        ];
        relays.resize(MAX_RELAYS, relay(&address, &key));
        relays
    })
    .await;
}

fn name(text: &str) -> Name {
    Name::truncating(text)
}

/// A visit with a pause in the middle, in which one of the two is cut off.
async fn pause(cut: IpAddr, relays: impl FnOnce(&RelayAddress) -> Vec<WellKnownRelay>) {
    let dir = tempfile::tempdir().unwrap();
    let net = MemoryNet::new(1, Weather { delay: Duration::from_millis(10), ..Weather::CALM });
    let relay = RunningRelay::start(&memory_relay(&net, 1, &dir.path().join("relay"))).unwrap();
    let desk = Desk::start(net.host(2), &relay.address).await.unwrap();
    let invite = Invite {
        relay: relay.address.clone(),
        further_relays: Vec::new(),
        code: Code::from_number(1),
        desk: "localhost:9".to_owned(),
        organization: desk.organization.organization_key(),
        secret: InviteSecret([0; 16]),
    };
    let desk = tokio::spawn(scripted_desk(desk, Script { net: net.clone(), cut, relays: relays(&relay.address) }));
    let options = JoinOptions {
        invite: invite.to_string(),
        code: None,
        grant: None,
        yes: true,
        language: Language::English,
        insecure_http: false,
        data: dir.path().join("device"),
        net: net.host(AGENT),
        proxy: None,
        root: None,
        colour: Colour::None,
        show: false,
        without: Vec::new(),
        smart: Smart::NotAsked,
        certificates: Vec::new(),
        patience: 4 * IDLE_TIMEOUT,
    };
    let page = Page::default();
    let joined = join(options, page.person(std::io::empty()), CancellationToken::new()).await;
    let text = page.text();
    let Ok(Joined::Filed(receipt)) = joined else { panic!("{joined:?}\n{text}") };
    assert_eq!(desk.await.unwrap(), receipt.report_bytes);
    let (paused, back) = (text.find("the session is paused"), text.find("the session goes on"));
    assert!(paused.is_some() && paused < back, "{text}");
}
