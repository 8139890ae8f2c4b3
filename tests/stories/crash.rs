//! A power cut under load: what was acknowledged is there afterwards, and nothing else is made up.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use cardea_tests::{Client, Demo, Installation, Plan, Story, Upstream, gateway::entries};
use http::Method;
use url::Url;

/// What clients were told, by the ids of the answers.
#[derive(Debug, Default)]
struct Told {
    all: Mutex<Vec<(String, Option<Url>)>>,
    count: AtomicUsize,
}

impl Told {
    fn note(&self, id: Option<&str>, made: Option<Url>) {
        let note = (id.unwrap_or_default().to_owned(), made);
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Until so many answers have come: the load is on.
    async fn reaches(&self, count: usize) -> anyhow::Result<()> {
        let reached = async {
            while self.count.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached).await.context("the load does not get on")
    }
}

/// Creates and reads records until the gateway is gone.
async fn work(mut client: Client, records: Url, told: Arc<Told>, nth: usize) {
    client.program = true;
    for round in 0.. {
        let record = serde_json::json!({ "title": format!("Load {nth}.{round}"), "text": "written under load" });
        let Ok(made) = client.json(Method::POST, &records, &record).await else { return };
        let at = made.location().ok().filter(|_| made.status == 201);
        told.note(made.header("x-request-id"), at.clone());
        let Ok(read) = client.get(at.as_ref().unwrap_or(&records)).await else { return };
        told.note(read.header("x-request-id"), None);
    }
}

fn ids(export: &str) -> anyhow::Result<BTreeSet<String>> {
    Ok(entries(export)?.iter().filter_map(|entry| entry["id"].as_str().map(str::to_owned)).collect())
}

#[tokio::test]
async fn no_acknowledged_entry_record_or_session_is_lost_by_kill_9() -> Story {
    let demo = Demo::start().await?;
    let records = demo.at("records.acme", "/studies/S-12/records")?;
    let start = demo.at("records.acme", "/studies")?;
    let told = Arc::new(Told::default());
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(demo.signed_in("rui@acme.example", &start).await?.0);
    }
    let load: Vec<_> = clients
        .iter()
        .enumerate()
        .map(|(nth, client)| tokio::spawn(work(client.clone(), records.clone(), Arc::clone(&told), nth)))
        .collect();
    told.reaches(60).await?;
    let demo = demo.killed_and_restarted().await?;
    for one in load {
        one.await?;
    }

    let told = told.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (status, export, err) = demo.cardea(&["audit", "export", "--tenant", "acme"]).await?;
    assert_eq!(status, 0, "{err}");
    let written = ids(&export)?;
    let lost: Vec<_> = told.iter().filter(|(id, _)| !written.contains(id)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged entries are missing: {lost:?}", lost.len(), told.len());
    let (status, out, err) = demo.cardea(&["audit", "verify"]).await?;
    assert_eq!(status, 0, "the log is broken: {out}{err}");

    for client in &mut clients {
        client.program = true;
        assert_eq!(client.get(&start).await?.status, 200, "a session did not live on");
    }
    for at in told.iter().filter_map(|(_, made)| made.as_ref()) {
        let read = clients[0].get(at).await?;
        assert_eq!(read.status, 200, "the record {at} is lost");
        assert!(read.body.contains("written under load"), "{}", read.body);
    }
    Ok(())
}

/// For an app that asks for it, the entry is on disk before the service hears of the request: also of requests whose
/// answer never arrived.
#[tokio::test]
async fn an_app_that_wants_entries_before_has_one_for_every_request_its_service_heard() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).app("strict", upstream.port, "audit = \"before\"").start().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (client, _) = mira.opens(&gateway.at("strict.acme", "/x")?).await?;
    let load: Vec<_> = (0..4)
        .map(|nth| {
            let (mut client, url) = (client.clone(), gateway.at("strict.acme", &format!("/load/{nth}")));
            tokio::spawn(async move {
                let Ok(url) = url else { return };
                while client.get(&url).await.is_ok() {}
            })
        })
        .collect();
    let until = async {
        while upstream.count() < 80 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), until).await.context("the load does not get on")?;
    let on: Installation = gateway.kill().await?;
    for one in load {
        one.await?;
    }

    let heard = upstream.all();
    let written = ids(&on.does(&["audit", "export", "--tenant", "acme"]).await?)?;
    let told: Vec<_> = heard.iter().filter_map(|one| one.header("x-request-id")).collect();
    assert_eq!(told.len(), heard.len(), "a request without an id");
    let unwritten: Vec<_> = told.iter().filter(|id| !written.contains(**id)).collect();
    assert!(unwritten.is_empty(), "{} of {} were heard without an entry", unwritten.len(), heard.len());
    on.does(&["audit", "verify"]).await?;
    Ok(())
}

/// Entries of ordinary requests are written in groups within milliseconds; admission stops when one has waited for two
/// seconds. So what was answered longer ago than that is never missing.
#[tokio::test]
async fn entries_written_in_groups_are_there_within_the_stated_time() -> Story {
    const OLDEST: Duration = Duration::from_secs(2);
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let url = gateway.at("echo.acme", "/public/x")?;
    let (mut visitor, mut told, begun) = (Client::program(), Vec::new(), Instant::now());
    while begun.elapsed() < OLDEST + Duration::from_millis(500) {
        let reply = visitor.get(&url).await?;
        told.push((Instant::now(), reply.header("x-request-id").unwrap_or_default().to_owned()));
    }
    let killed = Instant::now();
    let on = gateway.kill().await?;
    let written = ids(&on.does(&["audit", "export", "--tenant", "acme"]).await?)?;
    let lost: Vec<_> = told.iter().filter(|(_, id)| !written.contains(id)).collect();
    let late = lost.iter().filter(|(at, _)| killed.duration_since(*at) > OLDEST).count();
    assert_eq!(late, 0, "of {} lost ones", lost.len());
    assert!(lost.len() * 10 < told.len(), "{} of {} are lost", lost.len(), told.len());
    on.does(&["audit", "verify"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_gateway_told_to_stop_ends_in_good_order() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let mut visitor = Client::program();
    let reply = visitor.get(&gateway.at("echo.acme", "/public/x")?).await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let id = reply.header("x-request-id").context("no id")?.to_owned();
    let on = gateway.stop().await?;
    assert!(ids(&on.does(&["audit", "export", "--tenant", "acme"]).await?)?.contains(&id));
    Ok(())
}
