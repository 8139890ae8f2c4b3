//! A gateway that has its sessions in memory, and its file to itself.

use cardea_tests::{Plan, Story, Upstream};

const DISK: &str = "dir = \"state\"\n";
const MEMORY: &str = "dir = \"state\"\nsessions = \"memory\"\n";

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
