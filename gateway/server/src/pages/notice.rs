//! A page that says one thing: what happened, why, and what to do next.

use askama::Template;
use axum::http::StatusCode;

use super::{Look, Page};

/// What happened, why, what next.
#[derive(Debug, Template)]
#[template(path = "notice.html")]
pub struct Notice<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// The status that it is answered with.
    pub status: StatusCode,
    /// What the page shows beside its title.
    pub tone: Tone,
    /// What happened.
    pub title: String,
    /// Why, in one or two sentences.
    pub why: String,
    /// What to do next, in one sentence.
    pub next: String,
    /// The account that was refused, so that a no to the wrong one is understood.
    pub signed_in_as: Option<String>,
    /// Buttons: the first is the main one.
    pub steps: Vec<Step>,
    /// The request's id, to be copied; none where no entry was written.
    pub request_id: Option<String>,
}

impl Page for Notice<'_> {
    fn look(&self) -> &Look {
        self.look
    }

    fn status(&self) -> StatusCode {
        self.status
    }
}

/// How a notice looks: always a shape beside the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A no.
    No,
    /// Something is missing or too old: the person can mend it.
    Mend,
    /// Something of ours or behind us is broken.
    Fault,
}

/// One way on.
#[derive(Debug, Clone)]
pub struct Step {
    /// What the button says.
    pub text: String,
    /// Where it leads.
    pub href: String,
}
