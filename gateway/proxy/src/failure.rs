//! The one place where refusals and faults become responses: status, headers, challenge. Pages for people are drawn by
//! [`Faces`]; programs get RFC 9457 problem details, gRPC clients a status of theirs.

use std::{sync::Arc, time::Duration};

use cardea_core::{AppId, EntryId, Languages, Reason};
use cardea_policy::Challenge as Need;
use http::{HeaderValue, Response, StatusCode, header, request::Parts as Head};
use serde_json::json;

use crate::{Body, Faces, edge, forward_auth, headers, routing::Tenant};

pub(crate) mod grpc;

/// Who reads an answer of ours, and so what form it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A person in a browser: a page.
    Person,
    /// A program: problem details.
    Program,
    /// A gRPC client: a status of its protocol.
    Grpc,
}

impl Reader {
    /// Who sent a request.
    pub(crate) fn of(head: &Head) -> Self {
        match () {
            // INVARIANT: a proxy that asks reads the status, and takes a 200 for a yes.
            () if grpc::sent(head) && !forward_auth::is_asked_at(head.uri.path()) => Self::Grpc,
            () if edge::accepts_html(&head.headers) => Self::Person,
            () => Self::Program,
        }
    }
}

/// A challenge with the address that meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// What is needed.
    pub need: Need,
    /// Where a browser gets it.
    pub url: String,
}

/// A request that ended otherwise than it asked, with all that its answer may tell.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// The id of its entry, as shown to the person.
    pub entry: EntryId,
    /// The tenant, where the host is somebody's: for the page's look.
    pub tenant: Option<Arc<Tenant>>,
    /// The app that was asked.
    pub app: Option<AppId>,
    /// The app's name as people read it.
    pub app_name: Option<String>,
    /// Who is signed in, as shown on the page (e-mail).
    pub signed_in_as: Option<String>,
    /// What would help.
    pub challenge: Option<Challenge>,
    /// Where the person adds a second factor, who has none: that may help, whatever the policies say.
    pub add_factor: Option<String>,
    /// What is wrong with the question of a proxy, for whoever set it up.
    pub misput: Option<String>,
    /// What the person wants to read: for the page's words.
    pub languages: Languages,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// A no on its way to [`answer`], before it is known whom it is told to.
#[derive(Debug)]
pub(crate) struct Fail {
    pub(crate) reason: Reason,
    pub(crate) challenge: Option<Challenge>,
    /// The cookie that binds the challenge to this browser.
    pub(crate) flow_cookie: Option<HeaderValue>,
    /// Whether a browser that opens a page is led at once to what meets the challenge, or else to where a factor is added.
    pub(crate) lead: bool,
    /// Where a second factor is added.
    pub(crate) add_factor: Option<String>,
}

impl From<Reason> for Fail {
    fn from(reason: Reason) -> Self {
        Self { reason, challenge: None, flow_cookie: None, lead: false, add_factor: None }
    }
}

impl Failure {
    /// A failure of which only the reason is known.
    pub fn new(reason: Reason, entry: EntryId) -> Self {
        Self {
            reason,
            entry,
            tenant: None,
            app: None,
            app_name: None,
            signed_in_as: None,
            challenge: None,
            add_factor: None,
            misput: None,
            languages: Languages::default(),
            retry_after: retry_after(reason),
        }
    }

    /// Problem details for a program (RFC 9457). They say what would help, never why a policy said no.
    pub fn problem(&self) -> Response<Body> {
        let code = self.reason.code();
        let mut problem = json!({
            "type": format!("urn:cardea:reason:{code}"),
            "title": title(self.reason),
            "status": self.reason.status(),
            "reason": code,
            "request_id": self.entry,
        });
        if let Some(challenge) = &self.challenge {
            problem["challenge"] = json!({ "need": challenge.need.need(), "url": challenge.url });
        }
        if let Some(url) = &self.add_factor {
            let may = if self.reason == Reason::SecondFactorRequired { "comes first" } else { "may help" };
            problem["help"] = format!("a second factor {may}: add one at `{url}`").into();
        }
        if let Some(misput) = &self.misput {
            problem["help"] = misput.as_str().into();
        }
        let mut response = Response::new(Body::full(problem.to_string()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// The code as a short sentence: `step-up-required` is `Step up required`.
fn title(reason: Reason) -> String {
    let mut words = reason.code().replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// When it is worth trying again, of faults that pass by themselves (RFC 9110 section 10.2.3).
pub fn retry_after(reason: Reason) -> Option<Duration> {
    match reason {
        Reason::Overloaded | Reason::TooManyRequests => Some(Duration::from_secs(1)),
        Reason::StoreUnavailable | Reason::LogUnavailable | Reason::TenantUnavailable => Some(Duration::from_secs(5)),
        _ => None,
    }
}

/// Answers a failure. Every header that failures have in common is set here.
pub(crate) fn answer(failure: &Failure, fail: &Fail, reader: Reader, tls: bool, faces: &dyn Faces) -> Response<Body> {
    let meets = failure.challenge.as_ref().map(|challenge| &challenge.url).or(failure.add_factor.as_ref());
    let lead = meets.filter(|_| fail.lead);
    let mut response = match (lead, reader) {
        (Some(url), _) => led_to(url),
        (None, Reader::Person) => faces.page(failure),
        (None, Reader::Program) => failure.problem(),
        (None, Reader::Grpc) => grpc::answer(failure),
    };
    if lead.is_none() && reader != Reader::Grpc {
        *response.status_mut() =
            StatusCode::from_u16(failure.reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let headers = response.headers_mut();
    if let Some(cookie) = &fail.flow_cookie {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    if (failure.reason.status() == 401 || failure.reason == Reason::InsufficientScope) && lead.is_none() {
        headers.insert(header::WWW_AUTHENTICATE, demanded(failure));
    }
    if let Some(after) = failure.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    if ends_the_connection(failure.reason) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Language, Cookie"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(headers::outbound::REQUEST_ID.clone(), headers::outbound::request_id(failure.entry));
    headers::secure(headers, tls);
    response
}

/// Whether what follows on the connection cannot be a request, is the rest of one that nobody reads, or is nobody's any more.
fn ends_the_connection(reason: Reason) -> bool {
    use Reason::{AmbiguousFraming, BodyTooLarge, CertificateEnded, HeadersTooLarge, TooSlow};
    matches!(reason, HeadersTooLarge | AmbiguousFraming | BodyTooLarge | TooSlow | CertificateEnded)
}

fn led_to(url: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(url) = HeaderValue::from_str(url) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    response
}

/// What a program must bring (RFC 6750 section 3, RFC 9449 section 7.1; for step-up RFC 9470 section 3).
fn demanded(failure: &Failure) -> HeaderValue {
    match failure.reason {
        Reason::TokenRefused => return HeaderValue::from_static(r#"Bearer realm="cardea", error="invalid_token""#),
        Reason::ProofRefused => {
            return HeaderValue::from_static(
                r#"DPoP realm="cardea", error="invalid_dpop_proof", algs="ES256 EdDSA Ed25519""#,
            );
        }
        Reason::InsufficientScope => {
            return HeaderValue::from_static(r#"Bearer realm="cardea", error="insufficient_scope""#);
        }
        _ => {}
    }
    let need = failure.challenge.as_ref().map(|challenge| challenge.need);
    HeaderValue::from_static(match need {
        Some(Need::Fresh) => r#"Bearer error="insufficient_user_authentication", max_age="0""#,
        Some(Need::Two) => r#"Bearer error="insufficient_user_authentication", acr_values="urn:cardea:assurance:2""#,
        Some(Need::Three) => r#"Bearer error="insufficient_user_authentication", acr_values="urn:cardea:assurance:3""#,
        Some(Need::SignIn) | None => r#"Bearer realm="cardea""#,
    })
}
