//! The relay as a server: one UDP port with a control plane that introduces ends to each other and a data plane that
//! forwards between them.

mod control;
mod keys;
mod socket;
mod table;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use belay_protocol::{OrganizationKey, RelayKey};
use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use tokio_util::sync::CancellationToken;

use crate::close::Close;
use crate::identity::IdentityError;
use crate::net::{Net, SystemNet};
use crate::{tls, transport};

use control::ControlPlane;
pub use keys::RelayKeys;
pub use socket::{Counters, ForwardingSocket};
pub use table::{Caps, ConnectionNumber, Decision, DropReason, Lane, OpenedPair, Place, Table, TableError, Told};

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
    /// UDP address to listen on.
    pub listen: SocketAddr,
    /// Directory of its keys.
    pub data: PathBuf,
    /// Whom it serves.
    pub admission: Admission,
    /// Its bounds.
    pub caps: Caps,
    /// Where its socket comes from.
    pub net: Arc<dyn Net>,
}

impl Config {
    /// A relay on `listen` that serves everybody, with the bounds of production.
    pub fn open(listen: SocketAddr, data: PathBuf) -> Self {
        Self { listen, data, admission: Admission::Any, caps: Caps::default(), net: Arc::new(SystemNet) }
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
    /// The key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The address cannot be listened on.
    #[error("UDP {address} cannot be listened on")]
    Listen {
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
    endpoint: Endpoint,
    control: Arc<ControlPlane>,
    counters: Arc<Counters>,
    table: Arc<RwLock<Table>>,
    key: RelayKey,
}

impl Relay {
    /// Opens the socket; from here on packets are taken. Needs a tokio runtime.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        std::fs::create_dir_all(&config.data)
            .map_err(|source| StartError::Data { path: config.data.clone(), source })?;
        let keys = RelayKeys::load_or_create(&config.data)?;
        let listen = |source| StartError::Listen { address: config.listen, source };
        let table = Arc::new(RwLock::new(Table::new(config.caps)));
        let counters = Arc::new(Counters::default());
        let socket = config.net.bind(config.listen).map_err(listen)?;
        let socket = ForwardingSocket::new(socket, Arc::clone(&table), Arc::clone(&counters));
        let endpoint = Endpoint::new_with_abstract_socket(
            endpoint_config(&keys),
            Some(server_config(&keys)?),
            Arc::new(socket),
            Arc::new(TokioRuntime),
        )
        .map_err(listen)?;
        let key = keys.identity.relay_key();
        let control = Arc::new(ControlPlane::new(keys, config.admission.clone(), Arc::clone(&table)));
        Ok(Self { endpoint, control, counters, table, key })
    }

    /// The key that agents and consoles must be told.
    pub fn key(&self) -> RelayKey {
        self.key
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// What its data plane has done.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Registered endpoints and open pairs.
    pub fn counts(&self) -> (usize, usize) {
        self.table.read().unwrap_or_else(std::sync::PoisonError::into_inner).counts()
    }

    /// Serves until `stop` is cancelled; then tells every end and returns.
    pub async fn run(self, stop: CancellationToken) {
        self.control.serve(&self.endpoint, &stop).await;
        self.endpoint.close(Close::Stopping.code(), b"");
        // The close frames leave at once; a peer that does not answer is not waited for.
        let _ = tokio::time::timeout(Duration::from_millis(500), self.endpoint.wait_idle()).await;
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
    server
        .transport_config(transport::control(belay_protocol::limits::KEEP_ALIVE, 0.0))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFER_BYTES * INCOMING_MAX as u64);
    Ok(server)
}

/// Handshakes that may wait to be accepted.
const INCOMING_MAX: usize = 1_024;

/// Bytes kept of a handshake that waits.
const INCOMING_BUFFER_BYTES: u64 = 16 * 1024;

/// Time between two stateless resets. quinn's 20 ms would tell 5,000 ends of a restart in 100 s; this takes 5 s.
const RESET_INTERVAL: Duration = Duration::from_millis(1);
