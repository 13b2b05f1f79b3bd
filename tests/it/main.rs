//! Tests that cross programs.

mod capture;
mod killed_intake;
mod layout;
mod links;
mod simulated;
