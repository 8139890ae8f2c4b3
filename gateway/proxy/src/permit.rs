//! The permit: a value that exists only where a question was answered with allow.
//!
//! INVARIANT: made in one function (`access::decide`), never cloned, consumed by forwarding and by every changing handler.
//!
//! It cannot be forged:
//! ```compile_fail
//! let permit = cardea_proxy::Permit { for_entry: todo!() };
//! ```
//! nor made:
//! ```compile_fail
//! let permit = cardea_proxy::Permit::new(todo!());
//! ```
//! nor used twice:
//! ```compile_fail
//! fn twice(permit: cardea_proxy::Permit) -> (cardea_proxy::Permit, cardea_proxy::Permit) {
//!     (permit.clone(), permit)
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
