//! Linking: whoever is signed in here goes to a provider and comes back with an account there, which opens theirs from then on. It
//! is no sign-in: nothing is proven by it, and the session stays as it was.
//!
//! INVARIANT: an account is linked in the session that set out for it and in no other, to the person of that session and to nobody
//! else, at the provider that the person said yes to, and by what was judged when it set out. An answer that is put into somebody
//! else's browser links nothing.

use cardea_core::{ProviderId, Reason, SessionId, UserId};

use super::{Aim, Destination, Flow, State};
use crate::pool::{Had, User};

impl Flow {
    /// Sets out to link an account at a provider to `user`, who has proven in this session all that adding a way to sign in takes;
    /// `had` is what it was judged by.
    pub fn link(user: &User, session: SessionId, at: ProviderId, had: Had, destination: Destination) -> Self {
        let aim = Aim::Link { session, user: user.id, at, had };
        Self { tenant: user.tenant.clone(), destination, aim, state: State::Identity, enrols: None }
    }

    /// To whom the account is linked, and what it was judged by, if this is what it set out for. `here` is the session
    /// of the browser that came back.
    pub fn links(&self, here: Option<SessionId>) -> Result<Option<(UserId, &Had)>, Reason> {
        match &self.aim {
            Aim::Link { session, user, had, .. } if here == Some(*session) => Ok(Some((*user, had))),
            Aim::Link { .. } => Err(Reason::SessionEnded),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::{Assurance, entropy::Fixed, resources::FactorRules};

    use super::*;
    use crate::{
        assurance::{self, Means, Proof},
        oidc::Attempt,
        pool::{Factor, Origin},
        return_to::Origins,
        sign_in::{Known, Step},
        testing::{now, password_factor, recovery_factor, totp_factor, user},
    };

    fn provider() -> ProviderId {
        ProviderId::parse("work").unwrap()
    }

    fn destination() -> Destination {
        let origins = Origins { scheme: "https", port: 443 };
        Destination { to: origins.home("north.example"), flow: None }
    }

    fn session(seed: u64) -> SessionId {
        SessionId::mint(now(), &Fixed::new(seed))
    }

    fn back(flow: Flow) -> Flow {
        let sent = flow.sent_to(provider(), Attempt::for_tests()).unwrap();
        sent.back_from(&provider()).unwrap().0
    }

    #[test]
    fn an_account_is_linked_in_the_session_that_set_out_and_in_no_other() {
        let ada = user("ada@north.example");
        let had = Had::of(&[password_factor()], &[]);
        let flow = back(Flow::link(&ada, session(1), provider(), had.clone(), destination()));
        assert_eq!(flow.links(Some(session(1))), Ok(Some((ada.id, &had))));
        assert_eq!(flow.links(Some(session(2))), Err(Reason::SessionEnded), "another session, whoever's");
        assert_eq!(flow.links(None), Err(Reason::SessionEnded), "nobody's");
        assert_eq!(Flow::begin(ada.tenant, destination()).links(Some(session(1))), Ok(None));
    }

    #[test]
    fn an_account_is_linked_at_the_provider_that_was_confirmed_and_at_no_other() {
        let ada = user("ada@north.example");
        let flow = || Flow::link(&ada, session(1), provider(), Had::default(), destination());
        let corp = ProviderId::parse("corp").unwrap();
        assert_eq!(flow().sent_to(corp, Attempt::for_tests()).unwrap_err(), Reason::SignInExpired);
        assert!(flow().sent_to(provider(), Attempt::for_tests()).is_ok());
    }

    #[test]
    fn it_proves_nothing_and_is_sent_out_once() {
        let ada = user("ada@north.example");
        let flow = Flow::link(&ada, session(1), provider(), Had::default(), destination());
        assert!(flow.clone().identified(ada.email.clone()).is_err());
        let sent = flow.sent_to(provider(), Attempt::for_tests()).unwrap();
        assert!(sent.clone().sent_to(provider(), Attempt::for_tests()).is_err());
        let known = Known { user: &ada, factors: &[], rules: &FactorRules::default(), words: &[] };
        let word = Means::Oidc {
            provider: provider(),
            assurance: Assurance::Two,
            origin: Origin::Person,
            account: None,
            sid: None,
        };
        assert!(matches!(
            back(Flow::link(&ada, session(1), provider(), Had::default(), destination())).proven(known, word, now()),
            Err(Reason::SignInExpired)
        ));
    }

    #[test]
    fn whoever_linked_an_account_is_below_no_minimum_by_it() {
        let ada = user("ada@north.example");
        let rules = FactorRules { minimum: Assurance::Two, ..FactorRules::default() };
        let comes = |factors: &[Factor], assurance, own: bool| {
            let word = Means::Oidc { provider: provider(), assurance, origin: own.into(), account: None, sid: None };
            let flow = Flow::begin(ada.tenant.clone(), destination());
            flow.proven(Known { user: &ada, factors, rules: &rules, words: &[] }, word, now())
        };
        let both = [password_factor(), totp_factor()];
        assert!(
            matches!(comes(&both, Assurance::One, false), Ok(Step::Done(_))),
            "the provider's people are its own to check"
        );
        assert!(matches!(comes(&both, Assurance::Two, true), Ok(Step::Done(_))), "its word is enough");
        let Ok(Step::Ask(asks)) = comes(&both, Assurance::One, true) else { panic!("a way around the second factor") };
        let known = Known { user: &ada, factors: &both, rules: &rules, words: &[] };
        let device = Proof { means: Means::Remembered { factor: both[1].id }, at: now() };
        assert!(!asks.may_be_remembered(), "a device is remembered beside a password only");
        assert!(matches!(asks.clone().recalled(known, &device), Step::Ask(_)), "and stands in beside one only");
        let code = Means::Totp { factor: both[1].id };
        assert!(matches!(asks.proven(known, code, now()), Ok(Step::Done(_))), "a word and something had");
        for too_little in [&[password_factor()][..], &[]] {
            assert!(matches!(comes(too_little, Assurance::One, true), Err(Reason::WordTooWeak)));
        }
        // Who has lost the second factor comes in as beside a password: to where it is replaced, and no further.
        let kept = [password_factor(), recovery_factor()];
        let Ok(Step::Ask(asks)) = comes(&kept, Assurance::One, true) else { panic!("no way back") };
        let code = Means::Recovery { factor: kept[1].id };
        let Ok(Step::Done(done)) = asks.proven(Known { factors: &kept, ..known }, code, now()) else {
            panic!("no way back")
        };
        assert_eq!(assurance::of(&done.proofs), Some(Assurance::One));
        assert!(!assurance::is_a_providers(&done.proofs), "the apps would take them for the provider's to check");
    }
}
