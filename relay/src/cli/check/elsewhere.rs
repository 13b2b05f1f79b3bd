//! The relays where ends are sent when this one stops: whether they answer, with the keys that are written here.

use std::net::SocketAddr;

use belay_protocol::invite::RelayAddress;
use tokio::task::JoinSet;

use super::{Finding, RelayOptions};
use crate::identity::Identity;
use crate::net::{Net, SystemNet};
use crate::server::answers_with;

pub(super) async fn look(options: &RelayOptions) -> Vec<Finding> {
    if options.elsewhere.is_empty() {
        return vec![good("No other relay is named; ends try those that they know when this one stops.")];
    }
    let own = Identity::load(&options.data.data.join("relay.key")).map(|own| own.relay_key());
    let mut looks = JoinSet::new();
    for relay in options.elsewhere.clone() {
        let is_own = own.as_ref().is_ok_and(|own| relay.key == *own);
        looks.spawn(async move { if is_own { itself() } else { judge(&relay).await } });
    }
    looks.join_all().await
}

async fn judge(relay: &RelayAddress) -> Finding {
    let address = relay.host_port();
    let resolved = SystemNet.resolve(&relay.host, relay.port).await;
    let addresses = match resolved {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => return warning(format!("{address} has no address."), SPELLING),
        Err(error) => return warning(format!("{address} has no address: {error}."), SPELLING),
    };
    if answers(relay, addresses).await {
        return good(format!("{address} answers, with the key that is written here."));
    }
    warning(
        format!("{address} does not answer by UDP, or has another key."),
        "Start that relay, let a firewall pass its port, or correct --elsewhere to what it prints.",
    )
}

/// Whether the relay answers at any of its addresses.
async fn answers(relay: &RelayAddress, addresses: Vec<SocketAddr>) -> bool {
    let mut looks = JoinSet::new();
    for address in addresses {
        looks.spawn(answers_with(relay.key, address));
    }
    looks.join_all().await.contains(&true)
}

fn itself() -> Finding {
    Finding::bad(
        SUBJECT,
        "One of the relays where ends are sent when this one stops is this one.",
        "Take it out of --elsewhere.",
    )
}

fn good(said: impl Into<String>) -> Finding {
    Finding::good(SUBJECT, said)
}

fn warning(said: String, remedy: &str) -> Finding {
    Finding::warning(SUBJECT, said, remedy)
}

const SUBJECT: &str = "elsewhere";

const SPELLING: &str = "Look at its spelling, and at this machine's name server.";
