//! Every bound of the wire in one place, each with its unit and its reason.

use std::time::Duration;

/// Bytes of a `Hello` or `Welcome` after its length prefix. They are hand-encoded and small; a peer that announces more
/// is not speaking Belay.
pub const HELLO_MAX_BYTES: usize = 1024;

/// Bytes of one frame after its length prefix. Larger things travel as several frames, so that a slow link never waits
/// for more than this before a short message gets its turn.
pub const FRAME_MAX_BYTES: usize = 64 * 1024;

/// Bytes of a whole encoded report. A full survey of a busy server is about 100 KB; forty times that is refused.
pub const REPORT_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Sections of a report.
pub const REPORT_MAX_SECTIONS: usize = 64;

/// Items of one section (mounts, modules, interfaces, findings).
pub const SECTION_MAX_ITEMS: usize = 4096;

/// Bytes of any one string on the wire.
pub const STRING_MAX_BYTES: usize = 4096;

/// Bytes of a short string: names, titles, ids.
pub const NAME_MAX_BYTES: usize = 256;

/// Protocol versions a peer may offer.
pub const MAX_VERSIONS: usize = 32;

/// Capabilities that one consent may name.
pub const MAX_CAPABILITIES: usize = 32;

/// Time from the first packet of a connection to the end of the application handshake.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Time without a packet after which a QUIC connection is given up. Long, because roaming between networks with an
/// outage in between is ordinary: simulated sessions with 25 s outages died ten times more often at 30 s.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Time between keep-alive packets of an otherwise silent connection; below the 30 s after which common NATs forget.
pub const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Life of a one-time code, in seconds.
pub const CODE_LIFE_SECONDS: i64 = 15 * 60;

/// Days for which a delegation of the organization key to a console key may hold.
pub const DELEGATION_MAX_DAYS: i64 = 90;
