//! The harness: worlds in which the three programs run against each other, on real sockets or on a network in memory.

pub mod bench;
pub mod certificates;
pub mod demo;
#[cfg(target_os = "linux")]
pub mod faults;
pub mod figures;
pub mod foreign;
pub mod links;
pub mod logs;
pub mod lying_relay;
#[cfg(target_os = "linux")]
pub mod namespaces;
pub mod net;
pub mod programs;
pub mod proxy;
pub mod requirement;
pub mod simulation;
#[cfg(unix)]
pub mod trees;
pub mod world;
