//! The index against the whole set: over random policies and questions the two say the same, and Cedar's own
//! authorizer agrees wherever nothing fails. And answers that are kept against asking again.

use std::{collections::BTreeSet, sync::Arc};

use cardea_core::{
    Assurance, Caller, GroupId, Timestamp, UserId,
    caller::UserFacts,
    resources::{AppSpec, PolicyText},
};
use cedar_policy_core::{
    ast::PolicySet,
    authorizer::{Authorizer, Decision},
};
use proptest::{prelude::*, sample::select};

use crate::{Engine, Facts, Principal, Question, Sources, Target, Verdict, context, engine::evaluate, rule::Needs};

const GROUPS: [&str; 4] = ["chemists", "leads", "staff", "administrators"];

fn app(id: &str) -> AppSpec {
    toml::from_str(&format!(
        r#"
        id = "{id}"
        name = "{id}"
        hosts = ["{id}.localhost"]
        [upstream]
        url = "http://127.0.0.1:9"
        [[resources]]
        pattern = "/studies/{{study}}"
        type = "Study"
        [[resources]]
        pattern = "/studies/{{study}}/records/{{record}}"
        type = "Record"
        [[actions]]
        method = "POST"
        pattern = "/studies/{{study}}/records/{{record}}"
        action = "approve"
        "#
    ))
    .unwrap()
}

fn principal_scope() -> impl Strategy<Value = String> {
    let group = select(&GROUPS[..]).prop_map(|group| format!("Group::\"{group}\""));
    prop_oneof![
        2 => Just("principal".to_owned()),
        1 => select(vec!["User", "Service", "Workload", "Visitor"]).prop_map(|kind| format!("principal is {kind}")),
        4 => group.clone().prop_map(|group| format!("principal in {group}")),
        1 => group.prop_map(|group| format!("principal is User in {group}")),
        1 => select(vec!["a", "b"]).prop_map(|one| format!("principal == Service::\"{one}\"")),
        1 => Just("principal == Visitor::\"visitor\"".to_owned()),
    ]
}

fn action_scope() -> impl Strategy<Value = String> {
    let uid = |name: &str| format!("Action::\"{name}\"");
    let one = select(vec!["GET", "HEAD", "POST", "DELETE", "approve"]).prop_map(uid);
    let any = select(vec!["read", "write", "GET", "HEAD", "POST", "DELETE", "approve"]).prop_map(uid);
    prop_oneof![
        2 => Just("action".to_owned()),
        2 => one.prop_map(|uid| format!("action == {uid}")),
        2 => any.clone().prop_map(|uid| format!("action in {uid}")),
        2 => prop::collection::vec(any, 1..4).prop_map(|uids| format!("action in [{}]", uids.join(", "))),
    ]
}

fn resource_scope() -> impl Strategy<Value = String> {
    let app = select(vec!["records", "wiki"]).prop_map(|app| format!("App::\"{app}\""));
    let kind = select(vec!["App", "Study", "Record"]);
    prop_oneof![
        2 => Just("resource".to_owned()),
        4 => app.clone().prop_map(|app| format!("resource in {app}")),
        1 => app.clone().prop_map(|app| format!("resource == {app}")),
        1 => kind.clone().prop_map(|kind| format!("resource is {kind}")),
        2 => (kind, app).prop_map(|(kind, app)| format!("resource is {kind} in {app}")),
        1 => Just("resource == Study::\"records/studies/S-1\"".to_owned()),
        1 => Just("resource in Record::\"wiki/studies/S-1/records/R-1\"".to_owned()),
    ]
}

fn conditions() -> impl Strategy<Value = String> {
    select(vec![
        "",
        "when { context.assurance >= 2 }",
        "when { context.signed_in * 9223372036854775807 > 7 }",
        "when { context.scope.contains(\"sign\") }",
        "unless { context.client_id == \"tool\" }",
        "unless { context.client.isLoopback() }",
        "when { resource has study && resource.study == \"S-1\" }",
        "when { resource has record && resource has study && resource.record != resource.study }",
        "when { resource in App::\"records\" }",
        "unless { resource == Study::\"records/studies/S-1\" || resource is Record }",
        "when { context has assurance && context has time }",
        "when { context.client.isInRange(ip(\"10.0.0.0/31\")) || context.factors.contains(\"passkey\") }",
        "when { principal has email && principal.email like \"*@acme.test\" }",
        "unless { context.time < datetime(\"2020-01-01\") } when { context.factors.contains(\"totp\") }",
        "when { context.path like \"/studies/*\" || context.method == \"GET\" && context.host == \"x\" }",
        "when { principal in [Group::\"staff\", Group::\"leads\"] && action in Action::\"read\" }",
    ])
    .prop_map(str::to_owned)
}

fn policy(effect: &'static str) -> impl Strategy<Value = String> {
    (principal_scope(), action_scope(), resource_scope(), conditions())
        .prop_map(move |(p, a, r, conditions)| format!("{effect}({p}, {a}, {r}) {conditions};"))
}

fn policies() -> impl Strategy<Value = Vec<PolicyText>> {
    let one = prop_oneof![4 => policy("permit"), 1 => policy("forbid")];
    prop::collection::vec(one, 0..25)
        .prop_map(|all| vec![PolicyText { name: "random".to_owned(), text: all.join("\n") }])
}

fn guard_rails() -> impl Strategy<Value = Vec<PolicyText>> {
    prop::collection::vec(policy("forbid"), 0..3)
        .prop_map(|all| vec![PolicyText { name: "rails".to_owned(), text: all.join("\n") }])
}

fn caller() -> impl Strategy<Value = Caller> {
    let groups = prop::sample::subsequence(GROUPS.to_vec(), 0..=4)
        .prop_map(|groups| groups.into_iter().map(|group| GroupId::parse(group).unwrap()).collect::<Vec<_>>());
    prop_oneof![
        1 => Just(Caller::Visitor),
        5 => groups.clone().prop_map(|groups| Caller::User(Arc::new(UserFacts {
            id: UserId::parse("019a0000-0000-7000-8000-000000000001").unwrap(),
            email: "ida@acme.test".to_owned(),
            name: "Ida".to_owned(),
            groups,
            attributes: cardea_core::Attributes::default(),
        }))),
        2 => (select(vec!["a", "b"]), groups).prop_map(|(id, groups)| Caller::Service { id: id.into(), groups }),
        1 => Just(Caller::Workload { spiffe_id: "spiffe://acme.cardea.internal/service/a".into() }),
    ]
}

#[derive(Debug, Clone)]
struct Asked {
    caller: Caller,
    app: &'static str,
    method: &'static str,
    path: &'static str,
    assurance: Option<Assurance>,
    signed_in: u64,
    time: i64,
    client: [u8; 4],
    factors: &'static [&'static str],
    client_id: &'static str,
    scope: Vec<Arc<str>>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let assurance = prop::option::of(select(vec![Assurance::One, Assurance::Two, Assurance::Three]));
    let app = select(vec![
        "records",
        "wiki",
        "cardea-portal",
        "cardea-console",
        "cardea-sign-in",
        "cardea-machines",
        "cardea-decisions",
    ]);
    let method = select(vec!["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]);
    let path =
        select(vec!["/", "/studies/S-1", "/studies/S-2", "/studies/S-1/records/R-1", "/studies/S-2/records/R-9"]);
    let time = select(vec![1_500_000_000, 1_763_800_000]);
    let client = select(vec![[10, 0, 0, 1], [10, 0, 0, 2], [127, 0, 0, 1]]);
    let factors = select(vec![&["password", "totp"][..], &["passkey"], &[]]);
    let token = select(vec![("", vec![]), ("tool", vec!["read".into()]), ("tool", vec!["read".into(), "sign".into()])]);
    (caller(), app, method, path, assurance, 0_u64..3, (time, client, factors, token)).prop_map(
        |(caller, app, method, path, assurance, signed_in, (time, client, factors, (client_id, scope)))| Asked {
            caller,
            app,
            method,
            path,
            assurance,
            signed_in,
            time,
            client,
            factors,
            client_id,
            scope,
        },
    )
}

impl Asked {
    fn facts(&self) -> Facts<'_> {
        Facts {
            assurance: self.assurance,
            signed_in: Some(self.signed_in),
            factors: self.factors,
            client_id: self.client_id,
            scope: &self.scope,
            ..Facts::visitor(Timestamp::from_secs(self.time), self.client.into(), self.method, "x", self.path)
        }
    }

    fn target(&self, engine: &Engine) -> Target {
        engine.app(&self.app.parse().unwrap()).unwrap().locate(self.method, self.path).unwrap()
    }

    fn answer(&self, engine: &Engine, principal: &Principal) -> Verdict {
        engine.decide(&Question { principal, target: &self.target(engine), facts: self.facts() })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_leaves_out_only_what_cannot_matter(
        policies in policies(),
        guard_rails in guard_rails(),
        minimum in prop::option::of(select(vec![Assurance::One, Assurance::Two, Assurance::Three])),
        questions in prop::collection::vec(asked(), 12),
    ) {
        let apps = [app("records"), app("wiki")];
        let groups: Vec<_> = GROUPS.iter().map(|group| GroupId::parse(group).unwrap()).collect();
        let sources = Sources {
            apps: apps.iter().collect(),
            groups: groups.iter().collect(),
            policies: &policies,
            guard_rails: &guard_rails,
            minimum,
            attributes: None,
        };
        let engine = Engine::compile(&sources).map_err(|found| TestCaseError::fail(found.to_string()))?;
        for asked in questions {
            compare(&engine, &asked)?;
        }
    }

    #[test]
    fn an_answer_that_is_kept_is_the_one_that_asking_again_would_give(
        (policies, guard_rails) in (policies(), guard_rails()),
        caller in caller(),
        questions in prop::collection::vec(asked(), 60),
    ) {
        let apps = [app("records"), app("wiki")];
        let groups: Vec<_> = GROUPS.iter().map(|group| GroupId::parse(group).unwrap()).collect();
        let compile = |guard_rails, minimum| {
            let (apps, groups) = (apps.iter().collect(), groups.iter().collect());
            Engine::compile(&Sources { apps, groups, policies: &policies, guard_rails, minimum, attributes: None })
                .map_err(|found| TestCaseError::fail(found.to_string()))
        };
        // One caller before two sets of policies, as when one follows the other.
        let engines = [compile(&guard_rails, Some(Assurance::Two))?, compile(&[], None)?];
        let lasting = Principal::of(&caller);
        for asked in questions.iter().chain(questions.iter().rev()) {
            for engine in &engines {
                prop_assert_eq!(asked.answer(engine, &lasting), asked.answer(engine, &Principal::of(&caller)));
            }
        }
    }
}

#[test]
fn answers_are_kept_by_what_their_policies_read() {
    let policies = [PolicyText {
        name: "some".to_owned(),
        text: r#"
            permit(principal, action == Action::"GET", resource in App::"records") when { resource.study == "S-1" };
            permit(principal, action == Action::"PATCH", resource in App::"records") when { context.signed_in < 60 };
            permit(principal, action == Action::"PUT", resource == Study::"records/studies/S-1");
        "#
        .replace("resource.study", "resource has study && resource.study"),
    }];
    let apps = [app("records")];
    let engine =
        Engine::compile(&Sources { apps: apps.iter().collect(), policies: &policies, ..Sources::default() }).unwrap();
    // Of three records in two studies: one answer per study, none where the time counts, one for all where no policy has
    // a say; and none of studies, of which a policy names a single one.
    for (method, kept) in [("GET", 2), ("PATCH", 0), ("PUT", 1), ("DELETE", 1)] {
        let principal = Principal::of(&Caller::Visitor);
        for path in ["/studies/S-1/records/R-1", "/studies/S-1/records/R-2", "/studies/S-2/records/R-1", "/studies/S-1"]
        {
            let target = engine.app(&"records".parse().unwrap()).unwrap().locate(method, path).unwrap();
            let facts = Facts::visitor(Timestamp::from_secs(0), [10, 0, 0, 1].into(), method, "x", path);
            let allowed = engine.decide(&Question { principal: &principal, target: &target, facts }).allowed;
            assert_eq!(allowed, method == "GET" && path.contains("S-1") || (method, path) == ("PUT", "/studies/S-1"));
        }
        assert_eq!(principal.kept.answers(), kept, "{method}");
    }
    // However much somebody asks, and however long the names are that they make up, little is kept.
    let principal = Principal::of(&Caller::Visitor);
    for nth in 0..200 {
        for path in [format!("/studies/S-{nth}/records/R-1"), format!("/studies/{}/records/R-1", "x".repeat(300 + nth))]
        {
            let target = engine.app(&"records".parse().unwrap()).unwrap().locate("GET", &path).unwrap();
            let facts = Facts::visitor(Timestamp::from_secs(0), [10, 0, 0, 1].into(), "GET", "x", &path);
            engine.decide(&Question { principal: &principal, target: &target, facts });
        }
    }
    assert_eq!(principal.kept.answers(), 200 % 32);
}

fn compare(engine: &Engine, asked: &Asked) -> Result<(), TestCaseError> {
    let (principal, target) = (Principal::of(&asked.caller), asked.target(engine));
    let question = Question { principal: &principal, target: &target, facts: asked.facts() };
    let indexed = engine.decide(&question);
    let whole = engine.whole(&question);
    prop_assert_eq!(&indexed, &evaluate(&question, &whole));

    let mut set = PolicySet::new();
    for rule in &whole {
        set.add_static(rule.policy.clone()).unwrap();
    }
    let request = context::request(&question, Needs::ALL).unwrap();
    let cedar = Authorizer::new().is_authorized(request, &set, &context::entities(&question).unwrap());
    let failed: BTreeSet<String> = indexed.errors.iter().map(|error| error.policy.to_string()).collect();
    prop_assert_eq!(failed.len(), cedar.diagnostics.errors.len());
    prop_assert_eq!(indexed.allowed, cedar.decision == Decision::Allow && failed.is_empty());
    if failed.is_empty() {
        let determined: BTreeSet<String> = indexed.determined_by.iter().map(ToString::to_string).collect();
        let cedars: BTreeSet<String> = cedar.diagnostics.reason.iter().map(ToString::to_string).collect();
        prop_assert_eq!(determined, cedars);
    }
    Ok(())
}
