//! The first factor beyond the only one: who stole that adds none, and the person adds theirs by their administrator's link.

use anyhow::Context;
use cardea_tests::{
    Client, Gateway, MailServer, Person, Plan, Reply, Story, Upstream, form,
    gateway::{PASSWORD, key_of},
    mail::Letter,
};
use http::Method;
use serde_json::Value;
use url::Url;

use crate::linking::HEARD;

const MIRA: &str = "mira@acme.example";
const BEN: &str = "ben@acme.example";

pub(crate) async fn house(factors: &str) -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).file("tenants/acme/tenant.toml", &tenant(factors)).start().await?;
    Ok((upstream, gateway))
}

pub(crate) fn tenant(factors: &str) -> String {
    format!("id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[factors]\n{factors}")
}

/// Makes a link as the operator does; it is handed over.
pub(crate) async fn link_for(gateway: &Gateway, email: &str) -> anyhow::Result<Url> {
    let arguments = ["--format", "json", "user", "--tenant", "acme", "enrol", "--print", email];
    let said: Value = serde_json::from_str(&gateway.on.does(&arguments).await?)?;
    Ok(Url::parse(said["url"].as_str().context("no link")?)?)
}

pub(crate) async fn presses(client: &mut Client, page: &Reply, to: &str) -> anyhow::Result<Reply> {
    let body = Some(("application/x-www-form-urlencoded", String::new()));
    let sent = client.send(Method::POST, &page.url.join(to)?, body).await?;
    client.follow(sent).await
}

/// Everything by which a factor could be added is refused in that browser, and the pages offer none of it.
async fn adds_nothing(gateway: &Gateway, client: &mut Client, who: &str) -> Story {
    let list = client.open(&gateway.at("acme", "/factors")?).await?;
    assert_eq!(list.status, 200, "{who}: {}", list.body);
    assert!(list.body.contains("ask your administrator for a link"), "{who} is not told how: {}", list.body);
    let portal = client.open(&gateway.at("acme", "/")?).await?;
    assert!(portal.body.contains("ask your administrator for a link"), "{who}: {}", portal.body);
    for path in ["/factors/totp", "/factors/passkey"] {
        assert!(!list.body.contains(&format!("href=\"{path}\"")), "{who} is offered {path}: {}", list.body);
        let page = client.open(&gateway.at("acme", path)?).await?;
        assert_eq!((page.status.as_u16(), page.url.path()), (403, path), "{who}: {}", page.body);
        assert!(page.body.contains("a link from your administrator"), "{who}: {}", page.body);
    }
    client.program = true;
    for path in ["/factors/passkey/options", "/factors/passkey"] {
        let answer = serde_json::json!({ "ticket": "", "name": "Mine", "credential": {} });
        let refused = client.json(Method::POST, &gateway.at("acme", path)?, &answer).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.json()?["reason"].as_str()),
            (403, Some("link-required")),
            "{who} at {path}"
        );
    }
    let form = Some(("application/x-www-form-urlencoded", "ticket=x&code=123456".to_owned()));
    let refused = client.send(Method::POST, &gateway.at("acme", "/factors/totp")?, form).await?;
    assert_eq!(refused.json()?["reason"], "link-required", "{who}: {}", refused.body);
    client.program = false;
    Ok(())
}

/// Opens a link, signs in as far as is asked, and presses the button.
pub(crate) async fn follows(client: &mut Client, person: &Person, link: &Url) -> anyhow::Result<Reply> {
    let page = client.open(link).await?;
    let page = person.answer(client, page).await?;
    anyhow::ensure!(page.status == 200 && page.url == *link, "{} {} {}", page.url, page.status, page.body);
    presses(client, &page, link.path()).await
}

async fn adds_codes(gateway: &Gateway, client: &mut Client, person: &mut Person) -> Story {
    let page = client.open(&gateway.at("acme", "/factors/totp")?).await?;
    person.totp = key_of(&page.body);
    let page = person.answer(client, page).await?;
    anyhow::ensure!(page.url.path() == "/factors" && page.status == 200, "{} {}", page.url, page.body);
    Ok(())
}

#[tokio::test]
async fn who_has_but_the_password_adds_nothing_and_the_person_does_by_the_link() -> Story {
    let (_upstream, gateway) = house("").await?;
    let mut mira = gateway.person(MIRA, &["readers"]).await?;
    let portal = gateway.at("acme", "/")?;
    let (mut thief, page) = mira.opens(&portal).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/"), "{}", page.body);
    adds_nothing(&gateway, &mut thief, "the thief of a password").await?;

    let link = link_for(&gateway, MIRA).await?;
    // That a link was made helps nobody who does not hold it; nor is it used up by who has not signed in.
    adds_nothing(&gateway, &mut thief, "the thief, while a link is on its way").await?;
    let mut hers = Client::browser();
    let asked = hers.open(&link).await?;
    assert_eq!(asked.url.path(), "/sign-in", "{}", asked.body);
    let page = follows(&mut hers, &mira, &link).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert!(page.body.contains("href=\"/factors/totp\""), "nothing is offered: {}", page.body);
    adds_codes(&gateway, &mut hers, &mut mira).await?;
    let secret = gateway.at("echo.acme", "/secret/plan")?;
    let page = hers.open(&secret).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, secret.as_str()), "{}", page.body);

    // Twice it opens nothing, in whatever browser; and the thief is asked for what there is now.
    for client in [&mut hers, &mut thief] {
        let again = client.open(&link).await?;
        assert_eq!(again.status, 400, "a link worked twice: {}", again.body);
        assert_eq!(presses(client, &again, link.path()).await?.status, 400);
    }
    assert_eq!(thief.open(&gateway.at("acme", "/factors/passkey")?).await?.url.path(), "/sign-in/step-up");

    let log = gateway.on.log("acme").await?;
    let at = |kind: &str| log.iter().position(|one| one["event"]["kind"] == kind).with_context(|| kind.to_owned());
    let (made, used, added) = (at("factor-link-made")?, at("factor-link-used")?, at("step-up")?);
    assert!(made < used && used < added);
    assert_eq!(log[used]["event"]["user"]["email"], MIRA);
    let token = link.path().rsplit('/').next().context("no token")?;
    let told = serde_json::to_string(&log)? + &gateway.on.said();
    assert!(!told.contains(token) && told.contains("/factors/link/…"), "the token is told");
    Ok(())
}

#[tokio::test]
async fn a_link_is_one_persons_in_one_tenant_and_the_newest_alone_is_good() -> Story {
    let (_upstream, gateway) = house("").await?;
    let mira = gateway.person(MIRA, &["readers"]).await?;
    let ben = gateway.person(BEN, &["readers"]).await?;
    let northern = gateway.person("mira@north.example", &["readers"]).await?;
    let old = link_for(&gateway, MIRA).await?;
    let link = link_for(&gateway, MIRA).await?;

    // In another's session it opens nothing, and is not used up; nor does signing in by it let anybody else add anything.
    let (mut his, page) = ben.opens(&link).await?;
    assert_eq!(page.status, 400, "another's link: {}", page.body);
    assert_eq!(presses(&mut his, &page, link.path()).await?.status, 400);
    adds_nothing(&gateway, &mut his, "who opened another's link").await?;
    let (mut elsewhere, page) = northern.opens(&gateway.at("north", link.path())?).await?;
    assert_eq!(page.status, 400, "another tenant's link: {}", page.body);
    assert_eq!(presses(&mut elsewhere, &page, link.path()).await?.status, 400);
    let (mut hers, page) = mira.opens(&old).await?;
    assert_eq!(page.status, 400, "an older link: {}", page.body);
    // It is no invitation either, by which everything would begin anew.
    let invitation = link.path().replace("/factors/link/", "/sign-in/invitation/");
    assert_eq!(Client::browser().open(&gateway.at("acme", &invitation)?).await?.status, 400);
    let page = follows(&mut hers, &mira, &link).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    assert_eq!(hers.open(&gateway.at("acme", "/factors/passkey")?).await?.status, 200);

    // A link dies with a reset, and with a suspension.
    let link = link_for(&gateway, BEN).await?;
    gateway.on.does(&["user", "--tenant", "acme", "suspend", BEN]).await?;
    let (status, _, said) = gateway.on.cardea(&["user", "--tenant", "acme", "enrol", BEN]).await?;
    assert!(status == 1 && said.contains("is suspended: activate first"), "{said}");
    gateway.on.does(&["user", "--tenant", "acme", "activate", BEN]).await?;
    gateway.on.does(&["user", "--tenant", "acme", "reset", "--yes", BEN]).await?;
    assert_eq!(mira.opens(&link).await?.1.status, 400, "a link outlived what it was made for");
    let (status, _, said) = gateway.on.cardea(&["user", "--tenant", "acme", "enrol", BEN]).await?;
    assert!(status == 1 && said.contains("has not joined yet"), "{said}");
    Ok(())
}

/// Where two factors are asked for, somebody with one cannot sign in; the link lets them, and nobody else, as far as adding one.
/// A password that opens nothing, whether or not it is the right one.
async fn opens_nothing(url: &Url, email: &str, password: &str) -> anyhow::Result<()> {
    let mut client = Client::browser();
    let page = client.open(url).await?;
    let page = client.submit(&page, &[("email", email)]).await?;
    let page = client.submit(&page, &[("password", password)]).await?;
    let told = page.status == 401 && page.body.contains("don’t belong together");
    anyhow::ensure!(told, "{} {}", page.status, page.body);
    anyhow::ensure!(client.cookie("acme.localhost", "cardea").is_none(), "signed in");
    Ok(())
}

#[tokio::test]
async fn below_the_minimum_the_link_leads_to_the_factors_and_no_further() -> Story {
    let (upstream, gateway) = house("minimum = 2\n").await?;
    let mut mira = gateway.person(MIRA, &["readers"]).await?;
    opens_nothing(&gateway.at("acme", "/")?, MIRA, &mira.password).await.context("one factor was enough")?;
    let link = link_for(&gateway, MIRA).await?;
    let ben = gateway.person(BEN, &["readers"]).await?;
    opens_nothing(&link, BEN, &ben.password).await.context("another's link let somebody in")?;
    // Whoever guesses learns nothing by it: that is what a wrong one is told.
    opens_nothing(&gateway.at("acme", "/")?, MIRA, "another password altogether").await?;
    let mut hers = Client::browser();
    let page = follows(&mut hers, &mira, &link).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    let app = gateway.at("echo.acme", "/x")?;
    assert_eq!(hers.open(&app).await?.status, 403);
    assert_eq!(upstream.count(), 0);
    adds_codes(&gateway, &mut hers, &mut mira).await?;
    assert_eq!(hers.open(&app).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn who_joins_is_told_of_the_minimum_where_there_is_one() -> Story {
    for (factors, must) in [("minimum = 2\n", true), ("", false)] {
        let (_upstream, gateway) = house(factors).await?;
        let (mut client, offer, _) = gateway.newcomer(MIRA, &[]).await?;
        let portal = client.open(&gateway.at("acme", "/")?).await?;
        for page in [&offer, &portal] {
            assert_eq!(page.body.contains("you cannot sign in again"), must, "{factors}: {}", page.body);
        }
        assert_eq!(offer.body.contains("Not now"), !must, "{factors}: {}", offer.body);
        for (said, when) in [("once you have a second way", must), ("Ask your administrator to add you", !must)] {
            assert_eq!(portal.body.contains(said), when, "{factors}: {said}: {}", portal.body);
        }
    }
    Ok(())
}

#[tokio::test]
async fn where_the_tenant_trusts_the_first_use_a_sign_in_is_enough() -> Story {
    let (_upstream, gateway) = house("enrol = \"sign-in\"\n").await?;
    let mut mira = gateway.person(MIRA, &["readers"]).await?;
    let (mut later, page) = mira.opens(&gateway.at("acme", "/factors")?).await?;
    assert!(page.body.contains("href=\"/factors/totp\""), "{}", page.body);
    adds_codes(&gateway, &mut later, &mut mira).await?;
    // Who has two is asked for both from then on, there as everywhere.
    let mut thief = Client::browser();
    let page = thief.open(&gateway.at("acme", "/")?).await?;
    let page = thief.submit(&page, &[("email", MIRA)]).await?;
    thief.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!(thief.open(&gateway.at("acme", "/factors/passkey")?).await?.url.path(), "/sign-in/step-up");
    Ok(())
}

/// A mailbox alone, and beside the password: worth 1, whatever is shown with it. A letter carries the link to whoever has more
/// than that mailbox to show, and notice of it to whoever has not.
#[tokio::test]
async fn who_reads_the_mailbox_adds_nothing_and_no_letter_vouches_for_a_mailbox() -> Story {
    let (upstream, mail) = (Upstream::start().await?, MailServer::start().await?);
    let plan = Plan::before(upstream.port).config(&mail.config());
    let gateway = plan.file("tenants/acme/tenant.toml", &tenant("email = true\n")).start().await?;
    let mira = gateway.person(MIRA, &["readers"]).await?;
    let by_code = async |client: &mut Client, email: &str, nth| -> anyhow::Result<Reply> {
        let page = client.open(&gateway.at("acme", "/")?).await?;
        let page = client.submit(&page, &[("email", email)]).await?;
        let page = presses(client, &page, "/sign-in/email/send").await?;
        client.submit(&page, &[("code", &mail.code(email, nth).await?)]).await
    };
    let mut reader = Client::browser();
    let page = by_code(&mut reader, MIRA, 1).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/"), "{}", page.body);
    adds_nothing(&gateway, &mut reader, "who reads the mailbox").await?;
    let mut fresh = gateway.at("acme", "/sign-in/step-up")?;
    fresh.query_pairs_mut().append_pair("need", "fresh").append_pair("to", gateway.at("acme", "/")?.as_str());
    let page = reader.open(&fresh).await?;
    let page = reader.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/"), "{}", page.body);
    adds_nothing(&gateway, &mut reader, "who has mailbox and password both").await?;

    // She has a password, too: the letter is hers.
    let said = gateway.on.does(&["user", "--tenant", "acme", "enrol", MIRA]).await?;
    assert_eq!(said, format!("a link to add a way to sign in was sent to {MIRA}"));
    let ours = |letter: &Letter| letter.link().filter(|link| link.path().starts_with("/factors/link/"));
    let link = mail.letter(MIRA, ours).await?;
    // Who reads it, and gets in by a code alone, is asked for the password, and does not use it up.
    let mut reader = Client::browser();
    let signed_in = by_code(&mut reader, MIRA, 2).await?;
    assert_eq!(presses(&mut reader, &signed_in, link.path()).await?.url.path(), "/sign-in/step-up");
    let page = reader.open(&link).await?;
    assert_eq!(page.url.path(), "/sign-in/step-up", "{}", page.body);
    adds_nothing(&gateway, &mut reader, "who reads the mailbox, and the link in it").await?;
    let page = reader.open(&link).await?;
    let page = reader.submit(&page, &[("password", PASSWORD)]).await?;
    assert_eq!((page.status, &page.url), (http::StatusCode::OK, &link), "{}", page.body);
    presses(&mut reader, &page, link.path()).await?;
    let page = reader.open(&gateway.at("acme", "/factors/passkey")?).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors/passkey"), "{}", page.body);
    drop(mira);

    // Ben has the mailbox alone.
    let out = gateway.on.does(&["--format", "json", "user", "--tenant", "acme", "invite", "--print", BEN]).await?;
    let invitation = Url::parse(serde_json::from_str::<Value>(&out)?["url"].as_str().context("no link")?)?;
    let mut his = Client::browser();
    let page = his.open(&invitation).await?;
    let page = presses(&mut his, &page, &format!("{}/email", invitation.path())).await?;
    let page = his.submit(&page, &[("code", &mail.code(BEN, 1).await?)]).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    let said = gateway.on.does(&["user", "--tenant", "acme", "enrol", BEN]).await?;
    let link = Url::parse(said.trim()).with_context(|| said.clone())?;
    let notice = mail.letter(BEN, |one| one.subject().contains("made a link").then(|| one.text.clone())).await?;
    assert!(!notice.contains(link.path()), "the letter carries the link: {notice}");
    let mut later = Client::browser();
    by_code(&mut later, BEN, 2).await?;
    let page = later.open(&link).await?;
    presses(&mut later, &page, link.path()).await?;
    let page = later.open(&gateway.at("acme", "/factors/passkey")?).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors/passkey"), "{}", page.body);
    Ok(())
}

/// The link was judged by what its person had when it was made: once that was gone, the mailbox alone added a factor.
#[tokio::test]
async fn a_link_that_went_by_letter_is_worth_nothing_once_the_mailbox_is_all_there_is() -> Story {
    let (upstream, mail) = (Upstream::start().await?, MailServer::start().await?);
    let plan = Plan::before(upstream.port).config(&mail.config());
    let gateway = plan.file("tenants/acme/tenant.toml", &tenant("email = true\n")).start().await?;
    gateway.person(MIRA, &["readers"]).await?;
    gateway.on.does(&["user", "--tenant", "acme", "enrol", MIRA]).await?;
    let ours = |letter: &Letter| letter.link().filter(|link| link.path().starts_with("/factors/link/"));
    let link = mail.letter(MIRA, ours).await?;
    gateway.on.write("resources/tenants/acme/tenant.toml", &tenant("email = true\npassword = false\n"))?;
    gateway.on.apply().await?;
    let mut reader = Client::browser();
    let by_code = async {
        loop {
            // Until the change is heard of the password is asked for.
            let page = reader.open(&gateway.at("acme", "/")?).await?;
            let page = reader.submit(&page, &[("email", MIRA)]).await?;
            if form::find(&page.body, "code").is_some() {
                return anyhow::Ok(page);
            }
        }
    };
    let page = tokio::time::timeout(HEARD, by_code).await.context("the password is asked for still")??;
    let page = reader.submit(&page, &[("code", &mail.code(MIRA, 1).await?)]).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/"), "{}", page.body);
    let page = reader.open(&link).await?;
    assert!(page.status.is_client_error() && page.url == link, "{} {}", page.url, page.body);
    let page = presses(&mut reader, &page, link.path()).await?;
    assert!(page.status.is_client_error(), "{}", page.body);
    let page = reader.open(&gateway.at("acme", "/factors/passkey")?).await?;
    assert!(page.body.contains("a link from your administrator"), "{} {}", page.url, page.body);
    // Handed over it is hers again.
    let link = link_for(&gateway, MIRA).await?;
    let page = reader.open(&link).await?;
    let page = presses(&mut reader, &page, link.path()).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    Ok(())
}

#[tokio::test]
async fn administrators_make_links_for_others_who_need_one() -> Story {
    let (_upstream, gateway) = house("").await?;
    let (mut ada, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    let mut mira = gateway.person(MIRA, &["readers"]).await?;
    let all = gateway.on.does(&["--format", "json", "user", "--tenant", "acme", "list"]).await?;
    let all: Vec<Value> = all.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let at = |email: &str| {
        let id =
            all.iter().find(|one| one["email"] == email).and_then(|one| one["id"].as_str()).context("not there")?;
        gateway.at("acme", &format!("/api/v1/users/{id}/enrol"))
    };
    assert_eq!(ada.send(Method::POST, &at("ada@acme.example")?, None).await?.status, 409, "oneself");
    let (mut hers, _) = mira.opens(&gateway.at("acme", "/")?).await?;
    assert_eq!(hers.send(Method::POST, &at("ada@acme.example")?, None).await?.status, 403);
    assert_eq!(hers.send(Method::POST, &at(MIRA)?, None).await?.status, 403);
    let made = ada.send(Method::POST, &at(MIRA)?, None).await?.json()?;
    assert_eq!(made["mailed"], false, "{made}");
    let link = Url::parse(made["url"].as_str().context("no link")?)?;
    // Who is signed in already shows it there.
    let page = follows(&mut hers, &mira, &link).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/factors"), "{}", page.body);
    adds_codes(&gateway, &mut hers, &mut mira).await?;
    let refused = ada.send(Method::POST, &at(MIRA)?, None).await?;
    assert!(refused.status == 409 && refused.body.contains("can show two factors"), "{}", refused.body);
    Ok(())
}
