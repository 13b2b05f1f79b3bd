//! The way to a desk: a portal before it, and clocks that differ.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use belay_tests::certificates;
use belay_tests::faults::{DistantDesk, Patient, Portal, Seen, alone, told};
use belay_tests::programs::Program;
use tempfile::TempDir;

use super::can_run;
use super::names::{AGENT, DESK_NAME, NAMES, Street};

const RELAY: u8 = 1;
const DESK: u8 = 2;

/// A street with a desk that anybody can verify who trusts its authority.
struct Town {
    street: Street,
    desk: DistantDesk,
    files: TempDir,
}

impl Town {
    async fn found() -> Self {
        let street = Street::with(&[RELAY, DESK, AGENT], &[NAMES]).await;
        let files = tempfile::tempdir().unwrap();
        certificates::write(files.path(), DESK_NAME).unwrap();
        let file = |name: &str| files.path().join(name).to_string_lossy().into_owned();
        let options = [
            "--https".to_owned(),
            "0.0.0.0:443".to_owned(),
            "--cert".to_owned(),
            file(&format!("{DESK_NAME}.pem")),
            "--key".to_owned(),
            file(&format!("{DESK_NAME}.key")),
        ];
        let relay = relay_with_clock(files.path());
        let desk = DistantDesk::start(&street.topology, (RELAY, DESK), Some(relay), DESK_NAME, &options).unwrap();
        Self { street, desk, files }
    }

    /// A machine that trusts the authority.
    fn patient(&self) -> Patient<'_> {
        let authority = self.files.path().join("authority.pem");
        self.street.patient().with_variable("SSL_CERT_FILE", authority.to_string_lossy())
    }

    fn set_relay_clock(&mut self, offset: &str) {
        std::fs::write(self.files.path().join("offset"), offset).unwrap();
        self.desk.relay.kill().unwrap();
        self.desk.relay.restart(self.street.topology.host(RELAY)).unwrap();
    }

    fn join(&self, patient: &Patient<'_>) -> Seen {
        let (number, link) = self.desk.open_ticket().unwrap();
        patient.join(&link).unwrap();
        Seen::at_desk(&self.desk.show(&number).unwrap()).unwrap()
    }
}

/// A program that is the relay with a clock that is wrong by what a file beside it says.
fn relay_with_clock(directory: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let relay = Program::Relay.command(directory).unwrap();
    let (program, offset) = (directory.join("relay"), directory.join("offset"));
    let script = format!(
        "#!/bin/sh\nexport FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME=\"$(cat {})\" LD_PRELOAD='{FAKETIME}'\nexec {} \"$@\"\n",
        offset.display(),
        Path::new(relay.get_program()).display()
    );
    std::fs::write(&offset, "+0").unwrap();
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program
}

#[tokio::test]
async fn a_portal_is_a_warning_until_somebody_has_logged_in() {
    if !can_run(&["dnsmasq", "faketime"]) {
        return;
    }
    let _alone = alone().unwrap();
    let town = Town::found().await;
    let _server = town.street.serve(NAMES, &[]);
    let patient = town.patient().with(&["--desk", DESK_NAME]);
    let router = &town.street.topology.router;
    let before = patient.survey().unwrap();
    assert_eq!(before.section("network")["desk"]["known"]["https"], "answered", "{}", before.report);
    let portal = RefCell::new(Some(Portal::start(router).await.unwrap()));
    let seen = patient.survey().unwrap();
    assert_eq!(seen.since(&before), [told("desk-portal", "", "warn")]);
    drop(portal.take());
    assert_eq!(patient.survey().unwrap().since(&before), []);
}

#[tokio::test]
async fn a_machine_whose_clock_is_wrong_is_told_so_by_its_desk() {
    if !can_run(&["dnsmasq", "faketime"]) {
        return;
    }
    let _alone = alone().unwrap();
    let town = Town::found().await;
    let _server = town.street.serve(NAMES, &[]);
    let right = town.patient().with(&["--desk", DESK_NAME]);
    let before = right.survey().unwrap();
    for (offset, severity) in [("+400s", "warn"), ("-400s", "warn"), ("+2d", "crit")] {
        let wrong = town.patient().with(&["--desk", DESK_NAME]);
        let wrong = wrong.with_variable("LD_PRELOAD", FAKETIME).with_variable("FAKETIME", offset);
        let wrong = wrong.with_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        assert_eq!(wrong.survey().unwrap().since(&before), [told("clock-against-desk", "", severity)], "{offset}");
    }
    assert_eq!(right.survey().unwrap().since(&before), []);
}

/// The dynamic linker finds it in the directory of the machine's own architecture.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketime.so.1";

#[tokio::test]
async fn a_relay_whose_clock_is_wrong_is_told_and_the_machine_is_not_blamed() {
    if !can_run(&["dnsmasq", "faketime"]) {
        return;
    }
    let _alone = alone().unwrap();
    let mut town = Town::found().await;
    let _server = town.street.serve(NAMES, &[]);
    let before = town.join(&town.patient());
    for offset in ["+2h", "-2h"] {
        town.set_relay_clock(offset);
        let seen = town.join(&town.patient());
        assert_eq!(seen.since(&before), [told("clock-against-relay", "", "warn")], "{offset}");
    }
    town.set_relay_clock("+0");
    assert_eq!(town.join(&town.patient()).since(&before), []);
}
