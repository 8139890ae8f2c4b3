//! Assurance, computed from what was proven (NIST SP 800-63B-4 section 2). Nobody types it in.

use cardea_core::{Assurance, FactorId, ProviderId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pool::{Factor, FactorData};

/// One thing that was proven, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How.
    pub means: Means,
    /// When.
    pub at: Timestamp,
}

/// How something was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Means {
    /// Something known.
    Password {
        /// The factor used.
        factor: FactorId,
    },
    /// Something had: an authenticator app.
    Totp {
        /// The factor used.
        factor: FactorId,
    },
    /// Something had, and with user verification something known or been.
    Passkey {
        /// The factor used.
        factor: FactorId,
        /// Whether the authenticator checked the person (UV).
        user_verified: bool,
        /// Whether the key cannot leave its hardware: not backup-eligible, and attested.
        bound: bool,
    },
    /// A provider's word.
    Oidc {
        /// Which provider.
        provider: ProviderId,
        /// What the tenant says its word is worth.
        assurance: Assurance,
    },
}

impl Means {
    /// Its name as policies, entries and `amr` know it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Totp { .. } => "totp",
            Self::Passkey { .. } => "passkey",
            Self::Oidc { .. } => "oidc",
        }
    }

    /// The enrolled factor behind it, if it is one of the pool's.
    pub const fn factor(&self) -> Option<FactorId> {
        match self {
            Self::Password { factor } | Self::Totp { factor } | Self::Passkey { factor, .. } => Some(*factor),
            Self::Oidc { .. } => None,
        }
    }
}

impl Proof {
    /// Whether the other proof replaces this one: the same factor, or the same provider.
    pub fn same_means(&self, other: &Self) -> bool {
        match (&self.means, &other.means) {
            (Means::Oidc { provider: a, .. }, Means::Oidc { provider: b, .. }) => a == b,
            (a, b) => a.factor().is_some() && a.factor() == b.factor(),
        }
    }
}

/// What proofs amount to together; `None` if there is none that stands alone.
///
/// - 3: a passkey with user verification whose key cannot leave its hardware;
/// - 2: a passkey with user verification; or something known (or a provider's word) and something had;
/// - a provider's word is worth what the tenant says, alone;
/// - 1: a password; a passkey without user verification. A one-time code alone is nothing: it is a second factor.
pub fn of(proofs: &[Proof]) -> Option<Assurance> {
    let mut known = false;
    let mut had = false;
    let mut vouched = None;
    let mut best = None;
    for proof in proofs {
        match &proof.means {
            Means::Password { .. } => known = true,
            Means::Totp { .. } => had = true,
            Means::Passkey { user_verified: true, bound, .. } => {
                best = best.max(Some(if *bound { Assurance::Three } else { Assurance::Two }));
            }
            // UV absent: a single factor (SP 800-63B-4 section 3.1.7.1).
            Means::Passkey { .. } => {
                had = true;
                best = best.max(Some(Assurance::One));
            }
            Means::Oidc { assurance, .. } => vouched = vouched.max(Some(*assurance)),
        }
    }
    if known || vouched.is_some() {
        best = best.max(Some(if had { Assurance::Two } else { Assurance::One }));
    }
    best.max(vouched)
}

/// The best assurance that a person could show with the factors they have enrolled, beside what was proven already.
/// A challenge for more than this would be a dead end.
pub fn reachable(proofs: &[Proof], enrolled: &[Factor]) -> Option<Assurance> {
    let now = Timestamp::default();
    let more = enrolled.iter().map(|factor| Proof { means: best_means(factor), at: now });
    of(&proofs.iter().cloned().chain(more).collect::<Vec<_>>())
}

fn best_means(factor: &Factor) -> Means {
    match &factor.data {
        FactorData::Password { .. } => Means::Password { factor: factor.id },
        FactorData::Totp { .. } => Means::Totp { factor: factor.id },
        FactorData::Passkey { reach, .. } => Means::Passkey {
            factor: factor.id,
            user_verified: *reach >= Assurance::Two,
            bound: *reach == Assurance::Three,
        },
    }
}
