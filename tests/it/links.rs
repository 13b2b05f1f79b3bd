//! Relay, desk and agents on real sockets of this machine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use belay_relay::net::{Net, SystemNet};
use belay_tests::links::{Agent, Desk, RunningRelay, loopback_relay};

fn system() -> Arc<dyn Net> {
    Arc::new(SystemNet)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ends_talk_through_the_relay_and_see_the_same_phrase() {
    let dir = tempfile::tempdir().unwrap();
    let relay = RunningRelay::start(&loopback_relay(dir.path())).unwrap();
    let desk = Desk::start(system(), &relay.address).await.unwrap();
    let mut agent = Agent::start(system(), &relay.address).await.unwrap();
    let (ours, theirs) = agent.open(&desk).await.unwrap();
    assert_eq!(ours.phrase(), theirs.phrase());
    assert_eq!(ours.peer_key(), desk.client.route().key);
    assert_eq!(theirs.peer_key(), agent.client.route().key);

    let sent = vec![7u8; 8 << 20];
    let (mut send, _recv) = ours.open_bi().await.unwrap();
    let expected = sent.len();
    let receiver = tokio::spawn(async move {
        let (_send, mut recv) = theirs.accept_bi().await.unwrap();
        recv.read_to_end(expected).await.unwrap()
    });
    send.write_all(&sent).await.unwrap();
    send.finish().unwrap();
    assert_eq!(receiver.await.unwrap(), sent);
    assert!(relay.handle.counters().forwarded_bytes.load(Ordering::Relaxed) > sent.len() as u64);
    relay.stop().await;
}
