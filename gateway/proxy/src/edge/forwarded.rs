//! What listed proxies say of the client: its address, and whether it spoke TLS. From anybody else, nothing is believed.
//!
//! There are two headers for it, and most proxies write one and pass on the other as the client sent it. So exactly one is
//! read, the one that the operator says is written, and never both.

use std::net::{IpAddr, Ipv6Addr};

use cardea_core::Reason;
use http::{HeaderMap, HeaderName, header};

use crate::{Connection, Settings};

/// The header that listed proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedBy {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`: what nearly all proxies write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What is believed of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) client: IpAddr,
    pub(super) https: bool,
}

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client is the right-most address that is not itself a listed proxy's.
pub(super) fn read(connection: &Connection, headers: &HeaderMap, settings: &Settings) -> Result<Told, Reason> {
    let peer = connection.peer.ip();
    if !connection.is_believed(settings) {
        return Ok(Told { client: peer.to_canonical(), https: false });
    }
    let told = match settings.forwarded {
        ForwardedBy::XForwardedFor => by_x_forwarded_for(peer, headers, settings)?,
        ForwardedBy::Forwarded => by_forwarded(peer, headers, settings)?,
    };
    Ok(Told { client: told.client.to_canonical(), ..told })
}

fn by_x_forwarded_for(peer: IpAddr, headers: &HeaderMap, settings: &Settings) -> Result<Told, Reason> {
    let mut protos = headers.get_all(&FORWARDED_PROTO).iter();
    let https =
        matches!((protos.next(), protos.next()), (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"https"));
    let mut client = peer;
    for value in headers.get_all(&FORWARDED_FOR).iter().rev() {
        let text = value.to_str().map_err(|_| Reason::BadHeader)?;
        for hop in text.rsplit(',') {
            client = hop.trim().parse().map_err(|_| Reason::BadHeader)?;
            if !settings.trusts(client) {
                return Ok(Told { client, https });
            }
        }
    }
    Ok(Told { client, https })
}

/// Whether the client spoke TLS is said where its address is: further to the left, a client may have written anything.
fn by_forwarded(peer: IpAddr, headers: &HeaderMap, settings: &Settings) -> Result<Told, Reason> {
    let mut told = Told { client: peer, https: false };
    for value in headers.get_all(header::FORWARDED).iter().rev() {
        let text = value.to_str().map_err(|_| Reason::BadHeader)?;
        for hop in hops(text).ok_or(Reason::BadHeader)?.into_iter().rev() {
            // A proxy that names its client by a word of its own leaves us without an address to decide by.
            told = Told { client: hop.node.and_then(node).ok_or(Reason::BadHeader)?, https: hop.https };
            if !settings.trusts(told.client) {
                return Ok(told);
            }
        }
    }
    Ok(told)
}

/// What one proxy said.
#[derive(Debug, Default)]
struct Hop<'a> {
    node: Option<&'a str>,
    https: bool,
}

/// Reads a whole `Forwarded` (RFC 7239 section 4), strictly: none where it is anything else, or says something twice.
fn hops(text: &str) -> Option<Vec<Hop<'_>>> {
    let (mut hops, mut rest) = (Vec::new(), text);
    loop {
        let (mut hop, mut seen) = (Hop::default(), Vec::new());
        let end = loop {
            let (name, after) = rest.trim_start_matches([' ', '\t']).split_once('=')?;
            let (value, after) = value(after)?;
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "for" => hop.node = Some(value),
                "proto" => hop.https = value.eq_ignore_ascii_case("https"),
                _ => {}
            }
            if name.is_empty() || !name.bytes().all(is_token) || seen.contains(&name) {
                return None;
            }
            seen.push(name);
            let after = after.trim_start_matches([' ', '\t']);
            match after.bytes().next() {
                Some(b';') => rest = &after[1..],
                Some(b',') => break Some(&after[1..]),
                None => break None,
                Some(_) => return None,
            }
        };
        hops.push(hop);
        match end {
            Some(more) => rest = more,
            None => return Some(hops),
        }
    }
}

/// A token, or what stands between quotes; and what follows. Nobody escapes anything in an address, so a backslash is
/// refused.
fn value(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, after) = quoted.split_once('"')?;
        return (!value.contains('\\')).then_some((value, after));
    }
    let end = text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The address of a node: `192.0.2.43`, `192.0.2.43:47011`, `[2001:db8::17]`, `[2001:db8::17]:47011`.
fn node(text: &str) -> Option<IpAddr> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().ok().filter(|_| fine).map(IpAddr::V6);
    }
    match text.split_once(':') {
        Some((address, port)) => address.parse().ok().filter(|_| is_port(port)).map(IpAddr::V4),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::Door;

    const PROXY: &str = "10.0.0.1";

    fn told(by: ForwardedBy, peer: &str, name: &'static str, values: &[&str]) -> Result<(String, bool), Reason> {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let settings = Settings { trusted_proxies, forwarded: by, ..Settings::default() };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let peer: IpAddr = peer.parse().unwrap();
        let connection = Connection::plain((peer, 1).into(), Door::Public);
        read(&connection, &headers, &settings).map(|told| (told.client.to_string(), told.https))
    }

    #[test]
    fn a_listed_proxy_is_believed_about_its_client() {
        for (values, client, https) in [
            (&["for=192.0.2.43"][..], "192.0.2.43", false),
            (&["for=192.0.2.43;proto=https;by=203.0.113.43"], "192.0.2.43", true),
            (&["For=\"[2001:db8:cafe::17]:4711\";Proto=HTTPS"], "2001:db8:cafe::17", true),
            (&["for=\"192.0.2.43:47011\" ; host=a"], "192.0.2.43", false),
            (&["for=192.0.2.99;proto=https, for=192.0.2.43;proto=http, for=10.0.0.9;proto=https"], "192.0.2.43", false),
            (&["for=192.0.2.99", "for=192.0.2.43,for=10.0.0.9"], "192.0.2.43", false),
            (&["for=10.0.0.7,for=10.0.0.9"], "10.0.0.7", false),
            (&["for=\"[::ffff:192.0.2.43]\""], "192.0.2.43", false),
            // What a client wrote before the proxy's own word may be anything that reads at all.
            (&["for=unknown;for_=_x, for=192.0.2.43"], "192.0.2.43", false),
            (&[], PROXY, false),
        ] {
            let found = told(ForwardedBy::Forwarded, PROXY, "forwarded", values);
            assert_eq!(found, Ok((client.to_owned(), https)), "{values:?}");
        }
    }

    #[test]
    fn what_has_two_readings_or_none_is_refused() {
        for value in [
            "for=unknown",
            "for=_hidden",
            "for=192.0.2.43;for=192.0.2.44",
            "for=192.0.2.43;FOR=192.0.2.44",
            "proto=https",
            "for",
            "for=",
            "",
            ",for=192.0.2.43",
            "for=192.0.2.43,",
            "for=192.0.2.43;",
            "for=\"192.0.2.43",
            "for=\"192.0.2.\\43\"",
            "for=[2001:db8::1]",
            "for=\"2001:db8::1\"",
            "for=\"192.0.2.43:\"",
            "for=\"192.0.2.43:80x\"",
            "for =192.0.2.43",
            "for= 192.0.2.43",
            "for=192.0.2.43 x",
            "x\";y=for=192.0.2.43",
        ] {
            let found = told(ForwardedBy::Forwarded, PROXY, "forwarded", &[value]);
            assert_eq!(found, Err(Reason::BadHeader), "{value}");
        }
    }

    #[test]
    fn nobody_else_and_no_other_header_is_believed() {
        let ours = |by, peer, name| told(by, peer, name, &["for=192.0.2.43;proto=https"]).unwrap();
        assert_eq!(ours(ForwardedBy::Forwarded, "192.0.2.1", "forwarded"), ("192.0.2.1".to_owned(), false));
        assert_eq!(ours(ForwardedBy::XForwardedFor, PROXY, "forwarded"), (PROXY.to_owned(), false));
        let other = told(ForwardedBy::Forwarded, PROXY, "x-forwarded-for", &["192.0.2.43"]).unwrap();
        assert_eq!(other, (PROXY.to_owned(), false));
        let https = told(ForwardedBy::Forwarded, PROXY, "x-forwarded-proto", &["https"]).unwrap();
        assert_eq!(https, (PROXY.to_owned(), false));
    }
}
