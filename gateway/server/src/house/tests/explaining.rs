//! Decisions of the past are told with what has changed since.

use std::net::{IpAddr, Ipv4Addr};

use cardea_audit::{
    Actor, PolicyRef, Verdict,
    event::{ContextFacts, Decision, Request, ResourceFacts},
};
use cardea_core::Caller;

use super::*;
use crate::explaining;

/// A visitor's request to the app, which no policy allows: to sign in might help.
fn asked(stage: &Stage, policy: PolicyRef, resource: &str, verdict: Verdict) -> Entry {
    let at = stage.house.now();
    let decision = Decision {
        verdict,
        determined_by: Vec::new(),
        errors: Vec::new(),
        policy,
        action: "GET".into(),
        resource: ResourceFacts { kind: "App".into(), id: resource.into(), attributes: BTreeMap::new() },
        context: ContextFacts {
            assurance: 0,
            time: at,
            signed_in: i64::MAX,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            factors: Vec::new(),
            scope: Default::default(),
        },
    };
    let request = Request {
        app: cardea_core::AppId::parse("records").ok(),
        method: "GET".into(),
        host: HOST.into(),
        path: "/x".into(),
        status: 403,
        reason: None,
        micros: 1,
        decision: Some(decision),
        by: None,
        asked_by: None,
        detail: None,
    };
    Entry {
        id: EntryId::mint(at, &*stage.house.entropy),
        at,
        tenant: Some(stage.tenant.clone()),
        actor: Actor::Caller(Caller::Visitor),
        session: None,
        client: None,
        event: Event::Request(Box::new(request)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_of_the_past_says_what_has_changed_since() {
    let stage = Stage::set().await;
    let state = stage.house.state.load_full();
    let now = state.tenants[&stage.tenant].policy.clone();
    let then = PolicyRef { hash: "of other guard-rails".into(), ..now.clone() };
    let rows: [(PolicyRef, &str, Verdict, &[&str]); 4] = [
        (now.clone(), "records", Verdict::Challenge, &[]),
        (then.clone(), "records", Verdict::Challenge, &["guard-rails"]),
        (now, "elsewhere", Verdict::Challenge, &["meaning"]),
        (then, "records", Verdict::Allow, &["guard-rails", "`allow`"]),
    ];
    for (policy, resource, verdict, said) in rows {
        let entry = asked(&stage, policy, resource, verdict);
        let told = explaining::entry(&stage.house.store, &state, &stage.house.judging, &entry).await.unwrap().unwrap();
        assert_eq!(told.changed_since.len(), said.len(), "{:?}", told.changed_since);
        assert!(
            told.changed_since.iter().zip(said).all(|(told, said)| told.contains(said)),
            "{:?}",
            told.changed_since
        );
    }
    stage.strike().await;
}
