//! How changes are taken over, and what holds while they cannot be.

use std::time::Duration;

use cardea_audit::Actor;
use cardea_core::Reason;
use cardea_storage::Moment;
use futures_util::FutureExt as _;
use sqlx::{Connection as _, SqliteConnection};

use super::*;
use crate::{
    config::LogConfig,
    logging,
    reload::{Feed, configuration, look, looks_after},
};

/// Makes every write of entries fail while it is set.
pub(super) struct Disk(pub(super) std::sync::atomic::AtomicBool);

impl FaultHook for Disk {
    fn at(&self, moment: Moment) -> Result<(), String> {
        let full = moment == Moment::BeforeWrite && self.0.load(Ordering::SeqCst);
        if full { Err("the disk is full".to_owned()) } else { Ok(()) }
    }
}

/// A tenant of that name with one app, reached with roots of its own.
fn tenant_with_roots(id: &str, roots: &str) -> [(String, String); 2] {
    tenant_reaching(id, &format!("ca_file = \"{roots}\""))
}

/// A tenant of that name with one app.
pub(super) fn tenant_reaching(id: &str, upstream: &str) -> [(String, String); 2] {
    let app = format!(
        "id = \"files\"\nname = \"F\"\nhosts = [\"files.{id}.localhost\"]\n\
         [upstream]\nurl = \"https://127.0.0.1:1\"\n{upstream}\n"
    );
    let tenant = format!("id = \"{id}\"\nname = \"N\"\nsign_in_host = \"{id}.localhost\"\n");
    [(format!("tenants/{id}/tenant.toml"), tenant), (format!("tenants/{id}/apps/files.toml"), app)]
}

pub(super) fn north() -> TenantId {
    TenantId::parse("north").unwrap()
}

/// Makes the store hold what it holds and another tenant.
pub(super) async fn add(house: &House, files: [(String, String); 2]) {
    let before = house.store.bundle().await.unwrap();
    let mut wanted = before.clone();
    wanted.tenants.extend(Bundle::read(&BTreeMap::from(files)).unwrap().tenants);
    let hash = |_: &TenantId, _: &PolicySet| String::new();
    let with = Applying { author: "operator", note: "", hash: &hash, now: house.now() };
    house.store.apply(&Plan::between(before, &wanted), &with).await.unwrap();
}

/// One round while entries cannot be written: whoever waits for one is told so once it has waited too long.
async fn fails(feed: &mut Feed, stage: &Stage) {
    let mut round = std::pin::pin!(feed.round(&stage.house));
    while tokio::time::timeout(Duration::from_millis(20), &mut round).await.is_err() {
        stage.pass(1);
    }
}

async fn feed_until(feed: &mut Feed, house: &Arc<House>, rounds: usize) {
    for _ in 0..rounds {
        feed.round(house).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_could_not_be_read_is_read_later_and_meanwhile_nothing_old_decides_for_long() {
    let disk = Arc::new(Disk(false.into()));
    let stage = Stage::on(Some(Arc::clone(&disk) as _)).await;
    let mut feed = Feed::of(&stage.house);
    // An authority's first key is recorded before it is kept: that fails, and with it the whole reading.
    disk.0.store(true, Ordering::SeqCst);
    let mutual = "spiffe_id = \"spiffe://north.cardea.internal/service/files\"";
    add(&stage.house, tenant_reaching("north", mutual)).await;
    fails(&mut feed, &stage).await;
    assert!(stage.house.tenant(&north()).is_none());
    stage.house.admission(&stage.tenant).unwrap_err();
    stage.pass(31);
    fails(&mut feed, &stage).await;
    assert!(stage.house.is_outdated() && stage.house.is_ready().await.is_err());
    stage.house.admission(&stage.tenant).unwrap_err();

    disk.0.store(false, Ordering::SeqCst);
    while stage.house.log.flush().await.is_err() {}
    // Nothing new is announced: what was heard before is still to be done.
    feed.round(&stage.house).await;
    assert!(stage.house.tenant(&north()).is_some(), "the change was lost");
    stage.house.is_ready().await.unwrap();
    stage.house.admission(&stage.tenant).unwrap();
    stage.strike().await;
}

/// How soon what comes by another gateway is heard, the store's own rows tell.
#[tokio::test(flavor = "multi_thread")]
async fn word_of_a_change_is_heeded_at_once_and_whoever_hears_none_looks_all_the_same() {
    let stage = Stage::set().await;
    let mut word = stage.house.store.word();
    apply(&stage.house, "accent = \"#123456\"\n").await;
    assert_eq!(looks_after(&mut word).now_or_never(), Some(0));
    assert_eq!(looks_after(&mut word).now_or_never(), None, "heard twice");
    let bound = tokio::time::timeout(Duration::from_secs(1), looks_after(&mut word));
    assert_eq!(bound.await, Ok(0));
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_cannot_be_prepared_closes_its_own_hosts_and_no_others() {
    let stage = Stage::set().await;
    let (house, mut feed) = (&stage.house, Feed::of(&stage.house));
    apply(house, "accent = \"#123456\"\n").await;
    add(house, tenant_with_roots("north", "none.pem")).await;
    feed.round(house).await;
    let state = house.state.load_full();
    assert_eq!(house.tenant(&stage.tenant).unwrap().bundle.tenant.accent.as_deref(), Some("#123456"));
    assert!(house.tenant(&north()).is_none());
    assert!(state.mistakes().to_string().contains("none.pem"), "{}", state.mistakes());
    let snapshot = state.snapshot();
    assert!(snapshot.closed.contains("files.north.localhost") && snapshot.closed.contains("north.localhost"));
    assert!(snapshot.hosts.contains_key(HOST) && !snapshot.hosts.contains_key("north.localhost"));
    house.is_ready().await.unwrap();
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_had_before_serves_it_for_half_a_minute_and_no_longer() {
    let stage = Stage::set().await;
    let (house, mut feed) = (&stage.house, Feed::of(&stage.house));
    let roots = stage.folder.join("roots.pem");
    std::fs::write(&roots, house.ca.root(house).await.unwrap().to_pem()).unwrap();
    add(house, tenant_with_roots("north", "roots.pem")).await;
    feed.round(house).await;
    assert!(house.tenant(&north()).is_some());

    add(house, tenant_with_roots("north", "gone.pem")).await;
    feed_until(&mut feed, house, 3).await;
    let before = house.tenant(&north()).unwrap();
    let file = |tenant: &TenantState| tenant.bundle.apps.values().next().unwrap().upstream.clone().unwrap().ca_file;
    assert_eq!(file(&before).unwrap(), "roots.pem");
    // It is an entry at once; on disk before the clock is moved, or it would have waited for too long.
    house.log.flush().await.unwrap();
    stage.pass(29);
    feed.round(house).await;
    house.admission(&north()).unwrap();
    stage.pass(2);
    feed.round(house).await;
    assert_eq!(house.admission(&north()), Err(Reason::TenantUnavailable));
    house.admission(&stage.tenant).unwrap();

    std::fs::rename(&roots, stage.folder.join("gone.pem")).unwrap();
    feed_until(&mut feed, house, 40).await;
    house.admission(&north()).unwrap();
    assert_eq!(file(&house.tenant(&north()).unwrap()).unwrap(), "gone.pem");
    house.log.flush().await.unwrap();
    let page = house.store.log(Some(&north()), &LogQuery { limit: 100, ..LogQuery::default() }).await.unwrap();
    let told: Vec<_> = page.items.iter().map(|one| Entry::read(&one.body).unwrap()).collect();
    let of = |code: &str| told.iter().filter(|one| one.event.code() == code && one.actor == Actor::GATEWAY).count();
    assert_eq!((of("tenant-behind"), of("tenant-paused"), of("tenant-resumed")), (1, 1, 1));
    stage.strike().await;
}

/// The app's way to its service: another one was built with roots that were read anew.
fn way(house: &House, id: &TenantId) -> Arc<cardea_proxy::upstream::Upstream> {
    let snapshot = house.state.load().snapshot();
    let cardea_proxy::SiteRole::App(app) = &snapshot.hosts[&*format!("files.{id}.localhost")].role else {
        panic!("no app of {id}")
    };
    Arc::clone(app.upstream.as_ref().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_that_are_replaced_are_read_anew_and_only_theirs() {
    let stage = Stage::set().await;
    let (house, mut feed) = (&stage.house, Feed::of(&stage.house));
    let pem = house.ca.root(house).await.unwrap().to_pem();
    let roots = |name: &str, pem: &str| {
        std::fs::write(stage.folder.join("new"), pem).unwrap();
        std::fs::rename(stage.folder.join("new"), stage.folder.join(name)).unwrap();
    };
    let south = TenantId::parse("south").unwrap();
    roots("north.pem", &pem);
    roots("south.pem", &pem);
    add(house, tenant_with_roots("north", "north.pem")).await;
    add(house, tenant_with_roots("south", "south.pem")).await;
    feed.round(house).await;
    let before = (way(house, &north()), way(house, &south));
    look(house, cardea_core::Diagnostics::default()).await;
    assert!(Arc::ptr_eq(&before.0, &way(house, &north())), "nothing was replaced");

    // At a look, on SIGHUP though nothing else can be read, and with whatever else is changed.
    let sighup = stage.folder.join("none.toml");
    for by in ["look", "sighup", "change"] {
        let (old, others) = (way(house, &north()), way(house, &south));
        roots("north.pem", &format!("{pem}\n"));
        match by {
            "look" => drop(look(house, cardea_core::Diagnostics::default()).await),
            "sighup" => drop(configuration(house, &sighup, &logging::start(&LogConfig::default())).await.unwrap_err()),
            _ => {
                add(house, tenant_with_roots("east", "south.pem")).await;
                feed.round(house).await;
            }
        }
        assert!(!Arc::ptr_eq(&old, &way(house, &north())), "{by}: the old roots are believed");
        assert!(Arc::ptr_eq(&others, &way(house, &south)), "{by}: others' connections were given up");
    }

    // What cannot be read keeps what was there, and the tenant is behind.
    let old = way(house, &north());
    roots("north.pem", "none");
    look(house, cardea_core::Diagnostics::default()).await;
    assert!(Arc::ptr_eq(&old, &way(house, &north())));
    assert!(house.state.load().behind.contains_key(&north()));
    stage.strike().await;
}

/// Writes to the database past the store, as a program of another version, or a careless hand, would.
async fn by_hand(stage: &Stage, sql: &'static str) {
    let path = stage.house.config.database();
    let mut database = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    assert_eq!(sqlx::query(sql).execute(&mut database).await.unwrap().rows_affected(), 1, "{sql}");
    database.close().await.unwrap();
}

const HEARD: &str = "INSERT INTO changes (seq, tenant, body, at) \
                     SELECT MAX(seq) + 1, 'north', '{\"what\":\"resources\"}', 0 FROM changes";

/// Each row took every tenant down after half a minute: one that cannot be read failed the reading of all.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_closes_its_tenants_hosts_and_no_others() {
    let both = &["files.north.localhost", "north.localhost"][..];
    for (broken, mended, told, closed) in [
        (
            "UPDATE resources SET spec = '{' WHERE tenant = 'north'",
            "UPDATE resources SET spec = '{\"id\":\"files\",\"name\":\"F\",\"hosts\":[\"files.north.localhost\"],\
             \"upstream\":{\"url\":\"http://127.0.0.1:1\"}}' WHERE tenant = 'north'",
            "app `files`",
            &both[1..],
        ),
        (
            "INSERT INTO resources (tenant, kind, id, spec) VALUES ('north', 'group', 'staff', \
             '{\"id\":\"staff\",\"name\":\"S\",\"colour\":1}')",
            "DELETE FROM resources WHERE tenant = 'north' AND kind = 'group'",
            "unknown field `colour`",
            both,
        ),
        (
            "UPDATE tenants SET spec = replace(spec, '{\"id\":', '{\"name\":\"M\",\"id\":') WHERE id = 'north'",
            "UPDATE tenants SET spec = replace(spec, '\"name\":\"M\",', '') WHERE id = 'north'",
            "duplicate field `name`",
            both,
        ),
        (
            "UPDATE tenants SET spec = replace(spec, '\"id\":\"north\"', '\"id\":\"acme\"') WHERE id = 'north'",
            "UPDATE tenants SET spec = replace(spec, '\"id\":\"acme\"', '\"id\":\"north\"') WHERE id = 'north'",
            "it names itself `acme`",
            both,
        ),
        (
            "INSERT INTO resources (tenant, kind, id, spec) VALUES ('north', x'01', 'staff', '{}')",
            "DELETE FROM resources WHERE tenant = 'north' AND id = 'staff'",
            "? `staff`",
            both,
        ),
        (
            "UPDATE tenants SET active_policy = 'first' WHERE id = 'north'",
            "UPDATE tenants SET active_policy = 1 WHERE id = 'north'",
            "active_policy",
            both,
        ),
    ] {
        let stage = Stage::set().await;
        let (house, mut feed) = (&stage.house, Feed::of(&stage.house));
        add(house, tenant_reaching("north", "")).await;
        feed.round(house).await;
        house.admission(&north()).unwrap();

        by_hand(&stage, broken).await;
        by_hand(&stage, "UPDATE tenants SET spec = replace(spec, '\"Acme\"', '\"Acme Labs\"') WHERE id = 'acme'").await;
        by_hand(&stage, HEARD).await;
        feed_until(&mut feed, house, 2).await;
        assert_eq!(house.tenant(&stage.tenant).unwrap().bundle.tenant.name, "Acme Labs", "{told}");
        let why = house.state.load().behind[&north()].why.to_string();
        assert!(why.contains("tenants/north") && why.contains(told), "{why}");
        house.log.flush().await.unwrap();
        stage.pass(31);
        feed.round(house).await;
        assert_eq!(house.admission(&north()), Err(Reason::TenantUnavailable), "{told}");
        house.admission(&stage.tenant).unwrap();
        house.is_ready().await.unwrap();
        // Whoever looks reads the other tenant. Who knew nothing of this one closes what it says of its hosts.
        let looked = Reading::open(&house.config, house.now()).await.unwrap().state;
        assert!(looked.tenants.contains_key(&stage.tenant) && !looked.tenants.contains_key(&north()), "{told}");
        let mut shut: Vec<_> = looked.snapshot().closed.iter().map(|host| host.to_string()).collect();
        shut.sort_unstable();
        assert_eq!(shut, closed, "{told}");
        assert_eq!(house.store.tenants().await.unwrap(), [stage.tenant.clone(), north()]);
        house.store.bundle().await.unwrap_err();

        by_hand(&stage, mended).await;
        feed_until(&mut feed, house, 40).await;
        house.admission(&north()).unwrap();
        assert!(house.state.load().behind.is_empty(), "{told}");
        stage.strike().await;
    }
}

/// Each of these, too, failed the reading of all.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_no_tenant_closes_nobodys_hosts() {
    let stage = Stage::set().await;
    let (house, mut feed) = (&stage.house, Feed::of(&stage.house));
    for broken in [
        "INSERT INTO tenants (id, spec, active_policy) VALUES ('North', '{}', 1)",
        "INSERT INTO resources (tenant, kind, id, spec) VALUES ('North', 'group', 'staff', '{}')",
        "INSERT INTO tenants (id, spec) VALUES (x'01', '{}')",
    ] {
        by_hand(&stage, broken).await;
    }
    by_hand(&stage, "UPDATE tenants SET spec = replace(spec, '\"Acme\"', '\"Acme Labs\"') WHERE id = 'acme'").await;
    by_hand(&stage, HEARD).await;
    feed_until(&mut feed, house, 2).await;
    stage.pass(31);
    feed.round(house).await;
    house.admission(&stage.tenant).unwrap();
    assert_eq!(house.tenant(&stage.tenant).unwrap().bundle.tenant.name, "Acme Labs");
    assert!(house.state.load().behind.is_empty());
    house.is_ready().await.unwrap();
    let looked = Reading::open(&house.config, house.now()).await.unwrap().state;
    assert_eq!(looked.tenants.keys().collect::<Vec<_>>(), [&stage.tenant]);
    assert_eq!(house.store.tenants().await.unwrap(), std::slice::from_ref(&stage.tenant));
    assert_eq!(house.store.active_versions().await.unwrap().keys().collect::<Vec<_>>(), [&stage.tenant]);
    stage.strike().await;
}
