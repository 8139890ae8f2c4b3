//! A request's body while it arrives: no larger than it may be, and no slower.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use cardea_core::Reason;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{Body, BodyError};
use crate::Connection;

/// What a body is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    /// Its bytes, at most.
    pub(crate) bytes: u64,
    /// Its bytes a second, at least; 0 where the operator wants none.
    pub(crate) rate: u32,
    /// The stretch over which the rate is taken.
    pub(crate) stretch: Duration,
}

/// What became of a body, for those who wait for the answer to it.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    broke: OnceLock<Reason>,
    answered: AtomicBool,
    call: AtomicBool,
}

impl Arrival {
    /// What the body did not keep to, if it was broken off.
    pub(crate) fn broke(&self) -> Option<Reason> {
        self.broke.get().copied()
    }

    /// The service has begun to answer: from here on, the two of them talk, and nobody waits for the whole of it.
    pub(crate) fn is_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Whether it goes to a service that understands it as a gRPC call: then its silence is its own business. Said anew where
    /// it is sent another way.
    pub(crate) fn is_of_call(&self, call: bool) {
        self.call.store(call, Ordering::Relaxed);
    }

    fn is_unhurried(&self) -> bool {
        self.answered.load(Ordering::Relaxed) || self.call.load(Ordering::Relaxed)
    }
}

pub(super) struct Arriving {
    body: Body,
    left: u64,
    pace: Option<Pace>,
    /// Rings when the pace is to be looked at. Set again only where it rang: a body that comes in many pieces does not set
    /// it for each.
    alarm: Option<Pin<Box<Sleep>>>,
    arrival: Arc<Arrival>,
    /// Whose it is: no connection is idle on which a body is still arriving.
    _connection: Arc<Connection>,
}

impl Arriving {
    pub(super) fn new(body: Body, measure: Measure, connection: Arc<Connection>) -> (Self, Arc<Arrival>) {
        let arrival = Arc::<Arrival>::default();
        let pace = (measure.rate > 0).then_some(Pace { measure, bytes: 0, waited: Duration::ZERO, since: None });
        let told = Arc::clone(&arrival);
        (Self { body, left: measure.bytes, pace, alarm: None, arrival, _connection: connection }, told)
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.poll_too_slow(cx));
            return self.broken(Reason::TooSlow);
        };
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len) as u64;
        if let Some(pace) = &mut self.pace {
            pace.came(bytes);
        }
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return self.broken(Reason::BodyTooLarge),
        }
        Poll::Ready(frame)
    }

    /// Ready once the client was waited for in vain.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pace) = &mut self.pace else { return Poll::Pending };
        let now = Instant::now();
        pace.waits(now);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(pace.measure.stretch)));
        while alarm.as_mut().poll(cx).is_ready() {
            match pace.look(now) {
                Some(next) => alarm.as_mut().reset(next),
                None if self.arrival.is_unhurried() => {
                    self.pace = None;
                    return Poll::Pending;
                }
                None => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    fn broken(&self, reason: Reason) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // The first reason stays.
        let _ = self.arrival.broke.set(reason);
        Poll::Ready(Some(Err(reason.code().into())))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How fast a body comes: bytes, and the time in which the client was waited for. While the service takes nothing,
/// nobody asks for more, and that time is not the client's.
struct Pace {
    measure: Measure,
    bytes: u64,
    waited: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// The client is waited for.
    fn waits(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// So many bytes came.
    fn came(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// When to look again; never where a whole stretch has brought too little.
    fn look(&mut self, now: Instant) -> Option<Instant> {
        let stretch = self.measure.stretch;
        let waited = self.waited + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if waited < stretch {
            return Some(now + (stretch - waited));
        }
        if self.bytes < u64::from(self.measure.rate) * stretch.as_secs() {
            return None;
        }
        (self.bytes, self.waited, self.since) = (0, Duration::ZERO, Some(now));
        Some(now + stretch)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    const MEASURE: Measure = Measure { bytes: 1_000, rate: 10, stretch: Duration::from_secs(10) };

    fn connection() -> Arc<Connection> {
        Arc::new(Connection::plain("127.0.0.1:9".parse().unwrap(), crate::Door::Public))
    }

    async fn outcome(body: Body) -> Result<usize, Reason> {
        let (body, arrival) = body.held_to(MEASURE, &connection())?;
        let whole = body.collect().await;
        whole.map(|whole| whole.to_bytes().len()).map_err(|_| arrival.unwrap().broke().unwrap())
    }

    #[tokio::test]
    async fn a_body_is_as_large_as_it_may_be_and_no_larger() {
        let pieces = |sizes: &[usize]| {
            let pieces: Vec<_> =
                sizes.iter().map(|&size| Ok::<_, BodyError>(Frame::data(Bytes::from(vec![0; size])))).collect();
            Body::new(StreamBody::new(futures_util::stream::iter(pieces)))
        };
        assert_eq!(outcome(pieces(&[500, 500])).await, Ok(1_000));
        assert_eq!(outcome(pieces(&[500, 501])).await, Err(Reason::BodyTooLarge));
        assert_eq!(outcome(Body::full(vec![0; 1_000])).await, Ok(1_000));
        assert!(
            Body::full(vec![0; 1_001]).held_to(MEASURE, &connection()).is_err(),
            "what is announced is not waited for"
        );
        assert!(Body::empty().held_to(MEASURE, &connection()).unwrap().1.is_none());
    }

    #[test]
    fn a_body_is_as_slow_as_it_may_be_and_no_slower() {
        let start = Instant::now();
        let second = |nth| start + Duration::from_secs(nth);
        let pace =
            |bytes, waited| Pace { measure: MEASURE, bytes, waited: Duration::from_secs(waited), since: Some(start) };
        assert_eq!(pace(0, 0).look(second(9)), Some(second(10)), "there is still time");
        assert_eq!(pace(99, 0).look(second(10)), None, "too little came in the stretch");
        assert_eq!(pace(99, 5).look(second(5)), None, "what was waited before counts");
        assert_eq!(pace(100, 0).look(second(10)), Some(second(20)), "enough");
        let mut paced = pace(5_000, 0);
        paced.look(second(10));
        assert_eq!(paced.look(second(20)), None, "what came in one stretch does not count in the next");
    }

    #[test]
    fn time_in_which_the_service_takes_nothing_is_not_the_clients() {
        let start = Instant::now();
        let mut pace = Pace { measure: MEASURE, bytes: 0, waited: Duration::from_secs(4), since: None };
        let later = start + Duration::from_secs(100);
        pace.waits(later);
        assert_eq!(pace.look(later), Some(later + Duration::from_secs(6)));
    }
}
