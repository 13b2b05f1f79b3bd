//! Firmware that drivers asked for and did not get, in the words of the kernel's log.

/// The file that a message of the kernel's firmware loader, also in Debian's wording, says it could not load.
pub fn parse_missing(message: &str) -> Option<&str> {
    let direct = message.split_once("Direct firmware load for ").filter(|(_, rest)| rest.contains(" failed"));
    let (_, rest) = direct.or_else(|| message.split_once("firmware: failed to load "))?;
    let file = rest.split([' ', '(']).next().filter(|file| !file.is_empty())?;
    (!OPTIONAL.iter().any(|optional| file.starts_with(optional))).then_some(file)
}

/// Files that drivers ask for and do well without: debug settings of Intel radios, and the rules for radio that cfg80211
/// also has built in or reads later.
const OPTIONAL: [&str; 3] = ["iwl-debug-yoyo", "iwl-dbg-cfg", "regulatory.db"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_are_found_in_both_wordings_and_optional_ones_are_not() {
        for (message, file) in [
            (
                "iwlwifi 0000:02:00.0: Direct firmware load for iwlwifi-cc-a0-77.ucode failed with error -2",
                Some("iwlwifi-cc-a0-77.ucode"),
            ),
            ("r8169 0000:01:00.0: firmware: failed to load rtl_nic/rtl8168h-2.fw (-2)", Some("rtl_nic/rtl8168h-2.fw")),
            ("cfg80211: Direct firmware load for regulatory.db failed with error -2", None),
            ("i915 0000:00:02.0: firmware: direct-loading firmware i915/kbl_dmc_ver1_04.bin", None),
        ] {
            assert_eq!(parse_missing(message), file, "{message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_missing(&text);
            parse_missing(&format!("Direct firmware load for {text} failed"));
            parse_missing(&format!("firmware: failed to load {text}"));
        }
    }
}
