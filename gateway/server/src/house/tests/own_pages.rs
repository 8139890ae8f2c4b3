//! Our own pages, asked through the whole pipeline.

use cardea_proxy::{Body, Connection, Door};
use http::{Request, header};
use http_body_util::BodyExt as _;

use super::*;

/// The status and the reason of an answer to a program, and the reason in its entry.
async fn asked(stage: &Stage, request: Request<Body>) -> (u16, Option<String>, Option<String>) {
    let proxy = crate::running::proxy(&stage.house, &mut prometheus_client::registry::Registry::default());
    let connection = Arc::new(Connection::plain("127.0.0.1:9".parse().unwrap(), Door::Public));
    let answer = proxy.handle(connection, request).await;
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
