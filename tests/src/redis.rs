//! A Redis of a story's own, which forgets nothing when it is killed.

use std::{path::PathBuf, process::Command};

use anyhow::Context;

use crate::{
    Process,
    process::{Folder, free_port},
};

/// A running Redis.
#[derive(Debug)]
pub struct Redis {
    /// Its port.
    pub port: u16,
    folder: Folder,
    process: Option<Process>,
}

impl Redis {
    /// Starts it on a port that the system picks.
    pub async fn start() -> anyhow::Result<Self> {
        let mut redis = Self { port: free_port()?, folder: Folder::new("redis")?, process: None };
        redis.start_again().await?;
        Ok(redis)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
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
        let log: PathBuf = self.folder.path().join("redis.log");
        let mut process = Process::start(command, &log)?;
        process.line(|line| line.contains("Ready to accept connections").then_some(())).await?;
        self.process = Some(process);
        Ok(())
    }
}
