//! Sealing the entries of a log: in the place where they lie, without randomness, however many there are.

use aws_lc_rs::{
    aead::{Aad, LessSafeKey, NONCE_LEN, Nonce},
    hmac,
};

use super::{CannotOpen, KEY_ID_LEN, KeyId, Sealer, TAG_LEN, aes};

/// Seals and opens the entries of one log. Holds the key of the block that it was last asked for.
///
/// The nonce is the beginning of the entry's link, which is a hash over the entry and all before it: two entries that
/// are not the same in the same place have different ones, and it need be neither drawn nor kept. A link cannot be chosen,
/// since each entry holds an id with 74 random bits. As random nonces do, links may meet: so each key serves a block
/// of a million entries, and the chance of it stays below 2^-57 for each (SP 800-38D section 8.3 asks for 2^-32).
pub struct EntrySealer {
    sealer: Sealer,
    owner: Box<str>,
    block: Option<(KeyId, u64, LessSafeKey)>,
}

/// Entries in a block, as a power of two.
const BLOCK: u32 = 20;

/// By how much a sealed entry is longer than a plain one.
const BEYOND: usize = TAG_LEN + KEY_ID_LEN;

impl EntrySealer {
    /// Of the log of `owner`, whom the entries are bound to.
    pub fn new(sealer: Sealer, owner: &str) -> Self {
        Self { sealer, owner: owner.into(), block: None }
    }

    /// Whether entries that were sealed under that key can be opened.
    pub fn has(&self, id: KeyId) -> bool {
        self.sealer.has(id)
    }

    /// Seals entry `seq` in its place.
    pub fn seal(&mut self, seq: u64, link: &[u8; 32], body: &mut Vec<u8>) -> Result<(), CannotOpen> {
        let id = self.sealer.newest()?.id;
        body.reserve(BEYOND);
        let owner = Aad::from(self.owner.as_bytes());
        let key = of_block(&self.sealer, &mut self.block, id, seq)?;
        key.seal_in_place_append_tag(nonce(link)?, owner, body).map_err(|_| CannotOpen)?;
        body.extend_from_slice(id.as_bytes());
        Ok(())
    }

    /// Opens entry `seq`.
    pub fn open(&mut self, seq: u64, link: &[u8; 32], mut sealed: Vec<u8>) -> Result<Vec<u8>, CannotOpen> {
        let id = KeyId::of(&sealed).ok_or(CannotOpen)?;
        sealed.truncate(sealed.len() - KEY_ID_LEN);
        let owner = Aad::from(self.owner.as_bytes());
        let key = of_block(&self.sealer, &mut self.block, id, seq)?;
        let length = key.open_in_place(nonce(link)?, owner, &mut sealed).map_err(|_| CannotOpen)?.len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

/// The key of the block that `seq` lies in.
fn of_block<'a>(
    sealer: &Sealer,
    held: &'a mut Option<(KeyId, u64, LessSafeKey)>,
    id: KeyId,
    seq: u64,
) -> Result<&'a LessSafeKey, CannotOpen> {
    let block = seq >> BLOCK;
    if held.as_ref().is_none_or(|(of, at, _)| (*of, *at) != (id, block)) {
        let from = hmac::Key::new(hmac::HMAC_SHA256, sealer.key(id)?.entries.expose());
        let tag = hmac::sign(&from, &block.to_be_bytes());
        *held = Some((id, block, aes(tag.as_ref())?));
    }
    held.as_ref().map(|(_, _, key)| key).ok_or(CannotOpen)
}

fn nonce(link: &[u8; 32]) -> Result<Nonce, CannotOpen> {
    Nonce::try_assume_unique_for_key(&link[..NONCE_LEN]).map_err(|_| CannotOpen)
}

impl std::fmt::Debug for EntrySealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EntrySealer({:?})", self.owner)
    }
}
