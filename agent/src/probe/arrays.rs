//! Software arrays of disks (Linux md).

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Array, ArrayState, ArrayWork, Fact, Why, WhyKind};

use super::Root;

/// The arrays of `root`. The file exists once the kernel has a driver for arrays; without one the question does not
/// arise.
pub fn look(root: &Root) -> Result<BoundedVec<Array, 64>, Why> {
    let text = root.read(MDSTAT).map_err(|why| root.absent(why, "/proc"))?;
    Ok(BoundedVec::truncating(parse_mdstat(&text)).0)
}

const MDSTAT: &str = "/proc/mdstat";

/// Understands `/proc/mdstat` (md(4), Linux drivers/md/md.c: md_seq_show); what does not fit is left out.
pub fn parse_mdstat(text: &str) -> Vec<Array> {
    let mut arrays: Vec<Array> = Vec::new();
    for line in text.lines() {
        if let Some(array) = parse_head(line) {
            arrays.push(array);
        } else if line.starts_with(' ')
            && let Some(array) = arrays.last_mut()
        {
            read_body(line, array);
        }
    }
    arrays
}

/// `md0 : active raid1 sdb1[1] sda1[0](F)`
fn parse_head(line: &str) -> Option<Array> {
    let (name, rest) = line.split_once(" : ")?;
    let mut words = rest.split(' ');
    let state = match words.next()? {
        "active" => ArrayState::Active,
        "inactive" => ArrayState::Inactive,
        _ => return None,
    };
    let words: Vec<_> = words.filter(|word| !word.starts_with('(')).collect();
    let level = words.first().filter(|word| !word.contains('[')).copied().unwrap_or_default();
    Some(Array {
        name: Name::truncating(name.trim()),
        level: Name::truncating(level),
        state,
        wanted: 0,
        working: 0,
        failed: u32::try_from(words.iter().filter(|word| word.contains("](F)")).count()).unwrap_or(u32::MAX),
        work: ArrayWork::Idle,
        progress_percent: Fact::Unknown(Why::new(WhyKind::NotApplicable, MDSTAT)),
    })
}

/// `195310144 blocks [2/1] [U_]`, `[=>....]  recovery =  8.5% (16775552/195310144) finish=17.0min`, `resync=DELAYED`
fn read_body(line: &str, array: &mut Array) {
    let in_brackets = |word: &str| {
        let (wanted, working) = word.strip_prefix('[')?.strip_suffix(']')?.split_once('/')?;
        Some((wanted.parse().ok()?, working.parse().ok()?))
    };
    if let Some((wanted, working)) = line.split(' ').find_map(in_brackets).filter(|_| line.contains(" blocks")) {
        (array.wanted, array.working) = (wanted, working);
    }
    for (word, work) in WORKS {
        let Some((_, rest)) = line.split_once(word) else { continue };
        let Some(rest) = rest.trim_start().strip_prefix('=') else { continue };
        array.work = work;
        let percent = rest.trim_start().split('%').next().and_then(|percent| percent.parse::<f64>().ok());
        if let Some(percent) = percent.filter(|percent| (0.0..=100.0).contains(percent)) {
            array.progress_percent = Fact::Known(percent);
        }
    }
}

const WORKS: [(&str, ArrayWork); 4] = [
    ("resync", ArrayWork::Resync),
    ("recovery", ArrayWork::Recovery),
    ("reshape", ArrayWork::Reshape),
    ("check", ArrayWork::Check),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    const MDSTAT_TEXT: &str = "Personalities : [raid0] [raid1]\n\n\
        md6 : active raid1 sdb2[2](F) sdc[1](S) sda2[0]\n\
        \x20     195310144 blocks [2/1] [U_]\n\
        \x20     [=>...................]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec\n\n\
        md9 : active raid1 sdc2[2] sdd2[3]\n\
        \x20     523968 blocks super 1.2 [2/2] [UU]\n\
        \x20     resync=DELAYED\n\n\
        md11 : active (auto-read-only) raid0 sdb2[0] sdc2[1]\n\
        \x20     4190208 blocks super 1.2 512k chunks\n\n\
        md219 : inactive sdb[2](S) sdc[1](S)\n\
        \x20       7932 blocks super external:imsm\n\n\
        unused devices: <none>\n";

    #[test]
    fn a_degraded_array_is_told_from_a_whole_one() {
        let (_dir, root) = tree(&[("proc/mdstat", MDSTAT_TEXT)]);
        let arrays = look(&root).unwrap();
        let seen: Vec<_> = arrays
            .iter()
            .map(|a| (a.name.as_str(), a.level.as_str(), a.state, a.wanted, a.working, a.failed, a.work))
            .collect();
        use ArrayState::{Active, Inactive};
        assert_eq!(
            seen,
            [
                ("md6", "raid1", Active, 2, 1, 1, ArrayWork::Recovery),
                ("md9", "raid1", Active, 2, 2, 0, ArrayWork::Resync),
                ("md11", "raid0", Active, 0, 0, 0, ArrayWork::Idle),
                ("md219", "", Inactive, 0, 0, 0, ArrayWork::Idle),
            ]
        );
        assert_eq!(arrays[0].progress_percent, Fact::Known(8.5));
        assert!(arrays[1].progress_percent.why().is_some(), "it waits");
    }

    #[test]
    fn without_a_driver_for_arrays_the_question_does_not_arise() {
        let (_dir, root) = tree(&[("proc/stat", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotApplicable);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in "(md0 : active |[ \\[\\]/(F)=%]|check|.|\n)*") {
            parse_mdstat(&text);
        }
    }
}
