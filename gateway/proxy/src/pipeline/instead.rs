//! What the gateway answers in a service's stead, by the app's declaration: preflights, fixed answers, and the slash after a
//! prefix that is moved; and what is to go no further. The permit is consumed, as forwarding would.

use std::ops::ControlFlow;

use cardea_core::Reason;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::{Body, Fail, Permit, Story, Way};
use crate::{hardening, headers, rewrite::Moved};

/// The answer, or the permit back where the service is to answer.
pub(super) fn answer(
    story: &Story,
    way: &Way,
    permit: Permit,
    headers: &mut HeaderMap,
) -> Result<ControlFlow<Response<Body>, Permit>, Fail> {
    let declared = &way.app.declared;
    let ends_here = way.canonical.method() == Method::OPTIONS && !headers::goes_on(headers)?;
    if !ends_here && !declared.may_answer() {
        return Ok(ControlFlow::Continue(permit));
    }
    if let Some(crossing) = story.crossing.as_ref().filter(|crossing| crossing.preflight) {
        return Ok(ControlFlow::Break(crossing.answer(headers)?));
    }
    let mut answer = declared.answers.as_ref().and_then(|answers| answers.to(&way.canonical));
    if answer.is_some() && way.canonical.websocket() {
        // Over HTTP/2 a 200 would open a tunnel to nobody.
        return Err(Reason::NotFound.into());
    }
    if ends_here && answer.is_none() {
        answer = Some(the_last());
    }
    if let (None, Some(rewrite)) = (&answer, &declared.rewrite)
        && let Moved::Onward(target) = rewrite.target(way.canonical.target())?
    {
        answer = Some(onward(target.as_str())?);
    }
    let Some(mut answer) = answer else { return Ok(ControlFlow::Continue(permit)) };
    hardening::harden(&way.app.spec.hardening, story.is_signed_in(), answer.headers_mut());
    if let Some(crossing) = &story.crossing {
        crossing.mark(answer.headers_mut());
    }
    Ok(ControlFlow::Break(answer))
}

/// What an `OPTIONS` is told that comes to its end here: nothing, since what may be done lies with the service.
fn the_last() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 308: the method is kept. Not to be remembered: the prefix may be declared otherwise tomorrow.
fn onward(target: &str) -> Result<Response<Body>, Reason> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::try_from(target).map_err(|_| Reason::Internal)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
