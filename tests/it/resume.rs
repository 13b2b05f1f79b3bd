//! Sessions whose links die, on the network in memory, in virtual time.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use belay_protocol::limits::IDLE_TIMEOUT;
use belay_protocol::message::PeerRoute;
use belay_relay::client::{
    Arrival, ChannelError, ChannelReader, ChannelWriter, DialError, Link, Phase, Redial, Resumables, SamePeer, Session,
};
use belay_relay::server::Config;
use belay_tests::links::{Agent, Desk, RunningRelay};
use belay_tests::net::{MemoryNet, Weather};
use bytes::Bytes;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

const RELAY: u8 = 1;
const DESK: u8 = 2;
const AGENT: u8 = 3;

const AGENT_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, AGENT));

/// A relay, a desk that takes sessions and an agent, with one session between them.
struct Scene {
    net: MemoryNet,
    agent: Agent,
    peer: PeerRoute,
    resumables: Resumables,
    ours: Session,
    theirs: Session,
    _relay: RunningRelay,
    _desk: AbortOnDropHandle<()>,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn start() -> Self {
        let scene = Self::unkept().await;
        scene.theirs.admit(&scene.resumables);
        scene.ours.outlive_links(SamePeer { client: scene.agent.client.clone(), peer: scene.peer });
        scene
    }

    /// With a session that is not admitted.
    async fn unkept() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let net = MemoryNet::new(1, Weather { delay: Duration::from_millis(10), ..Weather::CALM });
        let config = Config::open(SocketAddr::from(([10, 0, 0, RELAY], 443)), dir.path().to_owned());
        let relay = RunningRelay::start(&Config { net: net.host(RELAY), ..config }).unwrap();
        let desk = Desk::start(net.host(DESK), &relay.address).await.unwrap();
        let mut agent = Agent::start(net.host(AGENT), &relay.address).await.unwrap();
        let peer = agent.reach(&desk).await.unwrap();
        let resumables = Resumables::default();
        let (arrivals, mut arrived) = tokio::sync::mpsc::unbounded_channel();
        let desk = AbortOnDropHandle::new(tokio::spawn(take_sessions(desk, resumables.clone(), arrivals)));
        let ours = Session::begin(agent.client.dial(&peer).await.unwrap()).await.unwrap();
        let theirs = arrived.recv().await.unwrap();
        Self { net, agent, peer, resumables, ours, theirs, _relay: relay, _desk: desk, _dir: dir }
    }

    /// Lets both ends lose their link: nothing passes until both have given it up.
    async fn lose_link(&self) {
        self.net.cut(AGENT_IP);
        for session in [&self.ours, &self.theirs] {
            let mut phases = session.phases();
            let paused = timeout(NOTICED, phases.wait_for(|phase| *phase == Phase::Paused));
            paused.await.expect("silence is noticed").unwrap();
        }
        self.net.mend(AGENT_IP);
    }

    /// Lets one end lose its link, while the other does not know. The packets that would tell it do not arrive.
    async fn lose_link_at(&self, session: &Session) {
        self.net.cut(AGENT_IP);
        session.link().close(belay_relay::close::Close::Done);
        sleep(Duration::from_secs(5)).await;
        self.net.mend(AGENT_IP);
    }

    async fn resumed(&self) {
        for session in [&self.ours, &self.theirs] {
            let mut phases = session.phases();
            let live = timeout(NOTICED, phases.wait_for(|phase| *phase == Phase::Live));
            live.await.expect("it comes back").unwrap();
        }
    }
}

/// Time in which silence is noticed: the idle timeout may begin anew with a last keep-alive.
const NOTICED: Duration = Duration::from_secs(IDLE_TIMEOUT.as_secs() + 60);

/// Hands over the new sessions of a desk, and lets links resume the known ones.
async fn take_sessions(desk: Desk, resumables: Resumables, sessions: tokio::sync::mpsc::UnboundedSender<Session>) {
    while let Some(arriving) = desk.client.accept().await {
        let (resumables, sessions) = (resumables.clone(), sessions.clone());
        tokio::spawn(async move {
            let Some(link) = arriving.handshake().await else { return };
            if let Ok(Arrival::Fresh(session)) = resumables.arrive(link).await {
                let _ = sessions.send(session);
            }
        });
    }
}

/// Bytes of which every one depends on its place.
fn pattern(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place ^ (place >> 8) ^ (place >> 16)) as u8 ^ seed).collect()
}

/// Writes `sent` in pieces of all sizes and then waits until the other side has it.
fn write(mut writer: ChannelWriter, sent: Vec<u8>) -> AbortOnDropHandle<Result<(), ChannelError>> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut rest = Bytes::from(sent);
        let mut piece = 1;
        while !rest.is_empty() {
            writer.write_chunk(rest.split_to(piece.min(rest.len()))).await?;
            piece = piece * 3 % 70_001 + 1;
        }
        writer.deliver().await
    }))
}

/// Reads at `rate` bytes a second, so that a transfer takes some time.
fn read(mut reader: ChannelReader, rate: usize) -> AbortOnDropHandle<Result<Vec<u8>, ChannelError>> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.read_chunk(rate / 10).await? {
            bytes.extend_from_slice(&chunk);
            sleep(Duration::from_secs_f64(chunk.len() as f64 / rate as f64)).await;
        }
        Ok(bytes)
    }))
}

const SLOWLY: usize = 100_000;

/// Transfers on several channels, in both directions and opened by both sides, that `disturb` falls into.
async fn transfer_through(scene: &Scene, disturb: impl AsyncFnOnce(&Scene)) {
    const BYTES: usize = 1_500_000;
    let mut transfers = Vec::new();
    for number in 0..6u8 {
        let (opener, accepter) =
            if number % 2 == 0 { (&scene.ours, &scene.theirs) } else { (&scene.theirs, &scene.ours) };
        let (there, back) = (pattern(number, BYTES), pattern(number ^ 0x80, BYTES / 3));
        let (writer, reader) = opener.open_channel().unwrap();
        let (far_writer, far_reader) = accepter.accept_channel().await.unwrap();
        transfers.push((write(writer, there.clone()), read(far_reader, SLOWLY), there));
        transfers.push((write(far_writer, back.clone()), read(reader, SLOWLY), back));
    }
    sleep(Duration::from_secs(3)).await;
    disturb(scene).await;
    for (written, received, sent) in transfers {
        let received = timeout(Duration::from_secs(300), received).await.expect("it ends").unwrap().unwrap();
        assert!(received == sent, "{} of {} bytes, or others", received.len(), sent.len());
        timeout(Duration::from_secs(60), written).await.expect("it is heard").unwrap().unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!((scene.ours.replay_bytes(), scene.theirs.replay_bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn transfers_on_many_channels_survive_a_lost_link_whole() {
    let scene = Scene::start().await;
    transfer_through(&scene, async |scene| scene.lose_link().await).await;
    assert_eq!(scene.resumables.paused_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn transfers_survive_three_lost_links_in_a_row() {
    let scene = Scene::start().await;
    transfer_through(&scene, async |scene| {
        for _ in 0..3 {
            scene.lose_link().await;
            scene.resumed().await;
            sleep(Duration::from_millis(700)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_only_one_end_has_lost_is_replaced() {
    let scene = Scene::start().await;
    transfer_through(&scene, async |scene| {
        scene.lose_link_at(&scene.ours).await;
        scene.resumed().await;
        assert_eq!(*scene.theirs.phases().borrow(), Phase::Live);
        sleep(Duration::from_secs(1)).await;
        scene.lose_link_at(&scene.theirs).await;
        // The agent finds out by the silence.
        scene.resumed().await;
    })
    .await;
}

/// Loses each link that it dials after so long, without the peer's knowledge, until there is no more time in the list.
struct Unlucky {
    dialler: SamePeer,
    net: MemoryNet,
    lives_ms: std::sync::Mutex<Vec<u64>>,
}

impl Redial for Unlucky {
    fn redial(&self) -> Pin<Box<dyn Future<Output = Result<Link, DialError>> + Send + '_>> {
        Box::pin(async move {
            let link = self.dialler.redial().await?;
            let life = self.lives_ms.lock().unwrap().pop();
            if let Some(life) = life {
                let (net, dead) = (self.net.clone(), link.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_millis(life)).await;
                    net.cut(AGENT_IP);
                    dead.close(belay_relay::close::Close::Done);
                    sleep(Duration::from_secs(2)).await;
                    net.mend(AGENT_IP);
                });
            }
            Ok(link)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_lost_at_any_moment_of_the_resume_is_replaced_as_well() {
    let scene = Scene::unkept().await;
    scene.theirs.admit(&scene.resumables);
    // A round trip through the relay takes 40 ms: greeting, opening, answer, streams and acknowledgements are all hit.
    let lives_ms = std::sync::Mutex::new((0..30).map(|step| step * 7).collect());
    let dialler = SamePeer { client: scene.agent.client.clone(), peer: scene.peer };
    scene.ours.outlive_links(Unlucky { dialler, net: scene.net.clone(), lives_ms });
    transfer_through(&scene, async |scene| {
        scene.lose_link_at(&scene.ours).await;
        sleep(Duration::from_secs(100)).await;
        scene.resumed().await;
    })
    .await;
}
