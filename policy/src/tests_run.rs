//! A tenant's own tests of its policies, run before a change takes effect.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use cardea_core::{
    AppId, Assurance, Attributes, Caller, ClientId, GroupId, Timestamp, UserId,
    caller::UserFacts,
    diagnostic::nearest,
    entropy,
    resources::{Expectation, TestCaller, TestSpec, is_scope},
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

/// Puts every test to the engine. `now` is the time that policies see; a test's user can reach every assurance. What a token's scope
/// does not cover is denied, whatever the policies say.
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
        let (principal, scope) = (Principal::of(&caller(test)), scope(test));
        if !scope.is_empty() && !target.is_in_scope(&scope) {
            let (action, kind) = (target.action(), target.kind_of_action());
            return Some((Expectation::Deny, Vec::new(), format!("The scope has neither `{action}` nor `{kind}`.")));
        }
        let facts = Facts { scope: &scope, ..facts(test, now, method, path) };
        let explanation = engine.explain(&Question { principal: &principal, target: &target, facts }, Assurance::Three);
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
    for group in test.caller.iter().flat_map(TestCaller::groups) {
        if !engine.groups().contains(group) {
            let near = nearest(group.as_str(), engine.groups().iter().map(GroupId::as_str));
            return Err(format!("there is no group `{group}`{}", meant(near)));
        }
    }
    match &test.caller {
        Some(TestCaller::User { attributes, .. }) => declared(engine, attributes)?,
        Some(TestCaller::Service { .. }) if test.assurance.is_some() || test.signed_in_minutes_ago.is_some() => {
            return Err(
                "a service account signs in nowhere: leave out `assurance` and `signed_in_minutes_ago`".to_owned()
            );
        }
        None if test.scope.is_some() || test.client_id.is_some() => {
            return Err("a visitor shows no token: say who asks with `caller`".to_owned());
        }
        Some(TestCaller::Service { .. }) if test.client_id.is_some() => {
            return Err("a service account is its own client: leave out `client_id`".to_owned());
        }
        Some(TestCaller::Service { .. }) | None => {}
    }
    if test.client_id.is_some() && test.scope.is_none() {
        return Err("a client's token has a scope: say it with `scope`".to_owned());
    }
    let service = match &test.caller {
        Some(TestCaller::Service { id, .. }) => Some(id),
        _ => None,
    };
    for id in service.into_iter().chain(&test.client_id) {
        ClientId::parse(id).map_err(|why| why.to_string())?;
    }
    if test.scope.as_ref().is_some_and(|scope| scope.is_empty() || !scope.iter().all(|name| is_scope(name))) {
        return Err("a scope is one or more names of actions, or `read` and `write`".to_owned());
    }
    match test.request.split_once(' ') {
        Some((_, path)) if path.len() > PATH_BYTES => Err(format!("the path is longer than {PATH_BYTES} bytes")),
        Some((method, path)) if path.starts_with('/') && !path.contains(['?', '#']) => Ok((app, method, path)),
        _ => {
            Err(format!("request `{}` is not a method and a path: write `GET /studies`, without a query", test.request))
        }
    }
}

/// Whether the tenant declares what is said of somebody.
fn declared(engine: &Engine, attributes: &Attributes) -> Result<(), String> {
    for (name, value) in attributes {
        match engine.attributes().get(name) {
            Some(kind) if value.fits(*kind) => {}
            Some(kind) => return Err(format!("attribute `{name}` is {kind}")),
            None => {
                let near = nearest(name, engine.attributes().keys().map(String::as_str));
                return Err(format!("there is no attribute `{name}`{}", meant(near)));
            }
        }
    }
    Ok(())
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default()
}

fn caller(test: &TestSpec) -> Caller {
    match &test.caller {
        None => Caller::Visitor,
        Some(TestCaller::User { email, groups, attributes }) => Caller::User(Arc::new(UserFacts {
            // One id for all made-up users: tests speak of e-mail addresses.
            id: UserId::mint(Timestamp::from_secs(0), &entropy::Fixed::new(0)),
            email: email.clone(),
            name: email.clone(),
            groups: groups.clone(),
            attributes: attributes.clone(),
        })),
        Some(TestCaller::Service { id, groups }) => Caller::Service { id: id.clone(), groups: groups.clone() },
    }
}

/// The scope of the token that is shown; nothing where none is.
fn scope(test: &TestSpec) -> Vec<Arc<str>> {
    match (&test.scope, &test.caller) {
        (Some(scope), _) => scope.clone(),
        (None, Some(TestCaller::Service { .. })) => vec!["read".into(), "write".into()],
        (None, _) => Vec::new(),
    }
}

fn facts<'a>(test: &'a TestSpec, now: Timestamp, method: &'a str, path: &'a str) -> Facts<'a> {
    let client = test.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let visitor = Facts::visitor(now, client, method, "app.test", path);
    match &test.caller {
        None => visitor,
        Some(TestCaller::Service { id, .. }) => Facts { client_id: id, ..visitor },
        Some(TestCaller::User { .. }) => {
            let assurance = test.assurance.unwrap_or(Assurance::One);
            let signed_in = u64::from(test.signed_in_minutes_ago.unwrap_or(0)) * 60;
            let factors: &[&str] = match assurance {
                Assurance::One => &["password"],
                Assurance::Two => &["password", "totp"],
                Assurance::Three => &["passkey"],
            };
            let client_id = test.client_id.as_deref().unwrap_or_default();
            Facts { assurance: Some(assurance), signed_in: Some(signed_in), factors, client_id, ..visitor }
        }
    }
}

const fn word(expectation: Expectation) -> &'static str {
    match expectation {
        Expectation::Allow => "allow",
        Expectation::Deny => "deny",
        Expectation::Challenge => "challenge",
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::resources::{AppSpec, PolicyText};

    use super::*;
    use crate::Sources;

    fn engine() -> Engine {
        let app = "id = \"records\"\nname = \"R\"\nhosts = [\"r.localhost\"]\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
                   [[actions]]\nmethod = \"POST\"\npattern = \"/sign\"\naction = \"sign\"";
        let app: AppSpec = toml::from_str(app).unwrap();
        let text = "permit(principal, action, resource in App::\"records\");".to_owned();
        let policies = [PolicyText { name: "all".to_owned(), text }];
        Engine::compile(&Sources { apps: vec![&app], policies: &policies, ..Sources::default() }).unwrap()
    }

    fn put(test: &str) -> Result<TestOutcome, String> {
        let whole = format!("name = \"t\"\napp = \"records\"\nexpect = \"allow\"\n{test}");
        let test: TestSpec = toml::from_str(&whole).map_err(|error| error.message().to_owned())?;
        Ok(run_tests(&engine(), &[test], Timestamp::from_secs(1_763_800_000)).remove(0))
    }

    /// As the gateway: what the scope does not cover is refused before any policy is asked.
    #[test]
    fn a_token_opens_nothing_beyond_its_scope() {
        for (request, scope, allowed) in [
            ("GET /x", "[\"read\"]", true),
            ("POST /sign", "[\"read\", \"sign\"]", true),
            ("POST /sign", "[\"write\"]", true),
            ("POST /sign", "[\"read\"]", false),
            ("POST /x", "[\"sign\"]", false),
        ] {
            for caller in ["service = \"nightly\"", "user = \"ida@acme.test\""] {
                let test = format!("request = \"{request}\"\nscope = {scope}\ncaller = {{ {caller} }}");
                let outcome = put(&test).unwrap();
                assert_eq!(outcome.passed, allowed, "{test}: {:?}", outcome.message);
                if !allowed {
                    assert!(outcome.message.unwrap().contains("The scope has neither `"), "{test}");
                }
            }
        }
        assert!(put("request = \"POST /sign\"\ncaller = { service = \"nightly\" }").unwrap().passed);
    }

    #[test]
    fn a_test_that_cannot_be_says_why() {
        for (test, why) in [
            ("caller = { groups = [] }", "one `user` or one `service`"),
            ("caller = { user = \"a@b.test\", service = \"x\" }", "one `user` or one `service`"),
            ("caller = { service = \"x\", attributes = { a = 1 } }", "leave out `attributes`"),
            ("caller = { service = \"Not a name\" }", "no client name"),
            ("caller = { service = \"x\" }\nassurance = 2", "signs in nowhere"),
            ("caller = { service = \"x\" }\nsigned_in_minutes_ago = 0", "signs in nowhere"),
            ("caller = { service = \"x\" }\nscope = []", "one or more names"),
            ("caller = { user = \"a@b.test\" }\nscope = [\"no \\\"name\"]", "one or more names"),
            ("caller = { service = \"x\" }\nclient_id = \"y\"", "its own client"),
            ("caller = { user = \"a@b.test\" }\nclient_id = \"tool\"", "has a scope"),
            ("caller = { user = \"a@b.test\" }\nscope = [\"read\"]\nclient_id = \"No name\"", "no client name"),
            ("scope = [\"read\"]", "a visitor shows no token"),
            ("client_id = \"tool\"", "a visitor shows no token"),
        ] {
            let said = put(&format!("request = \"GET /x\"\n{test}")).map(|outcome| outcome.message.unwrap_or_default());
            let (Ok(said) | Err(said)) = said;
            assert!(said.contains(why), "{test}: {said}");
        }
    }
}
