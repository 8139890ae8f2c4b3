//! G1 to G4 (requirements H2 to H4): who calls is said by us alone.

use crate::{house::Plan, service::Service};

const FORGED: [&str; 18] = [
    "Cardea-Assertion",
    "cardea_assertion",
    "CARDEA-ASSERTION",
    "Cardea.Assertion",
    "Cardea-Anything",
    "Remote-User",
    "remote_user",
    "REMOTE_USER",
    "Remote.User",
    "X-Groups",
    "x_groups",
    "X-Forwarded-User",
    "X_Forwarded_User",
    "X-Forwarded-Proto",
    "x_forwarded_proto",
    "Forwarded",
    "X-Real-IP",
    "X-Request-Id",
];

/// What the app does not map, and a service may believe all the same.
const UNMAPPED: [&str; 20] = [
    "X-Auth-Request-User",
    "X-Auth-Request-Groups",
    "x_auth_request_preferred_username",
    "X-Auth-Request-Access-Token",
    "Remote-Groups",
    "Remote-Name",
    "Remote-Email",
    "X-Remote-User",
    "X-WEBAUTH-USER",
    "Client-Cert",
    "Client-Cert-Chain",
    "SSL_CLIENT_S_DN",
    "X-SSL-Client-Verify",
    "X-Client-Cert-Subject",
    "X-Goog-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "X-Amzn-Oidc-Data",
    "X-MS-Client-Principal",
    "X-Authentik-Username",
    "Tailscale-User-Login",
];

#[tokio::test]
async fn forged_identity_reaches_no_service_signed_in_or_not() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    for name in FORGED.into_iter().chain(UNMAPPED) {
        for signed_in in [false, true] {
            let who = if signed_in { format!("cookie: {cookie}\r\n") } else { String::new() };
            let reply =
                house.ask("GET /public", &format!("{who}{name}: forged-value\r\n{name}: forged-value\r\n")).await;
            assert_eq!(reply.status(), 200, "{name}");
            let heard = service.last();
            let forged = heard.headers.iter().any(|(_, value)| value.as_bytes().windows(6).any(|w| w == b"forged"));
            assert!(!forged, "{name} (signed in: {signed_in}) came through: {heard:?}");
            let said = signed_in.then_some("mira@acme.test");
            assert_eq!(heard.header("remote-user"), said);
            // Shown again after a sign-out, it would be asked for first.
            assert_eq!(reply.header("cache-control"), signed_in.then_some("private, no-cache"), "{name}");
            assert_eq!(heard.header("cardea-assertion"), said.map(|_| "signed-for-mira@acme.test"));
        }
    }
}

#[tokio::test]
async fn what_an_app_maps_of_these_is_ours_and_what_is_no_identity_is_the_service_s() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).and("X-Auth-Request-Email = 'email'").open().await;
    let forged = "x-auth-request-email: forged\r\nx-auth-request-user: forged\r\nx-user: 7\r\nx-script-name: /lab\r\n";
    for (who, said) in [(format!("cookie: {}\r\n", house.chemist()), Some("mira@acme.test")), (String::new(), None)] {
        assert_eq!(house.ask("GET /public", &format!("{who}{forged}")).await.status(), 200);
        let heard = service.last();
        assert_eq!((heard.header("x-auth-request-email"), heard.header("x-auth-request-user")), (said, None));
        assert_eq!((heard.header("x-user"), heard.header("x-script-name")), (Some("7"), Some("/lab")));
    }
}

#[tokio::test]
async fn forged_identity_in_trailers_reaches_no_service() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    let trailers: String = FORGED.iter().map(|name| format!("{name}: forged-value\r\n")).collect();
    let request = format!(
        "POST /x HTTP/1.1\r\nhost: records.acme.test\r\ncookie: {cookie}\r\nconnection: close\r\ntrailer: x-sum, {}\r\n\
         transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{trailers}x-sum: 1\r\n\r\n",
        FORGED.join(", ")
    );
    assert_eq!(house.raw(request.as_bytes()).await.status(), 200);
    let heard = service.last();
    assert_eq!(heard.body, b"abc");
    let kept = heard.trailers.unwrap_or_default();
    assert_eq!(kept.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
}

#[tokio::test]
async fn connection_cannot_strip_what_we_say() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    for listed in [
        "Cardea-Assertion",
        "Remote-User",
        "X-Request-Id",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "traceparent",
        "Host",
        "Via",
    ] {
        let request = format!(
            "GET /x HTTP/1.1\r\nhost: records.acme.test\r\ncookie: {cookie}\r\nx-own: 1\r\nconnection: close, {listed}, x-own\r\n\r\n"
        );
        assert_eq!(house.raw(request.as_bytes()).await.status(), 200, "{listed}");
        let heard = service.last();
        assert!(heard.headers.contains_key(listed.to_ascii_lowercase()), "{listed} was stripped");
        assert!(!heard.headers.contains_key("x-own"));
    }
}

#[tokio::test]
async fn the_service_is_told_who_asked_for_what() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    let more = format!(
        "cookie: a=1; {cookie}; b=2\r\nauthorization: Basic YTpi\r\nte: trailers\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
    );
    let reply = house.ask("GET /x", &more).await;
    let heard = service.last();
    assert_eq!(heard.header("x-request-id"), reply.header("x-request-id"));
    assert_eq!(heard.header("host"), Some("records.acme.test"));
    assert_eq!(heard.header("x-forwarded-host"), Some("records.acme.test"));
    assert_eq!(heard.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(heard.header("x-forwarded-proto"), Some("http"));
    assert_eq!(heard.header("forwarded"), Some("for=127.0.0.1;host=records.acme.test;proto=http"));
    assert_eq!(heard.header("x-groups"), Some("chemists"));
    assert_eq!(heard.header("cookie"), Some("a=1; b=2"), "our cookie is ours");
    assert_eq!(heard.header("authorization"), Some("Basic YTpi"));
    assert_eq!(heard.header("via"), Some("1.1 cardea"));
    assert!(heard.header("traceparent").unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(heard.header("connection").is_none() && heard.header("te").is_none());
}

#[tokio::test]
async fn a_name_with_two_readings_is_refused() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    for name in ["x_custom", "content_length", "Content.Length", "X-HTTP-Method-Override", "x_http_method_override"] {
        let reply = house.ask("GET /public", &format!("{name}: 1\r\n")).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (400, Some("bad-header")), "{name}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_service_cannot_set_our_cookies() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let reply = house.ask("GET /public/cookies", "").await;
    assert!(reply.0.contains("app=1") && !reply.0.contains("evil") && !reply.0.contains("secret"), "{}", reply.0);
    assert_eq!(reply.header("alt-svc"), None);
}

#[tokio::test]
async fn the_client_address_is_what_listed_proxies_say_and_nobody_else() {
    let (service, url) = Service::start().await;
    let plan = Plan::at(&url);
    let spec: cardea_core::resources::AppSpec = toml::from_str(&plan.app).unwrap();
    let house = plan.open().await;
    let ask = async |more: &str| {
        let status = house.ask("GET /public", more).await.status();
        (status, service.last().header("x-forwarded-for").map(str::to_owned))
    };
    let said = |status, address: &str| (status, Some(address.to_owned()));
    assert_eq!(ask("x-forwarded-for: 203.0.113.9\r\n").await, said(200, "127.0.0.1"));
    let upstream =
        cardea_proxy::Upstream::new(spec.upstream.as_ref().unwrap(), cardea_proxy::Transport::Plain).unwrap();
    let mut trusting = crate::house::snapshot(&spec, Some(std::sync::Arc::new(upstream)), crate::house::POLICIES);
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    trusting.settings = cardea_proxy::Settings { trusted_proxies, ..Default::default() }.into();
    house.proxy.swap(trusting);
    assert_eq!(ask("x-forwarded-for: 198.51.100.1, 203.0.113.9\r\n").await, said(200, "203.0.113.9"));
    assert_eq!(
        ask("x-forwarded-for: 198.51.100.1\r\nx-forwarded-for: 203.0.113.9, 10.1.2.3\r\n").await,
        said(200, "203.0.113.9")
    );
    assert_eq!(ask("forwarded: for=198.51.100.1\r\n").await, said(200, "127.0.0.1"));
    assert_eq!(ask("x-forwarded-for: nonsense\r\n").await.0, 400);
    assert_eq!(ask("x-forwarded-proto: https\r\n").await.0, 200);
    assert_eq!(service.last().header("x-forwarded-proto"), Some("https"));
}
