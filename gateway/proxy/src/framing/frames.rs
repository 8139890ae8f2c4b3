//! Counts HTTP/2 frames beside h2, which bounds what one stream or one header block costs, but not how often a client
//! does for nothing what costs us something.
//!
//! [`Frames`] lies below h2 and reads the nine bytes before each frame. Where a client floods, it hands h2 in place of
//! the next frame what h2 itself answers with `GOAWAY ENHANCE_YOUR_CALM` ([`Frames::calm`]), and then nothing more. The
//! clock is read only where a count has run full.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::{Flood, Watch, linger::Linger, outgoing::Outgoing};
use crate::Limits;

/// The stretch over which frames are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// What a client is sent before one more frame of its own that asks for nothing is due: a window update answers at
/// least that much, and so does a ping that measures the line.
const BYTES_FOR_A_FRAME: u64 = 32;

/// What we send for a ping. It is no reason for another one.
const PONG: u64 = 17;

/// Time to take the last word. A second: whoever floods and reads nothing gets none.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) const HEADER: usize = 9;
/// The longest frame that h2 takes by default.
const FRAME_MAX: usize = 16_384;
const PREFACE: usize = 24;

pub(super) const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// An HTTP/2 connection whose frames are counted.
pub(crate) struct Frames<IO> {
    io: IO,
    at: At,
    /// The part of a frame's header that has come: it is let through once it is whole and judged.
    held: Held,
    /// What is let through but did not fit h2's buffer.
    ready: Vec<u8>,
    tally: Tally,
    outgoing: Outgoing,
    /// The stream that was opened last; ids only rise (RFC 9113 section 5.1.1).
    newest: u32,
    /// Time for a header block.
    block: Duration,
    /// Runs while a header block is unfinished, and while the last word is taken.
    late: Option<Pin<Box<Sleep>>>,
    over: bool,
    linger: Linger,
    watch: Arc<Watch>,
}

/// Where in the client's bytes we are.
#[derive(Debug)]
struct At {
    /// Bytes of the preface, or of the frame at hand, still to come.
    left: usize,
    /// The stream whose header block has begun and not ended.
    block: Option<[u8; 4]>,
    /// The frame at hand is that block's last.
    last: bool,
}

#[derive(Debug, Default)]
struct Held {
    bytes: [u8; HEADER],
    len: usize,
}

impl Held {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What a client did since the window began.
#[derive(Debug)]
struct Tally {
    since: Instant,
    opened: u32,
    resets: u32,
    idle: u32,
    /// Bytes that we sent.
    sent: u64,
    resets_max: u32,
    idle_max: u32,
}

impl Tally {
    fn new(resets_max: u32, idle_max: u32) -> Self {
        Self { since: Instant::now(), opened: 0, resets: 0, idle: 0, sent: 0, resets_max, idle_max }
    }

    /// A frame of that kind. Says where it is one too many.
    fn frame(&mut self, kind: u8, flags: u8, length: usize) -> Option<Flood> {
        match kind {
            // h2 bounds how many there are in one block.
            HEADERS | CONTINUATION => return None,
            DATA if length > 0 || flags & END_STREAM != 0 => return None,
            RST_STREAM => self.resets = self.resets.saturating_add(1),
            _ => self.idle = self.idle.saturating_add(1),
        }
        self.flood()
    }

    /// INVARIANT: what we sent and what was opened counts for no longer than [`WINDOW`], so that nothing is saved up by it:
    /// the window is looked at as soon as a count has run full, whatever stands against it.
    fn flood(&mut self) -> Option<Flood> {
        let (resets, idle) = (self.resets > self.resets_max, self.idle > self.idle_max);
        if !resets && !idle {
            return None;
        }
        if self.since.elapsed() >= WINDOW {
            *self = Self::new(self.resets_max, self.idle_max);
            return None;
        }
        let answered = self.sent.saturating_sub(PONG * u64::from(self.idle)) / BYTES_FOR_A_FRAME;
        if resets && self.resets > self.opened / 2 {
            Some(Flood::Resets)
        } else if idle && u64::from(self.idle) > u64::from(self.idle_max) + answered {
            Some(Flood::IdleFrames)
        } else {
            None
        }
    }
}

impl<IO> Frames<IO> {
    /// Counts the frames of a connection from its first byte on.
    pub(crate) fn new(io: IO, watch: Arc<Watch>, limits: &Limits) -> Self {
        Self {
            io,
            at: At { left: PREFACE, block: None, last: false },
            held: Held::default(),
            ready: Vec::new(),
            tally: Tally::new(limits.http2_resets, limits.http2_idle_frames),
            outgoing: Outgoing::default(),
            newest: 0,
            block: limits.head,
            late: None,
            over: false,
            linger: Linger::new(),
            watch,
        }
    }

    /// How many of `bytes`, which have just come, may pass: all but a frame's header that is not whole, and what comes
    /// after a flood was seen.
    fn sort(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let taken = self.at.left.min(bytes.len() - at);
            self.at.left -= taken;
            at += taken;
            if self.at.left > 0 {
                return at;
            }
            if std::mem::take(&mut self.at.last) {
                self.at.block = None;
                self.late = None;
            }
            let Some(header) = bytes[at..].first_chunk::<HEADER>() else { return at };
            if let Some(flood) = self.begin(*header) {
                self.calm(flood);
                return at;
            }
            at += HEADER;
        }
    }

    /// A frame begins.
    fn begin(&mut self, header: [u8; HEADER]) -> Option<Flood> {
        let [.., kind, flags, a, b, c, d] = header;
        let stream = [a, b, c, d];
        self.at.left = length(&header);
        if kind == HEADERS {
            self.at.block = Some(stream);
            // Trailers open no stream.
            let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
            if stream > self.newest {
                self.newest = stream;
                self.tally.opened = self.tally.opened.saturating_add(1);
            }
        }
        self.at.last = matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0;
        self.tally.frame(kind, flags, self.at.left)
    }

    /// Puts in place of what comes next what h2 answers with `ENHANCE_YOUR_CALM`: a header block that never ends. Hears
    /// nothing more from the client.
    fn calm(&mut self, flood: Flood) {
        /// More than h2 takes in one block with the longest head that may be configured.
        const ENOUGH: usize = 64;
        self.over = true;
        self.late = None;
        self.watch.note(flood);
        let stream = self.at.block.filter(|_| flood == Flood::SlowHead);
        // The frame at hand is brought to its end.
        self.ready.resize(if flood == Flood::SlowHead { self.at.left.min(FRAME_MAX) } else { 0 }, 0);
        let mut empty = |kind: u8, stream: [u8; 4]| {
            self.ready.extend_from_slice(&[0, 0, 0, kind, 0]);
            self.ready.extend_from_slice(&stream);
        };
        if stream.is_none() {
            empty(HEADERS, FAR);
        }
        (0..ENOUGH).for_each(|_| empty(CONTINUATION, stream.unwrap_or(FAR)));
    }
}

/// How long a frame says that it is.
pub(super) fn length(&[a, b, c, ..]: &[u8; HEADER]) -> usize {
    usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
}

/// A stream that no honest client gets to.
const FAR: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];

impl<IO: AsyncRead + Unpin> Frames<IO> {
    /// Reads what has come into `buf`, which has room for a frame's header, as far as it may pass.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        loop {
            buf.put_slice(self.held.bytes());
            let before = buf.filled().len();
            let read = Pin::new(&mut self.io).poll_read(cx, buf);
            let came = buf.filled().len() > before;
            if !came || !matches!(read, Poll::Ready(Ok(()))) {
                buf.set_filled(start);
                return read;
            }
            let pass = start + self.sort(&buf.filled()[start..]);
            let rest: &[u8] = if self.over { &[] } else { &buf.filled()[pass..] };
            self.held.len = rest.len();
            self.held.bytes[..rest.len()].copy_from_slice(rest);
            buf.set_filled(pass);
            if pass > start || self.over {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether a header block takes too long. Its time runs from the moment that we wait for the rest.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.at.block.is_none() {
            return false;
        }
        let block = self.block;
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(block)));
        late.as_mut().poll(cx).is_ready()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Frames<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let frames = &mut *self;
        loop {
            if !frames.ready.is_empty() {
                let now = frames.ready.len().min(buf.remaining());
                buf.put_slice(&frames.ready[..now]);
                frames.ready.drain(..now);
                return Poll::Ready(Ok(()));
            }
            if frames.over {
                // h2 has heard enough to end the connection.
                return Poll::Pending;
            }
            let start = buf.filled().len();
            let read = if buf.remaining() > HEADER {
                frames.poll_fill(cx, buf)
            } else {
                let mut aside = [0; 64];
                let mut aside = ReadBuf::new(&mut aside);
                let read = frames.poll_fill(cx, &mut aside);
                // In front of what `calm` may have put there.
                frames.ready.splice(..0, aside.filled().iter().copied());
                read
            };
            match read {
                Poll::Pending if frames.poll_late(cx) => frames.calm(Flood::SlowHead),
                Poll::Ready(Ok(())) if buf.filled().len() == start && !frames.ready.is_empty() => {}
                read => return read,
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> Frames<IO> {
    /// Counts what was sent of `bufs`; gives up on a client that floods and does not take the last word.
    fn sent(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.tally.sent += bytes as u64;
                // The client takes more of an answer: its connection is not idle, however slow the line.
                if self.outgoing.answers(bufs, bytes) {
                    self.watch.stir();
                }
            }
            Poll::Pending if self.over => {
                let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(FAREWELL)));
                ready!(late.as_mut().poll(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            _ => {}
        }
        written
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Frames<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.sent(cx, &[io::IoSlice::new(buf)], written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        let frames = &mut *self;
        frames.linger.poll(&mut frames.io, cx).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.sent(cx, bufs, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
