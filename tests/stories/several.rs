//! Three gateways of one house, on a Redis Cluster of three masters and a PostgreSQL: what is true at one is true at all, and what falls
//! takes nothing with it that was acknowledged, and lets nobody in.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use cardea_tests::{
    Client, Gateway, Person, Plan, Postgres, RedisCluster, Story, Upstream,
    grpc::{self, Tonic},
    raw,
};
use http::Method;
use tokio::task::JoinSet;
use url::Url;

/// How long after a revocation another gateway may go on.
const HEARD: Duration = Duration::from_secs(1);

/// How long after it a stream may (DESIGN section 3.7).
const CUT: Duration = Duration::from_secs(2);

struct House {
    upstream: Upstream,
    postgres: Postgres,
    cluster: RedisCluster,
    gateways: Vec<Gateway>,
}

async fn house() -> anyhow::Result<House> {
    house_of(|plan| plan).await
}

/// What `more` makes of each gateway's plan.
async fn house_of(more: impl Fn(Plan) -> Plan) -> anyhow::Result<House> {
    let (upstream, postgres, cluster) =
        (Upstream::start().await?, Postgres::start().await?, RedisCluster::start().await?);
    let plan = || more(Plan::before(upstream.port).postgres(&postgres.url()).cluster(&cluster));
    let mut gateways = vec![plan().start().await?];
    for _ in 0..2 {
        let another = gateways[0].beside(plan()).await?;
        gateways.push(another);
    }
    Ok(House { upstream, postgres, cluster, gateways })
}

/// A browser as every gateway sees it: their ports differ, and cookies know none.
async fn status(client: &mut Client, gateway: &Gateway) -> anyhow::Result<u16> {
    client.program = true;
    let reply = client.get(&gateway.at("echo.acme", "/studies")?).await;
    client.program = false;
    Ok(reply?.status.as_u16())
}

async fn signed_in(gateway: &Gateway, person: &Person) -> anyhow::Result<Client> {
    let (client, page) = person.opens(&gateway.at("echo.acme", "/x")?).await?;
    ensure!(page.status == 200, "not signed in: {}", page.body);
    Ok(client)
}

/// How long it takes until a gateway says no; a yes for longer than `limit` fails the story.
async fn refused(client: &mut Client, gateway: &Gateway, limit: Duration) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    while status(client, gateway).await? == 200 {
        ensure!(begun.elapsed() <= limit, "still let in after {:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(begun.elapsed())
}

#[tokio::test]
async fn whoever_signs_in_at_one_gateway_is_known_to_all_and_whoever_is_shut_out_is_shut_out_of_all_while_others_work()
-> Story {
    let house = house().await?;
    let mira = house.gateways[0].person("mira@acme.example", &["readers"]).await?;
    let works = signed_in(&house.gateways[0], &mira).await?;
    let load = Arc::new(Load::default());
    let (urls, mut clients) = (everywhere(&house.gateways)?, JoinSet::new());
    for _ in 0..COLLEAGUES {
        clients.spawn(Arc::clone(&load).goes_on(works.clone(), urls.clone(), true));
    }
    let mut took = Vec::new();
    for nth in 0..REVOCATIONS {
        let (here, others) =
            (&house.gateways[nth % 3], [&house.gateways[(nth + 1) % 3], &house.gateways[(nth + 2) % 3]]);
        let mut client = signed_in(here, &mira).await?;
        for gateway in &house.gateways {
            assert_eq!(status(&mut client, gateway).await?, 200);
        }
        let mut kept = [client.clone(), client.clone()];
        client.send(Method::POST, &here.at("acme", "/sign-out")?, None).await?;
        let [one, other] = &mut kept;
        let heard =
            futures_util::future::try_join(refused(one, others[0], HEARD), refused(other, others[1], HEARD)).await?;
        took.extend([heard.0, heard.1]);
    }
    let answered = load.ends(&mut clients).await;
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    let (p50, p90, p99, most) = (at(50), at(90), at(99), at(100));
    println!(
        "revocation at the other gateways: p50 {p50:?}, p90 {p90:?}, p99 {p99:?}, most {most:?}; {answered} other answers meanwhile"
    );
    for bound in [1, 5, 10, 50, 100, 250, 500, 1000] {
        let within = took.iter().filter(|one| **one <= Duration::from_millis(bound)).count();
        println!("  within {bound:>4} ms: {within:>3} of {}", took.len());
    }
    Ok(())
}

/// Of each of them two gateways hear: a hundred make a p99.
const REVOCATIONS: usize = 50;

/// Who ask all gateways without a pause but for 5 ms.
const COLLEAGUES: usize = 12;

/// One address at each gateway.
fn everywhere(gateways: &[Gateway]) -> anyhow::Result<Vec<Url>> {
    gateways.iter().map(|gateway| gateway.at("echo.acme", "/studies")).collect()
}

#[tokio::test]
async fn open_streams_at_the_other_gateways_are_cut_with_the_session_that_opened_them() -> Story {
    let house = house().await?;
    let [here, one, other] = &house.gateways[..] else { anyhow::bail!("not three") };
    let mira = here.person("mira@acme.example", &["readers"]).await?;
    let mut client = signed_in(here, &mira).await?;
    let cookie = client.cookie("echo.acme.localhost", "cardea").context("no cookie")?.to_owned();
    let mut streams = Vec::new();
    for gateway in [one, other] {
        let host = format!("echo.acme.localhost:{}", gateway.on.port);
        let events = format!(
            "GET /does/stream HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\ncookie: cardea={cookie}\r\n\r\n"
        );
        let mut open = raw::Open::new(gateway.on.port, events.as_bytes()).await?;
        open.until("data: 1\n\n").await?;
        streams.push(open);
        let socket = format!(
            "GET /does/websocket HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\ncookie: cardea={cookie}\r\nupgrade: websocket\r\n\
             connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let mut open = raw::Open::new(gateway.on.port, socket.as_bytes()).await?;
        open.until("\r\n\r\n").await?;
        streams.push(open);
    }
    assert_eq!(house.upstream.open_streams(), 4);
    let begun = Instant::now();
    client.send(Method::POST, &here.at("acme", "/sign-out")?, None).await?;
    for stream in streams {
        tokio::time::timeout(CUT, stream.closed()).await.context("a stream outlived its session")??;
    }
    println!("four streams at two other gateways were cut within {:?}", begun.elapsed());
    Ok(())
}

/// The `grpcio` client trusts what the gateways of this house present, each its own.
#[tokio::test]
async fn open_grpc_streams_at_the_other_gateways_are_told_that_they_are_denied_when_their_session_ends() -> Story {
    let tonic = Tonic::start().await?;
    let house =
        house_of(|plan| plan.tls().app("tonic", tonic.port, "").reached("tonic", "protocol = \"http2\"")).await?;
    let [here, others @ ..] = &house.gateways[..] else { anyhow::bail!("no gateway") };
    let mira = here.person("mira@acme.example", &["readers"]).await?;
    let (mut client, _) = mira.opens(&here.at("tonic.acme", "/x")?).await?;
    let cookie = client.jar("tonic.acme.localhost").context("no cookie")?;
    let mut calls = Vec::new();
    for gateway in others {
        let mut call = grpc::Client::start(&gateway.on.path("tls/roots.pem"))?;
        let begins = grpc::Call {
            port: gateway.on.port,
            host: "tonic.acme.localhost".to_owned(),
            kind: "Both",
            method: "/cardea.Wire/Both".to_owned(),
            cookie: cookie.clone(),
            messages: vec!["one".to_owned()],
            hold: true,
        };
        call.begin(&begins).await?;
        assert_eq!(call.hears().await?, "\"one\"");
        calls.push(call);
    }
    let begun = Instant::now();
    client.send(Method::POST, &here.at("acme", "/sign-out")?, None).await?;
    for mut call in calls {
        let told = tokio::time::timeout(CUT, call.end()).await.context("a call outlived its session")??;
        assert_eq!((told.code, &*told.details), (7, "denied"), "{told:?}");
    }
    println!("a gRPC stream at each of two other gateways was ended within {:?}", begun.elapsed());
    Ok(())
}

/// Asks again and again, as people at work do, and minds what it met with.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    answered: AtomicUsize,
    faults: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Load {
    /// `allowed`: whether the client may be let in. A fault (503), or nobody there, is no answer; a wrong answer is noted.
    async fn goes_on(self: Arc<Self>, mut client: Client, urls: Vec<Url>, allowed: bool) {
        client.program = true;
        while !self.over.load(Ordering::Relaxed) {
            for url in &urls {
                match client.get(url).await.map(|reply| reply.status.as_u16()) {
                    Ok(503) | Err(_) => {
                        self.faults.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(200) if allowed => {
                        self.answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(401) if !allowed => {
                        self.answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(other) => {
                        self.wrong
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(format!("{url}: {other}, {allowed}"));
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

impl Load {
    /// Ends it; tells how much was answered. One wrong answer fails the story.
    async fn ends(&self, clients: &mut JoinSet<()>) -> usize {
        self.over.store(true, Ordering::Relaxed);
        while clients.join_next().await.is_some() {}
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(wrong.is_empty(), "{} wrong answers, the first {:?}", wrong.len(), wrong.first());
        self.answered.load(Ordering::Relaxed)
    }
}

/// How long it takes until all gateways of `at` let the client in again.
async fn recovered(client: &mut Client, at: &[&Gateway]) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    for gateway in at {
        while !matches!(status(client, gateway).await, Ok(200)) {
            ensure!(begun.elapsed() < Duration::from_secs(30), "it does not recover");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(begun.elapsed())
}

#[tokio::test]
async fn whatever_is_killed_under_load_what_was_acknowledged_stands_and_nobody_gets_in_who_should_not() -> Story {
    let mut house = house().await?;
    let mira = house.gateways[0].person("mira@acme.example", &["readers"]).await?;
    let (mut stays, ended) = (signed_in(&house.gateways[0], &mira).await?, signed_in(&house.gateways[1], &mira).await?);
    // Which the last gateway has not met when it is asked: it has to read them.
    let mut unmet = Vec::new();
    for _ in 0..3 {
        unmet.push(signed_in(&house.gateways[0], &mira).await?);
    }
    let out = house.gateways[1].at("acme", "/sign-out")?;
    ended.clone().send(Method::POST, &out, None).await?;
    for gateway in &house.gateways {
        refused(&mut ended.clone(), gateway, HEARD).await?;
    }
    let load = Arc::new(Load::default());
    let (urls, mut clients) = (everywhere(&house.gateways)?, JoinSet::new());
    for _ in 0..3 {
        clients.spawn(Arc::clone(&load).goes_on(stays.clone(), urls.clone(), true));
        clients.spawn(Arc::clone(&load).goes_on(ended.clone(), urls.clone(), false));
    }

    // A gateway: the others go on, and it comes back to what it knew.
    let fallen = house.gateways.remove(1);
    let on = fallen.kill().await?;
    let others: Vec<_> = house.gateways.iter().collect();
    println!("a gateway killed: the others answer after {:?}", recovered(&mut stays, &others).await?);
    let back = on.start().await?;
    println!("  started again: {:?}", recovered(&mut stays, &[&back]).await?);
    house.gateways.insert(1, back);
    println!("  for a session that it had not met: {:?}", meets(&mut unmet, &house.gateways[2]).await?);

    // The master of the tenant's slot. What it acknowledged is on its disk.
    house.cluster.of("acme").await?.kill().await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    house.cluster.of("acme").await?.start_again().await?;
    let all: Vec<_> = house.gateways.iter().collect();
    println!("a Redis master killed and started again: {:?}", recovered(&mut stays, &all).await?);
    println!("  for a session that it had not met: {:?}", meets(&mut unmet, &house.gateways[2]).await?);

    // PostgreSQL.
    house.postgres.kill().await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    house.postgres.start_again().await?;
    let all: Vec<_> = house.gateways.iter().collect();
    println!("PostgreSQL killed and started again: {:?}", recovered(&mut stays, &all).await?);
    println!("  for a session that it had not met: {:?}", meets(&mut unmet, &house.gateways[2]).await?);

    let answered = load.ends(&mut clients).await;
    println!("{answered} answers, {} faults meanwhile", load.faults.load(Ordering::Relaxed));
    assert!(answered > 50);
    // What had ended has; the log is whole, and tells of the end.
    for gateway in &house.gateways {
        // Who is well is asked of each store first: until all are there again the answer is a fault.
        assert_eq!(settled(&ended, gateway).await?, 401);
    }
    let verified = house.gateways[2].on.does(&["audit", "verify"]).await?;
    assert!(verified.contains("acme: "), "{verified}");
    let (_, page) = mira.opens(&house.gateways[2].at("acme", "/activity")?).await?;
    assert!(page.body.contains("Signed out"), "{}", page.body);
    Ok(())
}

/// The same for a session that is in no memory of the gateway's.
async fn meets(unmet: &mut Vec<Client>, gateway: &Gateway) -> anyhow::Result<Duration> {
    let mut client = unmet.pop().context("all were met")?;
    recovered(&mut client, &[gateway]).await
}

/// What a gateway says once it has all its stores again; a fault until then, and nothing else.
async fn settled(client: &Client, gateway: &Gateway) -> anyhow::Result<u16> {
    let settling = async {
        loop {
            match status(&mut client.clone(), gateway).await? {
                503 => tokio::time::sleep(Duration::from_millis(10)).await,
                told => return anyhow::Ok(told),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), settling).await.context("its stores stay away")?
}

/// One session, one gateway, a handle that is due: of 200 at once one is given the next, and a replay of the old one ends the session.
#[tokio::test]
async fn of_200_clients_with_one_handle_one_is_given_the_next_and_a_replay_ends_the_session() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let mut client = signed_in(&gateway, &mira).await?;
    let old = client.cookie("echo.acme.localhost", "cardea").context("no cookie")?.to_owned();
    // Sixteen minutes on, as the clock would have it: the gateway reads it anew.
    let on = gateway.kill().await?;
    on.by_hand("UPDATE handles SET issued_at = issued_at - 960000000").await?;
    let gateway = on.start().await?;
    let ask = async |cookie: String| {
        let asked = format!("cookie: cardea={cookie}\r\n");
        gateway.on.ask("echo.acme", "GET /studies", &asked).await
    };
    let race = (0..200).map(|_| ask(old.clone()));
    let answers = futures_util::future::try_join_all(race).await?;
    assert!(answers.iter().all(|answer| answer.status() == 200), "nobody is thrown out by the race");
    let given: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.header("set-cookie")?.strip_prefix("cardea=")?.split(';').next().map(str::to_owned))
        .collect();
    assert_eq!(given.len(), 1, "{given:?}");
    let next = given[0].clone();
    assert_eq!(ask(next.clone()).await?.status(), 200);
    assert_eq!(ask(old.clone()).await?.status(), 200, "a page's other requests are still under way");
    let on = gateway.kill().await?;
    on.by_hand("UPDATE handles SET superseded_at = superseded_at - 61000000 WHERE superseded_at IS NOT NULL").await?;
    let gateway = on.start().await?;
    client.set_cookie("echo.acme.localhost", "cardea", &old);
    assert_eq!(status(&mut client, &gateway).await?, 401, "the old one, a minute later, is somebody else's");
    client.set_cookie("echo.acme.localhost", "cardea", &next);
    assert_eq!(status(&mut client, &gateway).await?, 401, "and the session is over for both");
    let told = gateway.on.does(&["audit", "list", "--tenant", "acme", "--format", "json"]).await?;
    assert!(told.contains("session-reuse"), "{told}");
    Ok(())
}
