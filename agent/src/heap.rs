//! What the C library's allocator takes from a customer's machine.
//!
//! Each probe has a thread of its own for some milliseconds. glibc would give each of them an arena, and each arena room
//! to grow into: 1.5 MiB of a survey's 17.

/// Makes all threads share one heap that grows only as far as it must. To be called before the first thread starts.
pub fn keep_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::keep_small();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    #![allow(unsafe_code)]

    pub(super) fn keep_small() {
        for (parameter, value) in [(libc::M_ARENA_MAX, 1), (libc::M_TOP_PAD, 0), (libc::M_TRIM_THRESHOLD, TRIM_BYTES)] {
            // SAFETY: sets a parameter of the allocator, under its own lock; one that it does not know changes nothing.
            unsafe { libc::mallopt(parameter, value) };
        }
    }

    /// Free memory at the end of the heap that goes back to the system.
    const TRIM_BYTES: libc::c_int = 64 * 1024;
}
