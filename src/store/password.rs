//! Passwords of people, kept as slow hashes: PBKDF2 with HMAC-SHA-256 (RFC 8018 section 5.2).

use std::num::NonZeroU32;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD as BASE64};
use ring::{
    pbkdf2::{self, PBKDF2_HMAC_SHA256},
    rand::{SecureRandom, SystemRandom},
};

/// About a sixth of a second on one core: slow for who guesses, quick enough for who knows.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("it is not zero");

/// A password as it is kept: `pbkdf2-sha256$ROUNDS$SALT$HASH`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub(super) String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    /// Hash it; takes its time.
    pub fn new(plain: &str) -> Password {
        let (salt, mut hash) = (random::<16>(), [0; 32]);
        pbkdf2::derive(PBKDF2_HMAC_SHA256, ROUNDS, &salt, plain.as_bytes(), &mut hash);
        Password(format!("pbkdf2-sha256${ROUNDS}${}${}", BASE64.encode(salt), BASE64.encode(hash)))
    }

    /// One that nothing fits: looking at it takes as long as with a real one, so nobody can tell who is known.
    pub fn nobodys() -> Password {
        Password(format!("pbkdf2-sha256${ROUNDS}$AAAAAAAAAAAAAAAAAAAAAA${}", "A".repeat(43)))
    }

    /// Is it this one? Takes its time.
    pub fn is(&self, plain: &str) -> bool {
        let mut parts = self.0.split('$');
        let (Some("pbkdf2-sha256"), Some(rounds), Some(salt), Some(hash)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let (Ok(rounds), Ok(salt), Ok(hash)) = (rounds.parse(), BASE64.decode(salt), BASE64.decode(hash)) else {
            return false;
        };
        pbkdf2::verify(PBKDF2_HMAC_SHA256, rounds, &salt, plain.as_bytes(), &hash).is_ok()
    }
}

/// A password that nobody can guess, and that can be read aloud: four groups of letters and digits.
pub fn fresh() -> String {
    // Without letters and digits that are taken for each other; 32 of them, so that each is as likely.
    const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let signs = random::<20>().map(|byte| char::from(SIGNS[usize::from(byte % 32)]));
    let groups: Vec<String> = signs.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives randomness");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_fits_and_nothing_fits_what_is_no_hash() {
        let kept = Password::new("correct horse");
        assert!(kept.0.starts_with("pbkdf2-sha256$600000$") && !kept.0.contains("horse"));
        assert!(kept.is("correct horse"));
        assert!(!kept.is("correct horsf") && !kept.is(""));
        assert_ne!(kept, Password::new("correct horse"), "each has a salt of its own");
        assert!(!Password::nobodys().is(""));
        for broken in ["", "x", "pbkdf2-sha256$0$AA$AA", "pbkdf2-sha256$5$!$!", "md5$5$AA$AA"] {
            assert!(!Password(broken.into()).is(""), "{broken}");
        }
    }

    #[test]
    fn a_fresh_password_is_new_each_time() {
        let (one, two) = (fresh(), fresh());
        assert_ne!(one, two);
        assert_eq!((one.len(), one.matches('-').count()), (23, 3), "{one}");
    }
}
