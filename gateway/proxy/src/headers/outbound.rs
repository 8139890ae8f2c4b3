//! What a service is told of a request: set after everything of the kind has been dropped.

use std::{
    fmt::Write as _,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use cardea_core::{Caller, EntryId, resources::Claim};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::Canonical;

pub(crate) static ASSERTION: HeaderName = HeaderName::from_static("cardea-assertion");
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Names the entry, in requests and answers alike.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

static HTTPS: HeaderValue = HeaderValue::from_static("https");
static HTTP: HeaderValue = HeaderValue::from_static("http");

/// The entry's id as a header.
pub(crate) fn request_id(entry: EntryId) -> HeaderValue {
    value(entry.to_string()).unwrap_or_else(|| HeaderValue::from_static("-"))
}

/// Where requests come from and go to, written as headers. The requests of a connection nearly always agree on it, so
/// the connection keeps what was written last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Option<Written>>>);

#[derive(Debug, Clone)]
struct Written {
    client: IpAddr,
    tls: bool,
    authority: (Arc<str>, Option<u16>),
    forwarded: HeaderValue,
    forwarded_for: HeaderValue,
    host: HeaderValue,
}

impl Told {
    fn of(&self, canonical: &Canonical) -> Option<Written> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = last.as_ref().filter(|written| written.fits(canonical)) {
            return Some(written.clone());
        }
        last.clone_from(&Written::of(canonical));
        last.clone()
    }
}

impl Written {
    fn of(canonical: &Canonical) -> Option<Self> {
        let (client, tls, host) = (canonical.client(), canonical.tls(), value(authority(canonical))?);
        Some(Self {
            client,
            tls,
            authority: (Arc::clone(canonical.host()), canonical.port()),
            forwarded: forwarded(client, &host, tls)?,
            forwarded_for: value(client.to_string())?,
            host,
        })
    }

    /// INVARIANT: everything that is written from is compared.
    fn fits(&self, canonical: &Canonical) -> bool {
        let (host, port) = &self.authority;
        self.client == canonical.client()
            && self.tls == canonical.tls()
            && host == canonical.host()
            && *port == canonical.port()
    }
}

/// Tells the service who asked for what. `host` is the public one, so that the service writes addresses that work.
pub(crate) fn tell(
    headers: &mut HeaderMap,
    canonical: &Canonical,
    told: &Told,
    id: &HeaderValue,
    assertion: Option<HeaderValue>,
) {
    headers.insert(REQUEST_ID.clone(), id.clone());
    if let Some(assertion) = assertion {
        headers.insert(ASSERTION.clone(), assertion);
    }
    if let Some(written) = told.of(canonical) {
        headers.insert(header::FORWARDED, written.forwarded);
        headers.insert(FORWARDED_FOR.clone(), written.forwarded_for);
        headers.insert(FORWARDED_HOST.clone(), written.host.clone());
        headers.insert(header::HOST, written.host);
    }
    headers.insert(FORWARDED_PROTO.clone(), if canonical.tls() { HTTPS.clone() } else { HTTP.clone() });
    headers.append(header::VIA, super::via().clone());
}

/// Host and port as the client named them.
pub(crate) fn authority(canonical: &Canonical) -> String {
    let host = canonical.host();
    match (host.contains(':'), canonical.port()) {
        (false, None) => host.to_string(),
        (false, Some(port)) => format!("{host}:{port}"),
        (true, None) => format!("[{host}]"),
        (true, Some(port)) => format!("[{host}]:{port}"),
    }
}

/// RFC 7239; IPv6 addresses and anything with a colon are quoted.
fn forwarded(client: IpAddr, host: &HeaderValue, tls: bool) -> Option<HeaderValue> {
    let host = host.to_str().ok()?;
    let proto = if tls { "https" } else { "http" };
    let mut out = String::with_capacity(48 + host.len());
    let _ = match client {
        IpAddr::V4(client) => write!(out, "for={client};"),
        IpAddr::V6(client) => write!(out, "for=\"[{client}]\";"),
    };
    let _ = if host.contains(':') { write!(out, "host=\"{host}\";") } else { write!(out, "host={host};") };
    let _ = write!(out, "proto={proto}");
    value(out)
}

/// Fills the headers that an app maps claims to. A visitor has no claims, and the headers are then absent.
pub(crate) fn map_claims(headers: &mut HeaderMap, mapped: &[(HeaderName, Claim)], caller: &Caller) {
    for (name, claim) in mapped {
        if let Some(value) = claimed(caller, *claim).and_then(value) {
            headers.insert(name.clone(), value);
        }
    }
}

fn claimed(caller: &Caller, claim: Claim) -> Option<String> {
    let joined =
        |groups: &[cardea_core::GroupId]| groups.iter().map(cardea_core::GroupId::as_str).collect::<Vec<_>>().join(",");
    match (caller, claim) {
        (Caller::User(user), Claim::Sub) => Some(user.id.to_string()),
        (Caller::User(user), Claim::Email) => Some(user.email.clone()),
        (Caller::User(user), Claim::Name) => Some(user.name.clone()),
        (Caller::User(user), Claim::Groups) => Some(joined(&user.groups)),
        (Caller::Service { id, .. }, Claim::Sub | Claim::Name) => Some(id.to_string()),
        (Caller::Service { groups, .. }, Claim::Groups) => Some(joined(groups)),
        (Caller::Workload { spiffe_id }, Claim::Sub) => Some(spiffe_id.to_string()),
        _ => None,
    }
}

fn value(text: String) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}
