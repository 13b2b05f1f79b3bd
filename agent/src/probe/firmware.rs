//! Firmware that drivers asked for and did not get, from the kernel's log.

use std::collections::BTreeSet;
#[cfg(target_os = "linux")]
use std::io::{self, Read};
use std::path::Path;

use belay_protocol::BoundedVec;
#[cfg(not(target_os = "linux"))]
use belay_protocol::report::WhyKind;
use belay_protocol::report::{Private, Why, Words};

use super::Root;
#[cfg(target_os = "linux")]
use super::why;

/// Names of firmware files that could not be loaded since the kernel's log begins, each once.
pub fn look(root: &Root) -> Result<BoundedVec<Private<Words>, 64>, Why> {
    root.live_only(LOG)?;
    let missing: BTreeSet<String> = parse_missing(&read_log(Path::new(LOG))?).into_iter().map(str::to_owned).collect();
    Ok(BoundedVec::truncating(missing.into_iter().map(Private::new)).0)
}

const LOG: &str = "/dev/kmsg";

/// Everything that is in the kernel's log now. Each read gives one record, so that it cannot be read as a plain file.
#[cfg(target_os = "linux")]
fn read_log(path: &Path) -> Result<String, Why> {
    let mut log = super::open(path).map_err(|e| why(&e, LOG))?;
    let (mut text, mut record) = (String::new(), vec![0; RECORD_MAX_BYTES]);
    while text.len() < LOG_MAX_BYTES {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(record.get(..length).unwrap_or_default())),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            // The record was overwritten before it was read (EPIPE); the next read gives the oldest there is.
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) => {}
            Err(e) => return Err(why(&e, LOG)),
        }
    }
    Ok(text)
}

#[cfg(not(target_os = "linux"))]
fn read_log(_: &Path) -> Result<String, Why> {
    Err(Why::new(WhyKind::NotSupported, LOG))
}

/// PRINTK_MESSAGE_MAX of the kernel is 2 KiB; a shorter buffer makes the read fail.
#[cfg(target_os = "linux")]
const RECORD_MAX_BYTES: usize = 8 * 1024;

/// The largest log that distributions configure (CONFIG_LOG_BUF_SHIFT of 20) and its prefixes.
#[cfg(target_os = "linux")]
const LOG_MAX_BYTES: usize = 2 * 1024 * 1024;

/// Finds the files in what the kernel's firmware loader says, also in Debian's wording.
pub fn parse_missing(log: &str) -> Vec<&str> {
    let file = |line: &'_ str| -> Option<(usize, usize)> {
        let (before, after) = line
            .split_once("Direct firmware load for ")
            .filter(|(_, rest)| rest.contains(" failed"))
            .or_else(|| line.split_once("firmware: failed to load "))?;
        let start = line.len() - after.len();
        let length = after.find([' ', '\n', '(']).unwrap_or(after.len());
        (before.len() < start && length > 0).then_some((start, start + length))
    };
    let named = log.lines().filter_map(|line| file(line).and_then(|(start, end)| line.get(start..end)));
    named.filter(|name| !OPTIONAL.iter().any(|optional| name.starts_with(optional))).collect()
}

/// Files that drivers ask for and do well without: debug settings of Intel radios, and the rules for radio that cfg80211
/// also has built in or reads later.
const OPTIONAL: [&str; 3] = ["iwl-debug-yoyo", "iwl-dbg-cfg", "regulatory.db"];

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use belay_protocol::report::WhyKind;

    #[test]
    fn missing_files_are_found_in_both_wordings_and_optional_ones_are_not() {
        let log = "4,512,3140,-;iwlwifi 0000:02:00.0: Direct firmware load for iwlwifi-cc-a0-77.ucode failed with error -2\n \
            SUBSYSTEM=pci\n3,513,1,-;r8169 0000:01:00.0: firmware: failed to load rtl_nic/rtl8168h-2.fw (-2)\n\
            6,1,1,-;cfg80211: Direct firmware load for regulatory.db failed with error -2\n\
            6,1,1,-;i915 0000:00:02.0: firmware: direct-loading firmware i915/kbl_dmc_ver1_04.bin\n";
        assert_eq!(parse_missing(log), ["iwlwifi-cc-a0-77.ucode", "rtl_nic/rtl8168h-2.fw"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_log_ends_where_waiting_would_begin_or_says_why_it_is_closed() {
        match read_log(Path::new(LOG)) {
            Ok(text) => assert!(text.len() <= LOG_MAX_BYTES + RECORD_MAX_BYTES),
            Err(why) => assert!(matches!(why.kind, WhyKind::PermissionDenied | WhyKind::NotOffered), "{why:?}"),
        }
        assert_eq!(read_log(Path::new("/no/such/log")).unwrap_err().kind, WhyKind::NotOffered);
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_missing(&text);
            parse_missing(&format!("Direct firmware load for {text} failed\nfirmware: failed to load {text}"));
        }
    }
}
