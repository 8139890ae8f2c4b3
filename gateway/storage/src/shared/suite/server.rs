//! Real Redis servers of the tests' own, on free ports, in a folder of their own, gone at the end: single ones and clusters.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use cardea_core::Secret;
use redis::{Client, Cmd, cmd};
use tokio::sync::OnceCell;

use crate::shared::RedisAt;

/// A running server.
pub(crate) struct RedisServer {
    port: String,
    dir: PathBuf,
    more: Vec<String>,
    child: Mutex<Option<Child>>,
}

/// Every write is kept, so that what stood before a fall stands after it.
const KEEPS_ALL: &[&str] = &["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
/// Nothing is kept that is not asked to be (`SAVE`).
pub(super) const KEEPS_WHAT_IS_SAVED: &[&str] = &["--save", ""];

/// Ports that are tried before it is said that there is no server.
const PORTS: usize = 10;
const NONE: &str = "no server starts: these tests need `redis-server` (Debian: apt install redis-server)";

/// Runs a command until it ends or nobody holds its standard input: it goes with the tests, however they end.
const WITH_US: &str =
    r#"exec 3<&0 2>/dev/null; "$@" >/dev/null 3<&- & child=$!; (cat <&3 >/dev/null; kill -9 $child) & wait $child"#;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl RedisServer {
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::start_with(dir, KEEPS_ALL).await
    }

    pub(super) async fn start_with(dir: &Path, more: &[&str]) -> Self {
        for _ in 0..PORTS {
            if let Some(server) = Self::start_at(free_port(), dir, more).await {
                return server;
            }
        }
        panic!("{NONE}");
    }

    /// Starts it; none where somebody has taken the port meanwhile.
    async fn start_at(port: u16, dir: &Path, more: &[&str]) -> Option<Self> {
        let more = more.iter().map(|word| (*word).to_owned()).collect();
        let server = Self { port: port.to_string(), dir: dir.to_owned(), more, child: Mutex::new(None) };
        server.answers().await.then_some(server)
    }

    /// Starts it again and waits until it answers.
    pub(super) async fn run(&self) {
        assert!(self.answers().await, "redis-server ended: is its port taken?");
    }

    /// Starts it: whether it is there, and not somebody else.
    async fn answers(&self) -> bool {
        let child = Command::new("sh")
            .args(["-c", WITH_US, "sh", "redis-server", "--bind", "127.0.0.1", "--port", &self.port])
            .arg("--dir")
            .arg(&self.dir)
            .args(&self.more)
            .arg("--pidfile")
            .arg(self.pidfile())
            .stdin(Stdio::piped())
            .spawn()
            .expect("these tests need `sh`");
        *self.child.lock().unwrap() = Some(child);
        let (client, here) = (Client::open(self.url()).unwrap(), self.dir.canonicalize().unwrap());
        loop {
            if let Ok(mut own) = client.get_multiplexed_async_connection().await {
                let dir = cmd("CONFIG").arg(&["GET", "dir"]).query_async::<[String; 2]>(&mut own).await;
                if dir.is_ok_and(|[_, dir]| Path::new(&dir) == here) {
                    return true;
                }
            }
            if self.child.lock().unwrap().as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                return false;
            }
            breathe().await;
        }
    }

    fn pidfile(&self) -> PathBuf {
        self.dir.join("redis.pid")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port, as text.
    pub(super) fn port(&self) -> &str {
        &self.port
    }

    /// Asks it something by itself.
    pub(super) async fn ask<T: redis::FromRedisValue>(&self, words: &[impl AsRef<[u8]>]) -> T {
        let mut own = Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let mut command = Cmd::new();
        for word in words {
            command.arg(word.as_ref());
        }
        command.query_async(&mut own).await.unwrap()
    }

    /// Stops it as it stands (`STOP`) or lets it go on (`CONT`).
    pub(super) fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.pidfile()).unwrap();
        let sent = Command::new("kill").args(["-s", signal, pid.trim()]).status().unwrap();
        assert!(sent.success());
    }

    pub(super) fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running cluster: three masters, and a replica of the first where one was asked for.
pub(super) struct Cluster {
    pub(super) nodes: Vec<RedisServer>,
    dir: PathBuf,
}

/// Who serves which slots.
const SHARES: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

impl Cluster {
    /// The one that all tests of this process share.
    pub(super) async fn of_all() -> &'static Self {
        static ALL: OnceCell<Cluster> = OnceCell::const_new();
        ALL.get_or_init(|| Self::start(false, "15000")).await
    }

    /// Starts one whose nodes hold another for failed after `patience` milliseconds of silence.
    pub(super) async fn start(replica: bool, patience: &str) -> Self {
        let name = format!("cardea-cluster-{}-{}", std::process::id(), free_port());
        let mut cluster = Self { nodes: Vec::new(), dir: std::env::temp_dir().join(name) };
        let mut buses = Vec::new();
        for nth in 0..3 + usize::from(replica) {
            let dir = cluster.dir.join(nth.to_string());
            std::fs::create_dir_all(&dir).unwrap();
            let (node, bus) = Self::node(&dir, patience).await;
            cluster.nodes.push(node);
            buses.push(bus);
        }
        for (nth, node) in cluster.nodes.iter().enumerate() {
            let () = node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(nth + 1).to_string()]).await;
            if let Some((first, last)) = SHARES.get(nth) {
                let () = node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await;
            }
            let port = cluster.nodes[0].port.clone();
            if nth > 0 {
                let () = node.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &buses[0]]).await;
            }
        }
        cluster.whole().await;
        if replica {
            let master: String = cluster.nodes[0].ask(&["CLUSTER", "MYID"]).await;
            let () = cluster.nodes[3].ask(&["CLUSTER", "REPLICATE", &master]).await;
            while !cluster.nodes[3].ask::<String>(&["INFO", "replication"]).await.contains("master_link_status:up") {
                breathe().await;
            }
        }
        cluster
    }

    /// A node that knows of nobody, and the port of its bus.
    async fn node(dir: &Path, patience: &str) -> (RedisServer, String) {
        for _ in 0..PORTS {
            let bus = free_port().to_string();
            let mut more = vec!["--cluster-enabled", "yes", "--cluster-node-timeout", patience, "--cluster-port", &bus];
            more.extend(["--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0"]);
            more.extend(KEEPS_WHAT_IS_SAVED);
            if let Some(node) = RedisServer::start_at(free_port(), dir, &more).await {
                return (node, bus);
            }
        }
        panic!("{NONE}");
    }

    /// Waits until every node knows of all, and that all slots are served.
    async fn whole(&self) {
        for node in &self.nodes {
            loop {
                let told: String = node.ask(&["CLUSTER", "INFO"]).await;
                let nodes = format!("cluster_known_nodes:{}\r", self.nodes.len());
                if told.contains("cluster_state:ok") && told.contains("cluster_slots_ok:16384") && told.contains(&nodes)
                {
                    break;
                }
                breathe().await;
            }
        }
    }

    /// Waits until the replica has heard all that the first master has said.
    pub(super) async fn replicated(&self) {
        let offset = async |node: &RedisServer| {
            let told: String = node.ask(&["INFO", "replication"]).await;
            told.lines().find(|line| line.starts_with("master_repl_offset:")).map(str::to_owned)
        };
        while offset(&self.nodes[0]).await != offset(&self.nodes[3]).await {
            breathe().await;
        }
    }

    pub(super) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    pub(super) fn at(&self) -> RedisAt {
        RedisAt::Cluster(self.urls().into_iter().map(Secret::new).collect())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.clear();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Lets servers do what they do by themselves.
pub(super) async fn breathe() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
