//! What a provider, or whoever does it in its place, says of an account over there: security events, and what others would like to have
//! been said.

use anyhow::Context;
use cardea_tests::{Client, Reply, Story};
use http::Method;
use serde_json::{Value, json};

use crate::{
    linking::HEARD,
    oidc::World,
    signals::{FORM, OPEN, pairs, seconds},
};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";
const SET: &str = "application/secevent+jwt";

impl World {
    fn event_claims(&self, jti: &str, event: &str, facts: &Value) -> Value {
        json!({
            "iss": self.provider.issuer(), "aud": "cardea", "iat": seconds(), "jti": jti, "events": { event: facts },
            "sub_id": { "format": "iss_sub", "iss": self.provider.issuer(), "sub": "rita" },
        })
    }

    /// Pushes an event, with this in `Authorization` where something is.
    async fn pushes(&self, token: &str, authorization: &str) -> anyhow::Result<Reply> {
        let mut client = Client::program();
        if !authorization.is_empty() {
            client.headers.push(("authorization".to_owned(), authorization.to_owned()));
        }
        let url = self.gateway.at("acme", "/sign-in/signals/work")?;
        client.send(Method::POST, &url, Some((SET, token.to_owned()))).await
    }

    /// The provider itself says that of rita, in its own words.
    async fn tells(&self, claims: &Value) -> anyhow::Result<Reply> {
        let token = self.token("own", &json!({ "typ": "secevent+jwt" }), claims).await?;
        self.pushes(&token, "").await
    }
}

#[tokio::test]
async fn a_security_event_ends_what_rests_on_the_account() -> Story {
    let world = World::with(OPEN, "").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut hers, _) = world.signs_in(&echo, "rita").await?;
    let (mut other, _) = world.signs_in(&echo, "cora").await?;
    let rows = [
        (CAEP, "session-revoked", json!({}), true),
        (CAEP, "credential-change", json!({ "change_type": "update" }), true),
        (CAEP, "token-claims-change", json!({ "claims": { "groups": [] } }), true),
        (CAEP, "assurance-level-change", json!({ "change_direction": "decrease" }), true),
        (CAEP, "assurance-level-change", json!({ "change_direction": "increase" }), false),
        (CAEP, "device-compliance-change", json!({ "current_status": "not-compliant" }), true),
        (CAEP, "device-compliance-change", json!({ "current_status": "compliant" }), false),
        (RISC, "sessions-revoked", json!({}), true),
        (SSF, "verification", json!({ "state": "s" }), false),
        ("https://elsewhere.example/", "session-revoked", json!({}), false),
    ];
    let count = rows.len();
    for (nth, (family, name, facts, ends)) in rows.into_iter().enumerate() {
        let answer = world.tells(&world.event_claims(&format!("{nth}"), &format!("{family}{name}"), &facts)).await?;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""), "{name}");
        assert_eq!(world.is_in(&mut hers).await?, !ends, "{name} of {family}");
        if ends {
            hers = world.signs_in(&echo, "rita").await?.0;
        }
    }
    assert_eq!(other.get(&world.gateway.at("acme", "/")?).await?.status, 200, "somebody else is out");
    let taken = world.told("signal-taken", count).await?;
    assert_eq!((&taken[0]["signal"], &taken[count - 1]["signal"]), (&json!("session-revoked"), &json!("unknown")));
    Ok(())
}

#[tokio::test]
async fn a_security_event_is_about_whom_it_names() -> Story {
    let world = World::with(OPEN, "").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let issuer = world.provider.issuer();
    let (mut hers, _) = world.signs_in(&echo, "rita").await?;
    let of = |sub_id: Value, session: Value| json!({ "format": "complex", "user": sub_id, "session": session });
    let own = json!({ "format": "iss_sub", "iss": issuer, "sub": "rita" });
    let rows = [
        ("nobody", Value::Null, false),
        ("another", json!({ "format": "iss_sub", "iss": issuer, "sub": "cora" }), false),
        ("another issuer's", json!({ "format": "iss_sub", "iss": "https://elsewhere.example", "sub": "rita" }), false),
        ("another domain's", json!({ "format": "email", "email": "rita@elsewhere.example" }), false),
        ("her telephone", json!({ "format": "phone_number", "phone_number": "+15550100" }), false),
        ("another session", of(own.clone(), json!({ "format": "opaque", "id": "elsewhere" })), false),
        ("her name", json!({ "format": "opaque", "id": "rita" }), true),
        ("her address", json!({ "format": "email", "email": "rita@work.example" }), true),
        ("her and a device", of(own, Value::Null), true),
    ];
    for (what, sub_id, ends) in rows {
        let mut claims = world.event_claims(what, &format!("{CAEP}session-revoked"), &json!({}));
        claims["sub_id"] = sub_id;
        assert_eq!(world.tells(&claims).await?.status, 202, "{what}");
        assert_eq!(world.is_in(&mut hers).await?, !ends, "{what}");
        if ends {
            hers = world.signs_in(&echo, "rita").await?.0;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_disabled_account_opens_nothing_until_it_is_enabled() -> Story {
    let world = World::with(OPEN, "").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut hers, _) = world.signs_in(&echo, "rita").await?;
    let off = world.event_claims("off", &format!("{RISC}account-disabled"), &json!({ "reason": "hijacking" }));
    assert_eq!(world.tells(&off).await?.status, 202);
    assert!(!world.is_in(&mut hers).await?);
    for _ in 0..2 {
        let (client, page) = world.signs_in(&echo, "rita").await?;
        assert_eq!(page.status, 403, "{}", page.body);
        assert!(client.cookie("acme.localhost", "cardea").is_none(), "a disabled account signs in");
    }
    assert_eq!(world.signs_in(&world.gateway.at("acme", "/")?, "cora").await?.1.status, 200, "somebody else's");
    let on = world.event_claims("on", &format!("{RISC}account-enabled"), &json!({}));
    assert_eq!(world.tells(&on).await?.status, 202);
    let (mut hers, page) = world.signs_in(&echo, "rita").await?;
    assert_eq!(page.status, 200, "{}", page.body);
    // What was said before is not said again by being shown again.
    let again = world.tells(&off).await?;
    assert_eq!(again.status, 202, "whoever sends it again since no answer came is told that it was taken");
    assert!(world.is_in(&mut hers).await?);
    Ok(())
}

#[tokio::test]
async fn a_security_event_that_is_not_the_transmitters_ends_nothing() -> Story {
    let world = World::with(OPEN, "").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut hers, _) = world.signs_in(&echo, "rita").await?;
    let kind = json!({ "typ": "secevent+jwt" });
    let sound = world.event_claims("sound", &format!("{CAEP}session-revoked"), &json!({}));
    let but = |name: &str, value: Value| {
        let mut claims = sound.clone();
        claims[name] = value;
        claims
    };
    let at = seconds();
    let rows = [
        ("another's key", "foreign", kind.clone(), sound.clone(), "invalid_key"),
        (
            "a key nobody published",
            "foreign",
            json!({ "typ": "secevent+jwt", "kid": "x" }),
            sound.clone(),
            "invalid_key",
        ),
        ("no signature", "none", kind.clone(), sound.clone(), "invalid_request"),
        ("a MAC by the public key", "mac", kind.clone(), sound.clone(), "invalid_request"),
        ("no kind", "own", json!({}), sound.clone(), "invalid_request"),
        ("a logout token's kind", "own", json!({ "typ": "logout+jwt" }), sound.clone(), "invalid_request"),
        ("another issuer", "own", kind.clone(), but("iss", json!("https://elsewhere.example")), "invalid_issuer"),
        ("another audience", "own", kind.clone(), but("aud", json!(["another"])), "invalid_audience"),
        ("an old one", "own", kind.clone(), but("iat", json!(at - 90_000)), "invalid_request"),
        ("one of the future", "own", kind.clone(), but("iat", json!(at + 300)), "invalid_request"),
        ("one past its time", "own", kind.clone(), but("exp", json!(at - 300)), "invalid_request"),
        ("no event", "own", kind.clone(), but("events", json!({})), "invalid_request"),
        ("no name of its own", "own", kind.clone(), but("jti", json!("")), "invalid_request"),
    ];
    let count = rows.len();
    for (what, by, header, claims, code) in rows {
        let answer = world.pushes(&world.token(by, &header, &claims).await?, "").await?;
        assert_eq!((answer.status.as_u16(), &answer.json()?["err"]), (400, &json!(code)), "{what}");
        assert!(world.is_in(&mut hers).await?, "{what} ended a session");
    }
    world.told("signal-refused", count).await?;
    // As a form, at the other address, or as a logout: none of it.
    let token = world.token("own", &kind, &sound).await?;
    assert_eq!(world.says(&token).await?.status, 400);
    let url = world.gateway.at("acme", "/sign-in/signals/work")?;
    let answer = Client::program().send(Method::POST, &url, Some((FORM, pairs(&token)))).await?;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(world.is_in(&mut hers).await?);
    assert_eq!(world.pushes(&token, "").await?.status, 202);
    assert!(!world.is_in(&mut hers).await?);
    Ok(())
}

/// Another than the provider may send them, to another name of ours, with a secret that was agreed on.
#[tokio::test]
async fn a_transmitter_is_who_the_tenant_says() -> Story {
    let lines =
        format!("{OPEN}signals = {{ audience = \"https://us.example\", secret = {{ file = \"work.secret\" }} }}\n");
    let world = World::with(&lines, "").await?;
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut hers, _) = world.signs_in(&echo, "rita").await?;
    let kind = json!({ "typ": "secevent+jwt" });
    let mut claims = world.event_claims("one", &format!("{CAEP}session-revoked"), &json!({}));
    claims["aud"] = json!("https://us.example");
    let token = world.token("own", &kind, &claims).await?;
    let secret = "Bearer a secret of the stories";
    for bad in ["", "Bearer", "Bearer another secret", "Basic a secret of the stories", "Bearer a secret of the storie"]
    {
        let answer = world.pushes(&token, bad).await?;
        assert_eq!((answer.status.as_u16(), &answer.json()?["err"]), (401, &json!("authentication_failed")), "{bad}");
    }
    let to_client = world.event_claims("two", &format!("{CAEP}session-revoked"), &json!({}));
    let answer = world.pushes(&world.token("own", &kind, &to_client).await?, secret).await?;
    assert_eq!((answer.status.as_u16(), &answer.json()?["err"]), (400, &json!("invalid_audience")));
    assert!(world.is_in(&mut hers).await?);
    assert_eq!(world.pushes(&token, secret).await?.status, 202);
    assert!(!world.is_in(&mut hers).await?);

    // From now on somebody else sends them; the provider itself is not believed any more.
    let (mut hers, _) = world.signs_in(&echo, "rita").await?;
    let keys = format!("{}/jwks", world.provider.issuer());
    let file = "resources/tenants/acme/providers/work.toml";
    // Named without its keys, or with keys that anybody on the way could change, it is nobody.
    for (half, says) in [
        ("signals = { issuer = \"https://ssf.example\", audience", "do not stand together"),
        ("signals = { issuer = \"x\", jwks_uri = \"http://ssf.example/jwks\", audience", "is not https"),
    ] {
        world.gateway.on.edit(file, "signals = { audience", half)?;
        let why = world.gateway.on.apply().await.expect_err(half).to_string();
        assert!(why.contains(says), "{why}");
        world.gateway.on.edit(file, half, "signals = { audience")?;
    }
    let theirs = format!("signals = {{ issuer = \"https://ssf.example\", jwks_uri = \"{keys}\", audience");
    world.gateway.on.edit(file, "signals = { audience", &theirs)?;
    world.gateway.on.apply().await?;
    claims["iss"] = json!("https://ssf.example");
    let believed = async {
        for nth in 0.. {
            claims["jti"] = json!(format!("theirs {nth}"));
            let answer = world.pushes(&world.token("own", &kind, &claims).await?, secret).await?;
            if answer.status == 202 {
                return anyhow::Ok(());
            }
            assert_eq!(answer.json()?["err"], "invalid_issuer", "before it is heard of");
        }
        Ok(())
    };
    tokio::time::timeout(HEARD, believed).await.context("the transmitter is not heard")??;
    assert!(!world.is_in(&mut hers).await?);
    claims["iss"] = json!(world.provider.issuer());
    let answer = world.pushes(&world.token("own", &kind, &claims).await?, secret).await?;
    assert_eq!((answer.status.as_u16(), &answer.json()?["err"]), (400, &json!("invalid_issuer")));
    let answer = world.pushes(&world.token("foreign", &kind, &claims).await?, secret).await?;
    assert_eq!((answer.status.as_u16(), &answer.json()?["err"]), (400, &json!("invalid_key")));
    Ok(())
}
