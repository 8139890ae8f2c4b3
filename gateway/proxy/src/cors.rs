//! Pages of other origins (the Fetch standard's CORS protocol), by an app's `[cors]`.
//!
//! A preflight is answered here, once a policy has permitted it; every other answer of the app says to the page's browser
//! whether that page may read it, refusals too. The service's own words on it are replaced.

use std::sync::Arc;

use cardea_core::{
    Diagnostic, Reason,
    resources::{CorsSpec, OriginRule},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::{Body, Canonical, origin};

/// An app's declaration, with its headers written.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<OriginRule>,
    /// Whether any page may, and answers need not differ by origin.
    any: bool,
    methods: Vec<String>,
    headers: Vec<String>,
    credentials: bool,
    told_methods: HeaderValue,
    told_headers: Option<HeaderValue>,
    told_exposed: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// A request as far as its page's origin is concerned.
#[derive(Debug, Clone)]
pub(crate) struct Crossing {
    cors: Arc<Cors>,
    /// The page's origin, where it is another than ours.
    origin: Option<HeaderValue>,
    /// Whether that is declared.
    allowed: bool,
    /// Whether a browser only asks what the page may do.
    pub(crate) preflight: bool,
}

static ANY: HeaderValue = HeaderValue::from_static("*");
static TRUE: HeaderValue = HeaderValue::from_static("true");
static ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
static ALL_ASKED: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

impl Cors {
    /// Compiles a declaration that was checked; what is wrong with it is named again.
    pub(crate) fn new(source: &str, spec: &CorsSpec) -> Result<Self, Diagnostic> {
        let origins = origins(source, &spec.origins)?;
        let list = |items: &[String]| {
            HeaderValue::try_from(items.join(", "))
                .map_err(|_| Diagnostic::new(source, "`[cors]` names what cannot stand in a header"))
        };
        let some = |items: &[String]| if items.is_empty() { Ok(None) } else { list(items).map(Some) };
        let lower = |items: &[String]| items.iter().map(|name| name.to_ascii_lowercase()).collect();
        Ok(Self {
            any: origins.contains(&OriginRule::Any),
            origins,
            methods: spec.methods.clone(),
            headers: lower(&spec.headers),
            credentials: spec.credentials,
            told_methods: list(&spec.methods)?,
            told_headers: some(&spec.headers)?,
            told_exposed: some(&spec.exposed)?,
            max_age: HeaderValue::from(spec.max_age),
        })
    }

    /// What a request says of the page that made it. Two origins have no reading.
    pub(crate) fn read(self: &Arc<Self>, canonical: &Canonical, headers: &HeaderMap) -> Result<Crossing, Reason> {
        let origin = single(headers, &header::ORIGIN)?.filter(|origin| !origin::is_own(origin, canonical));
        let asks = single(headers, &header::ACCESS_CONTROL_REQUEST_METHOD)?.is_some();
        let fits = |origin: &HeaderValue| {
            origin.to_str().is_ok_and(|origin| self.origins.iter().any(|rule| rule.fits(origin)))
        };
        Ok(Crossing {
            allowed: origin.is_some_and(fits),
            preflight: origin.is_some() && asks && canonical.method() == Method::OPTIONS,
            origin: origin.cloned(),
            cors: Arc::clone(self),
        })
    }
}

impl Crossing {
    /// Whether a script of another, declared origin asks: it can be led nowhere, and reads no page.
    pub(crate) fn is_scripts(&self) -> bool {
        self.allowed
    }

    /// Answers a preflight that was permitted: what the page may do, or that it may not.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Result<Response<Body>, Reason> {
        let cors = &self.cors;
        let method = single(headers, &header::ACCESS_CONTROL_REQUEST_METHOD)?.map(HeaderValue::as_bytes);
        let method_fits = cors.methods.iter().any(|own| Some(own.as_bytes()) == method);
        let names = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let mut names = names.iter().flat_map(|value| value.as_bytes().split(|&b| b == b',')).map(<[u8]>::trim_ascii);
        let named = |name: &[u8]| cors.headers.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
        if !self.allowed || !method_fits || !names.all(|name| name.is_empty() || named(name)) {
            return Err(Reason::CrossSite);
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let told = response.headers_mut();
        told.insert(header::ACCESS_CONTROL_ALLOW_METHODS, cors.told_methods.clone());
        if let Some(names) = &cors.told_headers {
            told.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        told.insert(header::ACCESS_CONTROL_MAX_AGE, cors.max_age.clone());
        told.insert(header::VARY, ALL_ASKED.clone());
        self.allow(told);
        Ok(response)
    }

    /// Says in an answer of the app, or in a refusal, whether the page may read it; whatever the service said of it is
    /// dropped.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        let said: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
        for name in said {
            headers.remove(name);
        }
        if !self.cors.any {
            // Also where none was sent: what a cache keeps of this answer must not go to a page of another origin.
            headers.append(header::VARY, ORIGIN.clone());
        }
        self.allow(headers);
        if let Some(names) = self.cors.told_exposed.as_ref().filter(|_| self.allowed) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
        }
    }

    /// INVARIANT: never `*` with credentials: where they are declared, no rule fits every origin.
    fn allow(&self, headers: &mut HeaderMap) {
        let Some(origin) = self.origin.as_ref().filter(|_| self.allowed) else { return };
        let any = self.cors.any;
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, if any { ANY.clone() } else { origin.clone() });
        if self.cors.credentials && !any {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE.clone());
        }
    }
}

/// Rules as they were written, compiled.
pub(crate) fn origins(source: &str, written: &[String]) -> Result<Vec<OriginRule>, Diagnostic> {
    let parse = |text: &String| {
        OriginRule::parse(text).map_err(|why| Diagnostic::new(source, format!("`{text}` is not an origin")).help(why))
    };
    written.iter().map(parse).collect()
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Reason> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Reason::BadHeader),
        (found, None) => Ok(found),
    }
}
