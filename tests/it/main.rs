//! Tests that cross programs.

mod layout;
mod links;
mod simulated;
