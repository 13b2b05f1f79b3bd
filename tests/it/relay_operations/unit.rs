//! The unit under a real systemd, in a system of its own: started, told to reload, killed and stopped there. It needs root
//! and systemd-nspawn.

use belay_tests::faults::{self, Container, alone};
use belay_tests::programs::Program;
use belay_tests::requirement;

const CONFIGURATION: &str = "listen = \"0.0.0.0:443\"\nany-organization = true\n";

/// Everything that the unit's sandbox leaves to the relay: the one port below 1024.
const NET_BIND_SERVICE: u64 = 1 << 10;

fn install(container: &Container, path: &str, text: &str) {
    let script = "mkdir -p \"$(dirname \"$1\")\" && printf %s \"$2\" > \"$1\"";
    container.run("sh", &["-c", script, "sh", path, text]).unwrap();
}

/// What the relay has printed at each start.
fn addresses(container: &Container) -> Vec<String> {
    let log = container.run("journalctl", &["--unit=belay-relay", "--no-pager", "--output=cat"]).unwrap();
    log.lines().filter(|line| line.starts_with("0.0.0.0:443#")).map(str::to_owned).collect()
}

/// The line `name` of a process's status.
fn status(container: &Container, process: &str, name: &str) -> String {
    let text = container.run("cat", &[&format!("/proc/{process}/status")]).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap().trim().to_owned()
}

#[test]
fn the_unit_runs_without_root_comes_back_after_a_kill_with_its_key_and_stops() {
    if !requirement::is_met("faults", faults::missing(&["systemd-nspawn", "journalctl"])) {
        return;
    }
    let _alone = alone().unwrap();
    let container = Container::boot().unwrap();
    let run = |script: &str| container.run("sh", &["-c", script]).unwrap();
    let property = |name: &str| {
        let shown = container.run("systemctl", &["show", "--value", "--property", name, "belay-relay"]).unwrap();
        shown.trim().to_owned()
    };
    let program = Program::Relay.command("/".as_ref()).unwrap();
    // The system's own /usr is this machine's, and is not written to.
    run("mount -t tmpfs tmpfs /usr/local/bin");
    container.run("cp", &[program.get_program().to_str().unwrap(), "/usr/local/bin/belay-relay"]).unwrap();
    install(&container, "/etc/belay/relay.toml", CONFIGURATION);
    install(&container, "/etc/systemd/system/belay-relay.service", &super::beside("belay-relay.service"));

    run("systemctl daemon-reload && systemctl start belay-relay");
    assert_eq!(property("ActiveState"), "active");
    let process = property("MainPID");
    assert_ne!(status(&container, &process, "Uid").split_whitespace().next(), Some("0"), "it runs as root");
    let capabilities = u64::from_str_radix(&status(&container, &process, "CapEff"), 16).unwrap();
    assert_eq!(capabilities, NET_BIND_SERVICE, "{capabilities:x}");
    assert_eq!(status(&container, &process, "NoNewPrivs"), "1");
    assert_eq!(status(&container, &process, "Seccomp"), "2", "no system call is kept from it");
    let mode = run("stat --format=%a /var/lib/private/belay-relay/relay.key");
    assert_eq!(mode.trim(), "600");

    run("systemctl reload belay-relay");
    assert_eq!((property("ActiveState"), property("MainPID")), ("active".to_owned(), process.clone()));

    run(&format!("kill -KILL {process}"));
    let came_back = "for _ in $(seq 300); do \
                     [ \"$(systemctl show --value --property=NRestarts belay-relay)\" = 1 ] && \
                     systemctl is-active --quiet belay-relay && exit 0; sleep 0.1; done; exit 1";
    run(came_back);
    let seen = addresses(&container);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(seen[0], seen[1], "it has another key after it was killed");

    run("systemctl stop belay-relay");
    assert_eq!((property("ActiveState"), property("Result")), ("inactive".to_owned(), "success".to_owned()));
}
