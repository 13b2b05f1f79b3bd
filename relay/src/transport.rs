//! Every limit of QUIC, set on purpose.

use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::{BbrConfig, CubicConfig};
use quinn::{MtuDiscoveryConfig, TransportConfig, VarInt};

use belay_protocol::limits;

/// The congestion controller of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Congestion {
    /// Keeps its rate at the small random loss of real paths; quinn marks it experimental.
    #[default]
    Bbr,
    /// The conservative choice of RFC 9438.
    Cubic,
}

/// Transport of a control connection at an end: few, small, and idle nearly always.
///
/// `jitter`, between 0 and 1, spreads the keep-alives of many ends that started together.
pub fn control(keep_alive: Duration, jitter: f64) -> Arc<TransportConfig> {
    Arc::new(control_config(base(keep_alive, jitter)))
}

/// Transport of a control connection at the relay. The ends keep it alive; a relay that did so too would send as much
/// again and remember each packet.
pub fn control_at_relay() -> Arc<TransportConfig> {
    let mut config = control_config(base(limits::KEEP_ALIVE, 0.0));
    config.keep_alive_interval(None);
    Arc::new(config)
}

fn control_config(mut config: TransportConfig) -> TransportConfig {
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(CONTROL_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONTROL_WINDOW_BYTES))
        .send_window(u64::from(CONTROL_WINDOW_BYTES))
        .mtu_discovery_config(None);
    config
}

/// Transport of a session: the windows allow 100 MB/s at 80 ms.
pub fn session(congestion: Congestion, jitter: f64) -> Arc<TransportConfig> {
    Arc::new(session_config(congestion, jitter))
}

fn session_config(congestion: Congestion, jitter: f64) -> TransportConfig {
    let mut config = base(limits::KEEP_ALIVE, jitter);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(SESSION_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(SESSION_STREAMS))
        .stream_receive_window(VarInt::from_u32(SESSION_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(2 * SESSION_WINDOW_BYTES))
        .send_window(u64::from(SESSION_WINDOW_BYTES))
        .mtu_discovery_config(Some(MtuDiscoveryConfig::default()));
    match congestion {
        Congestion::Bbr => config.congestion_controller_factory(Arc::new(BbrConfig::default())),
        Congestion::Cubic => config.congestion_controller_factory(Arc::new(CubicConfig::default())),
    };
    config
}

/// Transport of a session that has just come in: until it is admitted it has one stream and little room, so that strangers
/// cost little memory.
pub fn unadmitted_session(congestion: Congestion, jitter: f64) -> Arc<TransportConfig> {
    let mut config = session_config(congestion, jitter);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(CONTROL_WINDOW_BYTES));
    Arc::new(config)
}

/// Gives a session that came in the room of any other.
pub(crate) fn admit(connection: &quinn::Connection) {
    connection.set_receive_window(VarInt::from_u32(2 * SESSION_WINDOW_BYTES));
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(SESSION_STREAMS));
    connection.set_max_concurrent_uni_streams(VarInt::from_u32(SESSION_STREAMS));
}

fn base(keep_alive: Duration, jitter: f64) -> TransportConfig {
    let mut config = TransportConfig::default();
    let idle = quinn::IdleTimeout::try_from(limits::IDLE_TIMEOUT).expect("two minutes fit in a QUIC idle timeout");
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(keep_alive.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0)))
        .crypto_buffer_size(CRYPTO_BUFFER_BYTES)
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    config
}

/// A frame and a half: no message of the control plane is longer than a frame.
const CONTROL_WINDOW_BYTES: u32 = 96 * 1024;

/// Streams of each kind that a peer may have open in a session at once.
const SESSION_STREAMS: u32 = 64;

/// Bytes in flight on one stream.
const SESSION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// A post-quantum handshake with a raw key needs under 4 KiB.
const CRYPTO_BUFFER_BYTES: usize = 16 * 1024;
