//! Browsers that an account knows: whose tries are counted apart from strangers', and that stand in for a second factor.

use anyhow::Context;
use cardea_tests::{Client, Gateway, MailServer, Person, Plan, Reply, Story, Upstream, form, gateway::PASSWORD};
use http::Method;
use url::Url;

use crate::oidc::{CALLBACK, World};

const MIRA: &str = "mira@acme.example";
const KEY: &str = "cardea-remembered";
const MARK: &str = "cardea-device";

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

/// Each browser in which the password was shown once counted as hers: after fifty guesses at her codes, in six of them, she
/// waited in her own.
#[tokio::test]
async fn who_has_the_password_alone_guesses_among_strangers_and_keeps_no_owner_waiting() -> Story {
    let (_upstream, gateway) = house().await?;
    let (mut hers, mira) = gateway.person_with_codes(MIRA, &["readers"]).await?;
    hers.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    let secret = gateway.at("echo.acme", "/secret")?;
    let mut statuses = Vec::new();
    for nth in 0..6 {
        let mut thief = Client::browser();
        thief.from = Some([127, 5, 0, nth].into());
        let page = thief.open(&secret).await?;
        let page = thief.submit(&page, &[("email", MIRA)]).await?;
        let mut page = thief.submit(&page, &[("password", PASSWORD)]).await?;
        for guess in 0..10 {
            page = thief.submit(&page, &[("code", &format!("{:06}", 111_111 + guess))]).await?;
            statuses.push(page.status.as_u16());
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 10, "fifty guesses in all: {statuses:?}");
    let page = hers.open(&secret).await?;
    let page = mira.answer(&mut hers, page).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &secret), "{}", page.body);
    Ok(())
}

/// Two tenants that ask for two factors, and let devices be remembered.
fn remembering(upstream: &Upstream) -> Plan {
    let tenant = |id: &str| {
        let named = format!("id = \"{id}\"\nname = \"{id}\"\nsign_in_host = \"{id}.localhost\"\n");
        named + "[factors]\nminimum = 2\nremember_days = 30\n"
    };
    ["acme", "north"]
        .iter()
        .fold(Plan::before(upstream.port), |plan, id| plan.file(&format!("tenants/{id}/tenant.toml"), &tenant(id)))
}

/// Opens `url` in that browser, signed out, and types address and password.
async fn by_password(client: &mut Client, person: &Person, url: &Url) -> anyhow::Result<Reply> {
    let gone = url.join(&format!("http://{}.localhost:{}/sign-out", person.tenant, url.port().context("no port")?))?;
    client.send(Method::POST, &gone, None).await?;
    let page = client.open(url).await?;
    let page = client.submit(&page, &[("email", &person.email)]).await?;
    client.submit(&page, &[("password", PASSWORD)]).await
}

/// Signs in with both factors, and has the browser remembered.
async fn remembers(client: &mut Client, person: &Person, url: &Url) -> anyhow::Result<Reply> {
    let page = by_password(client, person, url).await?;
    anyhow::ensure!(form::find(&page.body, "remember").is_some(), "there is no box: {} {}", page.url, page.body);
    let done = client.submit(&page, &[("code", &person.code().await?), ("remember", "yes")]).await?;
    anyhow::ensure!(done.status == 200 && done.url == *url, "{} {} {}", done.url, done.status, done.body);
    anyhow::ensure!(client.cookie(&format!("{}.localhost", person.tenant), KEY).is_some(), "no key is kept");
    Ok(done)
}

/// A browser in which somebody with codes had it remembered.
async fn remembered(gateway: &Gateway, email: &str) -> anyhow::Result<(Client, Person)> {
    let (_, person) = gateway.person_with_codes(email, &["readers"]).await?;
    let mut client = Client::browser();
    remembers(&mut client, &person, &gateway.at(&person.tenant, "/")?).await?;
    Ok((client, person))
}

/// Whether a sign-in in that browser asks for the second factor.
async fn is_asked(client: &mut Client, gateway: &Gateway, person: &Person) -> anyhow::Result<bool> {
    let portal = gateway.at(&person.tenant, "/")?;
    let page = by_password(client, person, &portal).await?;
    let asked = form::find(&page.body, "code").is_some();
    anyhow::ensure!(asked || page.status == 200 && page.url == portal, "{} {} {}", page.url, page.status, page.body);
    Ok(asked)
}

/// A browser that keeps these of that host, and nothing else.
fn holding(host: &str, cookies: &[(&str, &str)]) -> Client {
    let mut client = Client::browser();
    for (name, value) in cookies {
        client.set_cookie(host, name, value);
    }
    client
}

#[tokio::test]
async fn a_device_that_is_remembered_is_asked_for_the_password_alone() -> Story {
    let (upstream, mail) = (Upstream::start().await?, MailServer::start().await?);
    let gateway = remembering(&upstream).config(&mail.config()).start().await?;
    let (mut client, mira) = remembered(&gateway, MIRA).await?;
    let told = mail.letter(MIRA, |one| one.subject().contains("remembered").then(|| one.text.clone())).await?;
    assert!(told.contains("Until: ") && told.contains("/sessions"), "{told}");

    let key = client.cookie("acme.localhost", KEY).map(str::to_owned);
    let secret = gateway.at("echo.acme", "/secret/plan")?;
    let page = by_password(&mut client, &mira, &secret).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &secret), "{}", page.body);
    assert_ne!(client.cookie("acme.localhost", KEY).map(str::to_owned), key, "the key is the same");
    assert!(is_asked(&mut Client::browser(), &gateway, &mira).await?, "another browser");

    let log = gateway.on.log("acme").await?;
    let of = |kind: &str| log.iter().map(|one| &one["event"]).filter(|one| one["kind"] == kind).collect::<Vec<_>>();
    let (kept, used) = (of("device-remembered"), of("device-used"));
    assert_eq!((kept.len(), used.len()), (1, 1), "{log:?}");
    assert_eq!(kept[0]["device"], used[0]["device"]);
    let at = log.iter().position(|one| one["event"]["kind"] == "device-remembered").context("no entry")?;
    let came =
        log[..at].iter().rfind(|one| one["event"]["kind"] == "sign-in").context("remembered before anybody is in")?;
    assert!(came["session"].is_string() && log[at]["session"] == came["session"], "{}", log[at]);
    let sign_in = of("sign-in").into_iter().next_back().context("no sign-in")?;
    assert_eq!(
        (&sign_in["factors"], &sign_in["assurance"]),
        (&serde_json::json!(["password", "remembered"]), &2.into())
    );
    let all = serde_json::to_string(&log)? + &gateway.on.said();
    assert!(client.secrets.iter().all(|secret| !all.contains(secret.as_str())), "a key stands in the log");

    // A fresh proof is one of both for real, in whatever order they are asked for.
    let (portal, mut fresh) = (gateway.at("acme", "/")?, gateway.at("acme", "/sign-in/step-up")?);
    fresh.query_pairs_mut().append_pair("need", "fresh").append_pair("to", portal.as_str());
    let page = client.open(&fresh).await?;
    assert!(form::find(&page.body, "password").is_some() && form::find(&page.body, "code").is_none(), "{}", page.body);
    let page = client.submit(&page, &[("password", PASSWORD)]).await?;
    assert!(form::find(&page.body, "password").is_none(), "the password alone is fresh: {} {}", page.url, page.body);
    let page = mira.answer(&mut client, page).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &portal), "{}", page.body);
    Ok(())
}

/// Who copied a browser must not outgrow its owner, and what changes an account's factors ends what stood in for them.
#[tokio::test]
async fn factors_are_changed_by_the_real_ones_and_forget_the_device() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = remembering(&upstream).start().await?;
    let (mut client, mira) = remembered(&gateway, MIRA).await?;
    assert!(!is_asked(&mut client, &gateway, &mira).await?);
    let codes = gateway.at("acme", "/factors/recovery")?;
    for path in ["/factors/passkey", "/factors/recovery"] {
        let asked = client.open(&gateway.at("acme", path)?).await?;
        assert_eq!(asked.url.path(), "/sign-in/step-up", "{path}: {}", asked.body);
        assert!(form::find(&asked.body, "code").is_some() && form::find(&asked.body, "remember").is_none(), "{path}");
    }
    let asked = client.open(&codes).await?;
    let page = mira.answer(&mut client, asked).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &codes), "{}", page.body);
    assert!(!is_asked(&mut client, &gateway, &mira).await?, "nothing was changed yet");
    Ok(())
}

/// One stolen password and a copy of a browser must not be enough to change who may do what.
#[tokio::test]
async fn the_console_is_closed_to_a_remembered_device_and_asks_for_the_code_alone() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = remembering(&upstream).start().await?;
    let (_, ada) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    let mut client = Client::browser();
    remembers(&mut client, &ada, &gateway.at("acme", "/")?).await?;
    assert!(!is_asked(&mut client, &gateway, &ada).await?);
    let (console, people) = (gateway.at("acme", "/admin/")?, gateway.at("acme", "/api/v1/users")?);
    client.program = true;
    let refused = client.get(&people).await?;
    let told = refused.json()?;
    assert_eq!((refused.status.as_u16(), &told["reason"]), (401, &"step-up-required".into()), "{told}");
    client.program = false;
    let asked = client.open(&console).await?;
    assert_eq!(asked.url.path(), "/sign-in/step-up", "{}", asked.body);
    assert!(
        form::find(&asked.body, "code").is_some() && form::find(&asked.body, "password").is_none(),
        "{}",
        asked.body
    );
    let page = ada.answer(&mut client, asked).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &console), "{}", page.body);
    client.program = true;
    assert_eq!(client.get(&people).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_device_is_forgotten_by_its_person_by_administrators_and_by_what_shuts_them_out() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = remembering(&upstream).start().await?;
    for act in ["portal", "others", "everywhere", "end-sessions", "suspend", "removed", "signed-out"] {
        let (mut client, person) = remembered(&gateway, &format!("{act}@acme.example")).await?;
        let on = async |command: &str| gateway.on.does(&["user", "--tenant", "acme", command, &person.email]).await;
        let sessions = gateway.at("acme", "/sessions")?;
        match act {
            "portal" => {
                assert!(!is_asked(&mut client, &gateway, &person).await?);
                let kept = |name| client.cookie("acme.localhost", name).unwrap_or_default().to_owned();
                let mut copy = holding("acme.localhost", &[(KEY, &kept(KEY)), (MARK, &kept(MARK))]);
                assert!(!is_asked(&mut copy, &gateway, &person).await?);
                let page = client.open(&sessions).await?;
                assert!(page.body.contains("Remembered devices"), "{}", page.body);
                let forms: Vec<_> = page.body.split("action=\"/sessions/devices/").skip(1).collect();
                assert_eq!(forms.len(), 1, "{}", page.body);
                let path = format!("/sessions/devices/{}", forms[0].split('"').next().unwrap_or_default());
                // Another's is as if it were not there.
                let (mut other, _) = gateway.person_with_codes("other@acme.example", &["readers"]).await?;
                assert_eq!(other.send(Method::POST, &gateway.at("acme", &path)?, None).await?.status, 404);
                let sent = client.send(Method::POST, &gateway.at("acme", &path)?, None).await?;
                let page = client.follow(sent).await?;
                assert!(page.status == 200 && page.body.contains("Forgotten."), "{}", page.body);
                assert!(!page.body.contains("Remembered devices"), "{}", page.body);
                let page = copy.open(&sessions).await?;
                assert!(form::find(&page.body, "email").is_some(), "what rests on it goes on: {}", page.body);
            }
            "others" => {
                let mut elsewhere = Client::browser();
                remembers(&mut elsewhere, &person, &gateway.at("acme", "/")?).await?;
                let ended = elsewhere.send(Method::POST, &sessions.join("/sessions/end-others")?, None).await?;
                assert_eq!(ended.status, 303, "{}", ended.body);
                assert!(!is_asked(&mut elsewhere, &gateway, &person).await?, "its own");
            }
            "everywhere" => {
                client.send(Method::POST, &sessions.join("/sign-out/everywhere")?, None).await?;
            }
            "end-sessions" => drop(on("end-sessions").await?),
            "suspend" => {
                on("suspend").await?;
                on("activate").await?;
            }
            "removed" => {
                // The device is real still: the code was typed in it a moment ago.
                let codes = client.open(&gateway.at("acme", "/factors/recovery")?).await?;
                let done = client.submit(&codes, &[("kept", "yes")]).await?;
                assert!(done.url.as_str().ends_with("/factors?done=recovery"), "{} {}", done.url, done.body);
            }
            _ => {
                assert!(!is_asked(&mut client, &gateway, &person).await?, "signing out forgets nothing");
                continue;
            }
        }
        assert!(is_asked(&mut client, &gateway, &person).await?, "after {act}");
    }
    let log = gateway.on.log("acme").await?;
    let forgotten = log.iter().map(|one| &one["event"]).filter(|one| one["kind"] == "device-forgotten");
    let causes: Vec<_> = forgotten.filter_map(|one| one["cause"].as_str()).collect();
    assert_eq!(causes, ["portal", "signed-out", "signed-out", "administrator"], "{log:?}");
    Ok(())
}

/// The key opens nothing without the browser that it was given to, nor for anybody else; and of two who hold all of it, one finds
/// that it is another by now.
#[tokio::test]
async fn a_copied_key_is_worthless_and_a_copied_browser_is_found_out() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = remembering(&upstream).start().await?;
    let (mut hers, mira) = remembered(&gateway, MIRA).await?;
    let (_, ben) = gateway.person_with_codes("ben@acme.example", &["readers"]).await?;
    let (_, northern) = gateway.person_with_codes("mira@north.example", &["readers"]).await?;
    let kept = |name| hers.cookie("acme.localhost", name).unwrap_or_default().to_owned();
    let (key, mark) = (kept(KEY), kept(MARK));
    for (what, host, cookies, person) in [
        ("the key alone", "acme.localhost", &[(KEY, &*key)][..], &mira),
        ("the mark alone", "acme.localhost", &[(MARK, &mark)], &mira),
        ("another's", "acme.localhost", &[(KEY, &key), (MARK, &mark)], &ben),
        ("another tenant's", "north.localhost", &[(KEY, &key), (MARK, &mark)], &northern),
        ("no key", "acme.localhost", &[(KEY, "AAAA"), (MARK, &mark)], &mira),
    ] {
        assert!(is_asked(&mut holding(host, cookies), &gateway, person).await?, "{what}");
    }
    let mut copy = holding("acme.localhost", &[(KEY, &key), (MARK, &mark)]);
    assert!(!is_asked(&mut copy, &gateway, &mira).await?, "all that the browser kept");
    assert!(is_asked(&mut hers, &gateway, &mira).await?, "the key that was copied is good still");

    // She has it remembered again: that is her browser from then on, and hers alone.
    let portal = gateway.at("acme", "/")?;
    assert_eq!(copy.open(&portal).await?.url, portal);
    remembers(&mut hers, &mira, &portal).await?;
    let page = copy.open(&portal).await?;
    assert!(form::find(&page.body, "email").is_some(), "the copy is in still: {} {}", page.url, page.body);
    assert!(is_asked(&mut copy, &gateway, &mira).await?, "the copy is remembered beside her");
    assert!(!is_asked(&mut hers, &gateway, &mira).await?, "she is not");
    let log = gateway.on.log("acme").await?;
    let causes: Vec<_> = log.iter().filter_map(|one| one["event"]["cause"].as_str()).collect();
    assert_eq!(causes, ["remembered-again", "factor-changed"], "{log:?}");
    Ok(())
}

/// An account at a provider is a way in as a factor is: linking one, or unlinking it, forgets what stood in for the second
/// proof. And nothing stands in for that beside an account: what a browser keeps would be all that is shown here.
#[tokio::test]
async fn a_linked_account_is_remembered_beside_by_nothing_and_forgets_devices_when_it_comes_and_goes() -> Story {
    let world = World::with("link = true\n", "[factors]\nminimum = 2\nremember_days = 30\n").await?;
    let gateway = &world.gateway;
    let (portal, sessions) = (gateway.at("acme", "/")?, gateway.at("acme", "/sessions")?);
    let (mut hers, mira) = remembered(gateway, MIRA).await?;
    let page = world.links(&mut hers, "gus").await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert!(is_asked(&mut hers, gateway, &mira).await?, "another way in, and the device stands in still");

    remembers(&mut hers, &mira, &portal).await?;
    let kept = |name| hers.cookie("acme.localhost", name).unwrap_or_default().to_owned();
    let mut by_account = holding("acme.localhost", &[(KEY, &kept(KEY)), (MARK, &kept(MARK))]);
    let page = by_account.open(&portal).await?;
    let way = form::link(&page.body, "/sign-in/with/work").with_context(|| format!("no button: {}", page.body))?;
    let login = by_account.open(&page.url.join(&way)?).await?;
    let back = world.provider.log_in(&mut by_account, &login, "gus", CALLBACK).await?;
    let page = by_account.open(&back.location()?).await?;
    assert_eq!(page.url.path(), "/sign-in/totp", "{} {}", page.status, page.body);
    assert!(form::find(&page.body, "code").is_some() && form::find(&page.body, "remember").is_none(), "{}", page.body);
    assert!(by_account.cookie("acme.localhost", "cardea").is_none(), "a way around the second factor");

    let list = hers.open(&sessions).await?;
    assert!(list.body.contains("Remembered devices"), "{}", list.body);
    let page = world.unlinks(&mut hers).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert!(!hers.open(&sessions).await?.body.contains("Remembered devices"));
    assert!(is_asked(&mut hers, gateway, &mira).await?, "a way in less, and the device stands in still");
    Ok(())
}
