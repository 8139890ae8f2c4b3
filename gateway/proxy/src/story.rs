//! What is found out about a request on its way, and the one entry that it ends with, however it ends.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use cardea_audit::{Actor, Client, Decision, Entry, Event, Request as Record, event::Program};
use cardea_core::{Caller, EntryId, Languages, Reason, SessionId, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts as Head};
use http_body::Body as _;
use tracing::{Span, field::Empty};

use crate::{
    App, Body, Canonical, Connection, Proxy, Settings, Site,
    access::Asker,
    cors::Crossing,
    edge,
    failure::{Fail, Reader},
    forward_auth::{Asking, Misput, Narrowed},
    headers::outbound::request_id,
    metrics::Stage,
    observe::{Gathered, Seen},
    origin,
    rates::Standing,
};

/// A request's story. INVARIANT: dropped without [`Story::end`], it ends with `client-gone`: hyper drops a request's
/// future only when nobody waits for its answer any more.
pub(crate) struct Story {
    proxy: Arc<Proxy>,
    pub(crate) entry: EntryId,
    /// What log lines of the request are marked with. Nothing at all, and free, unless this crate's level is `debug`.
    /// INVARIANT: no query, cookie or identity stands in it.
    pub(crate) span: Span,
    /// The entry's id as a header.
    pub(crate) id: HeaderValue,
    pub(crate) at: Timestamp,
    pub(crate) began: Instant,
    method: Method,
    client: Client,
    pub(crate) reader: Reader,
    /// What a person wants to read; nothing of a program, which reads no page.
    pub(crate) languages: Languages,
    pub(crate) tls: bool,
    pub(crate) canonical: Option<Arc<Canonical>>,
    pub(crate) site: Option<Arc<Site>>,
    pub(crate) app: Option<Arc<App>>,
    /// How it stands under the rate that is nearest its end.
    pub(crate) rate: Option<Standing>,
    /// Whose page asks, where the app declares `[cors]`.
    pub(crate) crossing: Option<Box<Crossing>>,
    pub(crate) caller: Caller,
    session: Option<SessionId>,
    by: Option<Arc<Program>>,
    pub(crate) decision: Option<Decision>,
    /// What is gathered for others who are told of its end.
    gathered: Option<Box<Gathered>>,
    /// What a service that asks calls its question, to find the answer by (AuthZEN 1.0, "Request Identification").
    pub(crate) called: Option<HeaderValue>,
    /// What a proxy asks about the request, which it carries itself.
    pub(crate) asking: Option<Asking>,
    /// Whom that proxy lets pass of those whom the policies do.
    pub(crate) narrowed: Option<Box<Narrowed>>,
    /// What is wrong with its question.
    misput: Option<Box<str>>,
    /// What that proxy is to keep from the service of what the client says of who asks.
    pub(crate) withheld: Vec<HeaderName>,
    /// What else the entry says.
    detail: Option<Box<str>>,
    written_before: bool,
    ended: bool,
}

impl Story {
    pub(crate) fn begin(proxy: &Arc<Proxy>, connection: &Connection, settings: &Settings, head: &Head) -> Self {
        let Head { method, headers, version, .. } = head;
        let at = proxy.now();
        let agent = headers.get(header::USER_AGENT).and_then(|agent| std::str::from_utf8(agent.as_bytes()).ok());
        let entry = proxy.mint(at);
        proxy.metrics().in_flight.inc();
        let reader = Reader::of(head);
        let seen = || Seen { headers, version: *version, entry, trusted: connection.is_believed(settings) };
        Self {
            gathered: settings.observers.gather(seen, proxy.entropy()),
            entry,
            span: tracing::debug_span!("request", id = %entry, %method, host = Empty, app = Empty),
            id: request_id(entry),
            proxy: Arc::clone(proxy),
            at,
            began: Instant::now(),
            method: method.clone(),
            client: Client::new(connection.peer.ip().to_canonical(), agent),
            reader,
            languages: if reader == Reader::Person { edge::languages(headers) } else { Languages::default() },
            tls: connection.tls,
            canonical: None,
            site: None,
            app: None,
            rate: None,
            crossing: None,
            caller: Caller::Visitor,
            session: None,
            by: None,
            decision: None,
            called: None,
            asking: None,
            narrowed: None,
            misput: None,
            withheld: Vec::new(),
            detail: None,
            written_before: false,
            ended: false,
        }
    }

    /// The request has one reading.
    pub(crate) fn is_about(&mut self, canonical: &Arc<Canonical>) {
        self.span.record("host", &**canonical.host());
        self.client.address = canonical.client();
        self.tls = canonical.tls();
        self.method.clone_from(canonical.method());
        self.canonical = Some(Arc::clone(canonical));
    }

    /// Whether a script of another origin asks, which the app lets in: it reads no page, and can be led nowhere.
    pub(crate) fn is_scripts(&self) -> bool {
        self.crossing.as_ref().is_some_and(|crossing| crossing.is_scripts())
    }

    /// A proxy asks about a request that it carries. Until its description is read, the story is about the question.
    pub(crate) fn is_asked(&mut self, asking: Asking, question: &Canonical, site: Option<&Arc<Site>>) {
        self.asking = Some(asking);
        self.site = site.cloned();
        self.is_about(&Arc::new(question.clone()));
    }

    /// Another site's page asks, or so it looks.
    pub(crate) fn is_anothers(&mut self, canonical: &Canonical, headers: &HeaderMap) {
        self.detail = Some(origin::sides(canonical, headers).into());
    }

    /// There were more requests than a rate allows.
    pub(crate) fn is_beyond(&mut self, rate: &str) {
        self.detail = Some(format!("beyond the rate `{rate}`").into());
    }

    /// The policies let the caller pass, and the proxy that asks does not.
    pub(crate) fn is_left_out(&mut self, list: &str) {
        self.detail = Some(format!("`{list}` in the question of the proxy leaves the caller out").into());
    }

    /// The question is not one that its address takes.
    pub(crate) fn is_misput(&mut self, misput: Misput) -> Reason {
        self.misput = Some(misput.what.into());
        self.detail.clone_from(&self.misput);
        misput.reason
    }

    /// What is wrong with the proxy's question.
    pub(crate) fn misput(&self) -> Option<&str> {
        self.misput.as_deref()
    }

    /// Whether it is known who asks.
    pub(crate) fn is_signed_in(&self) -> bool {
        !matches!(self.caller, Caller::Visitor)
    }

    /// Somebody asks.
    pub(crate) fn is_by(&mut self, asker: &Asker) {
        self.caller = asker.principal().caller().clone();
        self.session = asker.session().map(|session| session.id);
        self.by = asker.token().map(|token| Arc::clone(&token.by));
    }

    /// What a program showed is not good here. Why, the entry tells; who showed it, the reason.
    pub(crate) fn is_refused(&mut self, why: &str, reason: Reason) -> Fail {
        self.detail = Some(why.into());
        reason.into()
    }

    /// The answer's head is decided. A body that streams on afterwards belongs to the same entry.
    pub(crate) fn end(mut self, status: u16, body: &Body, reason: Option<Reason>) {
        if let Some(gathered) = &mut self.gathered {
            gathered.answers(body.size_hint().exact());
        }
        self.close(status, reason);
    }

    /// The trace and span that the service is told, where they are told of at all.
    pub(crate) fn told_to_service(&self) -> Option<(u128, u64)> {
        self.gathered.as_ref().and_then(|gathered| gathered.told_to_service())
    }

    /// The entry for an app that wants it durable before its service hears of the request. The end then gets an entry
    /// of its own, which names this one.
    pub(crate) fn before(&mut self) -> Entry {
        let decision = self.decision.clone();
        let mut entry = self.entry_of(0, None, decision, self.began.elapsed());
        if let Event::Request(request) = &mut entry.event {
            request.admits();
        }
        self.written_before = true;
        entry
    }

    fn close(&mut self, status: u16, reason: Option<Reason>) {
        self.ended = true;
        let metrics = self.proxy.metrics();
        metrics.in_flight.dec();
        let asked = self.site.as_deref().zip(self.app.as_deref()).map(|(site, app)| (&*site.tenant, app));
        let took = self.began.elapsed();
        metrics.count(asked, &self.method, (status, reason), took);
        let decision = self.decision.take();
        let mut entry = self.entry_of(status, reason, decision, took);
        if let Some(gathered) = self.gathered.take() {
            gathered.tell(&entry);
        }
        if self.written_before {
            entry.id = self.proxy.mint(self.at);
            if let Event::Request(request) = &mut entry.event {
                request.ends(self.entry);
            }
        }
        self.proxy.recorder().record(entry);
    }

    fn entry_of(&self, status: u16, reason: Option<Reason>, decision: Option<Decision>, took: Duration) -> Entry {
        static NOTHING: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
        let canonical = self.canonical.as_deref();
        let app = self.app.as_deref();
        Entry {
            id: self.entry,
            at: self.at,
            tenant: self.site.as_ref().map(|site| site.tenant.id.clone()),
            actor: Actor::Caller(self.caller.clone()),
            session: self.session,
            client: Some(self.client.clone()),
            event: Event::Request(Box::new(Record {
                app: app.map(|app| app.spec.id.clone()),
                method: method_word(&self.method),
                host: canonical.map_or_else(|| NOTHING.clone(), |canonical| canonical.host().clone()),
                path: canonical.map_or_else(|| NOTHING.clone(), |canonical| told(canonical.path(), app)),
                status,
                reason,
                micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                decision,
                by: self.by.clone(),
                asked_by: self.asking.map(|asking| asking.dialect.name().into()),
                detail: self.detail.as_deref().map(str::to_owned),
            })),
        }
    }

    /// Marks the end of a stage that began at `since`, and gives the beginning of the next.
    pub(crate) fn stage(&mut self, stage: Stage, since: Instant) -> Instant {
        let now = Instant::now();
        self.proxy.metrics().stage(stage).observe(now - since);
        if let Some(gathered) = &mut self.gathered {
            gathered.stage(stage, self.began, (since, now));
        }
        now
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if !self.ended {
            self.close(Reason::ClientGone.status(), Some(Reason::ClientGone));
        }
    }
}

/// Our own addresses whose next segment is a secret: whoever reads it could use it.
const BEFORE_A_SECRET: &[&str] = &["/sign-in/invitation/", "/factors/link/"];

/// How long a token is: 256 bits in base64url.
const TOKEN: usize = 43;

/// A path as it may be told. INVARIANT: no path comes into an entry, a log line or a metric but through here. A tenant's
/// own app is told whole: what its addresses mean is not ours to guess.
fn told(path: &Arc<str>, app: Option<&App>) -> Arc<str> {
    if app.is_some_and(|app| app.own.is_none()) {
        return Arc::clone(path);
    }
    let secret = BEFORE_A_SECRET.iter().find_map(|before| Some((before, path.strip_prefix(before)?)));
    let path: Arc<str> = match secret {
        Some((before, rest)) if !rest.is_empty() => {
            let after = rest.find('/').map_or("", |end| &rest[end..]);
            format!("{before}…{after}").into()
        }
        _ => Arc::clone(path),
    };
    // Whoever mistypes the address has the token in another place.
    if !path.split('/').any(holds_token) {
        return path;
    }
    let told: Vec<_> = path.split('/').map(|segment| if holds_token(segment) { "…" } else { segment }).collect();
    told.join("/").into()
}

/// Whether a segment could be a token, or one with something beside it.
fn holds_token(segment: &str) -> bool {
    let is_of_one = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    segment.as_bytes().split(|byte| !is_of_one(*byte)).any(|run| run.len() >= TOKEN)
}

/// A method as entries hold it; the usual ones are made once.
pub(crate) fn method_word(method: &Method) -> Arc<str> {
    static USUAL: LazyLock<[(Method, Arc<str>); 7]> = LazyLock::new(|| {
        [Method::GET, Method::POST, Method::HEAD, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
            .map(|method| (method.clone(), Arc::from(method.as_str())))
    });
    USUAL
        .iter()
        .find(|(usual, _)| usual == method)
        .map_or_else(|| Arc::from(method.as_str()), |(_, word)| Arc::clone(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_an_address_of_ours_is_told_to_nobody() {
        for (path, expected) in [
            ("/sign-in/invitation/c2VjcmV0", "/sign-in/invitation/…"),
            ("/sign-in/invitation/c2VjcmV0/passkey/options", "/sign-in/invitation/…/passkey/options"),
            ("/sign-in/invitation/", "/sign-in/invitation/"),
            ("/sign-in/invitation", "/sign-in/invitation"),
            ("/factors/link/c2VjcmV0", "/factors/link/…"),
            // Mistyped, and with a sentence's end behind it.
            ("/sign-in/Invitation/7Q2x0lBqk3mZp1v_YtN8sWc-4dEfGhIjKlMnOpQrStU", "/sign-in/Invitation/…"),
            ("/sign-in/invitations/7Q2x0lBqk3mZp1v_YtN8sWc-4dEfGhIjKlMnOpQrStU/totp", "/sign-in/invitations/…/totp"),
            ("/7Q2x0lBqk3mZp1v_YtN8sWc-4dEfGhIjKlMnOpQrStU.", "/…"),
            ("/sign-in/invitation/x/7Q2x0lBqk3mZp1v_YtN8sWc-4dEfGhIjKlMnOpQrStU", "/sign-in/invitation/…/…"),
            ("/sign-in/totp", "/sign-in/totp"),
            (
                "/factors/0192f0c1-7b5a-7c3e-9d1f-2a4b6c8d0e1f/name",
                "/factors/0192f0c1-7b5a-7c3e-9d1f-2a4b6c8d0e1f/name",
            ),
            ("/", "/"),
        ] {
            // Also where it was refused before anybody knew whose address it is.
            assert_eq!(&*told(&Arc::from(path), None), expected);
        }
    }
}
