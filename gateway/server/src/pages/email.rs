//! The page for a code by e-mail.

use askama::Template;

use super::{Carried, Look, Problem, page};

/// `GET /sign-in/email`; its form posts `code` to `/sign-in/email`, the one below asks at `/sign-in/email/send` for another
/// code. It says the same whether or not anybody has the address.
#[derive(Debug, Template)]
#[template(path = "email.html")]
pub struct MailCode<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Where the code was sent to.
    pub email: &'a str,
    /// Why the form is shown again.
    pub problem: Option<Problem>,
    /// Hidden fields that the forms send along.
    pub carried: Carried<'a>,
    /// Whether a password may be used instead.
    pub password: bool,
    /// Where "not you?" leads; none where it is known who this is.
    pub back: Option<&'a str>,
}
page!(MailCode, problem);
