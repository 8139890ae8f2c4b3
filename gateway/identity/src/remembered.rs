//! A remembered device: a browser in which somebody's second factor was really shown, and which stands in for it at later
//! sign-ins, for as many days as the tenant allows.
//!
//! It is no factor: whoever copies all that the browser keeps has it. So it is worth two factors beside a password and nothing
//! more, says when the factor was really shown, and is no proof for whoever wants one of now or changes what an account can
//! show. It is one browser's and one person's, and ends with whatever changes their factors.

use std::{net::IpAddr, time::Duration};

use cardea_core::{DeviceId, Entropy, FactorId, Timestamp, UserId, resources::FactorRules};
use serde::{Deserialize, Serialize};

use crate::{
    assurance::{Means, Proof},
    device::Device,
    invitation::basis,
    pool::{Factor, User},
    sign_in::usable,
    token::TicketHash,
};

/// What is kept of a remembered device, under the hash of the key that its browser holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Its name in entries and in the portal. The key changes with every use, and this does not.
    pub id: DeviceId,
    /// Whose second factor was shown.
    pub user: UserId,
    /// The browser, as its own mark names it: the key alone opens nothing.
    browser: String,
    /// Which factor.
    pub factor: FactorId,
    /// When it was really shown.
    pub shown: Timestamp,
    /// Names the factors that the person had then. Once they are others, this stands in for none.
    basis: TicketHash,
    /// The browser, shortened to what a person recognises.
    pub agent: String,
    /// From where it was last seen.
    pub client: Option<IpAddr>,
    /// When it last stood in for the factor.
    pub used: Option<Timestamp>,
}

/// Where a device is, as its person recognises it.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The browser's mark.
    pub browser: &'a Device,
    /// The browser, shortened.
    pub agent: String,
    /// From where.
    pub client: IpAddr,
}

/// How long a tenant lets a device be remembered; not at all where it says nothing.
pub fn life(rules: &FactorRules) -> Option<Duration> {
    rules.remember_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600))
}

impl Remembered {
    /// A device in which `factor`, one of the person's, was shown just now.
    pub fn new(
        user: &User,
        factors: &[Factor],
        factor: FactorId,
        place: Place<'_>,
        by: (Timestamp, &dyn Entropy),
    ) -> Self {
        let (now, entropy) = by;
        Self {
            id: DeviceId::mint(now, entropy),
            user: user.id,
            browser: place.browser.id().to_owned(),
            factor,
            shown: now,
            basis: basis(factors),
            agent: place.agent,
            client: Some(place.client),
            used: None,
        }
    }

    /// The same device, which stood in for the factor now.
    #[must_use]
    pub fn used_at(self, place: Place<'_>, now: Timestamp) -> Self {
        Self { agent: place.agent, client: Some(place.client), used: Some(now), ..self }
    }

    /// When it is forgotten, used or not; now, where the tenant lets none be remembered any more.
    pub fn expires(&self, rules: &FactorRules) -> Timestamp {
        self.shown.plus(life(rules).unwrap_or_default())
    }

    /// What it stands in for, if it still does: for this person as they are now, in that browser, as the tenant allows.
    pub fn proof(
        &self,
        user: &User,
        factors: &[Factor],
        browser: Option<&Device>,
        (rules, now): (&FactorRules, Timestamp),
    ) -> Option<Proof> {
        let theirs = self.user == user.id && user.may_enter() && self.basis == basis(factors);
        let here = browser.is_some_and(|browser| browser.id() == self.browser);
        let in_time = self.shown <= now && now < self.expires(rules);
        let taken = usable(rules, factors).iter().any(|factor| factor.id == self.factor);
        let stands = theirs && here && in_time && taken;
        stands.then_some(Proof { means: Means::Remembered { factor: self.factor }, at: self.shown })
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::entropy::Fixed;

    use super::*;
    use crate::{
        pool::Status,
        testing::{now, password_factor, totp_factor, user},
    };

    fn days(count: u64) -> Duration {
        Duration::from_secs(count * 24 * 3600)
    }

    #[test]
    fn it_stands_in_for_one_factor_of_one_person_in_one_browser_for_a_time() {
        let (ada, ben) = (user("ada@north.example"), user("ben@north.example"));
        let (hers, other) = (Device::new(&Fixed::new(1)), Device::new(&Fixed::new(2)));
        let factors = [password_factor(), totp_factor()];
        let rules = FactorRules { remember_days: Some(30), ..FactorRules::default() };
        let place = |browser| Place { browser, agent: String::new(), client: [192, 0, 2, 7].into() };
        let kept = Remembered::new(&ada, &factors, factors[1].id, place(&hers), (now(), &Fixed::new(3)));
        let of = |user, factors: &[Factor], browser, rules: &FactorRules, after| {
            kept.proof(user, factors, browser, (rules, now().plus(after)))
        };
        let proof = Proof { means: Means::Remembered { factor: factors[1].id }, at: now() };
        let last = days(30) - Duration::from_secs(1);
        assert_eq!(of(&ada, &factors, Some(&hers), &rules, last), Some(proof), "the time at which it was really shown");
        let more = [factors.to_vec(), vec![totp_factor()]].concat();
        let off = FactorRules { remember_days: None, ..rules.clone() };
        let fewer = FactorRules { remember_days: Some(29), ..rules.clone() };
        let without = FactorRules { totp: false, ..rules.clone() };
        let suspended = User { status: Status::Suspended, ..ada.clone() };
        for (what, user, factors, browser, rules, after) in [
            ("too late", &ada, &factors[..], Some(&hers), &rules, days(30)),
            ("the tenant says less by now", &ada, &factors, Some(&hers), &fewer, last),
            ("the tenant lets none be remembered", &ada, &factors, Some(&hers), &off, days(0)),
            ("the tenant takes no such factor", &ada, &factors, Some(&hers), &without, days(0)),
            ("another browser", &ada, &factors, Some(&other), &rules, days(0)),
            ("a browser without a mark", &ada, &factors, None, &rules, days(0)),
            ("another person", &ben, &factors, Some(&hers), &rules, days(0)),
            ("somebody suspended", &suspended, &factors, Some(&hers), &rules, days(0)),
            ("a factor less", &ada, &factors[1..], Some(&hers), &rules, days(0)),
            ("a factor more", &ada, &more, Some(&hers), &rules, days(0)),
        ] {
            assert_eq!(of(user, factors, browser, rules, after), None, "{what}");
        }
        let before = now().minus(Duration::from_secs(1));
        assert_eq!(kept.proof(&ada, &factors, Some(&hers), (&rules, before)), None, "a clock that was set back");
        let used = kept.clone().used_at(place(&hers), now().plus(days(7)));
        assert_eq!(
            (used.id, used.shown, used.expires(&rules)),
            (kept.id, now(), now().plus(days(30))),
            "use prolongs nothing"
        );
    }
}
