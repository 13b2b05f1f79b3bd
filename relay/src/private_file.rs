//! Files that nobody but their owner may read.

use std::fs::OpenOptions;

/// Options with which a file that is made gets mode 0600.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
