//! Sessions through everything that networks do to them, from a seed: real quinn and rustls, virtual time.
//!
//! A seed makes a world of one or two relays, a desk and an agent, perhaps behind a NAT, in some weather; a plan of
//! events over a few minutes (outages, new addresses, rebound NATs, lost UDP, killed relays, stepped clocks); and the
//! words that are spoken meanwhile on several channels of one session, in both directions. When the plan is over, all of
//! it must have arrived once, whole and in order, on a session that never ended.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use belay_relay::client::{
    Arrival, ChannelReader, ChannelWriter, Phase, Registration, Resumables, Role, SamePeer, Session,
};
use belay_relay::server::Config;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::links::{Agent, Desk, RunningRelay};
use crate::net::{MemoryNet, Weather};

/// The hosts of a simulation.
const RELAYS: [u8; 2] = [1, 4];
const DESK: u8 = 2;
const AGENT: u8 = 3;

/// The longest ordinary outage, as a lift or a change of trains brings it.
const OUTAGE_MAX: Duration = Duration::from_secs(25);

/// Time for everything to arrive once the last event is over: a session that was lost on the way has to be noticed and
/// resumed.
const SETTLE: Duration = Duration::from_secs(600);

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
enum Event {
    /// A host is cut off for a while.
    Outage { host: u8, length: Duration },
    /// A host gets another address.
    Move { host: u8, to: u8 },
    /// The NAT in front of the agent forgets everything.
    Rebind,
    /// UDP does not pass a host for a while.
    NoUdp { host: u8, length: Duration },
    /// A relay is killed and comes back.
    Kill { relay: usize, after: Duration },
    /// The wall clock of a host is set.
    Clock { host: u8, ms: i64 },
    /// Packets fare otherwise from now on.
    Change(Weather),
}

/// What a seed stands for.
#[derive(Debug, Clone)]
pub struct Plan {
    seed: u64,
    relays: usize,
    nat: Option<Duration>,
    weather: Weather,
    events: Vec<(Duration, Event)>,
    channels: usize,
}

/// What came of a simulation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Bytes that were sent and arrived.
    pub bytes: u64,
    /// Links that were lost and replaced.
    pub resumed: u64,
    /// Events that happened.
    pub events: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, relays, nat, weather, events, channels } = self;
        writeln!(f, "seed {seed}: {relays} relays, {channels} channels, NAT {nat:?}, {weather:?}")?;
        events.iter().try_for_each(|(at, event)| writeln!(f, "  {:>8.3} s  {event:?}", at.as_secs_f64()))
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let relays = random.random_range(1..=2);
        let nat = random.random_bool(0.4).then(|| Duration::from_millis(random.random_range(2_000..60_000)));
        let weather = some_weather(&mut random);
        let channels = random.random_range(1..=4);
        let mut at = Duration::from_millis(random.random_range(500..3_000));
        let mut events = Vec::new();
        for next in 0..random.random_range(2..=7u8) {
            events.push((at, some_event(&mut random, relays, next)));
            at += Duration::from_millis(random.random_range(50..30_000));
        }
        Self { seed, relays, nat, weather, events, channels }
    }

    /// Runs it in a runtime of its own, in virtual time.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
        let data = tempfile::tempdir()?;
        runtime.block_on(self.live(data.path()))
    }

    async fn live(&self, data: &Path) -> anyhow::Result<Outcome> {
        let mut scene = Scene::open(self, data).await.context("no session could be opened")?;
        let mut speaking = JoinSet::new();
        let length = self.events.last().map_or(Duration::ZERO, |(at, _)| *at) + Duration::from_secs(5);
        for number in 0..self.channels {
            let (opener, accepter) =
                if number % 2 == 0 { (&scene.ours, &scene.theirs) } else { (&scene.theirs, &scene.ours) };
            let (writer, reader) = opener.open_channel()?;
            let (far_writer, far_reader) = accepter.accept_channel().await?;
            for (direction, writer, reader) in [(0u64, writer, far_reader), (1, far_writer, reader)] {
                let words = self.seed << 8 | (number as u64) << 1 | direction;
                speaking.spawn(async move {
                    let (said, heard) = tokio::try_join!(say(writer, words, length), hear(reader, words))?;
                    ensure!(said == heard, "{heard} of {said} bytes of channel {words:x} were heard");
                    Ok(said)
                });
            }
        }
        let happened = scene.happen(self).await?;
        let mut outcome = Outcome { events: happened, ..Outcome::default() };
        let settling = async {
            while let Some(spoken) = speaking.join_next().await {
                outcome.bytes += spoken??;
            }
            anyhow::Ok(())
        };
        timeout(SETTLE, settling).await.map_err(|_| anyhow::anyhow!("not everything arrived within {SETTLE:?}"))??;
        outcome.resumed = scene.resumed.await?;
        Ok(outcome)
    }
}

fn some_weather(random: &mut StdRng) -> Weather {
    Weather {
        loss: [0.0, 0.001, 0.01, 0.05][random.random_range(0..4)],
        duplication: [0.0, 0.0, 0.02][random.random_range(0..3)],
        delay: Duration::from_millis(random.random_range(1..80)),
        jitter: Duration::from_millis([0, 2, 20][random.random_range(0..3)]),
    }
}

fn some_event(random: &mut StdRng, relays: usize, next: u8) -> Event {
    let end = [DESK, AGENT][random.random_range(0..2)];
    let length = Duration::from_millis(random.random_range(100..OUTAGE_MAX.as_millis() as u64));
    match random.random_range(0..10) {
        // Longer than QUIC waits: the session has to be resumed on another link.
        0 if random.random_bool(0.3) => {
            Event::Outage { host: end, length: Duration::from_secs(random.random_range(121..180)) }
        }
        0 | 1 => Event::Outage { host: end, length },
        2 => Event::Outage { host: RELAYS[random.random_range(0..relays)], length },
        3 | 4 => Event::Move { host: end, to: 100 + next * 10 + end },
        5 => Event::Rebind,
        6 => Event::NoUdp { host: end, length: length * 2 },
        7 | 8 => Event::Kill {
            relay: random.random_range(0..relays),
            after: Duration::from_millis(random.random_range(50..15_000)),
        },
        _ if random.random_bool(0.5) => Event::Clock {
            host: [RELAYS[0], end][random.random_range(0..2)],
            ms: random.random_range(-86_400_000..86_400_000),
        },
        _ => Event::Change(some_weather(random)),
    }
}

/// A world with an open session.
struct Scene {
    net: MemoryNet,
    configs: Vec<Config>,
    relays: Vec<Option<RunningRelay>>,
    ours: Session,
    theirs: Session,
    /// How often the session was resumed, once it is asked to stop counting.
    resumed: Counting,
    _tasks: Vec<AbortOnDropHandle<()>>,
    _agent: belay_relay::client::Client,
}

impl Scene {
    async fn open(plan: &Plan, data: &Path) -> anyhow::Result<Self> {
        let net = MemoryNet::new(plan.seed, plan.weather);
        if let Some(memory) = plan.nat {
            net.put_behind_nat(net.address_of(AGENT), IpAddr::from([10, 0, 0, 200]), memory);
        }
        let mut configs = Vec::new();
        let mut relays = Vec::new();
        for host in &RELAYS[..plan.relays] {
            let listen = SocketAddr::new(net.address_of(*host), 443);
            let config = Config::open(listen, data.join(host.to_string()));
            let config = Config { net: net.host(*host), sockets: 2, ..config };
            relays.push(Some(RunningRelay::start(&config)?));
            configs.push(config);
        }
        let addresses: Vec<_> = relays.iter().flatten().map(|relay| relay.address.clone()).collect();
        let Desk { organization, client, registration } = Desk::start(net.host(DESK), &addresses[0]).await?;
        let delegation = organization.delegate(belay_protocol::ConsoleKey(client.route().key), i64::MAX);
        let mut tasks = vec![read_notices(registration)];
        for address in &addresses[1..] {
            tasks.push(read_notices(client.register(address.clone(), Role::Desk(delegation))));
        }
        let resumables = Resumables::default();
        let (sessions, mut arrived) = tokio::sync::mpsc::unbounded_channel();
        let accepting = resumables.clone();
        tasks.push(AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(arriving) = client.accept().await {
                let (resumables, sessions) = (accepting.clone(), sessions.clone());
                tokio::spawn(async move {
                    let Some(link) = arriving.handshake().await else { return };
                    if let Ok(Arrival::Fresh(session)) = resumables.arrive(link).await {
                        let _ = sessions.send(session);
                    }
                });
            }
        })));
        let mut agent = Agent::start_at(net.host(AGENT), addresses).await?;
        agent.registration.reach(organization.organization_key()).await;
        let (ours, theirs, peer) = loop {
            let peer = loop {
                if let Some(belay_relay::client::Notice::Opened { peer, .. }) = agent.registration.notice().await {
                    break peer;
                }
            };
            // In bad weather a first attempt may fail, as it may for a customer.
            let begun = async { Session::begin(agent.client.dial(&peer).await?).await.map_err(anyhow::Error::from) };
            match begun.await {
                Ok(ours) => break (ours, arrived.recv().await.context("the desk has gone")?, peer),
                Err(_) => agent.registration.reach(organization.organization_key()).await,
            }
        };
        ours.outlive_links(SamePeer { client: agent.client.clone(), peer });
        theirs.admit(&resumables);
        let resumed = Counting::start(&ours);
        tasks.push(read_notices(agent.registration));
        Ok(Self { net, configs, relays, ours, theirs, resumed, _tasks: tasks, _agent: agent.client })
    }

    /// Lets the plan's events happen, and all that was cut be whole again; how many that were.
    async fn happen(&mut self, plan: &Plan) -> anyhow::Result<u64> {
        let start = Instant::now();
        let mut ending = JoinSet::new();
        for (at, event) in &plan.events {
            tokio::time::sleep_until(start + *at).await;
            let net = self.net.clone();
            match event.clone() {
                Event::Outage { host, length } => {
                    let ip = net.address_of(host);
                    net.cut(ip);
                    ending.spawn(async move {
                        sleep(length).await;
                        net.mend(ip);
                    });
                }
                Event::Move { host, to } => net.readdress(host, IpAddr::from([10, 0, 0, to])),
                Event::Rebind => net.rebind_nat(net.address_of(AGENT)),
                Event::NoUdp { host, length } => {
                    let ip = net.address_of(host);
                    net.set_udp(ip, false);
                    ending.spawn(async move {
                        sleep(length).await;
                        net.set_udp(ip, true);
                    });
                }
                Event::Kill { relay, after } => {
                    net.unplug(self.configs[relay].listen);
                    if let Some(running) = self.relays[relay].take() {
                        running.kill().await;
                    }
                    sleep(after).await;
                    self.relays[relay] = Some(RunningRelay::start(&self.configs[relay])?);
                }
                Event::Clock { host, ms } => net.step_clock(host, ms),
                Event::Change(weather) => net.set_weather(weather),
            }
        }
        while ending.join_next().await.is_some() {}
        Ok(plan.events.len() as u64)
    }
}

/// Reads what a registration tells, so that it is not held up.
fn read_notices(mut registration: Registration) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move { while registration.notice().await.is_some() {} }))
}

/// Counts how often a session comes back.
struct Counting {
    stop: tokio::sync::oneshot::Sender<()>,
    count: tokio::task::JoinHandle<anyhow::Result<u64>>,
}

impl Counting {
    fn start(session: &Session) -> Self {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let mut phases = session.phases();
        let count = tokio::spawn(async move {
            let (mut count, mut was_paused) = (0, false);
            loop {
                let phase = *phases.borrow_and_update();
                match phase {
                    Phase::Paused => was_paused = true,
                    Phase::Live => count += u64::from(std::mem::take(&mut was_paused)),
                    Phase::Over(over) => bail!("the session ended: {over:?}"),
                }
                tokio::select! {
                    changed = phases.changed() => changed.context("the session was dropped")?,
                    _ = &mut stopped => return Ok(count),
                }
            }
        });
        Self { stop, count }
    }
}

impl IntoFuture for Counting {
    type Output = anyhow::Result<u64>;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            drop(self.stop);
            self.count.await?
        })
    }
}

/// Says words for `length` of time, with pauses, and waits until the other side has them; how many bytes.
async fn say(mut writer: ChannelWriter, words: u64, length: Duration) -> anyhow::Result<u64> {
    let (mut random, mut pauses) = (StdRng::seed_from_u64(words), StdRng::seed_from_u64(!words));
    let end = Instant::now() + length;
    let mut said = 0;
    while Instant::now() < end {
        let mut word = vec![0; pauses.random_range(1..6_000)];
        random.fill_bytes(&mut word);
        said += word.len() as u64;
        writer.write_chunk(Bytes::from(word)).await.with_context(|| format!("channel {words:x} after {said} bytes"))?;
        sleep(Duration::from_millis(pauses.random_range(20..1_500))).await;
    }
    writer.deliver().await.with_context(|| format!("channel {words:x} at its end"))?;
    Ok(said)
}

/// Hears words and compares each byte; how many there were.
async fn hear(mut reader: ChannelReader, words: u64) -> anyhow::Result<u64> {
    let mut random = StdRng::seed_from_u64(words);
    let (mut heard, mut expected) = (0, Vec::new());
    // The generator fills in whole words of its own: the same pieces must be drawn as were said.
    let mut pieces = StdRng::seed_from_u64(!words);
    while let Some(chunk) =
        reader.read_chunk(64 * 1024).await.with_context(|| format!("channel {words:x} after {heard}"))?
    {
        while expected.len() < chunk.len() {
            let mut word = vec![0; pieces.random_range(1..6_000)];
            let _: u64 = pieces.random_range(20..1_500);
            random.fill_bytes(&mut word);
            expected.extend_from_slice(&word);
        }
        ensure!(
            chunk == expected[..chunk.len()],
            "channel {words:x} differs within {} bytes after {heard}",
            chunk.len()
        );
        expected.drain(..chunk.len());
        heard += chunk.len() as u64;
    }
    Ok(heard)
}
