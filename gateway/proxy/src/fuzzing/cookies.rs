//! Our cookies never go to a service, and everybody else's survive byte for byte; no service sets ours.

use http::{HeaderMap, HeaderValue, header};

use crate::headers::cookies as rules;

fn is_ours(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).trim_matches([' ', '\t']).to_ascii_lowercase();
    let bare = name.strip_prefix("__host-").unwrap_or(&name);
    ["cardea", "cardea-flow", "cardea-device", "cardea-onward"].contains(&bare)
}

/// Values of `Cookie`, or of `Set-Cookie`, one to a line.
pub fn cookies(data: &[u8]) {
    let values: Vec<_> = data
        .split(|&b| b == b'\n')
        .take(16)
        .filter_map(|line| HeaderValue::from_bytes(line.trim_ascii()).ok())
        .collect();
    // Twice with what a connection keeps of its last reading: that must not tell.
    let shown = rules::Shown::default();
    for (sticky, tls) in [(None, true), (None, true), (Some("b"), true), (None, false)] {
        check_request(&values, sticky, tls, &shown);
    }
    check_answer(&values);
}

fn under(name: &header::HeaderName, values: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, value.clone());
    }
    headers
}

fn pairs(values: &[HeaderValue]) -> Vec<&[u8]> {
    let all = values.iter().flat_map(|value| value.as_bytes().split(|&b| b == b';'));
    all.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()).collect()
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|&b| b == b'=').next().unwrap_or_default()
}

fn check_request(sent: &[HeaderValue], sticky: Option<&str>, tls: bool, shown: &rules::Shown) {
    let is_sticky =
        |name: &[u8]| sticky.is_some_and(|sticky| name.trim_ascii().eq_ignore_ascii_case(sticky.as_bytes()));
    let mut headers = under(&header::COOKIE, sent);
    rules::keep_ours_from_service(&mut headers, sticky, tls, shown);
    let left: Vec<_> = headers.get_all(header::COOKIE).iter().cloned().collect();
    assert!(left.len() <= 1, "one header (RFC 9113 section 8.2.3)");
    let theirs: Vec<_> =
        pairs(sent).into_iter().filter(|pair| !is_ours(name_of(pair)) && !is_sticky(name_of(pair))).collect();
    assert_eq!(pairs(&left), theirs, "{sent:?}");
    if let [one] = sent
        && theirs.len() == pairs(sent).len()
    {
        assert_eq!(
            left.first().map_or(&b""[..], HeaderValue::as_bytes),
            one.as_bytes(),
            "nothing of ours, nothing changed"
        );
    }
    // Whatever opens a session here is none of what went on.
    for tls in [false, true] {
        assert!(rules::handle(&headers, tls, shown).is_none(), "{left:?} opens a session");
    }
}

/// A cookie as RFC 6265 section 5.2 reads it of an answer and writes it into the next request.
fn kept_by_a_browser(value: &HeaderValue) -> Vec<u8> {
    let pair = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
    match pair.iter().position(|&b| b == b'=') {
        Some(at) => {
            let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
            if name.is_empty() { value.to_vec() } else { [name, b"=", value].concat() }
        }
        None => pair.trim_ascii().to_vec(),
    }
}

fn check_answer(set: &[HeaderValue]) {
    let mut headers = under(&header::SET_COOKIE, set);
    rules::keep_ours_from_answer(&mut headers);
    let sets_ours = |value: &&HeaderValue| is_ours(name_of(&kept_by_a_browser(value)));
    for value in headers.get_all(header::SET_COOKIE) {
        assert!(!sets_ours(&value), "{value:?} sets ours");
    }
    let theirs: Vec<_> = set.iter().filter(|value| !sets_ours(value)).collect();
    assert_eq!(headers.get_all(header::SET_COOKIE).iter().collect::<Vec<_>>(), theirs);
}
