//! Real faults, made for the test: each raises its finding and nothing else, and clears again. They need root and some
//! of Debian's packages, and are skipped loudly without.

use belay_tests::faults::{self, Patient, Seen, Told};
use belay_tests::requirement;

mod desks;
mod disks;
mod groups;
mod names;
mod relays;
mod services;

fn can_run(tools: &[&str]) -> bool {
    requirement::is_met("faults", faults::missing(tools))
}

/// Looks before, in and after a fault: what `make` has made is `expected` and nothing else, and nothing is left of it
/// after `mend`. Returns what was seen in the fault.
fn proves(patient: &Patient<'_>, expected: &[Told], make: impl FnOnce(), mend: impl FnOnce()) -> Seen {
    let before = patient.survey().unwrap();
    for (rule, subject, _) in expected {
        assert_eq!(before.severity(rule, subject), None, "{rule} about {subject} before there is a fault");
    }
    make();
    let during = patient.survey().unwrap();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(during.since(&before), expected, "in the fault");
    mend();
    let after = patient.survey().unwrap();
    assert_eq!(after.since(&before), [], "after the fault");
    during
}

#[test]
fn two_surveys_of_an_unchanged_machine_find_the_same() {
    let _alone = faults::alone().unwrap();
    let survey = || Patient::new().unwrap().survey().unwrap();
    // Programs and services of the machine may change it meanwhile; they do not each time.
    let differ = || {
        let (one, other) = (survey(), survey());
        [one.since(&other), other.since(&one)].concat()
    };
    let tries = [differ(), differ(), differ()];
    assert!(tries.iter().any(Vec::is_empty), "{tries:#?}");
}
