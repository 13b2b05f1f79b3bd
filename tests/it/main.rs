//! Tests that cross programs.

// clippy takes only the bodies of `#[test]` functions for tests, and these have helpers.
#![allow(clippy::unwrap_used)]

mod hostile;
mod layout;
mod links;
mod refusals;
mod simulated;
