//! The invitation: who invites whom, the first factor, and the offer of a second.

use askama::Template;

use super::{Carried, Look, Person, Problem, page};

/// `GET /sign-in/invitation/{token}`. The password form posts `password` and `again` to `action`; the passkey goes to
/// `passkey_options` and `passkey_finish` (JSON, see `assets/passkey.js`).
#[derive(Debug, Template)]
#[template(path = "invitation.html")]
pub struct Invitation<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is invited.
    pub person: Person<'a>,
    /// Where the password form posts to: the invitation's own path.
    pub action: &'a str,
    /// Where the passkey's options come from; none where the tenant allows no passkeys.
    pub passkey_options: Option<&'a str>,
    /// Where the passkey goes.
    pub passkey_finish: &'a str,
    /// Whether a password may be chosen.
    pub password: bool,
    /// Where a first code by e-mail is asked for; none where the tenant takes none.
    pub mail: Option<&'a str>,
    /// The least length of a password.
    pub password_least: usize,
    /// Why the form is shown again.
    pub problem: Option<Problem>,
    /// Hidden fields that every form sends along.
    pub carried: Carried<'a>,
}
page!(Invitation, problem);

/// Shown after a first factor: a second one makes more reachable.
#[derive(Debug, Template)]
#[template(path = "second-factor.html")]
pub struct SecondFactor<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who has just joined.
    pub person: Person<'a>,
    /// Whether a code app may be set up (leads to `/factors/totp`).
    pub totp: bool,
    /// Whether a passkey may be added (leads to `/factors/passkey`).
    pub passkey: bool,
    /// Where "later" leads.
    pub onward: &'a str,
    /// Whether nobody signs in here without one: then there is no "later".
    pub must: bool,
}
page!(SecondFactor);
