//! Carrying an admitted request to its service and the answer back.
//!
//! INVARIANT: [`forward`] takes a [`Permit`] by value; there is no other way from here to a service.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use cardea_core::{Reason, resources::UpstreamSpec};
use http::{HeaderValue, Method, Request, Response, Uri, Version, header, uri::Scheme};
use hyper::body::Incoming;
use rustls_pki_types::ServerName;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::{Body, Permit};

mod connect;
pub(crate) mod pool;
pub mod tls;
pub(crate) mod upload;
pub(crate) mod websocket;

use pool::{Lease, Link, Pool, Sender};
use upload::Progress;

/// How the connection to a service is protected.
#[derive(Clone)]
pub enum Transport {
    /// Plain HTTP/1.1.
    Plain,
    /// TLS, as [`tls::mutual`] or [`tls::public`] made it.
    Tls(Arc<rustls::ClientConfig>),
}

/// A service and the connections kept to it. Keep it across snapshots where its spec and transport are unchanged:
/// its pool lives in it.
pub struct Upstream {
    spec: UpstreamSpec,
    host: String,
    port: u16,
    name: Option<ServerName<'static>>,
    tls: Option<Connectors>,
    answer: Duration,
    pool: Arc<Pool>,
}

/// For requests any protocol will do; a WebSocket needs HTTP/1.1.
struct Connectors {
    any: TlsConnector,
    http1: TlsConnector,
}

/// The service's address cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("upstream `{0}` cannot be used: {1}")]
pub struct BadUpstream(pub String, pub &'static str);

impl Upstream {
    /// A service that is not yet connected to.
    pub fn new(spec: &UpstreamSpec, transport: Transport) -> Result<Self, BadUpstream> {
        let url = spec.all_urls().next().ok_or_else(|| BadUpstream(String::new(), "it has no address"))?;
        let bad = |why| BadUpstream(url.to_string(), why);
        let host = url.host_str().ok_or_else(|| bad("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or_else(|| bad("it names no port"))?;
        let (name, tls) = match (url.scheme(), transport) {
            ("http", Transport::Plain) => (None, None),
            ("https", Transport::Tls(config)) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| bad("its host is no name"))?;
                (Some(name), Some(Connectors::new(config)))
            }
            _ => return Err(bad("its scheme and its protection disagree")),
        };
        let answer = Duration::from_secs(spec.answer_seconds.into());
        Ok(Self { spec: spec.clone(), host, port, name, tls, answer, pool: Arc::default() })
    }

    /// What it was made from.
    pub fn spec(&self) -> &UpstreamSpec {
        &self.spec
    }
}

impl Connectors {
    fn new(config: Arc<rustls::ClientConfig>) -> Self {
        let mut http1 = (*config).clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { any: config.into(), http1: Arc::new(http1).into() }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = self.tls.is_some();
        f.debug_struct("Upstream").field("host", &self.host).field("tls", &tls).finish_non_exhaustive()
    }
}

/// A service's answer, with the connection to be kept once its body has passed.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
}

/// Forwards what `permit` allows. A request that found a kept connection dead is sent again on a fresh one, but only
/// if nothing of it was sent, or if sending it twice changes nothing.
pub(crate) async fn forward(
    permit: Permit,
    upstream: &Upstream,
    request: Request<Body>,
    progress: Option<&Progress>,
) -> Result<Answer, Reason> {
    // Consumed here: what follows is the one use that it stands for.
    drop(permit);
    let mut request = request;
    if let Some(link) = upstream.pool.take() {
        let spare = replayable(&request);
        match exchange(upstream, link, request, progress).await {
            Ok(answer) => return Ok(answer),
            Err(Failed { unsent: Some(unsent), .. }) => request = *unsent,
            Err(Failed { reason: Reason::UpstreamBroken, .. }) if spare.is_some() => {
                request = spare.unwrap_or_default();
            }
            Err(failed) => return Err(failed.reason),
        }
    }
    // Boxed, as are other rare steps on this way: a future is as large as its largest step, and is moved for each request.
    let link = Box::pin(upstream.connect()).await?;
    exchange(upstream, link, request, progress).await.map_err(|failed| failed.reason)
}

/// A copy of a request that may be sent twice (RFC 9110 section 9.2.2) and has no body.
fn replayable(request: &Request<Body>) -> Option<Request<Body>> {
    let harmless = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if !harmless || !http_body::Body::is_end_stream(request.body()) {
        return None;
    }
    let mut copy = Request::new(Body::empty());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

struct Failed {
    reason: Reason,
    unsent: Option<Box<Request<Body>>>,
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self { reason, unsent: None }
    }
}

async fn exchange(
    upstream: &Upstream,
    Link { sender, until }: Link,
    mut request: Request<Body>,
    progress: Option<&Progress>,
) -> Result<Answer, Failed> {
    let (response, sender) = match sender {
        Sender::Http1(mut sender) => {
            *request.version_mut() = Version::HTTP_11;
            // Over HTTP/1.1 it would need a `Connection` of its own, and only HTTP/2 services (gRPC) ask for it.
            request.headers_mut().remove(header::TE);
            let sent = sender.try_send_request(request);
            (in_time(upstream.answer, progress, sent).await?, Sender::Http1(sender))
        }
        Sender::Http2(mut sender) => {
            address(&mut request);
            let sent = sender.try_send_request(request);
            (in_time(upstream.answer, progress, sent).await?, Sender::Http2(sender))
        }
    };
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked to: what follows would be bytes without a meaning.
        return Err(Reason::UpstreamBroken.into());
    }
    Ok(Answer { response, lease: Lease::new(Arc::clone(&upstream.pool), Link { sender, until }) })
}

/// Waits for the answer's head. The limit counts from the last sign of the request's body, so that a long upload is
/// not mistaken for a slow answer.
async fn in_time<F>(limit: Duration, progress: Option<&Progress>, sent: F) -> Result<Response<Incoming>, Failed>
where
    F: Future<Output = Result<Response<Incoming>, hyper::client::conn::TrySendError<Request<Body>>>>,
{
    let mut sent = std::pin::pin!(sent);
    let mut deadline = Instant::now() + limit;
    loop {
        match tokio::time::timeout_at(deadline, &mut sent).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                return Err(Failed { reason: connect::reason_of(error.error()), unsent });
            }
            Err(_) => match progress.and_then(|progress| progress.last()) {
                Some(last) if last + limit > deadline => deadline = last + limit,
                _ => return Err(Reason::UpstreamTimeout.into()),
            },
        }
    }
}

/// HTTP/2 names the host in the address, not in a header.
fn address(request: &mut Request<Body>) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(header::HOST);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = host.as_ref().and_then(|host| HeaderValue::as_bytes(host).try_into().ok());
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
