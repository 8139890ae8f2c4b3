//! A set of policies, judged before it may decide: it validates, its tests run, and the tenant can be served with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cardea_core::{
    Diagnostic, Diagnostics, Reason, Timestamp,
    resources::{PolicySet, TenantBundle, TestSpec},
};
use cardea_policy::{Engine, Sources, TestOutcome, run_tests};
use cardea_storage::Ground;

use super::{Answer, Asked, Problem};
use crate::state;

/// What was found of a set that validates.
pub(super) struct Judged {
    pub(super) hash: String,
    pub(super) tests: Vec<TestOutcome>,
    /// What it was checked against, which must still stand when it takes effect.
    pub(super) ground: Ground,
}

/// Compiles a set as this tenant's as the store holds it, which may be newer than what decides here, and runs its tests,
/// away from the threads that answer requests.
pub(super) async fn judged(asked: &Asked, set: &PolicySet) -> Answer<Result<Judged, Diagnostics>> {
    if let Err(found) = well_named(set) {
        return Ok(Err(found));
    }
    let ground = asked.house.store.ground(asked.tenant.id()).await?;
    let ground = ground.ok_or_else(|| Problem::not_found("tenant"))?;
    let turn = asked.house.judging.turn(asked.tenant.id()).await?;
    let (house, tenant, set) = (Arc::clone(&asked.house), Arc::clone(&asked.tenant), set.clone());
    let work = move || {
        let _turn = turn;
        let bundle = TenantBundle { policies: set, ..ground.bundle.clone() };
        let engine = Engine::compile(&Sources::of(&bundle, &ground.guard_rails))?;
        // The tenant is taken over as a whole: an app that cannot be served would keep the policies back, too.
        let transports = |tenant: &_, upstream: &_| house.transport(tenant, upstream);
        state::apps(&bundle, &engine, &transports, &tenant.standing, Some((&*tenant, &tenant.roots)))?;
        let tests = tested(&engine, &bundle.policies.tests, house.now());
        Ok(Judged { hash: engine.hash().to_owned(), tests, ground })
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::new(Reason::Internal, error.to_string()))
}

/// Runs the tests, as far as the time allows.
fn tested(engine: &Engine, tests: &[TestSpec], now: Timestamp) -> Vec<TestOutcome> {
    let begun = Instant::now();
    let too_late = |test: &TestSpec| TestOutcome {
        name: test.name.clone(),
        passed: false,
        expected: test.expect,
        got: None,
        determined_by: Vec::new(),
        message: Some(format!("was not run: the tests before it took longer than {} seconds", TESTING.as_secs())),
    };
    let run = |test| {
        if begun.elapsed() > TESTING {
            vec![too_late(test)]
        } else {
            run_tests(engine, std::slice::from_ref(test), now)
        }
    };
    tests.iter().flat_map(run).collect()
}

/// Ten seconds: some ten thousand tests.
const TESTING: Duration = Duration::from_secs(10);

/// Names become file names in an export: each once, and nothing that a file cannot be called.
fn well_named(set: &PolicySet) -> Result<(), Diagnostics> {
    let mut found = Diagnostics::default();
    let mut seen = std::collections::BTreeSet::new();
    for policy in &set.policies {
        let fine = (1..=63).contains(&policy.name.len())
            && policy.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        if !fine {
            found.push(
                Diagnostic::new(&policy.name, format!("`{}` is not a name of a policy file", policy.name))
                    .help("use 1 to 63 of `a-z`, `0-9`, `-` and `_`"),
            );
        } else if !seen.insert(&policy.name) {
            found.push(Diagnostic::new(&policy.name, format!("there are two policy files `{}`", policy.name)));
        }
    }
    found.or_ok(())
}
