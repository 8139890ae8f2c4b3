//! A tenant's minimum: what it means is what a sign-in means by it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use cardea_core::{
    Assurance, Caller, Timestamp,
    caller::UserFacts,
    resources::{AppSpec, PolicyText},
};
use cardea_policy::{Challenge, Engine, Explanation, Facts, Principal, Question, Sources, VerdictWord, built_in};

fn with_minimum(minimum: Option<Assurance>) -> Engine {
    deciding(minimum, r#"@id("all") permit(principal is User, action, resource in App::"records");"#)
}

fn deciding(minimum: Option<Assurance>, text: &str) -> Engine {
    let app: AppSpec = toml::from_str(
        "id = \"records\"\nname = \"R\"\nhosts = [\"r.localhost\"]\n[upstream]\nurl = \"http://127.0.0.1:9\"\n",
    )
    .unwrap();
    let policies = [PolicyText { name: "records".to_owned(), text: text.to_owned() }];
    Engine::compile(&Sources { apps: vec![&app], policies: &policies, minimum, ..Sources::default() }).unwrap()
}

/// The card of a person's request; they could reach 3.
fn told(engine: &Engine, app: &str, assurance: Assurance, factors: &[&str]) -> Explanation {
    let caller = Caller::User(
        UserFacts {
            id: "019a0000-0000-7000-8000-000000000001".parse().unwrap(),
            email: "ida@acme.test".to_owned(),
            name: "Ida".to_owned(),
            groups: vec![built_in::ADMINISTRATORS.parse().unwrap()],
            attributes: cardea_core::Attributes::default(),
        }
        .into(),
    );
    let principal = Principal::of(&caller);
    let target = engine.app(&app.parse().unwrap()).unwrap().locate("GET", "/").unwrap();
    let time = Timestamp::from_secs(1_763_800_000);
    let facts = Facts {
        assurance: Some(assurance),
        signed_in: Some(60),
        factors,
        ..Facts::visitor(time, [10, 0, 0, 1].into(), "GET", "r.localhost", "/")
    };
    let question = Question { principal: &principal, target: &target, facts };
    let card = engine.explain(&question, Assurance::Three);
    assert_eq!(engine.decide(&question).allowed, card.verdict == VerdictWord::Allow);
    card
}

/// Whether it is allowed, by which policies, and what would help.
fn asked(engine: &Engine, app: &str, assurance: Assurance, factors: &[&str]) -> (bool, Vec<String>, Option<Challenge>) {
    let card = told(engine, app, assurance, factors);
    let ids = card.policies.iter().filter(|policy| policy.determined).map(|policy| policy.id.to_string()).collect();
    (card.verdict == VerdictWord::Allow, ids, card.challenge.map(|challenge| challenge.need))
}

#[test]
fn a_providers_people_are_the_providers_to_check() {
    use Assurance::{One, Three, Two};
    let rule = "built-in/minimum-assurance";
    for (minimum, assurance, factors, by, need) in [
        (Two, One, &["password"][..], rule, Some(Challenge::Two)),
        (Two, Two, &["password", "totp"], "all", None),
        (Two, Two, &["password", "remembered"], "all", None),
        (Two, One, &["oidc"], "all", None),
        (Two, One, &["oidc", "password"], "all", None),
        (Two, One, &["linked"], rule, Some(Challenge::Two)),
        (Three, Two, &["password", "totp"], rule, Some(Challenge::Three)),
        (Three, Three, &["passkey"], "all", None),
        (Three, One, &["oidc"], "all", None),
    ] {
        let engine = with_minimum(Some(minimum));
        let wanted = (by == "all", vec![by.to_owned()], need);
        assert_eq!(asked(&engine, "records", assurance, factors), wanted, "{minimum:?} {factors:?}");
        let (portal, ..) = asked(&engine, "cardea-portal", assurance, factors);
        assert!(portal, "{factors:?}");
    }
    // The console asks for more than a provider's word of little worth, whatever the minimum.
    let console =
        |minimum, assurance, factors| asked(&with_minimum(Some(minimum)), "cardea-console", assurance, factors);
    assert_eq!(console(Three, Two, &["password", "totp"]), (false, vec![rule.to_owned()], Some(Challenge::Three)));
    assert_eq!(console(Three, Three, &["passkey"]), (true, vec!["built-in/console".to_owned()], None));
    assert_eq!(console(Two, One, &["oidc"]), (false, vec![], Some(Challenge::Two)));
}

/// Whoever copied a browser, and knows the password, must not change who may do what.
#[test]
fn a_remembered_device_opens_no_console_and_the_real_factor_does() {
    use Assurance::{One, Two};
    let engine = with_minimum(Some(Two));
    let console = |assurance, factors| asked(&engine, "cardea-console", assurance, factors);
    assert_eq!(console(Two, &["password", "remembered"]), (false, vec![], Some(Challenge::Two)), "the code alone");
    assert!(console(Two, &["password", "totp"]).0);
    assert_eq!(console(One, &["password"]).2, Some(Challenge::Two));
}

/// A sign-in is as old as the factor that a remembered device stands in for; that, shown for real, makes it young.
#[test]
fn a_policy_about_the_time_asks_for_what_a_remembered_device_stood_in_for() {
    let young = r#"@id("young") permit(principal is User, action, resource in App::"records") when { context.signed_in < 30 };"#;
    let three = r#"@id("three") permit(principal is User, action, resource in App::"records") when { context.assurance >= 3 };"#;
    for (text, factors, need) in [
        (young, &["password", "totp"][..], Challenge::Fresh),
        (young, &["password", "remembered"], Challenge::Two),
        (three, &["password", "remembered"], Challenge::Three),
    ] {
        let engine = deciding(Some(Assurance::Two), text);
        assert_eq!(
            asked(&engine, "records", Assurance::Two, factors),
            (false, vec![], Some(need)),
            "{text} {factors:?}"
        );
    }
}

#[test]
fn where_one_factor_is_enough_there_is_no_rule() {
    let (none, one) = (with_minimum(None), with_minimum(Some(Assurance::One)));
    assert_eq!((none.policies(), none.hash()), (one.policies(), one.hash()));
    assert!(asked(&one, "records", Assurance::One, &["password"]).0);
    let two = with_minimum(Some(Assurance::Two));
    assert_eq!(two.policies(), one.policies() + 1);
    assert_ne!(two.hash(), one.hash(), "an entry names what decided");
    assert_ne!(two.hash(), with_minimum(Some(Assurance::Three)).hash());
}

#[test]
fn the_card_shows_the_rule_and_whose_it_is() {
    let card = told(&with_minimum(Some(Assurance::Two)), "records", Assurance::One, &["password"]);
    let rule = &card.policies[0];
    assert_eq!(
        (&*rule.id, rule.layer.as_str(), rule.effect.as_str()),
        ("built-in/minimum-assurance", "built-in", "forbid")
    );
    let ticks: Vec<_> = rule.conditions.iter().map(|one| (one.text.as_str(), one.holds)).collect();
    assert_eq!(ticks, [("context.assurance < 2", Some(true)), ("!context.factors.contains(\"oidc\")", Some(true))]);
    assert_eq!(
        card.reason_text,
        "Denied, because `built-in/minimum-assurance` forbids it. It is the tenant's `factors.minimum`. With a second \
         factor (assurance 2) it would be allowed."
    );
}
