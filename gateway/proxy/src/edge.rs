//! The one view of a request: made once, at the edge, before anything else reads it.
//!
//! INVARIANT: what has two readings is refused, never repaired. Routing, policy, entry and the upstream's request line
//! are all made from [`Canonical`], so they cannot disagree.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use cardea_core::{Languages, Reason, Timestamp};
use http::{HeaderMap, HeaderValue, Method, Uri, header, request::Parts, uri::PathAndQuery};

use crate::{
    Proxy, Settings,
    framing::Watch,
    headers::{cookies::Shown, outbound::Told},
    listener::Place,
    routing::{Site, SiteRole, Snapshot},
};

mod certificate;
pub mod forwarded;
pub(crate) mod host;
pub(crate) mod path;

pub use certificate::ClientCertificate;

/// Which listener a connection came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// People and programs: every app and page.
    Public,
    /// Services with certificates: `/ca/…` and `/access/…` only.
    Machines,
    /// Proxies that ask over gRPC. Each request stands for the one that its [`crate::Description`] tells of.
    Asked,
}

/// What is known of a connection before its first request.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// Whether the other end may speak for others. It may not where a proxy said before it that it has no client: what it asks,
    /// as in a check of whether we are well, is its own.
    pub(crate) speaks_for_others: bool,
    /// Whether it is TLS.
    pub tls: bool,
    /// The name that the client asked a certificate for.
    pub sni: Option<Arc<str>>,
    /// The client's certificate, verified by the listener's TLS configuration.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The listener.
    pub door: Door,
    /// Where the same is to be had over HTTP/3, as answers tell it (RFC 7838).
    pub(crate) beside: Option<Arc<HeaderValue>>,
    /// What the guard below HTTP/1 and the pipeline tell each other.
    pub(crate) watch: Arc<Watch>,
    /// What services were told of it last.
    pub(crate) told: Told,
    /// What was made of the cookies that it showed last.
    pub(crate) shown: Shown,
    /// Its place among the connections that are allowed at once, held by whatever still uses it: a tunnel, too.
    pub(crate) place: Option<Arc<Place>>,
}

impl Connection {
    /// A connection from `peer` through `door`, without TLS.
    pub fn plain(peer: SocketAddr, door: Door) -> Self {
        let (watch, told, shown) = (Arc::default(), Told::default(), Shown::default());
        Self {
            peer,
            speaks_for_others: true,
            tls: false,
            sni: None,
            certificate: None,
            door,
            beside: None,
            watch,
            told,
            shown,
            place: None,
        }
    }

    /// INVARIANT: the one rule by which anything said of another client is believed: a listed proxy says it, on a connection
    /// that is some client's.
    pub(crate) fn is_believed(&self, settings: &Settings) -> bool {
        self.speaks_for_others && settings.trusts(self.peer.ip())
    }

    /// Whom the client's certificate names.
    pub(crate) fn workload(&self) -> Option<&Arc<str>> {
        self.certificate.as_deref().map(ClientCertificate::spiffe_id)
    }

    /// Whether it is kept longer than a stranger's where there is no room.
    pub(crate) fn is_known(&self) -> bool {
        self.certificate.is_some() || self.watch.is_known()
    }

    /// It ended as a flood: whoever opened it waits before the next.
    pub(crate) fn flooded(&self) {
        if let Some(seat) = self.place.as_deref().and_then(|place| place.seat.as_ref()) {
            seat.flooded(tokio::time::Instant::now());
        }
    }

    /// Whether it still speaks for whoever opened it.
    pub(crate) fn holds(&self, now: Timestamp) -> Result<(), Reason> {
        self.certificate.as_deref().map_or(Ok(()), |certificate| certificate.holds(now))
    }

    /// Waits until the client's certificate ends it; for ever where it showed none.
    pub async fn ending(&self, proxy: &Proxy) {
        match &self.certificate {
            Some(certificate) => Box::pin(certificate.ending(proxy.now())).await,
            None => std::future::pending().await,
        }
    }
}

/// A request as everybody sees it.
#[derive(Debug, Clone)]
pub struct Canonical {
    method: Method,
    host: Arc<str>,
    port: Option<u16>,
    path: Arc<str>,
    target: PathAndQuery,
    client: IpAddr,
    tls: bool,
    websocket: bool,
    navigation: bool,
    html: bool,
}

/// A host in its one spelling, and the port named beside it.
pub(crate) type Authority = (Arc<str>, Option<u16>);

/// A request as its client states it, or as a proxy that asks about it does.
pub(crate) struct Stated<'a> {
    pub(crate) method: Method,
    pub(crate) authority: Authority,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) websocket: bool,
    pub(crate) client: IpAddr,
    pub(crate) tls: bool,
}

impl Canonical {
    /// Reads a request's head. The site is found on the way, since an app may keep encoded slashes.
    pub fn read(
        head: &Parts,
        connection: &Connection,
        snapshot: &Snapshot,
    ) -> Result<(Self, Option<Arc<Site>>), Reason> {
        let websocket = asks_for_websocket(head);
        let method = match head.method {
            Method::CONNECT if websocket => Method::GET,
            ref other => other.clone(),
        };
        check_framing(head)?;
        let authority = host::of(&head.uri, &head.headers)?;
        if connection.tls && !named_by(connection.sni.as_deref(), &authority.0) {
            return Err(Reason::Misdirected);
        }
        let told = forwarded::read(connection, &head.headers, &snapshot.settings)?;
        let stated = Stated {
            method,
            authority,
            uri: &head.uri,
            headers: &head.headers,
            websocket,
            client: told.client,
            tls: connection.tls || told.https,
        };
        Self::of(stated, snapshot)
    }

    /// INVARIANT: the only maker. What a proxy says of a request is read as the request itself would be.
    pub(crate) fn of(stated: Stated<'_>, snapshot: &Snapshot) -> Result<(Self, Option<Arc<Site>>), Reason> {
        let Stated { method, authority: (host, port), uri, headers, websocket, client, tls } = stated;
        if matches!(method, Method::CONNECT | Method::TRACE) {
            return Err(Reason::MethodNotAllowed);
        }
        let site = snapshot.hosts.get(&*host).cloned();
        let keeps_slashes =
            matches!(&site.as_deref().map(|s| &s.role), Some(SiteRole::App(app)) if app.spec.encoded_slashes);
        let (path, target) = path::of(uri, keeps_slashes)?;
        let html = accepts_html(headers);
        let navigation = html && method == Method::GET && !websocket;
        Ok((Self { method, host, port, path, target, client, tls, websocket, navigation, html }, site))
    }

    /// The method; `GET` for a WebSocket over HTTP/2 (RFC 8441), as it would be over HTTP/1.1.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The host: lower case, without port or trailing dot.
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// The port that the client named beside the host.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The decoded path. No segment holds a slash, so splitting it is unambiguous; a trailing slash is kept.
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The decoded segments; a trailing slash is an empty last one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1)
    }

    /// Path and query as the upstream gets them: encoded again from the decoded path, in one way.
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// The query as it was sent, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// The client's address: the peer's, or what listed proxies say.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Whether the client spoke TLS, to us or to a listed proxy.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Whether it asks for a WebSocket.
    pub fn websocket(&self) -> bool {
        self.websocket
    }

    /// Whether a person's browser opens a page with it (GET that accepts HTML).
    pub fn navigation(&self) -> bool {
        self.navigation
    }

    /// Whether the answer may be a page.
    pub fn html(&self) -> bool {
        self.html
    }
}

#[cfg(test)]
impl Canonical {
    /// A visitor's `GET` of that raw target at `lab.localhost`, as the edge reads it.
    pub(crate) fn of_target(raw: &str, keeps_slashes: bool) -> Result<Self, Reason> {
        let (path, target) = path::of(&raw.parse().map_err(|_| Reason::AmbiguousPath)?, keeps_slashes)?;
        Ok(Self {
            method: Method::GET,
            host: "lab.localhost".into(),
            port: Some(8443),
            path,
            target,
            client: IpAddr::from([127, 0, 0, 1]),
            tls: true,
            websocket: false,
            navigation: false,
            html: false,
        })
    }
}

/// Whether the certificate was asked for under the name that the request is for (RFC 9110 section 7.4). A client that
/// named nothing may only ask for an address.
fn named_by(sni: Option<&str>, host: &str) -> bool {
    match sni {
        Some(sni) => sni.trim_end_matches('.').eq_ignore_ascii_case(host),
        None => host.parse::<IpAddr>().is_ok(),
    }
}

/// Refuses what hyper lets pass with a choice of its own. HTTP/1 framing proper is [`crate::framing`]'s.
fn check_framing(head: &Parts) -> Result<(), Reason> {
    let mut encodings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let ambiguous = match (encodings.next(), encodings.next()) {
        (None, _) => false,
        (Some(one), None) => {
            !one.as_bytes().eq_ignore_ascii_case(b"chunked") || head.headers.contains_key(header::CONTENT_LENGTH)
        }
        (Some(_), Some(_)) => true,
    };
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    if ambiguous || (lengths.next().is_some() && lengths.next().is_some()) {
        return Err(Reason::AmbiguousFraming);
    }
    Ok(())
}

fn asks_for_websocket(head: &Parts) -> bool {
    if head.method == Method::CONNECT {
        return head.extensions.get::<hyper::ext::Protocol>().is_some_and(|p| p.as_str() == "websocket");
    }
    head.method == Method::GET
        && head.headers.get(header::UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && head.headers.get_all(header::CONNECTION).iter().any(|v| lists(v.as_bytes(), b"upgrade"))
}

/// Whether a comma-separated list holds `token`, in any case.
pub(crate) fn lists(value: &[u8], token: &[u8]) -> bool {
    value.split(|&b| b == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// What the sender wants to read (`Accept-Language`).
pub fn languages(headers: &HeaderMap) -> Languages {
    Languages::read(headers.get_all(header::ACCEPT_LANGUAGE).iter().map(HeaderValue::as_bytes))
}

pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| {
        value.as_bytes().split(|&b| b == b',').any(|part| {
            let kind = part.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
            kind.eq_ignore_ascii_case(b"text/html") || kind.eq_ignore_ascii_case(b"application/xhtml+xml")
        })
    })
}

/// A request target that is a path, or an absolute address of one.
fn is_origin_or_absolute(uri: &Uri) -> bool {
    uri.path().starts_with('/')
}
