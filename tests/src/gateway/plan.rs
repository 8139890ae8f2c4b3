//! What an installation is made of: `cardea.toml`, and the resources that are applied.

use std::sync::Arc;

use super::{Gateway, Installation};
use crate::{
    RedisCluster,
    process::{Folder, free_port},
    tls,
};

/// What an installation is made of; a story changes what it is about.
#[derive(Debug)]
pub struct Plan {
    files: Vec<(String, String)>,
    config: String,
    top: String,
    behind: Option<u16>,
    servers: String,
    certificate_minutes: u32,
    environment: Vec<(String, String)>,
    tls: bool,
    asks: bool,
}

impl Plan {
    /// Two tenants, each with one app in front of the service at `upstream`: what visitors, readers and readers with two
    /// factors may open differs by path.
    pub fn before(upstream: u16) -> Self {
        let mut plan = Self {
            files: Vec::new(),
            config: String::new(),
            top: String::new(),
            behind: None,
            servers: String::new(),
            certificate_minutes: 60,
            environment: Vec::new(),
            tls: false,
            asks: false,
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

    /// Says more of how the service of an app of Acme's is reached: `lines` go to its `[upstream]`.
    #[must_use]
    pub fn reached(mut self, id: &str, lines: &str) -> Self {
        let path = format!("tenants/acme/apps/{id}.toml");
        for (_, text) in self.files.iter_mut().filter(|(known, _)| *known == path) {
            *text = text.replace("[upstream]\n", &format!("[upstream]\n{lines}\n"));
        }
        self
    }

    /// Adds a table at the end of the file of an app of Acme's.
    #[must_use]
    pub fn with_table(mut self, id: &str, table: &str) -> Self {
        let path = format!("tenants/acme/apps/{id}.toml");
        for (_, text) in self.files.iter_mut().filter(|(known, _)| *known == path) {
            text.push_str(&format!("\n{table}\n"));
        }
        self
    }

    /// Speaks TLS instead of plain HTTP.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Speaks TLS, and asks clients for certificates of ours.
    #[must_use]
    pub fn asks_for_certificates(mut self) -> Self {
        (self.tls, self.asks) = (true, true);
        self
    }

    /// Adds lines to `cardea.toml`.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self
    }

    /// Puts it behind another proxy of this machine, which people reach at `port`.
    #[must_use]
    pub fn behind(mut self, port: u16) -> Self {
        self.top.push_str(&format!("public_port = {port}\ntrusted_proxies = [\"127.0.0.0/8\"]\n\n"));
        self.behind = Some(port);
        self
    }

    /// Shares sessions in this Redis.
    #[must_use]
    pub fn redis(mut self, url: &str) -> Self {
        self.servers.push_str(&format!("[redis]\nurl = \"{url}\"\n"));
        self
    }

    /// Shares sessions in this Redis Cluster.
    #[must_use]
    pub fn cluster(mut self, cluster: &RedisCluster) -> Self {
        self.servers.push_str(&cluster.config());
        self
    }

    /// Shares sessions in the Redis Cluster of these nodes.
    #[must_use]
    pub fn redis_cluster(mut self, urls: &[&str]) -> Self {
        self.servers.push_str(&format!("[redis]\ncluster = {urls:?}\n"));
        self
    }

    /// Keeps durable state in this PostgreSQL database.
    #[must_use]
    pub fn postgres(mut self, url: &str) -> Self {
        self.servers.push_str(&format!("[postgres]\nurl = \"{url}\"\n"));
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
        let port = free_port()?;
        let on = Installation {
            folder: Arc::new(Folder::new("gateway")?),
            port,
            public: self.behind.unwrap_or(port),
            secured: self.tls,
            machines: free_port()?,
            ops: free_port()?,
            environment: self.environment,
        };
        let asks = if self.asks { "client_certificates = true\n" } else { "" };
        let listener = listener(&on, asks)?;
        let config = format!(
            "{}[state]\ndir = \"state\"\n\n{listener}[ops]\naddress = \"127.0.0.1:{}\"\n\n\
             [machines]\naddress = \"127.0.0.1:{}\"\ncertificate_minutes = {}\n\n{}{}",
            self.top, on.ops, on.machines, self.certificate_minutes, self.servers, self.config
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

/// The listener for people and programs; over TLS with certificates of the tests' own authority.
fn listener(on: &Installation, more: &str) -> anyhow::Result<String> {
    let address = format!("[[listeners]]\naddress = \"127.0.0.1:{}\"\n{more}", on.port);
    if !on.secured {
        return Ok(address + "plain = true\n\n");
    }
    let authority = tls::authority()?;
    let (chain, key) =
        authority.issue(&["acme.localhost", "*.acme.localhost", "north.localhost", "*.north.localhost"])?;
    for (file, text) in [("tls/chain.pem", &chain), ("tls/key.pem", &key), ("tls/roots.pem", &authority.pem)] {
        on.write(file, text)?;
    }
    Ok(address + "tls = { certificate = \"tls/chain.pem\", key = \"tls/key.pem\" }\n\n")
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
