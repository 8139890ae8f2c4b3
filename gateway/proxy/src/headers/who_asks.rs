//! By which headers other products tell a service who asks.

/// Headers by which proxies and identity products tell services who asks. A service may believe one that its app does not map.
/// The list is closed: what services use for their own ends (`X-User`, `X-Email`) is not among it.
const TELLS_WHO_ASKS: [&str; 22] = [
    // Authelia and many others; Kubernetes.
    "remote-user",
    "remote-groups",
    "remote-name",
    "remote-email",
    "x-remote-user",
    "x-remote-uid",
    "x-remote-group",
    // RFC 9440.
    "client-cert",
    "client-cert-chain",
    // Certificates in the words of HAProxy's, nginx's and Azure's documentation.
    "x-arr-clientcert",
    "x-client-dn",
    "x-client-verify",
    "x-ssl-cert",
    "x-tls-client-cert",
    // Without a claim behind it, too (Azure App Service).
    "x-ms-client-principal",
    // SiteMinder, Teleport, WSO2, APISIX.
    "sm-user",
    "teleport-jwt-assertion",
    "x-jwt-assertion",
    "x-userinfo",
    // Nobody's in particular.
    "x-proxy-user",
    // Kong, and gateways that speak as it does.
    "x-anonymous-consumer",
    "x-credential-identifier",
];

/// Beginnings of such names.
const BEGINNINGS_OF_WHO_ASKS: [&str; 23] = [
    "cf-access-",
    // Kubernetes, of whoever may act as others.
    "impersonate-",
    // IBM's WebSEAL.
    "iv-",
    // mod_auth_openidc: `OIDC_CLAIM_email`, as a service reads it.
    "oidc-claim-",
    "shib-",
    "ssl-client-",
    "tailscale-user-",
    "x-amzn-mtls-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-authenticated-",
    "x-authentik-",
    "x-client-cert",
    "x-consumer-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-ms-client-principal-",
    "x-pomerium-",
    "x-remote-extra-",
    "x-ssl-client-",
    "x-teleport-",
    "x-vouch-",
    "x-webauth-",
];

/// Whether it is one of the names by which services are told who asks; `name` is folded. Two letters tell nearly every other
/// header apart.
pub(super) fn tells_who_asks(name: &str) -> bool {
    matches!(
        name.as_bytes(),
        [b'x', b'-', ..]
            | [b'r', b'e', ..]
            | [b'c', b'l' | b'f', ..]
            | [b's', b's' | b'h' | b'm', ..]
            | [b't', b'a' | b'e', ..]
            | [b'o', b'i', ..]
            | [b'i', b'm' | b'v', ..]
    ) && (TELLS_WHO_ASKS.contains(&name) || BEGINNINGS_OF_WHO_ASKS.iter().any(|beginning| name.starts_with(beginning)))
}
