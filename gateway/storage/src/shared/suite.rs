//! One suite for every shared store: what it must do, what it must refuse, who wins a race, what time does.

mod alone;
mod bounds;
mod failover;
mod faults;
mod forgets;
mod handles;
mod push;
mod rates;
mod room;
mod server;
mod side_by_side;
mod stories;
mod tries;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use cardea_core::{FactorId, Secret, TenantId, Timestamp, UserId, entropy::Fixed};
use cardea_identity::{
    Sealed, TicketHash,
    assurance::{Means, Proof},
    one_time::{OneTime, Purpose},
    session::{HandleRecord, Session, Start},
};

use self::server::Cluster;
pub(crate) use self::{server::RedisServer, tries::limit};
use super::{Forgiven, MemoryShared, RedisAt, RedisShared, SharedState, SqlShared};
use crate::{
    Store,
    testing::{Dir, t0, tenant},
};

/// A shared store under test, twice: as two gateways would hold it.
struct Under {
    name: &'static str,
    ours: Arc<dyn SharedState>,
    theirs: Arc<dyn SharedState>,
    /// Where ends are announced.
    store: Store,
    /// The Redis servers that it is kept in, and how every key begins there.
    kept_in: (Vec<String>, String),
    /// The memory that it is kept in.
    memory: Option<MemoryShared>,
    _dir: Dir,
    _server: Option<RedisServer>,
}

/// The stores that every story is told to.
async fn stores() -> Vec<Under> {
    vec![sql().await, redis().await, cluster().await, memory().await]
}

async fn sql() -> Under {
    sql_in(Dir::new()).await
}

async fn sql_in(dir: Dir) -> Under {
    let (ours, theirs) = (dir.store().await, dir.store().await);
    Under {
        name: "sql",
        ours: Arc::new(SqlShared::new(ours.clone())),
        theirs: Arc::new(SqlShared::new(theirs)),
        store: ours,
        kept_in: (Vec::new(), String::new()),
        memory: None,
        _dir: dir,
        _server: None,
    }
}

/// Both of one process.
async fn memory() -> Under {
    memory_in(Dir::new()).await
}

async fn memory_in(dir: Dir) -> Under {
    let store = dir.store().await;
    let held = MemoryShared::new(store.clone());
    Under {
        name: "memory",
        ours: Arc::new(held.clone()),
        theirs: Arc::new(held.clone()),
        store,
        kept_in: (Vec::new(), String::new()),
        memory: Some(held),
        _dir: dir,
        _server: None,
    }
}

async fn redis() -> Under {
    let dir = Dir::new();
    let server = RedisServer::start(dir.path()).await;
    let (at, urls) = (RedisAt::One(Secret::new(server.url())), vec![server.url()]);
    Under { _server: Some(server), ..shared_in("redis", &at, (urls, "cardea".to_owned()), dir).await }
}

/// In the cluster that all stories share: each has keys of its own there.
async fn cluster() -> Under {
    static NTH: AtomicU32 = AtomicU32::new(0);
    let (cluster, prefix) = (Cluster::of_all().await, format!("s{}", NTH.fetch_add(1, Ordering::Relaxed)));
    shared_in("cluster", &cluster.at(), (cluster.urls(), prefix), Dir::new()).await
}

async fn shared_in(name: &'static str, at: &RedisAt, kept_in: (Vec<String>, String), dir: Dir) -> Under {
    let store = dir.store().await;
    let open = async || RedisShared::open(at, &kept_in.1, store.clone()).await.unwrap();
    let (ours, theirs) = (Arc::new(open().await), Arc::new(open().await));
    Under { name, ours, theirs, store, kept_in, memory: None, _dir: dir, _server: None }
}

fn acme() -> TenantId {
    tenant("acme")
}

fn ada() -> UserId {
    UserId::mint(t0(), &Fixed::new(1))
}

/// A session of `user` at `of`, begun at `at`.
/// What every session's person has shown.
fn shown() -> FactorId {
    FactorId::mint(t0(), &Fixed::new(9))
}

fn session(of: &str, user: UserId, at: Timestamp, seed: u64) -> Session {
    let factor = shown();
    let start = Start {
        tenant: tenant(of),
        user,
        proofs: vec![Proof { means: Means::Password { factor }, at }],
        agent: "Firefox on Linux".to_owned(),
        client: Some([192, 0, 2, 7].into()),
        rules: &cardea_core::resources::SessionRules::default(),
        now: at,
    };
    Session::begin(start, &Fixed::new(seed)).unwrap()
}

fn handle(session: &Session, host: &str, at: Timestamp, seed: u64) -> HandleRecord {
    HandleRecord::issue(session, host, at, &Fixed::new(seed)).1
}

fn flow(byte: u8) -> OneTime {
    OneTime {
        purpose: Purpose::Flow,
        hash: TicketHash::from_bytes([byte; 32]),
        tenant: acme(),
        body: Sealed::from_stored("c2VhbGVk IHdpdGggc3BhY2U"),
        expires: t0().plus(Purpose::Flow.life()),
    }
}
