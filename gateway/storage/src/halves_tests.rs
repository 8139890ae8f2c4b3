use std::sync::Arc;

use cardea_audit::{Actor, ContextFacts, Decision, Event, PolicyRef, Request, ResourceFacts, Verdict};
use cardea_core::{AppId, Caller, Clock, EntryId, Reason, entropy::Fixed};

use super::*;
use crate::{
    Log, LogLimits,
    testing::{Dir, TestClock, t0, tenant},
};

/// An entry of that millisecond; `random` tells it from its neighbours.
fn entry(of: &str, at: Timestamp, random: u64, mark: impl FnOnce(&mut Request)) -> Entry {
    let mut request = Request {
        app: Some(AppId::parse("records").unwrap()),
        method: "GET".into(),
        host: "records.acme.localhost".into(),
        path: "/".into(),
        status: 0,
        reason: None,
        micros: 0,
        decision: None,
        by: None,
        asked_by: None,
        detail: None,
    };
    mark(&mut request);
    let id = EntryId::mint(at, &Fixed::new(random));
    let (tenant, actor) = (Some(tenant(of)), Actor::Caller(Caller::Visitor));
    Entry { id, at, tenant, actor, session: None, client: None, event: Event::Request(Box::new(request)) }
}

#[tokio::test]
async fn the_two_entries_of_a_request_are_found_by_each_other() {
    let (dir, acme) = (Dir::new(), tenant("acme"));
    let store = dir.store().await;
    let log = Log::start(&store, LogLimits::default(), TestClock::new() as Arc<dyn Clock>).await.unwrap();
    let at = t0().plus(Duration::from_micros(999));
    let admission = entry("acme", at, 1, Request::admits);
    let broken_off = entry("acme", at, 2, Request::admits);
    let alone = entry("acme", at, 3, |_| ());
    // Another tenant's entry that claims to be the end is none; nor is the end of another request.
    let forged = entry("beta", at, 4, |request| request.ends(admission.id));
    let others = entry("acme", at, 5, |request| request.ends(alone.id));
    let end = entry("acme", at, 6, |request| request.ends(admission.id));
    for one in [&admission, &broken_off, &alone, &forged, &others] {
        log.record(one.clone());
    }
    log.flush().await.unwrap();
    let half = async |of: &Entry| store.other_half(Some(&acme), of).await.unwrap().map(|one| one.entry().unwrap().id);
    assert_eq!(half(&admission).await, None, "it is under way");
    log.record(end.clone());
    log.flush().await.unwrap();
    assert_eq!(half(&admission).await, Some(end.id));
    assert_eq!(half(&end).await, Some(admission.id));
    assert_eq!(half(&broken_off).await, None);
    assert_eq!(half(&alone).await, None);
}

#[tokio::test]
async fn a_request_with_two_entries_is_counted_once() {
    let (dir, acme) = (Dir::new(), tenant("acme"));
    let store = dir.store().await;
    let log = Log::start(&store, LogLimits::default(), TestClock::new() as Arc<dyn Clock>).await.unwrap();
    let allowed = |mark: fn(&mut Request)| {
        move |request: &mut Request| {
            mark(request);
            request.decision = Some(decision());
        }
    };
    let admission = entry("acme", t0(), 1, allowed(Request::admits));
    let end = entry("acme", t0(), 2, |request| {
        request.ends(admission.id);
        request.decision = Some(decision());
        request.reason = Some(Reason::UpstreamTimeout);
    });
    for one in [admission, end, entry("acme", t0(), 3, allowed(|_| ()))] {
        log.record(one);
    }
    log.flush().await.unwrap();
    let ours = ["a", "b", "c", "d", "e"].map(|name| AppId::parse(name).unwrap());
    let counts = store.verdict_counts(&acme, t0(), &ours).await.unwrap();
    assert_eq!((counts.allowed, counts.faulted), (1, 1), "the one that was admitted was ended by a fault");
}

fn decision() -> Decision {
    Decision {
        verdict: Verdict::Allow,
        determined_by: vec![],
        errors: vec![],
        policy: PolicyRef { version: 1, hash: "h".into() },
        action: "GET".into(),
        resource: ResourceFacts { kind: "App".into(), id: "records".into(), attributes: [].into() },
        context: ContextFacts {
            assurance: 1,
            time: t0(),
            signed_in: 0,
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            factors: vec![],
            scope: Default::default(),
        },
    }
}
