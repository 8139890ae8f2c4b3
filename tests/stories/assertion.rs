//! What a service is told of the caller, verified with a library that is not ours.

use anyhow::Context;
use cardea_tests::{Client, Gateway, Plan, Story, Upstream, process::run, python};
use serde_json::Value;

/// Verifies with PyJWT and prints the claims; says no with exit status 1.
const VERIFY: &str = r#"
import json, sys, jwt
token, keys, audience, issuer = sys.argv[1], json.loads(sys.argv[2])["keys"], sys.argv[3], sys.argv[4]
key = next(key for key in keys if key["kid"] == jwt.get_unverified_header(token)["kid"])
try:
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["ES256"], audience=audience, issuer=issuer,
                        options={"require": ["exp", "iat", "nbf", "sub", "aud", "iss"]})
except jwt.PyJWTError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
print(json.dumps(claims))
"#;

async fn verify(token: &str, keys: &str, audience: &str, issuer: &str) -> anyhow::Result<Result<Value, String>> {
    let mut command = python("python");
    command.args(["-c", VERIFY, token, keys, audience, issuer]);
    let (status, out, err) = run(command).await?;
    match status {
        0 => Ok(Ok(serde_json::from_str(&out)?)),
        1 if !err.contains("Traceback") => Ok(Err(err)),
        _ => anyhow::bail!("PyJWT: {err}"),
    }
}

async fn keys(gateway: &Gateway, host: &str) -> anyhow::Result<String> {
    let reply = Client::program().get(&gateway.at(host, "/.cardea/jwks.json")?).await?;
    anyhow::ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
    Ok(reply.body)
}

#[tokio::test]
async fn a_service_verifies_who_calls_and_learns_no_more_than_it_asked_for() -> Story {
    let upstream = Upstream::start().await?;
    let plan = Plan::before(upstream.port).app("notes", upstream.port, "claims = [\"groups\", \"email\"]").app(
        "strict",
        upstream.port,
        "assertion = \"request\"",
    );
    let gateway = plan.start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let issuer = format!("http://acme.localhost:{}", gateway.on.port);
    let (mut client, _) = mira.opens(&gateway.at("echo.acme", "/x")?).await?;
    let token = upstream.last().header("cardea-assertion").context("no assertion")?.to_owned();
    let jwks = keys(&gateway, "echo.acme").await?;
    let claims = verify(&token, &jwks, "echo", &issuer).await?.map_err(anyhow::Error::msg)?;
    let life = claims["exp"].as_i64().unwrap_or(i64::MAX) - claims["iat"].as_i64().unwrap_or(0);
    assert!((1..=60).contains(&life), "it lives {life} s");
    assert_eq!((&claims["tenant"], &claims["assurance"]), (&"acme".into(), &1.into()));
    assert_eq!(claims["amr"], serde_json::json!(["password"]), "{claims}");
    for key in ["sub", "sid", "auth_time", "policy", "nbf"] {
        assert!(!claims[key].is_null(), "no `{key}` in {claims}");
    }
    for key in ["groups", "email", "name"] {
        assert!(claims[key].is_null(), "`{key}` was not asked for: {claims}");
    }

    // Another app's assertion says more, and is another audience's.
    client.open(&gateway.at("notes.acme", "/x")?).await?;
    let other = upstream.last().header("cardea-assertion").context("no assertion")?.to_owned();
    let claims = verify(&other, &jwks, "notes", &issuer).await?.map_err(anyhow::Error::msg)?;
    assert_eq!((&claims["groups"], &claims["email"]), (&serde_json::json!(["readers"]), &"mira@acme.example".into()));
    assert!(claims["name"].is_null());

    // One for each request names what was decided.
    let reply = client.open(&gateway.at("strict.acme", "/a/b?c=d")?).await?;
    let heard = upstream.last();
    let each = heard.header("cardea-assertion").context("no assertion")?.to_owned();
    let claims = verify(&each, &jwks, "strict", &issuer).await?.map_err(anyhow::Error::msg)?;
    assert_eq!(claims["decision"].as_str(), reply.header("x-request-id"), "{claims}");
    assert_eq!(heard.header("x-request-id"), reply.header("x-request-id"));
    assert!(claims.to_string().contains("/a/b") && claims.to_string().contains("GET"), "{claims}");

    for (what, token, audience, issuer) in [
        ("another app's", &other, "echo", issuer.as_str()),
        ("another issuer's", &token, "echo", "http://north.localhost"),
        ("a tampered one", &tampered(&token), "echo", issuer.as_str()),
    ] {
        assert!(verify(token, &jwks, audience, issuer).await?.is_err(), "{what} verifies");
    }
    // Another tenant has other keys.
    assert_ne!(keys(&gateway, "echo.north").await?, jwks);
    Ok(())
}

/// The same token with one letter of its claims changed.
fn tampered(token: &str) -> String {
    let mut letters: Vec<char> = token.chars().collect();
    let at = token.find('.').unwrap_or(0) + 20;
    letters[at] = if letters[at] == 'A' { 'B' } else { 'A' };
    letters.into_iter().collect()
}

#[tokio::test]
async fn a_visitor_brings_no_assertion() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let reply = Client::browser().get(&gateway.at("echo.acme", "/public/x")?).await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(upstream.last().header("cardea-assertion"), None);
    assert_eq!(upstream.last().header("x-request-id"), reply.header("x-request-id"));
    Ok(())
}
