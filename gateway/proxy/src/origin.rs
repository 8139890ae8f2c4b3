//! Whether a browser of another site sent a request.

use cardea_core::{Reason, resources::OriginRule};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::Canonical;

static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses changes to our own pages that another site's page caused (abuse of the cookie that browsers add by
/// themselves). Programs send neither header; every browser that can keep our cookies sends one of them.
pub(crate) fn check_change(canonical: &Canonical, headers: &HeaderMap) -> Result<(), Reason> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(canonical.method()) {
        return Ok(());
    }
    let same = match one(headers, &FETCH_SITE)? {
        // `none`: the person typed the address or opened a bookmark.
        Some(site) => matches!(site.as_bytes(), b"same-origin" | b"none"),
        None => one(headers, &header::ORIGIN)?.is_none_or(|origin| is_own(origin, canonical)),
    };
    // Where both came, both must say so.
    let own = one(headers, &header::ORIGIN)?.is_none_or(|origin| is_own(origin, canonical));
    if same && own { Ok(()) } else { Err(Reason::CrossSite) }
}

/// Refuses WebSockets that another site's page opens: browsers ask nobody before they do (RFC 6455 section 10.2). A
/// caller with a cookie must name the origin; one without may leave it out, as programs do. `others` are the origins that
/// the app declares beside its own.
pub(crate) fn check_websocket(
    canonical: &Canonical,
    headers: &HeaderMap,
    by_cookie: bool,
    others: &[OriginRule],
) -> Result<(), Reason> {
    let declared = |origin: &HeaderValue| {
        origin.to_str().is_ok_and(|origin| others.iter().any(|rule| *rule != OriginRule::Any && rule.fits(origin)))
    };
    match one(headers, &header::ORIGIN)? {
        Some(origin) if is_own(origin, canonical) || declared(origin) => Ok(()),
        None if !by_cookie => Ok(()),
        _ => Err(Reason::CrossSite),
    }
}

/// Which origin a refused request was sent from, and which one it should have been, for the entry: a proxy before us that drops
/// the port from `Host` makes them differ, and nothing else would tell it. Two of what was sent show that it was too much: a
/// stranger's words fill no log.
pub(crate) fn sides(canonical: &Canonical, headers: &HeaderMap) -> String {
    let sent = |name: &HeaderName| {
        let all: Vec<_> = headers.get_all(name).iter().take(2).map(|value| shown(value.as_bytes())).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
    };
    let (scheme, default) = if canonical.tls() { ("https", 443) } else { ("http", 80) };
    let port = canonical.port().filter(|port| *port != default).map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "origin sent: {} (sec-fetch-site: {}); expected: `{scheme}://{}{port}`",
        sent(&header::ORIGIN),
        sent(&FETCH_SITE),
        canonical.host()
    )
}

/// As much of a value as an origin may be long, with nothing in it that a terminal obeys.
fn shown(value: &[u8]) -> String {
    // A scheme, the longest name, and a port.
    const MOST: usize = 280;
    let told: String = value.escape_ascii().take(MOST).map(char::from).collect();
    format!("`{told}`")
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Reason> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Reason::CrossSite),
        (found, None) => Ok(found),
    }
}

/// Whether an origin is the one that this request was sent to.
pub(crate) fn is_own(origin: &HeaderValue, canonical: &Canonical) -> bool {
    let (scheme, default) = if canonical.tls() { ("https://", 443) } else { ("http://", 80) };
    let Some(rest) = origin.to_str().ok().and_then(|origin| origin.strip_prefix(scheme)) else { return false };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => match port.parse::<u16>() {
            Ok(port) => (host, port),
            Err(_) => return false,
        },
        _ => (rest, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case(canonical.host()) && port == canonical.port().unwrap_or(default)
}
