//! Whenever the guard lets bytes through, hyper hears of them what a reader of its own hears of the stream itself, and
//! no request more.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::{Builder, Runtime},
};

use crate::framing::{Bounds, Guard, REFUSED, Watch};

/// Longest head; small, so that a fuzzer finds its end.
const HEAD: usize = 2048;

/// Most fields of a head, as usual.
const FIELDS_MAX: usize = 128;

/// Longer than any input takes: no clock runs here.
const TIME: Duration = Duration::from_secs(3600);

/// One request, as far as both readers tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    method: String,
    target: Uri,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

impl Heard {
    /// The guard is stricter with chunks than the reader below, so it may break off where that one reads on.
    fn is_chunked(&self) -> bool {
        self.fields.iter().any(|(name, _)| name == "transfer-encoding")
    }
}

/// A byte that says in pieces of what size the stream comes, then the stream.
pub fn framing(data: &[u8]) {
    let Some((&piece, stream)) = data.split_first() else { return };
    let read = by_the_letter(stream);
    for piece in [usize::from(piece).max(1), stream.len().max(1)] {
        let (heard, refused) = by_hyper(stream, piece);
        let deaf = heard.is_empty() && !refused && read.first().is_some_and(|first| !first.is_chunked());
        assert!(!deaf, "in pieces of {piece} hyper heard nothing of {read:#?}");
        let agree = read.len() >= heard.len() && read[..heard.len()] == heard[..];
        assert!(agree, "in pieces of {piece} hyper heard {heard:#?}\nof {read:#?}");
    }
}

/// The requests, and whether one was refused below.
fn by_hyper(stream: &[u8], piece: usize) -> (Vec<Heard>, bool) {
    // The guard sets a timer for a head that is not whole.
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Builder::new_current_thread().enable_time().build().ok());
    let _entered = runtime.as_ref().map(Runtime::enter);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let wire = Wire { stream: stream.to_vec(), at: 0, piece };
    let watch = Arc::<Watch>::default();
    let guarded = Guard::new(wire, Arc::clone(&watch), Bounds { head: HEAD, fields: FIELDS_MAX, time: TIME });
    let service = service_fn(|request: Request<Incoming>| listen(request, Arc::clone(&heard)));
    let connection =
        http1::Builder::new().max_headers(FIELDS_MAX).serve_connection(TokioIo::new(guarded), service).with_upgrades();
    {
        let mut connection = pin!(connection);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        // Everything is in memory: whoever waits and was not woken waits for a client that has no more to say.
        while connection.as_mut().poll(&mut cx).is_pending() && woken.0.swap(false, Ordering::Relaxed) {}
    }
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    (heard.clone(), watch.refused().is_some())
}

async fn listen(
    request: Request<Incoming>,
    into: Arc<Mutex<Vec<Heard>>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let connects = head.method == Method::CONNECT;
    if let Ok(body) = body.collect().await
        && !head.headers.contains_key(REFUSED)
    {
        let trailers = body.trailers().map(fields).unwrap_or_default();
        into.lock().unwrap_or_else(PoisonError::into_inner).push(Heard {
            method: head.method.to_string(),
            target: head.uri,
            fields: fields(&head.headers),
            body: body.to_bytes().to_vec(),
            trailers,
        });
    }
    let mut answer = Response::new(Empty::new());
    if connects {
        *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    }
    Ok(answer)
}

fn fields(headers: &http::HeaderMap) -> Vec<(String, Vec<u8>)> {
    in_order(headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())))
}

/// Sorted by name alone: the order of a name's own values means something.
fn in_order(fields: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fields.collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The requests of a stream, read with httparse and RFC 9112 section 6; ends where either of them would.
fn by_the_letter(mut stream: &[u8]) -> Vec<Heard> {
    let mut heard = Vec::new();
    while let Some((one, rest)) = one_request(stream) {
        heard.push(one);
        stream = rest;
    }
    heard
}

fn one_request(mut stream: &[u8]) -> Option<(Heard, &[u8])> {
    while let Some(rest) = stream.strip_prefix(b"\r\n") {
        stream = rest;
    }
    let mut room = [httparse::EMPTY_HEADER; 2 * FIELDS_MAX];
    let mut head = httparse::Request::new(&mut room);
    let httparse::Status::Complete(length) = head.parse(stream).ok()? else { return None };
    let values = |name: &str| -> Vec<&[u8]> {
        head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect()
    };
    let rest = &stream[length..];
    let (body, trailers, rest) = match (&values("transfer-encoding")[..], &values("content-length")[..]) {
        ([], []) => (Vec::new(), Vec::new(), rest),
        ([], [length]) => {
            let digits = length.iter().all(u8::is_ascii_digit);
            let length: usize = std::str::from_utf8(length).ok().filter(|_| digits)?.parse().ok()?;
            (rest.get(..length)?.to_vec(), Vec::new(), &rest[length..])
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && head.version == Some(1) => chunks(rest)?,
        _ => return None,
    };
    let one = Heard {
        method: head.method?.to_owned(),
        target: head.path?.parse().ok()?,
        fields: named(head.headers),
        body,
        trailers,
    };
    Some((one, rest))
}

fn named(fields: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    in_order(fields.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())))
}

type Chunked<'a> = (Vec<u8>, Vec<(String, Vec<u8>)>, &'a [u8]);

/// RFC 9112 section 7.1, to the letter.
fn chunks(mut rest: &[u8]) -> Option<Chunked<'_>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let digits = rest[..end].split(|&b| b == b';').next()?;
        let fine = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| fine)?, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut room = [httparse::EMPTY_HEADER; 2 * FIELDS_MAX];
    let httparse::Status::Complete((length, trailers)) = httparse::parse_headers(rest, &mut room).ok()? else {
        return None;
    };
    Some((body, named(trailers), &rest[length..]))
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection in memory, whose client stays once it has said all.
struct Wire {
    stream: Vec<u8>,
    at: usize,
    piece: usize,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.at == self.stream.len() {
            return Poll::Pending;
        }
        let end = (self.at + self.piece.min(buf.remaining())).min(self.stream.len());
        buf.put_slice(&self.stream[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
