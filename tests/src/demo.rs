//! The demonstration as a process, and its people as clients.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use url::Url;

use crate::{
    Client, Process, Reply,
    process::{Folder, cardea, free_port, python, run},
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

/// One of the demonstration's people.
#[derive(Debug, Clone, Deserialize)]
pub struct Person {
    /// Their tenant.
    pub tenant: String,
    /// Their address.
    pub email: String,
    /// Their password.
    pub password: String,
    /// The base32 secret of their one-time codes, where they have them.
    pub totp: Option<String>,
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
        let mut process = Process::start(command)?;
        let told = process.line(|line| serde_json::from_str(line).ok()).await.context("the demo is not ready")?;
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
        let mut client = Client::browser();
        let page = client.open(url).await?;
        let page = self.answer(&mut client, page, email).await?;
        Ok((client, page))
    }

    /// Answers every page of a sign-in or step-up until another page comes.
    pub async fn answer(&self, client: &mut Client, mut page: Reply, email: &str) -> anyhow::Result<Reply> {
        let person = self.person(email)?;
        for _ in 0..6 {
            let has = |field: &str| crate::form::find(&page.body, field).is_some();
            if has("password") {
                let both = [("password", person.password.as_str()), ("email", email)];
                let fields = if has("email") { &both[..] } else { &both[..1] };
                page = client.submit(&page, fields).await?;
            } else if has("code") {
                let secret = person.totp.as_deref().context("this person has no one-time codes")?;
                page = client.submit(&page, &[("code", &one_time_code(secret).await?)]).await?;
            } else if has("email") {
                page = client.submit(&page, &[("email", email)]).await?;
            } else {
                return Ok(page);
            }
        }
        Ok(page)
    }
}

/// Runs the command line against an installation's folder.
pub async fn cardea_in(folder: &Path, arguments: &[&str]) -> anyhow::Result<(i32, String, String)> {
    let mut command = cardea();
    command.args(arguments).env("CARDEA_CONFIG", folder.join("cardea.toml"));
    run(command).await
}

/// A one-time code made by an implementation that is not ours.
pub async fn one_time_code(secret: &str) -> anyhow::Result<String> {
    let mut command = python("python");
    command.args(["-c", "import pyotp, sys; print(pyotp.TOTP(sys.argv[1]).now())", secret]);
    let (status, out, err) = run(command).await?;
    anyhow::ensure!(status == 0, "pyotp: {err}");
    Ok(out.trim().to_owned())
}
