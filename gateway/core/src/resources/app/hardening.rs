//! Answer headers that make browsers stricter: on by default where no ordinary application breaks by them, each to be left
//! out by name.

use serde::{Deserialize, Serialize};

/// Which of the answer's headers the gateway adds where the service says nothing itself, and which it takes away.
///
/// Left out, since ordinary applications of some age do break by them: `Content-Security-Policy` (inline scripts),
/// `Cross-Origin-Opener-Policy` (windows that tell their opener what was picked), `Cross-Origin-Resource-Policy` (pictures
/// shown on another site), `Cross-Origin-Embedder-Policy`, `Permissions-Policy`, `Origin-Agent-Cluster`
/// (`document.domain`). An app sets them with `[rewrite.response]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardeningSpec {
    /// False leaves every answer as the service made it, whatever stands below.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub on: bool,
    /// `X-Content-Type-Options: nosniff`: an upload shown as text does not run as a script. Breaks only pages whose own
    /// scripts and styles are served with a wrong type.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub content_type_options: bool,
    /// `Referrer-Policy: strict-origin-when-cross-origin`: what browsers do by default today, made certain for old ones. The
    /// paths of records, which may name a person, do not reach other sites.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub referrer_policy: bool,
    /// `X-Frame-Options: SAMEORIGIN`, where no `Content-Security-Policy` of the service's has `frame-ancestors` (others leave
    /// framing to everybody): no other site lays itself over a form. Breaks pages that are meant to be framed elsewhere.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub frame_options: bool,
    /// `Cache-Control: private, no-cache` on what somebody who is signed in is answered, where the service says nothing of caches
    /// (`Cache-Control`, `Expires`, `Pragma`): a browser that guesses by `Last-Modified` (RFC 9111 section 4.2.2) shows a record
    /// again after a sign-out, and nobody is asked. It keeps copies and asks each time, which costs a 304.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub cache_control: bool,
    /// Takes `Server` and `X-Powered-By` away: they name versions to whoever looks for an old one, and serve nobody else.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub hide_server: bool,
}

impl Default for HardeningSpec {
    fn default() -> Self {
        Self {
            on: true,
            content_type_options: true,
            referrer_policy: true,
            frame_options: true,
            cache_control: true,
            hide_server: true,
        }
    }
}

impl HardeningSpec {
    /// Whether nothing is left out.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn yes() -> bool {
    true
}
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_true(value: &bool) -> bool {
    *value
}
