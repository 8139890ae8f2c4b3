//! The flow as a client walks it, and every way in which it must not go on.

use std::sync::Mutex;

use axum::{body::Body, http::Request};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Clock, Timestamp, entropy::Fixed};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::{provider::make_key, seed};

const ISSUER: &str = "http://127.0.0.1:8081";
const BACK: &str = "http://north.localhost:8080/sign-in/callback/clinic";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7636 appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Moved(Mutex<Timestamp>);
impl Clock for Moved {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct World {
    router: Router,
    password: String,
    clock: Arc<Moved>,
}

fn world() -> World {
    let entropy = Arc::new(Fixed::new(1));
    let clock = Arc::new(Moved(Mutex::new(Timestamp::from_secs(1_763_800_000))));
    let people: Vec<_> = seed::people(&*entropy).into_iter().filter(|one| one.at_provider).collect();
    let options = Options {
        issuer: ISSUER.into(),
        client_id: seed::CLIENT_ID.into(),
        redirect_uris: vec![BACK.into()],
        people: people.clone(),
        key: make_key(&*entropy).unwrap(),
        clock: Arc::clone(&clock) as _,
        entropy,
    };
    World { router: router(Arc::new(Provider::new(options).unwrap())), password: people[0].password.clone(), clock }
}

fn asked() -> Vec<(&'static str, &'static str)> {
    vec![
        ("response_type", "code"),
        ("client_id", "cardea"),
        ("redirect_uri", BACK),
        ("scope", "openid email profile groups"),
        ("state", "s t&te"),
        ("nonce", "n0nce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]
}

fn with(
    mut fields: Vec<(&'static str, &'static str)>,
    name: &'static str,
    value: &'static str,
) -> Vec<(&'static str, &'static str)> {
    fields.retain(|(known, _)| *known != name);
    fields.push((name, value));
    fields
}

fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

impl World {
    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, String) {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(encoded(fields))).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn log_in(&self, password: &str) -> (StatusCode, HeaderMap, String) {
        let mut fields = asked();
        let password = password.to_owned();
        fields.push(("email", "nils@north.example"));
        let mut fields: Vec<(&str, &str)> = fields;
        fields.push(("password", &password));
        self.post("/authorize", &fields).await
    }

    async fn code(&self) -> String {
        let (status, headers, _) = self.log_in(&self.password).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        query(&headers, "code").unwrap()
    }

    async fn redeem(&self, code: &str, change: Option<(&str, &str)>) -> (StatusCode, Value) {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", BACK),
            ("client_id", "cardea"),
            ("code_verifier", VERIFIER),
        ];
        if let Some((name, value)) = change {
            fields.retain(|(known, _)| *known != name);
            fields.push((name, value));
        }
        let (status, _, body) = self.post("/token", &fields).await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

fn query(headers: &HeaderMap, name: &str) -> Option<String> {
    let at = url::Url::parse(headers.get("location")?.to_str().unwrap()).unwrap();
    at.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn claims(id_token: &str) -> Value {
    let body = URL_SAFE_NO_PAD.decode(id_token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn a_person_signs_in_and_the_client_learns_who() {
    let world = world();
    let (status, _, page) = world.get(&format!("/authorize?{}", encoded(&asked()))).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("nils@north.example") && page.contains("value=\"s t&#38;te\""), "{page}");
    let (_, headers, _) = world.log_in(&world.password).await;
    assert_eq!(query(&headers, "state").as_deref(), Some("s t&te"));
    assert_eq!(query(&headers, "iss").as_deref(), Some(ISSUER));
    let (status, tokens) = world.redeem(&query(&headers, "code").unwrap(), None).await;
    assert_eq!(status, StatusCode::OK);
    let told = claims(tokens["id_token"].as_str().unwrap());
    assert_eq!((&told["iss"], &told["aud"], &told["nonce"]), (&ISSUER.into(), &"cardea".into(), &"n0nce".into()));
    assert_eq!((&told["email"], &told["email_verified"]), (&"nils@north.example".into(), &true.into()));
    assert_eq!(told["groups"], serde_json::json!(["readers"]));
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let request = Request::get("/userinfo").header("authorization", bearer).body(Body::empty()).unwrap();
    let (status, _, body) = world.send(request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["sub"], told["sub"]);
}

#[tokio::test]
async fn the_id_token_verifies_with_the_published_key() {
    let world = world();
    let (_, tokens) = world.redeem(&world.code().await, None).await;
    let (_, _, jwks) = world.get("/jwks").await;
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&jwks).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwks.keys[0]).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_audience(&["cardea"]);
    rules.set_issuer(&[ISSUER]);
    rules.validate_exp = false;
    jsonwebtoken::decode::<Value>(tokens["id_token"].as_str().unwrap(), &key, &rules).unwrap();
    let (_, _, found) = world.get("/.well-known/openid-configuration").await;
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap()["issuer"], ISSUER);
}

#[tokio::test]
async fn a_wrong_password_shows_the_form_again_and_gives_no_code() {
    let world = world();
    for password in ["", "x", &world.password[1..]] {
        let (status, headers, page) = world.log_in(password).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(headers.get("location").is_none() && page.contains("role=\"alert\""));
    }
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_the_client_s() {
    let world = world();
    let foreign = ["http://evil.example/", "http://north.localhost:8080/", &(BACK.to_owned() + "/x"), ""];
    for at in foreign.map(|at| &*Box::leak(at.to_owned().into_boxed_str())) {
        let (status, headers, _) =
            world.get(&format!("/authorize?{}", encoded(&with(asked(), "redirect_uri", at)))).await;
        assert_eq!((status, headers.get("location")), (StatusCode::BAD_REQUEST, None), "{at}");
    }
    let (status, ..) = world.get(&format!("/authorize?{}", encoded(&with(asked(), "client_id", "other")))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_request_without_pkce_goes_back_with_its_error() {
    let world = world();
    for (name, value, error) in [
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("scope", "email", "invalid_scope"),
    ] {
        let (status, headers, _) = world.get(&format!("/authorize?{}", encoded(&with(asked(), name, value)))).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        assert_eq!(query(&headers, "error").as_deref(), Some(error), "{name}");
        assert_eq!(query(&headers, "code"), None);
    }
}

/// G22: each flaw alone refuses, and spends the code.
#[tokio::test]
async fn g22_a_code_is_good_once_in_time_for_its_client_address_and_verifier() {
    let world = world();
    for change in [
        ("client_id", "other"),
        ("redirect_uri", "http://north.localhost:8080/"),
        ("code_verifier", "wrong"),
        ("code", "unknown"),
    ] {
        let code = world.code().await;
        let (status, _) = world.redeem(&code, Some(change)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{change:?}");
        let spent = world.redeem(&code, None).await.0;
        assert_eq!(spent == StatusCode::BAD_REQUEST, change.0 != "code", "{change:?}");
    }
    let code = world.code().await;
    assert_eq!(world.redeem(&code, None).await.0, StatusCode::OK);
    assert_eq!(world.redeem(&code, None).await.0, StatusCode::BAD_REQUEST);
    let late = world.code().await;
    let later = world.clock.now().plus(std::time::Duration::from_secs(60));
    *world.clock.0.lock().unwrap() = later;
    assert_eq!(world.redeem(&late, None).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_token_that_is_none_learns_nothing() {
    let world = world();
    let (status, ..) = world.get("/userinfo").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let forged = Request::get("/userinfo").header("authorization", "Bearer x").body(Body::empty()).unwrap();
    assert_eq!(world.send(forged).await.0, StatusCode::UNAUTHORIZED);
}
