//! A configuration that changes while the gateway runs: what is taken over, what waits, what is refused, and how an operator
//! knows before.

use std::time::Duration;

use anyhow::Context as _;
use cardea_tests::{Client, Gateway, Plan, Story, Upstream};
use serde_json::Value;

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).config("[limits]\nheader_bytes = 8192\n").start().await?;
    Ok((upstream, gateway))
}

async fn diff(gateway: &Gateway) -> anyhow::Result<(i32, Value)> {
    let (status, out, _) = gateway.on.cardea(&["--format", "json", "check", "--diff", "resources"]).await?;
    Ok((status, serde_json::from_str(&out)?))
}

/// The status of a request whose head is so long.
async fn with_head(gateway: &Gateway, bytes: usize) -> anyhow::Result<u16> {
    let headers = format!("x-long: {}\r\n", "x".repeat(bytes));
    Ok(gateway.on.ask("echo.acme", "GET /public/x", &headers).await?.status())
}

#[tokio::test]
async fn a_limit_changes_without_a_restart_and_a_mistake_changes_nothing() -> Story {
    let (_upstream, mut gateway) = house().await?;
    assert_eq!(with_head(&gateway, 12_000).await?, 431);
    gateway.on.edit("cardea.toml", "header_bytes = 8192", "header_bytes = 16384")?;

    let (status, told) = diff(&gateway).await?;
    assert_eq!((status, &told["ok"]), (0, &true.into()), "{told}");
    let change = &told["diff"]["configuration"][0];
    assert_eq!(
        (&change["key"], &change["before"], &change["after"]),
        (&"limits.header_bytes".into(), &"8192".into(), &"16384".into())
    );
    assert_eq!(with_head(&gateway, 12_000).await?, 431, "a look changed something");

    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"taken\"} 1").await?;
    assert_eq!(with_head(&gateway, 12_000).await?, 200);
    assert_eq!(diff(&gateway).await?.1["diff"]["configuration"], serde_json::json!([]));

    gateway.on.edit("cardea.toml", "header_bytes = 16384", "header_bytes = 1")?;
    let (status, out, err) = gateway.on.cardea(&["check", "--diff"]).await?;
    assert!(status == 1 && err.contains("too small"), "{status} {out} {err}");
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"refused\"} 1").await?;
    gateway.says("the configuration was not reloaded").await?;
    assert_eq!(with_head(&gateway, 12_000).await?, 200, "a part of a bad file was taken over");
    // The command line reads the same file, and takes no bad one either.
    gateway.on.edit("cardea.toml", "header_bytes = 1\n", "header_bytes = 16384\n")?;
    let entries = cardea_tests::gateway::entries(&gateway.on.does(&["audit", "export", "--operator"]).await?)?;
    let told = |code: &str| entries.iter().filter(|entry| entry["event"]["kind"] == code).count();
    assert_eq!((told("configuration-changed"), told("configuration-refused")), (1, 1), "{entries:?}");
    Ok(())
}

#[tokio::test]
async fn what_waits_for_a_restart_is_named() -> Story {
    let (_upstream, mut gateway) = house().await?;
    gateway.on.edit("cardea.toml", "certificate_minutes = 60", "certificate_minutes = 30")?;
    let told = gateway.on.does(&["check", "--diff"]).await?;
    assert!(told.contains("~ machines.certificate_minutes: 60 → 30 (waits for a restart)"), "{told}");
    gateway.hangs_up()?;
    gateway.says("these wait for a restart").await?;
    // It still waits, however often it is told.
    let told = gateway.on.does(&["check", "--diff"]).await?;
    assert!(told.contains("(waits for a restart)"), "{told}");
    Ok(())
}

/// Whoever may write the file decides which service is believed: a review of the difference must show it.
#[tokio::test]
async fn roots_that_were_replaced_are_told_of_before_they_are_read() -> Story {
    let upstream = Upstream::start().await?;
    let app = "id = \"lab\"\nname = \"Lab\"\nhosts = [\"lab.acme.localhost\"]\n[upstream]\n\
               url = \"https://127.0.0.1:1\"\nca_file = \"roots.pem\"\n";
    let on =
        Plan::before(upstream.port).file("tenants/acme/apps/lab.toml", app).config("[tls]\nwatch = false\n").write()?;
    let pem = cardea_tests::tls::authority()?.pem.clone();
    on.write("roots.pem", &pem)?;
    on.apply().await?;
    let gateway = on.start().await?;
    assert_eq!(diff(&gateway).await?.1["diff"]["roots"], serde_json::json!([]));
    // Whatever else has changed meanwhile, such as keys that were just made, has everything read anew, the roots too.
    gateway.stands_still()?;
    on.write("roots.pem", &format!("{pem}\n"))?;
    for arguments in [&["check", "--diff"][..], &["check", "--diff", "resources"]] {
        let told = on.does(arguments).await?;
        assert!(told.contains("~ roots ./roots.pem: ") || told.contains("~ roots roots.pem: "), "{told}");
    }
    gateway.goes_on()?;
    gateway.hangs_up()?;
    let read = async {
        while diff(&gateway).await?.1["diff"]["roots"] != serde_json::json!([]) {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), read).await?
}

#[tokio::test]
async fn a_stream_goes_on_while_everything_around_it_changes() -> Story {
    let (upstream, mut gateway) = house().await?;
    let mut visitor = Client::program();
    let url = gateway.at("echo.acme", "/public/does/stream")?;
    let stream = tokio::spawn(async move { visitor.get(&url).await });
    while upstream.open_streams() == 0 {
        tokio::task::yield_now().await;
    }
    gateway.on.edit("cardea.toml", "header_bytes = 8192", "header_bytes = 9000")?;
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"taken\"} 1").await?;
    let figure = "cardea_reloads_total{what=\"resources\",outcome=\"taken\"}";
    let told = gateway.metrics().await?;
    let before = told.lines().find(|line| line.starts_with(figure)).context("no figure")?;
    gateway.on.edit("resources/tenants/acme/groups/readers.toml", "Readers", "All who read")?;
    gateway.on.apply().await?;
    // However many rounds it takes to hear of all of it.
    let heard = async {
        while gateway.metrics().await?.lines().any(|line| line == before) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), heard).await??;
    assert_eq!(upstream.open_streams(), 1, "the stream was cut");
    stream.abort();
    Ok(())
}

/// What is left open then holds nobody up for the ten minutes that the gateway was started with.
#[tokio::test]
async fn the_time_to_drain_is_the_one_in_force() -> Story {
    let upstream = Upstream::start().await?;
    let mut gateway = Plan::before(upstream.port).config("[limits]\ndrain_seconds = 600\n").start().await?;
    gateway.on.edit("cardea.toml", "drain_seconds = 600", "drain_seconds = 1")?;
    gateway.hangs_up()?;
    gateway.counts("cardea_reloads_total{what=\"configuration\",outcome=\"taken\"} 1").await?;
    assert!(!gateway.on.said().contains("wait for a restart"), "{}", gateway.on.said());
    let url = gateway.at("echo.acme", "/public/does/stream")?;
    let stream = tokio::spawn(async move { Client::program().get(&url).await });
    while upstream.open_streams() == 0 {
        tokio::task::yield_now().await;
    }
    gateway.stop().await?;
    stream.abort();
    Ok(())
}

#[tokio::test]
async fn the_difference_of_resources_is_told_and_what_would_be_refused_fails() -> Story {
    let (_upstream, gateway) = house().await?;
    let app = "resources/tenants/acme/apps/echo.toml";
    gateway.on.edit(app, "answer_seconds = 2", "answer_seconds = 3")?;
    gateway.on.edit("resources/tenants/acme/policies/echo.cedar", "\"readers\"", "\"nobody\"")?;
    let (status, told) = diff(&gateway).await?;
    assert_eq!((status, &told["ok"]), (1, &false.into()), "there is no such group: {told}");
    assert!(told["diagnostics"][0]["message"].as_str().is_some_and(|text| text.contains("nobody")), "{told}");
    let resources = &told["diff"]["resources"];
    assert_eq!(resources[0]["what"], "acme: app echo", "{told}");
    assert_eq!(resources[0]["of"], serde_json::json!(["~ upstream.answer_seconds"]));
    assert_eq!(resources[1]["of"], serde_json::json!(["~ echo"]));
    gateway.on.edit("resources/tenants/acme/policies/echo.cedar", "\"nobody\"", "\"readers\"")?;
    let (status, told) = diff(&gateway).await?;
    assert_eq!((status, told["diff"]["resources"].as_array().map(Vec::len)), (0, Some(1)), "{told}");
    Ok(())
}
