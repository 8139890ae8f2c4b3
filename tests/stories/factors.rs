//! An invitation, a password, one-time codes: what opens, what does not, and what a stranger can learn from it.

use anyhow::Context;
use cardea_tests::{Client, Gateway, Plan, Reply, Story, Upstream, form, gateway::PASSWORD, gateway::key_of};
use http::Method;
use url::Url;

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

/// A browser that has come as far as the password page for `email`.
async fn asked_for_password(gateway: &Gateway, email: &str) -> anyhow::Result<(Client, Reply)> {
    let mut client = Client::browser();
    let page = client.open(&gateway.at("acme", "/sign-in")?).await?;
    let page = client.submit(&page, &[("email", email)]).await?;
    anyhow::ensure!(form::find(&page.body, "password").is_some(), "no password is asked for: {}", page.body);
    Ok((client, page))
}

async fn tries(gateway: &Gateway, email: &str, password: &str) -> anyhow::Result<Reply> {
    tries_in(Client::browser(), gateway, email, password).await
}

async fn tries_in(mut client: Client, gateway: &Gateway, email: &str, password: &str) -> anyhow::Result<Reply> {
    let page = client.open(&gateway.at("acme", "/sign-in")?).await?;
    let page = client.submit(&page, &[("email", email)]).await?;
    client.submit(&page, &[("password", password)]).await
}

#[tokio::test]
async fn an_invitation_leads_to_a_password_a_second_factor_and_the_page_asked_for() -> Story {
    let (upstream, gateway) = house().await?;
    let (mut client, page, mut mira) = gateway.newcomer("mira@acme.example", &["readers"]).await?;
    assert!(page.body.contains("/factors/totp"), "a second factor is offered: {}", page.body);
    assert_eq!(client.get(&gateway.at("acme", "/")?).await?.status, 200);

    // A wrong code enrols nothing; the right one does.
    let page = client.open(&gateway.at("acme", "/factors/totp")?).await?;
    mira.totp = key_of(&page.body);
    let wrong = client.submit(&page, &[("code", "000000")]).await?;
    assert!(form::find(&wrong.body, "code").is_some(), "{}", wrong.body);
    let mut before = client.clone();
    let done = mira.answer(&mut client, wrong).await?;
    assert_eq!(done.url.path(), "/factors", "{}", done.body);

    // The code that confirmed the app has shown it: what wants two factors opens, and asks for no other code.
    let secret = gateway.at("echo.acme", "/secret/plan?x=1")?;
    let page = client.open(&secret).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, secret.as_str()), "{}", page.body);
    assert_eq!(upstream.last().line(), "GET /secret/plan?x=1");

    // As after a step-up: the cookie of before opens nothing, and the log says what was shown.
    before.program = true;
    assert_eq!(before.get(&gateway.at("acme", "/")?).await?.status, 401);
    let log = gateway.on.log("acme").await?;
    let told = |kind: &str| log.iter().position(|entry| entry["event"]["kind"] == kind);
    let step_up = told("step-up").context("no step-up is told")?;
    assert_eq!((&log[step_up]["event"]["factor"], &log[step_up]["event"]["assurance"]), (&"totp".into(), &2.into()));
    assert!(told("factor-added") < Some(step_up));
    Ok(())
}

/// Whoever has but the password of an account with codes gets past those by no factor of their own.
#[tokio::test]
async fn a_new_factor_is_no_way_past_the_one_that_is_there() -> Story {
    let (_upstream, gateway) = house().await?;
    let (_, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let (portal, adding) = (gateway.at("acme", "/")?, gateway.at("acme", "/factors/passkey")?);
    let mut thief = Client::browser();
    let page = thief.open(&portal).await?;
    let page = thief.submit(&page, &[("email", &mira.email)]).await?;
    let page = thief.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/"), "{}", page.body);

    let asked = thief.open(&adding).await?;
    assert_eq!(asked.url.path(), "/sign-in/step-up", "{}", asked.body);
    thief.program = true;
    for path in ["/factors/passkey/options", "/factors/passkey"] {
        let answer = serde_json::json!({ "ticket": "", "name": "Mine", "credential": {} });
        let refused = thief.json(Method::POST, &gateway.at("acme", path)?, &answer).await?;
        assert_eq!(refused.json()?["reason"], "step-up-required", "{path}: {}", refused.body);
    }
    let refused = thief.get(&gateway.at("echo.acme", "/secret/plan")?).await?;
    assert_eq!(refused.status, 401, "the assurance has risen");
    // Who has the codes, too, adds what they like.
    thief.program = false;
    let page = mira.answer(&mut thief, asked).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors/passkey"), "{}", page.body);
    Ok(())
}

#[tokio::test]
async fn whoever_is_below_the_tenants_minimum_reaches_the_portal_and_no_app() -> Story {
    let upstream = Upstream::start().await?;
    let tenant = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[factors]\nminimum = 2\n";
    let gateway = Plan::before(upstream.port).file("tenants/acme/tenant.toml", tenant).start().await?;
    let (mut client, _, mut mira) = gateway.newcomer("mira@acme.example", &["readers"]).await?;
    let app = gateway.at("echo.acme", "/x?y=1")?;
    let refused = client.open(&app).await?;
    assert_eq!(refused.status, 403, "a password alone opened an app: {}", refused.body);
    let factors = gateway.at("acme", "/factors")?;
    assert!(refused.body.contains(factors.as_str()), "no way out: {}", refused.body);
    assert_eq!(upstream.count(), 0);
    assert_eq!(client.get(&gateway.at("acme", "/")?).await?.status, 200, "the portal is open");

    let page = client.open(&gateway.at("acme", "/factors/totp")?).await?;
    mira.totp = key_of(&page.body);
    mira.answer(&mut client, page).await?;
    let page = client.open(&app).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, app.as_str()), "just shown is shown: {}", page.body);

    let id = refused.header("x-request-id").unwrap_or_default();
    let why = gateway.on.does(&["policy", "explain", id]).await?;
    assert!(why.contains("built-in/minimum-assurance"), "{why}");
    Ok(())
}

#[tokio::test]
async fn a_step_up_by_code_lands_where_it_was_going() -> Story {
    let (upstream, gateway) = house().await?;
    let (_, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let secret = gateway.at("echo.acme", "/secret/plan?x=1")?;
    let mut client = Client::browser();
    let page = client.open(&gateway.at("echo.acme", "/x")?).await?;
    let page = client.submit(&page, &[("email", &mira.email)]).await?;
    let page = client.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!(page.status, 200, "one factor opens what wants one: {}", page.body);

    client.program = true;
    let refused = client.get(&secret).await?;
    assert_eq!((refused.status.as_u16(), refused.json()?["reason"].as_str()), (401, Some("step-up-required")));
    assert_eq!(refused.json()?["challenge"]["need"], "2");
    client.program = false;

    let page = client.open(&secret).await?;
    assert_eq!(page.url.path(), "/sign-in/step-up", "{}", page.body);
    // A code that was typed before is spent; nobody who saw it can use it.
    let replayed = client.submit(&page, &[("code", &mira.spent_code().await?)]).await?;
    assert!(form::find(&replayed.body, "code").is_some(), "a code opened twice: {}", replayed.body);
    let page = mira.answer(&mut client, replayed).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, secret.as_str()), "{}", page.body);
    assert_eq!(upstream.last().line(), "GET /secret/plan?x=1");
    Ok(())
}

#[tokio::test]
async fn wrong_codes_are_refused_and_slowed_down() -> Story {
    let (_upstream, gateway) = house().await?;
    let (_, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let mut client = Client::browser();
    let page = client.open(&gateway.at("echo.acme", "/secret")?).await?;
    let page = client.submit(&page, &[("email", &mira.email)]).await?;
    let mut page = client.submit(&page, &[("password", PASSWORD)]).await?;
    let mut seen = Vec::new();
    for guess in 0..12 {
        page = client.submit(&page, &[("code", &format!("{:06}", 111_111 + guess))]).await?;
        seen.push(page.status.as_u16());
    }
    assert!(seen.contains(&429), "guessing is not slowed down: {seen:?}");
    assert!(!seen.contains(&200), "{seen:?}");
    let wait = page.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(wait.is_some_and(|seconds| (1..=60).contains(&seconds)), "{wait:?}");
    Ok(())
}

#[tokio::test]
async fn a_sign_in_goes_on_in_the_browser_where_it_was_begun() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.person("mira@acme.example", &["readers"]).await?;
    let (_, page) = asked_for_password(&gateway, "mira@acme.example").await?;
    // Another browser has the page (a copied link, a stolen form) but not the cookie.
    let mut stranger = Client::browser();
    let refused = stranger.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(stranger.cookie("acme.localhost", "cardea").is_none());

    // A step is made once: the same form sent again finds its ticket spent.
    let (mut client, page) = asked_for_password(&gateway, "mira@acme.example").await?;
    let mut twin = client.clone();
    assert_eq!(client.submit(&page, &[("password", PASSWORD)]).await?.status, 200);
    let again = twin.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!(again.status, 400, "{}", again.body);
    Ok(())
}

#[tokio::test]
async fn an_invitation_is_accepted_once() -> Story {
    let (_upstream, gateway) = house().await?;
    let out = gateway.on.does(&["--format", "json", "user", "--tenant", "acme", "invite", "mira@acme.example"]).await?;
    let link = serde_json::from_str::<serde_json::Value>(&out)?["url"].as_str().unwrap_or_default().to_owned();
    let url = Url::parse(&link)?;
    let mut tampered = url.clone();
    tampered.set_path(&format!("{}x", url.path()));
    assert_eq!(Client::browser().get(&tampered).await?.status, 400, "a tampered link");

    let mut mira = Client::browser();
    let page = mira.open(&url).await?;
    let short = mira.submit(&page, &[("password", "short"), ("again", "short")]).await?;
    assert!(form::find(&short.body, "password").is_some(), "a short password is taken: {}", short.body);
    let differ = mira.submit(&page, &[("password", PASSWORD), ("again", "another one altogether")]).await?;
    assert!(form::find(&differ.body, "password").is_some(), "{}", differ.body);
    let done = mira.submit(&page, &[("password", PASSWORD), ("again", PASSWORD)]).await?;
    assert_eq!(done.status, 200);
    let mut second = Client::browser();
    assert_eq!(second.get(&url).await?.status, 400, "the link opens twice");
    let posted = second.submit(&page, &[("password", PASSWORD), ("again", PASSWORD)]).await?;
    assert_eq!(posted.status, 400, "the form opens twice");
    // Nor at another tenant.
    let elsewhere = gateway.at("north", url.path())?;
    assert_eq!(Client::browser().get(&elsewhere).await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.person("mira@acme.example", &["readers"]).await?;
    let known = tries(&gateway, "mira@acme.example", "not her password").await?;
    let unknown = tries(&gateway, "nobody@acme.example", "not her password").await?;
    assert_eq!((known.status, known.url.path()), (unknown.status, unknown.url.path()));
    assert_eq!(known.body.replace("mira@", "nobody@"), unknown.body, "the pages differ");
    let names = |reply: &Reply| reply.headers.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));
    Ok(())
}

/// G26.
#[tokio::test]
async fn guessing_is_slowed_for_the_account_in_every_spelling_and_locks_nobody_else() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.person("mira@acme.example", &["readers"]).await?;
    gateway.person("ben@acme.example", &["readers"]).await?;
    for email in ["mira@acme.example", "nobody@acme.example"] {
        let mut seen = Vec::new();
        for nth in 0..12 {
            let spelled = if nth % 2 == 0 { email.to_owned() } else { email.to_uppercase() };
            seen.push(tries(&gateway, &spelled, "a guess at it").await?.status.as_u16());
        }
        assert_eq!(seen.iter().filter(|status| **status == 429).count(), 2, "{email}: {seen:?}");
    }
    // A right password waits its turn too; another person does not.
    assert_eq!(tries(&gateway, "mira@acme.example", PASSWORD).await?.status, 429);
    assert_eq!(tries(&gateway, "ben@acme.example", PASSWORD).await?.status, 200);

    // The counter survives a restart (G28).
    let gateway = gateway.kill().await?.start().await?;
    assert_eq!(tries(&gateway, "mira@acme.example", PASSWORD).await?.status, 429);
    Ok(())
}

/// A browser at that address.
fn at(address: [u8; 4], mut client: Client) -> Client {
    client.from = Some(address.into());
    client
}

/// However many strangers guess: who has signed in in a browser before signs in there again. A browser that is new to
/// the account waits with the strangers, which is what bounds their guesses.
#[tokio::test]
async fn strangers_keep_nobody_out_of_a_browser_that_knows_them() -> Story {
    let (_upstream, gateway) = house().await?;
    let (mut hers, _, mira) = gateway.newcomer("mira@acme.example", &["readers"]).await?;
    hers.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    let mut statuses = Vec::new();
    for network in 0..6 {
        for _ in 0..10 {
            let stranger = at([127, 1, 0, network], Client::browser());
            statuses.push(tries_in(stranger, &gateway, &mira.email, "a guess at it").await?.status.as_u16());
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 10, "fifty guesses in all: {statuses:?}");
    let new = at([127, 2, 0, 1], Client::browser());
    assert_eq!(tries_in(new, &gateway, &mira.email, PASSWORD).await?.status, 429);
    for address in [[127, 2, 0, 1], [127, 1, 0, 1]] {
        let there = at(address, hers.clone());
        assert_eq!(tries_in(there, &gateway, &mira.email, PASSWORD).await?.status, 200, "at {address:?}");
    }
    // The browser is known for her, and for nobody else; nor does what it keeps open anything.
    let device = hers.cookie("acme.localhost", "cardea-device").unwrap_or_default();
    assert!(!device.is_empty() && hers.cookie("acme.localhost", "cardea").is_none());
    assert_ne!(hers.get(&gateway.at("acme", "/")?).await?.status, 200);
    Ok(())
}

/// An office has one address: what succeeds there is no guess.
#[tokio::test]
async fn what_succeeds_wears_out_no_address() -> Story {
    let (_upstream, gateway) = house().await?;
    let out = gateway.on.does(&["--format", "json", "user", "--tenant", "acme", "invite", "mira@acme.example"]).await?;
    let link = Url::parse(serde_json::from_str::<serde_json::Value>(&out)?["url"].as_str().unwrap_or_default())?;
    for nth in 0..110 {
        assert_eq!(Client::browser().get(&link).await?.status, 200, "{nth}");
    }
    Ok(())
}

/// Whoever only begins sign-ins makes no more writes than the pace allows, and is told when to go on.
#[tokio::test]
async fn sign_ins_are_begun_at_a_bounded_pace() -> Story {
    let (_upstream, gateway) = house().await?;
    let sign_in = gateway.at("acme", "/sign-in")?;
    let mut stranger = Client::browser();
    let page = stranger.open(&sign_in).await?;
    let mut statuses = Vec::new();
    for _ in 0..140 {
        let reply = stranger.submit_once(&page, &[("email", "mira@acme.example")]).await?;
        statuses.push(reply.status.as_u16());
        if reply.status == 429 {
            assert_eq!(reply.header("retry-after"), Some("1"), "{:?}", reply.headers);
        }
    }
    assert_eq!(statuses[..100].iter().filter(|status| **status == 303).count(), 100, "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let elsewhere = at([127, 3, 0, 1], Client::browser()).submit_once(&page, &[("email", "mira@acme.example")]).await?;
    assert_eq!(elsewhere.status, 303);
    Ok(())
}

/// A stranger could raise the alarm of whoever runs the gateway: what a page's script was refused was told as a fault of ours.
#[tokio::test]
async fn what_a_passkeys_script_may_not_is_told_as_a_refusal() -> Story {
    let upstream = Upstream::start().await?;
    let tenant = "id = \"north\"\nname = \"North\"\nsign_in_host = \"north.localhost\"\n[factors]\npasskey = false\n";
    let gateway = Plan::before(upstream.port).file("tenants/north/tenant.toml", tenant).start().await?;
    let mut stranger = Client::browser();
    stranger.program = true;
    let evil = "https://evil.example/";
    for (tenant, to, status, reason, told) in [
        ("acme", "", 200, None, ""),
        ("acme", evil, 400, Some("foreign-return"), "This link leads elsewhere"),
        ("north", "", 403, Some("factor-not-allowed"), "This way of signing in is not allowed"),
    ] {
        let asked = serde_json::json!({ "begin": "yes", "to": to });
        let reply = stranger.json(Method::POST, &gateway.at(tenant, "/sign-in/passkey/options")?, &asked).await?;
        let said = reply.json()?;
        assert_eq!((reply.status.as_u16(), said["reason"].as_str()), (status, reason), "{tenant} {to}: {said}");
        let detail = said["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with(told), "{tenant} {to}: {said}");
    }
    Ok(())
}

/// A passkey is not guessed: what fails is written down and slowed, and whoever signs in elsewhere notices nothing.
#[tokio::test]
async fn made_up_passkeys_are_refused_each_with_an_entry_and_slowed() -> Story {
    let (_upstream, gateway) = house().await?;
    let (_, _, mira) = gateway.newcomer("mira@acme.example", &["readers"]).await?;
    let made_up = serde_json::json!({
        "id": "AAAA", "rawId": "AAAA", "type": "public-key", "clientExtensionResults": {},
        "response": { "clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA", "userHandle": null },
    });
    let (options, proof) = (gateway.at("acme", "/sign-in/passkey/options")?, gateway.at("acme", "/sign-in/passkey")?);
    let mut stranger = Client::browser();
    stranger.program = true;
    let (mut failed, mut slowed) = (0, 0);
    for _ in 0..75 {
        let asked = stranger.json(Method::POST, &options, &serde_json::json!({ "begin": "" })).await?;
        if asked.status == 429 {
            assert!(asked.header("retry-after").is_some(), "{:?}", asked.headers);
            slowed += 1;
            continue;
        }
        assert_eq!(asked.status, 200, "{}", asked.body);
        let refused = stranger.json(Method::POST, &proof, &serde_json::json!({ "credential": made_up })).await?;
        match refused.status.as_u16() {
            429 => slowed += 1,
            _ => {
                assert_eq!(refused.json()?["reason"], "factor-rejected", "{}", refused.body);
                failed += 1;
            }
        }
    }
    assert!(failed >= 50 && slowed > 0, "{failed} failed, {slowed} were slowed");
    let log = gateway.on.log("acme").await?;
    let told = |entry: &&serde_json::Value| {
        entry["event"]["kind"] == "sign-in-refused" && entry["event"]["factor"] == "passkey"
    };
    assert_eq!(log.iter().filter(told).count(), failed);
    let page = tries_in(at([127, 3, 0, 1], Client::browser()), &gateway, &mira.email, PASSWORD).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/"), "{}", page.body);
    Ok(())
}

/// A browser in which the person has shown the password, and a code is asked for.
async fn asked_for_code(gateway: &Gateway, email: &str) -> anyhow::Result<(Client, Reply)> {
    let mut client = Client::browser();
    let page = client.open(&gateway.at("echo.acme", "/secret")?).await?;
    let page = client.submit(&page, &[("email", email)]).await?;
    let page = client.submit(&page, &[("password", PASSWORD)]).await?;
    anyhow::ensure!(form::find(&page.body, "code").is_some(), "no code is asked for: {}", page.body);
    Ok((client, page))
}

/// G25: one code, one door; and none that is older than a step.
#[tokio::test]
async fn a_code_opens_one_door_and_only_in_its_time() -> Story {
    let (_upstream, gateway) = house().await?;
    let (_, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let (mut client, page) = asked_for_code(&gateway, &mira.email).await?;
    let (mut twin, at_twin) = asked_for_code(&gateway, &mira.email).await?;
    let old = mira.code_of_steps_ago(2).await?;
    let page = client.submit(&page, &[("code", &old)]).await?;
    assert!(form::find(&page.body, "code").is_some(), "a code from the step before the last opens: {}", page.body);
    let page = mira.answer(&mut client, page).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/secret"), "{}", page.body);
    let page = twin.submit(&at_twin, &[("code", &mira.spent_code().await?)]).await?;
    assert!(form::find(&page.body, "code").is_some(), "the same code opens twice: {}", page.body);
    let log = gateway.on.log("acme").await?;
    // At a sign-in: a step may have ended while the first code was typed, and that one was wrong, too.
    let told =
        log.iter().filter(|entry| entry["event"]["kind"] == "sign-in-refused" && entry["event"]["factor"] == "totp");
    let details: Vec<_> = told.filter_map(|entry| entry["event"]["detail"].as_str()).collect();
    assert_eq!(details, ["the code is wrong or too old", "the code was used already"], "{log:?}");
    Ok(())
}

/// Whoever has but the password gets a handful of guesses, not a thousand.
#[tokio::test]
async fn a_thousand_guesses_at_a_code_open_nothing() -> Story {
    let (upstream, gateway) = house().await?;
    let (_, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let before = upstream.count();
    let (mut thief, mut page) = asked_for_code(&gateway, &mira.email).await?;
    let mut statuses = Vec::new();
    for guess in 0..1_000 {
        let reply = thief.submit(&page, &[("code", &format!("{:06}", guess * 997 % 1_000_000))]).await?;
        statuses.push(reply.status.as_u16());
        if form::find(&reply.body, "code").is_some() {
            page = reply;
        }
    }
    let slowed = statuses.iter().filter(|status| **status == 429).count();
    assert!(slowed >= 985, "{} guesses were looked at: {statuses:?}", 1_000 - slowed);
    assert!(!statuses.contains(&200) && upstream.count() == before, "a guess opens: {statuses:?}");
    Ok(())
}

/// Who has not shown the password guesses at nobody's codes, and keeps nobody waiting.
#[tokio::test]
async fn strangers_with_a_thousand_codes_keep_nobody_out() -> Story {
    let (_upstream, gateway) = house().await?;
    let (_, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let (stranger, _) = asked_for_password(&gateway, &mira.email).await?;
    let mut stranger = at([127, 4, 0, 1], stranger);
    let totp = gateway.at("acme", "/sign-in/totp")?;
    for guess in 0..1_000 {
        let body = format!("code={guess:06}&email={}", mira.email.replace('@', "%40"));
        let reply = stranger.send(Method::POST, &totp, Some(("application/x-www-form-urlencoded", body))).await?;
        assert!(!reply.status.is_success(), "{guess}: {}", reply.body);
    }
    let (mut client, page) = asked_for_code(&gateway, &mira.email).await?;
    let page = mira.answer(&mut client, page).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/secret"), "{}", page.body);
    Ok(())
}

/// A colleague's tries were once told as an administrator's, without the place that they came from.
#[tokio::test]
async fn who_tries_from_a_session_of_their_own_is_not_taken_for_an_administrator() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let ben = gateway.person("ben@acme.example", &["readers"]).await?;
    let (mut his, _) = ben.opens(&gateway.at("acme", "/")?).await?;
    let typed = Some(("application/x-www-form-urlencoded", "email=mira%40acme.example".to_owned()));
    let asked = his.send(Method::POST, &gateway.at("acme", "/sign-in")?, typed).await?;
    let page = his.follow(asked).await?;
    let page = his.submit(&page, &[("password", "a wrong passphrase of his")]).await?;
    assert_eq!(page.status, 401, "{}", page.body);
    // Waits until the entry is there.
    let log = gateway.on.log("acme").await?;
    assert!(log.iter().any(|one| one["event"]["kind"] == "sign-in-refused"));
    let (mut hers, _) = mira.opens(&gateway.at("acme", "/")?).await?;
    let shown = hers.open(&gateway.at("acme", "/activity")?).await?.body;
    assert!(shown.contains("Refused: Password"), "{shown}");
    let refused =
        shown.split("Refused: Password").nth(1).and_then(|rest| rest.split("</li>").next()).context("no row")?;
    assert!(refused.contains("127.0.0.1") && !refused.contains("By an administrator"), "{refused}");
    Ok(())
}
