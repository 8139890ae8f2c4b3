//! What an administrator reads of a request.

use std::time::Duration;

use cardea_tests::{Client, Plan, Story, Upstream};

/// An app that wants its entry before its service hears of a request has two for each: who finds one finds the other.
#[tokio::test]
async fn the_two_entries_of_a_request_lead_to_each_other() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).app("strict", upstream.port, "audit = \"before\"").start().await?;
    let (mut admin, _) = gateway.person_with_codes("ada@acme.example", &["administrators", "readers"]).await?;
    for (host, two) in [("strict.acme", true), ("echo.acme", false)] {
        admin.program = false;
        assert_eq!(admin.open(&gateway.at(host, "/x")?).await?.status, 200);
        admin.program = true;
        let id = upstream.last().header("x-request-id").unwrap_or_default().to_owned();
        let mut told = async |id: &str| -> anyhow::Result<serde_json::Value> {
            let log = gateway.at("acme", &format!("/api/v1/log/{id}"))?;
            admin.get(&log).await?.json()
        };
        // Entries of ends are written in groups, within milliseconds of the answer.
        let written = async {
            loop {
                let first = told(&id).await?;
                if first["entry"]["event"]["status"] == 200 || first.get("other").is_some() {
                    return anyhow::Ok(first);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let first = tokio::time::timeout(Duration::from_secs(10), written).await??;
        assert_eq!((&first["entry"]["id"], &first["explanation"]["verdict"]), (&id.as_str().into(), &"allow".into()));
        assert_eq!(first.get("other").is_some(), two, "{host}: {first}");
        if two {
            assert_eq!(first["other"]["event"]["status"], 200);
            let end = told(first["other"]["id"].as_str().unwrap_or_default()).await?;
            assert_eq!((&end["entry"], &end["other"]), (&first["other"], &first["entry"]));
        }
    }
    Ok(())
}

/// Whoever looks for a fault turns the level up: then every line of a request names it, and tells nothing of who asked.
#[tokio::test]
async fn lines_of_the_program_name_their_request() -> Story {
    let upstream = Upstream::start().await?;
    let plan = Plan::before(upstream.port).config("[log]\nlevel = \"warn,cardea_proxy=debug\"\n");
    let mut gateway = plan.start().await?;
    let mut visitor = Client::program();
    visitor.set_cookie("echo.acme.localhost", "mine", "hush");
    let refused = visitor.get(&gateway.at("echo.acme", "/private?token=hush")?).await?;
    let id = refused.header("x-request-id").unwrap_or_default();
    gateway.says(id).await?;
    let said = gateway.on.said();
    let line = said.lines().find(|line| line.contains(id)).unwrap_or_default();
    for told in ["request refused", "method=GET", "host=\"echo.acme.localhost\"", "app=\"echo\"", "sign-in-required"] {
        assert!(line.contains(told), "{told}: {line}");
    }
    assert!(!said.contains("hush"), "{said}");
    Ok(())
}

/// What is looked for costs its length in every byte of the log: a long text held up every tenant's searches.
#[tokio::test]
async fn a_search_that_asks_for_too_much_is_refused_and_one_that_does_not_is_answered() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let (mut admin, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    admin.program = true;
    for (asked, status) in [
        (format!("query={}", "a".repeat(100)), 200),
        (format!("query={}", "a".repeat(101)), 422),
        ("event=sign-in,sign-out".to_owned(), 200),
        (format!("event={}", ",".repeat(200)), 422),
    ] {
        let reply = admin.get(&gateway.at("acme", &format!("/api/v1/log?{asked}"))?).await?;
        assert_eq!(reply.status, status, "{asked}: {}", reply.body);
    }
    Ok(())
}

/// What was asked for by a name that there is not was left out, and the whole list read as what was asked for.
#[tokio::test]
async fn a_parameter_that_there_is_not_is_named_beside_those_that_there_are() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let (mut admin, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    admin.program = true;
    for (list, known, unknown, told) in [
        ("log", "caller=operator&limit=5", "person=ada", ["`person`", "`caller`"]),
        ("log", "event=sign-in", "event=sign-in&tenant=north", ["`tenant`", "`verdict`"]),
        ("users", "query=ada&limit=5", "quary=ada", ["`quary`", "`query`"]),
        ("policies/versions", "limit=5", "page=2", ["`page`", "`cursor`"]),
        // Each of these is whole on its one page.
        ("groups", "", "query=readers", ["`query`", "no fields"]),
        ("apps", "", "limit=5", ["`limit`", "no fields"]),
    ] {
        let reply = admin.get(&gateway.at("acme", &format!("/api/v1/{list}?{known}"))?).await?;
        assert_eq!(reply.status, 200, "{list} {known}: {}", reply.body);
        let reply = admin.get(&gateway.at("acme", &format!("/api/v1/{list}?{unknown}"))?).await?;
        assert_eq!((reply.status.as_u16(), &reply.json()?["reason"]), (422, &"bad-input".into()), "{}", reply.body);
        let detail = reply.json()?["detail"].as_str().unwrap_or_default().to_owned();
        assert!(told.iter().all(|name| detail.contains(name)), "{list} {unknown}: {detail}");
    }
    Ok(())
}

/// Whoever only needs a new link keeps what they may.
#[tokio::test]
async fn an_invitation_of_somebody_who_is_there_takes_no_group_away() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    let again = ["user", "--tenant", "acme", "invite", "ada@acme.example", "--group", "readers"];
    gateway.on.does(&again).await?;
    let people = gateway.on.does(&["user", "--tenant", "acme", "list"]).await?;
    let ada = people.lines().find(|line| line.contains("ada@acme.example")).unwrap_or_default();
    assert!(ada.contains("administrators") && ada.contains("readers"), "{people}");
    Ok(())
}
