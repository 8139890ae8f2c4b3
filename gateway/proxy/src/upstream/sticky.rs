//! Cookies that keep a browser with one address of a service. The value names an address only to whoever has the key, and
//! is a wish: an address that is unfit is not chosen by it.

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderValue, header};

use super::endpoint::Target;

/// Under which addresses get the names that cookies know.
#[derive(Clone)]
pub struct StickyKey(hmac::Key);

impl StickyKey {
    /// A key from 32 secret bytes; the same on every gateway of an installation, and after a restart.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }
}

impl std::fmt::Debug for StickyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StickyKey(***)")
    }
}

/// What a cookie calls an address.
pub(super) fn label(key: &StickyKey, target: &Target, address: SocketAddr) -> Box<str> {
    let tag = hmac::sign(&key.0, format!("{}:{} {address}", target.host, target.port).as_bytes());
    // 128 bits: as hard to find as the key.
    tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What the browser's cookie says, if it has one.
pub(super) fn wish(headers: &HeaderMap, name: &str) -> Option<Box<str>> {
    let mut pairs =
        headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('=').map(Into::into))
}

/// The cookie for an answer of the address called `label`. It lasts as long as the browser is open; scripts and other
/// sites' requests have no use for it.
pub(super) fn cookie(name: &str, label: &str, tls: bool) -> Option<HeaderValue> {
    let secure = if tls { "; Secure" } else { "" };
    HeaderValue::try_from(format!("{name}={label}; Path=/; HttpOnly; SameSite=Lax{secure}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_nothing_and_is_always_the_same() {
        let target =
            Target { host: "records".to_owned(), port: 1, name: None, nameless: crate::seldom::Seldom::default() };
        let (key, address) = (StickyKey::new(&[7; 32]), "10.0.0.7:1".parse().unwrap());
        let one = label(&key, &target, address);
        assert_eq!(one, label(&key, &target, address));
        assert_ne!(one, label(&StickyKey::new(&[8; 32]), &target, address));
        assert_ne!(one, label(&key, &target, "10.0.0.8:1".parse().unwrap()));
        assert!(one.len() == 32 && one.bytes().all(|b| b.is_ascii_hexdigit()), "{one}");
    }

    #[test]
    fn a_wish_is_read_from_the_cookie_of_exactly_that_name() {
        for (sent, wished) in
            [("at=x", Some("x")), ("a=1; at=x; at=y", Some("x")), ("bat=x; at2=y", None), ("at", None)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(sent));
            assert_eq!(wish(&headers, "at").as_deref(), wished, "{sent}");
        }
    }
}
