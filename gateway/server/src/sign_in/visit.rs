//! One request to our own pages, with what every handler needs of it, and the way its refusal is answered.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use cardea_core::{Reason, TenantId, Timestamp};
use cardea_identity::{
    Ticket,
    cookie::{self, Cookie},
    one_time::{OneTime, Purpose},
    return_to::{Origins, ReturnTo},
    sign_in::{Destination, Flow},
};
use cardea_proxy::Admitted;
use cardea_storage::StoreFault;
use serde::Deserialize;

use super::providers;
use crate::{
    House,
    house::{Doer, NoPermit},
    pages::{Failure, Look, Problem},
    state::TenantState,
};

/// A request that was admitted, with the tenant's state and look.
pub struct Visit {
    /// The house.
    pub house: Arc<House>,
    /// What was decided about the request.
    pub admitted: Admitted,
    /// The tenant.
    pub tenant: Arc<TenantState>,
    /// How its pages look here.
    pub look: Look,
    /// When the request came.
    pub now: Timestamp,
    /// The request's query, as it was sent.
    pub query: String,
    headers: HeaderMap,
}

/// Where the person wants to go, as pages carry it along.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Onward {
    /// The address that was asked for.
    #[serde(default)]
    pub to: Option<String>,
    /// The hash of the app host's flow cookie.
    #[serde(default)]
    pub flow: Option<String>,
}

/// Why a handler does not do what was asked.
#[derive(Debug)]
pub enum No {
    /// An expected no, shown on a page of its own.
    Refused(Reason),
    /// Too many tries.
    Wait(Duration),
    /// Something of ours does not work.
    Faulted(Reason, String),
}

impl From<Reason> for No {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl From<StoreFault> for No {
    fn from(fault: StoreFault) -> Self {
        Self::Faulted(Reason::StoreUnavailable, crate::house::with_causes(&fault))
    }
}

impl From<NoPermit> for No {
    fn from(fault: NoPermit) -> Self {
        Self::Faulted(Reason::Internal, fault.to_string())
    }
}

impl From<cardea_identity::sealing::CannotOpen> for No {
    fn from(_: cardea_identity::sealing::CannotOpen) -> Self {
        // What does not open was not put there by us, or the operator's key has changed: begin again.
        Self::Refused(Reason::SignInExpired)
    }
}

impl No {
    /// What a form or a script is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Wait(wait) => Problem::TooMany(*wait),
            Self::Refused(reason) | Self::Faulted(reason, _) => Problem::of(*reason),
        }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Wait(_) => Reason::TooManyAttempts,
            Self::Refused(reason) | Self::Faulted(reason, _) => *reason,
        }
    }
}

impl FromRequestParts<Arc<House>> for Visit {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, house: &Arc<House>) -> Result<Self, StatusCode> {
        let admitted = parts.extensions.get::<Admitted>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        let tenant = house.tenant(&admitted.tenant().id).ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        let look = look(house, &tenant, &admitted);
        Ok(Self {
            now: house.now(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            house: Arc::clone(house),
            admitted,
            tenant,
            look,
            headers: parts.headers.clone(),
        })
    }
}

/// The tenant's look at the host of this request.
fn look(house: &House, tenant: &TenantState, admitted: &Admitted) -> Look {
    let hosts = tenant.bundle.apps.values().flat_map(|app| &app.hosts);
    let mut targets: Vec<_> = hosts.map(|host| house.config.origin(host)).collect();
    targets.extend(tenant.bundle.providers.values().flat_map(|spec| providers::form_targets(house, tenant, spec)));
    let look = Look::of(&tenant.bundle.tenant, &targets);
    let sign_in_host = &tenant.bundle.tenant.sign_in_host;
    let here = &admitted.site().host;
    if **here == **sign_in_host { look } else { look.at_app_host(&house.config.origin(sign_in_host)) }
}

impl Visit {
    /// The tenant's name.
    pub fn id(&self) -> &TenantId {
        self.tenant.id()
    }

    /// The host that was asked.
    pub fn host(&self) -> &str {
        &self.admitted.site().host
    }

    /// Whoever makes the request, by its permit: each change spends it.
    pub fn doer(&self) -> Result<Doer, NoPermit> {
        Doer::admitted(&self.admitted).map(|doer| doer.with_agent(&self.headers))
    }

    /// Whoever makes the request, to note what changes nothing.
    pub fn noting(&self) -> Doer {
        Doer::noting(&self.admitted).with_agent(&self.headers)
    }

    /// The browser, shortened to what a person recognises.
    pub fn agent(&self) -> String {
        let agent = self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        cookie::agent_label(agent.unwrap_or_default())
    }

    /// A header of the request, if it is plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The scheme and port at which the tenant's hosts answer.
    pub fn origins(&self) -> Origins<'_> {
        Origins { scheme: self.house.config.scheme(), port: self.house.config.public_port }
    }

    /// The portal.
    pub fn home(&self) -> ReturnTo {
        self.origins().home(&self.tenant.bundle.tenant.sign_in_host)
    }

    /// Where to go in the end: an address of the tenant's, the portal where none was given.
    pub fn destination(&self, onward: &Onward) -> Result<Destination, No> {
        let to = match onward.to.as_deref().filter(|to| !to.is_empty()) {
            None => self.home(),
            Some(text) => {
                let is_ours = |host: &str| self.tenant.has_host(host);
                self.origins().check(text, is_ours).map_err(|_| Reason::ForeignReturn)?
            }
        };
        let flow = match onward.flow.as_deref().filter(|flow| !flow.is_empty()) {
            Some(text) => Some(cardea_identity::TicketHash::parse(text).map_err(|_| Reason::BadInput)?),
            None => None,
        };
        // A sign-in that ended at the sign-in page would go round in circles.
        let circles = to.host() == self.tenant.bundle.tenant.sign_in_host && to.path().starts_with("/sign-");
        Ok(Destination { to: if circles { self.home() } else { to }, flow })
    }

    /// The ticket of the sign-in under way in this browser.
    pub fn ticket(&self) -> Option<Ticket> {
        let cookies = self.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookie::flow(cookies, self.house.is_secure())
    }

    /// The sign-in under way, left where it is.
    pub async fn peek_flow(&self) -> Result<Flow, No> {
        let ticket = self.ticket().ok_or(Reason::SignInExpired)?;
        let kept = self.house.shared.peek(self.id(), Purpose::Flow, &ticket.hash(), self.now).await?;
        self.open_flow(kept)
    }

    /// The sign-in under way, taken out: of racing requests exactly one makes the step.
    pub async fn take_flow(&self) -> Result<Flow, No> {
        let ticket = self.ticket().ok_or(Reason::SignInExpired)?;
        let taken = self.house.shared.take(self.id(), Purpose::Flow, &ticket.hash(), self.now).await?;
        self.open_flow(taken)
    }

    fn open_flow(&self, kept: Option<OneTime>) -> Result<Flow, No> {
        let kept = kept.ok_or(Reason::SignInExpired)?;
        Ok(kept.open(Purpose::Flow, self.id(), &self.house.sealer, self.now)?)
    }

    /// Keeps the sign-in for its next step, under a new ticket; gives the cookie.
    pub async fn keep_flow(&self, flow: &Flow) -> Result<SetCookie, No> {
        let House { sealer, entropy, shared, .. } = &*self.house;
        let (ticket, kept) = OneTime::issue(Purpose::Flow, self.id(), flow, sealer, self.now, &**entropy)?;
        shared.put(&kept, self.now).await?;
        Ok(SetCookie(cookie::set_flow(&ticket, self.house.is_secure())))
    }

    /// The cookie that forgets a sign-in.
    pub fn drop_flow(&self) -> SetCookie {
        SetCookie(Cookie::Flow.clear(self.house.is_secure()))
    }

    /// Answers: what was made, or a page that says why not.
    pub fn answer(&self, made: Result<Response, No>) -> Response {
        match made {
            Ok(response) => response,
            Err(no) => self.refuse(&no),
        }
    }

    /// Answers a script: what was made, or problem+json that says why not.
    pub fn answer_script(&self, made: Result<Response, No>) -> Response {
        let no = match made {
            Ok(response) => return response,
            Err(no) => no,
        };
        self.log(&no);
        self.tell_script(&no.problem(), no.reason())
    }

    /// problem+json with the words that the page would show.
    pub fn tell_script(&self, problem: &Problem, reason: Reason) -> Response {
        let text = problem.text(self.look.w);
        let mut body = serde_json::json!({
            "type": format!("urn:cardea:reason:{reason}"),
            "title": text,
            "detail": text,
            "status": problem.status().as_u16(),
            "reason": reason.code(),
            "request_id": self.admitted.entry().to_string(),
        });
        if *problem == Problem::Expired {
            body["location"] = "/sign-in".into();
        }
        let kind = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        (problem.status(), kind, body.to_string()).into_response()
    }

    fn refuse(&self, no: &No) -> Response {
        self.log(no);
        let start = format!("{}/sign-in", self.house.config.origin(&self.tenant.bundle.tenant.sign_in_host));
        let failure = Failure {
            start_again: Some(&start),
            request_id: Some(self.admitted.entry().to_string()),
            ..Failure::new(&self.look, no.reason())
        };
        let mut response = failure.respond();
        if let No::Wait(wait) = no {
            retry_after(&mut response, *wait);
        }
        response
    }

    fn log(&self, no: &No) {
        if let No::Faulted(reason, cause) = no {
            tracing::error!(tenant = %self.id(), reason = %reason, cause, "a sign-in page failed");
        }
    }
}

/// A `Set-Cookie` to be added to a response.
#[derive(Debug)]
pub struct SetCookie(String);

impl SetCookie {
    /// Any cookie value made by `cardea_identity::cookie`.
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// Adds it.
    pub fn on(self, mut response: Response) -> Response {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    }
}

/// Sends the browser on with GET, whatever it came with (RFC 9110 section 15.4.4); nothing of it may be kept.
pub fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// What a page's script is answered when it may go on.
pub fn go_to(location: &str) -> Response {
    let body = serde_json::json!({ "location": location }).to_string();
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (kind, body).into_response()
}

/// Says when to try again (RFC 9110 section 10.2.3).
pub fn retry_after(response: &mut Response, wait: Duration) {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
}

/// A query of these pairs, without the empty ones; starts with `?` unless there is none.
pub fn query_of(pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}

/// The hidden fields by which a page remembers where it leads.
pub fn carried(destination: &Destination) -> [(&'static str, String); 2] {
    let flow = destination.flow.map(|flow| flow.to_string()).unwrap_or_default();
    [("to", destination.to.to_string()), ("flow", flow)]
}
