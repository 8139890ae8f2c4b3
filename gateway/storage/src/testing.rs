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

use crate::{Store, StoreFault};

/// A folder of its own, removed at the end.
#[derive(Debug)]
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let name = format!("cardea-storage-{}-{}", std::process::id(), NTH.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) async fn store(&self) -> Store {
        Self::open(&self.0.join("cardea.db")).await.unwrap()
    }

    pub(crate) async fn open(path: &Path) -> Result<Store, StoreFault> {
        let operator = Sealer::new(&Secret::new([1; 32])).unwrap();
        // Each draws what no other draws, as processes do.
        static SEED: AtomicU64 = AtomicU64::new(1 << 32);
        let entropy = Arc::new(Fixed::new(SEED.fetch_add(1 << 16, Ordering::Relaxed)));
        Store::open(path, operator, entropy).await
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
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
