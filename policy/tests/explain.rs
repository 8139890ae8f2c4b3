//! What an administrator reads on a decision card.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]

use cardea_core::{
    Assurance, Caller, GroupId, Timestamp,
    caller::UserFacts,
    resources::{AppSpec, PolicyText},
};
use cardea_policy::{Engine, Explanation, Facts, Principal, Question, Sources, VerdictWord};

const POLICIES: &str = r#"
// Chemists write in their study.
@id("own-study")
permit(principal in Group::"chemists", action in Action::"write", resource is Record in App::"records")
when { resource.study == "S-1" && context.assurance >= 2 }
unless { context.client.isInRange(ip("192.0.2.0/24"))
  || context.path == "/" };

@id("leads")
permit(principal in Group::"leads", action, resource in App::"records");

@id("readers")
permit(principal, action in Action::"read", resource in App::"records");
"#;

fn explained(path: &str, groups: &[&str], assurance: Assurance) -> Explanation {
    told(POLICIES, &ida(groups), path, Some(assurance))
}

fn ida(groups: &[&str]) -> Caller {
    Caller::User(
        UserFacts {
            id: "019a0000-0000-7000-8000-000000000001".parse().unwrap(),
            email: "ida@acme.test".to_owned(),
            name: "Ida".to_owned(),
            groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
            attributes: cardea_core::Attributes::default(),
        }
        .into(),
    )
}

fn told(policies: &str, caller: &Caller, path: &str, assurance: Option<Assurance>) -> Explanation {
    let app: AppSpec = toml::from_str(
        r#"
        id = "records"
        name = "Records"
        hosts = ["records.localhost"]
        [upstream]
        url = "http://127.0.0.1:9"
        [[resources]]
        pattern = "/studies/{study}/records/{record}"
        type = "Record"
        "#,
    )
    .unwrap();
    let groups_known: Vec<GroupId> = ["chemists", "leads"].map(|group| group.parse().unwrap()).into();
    let policies = [PolicyText { name: "records".to_owned(), text: policies.to_owned() }];
    let sentry = r#"@id("frozen") forbid(principal, action, resource);"#;
    let guard_rails: Vec<_> = (path == "/frozen")
        .then(|| PolicyText { name: "rails".to_owned(), text: sentry.to_owned() })
        .into_iter()
        .collect();
    let groups = groups_known.iter().collect();
    let sources = Sources {
        apps: vec![&app],
        groups,
        policies: &policies,
        guard_rails: &guard_rails,
        minimum: None,
        attributes: None,
    };
    let engine = Engine::compile(&sources).unwrap();
    let principal = Principal::of(caller);
    let target = engine.app(&app.id).unwrap().locate("PUT", path).unwrap();
    let time = Timestamp::from_secs(1_763_800_000);
    let facts = Facts {
        assurance,
        signed_in: assurance.map(|_| 60),
        factors: if assurance.is_some() { &["password"] } else { &[] },
        ..Facts::visitor(time, [10, 0, 0, 1].into(), "PUT", "records.localhost", path)
    };
    engine.explain(&Question { principal: &principal, target: &target, facts }, Assurance::Two)
}

fn ticks(card: &Explanation, id: &str) -> Vec<(String, Option<bool>)> {
    let policy = card.policies.iter().find(|policy| &*policy.id == id).unwrap();
    policy.conditions.iter().map(|one| (one.text.clone(), one.holds)).collect()
}

#[test]
fn an_allowed_request_ticks_every_condition() {
    let card = explained("/studies/S-1/records/R-2", &["chemists"], Assurance::Two);
    assert_eq!(card.verdict, VerdictWord::Allow);
    assert_eq!(card.reason_text, "Allowed, because `own-study` permits it.");
    assert_eq!(card.resource.id, "records/studies/S-1/records/R-2");
    assert_eq!(card.resource.attributes["study"], "S-1");
    assert_eq!(card.context["assurance"], 2);
    assert_eq!(
        ticks(&card, "own-study"),
        [
            (r#"resource.study == "S-1""#.to_owned(), Some(true)),
            ("context.assurance >= 2".to_owned(), Some(true)),
            (r#"unless context.client.isInRange(ip("192.0.2.0/24")) || context.path == "/""#.to_owned(), Some(true)),
        ]
    );
}

#[test]
fn a_challenge_shows_the_condition_that_lacks_and_what_it_saw() {
    let card = explained("/studies/S-1/records/R-2", &["chemists"], Assurance::One);
    assert_eq!(card.verdict, VerdictWord::Challenge);
    assert_eq!(card.challenge.unwrap().need.need(), "2");
    let policy = &card.policies[0];
    assert_eq!((&*policy.id, policy.scope_matches, policy.determined), ("own-study", true, false));
    let lacking = &policy.conditions[1];
    assert_eq!(lacking.holds, Some(false));
    assert_eq!((lacking.saw[0].path.as_str(), &lacking.saw[0].value), ("context.assurance", &1.into()));
    assert_eq!(
        card.reason_text,
        "Denied, because no policy permits it. `own-study` comes nearest, but `context.assurance >= 2` does not \
         hold: context.assurance is 1. With a second factor (assurance 2) it would be allowed."
    );
}

#[test]
fn who_is_in_no_group_sees_the_scope_that_does_not_fit() {
    let card = explained("/studies/S-1/records/R-2", &[], Assurance::Two);
    assert_eq!(card.verdict, VerdictWord::Deny);
    assert!(card.challenge.is_none());
    let leads = ticks(&card, "leads");
    assert_eq!(leads, [(r#"principal in Group::"leads""#.to_owned(), Some(false))]);
    assert!(card.policies.iter().all(|policy| !policy.scope_matches && &*policy.id != "readers"));
}

/// What happened, why, and what would change it; no row shows an entity's id where a person is meant.
#[test]
fn every_outcome_is_told_in_plain_words() {
    let (ida, lone, visitor) = (ida(&["chemists"]), ida(&[]), Caller::Visitor);
    let service = Caller::Service { id: "sync".into(), groups: vec![] };
    let workload = Caller::Workload { spiffe_id: "spiffe://acme.cardea.internal/service/lims".into() };
    let leads = r#"@id("leads") permit(principal in Group::"leads", action, resource);"#;
    let only = |condition: &str| format!(r#"@id("p") permit(principal, action, resource) when {{ {condition} }};"#);
    let two = r#"@id("a") forbid(principal, action, resource); @id("b") forbid(principal, action, resource);"#;
    let rows = [
        (
            leads.into(),
            &ida,
            "/",
            "no policy permits it. `leads` comes nearest, but `principal in Group::\"leads\"` does \
          not hold: the caller is Ida (ida@acme.test), in `chemists`.",
        ),
        (leads.into(), &lone, "/", "the caller is Ida (ida@acme.test), in no group."),
        (leads.into(), &service, "/", "the caller is the service account `sync`, in no group."),
        (leads.into(), &workload, "/", "the caller is the workload `spiffe://acme.cardea.internal/service/lims`."),
        (
            leads.into(),
            &visitor,
            "/",
            "the caller is a visitor. Nobody is signed in: after signing in it may be allowed.",
        ),
        (String::new(), &ida, "/", "no policy permits it. None comes near: it takes a policy that says who may."),
        (two.into(), &ida, "/", "because `a` and `b` forbid it."),
        (
            leads.into(),
            &ida,
            "/frozen",
            "because `guard-rail/frozen` forbids it. Guard-rails are the operator's to change.",
        ),
        (
            only("context.signed_in < 30"),
            &ida,
            "/",
            "context.signed_in is 60. After signing in anew it would be allowed.",
        ),
        (only("context.signed_in < 30"), &service, "/", "`context.signed_in < 30` does not hold: nobody is signed in."),
        (only(r#"context.factors.contains("totp")"#), &ida, "/", "does not hold: context.factors is `password`."),
        (only(r#"context.factors.contains("totp")"#), &service, "/", "does not hold: context.factors is empty."),
        (only(r#"context.client.isInRange(ip("192.0.2.0/24"))"#), &ida, "/", "context.client is 10.0.0.1."),
        (only("resource is Record"), &ida, "/", "does not hold: resource is `App::\"records\"`."),
        (
            r#"@id("p") permit(principal, action, resource) unless { context.path == "/" };"#.to_owned(),
            &ida,
            "/",
            "but its exception `context.path == \"/\"` applies: context.path is `/`.",
        ),
        (only("context.signed_in * 9223372036854775807 > 1"), &ida, "/", "because `p` cannot be evaluated: "),
        (only("context.signed_in * 9223372036854775807 > 1"), &ida, "/", "An error denies: mend that policy."),
    ];
    for (policies, caller, path, expected) in rows {
        let assurance = matches!(caller, Caller::User(_)).then_some(Assurance::Two);
        let said = told(&policies, caller, path, assurance).reason_text;
        assert!(said.starts_with("Denied, because ") && said.contains(expected), "{said}\n  is not: {expected}");
        assert!(!said.contains("019a0000") && !said.contains("..") && !said.contains('\n'), "{said}");
    }
    let said = told(&only("true"), &ida, "/", Some(Assurance::One)).reason_text;
    assert_eq!(said, "Allowed, because `p` permits it.");
}

#[test]
fn a_card_survives_its_json() {
    let card = explained("/", &["chemists"], Assurance::One);
    let json = serde_json::to_string(&card).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), card);
    assert!(json.contains(r#""verdict":"deny","challenge":null"#), "{json}");
}
