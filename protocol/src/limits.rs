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

/// Findings of one rule and severity that a report lists; the others are counted. Each takes about 600 bytes, and nobody
/// reads a seventeenth.
pub const FINDINGS_ALIKE_MAX: usize = 16;

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

/// Time for which a session that has lost its link is kept, with what it would have to send again. The two ends notice a
/// loss up to [`IDLE_TIMEOUT`] and a [`KEEP_ALIVE`] apart, and both must still be there when the later one has noticed;
/// what remains is for an outage and for the way to be found again.
pub const RESUME_WINDOW: Duration = Duration::from_secs(240);

/// Channels that each side of a session may have open at once. Below the 64 streams that QUIC lets a peer open, one of
/// which is the carrier.
pub const CHANNELS_MAX: usize = 32;

/// Channels of a session that both sides together may have open at once.
pub const OPEN_CHANNELS_MAX: usize = 2 * CHANNELS_MAX;

/// Unacknowledged bytes that one channel keeps for a replay. An acknowledgement takes a round trip and the time until the
/// other side has read: 100 MB/s at 80 ms need 8 MB, and half as much again leaves the channel's rate to QUIC's window.
/// At the bound the writer waits.
pub const REPLAY_CHANNEL_MAX_BYTES: usize = 12 * 1024 * 1024;

/// Unacknowledged bytes that any channel may keep, whatever the others have taken, so that a channel whose reader has
/// stopped does not stop the others; and all that is kept for a session that is not admitted or is paused.
pub const REPLAY_RESERVE_BYTES: usize = 64 * 1024;

/// Unacknowledged bytes beyond their reserves that all channels of a session keep together. With the reserves this is
/// at most 20 MiB a session.
pub const REPLAY_POOL_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that all paused sessions of a console keep together. A session that would pass it when its link is lost is lost.
pub const PAUSED_MAX_BYTES: usize = 256 * 1024 * 1024;

/// Sessions that a console keeps resumable at once; those beyond die with their links.
pub const RESUMABLE_MAX: usize = 1024;

/// Received bytes of a channel after which they are acknowledged at once: often enough that 100 MB/s see an
/// acknowledgement every 3 ms, and seldom enough that it costs nothing.
pub const ACKNOWLEDGE_BYTES: u64 = 256 * 1024;

/// Time after which received bytes are acknowledged however few they are.
pub const ACKNOWLEDGE_DELAY: Duration = Duration::from_millis(20);

/// Life of a one-time code, in seconds.
pub const CODE_LIFE_SECONDS: i64 = 15 * 60;

/// Days for which a delegation of the organization key to a console key may hold.
pub const DELEGATION_MAX_DAYS: i64 = 90;

/// Days for which a key may sign rule packs. Longer than a console's, because it can say nothing but rules, and because
/// packs that were published must stay good until the next.
pub const RULES_DELEGATION_MAX_DAYS: i64 = 366;

/// Bytes of one rule pack's file. The base pack has some 160 KB.
pub const RULE_PACK_MAX_BYTES: usize = 256 * 1024;

/// Bytes of a rule pack in one message: half a frame.
pub const RULES_PART_MAX_BYTES: usize = 32 * 1024;
