//! An HTTP/1 connection that holds what requests need only while there are some: most of a gateway's connections are idle.
//!
//! hyper keeps two buffers and a table of fields for as long as it serves a connection, some twenty kilobytes. Once nothing
//! was asked for a while it is told to end, the connection is kept, and the next byte begins another.
//!
//! INVARIANT: nothing is lost by it, and nothing read twice. It is done only where no request, no body and no byte of an
//! answer is under way ([`super::quiet`] knows), and only where hyper then ends at once and leaves nothing unread. All else
//! that has come is the guard's, which stays. What ends otherwise ends the connection.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::http1::{Builder, UpgradeableConnection},
    service::HttpService,
};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    framing::{Guard, Watch},
    metrics::Counted,
};

/// Fields of a head for which hyper has room on its stack; where more are allowed it takes eight kilobytes from the heap for
/// each head. The guard keeps to the limit itself.
const ON_THE_STACK: usize = 100;

/// A served connection, awake or asleep.
pub(super) struct Resting<IO, S: HttpService<Incoming>> {
    state: State<IO, S>,
    /// Fields that a head may have.
    fields: usize,
    /// hyper was told to end so that it may be let go of.
    falls_asleep: bool,
    watch: Arc<Watch>,
    asleep: Gauge,
}

enum State<IO, S: HttpService<Incoming>> {
    Awake(Box<UpgradeableConnection<TokioIo<Guard<IO>>, S>>),
    Asleep(Box<(Guard<IO>, S, Counted)>),
    Over,
}

impl<IO, S, B> Resting<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Serves a connection, whose guard writes to `watch`; counted in `asleep` while it is.
    pub(super) fn new(guard: Guard<IO>, service: S, fields: usize, watch: Arc<Watch>, asleep: Gauge) -> Self {
        Self { state: State::Awake(awake(guard, service, fields)), fields, falls_asleep: false, watch, asleep }
    }

    /// Tells it to end, when what is under way has ended.
    pub(super) fn end(mut self: Pin<&mut Self>) {
        self.was_falling_asleep();
        self.wake();
        if let State::Awake(serving) = &mut self.state {
            Pin::new(&mut **serving).graceful_shutdown();
        }
    }

    /// Lets go of what requests need. To be called only where nothing is under way.
    pub(super) fn rest(mut self: Pin<&mut Self>) {
        let this = &mut *self;
        if let State::Awake(serving) = &mut this.state
            && this.watch.can_rest()
        {
            this.watch.rest(true);
            this.falls_asleep = true;
            Pin::new(&mut **serving).graceful_shutdown();
        }
    }

    /// Whether it was falling asleep, and nothing stood against it; from now on it is not.
    fn was_falling_asleep(&mut self) -> bool {
        std::mem::take(&mut self.falls_asleep) && self.watch.rest(false)
    }

    fn wake(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::Asleep(asleep) => {
                let (guard, service, _) = *asleep;
                State::Awake(awake(guard, service, self.fields))
            }
            other => other,
        }
    }

    fn fall_asleep(&mut self) {
        let State::Awake(serving) = std::mem::replace(&mut self.state, State::Over) else { return };
        let Some(parts) = serving.into_parts() else { return };
        // Something that hyper has not read to its end is no request's beginning: it ends here.
        if parts.read_buf.is_empty() {
            let mut guard = parts.io.into_inner();
            guard.rests();
            self.state = State::Asleep(Box::new((guard, parts.service, Counted::one_more(&self.asleep))));
        }
    }
}

fn awake<IO, S, B>(guard: Guard<IO>, service: S, fields: usize) -> Box<UpgradeableConnection<TokioIo<Guard<IO>>, S>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut builder = Builder::new();
    // The guard lets through whole heads only, and sees to their time; others see to the time between them.
    builder.header_read_timeout(None::<Duration>);
    if fields > ON_THE_STACK {
        builder.max_headers(fields);
    }
    Box::new(builder.serve_connection(TokioIo::new(guard), service).with_upgrades())
}

impl<IO, S, B> Future for Resting<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Awake(serving) => {
                    let ended = Pin::new(&mut **serving).poll(cx);
                    if !(this.falls_asleep && this.was_falling_asleep() && matches!(ended, Poll::Ready(Ok(())))) {
                        return ended;
                    }
                    this.fall_asleep();
                }
                State::Asleep(asleep) => {
                    ready!(asleep.0.poll_stirs(cx));
                    this.wake();
                }
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests;
