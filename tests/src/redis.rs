//! A Redis of a story's own, which forgets nothing when it is killed, and a cluster of them.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::Context;

use crate::{
    Process,
    process::{Folder, free_port, run},
};

/// A running Redis.
#[derive(Debug)]
pub struct Redis {
    /// Its port.
    pub port: u16,
    folder: Folder,
    process: Option<Process>,
    /// Where it speaks with the other nodes of its cluster, if it is in one.
    bus: Option<u16>,
}

impl Redis {
    /// Starts it on a port that the system picks.
    pub async fn start() -> anyhow::Result<Self> {
        let mut redis = Self { port: free_port()?, folder: Folder::new("redis")?, process: None, bus: None };
        redis.start_again().await?;
        Ok(redis)
    }

    /// Starts one as the only node of a cluster, in which nobody serves any slot yet.
    pub async fn start_as_cluster() -> anyhow::Result<Self> {
        let bus = Some(free_port()?);
        let mut redis = Self { port: free_port()?, folder: Folder::new("redis")?, process: None, bus };
        redis.start_again().await?;
        Ok(redis)
    }

    /// Lets it serve these slots of its cluster.
    pub async fn serve(&self, first: u16, last: u16) -> anyhow::Result<()> {
        let said = self.does(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await?;
        anyhow::ensure!(said.trim() == "OK", "redis-cli: {said}");
        Ok(())
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Asks it something; gives what it says.
    pub async fn does(&self, command: &[&str]) -> anyhow::Result<String> {
        let mut asked = Command::new("redis-cli");
        asked.args(["-p", &self.port.to_string()]).args(command);
        let (status, out, err) = run(asked).await?;
        anyhow::ensure!(status == 0 && !out.starts_with("ERR"), "redis {}: {out}{err}", command.join(" "));
        Ok(out)
    }

    /// Kills it without warning.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it does not run")?.kill().await
    }

    /// Starts it where it was killed, with what it knew.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(self.folder.path());
        if let Some(bus) = self.bus {
            // A master that is killed comes back: nobody takes its place, and the others serve on.
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()]);
            command.args(["--cluster-require-full-coverage", "no", "--cluster-node-timeout", "2000"]);
        }
        let log: PathBuf = self.folder.path().join("redis.log");
        let mut process = Process::start(command, &log)?;
        process.line(|line| line.contains("Ready to accept connections").then_some(())).await?;
        self.process = Some(process);
        Ok(())
    }
}

/// A cluster of three masters, each of which forgets nothing when it is killed.
#[derive(Debug)]
pub struct RedisCluster {
    /// Its nodes.
    pub nodes: Vec<Redis>,
}

/// Who serves which slots.
const SHARES: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

impl RedisCluster {
    /// Starts it on ports that the system picks.
    pub async fn start() -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        for _ in SHARES {
            let mut node =
                Redis { port: free_port()?, folder: Folder::new("redis")?, process: None, bus: Some(free_port()?) };
            node.start_again().await?;
            nodes.push(node);
        }
        let first = nodes[0].port.to_string();
        let bus = nodes[0].bus.context("no bus")?.to_string();
        for (node, (from, to)) in nodes.iter().zip(SHARES) {
            node.serve(from, to).await?;
            if node.port != nodes[0].port {
                node.does(&["CLUSTER", "MEET", "127.0.0.1", &first, &bus]).await?;
            }
        }
        let cluster = Self { nodes };
        let whole = async {
            for node in &cluster.nodes {
                while !is_whole(&node.does(&["CLUSTER", "INFO"]).await?) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(30), whole).await.context("the nodes do not come together")??;
        Ok(cluster)
    }

    /// Lines of `cardea.toml` that name it.
    pub fn config(&self) -> String {
        let urls: Vec<_> = self.nodes.iter().map(|node| format!("\"{}\"", node.url())).collect();
        format!("[redis]\ncluster = [{}]\n", urls.join(", "))
    }

    /// The node that serves what is kept of a tenant, whether it runs or not.
    pub async fn of(&mut self, tenant: &str) -> anyhow::Result<&mut Redis> {
        let one = self.nodes.iter().find(|node| node.process.is_some()).context("no node runs")?;
        let slot: u16 = one.does(&["CLUSTER", "KEYSLOT", &format!("{{{tenant}}}")]).await?.trim().parse()?;
        let nth = SHARES.iter().position(|(from, to)| (*from..=*to).contains(&slot)).context("no such slot")?;
        self.nodes.get_mut(nth).context("no such node")
    }
}

fn is_whole(told: &str) -> bool {
    ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:3"].iter().all(|line| told.contains(line))
}
