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
    session::GRACE,
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
    /// The keys that it had before, the last one last. A browser forgets them: whoever shows one has a copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    spent: Vec<TicketHash>,
}

/// Keys that are known again after their use: the last ones. A hundred: a month of three sign-ins a day. Whoever shows an older one is
/// asked for the factor as a stranger is.
const SPENT: usize = 100;

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
            spent: Vec::new(),
        }
    }

    /// The same device, which stood in for the factor now, by a key that is spent from then on.
    #[must_use]
    pub fn used_at(mut self, key: TicketHash, place: Place<'_>, now: Timestamp) -> Self {
        let forgotten = (self.spent.len() + 1).saturating_sub(SPENT);
        self.spent.drain(..forgotten);
        self.spent.push(key);
        Self { agent: place.agent, client: Some(place.client), used: Some(now), ..self }
    }

    /// Whether it is that browser, as far as its mark tells: a copy of it has the same.
    pub fn is_in(&self, browser: &Device) -> bool {
        self.browser == browser.id()
    }

    /// Whether two hold this device: a key that was used up is shown again in its browser. Not where it is the last one and was used
    /// within the minute ([`GRACE`]): that is a form sent twice.
    pub fn was_copied(&self, browser: &Device, key: &TicketHash, now: Timestamp) -> bool {
        let is_last = self.spent.last() == Some(key);
        let is_late = is_last && self.used.is_some_and(|at| now.since(at) <= GRACE);
        self.is_in(browser) && self.spent.contains(key) && !is_late
    }

    /// Whether that is what it showed where it stood in.
    pub fn stood_in(&self, proof: &Proof) -> bool {
        *proof == self.shown_as()
    }

    /// What it shows where it stands in.
    const fn shown_as(&self) -> Proof {
        Proof { means: Means::Remembered { factor: self.factor }, at: self.shown }
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
        let here = browser.is_some_and(|browser| self.is_in(browser));
        let in_time = self.shown <= now && now < self.expires(rules);
        let taken = usable(rules, factors).iter().any(|factor| factor.id == self.factor);
        let stands = theirs && here && in_time && taken;
        stands.then(|| self.shown_as())
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
        let used = kept.clone().used_at(TicketHash::from_bytes([1; 32]), place(&hers), now().plus(days(7)));
        assert_eq!(
            (used.id, used.shown, used.expires(&rules)),
            (kept.id, now(), now().plus(days(30))),
            "use prolongs nothing"
        );
    }

    #[test]
    fn a_key_that_was_used_up_tells_of_a_copy_unless_a_form_was_sent_twice() {
        let (hers, other) = (Device::new(&Fixed::new(1)), Device::new(&Fixed::new(2)));
        let factors = [password_factor(), totp_factor()];
        let place = || Place { browser: &hers, agent: String::new(), client: [192, 0, 2, 7].into() };
        let kept =
            Remembered::new(&user("ada@north.example"), &factors, factors[1].id, place(), (now(), &Fixed::new(3)));
        let key = |nth| TicketHash::from_bytes([nth; 32]);
        let mut used = kept.clone();
        for nth in 1..=3 {
            used = used.used_at(key(nth), place(), now());
        }
        let second = Duration::from_secs(1);
        for (what, device, browser, shown, after, copied) in [
            ("the last one, at once", &used, &hers, 3, GRACE, false),
            ("the last one, later", &used, &hers, 3, GRACE + second, true),
            ("the one before, at once", &used, &hers, 2, second, true),
            ("an old one", &used, &hers, 1, days(20), true),
            ("in a browser without the mark", &used, &other, 1, days(20), false),
            ("one that it never had", &used, &hers, 9, days(20), false),
            ("one of a device that was not used yet", &kept, &hers, 1, days(20), false),
        ] {
            assert_eq!(device.was_copied(browser, &key(shown), now().plus(after)), copied, "{what}");
        }
        for nth in 4..=103 {
            used = used.used_at(key(nth), place(), now());
        }
        let known = |nth| used.was_copied(&hers, &key(nth), now().plus(days(1)));
        assert_eq!((used.spent.len(), known(3), known(4)), (SPENT, false, true));
        assert_eq!(serde_json::from_value::<Remembered>(serde_json::to_value(&used).unwrap()).unwrap(), used);
        let mut older = serde_json::to_value(&kept).unwrap();
        assert!(older.as_object_mut().unwrap().remove("spent").is_none(), "what is not there is not kept");
        assert_eq!(serde_json::from_value::<Remembered>(older).unwrap(), kept);
    }
}
