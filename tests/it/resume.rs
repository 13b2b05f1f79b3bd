//! Sessions whose links die, on the network in memory, in virtual time.

use std::collections::HashSet;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use belay_protocol::channel::{ChannelId, Side};
use belay_protocol::limits::{
    CHANNELS_MAX, HANDSHAKE_DEADLINE, IDLE_TIMEOUT, REPLAY_CHANNEL_MAX_BYTES, REPLAY_POOL_BYTES, REPLAY_RESERVE_BYTES,
    RESUME_WINDOW,
};
use belay_protocol::message::PeerRoute;
use belay_protocol::resume::{
    Answer, BINDING_LABEL, Heard, Opening, Progress, Proof, Resume, ResumeId, SECRET_BYTES, SECRET_LABEL, Until,
    proved_bytes,
};
use belay_protocol::{BoundedVec, OrganizationKey};
use belay_relay::client::{
    Arrival, ChannelError, ChannelReader, ChannelWriter, DialError, Link, Notice, Over, Phase, Redial, Resumables,
    SamePeer, Session,
};
use belay_relay::close::Close;
use belay_relay::server::Config;
use belay_relay::stream;
use belay_tests::links::{Agent, Desk, RunningRelay, memory_relay};
use belay_tests::net::{MemoryNet, Weather};
use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
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
    relay: RunningRelay,
    organization: OrganizationKey,
    /// Whether the desk makes its proofs up.
    impostor: Arc<Mutex<bool>>,
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
        Self::with(Resumables::default()).await
    }

    async fn with(resumables: Resumables) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let net = MemoryNet::new(1, Weather { delay: Duration::from_millis(10), ..Weather::CALM });
        // Without tunnels, which would carry what is to be lost.
        let config = Config { tunnels: None, ..memory_relay(&net, RELAY, dir.path()) };
        let relay = RunningRelay::start(&config).unwrap();
        let desk = Desk::start(net.host(DESK), &relay.address).await.unwrap();
        let mut agent = Agent::start(net.host(AGENT), &relay.address).await.unwrap();
        let peer = agent.reach(&desk).await.unwrap();
        let impostor = Arc::new(Mutex::new(false));
        let organization = desk.organization.organization_key();
        let (arrivals, mut arrived) = tokio::sync::mpsc::unbounded_channel();
        let desk = AbortOnDropHandle::new(tokio::spawn(take_sessions(
            desk,
            resumables.clone(),
            arrivals,
            Arc::clone(&impostor),
        )));
        let ours = Session::begin(agent.client.dial(&peer).await.unwrap()).await.unwrap();
        let theirs = arrived.recv().await.unwrap();
        Self { net, agent, peer, resumables, ours, theirs, relay, organization, impostor, _desk: desk, _dir: dir }
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

    /// Lets one end lose its link, while the other does not know.
    async fn lose_link_at(&self, session: &Session) {
        lose_unheard(&self.net, session.link(), Duration::from_secs(5)).await;
    }

    async fn resumed(&self) {
        for session in [&self.ours, &self.theirs] {
            let mut phases = session.phases();
            let live = timeout(NOTICED, phases.wait_for(|phase| *phase == Phase::Live));
            live.await.expect("it comes back").unwrap();
        }
    }
}

/// Ends a link without the other end's knowledge: the packets that would tell it are lost in an outage, and lost again
/// when they are repeated after it.
async fn lose_unheard(net: &MemoryNet, link: Link, outage: Duration) {
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, mut lost) = (Arc::clone(&is_over), HashSet::new());
    net.tamper(move |packet| {
        let is_lost = match over.load(Ordering::Relaxed) {
            true => lost.contains(&packet.bytes),
            false if packet.from.ip() == AGENT_IP || packet.to.ip() == AGENT_IP => {
                lost.insert(packet.bytes.clone());
                true
            }
            false => false,
        };
        if is_lost { Vec::new() } else { vec![packet] }
    });
    link.close(Close::Done);
    sleep(outage).await;
    is_over.store(true, Ordering::Relaxed);
}

/// Time in which silence is noticed: the idle timeout may begin anew with a last keep-alive.
const NOTICED: Duration = Duration::from_secs(IDLE_TIMEOUT.as_secs() + 60);

/// Hands over the new sessions of a desk, and lets links resume the known ones.
async fn take_sessions(
    desk: Desk,
    resumables: Resumables,
    sessions: tokio::sync::mpsc::UnboundedSender<Session>,
    impostor: Arc<Mutex<bool>>,
) {
    while let Some(arriving) = desk.client.accept().await {
        let (resumables, sessions, pretends) = (resumables.clone(), sessions.clone(), *impostor.lock().unwrap());
        tokio::spawn(async move {
            let Some(link) = arriving.handshake().await else { return };
            if pretends {
                pretend(link).await;
                return;
            }
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
    lives_ms: Mutex<Vec<u64>>,
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
                    lose_unheard(&net, dead, Duration::from_secs(2)).await;
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
    let lives_ms = Mutex::new((0..30).map(|step| step * 7).collect());
    let dialler = SamePeer { client: scene.agent.client.clone(), peer: scene.peer };
    scene.ours.outlive_links(Unlucky { dialler, net: scene.net.clone(), lives_ms });
    transfer_through(&scene, async |scene| {
        scene.lose_link_at(&scene.ours).await;
        sleep(Duration::from_secs(100)).await;
        scene.resumed().await;
    })
    .await;
}

/// The dialler gives a try up because it hears nothing, at every moment of it: also just when the other end has taken the
/// link. What it says then must not be heard as the end of the session.
#[tokio::test(start_paused = true)]
async fn a_try_to_resume_that_is_given_up_at_any_moment_ends_no_session() {
    for heard in 0..TRY_PACKETS {
        let scene = Scene::start().await;
        scene.lose_link().await;
        let is_deaf = Arc::new(AtomicBool::new(true));
        let (deaf, mut arrived) = (Arc::clone(&is_deaf), 0);
        scene.net.tamper(move |packet| {
            if packet.to.ip() != AGENT_IP || !deaf.load(Ordering::Relaxed) {
                return vec![packet];
            }
            arrived += 1;
            if arrived <= heard { vec![packet] } else { Vec::new() }
        });
        sleep(HANDSHAKE_DEADLINE * 2).await;
        is_deaf.store(false, Ordering::Relaxed);
        for session in [&scene.ours, &scene.theirs] {
            let mut phases = session.phases();
            let live = timeout(NOTICED, phases.wait_for(|phase| *phase == Phase::Live)).await;
            assert!(matches!(live, Ok(Ok(_))), "after {heard} packets: {:?}", *session.phases().borrow());
        }
        let (mut writer, _reader) = scene.ours.open_channel().unwrap();
        writer.write_chunk(Bytes::from_static(b"on")).await.unwrap();
        let (_, mut far) = timeout(NOTICED, scene.theirs.accept_channel()).await.unwrap().unwrap();
        assert_eq!(timeout(NOTICED, far.read_chunk(9)).await.unwrap().unwrap().unwrap(), "on", "after {heard} packets");
    }
}

/// More packets than a registration, a handshake and the resuming of a session take.
const TRY_PACKETS: usize = 30;

// ----- what ends a session, and what it costs

#[tokio::test(start_paused = true)]
async fn a_silent_link_is_lost_also_where_quic_would_wait_longer() {
    let scene = Scene::start().await;
    // One acknowledgement that took most of two minutes makes three probe timeouts of more than four.
    scene.net.set_weather(Weather { delay: Duration::from_secs(20), ..Weather::CALM });
    sleep(Duration::from_secs(110)).await;
    let answered = scene.ours.link().path().round_trip;
    assert!(answered > Duration::from_secs(5), "a late answer was measured: {answered:?}");
    scene.lose_link().await;
    scene.net.set_weather(Weather { delay: Duration::from_millis(10), ..Weather::CALM });
    scene.resumed().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_resumed_in_time_is_lost_on_both_sides_and_frees_its_memory() {
    let scene = Scene::start().await;
    let (mut writer, mut reader) = scene.ours.open_channel().unwrap();
    let (mut far_writer, mut far_reader) = scene.theirs.accept_channel().await.unwrap();
    scene.net.cut(AGENT_IP);
    for writer in [&mut writer, &mut far_writer] {
        writer.write_chunk(vec![1; 2_000_000].into()).await.unwrap();
    }
    let cut = Instant::now();
    let mut phases = scene.theirs.phases();
    timeout(NOTICED, phases.wait_for(|phase| *phase == Phase::Paused)).await.unwrap().unwrap();
    assert_eq!((scene.resumables.len(), scene.resumables.paused_bytes()), (1, 2_000_000));
    for session in [&scene.ours, &scene.theirs] {
        let over = timeout(RESUME_WINDOW + NOTICED, session.closed()).await.expect("it is not kept for ever");
        assert_eq!((over, session.replay_bytes()), (Over::Lost, 0));
    }
    assert!(cut.elapsed() >= RESUME_WINDOW && cut.elapsed() < RESUME_WINDOW + NOTICED, "{:?}", cut.elapsed());
    assert_eq!(reader.read_chunk(1).await, Err(ChannelError::Lost));
    assert_eq!(far_reader.read_chunk(1).await, Err(ChannelError::Lost));
    assert_eq!(writer.write_chunk(vec![1].into()).await, Err(ChannelError::Lost));
    assert_eq!(far_writer.deliver().await, Err(ChannelError::Lost));
    assert_eq!((scene.resumables.len(), scene.resumables.paused_bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_ends_a_paused_session_forgets_it_and_refuses_its_return() {
    let scene = Scene::start().await;
    let (mut writer, _reader) = scene.ours.open_channel().unwrap();
    let _far = scene.theirs.accept_channel().await.unwrap();
    scene.net.cut(AGENT_IP);
    writer.write_chunk(vec![1; 500_000].into()).await.unwrap();
    scene.lose_link().await;
    scene.theirs.close(Close::Done);
    assert!(scene.resumables.is_empty());
    assert_eq!(timeout(Duration::from_secs(60), scene.ours.closed()).await.unwrap(), Over::Refused);
    assert_eq!(scene.ours.replay_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_word_of_either_end_is_no_pause() {
    for by_agent in [true, false] {
        let scene = Scene::start().await;
        let (one, other) = if by_agent { (&scene.ours, &scene.theirs) } else { (&scene.theirs, &scene.ours) };
        one.close(Close::Stopping);
        let over = timeout(Duration::from_secs(2), other.closed()).await.unwrap();
        assert_eq!(over, Over::Closed(Some(Close::Stopping)));
        assert_eq!(one.closed().await, Over::Ended);
        assert!(scene.resumables.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_admitted_dies_with_its_link_and_keeps_little() {
    let scene = Scene::unkept().await;
    let (mut writer, _reader) = scene.theirs.open_channel().unwrap();
    let pushed = timeout(Duration::from_secs(5), writer.write_chunk(vec![1; REPLAY_RESERVE_BYTES + 1].into()));
    assert!(pushed.await.is_err(), "nobody has read");
    assert_eq!(scene.theirs.replay_bytes(), REPLAY_RESERVE_BYTES);
    scene.net.cut(AGENT_IP);
    assert_eq!(timeout(NOTICED, scene.theirs.closed()).await.unwrap(), Over::Lost);
    assert_eq!(timeout(NOTICED, scene.ours.closed()).await.unwrap(), Over::Lost);
}

#[tokio::test(start_paused = true)]
async fn readers_that_do_not_read_bound_what_is_kept_and_do_not_stop_the_others() {
    let scene = Scene::start().await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        let (mut writer, reader) = scene.ours.open_channel().unwrap();
        let far = scene.theirs.accept_channel().await.unwrap();
        let stuck = tokio::spawn(async move {
            for _ in 0..64 {
                writer.write_chunk(vec![0; 1 << 20].into()).await?;
            }
            Ok::<_, ChannelError>(writer)
        });
        unread.push((AbortOnDropHandle::new(stuck), reader, far));
        sleep(Duration::from_secs(2)).await;
        let bound =
            (unread.len() * REPLAY_CHANNEL_MAX_BYTES).min(REPLAY_POOL_BYTES + unread.len() * REPLAY_RESERVE_BYTES);
        assert_eq!(scene.ours.replay_bytes(), bound);
    }
    // QUIC's own windows are full of what nobody reads, in this direction. In the other one a channel works.
    let (writer, _reader) = scene.theirs.open_channel().unwrap();
    let (_writer, reader) = scene.ours.accept_channel().await.unwrap();
    let written = write(writer, pattern(1, 300_000));
    assert_eq!(read(reader, SLOWLY).await.unwrap().unwrap(), pattern(1, 300_000));
    written.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn so_many_channels_and_no_more() {
    let scene = Scene::start().await;
    let mut open: Vec<_> = (0..CHANNELS_MAX).map(|_| scene.ours.open_channel().unwrap()).collect();
    assert_eq!(scene.ours.open_channel().unwrap_err(), ChannelError::TooMany);
    // One that both sides have given up makes room.
    drop(open.pop());
    for _ in 0..CHANNELS_MAX - 1 {
        let (writer, reader) = scene.theirs.accept_channel().await.unwrap();
        open.push((writer, reader));
    }
    drop(scene.theirs.accept_channel().await.unwrap());
    sleep(Duration::from_secs(1)).await;
    scene.ours.open_channel().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_given_up_during_a_pause_is_told_after_it() {
    let scene = Scene::start().await;
    let (writer, reader) = scene.ours.open_channel().unwrap();
    let (mut far_writer, mut far_reader) = scene.theirs.accept_channel().await.unwrap();
    scene.lose_link_at(&scene.ours).await;
    drop(writer);
    drop(reader);
    // Opened and given up before the peer ever hears of it: it is counted all the same.
    drop(scene.ours.open_channel().unwrap());
    let (later, _reader) = scene.ours.open_channel().unwrap();
    scene.resumed().await;
    assert_eq!(far_reader.read_chunk(9).await, Err(ChannelError::Reset));
    let stopped = timeout(Duration::from_secs(9), async {
        while far_writer.write_chunk(vec![1].into()).await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    stopped.await.expect("nobody reads");
    let (_, mut given_up) = scene.theirs.accept_channel().await.unwrap();
    assert_eq!(given_up.read_chunk(9).await, Err(ChannelError::Reset));
    let (_, reader) = scene.theirs.accept_channel().await.unwrap();
    let written = write(later, pattern(1, 1000));
    assert_eq!(read(reader, SLOWLY).await.unwrap().unwrap(), pattern(1, 1000));
    written.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_paused_sessions_keep_is_bounded_in_number_and_in_bytes() {
    for (resumables, is_kept) in [
        (Resumables::with_limits(1, 100_000), true),
        (Resumables::with_limits(1, 99_999), false),
        (Resumables::with_limits(0, 100_000), false),
    ] {
        let scene = Scene::with(resumables).await;
        scene.theirs.admit(&scene.resumables);
        let (mut writer, _reader) = scene.theirs.open_channel().unwrap();
        scene.net.cut(AGENT_IP);
        writer.write_chunk(vec![1; 100_000].into()).await.unwrap();
        let mut phases = scene.theirs.phases();
        let phase = *timeout(NOTICED, phases.wait_for(|phase| *phase != Phase::Live)).await.unwrap().unwrap();
        assert_eq!(phase, if is_kept { Phase::Paused } else { Phase::Over(Over::Lost) });
    }
}

// ----- adversaries

/// A link's resume secret, as its two ends know it.
fn secret_of(link: &Link) -> [u8; SECRET_BYTES] {
    exported(link, SECRET_LABEL)
}

fn exported(link: &Link, label: &[u8]) -> [u8; SECRET_BYTES] {
    let mut material = [0; SECRET_BYTES];
    link.export(label, &mut material);
    material
}

/// What `side` proves with `secret` on `link`.
fn prove(secret: &[u8], side: Side, id: &ResumeId, link: &Link) -> Proof {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, &proved_bytes(side, id, &exported(link, BINDING_LABEL)));
    Proof(tag.as_ref().try_into().unwrap())
}

/// Asks over `link` to resume, and says what came of it.
async fn ask(link: &Link, id: ResumeId, proof: Proof, progress: Progress) -> Option<Answer> {
    let (send, recv) = link.open_bi().await.unwrap();
    let (mut sender, mut receiver) = stream::greet::<Opening, Answer>(send, recv).await.unwrap();
    sender.send(&Opening::Resume(Resume { id, proof, progress })).await.unwrap();
    receiver.receive().await.ok().flatten()
}

async fn assert_refused(link: &Link, id: ResumeId, proof: Proof, who: &str) {
    let answer = ask(link, id, proof, Progress::default()).await;
    assert!(matches!(answer, Some(Answer::Refused)), "{who}: {answer:?}");
    let closed = timeout(Duration::from_secs(9), link.closed()).await.expect("it is closed");
    assert_eq!(closed, Some(Close::NotAdmitted), "{who}");
}

#[tokio::test(start_paused = true)]
async fn nobody_resumes_a_session_without_its_key_its_last_secret_and_a_proof_for_this_link() {
    let scene = Scene::start().await;
    let id = scene.ours.resume_id();
    let first = secret_of(&scene.ours.link());
    let dial = || scene.agent.client.dial(&scene.peer);
    transfer_through(&scene, async |scene| {
        let link = dial().await.unwrap();
        let good = prove(&first, Side::Dialler, &id, &link);
        let mut bent = good;
        bent.0[31] ^= 1;
        assert_refused(&link, id, bent, "a proof with another last bit").await;

        let another = dial().await.unwrap();
        assert_refused(&another, id, good, "a proof that was made for another link").await;

        let link = dial().await.unwrap();
        assert_refused(&link, id, prove(&[0; 32], Side::Dialler, &id, &link), "another secret").await;
        let link = dial().await.unwrap();
        assert_refused(&link, id, prove(&secret_of(&link), Side::Dialler, &id, &link), "the new link's secret").await;
        let link = dial().await.unwrap();
        assert_refused(&link, id, prove(&first, Side::Acceptor, &id, &link), "the other side's proof").await;
        let link = dial().await.unwrap();
        let unknown = ResumeId([7; 16]);
        assert_refused(&link, unknown, prove(&first, Side::Dialler, &unknown, &link), "an unknown session").await;

        // Everything is right but the key.
        let mut thief = Agent::start(scene.net.host(AGENT + 1), &scene.relay.address).await.unwrap();
        thief.registration.reach(scene.organization).await;
        let peer = loop {
            if let Some(Notice::Opened { peer, .. }) = thief.registration.notice().await {
                break peer;
            }
        };
        let link = thief.client.dial(&peer).await.unwrap();
        assert_refused(&link, id, prove(&first, Side::Dialler, &id, &link), "another device with the secret").await;

        // None of them has disturbed it.
        assert_eq!(*scene.theirs.phases().borrow(), Phase::Live);
        assert!(!scene.theirs.phases().has_changed().unwrap());
        scene.lose_link_at(&scene.ours).await;
        scene.resumed().await;
        sleep(Duration::from_secs(1)).await;
        let link = dial().await.unwrap();
        assert_refused(&link, id, prove(&first, Side::Dialler, &id, &link), "the secret of the link before").await;
    })
    .await;
    // What they did wrong is nothing else: with the last secret it works, and the session goes where its owner is.
    let link = dial().await.unwrap();
    let proof = prove(&secret_of(&scene.ours.link()), Side::Dialler, &id, &link);
    let progress = Progress { accepted: 3, ..Progress::default() };
    let answer = ask(&link, id, proof, progress).await;
    let Some(Answer::Resumed { proof, .. }) = answer else { panic!("{answer:?}") };
    let expected = prove(&secret_of(&scene.ours.link()), Side::Acceptor, &id, &link);
    assert_eq!(proof.0, expected.0);
}

#[tokio::test(start_paused = true)]
async fn progress_that_cannot_be_true_ends_the_link_that_claims_it() {
    let scene = Scene::start().await;
    let (mut writer, _reader) = scene.theirs.open_channel().unwrap();
    writer.write_chunk(vec![1; 1000].into()).await.unwrap();
    let (_writer, mut reader) = scene.ours.accept_channel().await.unwrap();
    while reader.read_chunk(1000).await.unwrap().is_some_and(|chunk| chunk.len() < 1000) {}
    sleep(Duration::from_secs(1)).await;
    let id = scene.ours.resume_id();
    let secret = secret_of(&scene.ours.link());
    let heard = |channel, offset| Heard { channel: ChannelId(channel), until: Until::Offset(offset) };
    for (accepted, open) in [
        // Bytes that were never sent, bytes that were acknowledged, channels that are not there, one of them twice.
        (1, vec![heard(1, 1001)]),
        (1, vec![heard(1, 999)]),
        (2, vec![]),
        (0, vec![heard(1, 1000)]),
        (1, vec![heard(0, 5)]),
        (1, vec![heard(1, 1000), heard(1, 1000)]),
        (1, vec![heard(2 * CHANNELS_MAX as u32, 0)]),
    ] {
        let link = scene.agent.client.dial(&scene.peer).await.unwrap();
        let progress = Progress { accepted, open: BoundedVec::try_from(open).unwrap() };
        let answer = ask(&link, id, prove(&secret, Side::Dialler, &id, &link), progress.clone()).await;
        assert!(answer.is_none(), "{progress:?}: {answer:?}");
        assert_eq!(link.closed().await, Some(Close::Violation), "{progress:?}");
        assert_eq!(*scene.theirs.phases().borrow(), Phase::Paused);
    }
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_does_not_prove_that_it_knows_the_session_is_told_nothing() {
    let scene = Scene::start().await;
    let (mut writer, _reader) = scene.ours.open_channel().unwrap();
    let (_far_writer, mut far_reader) = scene.theirs.accept_channel().await.unwrap();
    *scene.impostor.lock().unwrap() = true;
    scene.lose_link_at(&scene.ours).await;
    writer.write_chunk(vec![1; 1000].into()).await.unwrap();
    assert_eq!(timeout(Duration::from_secs(300), scene.ours.closed()).await.unwrap(), Over::Lost);
    assert!(far_reader.read_chunk(1).await.is_err());
}

/// Takes every link for the next of a session, with a proof that it made up.
async fn pretend(link: Link) -> Option<()> {
    let (send, recv) = link.accept_bi().await.ok()?;
    let (mut sender, mut receiver) = stream::welcome::<Answer, Opening>(send, recv).await.ok()?;
    let Opening::Resume(resume) = receiver.receive().await.ok()?? else { return None };
    link.admit();
    let progress = Progress { accepted: 1, ..resume.progress };
    sender.send(&Answer::Resumed { proof: Proof([0; SECRET_BYTES]), progress }).await.ok()?;
    let said = receiver.receive().await;
    assert!(!matches!(said, Ok(Some(_))), "it went on: {said:?}");
    assert!(link.accept_bi().await.is_err(), "a channel was opened");
    None
}
