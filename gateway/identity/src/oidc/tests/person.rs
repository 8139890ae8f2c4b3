//! What a provider says of a person, and what that opens here.

use super::*;

fn person(change: &Value, userinfo: Option<&Value>) -> Result<ProviderPerson, Refused> {
    let verified = verify(&json!({ "alg": "ES256", "kid": "es" }), &with(change)).unwrap();
    provider().person(&verified, userinfo)
}

#[test]
fn claims_become_a_person_in_our_words() {
    let ada = person(&json!({ "acr": "mfa" }), None).unwrap();
    assert_eq!(ada.groups, [group("chemists")]);
    assert_eq!((ada.assurance, ada.name.as_deref()), (Assurance::Two, Some("Ada")));
    assert_eq!(ada.email.unwrap().as_str(), "ada@corp.example");
    assert_eq!(person(&json!({ "amr": ["pwd", "phr"] }), None).unwrap().assurance, Assurance::Three);
    assert_eq!(person(&json!({ "acr": "unheard-of" }), None).unwrap().assurance, Assurance::One);
}

#[test]
fn an_address_that_nobody_verified_is_none() {
    for change in
        [json!({ "email_verified": false }), json!({ "email_verified": null }), json!({ "email": "a@b@c.example" })]
    {
        assert_eq!(person(&change, None).unwrap().email, None, "{change}");
    }
    // An address of the token is never vouched for by another source.
    let userinfo = json!({ "sub": "u-1", "email": "boss@corp.example", "email_verified": true });
    assert_eq!(person(&json!({ "email_verified": false }), Some(&userinfo)).unwrap().email, None);
    let missing = person(&json!({ "email": null, "email_verified": null }), Some(&userinfo)).unwrap();
    assert_eq!(missing.email.unwrap().as_str(), "boss@corp.example");
}

#[test]
fn userinfo_about_somebody_else_is_refused() {
    assert!(person(&json!({}), Some(&json!({ "sub": "u-2" }))).is_err());
    assert!(person(&json!({}), Some(&json!({}))).is_err());
}

/// Vaultwarden CVE-2026-47164: an existing account was linked by an address that nobody had verified.
#[test]
fn an_address_opens_an_account_only_where_the_provider_is_trusted_for_it() {
    let ada = person(&json!({}), None).unwrap();
    let active = user("ada@corp.example");
    let invited = User { status: Status::Invited, ..active.clone() };
    let stranger = ProviderSpec { email_domains: vec![], ..spec() };
    let open = ProviderSpec { join: JoinRule::Open, ..stranger.clone() };
    let pool = |by_email| Pool { linked: None, by_email, domain_is_anothers: false };
    assert_eq!(admit(&spec(), &ada, pool(Some(&active))), Admission::Link);
    assert_eq!(admit(&stranger, &ada, pool(Some(&active))), Admission::NotAMember);
    assert_eq!(admit(&open, &ada, pool(Some(&active))), Admission::NotAMember);
    assert_eq!(admit(&spec(), &ada, pool(None)), Admission::NotAMember);
    assert_eq!(admit(&open, &ada, pool(None)), Admission::Join(ada.email.clone().unwrap()));
    let foreign = Pool { domain_is_anothers: true, ..pool(None) };
    assert_eq!(admit(&open, &ada, foreign), Admission::NotAMember);
    let unverified = ProviderPerson { email: None, ..ada.clone() };
    assert_eq!(admit(&open, &unverified, pool(None)), Admission::NotAMember);
    assert_eq!(admit(&spec(), &unverified, pool(Some(&active))), Admission::NotAMember);
    // An invitation that waits is an account of its address: an untrusted provider could name anybody.
    assert_eq!(admit(&spec(), &ada, pool(Some(&invited))), Admission::Link);
    for untrusted in [&stranger, &open] {
        assert_eq!(admit(untrusted, &ada, pool(Some(&invited))), Admission::NotAMember);
    }
    let known = Pool { linked: Some(&active), ..pool(None) };
    assert_eq!(admit(&stranger, &unverified, known), Admission::Known);
}

#[test]
fn a_provider_gives_and_takes_its_own_groups_only() {
    let current = [group("administrators"), group("chemists")];
    assert_eq!(regroup(&spec(), &current, &[]), [group("administrators")]);
    assert_eq!(regroup(&spec(), &[], &[group("chemists"), group("administrators")]), [group("chemists")]);
}
