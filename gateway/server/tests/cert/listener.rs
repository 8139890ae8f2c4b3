//! Who comes through the machines' door, and what they find there.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_the_tenants_ends_the_handshake() {
    let world = world("foreign").await;
    let now = SystemClock.now();
    let root = Authority::root(now, &SystemEntropy).unwrap();
    let domain = TrustDomain::parse("acme.cardea.internal").unwrap();
    let forged = root.intermediate(&domain, now, &SystemEntropy).unwrap();
    let place = |authority: &Authority, dir: &str, id: SpiffeId| {
        let key = PrivateKey::generate(&SystemEntropy).unwrap();
        let request = Request::parse(&key.request().unwrap()).unwrap();
        let issued = authority.issue(&Profile::Workload(id), &request, HOUR, now, &SystemEntropy).unwrap();
        std::fs::create_dir_all(world.folder.join(dir)).unwrap();
        std::fs::write(world.folder.join(dir).join("cert.pem"), issued.to_pem()).unwrap();
        std::fs::write(world.folder.join(dir).join("key.pem"), key.to_pem().expose()).unwrap();
    };
    place(&forged, "forged", SpiffeId::service(&domain, "records").unwrap());
    let strange = TrustDomain::parse("acme.elsewhere").unwrap();
    place(&root.intermediate(&strange, now, &SystemEntropy).unwrap(), "strange", SpiffeId::gateway(&strange));
    for dir in ["forged", "strange"] {
        let body = serde_json::json!({ "csr": csr() }).to_string();
        let ended = world.post("acme.localhost", "/ca/renew", &body, Some(dir)).await;
        assert!(ended.is_err(), "{dir}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machines_listener_shows_a_short_lived_certificate_and_serves_nothing_else() {
    let world = world("listener").await;
    let (status, _) = world.post("acme.localhost", "/sign-in", "{}", None).await.unwrap();
    assert!([403, 404].contains(&status), "{status}");
    assert!(world.post("other.localhost", "/ca/enrol", "{}", None).await.is_err(), "a stranger's host was served");
    let shown = world.house.store.certificates(&tenant("acme"), Some("gateway"), SystemClock.now()).await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].spiffe_id, "https://acme.localhost");
}

/// A second start finds the same authority: certificates given before it still count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_outlives_a_restart() {
    let world = world("restart").await;
    let root = world.roots.clone();
    let again = House::open(
        Config::parse(
            "cardea.toml",
            "[state]\ndir = \"state\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\nplain = true\n",
            &world.folder,
            SystemClock.now(),
        )
        .unwrap(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    )
    .await
    .unwrap();
    assert_eq!(again.ca.root(&again).await.unwrap().to_pem(), root);
    let facts = CertificateFacts::read(again.ca.root(&again).await.unwrap().certificate()).unwrap();
    assert!(facts.valid_at(SystemClock.now()));
}
