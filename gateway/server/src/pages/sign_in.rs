//! The sign-in page: one field, one button, and the other ways beside it.

use askama::Template;

use super::{Carried, Look, Problem, page};

/// `GET /sign-in`; its form posts `email` to `/sign-in`.
#[derive(Debug, Template)]
#[template(path = "sign-in.html")]
pub struct SignIn<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// What was typed before; empty at first.
    pub email: &'a str,
    /// Why the form is shown again.
    pub problem: Option<Problem>,
    /// Whether a session has just ended, which the person hears of before they are asked again.
    pub over: bool,
    /// Hidden fields (`to`, `flow`, …) that the form and the passkey request send along.
    pub carried: Carried<'a>,
    /// The app that the person wants to reach, by its name.
    pub app: Option<&'a str>,
    /// Whether a passkey may be used: shows the button and lets the browser offer one in the field.
    pub passkey: bool,
    /// Whether the pool takes an e-mail at all: false where only providers sign in.
    pub pool: bool,
    /// The tenant's providers.
    pub providers: Vec<ProviderButton<'a>>,
}
page!(SignIn, problem);

/// "Continue with …".
#[derive(Debug, Clone)]
pub struct ProviderButton<'a> {
    /// The provider's name as people know it.
    pub name: &'a str,
    /// Where the button leads: `/sign-in/with/<id>?to=…&flow=…`, already encoded.
    pub href: String,
}
