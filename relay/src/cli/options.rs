//! The options of a relay, shared by the commands that run it and that check it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use belay_protocol::OrganizationKey;
use belay_protocol::invite::RelayAddress;
use belay_protocol::message::MAX_ELSEWHERE;
use clap::Args;

use crate::net::{Net, PlainNet, SystemNet};
use crate::server::{Admission, Caps, CertificateFiles, Config, TunnelCaps};

#[derive(Debug, Args)]
pub(super) struct Data {
    /// Directory of the relay's key
    #[arg(long, default_value = "./belay-relay-data", value_name = "DIR")]
    pub(super) data: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct RelayOptions {
    /// UDP and TCP address to listen on
    #[arg(long, default_value = "127.0.0.1:4433", value_name = "ADDR", value_parser = address)]
    pub(super) listen: SocketAddr,
    /// UDP sockets among which the system spreads the load [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) sockets: Option<u16>,
    /// Do without segmentation offload (GSO and GRO), for drivers that get it wrong; costs several times the CPU
    #[arg(long)]
    pub(super) no_offload: bool,
    /// Do not listen on TCP for those who have no UDP
    #[arg(long)]
    pub(super) no_tunnels: bool,
    /// Certificate chain (PEM) that tunnels present, where networks look at it; otherwise one is made at the start
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) cert: Option<PathBuf>,
    /// Key (PEM) of the certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) key: Option<PathBuf>,
    /// Seconds that ends have to go elsewhere when the relay is told to stop
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=DRAIN_MAX_S))]
    pub(super) drain: u64,
    /// Another relay, as it prints its address, where ends are sent when this one stops; may be given several times
    #[arg(long, value_name = "HOST:PORT#KEY")]
    pub(super) elsewhere: Vec<RelayAddress>,
    #[command(flatten)]
    pub(super) data: Data,
    /// Key of an organization to serve; may be given several times. On a loopback address none means all
    #[arg(long, value_name = "KEY")]
    pub(super) organization: Vec<OrganizationKey>,
    /// Serve every organization, also on a public address
    #[arg(long, conflicts_with = "organization")]
    pub(super) any_organization: bool,
    /// Ends that may be registered at once
    #[arg(long, default_value_t = Caps::default().endpoints, value_name = "N", value_parser = count)]
    pub(super) max_endpoints: usize,
    /// Sessions that may be open at once
    #[arg(long, default_value_t = Caps::default().pairs, value_name = "N", value_parser = count)]
    pub(super) max_pairs: usize,
    /// Bytes a second that each direction of a session may carry
    #[arg(long, default_value_t = Caps::default().pair_bytes_per_second, value_name = "BYTES",
        value_parser = clap::value_parser!(u64).range(PAIR_BYTES_PER_SECOND_MIN..))]
    pub(super) pair_bytes_per_second: u64,
    /// TCP address on which figures can be had at /metrics, in Prometheus' text format [default: none]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) metrics: Option<SocketAddr>,
    /// Let --metrics be an address that others can reach. Anybody there can read the figures
    #[arg(long)]
    pub(super) metrics_anywhere: bool,
}

/// An hour: longer than any service manager waits.
const DRAIN_MAX_S: u64 = 60 * 60;

/// Less than this, and not even a handshake gets through in its time.
const PAIR_BYTES_PER_SECOND_MIN: u64 = 16 * 1024;

/// Beyond this the relay's memory is the bound, not this number.
const COUNT_MAX: usize = 10_000_000;

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=COUNT_MAX) => Ok(count),
        _ => Err(format!("a number from 1 to {COUNT_MAX} is expected")),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address with a port is expected, such as 127.0.0.1:4433, or [::]:443 for every address of this machine".into()
    })
}

/// Options that do not go together.
#[derive(Debug, thiserror::Error)]
pub(super) enum OptionsError {
    /// Whom to serve was not said.
    #[error(
        "{0} can be reached by others, so please say whom to serve: --organization KEY (printed by `belay-console init`), \
         or --any-organization"
    )]
    NoOrganization(SocketAddr),
    /// The two contradict each other; clap sees that on the command line alone.
    #[error("--organization and --any-organization contradict each other: keep one of them")]
    Contradiction,
    /// One half of a certificate.
    #[error("--cert and --key belong together: name both, or neither")]
    HalfCertificate,
    /// The figures would be public.
    #[error("--metrics {0} can be reached by others: use a loopback address, or say --metrics-anywhere")]
    PublicMetrics(SocketAddr),
    /// Ends cannot be told of so many.
    #[error("--elsewhere is given {0} times: ends can be told of at most {MAX_ELSEWHERE} other relays")]
    TooManyElsewhere(usize),
}

impl RelayOptions {
    /// What the options come to.
    pub(super) fn config(&self) -> Result<Config, OptionsError> {
        self.check_pairs()?;
        self.check_metrics()?;
        self.check_elsewhere()?;
        Ok(Config {
            listen: self.listen,
            data: self.data.data.clone(),
            admission: self.admission().ok_or(OptionsError::NoOrganization(self.listen))?,
            caps: Caps {
                endpoints: self.max_endpoints,
                pairs: self.max_pairs,
                pair_bytes_per_second: self.pair_bytes_per_second,
                ..Caps::default()
            },
            tunnels: (!self.no_tunnels).then(TunnelCaps::default),
            certificate: self.certificate(),
            sockets: self.sockets.map_or_else(cores, usize::from),
            drain: Duration::from_secs(self.drain),
            elsewhere: self.elsewhere.clone(),
            net: self.net(),
        })
    }

    /// Whom to serve; `None` when that must be said and was not.
    pub(super) fn admission(&self) -> Option<Admission> {
        if !self.organization.is_empty() {
            return Some(Admission::Listed(self.organization.iter().copied().collect::<BTreeSet<_>>()));
        }
        (self.any_organization || self.listen.ip().is_loopback()).then_some(Admission::Any)
    }

    /// Refuses options of which only one, or only both, make sense.
    pub(super) fn check_pairs(&self) -> Result<(), OptionsError> {
        if self.any_organization && !self.organization.is_empty() {
            return Err(OptionsError::Contradiction);
        }
        if self.cert.is_some() != self.key.is_some() {
            return Err(OptionsError::HalfCertificate);
        }
        Ok(())
    }

    /// Refuses an address for the figures that others can reach, unless that was asked for.
    pub(super) fn check_metrics(&self) -> Result<(), OptionsError> {
        match self.metrics {
            Some(metrics) if !metrics.ip().is_loopback() && !self.metrics_anywhere => {
                Err(OptionsError::PublicMetrics(metrics))
            }
            _ => Ok(()),
        }
    }

    /// Refuses more relays than ends are told of.
    pub(super) fn check_elsewhere(&self) -> Result<(), OptionsError> {
        match self.elsewhere.len() {
            count if count > MAX_ELSEWHERE => Err(OptionsError::TooManyElsewhere(count)),
            _ => Ok(()),
        }
    }

    pub(super) fn certificate(&self) -> Option<CertificateFiles> {
        let (chain, key) = self.cert.clone().zip(self.key.clone())?;
        Some(CertificateFiles { chain, key })
    }

    pub(super) fn net(&self) -> Arc<dyn Net> {
        if self.no_offload { Arc::new(PlainNet) } else { Arc::new(SystemNet) }
    }

    /// The options that a reload takes over and that differ from `running`.
    pub(super) fn changed(&self, running: &Self) -> Vec<&'static str> {
        named([
            ("cert", self.cert == running.cert),
            ("key", self.key == running.key),
            ("drain", self.drain == running.drain),
            ("elsewhere", self.elsewhere == running.elsewhere),
            ("organization", self.organization == running.organization),
            ("any-organization", self.any_organization == running.any_organization),
            ("max-endpoints", self.max_endpoints == running.max_endpoints),
            ("max-pairs", self.max_pairs == running.max_pairs),
            ("pair-bytes-per-second", self.pair_bytes_per_second == running.pair_bytes_per_second),
        ])
    }

    /// The options that only a restart changes and that differ from `running`; they take its values.
    pub(super) fn keep_fixed(&mut self, running: &Self) -> Vec<&'static str> {
        let differing = named([
            ("listen", self.listen == running.listen),
            ("data", self.data.data == running.data.data),
            ("sockets", self.sockets == running.sockets),
            ("no-offload", self.no_offload == running.no_offload),
            ("no-tunnels", self.no_tunnels == running.no_tunnels),
            ("metrics", self.metrics == running.metrics),
        ]);
        self.listen = running.listen;
        self.data.data.clone_from(&running.data.data);
        self.sockets = running.sockets;
        self.no_offload = running.no_offload;
        self.no_tunnels = running.no_tunnels;
        self.metrics = running.metrics;
        differing
    }
}

/// The names of options that are not the same.
fn named<const N: usize>(options: [(&'static str, bool); N]) -> Vec<&'static str> {
    options.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}

/// One socket a core keeps every core forwarding.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
