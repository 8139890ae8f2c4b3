//! Certificates through the whole gateway: a service enrols over the machines listener, renews with the certificate it
//! got, and everybody else is refused. TLS compares certificates with the machine's time, so these stories are told in
//! it; only the agent's idea of when to renew is moved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a story that cannot go on ends here")]

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cardea::{
    House,
    agent::{Agent, AgentFault, Options},
    config::Config,
    house::Doer,
    running::Running,
    system::{SystemClock, SystemEntropy},
};
use cardea_audit::Event;
use cardea_certs::{
    Authority, CertificateFacts, EnrolmentToken, PrivateKey, Profile, Request, SpiffeId, TrustDomain, pem,
};
use cardea_core::{Clock, Reason, Secret, TenantId, Timestamp, resources::Bundle};
use cardea_storage::{Applying, Plan};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use url::Url;

struct World {
    running: Running,
    house: Arc<House>,
    folder: PathBuf,
    roots: String,
    /// Seconds that the gateway's clock is ahead of the machine's.
    ahead: Arc<AtomicU64>,
}

/// The machine's clock, some time ahead, which may grow.
struct Later(Arc<AtomicU64>);
impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(Duration::from_secs(self.0.load(Ordering::SeqCst)))
    }
}

/// The machine's clock, some time ahead.
struct Ahead(Duration);
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.0)
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

fn bundle() -> Bundle {
    let files = ["acme", "north"].map(|id| {
        let text = format!("id = \"{id}\"\nname = \"{id}\"\nsign_in_host = \"{id}.localhost\"\n");
        (format!("tenants/{id}/tenant.toml"), text)
    });
    Bundle::read(&files.into_iter().collect()).unwrap()
}

async fn world(name: &str) -> World {
    let folder = std::env::temp_dir().join(format!("cardea-cert-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let text = "[state]\ndir = \"state\"\n[[listeners]]\naddress = \"127.0.0.3:0\"\nplain = true\n\
                [ops]\naddress = \"127.0.0.2:0\"\n[machines]\naddress = \"127.0.0.1:0\"\n";
    let config = || Config::parse("cardea.toml", text, &folder, SystemClock.now()).unwrap();
    let ahead = Arc::new(AtomicU64::new(0));
    let (clock, entropy) = (Arc::new(Later(Arc::clone(&ahead))), Arc::new(SystemEntropy));
    let before = House::unprepared(config(), clock.clone(), entropy.clone()).await.unwrap();
    let plan = Plan::between(Bundle::default(), &bundle());
    let with = Applying { author: "test", note: "", hash: &|_, _| String::new(), now: SystemClock.now() };
    before.store.apply(&plan, &with).await.unwrap();
    before.close().await;
    let house = House::open(config(), clock, entropy).await.unwrap();
    let roots = house.ca.root(&house).await.unwrap().to_pem();
    let running = Running::start(Arc::clone(&house)).await.unwrap();
    World { running, house, folder, roots, ahead }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl World {
    async fn token(&self, id: &str, service: &str) -> EnrolmentToken {
        let made = self.house.ca.make_enrolment(&self.house, &tenant(id), service, HOUR, &Doer::operator()).await;
        made.unwrap().token
    }

    fn agent(&self, host: &str, token: Option<&EnrolmentToken>, dir: &str, ahead: Duration) -> Agent {
        Agent::new(self.options(host, token, dir, ahead))
    }

    fn options(&self, host: &str, token: Option<&EnrolmentToken>, dir: &str, ahead: Duration) -> Options {
        Options {
            server: Url::parse(&format!("https://{host}:{}", self.running.machines.unwrap().port())).unwrap(),
            roots: self.roots.clone(),
            token: token.map(|token| Secret::new(token.expose().to_owned())),
            dir: self.folder.join(dir),
            exec: None,
            clock: Arc::new(Ahead(ahead)),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// Opens a connection that shows what is in `dir`, if anything.
    async fn connect(&self, host: &str, dir: Option<&str>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        for root in pem::certificates(&self.roots).unwrap() {
            roots.add(root).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match dir {
            Some(dir) => {
                let read = |name: &str| std::fs::read_to_string(self.folder.join(dir).join(name)).unwrap();
                let key = PrivateKey::from_pem(&read("key.pem")).unwrap().to_pkcs8();
                let chain = pem::certificates(&read("cert.pem")).unwrap();
                config.with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(key)).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.running.machines.unwrap()).await?;
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config));
        tls.connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await
    }

    /// Posts JSON over a connection that shows what is in `dir`, if anything; gives status and body.
    async fn post(&self, host: &str, path: &str, body: &str, dir: Option<&str>) -> std::io::Result<(u16, String)> {
        say(&mut self.connect(host, dir).await?, host, path, body).await
    }

    async fn entries(&self, id: &str) -> Vec<Event> {
        self.house.log.flush().await.unwrap();
        let rows = self.house.store.log_range(Some(&tenant(id)), 0, 1000).await.unwrap();
        rows.iter().map(|row| row.entry().unwrap().event).collect()
    }
}

/// Posts JSON over a connection, as its last request; gives status and body.
async fn say(stream: &mut TlsStream<TcpStream>, host: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.is_empty() {
        read?;
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, answer))
}

fn refused(result: Result<cardea::agent::Obtained, AgentFault>) -> (String, String) {
    match result.unwrap_err() {
        AgentFault::Refused { reason, detail, .. } => (reason, detail),
        other => panic!("{other}"),
    }
}

fn csr() -> String {
    PrivateKey::generate(&SystemEntropy).unwrap().request().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_enrols_once_and_renews_itself_with_a_new_key_each_time() {
    let world = world("enrols").await;
    let token = world.token("acme", "records").await;
    let agent = world.agent("acme.localhost", Some(&token), "records", Duration::ZERO);
    let first = agent.obtain().await.unwrap();
    assert!(first.new);
    assert_eq!(first.facts.spiffe_id.as_ref().unwrap().as_str(), "spiffe://acme.cardea.internal/service/records");
    assert_eq!(agent.obtain().await.unwrap(), cardea::agent::Obtained { facts: first.facts.clone(), new: false });

    let later = world.agent("acme.localhost", None, "records", HOUR / 2);
    let second = later.obtain().await.unwrap();
    assert!(second.new);
    assert_eq!(second.facts.spiffe_id, first.facts.spiffe_id);
    assert_ne!(second.facts.key_fingerprint, first.facts.key_fingerprint);
    assert_ne!(second.facts.serial, first.facts.serial);

    let events = world.entries("acme").await;
    let issued = events.iter().any(|event| matches!(event, Event::CertificateIssued { certificate, .. } if certificate.serial == first.facts.serial));
    let renewed = events.iter().any(|event| matches!(event, Event::CertificateRenewed { certificate, before } if certificate.serial == second.facts.serial && before == &first.facts.serial));
    assert!(issued && renewed, "{events:?}");
    let kept = world.house.store.certificates(&tenant("acme"), Some("records"), SystemClock.now()).await.unwrap();
    assert_eq!(kept.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_could_not_be_told_of_its_certificate_is_told_later() {
    let world = world("told").await;
    let token = world.token("acme", "records").await;
    let (ready, told) = (world.folder.join("ready"), world.folder.join("told"));
    let command = format!("test -e {} && echo once >> {}", ready.display(), told.display());
    let agent = || {
        let options = world.options("acme.localhost", Some(&token), "records", Duration::ZERO);
        Agent::new(Options { exec: Some(command.clone()), ..options })
    };
    let failed = agent().obtain().await.unwrap_err();
    assert!(matches!(failed, AgentFault::Exec(..)) && failed.may_pass(), "{failed}");
    // The certificate is there; an agent that is started anew knows that nobody was told.
    agent().obtain().await.unwrap_err();
    std::fs::write(&ready, "").unwrap();
    for _ in 0..2 {
        assert!(!agent().obtain().await.unwrap().new);
        assert_eq!(std::fs::read_to_string(&told).unwrap(), "once\n");
    }
}

/// G23: a token is spent by its first use, also when many race for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g23_of_many_who_race_with_one_token_one_is_enrolled() {
    let world = world("race").await;
    let token = world.token("acme", "records").await;
    let agents: Vec<_> = (0..8)
        .map(|nth| world.agent("acme.localhost", Some(&token), &format!("records-{nth}"), Duration::ZERO))
        .collect();
    let tries = futures_util::future::join_all(agents.iter().map(Agent::obtain)).await;
    let (won, lost): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for one in lost {
        assert_eq!(refused(one).0, Reason::EnrolmentSpent.code());
    }
    let again = world.agent("acme.localhost", Some(&token), "again", Duration::ZERO).obtain().await;
    assert_eq!(refused(again).0, Reason::EnrolmentSpent.code());
    let noted = world.entries("acme").await;
    assert!(
        noted.iter().any(|event| matches!(event, Event::CertificateRefused { reason: Reason::EnrolmentSpent, .. }))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_counts_for_its_tenant_only_and_a_bad_request_does_not_spend_it() {
    let world = world("token").await;
    let token = world.token("acme", "records").await;
    let elsewhere = world.agent("north.localhost", Some(&token), "north", Duration::ZERO).obtain().await;
    assert_eq!(refused(elsewhere).0, Reason::EnrolmentSpent.code());
    let unknown = EnrolmentToken::mint(&SystemEntropy);
    let unknown = world.agent("acme.localhost", Some(&unknown), "unknown", Duration::ZERO).obtain().await;
    assert_eq!(refused(unknown).0, Reason::EnrolmentSpent.code());
    for (csr, status) in [("", 400), ("no request", 400), (&*"x".repeat(20_000), 400)] {
        let body = serde_json::json!({ "token": token.expose(), "csr": csr }).to_string();
        let (got, answer) = world.post("acme.localhost", "/ca/enrol", &body, None).await.unwrap();
        assert_eq!(got, status, "{answer}");
        assert!(answer.contains("urn:cardea:reason:request-not-signed") && answer.contains("application/problem+json"));
    }
    for body in ["", "{}", "[]", "{\"token\":1,\"csr\":\"\"}", "{\"token\":\"x\",\"csr\":\"\",\"id\":\"y\"}"] {
        let (got, answer) = world.post("acme.localhost", "/ca/enrol", body, None).await.unwrap();
        assert_eq!(got, Reason::BadInput.status(), "{answer}");
        assert!(!answer.contains(token.expose()));
    }
    assert!(world.agent("acme.localhost", Some(&token), "records", Duration::ZERO).obtain().await.unwrap().new);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_holder_of_a_certificate_renews_it_with_another_key_at_its_own_tenant() {
    let world = world("renews").await;
    let token = world.token("acme", "records").await;
    world.agent("acme.localhost", Some(&token), "records", Duration::ZERO).obtain().await.unwrap();
    let body = |csr: &str| serde_json::json!({ "csr": csr }).to_string();

    let (nobody, _) = world.post("acme.localhost", "/ca/renew", &body(&csr()), None).await.unwrap();
    assert!([401, 403].contains(&nobody), "nobody renewed: {nobody}");
    let (other, answer) = world.post("north.localhost", "/ca/renew", &body(&csr()), Some("records")).await.unwrap();
    assert!([401, 403].contains(&other), "renewed at another tenant: {answer}");
    let key = std::fs::read_to_string(world.folder.join("records/key.pem")).unwrap();
    let same = PrivateKey::from_pem(&key).unwrap().request().unwrap();
    let (kept, answer) = world.post("acme.localhost", "/ca/renew", &body(&same), Some("records")).await.unwrap();
    assert_eq!(kept, 400, "{answer}");
    assert!(answer.contains("new key"), "{answer}");
    let (good, answer) = world.post("acme.localhost", "/ca/renew", &body(&csr()), Some("records")).await.unwrap();
    assert_eq!(good, 200, "{answer}");
}

/// Each renewal is measured against the certificate of its own connection, and against the time of its request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_names_its_own_predecessor_and_a_connection_renews_nothing_once_its_certificate_has_ended() {
    let world = world("predecessor").await;
    let body = || serde_json::json!({ "csr": csr() }).to_string();
    let mut serials = Vec::new();
    for dir in ["one", "two"] {
        let token = world.token("acme", "records").await;
        let agent = world.agent("acme.localhost", Some(&token), dir, Duration::ZERO);
        serials.push(agent.obtain().await.unwrap().facts.serial);
    }
    let mut first = world.connect("acme.localhost", Some("one")).await.unwrap();
    let mut late = world.connect("acme.localhost", Some("one")).await.unwrap();
    let mut second = world.connect("acme.localhost", Some("two")).await.unwrap();
    for stream in [&mut first, &mut second] {
        let (status, answer) = say(stream, "acme.localhost", "/ca/renew", &body()).await.unwrap();
        assert_eq!(status, 200, "{answer}");
    }
    let before: Vec<_> = world
        .entries("acme")
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::CertificateRenewed { before, .. } => Some(before),
            _ => None,
        })
        .collect();
    assert_eq!(before, serials);
    // Another instance has shown a younger one meanwhile; that is not this connection's.
    world.ahead.store(2 * 24 * 3600, Ordering::SeqCst);
    // A clock that leaps makes everything look old until changes are heard of again.
    while world.house.is_ready().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, answer) = say(&mut late, "acme.localhost", "/ca/renew", &body()).await.unwrap();
    assert_eq!((status, answer.contains("certificate-rejected")), (403, true), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_the_tenants_ends_the_handshake() {
    let world = world("foreign").await;
    let now = SystemClock.now();
    let root = Authority::root(now, &SystemEntropy).unwrap();
    let domain = TrustDomain::parse("acme.cardea.internal").unwrap();
    let forged = root.intermediate(&domain, now, &SystemEntropy).unwrap();
    let place = |authority: &Authority, dir: &str, id: SpiffeId| {
        let key = PrivateKey::generate(&SystemEntropy).unwrap();
        let request = Request::parse(&key.request().unwrap()).unwrap();
        let issued = authority.issue(&Profile::Workload(id), &request, HOUR, now, &SystemEntropy).unwrap();
        std::fs::create_dir_all(world.folder.join(dir)).unwrap();
        std::fs::write(world.folder.join(dir).join("cert.pem"), issued.to_pem()).unwrap();
        std::fs::write(world.folder.join(dir).join("key.pem"), key.to_pem().expose()).unwrap();
    };
    place(&forged, "forged", SpiffeId::service(&domain, "records").unwrap());
    let strange = TrustDomain::parse("acme.elsewhere").unwrap();
    place(&root.intermediate(&strange, now, &SystemEntropy).unwrap(), "strange", SpiffeId::gateway(&strange));
    for dir in ["forged", "strange"] {
        let body = serde_json::json!({ "csr": csr() }).to_string();
        let ended = world.post("acme.localhost", "/ca/renew", &body, Some(dir)).await;
        assert!(ended.is_err(), "{dir}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machines_listener_shows_a_short_lived_certificate_and_serves_nothing_else() {
    let world = world("listener").await;
    let (status, _) = world.post("acme.localhost", "/sign-in", "{}", None).await.unwrap();
    assert!([403, 404].contains(&status), "{status}");
    assert!(world.post("other.localhost", "/ca/enrol", "{}", None).await.is_err(), "a stranger's host was served");
    let shown = world.house.store.certificates(&tenant("acme"), Some("gateway"), SystemClock.now()).await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].spiffe_id, "https://acme.localhost");
}

/// A second start finds the same authority: certificates given before it still count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_outlives_a_restart() {
    let world = world("restart").await;
    let root = world.roots.clone();
    let again = House::open(
        Config::parse(
            "cardea.toml",
            "[state]\ndir = \"state\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\nplain = true\n",
            &world.folder,
            SystemClock.now(),
        )
        .unwrap(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    )
    .await
    .unwrap();
    assert_eq!(again.ca.root(&again).await.unwrap().to_pem(), root);
    let facts = CertificateFacts::read(again.ca.root(&again).await.unwrap().certificate()).unwrap();
    assert!(facts.valid_at(SystemClock.now()));
}
