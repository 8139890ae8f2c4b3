//! How an app's requests and answers are changed on their way: a prefix of paths moved, headers set and removed.
//!
//! All of it is declared, and none of it reads a value from a request: whoever asks can bring about no change of their own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::AppSpec;
use crate::{Diagnostic, Diagnostics};

/// What is changed between a browser and the service, after the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewriteSpec {
    /// The prefix that browsers see and the service does not: with `/lab`, `/lab/x` goes to it as `/x`. What does not lie
    /// below it is no address of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<String>,
    /// The prefix that the service sees and browsers do not: with `/app`, `/x` goes to it as `/app/x`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_prefix: Option<String>,
    /// Headers of requests, on their way to the service.
    #[serde(default, skip_serializing_if = "HeaderRewrite::is_empty")]
    pub request: HeaderRewrite,
    /// Headers of its answers, on their way to the client.
    #[serde(default, skip_serializing_if = "HeaderRewrite::is_empty")]
    pub response: HeaderRewrite,
}

/// Headers set to a fixed value, and headers taken away. What is set replaces whatever was there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRewrite {
    /// Names and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

impl HeaderRewrite {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

pub(super) fn check(source: &str, app: &AppSpec, rewrite: &RewriteSpec, found: &mut Diagnostics) {
    for (key, prefix) in [("strip_prefix", &rewrite.strip_prefix), ("add_prefix", &rewrite.add_prefix)] {
        if let Some(prefix) = prefix.as_deref().filter(|prefix| !is_prefix(prefix)) {
            found.push(
                Diagnostic::new(source, format!("`{prefix}` is not a path prefix ({key})"))
                    .help("write `/lab` or `/apps/lab`: letters, digits, `-`, `.`, `_`, `~`; no slash at the end"),
            );
        }
    }
    if let Some(prefix) = rewrite.strip_prefix.as_deref().filter(|prefix| !is_below(&app.start_path, prefix)) {
        found.push(
            Diagnostic::new(source, format!("start_path `{}` does not lie below `{prefix}`", app.start_path))
                .help(format!("write `start_path = \"{prefix}/\"`: the portal opens what browsers see")),
        );
    }
    for name in rewrite.request.set.keys() {
        check_request_name(source, app, name, true, found);
    }
    for name in &rewrite.request.remove {
        check_request_name(source, app, name, false, found);
    }
    for name in rewrite.response.set.keys().chain(&rewrite.response.remove) {
        check_answer_name(source, name, found);
    }
    for (name, value) in rewrite.request.set.iter().chain(&rewrite.response.set) {
        check_value(source, name, value, found);
    }
    for one in [&rewrite.request, &rewrite.response] {
        for name in &one.remove {
            if one.set.keys().any(|set| folded(set) == folded(name)) {
                found.push(
                    Diagnostic::new(source, format!("header `{name}` is both set and removed"))
                        .help("what is set replaces what was there: leave it out of `remove`"),
                );
            }
        }
    }
}

/// Whether `text` is one or more whole segments that stand for themselves in a path, spelt in one way only.
fn is_prefix(text: &str) -> bool {
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// A name as services compare it: every character but letters and digits counts as `-`, in any case.
pub(super) fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// Refuses names by which a service would take a request for another one, or for somebody else's.
fn check_request_name(source: &str, app: &AppSpec, name: &str, set: bool, found: &mut Diagnostics) {
    let plain = folded(name);
    if !is_name(name) {
        found.push(not_a_name(source, name));
    } else if super::is_ours(name) && (set || !SECRETS.contains(&plain.as_str()))
        || is_between_hops(&plain)
        || TOLD_BY_PROXIES.contains(&plain.as_str())
        || SAYS_WHAT_IS_ASKED.contains(&plain.as_str())
        || plain.starts_with("sec-")
        || plain.starts_with("x-forwarded-")
    {
        found.push(
            Diagnostic::new(source, format!("header `{name}` cannot be changed on the way to the service"))
                .help("it says who asks, for what, from where, or how long it is: that is what was decided on"),
        );
    } else if app.headers.keys().any(|mapped| folded(mapped) == plain) {
        found.push(
            Diagnostic::new(source, format!("header `{name}` carries a claim (`headers`)"))
                .help("keep it in one of the two places"),
        );
    }
}

/// Refuses names by which a client would take an answer for another one, or find its end elsewhere.
pub(super) fn check_answer_name(source: &str, name: &str, found: &mut Diagnostics) {
    let plain = folded(name);
    let help = match plain.as_str() {
        _ if !is_name(name) => {
            found.push(not_a_name(source, name));
            return;
        }
        plain if plain.starts_with("access-control-") => "declare `[cors]`: it answers each origin for itself",
        "location" => "an answer leads elsewhere by `redirect` in `[[answers]]`",
        "set-cookie" => "the service's cookies are its own",
        plain if is_between_hops(plain) || ABOUT_THE_MESSAGE.contains(&plain) || plain.starts_with("sec-") => {
            "it says how the message is to be read, which only its sender knows"
        }
        plain if plain.starts_with("cardea-") || ["x-request-id", "via", "alt-svc"].contains(&plain) => {
            "it is the gateway's own"
        }
        _ => return,
    };
    found.push(Diagnostic::new(source, format!("header `{name}` cannot be set or removed in answers")).help(help));
}

/// Refuses what could not stand in one header line as it is written.
pub(super) fn check_value(source: &str, name: &str, value: &str, found: &mut Diagnostics) {
    let fine = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && value.trim_ascii() == value;
    if !fine || value.len() > 4096 {
        found.push(
            Diagnostic::new(source, format!("`{value}` is not a value for header `{name}`"))
                .help("use visible ASCII characters and spaces between them, 4,096 at most"),
        );
    }
}

fn not_a_name(source: &str, name: &str) -> Diagnostic {
    Diagnostic::new(source, format!("`{name}` is not a header name")).help("use letters, digits and `-`")
}

/// Letters, digits and `-`: other characters are legal, but services read them in different ways.
pub(super) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_between_hops(folded: &str) -> bool {
    const HOP_BY_HOP: [&str; 12] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "expect",
        "content-length",
    ];
    HOP_BY_HOP.contains(&folded)
}

/// What a client proves itself with, which a service need not see; but which nobody writes into a file.
const SECRETS: [&str; 2] = ["cookie", "authorization"];

const TOLD_BY_PROXIES: [&str; 10] = [
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
];

const SAYS_WHAT_IS_ASKED: [&str; 8] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "content-type",
    "origin",
    "referer",
    "via",
    "tracestate",
];

const ABOUT_THE_MESSAGE: [&str; 3] = ["content-encoding", "content-range", "date"];

#[cfg(test)]
mod tests {
    use crate::resources::{AppSpec, Resource as _};

    fn found(rest: &str) -> String {
        let text = format!(
            "id = 'lab'\nname = 'Lab'\nhosts = ['lab.localhost']\nstart_path = '/lab/'\n{rest}\n\
             [upstream]\nurl = 'http://127.0.0.1:9'\n[headers]\nRemote-User = 'email'\n"
        );
        let app: AppSpec = toml::from_str(&text).unwrap();
        app.check("apps/lab.toml").to_string()
    }

    #[test]
    fn a_prefix_is_whole_segments_in_one_spelling() {
        for prefix in ["/lab", "/apps/lab-1", "/~ida", "/v1.2"] {
            assert_eq!(found(&format!("[rewrite]\nadd_prefix = '{prefix}'")), "", "{prefix}");
        }
        for prefix in
            ["", "/", "lab", "/lab/", "//lab", "/a//b", "/..", "/a/../b", "/.", "/a%2Fb", "/a b", "/ä", "/a;b", "/a\\b"]
        {
            let text = found(&format!("[rewrite]\nadd_prefix = '{prefix}'"));
            assert!(text.contains("is not a path prefix"), "{prefix}: {text}");
        }
        let outside = found("[rewrite]\nstrip_prefix = '/other'");
        assert!(outside.contains("start_path `/lab/` does not lie below `/other`"), "{outside}");
    }

    #[test]
    fn headers_that_are_ours_or_frame_the_message_are_refused() {
        for name in [
            "Cardea-Assertion",
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Cookie",
            "Authorization",
            "X-Forwarded-For",
            "X-Forwarded-User",
            "Forwarded",
            "X-Real-IP",
            "X-Request-Id",
            "traceparent",
            "Origin",
            "Sec-Fetch-Site",
            "X-HTTP-Method-Override",
            "Remote-User",
            "remote-user",
            "X_Under",
            "",
            "a b",
            "TE",
        ] {
            let text = found(&format!("[rewrite.request.set]\n\"{name}\" = 'x'"));
            assert!(text.contains(&format!("`{name}`")), "{name}: {text}");
        }
        for name in [
            "Content-Length",
            "Transfer-Encoding",
            "Set-Cookie",
            "Location",
            "Access-Control-Allow-Origin",
            "Alt-Svc",
            "X-Request-Id",
            "Content-Encoding",
            "Connection",
            "Cardea-Anything",
        ] {
            for rule in [format!("set = {{ {name} = 'x' }}"), format!("remove = ['{name}']")] {
                let text = found(&format!("[rewrite.response]\n{rule}"));
                assert!(text.contains("cannot be set or removed in answers"), "{name}: {text}");
            }
        }
    }

    #[test]
    fn ordinary_headers_may_be_set_and_removed() {
        let rest = "[rewrite.request]\nset = { X-Script-Name = '/lab' }\nremove = ['Authorization', 'Accept-Encoding']\n\
                    [rewrite.response]\nset = { Cache-Control = 'no-store' }\nremove = ['X-Internal']";
        assert_eq!(found(rest), "");
        let both = found("[rewrite.response]\nset = { X-A = '1' }\nremove = ['x-a']");
        assert!(both.contains("both set and removed"), "{both}");
        let split = found("[rewrite.response]\nset = { X-A = \"1\\r\\nSet-Cookie: a=b\" }");
        assert!(split.contains("is not a value for header `X-A`"), "{split}");
    }
}
