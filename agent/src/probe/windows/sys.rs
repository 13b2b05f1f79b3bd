//! The calls themselves. Each copies what it is told into plain values before it returns; nothing of the system's is kept.
#![allow(unsafe_code)]

use std::io;

pub(super) mod disk;
pub(super) mod machine;
pub(super) mod network;
pub(super) mod processes;
pub(super) mod services;

/// The outcome of a call that returns 0 when it fails.
fn checked(succeeded: i32) -> io::Result<()> {
    if succeeded == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The outcome of a call that returns the error itself.
fn coded(code: u32) -> io::Result<()> {
    match i32::try_from(code) {
        Ok(0) => Ok(()),
        Ok(code) => Err(io::Error::from_raw_os_error(code)),
        Err(_) => Err(io::ErrorKind::Other.into()),
    }
}

/// UTF-16 with the zero that calls expect at its end.
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The text at `pointer` up to its zero; empty where it points nowhere.
///
/// # Safety
///
/// `pointer` is null or points to UTF-16 that ends with a zero.
unsafe fn text_at(pointer: *const u16) -> String {
    if pointer.is_null() {
        return String::new();
    }
    let mut units = Vec::new();
    while units.len() < TEXT_MAX_UNITS {
        // SAFETY: no zero has come yet, so that this unit still belongs to the text.
        match unsafe { pointer.add(units.len()).read_unaligned() } {
            0 => break,
            unit => units.push(unit),
        }
    }
    String::from_utf16_lossy(&units)
}

/// Longer than any name of the system, whose paths end at 32,767.
const TEXT_MAX_UNITS: usize = 32_768;

/// Asks for something whose size is not known before: `ask` fills a buffer of so many bytes and says how many it needs when
/// that is too small. The buffer is made of words, so that whatever is written into it is aligned.
fn grown(mut ask: impl FnMut(&mut [u64], &mut u32) -> io::Result<()>) -> io::Result<Vec<u64>> {
    let mut buffer = vec![0u64; FIRST_TRY_BYTES / size_of::<u64>()];
    for _ in 0..TRIES {
        let mut needed = u32::try_from(size_of_val(buffer.as_slice())).unwrap_or(u32::MAX);
        match ask(&mut buffer, &mut needed) {
            Ok(()) => return Ok(buffer),
            Err(error) if error.raw_os_error().is_some_and(|code| TOO_SMALL.contains(&code)) => {
                // What is asked for may grow until the next try.
                let bytes = needed as usize + needed as usize / 4 + FIRST_TRY_BYTES;
                if bytes > BUFFER_MAX_BYTES {
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                buffer = vec![0; bytes / size_of::<u64>()];
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// ERROR_BUFFER_OVERFLOW, ERROR_INSUFFICIENT_BUFFER and ERROR_MORE_DATA of winerror.h.
const TOO_SMALL: [i32; 3] = [111, 122, 234];

/// What Microsoft recommends to begin with for adapters.
const FIRST_TRY_BYTES: usize = 16 * 1024;
const TRIES: u32 = 4;

/// A server with sixty thousand sockets needs 3.5 MB for their table.
const BUFFER_MAX_BYTES: usize = 16 * 1024 * 1024;
