//! Belay's agent: looks at this machine, shows what would be sent, and sends it only when its owner agrees.
//!
//! Each step changes the type: [`survey::Survey`] cannot be serialized, only [`redact`] makes a [`redact::Redacted`],
//! and only [`consent`] makes a [`consent::Approved`].

pub mod cli;
pub mod consent;
pub mod data_file;
pub mod desk;
pub mod doctor;
pub mod heap;
pub mod join;
pub mod page;
pub mod paths;
pub mod probe;
pub mod redact;
pub mod rulebook;
pub mod standard_output;
pub mod survey;
pub mod terminal;
