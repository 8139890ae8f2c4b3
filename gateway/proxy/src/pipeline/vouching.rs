//! The yes to a proxy that carries a request itself: who the caller is, for it to tell the service.

use std::sync::Arc;

use cardea_core::{Caller, Reason, resources::Dialect};
use cardea_policy::Challenge as Need;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{Body, Fail, Head, Permit, Proxy, Story, Way, cookies, origin, outbound};
use crate::{
    Canonical, Connection, Door, Site, Snapshot, Vouched,
    challenge::return_address,
    forward_auth::{self, Asking, Form, Narrowed},
    seldom::Seldom,
};

/// The request, as everybody sees it: the one that came, or the one that it asks about.
pub(super) fn view(
    story: &mut Story,
    head: &Head,
    connection: &Connection,
    snapshot: &Snapshot,
) -> Result<(Canonical, Option<Arc<Site>>), Reason> {
    if connection.door == Door::Asked {
        story.asking = Some(Asking::BY_MESSAGE);
        return forward_auth::by_message(head, connection, snapshot);
    }
    let (canonical, site) = Canonical::read(head, connection, snapshot)?;
    let Some(asking) = forward_auth::asking(&canonical, site.as_deref()) else { return Ok((canonical, site)) };
    story.is_asked(asking, &canonical, site.as_ref());
    let described = asking.described(head, connection, snapshot, &canonical)?;
    if asking.form != Form::Start {
        let author = asking.author(&canonical, &described.0);
        let narrowed = Narrowed::read(canonical.query().unwrap_or_default(), author);
        story.narrowed = Some(Box::new(narrowed.map_err(|misput| story.is_misput(misput))?));
    }
    Ok(described)
}

/// Lines of the log about proxies whose questions are refused before they are understood, by cause.
#[derive(Default)]
pub(super) struct Misunderstood {
    untrusted: Seldom,
    undescribed: Seldom,
    misput: Seldom,
}

impl Misunderstood {
    /// Says why nothing of what a proxy carries gets through: as a rule a line is missing, in our configuration or in its own.
    pub(super) fn tell(&self, story: &Story, connection: &Connection, reason: Reason) {
        let Some(asking) = story.asking else { return };
        let (cause, what) = match reason {
            Reason::ProxyNotTrusted if asking == Asking::BY_MESSAGE => {
                (&self.untrusted, "a proxy's question was refused: its certificate is another tenant's")
            }
            Reason::ProxyNotTrusted => {
                (&self.untrusted, "a proxy's question was refused: it is not among `trusted_proxies`")
            }
            Reason::BadDescription => (
                &self.undescribed,
                "a proxy's question was refused: it does not describe a request as its dialect does",
            ),
            Reason::UnknownParameter | Reason::DoubledParameter if story.misput().is_some() => {
                (&self.misput, "a proxy's question was refused: its address has a parameter that it may not have")
            }
            _ => return,
        };
        let Some(times) = cause.due() else { return };
        let site = story.site.as_deref();
        let (tenant, host) = (site.map(|site| site.tenant.id.as_str()), site.map(|site| &*site.host));
        let app = site.and_then(forward_auth::app).map(|app| app.spec.id.as_str());
        let (peer, dialect) = (connection.peer.ip().to_canonical(), asking.dialect.name());
        let misput = story.misput();
        tracing::warn!(%peer, tenant, app, host, dialect, misput, times, "{what}");
    }
}

impl Proxy {
    /// Vouches for the request that `permit` allows, and for no other: the proxy that asked forwards it in our place.
    pub(super) async fn vouch(
        &self,
        story: &mut Story,
        way: &Way,
        permit: Permit,
        asking: Asking,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Fail> {
        if asking.form == Form::Start {
            return self.onward(way, permit, headers);
        }
        let caller = way.asker.principal().caller();
        if let Some(list) = story.narrowed.as_ref().and_then(|narrowed| narrowed.leaves_out(caller)) {
            story.is_left_out(list);
            // A visitor may be somebody who is in it.
            let visits = matches!(caller, Caller::Visitor);
            return Err(if visits {
                self.denied(Some(Need::SignIn), None, way, headers)
            } else {
                Reason::Denied.into()
            });
        }
        if way.canonical.websocket() {
            let others = &way.app.declared.websocket_origins;
            origin::check_websocket(&way.canonical, headers, way.asker.session().is_some(), others)
                .inspect_err(|_| story.is_anothers(&way.canonical, headers))?;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = asking.yes();
        let told = response.headers_mut();
        if let Some(assertion) = self.assertion(story, way)? {
            told.insert(outbound::ASSERTION.clone(), assertion);
        }
        outbound::map_claims(told, &way.app.mapped, way.asker.principal().caller());
        left_of_cookies(told, headers, way);
        if matches!(asking.dialect, Dialect::Caddy | Dialect::Traefik) {
            say_nothing_aloud(told, way);
        }
        told.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let ours = way.app.mapped.iter().map(|(name, _)| name).chain([&outbound::ASSERTION]).chain(&story.withheld);
        let withheld = ours.filter(|name| !told.contains_key(*name)).cloned().collect();
        self.write_before(story, way).await?;
        response.extensions_mut().insert(Vouched { withheld });
        // From here on the request is the other proxy's.
        drop(permit);
        Ok(response)
    }

    /// The page that somebody may open who came to sign in, and is.
    fn onward(&self, way: &Way, permit: Permit, headers: &HeaderMap) -> Result<Response<Body>, Fail> {
        if way.asker.session().is_none() {
            // A visitor may open it too, but asked to be somebody.
            return Err(self.denied(Some(Need::SignIn), None, way, headers));
        }
        let to = return_address(&way.canonical, headers, way.limits().public_port);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let told = response.headers_mut();
        told.insert(header::LOCATION, HeaderValue::try_from(to).map_err(|_| Reason::Internal)?);
        told.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        drop(permit);
        Ok(response)
    }
}

/// What the service may see of the request's cookies, for the proxy to put in their place: without ours. It says so too
/// where nothing is left of them.
fn left_of_cookies(told: &mut HeaderMap, asked: &HeaderMap, way: &Way) {
    for value in asked.get_all(header::COOKIE) {
        told.append(header::COOKIE, value.clone());
    }
    let any = told.contains_key(header::COOKIE);
    cookies::keep_ours_from_service(told, None, way.canonical.tls(), &way.connection.shown);
    if any && !told.contains_key(header::COOKIE) {
        told.insert(header::COOKIE, HeaderValue::from_static(""));
    }
}

/// Tells also what there is nothing to tell of: Caddy 2.6, for one, passes on a placeholder for what an answer lacks.
fn say_nothing_aloud(told: &mut HeaderMap, way: &Way) {
    let mapped = way.app.mapped.iter().map(|(name, _)| name);
    for name in mapped.chain([&outbound::ASSERTION, &header::COOKIE]) {
        if !told.contains_key(name) {
            told.insert(name, HeaderValue::from_static(""));
        }
    }
}
