//! Whether somebody keeps the system clock right.

use belay_protocol::report::{Clock, Synchronisation, Why};

use super::Root;

/// The clock as the kernel's discipline sees it; it can only be asked of a running machine.
pub fn look(root: &Root) -> Result<Clock, Why> {
    root.live_only("adjtimex")?;
    read_clock()
}

#[cfg(target_os = "linux")]
fn read_clock() -> Result<Clock, Why> {
    let (status, max_error_us) = linux::adjtimex().map_err(|e| super::why(&e, "adjtimex"))?;
    Ok(parse_clock(status, max_error_us))
}

#[cfg(not(target_os = "linux"))]
fn read_clock() -> Result<Clock, Why> {
    Err(Why::new(belay_protocol::report::WhyKind::NotSupported, "adjtimex"))
}

/// Understands the status bits and maximum error of adjtimex(2).
pub fn parse_clock(status: i32, max_error_us: i64) -> Clock {
    let unsynchronised = status & STA_UNSYNC != 0;
    Clock {
        synchronisation: if unsynchronised { Synchronisation::Unsynchronised } else { Synchronisation::Synchronised },
        max_error_us: u64::try_from(max_error_us).unwrap_or(0),
    }
}

/// linux/timex.h.
const STA_UNSYNC: i32 = 0x40;

#[cfg(target_os = "linux")]
mod linux {
    #![allow(unsafe_code)]

    use std::io;

    /// The kernel's status bits and its largest possible error in microseconds; changes nothing.
    pub(super) fn adjtimex() -> io::Result<(i32, i64)> {
        // SAFETY: `timex` is plain old data for which all zeroes is a valid value; zero modes only read.
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a live, writable `timex`, which the call fills in and does not keep.
        let state = unsafe { libc::adjtimex(&raw mut timex) };
        if state == -1 { Err(io::Error::last_os_error()) } else { Ok((timex.status, timex.maxerror)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_corrects_is_unsynchronised() {
        assert_eq!(parse_clock(0x40, 16_000_000).synchronisation, Synchronisation::Unsynchronised);
        assert_eq!(parse_clock(0x2001, 500).synchronisation, Synchronisation::Synchronised);
        assert_eq!(parse_clock(0, -1).max_error_us, 0);
    }

    #[test]
    fn a_captured_tree_has_no_running_clock() {
        let (_dir, root) = crate::probe::tests::tree(&[]);
        assert_eq!(look(&root).unwrap_err().kind, belay_protocol::report::WhyKind::NotApplicable);
    }
}
