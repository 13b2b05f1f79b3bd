//! Belay's nouns, its wire format, the session state machine and (behind the feature `report`) facts, findings and
//! rules.
//!
//! Nothing here reads a clock, draws randomness, opens a file or a socket, or looks at the environment: all of that is
//! passed in, so that the same code runs in the three programs, in the simulator and in the fuzzer.

pub mod bounded;
pub mod channel;
pub mod codec;
pub mod consent;
pub mod delegation;
#[cfg(feature = "report")]
pub mod finding;
pub mod frame;
pub mod hello;
pub mod id;
pub mod invite;
pub mod lang;
pub mod limits;
pub mod message;
pub mod phrase;
#[cfg(feature = "report")]
pub mod report;
pub mod resume;
#[cfg(feature = "report")]
pub mod rules;
#[cfg(feature = "report")]
pub mod saved;
pub mod session;
pub mod signed_pack;
pub mod version;
pub mod well_known;

pub use bounded::{BoundedVec, Text};
pub use id::{ConsoleKey, DeviceKey, OrganizationKey, RelayKey, RouteId, RouteSalt, RulesKey};
pub use lang::{Language, Phrase};
