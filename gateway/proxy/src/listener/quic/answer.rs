//! An answer on its way out over HTTP/3, as fast as its client takes it.

use std::{future::poll_fn, pin::Pin, time::Duration};

use bytes::Bytes;
use cardea_core::Timestamp;
use h3::{
    error::{Code, StreamError},
    server::RequestStream,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body as _, Frame};

use super::transport::{Gone, Sending};
use crate::{Body, body::BodyError};

/// The longest frame of data: so long that its beginning costs nothing, so short that whoever takes one within the time for
/// stalled clients is still reading.
const PIECE: usize = 64 * 1024;

/// Fields about the connection, which HTTP/3 has none of (RFC 9114 section 4.2).
static OF_THE_CONNECTION: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Whether a head has a field about the connection, which makes a request malformed.
pub(super) fn is_about_the_connection(headers: &HeaderMap) -> bool {
    OF_THE_CONNECTION.iter().any(|name| headers.contains_key(name))
}

/// By whom an answer was broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokenOff {
    /// The client wanted no more of it, or took nothing for too long.
    ByClient,
    /// The service, or a permit that no longer holds.
    Here,
}

impl From<StreamError> for BrokenOff {
    fn from(_: StreamError) -> Self {
        Self::ByClient
    }
}

/// Sends answers on one stream.
pub(super) struct Answering {
    pub(super) stream: RequestStream<Sending<Bytes>, Bytes>,
    /// Ready once the client wants no more of it, or has all.
    pub(super) gone: Gone,
    /// Time for a client that takes nothing.
    pub(super) stalled: Duration,
}

impl Answering {
    /// Sends the whole answer and waits until the client has it. One that ends otherwise is reset, so that its end does not
    /// look like a proper one.
    pub(super) async fn send(
        mut self,
        response: Response<Body>,
        head_only: bool,
        now: Timestamp,
    ) -> Result<(), BrokenOff> {
        let sent = self.send_whole(response, head_only, now).await;
        if sent.is_err() {
            self.stream.stop_stream(Code::H3_REQUEST_CANCELLED);
        }
        sent
    }

    async fn send_whole(&mut self, response: Response<Body>, head_only: bool, now: Timestamp) -> Result<(), BrokenOff> {
        let (mut head, mut body) = response.into_parts();
        complete(&mut head.headers, &body, now);
        let bodiless = head_only || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        in_time(self.stalled, self.stream.send_response(Response::from_parts(head, ()))).await?;
        while !bodiless && let Some(frame) = self.next(&mut body).await? {
            match frame.into_data() {
                Ok(mut data) => {
                    while !data.is_empty() {
                        let piece = data.split_to(data.len().min(PIECE));
                        in_time(self.stalled, self.stream.send_data(piece)).await?;
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        in_time(self.stalled, self.stream.send_trailers(trailers)).await?;
                    }
                }
            }
        }
        drop(body);
        in_time(self.stalled, self.stream.finish()).await?;
        tokio::time::timeout(self.stalled, &mut self.gone).await.map_err(|_| BrokenOff::ByClient)
    }

    /// The next part of a body, unless the client goes first.
    async fn next(&mut self, body: &mut Body) -> Result<Option<Frame<Bytes>>, BrokenOff> {
        let next = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
        tokio::select! {
            biased;
            next = next => next.transpose().map_err(|error: BodyError| {
                tracing::debug!(%error, "an answer was broken off");
                BrokenOff::Here
            }),
            () = &mut self.gone => Err(BrokenOff::ByClient),
        }
    }
}

async fn in_time(limit: Duration, step: impl Future<Output = Result<(), StreamError>>) -> Result<(), BrokenOff> {
    Ok(tokio::time::timeout(limit, step).await.map_err(|_| BrokenOff::ByClient)??)
}

/// Takes away what HTTP/3 has not, and adds what every answer has: what hyper does for the other versions.
fn complete(headers: &mut HeaderMap, body: &Body, now: Timestamp) {
    for name in &OF_THE_CONNECTION {
        headers.remove(name);
    }
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    let date = || {
        let since = Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0));
        HeaderValue::try_from(httpdate::fmt_http_date(std::time::UNIX_EPOCH + since)).ok()
    };
    if !headers.contains_key(header::DATE)
        && let Some(date) = date()
    {
        headers.insert(header::DATE, date);
    }
}
