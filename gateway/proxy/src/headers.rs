//! Header hygiene in both directions. What identifies the caller never comes from outside.
//!
//! Names are compared after folding: every character but letters and digits counts as `-`, in any case, since CGI and
//! its heirs fold them so (`X_Forwarded.User`). A name that folds to a protected one is dropped; another with `_` is
//! refused, since two services would read it as two names.

use std::sync::OnceLock;

use cardea_core::{
    Reason,
    resources::{Claim, Dialect},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use self::who_asks::tells_who_asks;
use crate::edge::lists;

pub(crate) mod cookies;
pub(crate) mod outbound;
mod who_asks;

/// Headers between two hops only (RFC 9110 section 7.6.1), and those that this hop answers itself. `Trailer` is none of
/// them: over HTTP/1.1 only the trailers that it announces are sent.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    // Nobody's: but CGI makes `HTTP_PROXY` of it, which programs take for their own setting (CVE-2016-5385).
    "proxy",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
];

/// Headers by which proxies tell services what the client asked: ours alone to set.
const TOLD_BY_PROXIES: [&str; 14] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-original-forwarded-for",
    "x-rewrite-url",
    "x-envoy-original-path",
    "x-envoy-external-address",
    "x-request-id",
];

/// Headers that make a service act by another method than the one that was decided on.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Whether only the gateway may set this header; `name` is folded.
fn is_protected(name: &str) -> bool {
    name.starts_with("cardea-")
        || name.starts_with("x-forwarded-")
        || TOLD_BY_PROXIES.contains(&name)
        || tells_who_asks(name)
}

/// Names by which a request tells who asks, and which the app does not map: for a proxy that can be told what to drop.
pub(crate) fn unmapped(headers: &HeaderMap, mapped: &[(HeaderName, Claim)]) -> Vec<HeaderName> {
    let is_mapped = |name: &HeaderName| mapped.iter().any(|(ours, _)| ours == name);
    headers.keys().filter(|name| tells_who_asks(name.as_str()) && !is_mapped(name)).cloned().collect()
}

/// Removes from a request what must not come from outside, and refuses names with two readings.
pub(crate) fn clean(headers: &mut HeaderMap, mapped: &[(HeaderName, Claim)]) -> Result<(), Reason> {
    let mut dropped: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        match judge(name.as_str(), mapped) {
            Judgement::Keep if is_single(name.as_str()) && headers.get_all(name).iter().nth(1).is_some() => {
                return Err(Reason::BadHeader);
            }
            Judgement::Keep => {}
            Judgement::Drop => dropped.push(name.clone()),
            Judgement::Refuse => return Err(Reason::BadHeader),
        }
    }
    let listed = listed_by_connection(headers);
    if listed.iter().any(is_for_the_end) {
        return Err(Reason::BadHeader);
    }
    for name in dropped.into_iter().chain(listed) {
        headers.remove(name);
    }
    Ok(())
}

/// Refuses headers in a spelling of a protected name that only a service would read so. For requests that another proxy
/// carries: it drops the names that it is told of, and no others. So those are refused, too, that make a service act at
/// another address than the one that was decided on. `X-Original-URL` is such a name, but where nginx describes by it.
pub(crate) fn refuse_spellings(
    headers: &HeaderMap,
    mapped: &[(HeaderName, Claim)],
    dialect: Dialect,
) -> Result<(), Reason> {
    let described_by = |name: &str| dialect == Dialect::Nginx && name == "x-original-url";
    let moves = |name: &&str| headers.contains_key(*name) && !described_by(name);
    if ["x-original-url", "x-rewrite-url", "x-original-host", "proxy"].iter().any(moves) {
        return Err(Reason::BadHeader);
    }
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let mut odd = headers.keys().map(HeaderName::as_str).filter(|name| !plain(name));
    if odd.any(|name| !matches!(judge(name, mapped), Judgement::Keep)) { Err(Reason::BadHeader) } else { Ok(()) }
}

/// Headers that say who sent a request, from where and what it holds. A `Connection` that lists one would take it away
/// from whoever decides by it, and no honest sender lists it (RFC 9110 section 7.6.1). The host is ours to set.
fn is_for_the_end(name: &HeaderName) -> bool {
    let name = name.as_str();
    name != "host" && is_framing(name) || name.starts_with("sec-fetch-") || matches!(name, "origin" | "referer")
}

/// Headers that say one thing (RFC 9110 section 5.3): of two, some services take the first, others the last or both.
fn is_single(name: &str) -> bool {
    name.starts_with("sec-fetch-") || matches!(name, "origin" | "referer" | "authorization" | "content-type" | "range")
}

enum Judgement {
    Keep,
    Drop,
    Refuse,
}

fn judge(name: &str, mapped: &[(HeaderName, Claim)]) -> Judgement {
    let bears_identity = |folded: &str| is_protected(folded) || mapped.iter().any(|(ours, _)| folds_to(ours, folded));
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return match name {
            _ if METHOD_OVERRIDES.contains(&name) => Judgement::Refuse,
            _ if HOP_BY_HOP.contains(&name) || bears_identity(name) => Judgement::Drop,
            _ => Judgement::Keep,
        };
    }
    let folded = fold(name);
    match folded.as_str() {
        folded if bears_identity(folded) || HOP_BY_HOP.contains(&folded) => Judgement::Drop,
        _ if name.contains('_') => Judgement::Refuse,
        folded if METHOD_OVERRIDES.contains(&folded) || is_framing(folded) => Judgement::Refuse,
        _ => Judgement::Keep,
    }
}

/// Names that say where a message goes, how long it is or who sends it: an odd spelling of one has two readings.
fn is_framing(folded: &str) -> bool {
    matches!(folded, "host" | "content-length" | "cookie" | "authorization" | "content-type")
}

/// A name as it is compared: every character but letters and digits counts as `-`, in any case.
pub(crate) fn fold(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn folds_to(ours: &HeaderName, folded: &str) -> bool {
    let ours = ours.as_str();
    ours == folded || ours.len() == folded.len() && fold(ours) == folded
}

/// Names that the sender's `Connection` lists. Removed before ours are set, so that it cannot strip ours.
fn listed_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        for part in value.as_bytes().split(|&b| b == b',') {
            let part = part.trim_ascii();
            if part.eq_ignore_ascii_case(b"close") || part.eq_ignore_ascii_case(b"keep-alive") {
                continue;
            }
            names.extend(HeaderName::from_bytes(part));
        }
    }
    names
}

/// Removes from trailers what no trailer may say (RFC 9110 section 6.5.1), and all that identifies the caller.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap, mapped: &[(HeaderName, Claim)]) {
    let dropped: Vec<_> = trailers
        .keys()
        .filter(|name| {
            let odd = !matches!(judge(name.as_str(), mapped), Judgement::Keep);
            odd || is_framing(&fold(name.as_str()))
        })
        .cloned()
        .collect();
    for name in dropped {
        trailers.remove(name);
    }
}

/// Removes from an answer's trailers what no trailer may say: how long the message is, who may keep it, and cookies.
pub(crate) fn clean_trailers_of_answer(trailers: &mut HeaderMap) {
    let odd = |name: &str| {
        HOP_BY_HOP.contains(&name)
            || is_framing(name)
            || matches!(
                name,
                "trailer" | "set-cookie" | "cache-control" | "location" | "alt-svc" | "strict-transport-security"
            )
    };
    let dropped: Vec<_> = trailers.keys().filter(|name| odd(name.as_str())).cloned().collect();
    for name in dropped {
        trailers.remove(name);
    }
}

/// Whether an `OPTIONS` may go one hop further, by `Max-Forwards`, which then says one less (RFC 9110 section 7.6.2). What is
/// no number of hops has two readings: who ignores it forwards without end.
pub(crate) fn goes_on(headers: &mut HeaderMap) -> Result<bool, Reason> {
    let mut values = headers.get_all(header::MAX_FORWARDS).iter();
    let Some(value) = values.next() else { return Ok(true) };
    let digits = value.as_bytes();
    if values.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::BadHeader);
    }
    // More than that is more than there are hops.
    let hops = value.to_str().ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(u32::MAX);
    let Some(left) = hops.checked_sub(1) else { return Ok(false) };
    headers.insert(header::MAX_FORWARDS, HeaderValue::from(left));
    Ok(true)
}

/// Whether the client takes trailers: the one thing in `TE` that is worth passing on (gRPC needs it).
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(header::TE).iter().any(|value| lists(value.as_bytes(), b"trailers"))
}

/// Removes from an upstream's answer what is between it and us, and cookies that would overwrite ours.
pub(crate) fn clean_answer(headers: &mut HeaderMap, tls: bool) {
    let mut dropped: Vec<_> = headers.keys().filter(|name| HOP_BY_HOP.contains(&name.as_str())).cloned().collect();
    dropped.extend(listed_by_connection(headers));
    for name in dropped {
        headers.remove(name);
    }
    // It would lead browsers past us.
    headers.remove(header::ALT_SVC);
    cookies::keep_ours_from_answer(headers);
    headers.append(header::VIA, via().clone());
    secure(headers, tls);
}

/// HSTS over TLS, unless the service has words of its own.
pub(crate) fn secure(headers: &mut HeaderMap, tls: bool) {
    // A year: what browsers ask for before they keep a host in their lists.
    static HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
    if tls && !headers.contains_key(header::STRICT_TRANSPORT_SECURITY) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS.clone());
    }
}

pub(crate) fn via() -> &'static HeaderValue {
    static VIA: OnceLock<HeaderValue> = OnceLock::new();
    VIA.get_or_init(|| HeaderValue::from_static("1.1 cardea"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped() -> Vec<(HeaderName, Claim)> {
        vec![
            (HeaderName::from_static("remote-user"), Claim::Email),
            (HeaderName::from_static("x_legacy_user"), Claim::Sub),
        ]
    }

    fn after(name: &str) -> Result<bool, Reason> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("forged"));
        clean(&mut headers, &mapped()).map(|()| !headers.is_empty())
    }

    #[test]
    fn identity_headers_are_dropped_in_every_spelling() {
        for name in [
            "Cardea-Assertion",
            "cardea_assertion",
            "CARDEA.ASSERTION",
            "cardea-anything",
            "Remote-User",
            "remote_user",
            "Remote.User",
            "X-Legacy-User",
            "X_Legacy_User",
            "X-Forwarded-User",
            "X_Forwarded_User",
            "x-forwarded-uri",
            "X-Forwarded-Prefix",
            "x_forwarded.proto",
            "Forwarded",
            "X-Real-IP",
            "x_real_ip",
            "X-Original-URL",
            "Proxy",
            "Via_",
        ]
        .into_iter()
        .chain(UNMAPPED.iter().copied())
        {
            let outcome = after(name);
            if name == "Via_" {
                assert_eq!(outcome, Err(Reason::BadHeader), "a name with `_` that is nobody's is refused");
            } else {
                assert_eq!(outcome, Ok(false), "{name} came through");
            }
        }
    }

    /// Found by sending them: a service believed what its app does not map.
    const UNMAPPED: &[&str] = &[
        "X-Auth-Request-User",
        "X-Auth-Request-Email",
        "X-Auth-Request-Groups",
        "X-Auth-Request-Preferred-Username",
        "X-Auth-Request-Access-Token",
        "x_auth_request_user",
        "X.Auth.Request_User",
        "Remote-Groups",
        "Remote-Name",
        "remote_email",
        "X-Remote-User",
        "X-Remote-Group",
        "X-Remote-Extra-Scopes",
        "X-WEBAUTH-USER",
        "X_WEBAUTH_USER",
        "X-WebAuth-Role",
        "Client-Cert",
        "client_cert",
        "Client-Cert-Chain",
        "SSL-Client-Verify",
        "SSL_CLIENT_S_DN",
        "X-Client-Cert",
        "X-Client-Cert-Subject",
        "X-Client-Certificate",
        "X-SSL-Client-DN",
        "X-Goog-Authenticated-User-Email",
        "X-Goog-IAP-JWT-Assertion",
        "Cf-Access-Jwt-Assertion",
        "Cf-Access-Authenticated-User-Email",
        "X-Amzn-Oidc-Identity",
        "X-MS-CLIENT-PRINCIPAL",
        "X-MS-Client-Principal-Name",
        "X-Pomerium-Jwt-Assertion",
        "X-Authentik-Username",
        "Tailscale-User-Login",
        "tailscale_user_login",
        "X-Vouch-User",
        "OIDC-CLAIM-email",
        "OIDC_CLAIM_email",
        "Shib-Identity-Provider",
        "X-Amzn-Mtls-Clientcert-Subject",
        "X-ARR-ClientCert",
        "X-Remote-Uid",
        "X-SSL-Cert",
        "X-Client-Verify",
        "X-Client-DN",
        "X-Consumer-Username",
        "X-Credential-Identifier",
        "X-Authenticated-Userid",
        "Sm-User",
        "iv-user",
        "Teleport-Jwt-Assertion",
        "X-Teleport-User",
        "X-Tls-Client-Cert",
        "X-JWT-Assertion",
        "X-Userinfo",
        "Impersonate-User",
        "X-Proxy-User",
    ];

    #[test]
    fn what_an_app_calls_its_own_comes_through() {
        for name in [
            "Accept",
            "X-Api-Version",
            "If-None-Match",
            "x.vendor",
            "Authorization",
            "X-Forwarder",
            "X-User",
            "X-Email",
            "X-Script-Name",
            "X-Client-Id",
            "X-Remote-Users",
            "X-Auth-Token",
            "X-Vouchers",
            "Remote-Control",
            "Client-Certainty",
            "CF-Ray",
            "SSL-Session",
            "Tailscale-Version",
            "OIDC-State",
            "X-Auth-User",
            "Smtp-From",
            "TE-Version",
            "If-Match",
            "Shibboleth",
            "X-Consumer",
            "X-MS-Token",
        ] {
            assert_eq!(after(name), Ok(true), "{name}");
        }
        for name in ["x_custom", "content_length", "content.length", "X-HTTP-Method-Override", "x_http_method"] {
            assert_eq!(after(name), Err(Reason::BadHeader), "{name}");
        }
    }

    /// Found by comparing how services read: gunicorn took the last `Content-Type`, others both.
    #[test]
    fn what_says_one_thing_is_said_once() {
        for name in ["Content-Type", "Authorization", "Origin", "Referer", "Sec-Fetch-Site", "Range"] {
            let mut headers = HeaderMap::new();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(&name, HeaderValue::from_static("a"));
            assert_eq!(clean(&mut headers, &[]), Ok(()), "{name}");
            headers.append(&name, HeaderValue::from_static("b"));
            assert_eq!(clean(&mut headers, &[]), Err(Reason::BadHeader), "{name}");
        }
    }

    #[test]
    fn another_proxy_is_given_no_second_address_to_pass_on() {
        use Dialect::{Caddy, Envoy, Haproxy, Nginx, Traefik};
        for (name, passes) in [
            ("x-rewrite-url", &[][..]),
            ("X-Original-Host", &[]),
            ("proxy", &[]),
            // A part of nginx's own description.
            ("X-Original-URL", &[Nginx]),
            ("x_original_url", &[]),
            ("accept", &[Nginx, Traefik, Caddy, Haproxy, Envoy]),
        ] {
            for dialect in [Nginx, Traefik, Caddy, Haproxy, Envoy] {
                let mut headers = HeaderMap::new();
                headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("/admin"));
                let passed = refuse_spellings(&headers, &mapped(), dialect).is_ok();
                assert_eq!(passed, passes.contains(&dialect), "{name} {dialect:?}");
            }
        }
    }

    #[test]
    fn connection_lists_strip_only_what_the_client_sent() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_static("close, X-Own , cardea-assertion, te"));
        headers.insert("x-own", HeaderValue::from_static("1"));
        headers.insert("accept", HeaderValue::from_static("*/*"));
        clean(&mut headers, &[]).unwrap();
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn connection_lists_take_away_nothing_that_decides() {
        for name in ["Origin", "sec-fetch-site", "Sec-Fetch-Mode", "referer", "cookie", "authorization"] {
            let mut headers = HeaderMap::new();
            headers.insert("connection", HeaderValue::from_str(&format!("close, {name}")).unwrap());
            assert_eq!(clean(&mut headers, &[]), Err(Reason::BadHeader), "{name}");
        }
    }

    #[test]
    fn trailers_cannot_say_who_calls() {
        let mut trailers = HeaderMap::new();
        for name in [
            "cardea-assertion",
            "remote_user",
            "x-forwarded-user",
            "x-auth-request-user",
            "client_cert",
            "content-length",
            "x-checksum",
            "host",
        ] {
            trailers.insert(name, HeaderValue::from_static("x"));
        }
        clean_trailers(&mut trailers, &mapped());
        assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-checksum"]);
    }
}
