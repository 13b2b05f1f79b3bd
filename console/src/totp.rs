//! One-time codes that change with time (RFC 6238): what authenticator apps show.

use data_encoding::BASE32_NOPAD;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::clock::UnixMillis;

/// The secret that a console and an authenticator app share.
pub(crate) struct Seed(Zeroizing<Vec<u8>>);

impl Seed {
    /// Draws a new seed of 160 bits, which RFC 4226 asks for.
    pub(crate) fn generate() -> Self {
        Self(Zeroizing::new(rand::random::<[u8; 20]>().to_vec()))
    }

    /// A seed that was kept.
    pub(crate) fn kept(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes to keep.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The seed as people type it into an app that cannot read the square.
    pub(crate) fn to_base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// The address that authenticator apps read: whose seed it is, and at which desk.
    pub(crate) fn uri(&self, desk: &str, account: &str) -> Option<String> {
        // The two are told apart by a colon.
        let plain = |name: &str| name.replace(':', " ");
        let named = self.builder().with_issuer(Some(plain(desk))).with_account_name(plain(account));
        named.build().ok()?.to_url().ok()
    }

    /// The step that `code` is of, if it is this moment's, the one before or the one after.
    pub(crate) fn step_of(&self, code: &str, at: UnixMillis) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let seconds = u64::try_from(at.0 / 1_000).ok()?;
        i64::try_from(self.totp()?.check(&code, seconds)?).ok()
    }

    #[cfg(test)]
    pub(crate) fn code(&self, at: UnixMillis) -> String {
        self.totp().unwrap().generate(u64::try_from(at.0 / 1_000).unwrap()).to_string()
    }

    fn totp(&self) -> Option<Totp> {
        self.builder().with_account_name("user").build().ok()
    }

    /// SHA-1, six digits and thirty seconds, which every app understands.
    fn builder(&self) -> Builder {
        Builder::new().with_secret(self.0.to_vec()).with_skew(STEPS_OF_DRIFT)
    }
}

/// RFC 6238, section 5.2: one step for clocks that differ and people who type slowly.
const STEPS_OF_DRIFT: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

    #[test]
    fn the_code_of_the_standard_is_made() {
        // RFC 6238, appendix B, cut to six digits.
        let seed = Seed::kept(b"12345678901234567890".to_vec());
        assert_eq!(seed.code(UnixMillis(59_000)), "287082");
        assert_eq!(seed.step_of("287 082", UnixMillis(59_000)), Some(1));
    }

    #[test]
    fn a_code_is_good_one_step_early_and_late_and_no_further() {
        let seed = Seed::generate();
        let step = NOW.0 / 30_000;
        for (drift, expected) in [(-2, None), (-1, Some(step - 1)), (0, Some(step)), (1, Some(step + 1)), (2, None)] {
            assert_eq!(seed.step_of(&seed.code(UnixMillis(NOW.0 + drift * 30_000)), NOW), expected, "{drift}");
        }
        for wrong in ["", "12345", "abcdef", "1234567", "１２３４５６"] {
            assert_eq!(seed.step_of(wrong, NOW), None, "{wrong}");
        }
    }

    #[test]
    fn the_address_names_desk_and_account() {
        let uri = Seed::kept(b"12345678901234567890".to_vec()).uri("Nordwind: Help", "王:芳").unwrap();
        assert!(uri.starts_with("otpauth://totp/Nordwind%20%20Help:"), "{uri}");
        assert!(uri.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "{uri}");
    }
}
