//! How another configuration takes the place of the one in force, and what stays where it cannot.

use std::{path::Path, sync::atomic::AtomicBool};

use cardea_core::Diagnostics;
use cardea_proxy::{Body, Connection, Door};
use futures_util::FutureExt as _;
use http::Request;
use prometheus_client::registry::Registry;

use super::{changes::Disk, *};
use crate::{
    config::{InForce, LogConfig},
    logging::{self, LogLevel},
    observing::Prepared,
    reload::{configuration, look},
};

const DOORS: &str = "[state]\ndir = \"state\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\nplain = true\n";

fn level() -> LogLevel {
    logging::start(&LogConfig::default())
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The events of the operator's own log, with what they tell.
async fn told(house: &House) -> Vec<Event> {
    house.log.flush().await.unwrap();
    let page = house.store.log(None, &LogQuery { limit: 100, ..LogQuery::default() }).await.unwrap();
    page.items.iter().map(|one| Entry::read(&one.body).unwrap().event).collect()
}

fn count(house: &Arc<House>, series: &str) -> u64 {
    let (mut registry, mut text) = (Registry::default(), String::new());
    crate::figures::register(house, &mut registry);
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{series}\n{text}"));
    line.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_proxies_change_at_once_and_what_cannot_is_named() {
    let stage = Stage::set().await;
    let (house, level) = (&stage.house, level());
    let proxy = crate::running::proxy(house, &mut Registry::default());
    house.attach(&proxy);
    let text = format!(
        "trusted_proxies = [\"10.0.0.0/8\"]\n{}[limits]\nin_flight = 7\nown_body_bytes = 20000\n",
        DOORS.replace("127.0.0.1:0", "127.0.0.1:1")
    );
    let path = write(&stage.folder, "cardea.toml", &text);
    let waiting = configuration(house, &path, &level).await.unwrap();
    assert_eq!(waiting, ["listeners", "public_port"]);
    let settings = proxy.settings();
    assert_eq!((settings.limits.concurrency, house.limits().own_body_bytes), (7, 20_000));
    assert!(settings.trusts("10.1.2.3".parse().unwrap()));
    assert_eq!(settings.limits.public_port, Some(house.config.public_port), "the port waits, too");
    let changed = told(house).await.into_iter().find_map(|event| match event {
        Event::ConfigurationChanged { changes, waiting } => Some((changes, waiting)),
        _ => None,
    });
    let (changes, waiting) = changed.unwrap();
    assert!(changes.contains(&"~ limits.in_flight: (not set) → 7".to_owned()), "{changes:?}");
    assert_eq!(waiting, ["listeners", "public_port"]);
    let said = InForce::read(&house.config.state_dir).unwrap();
    assert_eq!((said.now, &*said.started), (text, &*house.config.text));
    // What is read of the resources later stands under the same settings.
    house.load_state().await.unwrap();
    assert_eq!(proxy.settings().limits.concurrency, 7);
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_says_why() {
    let stage = Stage::set().await;
    let (house, level, before) = (&stage.house, level(), stage.house.state.load_full());
    let refused = count(house, "cardea_reloads_total{what=\"configuration\",outcome=\"refused\"}");
    let path = write(&stage.folder, "cardea.toml", &format!("{DOORS}[limits]\nin_flight = 9\nheader_bites = 1\n"));
    let found = configuration(house, &path, &level).await.unwrap_err().to_string();
    assert!(found.contains("header_bites") && found.contains("did you mean"), "{found}");
    assert!(Arc::ptr_eq(&before, &house.state.load_full()), "something was taken over");
    assert_ne!(house.limits().edge.concurrency, 9);
    let after = count(house, "cardea_reloads_total{what=\"configuration\",outcome=\"refused\"}");
    assert_eq!(after, refused + 1);
    house.is_ready().await.unwrap();
    let why = told(house).await.into_iter().find_map(|event| match event {
        Event::ConfigurationRefused { detail } => Some(detail),
        _ => None,
    });
    assert!(why.unwrap().contains("header_bites"));
    stage.strike().await;
}

/// A certificate for `acme.localhost` and its key.
fn certificate(now: Timestamp) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut wanted = rcgen::CertificateParams::new(vec!["acme.localhost".to_owned()]).unwrap();
    let day = |later: i64| {
        let at = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.as_secs() + later * 86_400).unwrap());
        at.into()
    };
    (wanted.not_before, wanted.not_after) = (day(-1), day(30));
    (wanted.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificate_files_are_taken_up_once_they_fit_together() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let proxy = crate::running::proxy(house, &mut Registry::default());
    house.attach(&proxy);
    let (first, second) = (certificate(house.now()), certificate(house.now()));
    write(&stage.folder, "c.pem", &first.0);
    write(&stage.folder, "k.pem", &first.1);
    let text = DOORS.replace("plain = true", "tls = { certificate = \"c.pem\", key = \"k.pem\" }");
    let config = Config::parse("cardea.toml", &text, &stage.folder, house.now()).unwrap();
    let prepared = house.observing.open(&config).unwrap();
    house.configure(config, prepared).await;
    let shown = || Arc::clone(&proxy.settings().certificates[0][0].certified);
    let before = shown();
    assert_eq!(look(house, Diagnostics::default()).await, Diagnostics::default());
    assert!(Arc::ptr_eq(&before, &shown()), "nothing was replaced");

    // The new certificate is there before its key is.
    write(&stage.folder, "c.pem", &second.0);
    let wrong = look(house, Diagnostics::default()).await;
    assert!(wrong.to_string().contains("does not fit"), "{wrong}");
    assert!(Arc::ptr_eq(&before, &shown()), "a certificate without its key was shown");
    let refused = "cardea_reloads_total{what=\"certificates\",outcome=\"refused\"}";
    assert_eq!(count(house, refused), 1);
    let wrong = look(house, wrong).await;
    assert_eq!((wrong.0.len(), count(house, refused)), (1, 1), "it is told once");

    write(&stage.folder, "k.pem", &second.1);
    assert_eq!(look(house, wrong).await, Diagnostics::default());
    assert!(!Arc::ptr_eq(&before, &shown()));
    assert_eq!(count(house, "cardea_reloads_total{what=\"certificates\",outcome=\"taken\"}"), 1);
    let changes: Vec<_> = told(house)
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::ConfigurationChanged { changes, .. } => Some(changes),
            _ => None,
        })
        .flatten()
        .collect();
    assert!(
        changes.len() == 1 && changes[0].starts_with("~ certificate ") && changes[0].contains(" → "),
        "{changes:?}"
    );
    stage.strike().await;
}

#[tokio::test]
async fn a_look_at_certificates_puts_nothing_back_that_a_reload_took_away() {
    let disk = Arc::new(Disk(AtomicBool::new(false)));
    let stage = Stage::on(Some(Arc::clone(&disk) as _)).await;
    let (house, level) = (&stage.house, level());
    let (first, second) = (certificate(house.now()), certificate(house.now()));
    let tls = DOORS.replace("plain = true", "tls = { certificate = \"c.pem\", key = \"k.pem\" }");
    write(&stage.folder, "c.pem", &first.0);
    write(&stage.folder, "k.pem", &first.1);
    let text = format!("trusted_proxies = [\"10.0.0.0/8\"]\n{tls}");
    let config = Config::parse("cardea.toml", &text, &stage.folder, house.now()).unwrap();
    let prepared = house.observing.open(&config).unwrap();
    house.configure(config, prepared).await;

    // A renewed certificate and a proxy that is no longer believed; the reload is held where its entry is written.
    write(&stage.folder, "c.pem", &second.0);
    write(&stage.folder, "k.pem", &second.1);
    let path = write(&stage.folder, "cardea.toml", &tls);
    disk.0.store(true, Ordering::SeqCst);
    let mut reload = Box::pin(configuration(house, &path, &level));
    assert!(reload.as_mut().now_or_never().is_none());
    let mut seen = Box::pin(look(house, Diagnostics::default()));
    assert!(seen.as_mut().now_or_never().is_none());
    disk.0.store(false, Ordering::SeqCst);
    let (reloaded, seen) = tokio::join!(reload, seen);
    reloaded.unwrap();
    assert_eq!(seen, Diagnostics::default());
    assert!(house.in_force().trusted_proxies.is_empty(), "the proxy is believed again");
    assert_eq!(InForce::read(&house.config.state_dir).unwrap().now, tls);
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_checked_by_the_roots_that_lie_there() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let pem = house.ca.root(house).await.unwrap().to_pem();
    let traces = "[traces]\nendpoint = \"https://127.0.0.1:1\"\nsample = 0.5\nca_file = \"roots.pem\"\n";
    write(&stage.folder, "roots.pem", &pem);
    let text = format!("{DOORS}{traces}");
    let config = Config::parse("cardea.toml", &text, &stage.folder, house.now()).unwrap();
    let collector = |prepared: &Prepared| Arc::as_ptr(&prepared.observers().traces.unwrap()).cast::<()>();
    let prepared = house.observing.open(&config).unwrap();
    let first = collector(&prepared);
    house.observing.settle(prepared);
    assert_eq!(collector(&house.observing.open(&config).unwrap()), first);
    write(&stage.folder, "roots.pem", &format!("{pem}\n"));
    assert_ne!(collector(&house.observing.open(&config).unwrap()), first, "the old roots are believed");
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_is_opened_anew_whatever_else_fails() {
    let disk = Arc::new(Disk(AtomicBool::new(false)));
    let stage = Stage::on(Some(Arc::clone(&disk) as _)).await;
    let (house, level) = (&stage.house, level());
    let text = format!("{DOORS}[access_log]\nformat = \"json\"\nfile = \"access.log\"\n");
    let config = Config::parse("cardea.toml", &text, &stage.folder, house.now()).unwrap();
    let prepared = house.observing.open(&config).unwrap();
    house.configure(config, prepared).await;
    let file = stage.folder.join("access.log");
    let moved_away = || std::fs::rename(&file, stage.folder.join("access.log.1")).unwrap();
    let there_again = async || {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    };
    moved_away();
    let mistaken = write(&stage.folder, "mistaken.toml", "limits = 1\n");
    configuration(house, &mistaken, &level).await.unwrap_err();
    there_again().await;

    // The entry of the reload cannot be written, so that there is none.
    moved_away();
    disk.0.store(true, Ordering::SeqCst);
    let path = write(&stage.folder, "cardea.toml", &text);
    let mut reload = Box::pin(configuration(house, &path, &level));
    assert!(reload.as_mut().now_or_never().is_none());
    there_again().await;
    drop(reload);
    disk.0.store(false, Ordering::SeqCst);
    stage.strike().await;
}

/// A thousand apps in place of the one, each with a policy of its own.
async fn a_thousand_apps(house: &House) {
    let before = house.store.bundle().await.unwrap();
    let mut files = BTreeMap::new();
    for nth in 0..1_000 {
        let app = format!(
            "id = \"app-{nth}\"\nname = \"A\"\nhosts = [\"app-{nth}.acme.localhost\"]\n[upstream]\nurl = \"http://127.0.0.1:1\"\n"
        );
        files.insert(format!("tenants/acme/apps/app-{nth}.toml"), app);
        let policy = format!("permit(principal in Group::\"staff\", action, resource in App::\"app-{nth}\");");
        files.insert(format!("tenants/acme/policies/app-{nth}.cedar"), policy);
    }
    let tenant = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n";
    files.insert("tenants/acme/tenant.toml".to_owned(), tenant.to_owned());
    files.insert("tenants/acme/groups/staff.toml".to_owned(), "id = \"staff\"\nname = \"S\"\n".to_owned());
    let wanted = Bundle::read(&files).unwrap();
    let hash = |_: &TenantId, _: &PolicySet| String::new();
    let with = Applying { author: "operator", note: "", hash: &hash, now: house.now() };
    house.store.apply(&Plan::between(before, &wanted), &with).await.unwrap();
}

/// On one thread: whatever did the work of the reload there would let no request through meanwhile.
#[tokio::test]
async fn while_a_thousand_apps_are_prepared_requests_go_on_and_end_under_one_generation() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let proxy = crate::running::proxy(house, &mut Registry::default());
    house.attach(&proxy);
    a_thousand_apps(house).await;
    let ask = async |host: &str| {
        let connection = Arc::new(Connection::plain("127.0.0.1:1".parse().unwrap(), Door::Public));
        let request = Request::get("/").header("host", host).body(Body::empty()).unwrap();
        proxy.handle(&connection, request).await.status().as_u16()
    };
    let (old, new) = (HOST, "app-999.acme.localhost");
    assert_eq!((ask(old).await, ask(new).await), (401, 404));
    let loading = {
        let house = Arc::clone(house);
        tokio::spawn(async move { house.load_state().await })
    };
    let mut answered = 0;
    while !loading.is_finished() {
        // Either generation may answer, but never half of one.
        let (was, is) = (ask(old).await, ask(new).await);
        assert!([(401, 404), (404, 401), (401, 401)].contains(&(was, is)), "{was} {is}");
        answered += 2;
        tokio::task::yield_now().await;
    }
    loading.await.unwrap().unwrap();
    assert_eq!((ask(old).await, ask(new).await), (404, 401));
    assert!(answered > 200, "only {answered} requests were answered meanwhile");
    stage.strike().await;
}
