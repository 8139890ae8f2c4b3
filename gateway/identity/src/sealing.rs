//! Secrets at rest: AES-256-GCM under the operator's key, bound to the row that they belong to.

use std::{fmt, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use cardea_core::{Entropy, Secret, entropy};
use serde::{Deserialize, Serialize};

/// Seals and opens secrets. Cloning shares the key.
#[derive(Clone)]
pub struct Sealer(Arc<LessSafeKey>);

/// A sealed secret as stores keep it: base64 of nonce and ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// A sealed secret that does not open: another key, another row, or changed bytes. Which one is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret does not open under this key and place")]
pub struct CannotOpen;

impl Sealer {
    /// A sealer under `key`: the bytes of the operator's key file.
    pub fn new(key: &Secret<[u8; 32]>) -> Result<Self, CannotOpen> {
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| CannotOpen)?;
        Ok(Self(Arc::new(LessSafeKey::new(key))))
    }

    /// Seals `plain` for `place`, such as `totp/<factor id>`: opened elsewhere it does not open.
    ///
    /// The nonce is random: 2^32 secrets under one key keep the chance of a repeat below 2^-32 (SP 800-38D section 8.3).
    pub fn seal(&self, place: &str, plain: &[u8], entropy: &dyn Entropy) -> Result<Sealed, CannotOpen> {
        let nonce: [u8; NONCE_LEN] = entropy::bytes(entropy);
        let mut out = plain.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut out)
            .map_err(|_| CannotOpen)?;
        Ok(Sealed(STANDARD_NO_PAD.encode([nonce.as_slice(), &out].concat())))
    }

    /// Opens what was sealed for `place`.
    pub fn open(&self, place: &str, sealed: &Sealed) -> Result<Secret<Vec<u8>>, CannotOpen> {
        let bytes = STANDARD_NO_PAD.decode(&sealed.0).map_err(|_| CannotOpen)?;
        let (nonce, body) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        let mut body = body.to_vec();
        let plain = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut body)
            .map_err(|_| CannotOpen)?;
        let length = plain.len();
        body.truncate(length);
        Ok(Secret::new(body))
    }
}

impl Sealed {
    /// The text that a store keeps.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The sealed secret whose text a store kept.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&Secret::new([byte; 32])).unwrap()
    }

    #[test]
    fn a_secret_opens_only_where_it_was_put() {
        let sealed = sealer(1).seal("totp/a", b"seed", &Fixed::new(1)).unwrap();
        assert_eq!(sealer(1).open("totp/a", &sealed).unwrap().expose(), b"seed");
        assert_eq!(sealer(1).open("totp/b", &sealed).unwrap_err(), CannotOpen);
        assert_eq!(sealer(2).open("totp/a", &sealed).unwrap_err(), CannotOpen);
    }

    #[test]
    fn changed_or_shortened_bytes_do_not_open() {
        let sealed = sealer(1).seal("p", b"seed", &Fixed::new(1)).unwrap();
        for nth in 0..sealed.as_str().len() {
            let mut text = sealed.as_str().to_owned();
            let other = if text.as_bytes()[nth] == b'A' { "B" } else { "A" };
            text.replace_range(nth..=nth, other);
            assert!(sealer(1).open("p", &Sealed::from_stored(text)).is_err());
            assert!(sealer(1).open("p", &Sealed::from_stored(&sealed.as_str()[..nth])).is_err());
        }
    }
}
