//! Tests that cross programs.

mod killed_intake;
mod layout;
mod links;
mod simulated;
