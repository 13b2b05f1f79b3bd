//! `cargo run --release -p belay-tests --bin crowd`: see [`belay_tests::crowd`].

use std::process::ExitCode;

fn main() -> ExitCode {
    belay_tests::crowd::main()
}
