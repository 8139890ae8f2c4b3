//! The page on which a passkey is added.

use askama::Template;

use super::{Carried, Look, Person, Problem, page};

/// `GET /factors/passkey`; its script speaks to `/factors/passkey/options` and `/factors/passkey`.
#[derive(Debug, Template)]
#[template(path = "enrol-passkey.html")]
pub struct EnrolPasskey<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// Why the page is shown again.
    pub problem: Option<Problem>,
    /// Hidden fields that the request sends along.
    pub carried: Carried<'a>,
    /// Where "not now" leads.
    pub back: &'a str,
}
page!(EnrolPasskey, problem);
