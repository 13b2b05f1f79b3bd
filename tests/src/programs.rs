//! The three programs as people run them: child processes of this one, in a directory of their own.
//!
//! Nothing of this process's environment reaches them but `PATH`. Every child is killed and reaped when its handle goes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

pub(crate) mod build;

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `belay-relay`.
    Relay,
    /// `belay-agent`.
    Agent,
    /// `belay-console`.
    Console,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Relay, Self::Agent, Self::Console];

    /// Its name as it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relay => "belay-relay",
            Self::Agent => "belay-agent",
            Self::Console => "belay-console",
        }
    }

    /// Builds it by itself and optimised, as it is shipped; where it is.
    pub fn release(self) -> anyhow::Result<PathBuf> {
        build::release(self)
    }

    /// A command that runs it with `home` as home and working directory, in English, and with nobody at the keyboard.
    pub fn command(self, home: &Path) -> anyhow::Result<Command> {
        let mut command = alone(&build::directory()?.join(self.name()), home);
        command.env("LANG", "en_US.UTF-8");
        Ok(command)
    }
}

/// A command with nothing of this process's environment but `PATH`, with `home` as home and working directory, and with
/// nobody at the keyboard.
pub fn alone(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).current_dir(home).stdin(Stdio::null());
    command
}

/// A child process, and what it has said so far.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: Transcript,
    err: Transcript,
}

/// How a process ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl Ended {
    /// Its standard output, which is to be one JSON value and nothing else.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("not JSON alone: {self}"))
    }

    /// Whether its page says `words`, wherever the lines were broken.
    pub fn says(&self, words: &str) -> bool {
        let page: Vec<_> = self.out.split_whitespace().collect();
        page.join(" ").contains(words)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.out, self.err)
    }
}

impl Running {
    /// Starts `command`.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_owned();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("{} cannot be started", name.display()))?;
        let out = Transcript::of(child.stdout.take().context("no standard output")?);
        let err = Transcript::of(child.stderr.take().context("no standard error")?);
        Ok(Self { child, out, err })
    }

    /// Starts `command` and types `text` into it; the end of the text is the end of the input.
    pub fn start_with_input(command: &mut Command, text: &str) -> anyhow::Result<Self> {
        let mut running = Self::start(command.stdin(Stdio::piped()))?;
        let mut input = running.child.stdin.take().context("no standard input")?;
        input.write_all(text.as_bytes())?;
        Ok(running)
    }

    /// Its standard output.
    pub fn out(&self) -> &Transcript {
        &self.out
    }

    /// Its standard error.
    pub fn err(&self) -> &Transcript {
        &self.err
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`; what it said is returned.
    pub fn kill(mut self) -> anyhow::Result<Ended> {
        self.child.kill()?;
        self.finish(DEADLINE)
    }

    /// Sends it a signal as `kill -SIGNAL` does.
    pub fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        Ok(rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)?)
    }

    /// Asks it to stop as `kill -SIGNAL` does, and waits until it has.
    pub fn stop(self, signal: rustix::process::Signal) -> anyhow::Result<Ended> {
        self.signal(signal)?;
        self.finish(DEADLINE)
    }

    /// Waits for its end.
    pub fn finish(mut self, within: Duration) -> anyhow::Result<Ended> {
        let deadline = Instant::now() + within;
        // Both pipes end with the process, which can be waited for with a deadline; its exit code is then there.
        let all = self.out.ends_by(deadline) && self.err.ends_by(deadline);
        let (out, err) = (self.out.text(), self.err.text());
        ensure!(all, "still running after {within:?}\n--- stdout\n{out}\n--- stderr\n{err}");
        Ok(Ended { code: self.child.wait()?.code(), out, err })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.out.join();
        self.err.join();
    }
}

/// Runs `command` to its end.
pub fn run(command: &mut Command) -> anyhow::Result<Ended> {
    Running::start(command)?.finish(DEADLINE)
}

/// What came out of a pipe so far.
#[derive(Debug)]
pub struct Transcript {
    heard: Arc<(Mutex<Heard>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

impl Transcript {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let writer = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 64 * 1024];
            loop {
                let read = pipe.read(&mut chunk).unwrap_or(0);
                let mut heard = writer.0.lock().unwrap_or_else(PoisonError::into_inner);
                heard.bytes.extend_from_slice(&chunk[..read]);
                heard.ended = read == 0;
                writer.1.notify_all();
                if heard.ended {
                    return;
                }
            }
        });
        Self { heard, reader: Some(reader) }
    }

    /// Everything so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.heard.0.lock().unwrap_or_else(PoisonError::into_inner).bytes.clone()
    }

    /// Everything so far, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits until `found` finds something in what was said.
    pub fn wait_for<T>(&self, what: &str, found: impl Fn(&[u8]) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + DEADLINE;
        let mut answer = None;
        self.wait(deadline, |heard| {
            answer = found(&heard.bytes);
            answer.is_some() || heard.ended
        });
        answer.with_context(|| format!("no {what} in:\n{}", self.text()))
    }

    /// Waits for a whole line that contains `part`.
    pub fn line_with(&self, part: &str) -> anyhow::Result<String> {
        self.wait_for(part, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            whole.map(str::trim_end).find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    fn ends_by(&self, deadline: Instant) -> bool {
        self.wait(deadline, |heard| heard.ended)
    }

    /// Waits until `done`; says whether it came to that before the deadline.
    fn wait(&self, deadline: Instant, mut done: impl FnMut(&Heard) -> bool) -> bool {
        let mut heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if done(&heard) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            heard = self.heard.1.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// A relay and a console with a desk, both running, and room for agents.
#[derive(Debug)]
pub struct Site {
    directory: tempfile::TempDir,
    serve: Vec<OsString>,
    relay: Running,
    console: Option<Running>,
}

/// A ticket that was opened on the command line.
#[derive(Debug, Clone)]
pub struct OpenedTicket {
    /// Its number.
    pub number: String,
    /// The code, nine digits.
    pub code: String,
    /// The code as it is read aloud, in groups.
    pub spoken: String,
    /// The invite link.
    pub link: String,
}

impl Site {
    /// A site with the programs' defaults.
    pub fn open() -> anyhow::Result<Self> {
        Self::open_with(&[], &[])
    }

    /// A site whose `init` and `serve` have more options. Relay and HTTP listen where the system lets them.
    pub fn open_with(init: &[&OsStr], serve: &[&OsStr]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let home = directory.path();
        let mut command = Program::Relay.command(home)?;
        let relay = Running::start(command.args(["serve", "--listen", "127.0.0.1:0", "--data", "relay"]))?;
        let address = relay.out.line_with("#")?;
        let made = run(Program::Console.command(home)?.args(["init", "--data", "desk", "--json"]).args(init))?;
        ensure!(made.code == Some(0), "init: {made}");
        let words = ["serve", "--data", "desk", "--http", "127.0.0.1:0", "--relay", &address];
        let serve = words.iter().map(OsString::from).chain(serve.iter().map(OsString::from)).collect();
        let mut site = Self { directory, serve, relay, console: None };
        site.serve()?;
        Ok(site)
    }

    /// The directory of everything.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The console's data directory.
    pub fn desk(&self) -> PathBuf {
        self.path().join("desk")
    }

    /// The relay.
    pub fn relay(&self) -> &Running {
        &self.relay
    }

    /// The UDP port of the relay.
    pub fn relay_port(&self) -> anyhow::Result<u16> {
        let address = self.relay.out.line_with("#")?;
        let port = address.split_once('#').and_then(|(address, _)| address.rsplit_once(':')?.1.parse().ok());
        port.with_context(|| format!("no port in {address}"))
    }

    /// The console.
    pub fn console(&self) -> anyhow::Result<&Running> {
        self.console.as_ref().context("the console does not run")
    }

    /// Starts the console, and waits until customers can reach it.
    pub fn serve(&mut self) -> anyhow::Result<()> {
        let console = Running::start(Program::Console.command(self.path())?.args(&self.serve))?;
        console.err.line_with("registered with the relay")?;
        self.console = Some(console);
        Ok(())
    }

    /// `kill -9` of the console.
    pub fn kill_console(&mut self) -> anyhow::Result<Ended> {
        self.console.take().context("the console does not run")?.kill()
    }

    /// Stops the console as a service manager does.
    pub fn stop_console(&mut self) -> anyhow::Result<Ended> {
        self.console.take().context("the console does not run")?.stop(rustix::process::Signal::TERM)
    }

    /// The answer to a command of the console.
    pub fn ask(&self, words: &[&str]) -> anyhow::Result<Value> {
        let ended = run(Program::Console.command(self.path())?.args(words).args(["--json", "--data", "desk"]))?;
        if ended.code != Some(0) {
            let said = self.console.as_ref().map(|console| console.err.text()).unwrap_or_default();
            bail!("{words:?}: {ended}\n--- the console said\n{said}");
        }
        ended.json()
    }

    /// Opens a ticket.
    pub fn open_ticket(&self) -> anyhow::Result<OpenedTicket> {
        let opened = self.ask(&["ticket", "open", "--title", "Please look", "--customer", "Nordwind"])?;
        let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("no text in {opened}"));
        let (invite, ticket) = (&opened["invite"], &opened["ticket"]);
        Ok(OpenedTicket {
            number: text(&ticket["number"])?,
            code: text(&invite["code"])?,
            spoken: text(&invite["spoken"])?,
            link: text(&invite["link"])?,
        })
    }

    /// A ticket with its sessions, reports and events.
    pub fn show(&self, number: &str) -> anyhow::Result<Value> {
        self.ask(&["ticket", "show", number])
    }

    /// A command that joins as the device `name`, which keeps its data apart from the others'. What is sent is also
    /// printed as JSON.
    pub fn join(&self, name: &str, words: &[&str]) -> anyhow::Result<Command> {
        let mut command = Program::Agent.command(self.path())?;
        command.args(["join", "--json", "--data", &format!("agent-{name}")]).args(words);
        Ok(command)
    }
}

/// The kinds of a ticket's events, in their order.
pub fn kinds(shown: &Value) -> Vec<&str> {
    shown["events"].as_array().into_iter().flatten().filter_map(|event| event["kind"].as_str()).collect()
}

/// A TCP port of loopback that nobody uses, from below the ports that systems give to whoever connects.
pub fn free_port() -> anyhow::Result<u16> {
    let ports = (0..100).map(|_| rand::random_range(20_000..32_000));
    let free = ports.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.context("no port is free")
}

/// A captured tree of `/proc` and `/sys` of a machine with `modules` kernel modules, each with `mark` in its name.
pub fn captured_tree(at: &Path, mark: &str, modules: usize) -> anyhow::Result<()> {
    let lines = (0..modules).map(|number| format!("{mark}_{number} 16384 0 - Live 0x0000000000000000\n"));
    let files = [
        ("proc/modules", lines.collect::<String>()),
        ("proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 900000 kB\n".to_owned()),
        ("proc/sys/kernel/osrelease", "6.1.0-38-amd64\n".to_owned()),
        ("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n".to_owned()),
    ];
    for (path, text) in files {
        let path = at.join(path);
        std::fs::create_dir_all(path.parent().context("a file has a directory")?)?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// Nothing that a test waits for takes this long, also while other tests run.
pub const DEADLINE: Duration = Duration::from_secs(90);
