//! `belay-agent`: see [`belay_agent::cli`].

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    belay_agent::cli::main().await
}
