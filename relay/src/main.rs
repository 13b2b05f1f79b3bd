//! `belay-relay`: see [`belay_relay::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    belay_relay::cli::main()
}
