//! Resources as files: what is exported and applied changes nothing; what is wrong changes nothing either.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use cardea_tests::{Client, Demo, Gateway, Installation, Plan, Story, Upstream};
use http::Method;
use serde_json::{Value, json};
use url::Url;

/// Every file below a folder.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder)?.display().to_string();
                found.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(found)
}

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

#[tokio::test]
async fn what_is_exported_and_applied_changes_nothing() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    // Letter by letter: a slash behind a host is one that somebody wrote.
    for (id, issuer) in [("bare", "https://login.acme.example"), ("slash", "https://login.acme.example/")] {
        let text = format!("id = \"{id}\"\nname = \"W\"\nissuer = \"{issuer}\"\nclient_id = \"c\"\n");
        on.write(&format!("resources/tenants/acme/providers/{id}.toml"), &text)?;
    }
    on.apply().await?;
    on.does(&["export", "exported"]).await?;
    for (id, issuer) in [("bare", "https://login.acme.example"), ("slash", "https://login.acme.example/")] {
        let text = on.read(&format!("exported/tenants/acme/providers/{id}.toml"))?;
        assert!(text.contains(&format!("issuer = \"{issuer}\"\n")), "{text}");
    }
    let first = files(&on.path("exported"))?;
    assert!(first.keys().any(|name| name == "tenants/acme/policies/echo.cedar"), "{:?}", first.keys());
    let plan: Value = serde_json::from_str(&on.does(&["--format", "json", "apply", "exported", "--plan"]).await?)?;
    assert_eq!(plan["plan"], serde_json::json!([]), "the plan is not empty");
    on.does(&["apply", "exported", "--yes"]).await?;
    on.does(&["export", "again"]).await?;
    assert_eq!(files(&on.path("again"))?, first);
    let out = on.does(&["apply", "resources", "--yes"]).await?;
    assert_eq!(out, "nothing to change");
    Ok(())
}

#[tokio::test]
async fn the_demonstration_survives_an_export_and_an_apply() -> Story {
    let demo = Demo::start().await?;
    let folder = demo.folder().join("exported");
    let exported = folder.to_str().unwrap_or_default();
    let (status, _, err) = demo.cardea(&["export", exported]).await?;
    assert_eq!(status, 0, "{err}");
    let (status, out, err) = demo.cardea(&["apply", exported, "--yes"]).await?;
    assert_eq!((status, out.trim()), (0, "nothing to change"), "{err}");
    Ok(())
}

async fn public(client: &mut Client, url: &Url) -> anyhow::Result<u16> {
    Ok(client.get(url).await?.status.as_u16())
}

#[tokio::test]
async fn a_plan_shows_what_will_change_and_the_next_request_obeys() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    let (mut visitor, url) = (Client::program(), gateway.at("echo.acme", "/public/x")?);
    assert_eq!(public(&mut visitor, &url).await?, 200);
    on.edit(
        "resources/tenants/acme/policies/echo.cedar",
        "permit (principal, action,",
        "permit (principal is User, action,",
    )?;
    on.edit("resources/tenants/acme/groups/readers.toml", "Readers", "All who read")?;
    on.write("resources/tenants/acme/groups/chemists.toml", "id = \"chemists\"\nname = \"Chemists\"\n")?;

    let plan = on.does(&["apply", "resources", "--plan"]).await?;
    for word in ["readers", "chemists", "policies"] {
        assert!(plan.contains(word), "the plan does not tell of {word}: {plan}");
    }
    // Nobody said yes.
    let (status, _, err) = on.cardea(&["apply", "resources"]).await?;
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("--yes"), "{err}");
    assert_eq!(public(&mut visitor, &url).await?, 200);

    on.apply().await?;
    let log = on.log("acme").await?;
    let applied = log.iter().rfind(|entry| entry["event"]["kind"] == "resources-applied").map(|entry| &entry["event"]);
    let hashes = applied.and_then(|event| event["hashes"].as_array()).cloned().unwrap_or_default();
    let whats: Vec<_> = hashes.iter().filter_map(|one| one["what"].as_str()).collect();
    assert_eq!(whats, ["acme: group chemists", "acme: group readers", "acme: policies", "acme: decisions"]);
    assert!(hashes[0]["before"].is_null() && hashes[1]["before"].is_string(), "{hashes:?}");
    let activated = log.iter().rfind(|entry| entry["event"]["kind"] == "policy-activated").map(|entry| &entry["event"]);
    let decides = activated.map_or(Value::Null, |event| event["policy"]["hash"].clone());
    assert_eq!(hashes[3]["after"], decides, "the entries tell the same hash");
    let obeyed = async {
        while public(&mut visitor, &url).await? == 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), obeyed).await??;
    assert_eq!(public(&mut visitor, &url).await?, 401);
    Ok(())
}

/// Applies what cannot be, and finds the store as it was.
async fn refused(on: &Installation, words: &[&str]) -> Story {
    on.does(&["export", "before"]).await?;
    let before = files(&on.path("before"))?;
    let (status, out, err) = on.cardea(&["apply", "resources", "--yes"]).await?;
    assert_eq!(status, 1, "{out}{err}");
    for word in words {
        assert!(err.contains(word), "`{word}` is not told: {err}");
    }
    on.does(&["export", "after"]).await?;
    assert_eq!(files(&on.path("after"))?, before, "a refused apply changed something");
    Ok(())
}

#[tokio::test]
async fn policies_that_fail_their_tests_do_not_take_effect() -> Story {
    let (_upstream, gateway) = house().await?;
    let tests = r#"[[test]]
name = "visitors read what is public"
app = "echo"
request = "GET /public/x"
expect = "allow"

[[test]]
name = "visitors read all"
app = "echo"
request = "GET /x"
expect = "allow"
"#;
    gateway.on.write("resources/tenants/acme/policies/tests.toml", tests)?;
    gateway.on.write("resources/tenants/acme/groups/late.toml", "id = \"late\"\nname = \"Late\"\n")?;
    refused(&gateway.on, &["visitors read all", "tenants/acme/policies/tests.toml"]).await?;
    let (status, out, _) = gateway.on.cardea(&["policy", "test", "resources"]).await?;
    assert_eq!(status, 1);
    assert!(
        out.contains("ok   acme: visitors read what is public") && out.contains("FAIL acme: visitors read all"),
        "{out}"
    );
    Ok(())
}

#[tokio::test]
async fn what_an_app_names_must_be_there_before_anything_is_changed() -> Story {
    let (_upstream, gateway) = house().await?;
    let app = "resources/tenants/acme/apps/echo.toml";
    let before = gateway.on.read(app)?;
    gateway.on.write("resources/tenants/acme/groups/late.toml", "id = \"late\"\nname = \"Late\"\n")?;
    gateway.on.edit(app, "url = \"http://", "ca_file = \"none.pem\"\nurl = \"https://")?;
    refused(&gateway.on, &["tenants/acme/apps/echo.toml", "none.pem", "help: name a PEM file"]).await?;
    gateway.on.write(app, &before)?;
    gateway.on.edit(app, "Remote-User", "\"Remote User\"")?;
    refused(&gateway.on, &["tenants/acme/apps/echo.toml", "`Remote User` is not a header name"]).await
}

#[tokio::test]
async fn one_mistake_among_many_changes_keeps_all_of_them_back() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.on.write("resources/tenants/acme/groups/late.toml", "id = \"late\"\nname = \"Late\"\n")?;
    gateway.on.edit("resources/tenants/north/policies/echo.cedar", "context.assurance", "context.assurence")?;
    refused(&gateway.on, &["tenants/north/policies/echo.cedar:9:", "assurence"]).await
}

#[tokio::test]
async fn a_tenant_is_deleted_by_its_name_and_by_nothing_less() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    std::fs::remove_dir_all(on.path("resources/tenants/north"))?;
    on.write("resources/tenants/acme/groups/late.toml", "id = \"late\"\nname = \"Late\"\n")?;
    let plan = on.does(&["apply", "resources", "--plan"]).await?;
    assert!(plan.contains("- tenant north"), "{plan}");
    for arguments in [&["--yes"][..], &["--delete-tenant", "north"], &["--yes", "--delete-tenant", "acme"]] {
        let (status, _, err) = on.cardea(&[&["apply", "resources"], arguments].concat()).await?;
        assert!(status == 1 && err.contains("nothing was changed"), "{arguments:?}: {status} {err}");
        let missing = if arguments.contains(&"--yes") { "`--delete-tenant north`" } else { "`--yes`" };
        assert!(err.contains(missing), "{arguments:?}: {err}");
    }
    on.does(&["export", "still"]).await?;
    assert!(on.path("still/tenants/north").is_dir(), "it was deleted without its name");
    assert!(!on.path("still/tenants/acme/groups/late.toml").exists(), "a part was applied");
    on.does(&["apply", "resources", "--yes", "--delete-tenant", "north"]).await?;
    on.does(&["export", "after"]).await?;
    assert!(!on.path("after/tenants/north").exists() && on.path("after/tenants/acme/groups/late.toml").exists());

    // Its log stays as a chain that can be checked and not be read; programs are told of how many entries that is so. Reading
    // once wanted to make it a key, which whoever only reads cannot.
    let told: Value = serde_json::from_str(&on.does(&["--format", "json", "audit", "verify"]).await?)?;
    let of = |log: &str| told["logs"].as_array().and_then(|logs| logs.iter().find(|one| one["log"] == log)).cloned();
    let (acme, north) = (of("acme").context("no log of acme")?, of("north").context("no log of north")?);
    assert_eq!((&told["ok"], &acme["closed_entries"]), (&true.into(), &0.into()), "{told}");
    assert!(north["entries"].as_u64() > Some(0) && north["closed_entries"] == north["entries"], "{told}");
    Ok(())
}

/// One row that could not be read held up `apply`, `export`, `check` and `policy` for every tenant, and nothing but a hand in the
/// database would have mended it.
#[tokio::test]
async fn a_tenant_that_cannot_be_read_holds_up_no_other_and_its_files_mend_it() -> Story {
    const BROKEN: &str = "UPDATE resources SET spec = '{' WHERE tenant = 'north' AND kind = 'app'";
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    let asked = Client::program().get(&gateway.at("echo.north", "/x")?).await?;
    let id = asked.header("x-request-id").context("no id")?.to_owned();
    on.log("north").await?;
    on.does(&["export", "kept"]).await?;
    let (kept, tenant) = (files(&on.path("kept"))?, on.path("resources/tenants/north"));
    on.by_hand(BROKEN).await?;
    for (arguments, goes_on) in [
        (&["export", "kept"][..], "1 tenant in `kept`; 0 files changed"),
        (&["check"], ""),
        (&["check", "--diff"], "nothing would change"),
        (&["policy", "test"], ", 0 failed"),
        (&["policy", "explain", &id], "GET echo.north.localhost/x ended with 401"),
    ] {
        let (status, out, err) = on.cardea(arguments).await?;
        assert!(status == 1 && out.contains(goes_on), "{arguments:?}: {status} {out}{err}");
        assert!(err.contains("tenants/north: app `echo`: "), "{arguments:?} does not tell what is amiss: {err}");
    }
    assert_eq!(files(&on.path("kept"))?, kept, "what could not be read was taken for gone");

    // Beside it another is changed; it is named, and left alone.
    std::fs::rename(&tenant, on.path("north"))?;
    on.write("resources/tenants/acme/groups/late.toml", "id = \"late\"\nname = \"Late\"\n")?;
    let (status, out, err) = on.cardea(&["apply", "resources", "--yes"]).await?;
    assert_eq!((status, &*out), (0, "+ acme: group late\ndone\n"), "{err}");
    assert!(
        err.contains("tenants/north: app `echo`: ") && err.contains("`cardea apply --delete-tenant north`"),
        "{err}"
    );
    let (status, out, err) = on.cardea(&["check", "--diff", "resources"]).await?;
    assert!(status == 0 && err.contains("warning: tenants/north: app `echo`: "), "{status} {out}{err}");

    std::fs::rename(on.path("north"), &tenant)?;
    let out = on.apply().await?;
    assert!(out.contains("~ tenant north") && out.contains("+ north: app echo"), "{out}");
    assert_eq!(on.apply().await?, "nothing to change");
    on.does(&["check"]).await?;
    on.does(&["policy", "explain", &id]).await?;

    on.by_hand(BROKEN).await?;
    std::fs::remove_dir_all(&tenant)?;
    let out = on.does(&["apply", "resources", "--yes", "--delete-tenant", "north"]).await?;
    assert!(out.contains("- tenant north"), "{out}");
    on.does(&["export", "after"]).await?;
    assert!(!on.path("after/tenants/north").exists());
    Ok(())
}

#[tokio::test]
async fn what_the_console_activated_is_named_before_files_take_its_place() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    let (mut ada, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    ada.program = true;
    let file = "resources/tenants/acme/policies/echo.cedar";
    on.edit(file, "secrets-want-two-factors", "secrets-want-more")?;
    let plan: Value = serde_json::from_str(&on.does(&["--format", "json", "apply", "resources", "--plan"]).await?)?;
    assert_eq!(plan["replaced"], json!([]), "what an apply made is replaced in silence");

    let text = format!("{}\n// by hand", on.read(file)?);
    let new =
        json!({ "policies": [{ "name": "echo", "text": text }], "tests": [], "base_version": 1, "note": "by hand" });
    let done = ada.json(Method::POST, &gateway.at("acme", "/api/v1/policies/activate")?, &new).await?;
    assert_eq!(done.status, 201, "{}", done.body);
    let plan: Value = serde_json::from_str(&on.does(&["--format", "json", "apply", "resources", "--plan"]).await?)?;
    let told = &plan["replaced"][0];
    assert_eq!(
        (&told["tenant"], &told["version"], &told["author"], &told["note"], &told["again"]),
        (&"acme".into(), &2.into(), &"ada@acme.example".into(), &"by hand".into(), &false.into()),
        "{plan}"
    );
    let (status, out, err) = on.cardea(&["apply", "resources", "--yes"]).await?;
    assert!(
        status == 0 && err.contains("version 2 was activated in the console (made by ada@acme.example"),
        "{out}{err}"
    );

    // An older version that was made to decide again is the console's, too, whoever made it.
    let again = gateway.at("acme", "/api/v1/policies/versions/1/activate")?;
    let done = ada.json(Method::POST, &again, &json!({})).await?;
    assert_eq!(done.status, 200, "{}", done.body);
    let (status, _, err) = on.cardea(&["apply", "resources", "--yes"]).await?;
    assert!(status == 0 && err.contains("version 1 was made to decide again in the console"), "{err}");
    let (status, out, err) = on.cardea(&["apply", "resources", "--yes"]).await?;
    assert_eq!((status, &*out, &*err), (0, "nothing to change\n", ""));
    Ok(())
}
