//! One request on one connection, and the head of its answer.

use std::{error::Error as StdError, future::Future, time::Duration};

use cardea_core::Reason;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, uri::Scheme};
use hyper::{body::Incoming, client::conn::TrySendError};
use tokio::time::Instant;

use super::{
    Answer, Upstream, connect,
    endpoint::Load,
    pool::{Lease, Link, Sender},
    upload::Progress,
};
use crate::{Body, failure::grpc};

/// An exchange that came to nothing.
pub(super) struct Failed {
    pub(super) reason: Reason,
    /// The request, where nothing of it was sent.
    pub(super) unsent: Option<Box<Request<Body>>>,
    /// The service said that it has done nothing about it (RFC 9113 sections 6.8 and 8.7).
    pub(super) refused: bool,
    /// The connection had been kept: it may have ended long before.
    pub(super) kept: bool,
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self { reason, unsent: None, refused: false, kept: false }
    }
}

/// A copy of a request without a body.
pub(super) struct Spare {
    request: Request<Body>,
    /// Sending it twice changes nothing. `PUT` and `DELETE` are left out although RFC 9110 section 9.2.2 counts them in:
    /// a service of records would write down two acts where the log has one.
    pub(super) harmless: bool,
}

impl Spare {
    /// Whether a request may be sent twice.
    pub(super) fn is_harmless(request: &Request<Body>) -> bool {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        reads && http_body::Body::is_end_stream(request.body())
    }

    /// Made where it could be of use; costs one copy of the headers.
    pub(super) fn of(request: &Request<Body>, link: &Link) -> Option<Self> {
        let harmless = Self::is_harmless(request);
        let may_be_refused = matches!(link.sender, Sender::Http2(_));
        if !(harmless || may_be_refused && http_body::Body::is_end_stream(request.body())) {
            return None;
        }
        let mut copy = Request::new(Body::empty());
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        copy.headers_mut().clone_from(request.headers());
        Some(Self { request: copy, harmless })
    }

    pub(super) fn into_request(self) -> Request<Body> {
        self.request
    }
}

/// Sends `request` and waits for the head of its answer; what comes of it is noted at the address.
pub(super) async fn exchange(
    upstream: &Upstream,
    mut load: Load,
    mut link: Link,
    request: Request<Body>,
    progress: Option<&Progress>,
) -> Result<Answer, Failed> {
    // INVARIANT: a header alone moves no limit: a call is one on both sides, and which that is shows only here.
    let call = matches!(link.sender, Sender::Http2(_)) && grpc::is_call(&request);
    if let Some(progress) = progress {
        progress.is_of_call(call);
    }
    let own = if call { grpc::timeout(request.headers()) } else { None };
    let patience = Patience { limit: upstream.answer_limit(own), call };
    let sent = send(&mut link, request, upstream.tls.is_some(), patience, progress).await;
    match sent {
        Ok(response) => {
            upstream.note_answer(&mut load, response.status());
            Ok(Answer { response, lease: Lease::new(load, link), idle: upstream.idle })
        }
        Err(failed) => {
            // A kept connection may have ended for good reasons, such as a restart.
            let ended = link.kept && failed.reason == Reason::UpstreamBroken;
            if failed.reason != Reason::ClientGone && failed.unsent.is_none() && !failed.refused && !ended {
                let reached = failed.reason != Reason::UpstreamIdentity;
                upstream.note_fault(&load, failed.reason.code(), reached);
            }
            Err(Failed { kept: link.kept, ..failed })
        }
    }
}

/// How long an answer's head is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the last sign of the request's body.
    pub(super) limit: Duration,
    /// Whether that is a gRPC call's.
    pub(super) call: bool,
}

/// One request and the head of its answer, on a connection that is free for it.
pub(super) async fn send(
    link: &mut Link,
    mut request: Request<Body>,
    tls: bool,
    patience: Patience,
    progress: Option<&Progress>,
) -> Result<Response<Incoming>, Failed> {
    let response = match &mut link.sender {
        Sender::Http1(sender, heard) => {
            *request.version_mut() = Version::HTTP_11;
            // Over HTTP/1.1 it would need a `Connection` of its own, and only HTTP/2 services (gRPC) ask for it.
            request.headers_mut().remove(header::TE);
            heard.count();
            let response = in_time(patience, progress, sender.try_send_request(request)).await?;
            heard.rest();
            check_framing(response.headers())?;
            response
        }
        Sender::Http2(stream) => {
            address(&mut request, tls);
            in_time(patience, progress, stream.sender.try_send_request(request)).await?
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked to: what follows would be bytes without a meaning.
        return Err(Reason::UpstreamBroken.into());
    }
    Ok(response)
}

/// Refuses an answer whose length has two readings (RFC 9112 section 6.3): what hyper reads by one of them, a cache or
/// browser behind us might read by the other.
fn check_framing(headers: &HeaderMap) -> Result<(), Reason> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    let Some(coding) = headers.get(header::TRANSFER_ENCODING) else {
        let one =
            length.is_none_or(|length| length.as_bytes().iter().all(u8::is_ascii_digit)) && lengths.next().is_none();
        return if one { Ok(()) } else { Err(Reason::UpstreamBroken) };
    };
    if length.is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Reason::UpstreamBroken);
    }
    Ok(())
}

/// Waits for the answer's head. The limit counts from the last sign of the request's body, so that a long upload is
/// not mistaken for a slow answer.
async fn in_time<F>(
    Patience { limit, call }: Patience,
    progress: Option<&Progress>,
    sent: F,
) -> Result<Response<Incoming>, Failed>
where
    F: Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>>,
{
    let mut sent = std::pin::pin!(sent);
    let mut deadline = Instant::now() + limit;
    loop {
        match tokio::time::timeout_at(deadline, &mut sent).await {
            Ok(ended) => return ended.map_err(failed),
            Err(_) => match progress.and_then(|progress| progress.last(call)) {
                Some(last) if last + limit > deadline => deadline = last + limit,
                _ => return Err(Reason::UpstreamTimeout.into()),
            },
        }
    }
}

fn failed(mut error: TrySendError<Request<Body>>) -> Failed {
    let unsent = error.take_message().map(Box::new);
    let reason = connect::reason_of(error.error());
    Failed { reason, unsent, refused: is_refusal(error.error()), kept: false }
}

/// Whether an HTTP/2 service says that it has not begun with a request.
fn is_refusal(error: &hyper::Error) -> bool {
    let said = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    said.is_some_and(|said| {
        let refused = said.is_reset() && said.reason() == Some(h2::Reason::REFUSED_STREAM);
        let going = said.is_go_away() && said.reason() == Some(h2::Reason::NO_ERROR);
        said.is_remote() && (refused || going)
    })
}

/// HTTP/2 names the host in the address, not in a header.
fn address(request: &mut Request<Body>, tls: bool) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(header::HOST);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = host.as_ref().and_then(|host| HeaderValue::as_bytes(host).try_into().ok());
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
