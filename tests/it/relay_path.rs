//! What the way to a relay is like, measured at a real one.

use std::sync::Arc;
use std::time::Duration;

use belay_agent::probe::relay_path::{Relays, look};
use belay_protocol::invite::RelayAddress;
use belay_protocol::report::{Reachability, RelayPath, Transport};
use belay_relay::net::SystemNet;
use belay_tests::programs::{Site, free_port};

async fn measured(relays: Vec<RelayAddress>) -> RelayPath {
    let deadline = Duration::from_secs(3);
    look(Relays { relays, net: Arc::new(SystemNet), proxy: None, deadline }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_measured_by_udp_and_by_tcp_and_the_one_that_answers_is_told_of() {
    let site = Site::open().unwrap();
    let relay: RelayAddress = site.relay().out().line_with("#").unwrap().parse().unwrap();
    let path = measured(vec![relay.clone()]).await;
    assert_eq!((path.reachability, path.transport), (Reachability::Reached, Some(Transport::Udp)), "{path:?}");
    assert!(path.rtt_us.is_some_and(|rtt_us| rtt_us < 1_000_000) && path.jitter_us.is_some(), "{path:?}");
    assert!(path.loss_percent == Some(0.0) && path.clock_ahead_seconds == Some(0), "{path:?}");
    for way in [&path.udp, &path.tcp] {
        let way = way.known().unwrap();
        assert!(way.reachability == Reachability::Reached && way.rtt_us.is_some(), "{path:?}");
    }

    let silent = RelayAddress { port: free_port().unwrap(), ..relay.clone() };
    let path = measured(vec![silent.clone(), relay]).await;
    assert_eq!(path.reachability, Reachability::Reached, "the second answers");
    let path = measured(vec![silent]).await;
    assert_eq!((path.reachability, path.transport, path.rtt_us), (Reachability::Unreachable, None, None), "{path:?}");
    assert_eq!(path.udp.known().unwrap().reachability, Reachability::Unreachable);
}
