//! A mail server that is not ours (PyPI's aiosmtpd), as a process, and the letters that it was given.

use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    Process,
    process::{Folder, READY, free_port, python, service_file},
    tls,
};

/// How it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// In the clear, on this machine.
    None,
    /// TLS from the first byte.
    Implicit,
    /// TLS after `STARTTLS`.
    Starttls,
}

/// A letter as it arrived.
#[derive(Debug, Clone, Deserialize)]
pub struct Letter {
    /// Whom the envelope says that it is from.
    pub from: String,
    /// Whom the envelope says that it is for.
    pub to: Vec<String>,
    /// Its headers, by their names in lower case.
    pub headers: std::collections::BTreeMap<String, String>,
    /// What it says.
    pub text: String,
    /// Whether it came over TLS.
    pub tls: bool,
}

impl Letter {
    /// What it is about.
    pub fn subject(&self) -> &str {
        self.headers.get("subject").map_or("", String::as_str)
    }

    /// The code that stands in it.
    pub fn code(&self) -> Option<String> {
        let line = self.text.lines().find(|line| line.starts_with("    "))?;
        Some(line.trim().to_owned())
    }

    /// The link that stands in it.
    pub fn link(&self) -> Option<url::Url> {
        self.text
            .lines()
            .find(|line| line.contains("/sign-in/invitation/") || line.contains("/factors/link/"))?
            .trim()
            .parse()
            .ok()
    }
}

/// A running mail server.
#[derive(Debug)]
pub struct MailServer {
    port: u16,
    protection: Protection,
    folder: Folder,
    process: Option<Process>,
}

impl MailServer {
    /// Starts one on this machine.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(Protection::None).await
    }

    /// Starts one that is spoken to in that way; over TLS it wants a login, too.
    pub async fn with(protection: Protection) -> anyhow::Result<Self> {
        let mut server = Self { port: free_port()?, protection, folder: Folder::new("mail")?, process: None };
        if protection != Protection::None {
            let authority = tls::authority()?;
            let (chain, key) = authority.issue(&["localhost"])?;
            let password = "quiet as a mouse\n".to_owned();
            for (file, text) in
                [("chain.pem", &chain), ("key.pem", &key), ("roots.pem", &authority.pem), ("password", &password)]
            {
                std::fs::write(server.folder.path().join(file), text)?;
            }
        }
        server.starts().await?;
        Ok(server)
    }

    /// Starts it, again where it was killed.
    pub async fn starts(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let mut command = python("python");
        command.arg(service_file("mail.py")).arg(self.port.to_string()).arg(folder);
        let mode = match self.protection {
            Protection::None => None,
            Protection::Implicit => Some("implicit"),
            Protection::Starttls => Some("starttls"),
        };
        if let Some(mode) = mode {
            command.arg(mode).arg(folder.join("chain.pem")).arg(folder.join("key.pem"));
        }
        let log = folder.join("mail.log");
        let mut process = Process::start(command, &log)?;
        let ready = process.line(|line| (line == "ready").then_some(())).await;
        ready.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it.
    pub async fn dies(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it does not run")?.kill().await
    }

    /// What `cardea.toml` says of it.
    pub fn config(&self) -> String {
        let place = |file: &str| self.folder.path().join(file).display().to_string();
        let tls = match self.protection {
            Protection::None => "none",
            Protection::Implicit => "implicit",
            Protection::Starttls => "starttls",
        };
        let mut text = format!(
            "\n[mail]\nfrom = \"no-reply@acme.example\"\nhost = \"localhost\"\nport = {}\ntls = \"{tls}\"\n",
            self.port
        );
        if self.protection != Protection::None {
            text += &format!(
                "user = \"cardea\"\npassword = {{ file = \"{}\" }}\nca_file = \"{}\"\n",
                place("password"),
                place("roots.pem")
            );
        }
        text
    }

    /// It takes no letter from now on, and says whose, until [`MailServer::relents`].
    pub fn refuses(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.path().join("refuse"), "")?)
    }

    /// It takes letters again.
    pub fn relents(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.folder.path().join("refuse"))?)
    }

    /// It takes the next letter only when it comes again.
    pub fn hesitates(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.path().join("later"), "")?)
    }

    /// The letters that it was given to this address, oldest first.
    pub fn letters_to(&self, email: &str) -> anyhow::Result<Vec<Letter>> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.folder.path())?.filter_map(Result::ok).map(|one| one.path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let letters = files.iter().map(|path| Ok(serde_json::from_str::<Letter>(&std::fs::read_to_string(path)?)?));
        let letters = letters.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(letters.into_iter().filter(|letter| letter.to.iter().any(|to| to == email)).collect())
    }

    /// Waits for the first letter to this address that `wanted` takes.
    pub async fn letter<T>(&self, email: &str, wanted: impl Fn(&Letter) -> Option<T>) -> anyhow::Result<T> {
        let arrives = async {
            loop {
                if let Some(found) = self.letters_to(email)?.iter().find_map(&wanted) {
                    return anyhow::Ok(found);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let arrived = timeout(READY, arrives).await;
        arrived.with_context(|| format!("no such letter to {email}: {:?}", self.letters_to(email)))?
    }

    /// Waits for the nth code, counted from one, that was sent to this address.
    pub async fn code(&self, email: &str, nth: usize) -> anyhow::Result<String> {
        let arrives = async {
            loop {
                if let Some(code) = self.letters_to(email)?.iter().filter_map(Letter::code).nth(nth - 1) {
                    return anyhow::Ok(code);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(READY, arrives).await.with_context(|| format!("no code number {nth} to {email}"))?
    }
}
