//! One body type for the whole data plane, so that the common cases are never boxed.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use cardea_core::Reason;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;

use crate::{
    Connection,
    failure::{Reader, grpc},
    headers,
    metrics::Meters,
    streams::Tie,
    upstream::{pool::Lease, silence::Silence},
};

mod arriving;
mod held;

use arriving::Arriving;
pub(crate) use arriving::{Arrival, Measure};
pub(crate) use held::Held;

/// What went wrong while a body was passing.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body on its way through, in either direction.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Option<Bytes>),
    Incoming(Incoming),
    Arriving(Box<Arriving>),
    Answering(Box<Answering>),
    Boxed(UnsyncBoxBody<Bytes, BodyError>),
}

impl Body {
    /// No body at all.
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body that is wholly in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self(Kind::Full(Some(bytes))) }
    }

    /// A service's answer, tied to its permit; the connection is kept once it has passed.
    pub(crate) fn answering(
        incoming: Incoming,
        mut lease: Lease,
        tie: Tie,
        silence: Silence,
        reader: Reader,
        meters: &Arc<Meters>,
    ) -> Self {
        if incoming.is_end_stream() {
            lease.give_back();
            return Self::empty();
        }
        let meters = Arc::clone(meters);
        Self(Kind::Answering(Box::new(Answering { incoming, lease, tie, silence, reader, meters, broken_off: false })))
    }

    /// A request's body that is held to `measure` while it arrives, and where it is told what became of it. One that
    /// is announced as too large is refused at once, and nothing at all needs no measure.
    pub(crate) fn held_to(
        self,
        measure: Measure,
        connection: &Arc<Connection>,
    ) -> Result<(Self, Option<Arc<Arrival>>), Reason> {
        if self.is_end_stream() {
            return Ok((self, None));
        }
        if self.size_hint().exact().is_some_and(|announced| announced > measure.bytes) {
            return Err(Reason::BodyTooLarge);
        }
        let (arriving, arrival) = Arriving::new(self, measure, Arc::clone(connection));
        Ok((Self(Kind::Arriving(Box::new(arriving))), Some(arrival)))
    }

    /// Any other body, such as one of axum's.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        Self(Kind::Boxed(body.map_err(Into::into).boxed_unsync()))
    }
}

/// A service's answer on its way.
struct Answering {
    incoming: Incoming,
    lease: Lease,
    tie: Tie,
    silence: Silence,
    reader: Reader,
    meters: Arc<Meters>,
    broken_off: bool,
}

impl Answering {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.broken_off {
            return Poll::Ready(None);
        }
        if ready!(self.tie.poll_cut(cx)) {
            return Poll::Ready(Some(self.break_off("the permit no longer holds".into())));
        }
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                if self.silence.poll_over(cx) {
                    return Poll::Ready(Some(self.break_off("the service fell silent".into())));
                }
                self.tie.watch(cx);
                return Poll::Pending;
            }
        };
        self.silence.broken();
        if let Some(Ok(frame)) = &frame {
            self.meters.sent(frame.data_ref().map_or(0, Bytes::len));
        }
        // Given back with the last piece: hyper may not ask for the end that follows it.
        if frame.is_none() || self.incoming.is_end_stream() {
            self.lease.give_back();
        }
        Poll::Ready(frame.map(|frame| frame.map(cleaned).or_else(|error| self.break_off(error.into()))))
    }

    /// The end of an answer that is not whole. A gRPC client is told why, in the trailers that it waits for; to everybody
    /// else the end must not look like a proper one.
    fn break_off(&mut self, error: BodyError) -> Result<Frame<Bytes>, BodyError> {
        if self.reader != Reader::Grpc {
            return Err(error);
        }
        self.broken_off = true;
        let reason = if self.tie.is_denied() { Reason::Denied } else { Reason::UpstreamBroken };
        Ok(Frame::trailers(grpc::broken_off(reason)))
    }
}

/// Trailers say what trailers may.
fn cleaned(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            headers::clean_trailers_of_answer(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.0 {
            Kind::Empty => "empty",
            Kind::Full(_) => "full",
            Kind::Incoming(_) => "incoming",
            Kind::Arriving(_) => "arriving",
            Kind::Answering(_) => "answering",
            Kind::Boxed(_) => "boxed",
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

impl From<Incoming> for Body {
    fn from(body: Incoming) -> Self {
        Self(Kind::Incoming(body))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Kind::Arriving(body) => body.poll_frame(cx),
            Kind::Answering(body) => body.poll_frame(cx),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Arriving(body) => body.is_end_stream(),
            Kind::Answering(body) => body.broken_off || body.incoming.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Arriving(body) => body.size_hint(),
            Kind::Answering(body) => body.incoming.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}
