//! What this crate's tests share: a folder that goes away, a store in it, people.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use cardea_core::{Clock, Secret, TenantId, Timestamp, UserId, entropy::Fixed, resources::TenantSpec};
use cardea_identity::{Email, Sealer, Status, User};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use tokio::sync::OnceCell;

use crate::{Store, StoreFault};

/// The server on which the same suite is told to PostgreSQL, where one is named: its address, without a database's name.
pub(crate) fn server() -> Option<String> {
    std::env::var("CARDEA_TEST_POSTGRES").ok()
}

/// A folder of its own, removed at the end, and a database of that name where there is a server.
#[derive(Debug)]
pub(crate) struct Dir {
    path: PathBuf,
    /// Of the database, where it is a server's.
    name: Option<String>,
    made: OnceCell<()>,
}

impl Dir {
    pub(crate) fn new() -> Self {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let name = format!("cardea-storage-{}-{}", std::process::id(), NTH.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&path).unwrap();
        Self { path, name: server().map(|_| name), made: OnceCell::new() }
    }

    /// One whose store is a file, whatever there is: for what is about files, or said to SQLite in its own words.
    pub(crate) fn in_file() -> Self {
        let mut dir = Self::new();
        dir.name = None;
        dir
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn store(&self) -> Store {
        self.opened(operator()).await.unwrap()
    }

    /// By another operator's key, perhaps.
    pub(crate) async fn opened(&self, operator: Sealer) -> Result<Store, StoreFault> {
        match self.database().await {
            Some(url) => Store::connect(&url, operator, entropy()).await,
            None => Store::open(&self.path.join("cardea.db"), operator, entropy()).await,
        }
    }

    /// Only to be read.
    pub(crate) async fn read(&self) -> Result<Store, StoreFault> {
        match self.database().await {
            Some(url) => Store::connect_to_read(&url, None).await,
            None => Store::open_to_read(&self.path.join("cardea.db"), None).await,
        }
    }

    pub(crate) async fn database(&self) -> Option<String> {
        let (server, name) = (server()?, self.name.as_ref()?);
        self.made
            .get_or_init(async || {
                sqlx::any::install_default_drivers();
                let mut own = AnyConnection::connect(&format!("{server}/postgres")).await.unwrap();
                let sql = format!("CREATE DATABASE \"{name}\"");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut own).await.unwrap();
            })
            .await;
        Some(format!("{server}/{name}"))
    }

    /// Always in a file.
    pub(crate) async fn open(path: &Path) -> Result<Store, StoreFault> {
        Store::open(path, operator(), entropy()).await
    }
}

pub(crate) fn operator() -> Sealer {
    Sealer::new(&Secret::new([1; 32])).unwrap()
}

/// Each draws what no other draws, as processes do.
pub(crate) fn entropy() -> Arc<Fixed> {
    static SEED: AtomicU64 = AtomicU64::new(1 << 32);
    Arc::new(Fixed::new(SEED.fetch_add(1 << 16, Ordering::Relaxed)))
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn spec(name: &str) -> TenantSpec {
    serde_json::from_value(serde_json::json!({
        "id": name, "name": name, "sign_in_host": format!("{name}.localhost"),
    }))
    .unwrap()
}

/// The moment at which most tests begin.
pub(crate) fn t0() -> Timestamp {
    Timestamp::from_secs(1_763_800_000)
}

pub(crate) fn user(of: &str, email: &str) -> User {
    let email = Email::parse(email).unwrap();
    let seed = of.bytes().chain(email.as_str().bytes()).fold(7_u64, |a, b| a.wrapping_mul(31).wrapping_add(b.into()));
    User {
        id: UserId::mint(t0(), &Fixed::new(seed)),
        tenant: tenant(of),
        name: email.as_str().to_owned(),
        email,
        status: Status::Active,
        groups: vec![],
        created: t0(),
        changed: t0(),
        last_seen: None,
        attributes: cardea_core::Attributes::default(),
    }
}

/// Puts somebody into a pool.
pub(crate) async fn add_user(store: &Store, of: &str, email: &str) -> UserId {
    let user = user(of, email);
    store.insert_user(&user).await.unwrap();
    user.id
}

/// A clock that tests move.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(t0().as_micros())))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
