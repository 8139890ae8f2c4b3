//! The security headers of all pages of ours, in one place.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use cardea_core::Language;

/// Sets what every page of ours carries beside its own content security policy.
pub fn secure(headers: &mut HeaderMap, content_security_policy: &HeaderValue) {
    headers.insert(header::CONTENT_SECURITY_POLICY, content_security_policy.clone());
    for (name, value) in FIXED {
        headers.insert(name, value);
    }
}

/// Says which language the words are in, and that another reader may be given others (RFC 9110 sections 8.5 and 12.5.5).
pub fn spoken(headers: &mut HeaderMap, language: Language) {
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
}

/// The content security policy of a page whose forms end at its own host or at one of `form_targets` (origins).
///
/// Browsers of the Chromium family apply `form-action` to every redirect that follows a form, so the hosts to which a
/// sign-in hands over belong in it.
pub fn content_security_policy(form_targets: &[String]) -> HeaderValue {
    let mut policy = String::from(BASE);
    policy.push_str("; form-action 'self'");
    for origin in form_targets.iter().filter(|origin| is_origin(origin)) {
        policy.push(' ');
        policy.push_str(origin);
    }
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(STRICTEST))
}

/// The policy of a page at a host that is none of ours: nothing may be loaded but the style named by its hash.
pub fn bare_policy(style_sha256: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style_sha256}'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(STRICTEST))
}

const BASE: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                    frame-ancestors 'none'; base-uri 'none'";
const STRICTEST: &str = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const FIXED: [(HeaderName, HeaderValue); 6] = [
    // INVARIANT: not `no-referrer`: with it a browser sends `Origin: null` with our own forms, and the check against
    // requests of other sites would refuse them (Fetch, "append a request `Origin` header").
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    // What a page shows is one person's; neither a proxy nor the back button of the next person may keep it.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// An origin in a policy must not be able to end its directive.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    matches!(scheme, "http" | "https")
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_may_end_at_the_tenants_hosts_and_nowhere_else() {
        let policy = content_security_policy(&["https://records.acme.test:8443".to_owned()]);
        let text = policy.to_str().unwrap();
        assert!(text.ends_with("form-action 'self' https://records.acme.test:8443"), "{text}");
        assert!(text.starts_with("default-src 'none'"), "{text}");
        assert!(!text.contains("unsafe"), "{text}");
    }

    #[test]
    fn a_hostile_origin_cannot_widen_the_policy() {
        for hostile in
            ["https://a; script-src *", "https://a 'unsafe-inline'", "*", "https://*", "data:", "https://a\n"]
        {
            let policy = content_security_policy(&[hostile.to_owned()]);
            assert!(policy.to_str().unwrap().ends_with("form-action 'self'"), "{hostile:?}");
        }
    }

    #[test]
    fn every_page_has_the_whole_set() {
        let mut headers = HeaderMap::new();
        secure(&mut headers, &content_security_policy(&[]));
        for name in ["content-security-policy", "referrer-policy", "x-content-type-options", "x-frame-options"] {
            assert!(headers.contains_key(name), "{name}");
        }
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
    }
}
