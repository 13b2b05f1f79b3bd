//! A session's QUIC connection, end to end.

use belay_protocol::phrase::{EXPORTER_BYTES, EXPORTER_LABEL, SessionPhrase};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};

use crate::close::Close;
use crate::stream::StreamError;
use crate::{tls, transport};

/// An authenticated connection between an agent and a console: both have proved their keys, and nobody between them can
/// read it. What the other's key may do is for the caller to decide.
#[derive(Debug, Clone)]
pub struct Link {
    connection: Connection,
    peer: [u8; 32],
}

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The other end does not answer through the relay.
    #[error("the other end does not answer")]
    NoAnswer,
    /// The other end has another key than the relay told.
    #[error("the other end is not the one that was asked for")]
    OtherKey,
    /// The other end refused or broke the handshake.
    #[error("the other end refused the connection: {0}")]
    Refused(ConnectionError),
    /// The request could not be made.
    #[error("no connection could be started: {0}")]
    Start(#[from] quinn::ConnectError),
    /// Our own key cannot be used.
    #[error("the key of this program cannot be used: {0}")]
    Tls(rustls::Error),
}

impl From<ConnectionError> for DialError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut => Self::NoAnswer,
            error if is_access_denied(&error) => Self::OtherKey,
            error => Self::Refused(error),
        }
    }
}

/// Says whether our own verifier refused the peer's key: TLS alert `access_denied` (RFC 8446, section 6.2).
pub(super) fn is_access_denied(error: &ConnectionError) -> bool {
    const ACCESS_DENIED: u8 = 49;
    matches!(error, ConnectionError::TransportError(error) if error.code == quinn::TransportErrorCode::crypto(ACCESS_DENIED))
}

/// Figures of the path that a link takes, measured by QUIC itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PathFigures {
    /// Smoothed round trip end to end, through the relay.
    pub round_trip: std::time::Duration,
    /// Largest UDP payload known to pass.
    pub mtu_bytes: u16,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets declared lost.
    pub lost_packets: u64,
    /// Times that large packets stopped arriving while small ones did.
    pub black_holes: u64,
}

impl Link {
    pub(super) fn new(connection: Connection) -> Option<Self> {
        let peer = tls::peer_key(&connection)?;
        Some(Self { connection, peer })
    }

    /// The key that the other end has proved.
    pub fn peer_key(&self) -> [u8; 32] {
        self.peer
    }

    /// The words that both ends show.
    pub fn phrase(&self) -> SessionPhrase {
        let mut material = [0; EXPORTER_BYTES];
        self.export(EXPORTER_LABEL, &mut material);
        SessionPhrase::from_exporter(&material)
    }

    /// Fills `material` with what only the two ends of this connection can compute, another for each `label` (RFC 8446,
    /// section 7.5). It is as secret as the connection.
    pub fn export(&self, label: &[u8], material: &mut [u8]) {
        self.connection
            .export_keying_material(material, label, b"")
            .expect("TLS 1.3 exports some bytes from any finished handshake");
    }

    /// Waits until the connection is gone; why.
    pub(super) async fn broken(&self) -> ConnectionError {
        self.connection.closed().await
    }

    /// Opens a stream in both directions.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), StreamError> {
        self.connection.open_bi().await.map_err(|_| StreamError::Lost)
    }

    /// Accepts a stream in both directions.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), StreamError> {
        self.connection.accept_bi().await.map_err(|_| StreamError::Lost)
    }

    /// Opens a stream towards the peer.
    pub async fn open_uni(&self) -> Result<SendStream, StreamError> {
        self.connection.open_uni().await.map_err(|_| StreamError::Lost)
    }

    /// Accepts a stream from the peer.
    pub async fn accept_uni(&self) -> Result<RecvStream, StreamError> {
        self.connection.accept_uni().await.map_err(|_| StreamError::Lost)
    }

    /// Gives the peer of a session that came in its full room: many streams, and megabytes in flight. Before, it has one
    /// stream and some kilobytes.
    pub fn admit(&self) {
        transport::admit(&self.connection);
    }

    /// Closes the connection for a reason that the peer learns.
    pub fn close(&self, why: Close) {
        why.close(&self.connection);
    }

    /// Waits until the connection is gone; the peer's reason if it gave one.
    pub async fn closed(&self) -> Option<Close> {
        Close::of(&self.connection.closed().await)
    }

    /// Datagrams that have come so far.
    pub(crate) fn received(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    /// Figures of the path at this moment.
    pub fn path(&self) -> PathFigures {
        let path = self.connection.stats().path;
        PathFigures {
            round_trip: path.rtt,
            mtu_bytes: path.current_mtu,
            sent_packets: path.sent_packets,
            lost_packets: path.lost_packets,
            black_holes: path.black_holes_detected,
        }
    }
}
