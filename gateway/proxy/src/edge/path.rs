//! The path, decoded once and encoded again in one way.
//!
//! Decisions that the corpus below holds fast:
//! - Encoded slashes, backslashes and dots, `//`, `.` and `..` are refused, not resolved. An app may keep encoded
//!   slashes: they then stay `%2F` for routing, policy and upstream alike. What lies between them must not be `.` or
//!   `..` either: the service may well take them for slashes.
//! - What still looks encoded after decoding (`%252e`) is refused: some service would decode it a second time.
//! - Control characters are refused, also those beyond ASCII (C1, U+0080 to U+009F): some terminals act on them. The query is
//!   decoded nowhere here, and may have them encoded.
//! - `;` is an ordinary character of a segment, and goes upstream as `%3B`: a service that would cut the segment there
//!   sees what the policy saw. `..;` and `.;` are refused, for the services that cut anyway.
//! - The query is none of the path; it is passed on as it was sent.

use std::{fmt::Write as _, sync::Arc};

use cardea_core::Reason;
use cardea_policy::PATH_BYTES;
use http::{Uri, uri::PathAndQuery};

use super::is_origin_or_absolute;

/// The decoded path, and the target that the upstream gets.
pub(crate) fn of(uri: &Uri, keeps_slashes: bool) -> Result<(Arc<str>, PathAndQuery), Reason> {
    if !is_origin_or_absolute(uri) || !uri.query().unwrap_or_default().bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Reason::AmbiguousPath);
    }
    let raw = uri.path();
    if raw.len() > PATH_BYTES {
        return Err(Reason::UriTooLong);
    }
    let plain = raw.bytes().all(is_kept);
    let path: Arc<str> = if plain { raw.into() } else { decode(raw, keeps_slashes)?.into() };
    check_segments(&path, keeps_slashes)?;
    let target = match uri.path_and_query() {
        // The target of `http://host` is empty, and that of `http://host?x` begins with the query.
        Some(target) if plain && raw.len() > 1 => target.clone(),
        _ => encode(&path, uri.query(), keeps_slashes)?,
    };
    Ok((path, target))
}

/// Bytes that stand for themselves in a path, here and upstream: RFC 3986's `pchar` and `/`, without `;` and `%`.
const fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'/' | b'-'
                | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

fn decode(raw: &str, keeps_slashes: bool) -> Result<String, Reason> {
    let mut out = Vec::with_capacity(raw.len());
    let mut percents = Vec::new();
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if !byte.is_ascii_graphic() || byte == b'\\' {
                return Err(Reason::AmbiguousPath);
            }
            out.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (bytes.next().and_then(hex), bytes.next().and_then(hex)) else {
            return Err(Reason::AmbiguousPath);
        };
        match high << 4 | low {
            b'/' if keeps_slashes => out.extend_from_slice(b"%2F"),
            b'/' | b'\\' | b'.' | 0..=0x1f | 0x7f => return Err(Reason::AmbiguousPath),
            b'%' => {
                percents.push(out.len());
                out.push(b'%');
            }
            decoded => out.push(decoded),
        }
    }
    if decodes_again(&out, &percents) {
        return Err(Reason::AmbiguousPath);
    }
    let path = String::from_utf8(out).map_err(|_| Reason::AmbiguousPath)?;
    if path.chars().any(char::is_control) { Err(Reason::AmbiguousPath) } else { Ok(path) }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Whether a second decoding would change it: a `%` that was itself encoded, before two hex digits. (The `%2F` of a
/// kept slash was not: its `%` is none of these.)
fn decodes_again(out: &[u8], percents: &[usize]) -> bool {
    percents.iter().any(|&at| matches!(out.get(at + 1..at + 3), Some([a, b]) if hex(*a).is_some() && hex(*b).is_some()))
}

fn check_segments(path: &str, keeps_slashes: bool) -> Result<(), Reason> {
    let doubled = path.as_bytes().windows(2).any(|two| two == b"//");
    // Nearly every path is without a dot, and is not taken apart.
    let climbs = path.as_bytes().contains(&b'.')
        && path
            .split('/')
            .any(|segment| if keeps_slashes { segment.split("%2F").any(climbs) } else { climbs(segment) });
    if doubled || climbs { Err(Reason::AmbiguousPath) } else { Ok(()) }
}

/// Whether a segment is `.` or `..`, if need be before a `;`.
fn climbs(segment: &str) -> bool {
    matches!(segment.split(';').next(), Some("." | ".."))
}

fn encode(path: &str, query: Option<&str>, keeps_slashes: bool) -> Result<PathAndQuery, Reason> {
    let mut out = String::with_capacity(path.len() + 16 + query.map_or(0, str::len));
    for (at, byte) in path.bytes().enumerate() {
        if is_kept(byte) || keeps_slashes && path.as_bytes()[at..].starts_with(b"%2F") {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    if let Some(query) = query {
        out.push('?');
        out.push_str(query);
    }
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(out)).map_err(|_| Reason::AmbiguousPath)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str, keeps: bool) -> Result<(String, String), Reason> {
        let uri: Uri = raw.parse().map_err(|_| Reason::AmbiguousPath)?;
        of(&uri, keeps).map(|(path, target)| (path.to_string(), Uri::from(target).to_string()))
    }

    #[test]
    fn a_path_has_one_spelling_upstream() {
        for (raw, path, target) in [
            ("/", "/", "/"),
            ("/studies/S-1/", "/studies/S-1/", "/studies/S-1/"),
            ("/%61%7e?q=%2F..", "/a~", "/a~?q=%2F.."),
            ("/a%20b", "/a b", "/a%20b"),
            ("/%c3%a9", "/é", "/%C3%A9"),
            ("/%c2%a0", "/\u{a0}", "/%C2%A0"),
            ("/x?q=%00%c2%9b", "/x", "/x?q=%00%c2%9b"),
            ("/a;b=1", "/a;b=1", "/a%3Bb=1"),
            ("/a%3Bb", "/a;b", "/a%3Bb"),
            ("/100%25", "/100%", "/100%25"),
            ("/[x]|y", "/[x]|y", "/%5Bx%5D%7Cy"),
            ("/.../..a/.well-known", "/.../..a/.well-known", "/.../..a/.well-known"),
            ("/x?/public", "/x", "/x?/public"),
            ("https://a.test/x", "/x", "/x"),
            // Found by the fuzz target `canonical`: these went on as `` and `?x`.
            ("https://a.test", "/", "/"),
            ("https://a.test?x", "/", "/?x"),
        ] {
            assert_eq!(read(raw, false), Ok((path.to_owned(), target.to_owned())), "{raw}");
        }
    }

    #[test]
    fn a_path_with_two_readings_is_refused() {
        for raw in [
            "*",
            "/a//b",
            "//",
            "/a/./b",
            "/a/../b",
            "/..",
            "/.",
            "/a/..",
            "/a/.",
            "/%2e",
            "/%2E%2e/x",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a%5Cb",
            "/%00",
            "/a%0ab",
            "/a%0d",
            "/%7f",
            "/%c2%80",
            "/a%C2%9b2J",
            "/%c2%9fb",
            "/%252e",
            "/%252e%252e/x",
            "/%25%32%65",
            "/%252f",
            "/%25252f",
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/%ff",
            "/%c0%af",
            "/%c0%ae",
            "/%ed%a0%80",
            "/..;/x",
            "/..;a=b/x",
            "/.;/x",
            "/x?a\u{e9}",
        ] {
            assert_eq!(read(raw, false), Err(Reason::AmbiguousPath), "{raw}");
        }
    }

    #[test]
    fn a_path_has_a_length_that_policies_can_be_put_to() {
        for (length, wanted) in [(PATH_BYTES, None), (PATH_BYTES + 1, Some(Reason::UriTooLong))] {
            assert_eq!(read(&format!("/{}", "a".repeat(length - 1)), false).err(), wanted, "{length}");
            assert_eq!(read(&format!("/%41{}?q", "a".repeat(length - 4)), true).err(), wanted, "{length}");
        }
    }

    #[test]
    fn an_app_may_keep_encoded_slashes_and_nothing_else() {
        assert_eq!(read("/a%2fb/c", true), Ok(("/a%2Fb/c".to_owned(), "/a%2Fb/c".to_owned())));
        assert_eq!(read("/a%2F%2Fb", true), Ok(("/a%2F%2Fb".to_owned(), "/a%2F%2Fb".to_owned())));
        assert_eq!(
            read("/a%2F...%2F..b;x", true),
            Ok(("/a%2F...%2F..b;x".to_owned(), "/a%2F...%2F..b%3Bx".to_owned()))
        );
        for raw in [
            "/a%5cb",
            "/a%2f%c2%9b",
            "/a%252fb",
            "/%2e%2e",
            "/a//b",
            "/%25%32%46",
            "/a/..%2F..%2Fx",
            "/a/..%2fx",
            "/a%2f..",
            "/a%2F..",
            "/a%2F.",
            "/a%2f.%2fb",
            "/%2F../x",
            "/a%2F%2e%2e%2Fx",
            "/a%2F..;b%2Fx",
            "/a;b%2F..%2Fx",
            "/a%2F..%5Cx",
            "/a%2F..%5cx",
            "/a/..\\..%2Fx",
            "/a%2F..%252F",
        ] {
            assert_eq!(read(raw, true), Err(Reason::AmbiguousPath), "{raw}");
        }
    }
}
