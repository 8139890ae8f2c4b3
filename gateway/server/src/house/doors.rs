//! The three remaining things that the data plane asks of us: entries written, our own pages answered, failures shown.

use std::sync::{Arc, Weak};

use axum::Router;
use cardea_audit::Entry;
use cardea_core::{Language, Reason, TenantId};
use cardea_proxy::{Admitted, Body, Faces, Failure, OwnApp, OwnPages, Recorder, StoreFault};
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tower::ServiceExt;

use super::{BrokeOff, House, doubled, with_causes};
use crate::{
    api, authzen, ca, oauth2,
    pages::{self, Look},
    portal, sign_in, signals,
};

impl Recorder for House {
    fn admits(&self, tenant: &TenantId) -> Result<(), Reason> {
        self.admission(tenant)
    }

    fn record(&self, entry: Entry) {
        self.log.record(entry);
    }

    fn record_before(&self, entry: Entry) -> BoxFuture<'_, Result<(), StoreFault>> {
        Box::pin(async move {
            self.log.record_durable(entry).await.map_err(|error| {
                tracing::error!(error = %with_causes(&error), "an entry cannot be written");
                StoreFault(error.to_string())
            })
        })
    }
}

/// Our own pages and APIs, by the app of ours that a permit was given for. INVARIANT: a permit for one never reaches
/// the handlers of another, whatever the path.
pub struct Own {
    sign_in: Router,
    portal: Router,
    console: Router,
    machines: Router,
    decisions: Router,
    house: Weak<House>,
}

impl Own {
    /// The handlers of this house.
    pub fn new(house: &Arc<House>) -> Self {
        let ready = |routes: Router<Arc<House>>| routes.with_state(Arc::clone(house));
        Self {
            sign_in: ready(
                sign_in::routes().merge(oauth2::routes()).merge(signals::routes()).merge(pages::assets::routes()),
            ),
            portal: ready(portal::routes()),
            console: ready(api::routes()),
            machines: ready(ca::routes().merge(oauth2::for_machines())),
            decisions: ready(authzen::routes()),
            house: Arc::downgrade(house),
        }
    }
}

impl OwnPages for Own {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let Some(admitted) = request.extensions().get::<Admitted>().cloned() else {
            tracing::error!("a request came to our pages without having been admitted");
            return Box::pin(async { plain(StatusCode::INTERNAL_SERVER_ERROR) });
        };
        let router = match admitted.app().own {
            Some(OwnApp::SignIn) => &self.sign_in,
            Some(OwnApp::Portal) => &self.portal,
            Some(OwnApp::Console) => &self.console,
            Some(OwnApp::Machines) => &self.machines,
            Some(OwnApp::Decisions) => &self.decisions,
            None => return Box::pin(async { plain(StatusCode::NOT_FOUND) }),
        };
        let Some(house) = self.house.upgrade() else {
            return Box::pin(async { plain(StatusCode::SERVICE_UNAVAILABLE) });
        };
        if doubled::in_address(request.uri()) {
            return Box::pin(async move { house.tell(&admitted, Reason::DoubledParameter) });
        }
        let router = router.clone();
        Box::pin(async move {
            if !may_change(&admitted) {
                return answered(router, house, request, admitted).await;
            }
            // Read while the client is there: whoever goes away before the end of what they say has changed nothing.
            let request = match whole(request, house.limits().own_body_bytes).await {
                Ok(request) => request,
                Err(reason) => return house.tell(&admitted, reason),
            };
            let work = answered(router, Arc::clone(&house), request, admitted.clone());
            let done = house.to_the_end(work).await;
            done.unwrap_or_else(|BrokeOff| house.tell(&admitted, Reason::Internal))
        })
    }
}

async fn answered(router: Router, house: Arc<House>, request: Request<Body>, admitted: Admitted) -> Response<Body> {
    let Ok(response) = router.oneshot(request.map(axum::body::Body::new)).await;
    match unanswered(&response) {
        Some(reason) => house.tell(&admitted, reason),
        None => response.map(Body::new),
    }
}

/// Whether a request may change something, and so must be answered to its end once it has begun. Signing in changes
/// something by GET too: the redirects that carry a one-time value.
fn may_change(admitted: &Admitted) -> bool {
    !admitted.canonical().method().is_safe() || admitted.app().own == Some(OwnApp::SignIn)
}

/// The request with its body in memory.
async fn whole(request: Request<Body>, limit: usize) -> Result<Request<Body>, Reason> {
    let (head, body) = request.into_parts();
    match Limited::new(body, limit).collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            let twice = doubled::in_form(&head.headers, &body);
            if twice { Err(Reason::DoubledParameter) } else { Ok(Request::from_parts(head, Body::full(body))) }
        }
        Err(error) if error.is::<LengthLimitError>() => Err(Reason::BodyTooLarge),
        Err(_) => Err(Reason::BadInput),
    }
}

/// The reason of an answer that a router made by itself, before any handler: no such address, no such method, a form or
/// path that does not fit. Handlers' own answers have a type of content, or need none.
fn unanswered(response: &Response<axum::body::Body>) -> Option<Reason> {
    let kind = response.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let bare = kind.is_none_or(|kind| kind.starts_with("text/plain"));
    match response.status() {
        StatusCode::NOT_FOUND if bare => Some(Reason::NotFound),
        StatusCode::METHOD_NOT_ALLOWED if bare => Some(Reason::MethodNotAllowed),
        StatusCode::PAYLOAD_TOO_LARGE if bare => Some(Reason::BodyTooLarge),
        StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY if bare => {
            Some(Reason::BadInput)
        }
        StatusCode::INTERNAL_SERVER_ERROR if bare => Some(Reason::Internal),
        _ => None,
    }
}

impl House {
    /// A failure at one of our own pages, as the one who asked reads it: a page or problem details.
    pub fn tell(&self, admitted: &Admitted, reason: Reason) -> Response<Body> {
        let mut failure = Failure::new(reason, admitted.entry());
        failure.tenant = Some(Arc::clone(admitted.tenant()));
        failure.languages = admitted.languages();
        failure.signed_in_as = admitted.session().map(|session| session.user.email.clone());
        let mut response = if admitted.canonical().navigation() { self.page(&failure) } else { failure.problem() };
        *response.status_mut() = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(reason);
        response
    }
}

impl Faces for House {
    fn page(&self, failure: &Failure) -> Response<Body> {
        let look = failure.tenant.as_ref().map_or_else(Look::bare, |tenant| {
            Look::anywhere(&tenant.name, tenant.accent.as_deref(), &tenant.sign_in_origin)
                .with_logo(tenant.logo.as_ref())
        });
        let house = failure.tenant.as_ref().map_or_else(Language::default, |tenant| tenant.language);
        let look = look.speaking(failure.languages.choose(house));
        let page = pages::Failure {
            look: &look,
            reason: failure.reason,
            app: failure.app_name.as_deref(),
            signed_in_as: failure.signed_in_as.as_deref(),
            challenge: failure.challenge.as_ref().map(|challenge| challenge.url.as_str()),
            add_factor: failure.add_factor.as_deref(),
            start_again: None,
            linking: pages::Linking::Apart,
            too_weak: None,
            request_id: Some(failure.entry.to_string()),
        };
        page.respond().map(Body::new)
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
