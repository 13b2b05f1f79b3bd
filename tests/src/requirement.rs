//! What some tests need from the machine: skipped loudly where it is missing, unless `BELAY_TEST_REQUIRE` names it.

use std::io::Write;

/// Says whether a test that needs `what` can run. `missing` says why not, when it cannot; the test then fails if
/// `BELAY_TEST_REQUIRE`, a list separated by commas, names `what`, as `tests/run` sees to.
pub fn is_met(what: &str, missing: Option<String>) -> bool {
    let Some(why) = missing else { return true };
    let required = std::env::var("BELAY_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == what), "{what} is required and missing: {why}");
    // Past the test runner's capture, so that it is seen.
    let _ = writeln!(std::io::stderr(), "!!!! SKIPPED, because {what} is missing: {why} !!!!");
    false
}
