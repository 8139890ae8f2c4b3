//! The password page.

use askama::Template;

use super::{Carried, Look, Problem, page};

/// `GET /sign-in/password`; its form posts `password` (and `email`, for password managers) to `/sign-in/password`.
#[derive(Debug, Template)]
#[template(path = "password.html")]
pub struct Password<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Whose password it is.
    pub email: &'a str,
    /// Why the form is shown again.
    pub problem: Option<Problem>,
    /// Hidden fields that the form sends along.
    pub carried: Carried<'a>,
    /// Whether a passkey may be used instead.
    pub passkey: bool,
    /// Whether a code by e-mail may be used instead.
    pub mail: bool,
    /// Where "not you?" leads: the sign-in page with the same destination.
    pub back: &'a str,
}
page!(Password, problem);
