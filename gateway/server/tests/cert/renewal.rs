//! Whose certificate is renewed, and against which it is measured.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_holder_of_a_certificate_renews_it_with_another_key_at_its_own_tenant() {
    let world = world("renews").await;
    let token = world.token("acme", "records").await;
    world.agent("acme.localhost", Some(&token), "records", Duration::ZERO).obtain().await.unwrap();
    let body = |csr: &str| serde_json::json!({ "csr": csr }).to_string();

    let (nobody, _) = world.post("acme.localhost", "/ca/renew", &body(&csr()), None).await.unwrap();
    assert!([401, 403].contains(&nobody), "nobody renewed: {nobody}");
    let (other, answer) = world.post("north.localhost", "/ca/renew", &body(&csr()), Some("records")).await.unwrap();
    assert!([401, 403].contains(&other), "renewed at another tenant: {answer}");
    let key = std::fs::read_to_string(world.folder.join("records/key.pem")).unwrap();
    let same = PrivateKey::from_pem(&key).unwrap().request().unwrap();
    let (kept, answer) = world.post("acme.localhost", "/ca/renew", &body(&same), Some("records")).await.unwrap();
    assert_eq!(kept, 400, "{answer}");
    assert!(answer.contains("new key"), "{answer}");
    let (good, answer) = world.post("acme.localhost", "/ca/renew", &body(&csr()), Some("records")).await.unwrap();
    assert_eq!(good, 200, "{answer}");
}

/// Each renewal is measured against the certificate of its own connection, and against the time of its request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_names_its_own_predecessor_and_a_connection_renews_nothing_once_its_certificate_has_ended() {
    let world = world("predecessor").await;
    let body = || serde_json::json!({ "csr": csr() }).to_string();
    let mut serials = Vec::new();
    for dir in ["one", "two"] {
        let token = world.token("acme", "records").await;
        let agent = world.agent("acme.localhost", Some(&token), dir, Duration::ZERO);
        serials.push(agent.obtain().await.unwrap().facts.serial);
    }
    let mut first = world.connect("acme.localhost", Some("one")).await.unwrap();
    let mut late = world.connect("acme.localhost", Some("one")).await.unwrap();
    let mut second = world.connect("acme.localhost", Some("two")).await.unwrap();
    for stream in [&mut first, &mut second] {
        let (status, answer) = say(stream, "acme.localhost", "/ca/renew", &body()).await.unwrap();
        assert_eq!(status, 200, "{answer}");
    }
    let before: Vec<_> = world
        .entries("acme")
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::CertificateRenewed { before, .. } => Some(before),
            _ => None,
        })
        .collect();
    assert_eq!(before, serials);
    // Another instance has shown a younger one meanwhile; that is not this connection's.
    world.ahead.store(2 * 24 * 3600, Ordering::SeqCst);
    // A clock that leaps makes everything look old until changes are heard of again.
    while world.house.is_ready().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, answer) = say(&mut late, "acme.localhost", "/ca/renew", &body()).await.unwrap();
    assert_eq!((status, answer.contains("certificate-ended")), (401, true), "{answer}");
}
