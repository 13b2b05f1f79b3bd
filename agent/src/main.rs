//! `belay-agent`: see [`belay_agent::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    belay_agent::cli::main()
}
