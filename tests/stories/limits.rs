//! Rates: a limit is one for all gateways of a house, and stays one when the store goes away.

use std::time::Duration;

use anyhow::ensure;
use cardea_tests::{Client, Gateway, Plan, Postgres, Redis, Story, Upstream};

/// Two gateways on one database, of which the app has a rate of forty an hour for each address; with Redis for the rest, perhaps.
async fn two(upstream: &Upstream, postgres: &Postgres, redis: Option<&Redis>) -> anyhow::Result<[Gateway; 2]> {
    let plan = || {
        let plan = Plan::before(upstream.port).postgres(&postgres.url());
        let plan = redis.iter().fold(plan, |plan, redis| plan.redis(&redis.url()));
        plan.with_table("echo", "[rates]\naddress = { requests = 40, seconds = 3600 }")
    };
    let ours = plan().start().await?;
    Ok([ours.beside(plan()).await?, ours])
}

/// How many of so many requests from an address are answered; the others are refused for their rate alone.
async fn answered(gateway: &Gateway, from: [u8; 4], many: usize) -> anyhow::Result<usize> {
    let mut client = Client::program();
    client.from = Some(from.into());
    let (url, mut answered) = (gateway.at("echo.acme", "/public/x")?, 0);
    for _ in 0..many {
        let reply = client.get(&url).await?;
        match reply.status.as_u16() {
            200 => answered += 1,
            429 => ensure!(reply.json()?["reason"] == "rate-limited" && reply.header("retry-after").is_some()),
            other => anyhow::bail!("{other}: {}", reply.body),
        }
    }
    Ok(answered)
}

/// Waits until one of them knows that there is nothing left of the rate.
async fn knows(gateway: &Gateway, from: [u8; 4]) -> Story {
    let heard = async {
        while answered(gateway, from, 1).await? > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await?
}

#[tokio::test]
async fn two_gateways_keep_one_limit_in_redis_and_in_postgresql() -> Story {
    let upstream = Upstream::start().await?;
    for redis in [None, Some(Redis::start().await?)] {
        let postgres = Postgres::start().await?;
        let [ours, theirs] = two(&upstream, &postgres, redis.as_ref()).await?;
        let before = upstream.count();
        assert_eq!(answered(&ours, [127, 0, 0, 7], 50).await?, 40, "exactly so many at one");
        // What the other admits before it hears of it is told in tests of the arithmetic; here, that it does hear.
        answered(&theirs, [127, 0, 0, 7], 1).await?;
        knows(&theirs, [127, 0, 0, 7]).await?;
        let all = upstream.count() - before;
        assert!((40..80).contains(&all), "{all} were let through");
        assert_eq!(answered(&theirs, [127, 0, 0, 8], 3).await?, 3, "another address has its own");
        for gateway in [ours, theirs] {
            gateway.stop().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn while_the_store_is_away_a_limit_is_still_one() -> Story {
    let (upstream, postgres, mut redis) = (Upstream::start().await?, Postgres::start().await?, Redis::start().await?);
    let [mut ours, theirs] = two(&upstream, &postgres, Some(&redis)).await?;
    answered(&ours, [127, 0, 0, 7], 1).await?;
    redis.kill().await?;
    answered(&ours, [127, 0, 0, 7], 1).await?;
    ours.says("rates are not counted together now").await?;
    assert!(!ours.metrics().await?.contains("cardea_rate_rounds_total{outcome=\"unheard\"} 0"));
    for gateway in [&ours, &theirs] {
        let many = answered(gateway, [127, 0, 0, 8], 60).await?;
        assert!((1..=40).contains(&many), "{many} at one gateway");
    }
    redis.start_again().await?;
    knows(&ours, [127, 0, 0, 8]).await?;
    Ok(())
}
