//! Passwords: what may be one, how it is kept, and that checking one tells nothing about whether the person exists.
//!
//! Rules after NIST SP 800-63B-4 section 3.1.1: length and a list of what everybody guesses, no composition rules, no
//! expiry. At least 12 characters: between the 8 that suffice beside a second factor and the 15 that it asks of a
//! password which is always alone; a tenant that lets passwords stand alone decides by policy what they reach.

use std::collections::BTreeSet;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{PasswordHash, SaltString},
};
use cardea_core::{Entropy, Secret, entropy};

use crate::pool::Email;

/// Fewest characters.
pub const LEAST: usize = 12;
/// Most bytes: room for any sentence, and a bound on the work that a stranger can ask for.
pub const MOST: usize = 512;

/// Why a text may not become a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Too short.
    #[error("a password has at least {LEAST} characters")]
    Short,
    /// Too long.
    #[error("a password has at most {MOST} bytes")]
    Long,
    /// On the list of what everybody guesses, or a variation of it.
    #[error("this is one of the passwords that are guessed first")]
    Common,
    /// Made of the person's own name or address.
    #[error("a password is not made of one's own name or address")]
    Personal,
}

/// A hash could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password hash cannot be computed")]
pub struct HashFault;

/// Whether `password` may become the password of the person with that address and name.
pub fn check(password: &Secret<String>, email: &Email, name: &str) -> Result<(), Weak> {
    let text = password.expose();
    if text.chars().count() < LEAST {
        return Err(Weak::Short);
    }
    if text.len() > MOST {
        return Err(Weak::Long);
    }
    let stem = stem(text);
    let distinct = text.chars().collect::<BTreeSet<_>>().len();
    let digits = text.chars().all(|c| c.is_ascii_digit());
    if digits || distinct < 5 || is_repetitive(&stem) || COMMON.lines().any(|word| little_left(&stem, word)) {
        return Err(Weak::Common);
    }
    let local = email.as_str().split('@').next().unwrap_or_default();
    let own = [local, email.as_str(), name].map(self::stem);
    if own.iter().any(|word| word.len() >= 3 && little_left(&stem, word)) {
        return Err(Weak::Personal);
    }
    Ok(())
}

/// Hashes a password for keeping. Slow by design: call it where waiting hurts nobody.
pub fn hash(password: &Secret<String>, entropy: &dyn Entropy) -> Result<String, HashFault> {
    let salt = SaltString::encode_b64(&entropy::bytes::<16>(entropy)).map_err(|_| HashFault)?;
    let hash = hasher()?.hash_password(password.expose().as_bytes(), &salt).map_err(|_| HashFault)?;
    Ok(hash.to_string())
}

/// Whether `password` is the one that `phc` was made of. Where there is none, because the person is unknown or has no
/// password, the same work is done for nothing: neither the answer nor its delay tells the difference.
pub fn verify(phc: Option<&str>, password: &Secret<String>) -> Result<bool, HashFault> {
    let known = phc.is_some();
    let kept = PasswordHash::new(phc.unwrap_or(NOBODY)).map_err(|_| HashFault)?;
    if password.expose().len() > MOST {
        return Ok(false);
    }
    let same = hasher()?.verify_password(password.expose().as_bytes(), &kept).is_ok();
    Ok(same && known)
}

/// OWASP's parameters for argon2id: 19 MiB, two passes, one lane.
fn hasher() -> Result<Argon2<'static>, HashFault> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|_| HashFault)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Whether hardly anything remains of `stem` once `word` is taken out, as often as it stands there.
fn little_left(stem: &str, word: &str) -> bool {
    stem.contains(word) && stem.replace(word, "").chars().count() < 4
}

/// Lower case, letters only, the usual substitutions undone: `P4ssw0rd!2026` and `password` have one stem.
fn stem(text: &str) -> String {
    let trimmed = text.trim_matches(|c: char| !c.is_alphabetic());
    let undone = trimmed.chars().flat_map(char::to_lowercase).map(|c| match c {
        '4' | '@' => 'a',
        '0' => 'o',
        '3' => 'e',
        '1' | '!' => 'i',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    });
    undone.filter(|c| c.is_alphabetic()).collect()
}

/// `abcabcabcabc`, `lab1lab1lab1`: a short piece, over and over.
fn is_repetitive(stem: &str) -> bool {
    let chars: Vec<_> = stem.chars().collect();
    (1..=chars.len() / 2)
        .filter(|length| chars.len().is_multiple_of(*length))
        .any(|length| length < 6 && chars.chunks(length).all(|chunk| chunk == &chars[..length]))
}

const COMMON: &str = include_str!("common.txt");

/// The hash of a password that nobody knows: the first half of a random draw that was thrown away.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9mIG91cnM$mCk8ZUu5sWbWSvc8Wc5FSNz7o0gQJrTfLtDhCqvQ3pI";

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_password_proves_itself_and_no_other_does() {
        let phc = hash(&secret("seven quiet herons"), &Fixed::new(1)).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(verify(Some(&phc), &secret("seven quiet herons")), Ok(true));
        assert_eq!(verify(Some(&phc), &secret("seven quiet heron")), Ok(false));
        assert_eq!(verify(None, &secret("seven quiet herons")), Ok(false));
        assert_eq!(verify(Some(&phc), &secret(&"x".repeat(MOST + 1))), Ok(false));
        assert_eq!(verify(Some("plain"), &secret("plain")), Err(HashFault));
    }

    #[test]
    fn long_and_unguessed_is_enough() {
        let ada = Email::parse("ada.moss@north.example").unwrap();
        for good in ["seven quiet herons", "zwölf graue Kähne", "kX9#vq2L!mTz", "水は方円の器に随う朝の霧"]
        {
            assert_eq!(check(&secret(good), &ada, "Ada Moss"), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        let ada = Email::parse("ada.moss@north.example").unwrap();
        for (bad, why) in [
            ("short", Weak::Short),
            ("elevenchars", Weak::Short),
            ("123456789012", Weak::Common),
            ("!!!!!!!!!!!!", Weak::Common),
            ("aaaaaaaaaaaa", Weak::Common),
            ("abcabcabcabc", Weak::Common),
            ("Password2026!", Weak::Common),
            ("P4ssw0rd!!!!", Weak::Common),
            ("passwordpassword", Weak::Common),
            ("correct horse battery staple", Weak::Common),
            ("Ada.Moss.2026!", Weak::Personal),
            ("ada.moss@north.example", Weak::Personal),
            ("adamossadamoss", Weak::Personal),
        ] {
            assert_eq!(check(&secret(bad), &ada, "Ada Moss"), Err(why), "{bad}");
        }
        assert_eq!(check(&secret(&"wort ".repeat(200)), &ada, "Ada Moss"), Err(Weak::Long));
    }
}
