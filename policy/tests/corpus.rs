//! Runs every decision and every mistake of `corpus/`: a file is a tenant, a row is a story.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]

use std::{fs, path::Path};

use cardea_core::{
    Assurance, Caller, Diagnostic, GroupId, Timestamp,
    caller::UserFacts,
    resources::{AppSpec, Expectation, PolicyText, TestCaller, TestSpec},
};
use cardea_policy::{Challenge, Engine, Facts, Principal, Question, Sources, VerdictWord, run_tests};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    groups: Vec<GroupId>,
    minimum: Option<Assurance>,
    #[serde(default)]
    app: Vec<AppSpec>,
    #[serde(default)]
    policy: Vec<PolicyText>,
    #[serde(default)]
    guard_rail: Vec<PolicyText>,
    #[serde(default)]
    attributes: cardea_core::AttributeKinds,
    #[serde(default)]
    case: Vec<Case>,
    #[serde(default)]
    mistake: Vec<Mistake>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    test: TestSpec,
    /// Whoever a test's `caller` cannot be.
    caller: Option<Caller>,
    #[serde(default)]
    determined_by: Vec<String>,
    #[serde(default)]
    errors: Vec<String>,
    /// The challenge; `""` for none although the test's own caller, who can reach all, would get one.
    need: Option<String>,
    reach: Option<Assurance>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    text: String,
    layer: Option<String>,
    says: String,
    help: Option<String>,
    at: Option<String>,
}

const NOW: Timestamp = Timestamp::from_secs(1_763_800_000);

impl Corpus {
    fn sources(&self) -> Sources<'_> {
        Sources {
            apps: self.app.iter().collect(),
            groups: self.groups.iter().collect(),
            policies: &self.policy,
            guard_rails: &self.guard_rail,
            minimum: self.minimum,
            attributes: Some(&self.attributes),
        }
    }
}

fn corpora() -> Vec<(String, Corpus)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut all = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let corpus = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        all.push((name, corpus));
    }
    all
}

#[test]
fn every_decision_of_the_corpora_comes_out() {
    let mut wrong = Vec::new();
    for (file, corpus) in corpora() {
        let engine = Engine::compile(&corpus.sources()).unwrap_or_else(|found| panic!("{file}:\n{found}"));
        for case in &corpus.case {
            if let Err(what) = try_case(&engine, case) {
                wrong.push(format!("{file}: {}: {what}", case.test.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn try_case(engine: &Engine, case: &Case) -> Result<(), String> {
    if case.caller.is_none() {
        let outcome = run_tests(engine, std::slice::from_ref(&case.test), NOW).remove(0);
        if !outcome.passed {
            return Err(outcome.message.unwrap_or_default());
        }
        same("determining policies", &ids(&outcome.determined_by), &case.determined_by)?;
    }
    let test = &case.test;
    let (method, path) = test.request.split_once(' ').ok_or("no path")?;
    let target = engine.app(&test.app).and_then(|app| app.locate(method, path)).ok_or("no target")?;
    let caller = caller(case);
    let principal = Principal::of(&caller);
    let client = test.client.unwrap_or([127, 0, 0, 1].into());
    let mut facts = Facts::visitor(NOW, client, method, "x.localhost", path);
    if matches!(caller, Caller::User(_)) {
        facts.assurance = test.assurance.or(Some(Assurance::One));
        facts.signed_in = Some(u64::from(test.signed_in_minutes_ago.unwrap_or(0)) * 60);
    }
    let service = match &test.caller {
        Some(TestCaller::Service { id, .. }) => Some(id),
        _ => None,
    };
    let whole = service.map(|_| vec!["read".into(), "write".into()]);
    let scope = test.scope.clone().or(whole).unwrap_or_default();
    facts.scope = &scope;
    facts.client_id = test.client_id.as_ref().or(service).map_or("", |id| id);
    let question = Question { principal: &principal, target: &target, facts };
    let verdict = engine.decide(&question);
    if verdict.allowed != (test.expect == Expectation::Allow) {
        return Err(format!("decided {verdict:?}"));
    }
    same("determining policies", &ids(&verdict.determined_by), &case.determined_by)?;
    let errors: Vec<_> = verdict.errors.iter().map(|error| error.policy.to_string()).collect();
    same("failed policies", &errors, &case.errors)?;
    let reach = case.reach.unwrap_or(Assurance::Three);
    let need = engine.challenge(&question, reach).map_or("", Challenge::need);
    same("need", &need, &case.need.as_deref().unwrap_or(""))?;
    let explained = engine.explain(&question, reach);
    same("explained as allowed", &(explained.verdict == VerdictWord::Allow), &verdict.allowed)?;
    let named = explained.policies.iter().filter(|policy| policy.determined).count();
    same("policies explained", &named, &verdict.determined_by.len())
}

fn caller(case: &Case) -> Caller {
    if let Some(caller) = &case.caller {
        return caller.clone();
    }
    match &case.test.caller {
        None => Caller::Visitor,
        Some(TestCaller::User { email, groups, attributes }) => Caller::User(
            UserFacts {
                id: "019a0000-0000-7000-8000-000000000001".parse().unwrap(),
                email: email.clone(),
                name: String::new(),
                groups: groups.clone(),
                attributes: attributes.clone(),
            }
            .into(),
        ),
        Some(TestCaller::Service { id, groups }) => Caller::Service { id: id.clone(), groups: groups.clone() },
    }
}

fn ids(ids: &[std::sync::Arc<str>]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, wanted: &T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: got {got:?}, wanted {wanted:?}")) }
}

#[test]
fn every_mistake_of_the_corpora_is_named_with_its_place_and_way_out() {
    let mut wrong = Vec::new();
    for (file, corpus) in corpora() {
        for mistake in &corpus.mistake {
            let text = [PolicyText { name: "one".to_owned(), text: mistake.text.clone() }];
            let mut sources = corpus.sources();
            match mistake.layer.as_deref() {
                Some("guard-rail") => sources.guard_rails = &text,
                _ => sources.policies = &text,
            }
            let found = Engine::check(&sources);
            if !found.0.iter().any(|one| fits(one, mistake)) {
                wrong.push(format!(
                    "{file}: `{}`\n  wanted {} {:?} {:?}\n  got {found}",
                    mistake.text, mistake.says, mistake.at, mistake.help
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn fits(one: &Diagnostic, mistake: &Mistake) -> bool {
    let at = one.line.zip(one.column).map(|(line, column)| format!("{line}:{column}"));
    one.message.contains(&mistake.says)
        && mistake.help.as_ref().is_none_or(|help| one.help.as_ref().is_some_and(|own| own.contains(help)))
        && at.is_some()
        && (mistake.at.is_none() || mistake.at == at)
}
