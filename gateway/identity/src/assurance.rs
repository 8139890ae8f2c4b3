//! Assurance, computed from what was proven (NIST SP 800-63B-4 section 2). Nobody types it in.

use cardea_core::{Assurance, FactorId, ProviderId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pool::{AccountId, Factor, FactorData, Origin};

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
    /// One of the codes that were kept for the case that a second factor is lost.
    Recovery {
        /// The set that it was of.
        factor: FactorId,
    },
    /// A device in which that factor was really shown, at the time of the proof, and which stands in for it (see
    /// [`crate::remembered`]). It does so beside a password only: the word about a linked account is another browser's sign-in
    /// elsewhere, and two things that a browser keeps are no two factors.
    Remembered {
        /// The factor that it stands in for.
        factor: FactorId,
    },
    /// A code that was sent to the person's address.
    Email,
    /// A provider's word.
    Oidc {
        /// Which provider.
        provider: ProviderId,
        /// What the tenant says its word is worth.
        assurance: Assurance,
        /// How the account that it is about came to be theirs.
        #[serde(rename = "own", default, skip_serializing_if = "Origin::is_provider")]
        origin: Origin,
        /// Which account. Unknown of what was shown before this was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountId>,
        /// What the provider calls its own session with the person (`sid`), where it said so: it may say later that this one is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sid: Option<String>,
    },
}

impl Means {
    /// The name of a recovery code, for who asks a session's names for it.
    pub const RECOVERY: &'static str = "recovery";

    /// The name of a provider's word about one of its own people, for who asks a session's names for it.
    pub const PROVIDER: &'static str = "oidc";

    /// A name of [`Self::name`] as it was kept; none where no means has it.
    pub fn known_name(text: &str) -> Option<&'static str> {
        const NAMES: [&str; 8] =
            ["password", "totp", "passkey", Means::RECOVERY, "remembered", "email", Means::PROVIDER, "linked"];
        NAMES.into_iter().find(|known| *known == text)
    }

    /// What somebody has shown by enrolling this factor: a code of the app, or a passkey's answer, which enrolment takes
    /// from an authenticator only that has checked its person. That a key is bound to its hardware it does not show.
    pub const fn by_enrolling(factor: &Factor) -> Self {
        let id = factor.id;
        match &factor.data {
            FactorData::Password { .. } => Self::Password { factor: id },
            FactorData::Totp { .. } => Self::Totp { factor: id },
            FactorData::Passkey { .. } => Self::Passkey { factor: id, user_verified: true, bound: false },
            FactorData::Recovery { .. } => Self::Recovery { factor: id },
        }
    }

    /// Its name as policies, entries and `amr` know it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Totp { .. } => "totp",
            Self::Passkey { .. } => "passkey",
            Self::Recovery { .. } => Self::RECOVERY,
            Self::Remembered { .. } => "remembered",
            Self::Email => "email",
            Self::Oidc { origin: Origin::Provider, .. } => Self::PROVIDER,
            Self::Oidc { origin: Origin::Person, .. } => "linked",
        }
    }

    /// The enrolled factor behind it, if it is one of the pool's.
    pub const fn factor(&self) -> Option<FactorId> {
        match self {
            Self::Password { factor }
            | Self::Totp { factor }
            | Self::Passkey { factor, .. }
            | Self::Recovery { factor }
            | Self::Remembered { factor } => Some(*factor),
            Self::Email | Self::Oidc { .. } => None,
        }
    }
}

impl Means {
    /// Whether this rests on that account. A word of which it is not known about which it was rests on each at its provider.
    pub fn rests_on(&self, id: &AccountId, at: &ProviderId) -> bool {
        match self {
            Self::Oidc { account: Some(account), .. } => account == id,
            Self::Oidc { provider, account: None, .. } => provider == at,
            _ => false,
        }
    }

    /// Whether it was given in the provider's session of that name, as far as is known: a word without one may have been.
    pub fn given_in(&self, named: &str) -> bool {
        matches!(self, Self::Oidc { sid, .. } if sid.as_ref().is_none_or(|sid| sid == named))
    }
}

impl Proof {
    /// Whether the other proof replaces this one: the same factor, the same provider, or the mailbox again.
    pub fn same_means(&self, other: &Self) -> bool {
        match (&self.means, &other.means) {
            (Means::Oidc { provider: a, .. }, Means::Oidc { provider: b, .. }) => a == b,
            (Means::Email, Means::Email) => true,
            (a, b) => a.factor().is_some() && a.factor() == b.factor(),
        }
    }
}

/// Whether whoever shows these is one of a provider's own people, who are the provider's to check: what the pool asks of its own
/// (its minimum, a second factor) is not asked of them. An account that a person of the pool linked makes nobody that.
pub fn is_a_providers(proofs: &[Proof]) -> bool {
    proofs.iter().any(|proof| matches!(proof.means, Means::Oidc { origin: Origin::Provider, .. }))
}

/// What proofs amount to together; `None` if there is none that stands alone.
///
/// - 3: a passkey with user verification whose key cannot leave its hardware;
/// - 2: a passkey with user verification; or something known (or a provider's word) and something had;
/// - a provider's word is worth what the tenant says, alone;
/// - 1: a password; a passkey without user verification. A one-time code alone is nothing: it is a second factor.
///
/// A code by e-mail is worth 1, beside whatever: it shows that somebody reads the mailbox, and no device that they hold (SP
/// 800-63B-4 section 3.1.3.1: e-mail is no way for an out-of-band authenticator). So it is neither something known nor
/// something had, and makes no second factor, nor is one beside it: password and mail, or mail and an app's code, stay 1.
///
/// A recovery code adds nothing, beside whatever: SP 800-63B-4 section 4.2 lets it open the way to a new authenticator,
/// and counts it as none. Paper is copied without a trace. What it opens is said by [`recovered`].
///
/// A remembered device stands in for something had, beside a password and nothing else, where the tenant wants that: so it is
/// worth 2 at the most, and a provider's word, about a linked account or another, stays what it is.
pub fn of(proofs: &[Proof]) -> Option<Assurance> {
    let mut known = false;
    let mut had = false;
    let mut remembered = false;
    let mut vouched = None;
    let mut best = None;
    for proof in proofs {
        match &proof.means {
            Means::Password { .. } => known = true,
            Means::Totp { .. } => had = true,
            Means::Remembered { .. } => remembered = true,
            Means::Passkey { user_verified: true, bound, .. } => {
                best = best.max(Some(if *bound { Assurance::Three } else { Assurance::Two }));
            }
            // UV absent: a single factor (SP 800-63B-4 section 3.1.7.1).
            Means::Passkey { .. } => {
                had = true;
                best = best.max(Some(Assurance::One));
            }
            Means::Email => best = best.max(Some(Assurance::One)),
            Means::Recovery { .. } => {}
            Means::Oidc { assurance, .. } => vouched = vouched.max(Some(*assurance)),
        }
    }
    if known || vouched.is_some() {
        let two = had || known && remembered;
        best = best.max(Some(if two { Assurance::Two } else { Assurance::One }));
    }
    best.max(vouched)
}

/// What was really shown of these: all but what a remembered device stood in for.
pub fn shown(proofs: &[Proof]) -> Vec<Proof> {
    proofs.iter().filter(|proof| !matches!(proof.means, Means::Remembered { .. })).cloned().collect()
}

/// The same proofs, without a remembered device where it adds nothing to what was really shown. Nor does it beside a recovery code:
/// whoever shows one has lost what the device stands in for, and puts another factor in its place as anybody else does.
pub fn settled(proofs: Vec<Proof>) -> Vec<Proof> {
    let real = shown(&proofs);
    if of(&real) >= of(&proofs) || recovered(&real).is_some() { real } else { proofs }
}

/// The time that counts as that of the sign-in where these are its proofs and the last was shown at `at`: where a remembered
/// device stands in for one, the time at which that was really shown.
pub fn since(proofs: &[Proof], at: Timestamp) -> Timestamp {
    let remembered = proofs.iter().filter(|proof| matches!(proof.means, Means::Remembered { .. }));
    remembered.map(|proof| proof.at).fold(at, Timestamp::min)
}

/// When a recovery code was last shown beside something that stands alone: a code and a bound factor, or a kept code and one
/// sent by mail, are what SP 800-63B-4 section 4.2.2.2 asks of whoever recovers an account of assurance 2. For a while after it, and for nothing
/// but this, the person may add and remove factors as if they had shown their second one.
pub fn recovered(proofs: &[Proof]) -> Option<Timestamp> {
    of(proofs)?;
    proofs.iter().filter(|proof| matches!(proof.means, Means::Recovery { .. })).map(|proof| proof.at).max()
}

/// The best assurance that a person could show with the factors they have enrolled, beside what was really shown already. A
/// challenge for more than this would be a dead end. Where a provider can sign them in, `vouched` is the best that the
/// tenant gives to its word.
pub fn reachable(proofs: &[Proof], enrolled: &[Factor], vouched: Option<Assurance>) -> Option<Assurance> {
    let now = Timestamp::default();
    let more: Vec<_> = enrolled.iter().map(|factor| Proof { means: best_means(factor), at: now }).collect();
    of(&joined(&shown(proofs), &more)).max(vouched)
}

/// The best that a person could show in all: the same, and a provider's word that is still to be heard together with something had.
pub fn in_all(proofs: &[Proof], enrolled: &[Factor], unheard: Option<Assurance>) -> Option<Assurance> {
    let had = |factor: &Factor| matches!(factor.data, FactorData::Totp { .. } | FactorData::Passkey { .. });
    let both = unheard.and(enrolled.iter().any(had).then_some(Assurance::Two));
    reachable(proofs, enrolled, unheard).max(both)
}

/// Old proofs and new ones; a new proof of the same factor or provider replaces the old one.
pub fn joined(before: &[Proof], new: &[Proof]) -> Vec<Proof> {
    let kept = before.iter().filter(|old| !new.iter().any(|proof| proof.same_means(old)));
    kept.chain(new).cloned().collect()
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
        FactorData::Recovery { .. } => Means::Recovery { factor: factor.id },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, passkey_factor, password_factor, recovery_factor, totp_factor};
    use cardea_core::entropy::Fixed;

    fn id() -> FactorId {
        FactorId::mint(now(), &Fixed::new(5))
    }

    fn proofs(means: &[Means]) -> Vec<Proof> {
        means.iter().map(|means| Proof { means: means.clone(), at: now() }).collect()
    }

    #[test]
    fn assurance_follows_from_what_was_shown() {
        let password = Means::Password { factor: id() };
        let totp = Means::Totp { factor: id() };
        let passkey = |user_verified, bound| Means::Passkey { factor: id(), user_verified, bound };
        let recovery = Means::Recovery { factor: id() };
        let remembered = Means::Remembered { factor: id() };
        let provider = ProviderId::parse("corp").unwrap();
        let oidc = |assurance| Means::Oidc {
            provider: provider.clone(),
            assurance,
            origin: Origin::Provider,
            account: None,
            sid: None,
        };
        let linked = Means::Oidc {
            provider: provider.clone(),
            assurance: Assurance::One,
            origin: Origin::Person,
            account: None,
            sid: None,
        };
        for (shown, level) in [
            (vec![], None),
            (vec![password.clone()], Some(Assurance::One)),
            (vec![totp.clone()], None),
            (vec![totp.clone(), totp.clone()], None),
            (vec![password.clone(), password.clone()], Some(Assurance::One)),
            (vec![password.clone(), totp.clone()], Some(Assurance::Two)),
            (vec![passkey(true, false)], Some(Assurance::Two)),
            (vec![passkey(true, true)], Some(Assurance::Three)),
            (vec![passkey(false, true)], Some(Assurance::One)),
            (vec![passkey(false, false), password.clone()], Some(Assurance::Two)),
            (vec![passkey(false, false), totp.clone()], Some(Assurance::One)),
            (vec![oidc(Assurance::One)], Some(Assurance::One)),
            (vec![oidc(Assurance::Two)], Some(Assurance::Two)),
            (vec![oidc(Assurance::One), totp.clone()], Some(Assurance::Two)),
            (vec![recovery.clone()], None),
            (vec![recovery.clone(), totp.clone()], None),
            (vec![password.clone(), recovery.clone()], Some(Assurance::One)),
            (vec![oidc(Assurance::One), recovery.clone()], Some(Assurance::One)),
            (vec![passkey(false, false), recovery.clone()], Some(Assurance::One)),
            (vec![password.clone(), recovery.clone(), totp.clone()], Some(Assurance::Two)),
            (vec![Means::Email], Some(Assurance::One)),
            (vec![Means::Email, Means::Email], Some(Assurance::One)),
            (vec![password.clone(), Means::Email], Some(Assurance::One)),
            (vec![Means::Email, totp.clone()], Some(Assurance::One)),
            (vec![Means::Email, recovery.clone(), totp.clone()], Some(Assurance::One)),
            (vec![passkey(false, true), Means::Email], Some(Assurance::One)),
            (vec![oidc(Assurance::One), Means::Email], Some(Assurance::One)),
            (vec![passkey(true, false), Means::Email], Some(Assurance::Two)),
            (vec![remembered.clone()], None),
            (vec![password.clone(), remembered.clone()], Some(Assurance::Two)),
            (vec![passkey(false, true), remembered.clone()], Some(Assurance::One)),
            (vec![Means::Email, remembered.clone()], Some(Assurance::One)),
            (vec![oidc(Assurance::One), remembered.clone()], Some(Assurance::One)),
            (vec![linked.clone(), remembered.clone()], Some(Assurance::One)),
            (vec![linked, password.clone(), remembered.clone()], Some(Assurance::Two)),
            (vec![recovery, remembered.clone(), totp.clone()], None),
            (vec![passkey(true, false), remembered], Some(Assurance::Two)),
            (vec![password, Means::Email, totp], Some(Assurance::Two)),
        ] {
            assert_eq!(of(&proofs(&shown)), level, "{shown:?}");
        }
    }

    #[test]
    fn a_remembered_device_goes_where_the_real_thing_is_shown() {
        let at = |seconds| now().plus(std::time::Duration::from_secs(seconds));
        let proof = |means: Means, seconds| Proof { means, at: at(seconds) };
        let [app, other] = [1, 2].map(|seed| FactorId::mint(now(), &Fixed::new(seed)));
        let password = proof(Means::Password { factor: id() }, 900);
        let begun = [password.clone(), proof(Means::Remembered { factor: app }, 0)];
        assert_eq!((settled(begun.to_vec()), shown(&begun)), (begun.to_vec(), vec![password.clone()]));
        assert_eq!((since(&begun, at(900)), since(&begun[..1], at(900))), (at(0), at(900)));
        // Another factor beside it does as well; the password once more does not.
        let passkey = Means::Passkey { factor: other, user_verified: true, bound: false };
        for (new, rests) in [
            (Means::Totp { factor: app }, false),
            (Means::Totp { factor: other }, false),
            (passkey, false),
            (Means::Password { factor: id() }, true),
            (Means::Email, true),
        ] {
            let after = settled(joined(&begun, &[proof(new.clone(), 950)]));
            assert_eq!(of(&after), Some(Assurance::Two), "{new:?}");
            assert_eq!(after != shown(&after), rests, "{new:?}");
        }
        let lost = proof(Means::Recovery { factor: other }, 950);
        let after = settled(joined(&begun, std::slice::from_ref(&lost)));
        assert_eq!((after, recovered(&[password.clone(), lost.clone()])), (vec![password, lost], Some(at(950))));
    }

    #[test]
    fn a_recovery_code_recovers_beside_something_that_stands_alone() {
        let recovery = || Means::Recovery { factor: id() };
        assert_eq!(recovered(&proofs(&[Means::Password { factor: id() }])), None);
        assert_eq!(recovered(&proofs(&[recovery()])), None);
        assert_eq!(recovered(&proofs(&[Means::Totp { factor: id() }, recovery()])), None);
        let mut shown = proofs(&[Means::Password { factor: id() }, recovery(), recovery()]);
        shown[1].at = now().plus(std::time::Duration::from_secs(9));
        assert_eq!(recovered(&shown), Some(shown[1].at), "the last one counts");
    }

    #[test]
    fn enrolling_shows_possession_and_no_more() {
        let after = |before: &[Means], factor: &Factor| {
            let shown = proofs(&[Means::by_enrolling(factor)]);
            of(&joined(&proofs(before), &shown))
        };
        let password = Means::Password { factor: id() };
        assert_eq!(after(&[], &password_factor()), Some(Assurance::One));
        assert_eq!(after(&[], &totp_factor()), None, "a code alone is nothing");
        let known = std::slice::from_ref(&password);
        assert_eq!(after(known, &recovery_factor()), Some(Assurance::One), "nor is having made codes");
        assert_eq!(after(std::slice::from_ref(&password), &totp_factor()), Some(Assurance::Two));
        assert_eq!(after(&[password], &passkey_factor(Assurance::Two)), Some(Assurance::Two));
        assert_eq!(after(&[], &passkey_factor(Assurance::Three)), Some(Assurance::Two), "bound is not shown by it");
    }

    #[test]
    fn a_challenge_never_asks_for_more_than_the_person_has() {
        let signed_in = proofs(&[Means::Password { factor: id() }]);
        let reach = |factors: &[Factor]| reachable(&signed_in, factors, None);
        assert_eq!(reach(&[password_factor()]), Some(Assurance::One));
        assert_eq!(reach(&[password_factor(), totp_factor()]), Some(Assurance::Two));
        assert_eq!(reach(&[passkey_factor(Assurance::Two)]), Some(Assurance::Two));
        assert_eq!(reach(&[password_factor(), recovery_factor()]), Some(Assurance::One));
        assert_eq!(reachable(&signed_in, &[], Some(Assurance::Three)), Some(Assurance::Three));
        // What a device stands in for is theirs to show only as long as it can be asked for.
        let by_device = proofs(&[Means::Password { factor: id() }, Means::Remembered { factor: id() }]);
        assert_eq!(reachable(&by_device, &[password_factor()], None), Some(Assurance::One));
        assert_eq!(reachable(&by_device, &[password_factor(), totp_factor()], None), Some(Assurance::Two));
    }
}
