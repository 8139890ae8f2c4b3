//! Preflights are reached because a policy says so, made of the app's `[cors]`; and addresses that an app does not have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]

use cardea_core::{
    Assurance, Caller, Timestamp,
    caller::UserFacts,
    resources::{AppSpec, PolicyText},
};
use cardea_policy::{Engine, Explanation, Facts, Principal, Question, Sources, Target, VerdictWord};

const SHARED: &str = "[cors]\norigins = [\"https://lab.example\"]\n";

fn app(id: &str, rest: &str) -> AppSpec {
    let text = format!(
        "id = \"{id}\"\nname = \"N\"\nhosts = [\"{id}.localhost\"]\n{rest}\n[upstream]\nurl = \"http://127.0.0.1:9\"\n"
    );
    toml::from_str(&text).unwrap()
}

fn texts(text: &str) -> Vec<PolicyText> {
    vec![PolicyText { name: "own".to_owned(), text: text.to_owned() }]
}

fn engine(apps: &[AppSpec], policies: &[PolicyText], guard_rails: &[PolicyText]) -> Engine {
    Engine::compile(&Sources { apps: apps.iter().collect(), policies, guard_rails, ..Sources::default() })
        .unwrap_or_else(|found| panic!("{found}"))
}

fn told(engine: &Engine, caller: &Caller, target: &Target) -> Explanation {
    let principal = Principal::of(caller);
    let time = Timestamp::from_secs(1_763_800_000);
    let facts = Facts::visitor(time, [10, 0, 0, 1].into(), "OPTIONS", "records.localhost", "/x");
    let question = Question { principal: &principal, target, facts };
    let card = engine.explain(&question, Assurance::Three);
    assert_eq!(engine.decide(&question).allowed, card.verdict == VerdictWord::Allow);
    card
}

fn preflight(engine: &Engine, app: &str) -> Option<Target> {
    engine.app(&app.parse().unwrap()).unwrap().preflight("/x")
}

#[test]
fn a_rule_of_the_apps_own_permits_its_preflights_and_nothing_else() {
    let apps = [app("records", SHARED), app("wiki", "")];
    let engine = engine(&apps, &[], &[]);
    let target = preflight(&engine, "records").unwrap();
    let card = told(&engine, &Caller::Visitor, &target);
    assert_eq!(card.verdict, VerdictWord::Allow);
    let rule = &card.policies[0];
    assert_eq!(
        (&*rule.id, rule.layer.as_str(), card.action.as_str()),
        ("built-in/preflight-records", "built-in", "preflight")
    );
    for method in ["OPTIONS", "GET", "POST"] {
        let target = engine.app(&"records".parse().unwrap()).unwrap().locate(method, "/x").unwrap();
        assert_ne!(told(&engine, &Caller::Visitor, &target).verdict, VerdictWord::Allow, "{method}");
    }
    assert!(preflight(&engine, "wiki").is_none(), "it declares nothing");
    assert!(preflight(&engine, "cardea-console").is_none(), "ours are for their own pages");
    let user = Caller::User(
        UserFacts {
            id: "019a0000-0000-7000-8000-000000000001".parse().unwrap(),
            email: "ida@acme.test".to_owned(),
            name: "Ida".to_owned(),
            groups: vec![],
            attributes: cardea_core::Attributes::default(),
        }
        .into(),
    );
    assert_eq!(told(&engine, &user, &target).verdict, VerdictWord::Deny, "no browser sends a session with it");
}

#[test]
fn guard_rails_and_the_tenants_own_policies_stand_above_it() {
    let apps = [app("records", SHARED)];
    let rail =
        r#"@id("inside") forbid(principal, action, resource) unless { context.client.isInRange(ip("192.0.2.0/24")) };"#;
    let own = r#"@id("none") forbid(principal, action == Action::"preflight", resource);"#;
    for (engine, by) in
        [(engine(&apps, &[], &texts(rail)), "guard-rail/inside"), (engine(&apps, &texts(own), &[]), "none")]
    {
        let card = told(&engine, &Caller::Visitor, &preflight(&engine, "records").unwrap());
        let by_whom: Vec<_> = card.policies.iter().filter(|one| one.determined).map(|one| &*one.id).collect();
        // A visitor is always asked to sign in, which a preflight cannot: it fails, as it should.
        assert_eq!((card.verdict, by_whom), (VerdictWord::Challenge, vec![by]));
    }
}

#[test]
fn it_is_in_the_hash_and_only_where_it_is_declared() {
    let (plain, shared) = ([app("records", "")], [app("records", SHARED)]);
    let (before, after) = (engine(&plain, &[], &[]), engine(&shared, &[], &[]));
    assert_eq!(after.policies(), before.policies() + 1);
    assert_ne!(before.hash(), after.hash(), "an entry names what decided");
    assert_eq!(after.hash(), Sources { apps: shared.iter().collect(), ..Sources::default() }.hash());
    assert!(!before.schema().contains("preflight") && after.schema().contains("action \"preflight\" in [\"read\"]"));
    // The name is taken from then on, and no sooner.
    let named = "[[actions]]\nmethod = \"POST\"\npattern = \"/fly\"\naction = \"preflight\"\n";
    engine(&[app("wiki", named)], &[], &[]);
    let both = [app("wiki", named), app("records", SHARED)];
    let found = Engine::check(&Sources { apps: both.iter().collect(), ..Sources::default() }).to_string();
    assert!(found.contains("action `preflight` is what apps with `[cors]` are asked by browsers"), "{found}");
}

#[test]
fn an_app_may_have_no_addresses_but_those_it_names() {
    let patterns = "[[resources]]\npattern = \"/records/{record}\"\ntype = \"Record\"\n";
    let strict = app("records", &format!("unmatched = \"deny\"\n{SHARED}{patterns}"));
    let apps = [strict, app("wiki", "")];
    let engine = engine(&apps, &[], &[]);
    let model = engine.app(&"records".parse().unwrap()).unwrap();
    assert_eq!(&**model.locate("GET", "/records/1").unwrap().resource_type(), "Record");
    assert!(model.locate("GET", "/records/1/").is_some() && model.preflight("/records/1").is_some());
    for path in ["/", "/Records/1", "/records", "/records/1/x", "/RECORDS/1"] {
        assert!(model.locate("GET", path).is_none() && model.preflight(path).is_none(), "{path}");
    }
    assert!(model.knows("GET") && !model.knows("PURGE"));
    let open = engine.app(&"wiki".parse().unwrap()).unwrap();
    assert_eq!(&**open.locate("GET", "/Records/1").unwrap().resource_type(), "App");
}
