//! A request's body as it comes in over HTTP/3: piece by piece as it is asked for, as long as it was announced, and the
//! trailers after it.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use futures_util::FutureExt as _;
use h3::server::RequestStream;
use http::Method;
use http_body::{Frame, SizeHint};

use super::transport::Receiving;
use crate::{Body, body::BodyError};

/// What a request announces is not to be had (RFC 9114 section 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

struct Arriving {
    stream: RequestStream<Receiving, Bytes>,
    /// What came while it was found out whether anything comes.
    first: Option<Frame<Bytes>>,
    /// What is still to come, where it was announced.
    left: Option<u64>,
    at: At,
}

#[derive(Clone, Copy)]
enum At {
    Data,
    Trailers,
    End,
}

/// The body of a request that announces `length`. Services are told of a body where it is not known that there is none: so
/// where nothing is announced, a request that hardly ever has one is waited for until it has one, or has ended.
pub(super) async fn of(
    method: &Method,
    length: Option<u64>,
    stream: RequestStream<Receiving, Bytes>,
) -> Result<Body, BodyError> {
    if length == Some(0) {
        return Ok(Body::empty());
    }
    let mut body = Arriving { stream, first: None, left: length, at: At::Data };
    if length.is_none() {
        let comes = poll_fn(|cx| body.poll(cx));
        let has_none = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE);
        match if has_none { Some(comes.await) } else { comes.now_or_never() } {
            Some(None) => return Ok(Body::empty()),
            Some(Some(first)) => body.first = Some(first?),
            None => {}
        }
    }
    Ok(Body::new(body))
}

impl Arriving {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let At::Data = self.at {
            match ready!(self.poll_data(cx)) {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(None) => self.at = At::Trailers,
                Err(error) => return self.broken(error),
            }
        }
        if let At::Trailers = self.at {
            let trailers = ready!(self.stream.poll_recv_trailers(cx));
            self.at = At::End;
            return Poll::Ready(match trailers {
                Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
                Err(error) => Some(Err(error.into())),
            });
        }
        Poll::Ready(None)
    }

    /// The next piece; none where the data has ended, and was all that was announced (RFC 9114 section 4.1.2).
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let piece = ready!(self.stream.poll_recv_data(cx))?;
        let piece = piece.map(|mut piece| piece.copy_to_bytes(piece.remaining()));
        if let Some(left) = &mut self.left {
            match (&piece, left.checked_sub(piece.as_ref().map_or(0, Bytes::len) as u64)) {
                (None, Some(1..)) => return Poll::Ready(Err("the body is shorter than it was announced".into())),
                (_, None) => return Poll::Ready(Err("the body is longer than it was announced".into())),
                (_, Some(rest)) => *left = rest,
            }
        }
        Poll::Ready(Ok(piece))
    }

    fn broken(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.at = At::End;
        Poll::Ready(Some(Err(error)))
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && matches!(self.at, At::End)
    }

    fn size_hint(&self) -> SizeHint {
        // What was announced is not looked at before: `first` comes only where nothing was.
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
