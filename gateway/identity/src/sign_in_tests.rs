use super::*;
use crate::{
    pool::{Origin, Status},
    return_to::Origins,
    testing::{now, passkey_factor, password_factor, recovery_factor, tenant, totp_factor, user},
};
use cardea_core::entropy::Fixed;

fn destination() -> Destination {
    let origins = Origins { scheme: "https", port: 443 };
    Destination { to: origins.home("records.north.example"), flow: None }
}

fn at_password(ada: &User) -> Flow {
    Flow::begin(tenant(), destination()).identified(ada.email.clone()).unwrap()
}

fn known<'a>(user: &'a User, factors: &'a [Factor], rules: &'a FactorRules) -> Known<'a> {
    Known { user, factors, rules, words: &[] }
}

fn needs(minimum: Assurance) -> FactorRules {
    FactorRules { minimum, ..FactorRules::default() }
}

fn password(factors: &[Factor]) -> Means {
    Means::Password { factor: factors[0].id }
}

fn totp(factors: &[Factor]) -> Means {
    Means::Totp { factor: factors[1].id }
}

#[test]
fn a_password_completes_a_sign_in_where_it_suffices() {
    let ada = user("ada@north.example");
    let factors = [password_factor(), totp_factor()];
    let rules = needs(Assurance::One);
    let step = at_password(&ada).proven(known(&ada, &factors, &rules), password(&factors), now()).unwrap();
    let Step::Done(done) = step else { panic!("more was asked") };
    assert_eq!((done.user, assurance::of(&done.proofs)), (ada.id, Some(Assurance::One)));
}

#[test]
fn where_two_are_needed_the_second_is_asked_for() {
    let ada = user("ada@north.example");
    let factors = [password_factor(), totp_factor()];
    let rules = needs(Assurance::Two);
    let step = at_password(&ada).proven(known(&ada, &factors, &rules), password(&factors), now()).unwrap();
    let Step::Ask(flow) = step else { panic!("one factor was enough") };
    assert_eq!(flow.awaits(), Awaits::Factor(ada.id, &ada.email));
    let Step::Done(done) = flow.proven(known(&ada, &factors, &rules), totp(&factors), now()).unwrap() else {
        panic!("two factors were not enough")
    };
    assert_eq!(assurance::of(&done.proofs), Some(Assurance::Two));
}

/// A remembered device ends a sign-in that awaits a second factor beside the password, and nothing else.
#[test]
fn a_remembered_device_stands_in_where_a_sign_in_asks_for_two() {
    let (ada, bob) = (user("ada@north.example"), user("bob@north.example"));
    let factors = [password_factor(), totp_factor()];
    let rules = needs(Assurance::Two);
    let before = now().minus(std::time::Duration::from_secs(86_400));
    let kept = Proof { means: Means::Remembered { factor: factors[1].id }, at: before };
    let ask = |flow: Flow| match flow.proven(known(&ada, &factors, &rules), password(&factors), now()) {
        Ok(Step::Ask(flow)) => flow,
        other => panic!("{other:?}"),
    };
    let asked = ask(at_password(&ada));
    assert!(asked.may_be_remembered());
    let Step::Done(done) = asked.clone().recalled(known(&ada, &factors, &rules), &kept) else { panic!("it was asked") };
    assert_eq!((done.user, assurance::of(&done.proofs)), (ada.id, Some(Assurance::Two)));
    assert_eq!(done.proofs.last(), Some(&kept), "it says when the factor was really shown");
    // It is no step of a flow by itself, and nobody else's.
    let means = kept.means.clone();
    assert_eq!(
        asked.clone().proven(known(&ada, &factors, &rules), means.clone(), now()).unwrap_err(),
        Reason::SignInExpired
    );
    let real = Proof { means: totp(&factors), at: now() };
    for (what, flow, who, proof) in [
        ("another person", asked.clone(), &bob, &kept),
        ("what is shown goes another way", asked, &ada, &real),
        ("before the password", Flow::begin(tenant(), destination()), &ada, &kept),
        ("in place of the password", at_password(&ada), &ada, &kept),
    ] {
        let step = flow.recalled(known(who, &factors, &rules), proof);
        assert!(matches!(step, Step::Ask(_)), "{what}");
    }
    let session = SessionId::mint(now(), &Fixed::new(1));
    for need in [Need::Assurance(Assurance::Two), Need::Fresh] {
        let flow = Flow::step_up(&ada, session, vec![], need, destination());
        let Ok(Step::Ask(flow)) = flow.proven(known(&ada, &factors, &rules), password(&factors), now()) else {
            continue;
        };
        assert!(matches!(flow.recalled(known(&ada, &factors, &rules), &kept), Step::Ask(_)), "a step-up by {need:?}");
    }
}

/// Whoever came by a remembered device shows both for real where a fresh proof is asked for, and the second where two are.
#[test]
fn a_step_up_takes_no_remembered_device_for_what_it_asks() {
    let ada = user("ada@north.example");
    let factors = [password_factor(), totp_factor(), passkey_factor(Assurance::Two)];
    let rules = needs(Assurance::Two);
    let before = vec![
        Proof { means: password(&factors), at: now() },
        Proof { means: Means::Remembered { factor: factors[1].id }, at: now() },
    ];
    let passkey = Means::Passkey { factor: factors[2].id, user_verified: true, bound: false };
    let done = |need, shown: &[Means]| {
        let session = SessionId::mint(now(), &Fixed::new(1));
        let mut flow = Flow::step_up(&ada, session, before.clone(), need, destination());
        for (nth, means) in shown.iter().enumerate() {
            match flow.proven(known(&ada, &factors, &rules), means.clone(), now()).unwrap() {
                Step::Ask(next) => flow = next,
                Step::Done(_) => return nth + 1 == shown.len(),
            }
        }
        false
    };
    let (two, [word, code]) = (Need::Assurance(Assurance::Two), [password(&factors), totp(&factors)]);
    let one = |need, means: &Means| done(need, std::slice::from_ref(means));
    assert!(one(two, &code) && one(two, &passkey) && !one(two, &word));
    assert!(!one(Need::Fresh, &word) && !one(Need::Fresh, &code) && one(Need::Fresh, &passkey));
    for both in [[word.clone(), code.clone()], [code.clone(), word.clone()], [word.clone(), passkey.clone()]] {
        assert!(done(Need::Fresh, &both), "{both:?}");
    }
    // What its page asks for next.
    let real = assurance::shown(&before);
    for (begun, shown, lacking) in [
        (&before, vec![], Some(Lacks::Person)),
        (&before, vec![&code], Some(Lacks::Person)),
        (&before, vec![&word], Some(Lacks::Second)),
        (&before, vec![&word, &code], None),
        (&before, vec![&passkey], None),
        (&real, vec![&code], Some(Lacks::Person)),
        (&real, vec![&word], None),
    ] {
        let new: Vec<_> = shown.iter().map(|means| Proof { means: Means::clone(means), at: now() }).collect();
        assert_eq!(lacks(begun, &new), lacking, "{shown:?}");
    }
}

#[test]
fn who_has_no_second_factor_is_told_so() {
    let ada = user("ada@north.example");
    let factors = [password_factor()];
    let rules = needs(Assurance::Two);
    let refused = at_password(&ada).proven(known(&ada, &factors, &rules), password(&factors), now());
    assert_eq!(refused.unwrap_err(), Reason::FactorNotAllowed);
}

/// Where a tenant asks for two factors and a person has one, an administrator's link lets them in to add the second; it asks
/// nobody for less than they have, and opens nothing to another.
#[test]
fn a_link_lets_its_person_in_with_all_that_they_have() {
    let (ada, bob) = (user("ada@north.example"), user("bob@north.example"));
    let (rules, both) = (needs(Assurance::Two), [password_factor(), totp_factor()]);
    let step = |user: &User, factors: &[Factor], owner: &User| {
        at_password(user).to_enrol(owner.id).proven(known(user, factors, &rules), password(factors), now())
    };
    assert!(matches!(step(&ada, &both[..1], &ada), Ok(Step::Done(_))));
    assert!(matches!(step(&ada, &both, &ada), Ok(Step::Ask(_))), "the second is asked for");
    assert_eq!(step(&bob, &both[..1], &ada).unwrap_err(), Reason::FactorNotAllowed, "another's link");
}

/// Requirement P5: every step out of order is refused.
#[test]
fn steps_out_of_order_are_refused() {
    let ada = user("ada@north.example");
    let bob = user("bob@north.example");
    let factors = [password_factor(), totp_factor(), passkey_factor(Assurance::Two)];
    let passkey = Means::Passkey { factor: factors[2].id, user_verified: true, bound: false };
    let rules = needs(Assurance::Two);
    let begin = || Flow::begin(tenant(), destination());
    let at_factor = || match at_password(&ada).proven(known(&ada, &factors, &rules), password(&factors), now()) {
        Ok(Step::Ask(flow)) => flow,
        _ => panic!("no second factor asked for"),
    };
    let expired = |outcome: Result<Step, Reason>| assert_eq!(outcome.unwrap_err(), Reason::SignInExpired);

    expired(begin().proven(known(&ada, &factors, &rules), password(&factors), now()));
    expired(begin().proven(known(&ada, &factors, &rules), totp(&factors), now()));
    expired(at_password(&ada).proven(known(&ada, &factors, &rules), totp(&factors), now()));
    expired(at_password(&ada).proven(known(&ada, &factors, &rules), passkey.clone(), now()));
    expired(at_password(&ada).proven(known(&bob, &factors, &rules), password(&factors), now()));
    expired(at_factor().proven(known(&bob, &factors, &rules), totp(&factors), now()));
    expired(at_factor().proven(known(&ada, &factors, &rules), password(&factors), now()));
    assert_eq!(at_factor().identified(bob.email.clone()).unwrap_err(), Reason::SignInExpired);
    assert_eq!(begin().spend_challenge().unwrap_err(), Reason::SignInExpired);
    assert_eq!(at_factor().spend_challenge().unwrap_err(), Reason::SignInExpired);
    let provider = ProviderId::parse("corp").unwrap();
    assert_eq!(begin().back_from(&provider).unwrap_err(), Reason::SignInExpired);
    assert!(at_factor().proven(known(&ada, &factors, &rules), passkey, now()).is_ok());
}

#[test]
fn a_factor_that_the_tenant_forbids_proves_nothing() {
    let ada = user("ada@north.example");
    let factors = [password_factor()];
    let rules = FactorRules { password: false, ..FactorRules::default() };
    let refused = at_password(&ada).proven(known(&ada, &factors, &rules), password(&factors), now());
    assert_eq!(refused.unwrap_err(), Reason::FactorNotAllowed);
}

#[test]
fn who_may_not_enter_does_not_by_any_factor() {
    let mut ada = user("ada@north.example");
    let factors = [password_factor()];
    for status in [Status::Invited, Status::Suspended, Status::Deleted] {
        ada.status = status;
        let rules = FactorRules::default();
        let refused = at_password(&ada).proven(known(&ada, &factors, &rules), password(&factors), now());
        assert_eq!(refused.unwrap_err(), Reason::UserSuspended);
    }
}

#[test]
fn another_tenants_person_proves_nothing_here() {
    let mut ada = user("ada@north.example");
    let factors = [password_factor()];
    let flow = at_password(&ada);
    ada.tenant = TenantId::parse("south").unwrap();
    let refused = flow.proven(known(&ada, &factors, &FactorRules::default()), password(&factors), now());
    assert_eq!(refused.unwrap_err(), Reason::FactorRejected);
}

fn stepping_up(ada: &User, factors: &[Factor], need: Need) -> Flow {
    let session = SessionId::mint(now(), &Fixed::new(1));
    let before = vec![Proof { means: password(factors), at: now() }];
    Flow::step_up(ada, session, before, need, destination())
}

#[test]
fn a_step_up_takes_the_missing_factor_of_the_same_person() {
    let ada = user("ada@north.example");
    let bob = user("bob@north.example");
    let factors = [password_factor(), totp_factor()];
    let rules = FactorRules::default();
    let flow = || stepping_up(&ada, &factors, Need::Assurance(Assurance::Two));
    let Step::Done(done) = flow().proven(known(&ada, &factors, &rules), totp(&factors), now()).unwrap() else {
        panic!("the second factor was not enough")
    };
    assert_eq!(done.proofs.len(), 1, "only what is new");
    let refused = flow().proven(known(&bob, &factors, &rules), totp(&factors), now());
    assert_eq!(refused.unwrap_err(), Reason::FactorRejected, "somebody else's factor raised the session");
    // The password again is nothing new: the second factor is still asked for.
    assert!(matches!(flow().proven(known(&ada, &factors, &rules), password(&factors), now()), Ok(Step::Ask(_))));
}

#[test]
fn a_fresh_proof_is_more_than_a_code() {
    let ada = user("ada@north.example");
    let factors = [password_factor(), totp_factor()];
    let rules = FactorRules::default();
    let flow = || stepping_up(&ada, &factors, Need::Fresh);
    assert!(matches!(flow().proven(known(&ada, &factors, &rules), totp(&factors), now()), Ok(Step::Ask(_))));
    assert!(matches!(flow().proven(known(&ada, &factors, &rules), password(&factors), now()), Ok(Step::Done(_))));
}

/// A lost telephone: the sign-in ends with the code, and the session is worth what it was without.
#[test]
fn a_recovery_code_ends_the_asking_and_raises_nothing() {
    let ada = user("ada@north.example");
    let factors = [password_factor(), totp_factor(), recovery_factor()];
    let code = || Means::Recovery { factor: factors[2].id };
    let rules = needs(Assurance::Two);
    let step = at_password(&ada).proven(known(&ada, &factors, &rules), password(&factors), now()).unwrap();
    let Step::Ask(flow) = step else { panic!("one factor was enough") };
    assert!(flow.takes_recovery());
    let Step::Done(done) = flow.proven(known(&ada, &factors, &rules), code(), now()).unwrap() else {
        panic!("more was asked")
    };
    assert_eq!(assurance::of(&done.proofs), Some(Assurance::One));
    assert_eq!(assurance::recovered(&done.proofs), Some(now()));

    for level in [Assurance::Two, Assurance::Three] {
        let flow = stepping_up(&ada, &factors, Need::Assurance(level));
        let Step::Done(done) = flow.proven(known(&ada, &factors, &rules), code(), now()).unwrap() else {
            panic!("more was asked")
        };
        let before = [Proof { means: password(&factors), at: now() }];
        assert_eq!(assurance::of(&assurance::joined(&before, &done.proofs)), Some(Assurance::One), "{level:?}");
    }
}

#[test]
fn a_recovery_code_is_no_first_proof_no_fresh_one_and_nobody_elses() {
    let (ada, bob) = (user("ada@north.example"), user("bob@north.example"));
    let factors = [password_factor(), totp_factor(), recovery_factor()];
    let code = || Means::Recovery { factor: factors[2].id };
    let rules = needs(Assurance::Two);
    let refused = |flow: Flow, of: &User, rules: &FactorRules| {
        flow.proven(known(of, &factors, rules), code(), now()).unwrap_err()
    };
    assert_eq!(refused(Flow::begin(tenant(), destination()), &ada, &rules), Reason::SignInExpired);
    assert_eq!(refused(at_password(&ada), &ada, &rules), Reason::SignInExpired);
    assert_eq!(refused(stepping_up(&ada, &factors, Need::Fresh), &ada, &rules), Reason::SignInExpired);
    assert_eq!(refused(Flow::invited(&ada, destination()), &ada, &rules), Reason::SignInExpired);
    let two = Need::Assurance(Assurance::Two);
    assert_eq!(refused(stepping_up(&ada, &factors, two), &bob, &rules), Reason::FactorRejected);
    let without = FactorRules { recovery: false, ..needs(Assurance::Two) };
    assert_eq!(refused(stepping_up(&ada, &factors, two), &ada, &without), Reason::FactorNotAllowed);
}

/// Who has struck off the second factor and not added another is still let in by a code, to do so.
#[test]
fn who_has_but_codes_beside_the_password_is_asked_for_one() {
    let ada = user("ada@north.example");
    let factors = [password_factor(), recovery_factor()];
    let (rules, without) = (needs(Assurance::Two), FactorRules { recovery: false, ..needs(Assurance::Two) });
    let step = |rules| at_password(&ada).proven(known(&ada, &factors, rules), password(&factors), now());
    assert!(matches!(step(&rules), Ok(Step::Ask(_))));
    assert_eq!(step(&without).unwrap_err(), Reason::FactorNotAllowed);
}

#[test]
fn recovery_codes_are_for_who_has_something_to_lose_and_something_to_show() {
    let (password, totp, passkey) = (password_factor(), totp_factor(), passkey_factor(Assurance::Two));
    let rules = FactorRules::default();
    for (factors, vouched, may) in [
        (vec![], false, false),
        (vec![password.clone()], true, false),
        (vec![password.clone(), totp.clone()], false, true),
        (vec![password.clone(), passkey.clone()], false, true),
        (vec![passkey.clone()], false, false),
        (vec![passkey.clone()], true, true),
        (vec![password, recovery_factor()], false, false),
    ] {
        assert_eq!(may_keep_recovery_codes(&rules, &factors, vouched), may, "{factors:?}");
        let off = FactorRules { recovery: false, ..FactorRules::default() };
        assert!(!may_keep_recovery_codes(&off, &factors, vouched));
    }
}

#[test]
fn a_providers_answer_belongs_to_the_provider_that_was_asked() {
    let (corp, other) = (ProviderId::parse("corp").unwrap(), ProviderId::parse("other").unwrap());
    let sent = || Flow::begin(tenant(), destination()).sent_to(corp.clone(), Attempt::for_tests()).unwrap();
    assert_eq!(sent().back_from(&other).unwrap_err(), Reason::SignInExpired);
    let (flow, _) = sent().back_from(&corp).unwrap();
    let ada = user("ada@north.example");
    let vouched = Means::Oidc {
        provider: corp.clone(),
        assurance: Assurance::One,
        origin: Origin::Provider,
        account: None,
        sid: None,
    };
    let rules = needs(Assurance::Two);
    assert!(matches!(flow.proven(known(&ada, &[], &rules), vouched, now()), Ok(Step::Done(_))));
}

#[test]
fn a_flow_survives_the_store() {
    let ada = user("ada@north.example");
    let kept = serde_json::to_vec(&at_password(&ada)).unwrap();
    let back: Flow = serde_json::from_slice(&kept).unwrap();
    assert_eq!(back.awaits(), Awaits::Password(&ada.email));
}

#[test]
fn an_accepted_invitation_needs_no_second_factor_to_enrol_one() {
    let ada = user("ada@north.example");
    let factors = [password_factor(), totp_factor()];
    let rules = needs(Assurance::Two);
    let flow = || Flow::invited(&ada, destination());
    assert!(matches!(flow().proven(known(&ada, &factors, &rules), password(&factors), now()), Ok(Step::Done(_))));
    assert!(flow().proven(known(&ada, &factors, &rules), totp(&factors), now()).is_err());
}
