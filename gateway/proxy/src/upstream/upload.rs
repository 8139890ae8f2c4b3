//! A request's body on its way to the service.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::silence::Silence;
use crate::{
    App, Body,
    body::{Arrival, BodyError},
    failure::grpc,
    headers,
    metrics::Meters,
    streams::Tie,
};

/// When the last piece of a body passed.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    began: Instant,
    millis: Arc<AtomicU64>,
    arrival: Option<Arc<Arrival>>,
}

impl Progress {
    fn begin(arrival: Option<Arc<Arrival>>) -> Self {
        Self { began: Instant::now(), millis: Arc::default(), arrival }
    }

    /// The moment of the last piece, if any has passed. A gRPC call's count for as long as its client may ask to be waited for:
    /// nothing hurries them, and a service that never answers would be waited for without an end.
    pub(super) fn last(&self, call: bool) -> Option<Instant> {
        match self.millis.load(Ordering::Relaxed) {
            0 => None,
            millis if call => Some(self.began + Duration::from_millis(millis).min(grpc::LONGEST)),
            millis => Some(self.began + Duration::from_millis(millis)),
        }
    }

    /// Whether the body goes to a service that understands it as a gRPC call.
    pub(super) fn is_of_call(&self, call: bool) {
        if let Some(arrival) = &self.arrival {
            arrival.is_of_call(call);
        }
    }

    fn mark(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis.max(1), Ordering::Relaxed);
    }
}

/// Streams a body on, cleans its trailers and breaks off when its permit no longer holds.
struct Uploading {
    body: Body,
    app: Arc<App>,
    meters: Arc<Meters>,
    progress: Progress,
    tie: Tie,
    silence: Silence,
}

/// Prepares a request's body. One that is empty is left as it is.
pub(crate) fn prepare(
    body: Body,
    arrival: Option<&Arc<Arrival>>,
    app: &Arc<App>,
    meters: &Arc<Meters>,
    tie: impl FnOnce() -> Tie,
) -> (Body, Option<Progress>) {
    if body.is_end_stream() {
        return (Body::empty(), None);
    }
    let progress = Progress::begin(arrival.cloned());
    let silence = Silence::new(app.upstream.as_ref().and_then(|upstream| upstream.idle()));
    let (app, meters) = (Arc::clone(app), Arc::clone(meters));
    let uploading = Uploading { body, app, meters, progress: progress.clone(), tie: tie(), silence };
    (Body::new(uploading), Some(progress))
}

impl HttpBody for Uploading {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if ready!(this.tie.poll_cut(cx)) {
            return Poll::Ready(Some(Err("the permit no longer holds".into())));
        }
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending => {
                if this.silence.poll_over(cx) {
                    return Poll::Ready(Some(Err("the client fell silent".into())));
                }
                this.tie.watch(cx);
                return Poll::Pending;
            }
            ready => ready!(ready),
        };
        this.silence.broken();
        this.progress.mark();
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_trailers() {
                Ok(mut trailers) => {
                    headers::clean_trailers(&mut trailers, &this.app.mapped);
                    Frame::trailers(trailers)
                }
                Err(frame) => {
                    this.meters.received(frame.data_ref().map_or(0, Bytes::len));
                    frame
                }
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_s_pieces_are_signs_of_life_for_an_hour() {
        let began = Instant::now();
        let progress = |seconds: u64| Progress { began, millis: Arc::new((seconds * 1000).into()), arrival: None };
        let after = |seconds| Some(began + Duration::from_secs(seconds));
        assert_eq!((progress(0).last(true), progress(0).last(false)), (None, None));
        assert_eq!((progress(3_599).last(true), progress(3_599).last(false)), (after(3_599), after(3_599)));
        assert_eq!((progress(7_200).last(true), progress(7_200).last(false)), (after(3_600), after(7_200)));
    }
}
