//! A whole desk with its relay and its customers, in this process: the real relay, the real console with its store and
//! its HTTP, and the real agent, over real sockets or over the network in memory.

use std::io::{self, BufRead, Cursor, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use belay_agent::join::{JoinError, JoinOptions, Joined, Person, join};
use belay_agent::survey::Smart;
use belay_agent::terminal::Colour;
use belay_console::clock::Clock;
use belay_console::console::{Config as ConsoleConfig, Console};
use belay_console::data::{DataDirectory, DeskName};
use belay_console::desk::Presence;
use belay_console::http::Profile;
use belay_console::number::TicketNumber;
use belay_console::store::{About, Actor, EventId, EventKind, Line, NewTicket, Report, Session, Store, Ticket};
use belay_console::ticket::{Channel, Level};
use belay_protocol::Language;
use belay_protocol::bounded::Text;
use belay_protocol::invite::{Invite, RelayAddress};
use belay_relay::net::{Net, SystemNet};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::links::{RunningRelay, loopback_relay};

/// Sockets of the three parties.
#[derive(Debug, Clone)]
pub struct Nets {
    /// The console's.
    pub desk: Arc<dyn Net>,
    /// The customers'.
    pub agent: Arc<dyn Net>,
}

impl Nets {
    /// This machine's own sockets.
    pub fn system() -> Self {
        Self { desk: Arc::new(SystemNet), agent: Arc::new(SystemNet) }
    }
}

/// A desk that runs.
pub struct Desk {
    /// Its store.
    pub store: Store,
    /// What it is called and where it is found.
    pub profile: Profile,
    /// Its clock, which tests move.
    pub clock: Clock,
    presence: Vec<watch::Receiver<Presence>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// How a desk is made.
#[derive(Debug, Clone)]
pub struct DeskOptions {
    /// Its name for itself.
    pub name: String,
    /// The help host it claims; its own when `None`.
    pub help_host: Option<String>,
    /// Relays that it is present at beside the first.
    pub further_relays: Vec<RelayAddress>,
    /// The directory with the agent's builds that its join page offers.
    pub agents: Option<PathBuf>,
    /// Where its sockets come from.
    pub net: Arc<dyn Net>,
}

impl Default for DeskOptions {
    fn default() -> Self {
        let (name, help_host, further_relays) = ("Example Support".to_owned(), None, Vec::new());
        Self { name, help_host, further_relays, agents: None, net: Arc::new(SystemNet) }
    }
}

impl Desk {
    /// Starts a console in `dir`, making the desk if there is none, and waits until its relays know it.
    pub async fn start(dir: &Path, relay: RelayAddress, options: DeskOptions) -> anyhow::Result<Self> {
        let clock = Clock::manual(Clock::System.now());
        let data = DataDirectory::at(dir);
        if !data.is_initialized() {
            let help_host = options.help_host.as_deref().map(Line::truncating);
            data.initialize(&DeskName { name: Line::truncating(options.name), help_host }, clock.now())?;
        }
        let console = Console::open(ConsoleConfig {
            data,
            database: None,
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            https: None,
            trusted_proxies: Vec::new(),
            agents: options.agents,
            backups: None,
            relays: [vec![relay], options.further_relays].concat(),
            assets: belay_console::ASSETS,
            net: options.net,
            proxy: None,
            clock: clock.clone(),
        })
        .await?;
        let (store, profile) = (console.store().clone(), console.profile().clone());
        let presence = console.desk().context("a desk with relays")?.presence();
        let presence = presence.into_iter().map(|(_, presence)| presence).collect();
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = console.run(stopping).await {
                tracing::error!(%error, "the console ended");
            }
        });
        let desk = Self { store, profile, clock, presence, stop, task };
        desk.present().await?;
        Ok(desk)
    }

    /// Waits until its relays know it.
    pub async fn present(&self) -> anyhow::Result<()> {
        for presence in &self.presence {
            presence.clone().wait_for(|state| *state == Presence::Present).await?;
        }
        Ok(())
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.stop.cancel();
        drop(self.store);
        let _ = self.task.await;
    }

    /// Opens a ticket.
    pub async fn ticket(&self, title: &str) -> anyhow::Result<Ticket> {
        let new = NewTicket {
            title: Line::truncating(title),
            customer: Line::truncating("Nordwind"),
            contact: None,
            description: Text::default(),
            channel: Channel::Phone,
            impact: Level::Medium,
            urgency: Level::Medium,
            about: About::default(),
        };
        Ok(self.store.open_ticket(&Actor::Local, new, None).await??)
    }

    /// A fresh invite of a ticket.
    pub async fn invite(&self, ticket: &Ticket) -> anyhow::Result<Invite> {
        let minted = self.store.mint_invite(&Actor::Local, ticket.number, None).await?;
        let (relay, further_relays) = self.profile.relays.split_first().context("one relay")?;
        Ok(Invite {
            relay: relay.clone(),
            further_relays: further_relays.to_vec(),
            code: minted.code,
            desk: self.profile.help_host.clone(),
            organization: self.profile.organization,
            secret: minted.secret,
        })
    }

    /// The kinds of a ticket's events, oldest first.
    pub async fn events(&self, ticket: TicketNumber) -> anyhow::Result<Vec<EventKind>> {
        let events = self.store.list_events(Some(ticket), EventId(0), 100).await?;
        Ok(events.into_iter().map(|event| event.kind).collect())
    }

    /// A ticket's reports.
    pub async fn reports(&self, ticket: TicketNumber) -> anyhow::Result<Vec<Report>> {
        Ok(self.store.list_reports(Some(ticket), None, 100).await?)
    }

    /// A ticket's sessions, newest first.
    pub async fn sessions(&self, ticket: TicketNumber) -> anyhow::Result<Vec<Session>> {
        Ok(self.store.list_sessions(Some(ticket), None, 100).await?)
    }
}

/// A relay, a desk and a place for devices.
pub struct World {
    /// The desk.
    pub desk: Desk,
    /// The relay, which invites name; `None` while it is down.
    pub relay: Option<RunningRelay>,
    /// Further relays of the desk.
    pub further_relays: Vec<RunningRelay>,
    nets: Nets,
    dir: TempDir,
}

impl World {
    /// A world on this machine's sockets.
    pub async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let relay = RunningRelay::start(&loopback_relay(&dir.path().join("relay")))?;
        Self::with(dir, relay, Nets::system()).await
    }

    /// A world with a given relay and given sockets; `dir` is kept as long as the world.
    pub async fn with(dir: TempDir, relay: RunningRelay, nets: Nets) -> anyhow::Result<Self> {
        Self::with_relays(dir, relay, Vec::new(), nets).await
    }

    /// A world whose desk is present at several relays.
    pub async fn with_relays(
        dir: TempDir,
        relay: RunningRelay,
        further_relays: Vec<RunningRelay>,
        nets: Nets,
    ) -> anyhow::Result<Self> {
        let agents = dir.path().join("agents");
        std::fs::create_dir_all(&agents)?;
        let options = DeskOptions {
            net: Arc::clone(&nets.desk),
            agents: Some(agents),
            further_relays: further_relays.iter().map(|relay| relay.address.clone()).collect(),
            ..DeskOptions::default()
        };
        let desk = Desk::start(&dir.path().join("desk"), relay.address.clone(), options).await?;
        Ok(Self { desk, relay: Some(relay), further_relays, nets, dir })
    }

    /// The directory of everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The options with which device `name` opens `invite`, agreeing to everything.
    pub fn options(&self, name: &str, invite: &Invite) -> JoinOptions {
        JoinOptions {
            invite: invite.to_string(),
            code: None,
            grant: None,
            yes: true,
            language: Language::English,
            insecure_http: true,
            data: self.dir.path().join("devices").join(name),
            net: Arc::clone(&self.nets.agent),
            proxy: None,
            root: None,
            colour: Colour::None,
            show: false,
            without: Vec::new(),
            smart: Smart::NotAsked,
            certificates: Vec::new(),
            patience: Duration::from_secs(20),
        }
    }

    /// Lets device `name` join; what came of it and what the customer saw.
    pub async fn join(&self, name: &str, invite: &Invite) -> (Result<Joined, JoinError>, String) {
        run(self.options(name, invite), "").await
    }
}

/// Joins with `answers` typed by the customer; what came of it and what the customer saw.
pub async fn run(options: JoinOptions, answers: &str) -> (Result<Joined, JoinError>, String) {
    let page = Page::default();
    let person = page.person(Cursor::new(answers.as_bytes().to_vec()));
    let joined = join(options, person, CancellationToken::new()).await;
    (joined, page.text())
}

/// What a customer sees.
#[derive(Debug, Clone, Default)]
pub struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    /// A person who sees this page and types `answers`.
    pub fn person(&self, answers: impl BufRead + Send + 'static) -> Person {
        Person { answers: Box::new(answers), page: Box::new(self.clone()) }
    }

    /// Everything that was shown.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
