//! Reads HTTP/1 framing along with hyper, and stricter: what hyper would settle by a choice of its own (RFC 9112
//! section 6.3 allows that) is refused with an answer and an entry like every other refusal.
//!
//! A [`Guard`] lies below hyper. It lets a head through once the head is whole and has one reading. In place of one
//! that has not, it hands hyper a request that stands in for it ([`REFUSED`]), and then nothing more: the connection
//! closes after the answer. Why is told beside the connection ([`Watch`]), where no client can reach.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use cardea_core::Reason;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

mod frames;
mod head;
#[cfg(any(test, feature = "http3"))]
pub(crate) mod http3;
mod linger;
mod outgoing;
mod rest;
mod watch;

pub(crate) use frames::Frames;
use linger::Linger;
pub(crate) use watch::{Flood, Watch};

/// The header that marks a stand-in request. No head with it is let through.
pub(crate) const REFUSED: &str = "cardea-refused";

/// Beside that header: the head was larger than it may be. Set where HTTP/3 is read, and by no client.
#[cfg(feature = "http3")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct TooLarge;

/// Longest trailers: they carry a status or a sum, hardly ever more than a hundred bytes.
const TRAILERS_MAX: usize = 8 * 1024;

/// An HTTP/1 connection whose framing is watched.
pub(crate) struct Guard<IO> {
    io: IO,
    state: State,
    bounds: Bounds,
    /// The part of a head that has come so far and is not yet let through.
    held: Vec<u8>,
    /// What is let through but did not fit hyper's buffer.
    ready: Vec<u8>,
    /// Runs while a head has begun and is not whole.
    late: Option<Pin<Box<Sleep>>>,
    linger: Linger,
    /// The request under way is the connection's last. What follows it is dropped: hyper would take it for a reason to
    /// drop the answer.
    last: bool,
    /// The client has yet to take what was written. INVARIANT: whenever hyper waits, this says whether it has something to
    /// send.
    owes: bool,
    watch: Arc<Watch>,
}

/// What a head may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes.
    pub(crate) head: usize,
    /// Fields.
    pub(crate) fields: usize,
    /// Time from the first byte to the last.
    pub(crate) time: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Body(u64),
    ChunkSize {
        size: u64,
        digits: u8,
        at: SizeLine,
    },
    ChunkData(u64),
    ChunkEnd {
        carriage: bool,
    },
    Trailers {
        line: usize,
        total: usize,
        /// The line's name has come.
        named: bool,
        carriage: bool,
    },
    /// A head was refused: nothing more is heard.
    Over,
    /// A body's framing was refused: what came before it passes, then the connection breaks.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SizeLine {
    Digits,
    Extension(u8),
    Carriage,
}

/// Longest chunk extension. They mean nothing to us, and no honest client sends any.
const EXTENSION_MAX: u8 = 64;

const TRAILERS: State = State::Trailers { line: 0, total: 0, named: false, carriage: false };

const CHUNK: State = State::ChunkSize { size: 0, digits: 0, at: SizeLine::Digits };

impl<IO> Guard<IO> {
    /// Watches a connection whose heads keep to `bounds`.
    pub(crate) fn new(io: IO, watch: Arc<Watch>, bounds: Bounds) -> Self {
        Self {
            io,
            state: State::Head,
            bounds,
            held: Vec::new(),
            ready: Vec::new(),
            late: None,
            linger: Linger::new(),
            last: false,
            owes: false,
            watch,
        }
    }

    /// Sorts `bytes`, which have just come: appends what may pass to `out`, holds back an unfinished head.
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match self.state {
                State::Over | State::Broken => rest.len(),
                State::Head if self.last => rest.len(),
                State::Head => self.take_head(rest, out),
                _ => {
                    let taken = self.take_body(rest);
                    out.extend_from_slice(&rest[..taken]);
                    taken
                }
            };
            rest = &rest[taken..];
        }
    }

    fn take_head(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        // The end of a head may straddle two reads: look again at the last three bytes held.
        let from = self.held.len().saturating_sub(3);
        let before = self.held.len();
        self.held.extend_from_slice(bytes);
        // An empty line before a request is allowed (RFC 9112 section 2.2), and dropped.
        while self.held.starts_with(b"\r\n") {
            self.held.drain(..2);
            // What comes next has its own time.
            self.late = None;
            if self.held.len() < 2 {
                return bytes.len();
            }
        }
        let dropped = (before + bytes.len()) - self.held.len();
        let Some(end) = head::end(&self.held, from.saturating_sub(dropped)) else {
            if self.held.len() > self.bounds.head {
                self.refuse(Reason::HeadersTooLarge, out);
            } else if head::is_hopeless(&self.held) {
                self.refuse(Reason::AmbiguousFraming, out);
            }
            return bytes.len();
        };
        let unused = self.held.len() - end;
        let verdict = if end > self.bounds.head {
            Err(Reason::HeadersTooLarge)
        } else {
            head::check(&self.held[..end], self.bounds.fields)
        };
        match verdict {
            Ok(announced) => {
                out.extend_from_slice(&self.held[..end]);
                self.held.clear();
                self.late = None;
                self.expect(announced);
            }
            Err(reason) => self.refuse(reason, out),
        }
        bytes.len() - unused
    }

    /// After a head that was let through comes what it announced.
    fn expect(&mut self, head::Announced { framing, last }: head::Announced) {
        self.last = last;
        self.state = match framing {
            head::Framing::None | head::Framing::Length(0) => State::Head,
            head::Framing::Length(length) => State::Body(length),
            head::Framing::Chunked => CHUNK,
        };
    }

    /// Puts the stand-in in place of what cannot be let through; hears nothing more from the client.
    fn refuse(&mut self, reason: Reason, out: &mut Vec<u8>) {
        self.state = State::Over;
        self.held = Vec::new();
        self.late = None;
        self.watch.refuse(reason);
        let stand_in = format!("GET / HTTP/1.1\r\nhost: refused.invalid\r\n{REFUSED}: 1\r\nconnection: close\r\n\r\n");
        out.extend_from_slice(stand_in.as_bytes());
    }

    /// How much of `bytes` belongs to the body at hand.
    fn take_body(&mut self, bytes: &[u8]) -> usize {
        let (taken, next) = match self.state {
            State::Body(left) => {
                let taken = share(left, bytes);
                let left = left - taken as u64;
                (taken, if left == 0 { State::Head } else { State::Body(left) })
            }
            State::ChunkData(left) => {
                let taken = share(left, bytes);
                let left = left - taken as u64;
                (taken, if left == 0 { State::ChunkEnd { carriage: false } } else { State::ChunkData(left) })
            }
            state => match after(state, bytes[0]) {
                Some(next) => (1, next),
                None => {
                    self.watch.refuse(Reason::AmbiguousFraming);
                    (0, State::Broken)
                }
            },
        };
        self.state = next;
        taken
    }
}

fn share(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the body's framing has two readings")
}

/// The state after one byte of chunked framing; `None` where it is not exactly what RFC 9112 section 7.1 says.
fn after(state: State, byte: u8) -> Option<State> {
    Some(match state {
        State::ChunkSize { size, digits, at: SizeLine::Digits } => match byte {
            b'\r' if digits > 0 => State::ChunkSize { size, digits, at: SizeLine::Carriage },
            b';' if digits > 0 => State::ChunkSize { size, digits, at: SizeLine::Extension(0) },
            _ if digits < 15 => {
                let digit = u64::from(char::from(byte).to_digit(16)?);
                State::ChunkSize { size: size << 4 | digit, digits: digits + 1, at: SizeLine::Digits }
            }
            _ => return None,
        },
        State::ChunkSize { size, digits, at: SizeLine::Extension(length) } => match byte {
            b'\r' => State::ChunkSize { size, digits, at: SizeLine::Carriage },
            b'\n' | 0 => return None,
            _ if length < EXTENSION_MAX => State::ChunkSize { size, digits, at: SizeLine::Extension(length + 1) },
            _ => return None,
        },
        State::ChunkSize { size, at: SizeLine::Carriage, .. } if byte == b'\n' => match size {
            0 => TRAILERS,
            _ => State::ChunkData(size),
        },
        State::ChunkEnd { carriage: false } if byte == b'\r' => State::ChunkEnd { carriage: true },
        State::ChunkEnd { carriage: true } if byte == b'\n' => CHUNK,
        State::Trailers { line, total, named, carriage: false } => match byte {
            b'\r' if line == 0 || named => State::Trailers { line, total, named, carriage: true },
            b':' if line > 0 => State::Trailers { line: line + 1, total: total + 1, named: true, carriage: false },
            _ if total == TRAILERS_MAX || !(named && head::is_in_value(byte) || head::is_token(byte)) => return None,
            _ => State::Trailers { line: line + 1, total: total + 1, named, carriage: false },
        },
        State::Trailers { line: 0, carriage: true, .. } if byte == b'\n' => State::Head,
        State::Trailers { total, carriage: true, .. } if byte == b'\n' => {
            State::Trailers { line: 0, total, named: false, carriage: false }
        }
        _ => return None,
    })
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guard<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guard = &mut *self;
        loop {
            if guard.watch.is_tunnel() {
                guard.ready.append(&mut guard.held);
                if guard.ready.is_empty() {
                    return Pin::new(&mut guard.io).poll_read(cx, buf);
                }
            }
            if !guard.ready.is_empty() {
                let now = guard.ready.len().min(buf.remaining());
                buf.put_slice(&guard.ready[..now]);
                guard.ready.drain(..now);
                return Poll::Ready(Ok(()));
            }
            match guard.state {
                State::Over => return guard.poll_discard(cx),
                State::Broken => return Poll::Ready(Err(broken())),
                _ => {}
            }
            let start = buf.filled().len();
            match Pin::new(&mut guard.io).poll_read(cx, buf) {
                Poll::Ready(read) => read?,
                Poll::Pending if guard.is_late(cx) => {
                    let mut out = std::mem::take(&mut guard.ready);
                    guard.refuse(Reason::TooSlow, &mut out);
                    guard.ready = out;
                    continue;
                }
                Poll::Pending => return Poll::Pending,
            }
            let came = &buf.filled()[start..];
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if guard.passes_as_is(came) {
                return Poll::Ready(Ok(()));
            }
            let came = came.to_vec();
            buf.set_filled(start);
            let mut out = std::mem::take(&mut guard.ready);
            guard.take(&came, &mut out);
            guard.ready = out;
        }
    }
}

impl<IO> Guard<IO> {
    /// Whether a head that has begun takes too long to end. Its time runs from the moment that we wait for the rest.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.state != State::Head || self.held.is_empty() {
            return false;
        }
        let time = self.bounds.time;
        self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(time))).as_mut().poll(cx).is_ready()
    }

    /// The usual case, without a copy: one whole head and nothing else, or a stretch of a body.
    fn passes_as_is(&mut self, came: &[u8]) -> bool {
        match self.state {
            State::Head if self.held.is_empty() && !self.last => {
                if head::end(came, 0) != Some(came.len()) || came.len() > self.bounds.head {
                    return false;
                }
                let Ok(announced) = head::check(came, self.bounds.fields) else { return false };
                self.expect(announced);
                true
            }
            State::Body(left) | State::ChunkData(left) if left >= came.len() as u64 => {
                self.take_body(came);
                true
            }
            _ => false,
        }
    }
}

impl<IO: AsyncRead + Unpin> Guard<IO> {
    /// Lingers where a request was answered before it was whole.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let whole = self.state == State::Head && self.held.is_empty();
        if whole || self.watch.is_tunnel() {
            return Poll::Ready(());
        }
        self.linger.poll(&mut self.io, cx)
    }

    /// Reads on without listening, so that closing with unread bytes does not reset the connection before the answer
    /// has arrived. Hyper is told neither of bytes nor of an end: it would drop the answer under way.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        // Bounded per call: a client that never stops is cut by the answer's `connection: close`.
        for _ in 0..64 {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Pending
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.wrote(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_kept() {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        self.poll_linger(cx).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
