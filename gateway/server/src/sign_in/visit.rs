//! One request to our own pages, with what every handler needs of it, and the way its refusal is answered.

use std::sync::Arc;

use axum::{
    Extension,
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use cardea_core::{Language, Languages, Reason, TenantId, Timestamp};
use cardea_identity::{
    Ticket,
    cookie::{self, Cookie},
    one_time::{OneTime, Purpose},
    return_to::{Origins, ReturnTo},
    sign_in::{Destination, Flow},
};
use cardea_proxy::{Admitted, edge::languages};
use serde::Deserialize;

use super::{answer::retry_after, providers};
pub(super) use super::{
    answer::{SetCookie, carried, go_to, query_of, see_other},
    no::No,
};
use crate::{
    House,
    house::{Doer, FACTOR_LINK, NoPermit},
    pages::{Failure, Linking, Look, Problem, Words, headers},
    state::TenantState,
};

/// A request that was admitted, with the tenant's state and look.
pub(super) struct Visit {
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
pub(super) struct Onward {
    /// The address that was asked for.
    #[serde(default)]
    pub to: Option<String>,
    /// The hash of the app host's flow cookie.
    #[serde(default)]
    pub flow: Option<String>,
}

impl FromRequestParts<Arc<House>> for Visit {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, house: &Arc<House>) -> Result<Self, StatusCode> {
        let admitted = parts.extensions.get::<Admitted>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        let tenant = house.tenant(&admitted.tenant().id).ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        let look = look(house, &tenant, &admitted, languages(&parts.headers));
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

/// The tenant's look at the host of this request, for its reader.
fn look(house: &House, tenant: &TenantState, admitted: &Admitted, reader: Languages) -> Look {
    let hosts = tenant.bundle.apps.values().flat_map(|app| &app.hosts);
    let mut targets: Vec<_> = hosts.map(|host| house.config.origin(host)).collect();
    targets.extend(tenant.bundle.providers.values().flat_map(|spec| providers::form_targets(house, tenant, spec)));
    let look = Look::of(&tenant.bundle.tenant, &targets, reader).with_logo(tenant.route.logo.as_ref());
    let sign_in_host = &tenant.bundle.tenant.sign_in_host;
    let here = &admitted.site().host;
    if **here == **sign_in_host { look } else { look.at_app_host(&house.config.origin(sign_in_host)) }
}

impl Visit {
    /// The tenant's name.
    pub(super) fn id(&self) -> &TenantId {
        self.tenant.id()
    }

    /// The host that was asked.
    pub(super) fn host(&self) -> &str {
        &self.admitted.site().host
    }

    /// Whoever makes the request, by its permit: each change spends it.
    pub(super) fn doer(&self) -> Result<Doer, NoPermit> {
        Doer::admitted(&self.admitted).map(|doer| doer.with_agent(&self.headers))
    }

    /// Whoever makes the request, to note what changes nothing.
    pub(super) fn noting(&self) -> Doer {
        Doer::noting(&self.admitted).with_agent(&self.headers)
    }

    /// The browser, shortened to what a person recognises.
    pub(super) fn agent(&self) -> String {
        let agent = self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        cookie::agent_label(agent.unwrap_or_default())
    }

    /// The request's headers.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header of the request, if it is plain text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The scheme and port at which the tenant's hosts answer.
    pub(super) fn origins(&self) -> Origins<'_> {
        Origins { scheme: self.house.config.scheme(), port: self.house.config.public_port }
    }

    /// The portal.
    pub(super) fn home(&self) -> ReturnTo {
        self.origins().home(&self.tenant.bundle.tenant.sign_in_host)
    }

    /// Where to go in the end: an address of the tenant's, the portal where none was given.
    pub(super) fn destination(&self, onward: &Onward) -> Result<Destination, No> {
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
    pub(super) fn ticket(&self) -> Option<Ticket> {
        cookie::flow(self.cookies(), self.house.is_secure())
    }

    /// What the browser sent of cookies.
    pub(super) fn cookies(&self) -> impl Iterator<Item = &str> {
        self.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok())
    }

    /// The sign-in under way, left where it is.
    pub(super) async fn peek_flow(&self) -> Result<Flow, No> {
        let ticket = self.ticket().ok_or(Reason::SignInExpired)?;
        let kept = self.house.shared.peek(self.id(), Purpose::Flow, &ticket.hash(), self.now).await?;
        self.open_flow(kept).await
    }

    /// The sign-in under way, taken out: of racing requests exactly one makes the step.
    pub(super) async fn take_flow(&self) -> Result<Flow, No> {
        let ticket = self.ticket().ok_or(Reason::SignInExpired)?;
        self.pace()?;
        let taken = self.house.shared.take(self.id(), Purpose::Flow, &ticket.hash(), self.now).await?;
        self.open_flow(taken).await
    }

    async fn open_flow(&self, kept: Option<OneTime>) -> Result<Flow, No> {
        let kept = kept.ok_or(Reason::SignInExpired)?;
        Ok(kept.open(Purpose::Flow, self.id(), &self.house.sealer(self.id()).await?, self.now)?)
    }

    /// Begins a sign-in, to be kept. Where it leads to a link for another factor, the link's person gets in with what they have.
    pub(super) async fn begin_flow(&self, destination: Destination) -> Result<Flow, No> {
        self.pace()?;
        let enrols = match self.link_of(&destination.to) {
            Some(ticket) => self.house.factor_link(&self.tenant, &ticket.hash()).await?,
            None => None,
        };
        let flow = Flow::begin(self.id().clone(), destination);
        Ok(match enrols {
            Some(user) => flow.to_enrol(user),
            None => flow,
        })
    }

    fn link_of(&self, to: &ReturnTo) -> Option<Ticket> {
        let token = to.path().strip_prefix(FACTOR_LINK)?;
        let ours = to.host() == self.tenant.bundle.tenant.sign_in_host;
        Ticket::parse(token).ok().filter(|_| ours)
    }

    /// Keeps the sign-in for its next step, under a new ticket; gives the cookie.
    pub(super) async fn keep_flow(&self, flow: &Flow) -> Result<SetCookie, No> {
        let House { entropy, shared, .. } = &*self.house;
        let sealer = &self.house.sealer(self.id()).await?;
        let (ticket, kept) = OneTime::issue(Purpose::Flow, self.id(), flow, sealer, self.now, &**entropy)?;
        shared.put(&kept, self.now).await?;
        Ok(SetCookie::new(cookie::set_flow(&ticket, self.house.is_secure())))
    }

    /// Answers with the page that was left, which says what was wrong; the sign-in is kept for another try.
    pub(super) async fn stays(&self, flow: &Flow, mut page: Response, problem: Problem) -> Result<Response, No> {
        if let Problem::TooMany(wait) = problem {
            retry_after(&mut page, wait);
        }
        Ok(self.keep_flow(flow).await?.on(page))
    }

    /// The cookie that forgets a sign-in.
    pub(super) fn drop_flow(&self) -> SetCookie {
        SetCookie::new(Cookie::Flow.clear(self.house.is_secure()))
    }

    /// Answers: what was made, or a page that says why not.
    pub(super) fn answer(&self, made: Result<Response, No>) -> Response {
        match made {
            Ok(response) => response,
            Err(no) => self.refuse(&no),
        }
    }

    /// Answers a script: what was made, or problem+json that says why not.
    pub(super) fn answer_script(&self, made: Result<Response, No>) -> Response {
        let no = match made {
            Ok(response) => return response,
            Err(no) => no,
        };
        self.log(&no);
        let mut response = self.tell_script(&no.problem(), no.reason());
        if let Some(wait) = no.wait() {
            retry_after(&mut response, wait);
        }
        response
    }

    /// problem+json with the words that the page would show, in its language; the title is for programs, and English.
    pub(super) fn tell_script(&self, problem: &Problem, reason: Reason) -> Response {
        let mut body = serde_json::json!({
            "type": format!("urn:cardea:reason:{reason}"),
            "title": problem.text(Words::of(Language::English)),
            "detail": problem.text(self.look.w),
            "status": problem.status().as_u16(),
            "reason": reason.code(),
            "request_id": self.admitted.entry().to_string(),
        });
        if *problem == Problem::Expired {
            body["location"] = "/sign-in".into();
        }
        let kind = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (problem.status(), kind, Extension(reason), body.to_string()).into_response();
        headers::spoken(response.headers_mut(), self.look.w.language);
        response
    }

    fn refuse(&self, no: &No) -> Response {
        self.log(no);
        let origin = self.house.config.origin(&self.tenant.bundle.tenant.sign_in_host);
        let (start, factors) = (format!("{origin}/sign-in"), format!("{origin}/factors"));
        let mut failure = Failure {
            start_again: Some(&start),
            request_id: Some(self.admitted.entry().to_string()),
            ..Failure::new(&self.look, no.reason())
        };
        match no {
            No::Stranger { may_link: true, .. } => failure.linking = Linking::Possible,
            // Whoever is signed in tries again from where they set out.
            No::NotLinked(_) => {
                failure.linking = Linking::Failed;
                failure.start_again = Some(&factors);
            }
            No::TooWeak { asked, said, signed_in } => {
                failure.too_weak = Some((*asked, *said));
                if *signed_in {
                    failure.add_factor = Some(&factors);
                    failure.start_again = None;
                }
            }
            _ => {}
        }
        let mut response = failure.respond();
        if let Some(wait) = no.wait() {
            retry_after(&mut response, wait);
        }
        response
    }

    fn log(&self, no: &No) {
        if let No::Faulted(reason, cause) = no {
            tracing::error!(tenant = %self.id(), reason = %reason, cause, "a sign-in page failed");
        }
    }
}
