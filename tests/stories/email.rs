//! Codes by e-mail: whoever reads the mailbox gets in, as far as a mailbox reaches, and nobody else, nor any further.

use std::time::Duration;

use anyhow::Context;
use cardea_tests::{
    Client, Gateway, MailServer, Plan, Reply, Story, Upstream, form,
    gateway::{PASSWORD, key_of},
};
use http::Method;
use url::Url;

const MIRA: &str = "mira@acme.example";
const NOBODY: &str = "nobody@acme.example";

/// A tenant that takes codes, beside passwords or in their place.
fn tenant(factors: &str) -> String {
    format!("id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[factors]\nemail = true\n{factors}")
}

async fn house(factors: &str) -> anyhow::Result<(Upstream, MailServer, Gateway)> {
    let (upstream, mail) = (Upstream::start().await?, MailServer::start().await?);
    let plan = Plan::before(upstream.port).config(&mail.config()).file("tenants/acme/tenant.toml", &tenant(factors));
    Ok((upstream, mail, plan.start().await?))
}

/// Posts to where a button without a field leads.
async fn presses(client: &mut Client, page: &Reply, to: &str) -> anyhow::Result<Reply> {
    let body = Some(("application/x-www-form-urlencoded", String::new()));
    let sent = client.send(Method::POST, &page.url.join(to)?, body).await?;
    client.follow(sent).await
}

/// Asks for a code in a browser, whatever else the tenant takes; ends at the page where it is typed.
async fn asks(client: &mut Client, at: &Url, email: &str) -> anyhow::Result<Reply> {
    let page = client.open(at).await?;
    let page = client.submit(&page, &[("email", email)]).await?;
    if page.url.path() == "/sign-in/password" { presses(client, &page, "/sign-in/email/send").await } else { Ok(page) }
}

/// Somebody of a tenant without passwords, who joined by the link in a letter.
async fn joined(gateway: &Gateway, mail: &MailServer, email: &str) -> anyhow::Result<Client> {
    let said = gateway.on.does(&["user", "--tenant", "acme", "invite", email, "--group", "readers"]).await?;
    anyhow::ensure!(said == format!("an invitation was sent to {email}"), "{said}");
    let link = mail.letter(email, |letter| letter.link()).await?;
    let mut client = Client::browser();
    let page = client.open(&link).await?;
    let page = presses(&mut client, &page, &format!("{}/email", link.path())).await?;
    anyhow::ensure!(page.url.path() == "/sign-in/email", "{}: {}", page.url, page.body);
    let page = client.submit(&page, &[("code", &mail.code(email, 1).await?)]).await?;
    anyhow::ensure!((page.status.as_u16(), page.url.path()) == (200, "/"), "{}: {}", page.url, page.body);
    Ok(client)
}

/// Waits until so many entries of the log are of that kind: what is found out beside a request is noted after it.
async fn noted(gateway: &Gateway, count: usize, of: impl Fn(&serde_json::Value) -> bool) -> anyhow::Result<()> {
    for _ in 0..600 {
        let log = gateway.on.log("acme").await?;
        if log.iter().filter(|one| of(&one["event"])).count() >= count {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("no {count} such entries")
}

#[tokio::test]
async fn a_tenant_works_without_any_password() -> Story {
    let (upstream, mail, gateway) = house("password = false\ntotp = false\n").await?;
    let mut first = joined(&gateway, &mail, MIRA).await?;
    let factors = first.open(&gateway.at("acme", "/factors")?).await?;
    assert!(factors.body.contains("Codes by e-mail") && factors.body.contains(MIRA), "{}", factors.body);
    // The link is spent, and the app is open in another browser, by a code alone.
    let link = mail.letter(MIRA, |letter| letter.link()).await?;
    assert_eq!(Client::browser().open(&link).await?.status, 400);
    let app = gateway.at("echo.acme", "/x")?;
    let mut client = Client::browser();
    let page = asks(&mut client, &app, MIRA).await?;
    let code = mail.code(MIRA, 2).await?;
    let page = client.submit(&page, &[("code", &code)]).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, app.as_str()), "{}", page.body);
    assert!(upstream.count() > 0);
    // A mailbox is one factor.
    let secret = client.open(&gateway.at("echo.acme", "/secret/plan")?).await?;
    assert!(secret.status == 403 || secret.url.path() == "/sign-in/step-up", "{}: {}", secret.url, secret.body);
    // Confirming who one is takes another code, where there is nothing better.
    let mut url = gateway.at("acme", "/sign-in/step-up")?;
    url.query_pairs_mut().append_pair("need", "fresh").append_pair("to", gateway.at("acme", "/factors")?.as_str());
    let page = client.open(&url).await?;
    let page = presses(&mut client, &page, "/sign-in/email/send").await?;
    let page = client.submit(&page, &[("code", &mail.code(MIRA, 3).await?)]).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);

    let log = gateway.on.log("acme").await?;
    let of = |kind: &str| log.iter().map(|one| &one["event"]).filter(|event| event["kind"] == kind).collect::<Vec<_>>();
    let (signed_in, sent) = (of("sign-in"), of("mail-sent"));
    assert_eq!((&signed_in[1]["factors"], &signed_in[1]["assurance"]), (&serde_json::json!(["email"]), &1.into()));
    assert_eq!((of("user-joined").len(), of("factor-added").len()), (1, 0));
    assert!(sent.iter().filter(|event| event["letter"] == "code").count() == 3, "{sent:?}");
    let all = serde_json::to_string(&log)?;
    let digits = code.replace(' ', "");
    assert!(!all.contains(&code) && !all.contains(&digits), "a code stands in the log");
    let said = gateway.on.said();
    assert!(!said.contains(&code) && !said.contains(&digits) && !said.contains(MIRA), "{said}");
    Ok(())
}

/// The same pages, in the same order, with the same statuses and headers; only one of the two gets a letter.
#[tokio::test]
async fn nobody_is_told_whether_an_address_is_known() -> Story {
    let (_upstream, mail, gateway) = house("").await?;
    gateway.person(MIRA, &["readers"]).await?;
    let mut seen = Vec::new();
    for email in [MIRA, NOBODY] {
        let told = |page: &Reply| {
            let mut headers: Vec<_> = page.headers.keys().map(ToString::to_string).collect();
            headers.sort();
            (page.status, page.url.clone(), page.body.replace(email, "somebody"), headers)
        };
        let mut client = Client::browser();
        let mut page = asks(&mut client, &gateway.at("acme", "/")?, email).await?;
        let mut all = vec![told(&page)];
        for nth in 0..7 {
            page = client.submit(&page, &[("code", &format!("0000000{nth}"))]).await?;
            all.push(told(&page));
        }
        page = presses(&mut client, &page, "/sign-in/email/send").await?;
        all.push(told(&page));
        assert_eq!(
            all.iter().map(|one| one.0.as_u16()).collect::<Vec<_>>(),
            [200, 401, 401, 401, 401, 401, 401, 401, 200]
        );
        assert!(all[1].2.contains("That code is not right") && all[6].2.contains("good no more"), "{}", all[6].2);
        seen.push(all);
    }
    assert_eq!(seen[0], seen[1]);
    mail.code(MIRA, 2).await?;
    let nobody = |event: &serde_json::Value| event["detail"] == "no code was sent: nobody has that address";
    noted(&gateway, 2, nobody).await?;
    assert!(mail.letters_to(NOBODY)?.is_empty());
    let log = gateway.on.log("acme").await?;
    let of = |email: &str| {
        let told = log.iter().map(|one| &one["event"]).filter(|event| event["email"] == email);
        told.map(|event| event["detail"].as_str().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(of(MIRA).len(), 7, "{:?}", of(MIRA));
    assert_eq!(of(NOBODY).len(), 9, "{:?}", of(NOBODY));
    Ok(())
}

#[tokio::test]
async fn a_code_opens_one_door_once_and_in_the_browser_that_asked() -> Story {
    let (_upstream, mail, gateway) = house("").await?;
    gateway.person(MIRA, &["readers"]).await?;
    let portal = gateway.at("acme", "/")?;
    let (mut hers, mut foreign) = (Client::browser(), Client::browser());
    let page = asks(&mut hers, &portal, MIRA).await?;
    let first = mail.code(MIRA, 1).await?;
    let other = asks(&mut foreign, &portal, MIRA).await?;
    let second = mail.code(MIRA, 2).await?;
    // Whoever asked for a code in another browser, and gets hers read out, gets nowhere; nor the other way round.
    let refused = foreign.submit(&other, &[("code", &first)]).await?;
    assert_eq!((refused.status.as_u16(), refused.url.path()), (401, "/sign-in/email"), "{}", refused.body);
    let refused = hers.submit(&page, &[("code", &second)]).await?;
    assert_eq!(refused.status, 401, "{}", refused.body);
    // A new one ends the one before.
    let page = presses(&mut hers, &refused, "/sign-in/email/send").await?;
    let third = mail.code(MIRA, 3).await?;
    let page = hers.submit(&page, &[("code", &first)]).await?;
    assert_eq!(page.status, 401, "{}", page.body);
    let before = hers.jar(portal.host_str().context("no host")?).context("no cookie")?;
    let done = hers.submit(&page, &[("code", &third)]).await?;
    assert_eq!((done.status.as_u16(), done.url.path()), (200, "/"), "{}", done.body);
    // The same again, with the cookies of then: it is spent.
    let mut replay = Client::browser();
    for cookie in before.split("; ") {
        let (name, value) = cookie.split_once('=').context("no cookie")?;
        replay.set_cookie(portal.host_str().unwrap_or_default(), name, value);
    }
    let replayed = replay.submit(&page, &[("code", &third)]).await?;
    assert!(replayed.status.is_client_error() && replayed.url.path() == "/sign-in/email", "{}", replayed.body);
    assert_ne!(replay.open(&portal).await?.url.path(), "/");
    Ok(())
}

/// Her own browser still asks after so many letters, and gets in.
async fn still_gets_in(hers: &mut Client, portal: &Url, mail: &MailServer, letters: usize) -> Story {
    let page = hers.open(portal).await?;
    presses(hers, &page, "/sign-out").await?;
    let page = asks(hers, portal, MIRA).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    let page = hers.submit(&page, &[("code", &mail.code(MIRA, letters + 1).await?)]).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/"), "{}", page.body);
    Ok(())
}

/// From one network, with a new code whenever the one before is used up.
#[tokio::test]
async fn a_thousand_guesses_get_a_few_and_lock_nobody_out() -> Story {
    let (_upstream, mail, gateway) = house("").await?;
    let (mut hers, _, _) = gateway.newcomer(MIRA, &["readers"]).await?;
    let portal = gateway.at("acme", "/")?;
    let mut stranger = Client::browser();
    let mut page = asks(&mut stranger, &portal, MIRA).await?;
    let (mut verified, mut slowed, mut letters) = (0, 0, 1);
    for nth in 0..1_000 {
        if form::find(&page.body, "code").is_none() || page.body.contains("good no more") {
            page = asks(&mut stranger, &portal, MIRA).await?;
            letters += usize::from(page.status == 200);
        }
        if form::find(&page.body, "code").is_none() {
            slowed += 1;
            continue;
        }
        page = stranger.submit(&page, &[("code", &format!("{nth:08}"))]).await?;
        match page.status.as_u16() {
            401 => verified += 1,
            429 => slowed += 1,
            status => anyhow::bail!("{status}: {}", page.body),
        }
    }
    assert!((5..=12).contains(&verified) && slowed > 900, "{verified} guesses were looked at, {slowed} were not");
    still_gets_in(&mut hers, &portal, &mail, letters).await
}

#[tokio::test]
async fn whoever_only_asks_for_codes_fills_no_mailbox() -> Story {
    let (_upstream, mail, gateway) = house("").await?;
    let (mut hers, _, _) = gateway.newcomer(MIRA, &["readers"]).await?;
    let portal = gateway.at("acme", "/")?;
    let mut stranger = Client::browser();
    let mut page = asks(&mut stranger, &portal, MIRA).await?;
    for _ in 0..20 {
        page = presses(&mut stranger, &page, "/sign-in/email/send").await?;
    }
    assert_eq!(page.status, 429, "{}", page.body);
    mail.code(MIRA, 5).await?;
    let letters = mail.letters_to(MIRA)?.iter().filter(|letter| letter.code().is_some()).count();
    assert_eq!(letters, 5, "letters in one mailbox");
    still_gets_in(&mut hers, &portal, &mail, letters).await
}

/// A factor's name, sent as its form sends it.
async fn names(client: &mut Client, at: &Url, name: &str) -> anyhow::Result<Reply> {
    let body = Some(("application/x-www-form-urlencoded", format!("name={name}")));
    let sent = client.send(Method::POST, at, body).await?;
    client.follow(sent).await
}

/// Whoever reads the mail of somebody with a password and an app gets no further than the mail; they themselves do.
#[tokio::test]
async fn a_mailbox_is_no_second_factor_and_adds_none() -> Story {
    let (_upstream, mail, gateway) = house("").await?;
    let (mut client, _, mut mira) = gateway.newcomer(MIRA, &["readers"]).await?;
    gateway.person("nora@acme.example", &["readers"]).await?;
    let page = client.open(&gateway.at("acme", "/factors/totp")?).await?;
    mira.totp = key_of(&page.body);
    mira.answer(&mut client, page).await?;
    let (secret, adding) = (gateway.at("echo.acme", "/secret/plan")?, gateway.at("acme", "/factors/passkey")?);
    let (factors, mut renaming) = (gateway.at("acme", "/factors")?, None);
    for email in [MIRA, "nora@acme.example"] {
        let mut thief = Client::browser();
        let page = asks(&mut thief, &gateway.at("echo.acme", "/x")?, email).await?;
        let page = thief.submit(&page, &[("code", &mail.code(email, 1).await?)]).await?;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/x"), "{email}: {}", page.body);
        let asked = thief.open(&adding).await?;
        if email != MIRA {
            // She has no second factor that could be asked for, and nothing is added by the first alone.
            assert_eq!(asked.status, 403, "{email}: {}", asked.body);
            continue;
        }
        assert_eq!(asked.url.path(), "/sign-in/step-up", "{email}: {}", asked.body);
        assert!(form::find(&asked.body, "password").is_some(), "{email}: {}", asked.body);
        let refused = presses(&mut thief, &asked, "/sign-in/email/send").await?;
        assert!(refused.status.is_client_error(), "{email}: {}", refused.url);
        // Nor is anything of hers called what it is not, so that she removes the wrong one.
        let list = thief.open(&factors).await?;
        let mut links = list.body.split("href=\"").filter_map(|rest| rest.split('"').next());
        let Some(named) = links.find(|href| href.ends_with("/name")) else { continue };
        let way = list.url.join(named)?;
        assert_eq!(thief.open(&way).await?.url.path(), "/sign-in/step-up");
        assert_eq!(names(&mut thief, &way, "Theirs").await?.url.path(), "/sign-in/step-up");
        assert!(!thief.open(&factors).await?.body.contains("Theirs"));
        // Mira's app: what Nora has bears no name.
        assert!(renaming.replace(way).is_none());
    }
    // She shows both, one after the other, and lands where she was going.
    let mut hers = Client::browser();
    let page = asks(&mut hers, &secret, MIRA).await?;
    let page = hers.submit(&page, &[("code", &mail.code(MIRA, 2).await?)]).await?;
    assert_eq!(page.url.path(), "/sign-in/step-up", "{}", page.body);
    let page = hers.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!(page.url.path(), "/sign-in/step-up", "{}", page.body);
    let page = hers.submit(&page, &[("code", &mira.code().await?)]).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, secret.as_str()), "{}", page.body);
    // And names what is hers, without being asked once more.
    let page = names(&mut hers, &renaming.context("no factor")?, "Hers").await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert!(page.body.contains("The new name is saved") && page.body.contains("Hers"), "{}", page.body);
    Ok(())
}

#[tokio::test]
async fn who_is_suspended_or_signs_in_elsewhere_gets_no_code_and_where_it_is_off_nobody_does() -> Story {
    let (_upstream, mail, gateway) = house("").await?;
    gateway.person(MIRA, &["readers"]).await?;
    gateway.on.does(&["user", "--tenant", "acme", "suspend", MIRA]).await?;
    let page = asks(&mut Client::browser(), &gateway.at("acme", "/")?, MIRA).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/sign-in/email"), "{}", page.body);
    noted(&gateway, 1, |event| event["detail"] == "no code was sent: this person may not sign in").await?;
    assert!(mail.letters_to(MIRA)?.iter().all(|letter| letter.code().is_none()));
    // The other tenant has not said that it takes codes.
    let mut client = Client::browser();
    let page = client.open(&gateway.at("north", "/")?).await?;
    let page = client.submit(&page, &[("email", "mira@north.example")]).await?;
    assert!(page.url.path() == "/sign-in/password" && !page.body.contains("/sign-in/email/send"), "{}", page.body);
    assert_eq!(presses(&mut client, &page, "/sign-in/email/send").await?.status, 403);
    Ok(())
}
