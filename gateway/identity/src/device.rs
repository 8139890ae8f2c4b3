//! The mark of a browser in which somebody has signed in, so that strangers' guesses at an account do not slow down the
//! browsers of whoever owns it (see `guard`). It opens nothing: it only says under which counter a try falls.
//!
//! A browser is its owner's once all was shown in it that tells them from a thief: two factors, or what they have where that is
//! less. Whoever has stolen the password alone signs in where one proof is enough, and then guesses at the next among strangers.
//!
//! No store keeps it. The browser does, sealed, so that nobody makes one without having signed in. A key that was replaced
//! opens what it sealed until it is destroyed; a sign-in until then seals it anew, and the browser stays known.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Assurance, Entropy, ProviderId, TenantId, Timestamp, entropy};
use serde::{Deserialize, Serialize};

use crate::{
    assurance::{self, Proof},
    enrolment::unheard,
    guard::Account,
    pool::Factor,
    sealing::{CannotOpen, Sealed, Sealer},
};

/// A browser, and the accounts to which it has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    id: String,
    known: Vec<Seen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    account: Account,
    /// When it was last shown to be its owner's.
    at: Timestamp,
    /// When somebody last signed in, whatever they showed. Marks of before there was a difference have none.
    #[serde(default)]
    met: Timestamp,
}

/// How long a browser is known after a sign-in. Ninety days: longer than a holiday, shorter than a career.
pub const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 3600);

/// Accounts that one browser is known to. Eight: the people who share a bench.
const ACCOUNTS: usize = 8;

/// The longest text that is looked at: eight accounts take a third of it.
const LONGEST: usize = 4096;

impl Device {
    /// A browser that is known to nobody yet.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self { id: URL_SAFE_NO_PAD.encode(entropy::bytes::<16>(entropy)), known: Vec::new() }
    }

    /// Its name in counters.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is the account's owner's, as was shown not too long ago (see [`shows_owner`]).
    pub fn knows(&self, account: &Account, now: Timestamp) -> bool {
        self.known.iter().any(|seen| seen.account == *account && now.since(seen.at) < KNOWN_FOR)
    }

    /// Whether somebody has signed in to the account here, not too long ago, whatever they showed.
    pub fn has_met(&self, account: &Account, now: Timestamp) -> bool {
        self.known.iter().any(|seen| seen.account == *account && now.since(seen.met.max(seen.at)) < KNOWN_FOR)
    }

    /// The same browser, which was shown now to be the account's owner's.
    #[must_use]
    pub fn remember(self, account: Account, now: Timestamp) -> Self {
        self.with(Seen { account, at: now, met: now })
    }

    /// The same browser, in which somebody has signed in to the account now with less. Whose it was it is still.
    #[must_use]
    pub fn meet(self, account: Account, now: Timestamp) -> Self {
        let before = self.known.iter().find(|seen| seen.account == account);
        let at = before.map_or_else(Timestamp::default, |seen| seen.at);
        self.with(Seen { account, at, met: now })
    }

    fn with(mut self, seen: Seen) -> Self {
        self.known.retain(|before| before.account != seen.account);
        self.known.insert(0, seen);
        self.known.truncate(ACCOUNTS);
        self
    }

    /// The text that the browser keeps for the tenant.
    pub fn seal(&self, tenant: &TenantId, sealer: &Sealer, entropy: &dyn Entropy) -> Result<String, CannotOpen> {
        let plain = serde_json::to_vec(self).map_err(|_| CannotOpen)?;
        Ok(sealer.seal(&place(tenant), &plain, entropy)?.as_str().to_owned())
    }

    /// Reads what a browser sent back. What was not sealed by us for this tenant is no device.
    pub fn open(text: &str, tenant: &TenantId, sealer: &Sealer) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let plain = sealer.open(&place(tenant), &Sealed::from_stored(text)).ok()?;
        serde_json::from_slice(plain.expose()).ok()
    }
}

/// Whether these proofs tell the owner of an account with these factors from whoever has stolen one of them: they are worth two
/// factors, or all that there are, and that their providers could say; or a provider brought them, whose people are its own to check.
pub fn shows_owner(proofs: &[Proof], usable: &[Factor], words: &[(ProviderId, Assurance)]) -> bool {
    let shown = assurance::shown(proofs);
    let in_all = assurance::in_all(&shown, usable, unheard(&shown, words));
    assurance::is_a_providers(proofs) || assurance::of(&shown) >= in_all.min(Some(Assurance::Two))
}

fn place(tenant: &TenantId) -> String {
    format!("device/{tenant}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        assurance::Means,
        pool::{Email, Origin},
        testing::{now, passkey_factor, password_factor, recovery_factor, tenant, totp_factor},
    };
    use cardea_core::{ProviderId, Secret, entropy::Fixed};

    fn account(nth: usize) -> Account {
        Account::of(&tenant(), &Email::parse(&format!("p{nth}@north.example")).unwrap())
    }

    #[test]
    fn a_browser_knows_who_signed_in_there_and_forgets_in_time() {
        let device = Device::new(&Fixed::new(1));
        assert!(!device.knows(&account(0), now()));
        let device = device.remember(account(0), now());
        assert!(device.knows(&account(0), now().plus(KNOWN_FOR - Duration::from_secs(1))));
        assert!(!device.knows(&account(0), now().plus(KNOWN_FOR)));
        assert!(!device.knows(&account(1), now()));
        let shared = (1..=ACCOUNTS).fold(device, |device, nth| device.remember(account(nth), now()));
        assert!(!shared.knows(&account(0), now()) && shared.knows(&account(1), now()), "the eldest makes room");
    }

    #[test]
    fn nobody_makes_one_and_it_is_one_tenants() {
        let (sealer, entropy) = (Sealer::new(&Secret::new([3; 32])).unwrap(), Fixed::new(1));
        let device = (0..ACCOUNTS).fold(Device::new(&entropy), |device, nth| device.remember(account(nth), now()));
        let text = device.seal(&tenant(), &sealer, &entropy).unwrap();
        assert_eq!(Device::open(&text, &tenant(), &sealer), Some(device.clone()));
        // RFC 6265 section 4.1.1 names what a cookie's value may hold; browsers keep 4096 bytes.
        assert!(text.len() < LONGEST / 2 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b)));
        let plain = serde_json::to_string(&device).unwrap();
        for forged in [plain.as_str(), "", "null", &text[1..], &"A".repeat(LONGEST + 1)] {
            assert_eq!(Device::open(forged, &tenant(), &sealer), None, "{forged}");
        }
        assert_eq!(Device::open(&text, &TenantId::parse("south").unwrap(), &sealer), None);
        assert_eq!(Device::open(&text, &tenant(), &Sealer::new(&Secret::new([4; 32])).unwrap()), None);
    }

    #[test]
    fn whoever_shows_less_than_there_is_makes_no_browser_the_owners() {
        let hers = Device::new(&Fixed::new(1)).meet(account(0), now());
        assert!(hers.has_met(&account(0), now()) && !hers.knows(&account(0), now()));
        let later = now().plus(KNOWN_FOR - Duration::from_secs(1));
        let hers = hers.remember(account(0), now()).meet(account(0), later);
        assert!(hers.knows(&account(0), later), "it was hers already");
        let too_late = now().plus(KNOWN_FOR);
        assert!(!hers.knows(&account(0), too_late) && hers.has_met(&account(0), too_late), "that was not shown again");
        // A mark of before there was a difference.
        let mut old = serde_json::to_value(Device::new(&Fixed::new(1)).remember(account(0), now())).unwrap();
        old["known"][0].as_object_mut().unwrap().remove("met").unwrap();
        let old: Device = serde_json::from_value(old).unwrap();
        assert!(old.knows(&account(0), now()) && old.has_met(&account(0), now()));
    }

    #[test]
    fn two_factors_show_the_owner_or_all_that_there_are() {
        let own = [password_factor(), totp_factor(), passkey_factor(Assurance::Two), recovery_factor()];
        let [password, totp, passkey, recovery] = own.each_ref().map(Means::by_enrolling);
        let word = Means::Oidc {
            provider: ProviderId::parse("corp").unwrap(),
            assurance: Assurance::One,
            origin: Origin::Provider,
            account: None,
            sid: None,
        };
        let linked = Means::Oidc {
            provider: ProviderId::parse("corp").unwrap(),
            assurance: Assurance::One,
            origin: Origin::Person,
            account: None,
            sid: None,
        };
        for (shown, has, owner) in [
            (vec![password.clone()], &own[..1], true),
            (vec![password.clone()], &own[..2], false),
            (vec![password.clone()], &own[2..3], false),
            (vec![password.clone(), totp], &own[..2], true),
            (vec![password.clone(), recovery.clone()], &own[..], false),
            (vec![password, recovery], &own[..1], true),
            (vec![passkey], &own[..], true),
            (vec![Means::Email], &[], true),
            (vec![Means::Email], &own[..1], true),
            (vec![Means::Email], &own[..2], false),
            (vec![word], &own[..], true),
            (vec![linked.clone()], &own[..2], false),
            (vec![linked], &own[..1], true),
        ] {
            let proofs: Vec<_> = shown.iter().map(|means| Proof { means: means.clone(), at: now() }).collect();
            assert_eq!(shows_owner(&proofs, has, &[]), owner, "{shown:?} of {}", has.len());
        }
    }

    #[test]
    fn who_has_an_account_at_a_provider_has_more_to_show_than_a_password() {
        let corp = || ProviderId::parse("corp").unwrap();
        let (own, at) = ([password_factor(), totp_factor()], now());
        let password = Proof { means: Means::by_enrolling(&own[0]), at };
        let word = Proof {
            means: Means::Oidc {
                provider: corp(),
                assurance: Assurance::One,
                origin: Origin::Person,
                account: None,
                sid: None,
            },
            at,
        };
        for (shown, has, worth, owner) in [
            (&password, &own[..1], Assurance::Two, false),
            (&password, &own[..1], Assurance::One, true),
            (&word, &own[..1], Assurance::Two, true),
            (&word, &[], Assurance::Two, true),
            (&word, &own[1..], Assurance::One, false),
        ] {
            let shown = std::slice::from_ref(shown);
            assert_eq!(shows_owner(shown, has, &[(corp(), worth)]), owner, "{shown:?} of {} and {worth:?}", has.len());
        }
    }

    #[test]
    fn a_key_that_was_replaced_still_tells_the_browser_which_then_has_a_mark_under_the_next() {
        let (old, new, entropy) = (Secret::new([3; 32]), Secret::new([4; 32]), Fixed::new(1));
        let before = Device::new(&entropy).remember(account(0), now());
        let text = before.seal(&tenant(), &Sealer::new(&old).unwrap(), &entropy).unwrap();
        let ring = Sealer::ring([&new, &old]).unwrap();
        let found = Device::open(&text, &tenant(), &ring).unwrap();
        assert_eq!((found.id(), found.knows(&account(0), now())), (before.id(), true));
        let again = found.remember(account(0), now()).seal(&tenant(), &ring, &entropy).unwrap();
        let alone = Sealer::new(&new).unwrap();
        assert_eq!(Device::open(&again, &tenant(), &alone).unwrap().id(), before.id());
        assert_eq!(Device::open(&text, &tenant(), &alone), None, "it was destroyed");
    }
}
