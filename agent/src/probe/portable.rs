//! What sysinfo knows on systems whose own readers are not written yet.
//!
//! It is compiled and tested everywhere and used where [`super::Root`] answers *not supported*.

use belay_protocol::bounded::Name;
use belay_protocol::report::{Fact, Host, Os, Private, Ram, Swap, Why, WhyKind};
use sysinfo::System;

pub(super) fn memory() -> (Fact<Ram>, Fact<Swap>) {
    let mut system = System::new();
    system.refresh_memory();
    let ram = Ram::count(system.total_memory(), system.available_memory());
    let swap = Swap::count(system.total_swap(), system.free_swap());
    (ram.ok_or_else(silent).into(), swap.ok_or_else(silent).into())
}

pub(super) fn cpu_count() -> Result<u32, Why> {
    std::thread::available_parallelism().ok().and_then(|count| u32::try_from(count.get()).ok()).ok_or_else(silent)
}

pub(super) fn os() -> Result<Os, Why> {
    Ok(Os {
        name: Name::truncating(System::long_os_version().ok_or_else(silent)?),
        id: Name::truncating(System::distribution_id()),
        version: Name::truncating(System::os_version().unwrap_or_default()),
    })
}

pub(super) fn kernel_release() -> Result<String, Why> {
    System::kernel_version().ok_or_else(silent)
}

pub(super) fn host() -> Result<Private<Host>, Why> {
    System::host_name().map(Private::new).ok_or_else(silent)
}

pub(super) fn uptime_seconds() -> u64 {
    System::uptime()
}

fn silent() -> Why {
    Why::new(WhyKind::NotOffered, "sysinfo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysinfo_answers_on_this_system() {
        assert!(memory().0.known().is_some());
        assert!(cpu_count().unwrap() > 0);
        assert!(os().is_ok() && kernel_release().is_ok() && host().is_ok() && uptime_seconds() > 0);
    }
}
