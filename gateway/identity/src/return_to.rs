//! Where a sign-in may end: an address at one of the tenant's own hosts, and nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// An address at one of the tenant's hosts. INVARIANT: made by [`Origins::check`] or [`Origins::home`] only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnTo {
    origin: String,
    host: String,
    path: String,
}

/// The origins at which a tenant's hosts answer: one scheme and port for all.
#[derive(Debug, Clone, Copy)]
pub struct Origins<'a> {
    /// `https`, or `http` on a loopback listener.
    pub scheme: &'a str,
    /// The port that stands in addresses.
    pub port: u16,
}

/// The address is none that this tenant's sign-in may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address to return to is none of the tenant's")]
pub struct Foreign;

/// Longest address that is carried through a sign-in. Two KiB: what every browser and proxy takes.
const LONGEST: usize = 2048;

impl Origins<'_> {
    /// The origin of `host`: the default port is left out, as browsers do.
    pub fn of(&self, host: &str) -> String {
        let default = matches!((self.scheme, self.port), ("https", 443) | ("http", 80));
        if default { format!("{}://{host}", self.scheme) } else { format!("{}://{host}:{}", self.scheme, self.port) }
    }

    /// The start page of `host`, which must be one of the tenant's.
    pub fn home(&self, host: &str) -> ReturnTo {
        ReturnTo { origin: self.of(host), host: host.to_owned(), path: "/".to_owned() }
    }

    /// Accepts `text` if it is an absolute address at a host that `is_ours`, spelt as browsers spell it. Everything
    /// that some parser reads otherwise is refused before ours reads it.
    pub fn check(&self, text: &str, is_ours: impl Fn(&str) -> bool) -> Result<ReturnTo, Foreign> {
        let odd = |b: u8| !(0x21..=0x7e).contains(&b) || b == b'\\' || b == b'"' || b == b'<' || b == b'>';
        if text.len() > LONGEST || text.bytes().any(odd) {
            return Err(Foreign);
        }
        let url = Url::parse(text).map_err(|_| Foreign)?;
        let host = url.host_str().ok_or(Foreign)?;
        if url.scheme() != self.scheme || url.port_or_known_default() != Some(self.port) || !is_ours(host) {
            return Err(Foreign);
        }
        // The text itself must begin with the origin as we write it: so there is no userinfo, no other spelling of the
        // host, and no room for a second reading.
        let origin = self.of(host);
        let rest = text.strip_prefix(&origin).ok_or(Foreign)?;
        if !(rest.is_empty() || rest.starts_with(['/', '?'])) || rest.starts_with("//") {
            return Err(Foreign);
        }
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        // Once dots are resolved, too: `/..//elsewhere` begins with one slash only until then.
        if path.starts_with("//") {
            return Err(Foreign);
        }
        Ok(ReturnTo { host: host.to_owned(), origin, path: path.to_owned() })
    }
}

impl ReturnTo {
    /// The host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The origin: scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The path with its query; starts with `/`, never with `//`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// Accepts the path that a hand-over brings to an app host: it stays on that host, whatever a browser makes of it.
pub fn local_path(text: &str) -> Result<&str, Foreign> {
    let odd = |b: u8| !(0x21..=0x7e).contains(&b) || b == b'\\';
    let fine = text.len() <= LONGEST && text.starts_with('/') && !text.starts_with("//") && !text.bytes().any(odd);
    if fine { Ok(text) } else { Err(Foreign) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Origins<'_> = Origins { scheme: "https", port: 8443 };

    fn ours(host: &str) -> bool {
        ["records.north.example", "id.north.example"].contains(&host)
    }

    #[test]
    fn an_address_of_the_tenant_is_kept_as_it_was() {
        for good in [
            "https://records.north.example:8443/",
            "https://records.north.example:8443/studies/S-1?page=2&q=a%20b",
            "https://id.north.example:8443/?x=https://evil.example/",
            "https://records.north.example:8443/a//b",
        ] {
            assert_eq!(HERE.check(good, ours).unwrap().to_string(), good);
        }
        let bare = HERE.check("https://records.north.example:8443", ours).unwrap();
        assert_eq!((bare.path(), bare.host()), ("/", "records.north.example"));
        let default = Origins { scheme: "https", port: 443 };
        assert!(default.check("https://id.north.example/x", ours).is_ok());
        assert_eq!(default.of("id.north.example"), "https://id.north.example");
    }

    /// oauth2-proxy GHSA-j7px-6hwj-hpjg, -5m6c-jp6f-2vcv, -4mf2-f3wh-gvf2, -qqxw-m5fj-f7gv, and their cousins.
    #[test]
    fn no_spelling_leads_elsewhere() {
        for bad in [
            "",
            "/",
            "/studies",
            "//evil.example/",
            "/\\evil.example",
            "/%5cevil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "https:\\\\evil.example",
            "https://evil.example/",
            "https://records.north.example:8443/..//evil.example",
            "https://records.north.example:8443/x/..//evil.example",
            "https://records.north.example:8443/%2e%2e//evil.example",
            "https://evil.example:8443/",
            "https://records.north.example/",
            "https://records.north.example:443/",
            "http://records.north.example:8443/",
            "https://records.north.example:8443@evil.example/",
            "https://records.north.example:8443\\@evil.example/",
            "https://user@records.north.example:8443/",
            "https://:@records.north.example:8443/",
            "https://evil.example#records.north.example:8443/",
            "https://evil.example?records.north.example:8443/",
            "https://records.north.example:8443.evil.example/",
            "https://records.north.example.evil.example:8443/",
            "https://evilrecords.north.example:8443/",
            "https://xrecords.north.example:8443/",
            "https://records.north.example.:8443/",
            "https://RECORDS.north.example:8443/",
            "HTTPS://records.north.example:8443/",
            "https://records.north.example:8443//evil.example/",
            "https://records.north.example:08443/",
            "https://records.north.example:8443\t/",
            "https://records.north.example:8443/\r\nset-cookie:a=b",
            " https://records.north.example:8443/",
            "https://records.north.example:8443/ ",
            "https://records.north.example:8443/\u{2028}",
            "https://rec\u{ad}ords.north.example:8443/",
            "https://ｒecords.north.example:8443/",
            "https://records%2enorth.example:8443/",
            "https://records.north.example:8443#@evil.example/",
            "javascript:alert(1)//https://records.north.example:8443/",
            "data:text/html,x",
            "https://[::1]:8443/",
            "https://127.0.0.1:8443/",
            "https://records.north.example:8443/\"><script>",
        ] {
            assert_eq!(HERE.check(bad, ours), Err(Foreign), "{bad:?} was taken");
        }
        let long = format!("https://id.north.example:8443/{}", "a".repeat(LONGEST));
        assert_eq!(HERE.check(&long, ours), Err(Foreign));
    }

    #[test]
    fn a_local_path_stays_local() {
        assert_eq!(local_path("/studies?x=//y"), Ok("/studies?x=//y"));
        for bad in
            ["", "x", "//evil.example", "/\\evil.example", "\\/evil", "/\tevil", "/\r\n", "https://evil.example", "/é"]
        {
            assert_eq!(local_path(bad), Err(Foreign), "{bad:?}");
        }
    }
}
