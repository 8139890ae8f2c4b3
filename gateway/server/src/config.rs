//! `cardea.toml`: what the process needs before it knows any tenant. Read whole, checked whole, and every mistake told
//! with its place and the way out. What tenants need are resources, and live in the store.

mod certificates;
mod change;
mod check;
mod files;
mod http3;
mod in_force;
mod kept;
mod limits;
mod mail;
mod servers;
mod shape;
mod stamp;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cardea_core::{Diagnostic, Diagnostics, Secret, Timestamp, resources::SecretRef};
use cardea_proxy::observe::Observers;
use cardea_storage::RedisAt;
use ipnet::IpNet;
use zeroize::Zeroizing;

pub use certificates::Certificate;
pub use change::{KeyChange, keys_between, same_doors};
pub use in_force::{Held, InForce};
pub use kept::Kept;
pub(crate) use mail::roots as mail_roots;
pub use mail::{MailConfig, Post, Protection};
pub(crate) use stamp::Stamp;

/// The configuration of one gateway, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, as people named it; `(built in)` for the demonstration.
    pub source: String,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// Where everything that the gateway keeps lies.
    pub state_dir: PathBuf,
    /// Where sessions are, with all else that lives shortly, where no server is named that shares them.
    pub sessions: SessionsIn,
    /// Where the passphrase of the operator's key is; a person is asked, or systemd, where absent.
    pub passphrase: Option<SecretRef>,
    /// Where browsers and programs connect.
    pub listeners: Vec<ListenerConfig>,
    /// Health, readiness and metrics. Loopback unless told otherwise: metrics name tenants and apps.
    pub ops: SocketAddr,
    /// Where services enrol and renew certificates; absent where no service has a certificate of ours.
    pub machines: Option<SocketAddr>,
    /// Where proxies ask over gRPC about the requests that they carry; absent where none does.
    pub ext_authz: Option<ExtAuthz>,
    /// How long certificates of services, and of the gateway towards them, live; they are renewed half-way.
    pub certificate_life: Duration,
    /// The port that URLs show.
    pub public_port: u16,
    /// Whether people reach us over TLS; all listeners agree on it, and a proxy before them may speak it for all.
    pub public_tls: bool,
    /// The name under which SPIFFE trust domains of the tenants stand.
    pub trust_domain: String,
    /// Where durable state is kept, for several gateways; in the state folder where absent.
    pub postgres: Option<Secret<String>>,
    /// Where sessions are shared between gateways; beside the durable state where absent.
    pub redis: Option<RedisAt>,
    /// Where letters to people go; none are written where absent.
    pub mail: Option<MailConfig>,
    /// Proxies in front of us whose word about the client is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header by which they tell it.
    pub forwarded: cardea_proxy::ForwardedBy,
    /// How much at once.
    pub limits: Limits,
    /// How the gateway tells what it does.
    pub log: LogConfig,
    /// One line for each request, if wanted.
    pub access_log: Option<AccessLogConfig>,
    /// Spans of requests, sent to a collector, if wanted.
    pub traces: Option<TracesConfig>,
    /// Whether certificate files that were replaced are taken up by themselves.
    pub watch_certificates: bool,
    /// The text that it was read from.
    pub text: Arc<str>,
    /// A folder of resources that `check` reads when none is named.
    pub resources: Option<PathBuf>,
}

/// Where a gateway by itself has its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionsIn {
    /// In its database: a restart ends nobody's.
    #[default]
    Disk,
    /// In the memory of the process: everybody signs in again after each start.
    Memory,
}

/// Where proxies ask over gRPC, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtAuthz {
    /// The address.
    pub address: SocketAddr,
    /// The SPIFFE IDs of those who may ask, over mTLS; none where it is plain, on loopback.
    pub callers: Vec<String>,
}

/// One address that is listened on.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// The address.
    pub address: SocketAddr,
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Whether each connection is a listed proxy's, and begins with the client's address (PROXY protocol, version 2).
    pub proxy_protocol: bool,
    /// Whether HTTP/3 is spoken beside it, over UDP at the same address; only where it is TLS.
    pub http3: bool,
    /// Whether clients are asked for a certificate of ours, to which tokens may be bound (RFC 8705); only where it is TLS, and of no use
    /// to who has none.
    pub client_certificates: bool,
}

impl ListenerConfig {
    /// Its certificates; none where it is plain.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        match &self.scheme {
            Scheme::Plain => &[],
            Scheme::Tls(all) => all,
        }
    }
}

/// How a listener speaks.
#[derive(Debug, Clone)]
pub enum Scheme {
    /// Plain HTTP, on loopback only.
    Plain,
    /// TLS with the first of these whose names fit the client's SNI, else the first of all.
    Tls(Vec<Arc<Certificate>>),
}

/// Bounds: each keeps memory flat when callers are many or unfriendly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions held in memory. A hundred thousand take some 60 to 200 MB when all are in use, by how much
    /// their people ask.
    pub sessions_cached: u64,
    /// Bytes of a body that our own pages and API read. 1 MiB: the largest is a set of policies.
    pub own_body_bytes: usize,
    /// Time in which the gateway still serves when it is told to stop, and says that it is not ready. None for one that keeps its
    /// state in its own file: nobody else could take its work. Five seconds where several may share a database: a balancer that looks every
    /// two seconds, and believes the second no, has taken it out by then.
    pub leave: Duration,
    /// Time that open requests have to end after that, when the gateway is told to stop. Thirty seconds: what most supervisors wait.
    pub drain: Duration,
    /// Those of connections and requests; its port is the whole configuration's.
    pub edge: cardea_proxy::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_cached: 100_000,
            own_body_bytes: 1024 * 1024,
            leave: Duration::ZERO,
            drain: Duration::from_secs(30),
            edge: cardea_proxy::Limits::default(),
        }
    }
}

/// How the gateway tells what it does, on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// One line a message for people, or one JSON object for collectors.
    pub format: LogFormat,
    /// A level (`info`) or directives (`info,cardea_proxy=debug`).
    pub level: String,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors.
    Json,
}

/// One line for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogConfig {
    /// How a line looks.
    pub form: AccessLogForm,
    /// Where lines go; to standard output where absent.
    pub file: Option<PathBuf>,
}

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogForm {
    /// An object with everything that is told.
    Json,
    /// As web servers write it: the NCSA common format.
    Common,
    /// The same with referrer and user agent.
    Combined,
}

/// Where spans of requests go.
#[derive(Debug, Clone, PartialEq)]
pub struct TracesConfig {
    /// The collector; spans are posted to `/v1/traces` below it.
    pub endpoint: url::Url,
    /// The share of requests that is told of, unless a listed proxy has decided.
    pub sample: f64,
    /// Roots that the collector's certificate is checked by; the system's where absent.
    pub ca_file: Option<PathBuf>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl Config {
    /// Reads and checks the file at `path`.
    pub fn read(path: &Path, now: Timestamp) -> Result<Self, Diagnostics> {
        let source = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Diagnostic::new(&source, format!("the configuration cannot be read: {error}"))
                .help("name it with `--config FILE` or `CARDEA_CONFIG`; `cardea.example.toml` shows one")
        })?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::parse(&source, &text, folder, now)
    }

    /// The folder of resources that the file at `path` names, whatever else is wrong with it.
    pub fn resources_named(path: &Path) -> Option<PathBuf> {
        let table: toml::Table = std::fs::read_to_string(path).ok()?.parse().ok()?;
        Some(path.parent()?.join(table.get("resources")?.as_str()?))
    }

    /// Checks a text as if it were the file `source` in `folder`.
    pub fn parse(source: &str, text: &str, folder: &Path, now: Timestamp) -> Result<Self, Diagnostics> {
        let shape = shape::read(source, text)?;
        check::Check::new(source, text, (folder, &files::Disk), now).config(shape)
    }

    /// The same where no file is, and none is looked for.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn parse_nowhere(source: &str, text: &str, now: Timestamp) -> Result<Self, Diagnostics> {
        let shape = shape::read(source, text)?;
        check::Check::new(source, text, (Path::new("/nowhere"), &files::Nowhere), now).config(shape)
    }

    /// Whether people reach us over TLS.
    pub fn is_tls(&self) -> bool {
        self.public_tls
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }

    /// The origin of a host of ours as browsers see it: no port where it is the scheme's own.
    pub fn origin(&self, host: &str) -> String {
        match (self.is_tls(), self.public_port) {
            (true, 443) | (false, 80) => format!("{}://{host}", self.scheme()),
            (_, port) => format!("{}://{host}:{port}", self.scheme()),
        }
    }

    /// What the data plane needs of it.
    pub fn settings(&self) -> cardea_proxy::Settings {
        let limits = cardea_proxy::Limits { public_port: Some(self.public_port), ..self.limits.edge.clone() };
        let ready = |all: &[Arc<Certificate>]| all.iter().map(|one| Arc::clone(&one.ready)).collect();
        cardea_proxy::Settings {
            limits,
            trusted_proxies: self.trusted_proxies.clone(),
            forwarded: self.forwarded,
            certificates: self.listeners.iter().map(|listener| ready(listener.certificates())).collect(),
            // Opened by whoever puts it in force.
            observers: Observers::default(),
        }
    }

    /// The database file, where durable state is kept in one.
    pub fn database(&self) -> PathBuf {
        self.state_dir.join("cardea.db")
    }

    /// The operator's key, under which secrets at rest are sealed.
    pub fn operator_key(&self) -> PathBuf {
        self.state_dir.join("operator.key")
    }

    /// Reads a secret that a resource or this file refers to; the error names the place, never the value.
    pub fn secret(&self, at: &SecretRef) -> Result<Secret<String>, String> {
        read_secret(&self.folder, at)
    }
}

/// Reads what a reference points to, without trailing line ends.
pub(crate) fn read_secret(folder: &Path, at: &SecretRef) -> Result<Secret<String>, String> {
    let text = Zeroizing::new(match at {
        SecretRef::File(path) => {
            let path = folder.join(path);
            std::fs::read_to_string(&path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?
        }
        SecretRef::Env(name) => std::env::var(name).map_err(|_| format!("the environment has no `{name}`"))?,
    });
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests;
