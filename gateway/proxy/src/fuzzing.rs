//! What must hold for every input, as functions of bytes that panic where it does not. Fuzz targets (`tests/fuzz`),
//! their kept corpus and the property tests below all call these; no build that is handed out holds them.
//!
//! INVARIANT: what is right is said here a second time, in other words. None of these asks the code that it judges.

#![allow(missing_docs, reason = "each function's promise stands in its file")]

mod canonical;
mod cookies;
mod forwarded;
mod framing;
mod header_rules;

pub use canonical::canonical;
pub use cookies::cookies;
pub use forwarded::forwarded;
pub use framing::framing;
pub use header_rules::header_rules;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, request::Parts};

/// Headers, one to a line: name, colon, value. What no header can be is left out, as hyper leaves it out.
fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|&b| b == b'\n').take(64) {
        let mut halves = line.splitn(2, |&b| b == b':');
        let name = halves.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = halves.next().and_then(|value| HeaderValue::from_bytes(value.trim_ascii()).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fn head(uri: Uri, host: &[u8]) -> Option<Parts> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.uri = uri;
    head.headers.insert(header::HOST, HeaderValue::from_bytes(host).ok()?);
    Some(head)
}

/// A name as CGI and its heirs fold it: every sign but letters and digits is the same sign.
fn folded(name: &HeaderName) -> String {
    name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

#[cfg(test)]
mod tests;
