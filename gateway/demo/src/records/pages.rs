//! The service's pages: one style, one script, both inline and named by hash in the content security policy, so that a
//! page needs no second request that a policy would have to allow.

use std::sync::LazyLock;

use askama::Template;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cardea_core::Timestamp;

use super::{Caller, Record, State, Study};

/// What every page has.
pub(super) struct Frame<'a> {
    pub(super) tenant: &'a str,
    pub(super) caller: Option<&'a Caller>,
}

impl<'a> Frame<'a> {
    pub(super) fn new(tenant: &'a str, caller: Option<&'a Caller>) -> Self {
        Self { tenant, caller }
    }
}

#[derive(Template)]
#[template(path = "records/studies.html")]
pub(super) struct StudiesPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) state: &'a State,
}

#[derive(Template)]
#[template(path = "records/study.html")]
pub(super) struct StudyPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) study: &'a Study,
}

#[derive(Template)]
#[template(path = "records/record.html")]
pub(super) struct RecordPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) study: &'a Study,
    pub(super) record: &'a Record,
    pub(super) own: bool,
}

impl RecordPage<'_> {
    /// A moment as people read it, to the minute.
    fn when(&self, at: &Timestamp) -> String {
        let text = at.to_string();
        text.get(..16).map_or_else(|| text.clone(), |start| format!("{} UTC", start.replace('T', " ")))
    }
}

#[derive(Template)]
#[template(path = "records/about.html")]
pub(super) struct AboutPage<'a> {
    pub(super) frame: Frame<'a>,
}

#[derive(Template)]
#[template(path = "records/message.html")]
pub(super) struct MessagePage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

/// A page as an answer.
pub(super) fn show(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, [(CSP, POLICY.clone()), NO_STORE], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page was not rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

const CSP: HeaderName = header::CONTENT_SECURITY_POLICY;
const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// The template engine drops the last line end of what it includes; so does the hash.
pub(crate) const STYLE: &str = include_str!("../../templates/style.css");
const SCRIPT: &str = include_str!("../../templates/records/live.js");

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
        hash(STYLE.trim_end()),
        hash(SCRIPT.trim_end())
    );
    // Base64 and the words above are visible ASCII.
    HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

pub(crate) fn hash(text: &str) -> String {
    STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_holds_is_what_the_policy_names() {
        let html = AboutPage { frame: Frame::new("Acme", None) }.render().unwrap();
        assert!(html.contains(&format!("<style>{}</style>", STYLE.trim_end())));
        assert!(html.contains(&format!("<script type=\"module\">{}</script>", SCRIPT.trim_end())));
    }

    #[test]
    fn a_name_is_shown_as_text() {
        let study = Study { id: "S-1".into(), title: "<b>x</b>".into(), about: "&".into(), records: vec![] };
        let html = StudyPage { frame: Frame::new("A<c>me", None), study: &study }.render().unwrap();
        assert!(!html.contains("<b>") && !html.contains("A<c>"), "{html}");
    }
}
