//! Standard output, as it was when the program started.
//!
//! A program that is started with standard output closed (`>&-`) gets `/dev/null` in its place from Rust's runtime, before
//! `main`: whatever is printed then seems to have been. So this looks before the runtime does.

use std::io::{self, Stdout, Write};

/// Standard output, which takes nothing where it was closed.
#[derive(Debug)]
pub enum StandardOutput {
    /// It leads somewhere.
    Open(Stdout),
    /// Nobody can read what is printed.
    Closed,
}

impl StandardOutput {
    /// The program's own.
    pub fn new() -> Self {
        if was_closed() { Self::Closed } else { Self::Open(io::stdout()) }
    }
}

impl Default for StandardOutput {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(out) => out.write(bytes),
            Self::Closed => Err(closed()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Open(out) => out.flush(),
            // Nothing waits: each write has been refused.
            Self::Closed => Ok(()),
        }
    }
}

/// What the system would have said to a program that writes there.
#[cfg(unix)]
fn closed() -> io::Error {
    rustix::io::Errno::BADF.into()
}

/// What the system would have said to a program that writes there.
#[cfg(not(unix))]
fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

#[cfg(target_os = "linux")]
use linux::was_closed;

/// Elsewhere nobody has looked.
#[cfg(not(target_os = "linux"))]
const fn was_closed() -> bool {
    false
}

#[cfg(target_os = "linux")]
mod linux {
    #![allow(unsafe_code)]

    use std::sync::atomic::{AtomicBool, Ordering};

    static CLOSED: AtomicBool = AtomicBool::new(false);

    pub(super) fn was_closed() -> bool {
        CLOSED.load(Ordering::Relaxed)
    }

    // SAFETY: the section holds addresses of functions that are called once each before `main`, by glibc and musl alike;
    // this one takes no arguments, and needs nothing that is set up later.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static BEFORE_MAIN: extern "C" fn() = look;

    extern "C" fn look() {
        // SAFETY: asks for the flags of a descriptor, which may be closed: that is the question.
        let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
        CLOSED.store(flags == -1, Ordering::Relaxed);
    }
}
