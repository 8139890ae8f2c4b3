//! A session lives where it was begun, and ends everywhere when it ends.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use cardea_tests::{
    Client, Gateway, Person, Plan, Story, Upstream, form,
    gateway::{Installation, PASSWORD},
};
use http::Method;
use url::Url;

/// Revocation by another process bites within a second (DESIGN section 7); the rest is a busy machine's share.
const TOLD: Duration = Duration::from_secs(1);

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).app("notes", upstream.port, "").start().await?;
    Ok((upstream, gateway))
}

async fn status(client: &mut Client, url: &Url) -> anyhow::Result<u16> {
    client.program = true;
    let reply = client.get(url).await?;
    client.program = false;
    Ok(reply.status.as_u16())
}

/// Asks until the answer is a no; gives how long that took and how many were still let through.
async fn refused_after(client: &mut Client, url: &Url, limit: Duration) -> anyhow::Result<(Duration, usize)> {
    let (begun, mut let_through) = (Instant::now(), 0);
    while status(client, url).await? == 200 {
        let_through += 1;
        anyhow::ensure!(begun.elapsed() < limit, "still let in after {limit:?} ({let_through} requests)");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok((begun.elapsed(), let_through))
}

#[tokio::test]
async fn signing_out_here_ends_this_browser_everywhere_and_no_other() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (echo, notes) = (gateway.at("echo.acme", "/x")?, gateway.at("notes.acme", "/x")?);
    let (mut here, _) = mira.opens(&echo).await?;
    let (mut there, _) = mira.opens(&echo).await?;
    assert_eq!(here.open(&notes).await?.status, 200);

    let out = here.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    assert_eq!(out.status, 200, "{}", out.body);
    assert_eq!(status(&mut here, &echo).await?, 401);
    assert_eq!(status(&mut here, &notes).await?, 401);
    assert_eq!(status(&mut here, &gateway.at("acme", "/")?).await?, 401);
    assert_eq!(status(&mut there, &echo).await?, 200, "the other browser was not meant");
    Ok(())
}

/// Scripts of an app's pages learn of the person what the app itself is told.
#[tokio::test]
async fn an_app_s_pages_are_told_what_the_app_is_told() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    // `echo` has the e-mail address and the groups in headers of its own, `notes` nothing but who it is.
    for (host, known) in [
        ("echo.acme", vec!["email", "groups", "id"]),
        ("notes.acme", vec!["id"]),
        ("acme", vec!["email", "groups", "id", "name"]),
    ] {
        let start = gateway.at(host, if host == "acme" { "/" } else { "/x" })?;
        let (mut client, _) = mira.opens(&start).await?;
        let who = client.get(&gateway.at(host, "/.cardea/session")?).await?.json()?;
        let mut told: Vec<_> = who["user"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        told.sort_unstable();
        assert_eq!(told, known, "{host}");
    }
    Ok(())
}

#[tokio::test]
async fn signing_out_at_an_app_signs_out_of_all() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (echo, notes) = (gateway.at("echo.acme", "/x")?, gateway.at("notes.acme", "/x")?);
    let (mut client, _) = mira.opens(&echo).await?;
    client.open(&notes).await?;
    // Another site's page cannot do it for her, nor one of another app beside this.
    let origin = ("origin".to_owned(), "http://echo.acme.localhost".to_owned());
    for site in ["cross-site", "same-site"] {
        for method in [Method::GET, Method::POST] {
            // Each field once: said twice, it is refused as that.
            client.headers = vec![("sec-fetch-site".into(), site.into()), origin.clone()];
            let out = client.send(method.clone(), &gateway.at("echo.acme", "/.cardea/sign-out")?, None).await?;
            assert_eq!(out.status, 403, "{method} {site}");
        }
    }
    client.headers.clear();
    assert_eq!(status(&mut client, &notes).await?, 200);
    client.headers = vec![("sec-fetch-site".into(), "same-origin".into())];
    assert_eq!(client.get(&gateway.at("echo.acme", "/.cardea/sign-out")?).await?.status, 200);
    client.headers.clear();
    assert_eq!((status(&mut client, &echo).await?, status(&mut client, &notes).await?), (401, 401));
    Ok(())
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_browser_at_once() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let ben = gateway.person("ben@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (mut one, _) = mira.opens(&echo).await?;
    let (mut two, _) = mira.opens(&echo).await?;
    let (mut other, _) = ben.opens(&echo).await?;
    let out = one.send(Method::POST, &gateway.at("acme", "/sign-out/everywhere")?, None).await?;
    assert_eq!(out.status, 200, "{}", out.body);
    assert_eq!((status(&mut one, &echo).await?, status(&mut two, &echo).await?), (401, 401));
    assert_eq!(status(&mut other, &echo).await?, 200, "somebody else's session is theirs");
    Ok(())
}

#[tokio::test]
async fn suspending_at_the_command_line_bites_within_a_second() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (mut client, _) = mira.opens(&echo).await?;
    assert_eq!(status(&mut client, &echo).await?, 200);

    gateway.on.does(&["user", "--tenant", "acme", "suspend", &mira.email]).await?;
    let (took, let_through) = refused_after(&mut client, &echo, 5 * TOLD).await?;
    assert!(took <= TOLD, "it took {took:?}, and {let_through} requests were let through");

    // She cannot come in again, and a stranger could not tell why.
    let (_, page) = mira.opens(&echo).await?;
    assert_ne!(page.url.host_str(), echo.host_str(), "{}", page.body);
    gateway.on.does(&["user", "--tenant", "acme", "activate", &mira.email]).await?;
    let (_, page) = mira.opens(&echo).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    assert_eq!(status(&mut client, &echo).await?, 401, "what has ended stays ended");
    Ok(())
}

/// A client of the admin API, signed in with two factors.
async fn administrator(gateway: &Gateway) -> anyhow::Result<Client> {
    let (mut client, ada) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    let me = gateway.at("acme", "/api/v1/me")?;
    let reply = client.get(&me).await?;
    anyhow::ensure!(reply.status == 200, "{} is no administrator: {} {}", ada.email, reply.status, reply.body);
    client.program = true;
    Ok(client)
}

async fn id_of(gateway: &Gateway, admin: &mut Client, person: &Person) -> anyhow::Result<String> {
    let found = admin.get(&gateway.at("acme", &format!("/api/v1/users?query={}", person.email))?).await?.json()?;
    Ok(found["items"][0]["id"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn revoking_through_the_api_bites_on_the_very_next_request() -> Story {
    let (_upstream, gateway) = house().await?;
    let mut admin = administrator(&gateway).await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let id = id_of(&gateway, &mut admin, &mira).await?;
    let user = |what: &str| gateway.at("acme", &format!("/api/v1/users/{id}{what}"));

    // One session of two.
    let (mut one, _) = mira.opens(&echo).await?;
    let (mut two, _) = mira.opens(&echo).await?;
    let details = admin.get(&user("")?).await?.json()?;
    let sessions = details["sessions"].as_array().cloned().unwrap_or_default();
    let newest = sessions.iter().max_by_key(|session| session["started_at"].as_str().map(str::to_owned));
    let newest = newest.and_then(|session| session["id"].as_str()).unwrap_or_default();
    let ended = admin.send(Method::DELETE, &user(&format!("/sessions/{newest}"))?, None).await?;
    assert_eq!(ended.status, 204, "{}", ended.body);
    assert_eq!((status(&mut two, &echo).await?, status(&mut one, &echo).await?), (401, 200));

    // A group: her session stays, what it may do does not.
    let none = serde_json::json!({ "groups": [] });
    assert_eq!(admin.json(Method::PUT, &user("/groups")?, &none).await?.status, 204);
    assert_eq!(status(&mut one, &echo).await?, 403);
    let readers = serde_json::json!({ "groups": ["readers"] });
    assert_eq!(admin.json(Method::PUT, &user("/groups")?, &readers).await?.status, 204);
    assert_eq!(status(&mut one, &echo).await?, 200);

    // All sessions, then the person.
    assert_eq!(admin.send(Method::DELETE, &user("/sessions")?, None).await?.status, 204);
    assert_eq!(status(&mut one, &echo).await?, 401);
    let (mut three, _) = mira.opens(&echo).await?;
    assert_eq!(admin.send(Method::POST, &user("/suspend")?, None).await?.status, 204);
    assert_eq!(status(&mut three, &echo).await?, 403);
    let page = three.get(&echo).await?;
    assert!(page.body.contains("Your account is suspended"), "{}", page.body);
    assert_eq!(status(&mut Client::browser(), &echo).await?, 401, "a stranger learns nothing");
    Ok(())
}

/// Whoever has the password and not the code leaves a trace: it was the one that the person could see, and went unwritten.
#[tokio::test]
async fn a_password_that_leads_no_further_shows_as_used() -> Story {
    let (_upstream, gateway) = crate::enrolment::house("minimum = 2\n").await?;
    let mut admin = administrator(&gateway).await?;
    let (_, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let id = id_of(&gateway, &mut admin, &mira).await?;
    let mut used = async |kind: &str| -> anyhow::Result<String> {
        let details = admin.get(&gateway.at("acme", &format!("/api/v1/users/{id}"))?).await?.json()?;
        let factors = details["factor_list"].as_array().cloned().unwrap_or_default();
        let factor = factors.iter().find(|factor| factor["kind"] == kind).with_context(|| details.to_string())?;
        Ok(factor["last_used_at"].as_str().unwrap_or_default().to_owned())
    };
    let (password, code) = (used("password").await?, used("totp").await?);
    let mut thief = Client::browser();
    let page = thief.open(&gateway.at("acme", "/sign-in")?).await?;
    let page = thief.submit(&page, &[("email", &mira.email)]).await?;
    let page = thief.submit(&page, &[("password", "not the right password")]).await?;
    assert_eq!(used("password").await?, password, "a wrong one");
    let page = thief.submit(&page, &[("password", PASSWORD)]).await?;
    assert!(form::find(&page.body, "code").is_some(), "{}", page.body);
    assert!(used("password").await? > password, "the right one");
    assert_eq!(used("totp").await?, code);
    Ok(())
}

#[tokio::test]
async fn a_handle_opens_its_own_host_of_its_own_tenant_only() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    gateway.person("nell@north.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (client, _) = mira.opens(&echo).await?;
    let at_app = client.cookie("echo.acme.localhost", "cardea").unwrap_or_default().to_owned();
    let at_sign_in = client.cookie("acme.localhost", "cardea").unwrap_or_default().to_owned();
    assert!(!at_app.is_empty() && !at_sign_in.is_empty() && at_app != at_sign_in);
    for (host, path, handle, expected) in [
        ("echo.acme", "/x", &at_app, 200),
        ("notes.acme", "/x", &at_app, 401),
        ("acme", "/", &at_app, 401),
        ("echo.north", "/x", &at_app, 401),
        ("north", "/", &at_app, 401),
        ("echo.acme", "/x", &at_sign_in, 401),
        ("echo.north", "/x", &at_sign_in, 401),
        ("acme", "/", &at_sign_in, 200),
    ] {
        let mut thief = Client::browser();
        thief.set_cookie(&format!("{host}.localhost"), "cardea", handle);
        let url = gateway.at(host, path)?;
        assert_eq!(status(&mut thief, &url).await?, expected, "{url}");
    }
    Ok(())
}

/// G31.
#[tokio::test]
async fn a_cookie_planted_before_the_sign_in_is_dead_after_it() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    // The attacker begins, and plants what they have in the victim's browser.
    let mut attacker = Client::browser();
    attacker.open(&echo).await?;
    let mut victim = attacker.clone();
    let planted = "A".repeat(43);
    for host in ["acme.localhost", "echo.acme.localhost"] {
        attacker.set_cookie(host, "cardea", &planted);
        victim.set_cookie(host, "cardea", &planted);
    }
    let page = victim.open(&echo).await?;
    let page = mira.answer(&mut victim, page).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    for host in ["acme.localhost", "echo.acme.localhost"] {
        assert_ne!(victim.cookie(host, "cardea"), Some(planted.as_str()), "the handle at {host} did not change");
    }
    assert_eq!(status(&mut attacker, &echo).await?, 401);
    // Signing in again gives new handles, and ends what the old ones opened.
    let before = victim.clone();
    let again = gateway.at("acme", "/sign-out")?;
    victim.send(Method::POST, &again, None).await?;
    assert_eq!(status(&mut before.clone(), &echo).await?, 401);
    Ok(())
}

/// G14: what was ended stays ended when the gateway starts again.
#[tokio::test]
async fn an_ended_session_does_not_come_back_with_a_restart() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (mut ended, _) = mira.opens(&echo).await?;
    let (mut lives, _) = mira.opens(&echo).await?;
    let mut kept = ended.clone();
    ended.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    let on: Installation = gateway.kill().await?;
    let _gateway = on.start().await?;
    assert_eq!(status(&mut kept, &echo).await?, 401);
    assert_eq!(status(&mut lives, &echo).await?, 200);
    Ok(())
}

/// The command line is another process: it sees none of them.
#[tokio::test]
async fn sessions_in_memory_are_ended_by_the_command_line_and_go_with_the_gateway() -> Story {
    let upstream = Upstream::start().await?;
    let on = Plan::before(upstream.port).write()?;
    let said = std::fs::read_to_string(on.path("cardea.toml"))?;
    on.write("cardea.toml", &said.replace("dir = \"state\"\n", "dir = \"state\"\nsessions = \"memory\"\n"))?;
    on.apply().await?;
    let gateway = on.start().await?;
    let (_, _, told) = gateway.on.cardea(&["check"]).await?;
    assert!(told.contains("sessions are in the gateway's memory"), "{told}");
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let ben = gateway.person("ben@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (mut hers, _) = mira.opens(&echo).await?;
    let (mut his, _) = ben.opens(&echo).await?;
    assert_eq!((status(&mut hers, &echo).await?, status(&mut his, &echo).await?), (200, 200));

    let told = gateway.on.does(&["user", "--tenant", "acme", "suspend", &mira.email]).await?;
    assert!(told.contains("all sessions ended, which the gateway has in its memory"), "{told}");
    let (took, let_through) = refused_after(&mut hers, &echo, 5 * TOLD).await?;
    assert!(took <= TOLD, "it took {took:?}, and {let_through} requests were let through");
    gateway.on.does(&["user", "--tenant", "acme", "activate", &mira.email]).await?;
    assert_eq!(status(&mut hers, &echo).await?, 401, "what has ended stays ended");
    assert_eq!(status(&mut his, &echo).await?, 200, "another was not meant");

    // Whatever the file says by now, they are ended where they are: the gateway was not started anew.
    gateway.on.edit("cardea.toml", "sessions = \"memory\"\n", "")?;
    gateway.on.does(&["user", "--tenant", "acme", "end-sessions", &ben.email]).await?;
    let (took, _) = refused_after(&mut his, &echo, 5 * TOLD).await?;
    assert!(took <= TOLD, "it took {took:?}");
    let (mut his, _) = ben.opens(&echo).await?;
    let on: Installation = gateway.kill().await?;
    let gateway = on.start().await?;
    assert_eq!(status(&mut his, &echo).await?, 401, "it went with the process");
    // And the other way: now they are on disk, and the file says memory.
    let (mut his, _) = ben.opens(&echo).await?;
    gateway.on.edit("cardea.toml", "dir = \"state\"\n", "dir = \"state\"\nsessions = \"memory\"\n")?;
    let told = gateway.on.does(&["user", "--tenant", "acme", "end-sessions", &ben.email]).await?;
    assert!(told.contains("1 session ended"), "{told}");
    let (took, _) = refused_after(&mut his, &echo, 5 * TOLD).await?;
    assert!(took <= TOLD, "it took {took:?}");
    for person in [&mira, &ben] {
        let (_, page) = person.opens(&echo).await?;
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    }
    Ok(())
}

/// Who changes something from the command line changes it where the gateway sees it, or not at all.
#[tokio::test]
async fn what_waits_for_a_restart_to_lie_elsewhere_is_changed_by_no_command() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (mut client, _) = mira.opens(&echo).await?;
    let more = "\n[redis]\nurl = \"redis://127.0.0.1:1\"\n";
    gateway.on.edit("cardea.toml", "[state]\n", &format!("{}\n[state]\n", more.trim()))?;
    for act in ["suspend", "end-sessions"] {
        let (status, _, said) = gateway.on.cardea(&["user", "--tenant", "acme", act, &mira.email]).await?;
        assert!(status != 0 && said.contains("started with another `[redis]`"), "{act}: {status} {said}");
    }
    assert_eq!(status(&mut client, &echo).await?, 200, "half done");
    gateway.on.edit("cardea.toml", &format!("{}\n[state]\n", more.trim()), "[state]\n")?;
    gateway.on.does(&["user", "--tenant", "acme", "suspend", &mira.email]).await?;
    let (took, _) = refused_after(&mut client, &echo, 5 * TOLD).await?;
    assert!(took <= TOLD, "it took {took:?}");
    Ok(())
}

#[tokio::test]
async fn of_two_racing_step_ups_one_wins() -> Story {
    let (_upstream, gateway) = house().await?;
    let (mut client, _, mira) = gateway.newcomer("mira@acme.example", &["readers"]).await?;
    let (portal, page) = (gateway.at("acme", "/")?, gateway.at("acme", "/sign-in/step-up?need=fresh")?);
    for _ in 0..5 {
        let mut twin = client.clone();
        let (first, second) = (client.open(&page).await?, twin.open(&page).await?);
        let password = [("password", mira.password.as_str())];
        let (one, two) = tokio::join!(client.submit(&first, &password), twin.submit(&second, &password));
        let ended = [status(&mut client, &portal).await?, status(&mut twin, &portal).await?];
        let (one, two) = (one?, two?);
        assert!([[200, 401], [401, 200]].contains(&ended), "{ended:?}: {} {}\n{}", one.url, two.url, two.body);
        if ended[0] == 401 {
            client = twin;
        }
    }
    Ok(())
}

/// Twelve hours for one factor and a day for two: whoever shows the second has the day, from when they began.
#[tokio::test]
async fn a_session_has_the_limits_of_the_assurance_that_it_has_risen_to() -> Story {
    let upstream = Upstream::start().await?;
    let rules = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n\
                 [session]\nabsolute_hours = 12\n[session.assurance_2]\nabsolute_hours = 24\nidle_minutes = 30\n";
    let gateway = Plan::before(upstream.port).file("tenants/acme/tenant.toml", rules).start().await?;
    let (_, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let (portal, who) = (gateway.at("acme", "/")?, gateway.at("acme", "/.cardea/session")?);
    let (mut client, _) = mira.opens(&portal).await?;
    let times = async |client: &mut Client| -> anyhow::Result<(String, String, u64)> {
        let told = client.get(&who).await?.json()?;
        let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
        Ok((text("signed_in_at"), text("expires_at"), told["assurance"].as_u64().unwrap_or_default()))
    };
    let (began, ends, one) = times(&mut client).await?;
    // 2026-11-27T05:27:02…: twelve hours later the hour alone is another, and perhaps the day.
    assert!(one == 1 && began[13..] == ends[13..] && began[11..13] != ends[11..13], "{began} {ends}");
    mira.steps_up(&mut client, &portal, &portal).await?;
    let (again, ends, two) = times(&mut client).await?;
    assert!(two == 2 && again > began, "{again}");
    assert!(began[10..] == ends[10..] && began[..10] != ends[..10], "it counts from elsewhere: {began} {ends}");
    // Written back, it is what it was.
    gateway.on.does(&["export", "exported"]).await?;
    let exported = gateway.on.read("exported/tenants/acme/tenant.toml")?;
    assert!(exported.contains("[session.assurance_2]"), "{exported}");
    let said = gateway.on.does(&["apply", "exported", "--yes"]).await?;
    assert!(said.contains("nothing to change"), "{said}");
    Ok(())
}
