//! The demonstration as a process, and its people as clients.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use url::Url;

use crate::{
    Client, Person, Process, Reply,
    process::{Folder, cardea, free_port, run},
};

/// What `cardea demo --format json` says when it is ready.
#[derive(Debug, Clone, Deserialize)]
pub struct Told {
    /// The sign-in page of the tenant with a pool.
    pub sign_in: Url,
    /// The console.
    pub console: Url,
    /// The ops listener.
    pub ops: Url,
    /// Who may sign in.
    pub people: Vec<Person>,
    /// What to try.
    #[serde(rename = "try")]
    pub attempts: Vec<Attempt>,
}

/// One request that the demonstration suggests.
#[derive(Debug, Clone, Deserialize)]
pub struct Attempt {
    /// The method.
    pub method: String,
    /// The address.
    pub url: Url,
    /// Whose request it is; a visitor's where absent.
    #[serde(rename = "as")]
    pub who: Option<String>,
    /// The status that comes back.
    pub expect: u16,
    /// What it shows.
    pub why: String,
}

/// A running demonstration.
#[derive(Debug)]
pub struct Demo {
    /// What it told.
    pub told: Told,
    process: Process,
    folder: std::sync::Arc<Folder>,
    port: u16,
}

impl Demo {
    /// Starts it in a new folder.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_in(std::sync::Arc::new(Folder::new("demo")?), free_port()?).await
    }

    async fn start_in(folder: std::sync::Arc<Folder>, port: u16) -> anyhow::Result<Self> {
        let mut command = cardea();
        command.args(["demo", "--format", "json", "--port", &port.to_string(), "--dir"]).arg(folder.path());
        let mut process = Process::start(command, &folder.path().join("demo.log"))?;
        let told = process.line(|line| serde_json::from_str(line).ok()).await.with_context(|| {
            format!(
                "the demo is not ready:\n{}",
                std::fs::read_to_string(folder.path().join("demo.log")).unwrap_or_default()
            )
        })?;
        Ok(Self { told, process, folder, port })
    }

    /// Kills it without warning and starts it again in the same place.
    pub async fn killed_and_restarted(self) -> anyhow::Result<Self> {
        let (folder, port) = (self.folder.clone(), self.port);
        self.process.kill().await?;
        Self::start_in(folder, port).await
    }

    /// Kills it without warning; the folder stays for as long as it is held.
    pub async fn kill(self) -> anyhow::Result<std::sync::Arc<Folder>> {
        self.process.kill().await?;
        Ok(self.folder)
    }

    /// Runs the command line beside it, which must do what it is told; gives what it printed.
    pub async fn does(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = cardea();
        command.arg("--config").arg(self.folder.path().join("cardea.toml")).args(arguments);
        let (status, out, err) = run(command).await?;
        anyhow::ensure!(status == 0, "cardea {}: {status}\n{out}{err}", arguments.join(" "));
        Ok(out.trim().to_owned())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// A host of the demonstration: `records.acme` gives `http://records.acme.localhost:<port>/`.
    pub fn at(&self, host: &str, path: &str) -> anyhow::Result<Url> {
        Ok(Url::parse(&format!("http://{host}.localhost:{}", self.port))?.join(path)?)
    }

    /// One of its people.
    pub fn person(&self, email: &str) -> anyhow::Result<&Person> {
        self.told.people.iter().find(|person| person.email == email).with_context(|| format!("there is no {email}"))
    }

    /// Runs the command line against the demonstration's installation.
    pub async fn cardea(&self, arguments: &[&str]) -> anyhow::Result<(i32, String, String)> {
        cardea_in(self.folder(), arguments).await
    }

    /// A browser in which `email` has opened `url` and signed in as far as that page asks.
    pub async fn signed_in(&self, email: &str, url: &Url) -> anyhow::Result<(Client, Reply)> {
        self.person(email)?.opens(url).await
    }

    /// A browser in which `email` is signed in at the host of `url` with all that this person has; goes on in the one
    /// given, since a one-time code opens one door only.
    pub async fn as_strongly_as_can_be(
        &self,
        email: &str,
        url: &Url,
        before: Option<Client>,
    ) -> anyhow::Result<Client> {
        let person = self.person(email)?;
        let begun = before.is_some();
        let mut client = before.unwrap_or_default();
        if !begun && person.totp.is_some() {
            let portal = self.at(&person.tenant, "/")?;
            let page = client.open(&portal).await?;
            person.answer(&mut client, page).await?;
            person.steps_up(&mut client, &portal, &portal).await?;
        }
        let page = client.open(url).await?;
        person.answer(&mut client, page).await?;
        Ok(client)
    }
}

/// Runs the command line against an installation's folder.
pub async fn cardea_in(folder: &Path, arguments: &[&str]) -> anyhow::Result<(i32, String, String)> {
    let mut command = cardea();
    command.args(arguments).env("CARDEA_CONFIG", folder.join("cardea.toml"));
    run(command).await
}
