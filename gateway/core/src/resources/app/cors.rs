//! Which pages of other origins may use an app: what `[cors]` declares, and how an origin is compared.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::{METHODS, rewrite};
use crate::{Diagnostic, Diagnostics};

/// What pages of other origins may do with an app (the Fetch standard's CORS protocol). Where it is declared, the gateway
/// answers preflights and sets these headers in the service's stead; where not, the service's own pass untouched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsSpec {
    /// `https://lab.example`, `https://*.lab.example` for every host below it, or `*` alone for any page.
    pub origins: Vec<String>,
    /// Methods that a page may use. `GET`, `HEAD` and `POST`: those that browsers send for any page without asking first.
    #[serde(default = "simple_methods")]
    pub methods: Vec<String>,
    /// Request headers that a page may set, beside those that any page may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Answer headers that a page may read, beside those that any page may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<String>,
    /// Whether a page may act with the person's session. Off: what is read then is what a visitor may read. The session's
    /// cookie goes to hosts of the same site only, whatever is declared here.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub credentials: bool,
    /// Seconds for which a browser remembers a preflight's answer. Ten minutes: long enough for a page's work, short enough
    /// that a change is felt the same day.
    #[serde(default = "max_age")]
    pub max_age: u32,
}

/// One origin, or all that lie below a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginRule {
    /// Any at all.
    Any,
    /// Exactly this one, as browsers write it.
    Exact(String),
    /// Every host below a name.
    Below {
        /// `https://`.
        scheme: String,
        /// `.lab.example`, with the port where one is named.
        suffix: String,
    },
}

impl OriginRule {
    /// Reads `https://lab.example`, `https://*.lab.example:8443` or `*`; else says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text == "null" {
            return Err("sandboxed pages and files of everybody share the origin `null`: it is nobody's");
        }
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme: write `https://host`")?;
        if !["https", "http"].contains(&scheme) {
            return Err("its scheme is neither `https` nor `http`");
        }
        let wide = rest.strip_prefix("*.");
        if wide.unwrap_or(rest).contains('*') {
            return Err("`*` stands for whole labels, and at the beginning only: `https://*.lab.example`");
        }
        let sample = wide.map_or_else(|| text.to_owned(), |below| format!("{scheme}://x.{below}"));
        // What an address's origin is written back as is the only spelling that browsers send.
        let url = Url::parse(&sample).map_err(|_| "it is no origin: write `https://host` or `https://host:port`")?;
        if url.origin().ascii_serialization() != sample {
            return Err("browsers write it otherwise: lower case, no path, no slash at the end, no default port");
        }
        let Some(below) = wide else { return Ok(Self::Exact(sample)) };
        let labels = url.host_str().unwrap_or_default().split('.').count();
        if labels < 3 {
            return Err("it would fit a whole top-level domain: name at least two labels after `*.`");
        }
        Ok(Self::Below { scheme: format!("{scheme}://"), suffix: format!(".{below}") })
    }

    /// Whether `origin`, as a browser sent it, is meant. Compared byte for byte: browsers know one spelling.
    pub fn fits(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(own) => own == origin,
            Self::Below { scheme, suffix } => origin
                .strip_prefix(scheme.as_str())
                .and_then(|rest| rest.strip_suffix(suffix.as_str()))
                .is_some_and(is_labels),
        }
    }
}

/// Labels with dots between them, and nothing by which a host could end early.
fn is_labels(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    })
}

/// A day: browsers cut it shorter anyway.
const LONGEST: u32 = 86_400;

pub(super) fn check(source: &str, cors: &CorsSpec, found: &mut Diagnostics) {
    if cors.origins.is_empty() {
        found.push(
            Diagnostic::new(source, "`[cors]` names no origin")
                .help("add `origins = [\"https://…\"]`, or leave `[cors]` out"),
        );
    }
    let any = cors.origins.iter().any(|origin| origin == "*");
    if any && cors.credentials {
        found.push(
            Diagnostic::new(source, "`[cors]` lets any page act with the person's session")
                .help("name the origins, or leave `credentials` out"),
        );
    }
    if any && cors.origins.len() > 1 {
        found.push(Diagnostic::new(source, "`[cors]` names `*` beside others").help("`*` means all of them: keep one"));
    }
    for origin in &cors.origins {
        check_origin(source, origin, found);
        if cors.credentials && can_be_forged(origin) {
            found.push(
                Diagnostic::new(
                    source,
                    format!("origin `{origin}` is plain HTTP: whoever is on its line speaks for it"),
                )
                .help("use `https`, or leave `credentials` out"),
            );
        }
    }
    for method in &cors.methods {
        if !METHODS.contains(&method.as_str()) {
            found.push(
                Diagnostic::new(source, format!("`{method}` is not a method"))
                    .help(format!("use one of {}", METHODS.join(", "))),
            );
        }
    }
    for name in cors.headers.iter().chain(&cors.exposed) {
        if !rewrite::is_name(name) {
            found.push(
                Diagnostic::new(source, format!("`{name}` is not a header name"))
                    .help("use letters, digits and `-`; each header is named, there is no `*`"),
            );
        }
    }
    if cors.max_age > LONGEST {
        found.push(
            Diagnostic::new(source, format!("max_age is {}, more than a day", cors.max_age))
                .help(format!("write {LONGEST} or less")),
        );
    }
}

/// Origins whose pages may open WebSockets: each is named, since a WebSocket is always opened with the person's cookies.
pub(super) fn check_websocket_origins(source: &str, origins: &[String], found: &mut Diagnostics) {
    for origin in origins {
        check_origin(source, origin, found);
        if origin == "*" {
            found.push(
                Diagnostic::new(source, "`websocket_origins` lets any page act with the person's session")
                    .help("name the origins"),
            );
        } else if can_be_forged(origin) {
            found.push(
                Diagnostic::new(
                    source,
                    format!("origin `{origin}` is plain HTTP: whoever is on its line speaks for it"),
                )
                .help("use `https`"),
            );
        }
    }
}

fn check_origin(source: &str, origin: &str, found: &mut Diagnostics) {
    if let Err(why) = OriginRule::parse(origin) {
        found.push(Diagnostic::new(source, format!("`{origin}` is not an origin")).help(why));
    }
}

/// Plain HTTP of another machine.
fn can_be_forged(origin: &str) -> bool {
    let sample = origin.replace("//*.", "//x.");
    let Ok(url) = Url::parse(&sample) else { return false };
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !here
}

fn simple_methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(str::to_owned).to_vec()
}

fn max_age() -> u32 {
    600
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fits_its_own_origins_and_no_lookalike() {
        for (rule, origin, fits) in [
            ("https://lab.example", "https://lab.example", true),
            ("https://lab.example", "http://lab.example", false),
            ("https://lab.example", "https://lab.example:8443", false),
            ("https://lab.example", "https://lab.example.evil.test", false),
            ("https://lab.example", "https://LAB.example", false),
            ("https://lab.example", "null", false),
            ("https://*.acme.example", "https://data.acme.example", true),
            ("https://*.acme.example", "https://a.b.acme.example", true),
            ("https://*.acme.example", "https://acme.example", false),
            ("https://*.acme.example", "https://.acme.example", false),
            ("https://*.acme.example", "https://evil-acme.example", false),
            ("https://*.acme.example", "https://evilacme.example", false),
            ("https://*.acme.example", "https://data.acme.example:444", false),
            ("https://*.acme.example", "http://data.acme.example", false),
            ("https://*.acme.example", "https://evil.test/.acme.example", false),
            ("https://*.acme.example", "https://evil.test#.acme.example", false),
            ("https://*.acme.example", "https://evil.test\\.acme.example", false),
            ("https://*.acme.example", "https://evil.test?.acme.example", false),
            ("https://*.acme.example", "https://a@evil..acme.example", false),
            ("https://*.acme.example", "https://evil.test:80.acme.example", false),
            ("https://*.acme.example:8443", "https://data.acme.example:8443", true),
            ("https://*.acme.example:8443", "https://data.acme.example", false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("*", "null", true),
        ] {
            let parsed = OriginRule::parse(rule).unwrap_or_else(|why| panic!("{rule}: {why}"));
            assert_eq!(parsed.fits(origin), fits, "{rule} {origin}");
        }
    }

    #[test]
    fn what_no_browser_would_send_is_no_rule() {
        for text in [
            "",
            "null",
            "lab.example",
            "https://",
            "https://lab.example/",
            "https://lab.example:443",
            "http://lab.example:80",
            "https://LAB.example",
            "https://a@lab.example",
            "https://*",
            "https://*.example",
            "https://*.com",
            "https://*.*.a.b",
            "https://a.*.example",
            "https://lab.example/x",
            "ftp://lab.example",
            "https://x.127.0.0.1",
            "https://*.127.0.0.1",
            "file://",
            "https://lab.example?x",
            "https://lab.exämple",
        ] {
            assert!(OriginRule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_declaration_that_would_open_the_session_to_strangers_is_refused() {
        for (rest, amiss) in [
            ("origins = ['https://lab.example']\ncredentials = true", ""),
            ("origins = ['http://lab.localhost:8000']\ncredentials = true", ""),
            ("origins = ['*']", ""),
            ("origins = ['*']\ncredentials = true", "lets any page act with the person's session"),
            ("origins = ['http://lab.example']\ncredentials = true", "whoever is on its line"),
            ("origins = ['http://*.lab.example']\ncredentials = true", "whoever is on its line"),
            ("origins = ['*', 'https://lab.example']", "names `*` beside others"),
            ("origins = []", "names no origin"),
            ("origins = ['null']", "`null` is not an origin"),
            ("origins = ['https://lab.example']\nmethods = ['get']", "`get` is not a method"),
            ("origins = ['https://lab.example']\nheaders = ['*']", "`*` is not a header name"),
            ("origins = ['https://lab.example']\nmax_age = 100000", "more than a day"),
        ] {
            let cors: CorsSpec = toml::from_str(rest).unwrap();
            let mut found = Diagnostics::default();
            check("apps/lab.toml", &cors, &mut found);
            let text = found.to_string();
            assert!(if amiss.is_empty() { text.is_empty() } else { text.contains(amiss) }, "{rest}: {text}");
        }
        let mut found = Diagnostics::default();
        check_websocket_origins("apps/lab.toml", &["*".to_owned(), "http://lab.example".to_owned()], &mut found);
        assert_eq!(found.0.len(), 2);
    }
}
