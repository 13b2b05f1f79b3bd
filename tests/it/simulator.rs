//! A few seeds of the simulator, and every one that has failed since. Thousands run in `--bench simulator`.
//!
//! A seed fixes the plan: networks, outages, moves and what is said. TLS, connection ids and the programs' own jitter draw
//! from the system, so that a rare failure may need many runs of its seed; a cause that was found has a test of its own.

use belay_tests::simulation::Plan;

fn check(seed: u64) {
    let plan = Plan::of(seed);
    if let Err(error) = plan.run() {
        panic!("{error:#}\n{plan}");
    }
}

#[test]
fn sessions_outlive_what_networks_do_to_them() {
    (1_000_000..1_000_020).for_each(check);
}

/// Once in some hundred runs a try to resume that was given up took a session along; `resume` tests that at every packet.
#[test]
fn seed_831_loses_no_session() {
    check(831);
}
