//! Moving an app's paths and changing its headers, by its `[rewrite]`.
//!
//! INVARIANT: what was decided is what is sent. A path is moved after the decision, by a bijection between two prefixes of
//! whole segments: `/lab/x` is `/x` at the service and nothing else is, so no address reaches another's meaning. The rest of
//! the path is taken over as it was encoded from the decided segments; nothing can be joined in it that was refused there.
//!
//! Back goes what a service writes of its own addresses: `Location`, `Content-Location` and the `Path` of cookies. Left as
//! they are: relative references (a browser resolves them where it sees the page), addresses outside of the prefix, paths
//! with `.`, `..` or `//` in them, other hosts, `__Host-` cookies, and whatever stands in bodies.

use cardea_core::{
    Diagnostic, Reason,
    resources::{HeaderRewrite, RewriteSpec},
};
use http::{HeaderMap, HeaderName, HeaderValue, header, uri::PathAndQuery};

use crate::{
    Canonical,
    headers::{fold, outbound::authority},
};

/// An app's rewriting, compiled.
#[derive(Debug)]
pub(crate) struct Rewrite {
    /// The prefix that clients see, and the one that the service sees; either may be empty, and both are where none is moved.
    client: String,
    service: String,
    request: Changes,
    answer: Changes,
}

#[derive(Debug, Default)]
struct Changes {
    set: Vec<(HeaderName, HeaderValue)>,
    /// Names that are set or removed, as services compare them.
    dropped: Vec<String>,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// To this target at the service.
    To(PathAndQuery),
    /// Nowhere: the client's prefix alone is no path of the service, and goes on to the one with a slash.
    Onward(PathAndQuery),
}

impl Rewrite {
    /// Compiles what was checked; what is wrong with it is named again.
    pub(crate) fn new(source: &str, spec: &RewriteSpec) -> Result<Self, Diagnostic> {
        Ok(Self {
            client: spec.strip_prefix.clone().unwrap_or_default(),
            service: spec.add_prefix.clone().unwrap_or_default(),
            request: Changes::new(source, &spec.request)?,
            answer: Changes::new(source, &spec.response)?,
        })
    }

    /// The target at the service. What does not lie below the client's prefix is no address of it.
    pub(crate) fn target(&self, target: &PathAndQuery) -> Result<Moved, Reason> {
        if !self.moves() {
            return Ok(Moved::To(target.clone()));
        }
        let (path, query) = (target.path(), target.query());
        let rest = below(path, &self.client).ok_or(Reason::NotFound)?;
        let written = |prefix: &str, rest: &str| {
            let mark = if query.is_some() { "?" } else { "" };
            PathAndQuery::try_from(format!("{prefix}{rest}{mark}{}", query.unwrap_or_default()))
                .map_err(|_| Reason::AmbiguousPath)
        };
        if self.service.is_empty() && rest.is_empty() {
            return written(&self.client, "/").map(Moved::Onward);
        }
        written(&self.service, rest).map(Moved::To)
    }

    /// Changes a request's headers, before ours are set: none of ours can be meant.
    pub(crate) fn request(&self, headers: &mut HeaderMap) {
        self.request.make(headers);
    }

    /// Changes an answer's headers, and maps what it says of its own addresses back.
    pub(crate) fn answer(&self, canonical: &Canonical, headers: &mut HeaderMap) {
        if self.moves() {
            for name in [header::LOCATION, header::CONTENT_LOCATION] {
                if let Some(value) = headers.get(&name).and_then(|value| self.address(canonical, value.to_str().ok()?))
                {
                    headers.insert(name, value);
                }
            }
            self.cookies(headers);
        }
        self.answer.make(headers);
    }

    fn moves(&self) -> bool {
        !(self.client.is_empty() && self.service.is_empty())
    }

    /// An address of the service as clients see it, where it is one that is moved: a path, or an address at this very host.
    fn address(&self, canonical: &Canonical, written: &str) -> Option<HeaderValue> {
        let at = if written.starts_with('/') && !written.starts_with("//") {
            0
        } else {
            let (scheme, rest) = written.split_once("//")?;
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let same = rest.get(..end)?.eq_ignore_ascii_case(&authority(canonical));
            if !same || !["", "http:", "https:"].contains(&scheme.to_ascii_lowercase().as_str()) {
                return None;
            }
            scheme.len() + 2 + end
        };
        let (before, reference) = written.split_at_checked(at)?;
        let end = reference.find(['?', '#']).unwrap_or(reference.len());
        let (path, after) = reference.split_at_checked(end)?;
        let mapped = self.back(if path.is_empty() { "/" } else { path })?;
        HeaderValue::try_from(format!("{before}{mapped}{after}")).ok()
    }

    /// A path of the service as clients see it. INVARIANT: what comes of it begins with one slash, so that no answer of a
    /// service leads to another host by having been mapped.
    fn back(&self, path: &str) -> Option<String> {
        let plain = |path: &str| {
            let mut segments = path.split('/').skip(1).peekable();
            let mut fine = true;
            while let Some(segment) = segments.next() {
                fine &= !matches!(segment, "." | "..") && (!segment.is_empty() || segments.peek().is_none());
            }
            fine && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        };
        let rest = below(path, &self.service).filter(|_| plain(path))?;
        Some(if self.client.is_empty() && rest.is_empty() { "/".to_owned() } else { format!("{}{rest}", self.client) })
    }

    /// Maps the paths of cookies. A `__Host-` cookie is the whole host's by its name.
    fn cookies(&self, headers: &mut HeaderMap) {
        let mapped = |value: &HeaderValue| -> Option<HeaderValue> {
            let text = value.to_str().ok().filter(|text| !starts_with_host(text))?;
            let mut parts: Vec<String> = text.split(';').map(str::to_owned).collect();
            for part in parts.iter_mut().skip(1) {
                let Some((name, path)) = part.split_once('=') else { continue };
                if !name.trim().eq_ignore_ascii_case("path") {
                    continue;
                }
                // The slash is left off: `/lab` fits `/lab/x` and `/lab` itself, `/lab/` only the first.
                let back = self.back(path.trim())?;
                let back =
                    back.strip_suffix('/').filter(|rest| *rest == self.client && !rest.is_empty()).unwrap_or(&back);
                *part = format!("{name}={back}");
            }
            HeaderValue::try_from(parts.join(";")).ok()
        };
        if !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        let cookies: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| mapped(value).unwrap_or_else(|| value.clone()))
            .collect();
        headers.remove(header::SET_COOKIE);
        for cookie in cookies {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

impl Changes {
    fn new(source: &str, spec: &HeaderRewrite) -> Result<Self, Diagnostic> {
        let bad = |name: &String| Diagnostic::new(source, format!("header `{name}` cannot be set"));
        let pair = |(name, value): (&String, &String)| {
            let both = HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::try_from(value.as_str()).ok());
            both.ok_or_else(|| bad(name))
        };
        Ok(Self {
            set: spec.set.iter().map(pair).collect::<Result<_, _>>()?,
            dropped: spec.set.keys().chain(&spec.remove).map(|name| fold(name)).collect(),
        })
    }

    /// What is set replaces whatever folds to its name: a service behind CGI reads `X.Lab` and `X-Lab` as one.
    fn make(&self, headers: &mut HeaderMap) {
        if self.dropped.is_empty() {
            return;
        }
        let folded: Vec<HeaderName> =
            headers.keys().filter(|name| self.dropped.contains(&fold(name.as_str()))).cloned().collect();
        for name in folded {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// What follows a prefix of whole segments: nothing, or a path.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn starts_with_host(cookie: &str) -> bool {
    cookie.trim_start().get(..7).is_some_and(|name| name.eq_ignore_ascii_case("__host-"))
}

#[cfg(test)]
mod tests;
