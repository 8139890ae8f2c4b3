//! Where a remembered device stands in for a factor at a sign-in, and where the real one is asked for all the same.

use super::{Aim, Done, Flow, Known, State, Step};
use crate::assurance::{self, Means, Proof};

/// What a fresh proof of who it is lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacks {
    /// Who it is: a code alone does not say.
    Person,
    /// The second factor that a remembered device stood in for: the first is fresh only beside it.
    Second,
}

/// What `new` proofs lack still to be a fresh proof of who it is, in a session with those of `before`; nothing where they are one.
pub fn lacks(before: &[Proof], new: &[Proof]) -> Option<Lacks> {
    if new.iter().all(|proof| matches!(proof.means, Means::Totp { .. })) {
        return Some(Lacks::Person);
    }
    let after = assurance::settled(assurance::joined(before, new));
    (assurance::shown(&after) != after).then_some(Lacks::Second)
}

impl Flow {
    /// Whether it awaits what a remembered device could stand in for: the second factor of a sign-in, beside the password. Whoever
    /// came by an account that they linked is asked for the real one.
    pub fn may_be_remembered(&self) -> bool {
        let password = |proof: &Proof| matches!(proof.means, Means::Password { .. });
        self.aim == Aim::SignIn && matches!(self.state, State::Factor { .. }) && self.proofs().iter().any(password)
    }

    /// A remembered device stands in for the factor that is awaited, where that ends the sign-in; else the factor is awaited still.
    pub fn recalled(self, known: Known<'_>, remembered: &Proof) -> Step {
        let is_theirs = matches!(&self.state, State::Factor { user, .. } if *user == known.user.id);
        let stands_in = matches!(remembered.means, Means::Remembered { .. }) && self.may_be_remembered();
        let proofs = [self.proofs(), std::slice::from_ref(remembered)].concat();
        if !(is_theirs && stands_in && self.is_complete(&proofs, &known)) {
            return Step::Ask(self);
        }
        let Self { destination, aim, .. } = self;
        Step::Done(Done { user: known.user.id, proofs, aim, destination })
    }
}
