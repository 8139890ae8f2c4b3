//! Answer headers that make browsers stricter, where a service says nothing itself. Why each is on, and why others are not:
//! [`HardeningSpec`].

use cardea_core::resources::HardeningSpec;
use http::{HeaderMap, HeaderName, HeaderValue, header};

static POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
static NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
static REFERRER: HeaderValue = HeaderValue::from_static("strict-origin-when-cross-origin");
/// By which a service says for how long an answer may be kept.
static SAYS_HOW_LONG: [HeaderName; 3] = [header::CACHE_CONTROL, header::EXPIRES, header::PRAGMA];
static ASKED_EACH_TIME: HeaderValue = HeaderValue::from_static("private, no-cache");
static SAME_ORIGIN: HeaderValue = HeaderValue::from_static("SAMEORIGIN");

/// Hardens a service's answer to somebody who is signed in or not, before the app's own rewriting has the last word.
pub(crate) fn harden(spec: &HardeningSpec, signed_in: bool, headers: &mut HeaderMap) {
    if !spec.on {
        return;
    }
    if spec.hide_server {
        headers.remove(header::SERVER);
        headers.remove(&POWERED_BY);
    }
    if spec.content_type_options {
        headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert_with(|| NOSNIFF.clone());
    }
    if spec.referrer_policy {
        headers.entry(header::REFERRER_POLICY).or_insert_with(|| REFERRER.clone());
    }
    if spec.frame_options && !says_who_frames(headers) {
        headers.entry(header::X_FRAME_OPTIONS).or_insert_with(|| SAME_ORIGIN.clone());
    }
    if spec.cache_control && signed_in && !SAYS_HOW_LONG.iter().any(|name| headers.contains_key(name)) {
        headers.insert(header::CACHE_CONTROL, ASKED_EACH_TIME.clone());
    }
}

/// Whether a policy of the answer's says who may frame it. One that does not leaves that open to everybody:
/// `frame-ancestors` does not fall back to `default-src` (CSP 3, section 6.4.2).
fn says_who_frames(headers: &HeaderMap) -> bool {
    let policies = headers.get_all(header::CONTENT_SECURITY_POLICY).iter();
    let mut directives = policies.flat_map(|value| value.as_bytes().split(|byte| matches!(byte, b';' | b',')));
    directives.any(|directive| {
        let name = directive.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        name.eq_ignore_ascii_case(b"frame-ancestors")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(spec: &str, said: &[(&'static str, &'static str)]) -> Vec<String> {
        to(false, spec, said)
    }

    fn to(signed_in: bool, spec: &str, said: &[(&'static str, &'static str)]) -> Vec<String> {
        let spec: HardeningSpec = toml::from_str(spec).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, HeaderValue::from_static(value));
        }
        harden(&spec, signed_in, &mut headers);
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort_unstable();
        lines
    }

    const ALL: [&str; 3] = [
        "referrer-policy: strict-origin-when-cross-origin",
        "x-content-type-options: nosniff",
        "x-frame-options: SAMEORIGIN",
    ];

    #[test]
    fn what_a_service_does_not_say_is_said_for_it() {
        assert_eq!(after("", &[]), ALL);
        assert_eq!(after("", &[("server", "Old/1.0"), ("x-powered-by", "PHP/5.2")]), ALL);
    }

    #[test]
    fn what_a_service_says_itself_stays() {
        let own = [("referrer-policy", "no-referrer"), ("x-content-type-options", ""), ("x-frame-options", "DENY")];
        assert_eq!(
            after("", &own),
            ["referrer-policy: no-referrer", "x-content-type-options: ", "x-frame-options: DENY"]
        );
    }

    /// Found by signing out and typing the address again: the record came out of the browser's own copy, and no entry told of it.
    #[test]
    fn what_somebody_reads_who_is_signed_in_is_asked_for_each_time() {
        let said = |signed_in, spec: &str, said: &[(&'static str, &'static str)]| {
            to(signed_in, spec, said)
                .into_iter()
                .find_map(|line| line.strip_prefix("cache-control: ").map(str::to_owned))
        };
        assert_eq!(
            said(true, "", &[("last-modified", "Sat, 01 Aug 2026 00:00:00 GMT")]).as_deref(),
            Some("private, no-cache")
        );
        assert_eq!(said(false, "", &[]), None);
        assert_eq!(said(true, "cache_control = false", &[]), None);
        assert_eq!(said(true, "on = false", &[]), None);
        assert_eq!(said(true, "", &[("cache-control", "max-age=60")]).as_deref(), Some("max-age=60"));
        for other in ["expires", "pragma"] {
            assert_eq!(said(true, "", &[(other, "0")]), None, "{other}");
        }
    }

    #[test]
    fn a_policy_takes_the_place_of_frame_options_only_where_it_says_who_frames() {
        let framed = |said: &[&'static str]| {
            let said: Vec<_> = said.iter().map(|policy| ("content-security-policy", *policy)).collect();
            after("", &said).contains(&ALL[2].to_owned())
        };
        for policies in [
            &["frame-ancestors https://portal.example"][..],
            &["default-src 'self';Frame-Ancestors\t'none'"],
            &["default-src 'self', frame-ancestors 'self'"],
            &["upgrade-insecure-requests", "frame-ancestors"],
        ] {
            assert!(!framed(policies), "{policies:?}");
        }
        for policy in [
            "default-src 'self'",
            "upgrade-insecure-requests",
            "frame-src 'none'; x-frame-ancestors 'none'",
            "report-uri /frame-ancestors frame-ancestors",
        ] {
            assert!(framed(&[policy]), "{policy}");
        }
        assert!(
            after("", &[("content-security-policy-report-only", "frame-ancestors 'none'")])
                .contains(&ALL[2].to_owned())
        );
    }

    #[test]
    fn each_is_left_out_by_name_and_all_at_once() {
        for (spec, nth) in
            [("referrer_policy = false", 0), ("content_type_options = false", 1), ("frame_options = false", 2)]
        {
            let left: Vec<_> = ALL.iter().enumerate().filter(|(at, _)| *at != nth).map(|(_, line)| *line).collect();
            assert_eq!(after(spec, &[]), left, "{spec}");
        }
        let kept = after("hide_server = false", &[("server", "Old/1.0")]);
        assert!(kept.contains(&"server: Old/1.0".to_owned()), "{kept:?}");
        assert_eq!(after("on = false", &[("server", "Old/1.0")]), ["server: Old/1.0"]);
    }
}
