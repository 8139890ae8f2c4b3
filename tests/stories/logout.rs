//! Apps that are told when a session is over (OpenID Connect Back-Channel Logout 1.0), verified with a library that is not ours.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::Context;
use cardea_tests::{Client, Gateway, Person, Plan, Story, Upstream, free_port, process::run, python, upstream::Heard};
use http::Method;
use serde_json::{Value, json};

use crate::{
    oidc::World,
    signals::{FORM, OPEN, seconds},
};

/// Verifies with PyJWT and prints header and claims; says no with exit status 1.
const VERIFY: &str = r#"
import json, sys, jwt
token, keys, audience, issuer = sys.argv[1], json.loads(sys.argv[2])["keys"], sys.argv[3], sys.argv[4]
header = jwt.get_unverified_header(token)
key = next((key for key in keys if key["kid"] == header["kid"]), None)
if key is None:
    print("no key of ours", file=sys.stderr)
    sys.exit(1)
try:
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["ES256"], audience=audience, issuer=issuer,
                        options={"require": ["iss", "aud", "iat", "exp", "jti", "events", "sub", "sid"]})
except jwt.PyJWTError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
print(json.dumps([header, claims]))
"#;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Where apps of these stories are told.
const TOLD: &str = "back_channel_logout = \"/told\"";

async fn verify(gateway: &Gateway, token: &str, audience: &str) -> anyhow::Result<Result<(Value, Value), String>> {
    let keys = Client::program().get(&gateway.at("echo.acme", "/.cardea/jwks.json")?).await?.body;
    let issuer = format!("http://acme.localhost:{}", gateway.on.port);
    let mut command = python("python");
    command.args(["-c", VERIFY, token, &keys, audience, &issuer]);
    let (status, out, err) = run(command).await?;
    match status {
        0 => Ok(Ok(serde_json::from_str(&out)?)),
        1 if !err.contains("Traceback") => Ok(Err(err)),
        _ => anyhow::bail!("PyJWT: {err}"),
    }
}

/// What a service was told, each with its token.
fn told(service: &Upstream) -> Vec<(Heard, String)> {
    let words = service.all().into_iter().filter(|heard| heard.line().starts_with("POST "));
    let token = |heard: Heard| {
        let token = heard.rest.strip_prefix("logout_token=").unwrap_or_default().to_owned();
        (heard, token)
    };
    words.map(token).collect()
}

/// The tokens that a service was told, once there are so many.
async fn hears(service: &Upstream, count: usize) -> anyhow::Result<Vec<String>> {
    let all = async {
        while told(service).len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), all).await;
    let heard = told(service);
    in_time.with_context(|| format!("it heard {} words, and not {count}", heard.len()))?;
    Ok(heard.into_iter().map(|(_, token)| token).collect())
}

/// The names of sessions that a service was told are over, each verified.
async fn sessions(gateway: &Gateway, service: &Upstream, count: usize) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for token in hears(service, count).await? {
        let (_, claims) = verify(gateway, &token, "notes").await?.map_err(anyhow::Error::msg)?;
        names.push(claims["sid"].as_str().context("no sid")?.to_owned());
    }
    Ok(names)
}

/// What an assertion says of the last person who came by.
async fn asserted(service: &Upstream) -> anyhow::Result<Value> {
    let token = service.last().header("cardea-assertion").context("no assertion")?.to_owned();
    let mut command = python("python");
    let program =
        "import json, jwt, sys; print(json.dumps(jwt.decode(sys.argv[1], options={'verify_signature': False})))";
    command.args(["-c", program, &token]);
    let (status, out, err) = run(command).await?;
    anyhow::ensure!(status == 0, "{err}");
    Ok(serde_json::from_str(&out)?)
}

/// A browser in which somebody has opened `notes`, and the name of its session.
async fn at_notes(gateway: &Gateway, service: &Upstream, who: &Person) -> anyhow::Result<(Client, String)> {
    let (client, page) = who.opens(&gateway.at("notes.acme", "/x")?).await?;
    anyhow::ensure!(page.status == 200, "{} {}", page.status, page.body);
    let name = asserted(service).await?["sid"].as_str().context("no sid")?.to_owned();
    Ok((client, name))
}

async fn signs_out(gateway: &Gateway, client: &mut Client) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let out = client.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    anyhow::ensure!(out.status == 200, "{} {}", out.status, out.body);
    Ok(begun.elapsed())
}

async fn untold(gateway: &Gateway, count: usize) -> anyhow::Result<Vec<Value>> {
    let written = async {
        loop {
            let log = gateway.on.log("acme").await?;
            let events = log.iter().map(|entry| entry["event"].clone());
            let found: Vec<_> = events.filter(|event| event["kind"] == "logout-untold").collect();
            if found.len() >= count {
                return anyhow::Ok(found);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), written).await.with_context(|| format!("no {count} entries"))?
}

#[tokio::test]
async fn an_app_is_told_who_signed_out_as_its_assertions_named_them() -> Story {
    let (silent, notes, north) = (Upstream::start().await?, Upstream::start().await?, Upstream::start().await?);
    let elsewhere = format!(
        "id = \"echo\"\nname = \"echo\"\nhosts = [\"echo.north.localhost\"]\n{TOLD}\n[upstream]\nurl = \"http://127.0.0.1:{}\"\n\
         [[resources]]\npattern = \"/public/{{*rest}}\"\ntype = \"PublicPage\"\n",
        north.port
    );
    let mut gateway = Plan::before(silent.port)
        .app("notes", notes.port, TOLD)
        .file("tenants/north/apps/echo.toml", &elsewhere)
        .start()
        .await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (mut other, _) = at_notes(&gateway, &notes, &mira).await?;
    let (mut client, _) = at_notes(&gateway, &notes, &mira).await?;
    let named = asserted(&notes).await?;
    signs_out(&gateway, &mut client).await?;

    let token = hears(&notes, 1).await?.remove(0);
    let heard = told(&notes).remove(0).0;
    assert_eq!((heard.line(), heard.header("content-type")), ("POST /told", Some(FORM)));
    assert_eq!(heard.header("host"), Some(format!("notes.acme.localhost:{}", gateway.on.port).as_str()));
    assert_eq!((heard.header("cardea-assertion"), heard.header("cookie")), (None, None), "{}", heard.head);
    let (header, claims) = verify(&gateway, &token, "notes").await?.map_err(anyhow::Error::msg)?;
    assert_eq!((&header["typ"], &header["alg"]), (&json!("logout+jwt"), &json!("ES256")));
    for name in ["iss", "aud", "sub", "sid"] {
        assert_eq!(claims[name], named[name], "{name} is not as the assertion had it");
    }
    assert_eq!(claims["events"], json!({ EVENT: {} }));
    assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(120));
    assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() == 22) && claims["nonce"].is_null(), "{claims}");

    // It is of use for nothing else: at another app, or as what lets a program in.
    assert!(verify(&gateway, &token, "echo").await?.is_err(), "another app takes it");
    let bearer = format!("authorization: Bearer {token}\r\n");
    assert_eq!(gateway.on.ask("notes.acme", "GET /x", &bearer).await?.status(), 401);
    gateway.counts("cardea_logout_tokens_total{outcome=\"told\"} 1\n").await?;
    assert_eq!(other.get(&gateway.at("notes.acme", "/x")?).await?.status, 200, "another session goes on");
    assert_eq!((told(&notes).len(), told(&silent).len(), told(&north).len()), (1, 0, 0), "who was not to be told was");
    Ok(())
}

#[tokio::test]
async fn what_somebody_else_ends_is_told_once_for_each_session() -> Story {
    let (silent, notes) = (Upstream::start().await?, Upstream::start().await?);
    let mut gateway = Plan::before(silent.port).app("notes", notes.port, TOLD).start().await?;
    let (mut admin, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    admin.program = true;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    // The browser in which she joined signs out nowhere: the first of all. Then one by an administrator, and two by a suspension.
    let mut ended = BTreeSet::new();
    let mut browsers = Vec::new();
    for _ in 0..3 {
        let (client, name) = at_notes(&gateway, &notes, &mira).await?;
        ended.insert(name);
        browsers.push(client);
    }
    let id = asserted(&notes).await?["sub"].as_str().context("no sub")?.to_owned();
    let first = ended.first().context("none")?.clone();
    let one = gateway.at("acme", &format!("/api/v1/users/{id}/sessions/{first}"))?;
    for _ in 0..2 {
        admin.send(Method::DELETE, &one, None).await?;
    }
    assert_eq!(sessions(&gateway, &notes, 1).await?, [first.as_str()]);
    let suspend = gateway.at("acme", &format!("/api/v1/users/{id}/suspend"))?;
    for _ in 0..2 {
        let done = admin.json(Method::POST, &suspend, &json!({})).await?;
        assert!(done.status.is_success(), "{} {}", done.status, done.body);
    }
    // Three browsers, and the one in which she joined.
    let names = sessions(&gateway, &notes, 4).await?;
    assert!(ended.is_subset(&names.iter().cloned().collect()), "{names:?} are not {ended:?}");
    gateway.counts("cardea_logout_tokens_total{outcome=\"told\"} 4\n").await?;

    // Ben's are ended at the command line, by a process of its own, which tells before it ends.
    let ben = gateway.person("ben@acme.example", &["readers"]).await?;
    let (_his, name) = at_notes(&gateway, &notes, &ben).await?;
    gateway.on.does(&["user", "--tenant", "acme", "end-sessions", "ben@acme.example"]).await?;
    let names: BTreeSet<_> = sessions(&gateway, &notes, 6).await?.into_iter().collect();
    assert!(names.len() == 6 && names.contains(&name), "{names:?}");
    Ok(())
}

/// The app may have seen the session before its person proved more, and not since.
#[tokio::test]
async fn a_session_that_rose_is_told_by_each_of_its_names() -> Story {
    let (silent, notes) = (Upstream::start().await?, Upstream::start().await?);
    let gateway = Plan::before(silent.port).app("notes", notes.port, TOLD).start().await?;
    let (_, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let (mut client, before) = at_notes(&gateway, &notes, &mira).await?;
    let secret = gateway.at("notes.acme", "/secret")?;
    let page = client.open(&secret).await?;
    let page = mira.answer(&mut client, page).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, secret.as_str()), "{}", page.body);
    let after = asserted(&notes).await?["sid"].as_str().context("no sid")?.to_owned();
    assert_ne!(before, after);
    assert_eq!(told(&notes).len(), 0, "what goes on is not over");
    signs_out(&gateway, &mut client).await?;
    let names: BTreeSet<_> = sessions(&gateway, &notes, 2).await?.into_iter().collect();
    assert_eq!(names, BTreeSet::from([before, after]));
    Ok(())
}

/// What a provider says of somebody goes on to the apps: two browsers there, two words here.
#[tokio::test]
async fn what_a_provider_ends_is_told_to_apps_as_well() -> Story {
    let (world, notes) = (World::with(OPEN, "").await?, Upstream::start().await?);
    let on = &world.gateway.on;
    let file = "resources/tenants/acme/apps/notes.toml";
    let app = on.read(file)?;
    let before = app.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next()).context("no port")?.to_owned();
    on.write(
        file,
        &app.replace(&before, &notes.port.to_string()).replace("\n\n[upstream]", &format!("\n{TOLD}\n[upstream]")),
    )?;
    on.apply().await?;
    let page = world.gateway.at("notes.acme", "/x")?;
    let in_force = async {
        while notes.count() == 0 {
            world.signs_in(&page, "rita").await?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), in_force).await.context("the app is not in force")??;
    let named = asserted(&notes).await?;
    let claims = json!({
        "iss": world.provider.issuer(), "aud": "cardea", "sub": "rita", "iat": seconds(), "exp": seconds() + 120,
        "jti": "goes on", "events": { EVENT: {} },
    });
    let word = world.token("own", &json!({ "typ": "logout+jwt" }), &claims).await?;
    assert_eq!(world.says(&word).await?.status, 200);
    let ended = world.told("signal-taken", 1).await?[0]["sessions"].as_u64().context("no count")?;
    let names = sessions(&world.gateway, &notes, usize::try_from(ended)?).await?;
    assert!(ended >= 1 && names.iter().any(|name| named["sid"] == name.as_str()), "{names:?} without {named}");
    // What the provider said to us is nothing to an app: no key of ours signed it.
    assert!(verify(&world.gateway, &word, "notes").await?.is_err(), "a provider's own token passes for ours");
    Ok(())
}

#[tokio::test]
async fn an_app_that_fails_is_told_again_and_holds_nobody_up() -> Story {
    let silent = Upstream::start().await?;
    let mut services = Vec::new();
    let mut plan = Plan::before(silent.port);
    // In the order of their names apps are told: who says nothing comes first.
    for (id, path) in [
        ("aaa", "/does/answer-never"),
        ("moved", "/does/redirect"),
        ("refuses", "/does/refuse"),
        ("twice", "/does/fail-twice"),
        ("notes", "/told"),
    ] {
        let service = Upstream::start().await?;
        plan = plan.app(id, service.port, &format!("back_channel_logout = \"{path}\""));
        services.push(service);
    }
    let [aaa, moved, refuses, twice, notes] = &services[..] else { unreachable!("five were started") };
    let mut gateway = plan.start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (mut client, _) = at_notes(&gateway, notes, &mira).await?;
    let took = signs_out(&gateway, &mut client).await?;
    assert!(took < Duration::from_secs(4), "signing out took {took:?}: it waits for an app");
    let early = Instant::now();
    hears(notes, 1).await?;
    assert!(early.elapsed() < Duration::from_secs(4), "an app waits for another");

    let tokens = hears(twice, 3).await?;
    let mut names = BTreeSet::new();
    for token in &tokens {
        let (_, claims) = verify(&gateway, token, "twice").await?.map_err(anyhow::Error::msg)?;
        names.insert(claims["jti"].to_string());
    }
    assert_eq!(names.len(), 3, "two tokens have one name");
    gateway.counts("cardea_logout_tokens_total{outcome=\"told\"} 2\n").await?;
    gateway.counts("cardea_logout_tokens_total{outcome=\"refused\"} 1\n").await?;
    gateway.counts("cardea_logout_tokens_total{outcome=\"failed\"} 1\n").await?;
    assert_eq!((told(refuses).len(), told(moved).len(), told(twice).len()), (1, 3, 3));
    assert!(moved.all().iter().all(|heard| heard.line() == "POST /does/redirect"), "a redirect was followed");
    let entries = untold(&gateway, 2).await?;
    for (app, why) in [("refuses", "it refuses the token (400)"), ("moved", "it answers 302, at try 3")] {
        let entry = entries.iter().find(|event| event["app"] == app).with_context(|| format!("none of {app}"))?;
        assert_eq!((&entry["user"]["email"], &entry["detail"]), (&json!("mira@acme.example"), &json!(why)), "{entry}");
        assert!(entry["session"].is_string(), "{entry}");
    }
    assert!(!told(aaa).is_empty() && !gateway.on.said().contains("logout_token"));
    assert!(tokens.iter().all(|token| !gateway.on.said().contains(token)), "a token is in the gateway's log");
    Ok(())
}

/// At the end of a process, gateway or command, there is little time, and what is left is told plainly.
#[tokio::test]
async fn what_there_is_no_time_to_tell_is_an_entry() -> Story {
    let (silent, never) = (Upstream::start().await?, Upstream::start().await?);
    let gone = free_port()?;
    let gateway = Plan::before(silent.port)
        .app("never", never.port, "back_channel_logout = \"/does/answer-never\"")
        .app("gone", gone, TOLD)
        .start()
        .await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let ends = ["user", "--tenant", "acme", "end-sessions", "mira@acme.example"];
    let (status, _, err) = gateway.on.cardea(&ends).await?;
    assert!(status == 0 && err.contains("an app was not told of a session that is over, 2 times"), "{status} {err}");
    let entries = untold(&gateway, 2).await?;
    let why = |app: &str| entries.iter().find(|event| event["app"] == app).map(|event| event["detail"].clone());
    assert_eq!(why("gone"), Some(json!("upstream-unreachable, at try 3")), "{entries:?}");
    assert_eq!(why("never"), Some(json!("the process ended before it was told")), "{entries:?}");

    let (mut client, page) = mira.opens(&gateway.at("echo.acme", "/x")?).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    signs_out(&gateway, &mut client).await?;
    let begun = Instant::now();
    let on = gateway.stop().await?;
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited {:?}", begun.elapsed());
    let log = on.log("acme").await?;
    let untold: Vec<_> = log.iter().filter(|entry| entry["event"]["kind"] == "logout-untold").collect();
    assert_eq!(untold.len(), 4, "{untold:?}");
    Ok(())
}
