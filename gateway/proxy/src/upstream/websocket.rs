//! WebSockets: a tunnel is opened only after the service has really said `101` to what we asked (RFC 6455 section 4).

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cardea_core::Reason;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{
    Answer, Upstream,
    connect::reason_of,
    endpoint::Load,
    errand,
    pool::{Lease, Sender},
    silence,
};
use crate::{
    Body, Permit,
    streams::{End, Registered},
};

mod frames;

static KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
static ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
static UPGRADE: HeaderValue = HeaderValue::from_static("Upgrade");
static WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// What a service said to the wish for a WebSocket.
pub(crate) enum Outcome {
    /// Yes: the head for the client, the service's end of the tunnel, and what the address has to do meanwhile.
    Opened(Response<Body>, OnUpgrade, Load),
    /// Something else, which goes to the client like any answer.
    Declined(Answer),
}

/// Asks the service for a WebSocket, over a connection of its own. `key` stands in where the client came by HTTP/2,
/// which has none.
pub(crate) async fn open(
    permit: Permit,
    upstream: &Arc<Upstream>,
    mut request: Request<Body>,
    wish: Option<&str>,
    key: HeaderValue,
) -> Result<Outcome, Reason> {
    drop(permit);
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, UPGRADE.clone());
    headers.insert(header::UPGRADE, WEBSOCKET.clone());
    let key = headers.entry(KEY.clone()).or_insert(key).clone();
    headers.entry(header::SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
    let (mut load, mut link) = errand::alone(upstream, wish).await?;
    let Sender::Http1(sender, heard) = &mut link.sender else { return Err(Reason::Internal) };
    heard.count();
    let sent = tokio::time::timeout(upstream.answer, sender.send_request(request)).await;
    let sent = sent.map_err(|_| Reason::UpstreamTimeout).and_then(|sent| sent.map_err(|error| reason_of(&error)));
    heard.rest();
    let mut response = sent.inspect_err(|reason| upstream.note_fault(&load, reason.code(), true))?;
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switches && !is_proved(&response, &key) {
        upstream.note_fault(&load, Reason::UpstreamBroken.code(), true);
        return Err(Reason::UpstreamBroken);
    }
    upstream.note_answer(&mut load, response.status());
    if !switches {
        let lease = Lease::new(load, link);
        return Ok(Outcome::Declined(Answer { response, lease, idle: upstream.idle }));
    }
    let end = hyper::upgrade::on(&mut response);
    Ok(Outcome::Opened(response.map(|_| Body::empty()), end, load))
}

/// Whether a `101` is one to what we asked.
fn is_proved<B>(response: &Response<B>, key: &HeaderValue) -> bool {
    let said = |name: &HeaderName| response.headers().get(name).map(HeaderValue::as_bytes);
    said(&header::UPGRADE).is_some_and(|word| word.eq_ignore_ascii_case(b"websocket"))
        && said(&ACCEPT) == Some(&*accept(key))
}

/// The proof that the other side read the handshake. SHA-1 is what the protocol says; it guards nothing.
fn accept(key: &HeaderValue) -> Vec<u8> {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finish()).into_bytes()
}

/// Makes the service's `101` into what the client is told: the same over HTTP/1.1, `200` over HTTP/2 (RFC 8441).
pub(crate) fn tell_client(response: &mut Response<Body>, version: Version) {
    let headers = response.headers_mut();
    if version == Version::HTTP_2 {
        headers.remove(&ACCEPT);
        *response.status_mut() = StatusCode::OK;
        return;
    }
    headers.insert(header::CONNECTION, UPGRADE.clone());
    headers.insert(header::UPGRADE, WEBSOCKET.clone());
}

/// Carries bytes both ways until one end closes, the stream's right to be open has ended, or nothing passed for as long as
/// `idle` says. `load` is what the address has to do meanwhile.
pub(crate) async fn tunnel(
    client: OnUpgrade,
    service: OnUpgrade,
    registered: Registered,
    load: Load,
    idle: Option<Duration>,
) {
    let _load = load;
    let opened = tokio::select! {
        () = registered.cut().cancelled() => return,
        opened = async { tokio::try_join!(client, service) } => opened,
    };
    let Ok((client, service)) = opened else { return };
    let (mut client, mut service) = (frames::Client::new(TokioIo::new(client)), TokioIo::new(service));
    tokio::select! {
        () = registered.cut().cancelled() => {}
        () = carry(&mut client, &mut service, idle) => return,
    }
    drop(service);
    // In the middle of a frame nothing can be said but by the end itself.
    if let Some(client) = client.between_frames() {
        let _ = tokio::time::timeout(FAREWELL, part(client, registered.why())).await;
    }
}

/// An end that breaks is an end: there is nobody left to tell.
async fn carry<A, B>(client: &mut A, service: &mut B, idle: Option<Duration>)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    match idle {
        None => drop(tokio::io::copy_bidirectional(client, service).await),
        Some(most) => Box::pin(silence::carry(client, service, most)).await,
    }
}

/// Time for a client to take the last frame and to say goodbye. Half a second: on a line that takes longer, it is cut.
const FAREWELL: Duration = Duration::from_millis(500);

/// Says why a WebSocket is closed (RFC 6455 section 7.4.1), and hears the client out: a connection that is dropped with
/// something unread is reset, and what was said last may be lost with it.
async fn part(client: &mut (impl AsyncRead + AsyncWrite + Unpin), why: End) -> std::io::Result<u64> {
    let (code, word) = match why {
        End::Closing => (1001, "the gateway closes"),
        End::Denied => (1008, Reason::Denied.code()),
    };
    client.write_all(&frames::close(code, word)).await?;
    client.shutdown().await?;
    tokio::io::copy(client, &mut tokio::io::sink()).await
}
