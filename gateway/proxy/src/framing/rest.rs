//! A guard while nobody speaks HTTP above it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::{Guard, State};

impl<IO> Guard<IO> {
    /// Notes whether the client has yet to take what was written.
    pub(super) fn wrote<T>(&mut self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_pending() != self.owes {
            self.owes = !self.owes;
            self.watch.owe(self.owes);
        }
        done
    }

    /// Whether the connection goes on though hyper ends: it is let go of, between two requests.
    pub(super) fn is_kept(&self) -> bool {
        if !self.watch.rests() {
            return false;
        }
        let between = self.state == State::Head && !self.last;
        self.watch.rest(between);
        between
    }

    /// Nobody reads for now: gives back what is not needed until somebody does.
    pub(crate) fn rests(&mut self) {
        self.held.shrink_to_fit();
        self.ready.shrink_to_fit();
    }
}

impl<IO: AsyncRead + Unpin> Guard<IO> {
    /// While nobody reads: ready where there is something to be read, or the connection has ended.
    pub(crate) fn poll_stirs(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        while self.held.is_empty() && self.ready.is_empty() {
            let mut buf = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf));
            // Whoever reads next hears of an end, or of what broke, by themselves.
            if read.is_err() || buf.filled().is_empty() {
                break;
            }
            let mut out = std::mem::take(&mut self.ready);
            self.take(buf.filled(), &mut out);
            self.ready = out;
        }
        Poll::Ready(())
    }
}
