//! Networks of real kernels: hosts that are network namespaces of this machine, around a router that can lose, translate
//! and cut. They need root, `ip`, `nft` and `nsenter`.
//!
//! Everything has the process id in its name and goes when its handle goes, also when a test fails; what a killed process
//! leaves behind, the next one removes. Nothing outside the namespaces is changed.

mod conversation;
mod delay;
mod flood;
mod host;
pub mod initials;
mod pings;
mod pulse;
mod relay;
mod transfer;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};

pub use conversation::Conversation;
pub use delay::DelayLine;
pub use flood::{Flood, HEADERS_BYTES, Source, Wave};
pub use host::Host;
pub use pings::{Pings, RoundTrips};
pub use pulse::{Pulse, Stall};
pub use relay::RelayProcess;
pub use transfer::{Received, Sent, receive, send};

/// Says why there can be no namespaces here; `None` where they work.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it takes root".to_owned());
    }
    let tried = Namespace::new("try").and_then(|namespace| namespace.run("nft", &["list", "ruleset"]));
    tried.err().map(|error| format!("{error:#}"))
}

/// A network namespace with its loopback up.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one; `label` is for people who look at the list.
    pub fn new(label: &str) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        // The first of all makes the directory a mount point; two at once would hide each other's names.
        static ONE_BY_ONE: Mutex<()> = Mutex::new(());
        let _turn = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("belay-{}-{}-{label}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run(Command::new("ip").args(["netns", "add", &name]), "")?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        // Packets from made-up sources arrive, and answers leave by whatever way there is.
        for which in ["all", "default"] {
            namespace.set(&format!("net.ipv4.conf.{which}.rp_filter"), 0)?;
        }
        // An address that is added before the former one goes takes its place.
        namespace.set("net.ipv4.conf.all.promote_secondaries", 1)?;
        Ok(namespace)
    }

    /// A command that runs `command` inside, with its arguments, environment and directory. Its process id is that of the
    /// program.
    pub fn inside(&self, command: &Command) -> Command {
        // Not `ip netns exec`, which also mounts a /sys of its own.
        entering(&[format!("--net=/run/netns/{}", self.name)], command)
    }

    /// Runs a program inside to its end; what it wrote to standard output.
    pub fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<String> {
        run(&mut self.inside(Command::new(program).args(args)), "")
    }

    /// `ip` for the namespace, with words that a space separates.
    pub fn ip(&self, words: &str) -> anyhow::Result<()> {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split(' ')), "").map(drop)
    }

    /// Several commands of `ip` at once, one a line.
    pub fn ip_batch(&self, lines: &str) -> anyhow::Result<()> {
        run(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), lines).map(drop)
    }

    /// Loads rules of nftables.
    pub fn nft(&self, rules: &str) -> anyhow::Result<()> {
        let mut nft = self.inside(Command::new("nft").args(["-f", "-"]));
        run(&mut nft, rules).map(drop).with_context(|| rules.to_owned())
    }

    /// Packets and bytes (with IP headers) that the named counter of the table `ip belay` has seen.
    pub fn counted(&self, counter: &str) -> anyhow::Result<(u64, u64)> {
        let text = self.run("nft", &["-j", "list", "counter", "ip", "belay", counter])?;
        let listed: serde_json::Value = serde_json::from_str(&text)?;
        let found = listed["nftables"].as_array().into_iter().flatten().find_map(|entry| {
            let counter = entry.get("counter")?;
            Some((counter["packets"].as_u64()?, counter["bytes"].as_u64()?))
        });
        found.with_context(|| format!("no counter in {text}"))
    }

    /// The port of the one UDP socket of IPv6 (and IPv4) that is bound inside.
    pub fn udp_port(&self) -> anyhow::Result<u16> {
        let table = self.run("cat", &["/proc/net/udp6"])?;
        let ports = table.lines().skip(1).filter_map(|line| {
            let local = line.split_whitespace().nth(1)?;
            u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
        });
        ports.last().with_context(|| format!("no socket in {table}"))
    }

    /// Datagrams so far for which a socket had no room.
    pub fn unread(&self) -> anyhow::Result<u64> {
        let snmp = self.run("cat", &["/proc/net/snmp"])?;
        let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let (names, values) = lines.next().zip(lines.next()).context("no UDP in /proc/net/snmp")?;
        let found = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "RcvbufErrors");
        Ok(found.context("no RcvbufErrors")?.1.parse()?)
    }

    /// Sets a variable of the kernel's, for the namespace alone.
    pub fn set(&self, variable: &str, value: u64) -> anyhow::Result<()> {
        self.run("sysctl", &["-q", "-w", &format!("{variable}={value}")]).map(drop)
    }
}

/// Removes namespaces whose process was killed before it could.
fn sweep() {
    let names = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix("belay-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            let _ = run(Command::new("ip").args(["netns", "del", &name]), "");
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Sockets of processes that still run keep it alive, without a name.
        let _ = run(Command::new("ip").args(["netns", "del", &self.name]), "");
    }
}

/// Hosts around a router. Each has a network of its own, and the router is its way to the others.
#[derive(Debug)]
pub struct Topology {
    /// The machine in the middle.
    pub router: Namespace,
    hosts: BTreeMap<u8, Namespace>,
}

/// The MTU of Ethernet.
pub const USUAL_MTU: u16 = 1_500;

impl Topology {
    /// Hosts with these numbers, on links with an MTU of `mtu`.
    pub fn new(numbers: &[u8], mtu: u16) -> anyhow::Result<Self> {
        let router = Namespace::new("router")?;
        router.set("net.ipv4.ip_forward", 1)?;
        let mut topology = Self { router, hosts: BTreeMap::new() };
        for &number in numbers {
            let host = Namespace::new(&format!("host{number}"))?;
            let (inside, gateway) = (Self::address(number), Self::gateway(number));
            let router = &topology.router;
            router
                .ip(&format!("link add to-{number} mtu {mtu} type veth peer name wan mtu {mtu} netns {}", host.name))?;
            // What the kernel has joined is lost as a whole: loss is of packets only if none are.
            router.ip(&format!("link set to-{number} gso_max_segs 1 up"))?;
            host.ip("link set wan gso_max_segs 1 up")?;
            router.ip(&format!("addr add {gateway}/24 dev to-{number}"))?;
            host.ip(&format!("addr add {inside}/24 dev wan"))?;
            host.ip(&format!("route add default via {gateway}"))?;
            topology.hosts.insert(number, host);
        }
        Ok(topology)
    }

    /// The address of a host.
    pub const fn address(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 71, number, 2)
    }

    /// The address of the router in the network of a host.
    pub const fn gateway(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 71, number, 1)
    }

    /// The address of a host, with a port.
    pub fn socket(number: u8, port: u16) -> SocketAddr {
        SocketAddr::from((Self::address(number), port))
    }

    /// The same, for those who make headers.
    pub fn socket_v4(number: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Self::address(number), port)
    }

    /// Sends what goes to nobody's address to a host, which drops it.
    pub fn send_strangers_to(&self, number: u8) -> anyhow::Result<()> {
        self.router.ip(&format!("route add default via {}", Self::address(number)))
    }

    /// Counts at the relay's host what arrives from made-up sources (`strange`) and from the hosts whose addresses an
    /// attacker uses, its own among them (`known`), and at the attacker's what comes back to made-up ones (`answered`).
    pub fn count_attack(&self, relay: u8, attacker: u8, victim: u8) -> anyhow::Result<()> {
        let [attackers, victims] = [attacker, victim].map(Self::address);
        self.host(relay).nft(&format!(
            "table ip belay {{ counter strange {{ }}\ncounter known {{ }}\n\
             chain arriving {{ type filter hook prerouting priority 0;\n\
             meta l4proto udp ip saddr != 10.0.0.0/8 counter name strange\n\
             meta l4proto udp ip saddr {{ {attackers}, {victims} }} counter name known\n}}\n}}"
        ))?;
        self.host(attacker).nft(
            "table ip belay { counter answered { }\n\
             chain arriving { type filter hook prerouting priority 0;\n\
             meta l4proto udp ip daddr != 10.0.0.0/8 counter name answered\n}\n}",
        )
    }

    /// Names and namespaces of all hosts, and of the router.
    pub fn all(&self) -> impl Iterator<Item = (String, &Namespace)> {
        let hosts = self.hosts.iter().map(|(number, host)| (format!("host {number}"), host));
        std::iter::once(("router".to_owned(), &self.router)).chain(hosts)
    }

    /// The namespace of a host.
    pub fn host(&self, number: u8) -> &Namespace {
        &self.hosts[&number]
    }

    /// Gives a host another address; the former one is gone.
    pub fn readdress(&self, number: u8, from: Ipv4Addr, to: Ipv4Addr) -> anyhow::Result<()> {
        let gateway = Self::gateway(number);
        self.host(number).ip_batch(&format!(
            "addr add {to}/24 dev wan\naddr del {from}/24 dev wan\nroute replace default via {gateway}\n"
        ))
    }

    /// Puts rules for all that reaches the router in the place of the former ones; none let everything pass.
    pub fn rule(&self, rules: &[String]) -> anyhow::Result<()> {
        // After the translation of addresses, so that rules see those of the hosts.
        let chain = "type filter hook prerouting priority 0; policy accept;";
        let rules = rules.join("\n");
        self.router.nft(&format!(
            "table ip belay_rules\ndelete table ip belay_rules\n\
             table ip belay_rules {{ chain arriving {{ {chain}\n{rules}\n}}\n}}"
        ))
    }

    /// Puts a host behind a NAT that forgets what has been silent for `memory`, in whole seconds.
    pub fn masquerade(&self, number: u8, memory: Duration) -> anyhow::Result<()> {
        let network = Ipv4Addr::new(10, 71, number, 0);
        self.router.nft(&format!(
            "table ip belay_nat {{ chain postrouting {{ type nat hook postrouting priority 100;\n\
             ip saddr {network}/24 masquerade random\n}}\n}}"
        ))?;
        self.set_nat_memory(memory)
    }

    /// Lets the NAT forget everybody at once, while packets flow: the next packet of each gets another port.
    pub fn rebind_nat(&self, memory: Duration) -> anyhow::Result<()> {
        // An entry that a packet refreshes for no time at all is gone before the next.
        self.set_nat_memory(Duration::ZERO)?;
        std::thread::sleep(NAT_FORGETS_WITHIN);
        self.set_nat_memory(memory)
    }

    fn set_nat_memory(&self, memory: Duration) -> anyhow::Result<()> {
        for which in ["udp_timeout", "udp_timeout_stream"] {
            self.router.set(&format!("net.netfilter.nf_conntrack_{which}"), memory.as_secs())?;
        }
        Ok(())
    }
}

/// Long enough for a packet of everybody who sends.
const NAT_FORGETS_WITHIN: Duration = Duration::from_millis(20);

/// A rule that loses this many of 1,000 packets of UDP.
pub fn loss(per_mille: u32) -> String {
    format!("meta l4proto udp numgen random mod 1000 < {per_mille} drop")
}

/// A rule that lets no UDP of a host through, in either direction.
pub fn no_udp(number: u8) -> [String; 2] {
    let network = Ipv4Addr::new(10, 71, number, 0);
    [format!("ip saddr {network}/24 meta l4proto udp drop"), format!("ip daddr {network}/24 meta l4proto udp drop")]
}

/// A rule that lets nothing pass from one host to the other, nor back.
pub fn cut(one: u8, other: u8) -> [String; 2] {
    let network = |number| format!("{}/24", Ipv4Addr::new(10, 71, number, 0));
    [(one, other), (other, one)].map(|(from, to)| format!("ip saddr {} ip daddr {} drop", network(from), network(to)))
}

/// A command that runs `command` in the namespaces that these options of `nsenter` name, with its arguments, environment
/// and directory.
pub(crate) fn entering(namespaces: &[String], command: &Command) -> Command {
    let mut inside = Command::new("nsenter");
    inside.args(namespaces).arg("--").arg(command.get_program()).args(command.get_args());
    inside.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = command.get_current_dir() {
        inside.current_dir(directory);
    }
    inside
}

/// Runs `command` to its end with `input`; what it wrote to standard output. An error says what it wrote beside.
pub(crate) fn run(command: &mut Command, input: &str) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input may have ended already.
        let _ = pipe.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
