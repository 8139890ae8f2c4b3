//! The step-up page: "Confirm it's you", why, and with what.

use askama::Template;

use super::{Carried, Look, Person, Problem, ProviderButton, page};

/// What the person is asked to show, and so the sentence that says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Two factors (assurance 2).
    Two,
    /// A phishing-resistant factor (assurance 3).
    Three,
    /// A sign-in of the last minutes, at the same assurance.
    Fresh,
    /// The page asked for does not allow what the person has: it says what to set up and where.
    Unavailable,
}

/// `GET /sign-in/step-up`. The code form posts `code` to `/sign-in/totp`, the password form `password` to
/// `/sign-in/password`; the passkey goes to `/sign-in/passkey`. All send the carried fields along.
#[derive(Debug, Template)]
#[template(path = "step-up.html")]
pub struct StepUp<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// What is asked for.
    pub need: Need,
    /// The app that asks, by its name; none where it is one of our own pages.
    pub app: Option<&'a str>,
    /// Whether the person can use a passkey here.
    pub passkey: bool,
    /// Whether the person can type a one-time code here.
    pub code: bool,
    /// Whether the person can type the password here.
    pub password: bool,
    /// Whether the person can have a code sent by e-mail.
    pub mail: bool,
    /// Whether the person has recovery codes that may be used here.
    pub recovery: bool,
    /// Whether a factor is added by an administrator's link only.
    pub needs_link: bool,
    /// Providers that can confirm it.
    pub providers: Vec<ProviderButton<'a>>,
    /// Why the form is shown again.
    pub problem: Option<Problem>,
    /// Hidden fields that every form sends along.
    pub carried: Carried<'a>,
    /// Where "not now" leads: the portal.
    pub back: &'a str,
}
page!(StepUp, problem);

impl StepUp<'_> {
    /// Why the person is asked, in one sentence.
    fn why(&self) -> String {
        let s = &self.look.w.step_up;
        let app = self.app.unwrap_or(&self.look.name);
        match self.need {
            Need::Two => s.why_two.with(app),
            Need::Three => s.why_three.with(app),
            Need::Fresh => s.why_fresh.to_string(),
            Need::Unavailable => s.why_unavailable.with(app),
        }
    }

    /// Whether there is anything that the person can do on this page.
    fn has_way(&self) -> bool {
        self.need != Need::Unavailable
            && (self.passkey || self.code || self.password || self.mail || !self.providers.is_empty())
    }
}
