//! One HTTP/3 connection from its handshake's end to its own: its requests, each a task, and the way it closes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use h3::{
    error::Code,
    quic::SendStream as _,
    server::{Connection as Http3, RequestResolver},
};
use http::{HeaderValue, Request, header};
use tokio::{task::JoinSet, time::Instant};

use super::{
    answer::{Answering, BrokenOff, is_about_the_connection},
    body,
    transport::{Gone, Transport},
};
use crate::{
    Connection, Drain, Proxy, Settings,
    framing::{self, Flood},
    listener::{
        Turned,
        quiet::{Quiet, Turn},
    },
    metrics::Counted,
};

/// How much longer than it may be a head is read, to be refused with an answer.
pub(super) const READ_TO_REFUSE: usize = 2;

/// The stretch over which requests that were given up are counted.
const STRETCH: Duration = Duration::from_secs(10);

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    /// The client wanted no more of it, or it was none.
    GivenUp,
}

pub(super) struct Serving {
    pub(super) proxy: Arc<Proxy>,
    /// Those that the connection was accepted under.
    pub(super) settings: Arc<Settings>,
    pub(super) drain: Drain,
    pub(super) connection: Arc<Connection>,
}

impl Serving {
    /// Serves a connection until it ends, the gateway closes, or it has asked for nothing for the idle time.
    pub(super) async fn keep(self, quic: quinn::Connection) {
        let _open = Counted::one_more(&self.proxy.metrics().connections);
        let longest = self.settings.limits.header_bytes.saturating_mul(READ_TO_REFUSE) as u64;
        let mut builder = h3::server::builder();
        builder.max_field_section_size(longest).send_grease(false);
        match builder.build(Transport::new(quic.clone(), longest)).await {
            Ok(http3) => self.serve(http3, &quic).await,
            Err(error) => tracing::debug!(%error, "an HTTP/3 connection broke off"),
        }
    }

    async fn serve(self, mut http3: Http3<Transport, Bytes>, quic: &quinn::Connection) {
        let this = Arc::new(self);
        let mut requests = JoinSet::new();
        let mut given_up = GivenUp::new(this.settings.limits.http2_resets);
        let mut quiet = Quiet::of(&this.connection, &this.proxy.room, this.settings.limits.idle, false);
        let mut quiet = std::pin::pin!(quiet.turn(&this.proxy));
        // Held until the place is free.
        let mut made_room = None;
        let told_to_end = loop {
            tokio::select! {
                taken = http3.accept() => match taken {
                    Ok(Some(request)) => {
                        let gone = http3.inner.conn.gone();
                        requests.spawn(Box::pin(Arc::clone(&this).request(request, gone)));
                    }
                    Ok(None) | Err(_) => break false,
                },
                Some(ended) = requests.join_next() => {
                    if given_up.is_flood(!matches!(ended, Ok(End::Answered))) {
                        this.ends_flood(quic);
                        break false;
                    }
                }
                () = this.drain.begun() => break true,
                turn = &mut quiet => {
                    // It has nothing to let go of, so it never rests.
                    made_room = if let Turn::Over(leaving) = turn { leaving } else { None };
                    if made_room.is_some() {
                        // Who waits for a place waits for no farewell.
                        this.proxy.metrics().turned_away(Turned::MadeRoom);
                    }
                    break made_room.is_none();
                }
            }
        };
        if told_to_end {
            last_requests(&mut http3, &mut requests, quic.rtt()).await;
        }
        drop((http3, made_room));
    }

    fn ends_flood(&self, quic: &quinn::Connection) {
        quic.close(code(Code::H3_EXCESSIVE_LOAD), b"");
        self.proxy.metrics().flooded(Flood::Resets);
        self.connection.flooded();
        tracing::warn!(peer = %self.connection.peer, kind = Flood::Resets.code(), "a flood was ended with its connection");
    }

    /// One request, from its head to the last byte of its answer.
    async fn request(self: Arc<Self>, request: RequestResolver<Transport, Bytes>, gone: Option<Gone>) -> End {
        let limits = &self.settings.limits;
        let Some(mut gone) = gone else { return End::GivenUp };
        let head = tokio::time::timeout(limits.head, request.resolve_request());
        let (request, mut stream) = tokio::select! {
            head = head => match head {
                Ok(Ok(resolved)) => resolved,
                // It took too long, was malformed or longer than is read: its stream is reset.
                Ok(Err(_)) | Err(_) => return End::GivenUp,
            },
            () = &mut gone => return End::GivenUp,
        };
        self.connection.watch.stir();
        // Until the last of the answer has been taken.
        let connection = Arc::clone(&self.connection);
        let Ok(length) = announced(&request) else {
            stream.stop_sending(Code::H3_MESSAGE_ERROR);
            stream.stop_stream(Code::H3_MESSAGE_ERROR);
            return End::GivenUp;
        };
        let (stream, receiving) = stream.split();
        let now = self.proxy.now();
        let (head, ()) = self.measured(request).into_parts();
        let head_only = head.method == http::Method::HEAD;
        let answer = async {
            let body = tokio::time::timeout(limits.head, body::of(&head.method, length, receiving)).await.ok()?.ok()?;
            let request = Request::from_parts(head, body);
            Some(self.proxy.handle(&connection, request).await)
        };
        let answer = tokio::select! {
            answer = answer => answer,
            // INVARIANT: with this, whatever waits for an answer is dropped, and the request's entry says so.
            () = &mut gone => None,
        };
        let Some(answer) = answer else { return End::GivenUp };
        let sent = Answering { stream, gone, stalled: limits.stalled }.send(answer, head_only, now).await;
        if sent == Err(BrokenOff::ByClient) { End::GivenUp } else { End::Answered }
    }

    /// The request; where its head is larger than it may be, one that is refused for that.
    fn measured(&self, mut request: Request<()>) -> Request<()> {
        if size(&request) > self.settings.limits.header_bytes {
            request.headers_mut().insert(framing::REFUSED, HeaderValue::from_static("1"));
            request.extensions_mut().insert(framing::TooLarge);
        }
        request
    }
}

/// Tells the client to end, and lets what is under way finish. Whatever it asks for after that is rejected, so that it may ask
/// elsewhere (RFC 9114 section 5.2).
async fn last_requests(http3: &mut Http3<Transport, Bytes>, requests: &mut JoinSet<End>, round_trip: Duration) {
    // One more than the last that was taken: h3 names the last one otherwise, which the client would take for rejected.
    if http3.shutdown(1).await.is_err() {
        return;
    }
    // Time for the word to arrive, and for what crossed it.
    let arrived = tokio::time::sleep(round_trip * 3);
    let mut arrived = std::pin::pin!(arrived);
    let mut has_arrived = false;
    while !(has_arrived && requests.is_empty()) {
        tokio::select! {
            taken = http3.accept() => match taken {
                Ok(Some(mut late)) => late.frame_stream.reset(Code::H3_REQUEST_REJECTED.value()),
                Ok(None) | Err(_) => return,
            },
            Some(_) = requests.join_next() => {}
            () = &mut arrived, if !has_arrived => has_arrived = true,
        }
    }
}

pub(super) fn code(code: Code) -> quinn::VarInt {
    quinn::VarInt::from_u64(code.value()).unwrap_or(quinn::VarInt::MAX)
}

/// The length that a request announces, if it announces one. Two that differ are refused where the request is read.
fn announced(request: &Request<()>) -> Result<Option<u64>, body::Malformed> {
    if is_about_the_connection(request.headers()) {
        return Err(body::Malformed);
    }
    let mut lengths = request.headers().get_all(header::CONTENT_LENGTH).iter();
    let (Some(length), None) = (lengths.next(), lengths.next()) else { return Ok(None) };
    let digits = length.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).map(Some).ok_or(body::Malformed)
}

/// How large a head is, as RFC 9114 section 4.2.2 counts.
fn size(request: &Request<()>) -> usize {
    const EACH: usize = 32;
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + EACH);
    let (uri, target) = (request.uri(), request.uri().path_and_query());
    let line = target.map_or(0, |target| target.as_str().len()) + uri.authority().map_or(0, |host| host.as_str().len());
    fields.sum::<usize>() + line
}

/// Requests that were given up, among all of a stretch.
struct GivenUp {
    most: u32,
    since: Instant,
    all: u32,
    given_up: u32,
}

impl GivenUp {
    fn new(most: u32) -> Self {
        Self { most, since: Instant::now(), all: 0, given_up: 0 }
    }

    /// Counts one more, and tells whether the client does nothing else than to give up.
    fn is_flood(&mut self, was_given_up: bool) -> bool {
        if self.since.elapsed() > STRETCH {
            *self = Self::new(self.most);
        }
        self.all += 1;
        self.given_up += u32::from(was_given_up);
        self.given_up > self.most && self.given_up > self.all / 2
    }
}
