//! Groups of programs that run out of the memory that they may use.

use std::cell::RefCell;

use belay_tests::faults::{Group, Patient, Version, alone, told};
use belay_tests::requirement;

use super::{can_run, proves};

const LIMIT_BYTES: u64 = 16 << 20;

fn a_group_runs_out(version: Version) {
    let _alone = alone().unwrap();
    let patient = Patient::new().unwrap();
    let group = RefCell::new(Some(Group::with_memory(version, LIMIT_BYTES).unwrap()));
    let subject = format!("/{}", group.borrow().as_ref().unwrap().name());
    let make = || group.borrow().as_ref().unwrap().run_out().unwrap();
    let seen = proves(&patient, &[told("group-ran-out", &subject, "warn")], make, || drop(group.take()));
    let groups = seen.section("memory")["groups"]["known"].as_array().unwrap().clone();
    let ours = groups.iter().find(|group| group["path"] == subject).unwrap();
    assert_eq!(ours["limit_bytes"]["known"], LIMIT_BYTES, "{ours}");
    assert!(ours["limit_hits"]["known"].as_u64().unwrap() > 0, "{ours}");
}

#[test]
fn a_group_of_version_1_that_ran_out_of_memory_is_told_and_not_taken_for_the_machine() {
    let missing = Version::One.place().is_none().then(|| "the kernel offers none here".to_owned());
    if can_run(&["tail"]) && requirement::is_met("cgroup v1", missing) {
        a_group_runs_out(Version::One);
    }
}

#[test]
fn a_group_of_version_2_that_ran_out_of_memory_is_told_and_not_taken_for_the_machine() {
    let missing = "memory belongs to version 1 here; a captured tree has both (agent, probe::cgroups)";
    let missing = Version::Two.place().is_none().then(|| missing.to_owned());
    if can_run(&["tail"]) && requirement::is_met("cgroup v2", missing) {
        a_group_runs_out(Version::Two);
    }
}
