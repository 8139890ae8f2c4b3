//! An invitation: a link by which a person who was added to the pool chooses the first factor; sent anew, it lets one
//! who lost every factor start over.

use cardea_core::UserId;
use serde::{Deserialize, Serialize};

use crate::{
    pool::{Factor, Status, User},
    token::{TicketHash, sha256},
};

/// What an invitation stands for; kept under its hash as [`crate::one_time::Purpose::Invitation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Who is invited.
    pub user: UserId,
    /// Names the factors that the person had when it was made. Once they change every older invitation is worthless:
    /// a forgotten mail must not open an account that is in use.
    pub basis: TicketHash,
    /// Whether a letter may carry it, so that whoever reads the mailbox may hold it, too. Of one that was kept without saying so
    /// it is taken for granted.
    #[serde(default = "by_letter")]
    pub by_letter: bool,
}

const fn by_letter() -> bool {
    true
}

/// Why an invitation opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// The person is suspended or gone.
    #[error("the person may not sign in")]
    User,
    /// The person's factors have changed since.
    #[error("the person's factors have changed since the invitation was made")]
    Outdated,
}

impl Invitation {
    /// An invitation for a person with these factors.
    pub fn new(user: &User, factors: &[Factor]) -> Self {
        Self { user: user.id, basis: basis(factors), by_letter: true }
    }

    /// The same, where no letter may carry it.
    #[must_use]
    pub const fn by_hand(self) -> Self {
        Self { by_letter: false, ..self }
    }

    /// Checks that it still opens the door for this person as they are now.
    pub fn check(&self, user: &User, factors: &[Factor]) -> Result<(), Void> {
        let open = self.user == user.id && matches!(user.status, Status::Invited | Status::Active);
        if !open {
            return Err(Void::User);
        }
        if self.basis == basis(factors) { Ok(()) } else { Err(Void::Outdated) }
    }
}

/// Names factors by which something was judged, so that a change of any of them is seen.
pub(crate) fn basis(factors: &[Factor]) -> TicketHash {
    let mut ids: Vec<_> = factors.iter().map(|factor| factor.id.to_string()).collect();
    ids.sort_unstable();
    TicketHash::from_bytes(sha256(ids.join("\n").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{password_factor, user};

    #[test]
    fn an_invitation_dies_with_the_first_change_of_factors() {
        let mut ada = user("ada@north.example");
        ada.status = Status::Invited;
        let invitation = Invitation::new(&ada, &[]);
        assert_eq!(invitation.check(&ada, &[]), Ok(()));
        assert_eq!(invitation.check(&ada, &[password_factor()]), Err(Void::Outdated));
    }

    #[test]
    fn nobody_suspended_or_other_comes_in_by_it() {
        let mut ada = user("ada@north.example");
        let invitation = Invitation::new(&ada, &[]);
        for status in [Status::Suspended, Status::Deleted] {
            ada.status = status;
            assert_eq!(invitation.check(&ada, &[]), Err(Void::User));
        }
        assert_eq!(invitation.check(&user("bob@north.example"), &[]), Err(Void::User));
    }
}
