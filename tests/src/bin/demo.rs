//! `cargo demo`: see [`belay_tests::demo`].

use std::process::ExitCode;

fn main() -> ExitCode {
    belay_tests::demo::main()
}
