//! Recovery codes: whoever has lost the second factor gets to where another is added, once a code, and nobody else does.

use anyhow::Context;
use cardea_tests::{
    Client, Gateway, Person, Plan, Reply, Story, Upstream, form,
    gateway::{PASSWORD, key_of},
};
use http::Method;
use url::Url;

const MIRA: &str = "mira@acme.example";
const BEN: &str = "ben@acme.example";

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

/// The codes that a page shows.
fn codes_on(page: &Reply) -> Vec<String> {
    let list = page.body.split("class=\"copy codes\"").nth(1).and_then(|rest| rest.split("</ul>").next());
    let items = list.unwrap_or_default().split("<li>").skip(1);
    items.filter_map(|item| item.split('<').next().map(str::to_owned)).collect()
}

/// Makes codes in a browser that has shown all that there is.
async fn makes_codes(client: &mut Client, gateway: &Gateway, tenant: &str) -> anyhow::Result<Vec<String>> {
    let page = client.open(&gateway.at(tenant, "/factors/recovery")?).await?;
    let codes = codes_on(&page);
    anyhow::ensure!(codes.len() == 10, "no ten codes at {}: {}", page.url, page.body);
    let done = client.submit(&page, &[("kept", "yes")]).await?;
    anyhow::ensure!(done.url.as_str().ends_with("/factors?done=recovery"), "{}: {}", done.url, done.body);
    anyhow::ensure!(done.body.contains("10 left"), "{}", done.body);
    Ok(codes)
}

/// Somebody with one-time codes and recovery codes.
async fn somebody(gateway: &Gateway, email: &str) -> anyhow::Result<(Client, Person, Vec<String>)> {
    let (mut client, person) = gateway.person_with_codes(email, &["readers"]).await?;
    let codes = makes_codes(&mut client, gateway, &person.tenant).await?;
    Ok((client, person, codes))
}

/// A browser in which that person has shown the password.
async fn by_password(gateway: &Gateway, tenant: &str, email: &str) -> anyhow::Result<Client> {
    let mut client = Client::browser();
    let page = client.open(&gateway.at(tenant, "/")?).await?;
    let page = client.submit(&page, &[("email", email)]).await?;
    let page = client.submit(&page, &[("password", PASSWORD)]).await?;
    anyhow::ensure!(page.status == 200 && page.url.path() == "/", "{} {}", page.url, page.body);
    Ok(client)
}

/// The page for a recovery code, of a step-up in that browser.
async fn asked_for_code(client: &mut Client, gateway: &Gateway, tenant: &str) -> anyhow::Result<Reply> {
    let mut url = gateway.at(tenant, "/sign-in/step-up")?;
    url.query_pairs_mut().append_pair("need", "2").append_pair("to", gateway.at(tenant, "/")?.as_str());
    client.open(&url).await?;
    let page = client.open(&gateway.at(tenant, "/sign-in/recovery")?).await?;
    anyhow::ensure!(form::find(&page.body, "recovery").is_some(), "{} {}", page.url, page.body);
    Ok(page)
}

/// What becomes of a code that is typed with nothing but the password shown before.
async fn types(gateway: &Gateway, tenant: &str, email: &str, code: &str) -> anyhow::Result<(Client, Reply)> {
    let mut client = by_password(gateway, tenant, email).await?;
    let page = asked_for_code(&mut client, gateway, tenant).await?;
    let reply = client.submit(&page, &[("recovery", code)]).await?;
    Ok((client, reply))
}

#[tokio::test]
async fn whoever_lost_the_phone_adds_another_factor_by_a_code() -> Story {
    let (_upstream, gateway) = house().await?;
    let (_, mut mira, codes) = somebody(&gateway, MIRA).await?;
    let (secret, factors) = (gateway.at("echo.acme", "/secret/plan")?, gateway.at("acme", "/factors")?);
    let mut client = by_password(&gateway, "acme", MIRA).await?;

    // From the page that asks for the second factor to the one that takes a code; then to the factors, whatever was wanted.
    let page = client.open(&secret).await?;
    assert_eq!(page.url.path(), "/sign-in/step-up", "{}", page.body);
    let way = form::link(&page.body, "/sign-in/recovery").context("no way to a recovery code")?;
    let page = client.open(&page.url.join(&way)?).await?;
    let wrong = client.submit(&page, &[("recovery", "0000-0000-0000-0000")]).await?;
    assert_eq!(wrong.status, 401, "{}", wrong.body);
    let spelled = format!(" {} ", codes[0].to_lowercase().replace('-', " "));
    let page = client.submit(&wrong, &[("recovery", &spelled)]).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert!(page.body.contains("You are in with a recovery code") && page.body.contains("9 left"), "{}", page.body);

    // It opens nothing else: what asks for two factors asks again.
    assert_eq!(client.open(&secret).await?.url.path(), "/sign-in/step-up");

    // What is lost goes; another takes its place, and with that all is open.
    let list = client.open(&factors).await?;
    let lost = form::link(&list.body, "/factors/0").context("no factor")?.replace("/name", "/remove");
    let page = client.open(&factors.join(&lost)?).await?;
    assert!(page.body.contains("Authenticator app"), "{}", page.body);
    let page = client.submit(&page, &[("", "")]).await?;
    assert_eq!(page.url.path(), "/factors", "{}", page.body);
    let page = client.open(&gateway.at("acme", "/factors/totp")?).await?;
    mira.totp = key_of(&page.body);
    let page = mira.answer(&mut client, page).await?;
    assert_eq!(page.url.path(), "/factors", "{}", page.body);
    assert!(!page.body.contains("You are in with a recovery code"), "{}", page.body);
    let page = client.open(&secret).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, secret.as_str()), "{}", page.body);

    // Every browser of hers is told, and the log.
    let portal = by_password(&gateway, "acme", MIRA).await?.open(&gateway.at("acme", "/")?).await?;
    assert!(portal.body.contains("A recovery code of yours was used"), "{}", portal.body);
    let log = gateway.on.log("acme").await?;
    let of = |kind: &str, field: &str, value: &str| {
        let told = log.iter().map(|entry| &entry["event"]);
        told.filter(|event| event["kind"] == kind && event[field] == value).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of("factor-added", "factor_kind", "recovery").len(), 1);
    assert_eq!(of("sign-in-refused", "factor", "recovery")[0]["detail"], "the recovery code is wrong");
    assert_eq!(of("step-up", "factor", "recovery")[0]["assurance"], 1);
    let used: Vec<_> = log.iter().filter(|entry| entry["event"]["kind"] == "recovery-used").collect();
    assert_eq!((used.len(), &used[0]["event"]["left"]), (1, &9.into()), "{used:?}");
    let all = serde_json::to_string(&log)?;
    assert!(codes.iter().all(|code| !all.contains(code.as_str())), "a code stands in the log");
    Ok(())
}

/// Where a sign-in asks for two factors, it ends with a code at the factors, and opens no app.
#[tokio::test]
async fn a_sign_in_that_wants_two_factors_ends_by_a_code_at_the_factors_alone() -> Story {
    let upstream = Upstream::start().await?;
    let tenant = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[factors]\nminimum = 2\n";
    let gateway = Plan::before(upstream.port).file("tenants/acme/tenant.toml", tenant).start().await?;
    let (_, _, codes) = somebody(&gateway, MIRA).await?;
    let before = upstream.count();
    let app = gateway.at("echo.acme", "/x?y=1")?;
    let mut client = Client::browser();
    let page = client.open(&app).await?;
    let page = client.submit(&page, &[("email", MIRA)]).await?;
    let page = client.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!(page.url.path(), "/sign-in/totp", "{}", page.body);
    let way = form::link(&page.body, "/sign-in/recovery").context("no way to a recovery code")?;
    let page = client.open(&page.url.join(&way)?).await?;
    let page = client.submit(&page, &[("recovery", &codes[0])]).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert_eq!(client.open(&gateway.at("acme", "/factors/passkey")?).await?.url.path(), "/factors/passkey");
    let refused = client.open(&app).await?;
    assert!(refused.status == 403 || refused.url.path() == "/sign-in/step-up", "{}: {}", refused.url, refused.body);
    assert_eq!(upstream.count(), before);
    Ok(())
}

/// What the device stood in for is lost: by a code it stands in no more, and another factor may take the place.
#[tokio::test]
async fn who_came_by_a_remembered_device_replaces_what_was_lost() -> Story {
    let upstream = Upstream::start().await?;
    let tenant = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[factors]\nminimum = 2\nremember_days = 30\n";
    let gateway = Plan::before(upstream.port).file("tenants/acme/tenant.toml", tenant).start().await?;
    let (_, mira, codes) = somebody(&gateway, MIRA).await?;
    let (secret, passkey) = (gateway.at("echo.acme", "/secret/plan")?, gateway.at("acme", "/factors/passkey")?);
    let (portal, sign_out) = (gateway.at("acme", "/")?, gateway.at("acme", "/sign-out")?);
    let mut client = Client::browser();
    let page = client.open(&portal).await?;
    let page = client.submit(&page, &[("email", MIRA)]).await?;
    let page = client.submit(&page, &[("password", PASSWORD)]).await?;
    let page = client.submit(&page, &[("code", &mira.code().await?), ("remember", "yes")]).await?;
    assert_eq!(page.url, portal, "{} {}", page.status, page.body);
    client.send(Method::POST, &sign_out, None).await?;
    let page = client.open(&secret).await?;
    let page = client.submit(&page, &[("email", MIRA)]).await?;
    let page = client.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &secret), "{}", page.body);

    // To the factors, from where they are changed: the page that asks for the real one takes a code.
    let page = client.open(&passkey).await?;
    assert_eq!(page.url.path(), "/sign-in/step-up", "{}", page.body);
    let page = client.open(&gateway.at("acme", "/sign-in/recovery")?).await?;
    let page = client.submit(&page, &[("recovery", &codes[0])]).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert_eq!(client.open(&secret).await?.url.path(), "/sign-in/step-up", "the device stands in still");

    assert_eq!(client.open(&passkey).await?.url, passkey, "another factor is not to be added");
    let log = gateway.on.log("acme").await?;
    let raised = log.iter().map(|one| &one["event"]).rfind(|event| event["kind"] == "step-up").context("no step-up")?;
    assert_eq!((&raised["factor"], &raised["assurance"]), (&"recovery".into(), &1.into()), "{raised}");
    Ok(())
}

#[tokio::test]
async fn a_code_that_is_not_good_is_refused_in_the_same_words_whatever_it_is() -> Story {
    let (_upstream, gateway) = house().await?;
    let (mut hers, _, old) = somebody(&gateway, MIRA).await?;
    let codes = makes_codes(&mut hers, &gateway, "acme").await?;
    let (_, _, bens) = somebody(&gateway, BEN).await?;
    gateway.person("nora@acme.example", &["readers"]).await?;
    // The same address in another tenant is another person.
    let (_, _, northern) = somebody(&gateway, "mira@north.example").await?;
    let (_, reply) = types(&gateway, "acme", MIRA, &codes[0]).await?;
    assert_eq!(reply.url.path(), "/factors", "{}", reply.body);

    let mut pages = Vec::new();
    for (what, email, code) in [
        ("no code of hers", MIRA, "0000-0000-0000-0000"),
        ("used before", MIRA, codes[0].as_str()),
        ("of the set before", MIRA, old[3].as_str()),
        ("another person's", MIRA, bens[0].as_str()),
        ("another tenant's", MIRA, northern[0].as_str()),
        ("no code at all", MIRA, "123456"),
        ("a person without codes", "nora@acme.example", codes[1].as_str()),
    ] {
        let (mut client, reply) = types(&gateway, "acme", email, code).await?;
        assert_eq!((reply.status.as_u16(), reply.url.path()), (401, "/sign-in/recovery"), "{what}: {}", reply.body);
        let asked = client.open(&gateway.at("acme", "/factors/passkey")?).await?;
        assert!(email != MIRA || asked.url.path() == "/sign-in/step-up", "{what}: {}", asked.body);
        pages.push((what, reply.body.replace(email, "somebody")));
    }
    for (what, page) in &pages {
        assert_eq!(page, &pages[0].1, "{what}");
    }
    // Those that are left are good still, each for its owner.
    for (tenant, email, code) in
        [("acme", MIRA, &codes[1]), ("acme", BEN, &bens[0]), ("north", "mira@north.example", &northern[0])]
    {
        assert_eq!(types(&gateway, tenant, email, code).await?.1.url.path(), "/factors", "{email}");
    }
    let log = gateway.on.log("acme").await?;
    let refused = log.iter().map(|entry| &entry["event"]).filter(|event| event["factor"] == "recovery");
    let refused: Vec<_> = refused.filter(|event| event["kind"] == "sign-in-refused").collect();
    assert_eq!(refused.len(), 7, "{refused:?}");
    assert_eq!(refused[1]["detail"], "the recovery code was used already");
    Ok(())
}

/// Sent from two browsers at once, a code lets one in.
#[tokio::test]
async fn of_two_browsers_with_the_same_code_one_gets_in() -> Story {
    let (_upstream, gateway) = house().await?;
    let (_, _, codes) = somebody(&gateway, MIRA).await?;
    let mut one = by_password(&gateway, "acme", MIRA).await?;
    let mut two = by_password(&gateway, "acme", MIRA).await?;
    let (page, other) =
        (asked_for_code(&mut one, &gateway, "acme").await?, asked_for_code(&mut two, &gateway, "acme").await?);
    let fields = [("recovery", codes[0].as_str())];
    let (first, second) = tokio::join!(one.submit_once(&page, &fields), two.submit_once(&other, &fields));
    let mut statuses = [first?.status.as_u16(), second?.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 401]);
    Ok(())
}

/// Guesses are counted for the account, and cost nobody the other ways.
#[tokio::test]
async fn guessing_codes_is_slowed_down_and_locks_nothing_else() -> Story {
    let (_upstream, gateway) = house().await?;
    let (mut hers, mira, codes) = somebody(&gateway, MIRA).await?;
    let mut client = by_password(&gateway, "acme", MIRA).await?;
    let mut page = asked_for_code(&mut client, &gateway, "acme").await?;
    let mut seen = Vec::new();
    for nth in 0..12 {
        page = client.submit(&page, &[("recovery", &format!("0000-0000-0000-00{nth:02}"))]).await?;
        seen.push(page.status.as_u16());
    }
    assert_eq!((seen[9], seen[10], seen[11]), (401, 429, 429), "{seen:?}");
    let wait = page.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(wait.is_some_and(|seconds| (1..=30).contains(&seconds)), "{wait:?}");
    // Here with the right one, too, and in whatever browser nobody has shown more than the password; in one of hers it opens, so
    // that who guesses keeps nobody out.
    assert_eq!(client.submit(&page, &[("recovery", &codes[0])]).await?.status, 429);
    assert_eq!(types(&gateway, "acme", MIRA, &codes[0]).await?.1.status, 429);
    let portal = gateway.at("acme", "/")?;
    hers.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    let page = hers.open(&portal).await?;
    let page = hers.submit(&page, &[("email", MIRA)]).await?;
    hers.submit(&page, &[("password", PASSWORD)]).await?;
    let page = asked_for_code(&mut hers, &gateway, "acme").await?;
    assert_eq!(hers.submit(&page, &[("recovery", &codes[0])]).await?.status, 200);
    mira.steps_up(&mut client, &portal, &portal).await?;
    Ok(())
}

#[tokio::test]
async fn codes_are_made_by_who_has_shown_all_they_have_and_count_once_kept() -> Story {
    let (_upstream, gateway) = house().await?;
    let making = gateway.at("acme", "/factors/recovery")?;
    // Nothing to lose: nothing is offered.
    let (mut nora, _, _) = gateway.newcomer("nora@acme.example", &["readers"]).await?;
    let page = nora.open(&making).await?;
    assert!(page.url.path() == "/factors" && !page.body.contains("/factors/recovery"), "{}", page.body);
    let (mut client, mira) = gateway.person_with_codes(MIRA, &["readers"]).await?;
    assert!(client.open(&gateway.at("acme", "/factors")?).await?.body.contains("/factors/recovery"), "no offer");

    // Who has but the password is asked for the rest.
    let mut thief = by_password(&gateway, "acme", MIRA).await?;
    assert_eq!(thief.open(&making).await?.url.path(), "/sign-in/step-up");

    let first = client.open(&making).await?;
    assert_eq!(first.header("cache-control"), Some("no-store"), "{:?}", first.headers);
    let codes = codes_on(&first);
    assert!(first.body.contains(&format!("0A{}%0A", codes[9])), "not in the file: {}", first.body);
    let second = client.open(&making).await?;
    assert!(codes_on(&second).iter().all(|code| !codes.contains(code)), "shown twice");
    // Not kept yet: none of them is good.
    let (_, refused) = types(&gateway, "acme", MIRA, &codes[0]).await?;
    assert_eq!(refused.status, 401, "{}", refused.body);
    // Without saying so they do not count; nor does anybody else say so, nor twice.
    let hidden = form::find(&first.body, "kept").context("no form")?.hidden;
    let ticket = &hidden[0].1;
    let send = |fields: String| Some(("application/x-www-form-urlencoded", fields));
    assert_eq!(client.send(Method::POST, &making, send(format!("ticket={ticket}"))).await?.status, 422);
    let whole = format!("ticket={ticket}&kept=yes");
    let (mut ben, _) = gateway.person_with_codes(BEN, &["readers"]).await?;
    assert_eq!(ben.send(Method::POST, &making, send(whole.clone())).await?.status, 400, "another's ticket");
    // A foreign ticket is spent by that: the page is asked for anew.
    let page = client.open(&making).await?;
    let codes = codes_on(&page);
    let done = client.submit(&page, &[("kept", "yes")]).await?;
    assert!(done.url.as_str().ends_with("done=recovery"), "{} {}", done.url, done.body);
    assert_ne!(client.submit(&page, &[("kept", "yes")]).await?.status, 200, "one ticket, two sets");
    let again = client.open(&making).await?;
    assert!(again.body.contains("take the place"), "{}", again.body);
    // The set that was shown meanwhile changes nothing.
    assert_eq!(types(&gateway, "acme", MIRA, &codes[0]).await?.1.url.path(), "/factors");

    // Removed, they are gone.
    let list = client.open(&gateway.at("acme", "/factors")?).await?;
    let row = list.body.split("Recovery codes").nth(1).unwrap_or_default();
    let remove = list.url.join(&form::link(row, "/factors/0").context("no way to remove them")?)?;
    let page = client.open(&remove).await?;
    let page = mira.answer(&mut client, page).await?;
    let done = client.submit(&page, &[("", "")]).await?;
    assert!(done.url.as_str().ends_with("done=removed"), "{} {}", done.url, done.body);
    assert_eq!(types(&gateway, "acme", MIRA, &codes[1]).await?.1.status, 401);
    Ok(())
}

async fn kinds_of(gateway: &Gateway, email: &str) -> anyhow::Result<String> {
    let out = gateway.on.does(&["--format", "json", "user", "--tenant", "acme", "list", email]).await?;
    Ok(serde_json::from_str::<serde_json::Value>(&out)?["factors"].to_string())
}

#[tokio::test]
async fn codes_end_with_the_other_factors_and_open_nothing_for_who_is_suspended() -> Story {
    let (_upstream, gateway) = house().await?;
    let (_, _, codes) = somebody(&gateway, MIRA).await?;
    assert_eq!(kinds_of(&gateway, MIRA).await?, r#"["password","totp","recovery"]"#);
    let mut client = by_password(&gateway, "acme", MIRA).await?;
    let page = asked_for_code(&mut client, &gateway, "acme").await?;
    gateway.on.does(&["user", "--tenant", "acme", "suspend", MIRA]).await?;
    let refused = client.submit(&page, &[("recovery", &codes[0])]).await?;
    assert!(refused.status.is_client_error(), "{} {}", refused.status, refused.body);
    gateway.on.does(&["user", "--tenant", "acme", "activate", MIRA]).await?;
    // It was not spent by that, and is good again with the password.
    assert_eq!(types(&gateway, "acme", MIRA, &codes[0]).await?.1.url.path(), "/factors");

    let out = gateway.on.does(&["--format", "json", "user", "--tenant", "acme", "invite", MIRA]).await?;
    let link = Url::parse(serde_json::from_str::<serde_json::Value>(&out)?["url"].as_str().unwrap_or_default())?;
    let mut client = Client::browser();
    let page = client.open(&link).await?;
    client.submit(&page, &[("password", PASSWORD), ("again", PASSWORD)]).await?;
    assert_eq!(kinds_of(&gateway, MIRA).await?, r#"["password"]"#);
    assert_eq!(types(&gateway, "acme", MIRA, &codes[1]).await?.1.status, 401);
    Ok(())
}
