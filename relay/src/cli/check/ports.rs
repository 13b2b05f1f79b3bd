//! The ports: free, held by this very relay, or held by somebody else.

use std::io;
use std::net::SocketAddr;

use super::{Finding, RelayOptions};
use crate::identity::Identity;
use crate::net::{Net, SystemNet};
use crate::server::{answers_with, is_in_use};

/// What binding came to.
enum Port {
    Free,
    /// The relay with our key answers there.
    Ours,
    Failed(io::Error),
}

pub(super) async fn look(options: &RelayOptions) -> Vec<Finding> {
    let listen = options.listen;
    let udp = match SystemNet.bind(listen) {
        Ok(_) => Port::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_ours(options).await => Port::Ours,
        Err(error) => Port::Failed(error),
    };
    let is_running = matches!(udp, Port::Ours);
    let holds_port = matches!(&udp, Port::Failed(error) if error.kind() == io::ErrorKind::AddrInUse);
    if !is_running && is_in_use(&options.data.data) {
        let data = options.data.data.display();
        if holds_port {
            // Who holds port and directory is hardly anybody else: one finding instead of a wrong guess for each port.
            return vec![Finding::bad(
                "udp",
                format!("A relay uses {data}, and {listen} is taken, but it did not answer within three seconds."),
                "It is overloaded, hangs or is about to stop: look at its log and at belay_relay_handshakes_total. If it \
                 listens elsewhere, give it its own --listen here.",
            )];
        }
        return vec![Finding::bad(
            "data",
            format!("A relay uses {data}, but does not listen on {listen}."),
            "It is about to stop, or it listens elsewhere: give it its own --listen here, or another one its own --data.",
        )];
    }
    let mut findings = vec![port("udp", "UDP", listen, udp)];
    if options.metrics.is_some_and(|metrics| !options.no_tunnels && clash(metrics, listen)) {
        findings.push(Finding::bad(
            "metrics",
            format!("The figures and the tunnels cannot both have TCP port {}.", listen.port()),
            "Let --metrics be on another port, such as 127.0.0.1:9443.",
        ));
        return findings;
    }
    if !options.no_tunnels {
        findings.push(port("tcp", "TCP", listen, tcp(listen, is_running)));
    }
    if let Some(metrics) = options.metrics {
        findings.push(port("metrics", "TCP", metrics, tcp(metrics, is_running)));
    }
    findings
}

/// Whether two TCP listeners would want the same address.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = |address: SocketAddr| address.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || is_any(one) || is_any(other))
}

/// Whether the relay whose key is in the data directory answers.
async fn is_ours(options: &RelayOptions) -> bool {
    match Identity::load(&options.data.data.join("relay.key")) {
        Ok(identity) => answers_with(identity.relay_key(), options.listen).await,
        Err(_) => false,
    }
}

/// A relay that runs holds its TCP ports too.
fn tcp(address: SocketAddr, is_running: bool) -> Port {
    match SystemNet.listen(address) {
        Ok(_) => Port::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_running => Port::Ours,
        Err(error) => Port::Failed(error),
    }
}

fn port(subject: &'static str, protocol: &str, address: SocketAddr, port: Port) -> Finding {
    let bad = |said: String, remedy: &str| Finding::bad(subject, said, remedy);
    let error = match port {
        Port::Free => return Finding::good(subject, format!("{protocol} {address} is free.")),
        Port::Ours => {
            return Finding::good(
                subject,
                format!("{protocol} {address} is held by this relay, which runs and answers."),
            );
        }
        Port::Failed(error) => error,
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => bad(
            format!("{protocol} {address} is used by another program, or by a relay with another key."),
            if subject == "tcp" {
                "`ss -ltnp` names it, often a web server. Stop it, choose another port, or do without tunnels: --no-tunnels."
            } else {
                "`ss -lunp` and `ss -ltnp` name it. Stop it, or choose another port."
            },
        ),
        io::ErrorKind::PermissionDenied => bad(
            format!("This account may not listen on {protocol} port {}, which is below 1024.", address.port()),
            "Use the systemd unit, or give the program the capability: `setcap cap_net_bind_service=+ep $(which belay-relay)`.",
        ),
        io::ErrorKind::AddrNotAvailable => bad(
            format!("This machine has no address {}.", address.ip()),
            "Let --listen be [::]:443 for every address, or one that `ip address` shows.",
        ),
        _ => bad(format!("{protocol} {address} cannot be listened on: {error}."), "Choose another address."),
    }
}
