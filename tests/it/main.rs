//! Tests that cross programs.

mod links;
mod simulated;
