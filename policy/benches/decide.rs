//! What a decision costs, and that it does not grow with the policies that cannot match: three can, of 10, 1,000 and
//! 10,000. Prints microseconds and the ratio, and fails where the ratio is above 2. One of the three reads the age of the
//! sign-in, so that each decision is made anew; `kept` is what one costs without that.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks to whoever runs it")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use cardea_core::{
    AppId, Caller, GroupId, Timestamp,
    caller::UserFacts,
    resources::{AppSpec, PolicyText},
};
use cardea_policy::{Engine, Facts, Principal, Question, Sources};

const APPS: usize = 20;
const ROUNDS: usize = 20_000;
const PASSES: usize = 9;
const PATH: &str = "/studies/S-1/records/R-2";

fn main() {
    let few = measure(10);
    for count in [1_000, 10_000] {
        let many = measure(count);
        let ratio = many / few;
        println!("{count:>6} policies against 10: {ratio:.2} x");
        assert!(ratio <= 2.0, "a decision among {count} policies costs {ratio:.2} times one among 10");
    }
}

fn measure(count: usize) -> f64 {
    let kept = decide(count, "context.assurance >= 2").decide;
    let Cost { compiled, locate, decide } = decide(count, "context.assurance >= 2 && context.signed_in < 3600");
    println!(
        "{count:>6} policies: locate {locate:.2} us, decide {decide:.2} us, kept {kept:.2} us, compile {compiled:.0?}"
    );
    decide
}

struct Cost {
    compiled: Duration,
    locate: f64,
    decide: f64,
}

/// What deciding costs among `count` policies, of which one that matches has this condition.
fn decide(count: usize, condition: &str) -> Cost {
    let apps: Vec<AppSpec> = (0..APPS).map(app).collect();
    let groups: Vec<GroupId> = (0..count).map(|nth| GroupId::parse(&format!("group-{nth}")).unwrap()).collect();
    let policies = [PolicyText { name: "many".to_owned(), text: policies(count, condition) }];
    let sources = Sources {
        apps: apps.iter().collect(),
        groups: groups.iter().collect(),
        policies: &policies,
        ..Sources::default()
    };
    let started = Instant::now();
    let engine = Engine::compile(&sources).unwrap();
    let compiled = started.elapsed();

    let app = engine.app(&AppId::parse("app-0").unwrap()).unwrap();
    let principal = Principal::of(&Caller::User(
        UserFacts {
            id: "019a0000-0000-7000-8000-000000000001".parse().unwrap(),
            email: "ida@acme.test".to_owned(),
            name: "Ida".to_owned(),
            groups: groups[..5].to_vec(),
            attributes: cardea_core::Attributes::default(),
        }
        .into(),
    ));
    let facts = Facts {
        assurance: Some(cardea_core::Assurance::Two),
        signed_in: Some(60),
        factors: &["password", "totp"],
        ..Facts::visitor(Timestamp::from_secs(1_763_800_000), [10, 0, 0, 1].into(), "GET", "app-0.localhost", PATH)
    };
    let target = app.locate("GET", PATH).unwrap();
    let question = Question { principal: &principal, target: &target, facts };
    assert_eq!(engine.decide(&question).determined_by.len(), 3, "three policies match");
    let locate = micros(|| drop(black_box(app.locate("GET", black_box(PATH)))));
    let decide = micros(|| drop(black_box(engine.decide(black_box(&question)))));
    Cost { compiled, locate, decide }
}

/// Three that match; the others name another app, another group or another action.
fn policies(count: usize, condition: &str) -> String {
    let mut text = format!(
        r#"permit(principal in Group::"group-0", action in Action::"read", resource in App::"app-0");
        permit(principal in Group::"group-1", action in Action::"read", resource is Record in App::"app-0")
        when {{ resource.study == "S-1" }};
        permit(principal is User, action == Action::"GET", resource is Record in App::"app-0")
        when {{ {condition} }};
        "#,
    );
    for nth in 3..count {
        let line = match nth % 3 {
            0 => format!(r#"permit(principal, action, resource in App::"app-{}");"#, 1 + nth % (APPS - 1)),
            1 => format!(
                r#"permit(principal in Group::"group-{}", action in Action::"read", resource in App::"app-0");"#,
                5 + nth % (count - 5)
            ),
            _ => format!(
                r#"permit(principal in Group::"group-{}", action == Action::"POST", resource is Record in App::"app-0") when {{ resource.study == "S-{nth}" }};"#,
                nth % 5
            ),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn app(nth: usize) -> AppSpec {
    toml::from_str(&format!(
        r#"
        id = "app-{nth}"
        name = "App"
        hosts = ["app-{nth}.localhost"]
        [upstream]
        url = "http://127.0.0.1:9"
        [[resources]]
        pattern = "/studies/{{study}}/records/{{record}}"
        type = "Record"
        "#
    ))
    .unwrap()
}

/// The median of several passes, in microseconds a call.
fn micros(mut act: impl FnMut()) -> f64 {
    let mut passes: Vec<f64> = (0..PASSES)
        .map(|_| {
            let started = Instant::now();
            (0..ROUNDS).for_each(|_| act());
            started.elapsed().as_secs_f64() * 1e6 / ROUNDS as f64
        })
        .collect();
    passes.sort_by(f64::total_cmp);
    passes[PASSES / 2]
}
