//! What programs and their people ask of us, through the whole pipeline and with time that is moved.

use std::net::SocketAddr;

use cardea_proxy::{Body, Connection, Door};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;

use super::*;

const SIGN_IN: &str = "acme.localhost";
const ASKED: &str = "client_id=tool&response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback\
                     &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

impl Stage {
    /// As [`Stage::set`], with a client that comes by tokens in people's names.
    async fn with_a_tool() -> Self {
        let stage = Self::set().await;
        let text = "id = \"tool\"\nname = \"The tool\"\ngrants = [\"authorization_code\", \"device_code\"]\napps = [\"records\"]\n\
                    scope = [\"read\"]\nredirect_uris = [\"http://127.0.0.1/callback\"]\n";
        let before = stage.house.store.bundle().await.unwrap();
        let mut wanted = before.clone();
        let tool: cardea_core::resources::ClientSpec = toml::from_str(text).unwrap();
        wanted.tenants.get_mut(&stage.tenant).unwrap().clients.insert(tool.id.clone(), tool);
        let hash = |_: &TenantId, _: &PolicySet| String::new();
        let with = Applying { author: "operator", note: "", hash: &hash, now: stage.house.now() };
        stage.house.store.apply(&Plan::between(before, &wanted), &with).await.unwrap();
        stage.house.load_state().await.unwrap();
        stage
    }

    /// Time goes by, and the gateway has written what there was and looked for changes meanwhile.
    async fn lets_pass(&self, seconds: i64) {
        self.house.log.flush().await.unwrap();
        self.pass(seconds);
        crate::reload::Feed::of(&self.house).round(&self.house).await;
    }

    /// The cookie of somebody who signs in now, at the sign-in host.
    async fn cookie(&self) -> String {
        let (session, _) = sign_in(&self.house, &self.tenant, &self.user).await;
        let set = self.house.hand(&session, SIGN_IN, self.house.now()).await.unwrap();
        set.split(';').next().unwrap().to_owned()
    }

    /// The answer to a form, or to a question where there is none.
    async fn asks(&self, from: &str, path: &str, cookie: Option<&str>, form: Option<&str>) -> Response<String> {
        let proxy = crate::running::proxy(&self.house, &mut prometheus_client::registry::Registry::default());
        let from: SocketAddr = from.parse().unwrap();
        let connection = Arc::new(Connection::plain(from, Door::Public));
        let mut request =
            Request::builder().uri(path).header(header::HOST, SIGN_IN).header(header::ACCEPT, "text/html");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = match form {
            Some(form) => request
                .method("POST")
                .header(header::ORIGIN, format!("http://{SIGN_IN}"))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Body::full(form.to_owned())),
            None => request.body(Body::empty()),
        };
        let (head, body) = proxy.handle(&connection, request.unwrap()).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Response::from_parts(head, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn location(answer: &Response<String>) -> &str {
    answer.headers().get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
}

/// What is given outlives the session: whoever finds a browser open gives nothing away.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_signed_in_ten_minutes_ago_says_who_they_are_before_a_program_acts_for_them() {
    let stage = Stage::with_a_tool().await;
    let (page, yes) = (format!("/oauth2/authorize?{ASKED}"), format!("{ASKED}&answer=allow"));
    let me = "127.0.0.1:9";
    let before = stage.cookie().await;
    for (passes, cookie, fresh) in [(600, &before, true), (1, &before, false)] {
        stage.lets_pass(passes).await;
        let asked = stage.asks(me, &page, Some(cookie), None).await;
        let answered = stage.asks(me, "/oauth2/authorize", Some(cookie), Some(&yes)).await;
        if fresh {
            assert!(
                asked.status() == StatusCode::OK && asked.body().contains("May The tool act for you?"),
                "{asked:?}"
            );
            assert!(location(&answered).starts_with("http://127.0.0.1:9/callback?code="), "{answered:?}");
        } else {
            for answer in [asked, answered] {
                let to = location(&answer);
                assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{answer:?}");
                assert!(to.starts_with("/sign-in/step-up?need=fresh&to="), "{to}");
                // And back to the same question: what the client said, and not the answer.
                assert!(to.contains("%2Foauth2%2Fauthorize%3Fclient_id%3Dtool") && !to.contains("allow"), "{to}");
            }
        }
    }
    // At the page for devices it is the same.
    let typed = stage.asks(me, "/oauth2/device", Some(&before), Some("user_code=BBBB-BBBB")).await;
    assert!(location(&typed).starts_with("/sign-in/step-up?need=fresh&to="), "{typed:?}");
    let anew = stage.cookie().await;
    assert_eq!(stage.asks(me, &page, Some(&anew), None).await.status(), StatusCode::OK);
    let typed = stage.asks(me, "/oauth2/device", Some(&anew), Some("user_code=BBBB-BBBB")).await;
    assert_eq!(typed.status(), StatusCode::UNPROCESSABLE_ENTITY, "no device shows it");
    stage.strike().await;
}

/// Whoever begins by the thousand fills the store, and makes codes that somebody types by chance more likely.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_devices_of_one_address_begin_within_an_hour() {
    let stage = Stage::with_a_tool().await;
    let begins = async |from: &str| {
        let answer = stage.asks(from, "/oauth2/device_authorization", None, Some("client_id=tool")).await;
        let told: serde_json::Value = serde_json::from_str(answer.body()).unwrap_or_default();
        let error = told["error"].as_str().map(str::to_owned);
        assert_eq!(told["user_code"].is_string(), error.is_none(), "{answer:?}");
        (answer.status().as_u16(), error)
    };
    let (done, slower) = ((200, None), (400, Some("slow_down".to_owned())));
    for nth in 0..100 {
        assert_eq!(begins("192.0.2.7:9").await, done, "{nth}");
    }
    assert_eq!(begins("192.0.2.7:10").await, slower, "by another port of the same address");
    assert_eq!(begins("192.0.2.8:9").await, done, "another address");
    // Then one at a time, ever slower.
    stage.lets_pass(30).await;
    assert_eq!((begins("192.0.2.7:9").await, begins("192.0.2.7:9").await), (done.clone(), slower.clone()));
    stage.lets_pass(30).await;
    assert_eq!(begins("192.0.2.7:9").await, slower, "the wait has not grown");
    stage.lets_pass(3_600).await;
    assert_eq!(begins("192.0.2.7:9").await, done);
    stage.strike().await;
}
