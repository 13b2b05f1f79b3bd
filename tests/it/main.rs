//! Tests that cross programs.

// clippy takes only the bodies of `#[test]` functions for tests, and these have helpers.
#![allow(clippy::unwrap_used)]

mod browser;
mod capture;
mod carried;
mod commands;
mod consent;
mod crowded;
mod doctor;
mod faults;
mod figures;
mod help_address;
mod hostile;
mod killed_intake;
mod layout;
mod links;
mod malicious;
mod musl;
mod namespaces;
mod proxy;
mod redaction;
mod refusals;
mod relay_operations;
mod relay_path;
mod resume;
mod resumed_visits;
mod revocation;
mod roaming;
mod rules;
mod several_relays;
mod simulated;
mod simulator;
mod trees;
mod watch;
mod windows;
