//! Building the programs, once a run: an old one would be tested in place of the code.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, ensure};

use super::Program;

/// The directory of the built programs, which is the one of the running test's profile.
pub(super) fn directory() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("the programs could not be built: {error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    // target/PROFILE/deps/it-1234
    let test = std::env::current_exe()?;
    let directory = test.parent().and_then(Path::parent).context("a test is not in a target directory")?;
    let (target, profile) = (directory.parent(), directory.file_name().and_then(|name| name.to_str()));
    let (target, profile) = (target.context("no target directory")?, profile.context("no profile")?);
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--bins",
        "--profile",
        if profile == "debug" { "dev" } else { profile },
    ]);
    // With this crate among them the features, and so the dependencies that are built already, are those of the tests.
    let packages = Program::ALL.map(Program::name).into_iter().chain([env!("CARGO_PKG_NAME")]);
    cargo.args(packages.flat_map(|package| ["--package", package]));
    cargo.arg("--target-dir").arg(target).current_dir(root());
    let output = cargo.output().context("cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for program in Program::ALL {
        ensure!(directory.join(program.name()).exists(), "{} is not in {}", program.name(), directory.display());
    }
    Ok(directory.to_owned())
}

/// Builds a program by itself, as it is shipped; where it is.
pub(super) fn release(program: Program) -> anyhow::Result<PathBuf> {
    let profile = match program {
        Program::Agent => "agent",
        Program::Relay | Program::Console => "release",
    };
    cargo(&["build", "--quiet", "--locked", "--profile", profile, "--package", program.name()])?;
    Ok(target().join(profile).join(program.name()))
}

/// Runs cargo in the workspace.
pub(crate) fn cargo(args: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).current_dir(root()).args(args).status().context("cargo does not run")?;
    ensure!(status.success(), "cargo {} failed", args.join(" "));
    Ok(())
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
