//! Services that speak HTTP/2: gRPC calls with their trailers, streams that share connections, and what one that breaks
//! takes with it.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cardea_proxy::{Security, Transport, upstream::tls};
use futures_util::StreamExt;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, BodyStream, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2 as client,
    server::conn::http2 as server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    house::{APP_HOST, House, Plan, SIGN_IN_HOST},
    service::Service,
    tls::{Authority, connect},
    upstream_fleet::plan,
};

type Answer = Response<UnsyncBoxBody<Bytes, hyper::Error>>;
type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;

/// A gRPC service that sends back what it gets, piece by piece, and says at the end that all went well.
#[derive(Clone, Default)]
pub(crate) struct Echo {
    heard: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Echo {
    /// Over h2c, with at most so many calls at once on a connection.
    pub(crate) async fn start(most: u32) -> (Self, String) {
        let (echo, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = echo.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let task = tokio::spawn(serving.clone().serve(stream, most));
                serving.connections.lock().unwrap().push(task.abort_handle());
            }
        });
        (echo, url)
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, most: u32) {
        let answer = service_fn(move |request| self.clone().answer(request));
        let mut builder = server::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(most);
        let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        self.heard.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
        let said = request.headers().clone();
        let frames = BodyStream::new(request.into_body()).filter_map(|frame| {
            std::future::ready(match frame {
                Ok(frame) => frame.into_data().ok().map(|data| Ok(Frame::data(data))),
                Err(error) => Some(Err(error)),
            })
        });
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("set-cookie", "a=1".parse().unwrap());
        let end = futures_util::stream::once(async { Ok(Frame::trailers(trailers)) });
        let mut answer = Response::new(StreamBody::new(frames.chain(end)).boxed_unsync());
        for (name, value) in [("content-type", said.get("content-type")), ("x-te", said.get("te"))] {
            if let Some(value) = value {
                answer.headers_mut().insert(name, value.clone());
            }
        }
        Ok(answer)
    }

    pub(crate) fn opened(&self) -> usize {
        self.connections.lock().unwrap().len()
    }
}

/// A gateway over TLS, so that a client can speak HTTP/2 with it.
async fn secured(mut plan: Plan) -> (House, Authority) {
    let ours = Authority::new();
    plan.security = Security::Tls(Arc::new(ours.server(ours.issue(&[APP_HOST, SIGN_IN_HOST], &[]), None)));
    (plan.open().await, ours)
}

type Caller = client::SendRequest<UnsyncBoxBody<Bytes, Infallible>>;

async fn caller(house: &House, ours: &Authority) -> Caller {
    let stream = connect(house, ours.client().with_no_client_auth(), APP_HOST, b"h2").await;
    let (sender, connection) = client::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A call whose messages are sent through what comes back, and its answer.
async fn call(caller: &mut Caller, cookie: &str, kind: &str) -> (Frames, Response<Incoming>) {
    let (frames, pieces) = mpsc::unbounded_channel();
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|p| (p, pieces)) });
    let request = Request::post(format!("https://{APP_HOST}/x.Echo/Call"))
        .header("cookie", format!("__Host-{cookie}"))
        .header("content-type", kind)
        .header("te", "trailers")
        .body(StreamBody::new(pieces).boxed_unsync())
        .unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(5), caller.send_request(request)).await;
    (frames, answer.expect("no answer").unwrap())
}

async fn next(body: &mut Incoming) -> Option<Frame<Bytes>> {
    let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await;
    frame.expect("held back").map(Result::unwrap)
}

fn say(frames: &Frames, text: &'static str) {
    frames.send(Ok(Frame::data(Bytes::from_static(text.as_bytes())))).unwrap();
}

/// Both sides speak in turns, and the status comes at the end: this is all four kinds of calls in one.
async fn converses(house: &House, ours: &Authority) {
    let (cookie, mut caller) = (house.chemist(), caller(house, ours).await);
    let (frames, answer) = call(&mut caller, &cookie, "application/grpc+proto").await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-te"]), (200, &"trailers".parse().unwrap()));
    let mut body = answer.into_body();
    for text in ["one", "two", "three"] {
        say(&frames, text);
        assert_eq!(next(&mut body).await.unwrap().into_data().unwrap(), text);
    }
    drop(frames);
    let trailers = next(&mut body).await.unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert!(!trailers.contains_key("set-cookie"), "a cookie came in the trailers");
    assert!(next(&mut body).await.is_none());
}

#[tokio::test]
async fn grpc_goes_over_http2_without_tls_by_prior_knowledge() {
    let (echo, url) = Echo::start(100).await;
    let (house, ours) = secured(plan(&[&url], "protocol = 'http2'\n")).await;
    converses(&house, &ours).await;
    let (target, headers) = echo.heard.lock().unwrap()[0].clone();
    assert_eq!(target, format!("http://{APP_HOST}/x.Echo/Call"));
    assert_eq!(headers["remote-user"], "mira@acme.test");
    assert!(!headers.contains_key("host") && !headers.contains_key("cookie"));
}

/// A service over TLS that speaks both, and counts the connections of each.
async fn of_both() -> (Authority, u16, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let theirs = Authority::new();
    let mut config = theirs.server(theirs.issue(&["localhost"], &[]), None);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    let (old, new) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (olds, news) = (Arc::clone(&old), Arc::clone(&new));
    tokio::spawn(async move {
        let (echo, service) = (Echo::default(), Service::default());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                news.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(echo.clone().serve(stream, 100));
            } else {
                olds.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(service.clone().serve(stream));
            }
        }
    });
    (theirs, port, old, new)
}

#[tokio::test]
async fn over_tls_grpc_goes_over_http2_and_everything_else_as_before() {
    let (theirs, port, old, new) = of_both().await;
    let mut plan = Plan::at(&format!("https://localhost:{port}"));
    plan.transport = Transport::Tls(tls::public(Some(std::slice::from_ref(&theirs.certificate))).unwrap());
    let (house, ours) = secured(plan).await;
    converses(&house, &ours).await;
    let (cookie, mut caller) = (house.chemist(), caller(&house, &ours).await);
    for kind in ["application/json", "application/grpc-web"] {
        assert_eq!(call_and_end(&mut caller, &cookie, kind).await.status(), 200, "{kind}");
    }
    converses(&house, &ours).await;
    assert_eq!((old.load(Ordering::SeqCst), new.load(Ordering::SeqCst)), (1, 1));
}

/// A call with an empty body.
async fn call_and_end(caller: &mut Caller, cookie: &str, kind: &str) -> Response<Incoming> {
    let request = Request::post(format!("https://{APP_HOST}/x"))
        .header("cookie", format!("__Host-{cookie}"))
        .header("content-type", kind)
        .body(Empty::new().boxed_unsync())
        .unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(5), caller.send_request(request)).await;
    answer.expect("no answer").unwrap()
}

#[tokio::test]
async fn a_service_that_takes_two_calls_at_once_gets_more_connections() {
    let (echo, url) = Echo::start(2).await;
    let (house, ours) = secured(plan(&[&url], "protocol = 'http2'\n")).await;
    let (cookie, mut caller) = (house.chemist(), caller(&house, &ours).await);
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(call(&mut caller, &cookie, "application/grpc").await);
    }
    assert_eq!(echo.opened(), 3);
    for (frames, answer) in &mut open {
        say(frames, "still there");
        assert_eq!(next(answer.body_mut()).await.unwrap().into_data().unwrap(), "still there");
    }
    drop(open);
}

#[tokio::test]
async fn a_lost_connection_takes_only_its_own_calls_with_it() {
    let (echo, url) = Echo::start(1).await;
    let (house, ours) = secured(plan(&[&url], "protocol = 'http2'\n")).await;
    let (cookie, mut caller) = (house.chemist(), caller(&house, &ours).await);
    let (_frames, lost) = call(&mut caller, &cookie, "application/grpc").await;
    let (frames, mut kept) = call(&mut caller, &cookie, "application/grpc").await;
    echo.connections.lock().unwrap()[0].abort();
    let end = tokio::time::timeout(Duration::from_secs(5), lost.into_body().frame()).await.unwrap();
    let trailers = end.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "14", "a call that was lost looks whole");
    say(&frames, "still there");
    assert_eq!(next(kept.body_mut()).await.unwrap().into_data().unwrap(), "still there");
    let (frames, mut another) = call(&mut caller, &cookie, "application/grpc").await;
    say(&frames, "new");
    assert_eq!(next(another.body_mut()).await.unwrap().into_data().unwrap(), "new");
}

#[tokio::test]
async fn a_service_that_does_not_read_holds_its_client_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut connection, mut held) = (h2::server::handshake(stream).await.unwrap(), Vec::new());
        while let Some(Ok(request)) = connection.accept().await {
            held.push(request);
        }
    });
    let (house, ours) = secured(plan(&[&url], "protocol = 'http2'\n")).await;
    let (cookie, mut caller) = (house.chemist(), caller(&house, &ours).await);
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let pieces = futures_util::stream::repeat_with(move || {
        counted.fetch_add(65_536, Ordering::SeqCst);
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 65_536])))
    });
    let request = Request::post(format!("https://{APP_HOST}/x.Echo/Call"))
        .header("cookie", format!("__Host-{cookie}"))
        .header("content-type", "application/grpc")
        .body(StreamBody::new(pieces.take(2048)).boxed_unsync())
        .unwrap();
    let call = tokio::spawn(async move { caller.send_request(request).await.map(|answer| answer.status()) });
    let stalled = async {
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = taken.load(Ordering::SeqCst);
            if now > 0 && now == before {
                return now;
            }
            before = now;
        }
    };
    let taken = tokio::time::timeout(Duration::from_secs(15), stalled).await.expect("it never stalls");
    assert!(taken < 16 * 1024 * 1024, "{taken} bytes are held in between");
    call.abort();
}

/// What a service of HTTP/2 does with its first request.
#[derive(Clone, Copy)]
enum First {
    Refuses,
    GoesAway,
    Resets,
}

/// A service that answers every request but the first.
async fn at_first(first: First) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_request, mut respond))) = connection.accept().await {
                    match (heard.fetch_add(1, Ordering::SeqCst), first) {
                        (0, First::Refuses) => respond.send_reset(h2::Reason::REFUSED_STREAM),
                        (0, First::Resets) => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                        (nth, _) => {
                            if nth == 0 {
                                connection.graceful_shutdown();
                            }
                            respond.send_response(Response::new(()), true).unwrap();
                        }
                    }
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn what_a_service_did_nothing_about_is_sent_again() {
    for (first, line, body, status) in [
        (First::Refuses, "GET /x", "", 200),
        (First::Refuses, "POST /x", "", 200),
        (First::Refuses, "POST /x", "content-length: 1\r\n\r\nx", 502),
        (First::Resets, "POST /x", "", 502),
        (First::GoesAway, "GET /x", "", 200),
    ] {
        let url = at_first(first).await;
        let house = plan(&[&url], "protocol = 'http2'\n").open().await;
        let who = format!("cookie: {}\r\n", house.chemist());
        assert_eq!(house.ask(line, &format!("{who}{body}")).await.status(), status, "{line} {body}");
        assert_eq!(house.ask(line, &who).await.status(), 200, "{line} {body}: the next");
    }
}

#[tokio::test]
async fn bad_frames_are_a_502_and_the_next_request_is_unharmed() {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    for (what, bytes) in [
        ("an answer of HTTP/1.1", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()),
        ("nothing", vec![]),
        ("a frame that is too large", [SETTINGS, b"\xff\xff\xff\0\0\0\0\0\x01"].concat()),
        ("data for no request", [SETTINGS, b"\0\0\x01\0\0\0\0\0\x00x"].concat()),
        ("headers that cannot be read", [SETTINGS, b"\0\0\x02\x01\x05\0\0\0\x01\xff\xff"].concat()),
        ("a continuation of nothing", [SETTINGS, b"\0\0\x01\x09\x04\0\0\0\x01x"].concat()),
        ("settings that are none", b"\0\0\x01\x04\0\0\0\0\0x".to_vec()),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            let mut heard = [0; 24];
            first.read_exact(&mut heard).await.unwrap();
            first.write_all(&bytes).await.unwrap();
            if bytes.is_empty() {
                drop(first);
            } else {
                tokio::spawn(async move { while first.read(&mut heard).await.is_ok_and(|read| read > 0) {} });
            }
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Echo::default().serve(stream, 100));
            }
        });
        let house = plan(&[&url], "protocol = 'http2'\n").open().await;
        let who = format!("cookie: {}\r\n", house.chemist());
        let reply = house.ask("POST /x", &format!("{who}content-length: 1\r\n\r\nx")).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (502, Some("upstream-broken")), "{what}");
        assert_eq!(house.ask("GET /x", &who).await.status(), 200, "{what}: the next");
    }
}

#[tokio::test]
async fn a_websocket_goes_over_http1_even_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        Service::default().serve(stream).await;
    });
    let house = plan(&[&url], "protocol = 'http2'\n").open().await;
    let cookie = house.chemist();
    let mut socket = TcpStream::connect(house.address).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: Upgrade\r\nupgrade: websocket\r\ncookie: {cookie}\r\n\
         origin: http://{APP_HOST}\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");
}
