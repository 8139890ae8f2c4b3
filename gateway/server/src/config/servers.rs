//! The servers that the configuration names: PostgreSQL, and Redis or a cluster of it.

use std::net::IpAddr;

use cardea_core::{Secret, resources::SecretRef};
use cardea_storage::RedisAt;
use toml::Spanned;

use super::{
    SessionsIn,
    check::Check,
    shape::{File, RedisTable, ServerTable, UrlOrRef, UrlsOrRef},
};

/// A kind of server that a URL may name.
struct Server {
    name: &'static str,
    /// By which key it is named.
    key: &'static str,
    /// A file that such a URL may be kept in.
    secret: &'static str,
    schemes: [&'static str; 2],
    /// What such URLs look like.
    such: &'static str,
    /// What else is wrong with one.
    amiss: fn(&str) -> Option<String>,
}

/// Parameters of PostgreSQL URLs that are heeded. The driver passes over others with a line in the log that tells their values, and
/// takes a password that stands there.
const HEEDED: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name"];

/// INVARIANT: over a network the server has shown who it is. What the driver does by itself takes any certificate, or none.
fn amiss_of_postgres(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    if let Some((name, _)) = url.query_pairs().find(|(name, _)| !HEEDED.contains(&&**name)) {
        return Some(format!("`{name}` is no parameter of such a URL, or is not said there"));
    }
    // Without a name it is a socket, unless the driver takes a name from the environment.
    let nameless = ["PGHOST", "PGHOSTADDR"].iter().all(|name| std::env::var_os(name).is_none());
    let here = match url.host() {
        None => nameless,
        Some(url::Host::Domain("")) => nameless,
        // Of such a scheme an address is no more than a name, and a folder with a socket is one with its slashes encoded.
        Some(url::Host::Domain(name)) => {
            let socket = name.get(..3).is_some_and(|begins| begins.eq_ignore_ascii_case("%2f"));
            socket || name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
    };
    // Of several the driver heeds the last.
    let verified = url.query_pairs().filter(|(name, _)| name == "sslmode").last();
    let verified = verified.is_some_and(|(_, value)| value == "verify-full");
    (!here && !verified).then(|| "the server's certificate is not verified, and it is not on this machine".to_owned())
}

const POSTGRES: Server = Server {
    name: "PostgreSQL",
    key: "url",
    secret: "postgres.url",
    schemes: ["postgres", "postgresql"],
    such: "`postgres://cardea@host:5432/cardea`, with `?sslmode=verify-full` over a network",
    amiss: amiss_of_postgres,
};

const REDIS: Server = Server {
    name: "Redis",
    key: "url",
    secret: "redis.url",
    schemes: ["redis", "rediss"],
    such: "`redis://host:6379` or `rediss://…`",
    amiss: |_| None,
};

/// A node of a cluster of it.
const NODE: Server = Server {
    key: "cluster",
    secret: "redis.cluster",
    such: "`cluster = [\"redis://a:6379\", \"redis://b:6379\"]`, or a file with such URLs, one a line",
    amiss: amiss_of_node,
    ..REDIS
};

/// A cluster has but one database.
fn amiss_of_node(url: &str) -> Option<String> {
    let path = url::Url::parse(url).ok()?.path().to_owned();
    (!matches!(path.as_str(), "" | "/" | "/0"))
        .then(|| format!("a cluster has no database `{}`", path.trim_start_matches('/')))
}

impl Check<'_> {
    pub(super) fn postgres(&mut self, table: &ServerTable) -> Option<Secret<String>> {
        self.server(&table.url, &POSTGRES)
    }

    /// Where sessions are: not in the memory of each of several.
    pub(super) fn sessions(&mut self, file: &File) -> SessionsIn {
        let Some(sessions) = &file.state.sessions else { return SessionsIn::Disk };
        let tables = [("[postgres]", file.postgres.is_some()), ("[redis]", file.redis.is_some())];
        if *sessions.get_ref() == SessionsIn::Memory {
            for (table, _) in tables.iter().filter(|(_, is_named)| *is_named) {
                let message =
                    format!("sessions in memory and `{table}`: several gateways would each know their own only");
                self.wrong(sessions, message, &format!("remove `sessions`, or `{table}` where one gateway is alone"));
            }
        }
        *sessions.get_ref()
    }

    pub(super) fn redis(&mut self, table: &Spanned<RedisTable>) -> Option<RedisAt> {
        let RedisTable { url, cluster } = table.get_ref();
        match (url, cluster) {
            (Some(url), None) => self.server(url, &REDIS).map(RedisAt::One),
            (None, Some(urls)) => self.cluster(urls).map(RedisAt::Cluster),
            (Some(_), Some(urls)) => {
                self.wrong(
                    urls,
                    "Redis is named both by `url` and by `cluster`",
                    "keep one: `url` for one server, `cluster` for a cluster",
                );
                None
            }
            (None, None) => {
                let help =
                    "write `url = \"redis://host:6379\"`, or `cluster = [\"redis://…\"]` with some nodes of a cluster";
                self.wrong(table, "it is not said where Redis is", help);
                None
            }
        }
    }

    /// Some nodes of a cluster.
    fn cluster(&mut self, urls: &Spanned<UrlsOrRef>) -> Option<Vec<Secret<String>>> {
        let found: Option<Vec<_>> = match urls.get_ref() {
            UrlsOrRef::Urls(all) => all.iter().map(|url| self.open_url(url, url.get_ref(), &NODE)).collect(),
            UrlsOrRef::Ref(at) => {
                let text = self.referred(urls, at)?;
                let all = text.expose().split_ascii_whitespace();
                all.map(|url| self.fits(urls, Secret::new(url.to_owned()), &NODE)).collect()
            }
        };
        let found = found?;
        if found.is_empty() {
            self.wrong(urls, "no node of the Redis cluster is named", &format!("write {}", NODE.such));
            return None;
        }
        Some(found)
    }

    fn server(&mut self, url: &Spanned<UrlOrRef>, kind: &Server) -> Option<Secret<String>> {
        match url.get_ref() {
            UrlOrRef::Url(text) => self.open_url(url, text, kind),
            UrlOrRef::Ref(at) => {
                let secret = self.referred(url, at)?;
                self.fits(url, secret, kind)
            }
        }
    }

    /// A URL that stands in the file.
    fn open_url<T>(&mut self, at: &Spanned<T>, text: &str, kind: &Server) -> Option<Secret<String>> {
        if url::Url::parse(text).is_ok_and(|url| url.password().is_some()) {
            let Server { name, key, secret, .. } = kind;
            let help =
                format!("keep it in a file and write `{key} = {{ file = \"{secret}\" }}`, or use `{{ env = \"…\" }}`");
            self.wrong(at, format!("the {name} URL holds a password"), &help);
            return None;
        }
        self.fits(at, Secret::new(text.to_owned()), kind)
    }

    fn referred<T>(&mut self, at: &Spanned<T>, to: &SecretRef) -> Option<Secret<String>> {
        let read = self.files.secret(self.folder, to);
        read.map_err(|message| self.wrong(at, message, "name a readable file or a variable that is set")).ok()
    }

    fn fits<T>(&mut self, at: &Spanned<T>, url: Secret<String>, kind: &Server) -> Option<Secret<String>> {
        let help = format!("write {}", kind.such);
        if !url::Url::parse(url.expose()).is_ok_and(|url| kind.schemes.contains(&url.scheme())) {
            self.wrong(at, format!("this is no URL of a {} server", kind.name), &help);
        } else if let Some(message) = (kind.amiss)(url.expose()) {
            self.wrong(at, message, &help);
        }
        Some(url)
    }
}
