//! Who visits the portal, and how a handler's answer or failure reaches them.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use cardea_core::{Language, Reason, TenantId, Timestamp, UserId};
use cardea_identity::{
    Factor, User,
    cookie::{self, Cookie},
    return_to::{Origins, ReturnTo},
    sign_in,
};
use cardea_proxy::{Admitted, LiveSession, edge::languages};
use cardea_storage::StoreFault;
use serde_json::json;

use crate::{
    House,
    house::{Doer, NoPermit},
    pages::{Failure, Look, Person, Words, headers},
    state::TenantState,
};

/// A request to the portal by somebody who is signed in.
pub(super) struct Visit {
    pub(super) house: Arc<House>,
    pub(super) tenant: Arc<TenantState>,
    pub(super) live: Arc<LiveSession>,
    pub(super) look: Look,
    /// Where the visitor was going when a second factor had to be added first.
    onward: Option<ReturnTo>,
    admitted: Admitted,
    headers: HeaderMap,
}

/// Why a handler did not do what was asked.
#[derive(Debug)]
pub(super) enum Failed {
    /// An expected no.
    Refused(Reason),
    /// An expected no, and the address at which the person begins again.
    Again(Reason, &'static str),
    /// Something else comes first, at this address.
    First(String),
    /// Something of ours broke.
    Broken(StoreFault),
}

impl FromRequestParts<Arc<House>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, house: &Arc<House>) -> Result<Self, Response> {
        // INVARIANT: the built-in policies let only users in; whatever comes otherwise is a defect and sees nothing.
        let broken = || Failure::new(&Look::bare(), Reason::Internal).respond();
        let admitted = parts.extensions.get::<Admitted>().cloned().ok_or_else(broken)?;
        let live = admitted.session().cloned().ok_or_else(broken)?;
        let tenant = house.tenant(&admitted.tenant().id).ok_or_else(broken)?;
        let onward = kept_onward(house, &tenant, &live, &parts.headers);
        // The portal's forms end at its own host, step-ups included; but for the one that adds what had to come first.
        let targets: Vec<_> = onward.iter().map(|to| to.origin().to_owned()).collect();
        let look =
            Look::of(&tenant.bundle.tenant, &targets, languages(&parts.headers)).with_logo(tenant.route.logo.as_ref());
        Ok(Self { house: Arc::clone(house), tenant, live, look, onward, admitted, headers: parts.headers.clone() })
    }
}

/// The address that the browser kept, where one is still to be gone to: an address of the tenant's, as after a sign-in.
fn kept_onward(house: &House, tenant: &TenantState, live: &LiveSession, headers: &HeaderMap) -> Option<ReturnTo> {
    if !live.owes_second_factor {
        return None;
    }
    let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let kept = cookie::onward(sent, house.is_secure())?;
    origins(house).check(&kept, |host| tenant.has_host(host)).ok()
}

fn origins(house: &House) -> Origins<'_> {
    Origins { scheme: house.config.scheme(), port: house.config.public_port }
}

impl Visit {
    /// The tenant's id.
    pub(super) fn tenant_id(&self) -> &TenantId {
        self.tenant.id()
    }

    /// Who it is.
    pub(super) fn user_id(&self) -> UserId {
        self.live.user.id
    }

    /// Where the visitor goes once they have added a factor: where they were going, or back to the list.
    pub(super) fn after_adding(&self) -> String {
        self.onward.as_ref().map_or_else(|| "/factors?done=added".to_owned(), ToString::to_string)
    }

    /// Forgets where they were going, with the answer that leads there.
    pub(super) fn gone_onward(&self, mut response: Response) -> Response {
        if self.onward.is_some() {
            append_cookie(&mut response, &Cookie::Onward.clear(self.house.is_secure()));
        }
        response
    }

    /// Keeps where they were going until a second factor is there. Only an address of the tenant's, and nothing for whoever
    /// owes none.
    pub(super) fn keep_onward(&self, to: Option<&str>, mut response: Response) -> Response {
        let ours = |host: &str| self.tenant.has_host(host);
        let to = to.filter(|_| self.live.owes_second_factor).map(|to| origins(&self.house).check(to, ours));
        if let Some(Ok(to)) = to {
            append_cookie(&mut response, &cookie::set_onward(&to.to_string(), self.house.is_secure()));
        }
        response
    }

    /// The portal's address.
    pub(super) fn home(&self) -> ReturnTo {
        origins(&self.house).home(&self.tenant.bundle.tenant.sign_in_host)
    }

    /// When the request came.
    pub(super) fn now(&self) -> Timestamp {
        self.admitted.at()
    }

    /// The request.
    pub(super) fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// From which browser and address the request came.
    pub(super) fn from(&self) -> (&HeaderMap, IpAddr) {
        (&self.headers, self.admitted.client())
    }

    /// What the browser sent of cookies.
    pub(super) fn cookies(&self) -> impl Iterator<Item = &str> {
        self.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok())
    }

    /// Who it is, as the head of a page shows it.
    pub(super) fn person(&self) -> Person<'_> {
        Person { name: &self.live.user.name, email: &self.live.user.email }
    }

    /// Spends the request's permit: from here on something may be changed, once.
    pub(super) fn doer(&self) -> Result<Doer, Failed> {
        Ok(Doer::admitted(&self.admitted)?.with_agent(&self.headers))
    }

    /// The same, for what changes nothing.
    pub(super) fn noting(&self) -> Doer {
        Doer::noting(&self.admitted).with_agent(&self.headers)
    }

    /// The person as the store knows them now.
    pub(super) async fn user(&self) -> Result<User, Failed> {
        let user = self.house.store.user(self.tenant_id(), self.user_id()).await?;
        user.ok_or(Failed::Refused(Reason::SessionEnded))
    }

    /// The person's factors, oldest first.
    pub(super) async fn factors(&self) -> Result<Vec<Factor>, Failed> {
        Ok(self.house.store.factors(self.tenant_id(), self.user_id()).await?)
    }

    /// Those of `factors` that the tenant allows.
    pub(super) fn usable(&self, factors: &[Factor]) -> Vec<Factor> {
        sign_in::usable(&self.tenant.bundle.tenant.factors, factors)
    }

    /// The handler's answer, or its failure in the form that the client reads.
    pub(super) fn answer(&self, result: Result<Response, Failed>) -> Response {
        match result {
            Ok(response) => response,
            Err(Failed::Refused(reason)) => self.refuse(reason, None, None),
            Err(Failed::Again(reason, address)) => self.refuse(reason, None, Some(address)),
            Err(Failed::First(address)) if self.admitted.canonical().html() => see_other(&address),
            Err(Failed::First(address)) => self.refuse(Reason::StepUpRequired, Some(&address), None),
            Err(Failed::Broken(fault)) => {
                tracing::error!(fault = %crate::house::with_causes(&fault), tenant = %self.tenant_id(), "portal");
                self.refuse(fault_reason(&fault), None, None)
            }
        }
    }

    fn refuse(&self, reason: Reason, location: Option<&str>, start_again: Option<&str>) -> Response {
        if !self.admitted.canonical().html() {
            return self.problem(reason, location);
        }
        let mut failure = Failure::new(&self.look, reason);
        failure.start_again = start_again;
        failure.request_id = Some(self.admitted.entry().to_string());
        failure.respond()
    }

    /// RFC 9457, the detail as the page would say it, the title in English; `location` is for our own script.
    fn problem(&self, reason: Reason, location: Option<&str>) -> Response {
        let (title, detail) = (Words::of(Language::English).failure(reason).title, self.look.w.failure(reason).why);
        let mut body = json!({
            "type": format!("urn:cardea:reason:{}", reason.code()),
            "title": title.with(&self.look.name),
            "detail": detail.with(&self.look.name),
            "status": reason.status(),
            "reason": reason.code(),
            "request_id": self.admitted.entry().to_string(),
        });
        if let Some(location) = location {
            body["location"] = location.into();
        }
        let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = self.json(status, &body);
        response.extensions_mut().insert(reason);
        headers::spoken(response.headers_mut(), self.look.w.language);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }

    /// A JSON answer with the security headers of a page.
    pub(super) fn json(&self, status: StatusCode, body: &serde_json::Value) -> Response {
        let mut response = (status, Json(body)).into_response();
        headers::secure(response.headers_mut(), self.look.content_security_policy());
        response
    }
}

fn append_cookie(response: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// A 303: the browser asks for `address` with GET.
pub(super) fn see_other(address: &str) -> Response {
    let mut response = Redirect::to(address).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl From<StoreFault> for Failed {
    fn from(fault: StoreFault) -> Self {
        Self::Broken(fault)
    }
}

impl From<NoPermit> for Failed {
    fn from(_: NoPermit) -> Self {
        Self::Refused(Reason::Internal)
    }
}

fn fault_reason(fault: &StoreFault) -> Reason {
    match fault {
        StoreFault::Log(_) | StoreFault::Broken { .. } => Reason::LogUnavailable,
        _ => Reason::StoreUnavailable,
    }
}
