//! The relay as a server: one UDP port with a control plane that introduces ends to each other and a data plane that
//! forwards between them, and on the same TCP port the tunnels of those who have no UDP.

mod budget;
mod certificate;
mod control;
mod dataplane;
mod deny;
mod initials;
mod keys;
mod lines;
mod metrics;
mod probe;
mod routes;
mod table;
mod tunnels;

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use belay_protocol::invite::RelayAddress;
use belay_protocol::well_known::WellKnownRelay;
use belay_protocol::{OrganizationKey, RelayKey};
use quinn::{EndpointConfig, ServerConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::identity::IdentityError;
use crate::net::{Net, RelaySocket, StreamListener, SystemNet};
use crate::{private_file, tls, transport};

use certificate::TunnelTls;
pub use certificate::{CertificateError, CertificateFiles, Validity};
use control::ControlPlane;
pub use control::Handshakes;
pub use dataplane::{Counters, DataPlane, Forwarding, LocalDatagram};
use deny::DenyFile;
pub use deny::{DeniedDevices, DenyError, denied_devices};
pub use keys::RelayKeys;
pub use metrics::Metrics;
pub use probe::answers_with;
pub use routes::{Decision, DropReason, Lane, Place, Routes};
pub use table::{Caps, ConnectionNumber, Newcomer, OpenedPair, Registered, Table, TableError, Told};
use tunnels::TunnelFates;
pub use tunnels::{TunnelCaps, Tunnels};

/// Whom a relay serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// These organizations.
    Listed(BTreeSet<OrganizationKey>),
    /// Every organization: for the demo and for tests, or a network where nobody else can reach the port.
    Any,
}

/// A relay's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// UDP and TCP address to listen on.
    pub listen: SocketAddr,
    /// Directory of its keys and its deny list.
    pub data: PathBuf,
    /// Whom it serves.
    pub admission: Admission,
    /// Its bounds.
    pub caps: Caps,
    /// Bounds of tunnels; `None` for a relay without TCP.
    pub tunnels: Option<TunnelCaps>,
    /// The certificate that tunnels present; one is made at the start otherwise.
    pub certificate: Option<CertificateFiles>,
    /// UDP sockets.
    pub sockets: usize,
    /// Time that ends have to leave when the relay stops.
    pub drain: Duration,
    /// Where they are told to go.
    pub elsewhere: Vec<RelayAddress>,
    /// Where its sockets come from.
    pub net: Arc<dyn Net>,
}

impl Config {
    /// A relay on `listen` that serves everybody, with the bounds of production, and stops at once when told to.
    pub fn open(listen: SocketAddr, data: PathBuf) -> Self {
        Self {
            listen,
            data,
            admission: Admission::Any,
            caps: Caps::default(),
            tunnels: Some(TunnelCaps::default()),
            certificate: None,
            sockets: 1,
            drain: Duration::ZERO,
            elsewhere: Vec::new(),
            net: Arc::new(SystemNet),
        }
    }
}

/// Why a relay did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("the data directory {path} cannot be used", path = path.display())]
    Data {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another relay uses the data directory.
    #[error("another relay uses the data directory {path}: stop that one, or give this one another --data", path = .0.display())]
    InUse(PathBuf),
    /// The key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The deny list cannot be used.
    #[error(transparent)]
    Deny(#[from] DenyError),
    /// The tunnels' certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The address cannot be listened on.
    #[error("{protocol} {address} cannot be listened on")]
    Listen {
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS cannot be set up with the key.
    #[error("the key of the relay cannot be used")]
    Tls(#[from] rustls::Error),
}

/// A relay that listens.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    control: Arc<ControlPlane>,
    plane: Arc<DataPlane>,
    tunnels: Arc<Tunnels>,
    listener: Option<Box<dyn StreamListener>>,
    tunnel_tls: Arc<TunnelTls>,
    counters: Arc<Counters>,
    table: Arc<Mutex<Table>>,
    key: RelayKey,
    /// The data directory is this relay's as long as this is open.
    lock: File,
    departure: Arc<Departure>,
}

/// How the relay ends.
#[derive(Debug)]
struct Departure {
    plan: Mutex<DeparturePlan>,
    /// Cancelled when nobody is to be waited for.
    at_once: CancellationToken,
}

#[derive(Debug, Clone)]
struct DeparturePlan {
    drain: Duration,
    elsewhere: Vec<WellKnownRelay>,
}

impl DeparturePlan {
    fn of(config: &Config) -> Self {
        Self { drain: config.drain, elsewhere: config.elsewhere.iter().map(WellKnownRelay::from).collect() }
    }
}

impl Departure {
    fn plan(&self) -> MutexGuard<'_, DeparturePlan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// Opens the sockets; from here on packets wait for [`Relay::run`]. Needs a tokio runtime.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let lock = lock(&config.data)?;
        let keys = RelayKeys::load_or_create(&config.data)?;
        let (deny_file, denied) = DenyFile::load(&config.data)?;
        let tunnel_tls = Arc::new(TunnelTls::new(config.certificate.as_ref())?);
        let (sockets, listener) = listen(config)?;
        let wrong = |source| StartError::Listen { protocol: "UDP", address: config.listen, source };
        let address = sockets[0].local_addr().map_err(wrong)?;

        let own_ids = keys.connection_ids.clone();
        let routes = Arc::new(Routes::new(move |id| own_ids.issued(&id.0)));
        let mut table = Table::new(config.caps, Arc::clone(&routes));
        for (organization, devices) in denied {
            table.set_denied(organization, devices);
        }
        let table = Arc::new(Mutex::new(table));
        let counters = Arc::new(Counters::default());
        let tunnels = Tunnels::new(address, config.tunnels.unwrap_or_default());
        let plane = DataPlane::new(routes, sockets, Arc::clone(&tunnels), Arc::clone(&counters));
        let quic = (endpoint_config(&keys), server_config(&keys)?);
        let key = keys.identity.relay_key();
        let admission = config.admission.clone();
        let (for_control, net) = (Arc::clone(&table), Arc::clone(&config.net));
        let control = ControlPlane::new(keys, quic, admission, for_control, Arc::clone(&plane), deny_file, net);
        Ok(Self {
            address,
            control: Arc::new(control),
            plane,
            tunnels,
            listener,
            tunnel_tls,
            counters,
            table,
            key,
            lock,
            departure: Arc::new(Departure {
                plan: Mutex::new(DeparturePlan::of(config)),
                at_once: CancellationToken::new(),
            }),
        })
    }

    /// The key that agents and consoles must be told.
    pub fn key(&self) -> RelayKey {
        self.key
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How to watch and steer it while it runs.
    pub fn handle(&self) -> RelayHandle {
        RelayHandle {
            control: Arc::clone(&self.control),
            tunnels: Arc::clone(&self.tunnels),
            tunnel_tls: Arc::clone(&self.tunnel_tls),
            counters: Arc::clone(&self.counters),
            table: Arc::clone(&self.table),
            departure: Arc::clone(&self.departure),
        }
    }

    /// Serves until `stop` is cancelled; then sends every end elsewhere, closes what is left, and returns. The error is
    /// that of a system that starts no thread to forward with.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let forwarders = (0..self.plane.socket_count())
            .map(|index| self.plane.forward(index))
            .collect::<io::Result<Vec<Forwarding>>>()?;
        let closing = CancellationToken::new();
        let tunnels = TaskTracker::new();
        if let Some(listener) = self.listener {
            let tls = Arc::clone(&self.tunnel_tls);
            let plane = Arc::clone(&self.plane);
            tunnels.spawn(self.tunnels.serve(listener, move || tls.acceptor(), plane, closing.clone()));
        }
        let draining = async {
            stop.cancelled().await;
            let DeparturePlan { drain, elsewhere } = self.departure.plan().clone();
            tokio::select! {
                () = self.control.drain(&elsewhere, drain) => {}
                () = self.departure.at_once.cancelled() => {}
            }
            closing.cancel();
        };
        // A relay that is dropped midway, as when its task is aborted, takes its tunnels along.
        let _closing = closing.clone().drop_guard();
        tokio::join!(draining, self.control.serve(&closing));
        tunnels.close();
        tunnels.wait().await;
        drop(forwarders);
        drop(self.lock);
        Ok(())
    }
}

/// Watches and steers a relay that runs.
#[derive(Debug, Clone)]
pub struct RelayHandle {
    control: Arc<ControlPlane>,
    tunnels: Arc<Tunnels>,
    tunnel_tls: Arc<TunnelTls>,
    counters: Arc<Counters>,
    table: Arc<Mutex<Table>>,
    departure: Arc<Departure>,
}

impl RelayHandle {
    /// What its data plane has done.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// What became of handshakes.
    pub fn handshakes(&self) -> &Handshakes {
        &self.control.handshakes
    }

    /// Registered endpoints and open pairs.
    pub fn counts(&self) -> (usize, usize) {
        self.table().counts()
    }

    /// Open tunnels.
    pub fn tunnels(&self) -> usize {
        self.tunnels.count()
    }

    fn tunnel_fates(&self) -> &TunnelFates {
        &self.tunnels.fates
    }

    /// Registered consoles.
    pub fn desks(&self) -> usize {
        self.table().desks().count()
    }

    /// Whether denials hold that could not be written yet, so that a restart would forget them.
    pub fn is_deny_list_behind(&self) -> bool {
        self.control.is_deny_list_behind()
    }

    /// The bounds that hold now.
    pub fn caps(&self) -> Caps {
        self.table().caps()
    }

    /// Whether it is about to stop and admits nobody any more.
    pub fn is_draining(&self) -> bool {
        self.control.is_draining()
    }

    /// Takes over what can change while the relay runs: whom it serves, its bounds, the tunnels' certificate, and how it
    /// ends. When the certificate cannot be used, that is an error and nothing changes.
    pub fn reload(&self, config: &Config) -> Result<(), CertificateError> {
        let certificate = TunnelTls::prepare(config.certificate.as_ref())?;
        self.tunnel_tls.change(certificate);
        self.control.set_admission(config.admission.clone());
        self.table().set_caps(config.caps);
        *self.departure.plan() = DeparturePlan::of(config);
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a drain that is under way, or makes the next stop one without a drain.
    pub fn stop_at_once(&self) {
        self.departure.at_once.cancel();
    }
}

/// The file whose lock says that a relay uses its directory.
pub(crate) const LOCK: &str = "lock";

/// Whether a relay uses the data directory.
pub fn is_in_use(data: &Path) -> bool {
    let lock = File::open(data.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Makes the data directory, and makes sure that no other relay uses it: two would undo each other's deny list.
fn lock(data: &Path) -> Result<File, StartError> {
    let failed = |source| StartError::Data { path: data.to_owned(), source };
    fs::create_dir_all(data).map_err(failed)?;
    let path = data.join(LOCK);
    let file = private_file::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(data.to_owned())),
        // Some network file systems have no locks, and a relay alone there does no harm.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

type Listening = (Vec<Arc<dyn RelaySocket>>, Option<Box<dyn StreamListener>>);

/// Opens the UDP sockets and, on the same port, the TCP listener.
fn listen(config: &Config) -> Result<Listening, StartError> {
    let wrong = |protocol| move |source| StartError::Listen { protocol, address: config.listen, source };
    let mut tries = 0;
    loop {
        let sockets = config.net.bind_shared(config.listen, config.sockets).map_err(wrong("UDP"))?;
        if config.tunnels.is_none() {
            return Ok((sockets, None));
        }
        let address = sockets[0].local_addr().map_err(wrong("UDP"))?;
        match config.net.listen(address) {
            Ok(listener) => return Ok((sockets, Some(listener))),
            // The system picks UDP's port without a look at TCP's.
            Err(error) if config.listen.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && tries < 16 => {
                tries += 1;
            }
            Err(error) => return Err(wrong("TCP")(error)),
        }
    }
}

fn endpoint_config(keys: &RelayKeys) -> EndpointConfig {
    let mut config = EndpointConfig::new(keys.reset.clone());
    let ids = keys.connection_ids.clone();
    config.cid_generator(move || Box::new(ids.clone())).min_reset_interval(RESET_INTERVAL);
    config
}

fn server_config(keys: &RelayKeys) -> Result<ServerConfig, rustls::Error> {
    let mut server = ServerConfig::with_crypto(Arc::new(tls::server(&keys.identity, tls::CONTROL_ALPN)?));
    server.transport_config(transport::control_at_relay()).max_incoming(INCOMING_MAX);
    Ok(server)
}

/// Handshakes that may wait to be accepted: each is decided before the next packet is looked at.
const INCOMING_MAX: usize = 1;

/// Time between two stateless resets. quinn's 20 ms would tell 5,000 ends of a restart in 100 s; this takes 5 s.
const RESET_INTERVAL: Duration = Duration::from_millis(1);
