//! Requirement H1 to H6 in one comparison: whatever is sent, Cardea refuses it, or six services of others' making read
//! what it forwards alike, as the decision's entry has it, and hear no request more (G1, G2, G5, G7 to G11).

mod h2;
mod judge;
mod requests;

use std::{collections::HashMap, io::Write as _, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use cardea_tests::{Echo, Gateway, Plan, Story, echo::View};
use judge::{Place, Tally, check_entries};
use requests::{Case, END, cases};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

/// Requests that are compared; each goes to all six.
const CASES: usize = 2_200;

/// Requests in frames.
const FRAMED_CASES: usize = 400;

/// What the cases are made from: the same ones every time.
const SEED: u64 = 0x00ca_7dea;

/// Connections at once.
const AT_ONCE: usize = 24;

/// How long an answer may stay away before what was sent counts as unfinished: a length that promised more than came.
const UNFINISHED: Duration = Duration::from_secs(10);

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: u16,
    reason: Option<String>,
    id: String,
    view: Option<View>,
}

struct World {
    gateway: Gateway,
    echoes: Vec<Echo>,
    cookies: Vec<String>,
}

impl World {
    /// The six services, each behind an app that everybody may use, and a reader who is signed in at each.
    async fn open(tls: bool) -> anyhow::Result<Self> {
        let echoes = Echo::all().await?;
        let mut plan = Plan::before(echoes[0].port);
        for Echo { name, port, .. } in &echoes {
            // Patient: what is compared is meaning, and the machine may be busy.
            let app = format!(
                "id = \"{name}\"\nname = \"{name}\"\nhosts = [\"{name}.acme.localhost\"]\nheaders = {{ Remote-User = \"email\", X-Groups = \"groups\" }}\n\n\
                 [upstream]\nurl = \"http://127.0.0.1:{port}\"\nanswer_seconds = 60\n"
            );
            plan = plan.file(&format!("tenants/acme/apps/{name}.toml"), &app).file(
                &format!("tenants/acme/policies/{name}.cedar"),
                &format!(
                    "@id(\"{name}\")\npermit (principal, action, resource in App::\"{name}\");\n\n\
                     @id(\"{name}-signed-in\")\nforbid (principal is Visitor, action, resource in App::\"{name}\")\n\
                     when {{ context.path == \"/signed-in\" }};\n"
                ),
            );
        }
        if tls {
            // Over HTTP/2 it is about frames: a visitor is enough.
            let cookies = vec![String::new(); echoes.len()];
            return Ok(Self { gateway: plan.tls().start().await?, echoes, cookies });
        }
        let gateway = plan.start().await?;
        let mira = gateway.person("mira@acme.example", &["readers"]).await?;
        let mut cookies = Vec::new();
        for Echo { name, .. } in &echoes {
            let host = format!("{name}.acme");
            let (client, _) = mira.opens(&gateway.at(&host, "/signed-in")?).await?;
            cookies.push(client.cookie(&format!("{host}.localhost"), "cardea").unwrap_or_default().to_owned());
        }
        Ok(Self { gateway, echoes, cookies })
    }

    fn host(&self, nth: usize) -> String {
        format!("{}.acme.localhost", self.echoes[nth].name)
    }

    /// The bytes for one of the services.
    fn addressed(&self, bytes: &[u8], nth: usize) -> Vec<u8> {
        let (name, port) = (self.host(nth), self.gateway.on.port);
        let mut out = bytes.to_vec();
        for (from, to) in [
            ("@HOST@", format!("{name}:{port}")),
            ("@NAME@", name.clone()),
            ("@UPPER@", name.to_ascii_uppercase()),
            ("@COOKIE@", self.cookies[nth].clone()),
        ] {
            out = replaced(&out, from.as_bytes(), to.as_bytes());
        }
        out
    }

    /// Sends a case to one of the services; nothing where it is left unfinished.
    async fn send(&self, case: &Case, nth: usize) -> anyhow::Result<Option<Vec<Answer>>> {
        let bytes = self.addressed(&[&case.bytes, END.as_bytes()].concat(), nth);
        let mut stream = TcpStream::connect(("127.0.0.1", self.gateway.on.port)).await?;
        let _ = stream.write_all(&bytes).await;
        let mut all = Vec::new();
        match timeout(UNFINISHED, stream.read_to_end(&mut all)).await {
            Ok(_) => Ok(Some(answers(&all, &self.echoes[nth])?)),
            Err(_) => Ok(None),
        }
    }
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|found| found == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The answers of a connection, one after the other.
fn answers(mut bytes: &[u8], echo: &Echo) -> anyhow::Result<Vec<Answer>> {
    let mut all = Vec::new();
    while let Some(end) = bytes.windows(4).position(|found| found == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status: u16 = head.get(9..12).and_then(|digits| digits.parse().ok()).context(head.clone())?;
        bytes = &bytes[end + 4..];
        if status < 200 {
            continue;
        }
        let field = |name: &str| cardea_tests::raw::header(&head, name).map(str::to_owned);
        let (body, rest) = match field("content-length") {
            Some(length) => bytes.split_at_checked(length.parse()?).map(|(body, rest)| (body.to_vec(), rest)),
            None if field("transfer-encoding").is_some() => unchunked(bytes),
            None => Some((bytes.to_vec(), &bytes[bytes.len()..])),
        }
        .with_context(|| format!("half an answer: {head}"))?;
        bytes = rest;
        let text = String::from_utf8_lossy(&body);
        let reason = text.split_once("\"reason\":\"").and_then(|(_, rest)| rest.split('"').next()).map(str::to_owned);
        let view = if status == 200 { Some(echo.view(&body)?) } else { None };
        all.push(Answer {
            status,
            reason: reason.filter(|_| status != 200),
            id: field("x-request-id").unwrap_or_default(),
            view,
        });
    }
    ensure!(bytes.is_empty(), "after the answers: {}", String::from_utf8_lossy(bytes));
    Ok(all)
}

fn unchunked(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|found| found == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?.trim(), 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return Some((body, bytes.strip_prefix(b"\r\n")?));
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// Sends every case to every service, and gives the answers in that order.
async fn sent<C: Clone + Send + Sync + 'static, F>(
    world: &Arc<World>,
    cases: &[C],
    send: impl Fn(Arc<World>, C, usize) -> F,
) -> anyhow::Result<Vec<Option<Vec<Answer>>>>
where
    F: Future<Output = anyhow::Result<Option<Vec<Answer>>>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut sending = Vec::new();
    for case in cases {
        for nth in 0..world.echoes.len() {
            let place = Arc::clone(&room).acquire_owned().await?;
            let sent = send(Arc::clone(world), case.clone(), nth);
            sending.push(tokio::spawn(async move {
                let sent = sent.await;
                drop(place);
                sent
            }));
        }
    }
    let mut answered = Vec::new();
    for sent in sending {
        answered.push(sent.await??);
    }
    Ok(answered)
}

/// Judges all answers, compares them with the log, and counts what the services heard.
async fn judged(
    world: Arc<World>,
    cases: &[(&'static str, String)],
    answered: &[Option<Vec<Answer>>],
) -> anyhow::Result<Tally> {
    let place = |nth: usize| Place { host: world.host(nth), cookie: world.cookies[nth].clone() };
    let places: Vec<_> = (0..world.echoes.len()).map(place).collect();
    let mut tally = Tally::default();
    for ((about, text), all) in cases.iter().zip(answered.chunks(places.len())) {
        tally.judge(about, text, all, &places);
    }
    let heard: Vec<_> = world.echoes.iter().map(Echo::count).collect::<Result<_, _>>()?;
    let World { gateway, echoes, .. } = Arc::into_inner(world).context("somebody still sends")?;
    let log = gateway.stop().await?.log("acme").await?;
    let entries: HashMap<&str, &Value> =
        log.iter().filter_map(|entry| Some((entry["id"].as_str()?, &entry["event"]))).collect();
    check_entries(&mut tally, answered, &places, &entries);
    for (echo, heard) in echoes.iter().zip(heard) {
        let forwarded = |entry: &&&Value| entry["app"] == echo.name && entry["status"] == 200;
        let forwarded = entries.values().filter(forwarded).count();
        if heard != forwarded {
            tally.wrong.push(format!("{} heard {heard} requests of {forwarded}", echo.name));
        }
    }
    // Past the test runner, which keeps what passing tests print: a run tells its counts.
    writeln!(
        std::io::stderr(),
        "echo comparison: {} requests to {} services each: {} refused, {} forwarded, {} left unfinished, {} readings \
         compared, {} disagreements; refused and forwarded by what they are about: {:?}",
        cases.len(),
        places.len(),
        tally.refused,
        tally.forwarded,
        tally.unfinished,
        tally.compared,
        tally.wrong.len(),
        tally.by_case
    )?;
    let first = tally.wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    ensure!(tally.wrong.is_empty(), "{} disagreements, the first of them:\n{first}", tally.wrong.len());
    let edge = cases.len() / 5;
    ensure!(
        tally.forwarded > edge && tally.refused > edge && tally.unfinished < edge / 2,
        "the cases have lost their edge"
    );
    Ok(tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_services_read_what_was_decided_and_nothing_else() -> Story {
    let world = Arc::new(World::open(false).await?);
    let all = cases(SEED, CASES);
    let answered =
        sent(&world, &all, |world, case, nth| async move { world.send(&case, nth).await.with_context(|| case.text()) })
            .await?;
    let texts: Vec<_> = all.iter().map(|case| (case.about, case.text())).collect();
    let tally = judged(world, &texts, &answered).await?;
    ensure!(tally.signed_in > CASES / 4, "hardly anybody was signed in: {}", tally.signed_in);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_services_read_what_was_decided_over_http2() -> Story {
    let world = Arc::new(World::open(true).await?);
    let all = h2::cases(SEED, FRAMED_CASES);
    let answered = sent(&world, &all, |world, mut case, nth| async move {
        for (name, value) in &mut case.fields {
            (*name, *value) = (world.addressed(name, nth), world.addressed(value, nth));
        }
        let answer = h2::send(&case, world.gateway.on.port, &world.host(nth), &world.echoes[nth]).await;
        answer.map(|answer| Some(vec![answer])).with_context(|| format!("{case:?}"))
    })
    .await?;
    let texts: Vec<_> = all.iter().map(|case| (case.about, format!("{case:?}"))).collect();
    judged(world, &texts, &answered).await?;
    Ok(())
}
