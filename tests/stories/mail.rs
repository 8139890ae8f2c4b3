//! Letters: what arrives, over what, and what happens where no mail server is.

use anyhow::Context;
use cardea_tests::{
    Client, Gateway, MailServer, Person, Plan, Story, Upstream,
    gateway::PASSWORD,
    mail::{Letter, Protection},
};

const MIRA: &str = "mira@acme.example";

async fn before(mail: &MailServer, factors: &str) -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let tenant = format!("id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n{factors}");
    let plan = Plan::before(upstream.port).config(&mail.config()).file("tenants/acme/tenant.toml", &tenant);
    Ok((upstream, plan.start().await?))
}

fn about<'a>(subject: &'a str) -> impl Fn(&Letter) -> Option<Letter> + 'a {
    move |letter| (letter.subject() == subject).then(|| letter.clone())
}

#[tokio::test]
async fn an_invitation_arrives_by_mail_and_is_printed_where_that_is_asked_for() -> Story {
    let mail = MailServer::start().await?;
    let (_upstream, gateway) = before(&mail, "").await?;
    let said = gateway.on.does(&["user", "--tenant", "acme", "invite", MIRA, "--group", "readers"]).await?;
    assert_eq!(said, format!("an invitation was sent to {MIRA}"));
    let letter = mail.letter(MIRA, about("Your invitation to Acme")).await?;
    assert_eq!((letter.from.as_str(), letter.to.as_slice()), ("no-reply@acme.example", &[MIRA.to_owned()][..]));
    for (header, value) in [
        ("from", "Acme <no-reply@acme.example>"),
        ("to", MIRA),
        ("auto-submitted", "auto-generated"),
        ("content-language", "en"),
    ] {
        assert_eq!(letter.headers.get(header).map(String::as_str), Some(value), "{:?}", letter.headers);
    }
    let link = letter.link().context("no link")?;
    let mut client = Client::browser();
    let page = client.open(&link).await?;
    let page = client.submit(&page, &[("password", PASSWORD), ("again", PASSWORD)]).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    // In so many words: the link, and no letter.
    let said = gateway.on.does(&["user", "--tenant", "acme", "invite", "ben@acme.example", "--print"]).await?;
    assert!(said.contains("/sign-in/invitation/"), "{said}");
    assert!(mail.letters_to("ben@acme.example")?.is_empty());
    Ok(())
}

/// And over nothing else: a server whose certificate nobody vouches for is handed neither the password nor the letter.
#[tokio::test]
async fn letters_and_the_password_go_over_tls_alone() -> Story {
    for protection in [Protection::Implicit, Protection::Starttls] {
        let mail = MailServer::with(protection).await?;
        let (_upstream, gateway) = before(&mail, "").await?;
        gateway.on.does(&["user", "--tenant", "acme", "invite", MIRA]).await?;
        let letter = mail.letter(MIRA, about("Your invitation to Acme")).await?;
        assert!(letter.tls, "{protection:?}");
        // By the system's roots it is nobody's.
        let config = gateway.on.read("cardea.toml")?;
        let ours = |line: &&str| !(line.starts_with("ca_file") && line.contains("roots.pem"));
        gateway.on.write("cardea.toml", &config.lines().filter(ours).collect::<Vec<_>>().join("\n"))?;
        let (_, said, _) = gateway.on.cardea(&["user", "--tenant", "acme", "invite", "ben@acme.example"]).await?;
        assert!(said.contains("/sign-in/invitation/"), "{protection:?}: {said}");
        assert!(mail.letters_to("ben@acme.example")?.is_empty(), "{protection:?}");
    }
    Ok(())
}

/// What an administrator invites from the console arrives too, and the console still shows the link.
#[tokio::test]
async fn the_consoles_invitations_arrive_too() -> Story {
    let mail = MailServer::start().await?;
    let (_upstream, gateway) = before(&mail, "").await?;
    let (mut client, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    client.program = true;
    let new = serde_json::json!({ "email": MIRA, "name": "Mira" });
    let invited = client.json(http::Method::POST, &gateway.at("acme", "/api/v1/users")?, &new).await?;
    assert_eq!(invited.status, 201, "{}", invited.body);
    let invited = invited.json()?;
    assert_eq!(invited["mailed"], true);
    let link = mail.letter(MIRA, |letter| letter.link()).await?;
    assert_eq!(invited["invitation_url"], link.as_str());
    let id = invited["user"]["id"].as_str().context("no id")?;
    let again = gateway.at("acme", &format!("/api/v1/users/{id}/invite"))?;
    let again = client.json(http::Method::POST, &again, &serde_json::json!({})).await?.json()?;
    let newest = mail.letter(MIRA, |letter| letter.link().filter(|newest| *newest != link)).await?;
    assert_eq!(again["invitation_url"], newest.as_str());
    assert_eq!(Client::browser().open(&link).await?.status, 400, "the older link opens nothing");

    // A link that replaces what somebody has goes by no letter, since whoever reads the mailbox would be in; nor does anybody
    // replace their own without showing it.
    gateway.person("ben@acme.example", &["readers"]).await?;
    let all = gateway.on.does(&["--format", "json", "user", "--tenant", "acme", "list"]).await?;
    let all: Vec<serde_json::Value> = all.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let at = |email: &str| {
        let found = all.iter().find(|one| one["email"] == email).and_then(|one| one["id"].as_str());
        gateway.at("acme", &format!("/api/v1/users/{}/invite", found.context("not there")?))
    };
    let links = |email: &str| -> anyhow::Result<usize> {
        Ok(mail.letters_to(email)?.iter().filter(|letter| letter.link().is_some()).count())
    };
    let before = links("ben@acme.example")?;
    let handed = client.json(http::Method::POST, &at("ben@acme.example")?, &serde_json::json!({})).await?.json()?;
    assert_eq!(handed["mailed"], false, "{handed}");
    let (status, out, err) = gateway.on.cardea(&["user", "--tenant", "acme", "invite", "ben@acme.example"]).await?;
    assert!(status == 0 && out.contains("/sign-in/invitation/") && err.contains("no letter carries it"), "{out}{err}");
    // Nor does one for who was here and starts over: they are invited again, by whoever made sure who asks.
    gateway.on.does(&["user", "--tenant", "acme", "reset", "--yes", "ben@acme.example"]).await?;
    let handed = client.json(http::Method::POST, &at("ben@acme.example")?, &serde_json::json!({})).await?.json()?;
    assert_eq!(handed["mailed"], false, "{handed}");
    let (status, out, err) = gateway.on.cardea(&["user", "--tenant", "acme", "invite", "ben@acme.example"]).await?;
    assert!(status == 0 && out.contains("/sign-in/invitation/") && err.contains("no letter carries it"), "{out}{err}");
    let own = client.json(http::Method::POST, &at("ada@acme.example")?, &serde_json::json!({})).await?;
    assert_eq!(own.status, 409, "{}", own.body);
    // Letters of a tenant go in their order: what was to come would have come before this one.
    let new = serde_json::json!({ "email": "carl@acme.example", "name": "Carl" });
    client.json(http::Method::POST, &gateway.at("acme", "/api/v1/users")?, &new).await?;
    mail.letter("carl@acme.example", |letter| letter.link()).await?;
    assert_eq!(links("ben@acme.example")?, before);
    Ok(())
}

/// In the tenant's language: of whoever did it we know no other.
#[tokio::test]
async fn a_person_is_told_of_new_browsers_and_of_changed_ways_to_sign_in() -> Story {
    let mail = MailServer::start().await?;
    let (_upstream, gateway) = before(&mail, "").await?;
    let (mut client, _) = gateway.person_with_codes(MIRA, &["readers"]).await?;
    let added = mail.letter(MIRA, about("Acme: A way to sign in was added (Authenticator app)")).await?;
    assert!(added.text.contains("/sessions") && added.text.contains("If that wasn’t you"), "{}", added.text);
    mail.letter(MIRA, about("Acme: A way to sign in was added (Password)")).await?;
    // Recovery codes made anew, and one of them used.
    let page = client.open(&gateway.at("acme", "/factors/recovery")?).await?;
    let shown = page.body.split("<li>").find(|item| item.get(..19).is_some_and(|code| code.matches('-').count() == 3));
    let code = shown.and_then(|item| item.get(..19)).context("no code")?.to_owned();
    client.submit(&page, &[("kept", "yes")]).await?;
    mail.letter(MIRA, about("Acme: New recovery codes were made")).await?;
    // The browser that joined is known; another is not, once.
    let news = || {
        Ok::<_, anyhow::Error>(
            mail.letters_to(MIRA)?.iter().filter(|one| one.subject().contains("new browser")).count(),
        )
    };
    assert_eq!(news()?, 0);
    let password = Person::new("acme", MIRA, PASSWORD);
    let (mut other, _) = password.opens(&gateway.at("acme", "/")?).await?;
    let told = mail.letter(MIRA, about("Acme: Sign-in from a new browser")).await?;
    assert!(told.text.contains("Network address: 127.0.0.1") && told.text.contains(" UTC"), "{}", told.text);
    let mut url = gateway.at("acme", "/sign-in/step-up")?;
    url.query_pairs_mut().append_pair("need", "2").append_pair("to", gateway.at("acme", "/")?.as_str());
    other.open(&url).await?;
    let page = other.open(&gateway.at("acme", "/sign-in/recovery")?).await?;
    let page = other.submit(&page, &[("recovery", &code)]).await?;
    let used = mail.letter(MIRA, about("Acme: A recovery code was used")).await?;
    assert!(used.text.contains("Codes left: 9") && !used.text.contains(&code), "{}", used.text);
    let way = cardea_tests::form::link(&page.body, "/factors/0").context("no factor")?.replace("/name", "/remove");
    let page = other.open(&page.url.join(&way)?).await?;
    other.submit(&page, &[("", "")]).await?;
    mail.letter(MIRA, about("Acme: A way to sign in was removed (Authenticator app)")).await?;
    assert_eq!(news()?, 1, "told once");
    let all = serde_json::to_string(&gateway.on.log("acme").await?)?;
    assert!(!all.contains("mail-failed"), "{all}");
    Ok(())
}

#[tokio::test]
async fn letters_speak_the_tenants_language_and_codes_the_readers() -> Story {
    let mail = MailServer::start().await?;
    let (_upstream, gateway) = before(&mail, "language = \"de\"\n[factors]\nemail = true\n").await?;
    gateway.on.does(&["user", "--tenant", "acme", "invite", MIRA]).await?;
    let letter = mail.letter(MIRA, about("Ihre Einladung zu Acme")).await?;
    assert_eq!(letter.headers.get("content-language").map(String::as_str), Some("de"));
    let mut client = Client::browser();
    let link = letter.link().context("no link")?;
    let page = client.open(&link).await?;
    client.submit(&page, &[("password", PASSWORD), ("again", PASSWORD)]).await?;
    mail.letter(MIRA, about("Acme: Anmeldemethode hinzugefügt (Passwort)")).await?;
    let mut reader = Client::browser();
    reader.headers.push(("accept-language".to_owned(), "en".to_owned()));
    let page = reader.open(&gateway.at("acme", "/")?).await?;
    let page = reader.submit(&page, &[("email", MIRA)]).await?;
    let form = Some(("application/x-www-form-urlencoded", String::new()));
    reader.send(http::Method::POST, &page.url.join("/sign-in/email/send")?, form).await?;
    let code = mail.letter(MIRA, |letter| letter.code().map(|_| letter.clone())).await?;
    assert_eq!(code.headers.get("content-language").map(String::as_str), Some("en"));
    Ok(())
}

/// Whoever asks for a code is answered as ever; what failed is told to the operator, without a name.
#[tokio::test]
async fn a_mail_server_that_is_down_keeps_nobody_waiting_and_is_told() -> Story {
    let mut mail = MailServer::start().await?;
    let (_upstream, mut gateway) = before(&mail, "[factors]\nemail = true\n").await?;
    gateway.person(MIRA, &["readers"]).await?;
    mail.letter(MIRA, about("Acme: A way to sign in was added (Password)")).await?;
    mail.dies().await?;
    let mut client = Client::browser();
    let mut page = client.open(&gateway.at("acme", "/")?).await?;
    page = client.submit(&page, &[("email", MIRA)]).await?;
    let send = page.url.join("/sign-in/email/send")?;
    let form = || Some(("application/x-www-form-urlencoded", String::new()));
    let sent = client.send(http::Method::POST, &send, form()).await?;
    page = client.follow(sent).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/sign-in/email"), "{}", page.body);
    gateway.counts("cardea_mail_total{letter=\"code\",outcome=\"failed\"} 1").await?;
    gateway.says("a letter was not sent").await?;
    let failed = |log: &[serde_json::Value]| {
        let event = log.iter().map(|one| one["event"].clone()).rfind(|event| event["kind"] == "mail-failed");
        event.context("no entry")
    };
    let event = failed(&gateway.on.log("acme").await?)?;
    assert_eq!((&event["user"]["email"], &event["letter"]), (&MIRA.into(), &"code".into()));
    // It is back, and hesitates, as some do.
    mail.starts().await?;
    mail.hesitates()?;
    let sent = client.send(http::Method::POST, &send, form()).await?;
    page = client.follow(sent).await?;
    let code = mail.code(MIRA, 1).await?;
    // What it says of a person whom it does not know is not said on.
    mail.refuses()?;
    let page = client.submit(&page, &[("code", &code)]).await?;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/"), "{}", page.body);
    let (status, out, err) = gateway.on.cardea(&["user", "--tenant", "acme", "invite", "ben@acme.example"]).await?;
    assert!(
        status == 0 && out.contains("/sign-in/invitation/") && err.contains("the mail server answered 550"),
        "{out}{err}"
    );
    gateway.counts("cardea_mail_total{letter=\"notice\",outcome=\"failed\"} 1").await?;
    let event = failed(&gateway.on.log("acme").await?)?;
    assert_eq!(event["detail"], "the mail server answered 550");
    mail.relents()?;
    let said = gateway.on.said();
    assert!(!said.contains("@acme.example") && !said.contains(&code) && !said.contains("of that name"), "{said}");
    Ok(())
}

#[tokio::test]
async fn without_mail_links_are_printed_and_no_code_is_offered() -> Story {
    let upstream = Upstream::start().await?;
    let tenant = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[factors]\nemail = true\n";
    let mut gateway = Plan::before(upstream.port).file("tenants/acme/tenant.toml", tenant).start().await?;
    gateway.says("no code is offered").await?;
    gateway.person(MIRA, &["readers"]).await?;
    let mut client = Client::browser();
    let page = client.open(&gateway.at("acme", "/")?).await?;
    let page = client.submit(&page, &[("email", MIRA)]).await?;
    assert!(page.url.path() == "/sign-in/password" && !page.body.contains("/sign-in/email/send"), "{}", page.body);
    Ok(())
}
