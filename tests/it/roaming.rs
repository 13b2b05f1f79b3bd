//! Sessions that change their way: address, NAT, protocol, relay. On the network in memory, in virtual time.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::DeviceKey;
use belay_protocol::message::RelayRefusal;
use belay_relay::client::{Client, Link, Notice, Role};
use belay_relay::identity::Identity;
use belay_relay::server::Config;
use belay_tests::links::{Agent, Desk, RunningRelay, client_options, memory_relay};
use belay_tests::net::{MemoryNet, Packet, Weather};
use tokio::time::{Instant, timeout};

const RELAY: u8 = 1;
const DESK: u8 = 2;
const AGENT: u8 = 3;
const OTHER_RELAY: u8 = 4;
const ATTACKER: u8 = 9;

fn ip(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

fn relay_config(net: &MemoryNet, number: u8, data: &Path) -> Config {
    Config { sockets: 2, ..memory_relay(net, number, data) }
}

/// A relay, a desk and an agent with an open session; everybody is a millisecond from everybody.
struct Scene {
    net: MemoryNet,
    config: Config,
    relay: RunningRelay,
    desk: Desk,
    agent: Agent,
    ours: Link,
    theirs: Link,
    _data: tempfile::TempDir,
}

impl Scene {
    async fn open(prepare: impl FnOnce(&MemoryNet)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let net = MemoryNet::new(1, Weather { delay: Duration::from_millis(10), ..Weather::CALM });
        prepare(&net);
        let config = relay_config(&net, RELAY, data.path());
        let relay = RunningRelay::start(&config).unwrap();
        let desk = Desk::start(net.host(DESK), &relay.address).await.unwrap();
        let mut agent = Agent::start(net.host(AGENT), &relay.address).await.unwrap();
        let (ours, theirs) = agent.open(&desk).await.unwrap();
        Self { net, config, relay, desk, agent, ours, theirs, _data: data }
    }

    /// Sends bytes one way and waits for the word that all arrived; how long that took.
    async fn talk(&self) -> Duration {
        let started = Instant::now();
        for (one, other) in [(&self.ours, &self.theirs), (&self.theirs, &self.ours)] {
            timeout(Duration::from_secs(60), exchange(one, other, 50_000)).await.expect("the session goes on");
        }
        started.elapsed()
    }
}

async fn exchange(one: &Link, other: &Link, bytes: usize) {
    let sent: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
    let sending = async {
        let mut stream = one.open_uni().await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.finish().unwrap();
        stream.stopped().await.unwrap();
    };
    let receiving = async {
        let mut stream = other.accept_uni().await.unwrap();
        stream.read_to_end(bytes).await.unwrap()
    };
    let ((), received) = tokio::join!(sending, receiving);
    assert_eq!(received, sent);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_changes_its_address_goes_on_at_once() {
    let scene = Scene::open(|_| {}).await;
    scene.talk().await;
    scene.net.readdress(AGENT, ip(33));
    let stall = scene.talk().await;
    assert!(stall < Duration::from_millis(1_500), "{stall:?}");
    scene.net.readdress(DESK, ip(22));
    let stall = scene.talk().await;
    assert!(stall < Duration::from_millis(1_500), "{stall:?}");
}

#[tokio::test(start_paused = true)]
async fn a_nat_that_forgets_is_followed() {
    let scene = Scene::open(|net| net.put_behind_nat(ip(AGENT), ip(200), Duration::from_secs(30))).await;
    scene.talk().await;
    for _ in 0..3 {
        scene.net.rebind_nat(ip(AGENT));
        let stall = scene.talk().await;
        assert!(stall < Duration::from_secs(2), "{stall:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_nat_with_two_seconds_of_memory_a_quiet_agent_stays_within_reach() {
    let scene = Scene::open(|net| net.put_behind_nat(ip(AGENT), ip(200), Duration::from_secs(2))).await;
    // The interval of probes shrinks to what the NAT needs.
    tokio::time::sleep(Duration::from_secs(60)).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(4_700)).await;
        let started = Instant::now();
        timeout(Duration::from_secs(60), exchange(&scene.theirs, &scene.ours, 1_000)).await.unwrap();
        assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn when_udp_is_cut_the_session_goes_on_through_a_tunnel_and_comes_back() {
    let scene = Scene::open(|_| {}).await;
    assert_eq!(scene.relay.handle.tunnels(), 0);
    scene.net.set_udp(ip(AGENT), false);
    let stall = scene.talk().await;
    assert!(stall < Duration::from_secs(5), "{stall:?}");
    assert_eq!(scene.relay.handle.tunnels(), 1);
    scene.net.set_udp(ip(AGENT), true);
    timeout(Duration::from_secs(120), async {
        while scene.relay.handle.tunnels() > 0 {
            scene.talk().await;
        }
    })
    .await
    .expect("back to UDP");
    scene.talk().await;
}

#[tokio::test(start_paused = true)]
async fn without_udp_everything_works_through_tunnels_from_the_beginning() {
    let scene = Scene::open(|net| {
        net.set_udp(ip(AGENT), false);
        net.set_udp(ip(DESK), false);
    })
    .await;
    scene.talk().await;
    assert_eq!(scene.relay.handle.tunnels(), 2);
    // A tunnel whose host changes its address hangs without a word.
    scene.net.readdress(AGENT, ip(33));
    scene.net.set_udp(ip(33), false);
    let stall = scene.talk().await;
    assert!(stall < Duration::from_secs(5), "{stall:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_soon_after_its_relay_was_killed_and_restarted() {
    for outage_ms in [300, 2_000, 9_000] {
        let mut scene = Scene::open(|_| {}).await;
        scene.talk().await;
        let halfway = tokio::spawn({
            let (ours, theirs) = (scene.ours.clone(), scene.theirs.clone());
            async move { exchange(&ours, &theirs, 3_000_000).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        scene.net.unplug(scene.config.listen);
        scene.relay.kill().await;
        tokio::time::sleep(Duration::from_millis(outage_ms)).await;
        scene.relay = RunningRelay::start(&scene.config).unwrap();
        let stall = scene.talk().await;
        assert!(stall < Duration::from_secs(5), "{outage_ms} ms: {stall:?}");
        halfway.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn another_relay_of_the_list_takes_over_when_one_dies() {
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let net = MemoryNet::new(1, Weather::CALM);
    let first = RunningRelay::start(&relay_config(&net, RELAY, data[0].path())).unwrap();
    let second = RunningRelay::start(&relay_config(&net, OTHER_RELAY, data[1].path())).unwrap();
    let mut desk = Desk::start(net.host(DESK), &first.address).await.unwrap();
    let delegation = desk.organization.delegate(belay_protocol::ConsoleKey(desk.client.route().key), i64::MAX);
    let mut at_second = desk.client.register(second.address.clone(), Role::Desk(delegation));
    assert!(matches!(at_second.notice().await, Some(Notice::Up)));
    let relays = vec![first.address.clone(), second.address.clone()];
    let mut agent = Agent::start_at(net.host(AGENT), relays).await.unwrap();
    let (ours, theirs) = agent.open(&desk).await.unwrap();
    exchange(&ours, &theirs, 10_000).await;

    let (used, dead) = if first.handle.counts().1 == 1 { (RELAY, &second) } else { (OTHER_RELAY, &first) };
    net.cut(ip(used));
    let started = Instant::now();
    timeout(Duration::from_secs(30), exchange(&ours, &theirs, 10_000)).await.expect("the session goes on");
    timeout(Duration::from_secs(30), exchange(&theirs, &ours, 10_000)).await.expect("the session goes on");
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert_eq!(dead.handle.counts().1, 1);
    // The relay that comes back tells of an end that has long moved; nobody is confused.
    net.mend(ip(used));
    tokio::time::sleep(Duration::from_secs(200)).await;
    exchange(&ours, &theirs, 10_000).await;
    while let Ok(Some(notice)) = timeout(Duration::from_millis(1), desk.registration.notice()).await {
        assert!(!matches!(notice, Notice::Gone(_)), "{notice:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_relay_that_answers_first_is_used() {
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let net = MemoryNet::new(1, Weather::CALM);
    let far = RunningRelay::start(&relay_config(&net, RELAY, data[0].path())).unwrap();
    let near = RunningRelay::start(&relay_config(&net, OTHER_RELAY, data[1].path())).unwrap();
    // What passes the far relay's host takes a detour.
    let held_back = net.clone();
    net.tamper(move |packet| {
        if packet.from.ip() != ip(RELAY) && packet.to.ip() != ip(RELAY) {
            return vec![packet];
        }
        let net = held_back.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            net.inject(packet);
        });
        Vec::new()
    });
    let relays = vec![far.address.clone(), near.address.clone()];
    let _agent = Agent::start_at(net.host(AGENT), relays).await.unwrap();
    assert_eq!((far.handle.counts().0, near.handle.counts().0), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stopping_relay_sends_its_ends_elsewhere_without_a_session_noticing() {
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let net = MemoryNet::new(1, Weather::CALM);
    let second = RunningRelay::start(&relay_config(&net, OTHER_RELAY, data[1].path())).unwrap();
    let config = Config {
        drain: Duration::from_secs(20),
        elsewhere: vec![second.address.clone()],
        ..relay_config(&net, RELAY, data[0].path())
    };
    let first = RunningRelay::start(&config).unwrap();
    let desk = Desk::start(net.host(DESK), &first.address).await.unwrap();
    let mut agent = Agent::start(net.host(AGENT), &first.address).await.unwrap();
    let (ours, theirs) = agent.open(&desk).await.unwrap();
    exchange(&ours, &theirs, 10_000).await;
    let started = Instant::now();
    let talking = tokio::spawn({
        let (ours, theirs) = (ours.clone(), theirs.clone());
        async move {
            let mut longest = Duration::ZERO;
            while started.elapsed() < Duration::from_secs(30) {
                let begun = Instant::now();
                exchange(&ours, &theirs, 1_000).await;
                longest = longest.max(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            longest
        }
    });
    first.stop().await;
    assert!(started.elapsed() < Duration::from_secs(10), "nobody is left to wait for: {:?}", started.elapsed());
    let longest = talking.await.unwrap();
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert_eq!(second.handle.counts(), (2, 1));
    // Back at home, they leave the other one.
    let first = RunningRelay::start(&config).unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!((first.handle.counts(), second.handle.counts()), ((2, 1), (0, 0)));
    exchange(&ours, &theirs, 10_000).await;
}

/// A packet that somebody on the way has caught and sends from elsewhere makes QUIC follow there until the owner speaks
/// again. Sessions must not follow: that would flood whoever has that address.
#[tokio::test(start_paused = true)]
async fn a_session_does_not_follow_to_an_address_that_has_not_answered() {
    let scene = Scene::open(|_| {}).await;
    scene.talk().await;
    let (relay, agent, victim) = (scene.config.listen, ip(AGENT), SocketAddr::new(ip(ATTACKER), 5_000));
    let stolen = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&stolen);
    let own_route = scene.agent.client.route().route();
    // From now on all control packets of the agent arrive as if they came from the victim; its session packets stay.
    let console_route = scene.desk.client.route().route();
    scene.net.tamper(move |mut packet: Packet| {
        let is_session = packet.bytes.len() > 9 && packet.bytes[1..9] == console_route.0;
        if packet.from.ip() == agent && packet.to == relay && !is_session {
            packet.from = victim;
        }
        // Longer than the challenge, which goes there and is not answered.
        if packet.to == victim && packet.bytes.len() > 25 && packet.bytes[1..9] == own_route.0 {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        vec![packet]
    });
    // The desk talks all the while in which the agent's probes seem to come from the victim, until the agent, whom no
    // answer reaches, has found another way.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(12) {
        timeout(Duration::from_secs(10), exchange(&scene.theirs, &scene.ours, 2_000))
            .await
            .expect("the session goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stolen.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_denied_device_is_cut_at_once_stays_out_and_can_be_let_in_again() {
    let mut scene = Scene::open(|_| {}).await;
    scene.talk().await;
    let device = DeviceKey(scene.agent.client.route().key);
    let organization = scene.desk.organization.organization_key();
    let started = Instant::now();
    scene.desk.registration.deny(device).await;
    let gone = async {
        loop {
            if let Some(Notice::Gone(peer)) = scene.agent.registration.notice().await {
                return peer;
            }
        }
    };
    assert_eq!(timeout(Duration::from_secs(2), gone).await.unwrap(), scene.desk.client.route());
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(scene.relay.handle.counts().1, 0);
    let refused = |notice| matches!(notice, Some(Notice::Refused(RelayRefusal::Denied)));
    scene.agent.registration.reach(organization).await;
    assert!(refused(scene.agent.registration.notice().await));

    // It is on the disk: a restarted relay knows before the console says so.
    scene.net.unplug(scene.config.listen);
    scene.relay.kill().await;
    drop(scene.desk.registration);
    let relay = RunningRelay::start(&scene.config).unwrap();
    let identity = Arc::new(Identity::generate().unwrap());
    let delegation = scene.desk.organization.delegate(identity.console_key(), i64::MAX);
    let console = Client::start(identity, client_options(scene.net.host(DESK), true)).unwrap();
    let mut registration = console.register(relay.address.clone(), Role::Desk(delegation));
    assert!(matches!(registration.notice().await, Some(Notice::Up)));
    loop {
        match timeout(Duration::from_secs(60), scene.agent.registration.notice()).await.unwrap() {
            Some(Notice::Refused(RelayRefusal::Denied)) => break,
            Some(Notice::Opened { .. }) => panic!("a denied device was let in"),
            _ => {}
        }
    }
    registration.deny_only([].into()).await;
    scene.agent.registration.reach(organization).await;
    loop {
        match timeout(Duration::from_secs(60), scene.agent.registration.notice()).await.unwrap() {
            Some(Notice::Opened { .. }) => break,
            Some(_) => {}
            None => panic!(),
        }
    }
}
