//! Accounts at a provider that people of the pool link to theirs, by proof of both and never by an address.

use std::time::Duration;

use anyhow::Context;
use cardea_tests::{Client, Person, Reply, Story, form};
use http::Method;
use serde_json::Value;
use url::Url;

use crate::{
    enrolment::presses,
    oidc::{CALLBACK, World},
};

pub(crate) const MIRA: &str = "mira@work.example";
pub(crate) const BEN: &str = "ben@work.example";
/// Long enough for a change by the command line to be heard of.
pub(crate) const HEARD: Duration = Duration::from_secs(10);
pub(crate) const WITH: &str = "/factors/with/work";

/// Accounts may be linked, and a sign-in is enough to add a way in.
pub(crate) async fn house() -> anyhow::Result<World> {
    World::with("link = true\n", "[factors]\nenrol = \"sign-in\"\n").await
}

impl World {
    /// In a browser that is signed in: sets out to link an account, and signs in over there; what comes back is not followed.
    pub(crate) async fn sets_out(&self, client: &mut Client, login: &str) -> anyhow::Result<Url> {
        // Whoever is known over there as somebody else would be signed out first, by a script.
        client.forget("127.0.0.1");
        let page = client.open(&self.gateway.at("acme", WITH)?).await?;
        anyhow::ensure!((page.status.as_u16(), page.url.path()) == (200, WITH), "{} {}", page.url, page.body);
        let page = presses(client, &page, WITH).await?;
        anyhow::ensure!(form::find(&page.body, "login").is_some(), "no login page at {}: {}", page.url, page.body);
        let back = self.provider.log_in(client, &page, login, CALLBACK).await?;
        anyhow::ensure!(back.status.is_redirection(), "not sent back: {} {}", back.status, back.body);
        back.location()
    }

    pub(crate) async fn links(&self, client: &mut Client, login: &str) -> anyhow::Result<Reply> {
        let back = self.sets_out(client, login).await?;
        client.open(&back).await
    }

    /// Whoever signs in by that account is nobody here, and is told what to do.
    pub(crate) async fn is_no_member(&self, login: &str) -> Story {
        let (client, page) = self.signs_in(&self.gateway.at("acme", "/")?, login).await?;
        assert_eq!(page.status, 403, "{login}: {}", page.body);
        assert!(page.body.contains("link that one under “Ways to sign in”"), "{}", page.body);
        assert!(client.cookie("acme.localhost", "cardea").is_none(), "{login}");
        Ok(())
    }

    /// Who is signed in in that browser.
    pub(crate) async fn who(&self, client: &mut Client) -> anyhow::Result<Value> {
        client.get(&self.gateway.at("acme", "/.cardea/session")?).await?.json()
    }

    pub(crate) async fn events(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        let log = self.gateway.on.log("acme").await?;
        Ok(log.into_iter().map(|mut entry| entry["event"].take()).filter(|event| event["kind"] == kind).collect())
    }

    pub(crate) async fn in_portal(&self, person: &Person) -> anyhow::Result<Client> {
        let (client, page) = person.opens(&self.gateway.at("acme", "/")?).await?;
        anyhow::ensure!((page.status.as_u16(), page.url.path()) == (200, "/"), "{} {}", page.url, page.body);
        Ok(client)
    }

    pub(crate) async fn unlinks(&self, client: &mut Client) -> anyhow::Result<Reply> {
        let list = client.open(&self.gateway.at("acme", "/factors")?).await?;
        let way =
            form::link(&list.body, "/factors/accounts/").with_context(|| format!("none to remove: {}", list.body))?;
        let page = client.open(&list.url.join(&way)?).await?;
        anyhow::ensure!((page.status.as_u16(), page.url.path()) == (200, &*way), "{} {}", page.url, page.body);
        presses(client, &page, &way).await
    }
}

fn form_action(page: &Reply) -> &str {
    let policy = page.header("content-security-policy").unwrap_or_default();
    policy.split(';').find(|part| part.trim().starts_with("form-action")).unwrap_or_default()
}

/// Whatever its word could be worth: a private account there may never show two.
#[tokio::test]
async fn a_linked_account_settles_nothing_that_is_owed() -> Story {
    let tenant = "[factors]\nenrol = \"sign-in\"\nmust_enrol = true\n";
    let world = World::with("link = true\nassurance = { mfa = 2 }\n", tenant).await?;
    let (mut joining, _, mira) = world.gateway.newcomer(MIRA, &["readers"]).await?;
    let page = world.links(&mut joining, "gus").await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    let (_, page) = mira.opens(&world.gateway.at("echo.acme", "/x")?).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert!(page.body.contains("asks for a second way to sign in"), "{}", page.body);
    Ok(())
}

#[tokio::test]
async fn an_account_opens_whoever_linked_it_and_its_address_opens_nobody() -> Story {
    let world = house().await?;
    let (mira, portal) = (world.gateway.person(MIRA, &["readers"]).await?, world.gateway.at("acme", "/")?);
    // The provider says that this is mira@work.example, and it is right.
    world.is_no_member("mira").await?;

    let mut hers = world.in_portal(&mira).await?;
    let list = hers.open(&world.gateway.at("acme", "/factors")?).await?;
    assert!(form::link(&list.body, WITH).is_some(), "{}", list.body);
    let asked = hers.open(&world.gateway.at("acme", WITH)?).await?;
    let issuer = world.provider.issuer();
    assert!(form_action(&asked).contains(&issuer), "a browser would not go there: {}", form_action(&asked));
    assert!(!form_action(&list).contains(&issuer), "{}", form_action(&list));
    let pressed = Some(("application/x-www-form-urlencoded", String::new()));
    let sent = hers.send(Method::POST, &asked.url, pressed).await?;
    let to = hers.get(&sent.location()?).await?.location()?;
    for wanted in ["max_age=0", "code_challenge=", "state=", "nonce="] {
        assert!(to.as_str().starts_with(&issuer) && to.as_str().contains(wanted), "{wanted}: {to}");
    }

    let page = world.links(&mut hers, "gus").await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    for told in ["Linked. You can sign in with it", "Linked account", "Work account", "Not used yet"] {
        assert!(page.body.contains(told), "{told}: {}", page.body);
    }
    let linked = world.events("identity-linked").await?;
    assert_eq!(linked.len(), 1);
    assert_eq!((&linked[0]["own"], &linked[0]["user"]["email"]), (&Value::Bool(true), &MIRA.into()), "{linked:?}");
    // Doing so again changes nothing, and is no new one.
    assert_eq!(world.links(&mut hers, "gus").await?.status, 200);
    assert_eq!(world.events("identity-linked").await?.len(), 1);

    // The same person, with the groups that the pool gives and none that the provider would take.
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut by_account, page) = world.signs_in(&echo, "gus").await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    let who = world.who(&mut by_account).await?;
    assert_eq!((&who["user"]["email"], &who["user"]["id"]), (&MIRA.into(), &linked[0]["user"]["id"]), "{who}");
    let list = by_account.open(&world.gateway.at("acme", "/factors")?).await?;
    assert!(!list.body.contains("Not used yet"), "{}", list.body);
    world.is_no_member("mira").await?;

    // Unlinked, it opens nothing more, and what was open by it elsewhere is not.
    let page = world.unlinks(&mut hers).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert!(!page.body.contains("Linked account"), "{}", page.body);
    assert_eq!(by_account.open(&portal).await?.url.path(), "/sign-in");
    assert_eq!(world.events("identity-unlinked").await?.len(), 1);
    world.is_no_member("gus").await?;
    Ok(())
}

#[tokio::test]
async fn an_account_is_one_persons_and_nobody_is_told_whose() -> Story {
    let world = house().await?;
    let mira = world.gateway.person(MIRA, &["readers"]).await?;
    let ben = world.gateway.person(BEN, &[]).await?;
    let (mut hers, mut his) = (world.in_portal(&mira).await?, world.in_portal(&ben).await?);
    assert_eq!(world.links(&mut hers, "gus").await?.status, 200);
    let page = world.links(&mut his, "gus").await?;
    let portal_factors = world.gateway.at("acme", "/factors")?.to_string();
    assert_eq!((page.status.as_u16(), form::link(&page.body, &portal_factors)), (409, Some(portal_factors.clone())));
    assert!(page.body.contains("belongs to someone else") && !page.body.contains("mira"), "{}", page.body);
    let refused = world.events("factor-refused").await?;
    assert_eq!(refused[0]["reason"], "account-taken", "{refused:?}");
    // An account whose groups count here lifts nobody by itself.
    assert_eq!(world.links(&mut his, "rita").await?.status, 200);
    let (mut by_account, page) = world.signs_in(&world.gateway.at("echo.acme", "/x")?, "rita").await?;
    assert_eq!(page.status, 403, "{}", page.body);
    let who = world.who(&mut by_account).await?;
    assert_eq!((&who["user"]["email"], &who["user"]["groups"]), (&BEN.into(), &serde_json::json!([])), "{who}");

    // Whoever is suspended is out by whatever way.
    world.gateway.on.does(&["user", "--tenant", "acme", "suspend", MIRA]).await?;
    let portal = world.gateway.at("acme", "/")?;
    let thrown_out = async {
        while hers.open(&portal).await?.status == 200 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(HEARD, thrown_out).await.context("she is in still")??;
    let (client, page) = world.signs_in(&portal, "gus").await?;
    assert!(page.status == 403 && client.cookie("acme.localhost", "cardea").is_none(), "{}", page.body);
    let (client, _) = mira.opens(&portal).await?;
    assert!(client.cookie("acme.localhost", "cardea").is_none());
    Ok(())
}

/// Login CSRF: an attacker's account must not become a way into the victim's.
#[tokio::test]
async fn an_answer_of_another_session_links_nothing() -> Story {
    let world = house().await?;
    let mira = world.gateway.person(MIRA, &["readers"]).await?;
    let ben = world.gateway.person(BEN, &[]).await?;
    let (hers, mut his) = (world.in_portal(&mira).await?, world.in_portal(&ben).await?);
    let taken_from = |client: &Client| client.cookie("acme.localhost", "cardea-flow").map(str::to_owned);

    // Her browser is led to his answer: as it is, and on a way of its own.
    let stolen = world.sets_out(&mut his, "rita").await?;
    assert_eq!(hers.clone().open(&stolen).await?.status, 400);
    let mut on_her_way = hers.clone();
    world.sets_out(&mut on_her_way, "mira").await?;
    let page = on_her_way.open(&stolen).await?;
    assert!(page.status.is_client_error() && !page.url.path().starts_with("/factors"), "{} {}", page.url, page.body);
    // And even where his cookie could be put into it.
    let cookie = taken_from(&his).context("he is on no way")?;
    let mut tossed = hers.clone();
    tossed.set_cookie("acme.localhost", "cardea-flow", &cookie);
    let page = tossed.open(&stolen).await?;
    assert!(page.status.is_client_error(), "{} {}", page.url, page.body);
    assert_eq!(his.open(&stolen).await?.status, 400, "it is spent");

    // Nobody's browser links either, nor another one of his own, nor his once the session was ended.
    for (what, mut elsewhere) in [("nobody's", Client::browser()), ("another of his own", world.in_portal(&ben).await?)]
    {
        let back = world.sets_out(&mut his, "rita").await?;
        elsewhere.set_cookie("acme.localhost", "cardea-flow", &taken_from(&his).context("he is on no way")?);
        let page = elsewhere.open(&back).await?;
        assert!(page.status.is_client_error(), "{what}: {} {}", page.url, page.body);
    }
    let back = world.sets_out(&mut his, "rita").await?;
    let mut another = world.in_portal(&ben).await?;
    let sessions = another.open(&world.gateway.at("acme", "/sessions")?).await?;
    presses(&mut another, &sessions, "/sessions/end-others").await?;
    let page = his.open(&back).await?;
    assert!(page.status.is_client_error(), "{} {}", page.url, page.body);

    assert!(world.events("identity-linked").await?.is_empty());
    world.is_no_member("rita").await?;
    Ok(())
}

/// Who said yes to one provider is sent to no other, whatever address the browser is led to.
#[tokio::test]
async fn an_account_is_linked_at_the_provider_that_was_confirmed() -> Story {
    let world = house().await?;
    let work = world.gateway.on.read("resources/tenants/acme/providers/work.toml")?;
    let corp = work.replacen("\"work\"", "\"corp\"", 1);
    world.gateway.on.write("resources/tenants/acme/providers/corp.toml", &corp)?;
    world.gateway.on.apply().await?;
    let mira = world.gateway.person(MIRA, &["readers"]).await?;
    let mut hers = world.in_portal(&mira).await?;
    let other = world.gateway.at("acme", "/factors/with/corp")?;
    let known = async {
        while hers.open(&other).await?.status != 200 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(HEARD, known).await.context("it is not known")??;

    let (way, form) = (world.gateway.at("acme", WITH)?, ("application/x-www-form-urlencoded", String::new()));
    let sent = hers.send(Method::POST, &way, Some(form)).await?;
    assert_eq!(sent.location()?.path(), "/sign-in/with/work");
    let turned = hers.get(&world.gateway.at("acme", "/sign-in/with/corp?step=link")?).await?;
    assert_eq!(turned.status, 400, "{:?} {}", turned.location(), turned.body);
    let page = world.links(&mut hers, "gus").await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    Ok(())
}

#[tokio::test]
async fn linking_takes_what_adding_any_way_in_takes() -> Story {
    let world = World::with("link = true\n", "[factors]\nminimum = 2\n").await?;
    let portal = world.gateway.at("acme", "/")?;
    let (mut hers, mira) = world.gateway.person_with_codes(MIRA, &["readers"]).await?;
    let mut thief = Client::browser();
    let page = thief.open(&world.gateway.at("acme", "/sign-in")?).await?;
    let page = thief.submit(&page, &[("email", MIRA)]).await?;
    thief.submit(&page, &[("password", &mira.password)]).await?;
    assert!(thief.cookie("acme.localhost", "cardea").is_none(), "a password is not enough here");

    let page = world.links(&mut hers, "gus").await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    // The word is worth 1, and the pool asks for 2: of its own people, however they come.
    let echo = world.gateway.at("echo.acme", "/x")?;
    let (mut by_account, page) = world.signs_in(&echo, "gus").await?;
    assert_eq!(page.url.path(), "/sign-in/totp", "{} {}", page.status, page.body);
    assert!(by_account.cookie("acme.localhost", "cardea").is_none(), "a way around the second factor");
    let page = mira.answer(&mut by_account, page).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    let who = world.who(&mut by_account).await?;
    assert_eq!((&who["assurance"], &who["factors"]), (&2.into(), &serde_json::json!(["linked", "totp"])), "{who}");

    // What the provider's file does not open is not there, however one asks.
    let file = "resources/tenants/acme/providers/work.toml";
    world.gateway.on.edit(file, "link = true\n", "")?;
    let back = world.sets_out(&mut hers, "rita").await?;
    world.gateway.on.apply().await?;
    let mut looks = hers.clone();
    let gone = async {
        while looks.open(&world.gateway.at("acme", WITH)?).await?.status != 404 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(HEARD, gone).await.context("it is open still")??;
    let page = hers.open(&back).await?;
    assert!(
        page.status == 403 && page.body.contains("The account was not linked"),
        "what was under way: {}",
        page.body
    );
    let list = hers.open(&world.gateway.at("acme", "/factors")?).await?;
    assert!(form::link(&list.body, WITH).is_none() && !list.body.contains("Linked account"), "{}", list.body);
    // Nor does what was linked before open anything, until it is opened again.
    let (client, page) = world.signs_in(&echo, "gus").await?;
    assert!(page.status == 403 && !page.body.contains("link that one"), "{}", page.body);
    assert!(client.cookie("acme.localhost", "cardea").is_none());
    assert!(hers.open(&portal).await?.status.is_success());
    Ok(())
}

#[tokio::test]
async fn who_has_but_one_way_in_links_by_an_administrators_link() -> Story {
    let world = World::with("link = true\n", "").await?;
    let mira = world.gateway.person(MIRA, &["readers"]).await?;
    let mut thief = world.in_portal(&mira).await?;
    let list = thief.open(&world.gateway.at("acme", "/factors")?).await?;
    assert!(form::link(&list.body, WITH).is_none(), "{}", list.body);
    assert!(list.body.contains("ask your administrator for a link"), "{}", list.body);
    let page = thief.open(&world.gateway.at("acme", WITH)?).await?;
    assert_eq!(page.status, 403, "{}", page.body);
    assert_eq!(presses(&mut thief, &page, WITH).await?.status, 403);
    assert!(thief.cookie("acme.localhost", "cardea-flow").is_none());

    let link = crate::enrolment::link_for(&world.gateway, MIRA).await?;
    let mut hers = Client::browser();
    crate::enrolment::follows(&mut hers, &mira, &link).await?;
    let page = world.links(&mut hers, "gus").await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    Ok(())
}

#[tokio::test]
async fn administrators_see_accounts_and_unlink_them_and_starting_over_does() -> Story {
    let world = house().await?;
    let (mut ada, _) = world.gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    let mira = world.gateway.person(MIRA, &["readers"]).await?;
    let mut hers = world.in_portal(&mira).await?;
    world.links(&mut hers, "gus").await?;
    let (mut by_account, _) = world.signs_in(&world.gateway.at("acme", "/")?, "gus").await?;
    let id = world.who(&mut hers).await?["user"]["id"].as_str().context("no id")?.to_owned();
    ada.program = true;
    let details = world.gateway.at("acme", &format!("/api/v1/users/{id}"))?;
    let accounts = ada.get(&details).await?.json()?["accounts"].take();
    let account = &accounts[0];
    assert_eq!(
        (&account["provider"], &account["subject"], &account["own"]),
        (&"work".into(), &"gus".into(), &true.into())
    );
    let at = |user: &str, account: &str| world.gateway.at("acme", &format!("/api/v1/users/{user}/accounts/{account}"));
    let name = account["id"].as_str().context("no id")?;
    let me = world.who(&mut ada).await?["user"]["id"].as_str().context("no id")?.to_owned();
    // An administrator does, and nobody else.
    hers.program = true;
    let reply = hers.send(Method::DELETE, &at(&id, name)?, None).await?;
    assert_eq!((reply.status.as_u16(), reply.json()?["reason"].as_str()), (403, Some("denied")), "{}", reply.body);
    hers.program = false;
    for (user, account, status) in [(&id, "work-1", 404), (&me, name, 409), (&id, name, 204), (&id, name, 404)] {
        let reply = ada.send(Method::DELETE, &at(user, account)?, None).await?;
        assert_eq!(reply.status, status, "{user} {account}: {}", reply.body);
    }
    assert_eq!(by_account.open(&world.gateway.at("acme", "/")?).await?.url.path(), "/sign-in");
    assert_eq!(hers.open(&world.gateway.at("acme", "/")?).await?.url.path(), "/", "it did not rest on that");
    world.is_no_member("gus").await?;
    assert_eq!(ada.get(&details).await?.json()?["status"], "active", "she has a password");
    let told = hers.open(&world.gateway.at("acme", "/activity")?).await?;
    for line in ["Linked to Work account", "No longer linked to Work account"] {
        assert!(told.body.contains(line), "{line}: {}", told.body);
    }

    world.links(&mut hers, "gus").await?;
    world.gateway.on.does(&["user", "--tenant", "acme", "reset", "--yes", MIRA]).await?;
    world.is_no_member("gus").await?;
    assert_eq!(world.events("identity-unlinked").await?.len(), 2);
    Ok(())
}
