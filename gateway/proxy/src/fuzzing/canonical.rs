//! What is forwarded, read again, is what was decided on; and a second and a third reader see the same.

use std::sync::Arc;

use http::{Uri, uri::PathAndQuery};

use super::head;
use crate::{Canonical, Connection, Door, Snapshot, edge::path, headers::outbound};

/// Target and host, one to a line.
pub fn canonical(data: &[u8]) {
    let mut lines = data.splitn(2, |&b| b == b'\n');
    let target = lines.next().unwrap_or_default();
    let host = lines.next().unwrap_or(b"a.test");
    let Ok(uri) = Uri::try_from(target) else { return };
    for keeps_slashes in [false, true] {
        if let Ok((path, forwarded)) = path::of(&uri, keeps_slashes) {
            check_path(&uri, &path, &forwarded, keeps_slashes);
        }
    }
    check_request(uri, host);
}

fn check_path(uri: &Uri, path: &Arc<str>, forwarded: &PathAndQuery, keeps_slashes: bool) {
    let text = Uri::from(forwarded.clone()).to_string();
    let again = Uri::try_from(text.as_str()).ok().map(|uri| path::of(&uri, keeps_slashes));
    assert_eq!(again, Some(Ok((Arc::clone(path), forwarded.clone()))), "{uri} read again");
    assert_eq!(forwarded.query(), uri.query(), "{uri}: the query is passed on as it was sent");
    assert!(text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') && !forwarded.path().contains('\\'), "{text:?}");
    assert!(path.starts_with('/') && !path.contains('\\') && !path.contains(char::is_control), "{path:?}");
    assert_eq!(path.matches('/').count(), uri.path().matches('/').count(), "{uri}: decoding made no segment");
    let segments: Vec<_> = path[1..].split('/').collect();
    for (nth, segment) in segments.iter().enumerate() {
        let parts: Vec<_> = if keeps_slashes { segment.split("%2F").collect() } else { vec![*segment] };
        assert!(!segment.is_empty() || nth + 1 == segments.len(), "{path:?} has an empty segment");
        for part in parts {
            assert!(!matches!(part.split(';').next(), Some("." | "..")), "{path:?} climbs");
        }
    }
    // A browser's reader changes nothing.
    let url = url::Url::parse(&format!("http://a.test{text}"));
    assert_eq!(url.as_ref().map(url::Url::path).ok(), Some(forwarded.path()), "{uri} as the URL standard reads it");
    // A plain decoder finds what policies saw, and a second one after it finds nothing more to do.
    if !keeps_slashes {
        assert_eq!(decoded(forwarded.path().as_bytes()), path.as_bytes(), "{text}");
        assert_eq!(decoded(path.as_bytes()), path.as_bytes(), "{text} decoded twice");
    }
}

/// Percent-decoding as lenient services do it: what is no escape stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            (other, ..) => {
                out.push(other);
                at += 1;
            }
        }
    }
    out
}

fn check_request(uri: Uri, host: &[u8]) {
    let (connection, snapshot) = (Connection::plain(([127, 0, 0, 1], 1).into(), Door::Public), Snapshot::default());
    let Some(received) = head(uri, host) else { return };
    let Ok((decided, _)) = Canonical::read(&received, &connection, &snapshot) else { return };
    let authority = outbound::authority(&decided);
    let Some(forwarded) = head(decided.target().clone().into(), authority.as_bytes()) else { return };
    let again = Canonical::read(&forwarded, &connection, &snapshot).map(|(canonical, _)| canonical);
    let seen = |c: &Canonical| {
        (c.host().clone(), c.port(), c.path().clone(), c.target().clone(), c.query().map(str::to_owned))
    };
    assert_eq!(again.as_ref().map(seen).ok(), Some(seen(&decided)), "{authority} {}", decided.target());
    let name = decided.host();
    assert!(!name.is_empty() && !name.ends_with('.') && **name == *name.to_ascii_lowercase(), "{name:?}");
    assert_eq!(format!("/{}", decided.segments().collect::<Vec<_>>().join("/")), **decided.path());
    // A browser reads the same name, where it does not take it for an address in an old notation.
    if let Some(url::Host::Domain(read)) =
        url::Url::parse(&format!("http://{authority}/")).ok().as_ref().and_then(url::Url::host)
    {
        assert_eq!(read, &**name);
    }
}
