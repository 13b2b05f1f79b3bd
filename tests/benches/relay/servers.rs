//! The relays as processes: building them, starting them on loopback, and what must be told to reach them. Each ends when
//! its handle goes.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use belay_protocol::invite::RelayAddress;
use belay_tests::bench::say;
use belay_tests::programs::{Running, run};

use crate::contender::Contender;
use crate::payload::{Figures, Plan};

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// `belay-relay`.
    pub(crate) belay: PathBuf,
    /// Directory of the peers.
    peers: PathBuf,
    /// coturn's server, if it is installed.
    pub(crate) turnserver: Option<PathBuf>,
}

impl Programs {
    /// Builds what `contenders` need, optimised, from what is in the tree now.
    pub(crate) fn build(contenders: &[Contender]) -> anyhow::Result<Self> {
        // Paths are part of what cargo takes for a reason to build again: there is to be one spelling.
        let root = &fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
        let peers = root.join("tests/peers");
        let needs = |wanted: &[Contender]| contenders.iter().any(|contender| wanted.contains(contender));
        if needs(&[Contender::Belay, Contender::BelayNoOffload]) {
            say("building belay-relay as it is shipped: cargo build --release -p belay-relay");
            cargo(root, &["build", "--release", "-p", "belay-relay"])?;
        }
        if needs(&[Contender::RawLoop, Contender::Iroh, Contender::IrohPlain]) {
            say("building the peers, minutes at first: cargo build --release --manifest-path tests/peers/Cargo.toml");
            // Beside their sources also where CARGO_TARGET_DIR points elsewhere: their artefacts are no part of the root's.
            let target = peers.join("target");
            let target = target.to_str().context("the path of the sources is not text")?;
            let manifest = ["--manifest-path", "tests/peers/Cargo.toml", "--target-dir", target];
            cargo(root, &[["build", "--release"].as_slice(), &manifest].concat())?;
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let installed = ["/usr/bin/turnserver", "/usr/local/bin/turnserver"].map(PathBuf::from);
        Ok(Self {
            belay: target.join("release/belay-relay"),
            peers: peers.join("target/release"),
            turnserver: installed.into_iter().find(|path| path.exists()),
        })
    }
}

fn cargo(root: &Path, args: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO"));
    // What cargo tells a bench about its own package is, to the build scripts of some others, a reason to run again.
    for (name, _) in std::env::vars_os() {
        let is_about_us = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_about_us) {
            command.env_remove(name);
        }
    }
    let status = command.current_dir(root).args(args).args(["--locked", "--quiet"]).status();
    ensure!(status.context("cargo does not run")?.success(), "cargo {} failed", args.join(" "));
    Ok(())
}

/// Says whether `belay-relay serve` has an option.
pub(crate) fn belay_knows(programs: &Programs, option: &str) -> anyhow::Result<bool> {
    let help = run(Command::new(&programs.belay).args(["serve", "--help"]))?;
    ensure!(help.code == Some(0), "{help}");
    Ok(help.out.contains(option))
}

/// A relay's process with the directory of its files.
#[derive(Debug)]
pub(crate) struct Server {
    process: Running,
    directory: tempfile::TempDir,
}

impl Server {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Runs `program` in a directory of its own, without this process's environment. Its standard input stays open for as
    /// long as it is wanted, which is how the peers notice that they are not.
    fn start(program: &Path, args: impl FnOnce(&Path) -> Vec<String>) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new(program);
        command.env_clear().current_dir(directory.path()).args(args(directory.path())).stdin(Stdio::piped());
        Ok(Self { process: Running::start(&mut command)?, directory })
    }
}

/// A Belay relay with `options` beside those that it needs, and where it is.
pub(crate) fn belay(programs: &Programs, options: &[&str]) -> anyhow::Result<(Server, RelayAddress)> {
    let needed = ["serve", "--listen", "127.0.0.1:0", "--data", "data", "--log", "warn", "--pair-bytes-per-second"];
    let words = needed.into_iter().chain([UNLIMITED_BYTES_PER_SECOND]).chain(options.iter().copied());
    let server = Server::start(&programs.belay, |_| words.map(str::to_owned).collect())?;
    let address = server.process.out().line_with("#")?.parse()?;
    Ok((server, address))
}

/// A bare loop between two sockets, and where it is.
pub(crate) fn raw_loop(programs: &Programs, ends: [SocketAddr; 2]) -> anyhow::Result<(Server, SocketAddr)> {
    let server = Server::start(&programs.peers.join("raw-loop"), |_| ends.map(|end| end.to_string()).to_vec())?;
    let address = server.process.out().line_with(":")?.parse()?;
    Ok((server, address))
}

/// A TURN server that lets anybody allocate, and where it is.
pub(crate) fn coturn(programs: &Programs) -> anyhow::Result<(Server, SocketAddr)> {
    let turnserver = programs.turnserver.as_ref().context("there is no turnserver")?;
    // It cannot be asked to choose a port, nor which one it chose.
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port().to_string();
    let options = "-n -L 127.0.0.1 -E 127.0.0.1 -z --allow-loopback-peers --no-tcp --no-tls --no-dtls --no-tcp-relay \
                   --no-cli --no-rfc5780 --simple-log --log-file stdout --realm bench --min-port 20000 --max-port 65000";
    let server = Server::start(turnserver, |directory| {
        let files = ["--pidfile", "turn.pid", "--db", "turn.db"].map(str::to_owned);
        let _ = File::create(directory.join("turn.db"));
        options.split_whitespace().map(str::to_owned).chain(files).chain(["-p".to_owned(), port.clone()]).collect()
    })?;
    Ok((server, SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?))))
}

/// An iroh relay.
#[derive(Debug)]
pub(crate) struct Iroh {
    server: Server,
    url: String,
    certificate: PathBuf,
}

impl Iroh {
    /// Starts one, with TLS or without.
    pub(crate) fn start(programs: &Programs, tls: bool) -> anyhow::Result<Self> {
        let server = Server::start(&programs.peers.join("iroh-peer"), |_| {
            let words = ["relay", "--certificate", "certificate.pem"].into_iter().chain((!tls).then_some("--plain"));
            words.map(str::to_owned).collect()
        })?;
        let url = server.process.out().line_with("://")?;
        let certificate = server.directory.path().join("certificate.pem");
        Ok(Self { server, url, certificate })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    /// Measures a connection through it.
    pub(crate) fn session(&self, programs: &Programs, plan: &Plan) -> anyhow::Result<Figures> {
        let (pid, plan) = (self.id().to_string(), serde_json::to_string(plan)?);
        let mut command = self.peer(programs, "session");
        command.args(["--relay-pid", &pid, "--plan", &plan]).stdin(Stdio::piped());
        let ended = Running::start(&mut command)?.finish(SESSION_DEADLINE)?;
        ensure!(ended.code == Some(0), "{ended}");
        serde_json::from_str(&ended.out).with_context(|| format!("no figures: {ended}"))
    }

    /// Connects `count` silent clients, for as long as the handle is kept.
    pub(crate) fn idle_clients(&self, programs: &Programs, count: usize) -> anyhow::Result<Running> {
        let mut command = self.peer(programs, "idle");
        let clients = Running::start(command.args(["--count", &count.to_string()]).stdin(Stdio::piped()))?;
        clients.out().line_with("connected")?;
        Ok(clients)
    }

    fn peer(&self, programs: &Programs, mode: &str) -> Command {
        let mut command = Command::new(programs.peers.join("iroh-peer"));
        command.env_clear().args([mode, "--relay", &self.url, "--certificate"]).arg(&self.certificate);
        command
    }
}

/// More than loopback carries.
const UNLIMITED_BYTES_PER_SECOND: &str = "100000000000";

/// One round of iroh takes a fraction of this.
const SESSION_DEADLINE: Duration = Duration::from_secs(110);
