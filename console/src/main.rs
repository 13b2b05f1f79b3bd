//! `belay-console`: see [`belay_console::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    belay_console::cli::main()
}
