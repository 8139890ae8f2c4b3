//! A tenant's own tests of its policies, run before a change takes effect.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use cardea_core::{
    AppId, Assurance, Caller, GroupId, Timestamp, UserId,
    caller::UserFacts,
    diagnostic::nearest,
    entropy,
    resources::{Expectation, TestSpec},
};
use serde::{Deserialize, Serialize};

use crate::{AppModel, Engine, Facts, PATH_BYTES, Principal, Question};

/// How one test went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestOutcome {
    /// The test's name.
    pub name: String,
    /// Whether what came out is what was expected.
    pub passed: bool,
    /// What was expected.
    pub expected: Expectation,
    /// What came out; absent where the test could not be put.
    pub got: Option<Expectation>,
    /// The policies that determined it.
    pub determined_by: Vec<Arc<str>>,
    /// What is wrong, in a sentence; absent where it passed.
    pub message: Option<String>,
}

/// Puts every test to the engine. `now` is the time that policies see; a test's user can reach every assurance.
///
/// A visitor's no is `challenge`, since signing in may help; a test may also expect it as `deny`.
pub fn run_tests(engine: &Engine, tests: &[TestSpec], now: Timestamp) -> Vec<TestOutcome> {
    tests.iter().map(|test| run(engine, test, now)).collect()
}

fn run(engine: &Engine, test: &TestSpec, now: Timestamp) -> TestOutcome {
    let put = |app: &AppModel, method: &str, path: &str| {
        let (target, method) = match method {
            "PREFLIGHT" => (app.preflight(path)?, "OPTIONS"),
            method => (app.locate(method, path)?, method),
        };
        let principal = Principal::of(&caller(test));
        let question = Question { principal: &principal, target: &target, facts: facts(test, now, method, path) };
        let explanation = engine.explain(&question, Assurance::Three);
        let got = match explanation.verdict {
            crate::VerdictWord::Allow => Expectation::Allow,
            crate::VerdictWord::Deny => Expectation::Deny,
            crate::VerdictWord::Challenge => Expectation::Challenge,
        };
        let mut determined_by: Vec<_> =
            explanation.policies.into_iter().filter(|policy| policy.determined).map(|policy| policy.id).collect();
        determined_by.sort_unstable();
        Some((got, determined_by, explanation.reason_text))
    };
    let done = parts(engine, test).and_then(|(app, method, path)| {
        put(app, method, path).ok_or_else(|| match app.knows(method) {
            true => format!("app `{}` has no such address: no pattern of its `resources` fits `{path}`", app.id()),
            false => format!("`{method}` is not a method that the gateway passes on"),
        })
    });
    match done {
        Ok((got, determined_by, reason)) => outcome(test, got, determined_by, &reason),
        Err(message) => TestOutcome {
            name: test.name.clone(),
            passed: false,
            expected: test.expect,
            got: None,
            determined_by: Vec::new(),
            message: Some(message),
        },
    }
}

fn outcome(test: &TestSpec, got: Expectation, determined_by: Vec<Arc<str>>, reason: &str) -> TestOutcome {
    let visitor_kept_out = test.caller.is_none() && test.expect == Expectation::Deny && got == Expectation::Challenge;
    let passed = got == test.expect || visitor_kept_out;
    let message = (!passed).then(|| format!("expected `{}`, got `{}`. {reason}", word(test.expect), word(got)));
    TestOutcome { name: test.name.clone(), passed, expected: test.expect, got: Some(got), determined_by, message }
}

fn parts<'a>(engine: &'a Engine, test: &'a TestSpec) -> Result<(&'a AppModel, &'a str, &'a str), String> {
    let Some(app) = engine.app(&test.app) else {
        let near = nearest(test.app.as_str(), engine.app_ids().map(AppId::as_str));
        return Err(format!("there is no app `{}`{}", test.app, meant(near)));
    };
    for group in test.caller.iter().flat_map(|caller| &caller.groups) {
        if !engine.groups().contains(group) {
            let near = nearest(group.as_str(), engine.groups().iter().map(GroupId::as_str));
            return Err(format!("there is no group `{group}`{}", meant(near)));
        }
    }
    for (name, value) in test.caller.iter().flat_map(|caller| &caller.attributes) {
        match engine.attributes().get(name) {
            Some(kind) if value.fits(*kind) => {}
            Some(kind) => return Err(format!("attribute `{name}` is {kind}")),
            None => {
                let near = nearest(name, engine.attributes().keys().map(String::as_str));
                return Err(format!("there is no attribute `{name}`{}", meant(near)));
            }
        }
    }
    match test.request.split_once(' ') {
        Some((_, path)) if path.len() > PATH_BYTES => Err(format!("the path is longer than {PATH_BYTES} bytes")),
        Some((method, path)) if path.starts_with('/') && !path.contains(['?', '#']) => Ok((app, method, path)),
        _ => {
            Err(format!("request `{}` is not a method and a path: write `GET /studies`, without a query", test.request))
        }
    }
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default()
}

fn caller(test: &TestSpec) -> Caller {
    let Some(user) = &test.caller else { return Caller::Visitor };
    Caller::User(Arc::new(UserFacts {
        // One id for all made-up users: tests speak of e-mail addresses.
        id: UserId::mint(Timestamp::from_secs(0), &entropy::Fixed::new(0)),
        email: user.user.clone(),
        name: user.user.clone(),
        groups: user.groups.clone(),
        attributes: user.attributes.clone(),
    }))
}

fn facts<'a>(test: &'a TestSpec, now: Timestamp, method: &'a str, path: &'a str) -> Facts<'a> {
    let client = test.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let visitor = Facts::visitor(now, client, method, "app.test", path);
    if test.caller.is_none() {
        return visitor;
    }
    let assurance = test.assurance.unwrap_or(Assurance::One);
    let signed_in = u64::from(test.signed_in_minutes_ago.unwrap_or(0)) * 60;
    let factors: &[&str] = match assurance {
        Assurance::One => &["password"],
        Assurance::Two => &["password", "totp"],
        Assurance::Three => &["passkey"],
    };
    Facts { assurance: Some(assurance), signed_in: Some(signed_in), factors, ..visitor }
}

const fn word(expectation: Expectation) -> &'static str {
    match expectation {
        Expectation::Allow => "allow",
        Expectation::Deny => "deny",
        Expectation::Challenge => "challenge",
    }
}
