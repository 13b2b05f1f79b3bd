//! Redaction on ordinary logs: what is personal goes, and the rest stays as it was.

use belay_agent::redact::{Aliases, Identity};
use belay_protocol::report::PrivateKind;
use belay_tests::logs;

/// The most that may be damaged in 1,000 lines.
const DAMAGED_MAX: usize = 1;

#[test]
fn ordinary_logs_keep_their_words_and_lose_their_people() {
    let people = logs::PEOPLE.map(|name| (PrivateKind::User, name.to_owned()));
    let hosts = logs::HOSTS.map(|name| (PrivateKind::Host, name.to_owned()));
    let identity = Identity::of(people.into_iter().chain(hosts).collect());
    let lines = logs::ordinary(1, 40_000);
    let (mut damaged, mut leaked) = (Vec::new(), Vec::new());
    for report in lines.chunks(10_000) {
        let mut learning = Aliases::of(&identity);
        for line in report {
            learning.mask(&line.text()).unwrap();
        }
        let mut aliases = Aliases::of(&identity.clone().and(learning.learnt()));
        for line in report {
            let masked = aliases.mask(&line.text()).unwrap();
            damaged.extend((!line.damaged(&masked).is_empty()).then(|| masked.clone()));
            leaked.extend((!line.leaked(&masked).is_empty()).then_some(masked));
        }
    }
    println!("{} lines: {} damaged, {} with something personal left", lines.len(), damaged.len(), leaked.len());
    damaged.iter().chain(&leaked).take(20).for_each(|line| println!("  {line}"));
    assert!(damaged.len() * 1_000 <= lines.len() * DAMAGED_MAX, "{} lines are damaged", damaged.len());
    assert!(leaked.is_empty(), "{} lines have something personal left", leaked.len());
}
