//! A request through the whole house to a service that got its certificate from us: the seed's tenants, the records
//! service with an agent beside it, and a visitor who reads the one public page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a story that cannot go on ends here")]
#![cfg(feature = "demo")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cardea::{
    House,
    agent::{Agent, Options},
    config::Config,
    house::Doer,
    running::Running,
    system::{SystemClock, SystemEntropy},
};
use cardea_certs::SpiffeId;
use cardea_core::{Clock, Secret, TenantId, Timestamp, resources::Bundle};
use cardea_demo::{
    records::{self, Assertions, Identity},
    seed::{self, Places},
};
use cardea_storage::{Applying, Plan};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// The machine's clock, some seconds behind: TLS compares certificates with the machine's own.
struct Behind(AtomicU64);
impl Clock for Behind {
    fn now(&self) -> Timestamp {
        SystemClock.now().minus(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}

struct World {
    running: Running,
    house: Arc<House>,
    clock: Arc<Behind>,
    agent: Agent,
    identity: Arc<Identity>,
    folder: PathBuf,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const HOUR: Duration = Duration::from_secs(3600);

async fn house(folder: &Path, places: &Places, clock: Arc<Behind>) -> Arc<House> {
    let text = "[state]\ndir = \"state\"\n[[listeners]]\naddress = \"127.0.0.3:0\"\nplain = true\n\
                [ops]\naddress = \"127.0.0.2:0\"\n[machines]\naddress = \"127.0.0.1:0\"\n";
    let config = || Config::parse("cardea.toml", text, folder, SystemClock.now()).unwrap();
    let before = House::unprepared(config(), clock.clone(), Arc::new(SystemEntropy)).await.unwrap();
    let plan = Plan::between(Bundle::default(), &seed::bundle(places).unwrap());
    let with = Applying { author: "test", note: "", hash: &|_, _| String::new(), now: clock.now() };
    before.store.apply(&plan, &with).await.unwrap();
    before.close().await;
    House::open(config(), clock, Arc::new(SystemEntropy)).await.unwrap()
}

/// Everything running; the clock is `behind` the machine's.
async fn world(name: &str, behind: Duration) -> World {
    let folder = std::env::temp_dir().join(format!("cardea-way-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let places = Places {
        port: 8080,
        issuer: "http://127.0.0.1:9".to_owned(),
        acme_records: listener.local_addr().unwrap().to_string(),
        north_records: "127.0.0.1:9".to_owned(),
        trust_domain: "cardea.internal".to_owned(),
    };
    let clock = Arc::new(Behind(AtomicU64::new(behind.as_secs())));
    let house = house(&folder, &places, clock.clone()).await;
    let running = Running::start(Arc::clone(&house)).await.unwrap();
    let acme = TenantId::parse("acme").unwrap();
    let made = house.ca.make_enrolment(&house, &acme, "records", HOUR, &Doer::operator()).await.unwrap();
    let agent = Agent::new(Options {
        server: Url::parse(&format!("https://acme.localhost:{}", running.machines.unwrap().port())).unwrap(),
        roots: house.ca.root(&house).await.unwrap().to_pem(),
        token: Some(Secret::new(made.token.expose().to_owned())),
        dir: folder.join("records"),
        exec: None,
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy),
    });
    agent.obtain().await.unwrap();
    let identity = Identity::from_folder(&folder.join("records")).unwrap();
    let fetch: records::Fetch = Arc::new(|| Box::pin(async { Ok("{\"keys\":[]}".to_owned()) }));
    let options = records::Options {
        tenant: "Acme".to_owned(),
        data: folder.join("records.json"),
        identity: Arc::clone(&identity),
        gateway: SpiffeId::parse("spiffe://acme.cardea.internal/gateway").unwrap(),
        assertions: Arc::new(Assertions::new(String::new(), "records".to_owned(), fetch, clock.clone())),
        clock: clock.clone(),
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let ended = records::serve(listener, options, async {
            let _ = stopped.await;
        });
        ended.await.unwrap();
    });
    World { running, house, clock, agent, identity, folder, _stop: stop }
}

impl World {
    async fn get(&self, host: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.running.public[0]).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
    }

    /// Serial by service of what is valid now.
    async fn certificates(&self) -> BTreeMap<String, usize> {
        let acme = TenantId::parse("acme").unwrap();
        let mut count = BTreeMap::new();
        for one in self.house.store.certificates(&acme, None, self.clock.now()).await.unwrap() {
            *count.entry(one.spiffe_id).or_default() += 1;
        }
        count
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_reads_the_public_page_over_mtls_and_nothing_else() {
    let world = world("visitor", Duration::ZERO).await;
    let (status, page) = world.get("records.acme.localhost", "/about").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("About this service"));
    let (status, answer) = world.get("records.acme.localhost", "/studies").await;
    assert_eq!(status, 401, "{answer}");
    let (status, answer) = world.get("records.north.localhost", "/about").await;
    assert_eq!(status, 502, "{answer}");
}

/// Both sides' certificates are replaced while requests flow; none fails, and new handshakes show the new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_under_requests_and_none_fails() {
    let world = world("renewed", HOUR * 6 / 10).await;
    let before = world.certificates().await;
    world.clock.0.store(0, Ordering::Relaxed);
    // Half an hour has passed at a stroke, and nothing decides on what is that old: the next round of the feed admits again.
    while world.get("records.acme.localhost", "/about").await.0 == 503 {
        tokio::task::yield_now().await;
    }
    let (asking, renewing) = tokio::join!(
        async {
            let mut statuses = Vec::new();
            for _ in 0..60 {
                statuses.push(world.get("records.acme.localhost", "/about").await.0);
            }
            statuses
        },
        async {
            tokio::task::yield_now().await;
            world.house.ca.renew_due(&world.house).await;
            let renewed = world.agent.obtain().await.unwrap();
            world.identity.reload().unwrap();
            renewed.new
        }
    );
    assert!(renewing, "the service's certificate was not due");
    assert!(asking.iter().all(|status| *status == 200), "{asking:?}");
    let after = world.certificates().await;
    for id in ["gateway", "service/records"] {
        let id = format!("spiffe://acme.cardea.internal/{id}");
        assert_eq!((before[&id], after[&id]), (1, 2), "{id}");
    }
}
