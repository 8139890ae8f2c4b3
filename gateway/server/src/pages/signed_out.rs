//! The page after signing out.

use askama::Template;

use super::{Look, page};

/// Shown after `POST /sign-out`, `POST /sign-out/everywhere` and `/.cardea/sign-out`.
#[derive(Debug, Template)]
#[template(path = "signed-out.html")]
pub struct SignedOut<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Whether every session of the person was ended.
    pub everywhere: bool,
    /// Where "sign in again" leads.
    pub sign_in: &'a str,
}
page!(SignedOut);
