//! What a tenant's provider says by itself: that somebody signed out over there, and what others would like it to have said.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use cardea_tests::{Client, Reply, Story, form};
use http::Method;
use serde_json::{Value, json};
use url::Url;

use crate::oidc::World;

const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
/// Whoever has an address of the provider's joins by its word.
pub(crate) const OPEN: &str = "join = \"open\"\nemail_domains = [\"work.example\"]\n";

#[allow(clippy::disallowed_methods, reason = "the tokens of a real provider follow the machine's clock")]
pub(crate) fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

pub(crate) fn pairs(token: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", token).finish()
}

impl World {
    /// A token that the provider never sent, signed as `by` says.
    pub(crate) async fn token(&self, by: &str, header: &Value, claims: &Value) -> anyhow::Result<String> {
        let mut url = Url::parse(&format!("{}/sign", self.provider.issuer()))?;
        let (header, claims) = (header.to_string(), claims.to_string());
        url.query_pairs_mut().extend_pairs([("by", by), ("header", &header), ("claims", &claims)]);
        Ok(Client::program().get(&url).await?.body)
    }

    fn logout_claims(&self, jti: &str) -> Value {
        let at = seconds();
        json!({
            "iss": self.provider.issuer(), "aud": "cardea", "sub": "rita", "iat": at, "exp": at + 120, "jti": jti,
            "events": { LOGOUT: {} },
        })
    }

    pub(crate) async fn says(&self, token: &str) -> anyhow::Result<Reply> {
        let body = pairs(token);
        let url = self.gateway.at("acme", "/sign-in/back-channel/work")?;
        Client::program().send(Method::POST, &url, Some((FORM, body))).await
    }

    /// The entries of a kind, once there are so many: those of what changed nothing may come a moment after the answer.
    pub(crate) async fn told(&self, kind: &str, count: usize) -> anyhow::Result<Vec<Value>> {
        let written = async {
            loop {
                let found = self.events(kind).await?;
                if found.len() >= count {
                    return anyhow::Ok(found);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), written).await.with_context(|| format!("no {count} {kind}"))?
    }

    pub(crate) async fn is_in(&self, client: &mut Client) -> anyhow::Result<bool> {
        let page = client.get(&self.gateway.at("echo.acme", "/x")?).await?;
        Ok(page.status == 200)
    }
}

/// The provider's own implementation speaks: of two browsers, the one that signed out there is out here, and the other is in.
#[tokio::test]
async fn whoever_signs_out_at_the_provider_is_signed_out_here() -> Story {
    let world = World::with(OPEN, "").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut here, page) = world.signs_in(&echo, "rita").await?;
    assert_eq!(page.status, 200, "{}", page.body);
    let (mut there, _) = world.signs_in(&echo, "rita").await?;
    assert!(world.is_in(&mut here).await? && world.is_in(&mut there).await?);

    let asks = here.get(&Url::parse(&format!("{}/session/end", world.provider.issuer()))?).await?;
    let asked = form::find(&asks.body, "xsrf").and_then(|form| form.hidden.into_iter().next());
    let (_, proof) = asked.with_context(|| format!("it asks nothing: {}", asks.body))?;
    let done = here.submit(&asks, &[("xsrf", &proof), ("logout", "yes")]).await?;
    assert!(done.status.is_success(), "{} {}", done.status, done.body);
    assert!(!world.is_in(&mut here).await?, "a session outlived the provider's");
    assert!(world.is_in(&mut there).await?, "another browser's session ended");

    let taken = world.told("signal-taken", 1).await?;
    assert_eq!((&taken[0]["signal"], &taken[0]["sessions"]), (&json!("logout"), &json!(1)), "{taken:?}");
    assert_eq!(taken[0]["user"]["email"], "rita@work.example");
    assert_eq!(world.told("session-ended", 1).await?[0]["cause"], "provider");
    Ok(())
}

#[tokio::test]
async fn a_logout_without_a_session_ends_all_of_that_person_and_nobody_elses() -> Story {
    let world = World::with(OPEN, "").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut one, _) = world.signs_in(&echo, "rita").await?;
    let (mut two, _) = world.signs_in(&echo, "rita").await?;
    let (mut other, _) = world.signs_in(&echo, "cora").await?;
    let portal = world.gateway.at("acme", "/")?;
    let token = world.token("own", &json!({ "typ": "logout+jwt" }), &world.logout_claims("all")).await?;
    let answer = world.says(&token).await?;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")), "{}", answer.body);
    assert!(!world.is_in(&mut one).await? && !world.is_in(&mut two).await?);
    assert_eq!(other.get(&portal).await?.status, 200, "somebody else is out");
    assert_eq!(world.told("signal-taken", 1).await?[0]["sessions"], 2);

    // Shown again, it ends no session begun since.
    let (mut again, _) = world.signs_in(&echo, "rita").await?;
    assert_eq!(world.says(&token).await?.status, 400);
    assert!(world.is_in(&mut again).await?);
    // Of whom nobody is known here there is nothing to do.
    let mut nobody = world.logout_claims("nobody");
    nobody["sub"] = json!("nobody");
    let token = world.token("own", &json!({}), &nobody).await?;
    assert_eq!(world.says(&token).await?.status, 200);
    assert!(world.is_in(&mut again).await?);
    assert_eq!(world.told("signal-taken", 2).await?[1]["user"], Value::Null);
    Ok(())
}

/// By the name of the provider's session alone, which it said at sign-in.
#[tokio::test]
async fn a_session_named_alone_is_the_only_one_that_ends() -> Story {
    let world = World::with(OPEN, "").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut here, _) = world.signs_in(&echo, "rita").await?;
    world.provider.misbehave("session").await?;
    let (mut named, _) = world.signs_in(&echo, "rita").await?;
    let mut unknown = world.logout_claims("unknown");
    unknown.as_object_mut().context("claims")?.remove("sub");
    unknown["sid"] = json!("of-nobody");
    assert_eq!(world.says(&world.token("own", &json!({}), &unknown).await?).await?.status, 200);
    assert!(world.is_in(&mut here).await?);
    // With the person's name beside it, too: another session of hers over there.
    unknown["sub"] = json!("rita");
    unknown["jti"] = json!("another");
    assert_eq!(world.says(&world.token("own", &json!({}), &unknown).await?).await?.status, 200);
    assert!(world.is_in(&mut here).await?, "a session ended that began in another one over there");
    let mut one = unknown.clone();
    one.as_object_mut().context("claims")?.remove("sub");
    (one["sid"], one["jti"]) = (json!("named"), json!("by its name"));
    assert_eq!(world.says(&world.token("own", &json!({}), &one).await?).await?.status, 200);
    assert!(world.is_in(&mut here).await? && !world.is_in(&mut named).await?);
    Ok(())
}

#[tokio::test]
async fn a_logout_that_is_not_the_providers_ends_nothing() -> Story {
    let world = World::with(OPEN, "").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut hers, _) = world.signs_in(&echo, "rita").await?;
    let kind = json!({ "typ": "logout+jwt" });
    let sound = world.logout_claims("sound");
    let but = |name: &str, value: Value| {
        let mut claims = sound.clone();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = sound.clone();
        claims.as_object_mut().map(|all| all.remove(name));
        claims
    };
    let at = seconds();
    let rows = [
        ("another's key", "foreign", kind.clone(), sound.clone()),
        ("a key nobody published", "foreign", json!({ "kid": "elsewhere" }), sound.clone()),
        ("no signature", "none", kind.clone(), sound.clone()),
        ("a MAC by the public key", "mac", kind.clone(), sound.clone()),
        ("another kind", "own", json!({ "typ": "at+jwt" }), sound.clone()),
        ("another issuer", "own", kind.clone(), but("iss", json!("https://elsewhere.example"))),
        ("another audience", "own", kind.clone(), but("aud", json!("another"))),
        ("an old one", "own", kind.clone(), but("iat", json!(at - 700))),
        ("one past its time", "own", kind.clone(), but("exp", json!(at - 100))),
        ("one of the future", "own", kind.clone(), but("iat", json!(at + 300))),
        ("a nonce", "own", kind.clone(), but("nonce", json!("n"))),
        ("no event", "own", kind.clone(), but("events", json!({}))),
        ("no events at all", "own", kind.clone(), without("events")),
        ("nobody", "own", kind.clone(), without("sub")),
        ("no name of its own", "own", kind.clone(), without("jti")),
    ];
    let count = rows.len();
    for (what, by, header, claims) in rows {
        let answer = world.says(&world.token(by, &header, &claims).await?).await?;
        assert_eq!(answer.status, 400, "{what} was taken");
        assert_eq!(answer.json()?, json!({ "error": "invalid_request" }), "{what}");
        assert!(world.is_in(&mut hers).await?, "{what} ended a session");
    }
    let refused = world.told("signal-refused", count).await?;
    assert!(refused.iter().all(|one| one["detail"].as_str().is_some_and(|text| !text.is_empty())), "{refused:?}");

    // What is refused spends nothing; and a provider that the tenant does not have says nothing.
    let token = world.token("own", &kind, &sound).await?;
    let nowhere = world.gateway.at("acme", "/sign-in/back-channel/other")?;
    let body = pairs(&token);
    let answer = Client::program().send(Method::POST, &nowhere, Some((FORM, body.clone()))).await?;
    assert_eq!(answer.status, 404);
    let in_north = world.gateway.at("north", "/sign-in/back-channel/work")?;
    let answer = Client::program().send(Method::POST, &in_north, Some((FORM, body.clone()))).await?;
    assert_eq!(answer.status, 404, "another tenant's provider");
    let at_app = world.gateway.at("echo.acme", "/sign-in/back-channel/work")?;
    assert_ne!(Client::program().send(Method::POST, &at_app, Some((FORM, body))).await?.status, 200);
    assert!(world.is_in(&mut hers).await?);
    assert_eq!(world.says(&token).await?.status, 200);
    assert!(!world.is_in(&mut hers).await?);
    Ok(())
}
