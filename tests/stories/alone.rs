//! A gateway that has its sessions in memory, and its file to itself.

use std::time::Duration;

use anyhow::Context;
use cardea_tests::{Client, Gateway, Plan, Story, Upstream, gateway::Installation};
use http::Method;
use serde_json::Value;

const DISK: &str = "dir = \"state\"\n";
const MEMORY: &str = "dir = \"state\"\nsessions = \"memory\"\n";

async fn in_memory(plan: Plan) -> anyhow::Result<Gateway> {
    let on = plan.write()?;
    on.edit("cardea.toml", DISK, MEMORY)?;
    on.apply().await?;
    on.start().await
}

/// Another installation that has the same file.
fn on_the_same(first: &Installation, upstream: u16) -> anyhow::Result<Installation> {
    let other = Plan::before(upstream).write()?;
    let state = first.path("state");
    other.edit("cardea.toml", DISK, &format!("dir = \"{}\"\n", state.display()))?;
    Ok(other)
}

/// What it says to `serve`, which it must not do for long.
async fn is_refused(on: &Installation) -> anyhow::Result<String> {
    let told = tokio::time::timeout(Duration::from_secs(60), on.cardea(&["serve"])).await;
    let (status, out, err) = told.context("it serves")??;
    anyhow::ensure!(status != 0, "it ended well: {out}{err}");
    Ok(out + &err)
}

/// Each would have known its own sessions only, and what ended at one would have gone on at the other.
#[tokio::test]
async fn beside_a_gateway_with_sessions_in_memory_no_other_runs_on_its_file() -> Story {
    let upstream = Upstream::start().await?;
    let first = in_memory(Plan::before(upstream.port)).await?;
    let second = on_the_same(&first.on, upstream.port)?;
    let mira = first.person("mira@acme.example", &["readers"]).await?;
    let echo = first.at("echo.acme", "/x")?;
    let (mut hers, _) = mira.opens(&echo).await?;

    let told = is_refused(&second).await?;
    assert!(told.contains("cardea.db") && told.contains("has sessions in its memory"), "{told}");
    assert!(told.contains("help: stop that one first"), "{told}");
    second.edit("cardea.toml", "[state]\n", "[state]\nsessions = \"memory\"\n")?;
    let told = is_refused(&second).await?;
    assert!(told.contains("each would know its own only"), "{told}");
    // Nothing became of it: commands go by the gateway that runs, and who is signed in stays so.
    assert_eq!(hers.get(&echo).await?.status, 200);
    first.on.does(&["user", "--tenant", "acme", "end-sessions", &mira.email]).await?;

    // The system lets go of the file with the process, however that ends.
    let on = first.kill().await?;
    let second = second.start().await?;
    let told = is_refused(&on).await?;
    assert!(told.contains("each would know its own only"), "{told}");
    let beside = second.stop().await?;

    // Those that have them on disk find each other's there.
    on.edit("cardea.toml", MEMORY, DISK)?;
    let first = on.start().await?;
    let told = is_refused(&beside).await?;
    assert!(told.contains("each would know its own only"), "{told}");
    beside.edit("cardea.toml", "sessions = \"memory\"\n", "")?;
    let second = beside.start().await?;
    let (mut hers, _) = mira.opens(&echo).await?;
    assert_eq!(hers.get(&echo).await?.status, 200);
    assert_eq!((first.readiness().await?.0, second.readiness().await?.0), (200, 200));
    Ok(())
}

/// They were dropped with the first sweep: who went back before that found those signed in that were before, whatever had ended since.
#[tokio::test]
async fn whoever_tries_memory_for_a_moment_finds_nobody_back_who_was_signed_in_before() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (mut before, _) = mira.opens(&echo).await?;
    let on = gateway.stop().await?;
    let gateway = on.start().await?;
    assert_eq!(before.clone().get(&echo).await?.status, 200, "on disk it lives on");
    let on = gateway.stop().await?;

    on.edit("cardea.toml", DISK, MEMORY)?;
    // A command is no gateway: nothing is dropped by looking.
    on.does(&["check"]).await?;
    on.edit("cardea.toml", MEMORY, DISK)?;
    let gateway = on.start().await?;
    assert_eq!(before.clone().get(&echo).await?.status, 200);
    let on = gateway.stop().await?;

    on.edit("cardea.toml", DISK, MEMORY)?;
    let on = on.start().await?.kill().await?;
    on.edit("cardea.toml", MEMORY, DISK)?;
    let _gateway = on.start().await?;
    let reply = before.get(&echo).await?;
    assert_eq!(reply.status, 303, "to sign in: {}", reply.body);
    Ok(())
}

const TOOL: &str = "id = \"tool\"\nname = \"The tool\"\ngrants = [\"authorization_code\", \"device_code\"]\napps = [\"echo\"]\n\
                    scope = [\"read\"]\nredirect_uris = [\"http://127.0.0.1/callback\"]\n";

async fn sends(gateway: &Gateway, path: &str, form: &[(&str, &str)]) -> anyhow::Result<(u16, Value)> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let form = Some(("application/x-www-form-urlencoded", body));
    let reply = Client::program().send(Method::POST, &gateway.at("acme", path)?, form).await?;
    Ok((reply.status.as_u16(), reply.json()?))
}

/// The pace of a device was once taken for what counts once: each that asked again was refused until its code was too old.
#[tokio::test]
async fn a_device_is_given_its_tokens_in_memory_and_waits_between_two_questions() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = in_memory(Plan::before(upstream.port).file("tenants/acme/clients/tool.toml", TOOL)).await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (status, begun) = sends(&gateway, "/oauth2/device_authorization", &[("client_id", "tool")]).await?;
    assert_eq!(status, 200, "{begun}");
    let text = |name: &str| begun[name].as_str().with_context(|| format!("{begun}"));
    let poll = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", "tool"),
        ("device_code", text("device_code")?),
    ];
    let asks = async || sends(&gateway, "/oauth2/token", &poll).await;
    let mut told = Vec::new();
    // However slowly this runs, at last one comes right behind another.
    while told.last() != Some(&Value::from("slow_down")) {
        assert!(told.len() < 20 && told.iter().all(|one| one == "authorization_pending"), "{told:?}");
        let (status, answer) = asks().await?;
        assert_eq!(status, 400, "{answer}");
        told.push(answer["error"].clone());
    }
    assert_eq!(told[0], "authorization_pending");
    let (mut browser, page) = mira.opens(&gateway.at("acme", "/oauth2/device")?).await?;
    let page = browser.submit(&page, &[("user_code", text("user_code")?)]).await?;
    assert_eq!(browser.submit(&page, &[("answer", "allow")]).await?.status, 200);
    let given = async {
        loop {
            let (status, told) = asks().await?;
            if status == 200 {
                return anyhow::Ok(told);
            }
            anyhow::ensure!(told["error"] == "slow_down", "{told}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(30), given).await.context("it waits for ever")??;
    let token = told["access_token"].as_str().with_context(|| format!("{told}"))?;
    let shown = gateway.on.ask("echo.acme", "GET /studies", &format!("authorization: Bearer {token}\r\n")).await?;
    assert_eq!(shown.status(), 200);
    let (status, told) = asks().await?;
    assert_eq!((status, &told["error"]), (400, &Value::from("expired_token")), "{told}");
    Ok(())
}
