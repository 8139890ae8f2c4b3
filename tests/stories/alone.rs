//! A gateway that has its sessions in memory, and its file to itself.

use std::time::Duration;

use anyhow::Context;
use cardea_tests::{Gateway, Plan, Story, Upstream, gateway::Installation};

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
