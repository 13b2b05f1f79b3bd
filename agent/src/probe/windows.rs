//! What Windows tells by calls where Linux has files.
//!
//! `sys` asks and copies the answers into plain values: it holds all that is unsafe here. What the values mean is decided
//! in the modules beside it, which are compiled and tested on every system. `native` joins the two.

pub mod adapters;
pub mod drives;
pub mod machine;
pub mod memory;
pub mod processes;
pub mod services;
pub mod sockets;

#[cfg(windows)]
pub(crate) mod native;
#[cfg(windows)]
mod sys;

/// The text in a buffer of UTF-16, which ends at the first zero; what is no UTF-16 is replaced.
pub fn text(buffer: &[u16]) -> String {
    let length = buffer.iter().position(|unit| *unit == 0).unwrap_or(buffer.len());
    String::from_utf16_lossy(buffer.get(..length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(buffer: Vec<u16>) {
            assert!(!text(&buffer).contains('\0'));
        }
    }

    #[test]
    fn text_ends_at_the_first_zero() {
        assert_eq!(text(&[0x43, 0x3a, 0, 0x58]), "C:");
        assert_eq!(text(&[0xd800]), "\u{fffd}");
    }
}
