//! What must not be read at rest: AES-256-GCM under the newest key of a ring, bound to the row that it belongs to, opened
//! under any key of it. And marks: keyed hashes, by which a store finds what it cannot read.

mod entries;
mod lock;

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use cardea_core::{Entropy, Secret, entropy};
use serde::{Deserialize, Serialize};

pub use entries::EntrySealer;
pub use lock::{Lock, LockFault};

/// Seals under the newest key of a ring and opens under all of them. Cloning shares the ring.
#[derive(Clone)]
pub struct Sealer(Arc<[Arc<Key>]>);

/// Names a key without telling anything of it, at the end of whatever was sealed under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_ID_LEN]);

/// A sealed secret as text: base64 of ciphertext, tag, nonce and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// A sealed secret that does not open: another key, another row, or changed bytes. Which one is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret does not open under this key and place")]
pub struct CannotOpen;

/// One key of a ring. What else is needed follows from it, so that no two uses share a key.
struct Key {
    id: KeyId,
    seals: LessSafeKey,
    marks: hmac::Key,
    entries: Secret<[u8; 32]>,
}

const KEY_ID_LEN: usize = 4;
const TAG_LEN: usize = 16;

/// By how much sealed bytes are longer than plain ones.
const BEYOND: usize = TAG_LEN + NONCE_LEN + KEY_ID_LEN;

impl Key {
    fn new(key: &Secret<[u8; 32]>) -> Result<Self, CannotOpen> {
        let from = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let derived = |purpose: &[u8]| {
            let mut out = [0; 32];
            out.copy_from_slice(hmac::sign(&from, purpose).as_ref());
            Secret::new(out)
        };
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&derived(b"cardea key id").expose()[..KEY_ID_LEN]);
        Ok(Self {
            id: KeyId(id),
            seals: aes(key.expose())?,
            marks: hmac::Key::new(hmac::HMAC_SHA256, derived(b"cardea marks").expose()),
            entries: derived(b"cardea entries"),
        })
    }
}

fn aes(key: &[u8]) -> Result<LessSafeKey, CannotOpen> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| CannotOpen)
}

impl Sealer {
    /// A ring of one key.
    pub fn new(key: &Secret<[u8; 32]>) -> Result<Self, CannotOpen> {
        Self::ring([key])
    }

    /// A ring of several keys, of which the first one seals. `Err` if there is none.
    pub fn ring<'a>(keys: impl IntoIterator<Item = &'a Secret<[u8; 32]>>) -> Result<Self, CannotOpen> {
        let keys = keys.into_iter().map(|key| Key::new(key).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(CannotOpen) } else { Ok(Self(keys.into())) }
    }

    fn newest(&self) -> Result<&Key, CannotOpen> {
        self.0.first().map(|key| &**key).ok_or(CannotOpen)
    }

    fn key(&self, id: KeyId) -> Result<&Key, CannotOpen> {
        self.0.iter().find(|key| key.id == id).map(|key| &**key).ok_or(CannotOpen)
    }

    /// The names of its keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|key| key.id)
    }

    /// Whether what was sealed under that key can be opened.
    pub fn has(&self, id: KeyId) -> bool {
        self.key(id).is_ok()
    }

    /// The same ring, sealing under that key; none if it has no such key.
    pub fn led_by(&self, id: KeyId) -> Option<Self> {
        let first = self.0.iter().find(|key| key.id == id)?;
        let rest = self.0.iter().filter(|key| key.id != id);
        Some(Self([first].into_iter().chain(rest).cloned().collect()))
    }

    /// Seals `plain` for `place`, such as `totp/<factor id>`: opened elsewhere it does not open.
    pub fn seal(&self, place: &str, plain: &[u8], entropy: &dyn Entropy) -> Result<Sealed, CannotOpen> {
        Ok(Sealed(STANDARD_NO_PAD.encode(self.seal_bytes(place, plain, entropy)?)))
    }

    /// Opens what was sealed for `place`.
    pub fn open(&self, place: &str, sealed: &Sealed) -> Result<Secret<Vec<u8>>, CannotOpen> {
        let bytes = STANDARD_NO_PAD.decode(&sealed.0).map_err(|_| CannotOpen)?;
        self.open_bytes(place, bytes).map(Secret::new)
    }

    /// As [`seal`](Self::seal), for stores that keep bytes.
    ///
    /// The nonce is random: 2^32 secrets under one key keep the chance of a repeat below 2^-32 (SP 800-38D section 8.3).
    pub fn seal_bytes(&self, place: &str, plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, CannotOpen> {
        let (key, nonce) = (self.newest()?, entropy::bytes::<NONCE_LEN>(entropy));
        // Room for all of it at once: growing would leave the plain bytes behind.
        let mut out = Vec::with_capacity(plain.len() + BEYOND);
        out.extend_from_slice(plain);
        key.seals
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut out)
            .map_err(|_| CannotOpen)?;
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&key.id.0);
        Ok(out)
    }

    /// Opens what [`seal_bytes`](Self::seal_bytes) sealed for `place`.
    pub fn open_bytes(&self, place: &str, mut sealed: Vec<u8>) -> Result<Vec<u8>, CannotOpen> {
        let key = self.key(KeyId::of(&sealed).ok_or(CannotOpen)?)?;
        sealed.truncate(sealed.len() - KEY_ID_LEN);
        let nonce = *sealed.last_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        sealed.truncate(sealed.len() - NONCE_LEN);
        opened(&key.seals, nonce, place, sealed)
    }

    /// Opens what was sealed before keys had names: nonce, ciphertext and tag, under any key of the ring.
    pub fn open_unnamed(&self, place: &str, sealed: &Sealed) -> Result<Secret<Vec<u8>>, CannotOpen> {
        let bytes = STANDARD_NO_PAD.decode(&sealed.0).map_err(|_| CannotOpen)?;
        let (nonce, body) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        let mut found = self.0.iter().filter_map(|key| opened(&key.seals, *nonce, place, body.to_vec()).ok());
        found.next().map(Secret::new).ok_or(CannotOpen)
    }

    /// The mark of `text` among those of a kind: the same text has the same, and without the key nobody can tell which
    /// text a mark belongs to. Under the newest key.
    pub fn mark(&self, kind: &str, text: &str) -> Result<String, CannotOpen> {
        Ok(mark(self.newest()?, kind, text))
    }

    /// The marks that `text` may have, the newest key's first: while keys change, not every row has the new one yet.
    pub fn marks(&self, kind: &str, text: &str) -> Vec<String> {
        self.0.iter().map(|key| mark(key, kind, text)).collect()
    }
}

fn opened(key: &LessSafeKey, nonce: [u8; NONCE_LEN], place: &str, mut body: Vec<u8>) -> Result<Vec<u8>, CannotOpen> {
    let length = key
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut body)
        .map_err(|_| CannotOpen)?
        .len();
    body.truncate(length);
    Ok(body)
}

fn mark(key: &Key, kind: &str, text: &str) -> String {
    let mut context = hmac::Context::with_key(&key.marks);
    // No kind holds a zero, so that no two pairs are the same bytes.
    for part in [kind.as_bytes(), &[0], text.as_bytes()] {
        context.update(part);
    }
    URL_SAFE_NO_PAD.encode(context.sign())
}

impl KeyId {
    /// The key that `sealed` bytes were sealed under.
    pub fn of(sealed: &[u8]) -> Option<Self> {
        sealed.last_chunk().copied().map(Self)
    }

    /// As stores keep it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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

    /// The same of a store that kept its bytes.
    pub fn from_bytes(sealed: &[u8]) -> Self {
        Self(STANDARD_NO_PAD.encode(sealed))
    }

    /// The key that it was sealed under.
    pub fn key_id(&self) -> Option<KeyId> {
        KeyId::of(&STANDARD_NO_PAD.decode(&self.0).ok()?)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

#[cfg(test)]
#[path = "sealing/tests.rs"]
mod tests;
