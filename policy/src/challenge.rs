//! What a stronger sign-in would change. A challenge is computed, never configured.

use serde::{Deserialize, Serialize};

use cardea_core::{Assurance, Caller};

use crate::{Engine, Question};

/// The least that would turn a no into a yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    /// Somebody must sign in at all.
    #[serde(rename = "sign-in")]
    SignIn,
    /// The sign-in is too long ago.
    #[serde(rename = "fresh")]
    Fresh,
    /// Assurance 2 is needed, freshly proven.
    #[serde(rename = "2")]
    Two,
    /// Assurance 3 is needed, freshly proven.
    #[serde(rename = "3")]
    Three,
}

impl Challenge {
    /// The word for it in addresses and answers: `sign-in`, `fresh`, `2` or `3`.
    pub const fn need(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Fresh => "fresh",
            Self::Two => "2",
            Self::Three => "3",
        }
    }

    /// The assurance that it asks for, where it asks for one.
    pub const fn assurance(self) -> Option<Assurance> {
        match self {
            Self::SignIn | Self::Fresh => None,
            Self::Two => Some(Assurance::Two),
            Self::Three => Some(Assurance::Three),
        }
    }
}

/// What stands among the factors where a remembered device stood in for one: a step-up takes the real one, and it is gone.
const REMEMBERED: &str = "remembered";

/// Puts the question again with what stronger sign-ins would bring, the least first.
///
/// A visitor is always asked to sign in: who it will be, and so what will be allowed, is not known before. Services and
/// workloads do not sign in, so nothing can be asked of them. A step-up proves a factor anew, so it is a fresh sign-in
/// too; to reach assurance 3 takes a passkey, so policies that ask for that factor are met as well. Where a remembered device
/// stood in for the second factor, the least is that factor: the first was shown to begin with.
pub(crate) fn least(engine: &Engine, question: &Question<'_>, reach: Assurance) -> Option<Challenge> {
    match question.principal.caller() {
        Caller::Visitor if !engine.decide(question).allowed => return Some(Challenge::SignIn),
        Caller::User(_) => {}
        Caller::Visitor | Caller::Service { .. } | Caller::Workload { .. } => return None,
    }
    let now = question.facts.assurance;
    if engine.decide(question).allowed {
        return None;
    }
    let remembered = question.facts.factors.contains(&REMEMBERED);
    let shown = if remembered { now.min(Some(Assurance::One)) } else { now };
    let stronger = |need: Challenge| match need.assurance() {
        Some(level) => level <= reach && Some(level) > shown,
        None => !remembered,
    };
    [Challenge::Fresh, Challenge::Two, Challenge::Three].into_iter().filter(|need| stronger(*need)).find(|need| {
        let real = question.facts.factors.iter().copied().filter(|factor| *factor != REMEMBERED);
        let factors: Vec<&str> = real.chain((*need == Challenge::Three).then_some("passkey")).collect();
        let mut facts = question.facts;
        facts.signed_in = Some(0);
        facts.assurance = need.assurance().or(now);
        facts.factors = &factors;
        engine.decide(&Question { facts, ..*question }).allowed
    })
}
