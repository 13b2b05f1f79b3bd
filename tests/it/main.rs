//! Tests that cross programs.

mod links;
