//! A key that is sealed under a passphrase, so that nothing which lies on a disk opens it.
//!
//! argon2id makes a key of the passphrase and a salt, and that seals as all else is sealed, with AES-256-GCM. The text tells in
//! one line how: `$argon2id$v=19$m=65536,t=3,p=4$<salt> <sealed>`. So it says of itself that it is sealed, and what was
//! sealed under older parameters opens for good.

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version,
    password_hash::{ParamsString, PasswordHash, SaltString},
};
use cardea_core::{Entropy, Secret, entropy};
use zeroize::Zeroizing;

use super::{Sealed, Sealer};

/// What a passphrase makes with one salt: seals keys, and opens those that it sealed.
#[derive(Debug, Clone)]
pub struct Lock {
    terms: String,
    sealer: Sealer,
}

/// Why a passphrase seals or opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LockFault {
    /// Too short.
    #[error("a passphrase has at least {LEAST} characters")]
    Short,
    /// Too long.
    #[error("a passphrase has at most {MOST} bytes")]
    Long,
    /// The text is none of ours, or asks for more work than any that we make.
    #[error("this is not a key that was sealed under a passphrase")]
    Form,
    /// Another passphrase, or changed bytes. Which one is not told.
    #[error("it does not open: the passphrase is another one, or the file was changed")]
    Closed,
}

/// Fewest characters. Fifteen: what SP 800-63B-4 section 3.1.1.1 asks of a password that stands alone; and whoever took the
/// file may guess for as long as they like.
const LEAST: usize = 15;
/// Most bytes.
const MOST: usize = 1024;

/// 64 MiB, three passes, four lanes: what RFC 9106 section 4 recommends where memory is not plenty. Some 0.2 s, once at start.
const COST: (u32, u32, u32) = (64 * 1024, 3, 4);
/// The most that a text may ask for: 1 GiB, 64 passes, 64 lanes.
const DEAREST: (u32, u32, u32) = (1024 * 1024, 64, 64);

impl Lock {
    /// A lock with a salt of its own.
    pub fn new(passphrase: &Secret<String>, entropy: &dyn Entropy) -> Result<Self, LockFault> {
        if passphrase.expose().chars().count() < LEAST {
            return Err(LockFault::Short);
        }
        if passphrase.expose().len() > MOST {
            return Err(LockFault::Long);
        }
        Self::under(COST, passphrase, entropy)
    }

    fn under(
        (memory, passes, lanes): (u32, u32, u32),
        passphrase: &Secret<String>,
        entropy: &dyn Entropy,
    ) -> Result<Self, LockFault> {
        let form = |_| LockFault::Form;
        let salt = SaltString::encode_b64(&entropy::bytes::<16>(entropy)).map_err(form)?;
        let params = Params::new(memory, passes, lanes, None).map_err(|_| LockFault::Form)?;
        let terms = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).map_err(form)?,
            salt: Some(salt.as_salt()),
            hash: None,
        };
        Self::on_terms(&terms.to_string(), passphrase)
    }

    /// The lock that sealed the text, if it was made of that passphrase, and the key in it.
    pub fn of(text: &str, passphrase: &Secret<String>) -> Result<(Self, Secret<[u8; 32]>), LockFault> {
        let (terms, _) = parts(text).ok_or(LockFault::Form)?;
        let lock = Self::on_terms(terms, passphrase)?;
        let key = lock.open(text)?;
        Ok((lock, key))
    }

    fn on_terms(terms: &str, passphrase: &Secret<String>) -> Result<Self, LockFault> {
        let key = derived(terms, passphrase).ok_or(LockFault::Form)?;
        let sealer = Sealer::new(&key).map_err(|_| LockFault::Form)?;
        Ok(Self { terms: terms.to_owned(), sealer })
    }

    /// Whether a text is a key that is sealed under some passphrase.
    pub fn is_on(text: &str) -> bool {
        parts(text).is_some()
    }

    /// Whether the text was sealed by this lock, or by another on the same terms.
    pub fn fits(&self, text: &str) -> bool {
        parts(text).is_some_and(|(terms, _)| terms == self.terms)
    }

    /// The text of a key sealed under the passphrase.
    pub fn seal(&self, key: &Secret<[u8; 32]>, entropy: &dyn Entropy) -> Result<String, LockFault> {
        let sealed = self.sealer.seal(&self.place(), key.expose(), entropy).map_err(|_| LockFault::Closed)?;
        Ok(format!("{} {}\n", self.terms, sealed.as_str()))
    }

    /// The key that [`Lock::seal`] sealed.
    pub fn open(&self, text: &str) -> Result<Secret<[u8; 32]>, LockFault> {
        let (_, sealed) = parts(text).filter(|_| self.fits(text)).ok_or(LockFault::Closed)?;
        let opened = self.sealer.open(&self.place(), &Sealed::from_stored(sealed)).map_err(|_| LockFault::Closed)?;
        opened.expose().as_slice().try_into().map(Secret::new).map_err(|_| LockFault::Closed)
    }

    /// Bound to its terms, so that nobody changes them unseen.
    fn place(&self) -> String {
        format!("operator.key {}", self.terms)
    }
}

/// The terms of a sealed key, and what is sealed.
fn parts(text: &str) -> Option<(&str, &str)> {
    text.trim_end().split_once(' ').filter(|(terms, _)| terms.starts_with("$argon2id$"))
}

/// What argon2id makes of the passphrase; nothing where the terms are none of ours.
fn derived(terms: &str, passphrase: &Secret<String>) -> Option<Secret<[u8; 32]>> {
    let terms = PasswordHash::new(terms).ok().filter(|terms| terms.version == Some(Version::V0x13.into()))?;
    let cost = |name, most| terms.params.get_decimal(name).filter(|cost| (1..=most).contains(cost));
    let (memory, passes, lanes) = (cost("m", DEAREST.0)?, cost("t", DEAREST.1)?, cost("p", DEAREST.2)?);
    let params = Params::new(memory, passes, lanes, None).ok()?;
    let mut salt = [0; 48];
    let salt = terms.salt?.decode_b64(&mut salt).ok()?;
    let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase.expose().as_bytes(), salt, &mut *key, &mut **memory)
        .ok()?;
    Some(Secret::new(*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    fn passphrase(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    const CHEAP: (u32, u32, u32) = (64, 1, 1);

    #[test]
    fn a_key_opens_under_its_passphrase_and_the_text_tells_nothing_else() {
        let (key, right) = (Secret::new([7; 32]), passphrase("seven green bottles on a wall"));
        let lock = Lock::new(&right, &Fixed::new(1)).unwrap();
        let text = lock.seal(&key, &Fixed::new(2)).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=65536,t=3,p=4$") && Lock::is_on(&text) && lock.fits(&text));
        let (again, opened) = Lock::of(&text, &right).unwrap();
        assert!(opened == key && again.open(&text).unwrap() == key);
        // The next key, sealed by who knows the lock alone.
        let next = again.seal(&Secret::new([8; 32]), &Fixed::new(3)).unwrap();
        assert!(lock.open(&next).unwrap() == Secret::new([8; 32]));
        assert_eq!(Lock::of(&text, &passphrase("seven green bottles on a hall")).unwrap_err(), LockFault::Closed);
        assert!(!format!("{lock:?}").contains("bottles"));
    }

    #[test]
    fn what_is_changed_or_none_of_ours_opens_nothing() {
        let right = passphrase("seven green bottles on a wall");
        let lock = Lock::under(CHEAP, &right, &Fixed::new(1)).unwrap();
        let text = lock.seal(&Secret::new([7; 32]), &Fixed::new(2)).unwrap();
        assert!(Lock::of(&text, &right).is_ok());
        for (from, to, fault) in [
            ("m=64", "m=72", LockFault::Closed),
            ("t=1", "t=2", LockFault::Closed),
            ("m=64", "m=4294967295", LockFault::Form),
            ("t=1", "t=4294967295", LockFault::Form),
            ("p=1", "p=4294967295", LockFault::Form),
            ("p=1", "p=9", LockFault::Form),
            ("p=1", "q=1", LockFault::Form),
            ("v=19", "v=16", LockFault::Form),
            ("argon2id", "argon2i", LockFault::Form),
            (" ", "", LockFault::Form),
        ] {
            assert!(text.contains(from));
            assert_eq!(Lock::of(&text.replacen(from, to, 1), &right).unwrap_err(), fault, "{from} {to}");
        }
        let (terms, sealed) = parts(&text).unwrap();
        let changed = if sealed.starts_with('A') { "B" } else { "A" };
        let changed = format!("{terms} {changed}{}", &sealed[1..]);
        assert_eq!(Lock::of(&changed, &right).unwrap_err(), LockFault::Closed);
        assert!(!Lock::is_on("c2V2ZW4gZ3JlZW4gYm90dGxlcyBvbiBhIHdhbGwhISE=\n") && !Lock::is_on(""));
    }

    #[test]
    fn a_passphrase_that_is_guessed_soon_is_refused() {
        assert_eq!(Lock::new(&passphrase("green bottles "), &Fixed::new(1)).unwrap_err(), LockFault::Short);
        assert_eq!(Lock::new(&passphrase(&"x".repeat(2000)), &Fixed::new(1)).unwrap_err(), LockFault::Long);
    }
}
