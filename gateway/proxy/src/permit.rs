//! The permit: a value that exists only where a question was answered with allow.
//!
//! INVARIANT: made in one function (`access::decide`), never cloned, consumed by forwarding and by every changing handler.
//!
//! It cannot be forged:
//! ```compile_fail,E0451
//! fn forged(entry: cardea_core::EntryId) -> cardea_proxy::Permit {
//!     cardea_proxy::Permit { entry }
//! }
//! ```
//! nor made:
//! ```compile_fail,E0624
//! fn made(entry: cardea_core::EntryId) -> cardea_proxy::Permit {
//!     cardea_proxy::Permit::new(entry)
//! }
//! ```
//! nor copied:
//! ```compile_fail,E0599
//! fn copied(permit: cardea_proxy::Permit) -> (cardea_proxy::Permit, cardea_proxy::Permit) {
//!     (permit.clone(), permit)
//! }
//! ```
//! nor used twice:
//! ```compile_fail,E0382
//! fn twice(permit: cardea_proxy::Permit) -> (cardea_proxy::Permit, cardea_proxy::Permit) {
//!     (permit, permit)
//! }
//! ```
//! It can be held and asked what it was given for:
//! ```
//! fn entry(permit: cardea_proxy::Permit) -> cardea_core::EntryId {
//!     permit.entry()
//! }
//! ```

use cardea_core::EntryId;

/// Proof that the policies allow one request. Whoever forwards or changes something takes it by value.
#[derive(Debug)]
#[must_use = "a permit that nobody consumes admits nothing"]
pub struct Permit {
    entry: EntryId,
}

impl Permit {
    pub(crate) const fn new(entry: EntryId) -> Self {
        Self { entry }
    }

    /// The entry of the request that was allowed.
    pub fn entry(&self) -> EntryId {
        self.entry
    }
}
