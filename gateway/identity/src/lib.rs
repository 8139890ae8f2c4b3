//! Who somebody is: pools, sign-in states, factors, assurance, sessions and tokens as pure rules. Opens no socket,
//! reads no clock, draws no randomness: time and entropy are given, and what must outlive a request is handed back
//! as a value for a store to keep.

pub mod assertion;
pub mod assurance;
pub mod cookie;
pub mod device;
pub mod enrolment;
pub mod factors;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod guard;
pub mod hand_over;
pub mod import;
pub mod invitation;
pub mod keys;
pub mod logout;
pub mod oauth2;
pub mod oidc;
pub mod one_time;
pub mod pool;
pub mod remembered;
pub mod return_to;
pub mod sealing;
pub mod session;
pub mod sign_in;
pub mod signals;
pub mod token;

#[cfg(test)]
mod testing;

pub use pool::{
    AccountId, Email, Factor, FactorData, FactorKind, Had, LinkedAccount, LinkedIdentity, Origin, Status, User,
};
pub use sealing::{Sealed, Sealer};
pub use session::{Handle, HandleHash, HandleRecord, Session};
pub use token::{Ticket, TicketHash};
