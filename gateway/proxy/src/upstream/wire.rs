//! The bytes of one connection to a service: they hold its place, and a head may have only so many.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::room::Slot;

/// Most bytes from a service before the head of its answer is whole. A mebibyte: sixteen of the largest heads, so that
/// only a service that says `100` without end meets it.
const BEFORE_A_HEAD: usize = 1024 * 1024;

/// What was heard since the last request, while its answer is awaited.
#[derive(Debug, Clone)]
pub(crate) struct Heard(Arc<AtomicUsize>);

/// Stands for: no answer is awaited, so nothing is counted.
const UNCOUNTED: usize = usize::MAX;

impl Heard {
    fn nothing() -> Self {
        Self(Arc::new(AtomicUsize::new(UNCOUNTED)))
    }

    /// A request goes out.
    pub(super) fn count(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Its answer's head has come.
    pub(super) fn rest(&self) {
        self.0.store(UNCOUNTED, Ordering::Relaxed);
    }

    fn is_enough(&self, more: usize) -> bool {
        match self.0.load(Ordering::Relaxed) {
            UNCOUNTED => false,
            // Where the head has come meanwhile, this counts nothing.
            heard => {
                let counted = self.0.compare_exchange(heard, heard + more, Ordering::Relaxed, Ordering::Relaxed);
                counted.is_ok() && heard + more > BEFORE_A_HEAD
            }
        }
    }
}

/// A connection with its place.
pub(super) struct Wire<IO> {
    io: IO,
    heard: Heard,
    _slot: Slot,
}

impl<IO> Wire<IO> {
    pub(super) fn new(io: IO, slot: Slot) -> (Self, Heard) {
        let heard = Heard::nothing();
        (Self { io, heard: heard.clone(), _slot: slot }, heard)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if self.heard.is_enough(buf.filled().len() - before) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the answer's head has no end")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
