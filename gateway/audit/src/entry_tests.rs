use std::{collections::BTreeSet, net::Ipv4Addr};

use super::*;
use crate::event::*;
use cardea_core::{AppId, Reason, UserId, caller::UserFacts, entropy::Fixed};

fn request() -> Entry {
    let now = Timestamp::from_secs(1_763_800_000);
    let user = UserId::mint(now, &Fixed::new(2));
    Entry {
        id: EntryId::mint(now, &Fixed::new(1)),
        at: now,
        tenant: Some(TenantId::parse("acme").unwrap()),
        actor: Caller::User(Arc::new(UserFacts {
            id: user,
            email: "ada@x.example".to_owned(),
            name: "Ada \"A\" Ü".to_owned(),
            groups: vec![],
            attributes: cardea_core::Attributes::default(),
        }))
        .into(),
        session: None,
        client: Some(Client::new(IpAddr::V4(Ipv4Addr::LOCALHOST), Some("Mozilla/5.0"))),
        event: Event::Request(Box::new(Request {
            app: Some(AppId::parse("records").unwrap()),
            method: "GET".into(),
            host: "records.acme.localhost".into(),
            path: "/studies/S-1".into(),
            status: 403,
            reason: Some(Reason::Denied),
            micros: 120,
            decision: Some(Decision {
                verdict: Verdict::Deny,
                determined_by: vec![],
                errors: vec![],
                policy: PolicyRef { version: 3, hash: "abc".into() },
                action: "GET".into(),
                resource: ResourceFacts {
                    kind: "Study".into(),
                    id: "records/studies/S-1".into(),
                    attributes: [("study".into(), "S-1".into())].into(),
                },
                context: ContextFacts {
                    assurance: 1,
                    time: now,
                    signed_in: i64::MAX,
                    client: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    factors: vec!["password".into()],
                    scope: Default::default(),
                },
            }),
            by: None,
            asked_by: None,
            detail: None,
        })),
    }
}

#[test]
fn the_same_entry_gives_the_same_bytes_and_they_read_back() {
    let entry = request();
    let body = entry.body().unwrap();
    assert_eq!(entry.body().unwrap(), body);
    let read = Entry::read(&body).unwrap();
    assert_eq!(read, entry);
    assert_eq!(read.body().unwrap(), body);
}

/// The format is a promise: a change here breaks the logs that exist.
#[test]
fn the_canonical_bytes_are_these() {
    let body = String::from_utf8(request().body().unwrap()).unwrap();
    let id = request().id;
    let Actor::Caller(Caller::User(user)) = request().actor else { panic!("a user") };
    let expected = format!(
        concat!(
            r#"{{"id":"{id}","at":1763800000000000,"tenant":"acme","actor":{{"kind":"user","id":"{user}","#,
            r#""email":"ada@x.example","name":"Ada \"A\" Ü","groups":[]}},"session":null,"#,
            r#""client":{{"address":"127.0.0.1","agent":"Mozilla/5.0"}},"event":{{"kind":"request","app":"records","#,
            r#""method":"GET","host":"records.acme.localhost","path":"/studies/S-1","status":403,"reason":"denied","#,
            r#""micros":120,"decision":{{"verdict":"deny","determined_by":[],"policy":{{"version":3,"hash":"abc"}},"#,
            r#""action":"GET","resource":{{"type":"Study","id":"records/studies/S-1","attributes":{{"study":"S-1"}}}},"#,
            r#""context":{{"assurance":1,"time":1763800000000000,"signed_in":9223372036854775807,"#,
            r#""client":"127.0.0.1","factors":["password"]}}}}}}}}"#
        ),
        id = id,
        user = user.id,
    );
    assert_eq!(body, expected);
}

/// Written before entries named hashes.
#[test]
fn an_older_entry_reads_and_keeps_its_bytes() {
    let event = Event::ResourcesApplied { changes: vec!["+ acme: app records".to_owned()], hashes: vec![] };
    let body = Entry { event, ..request() }.body().unwrap();
    assert!(!String::from_utf8(body.clone()).unwrap().contains("hashes"));
    assert_eq!(Entry::read(&body).unwrap().body().unwrap(), body);
}

#[test]
fn facets_are_what_the_log_is_filtered_by() {
    let entry = request();
    let facets = entry.facets();
    assert_eq!((facets.event, facets.app.map(AppId::as_str)), ("request", Some("records")));
    assert_eq!(facets.reason, Some("denied"));
    assert_eq!(facets.verdict, Some("deny"));
    assert!(facets.caller.starts_with("user:"));
    let stop = Entry { actor: Actor::GATEWAY, event: Event::Stopped {}, ..entry };
    assert_eq!((stop.facets().event, stop.facets().caller.as_ref()), ("stopped", "gateway"));
    assert_eq!(Entry::read(&stop.body().unwrap()).unwrap(), stop);
}

#[test]
fn actors_read_back() {
    for actor in [Actor::OPERATOR, Actor::GATEWAY, Actor::Caller(Caller::Visitor)] {
        let entry = Entry { actor, event: Event::Started { version: "1".to_owned() }, ..request() };
        assert_eq!(Entry::read(&entry.body().unwrap()).unwrap(), entry);
    }
}

#[test]
fn codes_are_distinct_kebab_case() {
    let codes: BTreeSet<_> = Event::CODES.iter().collect();
    assert_eq!(codes.len(), Event::CODES.len());
    assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
}

#[test]
fn an_agent_is_shortened_at_a_character_and_loses_control_characters() {
    let agent = |text: &str| Client::new(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(text)).agent.unwrap();
    assert_eq!(agent("curl/8\r\nX: y").as_ref(), "curl/8X: y");
    assert_eq!(agent(&"ü".repeat(200)).len(), 160);
    assert_eq!(agent(&format!("x{}", "ü".repeat(200))).len(), 159);
}
