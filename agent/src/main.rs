//! The agent's program; everything it does is in its library.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match belay_relay::settings::parse(std::env::args_os(), None) {
        Ok(cli) => belay_agent::cli::run(cli).await.into(),
        Err(error) => error.exit(),
    }
}
