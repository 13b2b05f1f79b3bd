//! A few seeds of the simulator, and every one that has ever failed. Thousands run in `--bench simulator`.

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
