//! Our own pages, asked through the whole pipeline.

use cardea_proxy::{Body, Connection, Door};
use http::{Request, header};
use http_body_util::BodyExt as _;

use super::*;

/// The status and the reason of an answer to a program, and the reason in its entry.
async fn asked(stage: &Stage, request: Request<Body>) -> (u16, Option<String>, Option<String>) {
    let proxy = crate::running::proxy(&stage.house, &mut prometheus_client::registry::Registry::default());
    let connection = Arc::new(Connection::plain("127.0.0.1:9".parse().unwrap(), Door::Public));
    let answer = proxy.handle(&connection, request).await;
    let (status, id) = (answer.status().as_u16(), answer.headers()["x-request-id"].to_str().unwrap().parse().unwrap());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let told = serde_json::from_slice(&body)
        .ok()
        .and_then(|told: serde_json::Value| told["reason"].as_str().map(str::to_owned));
    stage.house.log.flush().await.unwrap();
    let logged = stage.house.store.log_entry(Some(&stage.tenant), id).await.unwrap().unwrap();
    let written = logged.entry().unwrap().event.reason().map(|reason| reason.code().to_owned());
    (status, told, written)
}

/// The head of an answer to a browser that wants to read `languages`, and its body.
async fn read(stage: &Stage, address: &str, accept: &str, languages: Option<&str>) -> (http::HeaderMap, String) {
    let proxy = crate::running::proxy(&stage.house, &mut prometheus_client::registry::Registry::default());
    let connection = Arc::new(Connection::plain("127.0.0.1:9".parse().unwrap(), Door::Public));
    let (host, path) = address.split_once('/').unwrap();
    let mut request = Request::get(format!("/{path}")).header(header::HOST, host).header(header::ACCEPT, accept);
    if let Some(languages) = languages {
        request = request.header(header::ACCEPT_LANGUAGE, languages);
    }
    let answer = proxy.handle(&connection, request.body(Body::empty()).unwrap()).await;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_failures_speak_the_readers_language_and_the_tenants_to_whoever_asks_for_none() {
    const PAGE: &str = "text/html,application/xhtml+xml";
    let stage = Stage::set().await;
    let places = [
        // A page, what its router refuses, a failure at the app's host, one of a request without a reading, and one at
        // a host that is nobody's.
        ("acme.localhost/sign-in", "Anmelden", "Sign in"),
        ("acme.localhost/sign-in?to=&to=", "Diese Anfrage ist nicht lesbar", "This request can’t be read"),
        (
            "records.acme.localhost/.cardea/callback?code=a&to=/",
            "Dieser Link gilt nicht mehr",
            "This link no longer works",
        ),
        ("records.acme.localhost/a/..%2fb", "Diese Anfrage ist nicht lesbar", "This request can’t be read"),
        ("nobody.localhost/", "Unter dieser Adresse gibt es keine Website", "There is no site at this address"),
    ];
    for (address, german, english) in places {
        for (languages, tag, said) in [
            (None, "en", english),
            (Some("fr"), "en", english),
            (Some("de-AT,de;q=0.9,en;q=0.8"), "de", german),
            (Some("de;q=0.1, en"), "en", english),
        ] {
            let (head, body) = read(&stage, address, PAGE, languages).await;
            assert!(
                body.contains(&format!("<html lang=\"{tag}\"")) && body.contains(said),
                "{address} {languages:?}: {body}"
            );
            assert_eq!(head["content-language"], tag, "{address}");
            assert!(head["vary"].to_str().unwrap().contains("Accept-Language"), "{address}: {head:?}");
        }
    }
    for (address, ..) in [places[1], places[3], places[4]] {
        let (head, body) = read(&stage, address, "application/json", Some("de")).await;
        let told: serde_json::Value = serde_json::from_str(&body).unwrap();
        let english = ["Doubled parameter", "Ambiguous path", "Unknown host"].map(|title| title == told["title"]);
        assert!(english.contains(&true) && !head.contains_key("content-language"), "{address} for a program: {body}");
    }
    apply(&stage.house, "language = \"de\"\n").await;
    crate::reload::Feed::of(&stage.house).round(&stage.house).await;
    for (address, german, english) in &places[..3] {
        for (languages, said) in
            [(None, german), (Some("fr, *;q=0.1"), german), (Some("en-US"), english), (Some("de;q=0"), english)]
        {
            let (_, body) = read(&stage, address, PAGE, languages).await;
            assert!(body.contains(said), "{address} {languages:?} in a German house: {body}");
        }
    }
    stage.strike().await;
}

/// Abuse row G33: of a parameter that stands twice one part reads the first and another the last.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_stands_twice_is_refused_before_anything_reads_it() {
    let stage = Stage::set().await;
    let get = |address: &str| {
        let (host, path) = address.split_once('/').unwrap();
        Request::get(format!("/{path}")).header(header::HOST, host).body(Body::empty()).unwrap()
    };
    let post = |path: &str, form: &'static str| {
        Request::post(path)
            .header(header::HOST, "acme.localhost")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::full(form))
            .unwrap()
    };
    let refused = (400, Some("doubled-parameter".to_owned()), Some("doubled-parameter".to_owned()));
    for address in [
        "acme.localhost/sign-in?to=&to=",
        "acme.localhost/sign-in?flow=a&flow=b",
        "acme.localhost/sign-in?unheard=of&unheard=of",
        "acme.localhost/sign-in/step-up?need=2&need=3",
        "acme.localhost/sign-in/with/work?to=&to=",
        "records.acme.localhost/.cardea/callback?code=a&code=b&to=/",
        "records.acme.localhost/.cardea/callback?code=a&to=/&to=/x",
        "records.acme.localhost/.cardea/callback?code=a&to=/&state=a&st%61te=b",
    ] {
        assert_eq!(asked(&stage, get(address)).await, refused, "{address}");
    }
    for (path, form) in [
        ("/sign-in", "email=ada@acme.example&email=eve@acme.example"),
        ("/sign-in", "email=ada@acme.example&to=&to="),
        ("/sign-in", "email=ada@acme.example&flow=&flow="),
        ("/sign-in/password", "password=a&password=b"),
        ("/sign-in/totp", "code=000000&code=111111"),
        ("/sign-in/email", "code=1&code=2"),
        ("/sign-in/recovery", "recovery=a&recovery=b"),
        ("/sign-in?to=&to=", "email=ada@acme.example"),
    ] {
        assert_eq!(asked(&stage, post(path, form)).await, refused, "{path} {form}");
    }
    // Once, each of them does what it is for; or is refused for what it says.
    assert_eq!(asked(&stage, get("acme.localhost/sign-in?to=&flow=")).await, (200, None, None));
    assert_eq!(asked(&stage, post("/sign-in", "email=ada@acme.example&to=&flow=")).await, (303, None, None));
    let (status, _, reason) = asked(&stage, get("records.acme.localhost/.cardea/callback?code=a&to=/&state=a")).await;
    assert_eq!((status, reason.as_deref()), (400, Some("code-spent")));
    stage.strike().await;
}
