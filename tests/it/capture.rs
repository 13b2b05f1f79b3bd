//! What somebody sees who listens at the relay's port.

use std::net::UdpSocket;
use std::process::{Command, Stdio};

use belay_tests::programs::{DEADLINE, Running, Site, captured_tree};
use belay_tests::requirement;
use rand::RngExt;
use rand::distr::Alphanumeric;

#[test]
fn a_capture_at_the_relays_port_does_not_contain_what_the_report_says() {
    let site = Site::open().unwrap();
    let port = site.relay_port().unwrap();
    let Some(tcpdump) = listen(port) else { return };

    // In many places, so that one of them would be whole in some packet.
    let planted = marker();
    captured_tree(&site.path().join("tree"), &planted, 1_000).unwrap();
    let ticket = site.open_ticket().unwrap();
    let words = ["--yes", "--insecure-http", "--root", "tree", &ticket.link];
    let joined = Running::start(&mut site.join("one", &words).unwrap()).unwrap().finish(DEADLINE).unwrap();
    assert_eq!(joined.code, Some(0), "{joined}");

    let sha256 = joined.json().unwrap()["report_sha256"].as_str().unwrap().to_owned();
    let blob = site.desk().join("blobs").join(&sha256[..2]).join(&sha256);
    let report = std::fs::read(blob).unwrap();
    assert!(contains(&report, planted.as_bytes()), "the marker did not get into the report");

    // The same capture shows what is sent in the clear. It comes last, so that the session is in it as a whole.
    let control = marker();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(control.as_bytes(), ("127.0.0.1", port)).unwrap();
    let seen = |bytes: &[u8]| contains(bytes, control.as_bytes()).then(|| bytes.to_owned());
    let capture = tcpdump.out().wait_for("datagram in the clear", seen).unwrap();
    let ended = tcpdump.stop(rustix::process::Signal::INT).unwrap();
    assert!(ended.err.contains("\n0 packets dropped by kernel"), "the capture is not whole: {}", ended.err);

    // Agent to relay and relay to console: the report passed twice.
    assert!(capture.len() >= 2 * report.len(), "{} bytes were captured of {}", capture.len(), report.len());
    let (first, second) = planted.as_bytes().split_at(planted.len() / 2);
    for part in [first, second] {
        assert!(!contains(&capture, part), "the relay's port shows what is in the report");
    }
    println!("{} bytes were captured of a session with a report of {} bytes", capture.len(), report.len());
}

/// Captures what goes to or from a UDP port of this machine; nothing where that is not possible and not required.
fn listen(port: u16) -> Option<Running> {
    let mut tcpdump = Command::new("tcpdump");
    // Whole packets, written as they come, to standard output; the buffer is in KiB.
    tcpdump.args(["-i", "lo", "-n", "-s", "0", "-U", "--immediate-mode", "-B", "16384", "-w", "-"]);
    tcpdump.args(["udp", "and", "port", &port.to_string()]).stdin(Stdio::null());
    let listening = Running::start(&mut tcpdump).and_then(|running| {
        running.err().line_with("listening on")?;
        Ok(running)
    });
    match listening {
        Ok(running) => Some(running),
        Err(error) => {
            requirement::is_met("tcpdump", Some(format!("{error:#}")));
            None
        }
    }
}

/// 32 bytes that occur nowhere else.
fn marker() -> String {
    rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
