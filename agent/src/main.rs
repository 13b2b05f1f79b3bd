//! The agent's program; everything it does is in its library.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    belay_agent::cli::run(belay_agent::cli::Cli::parse()).await.into()
}
