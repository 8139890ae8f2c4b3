//! Gateways of one house are restarted one after the other, as when another version is put in place, and nobody notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use cardea_tests::{
    Client, Gateway, Plan, Postgres, Process, Story, Upstream, Wire, free_port,
    process::Folder,
    wire::{Heard, Protocol, nothing, whole},
};
use http::{Method, header};
use tokio::task::JoinSet;
use url::Url;

use crate::behind::{program, snippet};

/// HAProxy with the configuration that ships with Cardea, in front of two gateways.
async fn balancer(folder: &Folder, port: u16, gateways: &[Gateway; 2]) -> anyhow::Result<Process> {
    let mut text = snippet("haproxy/balancer.cfg")?;
    let [one, two] = gateways;
    for (stands, instead) in [
        ("bind :443 ssl crt /etc/haproxy/people.pem alpn h2,http/1.1", format!("bind 127.0.0.1:{port}")),
        ("X-Forwarded-Proto https", "X-Forwarded-Proto http".to_owned()),
        (" check port 9090", " check".to_owned()),
        (
            "default-server ssl verify required ca-file /etc/haproxy/gateways.pem sni req.hdr(host),field(1,:)",
            String::new(),
        ),
        ("bind :8443", format!("bind 127.0.0.1:{}", free_port()?)),
        ("10.0.0.11:8443", format!("127.0.0.1:{} port {}", one.on.machines, one.on.ops)),
        ("10.0.0.12:8443", format!("127.0.0.1:{} port {}", two.on.machines, two.on.ops)),
        ("10.0.0.11:443", format!("127.0.0.1:{} port {}", one.on.port, one.on.ops)),
        ("10.0.0.12:443", format!("127.0.0.1:{} port {}", two.on.port, two.on.ops)),
    ] {
        ensure!(text.contains(stands), "`{stands}` is not there");
        text = text.replace(stands, &instead);
    }
    let config = folder.path().join("haproxy.cfg");
    std::fs::write(&config, text)?;
    let mut command = program("haproxy");
    command.arg("-db").arg("-f").arg(&config);
    let log = folder.path().join("log");
    let mut process = Process::start(command, &log)?;
    let url = Url::parse(&format!("http://acme.localhost:{port}/sign-in"))?;
    let answers = async || Client::program().get(&url).await.is_ok_and(|reply| reply.status == 200);
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    process.until(answers).await.with_context(|| format!("the balancer does not answer:\n{}", told()))?;
    Ok(process)
}

/// What clients met with.
#[derive(Default)]
struct Met {
    answered: AtomicUsize,
    over: AtomicBool,
}

/// Asks on one connection, again and again, until it is over. Whatever is no answer of the service is a failure.
async fn keeps_asking(url: Url, cookie: String, method: Method, met: Arc<Met>) -> Story {
    let mut wire = Wire::open(Protocol::Plain, &url).await?;
    while !met.over.load(Ordering::Relaxed) {
        let origin = url.origin().ascii_serialization();
        let request = wire.request(method.clone(), &url).header(header::COOKIE, &cookie).header(header::ORIGIN, origin);
        let body = if method == Method::POST { whole("a record") } else { nothing() };
        let heard = Heard::read(wire.send(request.body(body)?).await?).await?;
        ensure!(
            heard.status == 200 && !heard.broken_off,
            "{method}: {} {}",
            heard.status,
            String::from_utf8_lossy(&heard.body)
        );
        met.answered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Two gateways on one database, behind a proxy at `port`.
async fn two(upstream: &Upstream, postgres: &Postgres, port: u16) -> anyhow::Result<[Gateway; 2]> {
    let plan = || Plan::before(upstream.port).postgres(&postgres.url()).behind(port);
    let one = plan().start().await?;
    let two = one.beside(plan()).await?;
    Ok([one, two])
}

#[tokio::test]
async fn each_gateway_is_restarted_under_load_and_no_request_fails() -> Story {
    let (upstream, postgres, port) = (Upstream::start().await?, Postgres::start().await?, free_port()?);
    let (folder, gateways) = (Folder::new("balancer")?, two(&upstream, &postgres, port).await?);
    let _balancer = balancer(&folder, port, &gateways).await?;
    let mira = gateways[0].person("mira@acme.example", &["readers"]).await?;
    let (url, met) = (gateways[0].at("echo.acme", "/x")?, Arc::new(Met::default()));
    let mut clients = JoinSet::new();
    for nth in 0..6 {
        let (client, page) = mira.opens(&url).await?;
        assert_eq!(page.status, 200, "{}", page.body);
        let cookie = client.jar("echo.acme.localhost").context("no cookie")?;
        let method = if nth % 3 == 0 { Method::POST } else { Method::GET };
        clients.spawn(keeps_asking(url.clone(), cookie, method, Arc::clone(&met)));
    }
    let mut restarts = Vec::new();
    for gateway in gateways {
        let before = met.answered.load(Ordering::Relaxed);
        let mut again = gateway.stop().await?.start().await?;
        // The balancer has found it: only then is the next one stopped.
        again.counts("cardea_requests_total{tenant=\"acme\",app=\"echo\",method=\"read\",class=\"2xx\"").await?;
        assert!(met.answered.load(Ordering::Relaxed) > before + 100, "there was hardly any load");
        if let Some(failed) = clients.try_join_next() {
            failed??;
        }
        restarts.push(again);
    }
    met.over.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client??;
    }
    for gateway in &restarts {
        let refused = gateway.metrics().await?;
        assert!(!refused.contains("class=\"5xx\""), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_is_told_to_stop_says_no_and_serves_on_until_it_has_left() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).config("[limits]\nleave_seconds = 30\n").start().await?;
    let url = gateway.at("echo.acme", "/public/x")?;
    assert_eq!(gateway.readiness().await?.0, 200);
    gateway.is_told_to_stop()?;
    let says_no = async {
        while gateway.readiness().await?.0 == 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gateway.readiness().await
    };
    let told = tokio::time::timeout(Duration::from_secs(5), says_no).await??;
    assert_eq!(told, (503, "leaving\n".to_owned()));
    let reply = Client::program().get(&url).await?;
    assert_eq!((reply.status.as_u16(), reply.header("connection")), (200, Some("close")));
    // Told again, it waits no longer.
    gateway.is_told_to_stop()?;
    tokio::time::timeout(Duration::from_secs(10), gateway.ends()).await.context("it stays for all of the time")??;
    Ok(())
}

/// Whoever keeps everything in a file of its own has nobody to leave its work to.
#[tokio::test]
async fn a_gateway_alone_stops_at_once() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    tokio::time::timeout(Duration::from_secs(5), gateway.stop()).await.context("it stays")??;
    Ok(())
}

#[tokio::test]
async fn a_gateway_whose_store_is_away_when_it_starts_is_never_ready_and_says_why() -> Story {
    let (upstream, mut postgres) = (Upstream::start().await?, Postgres::start().await?);
    let on = Plan::before(upstream.port).postgres(&postgres.url()).start().await?.kill().await?;
    postgres.kill().await?;
    let told = on.start().await.err().map(|error| format!("{error:#}")).context("it says that it is ready")?;
    assert!(told.contains("the store in") && told.contains("cannot be opened"), "{told}");
    postgres.start_again().await?;
    let gateway = on.start().await?;
    assert_eq!(gateway.readiness().await?.0, 200);
    Ok(())
}
