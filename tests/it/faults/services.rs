//! Units that fail, in a system of their own under a real systemd.

use belay_tests::faults::{Container, Entrance, Patient, alone, told};

use super::{can_run, proves};

/// Fails at once.
const START: &str = "systemd-run --quiet --unit=belay-fault --property=Type=oneshot false; true";

fn a_unit_fails(container: &Container) {
    let patient = Patient::new().unwrap().within(container as &dyn Entrance).keeping("/var/lib/belay-agent");
    let run = |script: &str| container.run("sh", &["-c", script]).map(drop).unwrap();
    // What of this machine's services cannot start without its configuration is none of the test's doing.
    run("systemctl reset-failed");
    let failed = [told("service-failed", "belay-fault.service", "warn")];
    let seen = proves(&patient, &failed, || run(START), || run("systemctl reset-failed belay-fault"));
    let units = &seen.section("system")["upkeep"]["failed_units"]["known"];
    assert_eq!(units, &serde_json::json!([{ "name": "belay-fault.service" }]));
}

#[test]
fn a_unit_that_failed_is_told_over_the_systems_bus_and_over_systemds_own_socket() {
    if !can_run(&["systemd-nspawn", "systemd-run"]) {
        return;
    }
    let _alone = alone().unwrap();
    let container = Container::boot().unwrap();
    let run = |script: &str| container.run("sh", &["-c", script]).unwrap();
    assert_eq!(run("test -S /run/dbus/system_bus_socket && echo there").trim(), "there");
    a_unit_fails(&container);
    run("systemctl stop dbus.socket dbus.service; rm -f /run/dbus/system_bus_socket");
    a_unit_fails(&container);
}
