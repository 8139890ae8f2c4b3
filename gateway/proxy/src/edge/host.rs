//! The host, in one spelling.

use std::{net::Ipv6Addr, sync::Arc};

use cardea_core::Reason;
use http::{HeaderMap, Uri, header};

/// Longest host name (RFC 1035 section 2.3.4).
const HOST_MAX: usize = 253;

/// The host that a request is for, and the port named beside it. Where the request line names one too, they must agree.
pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Result<(Arc<str>, Option<u16>), Reason> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(Reason::BadHost),
        (Some(one), None) => Some(canonical(one.to_str().map_err(|_| Reason::BadHost)?)?),
        (None, _) => None,
    };
    let target = uri.authority().map(|authority| canonical(authority.as_str())).transpose()?;
    match (target, named) {
        (Some(target), Some(named)) if target != named => Err(Reason::BadHost),
        (Some(one), _) | (None, Some(one)) => Ok(one),
        (None, None) => Err(Reason::BadHost),
    }
}

/// `Example.COM.:8443` is `example.com` and 8443. User information, empty labels and anything beyond letters, digits
/// and hyphens are refused; international names come in their `xn--` form.
pub(crate) fn canonical(authority: &str) -> Result<(Arc<str>, Option<u16>), Reason> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(Reason::BadHost)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Reason::BadHost)?;
        return Ok((address.to_string().into(), port_of(port)?));
    }
    let (name, port) = match authority.bytes().position(|b| b == b':') {
        Some(at) => (&authority[..at], port_of(&authority[at..])?),
        None => (authority, None),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let fine = name.len() <= HOST_MAX && name.as_bytes().split(|&b| b == b'.').all(is_label);
    if !fine {
        return Err(Reason::BadHost);
    }
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Ok((name.to_ascii_lowercase().into(), port));
    }
    Ok((name.into(), port))
}

fn is_label(label: &[u8]) -> bool {
    (1..=63).contains(&label.len())
        && label.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with(b"-")
        && !label.ends_with(b"-")
}

fn port_of(text: &str) -> Result<Option<u16>, Reason> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix(':').ok_or(Reason::BadHost)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Reason::BadHost);
    }
    digits.parse().map(Some).map_err(|_| Reason::BadHost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_spelling() {
        for (written, meant, port) in [
            ("records.acme.test", "records.acme.test", None),
            ("Records.ACME.Test", "records.acme.test", None),
            ("records.acme.test.", "records.acme.test", None),
            ("records.acme.test.:8443", "records.acme.test", Some(8443)),
            ("xn--bcher-kva.test", "xn--bcher-kva.test", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::0001]:443", "::1", Some(443)),
        ] {
            let (host, found) = canonical(written).unwrap();
            assert_eq!((&*host, found), (meant, port), "{written}");
        }
    }

    #[test]
    fn a_host_with_two_readings_is_refused() {
        for written in [
            "",
            ".",
            "a..b",
            "a.test..",
            "user@a.test",
            "a.test:",
            "a.test:80:80",
            "a.test:+80",
            "a.test:99999",
            "a b",
            "a_b.test",
            "bücher.test",
            "a.test/x",
            "a.test\\x",
            "[::1",
            "[::1]x",
            "[fe80::1%25eth0]",
            "-a.test",
            "a%2etest",
            "a.test,b.test",
        ] {
            assert_eq!(canonical(written), Err(Reason::BadHost), "{written}");
        }
    }
}
