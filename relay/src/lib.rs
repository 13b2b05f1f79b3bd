//! The relay and the client of it that agents and consoles share.
//!
//! A relay introduces the two ends of a session to each other over its control plane and forwards the packets of their
//! end-to-end QUIC connection by connection id, without being able to read them. This crate is the only one of the
//! product that names quinn; it is built without any report type, so that a relay could not read a report even if it
//! were given one.

pub mod client;
pub mod clock;
pub mod close;
pub mod identity;
mod inbox;
pub mod logging;
pub mod net;
pub mod packet;
mod private_file;
pub mod settings;
pub mod shutdown;
pub mod stream;
pub mod tls;
pub mod transport;
mod tunnel;

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod server;
