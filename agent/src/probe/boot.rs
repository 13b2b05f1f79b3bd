//! How long the latest start of the system took, from the record of logins.

use belay_protocol::report::{Why, WhyKind};

use super::Root;

/// Time from the start of the first program until the services had been started. Systems without systemd's records of
/// restarts, or with those of another moment, do not tell.
pub fn look(root: &Root) -> Result<u32, Why> {
    let bytes = root.bytes(UTMP, UTMP)?;
    parse_utmp(&bytes).ok_or_else(|| Why::new(WhyKind::NotOffered, UTMP))
}

const UTMP: &str = "/run/utmp";

/// Understands utmp(5). systemd writes a record of the restart, with the time at which it was itself started, and one of the
/// run level when the target of the start is reached (systemd-update-utmp.service(8)). Nothing when one is missing, or
/// when they do not belong together: then the clock was set in between.
pub fn parse_utmp(bytes: &[u8]) -> Option<u32> {
    // Records of systems on which times are as wide as everywhere else are longer; neither length divides the other's.
    let records = |layout: &Layout| {
        let is_whole = !bytes.is_empty() && bytes.len().is_multiple_of(layout.record_bytes);
        is_whole.then(|| bytes.chunks_exact(layout.record_bytes).filter_map(|record| layout.parse(record)).collect())
    };
    let found: Vec<Vec<(i16, i64)>> = LAYOUTS.iter().filter_map(records).collect();
    found.iter().find_map(|records| {
        // The last restart counts, and the first run level behind it: later ones are changes of it.
        let restart = records.iter().rposition(|(kind, _)| *kind == BOOT_TIME)?;
        let (_, began) = records.get(restart)?;
        let (_, reached) = records.iter().skip(restart).find(|(kind, _)| *kind == RUN_LVL)?;
        let seconds = u32::try_from(reached.checked_sub(*began)?).ok()?;
        (seconds <= LONGEST_SECONDS).then_some(seconds)
    })
}

/// A machine that is not up after an hour was not starting: the clock was set.
const LONGEST_SECONDS: u32 = 3_600;

struct Layout {
    record_bytes: usize,
    seconds_at: usize,
    seconds_bytes: usize,
}

/// The two layouts of the GNU C library: with times of 32 bits for compatibility (x86), and without (ARM of 64 bits).
const LAYOUTS: [Layout; 2] = [
    Layout { record_bytes: 384, seconds_at: 340, seconds_bytes: 4 },
    Layout { record_bytes: 400, seconds_at: 344, seconds_bytes: 8 },
];

impl Layout {
    fn parse(&self, record: &[u8]) -> Option<(i16, i64)> {
        let kind = i16::from_le_bytes(record.get(..2)?.try_into().ok()?);
        let seconds = record.get(self.seconds_at..self.seconds_at + self.seconds_bytes)?;
        let mut wide = [0; 8];
        wide.get_mut(..seconds.len())?.copy_from_slice(seconds);
        Some((kind, i64::from_le_bytes(wide)))
    }
}

/// utmp.h.
const RUN_LVL: i16 = 1;
const BOOT_TIME: i16 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    fn records(layout: &Layout, all: &[(i16, i64)]) -> Vec<u8> {
        let record = |(kind, seconds): &(i16, i64)| {
            let mut record = vec![0; layout.record_bytes];
            record[..2].copy_from_slice(&kind.to_le_bytes());
            let place = layout.seconds_at..layout.seconds_at + layout.seconds_bytes;
            record[place].copy_from_slice(&seconds.to_le_bytes()[..layout.seconds_bytes]);
            record
        };
        all.iter().flat_map(record).collect()
    }

    const NOW: i64 = 1_700_000_000;

    #[test]
    fn a_start_takes_from_its_record_to_that_of_the_run_level() {
        for layout in &LAYOUTS {
            let check = |all: &[(i16, i64)], expected| {
                assert_eq!(parse_utmp(&records(layout, all)), expected, "{all:?} of {}", layout.record_bytes);
            };
            check(&[(BOOT_TIME, NOW), (7, NOW + 90), (RUN_LVL, NOW + 14)], Some(14));
            check(&[(BOOT_TIME, NOW), (RUN_LVL, NOW + 14), (RUN_LVL, NOW + 4_000)], Some(14));
            check(&[(BOOT_TIME, NOW), (RUN_LVL, NOW + 9), (BOOT_TIME, NOW + 50)], None);
            check(&[(BOOT_TIME, 86_400), (RUN_LVL, NOW)], None);
            check(&[(BOOT_TIME, NOW), (RUN_LVL, NOW - 1)], None);
            check(&[(RUN_LVL, NOW)], None);
        }
    }

    #[test]
    fn no_record_is_unknown() {
        let (_dir, root) = tree(&[("run/utmp", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotOffered);
        let (_dir, root) = tree(&[("run/x", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotOffered);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(bytes: Vec<u8>, times in 0usize..8) {
            parse_utmp(&bytes);
            parse_utmp(&bytes.iter().copied().cycle().take(if bytes.is_empty() { 0 } else { 384 * times }).collect::<Vec<_>>());
        }
    }
}
