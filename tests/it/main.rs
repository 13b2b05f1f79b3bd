//! Tests that cross programs.

mod capture;
mod commands;
mod help_address;
mod killed_intake;
mod layout;
mod links;
mod simulated;
