//! A service's first certificate, and how it keeps one.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_enrols_once_and_renews_itself_with_a_new_key_each_time() {
    let world = world("enrols").await;
    let token = world.token("acme", "records").await;
    let agent = world.agent("acme.localhost", Some(&token), "records", Duration::ZERO);
    let first = agent.obtain().await.unwrap();
    assert!(first.new);
    assert_eq!(first.facts.spiffe_id.as_ref().unwrap().as_str(), "spiffe://acme.cardea.internal/service/records");
    assert_eq!(agent.obtain().await.unwrap(), cardea::agent::Obtained { facts: first.facts.clone(), new: false });

    let later = world.agent("acme.localhost", None, "records", HOUR / 2);
    let second = later.obtain().await.unwrap();
    assert!(second.new);
    assert_eq!(second.facts.spiffe_id, first.facts.spiffe_id);
    assert_ne!(second.facts.key_fingerprint, first.facts.key_fingerprint);
    assert_ne!(second.facts.serial, first.facts.serial);

    let events = world.entries("acme").await;
    let issued = events.iter().any(|event| matches!(event, Event::CertificateIssued { certificate, .. } if certificate.serial == first.facts.serial));
    let renewed = events.iter().any(|event| matches!(event, Event::CertificateRenewed { certificate, before } if certificate.serial == second.facts.serial && before == &first.facts.serial));
    assert!(issued && renewed, "{events:?}");
    let kept = world.house.store.certificates(&tenant("acme"), Some("records"), SystemClock.now()).await.unwrap();
    assert_eq!(kept.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_could_not_be_told_of_its_certificate_is_told_later() {
    let world = world("told").await;
    let token = world.token("acme", "records").await;
    let (ready, told) = (world.folder.join("ready"), world.folder.join("told"));
    let command = format!("test -e {} && echo once >> {}", ready.display(), told.display());
    let agent = || {
        let options = world.options("acme.localhost", Some(&token), "records", Duration::ZERO);
        Agent::new(Options { exec: Some(command.clone()), ..options })
    };
    let failed = agent().obtain().await.unwrap_err();
    assert!(matches!(failed, AgentFault::Exec(..)) && failed.may_pass(), "{failed}");
    // The certificate is there; an agent that is started anew knows that nobody was told.
    agent().obtain().await.unwrap_err();
    std::fs::write(&ready, "").unwrap();
    for _ in 0..2 {
        assert!(!agent().obtain().await.unwrap().new);
        assert_eq!(std::fs::read_to_string(&told).unwrap(), "once\n");
    }
}

/// G23: a token is spent by its first use, also when many race for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g23_of_many_who_race_with_one_token_one_is_enrolled() {
    let world = world("race").await;
    let token = world.token("acme", "records").await;
    let agents: Vec<_> = (0..8)
        .map(|nth| world.agent("acme.localhost", Some(&token), &format!("records-{nth}"), Duration::ZERO))
        .collect();
    let tries = futures_util::future::join_all(agents.iter().map(Agent::obtain)).await;
    let (won, lost): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for one in lost {
        assert_eq!(refused(one).0, Reason::EnrolmentSpent.code());
    }
    let again = world.agent("acme.localhost", Some(&token), "again", Duration::ZERO).obtain().await;
    assert_eq!(refused(again).0, Reason::EnrolmentSpent.code());
    let noted = world.entries("acme").await;
    assert!(
        noted.iter().any(|event| matches!(event, Event::CertificateRefused { reason: Reason::EnrolmentSpent, .. }))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_counts_for_its_tenant_only_and_a_bad_request_does_not_spend_it() {
    let world = world("token").await;
    let token = world.token("acme", "records").await;
    let elsewhere = world.agent("north.localhost", Some(&token), "north", Duration::ZERO).obtain().await;
    assert_eq!(refused(elsewhere).0, Reason::EnrolmentSpent.code());
    let unknown = EnrolmentToken::mint(&SystemEntropy);
    let unknown = world.agent("acme.localhost", Some(&unknown), "unknown", Duration::ZERO).obtain().await;
    assert_eq!(refused(unknown).0, Reason::EnrolmentSpent.code());
    for (csr, status) in [("", 400), ("no request", 400), (&*"x".repeat(20_000), 400)] {
        let body = serde_json::json!({ "token": token.expose(), "csr": csr }).to_string();
        let (got, answer) = world.post("acme.localhost", "/ca/enrol", &body, None).await.unwrap();
        assert_eq!(got, status, "{answer}");
        assert!(answer.contains("urn:cardea:reason:request-not-signed") && answer.contains("application/problem+json"));
    }
    for body in ["", "{}", "[]", "{\"token\":1,\"csr\":\"\"}", "{\"token\":\"x\",\"csr\":\"\",\"id\":\"y\"}"] {
        let (got, answer) = world.post("acme.localhost", "/ca/enrol", body, None).await.unwrap();
        assert_eq!(got, Reason::BadInput.status(), "{answer}");
        assert!(!answer.contains(token.expose()));
    }
    assert!(world.agent("acme.localhost", Some(&token), "records", Duration::ZERO).obtain().await.unwrap().new);
}
