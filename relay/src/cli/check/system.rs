//! What the system gives: buffers, segmentation offload, descriptors, and the time.

use std::fs;
use std::net::SocketAddr;
use std::time::UNIX_EPOCH;

use super::{Finding, RelayOptions};
use crate::clock::unix_ms;
use crate::net::{Net, SOCKET_BUFFER_BYTES, SystemNet};
use crate::server::TunnelCaps;

pub(super) fn look(options: &RelayOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(buffers());
    findings.push(offload(options));
    findings.extend(open_files(options));
    findings.push(clock(options, unix_ms()));
    findings
}

/// The system's bounds of socket buffers, where it tells them.
fn buffers() -> Option<Finding> {
    let bound =
        |name| -> Option<u64> { fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?.trim().parse().ok() };
    Some(judge_buffers(bound("rmem_max")?, bound("wmem_max")?))
}

fn judge_buffers(receive: u64, send: u64) -> Finding {
    let wanted = SOCKET_BUFFER_BYTES as u64;
    if receive.min(send) >= wanted {
        return Finding::good("buffers", "Socket buffers may be as large as the relay wants them.");
    }
    Finding::warning(
        "buffers",
        format!(
            "Socket buffers may hold {} KiB, where the relay wants {} KiB.",
            receive.min(send) / 1024,
            wanted / 1024
        ),
        format!(
            "Packets are lost in bursts. Write `net.core.rmem_max={wanted}` and `net.core.wmem_max={wanted}` to \
             /etc/sysctl.d/belay-relay.conf, then run `sysctl --system`."
        ),
    )
}

fn offload(options: &RelayOptions) -> Finding {
    if options.no_offload {
        return Finding::warning(
            "offload",
            "Segmentation offload is switched off, which costs several times the CPU.",
            "Leave --no-offload out, unless the network card's driver gets offload wrong.",
        );
    }
    let any_port = SocketAddr::new(options.listen.ip(), 0);
    match SystemNet.bind(any_port).map(|socket| (socket.max_transmit_segments(), socket.max_receive_segments())) {
        Ok((2.., 2..)) => Finding::good("offload", "The system joins and splits datagrams (GSO and GRO)."),
        Ok(_) => Finding::warning(
            "offload",
            "The system does not join and split datagrams (GSO and GRO), which costs several times the CPU.",
            "Linux 5.0 or newer does; some containers and sandboxes take it away.",
        ),
        Err(error) => {
            Finding::warning("offload", format!("It could not be tried: {error}."), "See the findings about ports.")
        }
    }
}

#[cfg(unix)]
fn open_files(options: &RelayOptions) -> Option<Finding> {
    use rustix::process::{Resource, getrlimit};

    let tunnels = if options.no_tunnels { 0 } else { options.max_endpoints.min(TunnelCaps::default().tunnels) };
    // `serve` raises the soft limit to the hard one.
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    Some(judge_open_files(limit, tunnels as u64 + OTHER_FILES))
}

#[cfg(not(unix))]
fn open_files(_: &RelayOptions) -> Option<Finding> {
    let _ = (TunnelCaps::default(), judge_open_files);
    None
}

fn judge_open_files(limit: u64, wanted: u64) -> Finding {
    if limit >= wanted {
        return Finding::good(
            "open files",
            format!("The relay may open {limit} files and sockets, and needs {wanted} at most."),
        );
    }
    Finding::warning(
        "open files",
        format!(
            "The relay may open {limit} files and sockets; {wanted} are needed when every end comes through a tunnel."
        ),
        format!("Set `LimitNOFILE={wanted}` in the systemd unit, or `ulimit -Hn`; or lower --max-endpoints."),
    )
}

/// Sockets, the runtime's own descriptors, files, and connections for figures.
const OTHER_FILES: u64 = 1_000;

/// A clock that is wrong lets expired delegations in, or keeps good ones out.
fn clock(options: &RelayOptions, now_unix_ms: i64) -> Finding {
    let made = fs::metadata(options.data.data.join("relay.key")).and_then(|key| key.modified()).ok();
    let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let made_unix_ms = made.and_then(|made| i64::try_from(made.as_millis()).ok()).unwrap_or(0);
    if now_unix_ms < EARLIEST_UNIX_MS.max(made_unix_ms - CLOCK_SLACK_MS) {
        return Finding::bad(
            "clock",
            "This machine's clock stands in the past; delegations of consoles cannot be judged by it.",
            "Set it, and keep it right with chrony or systemd-timesyncd.",
        );
    }
    if now_unix_ms > LATEST_UNIX_MS {
        return Finding::bad(
            "clock",
            "This machine's clock stands far in the future, where every delegation has expired.",
            "Set it, and keep it right with chrony or systemd-timesyncd.",
        );
    }
    Finding::good("clock", "The clock is plausible.")
}

/// 2026-01-01; no relay of this version ran before.
const EARLIEST_UNIX_MS: i64 = 1_767_225_600_000;

/// 2100-01-01.
const LATEST_UNIX_MS: i64 = 4_102_444_800_000;

/// How far the clock may lie behind the making of the key.
const CLOCK_SLACK_MS: i64 = 60 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn small_buffers_and_few_descriptors_are_warnings() {
        let wanted = SOCKET_BUFFER_BYTES as u64;
        assert_eq!(judge_buffers(wanted, wanted).verdict, Verdict::Good);
        assert_eq!(judge_buffers(wanted - 1, wanted).verdict, Verdict::Warning);
        assert_eq!(judge_buffers(wanted, 212_992).verdict, Verdict::Warning);
        assert_eq!(judge_open_files(11_000, 11_000).verdict, Verdict::Good);
        assert_eq!(judge_open_files(10_999, 11_000).verdict, Verdict::Warning);
    }
}
