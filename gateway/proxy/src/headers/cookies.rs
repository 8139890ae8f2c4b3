//! Our cookies among everybody's: read from requests, kept from services, and not theirs to set.

use cardea_identity::{Handle, cookie};
use http::{HeaderMap, HeaderValue, header};

const OURS: [&str; 6] =
    ["__Host-cardea", "__Host-cardea-flow", "__Host-cardea-device", "cardea", "cardea-flow", "cardea-device"];

fn is_ours(name: &[u8]) -> bool {
    let name = name.trim_ascii();
    OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

/// The handle that the browser shows.
pub(crate) fn handle(headers: &HeaderMap, tls: bool) -> Option<Handle> {
    cookie::handle(headers.get_all(header::COOKIE).iter().filter_map(|v| std::str::from_utf8(v.as_bytes()).ok()), tls)
}

fn pairs(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&b| b == b';').map(<[u8]>::trim_ascii)
}

/// Takes our cookies out of a request on its way to a service, `sticky` among them, and joins what is left into one
/// header (RFC 9113 section 8.2.3).
pub(crate) fn keep_ours_from_service(headers: &mut HeaderMap, sticky: Option<&str>) {
    let names_ours = |pair: &[u8]| {
        let name = pair.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii();
        is_ours(name) || sticky.is_some_and(|sticky| name.eq_ignore_ascii_case(sticky.as_bytes()))
    };
    let mut values = headers.get_all(header::COOKIE).iter();
    let Some(first) = values.next() else { return };
    if values.next().is_none() && !pairs(first).any(&names_ours) {
        return;
    }
    let mut kept: Vec<u8> = Vec::with_capacity(first.len());
    for value in headers.get_all(header::COOKIE) {
        for pair in pairs(value).filter(|pair| !pair.is_empty() && !names_ours(pair)) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
    }
    headers.remove(header::COOKIE);
    if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(kept))
        && !value.is_empty()
    {
        headers.insert(header::COOKIE, value);
    }
}

/// Takes cookies with our names out of a service's answer.
pub(crate) fn keep_ours_from_answer(headers: &mut HeaderMap) {
    keep_from_answer(headers, is_ours);
}

/// Takes cookies of the name by which we keep a browser with an address out of a service's answer.
pub(crate) fn keep_sticky_from_answer(headers: &mut HeaderMap, sticky: &str) {
    keep_from_answer(headers, |name| name.trim_ascii().eq_ignore_ascii_case(sticky.as_bytes()));
}

fn keep_from_answer(headers: &mut HeaderMap, is_ours: impl Fn(&[u8]) -> bool) {
    let sets_ours = |value: &HeaderValue| {
        let pair = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
        let mut parts = pair.splitn(3, |&b| b == b'=');
        let first = parts.next().unwrap_or_default();
        // `=name=value` has no name; browsers that take it send back `name=value`.
        is_ours(first) || first.trim_ascii().is_empty() && parts.next().is_some_and(&is_ours)
    };
    if !headers.get_all(header::SET_COOKIE).iter().any(sets_ours) {
        return;
    }
    let kept: Vec<_> = headers.get_all(header::SET_COOKIE).iter().filter(|value| !sets_ours(value)).cloned().collect();
    headers.remove(header::SET_COOKIE);
    for value in kept {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Whether an answer of ours already sets the session's cookie.
pub(crate) fn sets_session(headers: &HeaderMap, tls: bool) -> bool {
    let name = cookie::Cookie::Session.name(tls).as_bytes();
    headers
        .get_all(header::SET_COOKIE)
        .iter()
        .any(|value| value.as_bytes().strip_prefix(name).is_some_and(|rest| rest.starts_with(b"=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_never_see_our_cookies() {
        for (sent, left) in [
            (vec!["a=1; __Host-cardea=x; b=2"], Some("a=1; b=2")),
            (vec!["__Host-cardea=x"], None),
            (vec!["a=1", "b=2", "cardea=y"], Some("a=1; b=2")),
            (vec!["__HOST-CARDEA-FLOW=x;a=1"], Some("a=1")),
            (vec!["__Host-cardea-device=x; a=1; cardea-device=y"], Some("a=1")),
            (vec!["acardea=1; cardea2=2"], Some("acardea=1; cardea2=2")),
            (vec!["plain=1"], Some("plain=1")),
        ] {
            let mut headers = HeaderMap::new();
            for value in &sent {
                headers.append(header::COOKIE, HeaderValue::from_str(value).unwrap());
            }
            keep_ours_from_service(&mut headers, None);
            assert_eq!(headers.get(header::COOKIE).map(|v| v.to_str().unwrap()), left, "{sent:?}");
            assert!(headers.get_all(header::COOKIE).iter().count() <= 1);
        }
    }

    #[test]
    fn services_cannot_set_our_cookies() {
        let mut headers = HeaderMap::new();
        for value in [
            "__Host-cardea=evil; Path=/",
            "a=1",
            "=__Host-cardea=evil",
            " cardea = evil",
            "__host-Cardea-Flow=x",
            "cardea-device=x",
        ] {
            headers.append(header::SET_COOKIE, HeaderValue::from_str(value).unwrap());
        }
        keep_ours_from_answer(&mut headers);
        assert_eq!(headers.get_all(header::SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1"]);
    }
}
