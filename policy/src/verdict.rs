//! The answer to a question. Whatever is not plainly allowed is denied.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What the policies say, and which of them said it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Whether the question is answered with yes: some `permit` holds, no `forbid` does, and none failed.
    pub allowed: bool,
    /// The ids of the policies that determined it: the permits of a yes, the forbids of a no. Sorted.
    pub determined_by: Vec<Arc<str>>,
    /// Policies that failed to evaluate. One is enough for a deny.
    pub errors: Vec<PolicyError>,
}

/// A policy that failed to evaluate, such as an overflow or an attribute that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyError {
    /// The policy's id.
    pub policy: Arc<str>,
    /// What went wrong.
    pub message: String,
}
