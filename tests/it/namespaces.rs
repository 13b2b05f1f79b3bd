//! Sessions across real kernels: agent, relay and console on hosts of their own around a router that loses, translates
//! and cuts. They need root, `ip` and `nft`, and are skipped loudly without.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use belay_protocol::ConsoleKey;
use belay_relay::client::{Link, Notice, Role};
use belay_tests::namespaces::{
    self, Conversation, Flood, Host, Pings, Pulse, RelayProcess, Source, Topology, USUAL_MTU, Wave, cut, initials,
    loss, no_udp,
};
use belay_tests::programs::Program;
use belay_tests::requirement;
use tokio::sync::watch;
use tokio::time::timeout;

const RELAY: u8 = 1;
const DESK: u8 = 2;
const AGENT: u8 = 3;
const OTHER_RELAY: u8 = 4;
const ATTACKER: u8 = 5;

const PORT: u16 = 4433;

/// The transfer in the middle of which something happens.
const BYTES: u64 = 200_000_000;

/// Far longer than any transfer takes that goes on at all.
const DEADLINE: Duration = Duration::from_secs(240);

fn can_run() -> bool {
    requirement::is_met("namespaces", namespaces::missing())
}

fn relay_program() -> PathBuf {
    let home = std::env::temp_dir();
    PathBuf::from(Program::Relay.command(&home).unwrap().get_program())
}

/// A relay process and two ends with an open session.
struct Scene {
    topology: Topology,
    relay: RelayProcess,
    talk: Conversation,
}

impl Scene {
    async fn open(mtu: u16, prepare: impl FnOnce(&Topology)) -> Self {
        let topology = Topology::new(&[RELAY, DESK, AGENT], mtu).unwrap();
        prepare(&topology);
        let listen = Topology::socket(RELAY, PORT);
        let relay = RelayProcess::start(topology.host(RELAY), &relay_program(), listen, &[]).unwrap();
        let desk = (topology.host(DESK), &relay.address);
        let agent = (topology.host(AGENT), vec![relay.address.clone()]);
        let talk = timeout(DEADLINE, Conversation::open(desk, agent)).await.unwrap().unwrap();
        Self { topology, relay, talk }
    }

    /// Sends from the agent to the desk, does something in the middle, and compares the hashes; how long the transfer
    /// stood still at most.
    async fn transfer(&mut self, bytes: u64, meanwhile: impl AsyncFnOnce(&Topology, &mut RelayProcess)) -> Duration {
        let (progress, mut seen) = watch::channel(0);
        let (desk, agent) = (&self.talk.desk_host, &self.talk.agent_host);
        let receiving = desk.spawn(namespaces::receive(self.talk.theirs.clone(), move |bytes| {
            progress.send_replace(bytes);
        }));
        let sending = agent.spawn(namespaces::send(self.talk.ours.clone(), bytes, DEADLINE));
        timeout(DEADLINE, seen.wait_for(|arrived| *arrived >= bytes / 2)).await.unwrap().unwrap();
        meanwhile(&self.topology, &mut self.relay).await;
        let arrived = timeout(DEADLINE, receiving).await.expect("the transfer ends").unwrap().unwrap();
        let sent = timeout(DEADLINE, sending).await.expect("the sender ends").unwrap().unwrap();
        assert_eq!(arrived.sent, sent, "what arrived is what was sent");
        assert!(sent.bytes >= bytes);
        println!("{:.1} MB/s, longest gap {:?}", arrived.megabytes_per_second(), arrived.longest_gap);
        arrived.longest_gap
    }

    /// A few bytes each way.
    async fn exchange(&self) {
        exchange((&self.talk.agent_host, &self.talk.ours), (&self.talk.desk_host, &self.talk.theirs)).await;
    }

    /// TCP connections of a host to the relay.
    fn tunnels(&self, host: u8) -> usize {
        let listed = self.topology.host(host).run("cat", &["/proc/net/tcp"]).unwrap();
        // The state of an established connection is 01; sockets of IPv6 are not in this list.
        listed.lines().filter(|line| line.split_whitespace().nth(3) == Some("01")).count()
    }
}

async fn exchange(one: (&Host, &Link), other: (&Host, &Link)) {
    for (from, to) in [(one, other), (other, one)] {
        let receiving = to.0.spawn(namespaces::receive(to.1.clone(), |_| {}));
        let sending = from.0.spawn(namespaces::send(from.1.clone(), 100_000, DEADLINE));
        let arrived = timeout(DEADLINE, receiving).await.expect("the session goes on").unwrap().unwrap();
        assert_eq!(arrived.sent, sending.await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn udp_cut_in_the_middle_of_a_transfer_goes_on_over_tcp_with_the_same_hash() {
    if !can_run() {
        return;
    }
    let mut scene = Scene::open(USUAL_MTU, |_| {}).await;
    assert_eq!(scene.tunnels(AGENT), 0);
    scene.transfer(BYTES, async |topology, _| topology.rule(&no_udp(AGENT)).unwrap()).await;
    assert_eq!(scene.tunnels(AGENT), 1, "the transfer ended in a tunnel");
}

#[tokio::test]
async fn a_relay_killed_and_restarted_in_the_middle_of_a_transfer_changes_no_byte() {
    if !can_run() {
        return;
    }
    let mut scene = Scene::open(USUAL_MTU, |_| {}).await;
    let restart = async |topology: &Topology, relay: &mut RelayProcess| {
        relay.kill().unwrap();
        relay.restart(topology.host(RELAY)).unwrap();
    };
    scene.transfer(BYTES, restart).await;
}

#[tokio::test]
async fn an_agent_that_changes_its_address_in_the_middle_of_a_transfer_changes_no_byte() {
    if !can_run() {
        return;
    }
    let mut scene = Scene::open(USUAL_MTU, |_| {}).await;
    let (from, to) = (Topology::address(AGENT), Ipv4Addr::new(10, 71, AGENT, 33));
    scene.transfer(BYTES, async |topology, _| topology.readdress(AGENT, from, to).unwrap()).await;
}

#[tokio::test]
async fn loss_and_small_packets_change_no_byte() {
    if !can_run() {
        return;
    }
    let mut scene = Scene::open(1_280, |topology| topology.rule(&[loss(20)]).unwrap()).await;
    scene.transfer(5_000_000, async |_, _| {}).await;
    assert!(scene.talk.ours.path().mtu_bytes <= 1_280 - 28, "{:?}", scene.talk.ours.path());
}

#[tokio::test]
async fn a_network_without_udp_serves_through_tunnels_from_the_beginning() {
    if !can_run() {
        return;
    }
    let rules = [no_udp(AGENT), no_udp(DESK)].concat();
    let mut scene = Scene::open(USUAL_MTU, |topology| topology.rule(&rules).unwrap()).await;
    scene.transfer(5_000_000, async |_, _| {}).await;
    assert_eq!((scene.tunnels(AGENT), scene.tunnels(DESK)), (1, 1));
}

#[tokio::test]
async fn behind_a_nat_that_forgets_after_two_seconds_a_quiet_agent_stays_within_reach() {
    if !can_run() {
        return;
    }
    let memory = Duration::from_secs(2);
    let scene = Scene::open(USUAL_MTU, |topology| topology.masquerade(AGENT, memory).unwrap()).await;
    // The desk speaks first after each silence, to an agent of whom the NAT has heard probes at most.
    for silence in [Duration::from_secs(3), Duration::from_secs(7), Duration::from_millis(4_500)] {
        tokio::time::sleep(silence).await;
        let receiving = scene.talk.agent_host.spawn(namespaces::receive(scene.talk.ours.clone(), |_| {}));
        let sending = scene.talk.desk_host.spawn(namespaces::send(scene.talk.theirs.clone(), 1, DEADLINE));
        let arrived = timeout(DEADLINE, receiving).await.expect("within reach").unwrap().unwrap();
        assert_eq!(arrived.sent, sending.await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_nat_that_rebinds_while_data_flows_is_followed_without_a_lost_byte() {
    if !can_run() {
        return;
    }
    let memory = Duration::from_secs(30);
    let scene = Scene::open(USUAL_MTU, |topology| topology.masquerade(AGENT, memory).unwrap()).await;
    let talk = &scene.talk;
    let pulse = Pulse::start((&talk.agent_host, talk.ours.clone()), (&talk.desk_host, talk.theirs.clone()));
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let at = Instant::now();
        scene.topology.rebind_nat(memory).unwrap();
        let stall = pulse.settled(at, Duration::from_secs(1), DEADLINE).await.unwrap();
        println!("{stall:?}");
    }
    timeout(DEADLINE, pulse.finish()).await.unwrap().unwrap();
}

#[tokio::test]
async fn when_the_path_to_one_relay_is_cut_the_session_goes_by_the_other() {
    if !can_run() {
        return;
    }
    let topology = Topology::new(&[RELAY, DESK, AGENT, OTHER_RELAY], USUAL_MTU).unwrap();
    let start = |number| {
        let listen = Topology::socket(number, PORT);
        RelayProcess::start(topology.host(number), &relay_program(), listen, &[]).unwrap()
    };
    let (first, second) = (start(RELAY), start(OTHER_RELAY));
    // While the agent chooses, the first is nearer.
    topology.rule(&cut(AGENT, OTHER_RELAY)).unwrap();
    let relays = vec![first.address.clone(), second.address.clone()];
    let opening = Conversation::open((topology.host(DESK), &first.address), (topology.host(AGENT), relays));
    let talk = timeout(DEADLINE, opening).await.unwrap().unwrap();
    let delegation = talk.desk.organization.delegate(ConsoleKey(talk.desk.client.route().key), i64::MAX);
    let desk = std::sync::Arc::clone(&talk.desk);
    let registering = talk.desk_host.run(async move {
        let mut registration = desk.client.register(second.address.clone(), Role::Desk(delegation));
        let notice = registration.notice().await;
        anyhow::ensure!(matches!(notice, Some(Notice::Up)), "{notice:?}");
        Ok((registration, second))
    });
    let _second = timeout(DEADLINE, registering).await.unwrap().unwrap();
    topology.rule(&[]).unwrap();
    let ends = ((&talk.agent_host, &talk.ours), (&talk.desk_host, &talk.theirs));
    exchange(ends.0, ends.1).await;
    // Only the agent's way is cut: the desk still hears from the first relay.
    topology.rule(&cut(AGENT, RELAY)).unwrap();
    exchange(ends.0, ends.1).await;
}

#[tokio::test]
async fn a_desk_that_changes_its_address_is_followed() {
    if !can_run() {
        return;
    }
    let scene = Scene::open(USUAL_MTU, |_| {}).await;
    scene.exchange().await;
    let (from, to) = (Topology::address(DESK), Ipv4Addr::new(10, 71, DESK, 33));
    scene.topology.readdress(DESK, from, to).unwrap();
    scene.exchange().await;
}

#[tokio::test]
async fn a_flood_of_spoofed_packets_costs_a_session_nothing_and_is_not_amplified() {
    if !can_run() {
        return;
    }
    let topology = Topology::new(&[RELAY, DESK, AGENT, ATTACKER], USUAL_MTU).unwrap();
    topology.send_strangers_to(ATTACKER).unwrap();
    topology.count_attack(RELAY, ATTACKER, AGENT).unwrap();
    let relay =
        RelayProcess::start(topology.host(RELAY), &relay_program(), Topology::socket(RELAY, PORT), &[]).unwrap();
    let desk = (topology.host(DESK), &relay.address);
    let opening = Conversation::open(desk, (topology.host(AGENT), vec![relay.address.clone()]));
    let talk = timeout(DEADLINE, opening).await.unwrap().unwrap();
    let ends = ((&talk.agent_host, &talk.ours), (&talk.desk_host, &talk.theirs));
    exchange(ends.0, ends.1).await;
    let pings = Pings::start(ends.0, ends.1).await.unwrap();
    relay.forget_peak().unwrap();
    let (before, _) = relay.memory().unwrap();

    let to = Topology::socket_v4(RELAY, PORT);
    let agent = Topology::socket_v4(AGENT, topology.host(AGENT).udp_port().unwrap());
    let of_pair = initials::session_packet(&talk.desk.client.route().route(), initials::INITIAL_BYTES);
    let waves = [
        (vec![initials::garbage(0)], initials::LONG_ID, Source::MadeUp),
        ((0..16).map(|_| initials::garbage(64)).collect(), initials::LONG_ID, Source::MadeUp),
        (initials::client_hellos(5_000, to.into()).unwrap(), 0..0, Source::MadeUp),
        (vec![of_pair], initials::SESSION_NOISE, Source::Stolen(agent)),
    ];
    for (payloads, random, source) in waves {
        let wave = Wave { payloads, random, source, to, per_second: 10_000 };
        let flood = Flood::start(topology.host(ATTACKER), wave).unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(flood.sent() > 100, "the flood does not flow");
        drop(flood);
        exchange(ends.0, ends.1).await;
    }
    assert!(pings.is_alive(), "the session is dead");
    let ((strange, strange_bytes), (known, _)) =
        (topology.host(RELAY).counted("strange").unwrap(), topology.host(RELAY).counted("known").unwrap());
    assert!(strange > 300 && known > 100, "the flood does not arrive: {strange}, {known}");
    let answered = topology.host(ATTACKER).counted("answered").unwrap().1;
    assert!(answered > 0, "valid hellos are answered");
    assert!(answered <= 3 * strange_bytes, "{answered} bytes were answered to {strange_bytes}");
    let (_, peak) = relay.memory().unwrap();
    assert!(peak.saturating_sub(before) <= 64 << 20, "{before} bytes became {peak}");
    println!("{strange} packets, {answered} of {strange_bytes} bytes answered; memory {before} to {peak}");
}
