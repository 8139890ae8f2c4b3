//! Where a browser is sent to sign in or to step up, and the cookie that binds the way back to it.

use cardea_core::Entropy;
use cardea_identity::{Ticket, cookie};
use cardea_policy::Challenge as Need;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::{Canonical, Challenge, Site, headers::outbound::authority};

/// Longest address that is carried through a sign-in: what the other end accepts.
const LONGEST: usize = 2048;

/// The challenge, and on an app host the flow cookie if the browser has none yet. A program gets no flow: it could not
/// come back with it.
pub(crate) fn of(
    need: Need,
    site: &Site,
    canonical: &Canonical,
    headers: &HeaderMap,
    public_port: Option<u16>,
    random: &dyn Entropy,
) -> (Challenge, Option<HeaderValue>) {
    let (flow, flow_cookie) = if canonical.navigation() && site.host != site.tenant.sign_in_host {
        flow(headers, canonical.tls(), random)
    } else {
        (None, None)
    };
    let to = return_address(canonical, headers, public_port);
    let to: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
    let origin = &site.tenant.sign_in_origin;
    let mut url = match need {
        Need::SignIn => format!("{origin}/sign-in?to={to}"),
        stronger => format!("{origin}/sign-in/step-up?need={}&to={to}", stronger.need()),
    };
    if let Some(flow) = flow {
        url.push_str("&flow=");
        url.push_str(&flow);
    }
    (Challenge { need, url }, flow_cookie)
}

/// The flow's name in addresses. A browser that is already in a flow stays in it, so that two tabs do not undo each
/// other.
fn flow(headers: &HeaderMap, tls: bool, random: &dyn Entropy) -> (Option<String>, Option<HeaderValue>) {
    let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    if let Some(ticket) = cookie::flow(sent, tls) {
        return (Some(ticket.hash().to_string()), None);
    }
    let ticket = Ticket::draw(random);
    (Some(ticket.hash().to_string()), HeaderValue::try_from(cookie::set_flow(&ticket, tls)).ok())
}

/// The page that was asked for; where that was not a page but an act, which nobody should repeat unseen, the page with
/// the form; else the host's start page.
pub(crate) fn return_address(canonical: &Canonical, headers: &HeaderMap, public_port: Option<u16>) -> String {
    let origin = origin(canonical, public_port);
    let target = canonical.target().as_str();
    let page = if canonical.method() == Method::GET && !canonical.websocket() {
        Some(format!("{origin}{target}"))
    } else {
        page_with_form(&origin, headers)
    };
    page.filter(|page| page.len() <= LONGEST).unwrap_or_else(|| format!("{origin}/"))
}

/// The origin that was asked, as its client sees it.
pub(crate) fn origin(canonical: &Canonical, public_port: Option<u16>) -> String {
    let scheme = if canonical.tls() { "https" } else { "http" };
    let host = match public_port {
        Some(443) if canonical.tls() => canonical.host().to_string(),
        Some(80) if !canonical.tls() => canonical.host().to_string(),
        Some(port) => format!("{}:{port}", canonical.host()),
        None => authority(canonical),
    };
    format!("{scheme}://{host}")
}

/// The page of this very origin from which the browser says that it came.
fn page_with_form(origin: &str, headers: &HeaderMap) -> Option<String> {
    let said = url::Url::parse(headers.get(header::REFERER)?.to_str().ok()?).ok()?;
    let bare = said.username().is_empty() && said.password().is_none() && said.fragment().is_none();
    let own = url::Url::parse(origin).is_ok_and(|own| own.origin() == said.origin());
    (bare && own).then(|| format!("{origin}{}", &said[url::Position::BeforePath..]))
}
