//! Reading any tree of `/proc` and `/sys`: no panic, no waiting, and the same findings each time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use belay_agent::page;
use belay_agent::redact::{Redacted, redact};
use belay_agent::rulebook::Rulebook;
use belay_agent::survey::{Look, look};
use belay_agent::terminal::Colour;
use belay_protocol::Language;
use belay_protocol::finding::{Finding, Severity};
use belay_protocol::report::Section;
use belay_tests::requirement;
use belay_tests::trees::{self, HEALTHY};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Spoilt trees of each kind; `BELAY_TREES` asks for more.
const TREES: u64 = 24;

/// Far more than a survey of a tree takes, which has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at a tree and makes of it all that can be made: nothing panics, and nothing is late.
async fn whole_way(tree: &Path, story: &str) -> Redacted {
    let started = Instant::now();
    let options = Look { root: Some(tree.to_owned()), deadline: PATIENCE, ..Look::default() };
    let survey = look(&options, |_| ()).await.unwrap();
    let took = started.elapsed();
    assert!(took < PATIENCE, "{took:?} after {story}");
    let told = format!("{survey:?}");
    assert_eq!(crashed(&told), None, "after {story}");
    assert!(!told.contains("kind: TimedOut"), "a source was waited for after {story}");
    let redacted = redact(survey, Rulebook::default().into()).unwrap();
    let report = redacted.report().unwrap();
    let withheld: Vec<_> = report.sections.iter().filter(|section| matches!(section, Section::Withheld(_))).collect();
    assert!(withheld.is_empty(), "{withheld:?} after {story}");
    for language in [Language::English, Language::Chinese] {
        page::survey(&report, language, Colour::None);
    }
    redacted
}

/// What a probe that panicked leaves behind: a failure that no system call explains.
fn crashed(told: &str) -> Option<String> {
    let mut failures = told.split("Why { kind: Failed, ").skip(1).filter_map(|why| why.split('}').next());
    failures.find(|why| why.contains("os_error: None")).map(str::to_owned)
}

fn findings(redacted: &Redacted) -> Vec<Finding> {
    redacted.report().unwrap().findings().unwrap().found.iter().cloned().collect()
}

/// Spoils copies of a tree in every way, each time from the beginning.
async fn spoil(name: &str, trees: u64, plant: impl Fn(&Path)) {
    let asked = std::env::var("BELAY_TREES").ok().and_then(|count| count.parse().ok());
    for seed in 0..asked.unwrap_or(trees) {
        let tree = tempfile::tempdir().unwrap();
        plant(tree.path());
        let mut random = StdRng::seed_from_u64(seed);
        let paths = trees::paths(tree.path());
        let mut story = format!("{name}, seed {seed}:");
        // Some trees are hurt in one place, others almost everywhere.
        for _ in 0..=(seed % 8) * (seed % 8) {
            story += &format!(" {};", trees::spoil(&mut random, &paths).unwrap());
        }
        whole_way(tree.path(), &story).await;
        // Its owner may not be allowed to remove it as it is.
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(tree.path()).output();
    }
}

/// Without this a panic might go unseen.
#[test]
fn a_failure_without_a_system_call_is_what_a_panic_leaves() {
    let why = belay_protocol::report::Why::new(belay_protocol::report::WhyKind::Failed, "probe");
    assert!(crashed(&format!("{why:?}")).is_some());
    assert!(crashed(&format!("{:?}", why.with_os_error(Some(5)))).is_none());
}

#[tokio::test]
async fn a_made_up_tree_may_be_spoilt_in_every_way() {
    spoil("made up", TREES, |at| trees::plant(at, HEALTHY).unwrap()).await;
}

#[tokio::test]
async fn this_machines_tree_may_be_spoilt_in_every_way() {
    let captured = tempfile::tempdir().unwrap();
    trees::capture(captured.path()).unwrap();
    assert!(trees::paths(captured.path()).len() > 50, "hardly anything was captured");
    let copy = |at: &Path| {
        let copied = Command::new("cp").arg("-r").arg(format!("{}/.", captured.path().display())).arg(at).output();
        assert!(copied.unwrap().status.success());
    };
    spoil("this machine", TREES, copy).await;
}

/// The archive beside the repository, or the one that `BELAY_FIXTURES` names.
fn archive() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/procfs-fixtures.tar.xz");
    std::env::var_os("BELAY_FIXTURES").map_or(beside, PathBuf::from)
}

#[tokio::test]
async fn captured_trees_of_many_machines_are_read_as_they_are_and_spoilt() {
    let archive = archive();
    let missing = (!archive.exists()).then(|| format!("{} is not there", archive.display()));
    if !requirement::is_met("captured trees", missing) {
        return;
    }
    let unpack = |at: &Path| {
        let unpacked = Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(at).output().unwrap();
        assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    };
    let scratch = tempfile::tempdir().unwrap();
    unpack(scratch.path());
    for tree in std::fs::read_dir(scratch.path()).unwrap() {
        let tree = tree.unwrap().path();
        let found = findings(&whole_way(&tree, "nothing").await);
        assert!(found.iter().any(|finding| finding.rule.as_str() == "raid-degraded"), "{found:?}");
        let copy = |at: &Path| {
            assert!(Command::new("cp").arg("-r").arg(tree.join(".")).arg(at).output().unwrap().status.success());
        };
        spoil("captured", TREES / 4, copy).await;
    }
}

#[tokio::test]
async fn a_pipe_in_any_place_costs_nothing() {
    let tree = tempfile::tempdir().unwrap();
    trees::plant(tree.path(), HEALTHY).unwrap();
    for (path, text) in HEALTHY {
        let place = tree.path().join(path);
        trees::remove(&place).unwrap();
        trees::pipe(&place).unwrap();
        whole_way(tree.path(), path).await;
        trees::remove(&place).unwrap();
        std::fs::write(&place, text).unwrap();
    }
    for (path, _) in HEALTHY {
        let place = tree.path().join(path);
        trees::remove(&place).unwrap();
        trees::pipe(&place).unwrap();
    }
    whole_way(tree.path(), "pipes everywhere").await;
}

#[tokio::test]
async fn the_same_tree_is_judged_the_same_each_time() {
    let tree = tempfile::tempdir().unwrap();
    trees::plant(tree.path(), HEALTHY).unwrap();
    let first = findings(&whole_way(tree.path(), "nothing").await);
    for _ in 0..3 {
        assert_eq!(findings(&whole_way(tree.path(), "nothing").await), first);
    }
}

#[tokio::test]
async fn a_healthy_freshly_installed_machine_is_silent() {
    let tree = tempfile::tempdir().unwrap();
    trees::plant(tree.path(), HEALTHY).unwrap();
    let found = findings(&whole_way(tree.path(), "nothing").await);
    let wrong: Vec<_> = found.iter().filter(|f| matches!(f.severity, Severity::Crit | Severity::Warn)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What it says nothing about it must have looked at.
    let unseen: Vec<_> = found.iter().filter(|f| f.severity == Severity::Unknown).map(|f| f.rule.as_str()).collect();
    assert!(unseen.len() <= 5, "{unseen:?}");
}
