//! Sessions shared in Redis, and durable state in PostgreSQL: the same story, and what becomes of it when they go away.

use std::time::{Duration, Instant};

use anyhow::Context;
use cardea_tests::{Client, Gateway, Person, Plan, Postgres, Redis, Story, Upstream};
use http::Method;
use url::Url;

async fn house() -> anyhow::Result<(Upstream, Redis, Gateway)> {
    let upstream = Upstream::start().await?;
    let redis = Redis::start().await?;
    let plan = Plan::before(upstream.port).app("notes", upstream.port, "").redis(&redis.url());
    let gateway = plan.start().await?;
    Ok((upstream, redis, gateway))
}

#[tokio::test]
async fn sign_in_and_sign_out_are_the_same_in_a_redis_cluster_whose_slots_are_all_served() -> Story {
    let (upstream, redis) = (Upstream::start().await?, Redis::start_as_cluster().await?);
    let on = Plan::before(upstream.port).redis_cluster(&[&redis.url()]).write()?;
    let check = ["check", "resources", "--connect"];
    let (status, _, err) = on.cardea(&check).await?;
    assert!(status == 1 && err.contains("nobody serves the slots 0-16383"), "{status} {err}");
    redis.serve(0, 5000).await?;
    let (status, _, err) = on.cardea(&check).await?;
    assert!(status == 1 && err.contains("nobody serves the slots 5001-16383"), "{status} {err}");
    redis.serve(5001, 16383).await?;
    // It takes a while to say that it is whole.
    let whole = async {
        loop {
            let (status, _, err) = on.cardea(&check).await?;
            if status == 0 {
                break anyhow::Ok(err);
            }
            assert!(err.contains("the cluster is down"), "{err}");
        }
    };
    let err = tokio::time::timeout(Duration::from_secs(20), whole).await.context("it is never whole")??;
    assert!(err.contains("Redis Cluster ") && err.contains(", 1 master"), "{err}");

    on.apply().await?;
    let gateway = on.start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (mut client, page) = mira.opens(&echo).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    client.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    assert_eq!(ask(&mut client, &echo).await?.0, 401);
    // A node of it is not a server by itself.
    let alone = Plan::before(upstream.port).redis(&redis.url()).write()?;
    let (status, _, err) = alone.cardea(&check).await?;
    assert!(status == 1 && err.contains("it is a node of a cluster"), "{status} {err}");
    gateway.stop().await?;
    Ok(())
}

async fn ask(client: &mut Client, url: &Url) -> anyhow::Result<(u16, Option<String>)> {
    client.program = true;
    let reply = client.get(url).await?;
    client.program = false;
    let reason = reply.json().ok().and_then(|body| body["reason"].as_str().map(str::to_owned));
    Ok((reply.status.as_u16(), reason))
}

#[tokio::test]
async fn sign_in_hand_over_and_sign_out_are_the_same_in_redis() -> Story {
    let (_upstream, _redis, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (echo, notes) = (gateway.at("echo.acme", "/x")?, gateway.at("notes.acme", "/y?z")?);
    let (mut client, page) = mira.opens(&echo).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
    let page = client.open(&notes).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, notes.as_str()), "one sign-in serves all apps");

    // Sessions outlive the gateway: they are not its own.
    let gateway = gateway.kill().await?.start().await?;
    assert_eq!(ask(&mut client, &echo).await?.0, 200);
    let (mut other, _) = mira.opens(&echo).await?;
    client.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    assert_eq!(ask(&mut client, &echo).await?.0, 401);
    assert_eq!(ask(&mut client, &notes).await?.0, 401);
    assert_eq!(ask(&mut other, &echo).await?.0, 200);
    gateway.on.does(&["user", "--tenant", "acme", "end-sessions", &mira.email]).await?;
    let ended = async {
        while ask(&mut other, &echo).await?.0 == 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(1), ended).await.context("the command line's word is not heard")??;
    Ok(())
}

#[tokio::test]
async fn while_redis_is_away_the_answer_is_a_fault_and_never_not_signed_in() -> Story {
    let (upstream, mut redis, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (echo, notes) = (gateway.at("echo.acme", "/x")?, gateway.at("notes.acme", "/x")?);
    let (mut client, _) = mira.opens(&echo).await?;
    client.open(&notes).await?;
    let mut unknown = Client::browser();
    unknown.set_cookie("echo.acme.localhost", "cardea", &"A".repeat(43));
    assert_eq!(ask(&mut unknown, &echo).await?.0, 401);

    redis.kill().await?;
    // A handle that is not in memory cannot be looked up: that is a fault, whoever holds it.
    unknown.set_cookie("echo.acme.localhost", "cardea", &format!("{}A", "B".repeat(42)));
    let heard = upstream.count();
    assert_eq!(ask(&mut unknown, &echo).await?, (503, Some("store-unavailable".to_owned())));
    assert_eq!(upstream.count(), heard, "something was let through");
    // One that is may go on until its limit, or be a fault; signed out it is not.
    for url in [&echo, &notes] {
        let (status, reason) = ask(&mut client, url).await?;
        assert!([200, 503].contains(&status), "{status} {reason:?}");
    }
    // Nobody comes in: neither page nor form pretends that something else is wrong.
    assert_eq!(sign_in_tells(&gateway, &mira).await?, 503);
    // What needs no session is served.
    assert_eq!(ask(&mut Client::browser(), &gateway.at("echo.acme", "/public/x")?).await?.0, 200);

    redis.start_again().await?;
    let back = async {
        while ask(&mut client, &echo).await?.0 != 200 || ask(&mut unknown, &echo).await?.0 != 401 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(15), back).await.context("it does not recover")??;
    let (_, page) = mira.opens(&notes).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    Ok(())
}

async fn sign_in_tells(gateway: &Gateway, person: &Person) -> anyhow::Result<u16> {
    let mut client = Client::browser();
    let page = client.open(&gateway.at("acme", "/sign-in")?).await?;
    let page = person.answer(&mut client, page).await?;
    Ok(page.status.as_u16())
}

/// Another gateway on the same database, with the operator's key of the first.
async fn beside(gateway: &Gateway, upstream: &Upstream, postgres: &Postgres) -> anyhow::Result<Gateway> {
    let on = Plan::before(upstream.port).postgres(&postgres.url()).write()?;
    let (status, _, err) = on.cardea(&["apply", "resources", "--yes"]).await?;
    assert!(status == 1 && err.contains("put it back"), "without the key: {status} {err}");
    std::fs::create_dir_all(on.path("state"))?;
    std::fs::copy(gateway.on.path("state/operator.key"), on.path("state/operator.key"))?;
    on.start().await
}

#[tokio::test]
async fn two_gateways_on_one_database_know_the_same_people_and_sessions() -> Story {
    let (upstream, postgres) = (Upstream::start().await?, Postgres::start().await?);
    let ours = Plan::before(upstream.port).postgres(&postgres.url()).start().await?;
    let theirs = beside(&ours, &upstream, &postgres).await?;
    let mira = ours.person("mira@acme.example", &["readers"]).await?;
    let (here, there) = (ours.at("echo.acme", "/x")?, theirs.at("echo.acme", "/x")?);
    let (mut client, page) = mira.opens(&here).await?;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, here.as_str()), "{}", page.body);
    assert_eq!(ask(&mut client, &there).await?.0, 200, "signed in at one, unknown at the other");
    let (mut other, page) = mira.opens(&there).await?;
    assert_eq!(page.status, 200, "{}", page.body);

    // What changes at one bites at the other.
    client.send(Method::POST, &ours.at("acme", "/sign-out")?, None).await?;
    let ended = async |client: &mut Client, url: &Url| {
        let ended = async {
            while ask(client, url).await?.0 == 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(1), ended).await.context("it is not heard of")?
    };
    ended(&mut client, &there).await?;
    ours.on.does(&["user", "--tenant", "acme", "suspend", &mira.email]).await?;
    ended(&mut other, &there).await?;

    // Both wrote into one log, and nothing of it is missing or in another's place.
    let verified = theirs.on.does(&["audit", "verify"]).await?;
    assert!(verified.contains("acme: ") && verified.contains("operator: "), "{verified}");
    for gateway in [ours, theirs] {
        gateway.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn check_asks_the_servers_that_are_named_whether_they_answer() -> Story {
    let (upstream, redis, mut postgres) = (Upstream::start().await?, Redis::start().await?, Postgres::start().await?);
    let on = Plan::before(upstream.port).postgres(&postgres.url()).redis(&redis.url()).write()?;
    let check = ["check", "resources", "--connect"];
    let (status, _, err) = on.cardea(&check).await?;
    assert!(status == 0 && err.contains("PostgreSQL 1") && err.contains("Redis "), "{status} {err}");
    postgres.kill().await?;
    let (status, _, err) = on.cardea(&check).await?;
    assert!(status == 1 && err.contains("the server of `[postgres]` cannot be reached"), "{status} {err}");
    assert!(err.contains("[redis] is reached"), "{err}");
    Ok(())
}

#[tokio::test]
async fn while_postgresql_is_away_the_answer_is_a_fault_and_what_was_acknowledged_is_there_after() -> Story {
    let (upstream, mut postgres) = (Upstream::start().await?, Postgres::start().await?);
    let gateway = Plan::before(upstream.port).postgres(&postgres.url()).start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (mut client, _) = mira.opens(&echo).await?;

    postgres.kill().await?;
    let mut unknown = Client::browser();
    unknown.set_cookie("echo.acme.localhost", "cardea", &format!("{}A", "B".repeat(42)));
    let heard = upstream.count();
    assert_eq!(ask(&mut unknown, &echo).await?, (503, Some("store-unavailable".to_owned())));
    assert_eq!(upstream.count(), heard, "something was let through");
    let (status, reason) = ask(&mut client, &echo).await?;
    assert!([200, 503].contains(&status), "{status} {reason:?}");
    assert_eq!(sign_in_tells(&gateway, &mira).await?, 503);

    postgres.start_again().await?;
    let back = async {
        while ask(&mut client, &echo).await?.0 != 200 || ask(&mut unknown, &echo).await?.0 != 401 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(15), back).await.context("it does not recover")??;
    let (_, page) = mira.opens(&echo).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    gateway.on.does(&["audit", "verify"]).await?;
    Ok(())
}

/// It closes no connection and refuses none: it says nothing.
#[tokio::test]
async fn while_postgresql_is_stopped_the_answer_is_a_fault_within_seconds_and_it_goes_on_after() -> Story {
    let (upstream, postgres) = (Upstream::start().await?, Postgres::start().await?);
    let gateway = Plan::before(upstream.port).postgres(&postgres.url()).start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (mut client, _) = mira.opens(&echo).await?;

    postgres.signal("STOP").await?;
    let (heard, since) = (upstream.count(), Instant::now());
    // As many as find no connection free, and those who wait behind them.
    let asked = (0..8).map(|nth| {
        let echo = echo.clone();
        async move {
            let mut unknown = Client::browser();
            unknown.set_cookie("echo.acme.localhost", "cardea", &format!("{nth}{}A", "B".repeat(41)));
            ask(&mut unknown, &echo).await
        }
    });
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer?, (503, Some("store-unavailable".to_owned())));
    }
    assert!(since.elapsed() < Duration::from_secs(5), "after {:?}", since.elapsed());
    let since = Instant::now();
    assert_eq!(sign_in_tells(&gateway, &mira).await?, 503);
    assert!(since.elapsed() < Duration::from_secs(5), "after {:?}", since.elapsed());
    assert_eq!(upstream.count(), heard, "something was let through");

    postgres.signal("CONT").await?;
    let back = async {
        while ask(&mut client, &echo).await?.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.context("it does not recover")??;
    let (_, page) = mira.opens(&echo).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    gateway.on.does(&["audit", "verify"]).await?;
    Ok(())
}

/// As before the first start with a file: nothing is there yet, and nothing is made by looking.
#[tokio::test]
async fn an_empty_database_is_told_as_nothing_yet_and_the_key_is_sealed_before_it_lies_open() -> Story {
    let (upstream, postgres) = (Upstream::start().await?, Postgres::start().await?);
    let on = Plan::before(upstream.port).postgres(&postgres.url()).write()?;
    let (status, _, err) = on.cardea(&["audit", "verify"]).await?;
    assert!(status == 2 && err.contains("nothing has been recorded yet"), "{status} {err}");
    for check in [&["check"][..], &["check", "resources", "--diff"]] {
        let (status, _, err) = on.cardea(check).await?;
        assert_eq!(status, 0, "{check:?}: {err}");
    }
    std::fs::write(on.path("words"), "correct horse battery staple")?;
    let protect = ["keys", "protect", "--passphrase-file", "words"];
    on.does(&protect).await?;
    let key = std::fs::read_to_string(on.path("state/operator.key"))?;
    assert!(!key.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "it lies open");
    assert!(!on.path("state/operator.key.before").exists());
    let (status, _, err) = on.cardea(&["audit", "verify"]).await?;
    assert!(status == 2 && err.contains("nothing has been recorded yet"), "something was made: {status} {err}");
    Ok(())
}

/// A house that began with one gateway: nobody has to begin anew.
#[tokio::test]
async fn what_a_file_held_goes_on_in_postgresql_and_redis() -> Story {
    for by_redis in [false, true] {
        let (upstream, postgres, redis) = (Upstream::start().await?, Postgres::start().await?, Redis::start().await?);
        let gateway = Plan::before(upstream.port).start().await?;
        let mira = gateway.person("mira@acme.example", &["readers"]).await?;
        let echo = gateway.at("echo.acme", "/x")?;
        let (mut client, _) = mira.opens(&echo).await?;
        let (mut left, _) = mira.opens(&echo).await?;
        left.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;

        let copy = ["store", "copy"];
        let (status, _, err) = gateway.on.cardea(&copy).await?;
        assert!(status == 2 && err.contains("no `[postgres]`"), "{status} {err}");
        let mut servers = format!("[postgres]\nurl = \"{}\"\n", postgres.url());
        if by_redis {
            servers.push_str(&format!("[redis]\nurl = \"{}\"\n", redis.url()));
        }
        let config = gateway.on.read("cardea.toml")?;
        gateway.on.write("cardea.toml", &format!("{config}\n{servers}"))?;
        let (status, _, err) = gateway.on.cardea(&copy).await?;
        assert!(status == 2 && err.contains("stop the gateway first"), "{status} {err}");

        let on = gateway.stop().await?;
        let told = on.does(&["store", "copy", "--format", "json"]).await?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        assert_eq!((told["tables"]["users"].as_u64(), &told["broken"]), (Some(1), &serde_json::json!([])), "{told}");
        assert_eq!(told["redis"]["sessions"].is_u64(), by_redis, "{told}");
        let (status, _, err) = on.cardea(&copy).await?;
        assert!(status == 2 && err.contains("is not empty"), "{status} {err}");

        let gateway = on.start().await?;
        assert_eq!(ask(&mut client, &echo).await?.0, 200, "redis: {by_redis}: the session is over");
        assert_eq!(ask(&mut left, &echo).await?.0, 401, "redis: {by_redis}: revived");
        let (_, page) = mira.opens(&echo).await?;
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, echo.as_str()), "{}", page.body);
        let verified = gateway.on.does(&["audit", "verify"]).await?;
        assert!(verified.contains("acme: ") && verified.contains("operator: "), "{verified}");
        gateway.stop().await?;
    }
    Ok(())
}
