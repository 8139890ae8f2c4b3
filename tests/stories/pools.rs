//! People of a pool: a file of them comes in, one of them starts over, one leaves.

use std::time::Duration;

use anyhow::Context;
use cardea_tests::{Client, Gateway, Person, Plan, Reply, Story, Upstream, form, gateway::PASSWORD, raw};
use http::Method;
use serde_json::Value;
use url::Url;

/// How long after its end a stream may go on (DESIGN section 3.7).
const CUT: Duration = Duration::from_secs(2);

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

/// Runs `cardea user` at Acme; gives the exit status and all that it said.
async fn user(gateway: &Gateway, rest: &[&str]) -> anyhow::Result<(i32, String)> {
    let (status, out, err) = gateway.on.cardea(&[&["user", "--tenant", "acme"], rest].concat()).await?;
    Ok((status, out + &err))
}

/// The same as lines of JSON.
async fn told(gateway: &Gateway, rest: &[&str]) -> anyhow::Result<Vec<Value>> {
    let out = gateway.on.does(&[&["--format", "json", "user", "--tenant", "acme"], rest].concat()).await?;
    out.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

async fn kinds(gateway: &Gateway) -> anyhow::Result<Vec<String>> {
    let log = gateway.on.log("acme").await?;
    Ok(log.iter().map(|entry| entry["event"]["kind"].as_str().unwrap_or_default().to_owned()).collect())
}

fn count(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|one| *one == kind).count()
}

const FILE: &str = "email,name,groups\n\
    mira@acme.example,\"Reader, Mira\",readers\n\
    ben@acme,Ben,readers\n\
    Zoe@Acme.example,Zoe,readers;reader\n\
    mira@ACME.example,Mira,\n\
    eve@acme.example,Eve,\n";

#[tokio::test]
async fn a_file_of_people_is_taken_whole_or_told_line_by_line() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.on.write("people.csv", FILE)?;

    // Three rows are wrong: each is told with its line and the way out, and nobody is added.
    let (status, said) = user(&gateway, &["import", "people.csv"]).await?;
    assert_eq!(status, 1, "{said}");
    for line in [
        "people.csv:3: `ben@acme` is not an address",
        "people.csv:4: there is no group `reader`\n  help: did you mean `readers`?",
        "people.csv:5: `mira@acme.example` is on line 2 already",
    ] {
        assert!(said.contains(line), "`{line}` is not said:\n{said}");
    }
    assert!(told(&gateway, &["list"]).await?.is_empty(), "somebody was added");

    // A trial says what would be and changes nothing; then the good rows are taken, and taken once.
    let (status, said) = user(&gateway, &["import", "people.csv", "--partial", "--dry-run"]).await?;
    assert!(status == 1 && said.contains("people.csv:6: eve@acme.example would be added"), "{said}");
    assert!(told(&gateway, &["list"]).await?.is_empty(), "a trial added somebody");
    let (status, said) = user(&gateway, &["import", "people.csv", "--partial"]).await?;
    assert!(status == 1 && said.contains("2 added, 0 there already, 3 left out"), "{said}");
    let all = told(&gateway, &["list"]).await?;
    let mira = all.iter().find(|one| one["email"] == "mira@acme.example").context("Mira is not there")?;
    assert_eq!((all.len(), &mira["name"], &mira["status"]), (2, &"Reader, Mira".into(), &"invited".into()), "{mira}");
    assert_eq!(mira["groups"], serde_json::json!(["readers"]));
    let (status, said) = user(&gateway, &["import", "people.csv", "--partial"]).await?;
    assert!(status == 1 && said.contains("0 added, 2 there already, 3 left out"), "{said}");

    // Whoever is there with another name is told of, not changed.
    gateway.on.write("other.csv", "email,name\neve@acme.example,Evelyn\n")?;
    let (status, said) = user(&gateway, &["import", "other.csv"]).await?;
    assert!(status == 1 && said.contains("other.csv:2: `eve@acme.example` is in the pool already"), "{said}");

    let kinds = kinds(&gateway).await?;
    assert_eq!((count(&kinds, "user-added"), count(&kinds, "users-imported")), (2, 2), "{kinds:?}");
    Ok(())
}

#[tokio::test]
async fn whoever_was_imported_comes_in_by_a_link() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.on.write("people.csv", "email,groups\nmira@acme.example,readers\n")?;
    let first = told(&gateway, &["import", "people.csv"]).await?;
    assert_eq!((&first[0]["url"], &first[1]["added"]), (&Value::Null, &1.into()), "{first:?}");
    // Whoever is there without a link, as after a try that broke off, gets it by another; and no second one.
    let again = told(&gateway, &["import", "people.csv", "--links"]).await?;
    assert_eq!((&again[0]["line"], &again[1]["added"]), (&2.into(), &1.into()), "{again:?}");
    let link = Url::parse(again[0]["url"].as_str().context("no link")?)?;
    let once_more = told(&gateway, &["import", "people.csv", "--links"]).await?;
    assert_eq!((&once_more[0]["added"], &once_more[0]["unchanged"]), (&0.into(), &1.into()), "{once_more:?}");
    let kinds = kinds(&gateway).await?;
    let begun = kinds.iter().position(|kind| kind == "users-import-begun").context("no entry of the beginning")?;
    assert!(Some(begun) < kinds.iter().position(|kind| kind == "user-added"), "{kinds:?}");
    let mut mira = Client::browser();
    accept(&mut mira, &link).await?;
    assert_eq!(mira.open(&gateway.at("echo.acme", "/x")?).await?.status, 200);
    Ok(())
}

async fn accept(client: &mut Client, link: &Url) -> anyhow::Result<Reply> {
    let page = client.open(link).await?;
    let page = client.submit(&page, &[("password", PASSWORD), ("again", PASSWORD)]).await?;
    anyhow::ensure!(page.status == 200, "the invitation was not accepted: {} {}", page.status, page.body);
    Ok(page)
}

/// The same by the API, as an administrator; and by nobody else.
#[tokio::test]
async fn the_api_takes_a_file_of_people_from_administrators() -> Story {
    let (_upstream, gateway) = house().await?;
    let (mut ada, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    let import = |query: &str| gateway.at("acme", &format!("/api/v1/users/import{query}"));
    let csv = |text: &str| Some(("text/csv; charset=utf-8", text.to_owned()));
    let refused = ada.send(Method::POST, &import("")?, csv(FILE)).await?;
    let problem = refused.json()?;
    assert_eq!((refused.status.as_u16(), &problem["reason"]), (422, &"bad-input".into()), "{}", refused.body);
    let lines: Vec<_> = problem["diagnostics"].as_array().into_iter().flatten().map(|one| &one["line"]).collect();
    assert_eq!(lines, [&Value::from(3), &4.into(), &5.into()], "{problem}");

    let taken = ada.send(Method::POST, &import("?partial=true&links=true")?, csv(FILE)).await?.json()?;
    assert_eq!(
        (&taken["applied"], &taken["refused"], &taken["added"][1]["line"]),
        (&true.into(), &3.into(), &6.into()),
        "{taken}"
    );
    let link = taken["added"][0]["invitation_url"].as_str().context("no link")?;
    accept(&mut Client::browser(), &Url::parse(link)?).await?;

    // Not as a form of another site could send it, nor by who administers nothing.
    let form = ada.send(Method::POST, &import("")?, Some(("text/plain", FILE.to_owned()))).await?;
    assert_eq!(form.status, 422, "{}", form.body);
    let (mut rui, _) = gateway.person_with_codes("rui@acme.example", &["readers"]).await?;
    assert_eq!(rui.send(Method::POST, &import("?partial=true")?, csv(FILE)).await?.status, 403);
    Ok(())
}

/// Server-sent events of the app, open and with their first event come through.
async fn events(gateway: &Gateway, client: &Client) -> anyhow::Result<raw::Open> {
    let cookie = client.cookie("echo.acme.localhost", "cardea").unwrap_or_default();
    let port = gateway.on.port;
    let request = format!(
        "GET /does/stream HTTP/1.1\r\nhost: echo.acme.localhost:{port}\r\naccept: text/event-stream\r\ncookie: cardea={cookie}\r\n\r\n"
    );
    let mut open = raw::Open::new(port, request.as_bytes()).await?;
    open.until("data: 1\n\n").await?;
    Ok(open)
}

/// A browser in which Mira is signed in on the app, and what she reads there.
async fn reading(gateway: &Gateway, mira: &Person) -> anyhow::Result<(Client, raw::Open)> {
    let (client, page) = mira.opens(&gateway.at("echo.acme", "/x")?).await?;
    anyhow::ensure!(page.status == 200, "{}", page.body);
    let open = events(gateway, &client).await?;
    Ok((client, open))
}

async fn tries_password(gateway: &Gateway, email: &str) -> anyhow::Result<Reply> {
    let mut client = Client::browser();
    let page = client.open(&gateway.at("acme", "/sign-in")?).await?;
    let page = client.submit(&page, &[("email", email)]).await?;
    client.submit(&page, &[("password", PASSWORD)]).await
}

#[tokio::test]
async fn who_starts_over_loses_every_factor_and_session_and_comes_back_by_the_link() -> Story {
    let (_upstream, gateway) = house().await?;
    let (mut hers, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let before = told(&gateway, &["invite", &mira.email]).await?;
    let (mut reader, stream) = reading(&gateway, &mira).await?;

    let reset = told(&gateway, &["reset", "--yes", &mira.email]).await?;
    assert_eq!((&reset[0]["factors_removed"], &reset[0]["sessions_ended"]), (&2.into(), &2.into()), "{reset:?}");
    assert!(stream.closed().await? <= CUT, "a stream outlived its permit");
    for (client, host, path) in [(&mut hers, "acme", "/"), (&mut reader, "echo.acme", "/x")] {
        client.program = true;
        assert_eq!(client.get(&gateway.at(host, path)?).await?.status, 401, "{host}");
    }
    let listed = told(&gateway, &["list", "mira"]).await?;
    assert_eq!(listed[0]["status"], "invited", "a mailbox alone may open: {listed:?}");
    // Neither the password of before nor a link of before is worth anything.
    let page = tries_password(&gateway, &mira.email).await?;
    assert!(form::find(&page.body, "password").is_some(), "the old password opens: {}", page.body);
    let stale = Url::parse(before[0]["url"].as_str().context("no link")?)?;
    assert_eq!(Client::browser().get(&stale).await?.status, 400, "an older link opens");

    let link = Url::parse(reset[0]["url"].as_str().context("no link")?)?;
    let mut again = Client::browser();
    accept(&mut again, &link).await?;
    let page = again.open(&gateway.at("echo.acme", "/x")?).await?;
    assert_eq!(page.status, 200, "groups are lost: {}", page.body);
    assert_eq!(again.open(&gateway.at("echo.acme", "/secret/x")?).await?.status, 403, "codes of before still count");

    let log = gateway.on.log("acme").await?;
    let entry = log.iter().find(|entry| entry["event"]["kind"] == "user-reset").context("no entry")?;
    assert_eq!((&entry["event"]["factors"], &entry["event"]["sessions"]), (&2.into(), &2.into()), "{entry}");
    assert_eq!(log.iter().filter(|entry| entry["event"]["kind"] == "factor-removed").count(), 2);

    // Who is suspended is not let in by this door.
    gateway.on.does(&["user", "--tenant", "acme", "suspend", &mira.email]).await?;
    let (status, said) = user(&gateway, &["reset", "--yes", &mira.email]).await?;
    assert!(status == 1 && said.contains("is suspended: activate first"), "{said}");
    Ok(())
}

#[tokio::test]
async fn who_is_deleted_is_out_at_once_and_whoever_has_the_address_next_is_another() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let ben = gateway.person("ben@acme.example", &["readers"]).await?;
    let id = told(&gateway, &["list", "mira"]).await?[0]["id"].clone();
    let (mut hers, stream) = reading(&gateway, &mira).await?;
    let (mut his, _kept) = reading(&gateway, &ben).await?;

    gateway.on.does(&["user", "--tenant", "acme", "delete", "--yes", &mira.email]).await?;
    assert!(stream.closed().await? <= CUT, "a stream outlived its permit");
    hers.program = true;
    assert_eq!(hers.get(&gateway.at("echo.acme", "/x")?).await?.status, 401);
    assert_eq!(his.get(&gateway.at("echo.acme", "/x")?).await?.status, 200, "somebody else was thrown out");
    let page = tries_password(&gateway, &mira.email).await?;
    assert!(form::find(&page.body, "password").is_some(), "{}", page.body);
    let (status, said) = user(&gateway, &["delete", "--yes", &mira.email]).await?;
    assert!(status == 1 && said.contains("nobody with the address `mira@acme.example`"), "{said}");
    assert_eq!(count(&kinds(&gateway).await?, "user-deleted"), 1);

    let invited = told(&gateway, &["invite", &mira.email]).await?;
    assert_ne!(invited[0]["id"], id, "the id was given to another");
    hers.program = false;
    accept(&mut hers, &Url::parse(invited[0]["url"].as_str().context("no link")?)?).await?;
    let page = hers.open(&gateway.at("echo.acme", "/x")?).await?;
    assert_eq!(page.status, 403, "the groups of the one before: {}", page.body);
    Ok(())
}

/// What the console does with one who must start over, or go.
#[tokio::test]
async fn administrators_reset_and_delete_others_and_never_themselves() -> Story {
    let (_upstream, gateway) = house().await?;
    let (mut ada, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (mut hers, _) = mira.opens(&gateway.at("acme", "/")?).await?;
    let at =
        |id: &Value, act: &str| gateway.at("acme", &format!("/api/v1/users/{}{act}", id.as_str().unwrap_or_default()));
    let all = told(&gateway, &["list"]).await?;
    let id = |email: &str| all.iter().find(|one| one["email"] == email).map(|one| &one["id"]).context("not there");
    let (of_ada, of_mira) = (id("ada@acme.example")?, id("mira@acme.example")?);
    for (method, act) in [(Method::POST, "/reset"), (Method::DELETE, "")] {
        assert_eq!(ada.send(method.clone(), &at(of_ada, act)?, None).await?.status, 409, "{act}");
        assert_eq!(hers.send(method, &at(of_ada, act)?, None).await?.status, 403, "{act}");
    }
    let reset = ada.send(Method::POST, &at(of_mira, "/reset")?, None).await?;
    let link = reset.json()?["invitation_url"].as_str().context("no link")?.to_owned();
    hers.program = true;
    assert_eq!(hers.get(&gateway.at("acme", "/")?).await?.status, 401);
    accept(&mut Client::browser(), &Url::parse(&link)?).await?;
    assert_eq!(ada.send(Method::DELETE, &at(of_mira, "")?, None).await?.status, 204);
    assert_eq!(ada.get(&at(of_mira, "")?).await?.status, 404);
    Ok(())
}

/// What a tenant says of its people decides, and stops deciding as soon as it is said no more.
#[tokio::test]
async fn what_is_said_of_a_person_decides() -> Story {
    let upstream = Upstream::start().await?;
    let tenant = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n\n[attributes]\nclearance = \"long\"\nsites = \"set\"\n";
    let policy = "@id(\"cleared\")\npermit (principal is User, action, resource in App::\"echo\")\nwhen { principal has clearance && principal.clearance >= 2 };\n";
    let gateway = Plan::before(upstream.port)
        .file("tenants/acme/tenant.toml", tenant)
        .file("tenants/acme/policies/echo.cedar", policy)
        .start()
        .await?;
    let (mut ada, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    let mira = gateway.person("mira@acme.example", &[]).await?;
    let app = gateway.at("echo.acme", "/x")?;
    let (mut hers, page) = mira.opens(&app).await?;
    assert_eq!(page.status, 403, "{}", page.body);

    // By the operator, at once; a value of another type, and a name that nobody declared, are told.
    for (said, told) in [
        ("clearance=two", "`two` does not fit `clearance`, which is a whole number"),
        ("clearence=2", "did you mean `clearance`?"),
        ("clearance", "`clearance` is not `NAME=VALUE`"),
    ] {
        let (status, out) = user(&gateway, &["set", &mira.email, said]).await?;
        assert!(status == 2 && out.contains(told), "{said}: {status} {out}");
    }
    let said = told(&gateway, &["set", &mira.email, "clearance=2", "sites=north,south"]).await?;
    assert_eq!(said[0], serde_json::json!({ "clearance": 2, "sites": ["north", "south"] }));
    gateway.on.does(&["user", "--tenant", "acme", "set", &mira.email, "sites="]).await?;
    let mut status = 0;
    for _ in 0..100 {
        status = hers.open(&app).await?.status.as_u16();
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status, 200);

    // And by the API, in the running gateway: the next request knows it.
    let id = told(&gateway, &["list", "mira"]).await?[0]["id"].as_str().context("no id")?.to_owned();
    let at = gateway.at("acme", &format!("/api/v1/users/{id}/attributes"))?;
    let say = |value: Value| serde_json::json!({ "attributes": value });
    let wrong = ada.json(Method::PUT, &at, &say(serde_json::json!({ "clearance": "2" }))).await?;
    assert_eq!((wrong.status.as_u16(), wrong.body.contains("it is a whole number")), (422, true), "{}", wrong.body);
    assert_eq!(ada.json(Method::PUT, &at, &say(serde_json::json!({ "clearance": 1 }))).await?.status, 204);
    assert_eq!(hers.open(&app).await?.status, 403);
    let shown = ada.get(&gateway.at("acme", &format!("/api/v1/users/{id}"))?).await?.json()?;
    assert_eq!(shown["attributes"], serde_json::json!({ "clearance": 1 }));
    let log = gateway.on.log("acme").await?;
    let last = log.iter().rfind(|entry| entry["event"]["kind"] == "attributes-changed").context("no entry")?;
    assert_eq!(
        (&last["event"]["before"]["clearance"], &last["event"]["after"]["clearance"]),
        (&2.into(), &1.into()),
        "{last}"
    );

    // What is said no more decides no more, and nobody says it of themselves.
    for (said, status) in [(serde_json::json!({ "clearance": 2 }), 200), (serde_json::json!({}), 403)] {
        assert_eq!(ada.json(Method::PUT, &at, &say(said)).await?.status, 204);
        assert_eq!(hers.open(&app).await?.status, status);
    }
    let (mut own, _) = mira.opens(&gateway.at("acme", "/")?).await?;
    own.program = true;
    assert_eq!(own.json(Method::PUT, &at, &say(serde_json::json!({ "clearance": 3 }))).await?.status, 403);
    assert_eq!(hers.open(&app).await?.status, 403);

    // What is declared is exported as it was applied.
    gateway.on.does(&["export", "out"]).await?;
    assert!(gateway.on.read("out/tenants/acme/tenant.toml")?.contains("clearance = \"long\""));
    assert_eq!(gateway.on.does(&["apply", "out", "--yes"]).await?, "nothing to change");
    Ok(())
}
