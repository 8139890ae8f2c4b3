//! Answer headers that make browsers stricter, where a service says nothing itself. Why each is on, and why others are not:
//! [`HardeningSpec`].

use cardea_core::resources::HardeningSpec;
use http::{HeaderMap, HeaderName, HeaderValue, header};

static POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
static NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
static REFERRER: HeaderValue = HeaderValue::from_static("strict-origin-when-cross-origin");
static SAME_ORIGIN: HeaderValue = HeaderValue::from_static("SAMEORIGIN");

/// Hardens a service's answer, before the app's own rewriting has the last word.
pub(crate) fn harden(spec: &HardeningSpec, headers: &mut HeaderMap) {
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
    if spec.frame_options && !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.entry(header::X_FRAME_OPTIONS).or_insert_with(|| SAME_ORIGIN.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(spec: &str, said: &[(&'static str, &'static str)]) -> Vec<String> {
        let spec: HardeningSpec = toml::from_str(spec).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, HeaderValue::from_static(value));
        }
        harden(&spec, &mut headers);
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
        let framed = after("", &[("content-security-policy", "frame-ancestors https://portal.example")]);
        assert!(!framed.iter().any(|line| line.starts_with("x-frame-options")), "{framed:?}");
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
