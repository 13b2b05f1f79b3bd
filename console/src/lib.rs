//! The support desk: tickets, sessions, reports and findings, their audit, and the web console over them.
//!
//! Everything is kept by the [`store`]; people and programs reach it through one HTTP API ([`http`]), which the command
//! line uses too. The sessions with customers' machines call the store directly.

pub mod assignment;
pub mod audit;
pub mod backup;
pub mod builds;
pub mod changes;
pub mod cli;
pub mod clock;
pub mod console;
pub mod contents;
pub mod data;
pub mod desk;
pub mod http;
pub mod life;
mod listen;
pub mod local;
pub mod number;
pub mod passkey;
pub mod password;
pub mod policy;
pub mod rules;
pub mod search;
pub mod secret;
pub mod series;
mod session;
pub mod store;
pub mod ticket;
mod totp;

/// The files of the web console.
pub const ASSETS: http::AssetSource = |path| {
    let file = belay_console_ui::asset(path)?;
    Some(http::Asset { bytes: file.bytes, content_type: file.content_type, etag: file.etag, immutable: file.immutable })
};
