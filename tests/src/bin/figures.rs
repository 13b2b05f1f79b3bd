//! `cargo run -p belay-tests --bin figures`: see [`belay_tests::figures`].

use std::process::ExitCode;

fn main() -> ExitCode {
    belay_tests::figures::main()
}
