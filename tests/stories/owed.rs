//! `factors.must_enrol`: from the sign-in after they joined, whoever has one factor adds a second before anything else opens.

use std::time::Duration;

use anyhow::Context;
use cardea_tests::{Client, Gateway, Person, Reply, Story, gateway::key_of};
use http::Method;
use url::Url;

use crate::enrolment::{follows, house, link_for, presses, tenant};

const MIRA: &str = "mira@acme.example";
const OWED: &str = "Your organisation asks for a second way to sign in";

/// Nothing opens but the factors page, in whatever way it is asked for; and nothing is asked of the service.
async fn is_held(gateway: &Gateway, client: &mut Client) -> Story {
    for (host, path) in [
        ("acme", "/"),
        ("acme", "/sessions"),
        ("acme", "/activity"),
        ("acme", "/admin/"),
        ("echo.acme", "/x"),
        ("echo.acme", "/factors"),
        ("echo.acme", "/secret/plan"),
    ] {
        let page = client.open(&gateway.at(host, path)?).await?;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{host}{path}: {}", page.body);
        assert_eq!(page.url.host_str(), Some("acme.localhost"), "{host}{path} was opened");
        assert!(page.body.contains(OWED), "{host}{path}: nobody is told: {}", page.body);
    }
    client.program = true;
    for (method, host, path) in [
        (Method::GET, "echo.acme", "/x"),
        (Method::POST, "echo.acme", "/x"),
        (Method::GET, "acme", "/api/v1/users"),
        (Method::POST, "acme", "/sessions/end-others"),
        (Method::GET, "acme", "/"),
        // Who is signed in is told to an app's pages where the app itself is open.
        (Method::GET, "echo.acme", "/.cardea/session"),
    ] {
        let refused = client.send(method.clone(), &gateway.at(host, path)?, None).await?;
        let told = refused.json()?;
        let found = (refused.status.as_u16(), told["reason"].as_str());
        assert_eq!(found, (403, Some("second-factor-required")), "{method} {host}{path}: {told}");
        let help = format!("a second factor comes first: add one at `{}`", gateway.at("acme", "/factors")?);
        assert_eq!(told["help"], help, "{method} {host}{path}");
    }
    client.program = false;
    Ok(())
}

/// Adds an authenticator app; gives the page at which that ends.
async fn adds_codes(gateway: &Gateway, client: &mut Client, person: &mut Person) -> anyhow::Result<Reply> {
    let page = client.open(&gateway.at("acme", "/factors/totp")?).await?;
    person.totp = key_of(&page.body);
    person.answer(client, page).await
}

#[tokio::test]
async fn who_has_one_factor_is_led_to_add_another_and_then_to_where_they_were_going() -> Story {
    let (upstream, gateway) = house("must_enrol = true\nenrol = \"sign-in\"\n").await?;
    let (mut joining, _, mut mira) = gateway.newcomer(MIRA, &["readers"]).await?;
    let app = gateway.at("echo.acme", "/x?y=1;2&z=%22")?;
    let page = joining.open(&app).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, app.as_str()), "the day of joining: {}", page.body);
    let heard = upstream.count();

    let (mut hers, page) = mira.opens(&app).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{} {}", page.url, page.body);
    assert!(page.body.contains(OWED), "{}", page.body);
    is_held(&gateway, &mut hers).await?;
    // An address of somebody else's is kept no more than after a sign-in.
    let mut elsewhere = gateway.at("acme", "/factors")?;
    elsewhere.query_pairs_mut().append_pair("to", "https://evil.example/");
    hers.open(&elsewhere).await?;
    assert_eq!(hers.open(&app).await?.url.path(), "/factors");
    assert_eq!(upstream.count(), heard, "a request came through");

    let page = adds_codes(&gateway, &mut hers, &mut mira).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, app.as_str()), "{}", page.body);
    assert_eq!(hers.cookie("acme.localhost", "cardea-onward"), None);
    for (host, path) in [("acme", "/"), ("acme", "/sessions"), ("echo.acme", "/secret/plan")] {
        let page = hers.open(&gateway.at(host, path)?).await?;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, path), "{host}: {}", page.body);
    }
    // The next sign-in is as it always was: nothing is owed any more.
    let (_, page) = mira.opens(&app).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, app.as_str()), "{}", page.body);
    Ok(())
}

#[tokio::test]
async fn a_session_from_before_is_no_way_round_and_one_can_always_sign_out() -> Story {
    let (upstream, gateway) = house("enrol = \"sign-in\"\n").await?;
    let mira = gateway.person(MIRA, &["readers"]).await?;
    let app = gateway.at("echo.acme", "/x")?;
    let (mut old, page) = mira.opens(&app).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, app.as_str()), "{}", page.body);
    gateway.on.write("resources/tenants/acme/tenant.toml", &tenant("must_enrol = true\n"))?;
    gateway.on.apply().await?;
    let heard = async {
        while old.open(&app).await?.url == app {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(10), heard).await.context("it opens the app still")??;
    let before = upstream.count();
    is_held(&gateway, &mut old).await?;
    assert_eq!(upstream.count(), before);
    let entry = |one: &serde_json::Value| one["event"]["reason"] == "second-factor-required";
    assert!(gateway.on.log("acme").await?.iter().any(entry), "the log does not tell");
    let gone = presses(&mut old, &Reply { url: gateway.at("acme", "/")?, ..page }, "/sign-out").await?;
    assert_eq!(gone.status, 200, "{}", gone.body);
    assert_eq!(old.open(&app).await?.url.path(), "/sign-in");
    Ok(())
}

/// By default a person's only proof adds nothing: they are told how to get their administrator's link, and held until then.
#[tokio::test]
async fn where_it_takes_a_link_they_are_told_to_ask_for_one() -> Story {
    let (_upstream, gateway) = house("must_enrol = true\n").await?;
    let mut mira = gateway.person(MIRA, &["readers"]).await?;
    let (mut thief, page) = mira.opens(&gateway.at("echo.acme", "/x")?).await?;
    assert_eq!(page.url.path(), "/factors", "{}", page.body);
    assert!(page.body.contains(OWED) && page.body.contains("ask your administrator for a link"), "{}", page.body);
    is_held(&gateway, &mut thief).await?;
    let link: Url = link_for(&gateway, MIRA).await?;
    let mut hers = Client::browser();
    let page = follows(&mut hers, &mira, &link).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    is_held(&gateway, &mut hers).await?;
    // What she wanted last is where she ends.
    let app = gateway.at("echo.acme", "/y")?;
    assert_eq!(hers.open(&app).await?.url.path(), "/factors");
    let page = adds_codes(&gateway, &mut hers, &mut mira).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, app.as_str()), "{}", page.body);
    // The account can show two now; whoever knows the password alone is asked for both where it matters.
    assert_eq!(thief.open(&gateway.at("acme", "/factors/passkey")?).await?.url.path(), "/sign-in/step-up");
    Ok(())
}

/// Whoever turns it on, has one factor and is the only administrator is held as everybody is. The operator's link is the way.
#[tokio::test]
async fn a_sole_administrator_gets_back_in_by_the_operators_link() -> Story {
    let (_upstream, gateway) = house("must_enrol = true\n").await?;
    let mut ada = gateway.person("ada@acme.example", &["administrators"]).await?;
    let console = gateway.at("acme", "/admin/")?;
    let (mut hers, page) = ada.opens(&console).await?;
    assert_eq!(page.url.path(), "/factors", "{}", page.body);
    let link = link_for(&gateway, &ada.email).await?;
    follows(&mut hers, &ada, &link).await?;
    assert_eq!(hers.open(&console).await?.url.path(), "/factors", "a link opens nothing by itself");
    let page = adds_codes(&gateway, &mut hers, &mut ada).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/admin/"), "{}", page.body);
    assert_eq!(hers.get(&gateway.at("acme", "/api/v1/users")?).await?.status, 200);

    // So is starting over, where even that one factor is lost.
    let out = gateway.on.does(&["--format", "json", "user", "--tenant", "acme", "reset", "--yes", &ada.email]).await?;
    let url = serde_json::from_str::<serde_json::Value>(&out)?["url"].as_str().context("no link")?.to_owned();
    let mut again = Client::browser();
    let page = again.open(&Url::parse(&url)?).await?;
    let page = again.submit(&page, &[("password", &ada.password), ("again", &ada.password)]).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    adds_codes(&gateway, &mut again, &mut ada).await?;
    assert_eq!(again.get(&gateway.at("acme", "/api/v1/users")?).await?.status, 200);
    Ok(())
}
