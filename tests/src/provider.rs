//! The OpenID provider that stories sign in with: a real one (npm `oidc-provider`), started as a process.

use std::{path::PathBuf, process::Command};

use anyhow::Context;
use url::Url;

use crate::{
    Client, Process, Reply, form,
    process::{Folder, free_port},
};

/// A running provider.
#[derive(Debug)]
pub struct Provider {
    /// Its port; the issuer is `http://127.0.0.1:<port>`.
    pub port: u16,
    folder: Folder,
    process: Option<Process>,
}

impl Provider {
    /// A port for one that is started later, when it is known where it may send people back to.
    pub fn at_a_free_port() -> anyhow::Result<Self> {
        Ok(Self { port: free_port()?, folder: Folder::new("provider")?, process: None })
    }

    /// Its issuer.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it with a new signing key of this name.
    pub async fn start(&mut self, key: &str, redirects: &[Url]) -> anyhow::Result<()> {
        let mut command = Command::new("node");
        command.arg(folder().join("oidc/provider.mjs")).args([&self.port.to_string(), key]);
        command.args(redirects.iter().map(Url::as_str)).env("NODE_NO_WARNINGS", "1");
        let log = self.folder.path().join("provider.log");
        let mut process = Process::start(command, &log)?;
        let ready = process.line(|line| (line == "ready").then_some(())).await;
        ready.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it does not run")?.kill().await
    }

    /// Makes it misbehave from now on; `not` makes it honest again.
    pub async fn misbehave(&self, how: &str) -> anyhow::Result<()> {
        let url = Url::parse(&format!("{}/misbehave/{how}", self.issuer()))?;
        anyhow::ensure!(Client::program().get(&url).await?.status == 200, "it does not listen");
        Ok(())
    }

    /// From its login page on: signs in as `login`, consents, and goes on to where the browser is sent back; the last
    /// redirect, to `stop`, is not followed.
    pub async fn log_in(&self, client: &mut Client, page: &Reply, login: &str, stop: &str) -> anyhow::Result<Reply> {
        let mut reply = client.submit_once(page, &[("login", login), ("password", "any")]).await?;
        for _ in 0..8 {
            reply = client.follow_until(reply, stop).await?;
            if reply.status.is_redirection() || form::find(&reply.body, "prompt").is_none() {
                return Ok(reply);
            }
            reply = client.submit_once(&reply, &[("prompt", "consent")]).await?;
        }
        anyhow::bail!("the provider asks without end: {}", reply.body)
    }
}

fn folder() -> PathBuf {
    std::env::var_os("CARDEA_TEST_NODE_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}
