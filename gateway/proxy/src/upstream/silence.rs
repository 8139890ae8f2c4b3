//! How long a body or a tunnel may be silent, where the app says so.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// The limit on a body's silence. Costs nothing where there is none.
pub(crate) struct Silence(Option<Box<Limit>>);

struct Limit {
    most: Duration,
    /// Runs while the body has nothing to give.
    until: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    pub(crate) fn new(most: Option<Duration>) -> Self {
        Self(most.map(|most| Box::new(Limit { most, until: None })))
    }

    /// There is nothing to pass: has that been so for too long? Time in which nobody asked does not count: then it is the
    /// receiver who is slow.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(limit) = &mut self.0 else { return false };
        let most = limit.most;
        limit.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(most))).as_mut().poll(cx).is_ready()
    }

    /// Something passed.
    pub(crate) fn broken(&mut self) {
        if let Some(limit) = &mut self.0 {
            limit.until = None;
        }
    }
}

/// Carries bytes both ways until an end closes, or nothing was heard on either for `most`.
pub(super) async fn carry<A, B>(client: &mut A, service: &mut B, most: Duration)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let last = LastHeard::now();
    let mut client = Listening { io: client, last: last.clone() };
    let mut service = Listening { io: service, last: last.clone() };
    tokio::select! {
        () = last.silent_for(most) => {}
        _ = tokio::io::copy_bidirectional(&mut client, &mut service) => {}
    }
}

/// When something was last heard on either end of a tunnel.
#[derive(Debug, Clone)]
struct LastHeard(Arc<Mutex<Instant>>);

impl LastHeard {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn mark(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing was heard for `most`.
    async fn silent_for(&self, most: Duration) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= most {
                return;
            }
            tokio::time::sleep_until(last + most).await;
        }
    }
}

/// One end of a tunnel, with what was heard on it.
struct Listening<IO> {
    io: IO,
    last: LastHeard,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Listening<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.last.mark();
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Listening<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
