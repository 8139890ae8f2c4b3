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
