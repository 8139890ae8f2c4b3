//! Addresses that the gateway answers in the service's stead: small fixed answers, and redirects within the app's host.
//!
//! They stand behind the permit, like everything else: who may not ask is not answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{METHODS, check_pattern, rewrite};
use crate::{Diagnostic, Diagnostics};

/// One address, or a pattern of them, and what is answered there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerSpec {
    /// The method, in capitals. `GET`, which holds for `HEAD` too: an answer is mostly something to read.
    #[serde(default = "get")]
    pub method: String,
    /// A path pattern, as in a resource rule.
    pub pattern: String,
    /// The status. 200; 307 for a redirect, which keeps the method and is not remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Where a redirect leads: a path of the same host, with its query if it has one. Nothing of the request goes into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// Headers of the answer. `Content-Type` is `text/plain; charset=utf-8` and `Cache-Control` is `no-store` where they say
    /// nothing: what somebody was permitted is not everybody's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl AnswerSpec {
    /// The status that it is answered with.
    pub fn code(&self) -> u16 {
        self.status.unwrap_or(if self.redirect.is_some() { 307 } else { 200 })
    }
}

/// 16 KiB: a notice or a `robots.txt`. It is kept in memory, in every export and in every copy of the app.
const MOST: usize = 16 * 1024;

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

pub(super) fn check(source: &str, answer: &AnswerSpec, found: &mut Diagnostics) {
    let pattern = &answer.pattern;
    check_pattern(source, pattern, found);
    if !METHODS.contains(&answer.method.as_str()) {
        found.push(
            Diagnostic::new(source, format!("`{}` is not a method", answer.method))
                .help(format!("use one of {}", METHODS.join(", "))),
        );
    }
    for (name, value) in &answer.headers {
        rewrite::check_answer_name(source, name, found);
        rewrite::check_value(source, name, value, found);
    }
    let code = answer.code();
    match &answer.redirect {
        Some(target) => {
            if !is_own_path(target) {
                found.push(
                    Diagnostic::new(source, format!("redirect `{target}` is not a path of the same host"))
                        .help("start with one `/`, percent-encode what is not ASCII; other hosts are not led to"),
                );
            }
            if !REDIRECTS.contains(&code) {
                found.push(
                    Diagnostic::new(source, format!("the answer at `{pattern}` redirects with status {code}"))
                        .help("use 301, 302, 303, 307 or 308"),
                );
            }
            if !answer.body.is_empty() {
                found.push(
                    Diagnostic::new(source, format!("the redirect at `{pattern}` has a body")).help("leave it out"),
                );
            }
        }
        None if !(200..600).contains(&code) || (300..400).contains(&code) || [401, 407].contains(&code) => found.push(
            Diagnostic::new(source, format!("the answer at `{pattern}` has status {code}"))
                .help("use 2xx, 4xx or 5xx, or `redirect`; whom to ask for a sign-in is what policies decide"),
        ),
        None if [204, 205].contains(&code) && !answer.body.is_empty() => found.push(
            Diagnostic::new(source, format!("the answer at `{pattern}` has status {code} and a body"))
                .help("leave the body out, or answer with 200"),
        ),
        None => {}
    }
    if answer.body.len() > MOST {
        found.push(
            Diagnostic::new(source, format!("the body of the answer at `{pattern}` is longer than {MOST} bytes"))
                .help("let a service hold what is larger"),
        );
    }
}

/// Whether a browser reads `text` as a path of the host that it came from, whatever it makes of odd spellings: `//host` and
/// `/\host` lead elsewhere.
fn is_own_path(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    text.len() <= 2048
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && path.strip_prefix('/').is_some_and(|rest| !rest.starts_with('/'))
        && path.split('/').all(|segment| !matches!(segment, "." | ".."))
}

fn get() -> String {
    "GET".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rest: &str) -> String {
        let answer: AnswerSpec = toml::from_str(rest).unwrap();
        let mut found = Diagnostics::default();
        check("apps/lab.toml", &answer, &mut found);
        found.to_string()
    }

    #[test]
    fn a_redirect_stays_on_its_host() {
        for target in ["/", "/new", "/new/?a=b&c=//d", "/new#top", "/%C3%A9"] {
            assert_eq!(found(&format!("pattern = '/old'\nredirect = '{target}'")), "", "{target}");
        }
        for target in [
            "",
            "new",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "/a/../b",
            "/..//evil.example",
            "/.//evil.example",
            "/new page",
            "/n\\u00e4w",
            "javascript:alert(1)",
        ] {
            let text = found(&format!("pattern = '/old'\nredirect = \"{}\"", target.replace('\\', "\\\\")));
            assert!(text.contains("is not a path of the same host"), "{target}: {text}");
        }
        assert!(found("pattern = '/old'\nredirect = '/new'\nstatus = 200").contains("redirects with status 200"));
    }

    #[test]
    fn what_would_ask_for_a_sign_in_or_frame_the_answer_is_refused() {
        assert_eq!(found("pattern = '/robots.txt'\nbody = 'Disallow: /'\nheaders = { X-Robots-Tag = 'none' }"), "");
        for (rest, amiss) in [
            ("status = 401", "has status 401"),
            ("status = 302", "has status 302"),
            ("status = 101", "has status 101"),
            ("status = 204\nbody = 'x'", "has status 204 and a body"),
            ("method = 'TRACE'", "is not a method"),
            ("headers = { Content-Length = '3' }", "cannot be set"),
            ("headers = { Location = 'https://evil.example' }", "cannot be set"),
            ("headers = { Refresh = \"0\\r\\nx: y\" }", "is not a value"),
        ] {
            let text = found(&format!("pattern = '/x'\n{rest}"));
            assert!(text.contains(amiss), "{rest}: {text}");
        }
    }
}
