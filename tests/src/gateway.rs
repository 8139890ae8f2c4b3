//! An installation like an operator's: a configuration, a folder of resources that is applied, and `cardea serve`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use tokio::time::timeout;
use url::Url;

use crate::{
    Client, Person, Process, Reply,
    process::{Folder, READY, cardea, python, run},
};

mod plan;

pub use plan::{POLICIES, Plan};

/// Configuration, resources and state on disk, whether or not a gateway runs on them.
#[derive(Debug, Clone)]
pub struct Installation {
    folder: Arc<Folder>,
    /// The listener for people and programs.
    pub port: u16,
    /// The port that people use: that of the proxy in front, where there is one.
    pub public: u16,
    /// Whether that speaks TLS.
    pub secured: bool,
    /// The machines listener.
    pub machines: u16,
    /// Where the operator's machines look.
    pub ops: u16,
    environment: Vec<(String, String)>,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// What it runs on.
    pub on: Installation,
    process: Process,
}

/// The password of everybody whom [`Gateway::person`] invites.
pub const PASSWORD: &str = "seven green bottles on a wall";

impl Installation {
    /// A path in its folder.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Writes a file in its folder.
    pub fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().context("no folder")?)?;
        Ok(std::fs::write(path, text)?)
    }

    /// A file in its folder.
    pub fn read(&self, path: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.path(path)).with_context(|| format!("`{path}` cannot be read"))
    }

    /// Replaces `from` by `to` in a file in its folder, where it must stand.
    pub fn edit(&self, path: &str, from: &str, to: &str) -> anyhow::Result<()> {
        let text = self.read(path)?;
        ensure!(text.contains(from), "`{path}` does not hold `{from}`");
        self.write(path, &text.replace(from, to))
    }

    /// Runs the command line on it, from its folder.
    pub async fn cardea(&self, arguments: &[&str]) -> anyhow::Result<(i32, String, String)> {
        run(self.command(arguments)).await
    }

    /// The command line on it.
    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = cardea();
        command.args(arguments).current_dir(self.folder.path()).env("CARDEA_CONFIG", "cardea.toml");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the command line on it, which must do what it is told; gives what it printed.
    pub async fn does(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let (status, out, err) = self.cardea(arguments).await?;
        ensure!(status == 0, "cardea {}: {status}\n{out}{err}", arguments.join(" "));
        Ok(out.trim().to_owned())
    }

    /// Changes rows of its database past Cardea, as a program of another version, or a careless hand, would.
    pub async fn by_hand(&self, sql: &str) -> anyhow::Result<()> {
        let mut command = python("python");
        let program = "import sqlite3, sys\n\
                       with sqlite3.connect(sys.argv[1], timeout=10) as db:\n\
                       \x20   assert db.execute(sys.argv[2]).rowcount >= 1";
        command.args(["-c", program]).arg(self.path("state/cardea.db")).arg(sql);
        let (status, _, err) = run(command).await?;
        ensure!(status == 0, "`{sql}`: {err}");
        Ok(())
    }

    /// Applies its resources.
    pub async fn apply(&self) -> anyhow::Result<String> {
        self.does(&["apply", "resources", "--yes"]).await
    }

    /// Starts the gateway, and waits until it may be sent work.
    pub async fn start(&self) -> anyhow::Result<Gateway> {
        let process = Process::start(self.command(&["serve"]), &self.path("gateway.log"))?;
        let mut gateway = Gateway { on: self.clone(), process };
        gateway.ready().await?;
        Ok(gateway)
    }

    /// A host of the installation: `echo.acme` and `/x` give `http://echo.acme.localhost:<port>/x`.
    pub fn at(&self, host: &str, path: &str) -> anyhow::Result<Url> {
        let scheme = if self.secured { "https" } else { "http" };
        Ok(Url::parse(&format!("{scheme}://{host}.localhost:{}", self.public))?.join(path)?)
    }

    /// A program's request as a visitor, on the wire: `line` is method and target, `headers` have line ends.
    pub async fn ask(&self, host: &str, line: &str, headers: &str) -> anyhow::Result<crate::raw::RawReply> {
        crate::raw::ask(self.port, &format!("{host}.localhost:{}", self.port), line, headers).await
    }

    /// The entries of a tenant's log, oldest first; of a running gateway, once none waits to be written.
    pub async fn log(&self, tenant: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        let ops = Url::parse(&format!("http://127.0.0.1:{}/metrics", self.ops))?;
        let written = async {
            while Client::program().get(&ops).await.is_ok_and(|told| !told.body.contains("\ncardea_log_waiting 0\n")) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(READY, written).await.context("entries wait to be written, and are not")?;
        entries(&self.does(&["audit", "export", "--tenant", tenant]).await?)
    }

    /// What the gateway said of itself.
    pub fn said(&self) -> String {
        self.read("gateway.log").unwrap_or_default()
    }
}

/// The entries in an export: what stands between its heading and its head.
pub fn entries(export: &str) -> anyhow::Result<Vec<serde_json::Value>> {
    let lines: Vec<_> = export.lines().collect();
    ensure!(lines.len() >= 2, "no export: {export}");
    let entry = |line: &&str| Ok(serde_json::from_str::<serde_json::Value>(line)?["body"].take());
    lines[1..lines.len() - 1].iter().map(entry).collect()
}

impl Gateway {
    async fn ready(&mut self) -> anyhow::Result<()> {
        let ops = Url::parse(&format!("http://127.0.0.1:{}/readyz", self.on.ops))?;
        let said = self.on.clone();
        let is_ready = async || Client::program().get(&ops).await.is_ok_and(|reply| reply.status == 200);
        self.process.until(is_ready).await.with_context(|| format!("the gateway is not ready:\n{}", said.said()))
    }

    /// Kills it without warning.
    pub async fn kill(self) -> anyhow::Result<Installation> {
        self.process.kill().await?;
        Ok(self.on)
    }

    /// Asks it to end, and waits for it.
    pub async fn stop(self) -> anyhow::Result<Installation> {
        let status = self.process.stop().await?;
        ensure!(status.success(), "it ended with {status}:\n{}", self.on.said());
        Ok(self.on)
    }

    /// Waits until its log holds `text`.
    pub async fn says(&mut self, text: &str) -> anyhow::Result<()> {
        let on = self.on.clone();
        let said = self.process.until(async || on.said().contains(text)).await;
        said.with_context(|| format!("it does not say `{text}`:\n{}", self.on.said()))
    }

    /// Another gateway of the same house: with the operator's key of this one, and on the database that `plan` names.
    pub async fn beside(&self, plan: Plan) -> anyhow::Result<Self> {
        let on = plan.write()?;
        std::fs::create_dir_all(on.path("state"))?;
        std::fs::copy(self.on.path("state/operator.key"), on.path("state/operator.key"))?;
        on.start().await
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Asks it to end (SIGTERM), and does not wait for it.
    pub fn is_told_to_stop(&self) -> anyhow::Result<()> {
        self.is_sent("TERM")
    }

    /// Waits until it has ended in good order.
    pub async fn ends(mut self) -> anyhow::Result<Installation> {
        let status = self.process.ends().await?;
        ensure!(status.success(), "it ended with {status}:\n{}", self.on.said());
        Ok(self.on)
    }

    /// Whether it may be sent work, in its own words.
    pub async fn readiness(&self) -> anyhow::Result<(u16, String)> {
        let url = Url::parse(&format!("http://127.0.0.1:{}/readyz", self.on.ops))?;
        let reply = Client::program().get(&url).await?;
        Ok((reply.status.as_u16(), reply.body))
    }

    /// Tells it that files have changed (SIGHUP).
    pub fn hangs_up(&self) -> anyhow::Result<()> {
        self.is_sent("HUP")
    }

    /// Lets it do nothing at all until it goes on.
    pub fn stands_still(&self) -> anyhow::Result<()> {
        self.is_sent("STOP")
    }

    /// Lets it go on where it stood still.
    pub fn goes_on(&self) -> anyhow::Result<()> {
        self.is_sent("CONT")
    }

    fn is_sent(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.pid().context("it has ended already")?;
        ensure!(std::process::Command::new("kill").args(["-s", signal, &pid.to_string()]).status()?.success());
        Ok(())
    }

    /// What it tells a collector of metrics.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let url = Url::parse(&format!("http://127.0.0.1:{}/metrics", self.on.ops))?;
        Ok(Client::program().get(&url).await?.body)
    }

    /// Waits until what it tells a collector of metrics holds `text`.
    pub async fn counts(&mut self, text: &str) -> anyhow::Result<()> {
        let url = Url::parse(&format!("http://127.0.0.1:{}/metrics", self.on.ops))?;
        let told = async || Client::program().get(&url).await.is_ok_and(|reply| reply.body.contains(text));
        self.process.until(told).await.with_context(|| format!("it does not count `{text}`"))
    }

    /// The next line on its standard output that `wanted` takes.
    pub async fn prints<T>(&mut self, wanted: impl FnMut(&str) -> Option<T>) -> anyhow::Result<T> {
        self.process.line(wanted).await
    }

    /// A host of the installation.
    pub fn at(&self, host: &str, path: &str) -> anyhow::Result<Url> {
        self.on.at(host, path)
    }

    /// Invites somebody, who accepts in a browser and chooses a password.
    pub async fn person(&self, email: &str, groups: &[&str]) -> anyhow::Result<Person> {
        let (client, _, person) = self.newcomer(email, groups).await?;
        drop(client);
        Ok(person)
    }

    /// The same, with the browser in which it was done and the page at which it ended.
    pub async fn newcomer(&self, email: &str, groups: &[&str]) -> anyhow::Result<(Client, Reply, Person)> {
        let tenant = if email.ends_with("@north.example") { "north" } else { "acme" };
        let mut arguments = vec!["--format", "json", "user", "--tenant", tenant, "invite", email];
        arguments.extend(groups.iter().flat_map(|group| ["--group", group]));
        let invited: serde_json::Value = serde_json::from_str(&self.on.does(&arguments).await?)?;
        let url = Url::parse(invited["url"].as_str().context("no link")?)?;
        let mut client = Client::browser();
        let page = client.open(&url).await?;
        let page = client.submit(&page, &[("password", PASSWORD), ("again", PASSWORD)]).await?;
        ensure!(page.status == 200, "the invitation was not accepted: {} {}", page.status, page.body);
        Ok((client, page, Person::new(tenant, email, PASSWORD)))
    }

    /// The same with one-time codes, ready to sign in with assurance 2. The browser is signed in with both.
    pub async fn person_with_codes(&self, email: &str, groups: &[&str]) -> anyhow::Result<(Client, Person)> {
        let (mut client, _, mut person) = self.newcomer(email, groups).await?;
        let page = client.open(&self.at(&person.tenant, "/factors/totp")?).await?;
        person.totp = Some(key_of(&page.body).with_context(|| format!("no key: {} {}", page.status, page.body))?);
        let page = person.answer(&mut client, page).await?;
        ensure!(page.status == 200 && page.url.path() == "/factors", "not enrolled: {} {}", page.url, page.body);
        let portal = self.at(&person.tenant, "/")?;
        person.steps_up(&mut client, &portal, &portal).await?;
        Ok((client, person))
    }
}

/// The key that the page for enrolling an authenticator app shows.
pub fn key_of(page: &str) -> Option<String> {
    let shown = page.split("class=\"copy\"").nth(1)?.split_once('>')?.1.split('<').next()?;
    Some(shown.split_whitespace().collect())
}
