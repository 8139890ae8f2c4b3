//! What a stronger sign-in would change. A challenge is computed, never configured.

use serde::{Deserialize, Serialize};

use cardea_core::Assurance;

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

    /// The challenge of that word.
    pub fn from_need(need: &str) -> Option<Self> {
        [Self::SignIn, Self::Fresh, Self::Two, Self::Three].into_iter().find(|one| one.need() == need)
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
