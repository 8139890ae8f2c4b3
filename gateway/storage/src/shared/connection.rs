//! The way to Redis: one server, or a cluster of them. Whoever is silent for a second is a fault, for whom it concerns and for nobody
//! else, and the way is looked for anew meanwhile.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisFuture, RedisResult, ServerErrorKind,
    ToRedisArgs, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, PubSub},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    cmd,
};
use cardea_core::Secret;
use tokio::task::JoinSet;

use super::{
    cluster::{self, Nodes},
    keys::Key,
    scripts::Script,
};
use crate::StoreFault;

/// The longest wait for an answer. Redis answers in microseconds; a second of silence is a fault.
const ANSWER: Duration = Duration::from_secs(1);

/// Tries at a command that is sent elsewhere meanwhile: slots that move, a replica that takes over.
const TRIES: u32 = 4;

/// Who has taken over is known to some nodes before it is to all, and until then they send whoever asks from one to another: the pause
/// before they are asked again.
const KNOWN_TO_ALL: Duration = Duration::from_millis(50);

/// Where Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAt {
    /// At this URL (`redis://…`, `rediss://…`), under whose name whoever has taken over from a server that failed is found.
    One(Secret<String>),
    /// In a cluster, some of whose nodes are at these URLs; they tell of the others.
    Cluster(Vec<Secret<String>>),
}

impl RedisAt {
    fn clients(&self) -> RedisResult<Vec<Client>> {
        match self {
            Self::One(url) => Ok(vec![Client::open(url.expose().as_str())?]),
            Self::Cluster(urls) => urls.iter().map(|url| Client::open(url.expose().as_str())).collect(),
        }
    }

    /// Asks what is there. A cluster has to serve all slots: each tenant's state lies in one of them.
    pub(super) async fn reach(&self) -> Result<String, StoreFault> {
        let mut own = first_to_answer(&self.clients()?).await?;
        let told: String = cmd("INFO").arg("server").query_async(&mut own).await?;
        let line = |name| told.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let version = line("redis_version:").unwrap_or("of unknown version");
        match (self, line("redis_mode:")) {
            (Self::One(_), Some("cluster")) => Err(StoreFault::Cluster(
                "it is a node of a cluster: name its nodes with `cluster = [\"redis://…\"]`".to_owned(),
            )),
            (Self::One(_), _) => Ok(format!("Redis {version}")),
            (Self::Cluster(_), _) => {
                let nodes: String = cmd("CLUSTER").arg("NODES").query_async(&mut own).await?;
                let masters = Nodes::read(&nodes).whole().map_err(StoreFault::Cluster)?;
                let state: String = cmd("CLUSTER").arg("INFO").query_async(&mut own).await?;
                if !state.contains("cluster_state:ok") {
                    return Err(StoreFault::Cluster("the cluster is down, as its node says".to_owned()));
                }
                let plural = if masters == 1 { "" } else { "s" };
                Ok(format!("Redis Cluster {version}, {masters} master{plural}"))
            }
        }
    }

    /// A connection that hears what is published in `channel`; in a cluster any node tells it.
    async fn listener(&self, channel: &str) -> RedisResult<PubSub> {
        let mut failed = None;
        for client in self.clients()? {
            let listens = async {
                let mut listener = client.get_async_pubsub().await?;
                listener.subscribe(channel).await?;
                Ok(listener)
            };
            match tokio::time::timeout(ANSWER, listens).await {
                Ok(Ok(listener)) => return Ok(listener),
                Ok(Err(error)) => failed = Some(error),
                Err(_) => failed = Some(silent()),
            }
        }
        Err(failed.unwrap_or_else(silent))
    }

    async fn open(&self) -> RedisResult<Way> {
        match self {
            Self::One(url) => {
                let config = ConnectionManagerConfig::new()
                    .set_response_timeout(Some(ANSWER))
                    .set_connection_timeout(Some(ANSWER))
                    .set_number_of_retries(1)
                    .set_max_delay(Duration::from_millis(100));
                let client = Client::open(url.expose().as_str())?;
                Ok(Way::One(ConnectionManager::new_with_config(client, config).await?))
            }
            Self::Cluster(urls) => {
                let client = ClusterClientBuilder::new(urls.iter().map(|url| url.expose().as_str()))
                    .connection_timeout(ANSWER)
                    .response_timeout(ANSWER)
                    .retries(TRIES)
                    .min_retry_wait(10)
                    .max_retry_wait(200)
                    .build()?;
                Ok(Way::Cluster(client.get_async_connection().await?))
            }
        }
    }
}

async fn first_to_answer(clients: &[Client]) -> RedisResult<::redis::aio::MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
    let mut failed = None;
    for client in clients {
        match client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(silent))
}

/// Whether nothing was done, since the node that was asked last holds another for the one to ask, or has not all of the keys yet.
fn sends_elsewhere(error: &::redis::RedisError) -> bool {
    let elsewhere = [ServerErrorKind::Moved, ServerErrorKind::Ask, ServerErrorKind::TryAgain];
    elsewhere.into_iter().any(|kind| error.kind() == ErrorKind::Server(kind))
}

fn silent() -> ::redis::RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "redis is silent").into()
}

#[derive(Clone)]
enum Way {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Way {
    async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        let mut refused = None;
        let sent = async {
            match self {
                Self::One(one) => one.req_packed_command(command).await,
                Self::Cluster(cluster) => loop {
                    match cluster.req_packed_command(command).await {
                        Err(error) if sends_elsewhere(&error) => {
                            refused = Some(error);
                            tokio::time::sleep(KNOWN_TO_ALL).await;
                        }
                        told => break told,
                    }
                },
            }
        };
        let sent = tokio::time::timeout(ANSWER, sent).await;
        sent.unwrap_or_else(|_| Err(refused.unwrap_or_else(silent)))
    }

    /// Asks any master that answers: all at once, by slots that are far apart.
    async fn ask_any(&mut self, command: &Cmd) -> RedisResult<Value> {
        let Self::Cluster(cluster) = self else { return self.send(command).await };
        let mut asked = JoinSet::new();
        for slot in (0..cluster::SLOTS).step_by(1_024) {
            let (mut cluster, command) = (cluster.clone(), command.clone());
            let master = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
            asked.spawn(async move { cluster.route_command(command, RoutingInfo::SingleNode(master)).await });
        }
        let answered = async {
            let mut told = Err(silent());
            while let Some(one) = asked.join_next().await {
                told = one.unwrap_or_else(|_| Err(silent()));
                if told.is_ok() {
                    break;
                }
            }
            told
        };
        tokio::time::timeout(ANSWER, answered).await.unwrap_or_else(|_| Err(silent()))
    }
}

/// A connection. Cloning shares it.
#[derive(Clone)]
pub(super) struct Connection(Arc<Shared>);

struct Shared {
    at: RedisAt,
    way: RwLock<Way>,
    /// Somebody looks for another way.
    looking: AtomicBool,
}

impl Connection {
    pub(super) async fn open(at: &RedisAt) -> Result<Self, StoreFault> {
        let way = RwLock::new(at.open().await?);
        Ok(Self(Arc::new(Shared { at: at.clone(), way, looking: AtomicBool::new(false) })))
    }

    /// Runs a script on keys of one tenant. Where it is not known yet, as at a replica that took over, it goes along: no other node
    /// needs to be asked.
    pub(super) async fn run<T: FromRedisValue>(
        &mut self,
        script: &Script,
        keys: &[Key],
        args: impl ToRedisArgs,
    ) -> Result<T, StoreFault> {
        let call = |verb: &str, what: &str| {
            let mut call = cmd(verb);
            call.arg(what).arg(keys.len()).arg(keys).arg(&args);
            call
        };
        match call("EVALSHA", script.hash()).query_async(self).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                Ok(call("EVAL", script.code()).query_async(self).await?)
            }
            told => Ok(told?),
        }
    }

    /// Whether anybody is there: of a cluster one master, since the others' tenants are served without it.
    pub(super) async fn ping(&self) -> Result<(), StoreFault> {
        self.0.now().ask_any(&cmd("PING")).await?;
        Ok(())
    }

    /// Tells all who listen.
    pub(super) async fn publish(&mut self, channel: &str, text: &str) -> Result<(), StoreFault> {
        Ok(cmd("PUBLISH").arg(channel).arg(text).query_async(self).await?)
    }

    /// A connection of its own that hears what is published.
    pub(super) async fn listener(&self, channel: &str) -> Result<PubSub, StoreFault> {
        Ok(self.0.at.listener(channel).await?)
    }

    async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let sent = self.0.now().send(command).await;
        if sent.as_ref().is_err_and(|error| error.is_timeout() || sends_elsewhere(error)) {
            self.look();
        }
        sent
    }

    /// Looks for another way beside all who ask. A server that hangs, or a host that is gone, closes no connection: whoever has taken
    /// over from it would never be asked.
    fn look(&self) {
        if self.0.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let found = tokio::time::timeout(5 * ANSWER, shared.at.another(shared.now())).await;
            if let Ok(Some(way)) = found {
                *shared.way.write().unwrap_or_else(PoisonError::into_inner) = way;
            }
            shared.looking.store(false, Ordering::Release);
        });
    }
}

impl Shared {
    fn now(&self) -> Way {
        self.way.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl RedisAt {
    /// Another way than `now`; none where there is none that answers. Of a cluster only one that says that others serve than those
    /// who hang: until then whoever has a connection to the others keeps it.
    async fn another(&self, mut now: Way) -> Option<Way> {
        if let Way::Cluster(_) = now {
            let mut nodes = cmd("CLUSTER");
            nodes.arg("NODES");
            let told: String = ::redis::from_redis_value(now.ask_any(&nodes).await.ok()?).ok()?;
            if !Nodes::read(&told).has_failed() {
                return None;
            }
        }
        self.open().await.ok()
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.send(command))
    }

    fn req_packed_commands<'a>(&'a mut self, _: &'a Pipeline, _: usize, _: usize) -> RedisFuture<'a, Vec<Value>> {
        // Scripts do what has to be done together.
        Box::pin(std::future::ready(Err((ErrorKind::Client, "no pipelines").into())))
    }

    fn get_db(&self) -> i64 {
        0
    }
}
