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

mod enrolment;
mod listener;
mod renewal;

/// A gateway with two tenants on loopback, and services that ask it for certificates.
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
