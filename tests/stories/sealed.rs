//! Whoever takes the disk learns nobody's name, address or secret from it; and all is found again by whoever has the key.

use anyhow::Context;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use cardea_tests::{Client, Demo, Plan, Story, Upstream, gateway::POLICIES};
use http::Method;

/// Every file of the database, as it lies there.
fn files(state: &std::path::Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(state)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("cardea.db") {
            files.push((name, std::fs::read(&path)?));
        }
    }
    anyhow::ensure!(files.iter().any(|(name, bytes)| name == "cardea.db-wal" && !bytes.is_empty()), "no log of writes");
    Ok(files)
}

/// What of these is found in the files, in any case of letters.
fn found(files: &[(String, Vec<u8>)], wanted: &[Vec<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in files {
        for one in wanted {
            if bytes.windows(one.len()).any(|part| part.eq_ignore_ascii_case(one)) {
                found.push(format!("{name}: {}", String::from_utf8_lossy(one)));
            }
        }
    }
    found
}

/// The forms in which a secret of base32 could lie somewhere.
fn forms(secret: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut bits = (0_u64, 0_u32);
    let mut raw = Vec::new();
    for c in secret.chars().filter(|c| !c.is_whitespace() && *c != '=') {
        let value = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c.to_ascii_uppercase()).context("no base32")?;
        bits = (bits.0 << 5 | value as u64, bits.1 + 5);
        if bits.1 >= 8 {
            bits.1 -= 8;
            raw.push(u8::try_from(bits.0 >> bits.1 & 0xff)?);
        }
    }
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = [STANDARD.encode(&raw), STANDARD_NO_PAD.encode(&raw), URL_SAFE_NO_PAD.encode(&raw)];
    let mut forms: Vec<_> = base64.into_iter().chain([hex, secret.to_owned()]).map(String::into_bytes).collect();
    forms.push(raw);
    Ok(forms)
}

#[tokio::test]
async fn a_stolen_disk_tells_nobodys_address_name_or_secret() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let (mut client, mira) = gateway.person_with_codes("mira@acme.example", &["administrators"]).await?;
    let secret = mira.totp.clone().context("no codes")?;

    // An open invitation, a search, a sign-in that fails, a request that is refused, policies that a person takes back.
    let invite = ["user", "--tenant", "acme", "invite", "ben@acme.example", "--name", "Benedetta Fictional"];
    gateway.on.does(&invite).await?;
    assert!(gateway.on.does(&["user", "--tenant", "acme", "list", "benedetta"]).await?.contains("ben@acme.example"));
    let page = Client::browser().open(&gateway.at("acme", "/sign-in")?).await?;
    let mut stranger = Client::browser();
    let page = stranger.open(&page.url).await?;
    let page = stranger.submit(&page, &[("email", "stranger@nowhere.example")]).await?;
    stranger.submit(&page, &[("password", "not the one at all")]).await?;
    client.get(&gateway.at("echo.acme", "/secret/plan")?).await?;
    let policies = format!("{POLICIES}\n// Written once more.\n");
    gateway.on.write("resources/tenants/acme/policies/echo.cedar", &policies)?;
    gateway.on.apply().await?;
    client.program = true;
    let back = client.send(Method::POST, &gateway.at("acme", "/api/v1/policies/versions/1/activate")?, None).await?;
    assert_eq!(back.status, 200, "{}", back.body);
    let told = gateway.on.log("acme").await?;
    let whole = serde_json::to_string(&told)?;
    let who = ["mira@acme.example", "ben@acme.example", "stranger@nowhere.example"];
    assert!(who.iter().all(|email| whole.contains(email)), "the log tells who it was: {whole}");

    let on = gateway.kill().await?;
    let mut wanted = forms(&secret)?;
    wanted.extend(who.into_iter().chain(["Benedetta", "Authenticator app"]).map(|text| text.as_bytes().to_vec()));
    assert_eq!(found(&files(&on.path("state"))?, &wanted), Vec::<String>::new());

    // Whoever has the key finds all of it, and the chain is whole.
    let gateway = on.start().await?;
    let (mut client, page) = mira.opens(&gateway.at("acme", "/")?).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    let listed = client.send(Method::GET, &gateway.at("acme", "/factors")?, None).await?;
    assert!(listed.body.contains("Authenticator app"), "{}", listed.body);
    gateway.on.does(&["audit", "verify"]).await?;
    Ok(())
}

#[tokio::test]
async fn the_demos_people_are_not_found_on_its_disk() -> Story {
    let demo = Demo::start().await?;
    let people = demo.told.people.clone();
    for person in &people {
        demo.signed_in(&person.email, &demo.at(&person.tenant, "/")?).await?;
    }
    let mut wanted = Vec::new();
    for person in &people {
        wanted.push(person.email.clone().into_bytes());
        if let Some(secret) = &person.totp {
            wanted.extend(forms(secret)?);
        }
    }
    let before = wanted.len();
    let names = demo.does(&["--format", "json", "user", "--tenant", "acme", "list"]).await?;
    for name in names.split("\"name\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        wanted.push(name.as_bytes().to_vec());
    }
    assert!(wanted.len() > before, "no names to look for: {names}");
    let folder = demo.kill().await?;
    let state =
        [folder.path().join("state"), folder.path().to_owned()].into_iter().find(|dir| dir.join("cardea.db").exists());
    let files = files(&state.context("no database")?)?;
    assert_eq!(found(&files, &wanted), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn keys_are_replaced_while_people_are_at_work_and_all_is_there_afterwards() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let (mut client, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let secret = gateway.at("echo.acme", "/secret/plan")?;
    assert_eq!(client.open(&secret).await?.status, 200);
    let before = gateway.on.read("state/operator.key")?;

    // The one after the other, with a gateway that runs: whoever is signed in stays so.
    let said = gateway.on.does(&["keys", "rotate"]).await?;
    assert!(said.contains("the operator's key is another one"), "{said}");
    assert_ne!(gateway.on.read("state/operator.key")?, before);
    assert_eq!(gateway.on.read("state/operator.key.before")?, before);
    let said = gateway.on.does(&["keys", "rotate", "--all-tenants"]).await?;
    assert!(said.contains("acme: the key is another one") && said.contains("the old one opens until"), "{said}");
    assert_eq!(client.get(&secret).await?.status, 200);
    let ben = gateway.person("ben@acme.example", &["readers"]).await?;
    assert_eq!(gateway.on.cardea(&["keys", "rotate", "--tenant", "nobody"]).await?.0, 2);
    let said = gateway.on.does(&["keys", "rotate", "--tenant", "acme"]).await?;
    assert!(said.contains("acme: the change of the key went on"), "{said}");
    let log = gateway.on.log("acme").await?;
    assert!(log.iter().any(|one| one["event"]["kind"] == "key-rotated" && one["event"]["purpose"] == "tenant"));

    // As after a power cut; the old key opens nothing any more.
    let on = gateway.kill().await?;
    let gateway = on.start().await?;
    assert_eq!(client.get(&gateway.at("echo.acme", "/secret/plan")?).await?.status, 200);
    assert_eq!(ben.opens(&gateway.at("acme", "/")?).await?.1.status, 200);
    let (mut again, page) = mira.opens(&gateway.at("acme", "/")?).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    let portal = gateway.at("acme", "/")?;
    mira.steps_up(&mut again, &portal, &portal).await?;
    let on = gateway.stop().await?;
    on.does(&["audit", "verify"]).await?;
    on.write("state/operator.key", &before)?;
    let (status, _, said) = on.cardea(&["user", "--tenant", "acme", "suspend", "ben@acme.example"]).await?;
    assert!(status != 0 && said.contains("another operator's key"), "{said}");
    Ok(())
}
