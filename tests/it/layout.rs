//! Which crate may depend on what, held against what cargo says.

use std::collections::BTreeSet;
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The edges that the design allows between the workspace's crates.
const EDGES: &[(&str, &[&str])] = &[
    ("belay-protocol", &[]),
    ("belay-relay", &["belay-protocol"]),
    ("belay-agent-scan", &["belay-protocol"]),
    ("belay-agent", &["belay-protocol", "belay-relay", "belay-agent-scan"]),
    ("belay-console-ui", &[]),
    ("belay-console", &["belay-protocol", "belay-relay", "belay-console-ui"]),
    ("belay-tests", &["belay-protocol", "belay-relay", "belay-agent", "belay-console"]),
];

/// What a crate must not contain, however deep, when it is built by itself.
const NEVER: &[(&str, &[&str])] = &[
    (
        "belay-protocol",
        &["tokio", "quinn", "rustls", "rand", "getrandom", "sysinfo", "fs-err", "jiff", "chrono", "time"],
    ),
    ("belay-relay", &["belay-agent", "belay-console", "sysinfo", "cel", "sea-orm", "axum"]),
    (
        "belay-agent",
        // From hyper on: what the relay's server needs and its client does not.
        &[
            "belay-console",
            "sea-orm",
            "sqlx",
            "sqlx-core",
            "rusqlite",
            "axum",
            "hyper",
            "prometheus",
            "rcgen",
            "sd-notify",
        ],
    ),
    ("belay-console", &["belay-agent", "sysinfo"]),
];

/// The only crate of the product that names quinn itself.
const NAMES_QUINN: &str = "belay-relay";

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn root() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/..")
}

/// Every package in a crate's tree when it is built by itself, as `name` alone.
fn tree(crate_name: &str) -> BTreeSet<String> {
    let lines = tree_lines(crate_name, &["-e", "normal", "--prefix", "none", "-f", "{p}"]);
    lines.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn tree_lines(crate_name: &str, extra: &[&str]) -> Vec<String> {
    let output = Command::new(cargo())
        .args(["tree", "--locked", "-p", crate_name])
        .args(extra)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_workspaces_crates_depend_on_each_other_as_designed() {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec().unwrap();
    let members: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let designed: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    assert_eq!(members, designed);
    for package in &metadata.packages {
        let (_, allowed) = EDGES.iter().find(|(name, _)| *name == package.name.as_str()).unwrap();
        let inside = package.dependencies.iter().filter(|dependency| members.contains(dependency.name.as_str()));
        for dependency in inside.filter(|dependency| dependency.kind == DependencyKind::Normal) {
            assert!(allowed.contains(&dependency.name.as_str()), "{} may not use {}", package.name, dependency.name);
        }
        let names_quinn = package.dependencies.iter().any(|dependency| dependency.name.starts_with("quinn"));
        let may = [NAMES_QUINN, "belay-tests"].contains(&package.name.as_str());
        assert!(!names_quinn || may, "{} names quinn", package.name);
    }
}

#[test]
fn no_crate_contains_what_it_never_may() {
    for (name, never) in NEVER {
        let tree = tree(name);
        assert!(tree.contains(*name), "{tree:?}");
        for banned in *never {
            assert!(!tree.contains(*banned), "{name} contains {banned}");
        }
    }
}

#[test]
fn the_relay_is_built_without_report_types() {
    let features = tree_lines("belay-relay", &["-e", "features,normal", "--prefix", "none"]);
    let mentions =
        |feature: &str| features.iter().any(|line| line.starts_with(&format!("belay-protocol feature \"{feature}\"")));
    assert!(!mentions("report"), "the relay's build has belay-protocol's feature `report`");
    assert!(!tree("belay-relay").contains("cel"));
    // The same question about the agent is answered with yes, so that it can be answered at all.
    let features = tree_lines("belay-agent", &["-e", "features,normal", "--prefix", "none"]);
    assert!(features.iter().any(|line| line.starts_with("belay-protocol feature \"report\"")), "{features:?}");
}
