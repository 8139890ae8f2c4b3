//! Whom the service answers, and what it believes of who asks.

use super::*;

#[tokio::test]
async fn only_the_gateway_acting_for_the_tenant_is_answered() {
    let world = world("only").await;
    let (mut sender, _) = world.connect(world.gateway()).await.unwrap();
    assert_eq!(world.send(&mut sender, Method::GET, "/about", &[HTML], "").await.unwrap().status, StatusCode::OK);

    let north = world.root.intermediate(&domain("north"), Now.now(), &*world.entropy).unwrap();
    let other_root = Authority::root(Now.now(), &Fixed::new(9)).unwrap();
    let other = other_root.intermediate(&domain("acme"), Now.now(), &Fixed::new(8)).unwrap();
    let gateway = |tenant| Profile::Workload(SpiffeId::gateway(&domain(tenant)));
    let strangers = [
        ("nobody", None),
        ("another service", Some(issue(&world.acme, &service(), &world.entropy))),
        ("another tenant's gateway", Some(issue(&north, &gateway("north"), &world.entropy))),
        ("another house's gateway", Some(issue(&other, &gateway("acme"), &world.entropy))),
    ];
    for (who, client) in strangers {
        // In TLS 1.3 the client may learn of its refusal only with the first answer.
        let refused = match world.connect(client).await {
            Err(_) => true,
            Ok((mut sender, _)) => world.send(&mut sender, Method::GET, "/about", &[HTML], "").await.is_err(),
        };
        assert!(refused, "{who} was answered");
    }
}

#[tokio::test]
async fn nothing_but_a_good_assertion_says_who_asks() {
    let world = world("assertion").await;
    let (mut sender, _) = world.connect(world.gateway()).await.unwrap();
    let good = world.assertion("Rui");
    let ok = world.send(&mut sender, Method::GET, "/studies", &[HTML, ("cardea-assertion", &good)], "").await.unwrap();
    assert_eq!(ok.status, StatusCode::OK);
    assert!(ok.body.contains("Rui") && ok.body.contains("S-12"));

    let with = |name: &str, value: Value| {
        let mut claims = world.claims("Rui");
        claims[name] = value;
        world.sign(&claims)
    };
    let past = Now.now().as_secs() - 120;
    let mut cut = good.clone();
    cut.truncate(good.rfind('.').unwrap() + 1);
    let none =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"k1"}"#), good.split('.').nth(1).unwrap());
    let bad = [
        ("another issuer", with("iss", json!("http://north.localhost:8080"))),
        ("another audience", with("aud", json!("ledger"))),
        ("expired", with("exp", json!(past))),
        ("not yet", with("nbf", json!(past + 3600))),
        ("no signature", cut),
        ("no algorithm", none),
        ("no token", "x".to_owned()),
    ];
    for (what, assertion) in bad {
        let headers = [HTML, ("cardea-assertion", assertion.as_str())];
        let answer = world.send(&mut sender, Method::GET, "/studies", &headers, "").await.unwrap();
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
    }
    let two = [HTML, ("cardea-assertion", good.as_str()), ("cardea-assertion", good.as_str())];
    assert_eq!(
        world.send(&mut sender, Method::GET, "/studies", &two, "").await.unwrap().status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        world.send(&mut sender, Method::GET, "/studies", &[HTML], "").await.unwrap().status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(world.fetched.load(Ordering::Relaxed), 1, "the keys were fetched more than once");
}
