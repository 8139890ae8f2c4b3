//! The seed's policies against the engine that decides: they validate, and each of their tests comes out as it says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a story that cannot go on ends here")]

use cardea_core::Timestamp;
use cardea_demo::seed::{self, Places};
use cardea_policy::{Engine, Sources, run_tests};

#[test]
fn every_tenant_s_policies_validate_and_pass_their_own_tests() {
    let bundle = seed::bundle(&Places {
        port: 8080,
        issuer: "http://127.0.0.1:8081".to_owned(),
        acme_records: "127.0.0.1:9443".to_owned(),
        north_records: "127.0.0.1:9444".to_owned(),
        trust_domain: "cardea.internal".to_owned(),
    })
    .unwrap();
    for (id, tenant) in &bundle.tenants {
        let engine =
            Engine::compile(&Sources::of(tenant, &bundle.guard_rails)).unwrap_or_else(|found| panic!("{found}"));
        let outcomes = run_tests(&engine, &tenant.policies.tests, Timestamp::from_secs(1_763_800_000));
        assert!(outcomes.len() >= 10, "tenant `{id}` has few tests");
        for outcome in outcomes {
            assert!(outcome.passed, "tenant `{id}`, {}: {:?}", outcome.name, outcome.message);
        }
    }
}
