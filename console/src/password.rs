//! Which passwords a user may choose (NIST SP 800-63B, section 3.1.1.2: length, no rules of composition, and no password that
//! is commonly used or was leaked). Nobody outside is asked: the lists come with zxcvbn.

use zxcvbn::Score;

/// Characters of the shortest password.
pub const PASSWORD_MIN_CHARS: usize = 12;

/// Bytes of the longest password; more only costs time.
pub const PASSWORD_MAX_BYTES: usize = 1024;

/// Why a password cannot be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Too short or too long.
    #[error("a password has at least {PASSWORD_MIN_CHARS} characters and at most {PASSWORD_MAX_BYTES} bytes")]
    Length,
    /// It is on a list of leaked ones, or made of what is tried first.
    #[error(
        "this password was leaked elsewhere or is quickly guessed: choose another, such as four words that have nothing to \
         do with each other"
    )]
    Guessed,
}

/// Says whether a password has the length of one; costs nothing.
pub fn has_length(password: &str) -> Result<(), PasswordFault> {
    let fits = password.chars().count() >= PASSWORD_MIN_CHARS && password.len() <= PASSWORD_MAX_BYTES;
    if fits { Ok(()) } else { Err(PasswordFault::Length) }
}

/// Judges a password of somebody who is known by `names`, which are guessed first. Takes milliseconds.
pub fn judge(password: &str, names: &[&str]) -> Result<(), PasswordFault> {
    has_length(password)?;
    // The estimate takes a name for a word like others, however often it stands there.
    let mut rest = password.to_lowercase();
    for name in names.iter().filter(|name| name.chars().count() >= NAME_MIN_CHARS) {
        rest = rest.replace(&name.to_lowercase(), "");
    }
    if rest.chars().filter(|c| c.is_alphanumeric()).count() < OWN_MIN_CHARS {
        return Err(PasswordFault::Guessed);
    }
    // The estimate's cost grows with the square of the length.
    let head: String = password.chars().take(JUDGED_CHARS).collect();
    if zxcvbn::zxcvbn(&head, names).score() >= STRONG { Ok(()) } else { Err(PasswordFault::Guessed) }
}

/// At least 10^8 guesses, which is what zxcvbn calls safe where each guess costs a slow hash.
const STRONG: Score = Score::Three;

const JUDGED_CHARS: usize = 100;

/// Letters and digits that a password must have beside the names of its user.
const OWN_MIN_CHARS: usize = 6;

/// A name of two letters stands in many words.
const NAME_MIN_CHARS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_leaked_repeated_or_named_after_the_user_is_refused() {
        for password in [
            "passwordpassword",
            "Password123456!",
            "qwertyuiop123",
            "aaaaaaaaaaaaaaaa",
            "            ",
            "123456789012345",
            "abcdefghijklmnop",
            "iloveyouiloveyou",
            "nordwind-nordwind",
            "ada.lovelace2024",
        ] {
            assert_eq!(judge(password, &["ada.lovelace", "nordwind"]), Err(PasswordFault::Guessed), "{password}");
        }
        for password in ["correct horse battery", "staple battery horse", "十二个字的密码需要这样长", "x7#kQ2!vLp9z"]
        {
            assert_eq!(judge(password, &["ada"]), Ok(()), "{password}");
        }
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        assert_eq!(judge("x7#kQ2!vLp9", &[]), Err(PasswordFault::Length));
        let longest: String = ('a'..='z').cycle().step_by(7).take(PASSWORD_MAX_BYTES).collect();
        assert_eq!(judge(&longest, &[]), Ok(()));
        assert_eq!(judge(&(longest + "b"), &[]), Err(PasswordFault::Length));
    }
}
