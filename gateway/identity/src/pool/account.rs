//! Accounts at providers by which people of the pool sign in.

use std::{collections::BTreeSet, fmt};

use cardea_core::{FactorId, ProviderId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Factor;

/// A person as an identity provider names them. The pair is the key; an e-mail address never is (OpenID Connect Core
/// 1.0 section 5.7).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkedIdentity {
    /// The provider, as the tenant names it.
    pub provider: ProviderId,
    /// The issuer at the time of linking: a provider pointed elsewhere does not inherit its people.
    pub issuer: String,
    /// The provider's `sub`.
    pub subject: String,
}

/// An account at a provider by which a person of the pool signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedAccount {
    /// Which.
    pub identity: LinkedIdentity,
    /// When it was linked; of one person's accounts it names this one.
    pub linked: Timestamp,
    /// When it was last signed in with.
    pub used: Option<Timestamp>,
    /// How it came to be theirs.
    pub origin: Origin,
    /// Whether an entry tells of it: not, where linking it broke off before that.
    pub told: bool,
    /// Whether the provider said that it is disabled over there, and not since that it is enabled: it opens nothing.
    pub off: bool,
}

/// How an account at a provider came to be somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub enum Origin {
    /// By the provider's word, which brought the person: they are the provider's to check.
    #[default]
    Provider,
    /// By the person of the pool, who linked it from inside: it is one of their ways to sign in, like what they enrolled.
    Person,
}

impl Origin {
    /// Whether it is the provider's word.
    pub const fn is_provider(&self) -> bool {
        matches!(self, Self::Provider)
    }
}

/// As it is kept: whether it is the person's own.
impl From<bool> for Origin {
    fn from(own: bool) -> Self {
        if own { Self::Person } else { Self::Provider }
    }
}

impl From<Origin> for bool {
    fn from(origin: Origin) -> Self {
        !origin.is_provider()
    }
}

impl LinkedAccount {
    /// Whether the provider's word brought the person by it.
    pub const fn is_brought(&self) -> bool {
        self.origin.is_provider()
    }

    /// What addresses call it.
    pub fn id(&self) -> AccountId {
        AccountId::of(&self.identity.provider, self.linked)
    }
}

/// What addresses call one of a person's accounts: its provider and the moment in which it was linked. The account over there is
/// nobody's to read there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(String);

impl AccountId {
    /// Of the account at that provider which was linked then.
    pub fn of(provider: &ProviderId, linked: Timestamp) -> Self {
        Self(format!("{provider}-{}", linked.as_micros()))
    }

    /// As addresses write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody has to sign in with, by name: what a judgement was made by, so that the step that counts can see whether it is so
/// still.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Had {
    /// Factors.
    pub factors: BTreeSet<FactorId>,
    /// Accounts at providers, those included that open nothing.
    pub accounts: BTreeSet<AccountId>,
}

impl Had {
    /// All of these.
    pub fn of(factors: &[Factor], accounts: &[LinkedAccount]) -> Self {
        Self {
            factors: factors.iter().map(|factor| factor.id).collect(),
            accounts: accounts.iter().map(LinkedAccount::id).collect(),
        }
    }
}
