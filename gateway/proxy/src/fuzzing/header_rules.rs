//! No inbound identity header survives in any spelling, in headers or trailers; what is a service's own survives whole.

use std::sync::Arc;

use cardea_core::{Caller, EntryId, Timestamp, UserId, caller::UserFacts, entropy::Fixed, resources::Claim};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{folded, head, headers};
use crate::{
    Canonical, Connection, Door, Snapshot,
    headers::{self as rules, outbound},
};

/// Headers that an app maps, one in a spelling of its own.
const MAPPED: [(HeaderName, Claim); 2] =
    [(HeaderName::from_static("remote-user"), Claim::Email), (HeaderName::from_static("x_legacy_user"), Claim::Sub)];

/// What says who calls, from where and for what, and what lies between two hops.
const FORBIDDEN: [&str; 27] = [
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
    "remote-user",
    "x-legacy-user",
    "connection",
    "keep-alive",
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

/// What other products say of who calls, whether an app maps it or not.
const FORBIDDEN_UNMAPPED: [&str; 21] = [
    "remote-groups",
    "remote-name",
    "remote-email",
    "x-remote-user",
    "x-remote-group",
    "client-cert",
    "client-cert-chain",
    "x-ms-client-principal",
    "x-remote-uid",
    "x-arr-clientcert",
    "x-client-dn",
    "x-client-verify",
    "x-ssl-cert",
    "x-anonymous-consumer",
    "x-credential-identifier",
    "x-tls-client-cert",
    "sm-user",
    "teleport-jwt-assertion",
    "x-jwt-assertion",
    "x-userinfo",
    "x-proxy-user",
];

const FORBIDDEN_FAMILIES: [&str; 25] = [
    "cardea-",
    "x-forwarded-",
    "x-auth-request-",
    "x-remote-extra-",
    "x-webauth-",
    "ssl-client-",
    "x-ssl-client-",
    "x-client-cert",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "cf-access-",
    "x-amzn-oidc-",
    "x-ms-client-principal-",
    "x-pomerium-",
    "x-authentik-",
    "tailscale-user-",
    "x-vouch-",
    "oidc-claim-",
    "shib-",
    "x-amzn-mtls-",
    "x-authenticated-",
    "x-consumer-",
    "impersonate-",
    "iv-",
    "x-teleport-",
];

fn is_forbidden(name: &HeaderName) -> bool {
    let name = folded(name);
    FORBIDDEN_FAMILIES.iter().any(|family| name.starts_with(family))
        || FORBIDDEN.contains(&name.as_str())
        || FORBIDDEN_UNMAPPED.contains(&name.as_str())
}

fn is_override(name: &HeaderName) -> bool {
    ["x-http-method-override", "x-http-method", "x-method-override"].contains(&folded(name).as_str())
}

/// Headers, one to a line.
pub fn header_rules(data: &[u8]) {
    let sent = headers(data);
    let mut cleaned = sent.clone();
    if rules::clean(&mut cleaned, &MAPPED).is_ok() {
        check_request(&sent, &cleaned);
        check_told(&cleaned);
    }
    let mut trailers = sent.clone();
    rules::clean_trailers(&mut trailers, &MAPPED);
    for name in trailers.keys() {
        let framing = ["host", "content-length", "cookie", "authorization", "content-type"];
        assert!(!is_forbidden(name) && !framing.contains(&folded(name).as_str()), "trailer {name} came through");
    }
    let mut answer = sent.clone();
    rules::clean_answer(&mut answer, true);
    for name in ["connection", "keep-alive", "transfer-encoding", "upgrade", "te", "alt-svc"] {
        assert!(!answer.contains_key(name), "{name} came back");
    }
}

fn check_request(sent: &HeaderMap, cleaned: &HeaderMap) {
    for name in cleaned.keys() {
        assert!(!is_forbidden(name), "{name} came through");
        assert!(!is_override(name) && !name.as_str().contains('_'), "{name} has two readings");
    }
    let listed = |name: &HeaderName| {
        let lists = |value: &HeaderValue| {
            value
                .as_bytes()
                .split(|&b| b == b',')
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
        };
        sent.get_all("connection").iter().any(lists) && !["close", "keep-alive"].contains(&name.as_str())
    };
    for name in sent.keys() {
        let values = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        match (is_forbidden(name), listed(name)) {
            (false, false) => assert_eq!(values(cleaned), values(sent), "{name} is the service's own"),
            _ => assert!(!cleaned.contains_key(name), "{name} came through"),
        }
    }
}

/// After ours are set, each of the kind is ours, and stands once.
fn check_told(cleaned: &HeaderMap) {
    let (connection, snapshot) = (Connection::plain(([192, 0, 2, 7], 1).into(), Door::Public), Snapshot::default());
    let Some(head) = head(http::Uri::from_static("/x"), b"a.test:8443") else { return };
    let Ok((canonical, _)) = Canonical::read(&head, &connection, &snapshot) else { return };
    let random = Fixed::new(1);
    let id = outbound::request_id(EntryId::mint(Timestamp::from_micros(1), &random));
    let mira = Caller::User(Arc::new(UserFacts {
        id: UserId::mint(Timestamp::from_micros(1), &random),
        email: "mira@acme.test".to_owned(),
        name: "Mira".to_owned(),
        groups: Vec::new(),
        attributes: cardea_core::Attributes::default(),
    }));
    for caller in [Caller::Visitor, mira] {
        let mut told = cleaned.clone();
        let assertion = HeaderValue::from_static("signed");
        outbound::tell(&mut told, &canonical, &connection.told, &id, Some(assertion));
        outbound::map_claims(&mut told, &MAPPED, &caller);
        let user = matches!(caller, Caller::User(_));
        for name in told.keys().filter(|name| is_forbidden(name)) {
            let values: Vec<_> = told.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            let fine = match name.as_str() {
                "cardea-assertion" => values == [b"signed"],
                "x-request-id" => values == [id.as_bytes()],
                "forwarded" => values == [b"for=192.0.2.7;host=\"a.test:8443\";proto=http"],
                "x-forwarded-for" => values == [b"192.0.2.7"],
                "x-forwarded-host" => values == [b"a.test:8443"],
                "x-forwarded-proto" => values == [b"http"],
                "remote-user" => user && values == [b"mira@acme.test"],
                "x_legacy_user" => user && values.len() == 1,
                _ => false,
            };
            assert!(fine, "{name}: {values:?}");
        }
        assert_eq!(told.get_all("host").iter().collect::<Vec<_>>(), ["a.test:8443"]);
        assert_eq!(told.get_all("via").iter().next_back().map(HeaderValue::as_bytes), Some(&b"1.1 cardea"[..]));
    }
}
