//! The whole console: what a program, a test or the demo starts.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use belay_protocol::bounded::Name;
use belay_protocol::invite::RelayAddress;
use belay_relay::client::{Proxy, StartError};
use belay_relay::net::Net;

use crate::backup::{self, Schedule};
use crate::clock::Clock;
use crate::data::{DataDirectory, DataError, Held};
use crate::desk::{Desk, DeskSettings};
use crate::http::{self, AssetSource, Profile};
use crate::listen::{Certificate, CertificateError, Listener};
use crate::secret::Token;
use crate::store::{Store, StoreError, StoreSettings};

/// How to run a console.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory, which [`DataDirectory::initialize`] has made.
    pub data: DataDirectory,
    /// A PostgreSQL URL; the SQLite file in the data directory when there is none.
    pub database: Option<String>,
    /// Where to serve plain HTTP; port 0 lets the system choose.
    pub http: SocketAddr,
    /// Where to serve HTTPS as well.
    pub https: Option<Https>,
    /// Proxies that may reach plain HTTP from elsewhere and say for whom.
    pub trusted_proxies: Vec<IpAddr>,
    /// The directory with the agent's builds that the join page offers.
    pub agents: Option<PathBuf>,
    /// Backups that are made by themselves, if any are.
    pub backups: Option<Schedule>,
    /// The relays to be present at.
    pub relays: Vec<RelayAddress>,
    /// The files of the web console.
    pub assets: AssetSource,
    /// Where the sockets of the sessions come from.
    pub net: Arc<dyn Net>,
    /// The HTTP proxy of the network, for the way to relays where UDP does not get through.
    pub proxy: Option<Proxy>,
    /// The time.
    pub clock: Clock,
}

/// An HTTPS listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Https {
    /// Where to listen.
    pub address: SocketAddr,
    /// The PEM file of the certificate chain.
    pub certificate: PathBuf,
    /// The PEM file of its key.
    pub key: PathBuf,
}

/// The console could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Plain HTTP would be served to the network.
    #[error(
        "{0} can be reached by others over unencrypted HTTP: use --https with a certificate, or name the proxy in front \
         with --trusted-proxy"
    )]
    PlainHttp(SocketAddr),
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An address could not be listened on.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The address or socket.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The sockets of the sessions.
    #[error("the sessions' socket cannot be opened: {0}")]
    Sessions(#[from] StartError),
}

/// A console that listens and is ready to run.
pub struct Console {
    store: Store,
    profile: Profile,
    router: Router,
    desk: Option<Desk>,
    listeners: Vec<Listener>,
    certificate: Option<Certificate>,
    backups: Option<Schedule>,
    first_admin: Option<Token>,
    stop: CancellationToken,
    held: Held,
}

impl Console {
    /// Takes the data directory, opens the store, and begins to listen.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        if !config.http.ip().is_loopback() && config.trusted_proxies.is_empty() {
            return Err(OpenError::PlainHttp(config.http));
        }
        let held = config.data.open(config.clock.now())?;
        let store = open_store(&held, config.database.clone(), config.clock.clone()).await?;
        let mut listeners = Vec::new();
        let plain = Listener::Plain(listen(config.http).await?);
        let port = plain.address().map_or(config.http.port(), |address| address.port());
        listeners.push(plain);
        let mut certificate = None;
        if let Some(https) = &config.https {
            let loaded = Certificate::load(&https.certificate, &https.key)?;
            listeners.push(Listener::Tls(listen(https.address).await?, loaded.clone()));
            certificate = Some(loaded);
        }
        let socket = config.data.socket();
        let on_socket = |source| OpenError::Listen { address: socket.display().to_string(), source };
        listeners.push(Listener::socket(&socket).map_err(on_socket)?);
        let encrypted = config.https.is_some() || !config.trusted_proxies.is_empty();
        let profile = profile(&held, encrypted, port, config.relays.clone(), config.trusted_proxies);
        let backup_folder = config.backups.as_ref().map(|backups| backups.folder.clone());
        let profile = Profile { agents: config.agents, backup_folder, ..profile };
        let desk = if config.relays.is_empty() {
            None
        } else {
            let settings = DeskSettings {
                identity: Arc::clone(&held.identity),
                delegation: held.delegation,
                name: held.desk.name.clone(),
                host: Name::truncating(profile.help_host.as_str()),
                relays: config.relays,
                net: config.net,
                proxy: config.proxy,
            };
            Some(Desk::start(store.clone(), settings)?)
        };
        let stop = CancellationToken::new();
        let first_admin = if store.count_users().await? == 0 { Some(Token::generate()) } else { None };
        let router = http::router(store.clone(), profile.clone(), config.assets, first_admin.clone(), stop.clone());
        let backups = config.backups;
        Ok(Self { store, profile, router, desk, listeners, certificate, backups, first_admin, stop, held })
    }

    /// The store, for what the demo and tests do beside the API.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the desk is called and where it is found.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The link by which the first admin is made, when the desk has no user yet. It works once.
    pub fn first_admin_link(&self) -> Option<String> {
        self.first_admin.as_ref().map(|secret| self.profile.first_admin_link(secret))
    }

    /// The sessions' side, when the console has relays.
    pub fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    /// The addresses of HTTP and HTTPS, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::address).collect()
    }

    /// Runs until `stop`; then ends sessions and requests in an orderly way and lets go of the data directory.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        let Self { store, router, desk, listeners, certificate, backups, stop: stopping, held, .. } = self;
        let tasks = TaskTracker::new();
        if let Some(desk) = desk {
            tasks.spawn(desk.run(stopping.clone()));
        }
        for listener in listeners {
            tasks.spawn(listener.serve(router.clone(), stopping.clone()));
        }
        if let Some(certificate) = certificate {
            tasks.spawn(reload_on_hangup(certificate, stopping.clone()));
        }
        if let Some(schedule) = backups {
            tasks.spawn(backup::keep(store.clone(), held.directory.clone(), schedule, stopping.clone()));
        }
        tasks.spawn(do_what_falls_due(store.clone(), stopping.clone()));
        tasks.close();
        stop.cancelled().await;
        stopping.cancel();
        tasks.wait().await;
        store.close().await?;
        // The name would be found by a command that then waits for nobody.
        let _ = std::fs::remove_file(held.directory.socket());
        drop(held);
        Ok(())
    }
}

/// Wakes what waits for a date and closes what nobody objects to, from the start on: also what fell due meanwhile.
async fn do_what_falls_due(store: Store, stop: CancellationToken) {
    let mut looks = tokio::time::interval(DUE_INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut is_failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let done = store.do_what_is_due().await;
        if let Err(error) = &done
            && !is_failing
        {
            tracing::error!(%error, "reminders cannot be looked at; trying again");
        }
        is_failing = done.is_err();
    }
}

/// A reminder is set to the minute; this much later nobody minds.
const DUE_INTERVAL: Duration = Duration::from_secs(5);

/// A console's API without listeners: for a command while no server runs.
pub struct Offline {
    /// The API; its requests carry [`http::Arrival::Socket`].
    pub router: Router,
    store: Store,
    _held: Held,
}

impl Offline {
    /// Takes the data directory and opens the store.
    pub async fn open(data: &DataDirectory, database: Option<String>, clock: Clock) -> Result<Self, OpenError> {
        let held = data.open(clock.now())?;
        Self::from_held(held, database, clock).await
    }

    /// Opens the store of a directory that is held already.
    pub async fn from_held(held: Held, database: Option<String>, clock: Clock) -> Result<Self, OpenError> {
        let store = open_store(&held, database, clock).await?;
        // A desk that has a name in the world is served encrypted: by itself or by its proxy.
        let profile = profile(&held, true, DEFAULT_HTTP_PORT, Vec::new(), Vec::new());
        let router = http::router(store.clone(), profile, |_| None, None, CancellationToken::new());
        Ok(Self { router, store, _held: held })
    }

    /// The store, for what the API does not offer.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Lets go of the database and of the directory.
    pub async fn close(self) -> Result<(), StoreError> {
        drop(self.router);
        self.store.close().await
    }
}

async fn open_store(held: &Held, database: Option<String>, clock: Clock) -> Result<Store, StoreError> {
    let database = held.directory.location(database.as_deref());
    let settings = StoreSettings { database, blobs: held.directory.blobs(), key: held.server_key.clone(), clock };
    Store::open(settings).await
}

fn profile(
    held: &Held,
    encrypted: bool,
    port: u16,
    relays: Vec<RelayAddress>,
    trusted_proxies: Vec<IpAddr>,
) -> Profile {
    // By name and not by address: passkeys refuse addresses.
    let loopback = format!("localhost:{port}");
    let help_host = held.desk.help_host.as_ref().map_or_else(|| loopback.clone(), |host| host.as_str().to_owned());
    let base_url = match &held.desk.help_host {
        Some(host) if encrypted => format!("https://{host}"),
        _ => format!("http://{loopback}"),
    };
    let name = held.desk.name.as_str().to_owned();
    let data = Some(held.directory.clone());
    let organization = held.organization();
    Profile {
        name,
        organization,
        relays,
        help_host,
        base_url,
        trusted_proxies,
        agents: None,
        data,
        backup_folder: None,
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, OpenError> {
    let refused = |source| OpenError::Listen { address: address.to_string(), source };
    TcpListener::bind(address).await.map_err(refused)
}

async fn reload_on_hangup(certificate: Certificate, stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            heard = hangup.recv() => match heard {
                Some(()) => certificate.reload(),
                None => return,
            },
        }
    }
}

/// The port of plain HTTP unless somebody says otherwise.
pub const DEFAULT_HTTP_PORT: u16 = 8080;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use belay_relay::net::SystemNet;
    use hyper::Method;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::data::DeskName;
    use crate::local::{Local, LocalError, LocalRequest};
    use crate::policy::Role;
    use crate::store::{Actor, Visitor};

    struct Place {
        data: DataDirectory,
        _parent: tempfile::TempDir,
    }

    fn new_desk() -> Place {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDirectory::at(parent.path().join("data"));
        let desk = DeskName { name: Name::truncating("Nordwind"), help_host: None };
        data.initialize(&desk, Clock::System.now()).unwrap();
        Place { data, _parent: parent }
    }

    fn config(place: &Place) -> Config {
        Config {
            data: place.data.clone(),
            database: None,
            http: "127.0.0.1:0".parse().unwrap(),
            https: None,
            trusted_proxies: Vec::new(),
            agents: None,
            backups: None,
            relays: Vec::new(),
            assets: |_| None,
            net: Arc::new(SystemNet),
            proxy: None,
            clock: Clock::System,
        }
    }

    async fn open_ticket(place: &Place) -> Result<Value, LocalError> {
        let body = json!({ "title": "Disk is full", "customer": "Nordwind" });
        let request = LocalRequest::new(Method::POST, "/api/v1/tickets", Some(body));
        let local = Local::reach(&place.data, None, Clock::System).await?;
        Ok(local.ask(&[request]).await?.remove(0))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_command_speaks_to_the_server_or_takes_its_place() {
        let place = new_desk();
        let first = open_ticket(&place).await.unwrap();
        let console = Console::open(config(&place)).await.unwrap();
        let mut events = console.store().live_events();
        let socket = place.data.socket();
        assert_eq!(fs_err::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        let stop = CancellationToken::new();
        let running = tokio::spawn(console.run(stop.clone()));
        let second = open_ticket(&place).await.unwrap();
        assert_ne!(first["number"], second["number"]);
        // The server saw it happen: the command did not write behind its back.
        assert_eq!(json!(events.recv().await.unwrap().ticket), second["number"]);
        stop.cancel();
        running.await.unwrap().unwrap();
        assert!(!socket.exists());
        assert_ne!(open_ticket(&place).await.unwrap()["number"], second["number"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_audit_is_exported_by_a_command_and_checked_without_the_console() {
        let place = new_desk();
        let export = async || {
            let mut file = Vec::new();
            let local = Local::reach(&place.data, None, Clock::System).await.unwrap();
            let request = LocalRequest::new(Method::GET, "/api/v1/audit/export", None);
            local.save(request, &mut file).await.unwrap();
            let key = crate::secret::ServerKey::load(&place.data.server_key()).unwrap();
            crate::audit::verify_export(file.as_slice(), &key).unwrap()
        };
        open_ticket(&place).await.unwrap();
        // The export's own line is in it.
        assert_eq!(export().await, 2);
        let console = Console::open(config(&place)).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(console.run(stop.clone()));
        assert_eq!(export().await, 3);
        stop.cancel();
        running.await.unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_socket_left_by_a_killed_server_confuses_nobody() {
        let place = new_desk();
        drop(tokio::net::UnixListener::bind(place.data.socket()).unwrap());
        assert!(place.data.socket().exists());
        open_ticket(&place).await.unwrap();
        Console::open(config(&place)).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_process_holds_the_directory() {
        let place = new_desk();
        let held = place.data.open(Clock::System.now()).unwrap();
        assert!(matches!(Console::open(config(&place)).await, Err(OpenError::Data(DataError::InUse(_)))));
        assert!(matches!(open_ticket(&place).await, Err(LocalError::Silent(_))));
        drop(held);
        assert!(open_ticket(&place).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn plain_http_stays_on_this_machine_unless_a_proxy_is_named() {
        let place = new_desk();
        let mut config = config(&place);
        config.http = "0.0.0.0:0".parse().unwrap();
        assert!(matches!(Console::open(config.clone()).await, Err(OpenError::PlainHttp(_))));
        config.trusted_proxies = vec!["192.0.2.1".parse().unwrap()];
        assert!(Console::open(config).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn http_answers_and_a_stop_ends_open_streams() {
        let place = new_desk();
        let console = Console::open(config(&place)).await.unwrap();
        let address = console.addresses()[0];
        let store = console.store().clone();
        let stop = CancellationToken::new();
        let running = tokio::spawn(console.run(stop.clone()));
        store.add_user(&Actor::Local, &Name::truncating("ada"), Role::Admin).await.unwrap();
        let link = store.mint_sign_in(&Actor::Local, "ada").await.unwrap();
        let (token, _) = store.sign_in_by_link(&link.token, &Visitor::default()).await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET /api/v1/events?after=0 HTTP/1.1\r\nhost: localhost\r\ncookie: belay={}\r\n\r\n",
            token.reveal()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        stop.cancel();
        running.await.unwrap().unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(String::from_utf8(rest).unwrap().contains("text/event-stream"));
    }
}
