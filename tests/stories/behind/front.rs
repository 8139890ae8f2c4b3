//! A foreign proxy with its snippet, the gateway that it asks, and the service that it carries.

use std::{path::Path, process::Command};

use anyhow::{Context, ensure};
use cardea_tests::{Client, Gateway, Plan, Process, Upstream, free_port, process::Folder};
use url::Url;

/// A proxy that runs one of our snippets; it ends with the story.
pub(crate) struct Front {
    /// The snippet's file, below `gateway/deploy/`.
    pub(crate) snippet: &'static str,
    /// What the app's file says of the proxy that carries it.
    pub(crate) app: &'static str,
    /// Makes a whole configuration of the snippet, names what is run, and lays further files beside it.
    pub(crate) command: fn(&Path, &str, u16) -> anyhow::Result<Command>,
    /// How the snippet listens, before and after the port is known.
    pub(crate) listens: (&'static str, fn(u16) -> String),
}

/// Everything that a story needs.
pub(crate) struct World {
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
    pub(crate) port: u16,
    /// Where Envoy asks.
    pub(crate) ext_authz: u16,
    /// Kept as long as the story.
    pub(crate) running: (Folder, Process),
}

/// A snippet as it is handed out.
pub(crate) fn snippet(name: &str) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/deploy").join(name);
    std::fs::read_to_string(&path).with_context(|| format!("no snippet `{}`", path.display()))
}

/// A program that Debian puts where only administrators look.
pub(crate) fn program(name: &str) -> Command {
    let beside = Path::new("/usr/sbin").join(name);
    if beside.exists() { Command::new(beside) } else { Command::new(name) }
}

impl Front {
    /// Starts all of it.
    pub(crate) async fn start(&self) -> anyhow::Result<World> {
        self.start_with(|plan| plan).await
    }

    /// The same, with something special about the gateway.
    pub(crate) async fn start_with(&self, special: impl FnOnce(Plan) -> Plan) -> anyhow::Result<World> {
        let (upstream, port, ext_authz) = (Upstream::start().await?, free_port()?, free_port()?);
        let app = format!(
            "id = \"echo\"\nname = \"echo\"\nhosts = [\"echo.acme.localhost\"]\n\
             headers = {{ Remote-User = \"email\", X-Groups = \"groups\", X-Auth-Request-Email = \"email\" }}\n\n{}\n\n\
             [[resources]]\npattern = \"/public/{{*rest}}\"\ntype = \"PublicPage\"\n",
            self.app.replace("SERVICE", &format!("127.0.0.1:{}", upstream.port))
        );
        let plan = Plan::before(upstream.port).behind(port).file("tenants/acme/apps/echo.toml", &app);
        let plan = if self.snippet.starts_with("envoy") {
            plan.config(&format!("[ext_authz]\naddress = \"127.0.0.1:{ext_authz}\"\n"))
        } else {
            plan
        };
        let gateway = special(plan).start().await?;
        let (stands, listens) = self.listens;
        let mut text = snippet(self.snippet)?;
        for (name, value) in [
            (stands, listens(port)),
            ("Host records.acme.example;", format!("Host echo.acme.localhost:{port};")),
            ("Host id.acme.example;", format!("Host acme.localhost:{port};")),
            ("records.acme.example", "echo.acme.localhost".to_owned()),
            ("id.acme.example", "acme.localhost".to_owned()),
            ("127.0.0.1:8080", format!("127.0.0.1:{}", gateway.on.port)),
            ("127.0.0.1:3000", format!("127.0.0.1:{}", upstream.port)),
            ("port_value: 8080", format!("port_value: {}", gateway.on.port)),
            ("port_value: 9191", format!("port_value: {ext_authz}")),
            ("port_value: 3000", format!("port_value: {}", upstream.port)),
        ] {
            text = text.replace(name, &value);
        }
        let folder = Folder::new("front")?;
        let log = folder.path().join("log");
        let mut proxy = Process::start((self.command)(folder.path(), &text, port)?, &log)?;
        let answers = async || Client::program().get(&at(port)).await.is_ok();
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        proxy.until(answers).await.with_context(|| format!("the proxy does not answer:\n{}", told()))?;
        Ok(World { upstream, gateway, port, ext_authz, running: (folder, proxy) })
    }
}

#[allow(clippy::unwrap_used, reason = "a constant")]
fn at(port: u16) -> Url {
    Url::parse(&format!("http://echo.acme.localhost:{port}/.cardea/session")).unwrap()
}

impl World {
    /// An address of the app, as people write it.
    pub(crate) fn app(&self, path: &str) -> anyhow::Result<Url> {
        self.gateway.at("echo.acme", path)
    }

    /// The last request that the service heard was for `line`; nobody but Cardea said who asks.
    pub(crate) fn heard(&self, line: &str, who: Option<&str>) -> anyhow::Result<()> {
        let heard = self.upstream.last();
        ensure!(heard.line() == line, "the service heard `{}` and not `{line}`", heard.line());
        let told = heard.header("remote-user").filter(|value| !value.is_empty());
        ensure!(told == who, "the service was told of {told:?} and not of {who:?}: {}", heard.head);
        let asserted = heard.header("cardea-assertion").filter(|value| !value.is_empty());
        ensure!(asserted.is_some_and(|jwt| jwt.split('.').count() == 3) == who.is_some(), "{}", heard.head);
        for odd in ["eve", "forged", "overlords", "cardea="] {
            ensure!(!heard.head.contains(odd), "`{odd}` came through: {}", heard.head);
        }
        Ok(())
    }

    /// A request on the wire, as a visitor or with further headers, through the proxy.
    pub(crate) async fn raw(&self, line: &str, headers: &str) -> anyhow::Result<cardea_tests::raw::RawReply> {
        cardea_tests::raw::ask(self.port, &format!("echo.acme.localhost:{}", self.port), line, headers).await
    }
}
