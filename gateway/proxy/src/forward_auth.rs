//! Questions of another proxy about a request that it carries itself: read from what it describes, answered in what it
//! understands.
//!
//! INVARIANT: a question is answered by the one pipeline: its description becomes a [`Canonical`] by the reader of direct
//! requests, is routed and decided as they are, and a yes consumes a permit. There is no other way to a yes. Only listed
//! proxies are believed; each part of a description stands exactly once, in the app's one dialect. Whatever fails on the
//! way is a no.

use std::{net::IpAddr, sync::Arc};

use cardea_core::{Reason, TenantId, resources::Dialect};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri, header, request::Parts as Head};

use crate::{
    App, Body, Canonical, Connection, Site, SiteRole, Snapshot,
    edge::{Authority, Stated, host},
};

mod narrowed;

pub(crate) use narrowed::{Author, Misput, Narrowed};

/// A question, and how it is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asking {
    /// The proxy that asks.
    pub(crate) dialect: Dialect,
    /// The address that it asks at.
    pub(crate) form: Form,
}

/// The addresses at which questions are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/.cardea/authorize`.
    Authorize,
    /// `/oauth2/auth`, as oauth2-proxy has it: 202 or 401, and no redirect.
    Auth,
    /// `/oauth2/start`: a browser that is to be signed in for the page that `rd` names.
    Start,
    /// A message at the listener for them.
    Message,
}

/// A request as a proxy describes it in a message: among the extensions of the request that stands for it, which has the
/// described one's headers and nothing else of it.
#[derive(Debug, Clone)]
pub struct Description {
    /// The method.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port.
    pub authority: String,
    /// Path and query.
    pub target: String,
    /// The client's address.
    pub client: IpAddr,
}

impl Description {
    /// One of an address that stands in one piece; none where it is no such address.
    pub fn at(method: &str, url: &str, client: IpAddr) -> Option<Self> {
        let (scheme, authority, target) = parts(url)?;
        let [method, scheme, authority, target] = [method, scheme, authority, target].map(str::to_owned);
        Some(Self { method, scheme, authority, target, client })
    }
}

/// A yes to a proxy, among the extensions of the answer that tells it who asks. It is made where a permit is consumed, and
/// nowhere else.
#[derive(Debug, Clone)]
pub struct Vouched {
    pub(crate) withheld: Vec<HeaderName>,
}

impl Vouched {
    /// Headers that only Cardea says and does not say now: the proxy drops what the client sent under these names.
    pub fn withheld(&self) -> &[HeaderName] {
        &self.withheld
    }
}

/// Whether questions are put at this address, wherever they are.
pub(crate) fn is_asked_at(path: &str) -> bool {
    path.starts_with("/.cardea/") || path.starts_with("/oauth2/")
}

/// What is asked, where this request is a question about another one.
pub(crate) fn asking(canonical: &Canonical, site: Option<&Site>) -> Option<Asking> {
    let spec = app(site?)?.spec.forward_auth.as_ref()?;
    let form = match &**canonical.path() {
        _ if spec.dialect == Dialect::Envoy => return None,
        "/.cardea/authorize" => Form::Authorize,
        "/oauth2/auth" if spec.oauth2_proxy => Form::Auth,
        "/oauth2/start" | "/oauth2/sign_in" if spec.oauth2_proxy => Form::Start,
        _ => return None,
    };
    Some(Asking { dialect: spec.dialect, form })
}

/// The app that answers at a site of a tenant's own.
pub(crate) fn app(site: &Site) -> Option<&Arc<App>> {
    match &site.role {
        SiteRole::App(app) => Some(app),
        SiteRole::SignIn => None,
    }
}

impl Asking {
    /// Envoy's question.
    pub(crate) const BY_MESSAGE: Self = Self { dialect: Dialect::Envoy, form: Form::Message };

    /// The request that is asked about. `question` is the request that asks.
    pub(crate) fn described(
        self,
        head: &Head,
        connection: &Connection,
        snapshot: &Snapshot,
        question: &Canonical,
    ) -> Result<(Canonical, Option<Arc<Site>>), Reason> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Reason::MethodNotAllowed);
        }
        let told = if self.form == Form::Start {
            Told::by_start(question)?
        } else if !connection.is_believed(&snapshot.settings) {
            return Err(Reason::ProxyNotTrusted);
        } else if self.dialect == Dialect::Nginx {
            Told::by_nginx(&head.headers, question)?
        } else {
            Told::by_forwarded(&head.headers)?
        };
        let context = Context { headers: &head.headers, websocket: question.websocket(), client: question.client() };
        told.read(context, snapshot, question.host())
    }

    /// Whose the question's query is. Caddy keeps the client's, and asks Traefik's questions, too.
    pub(crate) fn author(self, question: &Canonical, described: &Canonical) -> Author {
        let keeps = matches!(self.dialect, Dialect::Caddy | Dialect::Traefik);
        if keeps && question.query() == described.query() { Author::Either } else { Author::Proxy }
    }

    /// The status of a yes.
    pub(crate) fn yes(self) -> StatusCode {
        if self.form == Form::Auth { StatusCode::ACCEPTED } else { StatusCode::OK }
    }

    /// A no in the words that whoever asked understands. What it does not understand it takes for a fault, which admits
    /// nothing either; but a person then sees an error where there is an answer.
    pub(crate) fn understood(self, mut response: Response<Body>, reason: Reason) -> Response<Body> {
        // INVARIANT: no refusal is a 2xx, whoever reads it.
        if response.status().is_success() {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
        let by_status = self.form == Form::Auth || self.form == Form::Authorize && self.dialect == Dialect::Nginx;
        if !by_status {
            return response;
        }
        // A redirect becomes its reason; `Location` stays, for the proxy to lead the browser to.
        match response.status() {
            status if status.is_redirection() => *response.status_mut() = StatusCode::UNAUTHORIZED,
            StatusCode::UNAUTHORIZED => {}
            // The proxy's own configuration is wrong, whoever is asked about: nginx logs it, and admits nobody.
            _ if matches!(reason, Reason::UnknownParameter | Reason::DoubledParameter) => {}
            status if status.is_client_error() => *response.status_mut() = StatusCode::FORBIDDEN,
            _ => {}
        }
        response
    }
}

/// The request that a message tells of. The listener has looked who sends it; whoever has a certificate of a tenant's asks
/// about that tenant's apps only.
pub(crate) fn by_message(
    head: &Head,
    connection: &Connection,
    snapshot: &Snapshot,
) -> Result<(Canonical, Option<Arc<Site>>), Reason> {
    let description = head.extensions.get::<Description>().ok_or(Reason::BadDescription)?;
    let told = Told::by_message(description)?;
    let host = Arc::clone(&told.authority.0);
    let context = Context {
        headers: &head.headers,
        websocket: head.headers.get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket")),
        client: description.client.to_canonical(),
    };
    let (canonical, site) = told.read(context, snapshot, &host)?;
    let site = site.ok_or(Reason::BadDescription)?;
    let asks_here = app(&site).and_then(|app| app.spec.forward_auth.as_ref());
    if asks_here.is_none_or(|spec| spec.dialect != Dialect::Envoy) {
        return Err(Reason::BadDescription);
    }
    let domain = format!("spiffe://{}/", site.tenant.trust_domain);
    if connection.workload().is_some_and(|id| !id.starts_with(&domain)) {
        return Err(Reason::ProxyNotTrusted);
    }
    Ok((canonical, Some(site)))
}

/// The request that a service asks about before it acts, by an address of one of its own tenant's apps.
pub(crate) fn by_service(
    description: &Description,
    snapshot: &Snapshot,
    tenant: &TenantId,
) -> Result<(Canonical, Arc<Site>), Reason> {
    let told = Told::by_message(description)?;
    let host = Arc::clone(&told.authority.0);
    let context = Context { headers: &HeaderMap::new(), websocket: false, client: description.client.to_canonical() };
    // Another tenant's addresses are nobody's here, and are told from those of nobody by nothing.
    if snapshot.hosts.get(&*host).is_none_or(|site| site.tenant.id != *tenant) {
        return Err(Reason::NotFound);
    }
    let (canonical, site) = told.read(context, snapshot, &host)?;
    let site = site.filter(|site| site.tenant.id == *tenant).ok_or(Reason::NotFound)?;
    Ok((canonical, site))
}

/// A description, taken apart.
#[derive(Debug)]
struct Told {
    method: Method,
    authority: Authority,
    uri: Uri,
    tls: bool,
}

/// What comes along with a description.
#[derive(Clone, Copy)]
struct Context<'a> {
    headers: &'a HeaderMap,
    websocket: bool,
    client: IpAddr,
}

impl Told {
    /// `X-Original-Method`, and either `X-Original-URI` and `X-Forwarded-Proto` with the question's own host, or
    /// `X-Original-URL`, which names all three.
    fn by_nginx(headers: &HeaderMap, question: &Canonical) -> Result<Self, Reason> {
        let method = method(once(headers, "x-original-method")?)?;
        let proto = || scheme(once(headers, "x-forwarded-proto")?);
        match (headers.contains_key("x-original-uri"), headers.contains_key("x-original-url")) {
            (true, false) => {
                let authority = (Arc::clone(question.host()), question.port());
                Ok(Self { method, authority, uri: path(once(headers, "x-original-uri")?)?, tls: proto()? })
            }
            (false, true) => {
                let (https, authority, uri) = url(once(headers, "x-original-url")?)?;
                if headers.contains_key("x-forwarded-proto") && proto()? != https {
                    return Err(Reason::BadDescription);
                }
                Ok(Self { method, authority, uri, tls: https })
            }
            _ => Err(Reason::BadDescription),
        }
    }

    /// `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`.
    fn by_forwarded(headers: &HeaderMap) -> Result<Self, Reason> {
        Ok(Self {
            method: method(once(headers, "x-forwarded-method")?)?,
            tls: scheme(once(headers, "x-forwarded-proto")?)?,
            authority: host::canonical(once(headers, "x-forwarded-host")?)?,
            uri: path(once(headers, "x-forwarded-uri")?)?,
        })
    }

    /// The page that `rd` names, at this host; its first page where there is none.
    fn by_start(question: &Canonical) -> Result<Self, Reason> {
        let query = question.query().unwrap_or_default();
        let rd = match bare(query) {
            Some(page) => page.into(),
            None => {
                let mut named = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "rd");
                let (rd, another) = (named.next().map_or("/".into(), |(_, value)| value), named.next());
                if another.is_some() {
                    return Err(Reason::DoubledParameter);
                }
                rd
            }
        };
        let tls = question.tls();
        let (authority, uri) = if rd.starts_with('/') {
            ((Arc::clone(question.host()), question.port()), path(&rd).map_err(|_| Reason::ForeignReturn)?)
        } else {
            let (https, authority, uri) = url(&rd).map_err(|_| Reason::ForeignReturn)?;
            if https != tls {
                return Err(Reason::ForeignReturn);
            }
            (authority, uri)
        };
        Ok(Self { method: Method::GET, authority, uri, tls })
    }

    /// As a message has it.
    fn by_message(description: &Description) -> Result<Self, Reason> {
        Ok(Self {
            method: method(&description.method)?,
            tls: scheme(&description.scheme)?,
            authority: host::canonical(&description.authority)?,
            uri: path(&description.target)?,
        })
    }

    /// The request, as the reader of direct ones reads it. It must be one of the app that was asked for at `host`, and
    /// none of ours. A path with `;` is refused: the other proxy passes it on as it stands, and some services cut there,
    /// where the policies did not.
    fn read(
        self,
        context: Context<'_>,
        snapshot: &Snapshot,
        host: &str,
    ) -> Result<(Canonical, Option<Arc<Site>>), Reason> {
        let Self { method, authority, uri, tls } = self;
        let Context { headers, websocket, client } = context;
        if uri.path().contains(';') {
            return Err(Reason::AmbiguousPath);
        }
        // Proxies that strip `Upgrade` pass on the key or the version, which only a WebSocket has: over HTTP/2 there is no
        // key (RFC 8441), and HAProxy makes one only on the way to the service.
        let wishes = [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION];
        let wishes = wishes.iter().any(|name| headers.contains_key(name));
        let websocket = method == Method::GET && (websocket || wishes);
        let stated = Stated { method, authority, uri: &uri, headers, websocket, client, tls };
        let (canonical, site) = Canonical::of(stated, snapshot)?;
        let asked = snapshot.hosts.get(host).and_then(|site| app(site));
        let (Some(asked), Some(meant)) = (asked, site.as_deref().and_then(app)) else {
            return Err(Reason::BadDescription);
        };
        if !Arc::ptr_eq(asked, meant) {
            return Err(Reason::BadDescription);
        }
        // The proxy passes on to us what is ours, and asks nothing.
        let ours = asked.is_ours(canonical.segments().next().unwrap_or_default());
        if ours { Err(Reason::NotFound) } else { Ok((canonical, site)) }
    }
}

/// The page of a query that is `rd=` and a page as nginx has it in `$request_uri`, escaped no second time: its own `&` parts
/// nothing here. One that was escaped as a value is told by its `?`.
fn bare(query: &str) -> Option<&str> {
    let page = query.strip_prefix("rd=").filter(|page| page.starts_with('/'))?;
    let another = || page.contains("%3F") || page.contains("%3f") || page.contains("&rd=");
    (page.contains('?') || !another()).then_some(page)
}

fn once<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Reason> {
    let mut values = headers.get_all(name).iter();
    let (Some(one), None) = (values.next(), values.next()) else { return Err(Reason::BadDescription) };
    one.to_str().map_err(|_| Reason::BadDescription)
}

fn method(text: &str) -> Result<Method, Reason> {
    let capitals = !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    if capitals { text.parse().map_err(|_| Reason::BadDescription) } else { Err(Reason::BadDescription) }
}

/// Whether it is TLS. Traefik names WebSockets' own schemes.
fn scheme(text: &str) -> Result<bool, Reason> {
    match text {
        "https" | "wss" => Ok(true),
        "http" | "ws" => Ok(false),
        _ => Err(Reason::BadDescription),
    }
}

/// A target in origin form. What follows a `#` would be dropped unseen.
fn path(text: &str) -> Result<Uri, Reason> {
    let fine = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    let uri: Uri =
        if fine { text.parse().map_err(|_| Reason::AmbiguousPath)? } else { return Err(Reason::AmbiguousPath) };
    if uri.authority().is_some() { Err(Reason::AmbiguousPath) } else { Ok(uri) }
}

/// `https://host[:port]/path?query`, taken apart.
fn url(text: &str) -> Result<(bool, Authority, Uri), Reason> {
    let (scheme, authority, target) = parts(text).ok_or(Reason::BadDescription)?;
    let https = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(Reason::BadDescription),
    };
    Ok((https, host::canonical(authority)?, path(target)?))
}

/// Scheme, authority and target of `scheme://authority/target`, none of them read yet.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    Some((scheme, authority, if target.is_empty() { "/" } else { target }))
}
