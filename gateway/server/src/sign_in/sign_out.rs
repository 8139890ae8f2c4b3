//! Signing out: here, everywhere, and from an app.

use axum::{
    http::{HeaderName, HeaderValue, Method},
    response::Response,
};
use cardea_core::Reason;
use cardea_identity::{cookie::Cookie, session::EndReason};

use super::visit::{No, SetCookie, Visit};
use crate::pages::{Page as _, SignedOut};

/// `POST /sign-out`.
pub(super) async fn here(visit: Visit) -> Response {
    visit.answer(ended(&visit, false, "/sign-in").await)
}

/// `POST /sign-out/everywhere`.
pub(super) async fn everywhere(visit: Visit) -> Response {
    visit.answer(ended(&visit, true, "/sign-in").await)
}

async fn ended(visit: &Visit, everywhere: bool, sign_in: &str) -> Result<Response, No> {
    end(visit, everywhere).await?;
    let page = SignedOut { look: &visit.look, everywhere, sign_in };
    Ok(forgetting(visit, page.respond()))
}

/// `/.cardea/sign-out` on an app's host: a link or a form of the app's own pages, or an address that the person typed. A
/// link on any other page signs nobody out, be it another app's of the same site (`Sec-Fetch-Site`, which every current
/// browser sends).
pub(super) async fn at_app(visit: Visit, method: Method) -> Response {
    visit.answer(ended_at_app(&visit, &method, "/").await)
}

/// The same, with a page that leads on to `next`, an address of the tenant's.
pub(super) async fn ended_at_app(visit: &Visit, method: &Method, next: &str) -> Result<Response, No> {
    let site = visit.header("sec-fetch-site");
    let own = matches!(site, Some("same-origin" | "none")) || (site.is_none() && *method == Method::POST);
    if !own {
        return Err(Reason::CrossSite.into());
    }
    // A page, not a redirect: an app whose `form-action` names only itself would see its form led to another host, and
    // Chromium then shows nothing at all. The app's start page asks for the sign-in again, and leads back to it.
    ended(visit, false, next).await
}

async fn end(visit: &Visit, everywhere: bool) -> Result<(), No> {
    let doer = visit.doer()?;
    let Some(session) = visit.admitted.session() else { return Ok(()) };
    let house = &visit.house;
    if everywhere {
        house.end_sessions_of_user(visit.id(), session.user.id, None, EndReason::SignedOut, &doer).await?;
    } else {
        house.end_session(visit.id(), session.id, EndReason::SignedOut, &doer).await?;
    }
    Ok(())
}

/// Takes our cookies back and asks the browser to drop what it kept of this host.
fn forgetting(visit: &Visit, response: Response) -> Response {
    let secure = visit.house.is_secure();
    let response = SetCookie::new(Cookie::Session.clear(secure)).on(response);
    let mut response = SetCookie::new(Cookie::Flow.clear(secure)).on(response);
    let name = HeaderName::from_static("clear-site-data");
    // Only what we put there: an app's own storage on its host is the app's to clear.
    response.headers_mut().insert(name, HeaderValue::from_static("\"cache\""));
    response
}
