//! An admitted request on its way to the app's service, and the answer on its way back.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cardea_core::{
    Reason, entropy,
    resources::{AssertionMode, AuditMode},
};
use http::{HeaderMap, HeaderValue, Request, Response, Version, header, uri::PathAndQuery};
use hyper::upgrade::OnUpgrade;

use super::{Body, Fail, Head, Instant, Permit, Proxy, Story, Way, cookies, headers, origin, outbound, within};
use crate::{
    AssertionFor,
    body::Measure,
    failure::Reader,
    hardening,
    metrics::{Meters, Stage},
    rewrite::Moved,
    streams::Tie,
    trace_context,
    upstream::{self, silence::Silence, upload, websocket},
};

impl Proxy {
    /// Forwards what `permit` allows, and ties what streams to it.
    pub(super) async fn forward(
        &self,
        story: &mut Story,
        way: &Way,
        permit: Permit,
        mut head: Head,
        body: Body,
    ) -> Result<Response<Body>, Fail> {
        // What another proxy carries has no service here.
        let upstream = way.app.upstream.clone().ok_or(Reason::NotFound)?;
        let websocket = way.canonical.websocket();
        if websocket {
            let others = &way.app.declared.websocket_origins;
            origin::check_websocket(&way.canonical, &head.headers, way.asker.session().is_some(), others)
                .inspect_err(|_| story.is_anothers(&way.canonical, &head.headers))?;
        }
        let (body, arrival) = body.held_to(measure(way), &way.connection)?;
        let upgrade = head.extensions.remove::<OnUpgrade>();
        let version = head.version;
        let wish = upstream.wish(&head.headers);
        let target = target(way)?;
        if let Some(rewrite) = &way.app.declared.rewrite {
            // Before ours are set, so that it could replace none of them.
            rewrite.request(&mut head.headers);
        }
        self.address(story, way, &mut head.headers)?;
        self.write_before(story, way).await?;
        let began = Instant::now();
        let asked = way.asked();
        let meters = self.metrics.meters(&way.site.tenant, &way.app);
        let tie = || Tie::new(&self.streams, Arc::clone(&asked), way.changes, began);
        let (body, progress) = if websocket {
            (Body::empty(), None)
        } else {
            upload::prepare(body, arrival.as_ref(), &way.app, meters, tie)
        };
        let mut request = outgoing(way, target, head.headers, body);
        if !websocket {
            // What the client speaks: the connection to the service sets its own.
            *request.version_mut() = version;
        }
        let outcome = if websocket {
            let upgrade = upgrade.ok_or(Reason::BadHeader)?;
            Box::pin(self.open_tunnel(way, permit, request, wish.as_deref(), (upgrade, version, began))).await
        } else {
            let answer = upstream::forward(permit, &upstream, request, wish.as_deref(), progress.as_ref()).await;
            answer.map(|answer| returned(way, answer, wish.as_deref(), tie(), (story.reader, meters)))
        };
        story.stage(Stage::Upstream, began.into_std());
        // What the body did is why the service did not answer it; one that breaks off for its framing looks like a client
        // that went away.
        let broken = |reason| match (arrival.as_ref().and_then(|one| one.broke()), reason) {
            (Some(broke), _) => broke,
            (None, Reason::ClientGone) => way.connection.watch.refused().unwrap_or(reason),
            (None, other) => other,
        };
        let mut response = outcome.map_err(broken)?;
        if let Some(arrival) = arrival {
            arrival.is_answered();
        }
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            headers::clean_answer(response.headers_mut(), way.canonical.tls());
            shape(story, way, response.headers_mut());
        }
        Ok(response)
    }

    /// Writes the entry first, for an app that wants it so.
    pub(super) async fn write_before(&self, story: &mut Story, way: &Way) -> Result<(), Fail> {
        if way.app.spec.audit == AuditMode::Before {
            let entry = story.before();
            let writing =
                async { self.recorder().record_before(entry).await.map_err(|fault| self.silent(&fault).into()) };
            let written = within(way.limits().decision, writing).await;
            written.map_err(|_| Reason::LogUnavailable)?;
        }
        Ok(())
    }

    /// Sets what the service is told, after everything of the kind that came from outside has been dropped.
    fn address(&self, story: &Story, way: &Way, headers: &mut HeaderMap) -> Result<(), Fail> {
        let assertion = self.assertion(story, way)?;
        let (tls, shown) = (way.canonical.tls(), &way.connection.shown);
        cookies::keep_ours_from_service(headers, way.app.sticky_cookie(), tls, shown);
        outbound::tell(headers, &way.canonical, &way.connection.told, &story.id, assertion);
        outbound::map_claims(headers, &way.app.mapped, way.asker.principal().caller());
        trace_context::carry(headers, story.entry, story.told_to_service(), &*self.parts.entropy);
        Ok(())
    }

    /// The caller's signed identity, for this app.
    pub(super) fn assertion(&self, story: &Story, way: &Way) -> Result<Option<HeaderValue>, Fail> {
        let per_request = way.app.spec.assertion == AssertionMode::Request;
        let asserted = self.parts.assertions.assertion(&AssertionFor {
            tenant: &way.site.tenant,
            app: &way.app,
            caller: way.asker.principal().caller(),
            session: way.asker.session(),
            token: way.asker.token(),
            request: per_request.then_some((story.entry, &*way.canonical)),
            now: story.at,
        });
        Ok(asserted.map_err(|fault| self.silent(&fault))?)
    }

    async fn open_tunnel(
        &self,
        way: &Way,
        permit: Permit,
        request: Request<Body>,
        wish: Option<&str>,
        (upgrade, version, began): (OnUpgrade, Version, Instant),
    ) -> Result<Response<Body>, Reason> {
        let upstream = way.app.upstream.as_ref().ok_or(Reason::Internal)?;
        let key: [u8; 16] = entropy::bytes(&*self.parts.entropy);
        let key = HeaderValue::try_from(STANDARD.encode(key)).map_err(|_| Reason::Internal)?;
        let (mut response, service, load) = match websocket::open(permit, upstream, request, wish, key).await? {
            websocket::Outcome::Opened(response, service, load) => (response, service, load),
            websocket::Outcome::Declined(answer) => {
                let tie = Tie::new(&self.streams, way.asked(), way.changes, began);
                let meters = self.metrics.meters(&way.site.tenant, &way.app);
                return Ok(returned(way, answer, wish, tie, (Reader::Program, meters)));
            }
        };
        headers::clean_answer(response.headers_mut(), way.canonical.tls());
        websocket::tell_client(&mut response, version);
        if version != Version::HTTP_2 {
            way.connection.watch.let_through();
        }
        let registered = self.streams.register(way.asked(), way.changes, began);
        self.tunnels.spawn(websocket::tunnel(upgrade, service, registered, load, upstream.idle()));
        Ok(response)
    }
}

/// What was decided on, moved by the app's declaration where it has one.
fn target(way: &Way) -> Result<PathAndQuery, Reason> {
    let decided = way.canonical.target();
    match &way.app.declared.rewrite {
        None => Ok(decided.clone()),
        Some(rewrite) => match rewrite.target(decided)? {
            Moved::To(target) => Ok(target),
            // Answered in the service's stead: it never comes here.
            Moved::Onward(_) => Err(Reason::Internal),
        },
    }
}

/// Makes a service's answer what the app declares: stricter where it says nothing itself, then rewritten, then readable to
/// the pages that may.
fn shape(story: &Story, way: &Way, headers: &mut HeaderMap) {
    hardening::harden(&way.app.spec.hardening, story.is_signed_in(), headers);
    if let Some(rewrite) = &way.app.declared.rewrite {
        rewrite.answer(&way.canonical, headers);
    }
    if let Some(crossing) = &story.crossing {
        crossing.mark(headers);
    }
}

/// What the request's body is held to. A gRPC call may say nothing for long, but whether it is one shows only on the
/// connection to the service.
fn measure(way: &Way) -> Measure {
    let (ours, theirs) = (way.limits(), &way.app.spec.limits);
    Measure {
        bytes: theirs.body_bytes.unwrap_or(ours.body_bytes),
        rate: theirs.body_bytes_per_second.unwrap_or(ours.body_rate),
        stretch: ours.body_grace,
    }
}

/// The request line is made from the canonical request and nothing else.
fn outgoing(way: &Way, target: PathAndQuery, headers: HeaderMap, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    request.method_mut().clone_from(way.canonical.method());
    *request.uri_mut() = target.into();
    *request.headers_mut() = headers;
    if way.trailers {
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    }
    request
}

fn returned(
    way: &Way,
    answer: upstream::Answer,
    wish: Option<&str>,
    tie: Tie,
    (reader, meters): (Reader, &Arc<Meters>),
) -> Response<Body> {
    let sticky = way.app.sticky_cookie().zip(way.app.upstream.as_ref());
    let cookie = sticky.and_then(|(_, upstream)| answer.cookie(upstream, wish, way.canonical.tls()));
    let (head, incoming) = answer.response.into_parts();
    let silence = Silence::new(answer.idle);
    let mut response = Response::new(Body::answering(incoming, answer.lease, tie, silence, reader, meters));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if let Some((name, _)) = sticky {
        cookies::keep_sticky_from_answer(response.headers_mut(), name);
    }
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
