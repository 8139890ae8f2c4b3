//! Whether somebody may give their account its first factor beyond the only one (NIST SP 800-63B-4 section 4.1).
//!
//! An account with one factor can ask for no more than that one, and whoever stole it shows just as much as the person does:
//! the thief of a password, or the reader of a mailbox, would add an app of their own, and be the only one who can show two.
//! So what lifts an account rests on more than its only proof: on an administrator's link, on a session that holds
//! assurance 2 by somebody else's word, or on the tenant's saying that a sign-in is enough.

use std::time::Duration;

use cardea_core::{
    Assurance, ProviderId, Reason, Timestamp,
    resources::{Enrol, FactorRules},
};

use crate::{
    assurance::{self, Means, Proof},
    pool::{Factor, FactorKind},
    session::Session,
};

/// How long a sign-in, or a recovery code, counts as one of now where factors are changed. Ten minutes: long enough to find the
/// phone, shorter than a coffee break.
pub const FRESH: Duration = Duration::from_secs(600);

/// Who wants to add a factor, and to what.
#[derive(Debug, Clone, Copy)]
pub struct Adding<'a> {
    /// The session.
    pub session: &'a Session,
    /// What the person has enrolled, and the tenant takes.
    pub usable: &'a [Factor],
    /// The best word of a provider that could still be asked; see [`unheard`].
    pub vouched: Option<Assurance>,
    /// What the tenant says.
    pub rules: &'a FactorRules,
    /// The present moment.
    pub now: Timestamp,
}

/// Refuses what would lift an account on the strength of its only proof. Where the account can show two factors already, this
/// says nothing: they are asked for.
pub fn may_lift(adding: &Adding<'_>) -> Result<(), Reason> {
    let Adding { session, usable, vouched, rules, now } = *adding;
    let lifts = assurance::reachable(&session.proofs, usable, vouched) < Some(Assurance::Two);
    let shown = if recovers(session, now) { Assurance::Two } else { session.shown_assurance() };
    if !lifts || shown >= Assurance::Two || session.by_link || rules.enrol == Enrol::SignIn {
        return Ok(());
    }
    Err(Reason::LinkRequired)
}

/// Whether a link for another factor is of use to whoever shows these proofs: only if they show, beside the mailbox that the
/// link may have gone to, all that the person has, and that their providers could say. Who has nothing but the mailbox is given the
/// link by hand.
pub fn may_use_link(proofs: &[Proof], usable: &[Factor], words: &[(ProviderId, Assurance)]) -> bool {
    let beside: Vec<_> = assurance::shown(proofs).into_iter().filter(|proof| proof.means != Means::Email).collect();
    assurance::of(&beside) >= assurance::in_all(&beside, usable, unheard(&beside, words))
}

/// Whether a recovery code opens the way to the factors now.
pub fn recovers(session: &Session, now: Timestamp) -> bool {
    assurance::recovered(&session.proofs).is_some_and(|at| now.since(at) <= FRESH)
}

/// Whether the tenant's `factors.must_enrol` stands between this session and all but the pages where a second factor is added:
/// its person can show no more than one, could add another, and did not join in this very session. `reachable` is the best
/// that they could show.
///
/// Whoever came by a provider's word is the provider's to check, and nobody is held who could add nothing.
pub fn is_owed(
    session: &Session,
    usable: &[Factor],
    has_account: bool,
    reachable: Assurance,
    rules: &FactorRules,
) -> bool {
    !session.joined
        && !assurance::is_a_providers(&session.proofs)
        && would_be_owed(usable, has_account, reachable, rules)
}

/// The same of somebody of whom no session is known, and whom no provider brought: whether their next sign-in will be held.
pub fn would_be_owed(usable: &[Factor], has_account: bool, reachable: Assurance, rules: &FactorRules) -> bool {
    let could_add = rules.passkey || codes_are_of_use(rules, usable, has_account);
    rules.must_enrol && could_add && reachable < Assurance::Two
}

/// Whether an app's codes are of use to somebody: beside a password, a passkey or an account at a provider. Beside a mailbox they
/// are never asked for, and would be a lock on no door.
pub fn codes_are_of_use(rules: &FactorRules, usable: &[Factor], has_account: bool) -> bool {
    let stands_alone = |factor: &Factor| matches!(factor.kind(), FactorKind::Password | FactorKind::Passkey);
    rules.totp && (has_account || usable.iter().any(stands_alone))
}

/// The best of the words that a person's providers can give, of those still to be heard beside these proofs. Who came by a provider has shown
/// its word, for what it is worth; of whoever else is linked to one, it is still to be asked for: a stolen password must not
/// outgrow a person whose second factor lies there.
pub fn unheard(proofs: &[Proof], words: &[(ProviderId, Assurance)]) -> Option<Assurance> {
    let heard = |provider: &ProviderId| {
        let by = |proof: &Proof| matches!(&proof.means, Means::Oidc { provider: said, .. } if said == provider);
        proofs.iter().any(by)
    };
    words.iter().filter(|(provider, _)| !heard(provider)).map(|(_, worth)| *worth).max()
}

#[cfg(test)]
mod tests {
    use cardea_core::{FactorId, entropy::Fixed, resources::SessionRules};

    use super::*;
    use crate::{
        pool::Origin,
        session::Start,
        testing::{now, passkey_factor, password_factor, recovery_factor, tenant, totp_factor, user},
    };

    fn id() -> FactorId {
        FactorId::mint(now(), &Fixed::new(5))
    }

    fn password() -> Means {
        Means::Password { factor: id() }
    }

    fn corp() -> ProviderId {
        ProviderId::parse("corp").unwrap()
    }

    fn linked(assurance: Assurance) -> Means {
        Means::Oidc { provider: corp(), assurance, origin: Origin::Person, account: None, sid: None }
    }

    fn word(assurance: Assurance) -> Means {
        Means::Oidc { provider: corp(), assurance, origin: Origin::Provider, account: None, sid: None }
    }

    fn session(means: &[Means]) -> Session {
        let proofs = means.iter().map(|means| Proof { means: means.clone(), at: now() }).collect();
        let rules = SessionRules::default();
        let start = Start {
            tenant: tenant(),
            user: user("ada@north.example").id,
            proofs,
            agent: String::new(),
            client: None,
            rules: &rules,
            now: now(),
        };
        Session::begin(start, &Fixed::new(4)).unwrap()
    }

    fn asks(session: &Session, usable: &[Factor], enrol: Enrol, after: u64) -> Result<(), Reason> {
        let rules = FactorRules { enrol, ..FactorRules::default() };
        let now = now().plus(Duration::from_secs(after));
        may_lift(&Adding { session, usable, vouched: None, rules: &rules, now })
    }

    #[test]
    fn the_only_proof_lifts_no_account() {
        let kept = [Means::Recovery { factor: id() }];
        for (what, means, usable) in [
            ("a password alone", vec![password()], vec![password_factor()]),
            ("a mailbox alone", vec![Means::Email], vec![]),
            ("a mailbox, beside a password", vec![Means::Email], vec![password_factor()]),
            ("both together", vec![Means::Email, password()], vec![password_factor()]),
            ("a mailbox beside an app that it is not asked for", vec![Means::Email], vec![totp_factor()]),
            ("a provider's word of 1", vec![word(Assurance::One)], vec![]),
            (
                "a passkey that checked nobody",
                vec![Means::Passkey { factor: id(), user_verified: false, bound: false }],
                vec![passkey_factor(Assurance::One)],
            ),
            ("codes that were kept and not shown", vec![password()], vec![password_factor(), recovery_factor()]),
        ] {
            let begun = session(&means);
            assert_eq!(asks(&begun, &usable, Enrol::Link, 1), Err(Reason::LinkRequired), "{what}");
            // The person with the link, and where the tenant trusts the first use.
            assert_eq!(asks(&begun.linked(now(), &Fixed::new(6)), &usable, Enrol::Link, 1), Ok(()), "{what}");
            assert_eq!(asks(&begun, &usable, Enrol::SignIn, 1), Ok(()), "{what}");
            // A recovery code opens the way for as long as it does.
            let recovered = session(&[&means[..], &kept[..]].concat());
            assert_eq!(asks(&recovered, &usable, Enrol::Link, 600), Ok(()), "{what}");
            assert_eq!(asks(&recovered, &usable, Enrol::Link, 601), Err(Reason::LinkRequired), "{what}");
        }
    }

    #[test]
    fn a_link_is_of_use_to_nobody_who_only_reads_the_mailbox_that_it_went_to() {
        let mail = [Proof { means: Means::Email, at: now() }];
        let both = [Proof { means: password(), at: now() }, mail[0].clone()];
        let own = [password_factor()];
        let may = |proofs: &[Proof], usable: &[Factor]| may_use_link(proofs, usable, &[]);
        assert!(!may(&mail, &own) && may(&both, &own) && may(&both[..1], &own));
        assert!(may(&mail, &[]), "where there is nothing else, the link is handed over");
        assert!(may(&mail, &[recovery_factor()]));
        // An account at a provider is something else.
        let words = |worth| [(corp(), worth)];
        let heard = [mail[0].clone(), Proof { means: linked(Assurance::One), at: now() }];
        for worth in [Assurance::One, Assurance::Two] {
            assert!(!may_use_link(&mail, &[], &words(worth)), "the mailbox beside an account");
            assert!(may_use_link(&heard, &[], &words(worth)), "it has said what it says");
        }
        assert!(may_use_link(&both, &own, &words(Assurance::One)));
        assert!(!may_use_link(&both, &own, &words(Assurance::Two)), "the provider may say more");
        assert!(!may_use_link(&heard, &[totp_factor()], &words(Assurance::One)), "and a code beside it");
    }

    #[test]
    fn a_second_factor_is_owed_by_whoever_has_one_and_could_have_two() {
        let must = FactorRules { must_enrol: true, ..FactorRules::default() };
        let without = |passkey, totp| FactorRules { passkey, totp, ..must.clone() };
        let by_mail = [Means::Email];
        let (one, two) = (Assurance::One, Assurance::Two);
        for (means, usable, reach, rules, owed, what) in [
            (&[password()][..], vec![password_factor()], one, &must, true, "a password alone"),
            (&[password()], vec![password_factor()], one, &FactorRules::default(), false, "nobody asks for it"),
            (&[password()], vec![password_factor(), totp_factor()], two, &must, false, "both are there"),
            (&[password()], vec![passkey_factor(two)], two, &must, false, "a passkey that checks its person is both"),
            (&[password()], vec![password_factor()], two, &must, false, "a provider's word of 2 could be asked for"),
            (&[password()], vec![password_factor(), recovery_factor()], one, &must, true, "kept codes are no factor"),
            (&[word(one)], vec![], one, &must, false, "a provider's person"),
            (&[word(one)], vec![password_factor()], one, &must, false, "who came by a provider, with a password too"),
            (&[linked(one)], vec![], one, &must, true, "an account that they linked is one way in"),
            (&by_mail, vec![], one, &must, true, "a mailbox alone"),
            (&by_mail, vec![], one, &without(false, true), false, "a mailbox, beside which no code is of use"),
            (&[password()], vec![password_factor()], one, &without(false, true), true, "an app could be added"),
            (&[password()], vec![password_factor()], one, &without(true, false), true, "a passkey could be added"),
        ] {
            let begun = session(means);
            assert_eq!(is_owed(&begun, &usable, false, reach, rules), owed, "{what}");
            let joined = Session { joined: true, ..begun };
            assert!(!is_owed(&joined, &usable, false, reach, rules), "{what}, in the session of an invitation");
            let raised = joined.stepped_up(&[], now(), &Fixed::new(7));
            assert!(raised.joined, "a step-up in it is no next sign-in");
        }
        // An app's codes are of use beside an account, where there is no password.
        let (by_account, totp) = (session(&[linked(one)]), without(false, true));
        assert!(is_owed(&by_account, &[], true, one, &totp) && !is_owed(&by_account, &[], false, one, &totp));
    }

    #[test]
    fn a_providers_word_of_two_lifts_one() {
        assert_eq!(asks(&session(&[word(Assurance::Two)]), &[], Enrol::Link, 1), Ok(()));
        let both = session(&[password(), Means::Totp { factor: id() }]);
        assert_eq!(asks(&both, &[password_factor()], Enrol::Link, 1), Ok(()), "the app was taken away just now");
    }

    #[test]
    fn whoever_can_show_two_is_asked_for_them_and_for_no_link() {
        let thief = session(&[password()]);
        for more in [totp_factor(), passkey_factor(Assurance::Two)] {
            assert_eq!(asks(&thief, &[password_factor(), more], Enrol::Link, 1), Ok(()), "the second is asked for");
        }
        let rules = FactorRules::default();
        let adding = |vouched| Adding { session: &thief, usable: &[], vouched, rules: &rules, now: now() };
        assert_eq!(may_lift(&adding(Some(Assurance::Two))), Ok(()), "the provider is asked");
        assert_eq!(may_lift(&adding(Some(Assurance::One))), Err(Reason::LinkRequired));
        let words = [(corp(), Assurance::Two)];
        assert_eq!(unheard(&thief.proofs, &words), Some(Assurance::Two));
        for means in [word(Assurance::One), linked(Assurance::One)] {
            assert_eq!(unheard(&session(std::slice::from_ref(&means)).proofs, &words), None, "it has been heard");
            let others = [words[0].clone(), (ProviderId::parse("other").unwrap(), Assurance::Two)];
            assert_eq!(unheard(&session(&[means]).proofs, &others), Some(Assurance::Two), "of two, the other has not");
        }
    }

    #[test]
    fn a_session_of_before_there_were_links_has_none_and_a_step_up_keeps_one() {
        let begun = session(&[password()]);
        let mut stored = serde_json::to_value(&begun).unwrap();
        assert!(stored.as_object_mut().unwrap().remove("by_link").is_none(), "what is not there is not kept");
        assert!(!serde_json::from_value::<Session>(stored).unwrap().by_link);
        let linked = begun.linked(now(), &Fixed::new(6));
        assert!(linked.by_link && linked.id != begun.id && linked.signed_in_at == begun.signed_in_at);
        assert!(linked.stepped_up(&[], now(), &Fixed::new(7)).by_link);
        // Once it lifted something it is used up: both taken away again, the session lifts nothing more.
        let another = FactorId::mint(now(), &Fixed::new(9));
        let app = Proof { means: Means::Totp { factor: another }, at: now() };
        assert!(!linked.stepped_up(&[app], now(), &Fixed::new(8)).by_link);
    }
}
