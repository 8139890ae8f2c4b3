//! Our cookies among everybody's: read from requests, kept from services, and not theirs to set.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use cardea_core::Secret;
use cardea_identity::{HandleHash, cookie};
use http::{HeaderMap, HeaderValue, header};

fn is_ours(name: &[u8]) -> bool {
    let name = name.trim_ascii();
    let named = |ours: cookie::Cookie| [true, false].map(|secure| ours.name(secure));
    cookie::Cookie::ALL.into_iter().flat_map(named).any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

/// What was made of the `Cookie` header that came last on a connection: the next request nearly always shows the same
/// one, which is then neither parsed nor hashed again.
///
/// INVARIANT: it holds for the very same bytes only, and they are compared in constant time, since a proxy's connection
/// carries many people's requests. What the handle opens is asked each time.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Option<Read>>>);

struct Read {
    header: Secret<Box<[u8]>>,
    tls: bool,
    handle: Option<HandleHash>,
    left: Left,
}

/// What is left for the service.
#[derive(Clone)]
enum Left {
    All,
    Some(HeaderValue),
    Nothing,
}

/// Longest header that is kept with its connection. A kilobyte: ours and an app's own fit.
const LONGEST: usize = 1024;

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(***)")
    }
}

impl Shown {
    fn read<T>(&self, header: &HeaderValue, tls: bool, of: impl FnOnce(&Read) -> T) -> T {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = last.as_ref().filter(|read| read.is_of(header, tls)) {
            return of(read);
        }
        let read = Read::of(header, tls);
        let found = of(&read);
        if header.len() <= LONGEST {
            *last = Some(read);
        }
        found
    }
}

impl Read {
    fn of(header: &HeaderValue, tls: bool) -> Self {
        let handle = hash([header], tls);
        Self { header: Secret::new(header.as_bytes().into()), tls, handle, left: left(&[header], None) }
    }

    fn is_of(&self, header: &HeaderValue, tls: bool) -> bool {
        self.tls == tls && verify_slices_are_equal(self.header.expose(), header.as_bytes()).is_ok()
    }
}

/// What stores know the handle by that the browser shows.
pub(crate) fn handle(headers: &HeaderMap, tls: bool, shown: &Shown) -> Option<HandleHash> {
    match only(headers) {
        Some(one) => shown.read(one, tls, |read| read.handle),
        None => hash(headers.get_all(header::COOKIE), tls),
    }
}

fn hash<'a>(values: impl IntoIterator<Item = &'a HeaderValue>, tls: bool) -> Option<HandleHash> {
    let texts = values.into_iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
    cookie::handle(texts, tls).map(|handle| handle.hash())
}

/// The `Cookie` header, if there is one and no second.
fn only(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(header::COOKIE).iter();
    values.next().filter(|_| values.next().is_none())
}

fn pairs(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&b| b == b';').map(<[u8]>::trim_ascii)
}

/// Takes our cookies out of a request on its way to a service, `sticky` among them, and joins what is left into one
/// header (RFC 9113 section 8.2.3).
pub(crate) fn keep_ours_from_service(headers: &mut HeaderMap, sticky: Option<&str>, tls: bool, shown: &Shown) {
    let left = match (only(headers), sticky) {
        (Some(one), None) => shown.read(one, tls, |read| read.left.clone()),
        _ if headers.contains_key(header::COOKIE) => {
            left(&headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), sticky)
        }
        _ => return,
    };
    match left {
        Left::All => {}
        Left::Some(value) => drop(headers.insert(header::COOKIE, value)),
        Left::Nothing => drop(headers.remove(header::COOKIE)),
    }
}

fn left(values: &[&HeaderValue], sticky: Option<&str>) -> Left {
    let names_ours = |pair: &[u8]| {
        let name = pair.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii();
        is_ours(name) || sticky.is_some_and(|sticky| name.eq_ignore_ascii_case(sticky.as_bytes()))
    };
    if let [one] = values
        && !pairs(one).any(names_ours)
    {
        return Left::All;
    }
    let kept = values.iter().flat_map(|value| pairs(value)).filter(|pair| !pair.is_empty() && !names_ours(pair));
    let kept = kept.collect::<Vec<_>>().join(&b"; "[..]);
    match HeaderValue::from_maybe_shared(bytes::Bytes::from(kept)) {
        Ok(value) if !value.is_empty() => Left::Some(value),
        _ => Left::Nothing,
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
        let shown = Shown::default();
        for (sent, left) in [
            (vec!["a=1; __Host-cardea=x; b=2"], Some("a=1; b=2")),
            (vec!["__Host-cardea=x"], None),
            (vec!["a=1", "b=2", "cardea=y"], Some("a=1; b=2")),
            (vec!["__HOST-CARDEA-FLOW=x;a=1"], Some("a=1")),
            (vec!["__Host-cardea-device=x; a=1; cardea-device=y"], Some("a=1")),
            (vec!["__Host-cardea-onward=x; a=1; cardea-onward=y"], Some("a=1")),
            (vec!["acardea=1; cardea2=2"], Some("acardea=1; cardea2=2")),
            (vec!["plain=1"], Some("plain=1")),
        ] {
            let mut headers = HeaderMap::new();
            for value in &sent {
                headers.append(header::COOKIE, HeaderValue::from_str(value).unwrap());
            }
            // What was made of one header is nothing that another may be taken for.
            for (headers, left) in [(&mut headers, left), (&mut HeaderMap::new(), None)] {
                keep_ours_from_service(headers, None, true, &shown);
                assert_eq!(headers.get(header::COOKIE).map(|v| v.to_str().unwrap()), left, "{sent:?}");
                assert!(headers.get_all(header::COOKIE).iter().count() <= 1);
            }
        }
    }

    #[test]
    fn a_handle_is_known_by_the_header_at_hand() {
        let shown = Shown::default();
        let read = |value: &str, tls: bool| {
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(value).unwrap())]);
            handle(&headers, tls, &shown)
        };
        let [one, other] = ["A", "B"].map(|letter| format!("a=1; __Host-cardea={}", letter.repeat(42) + "A"));
        let hash = read(&one, true).unwrap();
        assert_eq!(read(&one, true), Some(hash));
        assert_ne!(read(&other, true).unwrap(), hash);
        assert_eq!(read(&one, true), Some(hash));
        // Without TLS the cookie has another name.
        assert_eq!(read(&one, false), None);
        assert_eq!(read("a=1", true), None);
        assert!(!format!("{shown:?}").contains("a=1"));
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
            "cardea-onward=x",
        ] {
            headers.append(header::SET_COOKIE, HeaderValue::from_str(value).unwrap());
        }
        keep_ours_from_answer(&mut headers);
        assert_eq!(headers.get_all(header::SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1"]);
    }
}
