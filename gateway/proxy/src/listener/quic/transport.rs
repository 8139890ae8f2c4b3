//! QUIC as h3 speaks over it: quinn's streams behind h3's traits.
//!
//! INVARIANTS: what h3 reads has passed [`Frames`]; a stream that is let go of before its end is reset, so that half an
//! answer never looks like a whole one; and whoever takes a request can see when its client gives it up ([`Gone`]).

use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming as ConnectionFault, StreamErrorIncoming as Fault, StreamId, WriteBuf},
};
use quinn::VarInt;

use crate::framing::http3::{Broken, Frames};

/// The longest piece that is read at once: what a dozen packets bring.
const PIECE: usize = 16 * 1024;

/// Ready once the client gives up a stream, or has received all of it.
pub(super) type Gone = Pin<Box<dyn Future<Output = ()> + Send>>;

type Coming<T> = Pin<Box<dyn Future<Output = Result<T, quinn::ConnectionError>> + Send>>;
type Halves = (quinn::SendStream, quinn::RecvStream);

/// A connection, of either side.
#[allow(missing_debug_implementations, reason = "boxed futures")]
pub struct Transport {
    opener: Opener,
    requests: Coming<Halves>,
    one_way: Coming<quinn::RecvStream>,
    gone: Option<Gone>,
}

/// Opens streams on it.
#[allow(missing_debug_implementations, reason = "boxed futures")]
pub struct Opener {
    connection: quinn::Connection,
    longest: u64,
    request: Option<Coming<Halves>>,
    one_way: Option<Coming<quinn::SendStream>>,
}

impl Transport {
    /// HTTP/3 over this connection, where each frame but data is at most `longest` bytes long.
    pub fn new(connection: quinn::Connection, longest: u64) -> Self {
        let opener = Opener { connection, longest, request: None, one_way: None };
        Self { requests: opener.next_request(), one_way: opener.next_one_way(), opener, gone: None }
    }

    /// What tells that the client has given up the request that was taken last.
    pub(super) fn gone(&mut self) -> Option<Gone> {
        self.gone.take()
    }
}

impl Clone for Opener {
    fn clone(&self) -> Self {
        Self { connection: self.connection.clone(), longest: self.longest, request: None, one_way: None }
    }
}

impl Opener {
    fn next_request(&self) -> Coming<Halves> {
        let connection = self.connection.clone();
        Box::pin(async move { connection.accept_bi().await })
    }

    fn next_one_way(&self) -> Coming<quinn::RecvStream> {
        let connection = self.connection.clone();
        Box::pin(async move { connection.accept_uni().await })
    }

    fn both<B: Buf>(&self, (send, receive): Halves) -> Result<Both<B>, ConnectionFault> {
        let receiving = Receiving::new(receive, Frames::of_request(self.longest))?;
        Ok(Both { sending: Sending::new(send)?, receiving })
    }
}

impl<B: Buf> quic::Connection<B> for Transport {
    type RecvStream = Receiving;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Receiving, ConnectionFault>> {
        let stream = ready!(self.one_way.as_mut().poll(cx));
        self.one_way = self.opener.next_one_way();
        Poll::Ready(Receiving::new(stream.map_err(ended)?, Frames::of_one_way(self.opener.longest)))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Both<B>, ConnectionFault>> {
        let halves = ready!(self.requests.as_mut().poll(cx));
        self.requests = self.opener.next_request();
        let halves = halves.map_err(ended)?;
        let stopped = halves.0.stopped();
        self.gone = Some(Box::pin(async move { drop(stopped.await) }));
        Poll::Ready(self.opener.both(halves))
    }

    fn opener(&self) -> Opener {
        self.opener.clone()
    }
}

impl<B: Buf> quic::OpenStreams<B> for Transport {
    type BidiStream = Both<B>;
    type SendStream = Sending<B>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Both<B>, Fault>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sending<B>, Fault>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<B>::close(&mut self.opener, code, reason);
    }
}

impl<B: Buf> quic::OpenStreams<B> for Opener {
    type BidiStream = Both<B>;
    type SendStream = Sending<B>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Both<B>, Fault>> {
        let connection = &self.connection;
        let opening = self.request.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_bi().await })
        });
        let halves = ready!(opening.as_mut().poll(cx));
        self.request = None;
        Poll::Ready(halves.map_err(ended).and_then(|halves| self.both(halves)).map_err(of_connection))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sending<B>, Fault>> {
        let connection = &self.connection;
        let opening = self.one_way.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let stream = ready!(opening.as_mut().poll(cx));
        self.one_way = None;
        Poll::Ready(stream.map_err(ended).and_then(Sending::new).map_err(of_connection))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(number(code.value()), reason);
    }
}

/// Both halves of a stream.
#[allow(missing_debug_implementations, reason = "h3's buffers")]
pub struct Both<B: Buf> {
    sending: Sending<B>,
    receiving: Receiving,
}

impl<B: Buf> quic::BidiStream<B> for Both<B> {
    type SendStream = Sending<B>;
    type RecvStream = Receiving;

    fn split(self) -> (Sending<B>, Receiving) {
        (self.sending, self.receiving)
    }
}

impl<B: Buf> quic::SendStream<B> for Both<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.sending.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), Fault> {
        self.sending.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.sending.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.sending.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.sending.id
    }
}

impl<B: Buf> quic::RecvStream for Both<B> {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Fault>> {
        self.receiving.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.receiving.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receiving.id
    }
}

/// The half that is written.
#[allow(missing_debug_implementations, reason = "h3's buffers")]
pub struct Sending<B: Buf> {
    stream: quinn::SendStream,
    id: StreamId,
    writing: Option<WriteBuf<B>>,
    over: bool,
}

impl<B: Buf> Sending<B> {
    fn new(stream: quinn::SendStream) -> Result<Self, ConnectionFault> {
        Ok(Self { id: id(stream.id())?, stream, writing: None, over: false })
    }
}

impl<B: Buf> quic::SendStream<B> for Sending<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while let Some(data) = self.writing.as_mut().filter(|data| data.has_remaining()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, data.chunk())).map_err(unwritten)?;
            data.advance(written);
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), Fault> {
        if self.writing.is_some() {
            return Err(of_connection(ConnectionFault::InternalError("written before it was ready".to_owned())));
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.over = true;
        Poll::Ready(self.stream.finish().map_err(|error| Fault::Unknown(Box::new(error))))
    }

    fn reset(&mut self, code: u64) {
        self.over = true;
        // It has ended already where it cannot be reset.
        let _ = self.stream.reset(number(code));
    }

    fn send_id(&self) -> StreamId {
        self.id
    }
}

impl<B: Buf> Drop for Sending<B> {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.stream.reset(number(Code::H3_REQUEST_CANCELLED.value()));
        }
    }
}

/// The half that is read.
#[derive(Debug)]
pub struct Receiving {
    stream: quinn::RecvStream,
    id: StreamId,
    frames: Frames,
    ready: VecDeque<Bytes>,
}

impl Receiving {
    fn new(stream: quinn::RecvStream, frames: Frames) -> Result<Self, ConnectionFault> {
        Ok(Self { id: id(stream.id())?, stream, frames, ready: VecDeque::new() })
    }
}

impl quic::RecvStream for Receiving {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Fault>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Ok(Some(piece)));
            }
            // Reading keeps no state between two polls: the waker is quinn's to keep.
            match ready!(pin!(self.stream.read_chunk(PIECE, true)).poll(cx)).map_err(unread)? {
                Some(chunk) => self.frames.pass(chunk.bytes, &mut self.ready).map_err(broken)?,
                None => return Poll::Ready(self.frames.may_end().map(|()| None).map_err(broken)),
            }
        }
    }

    fn stop_sending(&mut self, code: u64) {
        let _ = self.stream.stop(number(code));
    }

    fn recv_id(&self) -> StreamId {
        self.id
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // What was not read is of no use: the answer does not depend on it (RFC 9114 section 4.1).
        let _ = self.stream.stop(number(Code::H3_NO_ERROR.value()));
    }
}

fn id(id: quinn::StreamId) -> Result<StreamId, ConnectionFault> {
    StreamId::try_from(u64::from(id)).map_err(|error| ConnectionFault::InternalError(error.to_string()))
}

fn number(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn broken(why: Broken) -> Fault {
    let code = match why {
        Broken::TooLong => Code::H3_EXCESSIVE_LOAD,
        Broken::Cut => Code::H3_FRAME_ERROR,
    };
    Fault::StreamTerminated { error_code: code.value() }
}

fn of_connection(connection_error: ConnectionFault) -> Fault {
    Fault::ConnectionErrorIncoming { connection_error }
}

fn ended(error: quinn::ConnectionError) -> ConnectionFault {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            ConnectionFault::ApplicationClose { error_code: close.error_code.into() }
        }
        quinn::ConnectionError::TimedOut => ConnectionFault::Timeout,
        other => ConnectionFault::Undefined(Arc::new(other)),
    }
}

fn unread(error: quinn::ReadError) -> Fault {
    match error {
        quinn::ReadError::Reset(code) => Fault::StreamTerminated { error_code: code.into() },
        quinn::ReadError::ConnectionLost(error) => of_connection(ended(error)),
        other => Fault::Unknown(Box::new(other)),
    }
}

fn unwritten(error: quinn::WriteError) -> Fault {
    match error {
        quinn::WriteError::Stopped(code) => Fault::StreamTerminated { error_code: code.into() },
        quinn::WriteError::ConnectionLost(error) => of_connection(ended(error)),
        other => Fault::Unknown(Box::new(other)),
    }
}
