//! An installation like an operator's: a configuration, a folder of resources that is applied, and `cardea serve`.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, ensure};
use url::Url;

use crate::{
    Client, Person, Process, Reply,
    process::{Folder, cardea, free_port, run},
};

/// What an installation is made of; a story changes what it is about.
#[derive(Debug)]
pub struct Plan {
    files: Vec<(String, String)>,
    config: String,
    redis: Option<String>,
    certificate_minutes: u32,
    environment: Vec<(String, String)>,
}

/// Configuration, resources and state on disk, whether or not a gateway runs on them.
#[derive(Debug, Clone)]
pub struct Installation {
    folder: Arc<Folder>,
    /// The listener for people and programs.
    pub port: u16,
    /// The machines listener.
    pub machines: u16,
    ops: u16,
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

impl Plan {
    /// Two tenants, each with one app in front of the service at `upstream`: what visitors, readers and readers with two
    /// factors may open differs by path.
    pub fn before(upstream: u16) -> Self {
        let mut plan = Self {
            files: Vec::new(),
            config: String::new(),
            redis: None,
            certificate_minutes: 60,
            environment: Vec::new(),
        };
        for tenant in ["acme", "north"] {
            plan = plan
                .file(&format!("tenants/{tenant}/tenant.toml"), &tenant_toml(tenant))
                .file(&format!("tenants/{tenant}/groups/readers.toml"), "id = \"readers\"\nname = \"Readers\"\n")
                .file(
                    &format!("tenants/{tenant}/groups/administrators.toml"),
                    "id = \"administrators\"\nname = \"Administrators\"\n",
                )
                .file(&format!("tenants/{tenant}/apps/echo.toml"), &app_toml(tenant, "echo", upstream, MAPPED))
                .file(&format!("tenants/{tenant}/policies/echo.cedar"), POLICIES);
        }
        plan
    }

    /// Adds a resource file, or replaces it.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Adds an app of Acme's: `extra` are further lines of its file, before its tables.
    #[must_use]
    pub fn app(self, id: &str, upstream: u16, extra: &str) -> Self {
        self.file(&format!("tenants/acme/apps/{id}.toml"), &app_toml("acme", id, upstream, extra)).file(
            &format!("tenants/acme/policies/{id}.cedar"),
            &POLICIES.replace("\"echo\"", &format!("\"{id}\"")).replace("@id(\"", &format!("@id(\"{id}-")),
        )
    }

    /// Adds lines to `cardea.toml`.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self
    }

    /// Shares sessions in this Redis.
    #[must_use]
    pub fn redis(mut self, url: &str) -> Self {
        self.redis = Some(url.to_owned());
        self
    }

    /// How long certificates of services live; they are renewed half-way.
    #[must_use]
    pub fn certificate_minutes(mut self, minutes: u32) -> Self {
        self.certificate_minutes = minutes;
        self
    }

    /// Gives every command of this installation an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes it down, without applying it.
    pub fn write(self) -> anyhow::Result<Installation> {
        let on = Installation {
            folder: Arc::new(Folder::new("gateway")?),
            port: free_port()?,
            machines: free_port()?,
            ops: free_port()?,
            environment: self.environment,
        };
        let redis = self.redis.map_or_else(String::new, |url| format!("[redis]\nurl = \"{url}\"\n"));
        let config = format!(
            "[state]\ndir = \"state\"\n\n[[listeners]]\naddress = \"127.0.0.1:{}\"\nplain = true\n\n\
             [ops]\naddress = \"127.0.0.1:{}\"\n\n\
             [machines]\naddress = \"127.0.0.1:{}\"\ncertificate_minutes = {}\n\n{redis}{}",
            on.port, on.ops, on.machines, self.certificate_minutes, self.config
        );
        std::fs::write(on.path("cardea.toml"), config)?;
        for (path, text) in &self.files {
            on.write(&format!("resources/{path}"), text)?;
        }
        Ok(on)
    }

    /// Writes it down, applies it and starts the gateway.
    pub async fn start(self) -> anyhow::Result<Gateway> {
        let on = self.write()?;
        on.apply().await?;
        on.start().await
    }
}

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
        Ok(Url::parse(&format!("http://{host}.localhost:{}", self.port))?.join(path)?)
    }

    /// A program's request as a visitor, on the wire: `line` is method and target, `headers` have line ends.
    pub async fn ask(&self, host: &str, line: &str, headers: &str) -> anyhow::Result<crate::raw::RawReply> {
        crate::raw::ask(self.port, &format!("{host}.localhost:{}", self.port), line, headers).await
    }

    /// The entries of a tenant's log, oldest first.
    pub async fn log(&self, tenant: &str) -> anyhow::Result<Vec<serde_json::Value>> {
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

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
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

/// What Echo is told of the caller, in headers that services know already.
const MAPPED: &str = "headers = { Remote-User = \"email\", X-Groups = \"groups\" }";

fn tenant_toml(id: &str) -> String {
    format!("id = \"{id}\"\nname = \"{id} Laboratories\"\nsign_in_host = \"{id}.localhost\"\n")
}

fn app_toml(tenant: &str, id: &str, upstream: u16, extra: &str) -> String {
    format!(
        "id = \"{id}\"\nname = \"{id}\"\nhosts = [\"{id}.{tenant}.localhost\"]\n{extra}\n\n\
         [upstream]\nurl = \"http://127.0.0.1:{upstream}\"\nconnect_seconds = 2\nanswer_seconds = 2\n\n\
         [[resources]]\npattern = \"/public/{{*rest}}\"\ntype = \"PublicPage\"\n"
    )
}

/// Visitors read what is public; readers do what they like, but below `/secret` only with two factors.
pub const POLICIES: &str = r#"@id("anybody-reads-what-is-public")
permit (principal, action, resource is PublicPage in App::"echo");

@id("readers-do-all")
permit (principal in Group::"readers", action, resource in App::"echo");

@id("secrets-want-two-factors")
forbid (principal, action, resource in App::"echo")
when { context.path like "/secret*" && context.assurance < 2 };
"#;
